-- Reports: each equals plain SQL over the books, whatever is folded, after late corrections, over changes of clocks and at the edges
-- of periods. REPORT_ITEMS=4000 REPORT_VENDORS=12 REPORT_PRODUCTS=120 REPORT_SEED=1
\set items 4000
\set vendors 12
\set products 120
\set seed 1
\getenv items REPORT_ITEMS
\getenv vendors REPORT_VENDORS
\getenv products REPORT_PRODUCTS
\getenv seed REPORT_SEED
SET client_min_messages = warning;
SELECT * FROM no_plan();
SELECT diag('seed ' || :seed || ', ' || :items || ' items');
BEGIN;
SET TimeZone = 'UTC';
SET statement_timeout = '300s';
\i test/report/generate.sql
\i test/report/plain.sql
ANALYZE;

-- the reports and their arguments; NAME stands for the schema of the function
CREATE TEMPORARY TABLE asked (n serial, report text, arguments text);
INSERT INTO asked (report, arguments) VALUES
	('report_revenue', $$'2025-01-01Z', '2027-01-01Z'$$),
	('report_revenue', $$'2025-01-01Z', '2027-01-01Z', 'month', by_vendor => true$$),
	('report_revenue', $$'2025-01-01Z', '2026-01-01Z', 'year', by_vendor => true$$),
	('report_revenue', $$'2025-02-03 04:05:06.789Z', '2026-02-17 19:00Z', 'quarter', by_vendor => true$$),
	('report_revenue', $$'2025-03-29 23:00Z', '2025-04-02 05:45Z', 'day', by_vendor => true$$),
	('report_revenue', $$'2025-03-01Z', '2025-06-01Z', 'week', by_vendor => true, currency => 'EUR'$$),
	('report_revenue', $$'2025-10-25 22:00Z', '2025-10-27 10:20Z', 'hour', by_vendor => true$$),
	('report_revenue', $$'2025-03-30 00:15Z', '2025-03-30 03:30Z', 'day', by_vendor => true$$),
	('report_revenue', $$'2025-11-01 04:00Z', '2025-11-04 04:00Z', 'hour', '00000000-0003-7000-8000-000000000002'$$),
	('report_revenue', $$'2025-12-31 11:00Z', '2026-01-31 11:00Z', 'month', '00000000-0003-7000-8000-000000000006'$$),
	('report_orders', $$'2025-02-03 04:05Z', '2026-11-17 19:00Z', 'quarter'$$),
	('report_orders', $$'2025-03-29 04:05Z', '2025-04-17 19:00Z', 'week', currency => 'EUR'$$),
	('report_cancellations', $$'2025-01-01Z', '2026-03-17 19:00Z', 'month'$$),
	('report_seasonality', $$'2025-01-01Z', '2026-01-01Z'$$),
	('report_seasonality', $$'2025-01-31 10:00Z', '2026-01-01Z', '00000000-0003-7000-8000-000000000002'$$),
	('report_ranking', $$'2025-01-01Z', '2026-01-01Z', most => 10000$$),
	('report_ranking', $$'2025-03-09 07:00Z', '2025-03-10 07:00Z', 'location', most => 10000$$),
	('report_ranking', $$'2025-02-10 07:00Z', '2025-11-10 07:00Z', 'category'$$),
	('report_ranking', $$'2025-01-31 13:00Z', '2025-03-01 13:00Z', 'vendor'$$),
	('report_ranking', $$'2025-01-31 13:00Z', '2025-03-01 13:00Z', 'product', '00000000-0003-7000-8000-000000000003', category_id => '00000000-0002-7000-8000-000000000001', most => 3$$),
	('report_utilisation', $$'2025-01-01Z', '2026-01-01Z'$$),
	('report_utilisation', $$'2025-04-11 07:30Z', '2025-05-11 07:30Z', 'location'$$),
	('report_utilisation', $$'2025-04-11 07:30Z', '2026-03-11 07:30Z', 'vendor', location_id => '00000000-0004-7000-8000-000000000006'$$),
	('report_stock_turn', $$'2025-01-01Z', '2025-07-01Z', 'category'$$),
	('report_units', $$'2025-02-10 11:00Z', '2025-11-01Z'$$),
	('report_inventory', $$'2025-06-01Z'$$),
	('report_inventory', $$NULL, '00000000-0003-7000-8000-000000000002'$$),
	('report_customers', $$'2025-01-01Z', '2026-01-01Z', most => 10000$$),
	('report_customers', $$'2025-01-01Z', '2025-02-01Z', currency => 'EUR', most => 4$$),
	('report_cohorts', $$'2025-01-01Z', '2026-01-01Z'$$),
	('report_cohorts', $$'2025-01-01Z', '2026-01-01Z', '00000000-0003-7000-8000-000000000002'$$),
	('report_durations', $$'2025-01-01 05:00Z', '2026-01-01Z', 'week'$$),
	('report_late', $$'2025-01-01 05:00Z', '2026-02-01Z', 'month'$$),
	('report_overdue', $$$$),
	('report_receivables', $$$$),
	('report_deposits', $$$$),
	('report_commission', $$'2025-01-01 05:00Z', '2026-02-01Z', 'quarter'$$);

