/*
 * lines.c
 *	  The lines of an order: read, priced, and served from the stock.
 *
 * It owns order_items and the reservations of orders. The reservations of a
 * line always hold as many pieces of each product as the line has: a line that
 * goes out or comes back in parts splits them. Stock is always taken and given
 * back in ascending order of product, location and time.
 */
#include "lines.h"

#include "actor.h"
#include "amount.h"
#include "errors.h"
#include "plan.h"
#include "response.h"
#include "stock.h"
#include "store.h"
#include "units.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#define ORDER_MOST_COMPONENTS 50 /* of a kit, see component_put */

#define ITEM_COLUMNS		  20
STORE(item_rows, "order_items", "id", "vendor_id", "order_id", "product_id", "location_id", "quantity", "start_at",
	  "end_at", "unit_price", "subtotal", "discount", "tax", "total", "dispatched", "returned", "damaged", "lost",
	  "created_at", "waiver_exempt", "taxes");
STORE(reservation_rows, "reservations", "id", "vendor_id", "product_id", "location_id", "order_item_id", "quantity",
	  "period", "blocked", "expires_at", "created_at", "state");
PLAN(unit_place, "SELECT location_id FROM rental.units WHERE id = $1 AND product_id = $2", UUIDOID, UUIDOID);
PLAN(
	items_of,
	"SELECT id, product_id, location_id, quantity, start_at, end_at, unit_price, subtotal, discount, tax, total, dispatched, returned, waiver_exempt, taxes "
	"FROM rental.order_items WHERE order_id = $1 AND vendor_id = $2 ORDER BY id",
	UUIDOID, UUIDOID);
PLAN(item_update,
	 "UPDATE rental.order_items SET quantity = $3, start_at = $4, end_at = $5, unit_price = $6, subtotal = $7, "
	 "discount = $8, tax = $9, total = $10, taxes = $11 "
	 "WHERE id = $1 AND vendor_id = $2",
	 UUIDOID, UUIDOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, NUMERICOID, NUMERICOID, NUMERICOID, NUMERICOID,
	 NUMERICOID, JSONBOID);
PLAN(item_delete, "DELETE FROM rental.order_items WHERE id = $1 AND vendor_id = $2", UUIDOID, UUIDOID);

/* The reservations of an order's lines, and how many pieces of each make one of the line: a kit may have several */
#define RESERVATIONS(condition)                                                                            \
	"SELECT r.id, r.vendor_id, r.order_item_id, r.product_id, r.location_id, r.quantity, r.blocked, "      \
	"(SELECT sum(a.quantity) FROM rental.reservations a WHERE a.order_item_id = r.order_item_id "          \
	"AND a.product_id = r.product_id)::int / i.quantity, p.tracking = 'serialised', upper_inf(r.blocked) " \
	"FROM rental.order_items i "                                                                           \
	"JOIN rental.reservations r ON r.order_item_id = i.id AND r.vendor_id = i.vendor_id "                  \
	"JOIN rental.products p ON p.id = r.product_id AND p.vendor_id = r.vendor_id "                         \
	"WHERE i.order_id = $1 AND " condition " ORDER BY r.product_id, r.location_id, lower(r.blocked), r.id"
PLAN(reservations_in, RESERVATIONS("r.state = $2"), UUIDOID, TEXTOID);
PLAN(reservations_waiting, RESERVATIONS("i.id = $2 AND r.state IN ('hold', 'firm')"), UUIDOID, UUIDOID);
PLAN(reservations_live, RESERVATIONS("r.state <> 'released'"), UUIDOID);

PLAN(reservations_of,
	 "SELECT r.id, r.vendor_id FROM rental.order_items i "
	 "JOIN rental.reservations r ON r.order_item_id = i.id AND r.vendor_id = i.vendor_id "
	 "WHERE i.order_id = ANY ($1) AND r.state <> 'released' AND NOT (upper_inf(r.blocked) AND $2) "
	 "ORDER BY r.product_id, r.location_id, lower(r.blocked), r.id",
	 UUIDARRAYOID, BOOLOID);
PLAN(reservation_set_state,
	 "UPDATE rental.reservations SET state = $3, expires_at = NULL WHERE id = $1 AND vendor_id = $2", UUIDOID, UUIDOID,
	 TEXTOID);
PLAN(reservation_shrink, "UPDATE rental.reservations SET quantity = quantity - $3 WHERE id = $1 AND vendor_id = $2",
	 UUIDOID, UUIDOID, INT4OID);
PLAN(reservation_delete, "DELETE FROM rental.reservations WHERE id = $1 AND vendor_id = $2", UUIDOID, UUIDOID);

