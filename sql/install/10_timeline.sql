-- The type timeline: a step function of time.

CREATE TYPE timeline;
CREATE FUNCTION timeline_in(cstring) RETURNS timeline LANGUAGE c STRICT STABLE PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION timeline_out(timeline) RETURNS cstring LANGUAGE c STRICT STABLE PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION timeline_recv(internal) RETURNS timeline LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION timeline_send(timeline) RETURNS bytea LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE TYPE timeline (
	INPUT = timeline_in, OUTPUT = timeline_out, RECEIVE = timeline_recv, SEND = timeline_send,
	INTERNALLENGTH = VARIABLE, ALIGNMENT = double, STORAGE = main
);
COMMENT ON TYPE timeline IS
	'A step function of time with integer values, written {base,"time":value,...}: the base holds before the first time, each value from its time on.';

CREATE FUNCTION timeline(value integer) RETURNS timeline LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'timeline_from_integer';
COMMENT ON FUNCTION timeline(integer) IS 'The timeline that always has this value.';
CREATE FUNCTION timeline_add(timeline timeline, period tstzrange, quantity integer) RETURNS timeline
	LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION timeline_add(timeline, tstzrange, integer) IS 'Adds a quantity over a period.';
CREATE FUNCTION timeline_merge(timeline, timeline) RETURNS timeline
	LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION timeline_merge(timeline, timeline) IS 'The sum of two timelines.';
CREATE FUNCTION timeline_least(timeline, timeline) RETURNS timeline
	LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION timeline_least(timeline, timeline) IS 'The lesser of two timelines at each time.';
CREATE FUNCTION timeline_zero(timeline timeline, periods tstzmultirange) RETURNS timeline
	LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION timeline_zero(timeline, tstzmultirange) IS 'The timeline with zero in these periods; null periods are none.';
CREATE FUNCTION timeline_at(timeline timeline, at timestamptz) RETURNS integer
	LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION timeline_at(timeline, timestamptz) IS 'The value at a time.';
CREATE FUNCTION timeline_min(timeline timeline, period tstzrange) RETURNS integer
	LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION timeline_min(timeline, tstzrange) IS 'The least value in a period.';
CREATE FUNCTION timeline_max(timeline timeline, period tstzrange) RETURNS integer
	LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION timeline_max(timeline, tstzrange) IS 'The greatest value in a period.';
CREATE FUNCTION timeline_first_fit(timeline timeline, quantity integer, length interval, within tstzrange) RETURNS timestamptz
	LANGUAGE c STRICT STABLE PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION timeline_first_fit(timeline, integer, interval, tstzrange) IS
	'The first time from which on the value stays at or above the quantity for the whole length, all within the range; null if there is none.';
CREATE FUNCTION timeline_compact(timeline timeline, before timestamptz) RETURNS timeline
	LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION timeline_compact(timeline, timestamptz) IS 'Forgets the steps before a time: the value at that time becomes the base.';
CREATE FUNCTION timeline_clip(timeline timeline, period tstzrange) RETURNS timeline
	LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION timeline_clip(timeline, tstzrange) IS 'Forgets the steps outside a period: beyond its ends the values there go on.';
CREATE FUNCTION timeline_steps(timeline timeline, period tstzrange DEFAULT '(,)',
	OUT start_at timestamptz, OUT end_at timestamptz, OUT value integer) RETURNS SETOF record
	LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE ROWS 20 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION timeline_steps(timeline, tstzrange) IS 'The steps that cover a period, a row each; open ends are infinities.';

CREATE FUNCTION timeline_eq(timeline, timeline) RETURNS boolean LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION timeline_ne(timeline, timeline) RETURNS boolean LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE OPERATOR = (LEFTARG = timeline, RIGHTARG = timeline, FUNCTION = timeline_eq, COMMUTATOR = =, NEGATOR = <>,
	RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR <> (LEFTARG = timeline, RIGHTARG = timeline, FUNCTION = timeline_ne, COMMUTATOR = <>, NEGATOR = =,
	RESTRICT = neqsel, JOIN = neqjoinsel);
CREATE OPERATOR + (LEFTARG = timeline, RIGHTARG = timeline, FUNCTION = timeline_merge, COMMUTATOR = +);

CREATE FUNCTION timeline_agg_step(internal, tstzrange, integer) RETURNS internal LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION timeline_agg_final(internal) RETURNS timeline LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE AGGREGATE timeline_agg(period tstzrange, quantity integer) (
	SFUNC = timeline_agg_step, STYPE = internal, FINALFUNC = timeline_agg_final, PARALLEL = SAFE
);
COMMENT ON AGGREGATE timeline_agg(tstzrange, integer) IS 'The sum of all quantities, each over its period. Empty periods and nulls count for nothing.';
