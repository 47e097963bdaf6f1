/*
 * stock.c
 *	  Availability over time, and the triggers that keep it: nobody can overbook.
 *
 * Reservations, stock and units are the truth; their triggers carry every
 * change into the timelines of chunk.c, in the same transaction and under the
 * lock of the rows concerned, and refuse what would take more than there is.
 * They fire for every caller, raw SQL and a restore included.
 *
 * A hold that has expired takes nothing, also before anybody has released it:
 * wherever too little seems to be free, the expired holds are given back first.
 */
#include "stock.h"

#include "actor.h"
#include "catalog.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "errors.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "plan.h"
#include "request.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rangetypes.h"
#include "utils/rel.h"

PLAN(expired_holds,
	 "SELECT blocked, quantity FROM rental.reservations WHERE product_id = $1 AND location_id = $2 "
	 "AND state = 'hold' AND expires_at <= $3 AND blocked && $4 AND id IS DISTINCT FROM $5",
	 UUIDOID, UUIDOID, TIMESTAMPTZOID, TSTZRANGEOID, UUIDOID);
PLAN(shortage_limit, "SELECT shortage_limit FROM rental.products WHERE id = $1 AND vendor_id = $2", UUIDOID, UUIDOID);

/*
 * A trigger runs as whoever writes the table, with whatever search path. The
 * slow path of a check needs to read tables, by the fixed queries above: it
 * does so with full rights, and looks names up in fixed schemas.
 */
typedef struct OwnerRights
{
	Oid user;
	int security;
	int nest;
} OwnerRights;

static OwnerRights
owner_rights_take(void)
{
	OwnerRights rights;

	GetUserIdAndSecContext(&rights.user, &rights.security);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID, rights.security | SECURITY_LOCAL_USERID_CHANGE);
	rights.nest = NewGUCNestLevel();
	set_config_option("search_path", "pg_catalog, rental, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true,
					  0, false);
	return rights;
}

static void
owner_rights_return(OwnerRights rights)
{
	AtEOXact_GUC(true, rights.nest);
	SetUserIdAndSecContext(rights.user, rights.security);
}

/*
 * without_expired_holds is a piece's timeline with the expired holds given
 * back. A check (own_id is what it is made for) must see holds that others
 * committed a moment ago; a look sees what the rest of its query sees.
 */
static TimelineView
without_expired_holds(const StockPiece *piece, const StockKey *key, bool check, const pg_uuid_t *own_id)
{
	OwnerRights	  rights = owner_rights_take();
	MemoryContext caller = CurrentMemoryContext;
	TimelineView  free = piece->free;
	uint64		  n;
	uint64		  i;

	plan_open();
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
	plan_close();
	owner_rights_return(rights);
	return free;
}

/* Looks */

typedef struct FreeLook
{
	const pg_uuid_t *product_id;
	const pg_uuid_t *location_id;
	int32			 lowest;
} FreeLook;

static TimelineView
piece_now(const StockPiece *piece, const pg_uuid_t *product_id, const pg_uuid_t *location_id)
{
	StockKey key = {.product_id = *product_id, .location_id = *location_id};

	if (piece->holds_until > rental_now())
		return piece->free;
	return without_expired_holds(piece, &key, false, NULL);
}

static bool
look_lowest(const StockPiece *piece, void *arg)
{
	FreeLook	*look = arg;
	TimelineView free = piece_now(piece, look->product_id, look->location_id);

	look->lowest = Min(look->lowest, timeline_lowest(&free, &piece->period, NULL));
	return true;
}

/* stock_free is the least that is free at a location in a window, 0 if the product is not kept there. */
int32
stock_free(const pg_uuid_t *product_id, const pg_uuid_t *location_id, const Period *window)
{
	FreeLook look = {product_id, location_id, PG_INT32_MAX};

	if (!chunk_read(product_id, location_id, window, look_lowest, &look))
		return 0;
	return Max(look.lowest, 0);
}

/* stock_is_kept tells whether a product is kept at a location. */
bool
stock_is_kept(const pg_uuid_t *product_id, const pg_uuid_t *location_id)
{
	FreeLook look = {product_id, location_id, PG_INT32_MAX};
	Period	 moment = {rental_now(), rental_now() + 1};

	return chunk_read(product_id, location_id, &moment, look_lowest, &look);
}

