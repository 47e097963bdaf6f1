/*
 * period.h
 *	  Time: the one clock, half-open periods, and a vendor's local days.
 */
#ifndef RENTAL_PERIOD_H
#define RENTAL_PERIOD_H

#include "rental.h"

#include "pgtime.h"

/* A half-open period [start, end) in microseconds since 2000-01-01 UTC */
typedef struct Period
{
	TimestampTz start;
	TimestampTz end;
} Period;

extern TimestampTz rental_now(void);
extern Period	   period_check_window(TimestampTz start, TimestampTz end, const char *field);
extern Period	   period_check(TimestampTz start, TimestampTz end, const char *field);
extern bool		   period_parse_time(const char *text, TimestampTz *result);
extern bool		   period_from_range(Datum range, Period *period);
extern char		  *period_time_text(TimestampTz at);
extern Datum	   period_range_datum(TimestampTz start, TimestampTz end);
extern pg_tz	  *period_zone(const char *name);
extern int32	   period_local_date(TimestampTz at, pg_tz *zone, int64 *time_of_day);
extern TimestampTz period_plus(TimestampTz at, Datum interval);
extern int		   period_year(TimestampTz at, pg_tz *zone);

#endif /* RENTAL_PERIOD_H */
