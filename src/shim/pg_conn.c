/*-------------------------------------------------------------------------
 *
 * pg_conn.c
 *	  One connection to PostgreSQL in a thread's event loop.
 *
 * Owns the PGconn, the socket that h2o watches for it and the ring of
 * queries in flight.  libpq is always in pipeline mode.  A query that is to
 * be alone is followed by a sync of its own, so it is a transaction of its
 * own and its failure touches no neighbour.  The others share the next sync,
 * which saves PostgreSQL a transaction and both sides a system call for each;
 * those behind one that fails are skipped, and handed back as never run.  A
 * statement is prepared in the same round trip as its first use on a
 * connection.  Never blocks, and never knows what a query means.
 *
 *-------------------------------------------------------------------------
 */
#include "pg_conn.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void on_connect_event(h2o_socket_t *socket, const char *err);
static void on_readable(h2o_socket_t *socket, const char *err);
static void on_writable(h2o_socket_t *socket, const char *err);

void
pg_conn_init(PgConn *conn)
{
	conn->flights = h2o_mem_alloc(conn->depth * sizeof(PgFlight));
}

/*
 * watch gives h2o a duplicate of libpq's descriptor, since both want to close
 * theirs.  While it connects, libpq may open another socket under the same
 * number, so the watch is made anew at each step.
 */
static void
watch(PgConn *conn)
{
	int fd = PQsocket(conn->pg);

	if (conn->socket)
		h2o_socket_close(conn->socket);
	conn->socket = NULL;
	fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return;
	conn->socket = h2o_evloop_socket_create(conn->loop, fd, H2O_SOCKET_FLAG_DONT_READ);
	conn->socket->data = conn;
}

/* tear_down forgets the connection, but not the queries that were on it. */
static void
tear_down(PgConn *conn)
{
	if (conn->socket)
		h2o_socket_close(conn->socket);
	conn->socket = NULL;
	PQclear(conn->result);
	conn->result = NULL;
	PQfinish(conn->pg);
	conn->pg = NULL;
	conn->state = PG_CONN_DOWN;
	conn->generation = 0;
	conn->stale = false;
	conn->since = h2o_now(conn->loop);
}

static void
forget_flights(PgConn *conn)
{
	conn->head = conn->count = conn->batches = 0;
	conn->open = conn->has_single = false;
}

void
pg_conn_close(PgConn *conn)
{
	tear_down(conn);
	forget_flights(conn);
}

/*
 * pg_conn_fail gives the connection up; reason may be libpq's own text.  The
 * queries in flight are told last, when all is down, since they may come back.
 */
void
pg_conn_fail(PgConn *conn, const char *reason)
{
	unsigned count = conn->count;
	unsigned head = conn->head;
	PgQuery *lost[count + 1];

	for (unsigned i = 0; i < count; i++)
	{
		lost[i] = conn->flights[(head + i) % conn->depth].query;
		if (lost[i])
			lost[i]->conn = NULL;
	}
	forget_flights(conn);
	conn->state = PG_CONN_DOWN;
	conn->on_down(conn, reason);
	tear_down(conn);
	for (unsigned i = 0; i < count; i++)
	{
		if (lost[i])
			conn->on_done(lost[i], PG_LOST, NULL);
	}
}

static void
become_ready(PgConn *conn)
{
	if (PQsetnonblocking(conn->pg, 1) != 0 || PQenterPipelineMode(conn->pg) != 1)
	{
		pg_conn_fail(conn, PQerrorMessage(conn->pg));
		return;
	}
	conn->state = PG_CONN_READY;
	conn->since = h2o_now(conn->loop);
	h2o_socket_read_start(conn->socket, on_readable);
	conn->on_ready(conn);
}

static void
connect_step(PgConn *conn)
{
	PostgresPollingStatusType status = PQconnectPoll(conn->pg);

	watch(conn);
	if (status == PGRES_POLLING_FAILED || conn->socket == NULL)
	{
		pg_conn_fail(conn, PQerrorMessage(conn->pg));
		return;
	}
	if (status == PGRES_POLLING_OK)
		become_ready(conn);
	else if (status == PGRES_POLLING_WRITING)
		h2o_socket_notify_write(conn->socket, on_connect_event);
	else
		h2o_socket_read_start(conn->socket, on_connect_event);
}

static void
on_connect_event(h2o_socket_t *socket, const char *err)
{
	connect_step(socket->data);
}

/* what the server remarks is for its own log */
static void
ignore_notice(void *unused, const PGresult *result)
{
}

void
pg_conn_open(PgConn *conn)
{
	conn->state = PG_CONN_CONNECTING;
	conn->since = h2o_now(conn->loop);
	conn->pg = PQconnectStartParams(conn->keywords, conn->values, 0);
	if (conn->pg == NULL || PQstatus(conn->pg) == CONNECTION_BAD)
	{
		pg_conn_fail(conn, conn->pg ? PQerrorMessage(conn->pg) : "out of memory");
		return;
	}
	PQsetNoticeReceiver(conn->pg, ignore_notice, NULL);
	watch(conn);
	if (conn->socket == NULL)
		pg_conn_fail(conn, "no socket");
	else
		h2o_socket_notify_write(conn->socket, on_connect_event);
}