/*
 * stock_best_location finds the location where most is free in a window. It
 * returns false if the product is kept nowhere.
 */
bool
stock_best_location(const pg_uuid_t *product_id, const Period *window, pg_uuid_t *location_id, int32 *free)
{
	pg_uuid_t at;
	bool	  found = false;
	bool	  more;

	*free = 0;
	for (more = chunk_next_location(product_id, &at, true); more; more = chunk_next_location(product_id, &at, false))
	{
		int32 here = stock_free(product_id, &at, window);

		if (!found || here > *free)
		{
			*location_id = at;
			*free = here;
		}
		found = true;
	}
	return found;
}

/*
 * availability(product_id uuid, period tstzrange, location_id uuid): pieces
 * free during the whole period, at the location or at the best one
 */
PG_FUNCTION_INFO_V1(availability);
Datum
availability(PG_FUNCTION_ARGS)
{
	Period	  window;
	pg_uuid_t location;
	int32	  free;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	if (!period_from_range(PG_GETARG_DATUM(1), &window))
		rental_raise(invalid_period, errmsg("the period is empty"), errfield("period"));
	if (!PG_ARGISNULL(2))
		PG_RETURN_INT32(stock_free(PG_GETARG_UUID_P(0), PG_GETARG_UUID_P(2), &window));
	if (!stock_best_location(PG_GETARG_UUID_P(0), &window, &location, &free))
		PG_RETURN_NULL();
	PG_RETURN_INT32(free);
}

/* Steps of availability: at one location, or of the best location at each time */

typedef struct StepsLook
{
	const pg_uuid_t *product_id;
	const pg_uuid_t *location_id;
	int				 count;
	int				 room;
	TimestampTz		*at;
	int32			*value;
} StepsLook;

static void
steps_append(StepsLook *steps, TimestampTz at, int32 value)
{
	value = Max(value, 0);
	if (steps->count > 0 && steps->value[steps->count - 1] == value)
		return;
	if (steps->count == steps->room)
	{
		steps->room = Max(16, steps->room * 2);
		steps->at = steps->at ? repalloc(steps->at, steps->room * sizeof(TimestampTz))
							  : palloc(steps->room * sizeof(TimestampTz));
		steps->value =
			steps->value ? repalloc(steps->value, steps->room * sizeof(int32)) : palloc(steps->room * sizeof(int32));
	}
	steps->at[steps->count] = at;
	steps->value[steps->count++] = value;
}

static bool
look_steps(const StockPiece *piece, void *arg)
{
	StepsLook	*look = arg;
	TimelineView free = piece_now(piece, look->product_id, look->location_id);
	int			 i = timeline_locate(&free, piece->period.start);

	steps_append(look, piece->period.start, i < 0 ? free.base : free.value[i]);
	for (i++; i < free.count && free.at[i] < piece->period.end; i++)
		steps_append(look, free.at[i], free.value[i]);
	return true;
}

/* steps_merge is the greater of two at each time. */
static StepsLook
steps_merge(const StepsLook *a, const StepsLook *b)
{
	StepsLook merged = {0};
	int		  i = 0;
	int		  j = 0;

	if (a->count == 0)
		return *b;
	while (i < a->count || j < b->count)
	{
		TimestampTz at = j == b->count || (i < a->count && a->at[i] <= b->at[j]) ? a->at[i] : b->at[j];

		if (i < a->count && a->at[i] == at)
			i++;
		if (j < b->count && b->at[j] == at)
			j++;
		steps_append(&merged, at, Max(a->value[i - 1], b->value[j - 1]));
	}
	return merged;
}

static bool
steps_read(const pg_uuid_t *product_id, NullableDatum location, const Period *window, StepsLook *result)
{
	pg_uuid_t at;
	bool	  more;

	memset(result, 0, sizeof(*result));
	if (!location.isnull)
	{
		result->product_id = product_id;
		result->location_id = DatumGetUUIDP(location.value);
		return chunk_read(product_id, result->location_id, window, look_steps, result);
	}
	for (more = chunk_next_location(product_id, &at, true); more; more = chunk_next_location(product_id, &at, false))
	{
		StepsLook here = {product_id, &at, 0, 0, NULL, NULL};

		chunk_read(product_id, &at, window, look_steps, &here);
		*result = steps_merge(result, &here);
	}
	return result->count > 0;
}

