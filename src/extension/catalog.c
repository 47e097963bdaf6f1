/*
 * catalog.c
 *	  Categories, locations, products, rates and units.
 *
 * It owns what is for rent and at which rate; how much of it there is over
 * time belongs to stock.c.
 */
#include "catalog.h"

#include "actor.h"
#include "amount.h"
#include "commands/trigger.h"
#include "errors.h"
#include "funcapi.h"
#include "lookup.h"
#include "plan.h"
#include "rates.h"
#include "request.h"
#include "response.h"
#include "slug.h"
#include "stock.h"
#include "utils/builtins.h"
#include "utils/rel.h"

/* Columns of rental.categories, in the order of sql/install/30_catalog.sql */
enum
{
	CATEGORY_ID = 1,
	CATEGORY_PARENT
};

LOOKUP(product_by_id, "products", NULL, "vendor_id", "name", "tracking", "is_active", "buffer_before", "buffer_after",
	   "kind", "assignment", "category_id");
LOOKUP(vendor_by_id, "vendors", NULL, "currency", "time_zone", "hold_time", "minimum_notice", "is_active");
/* these in the order of the values that pricing.c reads */
LOOKUP(rate_by_product, "product_rates", NULL, "strategy", "unit", "counting", "leeway", "weekend_as_day", "tiers",
	   "days", "amount", "extra_day", "factors", "extra_percent", "minimum", "shortest", "longest", "deposit",
	   "waiver_exempt");
LOOKUP(settings_by_vendor, "price_settings", NULL, "deposit", "deposit_percent", "waiver_percent");

/* Columns of rental.product_view, in order */
enum
{
	SHOWN_ID,
	SHOWN_VENDOR,
	SHOWN_VENDOR_NAME,
	SHOWN_CATEGORY,
	SHOWN_CATEGORY_NAME,
	SHOWN_NAME,
	SHOWN_DESCRIPTION,
	SHOWN_KIND,
	SHOWN_TRACKING,
	SHOWN_CURRENCY,
	SHOWN_RATE,
	SHOWN_REPLACEMENT_VALUE,
	SHOWN_IS_ACTIVE,
	SHOWN_CREATED_AT,
	SHOWN_COLUMNS
};

/* A column that the table does not have is read as another, and then set. */
LOOKUP(shown_product, "products", NULL, "id", "vendor_id", "id", "category_id", "id", "name", "description", "kind",
	   "tracking", "id", "id", "replacement_value", "is_active", "created_at");
LOOKUP(shown_vendor, "vendors", NULL, "name", "currency");
LOOKUP(shown_category, "categories", NULL, "name");
LOOKUP(shown_rate, "product_rates", NULL, "days", "amount", "extra_day");
VIEW_TYPE(product_view, "product_view");
VIEW_TYPE(rate_view, "rate_view");
PLAN(
	product_insert,
	"INSERT INTO rental.products (id, vendor_id, category_id, name, description, tracking, replacement_value, created_at, kind, "
	"buffer_before, buffer_after, shortage_limit, assignment) SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, COALESCE($10, v.buffer_before), "
	"COALESCE($11, v.buffer_after), $12, $13 FROM rental.vendors v WHERE v.id = $2",
	UUIDOID, UUIDOID, UUIDOID, TEXTOID, TEXTOID, TEXTOID, NUMERICOID, TIMESTAMPTZOID, TEXTOID, INTERVALOID, INTERVALOID,
	INT4OID, TEXTOID);
PLAN(
	product_change,
	"UPDATE rental.products SET name = COALESCE($2, name), description = COALESCE($3, description), category_id = COALESCE($4, category_id), "
	"replacement_value = COALESCE($5, replacement_value), buffer_before = COALESCE($6, buffer_before), buffer_after = COALESCE($7, buffer_after), "
	"shortage_limit = COALESCE($8, shortage_limit), assignment = COALESCE($9, assignment), is_active = COALESCE($10, is_active) WHERE id = $1",
	UUIDOID, TEXTOID, TEXTOID, UUIDOID, NUMERICOID, INTERVALOID, INTERVALOID, INT4OID, TEXTOID, BOOLOID);
