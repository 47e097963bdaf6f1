/*
 * orders.c
 *	  Orders: placing them, and every change of their state.
 *
 * The table of transitions below is the only way from one status to another,
 * for raw SQL too: it says who may do what in which state, and which function
 * does the work. Two states follow from the items, and are set by nobody: an
 * order is active when the first piece is out, and returned when the last one
 * is in. lines.c serves the lines from the stock, whose triggers decide
 * whether there is enough.
 */
#include "orderrow.h"
#include "orders.h"

#include "access/xact.h"
#include "actor.h"
#include "amount.h"
#include "commands/trigger.h"
#include "errors.h"
#include "funcapi.h"
#include "gateway.h"
#include "lines.h"
#include "number.h"
#include "plan.h"
#include "policy.h"
#include "request.h"
#include "response.h"
#include "stock.h"
#include "store.h"
#include "storage/proc.h"
#include "units.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

STORE(order_rows, "orders", "id", "vendor_id", "number", "customer_id", "status", "currency", "subtotal", "discount",
	  "tax", "deposit", "total", "note", "expires_at", "created_at", "updated_at", "paid", "charges",
	  "cancellation_fee", "fee", "delivery", "waiver", "waiver_percent");
STORE(event_rows, "order_events", "id", "vendor_id", "order_id", "kind", "actor_id", "data", "created_at");
PLAN(customer_exists, "SELECT FROM rental.users WHERE id = $1 AND is_active", UUIDOID);
PLAN(order_owner, "SELECT customer_id, vendor_id FROM rental.orders WHERE id = $1", UUIDOID);
PLAN(
	order_for_update,
	"SELECT o.vendor_id, o.customer_id, o.status, o.currency, v.time_zone, o.subtotal, o.tax, o.total, o.fee, o.paid, o.expires_at, o.waiver_percent "
	"FROM rental.orders o JOIN rental.vendors v ON v.id = o.vendor_id WHERE o.id = $1 FOR NO KEY UPDATE OF o",
	UUIDOID);
PLAN(order_set_status,
	 "UPDATE rental.orders SET status = $3, expires_at = $5, updated_at = $4 WHERE id = $1 AND vendor_id = $2", UUIDOID,
	 UUIDOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID);
PLAN(order_touch, "UPDATE rental.orders SET updated_at = $3 WHERE id = $1 AND vendor_id = $2", UUIDOID, UUIDOID,
	 TIMESTAMPTZOID);
PLAN(
	order_set_amounts,
	"UPDATE rental.orders SET subtotal = $3, discount = $4, tax = $5, deposit = $6, total = $7 + fee + $9, updated_at = $8, waiver = $9 "
	"WHERE id = $1 AND vendor_id = $2",
	UUIDOID, UUIDOID, NUMERICOID, NUMERICOID, NUMERICOID, NUMERICOID, NUMERICOID, TIMESTAMPTZOID, NUMERICOID);
PLAN(order_set_cancellation_fee, "UPDATE rental.orders SET cancellation_fee = $3 WHERE id = $1 AND vendor_id = $2",
	 UUIDOID, UUIDOID, NUMERICOID);
PLAN(
	order_sum_charges,
	"UPDATE rental.orders SET charges = (SELECT sum(amount) FROM rental.order_charges WHERE order_id = $1), updated_at = $3 "
	"WHERE id = $1 AND vendor_id = $2",
	UUIDOID, UUIDOID, TIMESTAMPTZOID);
PLAN(order_set_extension, "UPDATE rental.orders SET extension = $3 WHERE id = $1 AND vendor_id = $2", UUIDOID, UUIDOID,
	 JSONBOID);
PLAN(order_extension,
	 "SELECT (extension ->> 'end_at')::timestamptz, extension -> 'items' FROM rental.orders WHERE id = $1 AND "
	 "extension IS NOT NULL",
	 UUIDOID);
PLAN(order_overdue, "SELECT FROM rental.order_item_view WHERE order_id = $1 AND overdue", UUIDOID);
PLAN(charges_any, "SELECT FROM rental.order_charges WHERE order_id = $1 LIMIT 1", UUIDOID);
PLAN(
	charge_insert,
	"INSERT INTO rental.order_charges (vendor_id, order_id, order_item_id, kind, quantity, amount, reason, created_at) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
	UUIDOID, UUIDOID, UUIDOID, TEXTOID, INT4OID, NUMERICOID, TEXTOID, TIMESTAMPTZOID);
PLAN(replacement_value, "SELECT replacement_value FROM rental.products WHERE id = $1", UUIDOID);
PLAN(overdue,
	 "SELECT id, vendor_id, product_id FROM rental.reservations WHERE state = 'out' AND upper(blocked) <= $1 "
	 "ORDER BY product_id, location_id, lower(blocked), id",
	 TIMESTAMPTZOID);
PLAN(overdue_widen,
	 "UPDATE rental.reservations SET blocked = tstzrange(lower(blocked), $3 + $4) "
	 "WHERE id = $1 AND vendor_id = $2 AND state = 'out' AND upper(blocked) <= $3",
	 UUIDOID, UUIDOID, TIMESTAMPTZOID, INTERVALOID);
PLAN(item_dispatch, "UPDATE rental.order_items SET dispatched = dispatched + $3 WHERE id = $1 AND vendor_id = $2",
	 UUIDOID, UUIDOID, INT4OID);
PLAN(
	item_return,
	"UPDATE rental.order_items SET returned = returned + $3, damaged = damaged + $4, lost = lost + $5 WHERE id = $1 AND "
	"vendor_id = $2",
	UUIDOID, UUIDOID, INT4OID, INT4OID, INT4OID);
PLAN(return_insert,
	 "INSERT INTO rental.order_returns (vendor_id, order_item_id, quantity, returned_at) VALUES ($1, $2, $3, $4)",
	 UUIDOID, UUIDOID, INT4OID, TIMESTAMPTZOID);
PLAN(
	sales_settle,
	"UPDATE rental.order_items i SET returned = i.quantity FROM rental.products p WHERE i.order_id = $1 AND i.vendor_id = $2 "
	"AND p.id = i.product_id AND p.vendor_id = i.vendor_id AND p.kind = 'sale' AND i.returned < i.quantity AND (SELECT bool_and(CASE q.kind "
	"WHEN 'sale' THEN a.dispatched = a.quantity ELSE a.returned = a.quantity END) AND ($3 OR bool_or(q.kind <> 'sale')) "
	"FROM rental.order_items a JOIN rental.products q ON q.id = a.product_id AND q.vendor_id = a.vendor_id WHERE a.order_id = $1)",
	UUIDOID, UUIDOID, BOOLOID);
PLAN(
	orders_expired,
	"SELECT id FROM rental.orders WHERE status IN ('pending', 'quoted') AND expires_at <= $1 ORDER BY expires_at, id LIMIT 1000 "
	"FOR NO KEY UPDATE SKIP LOCKED",
	TIMESTAMPTZOID);
PLAN(earliest_start, "SELECT min(start_at) FROM rental.order_items WHERE order_id = $1", UUIDOID);
PLAN(hold_time, "SELECT hold_time FROM rental.vendors WHERE id = $1", UUIDOID);
PLAN(
	quote_insert,
	"INSERT INTO rental.order_quotes (vendor_id, order_id, version, items, subtotal, discount, tax, fee, waiver, deposit, total, valid_until, note, created_at) "
	"SELECT o.vendor_id, o.id, COALESCE((SELECT max(version) FROM rental.order_quotes WHERE order_id = o.id), 0) + 1, "
	"(SELECT jsonb_agg(jsonb_build_object('id', i.id, 'product_id', i.product_id, 'product_name', i.product_name, 'location_id', i.location_id, "
	" 'quantity', i.quantity, 'start_at', to_char(i.start_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), "
	" 'end_at', to_char(i.end_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), 'unit_price', i.unit_price::text, "
	" 'subtotal', i.subtotal::text, 'discount', i.discount::text, 'tax', i.tax::text, 'total', i.total::text) ORDER BY i.id) "
	" FROM rental.order_item_view i WHERE i.order_id = o.id), "
	"o.subtotal, o.discount, o.tax, o.fee, o.waiver, o.deposit, o.total, $2, $3, $4 FROM rental.orders o WHERE o.id = $1 RETURNING version",
	UUIDOID, TIMESTAMPTZOID, TEXTOID, TIMESTAMPTZOID);
PLAN(quote_latest, "SELECT max(version) FROM rental.order_quotes WHERE order_id = $1", UUIDOID);
PLAN(contract_row, "SELECT c FROM rental.order_contract_view c WHERE c.order_id = $1", UUIDOID);
PLAN(items_facts,
	 "SELECT bool_or(dispatched > 0), bool_and(returned = quantity) FROM rental.order_items WHERE order_id = $1 AND "
	 "vendor_id = $2",
	 UUIDOID, UUIDOID);
PLAN(
	order_follows,
	"UPDATE rental.orders SET status = $3, expires_at = NULL, updated_at = $5 WHERE id = $1 AND vendor_id = $2 AND status = $4",
	UUIDOID, UUIDOID, TEXTOID, TEXTOID, TIMESTAMPTZOID);
PLAN(order_status, "SELECT status FROM rental.orders WHERE id = $1 AND vendor_id = $2", UUIDOID, UUIDOID);
PLAN(
	sum_of_charges,
	"SELECT FROM rental.orders o WHERE o.id = $1 AND o.charges <> (SELECT COALESCE(sum(amount), 0) FROM rental.order_charges WHERE order_id = o.id)",
	UUIDOID);

#define ORDER_SCOPE "($3 IS NULL OR v.customer_id = $3 OR v.vendor_id = $4) AND ($5 IS NULL OR v.status = $5)"

