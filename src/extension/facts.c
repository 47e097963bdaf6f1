/*
 * facts.c
 *	  Facts: what reports read instead of the books.
 *
 * It owns facts_delta, facts_daily, facts_monthly, facts_zones, facts_products
 * and facts_open. The view rental.facts_books says what the facts of the books are; the trigger here
 * appends, for each change of a row, what it changes in that view, so that at
 * every time, in every snapshot,
 *
 *		facts_books = what is folded + facts_delta
 *
 * A delta has its time and not its day: the days are those of the vendor's
 * time zone, and are found when it is folded or read. Deltas are appended
 * without the executor, since every order pays for them.
 *
 * Folding and rebuilding take turns, by an advisory lock that they take before
 * they look. Each is one statement, so that whoever reads sees its facts
 * either before or after.
 */
#include "facts.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "actor.h"
#include "amount.h"
#include "audit.h"
#include "catalog/namespace.h"
#include "commands/trigger.h"
#include "errors.h"
#include "executor/tuptable.h"
#include "funcapi.h"
#include "period.h"
#include "report.h"
#include "store.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/datum.h"
#include "catalog/pg_collation.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

STORE_BARE(delta_rows, "facts_delta", "vendor_id", "kind", "currency", "at", "until", "product_id", "location_id", "n",
		   "amount", "order_id");

typedef struct Fact
{
	const char *kind;
	pg_uuid_t	vendor_id;
	Datum		currency;
	TimestampTz at;
	bool		lasts; /* until another time */
	TimestampTz until;
	bool		has_product;
	pg_uuid_t	product_id;
	pg_uuid_t	location_id;
	int32		n;
	Datum		amount;
	bool		has_order;
	pg_uuid_t	order_id;
} Fact;

/* What an order says of its lines */
typedef struct OrderHead
{
	pg_uuid_t	id;
	pg_uuid_t	vendor_id;
	char	   *status;
	Datum		currency;
	TimestampTz created_at;
	Datum		total;
} OrderHead;

#define FACTS_OF_ROW 2 /* at most, of an order, a line, an invoice or a payment */

/* Recording */

static NullableDatum
column_or_null(HeapTuple row, TupleDesc desc, const char *name)
{
	NullableDatum value;

	value.value = heap_getattr(row, SPI_fnumber(desc, name), desc, &value.isnull);
	return value;
}

static Datum
column(HeapTuple row, TupleDesc desc, const char *name)
{
	NullableDatum value = column_or_null(row, desc, name);

	if (value.isnull)
		elog(ERROR, "unexpected null in column %s", name);
	return value.value;
}

static OrderHead
order_head(HeapTuple row, TupleDesc desc)
{
	OrderHead head;

	head.id = *DatumGetUUIDP(column(row, desc, "id"));
	head.vendor_id = *DatumGetUUIDP(column(row, desc, "vendor_id"));
	head.status = TextDatumGetCString(column(row, desc, "status"));
	head.currency = column(row, desc, "currency");
	head.created_at = DatumGetTimestampTz(column(row, desc, "created_at"));
	head.total = column(row, desc, "total");
	return head;
}

static bool
is_firm(const OrderHead *order)
{
	return strcmp(order->status, "confirmed") == 0 || strcmp(order->status, "active") == 0 ||
		   strcmp(order->status, "returned") == 0 || strcmp(order->status, "completed") == 0;
}

static bool
is_placed(const OrderHead *order)
{
	return is_firm(order) || strcmp(order->status, "pending") == 0;
}

static int
facts_of_order(HeapTuple row, TupleDesc desc, Fact *facts)
{
	OrderHead order = order_head(row, desc);

	facts[0] = (Fact){.kind = order.status,
					  .vendor_id = order.vendor_id,
					  .currency = order.currency,
					  .at = order.created_at,
					  .n = 1,
					  .amount = order.total,
					  .has_order = true,
					  .order_id = order.id};
	return 1;
}

static int
facts_of_line(const OrderHead *order, HeapTuple row, TupleDesc desc, Fact *facts)
{
	Fact fact = {.kind = "booked",
				 .vendor_id = order->vendor_id,
				 .currency = order->currency,
				 .at = order->created_at,
				 .has_product = true,
				 .product_id = *DatumGetUUIDP(column(row, desc, "product_id")),
				 .location_id = *DatumGetUUIDP(column(row, desc, "location_id")),
				 .n = DatumGetInt32(column(row, desc, "quantity")),
				 .amount = column(row, desc, "total"),
				 .has_order = true,
				 .order_id = order->id};
	int	 n = 0;

	if (!is_placed(order))
		return 0;
	facts[n++] = fact;
	if (!is_firm(order))
		return n;
	fact.kind = "rented";
	fact.at = DatumGetTimestampTz(column(row, desc, "start_at"));
	fact.lasts = true;
	fact.until = DatumGetTimestampTz(column(row, desc, "end_at"));
	fact.amount = amount_subtract(column(row, desc, "subtotal"), column(row, desc, "discount"));
	facts[n++] = fact;
	return n;
}

