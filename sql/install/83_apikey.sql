-- API keys: by which programs call as their owner, within scopes and limits; and how much they are used.

CREATE TABLE api_keys (
	id uuid PRIMARY KEY DEFAULT rental.uuid7(),
	user_id uuid NOT NULL REFERENCES users,
	name text NOT NULL CHECK (name <> '' AND length(name) <= 200),
	prefix text NOT NULL,
	hash bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
	scopes text[] NOT NULL
		CHECK (array_to_string(scopes, ' ', '') ~ '^([A-Za-z0-9_-]+|\*):(read|write)( ([A-Za-z0-9_-]+|\*):(read|write))*$'),
	rate_limit integer CHECK (rate_limit BETWEEN 1 AND 1000000),
	replaces uuid,
	created_at timestamptz NOT NULL DEFAULT rental.now(),
	expires_at timestamptz,
	revoked_at timestamptz
);
CREATE INDEX ON api_keys (user_id, id);
COMMENT ON TABLE api_keys IS 'Keys by which programs call the API as their owner, with the rights that its role has at that time, and no more than their scopes.';
COMMENT ON COLUMN api_keys.prefix IS 'the first characters of the key, by which its owner tells it from others';
COMMENT ON COLUMN api_keys.hash IS 'SHA-256 of the key, which is shown only once';
COMMENT ON COLUMN api_keys.scopes IS 'TAG:read for GET, TAG:write for every other method of the endpoints with that tag; * stands for all tags';
COMMENT ON COLUMN api_keys.rate_limit IS 'requests a minute, of all endpoints together; null: the limits of their classes';
COMMENT ON COLUMN api_keys.replaces IS 'the key whose successor it is, or null';
COMMENT ON COLUMN api_keys.expires_at IS 'null: never';

CREATE TABLE api_key_usage (
	id uuid NOT NULL UNIQUE DEFAULT rental.uuid7(),
	key_id uuid NOT NULL REFERENCES api_keys,
	day date NOT NULL,
	requests bigint NOT NULL CHECK (requests >= 0),
	errors bigint NOT NULL CHECK (errors BETWEEN 0 AND requests),
	last_used_at timestamptz NOT NULL,
	PRIMARY KEY (key_id, day)
) WITH (fillfactor = 50);
COMMENT ON TABLE api_key_usage IS 'How often each API key was used on each day, told by the servers about every second.';
COMMENT ON COLUMN api_key_usage.id IS 'grows with the days';
COMMENT ON COLUMN api_key_usage.day IS 'in UTC';
COMMENT ON COLUMN api_key_usage.requests IS 'requests that the key was good for, refused ones included';
COMMENT ON COLUMN api_key_usage.errors IS 'those that were answered with a status of 400 or more';

CREATE VIEW api_key_view AS
SELECT k.id, k.user_id, k.name, k.prefix, k.scopes, k.rate_limit, k.replaces, k.created_at, k.expires_at, k.revoked_at,
	(SELECT u.last_used_at FROM api_key_usage u WHERE u.key_id = k.id ORDER BY u.day DESC LIMIT 1) AS last_used_at
FROM api_keys k;
COMMENT ON VIEW api_key_view IS 'An API key as its owner sees it, without the key.';
COMMENT ON COLUMN api_key_view.last_used_at IS 'to about a second; null: never';
CREATE TYPE api_key_page AS (count bigint, next text, previous text, results api_key_view[]);
CREATE TYPE api_key_new AS (id uuid, name text, prefix text, key text, scopes text[], rate_limit integer, created_at timestamptz, expires_at timestamptz);
COMMENT ON TYPE api_key_new IS 'An API key just made; key is shown only here. Only rate_limit and expires_at may be null.';

CREATE FUNCTION api_key_create(name text, scopes text[] DEFAULT '{*:read}', rate_limit integer DEFAULT NULL, expires_at timestamptz DEFAULT NULL)
	RETURNS api_key_new
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION api_key_create(text, text[], integer, timestamptz) IS
	'Makes an API key of the caller: an administrator, or an owner or manager of a vendor, who must be logged in by a session. Errors: forbidden, invalid_value.';
CREATE FUNCTION api_key_list(user_id uuid DEFAULT NULL, page_size integer DEFAULT 20, cursor text DEFAULT NULL, count text DEFAULT NULL) RETURNS api_key_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION api_key_list(uuid, integer, text, text) IS 'The caller''s API keys, newest first; an administrator sees everybody''s, or those of one user_id. Error: forbidden.';
CREATE FUNCTION api_key_get(key_id uuid) RETURNS api_key_view
	LANGUAGE c STRICT STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION api_key_get(uuid) IS 'One of the caller''s API keys; for an administrator anybody''s. Error: not_found.';
CREATE FUNCTION api_key_update(key_id uuid, name text DEFAULT NULL, scopes text[] DEFAULT NULL, rate_limit integer DEFAULT NULL, given text[] DEFAULT NULL)
	RETURNS api_key_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION api_key_update(uuid, text, text[], integer, text[]) IS
	'Changes what is given of one of the caller''s API keys, within a second; null clears rate_limit. In SQL, without the list given, whatever is not null is given. Errors: not_found, forbidden, invalid_value, invalid_field.';
