/*
 * chunk.c
 *	  The rows of rental.timelines: free stock over time, cut into stretches.
 *
 * For each product and location a head row (lower = upper = -infinity) holds
 * the capacity as a timeline, and chunk rows hold capacity less what is taken
 * in [lower, upper). A chunk is made when something first changes in its cell
 * of a fixed grid, and is split when it grows too long, so that the cost of a
 * change or a look does not depend on how much is booked in all. Where no
 * chunk is, nothing is taken.
 *
 * Locks. A change locks the chunks it touches in ascending order of product,
 * location and time, each before it is read, so that no two changes work from
 * the same state. The head is locked before a chunk is made and before the
 * capacity changes, and is rewritten by both, so that under REPEATABLE READ
 * one of two who meet there gets a serialization failure instead of a stale
 * view.
 *
 * The rows are read and written through the table access method, without the
 * executor: this is the path of every look at availability and every order.
 */
#include "chunk.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#define CHUNK_SPAN			  (INT64CONST(32) * USECS_PER_DAY)
#define CHUNK_MAX_STEPS		  128
#define STOCK_LOCATION		  3 /* the column of rental.stock */
#define HIGHEST_INDEXED_LEVEL 3 /* of the index timelines_tight */

/* Columns of rental.timelines, in the order of sql/install/40_stock.sql */
enum
{
	COL_PRODUCT = 1,
	COL_LOCATION,
	COL_LOWER,
	COL_VENDOR,
	COL_UPPER,
	COL_HOLDS_UNTIL,
	COL_LEVEL,
	COL_FREE,
	COL_COUNT = COL_FREE
};

/* An open rental.timelines with its primary key (product, location, lower, vendor) */
typedef struct ChunkReader
{
	Relation		table;
	Relation		index;
	Snapshot		snapshot; /* registered, or NULL while none is held */
	TupleTableSlot *slot;
	Relation		stock; /* rental.stock, opened when first needed */
	Relation		stock_index;
	TupleTableSlot *stock_slot;
} Chunks;

static void
chunks_open(Chunks *chunks, LOCKMODE mode)
{
	Oid table = get_relname_relid("timelines", get_namespace_oid("rental", false));

	chunks->table = table_open(table, mode);
	chunks->index = index_open(RelationGetPrimaryKeyIndex(chunks->table), mode);
	chunks->slot = table_slot_create(chunks->table, NULL);
	chunks->snapshot = NULL;
	chunks->stock = NULL;
}

static void
chunks_snapshot(Chunks *chunks, Snapshot snapshot)
{
	if (chunks->snapshot != NULL)
		UnregisterSnapshot(chunks->snapshot);
	chunks->snapshot = snapshot == NULL ? NULL : RegisterSnapshot(snapshot);
}

static void
chunks_close(Chunks *chunks)
{
	chunks_snapshot(chunks, NULL);
	ExecDropSingleTupleTableSlot(chunks->slot);
	if (chunks->stock != NULL)
	{
		ExecDropSingleTupleTableSlot(chunks->stock_slot);
		index_close(chunks->stock_index, NoLock);
		table_close(chunks->stock, NoLock);
	}
	/* what was locked stays locked to the end of the transaction */
	index_close(chunks->index, NoLock);
	table_close(chunks->table, NoLock);
}

/* For a change: what the transaction may see now, its own changes included. */
static void
chunks_refresh(Chunks *chunks)
{
	chunks_snapshot(chunks, IsolationUsesXactSnapshot() ? GetTransactionSnapshot() : GetLatestSnapshot());
}

static Datum
column(TupleTableSlot *slot, int n)
{
	bool  isnull;
	Datum value = slot_getattr(slot, n, &isnull);

	Assert(!isnull);
	return value;
}

static TimestampTz
slot_lower(TupleTableSlot *slot)
{
	return DatumGetTimestampTz(column(slot, COL_LOWER));
}

static TimestampTz
slot_upper(TupleTableSlot *slot)
{
	return DatumGetTimestampTz(column(slot, COL_UPPER));
}

static Timeline *
slot_free(TupleTableSlot *slot)
{
	return DatumGetTimelineP(column(slot, COL_FREE));
}

static Timeline *
slot_free_copy(TupleTableSlot *slot)
{
	return (Timeline *) PG_DETOAST_DATUM_COPY(column(slot, COL_FREE));
}