PLAN(components_of,
	 "SELECT component_id, quantity FROM rental.product_components WHERE product_id = $1 ORDER BY component_id",
	 UUIDOID);
PLAN(component_set,
	 "INSERT INTO rental.product_components (vendor_id, product_id, component_id, quantity) VALUES ($1, $2, $3, $4) "
	 "ON CONFLICT (product_id, component_id, vendor_id) DO UPDATE SET quantity = $4",
	 UUIDOID, UUIDOID, UUIDOID, INT4OID);
PLAN(component_unset, "DELETE FROM rental.product_components WHERE product_id = $1 AND component_id = $2", UUIDOID,
	 UUIDOID);
PLAN(components_row, "SELECT v FROM rental.component_view v WHERE v.product_id = $1 AND v.component_id = $2", UUIDOID,
	 UUIDOID);
PLAN(category_exists, "SELECT FROM rental.categories WHERE id = $1", UUIDOID);
PLAN(
	category_insert,
	"INSERT INTO rental.categories (id, parent_id, name, slug, created_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (slug) DO NOTHING",
	UUIDOID, UUIDOID, TEXTOID, TEXTOID, TIMESTAMPTZOID);
PLAN(category_lock, "SELECT pg_advisory_xact_lock('rental.categories'::regclass::oid::bigint)", );
PLAN(category_children, "SELECT FROM rental.categories WHERE parent_id = $1 LIMIT 1", UUIDOID);
PLAN(category_above,
	 "WITH RECURSIVE above (id, parent_id) AS (SELECT id, parent_id FROM rental.categories WHERE id = $1 "
	 "UNION SELECT c.id, c.parent_id FROM above a JOIN rental.categories c ON c.id = a.parent_id) "
	 "SELECT count(*) > 0, COALESCE(bool_or(id = $2), false) FROM above",
	 UUIDOID, UUIDOID);
PLAN(category_row, "SELECT v FROM rental.category_view v WHERE v.id = $1", UUIDOID);

