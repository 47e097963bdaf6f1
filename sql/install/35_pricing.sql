-- Pricing: what a rental costs, and why.

CREATE TABLE price_rules (
	vendor_id uuid NOT NULL REFERENCES vendors,
	id uuid NOT NULL DEFAULT rental.uuid7(),
	name text NOT NULL CHECK (name <> '' AND length(name) <= 200),
	kind text NOT NULL CHECK (kind IN ('season', 'quantity')),
	product_id uuid,
	category_id uuid REFERENCES categories,
	priority integer NOT NULL DEFAULT 0,
	from_date date,
	to_date date,
	weekdays integer[] CHECK (weekdays <@ ARRAY[1, 2, 3, 4, 5, 6, 7] AND weekdays <> '{}'),
	min_quantity integer CHECK (min_quantity >= 1),
	max_quantity integer CHECK (max_quantity >= min_quantity),
	percent numeric CHECK (percent BETWEEN -100 AND 1000),
	amount numeric CHECK (amount >= 0),
	created_at timestamptz NOT NULL DEFAULT rental.now(),
	PRIMARY KEY (id, vendor_id),
	FOREIGN KEY (product_id, vendor_id) REFERENCES products (id, vendor_id),
	CHECK ((percent IS NULL) <> (amount IS NULL) AND (kind = 'season' OR amount IS NULL)),
	CHECK (to_date >= from_date),
	CHECK (kind = 'season' OR (from_date IS NULL AND to_date IS NULL AND weekdays IS NULL)),
	CHECK ((kind = 'quantity') = (min_quantity IS NOT NULL))
);
CREATE INDEX ON price_rules (vendor_id);
COMMENT ON TABLE price_rules IS
	'What changes a price: seasons and weekdays by local date, steps of quantity. For each date, and for a quantity, the rule of the highest priority counts, of several the newest.';
COMMENT ON COLUMN price_rules.product_id IS 'null: every product of the vendor, or of the category';
COMMENT ON COLUMN price_rules.from_date IS 'first local date; null: since ever';
COMMENT ON COLUMN price_rules.to_date IS 'last local date; null: for ever';
COMMENT ON COLUMN price_rules.weekdays IS 'ISO: 1 Monday to 7 Sunday; null: all';
COMMENT ON COLUMN price_rules.max_quantity IS 'null: from min_quantity on';
COMMENT ON COLUMN price_rules.percent IS 'to add, negative to take off';
COMMENT ON COLUMN price_rules.amount IS 'instead of a percentage, for each unit of charge of one piece';

CREATE TABLE customer_groups (
	vendor_id uuid NOT NULL REFERENCES vendors,
	id uuid NOT NULL DEFAULT rental.uuid7(),
	name text NOT NULL CHECK (name <> '' AND length(name) <= 200),
	percent numeric NOT NULL CHECK (percent BETWEEN 0 AND 100),
	PRIMARY KEY (id, vendor_id)
);
CREATE INDEX ON customer_groups (vendor_id);
COMMENT ON TABLE customer_groups IS 'Groups of a vendor''s customers who get so many percent off every line.';
CREATE TABLE customer_group_members (
	vendor_id uuid NOT NULL,
	group_id uuid NOT NULL,
	user_id uuid NOT NULL REFERENCES users,
	PRIMARY KEY (user_id, vendor_id),
	FOREIGN KEY (group_id, vendor_id) REFERENCES customer_groups (id, vendor_id) ON DELETE CASCADE
);
CREATE INDEX ON customer_group_members (group_id);
COMMENT ON TABLE customer_group_members IS 'Which group a customer is in; one a vendor.';

CREATE TABLE tax_rates (
	vendor_id uuid NOT NULL REFERENCES vendors,
	id uuid NOT NULL DEFAULT rental.uuid7(),
	name text NOT NULL CHECK (name <> '' AND length(name) <= 100),
	percent numeric NOT NULL CHECK (percent BETWEEN 0 AND 100),
	is_inclusive boolean NOT NULL DEFAULT false,
	is_default boolean NOT NULL DEFAULT true,
	PRIMARY KEY (id, vendor_id)
);
CREATE INDEX ON tax_rates (vendor_id);
COMMENT ON TABLE tax_rates IS 'Taxes of a vendor.';
COMMENT ON COLUMN tax_rates.is_inclusive IS 'prices hold it already; else it is added';
COMMENT ON COLUMN tax_rates.is_default IS 'of every product that has no taxes of its own';
CREATE TABLE product_taxes (
	vendor_id uuid NOT NULL,
	product_id uuid NOT NULL,
	tax_rate_id uuid NOT NULL,
	PRIMARY KEY (product_id, tax_rate_id, vendor_id),
	FOREIGN KEY (product_id, vendor_id) REFERENCES products (id, vendor_id),
	FOREIGN KEY (tax_rate_id, vendor_id) REFERENCES tax_rates (id, vendor_id) ON DELETE CASCADE
);
COMMENT ON TABLE product_taxes IS 'Taxes of single products, instead of the vendor''s default ones.';

