/*-------------------------------------------------------------------------
 *
 * pg_pool.c
 *	  A thread's connections of one kind, and the queue before them.
 *
 * Owns the connections, their reconnection, the bounded queue and the time
 * limit of every query.  A query is refused at once when no connection is up
 * or the queue is full, so that waiting never piles up.  Knows nothing of
 * requests, and never retries: that is for the caller to decide.  It only
 * sends again, alone, what was skipped since a neighbour in its batch failed.
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
#define PATIENCE		5	 /* before a batch that runs makes others take another connection */
#define STALL_GRACE		5000 /* beyond statement_timeout, then the connection is taken for dead */

typedef struct PoolConn
{
	PgConn	 conn; /* first, so that a PgConn is its PoolConn */
	PgPool	*pool;
	unsigned failures;
	uint64_t retry_at;
	bool	 was_up;
	bool	 open; /* its batch may take more */
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
	h2o_linklist_t		answered; /* queries whose results have come, but have not been handed on */
	h2o_timeout_t		deadlines;
	h2o_timeout_t		patience;
	h2o_timeout_entry_t look_again;
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
 * pg_conninfo takes the user's connection string apart, for
 * PQconnectStartParams, and adds what the server relies on; its own settings
 * come last and so win.
 */
void
pg_conninfo(const char *url, const char *own_settings, char ***keywords, char ***values)
{
	PQconninfoOption *options = PQconninfoParse(url, NULL);
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
	snprintf(settings, sizeof(settings), "%.300s -c TimeZone=UTC%s", user_settings, own_settings);
	*keywords = h2o_mem_alloc((count + 4) * sizeof(char *));
	*values = h2o_mem_alloc((count + 4) * sizeof(char *));
	for (size_t i = 0; i < count; i++)
	{
		if (options[i].val == NULL || strcmp(options[i].keyword, "options") == 0)
			continue;
		(*keywords)[used] = h2o_strdup(NULL, options[i].keyword, SIZE_MAX).base;
		(*values)[used++] = h2o_strdup(NULL, options[i].val, SIZE_MAX).base;
	}
	(*keywords)[used] = "options";
	(*values)[used++] = h2o_strdup(NULL, settings, SIZE_MAX).base;
	(*keywords)[used] = "application_name";
	(*values)[used++] = "rental-shim";
	(*keywords)[used] = "client_encoding";
	(*values)[used++] = "UTF8";
	(*keywords)[used] = NULL;
	(*values)[used] = NULL;
	PQconninfoFree(options);
}

static void
set_conninfo(PgPool *pool)
{
	char settings[160];

	snprintf(settings, sizeof(settings), " -c statement_timeout=%d%s%s", pool->options.statement_timeout,
			 pool->options.read_only ? " -c default_transaction_read_only=on" : "",
			 pool->options.gather ? " -c default_transaction_isolation=read\\ committed" : "");
	pg_conninfo(pool->options.url, settings, &pool->keywords, &pool->values);
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
enqueue(PgPool *pool, PgQuery *query)
{
	query->waits = false;
	h2o_linklist_insert(&pool->queue, &query->link);
	pool->queued++;
}

static void
unqueue(PgQuery *query)
{
	h2o_linklist_unlink(&query->link);
	query->pool->queued--;
	if (query->waits)
		metrics_add(pool_metric(query->pool, METRIC_POOL_QUEUE_READ), -1);
}

static void
finish(PgQuery *query, PgOutcome outcome, PGresult *result)
{
	metrics_add(pool_metric(query->pool, METRIC_POOL_BUSY_READ), -1);
	h2o_timeout_unlink(&query->deadline);
	query->pool = NULL;
	query->done(query, outcome, result);
}

/*
 * on_answered: where queries are gathered, answers are handed on when the
 * connection that they came by has its next batch, so that PostgreSQL works
 * while they are written.
 */
static void
on_answered(PgQuery *query, PgOutcome outcome, PGresult *result)
{
	PgPool *pool = query->pool;

	if (outcome != PG_ANSWERED || !pool->options.gather)
	{
		finish(query, outcome, result);
		return;
	}
	h2o_timeout_unlink(&query->deadline);
	query->result = result;
	query->answered = true;
	h2o_linklist_insert(&pool->answered, &query->link);
}

/* hand_on tells the callers, who may bring further queries. */
static void
hand_on(PgPool *pool)
{
	while (!h2o_linklist_is_empty(&pool->answered))
	{
		PgQuery *query = H2O_STRUCT_FROM_MEMBER(PgQuery, link, pool->answered.next);

		h2o_linklist_unlink(&query->link);
		query->answered = false;
		finish(query, PG_ANSWERED, query->result);
	}
}

/* on_skipped: the query has not been run, so it may go again; alone, so this happens but once. */
static void
on_skipped(PgQuery *query)
{
	query->alone = true;
	enqueue(query->pool, query);
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
		if (conn->count > 0 && now - conn->since > PG_SLOW_QUERY)
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

/*
 * choose_idle is choose_conn for queries that share transactions. What comes
 * while a connection has all that it may get makes its next batch larger,
 * would have waited behind the last one in any case, and is not bound to a
 * connection that turns out to be slow. For the same reason the next
 * connection is taken only if a good batch has gathered, or if the one before
 * it takes its time.
 */
static PgConn *
choose_idle(PgPool *pool)
{
	uint64_t now = h2o_now(pool->loop);

	for (int i = 0; i < pool->options.connections; i++)
	{
		PoolConn *pc = &pool->conns[i];
		PgConn	 *conn = &pc->conn;

		if (conn->state != PG_CONN_READY)
			continue;
		if (pc->open && conn->count < conn->depth)
			return conn;
		if (!pc->open && now - conn->since < PATIENCE && pool->queued < (int) conn->depth / 2)
			return NULL;
	}
	return NULL;
}

/* note_waiting counts those that have found no room; they are the last of the queue. */
static void
note_waiting(PgPool *pool)
{
	for (h2o_linklist_t *link = pool->queue.prev; link != &pool->queue; link = link->prev)
	{
		PgQuery *query = H2O_STRUCT_FROM_MEMBER(PgQuery, link, link);

		if (query->waits)
			break;
		query->waits = true;
		metrics_add(pool_metric(pool, METRIC_POOL_QUEUE_READ), 1);
		metrics_add(pool_metric(pool, METRIC_POOL_WAITED_READ), 1);
	}
}

/* pump sends what waits, as far as there is room. */
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
	note_waiting(pool);
}

/* on_patience: the loop has been woken, which is all; pg_pool_flush looks again. */
static void
on_patience(h2o_timeout_entry_t *entry)
{
}

/*
 * may_open: the connection may get a batch. That is its first one, or a second
 * one that PostgreSQL finds when it has done the first, so that it need not
 * sleep while answers travel. The second must be as large as what is left of
 * the first, or batches would grow small; and none stands behind what may be
 * slow, or what is large enough to cover the way.
 */
static bool
may_open(const PgPool *pool, const PgConn *conn, uint64_t now)
{
	if (conn->count == 0)
		return true;
	return conn->batches == 1 && !conn->has_single && conn->count < conn->depth / 2 &&
		   pool->queued >= (int) conn->count && now - conn->since < PATIENCE;
}

static void
open_batches(PgPool *pool)
{
	uint64_t now = h2o_now(pool->loop);

	for (int i = 0; i < pool->options.connections; i++)
		pool->conns[i].open = may_open(pool, &pool->conns[i].conn, now);
}

/* pg_pool_gathered is how many queries pg_pool_flush has to send now, or 0 if no connection is free for them. */
int
pg_pool_gathered(PgPool *pool)
{
	if (h2o_linklist_is_empty(&pool->queue))
		return 0;
	open_batches(pool);
	return choose_idle(pool) ? pool->queued : 0;
}

/*
 * send_batches sends what one turn of the loop has gathered, in batches. What
 * is known to be slow ends its connection's batch, for whatever else there is
 * to go elsewhere.
 */
static void
send_batches(PgPool *pool)
{
	PgConn *conn;

	if (h2o_linklist_is_empty(&pool->queue))
		return;
	open_batches(pool);
	while (!h2o_linklist_is_empty(&pool->queue) && (conn = choose_idle(pool)) != NULL)
	{
		PgQuery *query = H2O_STRUCT_FROM_MEMBER(PgQuery, link, pool->queue.next);

		unqueue(query);
		if (pg_conn_is_slow(conn, query))
			((PoolConn *) conn)->open = false;
		pg_conn_send(conn, query);
	}
	for (int i = 0; i < pool->options.connections; i++)
		pg_conn_sync(&pool->conns[i].conn);
	note_waiting(pool);
	if (!h2o_linklist_is_empty(&pool->queue) && !h2o_timeout_is_linked(&pool->look_again))
		h2o_timeout_link(pool->loop, &pool->patience, &pool->look_again);
}

/* pg_pool_flush sends what waits, then hands on what has been answered. */
void
pg_pool_flush(PgPool *pool)
{
	send_batches(pool);
	hand_on(pool);
}

static void
on_room(PgConn *conn)
{
	PgPool *pool = ((PoolConn *) conn)->pool;

	if (pool->options.gather)
		pg_pool_flush(pool);
	else
		pump(pool);
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
	if (!pc->pool->options.gather)
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
	h2o_linklist_init_anchor(&pool->answered);
	h2o_timeout_init(pool->loop, &pool->deadlines, (uint64_t) options->query_timeout);
	h2o_timeout_init(pool->loop, &pool->patience, PATIENCE);
	pool->look_again.cb = on_patience;
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
		pc->conn.on_done = on_answered;
		pc->conn.on_skipped = on_skipped;
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

/* pg_pool_is_busy: there are queries in flight. */
bool
pg_pool_is_busy(const PgPool *pool)
{
	for (int i = 0; i < pool->options.connections; i++)
	{
		if (pool->conns[i].conn.count > 0)
			return true;
	}
	return false;
}

/* room is how many queries the connections that are up can take. */
static int
room(const PgPool *pool)
{
	unsigned free_slots = 0;

	for (int i = 0; i < pool->options.connections; i++)
	{
		const PgConn *conn = &pool->conns[i].conn;

		if (conn->state == PG_CONN_READY)
			free_slots += conn->depth - conn->count;
	}
	return (int) free_slots;
}

/*
 * pg_pool_submit sends a query, now or with the others of this turn, or lets
 * it wait.  False: it is refused, and done will not be called.
 */
bool
pg_pool_submit(PgPool *pool, PgQuery *query)
{
	if (!pg_pool_is_ready(pool) || pool->queued >= pool->options.queue_limit + room(pool))
	{
		metrics_add(pool_metric(pool, METRIC_POOL_REFUSED_READ), 1);
		return false;
	}
	query->pool = pool;
	metrics_add(pool_metric(pool, METRIC_POOL_BUSY_READ), 1);
	query->conn = NULL;
	query->answered = false;
	query->alone = !pool->options.gather;
	memset(&query->link, 0, sizeof(query->link));
	memset(&query->deadline, 0, sizeof(query->deadline));
	query->deadline.cb = on_deadline;
	h2o_timeout_link(pool->loop, &pool->deadlines, &query->deadline);
	arm_tick(pool);
	enqueue(pool, query);
	if (!pool->options.gather)
		pump(pool);
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
	if (query->answered)
	{
		h2o_linklist_unlink(&query->link);
		PQclear(query->result);
	}
	else if (query->conn)
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
	h2o_timeout_unlink(&pool->look_again);
	for (int i = 0; i < pool->options.connections; i++)
		pg_conn_close(&pool->conns[i].conn);
}