/* flush sends what libpq holds, now or when the socket takes it. */
static bool
flush(PgConn *conn)
{
	int status = PQflush(conn->pg);

	if (status > 0 && !h2o_socket_is_writing(conn->socket))
		h2o_socket_notify_write(conn->socket, on_writable);
	return status >= 0;
}

static void
on_writable(h2o_socket_t *socket, const char *err)
{
	PgConn *conn = socket->data;

	if (err || !flush(conn))
		pg_conn_fail(conn, err ? err : PQerrorMessage(conn->pg));
}

/* prepare makes sure that the query's statement is prepared, in order before its use. */
static bool
prepare(PgConn *conn, const PgStatement *statement)
{
	if (conn->generation != statement->generation || conn->stale)
	{
		if (conn->generation != 0 && !PQsendQueryParams(conn->pg, "DEALLOCATE ALL", 0, NULL, NULL, NULL, NULL, 0))
			return false;
		for (unsigned i = 0; i < conn->nprepared; i++)
			conn->prepared[i] = (PgPrepared){false, false};
		conn->generation = statement->generation;
		conn->stale = false;
	}
	if (statement->number >= conn->nprepared)
	{
		unsigned size = (statement->number / 64 + 1) * 64;

		conn->prepared = h2o_mem_realloc(conn->prepared, size * sizeof(PgPrepared));
		memset(conn->prepared + conn->nprepared, 0, (size - conn->nprepared) * sizeof(PgPrepared));
		conn->nprepared = size;
	}
	if (conn->prepared[statement->number].done)
		return true;
	conn->prepared[statement->number].done = true;
	return PQsendPrepare(conn->pg, statement->name, statement->sql, 0, NULL);
}

/* is_prepared: the query's statement is ready on this connection. */
static bool
is_prepared(const PgConn *conn, const PgStatement *statement)
{
	return statement->generation != 0 && statement->generation == conn->generation && !conn->stale &&
		   statement->number < conn->nprepared && conn->prepared[statement->number].done;
}

/* pg_conn_is_slow: the query's statement took long the last time. */
bool
pg_conn_is_slow(const PgConn *conn, const PgQuery *query)
{
	return is_prepared(conn, &query->statement) && conn->prepared[query->statement.number].slow;
}

/*
 * may_share: the query may stand in one batch with others. What is slow would
 * keep the answers before it in the server's buffer, and what has to be
 * prepared first is more than one statement.
 */
static bool
may_share(const PgConn *conn, const PgQuery *query)
{
	return query->statement.shares && !query->alone && is_prepared(conn, &query->statement) &&
		   !conn->prepared[query->statement.number].slow;
}

static bool
send_query(PgConn *conn, PgQuery *query)
{
	const PgStatement *statement = &query->statement;

	if (statement->generation == 0)
		return PQsendQueryParams(conn->pg, statement->sql, query->nvalues, NULL, query->values, NULL, NULL, 0);
	return prepare(conn, statement) &&
		   PQsendQueryPrepared(conn->pg, statement->name, query->nvalues, query->values, NULL, NULL, 0);
}

/* send_sync ends the batch of the newest flight, and sends what libpq holds. */
static bool
send_sync(PgConn *conn)
{
	conn->flights[(conn->head + conn->count - 1) % conn->depth].is_last = true;
	conn->batches++;
	conn->open = false;
	return PQpipelineSync(conn->pg) && flush(conn);
}

/*
 * pg_conn_send puts a query in flight; the caller has seen that there is
 * room, and calls pg_conn_sync before anything is read.
 */
void
pg_conn_send(PgConn *conn, PgQuery *query)
{
	bool shares = may_share(conn, query);
	bool sent = shares || !conn->open || send_sync(conn);

	query->conn = conn;
	query->slot = (conn->head + conn->count) % conn->depth;
	conn->flights[query->slot] = (PgFlight){query, false};
	if (conn->count++ == 0)
		conn->since = h2o_now(conn->loop);
	conn->open = true;
	conn->has_single = conn->has_single || !shares;
	if (!sent || !send_query(conn, query) || (!shares && !send_sync(conn)))
		pg_conn_fail(conn, PQerrorMessage(conn->pg));
}

/* pg_conn_sync ends the batch that is open, if one is. */
void
pg_conn_sync(PgConn *conn)
{
	if (conn->open && !send_sync(conn))
		pg_conn_fail(conn, PQerrorMessage(conn->pg));
}

/* pg_conn_abandon: nobody waits for the query any more, its result will be drained. */
void
pg_conn_abandon(PgQuery *query)
{
	query->conn->flights[query->slot].query = NULL;
	query->conn = NULL;
}

