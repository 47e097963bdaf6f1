/*
 * cart.c
 *	  Carts: what a customer means to order, from several vendors.
 *
 * A cart takes no stock and keeps no price: each look prices and checks what
 * is in it, and writes nothing. The checkout makes one order a vendor of it,
 * all or nothing; orders.c holds their stock.
 */
#include "rental.h"

#include "access/htup_details.h"
#include "actor.h"
#include "amount.h"
#include "errors.h"
#include "funcapi.h"
#include "lines.h"
#include "orderrow.h"
#include "plan.h"
#include "policy.h"
#include "pricing.h"
#include "request.h"
#include "response.h"
#include "stock.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#define CART_ITEM_COLUMNS	14
#define CART_VENDOR_COLUMNS 10

PLAN(cart_make,
	 "INSERT INTO rental.carts AS c (customer_id, created_at, updated_at) VALUES ($1, $2, $2) "
	 "ON CONFLICT (customer_id) DO UPDATE SET updated_at = $2 RETURNING id",
	 UUIDOID, TIMESTAMPTZOID);
PLAN(cart_lock, "SELECT id FROM rental.carts WHERE customer_id = $1 FOR UPDATE", UUIDOID);
PLAN(cart_count, "SELECT count(*) FROM rental.cart_items WHERE cart_id = $1", UUIDOID);
PLAN(
	cart_insert,
	"INSERT INTO rental.cart_items (vendor_id, cart_id, product_id, location_id, quantity, start_at, end_at, created_at) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
	UUIDOID, UUIDOID, UUIDOID, UUIDOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID);
PLAN(
	cart_lines,
	"SELECT i.id, i.vendor_id, i.product_id, i.location_id, i.quantity, i.start_at, i.end_at, p.name, v.name, v.currency "
	"FROM rental.carts c JOIN rental.cart_items i ON i.cart_id = c.id JOIN rental.products p ON p.id = i.product_id AND p.vendor_id = i.vendor_id "
	"JOIN rental.vendors v ON v.id = i.vendor_id WHERE c.customer_id = $1 ORDER BY i.vendor_id, i.id",
	UUIDOID);
PLAN(cart_item_of,
	 "SELECT i.product_id, i.quantity, i.start_at, i.end_at FROM rental.cart_items i JOIN rental.carts c ON c.id = "
	 "i.cart_id "
	 "WHERE i.id = $1 AND c.customer_id = $2 FOR UPDATE OF i",
	 UUIDOID, UUIDOID);
PLAN(cart_update, "UPDATE rental.cart_items SET quantity = $2, start_at = $3, end_at = $4 WHERE id = $1", UUIDOID,
	 INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID);
PLAN(cart_delete, "DELETE FROM rental.cart_items WHERE id = $1", UUIDOID);
PLAN(cart_clear, "DELETE FROM rental.cart_items WHERE cart_id = $1", UUIDOID);

/* Something in a cart, as it is looked at */
typedef struct CartItem
{
	OrderLine		 line;
	pg_uuid_t		 vendor_id;
	const pg_uuid_t *customer_id;
	const char		*product_name;
	const char		*vendor_name;
	const char		*currency;
	int32			 available; /* -1: not known */
	char			*problem;	/* NULL: none */
	char			*detail;
} CartItem;

/* items_load reads a cart, the items of one vendor together. */
static CartItem *
items_load(const pg_uuid_t *customer_id, bool read_only, int *n)
{
	SPITupleTable *rows;
	CartItem	  *items;
	int			   i;

	*n = plan_execute(&cart_lines, (NullableDatum[]){VALUE(UUIDPGetDatum(customer_id))}, 1, read_only);
	rows = SPI_tuptable;
	items = palloc0(Max(*n, 1) * sizeof(CartItem));
	for (i = 0; i < *n; i++)
	{
		CartItem	 *item = &items[i];
		OrderLine	 *line = &item->line;
		NullableDatum location = plan_value_of(rows, i, 4);

		line->id = plan_value_of(rows, i, 1).value;
		item->vendor_id = *DatumGetUUIDP(plan_value_of(rows, i, 2).value);
		item->customer_id = customer_id;
		line->product_id = *DatumGetUUIDP(plan_value_of(rows, i, 3).value);
		line->has_location = !location.isnull;
		if (line->has_location)
			line->location_id = *DatumGetUUIDP(location.value);
		line->quantity = DatumGetInt32(plan_value_of(rows, i, 5).value);
		line->period.start = DatumGetTimestampTz(plan_value_of(rows, i, 6).value);
		line->period.end = DatumGetTimestampTz(plan_value_of(rows, i, 7).value);
		item->product_name = TextDatumGetCString(plan_value_of(rows, i, 8).value);
		item->vendor_name = TextDatumGetCString(plan_value_of(rows, i, 9).value);
		item->currency = TextDatumGetCString(plan_value_of(rows, i, 10).value);
		item->available = -1;
	}
	return items;
}

