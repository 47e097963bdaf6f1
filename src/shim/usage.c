/*-------------------------------------------------------------------------
 *
 * usage.c
 *	  How much each API key is used, told to the database in batches.
 *
 * Owns one thread's counts since its last batch.  A request only counts in
 * memory, after its answer; once a second, and when the server stops, what
 * has come together goes to rental.api_key_used().  A batch that surely was
 * not written stays for the next one; one whose fate is unknown is dropped,
 * so that nothing is counted twice.
 *
 *-------------------------------------------------------------------------
 */
#include "usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "log.h"
#include "text.h"

#define BUCKETS		 256
#define KIND_USAGE	 7
#define BATCH_MOST	 1000 /* keys */
#define NUMBER_WIDTH 21	  /* of a 64-bit number, with its comma */

typedef struct KeyCount
{
	struct KeyCount	  *next;
	char			   id[UUID_LENGTH + 1];
	unsigned long long requests;
	unsigned long long errors;
} KeyCount;

struct Usage
{
	h2o_context_t	   *context;
	PgPool			   *pool;
	h2o_timeout_entry_t tick;
	KeyCount		   *buckets[BUCKETS];
	unsigned			nkeys;
	KeyCount		   *batch; /* on its way */
	PgQuery				query;
	bool				busy;
	const char		   *values[3];
};

static const char used_sql[] = "SELECT rental.api_key_used($1::uuid[], $2::bigint[], $3::bigint[])";

static KeyCount *
find(Usage *usage, const char *key_id)
{
	KeyCount **bucket = &usage->buckets[hash_bytes(key_id, strlen(key_id), KIND_USAGE) % BUCKETS];
	KeyCount  *count;

	for (count = *bucket; count; count = count->next)
	{
		if (strcmp(count->id, key_id) == 0)
			return count;
	}
	count = h2o_mem_alloc(sizeof(*count));
	memset(count, 0, sizeof(*count));
	strncpy(count->id, key_id, UUID_LENGTH);
	count->next = *bucket;
	*bucket = count;
	usage->nkeys++;
	return count;
}

/* usage_note counts a request that has been answered. */
void
usage_note(Usage *usage, const char *key_id, int status)
{
	KeyCount *count = find(usage, key_id);

	count->requests++;
	if (status >= 400)
		count->errors++;
}

/* take_batch moves counts out of the table into the batch, and says how many. */
static int
take_batch(Usage *usage)
{
	int n = 0;

	for (int i = 0; i < BUCKETS && n < BATCH_MOST; i++)
	{
		while (usage->buckets[i] && n < BATCH_MOST)
		{
			KeyCount *count = usage->buckets[i];

			usage->buckets[i] = count->next;
			count->next = usage->batch;
			usage->batch = count;
			usage->nkeys--;
			n++;
		}
	}
	return n;
}

/* end_batch forgets the batch, or adds it to what is counted again. */
static void
end_batch(Usage *usage, bool again)
{
	while (usage->batch)
	{
		KeyCount *count = usage->batch;

		usage->batch = count->next;
		if (again)
		{
			KeyCount *kept = find(usage, count->id);

			kept->requests += count->requests;
			kept->errors += count->errors;
		}
		free(count);
	}
	for (int i = 0; i < 3; i++)
	{
		free((char *) usage->values[i]);
		usage->values[i] = NULL;
	}
	usage->busy = false;
}

static void
on_written(PgQuery *query, PgOutcome outcome, PGresult *result)
{
	Usage *usage = H2O_STRUCT_FROM_MEMBER(Usage, query, query);
	bool   written = outcome == PG_ANSWERED && PQresultStatus(result) == PGRES_TUPLES_OK;

	if (!written)
		log_message(LOG_WARNING, NULL, "the usage of API keys was not written: %s",
					result ? PQresultErrorMessage(result) : "no connection");
	PQclear(result);
	end_batch(usage,
			  !written && (outcome == PG_NOT_STARTED || (outcome == PG_ANSWERED && pg_result_is_transient(result))));
}

/* write_batch makes the array literals and sends them.  False: there is no connection; the counts stay. */
static bool
write_batch(Usage *usage)
{
	int	   n = take_batch(usage);
	size_t size = (size_t) n * (UUID_LENGTH + 1) + 3;
	char  *ids = h2o_mem_alloc(size);
	char  *requests = h2o_mem_alloc((size_t) n * NUMBER_WIDTH + 3);
	char  *errors = h2o_mem_alloc((size_t) n * NUMBER_WIDTH + 3);
	char  *id = ids;
	char  *request = requests;
	char  *error = errors;
	char   separator = '{';

	for (const KeyCount *count = usage->batch; count; count = count->next)
	{
		id += sprintf(id, "%c%s", separator, count->id);
		request += sprintf(request, "%c%llu", separator, count->requests);
		error += sprintf(error, "%c%llu", separator, count->errors);
		separator = ',';
	}
	strcpy(id, "}");
	strcpy(request, "}");
	strcpy(error, "}");
	usage->values[0] = ids;
	usage->values[1] = requests;
	usage->values[2] = errors;
	memset(&usage->query, 0, sizeof(usage->query));
	usage->query.statement.sql = used_sql;
	usage->query.values = usage->values;
	usage->query.nvalues = 3;
	usage->query.done = on_written;
	usage->busy = true;
	if (pg_pool_submit(usage->pool, &usage->query))
		return true;
	end_batch(usage, true);
	return false;
}

/* usage_flush sends what there is.  True: there is nothing to wait for, since all is written or nothing can be. */
bool
usage_flush(Usage *usage)
{
	if (!usage->busy && usage->nkeys > 0 && !write_batch(usage))
		return true;
	return !usage->busy && usage->nkeys == 0;
}

static void
on_tick(h2o_timeout_entry_t *entry)
{
	Usage *usage = H2O_STRUCT_FROM_MEMBER(Usage, tick, entry);

	usage_flush(usage);
	h2o_timeout_link(usage->context->loop, &usage->context->one_sec_timeout, &usage->tick);
}

/* usage_create makes the counts of the calling thread; the pool must outlive them. */
Usage *
usage_create(h2o_context_t *context, PgPool *pool)
{
	Usage *usage = h2o_mem_alloc(sizeof(*usage));

	memset(usage, 0, sizeof(*usage));
	usage->context = context;
	usage->pool = pool;
	usage->tick.cb = on_tick;
	h2o_timeout_link(context->loop, &context->one_sec_timeout, &usage->tick);
	return usage;
}

/* usage_close stops telling; what is still there is lost. */
void
usage_close(Usage *usage)
{
	h2o_timeout_unlink(&usage->tick);
	pg_pool_abandon(&usage->query);
	end_batch(usage, false);
}
