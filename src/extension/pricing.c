/*
 * pricing.c
 *	  What a rental costs, and why.
 *
 * The order of steps: the rate's charge for one piece, seasons, the least
 * charge, steps of quantity; times the quantity; then for each line the
 * discount of the customer's group, its part of the coupon, and its taxes.
 * Every figure is rounded once, half-up, so that lines sum to the total.
 * charge.c does the arithmetic of the first steps; this file reads the tables.
 */
#include "pricing.h"

#include "actor.h"
#include "amount.h"
#include "catalog/pg_collation.h"
#include "errors.h"
#include "funcapi.h"
#include "lookup.h"
#include "plan.h"
#include "request.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/formatting.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/typcache.h"

LOOKUP(group_of_member, "customer_group_members", NULL, "group_id");
LOOKUP(group_by_id, "customer_groups", NULL, "percent");
LOOKUP(rules_of, "price_rules", "price_rules_vendor_id_idx", "kind", "name", "from_date", "to_date", "weekdays",
	   "percent", "amount", "priority", "id", "product_id", "category_id", "min_quantity", "max_quantity");
LOOKUP(any_tax, "tax_rates", "tax_rates_vendor_id_idx", "id");
PLAN(taxes_of, "SELECT name, percent, is_inclusive, is_reverse, place FROM rental.taxes_of($1, $2, $3, $4)", UUIDOID,
	 UUIDOID, UUIDOID, TIMESTAMPTZOID);
PLAN(
	coupon_of,
	"SELECT id, percent, amount, minimum, product_ids, category_ids, is_active AND COALESCE(starts_at <= $3, true) AND COALESCE(ends_at > $3, true), "
	"COALESCE(uses < most_uses, true), most_uses_each, "
	"(SELECT count(*) FROM rental.coupon_uses u WHERE u.coupon_id = c.id AND u.customer_id = $4 AND u.vendor_id = c.vendor_id) "
	"FROM rental.coupons c WHERE vendor_id = $1 AND code = $2",
	UUIDOID, TEXTOID, TIMESTAMPTZOID, UUIDOID);
PLAN(coupon_used,
	 "SELECT c.code, c.amount IS NOT NULL FROM rental.coupon_uses u JOIN rental.coupons c ON c.id = u.coupon_id AND "
	 "c.vendor_id = u.vendor_id WHERE u.order_id = $1",
	 UUIDOID);
PLAN(coupon_release,
	 "WITH u AS (DELETE FROM rental.coupon_uses WHERE order_id = $1 RETURNING coupon_id, vendor_id) "
	 "UPDATE rental.coupons c SET uses = uses - 1 FROM u WHERE c.id = u.coupon_id AND c.vendor_id = u.vendor_id",
	 UUIDOID);
PLAN(coupon_lock, "SELECT FROM rental.coupons WHERE vendor_id = $1 AND code = $2 FOR NO KEY UPDATE", UUIDOID, TEXTOID);
PLAN(coupon_use, "UPDATE rental.coupons SET uses = uses + 1 WHERE id = $1 AND vendor_id = $2", UUIDOID, UUIDOID);
PLAN(
	coupon_use_insert,
	"INSERT INTO rental.coupon_uses (vendor_id, coupon_id, order_id, customer_id, created_at) VALUES ($1, $2, $3, $4, $5)",
	UUIDOID, UUIDOID, UUIDOID, UUIDOID, TIMESTAMPTZOID);
PLAN(
	late_policy,
	"SELECT late_free, late_deducts_free, late_per_day, late_per_hour, late_steps, late_cap FROM rental.price_settings WHERE vendor_id = $1",
	UUIDOID);

/* What catalog.c reads of a product for its price, in that order */
enum
{
	COL_STRATEGY,
	COL_BY_HOUR,
	COL_BY_CALENDAR,
	COL_LEEWAY,
	COL_WEEKEND,
	COL_TIERS,
	COL_DAYS,
	COL_AMOUNT,
	COL_EXTRA,
	COL_FACTORS,
	COL_EXTRA_PERCENT,
	COL_MINIMUM,
	COL_SHORTEST,
	COL_LONGEST,
	COL_DEPOSIT,
	COL_EXEMPT,
	COL_CATEGORY,
	COL_VENDOR_DEPOSIT,
	COL_DEPOSIT_PERCENT,
	COL_WAIVER_PERCENT
};

static NullableDatum
priced(const Product *product, int column)
{
	return product->pricing[column];
}

static int64
millionths(Datum percent)
{
	/* 100 % are a million */
	return DatumGetInt64(DirectFunctionCall1(
		numeric_int8,
		DirectFunctionCall2(numeric_mul, percent, DirectFunctionCall1(int4_numeric, Int32GetDatum(10000)))));
}

