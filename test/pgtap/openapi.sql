-- The API document says of every endpoint what the catalogue knows.
BEGIN;
SELECT plan(34);

-- beside the extension's own endpoints one with every kind of type
CREATE SCHEMA check_openapi;
CREATE TABLE check_openapi.goods (
	id uuid NOT NULL, name text NOT NULL, grade text NOT NULL CHECK (grade IN ('new', 'it''s used')), note text, price numeric NOT NULL);
COMMENT ON COLUMN check_openapi.goods.price IS 'for one';
CREATE TABLE check_openapi.labels (goods_id uuid NOT NULL, label text NOT NULL);
CREATE TYPE check_openapi.mood AS ENUM ('glad', 'sad');
CREATE DOMAIN check_openapi.wishes AS jsonb;
COMMENT ON DOMAIN check_openapi.wishes IS 'What is wished for.';
CREATE TYPE check_openapi.wishes_item AS (what text, how_many integer);
COMMENT ON COLUMN check_openapi.wishes_item.how_many IS 'optional: one if it is not given';
CREATE DOMAIN check_openapi.code AS text;
CREATE TYPE check_openapi.part AS (a text, b text);
COMMENT ON TYPE check_openapi.part IS 'A part. Nothing in it is null.';
CREATE TYPE check_openapi.half AS (a text, b text, c text);
COMMENT ON TYPE check_openapi.half IS 'Only a and c may be null.';
CREATE TYPE check_openapi.pair AS (id uuid, parts check_openapi.part[], half check_openapi.half, at timestamptz, amount numeric, count bigint, mood check_openapi.mood, any_thing jsonb);
CREATE VIEW check_openapi.goods_view AS
	SELECT g.id, g.name, g.grade, g.note, g.price, l.label, coalesce(l.label, '') AS shown, ARRAY(SELECT 1) AS ones, g.price * 2 AS twice,
		CASE WHEN g.note = '' THEN g.name END AS perhaps
	FROM check_openapi.goods g LEFT JOIN check_openapi.labels l ON l.goods_id = g.id;
CREATE FUNCTION check_openapi.change(goods_id uuid, wishes check_openapi.wishes, tags text[] DEFAULT '{a,b}', code check_openapi.code DEFAULT 'it''s',
	size integer DEFAULT 3, price numeric DEFAULT 0.5, sure boolean DEFAULT true, day date DEFAULT now()::date, grade text DEFAULT NULL, given text[] DEFAULT NULL)
	RETURNS check_openapi.goods_view LANGUAGE sql AS 'SELECT g FROM check_openapi.goods_view g';
COMMENT ON FUNCTION check_openapi.change(uuid, check_openapi.wishes, text[], check_openapi.code, integer, numeric, boolean, date, text, text[]) IS
	'Changes it. Errors: not_found, invalid_state when it is sold.';
CREATE FUNCTION check_openapi.read(goods_id uuid, tags text[]) RETURNS SETOF check_openapi.pair LANGUAGE sql AS 'SELECT NULL::check_openapi.pair';
CREATE FUNCTION check_openapi.forget(goods_id uuid) RETURNS void LANGUAGE sql AS '';
INSERT INTO rental.endpoint (method, path, function, auth, status, tag, summary) VALUES
	('PUT', '/api/check-openapi/{goods_id}/', 'check_openapi.change', '{vendor,admin}', 200, 'check', 'Change'),
	('GET', '/api/check-openapi/{goods_id}/', 'check_openapi.read', '{public}', 200, 'check', 'Read'),
	('DELETE', '/api/check-openapi/{goods_id}/', 'check_openapi.forget', '{user}', 204, 'check', 'Forget'),
	('POST', '/api/check-openapi/{goods_id}/forget/', 'check_openapi.forget', '{public}', 204, 'check', 'Forget');

CREATE TEMPORARY TABLE document AS SELECT rental.openapi()::jsonb AS d;
CREATE TEMPORARY VIEW operation AS
	SELECT p.key AS path, upper(o.key) AS method, o.value AS o
	FROM document, jsonb_each(d -> 'paths') p, jsonb_each(p.value) o;
-- the values anywhere in the document that have a $ref
CREATE TEMPORARY VIEW reference AS
	SELECT DISTINCT r #>> '{}' AS target FROM document, jsonb_path_query(d, 'strict $.**."$ref"', silent => true) r;
CREATE FUNCTION pg_temp.change(member text) RETURNS jsonb LANGUAGE sql AS
	$$ SELECT o #> $1::text[] FROM operation WHERE path = '/api/check-openapi/{goods_id}/' AND method = 'PUT' $$;
