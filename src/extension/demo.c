/*
 * demo.c
 *	  Demonstration data, made by the functions that any caller uses.
 *
 * Seeded: two runs make the same business but for identifiers. Time is
 * rental.clock, set day by day, so that the orders have a past.
 */
#include "rental.h"

#include "actor.h"
#include "common/pg_prng.h"
#include "errors.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "period.h"
#include "plan.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"

#define DAYS_BACK			60
#define PRODUCTS_A_VENDOR	20
#define CUSTOMERS_A_VENDOR	10
#define ORDERS_A_VENDOR_DAY 3

PLAN(call_category, "SELECT (rental.category_create($1)).id", TEXTOID);
PLAN(find_category, "SELECT id FROM rental.categories WHERE name = $1", TEXTOID);
PLAN(
	make_user,
	"INSERT INTO rental.users (email, password_hash, name, role, created_at) VALUES ($1, '!', $2, $3, $4) RETURNING id",
	TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID);
PLAN(
	make_vendor,
	"INSERT INTO rental.vendors (name, slug, currency, time_zone, hold_time, created_at) VALUES ($1, $2, 'EUR', 'Europe/Berlin', '2 days', $3) RETURNING id",
	TEXTOID, TEXTOID, TIMESTAMPTZOID);
PLAN(make_location, "INSERT INTO rental.locations (vendor_id, name, created_at) VALUES ($1, 'Main', $2)", UUIDOID,
	 TIMESTAMPTZOID);
PLAN(
	call_product,
	"SELECT (rental.product_create(name => $1, description => $2, category_id => $3, vendor_id => $4, replacement_value => $5, day_rate => $6)).id",
	TEXTOID, TEXTOID, UUIDOID, UUIDOID, NUMERICOID, NUMERICOID);
PLAN(call_stock, "SELECT rental.stock_set($1, $2)", UUIDOID, INT4OID);
PLAN(call_availability, "SELECT rental.availability($1, tstzrange($2, $3))", UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID);
PLAN(call_place,
	 "SELECT (rental.order_place(items => jsonb_build_array(jsonb_build_object('product_id', $1, 'quantity', $2, "
	 "'start_at', to_char($3 AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), "
	 "'end_at', to_char($4 AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'))), customer_id => $5)).id",
	 UUIDOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, UUIDOID);
PLAN(call_cancel, "SELECT rental.order_cancel($1, 'changed plans')", UUIDOID);
PLAN(call_confirm, "SELECT rental.order_confirm($1)", UUIDOID);
PLAN(call_invoice, "SELECT rental.invoice_issue($1)", UUIDOID);
PLAN(call_pay, "SELECT rental.payment_record($1, (SELECT total FROM rental.orders WHERE id = $1), 'transfer')",
	 UUIDOID);
PLAN(call_dispatch, "SELECT rental.order_dispatch($1)", UUIDOID);
PLAN(call_return, "SELECT rental.order_return($1)", UUIDOID);
PLAN(first_vendor, "SELECT id FROM rental.vendors ORDER BY id LIMIT 1", );
PLAN(call_account, "SELECT (a).role, (a).email, (a).password FROM rental.account_create($1, $2, $3, $4) a", TEXTOID,
	 TEXTOID, TEXTOID, UUIDOID);

static const char *const kinds[][2] = {
	{"Cameras", "Camera"},	  {"Tools", "Rotary hammer"}, {"Bikes", "Cargo bike"}, {"Tents", "Party tent"},
	{"Sound", "Speaker set"}, {"Light", "Stage light"},	  {"Ladders", "Ladder"},   {"Projectors", "Projector"},
};
static const char *const makes[] = {"Compact", "Standard", "Professional", "Heavy duty", "Large"};

/* An order on its way through the demonstration */
typedef struct DemoOrder
{
	pg_uuid_t	id;
	TimestampTz start;
	TimestampTz end;
	enum
	{
		DEMO_PLACED,
		DEMO_CONFIRMED,
		DEMO_OUT,
		DEMO_DONE
	} state;
} DemoOrder;

typedef struct Demo
{
	pg_prng_state random;
	MemoryContext context;
	int			  vendors;
	int			  nproducts;
	pg_uuid_t	 *products;
	int			  ncustomers;
	pg_uuid_t	 *customers;
	DemoOrder	 *orders;
	int			  norders;
} Demo;

