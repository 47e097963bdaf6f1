-- Orders of three vendors, and one function that does something to the money of one of them.
CREATE EXTENSION rental CASCADE;
SET search_path = rental, public;
INSERT INTO users (id, email, password_hash, name, role) VALUES ('00000000-0000-7000-8000-000000000003', 'money@race.example', '!', 'M', 'customer');
SELECT gateway_set('test', true, 'the secret of the race');
DO $$
DECLARE
	v uuid;
	p uuid;
	o uuid;
BEGIN
	FOR n IN 1..3 LOOP
		INSERT INTO rental.vendors (name, slug, commission) VALUES ('Money ' || n, 'money-' || n, 5 * n) RETURNING id INTO v;
		INSERT INTO rental.locations (vendor_id, name) VALUES (v, 'Main');
		INSERT INTO rental.products (vendor_id, name) VALUES (v, 'Thing') RETURNING id INTO p;
		INSERT INTO rental.product_rates (vendor_id, product_id, days, amount, extra_day) VALUES (v, p, 1, 10, 10);
		INSERT INTO rental.stock SELECT v, p, l.id, 100000 FROM rental.locations l WHERE l.vendor_id = v;
		PERFORM rental.tax_rate_create('VAT', 20, vendor_id => v), rental.tax_rate_create('held', 7, is_inclusive => true, vendor_id => v);
		PERFORM rental.billing_settings_set(due_days => 0, interest_percent => 100, dunning_days => '{1,2,3}', vendor_id => v);
		FOR i IN 1..40 LOOP
			o := (rental.order_place(jsonb_build_array(jsonb_build_object('product_id', p, 'quantity', 1 + i % 3, 'start_at', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
				'end_at', to_char(now() AT TIME ZONE 'UTC' + interval '3 days', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))), customer_id => '00000000-0000-7000-8000-000000000003')).id;
			PERFORM rental.order_confirm(o), rental.order_dispatch(o);
			IF i % 4 = 0 THEN
				PERFORM rental.billing_plan_set(o, 'week', i % 8 = 0);
			END IF;
		END LOOP;
	END LOOP;
END $$;
CREATE FUNCTION public.money_step(op integer, pick integer, cents integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	o uuid;
	x uuid;
	amount numeric := cents / 100.0;
	code text;
	body text;
BEGIN
	-- invoices are overdue, by more or less
	PERFORM set_config('rental.clock', (clock_timestamp() + pick % 5 * interval '1 day')::text, true);
	SELECT id INTO o FROM rental.orders ORDER BY md5(id::text || pick % 120) LIMIT 1;
	IF op <= 12 THEN
		RETURN 'invoice ' || (rental.invoice_issue(o)).number;
	ELSIF op <= 25 THEN
		PERFORM rental.order_charge_add(o, amount, 'more');
	ELSIF op <= 45 THEN
		RETURN 'payment ' || (rental.payment_record(o, amount, gateway => CASE pick % 2 WHEN 0 THEN 'manual' ELSE 'test' END,
			method => CASE pick % 8 WHEN 1 THEN 'success' WHEN 3 THEN 'timeout' WHEN 5 THEN 'action' WHEN 7 THEN 'success' END)).id;
	ELSIF op <= 60 THEN
		SELECT id INTO x FROM rental.payments WHERE order_id = o AND kind IN ('charge', 'capture') AND status = 'succeeded' ORDER BY md5(id::text || pick) LIMIT 1;
		PERFORM rental.payment_refund(x, CASE WHEN pick % 3 > 0 THEN amount END);
	ELSIF op <= 72 THEN
		SELECT id INTO x FROM rental.invoices WHERE order_id = o AND kind = 'invoice' AND status <> 'draft' ORDER BY md5(id::text || pick) LIMIT 1;
		PERFORM rental.invoice_credit(x, CASE WHEN pick % 3 > 0 THEN amount END, rebill => pick % 5 = 0);
	ELSIF op <= 84 THEN
		SELECT id INTO x FROM rental.payments WHERE order_id = o AND gateway = 'test' ORDER BY md5(id::text || pick) LIMIT 1;
		IF x IS NULL THEN
			RETURN 'nothing';
		END IF;
		body := format('{"id":"e%s","payment_id":"%s","type":"%s"}', pick % 5000, x,
			(ARRAY['succeeded', 'failed', 'processing', 'requires_action', 'cancelled', 'chargeback'])[1 + pick % 6]);
		PERFORM rental.payment_webhook('test', body, rental.gateway_sign('test', body));
	ELSIF op <= 88 THEN
		RETURN 'payment ' || (rental.payment_record(o, amount, kind => 'deposit', gateway => CASE pick % 2 WHEN 0 THEN 'manual' ELSE 'test' END,
			method => CASE pick % 4 WHEN 1 THEN 'success' WHEN 3 THEN 'timeout' END)).id;
	ELSIF op <= 93 THEN
		SELECT id INTO x FROM rental.payments WHERE kind = 'deposit' AND status = 'authorised' ORDER BY md5(id::text || pick) LIMIT 1;
		IF pick % 3 > 0 THEN
			PERFORM rental.payment_capture(x, CASE pick % 3 WHEN 1 THEN amount END);
		ELSE
			PERFORM rental.payment_release(x);
		END IF;
	ELSIF op <= 95 THEN
		PERFORM count(*) FROM rental.payout_run();
	ELSIF op <= 97 THEN
		PERFORM count(*) FROM rental.dunning_run();
	ELSIF pick % 20 = 0 THEN
		PERFORM rental.order_return(o);
		PERFORM rental.order_close(o);
	ELSE
		SELECT id INTO x FROM rental.invoices WHERE kind = 'invoice' AND status IN ('issued', 'partly_paid') ORDER BY md5(id::text || pick) LIMIT 1;
		IF pick % 2 = 0 THEN
			PERFORM rental.invoice_write_off(x);
		ELSE
			PERFORM rental.invoice_interest(x);
		END IF;
	END IF;
	RETURN 'done ' || op;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = CONSTRAINT_NAME;
	IF SQLSTATE ~ '^RT4' THEN
		RETURN concat_ws(' ', 'refused', SQLSTATE, code, '' || op);
	END IF;
	RAISE;
END $$;
