/*-------------------------------------------------------------------------
 *
 * pg_pool.c
 *	  A thread's connections of one kind, and the queue before them.
 *
 * Owns the connections, their reconnection, the bounded queue and the time
 * limit of every query.  A query is refused at once when no connection is up
 * or the queue is full, so that waiting never piles up.  Knows nothing of
 * requests, and never retries: that is for the caller to decide.
 *
 *-------------------------------------------------------------------------
 */
#include "pg_pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "metrics.h"

#define BACKOFF_MIN		100 /* milliseconds before the second attempt to connect */
#define BACKOFF_MAX		2000
#define CONNECT_TIMEOUT 5000
#define STALL_GRACE		5000 /* beyond statement_timeout, then the connection is taken for dead */
#define SLOW_QUERY		20	 /* a connection busy that long with one query gets others' last */

typedef struct PoolConn
{
	PgConn	 conn; /* first, so that a PgConn is its PoolConn */
	PgPool	*pool;
	unsigned failures;
	uint64_t retry_at;
	bool	 was_up;
} PoolConn;

struct PgPool
{
	h2o_loop_t		   *loop;
	PgPoolOptions		options;
	char			  **keywords; /* for PQconnectStartParams */
	char			  **values;
	unsigned short		random[3];
	PoolConn		   *conns;
	h2o_linklist_t		queue;
	int					queued;
	h2o_timeout_t		deadlines;
	h2o_timeout_t	   *tick_interval;
	h2o_timeout_entry_t tick;
};

/* pg_pool_check_url returns what is wrong with a connection string, or NULL. */
const char *
pg_pool_check_url(const char *url)
{
	char			 *message = NULL;
	PQconninfoOption *options = PQconninfoParse(url, &message);

	PQconninfoFree(options);
	if (options)
		return NULL;
	return message ? message : "out of memory";
}

/*
 * set_conninfo takes the user's connection string apart and adds what the
 * server relies on; its own settings come last and so win.
 */
static void
set_conninfo(PgPool *pool)
{
	PQconninfoOption *options = PQconninfoParse(pool->options.url, NULL);
	const char		 *user_settings = "";
	char			  settings[512];
	size_t			  count = 0;
	size_t			  used = 0;

	while (options[count].keyword)
	{
		if (strcmp(options[count].keyword, "options") == 0 && options[count].val)
			user_settings = options[count].val;
		count++;
	}
	snprintf(settings, sizeof(settings), "%.300s -c TimeZone=UTC -c statement_timeout=%d%s", user_settings,
			 pool->options.statement_timeout, pool->options.read_only ? " -c default_transaction_read_only=on" : "");
	pool->keywords = h2o_mem_alloc((count + 4) * sizeof(char *));
	pool->values = h2o_mem_alloc((count + 4) * sizeof(char *));
	for (size_t i = 0; i < count; i++)
	{
		if (options[i].val == NULL || strcmp(options[i].keyword, "options") == 0)
			continue;
		pool->keywords[used] = h2o_strdup(NULL, options[i].keyword, SIZE_MAX).base;
		pool->values[used++] = h2o_strdup(NULL, options[i].val, SIZE_MAX).base;
	}
	pool->keywords[used] = "options";
	pool->values[used++] = h2o_strdup(NULL, settings, SIZE_MAX).base;
	pool->keywords[used] = "application_name";
	pool->values[used++] = "rental-shim";
	pool->keywords[used] = "client_encoding";
	pool->values[used++] = "UTF8";
	pool->keywords[used] = NULL;
	pool->values[used] = NULL;
	PQconninfoFree(options);
}

static void
arm_tick(PgPool *pool)
{
	if (!h2o_timeout_is_linked(&pool->tick))
		h2o_timeout_link(pool->loop, pool->tick_interval, &pool->tick);
}

/*
 * on_tick reconnects what is down and gives up what has stalled.  It runs on
 * as long as there is anything to watch.
 */
static void
on_tick(h2o_timeout_entry_t *entry)
{
	PgPool	*pool = H2O_STRUCT_FROM_MEMBER(PgPool, tick, entry);
	uint64_t now = h2o_now(pool->loop);

	for (int i = 0; i < pool->options.connections; i++)
	{
		PoolConn *pc = &pool->conns[i];
		uint64_t  age = now - pc->conn.since;

		switch (pc->conn.state)
		{
			case PG_CONN_DOWN:
				if (now >= pc->retry_at)
					pg_conn_open(&pc->conn);
				arm_tick(pool);
				break;
			case PG_CONN_CONNECTING:
				if (age > CONNECT_TIMEOUT)
					pg_conn_fail(&pc->conn, "connecting took too long");
				arm_tick(pool);
				break;
			case PG_CONN_READY:
				if (pc->conn.count == 0)
					break;
				if (age > (uint64_t) pool->options.statement_timeout + STALL_GRACE)
					pg_conn_fail(&pc->conn, "no answer");
				arm_tick(pool);
				break;
		}
	}
}

