/*
 * stock.c
 *	  The triggers that keep the timelines, and refuse what the stock cannot serve.
 *
 * Reservations, stock, units and blackouts are the truth; their triggers carry
 * every change into the timelines of chunk.c, in the same transaction and
 * under the lock of the rows concerned. They fire for every caller, raw SQL
 * and a restore included.
 *
 * A hold that has expired takes nothing, also before anybody has released it:
 * wherever too little seems to be free, the expired holds are given back first.
 */
#include "stock.h"

#include "access/xact.h"
#include "actor.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "errors.h"
#include "plan.h"
#include "utils/builtins.h"
#include "storage/proc.h"
#include "utils/memutils.h"
#include "utils/rel.h"

PLAN(expired_holds,
	 "SELECT blocked, quantity FROM rental.reservations WHERE product_id = $1 AND location_id = $2 "
	 "AND state = 'hold' AND expires_at <= $3 AND blocked && $4 AND id IS DISTINCT FROM $5",
	 UUIDOID, UUIDOID, TIMESTAMPTZOID, TSTZRANGEOID, UUIDOID);
PLAN(tolerance,
	 "SELECT p.shortage_limit, s.accepted, s.accepted_at FROM rental.stock s "
	 "JOIN rental.products p ON p.id = s.product_id AND p.vendor_id = s.vendor_id "
	 "WHERE s.product_id = $1 AND s.location_id = $2 AND s.vendor_id = $3",
	 UUIDOID, UUIDOID, UUIDOID);
PLAN(capacity_of,
	 "SELECT rental.timeline_zero(rental.timeline_agg(period, quantity), range_agg(period) FILTER (WHERE closed)) "
	 "FROM rental.stock_capacity WHERE product_id = $1 AND location_id = $2",
	 UUIDOID, UUIDOID);
PLAN(
	sold_for_good,
	"SELECT FROM rental.reservations WHERE product_id = $1 AND location_id = $2 AND upper_inf(blocked) AND state <> 'released' LIMIT 1",
	UUIDOID, UUIDOID);
PLAN(stock_rows_lock, "SELECT FROM rental.stock WHERE product_id = $1 ORDER BY location_id FOR NO KEY UPDATE", UUIDOID);
PLAN(
	accept,
	"UPDATE rental.stock SET accepted = rental.timeline_least(COALESCE(accepted, rental.timeline(0)), CAST($4 AS rental.timeline)), accepted_at = $5 "
	"WHERE product_id = $1 AND location_id = $2 AND vendor_id = $3",
	UUIDOID, UUIDOID, UUIDOID, TEXTOID, TIMESTAMPTZOID);

/*
 * stock_truly_free is a piece's timeline with the expired holds given back. A
 * check (own_id is what it is made for) must see holds that others committed a
 * moment ago; a look sees what the rest of its query sees.
 */
TimelineView
stock_truly_free(const StockPiece *piece, const StockKey *key, bool check, const pg_uuid_t *own_id)
{
	MemoryContext caller = CurrentMemoryContext;
	PlanRights	  rights = plan_open_trusted();
	TimelineView  free = piece->free;
	uint64		  n;
	uint64		  i;

	n = plan_execute(&expired_holds,
					 (NullableDatum[]){VALUE(UUIDPGetDatum(&key->product_id)), VALUE(UUIDPGetDatum(&key->location_id)),
									   VALUE(TimestampTzGetDatum(rental_now())),
									   VALUE(period_range_datum(piece->period.start, piece->period.end)),
									   VALUE_OR_NULL(UUIDPGetDatum(own_id), own_id == NULL)},
					 5, !check);
	for (i = 0; i < n; i++)
	{
		Period		  period;
		MemoryContext old = MemoryContextSwitchTo(caller);

		if (period_from_range(plan_datum(i, 1), &period))
			free = timeline_view(timeline_shift(&free, &period, DatumGetInt32(plan_datum(i, 2))));
		MemoryContextSwitchTo(old);
	}
	plan_close_trusted(rights);
	return free;
}

/*
 * Force: while it is on, nothing is refused. What free stock falls to is
 * remembered, and then kept with the stock as accepted, so that the same rows
 * are also accepted by a restore; what is reserved later may not add to it.
 */

typedef struct Accepted
{
	StockKey		 key;
	Timeline		*free;
	struct Accepted *next;
} Accepted;

static SubTransactionId	  forcing_in;
static LocalTransactionId forcing_lxid;
static Accepted			 *accepted;

