-- Roles, and what every part below stands on.

DO $$
DECLARE
	wanted text;
BEGIN
	FOREACH wanted IN ARRAY ARRAY['rental_shim', 'rental_worker', 'rental_analyst', 'rental_admin'] LOOP
		IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
			EXECUTE pg_catalog.format('CREATE ROLE %I', wanted);
		END IF;
	END LOOP;
END $$;
GRANT USAGE ON SCHEMA rental TO rental_shim, rental_worker, rental_analyst, rental_admin;

CREATE FUNCTION rental.version() RETURNS text
	LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'rental_version';
COMMENT ON FUNCTION rental.version() IS 'Version of the loaded module.';

CREATE FUNCTION uuid7() RETURNS uuid
	LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'uuid7';
COMMENT ON FUNCTION uuid7() IS 'A new time-ordered identifier (UUID version 7, RFC 9562); never goes backwards within a session.';

CREATE FUNCTION rental.now() RETURNS timestamptz
	LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'rental_now_sql';
COMMENT ON FUNCTION rental.now() IS 'The time that every rule goes by: the start of the transaction, or what a superuser set as rental.clock.';

-- Requests of the HTTP shim

CREATE FUNCTION request_begin(caller text) RETURNS boolean
	LANGUAGE c STRICT VOLATILE AS 'MODULE_PATHNAME', 'request_begin';
COMMENT ON FUNCTION request_begin(text) IS
	'Says who is calling until the end of the transaction; only the shim may. Seven lines, empty where there is nothing: user id, role, vendor id, session id, request id, client address, and the path and query of the request. Without a user the caller is anonymous. Always true.';

CREATE FUNCTION act_as(user_id uuid, role text DEFAULT NULL, vendor_id uuid DEFAULT NULL) RETURNS void
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'act_as';
COMMENT ON FUNCTION act_as(uuid, text, uuid) IS
	'Lets a superuser or rental_admin act as a user until the end of the transaction: with the role and team that the account has, or with those given (customer, vendor or admin). Errors: forbidden, not_found.';

CREATE FUNCTION response(answer anyelement) RETURNS text
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'response';
COMMENT ON FUNCTION response(anyelement) IS
	'An answer: the headers that the request added to it, a line each, an empty line, and the JSON of the HTTP contract: rows are objects, numeric is a decimal string, timestamptz RFC 3339 in UTC. Without a value there is no body.';

CREATE FUNCTION response_rows(answer anyarray) RETURNS text
	LANGUAGE c STRICT VOLATILE AS 'MODULE_PATHNAME', 'response_rows';
COMMENT ON FUNCTION response_rows(anyarray) IS 'An answer as response makes it, with the JSON list of all rows of a set-returning function.';

CREATE FUNCTION response_none(answer text) RETURNS text
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'response_none';
COMMENT ON FUNCTION response_none(text) IS 'An answer as response makes it, of a function that returns nothing: it has no body.';

-- Endpoints: one row makes a function an HTTP operation

CREATE TABLE endpoint (
	method text NOT NULL CHECK (method IN ('GET', 'POST', 'PUT', 'PATCH', 'DELETE')),
	path text NOT NULL CHECK (path ~ '^/([a-z0-9_.-]+/|\{[a-z][a-z0-9_]*\}/)*$'),
	function text NOT NULL,
	auth text[] NOT NULL CHECK (auth <@ ARRAY['public', 'user', 'customer', 'vendor', 'admin'] AND auth <> '{}'),
	status integer NOT NULL DEFAULT 200 CHECK (status BETWEEN 200 AND 299),
	rate_class text NOT NULL DEFAULT 'read',
	tag text NOT NULL,
	summary text NOT NULL,
	builtin boolean NOT NULL DEFAULT false,
	cache_seconds integer NOT NULL DEFAULT 0 CHECK (cache_seconds BETWEEN 0 AND 86400),
	cache_tags text[] NOT NULL DEFAULT '{}',
	stream boolean NOT NULL DEFAULT false,
	upload_field text CHECK (upload_field ~ '^[a-z][a-z0-9_]*$'),
	upload_bytes integer CHECK (upload_bytes > 0),
	download boolean NOT NULL DEFAULT false,
	raw_body boolean NOT NULL DEFAULT false,
	csv boolean NOT NULL DEFAULT false,
	PRIMARY KEY (method, path),
	CHECK ((cache_seconds = 0 OR (method = 'GET' AND auth = '{public}')) AND (NOT stream OR method = 'GET')),
	CHECK ((upload_field IS NULL OR method = 'POST') AND (upload_bytes IS NULL OR upload_field IS NOT NULL)),
	CHECK (NOT raw_body OR (method = 'POST' AND upload_field IS NULL)),
	CHECK (NOT download OR (method = 'GET' AND NOT stream AND cache_seconds = 0)),
	CHECK (NOT csv OR (method = 'GET' AND NOT stream AND NOT download AND cache_seconds = 0))
);
COMMENT ON TABLE endpoint IS
	'One row for each HTTP operation. The function stands by its schema-qualified name, which must be unique; its arguments are the request, its result the answer.';
COMMENT ON COLUMN endpoint.function IS 'schema.name of the function; text, since pg_upgrade refuses columns of type regprocedure';
COMMENT ON COLUMN endpoint.auth IS 'public, user (any log-in), or the roles that may call: customer, vendor, admin';
COMMENT ON COLUMN endpoint.rate_class IS 'token bucket: read, write or password';
COMMENT ON COLUMN endpoint.cache_seconds IS 'how long a shim may answer anonymous callers from its memory; 0: never. Only for answers that are the same for all of them';
COMMENT ON COLUMN endpoint.cache_tags IS 'what such an answer depends on, as cache_changed names it; {x} stands for the path''s parameter x';
COMMENT ON COLUMN endpoint.stream IS 'server-sent events: the function returns a stream_view, whose topics are followed until the client leaves';
COMMENT ON COLUMN endpoint.upload_field IS
	'the request brings a file, in this field of a form or as its whole body. The function is told what is known of it by its arguments file (SHA-256), file_size, file_type (by its first bytes) and file_name, as far as it has them';
COMMENT ON COLUMN endpoint.upload_bytes IS 'how large the file may be; null: as large as the shim takes';
COMMENT ON COLUMN endpoint.download IS 'the answer is a file: the function returns a file_view';
COMMENT ON COLUMN endpoint.raw_body IS
	'the function gets the body as it came, of whatever type, in its argument body, and the header X-Y in an argument header_x_y, so that it can check a signature';
COMMENT ON COLUMN endpoint.csv IS
	'the rows of a set-returning function as CSV, however many, sent as they are made; the request may say format=csv, too';
COMMENT ON COLUMN endpoint.builtin IS 'made by the extension, so not part of a dump';

CREATE TYPE stream_view AS (topics text[]);
COMMENT ON TYPE stream_view IS 'What a stream of events follows.';

-- Numbers that people read

CREATE TABLE number_series (
	vendor_id uuid NOT NULL,
	series text NOT NULL,
	year integer NOT NULL,
	last bigint NOT NULL,
	PRIMARY KEY (vendor_id, series, year)
) WITH (fillfactor = 10);
COMMENT ON TABLE number_series IS
	'The last number given out in each vendor''s series and year. Of invoices the row lock is held to the end of the transaction, so a number is used if and only if its transaction commits: no gaps. Orders count in place and wait for nobody: one that fails leaves a gap.';
