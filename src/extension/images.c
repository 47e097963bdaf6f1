/*
 * images.c
 *	  Images of products.
 *
 * It owns which files a product shows; the files themselves are the shim's,
 * which names each by the SHA-256 of its content.
 */
#include "rental.h"

#include "actor.h"
#include "catalog.h"
#include "errors.h"
#include "plan.h"
#include "request.h"
#include "response.h"
#include "utils/builtins.h"

PLAN(image_insert,
	 "INSERT INTO rental.product_images (vendor_id, id, product_id, file, file_type, file_size, file_name, created_at) "
	 "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
	 UUIDOID, UUIDOID, UUIDOID, TEXTOID, TEXTOID, INT8OID, TEXTOID, TIMESTAMPTZOID);
PLAN(image_row, "SELECT v FROM rental.image_view v WHERE v.id = $1", UUIDOID);
PLAN(image_owner,
	 "SELECT i.vendor_id, i.product_id, ROW(i.file, i.file_type, i.file_name)::rental.file_view "
	 "FROM rental.product_images i WHERE i.id = $1",
	 UUIDOID);
PLAN(image_remove, "DELETE FROM rental.product_images WHERE id = $1 AND vendor_id = $2", UUIDOID, UUIDOID);

static PagePlans image_pages = {
	.forward = PLAN_INIT(
		"SELECT v, v.id FROM rental.image_view v WHERE v.id > $1 AND v.product_id = $3 ORDER BY v.id LIMIT $2", UUIDOID,
		INT4OID, UUIDOID),
	.backward = PLAN_INIT(
		"SELECT v, v.id FROM rental.image_view v WHERE v.id < $1 AND v.product_id = $3 ORDER BY v.id DESC LIMIT $2",
		UUIDOID, INT4OID, UUIDOID),
	.count = PLAN_INIT("SELECT count(*) FROM rental.product_images WHERE product_id = $1", UUIDOID),
};

static bool
is_image_type(const char *type)
{
	return strcmp(type, "image/png") == 0 || strcmp(type, "image/jpeg") == 0 || strcmp(type, "image/webp") == 0;
}

/* image_create(product_id uuid, file text, file_size bigint, file_type text, file_name text) */
PG_FUNCTION_INFO_V1(image_create);
Datum
image_create(PG_FUNCTION_ARGS)
{
	NullableDatum id = VALUE(uuid7_datum());
	NullableDatum row;
	Product		  product;
	char		 *file = request_required_text(FCARG(1), "file", 64);
	char		 *type = request_required_text(FCARG(3), "file_type", 100);

	request_required(FCARG(0), "product_id");
	request_required(FCARG(2), "file_size");
	request_text(FCARG(4), "file_name", 200);
	if (strlen(file) != 64 || strspn(file, "0123456789abcdef") != 64)
		rental_raise(invalid_value, errmsg("file must be a SHA-256 in hexadecimal"), errfield("file"));
	if (PG_GETARG_INT64(2) < 1)
		rental_raise(invalid_value, errmsg("a file has at least one byte"), errfield("file_size"));
	plan_open();
	product_load_own(DatumGetUUIDP(FCARG(0).value), &product);
	if (!is_image_type(type))
		rental_raise(unsupported_media_type, errmsg("an image must be PNG, JPEG or WebP"), errfield("image"));
	plan_run(&image_insert, VALUE(UUIDPGetDatum(&product.vendor_id)), id, FCARG(0), FCARG(1), FCARG(3), FCARG(2),
			 FCARG(4), VALUE(TimestampTzGetDatum(rental_now())));
	plan_run(&image_row, id);
	row = plan_keep(0, 1);
	plan_close();
	return plan_return(fcinfo, row);
}

/* image_list(product_id uuid, page_size, cursor, count) */
PG_FUNCTION_INFO_V1(image_list);
Datum
image_list(PG_FUNCTION_ARGS)
{
	Product product;

	request_required(FCARG(0), "product_id");
	plan_open();
	product_load(DatumGetUUIDP(FCARG(0).value), &product, "product_id");
	plan_close();
	return page_return(fcinfo, &image_pages, &FCARG(0), 1, PG_GETARG_INT32(1), FCARG(2), FCARG(3));
}

PG_FUNCTION_INFO_V1(image_delete);
Datum
image_delete(PG_FUNCTION_ARGS)
{
	pg_uuid_t vendor_id;

	request_required(FCARG(0), "image_id");
	plan_open();
	if (plan_run(&image_owner, FCARG(0)) == 0)
		rental_raise(not_found, errmsg("no such image"));
	vendor_id = *DatumGetUUIDP(plan_datum(0, 1));
	actor_require_vendor(&vendor_id);
	plan_run(&image_remove, FCARG(0), VALUE(UUIDPGetDatum(&vendor_id)));
	plan_close();
	PG_RETURN_VOID();
}

/* image_file(image_id uuid, size text) */
PG_FUNCTION_INFO_V1(image_file);
Datum
image_file(PG_FUNCTION_ARGS)
{
	char		 *size = text_to_cstring(PG_GETARG_TEXT_PP(1));
	NullableDatum row;
	pg_uuid_t	  product_id;
	Product		  product;

	plan_open();
	if (strcmp(size, "original") != 0 || plan_read(&image_owner, FCARG(0)) == 0)
		rental_raise(not_found, errmsg("no such image"));
	product_id = *DatumGetUUIDP(plan_datum(0, 2));
	row = plan_keep(0, 3);
	if (!product_find(&product_id, NULL, &product) ||
		(!product.is_active && !actor_serves(actor_current(), &product.vendor_id)))
		rental_raise(not_found, errmsg("no such image"));
	plan_close();
	return plan_return(fcinfo, row);
}