static bool
is_forcing(void)
{
	return forcing_in != InvalidSubTransactionId && forcing_in == GetCurrentSubTransactionId() &&
		   forcing_lxid == MyProc->lxid;
}

void
stock_force_begin(void)
{
	forcing_in = GetCurrentSubTransactionId();
	forcing_lxid = MyProc->lxid;
	accepted = NULL;
}

/*
 * stock_lock locks a product's rows of stock: who forces a change writes there
 * after the timelines are locked, and others lock there first.
 */
void
stock_lock(NullableDatum product_id)
{
	plan_run(&stock_rows_lock, product_id);
}

/* Called between plan_open and plan_close. */
void
stock_force_end(void)
{
	forcing_in = InvalidSubTransactionId;
	for (; accepted != NULL; accepted = accepted->next)
		plan_run(&accept, VALUE(UUIDPGetDatum(&accepted->key.product_id)),
				 VALUE(UUIDPGetDatum(&accepted->key.location_id)), VALUE(UUIDPGetDatum(&accepted->key.vendor_id)),
				 VALUE(CStringGetTextDatum(timeline_text(accepted->free))), VALUE(TimestampTzGetDatum(rental_now())));
}

/* remember_accepted keeps what is below zero in a piece. */
static void
remember_accepted(const StockKey *key, const StockPiece *piece)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	TimelineView  zero = {0};
	TimelineView  below = timeline_view(timeline_lesser(&piece->free, &zero));
	Period		  before = {DT_NOBEGIN, piece->period.start};
	Period		  after = {piece->period.end, DT_NOEND};
	Accepted	 *entry = palloc(sizeof(Accepted));

	if (!TIMESTAMP_IS_NOBEGIN(before.end))
		below = timeline_view(timeline_shift(&below, &before, -below.base));
	if (!TIMESTAMP_IS_NOEND(after.start))
		below = timeline_view(timeline_shift(&below, &after, -timeline_value(&below, after.start)));
	entry->key = *key;
	entry->free = timeline_lesser(&below, &zero);
	entry->next = accepted;
	accepted = entry;
	MemoryContextSwitchTo(old);
}

/* Triggers */

static void
trigger_require(FunctionCallInfo fcinfo, TriggerEvent when)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event) ||
		(trigger->tg_event & TRIGGER_EVENT_TIMINGMASK) != when)
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("a stock trigger must be fired for each row, after it changed")));
}

static Datum
trigger_column(TriggerData *trigger, HeapTuple row, int column)
{
	bool  isnull;
	Datum value = heap_getattr(row, column, RelationGetDescr(trigger->tg_relation), &isnull);

	if (isnull)
		elog(ERROR, "unexpected null in column %d", column);
	return value;
}

static HeapTuple
trigger_old_row(TriggerData *trigger)
{
	return TRIGGER_FIRED_BY_INSERT(trigger->tg_event) ? NULL : trigger->tg_trigtuple;
}

static HeapTuple
trigger_new_row(TriggerData *trigger)
{
	if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		return NULL;
	return TRIGGER_FIRED_BY_INSERT(trigger->tg_event) ? trigger->tg_trigtuple : trigger->tg_newtuple;
}

static int
compare_keys(const StockKey *a, const StockKey *b)
{
	int order = memcmp(a->product_id.data, b->product_id.data, UUID_LEN);

	if (order == 0)
		order = memcmp(a->location_id.data, b->location_id.data, UUID_LEN);
	if (order == 0)
		order = memcmp(a->vendor_id.data, b->vendor_id.data, UUID_LEN);
	return order;
}

/* What a check must know to judge, and to explain, a refusal */
typedef struct StockClaim
{
	const StockKey	*key;
	const pg_uuid_t *reservation_id; /* NULL for a change of capacity */
	int32			 quantity;
	TimestampTz		 since;	  /* what lies before is past and does not count */
	TimestampTz		 made_at; /* of a new reservation; -infinity for any other change */
	Period			 had;	  /* where it took as much before: only there it may go as far as was accepted by force */
} StockClaim;

static const Period always = {DT_NOBEGIN, DT_NOEND};
static const Period never = {DT_NOEND, DT_NOBEGIN};

/*
 * tolerated is how far below zero a claim may go: what the product allows
 * always (limit), and what was accepted by force after the claim was made.
 */
