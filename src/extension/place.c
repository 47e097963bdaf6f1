/*
 * place.c
 *	  Where rows were found before, so that the same row is found again without its index.
 *
 * A place is a guess, and may be wrong at any time: the row can have moved,
 * and another one be there. So who asks sees what its snapshot sees at that
 * place, and must check that it is the row it means; if not, it asks the
 * index. Each session keeps the places of a few thousand rows, the latest of
 * those that fall on the same spot.
 */
#include "place.h"

#include "access/relscan.h"
#include "access/tableam.h"
#include "storage/bufmgr.h"
#include "utils/snapmgr.h"

#define PLACES 4096 /* a power of two */

typedef struct Place
{
	Oid				table;
	pg_uuid_t		key;
	ItemPointerData tid;
} Place;

static Place places[PLACES];

static Place *
place_of(Relation table, const pg_uuid_t *key)
{
	uint32 head;
	uint32 tail;

	memcpy(&head, key->data, sizeof(head));
	memcpy(&tail, key->data + UUID_LEN - sizeof(tail), sizeof(tail));
	head = (head ^ tail ^ RelationGetRelid(table)) * 0x9e3779b1;
	return &places[head >> 20 & (PLACES - 1)];
}

/* place_fetch gets what the active snapshot sees where a row with this key was last; false if there is nothing. */
bool
place_fetch(Relation table, const pg_uuid_t *key, TupleTableSlot *slot)
{
	Place				*place = place_of(table, key);
	ItemPointerData		 tid = place->tid;
	bool				 again = false;
	IndexFetchTableData *fetch;
	bool				 is_there;

	if (place->table != RelationGetRelid(table) || !uuid_equal(&place->key, key))
		return false;
	/* a table may have become shorter */
	if (ItemPointerGetBlockNumber(&tid) >= RelationGetNumberOfBlocks(table))
		return false;
	fetch = table_index_fetch_begin(table);
	is_there = table_index_fetch_tuple(fetch, &tid, GetActiveSnapshot(), slot, &again, NULL);
	table_index_fetch_end(fetch);
	return is_there;
}

/* place_search gets the next row of a scan, and keeps its place. */
bool
place_search(IndexScanDesc scan, const pg_uuid_t *key, TupleTableSlot *slot)
{
	ItemPointer tid;

	while ((tid = index_getnext_tid(scan, ForwardScanDirection)) != NULL)
	{
		/* as the index has it, whatever version of the row is found from there */
		ItemPointerData root = *tid;

		if (!index_fetch_heap(scan, slot))
			continue;
		place_keep(scan->heapRelation, key, &root);
		return true;
	}
	return false;
}

void
place_keep(Relation table, const pg_uuid_t *key, const ItemPointerData *tid)
{
	*place_of(table, key) = (Place){RelationGetRelid(table), *key, *tid};
}
