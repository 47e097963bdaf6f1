-- Invoices and credit notes: what is asked of the customer, with numbers that have no gaps.

CREATE TABLE billing_plans (
	vendor_id uuid NOT NULL,
	order_id uuid NOT NULL,
	cycle text NOT NULL CHECK (cycle IN ('week', '28_days', 'month')),
	prorate boolean NOT NULL,
	PRIMARY KEY (order_id, vendor_id),
	FOREIGN KEY (order_id, vendor_id) REFERENCES orders (id, vendor_id)
);
COMMENT ON TABLE billing_plans IS 'Orders that are billed by cycle.';
COMMENT ON COLUMN billing_plans.prorate IS 'a cycle that was begun costs its local days, the first and the last included; else it costs the whole';

CREATE TABLE billing_cycles (
	vendor_id uuid NOT NULL,
	item_id uuid NOT NULL,
	starts_at timestamptz NOT NULL,
	unit_price numeric NOT NULL,
	PRIMARY KEY (item_id, starts_at, vendor_id),
	FOREIGN KEY (item_id, vendor_id) REFERENCES order_items (id, vendor_id) ON DELETE CASCADE
);
COMMENT ON TABLE billing_cycles IS 'What each cycle of an item costs that is billed by cycles, as it was agreed: when the plan was set, or the item first billed if it came later.';
COMMENT ON COLUMN billing_cycles.unit_price IS 'for one piece over the whole cycle, before discounts';

CREATE TABLE invoices (
	id uuid NOT NULL DEFAULT rental.uuid7(),
	vendor_id uuid NOT NULL REFERENCES vendors,
	order_id uuid NOT NULL,
	kind text NOT NULL CHECK (kind IN ('invoice', 'credit_note')),
	credits_id uuid,
	number text,
	status text NOT NULL CHECK (status IN ('draft', 'issued', 'partly_paid', 'paid')),
	currency text NOT NULL,
	subtotal numeric NOT NULL,
	tax numeric NOT NULL,
	tax_included numeric NOT NULL,
	total numeric NOT NULL CHECK (total = subtotal + tax),
	deposit numeric NOT NULL,
	paid numeric NOT NULL DEFAULT 0 CHECK (paid >= 0),
	credited numeric NOT NULL DEFAULT 0 CHECK (credited BETWEEN 0 AND GREATEST(total, 0)),
	written_off numeric NOT NULL DEFAULT 0 CHECK (written_off >= 0),
	dunning_level integer NOT NULL DEFAULT 0 CHECK (dunning_level >= 0),
	interest_until timestamptz,
	seller jsonb,
	buyer jsonb,
	note text CHECK (length(note) <= 1000),
	period_start timestamptz,
	period_end timestamptz,
	issued_at timestamptz,
	due_at timestamptz,
	created_at timestamptz NOT NULL DEFAULT rental.now(),
	up_to timestamptz,
	PRIMARY KEY (id, vendor_id),
	UNIQUE (vendor_id, number),
	FOREIGN KEY (order_id, vendor_id) REFERENCES orders (id, vendor_id),
	CHECK ((status = 'draft') = (number IS NULL) AND (status = 'draft') = (issued_at IS NULL)),
	CHECK (kind = 'credit_note' OR total >= 0 OR status = 'draft'),
	CHECK (status = 'draft' OR (seller IS NOT NULL AND buyer IS NOT NULL AND due_at IS NOT NULL))
);
CREATE INDEX ON invoices (issued_at);
CREATE INDEX ON invoices (order_id);
CREATE INDEX ON invoices (credits_id) WHERE credits_id IS NOT NULL;
CREATE UNIQUE INDEX ON invoices (order_id, vendor_id) WHERE status = 'draft' AND credits_id IS NULL;
CREATE INDEX ON invoices (due_at) WHERE status IN ('issued', 'partly_paid') AND kind = 'invoice';
COMMENT ON TABLE invoices IS
	'Invoices and credit notes. Once issued nothing but the payment state (status, paid, credited, written_off, dunning_level, interest_until) changes: a trigger refuses it, to the table''s owner as well.';
