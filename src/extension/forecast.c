/*
 * forecast.c
 *	  What will be wanted: forecasts of demand by product and week, and what
 *	  to buy and to part with because of them.
 *
 * Additive exponential smoothing, in the notation of Hyndman and
 * Athanasopoulos, "Forecasting: Principles and Practice" (3rd ed., chapter 8):
 * level l, damped trend b (phi), season s. Three models of it (simple; damped
 * trend; damped trend and season, when two whole seasons are there) and the
 * mean compete by how they forecast the last weeks; their parameters leave the
 * least squared errors of one step, by Nelder and Mead's simplex method. Demand that is mostly zero goes to
 * Croston's method as corrected by Syntetos and Boylan. How good it is shows
 * a back-test: the last weeks are forecast from what was known before each,
 * everything chosen anew, beside a naive and a seasonal naive forecast.
 */
#include "rental.h"

#include <float.h>
#include <math.h>

#include "errors.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "period.h"
#include "plan.h"
#include "report.h"
#include "request.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#define MAX_WEEKS	   104
#define MAX_SEASON	   366
#define WEEKS_A_YEAR   52
#define MEAN_BELOW	   4	/* points: too few to smooth */
#define TREND_FROM	   12	/* points from which on a trend may be seen */
#define SPARSE		   0.5	/* part of zeros from which on demand is sparse */
#define TEST_MOST	   12	/* the last points, from each of which on forecasts are tried */
#define AHEAD		   4	/* weeks from each */
#define CLEARLY		   0.98 /* as much of the error of a simpler model */
#define MAX_PARAMETERS 4
#define SIMPLEX_STEPS  300

typedef enum Model
{
	MODEL_MEAN,
	MODEL_SIMPLE,
	MODEL_TREND,
	MODEL_SEASON,
	MODEL_CROSTON
} Model;

static const char *const model_names[] = {"mean", "simple", "damped_trend", "holt_winters", "croston"};

typedef struct Fit
{
	Model  model;
	double alpha;
	double beta;
	double phi;
	double gamma;
	double sse; /* of one step ahead */
	double level;
	double trend;
	double season[MAX_SEASON]; /* of the next period, the one after it, ... */
	int	   period;
} Fit;

/* what the simplex method minimises */
typedef struct Problem
{
	const double *y;
	int			  n;
	Fit			  fit;
} Problem;

static double
mean_of(const double *y, int n)
{
	double sum = 0;

	for (int i = 0; i < n; i++)
		sum += y[i];
	return n > 0 ? sum / n : 0;
}

/*
 * run_smoothing runs the model through the series from its first states: the
 * season's from the first two seasons, the level and trend from their means,
 * or without a season from the first points. It leaves the last states.
 */
static void
run_smoothing(Fit *fit, const double *y, int n)
{
	int	   m = fit->model == MODEL_SEASON ? fit->period : 1;
	double season[MAX_SEASON];
	double level;
	double trend = 0;

	if (fit->model == MODEL_SEASON)
	{
		double first = mean_of(y, m);
		double second = mean_of(y + m, m);

		trend = (second - first) / m;
		level = first - trend * (m + 1) / 2;
		for (int i = 0; i < m; i++)
			season[i] =
				((y[i] - first - trend * (i - (m - 1) / 2.0)) + (y[m + i] - second - trend * (i - (m - 1) / 2.0))) / 2;
	}
	else
	{
		level = mean_of(y, Min(n, 4));
		season[0] = 0;
		if (fit->model == MODEL_TREND)
		{
			trend = (mean_of(y + n / 2, n - n / 2) - mean_of(y, n / 2)) / (n / 2.0);
			level = y[0] - trend;
		}
	}
	fit->sse = 0;
	for (int t = 0; t < n; t++)
	{
		double	base = level + fit->phi * trend;
		double *s = &season[t % m];
		double	error = y[t] - base - *s;

		fit->sse += error * error;
		level = base + fit->alpha * error;
		trend = fit->phi * trend + fit->alpha * fit->beta * error;
		if (fit->model == MODEL_SEASON)
			*s += fit->gamma * error;
	}
	fit->level = level;
	fit->trend = trend;
	for (int i = 0; i < m; i++)
		fit->season[i] = season[(n + i) % m];
}

