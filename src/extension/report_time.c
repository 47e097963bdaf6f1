/*
 * report_time.c
 *	  Reports over time, of vendors: revenue, orders by state, cancellations, seasons.
 */
#include "sums.h"

#include "amount.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#define LIVE		   "pending + confirmed + active + returned + completed"
/* from, to, granularity, vendor */
#define OVER_TIME	   ((ReportShape){.has_period = true, .granularity = 2, .vendor = 3, .most = -1})

#define LIVE_MEASURES  SUM_pending, SUM_confirmed, SUM_active, SUM_returned, SUM_completed
#define ENDED_MEASURES SUM_cancelled, SUM_rejected, SUM_expired
#define NLIVE		   5
#define NENDED		   3

static int64
count_of(const Datum *measures, int n)
{
	int64 count = 0;

	while (n-- > 0)
		count += DatumGetInt64(measures[n]);
	return count;
}

static bool
revenue_row(const FactSum *sum, Datum *values)
{
	int64 live = count_of(sum->measures, NLIVE);
	Datum zero = (Datum) 0;
	bool  is_something = live != 0;
	int	  i;

	values[0] = TimestampTzGetDatum(sum->start_at);
	values[1] = sum->currency;
	values[2] = Int64GetDatum(live);
	for (i = 0; i < 4; i++)
		values[3 + i] = sum->measures[NLIVE + i];
	values[7] = UUIDPGetDatum(&sum->vendor_id);
	if (!is_something)
		zero = amount_zero();
	for (i = 0; i < 4 && !is_something; i++)
		is_something = !amount_equal(sum->measures[NLIVE + i], zero);
	return is_something;
}

static const SumMeasure revenue_measures[] = {LIVE_MEASURES, SUM_billed, SUM_paid, SUM_ordered, SUM_recognised};
static const SumReport	revenue = {revenue_measures, lengthof(revenue_measures), true, revenue_row};

static bool
orders_row(const FactSum *sum, Datum *values)
{
	values[0] = TimestampTzGetDatum(sum->start_at);
	values[1] = sum->currency;
	memcpy(&values[2], sum->measures, 12 * sizeof(Datum));
	return count_of(sum->measures, 2 + NLIVE + NENDED) != 0;
}

static const SumMeasure orders_measures[] = {SUM_draft,		 SUM_quoted,  LIVE_MEASURES,
											 ENDED_MEASURES, SUM_ordered, SUM_lost};
static const SumReport	orders = {orders_measures, lengthof(orders_measures), false, orders_row};

static bool
cancellations_row(const FactSum *sum, Datum *values)
{
	int64 placed = count_of(sum->measures, NLIVE + NENDED);
	int64 ended = count_of(&sum->measures[NLIVE], NENDED);

	if (placed == 0)
		return false;
	values[0] = TimestampTzGetDatum(sum->start_at);
	values[1] = sum->currency;
	values[2] = Int64GetDatum(placed);
	memcpy(&values[3], &sum->measures[NLIVE], NENDED * sizeof(Datum));
	values[6] = DirectFunctionCall2(numeric_round,
									amount_divide(DirectFunctionCall1(int8_numeric, Int64GetDatum(ended)), placed),
									Int32GetDatum(4));
	values[7] = sum->measures[NLIVE + NENDED];
	return true;
}

static const SumMeasure cancellations_measures[] = {LIVE_MEASURES, ENDED_MEASURES, SUM_lost};
static const SumReport	cancellations = {cancellations_measures, lengthof(cancellations_measures), false,
										 cancellations_row};

PLAN_ANEW(
	seasonality,
	VENDOR_FACTS_BY_PERIOD
	", days AS (SELECT f.start_at AT TIME ZONE v.time_zone AS day, f.currency, " LIVE
	" AS orders, recognised FROM facts f JOIN rental.vendors v ON v.id = f.vendor_id "
	" WHERE $9 IS NULL OR f.currency = $9), "
	"cells AS (SELECT 'month' AS unit, extract(month FROM day)::integer AS n, currency, sum(orders)::bigint AS orders, sum(recognised) AS recognised, 12 AS cells FROM days GROUP BY 2, 3 "
	"UNION ALL SELECT 'weekday', extract(isodow FROM day)::integer, currency, sum(orders)::bigint, sum(recognised), 7 FROM days GROUP BY 2, 3) "
	"SELECT unit, n, currency, orders, round(recognised, rental.currency_exponent(currency)), round(cells * orders / NULLIF(sum(orders) OVER w, 0), 4), "
	"round(cells * recognised / NULLIF(sum(recognised) OVER w, 0), 4) FROM cells WHERE orders <> 0 OR recognised <> 0 WINDOW w AS (PARTITION BY unit, currency) ORDER BY 3, 1, 2",
	FACT_PERIOD_TYPES, FACT_PART_TYPES, TEXTOID);

/* report_revenue("from", "to", granularity, vendor_id, currency, by_vendor) */
PG_FUNCTION_INFO_V1(report_revenue);
Datum
report_revenue(PG_FUNCTION_ARGS)
{
	return sums_answer(fcinfo, &revenue, OVER_TIME, FCARG(4), !PG_ARGISNULL(5) && PG_GETARG_BOOL(5));
}

/* report_orders("from", "to", granularity, vendor_id, currency) */
PG_FUNCTION_INFO_V1(report_orders);
Datum
report_orders(PG_FUNCTION_ARGS)
{
	return sums_answer(fcinfo, &orders, OVER_TIME, FCARG(4), false);
}

/* report_cancellations("from", "to", granularity, vendor_id, currency) */
PG_FUNCTION_INFO_V1(report_cancellations);
Datum
report_cancellations(PG_FUNCTION_ARGS)
{
	return sums_answer(fcinfo, &cancellations, OVER_TIME, FCARG(4), false);
}

/* report_seasonality("from", "to", vendor_id, currency) */
PG_FUNCTION_INFO_V1(report_seasonality);
Datum
report_seasonality(PG_FUNCTION_ARGS)
{
	return report_vendor_facts(fcinfo, &seasonality,
							   (ReportShape){.has_period = true, .granularity = -1, .vendor = 2, .most = -1});
}