static int
facts_of_invoice(HeapTuple row, TupleDesc desc, Fact *facts)
{
	NullableDatum issued = column_or_null(row, desc, "issued_at");

	if (issued.isnull)
		return 0;
	facts[0] = (Fact){.kind = "billed",
					  .vendor_id = *DatumGetUUIDP(column(row, desc, "vendor_id")),
					  .currency = column(row, desc, "currency"),
					  .at = DatumGetTimestampTz(issued.value),
					  .n = 1,
					  .amount = column(row, desc, "total")};
	return 1;
}

static int
facts_of_payment(HeapTuple row, TupleDesc desc, Fact *facts)
{
	char *kind = TextDatumGetCString(column(row, desc, "kind"));
	Datum amount = column(row, desc, "amount");

	if (strcmp(kind, "deposit") == 0 || strcmp(TextDatumGetCString(column(row, desc, "status")), "succeeded") != 0)
		return 0;
	facts[0] =
		(Fact){.kind = "paid",
			   .vendor_id = *DatumGetUUIDP(column(row, desc, "vendor_id")),
			   .currency = column(row, desc, "currency"),
			   .at = DatumGetTimestampTz(column(row, desc, "created_at")),
			   .n = 1,
			   .amount = strcmp(kind, "charge") == 0 || strcmp(kind, "capture") == 0 ? amount : amount_negate(amount)};
	return 1;
}

/* That pieces of a line moved counts for nothing, but what is to be done for its order is not what it was. */
static int
facts_of_move(HeapTuple row, TupleDesc desc, Fact *facts)
{
	facts[0] = (Fact){.kind = "moved",
					  .vendor_id = *DatumGetUUIDP(column(row, desc, "vendor_id")),
					  .currency = CStringGetTextDatum(""),
					  .at = DatumGetTimestampTz(column(row, desc, "start_at")),
					  .amount = amount_zero(),
					  .has_order = true,
					  .order_id = *DatumGetUUIDP(column(row, desc, "order_id"))};
	return 1;
}

static bool
same_text(Datum a, Datum b)
{
	return DatumGetBool(DirectFunctionCall2Coll(texteq, C_COLLATION_OID, a, b));
}

static bool
fact_equal(const Fact *a, const Fact *b)
{
	return strcmp(a->kind, b->kind) == 0 && uuid_equal(&a->vendor_id, &b->vendor_id) && a->at == b->at &&
		   a->until == b->until && a->has_product == b->has_product && uuid_equal(&a->product_id, &b->product_id) &&
		   uuid_equal(&a->location_id, &b->location_id) && a->has_order == b->has_order &&
		   uuid_equal(&a->order_id, &b->order_id) && a->n == b->n && same_text(a->currency, b->currency) &&
		   amount_equal(a->amount, b->amount);
}

static void
delta_append(const Fact *fact, bool ceased)
{
	store_row(&delta_rows, VALUE(UUIDPGetDatum(&fact->vendor_id)), VALUE(CStringGetTextDatum(fact->kind)),
			  VALUE(fact->currency), VALUE(TimestampTzGetDatum(fact->at)),
			  VALUE_OR_NULL(TimestampTzGetDatum(fact->until), !fact->lasts),
			  VALUE_OR_NULL(UUIDPGetDatum(&fact->product_id), !fact->has_product),
			  VALUE_OR_NULL(UUIDPGetDatum(&fact->location_id), !fact->has_product),
			  VALUE(Int32GetDatum(ceased ? -fact->n : fact->n)),
			  VALUE(ceased ? amount_negate(fact->amount) : fact->amount),
			  VALUE_OR_NULL(UUIDPGetDatum(&fact->order_id), !fact->has_order));
}

/* deltas_append records what is new of some facts, and what ceased to be so. */
static void
deltas_append(const Fact *old, int nold, const Fact *new, int nnew)
{
	bool stays[FACTS_OF_ROW] = {false};
	int	 i;
	int	 j;

	for (i = 0; i < nold; i++)
	{
		for (j = 0; j < nnew; j++)
			if (!stays[j] && fact_equal(&old[i], &new[j]))
				break;
		if (j < nnew)
			stays[j] = true;
		else
			delta_append(&old[i], true);
	}
	for (j = 0; j < nnew; j++)
		if (!stays[j])
			delta_append(&new[j], false);
}

/*
 * lock_order locks the order in a slot, unless this transaction made it or has
 * locked it, and brings its newest version into the slot: its status decides
 * what its lines count for, so it must not change at the same time.
 */
