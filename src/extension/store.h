/*
 * store.h
 *	  Rows inserted without the planner and the executor (see store.c).
 *
 *	  STORE(event_rows, "order_events", "vendor_id", "order_id", "kind");
 *	  ...
 *	  store_row(&event_rows, VALUE(vendor_id), VALUE(order_id), VALUE(kind));
 */
#ifndef RENTAL_STORE_H
#define RENTAL_STORE_H

#include "rental.h"

#include "executor/tuptable.h"

#define STORE_MOST_COLUMNS 24

struct Store;

typedef struct StoreTable
{
	const char	 *table;
	bool		  is_bare;						   /* its triggers and foreign keys are left out */
	const char	 *columns[STORE_MOST_COLUMNS + 1]; /* that are given, up to a NULL; the others take their defaults */
	struct Store *store;						   /* what was made ready for it */
} StoreTable;

#define STORE(name, table, ...)		 static StoreTable name = {table, false, {__VA_ARGS__}, NULL}
#define STORE_BARE(name, table, ...) static StoreTable name = {table, true, {__VA_ARGS__}, NULL}

/* The values, of the types of the columns, in their order */
#define store_row(table, ...) \
	store_rows(table, (NullableDatum[]){__VA_ARGS__}, sizeof((NullableDatum[]){__VA_ARGS__}) / sizeof(NullableDatum), 1)

extern bool store_is_own(TupleTableSlot *slot);
extern void store_rows(StoreTable *table, const NullableDatum *values, int nvalues, int nrows);

#endif /* RENTAL_STORE_H */
