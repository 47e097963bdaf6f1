/*
 * report_people.c
 *	  Reports on customers, on their time and on their money: from the books.
 */
#include "plan.h"
#include "report.h"

#define PLACED "('pending', 'confirmed', 'active', 'returned', 'completed')"
#define FIRM   "('confirmed', 'active', 'returned', 'completed')"
#define DIGITS ", rental.currency_exponent(currency))"

/* $3 vendor, $4 currency, $5 most */
PLAN(
	customers,
	"SELECT rank() OVER (PARTITION BY currency ORDER BY ordered DESC)::integer AS place, customer_id, (SELECT name FROM rental.users WHERE id = customer_id), currency, "
	"orders, round(ordered" DIGITS ", round(paid" DIGITS ", round(ordered / orders" DIGITS ", first_at, last_at FROM ("
	"SELECT o.customer_id, o.currency, count(*) AS orders, sum(o.total) AS ordered, sum(o.paid) AS paid, min(o.created_at) AS first_at, max(o.created_at) AS last_at "
	"FROM rental.orders o WHERE o.created_at >= $1 AND o.created_at < $2 AND o.status IN " PLACED
	" AND ($3 IS NULL OR o.vendor_id = $3) AND ($4 IS NULL OR o.currency = $4) "
	"GROUP BY 1, 2) c ORDER BY currency, place, customer_id LIMIT $5",
	TIMESTAMPTZOID, TIMESTAMPTZOID, UUIDOID, TEXTOID, INT4OID);
/* The first order of a customer with anybody asked for tells its cohort. */
PLAN(
	cohorts,
	"WITH placed AS (SELECT o.customer_id, o.currency, o.total, o.created_at, date_trunc('month', o.created_at AT TIME ZONE v.time_zone) AS month, o.vendor_id "
	" FROM rental.orders o JOIN rental.vendors v ON v.id = o.vendor_id WHERE o.status IN " PLACED
	" AND ($3 IS NULL OR o.vendor_id = $3)), "
	"first AS (SELECT DISTINCT ON (customer_id) customer_id, created_at, month FROM placed ORDER BY customer_id, created_at, month) "
	"SELECT f.month::date, (12 * (extract(year FROM p.month) - extract(year FROM f.month)) + extract(month FROM p.month) - extract(month FROM f.month))::integer, "
	"p.currency, count(DISTINCT p.customer_id), count(*), sum(p.total) FROM placed p JOIN first f USING (customer_id) "
	"WHERE f.created_at >= $1 AND f.created_at < $2 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
	TIMESTAMPTZOID, TIMESTAMPTZOID, UUIDOID);
/* $3 granularity, $4 vendor, $5 product, $6 location */
PLAN(
	durations,
	"SELECT date_trunc($3, o.created_at, v.time_zone), count(*), sum(i.quantity)::bigint, round(avg(extract(epoch FROM i.end_at - i.start_at)) / 3600, 2), "
	"round(avg(extract(epoch FROM i.start_at - o.created_at)) / 3600, 2) FROM rental.orders o JOIN rental.order_items i ON i.order_id = o.id AND i.vendor_id = o.vendor_id "
	"JOIN rental.vendors v ON v.id = o.vendor_id WHERE o.created_at >= $1 AND o.created_at < $2 AND o.status IN " PLACED
	" AND ($4 IS NULL OR o.vendor_id = $4) "
	"AND ($5 IS NULL OR i.product_id = $5) AND ($6 IS NULL OR i.location_id = $6) GROUP BY 1 ORDER BY 1",
	TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, UUIDOID, UUIDOID, UUIDOID);
/* $3 granularity, $4 vendor */
PLAN(
	late,
	"SELECT date_trunc($3, d.due_at, v.time_zone), count(*), count(*) FILTER (WHERE r.at > d.due_at), count(*) FILTER (WHERE o.status = 'active' AND d.due_at < rental.now()), "
	"COALESCE(round(avg(extract(epoch FROM r.at - d.due_at)) FILTER (WHERE r.at > d.due_at) / 3600, 2), 0) "
	"FROM (SELECT i.order_id, i.vendor_id, max(i.end_at) AS due_at FROM rental.order_items i WHERE $4 IS NULL OR i.vendor_id = $4 GROUP BY 1, 2) d "
	"JOIN rental.orders o ON o.id = d.order_id AND o.vendor_id = d.vendor_id JOIN rental.vendors v ON v.id = d.vendor_id "
	"LEFT JOIN LATERAL (SELECT max((e.data ->> 'returned_at')::timestamptz) AS at FROM rental.order_events e WHERE e.order_id = d.order_id AND e.kind = 'returned') r "
	" ON o.status IN ('returned', 'completed') "
	"WHERE d.due_at >= $1 AND d.due_at < $2 AND o.status IN ('active', 'returned', 'completed') GROUP BY 1 ORDER BY 1",
	TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, UUIDOID);
/* $1 vendor, $2 most */
PLAN(
	overdue,
	"SELECT i.vendor_id, i.order_id, o.number, o.customer_id, i.id, i.product_id, p.name, i.dispatched - i.returned, i.end_at, "
	"round(extract(epoch FROM rental.now() - i.end_at) / 3600, 2) FROM rental.order_items i JOIN rental.orders o ON o.id = i.order_id AND o.vendor_id = i.vendor_id "
	"JOIN rental.products p ON p.id = i.product_id AND p.vendor_id = i.vendor_id WHERE o.status = 'active' AND i.dispatched > i.returned AND i.end_at < rental.now() AND p.kind = 'rental' "
	"AND ($1 IS NULL OR i.vendor_id = $1) ORDER BY i.end_at, i.id LIMIT $2",
	UUIDOID, INT4OID);
