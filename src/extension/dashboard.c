/*
 * dashboard.c
 *	  The dashboard and metrics: where things stand, and what is to be done.
 *
 * It reads sixty days of facts, and queues by indexes of what is open: what it
 * costs depends on what there is to do now, not on how much was ever done, nor
 * on how many vendors there are.
 */
#include "plan.h"
#include "report.h"

#include "errors.h"
#include "facts.h"
#include "period.h"

#define BOTH(sum, column)                                          \
	sum("sum(" column ") FILTER (WHERE d.age < p.days)") ", " sum( \
		"sum(" column ") FILTER (WHERE d.age >= p.days AND d.age < 2 * p.days)")
#define AS_COUNT(sum)  "COALESCE(" sum ", 0)::bigint"
#define AS_AMOUNT(sum) "round(COALESCE(" sum ", 0), rental.currency_exponent(d.currency))"
#define QUEUE(name, found)                                                                                   \
	"(SELECT ROW('" name "', count(*), min(q.at), ARRAY(SELECT f.id FROM (" found ") f ORDER BY f.at, f.id " \
	"LIMIT 10))::rental.dashboard_queue FROM (" found ") q)"

/* clang-format off */
/* d: orders, ordered, billed, paid and recognised, by currency and by how many days ago, of what rows of a day say */
#define LIVE "'pending', 'confirmed', 'active', 'returned', 'completed'"
#define TREND_COLUMNS "pending + confirmed + active + returned + completed AS orders, ordered, billed, paid, recognised"
#define DAYS_NEAR "day > rental.now()::date - 62 AND day < rental.now()::date + 2"
#define DELTAS_NEAR " AND x.kind <> 'booked' AND x.at < rental.now() + interval '2 days' AND COALESCE(x.until, x.at) > rental.now() - interval '62 days'"
#define TREND_DELTAS(key, filter) \
	"SELECT " key ", day, currency, " COUNT_OF("IN (" LIVE ")") " AS orders, " AMOUNT_OF("IN (" LIVE ")") " AS ordered, " AMOUNT_OF("= 'billed'") " AS billed, " \
	AMOUNT_OF("= 'paid'") " AS paid, " AMOUNT_OF("= 'rented'") " AS recognised FROM (" SPREAD(DELTAS, "day", filter DELTAS_NEAR) ") s GROUP BY 1, 2, 3"
#define TREND_DAYS(who, key, rows, currencies) \
	"d AS MATERIALIZED (SELECT f.currency, " who ".today - f.day AS age, sum(f.orders) AS orders, sum(f.ordered) AS ordered, sum(f.billed) AS billed, " \
	" sum(f.paid) AS paid, sum(f.recognised) AS recognised FROM " who " JOIN (" rows ") f ON " key \
	" WHERE f.day > " who ".today - 60 AND f.day <= " who ".today GROUP BY 1, 2 UNION ALL SELECT DISTINCT currency, 0, 0, 0, 0, 0, 0 FROM " currencies ") "
#define DASHBOARD(queues) \
	"SELECT ROW(rental.now(), $1, ARRAY(SELECT ROW(p.period, p.days, d.currency, " BOTH(AS_COUNT, "d.orders") ", " BOTH(AS_AMOUNT, "d.ordered") ", " \
	BOTH(AS_AMOUNT, "d.billed") ", " BOTH(AS_AMOUNT, "d.paid") ", " BOTH(AS_AMOUNT, "d.recognised") ")::rental.dashboard_trend " \
	"FROM (VALUES ('today', 1), ('week', 7), ('month', 30)) AS p (period, days), d GROUP BY p.period, p.days, d.currency ORDER BY p.days, d.currency), ARRAY[" \
	queues "])::rental.dashboard_view"
#define TO_CONFIRM "o.status = 'pending' AND o.expires_at > rental.now()"
#define TO_COLLECT "n.status IN ('issued', 'partly_paid') AND n.kind = 'invoice' AND n.due_at < rental.now()"

/* Of a vendor: by its own days, and from its open orders */
#define OPEN_ITEMS(states, time, condition) \
	"SELECT o.id, min(i." time ") AS at FROM v JOIN rental.orders o ON o.vendor_id = v.id JOIN rental.order_items i " \
	"ON i.order_id = o.id AND i.vendor_id = o.vendor_id JOIN rental.products c ON c.id = i.product_id AND c.vendor_id = i.vendor_id " \
	"WHERE o.status IN " states " AND " condition " GROUP BY o.id"