static PagePlans order_pages = {
	.forward = PLAN_INIT("SELECT v, v.id FROM rental.order_view v WHERE v.id < $1 AND " ORDER_SCOPE
						 " ORDER BY v.id DESC LIMIT $2",
						 UUIDOID, INT4OID, UUIDOID, UUIDOID, TEXTOID),
	.backward =
		PLAN_INIT("SELECT v, v.id FROM rental.order_view v WHERE v.id > $1 AND " ORDER_SCOPE " ORDER BY v.id LIMIT $2",
				  UUIDOID, INT4OID, UUIDOID, UUIDOID, TEXTOID),
	.count =
		PLAN_INIT("SELECT count(*) FROM rental.orders v WHERE ($1 IS NULL OR v.customer_id = $1 OR v.vendor_id = $2) "
				  "AND ($3 IS NULL OR v.status = $3)",
				  UUIDOID, UUIDOID, TEXTOID),
	.newest_first = true,
};
static PagePlans event_pages = {
	.forward = PLAN_INIT(
		"SELECT v, v.id FROM rental.order_event_view v WHERE v.id > $1 AND v.order_id = $3 ORDER BY v.id LIMIT $2",
		UUIDOID, INT4OID, UUIDOID),
	.backward = PLAN_INIT(
		"SELECT v, v.id FROM rental.order_event_view v WHERE v.id < $1 AND v.order_id = $3 ORDER BY v.id DESC LIMIT $2",
		UUIDOID, INT4OID, UUIDOID),
	.count = PLAN_INIT("SELECT count(*) FROM rental.order_events WHERE order_id = $1", UUIDOID),
};
#define PAGES_OF_ORDER(view, table)                                                                                \
	{                                                                                                              \
		.forward =                                                                                                 \
			PLAN_INIT("SELECT v, v.id FROM " view " v WHERE v.id > $1 AND v.order_id = $3 ORDER BY v.id LIMIT $2", \
					  UUIDOID, INT4OID, UUIDOID),                                                                  \
		.backward = PLAN_INIT("SELECT v, v.id FROM " view                                                          \
							  " v WHERE v.id < $1 AND v.order_id = $3 ORDER BY v.id DESC LIMIT $2",                \
							  UUIDOID, INT4OID, UUIDOID),                                                          \
		.count = PLAN_INIT("SELECT count(*) FROM " table " WHERE order_id = $1", UUIDOID),                         \
	}
static PagePlans quote_pages = PAGES_OF_ORDER("rental.order_quote_view", "rental.order_quotes");
static PagePlans charge_pages = PAGES_OF_ORDER("rental.order_charge_view", "rental.order_charges");

/* The table of states */

/* A change of an order that is under way */
typedef struct Change
{
	Order		   order;
	TimestampTz	   now;
	TimestampTz	   expires_at; /* of the order in its new state; infinity if it does not */
	StringInfoData data;	   /* what the event tells: members of a JSON object */
	NullableDatum  items;	   /* jsonb: what is to go out, come back or stay longer; null: all */
	TimestampTz	   at;		   /* quote: valid until; return: when; extend: until when. -infinity: not said */
	const char	  *note;
	int32		   version;
	NullableDatum  terms;
	bool		   by_vendor;
	bool		   is_batch; /* the stock is given back with that of others */
	void (*edit)(struct Change *change, FunctionCallInfo fcinfo);
	FunctionCallInfo fcinfo;
} Change;

typedef struct Transition
{
	const char *action;
	const char *from; /* NULL: this is how an order begins */
	const char *to;
	const char *actor;	 /* vendor: the vendor's team and administrators; any: the customer as well; system: a job */
	bool		follows; /* from the items: nobody sets it */
	const char *event;
	void (*work)(Change *change);
} Transition;

static void work_edit(Change *change);
static void work_quote(Change *change);
static void work_accept(Change *change);
static void work_confirm(Change *change);
static void work_cancel(Change *change);
static void work_end(Change *change);
static void work_extend(Change *change);
static void work_ask_extension(Change *change);
static void work_drop_extension(Change *change);
static void work_dispatch(Change *change);
static void work_return(Change *change);

/* clang-format off */
static const Transition transitions[] = {
	{"draft", NULL, "draft", "any", false, "drafted", NULL},
	{"place", NULL, "pending", "any", false, "placed", NULL},
	{"change", "draft", "draft", "any", false, NULL, work_edit},
	{"change", "quoted", "draft", "any", false, NULL, work_edit},
	{"change", "pending", "pending", "any", false, NULL, work_edit},
	{"change", "confirmed", "confirmed", "vendor", false, NULL, work_edit},
	{"change", "active", "active", "vendor", false, NULL, work_edit},
	{"quote", "draft", "quoted", "vendor", false, "quoted", work_quote},
	{"quote", "quoted", "quoted", "vendor", false, "quoted", work_quote},
	{"accept", "quoted", "pending", "any", false, "accepted", work_accept},
	{"confirm", "pending", "confirmed", "vendor", false, "confirmed", work_confirm},
	{"reject", "draft", "rejected", "vendor", false, "rejected", work_end},
	{"reject", "pending", "rejected", "vendor", false, "rejected", work_end},
	{"cancel", "draft", "cancelled", "any", false, "cancelled", work_end},
	{"cancel", "quoted", "cancelled", "any", false, "cancelled", work_end},
	{"cancel", "pending", "cancelled", "any", false, "cancelled", work_end},
	{"cancel", "confirmed", "cancelled", "any", false, "cancelled", work_cancel},
	{"expire", "quoted", "expired", "system", false, "expired", work_end},
	{"expire", "pending", "expired", "system", false, "expired", work_end},
	{"dispatch", "confirmed", "active", "vendor", true, "dispatched", work_dispatch},
	{"dispatch", "active", "active", "vendor", true, "dispatched", work_dispatch},
	{"return", "active", "active", "vendor", true, "returned", work_return},
	{"return", "active", "returned", "vendor", true, "returned", work_return},
	{"extend", "pending", "pending", "any", false, "extended", work_extend},
	{"extend", "confirmed", "confirmed", "any", false, "extended", work_extend},
	{"extend", "active", "active", "any", false, "extended", work_extend},
	{"ask", "pending", "pending", "any", false, "extension_asked", work_ask_extension},
	{"ask", "confirmed", "confirmed", "any", false, "extension_asked", work_ask_extension},
	{"ask", "active", "active", "any", false, "extension_asked", work_ask_extension},
	{"drop", "pending", "pending", "any", false, "extension_dropped", work_drop_extension},
	{"drop", "confirmed", "confirmed", "any", false, "extension_dropped", work_drop_extension},
	{"drop", "active", "active", "any", false, "extension_dropped", work_drop_extension},
	{"close", "returned", "completed", "vendor", false, "closed", NULL},
};
/* clang-format on */

static const Transition *
transition_find(const char *action, const char *from)
{
	int i;

	for (i = 0; i < lengthof(transitions); i++)
		if (strcmp(transitions[i].action, action) == 0 && transitions[i].from != NULL &&
			strcmp(transitions[i].from, from) == 0)
			return &transitions[i];
	return NULL;
}

/* action_is_vendors tells whether only the vendor's team may ever do it. */
static bool
action_is_vendors(const char *action)
{
	int i;

	for (i = 0; i < lengthof(transitions); i++)
		if (strcmp(transitions[i].action, action) == 0 && strcmp(transitions[i].actor, "vendor") != 0)
			return false;
	return true;
}

/* Placing */

static NullableDatum
time_or_null(TimestampTz at)
{
	return VALUE_OR_NULL(TimestampTzGetDatum(at), TIMESTAMP_NOT_FINITE(at));
}

/* customer_arg finds who an order is for. */
static const pg_uuid_t *
customer_arg(NullableDatum customer)
{
	const Actor *who = actor_current();

	if (customer.isnull)
		return &actor_require_user()->user_id;
	if (actor_has_user(who) && uuid_equal(&who->user_id, DatumGetUUIDP(customer.value)))
		return &who->user_id;
	if (who->role == ACTOR_ANONYMOUS || who->role == ACTOR_CUSTOMER)
		rental_raise(forbidden, errmsg("only a vendor may place an order for somebody else"), errfield("customer_id"));
	return DatumGetUUIDP(customer.value);
}

/* require_notice refuses what a customer asks of a vendor that is shut, or too late; the vendor may enter what was. */
static void
require_notice(const pg_uuid_t *vendor_id, const OrderLine *lines, int n, TimestampTz now)
{
	TimestampTz earliest = period_plus(now, lines[0].product.minimum_notice);
	int			i;

	if (actor_serves(actor_current(), vendor_id))
		return;
	if (!lines[0].product.vendor_is_active)
		rental_raise(rule_violated, errmsg("the vendor takes no orders"),
					 errfield(line_field(&lines[0], "product_id")));
	for (i = 0; i < n; i++)
	{
		const char *field = line_field(&lines[i], "start_at");

		if (lines[i].period.start < now - USECS_PER_HOUR)
			rental_raise(invalid_period, errmsg("the rental would have begun already"), errfield(field));
		if (earliest > now && lines[i].period.start < earliest)
			rental_raise(rule_violated, errmsg("the rental would begin too soon for the vendor"),
						 errdetail("The earliest start is %s.", period_time_text(earliest)), errfield(field));
	}
}

/* require_customer refuses an order for somebody else, unless the vendor places it. */
static void
require_customer(const pg_uuid_t *vendor_id, const pg_uuid_t *customer_id)
{
	const Actor *who = actor_current();

	if (actor_has_user(who) && uuid_equal(&who->user_id, customer_id))
		return;
	actor_require_vendor(vendor_id);
	if (plan_read(&customer_exists, VALUE(UUIDPGetDatum(customer_id))) == 0)
		rental_raise(not_found, errmsg("no such customer"), errfield("customer_id"));
}

static void order_confirm_alone(const Policy *policy, const Order *order, NullableDatum paid);

/*
 * order_make places an order of lines that have been read: all of one vendor.
 * Placing is all or nothing; a vendor may have it confirmed at once.
 */
