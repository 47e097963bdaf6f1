/*
 * availability.c
 *	  Looks at what is free: of a product, of a kit, of the whole catalogue.
 *
 * All read the timelines; none writes. Where several locations keep a product,
 * the answer is that of the best one, since an order is served from one. A kit
 * has no timeline: it is there as often as the scarcest of its components.
 */
#include "stock.h"

#include "actor.h"
#include "catalog.h"
#include "catalog/pg_type.h"
#include "errors.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "plan.h"
#include "request.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"

/* One product at one location */

typedef struct FreeLook
{
	const pg_uuid_t *product_id;
	const pg_uuid_t *location_id;
	int32			 lowest;
} FreeLook;

static TimelineView
piece_now(const StockPiece *piece, const pg_uuid_t *product_id, const pg_uuid_t *location_id)
{
	StockKey key = {.product_id = *product_id, .location_id = *location_id};

	if (piece->holds_until > rental_now())
		return piece->free;
	return stock_truly_free(piece, &key, false, NULL);
}

static bool
look_lowest(const StockPiece *piece, void *arg)
{
	FreeLook	*look = arg;
	TimelineView free = piece_now(piece, look->product_id, look->location_id);

	look->lowest = Min(look->lowest, timeline_lowest(&free, &piece->period, NULL));
	return true;
}

/* Kits */

static bool
kit_free(ChunkReader *reader, const pg_uuid_t *product_id, const pg_uuid_t *location_id, const Period *window,
		 int32 *free)
{
	Component *components;
	int		   n = product_components(product_id, &components);
	int		   i;

	*free = n > 0 ? PG_INT32_MAX : 0;
	for (i = 0; i < n; i++)
	{
		FreeLook look = {&components[i].product_id, location_id, PG_INT32_MAX};

		if (!chunk_read(reader, look.product_id, location_id, window, look_lowest, &look))
			return false;
		*free = Min(*free, Max(look.lowest, 0) / components[i].quantity);
	}
	return n > 0;
}

/* look_at finds what is free of a product or a kit at a location; false if it is not kept there. */
static bool
look_at(ChunkReader *reader, const pg_uuid_t *product_id, const pg_uuid_t *location_id, const Period *window,
		int32 *free)
{
	FreeLook look = {product_id, location_id, PG_INT32_MAX};

	if (!chunk_read(reader, product_id, location_id, window, look_lowest, &look))
		return kit_free(reader, product_id, location_id, window, free);
	*free = Max(look.lowest, 0);
	return true;
}

/* stock_free is the least that is free at a location in a window, 0 if the product is not kept there. */
int32
stock_free(const pg_uuid_t *product_id, const pg_uuid_t *location_id, const Period *window)
{
	ChunkReader *reader = chunk_reader_open();
	int32		 free;

	if (!look_at(reader, product_id, location_id, window, &free))
		free = 0;
	chunk_reader_close(reader);
	return free;
}

/* stock_is_kept tells whether a product is kept at a location. */
bool
stock_is_kept(const pg_uuid_t *product_id, const pg_uuid_t *location_id)
{
	ChunkReader *reader = chunk_reader_open();
	Period		 moment = {rental_now(), rental_now() + 1};
	int32		 free;
	bool		 kept = look_at(reader, product_id, location_id, &moment, &free);

	chunk_reader_close(reader);
	return kept;
}

/* locations_of lists where a product, or a kit's first component, is kept. */
static int
locations_of(ChunkReader *reader, const pg_uuid_t *product_id, pg_uuid_t **locations)
{
	int		   n = chunk_locations(reader, product_id, PG_INT32_MAX, locations);
	Component *components;

	if (n == 0 && product_components(product_id, &components) > 0)
		n = locations_of(reader, &components[0].product_id, locations);
	return n;
}

/*
 * stock_best_location finds the location where most is free in a window, and
 * how much, unless free is NULL. It returns false if the product is kept
 * nowhere.
 */
bool
stock_best_location(const pg_uuid_t *product_id, const Period *window, pg_uuid_t *location_id, int32 *free)
{
	ChunkReader *reader = chunk_reader_open();
	pg_uuid_t	*locations;
	int			 n = locations_of(reader, product_id, &locations);
	bool		 found = false;
	int32		 most = 0;
	int			 i;

	for (i = 0; i < n; i++)
	{
		int32 here = 0;

		/* the only one there is need not be looked at */
		if ((n == 1 && free == NULL) || look_at(reader, product_id, &locations[i], window, &here))
			if (!found || here > most)
			{
				*location_id = locations[i];
				most = here;
				found = true;
			}
	}
	if (free != NULL)
		*free = most;
	chunk_reader_close(reader);
	return found;
}