#define PAGES(view, filter, ...)                                                                                       \
	.forward = PLAN_INIT("SELECT v, v.id FROM " view " v WHERE v.id > $1 AND " filter " ORDER BY v.id LIMIT $2",       \
						 UUIDOID, INT4OID, ##__VA_ARGS__),                                                             \
	.backward = PLAN_INIT("SELECT v, v.id FROM " view " v WHERE v.id < $1 AND " filter " ORDER BY v.id DESC LIMIT $2", \
						  UUIDOID, INT4OID, ##__VA_ARGS__)

static PagePlans category_pages = {
	PAGES("rental.category_view", "true"),
	.count = PLAN_INIT("SELECT count(*) FROM rental.categories", ),
};
static PagePlans location_pages = {
	PAGES("rental.location_view", "v.vendor_id = $3", UUIDOID),
	.count = PLAN_INIT("SELECT count(*) FROM rental.locations WHERE vendor_id = $1", UUIDOID),
};
static PagePlans component_pages = {
	.forward = PLAN_INIT(
		"SELECT v, v.component_id FROM rental.component_view v WHERE v.component_id > $1 AND v.product_id = $3 "
		"ORDER BY v.component_id LIMIT $2",
		UUIDOID, INT4OID, UUIDOID),
	.backward = PLAN_INIT(
		"SELECT v, v.component_id FROM rental.component_view v WHERE v.component_id < $1 AND v.product_id = $3 "
		"ORDER BY v.component_id DESC LIMIT $2",
		UUIDOID, INT4OID, UUIDOID),
	.count = PLAN_INIT("SELECT count(*) FROM rental.product_components WHERE product_id = $1", UUIDOID),
};
static PagePlans product_pages = {
	PAGES(
		"rental.product_view",
		"v.is_active AND ($3 IS NULL OR v.vendor_id = $3) AND ($4 IS NULL OR v.category_id = $4) AND ($5 IS NULL OR v.name ILIKE $5)",
		UUIDOID, UUIDOID, TEXTOID),
	.count = PLAN_INIT("SELECT count(*) FROM rental.products WHERE is_active AND ($1 IS NULL OR vendor_id = $1) "
					   "AND ($2 IS NULL OR category_id = $2) AND ($3 IS NULL OR name ILIKE $3)",
					   UUIDOID, UUIDOID, TEXTOID),
};

/*
 * The same with $6 period, $7 quantity and $8 the products that are not available then, in ascending order; kits, which
 * have no timeline, are looked at one by one.
 */
#define AVAILABLE_PAGES                                                                                                \
	PAGES(                                                                                                             \
		"rental.product_view",                                                                                         \
		"($3 IS NULL OR v.vendor_id = $3) AND ($4 IS NULL OR v.category_id = $4) AND ($5 IS NULL OR v.name ILIKE $5) " \
		"AND v.is_active AND NOT rental.uuid_among(v.id, $8) "                                                         \
		"AND CASE WHEN v.tracking = 'kit' THEN COALESCE(rental.availability(v.id, $6), 0) >= $7 "                      \
		"ELSE (SELECT is_stocked FROM rental.products p WHERE p.id = v.id) END",                                       \
		AVAILABLE_FILTERS)
#define AVAILABLE_FILTERS UUIDOID, UUIDOID, TEXTOID, TSTZRANGEOID, INT4OID, UUIDARRAYOID

static PagePlans available_pages = {
	AVAILABLE_PAGES,
	.count = PLAN_INIT(
		"SELECT count(*) FROM rental.products p WHERE p.is_active AND ($1 IS NULL OR p.vendor_id = $1) AND ($2 IS NULL OR p.category_id = $2) "
		"AND ($3 IS NULL OR p.name ILIKE $3) AND CASE WHEN p.tracking = 'kit' THEN rental.availability(p.id, $4) >= $5 "
		"ELSE p.is_stocked AND NOT rental.uuid_among(p.id, $6) END",
		AVAILABLE_FILTERS),
};
/* Of the whole catalogue they are counted without looking at each: three partial indexes have all it takes. */
static PagePlans all_available_pages = {
	AVAILABLE_PAGES,
	.count = PLAN_INIT(
		"SELECT (SELECT count(*) FROM rental.products WHERE is_active AND is_stocked AND tracking <> 'kit') - cardinality($6) "
		"+ (SELECT count(*) FROM rental.products p WHERE NOT p.is_active AND rental.uuid_among(p.id, $6)) "
		"+ (SELECT count(*) FROM rental.products p WHERE p.is_active AND p.tracking = 'kit' AND rental.availability(p.id, $4) >= $5)",
		AVAILABLE_FILTERS),
};

static bool
text_is(NullableDatum value, const char *word)
{
	text *is = DatumGetTextPP(value.value);

	return VARSIZE_ANY_EXHDR(is) == strlen(word) && memcmp(VARDATA_ANY(is), word, strlen(word)) == 0;
}

/* What of a product's pricing is its vendor's */
#define VENDOR_PRICING		 17
#define VENDOR_PRICING_COUNT (PRODUCT_PRICING - VENDOR_PRICING)

/* pricing_read reads what only the price of a product depends on; it is null where the product has no rate. */
static void
pricing_read(Product *product, NullableDatum category_id)
{
	NullableDatum *values = product->pricing;
	int			   i;

	for (i = 0; i < VENDOR_PRICING; i++)
		values[i] = NULLVALUE;
	if (lookup_row(&rate_by_product, &product->id, &product->vendor_id, values))
	{
		values[1] = VALUE(BoolGetDatum(text_is(values[1], "hour")));
		values[2] = VALUE(BoolGetDatum(text_is(values[2], "calendar")));
	}
	values[16] = category_id;
}

/* vendor_read reads what a product has of its vendor. */
static void
vendor_read(Product *product)
{
	NullableDatum values[5];
	int			  i;

	if (!lookup_row(&vendor_by_id, &product->vendor_id, NULL, values))
		elog(ERROR, "a product without its vendor");
	product->currency = TextDatumGetCString(values[0].value);
	product->time_zone = TextDatumGetCString(values[1].value);
	product->hold_time = values[2].value;
	product->minimum_notice = values[3].value;
	product->vendor_is_active = DatumGetBool(values[4].value);
	for (i = 0; i < VENDOR_PRICING_COUNT; i++)
		product->pricing[VENDOR_PRICING + i] = NULLVALUE;
	lookup_row(&settings_by_vendor, &product->vendor_id, NULL, &product->pricing[VENDOR_PRICING]);
}

/*
 * product_find must be called between plan_open and plan_close, which the
 * result does not outlive. A product that was found before, or NULL, saves
 * reading its vendor again if it has the same.
 */
bool
product_find(const pg_uuid_t *id, const Product *beside, Product *product)
{
	NullableDatum values[9];

	if (!lookup_row(&product_by_id, id, NULL, values))
		return false;
	/* what is not read below is the vendor's */
	if (beside != NULL && uuid_equal(&beside->vendor_id, DatumGetUUIDP(values[0].value)))
		*product = *beside;
	product->id = *id;
	product->vendor_id = *DatumGetUUIDP(values[0].value);
	product->name = TextDatumGetCString(values[1].value);
	product->serialised = text_is(values[2], "serialised");
	product->is_kit = text_is(values[2], "kit");
	product->is_active = DatumGetBool(values[3].value);
	product->buffer_before = values[4].value;
	product->buffer_after = values[5].value;
	product->is_sale = text_is(values[6], "sale");
	product->assigns_at_once = text_is(values[7], "order");
	pricing_read(product, values[8]);
	if (beside == NULL || !uuid_equal(&beside->vendor_id, &product->vendor_id))
		vendor_read(product);
	return true;
}

/* product_load finds a product that the caller may see: an archived one is its vendor's only. */
void
product_load(const pg_uuid_t *id, Product *product, const char *field)
{
	product_load_beside(id, NULL, product, field);
}

void
product_load_beside(const pg_uuid_t *id, const Product *beside, Product *product, const char *field)
{
	if (!product_find(id, beside, product) ||
		(!product->is_active && !actor_serves(actor_current(), &product->vendor_id)))
		rental_raise(not_found, errmsg("no such product"), errfield(field));
}

/* product_load_own finds a product that the caller may change. */
void
product_load_own(const pg_uuid_t *id, Product *product)
{
	product_load(id, product, "product_id");
	actor_require_vendor(&product->vendor_id);
}

/*
 * category_guard: at the end of a transaction that changed categories, refuses
 * a parent that is not there or that lies below its child. Changes of the tree
 * are made one after the other, so that two of them cannot close a circle.
 */
PG_FUNCTION_INFO_V1(category_guard);
Datum
category_guard(PG_FUNCTION_ARGS)
{
	TriggerData	 *trigger = (TriggerData *) fcinfo->context;
	HeapTuple	  row;
	NullableDatum id;
	NullableDatum parent;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event) ||
		!TRIGGER_FIRED_AFTER(trigger->tg_event))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("category_guard must be fired after each row")));
	row = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
	id.value = heap_getattr(row, CATEGORY_ID, RelationGetDescr(trigger->tg_relation), &id.isnull);
	parent.value = heap_getattr(row, CATEGORY_PARENT, RelationGetDescr(trigger->tg_relation), &parent.isnull);
	plan_open();
	plan_execute(&category_lock, NULL, 0, false);
	if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
	{
		if (plan_run(&category_exists, id) == 0 && plan_run(&category_children, id) > 0)
			rental_raise(conflict, errmsg("the category has others below it"));
	}
	else if (!parent.isnull && plan_run(&category_exists, id) > 0)
	{
		plan_run(&category_above, parent, id);
		if (!DatumGetBool(plan_datum(0, 1)))
			rental_raise(not_found, errmsg("no such category"), errfield("parent_id"));
		if (DatumGetBool(plan_datum(0, 2)))
			rental_raise(conflict, errmsg("a category cannot lie below itself"), errfield("parent_id"));
	}
	plan_close();
	return PointerGetDatum(NULL);
}

