/*
 * rates.c
 *	  What vendors set their prices by: rates, rules, customer groups, coupons, taxes, settings.
 *
 * Only what pricing.c can price gets in: amounts that the currency has, tiers
 * in order, percentages within reason. What a vendor sets is seen by its team
 * alone, save the rates.
 */
#include "rates.h"

#include "actor.h"
#include "amount.h"
#include "catalog.h"
#include "errors.h"
#include "plan.h"
#include "pricing.h"
#include "request.h"
#include "response.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"

#define MOST_TIERS	 20
#define MOST_FACTORS 366

PLAN(
	rate_upsert,
	"INSERT INTO rental.product_rates (vendor_id, product_id, days, amount, extra_day, strategy, tiers, unit, counting, leeway, weekend_as_day, "
	"factors, extra_percent, minimum, shortest, longest, deposit, waiver_exempt) "
	"SELECT $1, $2, $3, $4, $5, $6, ARRAY(SELECT ROW(t.length, t.unit, t.amount)::rental.price_tier FROM jsonb_to_recordset($7) "
	"AS t (length integer, unit text, amount numeric)), $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18 "
	"ON CONFLICT (product_id, vendor_id) DO UPDATE SET days = excluded.days, amount = excluded.amount, extra_day = excluded.extra_day, "
	"strategy = excluded.strategy, tiers = excluded.tiers, unit = excluded.unit, counting = excluded.counting, leeway = excluded.leeway, "
	"weekend_as_day = excluded.weekend_as_day, factors = excluded.factors, extra_percent = excluded.extra_percent, minimum = excluded.minimum, "
	"shortest = excluded.shortest, longest = excluded.longest, deposit = excluded.deposit, waiver_exempt = excluded.waiver_exempt",
	UUIDOID, UUIDOID, INT4OID, NUMERICOID, NUMERICOID, TEXTOID, JSONBOID, TEXTOID, TEXTOID, INTERVALOID, BOOLOID,
	NUMERICARRAYOID, NUMERICOID, NUMERICOID, INTERVALOID, INTERVALOID, NUMERICOID, BOOLOID);
PLAN(rate_row, "SELECT v FROM rental.rates_view v WHERE v.product_id = $1", UUIDOID);
PLAN(vendor_currency_of, "SELECT currency FROM rental.vendors WHERE id = $1", UUIDOID);
PLAN(product_is_own, "SELECT FROM rental.products WHERE id = $1 AND vendor_id = $2", UUIDOID, UUIDOID);
PLAN(category_is_there, "SELECT FROM rental.categories WHERE id = $1", UUIDOID);

/* The lists of this file: of one vendor, oldest first, without pages worth speaking of but with the usual form */
#define OF_VENDOR(view, table)                                                                       \
	{                                                                                                \
		.forward = PLAN_INIT("SELECT v, v.id FROM rental." view                                      \
							 " v WHERE v.id > $1 AND v.vendor_id = $3 ORDER BY v.id LIMIT $2",       \
							 UUIDOID, INT4OID, UUIDOID),                                             \
		.backward = PLAN_INIT("SELECT v, v.id FROM rental." view                                     \
							  " v WHERE v.id < $1 AND v.vendor_id = $3 ORDER BY v.id DESC LIMIT $2", \
							  UUIDOID, INT4OID, UUIDOID),                                            \
		.count = PLAN_INIT("SELECT count(*) FROM rental." table " WHERE vendor_id = $1", UUIDOID),   \
	}

static PagePlans rule_pages = OF_VENDOR("price_rule_view", "price_rules");
static PagePlans group_pages = OF_VENDOR("customer_group_view", "customer_groups");
static PagePlans coupon_pages = OF_VENDOR("coupon_view", "coupons");
static PagePlans tax_pages = OF_VENDOR("tax_rate_view", "tax_rates");

PLAN(
	rule_insert,
	"INSERT INTO rental.price_rules (id, vendor_id, name, kind, product_id, category_id, priority, from_date, to_date, weekdays, min_quantity, "
	"max_quantity, percent, amount, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
	UUIDOID, UUIDOID, TEXTOID, TEXTOID, UUIDOID, UUIDOID, INT4OID, DATEOID, DATEOID, INT4ARRAYOID, INT4OID, INT4OID,
	NUMERICOID, NUMERICOID, TIMESTAMPTZOID);
PLAN(rule_row, "SELECT v, v.vendor_id FROM rental.price_rule_view v WHERE v.id = $1", UUIDOID);
PLAN(rule_remove, "DELETE FROM rental.price_rules WHERE id = $1", UUIDOID);
PLAN(group_insert, "INSERT INTO rental.customer_groups (id, vendor_id, name, percent) VALUES ($1, $2, $3, $4)", UUIDOID,
	 UUIDOID, TEXTOID, NUMERICOID);
