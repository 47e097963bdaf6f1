-- The gateway's side of HTTP: requests done once, conditional changes, revoked log-ins, what a cache
-- must forget, and live events.

-- Requests that carry an Idempotency-Key

CREATE TABLE idempotency_keys (
	caller text COLLATE "C" NOT NULL,
	key text COLLATE "C" NOT NULL,
	fingerprint text COLLATE "C" NOT NULL,
	status integer NOT NULL,
	response text NOT NULL,
	created_at timestamptz NOT NULL,
	PRIMARY KEY (caller, key)
);
CREATE INDEX ON idempotency_keys (created_at);
COMMENT ON TABLE idempotency_keys IS
	'Answers to requests with an Idempotency-Key, kept for 24 hours. A row commits with the work it stands for, so a failed request leaves none.';
COMMENT ON COLUMN idempotency_keys.caller IS 'the user, or the address of an anonymous client';
COMMENT ON COLUMN idempotency_keys.fingerprint IS 'SHA-256 of method, target and body';
COMMENT ON COLUMN idempotency_keys.response IS 'headers, an empty line and body, as the function response makes them';

CREATE FUNCTION request_claim(key text, fingerprint text) RETURNS boolean
	LANGUAGE c STRICT VOLATILE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION request_claim(text, text) IS
	'Claims an Idempotency-Key for the running request: true if the work is to be done, false if it was done before. Errors: idempotency_key_reused, idempotency_conflict while another request holds the key.';

CREATE FUNCTION response_keep(answer text, status integer) RETURNS text
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION response_keep(text, integer) IS
	'The answer, after keeping it under the key that was claimed, if one was; or the one that was kept, if the work was done before. Answers that hold a secret are not kept.';

-- Conditional changes

CREATE FUNCTION request_match(if_match text, query text, args text[]) RETURNS boolean
	LANGUAGE c VOLATILE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION request_match(text, text, text[]) IS
	'True if the entity tags of an If-Match header hold that of the present representation, which the query answers; otherwise precondition_failed. Changes with If-Match of one resource wait for each other.';

-- Log-ins that ended before their access tokens did

CREATE TABLE revocations (
	id uuid NOT NULL,
	revoked_at timestamptz NOT NULL
);
CREATE INDEX ON revocations (revoked_at);
COMMENT ON TABLE revocations IS 'Sessions and users whose credentials, if issued until then, are not good any more, and API keys that are to be verified anew. Kept for two days.';

CREATE FUNCTION revocation_note() RETURNS trigger
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION revocation_note() IS 'Records a revocation, and tells the shims when it commits.';
CREATE TRIGGER revocation_note AFTER UPDATE OF revoked_at ON sessions FOR EACH ROW
	WHEN (NEW.revoked_at IS NOT NULL AND OLD.revoked_at IS NULL) EXECUTE FUNCTION revocation_note();
CREATE TRIGGER revocation_note AFTER UPDATE OF is_active, role ON users FOR EACH ROW
	WHEN (OLD.role <> NEW.role OR (OLD.is_active AND NOT NEW.is_active)) EXECUTE FUNCTION revocation_note();

CREATE FUNCTION revocation_recent(seconds integer, OUT id uuid, OUT revoked_at double precision) RETURNS SETOF record
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS $$
	SELECT r.id, extract(epoch FROM r.revoked_at)::double precision FROM revocations r
	WHERE r.revoked_at > rental.now() - make_interval(secs => seconds)
$$;
COMMENT ON FUNCTION revocation_recent(integer) IS 'What was revoked in the last seconds, with its time in seconds since 1970.';

-- What the shims' caches must forget

CREATE FUNCTION cache_changed() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION cache_changed() IS
	'Tells the shims on commit which cached answers are stale. Its arguments are tags; in one that ends in a colon the value of the row''s column id follows, or of the column named after the colon: product:, product:product_id.';
CREATE TRIGGER cache_changed AFTER INSERT OR UPDATE OR DELETE ON products FOR EACH ROW
	EXECUTE FUNCTION cache_changed('products', 'product:');
