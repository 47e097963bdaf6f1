-- Catalogue: categories, locations, products, rates, serialised units.

CREATE TABLE categories (
	id uuid PRIMARY KEY DEFAULT rental.uuid7(),
	parent_id uuid,
	name text NOT NULL CHECK (name <> '' AND length(name) <= 200),
	slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
	created_at timestamptz NOT NULL DEFAULT rental.now(),
	CHECK (parent_id <> id)
);
CREATE INDEX ON categories (parent_id);
COMMENT ON TABLE categories IS 'The tree of categories, shared by all vendors.';
COMMENT ON COLUMN categories.parent_id IS
	'null at the top. A trigger keeps it a tree; a foreign key to its own table could not be dumped without a warning';

CREATE FUNCTION category_guard() RETURNS trigger LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
CREATE CONSTRAINT TRIGGER category_guard AFTER INSERT OR UPDATE OR DELETE ON categories DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION category_guard();
ALTER TABLE categories ENABLE ALWAYS TRIGGER category_guard;

CREATE TABLE locations (
	id uuid NOT NULL DEFAULT rental.uuid7(),
	vendor_id uuid NOT NULL REFERENCES vendors,
	name text NOT NULL CHECK (name <> '' AND length(name) <= 200),
	created_at timestamptz NOT NULL DEFAULT rental.now(),
	PRIMARY KEY (id, vendor_id),
	UNIQUE (vendor_id, name)
);
COMMENT ON TABLE locations IS 'Where a vendor keeps its stock.';

CREATE TABLE products (
	id uuid NOT NULL DEFAULT rental.uuid7(),
	vendor_id uuid NOT NULL REFERENCES vendors,
	category_id uuid REFERENCES categories,
	name text NOT NULL CHECK (name <> '' AND length(name) <= 200),
	description text NOT NULL DEFAULT '' CHECK (length(description) <= 20000),
	kind text NOT NULL DEFAULT 'rental' CHECK (kind IN ('rental', 'sale')),
	tracking text NOT NULL DEFAULT 'bulk' CHECK (tracking IN ('bulk', 'serialised', 'kit')),
	assignment text NOT NULL DEFAULT 'dispatch' CHECK (assignment IN ('order', 'dispatch')),
	replacement_value numeric CHECK (replacement_value >= 0),
	buffer_before interval NOT NULL DEFAULT '0' CHECK (buffer_before >= '0'),
	buffer_after interval NOT NULL DEFAULT '0' CHECK (buffer_after >= '0'),
	shortage_limit integer NOT NULL DEFAULT 0 CHECK (shortage_limit >= 0),
	is_active boolean NOT NULL DEFAULT true,
	is_stocked boolean NOT NULL DEFAULT false,
	created_at timestamptz NOT NULL DEFAULT rental.now(),
	PRIMARY KEY (id, vendor_id)
) WITH (fillfactor = 90);
CREATE INDEX products_listed ON products (id) WHERE is_active AND is_stocked AND tracking <> 'kit';
CREATE INDEX products_kits ON products (id) WHERE is_active AND tracking = 'kit';
CREATE INDEX products_archived ON products (id) WHERE NOT is_active;
CREATE INDEX ON products (vendor_id, id);
CREATE INDEX ON products (category_id, id);
COMMENT ON TABLE products IS 'What is rented out.';
COMMENT ON COLUMN products.kind IS 'rental: comes back; sale: a consumable, gone from the stock for good';
COMMENT ON COLUMN products.tracking IS 'bulk: counted pieces; serialised: numbered units, of which each counts once; kit: made of components';
COMMENT ON COLUMN products.assignment IS 'when a serialised product''s units are chosen: with the order, or when it goes out';
COMMENT ON COLUMN products.replacement_value IS 'what a lost piece costs, in the vendor''s currency';
COMMENT ON COLUMN products.buffer_before IS 'time the stock is blocked before each rental (preparation)';
COMMENT ON COLUMN products.buffer_after IS 'time the stock is blocked after each rental (turnaround)';
COMMENT ON COLUMN products.shortage_limit IS 'pieces that may be promised beyond the stock';
COMMENT ON COLUMN products.is_stocked IS 'derived: some location keeps it';
COMMENT ON COLUMN products.is_active IS 'false: archived, not for rent and not shown';

