/*
 * charge.c
 *	  What a period is charged for one piece by a rate: exact arithmetic on whole minor units of a currency.
 *
 * Nothing here reads a table. Each figure is rounded once, half-up, and what
 * a step changes is the difference of two rounded figures, so that the lines
 * that explain a charge always sum to it.
 */
#include "charge.h"

#include "errors.h"
#include "utils/datetime.h"

static Minor
checked(int128 amount)
{
	if (amount > MOST_MINOR)
		rental_raise(invalid_value, errmsg("the price is too large"));
	return amount < 0 ? 0 : (Minor) amount;
}

/* divide_half_up divides what is not negative. */
static int128
divide_half_up(int128 a, int128 b)
{
	return a <= 0 ? 0 : (2 * a + b) / (2 * b);
}

/* charge_scale is an amount times a factor. */
Minor
charge_scale(Minor amount, int64 millionths)
{
	return checked(divide_half_up((int128) amount * millionths, MILLION));
}

/* charge_part is the part of an amount that a part has in a whole. */
Minor
charge_part(Minor amount, int64 part, int64 whole)
{
	return checked(divide_half_up((int128) amount * part, whole));
}

/* Units of charge */

/* units_in is how many units a time takes: so many whole ones, and one more if the rest is more than the leeway. */
static int64
units_in(int64 time, int64 unit, int64 leeway)
{
	return time / unit + (time % unit > leeway ? 1 : 0);
}

/* days of the local clock: from 10:00 to 10:00 is one, also when it has 23 or 25 hours */
static int32
count_days(const Rate *rate, const Period *period, pg_tz *zone, int32 *first)
{
	int64 start_time;
	int64 end_time;
	int32 last = period_local_date(period->end, zone, &end_time);
	int64 count;

	*first = period_local_date(period->start, zone, &start_time);
	if (rate->by_calendar)
		count = last - *first + (end_time > rate->leeway ? 1 : 0);
	else
		count = units_in((last - *first) * USECS_PER_DAY + end_time - start_time, USECS_PER_DAY, rate->leeway);
	return Max(count, 1);
}

/* charge_units finds what a period is charged for. */
ChargedUnits
charge_units(const Rate *rate, const Period *period, pg_tz *zone)
{
	ChargedUnits units;
	int32		 first;
	int32		 days;
	int32		 i;

	if (rate->by_hour)
	{
		int64 hours = units_in(period->end - period->start, USECS_PER_HOUR, rate->leeway);

		units.count = Max(hours, 1);
		units.dates = palloc(units.count * sizeof(int32));
		for (i = 0; i < units.count; i++)
		{
			int64 time;

			units.dates[i] = period_local_date(period->start + i * USECS_PER_HOUR, zone, &time);
		}
		return units;
	}
	days = count_days(rate, period, zone, &first);
	units.count = 0;
	units.dates = palloc(days * sizeof(int32));
	for (i = 0; i < days; i++)
		if (!rate->weekend_as_day || i == 0 || j2day(first + i) != 0)
			units.dates[units.count++] = first + i;
	return units;
}

/* Lines */

void
charge_explain(Charge *charge, const char *step, const char *description, int32 units, Minor amount)
{
	charge->lines = charge->lines == NULL ? palloc(16 * sizeof(ChargeLine))
					: (charge->nlines & (charge->nlines - 1)) == 0 && charge->nlines >= 16
						? repalloc(charge->lines, 2 * charge->nlines * sizeof(ChargeLine))
						: charge->lines;
	charge->lines[charge->nlines++] = (ChargeLine){step, description, units, amount};
}

/* Strategies. Each gives the charge for every number of units up to n, for seasons need them all. */

/*
 * mix_tiers finds the cheapest mix of tiers that covers each number of units:
 * covering n costs the least of covering what a tier leaves of n and that
 * tier. It cannot fall as n grows.
 */
static void
mix_tiers(const Rate *rate, int32 n, Minor *cost, int32 *choice)
{
	int32 i;
	int	  t;

	cost[0] = 0;
	for (i = 1; i <= n; i++)
	{
		int128 best = -1;

		for (t = 0; t < rate->ntiers; t++)
		{
			int128 sum = (int128) cost[Max(i - rate->tiers[t].units, 0)] + rate->tiers[t].amount;

			/* of two that cost the same the longer one, which takes fewer words */
			if (best < 0 || sum <= best)
			{
				best = sum;
				choice[i] = t;
			}
		}
		cost[i] = checked(best);
	}
}

static Minor
tiered(const Rate *rate, int32 n, int *tier)
{
	*tier = 0;
	while (*tier < rate->ntiers - 1 && rate->tiers[*tier].units < n)
		(*tier)++;
	return checked(rate->tiers[*tier].amount + (int128) Max(n - rate->tiers[*tier].units, 0) * rate->extra);
}

