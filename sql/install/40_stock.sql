-- Stock: what there is, what is promised, and the timelines that keep the two apart.

CREATE TYPE stock_change AS (at timestamptz, quantity integer);
COMMENT ON TYPE stock_change IS 'From a time on there are so many pieces more, or fewer.';
CREATE TYPE unit_move AS (at timestamptz, location_id uuid);
COMMENT ON TYPE unit_move IS 'From a time on the unit is at another location.';

CREATE TABLE stock (
	vendor_id uuid NOT NULL,
	product_id uuid NOT NULL,
	location_id uuid NOT NULL,
	quantity integer NOT NULL DEFAULT 0 CHECK (quantity BETWEEN 0 AND 1000000000),
	changes stock_change[] NOT NULL DEFAULT '{}',
	accepted timeline,
	accepted_at timestamptz,
	PRIMARY KEY (product_id, location_id, vendor_id),
	FOREIGN KEY (product_id, vendor_id) REFERENCES products (id, vendor_id),
	FOREIGN KEY (location_id, vendor_id) REFERENCES locations (id, vendor_id)
);
COMMENT ON TABLE stock IS 'Where a product is kept, and how many counted pieces of it. Numbered units count besides.';
COMMENT ON COLUMN stock.quantity IS 'counted pieces; 0 for a serialised product';
COMMENT ON COLUMN stock.changes IS 'pieces that come or go at a date: bought, sold, moved to another location';
COMMENT ON COLUMN stock.accepted IS 'how far below zero free stock was taken by force, over time; null: nowhere';
COMMENT ON COLUMN stock.accepted_at IS 'when; what was reserved until then may stay, what comes later may not add to it';

CREATE TABLE units (
	id uuid NOT NULL DEFAULT rental.uuid7(),
	vendor_id uuid NOT NULL,
	product_id uuid NOT NULL,
	location_id uuid NOT NULL,
	code text NOT NULL CHECK (code <> '' AND length(code) <= 100),
	in_service tstzrange NOT NULL DEFAULT '(,)' CHECK (NOT isempty(in_service)),
	moves unit_move[] NOT NULL DEFAULT '{}',
	created_at timestamptz NOT NULL DEFAULT rental.now(),
	PRIMARY KEY (id, vendor_id),
	UNIQUE (product_id, code, vendor_id),
	FOREIGN KEY (product_id, location_id, vendor_id) REFERENCES stock (product_id, location_id, vendor_id)
);
COMMENT ON TABLE units IS 'Numbered pieces of serialised products.';
COMMENT ON COLUMN units.code IS 'serial or inventory number, unique within the product';
COMMENT ON COLUMN units.location_id IS 'where it is, before its first move';
COMMENT ON COLUMN units.in_service IS 'from when to when the unit can be rented out';
COMMENT ON COLUMN units.moves IS 'to which other locations it goes, and when, in order of time';

CREATE TABLE blackouts (
	id uuid NOT NULL DEFAULT rental.uuid7(),
	vendor_id uuid NOT NULL,
	product_id uuid,
	location_id uuid,
	unit_id uuid,
	quantity integer CHECK (quantity >= 1),
	period tstzrange NOT NULL CHECK (NOT isempty(period)),
	reason text CHECK (length(reason) <= 1000),
	created_at timestamptz NOT NULL DEFAULT rental.now(),
	PRIMARY KEY (id, vendor_id),
	FOREIGN KEY (product_id, vendor_id) REFERENCES products (id, vendor_id),
	FOREIGN KEY (location_id, vendor_id) REFERENCES locations (id, vendor_id),
	FOREIGN KEY (unit_id, vendor_id) REFERENCES units (id, vendor_id),
	CHECK (product_id IS NOT NULL OR location_id IS NOT NULL),
	CHECK (unit_id IS NULL OR (product_id IS NOT NULL AND location_id IS NULL AND quantity = 1)),
	CHECK (quantity IS NULL OR product_id IS NOT NULL),
	CONSTRAINT blackouts_unit_overlap EXCLUDE USING gist (unit_id WITH =, period WITH &&, vendor_id WITH =) WHERE (unit_id IS NOT NULL)
);
CREATE INDEX ON blackouts (product_id);
CREATE INDEX ON blackouts (location_id) WHERE product_id IS NULL;
COMMENT ON TABLE blackouts IS 'Stock that cannot be rented out for a time: under repair, or closed.';
COMMENT ON COLUMN blackouts.product_id IS 'null: every product of the location';
COMMENT ON COLUMN blackouts.location_id IS 'null: wherever the product is kept';
COMMENT ON COLUMN blackouts.unit_id IS 'the unit that is under repair, or null';
COMMENT ON COLUMN blackouts.quantity IS 'pieces; null: all of them, however many there are';