CREATE TYPE price_tier AS (length integer, unit text, amount numeric);
COMMENT ON TYPE price_tier IS 'What one piece costs for a length of time: so many of a unit (hour, day, week of 7 days, month of 30 days), in the vendor''s currency.';

CREATE TABLE product_rates (
	vendor_id uuid NOT NULL,
	product_id uuid NOT NULL,
	days integer NOT NULL DEFAULT 1 CHECK (days BETWEEN 1 AND 3660),
	amount numeric NOT NULL CHECK (amount >= 0),
	extra_day numeric NOT NULL CHECK (extra_day >= 0),
	strategy text NOT NULL DEFAULT 'tiered' CHECK (strategy IN ('optimal', 'tiered', 'multiplier', 'fixed')),
	unit text NOT NULL DEFAULT 'day' CHECK (unit IN ('hour', 'day')),
	counting text NOT NULL DEFAULT 'clock' CHECK (counting IN ('clock', 'calendar')),
	leeway interval NOT NULL DEFAULT '0' CHECK (leeway >= '0' AND leeway < '24 hours'),
	weekend_as_day boolean NOT NULL DEFAULT false,
	tiers price_tier[] NOT NULL DEFAULT '{}',
	factors numeric[] NOT NULL DEFAULT '{}',
	extra_percent numeric NOT NULL DEFAULT 0 CHECK (extra_percent BETWEEN 0 AND 1000),
	minimum numeric NOT NULL DEFAULT 0 CHECK (minimum >= 0),
	shortest interval,
	longest interval,
	deposit numeric NOT NULL DEFAULT 0 CHECK (deposit >= 0),
	waiver_exempt boolean NOT NULL DEFAULT false,
	PRIMARY KEY (product_id, vendor_id),
	FOREIGN KEY (product_id, vendor_id) REFERENCES products (id, vendor_id)
);
COMMENT ON TABLE product_rates IS 'The price of a product: what a period is charged for one piece, in the vendor''s currency.';
COMMENT ON COLUMN product_rates.strategy IS
	'optimal: the cheapest mix of tiers that covers the time; tiered: the shortest tier that covers it, or the longest and extra_day for each further unit; multiplier: the first tier''s amount for each unit, times its factor; fixed: the first tier, and extra_percent of it for each further unit';
COMMENT ON COLUMN product_rates.unit IS 'the unit of charge; a unit begun is charged';
COMMENT ON COLUMN product_rates.counting IS 'days of 24 hours from the start on the vendor''s clock, or calendar days touched';
COMMENT ON COLUMN product_rates.leeway IS 'how much longer a unit may last before another one is charged';
COMMENT ON COLUMN product_rates.weekend_as_day IS 'a Saturday and the Sunday after it are charged as one day';
COMMENT ON COLUMN product_rates.tiers IS 'by ascending length; empty: one tier of amount for days';
COMMENT ON COLUMN product_rates.factors IS 'of the first unit, the second, and so on; the last one goes on';
COMMENT ON COLUMN product_rates.extra_percent IS 'percent of the first tier';
COMMENT ON COLUMN product_rates.minimum IS 'one piece is never cheaper';
COMMENT ON COLUMN product_rates.shortest IS 'rentals may not be shorter';
COMMENT ON COLUMN product_rates.longest IS 'rentals may not be longer';
COMMENT ON COLUMN product_rates.deposit IS 'for each piece, where the vendor takes fixed deposits';
COMMENT ON COLUMN product_rates.waiver_exempt IS 'no damage waiver is sold for it';
COMMENT ON COLUMN product_rates.days IS 'days that the shortest tier covers';
COMMENT ON COLUMN product_rates.amount IS 'of the shortest tier, for one piece';
COMMENT ON COLUMN product_rates.extra_day IS 'tiered: for each unit begun beyond the longest tier, for one piece';