/* pool_metric is the figure of this pool, given that of the first kind. */
static Metric
pool_metric(const PgPool *pool, Metric first)
{
	return (Metric) ((int) first + pool->options.kind);
}

static void
finish(PgQuery *query, PgOutcome outcome, PGresult *result)
{
	metrics_add(pool_metric(query->pool, METRIC_POOL_BUSY_READ), -1);
	h2o_timeout_unlink(&query->deadline);
	query->pool = NULL;
	query->done(query, outcome, result);
}

static void
unqueue(PgQuery *query)
{
	h2o_linklist_unlink(&query->link);
	query->pool->queued--;
	metrics_add(pool_metric(query->pool, METRIC_POOL_QUEUE_READ), -1);
}

static void
on_deadline(h2o_timeout_entry_t *entry)
{
	PgQuery *query = H2O_STRUCT_FROM_MEMBER(PgQuery, deadline, entry);

	if (query->conn)
	{
		pg_conn_abandon(query);
		finish(query, PG_TIMED_OUT, NULL);
	}
	else
	{
		unqueue(query);
		finish(query, PG_NOT_STARTED, NULL);
	}
}

/*
 * choose_conn fills one connection up to half its depth before it takes the
 * next, since a backend that is awake answers several queries for one wake-up;
 * beyond that it takes the one with the fewest in flight. One whose oldest
 * query is slow is taken only if there is no other.
 */
static PgConn *
choose_conn(PgPool *pool)
{
	uint64_t now = h2o_now(pool->loop);
	PgConn	*best = NULL;
	unsigned best_load = 0;

	for (int i = 0; i < pool->options.connections; i++)
	{
		PgConn	*conn = &pool->conns[i].conn;
		unsigned load = conn->count;

		if (conn->state != PG_CONN_READY || conn->count == conn->depth)
			continue;
		if (conn->count > 0 && now - conn->since > SLOW_QUERY)
			load += conn->depth;
		if (load < conn->depth / 2)
			return conn;
		if (best == NULL || load < best_load)
		{
			best = conn;
			best_load = load;
		}
	}
	return best;
}

static void
pump(PgPool *pool)
{
	PgConn *conn;

	while (!h2o_linklist_is_empty(&pool->queue) && (conn = choose_conn(pool)) != NULL)
	{
		PgQuery *query = H2O_STRUCT_FROM_MEMBER(PgQuery, link, pool->queue.next);

		unqueue(query);
		pg_conn_send(conn, query);
	}
}

static void
on_room(PgConn *conn)
{
	pump(((PoolConn *) conn)->pool);
}

static void
on_ready(PgConn *conn)
{
	PoolConn *pc = (PoolConn *) conn;

	if (pc->failures > 0)
		log_message(LOG_INFO, NULL, "database connection is back");
	pc->failures = 0;
	pc->was_up = true;
	metrics_add(pool_metric(pc->pool, METRIC_POOL_UP_READ), 1);
	if (pc->pool->options.on_ready)
		pc->pool->options.on_ready(pc->pool->options.data);
	pump(pc->pool);
}

static void
on_notify(PgConn *conn, const char *channel, const char *payload)
{
	PgPool *pool = ((PoolConn *) conn)->pool;

	pool->options.on_notify(pool->options.data, channel, payload);
}

/* on_down plans the next attempt; with no connection left, nobody waits in the queue. */
static void
on_down(PgConn *conn, const char *reason)
{
	PoolConn *pc = (PoolConn *) conn;
	PgPool	 *pool = pc->pool;
	unsigned  delay = BACKOFF_MIN << (pc->failures < 5 ? pc->failures : 5);

	if (pc->failures == 0)
		log_message(LOG_WARNING, NULL, "database connection lost: %s", reason);
	if (delay > BACKOFF_MAX)
		delay = BACKOFF_MAX;
	pc->failures++;
	pc->retry_at = h2o_now(pool->loop) + delay / 2 + (unsigned) (erand48(pool->random) * delay / 2);
	arm_tick(pool);
	if (pc->was_up)
	{
		pc->was_up = false;
		metrics_add(pool_metric(pool, METRIC_POOL_UP_READ), -1);
		metrics_add(METRIC_DATABASE_LOST, 1);
		if (pool->options.on_down)
			pool->options.on_down(pool->options.data);
	}
	while (!pg_pool_is_ready(pool) && !h2o_linklist_is_empty(&pool->queue))
	{
		PgQuery *query = H2O_STRUCT_FROM_MEMBER(PgQuery, link, pool->queue.next);

		unqueue(query);
		finish(query, PG_NOT_STARTED, NULL);
	}
}

