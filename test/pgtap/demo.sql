-- Demonstration data: a business that holds together, and the same one each time.
BEGIN;
SELECT plan(8);
SELECT lives_ok($$ SELECT rental.demo_load(1) $$, 'demonstration data loads');
SELECT is_empty($$ SELECT * FROM rental.stock_verify() $$, 'its timelines are sound');
SELECT cmp_ok((SELECT count(*) FROM rental.orders), '>', 200::bigint, 'there are orders');
SELECT set_eq($$ SELECT DISTINCT status FROM rental.orders $$, ARRAY['pending', 'confirmed', 'active', 'returned', 'cancelled'], 'in every state');
SELECT is_empty($$
	SELECT o.id FROM rental.orders o WHERE o.total <> (SELECT sum(i.total) FROM rental.order_items i WHERE i.order_id = o.id) $$,
	'the lines of every order sum to its total');
SELECT is_empty($$
	SELECT v.id FROM rental.order_view v WHERE v IS DISTINCT FROM rental.order_get(v.id) $$, 'an order is answered as the view has it');
INSERT INTO rental.products (vendor_id, category_id, name, replacement_value, is_active) SELECT v.id, c.id, 'Without a price', 5, false FROM rental.vendors v, rental.categories c LIMIT 1;
INSERT INTO rental.products (vendor_id, name, kind) SELECT id, 'In no category', 'sale' FROM rental.vendors LIMIT 1;
SELECT is_empty($$
	SELECT v.id FROM rental.product_view v WHERE v IS DISTINCT FROM rental.product_get(v.id) $$, 'a product is answered as the view has it');
SELECT is_empty($$
	SELECT vendor_id, series, year FROM (
		SELECT vendor_id, left(number, 3) AS series, substr(number, 5, 4) AS year, count(*) AS n, max(substr(number, 10)::integer) AS last
		FROM (SELECT vendor_id, number FROM rental.orders UNION ALL SELECT vendor_id, number FROM rental.invoices) n GROUP BY 1, 2, 3) s
	WHERE n <> last $$, 'numbers have no gaps');
SELECT * FROM finish();
ROLLBACK;
