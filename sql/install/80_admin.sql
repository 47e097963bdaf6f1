-- Management: the catalogue of endpoints.

-- to_regproc() would look at what has been committed since the query began, which may lack what the query still sees in pg_proc.
CREATE VIEW endpoint_function AS
SELECT e.method, e.path, p.oid AS function
FROM endpoint e
CROSS JOIN LATERAL pg_catalog.parse_ident(e.function) AS name
JOIN pg_catalog.pg_namespace n ON n.nspname = name[1]::name
JOIN pg_catalog.pg_proc p ON p.pronamespace = n.oid AND p.proname = name[2]::name
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_proc o WHERE o.proname = p.proname AND o.pronamespace = p.pronamespace AND o.oid <> p.oid);
COMMENT ON VIEW endpoint_function IS 'The function of each endpoint, as one snapshot has it; an endpoint whose function is missing or ambiguous has none.';

CREATE VIEW endpoint_argument AS
SELECT e.method, e.path, a.position, a.name,
	CASE WHEN b.kind IN ('uuid', 'boolean', 'smallint', 'integer', 'bigint', 'numeric', 'timestamptz', 'date', 'jsonb')
		THEN b.kind ELSE 'text' END AS type,
	t.typcategory = 'A' AS is_array,
	a.position <= p.pronargs - p.pronargdefaults AS required,
	pg_catalog.format('%I.%I', n.nspname, t.typname) AS declared,
	pg_catalog.pg_get_function_arg_default(p.oid, a.position::integer) AS default_value
FROM endpoint_function e
JOIN pg_catalog.pg_proc p ON p.oid = e.function
CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(p.proargnames[1:p.pronargs]), pg_catalog.unnest(p.proargtypes::oid[]))
	WITH ORDINALITY AS a(name, type, position)
