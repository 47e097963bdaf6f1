-- Reports.

CREATE TABLE report_catalog (
	name text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9]*(-[a-z0-9]+)*$'),
	function text NOT NULL CHECK (function ~ '^[a-z_]+\.[a-z_]+$'),
	title text NOT NULL,
	description text NOT NULL,
	columns jsonb NOT NULL,
	formula text NOT NULL,
	dimensions text[] NOT NULL DEFAULT '{}',
	builtin boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE report_catalog IS
	'What each report tells, in which columns and units, and how it is reckoned. The report stands at /api/analytics/reports/NAME/.';
COMMENT ON COLUMN report_catalog.function IS 'schema.name of the function; text, since pg_upgrade refuses columns of type regprocedure';
COMMENT ON COLUMN report_catalog.columns IS 'a list of {name, type, unit, description} in the order of the function''s columns; unit is null for what has none';
COMMENT ON COLUMN report_catalog.formula IS 'how each figure follows from the tables';
COMMENT ON COLUMN report_catalog.dimensions IS 'arguments by which it can be narrowed or split';
COMMENT ON COLUMN report_catalog.builtin IS 'made by the extension, so not part of a dump';

CREATE TYPE report_column AS (name text, type text, unit text, description text);
COMMENT ON TYPE report_column IS 'A column of a report. Only unit may be null.';
CREATE TYPE report_view AS (name text, title text, description text, formula text, dimensions text[], columns report_column[]);
COMMENT ON TYPE report_view IS 'What a report tells, and how it is reckoned. Nothing in it is null.';
CREATE FUNCTION report_list() RETURNS SETOF report_view
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_list() IS 'All reports, by name, with their columns, units and formulas.';

-- Describes a report while the extension is made: columns as lines of name, unit (- for none) and description; their types are the function's.
CREATE FUNCTION report_describe(name text, function text, title text, description text, formula text, dimensions text[], columns text) RETURNS void
	LANGUAGE sql AS $$
	WITH told AS (
		SELECT n, m[1] AS name, nullif(m[2], '-') AS unit, m[3] AS description
		FROM regexp_split_to_table(btrim(columns, E'\n\t '), E'\n\\s*') WITH ORDINALITY AS l (line, n), regexp_match(l.line, '^(\S+) +(\S+) +(.*)$') AS m
	), typed AS (
		SELECT a.attname AS name, format_type(a.atttypid, NULL) AS type FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_type t ON t.oid = p.prorettype
		JOIN pg_catalog.pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE p.pronamespace = 'rental'::regnamespace AND 'rental.' || p.proname = report_describe.function
	)
	INSERT INTO rental.report_catalog
	SELECT report_describe.name, report_describe.function, title, report_describe.description,
		(SELECT jsonb_agg(jsonb_build_object('name', t.name, 'type', y.type, 'unit', t.unit, 'description', t.description) ORDER BY t.n)
			FROM told t LEFT JOIN typed y ON y.name = t.name), formula, dimensions, true
$$;
COMMENT ON FUNCTION report_describe(text, text, text, text, text, text[], text) IS
	'Describes a report in report_catalog; columns are lines of name, unit (- for none) and description, and their types those of the function''s result. For parts of the extension.';

CREATE TYPE revenue_row AS (start_at timestamptz, currency text, orders bigint, billed numeric, paid numeric, ordered numeric, recognised numeric, vendor_id uuid);
COMMENT ON TYPE revenue_row IS 'Revenue of one period of a report; vendor_id is null unless it was asked for by vendor.';
CREATE FUNCTION report_revenue("from" timestamptz, "to" timestamptz, granularity text DEFAULT 'month', vendor_id uuid DEFAULT NULL,
	currency text DEFAULT NULL, by_vendor boolean DEFAULT false) RETURNS SETOF revenue_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_revenue(timestamptz, timestamptz, text, uuid, text, boolean) IS
	'Ordered, billed, paid and recognised amounts in [from, to) by hour (of up to 62 days), day, week, month, quarter or year of each vendor''s time zone, and by currency. A vendor sees its own; an administrator or analyst all, or one. Periods without anything are left out. Errors: invalid_period, invalid_field, forbidden.';

CREATE TYPE revenue_by_row AS (id uuid, name text, currency text, paid numeric);
COMMENT ON TYPE revenue_by_row IS 'What was paid less what was given back, for a category (null: none), vendor, location or product.';
CREATE FUNCTION report_revenue_by("from" timestamptz, "to" timestamptz, dimension text DEFAULT 'category', vendor_id uuid DEFAULT NULL)
	RETURNS SETOF revenue_by_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_revenue_by(timestamptz, timestamptz, text, uuid) IS
	'What was paid in [from, to) by category, vendor, location or product. A payment is spread over the lines of its order by their totals, so that the parts sum to it. A vendor sees its own; an administrator or analyst all, or one. Errors: invalid_period, invalid_field, invalid_value, forbidden.';
CREATE TYPE trial_balance_row AS (book text, account text, kind text, name text, currency text, debit numeric, credit numeric);
COMMENT ON TYPE trial_balance_row IS 'What an account stands at.';
CREATE FUNCTION report_trial_balance(vendor_id uuid DEFAULT NULL) RETURNS SETOF trial_balance_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_trial_balance(uuid) IS
	'The trial balance: in each book debits and credits sum to the same. A vendor sees its own; an administrator or analyst all, or one. Error: forbidden.';