static Period
window_arg(FunctionCallInfo fcinfo, int n)
{
	Period window;

	if (!period_from_range(PG_GETARG_DATUM(n), &window))
		rental_raise(invalid_period, errmsg("the period is empty"), errfield("period"));
	return window;
}

/*
 * availability(product_id uuid, period tstzrange, location_id uuid): pieces
 * free during the whole period, at the location or at the best one
 */
PG_FUNCTION_INFO_V1(availability);
Datum
availability(PG_FUNCTION_ARGS)
{
	Period	  window;
	pg_uuid_t location;
	int32	  free;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	window = window_arg(fcinfo, 1);
	if (!PG_ARGISNULL(2))
		PG_RETURN_INT32(stock_free(PG_GETARG_UUID_P(0), PG_GETARG_UUID_P(2), &window));
	if (!stock_best_location(PG_GETARG_UUID_P(0), &window, &location, &free))
		PG_RETURN_NULL();
	PG_RETURN_INT32(free);
}

/* Steps of availability: at one location, or of the best location at each time */

typedef struct StepsLook
{
	const pg_uuid_t *product_id;
	const pg_uuid_t *location_id;
	int				 count;
	int				 room;
	TimestampTz		*at;
	int32			*value;
} StepsLook;

static void
steps_append(StepsLook *steps, TimestampTz at, int32 value)
{
	value = Max(value, 0);
	if (steps->count > 0 && steps->value[steps->count - 1] == value)
		return;
	if (steps->count == steps->room)
	{
		steps->room = Max(16, steps->room * 2);
		steps->at = steps->at ? repalloc(steps->at, steps->room * sizeof(TimestampTz))
							  : palloc(steps->room * sizeof(TimestampTz));
		steps->value =
			steps->value ? repalloc(steps->value, steps->room * sizeof(int32)) : palloc(steps->room * sizeof(int32));
	}
	steps->at[steps->count] = at;
	steps->value[steps->count++] = value;
}

static bool
look_steps(const StockPiece *piece, void *arg)
{
	StepsLook	*look = arg;
	TimelineView free = piece_now(piece, look->product_id, look->location_id);
	int			 i = timeline_locate(&free, piece->period.start);

	steps_append(look, piece->period.start, i < 0 ? free.base : free.value[i]);
	for (i++; i < free.count && free.at[i] < piece->period.end; i++)
		steps_append(look, free.at[i], free.value[i]);
	return true;
}

/* steps_merge is the greater, or the lesser, of two at each time. */
static StepsLook
steps_merge(const StepsLook *a, const StepsLook *b, bool greater)
{
	StepsLook merged = {0};
	int		  i = 0;
	int		  j = 0;

	if (a->count == 0)
		return *b;
	while (i < a->count || j < b->count)
	{
		TimestampTz at = j == b->count || (i < a->count && a->at[i] <= b->at[j]) ? a->at[i] : b->at[j];

		if (i < a->count && a->at[i] == at)
			i++;
		if (j < b->count && b->at[j] == at)
			j++;
		steps_append(&merged, at,
					 greater ? Max(a->value[i - 1], b->value[j - 1]) : Min(a->value[i - 1], b->value[j - 1]));
	}
	return merged;
}

static StepsLook
steps_at(ChunkReader *reader, const pg_uuid_t *product_id, const pg_uuid_t *location_id, const Period *window)
{
	StepsLook  steps = {product_id, location_id, 0, 0, NULL, NULL};
	Component *components;
	int		   n;
	int		   i;
	int		   j;

	if (chunk_read(reader, product_id, location_id, window, look_steps, &steps))
		return steps;
	n = product_components(product_id, &components);
	for (i = 0; i < n; i++)
	{
		StepsLook part = {&components[i].product_id, location_id, 0, 0, NULL, NULL};
		StepsLook kits = {0};

		if (!chunk_read(reader, part.product_id, location_id, window, look_steps, &part))
			steps_append(&part, window->start, 0);
		for (j = 0; j < part.count; j++)
			steps_append(&kits, part.at[j], part.value[j] / components[i].quantity);
		steps = steps_merge(&steps, &kits, false);
	}
	if (steps.count == 0)
		steps_append(&steps, window->start, 0);
	return steps;
}

