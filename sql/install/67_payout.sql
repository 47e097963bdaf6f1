-- The marketplace: what the platform holds for vendors, and pays out.

CREATE TABLE payouts (
	id uuid NOT NULL DEFAULT rental.uuid7(),
	vendor_id uuid NOT NULL REFERENCES vendors,
	number text NOT NULL,
	amount numeric NOT NULL CHECK (amount > 0),
	currency text NOT NULL,
	created_at timestamptz NOT NULL,
	PRIMARY KEY (id, vendor_id),
	UNIQUE (vendor_id, number)
);
COMMENT ON TABLE payouts IS 'What was paid out to vendors.';
COMMENT ON COLUMN payouts.number IS 'PAY-year-number, without gaps within a vendor and year';
CREATE TABLE payout_postings (
	vendor_id uuid NOT NULL,
	payout_id uuid NOT NULL,
	posting_id uuid NOT NULL,
	PRIMARY KEY (posting_id, vendor_id),
	FOREIGN KEY (payout_id, vendor_id) REFERENCES payouts (id, vendor_id)
);
CREATE INDEX ON payout_postings (payout_id);
COMMENT ON TABLE payout_postings IS 'Which postings a payout settled, each once.';
DO $$
DECLARE
	t text;
BEGIN
	FOREACH t IN ARRAY '{payouts,payout_postings}'::text[] LOOP
		EXECUTE format('CREATE TRIGGER payout_kept BEFORE UPDATE OR DELETE ON rental.%I FOR EACH ROW EXECUTE FUNCTION rental.ledger_kept()', t);
		EXECUTE format('CREATE TRIGGER payout_whole BEFORE TRUNCATE ON rental.%I FOR EACH STATEMENT EXECUTE FUNCTION rental.ledger_kept()', t);
		EXECUTE format('ALTER TABLE rental.%I ENABLE ALWAYS TRIGGER payout_kept', t);
		EXECUTE format('ALTER TABLE rental.%I ENABLE ALWAYS TRIGGER payout_whole', t);
	END LOOP;
END $$;

CREATE TYPE payout_line_view AS (created_at timestamptz, kind text, order_id uuid, payment_id uuid, amount numeric);
CREATE VIEW payout_view AS
SELECT p.id, p.vendor_id, p.number, p.amount, p.currency, p.created_at,
	ARRAY(SELECT ROW(e.created_at, CASE WHEN c.account IS NULL THEN e.kind ELSE 'commission' END, e.order_id, e.payment_id, -e.amount)::payout_line_view
		FROM payout_postings s JOIN ledger_entries e ON e.posting_id = s.posting_id AND e.vendor_id = s.vendor_id AND e.account = 'vendor_payable'
		LEFT JOIN ledger_entries c ON c.posting_id = e.posting_id AND c.vendor_id = e.vendor_id AND c.account = 'commission_income'
		WHERE s.payout_id = p.id AND s.vendor_id = p.vendor_id ORDER BY e.created_at, e.posting_id) AS lines
FROM payouts p;
COMMENT ON VIEW payout_view IS 'A payout and its statement: the lines sum to the amount.';
CREATE TYPE payout_page AS (count bigint, next text, previous text, results payout_view[]);

CREATE FUNCTION payout_run(vendor_id uuid DEFAULT NULL) RETURNS SETOF payout_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION payout_run(uuid) IS
	'Pays every vendor, or one, what the platform owes it; one that owes the platform waits until it does not. Answers the payouts that were made. For administrators. Error: forbidden.';
CREATE FUNCTION payout_get(payout_id uuid) RETURNS payout_view
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION payout_get(uuid) IS 'A payout with its statement, for the vendor''s team. Error: not_found.';
CREATE FUNCTION payout_list(page_size integer DEFAULT 20, cursor text DEFAULT NULL, count text DEFAULT NULL) RETURNS payout_page
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION payout_list(integer, text, text) IS 'The vendor''s payouts, newest first; all for administrators.';

-- Dunning

