-- Forecasts of demand, and what to buy and to part with because of them.

CREATE TYPE series_forecast AS (model text, forecast double precision[], sse double precision, alpha double precision, beta double precision, phi double precision,
	gamma double precision, points integer, mae numeric, smape numeric, mase numeric, naive_mae numeric, seasonal_naive_mae numeric);
COMMENT ON TYPE series_forecast IS
	'A forecast, by which model and parameters it was made (level alpha, trend beta, damping phi, season gamma; 0 where the model has none), the squared errors of one step ahead that they leave, and how a back-test of so many points went.';
CREATE FUNCTION forecast_series(demand double precision[], weeks integer, season integer DEFAULT 52) RETURNS series_forecast
	LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION forecast_series(double precision[], integer, integer) IS
	'Forecasts a series: the mean of fewer than four points or of constant ones; Croston''s method (Syntetos and Boylan) where more than half are zero; else the mean, simple exponential smoothing, a damped trend from 12 points on, or Holt and Winters'' additive method from two seasons and 4 points on: whichever forecasts the last 12 points (a third, if that is less) best, 1 to 4 steps ahead, with parameters from what was before them. Never below zero. Error: invalid_value.';

CREATE TYPE forecast_of_row AS (product_id uuid, product_name text, vendor_id uuid, week_at timestamptz, forecast numeric, model text, known_weeks integer, mae numeric,
	smape numeric, mase numeric, naive_mae numeric, seasonal_naive_mae numeric);
CREATE FUNCTION forecast_of(vendor_id uuid, product_id uuid, weeks integer) RETURNS SETOF forecast_of_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION forecast_of(uuid, uuid, integer) IS 'The forecasts behind report_forecast, of one vendor or product, or of all; asks for no rights.';

CREATE TYPE forecast_row AS (product_id uuid, product_name text, week_at timestamptz, forecast numeric, model text, known_weeks integer, mae numeric, smape numeric, mase numeric,
	naive_mae numeric, seasonal_naive_mae numeric);
COMMENT ON TYPE forecast_row IS 'What is forecast for a product and week, and how good such forecasts were. Only mae, smape, mase, naive_mae and seasonal_naive_mae may be null.';
CREATE FUNCTION report_forecast(product_id uuid DEFAULT NULL, weeks integer DEFAULT 8, vendor_id uuid DEFAULT NULL) RETURNS SETOF forecast_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_forecast(uuid, integer, uuid) IS
	'The most pieces that will be wanted at once, by product and week, from this week on. A vendor sees its own; an administrator or analyst all, or one. Errors: invalid_value for weeks outside 1 to 104, forbidden.';

CREATE TYPE suggestion_row AS (action text, product_id uuid, product_name text, pieces integer, capacity integer, forecast_peak numeric, peak_week_at timestamptz,
	utilisation numeric, age_days integer, lost_pieces bigint, lost_value numeric, currency text, reason text);
COMMENT ON TYPE suggestion_row IS 'What to buy or to part with, and the figures it follows from. Only utilisation and lost_value may be null.';
CREATE FUNCTION report_suggestions(weeks integer DEFAULT 12, utilisation_below numeric DEFAULT 0.1, vendor_id uuid DEFAULT NULL) RETURNS SETOF suggestion_row
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, rental, pg_temp AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION report_suggestions(integer, numeric, uuid) IS
	'What to buy, since the forecast of the next weeks is more than there is, and what to part with, since it is little used. A vendor sees its own; an administrator or analyst all, or one. Errors: invalid_value for weeks outside 1 to 104, forbidden.';

INSERT INTO endpoint (method, path, function, auth, status, rate_class, tag, summary, builtin) VALUES
	('GET', '/api/analytics/reports/forecast/', 'rental.report_forecast', '{vendor,admin}', 200, 'read', 'analytics', 'Demand to come', true),
	('GET', '/api/analytics/reports/suggestions/', 'rental.report_suggestions', '{vendor,admin}', 200, 'read', 'analytics', 'What to buy and to part with', true);

SELECT report_describe('forecast', 'rental.report_forecast', 'Demand to come', 'The most pieces that will be wanted at once, by product and week, with how good such forecasts have been.',
	'Demand of a week of the vendor''s clock: the most at any time in it of the sum of quantities of order_items (orders that are not draft, quoted, cancelled, rejected or expired) and of lost_demand, whole weeks of the last four years. forecast: forecast_series() of these. mae, smape, mase: of a back-test over the last 12 weeks (a third of what is known, if that is less), 1 to 4 weeks ahead of each, everything chosen anew; mase over the mean change from week to week before it; naive_mae: of the last week''s demand as forecast; seasonal_naive_mae: of that of 52 weeks before.',
	'{product,vendor}', '
	product_id - the product
	product_name - its name
	week_at time when the week begins
	forecast pieces wanted at once
	model - mean, simple, damped_trend, holt_winters or croston
	known_weeks weeks that it is made of
	mae pieces mean absolute error of the back-test
	smape % symmetric mean absolute percentage error
	mase ratio mean absolute scaled error; below 1: better than naive one week ahead
	naive_mae pieces the same of a naive forecast
	seasonal_naive_mae pieces the same of a seasonal naive forecast; null: not a year is known');
SELECT report_describe('suggestions', 'rental.report_suggestions', 'What to buy and to part with', 'Purchases and retirements, each with the figures it follows from.',
	'buy: the highest forecast of the next weeks exceeds the capacity in that week; pieces: the difference, rounded up. retire: of products listed for 182 days or more, utilisation of the last 26 weeks (sum of quantity * time rented over capacity * 26 weeks) is below utilisation_below; pieces: capacity less the highest forecast, rounded up, or the most that were rented at once in 52 weeks. lost: lost_demand of 90 days.',
	'{vendor}', '
	action - buy or retire
	product_id - the product
	product_name - its name
	pieces pieces to buy or to part with
	capacity pieces there are in the week of the peak
	forecast_peak pieces the highest forecast
	peak_week_at time the week it is for
	utilisation ratio rented of possible time in 26 weeks
	age_days days since the product was listed
	lost_pieces pieces missing in 90 days
	lost_value currency what they would have cost
	currency - ISO 4217
	reason - in words');
