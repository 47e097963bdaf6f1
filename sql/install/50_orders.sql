-- Orders, their items, and the reservations that take stock for them.

CREATE TABLE orders (
	id uuid NOT NULL DEFAULT rental.uuid7(),
	vendor_id uuid NOT NULL,
	number text NOT NULL,
	customer_id uuid NOT NULL REFERENCES users,
	status text NOT NULL CHECK (status IN ('draft', 'quoted', 'pending', 'confirmed', 'active', 'returned', 'completed',
		'cancelled', 'rejected', 'expired')),
	currency text NOT NULL,
	subtotal numeric NOT NULL,
	discount numeric NOT NULL DEFAULT 0,
	tax numeric NOT NULL DEFAULT 0,
	deposit numeric NOT NULL DEFAULT 0,
	total numeric NOT NULL CHECK (total = subtotal - discount + tax),
	paid numeric NOT NULL DEFAULT 0,
	note text CHECK (length(note) <= 4000),
	expires_at timestamptz,
	created_at timestamptz NOT NULL DEFAULT rental.now(),
	updated_at timestamptz NOT NULL DEFAULT rental.now(),
	PRIMARY KEY (id, vendor_id),
	UNIQUE (vendor_id, number),
	FOREIGN KEY (vendor_id, currency) REFERENCES vendors (id, currency)
) WITH (fillfactor = 80);
CREATE INDEX ON orders (vendor_id, id);
CREATE INDEX ON orders (customer_id, id);
COMMENT ON TABLE orders IS 'Orders of one customer with one vendor.';
COMMENT ON COLUMN orders.number IS 'ORD-year-number, counted by vendor and year';
COMMENT ON COLUMN orders.status IS 'changed only along rental.order_transitions()';
COMMENT ON COLUMN orders.paid IS 'charges that succeeded less refunds, without deposits';
COMMENT ON COLUMN orders.expires_at IS 'a pending order holds its stock until then; null once it is confirmed or ended';

CREATE TABLE order_items (
	id uuid NOT NULL DEFAULT rental.uuid7(),
	vendor_id uuid NOT NULL,
	order_id uuid NOT NULL,
	product_id uuid NOT NULL,
	location_id uuid NOT NULL,
	quantity integer NOT NULL CHECK (quantity BETWEEN 1 AND 1000000),
	start_at timestamptz NOT NULL,
	end_at timestamptz NOT NULL CHECK (end_at > start_at),
	unit_price numeric NOT NULL CHECK (unit_price >= 0),
	total numeric NOT NULL CHECK (total = unit_price * quantity),
	dispatched integer NOT NULL DEFAULT 0,
	returned integer NOT NULL DEFAULT 0,
	PRIMARY KEY (id, vendor_id),
	FOREIGN KEY (order_id, vendor_id) REFERENCES orders (id, vendor_id),
	FOREIGN KEY (product_id, vendor_id) REFERENCES products (id, vendor_id),
	FOREIGN KEY (location_id, vendor_id) REFERENCES locations (id, vendor_id),
	CHECK (0 <= returned AND returned <= dispatched AND dispatched <= quantity)
) WITH (fillfactor = 80);
CREATE INDEX ON order_items (order_id);
COMMENT ON TABLE order_items IS 'The lines of an order.';
COMMENT ON COLUMN order_items.unit_price IS 'for one piece over the whole period';

CREATE TABLE order_events (
	id uuid NOT NULL DEFAULT rental.uuid7(),
	vendor_id uuid NOT NULL,
	order_id uuid NOT NULL,
	kind text NOT NULL,
	actor_id uuid,
	data jsonb,
	created_at timestamptz NOT NULL DEFAULT rental.now(),
	PRIMARY KEY (order_id, id, vendor_id),
	FOREIGN KEY (order_id, vendor_id) REFERENCES orders (id, vendor_id)
);
COMMENT ON TABLE order_events IS 'What happened to each order, by whom and when.';
COMMENT ON COLUMN order_events.actor_id IS 'null: the system';

