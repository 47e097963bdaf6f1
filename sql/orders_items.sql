-- An order on its way: offers, parts that go out and come back, charges, extensions, changes, policies, history.
SET search_path = rental, public;
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET rental.clock = '2026-06-01 09:00Z';
SET rental.argon2_memory = 64;
\set VERBOSITY terse
SELECT (s."user").vendor_id AS vendor, (s."user").id AS vera FROM auth_signup('items-v@example.com', 'long enough', 'V', 'vendor', business_name => 'Items', time_zone => 'UTC') s \gset
SELECT (s."user").id AS carl FROM auth_signup('items-c@example.com', 'long enough', 'C') s \gset
SELECT id AS chair FROM product_create('Chair', vendor_id => :'vendor', day_rate => 10, replacement_value => 40) \gset
SELECT id AS amp FROM product_create('Amplifier', vendor_id => :'vendor', day_rate => 20, replacement_value => 300, tracking => 'serialised') \gset
SELECT id AS kit FROM product_create('Set', vendor_id => :'vendor', day_rate => 25, tracking => 'kit', replacement_value => 90) \gset
SELECT id AS glue FROM product_create('Glue', vendor_id => :'vendor', day_rate => 5, kind => 'sale') \gset
SELECT quantity FROM stock_set(:'chair', 10);
SELECT quantity FROM stock_set(:'glue', 10);
SELECT id AS u1 FROM unit_create(:'amp', 'A1') \gset
SELECT id AS u2 FROM unit_create(:'amp', 'A2') \gset
SELECT id AS u3 FROM unit_create(:'amp', 'A3') \gset
SELECT quantity FROM component_put(:'kit', :'chair', 2);
CREATE FUNCTION pg_temp.item(product uuid, n integer, f text, t text) RETURNS jsonb LANGUAGE sql AS
	$$ SELECT jsonb_build_object('product_id', product, 'quantity', n, 'start_at', f, 'end_at', t) $$;