/* item_check finds the place and the price of an item as ordering it would, and raises the error that it would. */
static void
item_check(void *arg)
{
	CartItem	*item = arg;
	OrderLine	*line = &item->line;
	OrderAmounts amounts;
	int32		 free = 0;

	line_complete(line, NULL);
	if (line->period.start < rental_now() - USECS_PER_HOUR)
		rental_raise(invalid_period, errmsg("the rental would have begun already"));
	lines_price(line, 1, &(PriceOrder){.customer_id = item->customer_id}, NULLVALUE, &amounts);
	free = stock_free(&line->product.id, &line->location_id, &line->blocked);
	item->available = Max(free, 0);
	if (free < line->quantity)
		rental_raise(insufficient_stock, errmsg("only %d of %d asked for are free", Max(free, 0), line->quantity));
}

/*
 * item_try checks an item and keeps what is wrong with it instead of ending the
 * look, which writes nothing. An error that is not of the trade goes on.
 */
static void
item_try(CartItem *item)
{
	ErrorData *error = plan_try(item_check, item, true);

	if (error == NULL)
		return;
	if (error->constraint_name == NULL || strncmp(unpack_sql_state(error->sqlerrcode), "RT", 2) != 0)
		ReThrowError(error);
	item->problem = error->constraint_name;
	item->detail = error->message;
}

static Datum
row_of(Oid array_column_type, Datum *values, bool *nulls)
{
	TupleDesc desc = lookup_rowtype_tupdesc(get_element_type(array_column_type), -1);
	Datum	  row = HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));

	ReleaseTupleDesc(desc);
	return row;
}

static Datum
array_of(Oid array_type, Datum *rows, int n)
{
	return PointerGetDatum(construct_array(rows, n, get_element_type(array_type), -1, false, TYPALIGN_DOUBLE));
}

static Datum
item_row(const CartItem *item, Oid type)
{
	const OrderLine *line = &item->line;
	bool			 priced = line->is_priced;
	Datum			 values[CART_ITEM_COLUMNS] = {line->id,
												  UUIDPGetDatum(&item->vendor_id),
												  UUIDPGetDatum(&line->product_id),
												  CStringGetTextDatum(item->product_name),
												  UUIDPGetDatum(&line->location_id),
												  Int32GetDatum(line->quantity),
												  TimestampTzGetDatum(line->period.start),
												  TimestampTzGetDatum(line->period.end),
												  CStringGetTextDatum(item->currency),
												  line->unit_price,
												  line->total,
												  Int32GetDatum(item->available),
										  item->problem ? CStringGetTextDatum(item->problem) : (Datum) 0,
										  item->detail ? CStringGetTextDatum(item->detail) : (Datum) 0};
	bool			 nulls[CART_ITEM_COLUMNS] = {[4] = !line->has_location && item->available < 0,
												 [9] = !priced,
												 [10] = !priced,
												 [11] = item->available < 0,
												 [12] = item->problem == NULL,
												 [13] = item->detail == NULL};

	return row_of(type, values, nulls);
}