CREATE TABLE timelines (
	product_id uuid NOT NULL,
	location_id uuid NOT NULL,
	lower timestamptz NOT NULL,
	vendor_id uuid NOT NULL,
	upper timestamptz NOT NULL,
	holds_until timestamptz NOT NULL DEFAULT 'infinity',
	level smallint NOT NULL,
	free timeline NOT NULL,
	PRIMARY KEY (product_id, location_id, lower, vendor_id),
	FOREIGN KEY (product_id, location_id, vendor_id) REFERENCES stock (product_id, location_id, vendor_id) ON DELETE CASCADE
) WITH (fillfactor = 70);
CREATE INDEX timelines_tight ON timelines (level, lower) WHERE level <= 3;
COMMENT ON TABLE timelines IS
	'Derived: how many pieces are free over time. The row whose lower is -infinity holds the capacity; each other row holds capacity less what is taken in [lower, upper). A stretch without a row has nothing taken.';
COMMENT ON COLUMN timelines.holds_until IS 'no hold in this stretch expires before this time';
COMMENT ON COLUMN timelines.level IS
	'how little is free at least: -1 below zero, 0 nothing, 1 one, 2 two or three, 3 four to seven, 4 more; coarse, so that it seldom changes';
COMMENT ON COLUMN timelines.free IS 'negative where more is promised than there is';

CREATE VIEW stock_view AS SELECT product_id, location_id, quantity FROM stock;
COMMENT ON VIEW stock_view IS 'Counted pieces of a product at a location.';
CREATE VIEW unit_view AS SELECT id, product_id, location_id, code, lower(in_service) AS in_service_from,
	upper(in_service) AS in_service_to, created_at FROM units;
COMMENT ON VIEW unit_view IS 'A numbered unit; in_service_from and in_service_to are null where the unit is in service without limit.';
CREATE TYPE unit_page AS (count bigint, next text, previous text, results unit_view[]);

CREATE VIEW unit_place AS
SELECT u.vendor_id, u.id AS unit_id, u.product_id, p.location_id, u.in_service * p.period AS period
FROM units u, LATERAL (
	SELECT m.location_id, tstzrange(m.at, lead(m.at) OVER (ORDER BY m.at NULLS FIRST)) AS period
	FROM (SELECT NULL::timestamptz AS at, u.location_id UNION ALL SELECT c.at, c.location_id FROM unnest(u.moves) AS c) m
) p
WHERE NOT isempty(u.in_service * p.period);
COMMENT ON VIEW unit_place IS 'Where each unit is, and when it is in service there.';

CREATE FUNCTION stock_changed() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME';
CREATE FUNCTION unit_changed() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME';
CREATE FUNCTION blackout_changed() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME';
CREATE FUNCTION stock_reservation_changed() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME';
CREATE FUNCTION stock_fixed() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME';