PLAN(group_row, "SELECT v, v.vendor_id FROM rental.customer_group_view v WHERE v.id = $1", UUIDOID);
PLAN(group_remove, "DELETE FROM rental.customer_groups WHERE id = $1", UUIDOID);
PLAN(
	group_join,
	"INSERT INTO rental.customer_group_members (vendor_id, group_id, user_id) SELECT $1, $2, u.id FROM rental.users u WHERE u.id = $3 AND u.is_active "
	"AND EXISTS (SELECT FROM rental.orders o WHERE o.customer_id = u.id AND o.vendor_id = $1) "
	"ON CONFLICT (user_id, vendor_id) DO UPDATE SET group_id = $2",
	UUIDOID, UUIDOID, UUIDOID);
PLAN(group_leave, "DELETE FROM rental.customer_group_members WHERE group_id = $1 AND user_id = $2", UUIDOID, UUIDOID);
PLAN(
	coupon_insert,
	"INSERT INTO rental.coupons (id, vendor_id, code, percent, amount, starts_at, ends_at, minimum, most_uses, most_uses_each, product_ids, "
	"category_ids, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (vendor_id, code) DO NOTHING",
	UUIDOID, UUIDOID, TEXTOID, NUMERICOID, NUMERICOID, TIMESTAMPTZOID, TIMESTAMPTZOID, NUMERICOID, INT4OID, INT4OID,
	UUIDARRAYOID, UUIDARRAYOID, TIMESTAMPTZOID);
PLAN(coupon_row, "SELECT v, v.vendor_id FROM rental.coupon_view v WHERE v.id = $1", UUIDOID);
PLAN(
	coupon_set,
	"UPDATE rental.coupons SET is_active = COALESCE($2, is_active), ends_at = COALESCE($3, ends_at), most_uses = COALESCE($4, most_uses) "
	"WHERE id = $1 AND COALESCE(uses <= $4, true)",
	UUIDOID, BOOLOID, TIMESTAMPTZOID, INT4OID);
PLAN(
	tax_insert,
	"INSERT INTO rental.tax_rates (id, vendor_id, name, percent, is_inclusive, is_default, class, country, region, from_date, to_date) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
	UUIDOID, UUIDOID, TEXTOID, NUMERICOID, BOOLOID, BOOLOID, TEXTOID, TEXTOID, TEXTOID, DATEOID, DATEOID);
PLAN(tax_row, "SELECT v, v.vendor_id FROM rental.tax_rate_view v WHERE v.id = $1", UUIDOID);
PLAN(tax_remove, "DELETE FROM rental.tax_rates WHERE id = $1", UUIDOID);
PLAN(product_taxes_clear, "DELETE FROM rental.product_taxes WHERE product_id = $1 AND vendor_id = $2", UUIDOID,
	 UUIDOID);
PLAN(
	product_taxes_set,
	"INSERT INTO rental.product_taxes (vendor_id, product_id, tax_rate_id) SELECT DISTINCT $2, $1, t.id FROM rental.tax_rates t "
	"WHERE t.vendor_id = $2 AND t.id = ANY ($3)",
	UUIDOID, UUIDOID, UUIDARRAYOID);
PLAN(product_class_clear, "DELETE FROM rental.product_tax_classes WHERE product_id = $1 AND vendor_id = $2", UUIDOID,
	 UUIDOID);
PLAN(product_class_set,
	 "INSERT INTO rental.product_tax_classes (vendor_id, product_id, class) SELECT $2, $1, $3 WHERE $3 <> 'standard'",
	 UUIDOID, UUIDOID, TEXTOID);
PLAN(settings_row, "SELECT v FROM rental.price_settings_view v WHERE v.vendor_id = $1", UUIDOID);
PLAN(
	settings_upsert,
	"INSERT INTO rental.price_settings (vendor_id, deposit, deposit_percent, waiver_percent, late_free, late_deducts_free, late_per_day, "
	"late_per_hour, late_steps, late_cap) SELECT $1, $2, $3, $4, $5, $6, $7, $8, ARRAY(SELECT ROW(s.days, s.amount)::rental.late_step "
	"FROM jsonb_to_recordset($9) AS s (days integer, amount numeric)), $10 ON CONFLICT (vendor_id) DO UPDATE SET deposit = excluded.deposit, "
	"deposit_percent = excluded.deposit_percent, waiver_percent = excluded.waiver_percent, late_free = excluded.late_free, "
	"late_deducts_free = excluded.late_deducts_free, late_per_day = excluded.late_per_day, late_per_hour = excluded.late_per_hour, "
	"late_steps = excluded.late_steps, late_cap = excluded.late_cap",
	UUIDOID, TEXTOID, NUMERICOID, NUMERICOID, INTERVALOID, BOOLOID, NUMERICOID, NUMERICOID, JSONBOID, NUMERICOID);

/* Checks */

