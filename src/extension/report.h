/*
 * report.h
 *	  What functions that answer rows share.
 */
#ifndef RENTAL_REPORT_H
#define RENTAL_REPORT_H

#include "plan.h"

extern NullableDatum report_vendor(NullableDatum named);
extern Datum		 report_rows(FunctionCallInfo fcinfo, PreparedPlan *plan, const NullableDatum *args, int nargs);

/* the same between plan_open and its own plan_close, for a plan that writes or sees what was just written */
extern Datum report_rows_now(FunctionCallInfo fcinfo, PreparedPlan *plan, const NullableDatum *args, int nargs);

#endif /* RENTAL_REPORT_H */