static int64
span_of(Datum interval)
{
	Interval *span = DatumGetIntervalP(interval);

	return span->time + ((int64) span->month * DAYS_PER_MONTH + span->day) * USECS_PER_DAY;
}

static Datum
attribute(Datum row, int n)
{
	bool  isnull;
	Datum value = GetAttributeByNum(DatumGetHeapTupleHeader(row), n, &isnull);

	if (isnull)
		rental_raise(invalid_value, errmsg("the product's price has a gap"));
	return value;
}

static int
elements(Datum array, Oid type, int len, char align, Datum **items)
{
	bool *nulls;
	int	  n;

	deconstruct_array(DatumGetArrayTypeP(array), type, len, false, align, items, &nulls, &n);
	return n;
}

/* rows_of are the elements of an array of rows. */
static int
rows_of(Datum array, Datum **items)
{
	return elements(array, ARR_ELEMTYPE(DatumGetArrayTypeP(array)), -1, TYPALIGN_DOUBLE, items);
}

static int32
unit_length(const char *unit, bool by_hour)
{
	int32 days = strcmp(unit, "week") == 0 ? 7 : strcmp(unit, "month") == 0 ? 30 : 1;

	if (strcmp(unit, "hour") == 0)
		return 1;
	return by_hour ? days * HOURS_PER_DAY : days;
}

/* rate_read makes a rate of what was read with the product. */
static void
rate_read(PriceItem *item, Rate *rate, Minor *minimum)
{
	static const char *const strategies[] = {"optimal", "tiered", "multiplier", "fixed"};
	const Product			*product = item->product;
	const char				*currency = product->currency;
	char					*strategy;
	Datum					*items;
	int						 i;

	if (priced(product, COL_STRATEGY).isnull)
		rental_raise(invalid_value, errmsg("the product has no price yet"), errfield(item->field));
	memset(rate, 0, sizeof(*rate));
	strategy = TextDatumGetCString(priced(product, COL_STRATEGY).value);
	for (i = 0; strcmp(strategies[i], strategy) != 0; i++)
		;
	rate->strategy = i;
	rate->by_hour = DatumGetBool(priced(product, COL_BY_HOUR).value);
	rate->by_calendar = DatumGetBool(priced(product, COL_BY_CALENDAR).value);
	item->by_hour = rate->by_hour;
	rate->leeway = span_of(priced(product, COL_LEEWAY).value);
	rate->weekend_as_day = DatumGetBool(priced(product, COL_WEEKEND).value);
	rate->ntiers = rows_of(priced(product, COL_TIERS).value, &items);
	if (rate->ntiers == 0)
	{
		int32 days = DatumGetInt32(priced(product, COL_DAYS).value);

		rate->ntiers = 1;
		rate->tiers = palloc(sizeof(RateTier));
		rate->tiers[0] = (RateTier){rate->by_hour ? days * HOURS_PER_DAY : days,
									amount_minor(priced(product, COL_AMOUNT).value, currency),
									psprintf("%d day%s", days, days == 1 ? "" : "s")};
	}
	else
	{
		rate->tiers = palloc(rate->ntiers * sizeof(RateTier));
		for (i = 0; i < rate->ntiers; i++)
		{
			int32 length = DatumGetInt32(attribute(items[i], 1));
			char *unit = TextDatumGetCString(attribute(items[i], 2));

			rate->tiers[i] =
				(RateTier){length * unit_length(unit, rate->by_hour), amount_minor(attribute(items[i], 3), currency),
						   psprintf("%d %s%s", length, unit, length == 1 ? "" : "s")};
		}
	}
	rate->extra = amount_minor(priced(product, COL_EXTRA).value, currency);
	rate->nfactors = elements(priced(product, COL_FACTORS).value, NUMERICOID, -1, TYPALIGN_INT, &items);
	rate->factors = palloc(Max(rate->nfactors, 1) * sizeof(int64));
	for (i = 0; i < rate->nfactors; i++)
		rate->factors[i] = 100 * millionths(items[i]);
	rate->extra_percent = millionths(priced(product, COL_EXTRA_PERCENT).value);
	*minimum = amount_minor(priced(product, COL_MINIMUM).value, currency);

	if (!priced(product, COL_SHORTEST).isnull &&
		item->period.end - item->period.start < span_of(priced(product, COL_SHORTEST).value))
		rental_raise(rule_violated,
					 errmsg("the product is rented out for at least %s",
							DatumGetCString(DirectFunctionCall1(interval_out, priced(product, COL_SHORTEST).value))),
					 errfield(item->field));
	if (!priced(product, COL_LONGEST).isnull &&
		item->period.end - item->period.start > span_of(priced(product, COL_LONGEST).value))
		rental_raise(rule_violated,
					 errmsg("the product is rented out for at most %s",
							DatumGetCString(DirectFunctionCall1(interval_out, priced(product, COL_LONGEST).value))),
					 errfield(item->field));
}

