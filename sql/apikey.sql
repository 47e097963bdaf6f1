-- API keys from SQL: who may have which, rotation, usage.
SET search_path = rental, public;
\set VERBOSITY terse
INSERT INTO vendors (id, name, slug) VALUES ('00000000-0000-7000-8000-0000000006d1', 'V', 'key-v');
INSERT INTO users (id, email, password_hash, name, role) VALUES
	('00000000-0000-7000-8000-0000000006e1', 'owner@key.example', '!', 'Owner', 'vendor'),
	('00000000-0000-7000-8000-0000000006e2', 'manager@key.example', '!', 'Manager', 'vendor'),
	('00000000-0000-7000-8000-0000000006e3', 'staff@key.example', '!', 'Staff', 'vendor'),
	('00000000-0000-7000-8000-0000000006e4', 'customer@key.example', '!', 'Customer', 'customer'),
	('00000000-0000-7000-8000-0000000006e5', 'admin@key.example', '!', 'Admin', 'admin');
INSERT INTO vendor_members (vendor_id, user_id, role) VALUES
	('00000000-0000-7000-8000-0000000006d1', '00000000-0000-7000-8000-0000000006e1', 'owner'),
	('00000000-0000-7000-8000-0000000006d1', '00000000-0000-7000-8000-0000000006e2', 'manager'),
	('00000000-0000-7000-8000-0000000006d1', '00000000-0000-7000-8000-0000000006e3', 'staff');
