-- What is inserted without the executor obeys the table as any INSERT does, whatever its owner adds to it.
BEGIN;
SELECT plan(15);
SET LOCAL rental.clock = '2026-03-01 09:00+00';
INSERT INTO rental.vendors (id, name, slug) VALUES ('00000000-0000-7000-9000-000000000001', 'V', 'store-v');
INSERT INTO rental.locations (id, vendor_id, name) VALUES ('00000000-0000-7000-a000-000000000001', '00000000-0000-7000-9000-000000000001', 'Main');
INSERT INTO rental.users (id, email, password_hash, name, role) VALUES ('00000000-0000-7000-b000-000000000001', 'store@example.com', '!', 'C', 'customer');
INSERT INTO rental.products (id, vendor_id, name, tracking) VALUES
	('00000000-0000-7000-8000-000000000001', '00000000-0000-7000-9000-000000000001', 'Drill', 'bulk'),
	('00000000-0000-7000-8000-000000000002', '00000000-0000-7000-9000-000000000001', 'Camera', 'serialised');
INSERT INTO rental.product_rates (vendor_id, product_id, amount, extra_day) SELECT vendor_id, id, 10, 10 FROM rental.products WHERE vendor_id = '00000000-0000-7000-9000-000000000001';
INSERT INTO rental.stock (vendor_id, product_id, location_id, quantity) VALUES
	('00000000-0000-7000-9000-000000000001', '00000000-0000-7000-8000-000000000001', '00000000-0000-7000-a000-000000000001', 5);
CREATE FUNCTION pg_temp.place(quantity integer DEFAULT 1) RETURNS rental.order_view LANGUAGE sql AS $$
	SELECT rental.order_place(jsonb_build_array(jsonb_build_object('product_id', '00000000-0000-7000-8000-000000000001', 'quantity', quantity,
		'start_at', '2026-03-10T10:00:00Z', 'end_at', '2026-03-12T10:00:00Z')), customer_id => '00000000-0000-7000-b000-000000000001') $$;
SELECT lives_ok('SELECT pg_temp.place()', 'an order is placed');

-- columns
SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED;
ALTER TABLE rental.orders ADD COLUMN channel text DEFAULT 'counter', ADD COLUMN twice numeric GENERATED ALWAYS AS (total * 2) STORED;
SELECT lives_ok('SELECT pg_temp.place()', 'an order is placed in a table with more columns');
SELECT results_eq('SELECT channel, twice = total * 2 FROM rental.orders ORDER BY id DESC LIMIT 1', $$ VALUES ('counter', true) $$,
	'a new column takes its default, a generated one its value');

-- constraints
SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED;
ALTER TABLE rental.orders ADD CONSTRAINT orders_are_small CHECK (total < 50) NOT VALID;
SELECT throws_ok('SELECT pg_temp.place(3)', '23514', NULL, 'a CHECK that was added refuses');
ALTER TABLE rental.orders DROP CONSTRAINT orders_are_small;
SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED;
ALTER TABLE rental.order_items ADD COLUMN shelf text NOT NULL DEFAULT 'A';
ALTER TABLE rental.order_items ALTER COLUMN shelf DROP DEFAULT;
SELECT throws_ok('SELECT pg_temp.place()', '23502', NULL, 'NOT NULL refuses');
ALTER TABLE rental.order_items DROP COLUMN shelf;
CREATE UNIQUE INDEX one_at_a_time ON rental.orders (vendor_id, created_at) WHERE created_at > '2026-03-02';
SELECT throws_ok($$ SELECT set_config('rental.clock', '2026-03-02 09:00+00', true), pg_temp.place(), pg_temp.place() $$, '23505', NULL,
	'an index with a predicate refuses a second row');
DROP INDEX rental.one_at_a_time;
ALTER DOMAIN rental.reservation_quantity ADD CONSTRAINT few CHECK (VALUE < 2) NOT VALID;
SELECT throws_ok('SELECT pg_temp.place(2)', '23514', NULL, 'a domain''s new constraint refuses');
ALTER DOMAIN rental.reservation_quantity DROP CONSTRAINT few;

-- foreign keys
SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED;
SELECT throws_ok($$ INSERT INTO rental.orders (vendor_id, number, customer_id, status, currency, subtotal, total)
	VALUES ('00000000-0000-7000-9000-000000000001', 'X', '00000000-0000-7000-b000-00000000000f', 'draft', 'EUR', 0, 0) $$, '23503', NULL, 'a customer who is not there is refused in SQL');
CREATE TABLE rental.channels (name text PRIMARY KEY);
ALTER TABLE rental.orders ADD CONSTRAINT orders_channel FOREIGN KEY (channel) REFERENCES rental.channels NOT VALID;
SELECT throws_ok('SELECT pg_temp.place()', '23503', 'insert or update on table "orders" violates foreign key constraint "orders_channel"',
	'a foreign key that was added refuses');
INSERT INTO rental.channels VALUES ('counter');
SELECT lives_ok('SELECT pg_temp.place()', 'and accepts what is there');
SELECT throws_ok('DELETE FROM rental.channels', '23503', NULL, 'what is referred to stays');

-- triggers
SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED;
CREATE FUNCTION pg_temp.before_order() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.channel := 'web'; RETURN NEW; END $$;
CREATE TABLE pg_temp.seen (what text);
CREATE FUNCTION pg_temp.after_item() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO pg_temp.seen VALUES (TG_LEVEL || ' ' || TG_TABLE_NAME); RETURN NULL; END $$;
CREATE TRIGGER before_order BEFORE INSERT ON rental.orders FOR EACH ROW EXECUTE FUNCTION pg_temp.before_order();
CREATE TRIGGER after_item AFTER INSERT ON rental.order_items FOR EACH ROW WHEN (NEW.quantity = 1) EXECUTE FUNCTION pg_temp.after_item();
CREATE TRIGGER after_items AFTER INSERT ON rental.order_items FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.after_item();
SELECT throws_ok('SELECT pg_temp.place()', '23503', NULL, 'what a trigger sets is checked');
INSERT INTO rental.channels VALUES ('web');
SELECT lives_ok('SELECT pg_temp.place()', 'a trigger sets a column');
SELECT results_eq('SELECT channel FROM rental.orders ORDER BY id DESC LIMIT 1', ARRAY['web'], 'as it did');
SELECT set_eq('SELECT what FROM pg_temp.seen', ARRAY['ROW order_items', 'STATEMENT order_items'], 'triggers after a row and after a statement are fired');
SELECT * FROM finish();
ROLLBACK;