/* A step of quantity that applies */
typedef struct QuantityStep
{
	const char *name;
	int64		percent;
} QuantityStep;

/* A rule's place among others: the highest priority first, of equal ones the newest */
typedef struct RuleRank
{
	int32				 priority;
	pg_uuid_t			 id;
	const NullableDatum *rule;
} RuleRank;

static int
compare_ranks(const void *a, const void *b)
{
	const RuleRank *x = a;
	const RuleRank *y = b;

	if (x->priority != y->priority)
		return x->priority > y->priority ? -1 : 1;
	return -memcmp(&x->id, &y->id, UUID_LEN);
}

static int
weekdays_mask(NullableDatum days)
{
	Datum *items;
	bool  *nulls;
	int	   n;
	int	   mask = 0;

	if (days.isnull)
		return 0;
	deconstruct_array(DatumGetArrayTypeP(days.value), INT4OID, sizeof(int32), true, TYPALIGN_INT, &items, &nulls, &n);
	while (n-- > 0)
		mask |= 1 << DatumGetInt32(items[n]);
	return mask;
}

static int32
julian(NullableDatum date, int32 otherwise)
{
	return date.isnull ? otherwise : DatumGetDateADT(date.value) + POSTGRES_EPOCH_JDATE;
}

/* The columns of rules_of */
enum
{
	RULE_KIND,
	RULE_NAME,
	RULE_FROM,
	RULE_TO,
	RULE_WEEKDAYS,
	RULE_PERCENT,
	RULE_AMOUNT,
	RULE_PRIORITY,
	RULE_ID,
	RULE_PRODUCT,
	RULE_CATEGORY,
	RULE_MIN_QUANTITY,
	RULE_MAX_QUANTITY,
	RULE_COLUMNS
};

static bool
rule_is_quantity(const NullableDatum *rule)
{
	return *VARDATA_ANY(DatumGetTextPP(rule[RULE_KIND].value)) == 'q';
}

/* rule_applies tells whether a rule may change the price of an item that touches some dates. */
static bool
rule_applies(const NullableDatum *rule, const PriceItem *item, int32 first, int32 last)
{
	if (!rule[RULE_PRODUCT].isnull && !uuid_equal(DatumGetUUIDP(rule[RULE_PRODUCT].value), &item->product->id))
		return false;
	if (!rule[RULE_CATEGORY].isnull &&
		!(item->has_category && uuid_equal(DatumGetUUIDP(rule[RULE_CATEGORY].value), &item->category_id)))
		return false;
	if (rule_is_quantity(rule))
		return DatumGetInt32(rule[RULE_MIN_QUANTITY].value) <= item->quantity &&
			   (rule[RULE_MAX_QUANTITY].isnull || DatumGetInt32(rule[RULE_MAX_QUANTITY].value) >= item->quantity);
	return julian(rule[RULE_FROM], PG_INT32_MIN) <= last && julian(rule[RULE_TO], PG_INT32_MAX) >= first;
}

/* rules_read finds the seasons and the step of quantity that may apply to an item. */
static int
rules_read(const PriceItem *item, pg_tz *zone, Season **seasons, QuantityStep *step)
{
	NullableDatum *rules = item->vendor->rules;
	int			   n = item->vendor->nrules;
	ChargedUnits   touched;
	RuleRank	  *ranks;
	int			   nseasons = 0;
	int			   nranks = 0;
	int			   i;

	if (n == 0)
		return 0;
	touched = charge_units(&(Rate){.by_calendar = true}, &item->period, zone);
	ranks = palloc(n * sizeof(RuleRank));
	for (i = 0; i < n; i++)
	{
		const NullableDatum *rule = &rules[i * RULE_COLUMNS];

		if (rule_applies(rule, item, touched.dates[0], touched.dates[touched.count - 1]))
			ranks[nranks++] =
				(RuleRank){DatumGetInt32(rule[RULE_PRIORITY].value), *DatumGetUUIDP(rule[RULE_ID].value), rule};
	}
	qsort(ranks, nranks, sizeof(RuleRank), compare_ranks);
	*seasons = palloc(Max(nranks, 1) * sizeof(Season));
	for (i = 0; i < nranks; i++)
	{
		const NullableDatum *rule = ranks[i].rule;
		NullableDatum		 percent = rule[RULE_PERCENT];
		char				*name = TextDatumGetCString(rule[RULE_NAME].value);

		if (rule_is_quantity(rule))
		{
			if (step->name == NULL)
				*step = (QuantityStep){name, millionths(percent.value)};
			continue;
		}
		(*seasons)[nseasons++] = (Season){
			.name = name,
			.from_date = julian(rule[RULE_FROM], PG_INT32_MIN),
			.to_date = julian(rule[RULE_TO], PG_INT32_MAX),
			.weekdays = weekdays_mask(rule[RULE_WEEKDAYS]),
			.is_amount = percent.isnull,
			.percent = percent.isnull ? 0 : millionths(percent.value),
			.amount = percent.isnull ? amount_minor(rule[RULE_AMOUNT].value, item->product->currency) : 0,
		};
	}
	return nseasons;
}

