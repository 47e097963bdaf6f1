-- The audit trail: what it records, what it leaves out, and that nobody rewrites it.
BEGIN;
SELECT plan(47);
SET client_min_messages = warning;

SELECT set_eq($$
	SELECT c.relname::text FROM pg_class c WHERE c.relnamespace = 'rental'::regnamespace AND c.relkind = 'r'
		AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'audit_record') $$,
	-- derived, written by rule, or only the carrier of a request; what is new belongs here or into 86_audit.sql
	ARRAY['activity', 'lost_demand', 'api_key_usage', 'audit', 'report_catalog', 'facts_delta', 'facts_daily', 'facts_monthly', 'facts_products', 'facts_zones', 'facts_open', 'ledger_accounts', 'ledger_entries', 'invoice_taxes', 'payment_events', 'gateway_requests', 'payout_postings', 'cart_items', 'carts', 'coupon_uses', 'billing_cycles', 'order_returns', 'order_contracts', 'order_history', 'order_quotes', 'order_terms', 'idempotency_keys', 'login_attempts', 'notifications', 'number_series', 'order_events', 'refresh_tokens',
		'reservations', 'revocations', 'stream_events', 'tokens',
		'timelines', 'unit_assignments'],
	'every table is audited, or is known not to be');
SELECT is_empty($$
	SELECT t.tgrelid::regclass FROM pg_trigger t WHERE t.tgname = 'audit_record' AND (t.tgtype & 1 = 0 OR t.tgtype & 2 <> 0 OR t.tgenabled <> 'O') $$,
	'by an AFTER ROW trigger that is on');

CREATE TEMPORARY TABLE mark (id uuid);
INSERT INTO mark VALUES (rental.uuid7());
-- the rows that were added since the last look
CREATE FUNCTION pg_temp.added() RETURNS SETOF rental.audit LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY SELECT a.* FROM rental.audit a, mark m WHERE a.id > m.id ORDER BY a.id;
	UPDATE mark SET id = rental.uuid7();
END $$;

-- what is recorded

INSERT INTO rental.users (id, email, password_hash, name, phone, role) VALUES
	('00000000-0000-7000-8000-00000000aaaa', 'ann@audit.example', '$argon2id$very-secret', 'Ann', '0123', 'customer');
CREATE TEMPORARY TABLE seen AS SELECT * FROM pg_temp.added();
SELECT is((SELECT array_agg(ROW(table_name, action, actor_role, sql_user)::text) FROM seen), ARRAY['(users,insert,system,' || session_user || ')'],
	'raw SQL of a superuser is recorded, with the user');
SELECT is((SELECT row_id FROM seen), '00000000-0000-7000-8000-00000000aaaa', 'and the row');
SELECT is((SELECT key FROM seen), NULL, 'which says all');
SELECT is((SELECT old FROM seen), NULL, 'of an insert nothing is old');
SELECT is((SELECT new ->> 'email' FROM seen), 'ann@audit.example', 'and all is new');
SELECT is((SELECT new -> 'password_hash' FROM seen), '"hidden"', 'but a secret is not shown');

UPDATE rental.users SET name = 'Anna', phone = NULL WHERE email = 'ann@audit.example';
DROP TABLE seen;
CREATE TEMPORARY TABLE seen AS SELECT * FROM pg_temp.added();
SELECT is((SELECT old FROM seen), '{"name": "Ann", "phone": "0123"}', 'of an update the trail has what changed: old');
SELECT is((SELECT new FROM seen), '{"name": "Anna", "phone": null}', 'and new');
UPDATE rental.users SET password_hash = '$argon2id$another' WHERE email = 'ann@audit.example';
SELECT is((SELECT old || jsonb_build_object('new', new) FROM pg_temp.added()), '{"password_hash": "hidden", "new": {"password_hash": "hidden"}}',
	'that a secret changed is told, without its values');
UPDATE rental.users SET name = name;
SELECT is((SELECT count(*) FROM pg_temp.added()), 0::bigint, 'an update that changes nothing leaves no row');

INSERT INTO rental.vendors (id, name, slug) VALUES ('00000000-0000-7000-8000-00000000bbbb', 'Audited', 'audited');
INSERT INTO rental.products (id, vendor_id, name) VALUES ('00000000-0000-7000-8000-00000000cccc', '00000000-0000-7000-8000-00000000bbbb', 'Drill');
INSERT INTO rental.product_rates (vendor_id, product_id, amount, extra_day) VALUES
	('00000000-0000-7000-8000-00000000bbbb', '00000000-0000-7000-8000-00000000cccc', 9.50, 5);