pg_uuid_t
order_make(const OrderRequest *request)
{
	TimestampTz	   now = rental_now();
	TimestampTz	   expires_at = DT_NOEND;
	OrderLine	  *lines = request->lines;
	const Product *product = &lines[0].product;
	Order		   order = {.id = *DatumGetUUIDP(uuid7_datum()), .vendor_id = product->vendor_id, .is_new = true};
	Datum		   nothing = amount_round(amount_zero(), product->currency);
	Datum		   fee;
	NullableDatum  delivery;
	PriceOrder	   price = {.customer_id = request->customer_id, .coupon = request->coupon};
	OrderAmounts   amounts;
	Policy		   policy;
	char		  *number;

	require_notice(&order.vendor_id, lines, request->nlines, now);
	require_customer(&order.vendor_id, request->customer_id);
	policy_load(&order.vendor_id, &policy);
	delivery = policy_delivery(&policy, &order.vendor_id, product->currency, request->delivery, &fee);
	order.waiver_percent =
		VALUE_OR_NULL(request->with_waiver ? price_waiver_percent(product) : (Datum) 0, !request->with_waiver);
	lines_price(lines, request->nlines, &price, order.waiver_percent, &amounts);
	order.total = amount_add(amount_add(amounts.total, fee), amounts.waiver);
	if (!request->is_draft)
		expires_at = period_plus(now, product->hold_time);
	number = number_draw(&order.vendor_id, "ORD", period_year(now, period_zone(product->time_zone)));
	store_row(&order_rows, VALUE(UUIDPGetDatum(&order.id)), VALUE(UUIDPGetDatum(&order.vendor_id)),
			  VALUE(CStringGetTextDatum(number)), VALUE(UUIDPGetDatum(request->customer_id)),
			  VALUE(CStringGetTextDatum(request->is_draft ? "draft" : "pending")),
			  VALUE(CStringGetTextDatum(product->currency)), VALUE(amounts.subtotal), VALUE(amounts.discount),
			  VALUE(amounts.tax), VALUE(amounts.deposit), VALUE(order.total), text_or_null(request->note),
			  time_or_null(expires_at), VALUE(TimestampTzGetDatum(now)), VALUE(TimestampTzGetDatum(now)),
			  VALUE(nothing), VALUE(nothing), VALUE(nothing), VALUE(fee), delivery, VALUE(amounts.waiver),
			  order.waiver_percent);
	price_redeem(&price, &order.vendor_id, &order.id);
	lines_insert(&order, lines, request->nlines, now);
	if (!request->is_draft)
		lines_reserve(lines, request->nlines, expires_at, now);
	policy_accept(&policy, &order, request->terms, !request->is_draft);
	order_event(&order, request->is_draft ? "drafted" : "placed", NULL);
	if (!request->is_draft)
		order_confirm_alone(&policy, &order, VALUE(nothing));
	return order.id;
}

/*
 * order_place(items order_items_request, vendor_id uuid, note text, customer_id uuid, delivery
 * order_delivery_request, terms order_terms_request, draft boolean, coupon text, damage_waiver boolean)
 */
PG_FUNCTION_INFO_V1(order_place);
Datum
order_place(PG_FUNCTION_ARGS)
{
	OrderRequest  request = {.customer_id = customer_arg(FCARG(3)),
							 .note = request_text(FCARG(2), "note", 4000),
							 .delivery = FCARG(4),
							 .terms = FCARG(5),
							 .is_draft = !PG_ARGISNULL(6) && PG_GETARG_BOOL(6),
							 .coupon = request_text(FCARG(7), "coupon", 40),
							 .with_waiver = !PG_ARGISNULL(8) && PG_GETARG_BOOL(8)};
	NullableDatum row;
	pg_uuid_t	  id;
	int			  i;

	request_required(FCARG(0), "items");
	plan_open();
	request.lines = lines_read(PG_GETARG_JSONB_P(0), &request.nlines);
	for (i = 0; i < request.nlines; i++)
	{
		const OrderLine *line = &request.lines[i];

		if (!uuid_equal(&line->product.vendor_id, &request.lines[0].product.vendor_id) ||
			(!PG_ARGISNULL(1) && !uuid_equal(&line->product.vendor_id, PG_GETARG_UUID_P(1))))
			rental_raise(invalid_value, errmsg("an order has one vendor"), errfield(line_field(line, "product_id")));
		if (request.is_draft && line->nunits > 0)
			rental_raise(invalid_value, errmsg("a draft holds no units"), errfield(line_field(line, "unit_ids")));
	}
	id = order_make(&request);
	row = order_row(&id);
	plan_close();
	return plan_return(fcinfo, row);
}

/* Looking */

/* order_topic is what an order's events are sent to. */
static char *
order_topic(const pg_uuid_t *id)
{
	return psprintf("order:%s", uuid_text(id));
}

/* order_require_visible hides other people's orders as if they were not there. */
static void
order_require_visible(NullableDatum id)
{
	request_required(id, "order_id");
	if (plan_read(&order_owner, id) == 0 ||
		!actor_may_see(DatumGetUUIDP(plan_datum(0, 1)), DatumGetUUIDP(plan_datum(0, 2))))
		rental_raise(not_found, errmsg("no such order"));
}

PG_FUNCTION_INFO_V1(order_get);
Datum
order_get(PG_FUNCTION_ARGS)
{
	NullableDatum row;

	plan_open();
	order_require_visible(FCARG(0));
	row = order_row(DatumGetUUIDP(FCARG(0).value));
	plan_close();
	return plan_return(fcinfo, row);
}

static void
status_check(const char *status)
{
	static const char *const known[] = {"draft",	"quoted",	 "pending",	  "confirmed", "active",
										"returned", "completed", "cancelled", "rejected",  "expired"};
	int						 i;

	for (i = 0; i < lengthof(known); i++)
		if (strcmp(status, known[i]) == 0)
			return;
	rental_raise(invalid_field, errmsg("there is no such status"), errfield("status"));
}

/* order_list(status text, page_size, cursor, count) */
PG_FUNCTION_INFO_V1(order_list);
Datum
order_list(PG_FUNCTION_ARGS)
{
	NullableDatum filters[3];

	actor_list_scope(filters);
	if (!PG_ARGISNULL(0))
		status_check(TextDatumGetCString(PG_GETARG_DATUM(0)));
	filters[2] = FCARG(0);
	return page_return(fcinfo, &order_pages, filters, 3, PG_GETARG_INT32(1), FCARG(2), FCARG(3));
}

/* order_event_list(order_id uuid, page_size, cursor, count) */
PG_FUNCTION_INFO_V1(order_event_list);
Datum
order_event_list(PG_FUNCTION_ARGS)
{
	plan_open();
	order_require_visible(FCARG(0));
	plan_close();
	return page_return(fcinfo, &event_pages, &FCARG(0), 1, PG_GETARG_INT32(1), FCARG(2), FCARG(3));
}

/* order_stream(order_id uuid) */
PG_FUNCTION_INFO_V1(order_stream);
Datum
order_stream(PG_FUNCTION_ARGS)
{
	Datum topic;

	plan_open();
	order_require_visible(FCARG(0));
	plan_close();
	topic = CStringGetTextDatum(order_topic(PG_GETARG_UUID_P(0)));
	return stream_return(fcinfo, &topic, 1);
}

PG_FUNCTION_INFO_V1(order_quote_list);
Datum
order_quote_list(PG_FUNCTION_ARGS)
{
	plan_open();
	order_require_visible(FCARG(0));
	plan_close();
	return page_return(fcinfo, &quote_pages, &FCARG(0), 1, PG_GETARG_INT32(1), FCARG(2), FCARG(3));
}

PG_FUNCTION_INFO_V1(order_charge_list);
Datum
order_charge_list(PG_FUNCTION_ARGS)
{
	plan_open();
	order_require_visible(FCARG(0));
	plan_close();
	return page_return(fcinfo, &charge_pages, &FCARG(0), 1, PG_GETARG_INT32(1), FCARG(2), FCARG(3));
}

PG_FUNCTION_INFO_V1(order_contract_get);
Datum
order_contract_get(PG_FUNCTION_ARGS)
{
	NullableDatum row;

	plan_open();
	order_require_visible(FCARG(0));
	if (plan_read(&contract_row, FCARG(0)) == 0)
		rental_raise(not_found, errmsg("nothing was accepted with this order"));
	row = plan_keep(0, 1);
	plan_close();
	return plan_return(fcinfo, row);
}

/* Changing */

/* order_lock_row finds and locks an order, whoever calls, between plan_open and plan_close. */
bool
order_lock_row(const pg_uuid_t *id, Order *order)
{
	NullableDatum expires;

	if (plan_run(&order_for_update, VALUE(UUIDPGetDatum(id))) == 0)
		return false;
	expires = plan_value(0, 11);
	order->id = *id;
	order->vendor_id = *DatumGetUUIDP(plan_datum(0, 1));
	order->customer_id = *DatumGetUUIDP(plan_datum(0, 2));
	order->status = plan_text(0, 3);
	order->currency = plan_text(0, 4);
	order->time_zone = plan_text(0, 5);
	order->subtotal = plan_datum(0, 6);
	order->tax = plan_datum(0, 7);
	order->total = plan_datum(0, 8);
	order->fee = plan_datum(0, 9);
	order->paid = plan_datum(0, 10);
	order->waiver_percent = plan_value(0, 12);
	order->expires_at = expires.isnull ? DT_NOEND : DatumGetTimestampTz(expires.value);
	return true;
}

/* order_lock_seen finds and locks an order that the caller may see. */
void
order_lock_seen(NullableDatum id, Order *order)
{
	request_required(id, "order_id");
	if (!order_lock_row(DatumGetUUIDP(id.value), order) || !actor_may_see(&order->customer_id, &order->vendor_id))
		rental_raise(not_found, errmsg("no such order"));
}

/* order_lock_own is order_lock for what only the vendor's team may do. */
void
order_lock_own(NullableDatum id, Order *order)
{
	order_lock_seen(id, order);
	actor_require_vendor(&order->vendor_id);
}

/*
 * event_send tells who follows an order what happened to it. The lock on the
 * order's row keeps its events in order. What is too much for an event is
 * left out of its data; the order's history has it.
 */
static void
event_send(const Order *order, const char *kind, const Actor *who, const char *json)
{
	StringInfoData data;
	int			   head;

	initStringInfo(&data);
	appendStringInfo(&data, "{\"kind\":\"%s\",\"actor_id\":", kind);
	json_write(&data, UUIDPGetDatum(&who->user_id), !actor_has_user(who), UUIDOID);
	appendStringInfoString(&data, ",\"created_at\":");
	json_write(&data, TimestampTzGetDatum(rental_now()), false, TIMESTAMPTZOID);
	appendStringInfoString(&data, ",\"data\":");
	head = data.len;
	appendStringInfo(&data, "%s}", json ? json : "null");
	if (data.len > EVENT_MOST)
	{
		data.len = head;
		appendStringInfoString(&data, "null}");
	}
	stream_send(order_topic(&order->id), psprintf("order.%s", kind), data.data);
}

/*
 * order_event records what happened to an order, whose row is locked, and
 * tells who follows it: nobody yet an order that is only just made. json is
 * more about it, or NULL.
 */
