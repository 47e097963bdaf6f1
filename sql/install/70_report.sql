-- Reports.

CREATE TABLE report_catalog (
	name text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9]*(-[a-z0-9]+)*$'),
	function text NOT NULL CHECK (function ~ '^[a-z_]+\.[a-z_]+$'),
	title text NOT NULL,
	description text NOT NULL,
	columns jsonb NOT NULL,
	formula text NOT NULL,
	dimensions text[] NOT NULL DEFAULT '{}',
	builtin boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE report_catalog IS
	'What each report tells, in which columns and units, and how it is reckoned. The report stands at /api/analytics/reports/NAME/.';
COMMENT ON COLUMN report_catalog.function IS 'schema.name of the function; text, since pg_upgrade refuses columns of type regprocedure';
COMMENT ON COLUMN report_catalog.columns IS 'a list of {name, type, unit, description} in the order of the function''s columns; unit is null for what has none';
COMMENT ON COLUMN report_catalog.formula IS 'how each figure follows from the tables';
COMMENT ON COLUMN report_catalog.dimensions IS 'arguments by which it can be narrowed or split';
COMMENT ON COLUMN report_catalog.builtin IS 'made by the extension, so not part of a dump';

CREATE TYPE report_column AS (name text, type text, unit text, description text);
COMMENT ON TYPE report_column IS 'A column of a report. Only unit may be null.';
CREATE TYPE report_view AS (name text, title text, description text, formula text, dimensions text[], columns report_column[]);
COMMENT ON TYPE report_view IS 'What a report tells, and how it is reckoned. Nothing in it is null.';
CREATE FUNCTION report_list() RETURNS SETOF report_view
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_list() IS 'All reports, by name, with their columns, units and formulas.';

-- Describes a report while the extension is made: columns as lines of name, unit (- for none) and description; their types are the function's.
CREATE FUNCTION report_describe(name text, function text, title text, description text, formula text, dimensions text[], columns text) RETURNS void
	LANGUAGE sql AS $$
	WITH told AS (
		SELECT n, m[1] AS name, nullif(m[2], '-') AS unit, m[3] AS description
		FROM regexp_split_to_table(btrim(columns, E'\n\t '), E'\n\\s*') WITH ORDINALITY AS l (line, n), regexp_match(l.line, '^(\S+) +(\S+) +(.*)$') AS m
	), typed AS (
		SELECT a.attname AS name, format_type(a.atttypid, NULL) AS type FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_type t ON t.oid = p.prorettype
		JOIN pg_catalog.pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE p.pronamespace = 'rental'::regnamespace AND 'rental.' || p.proname = report_describe.function
	)
	INSERT INTO rental.report_catalog
	SELECT report_describe.name, report_describe.function, title, report_describe.description,
		(SELECT jsonb_agg(jsonb_build_object('name', t.name, 'type', y.type, 'unit', t.unit, 'description', t.description) ORDER BY t.n)
			FROM told t LEFT JOIN typed y ON y.name = t.name), formula, dimensions, true
$$;
COMMENT ON FUNCTION report_describe(text, text, text, text, text, text[], text) IS
	'Describes a report in report_catalog; columns are lines of name, unit (- for none) and description, and their types those of the function''s result. For parts of the extension.';

CREATE TYPE revenue_row AS (start_at timestamptz, currency text, orders bigint, billed numeric, paid numeric, ordered numeric, recognised numeric, vendor_id uuid);
COMMENT ON TYPE revenue_row IS 'Revenue of one period of a report; vendor_id is null unless it was asked for by vendor.';
CREATE FUNCTION report_revenue("from" timestamptz, "to" timestamptz, granularity text DEFAULT 'month', vendor_id uuid DEFAULT NULL,
	currency text DEFAULT NULL, by_vendor boolean DEFAULT false) RETURNS SETOF revenue_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_revenue(timestamptz, timestamptz, text, uuid, text, boolean) IS
	'Ordered, billed, paid and recognised amounts in [from, to) by hour (of up to 62 days), day, week, month, quarter or year of each vendor''s time zone, and by currency. A vendor sees its own; an administrator or analyst all, or one. Periods without anything are left out. Errors: invalid_period, invalid_field, forbidden.';