COMMENT ON COLUMN invoices.kind IS 'amounts of a credit note are below zero';
COMMENT ON COLUMN invoices.credits_id IS 'the invoice that a credit note corrects; null: it follows from a change of the order, and counts like a payment of it. No foreign key, since a dump could not order the rows; ledger_verify() looks after it';
COMMENT ON COLUMN invoices.number IS 'series-year-number, without gaps within a vendor, series and year; null: a draft';
COMMENT ON COLUMN invoices.subtotal IS 'the sum of its lines: with tax_included, without tax';
COMMENT ON COLUMN invoices.tax IS 'what is added';
COMMENT ON COLUMN invoices.deposit IS 'of the order; not part of the total, and no revenue';
COMMENT ON COLUMN invoices.paid IS 'what the order''s payments cover of it, oldest invoice first';
COMMENT ON COLUMN invoices.credited IS 'by its credit notes';
COMMENT ON COLUMN invoices.seller IS 'name, tax_number, address as they were';
COMMENT ON COLUMN invoices.buyer IS 'name, email, address, tax_number as they were';
COMMENT ON COLUMN invoices.up_to IS 'an order with a billing plan was billed for what was due up to then; null: a credit note that corrects an invoice';
COMMENT ON COLUMN invoices.period_start IS 'of what is billed, as period_end is';

CREATE TABLE invoice_lines (
	vendor_id uuid NOT NULL,
	invoice_id uuid NOT NULL,
	line integer NOT NULL,
	kind text NOT NULL CHECK (kind IN ('item', 'waiver', 'delivery', 'charge', 'interest', 'cancellation')),
	ref uuid NOT NULL,
	account text NOT NULL DEFAULT 'revenue' CHECK (account IN ('revenue', 'interest_income')),
	description text NOT NULL,
	quantity integer NOT NULL,
	unit_price numeric NOT NULL,
	total numeric NOT NULL,
	tax numeric NOT NULL,
	start_at timestamptz,
	end_at timestamptz,
	credits_line integer,
	PRIMARY KEY (invoice_id, line, vendor_id),
	FOREIGN KEY (invoice_id, vendor_id) REFERENCES invoices (id, vendor_id)
);
COMMENT ON TABLE invoice_lines IS 'The lines of an invoice as they were when it was issued.';
COMMENT ON COLUMN invoice_lines.ref IS 'the order''s line or charge, or the order';
COMMENT ON COLUMN invoice_lines.account IS 'of the ledger, in which it is income';
COMMENT ON COLUMN invoice_lines.unit_price IS 'for one piece, as the order has it';
COMMENT ON COLUMN invoice_lines.credits_line IS 'of a credit note: the line of the invoice that it corrects';
COMMENT ON COLUMN invoice_lines.total IS 'what this invoice bills of it, less discounts, without the tax that is added';

CREATE TABLE invoice_taxes (
	vendor_id uuid NOT NULL,
	invoice_id uuid NOT NULL,
	line integer NOT NULL,
	n integer NOT NULL,
	name text NOT NULL,
	percent numeric NOT NULL,
	is_inclusive boolean NOT NULL,
	is_reverse boolean NOT NULL,
	place text,
	taxable numeric NOT NULL,
	tax numeric NOT NULL,
	PRIMARY KEY (invoice_id, line, n, vendor_id),
	FOREIGN KEY (invoice_id, line, vendor_id) REFERENCES invoice_lines (invoice_id, line, vendor_id) ON DELETE CASCADE
);
COMMENT ON TABLE invoice_taxes IS 'The taxes of each line of an invoice.';
COMMENT ON COLUMN invoice_taxes.place IS 'of supply, when the line was priced: ISO 3166-1; null: neither the vendor nor the customer had said';
COMMENT ON COLUMN invoice_taxes.taxable IS 'what the tax is on';
COMMENT ON COLUMN invoice_taxes.is_reverse IS 'reverse charge: the customer owes it';

CREATE FUNCTION invoice_guard() RETURNS trigger
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION invoice_guard() IS 'Refuses every change of an issued invoice, of its lines and its taxes, but that of its payment state; and to issue one by other ways than the functions.';
CREATE TRIGGER invoice_guard BEFORE INSERT OR UPDATE OR DELETE ON invoices FOR EACH ROW EXECUTE FUNCTION invoice_guard('id');
CREATE TRIGGER invoice_guard BEFORE INSERT OR UPDATE OR DELETE ON invoice_lines FOR EACH ROW EXECUTE FUNCTION invoice_guard('invoice_id');
CREATE TRIGGER invoice_guard BEFORE INSERT OR UPDATE OR DELETE ON invoice_taxes FOR EACH ROW EXECUTE FUNCTION invoice_guard('invoice_id');
CREATE TRIGGER invoice_whole BEFORE TRUNCATE ON invoices FOR EACH STATEMENT EXECUTE FUNCTION ledger_kept();
CREATE TRIGGER invoice_whole BEFORE TRUNCATE ON invoice_lines FOR EACH STATEMENT EXECUTE FUNCTION ledger_kept();
CREATE TRIGGER invoice_whole BEFORE TRUNCATE ON invoice_taxes FOR EACH STATEMENT EXECUTE FUNCTION ledger_kept();
DO $$
DECLARE
	t text;
