/*
 * store.c
 *	  Rows inserted without the planner and the executor.
 *
 * For what every order writes: an INSERT by a plan spends most of its time on
 * preparing itself, and reads each CHECK from its text again. Here all that is
 * made ready once in a session, and anew when the table changes. What comes
 * of a row is the same: defaults, domains, NOT NULL, CHECK, generated columns,
 * indexes, and every trigger there is, those of others too, before store_row
 * returns or, if deferred, at commit. Only row security and rights are not
 * asked for: it is for functions that run with those of the extension's owner.
 *
 * A foreign key whose row is plainly there is seen to be there, and locked as
 * its trigger would lock it. In any other case (it is not there, or is being
 * deleted) the trigger itself decides.
 */
#include "store.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "place.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/* A foreign key, by the columns of the index that its row is found by */
typedef struct ForeignKey
{
	Oid			 table;
	Oid			 index;
	int			 ncolumns;
	AttrNumber	 columns[INDEX_MAX_KEYS];  /* of the row that refers */
	AttrNumber	 referred[INDEX_MAX_KEYS]; /* and of the other */
	bool		 has_place;				   /* all are uuids, by which a row may be found without the index */
	RegProcedure equal[INDEX_MAX_KEYS];
} ForeignKey;

typedef struct Store
{
	MemoryContext context;
	Oid			  table;
	bool		  is_whole; /* all of it was made */
	bool		  is_stale; /* and the table has changed since */
	EState		 *estate;	/* in whose memory expressions are kept */
	ResultRelInfo info;		/* as it is before the relations are opened */
	Oid			 *indexes;
	AttrNumber	 *numbers;	 /* of the columns given */
	AttrNumber	  id_column; /* by which the row will be found; 0 if there is none */
	Oid			 *domains;	 /* of all columns; InvalidOid if it is none */
	void		**domain_checks;
	ExprState	**defaults; /* of all columns; NULL if it is given or has none */
	TriggerDesc	 *triggers;
	TriggerDesc	 *other_triggers; /* without those of the keys */
	ForeignKey	 *keys;
	int			  nkeys;
	struct Store *next;
} Store;

static Store *stores;

/* Making ready */

static void
table_changed(Datum arg, Oid table)
{
	Store *store;
	int	   i;

	for (store = stores; store != NULL; store = store->next)
	{
		if (table == InvalidOid || table == store->table)
			store->is_stale = true;
		for (i = 0; i < store->nkeys; i++)
			if (store->keys[i].table == table)
				store->is_stale = true;
	}
}

/* read_key reads a foreign key; false if it is one for its trigger to check. */
static bool
read_key(Relation relation, Oid constraint, ForeignKey *key)
{
	HeapTuple		   row = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(row);
	bool			   is_plain = form->confmatchtype == FKCONSTR_MATCH_SIMPLE && !form->condeferrable &&
					get_rel_relkind(form->confrelid) == RELKIND_RELATION;
	ListCell *cell;

	key->table = form->confrelid;
	key->index = form->conindid;
	ReleaseSysCache(row);
	if (!is_plain)
		return false;
	foreach(cell, RelationGetFKeyList(relation))
	{
		ForeignKeyCacheInfo *columns = lfirst(cell);
		Relation			 index;
		int					 i;
		int					 j;

		if (columns->conoid != constraint)
			continue;
		index = index_open(key->index, AccessShareLock);
		key->ncolumns = IndexRelationGetNumberOfKeyAttributes(index);
		key->has_place = true;
		for (i = 0; i < key->ncolumns; i++)
		{
			for (j = 0; j < columns->nkeys; j++)
				if (columns->confkey[j] == index->rd_index->indkey.values[i])
					break;
			if (j == columns->nkeys || TupleDescAttr(RelationGetDescr(relation), columns->conkey[j] - 1)->atttypid !=
										   get_atttype(key->table, columns->confkey[j]))
				is_plain = false;
			else
			{
				key->columns[i] = columns->conkey[j];
				key->referred[i] = columns->confkey[j];
				key->equal[i] = get_opcode(columns->conpfeqop[j]);
				key->has_place &= key->equal[i] == F_UUID_EQ;
			}
		}
		index_close(index, NoLock);
		return is_plain && columns->nkeys == key->ncolumns;
	}
	return false;
}

