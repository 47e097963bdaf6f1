/*-------------------------------------------------------------------------
 *
 * loader.c
 *	  Keeps the catalog of endpoints as the database has it.
 *
 * Owns the one connection that listens, in the first thread.  Whenever it is
 * made, and on each NOTIFY rental_endpoint, the version and the endpoints
 * are read anew and published to all threads; requests under way keep the
 * catalog they were routed by.  Other notifications go to the cache, the
 * revocations and the streams.
 *
 *-------------------------------------------------------------------------
 */
#include "loader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "catalog.h"
#include "log.h"
#include "pg_pool.h"
#include "revoke.h"

struct Loader
{
	PgPool			   *pool;
	h2o_loop_t		   *loop;
	h2o_timeout_t	   *retry_interval;
	h2o_timeout_entry_t retry;
	PgQuery				query;
	bool				busy;
	bool				again; /* something changed while it was being read */
	bool				failed;
	char				version[64];
	char				revoked_age[16];
	const char		   *values[1];
	LoaderHooks			hooks;
};

static const char listen_sql[] =
	"DO 'BEGIN LISTEN rental_endpoint; LISTEN rental_cache; LISTEN rental_revoked; LISTEN rental_event; END'";
static const char revoked_sql[] = "SELECT id, revoked_at::bigint FROM rental.revocation_recent($1::integer)";
static const char version_sql[] = "SELECT rental.version()";
static const char endpoints_sql[] =
	"SELECT method, path, to_json(auth)::text, status::text, coalesce(rate_class, ''),"
	" statement, coalesce(args::text, '[]'), cache_seconds::text, to_json(cache_tags)::text, stream,"
	" coalesce(upload_field, ''), coalesce(upload_bytes, 0)::text, download, is_stable, tag, raw_body, csv, coalesce(activity, '')"
	" FROM rental.endpoint_catalog()";

static void load(void *data);

static void
submit(Loader *loader, const char *sql, void (*done)(PgQuery *, PgOutcome, PGresult *))
{
	memset(&loader->query, 0, sizeof(loader->query));
	loader->query.statement.sql = sql;
	loader->query.done = done;
	if (sql == revoked_sql)
	{
		loader->query.values = loader->values;
		loader->query.nvalues = 1;
	}
	/* refused only if the connection is gone, and then its return loads again */
	loader->busy = pg_pool_submit(loader->pool, &loader->query);
}

/* succeeded tells whether a step worked; if not, all is tried again a little later. */
static bool
succeeded(Loader *loader, PgOutcome outcome, PGresult *result)
{
	if (outcome == PG_ANSWERED && PQresultStatus(result) != PGRES_FATAL_ERROR)
		return true;
	if (!loader->failed)
		log_message(LOG_ERROR, NULL, "cannot read the endpoints: %s",
					result ? PQresultErrorMessage(result) : "connection lost");
	loader->failed = true;
	loader->busy = false;
	if (!h2o_timeout_is_linked(&loader->retry))
		h2o_timeout_link(loader->loop, loader->retry_interval, &loader->retry);
	return false;
}

static void
on_endpoints(PgQuery *query, PgOutcome outcome, PGresult *result)
{
	Loader	*loader = H2O_STRUCT_FROM_MEMBER(Loader, query, query);
	Catalog *catalog;

	if (!succeeded(loader, outcome, result))
	{
		PQclear(result);
		return;
	}
	catalog = catalog_create(loader->version);
	for (int i = 0; i < PQntuples(result); i++)
	{
		CatalogRow	row = {PQgetvalue(result, i, 0),
						   PQgetvalue(result, i, 1),
						   PQgetvalue(result, i, 2),
						   PQgetvalue(result, i, 3),
						   PQgetvalue(result, i, 4),
						   PQgetvalue(result, i, 5),
						   PQgetvalue(result, i, 6),
						   PQgetvalue(result, i, 7),
						   PQgetvalue(result, i, 8),
						   PQgetvalue(result, i, 9)[0] == 't',
						   PQgetvalue(result, i, 10),
						   PQgetvalue(result, i, 11),
						   PQgetvalue(result, i, 12)[0] == 't',
						   PQgetvalue(result, i, 13)[0] == 't',
						   PQgetvalue(result, i, 14),
						   PQgetvalue(result, i, 15)[0] == 't',
						   PQgetvalue(result, i, 16)[0] == 't',
						   PQgetvalue(result, i, 17)};
		const char *problem = catalog_add(catalog, &row);

		if (problem)
			log_message(LOG_ERROR, NULL, "endpoint %s %s is left out: %s", row.method, row.path, problem);
	}
	PQclear(result);
	log_message(LOG_INFO, NULL, "%u endpoints of version %s are served", catalog->nendpoints, catalog->version);
	if (strcmp(catalog->version, RENTAL_VERSION) != 0)
		log_message(LOG_ERROR, NULL, "the server has version %s, but the extension has %s", RENTAL_VERSION,
					catalog->version);
	catalog_publish(catalog);
	loader->hooks.listening(true);
	loader->failed = false;
	loader->busy = false;
	if (loader->again)
		load(loader);
}

