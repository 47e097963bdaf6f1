-- Reports: each equals plain SQL over the books, whatever is folded, after late corrections, over changes of clocks and at the edges
-- of periods. REPORT_ITEMS=2500 REPORT_VENDORS=12 REPORT_PRODUCTS=120 REPORT_SEED=1
\set items 2500
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
-- a bound, which grows with the books
SELECT set_config('statement_timeout', 300 + :items / 500 || 's', false) \g (tuples_only=on format=unaligned) /dev/null
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
	('report_revenue', $$'2025-11-01 04:00Z', '2025-11-04 04:00Z', 'hour'$$),
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
	('report_ranking', $$'2025-01-31 13:00Z', '2025-12-01 13:00Z', 'product', '00000000-0003-7000-8000-000000000003', category_id => '00000000-0002-7000-8000-000000000001', most => 3$$),
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

-- plainly(): what plain SQL answers to each, a table plain_N; to be asked again whenever the books have changed
CREATE FUNCTION pg_temp.plainly() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	a record;
BEGIN
	FOR a IN SELECT * FROM asked ORDER BY n LOOP
		EXECUTE format('DROP TABLE IF EXISTS pg_temp.plain_%s', a.n);
		EXECUTE format('CREATE TEMPORARY TABLE plain_%s AS SELECT * FROM pg_temp.%s(%s)', a.n, a.report,
			replace(replace(replace(replace(a.arguments, 'currency =>', 'c =>'), 'vendor_id =>', 'v_id =>'), 'category_id =>', 'k =>'), 'location_id =>', 'l =>'));
	END LOOP;
END $$;
-- differences(): which of them do not answer what plain SQL does
CREATE FUNCTION pg_temp.differences() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	a record;
	d bigint;
	told bigint;
