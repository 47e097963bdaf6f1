-- Vendors' settings, teams and customers, from SQL.
SET search_path = rental, public;
\set VERBOSITY terse
INSERT INTO vendors (id, name, slug) VALUES ('00000000-0000-7000-8000-0000000005d1', 'V', 'ven-v'), ('00000000-0000-7000-8000-0000000005d2', 'W', 'ven-w');
INSERT INTO locations (vendor_id, name) SELECT id, 'Main' FROM vendors WHERE slug LIKE 'ven-_';
INSERT INTO users (id, email, password_hash, name, role) VALUES
	('00000000-0000-7000-8000-0000000005e1', 'owner@ven.example', '!', 'Owner', 'vendor'),
	('00000000-0000-7000-8000-0000000005e2', 'manager@ven.example', '!', 'Manager', 'vendor'),
	('00000000-0000-7000-8000-0000000005e3', 'staff@ven.example', '!', 'Staff', 'vendor'),
	('00000000-0000-7000-8000-0000000005e4', 'other@ven.example', '!', 'Other', 'vendor'),
	('00000000-0000-7000-8000-0000000005e5', 'customer@ven.example', '!', 'Customer', 'customer'),
	('00000000-0000-7000-8000-0000000005e6', 'second@ven.example', '!', 'Second', 'customer'),
	('00000000-0000-7000-8000-0000000005e7', 'admin@ven.example', '!', 'Admin', 'admin');
INSERT INTO vendor_members (vendor_id, user_id, role) VALUES
	('00000000-0000-7000-8000-0000000005d1', '00000000-0000-7000-8000-0000000005e1', 'owner'),
	('00000000-0000-7000-8000-0000000005d1', '00000000-0000-7000-8000-0000000005e2', 'manager'),
	('00000000-0000-7000-8000-0000000005d1', '00000000-0000-7000-8000-0000000005e3', 'staff'),
	('00000000-0000-7000-8000-0000000005d2', '00000000-0000-7000-8000-0000000005e4', 'owner');