-- each for its statement, so that many rows of one product cost one look at its capacity
CREATE TRIGGER stock_inserted AFTER INSERT ON stock REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION stock_changed();
CREATE TRIGGER stock_updated AFTER UPDATE ON stock REFERENCING OLD TABLE AS was NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION stock_changed();
CREATE TRIGGER unit_inserted AFTER INSERT ON units REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION unit_changed();
CREATE TRIGGER unit_updated AFTER UPDATE ON units REFERENCING OLD TABLE AS was NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION unit_changed();
CREATE TRIGGER unit_deleted AFTER DELETE ON units REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION unit_changed();
CREATE TRIGGER blackout_inserted AFTER INSERT ON blackouts REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION blackout_changed();
CREATE TRIGGER blackout_updated AFTER UPDATE ON blackouts REFERENCING OLD TABLE AS was NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION blackout_changed();
CREATE TRIGGER blackout_deleted AFTER DELETE ON blackouts REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION blackout_changed();
ALTER TABLE stock ENABLE ALWAYS TRIGGER stock_inserted;
ALTER TABLE stock ENABLE ALWAYS TRIGGER stock_updated;
ALTER TABLE units ENABLE ALWAYS TRIGGER unit_inserted;
ALTER TABLE units ENABLE ALWAYS TRIGGER unit_updated;
ALTER TABLE units ENABLE ALWAYS TRIGGER unit_deleted;
ALTER TABLE blackouts ENABLE ALWAYS TRIGGER blackout_inserted;
ALTER TABLE blackouts ENABLE ALWAYS TRIGGER blackout_updated;
ALTER TABLE blackouts ENABLE ALWAYS TRIGGER blackout_deleted;
CREATE TRIGGER stock_fixed BEFORE UPDATE OF vendor_id, product_id, location_id ON stock FOR EACH STATEMENT EXECUTE FUNCTION stock_fixed();
CREATE TRIGGER stock_kept BEFORE TRUNCATE ON stock FOR EACH STATEMENT EXECUTE FUNCTION stock_fixed();
CREATE TRIGGER unit_kept BEFORE TRUNCATE ON units FOR EACH STATEMENT EXECUTE FUNCTION stock_fixed();
CREATE TRIGGER blackout_kept BEFORE TRUNCATE ON blackouts FOR EACH STATEMENT EXECUTE FUNCTION stock_fixed();

CREATE FUNCTION availability(product_id uuid, period tstzrange, location_id uuid DEFAULT NULL) RETURNS integer
	LANGUAGE c STABLE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION availability(uuid, tstzrange, uuid) IS
	'Pieces that are free during the whole period: at the location, or at the one that has most; null if the product is kept nowhere.';

CREATE FUNCTION availability_steps(product_id uuid, period tstzrange, location_id uuid DEFAULT NULL,
	OUT start_at timestamptz, OUT end_at timestamptz, OUT available integer) RETURNS SETOF record
	LANGUAGE c STABLE ROWS 20 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION availability_steps(uuid, tstzrange, uuid) IS
	'Pieces free over time, in steps that cover the period: at the location, or of the best location at each time.';

CREATE TYPE availability_step AS (start_at timestamptz, end_at timestamptz, available integer);
CREATE TYPE product_availability_view AS (product_id uuid, location_id uuid, results availability_step[]);
CREATE FUNCTION product_availability(product_id uuid, "from" timestamptz, "to" timestamptz, location_id uuid DEFAULT NULL)
	RETURNS product_availability_view
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION product_availability(uuid, timestamptz, timestamptz, uuid) IS
	'Availability of a product in [from, to), in steps. Errors: not_found, invalid_period.';

CREATE FUNCTION unavailable_products(period tstzrange, quantity integer DEFAULT 1) RETURNS SETOF uuid
	LANGUAGE c STRICT STABLE ROWS 1000 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION unavailable_products(tstzrange, integer) IS
	'The products, kits aside, of which no location has so many pieces free during the whole period. Reads only rows where little is free.';

CREATE FUNCTION uuid_among(id uuid, sorted uuid[]) RETURNS boolean
	LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION uuid_among(uuid, uuid[]) IS 'Whether a list, which must be in ascending order, has the id.';

