-- What every object of the extension must have.
SELECT plan(9);

SELECT is_empty($$
	SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'rental'::regnamespace AND c.relkind IN ('r', 'v')
		AND obj_description(c.oid, 'pg_class') IS NULL $$, 'every table and view has a comment');
SELECT is_empty($$
	SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'rental'::regnamespace AND p.prorettype <> 'trigger'::regtype
		AND p.proname !~ '^timeline_(in|out|recv|send|eq|ne|agg_step|agg_final)$' AND obj_description(p.oid, 'pg_proc') IS NULL $$,
	'every function that a user may meet has a comment');
SELECT is_empty($$
	SELECT e.method, e.path FROM rental.endpoint e WHERE to_regproc(e.function) IS NULL $$, 'every endpoint''s function exists and is unambiguous');
SELECT is_empty($$
	SELECT e.method, e.path, a[1] FROM rental.endpoint e, regexp_matches(e.path, '\{([^}]+)\}', 'g') a
	WHERE NOT EXISTS (SELECT FROM rental.endpoint_argument g WHERE g.method = e.method AND g.path = e.path AND g.name = a[1]) $$,
	'every parameter in a path is an argument of the function');
SELECT is_empty($$
	SELECT e.function FROM rental.endpoint e WHERE NOT has_function_privilege('rental_shim', to_regproc(e.function), 'EXECUTE') $$,
	'the shim may call every endpoint''s function');
SELECT is_empty($$
	SELECT c.oid::regclass FROM pg_class c, unnest(ARRAY['rental_shim', 'rental_worker', 'rental_analyst']) role
	WHERE c.relnamespace = 'rental'::regnamespace AND (c.relkind IN ('r', 'S') OR (c.relkind = 'v' AND role <> 'rental_analyst'))
		AND has_table_privilege(role, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') $$,
	'no role of the outside sees a table');
SELECT set_eq($$
	SELECT p.proname::text FROM pg_proc p WHERE p.pronamespace = 'rental'::regnamespace AND p.prorettype <> 'trigger'::regtype
		AND has_function_privilege('rental_analyst', p.oid, 'EXECUTE') AND p.proname !~ '^timeline' $$,
	$$ SELECT * FROM unnest(ARRAY['version', 'uuid7', 'now', 'availability', 'availability_steps', 'availability_calendar', 'available_products',
		'unavailable_products', 'next_available', 'price', 'late_fee', 'report_list', 'report_verify'])
		UNION SELECT replace(function, 'rental.', '') FROM rental.report_catalog $$,
	'an analyst may call these functions, the reports, and no others');
SELECT is_empty($$
	SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'rental'::regnamespace AND p.prosecdef
		AND NOT coalesce('search_path=pg_catalog, rental, pg_temp' = ANY (p.proconfig), false) $$,
	'every function with its owner''s rights has a fixed search path');
SELECT is_empty($$
	SELECT t.relname FROM pg_class t WHERE t.relnamespace = 'rental'::regnamespace AND t.relkind = 'r' AND t.relname NOT IN ('timelines', 'ledger_accounts', 'facts_delta', 'facts_daily', 'facts_monthly', 'facts_products', 'facts_zones', 'facts_open')
		AND NOT EXISTS (SELECT FROM pg_extension x WHERE x.extname = 'rental' AND t.oid = ANY (x.extconfig)) $$,
	'every table but the derived ones and the chart of accounts is part of a dump');
SELECT * FROM finish();