/* item_charge finds what one piece of an item costs, and why. */
static void
item_charge(PriceItem *item)
{
	pg_tz		*zone = period_zone(item->product->time_zone);
	QuantityStep step = {NULL, 0};
	Season		*seasons = NULL;
	int			 nseasons = 0;
	Rate		 rate;
	Minor		 minimum;
	Minor		 stepped;

	rate_read(item, &rate, &minimum);
	nseasons = rules_read(item, zone, &seasons, &step);
	if (item->product->is_sale)
	{
		/* what is sold is paid for once */
		memset(&item->charge, 0, sizeof(item->charge));
		item->charge.units.count = 1;
		item->charge.amount = rate.tiers[0].amount;
		charge_explain(&item->charge, "base", "price", 1, item->charge.amount);
	}
	else
		item->charge = charge_period(&rate, &item->period, zone, seasons, nseasons);
	if (item->charge.amount < minimum)
	{
		charge_explain(&item->charge, "minimum", "least charge", 0, minimum - item->charge.amount);
		item->charge.amount = minimum;
	}
	if (step.name != NULL)
	{
		stepped = charge_scale(item->charge.amount, MILLION + step.percent);
		charge_explain(&item->charge, "quantity", step.name, 0, stepped - item->charge.amount);
		item->charge.amount = stepped;
	}
	item->unit_price = item->charge.amount;
}

/* item_price finds what an item costs before discounts. */
static void
item_price(PriceItem *item)
{
	NullableDatum category = priced(item->product, COL_CATEGORY);
	int128		  subtotal;

	item->has_category = !category.isnull;
	if (item->has_category)
		item->category_id = *DatumGetUUIDP(category.value);
	if (!item->keeps_price)
		item_charge(item);
	subtotal = (int128) item->unit_price * item->quantity;
	if (subtotal > MOST_MINOR)
		rental_raise(invalid_value, errmsg("the price is too large"), errfield(item->field));
	item->subtotal = (Minor) subtotal;
	item->discount = 0;
}

/* Discounts */

static void
group_discount(PriceItem *item, int64 percent)
{
	Minor discount = charge_scale(item->subtotal, percent);

	if (discount == 0)
		return;
	item->discount += discount;
	charge_explain(&item->charge, "discount", "customer group", 0, -discount);
}

static bool
list_has(NullableDatum list, const pg_uuid_t *id)
{
	Datum *items;
	int	   n;

	if (list.isnull)
		return false;
	n = elements(list.value, UUIDOID, UUID_LEN, TYPALIGN_CHAR, &items);
	while (n-- > 0)
		if (uuid_equal(DatumGetUUIDP(items[n]), id))
			return true;
	return false;
}

/* An item that a coupon applies to */
typedef struct Share
{
	PriceItem *item;
	Minor	   base;
	Minor	   part;
	int64	   remainder;
} Share;

/* The order of the lines must not matter to who gets the last cent, so of equal remainders the items themselves decide. */
static int
compare_shares(const void *a, const void *b)
{
	const Share *x = a;
	const Share *y = b;
	int			 order;

	if (x->remainder != y->remainder)
		return x->remainder > y->remainder ? -1 : 1;
	if (x->base != y->base)
		return x->base > y->base ? -1 : 1;
	order = memcmp(&x->item->product->id, &y->item->product->id, UUID_LEN);
	if (order == 0)
		order = (x->item->period.start > y->item->period.start) - (x->item->period.start < y->item->period.start);
	if (order == 0)
		order = (x->item->period.end > y->item->period.end) - (x->item->period.end < y->item->period.end);
	return order;
}

/* spread gives each share its part of an amount, exactly: first whole minor units, then one more by largest remainder. */
static void
spread(Share *shares, int n, Minor amount, Minor sum)
{
	Minor left = amount;
	int	  i;

	for (i = 0; i < n; i++)
	{
		int128 product = (int128) amount * shares[i].base;

		shares[i].part = (Minor) (product / sum);
		shares[i].remainder = (int64) (product % sum);
		left -= shares[i].part;
	}
	qsort(shares, n, sizeof(Share), compare_shares);
	for (i = 0; left > 0; i++, left--)
		shares[i].part++;
}

static void no_coupon(const char *why) pg_attribute_noreturn();

static void
no_coupon(const char *why)
{
	rental_raise(rule_violated, errmsg("the coupon %s", why), errfield("coupon"));
}

/* price_coupon_code is a coupon's code as it is kept, however it was typed. */
char *
price_coupon_code(const char *typed)
{
	return str_toupper(typed, strlen(typed), DEFAULT_COLLATION_OID);
}