static bool
slot_is_head(TupleTableSlot *slot)
{
	return TIMESTAMP_IS_NOBEGIN(slot_lower(slot));
}

/*
 * chunks_find finds the last row whose lower is at or before a time: the
 * chunk that covers it, an earlier chunk, or the head.
 */
static bool
chunks_find(Chunks *chunks, const pg_uuid_t *product_id, const pg_uuid_t *location_id, TimestampTz at)
{
	ScanKeyData	  keys[3];
	IndexScanDesc scan;
	bool		  found;

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(product_id));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(location_id));
	ScanKeyInit(&keys[2], 3, BTLessEqualStrategyNumber, F_TIMESTAMPTZ_LE, TimestampTzGetDatum(at));
	scan = index_beginscan(chunks->table, chunks->index, chunks->snapshot, 3, 0);
	index_rescan(scan, keys, 3, NULL, 0);
	found = index_getnext_slot(scan, BackwardScanDirection, chunks->slot);
	if (found)
		ExecMaterializeSlot(chunks->slot);
	index_endscan(scan);
	return found;
}

/* Reading */

typedef struct Reading
{
	const Period *window;
	TimestampTz	  done; /* everything before is read */
	PieceReader	  reader;
	void		 *arg;
} Reading;

/* A chunk that was found on the way */
typedef struct FoundChunk
{
	Period		extent;
	TimestampTz holds_until;
	Timeline   *free;
} FoundChunk;

/* read_piece hands on [done, end) of a timeline; false to stop. */
static bool
read_piece(Reading *reading, TimestampTz end, const Timeline *free, TimestampTz holds_until)
{
	StockPiece piece;

	end = Min(end, reading->window->end);
	if (end <= reading->done)
		return true;
	piece.period.start = reading->done;
	piece.period.end = end;
	piece.holds_until = holds_until;
	piece.free = timeline_view(free);
	reading->done = end;
	return reading->reader(&piece, reading->arg);
}

/*
 * chunk_reader_open opens the timelines for any number of looks, all of which
 * see what the running query sees.
 */
ChunkReader *
chunk_reader_open(void)
{
	ChunkReader *reader = palloc(sizeof(ChunkReader));

	chunks_open(reader, AccessShareLock);
	chunks_snapshot(reader, GetActiveSnapshot());
	return reader;
}

void
chunk_reader_close(ChunkReader *reader)
{
	chunks_close(reader);
	pfree(reader);
}

/*
 * chunk_read hands the timeline of a product at a location to a reader, piece
 * by piece in order of time, so that the pieces cover the window. It returns
 * false if the product is not kept there.
 *
 * One scan, backward from the end of the window, finds the chunks; nearly
 * always that is one, which is read where it lies: of a long one most is not
 * looked at. The head is needed only for a stretch without a chunk.
 */
bool
chunk_read(ChunkReader *chunks, const pg_uuid_t *product_id, const pg_uuid_t *location_id, const Period *window,
		   PieceReader look, void *arg)
{
	Reading		  reading = {window, window->start, look, arg};
	FoundChunk	  first;
	FoundChunk	 *found = &first;
	Timeline	 *capacity = NULL;
	int			  room = 1;
	int			  n = 0;
	bool		  go_on = true;
	ScanKeyData	  keys[3];
	IndexScanDesc scan;

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(product_id));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(location_id));
	ScanKeyInit(&keys[2], 3, BTLessStrategyNumber, F_TIMESTAMPTZ_LT, TimestampTzGetDatum(window->end));
	scan = index_beginscan(chunks->table, chunks->index, chunks->snapshot, 3, 0);
	index_rescan(scan, keys, 3, NULL, 0);
	while (go_on && index_getnext_slot(scan, BackwardScanDirection, chunks->slot))
	{
		if (slot_is_head(chunks->slot))
		{
			capacity = slot_free_copy(chunks->slot);
			break;
		}
		if (n == 0 && slot_lower(chunks->slot) <= window->start && slot_upper(chunks->slot) >= window->end)
		{
			read_piece(&reading, window->end, slot_free(chunks->slot),
					   DatumGetTimestampTz(column(chunks->slot, COL_HOLDS_UNTIL)));
			index_endscan(scan);
			return true;
		}
		if (n == room)
		{
			FoundChunk *more = palloc(4 * room * sizeof(FoundChunk));

			memcpy(more, found, n * sizeof(FoundChunk));
			found = more;
			room *= 4;
		}
		found[n++] = (FoundChunk){{slot_lower(chunks->slot), slot_upper(chunks->slot)},
								  DatumGetTimestampTz(column(chunks->slot, COL_HOLDS_UNTIL)),
								  slot_free_copy(chunks->slot)};
		go_on = found[n - 1].extent.start > window->start;
	}
	index_endscan(scan);
	if (n == 0 && capacity == NULL)
		return false;

	for (go_on = true; go_on && reading.done < window->end; n--)
	{
		const FoundChunk *next = n > 0 ? &found[n - 1] : NULL;

		if (next == NULL || next->extent.start > reading.done)
		{
			if (capacity == NULL)
			{
				if (!chunks_find(chunks, product_id, location_id, DT_NOBEGIN))
					elog(ERROR, "a timeline without a head");
				capacity = slot_free_copy(chunks->slot);
			}
			go_on = read_piece(&reading, next ? next->extent.start : window->end, capacity, DT_NOEND);
		}
		if (next != NULL && go_on)
			go_on = read_piece(&reading, next->extent.end, next->free, next->holds_until);
	}
	return true;
}

