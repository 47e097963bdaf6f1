-- Least privilege: the rights on every object are those of acl.expected, and what a role must not do is refused.
--
-- When this fails after a change that is meant: read the lines it prints, then
--     cp build/acl.actual test/pgtap/acl.expected
BEGIN;
SET client_min_messages = warning;
SELECT plan(24);

\i test/pgtap/acl.query
\copy (SELECT line FROM acl_line ORDER BY line) TO 'build/acl.actual' (DELIMITER E'\x01')
CREATE TEMPORARY TABLE expected (line text COLLATE "C");
\copy expected FROM 'test/pgtap/acl.expected' (DELIMITER E'\x01')

SELECT cmp_ok((SELECT count(*) FROM acl_line), '>', 200::bigint, 'the schema''s objects have rights to compare');
SELECT is((SELECT string_agg(line, E'\n') FROM (SELECT line FROM acl_line EXCEPT SELECT line FROM expected ORDER BY 1) n), NULL,
	'no object has rights that test/pgtap/acl.expected does not tell; if they are meant: cp build/acl.actual test/pgtap/acl.expected');
SELECT is((SELECT string_agg(line, E'\n') FROM (SELECT line FROM expected EXCEPT SELECT line FROM acl_line ORDER BY 1) n), NULL,
	'no line of it tells of rights that are gone');
SELECT is_empty($$ SELECT line FROM acl_line WHERE line ~ 'PUBLIC:' $$, 'PUBLIC has nothing');
SELECT is_empty($$ SELECT line FROM acl_line WHERE line ~ '\*' $$, 'nobody may pass rights on');
SELECT is_empty($$ SELECT line FROM acl_line WHERE line ~ '^(table|sequence|column|matview|default) .*  rental_' $$, 'no role has a right on a table');
SELECT is_empty($$ SELECT line FROM acl_line WHERE line ~ '^view .*rental_(shim|worker|admin)' OR line ~ '^view .*:.*(insert|update|delete|truncate)' $$,
	'only analysts have views, to read');
SELECT is_empty($$ SELECT line FROM acl_line WHERE line ~ '^view +(user|api_key|audit|session|profile)\w*  rental_' $$, 'but none of accounts, keys and the audit trail');
SELECT set_eq($$ SELECT DISTINCT rolname::text FROM pg_roles r WHERE rolname LIKE 'rental\_%' AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)
	UNION SELECT m.member::regrole::text FROM pg_auth_members m WHERE m.member::regrole::text LIKE 'rental\_%' $$, '{}'::text[],
	'the roles have no other powers, and are members of nothing');

-- and in deed: a role tries everything that it has no right to

CREATE ROLE check_nobody;
GRANT USAGE ON SCHEMA rental TO check_nobody; -- so that it is the objects that refuse

-- attempts: the statements that a role must not do, by what they try
CREATE FUNCTION pg_temp.attempts(role name) RETURNS TABLE (kind text, statement text) LANGUAGE sql AS $$
	SELECT lower(w.verb), CASE w.verb
			WHEN 'SELECT' THEN format('SELECT * FROM %s LIMIT 1', c.oid::regclass)
			WHEN 'INSERT' THEN format('INSERT INTO %s DEFAULT VALUES', c.oid::regclass)
			WHEN 'UPDATE' THEN format('UPDATE %s SET %I = NULL', c.oid::regclass, a.attname)
			WHEN 'DELETE' THEN format('DELETE FROM %s', c.oid::regclass)
			ELSE format('TRUNCATE %s', c.oid::regclass) END
	FROM pg_class c
	JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = 1
	CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) w(verb)
	WHERE c.relnamespace = 'rental'::regnamespace AND c.relkind IN ('r', 'v', 'm') AND (c.relkind = 'r' OR w.verb = 'SELECT')
		AND NOT has_table_privilege(role, c.oid, w.verb)
	UNION ALL
	-- arguments from a table, since PostgreSQL does not even call a strict function of a constant null
	SELECT 'execute', format('SELECT rental.%I(%s) FROM (SELECT %s OFFSET 0) a', p.proname, u.names, u.nulls)
	FROM pg_proc p
	CROSS JOIN LATERAL (
		SELECT string_agg(format('a%s', ord), ', ' ORDER BY ord) AS names, string_agg(format('NULL::%s AS a%s', t, ord), ', ' ORDER BY ord) AS nulls
		FROM unnest(string_to_array(oidvectortypes(p.proargtypes), ', ')) WITH ORDINALITY u(t, ord)
	) u
	WHERE p.pronamespace = 'rental'::regnamespace AND p.prorettype <> 'trigger'::regtype
		AND NOT p.proargtypes::oid[] && ARRAY['internal'::regtype, 'anyelement'::regtype, 'anyarray'::regtype]::oid[]
		AND NOT has_function_privilege(role, p.oid, 'EXECUTE')
	UNION ALL
	SELECT 'trigger', format('CREATE TRIGGER t AFTER INSERT ON own FOR EACH ROW EXECUTE FUNCTION rental.%I()', p.proname)
	FROM pg_proc p WHERE p.pronamespace = 'rental'::regnamespace AND p.prorettype = 'trigger'::regtype
	UNION ALL
	SELECT 'create', 'CREATE TABLE rental.mine (a integer)'