DROP TABLE seen;
CREATE TEMPORARY TABLE seen AS SELECT * FROM pg_temp.added();
SELECT is((SELECT array_agg(DISTINCT vendor_id) FROM seen), '{00000000-0000-7000-8000-00000000bbbb}', 'a vendor and its rows have the vendor');
SELECT is((SELECT row_id FROM seen WHERE table_name = 'product_rates'), '00000000-0000-7000-8000-00000000cccc',
	'a row without an id of its own goes by the first of its key');
SELECT is((SELECT new -> 'amount' FROM seen WHERE table_name = 'product_rates'), '"9.50"', 'values are those of the HTTP contract');
INSERT INTO rental.endpoint (method, path, function, auth, tag, summary) VALUES ('GET', '/api/audited/', 'rental.api_root', '{public}', 'x', 'X');
SELECT is((SELECT key FROM pg_temp.added()), '{"path": "/api/audited/", "method": "GET"}', 'or, without any id, by all of it');
UPDATE rental.products SET is_stocked = NOT is_stocked WHERE id = '00000000-0000-7000-8000-00000000cccc';
SELECT is((SELECT count(*) FROM pg_temp.added()), 0::bigint, 'a derived column is left out');
DELETE FROM rental.product_rates WHERE product_id = '00000000-0000-7000-8000-00000000cccc';
SELECT is((SELECT ROW(action, old ->> 'amount', new)::text FROM pg_temp.added()), '(delete,9.50,)', 'of a delete all is old');

INSERT INTO rental.sessions (id, user_id, secret, created_at, last_used_at, expires_at) VALUES ('00000000-0000-7000-8000-00000000dddd',
	'00000000-0000-7000-8000-00000000aaaa', sha256('x'), now(), now(), now() + interval '1 day');
UPDATE rental.sessions SET last_used_at = now() + interval '1 minute' WHERE id = '00000000-0000-7000-8000-00000000dddd';
SELECT is((SELECT count(*) FROM pg_temp.added()), 0::bigint, 'log-ins and their renewal are not recorded');
UPDATE rental.sessions SET revoked_at = now() WHERE id = '00000000-0000-7000-8000-00000000dddd';
SELECT is((SELECT array_agg(table_name || ' ' || action) FROM pg_temp.added()), '{"sessions update"}', 'their revocation is');

-- nobody rewrites it

SELECT throws_ok('UPDATE rental.audit SET actor_id = NULL', 'RT403', 'the audit trail is append-only', 'a superuser changes nothing in it');
SELECT throws_ok('DELETE FROM rental.audit', 'RT403', 'the audit trail is append-only', 'removes nothing');
SELECT throws_ok('TRUNCATE rental.audit', 'RT403', 'the audit trail is append-only', 'nor everything');
SELECT throws_ok('INSERT INTO rental.audit SELECT * FROM rental.audit LIMIT 1', 'RT403', 'the audit trail is append-only', 'and adds nothing by hand');
SET LOCAL session_replication_role = replica;
SELECT throws_ok('DELETE FROM rental.audit', 'RT403', NULL, 'not even where other triggers are silent');
SET LOCAL session_replication_role = origin;
SELECT throws_ok('SET rental.audit_unlocked = on', '42602', NULL, 'there is no setting that would help');

-- restoring a dump

SET LOCAL row_security = off;
SET LOCAL check_function_bodies = off;
SELECT count(*) FROM pg_temp.added() \gset ignored_
INSERT INTO rental.categories (id, name, slug) VALUES ('00000000-0000-7000-8000-00000000eeee', 'Restored', 'restored');
SELECT is((SELECT count(*) FROM pg_temp.added()), 0::bigint, 'what a restore inserts is not recorded again');
UPDATE rental.categories SET name = 'Changed' WHERE slug = 'restored';
SELECT is((SELECT array_agg(action) FROM pg_temp.added()), '{update}', 'what it would change, is');
GRANT ALL ON mark TO rental_admin;
SET SESSION AUTHORIZATION rental_admin;
SET LOCAL row_security = off;
SET LOCAL check_function_bodies = off;
SELECT email FROM rental.account_create('not-unseen@audit.example', 'Not unseen', 'customer') \gset ignored_
RESET SESSION AUTHORIZATION;
SELECT is((SELECT array_agg(ROW(table_name, action, sql_user)::text) FROM pg_temp.added()), '{"(users,insert,rental_admin)"}',
	'nobody but a superuser goes unseen by such settings');