void
order_event(const Order *order, const char *kind, const char *json)
{
	const Actor *who = actor_current();

	if (!order->is_new)
		event_send(order, kind, who, json);
	store_row(&event_rows, VALUE(uuid7_datum()), VALUE(UUIDPGetDatum(&order->vendor_id)),
			  VALUE(UUIDPGetDatum(&order->id)), VALUE(CStringGetTextDatum(kind)),
			  VALUE_OR_NULL(UUIDPGetDatum(&who->user_id), !actor_has_user(who)),
			  VALUE_OR_NULL(json ? DirectFunctionCall1(jsonb_in, CStringGetDatum(json)) : (Datum) 0, json == NULL),
			  VALUE(TimestampTzGetDatum(rental_now())));
}

/* change_tell adds a member to what the event of a change tells. */
static void
change_tell(Change *change, const char *name, Datum value, bool isnull, Oid type)
{
	appendStringInfo(&change->data, "%c\"%s\":", change->data.len == 0 ? '{' : ',', name);
	json_write(&change->data, value, isnull, type);
}

static void
change_event(Change *change, const char *kind)
{
	if (change->data.len > 0)
		appendStringInfoChar(&change->data, '}');
	order_event(&change->order, kind, change->data.len > 0 ? change->data.data : NULL);
}

/* order_is_void tells whether an order of this status ended without a rental. */
bool
order_is_void(const char *status)
{
	return strcmp(status, "cancelled") == 0 || strcmp(status, "rejected") == 0 || strcmp(status, "expired") == 0;
}

/* order_step does the work of a transition, and moves the order on unless that follows from its items. */
static void
order_step(Change *change, const Transition *transition)
{
	Order *order = &change->order;

	change->expires_at = strcmp(transition->from, transition->to) == 0 ? order->expires_at : DT_NOEND;
	/* before any stock is touched, as when it was used */
	if (order_is_void(transition->to))
		price_release(&order->id);
	if (transition->work != NULL)
		transition->work(change);
	if (!transition->follows &&
		(strcmp(transition->from, transition->to) != 0 || change->expires_at != order->expires_at))
	{
		plan_run(&order_set_status, VALUE(UUIDPGetDatum(&order->id)), VALUE(UUIDPGetDatum(&order->vendor_id)),
				 VALUE(CStringGetTextDatum(transition->to)), VALUE(TimestampTzGetDatum(change->now)),
				 time_or_null(change->expires_at));
		order->status = transition->to;
	}
	else
		plan_run(&order_touch, VALUE(UUIDPGetDatum(&order->id)), VALUE(UUIDPGetDatum(&order->vendor_id)),
				 VALUE(TimestampTzGetDatum(change->now)));
	if (transition->event != NULL)
		change_event(change, transition->event);
}

/* order_act_locked checks that the caller may act on a change's order, which is locked, and does so. */
static void
order_act_locked(const char *action, Change *change)
{
	const Transition *transition;
	Order			 *order = &change->order;

	if (action_is_vendors(action))
		actor_require_vendor(&order->vendor_id);
	transition = transition_find(action, order->status);
	if (transition == NULL)
		rental_raise(invalid_state, errmsg("cannot %s an order that is %s", action, order->status));
	if (strcmp(transition->actor, "vendor") == 0)
		actor_require_vendor(&order->vendor_id);
	if (strcmp(transition->actor, "system") == 0)
		actor_require_admin();
	change->now = rental_now();
	change->by_vendor = actor_serves(actor_current(), &order->vendor_id);
	if (change->data.data == NULL)
		initStringInfo(&change->data);
	order_step(change, transition);
}

static void
order_act(NullableDatum id, const char *action, Change *change)
{
	order_lock_seen(id, &change->order);
	order_act_locked(action, change);
}

/* order_done answers with an order that was changed since plan_open, and closes that. */
static Datum
order_done(FunctionCallInfo fcinfo, const Change *change)
{
	NullableDatum row = order_row(&change->order.id);

	plan_close();
	return plan_return(fcinfo, row);
}

static Datum
order_acted(FunctionCallInfo fcinfo, const char *action, Change *change)
{
	plan_open();
	order_act(FCARG(0), action, change);
	return order_done(fcinfo, change);
}

/* charges_changed writes what an order's charges sum to. */
static void
charges_changed(Change *change)
{
	Order *order = &change->order;

	if (plan_run(&charges_any, VALUE(UUIDPGetDatum(&order->id))) > 0)
		plan_run(&order_sum_charges, VALUE(UUIDPGetDatum(&order->id)), VALUE(UUIDPGetDatum(&order->vendor_id)),
				 VALUE(TimestampTzGetDatum(change->now)));
}

/*
 * lines_repriced prices the lines that have no price any more, spreads the
 * order's coupon anew, and writes the order's sums and those of the first
 * nstored lines that may have changed.
 */
static void
lines_repriced(Change *change, OrderLine *lines, int n, int nstored)
{
	Order		*order = &change->order;
	PriceOrder	 price = {.customer_id = &order->customer_id};
	OrderAmounts amounts;
	bool		*changed = palloc(n * sizeof(bool));
	int			 i;

	price_keep_coupon(&price, &order->id);
	for (i = 0; i < n; i++)
		changed[i] = !lines[i].is_priced || price.is_spread;
	lines_price(lines, n, &price, order->waiver_percent, &amounts);
	plan_run(&order_set_amounts, VALUE(UUIDPGetDatum(&order->id)), VALUE(UUIDPGetDatum(&order->vendor_id)),
			 VALUE(amounts.subtotal), VALUE(amounts.discount), VALUE(amounts.tax), VALUE(amounts.deposit),
			 VALUE(amounts.total), VALUE(TimestampTzGetDatum(change->now)), VALUE(amounts.waiver));
	order->total = amount_add(amount_add(amounts.total, order->fee), amounts.waiver);
	for (i = 0; i < nstored; i++)
		if (changed[i])
			line_update(order, &lines[i]);
}

/* Quotes */

/* order_quote(order_id uuid, valid_until timestamptz, note text) */
PG_FUNCTION_INFO_V1(order_quote);
Datum
order_quote(PG_FUNCTION_ARGS)
{
	Change change = {.at = PG_ARGISNULL(1) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(1),
					 .note = request_text(FCARG(2), "note", 4000)};

	return order_acted(fcinfo, "quote", &change);
}

/* work_quote prices the draft as of today, and keeps what is offered. */
static void
work_quote(Change *change)
{
	Order	  *order = &change->order;
	OrderLine *lines;
	Policy	   policy;
	int		   n;
	int		   i;

	policy_load(&order->vendor_id, &policy);
	if (change->at == DT_NOBEGIN)
		change->at = change->now + policy.quote_days * USECS_PER_DAY;
	if (change->at <= change->now || change->at > change->now + 366 * USECS_PER_DAY)
		rental_raise(invalid_value, errmsg("valid_until must lie within the next year"), errfield("valid_until"));
	lines = lines_load(order, &n);
	for (i = 0; i < n; i++)
		lines[i].is_priced = false;
	lines_repriced(change, lines, n, n);
	change->expires_at = change->at;
	plan_run(&quote_insert, VALUE(UUIDPGetDatum(&order->id)), VALUE(TimestampTzGetDatum(change->at)),
			 text_or_null(change->note), VALUE(TimestampTzGetDatum(change->now)));
	change_tell(change, "version", plan_datum(0, 1), false, INT4OID);
	change_tell(change, "total", order->total, false, NUMERICOID);
	change_tell(change, "valid_until", TimestampTzGetDatum(change->at), false, TIMESTAMPTZOID);
}

/* order_accept(order_id uuid, version integer, terms order_terms_request) */
PG_FUNCTION_INFO_V1(order_accept);
Datum
order_accept(PG_FUNCTION_ARGS)
{
	Change change = {.version = PG_ARGISNULL(1) ? 0 : PG_GETARG_INT32(1), .terms = FCARG(2)};
	Policy policy;

	plan_open();
	order_act(FCARG(0), "accept", &change);
	policy_load(&change.order.vendor_id, &policy);
	order_confirm_alone(&policy, &change.order, VALUE(change.order.paid));
	return order_done(fcinfo, &change);
}

/* work_accept takes the stock that the offer was about, at the prices of the offer. */
static void
work_accept(Change *change)
{
	Order	  *order = &change->order;
	OrderLine *lines;
	Policy	   policy;
	int32	   latest;
	int		   n;

	if (order->expires_at <= change->now)
		rental_raise(invalid_state, errmsg("the offer has ended"));
	plan_run(&quote_latest, VALUE(UUIDPGetDatum(&order->id)));
	latest = DatumGetInt32(plan_datum(0, 1));
	if (change->version != 0 && change->version != latest)
		rental_raise(conflict, errmsg("version %d is the offer that counts", latest), errfield("version"));
	lines = lines_load(order, &n);
	require_notice(&order->vendor_id, lines, n, change->now);
	policy_load(&order->vendor_id, &policy);
	policy_accept(&policy, order, change->terms, true);
	plan_run(&hold_time, VALUE(UUIDPGetDatum(&order->vendor_id)));
	change->expires_at = period_plus(change->now, plan_datum(0, 1));
	lines_reserve(lines, n, change->expires_at, change->now);
	change_tell(change, "version", Int32GetDatum(latest), false, INT4OID);
}

/* Confirming and ending */

PG_FUNCTION_INFO_V1(order_confirm);
Datum
order_confirm(PG_FUNCTION_ARGS)
{
	Change change = {.at = DT_NOBEGIN};

	return order_acted(fcinfo, "confirm", &change);
}

static void
work_confirm(Change *change)
{
	Order *order = &change->order;
	Policy policy;

	policy_load(&order->vendor_id, &policy);
	if (policy.pay_first && amount_less(order->paid, order->total))
		rental_raise(invalid_state, errmsg("the order is to be paid before it is confirmed"));
	lines_become(&order->id, 1, "firm", false);
}

/* order_confirm_alone confirms a pending order where its vendor wants that done at once, or as soon as it is paid. */
static void
order_confirm_alone(const Policy *policy, const Order *order, NullableDatum paid)
{
	Change change = {.order = *order, .now = rental_now()};

	if (!policy->auto_confirm || (policy->pay_first && amount_less(paid.value, order->total)))
		return;
	change.order.paid = paid.value;
	change.order.expires_at = DT_NOEND;
	initStringInfo(&change.data);
	order_step(&change, transition_find("confirm", "pending"));
}

