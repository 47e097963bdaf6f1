/*
 * timeline.c
 *	  The type rental.timeline: a step function of time with integer values.
 *
 * Everything is built from one operation, the sum of two functions: to add a
 * quantity over a period is to add a function that has it there and is zero
 * elsewhere. This file knows nothing of tables or stock.
 */
#include "timeline.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/multirangetypes.h"
#include "utils/rangetypes.h"
#include "utils/typcache.h"

TimelineView
timeline_view(const Timeline *timeline)
{
	TimelineView view = {timeline->base, timeline->count, timeline->at, TIMELINE_VALUES(timeline)};

	return view;
}

/* Building: steps are appended in order, those that change nothing are left out. */

typedef struct Builder
{
	int32		 base;
	int32		 count;
	int32		 last;
	int32		 room;
	TimestampTz *at;
	int32		*value;
} Builder;

static void
builder_begin(Builder *builder, int32 base, int32 room)
{
	builder->base = builder->last = base;
	builder->count = 0;
	builder->room = Max(room, 1);
	builder->at = palloc(builder->room * sizeof(TimestampTz));
	builder->value = palloc(builder->room * sizeof(int32));
}

static void
builder_step(Builder *builder, TimestampTz at, int32 value)
{
	if (value == builder->last)
		return;
	if (builder->count == builder->room)
	{
		builder->room *= 2;
		builder->at = repalloc_huge(builder->at, builder->room * sizeof(TimestampTz));
		builder->value = repalloc_huge(builder->value, builder->room * sizeof(int32));
	}
	builder->at[builder->count] = at;
	builder->value[builder->count++] = builder->last = value;
}

static Timeline *
builder_end(Builder *builder)
{
	Timeline *result;

	if (builder->count > TIMELINE_MAX_STEPS)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("a timeline has at most %d steps", TIMELINE_MAX_STEPS)));
	result = palloc(TIMELINE_SIZE(builder->count));
	SET_VARSIZE(result, TIMELINE_SIZE(builder->count));
	result->version = TIMELINE_VERSION;
	result->base = builder->base;
	result->count = builder->count;
	memcpy(result->at, builder->at, builder->count * sizeof(TimestampTz));
	memcpy(TIMELINE_VALUES(result), builder->value, builder->count * sizeof(int32));
	pfree(builder->at);
	pfree(builder->value);
	return result;
}

static int32
add_checked(int32 a, int32 b)
{
	int32 sum;

	if (pg_add_s32_overflow(a, b, &sum))
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("timeline value out of range")));
	return sum;
}

Timeline *
timeline_constant(int32 value)
{
	Builder builder;

	builder_begin(&builder, value, 1);
	return builder_end(&builder);
}

/* combine walks two timelines at once and builds what the operation makes of their values. */
static Timeline *
combine(const TimelineView *a, const TimelineView *b, int32 (*operation)(int32, int32))
{
	Builder builder;
	int32	va = a->base;
	int32	vb = b->base;
	int		i = 0;
	int		j = 0;

	builder_begin(&builder, operation(va, vb), a->count + b->count);
	while (i < a->count || j < b->count)
	{
		TimestampTz at;

		if (j == b->count || (i < a->count && a->at[i] <= b->at[j]))
			at = a->at[i];
		else
			at = b->at[j];
		if (i < a->count && a->at[i] == at)
			va = a->value[i++];
		if (j < b->count && b->at[j] == at)
			vb = b->value[j++];
		builder_step(&builder, at, operation(va, vb));
	}
	return builder_end(&builder);
}

Timeline *
timeline_sum(const TimelineView *a, const TimelineView *b)
{
	return combine(a, b, add_checked);
}

static int32
subtract_checked(int32 a, int32 b)
{
	int32 difference;

	if (pg_sub_s32_overflow(a, b, &difference))
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("timeline value out of range")));
	return difference;
}

Timeline *
timeline_difference(const TimelineView *a, const TimelineView *b)
{
	return combine(a, b, subtract_checked);
}

static int32
lesser(int32 a, int32 b)
{
	return Min(a, b);
}

/* timeline_lesser is the lesser of two at each time. */
Timeline *
timeline_lesser(const TimelineView *a, const TimelineView *b)
{
	return combine(a, b, lesser);
}

