/*
 * amount.c
 *	  Money: exact decimals, rounded half-up to what a currency allows.
 *
 * Amounts are numeric in major units. numeric's own round() rounds half away
 * from zero, which for amounts of zero and above is half-up.
 */
#include "amount.h"

#include "errors.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

/* Currencies that do not have two decimals; ISO 4217, list one */
static const char *const no_decimals[] = {"BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG",
										  "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF", NULL};
static const char *const three_decimals[] = {"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND", NULL};

static bool
listed(const char *const *list, const char *currency)
{
	for (; *list != NULL; list++)
		if (strcmp(*list, currency) == 0)
			return true;
	return false;
}

/* amount_exponent is the number of decimals of a currency. */
int
amount_exponent(const char *currency)
{
	if (listed(no_decimals, currency))
		return 0;
	return listed(three_decimals, currency) ? 3 : 2;
}

Datum
amount_round(Datum amount, const char *currency)
{
	return DirectFunctionCall2(numeric_round, amount, Int32GetDatum(amount_exponent(currency)));
}

/* amount_check refuses an amount that is negative, not a number, or finer than its currency. */
void
amount_check(Datum amount, const char *currency, const char *field)
{
	Datum rounded;

	if (numeric_is_nan(DatumGetNumeric(amount)) || numeric_is_inf(DatumGetNumeric(amount)))
		rental_raise(invalid_value, errmsg("%s must be a number", field), errfield(field));
	if (amount_less(amount, amount_zero()))
		rental_raise(invalid_value, errmsg("%s must not be negative", field), errfield(field));
	rounded = amount_round(amount, currency);
	if (!DatumGetBool(DirectFunctionCall2(numeric_eq, amount, rounded)))
		rental_raise(invalid_value, errmsg("%s is finer than %s allows", field, currency),
					 errdetail("%s has %d decimals.", currency, amount_exponent(currency)), errfield(field));
	if (DatumGetBool(DirectFunctionCall2(numeric_ge, amount,
										 DirectFunctionCall1(int8_numeric, Int64GetDatum(INT64CONST(1000000000000))))))
		rental_raise(invalid_value, errmsg("%s is too large", field), errfield(field));
}

Datum
amount_add(Datum a, Datum b)
{
	return DirectFunctionCall2(numeric_add, a, b);
}

Datum
amount_negate(Datum amount)
{
	return DirectFunctionCall1(numeric_uminus, amount);
}

Datum
amount_subtract(Datum a, Datum b)
{
	return DirectFunctionCall2(numeric_sub, a, b);
}

Datum
amount_times(Datum amount, int64 n)
{
	return DirectFunctionCall2(numeric_mul, amount, DirectFunctionCall1(int8_numeric, Int64GetDatum(n)));
}

Datum
amount_divide(Datum amount, int64 n)
{
	return DirectFunctionCall2(numeric_div, amount, DirectFunctionCall1(int8_numeric, Int64GetDatum(n)));
}

Datum
amount_zero(void)
{
	return DirectFunctionCall1(int4_numeric, Int32GetDatum(0));
}

bool
amount_less(Datum a, Datum b)
{
	return DatumGetBool(DirectFunctionCall2(numeric_lt, a, b));
}

bool
amount_equal(Datum a, Datum b)
{
	return DatumGetBool(DirectFunctionCall2(numeric_eq, a, b));
}

char *
amount_text(Datum amount)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out, amount));
}

/* amount_minor is an amount in minor units; it must have no finer part. */
int64
amount_minor(Datum amount, const char *currency)
{
	static const int32 scale[] = {1, 10, 100, 1000};

	return DatumGetInt64(DirectFunctionCall1(
		numeric_int8,
		DirectFunctionCall2(numeric_mul, amount,
							DirectFunctionCall1(int4_numeric, Int32GetDatum(scale[amount_exponent(currency)])))));
}

/* amount_datum is the amount of so many minor units. */
Datum
amount_datum(int64 minor, const char *currency)
{
	return NumericGetDatum(int64_div_fast_to_numeric(minor, amount_exponent(currency)));
}

char *
amount_minor_text(int64 minor, const char *currency)
{
	return amount_text(amount_datum(minor, currency));
}
