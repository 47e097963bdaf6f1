/*
 * report_stock.c
 *	  Reports on products and what they are worth: rankings, utilisation, stock turn, units, inventory.
 */
#include "actor.h"
#include "amount.h"
#include "catalog.h"
#include "errors.h"
#include "facts.h"
#include "report.h"
#include "request.h"

/* from, to, by, vendor, category, product, location */
#define BY_PRODUCT ((ReportShape){.has_period = true, .granularity = -1, .vendor = 3, .most = -1})

/* Which products, once the period's arguments are passed: $9 by, $10 category, $11 product, $12 location */
#define CHOSEN_PRODUCTS                                                                                                       \
	"chosen AS NOT MATERIALIZED (SELECT p.*, (SELECT v.currency FROM rental.vendors v WHERE v.id = p.vendor_id) AS currency " \
	"FROM rental.products p WHERE ($4 IS NULL OR p.vendor_id = $4) "                                                          \
	"AND ($10 IS NULL OR p.category_id IN (SELECT rental.category_below($10))) AND ($11 IS NULL OR p.id = $11)) "
#define GROUP_ID(place)                                                                               \
	"CASE $9 WHEN 'product' THEN p.id WHEN 'category' THEN p.category_id WHEN 'location' THEN " place \
	" ELSE p.vendor_id END"
#define GROUP_NAME                                                                            \
	"CASE $9 WHEN 'product' THEN (SELECT name FROM rental.products WHERE id = g.id LIMIT 1) " \
	"WHEN 'category' THEN (SELECT name FROM rental.categories WHERE id = g.id) "              \
	"WHEN 'location' THEN (SELECT name FROM rental.locations WHERE id = g.id LIMIT 1) "       \
	"ELSE (SELECT name FROM rental.vendors WHERE id = g.id) END"
#define PRODUCT_ARGS UUIDOID, UUIDOID, UUIDOID

PLAN_ANEW(
	ranking,
	PRODUCT_FACTS_OF_PERIOD
	", " CHOSEN_PRODUCTS
	"SELECT rank() OVER (PARTITION BY currency ORDER BY recognised DESC, booked DESC)::integer AS place, id, " GROUP_NAME
	", currency, pieces, booked, recognised FROM ("
	"SELECT " GROUP_ID(
		"f.location_id") " AS id, f.currency, sum(f.pieces)::bigint AS pieces, round(sum(f.booked), rental.currency_exponent(f.currency)) AS booked, "
						 "round(sum(f.recognised), rental.currency_exponent(f.currency)) AS recognised FROM facts f JOIN chosen p ON p.id = f.product_id AND p.vendor_id = f.vendor_id "
						 "WHERE $12 IS NULL OR f.location_id = $12 GROUP BY 1, 2 HAVING sum(f.pieces) <> 0 OR sum(f.booked) <> 0 OR sum(f.recognised) <> 0) g "
						 "ORDER BY currency, place, id LIMIT $13",
	FACT_PERIOD_TYPES, FACT_PART_TYPES, TEXTOID, PRODUCT_ARGS, INT4OID);

/* What could be rented: the capacity of each product at each location over the period, in pieces times seconds */
#define POSSIBLE                                                                                                                                                  \
	"possible AS (SELECT s.vendor_id, s.product_id, s.location_id, sum(t.value * extract(epoch FROM LEAST(t.end_at, $2) - GREATEST(t.start_at, $1))) AS seconds " \
	"FROM rental.stock s JOIN chosen p ON p.id = s.product_id AND p.vendor_id = s.vendor_id JOIN rental.timelines l ON l.product_id = s.product_id "              \
	"AND l.location_id = s.location_id AND l.vendor_id = s.vendor_id AND l.lower = '-infinity', LATERAL rental.timeline_steps(l.free, tstzrange($1, $2)) t "      \
	"WHERE ($12 IS NULL OR s.location_id = $12) AND p.kind = 'rental' GROUP BY 1, 2, 3), "
#define USED                                                                                                                                                                  \
	"used AS (SELECT f.vendor_id, f.product_id, f.location_id, sum(f.pieces) AS pieces, sum(f.rented) AS seconds, sum(f.recognised) AS recognised FROM facts f "              \
	"JOIN chosen p ON p.id = f.product_id AND p.vendor_id = f.vendor_id WHERE ($12 IS NULL OR f.location_id = $12) AND p.kind = 'rental' GROUP BY 1, 2, 3), "                 \
	"g AS (SELECT " GROUP_ID(                                                                                                                                                 \
		"location_id") " AS id, p.currency, COALESCE(sum(u.pieces), 0) AS pieces, COALESCE(sum(u.seconds), 0) AS rented, COALESCE(sum(x.seconds), 0) AS possible, "           \
					   "COALESCE(sum(u.recognised), 0) AS recognised, sum(x.seconds * COALESCE(p.purchase_cost, p.replacement_value)) / extract(epoch FROM $2 - $1) AS cost " \
					   "FROM used u FULL JOIN possible x USING (vendor_id, product_id, location_id) JOIN chosen p ON p.id = COALESCE(u.product_id, x.product_id) AND p.vendor_id = COALESCE(u.vendor_id, x.vendor_id) GROUP BY 1, 2) "
