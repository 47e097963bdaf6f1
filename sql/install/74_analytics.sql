-- What analysts read: views in a schema of their own, which stay what they are while the tables behind them change.
--
-- Version 1. A column is never renamed, removed, or given another type or meaning; new ones come at the end. A view that
-- must break this comes beside the old one, as schema rental_analytics_2 (doc/analytics.md). No view tells who somebody is:
-- customers are ids, and what people wrote by hand stays out.

CREATE SCHEMA rental_analytics;
COMMENT ON SCHEMA rental_analytics IS 'Views and functions for analysts, version 1; see doc/analytics.md.';

CREATE VIEW rental_analytics.vendors AS
SELECT id AS vendor_id, name, slug, currency, time_zone, commission, is_active, created_at FROM vendors;
COMMENT ON VIEW rental_analytics.vendors IS 'Businesses; commission in percent.';

CREATE VIEW rental_analytics.customers AS
SELECT u.id AS customer_id, u.is_active, u.erased_at IS NOT NULL AS is_erased, u.created_at FROM users u WHERE u.role = 'customer';
COMMENT ON VIEW rental_analytics.customers IS 'Customers by a pseudonym, their id; nothing here says who they are.';

CREATE VIEW rental_analytics.categories AS
SELECT id AS category_id, parent_id, name, slug FROM categories;
COMMENT ON VIEW rental_analytics.categories IS 'The tree of categories; parent_id is null at the top.';

CREATE VIEW rental_analytics.locations AS
SELECT vendor_id, id AS location_id, name FROM locations;
COMMENT ON VIEW rental_analytics.locations IS 'Where vendors keep their stock.';

CREATE VIEW rental_analytics.products AS
SELECT p.vendor_id, p.id AS product_id, p.category_id, p.name, p.kind, p.tracking, p.replacement_value, v.currency, p.is_active, p.created_at
FROM products p JOIN vendors v ON v.id = p.vendor_id;
COMMENT ON VIEW rental_analytics.products IS 'What is rented out or sold: kind rental or sale, tracking bulk, serialised or kit; replacement_value of a piece in currency.';

CREATE VIEW rental_analytics.units AS
SELECT vendor_id, id AS unit_id, product_id, location_id, code, lower(in_service) AS in_service_from, upper(in_service) AS in_service_to, created_at FROM units;
COMMENT ON VIEW rental_analytics.units IS 'Numbered pieces; in_service_from and in_service_to are null where there is no limit.';

CREATE VIEW rental_analytics.stock AS
SELECT vendor_id, product_id, location_id, quantity FROM stock;
COMMENT ON VIEW rental_analytics.stock IS 'Counted pieces of a product at a location; numbered units count besides.';

CREATE VIEW rental_analytics.orders AS
SELECT vendor_id, id AS order_id, number, customer_id, status, currency, subtotal, discount, tax, fee, waiver, total, charges, cancellation_fee, paid, deposit,
	delivery ->> 'method' AS delivery_method, expires_at, created_at, updated_at
FROM orders;
COMMENT ON VIEW rental_analytics.orders IS 'Orders; total = subtotal - discount + tax + fee + waiver, charges come on top. delivery_method is pickup, delivery or null.';

CREATE VIEW rental_analytics.order_items AS
SELECT i.vendor_id, i.order_id, i.id AS order_item_id, i.product_id, i.location_id, i.quantity, i.start_at, i.end_at, o.currency, i.unit_price, i.subtotal, i.discount, i.tax,
	i.total, i.dispatched, i.returned, i.damaged, i.lost, i.created_at
FROM order_items i JOIN orders o ON o.id = i.order_id AND o.vendor_id = i.vendor_id;
COMMENT ON VIEW rental_analytics.order_items IS 'Lines of orders: subtotal = unit_price * quantity, total = subtotal - discount + tax; of quantity pieces so many went out, are settled, came back damaged, are lost.';

CREATE VIEW rental_analytics.order_charges AS
SELECT c.vendor_id, c.order_id, c.id AS charge_id, c.order_item_id, c.kind, c.quantity, c.amount, o.currency, c.created_at
FROM order_charges c JOIN orders o ON o.id = c.order_id AND o.vendor_id = c.vendor_id;
COMMENT ON VIEW rental_analytics.order_charges IS 'What came on top of orders: damage, loss, late, early_return and credit (below zero), other.';

CREATE VIEW rental_analytics.order_events AS
SELECT vendor_id, order_id, id AS event_id, kind, created_at FROM order_events;
COMMENT ON VIEW rental_analytics.order_events IS 'What happened to orders, and when.';

