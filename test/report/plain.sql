-- Each report once more, as its formula in rental.report_catalog says, in plain SQL over the tables that people's changes go to.

-- parts of a period by granularity, on a vendor's clock
CREATE FUNCTION pg_temp.parts(f timestamptz, t timestamptz, g text, zone text) RETURNS TABLE (start_at timestamptz, a timestamptz, b timestamptz) LANGUAGE sql STABLE AS $$
	SELECT s, GREATEST(s, f), LEAST(e, t) FROM (
		SELECT l AT TIME ZONE zone AS s, (l + i.step) AT TIME ZONE zone AS e
		FROM (SELECT CASE g WHEN 'quarter' THEN interval '3 months' ELSE ('1 ' || g)::interval END AS step) i,
			generate_series(date_trunc(g, f AT TIME ZONE zone), t AT TIME ZONE zone, i.step) l WHERE g <> 'hour'
		UNION ALL SELECT h, h + interval '1 hour' FROM generate_series(date_trunc('hour', f, zone), t, interval '1 hour') h WHERE g = 'hour') p
	WHERE s < t AND e > f
$$;
CREATE FUNCTION pg_temp.earned(amount numeric, digits integer, s timestamptz, e timestamptz, a timestamptz, b timestamptz) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN b = e THEN amount ELSE round(amount * extract(epoch FROM b - s) / extract(epoch FROM e - s), digits) END
		- round(amount * extract(epoch FROM a - s) / extract(epoch FROM e - s), digits)
$$;

CREATE FUNCTION pg_temp.report_revenue(f timestamptz, t timestamptz, g text DEFAULT 'month', v_id uuid DEFAULT NULL, c text DEFAULT NULL, by_vendor boolean DEFAULT false)
	RETURNS SETOF rental.revenue_row LANGUAGE sql STABLE AS $$
	WITH v AS MATERIALIZED (SELECT * FROM rental.vendors WHERE v_id IS NULL OR id = v_id), line AS MATERIALIZED (
		SELECT o.currency, v.id, v.time_zone, i.start_at, i.end_at, i.subtotal - i.discount AS amount, rental.currency_exponent(o.currency) AS digits
		FROM rental.order_items i JOIN rental.orders o ON o.id = i.order_id JOIN v ON v.id = i.vendor_id
		WHERE o.status IN ('confirmed', 'active', 'returned', 'completed') AND i.start_at < t AND i.end_at > f), p AS (
		SELECT date_trunc(g, o.created_at, v.time_zone) AS s, o.currency, v.id, 1 AS orders, o.total AS ordered, 0 AS billed, 0 AS paid, 0 AS recognised
		FROM rental.orders o JOIN v ON v.id = o.vendor_id WHERE o.created_at >= f AND o.created_at < t AND o.status IN ('pending', 'confirmed', 'active', 'returned', 'completed')
		UNION ALL
		SELECT date_trunc(g, n.issued_at, v.time_zone), n.currency, v.id, 0, 0, n.total, 0, 0 FROM rental.invoices n JOIN v ON v.id = n.vendor_id WHERE n.issued_at >= f AND n.issued_at < t
		UNION ALL
		SELECT date_trunc(g, p.created_at, v.time_zone), p.currency, v.id, 0, 0, 0, CASE WHEN p.kind IN ('charge', 'capture') THEN p.amount ELSE -p.amount END, 0
		FROM rental.payments p JOIN v ON v.id = p.vendor_id WHERE p.created_at >= f AND p.created_at < t AND p.status = 'succeeded' AND p.kind <> 'deposit'
		UNION ALL
		SELECT x.start_at, i.currency, i.id, 0, 0, 0, 0, pg_temp.earned(i.amount, i.digits, i.start_at, i.end_at, x.a, x.b)
		FROM line i, LATERAL pg_temp.parts(GREATEST(f, i.start_at), LEAST(t, i.end_at), g, i.time_zone) x)
	SELECT s, currency, sum(orders), sum(billed), sum(paid), sum(ordered), sum(recognised), CASE WHEN by_vendor THEN id END FROM p
	WHERE c IS NULL OR currency = c GROUP BY 1, 2, 8
	HAVING sum(orders) <> 0 OR sum(billed) <> 0 OR sum(paid) <> 0 OR sum(ordered) <> 0 OR sum(recognised) <> 0
