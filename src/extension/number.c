/*
 * number.c
 *	  Numbers that people read, counted in each vendor's series and year.
 *
 * number_next leaves no gaps: the row of the series stays locked to the end of
 * the transaction, so the next number is given out only when this one is
 * either used or free again. Whoever takes one waits for whoever took the one
 * before, until that is on disk.
 *
 * number_draw makes nobody wait: the number is gone at once, and a transaction
 * that fails leaves a gap, as with a sequence. It counts in the very same row,
 * by overwriting it in place.
 */
#include "number.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "plan.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#define COL_LAST 4 /* of rental.number_series, in sql/install/00_base.sql */

PLAN(number_take,
	 "INSERT INTO rental.number_series AS s (vendor_id, series, year, last) VALUES ($1, $2, $3, 1) "
	 "ON CONFLICT (vendor_id, series, year) DO UPDATE SET last = s.last + 1 RETURNING last",
	 UUIDOID, TEXTOID, INT4OID);

static char *
number_text(const char *series, int year, int64 number)
{
	return psprintf("%s-%04d-%06lld", series, year, (long long) number);
}

/* number_next is called between plan_open and plan_close. */
char *
number_next(const pg_uuid_t *vendor_id, const char *series, int year)
{
	plan_run(&number_take, VALUE(UUIDPGetDatum(vendor_id)), VALUE(CStringGetTextDatum(series)),
			 VALUE(Int32GetDatum(year)));
	return number_text(series, year, DatumGetInt64(plan_datum(0, 1)));
}

/* series_find brings the newest committed row of a series into the slot. */
static bool
series_find(Relation table, Relation index, const ScanKeyData *keys, TupleTableSlot *slot)
{
	Snapshot	  snapshot = RegisterSnapshot(GetLatestSnapshot());
	IndexScanDesc scan = index_beginscan(table, index, snapshot, 3, 0);
	bool		  found;

	index_rescan(scan, (ScanKey) keys, 3, NULL, 0);
	found = index_getnext_slot(scan, ForwardScanDirection, slot);
	index_endscan(scan);
	UnregisterSnapshot(snapshot);
	return found;
}

static void
nothing_held(void *arg)
{
}

/* series_count counts the row in the slot on by one; 0 if it changed meanwhile. */
static int64
series_count(Relation table, TupleTableSlot *slot)
{
	Buffer		  buffer = ((BufferHeapTupleTableSlot *) slot)->buffer;
	HeapTupleData row = *ExecFetchSlotHeapTuple(slot, false, NULL);
	TupleDesc	  desc = RelationGetDescr(table);
	Datum		  values[COL_LAST] = {0};
	bool		  nulls[COL_LAST] = {false};
	bool		  replaces[COL_LAST] = {[COL_LAST - 1] = true};
	bool		  isnull;
	int64		  number;

	if (!heap_inplace_lock(table, &row, buffer, nothing_held, NULL))
		return 0;
	number = DatumGetInt64(heap_getattr(&row, COL_LAST, desc, &isnull)) + 1;
	values[COL_LAST - 1] = Int64GetDatum(number);
	heap_inplace_update_and_unlock(table, &row, heap_modify_tuple(&row, desc, values, nulls, replaces), buffer);
	return number;
}

/* number_draw is called between plan_open and plan_close. */
char *
number_draw(const pg_uuid_t *vendor_id, const char *series, int year)
{
	Relation table =
		table_open(get_relname_relid("number_series", get_namespace_oid("rental", false)), RowExclusiveLock);
	Relation		index = index_open(RelationGetPrimaryKeyIndex(table), RowExclusiveLock);
	TupleTableSlot *slot = table_slot_create(table, NULL);
	ScanKeyData		keys[3];
	int64			number = 0;

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(vendor_id));
	ScanKeyEntryInitialize(&keys[1], 0, 2, BTEqualStrategyNumber, TEXTOID, DEFAULT_COLLATION_OID, F_TEXTEQ,
						   CStringGetTextDatum(series));
	ScanKeyInit(&keys[2], 3, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(year));
	while (number == 0 && series_find(table, index, keys, slot))
	{
		CHECK_FOR_INTERRUPTS();
		number = series_count(table, slot);
	}
	ExecDropSingleTupleTableSlot(slot);
	index_close(index, NoLock);
	table_close(table, NoLock);
	/* the first of the year makes the row; others wait for it */
	return number == 0 ? number_next(vendor_id, series, year) : number_text(series, year, number);
}