CREATE TYPE dunning_row AS (invoice_id uuid, number text, order_id uuid, customer_id uuid, open numeric, currency text, due_at timestamptz, level integer);
COMMENT ON TYPE dunning_row IS 'An invoice that has reached a dunning level.';
CREATE FUNCTION dunning_run(vendor_id uuid DEFAULT NULL) RETURNS SETOF dunning_row
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION dunning_run(uuid) IS
	'Raises overdue invoices to the dunning level that billing_settings.dunning_days has for them, and answers those that rose, each once. A vendor''s own; all for administrators. Error: forbidden.';
CREATE FUNCTION invoice_interest(invoice_id uuid) RETURNS order_charge_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION invoice_interest(uuid) IS
	'Charges late interest on an overdue invoice since its due date or the last time: round(open * interest_percent / 100 * days / 365), whole days; interest bears none. It is a charge of the order, billed by the next invoice, untaxed and apart from revenue. Errors: not_found, forbidden, invalid_state when nothing is owed, and of an order that ended early.';
CREATE FUNCTION invoice_write_off(invoice_id uuid, reason text DEFAULT NULL) RETURNS invoice_view
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION invoice_write_off(uuid, text) IS
	'Writes off what is open of an invoice: a loss in the books, with its tax, and nothing that the customer is asked for any more. What is paid or credited of it later is no loss any more. Errors: not_found, forbidden, invalid_state when nothing is open.';

-- The books