JOIN pg_catalog.pg_type t ON t.oid = a.type
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
CROSS JOIN LATERAL (
	SELECT pg_catalog.replace(pg_catalog.format_type(
		CASE WHEN t.typcategory = 'A' THEN t.typelem WHEN t.typbasetype <> 0 THEN t.typbasetype ELSE t.oid END, NULL),
		'timestamp with time zone', 'timestamptz') AS kind
) b
UNION ALL
SELECT e.method, e.path, p.pronargs + 1, 'format', 'text', false, false, 'pg_catalog.text', '''csv''::text'
FROM endpoint e JOIN endpoint_function f ON f.method = e.method AND f.path = e.path JOIN pg_catalog.pg_proc p ON p.oid = f.function WHERE e.csv;
COMMENT ON VIEW endpoint_argument IS
	'The arguments of each endpoint''s function; type is the name under which the shim checks a field, domains being their base and unknown types text. An export has one more, its format.';

CREATE FUNCTION endpoint_catalog(OUT method text, OUT path text, OUT auth text[], OUT status integer, OUT rate_class text,
	OUT statement text, OUT args json, OUT cache_seconds integer, OUT cache_tags text[], OUT stream boolean,
	OUT upload_field text, OUT upload_bytes integer, OUT download boolean, OUT is_stable boolean,
	OUT tag text, OUT raw_body boolean, OUT csv boolean, OUT activity text) RETURNS SETOF record
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS $$
	SELECT e.method, e.path, e.auth, e.status, e.rate_class,
		CASE WHEN e.csv THEN format('SELECT piece FROM (SELECT CASE WHEN %s THEN NULL::text END AS piece UNION ALL SELECT rental.csv_begin($%s::text, %L) '
				'UNION ALL SELECT rental.csv_row(f) FROM %s f UNION ALL SELECT rental.csv_end()) pieces WHERE piece IS NOT NULL',
			x.begin, x.context + p.pronargs + 1, names.list, c.call)
		ELSE format('SELECT %s WHERE %s', CASE e.method
			WHEN 'GET' THEN c.answer
			WHEN 'POST' THEN format('rental.response_keep(CASE WHEN CASE WHEN $2::text IS NULL THEN true ELSE rental.request_claim($2, $3::text) END '
				'THEN %s END, %s)', c.answer, e.status)
			ELSE format('CASE WHEN CASE WHEN $2::text IS NULL THEN true ELSE rental.request_match($2, %L, %s) END THEN %s END',
				present.query, COALESCE(present.args, 'NULL'), c.answer) END, x.begin) END,
		c.args, e.cache_seconds, e.cache_tags, e.stream, e.upload_field, e.upload_bytes, e.download, p.provolatile <> 'v', e.tag, e.raw_body, e.csv, e.activity
	FROM endpoint e
	CROSS JOIN LATERAL (SELECT CASE e.method WHEN 'GET' THEN 1 WHEN 'POST' THEN 3 ELSE 2 END AS context,
		'rental.request_begin($1::text)' AS begin) x
	JOIN endpoint_function f ON f.method = e.method AND f.path = e.path
	JOIN pg_proc p ON p.oid = f.function AND (p.proretset OR NOT e.csv)
	CROSS JOIN LATERAL (
		-- what the columns of its rows are called: those of their type, its own, or the function itself
		SELECT coalesce(nullif(ARRAY(SELECT a.attname::text FROM pg_attribute a JOIN pg_type t ON t.typrelid = a.attrelid
				WHERE t.oid = p.prorettype AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum), '{}'),
			nullif(ARRAY(SELECT p.proargnames[i] FROM generate_subscripts(p.proargmodes, 1) i WHERE p.proargmodes[i] IN ('o', 'b', 't') ORDER BY i), '{}'),
			ARRAY[p.proname::text]) AS list
	) names
	JOIN LATERAL (
		SELECT CASE WHEN p.prorettype = 'void'::regtype THEN format('rental.response_none(%s::text)', call.text)
				WHEN p.proretset THEN format('rental.response_rows(ARRAY(SELECT f FROM %s f))', call.text)
				ELSE format('rental.response(%s)', call.text) END AS answer,
			call.text AS call, call.args
		FROM (
			SELECT format('%s(%s)', e.function, COALESCE(string_agg(
					format(CASE WHEN a.default_value IS NULL OR a.default_value LIKE 'NULL::%' THEN '%I => %s' ELSE '%I => coalesce(%s, %s)' END,
						a.name, format('$%s::%s%s::%s', a.position + x.context, a.type, CASE WHEN a.is_array THEN '[]' END, a.declared), a.default_value),
					', ' ORDER BY a.position) FILTER (WHERE a.position <= p.pronargs), '')) AS text,
				COALESCE(json_agg(json_build_object('name', a.name, 'type', a.type, 'array', a.is_array, 'required', a.required)
					ORDER BY a.position) FILTER (WHERE a.name IS NOT NULL), '[]') AS args
			FROM endpoint_argument a WHERE a.method = e.method AND a.path = e.path
		) call
	) c ON true
	LEFT JOIN LATERAL (
		-- what GET of the same path answers, for If-Match: its arguments are those of the path
		SELECT format('SELECT rental.response(%s(%s))', g.function,
				string_agg(format('%I => $%s::%s', a.name, a.ord, a.declared), ', ' ORDER BY a.ord)) AS query,
			format('ARRAY[%s]', string_agg(format('$%s::text', own.position + 2), ', ' ORDER BY a.ord)) AS args
		FROM endpoint g
		JOIN endpoint_function gf ON gf.method = g.method AND gf.path = g.path
		JOIN pg_proc gp ON gp.oid = gf.function AND NOT gp.proretset
		CROSS JOIN LATERAL (
			SELECT ga.name, ga.declared, row_number() OVER (ORDER BY ga.position) AS ord
			FROM endpoint_argument ga WHERE ga.method = 'GET' AND ga.path = g.path AND g.path LIKE '%{' || ga.name || '}%'
		) a
		JOIN endpoint_argument own ON own.method = e.method AND own.path = e.path AND own.name = a.name
		WHERE g.method = 'GET' AND g.path = e.path AND e.method IN ('PUT', 'PATCH', 'DELETE')
		GROUP BY g.function
	) present ON true
	ORDER BY e.path, e.method
$$;
COMMENT ON FUNCTION endpoint_catalog() IS
	'Every endpoint with the statement that serves it, which returns one text as response makes it, and the arguments that it takes. $1 is that of request_begin; then come Idempotency-Key and fingerprint of a POST, or If-Match of PUT, PATCH and DELETE; then the arguments. Those that are stable may share a transaction with others. The rows of an export''s statement are pieces of its text. An endpoint whose function is missing or ambiguous, or no set though it is an export, is left out.';

CREATE TYPE api_view AS (name text, version text, links json);
CREATE FUNCTION api_root() RETURNS api_view
	LANGUAGE c STABLE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION api_root() IS 'Name, version, and where to go from here.';

CREATE FUNCTION endpoint_changed() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION endpoint_changed() IS 'Tells the shims, on commit, to read the endpoints again.';
CREATE TRIGGER endpoint_changed AFTER INSERT OR UPDATE OR DELETE ON endpoint FOR EACH STATEMENT EXECUTE FUNCTION endpoint_changed();

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('GET', '/api/', 'rental.api_root', '{public}', 200, 'read', 'api', 'Name, version, links', true);
