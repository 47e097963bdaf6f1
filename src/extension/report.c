/*
 * report.c
 *	  Reports: what an owner decides by.
 */
#include "rental.h"

#include "actor.h"
#include "errors.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "period.h"
#include "plan.h"
#include "request.h"
#include "utils/acl.h"
#include "utils/builtins.h"

PLAN(
	revenue,
	"SELECT start_at, currency, sum(orders)::bigint, "
	" COALESCE(sum(billed), 0 * sum(paid)), COALESCE(sum(paid), 0 * sum(billed)) FROM ("
	" SELECT date_trunc($3, o.created_at, v.time_zone) AS start_at, o.currency, count(*) AS orders, 0 * sum(o.total) AS billed, 0 * sum(o.total) AS paid"
	"  FROM rental.orders o JOIN rental.vendors v ON v.id = o.vendor_id"
	"  WHERE o.created_at >= $1 AND o.created_at < $2 AND ($4 IS NULL OR v.id = $4)"
	"  AND o.status NOT IN ('cancelled', 'rejected', 'expired') GROUP BY 1, 2"
	" UNION ALL"
	" SELECT date_trunc($3, n.issued_at, v.time_zone), n.currency, 0, sum(n.total), NULL::numeric"
	"  FROM rental.invoices n JOIN rental.vendors v ON v.id = n.vendor_id"
	"  WHERE n.issued_at >= $1 AND n.issued_at < $2 AND ($4 IS NULL OR v.id = $4) GROUP BY 1, 2"
	" UNION ALL"
	" SELECT date_trunc($3, p.created_at, v.time_zone), p.currency, 0, NULL::numeric, sum(p.amount)"
	"  FROM rental.payments p JOIN rental.vendors v ON v.id = p.vendor_id"
	"  WHERE p.created_at >= $1 AND p.created_at < $2 AND ($4 IS NULL OR v.id = $4) GROUP BY 1, 2"
	") parts GROUP BY start_at, currency ORDER BY start_at, currency",
	TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, UUIDOID);

/*
 * report_vendor decides whose figures are shown: a vendor's team sees its own;
 * staff and, in SQL, an analyst see all or the one they name.
 */
static NullableDatum
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

/* report_revenue("from" timestamptz, "to" timestamptz, granularity text, vendor_id uuid) */
PG_FUNCTION_INFO_V1(report_revenue);
Datum
report_revenue(PG_FUNCTION_ARGS)
{
	static const char *const granularities[] = {"hour", "day", "week", "month", "quarter", "year"};
	char					*granularity = request_required_text(FCARG(2), "granularity", 20);
	NullableDatum			 vendor;
	uint64					 n;
	int						 i;

	request_required(FCARG(0), "from");
	request_required(FCARG(1), "to");
	if (PG_GETARG_TIMESTAMPTZ(1) <= PG_GETARG_TIMESTAMPTZ(0))
		rental_raise(invalid_period, errmsg("the period ends before it starts"), errfield("to"));
	for (i = 0; i < lengthof(granularities); i++)
		if (strcmp(granularity, granularities[i]) == 0)
			break;
	if (i == lengthof(granularities))
		rental_raise(invalid_field, errmsg("granularity must be hour, day, week, month, quarter or year"),
					 errfield("granularity"));
	vendor = report_vendor(FCARG(3));
	InitMaterializedSRF(fcinfo, 0);
	plan_open();
	n = plan_read(&revenue, FCARG(0), FCARG(1), VALUE(CStringGetTextDatum(granularity)), vendor);
	put_rows((ReturnSetInfo *) fcinfo->resultinfo, n);
	plan_close();
	PG_RETURN_NULL();
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