/* The new part is as old as the whole, so that what was accepted by force for the one holds for the other. */
PLAN(
	reservation_split,
	"INSERT INTO rental.reservations (id, vendor_id, product_id, location_id, order_item_id, unit_id, quantity, state, period, blocked, created_at) "
	"SELECT $3, vendor_id, product_id, location_id, order_item_id, unit_id, $4, $5, period, blocked, created_at "
	"FROM rental.reservations WHERE id = $1 AND vendor_id = $2",
	UUIDOID, UUIDOID, UUIDOID, INT4OID, TEXTOID);
PLAN(
	reservation_extend,
	"UPDATE rental.reservations r SET period = tstzrange(lower(r.period), $3), "
	"blocked = tstzrange(lower(r.blocked), GREATEST(upper(r.blocked), $3 + p.buffer_after)) "
	"FROM rental.products p WHERE r.id = $1 AND r.vendor_id = $2 AND p.id = r.product_id AND p.vendor_id = r.vendor_id",
	UUIDOID, UUIDOID, TIMESTAMPTZOID);
PLAN(
	item_split,
	"INSERT INTO rental.order_items (id, vendor_id, order_id, product_id, location_id, quantity, start_at, end_at, unit_price, subtotal, "
	"discount, tax, total, dispatched, returned, damaged, lost, created_at, waiver_exempt, taxes) "
	"SELECT $3, vendor_id, order_id, product_id, location_id, returned, start_at, end_at, unit_price, unit_price * returned, s.discount, s.tax, "
	"unit_price * returned - s.discount + s.tax, returned, returned, damaged, lost, $5, waiver_exempt, taxes FROM rental.order_items i, "
	"LATERAL (SELECT round(i.discount * i.returned / i.quantity, $4) AS discount, round(i.tax * i.returned / i.quantity, $4) AS tax) s "
	"WHERE i.id = $1 AND i.vendor_id = $2",
	UUIDOID, UUIDOID, UUIDOID, INT4OID, TIMESTAMPTZOID);
PLAN(
	item_split_rest,
	"UPDATE rental.order_items i SET quantity = i.quantity - s.quantity, dispatched = i.dispatched - s.quantity, returned = 0, damaged = 0, "
	"lost = 0, subtotal = i.subtotal - s.subtotal, discount = i.discount - s.discount, tax = i.tax - s.tax, total = i.total - s.total "
	"FROM rental.order_items s WHERE i.id = $1 AND i.vendor_id = $2 AND s.id = $3 AND s.vendor_id = $2",
	UUIDOID, UUIDOID, UUIDOID);
PLAN(
	released_follow,
	"UPDATE rental.reservations SET order_item_id = $3 WHERE order_item_id = $1 AND vendor_id = $2 AND state = 'released'",
	UUIDOID, UUIDOID, UUIDOID);
PLAN(returns_follow, "UPDATE rental.order_returns SET order_item_id = $3 WHERE order_item_id = $1 AND vendor_id = $2",
	 UUIDOID, UUIDOID, UUIDOID);
PLAN(cycles_follow,
	 "INSERT INTO rental.billing_cycles (vendor_id, item_id, starts_at, unit_price) "
	 "SELECT vendor_id, $3, starts_at, unit_price FROM rental.billing_cycles WHERE item_id = $1 AND vendor_id = $2",
	 UUIDOID, UUIDOID, UUIDOID);
PLAN(charges_follow, "UPDATE rental.order_charges SET order_item_id = $3 WHERE order_item_id = $1 AND vendor_id = $2",
	 UUIDOID, UUIDOID, UUIDOID);
PLAN(stock_lost,
	 "UPDATE rental.stock SET changes = ARRAY(SELECT c FROM unnest(changes || ROW($4, $5)::rental.stock_change) AS c "
	 "ORDER BY c.at) "
	 "WHERE product_id = $1 AND location_id = $2 AND vendor_id = $3",
	 UUIDOID, UUIDOID, UUIDOID, TIMESTAMPTZOID, INT4OID);

/* Reading */

static const char *const item_fields[] = {"product_id",	 "quantity", "start_at", "end_at",
										  "location_id", "unit_ids", NULL};

/* line_field names a field of a line as the caller knows it. */
char *
line_field(const OrderLine *line, const char *field)
{
	return line->request.path ? request_path(&line->request, field) : pstrdup(field);
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
		blocked.end = period_plus(period->end, product->buffer_after);
	}
	return blocked;
}