static void
check_span(NullableDatum span, const char *field)
{
	Interval *interval;

	if (span.isnull)
		return;
	interval = DatumGetIntervalP(span.value);
	if (interval->month != 0 || interval->day < 0 || interval->time < 0 || interval->day > 3660)
		rental_raise(invalid_value, errmsg("%s must be a time of days or less", field), errfield(field));
}

static const char *
currency_of(const pg_uuid_t *vendor_id)
{
	if (plan_read(&vendor_currency_of, VALUE(UUIDPGetDatum(vendor_id))) == 0)
		rental_raise(not_found, errmsg("no such vendor"), errfield("vendor_id"));
	return plan_text(0, 1);
}

/* check_own_target makes sure that a rule's product is the vendor's own, and its category is there. */
static void
check_own_target(const pg_uuid_t *vendor_id, NullableDatum product_id, NullableDatum category_id)
{
	if (!product_id.isnull && plan_read(&product_is_own, product_id, VALUE(UUIDPGetDatum(vendor_id))) == 0)
		rental_raise(not_found, errmsg("no such product"), errfield("product_id"));
	if (!category_id.isnull && plan_read(&category_is_there, category_id) == 0)
		rental_raise(not_found, errmsg("no such category"), errfield("category_id"));
}

/* own_row finds a row of a vendor that the caller works for: view row and vendor_id. */
static void
own_row(PreparedPlan *plan, NullableDatum id, const char *what, const char *field)
{
	request_required(id, field);
	if (plan_run(plan, id) == 0 || !actor_serves(actor_current(), DatumGetUUIDP(plan_datum(0, 2))))
	{
		actor_require_user();
		rental_raise(not_found, errmsg("no such %s", what), errfield(field));
	}
}

static Datum
answer(PreparedPlan *plan, NullableDatum id)
{
	Datum row;

	plan_run(plan, id);
	row = plan_keep(0, 1).value;
	plan_close();
	return row;
}

static Datum
remove_own(FunctionCallInfo fcinfo, PreparedPlan *row, PreparedPlan *remove, const char *what, const char *field)
{
	plan_open();
	own_row(row, FCARG(0), what, field);
	plan_run(remove, FCARG(0));
	plan_close();
	PG_RETURN_VOID();
}

/* list_own is a list of (vendor_id uuid, page_size, cursor, count). */
static Datum
list_own(FunctionCallInfo fcinfo, PagePlans *pages)
{
	NullableDatum vendor = VALUE(UUIDPGetDatum(actor_require_own_vendor(FCARG(0))));

	request_required(FCARG(1), "page_size");
	return page_return(fcinfo, pages, &vendor, 1, PG_GETARG_INT32(1), FCARG(2), FCARG(3));
}

/* step_amount is the amount of a tier or step, which the currency must have. */
static Datum
step_amount(const RequestObject *step, const char *currency)
{
	Datum amount;

	request_amount(step, "amount", true, &amount);
	amount_check(amount, currency, request_path(step, "amount"));
	return amount;
}

/* Rates */

static const char *const tier_fields[] = {"length", "unit", "amount", NULL};
static const char *const tier_units[] = {"hour", "day", "week", "month", NULL};

static int32
tier_hours(int32 length, const char *unit)
{
	return length * (strcmp(unit, "hour") == 0	 ? 1
					 : strcmp(unit, "day") == 0	 ? 24
					 : strcmp(unit, "week") == 0 ? 168
												 : 720);
}

/* check_tiers reads tiers strictly and returns the amount of the first, whose days it gives as well. */
static Datum
check_tiers(Jsonb *json, bool by_hour, const char *currency, int32 *days)
{
	RequestList list = request_list("tiers", json, MOST_TIERS);
	Datum		first = (Datum) 0;
	int32		before = 0;
	int			i;

	for (i = 0; i < list.count; i++)
	{
		RequestObject tier = request_object(&list, i, tier_fields);
		char		 *unit = request_string(&tier, "unit", true, 10);
		int32		  length;
		int32		  hours;
		Datum		  amount = step_amount(&tier, currency);

		request_integer(&tier, "length", true, &length);
		request_word(unit, request_path(&tier, "unit"), tier_units);
		if (length < 1 || length > 3660)
			rental_raise(invalid_value, errmsg("length must be between 1 and 3660"),
						 errfield(request_path(&tier, "length")));
		if (!by_hour && strcmp(unit, "hour") == 0)
			rental_raise(invalid_value, errmsg("a product charged by the day has no tier of hours"),
						 errfield(request_path(&tier, "unit")));
		hours = tier_hours(length, unit);
		if (hours <= before)
			rental_raise(invalid_value, errmsg("tiers must be in ascending order of length"),
						 errfield(request_path(&tier, "length")));
		before = hours;
		if (i == 0)
		{
			first = amount;
			*days = Max(hours / 24, 1);
		}
	}
	return first;
}