static void
on_version(PgQuery *query, PgOutcome outcome, PGresult *result)
{
	Loader *loader = H2O_STRUCT_FROM_MEMBER(Loader, query, query);

	if (succeeded(loader, outcome, result))
	{
		const char *version = PQntuples(result) == 1 ? PQgetvalue(result, 0, 0) : "";

		strncpy(loader->version, version, sizeof(loader->version) - 1);
		submit(loader, endpoints_sql, on_endpoints);
	}
	PQclear(result);
}

/* on_revoked: what was revoked while nobody listened. */
static void
on_revoked(PgQuery *query, PgOutcome outcome, PGresult *result)
{
	Loader *loader = H2O_STRUCT_FROM_MEMBER(Loader, query, query);

	if (succeeded(loader, outcome, result))
	{
		for (int i = 0; i < PQntuples(result); i++)
			revoke_add(PQgetvalue(result, i, 0), strtoll(PQgetvalue(result, i, 1), NULL, 10));
		submit(loader, version_sql, on_version);
	}
	PQclear(result);
}

static void
on_listen(PgQuery *query, PgOutcome outcome, PGresult *result)
{
	Loader *loader = H2O_STRUCT_FROM_MEMBER(Loader, query, query);

	if (succeeded(loader, outcome, result))
	{
		submit(loader, revoked_sql, on_revoked);
	}
	PQclear(result);
}

/*
 * load reads everything anew.  LISTEN comes first, each time, so that no
 * change between the reading and the listening is missed.
 */
static void
load(void *data)
{
	Loader *loader = data;

	loader->again = loader->busy;
	if (!loader->busy && loader->pool)
		submit(loader, listen_sql, on_listen);
}

/* loader_reload: what is there does not fit what was read. */
void
loader_reload(Loader *loader)
{
	load(loader);
}

static void
on_retry(h2o_timeout_entry_t *entry)
{
	load(H2O_STRUCT_FROM_MEMBER(Loader, retry, entry));
}

static void
on_down(void *data)
{
	Loader *loader = data;

	loader->hooks.listening(false);
}

/* on_notify: "id time" for a revocation, tags for the cache, an event, or nothing for the endpoints. */
static void
on_notify(void *data, const char *channel, const char *payload)
{
	Loader *loader = data;

	if (strcmp(channel, "rental_cache") == 0)
		cache_drop(payload, strlen(payload));
	else if (strcmp(channel, "rental_event") == 0)
		loader->hooks.event(payload);
	else if (strcmp(channel, "rental_revoked") == 0)
	{
		char id[UUID_LENGTH + 1] = "";

		strncpy(id, payload, UUID_LENGTH);
		if (strlen(payload) > UUID_LENGTH)
			revoke_add(id, strtoll(payload + UUID_LENGTH, NULL, 10));
		loader->hooks.revoked();
	}
	else
		load(loader);
}

Loader *
loader_start(h2o_context_t *context, const Config *config, const LoaderHooks *hooks)
{
	Loader		 *loader = h2o_mem_alloc(sizeof(*loader));
	PgPoolOptions options = {
		.url = config->database_url,
		.connections = 1,
		.depth = 1,
		.queue_limit = 1,
		.statement_timeout = config->statement_timeout,
		.query_timeout = config->request_timeout,
		.on_ready = load,
		.kind = POOL_KIND_LISTEN,
		.on_down = on_down,
		.on_notify = on_notify,
		.data = loader,
	};

	memset(loader, 0, sizeof(*loader));
	loader->loop = context->loop;
	loader->hooks = *hooks;
	snprintf(loader->revoked_age, sizeof(loader->revoked_age), "%d", config->access_ttl + 60);
	loader->values[0] = loader->revoked_age;
	loader->retry_interval = &context->one_sec_timeout;
	loader->retry.cb = on_retry;
	loader->pool = pg_pool_create(context, &options);
	return loader;
}

void
loader_stop(Loader *loader)
{
	h2o_timeout_unlink(&loader->retry);
	pg_pool_abandon(&loader->query);
	pg_pool_close(loader->pool);
}
