-- The API document: OpenAPI 3.1, made of the endpoints and of what the catalogue knows of their functions.
--
-- Arguments and their defaults are the request, the return type is the answer, and comments are the prose. A
-- view's column takes its description, its allowed values and whether it may be null from its table's column. A
-- composite type says in its comment "Only a and b may be null." or "Nothing in it is null."; all but its id may
-- be null if it does not say.

CREATE FUNCTION error_list(OUT code text, OUT status integer, OUT title text) RETURNS SETOF record
	LANGUAGE c IMMUTABLE ROWS 40 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION error_list() IS 'The codes of errors, with their HTTP status and title. Functions that are not part of the extension may raise others.';

CREATE FUNCTION view_columns(view regclass, OUT "position" smallint, OUT not_null boolean, OUT source regclass, OUT source_position smallint)
	RETURNS SETOF record
	LANGUAGE c STRICT STABLE ROWS 20 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION view_columns(regclass) IS
	'For each column of a view whether it is known never to be null, and the table''s column that it shows unchanged, or null.';

CREATE FUNCTION openapi_component(type oid) RETURNS text
	LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, rental, pg_temp AS $$
	SELECT regexp_replace(CASE n.nspname WHEN 'rental' THEN '' ELSE n.nspname || '.' END || t.typname, '[^A-Za-z0-9._-]', '_', 'g')
	FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
	WHERE t.oid = $1 AND t.typtype IN ('c', 'd', 'e') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
$$;
COMMENT ON FUNCTION openapi_component(oid) IS 'The name under which the API document describes a composite type, domain or enumeration; null for other types.';

CREATE FUNCTION openapi_schema(type oid, nullable boolean, description text DEFAULT NULL, allowed text[] DEFAULT NULL, initial json DEFAULT NULL)
	RETURNS json
	LANGUAGE sql STABLE SET search_path = pg_catalog, rental, pg_temp AS $$
	SELECT json_strip_nulls(json_build_object(
		'$ref', CASE WHEN NOT $2 THEN c.ref END,
		'anyOf', CASE WHEN $2 AND c.ref IS NOT NULL
			THEN json_build_array(json_build_object('$ref', c.ref), json_build_object('type', 'null')) END,
		'type', CASE WHEN c.ref IS NULL AND k.type IS NOT NULL THEN CASE WHEN $2 THEN json_build_array(k.type, 'null') ELSE to_json(k.type) END END,
		'format', CASE WHEN c.ref IS NULL THEN k.format END,
		'pattern', CASE WHEN c.ref IS NULL AND k.format = 'decimal' THEN '^-?[0-9]+(\.[0-9]+)?$' END,
		'examples', CASE WHEN c.ref IS NULL AND k.format = 'decimal' THEN json_build_array('119.90') END,
		'items', CASE WHEN k.type = 'array' THEN openapi_schema(t.typelem, false) END,
		'enum', to_json(CASE WHEN $2 AND $4 IS NOT NULL THEN $4 || NULL::text ELSE $4 END),
		'description', $3,
		'default', $5))
	FROM pg_type t
	-- OFFSET: worked out once, not wherever it stands above
	CROSS JOIN LATERAL (SELECT '#/components/schemas/' || openapi_component(t.oid) AS ref OFFSET 0) c
	CROSS JOIN LATERAL (SELECT (CASE
		WHEN t.typelem <> 0 AND t.typcategory = 'A' THEN '{array}'
		WHEN t.oid = 'uuid'::regtype THEN '{string,uuid}'
		WHEN t.oid = 'timestamptz'::regtype THEN '{string,date-time}'
		WHEN t.oid = 'date'::regtype THEN '{string,date}'
		WHEN t.oid = 'numeric'::regtype THEN '{string,decimal}'
		WHEN t.oid IN ('smallint'::regtype, 'integer'::regtype) THEN '{integer,int32}'
		WHEN t.oid = 'bigint'::regtype THEN '{integer,int64}'
		WHEN t.oid = 'boolean'::regtype THEN '{boolean}'
		WHEN t.oid IN ('json'::regtype, 'jsonb'::regtype) THEN '{}'
		ELSE '{string}' END)::text[] AS kind) s
	CROSS JOIN LATERAL (SELECT s.kind[1] AS type, s.kind[2] AS format) k
	WHERE t.oid = $1
