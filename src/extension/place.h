/*
 * place.h
 *	  Where rows were found before (see place.c).
 */
#ifndef RENTAL_PLACE_H
#define RENTAL_PLACE_H

#include "rental.h"

#include "access/genam.h"
#include "executor/tuptable.h"
#include "storage/buf.h"
#include "utils/rel.h"
#include "utils/uuid.h"

extern bool place_find(Relation table, const pg_uuid_t *key, HeapTuple row, Buffer *buffer);
extern bool place_fetch(Relation table, const pg_uuid_t *key, TupleTableSlot *slot);
extern bool place_search(IndexScanDesc scan, const pg_uuid_t *key, TupleTableSlot *slot);
extern void place_keep(Relation table, const pg_uuid_t *key, const ItemPointerData *tid);

#endif /* RENTAL_PLACE_H */
