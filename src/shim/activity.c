/*-------------------------------------------------------------------------
 *
 * activity.c
 *	  What was called, told to the database in batches.
 *
 * Owns one thread's notes since its last batch.  A request to an endpoint
 * that wants it leaves a note after its answer: by whom, with which arguments,
 * and by which rule it was refused.  Once a second, or when many have come
 * together, they go to rental.activity_record(), which knows what they mean.
 * What cannot be written is dropped: it is worth no request's time.  Of the
 * client only a hash is told, whose key no other process has.  Of robots,
 * which look at more in a second than people can, no more is told.
 *
 *-------------------------------------------------------------------------
 */
#include "activity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind.h"
#include "buffer.h"
#include "call.h"
#include "hash.h"
#include "log.h"
#include "metrics.h"

#define KIND_VISITOR 8
#define BATCH_GOOD	 500	/* notes that are sent at once */
#define BATCH_MOST	 2000	/* notes that may wait */
#define NOTE_MOST	 16384	/* bytes of one */
#define BYTES_MOST	 524288 /* of all that wait */
#define SEEN		 4096	/* reads of a batch that are known again */
#define CLIENTS		 4096	/* whose looks are counted */
#define LOOKS_MOST	 50		/* of one client in a second; who looks at more is no person */

struct Activity
{
	h2o_context_t	   *context;
	PgPool			   *pool;
	h2o_timeout_entry_t tick;
	Buffer				notes; /* a JSON array without its end */
	unsigned			nnotes;
	uint64_t			seen[SEEN];		/* hashes of reads since the last batch */
	uint8_t				looks[CLIENTS]; /* of this second, of the clients that fall on the same counter */
	Buffer				batch;			/* on its way */
	PgQuery				query;
	bool				busy;
	const char		   *values[1];
};

static const char record_sql[] = "SELECT rental.activity_record($1::jsonb)";

static void
forget(Buffer *buffer)
{
	free(buffer->data);
	memset(buffer, 0, sizeof(*buffer));
}

static void
on_written(PgQuery *query, PgOutcome outcome, PGresult *result)
{
	Activity *activity = H2O_STRUCT_FROM_MEMBER(Activity, query, query);

	if (outcome != PG_ANSWERED || PQresultStatus(result) != PGRES_TUPLES_OK)
	{
		metrics_add(METRIC_ACTIVITY_DROPPED, 1);
		log_message(LOG_WARNING, NULL, "activity was not written: %s",
					result ? PQresultErrorMessage(result) : "no connection");
	}
	PQclear(result);
	forget(&activity->batch);
	activity->busy = false;
}

/* activity_flush sends what there is.  True: there is nothing to wait for. */
bool
activity_flush(Activity *activity)
{
	if (activity->busy)
		return false;
	if (activity->nnotes == 0)
		return true;
	buffer_append_char(&activity->notes, ']');
	activity->values[0] = buffer_terminate(&activity->notes);
	activity->batch = activity->notes;
	memset(&activity->notes, 0, sizeof(activity->notes));
	activity->nnotes = 0;
	memset(activity->seen, 0, sizeof(activity->seen));
	memset(&activity->query, 0, sizeof(activity->query));
	activity->query.statement.sql = record_sql;
	activity->query.values = activity->values;
	activity->query.nvalues = 1;
	activity->query.done = on_written;
	activity->busy = pg_pool_submit(activity->pool, &activity->query);
	if (activity->busy)
		return false;
	metrics_add(METRIC_ACTIVITY_DROPPED, 1);
	forget(&activity->batch);
	return true;
}

static void
append_member(Buffer *note, const char *name, const char *value)
{
	if (value == NULL || *value == '\0')
		return;
	if (note->data[note->len - 1] != '{')
		buffer_append_char(note, ',');
	buffer_append_json(note, name, strlen(name));
	buffer_append_char(note, ':');
	buffer_append_json(note, value, strlen(value));
}

/* arguments_of binds them if the answer came from the cache, which needs none. */
static const char **
arguments_of(Call *call)
{
	const Endpoint *endpoint = call->endpoint;
	BindError		error;

	if (call->values)
		return call->values + endpoint->context;
	call->values =
		h2o_mem_alloc_pool(&call->req->pool, sizeof(char *) * (size_t) (endpoint->context + endpoint->nargs));
	if (!bind_arguments(&call->req->pool, endpoint, &call->route, call->query_string, h2o_iovec_init(NULL, 0),
						call->values + endpoint->context, &error))
		return NULL;
	return call->values + endpoint->context;
}