static void
check_factors(NullableDatum factors)
{
	Datum *items;
	bool  *nulls;
	int	   n;

	deconstruct_array(DatumGetArrayTypeP(factors.value), NUMERICOID, -1, false, TYPALIGN_INT, &items, &nulls, &n);
	if (n > MOST_FACTORS)
		rental_raise(invalid_value, errmsg("factors must have at most %d entries", MOST_FACTORS), errfield("factors"));
	while (n-- > 0)
	{
		if (nulls[n])
			rental_raise(invalid_value, errmsg("factors must not be null"), errfield("factors"));
		request_percent(VALUE(items[n]), "factors", 0, 100);
	}
}

/* rate_set_day sets the plain price of each day begun. Called between plan_open and plan_close. */
void
rate_set_day(const pg_uuid_t *vendor_id, const pg_uuid_t *product_id, Datum amount)
{
	Datum zero = amount_zero();
	Datum none = PointerGetDatum(construct_empty_array(NUMERICOID));
	Datum span =
		DirectFunctionCall3(interval_in, CStringGetDatum("0"), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));

	plan_run(&rate_upsert, VALUE(UUIDPGetDatum(vendor_id)), VALUE(UUIDPGetDatum(product_id)), VALUE(Int32GetDatum(1)),
			 VALUE(amount), VALUE(amount), VALUE(CStringGetTextDatum("optimal")), NULLVALUE,
			 VALUE(CStringGetTextDatum("day")), VALUE(CStringGetTextDatum("clock")), VALUE(span),
			 VALUE(BoolGetDatum(false)), VALUE(none), VALUE(zero), VALUE(zero), NULLVALUE, NULLVALUE, VALUE(zero),
			 VALUE(BoolGetDatum(false)));
}

/*
 * product_rate_set(product_id uuid, amount numeric, days integer, extra_day numeric, strategy text, tiers jsonb, unit text, counting text,
 * leeway interval, weekend_as_day boolean, factors numeric[], extra_percent numeric, minimum numeric, shortest interval, longest interval,
 * deposit numeric, waiver_exempt boolean)
 */
PG_FUNCTION_INFO_V1(product_rate_set);
Datum
product_rate_set(PG_FUNCTION_ARGS)
{
	static const char *const strategies[] = {"optimal", "tiered", "multiplier", "fixed", NULL};
	static const char *const units[] = {"day", "hour", NULL};
	static const char *const countings[] = {"clock", "calendar", NULL};
	static const struct
	{
		int			arg;
		const char *field;
	} given[] = {{0, "product_id"}, {2, "days"},		   {6, "unit"},			 {7, "counting"},
				 {8, "leeway"},		{9, "weekend_as_day"}, {10, "factors"},		 {11, "extra_percent"},
				 {12, "minimum"},	{15, "deposit"},	   {16, "waiver_exempt"}};
	Product	  product;
	char	 *strategy = request_text(FCARG(4), "strategy", 20);
	char	 *unit;
	char	 *counting;
	Interval *leeway;
	int32	  days;
	Datum	  amount;
	Datum	  extra;
	Datum	  result;
	int		  i;

	for (i = 0; i < lengthof(given); i++)
		request_required(FCARG(given[i].arg), given[i].field);
	days = PG_GETARG_INT32(2);
	unit = request_required_text(FCARG(6), "unit", 20);
	counting = request_required_text(FCARG(7), "counting", 20);
	request_word(unit, "unit", units);
	request_word(counting, "counting", countings);
	if (strategy != NULL)
		request_word(strategy, "strategy", strategies);
	if (days < 1 || days > 3660)
		rental_raise(invalid_value, errmsg("days must be between 1 and 3660"), errfield("days"));
	leeway = DatumGetIntervalP(PG_GETARG_DATUM(8));
	if (leeway->month != 0 || leeway->day != 0 || leeway->time < 0 || leeway->time >= USECS_PER_DAY)
		rental_raise(invalid_value, errmsg("leeway must be less than a day"), errfield("leeway"));
	check_factors(FCARG(10));
	request_percent(FCARG(11), "extra_percent", 0, 1000);
	check_span(FCARG(13), "shortest");
	check_span(FCARG(14), "longest");
	plan_open();
	product_load_own(PG_GETARG_UUID_P(0), &product);
	if (PG_ARGISNULL(5) == PG_ARGISNULL(1))
		rental_raise(missing_field, errmsg("give either amount or tiers"),
					 errfield(PG_ARGISNULL(1) ? "amount" : "tiers"));
	if (PG_ARGISNULL(5))
	{
		amount = PG_GETARG_DATUM(1);
		amount_check(amount, product.currency, "amount");
	}
	else
		amount = check_tiers(PG_GETARG_JSONB_P(5), strcmp(unit, "hour") == 0, product.currency, &days);
	amount_check(PG_GETARG_DATUM(12), product.currency, "minimum");
	amount_check(PG_GETARG_DATUM(15), product.currency, "deposit");
	if (PG_ARGISNULL(3))
		extra = amount_round(amount_divide(amount, days), product.currency);
	else
	{
		extra = PG_GETARG_DATUM(3);
		amount_check(extra, product.currency, "extra_day");
	}
	/* the short form: so much for the first days, so much for each other */
	if (strategy == NULL)
		strategy = PG_ARGISNULL(5) && (days > 1 || !amount_equal(amount, extra)) ? "tiered" : "optimal";
	plan_run(&rate_upsert, VALUE(UUIDPGetDatum(&product.vendor_id)), FCARG(0), VALUE(Int32GetDatum(days)),
			 VALUE(amount_round(amount, product.currency)), VALUE(extra), VALUE(CStringGetTextDatum(strategy)),
			 FCARG(5), VALUE(CStringGetTextDatum(unit)), VALUE(CStringGetTextDatum(counting)), FCARG(8), FCARG(9),
			 FCARG(10), FCARG(11), FCARG(12), FCARG(13), FCARG(14), FCARG(15), FCARG(16));
	result = product_answer(&product.id).value;
	plan_close();
	return result;
}

