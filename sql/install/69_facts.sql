-- Facts: what reports read instead of the books. A change appends a small delta in its own transaction; a job folds deltas
-- into sums by day and month; what is folded and what is not yet are read in one snapshot, so that reports are exact at once.

CREATE TABLE facts_delta (
	vendor_id uuid NOT NULL,
	kind text NOT NULL,
	currency text NOT NULL,
	at timestamptz NOT NULL,
	until timestamptz,
	product_id uuid,
	location_id uuid,
	n integer NOT NULL,
	amount numeric NOT NULL,
	order_id uuid
);
COMMENT ON TABLE facts_delta IS 'Derived: what changed in the books and is not folded yet. Append-only but for report_fold(), which takes rows away; nobody waits for a row.';
COMMENT ON COLUMN facts_delta.kind IS
	'a status: orders that have it, by created_at; booked: lines of placed orders, by the order''s created_at; rented: lines of confirmed orders, over [at, until); billed: invoices; paid: payments; moved: pieces of a line went out or came back, which counts for nothing';
COMMENT ON COLUMN facts_delta.n IS 'orders, pieces, invoices or payments; below zero where something ceased to be so';
COMMENT ON COLUMN facts_delta.amount IS 'likewise, in currency';
COMMENT ON COLUMN facts_delta.order_id IS 'the order, where it is a fact of one: its rows in facts_open are not to be relied on';

-- The books as facts. The triggers below record the changes of just these.
CREATE VIEW facts_events AS
SELECT o.vendor_id, o.status AS kind, o.currency, o.created_at AS at, NULL::uuid AS product_id, NULL::uuid AS location_id, 1 AS n, o.total AS amount
FROM orders o
UNION ALL
SELECT i.vendor_id, 'booked', o.currency, o.created_at, i.product_id, i.location_id, i.quantity, i.total
FROM order_items i JOIN orders o ON o.id = i.order_id AND o.vendor_id = i.vendor_id
WHERE o.status IN ('pending', 'confirmed', 'active', 'returned', 'completed')
UNION ALL
SELECT n.vendor_id, 'billed', n.currency, n.issued_at, NULL, NULL, 1, n.total FROM invoices n WHERE n.issued_at IS NOT NULL
UNION ALL
SELECT p.vendor_id, 'paid', p.currency, p.created_at, NULL, NULL, 1, CASE WHEN p.kind IN ('charge', 'capture') THEN p.amount ELSE -p.amount END
FROM payments p WHERE p.status = 'succeeded' AND p.kind <> 'deposit';
COMMENT ON VIEW facts_events IS 'What the books say, in the shape of facts_delta: what belongs to a time.';
CREATE VIEW facts_spans AS
SELECT i.vendor_id, 'rented' AS kind, o.currency, i.start_at AS at, i.end_at AS until, i.product_id, i.location_id, i.quantity AS n,
	i.subtotal - i.discount AS amount, i.order_id
FROM order_items i JOIN orders o ON o.id = i.order_id AND o.vendor_id = i.vendor_id
WHERE o.status IN ('confirmed', 'active', 'returned', 'completed');
COMMENT ON VIEW facts_spans IS 'The same: what lasts from a time until another.';
CREATE VIEW facts_books AS
SELECT vendor_id, kind, currency, at, NULL::timestamptz AS until, product_id, location_id, n, amount FROM facts_events
UNION ALL
SELECT vendor_id, kind, currency, at, until, product_id, location_id, n, amount FROM facts_spans;
COMMENT ON VIEW facts_books IS 'What the books say: all deltas ever appended sum to this.';
CREATE VIEW facts_tasks AS
SELECT o.vendor_id, o.id AS order_id, 'dispatch' AS task, min(i.start_at) AS at, true AS is_first
FROM orders o JOIN order_items i ON i.order_id = o.id AND i.vendor_id = o.vendor_id
WHERE o.status IN ('confirmed', 'active') AND i.dispatched < i.quantity GROUP BY o.vendor_id, o.id
UNION ALL
SELECT o.vendor_id, o.id, 'return', i.end_at, i.end_at = min(i.end_at) OVER (PARTITION BY o.vendor_id, o.id)
FROM orders o JOIN order_items i ON i.order_id = o.id AND i.vendor_id = o.vendor_id JOIN products p ON p.id = i.product_id AND p.vendor_id = i.vendor_id
WHERE o.status = 'active' AND i.returned < i.dispatched AND p.kind = 'rental' GROUP BY o.vendor_id, o.id, i.end_at;
COMMENT ON VIEW facts_tasks IS
	'What the books say is to be done for open orders: dispatch, from the earliest start of a line that is not all out; return, at each end of a line that is out and comes back. is_first: the earliest of its order.';
