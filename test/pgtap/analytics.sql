-- What analysts read: the views are what they were promised to be, tell of nobody who they are, and there is nothing else.
BEGIN;
SET client_min_messages = warning;
SET search_path = rental, public;
SELECT no_plan();

-- The contract of version 1. A line may be added at the end of a view; none may change.
CREATE TEMPORARY TABLE promised (line text);
\copy promised FROM 'test/pgtap/analytics.expected'
CREATE TEMPORARY VIEW actual AS
	SELECT c.relname || ' ' || a.attnum || ' ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) AS line
	FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	WHERE c.relnamespace = 'rental_analytics'::regnamespace;
\copy (SELECT line FROM actual ORDER BY split_part(line, ' ', 1), split_part(line, ' ', 2)::integer) TO 'build/analytics.actual'
SELECT is((SELECT string_agg(line, E'\n') FROM (SELECT line FROM promised EXCEPT SELECT line FROM actual ORDER BY 1) n), NULL, 'no column of version 1 has gone or changed');
SELECT is((SELECT string_agg(line, E'\n') FROM (SELECT line FROM actual EXCEPT SELECT line FROM promised ORDER BY 1) n), NULL,
	'every column is promised: cp build/analytics.actual test/pgtap/analytics.expected');
SELECT is_empty($$ SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'rental_analytics'::regnamespace AND obj_description(c.oid, 'pg_class') IS NULL $$, 'every view has a comment');
SELECT is_empty($$ SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'rental_analytics'::regnamespace AND (obj_description(p.oid, 'pg_proc') IS NULL
	OR NOT p.prosecdef OR NOT 'search_path=pg_catalog, rental, pg_temp' = ANY (p.proconfig)) $$, 'every function has one, and a fixed search path');

-- Nobody is known by them

SELECT is_empty($$ SELECT line FROM actual WHERE line ~ '(pass|hash|secret|token|email|mail|phone|address|street|recipient|buyer|seller|avatar|note|reason|signature|session|payout_details|tax_number|jsonb?$|bytea$)'
	AND line !~ '^lost_demand \d+ reason text' -- the code of an error
$$,
	'no column has a name or type that might');
SELECT demo_load(1);
DO $$
DECLARE
	p record;
BEGIN
	-- somebody's every word, wherever it is kept
	FOR p IN SELECT * FROM (VALUES
		('users', 'email', $e$'planted-' || id || '@analyst.example'$e$), ('users', 'password_hash', $e$'planted'$e$), ('users', 'name', $e$'planted'$e$), ('users', 'phone', $e$'planted'$e$),
		('vendors', 'payout_details', $e$'planted'$e$), ('vendors', 'tax_number', $e$'planted'$e$), ('vendors', 'terms', $e$'planted'$e$),
		('orders', 'note', $e$'planted'$e$), ('orders', 'delivery', $e$'{"method": "delivery", "address": {"recipient": "planted", "line1": "planted"}}'$e$),
		('orders', 'extension', $e$'{"planted": "planted"}'$e$), ('order_events', 'data', $e$'{"reason": "planted"}'$e$), ('order_charges', 'reason', $e$'planted'$e$),
		('blackouts', 'reason', $e$'planted'$e$), ('invoices', 'seller', $e$'{"name": "planted"}'$e$), ('invoices', 'buyer', $e$'{"name": "planted", "email": "planted"}'$e$),
		('invoices', 'note', $e$'planted'$e$), ('invoice_lines', 'description', $e$'planted'$e$), ('payments', 'reason', $e$'planted'$e$)) v (name, col, value)
	LOOP
		EXECUTE format('ALTER TABLE rental.%I DISABLE TRIGGER ALL', p.name);
		EXECUTE format('UPDATE rental.%I SET %I = %s', p.name, p.col, p.value);
	END LOOP;
END $$;
INSERT INTO profiles (user_id, address, avatar) SELECT id, '{"line1": "planted"}', 'https://planted.example' FROM users ON CONFLICT (user_id) DO NOTHING;
SET CONSTRAINTS ALL IMMEDIATE;
CREATE FUNCTION pg_temp.hits(relation regclass) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
	EXECUTE format('SELECT count(*) FROM %s v WHERE v::text ILIKE %L', relation, '%planted%') INTO n;
	RETURN n;