/* coupon_read reads a vendor's coupon, and how often a customer has used it; false if there is none. */
static bool
coupon_read(const pg_uuid_t *vendor_id, const char *code, const pg_uuid_t *customer_id)
{
	return plan_run(&coupon_of, VALUE(UUIDPGetDatum(vendor_id)), VALUE(CStringGetTextDatum(code)),
					VALUE(TimestampTzGetDatum(rental_now())),
					VALUE_OR_NULL(UUIDPGetDatum(customer_id), customer_id == NULL)) > 0;
}

/* coupon_check refuses the coupon that was just read if it may not be used now. */
static void
coupon_check(const pg_uuid_t *customer_id)
{
	if (!DatumGetBool(plan_datum(0, 7)))
		no_coupon("is not good now");
	if (!DatumGetBool(plan_datum(0, 8)))
		no_coupon("is used up");
	if (!plan_value(0, 9).isnull && customer_id != NULL &&
		DatumGetInt64(plan_datum(0, 10)) >= DatumGetInt32(plan_datum(0, 9)))
		no_coupon("was used by this customer before");
}

static void
coupon_discount(PriceItem *items, int n, PriceOrder *order)
{
	const Product *product = items[0].product;
	char		  *code = price_coupon_code(order->coupon);
	Share		  *shares = palloc(n * sizeof(Share));
	int			   nshares = 0;
	Minor		   sum = 0;
	Minor		   discount;
	NullableDatum  percent;
	NullableDatum  products;
	NullableDatum  categories;
	int			   i;

	if (!coupon_read(&product->vendor_id, code, order->customer_id))
		no_coupon("is not known");
	if (!order->keeps_coupon)
		coupon_check(order->customer_id);
	percent = plan_value(0, 2);
	products = plan_value(0, 5);
	categories = plan_value(0, 6);
	for (i = 0; i < n; i++)
	{
		if ((!products.isnull || !categories.isnull) && !list_has(products, &items[i].product->id) &&
			!(items[i].has_category && list_has(categories, &items[i].category_id)))
			continue;
		shares[nshares++] = (Share){&items[i], items[i].subtotal - items[i].discount, 0, 0};
		sum += items[i].subtotal - items[i].discount;
	}
	if (order->keeps_coupon && (nshares == 0 || sum == 0))
		return;
	if (nshares == 0 || sum == 0)
		no_coupon("is not for this");
	if (!order->keeps_coupon && sum < amount_minor(plan_datum(0, 4), product->currency))
		no_coupon("needs a larger order");
	if (percent.isnull)
		discount = Min(amount_minor(plan_datum(0, 3), product->currency), sum);
	else
		discount = charge_scale(sum, millionths(percent.value));
	order->has_coupon = true;
	order->coupon_id = *DatumGetUUIDP(plan_datum(0, 1));
	spread(shares, nshares, discount, sum);
	for (i = 0; i < nshares; i++)
	{
		shares[i].item->discount += shares[i].part;
		if (shares[i].part > 0)
			charge_explain(&shares[i].item->charge, "coupon", code, 0, -shares[i].part);
	}
}

/* Taxes */

/* tax_tell adds a rate, of a row of taxes_of, to a list of them in JSON. */
static void
tax_tell(StringInfo rates, uint64 row)
{
	NullableDatum place = plan_value(row, 5);

	appendStringInfoString(rates, rates->len == 0 ? "[{\"name\":" : ",{\"name\":");
	escape_json(rates, plan_text(row, 1));
	appendStringInfo(
		rates, ",\"percent\":%s,\"is_inclusive\":%s,\"is_reverse\":%s,\"place\":", amount_text(plan_datum(row, 2)),
		DatumGetBool(plan_datum(row, 3)) ? "true" : "false", DatumGetBool(plan_datum(row, 4)) ? "true" : "false");
	if (place.isnull)
		appendStringInfoString(rates, "null}");
	else
	{
		escape_json(rates, TextDatumGetCString(place.value));
		appendStringInfoChar(rates, '}');
	}
}