-- Domains, since PostgreSQL reads a table's CHECK constraints anew for every INSERT and keeps those of domains.
CREATE DOMAIN reservation_state AS text CHECK (VALUE IN ('hold', 'firm', 'out', 'released'));
CREATE DOMAIN reservation_quantity AS integer CHECK (VALUE BETWEEN 1 AND 1000000);

CREATE TABLE reservations (
	vendor_id uuid NOT NULL,
	id uuid NOT NULL DEFAULT rental.uuid7(),
	product_id uuid NOT NULL,
	location_id uuid NOT NULL,
	order_item_id uuid,
	unit_id uuid,
	quantity reservation_quantity NOT NULL,
	state reservation_state NOT NULL,
	period tstzrange NOT NULL,
	blocked tstzrange NOT NULL,
	expires_at timestamptz,
	created_at timestamptz NOT NULL DEFAULT rental.now(),
	PRIMARY KEY (id, vendor_id),
	FOREIGN KEY (product_id, location_id, vendor_id) REFERENCES stock (product_id, location_id, vendor_id),
	FOREIGN KEY (order_item_id, vendor_id) REFERENCES order_items (id, vendor_id),
	FOREIGN KEY (unit_id, vendor_id) REFERENCES units (id, vendor_id)
) WITH (fillfactor = 80);
CREATE INDEX ON reservations (order_item_id);
CREATE INDEX ON reservations (product_id, location_id, expires_at) WHERE expires_at IS NOT NULL; -- holds; cheaper to decide for each INSERT than their state
COMMENT ON TABLE reservations IS
	'Stock taken over time: the truth that timelines are derived from. A trigger refuses, for every caller, what the stock cannot serve.';
COMMENT ON COLUMN reservations.unit_id IS 'the unit that the customer asked for, or null';
COMMENT ON COLUMN reservations.period IS 'the customer''s own period, [start, end), within blocked; the trigger refuses anything else';
COMMENT ON COLUMN reservations.blocked IS 'the period with its buffers: what is taken from the stock; without an end for what is sold';
COMMENT ON COLUMN reservations.state IS 'hold (until expires_at), firm, out (with the customer), released (takes nothing)';

CREATE TABLE unit_assignments (
	id uuid NOT NULL DEFAULT rental.uuid7(),
	vendor_id uuid NOT NULL,
	reservation_id uuid NOT NULL,
	unit_id uuid NOT NULL,
	blocked tstzrange NOT NULL CHECK (NOT isempty(blocked)),
	PRIMARY KEY (id, vendor_id),
	FOREIGN KEY (reservation_id, vendor_id) REFERENCES reservations (id, vendor_id),
	FOREIGN KEY (unit_id, vendor_id) REFERENCES units (id, vendor_id),
	CONSTRAINT unit_assignments_overlap EXCLUDE USING gist (unit_id WITH =, blocked WITH &&, vendor_id WITH =)
);
CREATE INDEX ON unit_assignments (reservation_id, vendor_id);
COMMENT ON TABLE unit_assignments IS 'Which unit serves which reservation, and when; no unit serves two at once.';

CREATE TRIGGER stock_reservation_changed AFTER INSERT OR UPDATE OR DELETE ON reservations
	FOR EACH ROW EXECUTE FUNCTION stock_reservation_changed();
-- The foreign key to stock keeps dumps in order and stock from being deleted. That the stock is there when a reservation is
-- written, stock_reservation_changed sees anyway under the lock of its timeline, so this half need not be asked twice.
DO $$
DECLARE
	check_trigger name;
BEGIN
	FOR check_trigger IN SELECT t.tgname FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_constraint c ON c.oid = t.tgconstraint
		WHERE t.tgrelid = 'rental.reservations'::regclass AND c.contype = 'f' AND c.conrelid = t.tgrelid AND c.confrelid = 'rental.stock'::regclass
	LOOP
		EXECUTE format('ALTER TABLE rental.reservations DISABLE TRIGGER %I', check_trigger);
	END LOOP;
