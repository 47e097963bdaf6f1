/*-------------------------------------------------------------------------
 *
 * call.h
 *	  One request, from its arrival to the end of its answer.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_CALL_H
#define RENTAL_SHIM_CALL_H

#include <stdbool.h>
#include <stdint.h>
#include <netinet/in.h>

#include <h2o.h>

#include "activity.h"
#include "auth.h"
#include "cache.h"
#include "catalog.h"
#include "export.h"
#include "fill.h"
#include "limit.h"
#include "pg_pool.h"
#include "revoke.h"
#include "router.h"
#include "store.h"
#include "stream.h"
#include "usage.h"

#define REQUEST_ID_MAX_LENGTH 64

/* what the calls of one thread share */
typedef struct CallContext
{
	PgPool		 *pools[POOL_COUNT];
	Catalog		 *catalog; /* the one in use, or NULL before the first has been read */
	h2o_timeout_t retry_delay;
	FillThread	  fills; /* what is fetched for the cache, and who waits */
	StreamHub	 *streams;
	Usage		 *usage;
	Activity	 *activity;
	ExportThread  exports;
	StoreThread	  store; /* for files that are uploaded */
	int			  in_flight;
	void (*outdated)(void); /* what the database has is not what the catalog says */
} CallContext;

typedef struct Call
{
	h2o_req_t		   *req;
	CallContext		   *context;
	Catalog			   *catalog; /* held until the call is gone; NULL if it was not routed */
	const Endpoint	   *endpoint;
	Route				route;
	Actor				actor;
	char				request_id[REQUEST_ID_MAX_LENGTH + 1];
	char				trace_id[33]; /* of traceparent, or empty */
	char				client[INET6_ADDRSTRLEN];
	const char		   *target; /* path and query as sent, terminated */
	size_t				target_len;
	uint64_t			started; /* nanoseconds */
	bool				is_head;
	const char		  **values; /* $1 onward */
	h2o_socket_t	   *held;	/* watched while the database works */
	PgQuery				query;
	PGresult		   *result;	   /* its text is sent as it is, so it lives as long as the request */
	PgQuery				key_query; /* verifies an API key */
	const char		   *key_values[1];
	unsigned char		key_hash[KEY_HASH_LENGTH];
	h2o_iovec_t			query_string;
	LimitState			limit;
	bool				cacheable;
	CacheStamp			stamp;
	Fill			   *fill;	 /* what it fetches for others as well, or NULL */
	FillWait			waiting; /* for what another call fetches */
	int					attempts;
	bool				on_replica; /* the standby is asked */
	struct Upload	   *upload;		/* the file that came with it, or NULL */
	h2o_timeout_entry_t retry;
} Call;

extern void	 call_context_init(CallContext *context, h2o_context_t *http);
extern Call *call_create(h2o_req_t *req, CallContext *context);
extern void	 call_configure(int trusted_hops, size_t max_body);
extern void	 call_submit(Call *call);
extern bool	 call_set_condition(Call *call, h2o_iovec_t body);
extern void	 request_id_make(char id[REQUEST_ID_MAX_LENGTH + 1]);
extern Call *call_find(h2o_req_t *req);
extern void	 call_run(Call *call);
extern void	 call_answer(Call *call, PGresult *result);
extern void	 call_answer_error(Call *call, const PGresult *result);

#endif
