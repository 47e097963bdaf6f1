-- Payments: charges, deposits, refunds, by gateways that are rows.

CREATE TABLE gateways (
	name text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9_]{0,39}$'),
	is_external boolean NOT NULL,
	collects boolean NOT NULL,
	builtin boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE gateways IS
	'Ways to be paid. manual: handed over or transferred, and entered by the vendor. test: built in, with every outcome on demand. Requests to external ones are rows of gateway_requests.';
COMMENT ON COLUMN gateways.collects IS 'the platform receives the money and owes it to the vendor; else the vendor receives it';
COMMENT ON COLUMN gateways.builtin IS 'made by the extension, so not part of a dump';
INSERT INTO gateways VALUES ('manual', false, false, true), ('test', false, true, true);

CREATE TABLE gateway_settings (
	gateway text PRIMARY KEY REFERENCES gateways,
	is_active boolean NOT NULL DEFAULT false,
	secret bytea CHECK (length(secret) >= 16),
	tolerance interval NOT NULL DEFAULT '5 minutes' CHECK (tolerance BETWEEN '1 second' AND '1 day'),
	updated_at timestamptz NOT NULL DEFAULT rental.now(),
	CHECK (NOT is_active OR secret IS NOT NULL)
);
COMMENT ON TABLE gateway_settings IS 'What an administrator set; a gateway but manual takes nothing until it is active, which takes a secret.';
COMMENT ON COLUMN gateway_settings.secret IS 'signs what the gateway sends; no role reads it';
COMMENT ON COLUMN gateway_settings.tolerance IS 'how far the time of a signature may be off';