CREATE INDEX orders_created ON orders USING brin (created_at) WITH (pages_per_range = 16);
CREATE INDEX order_items_time ON order_items USING brin (start_at, end_at) WITH (pages_per_range = 16);

CREATE FUNCTION facts_spread(at timestamptz, until timestamptz, n integer, amount numeric, currency text, time_zone text, unit text,
	OUT day date, OUT count bigint, OUT sum numeric) RETURNS SETOF record
	LANGUAGE c STABLE PARALLEL SAFE ROWS 4 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION facts_spread(timestamptz, timestamptz, integer, numeric, text, text, text) IS
	'A fact by local days, or months, named by their first day. What is at a time belongs to its day. What lasts until another is spread: count is n times the whole seconds from at, sum the amount times the share of the time, rounded half-up; of each day the difference between its ends, so that days sum to the whole.';
CREATE FUNCTION facts_share(at timestamptz, until timestamptz, n integer, amount numeric, currency text, "from" timestamptz, "to" timestamptz,
	OUT count bigint, OUT sum numeric) RETURNS record
	LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION facts_share(timestamptz, timestamptz, integer, numeric, text, timestamptz, timestamptz) IS
	'The part of a fact that belongs to [from, to), reckoned as by facts_spread.';

CREATE TABLE facts_daily (
	vendor_id uuid NOT NULL,
	day date NOT NULL,
	currency text NOT NULL,
	draft bigint NOT NULL,
	quoted bigint NOT NULL,
	pending bigint NOT NULL,
	confirmed bigint NOT NULL,
	active bigint NOT NULL,
	returned bigint NOT NULL,
	completed bigint NOT NULL,
	cancelled bigint NOT NULL,
	rejected bigint NOT NULL,
	expired bigint NOT NULL,
	ordered numeric NOT NULL,
	lost numeric NOT NULL,
	pieces bigint NOT NULL,
	rented bigint NOT NULL,
	recognised numeric NOT NULL,
	invoices bigint NOT NULL,
	billed numeric NOT NULL,
	payments bigint NOT NULL,
	paid numeric NOT NULL,
	PRIMARY KEY (vendor_id, day, currency)
);
CREATE INDEX facts_daily_day ON facts_daily (day, currency, vendor_id);
COMMENT ON TABLE facts_daily IS 'Derived: folded facts of each vendor, by day on its clock.';
COMMENT ON COLUMN facts_daily.draft IS 'orders created that day which are drafts now, and so on for each status';
COMMENT ON COLUMN facts_daily.ordered IS 'total of orders created that day which are pending, confirmed, active, returned or completed';
COMMENT ON COLUMN facts_daily.lost IS 'total of those that are cancelled, rejected or expired';
COMMENT ON COLUMN facts_daily.pieces IS 'of the lines of what was ordered';
COMMENT ON COLUMN facts_daily.rented IS 'pieces times seconds that confirmed orders have that day';
COMMENT ON COLUMN facts_daily.recognised IS 'their amounts after discounts, without added taxes, spread over the time of each line';
COMMENT ON COLUMN facts_daily.billed IS 'invoices issued that day, less credit notes';
COMMENT ON COLUMN facts_daily.paid IS 'payments of that day, less what was given back';

