-- Reports.

CREATE TYPE revenue_row AS (start_at timestamptz, currency text, orders bigint, billed numeric, paid numeric);
COMMENT ON TYPE revenue_row IS
	'Revenue of one period of a report: orders placed in it and not cancelled, rejected or expired; billed by invoices issued in it; paid by payments made in it.';

CREATE FUNCTION report_revenue("from" timestamptz, "to" timestamptz, granularity text DEFAULT 'month', vendor_id uuid DEFAULT NULL)
	RETURNS SETOF revenue_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_revenue(timestamptz, timestamptz, text, uuid) IS
	'Orders, billed and paid amounts in [from, to) by hour, day, week, month, quarter or year of each vendor''s time zone, and by currency. A vendor sees its own; an administrator or analyst all, or one. Periods without anything are left out. Errors: invalid_period, invalid_field, forbidden.';

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
COMMENT ON TYPE tax_report_row IS 'A tax over a period: invoices less credit notes. country is the place of supply.';
CREATE FUNCTION report_taxes("from" timestamptz, "to" timestamptz, vendor_id uuid DEFAULT NULL) RETURNS SETOF tax_report_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_taxes(timestamptz, timestamptz, uuid) IS
	'Taxes of what was invoiced in [from, to), by rate. A vendor sees its own; an administrator or analyst all, or one. Errors: invalid_period, forbidden.';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('GET', '/api/analytics/reports/revenue/', 'rental.report_revenue', '{vendor,admin}', 200, 'read', 'analytics', 'Revenue over time', true),
	('GET', '/api/analytics/reports/revenue-by/', 'rental.report_revenue_by', '{vendor,admin}', 200, 'read', 'analytics', 'Revenue by category, vendor, location, product', true),
	('GET', '/api/analytics/reports/trial-balance/', 'rental.report_trial_balance', '{vendor,admin}', 200, 'read', 'analytics', 'Trial balance', true),
	('GET', '/api/analytics/reports/customer-balances/', 'rental.report_customer_balances', '{vendor,admin}', 200, 'read', 'analytics', 'What customers owe', true),
	('GET', '/api/analytics/reports/taxes/', 'rental.report_taxes', '{vendor,admin}', 200, 'read', 'analytics', 'Taxes by rate', true);