PLAN_ONCE(dashboard_of_vendor,
	"WITH v AS MATERIALIZED (SELECT v.id, v.currency, z.today, (z.today + 1)::timestamp AT TIME ZONE v.time_zone AS tomorrow "
	" FROM rental.vendors v, LATERAL (SELECT (rental.now() AT TIME ZONE v.time_zone)::date AS today) z WHERE v.id = $1), "
	TREND_DAYS("v", "f.vendor_id = v.id", "SELECT vendor_id, day, currency, " TREND_COLUMNS " FROM rental.facts_daily WHERE vendor_id = $1 AND " DAYS_NEAR
		" UNION ALL " TREND_DELTAS("vendor_id", " AND x.vendor_id = $1"), "v")
	DASHBOARD(QUEUE("confirm", "SELECT o.id, o.created_at AS at FROM v JOIN rental.orders o ON o.vendor_id = v.id WHERE " TO_CONFIRM) ", "
		QUEUE("dispatch", OPEN_ITEMS("('confirmed', 'active')", "start_at", "i.dispatched < i.quantity AND i.start_at < v.tomorrow")) ", "
		QUEUE("return", OPEN_ITEMS("('active')", "end_at", "i.returned < i.dispatched AND i.end_at >= rental.now() AND i.end_at < v.tomorrow AND c.kind = 'rental'")) ", "
		QUEUE("overdue", OPEN_ITEMS("('active')", "end_at", "i.returned < i.dispatched AND i.end_at < rental.now() AND c.kind = 'rental'")) ", "
		QUEUE("invoices_overdue", "SELECT n.id, n.due_at AS at FROM v JOIN rental.invoices n ON n.vendor_id = v.id WHERE " TO_COLLECT) ", "
		QUEUE("shortages", "SELECT s.order_id AS id, min(s.start_at) AS at FROM v JOIN rental.shortages s ON s.vendor_id = v.id WHERE s.order_id IS NOT NULL GROUP BY 1"))
	" FROM (SELECT count(*) AS vendors FROM v) n WHERE n.vendors > 0",
	UUIDOID);

/*
 * Of all vendors: by the days of their time zones, of which there are few, and
 * from the tasks that are due, by facts_open for orders that no delta names.
 * What starts before the first zone's day ends is due in all zones.
 */
#define FIRST_TOMORROW "(SELECT min(z.tomorrow) FROM z)"
#define TASKS(task, begins, ends, condition) \
	"SELECT x.order_id AS id, x.vendor_id, x.at FROM rental.facts_open x WHERE x.task = " task " AND x.at >= " begins " AND x.at < " ends condition \
	" AND NOT EXISTS (SELECT FROM named n WHERE n.order_id = x.order_id) " \
	"UNION ALL SELECT x.order_id, x.vendor_id, x.at FROM live x WHERE x.task = " task " AND x.at >= " begins " AND x.at < " ends condition
#define TASKS_TODAY(task, begins) \
	"SELECT q.id, q.at FROM (" TASKS(task, begins, FIRST_TOMORROW, "") ") q UNION ALL SELECT q.id, q.at FROM (" \
	TASKS(task, "GREATEST(" begins ", " FIRST_TOMORROW ")", "(SELECT max(z.tomorrow) FROM z)", "") \
	") q JOIN rental.vendors v ON v.id = q.vendor_id JOIN z ON z.time_zone = v.time_zone WHERE q.at < z.tomorrow"
PLAN_ONCE(dashboard_of_all,
	"WITH RECURSIVE c (time_zone, currency) AS ((SELECT time_zone, currency FROM rental.vendors ORDER BY 1, 2 LIMIT 1) UNION ALL "
	" SELECT n.time_zone, n.currency FROM c, LATERAL (SELECT v.time_zone, v.currency FROM rental.vendors v WHERE (v.time_zone, v.currency) > (c.time_zone, c.currency) ORDER BY 1, 2 LIMIT 1) n), "
	"z AS MATERIALIZED (SELECT t.time_zone, t.today, (t.today + 1)::timestamp AT TIME ZONE t.time_zone AS tomorrow "
	" FROM (SELECT DISTINCT time_zone, (rental.now() AT TIME ZONE time_zone)::date AS today FROM c) t), "
	"named AS MATERIALIZED (SELECT DISTINCT order_id FROM rental.facts_delta WHERE order_id IS NOT NULL), "
	"live AS MATERIALIZED (SELECT * FROM rental.facts_tasks x WHERE x.order_id = ANY (ARRAY(SELECT order_id FROM named))), "
	TREND_DAYS("z", "f.time_zone = z.time_zone", "SELECT time_zone, day, currency, " TREND_COLUMNS " FROM rental.facts_zones WHERE " DAYS_NEAR
		" UNION ALL " TREND_DELTAS("time_zone", ""), "c")
	", to_dispatch AS MATERIALIZED (" TASKS_TODAY("'dispatch'", "'-infinity'::timestamptz") "), "
	"to_return AS MATERIALIZED (SELECT r.id, min(r.at) AS at FROM (" TASKS_TODAY("'return'", "rental.now()") ") r GROUP BY 1) "
	DASHBOARD(QUEUE("confirm", "SELECT o.id, o.created_at AS at FROM rental.orders o WHERE " TO_CONFIRM) ", "
		QUEUE("dispatch", "SELECT * FROM to_dispatch") ", "
		QUEUE("return", "SELECT * FROM to_return") ", "
		QUEUE("overdue", TASKS("'return'", "'-infinity'::timestamptz", "rental.now()", " AND x.is_first")) ", "
		QUEUE("invoices_overdue", "SELECT n.id, n.due_at AS at FROM rental.invoices n WHERE " TO_COLLECT) ", "
		QUEUE("shortages", "SELECT s.order_id AS id, min(s.start_at) AS at FROM rental.shortages s WHERE s.order_id IS NOT NULL GROUP BY 1")),
	UUIDOID);