/* product_rate_get(product_id uuid) */
PG_FUNCTION_INFO_V1(product_rate_get);
Datum
product_rate_get(PG_FUNCTION_ARGS)
{
	Product product;
	Datum	row;

	request_required(FCARG(0), "product_id");
	plan_open();
	product_load(PG_GETARG_UUID_P(0), &product, "product_id");
	if (plan_read(&rate_row, FCARG(0)) == 0)
		rental_raise(not_found, errmsg("the product has no price yet"));
	row = plan_keep(0, 1).value;
	plan_close();
	return row;
}

/* Rules */

PG_FUNCTION_INFO_V1(price_rule_list);
Datum
price_rule_list(PG_FUNCTION_ARGS)
{
	return list_own(fcinfo, &rule_pages);
}

static void
check_weekdays(NullableDatum days)
{
	Datum *items;
	bool  *nulls;
	int	   n;
	int	   i;

	if (days.isnull)
		return;
	deconstruct_array(DatumGetArrayTypeP(days.value), INT4OID, sizeof(int32), true, TYPALIGN_INT, &items, &nulls, &n);
	for (i = 0; i < n; i++)
		if (nulls[i] || DatumGetInt32(items[i]) < 1 || DatumGetInt32(items[i]) > 7)
			n = 0;
	if (n == 0)
		rental_raise(invalid_value, errmsg("weekdays must be numbers from 1, Monday, to 7, Sunday"),
					 errfield("weekdays"));
}

/*
 * price_rule_create(name text, kind text, percent numeric, amount numeric, product_id uuid, category_id uuid, from_date date, to_date date,
 * weekdays integer[], min_quantity integer, max_quantity integer, priority integer, vendor_id uuid)
 */
PG_FUNCTION_INFO_V1(price_rule_create);
Datum
price_rule_create(PG_FUNCTION_ARGS)
{
	static const char *const kinds[] = {"season", "quantity", NULL};
	char					*name = request_required_text(FCARG(0), "name", 200);
	char					*kind = request_required_text(FCARG(1), "kind", 20);
	const pg_uuid_t			*vendor_id = actor_require_own_vendor(FCARG(12));
	NullableDatum			 id = VALUE(uuid7_datum());
	bool					 is_season = strcmp(kind, "season") == 0;

	request_word(kind, "kind", kinds);
	request_required(FCARG(11), "priority");
	if (PG_ARGISNULL(2) == PG_ARGISNULL(3))
		rental_raise(missing_field, errmsg("give either percent or amount"), errfield("percent"));
	request_percent(FCARG(2), "percent", -100, 1000);
	if (is_season)
	{
		if (!PG_ARGISNULL(9) || !PG_ARGISNULL(10))
			rental_raise(invalid_value, errmsg("a season has no quantity"), errfield("min_quantity"));
		check_weekdays(FCARG(8));
		if (!PG_ARGISNULL(6) && !PG_ARGISNULL(7) && PG_GETARG_DATEADT(7) < PG_GETARG_DATEADT(6))
			rental_raise(invalid_value, errmsg("the season ends before it begins"), errfield("to_date"));
	}
	else
	{
		if (!PG_ARGISNULL(3) || !PG_ARGISNULL(6) || !PG_ARGISNULL(7) || !PG_ARGISNULL(8))
			rental_raise(invalid_value, errmsg("a step of quantity has a percentage, and no dates"), errfield("kind"));
		request_required(FCARG(9), "min_quantity");
		if (PG_GETARG_INT32(9) < 1)
			rental_raise(invalid_value, errmsg("min_quantity must be at least 1"), errfield("min_quantity"));
		if (!PG_ARGISNULL(10) && PG_GETARG_INT32(10) < PG_GETARG_INT32(9))
			rental_raise(invalid_value, errmsg("max_quantity must not be less than min_quantity"),
						 errfield("max_quantity"));
	}
	plan_open();
	if (!PG_ARGISNULL(3))
		amount_check(PG_GETARG_DATUM(3), currency_of(vendor_id), "amount");
	check_own_target(vendor_id, FCARG(4), FCARG(5));
	plan_run(&rule_insert, id, VALUE(UUIDPGetDatum(vendor_id)), VALUE(CStringGetTextDatum(name)),
			 VALUE(CStringGetTextDatum(kind)), FCARG(4), FCARG(5), FCARG(11), FCARG(6), FCARG(7), FCARG(8), FCARG(9),
			 FCARG(10), FCARG(2), FCARG(3), VALUE(TimestampTzGetDatum(rental_now())));
	return answer(&rule_row, id);
}