/* order_paid confirms an order that only waited for its payment; its row is locked. */
void
order_paid(const pg_uuid_t *id)
{
	Order  order;
	Policy policy;

	order_lock_row(id, &order);
	if (strcmp(order.status, "pending") != 0)
		return;
	policy_load(&order.vendor_id, &policy);
	if (policy.pay_first)
		order_confirm_alone(&policy, &order, VALUE(order.paid));
}

/* order_reject(order_id uuid, reason text) */
PG_FUNCTION_INFO_V1(order_reject);
Datum
order_reject(PG_FUNCTION_ARGS)
{
	Change change = {.note = request_text(FCARG(1), "reason", 1000)};

	return order_acted(fcinfo, "reject", &change);
}

/* order_cancel(order_id uuid, reason text) */
PG_FUNCTION_INFO_V1(order_cancel);
Datum
order_cancel(PG_FUNCTION_ARGS)
{
	Change change = {.note = request_text(FCARG(1), "reason", 1000)};

	return order_acted(fcinfo, "cancel", &change);
}

/* work_end gives the stock of an order back that ends before it begins. */
static void
work_end(Change *change)
{
	Order *order = &change->order;

	if (change->is_batch)
		return;
	units_release(&order->id, DT_NOBEGIN);
	lines_become(&order->id, 1, "released", false);
	change_tell(change, "reason", change->note ? CStringGetTextDatum(change->note) : (Datum) 0, change->note == NULL,
				TEXTOID);
}

/* work_cancel: a customer who cancels what is confirmed owes what the vendor's policy says; the vendor takes nothing. */
static void
work_cancel(Change *change)
{
	Order *order = &change->order;
	Policy policy;
	Datum  fee;

	work_end(change);
	if (change->by_vendor)
		return;
	policy_load(&order->vendor_id, &policy);
	plan_run(&earliest_start, VALUE(UUIDPGetDatum(&order->id)));
	fee = policy_cancellation_fee(&policy, order, DatumGetTimestampTz(plan_datum(0, 1)), change->now);
	if (!amount_less(amount_zero(), fee))
		return;
	plan_run(&order_set_cancellation_fee, VALUE(UUIDPGetDatum(&order->id)), VALUE(UUIDPGetDatum(&order->vendor_id)),
			 VALUE(fee));
	change_tell(change, "cancellation_fee", fee, false, NUMERICOID);
}

PG_FUNCTION_INFO_V1(order_close);
Datum
order_close(PG_FUNCTION_ARGS)
{
	Change change = {.at = DT_NOBEGIN};

	return order_acted(fcinfo, "close", &change);
}

/* Going out and coming back */

static const char *const dispatch_fields[] = {"item_id", "quantity", "unit_ids", NULL};
static const char *const return_fields[] = {"item_id", "quantity", "unit_ids", "condition", "charge", "reason", NULL};

/* pieces_left is how many pieces of a line can still be moved: go out, or come back. */
static int32
pieces_left(const OrderLine *line, bool is_return)
{
	return is_return ? line->dispatched - line->returned : line->quantity - line->dispatched;
}

static void
pieces_condition(Pieces *pieces)
{
	char *condition = request_string(&pieces->request, "condition", false, 20);

	pieces->condition = condition ? condition : "good";
	if (strcmp(pieces->condition, "good") != 0 && strcmp(pieces->condition, "damaged") != 0 &&
		strcmp(pieces->condition, "lost") != 0)
		rental_raise(invalid_value, errmsg("condition must be good, damaged or lost"),
					 errfield(request_path(&pieces->request, "condition")));
	pieces->has_charge = request_amount(&pieces->request, "charge", false, &pieces->charge);
	pieces->reason = request_string(&pieces->request, "reason", false, 1000);
	if (strcmp(pieces->condition, "good") == 0 && pieces->has_charge)
		rental_raise(invalid_value, errmsg("what is in good condition is not charged"),
					 errfield(request_path(&pieces->request, "charge")));
	if (strcmp(pieces->condition, "lost") == 0 && pieces->line->product.is_sale)
		rental_raise(invalid_value, errmsg("what was sold does not come back"),
					 errfield(request_path(&pieces->request, "condition")));
	if (strcmp(pieces->condition, "lost") == 0 && pieces->line->product.serialised && pieces->nunits == 0)
		rental_raise(missing_field, errmsg("unit_ids is required for what is lost"),
					 errfield(request_path(&pieces->request, "unit_ids")));
}

/* pieces_read reads which pieces are moved; without a list, all that can be. */
static Pieces *
pieces_read(Change *change, OrderLine *lines, int nlines, bool is_return, int *n)
{
	RequestList list;
	Pieces	   *pieces;
	int			i;

	*n = 0;
	if (change->items.isnull)
	{
		pieces = palloc0(nlines * sizeof(Pieces));
		for (i = 0; i < nlines; i++)
			if (pieces_left(&lines[i], is_return) > 0)
				pieces[(*n)++] =
					(Pieces){.line = &lines[i], .quantity = pieces_left(&lines[i], is_return), .condition = "good"};
		if (*n == 0)
			rental_raise(invalid_state, errmsg(is_return ? "nothing is out" : "everything is out already"));
		return pieces;
	}
	list = request_list("items", DatumGetJsonbP(change->items.value), ORDER_MOST_ITEMS);
	pieces = palloc0(list.count * sizeof(Pieces));
	for (i = 0; i < list.count; i++)
	{
		Pieces	 *these = &pieces[i];
		pg_uuid_t id;
		int32	  left;

		these->request = request_object(&list, i, is_return ? return_fields : dispatch_fields);
		request_uuid(&these->request, "item_id", true, &id);
		these->line = line_find(lines, nlines, &id, request_path(&these->request, "item_id"));
		left = pieces_left(these->line, is_return);
		these->nunits = request_uuids(&these->request, "unit_ids", &these->units);
		if (!request_integer(&these->request, "quantity", false, &these->quantity))
			these->quantity = these->nunits > 0 ? these->nunits : left;
		if (these->nunits > 0 && (!these->line->product.serialised || these->nunits != these->quantity))
			rental_raise(invalid_value,
						 errmsg(these->line->product.serialised ? "quantity and the number of unit_ids differ"
																: "only a serialised product has units"),
						 errfield(request_path(&these->request, "unit_ids")));
		if (these->quantity < 1 || these->quantity > left)
			rental_raise(
				invalid_value,
				errmsg(is_return ? "%d pieces of this item are out" : "%d pieces of this item can go out", left),
				errfield(request_path(&these->request, "quantity")));
		if (is_return)
		{
			these->line->returned += these->quantity;
			pieces_condition(these);
		}
		else
			these->line->dispatched += these->quantity;
	}
	*n = list.count;
	return pieces;
}

/* change_tell_items tells which pieces were moved, where they were named. */
static void
change_tell_items(Change *change)
{
	if (!change->items.isnull)
		change_tell(change, "items", change->items.value, false, JSONBOID);
}

/* order_dispatch(order_id uuid, items order_dispatch_request) */
PG_FUNCTION_INFO_V1(order_dispatch);
Datum
order_dispatch(PG_FUNCTION_ARGS)
{
	Change change = {.items = FCARG(1)};

	return order_acted(fcinfo, "dispatch", &change);
}

/*
 * sales_settled counts what was sold as done when all else is back; an order of
 * nothing but sales ends by a return of all.
 */
static void
sales_settled(const Order *order, bool is_return_of_all)
{
	plan_run(&sales_settle, VALUE(UUIDPGetDatum(&order->id)), VALUE(UUIDPGetDatum(&order->vendor_id)),
			 VALUE(BoolGetDatum(is_return_of_all)));
}

static void
work_dispatch(Change *change)
{
	Order	  *order = &change->order;
	OrderLine *lines;
	Pieces	  *pieces;
	int		   nlines;
	int		   n;
	int		   i;

	lines = lines_load(order, &nlines);
	pieces = pieces_read(change, lines, nlines, false, &n);
	pieces_move(order, pieces, n, "firm", "out", DT_NOEND);
	for (i = 0; i < n; i++)
		plan_run(&item_dispatch, VALUE(pieces[i].line->id), VALUE(UUIDPGetDatum(&order->vendor_id)),
				 VALUE(Int32GetDatum(pieces[i].quantity)));
	sales_settled(order, false);
	change_tell_items(change);
}

/* order_return(order_id uuid, returned_at timestamptz, items order_return_request) */
PG_FUNCTION_INFO_V1(order_return);
Datum
order_return(PG_FUNCTION_ARGS)
{
	Change change = {.at = PG_ARGISNULL(1) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(1), .items = FCARG(2)};

	if (change.at > rental_now())
		rental_raise(invalid_value, errmsg("returned_at lies in the future"), errfield("returned_at"));
	return order_acted(fcinfo, "return", &change);
}

static void
charge_line(Change *change, const Pieces *pieces, const char *kind, Datum amount, const char *reason)
{
	Order *order = &change->order;

	if (amount_equal(amount, amount_zero()))
		return;
	plan_run(&charge_insert, VALUE(UUIDPGetDatum(&order->vendor_id)), VALUE(UUIDPGetDatum(&order->id)),
			 VALUE(pieces->line->id), VALUE(CStringGetTextDatum(kind)), VALUE(Int32GetDatum(pieces->quantity)),
			 VALUE(amount), text_or_null(reason), VALUE(TimestampTzGetDatum(change->now)));
}

/* charge_condition charges what is damaged or lost, up to the replacement value of the pieces; damage only where no waiver covers it. */
static void
charge_condition(Change *change, const Pieces *pieces)
{
	bool		  lost = strcmp(pieces->condition, "lost") == 0;
	const char	 *currency = change->order.currency;
	NullableDatum value;
	Datum		  most;
	Datum		  amount;

	if (strcmp(pieces->condition, "good") == 0)
		return;
	if (!lost && !change->order.waiver_percent.isnull && !pieces->line->waiver_exempt)
	{
		if (pieces->has_charge)
			rental_raise(rule_violated, errmsg("the damage waiver covers the damage"),
						 errfield(request_path(&pieces->request, "charge")));
		return;
	}
	plan_run(&replacement_value, VALUE(UUIDPGetDatum(&pieces->line->product_id)));
	value = plan_value(0, 1);
	most = amount_round(value.isnull ? amount_zero() : amount_times(value.value, pieces->quantity), currency);
	amount = lost ? most : amount_round(amount_zero(), currency);
	if (pieces->has_charge)
	{
		amount_check(pieces->charge, currency, request_path(&pieces->request, "charge"));
		amount = amount_round(pieces->charge, currency);
	}
	if (amount_less(most, amount))
		rental_raise(invalid_value, errmsg("no more than the replacement value, %s, can be charged", amount_text(most)),
					 errfield(request_path(&pieces->request, "charge")));
	charge_line(change, pieces, lost ? "loss" : "damage", amount, pieces->reason);
}

