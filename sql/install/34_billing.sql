-- How a vendor bills, and how each of its customers is taxed.

CREATE TABLE billing_settings (
	vendor_id uuid PRIMARY KEY REFERENCES vendors,
	series text NOT NULL DEFAULT 'INV' CHECK (series ~ '^[A-Z]{1,8}$' AND series <> 'ORD'),
	credit_series text NOT NULL DEFAULT 'CRN' CHECK (credit_series ~ '^[A-Z]{1,8}$' AND credit_series NOT IN ('ORD', 'PAY')),
	due_days integer NOT NULL DEFAULT 14 CHECK (due_days BETWEEN 0 AND 365),
	country text CHECK (country ~ '^[A-Z]{2}$'),
	region text CHECK (region <> '' AND length(region) <= 100),
	address jsonb CHECK (jsonb_typeof(address) = 'object'),
	interest_percent numeric NOT NULL DEFAULT 0 CHECK (interest_percent BETWEEN 0 AND 100),
	dunning_days integer[] NOT NULL DEFAULT '{7,14,30}' CHECK (cardinality(dunning_days) BETWEEN 1 AND 9 AND 0 < ALL (dunning_days)),
	CHECK (series <> credit_series AND series <> 'PAY')
);
COMMENT ON TABLE billing_settings IS 'What a vendor''s invoices say and follow; one without a row has the defaults.';
COMMENT ON COLUMN billing_settings.series IS 'of invoices: numbers are series-year-number';
COMMENT ON COLUMN billing_settings.due_days IS 'from issue to due date';
COMMENT ON COLUMN billing_settings.country IS 'where the vendor supplies whose customers have no place of their own; ISO 3166-1';
COMMENT ON COLUMN billing_settings.interest_percent IS 'a year, on what is overdue: open amount * percent / 100 * days / 365';
COMMENT ON COLUMN billing_settings.dunning_days IS 'days after the due date at which each dunning level is reached';

CREATE TABLE customer_taxes (
	vendor_id uuid NOT NULL REFERENCES vendors,
	user_id uuid NOT NULL REFERENCES users,
	country text CHECK (country ~ '^[A-Z]{2}$'),
	region text CHECK (region <> '' AND length(region) <= 100),
	tax_number text CHECK (tax_number <> '' AND length(tax_number) <= 40),
	reverse_charge boolean NOT NULL DEFAULT false,
	PRIMARY KEY (user_id, vendor_id),
	CHECK (NOT reverse_charge OR tax_number IS NOT NULL)
);
COMMENT ON TABLE customer_taxes IS 'How a customer is taxed by a vendor.';
COMMENT ON COLUMN customer_taxes.country IS 'the place of supply; null: the vendor''s own';
COMMENT ON COLUMN customer_taxes.reverse_charge IS 'the customer owes the tax: none is added, and prices that include one hold none';

CREATE VIEW billing_settings_view AS
SELECT v.id AS vendor_id, COALESCE(s.series, 'INV') AS series, COALESCE(s.credit_series, 'CRN') AS credit_series, COALESCE(s.due_days, 14) AS due_days,
	s.country, s.region, s.address, COALESCE(s.interest_percent, 0) AS interest_percent, COALESCE(s.dunning_days, '{7,14,30}') AS dunning_days
FROM vendors v LEFT JOIN billing_settings s ON s.vendor_id = v.id;
COMMENT ON VIEW billing_settings_view IS 'What a vendor''s invoices say and follow.';
CREATE VIEW customer_tax_view AS SELECT vendor_id, user_id, country, region, tax_number, reverse_charge FROM customer_taxes;
COMMENT ON VIEW customer_tax_view IS 'How a customer is taxed by a vendor.';

CREATE FUNCTION billing_settings_get(vendor_id uuid DEFAULT NULL) RETURNS billing_settings_view
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION billing_settings_get(uuid) IS 'A vendor''s billing settings, for its team. Error: forbidden.';
CREATE FUNCTION billing_settings_set(series text DEFAULT 'INV', credit_series text DEFAULT 'CRN', due_days integer DEFAULT 14, country text DEFAULT NULL,
	region text DEFAULT NULL, address jsonb DEFAULT NULL, interest_percent numeric DEFAULT 0, dunning_days integer[] DEFAULT '{7,14,30}', vendor_id uuid DEFAULT NULL)
	RETURNS billing_settings_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION billing_settings_set(text, text, integer, text, text, jsonb, numeric, integer[], uuid) IS
	'Sets them all, as billing_settings explains. Errors: forbidden, invalid_value.';
CREATE FUNCTION customer_tax_set(user_id uuid, country text DEFAULT NULL, region text DEFAULT NULL, tax_number text DEFAULT NULL,
	reverse_charge boolean DEFAULT false, vendor_id uuid DEFAULT NULL) RETURNS customer_tax_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION customer_tax_set(uuid, text, text, text, boolean, uuid) IS
	'Sets how a customer is taxed; reverse charge needs a tax_number. It counts for what is priced from then on. Errors: forbidden, not_found, invalid_value.';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('GET', '/api/orders/billing-settings/', 'rental.billing_settings_get', '{vendor,admin}', 200, 'read', 'invoices', 'Series, terms, dunning', true),
	('PUT', '/api/orders/billing-settings/', 'rental.billing_settings_set', '{vendor,admin}', 200, 'write', 'invoices', 'Set series, terms, dunning', true),
	('PUT', '/api/orders/customer-taxes/{user_id}/', 'rental.customer_tax_set', '{vendor,admin}', 200, 'write', 'invoices', 'How a customer is taxed', true);
