/*
 * period.c
 *	  Time: the one clock, half-open periods, and a vendor's local days.
 *
 * Every rule that asks for the time asks rental_now(), which a superuser can
 * set by rental.clock, so that a year of business replays in seconds. Local
 * days come from PostgreSQL's own time-zone code.
 */
#include "period.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "errors.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/rangetypes.h"
#include "utils/typcache.h"

#define PERIOD_SHORTEST (15 * USECS_PER_MINUTE)
#define PERIOD_LONGEST	(INT64CONST(5) * 366 * USECS_PER_DAY)
/* 9999-12-31, the last day that RFC 3339 can write everywhere */
#define PERIOD_LAST		((INT64CONST(5373484) - POSTGRES_EPOCH_JDATE - 1) * USECS_PER_DAY)

static char		  *clock_setting;
static TimestampTz clock_time;
static bool		   clock_set;

/* period_parse_time reads a time stamp; false if it is none. */
bool
period_parse_time(const char *text, TimestampTz *result)
{
	struct pg_tm tm;
	fsec_t		 fsec;
	int			 tz;
	int			 dtype;
	int			 nf;
	char		*field[MAXDATEFIELDS];
	int			 ftype[MAXDATEFIELDS];
	char		 buffer[MAXDATELEN + MAXDATEFIELDS];

	return ParseDateTime(text, buffer, sizeof(buffer), field, ftype, MAXDATEFIELDS, &nf) == 0 &&
		   DecodeDateTime(field, ftype, nf, &dtype, &tm, &fsec, &tz) == 0 && dtype == DTK_DATE &&
		   tm2timestamp(&tm, fsec, &tz, result) == 0;
}

/*
 * clock_check keeps the time with its offset in digits: a parallel worker
 * takes over the settings before it knows names of time zones, Z among them.
 */
static bool
clock_check(char **value, void **extra, GucSource source)
{
	TimestampTz	 parsed;
	struct pg_tm tm;
	fsec_t		 fsec;
	char		 text[MAXDATELEN + 1];

	if (**value == '\0')
		return true;
	if (!period_parse_time(*value, &parsed) || timestamp2tm(parsed, NULL, &tm, &fsec, NULL, NULL) != 0)
	{
		GUC_check_errdetail("It must be empty or a time stamp.");
		return false;
	}
	tm.tm_isdst = 0;
	EncodeDateTime(&tm, fsec, true, 0, NULL, USE_ISO_DATES, text);
	free(*value);
	*value = strdup(text);
	*extra = malloc(sizeof(TimestampTz));
	if (*value == NULL || *extra == NULL)
		return false;
	memcpy(*extra, &parsed, sizeof(parsed));
	return true;
}

static void
clock_assign(const char *value, void *extra)
{
	clock_set = extra != NULL;
	if (clock_set)
		memcpy(&clock_time, extra, sizeof(clock_time));
}

void
period_settings(void)
{
	DefineCustomStringVariable("rental.clock", "The time that every rule goes by; empty for the real time.",
							   "For tests, demonstrations and imports.", &clock_setting, "", PGC_SUSET, 0, clock_check,
							   clock_assign, NULL);
}

/* rental_now is the start of the transaction, or the time set by rental.clock. */
TimestampTz
rental_now(void)
{
	return clock_set ? clock_time : GetCurrentTransactionStartTimestamp();
}

PG_FUNCTION_INFO_V1(rental_now_sql);
Datum
rental_now_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(rental_now());
}

/* period_check_window refuses a window that nobody can look through; field is the one to blame. */
Period
period_check_window(TimestampTz start, TimestampTz end, const char *field)
{
	Period period = {start, end};

	if (TIMESTAMP_NOT_FINITE(start) || TIMESTAMP_NOT_FINITE(end) || end > PERIOD_LAST)
		rental_raise(invalid_period, errmsg("a period has a start and an end, before the year 10000"), errfield(field));
	if (end <= start)
		rental_raise(invalid_period, errmsg("the period ends before it starts"), errfield(field));
	if (end - start > PERIOD_LONGEST)
		rental_raise(invalid_period, errmsg("the period is longer than 5 years"), errfield(field));
	return period;
}

/* period_check refuses a period that no rental can have. */
Period
period_check(TimestampTz start, TimestampTz end, const char *field)
{
	Period period = period_check_window(start, end, field);

	if (end - start < PERIOD_SHORTEST)
		rental_raise(invalid_period, errmsg("a rental lasts at least 15 minutes"), errfield(field));
	return period;
}

/*
 * period_from_range reads a tstzrange as [start, end); an open side is an
 * infinity. It returns false for the empty range. Microseconds are discrete,
 * so a bound of the other kind is one microsecond away.
 */