/* unit puts a number without bounds between two bounds. */
static double
unit(double x, double low, double high)
{
	return low + (high - low) / (1 + exp(-x));
}

static int
parameter_count(Model model)
{
	return model == MODEL_SIMPLE ? 1 : model == MODEL_TREND ? 3 : 4;
}

static double
loss(Problem *problem, const double *x)
{
	Fit *fit = &problem->fit;

	fit->alpha = unit(x[0], 0.0001, 0.9999);
	if (fit->model != MODEL_SIMPLE)
	{
		fit->beta = unit(x[1], 0.0001, 0.9999);
		fit->phi = unit(x[2], 0.8, 0.98);
	}
	if (fit->model == MODEL_SEASON)
		fit->gamma = unit(x[3], 0.0001, 0.9999) * (1 - fit->alpha);
	run_smoothing(fit, problem->y, problem->n);
	return fit->sse;
}

/* minimise is the simplex method of Nelder and Mead; problem is left as the best point has it. */
static void
minimise(Problem *problem, int k, const double *start)
{
	double point[MAX_PARAMETERS + 1][MAX_PARAMETERS];
	double value[MAX_PARAMETERS + 1] = {0};
	int	   best = 0;

	for (int i = 0; i <= k; i++)
	{
		for (int j = 0; j < k; j++)
			point[i][j] = start[j] + (i == j + 1 ? 1.5 : 0);
		value[i] = loss(problem, point[i]);
	}
	for (int step = 0; step < SIMPLEX_STEPS; step++)
	{
		double centre[MAX_PARAMETERS] = {0};
		double tried[MAX_PARAMETERS];
		double further[MAX_PARAMETERS];
		double got;
		int	   worst = 0;
		int	   second;

		best = 0;
		for (int i = 1; i <= k; i++)
		{
			if (value[i] < value[best])
				best = i;
			if (value[i] > value[worst])
				worst = i;
		}
		second = best;
		for (int i = 0; i <= k; i++)
			if (i != worst && value[i] > value[second])
				second = i;
		if (value[worst] - value[best] <= 1e-7 * (fabs(value[best]) + 1e-10))
			break;
		for (int i = 0; i <= k; i++)
			for (int j = 0; j < k && i != worst; j++)
				centre[j] += point[i][j] / k;
		for (int j = 0; j < k; j++)
			tried[j] = 2 * centre[j] - point[worst][j];
		got = loss(problem, tried);
		if (got < value[best])
		{
			double gone;

			for (int j = 0; j < k; j++)
				further[j] = 3 * centre[j] - 2 * point[worst][j];
			gone = loss(problem, further);
			if (gone < got)
			{
				memcpy(tried, further, sizeof(tried));
				got = gone;
			}
		}
		else if (got >= value[second])
		{
			for (int j = 0; j < k; j++)
				tried[j] = (centre[j] + point[worst][j]) / 2;
			got = loss(problem, tried);
			if (got >= value[worst])
			{
				for (int i = 0; i <= k; i++)
				{
					if (i == best)
						continue;
					for (int j = 0; j < k; j++)
						point[i][j] = (point[i][j] + point[best][j]) / 2;
					value[i] = loss(problem, point[i]);
				}
				continue;
			}
		}
		memcpy(point[worst], tried, sizeof(tried));
		value[worst] = got;
	}
	for (int i = 0; i <= k; i++)
		if (value[i] < value[best])
			best = i;
	loss(problem, point[best]);
}

