-- A row is found again where it was, and never another one in its place.
\set ON_ERROR_STOP 0
\set VERBOSITY terse
SET search_path = rental, public;
INSERT INTO vendors (id, name, slug) VALUES ('00000000-0000-7000-9000-0000000000aa', 'V', 'places');
INSERT INTO categories (id, name, slug) VALUES ('00000000-0000-7000-b000-0000000000aa', 'C', 'places');
CREATE FUNCTION pg_temp.id(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT ('00000000-0000-7000-8aaa-' || lpad(n::text, 12, '0'))::uuid $$;
CREATE FUNCTION pg_temp.add(a integer, b integer) RETURNS void LANGUAGE sql AS $$
	INSERT INTO rental.products (id, vendor_id, name, description) SELECT pg_temp.id(n), '00000000-0000-7000-9000-0000000000aa', 'Product ' || n, repeat('x', 1000) FROM generate_series(a, b) n $$;
-- how many products are there, asked each by itself, and how many of them are told otherwise than the view tells
CREATE FUNCTION pg_temp.ask(upto integer, OUT there integer, OUT otherwise integer) LANGUAGE plpgsql AS $$
DECLARE
	n integer;
	told text;
	shown text;
BEGIN
	there := 0;
	otherwise := 0;
	FOR n IN 1 .. upto LOOP
		shown := NULL;
		SELECT v::text INTO shown FROM rental.product_view v WHERE v.id = pg_temp.id(n);
		BEGIN
			told := rental.product_get(pg_temp.id(n))::text;
			there := there + 1;
		EXCEPTION WHEN SQLSTATE 'RT404' THEN
			told := NULL;
		END;
		IF told IS DISTINCT FROM shown THEN
			otherwise := otherwise + 1;
		END IF;
	END LOOP;
END $$;
SELECT pg_temp.add(1, 100);
SELECT * FROM pg_temp.ask(100);
SELECT * FROM pg_temp.ask(100);
-- changed in its place, and moved
UPDATE products SET name = 'Changed' WHERE id < pg_temp.id(50) AND vendor_id = '00000000-0000-7000-9000-0000000000aa';
SELECT * FROM pg_temp.ask(100);
UPDATE products SET category_id = '00000000-0000-7000-b000-0000000000aa', description = repeat('y', 2000) WHERE id > pg_temp.id(30) AND vendor_id = '00000000-0000-7000-9000-0000000000aa';
SELECT * FROM pg_temp.ask(100);
-- gone, and the table shorter than it was
DELETE FROM products WHERE id > pg_temp.id(10) AND vendor_id = '00000000-0000-7000-9000-0000000000aa';
SELECT * FROM pg_temp.ask(100);
VACUUM (TRUNCATE) products;
SELECT * FROM pg_temp.ask(100);
-- others in the room they had, some with the ids of those that went
SELECT pg_temp.add(91, 150);
SELECT * FROM pg_temp.ask(150);
-- all of them elsewhere
VACUUM FULL products;
SELECT * FROM pg_temp.ask(150);
CLUSTER products USING products_vendor_id_id_idx;
SELECT * FROM pg_temp.ask(150);
-- what is not committed yet is not there for long
BEGIN;
SELECT pg_temp.add(151, 160);
SELECT * FROM pg_temp.ask(160);
ROLLBACK;
SELECT * FROM pg_temp.ask(160);
-- more of them than a session remembers, twice
SET session_replication_role = replica;
INSERT INTO products (id, vendor_id, name) SELECT pg_temp.id(n), '00000000-0000-7000-9000-0000000000aa', 'Product ' || n FROM generate_series(1001, 101000) n;
SELECT count(*), count(*) FILTER (WHERE product_get(v.id) IS DISTINCT FROM v OR product_get(v.id) IS DISTINCT FROM v) AS otherwise
	FROM product_view v WHERE id > pg_temp.id(1000) AND vendor_id = '00000000-0000-7000-9000-0000000000aa';
DELETE FROM products WHERE id > pg_temp.id(1000) AND vendor_id = '00000000-0000-7000-9000-0000000000aa';
RESET session_replication_role;
DELETE FROM products WHERE vendor_id = '00000000-0000-7000-9000-0000000000aa';
DELETE FROM categories WHERE slug = 'places';
DELETE FROM vendors WHERE slug = 'places';
