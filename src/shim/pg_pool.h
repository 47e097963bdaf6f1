/*-------------------------------------------------------------------------
 *
 * pg_pool.h
 *	  A thread's connections of one kind, and the queue before them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_PG_POOL_H
#define RENTAL_SHIM_PG_POOL_H

#include "pg_conn.h"

/* after the kinds of catalog.h */
#define POOL_KIND_LISTEN 4

typedef struct PgPoolOptions
{
	const char *url;
	bool		read_only;
	int			connections;
	int			depth;	/* queries in flight on one connection */
	bool		gather; /* queries of one turn of the loop share a transaction; pg_pool_flush sends them */
	int			queue_limit;
	int			statement_timeout; /* milliseconds */
	int			query_timeout;	   /* milliseconds, waiting included; more than statement_timeout */
	int			kind;			   /* its place among the pools' metrics */
	void (*on_ready)(void *data);
	void (*on_down)(void *data);
	void (*on_notify)(void *data, const char *channel, const char *payload);
	void *data;
} PgPoolOptions;

typedef struct PgPool PgPool;

extern const char *pg_pool_check_url(const char *url);
extern void		   pg_conninfo(const char *url, const char *own_settings, char ***keywords, char ***values);
extern PgPool	  *pg_pool_create(h2o_context_t *context, const PgPoolOptions *options);
extern bool		   pg_pool_submit(PgPool *pool, PgQuery *query);
extern int		   pg_pool_gathered(PgPool *pool);
extern void		   pg_pool_flush(PgPool *pool);
extern void		   pg_pool_abandon(PgQuery *query);
extern bool		   pg_pool_is_ready(const PgPool *pool);
extern bool		   pg_pool_is_busy(const PgPool *pool);
extern void		   pg_pool_close(PgPool *pool);

#endif
