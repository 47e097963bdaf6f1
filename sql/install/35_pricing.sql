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
	class text NOT NULL DEFAULT 'standard' CHECK (class ~ '^[a-z][a-z0-9_]{0,39}$'),
	country text CHECK (country ~ '^[A-Z]{2}$'),
	region text CHECK (region IS NULL OR (region <> '' AND length(region) <= 100 AND country IS NOT NULL)),
	from_date date,
	to_date date CHECK (to_date >= from_date),
	PRIMARY KEY (id, vendor_id)
);
CREATE INDEX ON tax_rates (vendor_id);
COMMENT ON TABLE tax_rates IS 'Taxes of a vendor.';
COMMENT ON COLUMN tax_rates.is_inclusive IS 'prices hold it already; else it is added';
COMMENT ON COLUMN tax_rates.is_default IS 'of every product of its class that has no taxes of its own';
COMMENT ON COLUMN tax_rates.country IS 'where it applies, by the customer''s place of supply; null: anywhere';
COMMENT ON COLUMN tax_rates.from_date IS 'first local date on which a rental may start that is taxed by it; null: since ever';
COMMENT ON COLUMN tax_rates.to_date IS 'last such date; null: for ever';
CREATE TABLE product_taxes (
	vendor_id uuid NOT NULL,
	product_id uuid NOT NULL,
	tax_rate_id uuid NOT NULL,
	PRIMARY KEY (product_id, tax_rate_id, vendor_id),
	FOREIGN KEY (product_id, vendor_id) REFERENCES products (id, vendor_id),
	FOREIGN KEY (tax_rate_id, vendor_id) REFERENCES tax_rates (id, vendor_id) ON DELETE CASCADE
);
COMMENT ON TABLE product_taxes IS 'Taxes of single products, instead of the vendor''s default ones.';
CREATE TABLE product_tax_classes (
	vendor_id uuid NOT NULL,
	product_id uuid NOT NULL,
	class text NOT NULL CHECK (class ~ '^[a-z][a-z0-9_]{0,39}$'),
	PRIMARY KEY (product_id, vendor_id),
	FOREIGN KEY (product_id, vendor_id) REFERENCES products (id, vendor_id)
);
COMMENT ON TABLE product_tax_classes IS 'Products of another class than standard.';

-- Not SECURITY DEFINER and without settings, so that it is inlined where prices are made.
CREATE FUNCTION taxes_of(vendor uuid, product uuid, customer uuid, at timestamptz,
	OUT name text, OUT percent numeric, OUT is_inclusive boolean, OUT is_reverse boolean, OUT place text) RETURNS SETOF record LANGUAGE sql STABLE AS $$
	SELECT t.name, CASE WHEN COALESCE(c.reverse_charge, false) THEN 0 ELSE t.percent END,
		t.is_inclusive AND NOT COALESCE(c.reverse_charge, false), COALESCE(c.reverse_charge, false), CASE WHEN c.country IS NULL THEN s.country ELSE c.country END
	FROM rental.tax_rates t
	JOIN rental.vendors v ON v.id = t.vendor_id
	LEFT JOIN rental.billing_settings s ON s.vendor_id = t.vendor_id
	LEFT JOIN rental.customer_taxes c ON c.vendor_id = t.vendor_id AND c.user_id = customer
	WHERE t.vendor_id = vendor
		AND CASE WHEN EXISTS (SELECT FROM rental.product_taxes x WHERE x.product_id = product AND x.vendor_id = vendor)
			THEN EXISTS (SELECT FROM rental.product_taxes x WHERE x.product_id = product AND x.vendor_id = vendor AND x.tax_rate_id = t.id)
			ELSE t.is_default AND t.class = COALESCE((SELECT p.class FROM rental.product_tax_classes p WHERE p.product_id = product AND p.vendor_id = vendor), 'standard') END
		AND COALESCE(t.country = CASE WHEN c.country IS NULL THEN s.country ELSE c.country END, t.country IS NULL)
		AND COALESCE(t.region = CASE WHEN c.country IS NULL THEN s.region ELSE c.region END, t.region IS NULL)
		AND COALESCE(t.from_date <= (at AT TIME ZONE v.time_zone)::date, true) AND COALESCE(t.to_date >= (at AT TIME ZONE v.time_zone)::date, true)
	ORDER BY t.id
$$;
COMMENT ON FUNCTION taxes_of(uuid, uuid, uuid, timestamptz) IS
	'The taxes of a rental that starts then, by place (of supply; null: nobody said), class and date; under reverse charge each at 0 percent.';