\set v '''00000000-0000-7000-8000-0000000005d1'''
\set w '''00000000-0000-7000-8000-0000000005d2'''
\set owner '''00000000-0000-7000-8000-0000000005e1'''
\set manager '''00000000-0000-7000-8000-0000000005e2'''
\set staff '''00000000-0000-7000-8000-0000000005e3'''
\set other '''00000000-0000-7000-8000-0000000005e4'''
\set customer '''00000000-0000-7000-8000-0000000005e5'''
\set second '''00000000-0000-7000-8000-0000000005e6'''
\set admin '''00000000-0000-7000-8000-0000000005e7'''
-- what a PATCH gives: in SQL whatever is not null; else what is named
SELECT name, slug, tax_number, default_tax FROM vendor_update(:v, name => ' Party Gear ', tax_number => 'DE1', default_tax => 19);
SELECT name, slug, tax_number, default_tax FROM vendor_update(:v, tax_number => NULL, given => '{tax_number}');
SELECT name, tax_number FROM vendor_update(:v, name => 'ignored', given => '{}');
SELECT vendor_update(:v, name => NULL, given => '{name}');
SELECT vendor_update(:v, given => '{colour}');
-- what no vendor can have
SELECT vendor_update(:v, name => '  ');
SELECT vendor_update(:v, slug => 'Not A Slug');
SELECT vendor_update(:v, slug => '-x');
SELECT vendor_update(:v, slug => 'ven-w');
SELECT vendor_update(:v, currency => 'eur');
SELECT vendor_update(:v, time_zone => 'Mars/Base');
SELECT vendor_update(:v, default_tax => -1);
SELECT vendor_update(:v, commission => 100.01);
SELECT vendor_update(:v, default_tax => 1.00001);
SELECT vendor_update(:v, minimum_notice => '-1 h');
SELECT vendor_update(:v, minimum_notice => '1 month');
SELECT vendor_update(:v, hold_time => '0');
SELECT vendor_update(:v, buffer_after => '367 days');
SELECT vendor_update('00000000-0000-7000-8000-0000000000ff', name => 'X');
-- opening hours
SELECT opening_hours FROM vendor_update(:v, opening_hours => '[{"weekday":"monday","open":"09:00","close":"12:30"},{"weekday":"monday","open":"12:30","close":"24:00"},{"weekday":"tuesday","open":"00:00","close":"02:00"}]');
SELECT vendor_update(:v, opening_hours => '{"monday":[]}');
SELECT vendor_update(:v, opening_hours => '[]');
SELECT vendor_update(:v, opening_hours => '[{"weekday":"monday","open":"09:00"}]');
SELECT vendor_update(:v, opening_hours => '[{"weekday":"monday","open":"09:00","close":"10:00","note":"x"}]');
SELECT vendor_update(:v, opening_hours => '[{"weekday":"Mon","open":"09:00","close":"10:00"}]');
SELECT vendor_update(:v, opening_hours => format('[{"weekday":"monday","open":%s,"close":"10:00"}]', o)::jsonb) FROM (VALUES ('9')) v(o);
SELECT vendor_update(:v, opening_hours => '[{"weekday":"monday","open":"9:00","close":"10:00"}]');
SELECT vendor_update(:v, opening_hours => '[{"weekday":"monday","open":"09:60","close":"10:00"}]');
SELECT vendor_update(:v, opening_hours => '[{"weekday":"monday","open":"09:00","close":"24:01"}]');
SELECT vendor_update(:v, opening_hours => '[{"weekday":"monday","open":"22:00","close":"02:00"}]');
SELECT vendor_update(:v, opening_hours => '[{"weekday":"monday","open":"09:00","close":"12:00"},{"weekday":"monday","open":"11:59","close":"13:00"}]');
UPDATE vendors SET opening_hours = '[{"weekday":"monday","open":"10:00","close":"09:00"}]' WHERE id = :v;
SELECT opening_hours FROM vendor_update(:v, given => '{opening_hours}');
-- terms count their versions, for raw SQL too
SELECT terms_version FROM vendor_update(:v, terms => 'Be careful.');
SELECT terms_version FROM vendor_update(:v, terms => ' Be careful. ');
UPDATE vendors SET terms = 'Be very careful.', terms_version = 99 WHERE id = :v RETURNING terms_version;
UPDATE vendors SET terms_version = 99 WHERE id = :v RETURNING terms_version;
-- who may: owner, manager, staff, another vendor's owner, a customer, nobody; the table decides, not the token
BEGIN;
SELECT act_as(:owner, 'vendor', :v);
SELECT payout_details FROM vendor_update(:v, payout_details => 'DE02 1203 0000 0000 2020 51', name => 'Gear');
SELECT vendor_update(:v, commission => 0);
ROLLBACK;
UPDATE vendors SET payout_details = 'IBAN' WHERE id = :v;
BEGIN;
SELECT act_as(:manager, 'vendor', :v);
SELECT payout_details, hold_time FROM vendor_update(:v, hold_time => '2 h');
SAVEPOINT s;
SELECT vendor_update(:v, payout_details => 'mine');
ROLLBACK TO s;
SELECT vendor_update(:v, is_active => true);
ROLLBACK TO s;
SELECT vendor_update(:w, name => 'taken over');
ROLLBACK;
BEGIN;
SELECT act_as(:staff, 'vendor', :v);
SELECT name, payout_details FROM vendor_settings(:v);
SAVEPOINT s;
SELECT vendor_update(:v, name => 'X');
ROLLBACK TO s;
SELECT vendor_settings(:w);
ROLLBACK TO s;
SELECT member_list(:w);
ROLLBACK;
BEGIN;
SELECT act_as(:other, 'vendor', :v);
SELECT vendor_settings(:v);
ROLLBACK;
BEGIN;
SELECT act_as(:customer, 'customer', :v);
SELECT vendor_settings(:v);
ROLLBACK;
SELECT commission, is_active, payout_details FROM vendor_update(:v, commission => 12.5, is_active => false);
SELECT (SELECT count(*) FROM unnest(results) WHERE id = :v) FROM vendor_list(100);
SELECT name FROM vendor_get(:v);
BEGIN;
SELECT act_as(:customer, 'customer');
SELECT vendor_get(:v);
ROLLBACK;
SELECT is_active FROM vendor_update(:v, is_active => true);
-- teams: owners manage everybody, managers staff, staff nobody
BEGIN;
SELECT act_as(:manager, 'vendor', :v);
SELECT (SELECT array_agg(r.name || ' ' || r.role) FROM unnest(results) r) AS team, count FROM member_list(:v, count => 'exact');
SELECT name, role FROM member_add(:v, 'staff', email => ' CUSTOMER@ven.example ');
SELECT role FROM users WHERE id = :customer;
SAVEPOINT s;
SELECT member_add(:v, 'manager', user_id => :second);
ROLLBACK TO s;
SELECT member_update(:v, :customer, 'manager');
ROLLBACK TO s;
SELECT member_update(:v, :owner, 'staff');
ROLLBACK TO s;
SELECT member_remove(:v, :owner);
ROLLBACK TO s;
SELECT member_remove(:v, :customer);
SELECT role FROM users WHERE id = :customer;
SELECT member_remove(:v, :manager);
SELECT member_list(:v);
ROLLBACK TO s;
SELECT member_add(:w, 'staff', user_id => :second);
ROLLBACK;
BEGIN;
SELECT act_as(:staff, 'vendor', :v);
SELECT member_add(:v, 'staff', user_id => :second);
ROLLBACK;
BEGIN;
SELECT act_as(:owner, 'vendor', :v);
SAVEPOINT s;
SELECT member_add(:v, 'chief', user_id => :second);
ROLLBACK TO s;
SELECT member_add(:v, 'staff');
ROLLBACK TO s;
SELECT member_add(:v, 'staff', email => 'nobody@ven.example');
ROLLBACK TO s;
SELECT member_add(:v, 'staff', user_id => :other);
ROLLBACK TO s;
SELECT member_add(:v, 'staff', user_id => :admin);
ROLLBACK TO s;
SELECT member_remove(:v, :second);
ROLLBACK TO s;
SELECT member_update(:v, :owner, 'manager');
ROLLBACK TO s;
SELECT member_remove(:v, :owner);
ROLLBACK TO s;
SELECT role FROM member_update(:v, :manager, 'owner');
SELECT role FROM member_update(:v, :owner, 'staff');
SELECT vendor_update(:v, name => 'after the fall');
ROLLBACK;
UPDATE vendor_members SET role = 'staff' WHERE user_id = :owner;
DELETE FROM vendor_members WHERE user_id = :owner;
BEGIN;
UPDATE vendor_members SET role = 'staff' WHERE user_id = :owner;
UPDATE vendor_members SET role = 'owner' WHERE user_id = :manager;
COMMIT;
SELECT role FROM vendor_members WHERE vendor_id = :v ORDER BY user_id;
-- new products take the vendor's buffers unless they say otherwise
SELECT buffer_before, buffer_after FROM vendor_update(:v, buffer_before => '30 min', buffer_after => '2 h');
SELECT (product_create('Own', vendor_id => :v, day_rate => 10)).id AS p \gset
SELECT buffer_before, buffer_after FROM products WHERE id = :'p';
SELECT (product_create('Other', vendor_id => :v, day_rate => 10, buffer_before => '0', buffer_after => '1 h')).id AS q \gset
SELECT buffer_before, buffer_after FROM products WHERE id = :'q';
-- minimum notice: for customers, not for the team
SELECT quantity FROM stock_set(:'p', 5);
SELECT minimum_notice FROM vendor_update(:v, minimum_notice => '2 days');
CREATE FUNCTION pg_temp.want(start_at text) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_array(jsonb_build_object('product_id', (SELECT id FROM rental.products WHERE name = 'Own'), 'quantity', 1, 'start_at', start_at, 'end_at', '2026-07-01T10:00:00Z')) $$;
SET rental.clock = '2026-06-01T10:00:00Z';
BEGIN;
SELECT act_as(:customer, 'customer');
SAVEPOINT s;
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT order_place(pg_temp.want('2026-06-03T09:59:59Z'));
\set VERBOSITY terse
ROLLBACK TO s;
SELECT number FROM order_place(pg_temp.want('2026-06-03T10:00:00Z'));
COMMIT;
BEGIN;
SELECT act_as(:staff, 'vendor', :v);
SELECT number FROM order_place(pg_temp.want('2026-06-01T10:00:00Z'), customer_id => :customer);
COMMIT;
SELECT is_active FROM vendor_update(:v, is_active => false);
BEGIN;
SELECT act_as(:customer, 'customer');
SELECT order_place(pg_temp.want('2026-06-05T10:00:00Z'));
ROLLBACK;
-- the currency stays once there are orders, for raw SQL too
SELECT vendor_update(:v, currency => 'USD');
SELECT currency FROM vendor_update(:v, currency => 'EUR');
UPDATE vendors SET currency = 'USD' WHERE id = :v;
SELECT currency FROM vendor_update(:w, currency => 'USD');
-- customers
SELECT (payment_record(id, 30)).amount FROM orders WHERE vendor_id = :v ORDER BY id LIMIT 1;
BEGIN;
SELECT act_as(:staff, 'vendor', :v);
SELECT r.name, r.orders, r.last_order_at, r.spent FROM customer_list(count => 'exact') l, unnest(l.results) r;
SELECT count FROM customer_list(search => 'CUST', count => 'exact');
SELECT count FROM customer_list(search => '%', count => 'exact');
SELECT customer_list(vendor_id => :w);
ROLLBACK;
BEGIN;
SELECT act_as(:other, 'vendor', :w);
SELECT count, results FROM customer_list(count => 'exact');
ROLLBACK;
BEGIN;
SELECT act_as(:customer, 'customer');
SELECT customer_list();
ROLLBACK;
SELECT r.name, r.orders, r.spent FROM customer_list(search => '@ven.example') l, unnest(l.results) r;
SELECT count FROM customer_list(search => '@ven.example', vendor_id => :v, count => 'exact');
SELECT next AS c FROM customer_list(search => '@ven.example', page_size => 1) \gset
SELECT (SELECT array_agg(r.name) FROM unnest(results) r) AS names, next, previous IS NOT NULL AS back FROM customer_list(search => '@ven.example', page_size => 1, cursor => :'c');