/* vendor_row sums what is in order of one vendor's items, and tells what the damage waiver costs, taken or not. */
static Datum
vendor_row(CartItem *items, int n, const pg_uuid_t *customer_id, const char *coupon, bool with_waiver, Oid type)
{
	OrderLine	 *lines = palloc(n * sizeof(OrderLine));
	PriceOrder	  price = {.customer_id = customer_id, .coupon = coupon};
	OrderAmounts  amounts;
	NullableDatum waiver_percent;
	Datum		  waiver;
	Policy		  policy;
	int			  nlines = 0;
	int			  i;

	for (i = 0; i < n; i++)
		if (items[i].problem == NULL)
			lines[nlines++] = items[i].line;
	if (nlines == 0)
		return (Datum) 0;
	for (i = 0; i < nlines; i++)
		lines[i].is_priced = false;
	waiver_percent =
		with_waiver ? VALUE(price_waiver_percent(&lines[0].product)) : price_waiver_sold(&lines[0].product);
	lines_price(lines, nlines, &price, waiver_percent, &amounts);
	waiver = amounts.waiver;
	if (with_waiver)
		amounts.total = amount_add(amounts.total, waiver);
	else if (!waiver_percent.isnull)
		lines_price(lines, nlines, &price, NULLVALUE, &amounts);
	policy_load(&items->vendor_id, &policy);
	{
		Datum values[CART_VENDOR_COLUMNS] = {UUIDPGetDatum(&items->vendor_id),
											 CStringGetTextDatum(items->vendor_name),
											 CStringGetTextDatum(items->currency),
											 amounts.subtotal,
											 amounts.discount,
											 amounts.tax,
											 waiver,
											 amounts.deposit,
											 amounts.total,
											 policy.terms_version ? CStringGetTextDatum(policy.terms_version)
																  : (Datum) 0};
		bool  nulls[CART_VENDOR_COLUMNS] = {[6] = waiver_percent.isnull, [9] = policy.terms_version == NULL};

		return row_of(type, values, nulls);
	}
}

/* items_of_vendor is how many items from the first on are of one vendor. */
static int
items_of_vendor(const CartItem *items, int n)
{
	int i = 1;

	while (i < n && uuid_equal(&items[i].vendor_id, &items[0].vendor_id))
		i++;
	return i;
}

/* coupon_at is a coupon at one vendor, if the vendor has it. */
static const char *
coupon_at(const pg_uuid_t *vendor_id, const char *coupon, bool *found)
{
	if (coupon == NULL || !price_has_coupon(vendor_id, coupon))
		return NULL;
	*found = true;
	return coupon;
}

static void
coupon_require(const char *coupon, bool found)
{
	if (coupon != NULL && !found)
		rental_raise(rule_violated, errmsg("the coupon is of no vendor of this cart"), errfield("coupon"));
}

/* cart_answer looks at a cart and makes it the function's result, in the memory of whoever called plan_open. */
static Datum
cart_answer(FunctionCallInfo fcinfo, const pg_uuid_t *customer_id, const char *coupon, bool with_waiver, bool read_only,
			MemoryContext caller)
{
	TupleDesc desc;
	CartItem *items;
	Datum	 *rows;
	Datum	 *vendors;
	Datum	  values[3];
	bool	  nulls[3] = {false};
	bool	  ready = true;
	bool	  has_coupon = false;
	int		  nvendors = 0;
	int		  n;
	int		  i;
	Datum	  result;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "a cart is a composite");
	items = items_load(customer_id, read_only, &n);
	rows = palloc(Max(n, 1) * sizeof(Datum));
	vendors = palloc(Max(n, 1) * sizeof(Datum));
	for (i = 0; i < n; i++)
	{
		item_try(&items[i]);
		rows[i] = item_row(&items[i], TupleDescAttr(desc, 0)->atttypid);
		ready &= items[i].problem == NULL;
	}
	for (i = 0; i < n; i += items_of_vendor(&items[i], n - i))
	{
		Datum row = vendor_row(&items[i], items_of_vendor(&items[i], n - i), customer_id,
							   coupon_at(&items[i].vendor_id, coupon, &has_coupon), with_waiver,
							   TupleDescAttr(desc, 1)->atttypid);

		if (row != (Datum) 0)
			vendors[nvendors++] = row;
	}
	coupon_require(coupon, has_coupon);
	values[0] = array_of(TupleDescAttr(desc, 0)->atttypid, rows, n);
	values[1] = array_of(TupleDescAttr(desc, 1)->atttypid, vendors, nvendors);
	values[2] = BoolGetDatum(ready && n > 0);
	MemoryContextSwitchTo(caller);
	result = HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
	plan_close();
	return result;
}

/* cart_get(coupon text, damage_waiver boolean) */
PG_FUNCTION_INFO_V1(cart_get);
Datum
cart_get(PG_FUNCTION_ARGS)
{
	MemoryContext	 caller = CurrentMemoryContext;
	const pg_uuid_t *customer_id = &actor_require_user()->user_id;

	plan_open();
	return cart_answer(fcinfo, customer_id, request_text(FCARG(0), "coupon", 40), !PG_ARGISNULL(1) && PG_GETARG_BOOL(1),
					   true, caller);
}

