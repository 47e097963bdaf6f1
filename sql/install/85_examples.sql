-- Examples: the smallest complete module, for a newcomer to copy (doc/adding-a-module.md).

CREATE TABLE examples (
	id uuid PRIMARY KEY DEFAULT rental.uuid7(),
	owner_id uuid NOT NULL REFERENCES users,
	name text NOT NULL CHECK (name <> '' AND length(name) <= 200),
	note text CHECK (length(note) <= 4000),
	created_at timestamptz NOT NULL DEFAULT rental.now(),
	updated_at timestamptz NOT NULL DEFAULT rental.now()
);
COMMENT ON TABLE examples IS 'Named notes, readable by everybody and changed by their owners.';

CREATE VIEW example_view AS SELECT id, owner_id, name, note, created_at, updated_at FROM examples;
COMMENT ON VIEW example_view IS 'An example as everybody sees it.';
CREATE TYPE example_page AS (count bigint, next text, previous text, results example_view[]);

CREATE FUNCTION example_list(page_size integer DEFAULT 20, cursor text DEFAULT NULL, count text DEFAULT NULL) RETURNS example_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION example_list(integer, text, text) IS 'All examples, newest first.';
CREATE FUNCTION example_get(example_id uuid) RETURNS example_view
	LANGUAGE c STRICT STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION example_get(uuid) IS 'One example. Error: not_found.';
CREATE FUNCTION example_create(name text, note text DEFAULT NULL) RETURNS example_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION example_create(text, text) IS 'Makes an example that the caller owns. Errors: unauthenticated, invalid_value.';
CREATE FUNCTION example_update(example_id uuid, name text, note text DEFAULT NULL) RETURNS example_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION example_update(uuid, text, text) IS 'Replaces an example. Errors: not_found, forbidden when somebody else owns it, invalid_value.';
CREATE FUNCTION example_delete(example_id uuid) RETURNS void
	LANGUAGE c STRICT VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION example_delete(uuid) IS 'Deletes an example. Errors: not_found, forbidden when somebody else owns it.';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('GET', '/api/examples/', 'rental.example_list', '{public}', 200, 'read', 'examples', 'Examples', true),
	('POST', '/api/examples/', 'rental.example_create', '{user}', 201, 'write', 'examples', 'Make an example', true),
	('GET', '/api/examples/{example_id}/', 'rental.example_get', '{public}', 200, 'read', 'examples', 'One example', true),
	('PUT', '/api/examples/{example_id}/', 'rental.example_update', '{user}', 200, 'write', 'examples', 'Replace an example', true),
	('DELETE', '/api/examples/{example_id}/', 'rental.example_delete', '{user}', 204, 'write', 'examples', 'Delete an example', true);
