-- Ten products, and one function that does something to one of them as a hurried customer or vendor would.
CREATE EXTENSION rental CASCADE;
SET search_path = rental, public;
INSERT INTO vendors (id, name, slug, hold_time) VALUES ('00000000-0000-7000-8000-000000000001', 'Race', 'race', '700 milliseconds');
INSERT INTO locations (id, vendor_id, name) VALUES ('00000000-0000-7000-8000-000000000002', '00000000-0000-7000-8000-000000000001', 'Main');
INSERT INTO users (id, email, password_hash, name, role) VALUES ('00000000-0000-7000-8000-000000000003', 'race@race.example', '!', 'R', 'customer');
INSERT INTO products (id, vendor_id, name, tracking, assignment)
	SELECT ('00000000-0000-7000-8000-0000000001' || lpad(to_hex(n), 2, '0'))::uuid, '00000000-0000-7000-8000-000000000001', 'P' || n,
		CASE WHEN n <= 7 THEN 'bulk' ELSE 'serialised' END, CASE WHEN n = 8 THEN 'order' ELSE 'dispatch' END FROM generate_series(1, 10) n;
INSERT INTO product_rates SELECT vendor_id, id, 1, 10, 10 FROM products;
INSERT INTO stock SELECT vendor_id, id, '00000000-0000-7000-8000-000000000002', CASE tracking WHEN 'bulk' THEN 6 ELSE 0 END FROM products;
INSERT INTO units (vendor_id, product_id, location_id, code)
	SELECT vendor_id, id, '00000000-0000-7000-8000-000000000002', 'U' || n FROM products, generate_series(1, 5) n WHERE tracking = 'serialised';

CREATE FUNCTION public.race_step(op integer, product integer, at integer, length integer, n integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	p uuid := ('00000000-0000-7000-8000-0000000001' || lpad(to_hex(product), 2, '0'))::uuid;
	p2 uuid := ('00000000-0000-7000-8000-0000000001' || lpad(to_hex(product % 10 + 1), 2, '0'))::uuid;
	f timestamptz := date_trunc('day', now()) + interval '10 days' + at * interval '6 hours';
	t timestamptz := f + length * interval '6 hours';
	r record;
	code text;
BEGIN
	IF op <= 55 THEN
		PERFORM rental.order_place(jsonb_build_array(
			jsonb_build_object('product_id', p2, 'quantity', 1, 'start_at', to_char(f AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'end_at', to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')),
			jsonb_build_object('product_id', p, 'quantity', n, 'start_at', to_char(f AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'end_at', to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))),
			customer_id => '00000000-0000-7000-8000-000000000003');
	ELSIF op <= 88 THEN
		-- an order of this product, whatever its state
		SELECT i.order_id INTO r FROM rental.order_items i JOIN rental.orders o ON o.id = i.order_id
			WHERE i.product_id = p AND o.status IN ('pending', 'confirmed', 'active') ORDER BY hashtext(i.id::text || at) LIMIT 1;
		CASE
			WHEN r.order_id IS NULL THEN RETURN 'nothing';
			WHEN op <= 68 THEN PERFORM rental.order_confirm(r.order_id);
			WHEN op <= 74 THEN PERFORM rental.order_dispatch(r.order_id);
			WHEN op <= 78 THEN PERFORM rental.order_return(r.order_id);
			ELSE PERFORM rental.order_cancel(r.order_id);
		END CASE;
	ELSIF op <= 92 THEN
		-- a longer or a later period, by raw SQL of the tables' owner
		UPDATE rental.reservations SET period = tstzrange(lower(period), upper(period) + length * interval '3 hours'),
			blocked = tstzrange(lower(blocked), upper(blocked) + length * interval '3 hours')
			WHERE id = (SELECT id FROM rental.reservations WHERE product_id = p AND state = 'firm' AND NOT EXISTS
				(SELECT FROM rental.unit_assignments a WHERE a.reservation_id = reservations.id) ORDER BY hashtext(id::text || at) LIMIT 1);
	ELSIF op <= 95 THEN
		IF EXISTS (SELECT FROM rental.units WHERE product_id = p) THEN
			PERFORM rental.blackout_create(p, f, t, unit_id => (SELECT id FROM rental.units WHERE product_id = p ORDER BY hashtext(id::text || at) LIMIT 1));
		ELSE
			PERFORM rental.blackout_create(p, f, t, n);
		END IF;
	ELSIF op <= 97 THEN
		DELETE FROM rental.blackouts WHERE id = (SELECT id FROM rental.blackouts WHERE product_id = p ORDER BY id LIMIT 1);
	ELSIF product <= 7 THEN
		PERFORM rental.stock_set(p, 4 + n);
	ELSE
		PERFORM rental.stock_expire_holds();
	END IF;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = CONSTRAINT_NAME;
	IF SQLSTATE IN ('RT409', 'RT422', '23P01') THEN
		RETURN 'refused: ' || code;
	END IF;
	RAISE;
END $$;

-- Plain SQL that knows nothing of timelines: where more is promised than there is.
CREATE VIEW public.overbooked AS
WITH changes AS (
	SELECT product_id, lower(blocked) AS at, quantity AS taken FROM rental.reservations
		WHERE state IN ('firm', 'out') OR (state = 'hold' AND expires_at > now())
	UNION ALL SELECT product_id, upper(blocked), -quantity FROM rental.reservations
		WHERE state IN ('firm', 'out') OR (state = 'hold' AND expires_at > now())
	UNION ALL SELECT product_id, lower(period), quantity FROM rental.blackouts
	UNION ALL SELECT product_id, upper(period), -quantity FROM rental.blackouts
), running AS (
	SELECT product_id, at, sum(sum(taken)) OVER (PARTITION BY product_id ORDER BY at) AS taken FROM changes GROUP BY 1, 2
)
SELECT r.product_id, r.at, r.taken, c.there FROM running r
JOIN (SELECT s.product_id, s.quantity + (SELECT count(*) FROM rental.units u WHERE u.product_id = s.product_id) AS there FROM rental.stock s) c
	USING (product_id)
-- a blackout of more than is free is refused, so taken pieces and repairs together never exceed what is there
WHERE r.taken > c.there AND r.at > now();
