-- The type timeline against a plain SQL model, by random operations: PROPERTY_TRIALS trials of 40 operations each.
\set trials `echo ${PROPERTY_TRIALS:-500}`
\set seed `echo ${PROPERTY_SEED:-1}`
SELECT plan(1);
SELECT diag(:trials || ' trials of 40 operations, seed ' || :seed);
SELECT setseed(1.0 / (1 + :seed));
SET search_path = rental, public;

-- one trial: 40 periods on a grid of 100 hours, some of them open or empty, some twice; every property that does not hold
CREATE FUNCTION pg_temp.trial(n integer) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	zero timestamptz := '2026-01-01 00:00Z';
	periods tstzrange[] := '{}';
	quantities integer[] := '{}';
	built timeline := timeline(floor(random() * 7)::int - 3);
	base integer := timeline_at(built, '-infinity');
	model integer[];
	a integer; b integer; q integer; p tstzrange;
	summed timeline;
	half timeline := timeline(0);
	i integer;
	span integer;
	want timestamptz;
BEGIN
	FOR i IN 1 .. 40 LOOP
		a := floor(random() * 100); b := a + floor(random() * 30); q := floor(random() * 9) - 4;
		p := CASE floor(random() * 12)::int
			WHEN 0 THEN tstzrange(NULL, zero + a * interval '1 hour')
			WHEN 1 THEN tstzrange(zero + a * interval '1 hour', NULL)
			WHEN 2 THEN tstzrange(NULL, NULL)
			ELSE tstzrange(zero + a * interval '1 hour', zero + b * interval '1 hour') END;
		IF i % 7 = 0 THEN p := periods[i - 1]; q := -quantities[i - 1]; END IF;	-- and back
		periods := periods || p; quantities := quantities || q;
		built := timeline_add(built, p, q);
		IF i > 20 THEN half := timeline_add(half, p, q); END IF;
	END LOOP;
	-- the model: the value in each hour from -2 to 131
	SELECT array_agg(v ORDER BY h) INTO model FROM (SELECT h, base + COALESCE((SELECT sum(quantities[k]) FROM generate_subscripts(periods, 1) k
		WHERE periods[k] @> zero + h * interval '1 hour'), 0)::int AS v FROM generate_series(-2, 131) h) m;
	IF EXISTS (SELECT FROM generate_series(-2, 131) h WHERE timeline_at(built, zero + h * interval '1 hour') <> model[h + 3]
		OR timeline_at(built, zero + h * interval '1 hour' + interval '59 min') <> model[h + 3]) THEN RETURN NEXT 'value'; END IF;
	IF EXISTS (SELECT FROM (SELECT floor(random() * 100)::int AS f, 1 + floor(random() * 30)::int AS l FROM generate_series(1, 15)) w,
		LATERAL (SELECT min(model[k + 3]) AS least, max(model[k + 3]) AS most FROM generate_series(w.f, w.f + w.l - 1) k) m,
		LATERAL (SELECT tstzrange(zero + w.f * interval '1 hour', zero + (w.f + w.l) * interval '1 hour') AS p) x
		WHERE timeline_min(built, x.p) <> m.least OR timeline_max(built, x.p) <> m.most) THEN RETURN NEXT 'min or max'; END IF;
	-- the first fit, by trying every hour
	FOR i IN 1 .. 5 LOOP
		q := floor(random() * 12) - 6; span := 1 + floor(random() * 20); a := floor(random() * 80);
		SELECT min(zero + h * interval '1 hour') INTO want FROM generate_series(a, 130 - span) h
			WHERE q <= ALL (SELECT model[k + 3] FROM generate_series(h, h + span - 1) k);
		IF timeline_first_fit(built, q, span * interval '1 hour', tstzrange(zero + a * interval '1 hour', zero + 130 * interval '1 hour')) IS DISTINCT FROM want
			THEN RETURN NEXT 'first fit'; END IF;
	END LOOP;
	-- built at once, in another order, in two halves, written and read: always the same
	SELECT timeline_agg(x.p, x.q) INTO summed FROM unnest(periods, quantities) AS x (p, q);
	IF timeline_merge(summed, timeline(base)) <> built THEN RETURN NEXT 'aggregate'; END IF;
	SELECT timeline_agg(x.p, x.q ORDER BY random()) INTO summed FROM unnest(periods, quantities) AS x (p, q);
	IF timeline_merge(summed, timeline(base)) <> built THEN RETURN NEXT 'order'; END IF;
	SELECT timeline_agg(x.p, x.q) INTO summed FROM unnest(periods[:20], quantities[:20]) AS x (p, q);
	IF timeline_merge(timeline_merge(summed, half), timeline(base)) <> built THEN RETURN NEXT 'merge'; END IF;
	IF built::text::timeline <> built THEN RETURN NEXT 'text'; END IF;
	-- steps cover everything once and differ from their neighbours; compaction and clipping keep what they keep
	IF EXISTS (SELECT FROM (SELECT s.*, lead(start_at) OVER w AS next, lead(value) OVER w AS other FROM timeline_steps(built) s WINDOW w AS (ORDER BY start_at)) s
		WHERE next <> end_at OR other = value) THEN RETURN NEXT 'steps'; END IF;
	a := floor(random() * 100); b := a + 1 + floor(random() * 30);
	IF EXISTS (SELECT FROM generate_series(a, 131) h WHERE timeline_at(timeline_compact(built, zero + a * interval '1 hour'), zero + h * interval '1 hour') <> model[h + 3])
		OR timeline_at(timeline_compact(built, zero + a * interval '1 hour'), '-infinity') <> model[a + 3] THEN RETURN NEXT 'compact'; END IF;
	IF EXISTS (SELECT FROM generate_series(-2, 131) h WHERE timeline_at(timeline_clip(built, tstzrange(zero + a * interval '1 hour', zero + b * interval '1 hour')),
		zero + h * interval '1 hour') <> model[LEAST(GREATEST(h, a), b - 1) + 3]) THEN RETURN NEXT 'clip'; END IF;
	-- the rows that a table keeps it in give it back
	IF EXISTS (SELECT FROM timeline_chunks(timeline(0), timeline_zero(built, tstzmultirange(tstzrange(NULL, zero), tstzrange(zero + interval '130 hours', NULL)))) c,
		generate_series(0, 129) h WHERE tstzrange(c.lower, c.upper) @> zero + h * interval '1 hour' AND timeline_at(c.chunk, zero + h * interval '1 hour') <> model[h + 3])
		THEN RETURN NEXT 'chunks'; END IF;
	IF EXISTS (SELECT FROM generate_series(-2, 131) h WHERE timeline_at(timeline_least(built, half), zero + h * interval '1 hour') <>
		LEAST(model[h + 3], timeline_at(half, zero + h * interval '1 hour'))) THEN RETURN NEXT 'least'; END IF;
END $$;

SELECT is_empty(format('SELECT n, problem FROM generate_series(1, %s) n, pg_temp.trial(n) problem', :'trials'), 'every property holds in every trial');
SELECT * FROM finish();