CREATE FUNCTION available_products(period tstzrange, quantity integer DEFAULT 1, vendor uuid DEFAULT NULL, category uuid DEFAULT NULL)
	RETURNS SETOF uuid
	LANGUAGE sql STABLE ROWS 10000 SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS $$
	SELECT p.id FROM products p
	WHERE p.is_active AND p.is_stocked AND p.tracking <> 'kit'
		AND (vendor IS NULL OR p.vendor_id = vendor) AND (category IS NULL OR p.category_id = category)
		AND NOT EXISTS (SELECT FROM unavailable_products(period, quantity) u WHERE u = p.id)
	UNION ALL
	SELECT p.id FROM products p
	WHERE p.is_active AND p.tracking = 'kit' AND (vendor IS NULL OR p.vendor_id = vendor) AND (category IS NULL OR p.category_id = category)
		AND availability(p.id, period) >= quantity
$$;
COMMENT ON FUNCTION available_products(tstzrange, integer, uuid, uuid) IS
	'The active products of which some location has so many pieces free during the whole period; of one vendor or category, or of all.';

CREATE FUNCTION next_available(product_id uuid, quantity integer, length interval, after timestamptz DEFAULT NULL, location_id uuid DEFAULT NULL)
	RETURNS timestamptz
	LANGUAGE c STABLE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION next_available(uuid, integer, interval, timestamptz, uuid) IS
	'The first time, from after (or now) on, from which one location has so many pieces free for the whole length; null if there is none within five years.';

CREATE FUNCTION availability_calendar(product_id uuid, first_day date, days integer DEFAULT 31, location_id uuid DEFAULT NULL,
	OUT day date, OUT start_at timestamptz, OUT end_at timestamptz, OUT available integer) RETURNS SETOF record
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS $$
	SELECT d.day, d.start_at, d.end_at, availability(p.id, tstzrange(d.start_at, d.end_at), location_id)
	FROM products p JOIN vendors v ON v.id = p.vendor_id, generate_series(0, LEAST(days, 1830) - 1) n,
		LATERAL (SELECT first_day + n AS day, (first_day + n)::timestamp AT TIME ZONE v.time_zone AS start_at,
			(first_day + n + 1)::timestamp AT TIME ZONE v.time_zone AS end_at) d
	WHERE p.id = product_id ORDER BY n
$$;
COMMENT ON FUNCTION availability_calendar(uuid, date, integer, uuid) IS
	'Pieces free during each whole day of the vendor''s clock, of 23 to 25 hours: at the location, or at the one that has most that day.';

CREATE FUNCTION stock_set(product_id uuid, quantity integer, location_id uuid DEFAULT NULL, force boolean DEFAULT false) RETURNS stock_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stock_set(uuid, integer, uuid, boolean) IS
	'Sets the counted pieces at a location (by default the vendor''s first). With force what is promised beyond them becomes a shortage. Errors: forbidden, not_found, invalid_value, conflict when pieces are promised that would be missing.';

CREATE FUNCTION unit_create(product_id uuid, code text, location_id uuid DEFAULT NULL) RETURNS unit_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION unit_create(uuid, text, uuid) IS
	'Adds a numbered unit to a serialised product. Errors: forbidden, not_found, already_exists, invalid_value.';
CREATE FUNCTION stock_move(product_id uuid, quantity integer, at timestamptz DEFAULT NULL, from_location uuid DEFAULT NULL,
	to_location uuid DEFAULT NULL, force boolean DEFAULT false) RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stock_move(uuid, integer, timestamptz, uuid, uuid, boolean) IS
	'From a time on (or now) so many counted pieces are at another location; without from_location they are bought, without to_location sold. Errors: forbidden, not_found, missing_field, conflict when they are promised, unless force.';
CREATE FUNCTION unit_retire(unit_id uuid, at timestamptz DEFAULT NULL, force boolean DEFAULT false) RETURNS unit_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION unit_retire(uuid, timestamptz, boolean) IS
	'The unit is in service no more from a time (or now) on. Errors: forbidden, not_found, conflict when it is promised, unless force, or assigned.';