static TimelineView
tolerated(const StockClaim *claim, int32 *limit)
{
	MemoryContext caller = CurrentMemoryContext;
	PlanRights	  rights = plan_open_trusted();
	TimelineView  kept = {0};
	TimelineView  allowed = {0};

	*limit = 0;
	if (plan_run(&tolerance, VALUE(UUIDPGetDatum(&claim->key->product_id)),
				 VALUE(UUIDPGetDatum(&claim->key->location_id)), VALUE(UUIDPGetDatum(&claim->key->vendor_id))) > 0)
	{
		NullableDatum floor = plan_value(0, 2);
		MemoryContext old = MemoryContextSwitchTo(caller);

		*limit = DatumGetInt32(plan_datum(0, 1));
		if (!floor.isnull && DatumGetTimestampTz(plan_datum(0, 3)) >= claim->made_at)
			kept = timeline_view((Timeline *) PG_DETOAST_DATUM_COPY(floor.value));
		MemoryContextSwitchTo(old);
	}
	plan_close_trusted(rights);
	allowed.base = -*limit;
	return timeline_view(timeline_lesser(&kept, &allowed));
}

static bool
any_sold(const StockKey *key)
{
	PlanRights rights = plan_open_trusted();
	bool	   sold =
		plan_run(&sold_for_good, VALUE(UUIDPGetDatum(&key->product_id)), VALUE(UUIDPGetDatum(&key->location_id))) > 0;

	plan_close_trusted(rights);
	return sold;
}

/*
 * judge_claim refuses a change that leaves less free than there may be, at a
 * time where it made things worse.
 */
static void
judge_claim(const StockPiece *before, const StockPiece *after, void *arg)
{
	StockClaim	*claim = arg;
	TimestampTz	 now = rental_now();
	TimestampTz	 at = Max(after->period.start, claim->since);
	TimestampTz	 worst_at = at;
	int32		 worst = PG_INT32_MAX;
	TimelineView truly;
	TimelineView least;
	int32		 limit;

	/* where no chunk is nobody was promised anything, but what was sold for good */
	if (claim->reservation_id == NULL && TIMESTAMP_IS_NOBEGIN(after->period.start) && !any_sold(claim->key))
		return;
	truly = stock_truly_free(after, claim->key, true, claim->reservation_id);
	if (is_forcing())
	{
		remember_accepted(claim->key, &(StockPiece){after->period, after->holds_until, truly});
		return;
	}
	least = tolerated(claim, &limit);
	while (at < after->period.end)
	{
		const TimelineView *views[] = {&before->free, &after->free, &truly, &least};
		bool				had = at >= claim->had.start && at < claim->had.end;
		TimestampTz			next = after->period.end;
		int32				value[4];
		int					i;

		if (at < claim->had.start)
			next = Min(next, claim->had.start);
		else if (had)
			next = Min(next, at < now ? Min(now, claim->had.end) : claim->had.end);

		for (i = 0; i < 4; i++)
		{
			int step = timeline_locate(views[i], at);

			value[i] = step < 0 ? views[i]->base : views[i]->value[step];
			if (step + 1 < views[i]->count)
				next = Min(next, views[i]->at[step + 1]);
		}
		/* what was taken and is over cannot be missing any more */
		if (value[1] < value[0] && !(had && at < now) && value[2] < (had ? value[3] : -limit) && value[2] < worst)
		{
			worst = value[2];
			worst_at = at;
		}
		at = next;
	}
	if (worst == PG_INT32_MAX)
		return;
	if (claim->reservation_id != NULL)
		rental_raise(insufficient_stock,
					 errmsg("only %d of %d asked for are free", Max(worst + claim->quantity, 0), claim->quantity),
					 errdetail("Product %s at location %s, from %s.", uuid_text(&claim->key->product_id),
							   uuid_text(&claim->key->location_id), period_time_text(worst_at)));
	rental_raise(conflict, errmsg("%d pieces are promised that would be missing", -worst),
				 errdetail("Product %s at location %s, from %s.", uuid_text(&claim->key->product_id),
						   uuid_text(&claim->key->location_id), period_time_text(worst_at)),
				 errhint("Force it to have the shortages listed instead."), errfield("quantity"));
}

/*
 * capacity_now computes a capacity from the books. The head is locked first:
 * whoever held it before us has committed what we must count in.
 */
