-- Keeping something longer where the vendor is asked: tried, undone, kept as a wish, granted or dropped.
SET search_path = rental, public;
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET rental.clock = '2026-06-01 09:00Z';
SET rental.argon2_memory = 64;
\set VERBOSITY terse
SELECT (s."user").vendor_id AS vendor, (s."user").id AS vera FROM auth_signup('extension-v@example.com', 'long enough', 'V', 'vendor', business_name => 'Extensions', time_zone => 'UTC') s \gset
SELECT (s."user").id AS carl FROM auth_signup('extension-c@example.com', 'long enough', 'C') s \gset
SELECT id AS bike FROM product_create('Bike', vendor_id => :'vendor', day_rate => 10) \gset
SELECT id AS boat FROM product_create('Boat', vendor_id => :'vendor', day_rate => 30, tracking => 'serialised') \gset
SELECT quantity FROM stock_set(:'bike', 3);
SELECT code FROM unit_create(:'boat', 'B1');
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
SELECT id AS o FROM order_place(jsonb_build_array(pg_temp.item(:'bike', 2, '2026-06-02T10:00:00Z', '2026-06-04T10:00:00Z'), pg_temp.item(:'boat', 1, '2026-06-02T10:00:00Z', '2026-06-04T10:00:00Z')), customer_id => :'carl') \gset
SELECT id AS bikes FROM order_items WHERE order_id = :'o' AND product_id = :'bike' \gset
SELECT status FROM order_confirm(:'o');
-- a vendor that said nothing is not asked
BEGIN; SELECT act_as(:'carl'); SELECT total, extension FROM order_extend(:'o', '2026-06-05T10:00:00Z'); ROLLBACK;
SELECT pg_temp.try(format('SELECT order_policy_set(%L, extension => %L)', :'vendor', 'perhaps'));
SELECT extension FROM order_policy_set(:'vendor', extension => 'manual');
SELECT id AS draft FROM order_place(jsonb_build_array(pg_temp.item(:'bike', 1, '2026-06-02T10:00:00Z', '2026-06-04T10:00:00Z')), customer_id => :'carl', draft => true) \gset
BEGIN; SELECT act_as(:'carl'); SELECT pg_temp.try(format('SELECT order_extend(%L, %L)', :'draft', '2026-06-05T10:00:00Z')); ROLLBACK;
-- one that wants it is: nothing moves but the wish, and what cannot be is refused at once
CREATE TEMP VIEW moves AS SELECT i.order_id, i.end_at, i.total, r.state, r.blocked FROM order_items i JOIN reservations r ON r.order_item_id = i.id;
CREATE TEMP TABLE before AS SELECT * FROM moves WHERE order_id = :'o';
BEGIN; SELECT act_as(:'carl');
SELECT pg_temp.try(format('SELECT order_extend(%L)', :'o'));
SELECT pg_temp.try(format('SELECT order_extend(%L, %L)', :'o', '2026-06-03T10:00:00Z'));
SELECT pg_temp.try(format('SELECT order_extension_drop(%L)', :'o'));
SELECT total, extension FROM order_extend(:'o', '2026-06-06T10:00:00Z');
SELECT total, extension - 'items' AS extension, jsonb_array_length(extension -> 'items') AS items FROM order_extend(:'o', items => jsonb_build_array(jsonb_build_object('item_id', :'bikes', 'end_at', '2026-06-05T10:00:00Z')));
COMMIT;
SELECT count(*) AS moved FROM (SELECT * FROM moves WHERE order_id = :'o' EXCEPT SELECT * FROM before) x;
SELECT availability(:'bike', '[2026-06-04 12:00Z,2026-06-05Z)') AS not_held;
SELECT kind, data - 'items' AS data, actor_id = :'carl' AS by_carl FROM order_events WHERE order_id = :'o' ORDER BY id;
SELECT * FROM stock_verify();
-- it is looked at again when it is granted
SELECT id AS other FROM order_place(jsonb_build_array(pg_temp.item(:'bike', 2, '2026-06-04T10:00:00Z', '2026-06-05T10:00:00Z')), customer_id => :'carl') \gset
BEGIN; SELECT act_as(:'vera', 'vendor', :'vendor'); SELECT pg_temp.try(format('SELECT order_extend(%L)', :'o')); ROLLBACK;
BEGIN; SELECT act_as(:'carl'); SELECT pg_temp.try(format('SELECT order_extend(%L, %L)', :'o', '2026-06-06T10:00:00Z')); COMMIT;
SELECT extension ->> 'difference' AS still FROM order_get(:'o');
SELECT status FROM order_cancel(:'other');
BEGIN; SELECT act_as(:'vera', 'vendor', :'vendor'); SELECT total, extension, items[1].end_at, items[2].end_at FROM order_extend(:'o'); COMMIT;
-- either side drops it
BEGIN; SELECT act_as(:'carl'); SELECT extension FROM order_extend(:'o', '2026-06-08T10:00:00Z'); SELECT extension FROM order_extension_drop(:'o', 'not after all'); COMMIT;
BEGIN; SELECT act_as(:'carl'); SELECT extension FROM order_extend(:'o', '2026-06-07T10:00:00Z'); COMMIT;
BEGIN; SELECT act_as(:'vera', 'vendor', :'vendor'); SELECT total, extension FROM order_extension_drop(:'o', 'promised to others'); SELECT pg_temp.try(format('SELECT order_extend(%L)', :'o')); COMMIT;
-- whatever else the vendor extends is the answer, too
BEGIN; SELECT act_as(:'carl'); SELECT extension FROM order_extend(:'o', '2026-06-07T10:00:00Z'); COMMIT;
BEGIN; SELECT act_as(:'vera', 'vendor', :'vendor'); SELECT total, extension FROM order_extend(:'o', '2026-06-06T10:00:00Z'); COMMIT;
SELECT kind, data ->> 'difference' AS difference, data ->> 'reason' AS reason FROM order_events WHERE order_id = :'o' AND kind ~ 'exten' ORDER BY id;
-- what is overdue is not extended without the vendor, whatever the policy: the fee for being late would be gone
SELECT extension FROM order_policy_set(:'vendor', extension => 'auto');
SELECT late_per_day FROM price_settings_set(late_per_day => 50, vendor_id => :'vendor');
SET rental.clock = '2026-06-02 10:00Z';
SELECT status FROM order_dispatch(:'o');
SET rental.clock = '2026-06-06 09:00Z';
BEGIN; SELECT act_as(:'carl'); SELECT total, extension FROM order_extend(:'o', '2026-06-07T10:00:00Z'); ROLLBACK;
SET rental.clock = '2026-06-06 11:00Z';
BEGIN; SELECT act_as(:'carl'); SELECT total, overdue, extension FROM order_extend(:'o', '2026-06-07T10:00:00Z'); COMMIT;
BEGIN; SELECT total, overdue, extension FROM order_extend(:'o'); SELECT charges FROM order_return(:'o'); ROLLBACK;
-- an order that is back has no wish any more
SELECT status, charges, extension FROM order_return(:'o');
SELECT pg_temp.try(format('SELECT order_extension_drop(%L)', :'o'));
SELECT t, o ->> 'status' AS status, o -> 'extension' ->> 'end_at' AS asked FROM unnest('{2026-06-01 09:00Z,2026-06-06 10:59Z,2026-06-06 11:00Z}'::timestamptz[]) t, order_as_of(:'o', t) o;
SELECT * FROM stock_verify();
