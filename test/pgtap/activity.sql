-- Lost demand and the funnel equal plain SQL written from their formulas; what is recorded is what was told.
BEGIN;
SET client_min_messages = warning;
SET search_path = rental, public;
SELECT no_plan();
SELECT demo_load(1);
SELECT setseed(0.5);

-- another vendor, so that there are two
SELECT (auth_signup('second@activity.example', 'a good password', 'Second', 'vendor', business_name => 'Second shop')).expires_at > now() AS ignored \gset
SELECT id AS second FROM vendors WHERE slug = 'second-shop' \gset
SELECT id AS thing FROM product_create('Second thing', vendor_id => :'second', day_rate => 7) \gset
SELECT stock_set(:'thing', 1) AS ignored \gset

INSERT INTO activity (vendor_id, kind, product_id, visitor, start_at, end_at, quantity, at)
SELECT CASE WHEN n % 17 > 0 THEN p.vendor_id END, (ARRAY['view', 'view', 'search', 'cart', 'checkout'])[1 + n % 5], CASE WHEN n % 17 > 0 THEN p.id END, 'visitor ' || n % 41, NULL, NULL, NULL,
	now() - n * interval '7 hours' - random() * interval '1 hour'
FROM generate_series(1, 2000) n, LATERAL (SELECT * FROM products p WHERE n > 0 ORDER BY md5(p.id::text || n) LIMIT 1) p;
INSERT INTO lost_demand (vendor_id, product_id, start_at, end_at, quantity, value, currency, reason, source, who, day, created_at)
SELECT p.vendor_id, p.id, now() + n * interval '1 day', now() + (n + 2) * interval '1 day', 1 + n % 5, CASE WHEN n % 11 > 0 THEN round((random() * 100)::numeric, 2) END, v.currency,
	'insufficient_stock', (ARRAY['search', 'cart', 'order'])[1 + n % 3], n::text, current_date, now() - n * interval '5 hours'
FROM generate_series(1, 1000) n, LATERAL (SELECT * FROM products p WHERE n > 0 ORDER BY md5(p.id::text || n) LIMIT 1) p JOIN vendors v ON v.id = p.vendor_id;

CREATE FUNCTION pg_temp.plain_lost(f timestamptz, t timestamptz, v uuid, p uuid) RETURNS SETOF lost_demand_row LANGUAGE sql AS $$
	SELECT d.product_id, (SELECT name FROM products WHERE id = d.product_id), d.currency,
		(SELECT count(*) FROM lost_demand l WHERE l.product_id = d.product_id AND l.created_at >= f AND l.created_at < t),
		(SELECT count(*) FROM lost_demand l WHERE l.product_id = d.product_id AND l.created_at >= f AND l.created_at < t AND source = 'search'),
		(SELECT count(*) FROM lost_demand l WHERE l.product_id = d.product_id AND l.created_at >= f AND l.created_at < t AND source = 'cart'),
		(SELECT count(*) FROM lost_demand l WHERE l.product_id = d.product_id AND l.created_at >= f AND l.created_at < t AND source = 'order'),
		(SELECT sum(quantity)::bigint FROM lost_demand l WHERE l.product_id = d.product_id AND l.created_at >= f AND l.created_at < t),
		(SELECT sum(value) FROM lost_demand l WHERE l.product_id = d.product_id AND l.created_at >= f AND l.created_at < t)
	FROM (SELECT DISTINCT product_id, currency FROM lost_demand WHERE created_at >= f AND created_at < t AND (v IS NULL OR vendor_id = v) AND (p IS NULL OR product_id = p)) d $$;
CREATE FUNCTION pg_temp.plain_funnel(f timestamptz, t timestamptz, v uuid) RETURNS SETOF funnel_row LANGUAGE plpgsql AS $$
DECLARE
	before bigint;
	first bigint;
	r funnel_row;
	query text;