/* pieces_part is what pieces have of an amount of their line. */
static Minor
pieces_part(const Order *order, const Pieces *pieces, Datum amount)
{
	Datum part = amount_divide(amount_times(amount, pieces->quantity), pieces->line->quantity);

	return amount_minor(amount_round(part, order->currency), order->currency);
}

/*
 * early_refund is what pieces cost too much that come back before their end:
 * their price less that of the time they were out, and the damage waiver's
 * part of that. It is below zero, or zero.
 */
static Datum
early_refund(const Order *order, const Pieces *pieces, TimestampTz at)
{
	OrderLine	 shorter = *pieces->line;
	PriceOrder	 price = {.customer_id = &order->customer_id};
	OrderAmounts amounts;
	Minor		 less;
	Minor		 covered;

	shorter.quantity = pieces->quantity;
	shorter.period.end = Max(at, shorter.period.start + 15 * USECS_PER_MINUTE);
	shorter.is_priced = false;
	/* an amount off the whole order is not taken off one line */
	price_keep_coupon(&price, &order->id);
	if (price.is_spread)
		price.coupon = NULL;
	lines_price(&shorter, 1, &price, NULLVALUE, &amounts);
	less = Max(pieces_part(order, pieces, pieces->line->total) - amount_minor(amounts.total, order->currency), 0);
	covered =
		pieces_part(order, pieces, DirectFunctionCall2(numeric_sub, pieces->line->subtotal, pieces->line->discount)) -
		amount_minor(DirectFunctionCall2(numeric_sub, amounts.subtotal, amounts.discount), order->currency);
	if (!order->waiver_percent.isnull && !shorter.waiver_exempt && covered > 0)
		less += price_waiver(order->waiver_percent.value, covered);
	return amount_datum(-less, order->currency);
}

static void
work_return(Change *change)
{
	Order	   *order = &change->order;
	TimestampTz at = change->at == DT_NOBEGIN ? change->now : change->at;
	OrderLine  *lines;
	Pieces	   *pieces;
	Policy		policy;
	int			nlines;
	int			n;
	int			i;

	plan_run(&earliest_start, VALUE(UUIDPGetDatum(&order->id)));
	if (change->at != DT_NOBEGIN && at < DatumGetTimestampTz(plan_datum(0, 1)))
		rental_raise(invalid_value, errmsg("returned_at lies before the rental began"), errfield("returned_at"));
	policy_load(&order->vendor_id, &policy);
	lines = lines_load(order, &nlines);
	pieces = pieces_read(change, lines, nlines, true, &n);
	pieces_lock_lost(pieces, n);
	pieces_move(order, pieces, n, "out", "released", at);
	for (i = 0; i < n; i++)
	{
		bool damaged = strcmp(pieces[i].condition, "damaged") == 0;
		bool lost = strcmp(pieces[i].condition, "lost") == 0;

		plan_run(&item_return, VALUE(pieces[i].line->id), VALUE(UUIDPGetDatum(&order->vendor_id)),
				 VALUE(Int32GetDatum(pieces[i].quantity)), VALUE(Int32GetDatum(damaged ? pieces[i].quantity : 0)),
				 VALUE(Int32GetDatum(lost ? pieces[i].quantity : 0)));
		plan_run(&return_insert, VALUE(UUIDPGetDatum(&order->vendor_id)), VALUE(pieces[i].line->id),
				 VALUE(Int32GetDatum(pieces[i].quantity)), VALUE(TimestampTzGetDatum(at)));
		charge_condition(change, &pieces[i]);
		/* what was sold has no end, and what is lost is paid for as lost, whenever that is found out */
		if (pieces[i].line->product.is_sale || lost)
			continue;
		if (at > pieces[i].line->period.end)
		{
			Minor fee = price_late(&pieces[i].line->product, pieces[i].line->period.end, at, pieces[i].quantity);

			charge_line(change, &pieces[i], "late", amount_datum(fee, order->currency), NULL);
		}
		else if (at < pieces[i].line->period.end && policy.prorates)
			charge_line(change, &pieces[i], "early_return", early_refund(order, &pieces[i], at), NULL);
	}
	pieces_lose(order, pieces, n, at);
	charges_changed(change);
	sales_settled(order, change->items.isnull);
	change_tell(change, "returned_at", TimestampTzGetDatum(at), false, TIMESTAMPTZOID);
	change_tell_items(change);
}

/* order_charge_add(order_id uuid, amount numeric, reason text) */
PG_FUNCTION_INFO_V1(order_charge_add);
Datum
order_charge_add(PG_FUNCTION_ARGS)
{
	char		 *reason = request_required_text(FCARG(2), "reason", 1000);
	Change		  change = {.now = rental_now()};
	Order		 *order = &change.order;
	NullableDatum row;

	request_required(FCARG(1), "amount");
	plan_open();
	order_lock_own(FCARG(0), order);
	if (strcmp(order->status, "active") != 0 && strcmp(order->status, "returned") != 0)
		rental_raise(invalid_state, errmsg("cannot charge an order that is %s", order->status));
	amount_check(PG_GETARG_DATUM(1), order->currency, "amount");
	plan_run(&charge_insert, VALUE(UUIDPGetDatum(&order->vendor_id)), FCARG(0), NULLVALUE,
			 VALUE(CStringGetTextDatum("other")), VALUE(Int32GetDatum(1)),
			 VALUE(amount_round(PG_GETARG_DATUM(1), order->currency)), VALUE(CStringGetTextDatum(reason)),
			 VALUE(TimestampTzGetDatum(change.now)));
	charges_changed(&change);
	initStringInfo(&change.data);
	change_tell(&change, "amount", PG_GETARG_DATUM(1), false, NUMERICOID);
	change_tell(&change, "reason", CStringGetTextDatum(reason), false, TEXTOID);
	change_event(&change, "charged");
	row = order_row(&order->id);
	plan_close();
	return plan_return(fcinfo, row);
}

/* Staying longer */

static const char *const extend_fields[] = {"item_id", "end_at", NULL};

/*
 * extension_waits tells whether the caller must ask the vendor: a customer whose
 * vendor wants that, or who has something that is overdue, since an extension
 * would undo its late fee.
 */
static bool
extension_waits(const Order *order)
{
	Policy policy;

	if (actor_serves(actor_current(), &order->vendor_id) || transition_find("ask", order->status) == NULL)
		return false;
	policy_load(&order->vendor_id, &policy);
	return policy.asks_extension || plan_run(&order_overdue, VALUE(UUIDPGetDatum(&order->id))) > 0;
}

/* order_extend(order_id uuid, end_at timestamptz, items order_extend_request) */
PG_FUNCTION_INFO_V1(order_extend);
Datum
order_extend(PG_FUNCTION_ARGS)
{
	Change change = {.at = PG_ARGISNULL(1) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(1), .items = FCARG(2)};

	plan_open();
	order_lock_seen(FCARG(0), &change.order);
	order_act_locked(extension_waits(&change.order) ? "ask" : "extend", &change);
	return order_done(fcinfo, &change);
}

/* order_extension_drop(order_id uuid, reason text) */
PG_FUNCTION_INFO_V1(order_extension_drop);
Datum
order_extension_drop(PG_FUNCTION_ARGS)
{
	Change change = {.note = request_text(FCARG(1), "reason", 1000)};

	return order_acted(fcinfo, "drop", &change);
}

/* line_stay makes a line end later, and says why it cannot. */
static void
line_stay(OrderLine *line, TimestampTz end, char *field)
{
	if (end == DT_NOBEGIN)
		rental_raise(missing_field, errmsg("end_at is required"), errfield(field));
	if (line->product.is_sale || line->returned == line->quantity)
		rental_raise(invalid_state, errmsg("an item that is back, or sold, cannot be kept longer"), errfield(field));
	if (end <= line->period.end)
		rental_raise(invalid_value,
					 errmsg("end_at must lie after the end so far, %s", period_time_text(line->period.end)),
					 errfield(field));
	line->period = period_check(line->period.start, end, field);
}

/* extend_items: what is back of a line has had its time; what is not gets more, and a price for all of it. */
static void
extend_items(void *arg)
{
	Change	   *change = arg;
	Order	   *order = &change->order;
	Datum		before = order->total;
	OrderLine  *lines;
	OrderLine **chosen;
	int			nlines;
	int			n = 0;
	int			i;

	lines = lines_load(order, &nlines);
	chosen = palloc(Max(nlines, ORDER_MOST_ITEMS) * sizeof(OrderLine *));
	if (change->items.isnull)
	{
		for (i = 0; i < nlines; i++)
			if (!lines[i].product.is_sale && lines[i].returned < lines[i].quantity)
				line_stay(chosen[n++] = &lines[i], change->at, "end_at");
		if (n == 0)
			rental_raise(invalid_state, errmsg("nothing can be kept longer"));
	}
	else
	{
		RequestList list = request_list("items", DatumGetJsonbP(change->items.value), ORDER_MOST_ITEMS);

		for (i = 0; i < list.count; i++)
		{
			RequestObject object = request_object(&list, i, extend_fields);
			TimestampTz	  end = change->at;
			pg_uuid_t	  id;

			request_uuid(&object, "item_id", true, &id);
			request_time(&object, "end_at", false, &end);
			line_stay(chosen[n++] = line_find(lines, nlines, &id, request_path(&object, "item_id")), end,
					  request_path(&object, "end_at"));
		}
	}
	for (i = 0; i < n; i++)
		if (chosen[i]->returned > 0)
			line_split_returned(order, chosen[i], change->now);
	/* with the lines that were split off */
	lines = lines_load(order, &nlines);
	for (i = 0; i < n; i++)
	{
		TimestampTz end = chosen[i]->period.end;

		chosen[i] = line_find(lines, nlines, DatumGetUUIDP(chosen[i]->id), NULL);
		chosen[i]->period.end = end;
		chosen[i]->is_priced = false;
	}
	lines_extend(order, chosen, n);
	lines_repriced(change, lines, nlines, nlines);
	if (!change->items.isnull)
		change_tell_items(change);
	else
		change_tell(change, "end_at", TimestampTzGetDatum(change->at), false, TIMESTAMPTZOID);
	change_tell(change, "difference", DirectFunctionCall2(numeric_sub, order->total, before), false, NUMERICOID);
}