$$;
COMMENT ON FUNCTION openapi_schema(oid, boolean, text, text[], json) IS 'The JSON Schema of a value of a type as rental.response writes it.';

CREATE FUNCTION openapi_default(type oid, expression text) RETURNS json
	LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, rental, pg_temp AS $$
	SELECT CASE
		WHEN $2 ~ '^-?[0-9]+(\.[0-9]+)?$' THEN CASE WHEN $1 = 'numeric'::regtype THEN to_json($2) ELSE $2::json END
		WHEN $2 IN ('true', 'false') THEN $2::json
		WHEN $2 ~ '^''([^'']|'''')*''::text$' THEN to_json(replace(substr($2, 2, length($2) - 8), '''''', ''''))
		WHEN $2 ~ '^''[^'']*''::text\[\]$' THEN to_json(substr($2, 2, length($2) - 10)::text[]) END
$$;
COMMENT ON FUNCTION openapi_default(oid, text) IS 'The default of an argument as JSON; null if it is not a constant.';

CREATE FUNCTION openapi_error(description text) RETURNS json
	LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, rental, pg_temp AS $$
	SELECT json_build_object('description', $1,
		'content', json_build_object('application/problem+json', json_build_object('schema', json_build_object('$ref', '#/components/schemas/Problem'))))
$$;
COMMENT ON FUNCTION openapi_error(text) IS 'A response of the API document that is a problem document (RFC 9457).';