static Timeline *
capacity_now(const StockKey *key)
{
	MemoryContext caller = CurrentMemoryContext;
	NullableDatum value;
	Timeline	 *result;
	MemoryContext old;

	chunk_lock_head(key);
	plan_run(&capacity_of, VALUE(UUIDPGetDatum(&key->product_id)), VALUE(UUIDPGetDatum(&key->location_id)));
	value = plan_value(0, 1);
	old = MemoryContextSwitchTo(caller);
	result = value.isnull ? timeline_constant(0) : (Timeline *) PG_DETOAST_DATUM_COPY(value.value);
	MemoryContextSwitchTo(old);
	return result;
}

/* Reservations: columns in the order of sql/install/50_orders.sql */
enum
{
	RESERVATION_VENDOR = 1,
	RESERVATION_ID,
	RESERVATION_PRODUCT,
	RESERVATION_LOCATION,
	RESERVATION_ORDER_ITEM,
	RESERVATION_UNIT,
	RESERVATION_QUANTITY,
	RESERVATION_STATE,
	RESERVATION_PERIOD,
	RESERVATION_BLOCKED,
	RESERVATION_EXPIRES,
	RESERVATION_CREATED
};

/* What a row of reservations takes from the stock */
typedef struct Taking
{
	StockKey	key;
	pg_uuid_t	id;
	Period		period;
	int32		quantity; /* 0: nothing */
	bool		is_hold;
	TimestampTz expires_at; /* infinity if it is no hold */
	TimestampTz created_at;
} Taking;

/* row_check refuses a row whose columns do not fit together; written here, it costs an INSERT far less than a CHECK. */
static void
row_check(bool fits, const char *what)
{
	if (!fits)
		ereport(ERROR, (errcode(ERRCODE_CHECK_VIOLATION), errmsg("a reservation must have %s", what)));
}

static Taking
taking_of_row(TriggerData *trigger, HeapTuple row)
{
	Taking		  taking = {0};
	NullableDatum expires;
	Period		  period;
	bool		  released;
	char		 *state;

	taking.expires_at = DT_NOEND;
	if (row == NULL)
		return taking;
	taking.key.vendor_id = *DatumGetUUIDP(trigger_column(trigger, row, RESERVATION_VENDOR));
	taking.key.product_id = *DatumGetUUIDP(trigger_column(trigger, row, RESERVATION_PRODUCT));
	taking.key.location_id = *DatumGetUUIDP(trigger_column(trigger, row, RESERVATION_LOCATION));
	taking.created_at = DatumGetTimestampTz(trigger_column(trigger, row, RESERVATION_CREATED));
	taking.id = *DatumGetUUIDP(trigger_column(trigger, row, RESERVATION_ID));
	state = TextDatumGetCString(trigger_column(trigger, row, RESERVATION_STATE));
	released = strcmp(state, "released") == 0;
	taking.is_hold = strcmp(state, "hold") == 0;
	expires.value = heap_getattr(row, RESERVATION_EXPIRES, RelationGetDescr(trigger->tg_relation), &expires.isnull);
	row_check(taking.is_hold != expires.isnull, "expires_at if and only if it is a hold");
	row_check(period_from_range(trigger_column(trigger, row, RESERVATION_PERIOD), &period) &&
				  !TIMESTAMP_NOT_FINITE(period.start) && !TIMESTAMP_NOT_FINITE(period.end),
			  "a period with a start and an end");
	row_check(period_from_range(trigger_column(trigger, row, RESERVATION_BLOCKED), &taking.period) &&
				  !TIMESTAMP_NOT_FINITE(taking.period.start) && taking.period.start <= period.start &&
				  taking.period.end >= period.end,
			  "a blocked time with a start, around its period");
	if (released)
	{
		taking.is_hold = false;
		return taking;
	}
	taking.quantity = DatumGetInt32(trigger_column(trigger, row, RESERVATION_QUANTITY));
	if (taking.is_hold)
		taking.expires_at = DatumGetTimestampTz(expires.value);
	return taking;
}

static bool
is_endless(const Taking *taking)
{
	return taking->quantity > 0 && TIMESTAMP_IS_NOEND(taking->period.end);
}

/*
 * taking_change carries a change of what is taken into the timelines. What
 * was accepted by force was accepted for what was taken then: a row that comes
 * back with a restore or is a part of another, and one that goes on as it was.
 * What takes more pieces, or a longer time, claims them anew, and so does a hold
 * that had ended.
 */