PLAN_ANEW(
	utilisation,
	PRODUCT_FACTS_OF_PERIOD
	", " CHOSEN_PRODUCTS ", " POSSIBLE USED "SELECT id, " GROUP_NAME
	", currency, round(rented / 3600.0, 2), round(possible / 3600, 2), round(rented / NULLIF(possible, 0), 4), "
	"round(recognised, rental.currency_exponent(currency)), round(cost, rental.currency_exponent(currency)), "
	"round(recognised / NULLIF(cost, 0) * (365 * 86400 / extract(epoch FROM $2 - $1)), 4) FROM g WHERE rented <> 0 OR possible <> 0 OR recognised <> 0 ORDER BY 2, 1",
	FACT_PERIOD_TYPES, FACT_PART_TYPES, TEXTOID, PRODUCT_ARGS);
PLAN_ANEW(
	turn,
	PRODUCT_FACTS_OF_PERIOD
	", " CHOSEN_PRODUCTS ", " POSSIBLE USED "SELECT id, " GROUP_NAME
	", pieces::bigint, round(possible / extract(epoch FROM $2 - $1), 2), round(pieces / NULLIF(possible / extract(epoch FROM $2 - $1), 0), 4) "
	"FROM g WHERE pieces <> 0 OR possible <> 0 ORDER BY 2, 1",
	FACT_PERIOD_TYPES, FACT_PART_TYPES, TEXTOID, PRODUCT_ARGS);
/* $3 vendor, $4 product */
PLAN_ANEW(
	units,
	"WITH served AS MATERIALIZED (SELECT a.unit_id, a.vendor_id, i.product_id, sum(extract(epoch FROM LEAST(i.end_at, $2) - GREATEST(i.start_at, $1))) AS seconds, "
	" sum(round(s.sum / i.quantity, rental.currency_exponent(o.currency))) AS earned "
	" FROM rental.unit_assignments a JOIN rental.reservations r ON r.id = a.reservation_id AND r.vendor_id = a.vendor_id "
	" JOIN rental.order_items i ON i.id = r.order_item_id AND i.vendor_id = r.vendor_id "
	" JOIN rental.orders o ON o.id = i.order_id AND o.vendor_id = i.vendor_id, "
	" LATERAL rental.facts_share(i.start_at, i.end_at, 1, i.subtotal - i.discount, o.currency, $1, $2) s "
	" WHERE a.blocked && tstzrange($1, $2) AND o.status IN ('confirmed', 'active', 'returned', 'completed') "
	" AND i.start_at < $2 AND i.end_at > $1 AND ($3 IS NULL OR a.vendor_id = $3) AND ($4 IS NULL OR i.product_id = $4) GROUP BY 1, 2, 3) "
	"SELECT u.id, u.code, u.product_id, p.name, v.currency, COALESCE(round(x.seconds / 3600, 2), 0), round(COALESCE(x.earned, 0), rental.currency_exponent(v.currency)), "
	"c.cost, round(COALESCE(x.earned, 0) / NULLIF(c.cost, 0), 4) "
	"FROM rental.units u JOIN rental.products p ON p.id = u.product_id AND p.vendor_id = u.vendor_id JOIN rental.vendors v ON v.id = u.vendor_id "
	"LEFT JOIN served x ON x.unit_id = u.id AND x.vendor_id = u.vendor_id AND x.product_id = u.product_id, "
	"LATERAL (SELECT COALESCE(u.purchase_cost, p.purchase_cost, p.replacement_value) AS cost) c "
	"WHERE ($3 IS NULL OR u.vendor_id = $3) AND ($4 IS NULL OR u.product_id = $4) ORDER BY p.name, u.code, u.id",
	TIMESTAMPTZOID, TIMESTAMPTZOID, UUIDOID, UUIDOID);