static void
lock_order(Relation table, TupleTableSlot *slot, Snapshot snapshot)
{
	ItemPointerData tid = slot->tts_tid;
	uint8			flags = IsolationUsesXactSnapshot() ? 0 : TUPLE_LOCK_FLAG_FIND_LAST_VERSION;
	TM_FailureData	failure;

	if (audit_is_restoring() || store_is_own(slot))
		return;
	switch (table_tuple_lock(table, &tid, snapshot, slot, GetCurrentCommandId(false), LockTupleNoKeyExclusive,
							 LockWaitBlock, flags, &failure))
	{
		case TM_Ok:
			break;
		case TM_Updated:
			ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
							errmsg("could not serialize access due to concurrent update")));
			break;
		default:
			ereport(ERROR, (errcode(ERRCODE_FOREIGN_KEY_VIOLATION), errmsg("the order of a line is gone")));
	}
}

/* rows_with calls back for each row of a table that has an id as the first column of an index. */
static void
rows_with(const char *name, const char *index_name, const pg_uuid_t *id,
		  void (*found)(Relation table, TupleTableSlot *slot, Snapshot snapshot, void *arg), void *arg)
{
	Oid		 schema = get_namespace_oid("rental", false);
	Relation table = table_open(get_relname_relid(name, schema), RowShareLock);
	Relation index = index_open(index_name ? get_relname_relid(index_name, schema) : RelationGetPrimaryKeyIndex(table),
								AccessShareLock);
	Snapshot		snapshot = RegisterSnapshot(GetLatestSnapshot());
	TupleTableSlot *slot = table_slot_create(table, NULL);
	ScanKeyData		key;
	IndexScanDesc	scan;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(id));
	scan = index_beginscan(table, index, snapshot, 1, 0);
	index_rescan(scan, &key, 1, NULL, 0);
	while (index_getnext_slot(scan, ForwardScanDirection, slot))
		found(table, slot, snapshot, arg);
	index_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
	index_close(index, NoLock);
	table_close(table, NoLock);
}

static void
take_order(Relation table, TupleTableSlot *slot, Snapshot snapshot, void *arg)
{
	OrderHead *head = arg;

	ExecMaterializeSlot(slot);
	lock_order(table, slot, snapshot);
	*head = order_head(ExecCopySlotHeapTuple(slot), RelationGetDescr(table));
}

/* order_of_line finds the order of a line as it is now. */
static OrderHead
order_of_line(HeapTuple row, TupleDesc desc)
{
	OrderHead head = {.status = NULL};

	rows_with("orders", NULL, DatumGetUUIDP(column(row, desc, "order_id")), take_order, &head);
	if (head.status == NULL)
		ereport(ERROR, (errcode(ERRCODE_FOREIGN_KEY_VIOLATION), errmsg("the order of a line is gone"),
						errhint("Its lines go first.")));
	return head;
}

typedef struct OrderChange
{
	OrderHead old;
	OrderHead new;
} OrderChange;

static void
line_follows(Relation table, TupleTableSlot *slot, Snapshot snapshot, void *arg)
{
	OrderChange *change = arg;
	HeapTuple	 row = ExecCopySlotHeapTuple(slot);
	Fact		 old[FACTS_OF_ROW];
	Fact new[FACTS_OF_ROW];
	int nold = facts_of_line(&change->old, row, RelationGetDescr(table), old);
	int nnew = facts_of_line(&change->new, row, RelationGetDescr(table), new);

	deltas_append(old, nold, new, nnew);
}

/* lines_follow records what the change of an order changes for its lines. */
static void
lines_follow(TriggerData *trigger)
{
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	OrderChange change = {order_head(trigger->tg_trigtuple, desc), order_head(trigger->tg_newtuple, desc)};

	if (is_placed(&change.old) != is_placed(&change.new) || is_firm(&change.old) != is_firm(&change.new) ||
		(is_placed(&change.old) &&
		 (change.old.created_at != change.new.created_at || !same_text(change.old.currency, change.new.currency))))
		rows_with("order_items", "order_items_order_id_idx", &change.new.id, line_follows, &change);
}

static int
facts_of_row(const char *what, HeapTuple row, TupleDesc desc, Fact *facts)
{
	if (row == NULL)
		return 0;
	if (strcmp(what, "order") == 0)
		return facts_of_order(row, desc, facts);
	if (strcmp(what, "invoice") == 0)
		return facts_of_invoice(row, desc, facts);
	if (strcmp(what, "payment") == 0)
		return facts_of_payment(row, desc, facts);
	if (strcmp(what, "moved") == 0)
		return facts_of_move(row, desc, facts);
	if (strcmp(what, "item") == 0)
	{
		OrderHead order = order_of_line(row, desc);

		return facts_of_line(&order, row, desc, facts);
	}
	elog(ERROR, "facts_record knows nothing of \"%s\"", what);
}