PG_FUNCTION_INFO_V1(price_rule_delete);
Datum
price_rule_delete(PG_FUNCTION_ARGS)
{
	return remove_own(fcinfo, &rule_row, &rule_remove, "rule", "rule_id");
}

/* Customer groups */

PG_FUNCTION_INFO_V1(customer_group_list);
Datum
customer_group_list(PG_FUNCTION_ARGS)
{
	return list_own(fcinfo, &group_pages);
}

/* customer_group_create(name text, percent numeric, vendor_id uuid) */
PG_FUNCTION_INFO_V1(customer_group_create);
Datum
customer_group_create(PG_FUNCTION_ARGS)
{
	char			*name = request_required_text(FCARG(0), "name", 200);
	const pg_uuid_t *vendor_id = actor_require_own_vendor(FCARG(2));
	NullableDatum	 id = VALUE(uuid7_datum());

	request_required(FCARG(1), "percent");
	request_percent(FCARG(1), "percent", 0, 100);
	plan_open();
	plan_run(&group_insert, id, VALUE(UUIDPGetDatum(vendor_id)), VALUE(CStringGetTextDatum(name)), FCARG(1));
	return answer(&group_row, id);
}

PG_FUNCTION_INFO_V1(customer_group_delete);
Datum
customer_group_delete(PG_FUNCTION_ARGS)
{
	return remove_own(fcinfo, &group_row, &group_remove, "group", "group_id");
}

/* customer_group_join(group_id uuid, user_id uuid): only who has ordered from the vendor is known to it */
PG_FUNCTION_INFO_V1(customer_group_join);
Datum
customer_group_join(PG_FUNCTION_ARGS)
{
	request_required(FCARG(1), "user_id");
	plan_open();
	own_row(&group_row, FCARG(0), "group", "group_id");
	if (plan_run(&group_join, VALUE(plan_datum(0, 2)), FCARG(0), FCARG(1)) == 0)
		rental_raise(not_found, errmsg("no such customer"), errfield("user_id"));
	plan_close();
	PG_RETURN_VOID();
}

/* customer_group_leave(group_id uuid, user_id uuid) */
PG_FUNCTION_INFO_V1(customer_group_leave);
Datum
customer_group_leave(PG_FUNCTION_ARGS)
{
	request_required(FCARG(1), "user_id");
	plan_open();
	own_row(&group_row, FCARG(0), "group", "group_id");
	if (plan_run(&group_leave, FCARG(0), FCARG(1)) == 0)
		rental_raise(not_found, errmsg("no such customer in the group"), errfield("user_id"));
	plan_close();
	PG_RETURN_VOID();
}

/* Coupons */

PG_FUNCTION_INFO_V1(coupon_list);
Datum
coupon_list(PG_FUNCTION_ARGS)
{
	return list_own(fcinfo, &coupon_pages);
}

/*
 * coupon_create(code text, percent numeric, amount numeric, starts_at timestamptz, ends_at timestamptz, minimum numeric, most_uses integer,
 * most_uses_each integer, product_ids uuid[], category_ids uuid[], vendor_id uuid)
 */