CREATE TYPE revenue_by_row AS (id uuid, name text, currency text, paid numeric);
COMMENT ON TYPE revenue_by_row IS 'What was paid less what was given back, for a category (null: none), vendor, location or product.';
CREATE FUNCTION report_revenue_by("from" timestamptz, "to" timestamptz, dimension text DEFAULT 'category', vendor_id uuid DEFAULT NULL)
	RETURNS SETOF revenue_by_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_revenue_by(timestamptz, timestamptz, text, uuid) IS
	'What was paid in [from, to) by category, vendor, location or product. A payment is spread over the lines of its order by their totals, so that the parts sum to it. A vendor sees its own; an administrator or analyst all, or one. Errors: invalid_period, invalid_field, invalid_value, forbidden.';
CREATE TYPE trial_balance_row AS (book text, account text, kind text, name text, currency text, debit numeric, credit numeric);
COMMENT ON TYPE trial_balance_row IS 'What an account stands at.';
CREATE FUNCTION report_trial_balance(vendor_id uuid DEFAULT NULL) RETURNS SETOF trial_balance_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_trial_balance(uuid) IS
	'The trial balance: in each book debits and credits sum to the same. A vendor sees its own; an administrator or analyst all, or one. Error: forbidden.';
CREATE TYPE customer_balance_row AS (customer_id uuid, name text, currency text, receivable numeric, deposits numeric);
COMMENT ON TYPE customer_balance_row IS 'What a customer owes (below zero: is owed), and what is held of it as deposits.';
CREATE FUNCTION report_customer_balances(vendor_id uuid DEFAULT NULL) RETURNS SETOF customer_balance_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_customer_balances(uuid) IS 'Customers with a balance. A vendor sees its own; an administrator or analyst all, or one. Error: forbidden.';
CREATE TYPE tax_report_row AS (country text, name text, percent numeric, is_inclusive boolean, is_reverse boolean, currency text, taxable numeric, tax numeric);
COMMENT ON TYPE tax_report_row IS 'A tax over a period: invoices less credit notes. country is the place of supply.';
CREATE FUNCTION report_taxes("from" timestamptz, "to" timestamptz, vendor_id uuid DEFAULT NULL) RETURNS SETOF tax_report_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_taxes(timestamptz, timestamptz, uuid) IS
	'Taxes of what was invoiced in [from, to), by rate. A vendor sees its own; an administrator or analyst all, or one. Errors: invalid_period, forbidden.';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('GET', '/api/analytics/reports/', 'rental.report_list', '{vendor,admin}', 200, 'read', 'analytics', 'Reports', true),
	('GET', '/api/analytics/reports/revenue/', 'rental.report_revenue', '{vendor,admin}', 200, 'read', 'analytics', 'Revenue over time', true),
	('GET', '/api/analytics/reports/revenue-by/', 'rental.report_revenue_by', '{vendor,admin}', 200, 'read', 'analytics', 'Revenue by category, vendor, location, product', true),
	('GET', '/api/analytics/reports/trial-balance/', 'rental.report_trial_balance', '{vendor,admin}', 200, 'read', 'analytics', 'Trial balance', true),
	('GET', '/api/analytics/reports/customer-balances/', 'rental.report_customer_balances', '{vendor,admin}', 200, 'read', 'analytics', 'What customers owe', true),
	('GET', '/api/analytics/reports/taxes/', 'rental.report_taxes', '{vendor,admin}', 200, 'read', 'analytics', 'Taxes by rate', true);