$$;
CREATE TEMPORARY TABLE attempt (role name, kind text, statement text, outcome text);
INSERT INTO attempt SELECT r, a.kind, a.statement
	FROM unnest('{rental_shim,rental_worker,rental_analyst,rental_admin,check_nobody}'::name[]) r, pg_temp.attempts(r) a;

CREATE FUNCTION pg_temp.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'done';
EXCEPTION
	WHEN insufficient_privilege THEN RETURN 'refused';
	WHEN others THEN RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
DO $$
DECLARE
	a record;
	said text;
BEGIN
	FOR a IN SELECT DISTINCT role FROM attempt LOOP
		EXECUTE format('SET LOCAL ROLE %I', a.role);
		CREATE TEMPORARY TABLE own (a integer);
		RESET ROLE;
		FOR a IN SELECT ctid, role, statement FROM attempt WHERE role = a.role LOOP
			EXECUTE format('SET LOCAL ROLE %I', a.role);
			said := pg_temp.try(a.statement);
			RESET ROLE;
			UPDATE attempt SET outcome = said WHERE ctid = a.ctid;
		END LOOP;
		DROP TABLE own;
	END LOOP;
END $$;
SELECT is_empty($$ SELECT role, statement, outcome FROM attempt WHERE outcome IS DISTINCT FROM 'refused' ORDER BY 1, 2 $$,
	'what a role has no right to is refused, for lack of the right');
SELECT cmp_ok((SELECT count(*) FROM attempt WHERE role = r AND kind = 'select'), '>=', n, r || ' was refused tables and views')
	FROM (VALUES ('rental_shim', 40::bigint), ('rental_worker', 40), ('rental_analyst', 20), ('rental_admin', 40), ('check_nobody', 40)) v(r, n);
SELECT cmp_ok((SELECT min(n) FROM (SELECT count(*) AS n FROM attempt WHERE kind = 'execute' AND role <> 'rental_admin' GROUP BY role) c), '>=', 40::bigint,
	'and functions');
SELECT set_eq($$ SELECT substring(statement FROM 'rental\.\w+') FROM attempt WHERE role = 'rental_admin' AND kind = 'execute' $$,
	ARRAY['rental.request_begin', 'rental.api_key_used', 'rental.audit_purge', 'rental.audit_erase'], 'administrators were refused these alone');
SELECT is(pg_temp.try('SELECT 1 FROM rental.users LIMIT 0'), 'done', 'who may is not refused');

-- who calls is said whole, or not at all
SELECT throws_ok(format('SELECT rental.request_begin(%L)', caller), state, NULL, why) FROM (VALUES
	('', 'RT422', 'nothing is no caller'),
	(E'\n\n\n\n\n', 'RT422', 'nor is a line too few'),
	(E'\n\n\n\n\n\n/\n', 'RT422', 'or one too many, which a path might bring'),
	(E'00000000-0000-7000-8000-000000000001\n\n\n\n\n\n/', 'RT401', 'a user has a role'),
	(E'00000000-0000-7000-8000-000000000001\nroot\n\n\n\n\n/', 'RT401', 'which is known'),
	(E'somebody\ncustomer\n\n\n\n\n/', '22P02', 'and an id')) v (caller, state, why);
SELECT * FROM finish();
ROLLBACK;
