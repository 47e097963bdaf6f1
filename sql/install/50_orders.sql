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
	total numeric NOT NULL,
	paid numeric NOT NULL DEFAULT 0,
	note text CHECK (length(note) <= 4000),
	expires_at timestamptz,
	created_at timestamptz NOT NULL DEFAULT rental.now(),
	updated_at timestamptz NOT NULL DEFAULT rental.now(),
	fee numeric NOT NULL DEFAULT 0,
	charges numeric NOT NULL DEFAULT 0,
	cancellation_fee numeric NOT NULL DEFAULT 0,
	written_off numeric NOT NULL DEFAULT 0 CHECK (written_off >= 0),
	delivery jsonb,
	waiver numeric NOT NULL DEFAULT 0,
	waiver_percent numeric,
	extension jsonb,
	CHECK (total = subtotal - discount + tax + fee + waiver AND fee >= 0 AND waiver >= 0 AND cancellation_fee >= 0),
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
COMMENT ON COLUMN orders.expires_at IS 'a pending order holds its stock, and a quote is good, until then; null for every other order';
COMMENT ON COLUMN orders.subtotal IS 'the sum of the items'' subtotals, as discount and tax are of theirs; a trigger refuses anything else at commit';
COMMENT ON COLUMN orders.total IS 'subtotal - discount + tax + fee + waiver: the items'' totals, the fee and the waiver';
COMMENT ON COLUMN orders.fee IS 'for delivery';
COMMENT ON COLUMN orders.waiver IS 'the damage waiver: waiver_percent of the items that are not exempt, after discounts and before taxes';
COMMENT ON COLUMN orders.waiver_percent IS 'that of the vendor when the order was placed; null: the customer took no waiver';
COMMENT ON COLUMN orders.charges IS 'the sum of order_charges, which come on top of the total';
COMMENT ON COLUMN orders.cancellation_fee IS 'what is owed of a cancelled order in place of its total';
COMMENT ON COLUMN orders.written_off IS 'of its invoices: nobody is asked for it any more';
COMMENT ON COLUMN orders.delivery IS '{method: pickup or delivery, address: {recipient, line1, line2, postal_code, city, region, country}}; null: nothing was said';

COMMENT ON COLUMN orders.extension IS 'what the customer asked the vendor to keep longer: {end_at or items, difference: what it would have cost then}; null: nothing. It takes no stock';

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
	subtotal numeric NOT NULL,
	discount numeric NOT NULL DEFAULT 0,
	tax numeric NOT NULL DEFAULT 0,
	total numeric NOT NULL,
	dispatched integer NOT NULL DEFAULT 0,
	returned integer NOT NULL DEFAULT 0,
	damaged integer NOT NULL DEFAULT 0,
	lost integer NOT NULL DEFAULT 0,
	waiver_exempt boolean NOT NULL DEFAULT false,
	created_at timestamptz NOT NULL DEFAULT rental.now(),
	taxes jsonb,
	CHECK (subtotal = unit_price * quantity AND total = subtotal - discount + tax),
	CHECK (dispatched BETWEEN 0 AND quantity AND returned BETWEEN 0 AND dispatched AND damaged >= 0 AND lost >= 0 AND damaged + lost <= returned),
	PRIMARY KEY (id, vendor_id),
	FOREIGN KEY (order_id, vendor_id) REFERENCES orders (id, vendor_id),
	FOREIGN KEY (product_id, vendor_id) REFERENCES products (id, vendor_id),
	FOREIGN KEY (location_id, vendor_id) REFERENCES locations (id, vendor_id),
	CHECK (0 <= returned AND returned <= dispatched AND dispatched <= quantity)
) WITH (fillfactor = 80);
CREATE INDEX ON order_items (order_id);
COMMENT ON TABLE order_items IS 'The lines of an order.';
COMMENT ON COLUMN order_items.unit_price IS 'for one piece over the whole period';
COMMENT ON COLUMN order_items.subtotal IS 'unit_price * quantity';
COMMENT ON COLUMN order_items.total IS 'subtotal - discount + tax';
COMMENT ON COLUMN order_items.taxes IS 'as they were when it was priced: a list of {name, percent, is_inclusive, is_reverse, place}; null: none';
COMMENT ON COLUMN order_items.dispatched IS 'pieces that went out';
COMMENT ON COLUMN order_items.returned IS 'pieces of those that are settled: back, in whatever condition, or lost';
COMMENT ON COLUMN order_items.damaged IS 'pieces of those that came back damaged';
COMMENT ON COLUMN order_items.lost IS 'pieces of those that never came back';
COMMENT ON COLUMN order_items.waiver_exempt IS 'no damage waiver is for it, as its product was when it was ordered';