/*
 * chunk_locations lists the locations where a product is kept, in ascending
 * order, up to a number, and returns how many there are. It asks the stock,
 * which has one row for each, and not the timelines, which may have many.
 */
int
chunk_locations(ChunkReader *chunks, const pg_uuid_t *product_id, int most, pg_uuid_t **locations)
{
	ScanKeyData	  key;
	IndexScanDesc scan;
	int			  room = 4;
	int			  n = 0;

	if (chunks->stock == NULL)
	{
		chunks->stock = table_open(get_relname_relid("stock", RelationGetNamespace(chunks->table)), AccessShareLock);
		chunks->stock_index = index_open(RelationGetPrimaryKeyIndex(chunks->stock), AccessShareLock);
		chunks->stock_slot = table_slot_create(chunks->stock, NULL);
	}
	*locations = palloc(room * sizeof(pg_uuid_t));
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(product_id));
	scan = index_beginscan(chunks->stock, chunks->stock_index, chunks->snapshot, 1, 0);
	index_rescan(scan, &key, 1, NULL, 0);
	while (n < most && index_getnext_slot(scan, ForwardScanDirection, chunks->stock_slot))
	{
		if (n == room)
			*locations = repalloc(*locations, (room *= 4) * sizeof(pg_uuid_t));
		(*locations)[n++] = *DatumGetUUIDP(column(chunks->stock_slot, STOCK_LOCATION));
	}
	index_endscan(scan);
	return n;
}

static void
read_tight(Chunks *chunks, const Period *window, TightReader reader, void *arg)
{
	bool	   is_head = slot_is_head(chunks->slot);
	StockPiece piece;

	piece.period.start = is_head ? window->start : Max(slot_lower(chunks->slot), window->start);
	piece.period.end = is_head ? window->end : Min(slot_upper(chunks->slot), window->end);
	piece.holds_until = DatumGetTimestampTz(column(chunks->slot, COL_HOLDS_UNTIL));
	piece.free = timeline_view(slot_free(chunks->slot));
	reader(DatumGetUUIDP(column(chunks->slot, COL_PRODUCT)), DatumGetUUIDP(column(chunks->slot, COL_LOCATION)), &piece,
		   arg);
}

/*
 * chunk_tight reads, over all products, the rows that may have less than a
 * quantity free in a window, heads included: an index of levels leads to them,
 * unless so much is asked for that few rows have it.
 */