/* line_place decides where a line comes from: as asked, where its units are, or where most is free. */
static void
line_place(OrderLine *line)
{
	if (line->has_location)
	{
		if (!stock_is_kept(&line->product.id, &line->location_id))
			rental_raise(not_found, errmsg("the product is not kept there"), errfield(line_field(line, "location_id")));
		return;
	}
	if (line->nunits > 0)
	{
		if (plan_read(&unit_place, VALUE(UUIDPGetDatum(&line->unit_ids[0])), VALUE(UUIDPGetDatum(&line->product.id))) ==
			0)
			rental_raise(not_found, errmsg("no such unit of this product"), errfield(line_field(line, "unit_ids")));
		line->location_id = *DatumGetUUIDP(plan_datum(0, 1));
		return;
	}
	if (!stock_best_location(&line->product.id, &line->blocked, &line->location_id, NULL))
		rental_raise(insufficient_stock, errmsg("the product is not in stock"),
					 errfield(line_field(line, "product_id")));
}

/* line_complete checks what a line wants, and finds the product and the place for it; beside is another line, or NULL. */
void
line_complete(OrderLine *line, const OrderLine *beside)
{
	if (line->quantity < 1 || line->quantity > 1000000)
		rental_raise(invalid_value, errmsg("quantity must be between 1 and 1000000"),
					 errfield(line_field(line, "quantity")));
	if (line->nunits > 0 && line->nunits != line->quantity)
		rental_raise(invalid_value, errmsg("quantity and the number of unit_ids differ"),
					 errfield(line_field(line, "unit_ids")));
	line->period = period_check(line->period.start, line->period.end, line_field(line, "end_at"));
	product_load_beside(&line->product_id, beside ? &beside->product : NULL, &line->product,
						line_field(line, "product_id"));
	if (!line->product.is_active)
		rental_raise(invalid_value, errmsg("the product is not for rent any more"),
					 errfield(line_field(line, "product_id")));
	line->blocked = blocked_by(&line->product, &line->period);
	/* one that has a price keeps what held when it was made */
	if (!line->is_priced)
		line->waiver_exempt = price_is_exempt(&line->product);
	if (line->nunits > 0 && !line->product.serialised)
		rental_raise(invalid_value, errmsg("only a serialised product has units"),
					 errfield(line_field(line, "unit_ids")));
	line_place(line);
}

OrderLine *
lines_read(Jsonb *items, int *n)
{
	RequestList list = request_list("items", items, ORDER_MOST_ITEMS);
	OrderLine  *lines = palloc0(list.count * sizeof(OrderLine));
	int			i;

	for (i = 0; i < list.count; i++)
	{
		OrderLine *line = &lines[i];

		line->request = request_object(&list, i, item_fields);
		request_uuid(&line->request, "product_id", true, &line->product_id);
		request_integer(&line->request, "quantity", true, &line->quantity);
		request_time(&line->request, "start_at", true, &line->period.start);
		request_time(&line->request, "end_at", true, &line->period.end);
		line->has_location = request_uuid(&line->request, "location_id", false, &line->location_id);
		line->nunits = request_uuids(&line->request, "unit_ids", &line->unit_ids);
		line->id = uuid7_datum();
		line_complete(line, i > 0 ? line - 1 : NULL);
	}
	*n = list.count;
	return lines;
}

/* Prices: the only place where an order's lines get theirs */

/*
 * lines_price prices the lines of an order together, all but those that have
 * a price already, and sums all of them. If a coupon is spread over all lines,
 * those that have a price keep it, but not their discount and tax. Without
 * a percentage no damage waiver is taken.
 */
void
lines_price(OrderLine *lines, int n, PriceOrder *price, NullableDatum waiver_percent, OrderAmounts *amounts)
{
	const char *currency = lines[0].product.currency;
	PriceItem  *items = palloc0(n * sizeof(PriceItem));
	OrderLine **priced = palloc(n * sizeof(OrderLine *));
	Datum		nothing = amount_round(amount_zero(), currency);
	Datum		covered = nothing;
	Minor		waiver = 0;
	int			nitems = 0;
	int			i;

	for (i = 0; i < n; i++)
		if (!lines[i].is_priced || price->is_spread)
		{
			priced[nitems] = &lines[i];
			items[nitems++] =
				(PriceItem){.product = &lines[i].product,
							.period = lines[i].period,
							.quantity = lines[i].quantity,
							.field = line_field(&lines[i], "product_id"),
							.keeps_price = lines[i].is_priced,
							.unit_price = lines[i].is_priced ? amount_minor(lines[i].unit_price, currency) : 0};
		}
	if (nitems > 0)
		price_items(items, nitems, price);
	for (i = 0; i < nitems; i++)
	{
		priced[i]->unit_price = amount_datum(items[i].unit_price, currency);
		priced[i]->subtotal = amount_datum(items[i].subtotal, currency);
		priced[i]->discount = amount_datum(items[i].discount, currency);
		priced[i]->tax = amount_datum(items[i].tax, currency);
		priced[i]->total = amount_datum(items[i].total, currency);
		priced[i]->taxes = items[i].taxes;
		priced[i]->is_priced = true;
	}
	*amounts = (OrderAmounts){nothing, nothing, nothing, nothing, nothing, nothing};
	for (i = 0; i < n; i++)
	{
		amounts->subtotal = amount_add(amounts->subtotal, lines[i].subtotal);
		amounts->discount = amount_add(amounts->discount, lines[i].discount);
		amounts->tax = amount_add(amounts->tax, lines[i].tax);
		amounts->total = amount_add(amounts->total, lines[i].total);
		if (!waiver_percent.isnull && !lines[i].waiver_exempt)
			covered = amount_add(covered, DirectFunctionCall2(numeric_sub, lines[i].subtotal, lines[i].discount));
		amounts->deposit =
			amount_add(amounts->deposit, amount_datum(price_deposit(&lines[i].product, lines[i].quantity), currency));
	}
	if (!waiver_percent.isnull)
	{
		waiver = price_waiver(waiver_percent.value, amount_minor(covered, currency));
		amounts->waiver = amount_datum(waiver, currency);
	}
	amounts->deposit =
		amount_add(amounts->deposit, amount_datum(price_deposit_share(&lines[0].product,
																	  amount_minor(amounts->subtotal, currency) -
																		  amount_minor(amounts->discount, currency),
																	  amount_minor(amounts->total, currency) + waiver),
												  currency));
}