CREATE FUNCTION pg_temp.try(what text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE code text; field text; message text;
BEGIN
	EXECUTE what;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = CONSTRAINT_NAME, field = COLUMN_NAME, message = MESSAGE_TEXT;
	RETURN concat_ws(' ', code, field, '-', regexp_replace(message, '[0-9a-f-]{36}', 'ID'));
END $$;
CREATE VIEW pg_temp.lines AS SELECT i.order_id, p.name, i.quantity AS n, i.dispatched AS out, i.returned AS back, i.damaged AS bad, i.lost, i.unit_price AS price, i.total, i.end_at
	FROM order_items i JOIN products p ON p.id = i.product_id ORDER BY i.id;
CREATE VIEW pg_temp.taken AS SELECT p.name, r.state, sum(r.quantity) FROM reservations r JOIN products p ON p.id = r.product_id JOIN vendors v ON v.id = r.vendor_id
	WHERE v.name = 'Items' GROUP BY 1, 2 ORDER BY 1, 2;
-- a draft holds nothing, nor does an offer; accepting takes the stock at the prices offered
SELECT id AS o, status, total FROM order_place(jsonb_build_array(pg_temp.item(:'chair', 4, '2026-06-10T10:00:00Z', '2026-06-12T10:00:00Z')), customer_id => :'carl', draft => true) \gset
\echo :status :total
SELECT availability(:'chair', '[2026-06-10 10:00Z,2026-06-11Z)');
SELECT pg_temp.try(format('SELECT order_accept(%L)', :'o'));
SELECT status, total, expires_at FROM order_quote(:'o');
SELECT status, cardinality(items) FROM order_item_add(:'o', :'amp', 2, '2026-06-10T10:00:00Z', '2026-06-12T10:00:00Z');
SELECT pg_temp.try(format('SELECT order_accept(%L)', :'o'));
SELECT status, total, expires_at FROM order_quote(:'o', '2026-06-03Z', 'as discussed');
SELECT name, rate FROM product_rate_set(:'chair', 11);
SELECT version, total, valid_until, note, jsonb_array_length(items) FROM order_quote_list(:'o') l, unnest(l.results) ORDER BY version;
SELECT pg_temp.try(format('SELECT order_accept(%L, 1)', :'o'));
BEGIN; SET LOCAL rental.clock = '2026-06-04Z'; SELECT pg_temp.try(format('SELECT order_accept(%L)', :'o')); SELECT stock_expire_holds(); SELECT status FROM order_get(:'o'); ROLLBACK;
BEGIN; SELECT stock_set(:'chair', 3) IS NULL; SELECT pg_temp.try(format('SELECT order_accept(%L, 2)', :'o')); ROLLBACK;
BEGIN; SELECT act_as(:'carl'); SELECT status, total, expires_at FROM order_accept(:'o', 2); COMMIT;
SELECT availability(:'chair', '[2026-06-10 10:00Z,2026-06-11Z)'), availability(:'amp', '[2026-06-10 10:00Z,2026-06-11Z)');
-- changes before anything goes out follow in the stock
SELECT id AS i1 FROM order_items WHERE order_id = :'o' AND product_id = :'chair' \gset
SELECT id AS i2 FROM order_items WHERE order_id = :'o' AND product_id = :'amp' \gset
SELECT total FROM order_item_change(:'o', :'i1', 6);
SELECT availability(:'chair', '[2026-06-10 10:00Z,2026-06-11Z)');
SELECT pg_temp.try(format('SELECT order_item_change(%L, %L, 11)', :'o', :'i1'));
SELECT total FROM order_item_change(:'o', :'i1', end_at => '2026-06-13T10:00:00Z');
SELECT total FROM order_item_add(:'o', :'kit', 2, '2026-06-10T10:00:00Z', '2026-06-12T10:00:00Z');
SELECT total FROM order_item_add(:'o', :'glue', 3, '2026-06-10T10:00:00Z', '2026-06-12T10:00:00Z');
SELECT id AS i3 FROM order_items WHERE order_id = :'o' AND product_id = :'kit' \gset
SELECT id AS i4 FROM order_items WHERE order_id = :'o' AND product_id = :'glue' \gset
SELECT status FROM order_confirm(:'o');
BEGIN; SELECT act_as(:'carl'); SELECT pg_temp.try(format('SELECT order_item_remove(%L, %L)', :'o', :'i1')); ROLLBACK;
SELECT total FROM order_item_change(:'o', :'i4', 2);
SELECT * FROM pg_temp.taken;
SELECT * FROM stock_verify();
-- out in parts, by number and by unit
SET rental.clock = '2026-06-10 10:00Z';
SELECT status, partly_out, partly_returned FROM order_dispatch(:'o', jsonb_build_array(jsonb_build_object('item_id', :'i1', 'quantity', 2), jsonb_build_object('item_id', :'i2', 'unit_ids', jsonb_build_array(:'u3'))));
SELECT name, n, out, back FROM pg_temp.lines WHERE order_id = :'o';
SELECT * FROM pg_temp.taken;
SELECT u.code, r.state FROM unit_assignments a JOIN units u ON u.id = a.unit_id JOIN reservations r ON r.id = a.reservation_id WHERE r.vendor_id = :'vendor' ORDER BY 1;
SELECT pg_temp.try(format('SELECT order_dispatch(%L, %L)', :'o', jsonb_build_array(jsonb_build_object('item_id', :'i1', 'quantity', 5))));
SELECT pg_temp.try(format('SELECT order_dispatch(%L, %L)', :'o', jsonb_build_array(jsonb_build_object('item_id', :'i1', 'unit_ids', jsonb_build_array(:'u1')))));
SELECT pg_temp.try(format('SELECT order_dispatch(%L, %L)', :'o', jsonb_build_array(jsonb_build_object('item_id', :'vendor'))));
SELECT pg_temp.try(format('SELECT order_dispatch(%L, %L)', :'o', jsonb_build_array(jsonb_build_object('item_id', :'i1', 'colour', 1))));
SELECT pg_temp.try(format('SELECT order_item_change(%L, %L, 1)', :'o', :'i1'));
SELECT pg_temp.try(format('SELECT order_item_remove(%L, %L)', :'o', :'i1'));
SELECT pg_temp.try(format('SELECT order_cancel(%L)', :'o'));
SELECT pg_temp.try(format('UPDATE orders SET status = %L WHERE id = %L', 'returned', :'o'));
SELECT pg_temp.try(format('SELECT order_return(%L, NULL, %L)', :'o', jsonb_build_array(jsonb_build_object('item_id', :'i2', 'unit_ids', jsonb_build_array(:'u1')))));
SELECT status, partly_out FROM order_dispatch(:'o');
SELECT * FROM pg_temp.taken;
SELECT * FROM stock_verify();
-- back in parts: early, damaged, lost; never more than the replacement value
SELECT vendor_id IS NOT NULL, early_return FROM order_policy_set(:'vendor', early_return => 'prorate');
SET rental.clock = '2026-06-11 09:00Z';
SELECT pg_temp.try(format('SELECT order_return(%L, NULL, %L)', :'o', jsonb_build_array(jsonb_build_object('item_id', :'i1', 'quantity', 1, 'condition', 'damaged', 'charge', '40.01'))));
SELECT pg_temp.try(format('SELECT order_return(%L, NULL, %L)', :'o', jsonb_build_array(jsonb_build_object('item_id', :'i1', 'quantity', 1, 'charge', '1'))));
SELECT pg_temp.try(format('SELECT order_return(%L, NULL, %L)', :'o', jsonb_build_array(jsonb_build_object('item_id', :'i1', 'quantity', 1, 'condition', 'wet'))));
SELECT pg_temp.try(format('SELECT order_return(%L, NULL, %L)', :'o', jsonb_build_array(jsonb_build_object('item_id', :'i2', 'quantity', 1, 'condition', 'lost'))));
SELECT availability(:'chair', '[2026-06-11 09:00Z,2026-06-12Z)') AS before;
SELECT status, partly_returned, charges FROM order_return(:'o', NULL, jsonb_build_array(
	jsonb_build_object('item_id', :'i1', 'quantity', 1),
	jsonb_build_object('item_id', :'i1', 'quantity', 1, 'condition', 'damaged', 'charge', '12.50', 'reason', 'scratched'),
	jsonb_build_object('item_id', :'i1', 'quantity', 1, 'condition', 'lost'),
	jsonb_build_object('item_id', :'i2', 'unit_ids', jsonb_build_array(:'u3'), 'condition', 'lost', 'charge', '250')));
SELECT availability(:'chair', '[2026-06-11 09:00Z,2026-06-12Z)') AS after, availability(:'chair', '[2026-07-01Z,2026-07-02Z)') AS for_good, availability(:'amp', '[2026-07-01Z,2026-07-02Z)') AS amps;
SELECT kind, quantity, amount, reason FROM order_charge_list(:'o') l, unnest(l.results) ORDER BY kind, amount;
SELECT name, n, out, back, bad, lost FROM pg_temp.lines WHERE order_id = :'o';
SELECT * FROM pg_temp.taken;
SELECT * FROM stock_verify();
-- what is still out is extended, and priced over the whole time; what is back keeps its price
SELECT total AS before FROM order_get(:'o');
SELECT pg_temp.try(format('SELECT order_extend(%L)', :'o'));
SELECT pg_temp.try(format('SELECT order_extend(%L, %L)', :'o', '2026-06-11T10:00:00Z'));
BEGIN; SELECT quantity FROM stock_set(:'chair', 7, force => true); SELECT availability(:'chair', '[2026-06-12 12:00Z,2026-06-13Z)');
SELECT pg_temp.try(format('SELECT order_extend(%L, %L)', :'o', '2026-06-20T10:00:00Z')); ROLLBACK;
SELECT total AS after FROM order_extend(:'o', '2026-06-14T10:00:00Z');
SELECT name, n, out, back, bad, lost, price, total, end_at FROM pg_temp.lines WHERE order_id = :'o';
SELECT data -> 'difference' FROM order_events WHERE order_id = :'o' AND kind = 'extended';
SELECT * FROM pg_temp.taken;
SELECT * FROM stock_verify();
-- the last one in makes it returned
SET rental.clock = '2026-06-15 09:00Z';
SELECT overdue FROM order_get(:'o');
SELECT status, charges, balance, is_paid, overdue FROM order_return(:'o');
SELECT name, n, out, back FROM pg_temp.lines WHERE order_id = :'o';
SELECT pg_temp.try(format('SELECT order_charge_add(%L, -1, %L)', :'o', 'cleaning'));
SELECT charges FROM order_charge_add(:'o', 5, 'cleaning');
SELECT amount FROM payment_record(:'o', 1000);
SELECT status, is_paid, balance, refund_due FROM order_close(:'o');
SELECT pg_temp.try(format('SELECT order_charge_add(%L, 1, %L)', :'o', 'cleaning'));
SELECT * FROM pg_temp.taken;
SELECT * FROM stock_verify();
-- what it was
SELECT o ->> 'status' AS status, o ->> 'total' AS total, (SELECT string_agg(format('%s %s/%s', i ->> 'quantity', i ->> 'dispatched', i ->> 'returned'), ', ' ORDER BY i ->> 'id') FROM jsonb_array_elements(o -> 'items') i) AS items
	FROM unnest('{2026-06-01 09:00Z,2026-06-10 10:00Z,2026-06-11 09:00Z,2026-06-16Z}'::timestamptz[]) t, order_as_of(:'o', t) o;
SELECT pg_temp.try(format('SELECT order_as_of(%L, %L)', :'o', '2026-05-01Z'));
SELECT kind, count(*) FROM order_events WHERE order_id = :'o' GROUP BY 1 ORDER BY 1;
-- back late: a fee for each piece by when it came back, from the end that counts then; none for what is lost or sold
SELECT late_per_day FROM price_settings_set(vendor_id => :'vendor', late_free => '3 hours', late_per_day => 100, late_per_hour => 10);
SELECT id AS l FROM order_place(jsonb_build_array(pg_temp.item(:'chair', 4, '2026-06-15T10:00:00Z', '2026-06-16T10:00:00Z'), pg_temp.item(:'glue', 1, '2026-06-15T10:00:00Z', '2026-06-16T10:00:00Z')), customer_id => :'carl') \gset
SELECT status FROM order_confirm(:'l');
SELECT status FROM order_dispatch(:'l');
SELECT id AS i5 FROM order_items WHERE order_id = :'l' AND product_id = :'chair' \gset
SET rental.clock = '2026-06-16 13:00Z';
SELECT charges FROM order_return(:'l', NULL, jsonb_build_array(jsonb_build_object('item_id', :'i5', 'quantity', 1)));
SET rental.clock = '2026-06-17 14:00Z';
SELECT charges FROM order_return(:'l', NULL, jsonb_build_array(jsonb_build_object('item_id', :'i5', 'quantity', 1)));
SELECT charges FROM order_return(:'l', NULL, jsonb_build_array(jsonb_build_object('item_id', :'i5', 'quantity', 1, 'condition', 'lost')));
SELECT charges FROM order_extend(:'l', '2026-06-18T10:00:00Z', jsonb_build_array(jsonb_build_object('item_id', :'i5')));
SET rental.clock = '2026-06-18 14:00Z';
SELECT status, charges FROM order_return(:'l');
SELECT c.kind, c.quantity, c.amount, i.quantity AS of, i.end_at FROM order_charges c JOIN order_items i ON i.id = c.order_item_id WHERE c.order_id = :'l' ORDER BY c.id;
SELECT id AS m FROM order_place(jsonb_build_array(pg_temp.item(:'chair', 2, '2026-06-18T14:00:00Z', '2026-06-19T10:00:00Z')), customer_id => :'carl') \gset
SELECT status FROM order_confirm(:'m');
SELECT status FROM order_dispatch(:'m');
SET rental.clock = '2026-06-25 10:00Z';
SELECT cardinality(late_steps) FROM price_settings_set(vendor_id => :'vendor', late_steps => '[{"days": 1, "amount": 50}, {"days": 1, "amount": 100}]');
BEGIN; SELECT charges AS twice_250 FROM order_return(:'m', '2026-06-22T10:00:00Z'); ROLLBACK;
SELECT late_cap FROM price_settings_set(vendor_id => :'vendor', late_steps => '[{"days": 2, "amount": 20}, {"days": 3, "amount": 40}, {"days": 1, "amount": 100}]', late_cap => 250);
SELECT charges AS twice_the_cap FROM order_return(:'m');
SELECT late_per_day FROM price_settings_set(vendor_id => :'vendor', late_per_day => 900000000000);
SELECT pg_temp.try(format('SELECT late_fee(%L, %L, %L, 1000000)', :'chair', '2026-06-01Z', '2027-06-01Z'));
SELECT late_per_day FROM price_settings_set(vendor_id => :'vendor');
SET rental.clock = '2026-06-15 09:00Z';
-- the damage waiver: of what is not exempt and not sold, at the percentage of then; it covers damage, not loss
SELECT pg_temp.try(format('SELECT order_place(%L, customer_id => %L, damage_waiver => true)', jsonb_build_array(pg_temp.item(:'chair', 2, '2026-06-16T10:00:00Z', '2026-06-18T10:00:00Z')), :'carl'));
SELECT waiver_percent, deposit FROM price_settings_set(vendor_id => :'vendor', waiver_percent => 7.5, deposit => 'percent_total', deposit_percent => 50);
SELECT name FROM product_rate_set(:'amp', 20, waiver_exempt => true);
SELECT id AS w, subtotal, waiver, total, deposit FROM order_place(jsonb_build_array(pg_temp.item(:'chair', 3, '2026-06-16T10:00:00Z', '2026-06-18T10:00:00Z'), pg_temp.item(:'amp', 1, '2026-06-16T10:00:00Z', '2026-06-18T10:00:00Z'),
	pg_temp.item(:'glue', 2, '2026-06-16T10:00:00Z', '2026-06-18T10:00:00Z')), customer_id => :'carl', damage_waiver => true, draft => true) \gset
\echo :subtotal :waiver :total :deposit
SELECT waiver, total FROM order_place(jsonb_build_array(pg_temp.item(:'chair', 3, '2026-06-16T10:00:00Z', '2026-06-18T10:00:00Z')), customer_id => :'carl', draft => true);
SELECT deposit FROM price_settings_set(vendor_id => :'vendor');
SELECT status, waiver, total FROM order_quote(:'w');
SELECT waiver, total FROM order_quote_list(:'w') l, unnest(l.results);
SELECT status, waiver, total FROM order_accept(:'w');
-- what was exempt when it was ordered stays so, whatever becomes of the product
SELECT name FROM product_rate_set(:'amp', 20);
SELECT name FROM product_rate_set(:'chair', 11, waiver_exempt => true);
SELECT id AS w1 FROM order_items WHERE order_id = :'w' AND product_id = :'chair' \gset
SELECT id AS w2 FROM order_items WHERE order_id = :'w' AND product_id = :'amp' \gset
SELECT waiver, total FROM order_item_change(:'w', :'w1', 4);
SELECT status FROM order_confirm(:'w');
SELECT status FROM order_dispatch(:'w');
SET rental.clock = '2026-06-18 09:00Z';
SELECT pg_temp.try(format('SELECT order_return(%L, NULL, %L)', :'w', jsonb_build_array(jsonb_build_object('item_id', :'w1', 'quantity', 1, 'condition', 'damaged', 'charge', '10'))));
SELECT charges FROM order_return(:'w', NULL, jsonb_build_array(jsonb_build_object('item_id', :'w1', 'quantity', 1, 'condition', 'damaged'), jsonb_build_object('item_id', :'w1', 'quantity', 1, 'condition', 'lost'),
	jsonb_build_object('item_id', :'w2', 'quantity', 1, 'condition', 'damaged', 'charge', '25')));
SELECT waiver, total FROM order_extend(:'w', '2026-06-19T10:00:00Z');
SELECT o ->> 'waiver' AS first FROM order_as_of(:'w', '2026-06-15 09:00Z') o;
SELECT kind, amount FROM order_charges WHERE order_id = :'w' ORDER BY id;
SELECT status, balance = total + charges AS sums FROM order_return(:'w');
-- what it costs is told before, to the cent: by the price, and in the cart, which has no part of it for what is exempt
SELECT subtotal, waiver, total FROM price(:'chair', '2026-07-01 10:00Z', '2026-07-04 10:00Z', 3);
SELECT subtotal, waiver, total FROM price(:'chair', '2026-07-01 10:00Z', '2026-07-04 10:00Z', 3, damage_waiver => true);
SELECT name FROM product_rate_set(:'chair', 11.33);
SELECT name FROM product_rate_set(:'amp', 20, waiver_exempt => true);
SELECT waiver_percent FROM price_settings_set(vendor_id => :'vendor', waiver_percent => 7.5, deposit => 'percent_total', deposit_percent => 50);
SELECT subtotal, waiver, total, deposit FROM price(:'chair', '2026-07-01 10:00Z', '2026-07-04 10:00Z', 3);
SELECT subtotal, waiver, total, deposit, lines[cardinality(lines)] FROM price(:'chair', '2026-07-01 10:00Z', '2026-07-04 10:00Z', 3, damage_waiver => true);
SELECT code FROM coupon_create('LESS', vendor_id => :'vendor', amount => 5) \gset
BEGIN; SELECT act_as(:'carl');
SELECT FROM cart_add(:'chair', 3, '2026-07-01 10:00Z', '2026-07-04 10:00Z');
SELECT v.subtotal, v.waiver, v.total, v.deposit FROM cart_add(:'amp', 1, '2026-07-01 10:00Z', '2026-07-04 10:00Z') c, unnest(c.vendors) v;
SELECT v.subtotal, v.discount, v.waiver, v.total, v.deposit FROM cart_get(coupon => 'less') c, unnest(c.vendors) v;
SELECT v.subtotal, v.discount, v.waiver, v.total, v.deposit FROM cart_get(coupon => 'less', damage_waiver => true) c, unnest(c.vendors) v;
SELECT o.id AS e, o.subtotal, o.discount, o.waiver, o.total, o.deposit FROM cart_checkout(coupon => 'less', damage_waiver => true) c, unnest(c.orders) o \gset
COMMIT;
\echo :subtotal :discount :waiver :total :deposit
-- what comes back early had less of it, too, unless it is exempt
SELECT id AS e1 FROM order_items WHERE order_id = :'e' AND product_id = :'chair' \gset
SELECT status FROM order_confirm(:'e');
SELECT status FROM order_dispatch(:'e');
SET rental.clock = '2026-07-02 09:00Z';
SELECT charges FROM order_return(:'e', '2026-07-02 09:00Z', jsonb_build_array(jsonb_build_object('item_id', :'e1', 'quantity', 2)));
SELECT charges FROM order_return(:'e', '2026-07-02 09:00Z');
SELECT kind, quantity, amount FROM order_charges WHERE order_id = :'e' ORDER BY id;
SELECT name FROM product_rate_set(:'chair', 11);
SELECT waiver_percent FROM price_settings_set(vendor_id => :'vendor', waiver_percent => 0);
SELECT waiver, total FROM price(:'chair', '2026-07-11 10:00Z', '2026-07-14 10:00Z', 3);
SELECT pg_temp.try(format('SELECT price(%L, %L, %L, damage_waiver => true)', :'chair', '2026-07-11 10:00Z', '2026-07-14 10:00Z'));
BEGIN; UPDATE orders SET waiver = waiver + 1, subtotal = subtotal - 1 WHERE id = :'w'; COMMIT;
SET rental.clock = '2026-06-15 09:00Z';
-- nobody sets what follows from the items, nor sums that are none
SELECT id AS p FROM order_place(jsonb_build_array(pg_temp.item(:'chair', 2, '2026-06-20T10:00:00Z', '2026-06-21T10:00:00Z')), customer_id => :'carl') \gset
SELECT pg_temp.try(format('UPDATE order_items SET dispatched = 1 WHERE order_id = %L', :'p'));
SELECT status FROM order_confirm(:'p');
SELECT pg_temp.try(format('UPDATE orders SET status = %L WHERE id = %L', 'active', :'p'));
BEGIN; UPDATE order_items SET dispatched = 1 WHERE order_id = :'p'; SELECT status FROM orders WHERE id = :'p'; UPDATE order_items SET dispatched = 2, returned = 2 WHERE order_id = :'p'; SELECT status FROM orders WHERE id = :'p'; ROLLBACK;
BEGIN; UPDATE order_items SET unit_price = 1, subtotal = 2, total = 2 WHERE order_id = :'p'; COMMIT;
BEGIN; UPDATE orders SET subtotal = 1, total = 1 WHERE id = :'p'; COMMIT;
BEGIN; INSERT INTO order_charges (vendor_id, order_id, kind, quantity, amount) VALUES (:'vendor', :'p', 'other', 1, 1); COMMIT;
UPDATE order_items SET returned = 1 WHERE order_id = :'p';
-- what a customer who cancels owes, by hours before the start
SELECT pg_temp.try(format('SELECT order_policy_set(%L, cancellation => %L)', :'vendor', '[{"hours_before": 48, "percent": 101}]'));
SELECT pg_temp.try(format('SELECT order_policy_set(%L, cancellation => %L)', :'vendor', '[{"hours": 48, "percent": 100}]'));
SELECT pg_temp.try(format('SELECT order_policy_set(%L, confirmation => %L)', :'vendor', 'perhaps'));
SELECT cancellation FROM order_policy_set(:'vendor', cancellation => '[{"hours_before": 48, "percent": 100}, {"hours_before": 24, "percent": 50}]');
SELECT amount FROM payment_record(:'p', 22);
BEGIN; SELECT act_as(:'carl'); SET LOCAL rental.clock = '2026-06-18 10:00Z'; SELECT status, cancellation_fee, balance, refund_due FROM order_cancel(:'p'); ROLLBACK;
BEGIN; SELECT act_as(:'carl'); SET LOCAL rental.clock = '2026-06-18 10:01Z'; SELECT status, cancellation_fee, balance, refund_due FROM order_cancel(:'p'); ROLLBACK;
BEGIN; SELECT act_as(:'carl'); SET LOCAL rental.clock = '2026-06-19 10:01Z'; SELECT status, cancellation_fee, balance, refund_due FROM order_cancel(:'p'); ROLLBACK;
BEGIN; SELECT act_as(:'vera'); SET LOCAL rental.clock = '2026-06-19 10:01Z'; SELECT status, cancellation_fee, balance, refund_due FROM order_cancel(:'p'); ROLLBACK;
-- confirmed at once, or when it is paid; terms; delivery
SELECT terms_version, terms FROM order_policy_set(:'vendor', confirmation => 'auto', payment => 'before_confirmation', delivers => true, delivery_fee => 15, terms_version => '2026-1', terms => 'Be careful.');
SELECT pg_temp.try(format('SELECT order_policy_set(%L, terms_version => %L, terms => %L)', :'vendor', '2026-1', 'Be careless.'));
BEGIN; SELECT act_as(:'carl');
SELECT pg_temp.try(format('SELECT order_place(%L)', jsonb_build_array(pg_temp.item(:'chair', 1, '2026-06-20T10:00:00Z', '2026-06-21T10:00:00Z'))));
SELECT pg_temp.try(format('SELECT order_place(%L, terms => %L)', jsonb_build_array(pg_temp.item(:'chair', 1, '2026-06-20T10:00:00Z', '2026-06-21T10:00:00Z')), '{"version": "2025-1"}'));
SELECT pg_temp.try(format('SELECT order_place(%L, terms => %L, delivery => %L)', jsonb_build_array(pg_temp.item(:'chair', 1, '2026-06-20T10:00:00Z', '2026-06-21T10:00:00Z')), '{"version": "2026-1"}', d)) FROM unnest(ARRAY[
	'{}', '[]', '{"method": "drone"}', '{"method": "delivery"}', '{"method": "delivery", "address": {"line1": "x"}}', '{"method": "delivery", "address": {"line1": "x", "city": "y", "country": "de"}}',
	'{"method": "pickup", "address": {"line1": "x", "city": "y", "country": "DE"}}', '{"method": "pickup", "fee": "1"}', '{"method": "pickup", "when": 1}']) d;
SELECT id AS q, status, subtotal, fee, total, delivery FROM order_place(jsonb_build_array(pg_temp.item(:'chair', 1, '2026-06-20T10:00:00Z', '2026-06-21T10:00:00Z')), terms => '{"version": "2026-1", "signature": "data:image/png;base64,AAAA"}',
	delivery => '{"method": "delivery", "address": {"line1": "x", "city": "y", "country": "DE"}}') \gset
COMMIT;
\echo :status :subtotal :fee :total :delivery
SELECT terms_version, terms, signature, accepted_by = :'carl' AS by_carl, accepted_at FROM order_contract_get(:'q');
SELECT pg_temp.try(format('SELECT order_contract_get(%L)', :'p'));
SELECT pg_temp.try(format('SELECT order_confirm(%L)', :'q'));
SELECT amount FROM payment_record(:'q', 25.99); SELECT status FROM order_get(:'q');
SELECT amount FROM payment_record(:'q', 0.01); SELECT status FROM order_get(:'q');
SELECT total, lines FROM invoice_issue(:'q');
SELECT status FROM order_reject((SELECT id FROM order_place(jsonb_build_array(pg_temp.item(:'chair', 1, '2026-06-22T10:00:00Z', '2026-06-23T10:00:00Z')), customer_id => :'carl')), 'no');
SELECT * FROM stock_verify();
-- what C answers of an order is what the view has
SELECT count(*) AS told_otherwise FROM rental.order_view v WHERE v IS DISTINCT FROM rental.order_get(v.id);
