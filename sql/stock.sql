-- Stock under raw SQL: the triggers refuse what the stock cannot serve, for the tables' owner too.
SET search_path = rental, public;
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET rental.clock = '2026-06-01 00:00Z';
\set VERBOSITY terse
INSERT INTO vendors (id, name, slug) VALUES ('00000000-0000-7000-8000-000000000001', 'V', 'v');
INSERT INTO locations (id, vendor_id, name) VALUES ('00000000-0000-7000-8000-000000000002', '00000000-0000-7000-8000-000000000001', 'Main'),
	('00000000-0000-7000-8000-000000000003', '00000000-0000-7000-8000-000000000001', 'Other');
INSERT INTO products (id, vendor_id, name) VALUES ('00000000-0000-7000-8000-000000000004', '00000000-0000-7000-8000-000000000001', 'P');
\set v '''00000000-0000-7000-8000-000000000001'''
\set l '''00000000-0000-7000-8000-000000000002'''
\set l2 '''00000000-0000-7000-8000-000000000003'''
\set p '''00000000-0000-7000-8000-000000000004'''
INSERT INTO stock VALUES (:v, :p, :l, 2);
CREATE FUNCTION pg_temp.reserve(n integer, f timestamptz, t timestamptz, state text DEFAULT 'firm', expires timestamptz DEFAULT NULL, OUT id uuid) AS $$
	INSERT INTO rental.reservations (vendor_id, product_id, location_id, quantity, state, period, blocked, expires_at)
	VALUES ('00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000004', '00000000-0000-7000-8000-000000000002',
		n, state, tstzrange(f, t), tstzrange(f, t), expires) RETURNING id $$ LANGUAGE sql;
-- nothing is taken yet
SELECT availability(:p, '[2026-06-10Z,2026-06-20Z)'), availability(:p, '[2026-06-10Z,2026-06-20Z)', :l2) AS elsewhere,
	availability('00000000-0000-7000-8000-00000000000f', '[2026-06-10Z,2026-06-20Z)') AS unknown;
-- nested, back to back, overlapping at one end
SELECT id AS a FROM pg_temp.reserve(1, '2026-06-10Z', '2026-06-20Z') \gset
SELECT id AS b FROM pg_temp.reserve(1, '2026-06-12Z', '2026-06-14Z') \gset
SELECT pg_temp.reserve(1, '2026-06-13Z', '2026-06-13 12:00Z');
SELECT pg_temp.reserve(1, '2026-06-13 23:45Z', '2026-06-15Z');
SELECT id AS c FROM pg_temp.reserve(1, '2026-06-14Z', '2026-06-15Z') \gset
SELECT pg_temp.reserve(3, '2026-07-01Z', '2026-07-02Z');
SELECT * FROM availability_steps(:p, '[2026-06-09Z,2026-06-21Z)');
-- one statement that inserts too much changes nothing
INSERT INTO reservations (vendor_id, product_id, location_id, quantity, state, period, blocked)
	SELECT :v, :p, :l, 1, 'firm', '[2026-08-01Z,2026-08-02Z)', '[2026-08-01Z,2026-08-02Z)' FROM generate_series(1, 3);
SELECT availability(:p, '[2026-08-01Z,2026-08-02Z)');
-- rows that do not fit together
INSERT INTO reservations (vendor_id, product_id, location_id, quantity, state, period, blocked) VALUES
	(:v, :p, :l, 1, 'hold', '[2026-08-01Z,2026-08-02Z)', '[2026-08-01Z,2026-08-02Z)');
INSERT INTO reservations (vendor_id, product_id, location_id, quantity, state, period, blocked, expires_at) VALUES
	(:v, :p, :l, 1, 'firm', '[2026-08-01Z,2026-08-02Z)', '[2026-08-01Z,2026-08-02Z)', '2026-07-01Z');
INSERT INTO reservations (vendor_id, product_id, location_id, quantity, state, period, blocked) VALUES
	(:v, :p, :l, 1, 'firm', '[2026-08-01Z,)', '[2026-08-01Z,)');
INSERT INTO reservations (vendor_id, product_id, location_id, quantity, state, period, blocked) VALUES
	(:v, :p, :l, 1, 'released', 'empty', '[2026-08-01Z,2026-08-02Z)');
INSERT INTO reservations (vendor_id, product_id, location_id, quantity, state, period, blocked) VALUES
	(:v, :p, :l, 1, 'firm', '[2026-08-01Z,2026-08-03Z)', '[2026-08-01Z,2026-08-02Z)');
INSERT INTO reservations (vendor_id, product_id, location_id, quantity, state, period, blocked) VALUES
	(:v, :p, :l, 1, 'firm', '[2026-08-01Z,2026-08-02Z)', '(,2026-08-02Z)');
INSERT INTO reservations (vendor_id, product_id, location_id, quantity, state, period, blocked) VALUES
	(:v, :p, :l, 0, 'firm', '[2026-08-01Z,2026-08-02Z)', '[2026-08-01Z,2026-08-02Z)');