CREATE TRIGGER cache_changed AFTER INSERT OR UPDATE OR DELETE ON product_rates FOR EACH ROW
	EXECUTE FUNCTION cache_changed('products', 'product:product_id');
CREATE TRIGGER cache_changed AFTER INSERT OR UPDATE OR DELETE ON categories FOR EACH ROW
	EXECUTE FUNCTION cache_changed('categories');
CREATE TRIGGER cache_changed AFTER INSERT OR UPDATE OR DELETE ON vendors FOR EACH ROW
	EXECUTE FUNCTION cache_changed('vendors');

-- Live events

CREATE TABLE stream_events (
	topic text NOT NULL CHECK (topic <> '' AND topic !~ '\s' AND length(topic) <= 200),
	id bigint NOT NULL,
	type text NOT NULL CHECK (type ~ '^[a-z0-9_.]{1,100}$'),
	data text NOT NULL,
	created_at timestamptz NOT NULL,
	PRIMARY KEY (topic, id)
);
CREATE INDEX ON stream_events (created_at);
COMMENT ON TABLE stream_events IS
	'Events for streams, kept for a day so that a client that was away can catch up. Numbered in each topic in the order of commit, by microseconds.';

CREATE FUNCTION stream_publish(topic text, type text, data jsonb) RETURNS bigint
	LANGUAGE c STRICT VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stream_publish(text, text, jsonb) IS
	'Sends an event to everybody who follows the topic, when the transaction commits; data has at most 7000 bytes. Those who publish to one topic wait for each other. Returns its number in the topic.';

CREATE FUNCTION stream_replay(topics text[], after bigint[], OUT topic integer, OUT id bigint, OUT type text, OUT data text) RETURNS SETOF record
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS $$
	SELECT t.ord::integer - 1, e.id, e.type, e.data
	FROM unnest(topics, after) WITH ORDINALITY AS t(topic, after, ord)
	CROSS JOIN LATERAL (
		SELECT s.id, s.type, s.data FROM stream_events s WHERE s.topic = t.topic AND s.id > t.after ORDER BY s.id LIMIT 1000
	) e
	UNION ALL
	SELECT t.ord::integer - 1, COALESCE((SELECT max(s.id) FROM stream_events s WHERE s.topic = t.topic), 0), NULL, NULL
	FROM unnest(topics, after) WITH ORDINALITY AS t(topic, after, ord) WHERE t.after IS NULL
$$;
COMMENT ON FUNCTION stream_replay(text[], bigint[]) IS
	'For each topic the events after a number, oldest first, at most 1000; for a topic without a number its last one, with a null type.';

CREATE FUNCTION notify_stream() RETURNS stream_view
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION notify_stream() IS
	'The caller''s live events as server-sent events: those of the topic user:ID, and of vendor:ID for a vendor''s team. Last-Event-ID resumes.';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin, stream) VALUES
	('GET', '/api/notify/stream/', 'rental.notify_stream', '{user}', 200, 'read', 'notify', 'Live events', true, true);

UPDATE endpoint SET cache_seconds = 60, cache_tags = '{products,categories,vendors}' WHERE method = 'GET' AND path = '/api/catalog/products/';
UPDATE endpoint SET cache_seconds = 60, cache_tags = '{"product:{product_id}",categories,vendors}'
	WHERE method = 'GET' AND path = '/api/catalog/products/{product_id}/';
UPDATE endpoint SET cache_seconds = 60, cache_tags = '{categories}' WHERE method = 'GET' AND path = '/api/catalog/categories/';
UPDATE endpoint SET cache_seconds = 60, cache_tags = '{vendors}'
	WHERE method = 'GET' AND path IN ('/api/users/vendors/', '/api/users/vendors/{vendor_id}/');

GRANT EXECUTE ON FUNCTION request_claim(text, text), response_keep(text, integer),
	request_match(text, text, text[]), revocation_recent(integer), stream_replay(text[], bigint[]) TO rental_shim;