CREATE FUNCTION api_key_rotate(key_id uuid, overlap interval DEFAULT '24 hours') RETURNS api_key_new
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION api_key_rotate(uuid, interval) IS
	'Makes the successor of one of the caller''s API keys, with its name, scopes and limit, and as long a life as that was given. The old key stays good for overlap, at most 30 days; with none it ends at once. Errors: not_found, forbidden, invalid_value, invalid_state if it is over or has a successor already.';
CREATE FUNCTION api_key_revoke(key_id uuid) RETURNS void
	LANGUAGE c STRICT VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION api_key_revoke(uuid) IS 'Ends one of the caller''s API keys at once; an administrator ends anybody''s. Errors: not_found, forbidden.';

CREATE FUNCTION api_key_verify(hash bytea, OUT key_id uuid, OUT user_id uuid, OUT role text, OUT vendor_id uuid, OUT scopes text[],
	OUT seconds_left double precision, OUT rate_limit integer) RETURNS SETOF record
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS $$
	SELECT k.id, k.user_id, u.role, m.vendor_id, k.scopes, extract(epoch FROM k.expires_at - rental.now())::double precision, k.rate_limit
	FROM api_keys k
	JOIN users u ON u.id = k.user_id AND u.is_active
	LEFT JOIN vendor_members m ON m.user_id = u.id
	WHERE k.hash = $1 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > rental.now())
$$;
COMMENT ON FUNCTION api_key_verify(bytea) IS
	'Whom the API key with this SHA-256 speaks for; no row if it is not good. seconds_left is null for a key without an end.';

-- A change counts within a second, since the servers verify such a key anew.
CREATE TRIGGER revocation_note AFTER UPDATE OF scopes, rate_limit, expires_at, revoked_at ON api_keys FOR EACH ROW
	WHEN (ROW(OLD.scopes, OLD.rate_limit, OLD.expires_at, OLD.revoked_at) IS DISTINCT FROM ROW(NEW.scopes, NEW.rate_limit, NEW.expires_at, NEW.revoked_at))
	EXECUTE FUNCTION revocation_note();

-- Usage

CREATE FUNCTION api_key_used(key_ids uuid[], requests bigint[], errors bigint[]) RETURNS void
	LANGUAGE sql STRICT VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS $$
	INSERT INTO api_key_usage AS t (key_id, day, requests, errors, last_used_at)
	SELECT k.id, (rental.now() AT TIME ZONE 'UTC')::date, sum(u.requests), sum(u.errors), rental.now()
	FROM unnest($1, $2, $3) AS u(key_id, requests, errors)
	JOIN api_keys k ON k.id = u.key_id
	GROUP BY k.id
	ORDER BY k.id -- as every server does, so that they never wait for each other in a circle
	ON CONFLICT (key_id, day) DO UPDATE SET requests = t.requests + EXCLUDED.requests, errors = t.errors + EXCLUDED.errors,
		last_used_at = greatest(t.last_used_at, EXCLUDED.last_used_at)
$$;
COMMENT ON FUNCTION api_key_used(uuid[], bigint[], bigint[]) IS
	'Adds to today''s usage of API keys; for the servers, which call it about every second and never in the course of a request.';

CREATE VIEW api_key_usage_view AS
SELECT u.id, u.key_id, k.user_id, k.name, k.prefix, u.day, u.requests, u.errors
FROM api_key_usage u JOIN api_keys k ON k.id = u.key_id;
COMMENT ON VIEW api_key_usage_view IS 'The usage of an API key on a day.';
CREATE TYPE api_key_usage_page AS (count bigint, next text, previous text, results api_key_usage_view[]);

CREATE FUNCTION usage_list("from" date DEFAULT NULL, "to" date DEFAULT NULL, key_id uuid DEFAULT NULL, page_size integer DEFAULT 20,
	cursor text DEFAULT NULL, count text DEFAULT NULL) RETURNS api_key_usage_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usage_list(date, date, uuid, integer, text, text) IS
	'Calls by API key and day, in UTC, newest day first; of the caller''s keys, for an administrator of all. from and to are the first and the last day. Error: forbidden.';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('POST', '/api/keys/', 'rental.api_key_create', '{vendor,admin}', 201, 'write', 'api', 'Make an API key', true),
	('GET', '/api/keys/', 'rental.api_key_list', '{vendor,admin}', 200, 'read', 'api', 'Own API keys', true),
	('GET', '/api/keys/{key_id}/', 'rental.api_key_get', '{vendor,admin}', 200, 'read', 'api', 'One API key', true),
	('PATCH', '/api/keys/{key_id}/', 'rental.api_key_update', '{vendor,admin}', 200, 'write', 'api', 'Change an API key', true),
	('POST', '/api/keys/{key_id}/rotate/', 'rental.api_key_rotate', '{vendor,admin}', 201, 'write', 'api', 'Replace an API key', true),
	('DELETE', '/api/keys/{key_id}/', 'rental.api_key_revoke', '{vendor,admin}', 204, 'write', 'api', 'Revoke an API key', true),
	('GET', '/api/usage/', 'rental.usage_list', '{vendor,admin}', 200, 'read', 'api', 'Calls by API key and day', true);

GRANT EXECUTE ON FUNCTION api_key_verify(bytea), api_key_used(uuid[], bigint[], bigint[]) TO rental_shim;