CREATE TABLE order_charges (
	id uuid NOT NULL DEFAULT rental.uuid7(),
	vendor_id uuid NOT NULL,
	order_id uuid NOT NULL,
	order_item_id uuid,
	kind text NOT NULL CHECK (kind IN ('damage', 'loss', 'late', 'early_return', 'credit', 'interest', 'other')),
	quantity integer NOT NULL CHECK (quantity >= 1),
	amount numeric NOT NULL CHECK (amount >= 0 OR kind IN ('early_return', 'credit')),
	reason text CHECK (length(reason) <= 1000),
	created_at timestamptz NOT NULL DEFAULT rental.now(),
	PRIMARY KEY (id, vendor_id),
	FOREIGN KEY (order_id, vendor_id) REFERENCES orders (id, vendor_id),
	FOREIGN KEY (order_item_id, vendor_id) REFERENCES order_items (id, vendor_id)
);
CREATE INDEX ON order_charges (order_id);
COMMENT ON TABLE order_charges IS 'What comes on top of an order''s total.';
COMMENT ON COLUMN order_charges.kind IS 'damage and loss: up to the replacement value; late; early_return and credit (of a credit note): below zero; interest: of an invoice that was paid late; other';
COMMENT ON COLUMN order_charges.quantity IS 'pieces that it is for';
COMMENT ON COLUMN order_charges.amount IS 'for all of them, in the order''s currency';

CREATE TABLE order_returns (
	id uuid NOT NULL DEFAULT rental.uuid7(),
	vendor_id uuid NOT NULL,
	order_item_id uuid NOT NULL,
	quantity integer NOT NULL CHECK (quantity >= 1),
	returned_at timestamptz NOT NULL,
	PRIMARY KEY (id, vendor_id),
	FOREIGN KEY (order_item_id, vendor_id) REFERENCES order_items (id, vendor_id)
);
CREATE INDEX ON order_returns (order_item_id);
COMMENT ON TABLE order_returns IS 'When pieces of a line came back, or were settled as lost.';

CREATE TABLE order_quotes (
	id uuid NOT NULL DEFAULT rental.uuid7(),
	vendor_id uuid NOT NULL,
	order_id uuid NOT NULL,
	version integer NOT NULL CHECK (version >= 1),
	items jsonb NOT NULL,
	subtotal numeric NOT NULL,
	discount numeric NOT NULL,
	tax numeric NOT NULL,
	fee numeric NOT NULL,
	waiver numeric NOT NULL,
	deposit numeric NOT NULL,
	total numeric NOT NULL,
	valid_until timestamptz NOT NULL,
	note text CHECK (length(note) <= 4000),
	created_at timestamptz NOT NULL,
	PRIMARY KEY (order_id, version, vendor_id),
	FOREIGN KEY (order_id, vendor_id) REFERENCES orders (id, vendor_id)
);
COMMENT ON TABLE order_quotes IS 'Offers made for an order, as they were made; the one with the highest version counts.';
COMMENT ON COLUMN order_quotes.items IS 'the lines as they were offered; amounts are decimal strings';