INSERT INTO reservations (vendor_id, product_id, location_id, quantity, state, period, blocked) VALUES
	(:v, :p, :l, 1, 'maybe', '[2026-08-01Z,2026-08-02Z)', '[2026-08-01Z,2026-08-02Z)');
-- moving and growing
UPDATE reservations SET quantity = 2, period = period WHERE id = :'b';
UPDATE reservations SET period = '[2026-06-12Z,2026-06-14 12:00Z)', blocked = '[2026-06-12Z,2026-06-14 12:00Z)' WHERE id = :'b';
UPDATE reservations SET period = '[2026-06-16Z,2026-06-18Z)', blocked = '[2026-06-15Z,2026-06-18Z)' WHERE id = :'b';
UPDATE reservations SET state = 'released' WHERE id = :'a';
SELECT * FROM availability_steps(:p, '[2026-06-09Z,2026-06-21Z)');
UPDATE reservations SET state = 'firm' WHERE id = :'a';
DELETE FROM reservations WHERE id = :'b';
SELECT * FROM availability_steps(:p, '[2026-06-09Z,2026-06-21Z)');
-- to where the product is not kept
UPDATE reservations SET location_id = :l2 WHERE id = :'a';
INSERT INTO reservations (vendor_id, product_id, location_id, quantity, state, period, blocked) -- takes nothing
	VALUES (:v, :p, :l2, 1, 'released', '[2026-06-12Z,2026-06-13Z)', '[2026-06-12Z,2026-06-13Z)');
INSERT INTO reservations (vendor_id, product_id, location_id, quantity, state, period, blocked) -- takes for good
	VALUES (:v, :p, :l2, 1, 'firm', '[2026-06-12Z,2026-06-13Z)', '[2026-06-12Z,)');
INSERT INTO reservations (vendor_id, product_id, location_id, quantity, state, period, blocked) -- not the vendor's
	SELECT '00000000-0000-7000-8000-0000000000ff', :p, :l, 1, 'firm', p, p FROM (VALUES ('[2026-06-12Z,2026-06-13Z)'::tstzrange)) x (p);
DELETE FROM stock WHERE product_id = :p AND location_id = :l;
-- keys stay, and nothing is truncated away
UPDATE stock SET product_id = :v;
TRUNCATE reservations CASCADE;
-- capacity: below what is promised it does not go, and the past does not count
UPDATE stock SET quantity = 1 WHERE product_id = :p;
UPDATE reservations SET state = 'released' WHERE id = :'c';
UPDATE stock SET quantity = 1 WHERE product_id = :p;
UPDATE stock SET quantity = 0 WHERE product_id = :p;
SET rental.clock = '2026-06-25 00:00Z';
UPDATE stock SET quantity = 0 WHERE product_id = :p;
SELECT availability(:p, '[2026-06-26Z,2026-06-27Z)'), availability(:p, '[2026-06-12Z,2026-06-27Z)') AS past;
UPDATE stock SET quantity = 2 WHERE product_id = :p;
-- holds: what expired blocks nobody, and comes back only if there is room
SELECT id AS h FROM pg_temp.reserve(2, '2026-07-10Z', '2026-07-12Z', 'hold', '2026-06-26Z') \gset
SELECT availability(:p, '[2026-07-10Z,2026-07-11Z)') AS held;
SELECT pg_temp.reserve(1, '2026-07-10Z', '2026-07-11Z');
SET rental.clock = '2026-06-27 00:00Z';
SELECT availability(:p, '[2026-07-10Z,2026-07-11Z)') AS expired;
SELECT id AS d FROM pg_temp.reserve(1, '2026-07-10Z', '2026-07-11Z') \gset
SELECT availability(:p, '[2026-07-10Z,2026-07-11Z)') AS one_taken;
UPDATE reservations SET state = 'firm', expires_at = NULL WHERE id = :'h';
UPDATE reservations SET expires_at = '2026-06-29Z' WHERE id = :'h';
UPDATE reservations SET state = 'released' WHERE id = :'d';
UPDATE reservations SET state = 'firm', expires_at = NULL WHERE id = :'h';
SELECT availability(:p, '[2026-07-10Z,2026-07-11Z)') AS firm_again;
-- a shortage that the product allows
UPDATE products SET shortage_limit = 1 WHERE id = :p;
SELECT pg_temp.reserve(2, '2026-07-10Z', '2026-07-11Z');
SELECT 'allowed' FROM pg_temp.reserve(1, '2026-07-10Z', '2026-07-11Z');
SELECT pg_temp.reserve(1, '2026-07-10Z', '2026-07-11Z');
-- numbered units
INSERT INTO stock VALUES (:v, :p, :l2, 0);
INSERT INTO units (id, vendor_id, product_id, location_id, code, in_service) VALUES
	('00000000-0000-7000-8000-000000000011', :v, :p, :l2, 'U1', '(,)'), ('00000000-0000-7000-8000-000000000012', :v, :p, :l2, 'U2', '[2026-08-01Z,2026-09-01Z)');