PG_FUNCTION_INFO_V1(category_list);
Datum
category_list(PG_FUNCTION_ARGS)
{
	return page_return(fcinfo, &category_pages, NULL, 0, PG_GETARG_INT32(0), FCARG(1), FCARG(2));
}

/* category_create(name text, parent_id uuid, slug text) */
PG_FUNCTION_INFO_V1(category_create);
Datum
category_create(PG_FUNCTION_ARGS)
{
	char		 *name = request_required_text(FCARG(0), "name", 200);
	char		 *slug = request_text(FCARG(2), "slug", 60);
	Datum		  id = uuid7_datum();
	NullableDatum row;

	actor_require_admin();
	if (slug == NULL)
		slug = slug_from(name);
	else if (strcmp(slug, slug_from(slug)) != 0)
		rental_raise(invalid_value, errmsg("a slug has lower-case letters and digits, joined by hyphens"),
					 errfield("slug"));
	plan_open();
	if (!PG_ARGISNULL(1) && plan_run(&category_exists, FCARG(1)) == 0)
		rental_raise(not_found, errmsg("no such category"), errfield("parent_id"));
	if (plan_run(&category_insert, VALUE(id), FCARG(1), VALUE(CStringGetTextDatum(name)),
				 VALUE(CStringGetTextDatum(slug)), VALUE(TimestampTzGetDatum(rental_now()))) == 0)
		rental_raise(already_exists, errmsg("there is a category \"%s\" already", slug), errfield("slug"));
	plan_run(&category_row, VALUE(id));
	row = plan_keep(0, 1);
	plan_close();
	return plan_return(fcinfo, row);
}