/* wish_check checks what is put into a cart, but for its stock, which may come and go. */
static void
wish_check(const pg_uuid_t *product_id, int32 quantity, TimestampTz start, TimestampTz end, Product *product)
{
	if (quantity < 1 || quantity > 1000000)
		rental_raise(invalid_value, errmsg("quantity must be between 1 and 1000000"), errfield("quantity"));
	period_check(start, end, "end_at");
	product_load(product_id, product, "product_id");
	if (!product->is_active)
		rental_raise(invalid_value, errmsg("the product is not for rent any more"), errfield("product_id"));
}

/* cart_add(product_id uuid, quantity integer, start_at timestamptz, end_at timestamptz, location_id uuid) */
PG_FUNCTION_INFO_V1(cart_add);
Datum
cart_add(PG_FUNCTION_ARGS)
{
	MemoryContext	 caller = CurrentMemoryContext;
	const pg_uuid_t *customer_id = &actor_require_user()->user_id;
	NullableDatum	 now = VALUE(TimestampTzGetDatum(rental_now()));
	NullableDatum	 cart;
	Product			 product;

	request_required(FCARG(0), "product_id");
	request_required(FCARG(1), "quantity");
	request_required(FCARG(2), "start_at");
	request_required(FCARG(3), "end_at");
	plan_open();
	wish_check(PG_GETARG_UUID_P(0), PG_GETARG_INT32(1), PG_GETARG_TIMESTAMPTZ(2), PG_GETARG_TIMESTAMPTZ(3), &product);
	if (!PG_ARGISNULL(4) && !stock_is_kept(PG_GETARG_UUID_P(0), PG_GETARG_UUID_P(4)))
		rental_raise(not_found, errmsg("the product is not kept there"), errfield("location_id"));
	plan_run(&cart_make, VALUE(UUIDPGetDatum(customer_id)), now);
	cart = plan_value(0, 1);
	plan_run(&cart_count, cart);
	if (DatumGetInt64(plan_datum(0, 1)) >= ORDER_MOST_ITEMS)
		rental_raise(rule_violated, errmsg("a cart has at most %d items", ORDER_MOST_ITEMS));
	plan_run(&cart_insert, VALUE(UUIDPGetDatum(&product.vendor_id)), cart, FCARG(0), FCARG(4), FCARG(1), FCARG(2),
			 FCARG(3), now);
	return cart_answer(fcinfo, customer_id, NULL, false, false, caller);
}

/* cart_item_find locks an item of the caller's own cart. */
static void
cart_item_find(NullableDatum id, const pg_uuid_t *customer_id)
{
	request_required(id, "item_id");
	if (plan_run(&cart_item_of, id, VALUE(UUIDPGetDatum(customer_id))) == 0)
		rental_raise(not_found, errmsg("the cart has no such item"));
}

/* cart_item_change(item_id uuid, quantity integer, start_at timestamptz, end_at timestamptz) */
PG_FUNCTION_INFO_V1(cart_item_change);
Datum
cart_item_change(PG_FUNCTION_ARGS)
{
	MemoryContext	 caller = CurrentMemoryContext;
	const pg_uuid_t *customer_id = &actor_require_user()->user_id;
	NullableDatum	 wish[3];
	pg_uuid_t		 product_id;
	Product			 product;
	int				 i;

	plan_open();
	cart_item_find(FCARG(0), customer_id);
	product_id = *DatumGetUUIDP(plan_datum(0, 1));
	for (i = 0; i < 3; i++)
		wish[i] = PG_ARGISNULL(i + 1) ? plan_value(0, i + 2) : FCARG(i + 1);
	wish_check(&product_id, DatumGetInt32(wish[0].value), DatumGetTimestampTz(wish[1].value),
			   DatumGetTimestampTz(wish[2].value), &product);
	plan_run(&cart_update, FCARG(0), wish[0], wish[1], wish[2]);
	return cart_answer(fcinfo, customer_id, NULL, false, false, caller);
}

PG_FUNCTION_INFO_V1(cart_item_remove);
Datum
cart_item_remove(PG_FUNCTION_ARGS)
{
	MemoryContext	 caller = CurrentMemoryContext;
	const pg_uuid_t *customer_id = &actor_require_user()->user_id;

	plan_open();
	cart_item_find(FCARG(0), customer_id);
	plan_run(&cart_delete, FCARG(0));
	return cart_answer(fcinfo, customer_id, NULL, false, false, caller);
}