/* step_values are start_at, end_at and available of a step. */
static void
step_values(const StepsLook *steps, int i, TimestampTz end, Datum *values)
{
	values[0] = TimestampTzGetDatum(steps->at[i]);
	values[1] = TimestampTzGetDatum(i + 1 < steps->count ? steps->at[i + 1] : end);
	values[2] = Int32GetDatum(steps->value[i]);
}

/* availability_steps(product_id uuid, period tstzrange, location_id uuid): start_at, end_at, available */
PG_FUNCTION_INFO_V1(availability_steps);
Datum
availability_steps(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	StepsLook	   steps;
	Period		   window;
	int			   i;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	if (!period_from_range(PG_GETARG_DATUM(1), &window))
		rental_raise(invalid_period, errmsg("the period is empty"), errfield("period"));
	steps_read(PG_GETARG_UUID_P(0), FCARG(2), &window, &steps);
	for (i = 0; i < steps.count; i++)
	{
		Datum values[3];
		bool  nulls[3] = {false};

		step_values(&steps, i, window.end, values);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
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
	TimestampTz		 since; /* what lies before is past and does not count */
} StockClaim;

static int32
shortage_allowed(const StockKey *key)
{
	OwnerRights rights = owner_rights_take();
	int32		limit = 0;

	plan_open();
	if (plan_run(&shortage_limit, VALUE(UUIDPGetDatum(&key->product_id)), VALUE(UUIDPGetDatum(&key->vendor_id))) > 0)
		limit = DatumGetInt32(plan_datum(0, 1));
	plan_close();
	owner_rights_return(rights);
	return limit;
}

/*
 * judge_claim refuses a change that leaves less free than there may be, at a
 * time where it made things worse.
 */
static void
judge_claim(const StockPiece *before, const StockPiece *after, void *arg)
{
	StockClaim	*claim = arg;
	TimelineView truly = without_expired_holds(after, claim->key, true, claim->reservation_id);
	int32		 least = -shortage_allowed(claim->key);
	TimestampTz	 at = Max(after->period.start, claim->since);
	TimestampTz	 worst_at = at;
	int32		 worst = PG_INT32_MAX;

	while (at < after->period.end)
	{
		const TimelineView *views[] = {&before->free, &after->free, &truly};
		TimestampTz			next = after->period.end;
		int32				value[3];
		int					i;

		for (i = 0; i < 3; i++)
		{
			int step = timeline_locate(views[i], at);

			value[i] = step < 0 ? views[i]->base : views[i]->value[step];
			if (step + 1 < views[i]->count)
				next = Min(next, views[i]->at[step + 1]);
		}
		if (value[1] < value[0] && value[2] < worst)
		{
			worst = value[2];
			worst_at = at;
		}
		at = next;
	}
	if (worst >= least)
		return;
	if (claim->reservation_id != NULL)
		rental_raise(insufficient_stock,
					 errmsg("only %d of %d asked for are free", Max(worst + claim->quantity, 0), claim->quantity),
					 errdetail("Product %s at location %s, from %s.", uuid_text(&claim->key->product_id),
							   uuid_text(&claim->key->location_id), timestamptz_to_str(worst_at)));
	rental_raise(conflict, errmsg("%d pieces are promised that would be missing", -worst),
				 errdetail("Product %s at location %s, from %s.", uuid_text(&claim->key->product_id),
						   uuid_text(&claim->key->location_id), timestamptz_to_str(worst_at)),
				 errfield("quantity"));
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
	RESERVATION_EXPIRES
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
} Taking;

static Taking
taking_of_row(TriggerData *trigger, HeapTuple row)
{
	Taking taking = {0};
	char  *state;

	taking.expires_at = DT_NOEND;
	if (row == NULL)
		return taking;
	taking.key.vendor_id = *DatumGetUUIDP(trigger_column(trigger, row, RESERVATION_VENDOR));
	taking.key.product_id = *DatumGetUUIDP(trigger_column(trigger, row, RESERVATION_PRODUCT));
	taking.key.location_id = *DatumGetUUIDP(trigger_column(trigger, row, RESERVATION_LOCATION));
	taking.id = *DatumGetUUIDP(trigger_column(trigger, row, RESERVATION_ID));
	state = TextDatumGetCString(trigger_column(trigger, row, RESERVATION_STATE));
	if (strcmp(state, "released") == 0 ||
		!period_from_range(trigger_column(trigger, row, RESERVATION_BLOCKED), &taking.period))
		return taking;
	taking.quantity = DatumGetInt32(trigger_column(trigger, row, RESERVATION_QUANTITY));
	taking.is_hold = strcmp(state, "hold") == 0;
	if (taking.is_hold)
		taking.expires_at = DatumGetTimestampTz(trigger_column(trigger, row, RESERVATION_EXPIRES));
	return taking;
}

static void
taking_change(const Taking *old, const Taking *new)
{
	const Taking *live = new->quantity > 0 ? new : old;
	StockClaim	  claim = {&live->key, &live->id, new->quantity, DT_NOBEGIN};
	StockShift	  shifts[2];
	int			  n = 0;

	if (old->quantity > 0)
		shifts[n++] = (StockShift){old->period, old->quantity};
	if (new->quantity > 0)
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
	order = old.quantity == 0 || new.quantity == 0 ? 0 : compare_keys(&old.key, &new.key);
	if (order == 0)
		taking_change(&old, &new);
	else if (order < 0)
	{
		taking_change(&old, &nothing);
		taking_change(&nothing, &new);
	}
	else
	{
		taking_change(&nothing, &new);
		taking_change(&old, &nothing);
	}
	return PointerGetDatum(NULL);
}

/* Capacity: rows of stock and of units. What is past cannot be missing any more. */

static void
capacity_change(const StockKey *key, const StockShift *shifts, int n)
{
	StockClaim claim = {key, NULL, 0, rental_now()};

	chunk_shift_capacity(key, shifts, n, judge_claim, &claim);
}

enum
{
	STOCK_VENDOR = 1,
	STOCK_PRODUCT,
	STOCK_LOCATION,
	STOCK_QUANTITY
};

/* stock_changed: after INSERT or UPDATE on stock; a deleted row takes its timeline with it */
PG_FUNCTION_INFO_V1(stock_changed);
Datum
stock_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	HeapTuple new;
	StockKey key;
	int32	 quantity;

	trigger_require(fcinfo, TRIGGER_EVENT_AFTER);
	new = trigger_new_row(trigger);
	key.vendor_id = *DatumGetUUIDP(trigger_column(trigger, new, STOCK_VENDOR));
	key.product_id = *DatumGetUUIDP(trigger_column(trigger, new, STOCK_PRODUCT));
	key.location_id = *DatumGetUUIDP(trigger_column(trigger, new, STOCK_LOCATION));
	quantity = DatumGetInt32(trigger_column(trigger, new, STOCK_QUANTITY));
	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		chunk_open_stock(&key, quantity);
	else
	{
		int32	   was = DatumGetInt32(trigger_column(trigger, trigger->tg_trigtuple, STOCK_QUANTITY));
		StockShift shift = {{DT_NOBEGIN, DT_NOEND}, quantity - was};

		if (shift.delta != 0)
			capacity_change(&key, &shift, 1);
	}
	return PointerGetDatum(NULL);
}