CREATE TABLE payments (
	id uuid NOT NULL DEFAULT rental.uuid7(),
	vendor_id uuid NOT NULL,
	order_id uuid NOT NULL,
	invoice_id uuid,
	parent_id uuid,
	kind text NOT NULL CHECK (kind IN ('charge', 'deposit', 'capture', 'refund', 'chargeback')),
	amount numeric NOT NULL CHECK (amount >= 0),
	currency text NOT NULL,
	method text NOT NULL CHECK (method ~ '^[a-z][a-z_]{0,19}$'),
	gateway text NOT NULL DEFAULT 'manual' REFERENCES gateways,
	status text NOT NULL CHECK (status IN ('requires_action', 'processing', 'authorised', 'succeeded', 'failed', 'cancelled')),
	refunded numeric NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND amount),
	captured numeric NOT NULL DEFAULT 0 CHECK (captured >= 0),
	released numeric NOT NULL DEFAULT 0 CHECK (released >= 0),
	commission_percent numeric NOT NULL DEFAULT 0 CHECK (commission_percent BETWEEN 0 AND 100),
	commission numeric NOT NULL DEFAULT 0 CHECK (commission BETWEEN 0 AND amount),
	collects boolean NOT NULL,
	reason text CHECK (length(reason) <= 1000),
	created_at timestamptz NOT NULL DEFAULT rental.now(),
	CHECK (captured + released <= amount),
	CHECK ((parent_id IS NOT NULL) = (kind IN ('capture', 'refund', 'chargeback'))),
	CHECK (refunded = 0 OR kind IN ('charge', 'capture')),
	CHECK (captured + released = 0 OR kind = 'deposit'),
	PRIMARY KEY (id, vendor_id),
	FOREIGN KEY (order_id, vendor_id) REFERENCES orders (id, vendor_id),
	FOREIGN KEY (invoice_id, vendor_id) REFERENCES invoices (id, vendor_id)
);
CREATE INDEX ON payments (order_id);
CREATE INDEX ON payments (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX ON payments (created_at);
COMMENT ON TABLE payments IS 'Money received, held and given back.';
COMMENT ON COLUMN payments.parent_id IS 'the deposit of a capture, the charge or capture of a refund or chargeback. No foreign key, since a dump could not order the rows; ledger_verify() looks after it';
COMMENT ON COLUMN payments.method IS 'of manual: cash, transfer, cheque; of test the outcome: success, decline, action, timeout; never a card''s number';
COMMENT ON COLUMN payments.status IS 'goes only forward: processing, requires_action, authorised, cancelled, failed, succeeded';
COMMENT ON COLUMN payments.refunded IS 'or asked to be: never more than the amount';
COMMENT ON COLUMN payments.captured IS 'of a deposit; what is neither captured nor released is held';
COMMENT ON COLUMN payments.released IS 'went back; what an external gateway was only asked to release is still held';
COMMENT ON COLUMN payments.collects IS 'the platform received it, as its gateway says when it is made; its captures and refunds go the same way';
COMMENT ON COLUMN payments.commission IS 'of what was not given back: round((amount - refunded) * commission_percent / 100)';

CREATE FUNCTION payment_guard() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION payment_guard() IS 'Refuses to delete a payment, or to change what it is; its state moves on.';
CREATE TRIGGER payment_guard BEFORE UPDATE OR DELETE ON payments FOR EACH ROW EXECUTE FUNCTION payment_guard();
CREATE TRIGGER payment_whole BEFORE TRUNCATE ON payments FOR EACH STATEMENT EXECUTE FUNCTION ledger_kept();
ALTER TABLE payments ENABLE ALWAYS TRIGGER payment_guard;
ALTER TABLE payments ENABLE ALWAYS TRIGGER payment_whole;

CREATE TABLE payment_events (
	vendor_id uuid NOT NULL,
	gateway text NOT NULL REFERENCES gateways,
	event_id text NOT NULL CHECK (event_id <> '' AND length(event_id) <= 200),
	payment_id uuid NOT NULL,
	type text NOT NULL,
	amount numeric,
	had_effect boolean NOT NULL,
	created_at timestamptz NOT NULL,
	PRIMARY KEY (gateway, event_id, vendor_id),
	FOREIGN KEY (payment_id, vendor_id) REFERENCES payments (id, vendor_id)
);
CREATE INDEX ON payment_events (payment_id);
COMMENT ON TABLE payment_events IS 'What gateways told, each event once.';

CREATE TABLE gateway_requests (
	id uuid NOT NULL DEFAULT rental.uuid7(),
	vendor_id uuid NOT NULL,
	payment_id uuid NOT NULL,
	gateway text NOT NULL REFERENCES gateways,
	action text NOT NULL CHECK (action IN ('charge', 'deposit', 'capture', 'refund', 'release')),
	amount numeric NOT NULL,
	currency text NOT NULL,
	created_at timestamptz NOT NULL,
	sent_at timestamptz,
	PRIMARY KEY (id, vendor_id),
	FOREIGN KEY (payment_id, vendor_id) REFERENCES payments (id, vendor_id)
);
CREATE INDEX ON gateway_requests (id) WHERE sent_at IS NULL;
CREATE INDEX ON gateway_requests (payment_id);
COMMENT ON TABLE gateway_requests IS 'The outbox: what is asked of external gateways, once the transaction commits. id is the key by which the gateway does it once.';

CREATE VIEW payment_view AS
SELECT p.id, p.vendor_id, p.order_id, p.invoice_id, p.parent_id, o.customer_id, p.kind, p.amount, p.currency, p.method, p.gateway, p.status,
	p.refunded, p.captured, p.released, p.kind = 'deposit' AND p.status IN ('processing', 'requires_action', 'authorised')
		AND EXISTS (SELECT FROM gateway_requests r WHERE r.payment_id = p.id AND r.vendor_id = p.vendor_id AND r.action = 'release') AS release_asked,
	p.reason, p.created_at
FROM payments p JOIN orders o ON o.id = p.order_id AND o.vendor_id = p.vendor_id;
COMMENT ON VIEW payment_view IS 'A payment; amounts are in currency.';
COMMENT ON COLUMN payment_view.release_asked IS 'a deposit that is held until its external gateway tells that it was released';
CREATE TYPE payment_page AS (count bigint, next text, previous text, results payment_view[]);
CREATE VIEW gateway_view AS
SELECT g.name, g.is_external, g.collects, g.name = 'manual' OR COALESCE(s.is_active, false) AS is_active, s.secret IS NOT NULL AS is_signed,
	COALESCE(extract(epoch FROM s.tolerance)::integer, 300) AS tolerance_seconds
FROM gateways g LEFT JOIN gateway_settings s ON s.gateway = g.name;
COMMENT ON VIEW gateway_view IS 'A gateway, without its secret.';

CREATE FUNCTION payment_record(order_id uuid, amount numeric, method text DEFAULT NULL, paid_at timestamptz DEFAULT NULL, kind text DEFAULT 'charge',
	gateway text DEFAULT 'manual') RETURNS payment_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION payment_record(uuid, numeric, text, timestamptz, text, text) IS
	'Charges an order, or has a deposit authorised. manual: enters money that the vendor received, by cash (the default), transfer or cheque. Another gateway is asked, by the vendor or the customer: the answer tells how far it is. amount is in the order''s currency and not finer than it allows; paid_at is now if it is not given, never later, and only for manual. Errors: not_found, forbidden, invalid_value, invalid_state.';
CREATE FUNCTION payment_capture(payment_id uuid, amount numeric DEFAULT NULL, reason text DEFAULT NULL) RETURNS payment_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION payment_capture(uuid, numeric, text) IS
	'Takes charges for damage, loss, late return and the like from a deposit; all that it covers if no amount is given. Never more than the order''s charges, which for damage and loss end at the replacement value, nor than the order still owes, nor than what is held. Answers the capture. Errors: not_found, forbidden, invalid_state, invalid_value.';
CREATE FUNCTION payment_release(payment_id uuid) RETURNS payment_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION payment_release(uuid) IS
	'Gives back what is held of a deposit; it happens by itself when the order is closed or ends early. An external gateway is asked, and the deposit is held until it tells that it is cancelled. Errors: not_found, forbidden, invalid_state.';
CREATE FUNCTION payment_refund(payment_id uuid, amount numeric DEFAULT NULL, reason text DEFAULT NULL) RETURNS payment_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION payment_refund(uuid, numeric, text) IS
	'Gives a charge or capture back, in part or what is left; never more than was taken. Answers the refund. Errors: not_found, forbidden, invalid_state, invalid_value.';
CREATE FUNCTION payment_get(payment_id uuid) RETURNS payment_view
	LANGUAGE c STRICT STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION payment_get(uuid) IS 'One payment of the caller. Error: not_found, also when it is somebody else''s.';
CREATE FUNCTION payment_list("order" uuid DEFAULT NULL, page_size integer DEFAULT 20, cursor text DEFAULT NULL, count text DEFAULT NULL)
	RETURNS payment_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION payment_list(uuid, integer, text, text) IS 'The caller''s payments, newest first; of one order if it is named.';

CREATE TYPE webhook_view AS (received boolean);
COMMENT ON TYPE webhook_view IS 'The event is known, now or since before.';
CREATE FUNCTION payment_webhook(gateway text, body text, header_rental_signature text DEFAULT NULL) RETURNS webhook_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION payment_webhook(text, text, text) IS
	'Takes an event of a gateway: {id, payment_id, type, amount?}, where type is a status or chargeback. The header Rental-Signature is t=seconds since 1970,v1=hexadecimal HMAC-SHA-256 of "t.body" by the gateway''s secret. Each event counts once; a status that is behind the present one is noted and does nothing. Errors: not_found, invalid_credentials (signature, or too old), malformed_json, invalid_field.';
CREATE FUNCTION gateway_list() RETURNS SETOF gateway_view
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION gateway_list() IS 'The gateways, for administrators. Error: forbidden.';
CREATE FUNCTION gateway_set(gateway text, is_active boolean DEFAULT NULL, secret text DEFAULT NULL, tolerance_seconds integer DEFAULT NULL, collects boolean DEFAULT NULL)
	RETURNS gateway_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION gateway_set(text, boolean, text, integer, boolean) IS
	'Changes what is given of a gateway, or makes an external one. secret has 16 characters or more; it is never shown again. Errors: forbidden, invalid_value, conflict when it would be active without a secret.';
CREATE FUNCTION gateway_sign(gateway text, body text, at timestamptz DEFAULT NULL) RETURNS text
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION gateway_sign(text, text, timestamptz) IS
	'The Rental-Signature of a body by the gateway test, for trying out late, repeated and other events. For administrators in SQL. Errors: forbidden, not_found.';

CREATE FUNCTION deposit_follow() RETURNS trigger
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION deposit_follow() IS 'Releases what is held of an order''s deposits when it is closed or ends early.';
CREATE TRIGGER deposit_follow AFTER UPDATE OF status ON orders FOR EACH ROW
	WHEN (NEW.status IN ('completed', 'cancelled', 'rejected', 'expired') AND OLD.status <> NEW.status) EXECUTE FUNCTION deposit_follow();

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('GET', '/api/orders/payments/', 'rental.payment_list', '{user}', 200, 'read', 'payments', 'Own payments', true),
	('POST', '/api/orders/payments/', 'rental.payment_record', '{user}', 201, 'write', 'payments', 'Pay, or have a deposit authorised', true),
	('GET', '/api/orders/payments/{payment_id}/', 'rental.payment_get', '{user}', 200, 'read', 'payments', 'One payment', true),
	('POST', '/api/orders/payments/{payment_id}/capture/', 'rental.payment_capture', '{vendor,admin}', 201, 'write', 'payments', 'Take from a deposit', true),
	('POST', '/api/orders/payments/{payment_id}/release/', 'rental.payment_release', '{vendor,admin}', 200, 'write', 'payments', 'Release a deposit', true),
	('POST', '/api/orders/payments/{payment_id}/refund/', 'rental.payment_refund', '{vendor,admin}', 201, 'write', 'payments', 'Give back', true),
	('GET', '/api/settings/gateways/', 'rental.gateway_list', '{admin}', 200, 'read', 'payments', 'Gateways', true),
	('PATCH', '/api/settings/gateways/{gateway}/', 'rental.gateway_set', '{admin}', 200, 'write', 'payments', 'Change or add a gateway', true);
INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin, raw_body) VALUES
	('POST', '/api/orders/payments/webhooks/{gateway}/', 'rental.payment_webhook', '{public}', 200, 'write', 'payments', 'A gateway''s event', true, true);
