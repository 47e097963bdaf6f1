/*
 * lookup.h
 *	  Rows of a table by the first columns of an index, without the executor (see lookup.c).
 *
 *	  LOOKUP(vendor_by_id, "vendors", NULL, "currency", "time_zone");
 *	  ...
 *	  if (lookup_row(&vendor_by_id, id, NULL, values)) ... values[0] is the currency
 */
#ifndef RENTAL_LOOKUP_H
#define RENTAL_LOOKUP_H

#include "rental.h"

#include "access/attnum.h"
#include "utils/uuid.h"

#define LOOKUP_MOST_COLUMNS 28

typedef struct LookupTable
{
	const char *table;
	const char *index;							  /* NULL: the primary key */
	const char *columns[LOOKUP_MOST_COLUMNS + 1]; /* to read, up to a NULL */
	/* found when it was first used, and anew when tables have changed */
	uint64	   generation;
	Oid		   table_oid;
	Oid		   index_oid;
	int		   ncolumns;
	AttrNumber numbers[LOOKUP_MOST_COLUMNS];
	AttrNumber keys[2]; /* the first of the index */
} LookupTable;

/* The type of a view's rows, or of rows of that name; found as the columns above are */
typedef struct ViewType
{
	const char *view;
	uint64		generation;
	Oid			type;
} ViewType;

#define VIEW_TYPE(name, view_name) static ViewType name = {.view = (view_name)}

#define LOOKUP(name, table_name, index_name, ...) \
	static LookupTable name = {.table = (table_name), .index = (index_name), .columns = {__VA_ARGS__}}

extern bool	 lookup_row(LookupTable *lookup, const pg_uuid_t *key, const pg_uuid_t *second, NullableDatum *values);
extern bool	 lookup_text_row(LookupTable *lookup, Datum key, Datum second, NullableDatum *values);
extern void	 lookup_latest(void);
extern void	 lookup_latest_end(void);
extern int	 lookup_rows(LookupTable *lookup, const pg_uuid_t *key, const pg_uuid_t *second, int most,
						 NullableDatum **values);
extern Oid	 view_type(ViewType *view);
extern Datum view_row(ViewType *view, const NullableDatum *columns, int n);

#endif /* RENTAL_LOOKUP_H */