CREATE FUNCTION tax_parts(taxes jsonb, net numeric, decimals integer,
	OUT n bigint, OUT name text, OUT percent numeric, OUT is_inclusive boolean, OUT is_reverse boolean, OUT place text, OUT taxable numeric, OUT tax numeric)
	RETURNS SETOF record LANGUAGE sql IMMUTABLE AS $$
	WITH t AS (SELECT x.ordinality AS n, x.tax ->> 'name' AS name, (x.tax -> 'percent')::numeric AS percent, (x.tax -> 'is_inclusive')::boolean AS is_inclusive,
		(x.tax -> 'is_reverse')::boolean AS is_reverse, x.tax ->> 'place' AS place FROM jsonb_array_elements(taxes) WITH ORDINALITY x (tax, ordinality)),
	parts AS (SELECT t.*, CASE WHEN t.is_inclusive
		THEN round(net * t.percent / (100 + (SELECT sum(i.percent) FROM t i WHERE i.is_inclusive)), decimals)
		ELSE round(net * t.percent / 100, decimals) END AS tax FROM t)
	SELECT p.n, p.name, p.percent, p.is_inclusive, p.is_reverse, p.place,
		net - CASE WHEN p.is_inclusive THEN (SELECT sum(i.tax) FROM parts i WHERE i.is_inclusive) ELSE 0 END, p.tax FROM parts p
$$;
COMMENT ON FUNCTION tax_parts(jsonb, numeric, integer) IS
	'What each tax of order_items.taxes makes of an amount: what is added to it, or what it holds, each rounded half-up on its own; taxable is what the tax is on.';

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
COMMENT ON TYPE price_line IS 'A figure of a price, for one piece up to the step quantity, then for all: base, season, minimum, quantity; discount, coupon, tax, waiver. Those of one piece sum to unit_price.';
CREATE TYPE price_view AS (product_id uuid, currency text, start_at timestamptz, end_at timestamptz, units integer, unit text, quantity integer,
	unit_price numeric, subtotal numeric, discount numeric, tax numeric, waiver numeric, total numeric, deposit numeric, lines price_line[]);
COMMENT ON TYPE price_view IS
	'The price of a rental: units are what is charged, days or hours as unit says; subtotal = unit_price * quantity; total = subtotal - discount + tax, where tax is what is added, and the waiver if it was asked for. waiver is what the damage waiver costs, 0 for an exempt product; it alone, and units of lines, may be null: where the vendor sells none.';

-- takes rights only for what it asks in SQL, which is seldom
CREATE FUNCTION price(product_id uuid, start_at timestamptz, end_at timestamptz, quantity integer DEFAULT 1, coupon text DEFAULT NULL,
	customer_id uuid DEFAULT NULL, damage_waiver boolean DEFAULT false) RETURNS price_view
	LANGUAGE c STABLE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION price(uuid, timestamptz, timestamptz, integer, text, uuid, boolean) IS
	'What a rental of a product would cost, with a breakdown that explains every figure. customer_id (by default the caller) decides about group discounts; only the vendor''s team may name another. Errors: not_found, invalid_period, invalid_value (no rate, quantity), rule_violated (coupon, length of the period, a damage_waiver that the vendor does not sell).';

CREATE FUNCTION late_fee(product_id uuid, due_at timestamptz, returned_at timestamptz, quantity integer DEFAULT 1) RETURNS numeric
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION late_fee(uuid, timestamptz, timestamptz, integer) IS
	'What pieces cost that come back late, by the vendor''s price_settings, in its currency. Error: not_found.';

-- What vendors set their prices by

CREATE VIEW rates_view AS
SELECT r.product_id, v.currency, r.strategy, CASE WHEN r.tiers = '{}' THEN ARRAY[ROW(r.days, 'day', r.amount)::price_tier] ELSE r.tiers END AS tiers,
	r.extra_day, r.unit, r.counting, r.leeway, r.weekend_as_day, r.factors, r.extra_percent, r.minimum, r.shortest, r.longest, r.deposit, r.waiver_exempt
FROM product_rates r JOIN vendors v ON v.id = r.vendor_id;
COMMENT ON VIEW rates_view IS 'The price of a product, as product_rates has it.';
CREATE VIEW price_rule_view AS SELECT id, vendor_id, name, kind, product_id, category_id, priority, from_date, to_date, weekdays, min_quantity, max_quantity,
	percent, amount, created_at FROM price_rules;