/* facts_record(what): after each row of orders, order_items, invoices or payments is changed */
PG_FUNCTION_INFO_V1(facts_record);
Datum
facts_record(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Fact		 old[FACTS_OF_ROW];
	Fact new[FACTS_OF_ROW];
	HeapTuple	was;
	HeapTuple	is;
	const char *what;
	TupleDesc	desc;
	int			nold;
	int			nnew;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) || trigger->tg_trigger->tgnargs != 1)
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("facts_record must be fired after each row, and told what it is")));
	what = trigger->tg_trigger->tgargs[0];
	desc = RelationGetDescr(trigger->tg_relation);
	/* a move is a fact of its own, not one that ceases */
	was = TRIGGER_FIRED_BY_INSERT(trigger->tg_event) || strcmp(what, "moved") == 0 ? NULL : trigger->tg_trigtuple;
	is = TRIGGER_FIRED_BY_DELETE(trigger->tg_event)	  ? NULL
		 : TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple
													  : trigger->tg_trigtuple;
	/* what this statement wrote before must be seen */
	CommandCounterIncrement();
	nold = facts_of_row(what, was, desc, old);
	nnew = facts_of_row(what, is, desc, new);
	deltas_append(old, nold, new, nnew);
	if (was != NULL && is != NULL && strcmp(what, "order") == 0)
		lines_follow(trigger);
	return PointerGetDatum(NULL);
}

/* Time */

/* An amount that is spread evenly over a period */
typedef struct Spread
{
	TimestampTz at;
	TimestampTz until;
	int32		n;
	Datum		amount;
	char	   *currency;
	bool		is_minor; /* the amount is a whole number of minor units */
	int64		minor;
} Spread;

static Spread
spread_of(TimestampTz at, TimestampTz until, int32 n, Datum amount, char *currency)
{
	Spread spread = {at, until, n, amount, currency, false, 0};

	spread.minor = amount_minor(amount, currency);
	spread.is_minor = amount_equal(amount, amount_datum(spread.minor, currency));
	return spread;
}

/* seconds_until counts the whole seconds of the period up to a time. */
static int64
seconds_until(const Spread *spread, TimestampTz at)
{
	return (at - spread->at) / USECS_PER_SEC;
}

/* minor_until is the amount up to a time, in minor units, rounded half-up. */
static int64
minor_until(const Spread *spread, TimestampTz at)
{
	int128 total = spread->until - spread->at;
	int128 part = (int128) Abs(spread->minor) * (at - spread->at);
	int64  rounded = (int64) ((2 * part + total) / (2 * total));

	return spread->minor < 0 ? -rounded : rounded;
}

static Datum
amount_until(const Spread *spread, TimestampTz at)
{
	if (at == spread->until)
		return spread->amount;
	return amount_round(amount_divide(amount_times(spread->amount, at - spread->at), spread->until - spread->at),
						spread->currency);
}

/* spread_between is what of it belongs to [from, to), which lies within its period. */
static void
spread_between(const Spread *spread, TimestampTz from, TimestampTz to, Datum values[2])
{
	values[0] = Int64GetDatum(spread->n * (seconds_until(spread, to) - seconds_until(spread, from)));
	values[1] = spread->is_minor ? amount_datum(minor_until(spread, to) - minor_until(spread, from), spread->currency)
								 : amount_subtract(amount_until(spread, to), amount_until(spread, from));
}

/* unit_start is the first day of the month of a day, or itself; unit_next the first day after that. */
static int
unit_start(int day, bool by_month)
{
	int year;
	int month;
	int mday;

	j2date(day, &year, &month, &mday);
	return by_month ? day - mday + 1 : day;
}

static int
unit_next(int start, bool by_month)
{
	return by_month ? unit_start(start + 31, true) : start + 1;
}

