-- Prices: the worked examples, and properties that hold for random rates; seeded.
BEGIN;
SET search_path = rental, public;
SET rental.clock = '2026-01-01Z';
SELECT no_plan();
INSERT INTO vendors (id, name, slug, currency, time_zone) VALUES
	('00000000-0000-7000-9000-000000000001', 'E', 'e', 'EUR', 'Europe/Berlin'), ('00000000-0000-7000-9000-000000000002', 'J', 'j', 'JPY', 'Asia/Tokyo'), ('00000000-0000-7000-9000-000000000003', 'K', 'k', 'KWD', 'UTC');
-- rate: a product of a vendor with these columns of product_rates, as jsonb; returns its id
CREATE FUNCTION pg_temp.rate(columns jsonb, vendor integer DEFAULT 1) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
	made uuid := rental.uuid7();
	v uuid := '00000000-0000-7000-9000-00000000000' || vendor;
BEGIN
	INSERT INTO rental.products (id, vendor_id, name) VALUES (made, v, 'P');
	INSERT INTO rental.product_rates SELECT (jsonb_populate_record(d, columns)).* FROM (SELECT d FROM rental.product_rates d WHERE false
		UNION ALL SELECT ROW(v, made, 1, 1, 0, 'optimal', 'day', 'clock', '0', false, '{}', '{}', 0, 0, NULL, NULL, 0, false)::rental.product_rates) d;
	RETURN made;
END $$;
CREATE FUNCTION pg_temp.tiers(VARIADIC parts text[]) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_agg(jsonb_build_object('length', split_part(p, ' ', 1)::integer, 'unit', split_part(p, ' ', 2), 'amount', split_part(p, ' ', 3)::numeric)) FROM unnest(parts) p $$;
CREATE FUNCTION pg_temp.days(product uuid, n numeric, quantity integer DEFAULT 1) RETURNS price_view LANGUAGE sql AS $$
	SELECT price(product, '2026-06-01 10:00+02', timestamptz '2026-06-01 10:00+02' + n * interval '24 hours', quantity) $$;
CREATE FUNCTION pg_temp.explained(p price_view) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(format('%s %s', l.description, l.amount), '; ' ORDER BY ord) FROM unnest(p.lines) WITH ORDINALITY AS l (step, description, units, amount, ord) $$;