/* timeline_shift adds delta over a period. */
Timeline *
timeline_shift(const TimelineView *timeline, const Period *period, int32 delta)
{
	TimelineView pulse = {0};
	TimestampTz	 at[2];
	int32		 value[2];

	if (TIMESTAMP_IS_NOBEGIN(period->start))
		pulse.base = delta;
	else
	{
		at[pulse.count] = period->start;
		value[pulse.count++] = delta;
	}
	if (!TIMESTAMP_IS_NOEND(period->end))
	{
		at[pulse.count] = period->end;
		value[pulse.count++] = 0;
	}
	pulse.at = at;
	pulse.value = value;
	return timeline_sum(timeline, &pulse);
}

/* timeline_locate is the index of the step that rules at a time, -1 for the base. */
int
timeline_locate(const TimelineView *timeline, TimestampTz at)
{
	int low = 0;
	int high = timeline->count;

	while (low < high)
	{
		int middle = (low + high) / 2;

		if (timeline->at[middle] <= at)
			low = middle + 1;
		else
			high = middle;
	}
	return low - 1;
}

static inline int32
value_of_step(const TimelineView *timeline, int step)
{
	return step < 0 ? timeline->base : timeline->value[step];
}

int32
timeline_value(const TimelineView *timeline, TimestampTz at)
{
	return value_of_step(timeline, timeline_locate(timeline, at));
}

/* timeline_lowest is the least value in a window, and the first time it is reached. */
int32
timeline_lowest(const TimelineView *timeline, const Period *window, TimestampTz *where)
{
	int	  i = timeline_locate(timeline, window->start);
	int32 lowest = value_of_step(timeline, i);

	if (where != NULL)
		*where = window->start;
	for (i++; i < timeline->count && timeline->at[i] < window->end; i++)
	{
		if (timeline->value[i] < lowest)
		{
			lowest = timeline->value[i];
			if (where != NULL)
				*where = timeline->at[i];
		}
	}
	return lowest;
}

static int32
timeline_highest(const TimelineView *timeline, const Period *window)
{
	int	  i = timeline_locate(timeline, window->start);
	int32 highest = value_of_step(timeline, i);

	for (i++; i < timeline->count && timeline->at[i] < window->end; i++)
		highest = Max(highest, timeline->value[i]);
	return highest;
}

/*
 * timeline_cut keeps what lies in an extent: outside it the function goes on
 * with the value it has at the extent's edge.
 */
Timeline *
timeline_cut(const TimelineView *timeline, const Period *extent)
{
	Builder builder;
	int		i = timeline_locate(timeline, extent->start);

	builder_begin(&builder, value_of_step(timeline, i), timeline->count);
	for (i++; i < timeline->count && timeline->at[i] < extent->end; i++)
		builder_step(&builder, timeline->at[i], timeline->value[i]);
	return builder_end(&builder);
}

/* Text: {base,"time":value,...}, as in {5,"2026-06-01 10:00:00+00":3,"2026-06-02 10:00:00+00":5} */

static void malformed(const char *input) pg_attribute_noreturn();

static void
malformed(const char *input)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
					errmsg("invalid input syntax for type timeline: \"%s\"", input),
					errdetail("Expected {base,\"time\":value,...}.")));
}

static const char *
skip_space(const char *s)
{
	while (*s == ' ' || *s == '\t' || *s == '\n' || *s == '\r')
		s++;
	return s;
}

static const char *
parse_value(const char *input, const char *s, int32 *value)
{
	char *end;
	long  parsed;

	errno = 0;
	parsed = strtol(s, &end, 10);
	if (end == s)
		malformed(input);
	if (errno != 0 || parsed < PG_INT32_MIN || parsed > PG_INT32_MAX)
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("timeline value out of range")));
	*value = (int32) parsed;
	return skip_space(end);
}

static void
check_step(const Builder *builder, TimestampTz at)
{
	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("a timeline's breakpoints are finite")));
	if (builder->count > 0 && builder->at[builder->count - 1] >= at)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("a timeline's breakpoints ascend")));
}

PG_FUNCTION_INFO_V1(timeline_in);
Datum
timeline_in(PG_FUNCTION_ARGS)
{
	const char *input = PG_GETARG_CSTRING(0);
	const char *s = skip_space(input);
	Builder		builder;
	int32		value;

	if (*s != '{')
		malformed(input);
	s = parse_value(input, skip_space(s + 1), &value);
	builder_begin(&builder, value, 8);
	while (*s == ',')
	{
		const char *end;
		TimestampTz at;

		s = skip_space(s + 1);
		end = *s == '"' ? strchr(s + 1, '"') : NULL;
		if (end == NULL)
			malformed(input);
		at = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(pnstrdup(s + 1, end - s - 1)),
													 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
		s = skip_space(end + 1);
		if (*s != ':')
			malformed(input);
		s = parse_value(input, skip_space(s + 1), &value);
		check_step(&builder, at);
		builder_step(&builder, at, value);
	}
	if (*s != '}' || *skip_space(s + 1) != '\0')
		malformed(input);
	PG_RETURN_POINTER(builder_end(&builder));
}