CREATE TYPE customer_balance_row AS (customer_id uuid, name text, currency text, receivable numeric, deposits numeric);
COMMENT ON TYPE customer_balance_row IS 'What a customer owes (below zero: is owed), and what is held of it as deposits.';
CREATE FUNCTION report_customer_balances(vendor_id uuid DEFAULT NULL) RETURNS SETOF customer_balance_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_customer_balances(uuid) IS 'Customers with a balance. A vendor sees its own; an administrator or analyst all, or one. Error: forbidden.';
CREATE TYPE tax_report_row AS (country text, name text, percent numeric, is_inclusive boolean, is_reverse boolean, currency text, taxable numeric, tax numeric);
COMMENT ON TYPE tax_report_row IS 'A tax over a period: invoices less credit notes.';
CREATE FUNCTION report_taxes("from" timestamptz, "to" timestamptz, vendor_id uuid DEFAULT NULL) RETURNS SETOF tax_report_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_taxes(timestamptz, timestamptz, uuid) IS
	'Taxes of what was invoiced in [from, to), by rate. A vendor sees its own; an administrator or analyst all, or one. Errors: invalid_period, forbidden.';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('GET', '/api/analytics/reports/', 'rental.report_list', '{vendor,admin}', 200, 'read', 'analytics', 'Reports', true),
	('GET', '/api/analytics/reports/revenue/', 'rental.report_revenue', '{vendor,admin}', 200, 'read', 'analytics', 'Revenue over time', true),
	('GET', '/api/analytics/reports/revenue-by/', 'rental.report_revenue_by', '{vendor,admin}', 200, 'read', 'analytics', 'Revenue by category, vendor, location, product', true),
	('GET', '/api/analytics/reports/trial-balance/', 'rental.report_trial_balance', '{vendor,admin}', 200, 'read', 'analytics', 'Trial balance', true),
	('GET', '/api/analytics/reports/customer-balances/', 'rental.report_customer_balances', '{vendor,admin}', 200, 'read', 'analytics', 'What customers owe', true),
	('GET', '/api/analytics/reports/taxes/', 'rental.report_taxes', '{vendor,admin}', 200, 'read', 'analytics', 'Taxes by rate', true);

SELECT report_describe('revenue', 'rental.report_revenue', 'Revenue over time', 'What was ordered, billed, paid and earned, by period and currency.',
	'orders, ordered: count and sum(orders.total) by created_at, status pending, confirmed, active, returned or completed. billed: sum(invoices.total) by issued_at. paid: sum(payments.amount) by created_at, status succeeded, kind not deposit; refunds and chargebacks below zero. recognised: of order_items of orders that are confirmed, active, returned or completed, (subtotal - discount) * time of the line within the period / time of the line, rounded half-up up to each end.',
	'{granularity,vendor,currency}', '
	start_at time the period''s start, on the vendor''s clock
	currency - ISO 4217
	orders orders placed and not ended early
	billed currency invoices less credit notes
	paid currency received less given back
	ordered currency totals of the orders
	recognised currency what the rentals of the period earned, without added taxes
	vendor_id - the vendor, if by_vendor; else null');
SELECT report_describe('revenue-by', 'rental.report_revenue_by', 'Revenue by what it was for', 'What was paid, by category, vendor, location or product.',
	'Each payment (as in revenue) is spread over the lines of its order by their totals (alike if they are all 0), rounded by running sums, so that the parts sum to it.',
	'{dimension,vendor}', '
	id - of the category, vendor, location or product; null: none
	name - its name
	currency - ISO 4217
	paid currency received less given back');
SELECT report_describe('trial-balance', 'rental.report_trial_balance', 'Trial balance', 'What each account of the ledger stands at.',
	'sum(ledger_entries.amount) by account and currency: debit where it is above zero, credit where below.', '{vendor}', '
	book - vendor or platform
	account - code of the account
	kind - asset, liability, income or expense
	name - of the account
	currency - ISO 4217
	debit currency above zero
	credit currency below zero, without the sign');
SELECT report_describe('customer-balances', 'rental.report_customer_balances', 'What customers owe', 'Customers who owe, are owed, or have deposits held.',
	'receivable: sum(ledger_entries.amount) of account receivable; deposits: -sum of deposit_owed; customers for whom either is not 0.', '{vendor}', '
	customer_id - the customer
	name - of the customer
	currency - ISO 4217
	receivable currency owed by the customer; below zero: owed to it
	deposits currency held');
SELECT report_describe('taxes', 'rental.report_taxes', 'Taxes by rate', 'Taxes of what was invoiced.',
	'sum(taxable), sum(tax) of invoice_taxes of invoices with issued_at in the period, by the seller''s country and rate; credit notes count below zero.', '{vendor}', '
	country - of the seller
	name - of the tax
	percent % rate
	is_inclusive - the price holds it
	is_reverse - the customer owes it
	currency - ISO 4217
	taxable currency what the tax is on
	tax currency the tax');
SELECT report_describe('shortages', 'rental.shortages', 'Promises that cannot be kept', 'From now on: who is affected, when, and by how many pieces.',
	'Where free stock is below zero: the reservations that took it, the newest first, what is out last, until what is missing is covered.', '{vendor}', '
	vendor_id - the vendor
	product_id - the product
	location_id - where
	reservation_id - the reservation
	order_id - its order
	order_number - its number
	customer_id - who ordered
	start_at time from when on
	end_at time until when
	missing pieces that are missing');