-- optimal
SELECT pg_temp.rate(jsonb_build_object('tiers', pg_temp.tiers('1 day 100', '3 day 250', '1 week 500'))) AS p \gset
SELECT is((pg_temp.days(:'p', 8)).total, 600.00, 'a week and a day');
SELECT is(pg_temp.explained(pg_temp.days(:'p', 8)), '1 week 500.00; 1 day 100.00', 'as it says');
SELECT is((pg_temp.days(:'p', 2)).total, 200.00, 'two days');
SELECT is((pg_temp.days(:'p', 6)).total, 500.00, 'six days');
SELECT is(pg_temp.explained(pg_temp.days(:'p', 6)), '1 week 500.00', 'as a week');
SELECT is((pg_temp.days(:'p', 365)).total, 26100.00, 'a year: 52 weeks and a day');
-- tiered
SELECT pg_temp.rate(jsonb_build_object('strategy', 'tiered', 'tiers', pg_temp.tiers('1 day 50', '2 day 75'), 'extra_day', 20)) AS p \gset
SELECT is((pg_temp.days(:'p', 4)).total, 115.00, 'tiles: two days and two further ones');
SELECT is((pg_temp.days(:'p', 1)).total, 50.00, 'one tile');
SELECT is(pg_temp.explained(pg_temp.days(:'p', 4)), 'up to 2 days 75.00; 2 further days 40.00', 'as it says');
SELECT pg_temp.rate(jsonb_build_object('strategy', 'tiered', 'amount', 10, 'extra_day', 10)) AS p \gset
SELECT is((price(:'p', '2026-06-01 10:00Z', '2026-06-02 10:00Z')).total, 10.00, 'up to 24 hours');
SELECT is((price(:'p', '2026-06-01 10:00Z', '2026-06-02 10:00:01Z')).total, 20.00, 'over 24 hours');
-- multiplier
SELECT pg_temp.rate('{"strategy": "multiplier", "amount": 100, "factors": [1, 1, 0.7, 0.5, 0.5]}') AS p \gset
SELECT is((pg_temp.days(:'p', 5)).total, 370.00, 'factors of five days');
INSERT INTO price_rules (vendor_id, name, kind, product_id, min_quantity, max_quantity, percent) VALUES ('00000000-0000-7000-9000-000000000001', '6 to 20', 'quantity', :'p', 6, 20, -10);
SELECT is((pg_temp.days(:'p', 5, 8)).unit_price, 333.00, 'less for many');
SELECT is((pg_temp.days(:'p', 5, 8)).total, 2664.00, 'times eight');
SELECT is((pg_temp.days(:'p', 5, 5)).unit_price, 370.00, 'not for five');
SELECT is((pg_temp.days(:'p', 5, 21)).unit_price, 370.00, 'nor for twenty-one');
SELECT is(pg_temp.explained(pg_temp.days(:'p', 5, 8)), '2 days x 1 200.00; 1 day x 0.7 70.00; 2 days x 0.5 100.00; 6 to 20 -37.00', 'as it says');
SELECT pg_temp.rate('{"strategy": "multiplier", "amount": 3.33, "factors": [0.5]}') AS p \gset
SELECT is((pg_temp.days(:'p', 1)).total, 1.67, 'half a cent is rounded up');
SELECT is((pg_temp.days(:'p', 4)).total, 6.68, 'for each day');
-- fixed
SELECT pg_temp.rate('{"strategy": "fixed", "days": 4, "amount": 100, "extra_percent": 10}') AS p \gset
SELECT is((pg_temp.days(:'p', 6)).total, 120.00, 'four days, and a tenth for each further one');
SELECT is((pg_temp.days(:'p', 1)).total, 100.00, 'no less');

-- units of charge
SELECT pg_temp.rate('{"amount": 1}') AS clock, pg_temp.rate('{"amount": 1, "counting": "calendar"}') AS calendar, pg_temp.rate('{"amount": 1, "leeway": "60 minutes"}') AS clock60 \gset
SELECT is((price(:'clock', '2026-01-02 11:00+01', '2026-01-03 09:00+01')).units, 1, 'one clock day');
SELECT is((price(:'calendar', '2026-01-02 11:00+01', '2026-01-03 09:00+01')).units, 2, 'two calendar days');
SELECT is((price(:'clock', '2026-01-02 11:00+01', '2026-01-03 11:30+01')).units, 2, 'two clock days');
SELECT is((price(:'clock60', '2026-01-02 11:00+01', '2026-01-03 11:30+01')).units, 1, 'one with leeway');
SELECT pg_temp.rate('{"amount": 1, "unit": "hour", "tiers": [{"length": 1, "unit": "hour", "amount": 1}]}') AS hour,
	pg_temp.rate('{"amount": 1, "unit": "hour", "leeway": "15 minutes", "tiers": [{"length": 1, "unit": "hour", "amount": 1}]}') AS hour15, pg_temp.rate('{"amount": 1, "leeway": "30 minutes"}') AS clock30 \gset