/* $1 at, $2 vendor, $3 category, $4 product, $5 location */
PLAN(
	inventory,
	"SELECT s.product_id, p.name, s.location_id, v.currency, q.counted + n.units, "
	"round(COALESCE(n.cost, 0) + q.counted * COALESCE(p.purchase_cost, p.replacement_value, 0), rental.currency_exponent(v.currency)) FROM rental.stock s "
	"JOIN rental.products p ON p.id = s.product_id AND p.vendor_id = s.vendor_id JOIN rental.vendors v ON v.id = s.vendor_id, "
	"LATERAL (SELECT s.quantity + COALESCE((SELECT sum(c.quantity) FROM unnest(s.changes) AS c WHERE c.at <= COALESCE($1, rental.now())), 0) AS counted) q, "
	"LATERAL (SELECT count(*) AS units, sum(COALESCE(u.purchase_cost, p.purchase_cost, p.replacement_value)) AS cost FROM rental.unit_place w JOIN rental.units u "
	" ON u.id = w.unit_id AND u.vendor_id = w.vendor_id WHERE w.product_id = s.product_id AND w.vendor_id = s.vendor_id AND w.location_id = s.location_id "
	" AND w.period @> COALESCE($1, rental.now())) n "
	"WHERE ($2 IS NULL OR s.vendor_id = $2) AND ($3 IS NULL OR p.category_id IN (SELECT rental.category_below($3))) AND ($4 IS NULL OR s.product_id = $4) "
	"AND ($5 IS NULL OR s.location_id = $5) AND q.counted + n.units <> 0 ORDER BY p.name, s.product_id, s.location_id",
	TIMESTAMPTZOID, UUIDOID, UUIDOID, UUIDOID, UUIDOID);
PLAN(cost_of_product, "UPDATE rental.products SET purchase_cost = $2 WHERE id = $1", UUIDOID, NUMERICOID);
PLAN(cost_of_unit, "UPDATE rental.units SET purchase_cost = $3 WHERE product_id = $1 AND id = $2", UUIDOID, UUIDOID,
	 NUMERICOID);

static void
check_by(FunctionCallInfo fcinfo)
{
	request_word(request_required_text(FCARG(2), "by", 20), "by",
				 (const char *[]){"product", "category", "location", "vendor", NULL});
}

/* report_ranking("from", "to", by, vendor_id, category_id, product_id, location_id, most) */
PG_FUNCTION_INFO_V1(report_ranking);
Datum
report_ranking(PG_FUNCTION_ARGS)
{
	check_by(fcinfo);
	return report_product_facts(fcinfo, &ranking,
								(ReportShape){.has_period = true, .granularity = -1, .vendor = 3, .most = 7});
}

/* report_utilisation("from", "to", by, vendor_id, category_id, product_id, location_id) */
PG_FUNCTION_INFO_V1(report_utilisation);
Datum
report_utilisation(PG_FUNCTION_ARGS)
{
	check_by(fcinfo);
	return report_product_facts(fcinfo, &utilisation, BY_PRODUCT);
}

/* report_stock_turn("from", "to", by, vendor_id, category_id, product_id, location_id) */
PG_FUNCTION_INFO_V1(report_stock_turn);
Datum
report_stock_turn(PG_FUNCTION_ARGS)
{
	check_by(fcinfo);
	return report_product_facts(fcinfo, &turn, BY_PRODUCT);
}

/* report_units("from", "to", vendor_id, product_id) */
PG_FUNCTION_INFO_V1(report_units);
Datum
report_units(PG_FUNCTION_ARGS)
{
	return report_books(fcinfo, &units, (ReportShape){.has_period = true, .granularity = -1, .vendor = 2, .most = -1});
}

/* report_inventory(at, vendor_id, category_id, product_id, location_id) */
PG_FUNCTION_INFO_V1(report_inventory);
Datum
report_inventory(PG_FUNCTION_ARGS)
{
	return report_books(fcinfo, &inventory, (ReportShape){.granularity = -1, .vendor = 1, .most = -1});
}

/* purchase_cost_set(product_id uuid, amount numeric, unit_id uuid) */
PG_FUNCTION_INFO_V1(purchase_cost_set);
Datum
purchase_cost_set(PG_FUNCTION_ARGS)
{
	Product product;

	request_required(FCARG(0), "product_id");
	plan_open();
	if (!product_find(PG_GETARG_UUID_P(0), NULL, &product))
		rental_raise(not_found, errmsg("no such product"), errfield("product_id"));
	actor_require_vendor(&product.vendor_id);
	if (!PG_ARGISNULL(1))
		amount_check(PG_GETARG_DATUM(1), product.currency, "amount");
	if (PG_ARGISNULL(2))
		plan_run(&cost_of_product, FCARG(0), FCARG(1));
	else if (plan_run(&cost_of_unit, FCARG(0), FCARG(2), FCARG(1)) == 0)
		rental_raise(not_found, errmsg("the product has no such unit"), errfield("unit_id"));
	plan_close();
	PG_RETURN_VOID();
}
