/*
 * pricing.c
 *	  What a rental costs, and why.
 *
 * A rate is an amount for the first days, and one for each further day begun.
 * Days are of 24 hours on the vendor's clock. Every amount is rounded once, to
 * the currency, for one piece, so that the lines of an order sum exactly.
 */
#include "pricing.h"

#include "amount.h"
#include "errors.h"
#include "funcapi.h"
#include "plan.h"
#include "request.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

Price
price_of(const Product *product, const Period *period, const char *field)
{
	Price price;

	if (!product->has_rate)
		rental_raise(invalid_value, errmsg("the product has no price yet"), errfield(field));
	price.days = period_days(period, period_zone(product->time_zone));
	/* what is sold is paid for once */
	price.extra_days = product->is_sale ? 0 : Max(price.days - product->rate_days, 0);
	price.base = amount_round(product->rate_amount, product->currency);
	price.extra = amount_round(amount_times(product->rate_extra_day, price.extra_days), product->currency);
	price.unit_price = amount_add(price.base, price.extra);
	return price;
}

static Datum
price_line(Oid type, const char *description, int32 days, Datum amount)
{
	TupleDesc desc = TypeGetTupleDesc(type, NIL);
	Datum	  values[3] = {CStringGetTextDatum(description), Int32GetDatum(days), amount};
	bool	  nulls[3] = {false};

	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/* product_price(product_id uuid, start_at timestamptz, end_at timestamptz, quantity integer) */
PG_FUNCTION_INFO_V1(product_price);
Datum
product_price(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	Product		  product;
	Period		  period;
	Price		  price;
	TupleDesc	  desc;
	Oid			  line_type;
	Datum		  lines[2];
	int			  nlines = 0;
	int32		  quantity;
	Datum		  values[9];
	bool		  nulls[9] = {false};
	Datum		  result;

	request_required(FCARG(0), "product_id");
	request_required(FCARG(1), "start_at");
	request_required(FCARG(2), "end_at");
	request_required(FCARG(3), "quantity");
	quantity = PG_GETARG_INT32(3);
	if (quantity < 1 || quantity > 1000000)
		rental_raise(invalid_value, errmsg("quantity must be between 1 and 1000000"), errfield("quantity"));
	period = period_check(PG_GETARG_TIMESTAMPTZ(1), PG_GETARG_TIMESTAMPTZ(2), "end_at");
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "a price is a composite");

	plan_open();
	product_load(PG_GETARG_UUID_P(0), &product, "product_id");
	price = price_of(&product, &period, "product_id");
	MemoryContextSwitchTo(caller);
	line_type = get_element_type(TupleDescAttr(desc, 8)->atttypid);
	lines[nlines++] =
		price_line(line_type, psprintf(product.rate_days == 1 ? "first day" : "first %d days", product.rate_days),
				   Min(price.days, product.rate_days), price.base);
	if (price.extra_days > 0)
		lines[nlines++] = price_line(
			line_type,
			psprintf("each further day %s", DatumGetCString(DirectFunctionCall1(numeric_out, product.rate_extra_day))),
			price.extra_days, price.extra);
	values[0] = UUIDPGetDatum(&product.id);
	values[1] = CStringGetTextDatum(product.currency);
	values[2] = TimestampTzGetDatum(period.start);
	values[3] = TimestampTzGetDatum(period.end);
	values[4] = Int32GetDatum(price.days);
	values[5] = Int32GetDatum(quantity);
	values[6] = price.unit_price;
	values[7] = amount_times(price.unit_price, quantity);
	values[8] = PointerGetDatum(construct_array(lines, nlines, line_type, -1, false, TYPALIGN_DOUBLE));
	result = HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
	plan_close();
	return result;
}
