-- Proof that the timelines agree with what they are derived from.

CREATE VIEW stock_capacity AS
SELECT vendor_id, product_id, location_id, '(,)'::tstzrange AS period, quantity FROM stock
UNION ALL
SELECT vendor_id, product_id, location_id, in_service, 1 FROM units;
COMMENT ON VIEW stock_capacity IS 'All that makes up the capacity of a product at a location: each row adds its quantity over its period.';

CREATE FUNCTION timeline_chunks(capacity timeline, free timeline, OUT lower timestamptz, OUT upper timestamptz, OUT chunk timeline)
	RETURNS SETOF record LANGUAGE c STRICT IMMUTABLE ROWS 10 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION timeline_chunks(timeline, timeline) IS 'The rows that a timeline is kept in: stretches where it is not just the capacity.';

CREATE FUNCTION stock_verify(only_product uuid DEFAULT NULL, OUT product_id uuid, OUT location_id uuid, OUT lower timestamptz,
	OUT upper timestamptz, OUT problem text) RETURNS SETOF record
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS $$
	WITH head AS (
		SELECT c.product_id, c.location_id, timeline_agg(c.period, c.quantity) AS capacity
		FROM stock_capacity c WHERE only_product IS NULL OR c.product_id = only_product GROUP BY 1, 2
	), taken AS (
		SELECT r.product_id, r.location_id, timeline_agg(r.blocked, -r.quantity) AS taken, range_agg(r.blocked) AS blocked
		FROM reservations r WHERE r.state <> 'released' AND (only_product IS NULL OR r.product_id = only_product) GROUP BY 1, 2
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
	SELECT w.product_id, w.location_id, NULL, NULL, 'a reservation outside all rows'
	FROM whole w WHERE w.blocked IS NOT NULL AND NOT w.blocked <@ COALESCE((SELECT range_agg(tstzrange(l.lower, l.upper)) FROM kept l
		WHERE l.product_id = w.product_id AND l.location_id = w.location_id AND l.lower > '-infinity'), '{}')
	UNION ALL
	SELECT l.product_id, l.location_id, l.lower, l.upper, 'a hold expires before holds_until'
	FROM kept l WHERE l.lower > '-infinity' AND l.holds_until > (SELECT min(r.expires_at) FROM reservations r
		WHERE r.product_id = l.product_id AND r.location_id = l.location_id AND r.state = 'hold' AND r.blocked && tstzrange(l.lower, l.upper))
$$;
COMMENT ON FUNCTION stock_verify(uuid) IS
	'One row for each disagreement between timelines and the stock, units and reservations they are derived from, of one product or all; no row means sound.';

CREATE FUNCTION stock_rebuild() RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stock_rebuild() IS 'Makes all timelines anew from stock, units and reservations; returns the rows written. For administrators.';