/* fit_model finds the parameters of a model, from two places to begin. */
static Fit
fit_model(Model model, const double *y, int n, int period)
{
	static const double starts[2][MAX_PARAMETERS] = {{-1.5, -2.5, 1, -2}, {0.5, -1, 0, -3}};
	Problem				problem = {.y = y, .n = n};
	Fit					best = {.sse = DBL_MAX};

	for (int i = 0; i < 2; i++)
	{
		memset(&problem.fit, 0, sizeof(problem.fit));
		problem.fit.model = model;
		problem.fit.period = period;
		minimise(&problem, parameter_count(model), starts[i]);
		if (i == 0 || problem.fit.sse < best.sse)
			best = problem.fit;
	}
	return best;
}

static Fit
fit_mean(const double *y, int n)
{
	Fit fit = {.model = MODEL_MEAN, .level = mean_of(y, n)};

	for (int t = 0; t < n; t++)
		fit.sse += (y[t] - fit.level) * (y[t] - fit.level);
	return fit;
}

/* fit_croston: size and distance of what is not zero, each smoothed; its alpha by a grid. */
static Fit
fit_croston(const double *y, int n)
{
	Fit best = {.model = MODEL_CROSTON, .sse = DBL_MAX};

	for (int i = 1; i <= 10; i++)
	{
		double alpha = 0.03 * i;
		double size = 0;
		double distance = 1;
		double sse = 0;
		int	   since = 1;
		bool   begun = false;

		for (int t = 0; t < n; t++, since++)
		{
			double error = y[t] - (begun ? (1 - alpha / 2) * size / distance : 0);

			sse += error * error;
			if (y[t] <= 0)
				continue;
			size = begun ? size + alpha * (y[t] - size) : y[t];
			distance = begun ? distance + alpha * (since - distance) : since;
			begun = true;
			since = 0;
		}
		if (sse < best.sse)
		{
			best.sse = sse;
			best.alpha = alpha;
			best.level = begun ? (1 - alpha / 2) * size / distance : 0;
		}
	}
	return best;
}

/* forecast_at is the forecast of so many steps ahead, from 1; nobody wants less than nothing. */
static double
forecast_at(const Fit *fit, int ahead)
{
	double value = fit->level;
	double damped = 0;
	double factor = 1;

	if (fit->model == MODEL_TREND || fit->model == MODEL_SEASON)
	{
		for (int i = 0; i < ahead; i++)
			damped += factor *= fit->phi;
		value += damped * fit->trend;
	}
	if (fit->model == MODEL_SEASON)
		value += fit->season[(ahead - 1) % fit->period];
	return Max(value, 0);
}

/* ahead_error sums what a fit, run up to each of the last points, is off in the weeks from there. */
static double
ahead_error(Fit fit, const double *y, int n, int points)
{
	double error = 0;

	for (int origin = n - points; origin < n; origin++)
	{
		if (fit.model == MODEL_MEAN)
			fit.level = mean_of(y, origin);
		else
			run_smoothing(&fit, y, origin);
		for (int t = origin; t < n && t < origin + AHEAD; t++)
			error += fabs(y[t] - forecast_at(&fit, t - origin + 1));
	}
	return error;
}

static Fit
fit_of(Model model, const double *y, int n, int period)
{
	return model == MODEL_MEAN ? fit_mean(y, n) : fit_model(model, y, n, period);
}

/*
 * fit_best chooses by the last weeks, which each model forecasts by the
 * parameters that fit what was before them. A model must be clearly better
 * to be taken in place of a simpler one.
 */