static TimestampTz
day_begins(int day, pg_tz *zone)
{
	struct pg_tm tm = {.tm_sec = 0};
	TimestampTz	 result;
	int			 tz;

	j2date(day, &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
	tz = DetermineTimeZoneOffset(&tm, zone);
	if (tm2timestamp(&tm, 0, &tz, &result) != 0)
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
	return result;
}

typedef struct SpreadState
{
	Spread		spread;
	bool		lasts;
	bool		by_month;
	bool		done;
	pg_tz	   *zone;
	int			unit;	 /* the day or month that comes next */
	TimestampTz reached; /* what is before has been told */
} SpreadState;

static SpreadState *
spread_begin(FunctionCallInfo fcinfo)
{
	SpreadState *state = palloc0(sizeof(SpreadState));
	TimestampTz	 at = PG_GETARG_TIMESTAMPTZ(0);
	int64		 time_of_day;

	state->lasts = !PG_ARGISNULL(1);
	state->zone = period_zone(text_to_cstring(PG_GETARG_TEXT_PP(5)));
	state->by_month = strcmp(text_to_cstring(PG_GETARG_TEXT_PP(6)), "month") == 0;
	state->unit = unit_start(period_local_date(at, state->zone, &time_of_day), state->by_month);
	state->reached = at;
	if (state->lasts)
		state->spread = spread_of(at, PG_GETARG_TIMESTAMPTZ(1), PG_GETARG_INT32(2),
								  datumCopy(PG_GETARG_DATUM(3), false, -1), text_to_cstring(PG_GETARG_TEXT_PP(4)));
	return state;
}

/* spread_desc is what facts_spread returns, looked up once: it is called for each line there is. */
static TupleDesc
spread_desc(FunctionCallInfo fcinfo)
{
	static TupleDesc desc = NULL;

	if (desc == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
		TupleDesc	  found;

		if (get_call_result_type(fcinfo, NULL, &found) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "facts_spread must return rows");
		desc = BlessTupleDesc(CreateTupleDescCopy(found));
		MemoryContextSwitchTo(old);
	}
	return desc;
}

/* facts_spread(at, until, n, amount, currency, time_zone, unit) -> setof (day, count, sum) */
PG_FUNCTION_INFO_V1(facts_spread);
Datum
facts_spread(PG_FUNCTION_ARGS)
{
	FuncCallContext *context;
	SpreadState		*state;
	Datum			 values[3];
	bool			 nulls[3] = {false};

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext old;

		context = SRF_FIRSTCALL_INIT();
		old = MemoryContextSwitchTo(context->multi_call_memory_ctx);
		context->tuple_desc = spread_desc(fcinfo);
		context->user_fctx = spread_begin(fcinfo);
		MemoryContextSwitchTo(old);
	}
	context = SRF_PERCALL_SETUP();
	state = context->user_fctx;
	if (state->done)
		SRF_RETURN_DONE(context);
	values[0] = DateADTGetDatum(state->unit - POSTGRES_EPOCH_JDATE);
	if (state->lasts)
	{
		int			next = unit_next(state->unit, state->by_month);
		TimestampTz end = day_begins(next, state->zone);

		/* a day that a zone left out has no time */
		end = Min(Max(end, state->reached), state->spread.until);
		spread_between(&state->spread, state->reached, end, &values[1]);
		state->reached = end;
		state->unit = next;
		state->done = end == state->spread.until;
	}
	else
	{
		values[1] = Int64GetDatum(PG_GETARG_INT32(2));
		values[2] = PG_GETARG_DATUM(3);
		state->done = true;
	}
	SRF_RETURN_NEXT(context, HeapTupleGetDatum(heap_form_tuple(context->tuple_desc, values, nulls)));
}