CREATE TABLE order_contracts (
	vendor_id uuid NOT NULL,
	order_id uuid NOT NULL,
	terms_version text,
	signature text CHECK (length(signature) <= 200000),
	accepted_by uuid,
	client_address text,
	accepted_at timestamptz NOT NULL,
	PRIMARY KEY (order_id, vendor_id),
	FOREIGN KEY (order_id, vendor_id) REFERENCES orders (id, vendor_id),
	FOREIGN KEY (vendor_id, terms_version) REFERENCES order_terms (vendor_id, version)
);
COMMENT ON TABLE order_contracts IS 'Which terms were accepted with an order, when, by whom and from where.';
COMMENT ON COLUMN order_contracts.signature IS 'a data: URL of an image, or an https reference to one';
COMMENT ON COLUMN order_contracts.accepted_by IS 'null: the system';
COMMENT ON COLUMN order_contracts.client_address IS 'of the HTTP client; null in SQL';

CREATE TABLE order_history (
	id uuid NOT NULL DEFAULT rental.uuid7(),
	vendor_id uuid NOT NULL,
	order_id uuid NOT NULL,
	item_id uuid,
	until timestamptz NOT NULL,
	was jsonb NOT NULL,
	PRIMARY KEY (order_id, id, vendor_id),
	FOREIGN KEY (order_id, vendor_id) REFERENCES orders (id, vendor_id)
);
COMMENT ON TABLE order_history IS 'Rows of orders and order_items as they were before each change; triggers write it.';
COMMENT ON COLUMN order_history.item_id IS 'null: it is the order''s own row';
COMMENT ON COLUMN order_history.until IS 'when it ceased to be so';

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
SELECT i.id, i.order_id, i.product_id, p.name AS product_name, i.location_id, i.quantity, i.start_at, i.end_at, i.unit_price,
	i.subtotal, i.discount, i.tax, i.total, i.dispatched, i.returned, i.damaged, i.lost,
	ARRAY(SELECT u.code FROM reservations r
		JOIN unit_assignments a ON a.reservation_id = r.id AND a.vendor_id = r.vendor_id
		JOIN units u ON u.id = a.unit_id AND u.vendor_id = a.vendor_id
		WHERE r.order_item_id = i.id ORDER BY u.code) AS units,
	p.kind <> 'sale' AND i.dispatched > i.returned AND i.end_at < rental.now() AS overdue
FROM order_items i
JOIN products p ON p.id = i.product_id AND p.vendor_id = i.vendor_id;
COMMENT ON VIEW order_item_view IS 'A line of an order; unit_price is for one piece over the whole period.';

CREATE VIEW order_view AS
SELECT o.id, o.number, o.vendor_id, o.customer_id, o.status, o.currency, o.subtotal, o.discount, o.tax, o.fee, o.waiver, o.deposit, o.total, o.charges,
	o.cancellation_fee, CASE WHEN o.paid < d.due THEN GREATEST(d.due - o.paid - o.written_off, 0 * o.paid) ELSE d.due - o.paid END AS balance,
	GREATEST(o.paid - d.due, 0 * o.paid) AS refund_due, o.paid + o.written_off >= d.due AS is_paid,
	l.out > 0 AND l.out < l.pieces AS partly_out, l.back > 0 AND l.back < l.out AS partly_returned, l.overdue,
	o.delivery, o.note, o.expires_at, o.created_at, o.updated_at,
	CASE WHEN o.status IN ('pending', 'confirmed', 'active') THEN o.extension END AS extension, l.items
FROM orders o
CROSS JOIN LATERAL (SELECT CASE WHEN o.status IN ('cancelled', 'rejected', 'expired') THEN o.cancellation_fee ELSE o.total + o.charges END AS due) d
CROSS JOIN LATERAL (
	SELECT COALESCE(array_agg(s.i), '{}') AS items, COALESCE(sum((s.i).quantity), 0) AS pieces, COALESCE(sum((s.i).dispatched), 0) AS out,
		COALESCE(sum((s.i).returned), 0) AS back, COALESCE(bool_or((s.i).overdue), false) AS overdue
	FROM (SELECT i FROM order_item_view i WHERE i.order_id = o.id ORDER BY i.id) s (i)
) l;
COMMENT ON VIEW order_view IS 'An order with its lines.';
COMMENT ON COLUMN order_view.balance IS 'what is still to be paid of total and charges, or of the cancellation fee of an order that ended early, less what was written off; below zero: to be refunded';
COMMENT ON COLUMN order_view.refund_due IS 'what was paid and is to be given back';
COMMENT ON COLUMN order_view.is_paid IS 'nothing is still to be paid';
COMMENT ON COLUMN order_view.partly_out IS 'some pieces went out, and others not yet';
COMMENT ON COLUMN order_view.partly_returned IS 'some of the pieces that went out are settled, and others not yet';
COMMENT ON COLUMN order_view.extension IS 'what the customer asked to keep longer, which waits for the vendor: end_at or items, and difference, by which the total would grow; null: nothing';
COMMENT ON COLUMN order_view.overdue IS 'some piece is out past its end';
CREATE TYPE order_page AS (count bigint, next text, previous text, results order_view[]);

