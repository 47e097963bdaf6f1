/*
 * timeline.h
 *	  The type rental.timeline: a step function of time with integer values.
 */
#ifndef RENTAL_TIMELINE_H
#define RENTAL_TIMELINE_H

#include "rental.h"

#include "period.h"

/*
 * On disk: breakpoints strictly ascending and finite, each value different
 * from the one before it (the first from the base), so that equal functions
 * are equal bytes. value(t) is the base before the first breakpoint and the
 * value of the last breakpoint at or before t after it.
 */
typedef struct Timeline
{
	int32		vl_len_; /* varlena header, do not touch */
	int32		version;
	int32		base;
	int32		count;
	TimestampTz at[FLEXIBLE_ARRAY_MEMBER]; /* count of them; then count int32 values */
} Timeline;

#define TIMELINE_VERSION		1
#define TIMELINE_MAX_STEPS		10000000
#define TIMELINE_SIZE(n)		(offsetof(Timeline, at) + (size_t) (n) * (sizeof(TimestampTz) + sizeof(int32)))
#define TIMELINE_VALUES(t)		((int32 *) ((t)->at + (t)->count))
#define DatumGetTimelineP(d)	((Timeline *) PG_DETOAST_DATUM(d))
#define PG_GETARG_TIMELINE_P(n) DatumGetTimelineP(PG_GETARG_DATUM(n))

/* The same function seen without its storage */
typedef struct TimelineView
{
	int32			   base;
	int32			   count;
	const TimestampTz *at;
	const int32		  *value;
} TimelineView;

extern char		   *timeline_text(const Timeline *timeline);
extern TimelineView timeline_view(const Timeline *timeline);
extern Timeline	   *timeline_constant(int32 value);
extern Timeline	   *timeline_shift(const TimelineView *timeline, const Period *period, int32 delta);
extern Timeline	   *timeline_sum(const TimelineView *a, const TimelineView *b);
extern Timeline	   *timeline_difference(const TimelineView *a, const TimelineView *b);
extern Timeline	   *timeline_lesser(const TimelineView *a, const TimelineView *b);
extern Timeline	   *timeline_cut(const TimelineView *timeline, const Period *extent);
extern int			timeline_locate(const TimelineView *timeline, TimestampTz at);
extern int32		timeline_value(const TimelineView *timeline, TimestampTz at);
extern int32		timeline_lowest(const TimelineView *timeline, const Period *window, TimestampTz *where);

#endif /* RENTAL_TIMELINE_H */