SELECT is((price(:'hour', '2026-01-02 11:00Z', '2026-01-02 12:10Z')).units, 2, 'an hour and ten minutes are two hours');
SELECT is((price(:'hour15', '2026-01-02 11:00Z', '2026-01-02 12:10Z')).units, 1, 'one with leeway');
SELECT is((price(:'clock30', '2026-01-02 11:00Z', '2026-01-03 11:30Z')).units, 1, '24:30 is a day');
SELECT is((price(:'clock30', '2026-01-02 11:00Z', '2026-01-03 11:35Z')).units, 2, '24:35 are two');
SELECT is((price(p, '2026-03-29 00:00+01', '2026-03-30 00:00+02')).units, 1, 'a day of 23 hours is one day') FROM (VALUES (:'clock'::uuid), (:'calendar')) x (p);
SELECT is((price(p, '2026-10-25 00:00+02', '2026-10-26 00:00+01')).units, 1, 'so is one of 25') FROM (VALUES (:'clock'::uuid), (:'calendar')) x (p);
SELECT pg_temp.rate('{"amount": 10, "weekend_as_day": true}') AS weekend, pg_temp.rate('{"amount": 10, "weekend_as_day": true, "counting": "calendar"}') AS weekend_c \gset
SELECT is((price(:'weekend', '2026-06-05 10:00+02', '2026-06-08 10:00+02')).total, 20.00, 'Friday to Monday: two days by the clock');
SELECT is((price(:'weekend_c', '2026-06-05 10:00+02', '2026-06-08 10:00+02')).total, 30.00, 'three of the calendar');
SELECT is((price(:'weekend', '2026-06-07 10:00+02', '2026-06-08 10:00+02')).total, 10.00, 'a Sunday alone is a day');

-- seasons: by local date, the first of the highest priority
SELECT pg_temp.rate('{"amount": 100}') AS p \gset
INSERT INTO price_rules (vendor_id, name, kind, product_id, from_date, to_date, percent, priority) VALUES
	('00000000-0000-7000-9000-000000000001', 'July', 'season', :'p', '2026-07-01', '2026-07-31', 20, 0), ('00000000-0000-7000-9000-000000000001', 'Fair', 'season', :'p', '2026-07-10', '2026-07-11', 50, 1);
INSERT INTO price_rules (vendor_id, name, kind, product_id, weekdays, amount, priority) VALUES ('00000000-0000-7000-9000-000000000001', 'Sundays', 'season', :'p', '{7}', 40, -1);
SELECT is((price(:'p', '2026-06-29 10:00+02', '2026-07-03 10:00+02')).total, 440.00, 'two of four days in July');
SELECT is((price(:'p', '2026-07-09 10:00+02', '2026-07-12 10:00+02')).total, 420.00, 'the fair comes before July');
SELECT is(pg_temp.explained(price(:'p', '2026-07-09 10:00+02', '2026-07-12 10:00+02')), '3 x 1 day 300.00; Fair 100.00; July 20.00', 'as it says');
SELECT is((price(:'p', '2026-06-30 23:30+02', '2026-07-01 01:00+02')).total, 100.00, 'a rental counts for the local date it begins on');
SELECT is((price(:'p', '2026-05-31 10:00+02', '2026-06-01 10:00+02')).total, 40.00, 'a rate of its own on Sundays');
SELECT is((price(:'p', '2026-05-30 10:00+02', '2026-06-01 10:00+02')).total, 140.00, 'and no other day');
SELECT pg_temp.rate(jsonb_build_object('tiers', pg_temp.tiers('1 day 100', '1 week 500'))) AS p \gset
INSERT INTO price_rules (vendor_id, name, kind, product_id, from_date, to_date, percent) VALUES ('00000000-0000-7000-9000-000000000001', 'Low', 'season', :'p', '2026-08-06', '2026-08-31', -50);
SELECT is((price(:'p', '2026-08-01 10:00+02', '2026-08-06 10:00+02')).total, 500.00, 'five days before a cheap season');
SELECT is((price(:'p', '2026-08-01 10:00+02', '2026-08-08 10:00+02')).total, 500.00, 'seven days are no cheaper');
SELECT is((SELECT sum(amount) FROM unnest((price(:'p', '2026-08-01 10:00+02', '2026-08-08 10:00+02')).lines)), 500.00, 'and explained');