BEGIN
	FOR r.step, query IN VALUES
		('views', 'activity WHERE kind = ''view'' AND at >= $1 AND at < $2 AND ($3 IS NULL OR vendor_id = $3)'),
		('searches', 'activity WHERE kind = ''search'' AND at >= $1 AND at < $2 AND ($3 IS NULL OR vendor_id = $3)'),
		('carts', 'activity WHERE kind IN (''cart'', ''checkout'') AND at >= $1 AND at < $2 AND ($3 IS NULL OR vendor_id = $3)'),
		('orders', 'orders WHERE status NOT IN (''draft'', ''quoted'') AND created_at >= $1 AND created_at < $2 AND ($3 IS NULL OR vendor_id = $3)'),
		('confirmed', 'orders o WHERE status NOT IN (''draft'', ''quoted'') AND created_at >= $1 AND created_at < $2 AND ($3 IS NULL OR vendor_id = $3)
			AND id IN (SELECT order_id FROM order_events WHERE kind = ''confirmed'')'),
		('completed', 'orders WHERE status = ''completed'' AND created_at >= $1 AND created_at < $2 AND ($3 IS NULL OR vendor_id = $3)')
	LOOP
		EXECUTE format('SELECT count(*), count(DISTINCT %I) FROM %s', CASE WHEN query LIKE 'activity%' THEN 'visitor' ELSE 'customer_id' END, query) INTO r.events, r.visitors USING f, t, v;
		first := COALESCE(first, r.events);
		r.of_step_before := CASE WHEN before > 0 THEN round(r.events::numeric / before, 4) END;
		r.of_first := CASE WHEN first > 0 THEN round(r.events::numeric / first, 4) END;
		before := r.events;
		RETURN NEXT r;
	END LOOP;
END $$;
UPDATE orders SET status = 'completed' WHERE status = 'returned';

CREATE TEMPORARY TABLE asked AS
	SELECT f, f + length AS t, v FROM unnest(ARRAY[now() - interval '400 days', now() - interval '31 days', now() - interval '10 hours']) f,
		unnest(ARRAY['1 year', '30 days', '1 hour', '2 years']::interval[]) length, unnest(ARRAY[NULL, :'second', (SELECT id FROM vendors WHERE id <> :'second' LIMIT 1)]::uuid[]) v;
-- and periods that begin and end just at a row
INSERT INTO asked SELECT min(at), max(at), NULL::uuid FROM activity UNION ALL SELECT min(created_at), max(created_at), NULL FROM lost_demand;
SELECT is_empty($$ SELECT a.*, r.* FROM asked a, LATERAL (
	(SELECT * FROM report_lost_demand(a.f, a.t, a.v) EXCEPT ALL SELECT * FROM pg_temp.plain_lost(a.f, a.t, a.v, NULL))
	UNION ALL (SELECT * FROM pg_temp.plain_lost(a.f, a.t, a.v, NULL) EXCEPT ALL SELECT * FROM report_lost_demand(a.f, a.t, a.v))) r $$, 'lost demand is what plain SQL says');
SELECT is_empty($$ SELECT p.id, r.* FROM (SELECT id FROM products ORDER BY id LIMIT 5) p, LATERAL (
	SELECT * FROM report_lost_demand('-infinity', 'infinity', product_id => p.id) EXCEPT ALL SELECT * FROM pg_temp.plain_lost('-infinity', 'infinity', NULL, p.id)) r $$, 'of one product too');
SELECT cmp_ok((SELECT count(*) FROM asked a, report_lost_demand(a.f, a.t, a.v)), '>', 50::bigint, 'which are many rows');
SELECT is_empty($$ SELECT a.*, r.* FROM asked a, LATERAL (
	(SELECT * FROM report_funnel(a.f, a.t, a.v) EXCEPT ALL SELECT * FROM pg_temp.plain_funnel(a.f, a.t, a.v))
	UNION ALL (SELECT * FROM pg_temp.plain_funnel(a.f, a.t, a.v) EXCEPT ALL SELECT * FROM report_funnel(a.f, a.t, a.v))) r $$, 'the funnel is what plain SQL says');
SELECT cmp_ok((SELECT min(events) FROM report_funnel(now() - interval '2 years', now() + interval '1 day')), '>', 0::bigint, 'with something in each step');
SELECT throws_ok($$ SELECT * FROM report_funnel(now(), now()) $$, 'RT422', NULL, 'a period without length is refused');
SELECT throws_ok($$ SELECT * FROM report_lost_demand(now(), NULL) $$, 'RT400', NULL, 'and one without an end');
SELECT set_eq($$ SELECT * FROM rental_analytics.lost_demand $$, $$ SELECT vendor_id, id, product_id, location_id, start_at, end_at, quantity, value, currency, reason, source, created_at FROM lost_demand $$,
	'analysts see it without by whom');
SELECT * FROM finish();
ROLLBACK;