CREATE VIEW rental_analytics.reservations AS
SELECT vendor_id, id AS reservation_id, product_id, location_id, order_item_id, unit_id, quantity::integer AS quantity, state::text AS state, lower(period) AS start_at, upper(period) AS end_at,
	lower(blocked) AS blocked_from, upper(blocked) AS blocked_to, expires_at, created_at
FROM reservations;
COMMENT ON VIEW rental_analytics.reservations IS
	'Stock that is taken over time: by hold (until expires_at), firm, out, or not any more (released). blocked_from and blocked_to have the buffers; blocked_to is null for what was sold.';

CREATE VIEW rental_analytics.invoices AS
SELECT vendor_id, id AS invoice_id, order_id, kind, credits_id, number, status, currency, subtotal, tax, tax_included, total, paid, credited, written_off, dunning_level,
	period_start, period_end, issued_at, due_at, created_at
FROM invoices;
COMMENT ON VIEW rental_analytics.invoices IS 'Invoices and credit notes, whose amounts are below zero; open is total - paid - credited - written_off. Drafts have no number.';

CREATE VIEW rental_analytics.invoice_lines AS
SELECT l.vendor_id, l.invoice_id, l.line, l.kind, l.ref, l.quantity, l.unit_price, l.total, l.tax, n.currency, l.start_at, l.end_at
FROM invoice_lines l JOIN invoices n ON n.id = l.invoice_id AND n.vendor_id = l.vendor_id;
COMMENT ON VIEW rental_analytics.invoice_lines IS 'Lines of invoices; ref is the order''s line (kind item), charge, or the order. total is without the tax that is added.';

CREATE VIEW rental_analytics.invoice_taxes AS
SELECT t.vendor_id, t.invoice_id, t.line, t.n, t.name, t.percent, t.is_inclusive, t.is_reverse, t.taxable, t.tax, n.currency
FROM invoice_taxes t JOIN invoices n ON n.id = t.invoice_id AND n.vendor_id = t.vendor_id;
COMMENT ON VIEW rental_analytics.invoice_taxes IS 'Taxes of each line of an invoice.';

CREATE VIEW rental_analytics.payments AS
SELECT vendor_id, id AS payment_id, order_id, invoice_id, parent_id, kind, amount, currency, method, gateway, status, refunded, captured, released, commission, created_at FROM payments;
COMMENT ON VIEW rental_analytics.payments IS 'Money received (charge, capture), held (deposit) and given back (refund, chargeback); what counts has status succeeded.';

CREATE VIEW rental_analytics.ledger AS
SELECT e.vendor_id, e.posting_id, e.line, a.book, e.account, a.kind AS account_kind, e.amount, e.currency, e.kind, e.customer_id, e.order_id, e.invoice_id, e.payment_id, e.payout_id,
	e.created_at
FROM ledger_entries e JOIN ledger_accounts a ON a.code = e.account;
COMMENT ON VIEW rental_analytics.ledger IS 'Every posting of the double-entry ledger; debit above zero, credit below.';

CREATE VIEW rental_analytics.payouts AS
SELECT vendor_id, id AS payout_id, number, amount, currency, created_at FROM payouts;
COMMENT ON VIEW rental_analytics.payouts IS 'What was paid out to vendors.';

CREATE VIEW rental_analytics.activity AS
SELECT id AS activity_id, vendor_id, kind, product_id, visitor, start_at, end_at, quantity, at FROM activity;
COMMENT ON VIEW rental_analytics.activity IS 'Looks (view), searches by dates (search), steps in carts (cart, checkout); a visitor is one client during a day. Nothing while rental.activity is off.';

CREATE VIEW rental_analytics.lost_demand AS
SELECT vendor_id, id AS lost_demand_id, product_id, location_id, start_at, end_at, quantity, value, currency, reason, source, created_at FROM lost_demand;
COMMENT ON VIEW rental_analytics.lost_demand IS 'What was wanted and was not there: pieces that were missing, what they would have cost, and the last step (search, cart, order). A wish counts once a day.';

-- As of a time

CREATE FUNCTION rental_analytics.orders_as_of(at timestamptz, vendor uuid DEFAULT NULL) RETURNS SETOF rental_analytics.orders
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS $$
	SELECT o.vendor_id, o.id, o.number, o.customer_id, o.status, o.currency, o.subtotal, o.discount, o.tax, o.fee, o.waiver, o.total, o.charges, o.cancellation_fee, o.paid, o.deposit,
		o.delivery ->> 'method', o.expires_at, o.created_at, o.updated_at
	FROM (
		-- what the first change after it replaced
		SELECT (w.o).* FROM (
			SELECT DISTINCT ON (h.order_id) jsonb_populate_record(NULL::orders, h.was) AS o
			FROM order_history h WHERE h.item_id IS NULL AND h.until > $1 AND ($2 IS NULL OR h.vendor_id = $2) ORDER BY h.order_id, h.until, h.id
		) w
		UNION ALL
		SELECT o.* FROM orders o WHERE ($2 IS NULL OR o.vendor_id = $2)
			AND NOT EXISTS (SELECT FROM order_history h WHERE h.order_id = o.id AND h.item_id IS NULL AND h.until > $1)
	) o
	WHERE o.created_at <= $1