END $$;
SELECT cmp_ok((SELECT sum(pg_temp.hits(t)) FROM unnest('{users,orders,invoices,payments,profiles}'::regclass[]) t), '>', 500::numeric, 'people are all over the tables');
SELECT is(pg_temp.hits(c.oid), 0::bigint, 'none is in ' || c.relname) FROM pg_class c WHERE c.relnamespace = 'rental_analytics'::regnamespace AND c.relkind = 'v' ORDER BY c.relname;
SELECT is((SELECT count(*) FROM rental_analytics.orders_as_of(now()) o WHERE o::text ILIKE '%planted%'), 0::bigint, 'nor in orders as they were');

-- There is nothing else

CREATE FUNCTION pg_temp.rows_of(relation regclass) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
	SET LOCAL ROLE rental_analyst;
	EXECUTE format('SELECT count(*) FROM (SELECT * FROM %s LIMIT 5) v', relation) INTO n;
	RESET ROLE;
	RETURN n;
END $$;
SELECT lives_ok(format('SELECT pg_temp.rows_of(%L)', c.oid::regclass), 'an analyst reads ' || c.relname) FROM pg_class c
	WHERE c.relnamespace = 'rental_analytics'::regnamespace AND c.relkind = 'v' ORDER BY c.relname;
SELECT is_empty($$ SELECT c.oid::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname NOT IN ('rental_analytics', 'pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)' AND c.relkind IN ('r', 'v', 'm', 'p', 'f', 'S')
		AND c.relname NOT IN ('pg_all_foreign_keys', 'tap_funky') -- pgTAP's own, which are everybody's
		AND (CASE WHEN c.relkind = 'S' THEN has_sequence_privilege('rental_analyst', c.oid, 'SELECT, USAGE, UPDATE')
			ELSE has_table_privilege('rental_analyst', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
				OR has_any_column_privilege('rental_analyst', c.oid, 'SELECT, INSERT, UPDATE, REFERENCES') END) $$, 'and no other table, view or sequence at all');
SELECT is_empty($$ SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'rental_analytics'::regnamespace
	AND has_table_privilege('rental_analyst', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') $$, 'the views are to read only');
SELECT is_empty($$ SELECT r, c.oid::regclass FROM pg_class c, unnest('{rental_shim,rental_worker,rental_admin,public}'::text[]) r
	WHERE c.relnamespace = 'rental_analytics'::regnamespace AND (has_table_privilege(r, c.oid, 'SELECT') OR has_schema_privilege(r, c.relnamespace, 'USAGE')) $$, 'nobody else has them');

-- As of a time: sets agree with the one order that order_as_of shows

CREATE TEMPORARY TABLE moments AS SELECT percentile_disc(f) WITHIN GROUP (ORDER BY until) AS at FROM order_history, unnest(ARRAY[0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0]) f GROUP BY f;
INSERT INTO moments SELECT at - interval '1 microsecond' FROM moments;
CREATE TEMPORARY TABLE orders_then AS SELECT m.at, o.* FROM (SELECT DISTINCT at FROM moments) m, rental_analytics.orders_as_of(m.at) o;
CREATE TEMPORARY TABLE items_then AS SELECT m.at, i.* FROM (SELECT DISTINCT at FROM moments) m, rental_analytics.order_items_as_of(m.at) i;
ANALYZE orders_then, items_then;
SELECT cmp_ok((SELECT count(DISTINCT at) FROM moments), '>=', 5::bigint, 'moments to ask about');
SELECT is_empty($$
	WITH one AS (
		SELECT m.at, o.id, order_as_of(o.id, m.at) AS was FROM (SELECT DISTINCT at FROM moments) m JOIN orders o ON o.created_at <= m.at
	), items AS (
		SELECT at, order_id, ROW(count(*), sum(total), sum(returned))::text AS items FROM items_then GROUP BY 1, 2
	)
	SELECT * FROM (SELECT at, id, was ->> 'status' AS status, (was ->> 'total')::numeric AS total, (was ->> 'paid')::numeric AS paid,
			(SELECT ROW(count(*), sum((i ->> 'total')::numeric), sum((i ->> 'returned')::integer))::text FROM jsonb_array_elements(was -> 'items') i HAVING count(*) > 0) AS items FROM one) a
	FULL JOIN (SELECT o.*, i.items FROM orders_then o LEFT JOIN items i USING (at, order_id)) b ON b.at = a.at AND b.order_id = a.id
	WHERE ROW(a.status, a.total, a.paid, a.items) IS DISTINCT FROM ROW(b.status, b.total, b.paid, b.items) LIMIT 3 $$, 'orders and their lines, as sets and one by one');
SELECT set_eq($$ SELECT * FROM rental_analytics.orders_as_of('infinity') $$, $$ SELECT * FROM rental_analytics.orders $$, 'in the end they are what they are');
SELECT set_eq($$ SELECT * FROM rental_analytics.order_items_as_of('infinity') $$, $$ SELECT * FROM rental_analytics.order_items $$, 'and so their lines');
SELECT set_eq($$ SELECT * FROM rental_analytics.orders_as_of('infinity', (SELECT min(vendor_id::text)::uuid FROM orders)) $$,
	$$ SELECT * FROM rental_analytics.orders WHERE vendor_id = (SELECT min(vendor_id::text)::uuid FROM orders) $$, 'of one vendor');
-- what was promised, by counting at every start of a rental in the period
SELECT is_empty($$
	WITH w AS (SELECT DISTINCT m.at, m.at + interval '1 day' AS f, m.at + interval '8 days' AS t FROM moments m
	), item AS (
		SELECT w.*, i.* FROM w JOIN LATERAL (SELECT i.* FROM items_then i WHERE i.at = w.at) AS i (at_then, vendor_id, order_id, order_item_id, product_id, location_id, quantity, start_at, end_at,
			currency, unit_price, subtotal, discount, tax, total, dispatched, returned, damaged, lost, created_at) ON true
		JOIN products p ON p.id = i.product_id AND p.kind = 'rental' AND p.tracking <> 'kit'
		JOIN orders_then o ON o.at = w.at AND o.order_id = i.order_id AND (o.status IN ('confirmed', 'active') OR (o.status = 'pending' AND o.expires_at > w.at))
	), counted AS (
		SELECT p.at, p.product_id, p.location_id, max((SELECT sum(j.quantity - j.returned) FROM item j WHERE j.at = p.at AND j.product_id = p.product_id AND j.location_id = p.location_id
			AND greatest(p.start_at, p.f) >= j.start_at AND greatest(p.start_at, p.f) < j.end_at)) AS promised
		FROM item p WHERE p.start_at < p.t AND p.end_at > p.f AND p.quantity > p.returned GROUP BY 1, 2, 3
	)
	SELECT * FROM counted c JOIN w ON w.at = c.at LEFT JOIN LATERAL (SELECT s.promised FROM rental_analytics.stock_as_of(w.at, w.f, w.t) s WHERE s.product_id = c.product_id AND s.location_id = c.location_id) s ON true
	WHERE c.promised IS DISTINCT FROM s.promised AND NOT EXISTS (SELECT FROM product_components k WHERE k.component_id = c.product_id) $$, 'what was promised then');
SELECT cmp_ok((SELECT max(s.promised) FROM (SELECT at FROM moments ORDER BY at DESC OFFSET 3 LIMIT 1) m, rental_analytics.stock_as_of(m.at, m.at, m.at + interval '7 days') s), '>', 0, 'which was something');
SELECT is_empty($$ SELECT s.* FROM rental_analytics.stock_as_of('-infinity', now(), now() + interval '1 day') s
	WHERE s.promised <> 0 OR s.free <> s.capacity $$, 'before all orders nothing was promised');
SELECT * FROM finish();
ROLLBACK;
