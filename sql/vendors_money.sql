-- Invoices, payments, ledger, payouts, taxes, dunning: every figure, from SQL.
SET client_min_messages = warning;
SET search_path = rental, public;
SET TimeZone = 'UTC';
SET rental.clock = '2026-08-01 08:00Z';
\set VERBOSITY terse
\pset format unaligned
\pset tuples_only on

CREATE FUNCTION pg_temp.vendor(slug text, currency text, rate numeric DEFAULT 10) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
	v uuid;
	p uuid;
BEGIN
	INSERT INTO vendors (name, slug, currency, tax_number, commission) VALUES ('Vendor ' || slug, slug, currency, 'TAX-' || slug, 0) RETURNING id INTO v;
	INSERT INTO locations (vendor_id, name) VALUES (v, 'Main');
	INSERT INTO products (vendor_id, name, replacement_value) VALUES (v, 'Thing of ' || slug, 100 * rate) RETURNING id INTO p;
	INSERT INTO product_rates (vendor_id, product_id, days, amount, extra_day) VALUES (v, p, 1, rate, rate);
	INSERT INTO stock SELECT v, p, l.id, 1000 FROM locations l WHERE l.vendor_id = v;
	RETURN v;
END $$;
INSERT INTO users (id, email, password_hash, name, role) VALUES ('00000000-0000-7000-8000-0000000000c1', 'carl@money.example', '!', 'Carl', 'customer');
CREATE FUNCTION pg_temp.placed(vendor uuid, quantity integer, days integer, confirmed boolean DEFAULT true) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
	o uuid;