CREATE TABLE facts_monthly (LIKE facts_daily, PRIMARY KEY (vendor_id, day, currency));
CREATE INDEX facts_monthly_day ON facts_monthly (day, currency, vendor_id);
COMMENT ON TABLE facts_monthly IS 'Derived: the same by month; day is its first.';

CREATE TABLE facts_zones (time_zone text NOT NULL, LIKE facts_daily, PRIMARY KEY (time_zone, day, currency));
ALTER TABLE facts_zones DROP COLUMN vendor_id;
COMMENT ON TABLE facts_zones IS 'Derived: the sums of facts_daily over all vendors of a time zone.';
CREATE INDEX vendors_clock ON vendors (time_zone, currency);

CREATE TABLE facts_open (
	vendor_id uuid NOT NULL,
	order_id uuid NOT NULL,
	task text NOT NULL,
	at timestamptz NOT NULL,
	is_first boolean NOT NULL,
	PRIMARY KEY (order_id, vendor_id, task, at)
);
CREATE INDEX facts_open_due ON facts_open (task, at, order_id) INCLUDE (vendor_id, is_first);
COMMENT ON TABLE facts_open IS 'Derived: folded rows of facts_tasks, right for every order that no delta names.';

CREATE TABLE facts_products (
	vendor_id uuid NOT NULL,
	day date NOT NULL,
	product_id uuid NOT NULL,
	location_id uuid NOT NULL,
	currency text NOT NULL,
	pieces bigint NOT NULL,
	booked numeric NOT NULL,
	rented bigint NOT NULL,
	recognised numeric NOT NULL,
	PRIMARY KEY (vendor_id, day, product_id, location_id, currency)
);
CREATE INDEX ON facts_products (product_id, day);
COMMENT ON TABLE facts_products IS 'Derived: folded facts of products at locations, by month on the vendor''s clock; day is its first.';
COMMENT ON COLUMN facts_products.pieces IS 'of the lines of orders created that month and not ended early';
COMMENT ON COLUMN facts_products.booked IS 'the totals of those lines';
COMMENT ON COLUMN facts_products.rented IS 'as in facts_daily';
COMMENT ON COLUMN facts_products.recognised IS 'as in facts_daily';

CREATE FUNCTION facts_record() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION facts_record() IS 'Appends to facts_delta what the change of a row changes in facts_books.';
CREATE TRIGGER facts_inserted AFTER INSERT OR DELETE ON orders FOR EACH ROW EXECUTE FUNCTION facts_record('order');
CREATE TRIGGER facts_updated AFTER UPDATE ON orders FOR EACH ROW
	WHEN ((OLD.vendor_id, OLD.status, OLD.currency, OLD.created_at, OLD.total) IS DISTINCT FROM (NEW.vendor_id, NEW.status, NEW.currency, NEW.created_at, NEW.total))
	EXECUTE FUNCTION facts_record('order');
CREATE TRIGGER facts_inserted AFTER INSERT OR DELETE ON order_items FOR EACH ROW EXECUTE FUNCTION facts_record('item');
CREATE TRIGGER facts_updated AFTER UPDATE ON order_items FOR EACH ROW
	WHEN ((OLD.vendor_id, OLD.order_id, OLD.product_id, OLD.location_id, OLD.quantity, OLD.start_at, OLD.end_at, OLD.total, OLD.subtotal - OLD.discount)
		IS DISTINCT FROM (NEW.vendor_id, NEW.order_id, NEW.product_id, NEW.location_id, NEW.quantity, NEW.start_at, NEW.end_at, NEW.total, NEW.subtotal - NEW.discount))
	EXECUTE FUNCTION facts_record('item');
CREATE TRIGGER facts_moved AFTER UPDATE ON order_items FOR EACH ROW
	WHEN ((OLD.dispatched, OLD.returned) IS DISTINCT FROM (NEW.dispatched, NEW.returned)) EXECUTE FUNCTION facts_record('moved');
