/*-------------------------------------------------------------------------
 *
 * pg_conn.h
 *	  One connection to PostgreSQL in a thread's event loop.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_PG_CONN_H
#define RENTAL_SHIM_PG_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include <h2o.h>
#include <libpq-fe.h>

struct PgConn;
struct PgPool;
struct PgQuery;

typedef enum PgOutcome
{
	PG_ANSWERED,	/* there is a result, or an error of PostgreSQL */
	PG_LOST,		/* the connection broke: what became of the statement is unknown */
	PG_NOT_STARTED, /* the time was up before a connection was free */
	PG_TIMED_OUT	/* the time was up while the statement ran */
} PgOutcome;

/* a statement to be prepared by each connection that meets it; generation 0: sent as it is */
typedef struct PgStatement
{
	const char *name;
	const char *sql;
	unsigned	number;
	uint64_t	generation;
	bool		shares; /* may stand in one transaction with others */
} PgStatement;

/*
 * A query lives in its caller's memory, its values too, until done is called
 * or the query is abandoned.  done owns the result, which is NULL unless the
 * outcome is PG_ANSWERED.
 */
typedef struct PgQuery
{
	PgStatement		   statement;
	const char *const *values;
	int				   nvalues;
	void (*done)(struct PgQuery *query, PgOutcome outcome, PGresult *result);

	/* the pool's and the connection's */
	struct PgPool	   *pool;
	struct PgConn	   *conn; /* NULL: waits in the pool's queue, or nowhere */
	unsigned			slot;
	bool				alone;	  /* shares no sync */
	bool				waits;	  /* no connection was free for it */
	bool				answered; /* its result waits to be handed on */
	PGresult		   *result;
	h2o_linklist_t		link;
	h2o_timeout_entry_t deadline;
} PgQuery;

typedef enum PgConnState
{
	PG_CONN_DOWN,
	PG_CONN_CONNECTING,
	PG_CONN_READY
} PgConnState;

#define PG_SLOW_QUERY 20 /* milliseconds; what takes longer holds others up */

/* a query in flight */
typedef struct PgFlight
{
	PgQuery *query;	  /* NULL: abandoned */
	bool	 is_last; /* a sync follows it */
} PgFlight;

/* what a connection knows of a statement */
typedef struct PgPrepared
{
	bool done;
	bool slow; /* it took long the last time */
} PgPrepared;

typedef struct PgConn
{
	/* set by the pool */
	h2o_loop_t		  *loop;
	const char *const *keywords;
	const char *const *values;
	unsigned		   depth;
	void			  *owner;
	void (*on_ready)(struct PgConn *conn);
	void (*on_down)(struct PgConn *conn, const char *reason);
	void (*on_room)(struct PgConn *conn);
	void (*on_done)(PgQuery *query, PgOutcome outcome, PGresult *result);
	void (*on_skipped)(PgQuery *query); /* it was not run, since one before it in its batch failed */
	void (*on_notify)(struct PgConn *conn, const char *channel, const char *payload); /* or NULL */

	PgConnState state;
	uint64_t	since; /* when the connection attempt, or the oldest query, began */

	PGconn		 *pg;
	h2o_socket_t *socket;
	PgFlight	 *flights; /* ring of depth slots */
	unsigned	  head;
	unsigned	  count;
	unsigned	  batches;	  /* in flight, each with its sync */
	bool		  has_single; /* something in flight shares no batch */
	bool		  open;		  /* the newest flights have no sync yet */
	PGresult	 *result;	  /* of the query at the head */
	uint64_t	  generation; /* whose statements are prepared here; 0: none */
	PgPrepared	 *prepared;
	unsigned	  nprepared;
	bool		  stale; /* what is prepared must be dropped first */
} PgConn;

extern void pg_conn_init(PgConn *conn);
extern void pg_conn_open(PgConn *conn);
extern void pg_conn_close(PgConn *conn);
extern void pg_conn_fail(PgConn *conn, const char *reason);
extern void pg_conn_send(PgConn *conn, PgQuery *query);
extern void pg_conn_sync(PgConn *conn);
extern bool pg_conn_is_slow(const PgConn *conn, const PgQuery *query);
extern void pg_conn_abandon(PgQuery *query);
extern bool pg_result_is_transient(const PGresult *result);
extern bool pg_result_is_outdated(const PGresult *result);

#endif