/* location_list(vendor_id uuid, page_size, cursor, count) */
PG_FUNCTION_INFO_V1(location_list);
Datum
location_list(PG_FUNCTION_ARGS)
{
	request_required(FCARG(0), "vendor_id");
	return page_return(fcinfo, &location_pages, &FCARG(0), 1, PG_GETARG_INT32(1), FCARG(2), FCARG(3));
}

/*
 * product_list(vendor uuid, category uuid, search text, available_from timestamptz,
 * available_to timestamptz, quantity integer, page_size, cursor, count)
 */
PG_FUNCTION_INFO_V1(product_list);
Datum
product_list(PG_FUNCTION_ARGS)
{
	NullableDatum filters[6] = {FCARG(0), FCARG(1), request_pattern(FCARG(2))};
	Period		  window;
	pg_uuid_t	 *unavailable;
	int			  n;

	request_required(FCARG(6), "page_size");
	if (PG_ARGISNULL(3) && PG_ARGISNULL(4))
		return page_return(fcinfo, &product_pages, filters, 3, PG_GETARG_INT32(6), FCARG(7), FCARG(8));
	request_required(FCARG(3), "available_from");
	request_required(FCARG(4), "available_to");
	request_required(FCARG(5), "quantity");
	if (PG_GETARG_INT32(5) < 1 || PG_GETARG_INT32(5) > 1000000)
		rental_raise(invalid_value, errmsg("quantity must be between 1 and 1000000"), errfield("quantity"));
	window = period_check_window(PG_GETARG_TIMESTAMPTZ(3), PG_GETARG_TIMESTAMPTZ(4), "available_to");
	filters[3] = VALUE(period_range_datum(window.start, window.end));
	filters[4] = FCARG(5);
	n = stock_unavailable(&window, PG_GETARG_INT32(5), &unavailable);
	filters[5] = VALUE(uuid_array_datum(unavailable, n));
	return page_return(fcinfo,
					   PG_ARGISNULL(0) && PG_ARGISNULL(1) && PG_ARGISNULL(2) ? &all_available_pages : &available_pages,
					   filters, 6, PG_GETARG_INT32(6), FCARG(7), FCARG(8));
}

/*
 * product_shown is a product as everybody sees it, read without the executor:
 * a row of rental.product_view, which says the same in SQL for lists; a test
 * compares the two. False if there is none, or if it is archived and not the caller's.
 */