static void
item_taxes(PriceItem *item, const pg_uuid_t *customer_id)
{
	Minor		   net = item->subtotal - item->discount;
	int64		   included = MILLION;
	uint64		   n;
	uint64		   i;
	StringInfoData rates;

	/* where the vendor has none, no plan is needed to tell which */
	if (!item->vendor->has_taxes)
		return;
	n = plan_read(&taxes_of, VALUE(UUIDPGetDatum(&item->product->vendor_id)), VALUE(UUIDPGetDatum(&item->product->id)),
				  VALUE_OR_NULL(UUIDPGetDatum(customer_id), customer_id == NULL),
				  VALUE(TimestampTzGetDatum(item->period.start)));
	if (n == 0)
		return;
	initStringInfo(&rates);
	for (i = 0; i < n; i++)
		tax_tell(&rates, i);
	appendStringInfoChar(&rates, ']');
	item->taxes = VALUE(DirectFunctionCall1(jsonb_in, CStringGetDatum(rates.data)));
	for (i = 0; i < n; i++)
		if (DatumGetBool(plan_datum(i, 3)))
			included += millionths(plan_datum(i, 2));
	for (i = 0; i < n; i++)
	{
		int64 percent = millionths(plan_datum(i, 2));

		if (DatumGetBool(plan_datum(i, 3)))
			/* told, but no part of any sum: the price holds it already */
			charge_explain(&item->charge, "tax",
						   psprintf("holds %s %s", plan_text(i, 1),
									amount_minor_text(charge_part(net, percent, included), item->product->currency)),
						   0, 0);
		else
		{
			Minor tax = charge_scale(net, percent);

			item->tax += tax;
			charge_explain(&item->charge, "tax", plan_text(i, 1), 0, tax);
		}
	}
}

/* The whole */

/* group_percent is what the customer's group gets off, in millionths. */
static int64
group_percent(const pg_uuid_t *vendor_id, const pg_uuid_t *customer_id)
{
	NullableDatum group;
	NullableDatum percent;

	if (customer_id == NULL || !lookup_row(&group_of_member, customer_id, vendor_id, &group) ||
		!lookup_row(&group_by_id, DatumGetUUIDP(group.value), vendor_id, &percent))
		return 0;
	return millionths(percent.value);
}

/*
 * price_items prices the items of one order, all of one vendor. Called between
 * plan_open and plan_close, which the result does not outlive.
 */
void
price_items(PriceItem *items, int n, PriceOrder *order)
{
	const pg_uuid_t *vendor_id = &items[0].product->vendor_id;
	int64			 percent = group_percent(vendor_id, order->customer_id);
	PriceVendor		 vendor;
	NullableDatum	 any;
	PlanRights		 rights;
	bool			 needs_plans;
	int				 i;

	vendor.nrules = lookup_rows(&rules_of, vendor_id, NULL, PG_INT32_MAX, &vendor.rules);
	vendor.has_taxes = lookup_row(&any_tax, vendor_id, NULL, &any);
	/* most prices need none, and so no rights for them either */
	needs_plans = order->coupon != NULL || vendor.has_taxes;
	if (needs_plans)
		rights = plan_trust();
	order->subtotal = order->discount = order->tax = 0;
	order->has_coupon = false;
	for (i = 0; i < n; i++)
	{
		items[i].vendor = &vendor;
		item_price(&items[i]);
		if (percent > 0)
			group_discount(&items[i], percent);
	}
	if (order->coupon != NULL)
		coupon_discount(items, n, order);
	for (i = 0; i < n; i++)
	{
		items[i].tax = 0;
		items[i].taxes = NULLVALUE;
		item_taxes(&items[i], order->customer_id);
		items[i].total = items[i].subtotal - items[i].discount + items[i].tax;
		order->subtotal += items[i].subtotal;
		order->discount += items[i].discount;
		order->tax += items[i].tax;
	}
	order->total = order->subtotal - order->discount + order->tax;
	if (needs_plans)
		plan_distrust(rights);
}

/* price_waiver_sold is what a vendor takes of the lines for the damage waiver; null if it sells none. */
NullableDatum
price_waiver_sold(const Product *product)
{
	NullableDatum percent = priced(product, COL_WAIVER_PERCENT);

	return !percent.isnull && millionths(percent.value) == 0 ? NULLVALUE : percent;
}

/* price_waiver_percent is price_waiver_sold for who wants the waiver. */
Datum
price_waiver_percent(const Product *product)
{
	NullableDatum percent = price_waiver_sold(product);

	if (percent.isnull)
		rental_raise(rule_violated, errmsg("the vendor sells no damage waiver"), errfield("damage_waiver"));
	return percent.value;
}

/* price_waiver is the damage waiver for lines that cost so much before taxes. */
Minor
price_waiver(Datum percent, Minor covered)
{
	return charge_scale(covered, millionths(percent));
}

/* price_is_exempt tells whether the damage waiver is not for a product. */
bool
price_is_exempt(const Product *product)
{
	NullableDatum exempt = priced(product, COL_EXEMPT);

	return product->is_sale || (!exempt.isnull && DatumGetBool(exempt.value));
}

static bool
deposit_is(const Product *product, const char *kind)
{
	NullableDatum deposit = priced(product, COL_VENDOR_DEPOSIT);

	return !deposit.isnull && strcmp(TextDatumGetCString(deposit.value), kind) == 0;
}

/* price_deposit is the deposit for pieces of a product, where the vendor takes fixed ones. */
Minor
price_deposit(const Product *product, int32 quantity)
{
	NullableDatum each = priced(product, COL_DEPOSIT);

	if (!deposit_is(product, "fixed") || each.isnull)
		return 0;
	return amount_minor(each.value, product->currency) * quantity;
}

