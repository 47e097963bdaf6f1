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
#include "lookup.h"
#include "period.h"
#include "plan.h"
#include "report.h"
#include "request.h"
#include "store.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

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

/* The values of a row of activity, in this order */
enum
{
	ROW_VENDOR,
	ROW_KIND,
	ROW_PRODUCT,
	ROW_USER,
	ROW_VISITOR,
	ROW_START,
	ROW_END,
	ROW_QUANTITY,
	ROW_AT,
	ROW_COLUMNS
};

STORE(activity_rows, "activity", "vendor_id", "kind", "product_id", "user_id", "visitor", "start_at", "end_at",
	  "quantity", "at");
LOOKUP(product_vendor, "products", NULL, "vendor_id");
LOOKUP(vendor_known, "vendors", NULL, "id");

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

/* record_wishes records what these events, an array, say was wanted and could not be had. */
static void
record_wishes(NullableDatum events, NullableDatum now)
{
	uint64 n = plan_run(&wishes, events, now);
	Wish  *found = palloc0((n + 1) * sizeof(Wish));
	uint64 i;
	int	   column;

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

/* member is a member of an object as text; NULL if it is absent, null, or no scalar. */
static char *
member(JsonbContainer *object, const char *name)
{
	JsonbValue *value = object == NULL ? NULL : getKeyJsonValueFromContainer(object, name, strlen(name), NULL);

	if (value != NULL && value->type == jbvString)
		return pnstrdup(value->val.string.val, value->val.string.len);
	if (value != NULL && value->type == jbvNumeric)
		return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
	return NULL;
}

static NullableDatum
member_uuid(JsonbContainer *object, const char *name)
{
	char *text = member(object, name);

	return text ? VALUE(DirectFunctionCall1(uuid_in, CStringGetDatum(text))) : NULLVALUE;
}

static NullableDatum
member_time(JsonbContainer *object, const char *name)
{
	char *text = member(object, name);

	if (text == NULL)
		return NULLVALUE;
	return VALUE(
		DirectFunctionCall3(timestamptz_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

/* the period that the arguments of a call ask for, under whichever names */
static void
fill_period(NullableDatum *row, JsonbContainer *args)
{
	static const char *const names[][2] = {{"start_at", "end_at"}, {"from", "to"}, {"available_from", "available_to"}};
	int						 i;

	row[ROW_START] = row[ROW_END] = NULLVALUE;
	for (i = 0; i < lengthof(names) && row[ROW_END].isnull; i++)
	{
		row[ROW_START] = member_time(args, names[i][0]);
		row[ROW_END] = row[ROW_START].isnull ? NULLVALUE : member_time(args, names[i][1]);
	}
	if (row[ROW_END].isnull)
		row[ROW_START] = NULLVALUE;
}

/* fill_row makes a row of an event; a product or vendor that is not there is left out. */
static void
fill_row(NullableDatum *row, const char *kind, JsonbContainer *event, JsonbContainer *args)
{
	char *quantity = member(args, "quantity");

	row[ROW_KIND] = text_or_null(kind);
	row[ROW_VISITOR] = text_or_null(member(event, "visitor"));
	row[ROW_USER] = activity_users ? member_uuid(event, "user") : NULLVALUE;
	row[ROW_PRODUCT] = member_uuid(args, "product_id");
	if (!row[ROW_PRODUCT].isnull &&
		!lookup_row(&product_vendor, DatumGetUUIDP(row[ROW_PRODUCT].value), NULL, &row[ROW_VENDOR]))
		row[ROW_PRODUCT] = NULLVALUE;
	if (row[ROW_PRODUCT].isnull)
	{
		row[ROW_VENDOR] = member_uuid(args, "vendor");
		if (!row[ROW_VENDOR].isnull &&
			!lookup_row(&vendor_known, DatumGetUUIDP(row[ROW_VENDOR].value), NULL, &row[ROW_VENDOR]))
			row[ROW_VENDOR] = NULLVALUE;
	}
	fill_period(row, args);
	row[ROW_QUANTITY] = quantity ? VALUE(DirectFunctionCall1(int4in, CStringGetDatum(quantity))) : NULLVALUE;
	row[ROW_AT] = VALUE(TimestampTzGetDatum(rental_now()));
}

static JsonbContainer *
object_of(JsonbValue *value)
{
	return value != NULL && value->type == jbvBinary && JsonContainerIsObject(value->val.binary.data)
			   ? value->val.binary.data
			   : NULL;
}

/* Events of a list, from one up to another */
typedef struct Events
{
	Jsonb *list;
	uint32 first;
	uint32 end;
} Events;

/* take_events records events, and what of them could not be had. */
static void
take_events(void *arg)
{
	Events			*events = arg;
	NullableDatum	*rows = palloc((events->end - events->first) * ROW_COLUMNS * sizeof(NullableDatum));
	int				 nrows = 0;
	JsonbParseState *wanting = NULL; /* what may say that something was wanted: all but looks */
	uint32			 i;

	for (i = events->first; i < events->end; i++)
	{
		JsonbValue	   *value = getIthJsonbValueFromContainer(&events->list->root, i);
		JsonbContainer *event = object_of(value);
		char		   *kind = member(event, "kind");
		char		   *role = member(event, "role");
		bool			is_staff = role != NULL && (strcmp(role, "vendor") == 0 || strcmp(role, "admin") == 0);

		if (kind == NULL)
			rental_raise(missing_field, errmsg("an event has a kind"), errfield("kind"));
		if (strcmp(kind, "order") != 0 && !is_staff)
			fill_row(&rows[nrows++ * ROW_COLUMNS], kind, event,
					 object_of(getKeyJsonValueFromContainer(event, "args", strlen("args"), NULL)));
		if (strcmp(kind, "view") != 0)
		{
			if (wanting == NULL)
				pushJsonbValue(&wanting, WJB_BEGIN_ARRAY, NULL);
			pushJsonbValue(&wanting, WJB_ELEM, value);
		}
	}
	if (nrows > 0)
		store_rows(&activity_rows, rows, ROW_COLUMNS, nrows);
	if (wanting != NULL)
		record_wishes(VALUE(JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&wanting, WJB_END_ARRAY, NULL)))),
					  VALUE(TimestampTzGetDatum(rental_now())));
}

/* activity_record(events jsonb): all at once, or one by one if that fails */
PG_FUNCTION_INFO_V1(activity_record);
Datum
activity_record(PG_FUNCTION_ARGS)
{
	Events all = {PG_GETARG_JSONB_P(0), 0, 0};
	int32  understood = 0;
	uint32 i;

	if (!activity_on)
		PG_RETURN_INT32(0);
	if (!JB_ROOT_IS_ARRAY(all.list) || JB_ROOT_IS_SCALAR(all.list))
		rental_raise(invalid_field, errmsg("events must be a list"), errfield("events"));
	all.end = JB_ROOT_COUNT(all.list);
	plan_open();
	if (plan_try(take_events, &all, true) == NULL)
		understood = all.end;
	else
		for (i = 0; i < all.end; i++)
			if (plan_try(take_events, &(Events){all.list, i, i + 1}, true) == NULL)
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
