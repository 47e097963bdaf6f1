/*
 * orders.c
 *	  Orders: placing them, and every change of their state.
 *
 * An order takes its stock by reservations; stock.c's triggers decide whether
 * there is enough. The table of transitions below is the only way from one
 * status to another, for raw SQL too.
 */
#include "orders.h"

#include "actor.h"
#include "amount.h"
#include "commands/trigger.h"
#include "errors.h"
#include "funcapi.h"
#include "number.h"
#include "plan.h"
#include "pricing.h"
#include "request.h"
#include "response.h"
#include "stock.h"
#include "units.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#define ORDER_MOST_ITEMS	  100
#define ORDER_MOST_COMPONENTS 50 /* of a kit, see component_put */

typedef struct Transition
{
	const char *action;
	const char *from;
	const char *to;
	const char *actor; /* vendor: the vendor's team and administrators; any: the customer as well */
} Transition;

/* clang-format off */
static const Transition transitions[] = {
	{"confirm", "pending", "confirmed", "vendor"},
	{"cancel", "pending", "cancelled", "any"},
	{"cancel", "confirmed", "cancelled", "any"},
	{"dispatch", "confirmed", "active", "vendor"},
	{"return", "active", "returned", "vendor"},
	{"expire", "pending", "expired", "system"},
};
/* clang-format on */

PLAN(
	order_insert,
	"INSERT INTO rental.orders (id, vendor_id, number, customer_id, status, currency, subtotal, total, note, expires_at, created_at, updated_at, "
	"discount, tax, deposit, paid) VALUES ($1, $2, $3, $4, 'pending', $5, $6, $6, $7, $8, $9, $9, $10, $10, $10, $10)",
	UUIDOID, UUIDOID, TEXTOID, UUIDOID, TEXTOID, NUMERICOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, NUMERICOID);
PLAN(
	item_insert,
	"INSERT INTO rental.order_items (id, vendor_id, order_id, product_id, location_id, quantity, start_at, end_at, unit_price, total) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
	UUIDOID, UUIDOID, UUIDOID, UUIDOID, UUIDOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, NUMERICOID, NUMERICOID);
PLAN(
	reservation_insert,
	"INSERT INTO rental.reservations (id, vendor_id, product_id, location_id, order_item_id, quantity, state, period, blocked, expires_at, created_at) "
	"VALUES ($1, $2, $3, $4, $5, $6, 'hold', $7, $8, $9, $10)",
	UUIDOID, UUIDOID, UUIDOID, UUIDOID, UUIDOID, INT4OID, TSTZRANGEOID, TSTZRANGEOID, TIMESTAMPTZOID, TIMESTAMPTZOID);
PLAN(unit_place, "SELECT location_id FROM rental.units WHERE id = $1 AND product_id = $2", UUIDOID, UUIDOID);
PLAN(
	event_insert,
	"INSERT INTO rental.order_events (vendor_id, order_id, kind, actor_id, data, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
	UUIDOID, UUIDOID, TEXTOID, UUIDOID, JSONBOID, TIMESTAMPTZOID);
PLAN(customer_exists, "SELECT FROM rental.users WHERE id = $1 AND is_active", UUIDOID);
PLAN(order_row, "SELECT v FROM rental.order_view v WHERE v.id = $1", UUIDOID);
PLAN(order_owner, "SELECT customer_id, vendor_id FROM rental.orders WHERE id = $1", UUIDOID);
PLAN(order_for_update,
	 "SELECT o.vendor_id, o.customer_id, o.status, o.currency, v.time_zone, o.subtotal, o.tax, o.total "
	 "FROM rental.orders o JOIN rental.vendors v ON v.id = o.vendor_id WHERE o.id = $1 FOR NO KEY UPDATE OF o",
	 UUIDOID);
PLAN(order_set_status,
	 "UPDATE rental.orders SET status = $3, expires_at = NULL, updated_at = $4 WHERE id = $1 AND vendor_id = $2",
	 UUIDOID, UUIDOID, TEXTOID, TIMESTAMPTZOID);