/* price_deposit_share is the deposit for an order of a vendor that takes a part of its items, or of its total. */
Minor
price_deposit_share(const Product *product, Minor items, Minor total)
{
	if (deposit_is(product, "percent_items"))
		return charge_scale(items, millionths(priced(product, COL_DEPOSIT_PERCENT).value));
	if (deposit_is(product, "percent_total"))
		return charge_scale(total, millionths(priced(product, COL_DEPOSIT_PERCENT).value));
	return 0;
}

/*
 * price_redeem uses the coupon of an order up, once more checked under the
 * lock of its row: of two who race for the last use one wins.
 */
void
price_redeem(const PriceOrder *order, const pg_uuid_t *vendor_id, const pg_uuid_t *order_id)
{
	char *code;

	if (!order->has_coupon)
		return;
	code = price_coupon_code(order->coupon);
	plan_run(&coupon_lock, VALUE(UUIDPGetDatum(vendor_id)), VALUE(CStringGetTextDatum(code)));
	if (!coupon_read(vendor_id, code, order->customer_id))
		no_coupon("is not good now");
	coupon_check(order->customer_id);
	plan_run(&coupon_use, VALUE(UUIDPGetDatum(&order->coupon_id)), VALUE(UUIDPGetDatum(vendor_id)));
	plan_run(&coupon_use_insert, VALUE(UUIDPGetDatum(vendor_id)), VALUE(UUIDPGetDatum(&order->coupon_id)),
			 VALUE(UUIDPGetDatum(order_id)), VALUE(UUIDPGetDatum(order->customer_id)),
			 VALUE(TimestampTzGetDatum(rental_now())));
}

/* price_has_coupon tells whether a vendor has such a coupon, good or not. */
bool
price_has_coupon(const pg_uuid_t *vendor_id, const char *code)
{
	return coupon_read(vendor_id, price_coupon_code(code), NULL);
}

/* price_release gives the use of a coupon back, of an order that ends without a rental. */
void
price_release(const pg_uuid_t *order_id)
{
	plan_run(&coupon_release, VALUE(UUIDPGetDatum(order_id)));
}

/* price_keep_coupon lets an order that is there be priced with the coupon that it used, if any. */
void
price_keep_coupon(PriceOrder *price, const pg_uuid_t *order_id)
{
	if (plan_run(&coupon_used, VALUE(UUIDPGetDatum(order_id))) == 0)
		return;
	price->coupon = plan_text(0, 1);
	price->keeps_coupon = true;
	price->is_spread = DatumGetBool(plan_datum(0, 2));
}

/* Answers */