/* facts_share(at, until, n, amount, currency, "from", "to") -> (count, sum) */
PG_FUNCTION_INFO_V1(facts_share);
Datum
facts_share(PG_FUNCTION_ARGS)
{
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(0);
	TimestampTz from = PG_GETARG_TIMESTAMPTZ(5);
	TimestampTz to = PG_GETARG_TIMESTAMPTZ(6);
	TupleDesc	desc;
	Datum		values[2] = {Int64GetDatum(0), amount_zero()};
	bool		nulls[2] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "facts_share must return a row");
	if (!PG_ARGISNULL(1))
	{
		Spread spread = spread_of(at, PG_GETARG_TIMESTAMPTZ(1), PG_GETARG_INT32(2), PG_GETARG_DATUM(3),
								  text_to_cstring(PG_GETARG_TEXT_PP(4)));

		from = Max(from, at);
		to = Min(to, spread.until);
		if (from < to)
			spread_between(&spread, from, to, values);
	}
	else if (at >= from && at < to)
	{
		values[0] = Int64GetDatum(PG_GETARG_INT32(2));
		values[1] = PG_GETARG_DATUM(3);
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* Folding, verifying, rebuilding */

#define OF_VENDOR						 " WHERE ($1 IS NULL OR x.vendor_id = $1)"
#define IN_VENDOR						 " AND ($1 IS NULL OR x.vendor_id = $1)"

#define VENDOR_FACTS(rows, unit, filter) VENDOR_PIVOT("day", KINDS_BY_VENDOR(rows, unit, filter))
#define PRODUCT_FACTS(rows, filter)		 PRODUCT_PIVOT("day", KINDS_BY_PRODUCT(rows, filter))

#define PLUS(column)					 #column " = f." #column " + EXCLUDED." #column
#define NEGATIVE(column)				 "-" #column
#define SUM_AS(column)					 "sum(" #column ") AS " #column
#define TOLD(column)					 "'" #column "', NULLIF(" #column ", 0)"
#define SUM_AS_TOLD(column)				 "'" #column "', NULLIF(sum(" #column "), 0)"
#define IS_OFF(column)					 "sum(" #column ") <> 0"
#define IS_ZERO(column)					 #column " = 0"

#define VENDOR_KEY						 "vendor_id, day, currency"
#define ZONE_KEY						 "time_zone, day, currency"
#define PRODUCT_KEY						 "vendor_id, day, product_id, location_id, currency"
#define ADD_TO(table, key, rows, measures) \
	"INSERT INTO rental." table " AS f " rows " ON CONFLICT (" key ") DO UPDATE SET " measures(PLUS, ", ")
/* What rows are more than those of a table */
#define LESS(table, key, rows, measures)                                                                         \
	"SELECT " key ", " measures(SUM_AS, ", ") " FROM (" rows " UNION ALL SELECT " key                            \
											  ", " measures(NEGATIVE, ", ") ""                                   \
																			" FROM rental." table " x" OF_VENDOR \
																			") d GROUP BY " key                  \
																			" HAVING " measures(IS_OFF, " OR ")

PLAN(facts_lock, "SELECT pg_catalog.pg_advisory_xact_lock($1)", INT8OID);
PLAN(facts_try_lock, "SELECT pg_catalog.pg_try_advisory_xact_lock($1)", INT8OID);
#define FACTS_LOCK VALUE(Int64GetDatum(INT64CONST(0x72656e7466616374)))

/* months are the sums of their days, and zones those of their vendors */
#define MONTHS_OF(days)                                                                               \
	"SELECT vendor_id, date_trunc('month', day::timestamp)::date AS day, currency, " VENDOR_MEASURES( \
		SUM_AS, ", ") " FROM " days " GROUP BY 1, 2, 3"
#define ZONES_OF(days)                                         \
	"SELECT v.time_zone, x.day, x.currency, " VENDOR_MEASURES( \
		SUM_AS, ", ") " FROM " days " x JOIN rental.vendors v ON v.id = x.vendor_id GROUP BY 1, 2, 3"
/* tasks, which the books say anew, instead of those that there are of the same orders */
#define TASKS_ANEW(of_those)                                                                                       \
	"gone AS (DELETE FROM rental.facts_open x WHERE " of_those " AND NOT EXISTS (SELECT FROM tasks t WHERE "       \
	"(t.order_id, t.vendor_id, t.task, t.at) = (x.order_id, x.vendor_id, x.task, x.at)) RETURNING 1), "            \
	"made AS (INSERT INTO rental.facts_open AS f SELECT * FROM tasks ON CONFLICT (order_id, vendor_id, task, at) " \
	"DO UPDATE SET is_first = EXCLUDED.is_first WHERE f.is_first <> EXCLUDED.is_first RETURNING 1)"

/* in the order in which they are read */
#define BY_DAY		 " ORDER BY day, currency, vendor_id"
#define TAKEN_ORDERS "x.order_id = ANY (ARRAY(SELECT order_id FROM taken WHERE order_id IS NOT NULL))"
/* clang-format off */
PLAN(fold,
	 "WITH taken AS (DELETE FROM rental.facts_delta WHERE ctid = ANY (ARRAY(SELECT ctid FROM rental.facts_delta LIMIT $1)) RETURNING *), "
	 "days AS MATERIALIZED (" VENDOR_FACTS(TAKEN, "day", "") "), "
	 "tasks AS MATERIALIZED (SELECT * FROM rental.facts_tasks x WHERE " TAKEN_ORDERS "), "
	 "d AS (" ADD_TO("facts_daily", VENDOR_KEY, "SELECT * FROM days", VENDOR_MEASURES) "), "
	 "m AS (" ADD_TO("facts_monthly", VENDOR_KEY, MONTHS_OF("days"), VENDOR_MEASURES) "), "
	 "z AS (" ADD_TO("facts_zones", ZONE_KEY, ZONES_OF("days"), VENDOR_MEASURES) "), "
	 "p AS (" ADD_TO("facts_products", PRODUCT_KEY, PRODUCT_FACTS(TAKEN, ""), PRODUCT_MEASURES) "), "
	 TASKS_ANEW(TAKEN_ORDERS) " SELECT count(*) FROM taken",
	 INT4OID);
PLAN(rebuild,
	 "WITH taken AS (DELETE FROM rental.facts_delta x" OF_VENDOR "), "
	 "books AS MATERIALIZED (" VENDOR_FACTS(BOOKS, "day", IN_VENDOR) "), "
	 "tasks AS MATERIALIZED (SELECT * FROM rental.facts_tasks x" OF_VENDOR "), "
	 "d AS (" ADD_TO("facts_daily", VENDOR_KEY, LESS("facts_daily", VENDOR_KEY, "SELECT * FROM books", VENDOR_MEASURES) BY_DAY, VENDOR_MEASURES) " RETURNING 1), "
	 "m AS (" ADD_TO("facts_monthly", VENDOR_KEY, LESS("facts_monthly", VENDOR_KEY, MONTHS_OF("books"), VENDOR_MEASURES) BY_DAY, VENDOR_MEASURES) " RETURNING 1), "
	 "p AS (" ADD_TO("facts_products", PRODUCT_KEY, LESS("facts_products", PRODUCT_KEY, PRODUCT_FACTS(BOOKS, IN_VENDOR), PRODUCT_MEASURES), PRODUCT_MEASURES) " RETURNING 1), "
	 TASKS_ANEW("($1 IS NULL OR x.vendor_id = $1)")
	 " SELECT (SELECT count(*) FROM d) + (SELECT count(*) FROM m) + (SELECT count(*) FROM p) + (SELECT count(*) FROM gone) + (SELECT count(*) FROM made)",
	 UUIDOID);
/* facts_zones is made of facts_daily: all of it, or the days of a vendor, $1, more or less in a zone */
PLAN(rebuild_zones,
	 "WITH z AS (" ADD_TO("facts_zones", ZONE_KEY, "SELECT " ZONE_KEY ", " VENDOR_MEASURES(SUM_AS, ", ") " FROM (" ZONES_OF("rental.facts_daily")
		" UNION ALL SELECT " ZONE_KEY ", " VENDOR_MEASURES(NEGATIVE, ", ") " FROM rental.facts_zones) d GROUP BY " ZONE_KEY " HAVING " VENDOR_MEASURES(IS_OFF, " OR "),
		VENDOR_MEASURES) " RETURNING 1) SELECT count(*) FROM z", );
PLAN(leave_zone, ADD_TO("facts_zones", ZONE_KEY, "SELECT $2, day, currency, " VENDOR_MEASURES(NEGATIVE, ", ") " FROM rental.facts_daily WHERE vendor_id = $1", VENDOR_MEASURES), UUIDOID, TEXTOID);
PLAN(enter_zone, ADD_TO("facts_zones", ZONE_KEY, "SELECT $2, day, currency, " VENDOR_MEASURES(COLUMN, ", ") " FROM rental.facts_daily WHERE vendor_id = $1", VENDOR_MEASURES), UUIDOID, TEXTOID);
PLAN(zone_of_vendor, "SELECT time_zone FROM rental.vendors WHERE id = $1", UUIDOID);
/* clang-format on */
/* what came to nothing is not kept */
PLAN(drop_daily, "DELETE FROM rental.facts_daily x" OF_VENDOR " AND " VENDOR_MEASURES(IS_ZERO, " AND "), UUIDOID);
PLAN(drop_monthly, "DELETE FROM rental.facts_monthly x" OF_VENDOR " AND " VENDOR_MEASURES(IS_ZERO, " AND "), UUIDOID);
PLAN(drop_zones, "DELETE FROM rental.facts_zones WHERE " VENDOR_MEASURES(IS_ZERO, " AND "), );
PLAN(drop_products, "DELETE FROM rental.facts_products x" OF_VENDOR " AND " PRODUCT_MEASURES(IS_ZERO, " AND "),
	 UUIDOID);

/*
 * The differences between what should be folded, which is the books less the
 * deltas, and a table. Most of what is in the books and in the deltas comes to
 * nothing before it is pivoted.
 */
#define DUE_COLUMNS "vendor_id, kind, currency, at, product_id, location_id"
#define DUE_EVENTS                                                                              \
	"(SELECT " DUE_COLUMNS ", n, amount FROM rental.facts_events UNION ALL SELECT " DUE_COLUMNS \
	", -n, -amount FROM rental.facts_delta WHERE until IS NULL AND kind <> 'moved')"
#define DUE_SPANS                                                                                     \
	"(SELECT " DUE_COLUMNS ", until, n, amount FROM rental.facts_spans UNION ALL SELECT " DUE_COLUMNS \
	", until, -n, -amount FROM rental.facts_delta WHERE until IS NOT NULL)"
#define WHERE_ANY " HAVING sum(n) <> 0 OR sum(amount) <> 0"
#define OFF(table, key, told, due, measures) \
	"SELECT '" table "', " told              \
	", jsonb_strip_nulls(jsonb_build_object(" measures(TOLD, ", ") ")) FROM (" LESS(table, key, due, measures) ") y"
#define VENDOR_OFF(table, due) \
	OFF(table, VENDOR_KEY, "vendor_id, day, NULL::uuid, NULL::uuid, currency", due, VENDOR_MEASURES)
/* zones need only be the sums of days, which are held against the books */
#define ZONES_OFF                                                                                               \
	"SELECT 'facts_zones', NULL, day, NULL, NULL, currency, jsonb_strip_nulls(jsonb_build_object('time_zone', " \
	"time_zone, " VENDOR_MEASURES(SUM_AS_TOLD, ", ") ")) FROM (" ZONES_OF(                                      \
		"rental.facts_daily") " UNION ALL SELECT " ZONE_KEY                                                     \
							  ", " VENDOR_MEASURES(NEGATIVE, ", ") " FROM rental.facts_zones) d "               \
																   "WHERE $1 IS NULL GROUP BY " ZONE_KEY        \
																   " HAVING " VENDOR_MEASURES(IS_OFF, " OR ")
/* tasks of orders that no delta names */
#define TASKS_OFF                                                                                                     \
	"SELECT 'facts_open', vendor_id, NULL, NULL, NULL, NULL, jsonb_build_object('order_id', order_id, 'task', task, " \
	"'at', at, 'is_first', is_first, 'rows', sum(n)) FROM (SELECT *, 1 AS n FROM rental.facts_tasks UNION ALL "       \
	"SELECT *, -1 FROM rental.facts_open) x" OF_VENDOR                                                                \
	" AND NOT EXISTS (SELECT FROM rental.facts_delta d WHERE d.order_id = x.order_id) "                               \
	"GROUP BY vendor_id, order_id, task, at, is_first HAVING sum(n) <> 0"
/* clang-format off */
PLAN(verify,
	 "WITH books AS MATERIALIZED (" VENDOR_PIVOT("day", KINDS_BY_VENDOR(DUE, "day", IN_VENDOR) WHERE_ANY) ") "
	 VENDOR_OFF("facts_daily", "SELECT * FROM books") " UNION ALL " VENDOR_OFF("facts_monthly", MONTHS_OF("books")) " UNION ALL "
	 OFF("facts_products", PRODUCT_KEY, "vendor_id, day, product_id, location_id, currency",
		 PRODUCT_PIVOT("day", KINDS_BY_PRODUCT(DUE, IN_VENDOR) WHERE_ANY), PRODUCT_MEASURES)
	 " UNION ALL " ZONES_OFF " UNION ALL " TASKS_OFF,
	 UUIDOID);
/* clang-format on */

/* report_fold(most integer) -> how many */
PG_FUNCTION_INFO_V1(report_fold);
Datum
report_fold(PG_FUNCTION_ARGS)
{
	int64 folded = 0;

	if (!has_privs_of_role(GetOuterUserId(), get_role_oid("rental_worker", false)))
		actor_require_admin();
	if (PG_ARGISNULL(0) || PG_GETARG_INT32(0) < 1)
		rental_raise(invalid_value, errmsg("most must be at least 1"), errfield("most"));
	plan_open();
	plan_run(&facts_try_lock, FACTS_LOCK);
	if (DatumGetBool(plan_datum(0, 1)))
	{
		plan_run(&fold, FCARG(0));
		folded = DatumGetInt64(plan_datum(0, 1));
	}
	plan_close();
	PG_RETURN_INT64(folded);
}

/*
 * facts_mend makes the facts of a vendor, or of all, what the books say; it
 * returns the rows changed. zone is where the facts of the vendor were until
 * now, null if that did not change.
 */
static int64
facts_mend(NullableDatum vendor, NullableDatum zone)
{
	NullableDatum zone_now = NULLVALUE;
	int64		  changed;

	plan_run(&facts_lock, FACTS_LOCK);
	if (!vendor.isnull && plan_run(&zone_of_vendor, vendor) > 0)
		zone_now = plan_keep(0, 1);
	if (zone.isnull)
		zone = zone_now;
	if (!zone.isnull)
		plan_run(&leave_zone, vendor, zone);
	plan_run(&rebuild, vendor);
	changed = DatumGetInt64(plan_datum(0, 1));
	plan_run(&drop_daily, vendor);
	plan_run(&drop_monthly, vendor);
	plan_run(&drop_products, vendor);
	if (vendor.isnull)
	{
		plan_execute(&rebuild_zones, NULL, 0, false);
		changed += DatumGetInt64(plan_datum(0, 1));
	}
	else if (!zone_now.isnull)
		plan_run(&enter_zone, vendor, zone_now);
	plan_execute(&drop_zones, NULL, 0, false);
	return changed;
}

/* report_rebuild(vendor_id uuid) -> rows changed */
PG_FUNCTION_INFO_V1(report_rebuild);
Datum
report_rebuild(PG_FUNCTION_ARGS)
{
	int64 changed;

	actor_require_admin();
	plan_open();
	changed = facts_mend(FCARG(0), NULLVALUE);
	plan_close();
	PG_RETURN_INT64(changed);
}

/* facts_zone: after a vendor's time zone changed, or it was deleted */
PG_FUNCTION_INFO_V1(facts_zone);
Datum
facts_zone(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	PlanRights	 rights;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		TRIGGER_FIRED_BY_INSERT(trigger->tg_event) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("facts_zone must be fired after each row is updated or deleted")));
	rights = plan_open_trusted();
	facts_mend(VALUE(row_column(trigger, trigger->tg_trigtuple, "id")),
			   VALUE(row_column(trigger, trigger->tg_trigtuple, "time_zone")));
	plan_close_trusted(rights);
	return PointerGetDatum(NULL);
}

/* report_verify(vendor_id uuid) */
PG_FUNCTION_INFO_V1(report_verify);
Datum
report_verify(PG_FUNCTION_ARGS)
{
	return report_rows(fcinfo, &verify, (NullableDatum[]){report_vendor(FCARG(0))}, 1);
}