char *
timeline_text(const Timeline *timeline)
{
	TimelineView   view = timeline_view(timeline);
	StringInfoData out;
	int			   i;

	initStringInfo(&out);
	appendStringInfo(&out, "{%d", view.base);
	for (i = 0; i < view.count; i++)
		appendStringInfo(&out, ",\"%s\":%d",
						 DatumGetCString(DirectFunctionCall1(timestamptz_out, TimestampTzGetDatum(view.at[i]))),
						 view.value[i]);
	appendStringInfoChar(&out, '}');
	return out.data;
}

PG_FUNCTION_INFO_V1(timeline_out);
Datum
timeline_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(timeline_text(PG_GETARG_TIMELINE_P(0)));
}

/* Binary: version int32, base int32, count int32, then count times int64 time, int32 value */

PG_FUNCTION_INFO_V1(timeline_recv);
Datum
timeline_recv(PG_FUNCTION_ARGS)
{
	StringInfo message = (StringInfo) PG_GETARG_POINTER(0);
	int32	   version = pq_getmsgint(message, 4);
	int32	   base = pq_getmsgint(message, 4);
	int32	   count = pq_getmsgint(message, 4);
	Builder	   builder;
	int		   i;

	if (version != TIMELINE_VERSION)
		ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
						errmsg("unknown version %d of the timeline format", version)));
	if (count < 0 || count > TIMELINE_MAX_STEPS || (message->len - message->cursor) / 12 < count)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION), errmsg("invalid number of steps in a timeline")));
	builder_begin(&builder, base, count);
	for (i = 0; i < count; i++)
	{
		TimestampTz at = pq_getmsgint64(message);

		check_step(&builder, at);
		builder_step(&builder, at, pq_getmsgint(message, 4));
	}
	PG_RETURN_POINTER(builder_end(&builder));
}

PG_FUNCTION_INFO_V1(timeline_send);
Datum
timeline_send(PG_FUNCTION_ARGS)
{
	TimelineView   view = timeline_view(PG_GETARG_TIMELINE_P(0));
	StringInfoData message;
	int			   i;

	pq_begintypsend(&message);
	pq_sendint32(&message, TIMELINE_VERSION);
	pq_sendint32(&message, view.base);
	pq_sendint32(&message, view.count);
	for (i = 0; i < view.count; i++)
	{
		pq_sendint64(&message, view.at[i]);
		pq_sendint32(&message, view.value[i]);
	}
	PG_RETURN_BYTEA_P(pq_endtypsend(&message));
}

/* The SQL functions */

static Period
period_arg(FunctionCallInfo fcinfo, int n)
{
	Period period;

	if (!period_from_range(PG_GETARG_DATUM(n), &period))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the period is empty")));
	return period;
}

PG_FUNCTION_INFO_V1(timeline_from_integer);
Datum
timeline_from_integer(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(timeline_constant(PG_GETARG_INT32(0)));
}

PG_FUNCTION_INFO_V1(timeline_add);
Datum
timeline_add(PG_FUNCTION_ARGS)
{
	Timeline	*timeline = PG_GETARG_TIMELINE_P(0);
	TimelineView view = timeline_view(timeline);
	Period		 period;

	if (!period_from_range(PG_GETARG_DATUM(1), &period))
		PG_RETURN_POINTER(timeline);
	PG_RETURN_POINTER(timeline_shift(&view, &period, PG_GETARG_INT32(2)));
}

PG_FUNCTION_INFO_V1(timeline_merge);
Datum
timeline_merge(PG_FUNCTION_ARGS)
{
	TimelineView a = timeline_view(PG_GETARG_TIMELINE_P(0));
	TimelineView b = timeline_view(PG_GETARG_TIMELINE_P(1));

	PG_RETURN_POINTER(timeline_sum(&a, &b));
}

PG_FUNCTION_INFO_V1(timeline_least);
Datum
timeline_least(PG_FUNCTION_ARGS)
{
	TimelineView a = timeline_view(PG_GETARG_TIMELINE_P(0));
	TimelineView b = timeline_view(PG_GETARG_TIMELINE_P(1));

	PG_RETURN_POINTER(timeline_lesser(&a, &b));
}