void
lines_insert(const Order *order, const OrderLine *lines, int n, TimestampTz now)
{
	NullableDatum none = VALUE(Int32GetDatum(0));
	NullableDatum(*rows)[ITEM_COLUMNS] = palloc(n * sizeof(*rows));
	int i;

	for (i = 0; i < n; i++)
	{
		const OrderLine *line = &lines[i];
		NullableDatum	 row[] = {VALUE(line->id),
								  VALUE(UUIDPGetDatum(&order->vendor_id)),
								  VALUE(UUIDPGetDatum(&order->id)),
								  VALUE(UUIDPGetDatum(&line->product.id)),
								  VALUE(UUIDPGetDatum(&line->location_id)),
								  VALUE(Int32GetDatum(line->quantity)),
								  VALUE(TimestampTzGetDatum(line->period.start)),
								  VALUE(TimestampTzGetDatum(line->period.end)),
								  VALUE(line->unit_price),
								  VALUE(line->subtotal),
								  VALUE(line->discount),
								  VALUE(line->tax),
								  VALUE(line->total),
								  none,
								  none,
								  none,
								  none,
								  VALUE(TimestampTzGetDatum(now)),
								  VALUE(BoolGetDatum(line->waiver_exempt)),
								  line->taxes};

		StaticAssertStmt(lengthof(row) == ITEM_COLUMNS, "an item has all its columns");
		memcpy(rows[i], row, sizeof(row));
	}
	store_rows(&item_rows, rows[0], ITEM_COLUMNS, n);
}

/* Taking stock */

/* What a line takes from the stock: itself, or a component of its kit */
typedef struct Part
{
	OrderLine *line;
	pg_uuid_t  product_id;
	int32	   quantity;
	Period	   blocked;
	pg_uuid_t *units; /* those chosen so far */
	int		   nunits;
} Part;

