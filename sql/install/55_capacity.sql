-- Proof that the timelines agree with what they are derived from.

CREATE VIEW stock_capacity AS
SELECT vendor_id, product_id, location_id, '(,)'::tstzrange AS period, quantity, false AS closed FROM stock
UNION ALL
SELECT s.vendor_id, s.product_id, s.location_id, tstzrange(c.at, NULL), c.quantity, false FROM stock s, unnest(s.changes) AS c
UNION ALL
SELECT vendor_id, product_id, location_id, period, 1, false FROM unit_place
UNION ALL
SELECT p.vendor_id, p.product_id, p.location_id, p.period * b.period, -1, false
FROM unit_place p JOIN blackouts b ON b.unit_id = p.unit_id AND b.vendor_id = p.vendor_id AND b.product_id = p.product_id
UNION ALL
SELECT s.vendor_id, s.product_id, s.location_id, b.period, -COALESCE(b.quantity, 0), b.quantity IS NULL
FROM stock s JOIN blackouts b ON b.product_id = s.product_id AND b.vendor_id = s.vendor_id AND b.unit_id IS NULL
	AND (b.location_id IS NULL OR b.location_id = s.location_id)
UNION ALL
SELECT s.vendor_id, s.product_id, s.location_id, b.period, 0, true
FROM stock s JOIN blackouts b ON b.location_id = s.location_id AND b.vendor_id = s.vendor_id AND b.product_id IS NULL
UNION ALL
SELECT vendor_id, product_id, location_id, blocked, -quantity, false FROM reservations WHERE upper_inf(blocked) AND state <> 'released';
COMMENT ON VIEW stock_capacity IS
	'All that makes up the capacity of a product at a location: each row adds its quantity over its period, and where one is closed there is none. What is sold is gone for good, so it is capacity, too.';
CREATE INDEX ON reservations (product_id, location_id) WHERE upper_inf(blocked) AND state <> 'released';

CREATE FUNCTION timeline_level(timeline timeline) RETURNS smallint LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION timeline_level(timeline) IS 'How little a timeline has at least, as in timelines.level.';

CREATE FUNCTION timeline_chunks(capacity timeline, free timeline, OUT lower timestamptz, OUT upper timestamptz, OUT chunk timeline)
	RETURNS SETOF record LANGUAGE c STRICT IMMUTABLE ROWS 10 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION timeline_chunks(timeline, timeline) IS 'The rows that a timeline is kept in: stretches where it is not just the capacity.';

CREATE FUNCTION stock_verify(only_product uuid DEFAULT NULL, OUT product_id uuid, OUT location_id uuid, OUT lower timestamptz,
	OUT upper timestamptz, OUT problem text) RETURNS SETOF record
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS $$
	WITH head AS (
		SELECT c.product_id, c.location_id, timeline_zero(timeline_agg(c.period, c.quantity), range_agg(c.period) FILTER (WHERE c.closed)) AS capacity
		FROM stock_capacity c WHERE only_product IS NULL OR c.product_id = only_product GROUP BY 1, 2
	), taken AS (
		SELECT r.product_id, r.location_id, timeline_agg(r.blocked, -r.quantity) AS taken, range_agg(r.blocked) AS blocked
		FROM reservations r WHERE r.state <> 'released' AND NOT upper_inf(r.blocked) AND (only_product IS NULL OR r.product_id = only_product) GROUP BY 1, 2
	), whole AS (
		SELECT h.product_id, h.location_id, h.capacity, COALESCE(h.capacity + t.taken, h.capacity) AS free, t.blocked
		FROM head h LEFT JOIN taken t USING (product_id, location_id)
	), kept AS (
		SELECT * FROM timelines l WHERE only_product IS NULL OR l.product_id = only_product
	)
	SELECT w.product_id, w.location_id, '-infinity'::timestamptz, '-infinity'::timestamptz, 'no head row'
	FROM whole w WHERE NOT EXISTS (SELECT FROM kept l WHERE l.product_id = w.product_id AND l.location_id = w.location_id AND l.lower = '-infinity')
	UNION ALL
	SELECT l.product_id, l.location_id, l.lower, l.upper,
		CASE WHEN w.product_id IS NULL THEN 'a timeline of no stock' WHEN l.lower = '-infinity' THEN 'capacity differs' ELSE 'free stock differs' END
	FROM kept l LEFT JOIN whole w USING (product_id, location_id)
	WHERE w.product_id IS NULL
		OR l.free <> CASE WHEN l.lower = '-infinity' THEN w.capacity ELSE timeline_clip(w.free, tstzrange(l.lower, l.upper)) END
	UNION ALL
	SELECT l.product_id, l.location_id, l.lower, l.upper, 'overlaps the row after it'
	FROM (SELECT k.*, lead(k.lower) OVER (PARTITION BY k.product_id, k.location_id ORDER BY k.lower) AS next FROM kept k) l WHERE l.next < l.upper
	UNION ALL
	SELECT l.product_id, l.location_id, l.lower, l.upper, 'its level is wrong'
	FROM kept l, timeline_min(l.free, '(,)') AS m(least) WHERE l.level <> CASE WHEN m.least < 0 THEN -1 WHEN m.least < 2 THEN m.least WHEN m.least < 4 THEN 2 WHEN m.least < 8 THEN 3 ELSE 4 END
	UNION ALL
	SELECT w.product_id, w.location_id, NULL, NULL, 'a reservation outside all rows'
	FROM whole w LEFT JOIN (SELECT l.product_id, l.location_id, range_agg(tstzrange(l.lower, l.upper)) AS covered FROM kept l
		WHERE l.lower > '-infinity' GROUP BY 1, 2) k USING (product_id, location_id)
	WHERE w.blocked IS NOT NULL AND NOT w.blocked <@ COALESCE(k.covered, '{}')
	UNION ALL
	SELECT DISTINCT l.product_id, l.location_id, l.lower, l.upper, 'a hold expires before holds_until'
	FROM reservations r JOIN timelines l ON l.product_id = r.product_id AND l.location_id = r.location_id
		AND l.lower > '-infinity' AND r.blocked && tstzrange(l.lower, l.upper)
	WHERE r.state = 'hold' AND r.expires_at < l.holds_until AND (only_product IS NULL OR r.product_id = only_product)