-- rounding to the currency
SELECT pg_temp.rate('{"amount": 12345}', 2) AS yen, pg_temp.rate('{"amount": 1.005, "strategy": "multiplier", "factors": [0.5]}', 3) AS dinar \gset
INSERT INTO price_rules (vendor_id, name, kind, product_id, min_quantity, percent) VALUES ('00000000-0000-7000-9000-000000000002', 'many', 'quantity', :'yen', 2, -10);
SELECT is((price(:'yen', '2026-06-01Z', '2026-06-01 12:00Z', 2)).unit_price, 11111::numeric, '12345 * 0.9 in yen');
SELECT is((price(:'dinar', '2026-06-01Z', '2026-06-01 12:00Z')).unit_price, 0.503, 'half of 1.005 in dinar');

-- minimum charge, least and longest period
SELECT pg_temp.rate('{"amount": 10, "minimum": 25, "shortest": "2 days", "longest": "10 days"}') AS p \gset
SELECT is((pg_temp.days(:'p', 2)).total, 25.00, 'the least charge');
SELECT is((pg_temp.days(:'p', 3)).total, 30.00, 'is no more than that');
SELECT throws_ok(format('SELECT pg_temp.days(%L, 1.9)', :'p'), 'RT422', 'the product is rented out for at least 2 days', 'no shorter');
SELECT throws_ok(format('SELECT pg_temp.days(%L, 10.1)', :'p'), 'RT422', 'the product is rented out for at most 10 days', 'no longer');

-- groups, coupons, taxes, deposit
SELECT pg_temp.rate('{"amount": 10}') AS p \gset
INSERT INTO users (id, email, password_hash, name, role) VALUES ('00000000-0000-7000-a000-000000000001', 'c@x.example', '!', 'C', 'customer');
INSERT INTO customer_groups (vendor_id, id, name, percent) VALUES ('00000000-0000-7000-9000-000000000001', '00000000-0000-7000-b000-000000000001', 'Regulars', 15);
INSERT INTO customer_group_members VALUES ('00000000-0000-7000-9000-000000000001', '00000000-0000-7000-b000-000000000001', '00000000-0000-7000-a000-000000000001');
INSERT INTO coupons (vendor_id, code, percent, minimum, ends_at, most_uses, product_ids) VALUES
	('00000000-0000-7000-9000-000000000001', 'TEN', 10, 0, NULL, NULL, NULL), ('00000000-0000-7000-9000-000000000001', 'BIG', 10, 1000, NULL, NULL, NULL),
	('00000000-0000-7000-9000-000000000001', 'OVER', 10, 0, '2025-12-31Z', NULL, NULL), ('00000000-0000-7000-9000-000000000001', 'OTHER', 10, 0, NULL, NULL, ARRAY[rental.uuid7()]);
INSERT INTO coupons (vendor_id, code, amount, most_uses, uses) VALUES ('00000000-0000-7000-9000-000000000001', 'FIVE', 5, NULL, 0), ('00000000-0000-7000-9000-000000000001', 'GONE', 5, 1, 1);
SELECT is((price(:'p', '2026-06-01Z', '2026-06-02Z', 3, customer_id => '00000000-0000-7000-a000-000000000001')).discount, 4.50, 'a customer of a group');
SELECT is((price(:'p', '2026-06-01Z', '2026-06-02Z', 3, 'ten', '00000000-0000-7000-a000-000000000001')).discount, 7.05, 'and a coupon of what is left');
SELECT is((price(:'p', '2026-06-01Z', '2026-06-02Z', 3, 'Five')).total, 25.00, 'a coupon of an amount');
SELECT is((price(:'p', '2026-06-01Z', '2026-06-02Z', 1, 'FIVE')).total, 5.00, 'off one');
SELECT throws_ok(format('SELECT price(%L, ''2026-06-01Z'', ''2026-06-02Z'', 1, %L)', :'p', c), 'RT422', m, m)
	FROM (VALUES ('BIG', 'the coupon needs a larger order'), ('OVER', 'the coupon is not good now'), ('OTHER', 'the coupon is not for this'), ('GONE', 'the coupon is used up'), ('NONE', 'the coupon is not known')) x (c, m);