PgPool *
pg_pool_create(h2o_context_t *context, const PgPoolOptions *options)
{
	PgPool	*pool = h2o_mem_alloc(sizeof(*pool));
	size_t	 size = (size_t) options->connections * sizeof(PoolConn);
	uint64_t seed = (uint64_t) (uintptr_t) pool ^ h2o_now(context->loop);

	memset(pool, 0, sizeof(*pool));
	pool->loop = context->loop;
	pool->options = *options;
	memcpy(pool->random, &seed, sizeof(pool->random));
	set_conninfo(pool);
	h2o_linklist_init_anchor(&pool->queue);
	h2o_timeout_init(pool->loop, &pool->deadlines, (uint64_t) options->query_timeout);
	pool->tick_interval = &context->hundred_ms_timeout;
	pool->tick.cb = on_tick;
	pool->conns = h2o_mem_alloc(size);
	memset(pool->conns, 0, size);
	for (int i = 0; i < options->connections; i++)
	{
		PoolConn *pc = &pool->conns[i];

		pc->pool = pool;
		pc->conn.loop = pool->loop;
		pc->conn.keywords = (const char *const *) pool->keywords;
		pc->conn.values = (const char *const *) pool->values;
		pc->conn.depth = (unsigned) options->depth;
		pc->conn.on_ready = on_ready;
		pc->conn.on_down = on_down;
		pc->conn.on_room = on_room;
		pc->conn.on_done = finish;
		pc->conn.on_notify = options->on_notify ? on_notify : NULL;
		pg_conn_init(&pc->conn);
		pg_conn_open(&pc->conn);
	}
	arm_tick(pool);
	return pool;
}

bool
pg_pool_is_ready(const PgPool *pool)
{
	for (int i = 0; i < pool->options.connections; i++)
	{
		if (pool->conns[i].conn.state == PG_CONN_READY)
			return true;
	}
	return false;
}

/*
 * pg_pool_submit sends a query, or lets it wait.  False: it is refused, and
 * done will not be called.
 */
bool
pg_pool_submit(PgPool *pool, PgQuery *query)
{
	PgConn *conn = choose_conn(pool);

	if (conn == NULL && (pool->queued >= pool->options.queue_limit || !pg_pool_is_ready(pool)))
	{
		metrics_add(pool_metric(pool, METRIC_POOL_REFUSED_READ), 1);
		return false;
	}
	query->pool = pool;
	metrics_add(pool_metric(pool, METRIC_POOL_BUSY_READ), 1);
	query->conn = NULL;
	memset(&query->link, 0, sizeof(query->link));
	memset(&query->deadline, 0, sizeof(query->deadline));
	query->deadline.cb = on_deadline;
	h2o_timeout_link(pool->loop, &pool->deadlines, &query->deadline);
	arm_tick(pool);
	if (conn)
		pg_conn_send(conn, query);
	else
	{
		h2o_linklist_insert(&pool->queue, &query->link);
		pool->queued++;
		metrics_add(pool_metric(pool, METRIC_POOL_QUEUE_READ), 1);
		metrics_add(pool_metric(pool, METRIC_POOL_WAITED_READ), 1);
	}
	return true;
}

/* pg_pool_abandon: the caller goes away; done will not be called. */
void
pg_pool_abandon(PgQuery *query)
{
	if (query->pool == NULL)
		return;
	h2o_timeout_unlink(&query->deadline);
	metrics_add(pool_metric(query->pool, METRIC_POOL_BUSY_READ), -1);
	if (query->conn)
		pg_conn_abandon(query);
	else
		unqueue(query);
	query->pool = NULL;
}

/* pg_pool_close takes leave of the server; nothing may be in flight or waiting. */
void
pg_pool_close(PgPool *pool)
{
	h2o_timeout_unlink(&pool->tick);
	for (int i = 0; i < pool->options.connections; i++)
		pg_conn_close(&pool->conns[i].conn);
}