END $$;
CREATE TRIGGER reservation_kept BEFORE TRUNCATE ON reservations FOR EACH STATEMENT EXECUTE FUNCTION stock_fixed();
ALTER TABLE reservations ENABLE ALWAYS TRIGGER stock_reservation_changed;

CREATE FUNCTION unit_assignment_guard() RETURNS trigger
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
CREATE TRIGGER unit_assignment_guard AFTER INSERT OR UPDATE ON unit_assignments FOR EACH ROW EXECUTE FUNCTION unit_assignment_guard();

CREATE VIEW order_item_view AS
SELECT i.id, i.order_id, i.product_id, p.name AS product_name, i.location_id, i.quantity, i.start_at, i.end_at, i.unit_price, i.total,
	i.dispatched, i.returned,
	ARRAY(SELECT u.code FROM reservations r
		JOIN unit_assignments a ON a.reservation_id = r.id AND a.vendor_id = r.vendor_id
		JOIN units u ON u.id = a.unit_id AND u.vendor_id = a.vendor_id
		WHERE r.order_item_id = i.id ORDER BY u.code) AS units
FROM order_items i
JOIN products p ON p.id = i.product_id AND p.vendor_id = i.vendor_id;
COMMENT ON VIEW order_item_view IS 'A line of an order; unit_price is for one piece over the whole period.';

CREATE VIEW order_view AS
SELECT o.id, o.number, o.vendor_id, o.customer_id, o.status, o.currency, o.subtotal, o.discount, o.tax, o.deposit, o.total,
	o.total - o.paid AS balance,
	o.note, o.expires_at, o.created_at, o.updated_at,
	ARRAY(SELECT i FROM order_item_view i WHERE i.order_id = o.id ORDER BY i.id) AS items
FROM orders o;
COMMENT ON VIEW order_view IS 'An order with its lines; balance is what is still to be paid.';
CREATE TYPE order_page AS (count bigint, next text, previous text, results order_view[]);

CREATE VIEW order_event_view AS SELECT id, order_id, kind, actor_id, data, created_at FROM order_events;
COMMENT ON VIEW order_event_view IS 'Something that happened to an order; actor_id is null for the system.';
CREATE TYPE order_event_page AS (count bigint, next text, previous text, results order_event_view[]);

CREATE FUNCTION order_transitions(OUT action text, OUT from_status text, OUT to_status text, OUT actor text) RETURNS SETOF record
	LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_transitions() IS 'Every change of status that there is, and who may cause it; any other is refused.';

CREATE FUNCTION order_guard() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME';
CREATE TRIGGER order_guard BEFORE UPDATE OF status ON orders FOR EACH ROW EXECUTE FUNCTION order_guard();

CREATE DOMAIN order_items_request AS jsonb;
COMMENT ON DOMAIN order_items_request IS
	'A list of 1 to 100 objects {product_id, quantity, start_at, end_at, location_id?, unit_ids?}.';

CREATE FUNCTION order_place(items order_items_request, vendor_id uuid DEFAULT NULL, note text DEFAULT NULL, customer_id uuid DEFAULT NULL)
	RETURNS order_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_place(order_items_request, uuid, text, uuid) IS
	'Places an order with one vendor and holds its stock, all or nothing, until expires_at. A vendor or administrator may place it for a customer. Errors: insufficient_stock, invalid_period, invalid_value, not_found, forbidden.';
CREATE FUNCTION order_get(order_id uuid) RETURNS order_view
	LANGUAGE c STRICT STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_get(uuid) IS 'One order of the caller. Error: not_found, also when it is somebody else''s.';
CREATE FUNCTION order_list(status text DEFAULT NULL, page_size integer DEFAULT 20, cursor text DEFAULT NULL, count text DEFAULT NULL)
	RETURNS order_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_list(text, integer, text, text) IS 'The caller''s orders, newest first: a customer''s own, a vendor''s, or all for an administrator.';
