-- Stock: what there is, what is promised, and the timelines that keep the two apart.

CREATE TABLE stock (
	vendor_id uuid NOT NULL,
	product_id uuid NOT NULL,
	location_id uuid NOT NULL,
	quantity integer NOT NULL DEFAULT 0 CHECK (quantity BETWEEN 0 AND 1000000000),
	PRIMARY KEY (product_id, location_id, vendor_id),
	FOREIGN KEY (product_id, vendor_id) REFERENCES products (id, vendor_id),
	FOREIGN KEY (location_id, vendor_id) REFERENCES locations (id, vendor_id)
);
COMMENT ON TABLE stock IS 'Where a product is kept, and how many counted pieces of it. Numbered units count besides.';
COMMENT ON COLUMN stock.quantity IS 'counted pieces; 0 for a serialised product';

CREATE TABLE units (
	id uuid NOT NULL DEFAULT rental.uuid7(),
	vendor_id uuid NOT NULL,
	product_id uuid NOT NULL,
	location_id uuid NOT NULL,
	code text NOT NULL CHECK (code <> '' AND length(code) <= 100),
	in_service tstzrange NOT NULL DEFAULT '(,)' CHECK (NOT isempty(in_service)),
	created_at timestamptz NOT NULL DEFAULT rental.now(),
	PRIMARY KEY (id, vendor_id),
	UNIQUE (product_id, code, vendor_id),
	FOREIGN KEY (product_id, location_id, vendor_id) REFERENCES stock (product_id, location_id, vendor_id)
);
COMMENT ON TABLE units IS 'Numbered pieces of serialised products.';
COMMENT ON COLUMN units.code IS 'serial or inventory number, unique within the product';
COMMENT ON COLUMN units.in_service IS 'from when to when the unit can be rented out';

CREATE TABLE timelines (
	product_id uuid NOT NULL,
	location_id uuid NOT NULL,
	lower timestamptz NOT NULL,
	vendor_id uuid NOT NULL,
	upper timestamptz NOT NULL,
	holds_until timestamptz NOT NULL DEFAULT 'infinity',
	free timeline NOT NULL,
	PRIMARY KEY (product_id, location_id, lower, vendor_id),
	FOREIGN KEY (product_id, location_id, vendor_id) REFERENCES stock (product_id, location_id, vendor_id) ON DELETE CASCADE
) WITH (fillfactor = 70);
COMMENT ON TABLE timelines IS
	'Derived: how many pieces are free over time. The row whose lower is -infinity holds the capacity; each other row holds capacity less what is taken in [lower, upper). A stretch without a row has nothing taken.';
COMMENT ON COLUMN timelines.holds_until IS 'no hold in this stretch expires before this time';
COMMENT ON COLUMN timelines.free IS 'negative where more is promised than there is';

CREATE VIEW stock_view AS SELECT product_id, location_id, quantity FROM stock;
COMMENT ON VIEW stock_view IS 'Counted pieces of a product at a location.';
CREATE VIEW unit_view AS SELECT id, product_id, location_id, code, lower(in_service) AS in_service_from,
	upper(in_service) AS in_service_to, created_at FROM units;
COMMENT ON VIEW unit_view IS 'A numbered unit; in_service_from and in_service_to are null where the unit is in service without limit.';
CREATE TYPE unit_page AS (count bigint, next text, previous text, results unit_view[]);

CREATE FUNCTION stock_changed() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME';
CREATE FUNCTION unit_changed() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME';
CREATE FUNCTION stock_reservation_changed() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME';
CREATE FUNCTION stock_fixed() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME';

CREATE TRIGGER stock_changed AFTER INSERT OR UPDATE ON stock FOR EACH ROW EXECUTE FUNCTION stock_changed();
CREATE TRIGGER stock_fixed BEFORE UPDATE OF vendor_id, product_id, location_id ON stock FOR EACH STATEMENT EXECUTE FUNCTION stock_fixed();
CREATE TRIGGER stock_kept BEFORE TRUNCATE ON stock FOR EACH STATEMENT EXECUTE FUNCTION stock_fixed();
CREATE TRIGGER unit_changed AFTER INSERT OR UPDATE OR DELETE ON units FOR EACH ROW EXECUTE FUNCTION unit_changed();
CREATE TRIGGER unit_kept BEFORE TRUNCATE ON units FOR EACH STATEMENT EXECUTE FUNCTION stock_fixed();
ALTER TABLE stock ENABLE ALWAYS TRIGGER stock_changed;
ALTER TABLE units ENABLE ALWAYS TRIGGER unit_changed;

CREATE FUNCTION availability(product_id uuid, period tstzrange, location_id uuid DEFAULT NULL) RETURNS integer
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION availability(uuid, tstzrange, uuid) IS
	'Pieces that are free during the whole period: at the location, or at the one that has most; null if the product is kept nowhere.';

CREATE FUNCTION availability_steps(product_id uuid, period tstzrange, location_id uuid DEFAULT NULL,
	OUT start_at timestamptz, OUT end_at timestamptz, OUT available integer) RETURNS SETOF record
	LANGUAGE c STABLE ROWS 20 SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION availability_steps(uuid, tstzrange, uuid) IS
	'Pieces free over time, in steps that cover the period: at the location, or of the best location at each time.';

CREATE TYPE availability_step AS (start_at timestamptz, end_at timestamptz, available integer);
CREATE TYPE product_availability_view AS (product_id uuid, location_id uuid, results availability_step[]);
CREATE FUNCTION product_availability(product_id uuid, "from" timestamptz, "to" timestamptz, location_id uuid DEFAULT NULL)
	RETURNS product_availability_view
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION product_availability(uuid, timestamptz, timestamptz, uuid) IS
	'Availability of a product in [from, to), in steps. Errors: not_found, invalid_period.';

CREATE FUNCTION stock_set(product_id uuid, quantity integer, location_id uuid DEFAULT NULL) RETURNS stock_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stock_set(uuid, integer, uuid) IS
	'Sets the counted pieces at a location (by default the vendor''s first). Errors: forbidden, not_found, invalid_value, conflict when pieces are promised that would be missing.';

CREATE FUNCTION unit_create(product_id uuid, code text, location_id uuid DEFAULT NULL) RETURNS unit_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION unit_create(uuid, text, uuid) IS
	'Adds a numbered unit to a serialised product. Errors: forbidden, not_found, already_exists, invalid_value.';
CREATE FUNCTION unit_list(product_id uuid, page_size integer DEFAULT 20, cursor text DEFAULT NULL, count text DEFAULT NULL) RETURNS unit_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION unit_list(uuid, integer, text, text) IS 'A product''s units, oldest first, for its vendor. Errors: forbidden, not_found.';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('GET', '/api/catalog/products/{product_id}/availability/', 'rental.product_availability', '{public}', 200, 'read', 'catalog', 'Availability over time', true),
	('PUT', '/api/catalog/products/{product_id}/stock/', 'rental.stock_set', '{vendor,admin}', 200, 'write', 'catalog', 'Set the stock', true),
	('GET', '/api/catalog/products/{product_id}/units/', 'rental.unit_list', '{vendor,admin}', 200, 'read', 'catalog', 'Units', true),
	('POST', '/api/catalog/products/{product_id}/units/', 'rental.unit_create', '{vendor,admin}', 201, 'write', 'catalog', 'Add a unit', true);
