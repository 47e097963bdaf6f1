-- Payments: money received for orders.

CREATE TABLE payments (
	id uuid NOT NULL DEFAULT rental.uuid7(),
	vendor_id uuid NOT NULL,
	order_id uuid NOT NULL,
	invoice_id uuid,
	kind text NOT NULL CHECK (kind IN ('charge')),
	amount numeric NOT NULL CHECK (amount >= 0),
	currency text NOT NULL,
	method text NOT NULL CHECK (method IN ('cash', 'transfer', 'cheque')),
	gateway text NOT NULL DEFAULT 'manual' CHECK (gateway IN ('manual')),
	status text NOT NULL CHECK (status IN ('succeeded')),
	created_at timestamptz NOT NULL DEFAULT rental.now(),
	PRIMARY KEY (id, vendor_id),
	FOREIGN KEY (order_id, vendor_id) REFERENCES orders (id, vendor_id),
	FOREIGN KEY (invoice_id, vendor_id) REFERENCES invoices (id, vendor_id)
);
CREATE INDEX ON payments (order_id);
CREATE INDEX ON payments (created_at);
COMMENT ON TABLE payments IS 'Money received.';
COMMENT ON COLUMN payments.gateway IS 'manual: handed over or transferred, and entered by the vendor';

CREATE VIEW payment_view AS
SELECT p.id, p.vendor_id, p.order_id, p.invoice_id, o.customer_id, p.kind, p.amount, p.currency, p.method, p.gateway, p.status, p.created_at
FROM payments p JOIN orders o ON o.id = p.order_id AND o.vendor_id = p.vendor_id;
COMMENT ON VIEW payment_view IS 'A payment; amount is in currency.';
CREATE TYPE payment_page AS (count bigint, next text, previous text, results payment_view[]);

CREATE FUNCTION payment_record(order_id uuid, amount numeric, method text DEFAULT 'cash', paid_at timestamptz DEFAULT NULL)
	RETURNS payment_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION payment_record(uuid, numeric, text, timestamptz) IS
	'Enters money that the vendor received for an order. amount is in the order''s currency and not finer than it allows; paid_at is now if it is not given, and never later. Errors: not_found, forbidden, invalid_value, invalid_state.';
CREATE FUNCTION payment_get(payment_id uuid) RETURNS payment_view
	LANGUAGE c STRICT STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION payment_get(uuid) IS 'One payment of the caller. Error: not_found, also when it is somebody else''s.';
CREATE FUNCTION payment_list("order" uuid DEFAULT NULL, page_size integer DEFAULT 20, cursor text DEFAULT NULL, count text DEFAULT NULL)
	RETURNS payment_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION payment_list(uuid, integer, text, text) IS 'The caller''s payments, newest first; of one order if it is named.';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('GET', '/api/orders/payments/', 'rental.payment_list', '{user}', 200, 'read', 'payments', 'Own payments', true),
	('POST', '/api/orders/payments/', 'rental.payment_record', '{vendor,admin}', 201, 'write', 'payments', 'Enter a payment', true),
	('GET', '/api/orders/payments/{payment_id}/', 'rental.payment_get', '{user}', 200, 'read', 'payments', 'One payment', true);