static int
pick(Demo *demo, int n)
{
	return pg_prng_uint64_range(&demo->random, 0, n - 1);
}

static void
clock_set(TimestampTz at)
{
	set_config_option("rental.clock", timestamptz_to_str(at), PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
					  false);
}

/* run_for_id runs a plan that gives one id. */
#define run_for_id(...) (plan_run(__VA_ARGS__), *DatumGetUUIDP(plan_datum(0, 1)))

static NullableDatum
text_value(const char *text)
{
	return VALUE(CStringGetTextDatum(text));
}

static Datum
money(int cents)
{
	return DirectFunctionCall2(numeric_div, DirectFunctionCall1(int4_numeric, Int32GetDatum(cents)),
							   DirectFunctionCall1(int4_numeric, Int32GetDatum(100)));
}

static void
demo_catalogue(Demo *demo, TimestampTz start)
{
	Datum categories[lengthof(kinds)];
	int	  vendor;
	int	  i;

	for (i = 0; i < lengthof(kinds); i++)
	{
		if (plan_run(&find_category, text_value(kinds[i][0])) == 0)
			plan_run(&call_category, text_value(kinds[i][0]));
		categories[i] = uuid_copy_datum(DatumGetUUIDP(plan_datum(0, 1)));
	}
	for (vendor = 0; vendor < demo->vendors; vendor++)
	{
		pg_uuid_t vendor_id =
			run_for_id(&make_vendor, text_value(psprintf("Demo Rentals %d", vendor + 1)),
					   text_value(psprintf("demo-rentals-%d", vendor + 1)), VALUE(TimestampTzGetDatum(start)));

		plan_run(&make_location, VALUE(UUIDPGetDatum(&vendor_id)), VALUE(TimestampTzGetDatum(start)));
		for (i = 0; i < PRODUCTS_A_VENDOR; i++)
		{
			int		  kind = i % lengthof(kinds);
			int		  make = pick(demo, lengthof(makes));
			int		  rate = 500 + 250 * pick(demo, 60);
			char	 *name = psprintf("%s %s %d", makes[make], kinds[kind][1], i + 1);
			pg_uuid_t id = run_for_id(&call_product, text_value(name),
									  text_value(psprintf("%s, checked and cleaned after each rental.", name)),
									  VALUE(categories[kind]), VALUE(UUIDPGetDatum(&vendor_id)),
									  VALUE(money(rate * 30)), VALUE(money(rate)));

			plan_run(&call_stock, VALUE(UUIDPGetDatum(&id)), VALUE(Int32GetDatum(1 + pick(demo, 8))));
			demo->products[demo->nproducts++] = id;
		}
	}
	for (i = 0; i < demo->vendors * CUSTOMERS_A_VENDOR; i++)
		demo->customers[demo->ncustomers++] = run_for_id(
			&make_user, text_value(psprintf("customer%d@demo.example", i + 1)),
			text_value(psprintf("Customer %d", i + 1)), text_value("customer"), VALUE(TimestampTzGetDatum(start)));
}

/* demo_order_step moves an order on to where it should be at a time. */
static void
demo_order_step(Demo *demo, DemoOrder *order, TimestampTz now)
{
	NullableDatum id = VALUE(UUIDPGetDatum(&order->id));

	if (order->state == DEMO_PLACED)
	{
		if (pick(demo, 12) == 0)
		{
			plan_run(&call_cancel, id);
			order->state = DEMO_DONE;
			return;
		}
		plan_run(&call_confirm, id);
		plan_run(&call_invoice, id);
		order->state = DEMO_CONFIRMED;
	}
	if (order->state == DEMO_CONFIRMED && order->start <= now)
	{
		plan_run(&call_dispatch, id);
		order->state = DEMO_OUT;
	}
	if (order->state == DEMO_OUT && order->end <= now)
	{
		plan_run(&call_return, id);
		plan_run(&call_pay, id);
		order->state = DEMO_DONE;
	}
}