COMMENT ON VIEW price_rule_view IS 'A season or a step of quantity.';
CREATE TYPE price_rule_page AS (count bigint, next text, previous text, results price_rule_view[]);
CREATE VIEW customer_group_view AS SELECT g.id, g.vendor_id, g.name, g.percent,
	ARRAY(SELECT m.user_id FROM customer_group_members m WHERE m.group_id = g.id AND m.vendor_id = g.vendor_id ORDER BY 1) AS members FROM customer_groups g;
COMMENT ON VIEW customer_group_view IS 'A group of customers who get so many percent off.';
CREATE TYPE customer_group_page AS (count bigint, next text, previous text, results customer_group_view[]);
CREATE VIEW coupon_view AS SELECT id, vendor_id, code, percent, amount, starts_at, ends_at, minimum, most_uses, most_uses_each, uses, product_ids, category_ids,
	is_active, created_at FROM coupons;
COMMENT ON VIEW coupon_view IS 'A coupon as its vendor sees it.';
CREATE TYPE coupon_page AS (count bigint, next text, previous text, results coupon_view[]);
CREATE VIEW tax_rate_view AS SELECT id, vendor_id, name, percent, is_inclusive, is_default, class, country, region, from_date, to_date FROM tax_rates;
COMMENT ON VIEW tax_rate_view IS 'A tax of a vendor.';
CREATE TYPE tax_rate_page AS (count bigint, next text, previous text, results tax_rate_view[]);
CREATE VIEW price_settings_view AS
SELECT v.id AS vendor_id, v.currency, COALESCE(s.deposit, 'none') AS deposit, COALESCE(s.deposit_percent, 0) AS deposit_percent, COALESCE(s.waiver_percent, 0) AS waiver_percent,
	COALESCE(s.late_free, '0') AS late_free, COALESCE(s.late_deducts_free, true) AS late_deducts_free, COALESCE(s.late_per_day, 0) AS late_per_day,
	COALESCE(s.late_per_hour, 0) AS late_per_hour, COALESCE(s.late_steps, '{}') AS late_steps, s.late_cap
FROM vendors v LEFT JOIN price_settings s ON s.vendor_id = v.id;
COMMENT ON VIEW price_settings_view IS 'A vendor''s deposit, damage waiver and late fee, as price_settings has them.';

CREATE FUNCTION product_rate_set(product_id uuid, amount numeric DEFAULT NULL, days integer DEFAULT 1, extra_day numeric DEFAULT NULL, strategy text DEFAULT NULL,
	tiers jsonb DEFAULT NULL, unit text DEFAULT 'day', counting text DEFAULT 'clock', leeway interval DEFAULT '0', weekend_as_day boolean DEFAULT false,
	factors numeric[] DEFAULT '{}', extra_percent numeric DEFAULT 0, minimum numeric DEFAULT 0, shortest interval DEFAULT NULL, longest interval DEFAULT NULL,
	deposit numeric DEFAULT 0, waiver_exempt boolean DEFAULT false) RETURNS product_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION product_rate_set(uuid, numeric, integer, numeric, text, jsonb, text, text, interval, boolean, numeric[], numeric, numeric, interval, interval, numeric, boolean) IS
	'Sets the price of one piece, as product_rates explains: by tiers, a list of {length, unit, amount}, or by amount for the first days and extra_day for each further day begun (by default amount / days, rounded). Errors: forbidden, not_found, invalid_value, missing_field.';
CREATE FUNCTION product_rate_get(product_id uuid) RETURNS rates_view
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION product_rate_get(uuid) IS 'The whole price of a product. Error: not_found.';

CREATE FUNCTION price_rule_list(vendor_id uuid DEFAULT NULL, page_size integer DEFAULT 20, cursor text DEFAULT NULL, count text DEFAULT NULL) RETURNS price_rule_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION price_rule_list(uuid, integer, text, text) IS 'A vendor''s seasons and steps of quantity, oldest first, for its team. Error: forbidden.';
CREATE FUNCTION price_rule_create(name text, kind text, percent numeric DEFAULT NULL, amount numeric DEFAULT NULL, product_id uuid DEFAULT NULL, category_id uuid DEFAULT NULL,
	from_date date DEFAULT NULL, to_date date DEFAULT NULL, weekdays integer[] DEFAULT NULL, min_quantity integer DEFAULT NULL, max_quantity integer DEFAULT NULL,
	priority integer DEFAULT 0, vendor_id uuid DEFAULT NULL) RETURNS price_rule_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION price_rule_create(text, text, numeric, numeric, uuid, uuid, date, date, integer[], integer, integer, integer, uuid) IS
	'Adds a season (percent, or an amount for each unit of charge) or a step of quantity (percent). Errors: forbidden, not_found, invalid_value, missing_field.';