BEGIN
	FOREACH t IN ARRAY '{invoices,invoice_lines,invoice_taxes}'::text[] LOOP
		EXECUTE format('ALTER TABLE rental.%I ENABLE ALWAYS TRIGGER invoice_guard', t);
		EXECUTE format('ALTER TABLE rental.%I ENABLE ALWAYS TRIGGER invoice_whole', t);
	END LOOP;
END $$;

-- The cycles of an order that is billed by them: from the start of each item, by the vendor's local clock.
CREATE FUNCTION billing_cycle(start_at timestamptz, zone text, cycle text, k integer) RETURNS timestamptz LANGUAGE sql STABLE AS $$
	SELECT ((start_at AT TIME ZONE zone) + k * CASE cycle WHEN 'week' THEN interval '7 days' WHEN 'month' THEN interval '1 month' ELSE interval '28 days' END) AT TIME ZONE zone
$$;
COMMENT ON FUNCTION billing_cycle(timestamptz, text, text, integer) IS 'When cycle k, from 0, of something that began then begins.';
CREATE FUNCTION billing_agree("order" uuid) RETURNS void LANGUAGE sql VOLATILE AS $$
	WITH missing AS MATERIALIZED (
		SELECT i.id, i.vendor_id, i.product_id, i.quantity, o.customer_id, rental.billing_cycle(i.start_at, v.time_zone, b.cycle, k) AS begins,
			rental.billing_cycle(i.start_at, v.time_zone, b.cycle, k + 1) AS ends
		FROM rental.orders o JOIN rental.billing_plans b ON b.order_id = o.id AND b.vendor_id = o.vendor_id JOIN rental.vendors v ON v.id = o.vendor_id
		JOIN rental.order_items i ON i.order_id = o.id AND i.vendor_id = o.vendor_id
		JOIN rental.products p ON p.id = i.product_id AND p.vendor_id = i.vendor_id AND p.kind <> 'sale', generate_series(0, 1200) k
		WHERE o.id = "order" AND NOT EXISTS (SELECT FROM rental.billing_cycles c WHERE c.item_id = i.id AND c.vendor_id = i.vendor_id)
			AND rental.billing_cycle(i.start_at, v.time_zone, b.cycle, k) < i.end_at)
	INSERT INTO rental.billing_cycles (vendor_id, item_id, starts_at, unit_price)
	SELECT m.vendor_id, m.id, m.begins, (rental.price(m.product_id, m.begins, m.ends, m.quantity, NULL, m.customer_id)).unit_price FROM missing m
$$;
COMMENT ON FUNCTION billing_agree(uuid) IS 'Keeps what each cycle costs of the items of an order for which that is not agreed yet.';

