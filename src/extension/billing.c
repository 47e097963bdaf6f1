/*
 * billing.c
 *	  What follows invoices: a vendor's terms, how customers are taxed, payouts.
 */
#include "rental.h"

#include "actor.h"
#include "amount.h"
#include "errors.h"
#include "funcapi.h"
#include "ledger.h"
#include "number.h"
#include "period.h"
#include "plan.h"
#include "report.h"
#include "request.h"
#include "response.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

PLAN(settings_row, "SELECT v FROM rental.billing_settings_view v WHERE v.vendor_id = $1", UUIDOID);
PLAN(
	settings_put,
	"INSERT INTO rental.billing_settings (vendor_id, series, credit_series, due_days, country, region, address, interest_percent, dunning_days) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (vendor_id) DO UPDATE SET series = $2, credit_series = $3, due_days = $4, "
	"country = $5, region = $6, address = $7, interest_percent = $8, dunning_days = $9",
	UUIDOID, TEXTOID, TEXTOID, INT4OID, TEXTOID, TEXTOID, JSONBOID, NUMERICOID, INT4ARRAYOID);
PLAN(
	customer_known,
	"SELECT FROM rental.users u WHERE u.id = $1 AND ($3 OR EXISTS (SELECT FROM rental.orders o WHERE o.customer_id = $1 AND o.vendor_id = $2))",
	UUIDOID, UUIDOID, BOOLOID);
PLAN(
	customer_put,
	"INSERT INTO rental.customer_taxes (vendor_id, user_id, country, region, tax_number, reverse_charge) VALUES ($1, $2, $3, $4, $5, $6) "
	"ON CONFLICT (user_id, vendor_id) DO UPDATE SET country = $3, region = $4, tax_number = $5, reverse_charge = $6",
	UUIDOID, UUIDOID, TEXTOID, TEXTOID, TEXTOID, BOOLOID);
PLAN(customer_row, "SELECT v FROM rental.customer_tax_view v WHERE v.user_id = $1 AND v.vendor_id = $2", UUIDOID,
	 UUIDOID);

/* The vendor's row is locked by whoever pays it out, so that no two do at once. */
PLAN(vendors_to_pay,
	 "SELECT v.id, v.currency, v.time_zone FROM rental.vendors v WHERE ($1 IS NULL OR v.id = $1) ORDER BY v.id",
	 UUIDOID);
PLAN(vendor_lock, "SELECT FROM rental.vendors WHERE id = $1 FOR NO KEY UPDATE", UUIDOID);
PLAN(
	vendor_owed,
	"SELECT -COALESCE(sum(e.amount), 0), COALESCE(array_agg(DISTINCT e.posting_id), '{}') FROM rental.ledger_entries e WHERE e.vendor_id = $1 AND e.account = 'vendor_payable' "
	"AND e.currency = $2 AND e.payout_id IS NULL "
	"AND NOT EXISTS (SELECT FROM rental.payout_postings s WHERE s.posting_id = e.posting_id AND s.vendor_id = e.vendor_id)",
	UUIDOID, TEXTOID);
PLAN(payout_insert,
	 "INSERT INTO rental.payouts (id, vendor_id, number, amount, currency, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
	 UUIDOID, UUIDOID, TEXTOID, NUMERICOID, TEXTOID, TIMESTAMPTZOID);
PLAN(payout_take, "INSERT INTO rental.payout_postings (vendor_id, payout_id, posting_id) SELECT $2, $1, unnest($3)",
	 UUIDOID, UUIDOID, UUIDARRAYOID);
PLAN(payouts_made, "SELECT v.* FROM rental.payout_view v WHERE v.id = ANY ($1) ORDER BY v.id", UUIDARRAYOID);
PLAN(payout_row, "SELECT v, v.vendor_id FROM rental.payout_view v WHERE v.id = $1", UUIDOID);