-- differences(): which of them do not answer what plain SQL does
CREATE FUNCTION pg_temp.differences() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	a record;
	d bigint;
	told bigint;
BEGIN
	FOR a IN SELECT * FROM asked ORDER BY n LOOP
		EXECUTE format('WITH ours AS MATERIALIZED (SELECT * FROM rental.%1$s(%2$s)), plain AS MATERIALIZED (SELECT * FROM pg_temp.%1$s(%3$s))
			SELECT (SELECT count(*) FROM (SELECT * FROM ours EXCEPT ALL SELECT * FROM plain) x) + (SELECT count(*) FROM (SELECT * FROM plain EXCEPT ALL SELECT * FROM ours) x),
				(SELECT count(*) FROM plain)', a.report, a.arguments, replace(replace(replace(replace(a.arguments, 'currency =>', 'c =>'), 'vendor_id =>', 'v_id =>'), 'category_id =>', 'k =>'), 'location_id =>', 'l =>')) INTO d, told;
		IF d > 0 THEN
			RETURN NEXT format('%s(%s): %s rows differ', a.report, a.arguments, d);
		ELSIF told = 0 THEN
			RETURN NEXT format('%s(%s) tells nothing', a.report, a.arguments);
		END IF;
	END LOOP;
END $$;

SELECT is_empty($$ SELECT name FROM rental.report_catalog c WHERE NOT EXISTS (SELECT FROM asked a WHERE 'rental.' || a.report = c.function)
	AND name NOT IN ('revenue-by', 'trial-balance', 'customer-balances', 'taxes', 'shortages',
		'funnel', 'lost-demand', 'forecast', 'suggestions') $$, 'every report is held against plain SQL, here, in sql/vendors_money.sql, activity.sql or test/http/forecast.t');
SELECT cmp_ok((SELECT count(*) FROM rental.facts_delta), '>', :items::bigint, 'changes of the books are recorded');
SELECT is_empty('SELECT * FROM rental.report_verify()', 'the facts agree with the books, nothing being folded');
SELECT is_empty('SELECT pg_temp.differences()', 'reports equal plain SQL before anything is folded');
SELECT is(rental.report_fold(:items), :items::bigint, 'half of it is folded');
SELECT is_empty('SELECT * FROM rental.report_verify()', 'the facts still agree');
SELECT is_empty('SELECT pg_temp.differences()', 'and reports equal plain SQL');
SELECT cmp_ok(rental.report_fold(10000000), '>', 0::bigint, 'the rest is folded');
SELECT is((SELECT count(*) FROM rental.facts_delta), 0::bigint, 'and gone');
SELECT is_empty('SELECT * FROM rental.report_verify()', 'the facts agree with the books, everything being folded');
SELECT is_empty('SELECT pg_temp.differences()', 'and reports equal plain SQL');

-- late corrections of old days, by raw SQL
SET session_replication_role = replica;
UPDATE rental.orders SET status = 'cancelled' WHERE id IN (SELECT pg_temp.id('0006', n) FROM made WHERE status IN ('pending', 'confirmed', 'completed') AND n % 7 = 0);
UPDATE rental.orders SET status = 'confirmed' WHERE id IN (SELECT pg_temp.id('0006', n) FROM made WHERE status IN ('pending', 'draft') AND n % 5 = 0);
UPDATE rental.orders SET created_at = created_at - interval '40 days' WHERE id IN (SELECT pg_temp.id('0006', n) FROM made WHERE n % 11 = 0);
UPDATE rental.order_items SET end_at = end_at + interval '70 hours', subtotal = subtotal + unit_price, quantity = quantity + 1, total = total + unit_price
	WHERE order_id IN (SELECT pg_temp.id('0006', n) FROM made WHERE n % 6 = 0);
DELETE FROM rental.order_items WHERE id IN (SELECT pg_temp.id('0007', 2 * n) FROM made WHERE n % 13 = 0);
UPDATE rental.order_items SET product_id = (SELECT p.id FROM rental.products p WHERE p.vendor_id = order_items.vendor_id ORDER BY p.id LIMIT 1)
	WHERE order_id IN (SELECT pg_temp.id('0006', n) FROM made WHERE n % 17 = 0);
UPDATE rental.payments SET status = 'succeeded' WHERE status = 'processing' AND kind = 'charge';
UPDATE rental.invoices SET status = 'issued', number = 'LATE-' || id, issued_at = created_at, due_at = created_at, seller = '{}', buyer = '{}' WHERE status = 'draft';
SET session_replication_role = origin;
SELECT cmp_ok((SELECT count(*) FROM rental.facts_delta), '>', 0::bigint, 'corrections are recorded');
SELECT is_empty('SELECT * FROM rental.report_verify()', 'after late corrections the facts agree with the books');
SELECT is_empty('SELECT pg_temp.differences()', 'and reports equal plain SQL');
SELECT cmp_ok(rental.report_fold(), '>', 0::bigint, 'they are folded');
SELECT is_empty('SELECT * FROM rental.report_verify()', 'and the facts agree');

-- another time zone
UPDATE rental.vendors SET time_zone = 'America/Los_Angeles' WHERE id = pg_temp.id('0003', 2);
SELECT is_empty('SELECT * FROM rental.report_verify()', 'a vendor that moves to another time zone has its facts by the days there');
SELECT is_empty('SELECT pg_temp.differences()', 'as reports do');

-- what is wrong is found, and mended
UPDATE rental.facts_daily SET billed = billed + 1 WHERE (vendor_id, day) = (SELECT vendor_id, day FROM rental.facts_daily ORDER BY 1, 2 LIMIT 1);
DELETE FROM rental.facts_products WHERE product_id = (SELECT product_id FROM rental.facts_products ORDER BY 1 LIMIT 1);
INSERT INTO rental.facts_delta SELECT * FROM rental.facts_books ORDER BY at LIMIT 1;
SELECT results_eq('SELECT DISTINCT facts FROM rental.report_verify() ORDER BY 1', ARRAY['facts_daily', 'facts_monthly', 'facts_products'], 'facts that are wrong are found');
SELECT results_eq($$ SELECT difference ->> 'billed' FROM rental.report_verify() WHERE facts = 'facts_daily' AND difference ? 'billed' $$, ARRAY['-1'], 'by how much');
SELECT cmp_ok(rental.report_rebuild(), '>', 0::bigint, 'report_rebuild() mends them');
SELECT is_empty('SELECT * FROM rental.report_verify()', 'for good');
SELECT is(rental.report_rebuild(), 0::bigint, 'and has nothing to do then');
SELECT is_empty('SELECT pg_temp.differences()', 'and reports equal plain SQL');
DELETE FROM rental.facts_daily; DELETE FROM rental.facts_monthly; DELETE FROM rental.facts_products;
SELECT cmp_ok(rental.report_rebuild(), '>', 0::bigint, 'it makes them from nothing, too');
SELECT is_empty('SELECT * FROM rental.report_verify()', 'as they were');

SELECT * FROM finish();
ROLLBACK;