SET LOCAL row_security = on;
SET LOCAL check_function_bodies = on;

-- a person is forgotten, and the trail shortened

UPDATE rental.users SET name = 'Deleted', email = 'deleted@deleted.invalid' WHERE id = '00000000-0000-7000-8000-00000000aaaa';
SELECT rental.audit_erase('00000000-0000-7000-8000-00000000aaaa') \gset erased_
SELECT is_empty($$ SELECT * FROM rental.audit a WHERE a::text ~ 'ann@audit|Ann|0123"' AND a.row_id = '00000000-0000-7000-8000-00000000aaaa' $$,
	'the trail forgets a person');
SELECT is((SELECT ROW(new ->> 'email', new ->> 'name', new ->> 'role', new ->> 'id')::text FROM rental.audit
	WHERE row_id = '00000000-0000-7000-8000-00000000aaaa' AND action = 'insert'), '(erased,erased,customer,00000000-0000-7000-8000-00000000aaaa)',
	'but not that there was an account');
SELECT is((SELECT count(*) FROM rental.audit WHERE row_id = '00000000-0000-7000-8000-00000000aaaa' AND action = 'erase'), 1::bigint, 'and tells that it forgot');
SELECT throws_ok('DELETE FROM rental.audit', 'RT403', NULL, 'the door is shut behind it');
SELECT at AS before, (SELECT count(*) FROM rental.audit o WHERE o.at < a.at) AS older FROM rental.audit a ORDER BY at DESC OFFSET 3 LIMIT 1 \gset
SELECT is(rental.audit_purge(:'before'), :older::bigint, 'a superuser removes what is old');
SELECT is((SELECT min(at) FROM rental.audit), :'before'::timestamptz, 'and nothing else');
SELECT is((SELECT new -> 'rows' FROM rental.audit WHERE table_name = 'audit'), to_jsonb(:older), 'which is recorded, too');
SELECT throws_ok($$ SELECT rental.audit_purge('infinity') $$, 'RT422', NULL, 'all of it cannot go at once');

-- who

SELECT count(*) FROM pg_temp.added() \gset ignored_
SET LOCAL row_security = off;
SET LOCAL check_function_bodies = off;
SELECT rental.act_as('00000000-0000-7000-8000-00000000aaaa', 'customer');
SELECT isnt(rental.example_create('audited'), NULL, 'somebody acts');
SELECT is((SELECT ROW(actor_id, actor_role, table_name)::text FROM pg_temp.added()), '(00000000-0000-7000-8000-00000000aaaa,customer,examples)',
	'and the trail knows whom, whatever the settings');
SELECT throws_ok('SELECT rental.audit_list()', 'RT403', NULL, 'customers do not read it');
SELECT throws_ok($$ SELECT rental.audit_purge(now()) $$, 'RT403', NULL, 'nor shorten it, whoever is connected');
SELECT rental.act_as('00000000-0000-7000-8000-00000000aaaa', 'vendor', '00000000-0000-7000-8000-00000000bbbb');
SELECT throws_ok('SELECT rental.audit_list()', 'RT403', NULL, 'nor do vendors, not even their own rows');
SELECT rental.act_as('00000000-0000-7000-8000-00000000aaaa', 'admin');
INSERT INTO rental.products (id, vendor_id, name) VALUES ('00000000-0000-7000-8000-00000000cccd', '00000000-0000-7000-8000-00000000bbbb', 'Saw');
SELECT is((SELECT results[1].new ->> 'name' FROM rental.audit_list(row_id => '00000000-0000-7000-8000-00000000cccd')), 'Saw', 'administrators do: by row');
SELECT is((SELECT cardinality(results) FROM rental.audit_list(actor_id => '00000000-0000-7000-8000-00000000aaaa')), 2, 'by actor');
SELECT is((SELECT count FROM rental.audit_list(vendor => '00000000-0000-7000-8000-00000000bbbb', table_name => 'products', count => 'exact')), 1::bigint,
	'by vendor and table');
SELECT is((SELECT count FROM rental.audit_list("from" => now() + interval '1 day', count => 'exact')), 0::bigint, 'by time');
SELECT is((SELECT array_agg(r.table_name) FROM rental.audit_list(page_size => 2), unnest(results) r), '{products,examples}', 'newest first');

SELECT * FROM finish();
ROLLBACK;