bool
period_from_range(Datum range, Period *period)
{
	TypeCacheEntry *cache = lookup_type_cache(TSTZRANGEOID, TYPECACHE_RANGE_INFO);
	RangeBound		lower;
	RangeBound		upper;
	bool			empty;

	range_deserialize(cache, DatumGetRangeTypeP(range), &lower, &upper, &empty);
	if (empty)
		return false;
	period->start = lower.infinite ? DT_NOBEGIN : DatumGetTimestampTz(lower.val);
	period->end = upper.infinite ? DT_NOEND : DatumGetTimestampTz(upper.val);
	if (!lower.infinite && !lower.inclusive && !TIMESTAMP_NOT_FINITE(period->start))
		period->start++;
	if (!upper.infinite && upper.inclusive && !TIMESTAMP_NOT_FINITE(period->end))
		period->end++;
	return period->start < period->end;
}

/* period_range_datum makes a tstzrange [start, end). */
Datum
period_range_datum(TimestampTz start, TimestampTz end)
{
	TypeCacheEntry *cache = lookup_type_cache(TSTZRANGEOID, TYPECACHE_RANGE_INFO);
	RangeBound		lower = {0};
	RangeBound		upper = {0};

	lower.val = TimestampTzGetDatum(start);
	lower.infinite = TIMESTAMP_IS_NOBEGIN(start);
	lower.inclusive = true;
	lower.lower = true;
	upper.val = TimestampTzGetDatum(end);
	upper.infinite = TIMESTAMP_IS_NOEND(end);
	return RangeTypePGetDatum(make_range(cache, &lower, &upper, false));
}

pg_tz *
period_zone(const char *name)
{
	pg_tz *zone = pg_tzset(name);

	if (zone == NULL)
		rental_raise(invalid_value, errmsg("time zone \"%s\" is not known", name), errfield("time_zone"));
	return zone;
}

static void
local_time(TimestampTz at, pg_tz *zone, struct pg_tm *tm, fsec_t *fsec)
{
	int tz;

	if (timestamp2tm(at, &tz, tm, fsec, NULL, zone) != 0)
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
}

/* period_local_date is the date, as a Julian day, and the time of day at a time on the vendor's clock. */
int32
period_local_date(TimestampTz at, pg_tz *zone, int64 *time_of_day)
{
	struct pg_tm tm;
	fsec_t		 fsec;

	local_time(at, zone, &tm, &fsec);
	*time_of_day = ((tm.tm_hour * 60 + tm.tm_min) * 60 + tm.tm_sec) * USECS_PER_SEC + fsec;
	return date2j(tm.tm_year, tm.tm_mon, tm.tm_mday);
}

/* period_plus is a time and an interval later. */
TimestampTz
period_plus(TimestampTz at, Datum interval)
{
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(at), interval));
}

/* period_year is the calendar year at a time on the vendor's clock. */
int
period_year(TimestampTz at, pg_tz *zone)
{
	struct pg_tm tm;
	fsec_t		 fsec;

	local_time(at, zone, &tm, &fsec);
	return tm.tm_year;
}

/* write_digits writes a number of so many digits, and what comes after it. */
static char *
write_digits(char *out, int number, int width, char after)
{
	int i;

	for (i = width - 1; i >= 0; i--, number /= 10)
		out[i] = '0' + number % 10;
	out[width] = after;
	return out + width + 1;
}

/* period_time_text writes a time as RFC 3339 in UTC, an infinity as PostgreSQL does. */
char *
period_time_text(TimestampTz at)
{
	char		*text = palloc(40);
	char		*end = text;
	struct pg_tm tm;
	fsec_t		 fsec;

	if (TIMESTAMP_NOT_FINITE(at))
		return pstrdup(TIMESTAMP_IS_NOBEGIN(at) ? "-infinity" : "infinity");
	if (timestamp2tm(at, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
	if (tm.tm_year >= 0 && tm.tm_year <= 9999)
		end = write_digits(end, tm.tm_year, 4, '-');
	else
		end += sprintf(end, "%04d-", tm.tm_year);
	end = write_digits(end, tm.tm_mon, 2, '-');
	end = write_digits(end, tm.tm_mday, 2, 'T');
	end = write_digits(end, tm.tm_hour, 2, ':');
	end = write_digits(end, tm.tm_min, 2, ':');
	end = write_digits(end, tm.tm_sec, 2, fsec == 0 ? 'Z' : '.');
	if (fsec != 0)
		end = write_digits(end, fsec, 6, 'Z');
	*end = '\0';
	return text;
}