SELECT * FROM availability_steps(:p, '[2026-07-15Z,2026-09-15Z)', :l2);
INSERT INTO reservations (id, vendor_id, product_id, location_id, quantity, state, period, blocked)
	VALUES ('00000000-0000-7000-8000-000000000021', :v, :p, :l2, 2, 'firm', '[2026-08-10Z,2026-08-20Z)', '[2026-08-10Z,2026-08-20Z)');
UPDATE products SET shortage_limit = 0 WHERE id = :p;
DELETE FROM units WHERE code = 'U2';
UPDATE units SET in_service = '[2026-08-01Z,2026-08-15Z)' WHERE code = 'U2';
UPDATE units SET in_service = '[2026-08-05Z,2026-08-20Z)' WHERE code = 'U2';
SELECT * FROM availability_steps(:p, '[2026-07-15Z,2026-09-15Z)', :l2);
-- a unit serves one reservation at a time
INSERT INTO unit_assignments (vendor_id, reservation_id, unit_id, blocked)
	VALUES (:v, '00000000-0000-7000-8000-000000000021', '00000000-0000-7000-8000-000000000011', '[2026-08-10Z,2026-08-20Z)');
INSERT INTO unit_assignments (vendor_id, reservation_id, unit_id, blocked)
	VALUES (:v, '00000000-0000-7000-8000-000000000021', '00000000-0000-7000-8000-000000000011', '[2026-08-19Z,2026-08-21Z)');
-- thousands of changes: rows are split, and the sum is what a plain query says
INSERT INTO products (id, vendor_id, name) VALUES ('00000000-0000-7000-8000-000000000005', :v, 'Hot');
INSERT INTO stock VALUES (:v, '00000000-0000-7000-8000-000000000005', :l, 100000);
INSERT INTO reservations (vendor_id, product_id, location_id, quantity, state, period, blocked)
	SELECT :v, '00000000-0000-7000-8000-000000000005', :l, 1 + n % 3, 'firm', p, p FROM generate_series(1, 3000) n,
	LATERAL (SELECT tstzrange('2026-09-01Z'::timestamptz + n * 7919 % 6000 * interval '15 min', '2026-09-01Z'::timestamptz + (n * 7919 % 6000 + 1 + n % 200) * interval '15 min')) r(p);
DELETE FROM reservations WHERE product_id = '00000000-0000-7000-8000-000000000005' AND quantity = 2;
SELECT count(*) > 20 AS split, max((SELECT count(*) FROM timeline_steps(free))) <= 130 AS short FROM timelines
	WHERE product_id = '00000000-0000-7000-8000-000000000005';
WITH points AS (SELECT DISTINCT lower(blocked) AS at FROM reservations WHERE product_id = '00000000-0000-7000-8000-000000000005')
SELECT count(*) AS points, count(*) FILTER (WHERE availability('00000000-0000-7000-8000-000000000005', tstzrange(at, at, '[]')) <>
		100000 - (SELECT coalesce(sum(quantity), 0) FROM reservations WHERE blocked @> at AND product_id = '00000000-0000-7000-8000-000000000005')) AS wrong
	FROM points;
SELECT availability('00000000-0000-7000-8000-000000000005', '[2026-09-01Z,2026-12-01Z)') =
	100000 - (SELECT max(taken) FROM (SELECT sum(d) OVER (ORDER BY at, d) AS taken FROM reservations,
		LATERAL (VALUES (lower(blocked), quantity), (upper(blocked), -quantity)) e(at, d) WHERE product_id = '00000000-0000-7000-8000-000000000005') s) AS least_is_right;
-- all of this agrees with the reservations, and a rebuild changes nothing that can be seen
SELECT * FROM stock_verify();
CREATE TEMP TABLE before AS SELECT p.id, l.id AS location, s.* FROM products p, locations l, LATERAL availability_steps(p.id, '[2026-06-01Z,2027-06-01Z)', l.id) s;
SELECT stock_rebuild() > 0 AS rebuilt;
SELECT * FROM stock_verify();
SELECT count(*) AS differences FROM (SELECT * FROM before EXCEPT
	SELECT p.id, l.id, s.* FROM products p, locations l, LATERAL availability_steps(p.id, '[2026-06-01Z,2027-06-01Z)', l.id) s) d;
-- and what is wrong is found
UPDATE timelines SET free = timeline_add(free, '(,)', 1) WHERE product_id = '00000000-0000-7000-8000-000000000005'
	AND lower = (SELECT min(lower) FROM timelines WHERE product_id = '00000000-0000-7000-8000-000000000005' AND lower > '-infinity');
DELETE FROM timelines WHERE product_id = :p AND location_id = :l AND lower > '-infinity';
UPDATE timelines SET free = timeline_add(free, '(,)', 1) WHERE product_id = :p AND location_id = :l2 AND lower = '-infinity';
SELECT DISTINCT product_id, location_id, problem FROM stock_verify() ORDER BY 1, 2, 3;
SELECT stock_rebuild() > 0 AS mended;
SELECT * FROM stock_verify();