/* steps_read reads the steps of a location, or of the best at each time; false if the product is kept nowhere. */
static bool
steps_read(const pg_uuid_t *product_id, NullableDatum location, const Period *window, StepsLook *result)
{
	ChunkReader *reader = chunk_reader_open();
	pg_uuid_t	*locations;
	int			 n;
	int			 i;

	memset(result, 0, sizeof(*result));
	if (!location.isnull)
	{
		*result = steps_at(reader, product_id, DatumGetUUIDP(location.value), window);
		chunk_reader_close(reader);
		return true;
	}
	n = locations_of(reader, product_id, &locations);
	for (i = 0; i < n; i++)
	{
		StepsLook here = steps_at(reader, product_id, &locations[i], window);

		*result = steps_merge(result, &here, true);
	}
	chunk_reader_close(reader);
	return n > 0;
}

/* step_values are start_at, end_at and available of a step. */
static void
step_values(const StepsLook *steps, int i, TimestampTz end, Datum *values)
{
	values[0] = TimestampTzGetDatum(steps->at[i]);
	values[1] = TimestampTzGetDatum(i + 1 < steps->count ? steps->at[i + 1] : end);
	values[2] = Int32GetDatum(steps->value[i]);
}

/* availability_steps(product_id uuid, period tstzrange, location_id uuid): start_at, end_at, available */
PG_FUNCTION_INFO_V1(availability_steps);
Datum
availability_steps(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	StepsLook	   steps;
	Period		   window;
	int			   i;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	window = window_arg(fcinfo, 1);
	steps_read(PG_GETARG_UUID_P(0), FCARG(2), &window, &steps);
	for (i = 0; i < steps.count; i++)
	{
		Datum values[3];
		bool  nulls[3] = {false};

		step_values(&steps, i, window.end, values);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
}

/* product_availability(product_id uuid, "from" timestamptz, "to" timestamptz, location_id uuid) */
PG_FUNCTION_INFO_V1(product_availability);
Datum
product_availability(PG_FUNCTION_ARGS)
{
	Product	  product;
	Period	  window;
	StepsLook steps;
	TupleDesc desc;
	TupleDesc step_desc;
	Oid		  step_type;
	Datum	 *results;
	Datum	  values[3];
	bool	  nulls[3] = {false};
	int		  i;

	request_required(FCARG(0), "product_id");
	request_required(FCARG(1), "from");
	request_required(FCARG(2), "to");
	window = period_check_window(PG_GETARG_TIMESTAMPTZ(1), PG_GETARG_TIMESTAMPTZ(2), "to");
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "availability is a composite");
	plan_open();
	product_load(PG_GETARG_UUID_P(0), &product, "product_id");
	plan_close();
	if (!steps_read(PG_GETARG_UUID_P(0), FCARG(3), &window, &steps))
		steps_append(&steps, window.start, 0);

	step_type = get_element_type(TupleDescAttr(desc, 2)->atttypid);
	step_desc = BlessTupleDesc(TypeGetTupleDesc(step_type, NIL));
	results = palloc(steps.count * sizeof(Datum));
	for (i = 0; i < steps.count; i++)
	{
		Datum step[3];

		step_values(&steps, i, window.end, step);
		results[i] = HeapTupleGetDatum(heap_form_tuple(step_desc, step, nulls));
	}
	values[0] = PG_GETARG_DATUM(0);
	values[1] = FCARG(3).value;
	nulls[1] = FCARG(3).isnull;
	values[2] = PointerGetDatum(construct_array(results, steps.count, step_type, -1, false, TYPALIGN_DOUBLE));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* The whole catalogue */

/* A location that has too little of a product */
typedef struct TightPlace
{
	pg_uuid_t product_id;
	pg_uuid_t location_id;
} TightPlace;

typedef struct TightLook
{
	int32		quantity;
	int			count;
	int			room;
	TightPlace *places; /* the same one may be found twice */
} TightLook;

static void
look_tight(const pg_uuid_t *product_id, const pg_uuid_t *location_id, const StockPiece *piece, void *arg)
{
	TightLook	*look = arg;
	TimelineView free = piece->free;

	if (timeline_lowest(&free, &piece->period, NULL) >= look->quantity)
		return;
	if (piece->holds_until <= rental_now())
	{
		free = piece_now(piece, product_id, location_id);
		if (timeline_lowest(&free, &piece->period, NULL) >= look->quantity)
			return;
	}
	if (look->count == look->room)
	{
		look->room *= 2;
		look->places = repalloc_huge(look->places, look->room * sizeof(TightPlace));
	}
	look->places[look->count++] = (TightPlace){*product_id, *location_id};
}

static int
compare_places(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(TightPlace));
}

/*
 * stock_unavailable lists, in ascending order, the products, kits aside, of
 * which no location has so many free during the whole window.
 */