/* ready_triggers divides the triggers into the keys and the rest. */
static void
ready_triggers(Store *store, Relation relation)
{
	TriggerDesc *rest;
	int			 i;

	store->triggers = CopyTriggerDesc(relation->trigdesc);
	if (store->triggers == NULL)
		return;
	store->keys = palloc0(store->triggers->numtriggers * sizeof(ForeignKey));
	rest = palloc(sizeof(TriggerDesc));
	*rest = *store->triggers;
	rest->triggers = palloc(rest->numtriggers * sizeof(Trigger));
	rest->numtriggers = 0;
	rest->trig_insert_after_row = false;
	for (i = 0; i < store->triggers->numtriggers; i++)
	{
		Trigger *trigger = &store->triggers->triggers[i];

		if (trigger->tgfoid == F_RI_FKEY_CHECK_INS && trigger->tgenabled == TRIGGER_FIRES_ON_ORIGIN &&
			read_key(relation, trigger->tgconstraint, &store->keys[store->nkeys]))
		{
			store->nkeys++;
			continue;
		}
		rest->triggers[rest->numtriggers++] = *trigger;
		rest->trig_insert_after_row |=
			TRIGGER_TYPE_MATCHES(trigger->tgtype, TRIGGER_TYPE_ROW, TRIGGER_TYPE_AFTER, TRIGGER_TYPE_INSERT);
	}
	store->other_triggers = rest;
}

static void
ready_checks(Store *store, TupleDesc desc)
{
	TupleConstr *constraints = desc->constr;
	int			 i;

	if (constraints == NULL || constraints->num_check == 0)
		return;
	store->info.ri_ConstraintExprs = palloc(constraints->num_check * sizeof(ExprState *));
	for (i = 0; i < constraints->num_check; i++)
		store->info.ri_ConstraintExprs[i] =
			ExecPrepareExpr((Expr *) stringToNode(constraints->check[i].ccbin), store->estate);
}

static void
ready_columns(Store *store, const StoreTable *table, Relation relation)
{
	TupleDesc desc = RelationGetDescr(relation);
	int		  i;
	int		  n;

	store->numbers = palloc(STORE_MOST_COLUMNS * sizeof(AttrNumber));
	store->id_column = get_attnum(RelationGetRelid(relation), "id");
	if (store->id_column > 0 && TupleDescAttr(desc, store->id_column - 1)->atttypid != UUIDOID)
		store->id_column = 0;
	store->domains = palloc0(desc->natts * sizeof(Oid));
	store->domain_checks = palloc0(desc->natts * sizeof(void *));
	store->defaults = palloc0(desc->natts * sizeof(ExprState *));
	for (n = 0; table->columns[n] != NULL; n++)
	{
		store->numbers[n] = get_attnum(RelationGetRelid(relation), table->columns[n]);
		if (store->numbers[n] == InvalidAttrNumber)
			elog(ERROR, "table \"%s\" has no column \"%s\"", table->table, table->columns[n]);
	}
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);
		bool			  is_given = false;
		Node			 *value;
		int				  j;

		if (column->attisdropped)
			continue;
		if (get_typtype(column->atttypid) == TYPTYPE_DOMAIN)
			store->domains[i] = column->atttypid;
		for (j = 0; j < n; j++)
			is_given |= store->numbers[j] == i + 1;
		if (!is_given && !column->attgenerated && (value = build_column_default(relation, i + 1)) != NULL)
			store->defaults[i] = ExecPrepareExpr((Expr *) value, store->estate);
	}
}

