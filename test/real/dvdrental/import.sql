-- A DVD shop's books, replayed through the functions that any caller uses. Run by `import` in the books' directory.
--
-- It owns the schema dvdrental of the database, which holds its report, and writes tables of rental directly only
-- where people are concerned: users, vendors, locations, for which the shop gives no passwords.

SET TimeZone = 'UTC';
SET DateStyle = 'ISO, YMD';
SET client_min_messages = notice;
SET synchronous_commit = off;
\pset footer off

DO $$
BEGIN
	IF to_regprocedure('rental.version()') IS NULL THEN
		RAISE EXCEPTION 'the database % has no extension rental', current_database();
	ELSIF to_regclass('dvdrental.dvdrental_summary') IS NOT NULL THEN
		RAISE EXCEPTION 'the books are in the database % already', current_database()
			USING HINT = 'Import into a new database.';
	ELSIF to_regnamespace('dvdrental') IS NOT NULL THEN
		RAISE EXCEPTION 'an import into the database % broke off before its end', current_database()
			USING HINT = 'Import into a new database.';
	END IF;
END $$;

\echo reading the books

CREATE TEMP TABLE store (store_id integer PRIMARY KEY, address text, district text, city text, country text, postal_code text, phone text);
CREATE TEMP TABLE category (category_id integer PRIMARY KEY, name text);
CREATE TEMP TABLE film (film_id integer PRIMARY KEY, title text, description text, release_year integer, rental_duration integer,
	rental_rate numeric, length integer, replacement_cost numeric, rating text);
CREATE TEMP TABLE film_category (film_id integer PRIMARY KEY, category_id integer);
CREATE TEMP TABLE customer (customer_id integer PRIMARY KEY, store_id integer, first_name text, last_name text, email text, active boolean,
	create_date timestamptz, address text, district text, city text, country text, postal_code text, phone text);
CREATE TEMP TABLE inventory (inventory_id integer PRIMARY KEY, film_id integer, store_id integer);
CREATE TEMP TABLE rental (rental_id integer PRIMARY KEY, rental_date timestamptz NOT NULL, inventory_id integer NOT NULL,
	customer_id integer NOT NULL, return_date timestamptz, staff_id integer);
CREATE TEMP TABLE payment (payment_id integer PRIMARY KEY, customer_id integer NOT NULL, staff_id integer, rental_id integer NOT NULL,
	amount numeric NOT NULL, payment_date timestamptz NOT NULL);
\copy store FROM 'store.csv' (FORMAT csv, HEADER match)
\copy category FROM 'category.csv' (FORMAT csv, HEADER match)
\copy film FROM 'film.csv' (FORMAT csv, HEADER match)
\copy film_category FROM 'film_category.csv' (FORMAT csv, HEADER match)
\copy customer FROM 'customer.csv' (FORMAT csv, HEADER match)
\copy inventory FROM 'inventory.csv' (FORMAT csv, HEADER match)
\copy rental FROM 'rental.csv' (FORMAT csv, HEADER match)
\copy payment FROM 'payment.csv' (FORMAT csv, HEADER match)

-- What the books' own numbers became
CREATE TEMP TABLE vendor_of (store_id integer PRIMARY KEY, vendor_id uuid NOT NULL);
CREATE TEMP TABLE category_of (category_id integer PRIMARY KEY, id uuid NOT NULL);
CREATE TEMP TABLE user_of (customer_id integer PRIMARY KEY, user_id uuid NOT NULL);
CREATE TEMP TABLE product_of (film_id integer, store_id integer, product_id uuid NOT NULL, PRIMARY KEY (film_id, store_id));
CREATE TEMP TABLE unit_of (inventory_id integer PRIMARY KEY, vendor_id uuid NOT NULL, product_id uuid NOT NULL, unit_id uuid NOT NULL);
CREATE TEMP TABLE order_of (rental_id integer PRIMARY KEY, order_id uuid NOT NULL);

\echo making vendors, customers, films and copies

-- All of this or nothing: without it there is nothing to replay.
BEGIN;
SELECT set_config('rental.clock', least((SELECT min(rental_date) FROM rental), (SELECT min(payment_date) FROM payment),
	(SELECT min(create_date) FROM customer))::text, false) AS began \gset