PLAN(reservations_of,
	 "SELECT r.id, r.vendor_id FROM rental.order_items i "
	 "JOIN rental.reservations r ON r.order_item_id = i.id AND r.vendor_id = i.vendor_id "
	 "WHERE i.order_id = ANY ($1) AND r.state <> 'released' AND NOT (upper_inf(r.blocked) AND $2) "
	 "ORDER BY r.product_id, r.location_id, lower(r.blocked), r.id",
	 UUIDARRAYOID, BOOLOID);
PLAN(reservation_set_state,
	 "UPDATE rental.reservations SET state = $3, expires_at = NULL WHERE id = $1 AND vendor_id = $2", UUIDOID, UUIDOID,
	 TEXTOID);
PLAN(overdue,
	 "SELECT id, vendor_id, product_id FROM rental.reservations WHERE state = 'out' AND upper(blocked) <= $1 "
	 "ORDER BY product_id, location_id, lower(blocked), id",
	 TIMESTAMPTZOID);
PLAN(overdue_widen,
	 "UPDATE rental.reservations SET blocked = tstzrange(lower(blocked), $3 + $4) "
	 "WHERE id = $1 AND vendor_id = $2 AND state = 'out' AND upper(blocked) <= $3",
	 UUIDOID, UUIDOID, TIMESTAMPTZOID, INTERVALOID);
PLAN(items_dispatch, "UPDATE rental.order_items SET dispatched = quantity WHERE order_id = $1", UUIDOID);
PLAN(items_return, "UPDATE rental.order_items SET returned = quantity WHERE order_id = $1", UUIDOID);
PLAN(
	orders_expired,
	"SELECT id FROM rental.orders WHERE status = 'pending' AND expires_at <= $1 ORDER BY expires_at, id LIMIT 1000 FOR NO KEY UPDATE SKIP LOCKED",
	TIMESTAMPTZOID);
PLAN(earliest_start, "SELECT min(start_at) FROM rental.order_items WHERE order_id = $1", UUIDOID);

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

/* Placing */

/* What an item takes from the stock: itself, or a component of its kit */
typedef struct Part
{
	struct OrderItem *item;
	pg_uuid_t		  product_id;
	int32			  quantity;
	Period			  blocked;
	pg_uuid_t		 *units; /* those chosen so far */
	int				  nunits;
} Part;

typedef struct OrderItem
{
	RequestObject request;
	Product		  product;
	int32		  quantity;
	Period		  period;
	Period		  blocked;
	pg_uuid_t	  location_id;
	pg_uuid_t	 *unit_ids;
	int			  nunits;
	Datum		  unit_price;
	Datum		  total;
	Datum		  id;
} OrderItem;

static const char *const item_fields[] = {"product_id",	 "quantity", "start_at", "end_at",
										  "location_id", "unit_ids", NULL};

static TimestampTz
time_plus(TimestampTz at, Datum interval)
{
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(at), interval));
}

static TimestampTz
time_minus(TimestampTz at, Datum interval)
{
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_mi_interval, TimestampTzGetDatum(at), interval));
}

/* blocked_by is what a rental of a product blocks: its period with buffers, or everything from then on if it is sold. */
static Period
blocked_by(const Product *product, const Period *period)
{
	Period blocked = *period;

	if (product->is_sale)
		blocked.end = DT_NOEND;
	else
	{
		blocked.start = time_minus(period->start, product->buffer_before);
		blocked.end = time_plus(period->end, product->buffer_after);
	}
	return blocked;
}

/* item_place decides where an item comes from: as asked, where its units are, or where most is free. */
static void
item_place(OrderItem *item)
{
	int32 free;

	if (request_uuid(&item->request, "location_id", false, &item->location_id))
	{
		if (!stock_is_kept(&item->product.id, &item->location_id))
			rental_raise(not_found, errmsg("the product is not kept there"),
						 errfield(request_path(&item->request, "location_id")));
		return;
	}
	if (item->nunits > 0)
	{
		if (plan_read(&unit_place, VALUE(UUIDPGetDatum(&item->unit_ids[0])), VALUE(UUIDPGetDatum(&item->product.id))) ==
			0)
			rental_raise(not_found, errmsg("no such unit of this product"),
						 errfield(request_path(&item->request, "unit_ids")));
		item->location_id = *DatumGetUUIDP(plan_datum(0, 1));
		return;
	}
	if (!stock_best_location(&item->product.id, &item->blocked, &item->location_id, &free))
		rental_raise(insufficient_stock, errmsg("the product is not in stock"),
					 errfield(request_path(&item->request, "product_id")));
}

