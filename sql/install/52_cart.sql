-- Carts: what a customer means to order, from several vendors, before it takes any stock.

CREATE TABLE carts (
	id uuid PRIMARY KEY DEFAULT rental.uuid7(),
	customer_id uuid NOT NULL UNIQUE REFERENCES users,
	created_at timestamptz NOT NULL DEFAULT rental.now(),
	updated_at timestamptz NOT NULL DEFAULT rental.now()
);
COMMENT ON TABLE carts IS 'One cart for each customer who has put something in it. It takes no stock.';

CREATE TABLE cart_items (
	id uuid NOT NULL DEFAULT rental.uuid7(),
	vendor_id uuid NOT NULL,
	cart_id uuid NOT NULL REFERENCES carts,
	product_id uuid NOT NULL,
	location_id uuid,
	quantity integer NOT NULL CHECK (quantity BETWEEN 1 AND 1000000),
	start_at timestamptz NOT NULL,
	end_at timestamptz NOT NULL CHECK (end_at > start_at),
	created_at timestamptz NOT NULL DEFAULT rental.now(),
	PRIMARY KEY (id, vendor_id),
	FOREIGN KEY (product_id, vendor_id) REFERENCES products (id, vendor_id),
	FOREIGN KEY (location_id, vendor_id) REFERENCES locations (id, vendor_id)
);
CREATE INDEX ON cart_items (cart_id, id);
COMMENT ON TABLE cart_items IS 'What is in each cart. It has no price: that is looked up at each look.';
COMMENT ON COLUMN cart_items.location_id IS 'where from; null: from the location that has most free';

CREATE TYPE cart_item_view AS (id uuid, vendor_id uuid, product_id uuid, product_name text, location_id uuid, quantity integer, start_at timestamptz,
	end_at timestamptz, currency text, unit_price numeric, total numeric, available integer, problem text, detail text);
COMMENT ON TYPE cart_item_view IS
	'Something in a cart, priced and checked now; problem is the code of the error that ordering it would raise, and detail says more. Only location_id, unit_price, total, available, problem, detail may be null.';
CREATE TYPE cart_vendor_view AS (vendor_id uuid, vendor_name text, currency text, subtotal numeric, discount numeric, tax numeric, waiver numeric, deposit numeric,
	total numeric, terms_version text);
COMMENT ON TYPE cart_vendor_view IS
	'What a cart costs at one vendor, without the items that have a problem; each becomes an order. waiver is what the damage waiver costs, and is in total and deposit if it was asked for; null: the vendor sells none. terms_version are the terms to be accepted. Only waiver and terms_version may be null.';
CREATE TYPE cart_view AS (items cart_item_view[], vendors cart_vendor_view[], is_ready boolean);
COMMENT ON TYPE cart_view IS 'A cart; is_ready: it has items, and none has a problem. Nothing in it is null.';
CREATE TYPE cart_orders_view AS (orders order_view[]);
COMMENT ON TYPE cart_orders_view IS 'The orders that a cart became, one a vendor. Nothing in it is null.';

CREATE DOMAIN cart_terms_request AS jsonb;
COMMENT ON DOMAIN cart_terms_request IS 'A list of 1 to 100 objects {vendor_id, version}: the terms of each vendor that are accepted.';
CREATE TYPE cart_terms_request_item AS (vendor_id uuid, version text);
COMMENT ON TYPE cart_terms_request_item IS 'The terms of a vendor that are accepted.';

CREATE FUNCTION cart_get(coupon text DEFAULT NULL, damage_waiver boolean DEFAULT false) RETURNS cart_view
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION cart_get(text, boolean) IS
	'The caller''s cart, priced and checked now, by a coupon where the vendor has it, with the damage waiver or without. What others order meanwhile may still take the stock. Error: rule_violated for a coupon that is not good, or a damage_waiver that a vendor does not sell.';
CREATE FUNCTION cart_add(product_id uuid, quantity integer, start_at timestamptz, end_at timestamptz, location_id uuid DEFAULT NULL) RETURNS cart_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION cart_add(uuid, integer, timestamptz, timestamptz, uuid) IS
	'Puts something into the caller''s cart. It takes no stock, and may be more than there is. Errors: not_found, invalid_period, invalid_value, rule_violated for more than 100 items.';
CREATE FUNCTION cart_item_change(item_id uuid, quantity integer DEFAULT NULL, start_at timestamptz DEFAULT NULL, end_at timestamptz DEFAULT NULL) RETURNS cart_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION cart_item_change(uuid, integer, timestamptz, timestamptz) IS 'Changes something in the caller''s cart; what is not given stays. Errors: not_found, invalid_period, invalid_value.';
CREATE FUNCTION cart_item_remove(item_id uuid) RETURNS cart_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION cart_item_remove(uuid) IS 'Takes something out of the caller''s cart. Error: not_found.';
CREATE FUNCTION cart_checkout(terms cart_terms_request DEFAULT NULL, delivery order_delivery_request DEFAULT NULL, note text DEFAULT NULL, signature text DEFAULT NULL,
	coupon text DEFAULT NULL, damage_waiver boolean DEFAULT false) RETURNS cart_orders_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION cart_checkout(cart_terms_request, order_delivery_request, text, text, text, boolean) IS
	'Makes one order a vendor of the caller''s cart, all or nothing, and empties it. The orders hold their stock until they expire or are confirmed. Errors: invalid_state for an empty cart, insufficient_stock, invalid_period, invalid_value, invalid_field, unknown_field, rule_violated when a vendor''s terms are not accepted, the coupon is not good, or a vendor sells no damage_waiver.';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('GET', '/api/orders/cart/', 'rental.cart_get', '{customer}', 200, 'read', 'cart', 'Own cart', true),
	('POST', '/api/orders/cart/items/', 'rental.cart_add', '{customer}', 201, 'write', 'cart', 'Put into the cart', true),
	('PATCH', '/api/orders/cart/items/{item_id}/', 'rental.cart_item_change', '{customer}', 200, 'write', 'cart', 'Change in the cart', true),
	('DELETE', '/api/orders/cart/items/{item_id}/', 'rental.cart_item_remove', '{customer}', 200, 'write', 'cart', 'Take out of the cart', true),
	('POST', '/api/orders/cart/checkout/', 'rental.cart_checkout', '{customer}', 201, 'write', 'cart', 'Order what is in the cart', true);