enum
{
	UNIT_ID = 1,
	UNIT_VENDOR,
	UNIT_PRODUCT,
	UNIT_LOCATION,
	UNIT_CODE,
	UNIT_IN_SERVICE
};

/* unit_changed: after INSERT, UPDATE or DELETE on units */
PG_FUNCTION_INFO_V1(unit_changed);
Datum
unit_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	HeapTuple	 rows[2];
	StockKey	 keys[2];
	StockShift	 shifts[2];
	int			 n = 0;
	int			 i;

	trigger_require(fcinfo, TRIGGER_EVENT_AFTER);
	rows[0] = trigger_old_row(trigger);
	rows[1] = trigger_new_row(trigger);
	for (i = 0; i < 2; i++)
	{
		if (rows[i] == NULL)
			continue;
		keys[n].vendor_id = *DatumGetUUIDP(trigger_column(trigger, rows[i], UNIT_VENDOR));
		keys[n].product_id = *DatumGetUUIDP(trigger_column(trigger, rows[i], UNIT_PRODUCT));
		keys[n].location_id = *DatumGetUUIDP(trigger_column(trigger, rows[i], UNIT_LOCATION));
		period_from_range(trigger_column(trigger, rows[i], UNIT_IN_SERVICE), &shifts[n].period);
		shifts[n++].delta = i == 0 ? -1 : 1;
	}
	if (n == 2 && compare_keys(&keys[0], &keys[1]) == 0)
		capacity_change(&keys[0], shifts, 2);
	else if (n == 2 && compare_keys(&keys[0], &keys[1]) > 0)
	{
		capacity_change(&keys[1], &shifts[1], 1);
		capacity_change(&keys[0], &shifts[0], 1);
	}
	else
		for (i = 0; i < n; i++)
			capacity_change(&keys[i], &shifts[i], 1);
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