CREATE FUNCTION openapi() RETURNS json
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS $$
	WITH RECURSIVE operation AS (
		SELECT e.method, e.path, e.auth, e.status, e.tag, e.summary, e.stream, e.upload_field, e.download, e.raw_body, e.csv, p.oid AS function, p.prorettype AS returns, p.proretset AS is_set,
			-- a function that serves several endpoints is named with each
			p.proname || CASE WHEN e.csv THEN '_csv' ELSE '' END || CASE WHEN count(*) OVER (PARTITION BY p.proname, e.csv) > 1 THEN ':' || lower(e.method) || ':' || translate(e.path, '{}', '()') ELSE '' END
				AS id,
			obj_description(p.oid, 'pg_proc') AS description,
			e.method = 'GET' AND NOT e.stream AND NOT p.proretset AND coalesce(t.typname, '') NOT LIKE '%\_page' AS has_etag,
			e.method IN ('PUT', 'PATCH', 'DELETE') AND EXISTS (SELECT FROM endpoint g WHERE g.method = 'GET' AND g.path = e.path) AS is_conditional
		FROM endpoint e
		JOIN endpoint_function f ON f.method = e.method AND f.path = e.path
		JOIN pg_proc p ON p.oid = f.function
		JOIN pg_type t ON t.oid = p.prorettype
	), used (type) AS (
		(
			SELECT o.returns FROM operation o WHERE NOT o.stream AND NOT o.download
			UNION ALL
			SELECT a.declared::regtype::oid FROM endpoint_argument a
		)
		UNION
		SELECT n.type FROM used u
		JOIN pg_type t ON t.oid = u.type
		CROSS JOIN LATERAL (
			SELECT t.typelem AS type WHERE t.typelem <> 0 AND t.typcategory = 'A'
			UNION ALL
			SELECT t.typbasetype WHERE t.typtype = 'd'
			UNION ALL
			SELECT to_regtype(format('%I.%I', t.typnamespace::regnamespace::text, t.typname || '_item'))::oid WHERE t.typtype = 'd'
			UNION ALL
			SELECT a.atttypid FROM pg_attribute a WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
		) n
		WHERE n.type IS NOT NULL
	), composite AS (
		SELECT t.oid AS type, t.typrelid, c.relkind, coalesce(obj_description(t.oid, 'pg_type'), obj_description(c.oid, 'pg_class')) AS description,
			ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum)
				= '{count,next,previous,results}' AS is_page,
			EXISTS (SELECT FROM used d JOIN pg_type b ON b.oid = d.type
				WHERE b.typtype = 'd' AND b.typnamespace = t.typnamespace AND t.typname = b.typname || '_item') AS is_item
		FROM used u JOIN pg_type t ON t.oid = u.type JOIN pg_class c ON c.oid = t.typrelid
		WHERE t.typtype = 'c'
	), origin AS (
		SELECT c.type, v.* FROM composite c CROSS JOIN LATERAL view_columns(c.typrelid) v WHERE c.relkind = 'v'
	), paging (name, description) AS (
		VALUES ('count', 'How many results there are on all pages; null unless ?count=exact asked for it'),
			('next', 'URL of the next page, or null'), ('previous', 'URL of the page before, or null'), ('results', NULL)
	), property AS (
		SELECT c.type, a.attnum AS position, a.attname::text AS name, a.atttypid AS property_type,
			CASE WHEN c.relkind = 'v' THEN NOT o.not_null WHEN c.is_page THEN a.attname <> 'results'
				WHEN c.is_item THEN coalesce(d.text ~ '^optional', false) WHEN c.relkind <> 'c' THEN NOT a.attnotnull
				WHEN c.description ~ 'Nothing in it is null' THEN false
				ELSE coalesce(a.attname = ANY (regexp_split_to_array(substring(c.description FROM 'Only ([a-z0-9_, ]+) may be null'), ', | and ')),
					a.attname <> 'id') END AS nullable,
			d.text AS description,
			allowed.list AS allowed
		FROM composite c
		JOIN pg_attribute a ON a.attrelid = c.typrelid AND a.attnum > 0 AND NOT a.attisdropped
		LEFT JOIN origin o ON o.type = c.type AND o.position = a.attnum
		LEFT JOIN paging g ON c.is_page AND g.name = a.attname
		CROSS JOIN LATERAL (SELECT coalesce(col_description(c.typrelid, a.attnum), col_description(o.source, o.source_position), g.description) AS text) d
		LEFT JOIN LATERAL (
			-- a table's CHECK (column IN (...))
			SELECT array_agg(DISTINCT replace(m[1], '''''', '''')) AS list
			FROM pg_constraint k CROSS JOIN LATERAL pg_get_constraintdef(k.oid) AS text
			CROSS JOIN LATERAL regexp_matches(text, '''((?:[^'']|'''')*)''::text', 'g') m
			WHERE k.conrelid = o.source AND k.contype = 'c' AND k.conkey = ARRAY[o.source_position]
				AND text ~ '^CHECK \(\("?\w+"? = (ANY \(ARRAY\[''[^()]*\]\)|''[^()]*)\)\)$'
		) allowed ON true
	), component AS (
		SELECT openapi_component(c.type) AS name, json_strip_nulls(json_build_object(
			'type', 'object',
			'description', c.description,
			'required', json_agg(p.name ORDER BY p.position) FILTER (WHERE NOT c.is_item OR NOT p.nullable),
			'properties', json_object_agg(p.name, p.schema ORDER BY p.position),
			'additionalProperties', CASE WHEN c.is_item THEN false END)) AS schema
		FROM composite c
		JOIN LATERAL (
			SELECT p.position, p.name, p.nullable, openapi_schema(p.property_type, p.nullable, p.description, p.allowed) AS schema
			FROM property p WHERE p.type = c.type
			UNION ALL
			-- the shim signs the access token, so no type of the database holds it
			SELECT 0, 'access', false, openapi_schema('text'::regtype, false, 'The access token, a JWT')
			WHERE c.type = 'auth_session'::regtype
		) p ON true
		GROUP BY c.type, c.description, c.is_item
		UNION ALL
		SELECT openapi_component(t.oid), json_strip_nulls(json_build_object(
			'type', coalesce(base.schema -> 'type', CASE WHEN item.type IS NOT NULL THEN to_json('array'::text) WHEN t.typtype = 'e' THEN to_json('string'::text) END),
			'$ref', base.schema -> '$ref', 'format', base.schema -> 'format', 'pattern', base.schema -> 'pattern', 'examples', base.schema -> 'examples',
			'items', coalesce(base.schema -> 'items', openapi_schema(item.type, false)),
			'enum', (SELECT json_agg(l.enumlabel ORDER BY l.enumsortorder) FROM pg_enum l WHERE l.enumtypid = t.oid),
			'description', obj_description(t.oid, 'pg_type')))
		FROM used u JOIN pg_type t ON t.oid = u.type
		CROSS JOIN LATERAL (SELECT openapi_schema(t.typbasetype, false) AS schema) base
		CROSS JOIN LATERAL (SELECT to_regtype(format('%I.%I', t.typnamespace::regnamespace::text, t.typname || '_item'))::oid AS type) item
		WHERE t.typtype IN ('d', 'e') AND openapi_component(t.oid) IS NOT NULL
	), argument AS MATERIALIZED (
		SELECT a.method, a.path, a.position, a.name, a.required, x.place,
			openapi_schema(a.declared::regtype, x.place = 'body' AND NOT a.required, CASE WHEN x.place = 'body' THEN y.description END,
				y.allowed, openapi_default(a.declared::regtype, a.default_value)) AS schema,
			y.description
		FROM endpoint_argument a
		JOIN operation o ON o.method = a.method AND o.path = a.path
		CROSS JOIN LATERAL (SELECT CASE WHEN strpos(a.path, '{' || a.name || '}') > 0 THEN 'path' WHEN a.method IN ('GET', 'DELETE') THEN 'query' ELSE 'body' END
			AS place) x
		LEFT JOIN composite c ON c.type = o.returns
		LEFT JOIN property r ON r.type = o.returns AND c.is_page AND r.name = 'results'
		LEFT JOIN pg_type e ON e.oid = r.property_type
		-- an argument is described like what it becomes, or is compared with, in the answer
		LEFT JOIN property p ON p.type = coalesce(e.typelem, o.returns) AND p.name = a.name AND p.property_type = a.declared::regtype AND x.place <> 'path'
		LEFT JOIN (VALUES
			('page_size', 'How many results a page has, 1 to 100', NULL::text[]),
			('cursor', 'Where the page begins; taken from next or previous of another page', NULL),
			('count', 'exact: count the results on all pages', '{exact}')
		) g (name, description, allowed) ON c.is_page AND g.name = a.name
		CROSS JOIN LATERAL (SELECT coalesce(g.description, p.description) AS description, coalesce(g.allowed, p.allowed) AS allowed) y
		WHERE NOT (a.name = 'given' AND a.is_array)
			-- what is known of a file, the shim says
			AND NOT (o.upload_field IS NOT NULL AND a.name IN ('file', 'file_size', 'file_type', 'file_name'))
			AND NOT (o.raw_body AND (a.name = 'body' OR a.name LIKE 'header\_%'))
	), request AS (
		SELECT o.method, o.path,
			json_agg(json_strip_nulls(json_build_object('name', a.name, 'in', a.place, 'required', a.required OR a.place = 'path',
				'description', a.description, 'schema', a.schema)) ORDER BY a.place, a.position) FILTER (WHERE a.place <> 'body') AS parameters,
			json_object_agg(a.name, a.schema ORDER BY a.position) FILTER (WHERE a.place = 'body') AS properties,
			json_agg(a.name ORDER BY a.position) FILTER (WHERE a.place = 'body' AND a.required) AS required,
			bool_or(a.required AND a.place <> 'path') AS has_required,
			count(a.name) > 0 AS has_arguments
		FROM operation o LEFT JOIN argument a ON a.method = o.method AND a.path = o.path
		GROUP BY o.method, o.path
	), failure AS (
		SELECT o.method, o.path, l.status, json_strip_nulls(json_build_object(
			'description', string_agg(format('%s (`%s`)', l.title, l.code), '; ' ORDER BY l.code),
			'headers', CASE l.status WHEN 429 THEN json_build_object('Retry-After', json_build_object('$ref', '#/components/headers/Retry-After')) END,
			'content', openapi_error('') -> 'content')) AS response
		FROM operation o
		JOIN request r ON r.method = o.method AND r.path = o.path
		JOIN error_list() l ON l.code = ANY (
			'{bad_request,unknown_field,invalid_token,expired_token,rate_limited}'::text[]
			|| CASE WHEN NOT 'public' = ANY (o.auth) THEN '{unauthenticated}'::text[] END
			|| CASE WHEN NOT o.auth && '{public,user}' THEN '{forbidden}'::text[] END
			|| CASE WHEN r.has_arguments THEN '{invalid_field,duplicate_field}'::text[] END
			|| CASE WHEN r.has_required THEN '{missing_field}'::text[] END
			|| CASE WHEN r.properties IS NOT NULL AND o.upload_field IS NULL THEN '{malformed_json}'::text[] END
			|| CASE WHEN r.properties IS NOT NULL OR o.upload_field IS NOT NULL THEN '{payload_too_large,unsupported_media_type}'::text[] END
			|| CASE WHEN o.method = 'POST' THEN '{idempotency_conflict,idempotency_key_reused}'::text[] END
			|| CASE WHEN o.is_conditional THEN '{precondition_failed}'::text[] END
			|| ARRAY(SELECT w[1] FROM regexp_matches(substring(o.description FROM 'Errors?: (.*)'), '[a-z_]+', 'g') w))
		GROUP BY o.method, o.path, l.status
	), answer AS (
		SELECT o.method, o.path, o.status, json_strip_nulls(json_build_object(
			'description', CASE o.status WHEN 200 THEN 'OK' WHEN 201 THEN 'Created' WHEN 202 THEN 'Accepted' WHEN 204 THEN 'Done' ELSE 'Success' END,
			'headers', json_build_object('X-Request-Id', json_build_object('$ref', '#/components/headers/X-Request-Id'),
				'ETag', CASE WHEN o.has_etag THEN json_build_object('$ref', '#/components/headers/ETag') END,
				'Link', CASE WHEN c.is_page THEN json_build_object('$ref', '#/components/headers/Link') END),
			'content', CASE WHEN o.download THEN json_build_object('*/*', json_build_object('schema', json_build_object('type', 'string', 'format', 'binary')))
				WHEN o.csv THEN json_build_object('text/csv', json_build_object('schema', json_build_object('type', 'string')))
				WHEN o.stream THEN json_build_object('text/event-stream', json_build_object('schema', json_build_object('type', 'string')))
				WHEN o.returns <> 'void'::regtype AND o.status <> 204 THEN
					json_build_object('application/json', json_build_object('schema', CASE WHEN o.is_set THEN json_build_object(
						'type', 'object', 'required', '{count,next,previous,results}'::text[],
						'properties', json_build_object('count', json_build_object('type', 'integer'), 'next', json_build_object('type', 'null'),
							'previous', json_build_object('type', 'null'),
							'results', json_build_object('type', 'array', 'items', openapi_schema(o.returns, false))))
						ELSE openapi_schema(o.returns, false) END)) END)) AS response
		FROM operation o LEFT JOIN composite c ON c.type = o.returns
		UNION ALL
		SELECT o.method, o.path, 304, json_build_object('description', 'Not modified') FROM operation o WHERE o.has_etag
		UNION ALL
		SELECT * FROM failure
	), described AS (
		SELECT o.method, o.path, json_strip_nulls(json_build_object(
			'operationId', o.id,
			'tags', json_build_array(o.tag),
			'summary', o.summary,
			'description', concat_ws(E'\n\n', o.description,
				CASE WHEN NOT o.auth && '{public,user}' THEN 'For ' || array_to_string(ARRAY(SELECT unnest(o.auth) ORDER BY 1), ' and ') || ' only.' END),
			-- what is public may still show more to those who are known
			'security', CASE WHEN NOT 'public' = ANY (o.auth) THEN '[{"accessToken": []}, {"apiKey": []}]'::json
				WHEN o.method = 'GET' THEN '[{}, {"accessToken": []}, {"apiKey": []}]' ELSE '[]' END,
			'x-roles', CASE WHEN NOT o.auth && '{public,user}' THEN to_json(o.auth) END,
			'x-scope', o.tag || CASE o.method WHEN 'GET' THEN ':read' ELSE ':write' END,
			'parameters', (
				SELECT json_agg(q.parameter) FROM (
					SELECT p AS parameter FROM json_array_elements(r.parameters) p
					UNION ALL
					SELECT json_build_object('$ref', '#/components/parameters/' || h.name) FROM (VALUES
						('IdempotencyKey', o.method = 'POST'), ('IfMatch', o.is_conditional), ('IfNoneMatch', o.has_etag), ('LastEventId', o.stream)
					) h (name, applies) WHERE h.applies
				) q
			),
			'requestBody', CASE WHEN o.upload_field IS NOT NULL THEN (
				-- a form, or the file alone
				SELECT json_build_object('required', true, 'content', json_build_object(
					'multipart/form-data', json_build_object('schema', json_build_object(
						'type', 'object', 'required', to_json(ARRAY[o.upload_field] || ARRAY(SELECT json_array_elements_text(coalesce(r.required, '[]')))),
						'properties', (SELECT json_object_agg(m.key, m.value) FROM (
							SELECT o.upload_field AS key, b.schema AS value UNION ALL SELECT m.key, m.value FROM json_each(coalesce(r.properties, '{}')) m) m),
						'additionalProperties', false)),
					'application/octet-stream', json_build_object('schema', b.schema)))
				FROM (SELECT json_build_object('type', 'string', 'format', 'binary', 'description', 'The file') AS schema) b
			) WHEN o.raw_body THEN json_build_object('required', true, 'content',
				json_build_object('*/*', json_build_object('schema', json_build_object('type', 'string'))))
			WHEN r.properties IS NOT NULL THEN json_build_object(
				'required', r.required IS NOT NULL,
				'content', json_build_object('application/json', json_build_object('schema', json_build_object(
					'type', 'object', 'required', r.required, 'properties', r.properties, 'additionalProperties', false)))) END,
			'responses', (
				SELECT json_object_agg(n.status, n.response ORDER BY n.status) FROM (
					SELECT n.status::text, n.response FROM answer n WHERE n.method = o.method AND n.path = o.path
					UNION ALL
					SELECT 'default', json_build_object('$ref', '#/components/responses/Error')
				) n
			))) AS description
		FROM operation o JOIN request r ON r.method = o.method AND r.path = o.path
	)
	SELECT json_build_object(
		'openapi', '3.1.0',
		'info', json_build_object(
			'title', 'rental',
			'version', rental.version(),
			'summary', 'Renting things out: catalogue, availability, orders, invoices, payments, reports',
			'description', 'Ids are UUIDs, times RFC 3339 in UTC, amounts decimal strings beside their currency. '
				'Lists are pages: follow `next`. Errors are problem documents (RFC 9457) with a stable `code`. '
				'Members of a body that are not known are refused.',
			'license', json_build_object('name', 'PostgreSQL License', 'identifier', 'PostgreSQL')),
		'servers', json_build_array(json_build_object('url', '/')),
		'tags', (SELECT coalesce(json_agg(json_build_object('name', t.tag) ORDER BY t.tag), '[]') FROM (SELECT DISTINCT tag FROM operation) t),
		'paths', (
			SELECT coalesce(json_object_agg(p.path, p.item ORDER BY p.path), '{}') FROM (
				SELECT d.path, json_object_agg(lower(d.method), d.description ORDER BY array_position('{GET,POST,PUT,PATCH,DELETE}', d.method)) AS item
				FROM described d GROUP BY d.path
			) p
		),
		'components', json_build_object(
			'schemas', (
				SELECT json_object_agg(c.name, c.schema ORDER BY c.name) FROM (
					SELECT * FROM component
					UNION ALL
					SELECT 'Problem', json_build_object(
						'type', 'object',
						'description', E'An error (RFC 9457).\n\n| code | status | title |\n|---|---|---|\n'
							|| (SELECT string_agg(format('| `%s` | %s | %s |', l.code, l.status, l.title), E'\n' ORDER BY l.status, l.code) FROM error_list() l),
						'required', '{type,title,status,code}'::text[],
						'properties', json_build_object(
							'type', json_build_object('type', 'string', 'format', 'uri', 'description', 'urn:rental:error: and the code'),
							'title', json_build_object('type', 'string', 'description', 'The same for every occurrence of the code'),
							'status', json_build_object('type', 'integer', 'description', 'The HTTP status'),
							'detail', json_build_object('type', 'string', 'description', 'What went wrong this time'),
							'instance', json_build_object('type', 'string', 'description', 'The path that was asked for'),
							'code', json_build_object('type', 'string', 'description', 'Stable and machine-readable'),
							'errors', json_build_object('type', 'object', 'description', 'Messages by field',
								'additionalProperties', json_build_object('type', 'array', 'items', json_build_object('type', 'string'))),
							'request_id', json_build_object('type', 'string', 'description', 'As in X-Request-Id')))
				) c
			),
			'responses', json_build_object('Error', openapi_error('Any other error; 503 and 504 may be tried again')),
			'parameters', json_build_object(
				'IdempotencyKey', json_build_object('name', 'Idempotency-Key', 'in', 'header', 'schema', json_build_object('type', 'string'),
					'description', 'Makes the request safe to repeat: the same key and request answer the same for 24 hours, and do the work once'),
				'IfMatch', json_build_object('name', 'If-Match', 'in', 'header', 'schema', json_build_object('type', 'string'),
					'description', 'Do it only if the resource still has this ETag; otherwise 412'),
				'IfNoneMatch', json_build_object('name', 'If-None-Match', 'in', 'header', 'schema', json_build_object('type', 'string'),
					'description', 'Answer 304 if the resource still has this ETag'),
				'LastEventId', json_build_object('name', 'Last-Event-ID', 'in', 'header', 'schema', json_build_object('type', 'string'),
					'description', 'Send what came after this event first')),
			'headers', json_build_object(
				'X-Request-Id', json_build_object('schema', json_build_object('type', 'string'), 'description', 'The id of the request, the caller''s own if it sent one'),
				'ETag', json_build_object('schema', json_build_object('type', 'string'), 'description', 'Of this representation'),
				'Link', json_build_object('schema', json_build_object('type', 'string'), 'description', 'The next page and the one before (RFC 8288)'),
				'Retry-After', json_build_object('schema', json_build_object('type', 'integer'), 'description', 'Seconds to wait before trying again')),
			'securitySchemes', json_build_object(
				'accessToken', json_build_object('type', 'http', 'scheme', 'bearer', 'bearerFormat', 'JWT',
					'description', 'From `POST /api/auth/login/`; lives for minutes and is renewed by `POST /api/auth/refresh/`'),
				'apiKey', json_build_object('type', 'http', 'scheme', 'bearer', 'bearerFormat', 'rk_…', 'description', 'A key of a program, sent as the access token is'))))
$$;
COMMENT ON FUNCTION openapi() IS 'The OpenAPI 3.1 document of all endpoints.';

CREATE TYPE order_items_request_item AS (product_id uuid, quantity integer, start_at timestamptz, end_at timestamptz, location_id uuid, unit_ids uuid[]);
COMMENT ON TYPE order_items_request_item IS 'What is wanted, and when: [start_at, end_at).';
COMMENT ON COLUMN order_items_request_item.quantity IS 'pieces';
COMMENT ON COLUMN order_items_request_item.location_id IS 'optional: where from; otherwise from the location that has most free';
COMMENT ON COLUMN order_items_request_item.unit_ids IS 'optional: the very units, as many as quantity';

CREATE TRIGGER cache_changed AFTER INSERT OR UPDATE OR DELETE ON endpoint FOR EACH ROW EXECUTE FUNCTION cache_changed('endpoints');

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin, cache_seconds, cache_tags) VALUES
	('GET', '/api/schema/', 'rental.openapi', '{public}', 200, 'read', 'api', 'This document', true, 60, '{endpoints}');