static bool
product_shown(const pg_uuid_t *id, Datum *row)
{
	NullableDatum columns[SHOWN_COLUMNS];
	NullableDatum vendor[2];
	NullableDatum rate[3];

	if (!lookup_row(&shown_product, id, NULL, columns))
		return false;
	if (!DatumGetBool(columns[SHOWN_IS_ACTIVE].value) &&
		!actor_serves(actor_current(), DatumGetUUIDP(columns[SHOWN_VENDOR].value)))
		return false;
	if (!lookup_row(&shown_vendor, DatumGetUUIDP(columns[SHOWN_VENDOR].value), NULL, vendor))
		elog(ERROR, "a product without its vendor");
	columns[SHOWN_VENDOR_NAME] = vendor[0];
	columns[SHOWN_CURRENCY] = vendor[1];
	columns[SHOWN_CATEGORY_NAME] = NULLVALUE;
	if (!columns[SHOWN_CATEGORY].isnull)
		lookup_row(&shown_category, DatumGetUUIDP(columns[SHOWN_CATEGORY].value), NULL, &columns[SHOWN_CATEGORY_NAME]);
	columns[SHOWN_RATE] = NULLVALUE;
	if (lookup_row(&shown_rate, id, DatumGetUUIDP(columns[SHOWN_VENDOR].value), rate))
		columns[SHOWN_RATE] = VALUE(view_row(&rate_view, rate, 3));
	*row = view_row(&product_view, columns, SHOWN_COLUMNS);
	return true;
}

/* product_answer is a product that is there, as it is now. Called between plan_open and plan_close. */
NullableDatum
product_answer(const pg_uuid_t *id)
{
	Datum row;

	lookup_latest();
	if (!product_shown(id, &row))
		elog(ERROR, "the product is gone");
	lookup_latest_end();
	return VALUE(plan_keep_row(row));
}

PG_FUNCTION_INFO_V1(product_get);
Datum
product_get(PG_FUNCTION_ARGS)
{
	Datum row;

	if (!product_shown(PG_GETARG_UUID_P(0), &row))
		rental_raise(not_found, errmsg("no such product"));
	PG_RETURN_DATUM(row);
}

/* vendor_currency: the currency of a vendor that is known to exist, NULL otherwise */
PLAN(vendor_currency_plan, "SELECT currency FROM rental.vendors WHERE id = $1", UUIDOID);

static const char *
vendor_currency(const pg_uuid_t *vendor_id)
{
	if (plan_read(&vendor_currency_plan, VALUE(UUIDPGetDatum(vendor_id))) == 0)
		rental_raise(not_found, errmsg("no such vendor"), errfield("vendor_id"));
	return plan_text(0, 1);
}

static const char *const trackings[] = {"bulk", "serialised", "kit", NULL};
static const char *const kinds[] = {"rental", "sale", NULL};
static const char *const assignments[] = {"order", "dispatch", NULL};

static void
buffer_check(NullableDatum buffer, const char *field)
{
	Interval *span;

	if (buffer.isnull)
		return;
	span = DatumGetIntervalP(buffer.value);
	if (span->month != 0 || span->day < 0 || span->time < 0 || span->day > 366)
		rental_raise(invalid_value, errmsg("%s must be a time of up to a year, in days or less", field),
					 errfield(field));
}

/*
 * product_create(name text, description text, category_id uuid, vendor_id uuid,
 * tracking text, replacement_value numeric, day_rate numeric, kind text,
 * buffer_before interval, buffer_after interval, shortage_limit integer, assignment text)
 */