CREATE VIEW order_quote_view AS
SELECT id, order_id, version, items, subtotal, discount, tax, fee, waiver, deposit, total, valid_until, note, created_at FROM order_quotes;
COMMENT ON VIEW order_quote_view IS 'An offer, as it was made.';
CREATE TYPE order_quote_page AS (count bigint, next text, previous text, results order_quote_view[]);

CREATE VIEW order_charge_view AS
SELECT id, order_id, order_item_id, kind, quantity, amount, reason, created_at FROM order_charges;
COMMENT ON VIEW order_charge_view IS 'What comes on top of an order''s total.';
CREATE TYPE order_charge_page AS (count bigint, next text, previous text, results order_charge_view[]);

CREATE VIEW order_contract_view AS
SELECT c.order_id, c.terms_version, t.terms, c.signature, c.accepted_by, c.client_address, c.accepted_at
FROM order_contracts c LEFT JOIN order_terms t ON t.vendor_id = c.vendor_id AND t.version = c.terms_version;
COMMENT ON VIEW order_contract_view IS 'Which terms were accepted with an order, when, by whom and from where.';

CREATE VIEW order_event_view AS SELECT id, order_id, kind, actor_id, data, created_at FROM order_events;
COMMENT ON VIEW order_event_view IS 'Something that happened to an order; actor_id is null for the system.';
CREATE TYPE order_event_page AS (count bigint, next text, previous text, results order_event_view[]);

CREATE FUNCTION order_transitions(OUT action text, OUT from_status text, OUT to_status text, OUT actor text, OUT follows boolean) RETURNS SETOF record
	LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_transitions() IS
	'Every change of status that there is, and who may cause it; any other is refused. from_status is null where an order begins; a status that follows comes from the items and is set by nobody.';

CREATE FUNCTION order_guard() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_guard() IS 'Refuses a change of status that is none of order_transitions(), or that does not follow from the items.';
CREATE TRIGGER order_guard BEFORE UPDATE OF status ON orders FOR EACH ROW EXECUTE FUNCTION order_guard();

CREATE FUNCTION order_follow() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_follow() IS 'Moves an order on when the first of its pieces is out, or the last one in; refuses pieces of an order that may not have gone out.';
CREATE TRIGGER order_follow AFTER UPDATE OF quantity, dispatched, returned ON order_items FOR EACH ROW
	WHEN (OLD.dispatched <> NEW.dispatched OR OLD.returned <> NEW.returned OR OLD.quantity <> NEW.quantity) EXECUTE FUNCTION order_follow();
CREATE TRIGGER order_follow_deleted AFTER DELETE ON order_items FOR EACH ROW EXECUTE FUNCTION order_follow();

CREATE FUNCTION order_sums() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_sums() IS 'Refuses, when a transaction commits, an order whose amounts are not the sums of its lines, or of its charges.';
CREATE CONSTRAINT TRIGGER order_sums AFTER INSERT OR UPDATE OR DELETE ON order_items DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION order_sums('order_id', 'items');
CREATE CONSTRAINT TRIGGER order_sums AFTER INSERT OR UPDATE OR DELETE ON order_charges DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION order_sums('order_id', 'charges');
CREATE CONSTRAINT TRIGGER order_sums AFTER UPDATE OF subtotal, discount, tax, total, fee, waiver, charges ON orders DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION order_sums('id', 'both');