/* $1 vendor, $2 currency */
PLAN(
	receivables,
	"SELECT currency, count(*), COALESCE(sum(open) FILTER (WHERE days < 0), 0 * sum(open)), COALESCE(sum(open) FILTER (WHERE days >= 0 AND days < 30), 0 * sum(open)), "
	"COALESCE(sum(open) FILTER (WHERE days >= 30 AND days < 60), 0 * sum(open)), COALESCE(sum(open) FILTER (WHERE days >= 60 AND days < 90), 0 * sum(open)), "
	"COALESCE(sum(open) FILTER (WHERE days >= 90), 0 * sum(open)), sum(open) FROM ("
	"SELECT n.currency, n.total - n.paid - n.credited - n.written_off AS open, extract(epoch FROM rental.now() - n.due_at) / 86400 AS days FROM rental.invoices n "
	"WHERE n.status IN ('issued', 'partly_paid') AND n.kind = 'invoice' AND ($1 IS NULL OR n.vendor_id = $1) AND ($2 IS NULL OR n.currency = $2)) x "
	"WHERE open <> 0 GROUP BY 1 ORDER BY 1",
	UUIDOID, TEXTOID);
/* $1 vendor */
PLAN(
	deposits,
	"SELECT p.vendor_id, p.currency, count(*), sum(p.amount - p.captured - p.released), sum(p.captured) FROM rental.payments p WHERE p.kind = 'deposit' "
	"AND p.status IN ('authorised', 'succeeded') AND p.amount > p.captured + p.released AND ($1 IS NULL OR p.vendor_id = $1) GROUP BY 1, 2 ORDER BY 1, 2",
	UUIDOID);
/* $3 granularity, $4 vendor */
PLAN(
	commission,
	"SELECT date_trunc($3, x.at, v.time_zone), x.vendor_id, x.currency, sum(x.commission), sum(x.payout) FROM ("
	"SELECT e.vendor_id, e.created_at AS at, e.currency, e.amount AS commission, 0 * e.amount AS payout FROM rental.ledger_entries e WHERE e.account = 'commission' AND e.created_at >= $1 AND e.created_at < $2 "
	"UNION ALL SELECT p.vendor_id, p.created_at, p.currency, 0 * p.amount, p.amount FROM rental.payouts p WHERE p.created_at >= $1 AND p.created_at < $2) x "
	"JOIN rental.vendors v ON v.id = x.vendor_id WHERE $4 IS NULL OR x.vendor_id = $4 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
	TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, UUIDOID);

/* report_customers("from", "to", vendor_id, currency, most) */
PG_FUNCTION_INFO_V1(report_customers);
Datum
report_customers(PG_FUNCTION_ARGS)
{
	return report_books(fcinfo, &customers,
						(ReportShape){.has_period = true, .granularity = -1, .vendor = 2, .most = 4});
}

/* report_cohorts("from", "to", vendor_id) */
PG_FUNCTION_INFO_V1(report_cohorts);
Datum
report_cohorts(PG_FUNCTION_ARGS)
{
	return report_books(fcinfo, &cohorts,
						(ReportShape){.has_period = true, .granularity = -1, .vendor = 2, .most = -1});
}

#define BY_TIME ((ReportShape){.has_period = true, .granularity = 2, .vendor = 3, .most = -1})

/* report_durations("from", "to", granularity, vendor_id, product_id, location_id) */
PG_FUNCTION_INFO_V1(report_durations);
Datum
report_durations(PG_FUNCTION_ARGS)
{
	return report_books(fcinfo, &durations, BY_TIME);
}

/* report_late("from", "to", granularity, vendor_id) */
PG_FUNCTION_INFO_V1(report_late);
Datum
report_late(PG_FUNCTION_ARGS)
{
	return report_books(fcinfo, &late, BY_TIME);
}

/* report_overdue(vendor_id, most) */
PG_FUNCTION_INFO_V1(report_overdue);
Datum
report_overdue(PG_FUNCTION_ARGS)
{
	return report_books(fcinfo, &overdue, (ReportShape){.granularity = -1, .vendor = 0, .most = 1});
}

/* report_receivables(vendor_id, currency) */
PG_FUNCTION_INFO_V1(report_receivables);
Datum
report_receivables(PG_FUNCTION_ARGS)
{
	return report_books(fcinfo, &receivables, (ReportShape){.granularity = -1, .vendor = 0, .most = -1});
}

/* report_deposits(vendor_id) */
PG_FUNCTION_INFO_V1(report_deposits);
Datum
report_deposits(PG_FUNCTION_ARGS)
{
	return report_books(fcinfo, &deposits, (ReportShape){.granularity = -1, .vendor = 0, .most = -1});
}

/* report_commission("from", "to", granularity, vendor_id) */
PG_FUNCTION_INFO_V1(report_commission);
Datum
report_commission(PG_FUNCTION_ARGS)
{
	return report_books(fcinfo, &commission, BY_TIME);
}