PG_FUNCTION_INFO_V1(product_create);
Datum
product_create(PG_FUNCTION_ARGS)
{
	char			*name = request_required_text(FCARG(0), "name", 200);
	char			*description = request_text(FCARG(1), "description", 20000);
	char			*tracking = request_required_text(FCARG(4), "tracking", 20);
	char			*kind = request_required_text(FCARG(7), "kind", 20);
	char			*assignment = request_required_text(FCARG(11), "assignment", 20);
	const pg_uuid_t *vendor_id = actor_require_own_vendor(FCARG(3));
	pg_uuid_t		*id = DatumGetUUIDP(uuid7_datum());
	const char		*currency;
	NullableDatum	 row;

	request_word(tracking, "tracking", trackings);
	request_word(kind, "kind", kinds);
	request_word(assignment, "assignment", assignments);
	buffer_check(FCARG(8), "buffer_before");
	buffer_check(FCARG(9), "buffer_after");
	request_required(FCARG(10), "shortage_limit");
	if (PG_GETARG_INT32(10) < 0)
		rental_raise(invalid_value, errmsg("shortage_limit must not be negative"), errfield("shortage_limit"));
	plan_open();
	currency = vendor_currency(vendor_id);
	if (!PG_ARGISNULL(2) && plan_run(&category_exists, FCARG(2)) == 0)
		rental_raise(not_found, errmsg("no such category"), errfield("category_id"));
	if (!PG_ARGISNULL(5))
		amount_check(PG_GETARG_DATUM(5), currency, "replacement_value");
	if (!PG_ARGISNULL(6))
		amount_check(PG_GETARG_DATUM(6), currency, "day_rate");
	plan_run(&product_insert, VALUE(UUIDPGetDatum(id)), VALUE(UUIDPGetDatum(vendor_id)), FCARG(2),
			 VALUE(CStringGetTextDatum(name)), VALUE(CStringGetTextDatum(description ? description : "")),
			 VALUE(CStringGetTextDatum(tracking)), FCARG(5), VALUE(TimestampTzGetDatum(rental_now())),
			 VALUE(CStringGetTextDatum(kind)), FCARG(8), FCARG(9), FCARG(10), VALUE(CStringGetTextDatum(assignment)));
	if (!PG_ARGISNULL(6))
		rate_set_day(vendor_id, id, PG_GETARG_DATUM(6));
	row = product_answer(id);
	plan_close();
	return plan_return(fcinfo, row);
}

/*
 * product_update(product_id uuid, name text, description text, category_id uuid, replacement_value numeric, buffer_before interval,
 * buffer_after interval, shortage_limit integer, assignment text, is_active boolean): what is given changes; orders that are placed keep
 * what they were placed with
 */
PG_FUNCTION_INFO_V1(product_update);
Datum
product_update(PG_FUNCTION_ARGS)
{
	char		 *name = PG_ARGISNULL(1) ? NULL : request_required_text(FCARG(1), "name", 200);
	char		 *description = request_text(FCARG(2), "description", 20000);
	char		 *assignment = request_text(FCARG(8), "assignment", 20);
	Product		  product;
	NullableDatum row;

	request_required(FCARG(0), "product_id");
	if (assignment != NULL)
		request_word(assignment, "assignment", assignments);
	if (!PG_ARGISNULL(5))
		buffer_check(FCARG(5), "buffer_before");
	if (!PG_ARGISNULL(6))
		buffer_check(FCARG(6), "buffer_after");
	if (!PG_ARGISNULL(7) && PG_GETARG_INT32(7) < 0)
		rental_raise(invalid_value, errmsg("shortage_limit must not be negative"), errfield("shortage_limit"));
	plan_open();
	product_load_own(PG_GETARG_UUID_P(0), &product);
	if (!PG_ARGISNULL(3) && plan_run(&category_exists, FCARG(3)) == 0)
		rental_raise(not_found, errmsg("no such category"), errfield("category_id"));
	if (!PG_ARGISNULL(4))
		amount_check(PG_GETARG_DATUM(4), product.currency, "replacement_value");
	plan_run(&product_change, FCARG(0), VALUE_OR_NULL(name ? CStringGetTextDatum(name) : (Datum) 0, name == NULL),
			 VALUE_OR_NULL(description ? CStringGetTextDatum(description) : (Datum) 0, description == NULL), FCARG(3),
			 FCARG(4), FCARG(5), FCARG(6), FCARG(7),
			 VALUE_OR_NULL(assignment ? CStringGetTextDatum(assignment) : (Datum) 0, assignment == NULL), FCARG(9));
	row = product_answer(&product.id);
	plan_close();
	return plan_return(fcinfo, row);
}

