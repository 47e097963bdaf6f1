/*
 * lookup.c
 *	  Rows of a table by the first columns of an index, without the executor.
 *
 * For what every price and every order reads: a plan costs several times as
 * much. Keys are uuids, or two texts. A lookup sees what the running query sees, and
 * takes no more locks than a query that reads the table would. It asks for no
 * rights: it is for functions that run with those of the extension's owner.
 */
#include "lookup.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "executor/tuptable.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* column_numbers finds the columns by name, unless they are where they were. */
static void
column_numbers(LookupTable *lookup, TupleDesc desc)
{
	int i;
	int n;

	for (i = 0; lookup->columns[i] != NULL; i++)
	{
		const char *name = lookup->columns[i];

		n = lookup->numbers[i] - 1;
		if (n >= 0 && n < desc->natts && !TupleDescAttr(desc, n)->attisdropped &&
			strcmp(NameStr(TupleDescAttr(desc, n)->attname), name) == 0)
			continue;
		for (n = 0; n < desc->natts; n++)
			if (!TupleDescAttr(desc, n)->attisdropped && strcmp(NameStr(TupleDescAttr(desc, n)->attname), name) == 0)
				break;
		if (n == desc->natts)
			elog(ERROR, "table \"%s\" has no column \"%s\"", lookup->table, name);
		lookup->numbers[i] = n + 1;
	}
}

/* row_values copies the columns of the row in a slot. */
static NullableDatum *
row_values(const LookupTable *lookup, TupleTableSlot *slot, NullableDatum *values)
{
	TupleDesc desc = slot->tts_tupleDescriptor;
	HeapTuple row = ExecCopySlotHeapTuple(slot);
	Datum	 *all = palloc(desc->natts * sizeof(Datum));
	bool	 *nulls = palloc(desc->natts * sizeof(bool));
	int		  i;

	heap_deform_tuple(row, desc, all, nulls);
	for (i = 0; lookup->columns[i] != NULL; i++)
		*values++ = (NullableDatum){.value = all[lookup->numbers[i] - 1], .isnull = nulls[lookup->numbers[i] - 1]};
	return values;
}

/*
 * lookup_scan finds up to so many rows, and fills a list of their values, row
 * after row, which has room for so many. It returns how many there are.
 */
static int
lookup_scan(LookupTable *lookup, ScanKey keys, int nkeys, int most, NullableDatum **list, int room)
{
	Oid		 schema = get_namespace_oid("rental", false);
	Relation table = table_open(get_relname_relid(lookup->table, schema), AccessShareLock);
	Relation index = index_open(
		lookup->index ? get_relname_relid(lookup->index, schema) : RelationGetPrimaryKeyIndex(table), AccessShareLock);
	TupleTableSlot *slot = table_slot_create(table, NULL);
	int				ncolumns = 0;
	int				n = 0;
	IndexScanDesc	scan;
	NullableDatum  *next;

	column_numbers(lookup, RelationGetDescr(table));
	while (lookup->columns[ncolumns] != NULL)
		ncolumns++;
	scan = index_beginscan(table, index, GetActiveSnapshot(), nkeys, 0);
	index_rescan(scan, keys, nkeys, NULL, 0);
	next = *list;
	while (n < most && index_getnext_slot(scan, ForwardScanDirection, slot))
	{
		if (n == room)
		{
			NullableDatum *larger = palloc((Size) Max(8, room * 2) * ncolumns * sizeof(NullableDatum));

			if (n > 0)
				memcpy(larger, *list, (Size) n * ncolumns * sizeof(NullableDatum));
			*list = larger;
			next = larger + n * ncolumns;
			room = Max(8, room * 2);
		}
		next = row_values(lookup, slot, next);
		n++;
	}
	index_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	/* what was locked stays locked to the end of the transaction */
	index_close(index, NoLock);
	table_close(table, NoLock);
	return n;
}

/* uuid_keys asks for a key, and a second unless it is NULL. */
static int
uuid_keys(ScanKey keys, const pg_uuid_t *key, const pg_uuid_t *second)
{
	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(key));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(second));
	return second ? 2 : 1;
}

/* lookup_row finds the first row with a key, and copies its columns; false if there is none. */
bool
lookup_row(LookupTable *lookup, const pg_uuid_t *key, const pg_uuid_t *second, NullableDatum *values)
{
	ScanKeyData keys[2];

	return lookup_scan(lookup, keys, uuid_keys(keys, key, second), 1, &values, 1) > 0;
}

/* lookup_rows finds up to so many rows with a key, and returns their number and their columns, row after row. */
int
lookup_rows(LookupTable *lookup, const pg_uuid_t *key, const pg_uuid_t *second, int most, NullableDatum **values)
{
	ScanKeyData keys[2];

	*values = NULL;
	return lookup_scan(lookup, keys, uuid_keys(keys, key, second), most, values, 0);
}

/* lookup_text_row is lookup_row with a key of two texts. */
bool
lookup_text_row(LookupTable *lookup, Datum key, Datum second, NullableDatum *values)
{
	ScanKeyData keys[2];

	ScanKeyEntryInitialize(&keys[0], 0, 1, BTEqualStrategyNumber, InvalidOid, DEFAULT_COLLATION_OID, F_TEXTEQ, key);
	ScanKeyEntryInitialize(&keys[1], 0, 2, BTEqualStrategyNumber, InvalidOid, DEFAULT_COLLATION_OID, F_TEXTEQ, second);
	return lookup_scan(lookup, keys, 2, 1, &values, 1) > 0;
}

/* lookup_latest has the lookups that follow, up to lookup_latest_end, see all that was done before it. */
void
lookup_latest(void)
{
	PushCopiedSnapshot(GetTransactionSnapshot());
	UpdateActiveSnapshotCommandId();
}

void
lookup_latest_end(void)
{
	PopActiveSnapshot();
}