CREATE TABLE product_components (
	vendor_id uuid NOT NULL,
	product_id uuid NOT NULL,
	component_id uuid NOT NULL,
	quantity integer NOT NULL CHECK (quantity BETWEEN 1 AND 10000),
	PRIMARY KEY (product_id, component_id, vendor_id),
	FOREIGN KEY (product_id, vendor_id) REFERENCES products (id, vendor_id),
	FOREIGN KEY (component_id, vendor_id) REFERENCES products (id, vendor_id),
	CHECK (product_id <> component_id)
);
COMMENT ON TABLE product_components IS 'What a kit is made of; a component is no kit itself.';

CREATE TYPE rate_view AS (days integer, amount numeric, extra_day numeric);
COMMENT ON TYPE rate_view IS 'A price: amount for the first days, extra_day for each further day begun.';

CREATE VIEW category_view AS SELECT id, parent_id, name, slug, created_at FROM categories;
COMMENT ON VIEW category_view IS 'A category; parent_id is null at the top of the tree.';
CREATE TYPE category_page AS (count bigint, next text, previous text, results category_view[]);

CREATE VIEW location_view AS SELECT id, vendor_id, name, created_at FROM locations;
COMMENT ON VIEW location_view IS 'A place where a vendor keeps stock.';
CREATE TYPE location_page AS (count bigint, next text, previous text, results location_view[]);

CREATE VIEW product_view AS
SELECT p.id, p.vendor_id, v.name AS vendor_name, p.category_id, c.name AS category_name, p.name, p.description,
	p.kind, p.tracking, v.currency, CASE WHEN r.product_id IS NOT NULL THEN ROW(r.days, r.amount, r.extra_day)::rate_view END AS rate,
	p.replacement_value, p.is_active, p.created_at
FROM products p
JOIN vendors v ON v.id = p.vendor_id
LEFT JOIN categories c ON c.id = p.category_id
LEFT JOIN product_rates r ON r.product_id = p.id AND r.vendor_id = p.vendor_id;
COMMENT ON VIEW product_view IS 'A product as everybody sees it; amounts are in currency. A product without a rate is not for rent yet.';
CREATE TYPE product_page AS (count bigint, next text, previous text, results product_view[]);

CREATE FUNCTION category_list(page_size integer DEFAULT 100, cursor text DEFAULT NULL, count text DEFAULT NULL) RETURNS category_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION category_list(integer, text, text) IS 'All categories, oldest first.';
CREATE FUNCTION category_create(name text, parent_id uuid DEFAULT NULL, slug text DEFAULT NULL) RETURNS category_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION category_create(text, uuid, text) IS 'Makes a category; the slug comes from the name if it is not given. Errors: forbidden, already_exists, not_found (parent).';

CREATE FUNCTION location_list(vendor_id uuid, page_size integer DEFAULT 20, cursor text DEFAULT NULL, count text DEFAULT NULL) RETURNS location_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION location_list(uuid, integer, text, text) IS 'A vendor''s locations, oldest first.';

CREATE FUNCTION product_list(vendor uuid DEFAULT NULL, category uuid DEFAULT NULL, search text DEFAULT NULL,
	available_from timestamptz DEFAULT NULL, available_to timestamptz DEFAULT NULL, quantity integer DEFAULT 1,
	page_size integer DEFAULT 20, cursor text DEFAULT NULL, count text DEFAULT NULL) RETURNS product_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION product_list(uuid, uuid, text, timestamptz, timestamptz, integer, integer, text, text) IS
	'Active products, oldest first; search finds text in the name without regard to case. With available_from and available_to only those of which some location has quantity pieces free all that time. Errors: invalid_period, invalid_value.';
-- reads without SQL, so it needs no rights but those of its own
CREATE FUNCTION product_get(product_id uuid) RETURNS product_view
	LANGUAGE c STRICT STABLE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION product_get(uuid) IS 'One product; an archived one is shown to its vendor only. Error: not_found.';
CREATE FUNCTION product_create(name text, description text DEFAULT '', category_id uuid DEFAULT NULL, vendor_id uuid DEFAULT NULL,
	tracking text DEFAULT 'bulk', replacement_value numeric DEFAULT NULL, day_rate numeric DEFAULT NULL, kind text DEFAULT 'rental',
	buffer_before interval DEFAULT NULL, buffer_after interval DEFAULT NULL, shortage_limit integer DEFAULT 0, assignment text DEFAULT 'dispatch')
	RETURNS product_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION product_create(text, text, uuid, uuid, text, numeric, numeric, text, interval, interval, integer, text) IS
	'Makes a product of the caller''s vendor; day_rate is the price of one piece for each day begun, or of one piece for sale; buffers are the vendor''s if they are not given. Errors: forbidden, invalid_value, not_found (category).';

