/*
 * report.c
 *	  Reports: what an owner decides by.
 */
#include "report.h"

#include "actor.h"
#include "errors.h"
#include "facts.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "period.h"
#include "request.h"
#include "utils/acl.h"
#include "utils/builtins.h"

/*
 * report_vendor decides whose figures are shown: a vendor's team sees its own;
 * staff and, in SQL, an analyst see all or the one they name.
 */
NullableDatum
report_vendor(NullableDatum named)
{
	const Actor *who = actor_current();

	if (who->role == ACTOR_ANONYMOUS && who->target == NULL &&
		has_privs_of_role(GetOuterUserId(), get_role_oid("rental_analyst", false)))
		return named;
	if (named.isnull && actor_is_staff(who))
		return named;
	return VALUE(UUIDPGetDatum(actor_require_own_vendor(named)));
}

/* put_rows makes the rows of the last plan those of the function. */
static void
put_rows(ReturnSetInfo *rsinfo, uint64 n)
{
	int	   columns = rsinfo->setDesc->natts;
	uint64 row;
	int	   i;

	for (row = 0; row < n; row++)
	{
		Datum *values = palloc(columns * sizeof(Datum));
		bool  *nulls = palloc(columns * sizeof(bool));

		for (i = 0; i < columns; i++)
		{
			NullableDatum value = plan_value(row, i + 1);

			values[i] = value.value;
			nulls[i] = value.isnull;
		}
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
}

static Datum
rows_of(FunctionCallInfo fcinfo, PreparedPlan *plan, const NullableDatum *args, int nargs, bool read_only)
{
	uint64 n;

	InitMaterializedSRF(fcinfo, 0);
	n = plan_execute(plan, args, nargs, read_only);
	put_rows((ReturnSetInfo *) fcinfo->resultinfo, n);
	plan_close();
	return (Datum) 0;
}

/* report_rows answers all that a plan finds. */
Datum
report_rows(FunctionCallInfo fcinfo, PreparedPlan *plan, const NullableDatum *args, int nargs)
{
	plan_open();
	return rows_of(fcinfo, plan, args, nargs, true);
}

Datum
report_rows_now(FunctionCallInfo fcinfo, PreparedPlan *plan, const NullableDatum *args, int nargs)
{
	return rows_of(fcinfo, plan, args, nargs, false);
}

static Period
report_period(NullableDatum from, NullableDatum to)
{
	Period period;

	request_required(from, "from");
	request_required(to, "to");
	period = (Period){DatumGetTimestampTz(from.value), DatumGetTimestampTz(to.value)};
	if (TIMESTAMP_NOT_FINITE(period.start) || TIMESTAMP_NOT_FINITE(period.end))
		rental_raise(invalid_period, errmsg("a period has a start and an end"), errfield("to"));
	if (period.end <= period.start)
		rental_raise(invalid_period, errmsg("the period ends before it starts"), errfield("to"));
	return period;
}

static void
report_granularity(NullableDatum granularity, const Period *period)
{
	static const char *const words[] = {"hour", "day", "week", "month", "quarter", "year"};
	char					*word = request_required_text(granularity, "granularity", 20);
	int						 i;

	for (i = 0; i < lengthof(words); i++)
		if (strcmp(word, words[i]) == 0)
			break;
	if (i == lengthof(words))
		rental_raise(invalid_field, errmsg("granularity must be hour, day, week, month, quarter or year"),
					 errfield("granularity"));
	if (i == 0 && period->end - period->start > 62 * USECS_PER_DAY)
		rental_raise(invalid_period, errmsg("by hour a report covers up to 62 days"), errfield("to"));
}

/* report_check refuses arguments that are wrong, and tells whose figures are shown. */
void
report_check(FunctionCallInfo fcinfo, ReportShape shape, NullableDatum *vendor)
{
	Period period = {0, 0};

	if (shape.has_period)
		period = report_period(FCARG(0), FCARG(1));
	if (shape.granularity >= 0)
		report_granularity(FCARG(shape.granularity), &period);
	if (shape.most >= 0 &&
		(PG_ARGISNULL(shape.most) || PG_GETARG_INT32(shape.most) < 1 || PG_GETARG_INT32(shape.most) > 10000))
		rental_raise(invalid_value, errmsg("most must be 1 to 10000"), errfield("most"));
	*vendor = report_vendor(FCARG(shape.vendor));
}

Datum
report_books(FunctionCallInfo fcinfo, PreparedPlan *plan, ReportShape shape)
{
	NullableDatum args[PLAN_MAX_ARGS];
	int			  i;

	for (i = 0; i < PG_NARGS(); i++)
		args[i] = FCARG(i);
	report_check(fcinfo, shape, &args[shape.vendor]);
	return report_rows(fcinfo, plan, args, PG_NARGS());
}

PLAN_ONCE(vendor_parts, FACT_PARTS("$3 IN ('month', 'quarter', 'year')"), FACT_PERIOD_TYPES);
PLAN_ONCE(product_parts, PRODUCT_PARTS, FACT_PERIOD_TYPES);

/* facts_answer answers by facts: it looks first which parts of them the period takes. */
static Datum
facts_answer(FunctionCallInfo fcinfo, PreparedPlan *parts, PreparedPlan *plan, ReportShape shape,
			 const char *granularity)
{
	NullableDatum args[PLAN_MAX_ARGS] = {FCARG(0), FCARG(1), VALUE(CStringGetTextDatum(granularity))};
	int			  n = 8;
	int			  i;

	if (shape.granularity >= 0)
		args[2] = FCARG(shape.granularity);
	report_check(fcinfo, shape, &args[3]);
	plan_open();
	plan_execute(parts, args, 4, true);
	for (i = 0; i < 4; i++)
		args[4 + i] = plan_keep(0, i + 1);
	/* no vendor, no parts */
	for (i = 4; i < 6; i++)
		if (args[i].isnull)
			args[i] = VALUE(BoolGetDatum(false));
	for (i = 2; i < PG_NARGS(); i++)
		if (i != shape.granularity && i != shape.vendor)
			args[n++] = FCARG(i);
	return rows_of(fcinfo, plan, args, n, true);
}

Datum
report_vendor_facts(FunctionCallInfo fcinfo, PreparedPlan *plan, ReportShape shape)
{
	return facts_answer(fcinfo, &vendor_parts, plan, shape, "day");
}

Datum
report_product_facts(FunctionCallInfo fcinfo, PreparedPlan *plan, ReportShape shape)
{
	return facts_answer(fcinfo, &product_parts, plan, shape, "month");
}

PLAN(
	reports,
	"SELECT c.name, c.title, c.description, c.formula, c.dimensions, ARRAY(SELECT ROW(x ->> 'name', x ->> 'type', x ->> 'unit', x ->> 'description')::rental.report_column "
	"FROM jsonb_array_elements(c.columns) x) FROM rental.report_catalog c ORDER BY c.name", );

PG_FUNCTION_INFO_V1(report_list);
Datum
report_list(PG_FUNCTION_ARGS)
{
	return report_rows(fcinfo, &reports, NULL, 0);
}

PLAN(shortages_of,
	 "SELECT * FROM rental.shortages WHERE $1 IS NULL OR vendor_id = $1 ORDER BY start_at, reservation_id", UUIDOID);

/* shortages(vendor_id uuid) */
PG_FUNCTION_INFO_V1(shortages);
Datum
shortages(PG_FUNCTION_ARGS)
{
	NullableDatum vendor = report_vendor(FCARG(0));
	uint64		  n;

	InitMaterializedSRF(fcinfo, 0);
	plan_open();
	n = plan_read(&shortages_of, vendor);
	put_rows((ReturnSetInfo *) fcinfo->resultinfo, n);
	plan_close();
	PG_RETURN_NULL();
}

/*
 * What was paid, by what it was for: a payment is spread over the lines of its
 * order by their totals, by running sums, so that the parts sum to it.
 */
PLAN(
	revenue_by,
	"WITH p AS (SELECT p.id, p.order_id, p.vendor_id, p.currency, CASE WHEN p.kind IN ('charge', 'capture') THEN p.amount ELSE -p.amount END AS amount "
	" FROM rental.payments p WHERE p.created_at >= $1 AND p.created_at < $2 AND ($4 IS NULL OR p.vendor_id = $4) AND p.status = 'succeeded' AND p.kind <> 'deposit'), "
	"i AS (SELECT i.*, sum(i.weight) OVER (PARTITION BY i.order_id ORDER BY i.id) AS upto, sum(i.weight) OVER (PARTITION BY i.order_id) AS whole FROM "
	" (SELECT i.id, i.order_id, i.product_id, i.location_id, CASE WHEN sum(i.total) OVER (PARTITION BY i.order_id) = 0 THEN 1 ELSE i.total END AS weight "
	"  FROM rental.order_items i WHERE i.order_id IN (SELECT order_id FROM p)) i), "
	"x AS (SELECT p.currency, p.vendor_id, i.product_id, i.location_id, round(p.amount * i.upto / i.whole, rental.currency_exponent(p.currency)) "
	" - round(p.amount * (i.upto - i.weight) / i.whole, rental.currency_exponent(p.currency)) AS amount FROM p JOIN i ON i.order_id = p.order_id) "
	"SELECT CASE $3 WHEN 'category' THEN c.id WHEN 'vendor' THEN v.id WHEN 'location' THEN l.id ELSE d.id END AS id, "
	"CASE $3 WHEN 'category' THEN c.name WHEN 'vendor' THEN v.name WHEN 'location' THEN l.name ELSE d.name END AS name, x.currency, sum(x.amount) "
	"FROM x JOIN rental.products d ON d.id = x.product_id AND d.vendor_id = x.vendor_id JOIN rental.vendors v ON v.id = x.vendor_id "
	"JOIN rental.locations l ON l.id = x.location_id AND l.vendor_id = x.vendor_id LEFT JOIN rental.categories c ON c.id = d.category_id "
	"GROUP BY 1, 2, 3 ORDER BY 2, 1, 3",
	TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, UUIDOID);
PLAN(
	trial_balance,
	"SELECT a.book, a.code, a.kind, a.name, e.currency, GREATEST(sum(e.amount), 0 * sum(e.amount)), GREATEST(-sum(e.amount), 0 * sum(e.amount)) "
	"FROM rental.ledger_entries e JOIN rental.ledger_accounts a ON a.code = e.account WHERE ($1 IS NULL OR e.vendor_id = $1) "
	"GROUP BY a.book, a.code, a.kind, a.name, e.currency ORDER BY a.book DESC, a.kind, a.code, e.currency",
	UUIDOID);
PLAN(
	customer_balances,
	"SELECT e.customer_id, u.name, e.currency, sum(e.amount) FILTER (WHERE e.account = 'receivable'), "
	"-COALESCE(sum(e.amount) FILTER (WHERE e.account = 'deposit_owed'), 0) FROM rental.ledger_entries e JOIN rental.users u ON u.id = e.customer_id "
	"WHERE e.account IN ('receivable', 'deposit_owed') AND ($1 IS NULL OR e.vendor_id = $1) GROUP BY e.customer_id, u.name, e.currency "
	"HAVING COALESCE(sum(e.amount) FILTER (WHERE e.account = 'receivable'), 0) <> 0 OR COALESCE(sum(e.amount) FILTER (WHERE e.account = 'deposit_owed'), 0) <> 0 ORDER BY 2, 1",
	UUIDOID);
PLAN(
	taxes,
	"SELECT t.place, t.name, t.percent, t.is_inclusive, t.is_reverse, n.currency, sum(t.taxable), sum(t.tax) "
	"FROM rental.invoices n JOIN rental.invoice_taxes t ON t.invoice_id = n.id AND t.vendor_id = n.vendor_id "
	"WHERE n.issued_at >= $1 AND n.issued_at < $2 AND ($3 IS NULL OR n.vendor_id = $3) GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6",
	TIMESTAMPTZOID, TIMESTAMPTZOID, UUIDOID);

/* report_revenue_by("from" timestamptz, "to" timestamptz, dimension text, vendor_id uuid) */
PG_FUNCTION_INFO_V1(report_revenue_by);
Datum
report_revenue_by(PG_FUNCTION_ARGS)
{
	char *dimension = request_required_text(FCARG(2), "dimension", 20);

	report_period(FCARG(0), FCARG(1));
	request_word(dimension, "dimension", (const char *[]){"category", "vendor", "location", "product", NULL});
	return report_rows(fcinfo, &revenue_by, (NullableDatum[]){FCARG(0), FCARG(1), FCARG(2), report_vendor(FCARG(3))},
					   4);
}

PG_FUNCTION_INFO_V1(report_trial_balance);
Datum
report_trial_balance(PG_FUNCTION_ARGS)
{
	return report_rows(fcinfo, &trial_balance, (NullableDatum[]){report_vendor(FCARG(0))}, 1);
}

PG_FUNCTION_INFO_V1(report_customer_balances);
Datum
report_customer_balances(PG_FUNCTION_ARGS)
{
	return report_rows(fcinfo, &customer_balances, (NullableDatum[]){report_vendor(FCARG(0))}, 1);
}

/* report_taxes("from" timestamptz, "to" timestamptz, vendor_id uuid) */
PG_FUNCTION_INFO_V1(report_taxes);
Datum
report_taxes(PG_FUNCTION_ARGS)
{
	report_period(FCARG(0), FCARG(1));
	return report_rows(fcinfo, &taxes, (NullableDatum[]){FCARG(0), FCARG(1), report_vendor(FCARG(2))}, 3);
}
