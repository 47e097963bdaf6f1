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
	WITH v AS MATERIALIZED (SELECT * FROM rental.vendors WHERE v_id IS NULL OR id = v_id), p AS (
		SELECT date_trunc(g, o.created_at, v.time_zone) AS s, o.currency, v.id, 1 AS orders, o.total AS ordered, 0 AS billed, 0 AS paid, 0 AS recognised
		FROM rental.orders o JOIN v ON v.id = o.vendor_id WHERE o.created_at >= f AND o.created_at < t AND o.status IN ('pending', 'confirmed', 'active', 'returned', 'completed')
		UNION ALL
		SELECT date_trunc(g, n.issued_at, v.time_zone), n.currency, v.id, 0, 0, n.total, 0, 0 FROM rental.invoices n JOIN v ON v.id = n.vendor_id WHERE n.issued_at >= f AND n.issued_at < t
		UNION ALL
		SELECT date_trunc(g, p.created_at, v.time_zone), p.currency, v.id, 0, 0, 0, CASE WHEN p.kind IN ('charge', 'capture') THEN p.amount ELSE -p.amount END, 0
		FROM rental.payments p JOIN v ON v.id = p.vendor_id WHERE p.created_at >= f AND p.created_at < t AND p.status = 'succeeded' AND p.kind <> 'deposit'
		UNION ALL
		SELECT x.start_at, o.currency, v.id, 0, 0, 0, 0, pg_temp.earned(i.subtotal - i.discount, rental.currency_exponent(o.currency), i.start_at, i.end_at, x.a, x.b)
		FROM rental.order_items i JOIN rental.orders o ON o.id = i.order_id JOIN v ON v.id = i.vendor_id,
			LATERAL pg_temp.parts(GREATEST(f, i.start_at), LEAST(t, i.end_at), g, v.time_zone) x
		WHERE o.status IN ('confirmed', 'active', 'returned', 'completed') AND i.start_at < t AND i.end_at > f)
	SELECT s, currency, sum(orders), sum(billed), sum(paid), sum(ordered), sum(recognised), CASE WHEN by_vendor THEN id END FROM p
	WHERE c IS NULL OR currency = c GROUP BY 1, 2, 8
	HAVING sum(orders) <> 0 OR sum(billed) <> 0 OR sum(paid) <> 0 OR sum(ordered) <> 0 OR sum(recognised) <> 0
$$;