void
chunk_tight(const Period *window, int32 quantity, TightReader reader, void *arg)
{
	Chunks chunks;
	int16  highest = chunk_level(quantity - 1);
	int16  level;
	int	   heads;

	chunks_open(&chunks, AccessShareLock);
	chunks_snapshot(&chunks, GetActiveSnapshot());
	if (highest > HIGHEST_INDEXED_LEVEL)
	{
		TableScanDesc scan = table_beginscan(chunks.table, chunks.snapshot, 0, NULL);

		while (table_scan_getnextslot(scan, ForwardScanDirection, chunks.slot))
			if (slot_is_head(chunks.slot) ||
				(slot_lower(chunks.slot) < window->end && slot_upper(chunks.slot) > window->start))
				read_tight(&chunks, window, reader, arg);
		table_endscan(scan);
	}
	else
	{
		Relation index =
			index_open(get_relname_relid("timelines_tight", RelationGetNamespace(chunks.table)), AccessShareLock);

		for (level = -1; level <= highest; level++)
			for (heads = 0; heads < 2; heads++)
			{
				ScanKeyData	  keys[3];
				IndexScanDesc scan = index_beginscan(chunks.table, index, chunks.snapshot, heads ? 2 : 3, 0);

				ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT2EQ, Int16GetDatum(level));
				ScanKeyInit(&keys[1], 2, heads ? BTEqualStrategyNumber : BTGreaterStrategyNumber,
							heads ? F_TIMESTAMPTZ_EQ : F_TIMESTAMPTZ_GT,
							TimestampTzGetDatum(heads ? DT_NOBEGIN : window->start - CHUNK_SPAN));
				ScanKeyInit(&keys[2], 2, BTLessStrategyNumber, F_TIMESTAMPTZ_LT, TimestampTzGetDatum(window->end));
				index_rescan(scan, keys, heads ? 2 : 3, NULL, 0);
				while (index_getnext_slot(scan, ForwardScanDirection, chunks.slot))
					if (heads || slot_upper(chunks.slot) > window->start)
						read_tight(&chunks, window, reader, arg);
				index_endscan(scan);
			}
		index_close(index, NoLock);
	}
	chunks_close(&chunks);
}

/* Writing */

static void
insert_index_entries(Chunks *chunks, TupleTableSlot *slot, bool update)
{
	EState		  *estate = CreateExecutorState();
	ResultRelInfo *info = makeNode(ResultRelInfo);

	/* no range table: an update counts as one that changes no key, which is so */
	InitResultRelInfo(info, chunks->table, 0, NULL, 0);
	ExecOpenIndices(info, false);
#if PG_VERSION_NUM >= 160000
	ExecInsertIndexTuples(info, slot, estate, update, false, NULL, NIL, false);
#else
	ExecInsertIndexTuples(info, slot, estate, update, false, NULL, NIL);
#endif
	ExecCloseIndices(info);
	FreeExecutorState(estate);
}

/* level_of tells how little is free at least, coarsely, so that an index of it seldom changes. */
static int16
level_of(const Timeline *free)
{
	TimelineView view = timeline_view(free);
	Period		 always = {DT_NOBEGIN, DT_NOEND};

	return chunk_level(timeline_lowest(&view, &always, NULL));
}

static TupleTableSlot *
form_row(Chunks *chunks, const StockKey *key, const Period *extent, TimestampTz holds_until, const Timeline *free)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(chunks->table), &TTSOpsHeapTuple);
	Datum			values[COL_COUNT];
	bool			nulls[COL_COUNT] = {false};

	values[COL_PRODUCT - 1] = UUIDPGetDatum(&key->product_id);
	values[COL_LOCATION - 1] = UUIDPGetDatum(&key->location_id);
	values[COL_LOWER - 1] = TimestampTzGetDatum(extent->start);
	values[COL_VENDOR - 1] = UUIDPGetDatum(&key->vendor_id);
	values[COL_UPPER - 1] = TimestampTzGetDatum(extent->end);
	values[COL_HOLDS_UNTIL - 1] = TimestampTzGetDatum(holds_until);
	values[COL_LEVEL - 1] = Int16GetDatum(level_of(free));
	values[COL_FREE - 1] = PointerGetDatum(free);
	ExecStoreHeapTuple(heap_form_tuple(RelationGetDescr(chunks->table), values, nulls), slot, true);
	return slot;
}

static void
insert_row(Chunks *chunks, const StockKey *key, const Period *extent, TimestampTz holds_until, const Timeline *free)
{
	TupleTableSlot *slot = form_row(chunks, key, extent, holds_until, free);

	simple_table_tuple_insert(chunks->table, slot);
	insert_index_entries(chunks, slot, false);
	ExecDropSingleTupleTableSlot(slot);
	CommandCounterIncrement();
}