CREATE VIEW component_view AS
SELECT c.product_id, c.component_id, p.name AS component_name, c.quantity
FROM product_components c JOIN products p ON p.id = c.component_id AND p.vendor_id = c.vendor_id;
COMMENT ON VIEW component_view IS 'A part of a kit, and how many of it each kit has.';
CREATE TYPE component_page AS (count bigint, next text, previous text, results component_view[]);
CREATE FUNCTION component_list(product_id uuid, page_size integer DEFAULT 20, cursor text DEFAULT NULL, count text DEFAULT NULL) RETURNS component_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION component_list(uuid, integer, text, text) IS 'What a kit is made of. Error: not_found.';
CREATE FUNCTION component_put(product_id uuid, component_id uuid, quantity integer DEFAULT 1) RETURNS component_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION component_put(uuid, uuid, integer) IS
	'Makes a product part of a kit, or changes how many of it each kit has. Orders placed before keep what they took. Errors: forbidden, not_found, invalid_value.';
CREATE FUNCTION component_remove(product_id uuid, component_id uuid) RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION component_remove(uuid, uuid) IS 'Takes a product out of a kit. Errors: forbidden, not_found.';

CREATE FUNCTION product_update(product_id uuid, name text DEFAULT NULL, description text DEFAULT NULL, category_id uuid DEFAULT NULL,
	replacement_value numeric DEFAULT NULL, buffer_before interval DEFAULT NULL, buffer_after interval DEFAULT NULL, shortage_limit integer DEFAULT NULL,
	assignment text DEFAULT NULL, is_active boolean DEFAULT NULL) RETURNS product_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION product_update(uuid, text, text, uuid, numeric, interval, interval, integer, text, boolean) IS
	'Changes what is given. Orders that are placed keep what they were placed with. Errors: forbidden, not_found, invalid_value.';
CREATE FUNCTION product_archive(product_id uuid) RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION product_archive(uuid) IS 'Takes a product out of the catalogue; its orders go on. product_update brings it back. Errors: forbidden, not_found.';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('GET', '/api/catalog/categories/', 'rental.category_list', '{public}', 200, 'read', 'catalog', 'Categories', true),
	('POST', '/api/catalog/categories/', 'rental.category_create', '{admin}', 201, 'write', 'catalog', 'Make a category', true),
	('GET', '/api/users/vendors/{vendor_id}/locations/', 'rental.location_list', '{public}', 200, 'read', 'users', 'A vendor''s locations', true),
	('GET', '/api/catalog/products/', 'rental.product_list', '{public}', 200, 'read', 'catalog', 'Products', true),
	('POST', '/api/catalog/products/', 'rental.product_create', '{vendor,admin}', 201, 'write', 'catalog', 'Make a product', true),
	('GET', '/api/catalog/products/{product_id}/', 'rental.product_get', '{public}', 200, 'read', 'catalog', 'One product', true),
	('PATCH', '/api/catalog/products/{product_id}/', 'rental.product_update', '{vendor,admin}', 200, 'write', 'catalog', 'Change a product', true),
	('DELETE', '/api/catalog/products/{product_id}/', 'rental.product_archive', '{vendor,admin}', 204, 'write', 'catalog', 'Archive a product', true),
	('GET', '/api/catalog/products/{product_id}/components/', 'rental.component_list', '{public}', 200, 'read', 'catalog', 'What a kit is made of', true),
	('POST', '/api/catalog/products/{product_id}/components/', 'rental.component_put', '{vendor,admin}', 201, 'write', 'catalog', 'Add to a kit', true),
	('DELETE', '/api/catalog/products/{product_id}/components/{component_id}/', 'rental.component_remove', '{vendor,admin}', 204, 'write', 'catalog', 'Take out of a kit', true);