INSERT INTO tax_rates (vendor_id, id, name, percent, is_inclusive, is_default) VALUES
	('00000000-0000-7000-9000-000000000001', '00000000-0000-7000-c000-000000000001', 'VAT', 19, true, true), ('00000000-0000-7000-9000-000000000001', '00000000-0000-7000-c000-000000000002', 'City', 5, false, false),
	('00000000-0000-7000-9000-000000000001', '00000000-0000-7000-c000-000000000003', 'State', 2.5, false, false);
SELECT is((price(:'p', '2026-06-01Z', '2026-06-02Z', 3)).total, 30.00, 'a price that holds its tax');
SELECT alike(pg_temp.explained(price(:'p', '2026-06-01Z', '2026-06-02Z', 3)), '%holds VAT 4.79 0.00', 'and says so');
INSERT INTO product_taxes SELECT '00000000-0000-7000-9000-000000000001', :'p', ('00000000-0000-7000-c000-00000000000' || n)::uuid FROM generate_series(2, 3) n;
SELECT is((price(:'p', '2026-06-01Z', '2026-06-02Z', 3)).tax, 2.25, 'two taxes that are added');
SELECT is((price(:'p', '2026-06-01Z', '2026-06-02Z', 3, 'TEN')).total, 29.03, 'after the discount: 27.00 + 1.35 + 0.68');
INSERT INTO price_settings (vendor_id, deposit, deposit_percent) VALUES ('00000000-0000-7000-9000-000000000001', 'percent_items', 50);
SELECT is((price(:'p', '2026-06-01Z', '2026-06-02Z', 3, 'TEN')).deposit, 13.50, 'a deposit of the items');
UPDATE price_settings SET deposit = 'percent_total';
SELECT is((price(:'p', '2026-06-01Z', '2026-06-02Z', 3, 'TEN')).deposit, 14.52, 'of the total');
SELECT is((price(:'p', '2026-06-01Z', '2026-06-02Z', 3, 'TEN')).waiver, NULL, 'no damage waiver is sold');
SELECT throws_ok(format('SELECT price(%L, %L, %L, damage_waiver => true)', :'p', '2026-06-01Z', '2026-06-02Z'), 'RT422', NULL, 'none can be had then');
UPDATE price_settings SET waiver_percent = 12.5;
SELECT is((SELECT row(waiver, total - subtotal + discount - tax, deposit) FROM price(:'p', '2026-06-01Z', '2026-06-02Z', 3, 'TEN')), row(3.38, 0.00, 14.52), 'it is told beside the total');
SELECT is((SELECT row(waiver, total - subtotal + discount - tax, deposit, (lines[cardinality(lines)]).amount) FROM price(:'p', '2026-06-01Z', '2026-06-02Z', 3, 'TEN', damage_waiver => true)),
	row(3.38, 3.38, 16.21, 3.38), 'or in it: of the lines after discounts and before taxes, and part of what a deposit of the total is of');
UPDATE product_rates SET waiver_exempt = true WHERE product_id = :'p';
SELECT is((SELECT row(waiver, deposit, (lines[cardinality(lines)]).step) FROM price(:'p', '2026-06-01Z', '2026-06-02Z', 3, 'TEN', damage_waiver => true)), row(0.00, 14.52, 'tax'::text), 'nothing for an exempt product');
UPDATE product_rates SET waiver_exempt = false WHERE product_id = :'p';
UPDATE price_settings SET deposit = 'fixed';
UPDATE product_rates SET deposit = 7 WHERE product_id = :'p';
SELECT is((price(:'p', '2026-06-01Z', '2026-06-02Z', 3)).deposit, 21.00, 'or of each piece');

