-- Search of the catalogue by what is free: list, count and available_products find what a look at each product finds,
-- with several locations, kits, archived products, blackouts, shortages and holds that have expired; seeded.
BEGIN;
SELECT plan(6);
SET search_path = rental, public;
SET rental.clock = '2026-06-01Z';
SELECT setseed(0.25);
CREATE FUNCTION pg_temp.id(kind text, n integer) RETURNS uuid LANGUAGE sql AS $$
	SELECT ('00000000-0000-7000-' || kind || '-' || lpad(n::text, 12, '0'))::uuid $$;
INSERT INTO vendors (id, name, slug) SELECT pg_temp.id('9000', v), 'V' || v, 'v' || v FROM generate_series(1, 3) v;
INSERT INTO locations (id, vendor_id, name) SELECT pg_temp.id('a000', v * 10 + l), pg_temp.id('9000', v), 'L' || l FROM generate_series(1, 3) v, generate_series(1, 3) l;
INSERT INTO categories (id, name, slug) SELECT pg_temp.id('b000', c), 'C' || c, 'c' || c FROM generate_series(1, 2) c;
INSERT INTO products (id, vendor_id, category_id, name, is_active, shortage_limit, tracking)
	SELECT pg_temp.id('8000', p), pg_temp.id('9000', 1 + p % 3), CASE WHEN p % 5 > 0 THEN pg_temp.id('b000', 1 + p % 2) END,
		CASE WHEN p % 4 = 0 THEN 'Lamp ' ELSE 'Tent ' END || p, p % 11 > 0, p % 3, CASE WHEN p > 180 THEN 'kit' ELSE 'bulk' END FROM generate_series(1, 200) p;
INSERT INTO product_components (vendor_id, product_id, component_id, quantity)
	SELECT k.vendor_id, k.id, c.id, 1 + n % 2 FROM generate_series(181, 199) n JOIN products k ON k.id = pg_temp.id('8000', n)
	JOIN products c ON c.id IN (pg_temp.id('8000', n - 90), pg_temp.id('8000', n - 60));
-- one, two or three locations each, the last ten nowhere
INSERT INTO stock (vendor_id, product_id, location_id, quantity)
	SELECT p.vendor_id, p.id, l.id, floor(random() * 4) FROM products p JOIN locations l ON l.vendor_id = p.vendor_id
	WHERE p.tracking = 'bulk' AND p.id <= pg_temp.id('8000', 170) AND (random() < 0.6 OR l.name = 'L1');
INSERT INTO blackouts (vendor_id, product_id, location_id, quantity, period)
	SELECT vendor_id, product_id, location_id, CASE WHEN random() < 0.5 THEN 1 END, tstzrange(f, f + interval '5 days')
	FROM stock, LATERAL (SELECT timestamptz '2026-06-01Z' + floor(random() * 90) * interval '1 day' AS f) x WHERE random() < 0.2;
DO $$
DECLARE
	s record;
	taken integer := 0;
	f timestamptz;
BEGIN
	FOR i IN 1..1500 LOOP
		SELECT * INTO s FROM rental.stock ORDER BY md5(i || product_id::text || location_id::text) LIMIT 1;
		f := timestamptz '2026-06-01Z' + floor(random() * 120) * interval '12 hours';
		BEGIN
			INSERT INTO rental.reservations (vendor_id, product_id, location_id, quantity, state, expires_at, period, blocked)
				SELECT s.vendor_id, s.product_id, s.location_id, 1 + i % 2, CASE WHEN i % 4 = 0 THEN 'hold' ELSE 'firm' END,
					CASE WHEN i % 4 = 0 THEN timestamptz '2026-06-01Z' + i % 3 * interval '1 day' END, p, p
				FROM tstzrange(f, f + (1 + i % 9) * interval '1 day') p;
			taken := taken + 1;
		EXCEPTION WHEN SQLSTATE 'RT409' THEN
			NULL;
		END;
	END LOOP;
	PERFORM set_config('search.taken', taken::text, true);
END $$;
SELECT cmp_ok(current_setting('search.taken')::integer, '>', 300, 'much is taken');
SELECT is_empty('SELECT * FROM stock_verify()', 'and the timelines are sound');
SET LOCAL rental.clock = '2026-06-02 12:00Z'; -- two thirds of the holds have expired

CREATE TEMP TABLE asked AS
SELECT row_number() OVER () AS n, * FROM generate_series(timestamptz '2026-06-03Z', '2026-08-20Z', '13 days') f, (VALUES (1), (2), (4)) q (quantity),
	(VALUES (NULL::uuid, NULL::uuid, NULL), (pg_temp.id('9000', 2), NULL, NULL), (NULL, pg_temp.id('b000', 1), NULL), (NULL, NULL, 'lamp'), (pg_temp.id('9000', 1), pg_temp.id('b000', 2), 'tent')) x (vendor, category, search);
CREATE TEMP TABLE expected AS
SELECT a.n, p.id FROM asked a, products p
WHERE p.is_active AND (a.vendor IS NULL OR p.vendor_id = a.vendor) AND (a.category IS NULL OR p.category_id = a.category) AND (a.search IS NULL OR p.name ILIKE '%' || a.search || '%')
	AND availability(p.id, tstzrange(a.f, a.f + interval '4 days')) >= a.quantity;
SELECT cmp_ok((SELECT count(*) FROM expected), '>', 1000::bigint, 'much is found');
SELECT results_eq(
	'SELECT a.n, l.count FROM asked a, product_list(vendor, category, search, f, f + interval ''4 days'', quantity, count => ''exact'') l ORDER BY 1',
	'SELECT a.n, count(e.id) FROM asked a LEFT JOIN expected e USING (n) GROUP BY 1 ORDER BY 1', 'counts are those of a look at each');
SELECT set_eq(
	'SELECT a.n, r.id FROM asked a, product_list(vendor, category, search, f, f + interval ''4 days'', quantity, page_size => 100) l, unnest(l.results) r',
	'SELECT n, id FROM (SELECT n, id, row_number() OVER (PARTITION BY n ORDER BY id) AS place FROM expected) e WHERE place <= 100', 'so are pages');
SELECT set_eq(
	'SELECT a.n, p FROM asked a, available_products(tstzrange(f, f + interval ''4 days''), quantity, vendor, category) p WHERE search IS NULL',
	'SELECT n, id FROM expected JOIN asked USING (n) WHERE search IS NULL', 'so is available_products');
SELECT * FROM finish();
ROLLBACK;