int
stock_unavailable(const Period *window, int32 quantity, pg_uuid_t **products)
{
	TightLook	 look = {quantity, 0, 1024, palloc(1024 * sizeof(TightPlace))};
	ChunkReader *reader;
	int			 n = 0;
	int			 i;
	int			 next;

	chunk_tight(window, quantity, look_tight, &look);
	qsort(look.places, look.count, sizeof(TightPlace), compare_places);
	*products = palloc_extended(Max(look.count, 1) * sizeof(pg_uuid_t), MCXT_ALLOC_HUGE);
	reader = chunk_reader_open();
	for (i = 0; i < look.count; i = next)
	{
		const pg_uuid_t *product = &look.places[i].product_id;
		pg_uuid_t		*locations;
		int				 tight = 1;

		for (next = i + 1; next < look.count && uuid_equal(&look.places[next].product_id, product); next++)
			if (!uuid_equal(&look.places[next].location_id, &look.places[next - 1].location_id))
				tight++;
		if (chunk_locations(reader, product, tight + 1, &locations) == tight)
			(*products)[n++] = *product;
		pfree(locations);
	}
	chunk_reader_close(reader);
	pfree(look.places);
	return n;
}

/* unavailable_products(period tstzrange, quantity integer): what stock_unavailable lists */
PG_FUNCTION_INFO_V1(unavailable_products);
Datum
unavailable_products(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Period		   window = window_arg(fcinfo, 0);
	pg_uuid_t	  *products;
	bool		   null = false;
	int			   n = stock_unavailable(&window, PG_GETARG_INT32(1), &products);
	int			   i;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	for (i = 0; i < n; i++)
	{
		Datum value = UUIDPGetDatum(&products[i]);

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &value, &null);
	}
	PG_RETURN_NULL();
}

static int
compare_uuids(const void *a, const void *b)
{
	return memcmp(a, b, UUID_LEN);
}

/* uuid_among(id uuid, sorted uuid[]): whether an ascending list without nulls has it, by bisection */
PG_FUNCTION_INFO_V1(uuid_among);
Datum
uuid_among(PG_FUNCTION_ARGS)
{
	ArrayType *sorted = PG_GETARG_ARRAYTYPE_P(1);

	if (ARR_HASNULL(sorted))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the list must not contain nulls")));
	PG_RETURN_BOOL(bsearch(PG_GETARG_UUID_P(0), ARR_DATA_PTR(sorted),
						   ArrayGetNItems(ARR_NDIM(sorted), ARR_DIMS(sorted)), UUID_LEN, compare_uuids) != NULL);
}

/*
 * next_available(product_id uuid, quantity integer, length interval, after
 * timestamptz, location_id uuid): the first time from which so many are free
 * for the length, within the five years that can be booked; null if there is none
 */
PG_FUNCTION_INFO_V1(next_available);
Datum
next_available(PG_FUNCTION_ARGS)
{
	TimestampTz	 start;
	TimestampTz	 last;
	int32		 quantity;
	ChunkReader *reader;
	StepsLook	 steps;
	pg_uuid_t	*locations;
	TimestampTz	 best = DT_NOEND;
	int			 n = 1;
	int			 i;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	quantity = PG_GETARG_INT32(1);
	start = PG_ARGISNULL(3) ? rental_now() : PG_GETARG_TIMESTAMPTZ(3);
	last = start + INT64CONST(5) * 366 * USECS_PER_DAY;
	if (quantity < 1)
		rental_raise(invalid_value, errmsg("quantity must be at least 1"), errfield("quantity"));
	reader = chunk_reader_open();
	if (PG_ARGISNULL(4))
		n = locations_of(reader, PG_GETARG_UUID_P(0), &locations);
	else
		locations = PG_GETARG_UUID_P(4);
	for (i = 0; i < n; i++)
	{
		Period		window = {start, last};
		TimestampTz from = DT_NOEND;
		int			step;

		steps = steps_at(reader, PG_GETARG_UUID_P(0), &locations[i], &window);
		for (step = 0; step < steps.count; step++)
		{
			TimestampTz ends = step + 1 < steps.count ? steps.at[step + 1] : last;
			TimestampTz needed;

			if (steps.value[step] < quantity)
			{
				from = DT_NOEND;
				continue;
			}
			if (TIMESTAMP_IS_NOEND(from))
				from = steps.at[step];
			needed = period_plus(from, PG_GETARG_DATUM(2));
			if (needed <= from)
				rental_raise(invalid_value, errmsg("length must be positive"), errfield("length"));
			if (needed <= ends)
			{
				best = Min(best, from);
				break;
			}
		}
	}
	chunk_reader_close(reader);
	if (TIMESTAMP_IS_NOEND(best))
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(best);
}