CREATE FUNCTION ledger_verify(OUT problem text, OUT vendor_id uuid, OUT id uuid) RETURNS SETOF record
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS $$
	SELECT 'a posting does not balance', e.vendor_id, e.posting_id FROM ledger_entries e JOIN ledger_accounts a ON a.code = e.account
		GROUP BY e.vendor_id, e.posting_id, a.book, e.currency HAVING sum(e.amount) <> 0
	UNION ALL
	SELECT 'numbers have a gap', n.vendor_id, NULL::uuid FROM (
			SELECT vendor_id, number FROM invoices WHERE number IS NOT NULL UNION ALL SELECT vendor_id, number FROM payouts) n
		JOIN LATERAL regexp_match(n.number, '^(.*)-(\d{4})-(\d+)$') m ON true
		LEFT JOIN number_series s ON s.vendor_id = n.vendor_id AND s.series = m[1] AND s.year = m[2]::integer
		GROUP BY n.vendor_id, m[1], m[2], s.last HAVING count(*) <> max(m[3]::bigint) OR count(*) IS DISTINCT FROM s.last
	UNION ALL
	SELECT 'an invoice is not what was posted', n.vendor_id, n.id FROM invoices n
		LEFT JOIN ledger_entries e ON e.invoice_id = n.id AND e.vendor_id = n.vendor_id AND e.kind IN ('invoice', 'credit_note')
		GROUP BY n.vendor_id, n.id HAVING
			COALESCE(sum(e.amount) FILTER (WHERE e.account = 'receivable'), 0) <> CASE n.status WHEN 'draft' THEN 0 ELSE n.total END
			OR COALESCE(-sum(e.amount) FILTER (WHERE e.account = 'tax'), 0) <> CASE n.status WHEN 'draft' THEN 0 ELSE n.tax + n.tax_included END
			OR COALESCE(-sum(e.amount) FILTER (WHERE e.account = 'interest_income'), 0) <> CASE n.status WHEN 'draft' THEN 0 ELSE
				(SELECT COALESCE(sum(l.total), 0) FROM invoice_lines l WHERE l.invoice_id = n.id AND l.vendor_id = n.vendor_id AND l.account = 'interest_income') END
	UNION ALL
	SELECT 'an invoice is not the sum of its lines', n.vendor_id, n.id FROM invoices n
		CROSS JOIN LATERAL (SELECT COALESCE(sum(l.total), 0) AS net, COALESCE(sum(l.tax), 0) AS tax FROM invoice_lines l WHERE l.invoice_id = n.id) l
		CROSS JOIN LATERAL (SELECT COALESCE(sum(t.tax) FILTER (WHERE NOT t.is_inclusive), 0) AS tax, COALESCE(sum(t.tax) FILTER (WHERE t.is_inclusive), 0) AS included
			FROM invoice_taxes t WHERE t.invoice_id = n.id) t
		WHERE l.net <> n.subtotal OR l.tax <> n.tax OR t.tax <> n.tax OR t.included <> n.tax_included
	UNION ALL
	SELECT 'an invoice is not credited as its credit notes say', n.vendor_id, n.id FROM invoices n
		WHERE n.kind = 'invoice' AND n.credited <> COALESCE((SELECT -sum(c.total) FROM invoices c WHERE c.credits_id = n.id AND c.vendor_id = n.vendor_id AND c.status <> 'draft'), 0)
	UNION ALL
	SELECT 'a credit note corrects no invoice', c.vendor_id, c.id FROM invoices c
		WHERE c.credits_id IS NOT NULL AND NOT EXISTS (SELECT FROM invoices n WHERE n.id = c.credits_id AND n.vendor_id = c.vendor_id AND n.order_id = c.order_id)
	UNION ALL
	SELECT 'an invoice is not written off as posted', n.vendor_id, n.id FROM invoices n
		WHERE n.written_off <> COALESCE((SELECT sum(e.amount) FROM ledger_entries e WHERE e.invoice_id = n.id AND e.account = 'bad_debt'), 0)
	UNION ALL
	SELECT 'an order is not written off as its invoices are', o.vendor_id, o.id FROM orders o
		WHERE o.written_off <> COALESCE((SELECT sum(n.written_off) FROM invoices n WHERE n.order_id = o.id AND n.vendor_id = o.vendor_id), 0)
	UNION ALL
	SELECT 'an order''s invoices are not paid as its payments say', o.vendor_id, o.id FROM orders o JOIN LATERAL (
			SELECT sum(n.total - n.credited - n.written_off) AS due, sum(n.paid) AS paid,
				bool_and(n.status = CASE WHEN n.paid >= n.total - n.credited - n.written_off THEN 'paid' WHEN n.paid > 0 THEN 'partly_paid' ELSE 'issued' END) AS is_right
			FROM invoices n WHERE n.order_id = o.id AND n.vendor_id = o.vendor_id AND n.kind = 'invoice' AND n.status <> 'draft' HAVING count(*) > 0) n ON true
		WHERE NOT n.is_right OR n.paid <> LEAST(n.due, GREATEST(0, o.paid - COALESCE((SELECT sum(c.total) FROM invoices c
			WHERE c.order_id = o.id AND c.vendor_id = o.vendor_id AND c.kind = 'credit_note' AND c.credits_id IS NULL AND c.status <> 'draft'), 0)))
	UNION ALL
	SELECT 'a payment is not what was posted', p.vendor_id, p.id FROM payments p
		LEFT JOIN ledger_entries e ON e.payment_id = p.id AND e.vendor_id = p.vendor_id
		GROUP BY p.vendor_id, p.id HAVING
			COALESCE(sum(e.amount) FILTER (WHERE e.account = 'receivable'), 0) <> CASE WHEN p.status <> 'succeeded' OR p.kind = 'deposit' THEN 0
				WHEN p.kind IN ('charge', 'capture') THEN -p.amount ELSE p.amount END
			OR COALESCE(sum(e.amount) FILTER (WHERE e.account = 'deposit_held'), 0) <> CASE
				WHEN p.kind = 'deposit' AND p.status NOT IN ('processing', 'requires_action') THEN p.amount - p.released
				WHEN p.kind = 'capture' AND p.status = 'succeeded' THEN -p.amount ELSE 0 END
	UNION ALL
	SELECT 'more or less was given back or captured than a payment says', p.vendor_id, p.id FROM payments p
		LEFT JOIN payments c ON c.parent_id = p.id AND c.vendor_id = p.vendor_id AND c.order_id = p.order_id AND c.status NOT IN ('failed', 'cancelled')
		GROUP BY p.vendor_id, p.id HAVING COALESCE(sum(c.amount), 0) <> p.refunded + p.captured
	UNION ALL
	SELECT 'a deposit that has ended is held', p.vendor_id, p.id FROM payments p
		WHERE p.kind = 'deposit' AND p.status IN ('succeeded', 'failed', 'cancelled') AND p.captured + p.released <> p.amount
	UNION ALL
	SELECT 'a payment has no parent', c.vendor_id, c.id FROM payments c
		WHERE c.parent_id IS NOT NULL AND NOT EXISTS (SELECT FROM payments p WHERE p.id = c.parent_id AND p.vendor_id = c.vendor_id
			AND CASE c.kind WHEN 'capture' THEN p.kind = 'deposit' ELSE p.kind IN ('charge', 'capture') END)
	UNION ALL
	SELECT 'an order is not paid as its payments say', o.vendor_id, o.id FROM orders o
		LEFT JOIN payments p ON p.order_id = o.id AND p.vendor_id = o.vendor_id AND p.status = 'succeeded' AND p.kind <> 'deposit'
		GROUP BY o.vendor_id, o.id HAVING o.paid <> COALESCE(sum(CASE WHEN p.kind IN ('charge', 'capture') THEN p.amount ELSE -p.amount END), 0)
	UNION ALL
	SELECT 'commission is not what was posted', v.id, v.id FROM vendors v
		WHERE COALESCE((SELECT sum(p.commission) FROM payments p WHERE p.vendor_id = v.id), 0)
			<> COALESCE((SELECT -sum(e.amount) FROM ledger_entries e WHERE e.vendor_id = v.id AND e.account = 'commission_income'), 0)
	UNION ALL
	SELECT 'the platform does not hold what it owes', e.vendor_id, NULL FROM ledger_entries e GROUP BY e.vendor_id, e.currency
		HAVING COALESCE(sum(e.amount) FILTER (WHERE e.account = 'platform_claim'), 0) <> COALESCE(-sum(e.amount) FILTER (WHERE e.account = 'vendor_payable'), 0)
			OR COALESCE(sum(e.amount) FILTER (WHERE e.account = 'platform_cash'), 0)
				<> COALESCE(-sum(e.amount) FILTER (WHERE e.account IN ('vendor_payable', 'commission_income')), 0)
	UNION ALL
	SELECT 'a payout is not the sum of its statement', p.vendor_id, p.id FROM payouts p
		WHERE p.amount <> COALESCE((SELECT -sum(e.amount) FROM payout_postings s JOIN ledger_entries e ON e.posting_id = s.posting_id
				AND e.vendor_id = s.vendor_id AND e.account = 'vendor_payable' WHERE s.payout_id = p.id AND s.vendor_id = p.vendor_id), 0)
			OR p.amount <> COALESCE((SELECT sum(e.amount) FROM ledger_entries e WHERE e.payout_id = p.id AND e.vendor_id = p.vendor_id AND e.account = 'vendor_payable'), 0)
$$;
COMMENT ON FUNCTION ledger_verify() IS 'A row for each disagreement between invoices, payments, payouts, orders and the ledger, and each gap in numbers; no row means sound.';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('GET', '/api/orders/payouts/', 'rental.payout_list', '{vendor,admin}', 200, 'read', 'payments', 'Payouts', true),
	('POST', '/api/orders/payouts/', 'rental.payout_run', '{admin}', 200, 'write', 'payments', 'Pay vendors out', true),
	('GET', '/api/orders/payouts/{payout_id}/', 'rental.payout_get', '{vendor,admin}', 200, 'read', 'payments', 'A payout with its statement', true),
	('POST', '/api/orders/invoices/dunning/', 'rental.dunning_run', '{vendor,admin}', 200, 'write', 'invoices', 'Raise dunning levels', true),
	('POST', '/api/orders/invoices/{invoice_id}/interest/', 'rental.invoice_interest', '{vendor,admin}', 201, 'write', 'invoices', 'Charge late interest', true),
	('POST', '/api/orders/invoices/{invoice_id}/write-off/', 'rental.invoice_write_off', '{vendor,admin}', 200, 'write', 'invoices', 'Write off', true);
