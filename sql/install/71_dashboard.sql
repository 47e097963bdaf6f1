-- The dashboard, one call that tells where things stand and what to do, and metrics.

CREATE INDEX orders_open ON orders (vendor_id, status) WHERE status IN ('pending', 'confirmed', 'active');
CREATE INDEX orders_pending ON orders (created_at, id) INCLUDE (expires_at) WHERE status = 'pending';
CREATE INDEX invoices_open ON invoices (vendor_id, due_at) WHERE status IN ('issued', 'partly_paid') AND kind = 'invoice';
CREATE INDEX facts_delta_vendor ON facts_delta (vendor_id);

CREATE TYPE dashboard_trend AS (period text, days integer, currency text, orders bigint, orders_before bigint, ordered numeric, ordered_before numeric,
	billed numeric, billed_before numeric, paid numeric, paid_before numeric, recognised numeric, recognised_before numeric);
COMMENT ON TYPE dashboard_trend IS
	'Figures, as in the report revenue, of the last days on the vendor''s clock, today being the last, and of as many days before: today, week (7) and month (30). Nothing in it is null.';
CREATE TYPE dashboard_queue AS (queue text, count bigint, first_at timestamptz, ids uuid[]);
COMMENT ON TYPE dashboard_queue IS
	'What waits to be done: confirm (pending orders, since created), dispatch (orders with items that start by the end of today and are not out), return (orders with items that are due today), overdue (orders with items that are past due), invoices_overdue (invoices past due) and shortages (orders whose stock is missing). ids has the first ten. Only first_at may be null.';
CREATE TYPE dashboard_view AS (at timestamptz, vendor_id uuid, trends dashboard_trend[], queues dashboard_queue[]);
COMMENT ON TYPE dashboard_view IS 'Where a vendor stands, or all of them if vendor_id is null.';
CREATE FUNCTION dashboard_get(vendor_id uuid DEFAULT NULL) RETURNS dashboard_view
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION dashboard_get(uuid) IS
	'Today''s figures, trends against the days before, and what is to be done. A vendor sees its own; an administrator or analyst all, or one. Errors: forbidden, not_found.';

CREATE TYPE metric_row AS (name text, currency text, unit text, value numeric);
COMMENT ON TYPE metric_row IS 'A key figure; currency is null where it is no amount. value is null where there is nothing to divide by.';
CREATE FUNCTION metric_list("from" timestamptz DEFAULT NULL, "to" timestamptz DEFAULT NULL, vendor_id uuid DEFAULT NULL) RETURNS SETOF metric_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION metric_list(timestamptz, timestamptz, uuid) IS
	'Key figures of [from, to), by default the last 30 days, each from the report that has it: orders, ordered, average_order, billed, paid, recognised (revenue), cancellation_rate (cancellations), utilisation and return_annualised (utilisation), and of now: receivable (receivables), deposits_held (deposits), overdue_items (overdue). A vendor sees its own; an administrator or analyst all, or one. Errors: invalid_period, forbidden.';
INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('GET', '/api/analytics/dashboard/', 'rental.dashboard_get', '{vendor,admin}', 200, 'read', 'analytics', 'Where things stand, and what to do', true),
	('GET', '/api/analytics/metrics/', 'rental.metric_list', '{vendor,admin}', 200, 'read', 'analytics', 'Key figures', true);