CREATE FUNCTION price_rule_delete(rule_id uuid) RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION price_rule_delete(uuid) IS 'Takes a rule away. Error: not_found.';

CREATE FUNCTION customer_group_list(vendor_id uuid DEFAULT NULL, page_size integer DEFAULT 20, cursor text DEFAULT NULL, count text DEFAULT NULL) RETURNS customer_group_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION customer_group_list(uuid, integer, text, text) IS 'A vendor''s customer groups with their members, oldest first, for its team. Error: forbidden.';
CREATE FUNCTION customer_group_create(name text, percent numeric, vendor_id uuid DEFAULT NULL) RETURNS customer_group_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION customer_group_create(text, numeric, uuid) IS 'Makes a group of customers who get percent off. Errors: forbidden, invalid_value.';
CREATE FUNCTION customer_group_delete(group_id uuid) RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION customer_group_delete(uuid) IS 'Takes a group away. Error: not_found.';
CREATE FUNCTION customer_group_join(group_id uuid, user_id uuid) RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION customer_group_join(uuid, uuid) IS 'Puts a customer who has ordered from the vendor into a group, out of any other one. Error: not_found.';
CREATE FUNCTION customer_group_leave(group_id uuid, user_id uuid) RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION customer_group_leave(uuid, uuid) IS 'Takes a customer out of a group. Error: not_found.';

CREATE FUNCTION coupon_list(vendor_id uuid DEFAULT NULL, page_size integer DEFAULT 20, cursor text DEFAULT NULL, count text DEFAULT NULL) RETURNS coupon_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION coupon_list(uuid, integer, text, text) IS 'A vendor''s coupons, oldest first, for its team. Error: forbidden.';
CREATE FUNCTION coupon_create(code text, percent numeric DEFAULT NULL, amount numeric DEFAULT NULL, starts_at timestamptz DEFAULT NULL, ends_at timestamptz DEFAULT NULL,
	minimum numeric DEFAULT 0, most_uses integer DEFAULT NULL, most_uses_each integer DEFAULT NULL, product_ids uuid[] DEFAULT NULL, category_ids uuid[] DEFAULT NULL,
	vendor_id uuid DEFAULT NULL) RETURNS coupon_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION coupon_create(text, numeric, numeric, timestamptz, timestamptz, numeric, integer, integer, uuid[], uuid[], uuid) IS
	'Makes a coupon that takes a percentage or an amount off. Errors: forbidden, already_exists, invalid_value, missing_field.';
CREATE FUNCTION coupon_update(coupon_id uuid, is_active boolean DEFAULT NULL, ends_at timestamptz DEFAULT NULL, most_uses integer DEFAULT NULL) RETURNS coupon_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION coupon_update(uuid, boolean, timestamptz, integer) IS 'Changes what is given. Errors: not_found, invalid_value, conflict when it was used more often.';

CREATE FUNCTION tax_rate_list(vendor_id uuid DEFAULT NULL, page_size integer DEFAULT 20, cursor text DEFAULT NULL, count text DEFAULT NULL) RETURNS tax_rate_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tax_rate_list(uuid, integer, text, text) IS 'A vendor''s taxes, oldest first, for its team. Error: forbidden.';
CREATE FUNCTION tax_rate_create(name text, percent numeric, is_inclusive boolean DEFAULT false, is_default boolean DEFAULT true, vendor_id uuid DEFAULT NULL,
	class text DEFAULT 'standard', country text DEFAULT NULL, region text DEFAULT NULL, from_date date DEFAULT NULL, to_date date DEFAULT NULL) RETURNS tax_rate_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tax_rate_create(text, numeric, boolean, boolean, uuid, text, text, text, date, date) IS
	'Adds a tax, for a class of products, a place and a time, as tax_rates explains. Errors: forbidden, invalid_value.';
CREATE FUNCTION tax_rate_delete(tax_rate_id uuid) RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tax_rate_delete(uuid) IS 'Takes a tax away, from products as well. Error: not_found.';
CREATE FUNCTION product_taxes_replace(product_id uuid, tax_rate_ids uuid[], class text DEFAULT 'standard') RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION product_taxes_replace(uuid, uuid[], text) IS
	'Sets a product''s own taxes; an empty list means the vendor''s default ones of the product''s class, which is set, too. Errors: forbidden, not_found, invalid_value.';