CREATE SCHEMA dvdrental;
CREATE TABLE dvdrental.dvdrental_report (
	what text NOT NULL CHECK (what IN ('rental', 'return', 'invoice', 'payment')),
	id integer NOT NULL,
	verdict text NOT NULL CHECK (verdict IN ('closed', 'refused')),
	rule text NOT NULL,
	at timestamptz NOT NULL,
	note text NOT NULL,
	PRIMARY KEY (what, id)
);
COMMENT ON TABLE dvdrental.dvdrental_report IS 'What the import of the books closed, or could not bring in, one by one.';
COMMENT ON COLUMN dvdrental.dvdrental_report.id IS 'rental_id in the books; of a payment its payment_id';
COMMENT ON COLUMN dvdrental.dvdrental_report.rule IS 'copy_went_out_again, or the code of the error by which a function refused';
COMMENT ON COLUMN dvdrental.dvdrental_report.at IS 'when in the books, not when it was imported';

DO $$
DECLARE
	r record;
	made uuid;
BEGIN
	FOR r IN SELECT * FROM store ORDER BY store_id LOOP
		INSERT INTO rental.vendors (name, slug, currency, time_zone)
			VALUES (format('DVD Rental %s', r.city), format('dvd-rental-%s', r.store_id), 'USD', 'UTC') RETURNING id INTO made;
		INSERT INTO rental.locations (vendor_id, name) VALUES (made, 'Main');
		INSERT INTO vendor_of VALUES (r.store_id, made);
	END LOOP;
	FOR r IN SELECT * FROM category ORDER BY category_id LOOP
		INSERT INTO category_of SELECT r.category_id, id FROM rental.category_create(r.name);
	END LOOP;
	FOR r IN SELECT * FROM customer ORDER BY customer_id LOOP
		INSERT INTO rental.users (email, password_hash, name, phone, role, created_at)
			VALUES (lower(r.email), '!', concat_ws(' ', r.first_name, r.last_name), nullif(r.phone, ''), 'customer', r.create_date)
			RETURNING id INTO made;
		INSERT INTO user_of VALUES (r.customer_id, made);
	END LOOP;
	FOR r IN SELECT f.*, s.store_id, v.vendor_id, c.id AS category
		FROM (SELECT DISTINCT film_id, store_id FROM inventory) s JOIN film f USING (film_id) JOIN vendor_of v USING (store_id)
		LEFT JOIN film_category USING (film_id) LEFT JOIN category_of c USING (category_id)
		ORDER BY film_id, store_id
	LOOP
		SELECT id INTO made FROM rental.product_create(name => r.title, description => r.description, category_id => r.category,
			vendor_id => r.vendor_id, tracking => 'serialised', replacement_value => r.replacement_cost);
		PERFORM rental.product_rate_set(made, amount => r.rental_rate, days => r.rental_duration, extra_day => 1.00);
		INSERT INTO product_of VALUES (r.film_id, r.store_id, made);
	END LOOP;
	FOR r IN SELECT i.inventory_id, p.product_id, v.vendor_id
		FROM inventory i JOIN product_of p USING (film_id, store_id) JOIN vendor_of v USING (store_id) ORDER BY i.inventory_id
	LOOP
		INSERT INTO unit_of SELECT r.inventory_id, r.vendor_id, r.product_id, id FROM rental.unit_create(r.product_id, r.inventory_id::text);
	END LOOP;
END $$;
COMMIT;

-- A rental that was never checked in ends when its copy goes out again, or else when it was due. In the second
-- case it is not returned at all.
CREATE TEMP TABLE booking AS
SELECT r.rental_id, r.inventory_id, r.customer_id, r.rental_date AS start_at,
	coalesce(r.return_date, r.next_date, r.rental_date + make_interval(days => f.rental_duration)) AS end_at,
	r.return_date IS NULL AND r.next_date IS NULL AS stays_out,
	CASE WHEN r.return_date IS NULL THEN r.next_id END AS closed_by
FROM (SELECT *, lead(rental_id) OVER copy AS next_id, lead(rental_date) OVER copy AS next_date FROM rental
	WINDOW copy AS (PARTITION BY inventory_id ORDER BY rental_date, rental_id)) r
LEFT JOIN inventory i USING (inventory_id) LEFT JOIN film f USING (film_id);
ALTER TABLE booking ADD PRIMARY KEY (rental_id);

-- All that happened, in order. Copies come back before copies go out. The dates of the payments have nothing to do
-- with those of the rentals, so they are entered when the books close, each with its own date.
CREATE TEMP TABLE happening AS
SELECT row_number() OVER (ORDER BY at, step, own_at, id) AS n, at, CASE step WHEN 1 THEN 'return' WHEN 2 THEN 'invoice' WHEN 3 THEN 'rental'
	ELSE 'payment' END AS what, id