static Fit
fit_best(const double *y, int n, int period)
{
	Fit	   mean = fit_mean(y, n);
	Model  best = MODEL_MEAN;
	Model  last = MODEL_SIMPLE;
	int	   points = Min(TEST_MOST, n / 3);
	int	   zeros = 0;
	double least = 0;

	for (int t = 0; t < n; t++)
		zeros += y[t] <= 0;
	if (n < MEAN_BELOW || zeros == n || mean.sse == 0)
		return mean;
	if (zeros > SPARSE * n)
		return fit_croston(y, n);
	if (n >= TREND_FROM)
		last = MODEL_TREND;
	if (n >= 2 * period + AHEAD)
	{
		last = MODEL_SEASON;
		points = Min(points, n - 2 * period);
	}
	for (Model model = MODEL_MEAN; model <= last; model++)
	{
		Fit	   fit = fit_of(model, y, n - points, period);
		double error = ahead_error(fit, y, n, points);

		if (model == MODEL_MEAN || error < CLEARLY * least)
		{
			least = error;
			best = model;
		}
	}
	return fit_of(best, y, n, period);
}

/* the errors of a back-test; NAN where there is none */
typedef struct Backtest
{
	int	   points;
	double mae;
	double smape;
	double mase;
	double naive_mae;
	double seasonal_mae;
} Backtest;

static Backtest
backtest(const double *y, int n, int period)
{
	Backtest test = {.mae = NAN, .smape = NAN, .mase = NAN, .naive_mae = NAN, .seasonal_mae = NAN};
	int		 origins = Min(TEST_MOST, n / 3);
	int		 seasonal = 0;
	double	 error = 0;
	double	 relative = 0;
	double	 naive = 0;
	double	 season = 0;
	double	 scale = 0;

	for (int origin = n - origins; origin < n; origin++)
	{
		Fit fit = fit_best(y, origin, period);

		CHECK_FOR_INTERRUPTS();
		for (int t = origin; t < n && t < origin + AHEAD; t++)
		{
			double forecast = forecast_at(&fit, t - origin + 1);
			double off = fabs(y[t] - forecast);

			error += off;
			if (y[t] + forecast > 0)
				relative += 200 * off / (y[t] + forecast);
			naive += fabs(y[t] - y[origin - 1]);
			test.points++;
			if (n - origins >= period)
			{
				season += fabs(y[t] - y[t - period]);
				seasonal++;
			}
		}
	}
	if (test.points == 0)
		return test;
	test.mae = error / test.points;
	test.smape = relative / test.points;
	test.naive_mae = naive / test.points;
	if (seasonal > 0)
		test.seasonal_mae = season / seasonal;
	/* scaled by what the naive forecast was off, one step ahead, before the back-test */
	for (int t = 1; t < n - origins; t++)
		scale += fabs(y[t] - y[t - 1]);
	if (scale > 0)
		test.mase = test.mae / (scale / (n - origins - 1));
	return test;
}

static Datum
rounded(double value, int places)
{
	Datum exact = DirectFunctionCall1(float8_numeric, Float8GetDatum(value));

	return DirectFunctionCall2(numeric_round, exact, Int32GetDatum(places));
}

static void
set_number(Datum *values, bool *nulls, int column, double value)
{
	nulls[column] = isnan(value);
	if (!nulls[column])
		values[column] = rounded(value, 4);
}

static void
require_weeks(int weeks)
{
	if (weeks < 1 || weeks > MAX_WEEKS)
		rental_raise(invalid_value, errmsg("weeks must be between 1 and %d", MAX_WEEKS), errfield("weeks"));
}

static double *
read_series(Datum datum, int *n)
{
	ArrayType *array = DatumGetArrayTypeP(datum);
	Datum	  *items;
	bool	  *nulls;
	double	  *y;

	deconstruct_array(array, FLOAT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &items, &nulls, n);
	y = palloc((*n + 1) * sizeof(double));
	for (int i = 0; i < *n; i++)
	{
		y[i] = nulls[i] ? 0 : DatumGetFloat8(items[i]);
		if (!(y[i] >= 0) || y[i] > 1e12)
			rental_raise(invalid_value, errmsg("demand must not be below zero or out of range"), errfield("demand"));
	}
	return y;
}

/*
 * forecast_series(demand double precision[], weeks integer, season integer)
 * -> one row of its model, its parameters and forecasts, and its back-test
 */
