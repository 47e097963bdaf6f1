-- The type timeline: text form, operations, errors.
SET search_path = rental, public;
SET timezone = 'UTC';
SET datestyle = 'ISO';
SELECT '{5}'::timeline, ' { 5 , "2026-06-01 10:00:00+02" : 3 , "2026-06-02 00:00Z":5 } '::timeline;
-- steps that change nothing are left out, so that equal functions are equal
SELECT '{5,"2026-06-01 10:00Z":5,"2026-06-02 10:00Z":4,"2026-06-03 10:00Z":4}'::timeline;
SELECT '{5,"2026-06-02 10:00Z":4}'::timeline = '{5,"2026-06-01 10:00Z":5,"2026-06-02 10:00Z":4}'::timeline AS equal,
	'{5}'::timeline <> '{4}'::timeline AS different;
-- malformed
SELECT '5'::timeline;
SELECT '{}'::timeline;
SELECT '{5'::timeline;
SELECT '{5} x'::timeline;
SELECT '{5,"2026-06-01 10:00Z"}'::timeline;
SELECT '{5,2026:3}'::timeline;
SELECT '{5,"never":3}'::timeline;
SELECT '{5,"infinity":3}'::timeline;
SELECT '{5,"2026-06-02Z":3,"2026-06-01Z":4}'::timeline;
SELECT '{5,"2026-06-01Z":3,"2026-06-01Z":4}'::timeline;
SELECT '{99999999999}'::timeline;
-- adding
SELECT timeline_add(timeline(5), '[2026-06-01 10:00Z, 2026-06-02 10:00Z)', -2);
SELECT timeline_add(timeline_add(timeline(5), '[2026-06-01Z, 2026-06-03Z)', -2), '[2026-06-03Z, 2026-06-04Z)', -2) AS back_to_back;
SELECT timeline_add(timeline_add(timeline(5), '[2026-06-01Z, 2026-06-05Z)', -2), '[2026-06-02Z, 2026-06-03Z)', -1) AS nested;
SELECT timeline_add(timeline_add(timeline(5), '[2026-06-01Z, 2026-06-05Z)', -2), '[2026-06-01Z, 2026-06-05Z)', 2) AS undone;
SELECT timeline_add(timeline(5), '(,2026-06-01Z)', 1) AS from_ever, timeline_add(timeline(5), '[2026-06-01Z,)', 1) AS for_ever,
	timeline_add(timeline(5), '(,)', 1) AS always, timeline_add(timeline(5), 'empty', 1) AS never;
SELECT timeline_add(timeline(1), '(2026-06-01 00:00Z, 2026-06-01 01:00Z]', 1) AS other_bounds;
SELECT timeline_add(timeline(2147483647), '[2026-06-01Z, 2026-06-02Z)', 1);
-- looking
\set t '''{5,"2026-06-01Z":3,"2026-06-03Z":1,"2026-06-04Z":5}'''
SELECT timeline_at(:t, '2026-05-31Z') AS before, timeline_at(:t, '2026-06-01Z') AS at_step, timeline_at(:t, '2026-06-09Z') AS after;
SELECT timeline_min(:t, '[2026-06-01Z,2026-06-03Z)') AS ends_before_the_low, timeline_min(:t, '[2026-06-01Z,2026-06-03Z]') AS touches_it,
	timeline_min(:t, '[2026-06-04Z,2026-06-05Z)') AS begins_after_it, timeline_min(:t, '(,)') AS over_all,
	timeline_max(:t, '[2026-06-01Z,2026-06-04Z)') AS most, timeline_max(:t, '(,)') AS most_over_all;
SELECT timeline_min(:t, 'empty');
SELECT * FROM timeline_steps(:t);
SELECT * FROM timeline_steps(:t, '[2026-06-02Z, 2026-06-03 12:00Z)');
SELECT * FROM timeline_steps(:t, 'empty');
-- the first fit
SELECT timeline_first_fit(:t, 3, '1 day', '[2026-06-01Z,)') AS at_once,
	timeline_first_fit(:t, 3, '3 days', '[2026-06-01Z,)') AS after_the_low,
	timeline_first_fit(:t, 5, '1 day', '[2026-05-31Z,)') AS exactly_before,
	timeline_first_fit(:t, 6, '1 day', '[2026-05-31Z,)') AS never,
	timeline_first_fit(:t, 5, '1 day', '[2026-06-01Z,2026-06-04 12:00Z)') AS not_within;
SELECT timeline_first_fit(:t, 3, '-1 day', '[2026-06-01Z,)');
-- sums and compaction
SELECT :t::timeline + '{1,"2026-06-03Z":3}'::timeline;
SELECT timeline_merge(:t, '{0}') = :t AS neutral;
SELECT timeline_compact(:t, '2026-06-03 12:00Z'), timeline_compact(:t, '2026-06-04Z'), timeline_compact(:t, '2020-01-01Z') = :t AS nothing_to_do;
SELECT timeline_agg(p, q) FROM (VALUES ('[2026-06-01Z,2026-06-05Z)'::tstzrange, 2), ('[2026-06-05Z,2026-06-06Z)', 2), ('[2026-06-02Z,2026-06-03Z)', 1),
	('empty', 7), (NULL, 7), ('(,)', 1)) v(p, q);
SELECT timeline_agg(p, q) FROM (SELECT NULL::tstzrange, 1 WHERE false) v(p, q);
-- what was written in binary is read again
CREATE TEMP TABLE kept AS SELECT timeline_agg(tstzrange('2026-01-01Z'::timestamptz + n * interval '1 hour', '2026-01-01Z'::timestamptz + (n + n % 7 + 1) * interval '1 hour'), n % 5) AS t
	FROM generate_series(1, 2000) n;
CREATE TEMP TABLE again (t timeline);
\copy kept TO 'build/timeline.bin' (FORMAT binary)
\copy again FROM 'build/timeline.bin' (FORMAT binary)
SELECT kept.t = again.t AS same, (SELECT count(*) FROM timeline_steps(kept.t)) AS steps FROM kept, again;
SELECT kept.t::text::timeline = kept.t AS same_in_text FROM kept;
-- printed before anything else has loaded the module, amid a parallel query: settings are what they were set to
CREATE TABLE public.printed AS SELECT timeline(n) FROM generate_series(1, 2) n;
\c
SET search_path = rental, public;
SET rental.attempts_address = 77;
SET force_parallel_mode = on;
SELECT * FROM public.printed;
SELECT current_setting('rental.attempts_address') AS limit;
SET rental.attempts_address = 0;
SET rental.no_such_setting = 1;
DROP TABLE public.printed;
