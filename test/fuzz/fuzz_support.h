/*
 * fuzz_support.h
 *	  An endpoint with an argument of every type, for the targets that need one.
 */
#ifndef RENTAL_FUZZ_SUPPORT_H
#define RENTAL_FUZZ_SUPPORT_H

#include <stdlib.h>
#include <string.h>

#include <h2o.h>

#include "catalog.h"
#include "hash.h"
#include "limit.h"
#include "router.h"

static inline void
fuzz_add(Catalog *catalog, const char *method, const char *path, const char *args)
{
	CatalogRow row = {.method = method,
					  .path = path,
					  .auth = "[\"public\"]",
					  .status = "200",
					  .rate_class = "read",
					  .activity = "",
					  .upload_field = "",
					  .upload_bytes = "0",
					  .statement = "SELECT 1",
					  .args = args,
					  .cache_seconds = "0",
					  .cache_tags = "[]",
					  .tag = "fuzz"};

	if (catalog_add(catalog, &row) != NULL)
		abort();
}

static inline Catalog *
fuzz_catalog(void)
{
	static Catalog *catalog;

	if (catalog)
		return catalog;
	hash_init();
	limit_init("off");
	catalog = catalog_create("0");
	fuzz_add(catalog, "POST", "/a/{id}/b/{name}/",
			 "[{\"name\":\"id\",\"type\":\"uuid\",\"required\":true},{\"name\":\"name\",\"type\":\"text\"},"
			 "{\"name\":\"s\",\"type\":\"smallint\"},{\"name\":\"i\",\"type\":\"integer\"},{\"name\":\"l\",\"type\":\"bigint\"},"
			 "{\"name\":\"n\",\"type\":\"numeric\"},{\"name\":\"f\",\"type\":\"boolean\"},{\"name\":\"t\",\"type\":\"timestamptz\"},"
			 "{\"name\":\"d\",\"type\":\"date\"},{\"name\":\"j\",\"type\":\"jsonb\"},{\"name\":\"x\",\"type\":\"text\"},"
			 "{\"name\":\"is\",\"type\":\"integer\",\"array\":true},{\"name\":\"xs\",\"type\":\"text\",\"array\":true},"
			 "{\"name\":\"js\",\"type\":\"jsonb\",\"array\":true},{\"name\":\"given\",\"type\":\"text\",\"array\":true}]");
	fuzz_add(catalog, "GET", "/a/", "[]");
	fuzz_add(catalog, "GET", "/a/b/b/c/", "[]");
	fuzz_add(catalog, "GET", "/a/{id}/", "[{\"name\":\"id\",\"type\":\"text\"}]");
	return catalog;
}

/* fuzz_copy is the input in memory of its own size, so that a byte too far is seen. */
static inline char *
fuzz_copy(const uint8_t *data, size_t size)
{
	char *copy = malloc(size ? size : 1);

	memcpy(copy, data, size);
	return copy;
}

#endif