static void
taking_change(const Taking *old, const Taking *new, bool is_new_row)
{
	const Taking *live = new->quantity > 0 ? new : old;
	StockClaim	  claim = {&live->key, &live->id, new->quantity, DT_NOBEGIN, DT_NOBEGIN, never};
	StockShift	  shifts[2];
	int			  n = 0;

	if (is_new_row)
	{
		claim.made_at = new->created_at;
		if (new->created_at < rental_now())
			claim.had = always;
	}
	else if (old->quantity >= new->quantity && old->expires_at > rental_now())
		claim.had = old->period;
	/* what is sold for good is taken off the capacity */
	if (is_endless(old) || is_endless(new))
	{
		PlanRights rights = plan_open_trusted();
		Timeline  *capacity = capacity_now(&live->key);

		plan_close_trusted(rights);
		chunk_set_capacity(&live->key, capacity, judge_claim, &claim);
	}
	if (old->quantity > 0 && !is_endless(old))
		shifts[n++] = (StockShift){old->period, old->quantity};
	if (new->quantity > 0 && !is_endless(new))
		shifts[n++] = (StockShift){new->period, -new->quantity};

	/*
	 * A hold may have expired, and its stock may have been promised to
	 * somebody else, so whatever it becomes is checked as if it were new.
	 */
	if (n > 0)
		chunk_shift(&live->key, shifts, n, n == 2 && old->is_hold ? 1 : 0, new->expires_at, judge_claim, &claim);
}

/* stock_reservation_changed: after INSERT, UPDATE or DELETE on reservations */
PG_FUNCTION_INFO_V1(stock_reservation_changed);
Datum
stock_reservation_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Taking		 nothing = {.expires_at = DT_NOEND};
	Taking		 old;
	Taking new;
	int order;

	trigger_require(fcinfo, TRIGGER_EVENT_AFTER);
	old = taking_of_row(trigger, trigger_old_row(trigger));
	new = taking_of_row(trigger, trigger_new_row(trigger));
	if (old.quantity == new.quantity && old.period.start == new.period.start &&old.period.end ==
											new.period.end &&old.is_hold == new.is_hold &&old.expires_at ==
											new.expires_at &&compare_keys(&old.key, &new.key) == 0)
		return PointerGetDatum(NULL);
	/* what takes something meets its timeline; what takes nothing, or all that follows, must have one as well */
	if (trigger_new_row(trigger) != NULL && (new.quantity == 0 || is_endless(&new)) &&
		(trigger_old_row(trigger) == NULL || compare_keys(&old.key, &new.key) != 0))
		chunk_require(&new.key);
	order = old.quantity == 0 || new.quantity == 0 ? 0 : compare_keys(&old.key, &new.key);
	if (order == 0)
		taking_change(&old, &new, trigger_old_row(trigger) == NULL);
	else if (order < 0)
	{
		taking_change(&old, &nothing, false);
		taking_change(&nothing, &new, false);
	}
	else
	{
		taking_change(&nothing, &new, false);
		taking_change(&old, &nothing, false);
	}
	return PointerGetDatum(NULL);
}

/* Capacity: stock, units, blackouts, and what is sold for good */

#define CHANGED(select)                                                            \
	{                                                                              \
		PLAN_INIT(select(changed) " ORDER BY 1, 2, 3", ),                          \
			PLAN_INIT(select(was) " UNION " select(changed) " ORDER BY 1, 2, 3", ) \
	}
#define STOCK_KEYS(changed) "SELECT DISTINCT product_id, location_id, vendor_id FROM " #changed
#define UNIT_KEYS(changed)                                                                                    \
	"SELECT DISTINCT product_id, location_id, vendor_id FROM " #changed " UNION SELECT DISTINCT product_id, " \
	"m.location_id, vendor_id FROM " #changed ", unnest(moves) AS m"
#define BLACKOUT_KEYS(changed)                                                           \
	"SELECT s.product_id, s.location_id, s.vendor_id FROM rental.stock s JOIN " #changed \
	" b ON b.vendor_id = s.vendor_id "                                                   \
	"AND COALESCE(b.product_id, s.product_id) = s.product_id AND COALESCE(b.location_id, s.location_id) = s.location_id"

/* For each: one transition table, or an old and a new one */
static PreparedPlan stock_keys[2] = CHANGED(STOCK_KEYS);
static PreparedPlan unit_keys[2] = CHANGED(UNIT_KEYS);
static PreparedPlan blackout_keys[2] = CHANGED(BLACKOUT_KEYS);