-- late fees
UPDATE price_settings SET late_free = '3 hours', late_per_day = 100, late_per_hour = 10;
SELECT is(late_fee(:'p', '2026-06-01Z', '2026-06-02 04:00Z'), 110.00, '28 hours late, three of them free');
SELECT is(late_fee(:'p', '2026-06-01Z', '2026-06-01 03:00Z'), 0.00, 'three hours are free');
SELECT is(late_fee(:'p', '2026-06-01Z', '2026-06-01 03:01Z', 2), 20.00, 'then each hour begun, for each piece');
SELECT is(late_fee(:'p', '2026-06-01Z', '2026-06-01 20:00Z'), 100.00, 'up to a day');
UPDATE price_settings SET late_deducts_free = false;
SELECT is(late_fee(:'p', '2026-06-01Z', '2026-06-02 04:00Z'), 140.00, 'the free time charged after all');
UPDATE price_settings SET late_free = '0', late_steps = ARRAY[(1, 50), (1, 100)]::late_step[];
SELECT is(late_fee(:'p', '2026-06-01Z', '2026-06-04Z'), 250.00, '50 the first day, then 100');
UPDATE price_settings SET late_steps = ARRAY[(2, 20), (3, 40), (1, 100)]::late_step[];
SELECT is(late_fee(:'p', '2026-06-01Z', '2026-06-07Z'), 260.00, '2 x 20, 3 x 40, 100');
UPDATE price_settings SET late_cap = 250;
SELECT is(late_fee(:'p', '2026-06-01Z', '2026-06-07Z'), 250.00, 'no more than the cap');

-- properties
SELECT setseed(0.1);
CREATE TEMP TABLE random AS SELECT n, pg_temp.rate(jsonb_build_object('unit', CASE WHEN n % 3 = 0 THEN 'hour' ELSE 'day' END, 'counting', CASE WHEN n % 2 = 0 THEN 'clock' ELSE 'calendar' END,
	'leeway', (n % 4 * 20) || ' minutes', 'minimum', n % 5 * 7, 'tiers', (SELECT jsonb_agg(jsonb_build_object('length', length, 'unit', CASE WHEN n % 3 = 0 AND length < 8 THEN 'hour' ELSE 'day' END,
		'amount', round((random() * 50 * length)::numeric, 2))) FROM unnest(ARRAY[1, 3, 7, 30]) length))) AS p FROM generate_series(1, 40) n;
INSERT INTO price_rules (vendor_id, name, kind, product_id, from_date, to_date, weekdays, percent, amount) SELECT '00000000-0000-7000-9000-000000000001', 'S' || k, 'season', p, date '2026-06-01' + (random() * 60)::integer, date '2026-08-01' + (random() * 60)::integer,
	CASE WHEN random() < 0.5 THEN ARRAY[1 + n % 7] END, CASE WHEN k < 2 THEN round((random() * 150 - 75)::numeric, 1) END, CASE WHEN k = 2 THEN round((random() * 60)::numeric, 2) END FROM random, generate_series(0, 2) k WHERE n % 4 > 0;
CREATE TEMP TABLE priced AS SELECT r.n, h, (price(p, '2026-06-20 08:00+02', timestamptz '2026-06-20 08:00+02' + h * interval '5 hours 40 minutes', 1 + n % 3)).* FROM random r, generate_series(1, 120) h;
SELECT is_empty('SELECT * FROM (SELECT n, h, unit_price, lag(unit_price) OVER (PARTITION BY n ORDER BY h) AS shorter FROM priced) x WHERE shorter > unit_price', 'a longer period is never cheaper');
SELECT is_empty('SELECT n, h FROM priced, LATERAL (SELECT sum(amount) AS s FROM unnest(lines) WHERE step IN (''base'', ''season'', ''minimum'', ''quantity'')) l WHERE s <> unit_price', 'lines sum to the price of a piece');
SELECT is_empty('SELECT n, h FROM priced WHERE subtotal <> unit_price * quantity OR total <> subtotal - discount + tax OR unit_price < 0 OR scale(total) <> 2', 'and the rest to the total');