/* product_archive(product_id uuid) */
PG_FUNCTION_INFO_V1(product_archive);
Datum
product_archive(PG_FUNCTION_ARGS)
{
	Product product;

	request_required(FCARG(0), "product_id");
	plan_open();
	product_load_own(PG_GETARG_UUID_P(0), &product);
	plan_run(&product_change, FCARG(0), NULLVALUE, NULLVALUE, NULLVALUE, NULLVALUE, NULLVALUE, NULLVALUE, NULLVALUE,
			 NULLVALUE, VALUE(BoolGetDatum(false)));
	plan_close();
	PG_RETURN_VOID();
}

/* Kits */

/* product_components lists what a kit is made of, in ascending order; none for any other product. */
int
product_components(const pg_uuid_t *kit, Component **components)
{
	MemoryContext caller = CurrentMemoryContext;
	PlanRights	  rights;
	uint64		  n;
	uint64		  i;

	rights = plan_open_trusted();
	n = plan_read(&components_of, VALUE(UUIDPGetDatum(kit)));
	*components = MemoryContextAlloc(caller, Max(n, 1) * sizeof(Component));
	for (i = 0; i < n; i++)
	{
		(*components)[i].product_id = *DatumGetUUIDP(plan_datum(i, 1));
		(*components)[i].quantity = DatumGetInt32(plan_datum(i, 2));
	}
	plan_close_trusted(rights);
	return n;
}

/* component_set(product_id uuid, component_id uuid, quantity integer) */
PG_FUNCTION_INFO_V1(component_put);
Datum
component_put(PG_FUNCTION_ARGS)
{
	Product		  kit;
	Product		  component;
	NullableDatum row;

	request_required(FCARG(0), "product_id");
	request_required(FCARG(1), "component_id");
	request_required(FCARG(2), "quantity");
	plan_open();
	product_load_own(PG_GETARG_UUID_P(0), &kit);
	product_load(PG_GETARG_UUID_P(1), &component, "component_id");
	if (!kit.is_kit)
		rental_raise(invalid_value, errmsg("only a kit has components"), errfield("product_id"));
	if (component.is_kit || component.is_sale || !uuid_equal(&component.vendor_id, &kit.vendor_id))
		rental_raise(invalid_value, errmsg("a component is a rental product of the same vendor, and no kit"),
					 errfield("component_id"));
	if (PG_GETARG_INT32(2) < 1 || PG_GETARG_INT32(2) > 10000)
		rental_raise(invalid_value, errmsg("quantity must be between 1 and 10000"), errfield("quantity"));
	plan_run(&component_set, VALUE(UUIDPGetDatum(&kit.vendor_id)), FCARG(0), FCARG(1), FCARG(2));
	plan_run(&components_row, FCARG(0), FCARG(1));
	row = plan_keep(0, 1);
	plan_close();
	return plan_return(fcinfo, row);
}

/* component_remove(product_id uuid, component_id uuid) */
PG_FUNCTION_INFO_V1(component_remove);
Datum
component_remove(PG_FUNCTION_ARGS)
{
	Product kit;

	request_required(FCARG(0), "product_id");
	request_required(FCARG(1), "component_id");
	plan_open();
	product_load_own(PG_GETARG_UUID_P(0), &kit);
	if (plan_run(&component_unset, FCARG(0), FCARG(1)) == 0)
		rental_raise(not_found, errmsg("no such component"));
	plan_close();
	PG_RETURN_VOID();
}

/* component_list(product_id uuid, page_size, cursor, count) */
PG_FUNCTION_INFO_V1(component_list);
Datum
component_list(PG_FUNCTION_ARGS)
{
	Product kit;

	request_required(FCARG(0), "product_id");
	plan_open();
	product_load(PG_GETARG_UUID_P(0), &kit, "product_id");
	plan_close();
	return page_return(fcinfo, &component_pages, &FCARG(0), 1, PG_GETARG_INT32(1), FCARG(2), FCARG(3));
}