CREATE FUNCTION unit_move(unit_id uuid, location_id uuid, at timestamptz DEFAULT NULL, force boolean DEFAULT false) RETURNS unit_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION unit_move(uuid, uuid, timestamptz, boolean) IS
	'The unit is at another location from a time (or now) on. Errors: forbidden, not_found, conflict when it is promised, unless force, or assigned.';

CREATE VIEW blackout_view AS
SELECT id, vendor_id, product_id, location_id, unit_id, quantity, lower(period) AS start_at, upper(period) AS end_at, reason, created_at
FROM blackouts;
COMMENT ON VIEW blackout_view IS 'Stock that cannot be rented out for a time; quantity is null where all of it is meant.';
CREATE TYPE blackout_page AS (count bigint, next text, previous text, results blackout_view[]);
CREATE FUNCTION blackout_create(product_id uuid, start_at timestamptz, end_at timestamptz, quantity integer DEFAULT NULL,
	location_id uuid DEFAULT NULL, unit_id uuid DEFAULT NULL, reason text DEFAULT NULL, force boolean DEFAULT false) RETURNS blackout_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION blackout_create(uuid, timestamptz, timestamptz, integer, uuid, uuid, text, boolean) IS
	'Takes pieces, or all, or one unit of a product out of what can be rented for a time: repair, maintenance, closure. Errors: forbidden, not_found, invalid_value, conflict when they are promised, unless force.';
CREATE FUNCTION blackout_delete(blackout_id uuid) RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION blackout_delete(uuid) IS 'Ends a blackout. Errors: forbidden, not_found.';
CREATE FUNCTION blackout_list(product_id uuid, page_size integer DEFAULT 20, cursor text DEFAULT NULL, count text DEFAULT NULL) RETURNS blackout_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION blackout_list(uuid, integer, text, text) IS 'A product''s blackouts, oldest first, for its vendor. Errors: forbidden, not_found.';
CREATE FUNCTION unit_list(product_id uuid, page_size integer DEFAULT 20, cursor text DEFAULT NULL, count text DEFAULT NULL) RETURNS unit_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION unit_list(uuid, integer, text, text) IS 'A product''s units, oldest first, for its vendor. Errors: forbidden, not_found.';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('GET', '/api/catalog/products/{product_id}/availability/', 'rental.product_availability', '{public}', 200, 'read', 'catalog', 'Availability over time', true),
	('PUT', '/api/catalog/products/{product_id}/stock/', 'rental.stock_set', '{vendor,admin}', 200, 'write', 'catalog', 'Set the stock', true),
	('POST', '/api/catalog/products/{product_id}/stock/moves/', 'rental.stock_move', '{vendor,admin}', 204, 'write', 'catalog', 'Buy, sell or move pieces', true),
	('GET', '/api/catalog/products/{product_id}/blackouts/', 'rental.blackout_list', '{vendor,admin}', 200, 'read', 'catalog', 'Blackouts', true),
	('POST', '/api/catalog/products/{product_id}/blackouts/', 'rental.blackout_create', '{vendor,admin}', 201, 'write', 'catalog', 'Black out', true),
	('DELETE', '/api/catalog/blackouts/{blackout_id}/', 'rental.blackout_delete', '{vendor,admin}', 204, 'write', 'catalog', 'End a blackout', true),
	('POST', '/api/catalog/units/{unit_id}/retire/', 'rental.unit_retire', '{vendor,admin}', 200, 'write', 'catalog', 'Retire a unit', true),
	('POST', '/api/catalog/units/{unit_id}/move/', 'rental.unit_move', '{vendor,admin}', 200, 'write', 'catalog', 'Move a unit', true),
	('GET', '/api/catalog/products/{product_id}/calendar/', 'rental.availability_calendar', '{public}', 200, 'read', 'catalog', 'Availability by day', true),
	('GET', '/api/catalog/products/{product_id}/units/', 'rental.unit_list', '{vendor,admin}', 200, 'read', 'catalog', 'Units', true),
	('POST', '/api/catalog/products/{product_id}/units/', 'rental.unit_create', '{vendor,admin}', 201, 'write', 'catalog', 'Add a unit', true);
