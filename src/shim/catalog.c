/*-------------------------------------------------------------------------
 *
 * catalog.c
 *	  The endpoints as the database describes them: immutable, counted.
 *
 * Owns the memory of a catalog, which is freed when the last request that
 * was routed by it is done, and the pointer to the one in use.  Reads the
 * rows as text; where they come from is the loader's business.
 *
 *-------------------------------------------------------------------------
 */
#include "catalog.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <h2o/memory.h>
#include <jansson.h>

#include "auth.h"
#include "cache.h"
#include "limit.h"
#include "metrics.h"
#include "router.h"
#include "text.h"

#define CHUNK_SIZE 16384

typedef struct CatalogChunk
{
	struct CatalogChunk *next;
	size_t				 used;
	size_t				 size;
	_Alignas(max_align_t) char data[];
} CatalogChunk;

static pthread_mutex_t		current_lock = PTHREAD_MUTEX_INITIALIZER;
static Catalog			   *current;
static atomic_uint_fast64_t current_generation;

static const char *const type_names[] = {
	[TYPE_TEXT] = "text",		  [TYPE_UUID] = "uuid",		  [TYPE_BOOLEAN] = "boolean",
	[TYPE_SMALLINT] = "smallint", [TYPE_INTEGER] = "integer", [TYPE_BIGINT] = "bigint",
	[TYPE_NUMERIC] = "numeric",	  [TYPE_DATE] = "date",		  [TYPE_TIMESTAMPTZ] = "timestamptz",
	[TYPE_JSONB] = "jsonb",
};