static void
demo_day(Demo *demo, TimestampTz now)
{
	int i;

	clock_set(now);
	for (i = 0; i < demo->norders; i++)
		if (demo->orders[i].state != DEMO_DONE)
			demo_order_step(demo, &demo->orders[i], now);
	for (i = 0; i < demo->vendors * ORDERS_A_VENDOR_DAY; i++)
	{
		DemoOrder	 *order = &demo->orders[demo->norders];
		NullableDatum product = VALUE(UUIDPGetDatum(&demo->products[pick(demo, demo->nproducts)]));
		NullableDatum customer = VALUE(UUIDPGetDatum(&demo->customers[pick(demo, demo->ncustomers)]));
		int			  quantity = 1 + pick(demo, 2);

		order->start = now + (1 + pick(demo, 14)) * USECS_PER_DAY + pick(demo, 8) * USECS_PER_HOUR;
		order->end = order->start + (1 + pick(demo, 5)) * USECS_PER_DAY;
		plan_run(&call_availability, product, VALUE(TimestampTzGetDatum(order->start)),
				 VALUE(TimestampTzGetDatum(order->end)));
		if (DatumGetInt32(plan_datum(0, 1)) < quantity)
			continue;
		order->id =
			run_for_id(&call_place, product, VALUE(Int32GetDatum(quantity)), VALUE(TimestampTzGetDatum(order->start)),
					   VALUE(TimestampTzGetDatum(order->end)), customer);
		order->state = DEMO_PLACED;
		demo->norders++;
	}
}

static void
put_count(ReturnSetInfo *rsinfo, const char *what, int64 made)
{
	Datum values[2] = {CStringGetTextDatum(what), Int64GetDatum(made)};
	bool  nulls[2] = {false};

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* demo_load(scale integer): what, made */
PG_FUNCTION_INFO_V1(demo_load);
Datum
demo_load(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int32		   scale = PG_ARGISNULL(0) ? 1 : PG_GETARG_INT32(0);
	Demo		   demo = {.vendors = 2 * scale};
	TimestampTz	   start;
	int			   nest;
	int			   day;

	actor_require_admin();
	if (scale < 1 || scale > 10000)
		rental_raise(invalid_value, errmsg("scale must be between 1 and 10000"), errfield("scale"));
	InitMaterializedSRF(fcinfo, 0);
	nest = NewGUCNestLevel();
	pg_prng_seed(&demo.random, 20260101);
	start = (rental_now() / USECS_PER_DAY - DAYS_BACK) * USECS_PER_DAY + 9 * USECS_PER_HOUR;
	clock_set(start);

	plan_open();
	demo.products = palloc(demo.vendors * PRODUCTS_A_VENDOR * sizeof(pg_uuid_t));
	demo.customers = palloc(demo.vendors * CUSTOMERS_A_VENDOR * sizeof(pg_uuid_t));
	demo.orders =
		palloc_extended((Size) demo.vendors * ORDERS_A_VENDOR_DAY * DAYS_BACK * sizeof(DemoOrder), MCXT_ALLOC_HUGE);
	demo_catalogue(&demo, start);
	for (day = 0; day < DAYS_BACK; day++)
	{
		CHECK_FOR_INTERRUPTS();
		demo_day(&demo, start + day * USECS_PER_DAY);
	}
	plan_close();
	AtEOXact_GUC(true, nest);

	put_count(rsinfo, "vendors", demo.vendors);
	put_count(rsinfo, "products", demo.nproducts);
	put_count(rsinfo, "customers", demo.ncustomers);
	put_count(rsinfo, "orders", demo.norders);
	PG_RETURN_NULL();
}

/* demo_accounts(): role, email, password */
PG_FUNCTION_INFO_V1(demo_accounts);
Datum
demo_accounts(PG_FUNCTION_ARGS)
{
	static const char *const accounts[][3] = {
		{"admin", "admin@demo.example", "Demo administrator"},
		{"vendor", "vendor@demo.example", "Demo vendor"},
		{"customer", "customer@demo.example", "Demo customer"},
	};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	NullableDatum  vendor;
	int			   i;
	int			   column;

	actor_require_admin();
	InitMaterializedSRF(fcinfo, 0);
	plan_open();
	if (plan_run(&first_vendor) == 0)
		rental_raise(not_found, errmsg("there is no vendor yet"), errhint("Load demonstration data first."));
	vendor = plan_value(0, 1);
	for (i = 0; i < lengthof(accounts); i++)
	{
		Datum values[3];
		bool  nulls[3] = {false};

		plan_run(&call_account, text_value(accounts[i][1]), text_value(accounts[i][2]), text_value(accounts[i][0]),
				 strcmp(accounts[i][0], "vendor") == 0 ? vendor : NULLVALUE);
		for (column = 0; column < 3; column++)
			values[column] = plan_datum(0, column + 1);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	plan_close();
	PG_RETURN_NULL();
}