static void
item_price(OrderItem *item)
{
	PriceItem  price = {.product = &item->product,
						.period = item->period,
						.quantity = item->quantity,
						.field = request_path(&item->request, "product_id")};
	PriceOrder order = {0};

	price_items(&price, 1, &order);
	item->unit_price = amount_datum(price.unit_price, item->product.currency);
	item->total = amount_datum(price.subtotal, item->product.currency);
}

static void
item_read(OrderItem *item, const RequestList *list, int index)
{
	pg_uuid_t product_id;

	item->request = request_object(list, index, item_fields);
	request_uuid(&item->request, "product_id", true, &product_id);
	request_integer(&item->request, "quantity", true, &item->quantity);
	request_time(&item->request, "start_at", true, &item->period.start);
	request_time(&item->request, "end_at", true, &item->period.end);
	item->nunits = request_uuids(&item->request, "unit_ids", &item->unit_ids);
	if (item->quantity < 1 || item->quantity > 1000000)
		rental_raise(invalid_value, errmsg("quantity must be between 1 and 1000000"),
					 errfield(request_path(&item->request, "quantity")));
	if (item->nunits > 0 && item->nunits != item->quantity)
		rental_raise(invalid_value, errmsg("quantity and the number of unit_ids differ"),
					 errfield(request_path(&item->request, "unit_ids")));
	item->period = period_check(item->period.start, item->period.end, request_path(&item->request, "end_at"));
	product_load(&product_id, &item->product, request_path(&item->request, "product_id"));
	if (!item->product.is_active)
		rental_raise(invalid_value, errmsg("the product is not for rent any more"),
					 errfield(request_path(&item->request, "product_id")));
	item->blocked = blocked_by(&item->product, &item->period);
	if (item->nunits > 0 && !item->product.serialised)
		rental_raise(invalid_value, errmsg("only a serialised product has units"),
					 errfield(request_path(&item->request, "unit_ids")));
	item_place(item);
	item_price(item);
	item->id = uuid7_datum();
}

/* item_parts lists what an item takes, and returns how many parts there are. */
static int
item_parts(OrderItem *item, Part *parts)
{
	Component *components;
	int		   n;
	int		   i;

	if (!item->product.is_kit)
	{
		parts[0] = (Part){item, item->product.id, item->quantity, item->blocked, item->unit_ids, item->nunits};
		return 1;
	}
	n = product_components(&item->product.id, &components);
	for (i = 0; i < n; i++)
	{
		Product component;

		if (!product_find(&components[i].product_id, &component))
			elog(ERROR, "a component is gone");
		if (components[i].quantity > 1000000 / item->quantity)
			rental_raise(invalid_value, errmsg("quantity is too large"),
						 errfield(request_path(&item->request, "quantity")));
		parts[i] = (Part){
			item, component.id, item->quantity * components[i].quantity, blocked_by(&component, &item->period), NULL,
			0};
	}
	return n;
}

/* Stock is always taken in this order, so that two orders never wait for each other. */
static int
part_compare(const void *a, const void *b)
{
	const Part *x = a;
	const Part *y = b;
	int			order = memcmp(x->product_id.data, y->product_id.data, UUID_LEN);

	if (order == 0)
		order = memcmp(x->item->location_id.data, y->item->location_id.data, UUID_LEN);
	if (order == 0)
		order = (x->blocked.start > y->blocked.start) - (x->blocked.start < y->blocked.start);
	return order;
}

/* part_units locks the units that were asked for, or chooses some where they are assigned at once. */
static void
part_units(Part *part)
{
	const Product *product = &part->item->product;

	if (part->nunits > 0)
		units_lock(&product->vendor_id, part->units, part->nunits, &part->blocked,
				   request_path(&part->item->request, "unit_ids"));
	else if (product->serialised && product->assigns_at_once)
	{
		part->units = palloc(part->quantity * sizeof(pg_uuid_t));
		units_choose(&product->vendor_id, &part->product_id, &part->item->location_id, &part->blocked, part->quantity,
					 part->units);
		part->nunits = part->quantity;
	}
}

static bool
part_same_stock(const Part *a, const Part *b)
{
	return uuid_equal(&a->product_id, &b->product_id) && uuid_equal(&a->item->location_id, &b->item->location_id);
}