static int32
zero_unless(int32 value, int32 open)
{
	return open ? value : 0;
}

/* timeline_zero(timeline, periods tstzmultirange) is zero in the periods. */
PG_FUNCTION_INFO_V1(timeline_zero);
Datum
timeline_zero(PG_FUNCTION_ARGS)
{
	TimelineView view;
	TimelineView open;
	Timeline	*mask = timeline_constant(1);
	RangeType  **ranges;
	int32		 n;
	int32		 i;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	if (PG_ARGISNULL(1))
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	multirange_deserialize(lookup_type_cache(TSTZRANGEOID, TYPECACHE_RANGE_INFO), PG_GETARG_MULTIRANGE_P(1), &n,
						   &ranges);
	open = timeline_view(mask);
	for (i = 0; i < n; i++)
	{
		Period period;

		if (period_from_range(RangeTypePGetDatum(ranges[i]), &period))
			open = timeline_view(timeline_shift(&open, &period, -1));
	}
	view = timeline_view(PG_GETARG_TIMELINE_P(0));
	PG_RETURN_POINTER(combine(&view, &open, zero_unless));
}

PG_FUNCTION_INFO_V1(timeline_at);
Datum
timeline_at(PG_FUNCTION_ARGS)
{
	TimelineView view = timeline_view(PG_GETARG_TIMELINE_P(0));

	PG_RETURN_INT32(timeline_value(&view, PG_GETARG_TIMESTAMPTZ(1)));
}

PG_FUNCTION_INFO_V1(timeline_min);
Datum
timeline_min(PG_FUNCTION_ARGS)
{
	TimelineView view = timeline_view(PG_GETARG_TIMELINE_P(0));
	Period		 window = period_arg(fcinfo, 1);

	PG_RETURN_INT32(timeline_lowest(&view, &window, NULL));
}

PG_FUNCTION_INFO_V1(timeline_max);
Datum
timeline_max(PG_FUNCTION_ARGS)
{
	TimelineView view = timeline_view(PG_GETARG_TIMELINE_P(0));
	Period		 window = period_arg(fcinfo, 1);

	PG_RETURN_INT32(timeline_highest(&view, &window));
}

/*
 * timeline_first_fit(timeline, quantity, length interval, within tstzrange):
 * the first time from which on the value stays at or above the quantity for
 * the length, all within the range; null if there is none.
 */
PG_FUNCTION_INFO_V1(timeline_first_fit);
Datum
timeline_first_fit(PG_FUNCTION_ARGS)
{
	TimelineView view = timeline_view(PG_GETARG_TIMELINE_P(0));
	int32		 quantity = PG_GETARG_INT32(1);
	Datum		 length = PG_GETARG_DATUM(2);
	Period		 within = period_arg(fcinfo, 3);
	TimestampTz	 start = within.start;
	int			 i;

	if (TIMESTAMP_NOT_FINITE(start))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the range has no start")));
	i = timeline_locate(&view, start);
	for (;;)
	{
		TimestampTz end;

		while (value_of_step(&view, i) < quantity)
		{
			if (++i == view.count)
				PG_RETURN_NULL();
			start = view.at[i];
		}
		end = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(start), length));
		if (end <= start)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the length must be positive")));
		if (end > within.end)
			PG_RETURN_NULL();
		while (i + 1 < view.count && view.at[i + 1] < end && view.value[i + 1] >= quantity)
			i++;
		if (i + 1 == view.count || view.at[i + 1] >= end)
			PG_RETURN_TIMESTAMPTZ(start);
		i++;
		start = view.at[i];
	}
}

/* timeline_compact(timeline, before) forgets the steps before a time. */
PG_FUNCTION_INFO_V1(timeline_compact);
Datum
timeline_compact(PG_FUNCTION_ARGS)
{
	TimelineView view = timeline_view(PG_GETARG_TIMELINE_P(0));
	Period		 extent = {PG_GETARG_TIMESTAMPTZ(1), DT_NOEND};

	PG_RETURN_POINTER(timeline_cut(&view, &extent));
}

/* timeline_clip(timeline, period tstzrange) forgets the steps outside a period. */
PG_FUNCTION_INFO_V1(timeline_clip);
Datum
timeline_clip(PG_FUNCTION_ARGS)
{
	TimelineView view = timeline_view(PG_GETARG_TIMELINE_P(0));
	Period		 extent = period_arg(fcinfo, 1);

	PG_RETURN_POINTER(timeline_cut(&view, &extent));
}

