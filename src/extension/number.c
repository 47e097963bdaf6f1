/*
 * number.c
 *	  Numbers that people read: without gaps in each vendor's series and year.
 *
 * The row of the series stays locked to the end of the transaction, so the
 * next number is given out only when this one is either used or free again.
 */
#include "number.h"

#include "plan.h"
#include "utils/builtins.h"

PLAN(number_take,
	 "INSERT INTO rental.number_series AS s (vendor_id, series, year, last) VALUES ($1, $2, $3, 1) "
	 "ON CONFLICT (vendor_id, series, year) DO UPDATE SET last = s.last + 1 RETURNING last",
	 UUIDOID, TEXTOID, INT4OID);

/* number_next is called between plan_open and plan_close. */
char *
number_next(const pg_uuid_t *vendor_id, const char *series, int year)
{
	plan_run(&number_take, VALUE(UUIDPGetDatum(vendor_id)), VALUE(CStringGetTextDatum(series)),
			 VALUE(Int32GetDatum(year)));
	return psprintf("%s-%04d-%06lld", series, year, (long long) DatumGetInt64(plan_datum(0, 1)));
}