static void
ready_indexes(Store *store, Relation relation)
{
	List	 *indexes = RelationGetIndexList(relation);
	int		  n = list_length(indexes);
	ListCell *cell;
	int		  i = 0;

	store->indexes = palloc(n * sizeof(Oid));
	store->info.ri_IndexRelationInfo = palloc(n * sizeof(IndexInfo *));
	foreach(cell, indexes)
	{
		Relation   index = index_open(lfirst_oid(cell), RowExclusiveLock);
		IndexInfo *info = BuildIndexInfo(index);

		if (info->ii_Expressions != NIL)
			info->ii_ExpressionsState = ExecPrepareExprList(info->ii_Expressions, store->estate);
		if (info->ii_Predicate != NIL)
			info->ii_PredicateState = ExecPrepareQual(info->ii_Predicate, store->estate);
		store->indexes[i] = lfirst_oid(cell);
		store->info.ri_IndexRelationInfo[i++] = info;
		index_close(index, NoLock);
	}
	store->info.ri_NumIndices = n;
}

/* store_ready makes everything ready that does not change from row to row. */
static Store *
store_ready(StoreTable *table, Relation relation)
{
	Store		 *store = table->store;
	MemoryContext old;

	if (store != NULL && store->table == RelationGetRelid(relation) && store->is_whole && !store->is_stale)
		return store;
	if (relation->rd_rel->relkind != RELKIND_RELATION)
		elog(ERROR, "\"%s\" is not a plain table", table->table);
	if (store == NULL)
	{
		store = MemoryContextAllocZero(TopMemoryContext, sizeof(Store));
		if (stores == NULL)
			CacheRegisterRelcacheCallback(table_changed, (Datum) 0);
		store->next = stores;
		stores = store;
		table->store = store;
	}
	/* a row whose trigger inserts the one at hand still needs the old one */
	if (store->context != NULL)
		MemoryContextSetParent(store->context, TopTransactionContext);
	*store = (Store){.context = AllocSetContextCreate(TopMemoryContext, "store", ALLOCSET_DEFAULT_SIZES),
					 .table = RelationGetRelid(relation),
					 .next = store->next};
	old = MemoryContextSwitchTo(store->context);
	store->estate = CreateExecutorState();
	MemoryContextSetParent(store->estate->es_query_cxt, store->context);
	InitResultRelInfo(&store->info, relation, 0, NULL, 0);
	ready_columns(store, table, relation);
	ready_indexes(store, relation);
	ready_checks(store, RelationGetDescr(relation));
	if (!table->is_bare)
		ready_triggers(store, relation);
	store->info.ri_TrigDesc = NULL;
	MemoryContextSwitchTo(old);
	store->is_whole = true;
	return store;
}

/* Foreign keys */

/* store_is_own tells whether the row in a slot was written by this transaction, so that nobody else sees it. */
bool
store_is_own(TupleTableSlot *slot)
{
	HeapTuple row = ExecFetchSlotHeapTuple(slot, false, NULL);

	return TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(row->t_data));
}

/* key_at_place looks for the row that a key refers to where it was before. */
static bool
key_at_place(const ForeignKey *key, Relation table, TupleTableSlot *row, TupleTableSlot *slot)
{
	int i;

	if (!key->has_place || !place_fetch(table, DatumGetUUIDP(row->tts_values[key->columns[0] - 1]), slot))
		return false;
	for (i = 0; i < key->ncolumns; i++)
	{
		bool  isnull;
		Datum value = slot_getattr(slot, key->referred[i], &isnull);

		if (isnull || !uuid_equal(DatumGetUUIDP(value), DatumGetUUIDP(row->tts_values[key->columns[i] - 1])))
			return false;
	}
	return true;
}

/* key_in_index looks for it in the index. */
static bool
key_in_index(const ForeignKey *key, Relation table, TupleTableSlot *row, TupleTableSlot *slot)
{
	Relation	  index = index_open(key->index, AccessShareLock);
	ScanKeyData	  keys[INDEX_MAX_KEYS];
	IndexScanDesc scan;
	bool		  is_there;
	int			  i;

	for (i = 0; i < key->ncolumns; i++)
		ScanKeyEntryInitialize(&keys[i], 0, i + 1, BTEqualStrategyNumber, InvalidOid, index->rd_indcollation[i],
							   key->equal[i], row->tts_values[key->columns[i] - 1]);
	scan = index_beginscan(table, index, GetActiveSnapshot(), key->ncolumns, 0);
	index_rescan(scan, keys, key->ncolumns, NULL, 0);
	is_there = key->has_place ? place_search(scan, DatumGetUUIDP(row->tts_values[key->columns[0] - 1]), slot)
							  : index_getnext_slot(scan, ForwardScanDirection, slot);
	index_endscan(scan);
	index_close(index, NoLock);
	return is_there;
}