PG_FUNCTION_INFO_V1(forecast_series);
Datum
forecast_series(PG_FUNCTION_ARGS)
{
	int		  weeks = PG_GETARG_INT32(1);
	int		  period = PG_GETARG_INT32(2);
	int		  n;
	double	 *y = read_series(PG_GETARG_DATUM(0), &n);
	Datum	  values[13];
	bool	  nulls[13] = {false};
	Datum	 *ahead;
	TupleDesc desc;
	Fit		  fit;
	Backtest  test;

	require_weeks(weeks);
	if (period < 2 || period > MAX_SEASON)
		rental_raise(invalid_value, errmsg("season must be between 2 and %d", MAX_SEASON), errfield("season"));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "forecast_series must return a row");
	fit = fit_best(y, n, period);
	test = backtest(y, n, period);
	ahead = palloc(weeks * sizeof(Datum));
	for (int i = 0; i < weeks; i++)
		ahead[i] = Float8GetDatum(forecast_at(&fit, i + 1));
	values[0] = CStringGetTextDatum(model_names[fit.model]);
	values[1] = PointerGetDatum(construct_array(ahead, weeks, FLOAT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	values[2] = Float8GetDatum(fit.sse);
	values[3] = Float8GetDatum(fit.alpha);
	values[4] = Float8GetDatum(fit.beta);
	values[5] = Float8GetDatum(fit.phi);
	values[6] = Float8GetDatum(fit.gamma);
	values[7] = Int32GetDatum(test.points);
	set_number(values, nulls, 8, test.mae);
	set_number(values, nulls, 9, test.smape);
	set_number(values, nulls, 10, test.mase);
	set_number(values, nulls, 11, test.naive_mae);
	set_number(values, nulls, 12, test.seasonal_mae);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/*
 * The demand of each product by week: the most pieces that were wanted at
 * once, taken and lost, from its first week of the last four years to the
 * last whole week, on the vendor's clock.
 */
PLAN(
	demand,
	"WITH p AS (SELECT p.id, p.vendor_id, p.name, v.time_zone, date_trunc('week', $3 AT TIME ZONE v.time_zone) AS this_week "
	" FROM rental.products p JOIN rental.vendors v ON v.id = p.vendor_id "
	" WHERE p.is_active AND p.kind = 'rental' AND ($1 IS NULL OR p.vendor_id = $1) AND ($2 IS NULL OR p.id = $2)), "
	"w AS (SELECT product_id, timeline_agg(period, quantity) AS wanted, min(lower(period)) AS first FROM ("
	"  SELECT i.product_id, tstzrange(i.start_at, i.end_at) AS period, i.quantity FROM p JOIN rental.order_items i ON i.product_id = p.id AND i.vendor_id = p.vendor_id "
	"  JOIN rental.orders o ON o.id = i.order_id AND o.vendor_id = i.vendor_id "
	"  WHERE o.status NOT IN ('draft', 'quoted', 'cancelled', 'rejected', 'expired') AND i.start_at < $3 "
	"  UNION ALL SELECT l.product_id, tstzrange(l.start_at, l.end_at), l.quantity FROM p JOIN rental.lost_demand l ON l.product_id = p.id AND l.vendor_id = p.vendor_id "
	"  WHERE l.start_at < $3) d GROUP BY product_id) "
	"SELECT p.id, p.name, p.vendor_id, p.time_zone, p.this_week, ARRAY(SELECT rental.timeline_max(w.wanted, tstzrange(k AT TIME ZONE p.time_zone, "
	"  (k + interval '1 week') AT TIME ZONE p.time_zone))::double precision "
	" FROM generate_series(CASE WHEN w.first IS NOT NULL THEN GREATEST(date_trunc('week', w.first AT TIME ZONE p.time_zone), p.this_week - interval '208 weeks') END, "
	"  p.this_week - interval '1 week', interval '1 week') k ORDER BY k) "
	"FROM p LEFT JOIN w ON w.product_id = p.id ORDER BY p.name, p.id",
	UUIDOID, UUIDOID, TIMESTAMPTZOID);
PLAN(week_at, "SELECT ($1 + make_interval(weeks => $2)) AT TIME ZONE $3", TIMESTAMPOID, INT4OID, TEXTOID);

/* put_product adds the rows of one product, a row of the plan demand. */
static void
put_product(ReturnSetInfo *rsinfo, SPITupleTable *rows, uint64 row, int weeks)
{
	Datum	 values[12];
	bool	 nulls[12] = {false};
	int		 n;
	double	*y = read_series(plan_value_of(rows, row, 6).value, &n);
	Fit		 fit = fit_best(y, n, WEEKS_A_YEAR);
	Backtest test = backtest(y, n, WEEKS_A_YEAR);

	for (int i = 0; i < 3; i++)
		values[i] = plan_value_of(rows, row, i + 1).value;
	values[5] = CStringGetTextDatum(model_names[fit.model]);
	values[6] = Int32GetDatum(n);
	set_number(values, nulls, 7, test.mae);
	set_number(values, nulls, 8, test.smape);
	set_number(values, nulls, 9, test.mase);
	set_number(values, nulls, 10, test.naive_mae);
	set_number(values, nulls, 11, test.seasonal_mae);
	for (int week = 0; week < weeks; week++)
	{
		plan_read(&week_at, plan_value_of(rows, row, 5), VALUE(Int32GetDatum(week)), plan_value_of(rows, row, 4));
		values[3] = plan_datum(0, 1);
		values[4] = rounded(forecast_at(&fit, week + 1), 2);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
}

/* forecast_of(vendor_id uuid, product_id uuid, weeks integer) */
PG_FUNCTION_INFO_V1(forecast_of);
Datum
forecast_of(PG_FUNCTION_ARGS)
{
	SPITupleTable *rows;
	uint64		   n;

	InitMaterializedSRF(fcinfo, 0);
	plan_open();
	n = plan_read(&demand, FCARG(0), FCARG(1), VALUE(TimestampTzGetDatum(rental_now())));
	rows = SPI_tuptable;
	for (uint64 i = 0; i < n; i++)
		put_product((ReturnSetInfo *) fcinfo->resultinfo, rows, i, PG_GETARG_INT32(2));
	plan_close();
	PG_RETURN_NULL();
}

PLAN(
	forecast,
	"SELECT product_id, product_name, week_at, forecast, model, known_weeks, mae, smape, mase, naive_mae, seasonal_naive_mae "
	"FROM rental.forecast_of($1, $2, $3)",
	UUIDOID, UUIDOID, INT4OID);

/* report_forecast(product_id uuid, weeks integer, vendor_id uuid) */
PG_FUNCTION_INFO_V1(report_forecast);
Datum
report_forecast(PG_FUNCTION_ARGS)
{
	request_required(FCARG(1), "weeks");
	require_weeks(PG_GETARG_INT32(1));
	return report_rows(fcinfo, &forecast, (NullableDatum[]){report_vendor(FCARG(2)), FCARG(0), FCARG(1)}, 3);
}

/*
 * What to buy: pieces by which the highest forecast exceeds the capacity of
 * its week. What to part with: pieces beyond what the forecast and the last
 * year wanted at once, of a product that is old enough and little used.
 */
PLAN(
	suggestions,
	"WITH f AS (SELECT product_id, max(forecast) AS peak, (array_agg(week_at ORDER BY forecast DESC, week_at))[1] AS peak_at, max(model) AS model, max(mae) AS mae "
	" FROM rental.forecast_of($1, NULL, $2) GROUP BY product_id), "
	"c AS (SELECT t.product_id, sum(rental.timeline_at(t.free, f.peak_at))::integer AS capacity FROM f JOIN rental.timelines t USING (product_id) "
	" WHERE t.lower = '-infinity' GROUP BY t.product_id), "
	"u AS (SELECT i.product_id, "
	"  sum(i.quantity * extract(epoch FROM LEAST(i.end_at, $3) - GREATEST(i.start_at, $3 - interval '26 weeks'))) FILTER (WHERE i.end_at > $3 - interval '26 weeks') AS used, "
	"  rental.timeline_max(rental.timeline_agg(tstzrange(i.start_at, i.end_at), i.quantity), tstzrange($3 - interval '52 weeks', NULL)) AS most "
	" FROM f JOIN rental.order_items i USING (product_id) JOIN rental.orders o ON o.id = i.order_id AND o.vendor_id = i.vendor_id "
	" WHERE o.status NOT IN ('draft', 'quoted', 'cancelled', 'rejected', 'expired') AND i.start_at < $3 AND i.end_at > $3 - interval '52 weeks' GROUP BY i.product_id), "
	"l AS (SELECT l.product_id, sum(l.quantity)::bigint AS quantity, sum(l.value) AS value FROM f JOIN rental.lost_demand l USING (product_id) "
	" WHERE l.created_at >= $3 - interval '90 days' AND l.created_at <= $3 GROUP BY l.product_id), "
	"s AS (SELECT p.id, p.name, v.currency, v.time_zone, c.capacity, f.*, round(COALESCE(u.used, 0) / NULLIF(c.capacity::numeric * 26 * 7 * 86400, 0), 4) AS utilisation, "
	"  COALESCE(u.most, 0) AS most, floor(extract(epoch FROM $3 - p.created_at) / 86400)::integer AS age, COALESCE(l.quantity, 0) AS lost, l.value AS lost_value "
	" FROM f JOIN c USING (product_id) JOIN rental.products p ON p.id = f.product_id JOIN rental.vendors v ON v.id = p.vendor_id "
	" LEFT JOIN u USING (product_id) LEFT JOIN l USING (product_id)) "
	"SELECT 'buy', id, name, ceil(peak - capacity)::integer AS pieces, capacity, peak, peak_at, utilisation, age, lost, lost_value, currency, "
	" format('%s pieces are forecast in the week of %s (%s), %s more than the %s there are; in 90 days %s pieces were missing, worth %s %s', "
	"  peak, (peak_at AT TIME ZONE time_zone)::date, model, peak - capacity, capacity, lost, COALESCE(lost_value, 0), currency) "
	"FROM s WHERE peak > capacity "
	"UNION ALL SELECT 'retire', id, name, capacity - GREATEST(ceil(peak), most)::integer, capacity, peak, peak_at, utilisation, age, lost, lost_value, currency, "
	" format('in 26 weeks %s %% of the possible time of %s pieces was rented, less than %s %%; %s at once were the most in a year, %s are forecast; listed for %s days', "
	"  round(utilisation * 100, 1), capacity, round($4 * 100, 1), most, peak, age) "
	"FROM s WHERE utilisation < $4 AND age >= 182 AND capacity > GREATEST(ceil(peak), most) AND peak <= capacity "
	"ORDER BY 1, 11 DESC NULLS LAST, 4 DESC, 3, 2",
	UUIDOID, INT4OID, TIMESTAMPTZOID, NUMERICOID);

/* report_suggestions(weeks integer, utilisation_below numeric, vendor_id uuid) */
PG_FUNCTION_INFO_V1(report_suggestions);
Datum
report_suggestions(PG_FUNCTION_ARGS)
{
	request_required(FCARG(0), "weeks");
	request_required(FCARG(1), "utilisation_below");
	require_weeks(PG_GETARG_INT32(0));
	return report_rows(
		fcinfo, &suggestions,
		(NullableDatum[]){report_vendor(FCARG(2)), FCARG(0), VALUE(TimestampTzGetDatum(rental_now())), FCARG(1)}, 4);
}