$$;
COMMENT ON FUNCTION rental_analytics.orders_as_of(timestamptz, uuid) IS 'The orders of one vendor, or of all, as they were at a time.';

CREATE FUNCTION rental_analytics.order_items_as_of(at timestamptz, vendor uuid DEFAULT NULL) RETURNS SETOF rental_analytics.order_items
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS $$
	SELECT i.vendor_id, i.order_id, i.id, i.product_id, i.location_id, i.quantity, i.start_at, i.end_at, o.currency, i.unit_price, i.subtotal, i.discount, i.tax, i.total,
		i.dispatched, i.returned, i.damaged, i.lost, i.created_at
	FROM (
		SELECT (w.i).* FROM (
			SELECT DISTINCT ON (h.item_id) jsonb_populate_record(NULL::order_items, h.was) AS i
			FROM order_history h WHERE h.item_id IS NOT NULL AND h.until > $1 AND ($2 IS NULL OR h.vendor_id = $2) ORDER BY h.item_id, h.until, h.id
		) w
		UNION ALL
		SELECT i.* FROM order_items i WHERE ($2 IS NULL OR i.vendor_id = $2)
			AND NOT EXISTS (SELECT FROM order_history h WHERE h.order_id = i.order_id AND h.item_id = i.id AND h.until > $1)
	) i
	JOIN orders o ON o.id = i.order_id AND o.vendor_id = i.vendor_id
	WHERE i.created_at <= $1
$$;
COMMENT ON FUNCTION rental_analytics.order_items_as_of(timestamptz, uuid) IS 'The lines of orders of one vendor, or of all, as they were at a time, those included that were removed later.';

CREATE FUNCTION rental_analytics.stock_as_of(at timestamptz, "from" timestamptz, "to" timestamptz, vendor uuid DEFAULT NULL,
	OUT vendor_id uuid, OUT product_id uuid, OUT location_id uuid, OUT capacity integer, OUT promised integer, OUT free integer) RETURNS SETOF record
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS $$
	WITH taken AS (
		SELECT COALESCE(c.component_id, i.product_id) AS product_id, i.location_id, timeline_agg(tstzrange(i.start_at, i.end_at), -(i.quantity - i.returned) * COALESCE(c.quantity, 1)) AS taken
		FROM rental_analytics.orders_as_of($1, $4) o
		JOIN rental_analytics.order_items_as_of($1, $4) i ON i.order_id = o.order_id
		JOIN products p ON p.id = i.product_id AND p.vendor_id = i.vendor_id AND p.kind = 'rental'
		LEFT JOIN product_components c ON c.product_id = p.id AND c.vendor_id = p.vendor_id AND p.tracking = 'kit'
		WHERE (o.status IN ('confirmed', 'active') OR (o.status = 'pending' AND o.expires_at > $1)) AND i.quantity > i.returned AND i.start_at < $3 AND i.end_at > $2
		GROUP BY 1, 2
	), had AS (
		SELECT c.vendor_id, c.product_id, c.location_id, timeline_zero(timeline_agg(c.period, c.quantity), range_agg(c.period) FILTER (WHERE c.closed)) AS capacity
		FROM stock_capacity c WHERE $4 IS NULL OR c.vendor_id = $4 GROUP BY 1, 2, 3
	)
	SELECT h.vendor_id, h.product_id, h.location_id, timeline_min(h.capacity, p.period), COALESCE(-timeline_min(t.taken, p.period), 0),
		timeline_min(COALESCE(h.capacity + t.taken, h.capacity), p.period)
	FROM had h
	CROSS JOIN (SELECT tstzrange($2, $3) AS period) p
	LEFT JOIN taken t ON t.product_id = h.product_id AND t.location_id = h.location_id
$$;
COMMENT ON FUNCTION rental_analytics.stock_as_of(timestamptz, timestamptz, timestamptz, uuid) IS
	'What of each product at each location was promised for [from, to) as orders were at a time: the least capacity in it, by the books of today, the most pieces that were promised at once, and the fewest that were left. Buffers are not counted.';
