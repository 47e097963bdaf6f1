-- Activity: what people look at before they order, and what they wanted and could not have.

CREATE TABLE activity (
	id uuid NOT NULL DEFAULT rental.uuid7(),
	vendor_id uuid,
	kind text NOT NULL CHECK (kind IN ('view', 'search', 'cart', 'checkout')),
	product_id uuid,
	user_id uuid REFERENCES users,
	visitor text NOT NULL CHECK (length(visitor) BETWEEN 1 AND 64),
	start_at timestamptz,
	end_at timestamptz,
	quantity integer,
	at timestamptz NOT NULL,
	PRIMARY KEY (at, id)
);
CREATE INDEX ON activity (user_id) WHERE user_id IS NOT NULL;
COMMENT ON TABLE activity IS
	'Looks at products, searches by dates, and steps in carts, told by the servers in batches after their answers. Nothing is kept while rental.activity is off; activity_purge() removes what is older than rental.activity_days. A product is there when it is recorded, and no foreign key: that would lock, and so write, each product that is looked at.';
COMMENT ON COLUMN activity.vendor_id IS 'null: of no one vendor';
COMMENT ON COLUMN activity.kind IS 'view: a product, or the list of them; search: what is free, or costs, in a period; cart: a cart was changed or looked at; checkout: it was ordered, or that was tried';
COMMENT ON COLUMN activity.user_id IS 'null unless rental.activity_users is on, and for who was not logged in';
COMMENT ON COLUMN activity.visitor IS 'the same for one client during a day: a hash with a key that no server keeps, never an address';
COMMENT ON COLUMN activity.start_at IS 'of the period asked for, as end_at is; null: none';

CREATE TABLE lost_demand (
	id uuid NOT NULL DEFAULT rental.uuid7(),
	vendor_id uuid NOT NULL,
	product_id uuid NOT NULL,
	location_id uuid,
	start_at timestamptz NOT NULL,
	end_at timestamptz NOT NULL CHECK (end_at > start_at),
	quantity integer NOT NULL CHECK (quantity >= 1),
	value numeric CHECK (value >= 0),
	currency text NOT NULL,
	reason text NOT NULL,
	source text NOT NULL CHECK (source IN ('search', 'cart', 'order')),
	who text NOT NULL,
	day date NOT NULL,
	created_at timestamptz NOT NULL,
	PRIMARY KEY (id, vendor_id),
	UNIQUE (product_id, start_at, end_at, who, day, vendor_id),
	FOREIGN KEY (product_id, vendor_id) REFERENCES products (id, vendor_id),
	FOREIGN KEY (location_id, vendor_id) REFERENCES locations (id, vendor_id)
);
CREATE INDEX ON lost_demand (vendor_id, created_at);
COMMENT ON TABLE lost_demand IS
	'What was wanted and was not there. Who asks for the same product and period several times a day counts once, by the most pieces that were missing.';
COMMENT ON COLUMN lost_demand.location_id IS 'where it was wanted; null: anywhere';
COMMENT ON COLUMN lost_demand.quantity IS 'pieces that were missing';
COMMENT ON COLUMN lost_demand.value IS 'what they would have cost for the period, price() without discounts of the customer; null: they have no price then';
COMMENT ON COLUMN lost_demand.reason IS 'code of the error that ordering it raised, or would have';
COMMENT ON COLUMN lost_demand.source IS 'the last step that was reached: search (availability or price of a period), cart, order';
COMMENT ON COLUMN lost_demand.who IS 'a hash of who asked and of the day, to know the same wish again; activity_purge() takes it away';
COMMENT ON COLUMN lost_demand.day IS 'in UTC';

ALTER TABLE endpoint ADD activity text CHECK (activity IN ('view', 'search', 'cart', 'checkout', 'order'));
COMMENT ON COLUMN endpoint.activity IS 'what its calls are told as to activity_record(), after they were answered; null: they are not';
UPDATE endpoint SET activity = 'view' WHERE method = 'GET' AND path IN ('/api/catalog/products/', '/api/catalog/products/{product_id}/');
UPDATE endpoint SET activity = 'search' WHERE method = 'GET'
	AND path IN ('/api/catalog/products/{product_id}/availability/', '/api/catalog/products/{product_id}/calendar/', '/api/catalog/products/{product_id}/price/');