static Minor
unit_by_factor(const Rate *rate, int32 i)
{
	return charge_scale(rate->tiers[0].amount,
						rate->nfactors == 0 ? MILLION : rate->factors[Min(i, rate->nfactors - 1)]);
}

static Minor
fixed(const Rate *rate, int32 n)
{
	Minor further = charge_scale(rate->tiers[0].amount, rate->extra_percent);

	return checked(rate->tiers[0].amount + (int128) Max(n - rate->tiers[0].units, 0) * further);
}

static void
base_costs(const Rate *rate, int32 n, Minor *cost, int32 *choice)
{
	int32 i;
	int	  tier;

	if (rate->strategy == RATE_OPTIMAL)
	{
		mix_tiers(rate, n, cost, choice);
		return;
	}
	cost[0] = 0;
	for (i = 1; i <= n; i++)
		switch (rate->strategy)
		{
			case RATE_TIERED:
				cost[i] = tiered(rate, i, &tier);
				break;
			case RATE_MULTIPLIER:
				cost[i] = checked((int128) cost[i - 1] + unit_by_factor(rate, i - 1));
				break;
			default:
				cost[i] = fixed(rate, i);
		}
}

static const char *
unit_name(const Rate *rate, int32 n)
{
	return rate->by_hour ? (n == 1 ? "hour" : "hours") : (n == 1 ? "day" : "days");
}

static char *
factor_text(int64 millionths)
{
	char *text = psprintf("%lld.%06lld", (long long) (millionths / MILLION), (long long) (millionths % MILLION));
	char *end = text + strlen(text);

	while (end[-1] == '0')
		*--end = '\0';
	if (end[-1] == '.')
		end[-1] = '\0';
	return text;
}

static void
explain_base(Charge *charge, const Rate *rate, int32 n, const int32 *choice)
{
	int32 *times;
	int32  left;
	int	   t;
	int	   i;

	switch (rate->strategy)
	{
		case RATE_OPTIMAL:
			times = palloc0(rate->ntiers * sizeof(int32));
			for (left = n; left > 0; left -= rate->tiers[choice[left]].units)
				times[choice[left]]++;
			for (t = rate->ntiers - 1; t >= 0; t--)
				if (times[t] > 0)
					charge_explain(charge, "base",
								   times[t] == 1 ? rate->tiers[t].name
												 : psprintf("%d x %s", times[t], rate->tiers[t].name),
								   times[t] * rate->tiers[t].units, times[t] * rate->tiers[t].amount);
			break;
		case RATE_TIERED:
			tiered(rate, n, &t);
			charge_explain(charge, "base", psprintf("up to %s", rate->tiers[t].name), Min(n, rate->tiers[t].units),
						   rate->tiers[t].amount);
			if (n > rate->tiers[t].units)
				charge_explain(
					charge, "base",
					psprintf("%d further %s", n - rate->tiers[t].units, unit_name(rate, n - rate->tiers[t].units)),
					n - rate->tiers[t].units, (n - rate->tiers[t].units) * rate->extra);
			break;
		case RATE_MULTIPLIER:
			/* units of one factor together */
			for (i = 0; i < n; i = left)
			{
				Minor each = unit_by_factor(rate, i);

				for (left = i + 1; left < n && unit_by_factor(rate, left) == each; left++)
					;
				charge_explain(
					charge, "base",
					psprintf("%d %s x %s", left - i, unit_name(rate, left - i),
							 factor_text(rate->nfactors == 0 ? MILLION : rate->factors[Min(i, rate->nfactors - 1)])),
					left - i, (left - i) * each);
			}
			break;
		case RATE_FIXED:
			charge_explain(charge, "base", rate->tiers[0].name, Min(n, rate->tiers[0].units), rate->tiers[0].amount);
			if (n > rate->tiers[0].units)
				charge_explain(charge, "base",
							   psprintf("%d further %s at %s %% each", n - rate->tiers[0].units,
										unit_name(rate, n - rate->tiers[0].units),
										factor_text(rate->extra_percent * 100)),
							   n - rate->tiers[0].units, fixed(rate, n) - rate->tiers[0].amount);
			break;
	}
}

/* Seasons */

static bool
season_has(const Season *season, int32 date)
{
	int weekday = j2day(date);

	return date >= season->from_date && date <= season->to_date &&
		   (season->weekdays == 0 || (season->weekdays >> (weekday == 0 ? 7 : weekday)) & 1);
}