-- coupons for a category, and for each customer once
INSERT INTO categories (id, name, slug) VALUES ('00000000-0000-7000-d000-000000000001', 'Tents', 'pricing-tents'), ('00000000-0000-7000-d000-000000000002', 'Boats', 'pricing-boats');
SELECT pg_temp.rate('{"amount": 10}') AS tent \gset
UPDATE products SET category_id = '00000000-0000-7000-d000-000000000001' WHERE id = :'tent';
INSERT INTO coupons (vendor_id, code, percent, category_ids, most_uses_each) VALUES ('00000000-0000-7000-9000-000000000001', 'TENTS', 50, '{00000000-0000-7000-d000-000000000001}', 1), ('00000000-0000-7000-9000-000000000001', 'BOATS', 50, '{00000000-0000-7000-d000-000000000002}', NULL);
SELECT is((price(:'tent', '2026-06-01Z', '2026-06-02Z', 1, 'TENTS')).discount, 5.00, 'a coupon for a category');
SELECT throws_ok(format('SELECT price(%L, %L, %L, 1, %L)', :'tent', '2026-06-01Z', '2026-06-02Z', 'BOATS'), 'RT422', 'the coupon is not for this', 'not for another');
INSERT INTO users (id, email, password_hash, name, role) VALUES ('00000000-0000-7000-a000-000000000002', 'd@x.example', '!', 'D', 'customer');
INSERT INTO coupon_uses (vendor_id, coupon_id, order_id, customer_id) SELECT vendor_id, id, uuid7(), '00000000-0000-7000-a000-000000000002' FROM coupons WHERE code = 'TENTS';
SELECT throws_ok(format('SELECT price(%L, %L, %L, 1, %L, %L)', :'tent', '2026-06-01Z', '2026-06-02Z', 'TENTS', '00000000-0000-7000-a000-000000000002'), 'RT422', 'the coupon was used by this customer before', 'once for each customer');
SELECT is((price(:'tent', '2026-06-01Z', '2026-06-02Z', 1, 'TENTS', '00000000-0000-7000-a000-000000000001')).discount, 5.75, 'others have their own');

-- orders: their lines sum to them, in whatever order they are named; who gets the last cent does not depend on it, nor does a price change that nothing changed
INSERT INTO locations (vendor_id, name) VALUES ('00000000-0000-7000-9000-000000000001', 'Main');
UPDATE tax_rates SET is_default = true WHERE name = 'City';
SELECT pg_temp.rate('{"amount": 10}') AS tie \gset
SELECT count(stock_set(p, 1000)) FROM (SELECT p FROM random UNION ALL SELECT :'tie') x;
INSERT INTO coupons (vendor_id, code, percent, amount) VALUES ('00000000-0000-7000-9000-000000000001', 'SEVENTH', 14.2857, NULL), ('00000000-0000-7000-9000-000000000001', 'CENT', NULL, 0.01), ('00000000-0000-7000-9000-000000000001', 'MUCH', NULL, 99.99);
CREATE FUNCTION pg_temp.draft(lines jsonb, coupon text, waiver boolean) RETURNS uuid LANGUAGE sql AS $$
	SELECT id FROM order_place(lines, customer_id => '00000000-0000-7000-a000-000000000001', draft => true, coupon => coupon, damage_waiver => waiver) $$;
CREATE FUNCTION pg_temp.amounts(order_id uuid) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT format('%s %s %s %s %s %s: %s', o.subtotal, o.discount, o.tax, o.waiver, o.deposit, o.total, (SELECT string_agg(concat_ws(' ', i.product_id, i.start_at, i.end_at, i.quantity, i.unit_price, i.discount, i.tax, i.total), ', '
		ORDER BY i.product_id, i.start_at, i.end_at, i.quantity, i.total) FROM order_items i WHERE i.order_id = o.id)) FROM orders o WHERE o.id = order_id $$;