BEGIN
	FOR a IN SELECT * FROM asked ORDER BY n LOOP
		EXECUTE format('WITH ours AS MATERIALIZED (SELECT * FROM rental.%1$s(%2$s)), plain AS (SELECT * FROM plain_%3$s)
			SELECT (SELECT count(*) FROM (SELECT * FROM ours EXCEPT ALL SELECT * FROM plain) x) + (SELECT count(*) FROM (SELECT * FROM plain EXCEPT ALL SELECT * FROM ours) x),
				(SELECT count(*) FROM plain)', a.report, a.arguments, a.n) INTO d, told;
		IF d > 0 THEN
			RETURN NEXT format('%s(%s): %s rows differ', a.report, a.arguments, d);
		ELSIF told = 0 THEN
			RETURN NEXT format('%s(%s) tells nothing', a.report, a.arguments);
		END IF;
	END LOOP;
END $$;

SELECT is_empty($$ SELECT c.name FROM rental.report_catalog c WHERE (SELECT jsonb_agg(jsonb_build_object('name', a.attname, 'type', format_type(a.atttypid, NULL)) ORDER BY a.attnum)
		FROM pg_proc p JOIN pg_type t ON t.oid = p.prorettype JOIN pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0 WHERE p.oid = to_regproc(c.function))
	IS DISTINCT FROM (SELECT jsonb_agg(x - 'unit' - 'description' ORDER BY n) FROM jsonb_array_elements(c.columns) WITH ORDINALITY AS e (x, n)) $$, 'the catalogue has each report''s columns, in order');
SELECT is_empty($$ SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'rental'::regnamespace AND p.proname LIKE 'report\_%' AND p.proretset
	AND p.proname NOT IN ('report_list', 'report_verify') AND NOT EXISTS (SELECT FROM rental.report_catalog c WHERE c.function = 'rental.' || p.proname) $$, 'every report is in the catalogue');
SELECT is_empty($$ SELECT c.name FROM rental.report_catalog c WHERE NOT EXISTS (SELECT FROM rental.endpoint e WHERE e.method = 'GET' AND e.path = '/api/analytics/reports/' || c.name || '/' AND e.function = c.function) $$,
	'and has its endpoint');
-- doc/reports.md: what it tells of each report is what the catalogue does
CREATE TEMPORARY TABLE page (n serial, line text);
\copy page (line) FROM 'doc/reports.md' (DELIMITER E'\x01')
CREATE TEMPORARY VIEW told AS
SELECT c.name, 0 AS n, '### ' || c.name || ': ' || c.title AS line FROM rental.report_catalog c
UNION ALL SELECT c.name, 1, c.description || ' By: ' || array_to_string(c.dimensions, ', ') || '.' FROM rental.report_catalog c
UNION ALL SELECT c.name, 2, c.formula FROM rental.report_catalog c
UNION ALL SELECT c.name, 2 + e.n, format('| `%s` | %s | %s | %s |', x ->> 'name', x ->> 'type', x ->> 'unit', x ->> 'description') FROM rental.report_catalog c, jsonb_array_elements(c.columns) WITH ORDINALITY AS e (x, n);
SELECT is((SELECT string_agg(line, E'\n' ORDER BY n) FROM page WHERE n > (SELECT n FROM page WHERE line = '## The reports') AND line NOT IN ('', '| column | type | unit | |', '|---|---|---|---|')),
	(SELECT string_agg(line, E'\n' ORDER BY name, n) FROM told), 'doc/reports.md tells of each report what the catalogue does');
SELECT is_empty($$ SELECT name FROM rental.report_catalog c WHERE NOT EXISTS (SELECT FROM asked a WHERE 'rental.' || a.report = c.function)
	AND name NOT IN ('revenue-by', 'trial-balance', 'customer-balances', 'taxes', 'shortages',
		'funnel', 'lost-demand', 'forecast', 'suggestions') $$, 'every report is held against plain SQL, here, in sql/vendors_money.sql, activity.sql or test/http/forecast.t');
SELECT cmp_ok((SELECT count(*) FROM rental.facts_delta), '>', :items::bigint, 'changes of the books are recorded');
SELECT is_empty('SELECT * FROM rental.report_verify()', 'the facts agree with the books, nothing being folded');
SELECT pg_temp.plainly() \g (tuples_only=on format=unaligned) /dev/null
SELECT is_empty('SELECT pg_temp.differences()', 'reports equal plain SQL before anything is folded');
SELECT is(rental.report_fold(:items), :items::bigint, 'half of it is folded');
SELECT is_empty('SELECT * FROM rental.report_verify()', 'the facts still agree');
SELECT is_empty('SELECT pg_temp.differences()', 'and reports equal plain SQL');
SELECT cmp_ok(rental.report_fold(10000000), '>', 0::bigint, 'the rest is folded');
SELECT is((SELECT count(*) FROM rental.facts_delta), 0::bigint, 'and gone');
TRUNCATE rental.facts_delta; -- for VACUUM, which may not run here: whoever looks for deltas would read those that are gone
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
ALTER TABLE rental.invoices DISABLE TRIGGER invoice_guard;
UPDATE rental.invoices SET status = 'issued', number = 'LATE-' || id, issued_at = created_at, due_at = created_at, seller = '{}', buyer = '{}' WHERE status = 'draft';
ALTER TABLE rental.invoices ENABLE ALWAYS TRIGGER invoice_guard;
SET session_replication_role = origin;
SELECT cmp_ok((SELECT count(*) FROM rental.facts_delta), '>', 0::bigint, 'corrections are recorded');
SELECT is_empty('SELECT * FROM rental.report_verify()', 'after late corrections the facts agree with the books');
SELECT pg_temp.plainly() \g (tuples_only=on format=unaligned) /dev/null
SELECT is_empty('SELECT pg_temp.differences()', 'and reports equal plain SQL');
SELECT cmp_ok(rental.report_fold(10000000), '>', 0::bigint, 'they are folded');
TRUNCATE rental.facts_delta;
SELECT is_empty('SELECT * FROM rental.report_verify()', 'and the facts agree');

-- the dashboard and metrics, at a time among the books
SET rental.clock = '2025-11-03 12:00Z';
SET force_parallel_mode = on; -- large books are read by several processes
SELECT lives_ok('SELECT count(*) FROM rental.orders', 'which a query that is shared is not hindered by');
RESET force_parallel_mode;
CREATE TEMPORARY TABLE shown AS SELECT v.id, v.time_zone, (rental.now() AT TIME ZONE v.time_zone)::date AS today, d.* FROM rental.vendors v CROSS JOIN LATERAL rental.dashboard_get(v.id) d WHERE v.slug LIKE 'report-%';
SELECT is_empty($$
	WITH days AS MATERIALIZED (
		SELECT s.id, (r.start_at AT TIME ZONE s.time_zone)::date - s.today AS day, r.* FROM shown s JOIN pg_temp.report_revenue('2025-08-01Z', '2025-11-06Z', 'day', by_vendor => true) r ON r.vendor_id = s.id),
	told AS (SELECT s.id, t.* FROM shown s, unnest(s.trends) t),
	plain AS (SELECT t.id, t.period, p.before, COALESCE(sum(d.orders), 0) AS orders, COALESCE(sum(d.ordered), 0) AS ordered, COALESCE(sum(d.billed), 0) AS billed, COALESCE(sum(d.paid), 0) AS paid,
			COALESCE(sum(d.recognised), 0) AS recognised
		FROM told t CROSS JOIN (VALUES (0), (1)) p (before) LEFT JOIN days d ON d.id = t.id AND d.day > -t.days * (p.before + 1) AND d.day <= -t.days * p.before GROUP BY 1, 2, 3)
	SELECT t.id, t.period FROM told t JOIN plain n ON n.id = t.id AND n.period = t.period AND n.before = 0 JOIN plain o ON o.id = t.id AND o.period = t.period AND o.before = 1
	WHERE (t.orders, t.ordered, t.billed, t.paid, t.recognised, t.orders_before, t.ordered_before, t.billed_before, t.paid_before, t.recognised_before)
		IS DISTINCT FROM (n.orders, n.ordered, n.billed, n.paid, n.recognised, o.orders, o.ordered, o.billed, o.paid, o.recognised) $$,
	'the dashboard''s trends are those of plain SQL, of each vendor');
SELECT cmp_ok((SELECT count(*) FROM shown s, unnest(s.trends) t WHERE t.orders_before <> t.orders), '>', 10::bigint, 'and tell something');
CREATE TEMPORARY VIEW waits AS
SELECT o.vendor_id, 'confirm' AS queue, o.id FROM rental.orders o WHERE o.status = 'pending' AND o.expires_at > rental.now()
UNION SELECT o.vendor_id, 'dispatch', o.id FROM rental.orders o JOIN rental.order_items i ON i.order_id = o.id JOIN rental.vendors v ON v.id = o.vendor_id WHERE o.status IN ('confirmed', 'active')
	AND i.dispatched < i.quantity AND (i.start_at AT TIME ZONE v.time_zone)::date <= (rental.now() AT TIME ZONE v.time_zone)::date
UNION SELECT o.vendor_id, CASE WHEN i.end_at < rental.now() THEN 'overdue' ELSE 'return' END, o.id FROM rental.orders o JOIN rental.order_items i ON i.order_id = o.id JOIN rental.products p ON p.id = i.product_id
	JOIN rental.vendors v ON v.id = o.vendor_id WHERE o.status = 'active' AND i.dispatched > i.returned AND p.kind = 'rental' AND (i.end_at AT TIME ZONE v.time_zone)::date <= (rental.now() AT TIME ZONE v.time_zone)::date
UNION SELECT vendor_id, 'invoices_overdue', id FROM rental.invoices WHERE kind = 'invoice' AND status IN ('issued', 'partly_paid') AND due_at < rental.now()
UNION SELECT vendor_id, 'shortages', order_id FROM rental.shortages WHERE order_id IS NOT NULL;
SELECT set_eq('SELECT s.id, q.queue, q.count FROM shown s, unnest(s.queues) q WHERE q.count > 0', 'SELECT vendor_id, queue, count(*) FROM waits GROUP BY 1, 2', 'and its queues');
SELECT is_empty('SELECT x FROM shown s, unnest(s.queues) q, unnest(q.ids) x EXCEPT SELECT id FROM waits', 'of which it names the first');
SELECT set_eq($$ SELECT q.queue, q.count FROM rental.dashboard_get() d, unnest(d.queues) q $$, $$ SELECT q, (SELECT count(*) FROM waits w WHERE w.queue = q) FROM unnest(ARRAY['confirm', 'dispatch', 'return', 'overdue',
	'invoices_overdue', 'shortages']) q $$, 'that of all vendors counts all');
SELECT results_eq($$ SELECT period, currency, orders, ordered, recognised FROM unnest((rental.dashboard_get()).trends) ORDER BY 1, 2 $$,
	$$ SELECT t.period, t.currency, sum(t.orders)::bigint, sum(t.ordered), sum(t.recognised) FROM shown s, unnest(s.trends) t GROUP BY 1, 2 ORDER BY 1, 2 $$, 'and sums them');
SELECT results_eq($$ SELECT value FROM rental.metric_list('2025-01-01Z', '2026-01-01Z') WHERE name IN ('ordered', 'recognised', 'paid') ORDER BY name, currency $$,
	$$ SELECT v FROM (SELECT x.name, r.currency, sum(x.value) AS v FROM pg_temp.report_revenue('2025-01-01Z', '2026-01-01Z', 'year') r,
		LATERAL (VALUES ('ordered', r.ordered), ('recognised', r.recognised), ('paid', r.paid)) x (name, value) GROUP BY 1, 2 ORDER BY 1, 2) y $$, 'metrics are the sums of reports');
RESET rental.clock;

-- another time zone
UPDATE rental.vendors SET time_zone = 'America/Los_Angeles' WHERE id = pg_temp.id('0003', 2);
SELECT is_empty('SELECT * FROM rental.report_verify()', 'a vendor that moves to another time zone has its facts by the days there');
SELECT pg_temp.plainly() \g (tuples_only=on format=unaligned) /dev/null
SELECT is_empty('SELECT pg_temp.differences()', 'as reports do');

-- what is wrong is found, and mended
UPDATE rental.facts_daily SET billed = billed + 1 WHERE (vendor_id, day) = (SELECT vendor_id, day FROM rental.facts_daily ORDER BY 1, 2 LIMIT 1);
DELETE FROM rental.facts_products WHERE product_id = (SELECT product_id FROM rental.facts_products ORDER BY 1 LIMIT 1);
INSERT INTO rental.facts_delta SELECT * FROM rental.facts_books ORDER BY at LIMIT 1;
SELECT results_eq('SELECT DISTINCT facts FROM rental.report_verify() ORDER BY 1', ARRAY['facts_daily', 'facts_monthly', 'facts_products', 'facts_zones'], 'facts that are wrong are found');
SELECT results_eq($$ SELECT difference ->> 'billed' FROM rental.report_verify() WHERE facts = 'facts_daily' AND difference ? 'billed' $$, ARRAY['-1'], 'by how much');
SELECT cmp_ok(rental.report_rebuild(), '>', 0::bigint, 'report_rebuild() mends them');
SELECT is_empty('SELECT * FROM rental.report_verify()', 'for good');
SELECT is(rental.report_rebuild(), 0::bigint, 'and has nothing to do then');
SELECT is_empty('SELECT pg_temp.differences()', 'and reports equal plain SQL');
DELETE FROM rental.facts_daily; DELETE FROM rental.facts_monthly; DELETE FROM rental.facts_products;
SELECT cmp_ok(rental.report_rebuild(), '>', 0::bigint, 'it makes them from nothing, too');
SELECT is_empty('SELECT * FROM rental.report_verify()', 'as they were');

-- the dashboard of all vendors, which is folded in its own way, is the sum of the vendors' own
SELECT set_config('rental.clock', (SELECT (percentile_disc(0.5) WITHIN GROUP (ORDER BY at) - interval '1 minute')::text FROM rental.facts_open WHERE task = 'return'), false) \g (tuples_only=on format=unaligned) /dev/null
CREATE FUNCTION pg_temp.platform_off() RETURNS TABLE (what text, key text, platform text, vendors text) LANGUAGE sql AS $$
	WITH p AS MATERIALIZED (SELECT * FROM rental.dashboard_get()), v AS MATERIALIZED (SELECT d.* FROM rental.vendors CROSS JOIN LATERAL rental.dashboard_get(id) d)
	SELECT 'trend', COALESCE(a.key, b.key), a.told, b.told FROM (SELECT t.period || ' ' || t.currency AS key, jsonb_agg(to_jsonb(t) ORDER BY t.period)::text AS told FROM p, unnest(p.trends) t GROUP BY 1) a
	FULL JOIN (SELECT t.period || ' ' || t.currency AS key, jsonb_build_array(to_jsonb(ROW(t.period, t.days, t.currency, sum(t.orders), sum(t.orders_before), sum(t.ordered), sum(t.ordered_before), sum(t.billed), sum(t.billed_before),
		sum(t.paid), sum(t.paid_before), sum(t.recognised), sum(t.recognised_before))::rental.dashboard_trend))::text AS told FROM v, unnest(v.trends) t GROUP BY t.period, t.days, t.currency) b USING (key)
	WHERE a.told IS DISTINCT FROM b.told
	UNION ALL
	SELECT 'queue', q.queue, q.count || ' ' || q.first_at, b.told FROM p, unnest(p.queues) q
	LEFT JOIN (SELECT q.queue, sum(q.count) || ' ' || min(q.first_at) AS told FROM v, unnest(v.queues) q GROUP BY 1) b USING (queue)
	WHERE q.count || ' ' || q.first_at IS DISTINCT FROM b.told
	UNION ALL
	SELECT 'first', q.queue, x::text, NULL FROM p, unnest(p.queues) q, unnest(q.ids) x WHERE NOT EXISTS (SELECT FROM v, unnest(v.queues) w WHERE w.queue = q.queue AND x = ANY (w.ids))
$$;
SELECT is((SELECT count(*) FROM rental.facts_delta), 0::bigint, 'where all is folded');
SELECT is_empty('SELECT * FROM pg_temp.platform_off()', 'the dashboard of all vendors is the sum of theirs');
SELECT cmp_ok(min(q.count), '>', 0::bigint, q.queue || ' is not empty') FROM rental.dashboard_get() d, unnest(d.queues) q WHERE q.queue IN ('dispatch', 'return', 'overdue', 'invoices_overdue') GROUP BY q.queue ORDER BY q.queue;
SET session_replication_role = replica;
CREATE TEMPORARY TABLE turned AS SELECT o.id, o.status, row_number() OVER (ORDER BY o.id) AS n FROM rental.orders o JOIN rental.facts_open t ON t.order_id = o.id WHERE t.is_first AND t.at < rental.now() + interval '2 days' GROUP BY o.id, o.status;
UPDATE rental.order_items i SET dispatched = quantity FROM turned t WHERE i.order_id = t.id AND t.n % 3 = 0;
UPDATE rental.order_items i SET returned = dispatched FROM turned t WHERE i.order_id = t.id AND t.n % 5 = 0;
SELECT is_empty($$ SELECT kind FROM rental.facts_delta WHERE kind <> 'moved' $$, 'pieces that move count for nothing');
SELECT is_empty('SELECT * FROM pg_temp.platform_off()', 'it is after pieces moved');
SELECT isnt_empty('SELECT * FROM rental.facts_open f WHERE NOT EXISTS (SELECT FROM rental.facts_tasks t WHERE t.order_id = f.order_id AND t.task = f.task)', 'which is not folded yet');
UPDATE rental.orders o SET status = 'active' FROM turned t WHERE o.id = t.id AND t.n % 3 = 0;
UPDATE rental.orders o SET status = 'cancelled' FROM turned t WHERE o.id = t.id AND t.n % 7 = 0;
UPDATE rental.order_items i SET start_at = start_at - interval '1 day', end_at = end_at + interval '1 day' FROM turned t WHERE i.order_id = t.id AND t.n % 4 = 0;
DELETE FROM rental.order_items i USING turned t WHERE i.order_id = t.id AND t.n % 11 = 0 AND i.id = (SELECT x.id FROM rental.order_items x WHERE x.order_id = t.id ORDER BY x.id LIMIT 1)
	AND NOT EXISTS (SELECT FROM rental.reservations r WHERE r.order_item_id = i.id);
SET session_replication_role = origin;
SELECT is_empty('SELECT * FROM pg_temp.platform_off()', 'and after orders and lines changed');
SELECT is_empty('SELECT * FROM rental.report_verify()', 'the facts agree');
SELECT cmp_ok(rental.report_fold(20), '>', 0::bigint, 'some of it is folded');
SELECT is_empty('SELECT * FROM rental.report_verify()', 'the facts agree');
SELECT is_empty('SELECT * FROM pg_temp.platform_off()', 'it is the sum');
SELECT cmp_ok(rental.report_fold(10000000), '>', 0::bigint, 'all is folded');
SELECT is_empty('SELECT * FROM rental.report_verify()', 'the facts agree');
SELECT is_empty('SELECT * FROM pg_temp.platform_off()', 'it still is the sum');
SELECT set_eq('SELECT * FROM rental.facts_open', 'SELECT * FROM rental.facts_tasks', 'and has the tasks of the books');
UPDATE rental.vendors SET time_zone = 'Pacific/Auckland' WHERE id = pg_temp.id('0003', 2);
SELECT is_empty('SELECT * FROM rental.report_verify()', 'after a vendor moved the facts agree');
SELECT is_empty($$ SELECT * FROM rental.facts_zones WHERE time_zone NOT IN (SELECT v.time_zone FROM rental.vendors v) $$, 'none is left where it was alone');
SELECT is_empty('SELECT * FROM pg_temp.platform_off()', 'and it is the sum');
SELECT is(rental.report_rebuild(pg_temp.id('0003', 2)), 0::bigint, 'there is nothing to mend');
SET session_replication_role = replica;
INSERT INTO rental.vendors (id, name, slug, time_zone) VALUES ('00000000-0000-7000-8000-00000000dead', 'Gone', 'gone', 'Indian/Maldives');
INSERT INTO rental.orders (id, vendor_id, number, customer_id, status, currency, subtotal, total) SELECT '00000000-0000-7000-8000-00000000deae', '00000000-0000-7000-8000-00000000dead', 'ORD-1', id, 'confirmed', 'EUR', 5, 5 FROM rental.users LIMIT 1;
SELECT is(rental.report_fold(), 1::bigint, 'what a vendor did is folded');
DELETE FROM rental.orders WHERE id = '00000000-0000-7000-8000-00000000deae';
DELETE FROM rental.vendors WHERE id = '00000000-0000-7000-8000-00000000dead';
SET session_replication_role = origin;
SELECT is_empty($$ SELECT day FROM rental.facts_daily WHERE vendor_id = '00000000-0000-7000-8000-00000000dead' UNION ALL SELECT day FROM rental.facts_zones WHERE time_zone = 'Indian/Maldives' $$, 'and gone when it is deleted');
SELECT is_empty('SELECT * FROM rental.report_verify()', 'and the facts agree');
UPDATE rental.facts_zones SET paid = paid + 2 WHERE (time_zone, day, currency) = (SELECT time_zone, day, currency FROM rental.facts_zones ORDER BY 1, 2, 3 LIMIT 1);
DELETE FROM rental.facts_open WHERE (order_id, task, at) = (SELECT order_id, task, at FROM rental.facts_open WHERE is_first ORDER BY 1, 2, 3 LIMIT 1);
INSERT INTO rental.facts_open SELECT o.vendor_id, o.id, 'return', '2020-01-01Z', true FROM rental.orders o WHERE o.status = 'completed' ORDER BY o.id LIMIT 1;
SELECT results_eq($$ SELECT facts, difference ->> 'paid', difference ->> 'rows' FROM rental.report_verify() ORDER BY 1, 3 $$,
	$$ VALUES ('facts_open', NULL, '-1'), ('facts_open', NULL, '1'), ('facts_zones', '-2', NULL) $$, 'what is wrong of it is found');
SELECT is(rental.report_rebuild(), 3::bigint, 'and mended');
SELECT is_empty('SELECT * FROM rental.report_verify()', 'for good');
DELETE FROM rental.facts_zones; DELETE FROM rental.facts_open;
SELECT cmp_ok(rental.report_rebuild(), '>', 0::bigint, 'or made from nothing');
SELECT is_empty('SELECT * FROM rental.report_verify()', 'as it was');
SELECT is_empty('SELECT * FROM pg_temp.platform_off()', 'and is the sum');

SELECT * FROM finish();
ROLLBACK;
