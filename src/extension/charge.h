/*
 * charge.h
 *	  What a period is charged for one piece by a rate: exact arithmetic on whole minor units of a currency.
 */
#ifndef RENTAL_CHARGE_H
#define RENTAL_CHARGE_H

#include "period.h"

/* An amount in minor units: cents, yen, fils */
typedef int64 Minor;
#define MOST_MINOR INT64CONST(1000000000000000000)

/* Factors and percentages are counted in millionths: 1000000 is one, or 100 % */
#define MILLION	   INT64CONST(1000000)

typedef enum RateStrategy
{
	RATE_OPTIMAL,	 /* the cheapest mix of tiers that covers the time */
	RATE_TIERED,	 /* the least tier that covers it, or the last and so much for each further unit */
	RATE_MULTIPLIER, /* the first tier's amount for each unit, times that unit's factor */
	RATE_FIXED		 /* the first tier, and a part of its amount for each further unit */
} RateStrategy;

typedef struct RateTier
{
	int32		units; /* in the rate's unit */
	Minor		amount;
	const char *name; /* "1 week" */
} RateTier;

typedef struct Rate
{
	RateStrategy strategy;
	bool		 by_hour;		 /* the unit of charge is the hour, else the day */
	bool		 by_calendar;	 /* local days touched, else 24 hours from the start on the local clock */
	bool		 weekend_as_day; /* a Sunday after a Saturday that is charged is not charged */
	int64		 leeway;		 /* microseconds that a unit may be exceeded by */
	int			 ntiers;
	RateTier	*tiers; /* by ascending units */
	Minor		 extra; /* tiered: each further unit */
	int			 nfactors;
	int64		*factors;		/* multiplier: millionths, of each unit; the last one goes on */
	int64		 extra_percent; /* fixed: millionths of the first tier, for each further unit */
} Rate;

/* The units that a period is charged for, each with the local date it counts for (a Julian day) */
typedef struct ChargedUnits
{
	int32  count;
	int32 *dates;
} ChargedUnits;

/* A season: what it makes of the units whose dates it has */
typedef struct Season
{
	const char *name;
	int32		from_date;
	int32		to_date;  /* the last day */
	int			weekdays; /* bit n: ISO weekday n; 0: all */
	bool		is_amount;
	int64		percent; /* millionths to add */
	Minor		amount;	 /* or an amount for each unit */
} Season;

/* A part of a charge: amounts sum to the charge */
typedef struct ChargeLine
{
	const char *step;
	const char *description;
	int32		units;
	Minor		amount;
} ChargeLine;

typedef struct Charge
{
	ChargedUnits units;
	Minor		 amount; /* for one piece */
	int			 nlines;
	ChargeLine	*lines;
} Charge;

/* Late fees */
typedef struct LateStep
{
	int32 days;
	Minor amount; /* for each of them */
} LateStep;

typedef struct LatePolicy
{
	int64	  free;			/* microseconds */
	bool	  deducts_free; /* what is free is not charged later either */
	Minor	  per_day;
	Minor	  per_hour; /* of a day begun, up to per_day where both are set */
	int		  nsteps;
	LateStep *steps; /* days one after the other; the last amount goes on */
	Minor	  cap;	 /* -1: none */
} LatePolicy;

extern Minor		charge_scale(Minor amount, int64 millionths);
extern Minor		charge_part(Minor amount, int64 part, int64 whole);
extern ChargedUnits charge_units(const Rate *rate, const Period *period, pg_tz *zone);
extern Charge charge_period(const Rate *rate, const Period *period, pg_tz *zone, const Season *seasons, int nseasons);
extern void	  charge_explain(Charge *charge, const char *step, const char *description, int32 units, Minor amount);
extern Minor  charge_late(const LatePolicy *policy, int64 late);

#endif /* RENTAL_CHARGE_H */
