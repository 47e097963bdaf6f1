/*
 * facts.h
 *	  The SQL by which reports read facts: those folded, those not yet folded, and the books for parts of days (see facts.c).
 */
#ifndef RENTAL_FACTS_H
#define RENTAL_FACTS_H

#include "plan.h"

/* SQL in lines of its own */
/* clang-format off */

/* Each measure of facts_daily and facts_monthly, and of facts_products: a column */
#define VENDOR_MEASURES(each, separator)   \
	each(draft) separator each(quoted)     \
	separator			  each(pending)    \
	separator			  each(confirmed)  \
	separator			  each(active)     \
	separator			  each(returned)   \
	separator			  each(completed)  \
	separator			  each(cancelled)  \
	separator			  each(rejected)   \
	separator			  each(expired)    \
	separator			  each(ordered)    \
	separator			  each(lost)       \
	separator			  each(pieces)     \
	separator			  each(rented)     \
	separator			  each(recognised) \
	separator			  each(invoices)   \
	separator			  each(billed)     \
	separator			  each(payments)   \
	separator			  each(paid)
#define PRODUCT_MEASURES(each, separator) \
	each(pieces) separator each(booked)   \
	separator			   each(rented)   \
	separator			   each(recognised)
#define COLUMN(column)	 #column
#define COLUMN_F(column) "f." #column

/* Where facts come from, those of a time and those that last: the books, all deltas, and those that are being folded */
#define BOOKS_EVENTS	 "rental.facts_events"
#define BOOKS_SPANS		 "rental.facts_spans"
#define DELTAS_EVENTS	 "(SELECT * FROM rental.facts_delta WHERE until IS NULL AND kind <> 'moved')"
#define DELTAS_SPANS	 "(SELECT * FROM rental.facts_delta WHERE until IS NOT NULL)"
#define TAKEN_EVENTS	 "(SELECT * FROM taken WHERE until IS NULL AND kind <> 'moved')"
#define TAKEN_SPANS		 "(SELECT * FROM taken WHERE until IS NOT NULL)"
/* The facts of BOOKS, DELTAS or TAKEN by day or month, of whose time zone; filter is AND with a condition on x, or nothing */
#define SPREAD(rows, unit, filter)                                                                                            \
	"SELECT x.vendor_id, v.time_zone, date_trunc('" unit                                                                      \
	"', x.at AT TIME ZONE v.time_zone)::date AS day, x.product_id, x.location_id, "                                           \
	"x.currency, x.kind, x.n::bigint AS n, x.amount FROM " rows##_EVENTS                                                      \
		" x JOIN rental.vendors v ON v.id = x.vendor_id WHERE true" filter                                                    \
		" UNION ALL SELECT vendor_id, time_zone, (s).day, product_id, location_id, currency, kind, (s).count, (s).sum FROM (" \
		"SELECT x.vendor_id, v.time_zone, x.product_id, x.location_id, x.currency, x.kind, "                                  \
		"rental.facts_spread(x.at, x.until, x.n, x.amount, x.currency, v.time_zone, '" unit                                   \
		"') AS s FROM " rows##_SPANS " x JOIN rental.vendors v ON v.id = x.vendor_id WHERE true" filter " OFFSET 0) y"
#define KINDS_BY_VENDOR(rows, unit, filter)                                                            \
	"SELECT vendor_id, day, currency, kind, sum(n)::bigint AS n, sum(amount) AS amount FROM (" SPREAD( \
		rows, unit, filter) ") z GROUP BY 1, 2, 3, 4"
#define KINDS_BY_PRODUCT(rows, filter)                                                                                          \
	"SELECT vendor_id, day, product_id, location_id, currency, kind, sum(n)::bigint AS n, sum(amount) AS amount FROM (" SPREAD( \
		rows, "month", filter " AND x.product_id IS NOT NULL") ") z GROUP BY 1, 2, 3, 4, 5, 6"