static const char *const terms_fields[] = {"vendor_id", "version", NULL};

/* terms_for is what a checkout accepts of one vendor, in the form in which an order takes it. */
static NullableDatum
terms_for(NullableDatum terms, const pg_uuid_t *vendor_id, const char *signature)
{
	StringInfoData out;
	char		  *version = NULL;

	if (!terms.isnull)
	{
		RequestList list = request_list("terms", DatumGetJsonbP(terms.value), ORDER_MOST_ITEMS);
		int			i;

		for (i = 0; i < list.count; i++)
		{
			RequestObject object = request_object(&list, i, terms_fields);
			pg_uuid_t	  vendor;
			char		 *accepted;

			request_uuid(&object, "vendor_id", true, &vendor);
			accepted = request_string(&object, "version", true, 40);
			if (uuid_equal(&vendor, vendor_id))
				version = accepted;
		}
	}
	if (version == NULL && signature == NULL)
		return NULLVALUE;
	initStringInfo(&out);
	appendStringInfoString(&out, "{\"version\":");
	json_write(&out, version ? CStringGetTextDatum(version) : (Datum) 0, version == NULL, TEXTOID);
	appendStringInfoString(&out, ",\"signature\":");
	json_write(&out, signature ? CStringGetTextDatum(signature) : (Datum) 0, signature == NULL, TEXTOID);
	appendStringInfoChar(&out, '}');
	return VALUE(DirectFunctionCall1(jsonb_in, CStringGetDatum(out.data)));
}

/* cart_checkout(terms cart_terms_request, delivery order_delivery_request, note, signature, coupon text, damage_waiver boolean) */
PG_FUNCTION_INFO_V1(cart_checkout);
Datum
cart_checkout(PG_FUNCTION_ARGS)
{
	MemoryContext	 caller = CurrentMemoryContext;
	const pg_uuid_t *customer_id = &actor_require_user()->user_id;
	char			*note = request_text(FCARG(2), "note", 4000);
	char			*signature = request_text(FCARG(3), "signature", 200000);
	char			*coupon = request_text(FCARG(4), "coupon", 40);
	bool			 has_coupon = false;
	NullableDatum	 cart;
	TupleDesc		 desc;
	CartItem		*items;
	Datum			*orders;
	int				 norders = 0;
	int				 n = 0;
	int				 i;
	Datum			 list;
	bool			 isnull = false;
	Datum			 result;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "the orders of a cart are a composite");
	plan_open();
	/* two checkouts of one cart: the second finds it empty */
	if (plan_run(&cart_lock, VALUE(UUIDPGetDatum(customer_id))) == 0)
		rental_raise(invalid_state, errmsg("the cart is empty"));
	cart = plan_value(0, 1);
	items = items_load(customer_id, false, &n);
	if (n == 0)
		rental_raise(invalid_state, errmsg("the cart is empty"));
	orders = palloc(n * sizeof(Datum));
	/* vendor after vendor in ascending order, so that two carts never wait for each other in a circle */
	for (i = 0; i < n;)
	{
		int			 count = items_of_vendor(&items[i], n - i);
		OrderRequest request = {.lines = palloc(count * sizeof(OrderLine)),
								.nlines = count,
								.customer_id = customer_id,
								.note = note,
								.delivery = FCARG(1),
								.coupon = coupon_at(&items[i].vendor_id, coupon, &has_coupon),
								.with_waiver = !PG_ARGISNULL(5) && PG_GETARG_BOOL(5),
								.terms = terms_for(FCARG(0), &items[i].vendor_id, signature)};
		pg_uuid_t	 id;
		int			 j;

		for (j = 0; j < count; j++)
		{
			OrderLine *line = &request.lines[j];

			*line = items[i + j].line;
			line->request.path = psprintf("items[%d]", i + j);
			line->id = uuid7_datum();
			line_complete(line, NULL);
		}
		id = order_make(&request);
		orders[norders++] = order_row(&id).value;
		i += count;
	}
	coupon_require(coupon, has_coupon);
	plan_run(&cart_clear, cart);
	list = array_of(TupleDescAttr(desc, 0)->atttypid, orders, norders);
	MemoryContextSwitchTo(caller);
	result = HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), &list, &isnull));
	plan_close();
	return result;
}
