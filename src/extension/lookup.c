/*
 * lookup.c
 *	  Rows of a table by the first columns of an index, without the executor.
 *
 * For what every price and every order reads: a plan costs several times as
 * much. Keys are uuids, or two texts of collation "C". A lookup sees what the running query sees, and
 * takes no more locks than a query that reads the table would. It asks for no
 * rights: it is for functions that run with those of the extension's owner.
 */
#include "lookup.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "executor/tuptable.h"
#include "funcapi.h"
#include "place.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

/* counts what happens to tables and indexes, whichever they are */
static uint64 generation;

static void
tables_changed(Datum arg, Oid table)
{
	generation++;
}

static void
hear_of_changes(void)
{
	if (generation > 0)
		return;
	CacheRegisterRelcacheCallback(tables_changed, (Datum) 0);
	generation = 1;
}

/* find_names finds the table, the index and the columns by name. */
static void
find_names(LookupTable *lookup)
{
	Oid schema = get_namespace_oid("rental", false);
	/* what is heard of from here on counts as a change */
	uint64	 found_in = generation;
	Relation table;
	Relation index;
	int		 i;

	lookup->table_oid = get_relname_relid(lookup->table, schema);
	table = table_open(lookup->table_oid, AccessShareLock);
	lookup->index_oid = lookup->index ? get_relname_relid(lookup->index, schema) : RelationGetPrimaryKeyIndex(table);
	for (i = 0; lookup->columns[i] != NULL; i++)
	{
		lookup->numbers[i] = get_attnum(lookup->table_oid, lookup->columns[i]);
		if (lookup->numbers[i] == InvalidAttrNumber)
			elog(ERROR, "table \"%s\" has no column \"%s\"", lookup->table, lookup->columns[i]);
	}
	lookup->ncolumns = i;
	index = index_open(lookup->index_oid, AccessShareLock);
	for (i = 0; i < lengthof(lookup->keys) && i < IndexRelationGetNumberOfKeyAttributes(index); i++)
		lookup->keys[i] = index->rd_index->indkey.values[i];
	index_close(index, NoLock);
	table_close(table, NoLock);
	lookup->generation = found_in;
}

/* lookup_open opens the table, whose names are known and cannot change from then on. */
static Relation
lookup_open(LookupTable *lookup)
{
	Relation table;

	hear_of_changes();
	for (;;)
	{
		if (lookup->generation != generation)
			find_names(lookup);
		/* taking the lock hears of changes */
		table = table_open(lookup->table_oid, AccessShareLock);
		if (lookup->generation == generation)
			return table;
		table_close(table, NoLock);
	}
}

/* copy_columns copies the columns that are read of a row. */
static NullableDatum *
copy_columns(const LookupTable *lookup, TupleDesc desc, const Datum *row, const bool *nulls, NullableDatum *values)
{
	int i;

	for (i = 0; i < lookup->ncolumns; i++, values++)
	{
		int				  n = lookup->numbers[i] - 1;
		Form_pg_attribute column = TupleDescAttr(desc, n);

		values->isnull = nulls[n];
		values->value = values->isnull ? (Datum) 0 : datumCopy(row[n], column->attbyval, column->attlen);
	}
	return values;
}

/* row_values copies the columns of the row in a slot. */
static NullableDatum *
row_values(const LookupTable *lookup, TupleTableSlot *slot, NullableDatum *values)
{
	slot_getallattrs(slot);
	return copy_columns(lookup, slot->tts_tupleDescriptor, slot->tts_values, slot->tts_isnull, values);
}

/*
 * lookup_scan finds up to so many rows, and fills a list of their values, row
 * after row, which has room for so many. It returns how many there are.
 */