CREATE TABLE coupons (
	vendor_id uuid NOT NULL REFERENCES vendors,
	id uuid NOT NULL DEFAULT rental.uuid7(),
	code text NOT NULL CHECK (code = upper(code) AND code <> '' AND length(code) <= 40 AND code !~ '\s'),
	percent numeric CHECK (percent > 0 AND percent <= 100),
	amount numeric CHECK (amount > 0),
	starts_at timestamptz,
	ends_at timestamptz,
	minimum numeric NOT NULL DEFAULT 0 CHECK (minimum >= 0),
	most_uses integer CHECK (most_uses >= 1),
	most_uses_each integer CHECK (most_uses_each >= 1),
	uses integer NOT NULL DEFAULT 0,
	product_ids uuid[] CHECK (product_ids <> '{}'),
	category_ids uuid[] CHECK (category_ids <> '{}'),
	is_active boolean NOT NULL DEFAULT true,
	created_at timestamptz NOT NULL DEFAULT rental.now(),
	PRIMARY KEY (id, vendor_id),
	UNIQUE (vendor_id, code),
	CHECK ((percent IS NULL) <> (amount IS NULL)),
	CHECK (uses BETWEEN 0 AND COALESCE(most_uses, uses))
);
COMMENT ON TABLE coupons IS 'Codes that take an amount or a percentage off an order, spread over its lines.';
COMMENT ON COLUMN coupons.code IS 'in upper case; customers may type it in any';
COMMENT ON COLUMN coupons.minimum IS 'the lines it applies to must come to that much';
COMMENT ON COLUMN coupons.most_uses IS 'by all customers; null: no limit. The row is locked by whoever uses it, so of two who race for the last use one wins';
COMMENT ON COLUMN coupons.most_uses_each IS 'by one customer; null: no limit';
COMMENT ON COLUMN coupons.product_ids IS 'it applies to these products, or to those of category_ids; both null: to all';
CREATE TABLE coupon_uses (
	vendor_id uuid NOT NULL,
	coupon_id uuid NOT NULL,
	order_id uuid NOT NULL,
	customer_id uuid NOT NULL REFERENCES users,
	created_at timestamptz NOT NULL DEFAULT rental.now(),
	PRIMARY KEY (order_id, coupon_id, vendor_id),
	FOREIGN KEY (coupon_id, vendor_id) REFERENCES coupons (id, vendor_id)
);
CREATE INDEX ON coupon_uses (coupon_id, customer_id);
COMMENT ON TABLE coupon_uses IS 'Which order used which coupon.';

CREATE TYPE late_step AS (days integer, amount numeric);
COMMENT ON TYPE late_step IS 'So many days at an amount each.';
CREATE TABLE price_settings (
	vendor_id uuid PRIMARY KEY REFERENCES vendors,
	deposit text NOT NULL DEFAULT 'none' CHECK (deposit IN ('none', 'fixed', 'percent_items', 'percent_total')),
	deposit_percent numeric NOT NULL DEFAULT 0 CHECK (deposit_percent BETWEEN 0 AND 100),
	waiver_percent numeric NOT NULL DEFAULT 0 CHECK (waiver_percent BETWEEN 0 AND 100),
	late_free interval NOT NULL DEFAULT '0' CHECK (late_free >= '0'),
	late_deducts_free boolean NOT NULL DEFAULT true,
	late_per_day numeric NOT NULL DEFAULT 0 CHECK (late_per_day >= 0),
	late_per_hour numeric NOT NULL DEFAULT 0 CHECK (late_per_hour >= 0),
	late_steps late_step[] NOT NULL DEFAULT '{}',
	late_cap numeric CHECK (late_cap >= 0)
);
COMMENT ON TABLE price_settings IS 'A vendor''s deposit, damage waiver and late fee.';
COMMENT ON COLUMN price_settings.deposit IS 'none; fixed: what each product says; percent_items: of the lines'' subtotals less discounts; percent_total: of the total with taxes and waiver';
COMMENT ON COLUMN price_settings.waiver_percent IS 'of the lines that are not exempt, where the customer takes the waiver; 0: none is sold';
COMMENT ON COLUMN price_settings.late_free IS 'so long after its end nothing is charged';
COMMENT ON COLUMN price_settings.late_deducts_free IS 'what is free is not charged later either';
COMMENT ON COLUMN price_settings.late_per_hour IS 'of each hour begun, of a day begun no more than late_per_day';
COMMENT ON COLUMN price_settings.late_steps IS 'instead: days begun, one after the other; the last amount goes on';
COMMENT ON COLUMN price_settings.late_cap IS 'a piece costs no more than that; null: no limit';

CREATE TYPE price_line AS (step text, description text, units integer, amount numeric);
COMMENT ON TYPE price_line IS 'A figure of a price, for one piece up to the step quantity, then for all: base, season, minimum, quantity; discount, coupon, tax. Those of one piece sum to unit_price.';
CREATE TYPE price_view AS (product_id uuid, currency text, start_at timestamptz, end_at timestamptz, units integer, unit text, quantity integer,
	unit_price numeric, subtotal numeric, discount numeric, tax numeric, total numeric, deposit numeric, lines price_line[]);
COMMENT ON TYPE price_view IS
	'The price of a rental: units are what is charged, days or hours as unit says; subtotal = unit_price * quantity; total = subtotal - discount + tax, where tax is what is added.';

CREATE FUNCTION price(product_id uuid, start_at timestamptz, end_at timestamptz, quantity integer DEFAULT 1, coupon text DEFAULT NULL,
	customer_id uuid DEFAULT NULL) RETURNS price_view
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION price(uuid, timestamptz, timestamptz, integer, text, uuid) IS
	'What a rental of a product would cost, with a breakdown that explains every figure. customer_id (by default the caller) decides about group discounts; only the vendor''s team may name another. Errors: not_found, invalid_period, invalid_value (no rate, quantity), rule_violated (coupon, length of the period).';

CREATE FUNCTION late_fee(product_id uuid, due_at timestamptz, returned_at timestamptz, quantity integer DEFAULT 1) RETURNS numeric
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION late_fee(uuid, timestamptz, timestamptz, integer) IS
	'What pieces cost that come back late, by the vendor''s price_settings, in its currency. Error: not_found.';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('GET', '/api/catalog/products/{product_id}/price/', 'rental.price', '{public}', 200, 'read', 'catalog', 'Price of a period', true);