/* key_is_there tells whether the row that a key refers to is plainly there; then it stays until this transaction ends. */
static bool
key_is_there(const ForeignKey *key, TupleTableSlot *row)
{
	Relation		table;
	TupleTableSlot *slot;
	bool			is_there;
	int				i;

	for (i = 0; i < key->ncolumns; i++)
		if (row->tts_isnull[key->columns[i] - 1])
			return true;
	table = table_open(key->table, RowShareLock);
	slot = table_slot_create(table, NULL);
	is_there = key_at_place(key, table, row, slot) || key_in_index(key, table, row, slot);
	/* nobody else can delete what only this transaction sees */
	if (is_there && !store_is_own(slot))
	{
		TM_FailureData failure;

		is_there = table_tuple_lock(table, &slot->tts_tid, GetActiveSnapshot(), slot, GetCurrentCommandId(false),
									LockTupleKeyShare, LockWaitSkip, 0, &failure) == TM_Ok;
	}
	ExecDropSingleTupleTableSlot(slot);
	table_close(table, NoLock);
	return is_there;
}

static bool
keys_are_there(const Store *store, TupleTableSlot *row)
{
	bool are_there = true;
	int	 i;

	if (store->nkeys == 0)
		return true;
	PushCopiedSnapshot(GetActiveSnapshot());
	UpdateActiveSnapshotCommandId();
	for (i = 0; i < store->nkeys && are_there; i++)
		are_there = key_is_there(&store->keys[i], row);
	PopActiveSnapshot();
	return are_there;
}

/* Inserting */

/* use_triggers has these triggers fired from now on. */
static void
use_triggers(ResultRelInfo *info, TriggerDesc *triggers)
{
	info->ri_TrigDesc = triggers;
	if (triggers != NULL && triggers->numtriggers > 0)
	{
		info->ri_TrigFunctions = palloc0(triggers->numtriggers * sizeof(FmgrInfo));
		info->ri_TrigWhenExprs = palloc0(triggers->numtriggers * sizeof(ExprState *));
	}
}

static void
fill_row(Store *store, EState *estate, TupleTableSlot *slot, const NullableDatum *values, int nvalues)
{
	TupleDesc desc = slot->tts_tupleDescriptor;
	int		  i;

	ExecClearTuple(slot);
	for (i = 0; i < desc->natts; i++)
	{
		slot->tts_isnull[i] = true;
		slot->tts_values[i] = (Datum) 0;
		if (store->defaults[i] != NULL)
			slot->tts_values[i] =
				ExecEvalExpr(store->defaults[i], GetPerTupleExprContext(estate), &slot->tts_isnull[i]);
	}
	for (i = 0; i < nvalues; i++)
	{
		slot->tts_values[store->numbers[i] - 1] = values[i].value;
		slot->tts_isnull[store->numbers[i] - 1] = values[i].isnull;
	}
	for (i = 0; i < desc->natts; i++)
		if (OidIsValid(store->domains[i]))
			domain_check(slot->tts_values[i], slot->tts_isnull[i], store->domains[i], &store->domain_checks[i],
						 store->context);
	ExecStoreVirtualTuple(slot);
}