\set v '''00000000-0000-7000-8000-0000000006d1'''
\set owner '''00000000-0000-7000-8000-0000000006e1'''
\set manager '''00000000-0000-7000-8000-0000000006e2'''
\set staff '''00000000-0000-7000-8000-0000000006e3'''
\set customer '''00000000-0000-7000-8000-0000000006e4'''
\set admin '''00000000-0000-7000-8000-0000000006e5'''
\set session '''00000000-0000-7000-8000-0000000006f1'''
SET rental.clock = '2026-06-01T10:00:00Z';
-- a log-in makes keys, a key makes none; owners and managers do, staff and customers do not
BEGIN;
SELECT request_begin(concat_ws(E'\n', :owner, 'vendor', :v, :session, '', '', ''));
SELECT id AS k, name, scopes, rate_limit, expires_at, key LIKE prefix || '\_%' AS starts_with_its_prefix FROM api_key_create(' till ', expires_at => '2026-06-11T10:00:00Z') \gset
\echo :name :scopes :rate_limit :expires_at :starts_with_its_prefix
SELECT scopes, rate_limit FROM api_key_create('narrow', '{orders:read,catalog:write,*:read}', 10);
COMMIT;
BEGIN;
SELECT request_begin(concat_ws(E'\n', :owner, 'vendor', :v, '', '', '', ''));
SAVEPOINT s;
SELECT api_key_create('more');
ROLLBACK TO s;
SELECT api_key_update(:'k', scopes => '{*:read,*:write}');
ROLLBACK TO s;
SELECT api_key_rotate(:'k');
ROLLBACK TO s;
SELECT api_key_revoke(:'k');
ROLLBACK;
BEGIN;
SELECT request_begin(concat_ws(E'\n', :manager, 'vendor', :v, :session, '', '', ''));
SELECT name FROM api_key_create('of a manager');
SAVEPOINT s;
SELECT api_key_get(:'k');
ROLLBACK TO s;
SELECT api_key_update(:'k', name => 'x');
ROLLBACK TO s;
SELECT api_key_rotate(:'k');
ROLLBACK TO s;
SELECT api_key_revoke(:'k');
ROLLBACK TO s;
SELECT api_key_list(user_id => :owner);
ROLLBACK TO s;
SELECT (SELECT array_agg(r.name) FROM unnest(results) r) AS names, count FROM api_key_list(count => 'exact');
COMMIT;
BEGIN;
SELECT request_begin(concat_ws(E'\n', :staff, 'vendor', :v, :session, '', '', ''));
SELECT api_key_create('x');
ROLLBACK;
BEGIN;
SELECT request_begin(concat_ws(E'\n', :customer, 'customer', '', :session, '', '', ''));
SELECT api_key_create('x');
ROLLBACK;
-- what no key can be
BEGIN;
SELECT request_begin(concat_ws(E'\n', :owner, 'vendor', :v, :session, '', '', ''));
SAVEPOINT s;
SELECT api_key_create('x', '{}');
ROLLBACK TO s;
SELECT api_key_create('x', '{read}');
ROLLBACK TO s;
SELECT api_key_create('x', '{orders:delete}');
ROLLBACK TO s;
SELECT api_key_create('x', '{nothing:read}');
ROLLBACK TO s;
SELECT api_key_create('x', '{"orders :read"}');
ROLLBACK TO s;
SELECT api_key_create('x', '{:read}');
ROLLBACK TO s;
SELECT api_key_create('x', '{**:read}');
ROLLBACK TO s;
SELECT api_key_create('x', '{NULL}');
ROLLBACK TO s;
SELECT api_key_create('x', rate_limit => 0);
ROLLBACK TO s;
SELECT api_key_create('x', expires_at => '2026-06-01T10:00:00Z');
ROLLBACK TO s;
SELECT api_key_update(:'k', rate_limit => 1000001);
ROLLBACK TO s;
SELECT api_key_update(:'k', name => NULL, given => '{name}');
ROLLBACK;
UPDATE api_keys SET scopes = '{"a b:read"}' WHERE id = :'k';
UPDATE api_keys SET scopes = '{orders:read,NULL}' WHERE id = :'k';
-- changing
BEGIN;
SELECT request_begin(concat_ws(E'\n', :owner, 'vendor', :v, :session, '', '', ''));
SELECT name, scopes, rate_limit FROM api_key_update(:'k', scopes => '{orders:read}', rate_limit => 60);
SELECT name, scopes, rate_limit FROM api_key_update(:'k', name => 'Till', given => '{name,rate_limit}');
COMMIT;
-- rotation: the successor lives as long as the first was made to, the first for the overlap
BEGIN;
SELECT request_begin(concat_ws(E'\n', :owner, 'vendor', :v, :session, '', '', ''));
SAVEPOINT s;
SELECT api_key_rotate(:'k', '31 days');
ROLLBACK TO s;
SELECT api_key_rotate(:'k', '-1 s');
ROLLBACK TO s;
COMMIT;
SET rental.clock = '2026-06-05T10:00:00Z';
BEGIN;
SELECT request_begin(concat_ws(E'\n', :owner, 'vendor', :v, :session, '', '', ''));
SELECT id AS l, name, scopes, created_at, expires_at FROM api_key_rotate(:'k') \gset
\echo :name :scopes :created_at :expires_at
SELECT replaces = :'k' AS replaces FROM api_key_get(:'l');
SELECT expires_at, revoked_at FROM api_key_get(:'k');
SAVEPOINT s;
SELECT api_key_rotate(:'k');
ROLLBACK TO s;
SELECT id AS m FROM api_key_rotate(:'l', '0') \gset
SELECT expires_at, revoked_at FROM api_key_get(:'l');
SELECT api_key_rotate(:'l');
ROLLBACK TO s;
COMMIT;
SELECT a.role, a.vendor_id = :v AS of_vendor, a.scopes, a.seconds_left, a.rate_limit FROM api_keys k, api_key_verify(k.hash) a WHERE k.id = :'k';
SET rental.clock = '2026-06-06T10:00:00Z';
SELECT count(*) FROM api_keys k, api_key_verify(k.hash) WHERE k.id = :'k';
-- usage: added up by day, unknown keys left out
SELECT api_key_used(ARRAY[:'k', :'l', :'k', '00000000-0000-7000-8000-0000000006ff']::uuid[], '{3,5,2,9}', '{1,0,0,9}');
SELECT api_key_used(ARRAY[:'l']::uuid[], '{1}', '{1}');
SET rental.clock = '2026-06-07T00:30:00Z';
SELECT api_key_used(ARRAY[:'l']::uuid[], '{7}', '{0}');
BEGIN;
SELECT request_begin(concat_ws(E'\n', :owner, 'vendor', :v, '', '', '', ''));
SELECT r.name, r.key_id = :'l' AS second, r.day, r.requests, r.errors FROM usage_list() l, unnest(l.results) r ORDER BY r.day, r.requests;
SELECT count FROM usage_list(count => 'exact', "from" => '2026-06-07');
SELECT count FROM usage_list(count => 'exact', "to" => '2026-06-06');
SELECT count FROM usage_list(count => 'exact', key_id => :'k');
SELECT last_used_at FROM api_key_get(:'l');
COMMIT;
BEGIN;
SELECT request_begin(concat_ws(E'\n', :manager, 'vendor', :v, '', '', '', ''));
SELECT count FROM usage_list(count => 'exact', key_id => :'k');
COMMIT;
-- administrators see and end everybody's, and change and replace nobody's
BEGIN;
SELECT request_begin(concat_ws(E'\n', :admin, 'admin', '', :session, '', '', ''));
SELECT count FROM usage_list(count => 'exact', key_id => :'k');
SELECT count FROM api_key_list(user_id => :owner, count => 'exact');
SELECT name FROM api_key_get(:'l');
SAVEPOINT s;
SELECT api_key_update(:'l', scopes => '{*:write}');
ROLLBACK TO s;
SELECT api_key_rotate(:'l');
ROLLBACK TO s;
SELECT api_key_revoke(:'l');
SELECT api_key_revoke(:'l');
ROLLBACK TO s;
COMMIT;
-- who leaves the team takes no key along
SELECT member_remove(:v, :manager);
SELECT name, revoked_at IS NOT NULL AS revoked FROM api_keys WHERE user_id = :manager;
-- only the server tells of usage
SELECT r, has_function_privilege(r, 'rental.api_key_used(uuid[], bigint[], bigint[])', 'EXECUTE') FROM unnest('{rental_shim,rental_admin,rental_worker,rental_analyst}'::text[]) r;
-- days are written in one form, whatever the database's own
SELECT (response(v)::json) ->> 'day' AS day FROM api_key_usage_view v WHERE v.key_id = :'k';