CREATE FUNCTION order_event_list(order_id uuid, page_size integer DEFAULT 20, cursor text DEFAULT NULL, count text DEFAULT NULL)
	RETURNS order_event_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_event_list(uuid, integer, text, text) IS 'What happened to an order, oldest first. Error: not_found.';
CREATE FUNCTION order_confirm(order_id uuid) RETURNS order_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_confirm(uuid) IS
	'The vendor accepts a pending order: its stock becomes firm. An order whose hold has expired is confirmed if its stock is still free. Errors: not_found, forbidden, invalid_state, insufficient_stock.';
CREATE FUNCTION order_cancel(order_id uuid, reason text DEFAULT NULL) RETURNS order_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_cancel(uuid, text) IS 'Ends an order that has not begun and gives its stock back. Errors: not_found, invalid_state.';
CREATE FUNCTION order_dispatch(order_id uuid) RETURNS order_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_dispatch(uuid) IS 'All items go out to the customer. Errors: not_found, forbidden, invalid_state.';
CREATE FUNCTION order_assign_units(order_id uuid) RETURNS order_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_assign_units(uuid) IS
	'Chooses units for all serialised items that have none yet, all or none: those that leave the fewest gaps too short to rent out. Errors: not_found, forbidden, insufficient_stock.';
CREATE FUNCTION order_swap_unit(order_id uuid, from_unit_id uuid, unit_id uuid) RETURNS order_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_swap_unit(uuid, uuid, uuid) IS
	'Gives an order another unit in place of one of its own. Errors: not_found, forbidden, insufficient_stock, conflict.';
CREATE FUNCTION stock_expire_holds() RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stock_expire_holds() IS 'Job: ends up to 1000 pending orders whose hold has expired, and returns how many. Stock is free without it, too.';
CREATE FUNCTION stock_widen_overdue(step interval DEFAULT '1 day') RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stock_widen_overdue(interval) IS
	'Job: what is out past its end goes on blocking stock for a step from now; returns how many reservations. Promises that can no longer be kept show in shortages.';
CREATE FUNCTION order_return(order_id uuid, returned_at timestamptz DEFAULT NULL) RETURNS order_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_return(uuid, timestamptz) IS
	'All items are back; their stock is free from then on. returned_at is now if it is not given. Errors: not_found, forbidden, invalid_state, invalid_value.';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('GET', '/api/orders/orders/', 'rental.order_list', '{user}', 200, 'read', 'orders', 'Own orders', true),
	('POST', '/api/orders/orders/', 'rental.order_place', '{user}', 201, 'write', 'orders', 'Place an order', true),
	('GET', '/api/orders/orders/{order_id}/', 'rental.order_get', '{user}', 200, 'read', 'orders', 'One order', true),
	('GET', '/api/orders/orders/{order_id}/events/', 'rental.order_event_list', '{user}', 200, 'read', 'orders', 'History of an order', true),
	('POST', '/api/orders/orders/{order_id}/confirm/', 'rental.order_confirm', '{vendor,admin}', 200, 'write', 'orders', 'Confirm an order', true),
	('POST', '/api/orders/orders/{order_id}/cancel/', 'rental.order_cancel', '{user}', 200, 'write', 'orders', 'Cancel an order', true),
	('POST', '/api/orders/orders/{order_id}/dispatch/', 'rental.order_dispatch', '{vendor,admin}', 200, 'write', 'orders', 'Hand the items out', true),
	('POST', '/api/orders/orders/{order_id}/units/', 'rental.order_assign_units', '{vendor,admin}', 200, 'write', 'orders', 'Choose units', true),
	('POST', '/api/orders/orders/{order_id}/units/swap/', 'rental.order_swap_unit', '{vendor,admin}', 200, 'write', 'orders', 'Swap a unit', true),
	('POST', '/api/orders/orders/{order_id}/return/', 'rental.order_return', '{vendor,admin}', 200, 'write', 'orders', 'Take the items back', true);