#define PAYOUT_SCOPE "($3 IS NULL OR v.vendor_id = $4)"
static PagePlans payout_pages = {
	.forward = PLAN_INIT("SELECT v, v.id FROM rental.payout_view v WHERE v.id < $1 AND " PAYOUT_SCOPE
						 " ORDER BY v.id DESC LIMIT $2",
						 UUIDOID, INT4OID, UUIDOID, UUIDOID),
	.backward = PLAN_INIT("SELECT v, v.id FROM rental.payout_view v WHERE v.id > $1 AND " PAYOUT_SCOPE
						  " ORDER BY v.id LIMIT $2",
						  UUIDOID, INT4OID, UUIDOID, UUIDOID),
	.count =
		PLAN_INIT("SELECT count(*) FROM rental.payouts v WHERE ($1 IS NULL OR v.vendor_id = $2)", UUIDOID, UUIDOID),
	.newest_first = true,
};

static Datum
settings_answer(FunctionCallInfo fcinfo, PreparedPlan *plan, NullableDatum a, NullableDatum b, int n)
{
	NullableDatum row;

	if (plan_execute(plan, (NullableDatum[]){a, b}, n, false) == 0)
		rental_raise(not_found, errmsg("no such vendor"), errfield("vendor_id"));
	row = plan_keep(0, 1);
	plan_close();
	return plan_return(fcinfo, row);
}

PG_FUNCTION_INFO_V1(billing_settings_get);
Datum
billing_settings_get(PG_FUNCTION_ARGS)
{
	const pg_uuid_t *vendor_id = actor_require_own_vendor(FCARG(0));

	plan_open();
	return settings_answer(fcinfo, &settings_row, VALUE(UUIDPGetDatum(vendor_id)), NULLVALUE, 1);
}