static void
extension_set(Change *change, NullableDatum extension)
{
	plan_run(&order_set_extension, VALUE(UUIDPGetDatum(&change->order.id)),
			 VALUE(UUIDPGetDatum(&change->order.vendor_id)), extension);
}

/* work_extend extends what is named, or grants what was asked for. */
static void
work_extend(Change *change)
{
	bool asked = plan_run(&order_extension, VALUE(UUIDPGetDatum(&change->order.id))) > 0;

	if (asked && change->by_vendor && change->at == DT_NOBEGIN && change->items.isnull)
	{
		change->at = plan_value(0, 1).isnull ? DT_NOBEGIN : DatumGetTimestampTz(plan_datum(0, 1));
		change->items = plan_value(0, 2);
	}
	extend_items(change);
	if (asked)
		extension_set(change, NULLVALUE);
}

/*
 * work_ask_extension keeps what the customer wants, after an extension that is
 * undone: so it is refused what cannot be, and told what it would cost. Nothing
 * is held for it; whoever grants it looks again.
 */
static void
work_ask_extension(Change *change)
{
	Order	   order = change->order;
	ErrorData *error = plan_try(extend_items, change, false);

	if (error != NULL)
		ReThrowError(error);
	change->order = order;
	extension_set(change, VALUE(DirectFunctionCall1(jsonb_in, CStringGetDatum(psprintf("%s}", change->data.data)))));
}

static void
work_drop_extension(Change *change)
{
	if (plan_run(&order_extension, VALUE(UUIDPGetDatum(&change->order.id))) == 0)
		rental_raise(invalid_state, errmsg("nothing was asked to be kept longer"));
	extension_set(change, NULLVALUE);
	change_tell(change, "reason", change->note ? CStringGetTextDatum(change->note) : (Datum) 0, change->note == NULL,
				TEXTOID);
}

/* Changing the items */

static Datum
order_edited(FunctionCallInfo fcinfo, void (*edit)(Change *, FunctionCallInfo))
{
	Change change = {.edit = edit, .fcinfo = fcinfo};

	return order_acted(fcinfo, "change", &change);
}

static void
work_edit(Change *change)
{
	change->edit(change, change->fcinfo);
}

/* order_holds tells whether an order has taken stock, and until when. */
static bool
order_holds(const Order *order)
{
	return strcmp(order->status, "draft") != 0 && strcmp(order->status, "quoted") != 0;
}

/* order_take takes the stock of a line in the way the order has taken that of its others. */
static void
order_take(Change *change, OrderLine *line)
{
	if (order_holds(&change->order))
		lines_reserve(line, 1, change->order.expires_at, change->now);
	else if (line->nunits > 0)
		rental_raise(invalid_value, errmsg("a draft holds no units"), errfield("unit_ids"));
}

static int
units_arg(ArrayType *array, pg_uuid_t **units)
{
	Datum *values;
	bool  *nulls;
	int	   n;
	int	   i;

	deconstruct_array(array, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR, &values, &nulls, &n);
	*units = palloc(Max(n, 1) * sizeof(pg_uuid_t));
	for (i = 0; i < n; i++)
	{
		if (nulls[i])
			rental_raise(invalid_field, errmsg("unit_ids must be a list of UUIDs"), errfield("unit_ids"));
		(*units)[i] = *DatumGetUUIDP(values[i]);
	}
	return n;
}

static void
edit_add(Change *change, FunctionCallInfo fcinfo)
{
	Order	  *order = &change->order;
	OrderLine *old;
	OrderLine *lines;
	OrderLine *line;
	int		   n;

	old = lines_load(order, &n);
	if (n >= ORDER_MOST_ITEMS)
		rental_raise(rule_violated, errmsg("an order has at most %d items", ORDER_MOST_ITEMS));
	lines = palloc0((n + 1) * sizeof(OrderLine));
	memcpy(lines, old, n * sizeof(OrderLine));
	line = &lines[n];
	line->product_id = *PG_GETARG_UUID_P(1);
	line->quantity = PG_GETARG_INT32(2);
	line->period = (Period){PG_GETARG_TIMESTAMPTZ(3), PG_GETARG_TIMESTAMPTZ(4)};
	line->has_location = !PG_ARGISNULL(5);
	if (line->has_location)
		line->location_id = *PG_GETARG_UUID_P(5);
	if (!PG_ARGISNULL(6))
		line->nunits = units_arg(PG_GETARG_ARRAYTYPE_P(6), &line->unit_ids);
	line->id = uuid7_datum();
	line_complete(line, NULL);
	if (!uuid_equal(&line->product.vendor_id, &order->vendor_id))
		rental_raise(invalid_value, errmsg("an order has one vendor"), errfield("product_id"));
	require_notice(&order->vendor_id, line, 1, change->now);
	lines_repriced(change, lines, n + 1, n);
	lines_insert(order, line, 1, change->now);
	order_take(change, line);
	change_tell(change, "item_id", line->id, false, UUIDOID);
	change_event(change, "item_added");
}

/*
 * order_item_add(order_id uuid, product_id uuid, quantity integer, start_at timestamptz,
 * end_at timestamptz, location_id uuid, unit_ids uuid[])
 */
PG_FUNCTION_INFO_V1(order_item_add);
Datum
order_item_add(PG_FUNCTION_ARGS)
{
	request_required(FCARG(1), "product_id");
	request_required(FCARG(2), "quantity");
	request_required(FCARG(3), "start_at");
	request_required(FCARG(4), "end_at");
	return order_edited(fcinfo, edit_add);
}

static void
edit_change(Change *change, FunctionCallInfo fcinfo)
{
	Order	  *order = &change->order;
	OrderLine *lines;
	OrderLine *line;
	int32	   quantity;
	Period	   period;
	int		   n;

	lines = lines_load(order, &n);
	line = line_find(lines, n, PG_GETARG_UUID_P(1), NULL);
	quantity = PG_ARGISNULL(2) ? line->quantity : PG_GETARG_INT32(2);
	period.start = PG_ARGISNULL(3) ? line->period.start : PG_GETARG_TIMESTAMPTZ(3);
	period.end = PG_ARGISNULL(4) ? line->period.end : PG_GETARG_TIMESTAMPTZ(4);
	if (line->dispatched > 0 && (period.start != line->period.start || period.end != line->period.end))
		rental_raise(invalid_state, errmsg("an item that is out keeps its time; it can be extended"));
	if (line->dispatched > 0 && quantity > line->quantity)
		rental_raise(invalid_state, errmsg("an item that is out gets no more pieces; add another item"),
					 errfield("quantity"));
	if (quantity < Max(line->dispatched, 1))
		rental_raise(invalid_value, errmsg("quantity must be at least %d", Max(line->dispatched, 1)),
					 errfield("quantity"));
	if (quantity <= line->quantity && period.start == line->period.start && period.end == line->period.end)
	{
		if (quantity < line->quantity && order_holds(order))
			line_give_back(order, line, line->quantity - quantity);
		line->quantity = quantity;
	}
	else
	{
		if (order_holds(order))
		{
			if (quantity == line->quantity)
				line_keep_units(line);
			line_give_back(order, line, line->quantity);
		}
		line->quantity = quantity;
		line->period = period;
		line_complete(line, NULL);
		require_notice(&order->vendor_id, line, 1, change->now);
		order_take(change, line);
	}
	line->is_priced = false;
	lines_repriced(change, lines, n, n);
	sales_settled(order, false);
	change_tell(change, "item_id", line->id, false, UUIDOID);
	change_tell(change, "quantity", Int32GetDatum(line->quantity), false, INT4OID);
	change_tell(change, "start_at", TimestampTzGetDatum(line->period.start), false, TIMESTAMPTZOID);
	change_tell(change, "end_at", TimestampTzGetDatum(line->period.end), false, TIMESTAMPTZOID);
	change_event(change, "item_changed");
}

/* order_item_change(order_id uuid, item_id uuid, quantity integer, start_at timestamptz, end_at timestamptz) */
PG_FUNCTION_INFO_V1(order_item_change);
Datum
order_item_change(PG_FUNCTION_ARGS)
{
	request_required(FCARG(1), "item_id");
	return order_edited(fcinfo, edit_change);
}

static void
edit_remove(Change *change, FunctionCallInfo fcinfo)
{
	Order	  *order = &change->order;
	OrderLine *lines;
	OrderLine *line;
	int		   n;

	lines = lines_load(order, &n);
	line = line_find(lines, n, PG_GETARG_UUID_P(1), NULL);
	if (line->dispatched > 0)
		rental_raise(invalid_state, errmsg("an item that is out cannot be removed"));
	if (n == 1)
		rental_raise(invalid_state, errmsg("an order has at least one item; cancel it instead"));
	if (order_holds(order))
		line_give_back(order, line, line->quantity);
	change_tell(change, "item_id", line->id, false, UUIDOID);
	line_delete(order, line);
	memmove(line, line + 1, (lines + n - (line + 1)) * sizeof(OrderLine));
	lines_repriced(change, lines, n - 1, n - 1);
	sales_settled(order, false);
	change_event(change, "item_removed");
}

/* order_item_remove(order_id uuid, item_id uuid) */
PG_FUNCTION_INFO_V1(order_item_remove);
Datum
order_item_remove(PG_FUNCTION_ARGS)
{
	request_required(FCARG(1), "item_id");
	return order_edited(fcinfo, edit_remove);
}

/* The states, seen from SQL */