/* update_row replaces the row that the slot holds, which must be locked. */
static void
update_row(Chunks *chunks, const StockKey *key, const Period *extent, TimestampTz holds_until, const Timeline *free)
{
	TupleTableSlot *slot = form_row(chunks, key, extent, holds_until, free);
#if PG_VERSION_NUM >= 160000
	TU_UpdateIndexes indexes;
#else
	bool indexes;
#endif

	simple_table_tuple_update(chunks->table, &chunks->slot->tts_tid, slot, chunks->snapshot, &indexes);
	if (indexes)
		insert_index_entries(chunks, slot, true);
	ExecDropSingleTupleTableSlot(slot);
	CommandCounterIncrement();
}

/*
 * lock_found locks the row that chunks_find has found and brings its newest
 * version into the slot. It returns false if the row is gone meanwhile.
 */
static bool
lock_found(Chunks *chunks)
{
	TM_FailureData	failure;
	ItemPointerData tid = chunks->slot->tts_tid;
	uint8			flags = IsolationUsesXactSnapshot() ? 0 : TUPLE_LOCK_FLAG_FIND_LAST_VERSION;
	TM_Result result = table_tuple_lock(chunks->table, &tid, chunks->snapshot, chunks->slot, GetCurrentCommandId(false),
										LockTupleNoKeyExclusive, LockWaitBlock, flags, &failure);

	switch (result)
	{
		case TM_Ok:
			ExecMaterializeSlot(chunks->slot);
			return true;
		case TM_Updated:
		case TM_Deleted:
			if (IsolationUsesXactSnapshot())
				ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
								errmsg("could not serialize access due to concurrent update")));
			return false;
		default:
			elog(ERROR, "unexpected state %d of a timeline's row", (int) result);
	}
}

/*
 * lock_row locks the chunk that covers a time, or the head (for -infinity).
 * It returns false if there is no such chunk. A row that was split while we
 * waited for it no longer covers the time; then the search begins anew.
 */
static bool
lock_row(Chunks *chunks, const StockKey *key, TimestampTz at)
{
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		chunks_refresh(chunks);
		if (!chunks_find(chunks, &key->product_id, &key->location_id, at))
			return false;
		if (!TIMESTAMP_IS_NOBEGIN(at) && slot_upper(chunks->slot) <= at)
			return false;
		if (lock_found(chunks) && (TIMESTAMP_IS_NOBEGIN(at) || slot_upper(chunks->slot) > at))
			return true;
	}
}

static TimestampTz
cell_start(TimestampTz at)
{
	int64 cell = at / CHUNK_SPAN;

	if (at % CHUNK_SPAN < 0)
		cell--;
	return cell * CHUNK_SPAN;
}

/*
 * is_covered tells whether there are chunks for the whole of a period. It
 * looks without locking: a chunk, once there, stays.
 */
static bool
is_covered(Chunks *chunks, const StockKey *key, const Period *period)
{
	TimestampTz at = period->start;

	chunks_refresh(chunks);
	while (at < period->end)
	{
		if (!chunks_find(chunks, &key->product_id, &key->location_id, at) || slot_upper(chunks->slot) <= at)
			return false;
		at = slot_upper(chunks->slot);
	}
	return true;
}

/* not_kept is the error of a product that a location, or a vendor, does not have. */
static void not_kept(const StockKey *key) pg_attribute_noreturn();

static void
not_kept(const StockKey *key)
{
	ereport(ERROR, (errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
					errmsg("product %s is not kept at location %s by vendor %s", uuid_text(&key->product_id),
						   uuid_text(&key->location_id), uuid_text(&key->vendor_id))));
}

static void
check_vendor(Chunks *chunks, const StockKey *key)
{
	if (!uuid_equal(DatumGetUUIDP(column(chunks->slot, COL_VENDOR)), &key->vendor_id))
		not_kept(key);
}

/*
 * make_chunks makes the chunks that a period lacks. The head is locked first:
 * it comes before its chunks in the order of locks, its capacity must not
 * change meanwhile, and nobody else may make the same chunk.
 */
static void
make_chunks(Chunks *chunks, const StockKey *key, const Period *period)
{
	TimelineView capacity;
	TimestampTz	 at = period->start;
	Timeline	*head;

	if (is_covered(chunks, key, period))
		return;
	if (!lock_row(chunks, key, DT_NOBEGIN))
		not_kept(key);
	check_vendor(chunks, key);
	head = slot_free_copy(chunks->slot);
	capacity = timeline_view(head);
	/* whoever changes the capacity with an older snapshot must notice the new chunk */
	update_row(chunks, key, &((Period){DT_NOBEGIN, DT_NOBEGIN}), DT_NOEND, head);
	while (at < period->end)
	{
		Period cell = {cell_start(at), cell_start(at) + CHUNK_SPAN};

		chunks_refresh(chunks);
		if (chunks_find(chunks, &key->product_id, &key->location_id, at) && slot_upper(chunks->slot) > at)
			at = slot_upper(chunks->slot);
		else
		{
			insert_row(chunks, key, &cell, DT_NOEND, timeline_cut(&capacity, &cell));
			at = cell.end;
		}
	}
}

