-- The main story from SQL: the same functions that HTTP calls.
SET search_path = rental, public;
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET rental.clock = '2026-06-01 09:00Z';
SET rental.argon2_memory = 64;
\set VERBOSITY terse
SELECT (s."user").email, (s."user").role, s.expires_at, length(s.refresh) FROM auth_signup('Vera@Example.com', 'long enough', 'Vera', 'vendor', business_name => 'Vera''s Tools & Co', time_zone => 'Europe/Berlin') s;
SELECT (s."user").email, (s."user").role, (s."user").vendor_id FROM auth_signup('carl@example.com', 'long enough', 'Carl') s;
SELECT (s."user").email FROM auth_signup('carla@example.com', 'long enough', 'Carla') s;
SELECT id AS vera FROM users WHERE email = 'vera@example.com' \gset
SELECT id AS carl FROM users WHERE email = 'carl@example.com' \gset
SELECT id AS carla FROM users WHERE email = 'carla@example.com' \gset
SELECT id AS vendor, slug FROM vendors WHERE slug = 'vera-s-tools-co' \gset
-- accounts
SELECT auth_signup('CARL@example.com', 'long enough', 'Carl again');
SELECT auth_signup('x@example.com', 'short', 'X');
SELECT auth_signup('no address', 'long enough', 'X');
SELECT auth_signup('x@example.com', 'long enough', ' ');
SELECT auth_signup('x@example.com', 'long enough', 'X', 'admin');
SELECT auth_signup('x@example.com', 'long enough', 'X', 'vendor');
SELECT auth_signup('x@example.com', 'long enough', 'X', 'vendor', business_name => 'X', time_zone => 'Mars/Olympus');
SELECT auth_login('carl@example.com', 'wrong');
SELECT auth_login('nobody@example.com', 'wrong');
SELECT refresh FROM auth_login('carl@example.com', 'long enough') \gset
SELECT refresh AS second FROM auth_refresh(:'refresh') \gset
SELECT refresh = :'second' AS same_successor FROM auth_refresh(:'refresh');
UPDATE refresh_tokens SET used_at = used_at - interval '11 seconds' WHERE used_at IS NOT NULL;
SELECT auth_refresh(:'refresh');
SELECT auth_logout(:'second');
SELECT auth_refresh(:'second');
SELECT count(*) AS in_the_clear FROM users WHERE password_hash NOT LIKE '$argon2id$%' AND password_hash <> '!';
-- the catalogue, by the vendor
BEGIN;
SELECT act_as(:'vera', 'vendor', :'vendor');
SELECT id AS drill FROM product_create('Drill', day_rate => 12.50) \gset
SELECT id AS saw FROM product_create('Saw') \gset
SELECT name, currency, rate, is_active FROM product_rate_set(:'saw', 30, days => 3, extra_day => 7.99);
SELECT quantity FROM stock_set(:'drill', 2);
SELECT quantity FROM stock_set(:'saw', 1);
COMMIT;
BEGIN; SELECT act_as(:'carl', 'customer'); SELECT stock_set(:'drill', 9); ROLLBACK;
BEGIN; SELECT act_as(:'carl', 'customer'); SELECT product_create('Mine', vendor_id => :'vendor'); ROLLBACK;
BEGIN; SELECT act_as(:'vera', 'vendor', :'vendor'); SELECT product_rate_set(:'drill', 12.345); ROLLBACK;
BEGIN; SELECT act_as(:'vera', 'vendor', :'vendor'); SELECT product_rate_set(:'drill', -1); ROLLBACK;
BEGIN; SELECT act_as(:'vera', 'vendor', :'vendor'); SELECT product_rate_set(:'drill', 'NaN'); ROLLBACK;
BEGIN; SELECT act_as(:'vera', 'vendor', :'vendor'); SELECT stock_set(:'drill', -1); ROLLBACK;
-- prices: days are the vendor's; on 2026-10-25 a day in Berlin has 25 hours, on 2026-03-29 it has 23
SELECT units, unit_price, total, lines FROM price(:'saw', '2026-06-10 10:00+02', '2026-06-15 10:01+02', 2);
SELECT units, total FROM price(:'drill', '2026-10-24 12:00+02', '2026-10-25 12:00+01');
SELECT units, total FROM price(:'drill', '2026-10-24 12:00+02', '2026-10-25 12:00:01+01');
SELECT units, total FROM price(:'drill', '2027-03-27 12:00+01', '2027-03-28 12:00+02');
SELECT units, total FROM price(:'drill', '2026-06-10 10:00Z', '2026-06-10 10:15Z');
SELECT price(:'drill', '2026-06-10 10:00Z', '2026-06-10 10:00Z');
SELECT price(:'drill', '2026-06-10 10:00Z', '2026-06-10 10:14Z');
SELECT price(:'drill', '2026-06-10 10:00Z', '2036-06-10 10:14Z');
SELECT price(:'vendor', '2026-06-10 10:00Z', '2026-06-10 11:00Z');
-- orders
CREATE FUNCTION pg_temp.items(VARIADIC jsonb[]) RETURNS jsonb LANGUAGE sql AS 'SELECT to_jsonb($1)';
CREATE FUNCTION pg_temp.item(product uuid, quantity integer, start_at text, end_at text) RETURNS jsonb LANGUAGE sql AS
	$$ SELECT jsonb_build_object('product_id', product, 'quantity', quantity, 'start_at', start_at, 'end_at', end_at) $$;