-- What a line of an order that is billed by cycle costs up to a time: whole cycles, and of the one that runs its days or the whole; pieces that are back until then.
CREATE FUNCTION billing_due(item uuid, up_to timestamptz, OUT net numeric, OUT tax numeric, OUT until timestamptz) LANGUAGE sql STABLE AS $$
	WITH i AS (
		SELECT i.id, i.vendor_id, i.quantity, i.start_at, i.taxes, v.time_zone, b.prorate, b.cycle, rental.currency_exponent(o.currency) AS decimals,
			CASE WHEN i.subtotal > 0 THEN (i.subtotal - i.discount) / i.subtotal ELSE 1 END AS share
		FROM rental.order_items i JOIN rental.orders o ON o.id = i.order_id AND o.vendor_id = i.vendor_id
		JOIN rental.vendors v ON v.id = i.vendor_id JOIN rental.billing_plans b ON b.order_id = o.id AND b.vendor_id = o.vendor_id
		WHERE i.id = item
	), back AS (
		SELECT r.quantity, r.returned_at FROM rental.order_returns r WHERE r.order_item_id = item
	), lots AS (
		SELECT sum(b.quantity) AS quantity, LEAST(up_to, b.returned_at) AS until FROM back b GROUP BY 2
		UNION ALL SELECT i.quantity - COALESCE((SELECT sum(b.quantity) FROM back b), 0), up_to FROM i
	), cycles AS (
		SELECT i.*, l.quantity AS pieces, l.until, rental.billing_cycle(i.start_at, i.time_zone, i.cycle, k) AS begins,
			(rental.billing_cycle(i.start_at, i.time_zone, i.cycle, k) AT TIME ZONE i.time_zone)::date AS first_day,
			(rental.billing_cycle(i.start_at, i.time_zone, i.cycle, k + 1) AT TIME ZONE i.time_zone)::date AS next_day,
			(l.until AT TIME ZONE i.time_zone)::date AS last_day
		FROM i, lots l, generate_series(0, 1200) k
		WHERE l.quantity > 0 AND rental.billing_cycle(i.start_at, i.time_zone, i.cycle, k) < l.until
	), priced AS (
		SELECT c.*, round(c.pieces * c.share * p.unit_price
			* CASE WHEN c.prorate THEN LEAST(c.last_day - c.first_day + 1, c.next_day - c.first_day) ELSE c.next_day - c.first_day END / (c.next_day - c.first_day), c.decimals) AS net
		FROM cycles c CROSS JOIN LATERAL (SELECT a.unit_price FROM rental.billing_cycles a WHERE a.item_id = c.id AND a.vendor_id = c.vendor_id
			ORDER BY a.starts_at <= c.begins DESC, CASE WHEN a.starts_at <= c.begins THEN a.starts_at END DESC, a.starts_at LIMIT 1) p
	)
	SELECT COALESCE(sum(p.net), 0), COALESCE(sum((SELECT sum(t.tax) FROM rental.tax_parts(p.taxes, p.net, p.decimals) t WHERE NOT t.is_inclusive)), 0), max(p.until)
	FROM priced p
$$;
COMMENT ON FUNCTION billing_due(uuid, timestamptz) IS
	'What a line of an order that is billed by cycle costs up to a time, or to the return of its pieces: for each cycle pieces * what was agreed for one, less the line''s discount, * days / days of the cycle, rounded half-up. Cycles after the last that was agreed cost what that one does.';

CREATE TYPE invoice_line_view AS (line integer, kind text, description text, quantity integer, unit_price numeric, total numeric, tax numeric,
	start_at timestamptz, end_at timestamptz);
CREATE TYPE invoice_tax_view AS (name text, percent numeric, is_inclusive boolean, is_reverse boolean, taxable numeric, tax numeric);
CREATE VIEW invoice_view AS
SELECT n.id, n.kind, n.credits_id, n.number, n.vendor_id, n.order_id, o.customer_id, n.status, n.currency, n.subtotal, n.tax, n.tax_included, n.total,
	n.deposit, n.paid, n.credited, n.written_off,
	CASE WHEN n.kind = 'invoice' THEN n.total - n.paid - n.credited - n.written_off ELSE 0 * n.total END AS open,
	COALESCE(n.kind = 'invoice' AND n.status IN ('issued', 'partly_paid') AND n.due_at < rental.now(), false) AS overdue,
	n.dunning_level, n.seller, n.buyer, n.note, n.period_start, n.period_end, n.issued_at, n.due_at, n.created_at,
	ARRAY(SELECT ROW(l.line, l.kind, l.description, l.quantity, l.unit_price, l.total, l.tax, l.start_at, l.end_at)::invoice_line_view
		FROM invoice_lines l WHERE l.invoice_id = n.id ORDER BY l.line) AS lines,
	ARRAY(SELECT ROW(t.name, t.percent, t.is_inclusive, t.is_reverse, sum(t.taxable), sum(t.tax))::invoice_tax_view
		FROM invoice_taxes t WHERE t.invoice_id = n.id GROUP BY t.name, t.percent, t.is_inclusive, t.is_reverse ORDER BY 1) AS taxes