/* apply_shifts adds to a timeline what falls into its extent, and keeps it in its canonical form. */
static Timeline *
apply_shifts(Timeline *timeline, const Period *extent, const StockShift *shifts, int nshifts)
{
	int i;

	for (i = 0; i < nshifts; i++)
	{
		TimelineView view = timeline_view(timeline);
		Period		 part = shifts[i].period;

		if (part.start <= extent->start)
			part.start = DT_NOBEGIN;
		if (part.end >= extent->end)
			part.end = DT_NOEND;
		if (shifts[i].delta != 0 && part.start < extent->end && part.end > extent->start)
			timeline = timeline_shift(&view, &part, shifts[i].delta);
	}
	return timeline;
}

/* got_worse tells whether free stock fell, to below zero, anywhere. */
static bool
got_worse(const TimelineView *before, const TimelineView *after)
{
	int i = -1;
	int j = -1;

	for (;;)
	{
		int32 was = i < 0 ? before->base : before->value[i];
		int32 is = j < 0 ? after->base : after->value[j];

		if (is < 0 && is < was)
			return true;
		if (i + 1 < before->count && (j + 1 == after->count || before->at[i + 1] <= after->at[j + 1]))
		{
			if (j + 1 < after->count && before->at[i + 1] == after->at[j + 1])
				j++;
			i++;
		}
		else if (j + 1 < after->count)
			j++;
		else
			return false;
	}
}

static void
store_chunk(Chunks *chunks, const StockKey *key, const Period *extent, TimestampTz holds_until, const Timeline *free)
{
	TimelineView view = timeline_view(free);

	if (view.count <= CHUNK_MAX_STEPS)
		update_row(chunks, key, extent, holds_until, free);
	else
	{
		Period left = {extent->start, view.at[view.count / 2]};
		Period right = {view.at[view.count / 2], extent->end};

		update_row(chunks, key, &left, holds_until, timeline_cut(&view, &left));
		insert_row(chunks, key, &right, holds_until, timeline_cut(&view, &right));
	}
}

/*
 * change_locked replaces the timeline of the row in the slot, after the judge
 * has compared it with an earlier state.
 */
static void
change_locked(Chunks *chunks, const StockKey *key, const Timeline *was, const Timeline *becomes, TimestampTz hold_until,
			  PieceJudge judge, void *arg)
{
	Period		extent = {slot_lower(chunks->slot), slot_upper(chunks->slot)};
	bool		is_head = slot_is_head(chunks->slot);
	Period		seen = {extent.start, is_head ? DT_NOEND : extent.end};
	TimestampTz held = DatumGetTimestampTz(column(chunks->slot, COL_HOLDS_UNTIL));
	StockPiece	before = {seen, held, timeline_view(was)};
	StockPiece	after = {seen, Min(held, hold_until), timeline_view(becomes)};

	if (got_worse(&before.free, &after.free))
		judge(&before, &after, arg);
	if (is_head)
		update_row(chunks, key, &extent, DT_NOEND, becomes);
	else
		store_chunk(chunks, key, &extent, after.holds_until, becomes);
}

/* lock_only locks the chunk that covers a whole period, where one does: nearly always, and then one search is enough. */
static bool
lock_only(Chunks *chunks, const StockKey *key, const Period *period)
{
	chunks_refresh(chunks);
	return chunks_find(chunks, &key->product_id, &key->location_id, period->start) &&
		   slot_upper(chunks->slot) >= period->end && lock_found(chunks) && slot_upper(chunks->slot) >= period->end;
}

/*
 * chunk_shift changes what is taken, by finite periods. hold_until is when the
 * hold that causes it expires, infinity if it is none. The judge, who may
 * refuse by raising an error, compares what comes out with the state after the
 * first nbefore shifts.
 */