static bool
timeline_equal(const Timeline *a, const Timeline *b)
{
	return VARSIZE(a) == VARSIZE(b) && memcmp(a, b, VARSIZE(a)) == 0;
}

PG_FUNCTION_INFO_V1(timeline_eq);
Datum
timeline_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(timeline_equal(PG_GETARG_TIMELINE_P(0), PG_GETARG_TIMELINE_P(1)));
}

PG_FUNCTION_INFO_V1(timeline_ne);
Datum
timeline_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(!timeline_equal(PG_GETARG_TIMELINE_P(0), PG_GETARG_TIMELINE_P(1)));
}

/* timeline_steps(timeline, window tstzrange): start_at, end_at, value of each step in the window */
PG_FUNCTION_INFO_V1(timeline_steps);
Datum
timeline_steps(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	TimelineView   view = timeline_view(PG_GETARG_TIMELINE_P(0));
	Period		   window;
	TimestampTz	   start;
	int			   i;

	InitMaterializedSRF(fcinfo, 0);
	if (!period_from_range(PG_GETARG_DATUM(1), &window))
		PG_RETURN_NULL();
	start = window.start;
	for (i = timeline_locate(&view, start); start < window.end; i++)
	{
		TimestampTz end = i + 1 < view.count ? Min(view.at[i + 1], window.end) : window.end;
		Datum		values[3] = {TimestampTzGetDatum(start), TimestampTzGetDatum(end),
								 Int32GetDatum(value_of_step(&view, i))};
		bool		nulls[3] = {false};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		start = end;
	}
	PG_RETURN_NULL();
}

/* The aggregate timeline_agg(period tstzrange, quantity integer): the sum of all, built by one sort */

typedef struct Change
{
	TimestampTz at;
	int32		delta;
} Change;

typedef struct ChangeList
{
	int32	base;
	int		count;
	int		room;
	Change *changes;
} ChangeList;

static void
change_append(ChangeList *list, TimestampTz at, int32 delta)
{
	if (list->count == list->room)
	{
		list->room *= 2;
		list->changes = repalloc_huge(list->changes, list->room * sizeof(Change));
	}
	list->changes[list->count].at = at;
	list->changes[list->count++].delta = delta;
}

static int
change_compare(const void *a, const void *b)
{
	TimestampTz x = ((const Change *) a)->at;
	TimestampTz y = ((const Change *) b)->at;

	return (x > y) - (x < y);
}

PG_FUNCTION_INFO_V1(timeline_agg_step);
Datum
timeline_agg_step(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	ChangeList	 *list;
	Period		  period;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "timeline_agg_step called outside an aggregate");
	if (PG_ARGISNULL(0))
	{
		list = MemoryContextAllocZero(context, sizeof(ChangeList));
		list->room = 64;
		list->changes = MemoryContextAlloc(context, list->room * sizeof(Change));
	}
	else
		list = (ChangeList *) PG_GETARG_POINTER(0);
	if (!PG_ARGISNULL(1) && !PG_ARGISNULL(2) && period_from_range(PG_GETARG_DATUM(1), &period))
	{
		int32 quantity = PG_GETARG_INT32(2);

		if (quantity == PG_INT32_MIN)
			ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("timeline value out of range")));
		if (TIMESTAMP_IS_NOBEGIN(period.start))
			list->base = add_checked(list->base, quantity);
		else
			change_append(list, period.start, quantity);
		if (!TIMESTAMP_IS_NOEND(period.end))
			change_append(list, period.end, -quantity);
	}
	PG_RETURN_POINTER(list);
}

PG_FUNCTION_INFO_V1(timeline_agg_final);
Datum
timeline_agg_final(PG_FUNCTION_ARGS)
{
	ChangeList *list = PG_ARGISNULL(0) ? NULL : (ChangeList *) PG_GETARG_POINTER(0);
	Builder		builder;
	int32		value;
	int			i = 0;

	if (list == NULL)
		PG_RETURN_POINTER(timeline_constant(0));
	qsort(list->changes, list->count, sizeof(Change), change_compare);
	value = list->base;
	builder_begin(&builder, value, list->count);
	while (i < list->count)
	{
		TimestampTz at = list->changes[i].at;

		for (; i < list->count && list->changes[i].at == at; i++)
			value = add_checked(value, list->changes[i].delta);
		builder_step(&builder, at, value);
	}
	PG_RETURN_POINTER(builder_end(&builder));
}