CREATE FUNCTION order_history_keep() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_history_keep() IS 'Keeps in order_history what a row was before it is changed.';
CREATE TRIGGER order_history_keep BEFORE UPDATE ON orders FOR EACH ROW WHEN (OLD IS DISTINCT FROM NEW) EXECUTE FUNCTION order_history_keep();
CREATE TRIGGER order_history_keep BEFORE UPDATE ON order_items FOR EACH ROW WHEN (OLD IS DISTINCT FROM NEW) EXECUTE FUNCTION order_history_keep();
CREATE TRIGGER order_history_keep_deleted BEFORE DELETE ON order_items FOR EACH ROW EXECUTE FUNCTION order_history_keep();

CREATE DOMAIN order_items_request AS jsonb;
COMMENT ON DOMAIN order_items_request IS
	'A list of 1 to 100 objects {product_id, quantity, start_at, end_at, location_id?, unit_ids?}.';
CREATE DOMAIN order_delivery_request AS jsonb;
COMMENT ON DOMAIN order_delivery_request IS
	'An object {method, address?, fee?}: method is pickup or delivery; a delivery needs an address {recipient?, line1, line2?, postal_code?, city, region?, country}; only the vendor names a fee, which is otherwise that of its policy.';
CREATE DOMAIN order_terms_request AS jsonb;
COMMENT ON DOMAIN order_terms_request IS 'An object {version?, signature?}: the version of the vendor''s terms that is accepted, and an image of the signature as a data: URL or an https reference.';
CREATE DOMAIN order_dispatch_request AS jsonb;
COMMENT ON DOMAIN order_dispatch_request IS 'A list of 1 to 100 objects {item_id, quantity?, unit_ids?}.';
CREATE DOMAIN order_return_request AS jsonb;
COMMENT ON DOMAIN order_return_request IS 'A list of 1 to 100 objects {item_id, quantity?, unit_ids?, condition?, charge?, reason?}.';
CREATE DOMAIN order_extend_request AS jsonb;
COMMENT ON DOMAIN order_extend_request IS 'A list of 1 to 100 objects {item_id, end_at?}.';

CREATE FUNCTION order_place(items order_items_request, vendor_id uuid DEFAULT NULL, note text DEFAULT NULL, customer_id uuid DEFAULT NULL,
	delivery order_delivery_request DEFAULT NULL, terms order_terms_request DEFAULT NULL, draft boolean DEFAULT false, coupon text DEFAULT NULL,
	damage_waiver boolean DEFAULT false) RETURNS order_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_place(order_items_request, uuid, text, uuid, order_delivery_request, order_terms_request, boolean, text, boolean) IS
	'Places an order with one vendor and holds its stock, all or nothing, until expires_at; the vendor''s policy may confirm it at once. A draft holds nothing, and asks for a quote. A vendor or administrator may place it for a customer. Errors: insufficient_stock, invalid_period, invalid_value, invalid_field, unknown_field, not_found, forbidden, rule_violated when the vendor''s terms are not accepted, or it sells no damage_waiver.';
CREATE FUNCTION order_get(order_id uuid) RETURNS order_view
	LANGUAGE c STRICT STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_get(uuid) IS
	'One order of the caller. Error: not_found, also when it is somebody else''s.';
CREATE FUNCTION order_list(status text DEFAULT NULL, page_size integer DEFAULT 20, cursor text DEFAULT NULL, count text DEFAULT NULL) RETURNS order_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_list(text, integer, text, text) IS
	'The caller''s orders, newest first: a customer''s own, a vendor''s, or all for an administrator.';
CREATE FUNCTION order_event_list(order_id uuid, page_size integer DEFAULT 20, cursor text DEFAULT NULL, count text DEFAULT NULL) RETURNS order_event_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_event_list(uuid, integer, text, text) IS
	'What happened to an order, oldest first. Error: not_found.';
CREATE FUNCTION order_stream(order_id uuid) RETURNS stream_view
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_stream(uuid) IS
	'What happens to an order from now on, as server-sent events order.KIND {kind, actor_id, created_at, data}, in the shape of its history; data is null where it is too long for an event. Last-Event-ID resumes. Error: not_found.';
