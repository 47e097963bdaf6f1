/*
 * report_time.c
 *	  Reports over time, of vendors: revenue, orders by state, cancellations, seasons.
 */
#include "facts.h"
#include "report.h"

#define LIVE	  "pending + confirmed + active + returned + completed"
#define ENDED	  "cancelled + rejected + expired"
/* from, to, granularity, vendor */
#define OVER_TIME ((ReportShape){.has_period = true, .granularity = 2, .vendor = 3, .most = -1})

PLAN_ONCE(
	revenue,
	VENDOR_FACTS_BY_PERIOD
	"SELECT start_at, currency, sum(" LIVE
	")::bigint, " MONEY("billed") ", " MONEY("paid") ", " MONEY("ordered") ", " MONEY(
		"recognised") ", "
					  "CASE WHEN $10 THEN vendor_id END AS vendor FROM facts WHERE $9 IS NULL OR currency = $9 GROUP BY 1, 2, 8 "
					  "HAVING sum(" LIVE
					  ") <> 0 OR sum(billed) <> 0 OR sum(paid) <> 0 OR sum(ordered) <> 0 OR sum(recognised) <> 0 ORDER BY 1, 2, 8",
	FACT_PERIOD_TYPES, FACT_PART_TYPES, TEXTOID, BOOLOID);
PLAN_ONCE(
	orders,
	VENDOR_FACTS_BY_PERIOD
	"SELECT start_at, currency, sum(draft)::bigint, sum(quoted)::bigint, sum(pending)::bigint, sum(confirmed)::bigint, sum(active)::bigint, sum(returned)::bigint, "
	"sum(completed)::bigint, sum(cancelled)::bigint, sum(rejected)::bigint, sum(expired)::bigint, " MONEY("ordered") ", " MONEY(
		"lost") " "
				"FROM facts WHERE $9 IS NULL OR currency = $9 GROUP BY 1, 2 HAVING sum(draft + quoted + " LIVE
				" + " ENDED ") <> 0 ORDER BY 1, 2",
	FACT_PERIOD_TYPES, FACT_PART_TYPES, TEXTOID);
PLAN_ONCE(cancellations,
		  VENDOR_FACTS_BY_PERIOD
		  "SELECT start_at, currency, sum(" LIVE " + " ENDED
		  ")::bigint, sum(cancelled)::bigint, sum(rejected)::bigint, sum(expired)::bigint, "
		  "round(sum(" ENDED ") / sum(" LIVE " + " ENDED
		  "), 4), " MONEY("lost") " "
								  "FROM facts WHERE $9 IS NULL OR currency = $9 GROUP BY 1, 2 HAVING sum(" LIVE
								  " + " ENDED ") <> 0 ORDER BY 1, 2",
		  FACT_PERIOD_TYPES, FACT_PART_TYPES, TEXTOID);
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
	return report_vendor_facts(fcinfo, &revenue, OVER_TIME);
}

/* report_orders("from", "to", granularity, vendor_id, currency) */
PG_FUNCTION_INFO_V1(report_orders);
Datum
report_orders(PG_FUNCTION_ARGS)
{
	return report_vendor_facts(fcinfo, &orders, OVER_TIME);
}

/* report_cancellations("from", "to", granularity, vendor_id, currency) */
PG_FUNCTION_INFO_V1(report_cancellations);
Datum
report_cancellations(PG_FUNCTION_ARGS)
{
	return report_vendor_facts(fcinfo, &cancellations, OVER_TIME);
}

/* report_seasonality("from", "to", vendor_id, currency) */
PG_FUNCTION_INFO_V1(report_seasonality);
Datum
report_seasonality(PG_FUNCTION_ARGS)
{
	return report_vendor_facts(fcinfo, &seasonality,
							   (ReportShape){.has_period = true, .granularity = -1, .vendor = 2, .most = -1});
}