PG_FUNCTION_INFO_V1(coupon_create);
Datum
coupon_create(PG_FUNCTION_ARGS)
{
	char			*code = request_required_text(FCARG(0), "code", 40);
	const pg_uuid_t *vendor_id = actor_require_own_vendor(FCARG(10));
	NullableDatum	 id = VALUE(uuid7_datum());
	const char		*currency;
	int				 i;

	if (strpbrk(code, " \t\r\n") != NULL)
		rental_raise(invalid_value, errmsg("a code has no blanks"), errfield("code"));
	code = price_coupon_code(code);
	request_required(FCARG(5), "minimum");
	if (PG_ARGISNULL(1) == PG_ARGISNULL(2))
		rental_raise(missing_field, errmsg("give either percent or amount"), errfield("percent"));
	request_percent(FCARG(1), "percent", 0, 100);
	for (i = 6; i <= 7; i++)
		if (!PG_ARGISNULL(i) && PG_GETARG_INT32(i) < 1)
			rental_raise(invalid_value, errmsg("a coupon is used at least once"),
						 errfield(i == 6 ? "most_uses" : "most_uses_each"));
	for (i = 8; i <= 9; i++)
		if (!PG_ARGISNULL(i) &&
			ArrayGetNItems(ARR_NDIM(PG_GETARG_ARRAYTYPE_P(i)), ARR_DIMS(PG_GETARG_ARRAYTYPE_P(i))) == 0)
			rental_raise(invalid_value, errmsg("an empty list is for nothing"),
						 errfield(i == 8 ? "product_ids" : "category_ids"));
	plan_open();
	currency = currency_of(vendor_id);
	amount_check(PG_GETARG_DATUM(5), currency, "minimum");
	if (!PG_ARGISNULL(2))
		amount_check(PG_GETARG_DATUM(2), currency, "amount");
	if ((!PG_ARGISNULL(1) && amount_equal(PG_GETARG_DATUM(1), amount_zero())) ||
		(!PG_ARGISNULL(2) && amount_equal(PG_GETARG_DATUM(2), amount_zero())))
		rental_raise(invalid_value, errmsg("a coupon takes something off"),
					 errfield(PG_ARGISNULL(1) ? "amount" : "percent"));
	if (plan_run(&coupon_insert, id, VALUE(UUIDPGetDatum(vendor_id)), VALUE(CStringGetTextDatum(code)), FCARG(1),
				 FCARG(2), FCARG(3), FCARG(4), FCARG(5), FCARG(6), FCARG(7), FCARG(8), FCARG(9),
				 VALUE(TimestampTzGetDatum(rental_now()))) == 0)
		rental_raise(already_exists, errmsg("there is a coupon of this code already"), errfield("code"));
	return answer(&coupon_row, id);
}

/* coupon_update(coupon_id uuid, is_active boolean, ends_at timestamptz, most_uses integer) */
PG_FUNCTION_INFO_V1(coupon_update);
Datum
coupon_update(PG_FUNCTION_ARGS)
{
	if (!PG_ARGISNULL(3) && PG_GETARG_INT32(3) < 1)
		rental_raise(invalid_value, errmsg("a coupon is used at least once"), errfield("most_uses"));
	plan_open();
	own_row(&coupon_row, FCARG(0), "coupon", "coupon_id");
	if (plan_run(&coupon_set, FCARG(0), FCARG(1), FCARG(2), FCARG(3)) == 0)
		rental_raise(conflict, errmsg("it was used more often than that"), errfield("most_uses"));
	return answer(&coupon_row, FCARG(0));
}

/* Taxes */

PG_FUNCTION_INFO_V1(tax_rate_list);
Datum
tax_rate_list(PG_FUNCTION_ARGS)
{
	return list_own(fcinfo, &tax_pages);
}

/* class_arg reads the name of a tax class. */
static char *
class_arg(NullableDatum class)
{
	char *name = request_required_text(class, "class", 40);

	if (name[0] < 'a' || name[0] > 'z' || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(name))
		rental_raise(invalid_value, errmsg("class must be a lower-case word"), errfield("class"));
	return name;
}

/*
 * tax_rate_create(name text, percent numeric, is_inclusive boolean, is_default boolean, vendor_id uuid, class text,
 * country text, region text, from_date date, to_date date)
 */
PG_FUNCTION_INFO_V1(tax_rate_create);
Datum
tax_rate_create(PG_FUNCTION_ARGS)
{
	char			*name = request_required_text(FCARG(0), "name", 100);
	const pg_uuid_t *vendor_id = actor_require_own_vendor(FCARG(4));
	NullableDatum	 id = VALUE(uuid7_datum());
	char *class = class_arg(FCARG(5));
	char *region = request_text(FCARG(7), "region", 100);

	request_country(FCARG(6), "country");
	if (region != NULL && (*region == '\0' || PG_ARGISNULL(6)))
		rental_raise(invalid_value, errmsg("a region has a name and a country"), errfield("region"));
	if (!PG_ARGISNULL(8) && !PG_ARGISNULL(9) && PG_GETARG_DATEADT(8) > PG_GETARG_DATEADT(9))
		rental_raise(invalid_value, errmsg("to_date lies before from_date"), errfield("to_date"));
	request_required(FCARG(1), "percent");
	request_required(FCARG(2), "is_inclusive");
	request_required(FCARG(3), "is_default");
	request_percent(FCARG(1), "percent", 0, 100);
	plan_open();
	plan_run(&tax_insert, id, VALUE(UUIDPGetDatum(vendor_id)), VALUE(CStringGetTextDatum(name)), FCARG(1), FCARG(2),
			 FCARG(3), VALUE(CStringGetTextDatum(class)), FCARG(6), FCARG(7), FCARG(8), FCARG(9));
	return answer(&tax_row, id);
}