/* season_of finds the first season that has a date; -1: none. */
static int
season_of(const Season *seasons, int nseasons, int32 date)
{
	int s;

	for (s = 0; s < nseasons; s++)
		if (season_has(&seasons[s], date))
			return s;
	return -1;
}

/*
 * in_season is what the first `applied` seasons make of the charge for n
 * units, of which each season has so many. The base counts for each unit
 * alike; under a multiplier each unit has its own.
 */
static Minor
in_season(Minor base, int32 n, const Season *seasons, int applied, const int32 *has, const Minor *share)
{
	int128 sum = (int128) base * MILLION * n;
	int	   s;

	for (s = 0; s < applied; s++)
	{
		int128 of_base = share != NULL ? (int128) share[s] * n : (int128) base * has[s];

		if (has[s] == 0)
			continue;
		if (seasons[s].is_amount)
			sum += ((int128) seasons[s].amount * has[s] * n - of_base) * MILLION;
		else
			sum += of_base * seasons[s].percent;
	}
	return checked(divide_half_up(sum, (int128) MILLION * n));
}

/*
 * charge_period is the charge of a period for one piece. A longer period is
 * never cheaper than a shorter one from the same start under `optimal`, so a
 * cheap season at the end does not make the whole cheaper.
 */
Charge
charge_period(const Rate *rate, const Period *period, pg_tz *zone, const Season *seasons, int nseasons)
{
	Charge charge = {charge_units(rate, period, zone), 0, 0, NULL};
	int32  n = charge.units.count;
	Minor *cost = palloc((n + 1) * sizeof(Minor));
	int32 *choice = palloc((n + 1) * sizeof(int32));
	int32 *has = palloc0(Max(nseasons, 1) * sizeof(int32));
	Minor *share = rate->strategy == RATE_MULTIPLIER ? palloc0(Max(nseasons, 1) * sizeof(Minor)) : NULL;
	int32 *counted = palloc(Max(nseasons, 1) * sizeof(int32));
	int32  units = n;
	int32  k;
	int	   s;
	Minor  amount;

	base_costs(rate, n, cost, choice);
	amount = cost[n];
	if (nseasons > 0)
	{
		amount = -1;
		for (k = 1; k <= n; k++)
		{
			s = season_of(seasons, nseasons, charge.units.dates[k - 1]);
			if (s >= 0)
			{
				has[s]++;
				if (share != NULL)
					share[s] += unit_by_factor(rate, k - 1);
			}
			if (k == n || rate->strategy == RATE_OPTIMAL)
			{
				Minor here = in_season(cost[k], k, seasons, nseasons, has, share);

				if (here >= amount)
				{
					amount = here;
					units = k;
					memcpy(counted, has, nseasons * sizeof(int32));
				}
			}
		}
	}
	explain_base(&charge, rate, units, choice);
	charge.amount = cost[units];
	for (s = 0; s < nseasons; s++)
	{
		Minor with;

		if (counted[s] == 0)
			continue;
		with = in_season(cost[units], units, seasons, s + 1, counted, share);
		charge_explain(&charge, "season", seasons[s].name, counted[s], with - charge.amount);
		charge.amount = with;
	}
	if (units < n)
		charge_explain(&charge, "season", psprintf("no less than for %d %s", units, unit_name(rate, units)), n - units,
					   0);
	return charge;
}

/* Late fees */

/* charge_late is the fee for one piece that comes back so many microseconds too late. */
Minor
charge_late(const LatePolicy *policy, int64 late)
{
	int64  time = late;
	int64  days;
	int128 fee = 0;

	if (late <= policy->free || late <= 0)
		return 0;
	if (policy->deducts_free)
		time -= policy->free;
	days = time / USECS_PER_DAY;
	if (policy->nsteps > 0)
	{
		int	  step = 0;
		int64 left = days + (time % USECS_PER_DAY > 0 ? 1 : 0);

		for (; left > 0; step++)
		{
			int64 here = step < policy->nsteps - 1 ? Min(left, policy->steps[step].days) : left;

			fee += (int128) here * policy->steps[step].amount;
			left -= here;
		}
	}
	else
	{
		int64 rest = time % USECS_PER_DAY;
		Minor part = units_in(rest, USECS_PER_HOUR, 0) * policy->per_hour;

		if (policy->per_day == 0)
			fee = (int128) units_in(time, USECS_PER_HOUR, 0) * policy->per_hour;
		else
		{
			/* a day begun costs a day, or its hours where that is less */
			if (rest > 0 && (policy->per_hour == 0 || part > policy->per_day))
				part = policy->per_day;
			fee = (int128) days * policy->per_day + part;
		}
	}
	if (policy->cap >= 0 && fee > policy->cap)
		fee = policy->cap;
	return checked(fee);
}