CREATE FUNCTION order_quote_list(order_id uuid, page_size integer DEFAULT 20, cursor text DEFAULT NULL, count text DEFAULT NULL) RETURNS order_quote_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_quote_list(uuid, integer, text, text) IS
	'The offers that were made for an order, oldest first. Error: not_found.';
CREATE FUNCTION order_charge_list(order_id uuid, page_size integer DEFAULT 20, cursor text DEFAULT NULL, count text DEFAULT NULL) RETURNS order_charge_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_charge_list(uuid, integer, text, text) IS
	'What comes on top of an order''s total, oldest first. Error: not_found.';
CREATE FUNCTION order_contract_get(order_id uuid) RETURNS order_contract_view
	LANGUAGE c STRICT STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_contract_get(uuid) IS
	'What was accepted with an order. Error: not_found, also when nothing was.';
CREATE FUNCTION order_as_of(order_id uuid, at timestamptz) RETURNS jsonb
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_as_of(uuid, timestamptz) IS
	'The order and its items as they were at a time, in the shape of their tables; amounts are decimal strings. Error: not_found, also before it was made.';
CREATE FUNCTION order_quote(order_id uuid, valid_until timestamptz DEFAULT NULL, note text DEFAULT NULL) RETURNS order_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_quote(uuid, timestamptz, text) IS
	'The vendor makes an offer of a draft at today''s prices, or a new version of an offer. It holds no stock, and is good until valid_until, by default for the days of the vendor''s policy. Errors: not_found, forbidden, invalid_state, invalid_value.';
CREATE FUNCTION order_accept(order_id uuid, version integer DEFAULT NULL, terms order_terms_request DEFAULT NULL) RETURNS order_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_accept(uuid, integer, order_terms_request) IS
	'The customer accepts the latest offer, at its prices: its stock is looked at again and held, and the vendor''s policy may confirm the order at once. With a version only that one is accepted. Errors: not_found, invalid_state, also when the offer has ended, conflict for another version, insufficient_stock, rule_violated when the vendor''s terms are not accepted, invalid_field, unknown_field.';
CREATE FUNCTION order_confirm(order_id uuid) RETURNS order_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_confirm(uuid) IS
	'The vendor accepts a pending order: its stock becomes firm. An order whose hold has expired is confirmed if its stock is still free. Errors: not_found, forbidden, invalid_state, also when the vendor''s policy wants it paid first, insufficient_stock.';
CREATE FUNCTION order_reject(order_id uuid, reason text DEFAULT NULL) RETURNS order_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_reject(uuid, text) IS
	'The vendor declines an order that it has not confirmed, and its stock is free. Errors: not_found, forbidden, invalid_state.';
CREATE FUNCTION order_cancel(order_id uuid, reason text DEFAULT NULL) RETURNS order_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_cancel(uuid, text) IS
	'Ends an order that has not begun and gives its stock back. A customer who cancels a confirmed order owes what the vendor''s policy says. Errors: not_found, invalid_state.';
CREATE FUNCTION order_dispatch(order_id uuid, items order_dispatch_request DEFAULT NULL) RETURNS order_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_dispatch(uuid, order_dispatch_request) IS
	'Items go out to the customer: those named, or all that have not yet. The order is active with the first of them. Errors: not_found, forbidden, invalid_state, invalid_value, invalid_field, unknown_field, insufficient_stock when no unit is free.';
CREATE FUNCTION order_return(order_id uuid, returned_at timestamptz DEFAULT NULL, items order_return_request DEFAULT NULL) RETURNS order_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_return(uuid, timestamptz, order_return_request) IS
	'Items are back: those named, or all that are out; their stock is free from then on, and what is lost is gone from it. condition is good, damaged or lost. A damaged or lost piece is charged as charge says, up to the replacement value, which is the default for a lost one; damage that a waiver covers is not. What comes back late is charged the vendor''s late fee, what comes back early is refunded by its policy, with the waiver''s part of that. returned_at is now if it is not given. The order is returned with the last of them. Errors: not_found, forbidden, invalid_state, invalid_value, invalid_field, unknown_field, rule_violated for a charge that the waiver covers, conflict for a lost unit that is out with another order by now.';
