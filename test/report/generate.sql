-- Books of many vendors, made by rule from a seed: in several time zones and currencies, over two years and the changes of their
-- clocks, with orders in every state, lines that last from minutes to months, invoices, credit notes, payments and refunds.
--
-- psql variables: seed, vendors, products, items (of which two make an order). The rows are written as a restore writes
-- them: without the checks of their tables, but with the triggers that keep what is derived, if these are on.
SET session_replication_role = replica;
SET synchronous_commit = off;
SELECT setseed(:seed / 1000.0) \g /dev/null

-- the n-th id of a kind
CREATE FUNCTION pg_temp.id(kind text, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
	SELECT ('00000000-' || kind || '-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid
$$;
INSERT INTO rental.users (id, email, password_hash, name, role)
	SELECT pg_temp.id('0001', n), 'customer' || n || '@report.example', '!', 'Customer ' || n, 'customer' FROM generate_series(1, GREATEST(:items / 20, 3)) n;
INSERT INTO rental.categories (id, parent_id, name, slug)
	SELECT pg_temp.id('0002', n), CASE WHEN n > 3 THEN pg_temp.id('0002', n % 3 + 1) END, 'Category ' || n, 'report-' || n FROM generate_series(1, 9) n;
INSERT INTO rental.vendors (id, name, slug, currency, time_zone, commission)
	SELECT pg_temp.id('0003', n), 'Vendor ' || n, 'report-' || n, (ARRAY['EUR', 'USD', 'JPY', 'KWD'])[n % 4 + 1],
		(ARRAY['UTC', 'Europe/Vienna', 'America/New_York', 'Asia/Kathmandu', 'Australia/Sydney', 'America/Sao_Paulo', 'Pacific/Auckland'])[n % 7 + 1], n % 11
	FROM generate_series(1, :vendors) n;
INSERT INTO rental.locations (id, vendor_id, name)
	SELECT pg_temp.id('0004', 2 * n + l), pg_temp.id('0003', n), 'Place ' || l FROM generate_series(1, :vendors) n, generate_series(0, 1) l;
INSERT INTO rental.products (id, vendor_id, category_id, name, kind, replacement_value)
	SELECT pg_temp.id('0005', n), pg_temp.id('0003', n % :vendors + 1), CASE WHEN k % 10 > 0 THEN pg_temp.id('0002', k % 10) END, 'Product ' || n,
		CASE WHEN k % 25 = 0 THEN 'sale' ELSE 'rental' END, CASE WHEN n % 7 > 0 THEN 100 + n % 500 END
	-- k: so that a vendor has products of all kinds, however many vendors there are
	FROM generate_series(1, :products) n, LATERAL (SELECT n + n / :vendors AS k) x;

-- an order: vendor, customer, when it was made, in minutes of two years, of which some are minutes at which clocks change
CREATE TEMPORARY TABLE made AS
SELECT n, 1 + floor(random() * :vendors)::bigint AS vendor, 1 + floor(random() ^ 2 * GREATEST(:items / 20, 3))::bigint AS customer,
	CASE WHEN n % 40 = 0 THEN (ARRAY['2025-03-30 00:59:59Z', '2025-03-30 01:00Z', '2025-10-26 00:30Z', '2025-10-26 01:30Z', '2025-11-02 05:30Z', '2025-11-02 06:30Z',
			'2025-12-31 23:59:59.999999Z', '2026-01-01 00:00Z', '2025-01-01 00:00Z'])[1 + n / 40 % 9]::timestamptz
		ELSE '2024-12-20Z'::timestamptz + floor(random() * 740 * 1440) * interval '1 minute' END AS at,
	(ARRAY['draft', 'quoted', 'pending', 'confirmed', 'active', 'returned', 'completed', 'completed', 'completed', 'completed', 'completed', 'completed',
		'cancelled', 'cancelled', 'rejected', 'expired'])[1 + floor(random() * 16)] AS status
FROM generate_series(1, :items / 2) n;
-- two lines each
CREATE TEMPORARY TABLE line AS
SELECT l.*, date_trunc('minute', l.at + floor(random() * 30 * 96) * interval '15 minutes') AS start_at,
	CASE WHEN random() < 0.1 THEN floor(1 + random() * 80 * 1440) * interval '1 minute' ELSE (1 + floor(random() * 7)) * interval '1 day' END AS lasts,
	1 + floor(random() ^ 3 * 5)::integer AS quantity, floor(1 + random() * 9999)::numeric AS minor
FROM (SELECT m.*, k, :vendors * (floor(random() * (:products / :vendors))::bigint + (m.vendor = 1)::integer) + m.vendor - 1 AS product FROM made m, generate_series(0, 1) k) l;
CREATE TEMPORARY TABLE priced AS
SELECT l.*, v.currency, v.id AS vendor_id,
	l.minor * e.small AS unit_price, l.minor % 500 * e.small AS tax
FROM line l JOIN rental.vendors v ON v.id = pg_temp.id('0003', l.vendor), LATERAL (SELECT ('1e-' || rental.currency_exponent(v.currency))::numeric AS small) e;
INSERT INTO rental.orders (id, vendor_id, number, customer_id, status, currency, subtotal, discount, tax, total, created_at, updated_at, fee, cancellation_fee)
	SELECT pg_temp.id('0006', n), vendor_id, 'ORD-' || n, pg_temp.id('0001', customer), status, currency, sum(unit_price * quantity), 0, sum(tax),
		sum(unit_price * quantity + tax) + n % 3, at, at, n % 3, CASE WHEN status = 'cancelled' THEN n % 5 ELSE 0 END
	FROM priced GROUP BY n, vendor_id, customer, status, currency, at ORDER BY at, n;
INSERT INTO rental.order_items (id, vendor_id, order_id, product_id, location_id, quantity, start_at, end_at, unit_price, subtotal, tax, total, dispatched, returned, created_at)
	SELECT pg_temp.id('0007', 2 * n + k), vendor_id, pg_temp.id('0006', n), pg_temp.id('0005', product), pg_temp.id('0004', 2 * vendor + (n + k) % 2), quantity,
		start_at, start_at + lasts, unit_price, unit_price * quantity, tax, unit_price * quantity + tax,
		CASE WHEN status IN ('active', 'returned', 'completed') THEN quantity ELSE 0 END, CASE WHEN status IN ('returned', 'completed') THEN quantity ELSE 0 END, at
	FROM priced ORDER BY at, n;
INSERT INTO rental.order_events (vendor_id, order_id, kind, data, created_at)
	SELECT vendor_id, order_id, 'returned', jsonb_build_object('returned_at', to_char((end_at + (quantity % 4 - 1) * interval '7 hours') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')),
		end_at FROM rental.order_items WHERE returned = quantity;
INSERT INTO rental.stock (vendor_id, product_id, location_id, quantity)
	SELECT p.vendor_id, p.id, l.id, 3 + hashtext(p.id::text) % 3 FROM rental.products p JOIN rental.locations l ON l.vendor_id = p.vendor_id WHERE p.name LIKE 'Product %';
-- issued without numbers and postings, which the guard refuses to everybody
ALTER TABLE rental.invoices DISABLE TRIGGER invoice_guard;
INSERT INTO rental.invoices (id, vendor_id, order_id, kind, number, status, currency, subtotal, tax, tax_included, total, deposit, paid, seller, buyer, issued_at, due_at, created_at)
	SELECT pg_temp.id('0008', m.n), o.vendor_id, o.id, 'invoice', CASE WHEN m.n % 9 > 0 THEN 'INV-' || m.n END,
		CASE WHEN m.n % 9 = 0 THEN 'draft' WHEN m.n % 4 = 0 THEN 'partly_paid' WHEN m.n % 4 = 1 THEN 'issued' ELSE 'paid' END, o.currency, o.total - o.tax, o.tax, 0, o.total, 0,
		CASE WHEN m.n % 9 = 0 OR m.n % 4 = 1 THEN 0 WHEN m.n % 4 = 0 THEN round(o.total / 3, rental.currency_exponent(o.currency)) ELSE o.total END,
		CASE WHEN m.n % 9 > 0 THEN '{}'::jsonb END, CASE WHEN m.n % 9 > 0 THEN '{}'::jsonb END,
		CASE WHEN m.n % 9 > 0 THEN m.at + m.n % 50 * interval '7 hours' END, CASE WHEN m.n % 9 > 0 THEN m.at + m.n % 50 * interval '7 hours' + interval '14 days' END, m.at
	FROM made m JOIN rental.orders o ON o.id = pg_temp.id('0006', m.n) WHERE m.status IN ('confirmed', 'active', 'returned', 'completed') ORDER BY m.at;
ALTER TABLE rental.invoices ENABLE ALWAYS TRIGGER invoice_guard;
INSERT INTO rental.payments (id, vendor_id, order_id, kind, amount, currency, method, status, created_at, released, captured, collects)
	SELECT pg_temp.id('0009', 4 * m.n + k), o.vendor_id, o.id, CASE WHEN k = 3 THEN 'deposit' ELSE 'charge' END, round(o.total / 2, rental.currency_exponent(o.currency)), o.currency,
		'cash', CASE WHEN k = 3 AND m.n % 2 = 0 THEN 'authorised' WHEN (m.n + k) % 10 = 0 THEN 'failed' WHEN (m.n + k) % 10 = 1 THEN 'processing' ELSE 'succeeded' END,
		m.at + (m.n * 13 + k * 37) % 90 * interval '11 hours', 0, 0, false
	FROM made m JOIN rental.orders o ON o.id = pg_temp.id('0006', m.n), generate_series(0, 3) k
	WHERE m.status IN ('confirmed', 'active', 'returned', 'completed') AND (k < 2 OR k = 3 AND m.n % 5 = 0) ORDER BY m.at;
INSERT INTO rental.payments (id, vendor_id, order_id, parent_id, kind, amount, currency, method, status, created_at, collects)
	SELECT pg_temp.id('0010', m.n), p.vendor_id, p.order_id, p.id, CASE WHEN m.n % 2 = 0 THEN 'refund' ELSE 'chargeback' END, p.amount, p.currency, 'cash', 'succeeded', p.created_at + interval '3 days', false
	FROM made m JOIN rental.payments p ON p.id = pg_temp.id('0009', 4 * m.n) WHERE m.n % 12 = 0 AND p.status = 'succeeded';
-- numbered units of some products, each serving lines one after another; stock that comes and goes; blackouts; commission and payouts
UPDATE rental.stock SET changes = ARRAY[ROW('2025-05-05 10:00Z', 1)::rental.stock_change, ROW('2026-02-01Z', -1)::rental.stock_change] WHERE hashtext(product_id::text) % 4 = 0;
INSERT INTO rental.blackouts (vendor_id, product_id, location_id, quantity, period)
	SELECT vendor_id, product_id, location_id, 1, '[2025-04-10 07:00Z, 2025-04-20)' FROM rental.stock WHERE hashtext(location_id::text) % 3 = 0 AND quantity > 1;
UPDATE rental.products SET purchase_cost = 50 + hashtext(id::text) % 20 WHERE name LIKE 'Product %3';
INSERT INTO rental.units (id, vendor_id, product_id, location_id, code, in_service, purchase_cost)
	SELECT pg_temp.id('0011', 2 * n + k), p.vendor_id, p.id, s.location_id, 'U' || k, CASE WHEN n % 5 = 0 THEN '[2025-02-01, 2026-03-01)'::tstzrange ELSE '[2024-01-01, 2030-01-01)' END,
		CASE WHEN k = 1 THEN 77 END
	FROM generate_series(1, :products, 9) n JOIN rental.products p ON p.id = pg_temp.id('0005', n), generate_series(0, 1) k,
		LATERAL (SELECT location_id FROM rental.stock WHERE product_id = p.id ORDER BY location_id LIMIT 1) s;
INSERT INTO rental.reservations (id, vendor_id, product_id, location_id, order_item_id, quantity, state, period, blocked)
	SELECT ('00000000-0012-' || substr(i.id::text, 15))::uuid, i.vendor_id, i.product_id, i.location_id, i.id, 1, 'released', tstzrange(i.start_at, i.end_at), tstzrange(i.start_at, i.end_at)
	FROM rental.order_items i WHERE EXISTS (SELECT FROM rental.units u WHERE u.product_id = i.product_id);
DO $$
DECLARE
	r record;
BEGIN
	FOR r IN SELECT id, vendor_id, blocked, product_id FROM rental.reservations ORDER BY id LOOP
		INSERT INTO rental.unit_assignments (vendor_id, reservation_id, unit_id, blocked)
			SELECT r.vendor_id, r.id, u.id, r.blocked FROM rental.units u WHERE u.product_id = r.product_id
				AND NOT EXISTS (SELECT FROM rental.unit_assignments a WHERE a.unit_id = u.id AND a.blocked && r.blocked) ORDER BY u.id LIMIT 1;
	END LOOP;
END $$;
INSERT INTO rental.ledger_entries (vendor_id, posting_id, line, account, amount, currency, kind, payment_id, created_at)
	SELECT vendor_id, id, l.line, l.account, l.sign * round(amount / 10, rental.currency_exponent(currency)), currency, 'charge', id, created_at
	FROM rental.payments, (VALUES (1, 'commission', 1), (2, 'platform_claim', -1)) AS l (line, account, sign) WHERE kind = 'charge' AND status = 'succeeded' AND amount >= 10;
INSERT INTO rental.payouts (vendor_id, number, amount, currency, created_at)
	SELECT v.id, 'PAY-' || n, n * 10, v.currency, '2025-01-15 23:30Z'::timestamptz + n * interval '30 days' FROM rental.vendors v, generate_series(1, 12) n WHERE v.slug LIKE 'report-%';
SET session_replication_role = origin;
DROP TABLE priced, line;