FROM (SELECT end_at, step, end_at, rental_id FROM booking, (VALUES (1), (2)) back(step) WHERE NOT stays_out
	UNION ALL SELECT start_at, 3, start_at, rental_id FROM booking
	UNION ALL SELECT close_at, 4, payment_date, payment_id
		FROM payment, (SELECT greatest((SELECT max(end_at) FROM booking), (SELECT max(payment_date) FROM payment)) AS close_at) books
) steps(at, step, own_at, id);
ANALYZE unit_of, user_of, order_of, booking, happening, payment;
ANALYZE rental.users, rental.products, rental.product_rates, rental.units, rental.stock;

\echo replaying rentals, returns, invoices and payments

-- Each step stands for itself: what a rule refuses is noted with the rule's code, and the replay goes on. Anything
-- else that goes wrong ends it.
DO $$
DECLARE
	began timestamptz := clock_timestamp();
	total bigint := (SELECT count(*) FROM happening);
	h record;
	b record;
	the_order uuid;
	rule text;
	words text;
BEGIN
	FOR h IN SELECT n, at, what, id FROM happening ORDER BY n LOOP
		PERFORM set_config('rental.clock', h.at::text, false);
		BEGIN
			IF h.what = 'rental' THEN
				SELECT * INTO b FROM booking LEFT JOIN unit_of USING (inventory_id) LEFT JOIN user_of USING (customer_id)
					WHERE rental_id = h.id;
				IF b.unit_id IS NULL OR b.user_id IS NULL THEN
					RAISE EXCEPTION USING ERRCODE = 'RT404', CONSTRAINT = 'not_found',
						MESSAGE = CASE WHEN b.unit_id IS NULL THEN format('the books have no copy %s', b.inventory_id)
							ELSE format('the books have no customer %s', b.customer_id) END;
				END IF;
				SELECT id INTO the_order FROM rental.order_place(
					items => jsonb_build_array(jsonb_build_object('product_id', b.product_id, 'quantity', 1,
						'start_at', b.start_at, 'end_at', b.end_at, 'unit_ids', jsonb_build_array(b.unit_id))),
					vendor_id => b.vendor_id, note => format('rental %s', h.id), customer_id => b.user_id);
				PERFORM rental.order_confirm(the_order);
				PERFORM rental.order_dispatch(the_order);
				INSERT INTO order_of VALUES (h.id, the_order);
			ELSIF h.what = 'payment' THEN
				PERFORM rental.payment_record(o.order_id, p.amount, 'cash', p.payment_date)
					FROM payment p JOIN order_of o USING (rental_id) WHERE p.payment_id = h.id;
				IF NOT FOUND THEN
					INSERT INTO dvdrental.dvdrental_report
						SELECT 'payment', h.id, 'refused', 'rental_refused', payment_date, format('its rental %s did not come in', rental_id)
						FROM payment WHERE payment_id = h.id;
				END IF;
			ELSE
				SELECT * INTO b FROM booking JOIN order_of USING (rental_id) WHERE rental_id = h.id;
				IF NOT FOUND THEN
					NULL; -- its rental was refused, which is noted
				ELSIF h.what = 'invoice' THEN
					PERFORM rental.invoice_issue(b.order_id);
				ELSE
					PERFORM rental.order_return(b.order_id, b.end_at);
					IF b.closed_by IS NOT NULL THEN
						INSERT INTO dvdrental.dvdrental_report VALUES ('rental', h.id, 'closed', 'copy_went_out_again', h.at,
							format('never checked in; copy %s went out again as rental %s', b.inventory_id, b.closed_by));
					END IF;
				END IF;
			END IF;
		EXCEPTION WHEN OTHERS THEN
			IF SQLSTATE !~ '^(RT4|22|23)' THEN
				RAISE;
			END IF;
			GET STACKED DIAGNOSTICS rule = CONSTRAINT_NAME, words = MESSAGE_TEXT;
			INSERT INTO dvdrental.dvdrental_report
				VALUES (h.what, h.id, 'refused', coalesce(nullif(rule, ''), SQLSTATE), h.at, words);
		END;
		IF h.n % 200 = 0 THEN
			COMMIT;
		END IF;
		-- Plans made while the tables were empty would be kept, and read ever more rows.
		IF h.n = 1000 OR h.n % 5000 = 0 THEN
			ANALYZE;
		END IF;
		IF h.n % 4000 = 0 OR h.n = total THEN
			RAISE NOTICE '% of % steps, the books stand at %, % s', h.n, total, to_char(h.at, 'YYYY-MM-DD'),
				round(extract(epoch FROM clock_timestamp() - began));
		END IF;
	END LOOP;