static void
insert_row(Store *store, EState *estate, ResultRelInfo *info, TupleTableSlot *slot)
{
	Relation	 relation = info->ri_RelationDesc;
	TupleConstr *constraints = RelationGetDescr(relation)->constr;
	List		*recheck = NIL;

	if (info->ri_TrigDesc != NULL && info->ri_TrigDesc->trig_insert_before_row &&
		!ExecBRInsertTriggers(estate, info, slot))
		return;
	slot->tts_tableOid = RelationGetRelid(relation);
	if (constraints != NULL && constraints->has_generated_stored)
		ExecComputeStoredGenerated(info, estate, slot, CMD_INSERT);
	if (constraints != NULL)
		ExecConstraints(info, slot, estate);
	table_tuple_insert(relation, slot, GetCurrentCommandId(true), 0, NULL);
	if (store->id_column > 0)
		place_keep(relation, DatumGetUUIDP(slot->tts_values[store->id_column - 1]), &slot->tts_tid);
	if (info->ri_NumIndices > 0)
#if PG_VERSION_NUM >= 160000
		recheck = ExecInsertIndexTuples(info, slot, estate, false, false, NULL, NIL, false);
#else
		recheck = ExecInsertIndexTuples(info, slot, estate, false, false, NULL, NIL);
#endif
	if (info->ri_TrigDesc != NULL)
	{
		if (SessionReplicationRole != SESSION_REPLICATION_ROLE_REPLICA && keys_are_there(store, slot))
			use_triggers(info, store->other_triggers);
		ExecARInsertTriggers(estate, info, slot, recheck, NULL);
		/* whichever were queued, they are looked for among all */
		use_triggers(info, store->triggers);
	}
}

/* store_rows inserts rows, one after the other in a list of values, of whose columns some are given. */
void
store_rows(StoreTable *table, const NullableDatum *values, int nvalues, int nrows)
{
	Relation relation =
		table_open(get_relname_relid(table->table, get_namespace_oid("rental", false)), RowExclusiveLock);
	Store		   *store = store_ready(table, relation);
	EState		   *estate = CreateExecutorState();
	MemoryContext	old = MemoryContextSwitchTo(estate->es_query_cxt);
	ResultRelInfo	info = store->info;
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(relation), &TTSOpsVirtual);
	TriggerDesc	   *triggers = store->triggers;
	int				i;

	Assert(nvalues < STORE_MOST_COLUMNS && table->columns[nvalues] == NULL);
	info.ri_RelationDesc = relation;
	info.ri_IndexRelationDescs = palloc(info.ri_NumIndices * sizeof(Relation));
	info.ri_IndexRelationInfo = palloc(info.ri_NumIndices * sizeof(IndexInfo *));
	for (i = 0; i < info.ri_NumIndices; i++)
	{
		/* what an access method keeps with it lasts no longer than the relation is open */
		IndexInfo *index = palloc(sizeof(IndexInfo));

		*index = *store->info.ri_IndexRelationInfo[i];
		index->ii_AmCache = NULL;
		index->ii_Context = estate->es_query_cxt;
		info.ri_IndexRelationInfo[i] = index;
		info.ri_IndexRelationDescs[i] = index_open(store->indexes[i], RowExclusiveLock);
	}
	estate->es_opened_result_relations = list_make1(&info);

	if (triggers != NULL)
	{
		use_triggers(&info, triggers);
		AfterTriggerBeginQuery();
		if (triggers->trig_insert_before_statement)
			ExecBSInsertTriggers(estate, &info);
	}
	for (i = 0; i < nrows; i++, values += nvalues)
	{
		fill_row(store, estate, slot, values, nvalues);
		insert_row(store, estate, &info, slot);
		ResetPerTupleExprContext(estate);
	}
	if (triggers != NULL)
	{
		if (triggers->trig_insert_after_statement)
			ExecASInsertTriggers(estate, &info, NULL);
		AfterTriggerEndQuery(estate);
	}

	for (i = 0; i < info.ri_NumIndices; i++)
		index_close(info.ri_IndexRelationDescs[i], NoLock);
	ExecDropSingleTupleTableSlot(slot);
	ExecResetTupleTable(estate->es_tupleTable, false);
	table_close(relation, NoLock);
	MemoryContextSwitchTo(old);
	FreeExecutorState(estate);
	CommandCounterIncrement();
}