#define COUNT_OF(kinds)	 "COALESCE(sum(n) FILTER (WHERE kind " kinds "), 0)::bigint"
#define AMOUNT_OF(kinds) "COALESCE(sum(amount) FILTER (WHERE kind " kinds "), 0)"
/* Kinds become measures: of vendors, and of products */
#define VENDOR_PIVOT(day, kinds)                                                                                                                                                                                                                                                                                   \
	"SELECT vendor_id, " day                                                                                                                                                                                                                                                                                       \
	", currency, " COUNT_OF("= 'draft'") " AS draft, " COUNT_OF("= 'quoted'") " AS quoted, " COUNT_OF("= 'pending'") " AS pending, " COUNT_OF(                                                                                                                                                                     \
		"= 'confirmed'") " AS "                                                                                                                                                                                                                                                                                    \
						 "confirmed, " COUNT_OF("= 'active'") " AS active, " COUNT_OF("= 'returned'") " AS returned, " COUNT_OF("= 'completed'") " AS completed, " COUNT_OF("= 'cancelled'") " AS cancelled, " COUNT_OF(                                                                                           \
							 "= 'rejected'") " "                                                                                                                                                                                                                                                                   \
											 "AS rejected, " COUNT_OF("= 'expired'") " AS expired, " AMOUNT_OF("IN ('pending', 'confirmed', 'active', 'returned', 'completed')") " AS ordered, " AMOUNT_OF("IN ('cancelled', 'rejected', 'expired')") " AS lost, " COUNT_OF("= 'booked'") " AS pieces, " COUNT_OF( \
												 "= 'rented'") " AS rented, " AMOUNT_OF("= 'rented'") " AS recognised, " COUNT_OF("= 'billed'") " AS "                                                                                                                                                             \
																																				"invoices, " AMOUNT_OF("= 'billed'") " AS billed, " COUNT_OF(                                                                                                      \
																																					"= 'paid'") " AS payments, " AMOUNT_OF("= 'paid'") " AS paid FROM (" kinds                                                                                     \
																																																	   ") k GROUP BY 1, 2, 3"
#define PRODUCT_PIVOT(day, kinds)                                                                                            \
	"SELECT vendor_id, " day ", product_id, location_id, currency, " COUNT_OF("= 'booked'") " AS pieces, " AMOUNT_OF(        \
		"= 'booked'") " AS booked, " COUNT_OF("= 'rented'") " AS rented, " AMOUNT_OF("= 'rented'") " AS "                    \
																								   "recognised FROM (" kinds \
																								   ") k GROUP BY 1, 2, 3, 4, 5"

/*
 * A period [$1, $2) by $3, hour to year, of vendor $4 or all: for each time
 * zone the whole days [d1, d2) and among them the whole months [m1, m2), which
 * are read from facts, and what is before e1 and from e2 on, parts of days,
 * which is read from the books. By hour all is.
 */
#define DAY_BEGINS(day) "((" day ")::timestamp AT TIME ZONE z.time_zone)"
#define FACT_ZONES(by_month)                                                                                                                         \
	"SELECT z.time_zone, c.d1, c.d2, c.e1, c.e2, CASE WHEN m.some THEN m.first ELSE c.d2 END AS m1, "                                                \
	"CASE WHEN m.some THEN m.last ELSE c.d2 END AS m2 "                                                                                              \
	"FROM (SELECT DISTINCT time_zone FROM rental.vendors WHERE $4 IS NULL OR id = $4) z, "                                                           \
	"LATERAL (SELECT ($1 AT TIME ZONE z.time_zone)::date AS first, ($2 AT TIME ZONE z.time_zone)::date AS last) a, "                                 \
	"LATERAL (SELECT a.first + (" DAY_BEGINS(                                                                                                        \
		"a.first") " < $1)::int AS first) b, "                                                                                                       \
				   "LATERAL (SELECT $3 <> 'hour' AND b.first <= a.last AS some) w, "                                                                 \
				   "LATERAL (SELECT CASE WHEN w.some THEN b.first ELSE a.last END AS d1, a.last AS d2, "                                             \
				   " CASE WHEN w.some THEN " DAY_BEGINS(                                                                                             \
					   "b.first") " ELSE $2 END AS e1, "                                                                                             \
								  " CASE WHEN w.some THEN " DAY_BEGINS(                                                                              \
									  "a.last") " ELSE $2 END AS e2) c, "                                                                            \
												"LATERAL (SELECT (date_trunc('month', (c.d1 - 1)::timestamp) + interval '1 month')::date AS first, " \
												" date_trunc('month', c.d2::timestamp)::date AS last) n, "                                           \
												"LATERAL (SELECT n.*, w.some AND " by_month                                                          \
												" AND n.first < n.last AS some) m"

/* Which of them there are, as arguments of the plans below: whole months, other whole days, e1 and e2 where there are parts of days */
#define FACT_PARTS_OF(zones)                                                                                 \
	"SELECT bool_or(z.m1 < z.m2), bool_or(z.d1 < z.m1 OR z.m2 < z.d2), max(z.e1) FILTER (WHERE z.e1 > $1), " \
	"min(z.e2) FILTER (WHERE z.e2 < $2) FROM (" zones ") z"