/* product_availability(product_id uuid, "from" timestamptz, "to" timestamptz, location_id uuid) */
PG_FUNCTION_INFO_V1(product_availability);
Datum
product_availability(PG_FUNCTION_ARGS)
{
	Product	  product;
	Period	  window;
	StepsLook steps;
	TupleDesc desc;
	TupleDesc step_desc;
	Oid		  step_type;
	Datum	 *results;
	Datum	  values[3];
	bool	  nulls[3] = {false};
	int		  i;

	request_required(FCARG(0), "product_id");
	request_required(FCARG(1), "from");
	request_required(FCARG(2), "to");
	window = period_check_window(PG_GETARG_TIMESTAMPTZ(1), PG_GETARG_TIMESTAMPTZ(2));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "availability is a composite");
	plan_open();
	product_load(PG_GETARG_UUID_P(0), &product, "product_id");
	plan_close();
	if (!steps_read(PG_GETARG_UUID_P(0), FCARG(3), &window, &steps))
		steps_append(&steps, window.start, 0);

	step_type = get_element_type(TupleDescAttr(desc, 2)->atttypid);
	step_desc = BlessTupleDesc(TypeGetTupleDesc(step_type, NIL));
	results = palloc(steps.count * sizeof(Datum));
	for (i = 0; i < steps.count; i++)
	{
		Datum step[3];

		step_values(&steps, i, window.end, step);
		results[i] = HeapTupleGetDatum(heap_form_tuple(step_desc, step, nulls));
	}
	values[0] = PG_GETARG_DATUM(0);
	values[1] = FCARG(3).value;
	nulls[1] = FCARG(3).isnull;
	values[2] = PointerGetDatum(construct_array(results, steps.count, step_type, -1, false, TYPALIGN_DOUBLE));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* Rebuilding: all timelines anew from stock, units and reservations */

PLAN(rebuild_lock,
	 "LOCK TABLE rental.stock, rental.units, rental.reservations, rental.timelines IN SHARE ROW EXCLUSIVE MODE", );
PLAN(rebuild_clear, "DELETE FROM rental.timelines", );
PLAN(rebuild_heads,
	 "INSERT INTO rental.timelines (product_id, location_id, lower, vendor_id, upper, free) "
	 "SELECT product_id, location_id, '-infinity', vendor_id, '-infinity', rental.timeline_agg(period, quantity) "
	 "FROM rental.stock_capacity GROUP BY product_id, location_id, vendor_id", );
PLAN(
	rebuild_chunks,
	"INSERT INTO rental.timelines (product_id, location_id, lower, vendor_id, upper, holds_until, free) "
	"SELECT h.product_id, h.location_id, c.lower, h.vendor_id, c.upper, "
	" COALESCE(CASE WHEN t.holds THEN (SELECT min(r.expires_at) FROM rental.reservations r WHERE r.product_id = h.product_id "
	"  AND r.location_id = h.location_id AND r.state = 'hold' AND r.blocked && tstzrange(c.lower, c.upper)) END, 'infinity'), c.chunk "
	"FROM (SELECT product_id, location_id, rental.timeline_agg(blocked, -quantity) AS taken, bool_or(state = 'hold') AS holds "
	" FROM rental.reservations WHERE state <> 'released' GROUP BY product_id, location_id) t "
	"JOIN rental.timelines h ON h.product_id = t.product_id AND h.location_id = t.location_id AND h.lower = '-infinity', "
	"LATERAL rental.timeline_chunks(h.free, rental.timeline_merge(h.free, t.taken)) c", );

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
	rows = plan_execute(&rebuild_heads, NULL, 0, false);
	rows += plan_execute(&rebuild_chunks, NULL, 0, false);
	plan_close();
	PG_RETURN_INT64(rows);
}
