/*
 * sums.c
 *	  The sums of vendors' facts by period, for reports over time.
 *
 * What is folded, many rows, is read without the executor, in the order of the
 * answer where one time zone is asked for. What is not folded, and the parts of
 * days, few rows, come from a plan in the same snapshot. Then all are sorted,
 * and neighbours added up. An amount that is alone is not touched.
 */
#include "sums.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "amount.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "executor/tuptable.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* The columns of facts_daily and facts_monthly before the measures; the plan has start_at for day */
#define COLUMN_VENDOR	1
#define COLUMN_DAY		2
#define COLUMN_CURRENCY 3
#define COLUMN_MEASURES 4

/* Where whole days begin, whole months among them, and where they end: bounds of SumZone */
enum
{
	DAYS_BEGIN,
	MONTHS_BEGIN,
	MONTHS_END,
	DAYS_END,
	ZONE_BOUNDS
};

typedef struct SumZone
{
	Datum		name;
	DateADT		bounds[ZONE_BOUNDS];
	DateADT		day; /* the last that was asked for, and when its period starts */
	TimestampTz start_at;
	bool		has_start;
	FactSum	   *last; /* what its last row was added to */
} SumZone;

typedef struct ZoneOfVendor
{
	pg_uuid_t vendor_id;
	SumZone	 *zone;
} ZoneOfVendor;

typedef struct Sums
{
	const SumReport *report;
	Datum			 granularity;
	NullableDatum	 vendor;
	NullableDatum	 currency;
	bool			 by_vendor;
	SumZone			*zones;
	int				 nzones;
	HTAB			*zone_of_vendor; /* NULL: all have the same, or none is asked for */
	FactSum		   **rows;
	int				 nrows;
	int				 size;
	MemoryContext	 scratch;
} Sums;

PLAN_ONCE(period_zones, FACT_ZONES("$3 IN ('month', 'quarter', 'year')"), FACT_PERIOD_TYPES);
PLAN_ONCE(vendor_zones, "SELECT id, time_zone FROM rental.vendors", );
/* clang-format off */
PLAN_ONCE(unfolded,
	"WITH zones AS MATERIALIZED (" FACT_ZONES("$3 IN ('month', 'quarter', 'year')") "), " FACT_PIECES
	VENDOR_PIVOT("start_at", FACTS_NOT_FOLDED("$5", "$6")),
	FACT_PERIOD_TYPES, TIMESTAMPTZOID, TIMESTAMPTZOID);
/* clang-format on */

static bool
is_amount(SumMeasure measure)
{
	return measure == SUM_ordered || measure == SUM_lost || measure == SUM_recognised || measure == SUM_billed ||
		   measure == SUM_paid;
}