#define FACT_PARTS(by_month) FACT_PARTS_OF(FACT_ZONES(by_month))
#define FACT_PERIOD_TYPES	 TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, UUIDOID
#define FACT_PART_TYPES		 BOOLOID, BOOLOID, TIMESTAMPTZOID, TIMESTAMPTZOID

/* Which deltas can have any of its whole days, as a condition on x */
#define OF_PERIOD			 " AND ($4 IS NULL OR x.vendor_id = $4) AND x.at < $2 AND COALESCE(x.until, x.at) >= $1"

/* The parts of days: events and spans of the books in [a, b) of piece p */
#define PIECES                                                                                                           \
	"pieces AS MATERIALIZED (SELECT z.time_zone, z.early, date_trunc($3, z.a, z.time_zone) AS start_at, z.a, z.b FROM (" \
	" SELECT time_zone, true AS early, $1 AS a, e1 AS b FROM zones WHERE $3 <> 'hour' AND e1 > $1"                       \
	" UNION ALL SELECT time_zone, false, e2, $2 FROM zones WHERE $3 <> 'hour' AND e2 < $2"                               \
	" UNION ALL SELECT time_zone, true, GREATEST(h, $1), LEAST(h + interval '1 hour', $2) FROM zones, "                  \
	" generate_series(date_trunc('hour', $1, time_zone), $2, interval '1 hour') h "                                      \
	" WHERE $3 = 'hour' AND h < $2 AND h + interval '1 hour' > $1) z)"
/* One vendor's are found by it, all vendors' by the time: so the books come first, and then whose they are. */
#define PART_OF(books, when) \
	"(SELECT * FROM " books " x WHERE ($4 IS NULL OR x.vendor_id = $4) AND " when " OFFSET 0) x "
#define PART_EVENTS(columns, early, low, high) \
	"SELECT x.vendor_id, p.start_at, " columns "x.currency, x.kind, x.n::bigint AS n, x.amount FROM " \
	PART_OF(BOOKS_EVENTS, "x.at >= " low " AND x.at < " high) "JOIN rental.vendors v ON v.id = x.vendor_id " \
	"JOIN pieces p ON p.time_zone = v.time_zone AND p.early = " early " AND x.at >= p.a AND x.at < p.b"
/* what lasts is found by its lines, which are in the order of time, whatever the planner thinks of the two bounds */
#define PART_SPANS(columns, early, low, high) \
	"SELECT x.vendor_id, p.start_at, " columns "x.currency, x.kind, s.count AS n, s.sum AS amount FROM " \
	PART_OF(BOOKS_SPANS, "x.at < " high " AND x.until > " low " AND x.order_id = ANY (ARRAY(SELECT i.order_id FROM rental.order_items i " \
		"WHERE i.start_at < " high " AND i.end_at > " low " AND ($4 IS NULL OR i.vendor_id = $4)))") \
	"JOIN rental.vendors v ON v.id = x.vendor_id JOIN pieces p ON p.time_zone = v.time_zone AND p.early = " early " AND x.at < p.b AND x.until > p.a, " \
	"LATERAL rental.facts_share(x.at, x.until, x.n, x.amount, x.currency, p.a, p.b) s"
#define PART_KINDS(columns, e1, e2)                                                \
	PART_EVENTS(columns, "true", "$1", e1)                                         \
	" UNION ALL " PART_SPANS(columns, "true", "$1", e1) " UNION ALL " PART_EVENTS( \
		columns, "false", e2, "$2") " UNION ALL " PART_SPANS(columns, "false", e2, "$2")

/* What PIECES and PART_KINDS read beside zones */
#define FACT_PIECES                                                                                      \
	"vendors_in AS MATERIALIZED (SELECT v.id, z.* FROM rental.vendors v JOIN zones z USING (time_zone) " \
	"WHERE $4 IS NULL OR v.id = $4), " PIECES " "
/* Kinds, by vendor_id, start_at and currency, of deltas of whole days and of parts of days up to e1 and from e2 on */
#define FACTS_NOT_FOLDED(e1, e2) \
	"SELECT s.vendor_id, date_trunc($3, s.day::timestamp) AT TIME ZONE s.time_zone AS start_at, s.currency, s.kind, s.n, s.amount FROM (" \
	SPREAD(DELTAS, "day", OF_PERIOD) \
	") s JOIN zones z ON z.time_zone = s.time_zone AND s.day >= z.d1 AND s.day < z.d2 UNION ALL " PART_KINDS("", e1, e2)

/*
 * facts: the measures of vendors by period, vendor and currency; $5 to $8 are
 * FACT_PARTS. What has none of a part costs nothing for it.
 */
