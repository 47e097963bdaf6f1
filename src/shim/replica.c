/*-------------------------------------------------------------------------
 *
 * replica.c
 *	  Who may read from the standby, since it has what they wrote.
 *
 * Owns when each caller last wrote, and until when the standby is known to
 * have everything.  Whoever wrote later reads from the primary, however far
 * behind the standby is.  The first thread finds out: it asks the primary how
 * long its log is, then the standby, until that has replayed as much.  It
 * asks nothing as long as nobody writes.
 *
 *-------------------------------------------------------------------------
 */
#include "replica.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hash.h"

#define WRITERS		4096
#define KIND_WRITER 5
#define INTERVAL	250 /* milliseconds between two questions */
#define LSN_WIDTH	20

struct Replica
{
	h2o_loop_t		   *loop;
	PgPool			   *primary;
	PgPool			   *standby;
	h2o_timeout_t		interval;
	h2o_timeout_entry_t tick;
	PgQuery				query;
	bool				busy;
	uint64_t			asked_at;		  /* before the primary told its place */
	char				place[LSN_WIDTH]; /* that the standby is to reach, or empty */
	const char		   *values[1];
};

/* milliseconds of the monotonic clock */
static _Atomic uint64_t last_writes[WRITERS];
static _Atomic uint64_t newest_write;
static _Atomic uint64_t complete_until;

static const char place_sql[] = "SELECT pg_current_wal_insert_lsn()";
/* what is not in recovery is no standby, but the primary by another name */
static const char reached_sql[] =
	"SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() >= $1::pg_lsn ELSE true END";

/* now is not the loop's time, which may be from before a write's answer */
static uint64_t
now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t) time.tv_sec * 1000 + (uint64_t) time.tv_nsec / 1000000;
}

static _Atomic uint64_t *
writer_slot(const char *who)
{
	return &last_writes[hash_bytes(who, strlen(who), KIND_WRITER) % WRITERS];
}

/* replica_note_write: a request that may have changed something has ended. */
void
replica_note_write(const char *who)
{
	uint64_t at = now();

	atomic_store(writer_slot(who), at);
	atomic_store(&newest_write, at);
}

/* replica_has_writes tells whether the standby has all that a caller wrote. */
bool
replica_has_writes(const char *who)
{
	uint64_t at = atomic_load(writer_slot(who));

	return at == 0 || at < atomic_load(&complete_until);
}

/* replica_forget: a connection was lost, and what is behind the next one may be another standby. */
void
replica_forget(void *unused)
{
	atomic_store(&complete_until, 0);
}

static void
submit(Replica *replica, PgPool *pool, const char *sql, int nvalues,
	   void (*done)(PgQuery *query, PgOutcome outcome, PGresult *result))
{
	memset(&replica->query, 0, sizeof(replica->query));
	replica->query.statement.sql = sql;
	replica->query.values = replica->values;
	replica->query.nvalues = nvalues;
	replica->query.done = done;
	replica->busy = pg_pool_submit(pool, &replica->query);
}

static bool
has_value(PgOutcome outcome, const PGresult *result)
{
	return outcome == PG_ANSWERED && PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 &&
		   !PQgetisnull(result, 0, 0);
}

static void
on_reached(PgQuery *query, PgOutcome outcome, PGresult *result)
{
	Replica *replica = H2O_STRUCT_FROM_MEMBER(Replica, query, query);

	replica->busy = false;
	if (has_value(outcome, result) && *PQgetvalue(result, 0, 0) == 't')
	{
		atomic_store(&complete_until, replica->asked_at);
		replica->place[0] = '\0';
	}
	PQclear(result);
}

static void
ask_standby(Replica *replica)
{
	replica->values[0] = replica->place;
	submit(replica, replica->standby, reached_sql, 1, on_reached);
}

static void
on_place(PgQuery *query, PgOutcome outcome, PGresult *result)
{
	Replica *replica = H2O_STRUCT_FROM_MEMBER(Replica, query, query);

	replica->busy = false;
	if (has_value(outcome, result))
	{
		strncpy(replica->place, PQgetvalue(result, 0, 0), LSN_WIDTH - 1);
		ask_standby(replica);
	}
	PQclear(result);
}

static void
on_tick(h2o_timeout_entry_t *entry)
{
	Replica *replica = H2O_STRUCT_FROM_MEMBER(Replica, tick, entry);
	uint64_t newest = atomic_load(&newest_write);

	h2o_timeout_link(replica->loop, &replica->interval, &replica->tick);
	if (replica->busy || newest == 0 || newest + INTERVAL < atomic_load(&complete_until))
		return;
	/* the same place until it is reached, so that there is an end to it however much is written */
	if (replica->place[0] != '\0')
		ask_standby(replica);
	else
	{
		replica->asked_at = now();
		submit(replica, replica->primary, place_sql, 0, on_place);
	}
}

/* replica_create begins to watch the standby, through pools of the caller's thread. */
Replica *
replica_create(h2o_context_t *context, PgPool *primary, PgPool *standby)
{
	Replica *replica = h2o_mem_alloc(sizeof(*replica));

	memset(replica, 0, sizeof(*replica));
	replica->loop = context->loop;
	replica->primary = primary;
	replica->standby = standby;
	h2o_timeout_init(context->loop, &replica->interval, INTERVAL);
	replica->tick.cb = on_tick;
	h2o_timeout_link(replica->loop, &replica->interval, &replica->tick);
	return replica;
}

void
replica_close(Replica *replica)
{
	h2o_timeout_unlink(&replica->tick);
	pg_pool_abandon(&replica->query);
}