static uint64_t
visitor_hash(const Call *call)
{
	return hash_bytes(call->client, strlen(call->client), KIND_VISITOR);
}

static void
write_note(Buffer *note, Call *call, const char *const *arguments)
{
	const Endpoint *endpoint = call->endpoint;
	char			visitor[17];

	snprintf(visitor, sizeof(visitor), "%016llx", (unsigned long long) visitor_hash(call));
	buffer_append_char(note, '{');
	append_member(note, "kind", endpoint->activity);
	append_member(note, "user", call->actor.user_id);
	append_member(note, "role", call->actor.role);
	append_member(note, "visitor", visitor);
	if (call->result && PQresultStatus(call->result) == PGRES_FATAL_ERROR)
	{
		append_member(note, "code", PQresultErrorField(call->result, PG_DIAG_CONSTRAINT_NAME));
		append_member(note, "field", PQresultErrorField(call->result, PG_DIAG_COLUMN_NAME));
	}
	buffer_append_text(note, ",\"args\":{");
	for (int i = 0; i < endpoint->nargs; i++)
		append_member(note, endpoint->args[i].name, arguments[i]);
	buffer_append_text(note, "}}");
}

/* is_robot counts a look of a client, which is a robot's if there are too many in this second. */
static bool
is_robot(Activity *activity, const Call *call)
{
	uint8_t *looks = &activity->looks[visitor_hash(call) % CLIENTS];

	if (*looks == LOOKS_MOST)
		return true;
	(*looks)++;
	return false;
}

/* was_seen: the same client has just read the same, which is told once a batch. */
static bool
was_seen(Activity *activity, Call *call)
{
	const char *who = call->actor.known ? call->actor.user_id : call->client;
	uint64_t	hash =
		hash_bytes(call->target, call->target_len, KIND_VISITOR) ^ hash_bytes(who, strlen(who), KIND_VISITOR);
	uint64_t *slot = &activity->seen[hash % SEEN];
	bool	  seen = *slot == hash;

	*slot = hash;
	return seen;
}

/* activity_note notes a request that has been answered, if it went well or the present state was against it. */
void
activity_note(Activity *activity, Call *call)
{
	int			 status = call->req->res.status;
	const char **arguments;
	Buffer		 note;

	if (call->is_head || (status >= 400 && status != 409))
		return;
	if (call->endpoint->method == METHOD_GET)
	{
		if (is_robot(activity, call))
		{
			metrics_add(METRIC_ACTIVITY_ROBOTS, 1);
			return;
		}
		if (was_seen(activity, call))
			return;
	}
	arguments = arguments_of(call);
	if (arguments == NULL)
		return;
	buffer_init(&note, &call->req->pool, 512);
	write_note(&note, call, arguments);
	if (note.len > NOTE_MOST || activity->nnotes == BATCH_MOST || activity->notes.len + note.len > BYTES_MOST)
	{
		metrics_add(METRIC_ACTIVITY_DROPPED, 1);
		return;
	}
	if (activity->notes.data == NULL)
		buffer_init(&activity->notes, NULL, 4096);
	buffer_append_char(&activity->notes, activity->nnotes == 0 ? '[' : ',');
	buffer_append(&activity->notes, note.data, note.len);
	if (++activity->nnotes >= BATCH_GOOD)
		activity_flush(activity);
}

static void
on_tick(h2o_timeout_entry_t *entry)
{
	Activity *activity = H2O_STRUCT_FROM_MEMBER(Activity, tick, entry);

	memset(activity->looks, 0, sizeof(activity->looks));
	activity_flush(activity);
	h2o_timeout_link(activity->context->loop, &activity->context->one_sec_timeout, &activity->tick);
}

/* activity_create makes the notes of the calling thread; the pool must outlive them. */
Activity *
activity_create(h2o_context_t *context, PgPool *pool)
{
	Activity *activity = h2o_mem_alloc(sizeof(*activity));

	memset(activity, 0, sizeof(*activity));
	activity->context = context;
	activity->pool = pool;
	activity->tick.cb = on_tick;
	h2o_timeout_link(context->loop, &context->one_sec_timeout, &activity->tick);
	return activity;
}

/* activity_close stops telling; what is still there is lost. */
void
activity_close(Activity *activity)
{
	h2o_timeout_unlink(&activity->tick);
	pg_pool_abandon(&activity->query);
	forget(&activity->batch);
	forget(&activity->notes);
}