FROM invoices n
JOIN orders o ON o.id = n.order_id AND o.vendor_id = n.vendor_id;
COMMENT ON VIEW invoice_view IS 'An invoice or credit note with its lines, and its taxes by rate.';
COMMENT ON COLUMN invoice_view.open IS 'total - paid - credited - written_off';
COMMENT ON COLUMN invoice_view.overdue IS 'something is open past the due date';
CREATE TYPE invoice_page AS (count bigint, next text, previous text, results invoice_view[]);

CREATE FUNCTION invoice_issue(order_id uuid, up_to timestamptz DEFAULT NULL, draft boolean DEFAULT false, note text DEFAULT NULL) RETURNS invoice_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION invoice_issue(uuid, timestamptz, boolean, text) IS
	'Bills what is due of an order less what was billed before, with the next number of the vendor, series and year; as a credit note where that is below zero. An order with a billing plan is due up to up_to (now; never before what was billed). draft: without a number, to be issued later. Errors: not_found, forbidden, invalid_state, invalid_value, already_exists when nothing is to be billed or there is a draft.';
CREATE FUNCTION invoice_issue_draft(invoice_id uuid) RETURNS invoice_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION invoice_issue_draft(uuid) IS 'Issues a draft as it is. Errors: not_found, forbidden, invalid_state, conflict when the order has changed since.';
CREATE FUNCTION invoice_delete(invoice_id uuid) RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION invoice_delete(uuid) IS 'Throws a draft away. Errors: not_found, forbidden, invalid_state for what was issued.';
CREATE FUNCTION invoice_credit(invoice_id uuid, amount numeric DEFAULT NULL, line integer DEFAULT NULL, reason text DEFAULT NULL, rebill boolean DEFAULT false)
	RETURNS invoice_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION invoice_credit(uuid, numeric, integer, text, boolean) IS
	'Issues a credit note: for the whole of what was not credited yet, or for an amount with tax, spread over the lines, or over one line, in proportion. The order owes that much less, unless rebill says that it is to be billed again; one that ended early owes nothing but its cancellation fee, which is lowered, and the difference to what was billed is issued. Errors: not_found, forbidden, invalid_state, invalid_value, already_exists when such an order has a draft.';
CREATE FUNCTION invoice_get(invoice_id uuid) RETURNS invoice_view
	LANGUAGE c STRICT STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION invoice_get(uuid) IS 'One invoice of the caller. Error: not_found, also when it is somebody else''s, or a draft and the caller not of the vendor''s team.';
CREATE FUNCTION invoice_list(page_size integer DEFAULT 20, cursor text DEFAULT NULL, count text DEFAULT NULL, "order" uuid DEFAULT NULL, overdue boolean DEFAULT NULL)
	RETURNS invoice_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION invoice_list(integer, text, text, uuid, boolean) IS 'The caller''s invoices, newest first; of one order, or those that are overdue or are not.';
CREATE FUNCTION billing_plan_set(order_id uuid, cycle text DEFAULT '28_days', prorate boolean DEFAULT true) RETURNS void
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION billing_plan_set(uuid, text, boolean) IS
	'Has an order billed by cycle: week, 28_days or month; each cycle costs what it does at the rates of this moment. Errors: not_found, forbidden, invalid_value, invalid_state once it was billed.';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('GET', '/api/orders/invoices/', 'rental.invoice_list', '{user}', 200, 'read', 'invoices', 'Own invoices', true),
	('POST', '/api/orders/invoices/', 'rental.invoice_issue', '{vendor,admin}', 201, 'write', 'invoices', 'Issue an invoice', true),
	('GET', '/api/orders/invoices/{invoice_id}/', 'rental.invoice_get', '{user}', 200, 'read', 'invoices', 'One invoice', true),
	('DELETE', '/api/orders/invoices/{invoice_id}/', 'rental.invoice_delete', '{vendor,admin}', 204, 'write', 'invoices', 'Throw a draft away', true),
	('POST', '/api/orders/invoices/{invoice_id}/issue/', 'rental.invoice_issue_draft', '{vendor,admin}', 200, 'write', 'invoices', 'Issue a draft', true),
	('POST', '/api/orders/invoices/{invoice_id}/credit/', 'rental.invoice_credit', '{vendor,admin}', 201, 'write', 'invoices', 'Issue a credit note', true),
	('PUT', '/api/orders/orders/{order_id}/billing/', 'rental.billing_plan_set', '{vendor,admin}', 204, 'write', 'invoices', 'Bill by cycle', true);