void
chunk_shift(const StockKey *key, const StockShift *shifts, int nshifts, int nbefore, TimestampTz hold_until,
			PieceJudge judge, void *arg)
{
	Chunks		chunks;
	Period		all = {DT_NOEND, DT_NOBEGIN};
	TimestampTz at;
	bool		locked;
	int			i;

	for (i = 0; i < nshifts; i++)
	{
		all.start = Min(all.start, shifts[i].period.start);
		all.end = Max(all.end, shifts[i].period.end);
	}
	chunks_open(&chunks, RowExclusiveLock);
	locked = lock_only(&chunks, key, &all);
	for (i = 0; i < nshifts && !locked; i++)
		make_chunks(&chunks, key, &shifts[i].period);
	for (at = all.start; at < all.end; locked = false)
	{
		Period	  extent;
		bool	  touched = false;
		Timeline *was;

		if (!locked && !lock_row(&chunks, key, at))
		{
			/* between two periods that are far apart there may be nothing */
			at = cell_start(at) + CHUNK_SPAN;
			continue;
		}
		check_vendor(&chunks, key);
		extent.start = slot_lower(chunks.slot);
		extent.end = slot_upper(chunks.slot);
		at = extent.end;
		for (i = 0; i < nshifts; i++)
			touched |= shifts[i].period.start < extent.end && shifts[i].period.end > extent.start;
		if (!touched)
			continue;
		was = apply_shifts(slot_free(chunks.slot), &extent, shifts, nbefore);
		change_locked(&chunks, key, was, apply_shifts(was, &extent, shifts + nbefore, nshifts - nbefore), hold_until,
					  judge, arg);
	}
	chunks_close(&chunks);
}

/* chunk_lock_head locks the capacity of a product at a location, if it is kept there. */
void
chunk_lock_head(const StockKey *key)
{
	Chunks chunks;

	chunks_open(&chunks, RowExclusiveLock);
	lock_row(&chunks, key, DT_NOBEGIN);
	chunks_close(&chunks);
}

/* chunk_require locks the capacity, and raises a foreign key violation where the vendor does not keep the product there. */
void
chunk_require(const StockKey *key)
{
	Chunks chunks;

	chunks_open(&chunks, RowExclusiveLock);
	if (!lock_row(&chunks, key, DT_NOBEGIN))
		not_kept(key);
	check_vendor(&chunks, key);
	chunks_close(&chunks);
}

/* chunk_prepare makes the chunks that a period lacks. */
void
chunk_prepare(const StockKey *key, const Period *period)
{
	Chunks chunks;

	chunks_open(&chunks, RowExclusiveLock);
	make_chunks(&chunks, key, period);
	chunks_close(&chunks);
}

/*
 * next_row brings the first chunk at or after a time into the slot, locked.
 * What it skips while waiting, the right half of a split, it finds in its next turn.
 */
static bool
next_row(Chunks *chunks, const StockKey *key, TimestampTz at)
{
	ScanKeyData	  keys[3];
	IndexScanDesc scan;
	bool		  found;

	for (;;)
	{
		chunks_refresh(chunks);
		ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(&key->product_id));
		ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(&key->location_id));
		ScanKeyInit(&keys[2], 3, TIMESTAMP_IS_NOBEGIN(at) ? BTGreaterStrategyNumber : BTGreaterEqualStrategyNumber,
					TIMESTAMP_IS_NOBEGIN(at) ? F_TIMESTAMPTZ_GT : F_TIMESTAMPTZ_GE, TimestampTzGetDatum(at));
		scan = index_beginscan(chunks->table, chunks->index, chunks->snapshot, 3, 0);
		index_rescan(scan, keys, 3, NULL, 0);
		found = index_getnext_slot(scan, ForwardScanDirection, chunks->slot);
		if (found)
			at = slot_lower(chunks->slot);
		index_endscan(scan);
		if (!found)
			return false;
		if (lock_row(chunks, key, at))
			return true;
	}
}

/*
 * chunk_set_capacity makes a timeline the capacity of a product at a location:
 * the head, which is made if there is none, and every chunk change by the difference.
 * The judge is asked about each row; the head is the piece from -infinity to infinity.
 */