BEGIN;
SELECT act_as(:'carl', 'customer');
SELECT id AS o1, number, status, currency, subtotal, discount, tax, deposit, total, balance, expires_at,
	(SELECT array_agg(i.product_name || ' ' || i.quantity || ' x ' || i.unit_price || ' = ' || i.total ORDER BY i.id) FROM unnest(items) i) AS items
	FROM order_place(pg_temp.items(pg_temp.item(:'drill', 2, '2026-06-10T10:00:00Z', '2026-06-12T10:00:00Z'),
		pg_temp.item(:'saw', 1, '2026-06-10T12:00:00+02:00', '2026-06-12T12:00:00+02:00')), note => ' please ring ') \gset
\echo :number :status :currency :subtotal :discount :tax :deposit :total :balance :expires_at :items
COMMIT;
SELECT availability(:'drill', '[2026-06-11Z,2026-06-12Z)') AS drills, availability(:'saw', '[2026-06-11Z,2026-06-12Z)') AS saws,
	availability(:'drill', '[2026-06-12 10:00Z,2026-06-13Z)') AS drills_after;
-- all or nothing
BEGIN; SELECT act_as(:'carla', 'customer');
SELECT order_place(pg_temp.items(pg_temp.item(:'drill', 1, '2026-06-20T10:00:00Z', '2026-06-21T10:00:00Z'), pg_temp.item(:'saw', 1, '2026-06-11T10:00:00Z', '2026-06-13T10:00:00Z'))); ROLLBACK;
SELECT count(*) FROM orders;
SELECT availability(:'drill', '[2026-06-20Z,2026-06-22Z)');
-- requests that are wrong
CREATE FUNCTION pg_temp.try(who uuid, items jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE code text; field text; message text; state text;
BEGIN
	PERFORM rental.act_as(who, 'customer');
	PERFORM rental.order_place(items);
	RETURN 'placed';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = CONSTRAINT_NAME, field = COLUMN_NAME, message = MESSAGE_TEXT, state = RETURNED_SQLSTATE;
	RETURN concat_ws(' ', state, code, field, '-', regexp_replace(message, '[0-9a-f-]{36}', 'ID'));
END $$;
SELECT pg_temp.try(:'carl', i) FROM (VALUES
	(1, '{}'::jsonb), (2, '[]'), (3, '"x"'), (4, '[1]'), (5, '[{}]'),
	(6, pg_temp.items(pg_temp.item(:'drill', 1, '2026-06-20T10:00:00Z', '2026-06-21T10:00:00Z') || '{"colour": "red"}')),
	(7, pg_temp.items(pg_temp.item(:'drill', 1, '2026-06-20T10:00:00Z', '2026-06-21T10:00:00Z') || '{"quantity": "1"}')),
	(8, pg_temp.items(pg_temp.item(:'drill', 1, '2026-06-20T10:00:00Z', '2026-06-21T10:00:00Z') || '{"quantity": 1.5}')),
	(9, pg_temp.items(pg_temp.item(:'drill', 1, '2026-06-20T10:00:00Z', '2026-06-21T10:00:00Z') || '{"quantity": 1e30}')),
	(10, pg_temp.items(pg_temp.item(:'drill', 0, '2026-06-20T10:00:00Z', '2026-06-21T10:00:00Z'))),
	(11, pg_temp.items(pg_temp.item(:'drill', 1, '2026-06-20T10:00:00', '2026-06-21T10:00:00Z'))),
	(12, pg_temp.items(pg_temp.item(:'drill', 1, '2026-06-20T10:00:00Z', '2026-06-20T09:00:00Z'))),
	(13, pg_temp.items(pg_temp.item(:'drill', 1, '2026-06-20T10:00:00Z', '2026-13-20T09:00:00Z'))),
	(14, pg_temp.items(pg_temp.item(:'vendor', 1, '2026-06-20T10:00:00Z', '2026-06-21T10:00:00Z'))),
	(15, pg_temp.items(pg_temp.item(:'drill', 1, '2026-06-20T10:00:00Z', '2026-06-21T10:00:00Z') || '{"product_id": "drill"}')),
	(16, pg_temp.items(pg_temp.item(:'drill', 3, '2026-06-20T10:00:00Z', '2026-06-21T10:00:00Z'))),
	(17, pg_temp.items(pg_temp.item(:'drill', 1, '2026-06-20T10:00:00Z', '2026-06-21T10:00:00Z') || '{"unit_ids": "x"}')),
	(18, pg_temp.items(pg_temp.item(:'drill', 1, '2026-06-20T10:00:00Z', '2026-06-21T10:00:00Z') || jsonb_build_object('location_id', :'vendor'))),
	(20, pg_temp.items(pg_temp.item(:'drill', 1, '2026-05-31T10:00:00Z', '2026-06-21T10:00:00Z'))),
	(19, (SELECT jsonb_agg(pg_temp.item(:'drill', 1, '2026-06-20T10:00:00Z', '2026-06-21T10:00:00Z')) FROM generate_series(1, 101)))
) v(n, i) ORDER BY n;
SELECT count(*) FROM orders;
-- whose order it is
BEGIN; SELECT act_as(:'carla', 'customer'); SELECT order_get(:'o1'); ROLLBACK;
BEGIN; SELECT act_as(:'carla', 'customer'); SELECT order_cancel(:'o1'); ROLLBACK;
BEGIN; SELECT act_as(:'carl', 'customer'); SELECT order_confirm(:'o1'); ROLLBACK;
BEGIN; SELECT act_as(:'vera', 'vendor', :'carl'); SELECT order_confirm(:'o1'); ROLLBACK;
BEGIN; SELECT act_as(:'carla', 'customer'); SELECT results FROM order_list(); ROLLBACK;
BEGIN; SELECT act_as(:'carl', 'customer'); SELECT count, next, cardinality(results) FROM order_list(count => 'exact'); ROLLBACK;
-- its way through the states
BEGIN; SELECT act_as(:'vera', 'vendor', :'vendor'); SELECT order_dispatch(:'o1'); ROLLBACK;
BEGIN; SELECT act_as(:'vera', 'vendor', :'vendor'); SELECT invoice_issue(:'o1'); ROLLBACK;
BEGIN; SELECT act_as(:'vera', 'vendor', :'vendor');
SELECT status, expires_at FROM order_confirm(:'o1');
SELECT id AS i1, number, status, total, lines FROM invoice_issue(:'o1') \gset
\echo :number :status :total :lines
SELECT amount, status, method FROM payment_record(:'o1', 40, 'transfer');
SELECT status, balance FROM order_get(:'o1');
COMMIT;
BEGIN; SELECT act_as(:'vera', 'vendor', :'vendor'); SELECT invoice_issue(:'o1'); ROLLBACK;
BEGIN; SELECT act_as(:'carl', 'customer'); SELECT number, total FROM invoice_get(:'i1'); ROLLBACK;
BEGIN; SELECT act_as(:'carla', 'customer'); SELECT number, total FROM invoice_get(:'i1'); ROLLBACK;
BEGIN; SELECT act_as(:'vera', 'vendor', :'vendor'); SELECT payment_record(:'o1', -1); ROLLBACK;
BEGIN; SELECT act_as(:'vera', 'vendor', :'vendor'); SELECT payment_record(:'o1', 1, 'shells'); ROLLBACK;
SET rental.clock = '2026-06-10 10:00Z';
BEGIN; SELECT act_as(:'vera', 'vendor', :'vendor'); SELECT status, (SELECT sum(i.dispatched) FROM unnest(items) i) AS out FROM order_dispatch(:'o1'); COMMIT;
BEGIN; SELECT act_as(:'carl', 'customer'); SELECT order_cancel(:'o1'); ROLLBACK;
SET rental.clock = '2026-06-11 08:00Z';
BEGIN; SELECT act_as(:'vera', 'vendor', :'vendor'); SELECT order_return(:'o1', '2026-06-12Z'); ROLLBACK;
BEGIN; SELECT act_as(:'vera', 'vendor', :'vendor'); SELECT status, (SELECT sum(i.returned) FROM unnest(items) i) AS back FROM order_return(:'o1'); COMMIT;
SELECT availability(:'drill', '[2026-06-11 08:00Z,2026-06-12Z)') AS early_return_frees;
SELECT kind, data, created_at FROM order_event_list(:'o1') e, unnest(e.results) ORDER BY created_at, id;
-- an order that nobody confirmed in time takes nothing
BEGIN; SELECT act_as(:'carl', 'customer');
SELECT id AS o2 FROM order_place(pg_temp.items(pg_temp.item(:'drill', 2, '2026-07-10T10:00:00Z', '2026-07-12T10:00:00Z'))) \gset
COMMIT;
SET rental.clock = '2026-06-12 09:00Z';
BEGIN; SELECT act_as(:'carla', 'customer');
SELECT id AS o3, number FROM order_place(pg_temp.items(pg_temp.item(:'drill', 2, '2026-07-11T10:00:00Z', '2026-07-13T10:00:00Z'))) \gset
COMMIT;
BEGIN; SELECT act_as(:'vera', 'vendor', :'vendor'); SELECT order_confirm(:'o2'); ROLLBACK;
BEGIN; SELECT act_as(:'carla', 'customer'); SELECT status FROM order_cancel(:'o3', 'rain'); COMMIT;
BEGIN; SELECT act_as(:'vera', 'vendor', :'vendor'); SELECT status FROM order_confirm(:'o2'); COMMIT;
-- no way around the states
UPDATE orders SET status = 'completed' WHERE id = :'o2';
UPDATE orders SET status = 'pending' WHERE id = :'o1';
SELECT * FROM order_transitions();
-- the books
SELECT * FROM report_revenue('2026-01-01Z', '2027-01-01Z');
SELECT start_at, billed, paid FROM report_revenue('2026-06-01Z', '2026-07-01Z', 'day');
SELECT * FROM report_revenue('2026-01-01Z', '2027-01-01Z', 'fortnight');
SELECT * FROM report_revenue('2027-01-01Z', '2026-01-01Z');
BEGIN; SELECT act_as(:'carl', 'customer'); SELECT * FROM report_revenue('2026-01-01Z', '2027-01-01Z'); ROLLBACK;
BEGIN; SELECT act_as(:'vera', 'vendor', :'carl'); SELECT * FROM report_revenue('2026-01-01Z', '2027-01-01Z', vendor_id => :'vendor'); ROLLBACK;
SET ROLE rental_analyst;
SELECT billed FROM report_revenue('2026-01-01Z', '2027-01-01Z');
SELECT * FROM orders;
SELECT order_confirm(:'o1');
RESET ROLE;
SET ROLE rental_shim;
SELECT act_as(:'carl', 'admin');
SELECT order_list();
RESET ROLE;
SELECT * FROM stock_verify();
-- what C answers of an order is what the view has
SELECT count(*) AS told_otherwise FROM rental.order_view v WHERE v IS DISTINCT FROM rental.order_get(v.id);