void *
catalog_alloc(Catalog *catalog, size_t size)
{
	CatalogChunk *chunk = catalog->chunks;
	void		 *memory;

	size = (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
	if (chunk == NULL || chunk->size - chunk->used < size)
	{
		size_t room = size > CHUNK_SIZE ? size : CHUNK_SIZE;

		chunk = h2o_mem_alloc(sizeof(*chunk) + room);
		chunk->next = catalog->chunks;
		chunk->used = 0;
		chunk->size = room;
		catalog->chunks = chunk;
	}
	memory = chunk->data + chunk->used;
	chunk->used += size;
	return memory;
}

char *
catalog_strdup(Catalog *catalog, const char *text, size_t len)
{
	char *copy = catalog_alloc(catalog, len + 1);

	memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

/* catalog_create makes an empty catalog, held once by the caller. */
Catalog *
catalog_create(const char *version)
{
	static atomic_uint_fast64_t last_generation;
	Catalog					   *catalog = h2o_mem_alloc(sizeof(*catalog));

	memset(catalog, 0, sizeof(*catalog));
	atomic_init(&catalog->references, 1);
	catalog->generation = atomic_fetch_add(&last_generation, 1) + 1;
	catalog->version = catalog_strdup(catalog, version, strlen(version));
	catalog->root = catalog_alloc(catalog, sizeof(*catalog->root));
	memset(catalog->root, 0, sizeof(*catalog->root));
	return catalog;
}

Catalog *
catalog_acquire(Catalog *catalog)
{
	atomic_fetch_add_explicit(&catalog->references, 1, memory_order_relaxed);
	return catalog;
}

void
catalog_release(Catalog *catalog)
{
	if (atomic_fetch_sub_explicit(&catalog->references, 1, memory_order_acq_rel) != 1)
		return;
	while (catalog->chunks)
	{
		CatalogChunk *next = catalog->chunks->next;

		free(catalog->chunks);
		catalog->chunks = next;
	}
	free(catalog);
}

/* catalog_publish makes a catalog the one in use and takes over the caller's hold on it. */
void
catalog_publish(Catalog *catalog)
{
	Catalog *old;

	pthread_mutex_lock(&current_lock);
	old = current;
	current = catalog;
	atomic_store(&current_generation, catalog->generation);
	pthread_mutex_unlock(&current_lock);
	if (old)
		catalog_release(old);
}

/* catalog_refresh lets a thread's slot hold the catalog in use, without a lock when it does. */
void
catalog_refresh(Catalog **slot)
{
	uint64_t held = *slot ? (*slot)->generation : 0;

	if (atomic_load(&current_generation) == held)
		return;
	if (*slot)
		catalog_release(*slot);
	pthread_mutex_lock(&current_lock);
	*slot = catalog_acquire(current);
	pthread_mutex_unlock(&current_lock);
}

/* is_of_file: the arguments of an upload that describe the file. */
static bool
is_of_file(const char *name)
{
	static const char *const names[] = {"file", "file_size", "file_type", "file_name"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

static const char *
add_argument(Catalog *catalog, const Endpoint *endpoint, Argument *arg, json_t *description)
{
	const char *name = json_string_value(json_object_get(description, "name"));
	const char *type = json_string_value(json_object_get(description, "type"));

	if (name == NULL || type == NULL)
		return "an argument has no name or type";
	arg->name_len = strlen(name);
	arg->name = catalog_strdup(catalog, name, arg->name_len);
	arg->array = json_is_true(json_object_get(description, "array"));
	arg->required = json_is_true(json_object_get(description, "required"));
	arg->path_segment = -1;
	/* any other type is sent as text, for PostgreSQL to read */
	arg->type = TYPE_TEXT;
	for (size_t i = 0; i < sizeof(type_names) / sizeof(type_names[0]); i++)
	{
		if (strcmp(type_names[i], type) == 0)
			arg->type = (ArgumentType) i;
	}
	arg->given = arg->array && arg->type == TYPE_TEXT && strcmp(name, "given") == 0;
	arg->of_file = endpoint->upload_field && is_of_file(name);
	arg->of_request = endpoint->raw_body && (strcmp(name, "body") == 0 || strncmp(name, "header_", 7) == 0);
	return NULL;
}

static const char *
add_arguments(Catalog *catalog, Endpoint *endpoint, const char *text)
{
	json_t	   *list = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	const char *problem = NULL;
	size_t		count = json_array_size(list);

	if (!json_is_array(list))
		problem = "args is not a JSON array";
	else if (count > MAX_ARGUMENTS)
		problem = "it has too many arguments";
	else
	{
		endpoint->nargs = (int) count;
		endpoint->args = catalog_alloc(catalog, count * sizeof(Argument));
		for (size_t i = 0; i < count && problem == NULL; i++)
			problem = add_argument(catalog, endpoint, &endpoint->args[i], json_array_get(list, i));
	}
	json_decref(list);
	return problem;
}

static const char *
add_auth(Catalog *catalog, Endpoint *endpoint, const char *text)
{
	json_t *list = json_loads(text, 0, NULL);
	size_t	count = json_array_size(list);
	size_t	used = 0;

	endpoint->roles = catalog_alloc(catalog, (count + 1) * sizeof(char *));
	for (size_t i = 0; i < count; i++)
	{
		const char *name = json_string_value(json_array_get(list, i));

		if (name == NULL)
			continue;
		if (strcmp(name, "public") == 0)
			endpoint->is_public = true;
		else if (strcmp(name, "user") == 0)
			endpoint->any_user = true;
		else
			endpoint->roles[used++] = catalog_strdup(catalog, name, strlen(name));
	}
	endpoint->roles[used] = NULL;
	json_decref(list);
	return endpoint->is_public || endpoint->any_user || used > 0 ? NULL : "nobody may call it";
}

static const char *
add_cache(Catalog *catalog, Endpoint *endpoint, const CatalogRow *row)
{
	json_t *list = json_loads(row->cache_tags, 0, NULL);
	size_t	count = json_array_size(list);

	endpoint->cache_tags = catalog_alloc(catalog, (count + 1) * sizeof(char *));
	for (size_t i = 0; i < count; i++)
	{
		const char *tag = json_string_value(json_array_get(list, i));

		endpoint->cache_tags[i] = catalog_strdup(catalog, tag ? tag : "", tag ? strlen(tag) : 0);
	}
	endpoint->cache_tags[count] = NULL;
	json_decref(list);
	endpoint->cache_seconds = atoi(row->cache_seconds);
	endpoint->stream = row->stream;
	endpoint->download = row->download;
	endpoint->raw_body = row->raw_body;
	endpoint->csv = row->csv;
	if (*row->activity != '\0')
		endpoint->activity = catalog_strdup(catalog, row->activity, strlen(row->activity));
	if (*row->upload_field != '\0')
		endpoint->upload_field = catalog_strdup(catalog, row->upload_field, strlen(row->upload_field));
	endpoint->upload_bytes = strtoul(row->upload_bytes, NULL, 10);
	if (endpoint->upload_field && endpoint->method != METHOD_POST)
		return "only POST can take a file";
	if (endpoint->csv && endpoint->method != METHOD_GET)
		return "only GET can answer CSV";
	if (endpoint->download && endpoint->method != METHOD_GET)
		return "only GET can answer a file";
	endpoint->is_stable = row->is_stable;
	if (count > CACHE_MAX_TAGS)
		return "it has too many cache tags";
	if ((endpoint->cache_seconds > 0 || endpoint->stream) && endpoint->method != METHOD_GET)
		return "only GET can be cached or streamed";
	if (endpoint->cache_seconds > 0 && !endpoint->is_public)
		return "only what everybody may read can be cached";
	return NULL;
}

/*
 * catalog_add reads one row.  Returns NULL, or what is wrong with the row,
 * which then is left out, so that one bad endpoint does not stop the others.
 */
const char *
catalog_add(Catalog *catalog, const CatalogRow *row)
{
	Endpoint   *endpoint = catalog_alloc(catalog, sizeof(*endpoint));
	const char *problem;

	memset(endpoint, 0, sizeof(*endpoint));
	if (!router_method(row->method, strlen(row->method), &endpoint->method))
		return "the method is unknown";
	if (!text_is_integer(row->status, strlen(row->status), 200, 299))
		return "the status is not one of success";
	endpoint->status = atoi(row->status);
	endpoint->path = catalog_strdup(catalog, row->path, strlen(row->path));
	endpoint->sql = catalog_strdup(catalog, row->statement, strlen(row->statement));
	endpoint->context = CALLER_ARGUMENTS + (endpoint->method == METHOD_GET	  ? 0
											: endpoint->method == METHOD_POST ? 2
																			  : 1);
	endpoint->number = catalog->nendpoints;
	snprintf(endpoint->statement_name, sizeof(endpoint->statement_name), "endpoint_%u", endpoint->number);
	if (strcmp(row->rate_class, "password") == 0)
		endpoint->pool = POOL_PASSWORD;
	else
		endpoint->pool = endpoint->method == METHOD_GET ? POOL_READ : POOL_WRITE;

	endpoint->limit = limit_class(row->rate_class);
	endpoint->route = metrics_route(row->method, row->path);
	endpoint->tag = auth_tag(row->tag, strlen(row->tag));
	if ((problem = add_auth(catalog, endpoint, row->auth)) != NULL ||
		(problem = add_cache(catalog, endpoint, row)) != NULL ||
		(problem = add_arguments(catalog, endpoint, row->args)) != NULL ||
		(problem = router_add(catalog, endpoint)) != NULL)
		return problem;
	catalog->nendpoints++;
	return NULL;
}