CREATE FUNCTION order_extend(order_id uuid, end_at timestamptz DEFAULT NULL, items order_extend_request DEFAULT NULL) RETURNS order_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_extend(uuid, timestamptz, order_extend_request) IS
	'Items stay out longer, those named or all that are not back: all or none, if their stock is free. They are priced over the whole time anew. Where the vendor''s policy says so, or something is overdue, a customer''s wish is checked and kept as extension, and waits for the vendor; it takes no stock. The vendor grants it by leaving out end_at and items, or by any other extension. Errors: not_found, invalid_state, invalid_value, invalid_period, missing_field, invalid_field, unknown_field, insufficient_stock, conflict for a unit that is out of service then.';
CREATE FUNCTION order_extension_drop(order_id uuid, reason text DEFAULT NULL) RETURNS order_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_extension_drop(uuid, text) IS
	'The vendor declines what the customer asked to keep longer, or the customer takes it back. Errors: not_found, invalid_state, also when nothing was asked for.';
CREATE FUNCTION order_close(order_id uuid) RETURNS order_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_close(uuid) IS
	'The vendor has nothing more to do for a returned order. Errors: not_found, forbidden, invalid_state.';
CREATE FUNCTION order_item_add(order_id uuid, product_id uuid, quantity integer, start_at timestamptz, end_at timestamptz, location_id uuid DEFAULT NULL, unit_ids uuid[] DEFAULT NULL) RETURNS order_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_item_add(uuid, uuid, integer, timestamptz, timestamptz, uuid, uuid[]) IS
	'Adds an item to an order: to a draft or a pending order, or by the vendor also later. A quoted order becomes a draft again. Errors: not_found, forbidden, invalid_state, invalid_value, invalid_period, insufficient_stock.';
CREATE FUNCTION order_item_change(order_id uuid, item_id uuid, quantity integer DEFAULT NULL, start_at timestamptz DEFAULT NULL, end_at timestamptz DEFAULT NULL) RETURNS order_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_item_change(uuid, uuid, integer, timestamptz, timestamptz) IS
	'Changes an item before it goes out; of one that is partly out, what is not may be taken off. What is not given stays. Errors: not_found, forbidden, invalid_state, invalid_value, invalid_period, insufficient_stock.';
CREATE FUNCTION order_item_remove(order_id uuid, item_id uuid) RETURNS order_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_item_remove(uuid, uuid) IS
	'Takes an item off an order before any of it goes out. Errors: not_found, forbidden, invalid_state, also for the last one.';
CREATE FUNCTION order_charge_add(order_id uuid, amount numeric, reason text) RETURNS order_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_charge_add(uuid, numeric, text) IS
	'The vendor charges something else on top of an order that is out or back. Errors: not_found, forbidden, invalid_state, invalid_value.';
CREATE FUNCTION order_assign_units(order_id uuid) RETURNS order_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_assign_units(uuid) IS
	'Chooses units for all serialised items that have none yet, all or none: those that leave the fewest gaps too short to rent out. Errors: not_found, forbidden, insufficient_stock.';
CREATE FUNCTION order_swap_unit(order_id uuid, from_unit_id uuid, unit_id uuid) RETURNS order_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_swap_unit(uuid, uuid, uuid) IS
	'Gives an order another unit in place of one of its own, also of one that is out: then from now on, and the other is free. The history tells when (unit_swapped). Errors: not_found, forbidden, insufficient_stock, conflict.';