/*
 * is_stale tells the errors that mean: what this connection has prepared no
 * longer fits the database's objects, or never was prepared for an error.
 */
static bool
is_stale(const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *function = PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION);

	if (sqlstate == NULL)
		return false;
	return strcmp(sqlstate, "26000") == 0 ||
		   (strcmp(sqlstate, "0A000") == 0 && function && strcmp(function, "RevalidateCachedQuery") == 0);
}

/*
 * pg_result_is_transient: the same query may well succeed when sent again,
 * and has had no effect so far, since its transaction was rolled back.
 */
bool
pg_result_is_transient(const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	return sqlstate && (strcmp(sqlstate, "40001") == 0 || strcmp(sqlstate, "40P01") == 0 || is_stale(result));
}

/*
 * pg_result_is_outdated: the statement itself, not what it calls, names a
 * function that is not there, at least not with these arguments.
 */
bool
pg_result_is_outdated(const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	return sqlstate && strcmp(sqlstate, "42883") == 0 && PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION) &&
		   PQresultErrorField(result, PG_DIAG_CONTEXT) == NULL;
}

/* note_time remembers whether the query at the head was slow; a batch counts as one. */
static void
note_time(PgConn *conn, const PgQuery *query)
{
	uint64_t		   now = h2o_now(conn->loop);
	const PgStatement *statement = &query->statement;

	if (statement->generation != 0 && statement->generation == conn->generation)
		conn->prepared[statement->number].slow = now - conn->since > PG_SLOW_QUERY;
	conn->since = now;
}

/* finish_head: all has come that the oldest query will get. */
static void
finish_head(PgConn *conn)
{
	PgQuery		  *query = conn->flights[conn->head].query;
	PGresult	  *result = conn->result;
	ExecStatusType status = PQresultStatus(result);

	conn->result = NULL;
	if (conn->flights[conn->head].is_last)
		conn->batches--;
	conn->head = (conn->head + 1) % conn->depth;
	if (--conn->count == 0)
		conn->has_single = false;
	/* what is outdated could not be prepared */
	if (status == PGRES_FATAL_ERROR && (is_stale(result) || pg_result_is_outdated(result)))
		conn->stale = true;
	if (query == NULL)
	{
		conn->since = h2o_now(conn->loop);
		PQclear(result);
		return;
	}
	note_time(conn, query);
	query->conn = NULL;
	if (status == PGRES_PIPELINE_ABORTED)
	{
		PQclear(result);
		conn->on_skipped(query);
	}
	else
		conn->on_done(query, PG_ANSWERED, result);
}

/* take_result keeps the last result of the query at the head, or its first error. */
static void
take_result(PgConn *conn, PGresult *result)
{
	if (PQresultStatus(result) == PGRES_PIPELINE_SYNC)
	{
		PQclear(result);
		finish_head(conn);
	}
	else if (conn->result && PQresultStatus(conn->result) == PGRES_FATAL_ERROR)
		PQclear(result);
	else
	{
		PQclear(conn->result);
		conn->result = result;
	}
}

/* is_end: the error is the connection's, not the statement's; nothing will follow it. */
static bool
is_end(const PGresult *result)
{
	const char *severity;

	if (PQresultStatus(result) != PGRES_FATAL_ERROR)
		return false;
	severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
	return severity == NULL || strcmp(severity, "ERROR") != 0;
}

/* end_statement: within a batch a query ends with its only statement. */
static void
end_statement(PgConn *conn)
{
	if (conn->result && !conn->flights[conn->head].is_last && !is_end(conn->result))
		finish_head(conn);
}

/* drain reads the results that have come.  False: a callback closed the connection. */
static bool
drain(PgConn *conn)
{
	PGconn	 *pg = conn->pg;
	PGnotify *notify;
	int		  nulls = 0;

	/* one NULL ends each statement; a second one in a row means that libpq has no more */
	while (conn->count > 0 && nulls < 2 && !PQisBusy(pg))
	{
		PGresult *result = PQgetResult(pg);

		nulls = result ? 0 : nulls + 1;
		if (result)
			take_result(conn, result);
		else
			end_statement(conn);
		if (conn->pg != pg)
			return false;
	}
	while ((notify = PQnotifies(pg)) != NULL)
	{
		if (conn->on_notify)
			conn->on_notify(conn, notify->relname, notify->extra);
		PQfreemem(notify);
		if (conn->pg != pg)
			return false;
	}
	return true;
}

static void
on_readable(h2o_socket_t *socket, const char *err)
{
	PgConn *conn = socket->data;
	bool	broken = err || !PQconsumeInput(conn->pg);

	if (!drain(conn))
		return;
	if (broken || PQstatus(conn->pg) == CONNECTION_BAD)
		pg_conn_fail(conn, PQerrorMessage(conn->pg));
	else
		conn->on_room(conn);
}