PLAN(
	mark_stocked,
	"UPDATE rental.products p SET is_stocked = true FROM changed c WHERE p.id = c.product_id AND p.vendor_id = c.vendor_id AND NOT p.is_stocked", );
PLAN(
	units_busy,
	"SELECT u.code FROM changed b JOIN rental.units u ON u.id = b.unit_id AND u.vendor_id = b.vendor_id "
	"JOIN rental.unit_assignments a ON a.unit_id = b.unit_id AND a.vendor_id = b.vendor_id AND a.blocked && b.period LIMIT 1", );
PLAN(
	units_lock,
	"SELECT FROM rental.units u JOIN changed b ON u.id = b.unit_id AND u.vendor_id = b.vendor_id ORDER BY u.id FOR NO KEY UPDATE OF u", );
PLAN(blackouts_new, "SELECT FROM changed WHERE created_at >= $1 LIMIT 1", TIMESTAMPTZOID);
PLAN(
	units_gone,
	"SELECT u.code FROM changed u JOIN rental.unit_assignments a ON a.unit_id = u.id AND a.vendor_id = u.vendor_id "
	"JOIN rental.reservations r ON r.id = a.reservation_id AND r.vendor_id = a.vendor_id AND r.state <> 'released' "
	"WHERE upper(a.blocked) > $1 AND NOT EXISTS (SELECT FROM rental.unit_place p WHERE p.unit_id = u.id AND p.vendor_id = u.vendor_id "
	"AND p.location_id = r.location_id AND p.period @> a.blocked * tstzrange($1, NULL)) LIMIT 1",
	TIMESTAMPTZOID);

/*
 * capacities_refresh computes the capacities anew that a statement has changed.
 * What was accepted by force counts only for rows that a restore brings back.
 */
static void
capacities_refresh(FunctionCallInfo fcinfo, PreparedPlan *keys, bool is_restored)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	bool		 update = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event);
	StockKey	*changed;
	uint64		 n;
	uint64		 i;

	n = plan_execute(&keys[update ? 1 : 0], NULL, 0, false);
	changed = palloc(Max(n, 1) * sizeof(StockKey));
	for (i = 0; i < n; i++)
	{
		changed[i].product_id = *DatumGetUUIDP(plan_datum(i, 1));
		changed[i].location_id = *DatumGetUUIDP(plan_datum(i, 2));
		changed[i].vendor_id = *DatumGetUUIDP(plan_datum(i, 3));
	}
	for (i = 0; i < n; i++)
	{
		StockClaim claim = {&changed[i], NULL, 0, rental_now(), DT_NOBEGIN, is_restored ? always : never};

		chunk_set_capacity(&changed[i], capacity_now(&changed[i]), judge_claim, &claim);
	}
}

static PlanRights
statement_begin(FunctionCallInfo fcinfo)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	PlanRights	 rights;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event) ||
		!TRIGGER_FIRED_AFTER(trigger->tg_event))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("a capacity trigger must be fired after a statement")));
	rights = plan_open_trusted();
	plan_see_changes(trigger);
	return rights;
}

static bool
is_insert(FunctionCallInfo fcinfo)
{
	return TRIGGER_FIRED_BY_INSERT(((TriggerData *) fcinfo->context)->tg_event);
}

/* stock_changed: after a statement inserted or updated rows of stock; a deleted row takes its timeline with it */
PG_FUNCTION_INFO_V1(stock_changed);
Datum
stock_changed(PG_FUNCTION_ARGS)
{
	PlanRights rights = statement_begin(fcinfo);

	capacities_refresh(fcinfo, stock_keys, is_insert(fcinfo));
	if (is_insert(fcinfo))
		plan_execute(&mark_stocked, NULL, 0, false);
	plan_close_trusted(rights);
	return PointerGetDatum(NULL);
}

/* unit_changed: after a statement changed units; a unit stays where it is assigned */
PG_FUNCTION_INFO_V1(unit_changed);
Datum
unit_changed(PG_FUNCTION_ARGS)
{
	PlanRights rights = statement_begin(fcinfo);

	capacities_refresh(fcinfo, unit_keys, is_insert(fcinfo));
	if (TRIGGER_FIRED_BY_UPDATE(((TriggerData *) fcinfo->context)->tg_event) &&
		plan_run(&units_gone, VALUE(TimestampTzGetDatum(rental_now()))) > 0)
		rental_raise(conflict, errmsg("unit %s is assigned to an order then", plan_text(0, 1)),
					 errhint("Assign another unit first."));
	plan_close_trusted(rights);
	return PointerGetDatum(NULL);
}

