-- Management: the catalogue of endpoints.

CREATE VIEW endpoint_argument AS
SELECT e.method, e.path, a.position, a.name,
	CASE WHEN b.kind IN ('uuid', 'boolean', 'smallint', 'integer', 'bigint', 'numeric', 'timestamptz', 'date', 'jsonb')
		THEN b.kind ELSE 'text' END AS type,
	t.typcategory = 'A' AS is_array,
	a.position <= p.pronargs - p.pronargdefaults AS required,
	pg_catalog.format('%I.%I', n.nspname, t.typname) AS declared,
	pg_catalog.pg_get_function_arg_default(p.oid, a.position::integer) AS default_value
FROM endpoint e
JOIN pg_catalog.pg_proc p ON p.oid = pg_catalog.to_regproc(e.function)
CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(p.proargnames[1:p.pronargs]), pg_catalog.unnest(p.proargtypes::oid[]))
	WITH ORDINALITY AS a(name, type, position)
JOIN pg_catalog.pg_type t ON t.oid = a.type
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
CROSS JOIN LATERAL (
	SELECT pg_catalog.replace(pg_catalog.format_type(
		CASE WHEN t.typcategory = 'A' THEN t.typelem WHEN t.typbasetype <> 0 THEN t.typbasetype ELSE t.oid END, NULL),
		'timestamp with time zone', 'timestamptz') AS kind
) b;
COMMENT ON VIEW endpoint_argument IS
	'The arguments of each endpoint''s function; type is the name under which the shim checks a field, domains being their base and unknown types text.';

CREATE FUNCTION endpoint_catalog(OUT method text, OUT path text, OUT auth text[], OUT status integer, OUT rate_class text,
	OUT statement text, OUT args json) RETURNS SETOF record
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS $$
	SELECT e.method, e.path, e.auth, e.status, e.rate_class,
		'SELECT rental.request_begin($1::uuid, $2::text, $3::uuid, $4::uuid, $5::text, $6::text, $7::text), '
		|| CASE WHEN p.prorettype = 'void'::regtype THEN format('nullif(%s::text, '''')', c.call)
			WHEN p.proretset THEN format('rental.response_rows(ARRAY(SELECT f FROM %s f))', c.call)
			ELSE format('rental.response(%s)', c.call) END
		|| ', rental.response_headers()',
		c.args
	FROM endpoint e
	JOIN pg_proc p ON p.oid = to_regproc(e.function)
	JOIN LATERAL (
		SELECT format('%s(%s)', e.function, COALESCE(string_agg(
				format(CASE WHEN a.default_value IS NULL OR a.default_value LIKE 'NULL::%' THEN '%I => %s' ELSE '%I => coalesce(%s, %s)' END,
					a.name, format('$%s::%s%s::%s', a.position + 7, a.type, CASE WHEN a.is_array THEN '[]' END, a.declared), a.default_value),
				', ' ORDER BY a.position), '')) AS call,
			COALESCE(json_agg(json_build_object('name', a.name, 'type', a.type, 'array', a.is_array, 'required', a.required)
				ORDER BY a.position) FILTER (WHERE a.name IS NOT NULL), '[]') AS args
		FROM endpoint_argument a WHERE a.method = e.method AND a.path = e.path
	) c ON true
	ORDER BY e.path, e.method
$$;
COMMENT ON FUNCTION endpoint_catalog() IS
	'Every endpoint with the statement that serves it and the arguments that it takes, from $8 on; $1 to $7 are those of request_begin. An endpoint whose function is missing or ambiguous is left out.';

CREATE TYPE api_view AS (name text, version text, links json);
CREATE FUNCTION api_root() RETURNS api_view
	LANGUAGE c STABLE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION api_root() IS 'Name, version, and where to go from here.';

CREATE FUNCTION endpoint_changed() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION endpoint_changed() IS 'Tells the shims, on commit, to read the endpoints again.';
CREATE TRIGGER endpoint_changed AFTER INSERT OR UPDATE OR DELETE ON endpoint FOR EACH STATEMENT EXECUTE FUNCTION endpoint_changed();

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('GET', '/api/', 'rental.api_root', '{public}', 200, 'read', 'api', 'Name, version, links', true);
