/*
 * activity.c
 *	  What people look at before they order, and what they wanted and could
 *	  not have.
 *
 * It owns activity and lost_demand. Reads never write: the servers tell of
 * them in batches, after their answers. An event that makes no sense is left
 * out by itself.
 */
#include "rental.h"

#include "errors.h"
#include "funcapi.h"
#include "plan.h"
#include "report.h"
#include "request.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "period.h"

static bool activity_on;
static bool activity_users;
static int	activity_days;

void
activity_settings(void)
{
	DefineCustomBoolVariable("rental.activity", "Keep what people look at and what they could not have.", NULL,
							 &activity_on, true, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("rental.activity_users", "Keep with it who was logged in.", NULL, &activity_users, false,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("rental.activity_days", "Days until activity_purge() removes it.", NULL, &activity_days, 90,
							1, 36500, PGC_SUSET, 0, NULL, NULL, NULL);
}

PLAN(lists_of, "SELECT jsonb_build_array(value) FROM jsonb_array_elements($1)", JSONBOID);
PLAN(
	activity_insert,
	"INSERT INTO rental.activity (vendor_id, kind, product_id, user_id, visitor, start_at, end_at, quantity, at) "
	"SELECT v.id, e ->> 'kind', p.id, CASE WHEN $2 THEN (e ->> 'user')::uuid END, e ->> 'visitor', "
	" (a ->> COALESCE(k.names[1], ''))::timestamptz, (a ->> COALESCE(k.names[2], ''))::timestamptz, (a ->> 'quantity')::integer, $3 "
	"FROM (SELECT e, e -> 'args' AS a FROM jsonb_array_elements($1) e) e "
	"LEFT JOIN rental.products p ON p.id = (a ->> 'product_id')::uuid "
	"LEFT JOIN rental.vendors v ON v.id = COALESCE(p.vendor_id, (a ->> 'vendor')::uuid) "
	"LEFT JOIN LATERAL (SELECT names FROM (VALUES (ARRAY['start_at', 'end_at']), (ARRAY['from', 'to']), "
	" (ARRAY['available_from', 'available_to'])) n (names) WHERE a ?& names LIMIT 1) k ON true "
	"WHERE e ->> 'kind' <> 'order' AND COALESCE(e ->> 'role', '') NOT IN ('vendor', 'admin')",
	JSONBOID, BOOLOID, TIMESTAMPTZOID);

/*
 * What an event says was wanted, where it is not there now: by a look at a
 * period (a look at a range of dates wanted any time in it), by the carts of
 * who did something with theirs, or by an order that was refused, whose
 * refused line counts even if something has become free since.
 */
PLAN(
	wishes,
	"WITH e AS (SELECT e, e -> 'args' AS a FROM jsonb_array_elements($1) e), wish AS ("
	" SELECT e, (a ->> 'product_id')::uuid AS product_id, (a ->> 'location_id')::uuid AS location_id, (a ->> 'start_at')::timestamptz AS start_at, "
	"  (a ->> 'end_at')::timestamptz AS end_at, COALESCE((a ->> 'quantity')::integer, 1) AS quantity, 'search' AS source, false AS any_time, false AS blamed "
	"  FROM e WHERE e ->> 'kind' = 'search' AND COALESCE(e ->> 'role', '') NOT IN ('vendor', 'admin') AND a ?& ARRAY['product_id', 'start_at', 'end_at'] "
	" UNION ALL SELECT e, (a ->> 'product_id')::uuid, (a ->> 'location_id')::uuid, (a ->> 'from')::timestamptz, (a ->> 'to')::timestamptz, 1, 'search', true, false "
	"  FROM e WHERE e ->> 'kind' = 'search' AND COALESCE(e ->> 'role', '') NOT IN ('vendor', 'admin') AND a ?& ARRAY['product_id', 'from', 'to'] "
	" UNION ALL SELECT e, i.product_id, i.location_id, i.start_at, i.end_at, i.quantity, 'cart', false, false "
	"  FROM e JOIN rental.carts c ON c.customer_id = (e ->> 'user')::uuid JOIN rental.cart_items i ON i.cart_id = c.id "
	"  WHERE e ->> 'kind' IN ('cart', 'checkout') AND i.end_at > $2 "
	" UNION ALL SELECT e, (i ->> 'product_id')::uuid, (i ->> 'location_id')::uuid, (i ->> 'start_at')::timestamptz, (i ->> 'end_at')::timestamptz, "
	"  COALESCE((i ->> 'quantity')::integer, 1), 'order', false, e ->> 'field' LIKE format('items[%s].%%', n - 1) OR NOT a ? 'items' "
	"  FROM e, LATERAL jsonb_array_elements(COALESCE((a ->> 'items')::jsonb, jsonb_build_array(a))) WITH ORDINALITY AS l (i, n) "
	"  WHERE e ->> 'kind' = 'order' AND e ->> 'code' = 'insufficient_stock') "
	"SELECT p.vendor_id, p.id, l.id, w.start_at, w.end_at, s.short, v.currency, w.source, "
	" md5(COALESCE(w.e ->> 'user', w.e ->> 'visitor') || ($2 AT TIME ZONE 'UTC')::date) "
	"FROM wish w JOIN rental.products p ON p.id = w.product_id AND p.is_active JOIN rental.vendors v ON v.id = p.vendor_id "
	"LEFT JOIN rental.locations l ON l.id = w.location_id AND l.vendor_id = p.vendor_id, "
	"LATERAL (SELECT CASE WHEN w.any_time THEN (SELECT max(s.available) FROM rental.availability_steps(p.id, tstzrange(w.start_at, w.end_at), w.location_id) s) "
	" ELSE rental.availability(p.id, tstzrange(w.start_at, w.end_at), w.location_id) END AS free) f, "
	"LATERAL (SELECT GREATEST(w.quantity - GREATEST(COALESCE(f.free, 0), 0), CASE WHEN w.blamed THEN 1 ELSE 0 END) AS short) s "
	"WHERE s.short > 0 AND w.end_at > w.start_at AND w.end_at > $2",
	JSONBOID, TIMESTAMPTZOID);
PLAN(price_of, "SELECT (rental.price($1, $2, $3, $4)).total", UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID);
PLAN(
	lost_insert,
	"INSERT INTO rental.lost_demand AS l (vendor_id, product_id, location_id, start_at, end_at, quantity, currency, source, who, value, reason, day, created_at) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'insufficient_stock', ($11 AT TIME ZONE 'UTC')::date, $11) "
	"ON CONFLICT (product_id, start_at, end_at, who, day, vendor_id) DO UPDATE SET "
	" quantity = GREATEST(l.quantity, EXCLUDED.quantity), value = GREATEST(l.value, EXCLUDED.value), "
	" source = CASE WHEN 'order' IN (l.source, EXCLUDED.source) THEN 'order' WHEN 'cart' IN (l.source, EXCLUDED.source) THEN 'cart' ELSE 'search' END",
	UUIDOID, UUIDOID, UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID, TEXTOID, TEXTOID, TEXTOID, NUMERICOID,
	TIMESTAMPTZOID);

/* A wish that was not met: the columns that lost_demand takes over, then the value */
#define WISH_COLUMNS 9
#define WISH_VALUE	 9

typedef struct Wish
{
	NullableDatum columns[WISH_COLUMNS + 1];
} Wish;

static void
find_price(void *arg)
{
	Wish *wish = arg;

	plan_read(&price_of, wish->columns[1], wish->columns[3], wish->columns[4], wish->columns[5]);
	wish->columns[WISH_VALUE] = plan_value(0, 1);
	if (!wish->columns[WISH_VALUE].isnull)
		wish->columns[WISH_VALUE].value = PointerGetDatum(DatumGetNumericCopy(wish->columns[WISH_VALUE].value));
}

/* take_events records a list of events, and what of them could not be had. */
static void
take_events(void *arg)
{
	NullableDatum events = VALUE(*(Datum *) arg);
	NullableDatum now = VALUE(TimestampTzGetDatum(rental_now()));
	uint64		  n;
	uint64		  i;
	int			  column;
	Wish		 *found;

	plan_run(&activity_insert, events, VALUE(BoolGetDatum(activity_users)), now);
	n = plan_run(&wishes, events, now);
	found = palloc0((n + 1) * sizeof(Wish));
	for (i = 0; i < n; i++)
	{
		for (column = 0; column < WISH_COLUMNS; column++)
			found[i].columns[column] = plan_value(i, column + 1);
		found[i].columns[WISH_VALUE] = NULLVALUE;
	}
	for (i = 0; i < n; i++)
	{
		NullableDatum *c = found[i].columns;

		/* what has no price, say since nobody may rent it for so long, is wanted all the same */
		plan_try(find_price, &found[i], true);
		plan_run(&lost_insert, c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8], c[9], now);
	}
}

/* activity_record(events jsonb): all at once, or one by one if that fails */
PG_FUNCTION_INFO_V1(activity_record);
Datum
activity_record(PG_FUNCTION_ARGS)
{
	int32  understood = 0;
	uint64 n;
	uint64 i;
	Datum *lists;
	Datum  all = PG_GETARG_DATUM(0);

	if (!activity_on)
		PG_RETURN_INT32(0);
	plan_open();
	n = plan_read(&lists_of, VALUE(all));
	lists = palloc((n + 1) * sizeof(Datum));
	for (i = 0; i < n; i++)
		lists[i] = plan_datum(i, 1);
	if (plan_try(take_events, &all, true) == NULL)
		understood = (int32) n;
	else
		for (i = 0; i < n; i++)
			if (plan_try(take_events, &lists[i], true) == NULL)
				understood++;
	plan_close();
	PG_RETURN_INT32(understood);
}

PLAN(activity_delete, "DELETE FROM rental.activity WHERE at < $1 - make_interval(days => $2)", TIMESTAMPTZOID, INT4OID);
PLAN(
	lost_blur,
	"UPDATE rental.lost_demand SET who = id::text WHERE created_at < $1 - make_interval(days => $2) AND who <> id::text",
	TIMESTAMPTZOID, INT4OID);

/* activity_purge() */
PG_FUNCTION_INFO_V1(activity_purge);
Datum
activity_purge(PG_FUNCTION_ARGS)
{
	NullableDatum now = VALUE(TimestampTzGetDatum(rental_now()));
	NullableDatum days = VALUE(Int32GetDatum(activity_days));
	uint64		  n;

	plan_open();
	n = plan_run(&activity_delete, now, days);
	plan_run(&lost_blur, now, days);
	plan_close();
	PG_RETURN_INT64((int64) n);
}

PLAN(
	lost_demand,
	"SELECT p.id, p.name, l.currency, count(*), count(*) FILTER (WHERE l.source = 'search'), count(*) FILTER (WHERE l.source = 'cart'), "
	" count(*) FILTER (WHERE l.source = 'order'), sum(l.quantity)::bigint, sum(l.value) "
	"FROM rental.lost_demand l JOIN rental.products p ON p.id = l.product_id AND p.vendor_id = l.vendor_id "
	"WHERE l.created_at >= $1 AND l.created_at < $2 AND ($3 IS NULL OR l.vendor_id = $3) AND ($4 IS NULL OR l.product_id = $4) "
	"GROUP BY p.id, p.name, l.currency ORDER BY 9 DESC NULLS LAST, 8 DESC, 2, 1",
	TIMESTAMPTZOID, TIMESTAMPTZOID, UUIDOID, UUIDOID);
PLAN(
	funnel,
	"WITH a AS (SELECT kind, count(*) AS events, count(DISTINCT visitor) AS visitors FROM ("
	"  SELECT CASE kind WHEN 'checkout' THEN 'cart' ELSE kind END AS kind, visitor FROM rental.activity "
	"  WHERE at >= $1 AND at < $2 AND ($3 IS NULL OR vendor_id = $3)) k GROUP BY kind), "
	"o AS (SELECT o.customer_id, o.status, EXISTS (SELECT FROM rental.order_events e WHERE e.order_id = o.id AND e.vendor_id = o.vendor_id AND e.kind = 'confirmed') AS confirmed "
	" FROM rental.orders o WHERE o.created_at >= $1 AND o.created_at < $2 AND ($3 IS NULL OR o.vendor_id = $3) AND o.status NOT IN ('draft', 'quoted')), "
	"s AS (SELECT n, step, COALESCE(a.events, 0) AS events, COALESCE(a.visitors, 0) AS visitors "
	" FROM (VALUES (1, 'views', 'view'), (2, 'searches', 'search'), (3, 'carts', 'cart')) k (n, step, kind) LEFT JOIN a USING (kind) "
	" UNION ALL SELECT 4, 'orders', count(*), count(DISTINCT customer_id) FROM o "
	" UNION ALL SELECT 5, 'confirmed', count(*), count(DISTINCT customer_id) FROM o WHERE confirmed "
	" UNION ALL SELECT 6, 'completed', count(*), count(DISTINCT customer_id) FROM o WHERE status = 'completed') "
	"SELECT step, events, visitors, round(events / NULLIF(lag(events) OVER (ORDER BY n), 0)::numeric, 4), "
	" round(events / NULLIF(first_value(events) OVER (ORDER BY n), 0)::numeric, 4) FROM s ORDER BY n",
	TIMESTAMPTZOID, TIMESTAMPTZOID, UUIDOID);

static void
require_period(FunctionCallInfo fcinfo)
{
	request_required(FCARG(0), "from");
	request_required(FCARG(1), "to");
	if (PG_GETARG_TIMESTAMPTZ(1) <= PG_GETARG_TIMESTAMPTZ(0))
		rental_raise(invalid_period, errmsg("the period ends before it starts"), errfield("to"));
}

/* report_lost_demand("from" timestamptz, "to" timestamptz, vendor_id uuid, product_id uuid) */
PG_FUNCTION_INFO_V1(report_lost_demand);
Datum
report_lost_demand(PG_FUNCTION_ARGS)
{
	require_period(fcinfo);
	return report_rows(fcinfo, &lost_demand, (NullableDatum[]){FCARG(0), FCARG(1), report_vendor(FCARG(2)), FCARG(3)},
					   4);
}

/* report_funnel("from" timestamptz, "to" timestamptz, vendor_id uuid) */
PG_FUNCTION_INFO_V1(report_funnel);
Datum
report_funnel(PG_FUNCTION_ARGS)
{
	require_period(fcinfo);
	return report_rows(fcinfo, &funnel, (NullableDatum[]){FCARG(0), FCARG(1), report_vendor(FCARG(2))}, 3);
}