/* line_parts lists what a line takes, and returns how many parts there are. */
static int
line_parts(OrderLine *line, Part *parts)
{
	Component *components;
	int		   n;
	int		   i;

	if (!line->product.is_kit)
	{
		parts[0] = (Part){line, line->product.id, line->quantity, line->blocked, line->unit_ids, line->nunits};
		return 1;
	}
	n = product_components(&line->product.id, &components);
	for (i = 0; i < n; i++)
	{
		Product component;

		if (!product_find(&components[i].product_id, &line->product, &component))
			elog(ERROR, "a component is gone");
		if (components[i].quantity > 1000000 / line->quantity)
			rental_raise(invalid_value, errmsg("quantity is too large"), errfield(line_field(line, "quantity")));
		parts[i] = (Part){
			line, component.id, line->quantity * components[i].quantity, blocked_by(&component, &line->period), NULL,
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
		order = memcmp(x->line->location_id.data, y->line->location_id.data, UUID_LEN);
	if (order == 0)
		order = (x->blocked.start > y->blocked.start) - (x->blocked.start < y->blocked.start);
	return order;
}

/* part_units locks the units that were asked for, or chooses some where they are assigned at once. */
static void
part_units(Part *part)
{
	const Product *product = &part->line->product;

	if (part->nunits > 0)
		units_lock(&product->vendor_id, part->units, part->nunits, &part->blocked, line_field(part->line, "unit_ids"));
	else if (product->serialised && product->assigns_at_once)
	{
		part->units = palloc(part->quantity * sizeof(pg_uuid_t));
		units_choose(&product->vendor_id, &part->product_id, &part->line->location_id, &part->blocked, part->quantity,
					 part->units);
		part->nunits = part->quantity;
	}
}

static bool
part_same_stock(const Part *a, const Part *b)
{
	return uuid_equal(&a->product_id, &b->product_id) && uuid_equal(&a->line->location_id, &b->line->location_id);
}

/*
 * parts_prepare makes room in the timeline that the first parts share, before
 * the first of them takes from it: its head is locked before its chunks.
 */
static void
parts_prepare(const Part *parts, int n)
{
	StockKey key = {parts->line->product.vendor_id, parts->product_id, parts->line->location_id};
	int		 i;

	if (n < 2 || !part_same_stock(&parts[0], &parts[1]))
		return;
	for (i = 0; i < n && part_same_stock(&parts[0], &parts[i]); i++)
		if (!TIMESTAMP_IS_NOEND(parts[i].blocked.end))
			chunk_prepare(&key, &parts[i].blocked);
}

/* blame_line says which line it was when the stock refuses one. */
static void
blame_line(void *arg)
{
	const OrderLine *line = arg;

	if (geterrcode() == rental_sqlstate(RENTAL_ERROR_insufficient_stock))
		errfield(line_field(line, "quantity"));
}

static void
part_reserve(const Part *part, TimestampTz expires_at, TimestampTz now)
{
	OrderLine			*line = part->line;
	Datum				 id = uuid7_datum();
	Datum				 vendor_id = UUIDPGetDatum(&line->product.vendor_id);
	bool				 is_firm = TIMESTAMP_IS_NOEND(expires_at);
	ErrorContextCallback blame = {.callback = blame_line, .arg = line, .previous = error_context_stack};

	error_context_stack = &blame;
	store_row(&reservation_rows, VALUE(id), VALUE(vendor_id), VALUE(UUIDPGetDatum(&part->product_id)),
			  VALUE(UUIDPGetDatum(&line->location_id)), VALUE(line->id), VALUE(Int32GetDatum(part->quantity)),
			  VALUE(period_range_datum(line->period.start, line->period.end)),
			  VALUE(period_range_datum(part->blocked.start, part->blocked.end)),
			  VALUE_OR_NULL(TimestampTzGetDatum(expires_at), is_firm), VALUE(TimestampTzGetDatum(now)),
			  VALUE(CStringGetTextDatum(is_firm ? "firm" : "hold")));
	error_context_stack = blame.previous;
	units_assign(&line->product.vendor_id, id, &part->blocked, part->units, part->nunits);
}

/* lines_reserve takes the stock of lines: as holds that expire, or firmly if expires_at is infinity. */
void
lines_reserve(OrderLine *lines, int n, TimestampTz expires_at, TimestampTz now)
{
	Part *parts = palloc(n * ORDER_MOST_COMPONENTS * sizeof(Part));
	int	  nparts = 0;
	int	  i;

	for (i = 0; i < n; i++)
	{
		nparts += line_parts(&lines[i], &parts[nparts]);
		if (nparts > (i + 1) * ORDER_MOST_COMPONENTS)
			elog(ERROR, "too many components");
	}
	qsort(parts, nparts, sizeof(Part), part_compare);
	/* units are locked before stock is taken, here and where blackouts are made */
	for (i = 0; i < nparts; i++)
		part_units(&parts[i]);
	for (i = 0; i < nparts; i++)
	{
		if (i == 0 || !part_same_stock(&parts[i - 1], &parts[i]))
			parts_prepare(&parts[i], nparts - i);
		part_reserve(&parts[i], expires_at, now);
	}
}

/* Lines of an order that is there */

/* lines_load reads all lines of an order, in the order in which they were made. */
OrderLine *
lines_load(const Order *order, int *n)
{
	SPITupleTable *rows;
	OrderLine	  *lines;
	int			   i;

	*n = plan_run(&items_of, VALUE(UUIDPGetDatum(&order->id)), VALUE(UUIDPGetDatum(&order->vendor_id)));
	rows = SPI_tuptable;
	lines = palloc0(Max(*n, 1) * sizeof(OrderLine));
	for (i = 0; i < *n; i++)
	{
		OrderLine *line = &lines[i];

		line->id = plan_value_of(rows, i, 1).value;
		line->product_id = *DatumGetUUIDP(plan_value_of(rows, i, 2).value);
		line->location_id = *DatumGetUUIDP(plan_value_of(rows, i, 3).value);
		line->has_location = true;
		line->quantity = DatumGetInt32(plan_value_of(rows, i, 4).value);
		line->period.start = DatumGetTimestampTz(plan_value_of(rows, i, 5).value);
		line->period.end = DatumGetTimestampTz(plan_value_of(rows, i, 6).value);
		line->unit_price = plan_value_of(rows, i, 7).value;
		line->subtotal = plan_value_of(rows, i, 8).value;
		line->discount = plan_value_of(rows, i, 9).value;
		line->tax = plan_value_of(rows, i, 10).value;
		line->total = plan_value_of(rows, i, 11).value;
		line->dispatched = DatumGetInt32(plan_value_of(rows, i, 12).value);
		line->returned = DatumGetInt32(plan_value_of(rows, i, 13).value);
		line->waiver_exempt = DatumGetBool(plan_value_of(rows, i, 14).value);
		line->taxes = plan_value_of(rows, i, 15);
		line->is_priced = true;
		if (!product_find(&line->product_id, i > 0 ? &lines[i - 1].product : NULL, &line->product))
			elog(ERROR, "the product of an order is gone");
		line->blocked = blocked_by(&line->product, &line->period);
	}
	return lines;
}

OrderLine *
line_find(OrderLine *lines, int n, const pg_uuid_t *id, const char *field)
{
	int i;

	for (i = 0; i < n; i++)
		if (uuid_equal(DatumGetUUIDP(lines[i].id), id))
			return &lines[i];
	rental_raise(not_found, errmsg("the order has no such item"), errfield(field));
}

void
line_update(const Order *order, const OrderLine *line)
{
	plan_run(&item_update, VALUE(line->id), VALUE(UUIDPGetDatum(&order->vendor_id)),
			 VALUE(Int32GetDatum(line->quantity)), VALUE(TimestampTzGetDatum(line->period.start)),
			 VALUE(TimestampTzGetDatum(line->period.end)), VALUE(line->unit_price), VALUE(line->subtotal),
			 VALUE(line->discount), VALUE(line->tax), VALUE(line->total), line->taxes);
}

void
line_delete(const Order *order, const OrderLine *line)
{
	plan_run(&item_delete, VALUE(line->id), VALUE(UUIDPGetDatum(&order->vendor_id)));
}

/* A row of RESERVATIONS */
typedef struct Reservation
{
	NullableDatum id;
	NullableDatum vendor_id;
	pg_uuid_t	  item_id;
	pg_uuid_t	  product_id;
	pg_uuid_t	  location_id;
	int32		  quantity;
	Period		  blocked;
	int32		  per_line; /* pieces that make one of the line */
	bool		  serialised;
	bool		  is_sold;
} Reservation;

static Reservation *
reservations_load(SPITupleTable *rows, uint64 n)
{
	Reservation *result = palloc(Max(n, 1) * sizeof(Reservation));
	uint64		 i;

	for (i = 0; i < n; i++)
	{
		result[i].id = plan_value_of(rows, i, 1);
		result[i].vendor_id = plan_value_of(rows, i, 2);
		result[i].item_id = *DatumGetUUIDP(plan_value_of(rows, i, 3).value);
		result[i].product_id = *DatumGetUUIDP(plan_value_of(rows, i, 4).value);
		result[i].location_id = *DatumGetUUIDP(plan_value_of(rows, i, 5).value);
		result[i].quantity = DatumGetInt32(plan_value_of(rows, i, 6).value);
		period_from_range(plan_value_of(rows, i, 7).value, &result[i].blocked);
		result[i].per_line = DatumGetInt32(plan_value_of(rows, i, 8).value);
		result[i].serialised = DatumGetBool(plan_value_of(rows, i, 9).value);
		result[i].is_sold = DatumGetBool(plan_value_of(rows, i, 10).value);
	}
	return result;
}

/* line_keep_units makes a line ask for the very units that it has, if it has all it needs. */
void
line_keep_units(OrderLine *line)
{
	line->nunits = units_of_line(DatumGetUUIDP(line->id), &line->unit_ids);
	if (line->nunits != line->quantity)
		line->nunits = 0;
}

/* line_give_back gives up so many pieces of a line that have not gone out. */
void
line_give_back(const Order *order, const OrderLine *line, int32 pieces)
{
	uint64		 n = plan_run(&reservations_waiting, VALUE(UUIDPGetDatum(&order->id)), VALUE(line->id));
	Reservation *rows = reservations_load(SPI_tuptable, n);
	pg_uuid_t	 product = {0};
	int32		 left = 0;
	uint64		 i;

	for (i = 0; i < n; i++)
	{
		Reservation *row = &rows[i];
		int32		 take;

		if (i == 0 || !uuid_equal(&product, &row->product_id))
			left = pieces * row->per_line;
		product = row->product_id;
		take = Min(left, row->quantity);
		left -= take;
		if (take == 0)
			continue;
		if (row->serialised)
			units_keep(row->id, row->vendor_id, row->quantity - take);
		if (take == row->quantity)
			plan_run(&reservation_delete, row->id, row->vendor_id);
		else
			plan_run(&reservation_shrink, row->id, row->vendor_id, VALUE(Int32GetDatum(take)));
	}
}

/*
 * line_split_returned makes a line of its own of the pieces that are back, so
 * that what stays out can have another period and price.
 */
void
line_split_returned(const Order *order, OrderLine *line, TimestampTz now)
{
	NullableDatum vendor_id = VALUE(UUIDPGetDatum(&order->vendor_id));
	NullableDatum part = VALUE(uuid7_datum());

	plan_run(&item_split, VALUE(line->id), vendor_id, part, VALUE(Int32GetDatum(amount_exponent(order->currency))),
			 VALUE(TimestampTzGetDatum(now)));
	plan_run(&released_follow, VALUE(line->id), vendor_id, part);
	plan_run(&charges_follow, VALUE(line->id), vendor_id, part);
	plan_run(&returns_follow, VALUE(line->id), vendor_id, part);
	plan_run(&cycles_follow, VALUE(line->id), vendor_id, part);
	plan_run(&item_split_rest, VALUE(line->id), vendor_id, part);
	line->quantity -= line->returned;
	line->dispatched -= line->returned;
	line->returned = 0;
}

/* lines_extend keeps the stock of lines until their new ends. */
void
lines_extend(const Order *order, OrderLine *const *lines, int n)
{
	uint64		 found = plan_run(&reservations_live, VALUE(UUIDPGetDatum(&order->id)));
	Reservation *rows = reservations_load(SPI_tuptable, found);
	int			 pass;
	uint64		 i;
	int			 j;

	/* units are locked before stock is taken */
	for (pass = 0; pass < 2; pass++)
		for (i = 0; i < found; i++)
			for (j = 0; j < n; j++)
			{
				NullableDatum end = VALUE(TimestampTzGetDatum(lines[j]->period.end));

				if (!uuid_equal(DatumGetUUIDP(lines[j]->id), &rows[i].item_id))
					continue;
				if (pass == 0 && rows[i].serialised)
					units_extend(rows[i].id, rows[i].vendor_id, end);
				if (pass == 1)
				{
					ErrorContextCallback blame = {
						.callback = blame_line, .arg = lines[j], .previous = error_context_stack};

					error_context_stack = &blame;
					plan_run(&reservation_extend, rows[i].id, rows[i].vendor_id, end);
					error_context_stack = blame.previous;
				}
			}
}

/* Going out and coming back */

/* What is still to be moved of some pieces, for one product */
typedef struct Moving
{
	Pieces	 *pieces;
	pg_uuid_t product_id;
	int32	  left;
} Moving;

static Moving *
moving_of(Moving *moving, int *n, Pieces *pieces, const Reservation *row)
{
	int i;

	for (i = 0; i < *n; i++)
		if (moving[i].pieces == pieces && uuid_equal(&moving[i].product_id, &row->product_id))
			return &moving[i];
	moving[*n] = (Moving){pieces, row->product_id, pieces->quantity * row->per_line};
	return &moving[(*n)++];
}

static bool
are_lost(const Pieces *pieces)
{
	return strcmp(pieces->condition, "lost") == 0;
}

/* keep_lost notes which units served a reservation of what is lost, before they are released from it. */
static void
keep_lost(Pieces *pieces, NullableDatum reservation_id, NullableDatum vendor_id)
{
	pg_uuid_t *units;
	int		   n = units_of_reservation(reservation_id, vendor_id, &units);
	pg_uuid_t *all = palloc((pieces->nlost + n + 1) * sizeof(pg_uuid_t));

	if (pieces->nlost > 0)
		memcpy(all, pieces->lost, pieces->nlost * sizeof(pg_uuid_t));
	memcpy(all + pieces->nlost, units, n * sizeof(pg_uuid_t));
	pieces->lost = all;
	pieces->nlost += n;
}

/*
 * reservation_move moves some pieces of a reservation to another state: the
 * whole, or a part that is split off. Units that are named go with it, or as
 * many as it takes; those of what comes back are free from then on.
 */
static void
reservation_move(Reservation *row, int32 take, Pieces *pieces, const char *to, TimestampTz at)
{
	NullableDatum id = row->id;
	NullableDatum state = VALUE(CStringGetTextDatum(to));

	if (take == row->quantity)
		plan_run(&reservation_set_state, id, row->vendor_id, state);
	else
	{
		id = VALUE(uuid7_datum());
		plan_run(&reservation_shrink, row->id, row->vendor_id, VALUE(Int32GetDatum(take)));
		plan_run(&reservation_split, row->id, row->vendor_id, id, VALUE(Int32GetDatum(take)), state);
		if (row->serialised)
			units_move(row->id, row->vendor_id, id, take, pieces->units, pieces->nunits);
		row->quantity -= take;
	}
	if (TIMESTAMP_IS_NOEND(at))
		return;
	if (row->serialised && are_lost(pieces))
		keep_lost(pieces, id, row->vendor_id);
	units_release_reservation(id, row->vendor_id, at);
}

/*
 * pieces_move moves pieces of an order's lines from one state to another: firm
 * to out, when units are assigned to what has none yet, or out to released, when units are free from
 * a time on; at is infinity for what goes out. What was sold does not come back.
 */
void
pieces_move(const Order *order, Pieces *pieces, int n, const char *from, const char *to, TimestampTz at)
{
	uint64		 found = plan_run(&reservations_in, VALUE(UUIDPGetDatum(&order->id)), VALUE(CStringGetTextDatum(from)));
	Reservation *rows = reservations_load(SPI_tuptable, found);
	bool		 is_return = !TIMESTAMP_IS_NOEND(at);
	int			 pass;

	/* first the units, which are locked before stock is taken, then the stock */
	for (pass = is_return ? 1 : 0; pass < 2; pass++)
	{
		Moving *moving = palloc0(Max(found, 1) * n * sizeof(Moving));
		int		nmoving = 0;
		uint64	i;
		int		j;

		for (i = 0; i < found; i++)
		{
			int32 left = rows[i].quantity;

			for (j = 0; j < n && left > 0; j++)
			{
				Pieces *these = &pieces[j];
				Moving *move;
				int32	take;

				if (!uuid_equal(DatumGetUUIDP(these->line->id), &rows[i].item_id))
					continue;
				move = moving_of(moving, &nmoving, these, &rows[i]);
				take = Min(move->left, left);
				if (is_return && these->nunits > 0)
					take = Min(take, units_count(rows[i].id, rows[i].vendor_id, these->units, these->nunits));
				if (take == 0)
					continue;
				move->left -= take;
				left -= take;
				if (pass == 0 && rows[i].serialised)
					units_ensure(rows[i].id, rows[i].vendor_id, &rows[i].product_id, &rows[i].location_id,
								 &rows[i].blocked, rows[i].quantity, take, these->units, these->nunits,
								 these->request.path ? request_path(&these->request, "unit_ids") : "unit_ids");
				if (pass == 1 && !(is_return && rows[i].is_sold))
					reservation_move(&rows[i], take, these, to, at);
			}
		}
		for (j = 0; j < nmoving; j++)
			if (moving[j].left > 0)
			{
				if (moving[j].pieces->nunits > 0)
					rental_raise(not_found, errmsg("a unit is not out with this item"),
								 errfield(request_path(&moving[j].pieces->request, "unit_ids")));
				elog(ERROR, "an order has fewer reservations than pieces");
			}
	}
}

/* pieces_lock_lost locks what pieces_lose will change, before the stock is touched. */
void
pieces_lock_lost(const Pieces *pieces, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (are_lost(&pieces[i]) && !pieces[i].line->product.is_kit)
			stock_lock(VALUE(UUIDPGetDatum(&pieces[i].line->product_id)));
}

/*
 * pieces_lose takes what is lost off the stock: counted pieces, or the very
 * units. Promises that can no longer be kept become shortages. Of a lost kit
 * all components are gone.
 */
void
pieces_lose(const Order *order, const Pieces *pieces, int n, TimestampTz at)
{
	int i;

	for (i = 0; i < n; i++)
	{
		const OrderLine *line = pieces[i].line;
		Component		*components = NULL;
		Component		 itself = {line->product_id, 1};
		int				 ncomponents = 1;
		int				 j;

		if (!are_lost(&pieces[i]))
			continue;
		if (line->product.is_kit)
			ncomponents = product_components(&line->product_id, &components);
		else
			components = &itself;
		for (j = 0; j < ncomponents; j++)
		{
			NullableDatum product_id = VALUE(UUIDPGetDatum(&components[j].product_id));
			Product		  product;

			if (!product_find(&components[j].product_id, &line->product, &product))
				elog(ERROR, "a component is gone");
			if (product.serialised)
			{
				STOCK_FORCED(true, product_id, units_lose(product_id, pieces[i].lost, pieces[i].nlost, at));
			}
			else
			{
				int32 quantity = -pieces[i].quantity * components[j].quantity;

				STOCK_FORCED(true, product_id,
							 plan_run(&stock_lost, product_id, VALUE(UUIDPGetDatum(&line->location_id)),
									  VALUE(UUIDPGetDatum(&order->vendor_id)), VALUE(TimestampTzGetDatum(at)),
									  VALUE(Int32GetDatum(quantity))));
			}
		}
	}
}

/*
 * lines_become changes the state of all reservations of some orders,
 * one by one in the order in which stock is locked everywhere. What was sold
 * does not come back with a return.
 */
void
lines_become(const pg_uuid_t *orders, int n, const char *state, bool is_return)
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