BEGIN
	o := (order_place(jsonb_build_array(jsonb_build_object('product_id', (SELECT id FROM products WHERE vendor_id = vendor ORDER BY id LIMIT 1), 'quantity', quantity,
		'start_at', to_char(rental.now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
		'end_at', to_char((rental.now() + days * interval '1 day') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))),
		customer_id => '00000000-0000-7000-8000-0000000000c1')).id;
	IF confirmed THEN
		PERFORM order_confirm(o);
	END IF;
	RETURN o;
END $$;
-- what a statement is refused with
CREATE FUNCTION pg_temp.refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	code text;
	field text;
BEGIN
	EXECUTE statement;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = CONSTRAINT_NAME, field = COLUMN_NAME;
	RETURN concat_ws(' ', SQLSTATE, code, field) || ': ' || SQLERRM;
END $$;
SELECT pg_temp.vendor('main', 'EUR') AS v \gset

\echo an invoice: draft, issued, partly paid, paid
SELECT tax_rate_create('VAT', 20, vendor_id => :'v') IS DISTINCT FROM NULL;
SELECT billing_settings_set(due_days => 10, country => 'AT', address => '{"city": "Wien"}', interest_percent => 7.3, dunning_days => '{7,14}', vendor_id => :'v') IS DISTINCT FROM NULL;
SELECT pg_temp.placed(:'v', 2, 3) AS o \gset
SELECT id AS i, status, number, subtotal, tax, total, seller FROM invoice_issue(:'o', draft => true) \gset
\echo :status :subtotal :tax :total
SELECT number IS NULL FROM invoice_get(:'i');
BEGIN; SELECT act_as('00000000-0000-7000-8000-0000000000c1', 'customer'); SELECT pg_temp.refused(format('SELECT invoice_get(%L)', :'i')); ROLLBACK;
SELECT number, status, total, open, overdue, due_at, seller, buyer, taxes, lines FROM invoice_issue_draft(:'i');
SELECT pg_temp.refused(format('SELECT invoice_issue(%L)', :'o'));
SELECT payment_record(:'o', 40) IS DISTINCT FROM NULL; SELECT status, paid, open FROM invoice_get(:'i');
SELECT payment_record(:'o', 32, 'transfer') IS DISTINCT FROM NULL; SELECT status, paid, open FROM invoice_get(:'i');

\echo nobody changes what was issued
SELECT pg_temp.refused(format('UPDATE invoices SET %s WHERE id = %L', s, :'i')) FROM unnest(ARRAY['total = 1, subtotal = 1, tax = 0', 'number = ''INV-1''', 'due_at = now()', 'buyer = ''{}''', 'note = ''x''', 'status = ''draft'', number = NULL, issued_at = NULL']) s;
SELECT pg_temp.refused(format('DELETE FROM invoices WHERE id = %L', :'i'));
SELECT pg_temp.refused(format('UPDATE invoice_lines SET total = 1 WHERE invoice_id = %L', :'i'));
SELECT pg_temp.refused(format('DELETE FROM invoice_lines WHERE invoice_id = %L', :'i'));
SELECT pg_temp.refused(format('INSERT INTO invoice_lines SELECT vendor_id, invoice_id, 2, kind, ref, description, quantity, unit_price, total, tax FROM invoice_lines WHERE invoice_id = %L', :'i'));
SELECT pg_temp.refused(format('DELETE FROM invoice_taxes WHERE invoice_id = %L', :'i'));
SELECT pg_temp.refused('TRUNCATE invoice_taxes');
SELECT pg_temp.refused(format('SELECT invoice_delete(%L)', :'i'));
SELECT pg_temp.refused('UPDATE ledger_entries SET amount = amount + 1');
SELECT pg_temp.refused('DELETE FROM ledger_entries');
SELECT pg_temp.refused('TRUNCATE ledger_entries');
SELECT pg_temp.refused('DELETE FROM payments');
SELECT pg_temp.refused('UPDATE payments SET amount = 1');
SELECT pg_temp.refused('UPDATE payments SET status = ''failed'''); SELECT pg_temp.refused('UPDATE payments SET status = ''lost''');
SELECT pg_temp.refused(format('INSERT INTO ledger_entries (vendor_id, posting_id, line, account, amount, currency, kind, created_at, payment_id) VALUES (%L, uuid7(), 1, ''cash'', 1, ''EUR'', ''charge'', now(), uuid7()); SET CONSTRAINTS ALL IMMEDIATE', :'v'));
SET session_replication_role = replica;
SELECT pg_temp.refused(format('INSERT INTO ledger_entries (vendor_id, posting_id, line, account, amount, currency, kind, created_at, payment_id) VALUES (%L, uuid7(), 1, ''cash'', 1, ''EUR'', ''charge'', now(), uuid7()); SET CONSTRAINTS ALL IMMEDIATE', :'v'));
SELECT pg_temp.refused(format('UPDATE invoices SET due_at = now() WHERE id = %L', :'i'));
RESET session_replication_role;
SELECT pg_temp.refused('INSERT INTO invoices SELECT (jsonb_populate_record(n, ''{"number": "INV-2026-000002", "id": "00000000-0000-7000-8000-0000000000ff"}'')).* FROM invoices n');
SELECT pg_temp.refused(format('INSERT INTO invoices SELECT * FROM invoices WHERE id = %L ON CONFLICT (id, vendor_id) DO UPDATE SET note = ''x''', :'i'));
SELECT pg_temp.refused(format('MERGE INTO invoices n USING (SELECT %L::uuid AS id) m ON n.id = m.id WHEN MATCHED THEN DELETE', :'i'));
SELECT pg_temp.placed(:'v', 1, 1) AS p \gset
SELECT id AS d FROM invoice_issue(:'p', draft => true) \gset
SELECT pg_temp.refused(format('UPDATE invoices SET status = ''issued'', number = ''INV-2026-000002'', issued_at = now(), due_at = now(), seller = ''{}'', buyer = ''{}'' WHERE id = %L', :'d'));
SELECT pg_temp.refused(format('SELECT invoice_issue(%L)', :'p')); SELECT pg_temp.refused(format('SELECT invoice_issue(%L, draft => true)', :'p'));
SELECT invoice_delete(:'d');
SELECT pg_temp.refused(format('SELECT invoice_issue(%L, up_to => ''infinity'')', :'p'));
SELECT * FROM ledger_verify();

\echo credit notes, in part and whole
SELECT number, kind, status, subtotal, tax, total, taxes FROM invoice_credit(:'i', 10, reason => 'scratched');
SELECT total, charges, balance, refund_due FROM order_get(:'o');
SELECT status, paid, credited, open FROM invoice_get(:'i');
SELECT pg_temp.refused(format('SELECT invoice_credit(%L, 62.01)', :'i'));
SELECT pg_temp.refused(format('SELECT invoice_issue(%L)', :'o'));
SELECT number, subtotal, tax, total FROM invoice_credit(:'i');
SELECT pg_temp.refused(format('SELECT invoice_credit(%L)', :'i'));
SELECT * FROM report_customer_balances(:'v');
SELECT * FROM ledger_verify();
\echo credited to be billed again
SELECT pg_temp.placed(:'v', 1, 1) AS o \gset
SELECT id AS i FROM invoice_issue(:'o') \gset
SELECT number, total FROM invoice_credit(:'i', rebill => true);
SELECT number, total FROM invoice_issue(:'o');
\echo in parts, until all is credited: the taxes are those of the whole
SELECT pg_temp.placed(:'v', 1, 1) AS o \gset
SELECT tax_rate_create('Levy', 3.3, vendor_id => :'v') IS DISTINCT FROM NULL; SELECT tax_rate_create('Held', 7, is_inclusive => true, vendor_id => :'v') IS DISTINCT FROM NULL;
SELECT pg_temp.placed(:'v', 1, 1) AS o \gset
SELECT id AS i, total, tax, tax_included FROM invoice_issue(:'o') \gset
\echo :total :tax :tax_included
SELECT string_agg(concat_ws(' ', c.subtotal, c.tax, c.tax_included), ', ') FROM unnest('{0.37,0.37,0.38,5.01,6.19}'::numeric[]) a, invoice_credit(:'i', a) c;
SELECT pg_temp.refused(format('SELECT invoice_credit(%L, 0.02)', :'i'));
SELECT total, taxes FROM invoice_credit(:'i');
SELECT sum(total), sum(tax), sum(tax_included) FROM invoices WHERE order_id = :'o';
SELECT t.name, sum(t.taxable), sum(t.tax) FROM invoice_taxes t JOIN invoices n ON n.id = t.invoice_id WHERE n.order_id = :'o' GROUP BY 1 ORDER BY 1;
\echo a draft keeps nobody from crediting
SELECT pg_temp.placed(:'v', 2, 1) AS o \gset
SELECT id AS i FROM invoice_issue(:'o') \gset
SELECT order_dispatch(:'o') IS DISTINCT FROM NULL; SELECT order_charge_add(:'o', 1, 'more') IS DISTINCT FROM NULL; SELECT id AS d FROM invoice_issue(:'o', draft => true) \gset
SELECT total FROM invoice_credit(:'i', 1); SELECT status, total FROM invoice_issue_draft(:'d');
\echo what was agreed on counts: rates that are gone, changed, or come later; an item that is taken off, with the tax that it held
SELECT pg_temp.placed(:'v', 2, 1) AS o \gset
SELECT pg_temp.placed(:'v', 1, 1) AS q \gset
SELECT count(tax_rate_delete(id)) FROM tax_rates WHERE vendor_id = :'v';
SELECT tax_rate_create('New', 25, vendor_id => :'v') IS DISTINCT FROM NULL;
SELECT total, tax, taxes FROM invoice_issue(:'o');
SELECT order_extend(:'o', '2026-08-03T08:00:00Z') IS DISTINCT FROM NULL;
SELECT total, tax, tax_included, taxes FROM invoice_issue(:'o');
SELECT total, tax_included FROM invoice_issue(:'q');
SELECT order_item_add(:'q', product_id, 1, '2026-08-05T08:00:00Z', '2026-08-06T08:00:00Z') IS DISTINCT FROM NULL FROM order_items WHERE order_id = :'q';
SELECT order_item_remove(:'q', id) IS DISTINCT FROM NULL FROM order_items WHERE order_id = :'q' ORDER BY start_at LIMIT 1;
SELECT total, tax, tax_included, taxes FROM invoice_issue(:'q');
SELECT name, sum(taxable), sum(t.tax) FROM invoice_taxes t JOIN invoices n ON n.id = t.invoice_id WHERE order_id = :'q' GROUP BY 1 ORDER BY 1;
SELECT * FROM ledger_verify();
\echo an order that ended early: credited once, and its fee
SELECT pg_temp.placed(:'v', 2, 1) AS o \gset
SELECT id AS i, total FROM invoice_issue(:'o') \gset
SELECT payment_record(:'o', 25) IS DISTINCT FROM NULL;
SELECT order_cancel(:'o') IS DISTINCT FROM NULL; UPDATE orders SET cancellation_fee = 8 WHERE id = :'o';
SELECT number, kind, total, tax FROM invoice_issue(:'o'); SELECT balance, refund_due FROM order_get(:'o');
SELECT pg_temp.refused(format('SELECT invoice_credit(%L, 8.01)', :'i'));
SELECT pg_temp.refused(format('SELECT invoice_issue(%L)', :'o'));
SELECT total, lines FROM invoice_credit(:'i', 3); SELECT balance, refund_due FROM order_get(:'o');
SELECT total FROM invoice_credit(:'i'); SELECT balance, refund_due FROM order_get(:'o'); SELECT cancellation_fee FROM orders WHERE id = :'o';
SELECT pg_temp.refused(format('SELECT invoice_credit(%L)', :'i')); SELECT pg_temp.refused(format('SELECT invoice_credit(%L, rebill => true)', :'i'));
SELECT pg_temp.refused(format('SELECT invoice_issue(%L)', :'o'));
SELECT sum(total), sum(tax) FROM invoices WHERE order_id = :'o';
SELECT receivable FROM report_customer_balances(:'v');
SELECT * FROM ledger_verify();
\echo what comes back early gives its tax back
SELECT order_policy_set(:'v', early_return => 'prorate') IS DISTINCT FROM NULL;
SELECT pg_temp.placed(:'v', 1, 4) AS o \gset
SELECT total FROM invoice_issue(:'o'); SELECT order_dispatch(:'o') IS DISTINCT FROM NULL;
SET rental.clock = '2026-08-02 08:00Z';
SELECT charges FROM order_return(:'o'); SELECT kind, subtotal, tax, total, taxes FROM invoice_issue(:'o');
SET rental.clock = '2026-08-01 08:00Z';
SELECT * FROM ledger_verify();

\echo what is due less what was billed: 1012.50 less 697.50
SELECT pg_temp.vendor('later', 'EUR', 3.50) AS l \gset
SELECT pg_temp.placed(:'l', 1, 1) AS o \gset
SELECT order_dispatch(:'o') IS DISTINCT FROM NULL;
SELECT total FROM invoice_issue(:'o');
SELECT order_charge_add(:'o', 694, 'weeks') IS DISTINCT FROM NULL; SELECT total FROM invoice_issue(:'o');
SELECT order_charge_add(:'o', 315, 'more weeks') IS DISTINCT FROM NULL; SELECT total FROM invoice_issue(:'o');
SELECT order_charge_add(:'o', 1, 'one') IS DISTINCT FROM NULL; SELECT sum(total) FROM invoices WHERE order_id = :'o';

\echo billed by cycle: 12 pieces at 5 a week, in on day 8 of 28
SELECT pg_temp.vendor('cycles', 'USD', 5) AS c \gset
UPDATE product_rates SET days = 7, amount = 5, extra_day = 5 WHERE vendor_id = :'c';
SELECT product_rate_set((SELECT id FROM products WHERE vendor_id = :'c'), strategy => 'optimal', tiers => '[{"length": 1, "unit": "week", "amount": "5"}]') IS DISTINCT FROM NULL;
SET rental.clock = '2026-08-01 08:00Z';
SELECT pg_temp.placed(:'c', 12, 28) AS o \gset
SELECT billing_plan_set(:'o', '28_days', true);
SELECT order_dispatch(:'o') IS DISTINCT FROM NULL;
SET rental.clock = '2026-08-08 12:00Z';
SELECT total FROM order_return(:'o');
SELECT total, lines FROM invoice_issue(:'o');
SELECT total, charges, total + charges AS worth FROM order_get(:'o');
\echo 25 a week without proration, out 8/1, in 8/30
SELECT product_rate_set((SELECT id FROM products WHERE vendor_id = :'c'), strategy => 'optimal', tiers => '[{"length": 1, "unit": "week", "amount": "25"}]') IS DISTINCT FROM NULL;
SET rental.clock = '2026-08-01 08:00Z';
SELECT pg_temp.placed(:'c', 1, 28) AS o \gset
SELECT billing_plan_set(:'o', '28_days', false);
SELECT order_dispatch(:'o') IS DISTINCT FROM NULL;
SET rental.clock = '2026-08-28 12:00Z';
SELECT total FROM invoice_issue(:'o');
SET rental.clock = '2026-08-30 08:00Z';
SELECT total FROM order_return(:'o');
SELECT total FROM invoice_issue(:'o');
SELECT pg_temp.refused(format('SELECT invoice_issue(%L)', :'o'));
SELECT pg_temp.refused(format('SELECT billing_plan_set(%L)', :'o'));
SELECT * FROM ledger_verify();

\echo cycles cost what was agreed, whatever the rates are later; pieces that come back in parts; what was sold is sold once; a coupon and a tax
SET rental.clock = '2026-08-01 08:00Z';
SELECT pg_temp.vendor('agreed', 'EUR', 7) AS g \gset
SELECT tax_rate_create('VAT', 19, vendor_id => :'g') IS DISTINCT FROM NULL; SELECT coupon_create('TENTH', percent => 10, vendor_id => :'g') IS DISTINCT FROM NULL;
SELECT id AS thing FROM products WHERE vendor_id = :'g' \gset
SELECT id AS tape FROM product_create('Tape', vendor_id => :'g', kind => 'sale', day_rate => 3) \gset
SELECT stock_set(:'tape', 10) IS DISTINCT FROM NULL;
SELECT id AS o FROM order_place(jsonb_build_array(
	jsonb_build_object('product_id', :'thing', 'quantity', 10, 'start_at', '2026-08-01T08:00:00Z', 'end_at', '2026-08-15T08:00:00Z'),
	jsonb_build_object('product_id', :'thing', 'quantity', 1, 'start_at', '2026-08-01T08:00:00Z', 'end_at', '2026-08-15T08:00:00Z'),
	jsonb_build_object('product_id', :'tape', 'quantity', 1, 'start_at', '2026-08-01T08:00:00Z', 'end_at', '2026-08-15T08:00:00Z')),
	customer_id => '00000000-0000-7000-8000-0000000000c1', coupon => 'TENTH') \gset
SELECT order_confirm(:'o') IS DISTINCT FROM NULL; SELECT billing_plan_set(:'o', 'week', true); SELECT order_dispatch(:'o') IS DISTINCT FROM NULL;
SELECT count(*), min(unit_price), max(unit_price) FROM billing_cycles WHERE vendor_id = :'g';
SELECT product_rate_set(:'thing', 70) IS DISTINCT FROM NULL;
SELECT id AS ten FROM order_items WHERE order_id = :'o' AND quantity = 10 \gset
SELECT id AS one FROM order_items WHERE order_id = :'o' AND product_id = :'thing' AND quantity = 1 \gset
SET rental.clock = '2026-08-03 08:00Z';
\echo 3 days: 11 pieces * 7 * 3, less a tenth, and 19 percent; the tape
SELECT subtotal, tax, period_start, period_end, taxes FROM invoice_issue(:'o');
SELECT order_return(:'o', items => jsonb_build_array(jsonb_build_object('item_id', :'ten', 'quantity', 4), jsonb_build_object('item_id', :'one'))) IS DISTINCT FROM NULL;
SET rental.clock = '2026-08-10 07:00Z';
\echo a draft is issued as it is, also when time has passed: 6 pieces * 7 * 7
SELECT id AS d, subtotal FROM invoice_issue(:'o', draft => true) \gset
SET rental.clock = '2026-08-12 07:00Z';
SELECT subtotal, tax, period_start, period_end FROM invoice_issue_draft(:'d');
\echo an extension costs what was agreed; what is back keeps its time
SELECT order_extend(:'o', '2026-08-20T08:00:00Z') IS DISTINCT FROM NULL;
SELECT sum(d.net), max(d.until) FROM order_items i, billing_due(i.id, '2026-08-19 08:00Z') d WHERE i.order_id = :'o' AND i.product_id = :'thing';
SET rental.clock = '2026-08-19 08:00Z';
SELECT order_return(:'o') IS DISTINCT FROM NULL;
\echo 6 pieces * 7 * 9; up_to does not end what is back
SELECT subtotal, tax FROM invoice_issue(:'o', up_to => '2026-08-19 08:00Z');
SELECT pg_temp.refused(format('SELECT invoice_issue(%L, up_to => ''2026-08-04Z'')', :'o'));
SELECT pg_temp.refused(format('SELECT invoice_issue(%L)', :'o'));
SELECT balance - (SELECT sum(n.total) FROM invoices n WHERE n.order_id = :'o') AS off FROM order_get(:'o');
SELECT * FROM ledger_verify();
SET rental.clock = '2026-09-01 08:00Z';

\echo back at the agreed end: no cycle more, with the clocks put back in between; a minute later it is one
SET rental.clock = '2026-10-01 08:00Z';
UPDATE vendors SET time_zone = 'Europe/Berlin' WHERE id = :'g';
SELECT pg_temp.placed(:'g', 1, 28) AS o \gset
SELECT billing_plan_set(:'o', '28_days', false);
SELECT d.net FROM order_items i, unnest('{2026-10-29 09:00Z,2026-10-29 09:01Z}'::timestamptz[]) t, billing_due(i.id, t) d WHERE i.order_id = :'o';
SET rental.clock = '2026-09-01 08:00Z';

\echo deposits: authorised, captured up to the damage, released at the end
SET rental.clock = '2026-09-01 08:00Z';
SELECT pg_temp.placed(:'l', 1, 2) AS o \gset
SELECT id AS d, status FROM payment_record(:'o', 50, kind => 'deposit') \gset
\echo :status
SELECT paid, balance FROM orders JOIN order_view USING (id) WHERE orders.id = :'o';
SELECT pg_temp.refused(format('SELECT payment_capture(%L, 5)', :'d'));
SELECT order_dispatch(:'o') IS DISTINCT FROM NULL; SELECT order_return(:'o') IS DISTINCT FROM NULL;
SELECT order_charge_add(:'o', 20, 'a dent') IS DISTINCT FROM NULL;
SELECT pg_temp.refused(format('SELECT payment_capture(%L, 20.01)', :'d'));
SELECT kind, amount, status FROM payment_capture(:'d', 5);
SELECT kind, amount, status FROM payment_capture(:'d');
SELECT status, captured, released FROM payment_get(:'d');
SELECT order_close(:'o') IS DISTINCT FROM NULL;
SELECT status, captured, released FROM payment_get(:'d');
SELECT account, sum(amount) FROM ledger_entries WHERE order_id = :'o' GROUP BY 1 ORDER BY 1;
SELECT pg_temp.refused(format('SELECT payment_release(%L)', :'d'));
SELECT * FROM ledger_verify();

\echo the gateway test, its outcomes and its events
SELECT pg_temp.refused(format('SELECT payment_record(%L, 1, gateway => %L)', :'o', 'test'));
SELECT pg_temp.refused($$SELECT gateway_set('test', true)$$);
SELECT pg_temp.refused($$SELECT gateway_set('test', true, 'short')$$);
SELECT gateway_set('test', true, 'a secret of some length');
UPDATE vendors SET commission = 12.5 WHERE id = :'l';
SELECT pg_temp.placed(:'l', 10, 3) AS o \gset
SELECT method, status FROM unnest('{success,decline,action,timeout}'::text[]) m, payment_record(:'o', 33.33, m, gateway => 'test');
SELECT pg_temp.refused(format('SELECT payment_record(%L, 1, %L, gateway => %L)', :'o', '4111111111111111', 'test'));
CREATE FUNCTION pg_temp.told(event text, payment uuid, type text, amount numeric DEFAULT NULL, at timestamptz DEFAULT NULL, spoil text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	body text := json_strip_nulls(json_build_object('id', event, 'payment_id', payment, 'type', type, 'amount', amount::text));
BEGIN
	PERFORM payment_webhook('test', body || spoil, gateway_sign('test', body, at));
	RETURN (SELECT status || ' ' || refunded FROM payments WHERE id = payment);
END $$;
SELECT id AS p FROM payments WHERE order_id = :'o' AND method = 'timeout' \gset
SELECT id AS a FROM payments WHERE order_id = :'o' AND method = 'action' \gset
SELECT pg_temp.told('e1', :'a', 'succeeded'); SELECT pg_temp.told('e1', :'a', 'succeeded'); SELECT pg_temp.told('e2', :'a', 'failed'); SELECT pg_temp.told('e3', :'a', 'processing');
SELECT pg_temp.told('e4', :'p', 'failed'); SELECT pg_temp.told('e5', :'p', 'succeeded', 33.33);
SELECT pg_temp.refused(format('SELECT pg_temp.told(%L, %L, %L, 1)', 'e6', :'p', 'succeeded'));
SELECT pg_temp.refused(format('SELECT pg_temp.told(%L, %L, %L, spoil => %L)', 'e6', :'p', 'succeeded', ' '));
SELECT pg_temp.refused(format('SELECT pg_temp.told(%L, %L, %L, at => rental.now() - interval %L)', 'e6', :'p', 'succeeded', '301 seconds'));
SELECT pg_temp.refused(format('SELECT pg_temp.told(%L, %L, %L, at => rental.now() + interval %L)', 'e6', :'p', 'succeeded', '301 seconds'));
SELECT pg_temp.refused(format('SELECT pg_temp.told(%L, %L, %L)', 'e6', :'v', 'succeeded'));
SELECT pg_temp.refused(format('SELECT pg_temp.told(%L, %L, %L)', 'e6', :'p', 'lost'));
SELECT pg_temp.refused(format('SELECT payment_webhook(%L, %L, NULL)', 'test', '{}'));
SELECT pg_temp.refused(format('SELECT payment_webhook(%L, %L, gateway_sign(%L, %L))', 'test', '{', 'test', '{'));
SELECT pg_temp.refused(format('SELECT payment_webhook(%L, %L, NULL)', 'manual', '{}'));
SELECT event_id, type, had_effect FROM payment_events ORDER BY event_id;
SELECT paid FROM orders WHERE id = :'o';
SELECT * FROM ledger_verify();
\echo a chargeback before its success, refunds never over what was taken
SELECT id AS b FROM payment_record(:'o', 10, 'timeout', gateway => 'test') \gset
SELECT pg_temp.told('c1', :'b', 'chargeback', 4); SELECT pg_temp.told('c2', :'b', 'succeeded'); SELECT pg_temp.told('c1', :'b', 'chargeback', 4);
SELECT id AS s FROM payments WHERE order_id = :'o' AND method = 'success' \gset
SELECT kind, amount, status FROM payment_refund(:'s', 3.33);
SELECT pg_temp.refused(format('SELECT payment_refund(%L, 30.01)', :'s'));
SELECT kind, amount, status FROM payment_refund(:'s');
SELECT pg_temp.refused(format('SELECT payment_refund(%L)', :'s'));
SELECT pg_temp.refused(format('UPDATE payments SET refunded = amount + 1 WHERE id = %L', :'s'));
\echo a refund that fails can be asked for again
SELECT id AS r, status FROM payment_refund(:'p', 33.33) \gset
\echo :status
SELECT pg_temp.refused(format('SELECT payment_refund(%L)', :'p'));
SELECT pg_temp.told('r1', :'r', 'failed'); SELECT refunded FROM payments WHERE id = :'p';
SELECT paid FROM orders WHERE id = :'o';
SELECT * FROM ledger_verify();

\echo commission and payouts
SELECT kind, method, amount, refunded, commission FROM payments WHERE order_id = :'o' ORDER BY id;
SELECT book, account, debit, credit FROM report_trial_balance(:'l');
SELECT number, amount, (SELECT sum(l.amount) FROM unnest(lines) l) AS of_lines FROM payout_run(:'l');
SELECT count(*) FROM payout_run();
\echo a chargeback of what was paid out is taken off the next payout
SELECT pg_temp.told('c9', :'p', 'chargeback');
SELECT count(*) FROM payout_run();
SELECT payment_record(:'o', 20, gateway => 'test') IS DISTINCT FROM NULL; SELECT count(*) FROM payout_run();
SELECT payment_record(:'o', 30, gateway => 'test') IS DISTINCT FROM NULL; SELECT number, amount, (SELECT string_agg(l.kind || ' ' || l.amount, ', ') FROM unnest(lines) l) FROM payout_run(:'l');
SELECT account, debit, credit FROM report_trial_balance(:'l') WHERE book = 'platform';
SELECT pg_temp.refused('DELETE FROM payouts');
SELECT sum(debit) - sum(credit) FROM report_trial_balance();
SELECT * FROM ledger_verify();

\echo external gateways: a row in the outbox, no more
SELECT gateway_set('acme', true, 'another secret, long', collects => false);
SELECT id AS x, status FROM payment_record(:'o', 5, gateway => 'acme') \gset
\echo :status
SELECT action, amount, currency, sent_at FROM gateway_requests;
SELECT old, new FROM audit WHERE table_name = 'gateway_settings' ORDER BY id;

\echo the books of an external gateway follow what it tells: the gateway test, as if it were one
UPDATE gateways SET is_external = true WHERE name = 'test';
SELECT pg_temp.placed(:'l', 1, 2) AS o \gset
SELECT order_dispatch(:'o') IS DISTINCT FROM NULL; SELECT order_charge_add(:'o', 20, 'a dent') IS DISTINCT FROM NULL;
SELECT id AS d, status FROM payment_record(:'o', 50, kind => 'deposit', gateway => 'test') \gset
\echo :status
SELECT pg_temp.told('x1', :'d', 'authorised');
CREATE FUNCTION pg_temp.deposit(deposit uuid) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', p.status, p.captured, p.released, p.release_asked, 'held', COALESCE((SELECT sum(e.amount) FROM ledger_entries e WHERE e.order_id = p.order_id AND e.account = 'deposit_held'), 0),
		'asked', (SELECT string_agg(r.action || ' ' || r.amount, ', ' ORDER BY r.id) FROM gateway_requests r JOIN payments q ON q.id = r.payment_id WHERE p.id IN (q.id, q.parent_id))) FROM payment_get(deposit) p
$$;
SELECT pg_temp.deposit(:'d');
SELECT id AS c, status FROM payment_capture(:'d', 15) \gset
\echo :status
SELECT pg_temp.refused(format('SELECT payment_capture(%L, 5.01)', :'d'));
SELECT pg_temp.deposit(:'d');
SELECT pg_temp.told('x2', :'c', 'failed'); SELECT pg_temp.deposit(:'d');
\echo it failed, and was done after all
SELECT pg_temp.told('x3', :'c', 'succeeded'); SELECT pg_temp.deposit(:'d');
SELECT release_asked, status FROM payment_release(:'d'); SELECT pg_temp.deposit(:'d');
SELECT pg_temp.refused(format('SELECT payment_release(%L)', :'d')); SELECT pg_temp.refused(format('SELECT payment_capture(%L)', :'d'));
SELECT * FROM ledger_verify();
SELECT pg_temp.told('x4', :'d', 'cancelled'); SELECT pg_temp.deposit(:'d');
\echo all is being captured when the order is closed, and fails: the rest is asked to be released once
SELECT pg_temp.placed(:'l', 1, 2) AS o \gset
SELECT order_dispatch(:'o') IS DISTINCT FROM NULL; SELECT order_charge_add(:'o', 60, 'a dent') IS DISTINCT FROM NULL;
SELECT id AS d FROM payment_record(:'o', 50, kind => 'deposit', gateway => 'test') \gset
SELECT pg_temp.told('y1', :'d', 'authorised');
SELECT id AS c FROM payment_capture(:'d') \gset
SELECT order_return(:'o') IS DISTINCT FROM NULL; SELECT order_close(:'o') IS DISTINCT FROM NULL;
SELECT pg_temp.deposit(:'d');
SELECT pg_temp.told('y2', :'c', 'failed'); SELECT pg_temp.told('y3', :'c', 'cancelled'); SELECT pg_temp.deposit(:'d');
SELECT pg_temp.told('y4', :'d', 'cancelled'); SELECT pg_temp.deposit(:'d');
SELECT pg_temp.told('y5', :'c', 'succeeded'); SELECT pg_temp.deposit(:'d');
SELECT event_id, had_effect FROM payment_events WHERE event_id LIKE 'y%' ORDER BY 1;
SELECT * FROM ledger_verify();
\echo a refund that failed is done after all; or not, where another one took its place
SELECT id AS p FROM payment_record(:'o', 10, gateway => 'test') \gset
SELECT pg_temp.told('z1', :'p', 'succeeded');
SELECT id AS r FROM payment_refund(:'p', 7) \gset
SELECT pg_temp.told('z2', :'r', 'cancelled'); SELECT pg_temp.told('z3', :'r', 'failed'); SELECT refunded FROM payments WHERE id = :'p';
SELECT pg_temp.told('z4', :'r', 'succeeded'); SELECT refunded FROM payments WHERE id = :'p';
SELECT id AS r FROM payment_refund(:'p', 3) \gset
SELECT pg_temp.told('z5', :'r', 'failed');
SELECT amount FROM payment_refund(:'p');
SELECT pg_temp.told('z6', :'r', 'succeeded'); SELECT refunded FROM payments WHERE id = :'p';
\echo money goes back the way it came, whatever its gateway says by then
UPDATE gateways SET collects = false, is_external = false WHERE name = 'test';
SELECT id AS r FROM payment_refund((SELECT id FROM payment_record(:'o', 8, 'success', gateway => 'test'))) \gset
UPDATE gateways SET collects = true WHERE name = 'test';
SELECT account, amount FROM ledger_entries WHERE payment_id = :'r' ORDER BY line;
SELECT id AS c FROM payments WHERE order_id = :'o' AND kind = 'charge' AND amount = 8 \gset
SELECT pg_temp.told('z7', :'c', 'chargeback'); SELECT had_effect FROM payment_events WHERE event_id = 'z7';
SELECT * FROM ledger_verify();
\echo a deposit is not taken for what was paid
SELECT pg_temp.placed(:'l', 1, 2) AS o \gset
SELECT order_dispatch(:'o') IS DISTINCT FROM NULL; SELECT order_charge_add(:'o', 20, 'a dent') IS DISTINCT FROM NULL;
SELECT id AS d FROM payment_record(:'o', 50, kind => 'deposit') \gset
SELECT payment_record(:'o', 27) IS DISTINCT FROM NULL;
SELECT pg_temp.refused(format('SELECT payment_capture(%L)', :'d'));

\echo taxes by place, class, date; reverse charge
SELECT pg_temp.vendor('taxed', 'EUR', 100) AS t \gset
SELECT billing_settings_set(country => 'DE', vendor_id => :'t') IS DISTINCT FROM NULL;
SELECT count(tax_rate_create(name, percent, vendor_id => :'t', class => class, country => country, from_date => from_date, to_date => to_date)) FROM (VALUES
	('DE old', 16, 'standard', 'DE', NULL::date, '2026-08-31'::date), ('DE', 19, 'standard', 'DE', '2026-09-01', NULL), ('DE reduced', 7, 'reduced', 'DE', NULL, NULL),
	('FR', 20, 'standard', 'FR', NULL, NULL)) r (name, percent, class, country, from_date, to_date);
SELECT id AS tp FROM products WHERE vendor_id = :'t' \gset
SELECT total, tax FROM price(:'tp', '2026-08-31 10:00Z', '2026-09-01 10:00Z');
SELECT total, tax FROM price(:'tp', '2026-09-01 10:00Z', '2026-09-02 10:00Z');
SELECT product_taxes_replace(:'tp', '{}', 'reduced'); SELECT total, tax FROM price(:'tp', '2026-09-01 10:00Z', '2026-09-02 10:00Z');
SELECT product_taxes_replace(:'tp', '{}');
SELECT total FROM invoice_issue(pg_temp.placed(:'t', 1, 1));
SELECT country FROM customer_tax_set('00000000-0000-7000-8000-0000000000c1', 'FR', vendor_id => :'t');
SELECT total FROM invoice_issue(pg_temp.placed(:'t', 1, 1));
SELECT pg_temp.refused(format('SELECT customer_tax_set(%L, %L, reverse_charge => true, vendor_id => %L)', '00000000-0000-7000-8000-0000000000c1', 'FR', :'t'));
SELECT pg_temp.placed(:'t', 1, 1) AS o \gset
SELECT reverse_charge FROM customer_tax_set('00000000-0000-7000-8000-0000000000c1', 'FR', tax_number => 'FR1', reverse_charge => true, vendor_id => :'t');
SELECT total, buyer ->> 'reverse_charge' FROM invoice_issue(:'o');
SELECT total, taxes, buyer ->> 'tax_number', buyer ->> 'reverse_charge' FROM invoice_issue(pg_temp.placed(:'t', 1, 1));
SELECT country, name, percent, is_reverse, taxable, tax FROM report_taxes('2026-09-01Z', '2026-10-01Z', :'t');

\echo dunning, late interest, write-off
SELECT pg_temp.vendor('dunned', 'EUR', 365) AS n \gset
SELECT billing_settings_set(due_days => 0, interest_percent => 10, dunning_days => '{7,14}', vendor_id => :'n') IS DISTINCT FROM NULL;
SELECT pg_temp.placed(:'n', 1, 10) AS o \gset
SELECT id AS i, total FROM invoice_issue(:'o') \gset
\echo :total
SELECT pg_temp.refused(format('SELECT invoice_interest(%L)', :'i'));
SET rental.clock = '2026-09-08 09:00Z';
SELECT overdue, open FROM invoice_get(:'i');
SELECT level, open FROM dunning_run(:'n'); SELECT level, open FROM dunning_run(:'n');
SELECT kind, amount, reason FROM invoice_interest(:'i');
SELECT pg_temp.refused(format('SELECT invoice_interest(%L)', :'i'));
SET rental.clock = '2026-09-18 09:00Z';
SELECT level FROM dunning_run(:'n');
SELECT kind, amount, reason FROM invoice_interest(:'i');
SELECT id AS j, total, lines FROM invoice_issue(:'o') \gset
\echo :total :lines
\echo interest bears none, and is credited as what it is
SET rental.clock = '2026-10-18 09:00Z';
SELECT pg_temp.refused(format('SELECT invoice_interest(%L)', :'j'));
SELECT total FROM invoice_credit(:'j', 2); SELECT account, sum(amount) FROM ledger_entries WHERE order_id = :'o' GROUP BY 1 ORDER BY 1;
SET rental.clock = '2026-09-18 09:00Z';
SELECT status, written_off, open, overdue FROM invoice_write_off(:'i', 'gone');
SELECT pg_temp.refused(format('SELECT invoice_write_off(%L)', :'i'));
SELECT balance, refund_due, is_paid FROM order_get(:'o'); SELECT receivable FROM report_customer_balances(:'n');
\echo what was written off and is paid after all
SELECT payment_record(:'o', 1000) IS DISTINCT FROM NULL;
SELECT status, paid, written_off, open FROM invoice_get(:'i'); SELECT balance, refund_due, is_paid FROM order_get(:'o'); SELECT * FROM ledger_verify();
SELECT payment_record(:'o', 3000) IS DISTINCT FROM NULL;
SELECT status, paid, written_off, open FROM invoice_get(:'i'); SELECT balance, refund_due, is_paid FROM order_get(:'o');
SELECT account, debit, credit FROM report_trial_balance(:'n');
SELECT * FROM ledger_verify();

\echo numbers: of the local year, without gaps by what is undone
SELECT pg_temp.vendor('tokyo', 'JPY', 5) AS y \gset
UPDATE vendors SET time_zone = 'Asia/Tokyo' WHERE id = :'y';
SET rental.clock = '2026-12-31 14:59:59Z'; SELECT number FROM invoice_issue(pg_temp.placed(:'y', 1, 1));
SET rental.clock = '2026-12-31 15:00Z'; SELECT number FROM invoice_issue(pg_temp.placed(:'y', 1, 1));
BEGIN; SELECT number FROM invoice_issue(pg_temp.placed(:'y', 1, 1)); ROLLBACK;
BEGIN; SAVEPOINT s; SELECT number FROM invoice_issue(pg_temp.placed(:'y', 1, 1)); ROLLBACK TO s; SELECT number FROM invoice_issue(pg_temp.placed(:'y', 1, 1)); COMMIT;
SELECT billing_settings_set(series => 'RE', vendor_id => :'y') IS DISTINCT FROM NULL; SELECT number FROM invoice_issue(pg_temp.placed(:'y', 1, 1));
SELECT * FROM ledger_verify();
SET rental.clock = '2026-09-18 09:00Z';

\echo edges: every path of money, with three taxes in the price
-- what a statement answers, or is refused with
CREATE FUNCTION pg_temp.tried(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	said text;
BEGIN
	EXECUTE statement INTO said;
	RETURN said;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLERRM;
END $$;
CREATE FUNCTION pg_temp.paths(slug text, currency text, rate numeric, coupon text DEFAULT NULL) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	v uuid := pg_temp.vendor(slug, currency, rate);
	thing uuid := (SELECT id FROM products WHERE vendor_id = v);
	part numeric := GREATEST(round(rate / 3, currency_exponent(currency)), round(10.0 ^ -currency_exponent(currency), currency_exponent(currency)));
	o uuid;
	i uuid;
	p uuid;
	d uuid;
	said text;
BEGIN
	SET LOCAL rental.clock = '2026-09-01 08:00Z';
	UPDATE vendors SET commission = 7 WHERE id = v;
	PERFORM tax_rate_create('A', 19, vendor_id => v, is_inclusive => true), tax_rate_create('B', 7, vendor_id => v, is_inclusive => true),
		tax_rate_create('C', 2.5, vendor_id => v, is_inclusive => true);
	PERFORM billing_settings_set(due_days => 0, interest_percent => 12, vendor_id => v), coupon_create('ALL', percent => 100, vendor_id => v);
	o := (order_place(jsonb_build_array(jsonb_build_object('product_id', thing, 'quantity', 1, 'start_at', '2026-09-01T08:00:00Z', 'end_at', '2026-09-02T08:00:00Z')),
		customer_id => '00000000-0000-7000-8000-0000000000c1', coupon => coupon)).id;
	PERFORM order_confirm(o), order_dispatch(o);
	i := (invoice_issue(o)).id;
	RETURN QUERY SELECT concat_ws(' ', 'invoice', total, tax_included, status, taxes::text) FROM invoice_get(i);
	p := (payment_record(o, (SELECT total FROM invoice_get(i)), gateway => 'test')).id;
	RETURN QUERY SELECT concat_ws(' ', 'payment', amount, 'commission', commission) FROM payments WHERE id = p;
	said := pg_temp.tried(format('SELECT amount FROM payment_refund(%L, %s)', p, part));
	RETURN NEXT concat_ws(' ', 'refund', said, 'commission', (SELECT commission FROM payments WHERE id = p));
	RETURN NEXT concat_ws(' ', 'credit', pg_temp.tried(format('SELECT concat_ws('' '', total, tax_included, taxes) FROM invoice_credit(%L, %s)', i, part)));
	said := pg_temp.tried(format('SELECT concat_ws('' '', total, tax_included, taxes) FROM invoice_credit(%L)', i));
	RETURN NEXT concat_ws(' ', 'and whole', said, 'left', (SELECT sum(total) FROM invoices WHERE order_id = o), (SELECT sum(tax_included) FROM invoices WHERE order_id = o));
	PERFORM order_charge_add(o, rate, 'a dent');
	d := (payment_record(o, rate, kind => 'deposit', gateway => 'test')).id;
	RETURN NEXT concat_ws(' ', 'capture', pg_temp.tried(format('SELECT amount FROM payment_capture(%L, %s)', d, part)));
	said := pg_temp.tried(format('SELECT amount FROM payment_capture(%L)', d));
	RETURN NEXT concat_ws(' ', 'and all that is owed', said, 'release', pg_temp.tried(format('SELECT concat_ws('' '', captured, released) FROM payment_release(%L)', d)));
	said := (SELECT amount FROM payout_run(v));
	RETURN NEXT concat_ws(' ', 'payout', said, 'of', (SELECT sum(l.amount) FROM payouts x, payout_view y, unnest(y.lines) l WHERE x.vendor_id = v AND y.id = x.id));
	-- 3 pieces by cycles of a month: 11 of 30 days, then one is back
	o := (order_place(jsonb_build_array(jsonb_build_object('product_id', thing, 'quantity', 3, 'start_at', '2026-09-01T08:00:00Z', 'end_at', '2026-10-01T08:00:00Z')),
		customer_id => '00000000-0000-7000-8000-0000000000c1', coupon => coupon)).id;
	PERFORM order_confirm(o), order_dispatch(o), billing_plan_set(o, 'month');
	SET LOCAL rental.clock = '2026-09-11 07:00Z';
	i := (invoice_issue(o)).id;
	RETURN QUERY SELECT concat_ws(' ', 'cycle', total, tax_included) FROM invoice_get(i);
	PERFORM order_return(o, items => (SELECT jsonb_build_array(jsonb_build_object('item_id', id, 'quantity', 1)) FROM order_items WHERE order_id = o));
	SET LOCAL rental.clock = '2026-10-01 07:00Z';
	RETURN NEXT concat_ws(' ', 'interest', pg_temp.tried(format('SELECT amount FROM invoice_interest(%L)', i)));
	RETURN NEXT concat_ws(' ', 'next cycle', pg_temp.tried(format('SELECT concat_ws('' '', total, tax_included, taxes) FROM invoice_issue(%L)', o)));
	said := pg_temp.tried(format('SELECT concat_ws('' '', written_off, status, open) FROM invoice_write_off(%L)', i));
	RETURN NEXT concat_ws(' ', 'write-off', said, 'owed', (SELECT balance FROM order_get(o)));
	PERFORM payment_record(o, (SELECT sum(n.open) + part FROM invoices x, invoice_get(x.id) n WHERE x.order_id = o));
	RETURN NEXT concat_ws(' ', 'paid of it', part, (SELECT concat_ws(' ', paid, written_off, open) FROM invoice_get(i)), 'bad debt', (SELECT sum(amount) FROM ledger_entries WHERE vendor_id = v AND account = 'bad_debt'));
END $$;
SELECT pg_temp.paths('jpy', 'JPY', 1001);
SELECT pg_temp.paths('kwd', 'KWD', 10.005);
SELECT pg_temp.paths('zero', 'EUR', 0);
SELECT pg_temp.paths('cent', 'EUR', 0.01);
SELECT pg_temp.paths('yen', 'JPY', 1);
SELECT pg_temp.paths('fils', 'KWD', 0.001);
SELECT pg_temp.paths('large', 'EUR', 999999999.99);
SELECT pg_temp.paths('free', 'EUR', 9.99, 'ALL');
SELECT payment_record((SELECT id FROM orders WHERE vendor_id = (SELECT id FROM vendors WHERE slug = 'zero') ORDER BY id LIMIT 1), 0) IS DISTINCT FROM NULL;
SELECT pg_temp.refused(format('SELECT payment_record(%L, %L)', (SELECT o.id FROM orders o JOIN vendors v ON v.id = o.vendor_id WHERE v.slug = 'jpy' ORDER BY o.id LIMIT 1), a)) FROM unnest('{0.1,0.0001,-1,NaN}'::numeric[]) a;
SELECT coupon_create('FREE', percent => 100, vendor_id => :'t') IS DISTINCT FROM NULL;
SELECT id AS o, total FROM order_place(jsonb_build_array(jsonb_build_object('product_id', :'tp', 'quantity', 1, 'start_at', '2026-09-20T10:00:00Z', 'end_at', '2026-09-21T10:00:00Z')),
	customer_id => '00000000-0000-7000-8000-0000000000c1', coupon => 'FREE') \gset
SELECT order_confirm(:'o') IS DISTINCT FROM NULL;
SELECT total, status, open, lines FROM invoice_issue(:'o');
SELECT pg_temp.refused(format('SELECT invoice_credit(%L)', id)) FROM invoices WHERE order_id = :'o';
SELECT book, currency, sum(debit) - sum(credit) AS off FROM report_trial_balance() GROUP BY 1, 2 ORDER BY 1, 2;
SELECT * FROM ledger_verify();
-- what C answers of an order is what the view has
SELECT count(*) AS told_otherwise FROM rental.order_view v WHERE v IS DISTINCT FROM rental.order_get(v.id);