/*
 * parts_prepare makes room in the timeline that the first parts share, before
 * the first of them takes from it: its head is locked before its chunks.
 */
static void
parts_prepare(const Part *parts, int n)
{
	StockKey key = {parts->item->product.vendor_id, parts->product_id, parts->item->location_id};
	int		 i;

	if (n < 2 || !part_same_stock(&parts[0], &parts[1]))
		return;
	for (i = 0; i < n && part_same_stock(&parts[0], &parts[i]); i++)
		if (!TIMESTAMP_IS_NOEND(parts[i].blocked.end))
			chunk_prepare(&key, &parts[i].blocked);
}

/* blame_item says which item it was when the stock refuses one. */
static void
blame_item(void *arg)
{
	const OrderItem *item = arg;

	if (geterrcode() == rental_sqlstate(RENTAL_ERROR_insufficient_stock))
		errfield(request_path(&item->request, "quantity"));
}

static void
part_reserve(const Part *part, TimestampTz expires_at, TimestampTz now)
{
	OrderItem			*item = part->item;
	Datum				 id = uuid7_datum();
	Datum				 vendor_id = UUIDPGetDatum(&item->product.vendor_id);
	ErrorContextCallback blame = {.callback = blame_item, .arg = item, .previous = error_context_stack};

	error_context_stack = &blame;
	plan_run(&reservation_insert, VALUE(id), VALUE(vendor_id), VALUE(UUIDPGetDatum(&part->product_id)),
			 VALUE(UUIDPGetDatum(&item->location_id)), VALUE(item->id), VALUE(Int32GetDatum(part->quantity)),
			 VALUE(period_range_datum(item->period.start, item->period.end)),
			 VALUE(period_range_datum(part->blocked.start, part->blocked.end)), VALUE(TimestampTzGetDatum(expires_at)),
			 VALUE(TimestampTzGetDatum(now)));
	error_context_stack = blame.previous;
	units_assign(&item->product.vendor_id, id, &part->blocked, part->units, part->nunits);
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

static NullableDatum
order_answer(const pg_uuid_t *id)
{
	plan_run(&order_row, VALUE(UUIDPGetDatum(id)));
	return plan_keep(0, 1);
}

/* require_notice refuses what a customer asks of a vendor that is shut, or too late. */
static void
require_notice(const OrderItem *items, int nitems, TimestampTz now)
{
	TimestampTz earliest = time_plus(now, items[0].product.minimum_notice);
	int			i;

	if (!items[0].product.vendor_is_active)
		rental_raise(rule_violated, errmsg("the vendor takes no orders"),
					 errfield(request_path(&items[0].request, "product_id")));
	for (i = 0; i < nitems; i++)
	{
		const char *field = request_path(&items[i].request, "start_at");

		if (items[i].period.start < now - USECS_PER_HOUR)
			rental_raise(invalid_period, errmsg("the rental would have begun already"), errfield(field));
		if (earliest > now && items[i].period.start < earliest)
			rental_raise(rule_violated, errmsg("the rental would begin too soon for the vendor"),
						 errdetail("The earliest start is %s.", period_time_text(earliest)), errfield(field));
	}
}

/* order_place(items order_items_request, vendor_id uuid, note text, customer_id uuid) */
PG_FUNCTION_INFO_V1(order_place);
Datum
order_place(PG_FUNCTION_ARGS)
{
	const pg_uuid_t *customer_id = customer_arg(FCARG(3));
	const Actor		*who = actor_current();
	char			*note = request_text(FCARG(2), "note", 4000);
	TimestampTz		 now = rental_now();
	TimestampTz		 expires_at;
	RequestList		 list;
	Order			 order = {.id = *DatumGetUUIDP(uuid7_datum())};
	OrderItem		*items;
	Part			*parts;
	int				 nparts = 0;
	Datum			 subtotal = amount_zero();
	char			*number;
	NullableDatum	 row;
	int				 i;

	request_required(FCARG(0), "items");
	list = request_list("items", PG_GETARG_JSONB_P(0), ORDER_MOST_ITEMS);
	plan_open();
	items = palloc0(list.count * sizeof(OrderItem));
	for (i = 0; i < list.count; i++)
	{
		item_read(&items[i], &list, i);
		if (!uuid_equal(&items[i].product.vendor_id, &items[0].product.vendor_id) ||
			(!PG_ARGISNULL(1) && !uuid_equal(&items[i].product.vendor_id, PG_GETARG_UUID_P(1))))
			rental_raise(invalid_value, errmsg("an order has one vendor"),
						 errfield(request_path(&items[i].request, "product_id")));
		subtotal = amount_add(subtotal, items[i].total);
	}
	parts = palloc(list.count * ORDER_MOST_COMPONENTS * sizeof(Part));
	for (i = 0; i < list.count; i++)
	{
		nparts += item_parts(&items[i], &parts[nparts]);
		if (nparts > (i + 1) * ORDER_MOST_COMPONENTS)
			elog(ERROR, "too many components");
	}
	qsort(parts, nparts, sizeof(Part), part_compare);
	order.vendor_id = items[0].product.vendor_id;
	if (!actor_serves(who, &order.vendor_id))
		require_notice(items, list.count, now);
	if (!(actor_has_user(who) && uuid_equal(&who->user_id, customer_id)))
	{
		actor_require_vendor(&order.vendor_id);
		if (plan_read(&customer_exists, VALUE(UUIDPGetDatum(customer_id))) == 0)
			rental_raise(not_found, errmsg("no such customer"), errfield("customer_id"));
	}

	expires_at = time_plus(now, items[0].product.hold_time);
	number = number_next(&order.vendor_id, "ORD", period_year(now, period_zone(items[0].product.time_zone)));
	plan_run(&order_insert, VALUE(UUIDPGetDatum(&order.id)), VALUE(UUIDPGetDatum(&order.vendor_id)),
			 VALUE(CStringGetTextDatum(number)), VALUE(UUIDPGetDatum(customer_id)),
			 VALUE(CStringGetTextDatum(items[0].product.currency)), VALUE(subtotal),
			 VALUE_OR_NULL(note ? CStringGetTextDatum(note) : (Datum) 0, note == NULL),
			 VALUE(TimestampTzGetDatum(expires_at)), VALUE(TimestampTzGetDatum(now)),
			 VALUE(amount_round(amount_zero(), items[0].product.currency)));
	for (i = 0; i < list.count; i++)
		plan_run(&item_insert, VALUE(items[i].id), VALUE(UUIDPGetDatum(&order.vendor_id)),
				 VALUE(UUIDPGetDatum(&order.id)), VALUE(UUIDPGetDatum(&items[i].product.id)),
				 VALUE(UUIDPGetDatum(&items[i].location_id)), VALUE(Int32GetDatum(items[i].quantity)),
				 VALUE(TimestampTzGetDatum(items[i].period.start)), VALUE(TimestampTzGetDatum(items[i].period.end)),
				 VALUE(items[i].unit_price), VALUE(items[i].total));
	/* units are locked before stock is taken, here and where blackouts are made */
	for (i = 0; i < nparts; i++)
		part_units(&parts[i]);
	for (i = 0; i < nparts; i++)
	{
		if (i == 0 || !part_same_stock(&parts[i - 1], &parts[i]))
			parts_prepare(&parts[i], nparts - i);
		part_reserve(&parts[i], expires_at, now);
	}
	order_event(&order, "placed", NULL);
	row = order_answer(&order.id);
	plan_close();
	return plan_return(fcinfo, row);
}

/* Looking */

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
	plan_read(&order_row, FCARG(0));
	row = plan_keep(0, 1);
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

/* Changing */

/* order_lock finds and locks an order that the caller may see, between plan_open and plan_close. */
static void
order_lock(const pg_uuid_t *id, Order *order)
{
	bool found = plan_run(&order_for_update, VALUE(UUIDPGetDatum(id))) > 0;

	if (found)
	{
		order->id = *id;
		order->vendor_id = *DatumGetUUIDP(plan_datum(0, 1));
		order->customer_id = *DatumGetUUIDP(plan_datum(0, 2));
		order->status = plan_text(0, 3);
		order->currency = plan_text(0, 4);
		order->time_zone = plan_text(0, 5);
		order->subtotal = plan_datum(0, 6);
		order->tax = plan_datum(0, 7);
		order->total = plan_datum(0, 8);
	}
	if (!found || !actor_may_see(&order->customer_id, &order->vendor_id))
		rental_raise(not_found, errmsg("no such order"));
}

/* order_lock_own is order_lock for what only the vendor's team may do. */
void
order_lock_own(NullableDatum id, Order *order)
{
	request_required(id, "order_id");
	order_lock(DatumGetUUIDP(id.value), order);
	actor_require_vendor(&order->vendor_id);
}

/* order_event records what happened to an order; json is more about it, or NULL. */
void
order_event(const Order *order, const char *kind, const char *json)
{
	const Actor *who = actor_current();

	plan_run(&event_insert, VALUE(UUIDPGetDatum(&order->vendor_id)), VALUE(UUIDPGetDatum(&order->id)),
			 VALUE(CStringGetTextDatum(kind)), VALUE_OR_NULL(UUIDPGetDatum(&who->user_id), !actor_has_user(who)),
			 VALUE_OR_NULL(json ? DirectFunctionCall1(jsonb_in, CStringGetDatum(json)) : (Datum) 0, json == NULL),
			 VALUE(TimestampTzGetDatum(rental_now())));
}

/* order_act locks an order, checks that the caller may act on it now, and moves it on. */
static void
order_act(NullableDatum id, const char *action, Order *order)
{
	int i;

	request_required(id, "order_id");
	order_lock(DatumGetUUIDP(id.value), order);
	for (i = 0; i < lengthof(transitions); i++)
		if (strcmp(transitions[i].action, action) == 0 && strcmp(transitions[i].actor, "vendor") == 0)
			actor_require_vendor(&order->vendor_id);
	for (i = 0; i < lengthof(transitions); i++)
		if (strcmp(transitions[i].action, action) == 0 && strcmp(transitions[i].from, order->status) == 0)
			break;
	if (i == lengthof(transitions))
		rental_raise(invalid_state, errmsg("cannot %s an order that is %s", action, order->status));
	plan_run(&order_set_status, VALUE(UUIDPGetDatum(&order->id)), VALUE(UUIDPGetDatum(&order->vendor_id)),
			 VALUE(CStringGetTextDatum(transitions[i].to)), VALUE(TimestampTzGetDatum(rental_now())));
}

/*
 * reservations_become changes the state of all reservations of some orders,
 * one by one in the order in which stock is locked everywhere. What was sold
 * does not come back with a return.
 */
static void
reservations_become(const pg_uuid_t *orders, int n, const char *state, bool is_return)
{
	SPITupleTable *rows;
	uint64		   found;
	uint64		   i;

	found = plan_run(&reservations_of, VALUE(uuid_array_datum(orders, n)), VALUE(BoolGetDatum(is_return)));
	rows = SPI_tuptable;
	for (i = 0; i < found; i++)
		plan_run(&reservation_set_state, plan_value_of(rows, i, 1), plan_value_of(rows, i, 2),
				 VALUE(CStringGetTextDatum(state)));
}

PG_FUNCTION_INFO_V1(order_confirm);
Datum
order_confirm(PG_FUNCTION_ARGS)
{
	Order		  order;
	NullableDatum row;

	plan_open();
	order_act(FCARG(0), "confirm", &order);
	reservations_become(&order.id, 1, "firm", false);
	order_event(&order, "confirmed", NULL);
	row = order_answer(&order.id);
	plan_close();
	return plan_return(fcinfo, row);
}

/* order_cancel(order_id uuid, reason text) */
PG_FUNCTION_INFO_V1(order_cancel);
Datum
order_cancel(PG_FUNCTION_ARGS)
{
	char		  *reason = request_text(FCARG(1), "reason", 1000);
	StringInfoData data;
	Order		   order;
	NullableDatum  row;

	plan_open();
	order_act(FCARG(0), "cancel", &order);
	units_release(&order.id, DT_NOBEGIN);
	reservations_become(&order.id, 1, "released", false);
	initStringInfo(&data);
	appendStringInfoString(&data, "{\"reason\":");
	json_write(&data, reason ? CStringGetTextDatum(reason) : (Datum) 0, reason == NULL, TEXTOID);
	appendStringInfoChar(&data, '}');
	order_event(&order, "cancelled", data.data);
	row = order_answer(&order.id);
	plan_close();
	return plan_return(fcinfo, row);
}

PG_FUNCTION_INFO_V1(order_dispatch);
Datum
order_dispatch(PG_FUNCTION_ARGS)
{
	Order		  order;
	NullableDatum row;

	plan_open();
	order_act(FCARG(0), "dispatch", &order);
	units_assign_order(&order.id);
	reservations_become(&order.id, 1, "out", false);
	plan_run(&items_dispatch, VALUE(UUIDPGetDatum(&order.id)));
	order_event(&order, "dispatched", NULL);
	row = order_answer(&order.id);
	plan_close();
	return plan_return(fcinfo, row);
}

/* order_return(order_id uuid, returned_at timestamptz) */
PG_FUNCTION_INFO_V1(order_return);
Datum
order_return(PG_FUNCTION_ARGS)
{
	TimestampTz	   at = PG_ARGISNULL(1) ? rental_now() : PG_GETARG_TIMESTAMPTZ(1);
	StringInfoData data;
	Order		   order;
	NullableDatum  row;

	if (at > rental_now())
		rental_raise(invalid_value, errmsg("returned_at lies in the future"), errfield("returned_at"));
	plan_open();
	order_act(FCARG(0), "return", &order);
	plan_run(&earliest_start, VALUE(UUIDPGetDatum(&order.id)));
	if (!PG_ARGISNULL(1) && at < DatumGetTimestampTz(plan_datum(0, 1)))
		rental_raise(invalid_value, errmsg("returned_at lies before the rental began"), errfield("returned_at"));
	units_release(&order.id, at);
	reservations_become(&order.id, 1, "released", true);
	plan_run(&items_return, VALUE(UUIDPGetDatum(&order.id)));
	initStringInfo(&data);
	appendStringInfoString(&data, "{\"returned_at\":");
	json_write(&data, TimestampTzGetDatum(at), false, TIMESTAMPTZOID);
	appendStringInfoChar(&data, '}');
	order_event(&order, "returned", data.data);
	row = order_answer(&order.id);
	plan_close();
	return plan_return(fcinfo, row);
}

/* order_transitions(): action, from_status, to_status, actor */
PG_FUNCTION_INFO_V1(order_transitions);
Datum
order_transitions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int			   i;

	InitMaterializedSRF(fcinfo, 0);
	for (i = 0; i < lengthof(transitions); i++)
	{
		Datum values[4] = {CStringGetTextDatum(transitions[i].action), CStringGetTextDatum(transitions[i].from),
						   CStringGetTextDatum(transitions[i].to), CStringGetTextDatum(transitions[i].actor)};
		bool  nulls[4] = {false};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
}

/* order_guard: before UPDATE OF status on orders, refuses a change that is no transition */
PG_FUNCTION_INFO_V1(order_guard);
Datum
order_guard(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	int			 column;
	char		*from;
	char		*to;
	int			 i;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ||
		!TRIGGER_FIRED_BEFORE(trigger->tg_event) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("order_guard must be fired before each row is updated")));
	column = SPI_fnumber(RelationGetDescr(trigger->tg_relation), "status");
	from = SPI_getvalue(trigger->tg_trigtuple, RelationGetDescr(trigger->tg_relation), column);
	to = SPI_getvalue(trigger->tg_newtuple, RelationGetDescr(trigger->tg_relation), column);
	if (strcmp(from, to) != 0)
	{
		for (i = 0; i < lengthof(transitions); i++)
			if (strcmp(transitions[i].from, from) == 0 && strcmp(transitions[i].to, to) == 0)
				break;
		if (i == lengthof(transitions))
			rental_raise(invalid_state, errmsg("an order that is %s cannot become %s", from, to));
	}
	return PointerGetDatum(trigger->tg_newtuple);
}

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
	row = order_answer(&order.id);
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
	row = order_answer(&order.id);
	plan_close();
	return plan_return(fcinfo, row);
}

/* Jobs */

/*
 * stock_expire_holds() -> number of orders: ends the pending orders whose hold
 * has expired. Each is looked at again under its lock; one that somebody is
 * just confirming is left alone.
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
		Order order;

		order_act(plan_value_of(rows, i, 1), "expire", &order);
		order_event(&order, "expired", NULL);
		units_release(&order.id, DT_NOBEGIN);
		ids[i] = order.id;
	}
	reservations_become(ids, n, "released", false);
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