CREATE TRIGGER facts_inserted AFTER INSERT OR DELETE ON invoices FOR EACH ROW EXECUTE FUNCTION facts_record('invoice');
CREATE TRIGGER facts_updated AFTER UPDATE ON invoices FOR EACH ROW
	WHEN ((OLD.vendor_id, OLD.currency, OLD.issued_at, OLD.total) IS DISTINCT FROM (NEW.vendor_id, NEW.currency, NEW.issued_at, NEW.total))
	EXECUTE FUNCTION facts_record('invoice');
CREATE TRIGGER facts_inserted AFTER INSERT OR DELETE ON payments FOR EACH ROW EXECUTE FUNCTION facts_record('payment');
CREATE TRIGGER facts_updated AFTER UPDATE ON payments FOR EACH ROW
	WHEN ((OLD.vendor_id, OLD.kind, OLD.status, OLD.currency, OLD.created_at, OLD.amount) IS DISTINCT FROM (NEW.vendor_id, NEW.kind, NEW.status, NEW.currency, NEW.created_at, NEW.amount))
	EXECUTE FUNCTION facts_record('payment');
CREATE FUNCTION facts_zone() RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION facts_zone() IS 'Sorts a vendor''s facts into the days of its new time zone, or, when it is deleted, takes them away.';
CREATE TRIGGER facts_zone AFTER UPDATE ON vendors FOR EACH ROW WHEN (OLD.time_zone <> NEW.time_zone) EXECUTE FUNCTION facts_zone();
CREATE TRIGGER facts_zone_left AFTER DELETE ON vendors FOR EACH ROW EXECUTE FUNCTION facts_zone();
DO $$
DECLARE
	t record;
BEGIN
	FOR t IN SELECT tgrelid::regclass AS name, tgname FROM pg_catalog.pg_trigger WHERE tgname IN ('facts_inserted', 'facts_updated', 'facts_moved', 'facts_zone', 'facts_zone_left') LOOP
		EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', t.name, t.tgname);
	END LOOP;
END $$;
CREATE TRIGGER facts_kept BEFORE TRUNCATE ON orders FOR EACH STATEMENT EXECUTE FUNCTION stock_fixed();
CREATE TRIGGER facts_kept BEFORE TRUNCATE ON order_items FOR EACH STATEMENT EXECUTE FUNCTION stock_fixed();

CREATE FUNCTION report_fold(most integer DEFAULT 100000) RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_fold(integer) IS
	'Job: folds up to so many deltas into the facts, each once, and returns how many; 0 while another does. Reports are exact without it, and the faster the fewer deltas wait. For administrators and the worker. Errors: forbidden, invalid_value.';
CREATE TYPE report_difference AS (facts text, vendor_id uuid, day date, product_id uuid, location_id uuid, currency text, difference jsonb);
COMMENT ON TYPE report_difference IS
	'A row of facts that differs from the books: by how much, of each column that does. Of facts_zones the difference has the time_zone, of facts_open the order_id, the task and its time, and 1 where it is missing or -1 where it should not be.';
CREATE FUNCTION report_verify(vendor_id uuid DEFAULT NULL) RETURNS SETOF report_difference
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_verify(uuid) IS
	'Reckons all facts anew from the books and answers a row for each that differs: books less facts, folded or not. No row means sound. A vendor''s own; an administrator or analyst all, or one. Error: forbidden.';
CREATE FUNCTION report_rebuild(vendor_id uuid DEFAULT NULL) RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_rebuild(uuid) IS
	'Makes the facts what the books say, of all vendors or one, and returns the rows changed. Nobody has to wait meanwhile. For administrators. Error: forbidden.';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('POST', '/api/analytics/fold/', 'rental.report_fold', '{admin}', 200, 'write', 'analytics', 'Fold facts', true);