/* clang-format on */
PLAN(
	metrics,
	"WITH r AS MATERIALIZED (SELECT currency, sum(orders) AS orders, sum(ordered) AS ordered, sum(billed) AS billed, sum(paid) AS paid, sum(recognised) AS recognised "
	" FROM rental.report_revenue($1, $2, 'year', $3) GROUP BY 1), "
	"u AS MATERIALIZED (SELECT currency, sum(rented_hours) AS rented, sum(possible_hours) AS possible, sum(recognised) AS recognised, sum(cost) AS cost "
	" FROM rental.report_utilisation($1, $2, 'vendor', $3) GROUP BY 1) "
	"SELECT m.name, m.currency, m.unit, m.value FROM ("
	"SELECT 1 AS n, 'orders' AS name, NULL::text AS currency, 'orders' AS unit, COALESCE(sum(orders), 0) AS value FROM r "
	"UNION ALL SELECT 2, 'ordered', currency, 'currency', ordered FROM r "
	"UNION ALL SELECT 3, 'average_order', currency, 'currency', round(ordered / NULLIF(orders, 0), rental.currency_exponent(currency)) FROM r "
	"UNION ALL SELECT 4, 'billed', currency, 'currency', billed FROM r UNION ALL SELECT 5, 'paid', currency, 'currency', paid FROM r "
	"UNION ALL SELECT 6, 'recognised', currency, 'currency', recognised FROM r "
	"UNION ALL SELECT 7, 'cancellation_rate', NULL, 'ratio', round(sum(cancelled + rejected + expired) / NULLIF(sum(orders), 0), 4) FROM rental.report_cancellations($1, $2, 'year', $3) "
	"UNION ALL SELECT 8, 'utilisation', NULL, 'ratio', round(sum(rented) / NULLIF(sum(possible), 0), 4) FROM u "
	"UNION ALL SELECT 9, 'return_annualised', currency, 'ratio', round(recognised / NULLIF(cost, 0) * (365 * 86400 / extract(epoch FROM $2 - $1)), 4) FROM u "
	"UNION ALL SELECT 10, 'receivable', currency, 'currency', total FROM rental.report_receivables($3) "
	"UNION ALL SELECT 11, 'deposits_held', currency, 'currency', sum(held) FROM rental.report_deposits($3) GROUP BY currency "
	"UNION ALL SELECT 12, 'overdue_items', NULL, 'items', count(*) FROM rental.report_overdue($3, 10000)) m ORDER BY m.n, m.currency",
	TIMESTAMPTZOID, TIMESTAMPTZOID, UUIDOID);

/* dashboard_get(vendor_id uuid) */
PG_FUNCTION_INFO_V1(dashboard_get);
Datum
dashboard_get(PG_FUNCTION_ARGS)
{
	NullableDatum vendor = report_vendor(FCARG(0));
	NullableDatum result;

	plan_open();
	if (plan_read(vendor.isnull ? &dashboard_of_all : &dashboard_of_vendor, vendor) == 0)
		rental_raise(not_found, errmsg("no such vendor"), errfield("vendor_id"));
	result = plan_keep(0, 1);
	plan_close();
	return plan_return(fcinfo, result);
}

/* metric_list("from" timestamptz, "to" timestamptz, vendor_id uuid) */
PG_FUNCTION_INFO_V1(metric_list);
Datum
metric_list(PG_FUNCTION_ARGS)
{
	TimestampTz	  now = rental_now();
	NullableDatum to = PG_ARGISNULL(1) ? VALUE(TimestampTzGetDatum(now)) : FCARG(1);
	NullableDatum from =
		PG_ARGISNULL(0) ? VALUE(TimestampTzGetDatum(DatumGetTimestampTz(to.value) - 30 * USECS_PER_DAY)) : FCARG(0);

	period_check_window(DatumGetTimestampTz(from.value), DatumGetTimestampTz(to.value), "to");
	return report_rows(fcinfo, &metrics, (NullableDatum[]){from, to, report_vendor(FCARG(2))}, 3);
}