CREATE FUNCTION price_settings_get(vendor_id uuid DEFAULT NULL) RETURNS price_settings_view
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION price_settings_get(uuid) IS 'A vendor''s deposit, damage waiver and late fee, for its team. Error: forbidden.';
CREATE FUNCTION price_settings_set(deposit text DEFAULT 'none', deposit_percent numeric DEFAULT 0, waiver_percent numeric DEFAULT 0, late_free interval DEFAULT '0',
	late_deducts_free boolean DEFAULT true, late_per_day numeric DEFAULT 0, late_per_hour numeric DEFAULT 0, late_steps jsonb DEFAULT NULL, late_cap numeric DEFAULT NULL,
	vendor_id uuid DEFAULT NULL) RETURNS price_settings_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION price_settings_set(text, numeric, numeric, interval, boolean, numeric, numeric, jsonb, numeric, uuid) IS
	'Sets them all, as price_settings explains; late_steps is a list of {days, amount}. Errors: forbidden, invalid_value.';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('GET', '/api/catalog/products/{product_id}/price/', 'rental.price', '{public}', 200, 'read', 'catalog', 'Price of a period', true),
	('GET', '/api/catalog/products/{product_id}/rates/', 'rental.product_rate_get', '{public}', 200, 'read', 'catalog', 'The whole price', true),
	('PUT', '/api/catalog/products/{product_id}/rates/', 'rental.product_rate_set', '{vendor,admin}', 200, 'write', 'catalog', 'Set the price', true),
	('PUT', '/api/catalog/products/{product_id}/taxes/', 'rental.product_taxes_replace', '{vendor,admin}', 204, 'write', 'catalog', 'Set its taxes', true),
	('GET', '/api/catalog/price-rules/', 'rental.price_rule_list', '{vendor,admin}', 200, 'read', 'catalog', 'Seasons and steps of quantity', true),
	('POST', '/api/catalog/price-rules/', 'rental.price_rule_create', '{vendor,admin}', 201, 'write', 'catalog', 'Add a season or step', true),
	('DELETE', '/api/catalog/price-rules/{rule_id}/', 'rental.price_rule_delete', '{vendor,admin}', 204, 'write', 'catalog', 'Take one away', true),
	('GET', '/api/catalog/customer-groups/', 'rental.customer_group_list', '{vendor,admin}', 200, 'read', 'catalog', 'Customer groups', true),
	('POST', '/api/catalog/customer-groups/', 'rental.customer_group_create', '{vendor,admin}', 201, 'write', 'catalog', 'Make a customer group', true),
	('DELETE', '/api/catalog/customer-groups/{group_id}/', 'rental.customer_group_delete', '{vendor,admin}', 204, 'write', 'catalog', 'Take a group away', true),
	('PUT', '/api/catalog/customer-groups/{group_id}/members/{user_id}/', 'rental.customer_group_join', '{vendor,admin}', 204, 'write', 'catalog', 'Put a customer into a group', true),
	('DELETE', '/api/catalog/customer-groups/{group_id}/members/{user_id}/', 'rental.customer_group_leave', '{vendor,admin}', 204, 'write', 'catalog', 'Take a customer out', true),
	('GET', '/api/catalog/coupons/', 'rental.coupon_list', '{vendor,admin}', 200, 'read', 'catalog', 'Coupons', true),
	('POST', '/api/catalog/coupons/', 'rental.coupon_create', '{vendor,admin}', 201, 'write', 'catalog', 'Make a coupon', true),
	('PATCH', '/api/catalog/coupons/{coupon_id}/', 'rental.coupon_update', '{vendor,admin}', 200, 'write', 'catalog', 'Change a coupon', true),
	('GET', '/api/catalog/taxes/', 'rental.tax_rate_list', '{vendor,admin}', 200, 'read', 'catalog', 'Taxes', true),
	('POST', '/api/catalog/taxes/', 'rental.tax_rate_create', '{vendor,admin}', 201, 'write', 'catalog', 'Add a tax', true),
	('DELETE', '/api/catalog/taxes/{tax_rate_id}/', 'rental.tax_rate_delete', '{vendor,admin}', 204, 'write', 'catalog', 'Take a tax away', true),
	('GET', '/api/catalog/price-settings/', 'rental.price_settings_get', '{vendor,admin}', 200, 'read', 'catalog', 'Deposit, waiver, late fee', true),
	('PUT', '/api/catalog/price-settings/', 'rental.price_settings_set', '{vendor,admin}', 200, 'write', 'catalog', 'Set deposit, waiver, late fee', true);