static int
lookup_scan(LookupTable *lookup, ScanKey keys, int nkeys, int most, NullableDatum **list, int room)
{
	Relation		table = lookup_open(lookup);
	Relation		index = index_open(lookup->index_oid, AccessShareLock);
	TupleTableSlot *slot = table_slot_create(table, NULL);
	int				ncolumns = lookup->ncolumns;
	int				n = 0;
	IndexScanDesc	scan;
	NullableDatum  *next;

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

/* at_place copies the columns of a row that is where it was before; false if it is not there. */
static bool
at_place(const LookupTable *lookup, Relation table, const pg_uuid_t *key, const pg_uuid_t *second,
		 NullableDatum *values)
{
	TupleDesc	  desc = RelationGetDescr(table);
	HeapTupleData found;
	Buffer		  buffer;
	Datum		 *row;
	bool		 *nulls;
	int			  first = lookup->keys[0] - 1;
	int			  other = lookup->keys[1] - 1;
	bool		  is_it;

	if (!place_find(table, key, &found, &buffer))
		return false;
	row = palloc(desc->natts * sizeof(Datum));
	nulls = palloc(desc->natts * sizeof(bool));
	heap_deform_tuple(&found, desc, row, nulls);
	is_it = !nulls[first] && uuid_equal(DatumGetUUIDP(row[first]), key) &&
			(second == NULL || (!nulls[other] && uuid_equal(DatumGetUUIDP(row[other]), second)));
	if (is_it)
		copy_columns(lookup, desc, row, nulls, values);
	ReleaseBuffer(buffer);
	pfree(row);
	pfree(nulls);
	return is_it;
}

/* in_index copies the columns of a row that the index leads to. */
static bool
in_index(const LookupTable *lookup, Relation table, const pg_uuid_t *key, const pg_uuid_t *second,
		 NullableDatum *values)
{
	Relation		index = index_open(lookup->index_oid, AccessShareLock);
	TupleTableSlot *slot = table_slot_create(table, NULL);
	ScanKeyData		keys[2];
	int				nkeys = uuid_keys(keys, key, second);
	IndexScanDesc	scan = index_beginscan(table, index, GetActiveSnapshot(), nkeys, 0);
	bool			is_there;

	index_rescan(scan, keys, nkeys, NULL, 0);
	is_there = place_search(scan, key, slot);
	if (is_there)
		row_values(lookup, slot, values);
	index_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	index_close(index, NoLock);
	return is_there;
}

/* lookup_row finds a row with a key, and copies its columns; false if there is none. */
bool
lookup_row(LookupTable *lookup, const pg_uuid_t *key, const pg_uuid_t *second, NullableDatum *values)
{
	Relation table = lookup_open(lookup);
	bool	 is_there = at_place(lookup, table, key, second, values) || in_index(lookup, table, key, second, values);

	/* what was locked stays locked to the end of the transaction */
	table_close(table, NoLock);
	return is_there;
}

/* lookup_rows finds up to so many rows with a key, and returns their number and their columns, row after row. */
int
lookup_rows(LookupTable *lookup, const pg_uuid_t *key, const pg_uuid_t *second, int most, NullableDatum **values)
{
	ScanKeyData keys[2];

	*values = NULL;
	return lookup_scan(lookup, keys, uuid_keys(keys, key, second), most, values, 0);
}

/* lookup_text_row is lookup_row with a key of two texts of collation "C". */
bool
lookup_text_row(LookupTable *lookup, Datum key, Datum second, NullableDatum *values)
{
	ScanKeyData keys[2];

	ScanKeyEntryInitialize(&keys[0], 0, 1, BTEqualStrategyNumber, InvalidOid, C_COLLATION_OID, F_TEXTEQ, key);
	ScanKeyEntryInitialize(&keys[1], 0, 2, BTEqualStrategyNumber, InvalidOid, C_COLLATION_OID, F_TEXTEQ, second);
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

Oid
view_type(ViewType *view)
{
	hear_of_changes();
	if (view->generation != generation)
	{
		view->generation = generation;
		view->type = get_rel_type_id(get_relname_relid(view->view, get_namespace_oid("rental", false)));
	}
	return view->type;
}

/* view_row makes a row of such a type, of its columns in order. */
Datum
view_row(ViewType *view, const NullableDatum *columns, int n)
{
	Oid		  type = view_type(view);
	TupleDesc desc = lookup_rowtype_tupdesc(type, -1);
	Datum	 *values = palloc(n * sizeof(Datum));
	bool	 *nulls = palloc(n * sizeof(bool));
	HeapTuple row;
	int		  i;

	if (desc->natts != n)
		elog(ERROR, "%s has %d columns, not %d", format_type_be(type), desc->natts, n);
	for (i = 0; i < n; i++)
	{
		values[i] = columns[i].value;
		nulls[i] = columns[i].isnull;
	}
	row = heap_form_tuple(desc, values, nulls);
	ReleaseTupleDesc(desc);
	return HeapTupleGetDatum(row);
}
