-- Policies: how each vendor deals with its orders, and the terms that customers accept.

CREATE TABLE order_terms (
	vendor_id uuid NOT NULL REFERENCES vendors,
	version text NOT NULL CHECK (version <> '' AND length(version) <= 40),
	terms text NOT NULL CHECK (terms <> '' AND length(terms) <= 100000),
	created_at timestamptz NOT NULL DEFAULT rental.now(),
	PRIMARY KEY (vendor_id, version)
);
COMMENT ON TABLE order_terms IS 'Every version of each vendor''s terms; what was accepted once is never changed.';

CREATE TABLE order_policies (
	vendor_id uuid PRIMARY KEY REFERENCES vendors,
	confirmation text NOT NULL CHECK (confirmation IN ('manual', 'auto')),
	payment text NOT NULL CHECK (payment IN ('none', 'before_confirmation')),
	cancellation jsonb NOT NULL CHECK (jsonb_typeof(cancellation) = 'array'),
	early_return text NOT NULL CHECK (early_return IN ('none', 'prorate')),
	quote_days integer NOT NULL CHECK (quote_days BETWEEN 1 AND 365),
	delivers boolean NOT NULL,
	delivery_fee numeric NOT NULL CHECK (delivery_fee >= 0),
	terms_version text,
	updated_at timestamptz NOT NULL,
	extension text NOT NULL DEFAULT 'auto' CHECK (extension IN ('auto', 'manual')),
	FOREIGN KEY (vendor_id, terms_version) REFERENCES order_terms (vendor_id, version)
);
COMMENT ON TABLE order_policies IS 'How a vendor deals with its orders; one without a row confirms by hand, asks no payment first, and refunds what is cancelled in full.';
COMMENT ON COLUMN order_policies.confirmation IS 'manual: the vendor confirms each order; auto: an order is confirmed when it is placed, or paid';
COMMENT ON COLUMN order_policies.payment IS 'before_confirmation: an order is confirmed only when its total is paid';
COMMENT ON COLUMN order_policies.cancellation IS
	'steps {hours_before, percent}: a confirmed order that its customer cancels at least so many hours before it begins is refunded so much; later than all steps nothing. Without steps everything';
COMMENT ON COLUMN order_policies.early_return IS 'prorate: what comes back early is charged for the time it was out';
COMMENT ON COLUMN order_policies.extension IS 'auto: what a customer wants to keep longer is kept, if it is not overdue and its stock is free; manual: the vendor is asked';
COMMENT ON COLUMN order_policies.quote_days IS 'how long a quote is good, if it does not say';
COMMENT ON COLUMN order_policies.delivers IS 'whether orders can be delivered';
COMMENT ON COLUMN order_policies.delivery_fee IS 'for an order that is delivered, in the vendor''s currency';
COMMENT ON COLUMN order_policies.terms_version IS 'the terms that whoever orders must accept; null: none';

CREATE VIEW order_policy_view AS
SELECT v.id AS vendor_id, v.currency, COALESCE(p.confirmation, 'manual') AS confirmation, COALESCE(p.payment, 'none') AS payment,
	COALESCE(p.cancellation, '[]') AS cancellation, COALESCE(p.early_return, 'none') AS early_return,
	COALESCE(p.extension, 'auto') AS extension, COALESCE(p.quote_days, 14) AS quote_days,
	COALESCE(p.delivers, false) AS delivers, COALESCE(p.delivery_fee, 0) AS delivery_fee, p.terms_version, t.terms, p.updated_at
FROM vendors v
LEFT JOIN order_policies p ON p.vendor_id = v.id
LEFT JOIN order_terms t ON t.vendor_id = p.vendor_id AND t.version = p.terms_version;
COMMENT ON VIEW order_policy_view IS 'How a vendor deals with its orders, and its terms.';

CREATE DOMAIN order_cancellation AS jsonb;
COMMENT ON DOMAIN order_cancellation IS 'Up to 20 steps {hours_before, percent}: the percentage that is refunded to who cancels at least so many hours before the beginning.';
CREATE TYPE order_cancellation_item AS (hours_before integer, percent integer);
COMMENT ON TYPE order_cancellation_item IS 'A step of a cancellation policy.';
COMMENT ON COLUMN order_cancellation_item.hours_before IS 'hours before the first item begins, 0 to 8784';
COMMENT ON COLUMN order_cancellation_item.percent IS 'of the total, 0 to 100';

CREATE FUNCTION order_policy_get(vendor_id uuid) RETURNS order_policy_view
	LANGUAGE c STRICT STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_policy_get(uuid) IS 'How a vendor deals with its orders. Error: not_found.';
CREATE FUNCTION order_policy_set(vendor_id uuid, confirmation text DEFAULT 'manual', payment text DEFAULT 'none',
	cancellation order_cancellation DEFAULT '[]', early_return text DEFAULT 'none', quote_days integer DEFAULT 14, delivers boolean DEFAULT false,
	delivery_fee numeric DEFAULT 0, terms_version text DEFAULT NULL, terms text DEFAULT NULL, extension text DEFAULT 'auto') RETURNS order_policy_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION order_policy_set(uuid, text, text, order_cancellation, text, integer, boolean, numeric, text, text, text) IS
	'Sets how a vendor deals with its orders; what is not given gets its default. terms may be left out for a version that is known. For owners and managers. Errors: not_found, forbidden, invalid_value, invalid_field, unknown_field, conflict when a version has other terms already.';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('GET', '/api/users/vendors/{vendor_id}/order-policy/', 'rental.order_policy_get', '{public}', 200, 'read', 'users', 'How a vendor deals with orders', true),
	('PUT', '/api/users/vendors/{vendor_id}/order-policy/', 'rental.order_policy_set', '{vendor,admin}', 200, 'write', 'users', 'Set how to deal with orders', true);