void
chunk_set_capacity(const StockKey *key, const Timeline *capacity, PieceJudge judge, void *arg)
{
	Chunks		 chunks;
	Period		 nowhere = {DT_NOBEGIN, DT_NOBEGIN};
	TimelineView view = timeline_view(capacity);
	TimelineView old;
	TimelineView difference;
	TimestampTz	 at = DT_NOBEGIN;

	chunks_open(&chunks, RowExclusiveLock);
	if (!lock_row(&chunks, key, DT_NOBEGIN))
		insert_row(&chunks, key, &nowhere, DT_NOEND, capacity);
	else
	{
		Timeline *head = slot_free_copy(chunks.slot);

		old = timeline_view(head);
		difference = timeline_view(timeline_difference(&view, &old));
		if (difference.base != 0 || difference.count != 0)
		{
			change_locked(&chunks, key, head, capacity, DT_NOEND, judge, arg);
			while (next_row(&chunks, key, at))
			{
				Period		 extent = {slot_lower(chunks.slot), slot_upper(chunks.slot)};
				TimelineView part = timeline_view(timeline_cut(&difference, &extent));
				TimelineView free;
				Timeline	*was = slot_free(chunks.slot);

				at = extent.end;
				free = timeline_view(was);
				if (part.base != 0 || part.count != 0)
					change_locked(&chunks, key, was, timeline_sum(&free, &part), DT_NOEND, judge, arg);
			}
		}
	}
	chunks_close(&chunks);
}

/* Rebuilding */

static void
put_chunk(ReturnSetInfo *rsinfo, const Period *extent, const TimelineView *free)
{
	Datum values[3] = {TimestampTzGetDatum(extent->start), TimestampTzGetDatum(extent->end),
					   PointerGetDatum(timeline_cut(free, extent))};
	bool  nulls[3] = {false};

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* put_cell cuts one cell of the grid into chunks that have room to grow. */
static void
put_cell(ReturnSetInfo *rsinfo, const Period *cell, const TimelineView *free)
{
	Period part = {cell->start, cell->end};
	int	   i = timeline_locate(free, cell->start);

	for (i += CHUNK_MAX_STEPS / 2; i < free->count && free->at[i] < cell->end; i += CHUNK_MAX_STEPS / 2)
	{
		if (free->at[i] <= part.start)
			continue;
		part.end = free->at[i];
		put_chunk(rsinfo, &part, free);
		part.start = part.end;
		part.end = cell->end;
	}
	put_chunk(rsinfo, &part, free);
}

/* timeline_level(timeline) -> smallint: how little it has at least, as timelines.level */
PG_FUNCTION_INFO_V1(timeline_level);
Datum
timeline_level(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT16(level_of(PG_GETARG_TIMELINE_P(0)));
}

/*
 * timeline_chunks(capacity timeline, free timeline): lower, upper, free of the
 * rows that a timeline is kept in: those cells of the grid where it is not
 * just the capacity
 */
PG_FUNCTION_INFO_V1(timeline_chunks);
Datum
timeline_chunks(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	TimelineView   capacity = timeline_view(PG_GETARG_TIMELINE_P(0));
	TimelineView   free = timeline_view(PG_GETARG_TIMELINE_P(1));
	TimestampTz	   done = DT_NOBEGIN;
	int			   i = -1;
	int			   j = -1;
	TimestampTz	   start = DT_NOBEGIN;

	InitMaterializedSRF(fcinfo, 0);
	for (;;)
	{
		int32		promised = i < 0 ? capacity.base : capacity.value[i];
		int32		left = j < 0 ? free.base : free.value[j];
		TimestampTz end = DT_NOEND;

		if (i + 1 < capacity.count)
			end = capacity.at[i + 1];
		if (j + 1 < free.count)
			end = Min(end, free.at[j + 1]);
		if (promised != left)
		{
			Period cell;

			if (TIMESTAMP_NOT_FINITE(start) || TIMESTAMP_NOT_FINITE(end))
				ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
								errmsg("what is taken must have a start and an end")));
			for (cell.start = Max(cell_start(start), done); cell.start < end; cell.start = cell.end)
			{
				cell.end = cell.start + CHUNK_SPAN;
				put_cell(rsinfo, &cell, &free);
				done = cell.end;
			}
		}
		if (TIMESTAMP_IS_NOEND(end))
			PG_RETURN_NULL();
		start = end;
		if (i + 1 < capacity.count && capacity.at[i + 1] == end)
			i++;
		if (j + 1 < free.count && free.at[j + 1] == end)
			j++;
	}
}
