/*
 * place.c
 *	  Where rows were found before, so that the same row is found again without its index.
 *
 * A place is a guess, and may be wrong at any time: the row can have moved,
 * and another one be there. So who asks sees what its snapshot sees at that
 * place, and must check that it is the row it means; if not, it asks the
 * index. Each session keeps the places of some eighty thousand rows, on spots
 * of one cache line; of the rows that fall on a spot, the five latest.
 */
#include "place.h"

#include "access/heapam.h"
#include "access/relscan.h"
#include "access/tableam.h"
#include "storage/bufmgr.h"
#include "storage/smgr.h"
#include "utils/snapmgr.h"

#if PG_VERSION_NUM >= 160000
#define FILE_OF(table) ((table)->rd_locator)
#else
#define FILE_OF(table) ((table)->rd_node)
#endif

#define SPOTS		16384 /* a power of two */
#define SPOT_PLACES 5

typedef struct Spot
{
	uint16			marks[SPOT_PLACES]; /* of the table and the key */
	uint16			oldest;
	ItemPointerData tids[SPOT_PLACES]; /* invalid: nothing is known */
	Buffer			buffers[SPOT_PLACES];
} Spot;

StaticAssertDecl(sizeof(Spot) <= 64, "a spot is one cache line");

static Spot spots[SPOTS] pg_attribute_aligned(64);

/* spot_of finds where the place of a row is kept, and the mark that it has there. */
static Spot *
spot_of(Relation table, const pg_uuid_t *key, uint16 *mark)
{
	uint64 hash;
	uint64 tail;

	memcpy(&hash, key->data, sizeof(hash));
	memcpy(&tail, key->data + sizeof(hash), sizeof(tail));
	/* each bit of both halves is to reach each bit of the spot and of the mark */
	hash = (hash ^ RelationGetRelid(table)) * UINT64CONST(0x9e3779b97f4a7c15) ^ tail;
	hash = (hash ^ hash >> 32) * UINT64CONST(0xff51afd7ed558ccd);
	hash = (hash ^ hash >> 33) * UINT64CONST(0xc4ceb9fe1a85ec53);
	hash ^= hash >> 33;
	*mark = hash >> 48;
	return &spots[hash & (SPOTS - 1)];
}

/* pin_block pins the block of a place; InvalidBuffer if the table has become shorter. */
static Buffer
pin_block(Relation table, Spot *spot, int i)
{
	BlockNumber block = ItemPointerGetBlockNumber(&spot->tids[i]);
	BlockNumber known;

	if (BufferIsValid(spot->buffers[i]) && ReadRecentBuffer(FILE_OF(table), MAIN_FORKNUM, block, spot->buffers[i]))
		return spot->buffers[i];
	/* whoever makes a table shorter has all forget how long it was */
	known = RelationGetSmgr(table)->smgr_cached_nblocks[MAIN_FORKNUM];
	if ((known == InvalidBlockNumber || block >= known) && block >= RelationGetNumberOfBlocks(table))
		return InvalidBuffer;
	spot->buffers[i] = ReadBuffer(table, block);
	return spot->buffers[i];
}

/*
 * place_find gets what the active snapshot sees where a row with this key was
 * last; false if there is nothing. The row is good until the buffer is
 * released, which is the caller's to do.
 */
bool
place_find(Relation table, const pg_uuid_t *key, HeapTuple row, Buffer *buffer)
{
	uint16			mark;
	Spot		   *spot = spot_of(table, key, &mark);
	ItemPointerData tid;
	bool			is_there;
	int				i;

	for (i = 0; i < SPOT_PLACES; i++)
		if (spot->marks[i] == mark && ItemPointerIsValid(&spot->tids[i]))
			break;
	if (i == SPOT_PLACES || table->rd_tableam != GetHeapamTableAmRoutine())
		return false;
	*buffer = pin_block(table, spot, i);
	if (!BufferIsValid(*buffer))
		return false;
	tid = spot->tids[i];
	heap_page_prune_opt(table, *buffer);
	LockBuffer(*buffer, BUFFER_LOCK_SHARE);
	is_there = heap_hot_search_buffer(&tid, table, *buffer, GetActiveSnapshot(), row, NULL, true);
	LockBuffer(*buffer, BUFFER_LOCK_UNLOCK);
	if (!is_there)
		ReleaseBuffer(*buffer);
	return is_there;
}

/* place_fetch is place_find into a slot of the table, which holds the buffer. */
bool
place_fetch(Relation table, const pg_uuid_t *key, TupleTableSlot *slot)
{
	HeapTuple row = &((BufferHeapTupleTableSlot *) slot)->base.tupdata;
	Buffer	  buffer;

	if (!TTS_IS_BUFFERTUPLE(slot) || !place_find(table, key, row, &buffer))
		return false;
	ExecStorePinnedBufferHeapTuple(row, slot, buffer);
	slot->tts_tableOid = RelationGetRelid(table);
	return true;
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

/* place_keep keeps the place of a row in the stead of the one it had, or else of the oldest on its spot. */
void
place_keep(Relation table, const pg_uuid_t *key, const ItemPointerData *tid)
{
	uint16 mark;
	Spot  *spot = spot_of(table, key, &mark);
	int	   i;

	for (i = 0; i < SPOT_PLACES; i++)
		if (spot->marks[i] == mark)
			break;
	if (i == SPOT_PLACES)
	{
		i = spot->oldest;
		spot->oldest = (i + 1) % SPOT_PLACES;
	}
	spot->marks[i] = mark;
	spot->tids[i] = *tid;
	spot->buffers[i] = InvalidBuffer;
}