SELECT report_describe('revenue', 'rental.report_revenue', 'Revenue over time', 'What was ordered, billed, paid and earned, by period and currency.',
	'orders, ordered: count and sum(orders.total) by created_at, status pending, confirmed, active, returned or completed. billed: sum(invoices.total) by issued_at. paid: sum(payments.amount) by created_at, status succeeded, kind not deposit; refunds and chargebacks below zero. recognised: of order_items of orders that are confirmed, active, returned or completed, (subtotal - discount) * time of the line within the period / time of the line, rounded half-up up to each end.',
	'{granularity,vendor,currency}', '
	start_at time the period''s start, on the vendor''s clock
	currency - ISO 4217
	orders orders placed and not ended early
	billed currency invoices less credit notes
	paid currency received less given back
	ordered currency totals of the orders
	recognised currency what the rentals of the period earned, without added taxes
	vendor_id - the vendor, if by_vendor; else null');
SELECT report_describe('revenue-by', 'rental.report_revenue_by', 'Revenue by what it was for', 'What was paid, by category, vendor, location or product.',
	'Each payment (as in revenue) is spread over the lines of its order by their totals (alike if they are all 0), rounded by running sums, so that the parts sum to it.',
	'{dimension,vendor}', '
	id - of the category, vendor, location or product; null: none
	name - its name
	currency - ISO 4217
	paid currency received less given back');
SELECT report_describe('trial-balance', 'rental.report_trial_balance', 'Trial balance', 'What each account of the ledger stands at.',
	'sum(ledger_entries.amount) by account and currency: debit where it is above zero, credit where below.', '{vendor}', '
	book - vendor or platform
	account - code of the account
	kind - asset, liability, income or expense
	name - of the account
	currency - ISO 4217
	debit currency above zero
	credit currency below zero, without the sign');
SELECT report_describe('customer-balances', 'rental.report_customer_balances', 'What customers owe', 'Customers who owe, are owed, or have deposits held.',
	'receivable: sum(ledger_entries.amount) of account receivable; deposits: -sum of deposit_owed; customers for whom either is not 0.', '{vendor}', '
	customer_id - the customer
	name - of the customer
	currency - ISO 4217
	receivable currency owed by the customer; below zero: owed to it
	deposits currency held');
SELECT report_describe('taxes', 'rental.report_taxes', 'Taxes by rate', 'Taxes of what was invoiced.',
	'sum(taxable), sum(tax) of invoice_taxes of invoices with issued_at in the period, by the seller''s country and rate; credit notes count below zero.', '{vendor}', '
	country - of the seller
	name - of the tax
	percent % rate
	is_inclusive - the price holds it
	is_reverse - the customer owes it
	currency - ISO 4217
	taxable currency what the tax is on
	tax currency the tax');
SELECT report_describe('shortages', 'rental.shortages', 'Promises that cannot be kept', 'From now on: who is affected, when, and by how many pieces.',
	'Where free stock is below zero: the reservations that took it, the newest first, what is out last, until what is missing is covered.', '{vendor}', '
	vendor_id - the vendor
	product_id - the product
	location_id - where
	reservation_id - the reservation
	order_id - its order
	order_number - its number
	customer_id - who ordered
	start_at time from when on
	end_at time until when
	missing pieces that are missing');

-- What things cost, for the returns on them

ALTER TABLE products ADD purchase_cost numeric CHECK (purchase_cost >= 0);
ALTER TABLE units ADD purchase_cost numeric CHECK (purchase_cost >= 0);
COMMENT ON COLUMN products.purchase_cost IS 'what a piece cost, in the vendor''s currency; null: not known, and the replacement value stands for it';
COMMENT ON COLUMN units.purchase_cost IS 'what this unit cost; null: as its product';
CREATE FUNCTION purchase_cost_set(product_id uuid, amount numeric DEFAULT NULL, unit_id uuid DEFAULT NULL) RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION purchase_cost_set(uuid, numeric, uuid) IS
	'Says what a piece of a product cost, or one unit of it; without amount it is not known. Errors: not_found, forbidden, invalid_value.';
CREATE FUNCTION category_below(category uuid) RETURNS SETOF uuid LANGUAGE sql STABLE AS $$
	WITH RECURSIVE below AS (SELECT category AS id UNION SELECT c.id FROM rental.categories c JOIN below b ON c.parent_id = b.id) SELECT id FROM below
$$;
COMMENT ON FUNCTION category_below(uuid) IS 'A category and all below it.';
INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('PUT', '/api/catalog/products/{product_id}/purchase-cost/', 'rental.purchase_cost_set', '{vendor,admin}', 204, 'write', 'catalog', 'Set what it cost', true);

CREATE INDEX payments_deposits ON payments (vendor_id) WHERE kind = 'deposit' AND status IN ('authorised', 'succeeded') AND amount > captured + released;

-- The reports

CREATE TYPE orders_row AS (start_at timestamptz, currency text, draft bigint, quoted bigint, pending bigint, confirmed bigint, active bigint, returned bigint, completed bigint, cancelled bigint, rejected bigint, expired bigint, ordered numeric, lost numeric);
COMMENT ON TYPE orders_row IS 'A row of the report orders.';
CREATE FUNCTION report_orders("from" timestamptz, "to" timestamptz, granularity text DEFAULT 'month', vendor_id uuid DEFAULT NULL, currency text DEFAULT NULL) RETURNS SETOF orders_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_orders(timestamptz, timestamptz, text, uuid, text) IS 'Orders created in the period, by the state that they are in now. A vendor sees its own; an administrator or analyst all, or one. Errors: invalid_period, invalid_field, forbidden.';
SELECT report_describe('orders', 'rental.report_orders', 'Orders by state', 'Orders created in the period, by the state that they are in now.',
	'count of orders by created_at and status. ordered: sum(total) of pending, confirmed, active, returned and completed ones; lost: of cancelled, rejected and expired ones.', '{granularity,vendor,currency}', '
	start_at time the period''s start, on the vendor''s clock
	currency - ISO 4217
	draft orders that are drafts
	quoted orders that are offered
	pending orders that are waiting for the vendor
	confirmed orders that are confirmed
	active orders that are out
	returned orders that are back
	completed orders that are completed
	cancelled orders that are cancelled
	rejected orders that are declined
	expired orders that are expired
	ordered currency totals of those placed and not ended early
	lost currency totals of those that ended early');

CREATE TYPE cancellations_row AS (start_at timestamptz, currency text, orders bigint, cancelled bigint, rejected bigint, expired bigint, rate numeric, lost numeric);
COMMENT ON TYPE cancellations_row IS 'A row of the report cancellations.';
CREATE FUNCTION report_cancellations("from" timestamptz, "to" timestamptz, granularity text DEFAULT 'month', vendor_id uuid DEFAULT NULL, currency text DEFAULT NULL) RETURNS SETOF cancellations_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_cancellations(timestamptz, timestamptz, text, uuid, text) IS 'How many orders end early, and what that costs. A vendor sees its own; an administrator or analyst all, or one. Errors: invalid_period, invalid_field, forbidden.';
SELECT report_describe('cancellations', 'rental.report_cancellations', 'Cancellations', 'How many orders end early, and what that costs.',
	'orders: count of orders by created_at, drafts and offers aside. rate: (cancelled + rejected + expired) / orders, to 4 decimals. lost: sum(total) of these.', '{granularity,vendor,currency}', '
	start_at time the period''s start, on the vendor''s clock
	currency - ISO 4217
	orders orders placed
	cancelled orders cancelled
	rejected orders declined
	expired orders expired
	rate ratio of those that ended early
	lost currency their totals');

CREATE TYPE seasonality_row AS (unit text, n integer, currency text, orders bigint, recognised numeric, order_index numeric, revenue_index numeric);
COMMENT ON TYPE seasonality_row IS 'A row of the report seasonality.';
CREATE FUNCTION report_seasonality("from" timestamptz, "to" timestamptz, vendor_id uuid DEFAULT NULL, currency text DEFAULT NULL) RETURNS SETOF seasonality_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_seasonality(timestamptz, timestamptz, uuid, text) IS 'Which months and weekdays are strong. A vendor sees its own; an administrator or analyst all, or one. Errors: invalid_period, forbidden.';
SELECT report_describe('seasonality', 'rental.report_seasonality', 'Seasons', 'Which months and weekdays are strong.',
	'orders and recognised as in revenue, by month of the year (1 to 12) and by weekday (1 Monday to 7 Sunday) on the vendor''s clock. index: 12 (months) or 7 (weekdays) times the share of the whole; 1 is the average. A period of whole years compares all months alike.', '{vendor,currency}', '
	unit - month or weekday
	n - which
	currency - ISO 4217
	orders orders placed and not ended early
	recognised currency what the rentals earned
	order_index ratio to the average, by orders
	revenue_index ratio to the average, by recognised');

CREATE TYPE ranking_row AS (place integer, id uuid, name text, currency text, pieces bigint, booked numeric, recognised numeric);
COMMENT ON TYPE ranking_row IS 'A row of the report ranking.';
CREATE FUNCTION report_ranking("from" timestamptz, "to" timestamptz, by text DEFAULT 'product', vendor_id uuid DEFAULT NULL, category_id uuid DEFAULT NULL, product_id uuid DEFAULT NULL, location_id uuid DEFAULT NULL, most integer DEFAULT 100) RETURNS SETOF ranking_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_ranking(timestamptz, timestamptz, text, uuid, uuid, uuid, uuid, integer) IS 'Products, categories, locations or vendors by what they earn. A vendor sees its own; an administrator or analyst all, or one. Errors: invalid_period, invalid_value, forbidden.';
SELECT report_describe('ranking', 'rental.report_ranking', 'Ranking', 'Products, categories, locations or vendors by what they earn.',
	'pieces, booked: sum(quantity), sum(total) of order_items of orders with created_at in the period and status pending, confirmed, active, returned or completed. recognised as in revenue. place: within the currency by recognised, then booked. category_id counts the categories below it.', '{by,vendor,category,product,location}', '
	place - 1 earns most
	id - of the product, category (null: none), location or vendor
	name - its name
	currency - ISO 4217
	pieces pieces ordered
	booked currency totals of the lines
	recognised currency what the rentals of the period earned');

CREATE TYPE utilisation_row AS (id uuid, name text, currency text, rented_hours numeric, possible_hours numeric, utilisation numeric, recognised numeric, cost numeric, return_annualised numeric);
COMMENT ON TYPE utilisation_row IS 'A row of the report utilisation.';
CREATE FUNCTION report_utilisation("from" timestamptz, "to" timestamptz, by text DEFAULT 'product', vendor_id uuid DEFAULT NULL, category_id uuid DEFAULT NULL, product_id uuid DEFAULT NULL, location_id uuid DEFAULT NULL) RETURNS SETOF utilisation_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_utilisation(timestamptz, timestamptz, text, uuid, uuid, uuid, uuid) IS 'How much of its time stock is rented, and what it earns on what it cost. A vendor sees its own; an administrator or analyst all, or one. Errors: invalid_period, invalid_value, forbidden.';
SELECT report_describe('utilisation', 'rental.report_utilisation', 'Utilisation', 'How much of its time stock is rented, and what it earns on what it cost.',
	'rented: sum(quantity * whole seconds of the line within the period) of order_items of orders that are confirmed, active, returned or completed. possible: the capacity (stock, units in service, less blackouts and what was sold) over the period. utilisation = rented / possible. cost: purchase_cost, else replacement_value, of the average capacity. return_annualised = recognised / cost * 365 days / period. Rentals only; what goes out in a kit counts for the kit, which has no capacity of its own.', '{by,vendor,category,product,location}', '
	id - of the product, category (null: none), location or vendor
	name - its name
	currency - ISO 4217
	rented_hours piece-hours rented
	possible_hours piece-hours that could be
	utilisation ratio rented / possible
	recognised currency what the rentals of the period earned
	cost currency of the average capacity; null: no cost is known
	return_annualised ratio recognised / cost in a year');

CREATE TYPE stock_turn_row AS (id uuid, name text, pieces bigint, average_stock numeric, turn numeric);
COMMENT ON TYPE stock_turn_row IS 'A row of the report stock-turn.';
CREATE FUNCTION report_stock_turn("from" timestamptz, "to" timestamptz, by text DEFAULT 'product', vendor_id uuid DEFAULT NULL, category_id uuid DEFAULT NULL, product_id uuid DEFAULT NULL, location_id uuid DEFAULT NULL) RETURNS SETOF stock_turn_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_stock_turn(timestamptz, timestamptz, text, uuid, uuid, uuid, uuid) IS 'How often a piece goes out. A vendor sees its own; an administrator or analyst all, or one. Errors: invalid_period, invalid_value, forbidden.';
SELECT report_describe('stock-turn', 'rental.report_stock_turn', 'Stock turn', 'How often a piece goes out.',
	'pieces as in ranking, average_stock: possible of utilisation / period, turn = pieces / average_stock.', '{by,vendor,category,product,location}', '
	id - of the product, category (null: none), location or vendor
	name - its name
	pieces pieces ordered in the period
	average_stock pieces that there were on average
	turn ratio pieces / average_stock');

CREATE TYPE units_row AS (unit_id uuid, code text, product_id uuid, name text, currency text, rented_hours numeric, recognised numeric, cost numeric, return_on_cost numeric);
COMMENT ON TYPE units_row IS 'A row of the report units.';
CREATE FUNCTION report_units("from" timestamptz, "to" timestamptz, vendor_id uuid DEFAULT NULL, product_id uuid DEFAULT NULL) RETURNS SETOF units_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_units(timestamptz, timestamptz, uuid, uuid) IS 'What each numbered unit earned on what it cost. A vendor sees its own; an administrator or analyst all, or one. Errors: invalid_period, forbidden.';
SELECT report_describe('units', 'rental.report_units', 'Return on each unit', 'What each numbered unit earned on what it cost.',
	'Lines (as in utilisation) that the unit was assigned to: rented: their time within the period; recognised: what the line earned in the period / quantity, rounded. cost: purchase_cost of the unit, else of the product, else replacement_value. return_on_cost = recognised / cost.', '{vendor,product}', '
	unit_id - the unit
	code - its number
	product_id - the product
	name - of the product
	currency - ISO 4217
	rented_hours hours assigned to rentals
	recognised currency earned
	cost currency what it cost; null: not known
	return_on_cost ratio recognised / cost');

CREATE TYPE inventory_row AS (product_id uuid, name text, location_id uuid, currency text, pieces bigint, value numeric);
COMMENT ON TYPE inventory_row IS 'A row of the report inventory.';
CREATE FUNCTION report_inventory(at timestamptz DEFAULT NULL, vendor_id uuid DEFAULT NULL, category_id uuid DEFAULT NULL, product_id uuid DEFAULT NULL, location_id uuid DEFAULT NULL) RETURNS SETOF inventory_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_inventory(timestamptz, uuid, uuid, uuid, uuid) IS 'What there is, and what it cost. A vendor sees its own; an administrator or analyst all, or one. Errors: forbidden.';
SELECT report_describe('inventory', 'rental.report_inventory', 'Inventory value', 'What there is, and what it cost.',
	'pieces: stock.quantity and its changes up to the time, and units in service there then. value: purchase_cost of each unit, else of the product, else replacement_value, else 0.', '{vendor,category,product,location}', '
	product_id - the product
	name - its name
	location_id - where
	currency - ISO 4217
	pieces pieces there
	value currency what they cost');

CREATE TYPE customers_row AS (place integer, customer_id uuid, name text, currency text, orders bigint, ordered numeric, paid numeric, average numeric, first_at timestamptz, last_at timestamptz);
COMMENT ON TYPE customers_row IS 'A row of the report customers.';
CREATE FUNCTION report_customers("from" timestamptz, "to" timestamptz, vendor_id uuid DEFAULT NULL, currency text DEFAULT NULL, most integer DEFAULT 100) RETURNS SETOF customers_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_customers(timestamptz, timestamptz, uuid, text, integer) IS 'Customers by what they ordered. A vendor sees its own; an administrator or analyst all, or one. Errors: invalid_period, invalid_value, forbidden.';
SELECT report_describe('customers', 'rental.report_customers', 'Customer value', 'Customers by what they ordered.',
	'orders with created_at in the period and status pending, confirmed, active, returned or completed: count, sum(total), sum(paid), sum(total) / count. place: within the currency by ordered.', '{vendor,currency}', '
	place - 1 ordered most
	customer_id - the customer
	name - of the customer
	currency - ISO 4217
	orders orders placed
	ordered currency their totals
	paid currency what was paid of them
	average currency of an order
	first_at time of the first
	last_at time of the last');

CREATE TYPE cohorts_row AS (cohort date, month integer, currency text, customers bigint, orders bigint, ordered numeric);
COMMENT ON TYPE cohorts_row IS 'A row of the report cohorts.';
CREATE FUNCTION report_cohorts("from" timestamptz, "to" timestamptz, vendor_id uuid DEFAULT NULL) RETURNS SETOF cohorts_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_cohorts(timestamptz, timestamptz, uuid) IS 'Whether customers come again. A vendor sees its own; an administrator or analyst all, or one. Errors: invalid_period, forbidden.';
SELECT report_describe('cohorts', 'rental.report_cohorts', 'Cohorts', 'Whether customers come again.',
	'A customer belongs to the month, on the vendor''s clock, of its first order (status as in customers) with the vendor, or with any if all are asked for; cohorts whose first orders are in the period. month: months since then; count(DISTINCT customer), count and sum(total) of orders.', '{vendor}', '
	cohort date the month of first orders
	month months since then
	currency - ISO 4217
	customers customers who ordered then
	orders orders they placed
	ordered currency their totals');

CREATE TYPE durations_row AS (start_at timestamptz, lines bigint, pieces bigint, average_hours numeric, average_lead_hours numeric);
COMMENT ON TYPE durations_row IS 'A row of the report durations.';
CREATE FUNCTION report_durations("from" timestamptz, "to" timestamptz, granularity text DEFAULT 'month', vendor_id uuid DEFAULT NULL, product_id uuid DEFAULT NULL, location_id uuid DEFAULT NULL) RETURNS SETOF durations_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_durations(timestamptz, timestamptz, text, uuid, uuid, uuid) IS 'How long is rented, and how long before. A vendor sees its own; an administrator or analyst all, or one. Errors: invalid_period, invalid_field, forbidden.';
SELECT report_describe('durations', 'rental.report_durations', 'Periods and lead times', 'How long is rented, and how long before.',
	'order_items of orders (status as in customers) by the order''s created_at: avg(end_at - start_at), avg(start_at - created_at of the order), of lines, to 2 decimals.', '{granularity,vendor,product,location}', '
	start_at time the period''s start, on the vendor''s clock
	lines lines ordered
	pieces pieces of these
	average_hours hours that a line lasts
	average_lead_hours hours from the order to its start');

CREATE TYPE late_row AS (start_at timestamptz, due bigint, late bigint, out bigint, average_hours numeric);
COMMENT ON TYPE late_row IS 'A row of the report late.';
CREATE FUNCTION report_late("from" timestamptz, "to" timestamptz, granularity text DEFAULT 'month', vendor_id uuid DEFAULT NULL) RETURNS SETOF late_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_late(timestamptz, timestamptz, text, uuid) IS 'How many orders come back late. A vendor sees its own; an administrator or analyst all, or one. Errors: invalid_period, invalid_field, forbidden.';
SELECT report_describe('late', 'rental.report_late', 'Late returns', 'How many orders come back late.',
	'Orders that are active, returned or completed, by their due time, the last end_at of their items. late: the last returned_at of their events is after it; average_hours: by how much. out: active and past due now.', '{granularity,vendor}', '
	start_at time the period''s start, on the vendor''s clock
	due orders due
	late orders that came back late
	out orders that are still out, past due
	average_hours hours by which late ones were late');

CREATE TYPE overdue_row AS (vendor_id uuid, order_id uuid, number text, customer_id uuid, item_id uuid, product_id uuid, name text, pieces integer, due_at timestamptz, hours numeric);
COMMENT ON TYPE overdue_row IS 'A row of the report overdue.';
CREATE FUNCTION report_overdue(vendor_id uuid DEFAULT NULL, most integer DEFAULT 1000) RETURNS SETOF overdue_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_overdue(uuid, integer) IS 'What is out past its end, now. A vendor sees its own; an administrator or analyst all, or one. Errors: invalid_value, forbidden.';
SELECT report_describe('overdue', 'rental.report_overdue', 'Overdue', 'What is out past its end, now.',
	'order_items of active orders with dispatched > returned and end_at before now, what is sold aside; the longest first.', '{vendor}', '
	vendor_id - the vendor
	order_id - the order
	number - its number
	customer_id - who has it
	item_id - the line
	product_id - the product
	name - of the product
	pieces pieces out
	due_at time when they were due
	hours hours since then');

CREATE TYPE receivables_row AS (currency text, invoices bigint, not_due numeric, days_0_30 numeric, days_30_60 numeric, days_60_90 numeric, days_90 numeric, total numeric);
COMMENT ON TYPE receivables_row IS 'A row of the report receivables.';
CREATE FUNCTION report_receivables(vendor_id uuid DEFAULT NULL, currency text DEFAULT NULL) RETURNS SETOF receivables_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_receivables(uuid, text) IS 'What is open of invoices, by how long it is due. A vendor sees its own; an administrator or analyst all, or one. Errors: forbidden.';
SELECT report_describe('receivables', 'rental.report_receivables', 'Receivables by age', 'What is open of invoices, by how long it is due.',
	'open = total - paid - credited - written_off of invoices that are issued or partly paid, by the time since due_at.', '{vendor,currency}', '
	currency - ISO 4217
	invoices invoices with something open
	not_due currency not due yet
	days_0_30 currency due for less than 30 days
	days_30_60 currency 30 to 60 days
	days_60_90 currency 60 to 90 days
	days_90 currency 90 days and more
	total currency open in all');

CREATE TYPE deposits_row AS (vendor_id uuid, currency text, deposits bigint, held numeric, captured numeric);
COMMENT ON TYPE deposits_row IS 'A row of the report deposits.';
CREATE FUNCTION report_deposits(vendor_id uuid DEFAULT NULL) RETURNS SETOF deposits_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_deposits(uuid) IS 'What is held as deposits, now. A vendor sees its own; an administrator or analyst all, or one. Errors: forbidden.';
SELECT report_describe('deposits', 'rental.report_deposits', 'Deposits held', 'What is held as deposits, now.',
	'payments of kind deposit that are authorised or succeeded and of which something is held: amount - captured - released.', '{vendor}', '
	vendor_id - the vendor
	currency - ISO 4217
	deposits deposits of which something is held
	held currency held
	captured currency taken from these');

CREATE TYPE commission_row AS (start_at timestamptz, vendor_id uuid, currency text, commission numeric, paid_out numeric);
COMMENT ON TYPE commission_row IS 'A row of the report commission.';
CREATE FUNCTION report_commission("from" timestamptz, "to" timestamptz, granularity text DEFAULT 'month', vendor_id uuid DEFAULT NULL) RETURNS SETOF commission_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_commission(timestamptz, timestamptz, text, uuid) IS 'What the platform keeps, and what it paid out. A vendor sees its own; an administrator or analyst all, or one. Errors: invalid_period, invalid_field, forbidden.';
SELECT report_describe('commission', 'rental.report_commission', 'Commission and payouts', 'What the platform keeps, and what it paid out.',
	'commission: sum(ledger_entries.amount) of account commission by created_at, reversals below zero. paid_out: sum(payouts.amount) by created_at.', '{granularity,vendor}', '
	start_at time the period''s start, on the vendor''s clock
	vendor_id - the vendor
	currency - ISO 4217
	commission currency kept
	paid_out currency paid out');

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin)
	SELECT 'GET', '/api/analytics/reports/' || c.name || '/', c.function, '{vendor,admin}', 200, 'read', 'analytics', c.title, true FROM report_catalog c
	WHERE NOT EXISTS (SELECT FROM endpoint e WHERE e.function = c.function);