#define VENDOR_FACTS_BY_PERIOD \
	"WITH zones AS MATERIALIZED (" FACT_ZONES("$3 IN ('month', 'quarter', 'year')") "), " FACT_PIECES ", folded AS (" \
	"SELECT v.time_zone, f.* FROM vendors_in v JOIN rental.facts_monthly f ON f.vendor_id = v.id AND f.day >= v.m1 AND f.day < v.m2 WHERE $5" \
	" UNION ALL SELECT v.time_zone, f.* FROM vendors_in v JOIN rental.facts_daily f ON f.vendor_id = v.id AND f.day >= v.d1 AND f.day < v.m1 WHERE $6" \
	" UNION ALL SELECT v.time_zone, f.* FROM vendors_in v JOIN rental.facts_daily f ON f.vendor_id = v.id AND f.day >= v.m2 AND f.day < v.d2 WHERE $6), " \
	"facts AS (SELECT f.vendor_id, date_trunc($3, f.day::timestamp) AT TIME ZONE f.time_zone AS start_at, f.currency, " VENDOR_MEASURES(COLUMN_F, ", ") \
	" FROM folded f UNION ALL " VENDOR_PIVOT("start_at", FACTS_NOT_FOLDED("$7", "$8")) ") "

/*
 * The same of products, over the whole of [$1, $2): $3 is 'month', whole
 * months are read from facts_products and the rest from the books.
 */
#define PRODUCT_ZONES                                                                                                   \
	"SELECT z.time_zone, w.first AS m1, w.last AS m2, w.first AS d1, w.last AS d2, "                                    \
	"CASE WHEN w.first <= w.last THEN " DAY_BEGINS(                                                                     \
		"w.first") " ELSE $2 END AS e1, "                                                                               \
				   "CASE WHEN w.first <= w.last THEN " DAY_BEGINS(                                                      \
					   "w.last") " ELSE $2 END AS e2 "                                                                  \
								 "FROM (SELECT DISTINCT time_zone FROM rental.vendors WHERE $4 IS NULL OR id = $4) z, " \
								 "LATERAL (SELECT date_trunc('month', $1 AT TIME ZONE z.time_zone)::date AS first, "    \
								 " date_trunc('month', $2 AT TIME ZONE z.time_zone)::date AS last) a, "                 \
								 "LATERAL (SELECT CASE WHEN " DAY_BEGINS(                                               \
									 "a.first") " < $1 THEN (a.first + interval '1 month')::date ELSE a.first END AS first, a.last) w"
#define PRODUCT_PARTS FACT_PARTS_OF(PRODUCT_ZONES)
#define PRODUCT_FACTS_NOT_FOLDED                                                                                                                    \
	"SELECT s.vendor_id, s.product_id, s.location_id, s.currency, s.kind, s.n, s.amount FROM (" SPREAD(                                             \
		DELTAS, "month",                                                                                                                            \
		OF_PERIOD                                                                                                                                   \
		" AND x.product_id IS NOT NULL") ") s JOIN vendors_in v ON v.id = s.vendor_id AND s.day >= v.m1 AND s.day < v.m2 WHERE $5 OR $6 UNION ALL " \
										 "SELECT q.vendor_id, q.product_id, q.location_id, q.currency, q.kind, q.n, q.amount FROM (" PART_KINDS(    \
											 "x.product_id, x.location_id, ", "$7",                                                                 \
											 "$8") ") q WHERE q.kind IN ('booked', 'rented')"
#define PRODUCT_FACTS_OF_PERIOD                                                                                                                 \
	"WITH zones AS MATERIALIZED (" PRODUCT_ZONES "), "                                                                                          \
	"vendors_in AS MATERIALIZED (SELECT v.id, z.* FROM rental.vendors v JOIN zones z USING (time_zone) WHERE $4 IS NULL OR v.id = $4), " PIECES \
	", facts AS (SELECT f.vendor_id, f.product_id, f.location_id, f.currency, " PRODUCT_MEASURES(                                               \
		COLUMN_F,                                                                                                                               \
		", ") " FROM vendors_in v JOIN rental.facts_products f ON f.vendor_id = v.id AND f.day >= v.m1 AND f.day < v.m2 WHERE $5"               \
			  " UNION ALL SELECT f.vendor_id, f.product_id, f.location_id, f.currency, " PRODUCT_MEASURES(                                      \
				  COLUMN_F, ", ") " FROM (" PRODUCT_PIVOT("NULL::date AS day", PRODUCT_FACTS_NOT_FOLDED) ") f) "

/* clang-format on */

#endif /* RENTAL_FACTS_H */