static char *
series_arg(NullableDatum value, const char *field)
{
	char *series = request_required_text(value, field, 8);

	if (*series == '\0' || strspn(series, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != strlen(series) ||
		strcmp(series, "ORD") == 0 || strcmp(series, "PAY") == 0)
		rental_raise(invalid_value, errmsg("%s must have 1 to 8 capital letters, and not be ORD or PAY", field),
					 errfield(field));
	return series;
}

static char *
region_arg(NullableDatum region, NullableDatum country)
{
	char *text = request_text(region, "region", 100);

	if (text != NULL && (*text == '\0' || country.isnull))
		rental_raise(invalid_value, errmsg("a region has a name and a country"), errfield("region"));
	return text;
}

/*
 * billing_settings_set(series text, credit_series text, due_days integer, country text, region text, address jsonb,
 * interest_percent numeric, dunning_days integer[], vendor_id uuid)
 */
PG_FUNCTION_INFO_V1(billing_settings_set);
Datum
billing_settings_set(PG_FUNCTION_ARGS)
{
	const pg_uuid_t *vendor_id = actor_require_own_vendor(FCARG(8));
	char			*series = series_arg(FCARG(0), "series");
	char			*credit_series = series_arg(FCARG(1), "credit_series");
	ArrayType		*days;
	int32			*day;
	int				 n;
	int				 i;

	actor_require_manager(vendor_id);
	request_required(FCARG(2), "due_days");
	request_required(FCARG(6), "interest_percent");
	request_required(FCARG(7), "dunning_days");
	if (strcmp(series, credit_series) == 0)
		rental_raise(invalid_value, errmsg("invoices and credit notes have series of their own"),
					 errfield("credit_series"));
	if (PG_GETARG_INT32(2) < 0 || PG_GETARG_INT32(2) > 365)
		rental_raise(invalid_value, errmsg("due_days must be from 0 to 365"), errfield("due_days"));
	request_country(FCARG(3), "country");
	region_arg(FCARG(4), FCARG(3));
	if (!PG_ARGISNULL(5) && !JB_ROOT_IS_OBJECT(PG_GETARG_JSONB_P(5)))
		rental_raise(invalid_value, errmsg("address must be an object"), errfield("address"));
	if (numeric_is_nan(PG_GETARG_NUMERIC(6)) || amount_less(PG_GETARG_DATUM(6), amount_zero()) ||
		amount_less(DirectFunctionCall1(int4_numeric, Int32GetDatum(100)), PG_GETARG_DATUM(6)))
		rental_raise(invalid_value, errmsg("interest_percent must be from 0 to 100"), errfield("interest_percent"));
	days = PG_GETARG_ARRAYTYPE_P(7);
	n = ArrayGetNItems(ARR_NDIM(days), ARR_DIMS(days));
	if (n < 1 || n > 9 || ARR_NDIM(days) != 1 || array_contains_nulls(days))
		rental_raise(invalid_value, errmsg("dunning_days must be 1 to 9 days"), errfield("dunning_days"));
	day = (int32 *) ARR_DATA_PTR(days);
	for (i = 0; i < n; i++)
		if (day[i] < 1 || (i > 0 && day[i] <= day[i - 1]))
			rental_raise(invalid_value, errmsg("dunning_days must ascend"), errfield("dunning_days"));
	plan_open();
	plan_run(&settings_put, VALUE(UUIDPGetDatum(vendor_id)), FCARG(0), FCARG(1), FCARG(2), FCARG(3), FCARG(4), FCARG(5),
			 FCARG(6), FCARG(7));
	return settings_answer(fcinfo, &settings_row, VALUE(UUIDPGetDatum(vendor_id)), NULLVALUE, 1);
}

/* customer_tax_set(user_id uuid, country text, region text, tax_number text, reverse_charge boolean, vendor_id uuid) */
PG_FUNCTION_INFO_V1(customer_tax_set);
Datum
customer_tax_set(PG_FUNCTION_ARGS)
{
	const pg_uuid_t *vendor_id = actor_require_own_vendor(FCARG(5));
	char			*tax_number = request_text(FCARG(3), "tax_number", 40);

	request_required(FCARG(0), "user_id");
	request_required(FCARG(4), "reverse_charge");
	request_country(FCARG(1), "country");
	region_arg(FCARG(2), FCARG(1));
	if (tax_number != NULL && *tax_number == '\0')
		rental_raise(invalid_value, errmsg("tax_number is empty"), errfield("tax_number"));
	if (PG_GETARG_BOOL(4) && tax_number == NULL)
		rental_raise(invalid_value, errmsg("reverse charge needs the customer's tax number"), errfield("tax_number"));
	plan_open();
	/* a vendor knows those who ordered from it */
	if (plan_read(&customer_known, FCARG(0), VALUE(UUIDPGetDatum(vendor_id)),
				  VALUE(BoolGetDatum(actor_is_staff(actor_current())))) == 0)
		rental_raise(not_found, errmsg("no such customer"), errfield("user_id"));
	plan_run(&customer_put, VALUE(UUIDPGetDatum(vendor_id)), FCARG(0), FCARG(1), FCARG(2), FCARG(3), FCARG(4));
	return settings_answer(fcinfo, &customer_row, FCARG(0), VALUE(UUIDPGetDatum(vendor_id)), 2);
}

/* Payouts */

/* payout_run(vendor_id uuid) */
PG_FUNCTION_INFO_V1(payout_run);
Datum
payout_run(PG_FUNCTION_ARGS)
{
	TimestampTz now = rental_now();
	pg_uuid_t  *vendors;
	pg_uuid_t  *made;
	char	  **currency;
	char	  **zone;
	Datum		ids;
	int			nmade = 0;
	uint64		n;
	uint64		i;

	actor_require_admin();
	plan_open();
	n = plan_run(&vendors_to_pay, FCARG(0));
	vendors = palloc(Max(n, 1) * sizeof(pg_uuid_t));
	made = palloc(Max(n, 1) * sizeof(pg_uuid_t));
	currency = palloc(Max(n, 1) * sizeof(char *));
	zone = palloc(Max(n, 1) * sizeof(char *));
	for (i = 0; i < n; i++)
	{
		vendors[i] = *DatumGetUUIDP(plan_datum(i, 1));
		currency[i] = plan_text(i, 2);
		zone[i] = plan_text(i, 3);
	}
	for (i = 0; i < n; i++)
	{
		NullableDatum vendor = VALUE(UUIDPGetDatum(&vendors[i]));
		LedgerPosting posting = {.kind = "payout", .vendor_id = &vendors[i], .currency = currency[i]};
		Datum		  id;
		Datum		  amount;
		Datum		  postings;
		char		 *number;

		plan_run(&vendor_lock, vendor);
		plan_run(&vendor_owed, vendor, VALUE(CStringGetTextDatum(currency[i])));
		amount = plan_datum(0, 1);
		postings = plan_datum(0, 2);
		if (!amount_less(amount_zero(), amount))
			continue;
		id = uuid7_datum();
		number = number_next(&vendors[i], "PAY", period_year(now, period_zone(zone[i])));
		plan_run(&payout_insert, VALUE(id), vendor, VALUE(CStringGetTextDatum(number)), VALUE(amount),
				 VALUE(CStringGetTextDatum(currency[i])), VALUE(TimestampTzGetDatum(now)));
		plan_run(&payout_take, VALUE(id), vendor, VALUE(postings));
		posting.payout_id = DatumGetUUIDP(id);
		ledger_post(&posting,
					(LedgerEntry[]){{"vendor_payable", amount},
									{"platform_cash", amount_negate(amount)},
									{"cash", amount},
									{"platform_claim", amount_negate(amount)}},
					4);
		made[nmade++] = *DatumGetUUIDP(id);
	}
	ids = uuid_array_datum(made, nmade);
	return report_rows_now(fcinfo, &payouts_made, (NullableDatum[]){VALUE(ids)}, 1);
}

PG_FUNCTION_INFO_V1(payout_get);
Datum
payout_get(PG_FUNCTION_ARGS)
{
	NullableDatum row;

	request_required(FCARG(0), "payout_id");
	plan_open();
	if (plan_read(&payout_row, FCARG(0)) == 0 || !actor_serves(actor_current(), DatumGetUUIDP(plan_datum(0, 2))))
		rental_raise(not_found, errmsg("no such payout"));
	row = plan_keep(0, 1);
	plan_close();
	return plan_return(fcinfo, row);
}

/* payout_list(page_size, cursor, count) */
PG_FUNCTION_INFO_V1(payout_list);
Datum
payout_list(PG_FUNCTION_ARGS)
{
	NullableDatum scope[2];

	actor_list_scope(scope);
	return page_return(fcinfo, &payout_pages, scope, 2, PG_GETARG_INT32(0), FCARG(1), FCARG(2));
}

/* Dunning */

/*
 * dunning_run(vendor_id uuid): it waits for nobody while it holds invoices,
 * so that it is in nobody's way; one that is just being changed has its turn
 * in the next run.
 */
PLAN(
	dun,
	"WITH reached AS MATERIALIZED (SELECT n.id, n.vendor_id, (SELECT count(*)::integer FROM unnest(b.dunning_days) d WHERE n.due_at + make_interval(days => d) <= $2) AS level "
	" FROM rental.invoices n JOIN rental.billing_settings_view b ON b.vendor_id = n.vendor_id WHERE n.kind = 'invoice' AND n.status IN ('issued', 'partly_paid') "
	" AND n.due_at < $2 AND ($1 IS NULL OR n.vendor_id = $1) "
	" AND n.dunning_level < (SELECT count(*) FROM unnest(b.dunning_days) d WHERE n.due_at + make_interval(days => d) <= $2) FOR NO KEY UPDATE OF n SKIP LOCKED), "
	"risen AS (UPDATE rental.invoices n SET dunning_level = r.level FROM reached r WHERE n.id = r.id AND n.vendor_id = r.vendor_id RETURNING n.*) "
	"SELECT n.id, n.number, n.order_id, o.customer_id, n.total - n.paid - n.credited - n.written_off, n.currency, n.due_at, n.dunning_level "
	"FROM risen n JOIN rental.orders o ON o.id = n.order_id AND o.vendor_id = n.vendor_id ORDER BY n.due_at, n.number",
	UUIDOID, TIMESTAMPTZOID);

PG_FUNCTION_INFO_V1(dunning_run);
Datum
dunning_run(PG_FUNCTION_ARGS)
{
	NullableDatum vendor = FCARG(0);

	if (!vendor.isnull || !actor_is_staff(actor_current()))
		vendor = VALUE(UUIDPGetDatum(actor_require_own_vendor(vendor)));
	plan_open();
	return report_rows_now(fcinfo, &dun, (NullableDatum[]){vendor, VALUE(TimestampTzGetDatum(rental_now()))}, 2);
}