END $$;
RESET rental.clock;

-- The report: counted in what the extension holds now, not in what was sent to it.
BEGIN;
CREATE TABLE dvdrental.dvdrental_summary (
	line integer PRIMARY KEY,
	what text NOT NULL,
	in_books numeric,
	came_in numeric NOT NULL,
	note text
);
COMMENT ON TABLE dvdrental.dvdrental_summary IS 'What the books held and what came in of it, by kind.';
COMMENT ON COLUMN dvdrental.dvdrental_summary.in_books IS 'null for what the books do not have';
COMMENT ON COLUMN dvdrental.dvdrental_summary.came_in IS 'counted in the tables of rental after the import, of the shop''s vendors alone';

WITH shop_order AS (SELECT o.* FROM rental.orders o JOIN vendor_of USING (vendor_id)),
shop_payment AS (SELECT p.* FROM rental.payments p JOIN vendor_of USING (vendor_id)),
shop_unit AS (SELECT u.* FROM rental.units u JOIN vendor_of USING (vendor_id)),
closed AS (SELECT count(*) AS n FROM dvdrental.dvdrental_report WHERE verdict = 'closed')
INSERT INTO dvdrental.dvdrental_summary
VALUES
	(1, 'stores', (SELECT count(*) FROM store), (SELECT count(*) FROM rental.vendors JOIN vendor_of ON vendor_id = id), 'as vendors'),
	(2, 'categories', (SELECT count(*) FROM category), (SELECT count(*) FROM rental.categories JOIN category_of USING (id)), NULL),
	(3, 'customers', (SELECT count(*) FROM customer), (SELECT count(*) FROM rental.users JOIN user_of ON user_id = id), 'as users'),
	(4, 'films', (SELECT count(*) FROM film),
		(SELECT count(DISTINCT film_id) FROM rental.products JOIN product_of ON product_id = id),
		(SELECT format('as %s products, one for each store that has copies; %s films have none', count(*),
			(SELECT count(*) FROM film f WHERE NOT EXISTS (SELECT FROM inventory i WHERE i.film_id = f.film_id)))
			FROM rental.products JOIN product_of ON product_id = id)),
	(5, 'copies', (SELECT count(*) FROM inventory), (SELECT count(*) FROM shop_unit), 'as units'),
	(6, 'rentals', (SELECT count(*) FROM rental), (SELECT count(*) FROM shop_order),
		(SELECT 'as orders: ' || string_agg(format('%s %s', n, status), ', ' ORDER BY n DESC)
			FROM (SELECT status, count(*) AS n FROM shop_order GROUP BY status) s)),
	(7, 'returns', (SELECT count(return_date) FROM rental),
		(SELECT count(*) FROM shop_order WHERE status = 'returned') - (SELECT n FROM closed),
		(SELECT format('and %s closed: see below', n) FROM closed)),
	(8, 'invoices', NULL, (SELECT count(*) FROM rental.invoices JOIN vendor_of USING (vendor_id)),
		(SELECT format('one for each order that was returned; %s USD in all', coalesce(sum(total), 0))
			FROM rental.invoices JOIN vendor_of USING (vendor_id))),
	(9, 'payments', (SELECT count(*) FROM payment), (SELECT count(*) FROM shop_payment),
		(SELECT format('%s of 0.00; %s by another customer than the rental''s', count(*) FILTER (WHERE p.amount = 0),
			count(*) FILTER (WHERE p.customer_id <> r.customer_id)) FROM payment p LEFT JOIN rental r USING (rental_id))),
	(10, 'paid, USD', (SELECT coalesce(sum(amount), 0) FROM payment), (SELECT coalesce(sum(amount), 0) FROM shop_payment), NULL);
COMMIT;

ANALYZE;

\echo
\echo What came in
SELECT what, in_books AS "in the books", came_in AS "came in", note FROM dvdrental.dvdrental_summary ORDER BY line;
\echo What was closed or refused, by rule
SELECT verdict, what, rule, count(*), min(at)::date AS first, max(at)::date AS last
FROM dvdrental.dvdrental_report GROUP BY verdict, what, rule ORDER BY verdict, what, rule;
SELECT count(*) FILTER (WHERE verdict = 'refused') AS refused FROM dvdrental.dvdrental_report \gset
\echo refused in all: :refused
\echo one by one: SELECT * FROM dvdrental.dvdrental_report;