UPDATE endpoint SET activity = 'cart' WHERE path IN ('/api/orders/cart/', '/api/orders/cart/items/', '/api/orders/cart/items/{item_id}/');
UPDATE endpoint SET activity = 'checkout' WHERE path = '/api/orders/cart/checkout/';
UPDATE endpoint SET activity = 'order' WHERE method = 'POST' AND path IN ('/api/orders/orders/', '/api/orders/orders/{order_id}/items/');

CREATE FUNCTION activity_record(events jsonb) RETURNS integer
	LANGUAGE c STRICT VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION activity_record(jsonb) IS
	'Records what the servers tell of calls that were answered: a list of {kind, user, role, visitor, args: {name: text}, code, field}. From it, and from carts, follows what could not be had, as far as it still cannot. What vendors'' teams do is no activity. Returns how many events were understood; one that is not leaves the others alone.';
CREATE FUNCTION activity_purge() RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION activity_purge() IS
	'Job: removes activity that is older than rental.activity_days, and from lost demand of that age by whom it was wanted; returns how many rows of activity went.';

-- Reports

CREATE TYPE lost_demand_row AS (product_id uuid, product_name text, currency text, wishes bigint, searched bigint, carted bigint, ordered bigint, quantity bigint, value numeric);
COMMENT ON TYPE lost_demand_row IS 'What of a product was wanted and was not there. Only value may be null.';
CREATE FUNCTION report_lost_demand("from" timestamptz, "to" timestamptz, vendor_id uuid DEFAULT NULL, product_id uuid DEFAULT NULL) RETURNS SETOF lost_demand_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_lost_demand(timestamptz, timestamptz, uuid, uuid) IS
	'Demand in [from, to) that could not be met, by product, the most valuable first. A vendor sees its own; an administrator or analyst all, or one. Errors: invalid_period, forbidden.';

CREATE TYPE funnel_row AS (step text, events bigint, visitors bigint, of_step_before numeric, of_first numeric);
COMMENT ON TYPE funnel_row IS 'How many came so far. Only visitors, of_step_before and of_first may be null.';
CREATE FUNCTION report_funnel("from" timestamptz, "to" timestamptz, vendor_id uuid DEFAULT NULL) RETURNS SETOF funnel_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_funnel(timestamptz, timestamptz, uuid) IS
	'From looks to orders in [from, to): views, searches, carts, orders, confirmed, completed. A vendor sees its own; an administrator or analyst all, or one. Errors: invalid_period, forbidden.';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('GET', '/api/analytics/reports/lost-demand/', 'rental.report_lost_demand', '{vendor,admin}', 200, 'read', 'analytics', 'Demand that was not met', true),
	('GET', '/api/analytics/reports/funnel/', 'rental.report_funnel', '{vendor,admin}', 200, 'read', 'analytics', 'From looks to orders', true);

SELECT report_describe('lost-demand', 'rental.report_lost_demand', 'Demand that was not met', 'What was wanted and was not there, in pieces and money, by product and currency.',
	'Rows of lost_demand with created_at in the period: wishes count(*), of which searched, carted, ordered by source; quantity sum(quantity); value sum(value).', '{vendor,product}', '
	product_id - the product
	product_name - its name
	currency - ISO 4217
	wishes wishes that were not met: a customer, a period, a day
	searched wishes that went no further than asking
	carted wishes that came into a cart
	ordered wishes whose order was refused
	quantity pieces that were missing
	value currency what they would have cost');
SELECT report_describe('funnel', 'rental.report_funnel', 'From looks to orders', 'How many looked, asked for dates, put into a cart, ordered; and what became of the orders.',
	'views, searches, carts: rows of activity of that kind (carts: cart or checkout) with at in the period, visitors count(DISTINCT visitor). orders: orders with created_at in the period, not draft or quoted; confirmed: those of them with an order event confirmed; completed: those of them with status completed; visitors count(DISTINCT customer_id). of_step_before and of_first: events over those of the step before and of the first, rounded to 4 places, null over none.',
	'{vendor}', '
	step - views, searches, carts, orders, confirmed, completed
	events events looks, steps, or orders
	visitors visitors clients of a day; from orders on customers
	of_step_before ratio events over those of the step before
	of_first ratio events over views');