static Datum
price_line(TupleDesc desc, const ChargeLine *line, const char *currency)
{
	Datum values[4] = {CStringGetTextDatum(line->step), CStringGetTextDatum(line->description),
					   Int32GetDatum(line->units), amount_datum(line->amount, currency)};
	bool  nulls[4] = {false, false, line->units == 0, false};

	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

/*
 * price(product_id uuid, start_at, end_at timestamptz, quantity integer, coupon text, customer_id uuid,
 * damage_waiver boolean)
 */
PG_FUNCTION_INFO_V1(price);
Datum
price(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	const Actor	 *who = actor_current();
	Product		  product;
	PriceItem	  item = {.product = &product, .field = "product_id"};
	PriceOrder	  order = {.coupon = request_text(FCARG(4), "coupon", 40)};
	const char	 *currency;
	TupleDesc	  desc;
	TupleDesc	  line_desc;
	Oid			  line_type;
	Datum		 *lines;
	bool		  with_waiver = !PG_ARGISNULL(6) && PG_GETARG_BOOL(6);
	NullableDatum waiver_percent;
	Minor		  waiver = 0;
	Datum		  values[15];
	bool		  nulls[15] = {false};
	Datum		  result;
	int			  i;

	request_required(FCARG(0), "product_id");
	request_required(FCARG(1), "start_at");
	request_required(FCARG(2), "end_at");
	request_required(FCARG(3), "quantity");
	item.quantity = PG_GETARG_INT32(3);
	if (item.quantity < 1 || item.quantity > 1000000)
		rental_raise(invalid_value, errmsg("quantity must be between 1 and 1000000"), errfield("quantity"));
	item.period = period_check(PG_GETARG_TIMESTAMPTZ(1), PG_GETARG_TIMESTAMPTZ(2), "end_at");

	plan_open();
	product_load(PG_GETARG_UUID_P(0), &product, "product_id");
	if (!PG_ARGISNULL(5))
	{
		if (!actor_has_user(who) || !uuid_equal(&who->user_id, PG_GETARG_UUID_P(5)))
			actor_require_vendor(&product.vendor_id);
		order.customer_id = PG_GETARG_UUID_P(5);
	}
	else if (who->role == ACTOR_CUSTOMER)
		order.customer_id = &who->user_id;
	price_items(&item, 1, &order);
	waiver_percent = with_waiver ? VALUE(price_waiver_percent(&product)) : price_waiver_sold(&product);
	if (!waiver_percent.isnull && !price_is_exempt(&product))
		waiver = price_waiver(waiver_percent.value, item.subtotal - item.discount);
	if (with_waiver && waiver > 0)
	{
		item.total += waiver;
		charge_explain(&item.charge, "waiver", "damage waiver", 0, waiver);
	}
	currency = product.currency;
	MemoryContextSwitchTo(caller);
	/* as they lie in the cache: this function is for one type */
	desc = lookup_rowtype_tupdesc(get_func_rettype(fcinfo->flinfo->fn_oid), -1);
	line_type = get_element_type(TupleDescAttr(desc, 14)->atttypid);
	line_desc = lookup_rowtype_tupdesc(line_type, -1);
	lines = palloc(item.charge.nlines * sizeof(Datum));
	for (i = 0; i < item.charge.nlines; i++)
		lines[i] = price_line(line_desc, &item.charge.lines[i], currency);
	values[0] = UUIDPGetDatum(&product.id);
	values[1] = CStringGetTextDatum(currency);
	values[2] = TimestampTzGetDatum(item.period.start);
	values[3] = TimestampTzGetDatum(item.period.end);
	values[4] = Int32GetDatum(item.charge.units.count);
	values[5] = CStringGetTextDatum(item.by_hour ? "hour" : "day");
	values[6] = Int32GetDatum(item.quantity);
	values[7] = amount_datum(item.unit_price, currency);
	values[8] = amount_datum(item.subtotal, currency);
	values[9] = amount_datum(item.discount, currency);
	values[10] = amount_datum(item.tax, currency);
	values[11] = amount_datum(waiver, currency);
	nulls[11] = waiver_percent.isnull;
	values[12] = amount_datum(item.total, currency);
	values[13] = amount_datum(price_deposit(&product, item.quantity) +
								  price_deposit_share(&product, item.subtotal - item.discount, item.total),
							  currency);
	values[14] = PointerGetDatum(construct_array(lines, item.charge.nlines, line_type, -1, false, TYPALIGN_DOUBLE));
	result = HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
	ReleaseTupleDesc(line_desc);
	ReleaseTupleDesc(desc);
	plan_close();
	return result;
}

/* Late fees */

/* price_late is the fee for pieces that were due at a time and came back later. */
Minor
price_late(const Product *product, TimestampTz due_at, TimestampTz returned_at, int32 quantity)
{
	LatePolicy policy = {.cap = -1};
	int128	   fee;
	Datum	  *steps;
	int		   i;

	if (plan_read(&late_policy, VALUE(UUIDPGetDatum(&product->vendor_id))) == 0)
		return 0;
	policy.free = span_of(plan_datum(0, 1));
	policy.deducts_free = DatumGetBool(plan_datum(0, 2));
	policy.per_day = amount_minor(plan_datum(0, 3), product->currency);
	policy.per_hour = amount_minor(plan_datum(0, 4), product->currency);
	policy.nsteps = rows_of(plan_datum(0, 5), &steps);
	policy.steps = palloc(Max(policy.nsteps, 1) * sizeof(LateStep));
	for (i = 0; i < policy.nsteps; i++)
		policy.steps[i] =
			(LateStep){DatumGetInt32(attribute(steps[i], 1)), amount_minor(attribute(steps[i], 2), product->currency)};
	if (!plan_value(0, 6).isnull)
		policy.cap = amount_minor(plan_datum(0, 6), product->currency);
	fee = (int128) charge_late(&policy, returned_at - due_at) * quantity;
	if (fee > MOST_MINOR)
		rental_raise(invalid_value, errmsg("the late fee is too large"));
	return (Minor) fee;
}

/* late_fee(product_id uuid, due_at, returned_at timestamptz, quantity integer) */
PG_FUNCTION_INFO_V1(late_fee);
Datum
late_fee(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	Product		  product;
	Minor		  fee;
	Datum		  result;
	MemoryContext old;

	request_required(FCARG(0), "product_id");
	request_required(FCARG(1), "due_at");
	request_required(FCARG(2), "returned_at");
	request_required(FCARG(3), "quantity");
	plan_open();
	product_load(PG_GETARG_UUID_P(0), &product, "product_id");
	fee = price_late(&product, PG_GETARG_TIMESTAMPTZ(1), PG_GETARG_TIMESTAMPTZ(2), PG_GETARG_INT32(3));
	old = MemoryContextSwitchTo(caller);
	result = amount_datum(fee, product.currency);
	MemoryContextSwitchTo(old);
	plan_close();
	return result;
}
