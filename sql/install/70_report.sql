-- Reports.

CREATE TYPE revenue_row AS (start_at timestamptz, currency text, orders bigint, billed numeric, paid numeric);
COMMENT ON TYPE revenue_row IS
	'Revenue of one period of a report: orders placed in it and not cancelled, rejected or expired; billed by invoices issued in it; paid by payments made in it.';

CREATE FUNCTION report_revenue("from" timestamptz, "to" timestamptz, granularity text DEFAULT 'month', vendor_id uuid DEFAULT NULL)
	RETURNS SETOF revenue_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_revenue(timestamptz, timestamptz, text, uuid) IS
	'Orders, billed and paid amounts in [from, to) by hour, day, week, month, quarter or year of each vendor''s time zone, and by currency. A vendor sees its own; an administrator or analyst all, or one. Periods without anything are left out. Errors: invalid_period, invalid_field, forbidden.';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('GET', '/api/analytics/reports/revenue/', 'rental.report_revenue', '{vendor,admin}', 200, 'read', 'analytics', 'Revenue over time', true);