CREATE FUNCTION stock_expire_holds() RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stock_expire_holds() IS 'Job: ends up to 1000 pending orders whose hold has expired, and offers that nobody accepted in time, and returns how many. Stock is free without it, too.';
CREATE FUNCTION stock_widen_overdue(step interval DEFAULT '1 day') RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION stock_widen_overdue(interval) IS
	'Job: what is out past its end goes on blocking stock for a step from now; returns how many reservations. Promises that can no longer be kept show in shortages.';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('GET', '/api/orders/orders/', 'rental.order_list', '{user}', 200, 'read', 'orders', 'Own orders', true),
	('POST', '/api/orders/orders/', 'rental.order_place', '{user}', 201, 'write', 'orders', 'Place an order', true),
	('GET', '/api/orders/orders/{order_id}/', 'rental.order_get', '{user}', 200, 'read', 'orders', 'One order', true),
	('GET', '/api/orders/orders/{order_id}/events/', 'rental.order_event_list', '{user}', 200, 'read', 'orders', 'History of an order', true),
	('GET', '/api/orders/orders/{order_id}/quotes/', 'rental.order_quote_list', '{user}', 200, 'read', 'orders', 'Offers of an order', true),
	('GET', '/api/orders/orders/{order_id}/charges/', 'rental.order_charge_list', '{user}', 200, 'read', 'orders', 'What comes on top', true),
	('GET', '/api/orders/orders/{order_id}/contract/', 'rental.order_contract_get', '{user}', 200, 'read', 'orders', 'What was accepted', true),
	('GET', '/api/orders/orders/{order_id}/as-of/', 'rental.order_as_of', '{user}', 200, 'read', 'orders', 'An order as it was', true),
	('POST', '/api/orders/orders/{order_id}/quote/', 'rental.order_quote', '{vendor,admin}', 200, 'write', 'orders', 'Make an offer', true),
	('POST', '/api/orders/orders/{order_id}/accept/', 'rental.order_accept', '{user}', 200, 'write', 'orders', 'Accept an offer', true),
	('POST', '/api/orders/orders/{order_id}/confirm/', 'rental.order_confirm', '{vendor,admin}', 200, 'write', 'orders', 'Confirm an order', true),
	('POST', '/api/orders/orders/{order_id}/reject/', 'rental.order_reject', '{vendor,admin}', 200, 'write', 'orders', 'Decline an order', true),
	('POST', '/api/orders/orders/{order_id}/cancel/', 'rental.order_cancel', '{user}', 200, 'write', 'orders', 'Cancel an order', true),
	('POST', '/api/orders/orders/{order_id}/dispatch/', 'rental.order_dispatch', '{vendor,admin}', 200, 'write', 'orders', 'Hand items out', true),
	('POST', '/api/orders/orders/{order_id}/return/', 'rental.order_return', '{vendor,admin}', 200, 'write', 'orders', 'Take items back', true),
	('POST', '/api/orders/orders/{order_id}/extend/', 'rental.order_extend', '{user}', 200, 'write', 'orders', 'Keep items longer', true),
	('DELETE', '/api/orders/orders/{order_id}/extension/', 'rental.order_extension_drop', '{user}', 200, 'write', 'orders', 'Decline or take back a wish to keep items longer', true),
	('POST', '/api/orders/orders/{order_id}/close/', 'rental.order_close', '{vendor,admin}', 200, 'write', 'orders', 'Close an order', true),
	('POST', '/api/orders/orders/{order_id}/items/', 'rental.order_item_add', '{user}', 201, 'write', 'orders', 'Add an item', true),
	('PATCH', '/api/orders/orders/{order_id}/items/{item_id}/', 'rental.order_item_change', '{user}', 200, 'write', 'orders', 'Change an item', true),
	('DELETE', '/api/orders/orders/{order_id}/items/{item_id}/', 'rental.order_item_remove', '{user}', 200, 'write', 'orders', 'Remove an item', true),
	('POST', '/api/orders/orders/{order_id}/charges/', 'rental.order_charge_add', '{vendor,admin}', 201, 'write', 'orders', 'Charge something else', true),
	('POST', '/api/orders/orders/{order_id}/units/', 'rental.order_assign_units', '{vendor,admin}', 200, 'write', 'orders', 'Choose units', true),
	('POST', '/api/orders/orders/{order_id}/units/swap/', 'rental.order_swap_unit', '{vendor,admin}', 200, 'write', 'orders', 'Swap a unit', true);

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin, stream) VALUES
	('GET', '/api/orders/tracking/{order_id}/stream/', 'rental.order_stream', '{user}', 200, 'read', 'orders', 'Live events of an order', true, true);