PG_FUNCTION_INFO_V1(tax_rate_delete);
Datum
tax_rate_delete(PG_FUNCTION_ARGS)
{
	return remove_own(fcinfo, &tax_row, &tax_remove, "tax", "tax_rate_id");
}

/* product_taxes_replace(product_id uuid, tax_rate_ids uuid[], class text): none means the vendor's default ones */
PG_FUNCTION_INFO_V1(product_taxes_replace);
Datum
product_taxes_replace(PG_FUNCTION_ARGS)
{
	Product	   product;
	ArrayType *ids;
	char *class = class_arg(FCARG(2));

	request_required(FCARG(0), "product_id");
	request_required(FCARG(1), "tax_rate_ids");
	ids = PG_GETARG_ARRAYTYPE_P(1);
	plan_open();
	product_load_own(PG_GETARG_UUID_P(0), &product);
	plan_run(&product_taxes_clear, FCARG(0), VALUE(UUIDPGetDatum(&product.vendor_id)));
	if (plan_run(&product_taxes_set, FCARG(0), VALUE(UUIDPGetDatum(&product.vendor_id)), FCARG(1)) !=
		ArrayGetNItems(ARR_NDIM(ids), ARR_DIMS(ids)))
		rental_raise(not_found, errmsg("no such tax"), errfield("tax_rate_ids"));
	plan_run(&product_class_clear, FCARG(0), VALUE(UUIDPGetDatum(&product.vendor_id)));
	plan_run(&product_class_set, FCARG(0), VALUE(UUIDPGetDatum(&product.vendor_id)), VALUE(CStringGetTextDatum(class)));
	plan_close();
	PG_RETURN_VOID();
}

/* Settings */

/* price_settings_get(vendor_id uuid) */
PG_FUNCTION_INFO_V1(price_settings_get);
Datum
price_settings_get(PG_FUNCTION_ARGS)
{
	const pg_uuid_t *vendor_id = actor_require_own_vendor(FCARG(0));
	Datum			 row;

	plan_open();
	if (plan_read(&settings_row, VALUE(UUIDPGetDatum(vendor_id))) == 0)
		rental_raise(not_found, errmsg("no such vendor"), errfield("vendor_id"));
	row = plan_keep(0, 1).value;
	plan_close();
	return row;
}

static const char *const step_fields[] = {"days", "amount", NULL};

/*
 * price_settings_set(deposit text, deposit_percent numeric, waiver_percent numeric, late_free interval, late_deducts_free boolean,
 * late_per_day numeric, late_per_hour numeric, late_steps jsonb, late_cap numeric, vendor_id uuid)
 */
PG_FUNCTION_INFO_V1(price_settings_set);
Datum
price_settings_set(PG_FUNCTION_ARGS)
{
	static const char *const deposits[] = {"none", "fixed", "percent_items", "percent_total", NULL};
	static const char *const fields[] = {"deposit",			  "deposit_percent", "waiver_percent", "late_free",
										 "late_deducts_free", "late_per_day",	 "late_per_hour"};
	const pg_uuid_t			*vendor_id = actor_require_own_vendor(FCARG(9));
	char					*deposit = request_required_text(FCARG(0), "deposit", 20);
	const char				*currency;
	int						 i;

	for (i = 0; i < lengthof(fields); i++)
		request_required(FCARG(i), fields[i]);
	request_word(deposit, "deposit", deposits);
	request_percent(FCARG(1), "deposit_percent", 0, 100);
	request_percent(FCARG(2), "waiver_percent", 0, 100);
	check_span(FCARG(3), "late_free");
	plan_open();
	currency = currency_of(vendor_id);
	amount_check(PG_GETARG_DATUM(5), currency, "late_per_day");
	amount_check(PG_GETARG_DATUM(6), currency, "late_per_hour");
	if (!PG_ARGISNULL(8))
		amount_check(PG_GETARG_DATUM(8), currency, "late_cap");
	if (!PG_ARGISNULL(7))
	{
		RequestList list = request_list("late_steps", PG_GETARG_JSONB_P(7), MOST_TIERS);

		for (i = 0; i < list.count; i++)
		{
			RequestObject step = request_object(&list, i, step_fields);
			int32		  days;

			request_integer(&step, "days", true, &days);
			step_amount(&step, currency);
			if (days < 1 || days > 3660)
				rental_raise(invalid_value, errmsg("days must be between 1 and 3660"),
							 errfield(request_path(&step, "days")));
		}
	}
	plan_run(&settings_upsert, VALUE(UUIDPGetDatum(vendor_id)), VALUE(CStringGetTextDatum(deposit)), FCARG(1), FCARG(2),
			 FCARG(3), FCARG(4), FCARG(5), FCARG(6), FCARG(7), FCARG(8));
	return answer(&settings_row, VALUE(UUIDPGetDatum(vendor_id)));
}