/* order_transitions(): action, from_status, to_status, actor, follows */
PG_FUNCTION_INFO_V1(order_transitions);
Datum
order_transitions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int			   i;

	InitMaterializedSRF(fcinfo, 0);
	for (i = 0; i < lengthof(transitions); i++)
	{
		const Transition *t = &transitions[i];
		Datum values[5] = {CStringGetTextDatum(t->action), t->from ? CStringGetTextDatum(t->from) : (Datum) 0,
						   CStringGetTextDatum(t->to), CStringGetTextDatum(t->actor), BoolGetDatum(t->follows)};
		bool  nulls[5] = {false, t->from == NULL, false, false, false};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
}

/*
 * order_guard: before UPDATE OF status on orders, refuses a change that is no
 * transition, and one to a state that does not follow from the items
 */
PG_FUNCTION_INFO_V1(order_guard);
Datum
order_guard(PG_FUNCTION_ARGS)
{
	TriggerData		 *trigger = (TriggerData *) fcinfo->context;
	const Transition *found = NULL;
	char			 *from;
	char			 *to;
	int				  i;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ||
		!TRIGGER_FIRED_BEFORE(trigger->tg_event) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("order_guard must be fired before each row is updated")));
	from = TextDatumGetCString(row_column(trigger, trigger->tg_trigtuple, "status"));
	to = TextDatumGetCString(row_column(trigger, trigger->tg_newtuple, "status"));
	if (strcmp(from, to) == 0)
		return PointerGetDatum(trigger->tg_newtuple);
	for (i = 0; i < lengthof(transitions) && found == NULL; i++)
		if (transitions[i].from != NULL && strcmp(transitions[i].from, from) == 0 && strcmp(transitions[i].to, to) == 0)
			found = &transitions[i];
	if (found == NULL)
		rental_raise(invalid_state, errmsg("an order that is %s cannot become %s", from, to));
	if (found->follows)
	{
		PlanRights rights = plan_open_trusted();
		bool	   out;
		bool	   back;

		plan_run(&items_facts, VALUE(row_column(trigger, trigger->tg_newtuple, "id")),
				 VALUE(row_column(trigger, trigger->tg_newtuple, "vendor_id")));
		out = !plan_value(0, 1).isnull && DatumGetBool(plan_datum(0, 1));
		back = !plan_value(0, 2).isnull && DatumGetBool(plan_datum(0, 2));
		plan_close_trusted(rights);
		if (strcmp(to, "active") == 0 ? !out : !back)
			rental_raise(invalid_state, errmsg("an order becomes %s by its items", to),
						 errhint("Change what is dispatched or returned of its items."));
	}
	return PointerGetDatum(trigger->tg_newtuple);
}

/* order_follow: after quantity, dispatched or returned of an item has changed, or an item is gone */
PG_FUNCTION_INFO_V1(order_follow);
Datum
order_follow(PG_FUNCTION_ARGS)
{
	TriggerData	 *trigger = (TriggerData *) fcinfo->context;
	NullableDatum now = VALUE(TimestampTzGetDatum(rental_now()));
	NullableDatum id;
	NullableDatum vendor_id;
	PlanRights	  rights;
	char		 *status;
	bool		  out;
	bool		  back;

	if (!CALLED_AS_TRIGGER(fcinfo) || TRIGGER_FIRED_BY_INSERT(trigger->tg_event) ||
		!TRIGGER_FIRED_AFTER(trigger->tg_event) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("order_follow must be fired after each row is updated or deleted")));
	id = VALUE(row_column(trigger, trigger->tg_trigtuple, "order_id"));
	vendor_id = VALUE(row_column(trigger, trigger->tg_trigtuple, "vendor_id"));
	rights = plan_open_trusted();
	if (plan_run(&order_status, id, vendor_id) == 0)
	{
		plan_close_trusted(rights);
		return PointerGetDatum(NULL);
	}
	status = plan_text(0, 1);
	plan_run(&items_facts, id, vendor_id);
	out = !plan_value(0, 1).isnull && DatumGetBool(plan_datum(0, 1));
	back = !plan_value(0, 2).isnull && DatumGetBool(plan_datum(0, 2));
	if (out && strcmp(status, "confirmed") == 0)
	{
		plan_run(&order_follows, id, vendor_id, VALUE(CStringGetTextDatum("active")),
				 VALUE(CStringGetTextDatum(status)), now);
		status = "active";
	}
	if (back && strcmp(status, "active") == 0)
		plan_run(&order_follows, id, vendor_id, VALUE(CStringGetTextDatum("returned")),
				 VALUE(CStringGetTextDatum(status)), now);
	else if (out && strcmp(status, "active") != 0 &&
			 !(back && (strcmp(status, "returned") == 0 || strcmp(status, "completed") == 0)))
		rental_raise(invalid_state, errmsg("nothing can be out of an order that is %s", status));
	plan_close_trusted(rights);
	return PointerGetDatum(NULL);
}

/*
 * order_sums: at commit, refuses an order whose amounts are not the sums of its
 * lines, or of its charges. Its arguments name the column with the order and
 * what is to be summed. Rows of one order that end a transaction together are
 * looked at once.
 */
PG_FUNCTION_INFO_V1(order_sums);
Datum
order_sums(PG_FUNCTION_ARGS)
{
	static LocalTransactionId seen_lxid;
	static CommandId		  seen_command;
	static pg_uuid_t		  seen;
	static const char		 *seen_what;
	TriggerData				 *trigger = (TriggerData *) fcinfo->context;
	HeapTuple				  row;
	PlanRights				  rights;
	NullableDatum			  id;
	const char				 *what;
	bool					  wrong = false;

	if (!CALLED_AS_TRIGGER(fcinfo) || trigger->tg_trigger->tgnargs != 2 || !TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("order_sums must be fired after each row, with two arguments")));
	row = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
	id = VALUE(row_column(trigger, row, trigger->tg_trigger->tgargs[0]));
	what = strcmp(trigger->tg_trigger->tgargs[1], "items") == 0		? "items"
		   : strcmp(trigger->tg_trigger->tgargs[1], "charges") == 0 ? "charges"
																	: "both";
	if (seen_lxid == MyProc->lxid && seen_command == GetCurrentCommandId(false) && seen_what == what &&
		uuid_equal(&seen, DatumGetUUIDP(id.value)))
		return PointerGetDatum(NULL);
	rights = plan_open_trusted();
	if (strcmp(what, "charges") != 0)
		wrong = !order_items_add_up(DatumGetUUIDP(id.value));
	if (strcmp(what, "items") != 0 && !wrong)
		wrong = plan_run(&sum_of_charges, id) > 0;
	plan_close_trusted(rights);
	if (wrong)
		rental_raise(rule_violated, errmsg("the amounts of an order are the sums of its lines and its charges"),
					 errdetail("Order %s.", uuid_text(DatumGetUUIDP(id.value))));
	seen_lxid = MyProc->lxid;
	seen_command = GetCurrentCommandId(false);
	seen_what = what;
	seen = *DatumGetUUIDP(id.value);
	return PointerGetDatum(NULL);
}

/* Units */

/* order_swap_unit(order_id uuid, from_unit_id uuid, unit_id uuid) */
PG_FUNCTION_INFO_V1(order_swap_unit);
Datum
order_swap_unit(PG_FUNCTION_ARGS)
{
	StringInfoData data;
	Order		   order;
	NullableDatum  row;

	request_required(FCARG(1), "from_unit_id");
	request_required(FCARG(2), "unit_id");
	plan_open();
	order_lock_own(FCARG(0), &order);
	units_swap(&order.vendor_id, &order.id, FCARG(1), FCARG(2));
	initStringInfo(&data);
	appendStringInfo(&data, "{\"from\":\"%s\",\"to\":\"%s\"}", uuid_text(PG_GETARG_UUID_P(1)),
					 uuid_text(PG_GETARG_UUID_P(2)));
	order_event(&order, "unit_swapped", data.data);
	row = order_row(&order.id);
	plan_close();
	return plan_return(fcinfo, row);
}

/* order_assign_units(order_id uuid) */
PG_FUNCTION_INFO_V1(order_assign_units);
Datum
order_assign_units(PG_FUNCTION_ARGS)
{
	Order		  order;
	NullableDatum row;

	plan_open();
	order_lock_own(FCARG(0), &order);
	units_assign_order(&order.id);
	row = order_row(&order.id);
	plan_close();
	return plan_return(fcinfo, row);
}

/* Jobs */

/*
 * stock_expire_holds() -> number of orders: ends the pending orders whose hold
 * has expired, and the offers that nobody accepted in time. Each is looked at
 * again under its lock; one that somebody is just confirming is left alone.
 */
PG_FUNCTION_INFO_V1(stock_expire_holds);
Datum
stock_expire_holds(PG_FUNCTION_ARGS)
{
	SPITupleTable *rows;
	pg_uuid_t	  *ids;
	uint64		   n;
	uint64		   i;

	actor_require_admin();
	plan_open();
	n = plan_run(&orders_expired, VALUE(TimestampTzGetDatum(rental_now())));
	rows = SPI_tuptable;
	ids = palloc(Max(n, 1) * sizeof(pg_uuid_t));
	for (i = 0; i < n; i++)
	{
		Change change = {.is_batch = true};

		order_act(plan_value_of(rows, i, 1), "expire", &change);
		units_release(&change.order.id, DT_NOBEGIN);
		ids[i] = change.order.id;
	}
	lines_become(ids, n, "released", false);
	plan_close();
	PG_RETURN_INT64(n);
}

/*
 * stock_widen_overdue(step interval) -> number of reservations: what is not
 * back at its end goes on blocking for a step from now. What is promised to others
 * meanwhile is not taken from them silently: it shows in shortages.
 */
PG_FUNCTION_INFO_V1(stock_widen_overdue);
Datum
stock_widen_overdue(PG_FUNCTION_ARGS)
{
	NullableDatum  now = VALUE(TimestampTzGetDatum(rental_now()));
	SPITupleTable *rows;
	uint64		   found;
	uint64		   widened = 0;
	uint64		   i;

	actor_require_admin();
	request_required(FCARG(0), "step");
	plan_open();
	found = plan_run(&overdue, now);
	rows = SPI_tuptable;
	for (i = 0; i < found; i++)
		stock_lock(plan_value_of(rows, i, 3));
	stock_force_begin();
	for (i = 0; i < found; i++)
		widened += plan_run(&overdue_widen, plan_value_of(rows, i, 1), plan_value_of(rows, i, 2), now, FCARG(0));
	stock_force_end();
	plan_close();
	PG_RETURN_INT64(widened);
}