$$;
COMMENT ON FUNCTION stock_verify(uuid) IS
	'One row for each disagreement between timelines and the stock, units and reservations they are derived from, of one product or all; no row means sound.';

CREATE FUNCTION stock_rebuild() RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stock_rebuild() IS 'Makes all timelines anew from stock, units and reservations; returns the rows written. For administrators.';

CREATE VIEW shortages AS
WITH short AS (
	SELECT l.vendor_id, l.product_id, l.location_id, s.start_at, s.end_at, -s.value AS missing
	FROM timelines l
	CROSS JOIN LATERAL (SELECT timeline_agg(r.blocked, r.quantity) AS back FROM reservations r WHERE r.product_id = l.product_id
		AND r.location_id = l.location_id AND r.vendor_id = l.vendor_id AND r.state = 'hold' AND r.expires_at <= rental.now()) e
	CROSS JOIN LATERAL timeline_steps(COALESCE(l.free + e.back, l.free), tstzrange(l.lower, l.upper)) s
	WHERE l.level = -1 AND l.lower > '-infinity' AND s.value < 0 AND s.end_at > rental.now()
), queue AS (
	SELECT h.*, r.id AS reservation_id, r.order_item_id, r.quantity,
		sum(r.quantity) OVER (PARTITION BY h.product_id, h.location_id, h.start_at ORDER BY r.state = 'out', r.created_at DESC, r.id DESC) AS back
	FROM short h JOIN reservations r ON r.product_id = h.product_id AND r.location_id = h.location_id AND r.vendor_id = h.vendor_id
		AND r.state <> 'released' AND (r.state <> 'hold' OR r.expires_at > rental.now()) AND r.blocked && tstzrange(h.start_at, h.end_at)
)
SELECT q.vendor_id, q.product_id, q.location_id, q.reservation_id, i.order_id, o.number AS order_number, o.customer_id,
	min(q.start_at) AS start_at, max(q.end_at) AS end_at, max(LEAST(q.quantity, q.missing - (q.back - q.quantity)))::integer AS missing
FROM queue q
LEFT JOIN order_items i ON i.id = q.order_item_id AND i.vendor_id = q.vendor_id
LEFT JOIN orders o ON o.id = i.order_id AND o.vendor_id = i.vendor_id
WHERE q.back - q.quantity < q.missing
GROUP BY 1, 2, 3, 4, 5, 6, 7;
COMMENT ON VIEW shortages IS
	'Promises that the stock cannot keep, from now on: who is affected, when, and by how many pieces. Who ordered last is affected first; what is out is out.';

CREATE FUNCTION shortages(vendor_id uuid DEFAULT NULL) RETURNS SETOF shortages
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION shortages(uuid) IS 'The shortages of the caller''s vendor, or for administrators of one or all. Error: forbidden.';
INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('GET', '/api/analytics/reports/shortages/', 'rental.shortages', '{vendor,admin}', 200, 'read', 'analytics', 'Promises that cannot be kept', true);
