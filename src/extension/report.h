/*
 * report.h
 *	  What functions that answer rows share.
 */
#ifndef RENTAL_REPORT_H
#define RENTAL_REPORT_H

#include "plan.h"

/* Where the arguments that every report may have stand among a function's; -1: nowhere. A period is at 0 and 1. */
typedef struct ReportShape
{
	bool has_period;
	int	 granularity;
	int	 vendor;
	int	 most;
} ReportShape;

extern NullableDatum report_vendor(NullableDatum named);
extern void			 report_check(FunctionCallInfo fcinfo, ReportShape shape, NullableDatum *vendor);
extern Datum		 report_rows(FunctionCallInfo fcinfo, PreparedPlan *plan, const NullableDatum *args, int nargs);

/* the same between plan_open and its own plan_close, for a plan that writes or sees what was just written */
extern Datum report_rows_now(FunctionCallInfo fcinfo, PreparedPlan *plan, const NullableDatum *args, int nargs);

/* a plan that takes the function's arguments as they are, once they are checked */
extern Datum report_books(FunctionCallInfo fcinfo, PreparedPlan *plan, ReportShape shape);

/* a plan of facts.h: the period, its parts, and what other arguments there are, in their order */
extern Datum report_vendor_facts(FunctionCallInfo fcinfo, PreparedPlan *plan, ReportShape shape);
extern Datum report_product_facts(FunctionCallInfo fcinfo, PreparedPlan *plan, ReportShape shape);

#endif /* RENTAL_REPORT_H */
