/*
 * sums.h
 *	  The sums of vendors' facts by period, currency and, if wanted, vendor (see sums.c).
 */
#ifndef RENTAL_SUMS_H
#define RENTAL_SUMS_H

#include "facts.h"
#include "report.h"

#include "utils/timestamp.h"
#include "utils/uuid.h"

#define SUM_COMMA			 ,
#define SUM_MEASURE(measure) SUM_##measure

/* The measures, in the order of the columns of facts_daily and facts_monthly */
typedef enum SumMeasure
{
	VENDOR_MEASURES(SUM_MEASURE, SUM_COMMA),
	SUM_MEASURES
} SumMeasure;

typedef struct FactSum
{
	TimestampTz start_at;
	Datum		currency;
	pg_uuid_t	vendor_id;				/* zero, unless it is by vendor */
	bool		is_merged;				/* its amounts are in memory of their own */
	Datum		measures[SUM_MEASURES]; /* those that a report wants, in its order; amounts are rounded */
} FactSum;

/* What a report makes of the sums of its measures: the row that it answers for them, or false for none */
typedef struct SumReport
{
	const SumMeasure *measures;
	int				  nmeasures;
	bool			  has_vendor; /* as its last column, null unless it is by vendor */
	bool (*row)(const FactSum *sum, Datum *values);
} SumReport;

extern Datum sums_answer(FunctionCallInfo fcinfo, const SumReport *report, ReportShape shape, NullableDatum currency,
						 bool by_vendor);

#endif /* RENTAL_SUMS_H */