static void
find_zone_of_each_vendor(Sums *sums)
{
	HASHCTL control = {.keysize = sizeof(pg_uuid_t), .entrysize = sizeof(ZoneOfVendor), .hcxt = CurrentMemoryContext};
	uint64	n = plan_execute(&vendor_zones, NULL, 0, true);
	uint64	row;
	int		i;

	sums->zone_of_vendor = hash_create("zones of vendors", n, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	for (row = 0; row < n; row++)
	{
		pg_uuid_t	 *id = DatumGetUUIDP(plan_datum(row, 1));
		ZoneOfVendor *entry = hash_search(sums->zone_of_vendor, id, HASH_ENTER, NULL);

		entry->zone = NULL;
		for (i = 0; i < sums->nzones && entry->zone == NULL; i++)
			if (datum_image_eq(sums->zones[i].name, plan_datum(row, 2), false, -1))
				entry->zone = &sums->zones[i];
	}
}

/* find_zones finds what of the period is whole days and months, in each zone, and args $5 and $6 of what is not. */
static void
find_zones(Sums *sums, const NullableDatum *period, NullableDatum *early_end, NullableDatum *late_begin)
{
	static const int column_of[ZONE_BOUNDS] = {2, 6, 7, 3};
	int				 i;
	int				 bound;

	sums->nzones = plan_execute(&period_zones, period, 4, true);
	sums->zones = palloc0(sums->nzones * sizeof(SumZone));
	*early_end = *late_begin = NULLVALUE;
	for (i = 0; i < sums->nzones; i++)
	{
		TimestampTz e1 = DatumGetTimestampTz(plan_datum(i, 4));
		TimestampTz e2 = DatumGetTimestampTz(plan_datum(i, 5));

		sums->zones[i].name = datumCopy(plan_datum(i, 1), false, -1);
		for (bound = 0; bound < ZONE_BOUNDS; bound++)
			sums->zones[i].bounds[bound] = DatumGetDateADT(plan_datum(i, column_of[bound]));
		if (e1 > DatumGetTimestampTz(period[0].value) &&
			(early_end->isnull || e1 > DatumGetTimestampTz(early_end->value)))
			*early_end = VALUE(TimestampTzGetDatum(e1));
		if (e2 < DatumGetTimestampTz(period[1].value) &&
			(late_begin->isnull || e2 < DatumGetTimestampTz(late_begin->value)))
			*late_begin = VALUE(TimestampTzGetDatum(e2));
	}
	if (sums->nzones > 1 && sums->by_vendor)
		find_zone_of_each_vendor(sums);
}

static SumZone *
zone_of(Sums *sums, const pg_uuid_t *vendor_id)
{
	ZoneOfVendor *entry;

	if (sums->zone_of_vendor == NULL)
		return sums->zones;
	entry = hash_search(sums->zone_of_vendor, vendor_id, HASH_FIND, NULL);
	return entry ? entry->zone : NULL;
}

/* start_of is when the period of a day starts; days come in order, so that it is seldom reckoned. */
static TimestampTz
start_of(Sums *sums, SumZone *zone, DateADT day)
{
	if (!zone->has_start || zone->day != day)
	{
		Datum local = DirectFunctionCall2(timestamp_trunc, sums->granularity, TimestampGetDatum(day * USECS_PER_DAY));

		zone->start_at = DatumGetTimestampTz(DirectFunctionCall2(timestamp_zone, zone->name, local));
		zone->day = day;
		zone->has_start = true;
	}
	return zone->start_at;
}

static int
compare_currencies(Datum a, Datum b)
{
	int size_a = VARSIZE_ANY_EXHDR(DatumGetPointer(a));
	int size_b = VARSIZE_ANY_EXHDR(DatumGetPointer(b));
	int result = memcmp(VARDATA_ANY(DatumGetPointer(a)), VARDATA_ANY(DatumGetPointer(b)), Min(size_a, size_b));

	return result ? result : size_a - size_b;
}

/* keep_row keeps of a row what the report wants, with its amounts in one piece of memory. */
static FactSum *
keep_row(Sums *sums, const pg_uuid_t *vendor_id, TimestampTz start_at, Datum currency, const Datum *measures)
{
	const SumReport *report = sums->report;
	FactSum			*sum;
	char			*next;
	Size			 size = offsetof(FactSum, measures) + report->nmeasures * sizeof(Datum) +
				INTALIGN(VARSIZE_ANY(DatumGetPointer(currency)));
	int i;

	for (i = 0; i < report->nmeasures; i++)
		if (is_amount(report->measures[i]))
			size += INTALIGN(VARSIZE_ANY(DatumGetPointer(measures[report->measures[i]])));
	sum = palloc(size);
	next = (char *) &sum->measures[report->nmeasures];
	sum->start_at = start_at;
	sum->is_merged = false;
	memset(&sum->vendor_id, 0, sizeof(pg_uuid_t));
	if (sums->by_vendor)
		sum->vendor_id = *vendor_id;
	for (i = -1; i < report->nmeasures; i++)
	{
		Datum  value = i < 0 ? currency : measures[report->measures[i]];
		Datum *kept = i < 0 ? &sum->currency : &sum->measures[i];

		*kept = value;
		if (i < 0 || is_amount(report->measures[i]))
		{
			size = VARSIZE_ANY(DatumGetPointer(value));
			memcpy(next, DatumGetPointer(value), size);
			*kept = PointerGetDatum(next);
			next += INTALIGN(size);
		}
	}
	if (sums->nrows == sums->size)
	{
		sums->size *= 2;
		sums->rows = repalloc_huge(sums->rows, sums->size * sizeof(FactSum *));
	}
	return sums->rows[sums->nrows++] = sum;
}

/* merge_row adds a row to a sum, and leaves nothing else behind. */
static void
merge_row(Sums *sums, FactSum *sum, const Datum *measures)
{
	const SumReport *report = sums->report;
	int				 i;

	for (i = 0; i < report->nmeasures; i++)
	{
		Datum value = measures[report->measures[i]];

		if (is_amount(report->measures[i]))
		{
			MemoryContext context = MemoryContextSwitchTo(sums->scratch);

			value = amount_add(sum->measures[i], value);
			MemoryContextSwitchTo(context);
			if (sum->is_merged)
				pfree(DatumGetPointer(sum->measures[i]));
			sum->measures[i] = datumCopy(value, false, -1);
		}
		else
			sum->measures[i] = Int64GetDatum(DatumGetInt64(sum->measures[i]) + DatumGetInt64(value));
	}
	sum->is_merged = true;
	MemoryContextReset(sums->scratch);
}

/*
 * add_row adds a row, of a zone or of none in particular. Rows that are summed
 * anyway mostly follow each other, so that what is kept is little more than
 * the answer.
 */
static void
add_row(Sums *sums, SumZone *zone, const pg_uuid_t *vendor_id, TimestampTz start_at, Datum currency,
		const Datum *measures)
{
	FactSum *last = zone ? zone->last : NULL;

	if (!sums->currency.isnull && compare_currencies(currency, sums->currency.value) != 0)
		return;
	if (last != NULL && last->start_at == start_at && compare_currencies(last->currency, currency) == 0 &&
		(!sums->by_vendor || uuid_equal(&last->vendor_id, vendor_id)))
	{
		merge_row(sums, last, measures);
		return;
	}
	last = keep_row(sums, vendor_id, start_at, currency, measures);
	if (zone != NULL)
		zone->last = last;
}

/*
 * read_index adds the rows of a table, by its index on day or on an owner and
 * day, whose day is in [begin, end) of their zones' bounds. Rows of facts_zones
 * are all of one zone, and have one column more before the others.
 */
static void
read_index(Sums *sums, const char *name, const char *suffix, const ScanKey owner, SumZone *zone_of_all, int begin,
		   int end)
{
	Oid				schema = get_namespace_oid("rental", false);
	int				day_at = zone_of_all ? COLUMN_DAY : COLUMN_DAY - 1;
	DateADT			first = DATEVAL_NOEND;
	DateADT			last = DATEVAL_NOBEGIN;
	Relation		table;
	Relation		index;
	TupleTableSlot *slot;
	ScanKeyData		keys[3];
	IndexScanDesc	scan;
	int				nkeys = 0;
	int				i;

	for (i = 0; i < sums->nzones; i++)
		if (sums->zones[i].bounds[begin] < sums->zones[i].bounds[end])
		{
			first = Min(first, sums->zones[i].bounds[begin]);
			last = Max(last, sums->zones[i].bounds[end]);
		}
	if (first >= last)
		return;
	table = table_open(get_relname_relid(name, schema), AccessShareLock);
	index = index_open(get_relname_relid(psprintf("%s_%s", name, suffix), schema), AccessShareLock);
	slot = table_slot_create(table, NULL);
	if (owner != NULL)
		keys[nkeys++] = *owner;
	ScanKeyInit(&keys[nkeys], nkeys + 1, BTGreaterEqualStrategyNumber, F_DATE_GE, DateADTGetDatum(first));
	nkeys++;
	ScanKeyInit(&keys[nkeys], nkeys, BTLessStrategyNumber, F_DATE_LT, DateADTGetDatum(last));
	nkeys++;
	scan = index_beginscan(table, index, GetActiveSnapshot(), nkeys, 0);
	index_rescan(scan, keys, nkeys, NULL, 0);
	while (index_getnext_slot(scan, ForwardScanDirection, slot))
	{
		const Datum *values = &slot->tts_values[day_at];
		pg_uuid_t	*vendor_id = NULL;
		SumZone		*zone = zone_of_all;
		DateADT		 day;

		slot_getsomeattrs(slot, day_at + (COLUMN_MEASURES - COLUMN_DAY) + SUM_MEASURES);
		if (zone == NULL)
		{
			vendor_id = DatumGetUUIDP(slot->tts_values[COLUMN_VENDOR - 1]);
			zone = zone_of(sums, vendor_id);
		}
		day = DatumGetDateADT(values[0]);
		if (zone != NULL && day >= zone->bounds[begin] && day < zone->bounds[end])
			add_row(sums, zone, vendor_id, start_of(sums, zone, day), values[COLUMN_CURRENCY - COLUMN_DAY],
					&values[COLUMN_MEASURES - COLUMN_DAY]);
		CHECK_FOR_INTERRUPTS();
	}
	index_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	index_close(index, AccessShareLock);
	table_close(table, AccessShareLock);
}

/* read_folded adds what is folded: where vendors do not matter, all of a zone in one. */
static void
read_folded(Sums *sums)
{
	ScanKeyData owner;
	bool		is_one = !sums->vendor.isnull;
	int			i;

	if (!is_one && !sums->by_vendor)
	{
		for (i = 0; i < sums->nzones; i++)
		{
			ScanKeyEntryInitialize(&owner, 0, 1, BTEqualStrategyNumber, InvalidOid, DEFAULT_COLLATION_OID, F_TEXTEQ,
								   sums->zones[i].name);
			read_index(sums, "facts_zones", "pkey", &owner, &sums->zones[i], DAYS_BEGIN, DAYS_END);
		}
		return;
	}
	if (is_one)
		ScanKeyInit(&owner, 1, BTEqualStrategyNumber, F_UUID_EQ, sums->vendor.value);
	read_index(sums, "facts_monthly", is_one ? "pkey" : "day", is_one ? &owner : NULL, NULL, MONTHS_BEGIN, MONTHS_END);
	read_index(sums, "facts_daily", is_one ? "pkey" : "day", is_one ? &owner : NULL, NULL, DAYS_BEGIN, MONTHS_BEGIN);
	read_index(sums, "facts_daily", is_one ? "pkey" : "day", is_one ? &owner : NULL, NULL, MONTHS_END, DAYS_END);
}

static void
read_unfolded(Sums *sums, const NullableDatum *period, NullableDatum early_end, NullableDatum late_begin)
{
	NullableDatum args[] = {period[0], period[1], period[2], period[3], early_end, late_begin};
	uint64		  n = plan_execute(&unfolded, args, lengthof(args), true);
	uint64		  row;
	Datum		  measures[SUM_MEASURES];
	int			  i;

	for (row = 0; row < n; row++)
	{
		for (i = 0; i < SUM_MEASURES; i++)
			measures[i] = plan_datum(row, COLUMN_MEASURES + i);
		add_row(sums, NULL, DatumGetUUIDP(plan_datum(row, COLUMN_VENDOR)),
				DatumGetTimestampTz(plan_datum(row, COLUMN_DAY)), plan_datum(row, COLUMN_CURRENCY), measures);
	}
}

static int
compare_sums(const void *a, const void *b)
{
	const FactSum *x = *(FactSum *const *) a;
	const FactSum *y = *(FactSum *const *) b;
	int			   result;

	if (x->start_at != y->start_at)
		return x->start_at < y->start_at ? -1 : 1;
	result = compare_currencies(x->currency, y->currency);
	return result ? result : memcmp(&x->vendor_id, &y->vendor_id, sizeof(pg_uuid_t));
}

/* put_sums makes the rows of the function of sums of neighbours that are alike. */
static void
put_sums(Sums *sums, ReturnSetInfo *rsinfo)
{
	const SumReport *report = sums->report;
	Datum			*values = palloc(rsinfo->setDesc->natts * sizeof(Datum));
	bool			*nulls = palloc0(rsinfo->setDesc->natts * sizeof(bool));
	MemoryContext	 context = MemoryContextSwitchTo(sums->scratch);
	Datum			 currency = (Datum) 0;
	int				 exponent = 0;
	int				 row;
	int				 next;
	int				 i;

	nulls[rsinfo->setDesc->natts - 1] = report->has_vendor && !sums->by_vendor;
	for (row = 0; row < sums->nrows; row = next)
	{
		FactSum *sum = sums->rows[row];

		for (next = row + 1; next < sums->nrows && compare_sums(&sums->rows[row], &sums->rows[next]) == 0; next++)
			for (i = 0; i < report->nmeasures; i++)
				sum->measures[i] =
					is_amount(report->measures[i])
						? amount_add(sum->measures[i], sums->rows[next]->measures[i])
						: Int64GetDatum(DatumGetInt64(sum->measures[i]) + DatumGetInt64(sums->rows[next]->measures[i]));
		if (currency == (Datum) 0 || compare_currencies(currency, sum->currency) != 0)
		{
			currency = sum->currency;
			exponent = amount_exponent(text_to_cstring(DatumGetTextPP(currency)));
		}
		for (i = 0; i < report->nmeasures; i++)
			if (is_amount(report->measures[i]) &&
				DatumGetInt32(DirectFunctionCall1(numeric_scale, sum->measures[i])) != exponent)
				sum->measures[i] = DirectFunctionCall2(numeric_round, sum->measures[i], Int32GetDatum(exponent));
		if (report->row(sum, values))
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		MemoryContextReset(sums->scratch);
	}
	MemoryContextSwitchTo(context);
}

/* sums_answer answers a report of sums, of all currencies or one. */
Datum
sums_answer(FunctionCallInfo fcinfo, const SumReport *report, ReportShape shape, NullableDatum currency, bool by_vendor)
{
	Sums		  sums = {.report = report, .currency = currency, .by_vendor = by_vendor, .size = 1024};
	NullableDatum period[4] = {FCARG(0), FCARG(1), FCARG(shape.granularity)};
	NullableDatum early_end;
	NullableDatum late_begin;

	report_check(fcinfo, shape, &period[3]);
	sums.granularity = period[2].value;
	if (!currency.isnull)
		sums.currency = VALUE(PointerGetDatum(PG_DETOAST_DATUM_PACKED(currency.value)));
	sums.vendor = period[3];
	InitMaterializedSRF(fcinfo, 0);
	plan_open();
	sums.rows = palloc(sums.size * sizeof(FactSum *));
	sums.scratch = AllocSetContextCreate(CurrentMemoryContext, "a sum", ALLOCSET_SMALL_SIZES);
	find_zones(&sums, period, &early_end, &late_begin);
	read_folded(&sums);
	read_unfolded(&sums, period, early_end, late_begin);
	qsort(sums.rows, sums.nrows, sizeof(FactSum *), compare_sums);
	put_sums(&sums, (ReturnSetInfo *) fcinfo->resultinfo);
	plan_close();
	return (Datum) 0;
}