SELECT jsonb_build_object('product_id', :'tie', 'start_at', '2026-07-01T10:00:00Z') AS line \gset
SELECT jsonb_build_array(:'line'::jsonb || '{"quantity": 2, "end_at": "2026-07-02T10:00:00Z"}', :'line'::jsonb || '{"quantity": 1, "end_at": "2026-07-03T10:00:00Z"}') AS one,
	jsonb_build_array(:'line'::jsonb || '{"quantity": 1, "end_at": "2026-07-03T10:00:00Z"}', :'line'::jsonb || '{"quantity": 2, "end_at": "2026-07-02T10:00:00Z"}') AS other \gset
SELECT is(pg_temp.amounts(pg_temp.draft(:'one', 'CENT', false)), pg_temp.amounts(pg_temp.draft(:'other', 'CENT', false)), 'of two lines that cost the same one gets the cent');
CREATE TEMP TABLE drafts (n integer, one uuid, other uuid, before text);
DO $$
DECLARE
	lines jsonb;
	coupon text;
	waiver boolean;
BEGIN
	FOR n IN 1 .. 60 LOOP
		SELECT jsonb_agg(jsonb_build_object('product_id', p, 'quantity', 1 + (random() * 5)::integer, 'start_at', to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
			'end_at', to_char(at + interval '7 hours 20 minutes' * (1 + (random() * 30)::integer), 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))) INTO lines
		FROM (SELECT p, date '2026-06-15' + interval '1 hour' * (random() * 1000)::integer AS at FROM random, generate_series(1, 2) ORDER BY random() LIMIT 1 + (random() * 9)::integer) x;
		coupon := (ARRAY['TEN', 'SEVENTH', 'CENT', 'MUCH', 'FIVE', NULL])[1 + n % 6];
		waiver := n % 4 < 2;
		INSERT INTO drafts VALUES (n, pg_temp.draft(lines, coupon, waiver), pg_temp.draft((SELECT jsonb_agg(l ORDER BY random()) FROM jsonb_array_elements(lines) l), coupon, waiver));
	END LOOP;
	UPDATE drafts SET before = pg_temp.amounts(one);
	PERFORM order_quote(one) FROM drafts;
	PERFORM order_quote(one) FROM drafts;
END $$;
SELECT is_empty('SELECT n FROM drafts WHERE before <> pg_temp.amounts(other)', 'the order of lines does not matter');
SELECT is_empty('SELECT n FROM drafts WHERE before <> pg_temp.amounts(one)', 'what is priced again and did not change costs the same');
SELECT is_empty('SELECT d.n FROM drafts d JOIN orders o ON o.id = d.one, LATERAL (SELECT sum(subtotal) AS s, sum(discount) AS d, sum(tax) AS t, sum(total) AS a FROM order_items WHERE order_id = o.id) i
	WHERE (i.s, i.d, i.t, i.a + o.waiver + o.fee) <> (o.subtotal, o.discount, o.tax, o.total)', 'lines sum to the total');
SELECT is_empty('SELECT d.n FROM drafts d JOIN order_items i ON i.order_id = d.one WHERE i.total <> i.unit_price * i.quantity - i.discount + i.tax OR i.discount < 0 OR i.discount > i.subtotal OR scale(i.total) <> 2', 'each is what its parts make');
SELECT cmp_ok((SELECT count(*) FROM drafts d JOIN orders o ON o.id = d.one WHERE o.discount > 0 AND o.tax > 0 AND o.waiver > 0), '>', 10::bigint, 'many with all of that');

-- an analyst, whose search path finds nothing, gets the same price
SELECT row(total, tax, discount)::text AS asked FROM price(:'p', '2026-06-01Z', '2026-06-02Z', 3, 'TEN') \gset
SET LOCAL search_path = pg_temp;
SET LOCAL ROLE rental_analyst;
SELECT row(total, tax, discount)::text AS told FROM rental.price(:'p', '2026-06-01Z', '2026-06-02Z', 3, 'TEN') \gset
RESET ROLE;
SET search_path = rental, public;
SELECT is(:'told'::text, :'asked', 'whoever asks, taxes and coupons are the same');
SELECT * FROM finish();
ROLLBACK;