/* blackout_changed: after a statement changed blackouts; a unit under repair is not assigned */
PG_FUNCTION_INFO_V1(blackout_changed);
Datum
blackout_changed(PG_FUNCTION_ARGS)
{
	PlanRights rights = statement_begin(fcinfo);

	/* units are locked before timelines, here and where orders are placed */
	if (!TRIGGER_FIRED_BY_DELETE(((TriggerData *) fcinfo->context)->tg_event))
	{
		plan_execute(&units_lock, NULL, 0, false);
		if (plan_execute(&units_busy, NULL, 0, false) > 0)
			rental_raise(conflict, errmsg("unit %s is assigned to an order then", plan_text(0, 1)),
						 errhint("Assign another unit first."));
	}
	capacities_refresh(fcinfo, blackout_keys,
					   is_insert(fcinfo) && plan_run(&blackouts_new, VALUE(TimestampTzGetDatum(rental_now()))) == 0);
	plan_close_trusted(rights);
	return PointerGetDatum(NULL);
}

/* stock_fixed: before UPDATE of a key, or TRUNCATE, of a table that timelines are derived from */
PG_FUNCTION_INFO_V1(stock_fixed);
Datum
stock_fixed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "stock_fixed is a trigger");
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("cannot do this to \"%s\"", RelationGetRelationName(trigger->tg_relation)),
					errhint("Its rows are changed one by one, and keep their keys.")));
}

/* Rebuilding: all timelines anew from stock, units and reservations */

PLAN(
	rebuild_lock,
	"LOCK TABLE rental.stock, rental.units, rental.blackouts, rental.reservations, rental.timelines IN SHARE ROW EXCLUSIVE MODE", );
PLAN(rebuild_clear, "DELETE FROM rental.timelines", );
/* In the order of the key, so that a product's rows lie side by side and the index is as small as it can be. */
PLAN(
	rebuild_fill,
	"INSERT INTO rental.timelines (product_id, location_id, lower, vendor_id, upper, holds_until, level, free) "
	"SELECT k.product_id, k.location_id, c.lower, k.vendor_id, c.upper, c.holds_until, rental.timeline_level(c.free), c.free FROM ("
	" SELECT h.*, t.taken, t.holds FROM (SELECT product_id, location_id, vendor_id, rental.timeline_zero(rental.timeline_agg(period, quantity), "
	"  range_agg(period) FILTER (WHERE closed)) AS capacity FROM rental.stock_capacity GROUP BY product_id, location_id, vendor_id) h "
	" LEFT JOIN (SELECT product_id, location_id, rental.timeline_agg(blocked, -quantity) AS taken, bool_or(state = 'hold') AS holds "
	"  FROM rental.reservations WHERE state <> 'released' AND NOT upper_inf(blocked) GROUP BY product_id, location_id) t "
	" ON t.product_id = h.product_id AND t.location_id = h.location_id ORDER BY h.product_id, h.location_id) k, LATERAL ("
	" SELECT '-infinity'::timestamptz AS lower, '-infinity'::timestamptz AS upper, 'infinity'::timestamptz AS holds_until, k.capacity AS free "
	" UNION ALL SELECT s.lower, s.upper, COALESCE(CASE WHEN k.holds THEN (SELECT min(r.expires_at) FROM rental.reservations r "
	"  WHERE r.product_id = k.product_id AND r.location_id = k.location_id AND r.state = 'hold' AND r.expires_at IS NOT NULL "
	"  AND r.blocked && tstzrange(s.lower, s.upper)) END, 'infinity'), s.chunk "
	" FROM rental.timeline_chunks(k.capacity, rental.timeline_merge(k.capacity, k.taken)) s) c", );

/* stock_rebuild() -> number of rows written */
PG_FUNCTION_INFO_V1(stock_rebuild);
Datum
stock_rebuild(PG_FUNCTION_ARGS)
{
	int64 rows;

	actor_require_admin();
	plan_open();
	plan_execute(&rebuild_lock, NULL, 0, false);
	plan_execute(&rebuild_clear, NULL, 0, false);
	rows = plan_execute(&rebuild_fill, NULL, 0, false);
	plan_close();
	PG_RETURN_INT64(rows);
}