CREATE FUNCTION pg_temp.member(name text) RETURNS jsonb LANGUAGE sql AS
	$$ SELECT pg_temp.change('{requestBody,content,application/json,schema,properties}') -> $1 $$;
CREATE FUNCTION pg_temp.type(name text) RETURNS jsonb LANGUAGE sql AS $$ SELECT d #> ARRAY['components', 'schemas', $1] FROM document $$;

SELECT is(d ->> 'openapi', '3.1.0', 'it is OpenAPI 3.1') FROM document;
SELECT is(d #>> '{info,version}', rental.version(), 'with the version of the extension') FROM document;
SELECT set_eq('SELECT method, path FROM operation', 'SELECT method, path FROM rental.endpoint', 'every endpoint is in it, and nothing else');
SELECT is_empty($$ SELECT o ->> 'operationId' FROM operation GROUP BY 1 HAVING count(*) > 1 $$, 'no two operations have one id');
SELECT is_empty($$ SELECT path, method FROM operation WHERE o ->> 'operationId' IS NULL OR o ->> 'summary' IS NULL OR coalesce(o ->> 'description', '') = '' AND path NOT LIKE '/api/check%' $$,
	'every operation has an id and is described');
SELECT cmp_ok((SELECT count(*) FROM reference), '>', 20::bigint, 'parts of it refer to each other');
SELECT is_empty($$ SELECT target FROM reference, document WHERE d #> string_to_array(substr(target, 3), '/') IS NULL $$, 'every reference leads somewhere');
SELECT is_empty($$ SELECT name FROM document, jsonb_object_keys(d #> '{components,schemas}') name
	WHERE NOT EXISTS (SELECT FROM reference WHERE target = '#/components/schemas/' || name) $$, 'every schema is used');
SELECT is_empty($$
	(SELECT path, method, m[1] FROM operation, regexp_matches(path, '\{([^}]+)\}', 'g') m)
	EXCEPT
	SELECT path, method, p ->> 'name' FROM operation, jsonb_array_elements(o -> 'parameters') p WHERE p ->> 'in' = 'path' AND (p -> 'required')::boolean $$,
	'every parameter in a path is declared and required');
SELECT is_empty($$
	SELECT path, method, p ->> 'name' FROM operation, jsonb_array_elements(o -> 'parameters') p WHERE p ->> 'in' = 'path' AND strpos(path, '{' || (p ->> 'name') || '}') = 0 $$,
	'and no other');
SELECT is_empty($$
	SELECT a.method, a.path, a.name FROM rental.endpoint_argument a JOIN operation USING (method, path)
	WHERE a.name <> 'given' AND NOT EXISTS (SELECT FROM rental.endpoint e WHERE e.method = a.method AND e.path = a.path
			AND (e.upload_field IS NOT NULL AND a.name IN ('file', 'file_size', 'file_type', 'file_name') OR e.raw_body AND a.name ~ '^(body$|header_)'))
		AND NOT EXISTS (SELECT FROM jsonb_array_elements(o -> 'parameters') p WHERE p ->> 'name' = a.name)
		AND (o #> '{requestBody,content,application/json,schema,properties}') -> a.name IS NULL $$, 'every argument can be given');
SELECT is_empty($$ SELECT path, method FROM operation WHERE method = 'GET' AND o -> 'requestBody' IS NOT NULL $$, 'no GET has a body');
SELECT is_empty($$ SELECT e.path, e.method FROM rental.endpoint e JOIN operation USING (method, path)
	WHERE o #> ARRAY['responses', e.status::text] IS NULL OR o #> '{responses,default}' IS NULL OR o #> '{responses,401}' IS NULL OR o #> '{responses,429}' IS NULL $$,
	'every operation says what it answers');
SELECT is_empty($$ SELECT e.path, e.method FROM rental.endpoint e JOIN operation USING (method, path)
	WHERE ('public' = ANY (e.auth)) <> (o -> 'security' = '[]' OR EXISTS (SELECT FROM jsonb_array_elements(o -> 'security') s WHERE s = '{}')) $$, 'every operation that is not public has a security requirement');
SELECT is_empty($$ SELECT code FROM rental.error_list() WHERE code !~ '^[a-z_]+$' OR status NOT BETWEEN 400 AND 599 OR title = '' $$, 'the errors have codes, status and titles');

SELECT is(pg_temp.change('{x-roles}'), '["vendor", "admin"]', 'the roles that may call are named');
SELECT is_empty($$ SELECT path, method FROM operation JOIN rental.endpoint e USING (method, path)
	WHERE o ->> 'x-scope' IS DISTINCT FROM e.tag || CASE e.method WHEN 'GET' THEN ':read' ELSE ':write' END $$, 'and the scope that an API key needs');
SELECT is(pg_temp.change('{requestBody,content,application/json,schema,required}'), '["wishes"]', 'an argument without a default is required');
SELECT is(pg_temp.member('given'), NULL, 'what the server fills is no field');
SELECT is(pg_temp.member('tags'), '{"type": ["array", "null"], "items": {"type": "string"}, "default": ["a", "b"]}', 'an array and its default');
SELECT is(pg_temp.member('code'), '{"anyOf": [{"$ref": "#/components/schemas/check_openapi.code"}, {"type": "null"}], "default": "it''s"}', 'a domain and a default with a quote');
SELECT is(jsonb_build_array(pg_temp.member('size') -> 'default', pg_temp.member('price') -> 'default', pg_temp.member('sure') -> 'default', pg_temp.member('day') -> 'default'),
	'[3, "0.5", true, null]', 'defaults: numbers, decimals, booleans; none where it is an expression');
SELECT is(pg_temp.member('grade') -> 'enum', '["it''s used", "new", null]', 'an argument takes the values that its column takes');
SELECT is(pg_temp.type('check_openapi.wishes'),
	'{"type": "array", "items": {"$ref": "#/components/schemas/check_openapi.wishes_item"}, "description": "What is wished for."}', 'a domain of JSON with a type for its items');
SELECT is(pg_temp.type('check_openapi.wishes_item') - 'properties', '{"type": "object", "required": ["what"], "additionalProperties": false}', 'of which some members are optional');
SELECT set_eq($$ SELECT k.key FROM jsonb_each(pg_temp.type('check_openapi.goods_view') -> 'properties') k WHERE k.value -> 'type' @> '"null"' $$, '{note,label,perhaps}'::text[],
	'a view''s column may be null if its table''s may, or by an outer join');
SELECT is(pg_temp.type('check_openapi.goods_view') #>> '{properties,price,description}', 'for one', 'it is described like its table''s column');
SELECT is(pg_temp.type('check_openapi.goods_view') #> '{properties,grade,enum}', '["it''s used", "new"]', 'and has its values');
SELECT set_eq($$ SELECT k.key FROM jsonb_each(pg_temp.type('check_openapi.half') -> 'properties') k WHERE k.value -> 'type' @> '"null"' $$, '{a,c}'::text[],
	'a composite type says what may be null');
SELECT set_eq($$ SELECT k.key FROM jsonb_each(pg_temp.type('check_openapi.part') -> 'properties') k WHERE k.value -> 'type' @> '"null"' $$, '{}'::text[], 'or that nothing may');
SELECT is(pg_temp.type('check_openapi.pair') -> 'properties', jsonb_build_object(
	'id', '{"type": "string", "format": "uuid"}'::jsonb,
	'parts', '{"type": ["array", "null"], "items": {"$ref": "#/components/schemas/check_openapi.part"}}'::jsonb,
	'half', '{"anyOf": [{"$ref": "#/components/schemas/check_openapi.half"}, {"type": "null"}]}'::jsonb,
	'at', '{"type": ["string", "null"], "format": "date-time"}'::jsonb,
	'amount', '{"type": ["string", "null"], "format": "decimal", "pattern": "^-?[0-9]+(\\.[0-9]+)?$", "examples": ["119.90"]}'::jsonb,
	'count', '{"type": ["integer", "null"], "format": "int64"}'::jsonb,
	'mood', '{"anyOf": [{"$ref": "#/components/schemas/check_openapi.mood"}, {"type": "null"}]}'::jsonb,
	'any_thing', '{}'::jsonb), 'the types of an answer');
SELECT is((SELECT array_agg(k.key ORDER BY k.key) FROM jsonb_each(pg_temp.change('{responses}')) k),
	'{200,400,401,403,404,409,412,413,415,429,default}', 'the errors are those of its comment and of HTTP');
SELECT is((SELECT o #>> '{responses,200,content,application/json,schema,properties,results,items,$ref}' FROM operation WHERE path = '/api/check-openapi/{goods_id}/' AND method = 'GET'),
	'#/components/schemas/check_openapi.pair', 'a set is a list');
SELECT is((SELECT array_agg(o #> '{responses,204,content}') FROM operation WHERE path LIKE '/api/check-openapi/%' AND method IN ('DELETE', 'POST')), '{NULL,NULL}'::jsonb[],
	'void is no content');

SELECT * FROM finish();
ROLLBACK;