$$;

CREATE FUNCTION pg_temp.is_live(status text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT status IN ('pending', 'confirmed', 'active', 'returned', 'completed') $$;
CREATE FUNCTION pg_temp.is_firm(status text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT status IN ('confirmed', 'active', 'returned', 'completed') $$;

CREATE FUNCTION pg_temp.report_orders(f timestamptz, t timestamptz, g text DEFAULT 'month', v_id uuid DEFAULT NULL, c text DEFAULT NULL) RETURNS SETOF rental.orders_row LANGUAGE sql STABLE AS $$
	SELECT date_trunc(g, o.created_at, v.time_zone), o.currency, count(*) FILTER (WHERE status = 'draft'), count(*) FILTER (WHERE status = 'quoted'), count(*) FILTER (WHERE status = 'pending'),
		count(*) FILTER (WHERE status = 'confirmed'), count(*) FILTER (WHERE status = 'active'), count(*) FILTER (WHERE status = 'returned'), count(*) FILTER (WHERE status = 'completed'),
		count(*) FILTER (WHERE status = 'cancelled'), count(*) FILTER (WHERE status = 'rejected'), count(*) FILTER (WHERE status = 'expired'),
		COALESCE(sum(total) FILTER (WHERE pg_temp.is_live(status)), 0), COALESCE(sum(total) FILTER (WHERE status IN ('cancelled', 'rejected', 'expired')), 0)
	FROM rental.orders o JOIN rental.vendors v ON v.id = o.vendor_id WHERE o.created_at >= f AND o.created_at < t AND (v_id IS NULL OR v.id = v_id) AND (c IS NULL OR o.currency = c) GROUP BY 1, 2
$$;
CREATE FUNCTION pg_temp.report_cancellations(f timestamptz, t timestamptz, g text DEFAULT 'month', v_id uuid DEFAULT NULL, c text DEFAULT NULL) RETURNS SETOF rental.cancellations_row LANGUAGE sql STABLE AS $$
	SELECT date_trunc(g, o.created_at, v.time_zone), o.currency, count(*), count(*) FILTER (WHERE status = 'cancelled'), count(*) FILTER (WHERE status = 'rejected'), count(*) FILTER (WHERE status = 'expired'),
		round(count(*) FILTER (WHERE NOT pg_temp.is_live(status))::numeric / count(*), 4), COALESCE(sum(total) FILTER (WHERE NOT pg_temp.is_live(status)), 0)
	FROM rental.orders o JOIN rental.vendors v ON v.id = o.vendor_id WHERE o.created_at >= f AND o.created_at < t AND (v_id IS NULL OR v.id = v_id) AND (c IS NULL OR o.currency = c)
		AND o.status NOT IN ('draft', 'quoted') GROUP BY 1, 2
$$;
CREATE FUNCTION pg_temp.report_seasonality(f timestamptz, t timestamptz, v_id uuid DEFAULT NULL, c text DEFAULT NULL) RETURNS SETOF rental.seasonality_row LANGUAGE sql STABLE AS $$
	WITH days AS (SELECT r.start_at AT TIME ZONE v.time_zone AS day, r.* FROM pg_temp.report_revenue(f, t, 'day', v_id, c, true) r JOIN rental.vendors v ON v.id = r.vendor_id), cells AS (
		SELECT 'month' AS unit, extract(month FROM day)::integer AS n, currency, sum(orders)::bigint AS orders, sum(recognised) AS earned FROM days GROUP BY 2, 3
		UNION ALL SELECT 'weekday', extract(isodow FROM day)::integer, currency, sum(orders)::bigint, sum(recognised) FROM days GROUP BY 2, 3), whole AS (
		SELECT unit, currency, sum(orders) AS orders, sum(earned) AS earned, CASE unit WHEN 'month' THEN 12 ELSE 7 END AS cells FROM cells GROUP BY 1, 2)
	SELECT unit, n, currency, x.orders, x.earned, round(w.cells * x.orders / NULLIF(w.orders, 0), 4), round(w.cells * x.earned / NULLIF(w.earned, 0), 4)
	FROM cells x JOIN whole w USING (unit, currency) WHERE x.orders <> 0 OR x.earned <> 0
$$;

-- What products were booked, rented and earned: a row for each line and what it was counted for
CREATE FUNCTION pg_temp.line_facts(f timestamptz, t timestamptz) RETURNS TABLE (product_id uuid, location_id uuid, vendor_id uuid, category_id uuid, kind text, currency text, pieces bigint, booked numeric,
	seconds numeric, earned numeric) LANGUAGE sql STABLE AS $$
	SELECT i.product_id, i.location_id, i.vendor_id, p.category_id, p.kind, o.currency, CASE WHEN b.is THEN i.quantity ELSE 0 END, CASE WHEN b.is THEN i.total ELSE 0 END,
		CASE WHEN r.is THEN i.quantity * (floor(extract(epoch FROM LEAST(i.end_at, t) - i.start_at)) - floor(extract(epoch FROM GREATEST(i.start_at, f) - i.start_at))) ELSE 0 END,
		CASE WHEN r.is THEN pg_temp.earned(i.subtotal - i.discount, rental.currency_exponent(o.currency), i.start_at, i.end_at, GREATEST(i.start_at, f), LEAST(i.end_at, t)) ELSE 0 END
	FROM rental.order_items i JOIN rental.orders o ON o.id = i.order_id JOIN rental.products p ON p.id = i.product_id,
		LATERAL (SELECT pg_temp.is_live(o.status) AND o.created_at >= f AND o.created_at < t AS is) b, LATERAL (SELECT pg_temp.is_firm(o.status) AND i.start_at < t AND i.end_at > f AS is) r
	WHERE b.is OR r.is
$$;
CREATE FUNCTION pg_temp.wanted(category uuid, wanted uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
	SELECT wanted IS NULL OR category = wanted OR EXISTS (SELECT FROM rental.categories c WHERE c.id = category AND c.parent_id = wanted)
$$;
CREATE FUNCTION pg_temp.name_of(x uuid) RETURNS text LANGUAGE sql STABLE AS $$
	SELECT name FROM (SELECT id, name FROM rental.products UNION ALL SELECT id, name FROM rental.categories UNION ALL SELECT id, name FROM rental.locations UNION ALL SELECT id, name FROM rental.vendors) n WHERE id = x
$$;
CREATE FUNCTION pg_temp.report_ranking(f timestamptz, t timestamptz, by text DEFAULT 'product', v_id uuid DEFAULT NULL, k uuid DEFAULT NULL, p uuid DEFAULT NULL, l uuid DEFAULT NULL, most integer DEFAULT 100)
	RETURNS SETOF rental.ranking_row LANGUAGE sql STABLE AS $$
	SELECT rank() OVER (PARTITION BY currency ORDER BY earned DESC, booked DESC)::integer, id, pg_temp.name_of(id), currency, pieces, booked, earned FROM (
		SELECT CASE by WHEN 'product' THEN product_id WHEN 'category' THEN category_id WHEN 'location' THEN location_id ELSE vendor_id END AS id, currency,
			sum(pieces)::bigint AS pieces, sum(booked) AS booked, sum(earned) AS earned
		FROM pg_temp.line_facts(f, t) WHERE (v_id IS NULL OR vendor_id = v_id) AND (p IS NULL OR product_id = p) AND (l IS NULL OR location_id = l) AND pg_temp.wanted(category_id, k) GROUP BY 1, 2) g
	WHERE pieces <> 0 OR booked <> 0 OR earned <> 0 ORDER BY currency, 1, id LIMIT most
$$;
-- pieces times seconds that stock had: stock does not change here but by its changes, and closes by blackouts
CREATE FUNCTION pg_temp.stock_facts(f timestamptz, t timestamptz) RETURNS TABLE (product_id uuid, location_id uuid, vendor_id uuid, category_id uuid, currency text, seconds numeric, cost numeric) LANGUAGE sql STABLE AS $$
	SELECT s.product_id, s.location_id, s.vendor_id, p.category_id, v.currency, x.seconds, x.seconds * COALESCE(p.purchase_cost, p.replacement_value)
	FROM rental.stock s JOIN rental.products p ON p.id = s.product_id JOIN rental.vendors v ON v.id = s.vendor_id,
		LATERAL (SELECT s.quantity * extract(epoch FROM t - f) + COALESCE((SELECT sum(c.quantity * extract(epoch FROM t - GREATEST(c.at, f))) FROM unnest(s.changes) c WHERE c.at < t), 0)
			+ COALESCE((SELECT sum(extract(epoch FROM LEAST(upper(w.period), t) - GREATEST(lower(w.period), f))) FROM rental.unit_place w
				WHERE w.product_id = s.product_id AND w.location_id = s.location_id AND w.period && tstzrange(f, t)), 0)
			- COALESCE((SELECT sum(b.quantity * extract(epoch FROM LEAST(upper(b.period), t) - GREATEST(lower(b.period), f))) FROM rental.blackouts b
				WHERE b.product_id = s.product_id AND b.location_id = s.location_id AND b.period && tstzrange(f, t)), 0) AS seconds) x
	WHERE p.kind = 'rental'
$$;
CREATE FUNCTION pg_temp.uses(f timestamptz, t timestamptz, by text, v_id uuid, k uuid, p uuid, l uuid) RETURNS TABLE (id uuid, currency text, pieces numeric, rented numeric, possible numeric, earned numeric, cost numeric)
	LANGUAGE sql STABLE AS $$
	SELECT CASE by WHEN 'product' THEN product_id WHEN 'category' THEN category_id WHEN 'location' THEN location_id ELSE vendor_id END, currency, sum(pieces), sum(rented), sum(possible), sum(earned),
		sum(cost) / extract(epoch FROM t - f)
	FROM (SELECT product_id, location_id, vendor_id, category_id, currency, pieces, seconds AS rented, 0 AS possible, earned, NULL::numeric AS cost FROM pg_temp.line_facts(f, t) WHERE kind = 'rental'
		UNION ALL SELECT product_id, location_id, vendor_id, category_id, currency, 0, 0, seconds, 0, cost FROM pg_temp.stock_facts(f, t)) x
	WHERE (v_id IS NULL OR vendor_id = v_id) AND (p IS NULL OR product_id = p) AND (l IS NULL OR location_id = l) AND pg_temp.wanted(category_id, k) GROUP BY 1, 2
$$;
CREATE FUNCTION pg_temp.report_utilisation(f timestamptz, t timestamptz, by text DEFAULT 'product', v_id uuid DEFAULT NULL, k uuid DEFAULT NULL, p uuid DEFAULT NULL, l uuid DEFAULT NULL)
	RETURNS SETOF rental.utilisation_row LANGUAGE sql STABLE AS $$
	SELECT id, pg_temp.name_of(id), currency, round(rented / 3600, 2), round(possible / 3600, 2), round(rented / NULLIF(possible, 0), 4), earned, round(cost, rental.currency_exponent(currency)),
		round(earned / NULLIF(cost, 0) * (365 * 86400 / extract(epoch FROM t - f)), 4)
	FROM pg_temp.uses(f, t, by, v_id, k, p, l) WHERE rented <> 0 OR possible <> 0 OR earned <> 0
$$;
CREATE FUNCTION pg_temp.report_stock_turn(f timestamptz, t timestamptz, by text DEFAULT 'product', v_id uuid DEFAULT NULL, k uuid DEFAULT NULL, p uuid DEFAULT NULL, l uuid DEFAULT NULL)
	RETURNS SETOF rental.stock_turn_row LANGUAGE sql STABLE AS $$
	SELECT id, pg_temp.name_of(id), pieces::bigint, round(possible / extract(epoch FROM t - f), 2), round(pieces / NULLIF(possible / extract(epoch FROM t - f), 0), 4)
	FROM pg_temp.uses(f, t, by, v_id, k, p, l) WHERE pieces <> 0 OR possible <> 0
$$;
CREATE FUNCTION pg_temp.report_units(f timestamptz, t timestamptz, v_id uuid DEFAULT NULL, p_id uuid DEFAULT NULL) RETURNS SETOF rental.units_row LANGUAGE sql STABLE AS $$
	WITH served AS (
		SELECT a.unit_id, sum(extract(epoch FROM LEAST(i.end_at, t) - GREATEST(i.start_at, f))) AS seconds,
			sum(round(pg_temp.earned(i.subtotal - i.discount, rental.currency_exponent(o.currency), i.start_at, i.end_at, GREATEST(i.start_at, f), LEAST(i.end_at, t)) / i.quantity,
				rental.currency_exponent(o.currency))) AS earned
		FROM rental.unit_assignments a JOIN rental.units u ON u.id = a.unit_id JOIN rental.reservations r ON r.id = a.reservation_id
		JOIN rental.order_items i ON i.id = r.order_item_id AND i.product_id = u.product_id JOIN rental.orders o ON o.id = i.order_id
		WHERE pg_temp.is_firm(o.status) AND i.start_at < t AND i.end_at > f AND a.blocked && tstzrange(f, t) GROUP BY 1)
	SELECT u.id, u.code, p.id, p.name, v.currency, COALESCE(round(s.seconds / 3600, 2), 0), COALESCE(s.earned, 0), c.cost, round(COALESCE(s.earned, 0) / NULLIF(c.cost, 0), 4)
	FROM rental.units u JOIN rental.products p ON p.id = u.product_id JOIN rental.vendors v ON v.id = u.vendor_id LEFT JOIN served s ON s.unit_id = u.id,
		LATERAL (SELECT COALESCE(u.purchase_cost, p.purchase_cost, p.replacement_value) AS cost) c
	WHERE (v_id IS NULL OR u.vendor_id = v_id) AND (p_id IS NULL OR p.id = p_id)
$$;
CREATE FUNCTION pg_temp.report_inventory(at timestamptz DEFAULT NULL, v_id uuid DEFAULT NULL, k uuid DEFAULT NULL, p uuid DEFAULT NULL, l uuid DEFAULT NULL) RETURNS SETOF rental.inventory_row LANGUAGE sql STABLE AS $$
	SELECT p.id, p.name, x.location_id, v.currency, sum(x.pieces)::bigint, sum(x.pieces * COALESCE(x.cost, p.purchase_cost, p.replacement_value, 0)) FROM (
		SELECT product_id, location_id, quantity AS pieces, NULL::numeric AS cost FROM rental.stock
		UNION ALL SELECT s.product_id, s.location_id, c.quantity, NULL FROM rental.stock s, unnest(s.changes) c WHERE c.at <= COALESCE($1, rental.now())
		UNION ALL SELECT w.product_id, w.location_id, 1, u.purchase_cost FROM rental.unit_place w JOIN rental.units u ON u.id = w.unit_id WHERE w.period @> COALESCE($1, rental.now())) x
	JOIN rental.products p ON p.id = x.product_id JOIN rental.vendors v ON v.id = p.vendor_id
	WHERE (v_id IS NULL OR v.id = v_id) AND (report_inventory.p IS NULL OR p.id = report_inventory.p) AND (l IS NULL OR x.location_id = l) AND pg_temp.wanted(p.category_id, k)
	GROUP BY p.id, p.name, x.location_id, v.currency HAVING sum(x.pieces) <> 0
$$;
CREATE FUNCTION pg_temp.report_customers(f timestamptz, t timestamptz, v_id uuid DEFAULT NULL, c text DEFAULT NULL, most integer DEFAULT 100) RETURNS SETOF rental.customers_row LANGUAGE sql STABLE AS $$
	SELECT rank() OVER (PARTITION BY o.currency ORDER BY sum(o.total) DESC)::integer, u.id, u.name, o.currency, count(*), sum(o.total), sum(o.paid), round(avg(o.total), rental.currency_exponent(o.currency)),
		min(o.created_at), max(o.created_at)
	FROM rental.orders o JOIN rental.users u ON u.id = o.customer_id WHERE o.created_at >= f AND o.created_at < t AND pg_temp.is_live(o.status) AND (v_id IS NULL OR o.vendor_id = v_id)
		AND (c IS NULL OR o.currency = c) GROUP BY u.id, u.name, o.currency ORDER BY 4, 1, 2 LIMIT most
$$;
CREATE FUNCTION pg_temp.report_cohorts(f timestamptz, t timestamptz, v_id uuid DEFAULT NULL) RETURNS SETOF rental.cohorts_row LANGUAGE sql STABLE AS $$
	WITH o AS (SELECT o.*, date_trunc('month', o.created_at AT TIME ZONE v.time_zone) AS m FROM rental.orders o JOIN rental.vendors v ON v.id = o.vendor_id
		WHERE pg_temp.is_live(o.status) AND (v_id IS NULL OR v.id = v_id)), n AS (
		SELECT *, first_value(m) OVER w AS cohort, first_value(created_at) OVER w AS first_at FROM o WINDOW w AS (PARTITION BY customer_id ORDER BY created_at, m))
	SELECT cohort::date, (extract(year FROM age(m, cohort)) * 12 + extract(month FROM age(m, cohort)))::integer, currency, count(DISTINCT customer_id), count(*), sum(total)
	FROM n WHERE first_at >= f AND first_at < t GROUP BY 1, 2, 3
$$;
CREATE FUNCTION pg_temp.report_durations(f timestamptz, t timestamptz, g text DEFAULT 'month', v_id uuid DEFAULT NULL, p uuid DEFAULT NULL, l uuid DEFAULT NULL) RETURNS SETOF rental.durations_row LANGUAGE sql STABLE AS $$
	SELECT date_trunc(g, o.created_at, v.time_zone), count(*), sum(i.quantity), round(sum(extract(epoch FROM i.end_at - i.start_at)) / count(*) / 3600, 2),
		round(sum(extract(epoch FROM i.start_at - o.created_at)) / count(*) / 3600, 2)
	FROM rental.order_items i JOIN rental.orders o ON o.id = i.order_id JOIN rental.vendors v ON v.id = i.vendor_id WHERE o.created_at >= f AND o.created_at < t AND pg_temp.is_live(o.status)
		AND (v_id IS NULL OR v.id = v_id) AND (p IS NULL OR i.product_id = p) AND (l IS NULL OR i.location_id = l) GROUP BY 1
$$;
CREATE FUNCTION pg_temp.report_late(f timestamptz, t timestamptz, g text DEFAULT 'month', v_id uuid DEFAULT NULL) RETURNS SETOF rental.late_row LANGUAGE sql STABLE AS $$
	WITH o AS (SELECT o.id, o.status, v.time_zone, (SELECT max(end_at) FROM rental.order_items i WHERE i.order_id = o.id) AS due,
			(SELECT max((e.data ->> 'returned_at')::timestamptz) FROM rental.order_events e WHERE e.order_id = o.id AND e.kind = 'returned') AS back
		FROM rental.orders o JOIN rental.vendors v ON v.id = o.vendor_id WHERE o.status IN ('active', 'returned', 'completed') AND (v_id IS NULL OR v.id = v_id)), n AS (
		SELECT date_trunc(g, due, time_zone) AS s, CASE WHEN status <> 'active' AND back > due THEN extract(epoch FROM back - due) / 3600 END AS hours, status = 'active' AND due < rental.now() AS is_out
		FROM o WHERE due >= f AND due < t)
	SELECT s, count(*), count(hours), count(*) FILTER (WHERE is_out), COALESCE(round(avg(hours), 2), 0) FROM n GROUP BY 1
$$;
CREATE FUNCTION pg_temp.report_overdue(v_id uuid DEFAULT NULL, most integer DEFAULT 1000) RETURNS SETOF rental.overdue_row LANGUAGE sql STABLE AS $$
	SELECT i.vendor_id, o.id, o.number, o.customer_id, i.id, p.id, p.name, i.dispatched - i.returned, i.end_at, round(extract(epoch FROM rental.now() - i.end_at) / 3600, 2)
	FROM rental.order_items i JOIN rental.orders o ON o.id = i.order_id JOIN rental.products p ON p.id = i.product_id
	WHERE o.status = 'active' AND i.dispatched - i.returned > 0 AND i.end_at < rental.now() AND p.kind <> 'sale' AND (v_id IS NULL OR o.vendor_id = v_id) ORDER BY i.end_at, i.id LIMIT most
$$;
CREATE FUNCTION pg_temp.report_receivables(v_id uuid DEFAULT NULL, c text DEFAULT NULL) RETURNS SETOF rental.receivables_row LANGUAGE sql STABLE AS $$
	SELECT currency, count(*), COALESCE(sum(o) FILTER (WHERE a < '0'), 0), COALESCE(sum(o) FILTER (WHERE a >= '0' AND a < '30 days'), 0), COALESCE(sum(o) FILTER (WHERE a >= '30 days' AND a < '60 days'), 0),
		COALESCE(sum(o) FILTER (WHERE a >= '60 days' AND a < '90 days'), 0), COALESCE(sum(o) FILTER (WHERE a >= '90 days'), 0), sum(o)
	FROM (SELECT currency, rental.now() - due_at AS a, total - paid - credited - written_off AS o FROM rental.invoices
		WHERE kind = 'invoice' AND issued_at IS NOT NULL AND status <> 'paid' AND (v_id IS NULL OR vendor_id = v_id) AND (c IS NULL OR currency = c)) n WHERE o <> 0 GROUP BY 1
$$;
CREATE FUNCTION pg_temp.report_deposits(v_id uuid DEFAULT NULL) RETURNS SETOF rental.deposits_row LANGUAGE sql STABLE AS $$
	SELECT vendor_id, currency, count(*), sum(amount) - sum(captured) - sum(released), sum(captured) FROM rental.payments
	WHERE kind = 'deposit' AND status NOT IN ('requires_action', 'processing', 'failed', 'cancelled') AND amount - captured - released > 0 AND (v_id IS NULL OR vendor_id = v_id) GROUP BY 1, 2
$$;
CREATE FUNCTION pg_temp.report_commission(f timestamptz, t timestamptz, g text DEFAULT 'month', v_id uuid DEFAULT NULL) RETURNS SETOF rental.commission_row LANGUAGE sql STABLE AS $$
	SELECT date_trunc(g, x.created_at, v.time_zone), v.id, x.currency, sum(x.commission), sum(x.paid_out) FROM (
		SELECT vendor_id, created_at, currency, amount AS commission, 0 AS paid_out FROM rental.ledger_entries WHERE account = 'commission'
		UNION ALL SELECT vendor_id, created_at, currency, 0, amount FROM rental.payouts) x JOIN rental.vendors v ON v.id = x.vendor_id
	WHERE x.created_at >= f AND x.created_at < t AND (v_id IS NULL OR v.id = v_id) GROUP BY 1, 2, 3
$$;
