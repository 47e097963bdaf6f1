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

#include "auth.h"
#include "catalog.h"
#include "pg_pool.h"
#include "router.h"

#define REQUEST_ID_MAX_LENGTH 64

/* what the calls of one thread share */
typedef struct CallContext
{
	PgPool		 *pools[POOL_COUNT];
	Catalog		 *catalog; /* the one in use, or NULL before the first has been read */
	h2o_timeout_t retry_delay;
	uint64_t	  random[2];
	int			  in_flight;
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
	char				client[INET6_ADDRSTRLEN];
	const char		   *target;	 /* path and query as sent, terminated */
	uint64_t			started; /* nanoseconds */
	bool				is_head;
	const char		  **values; /* $1 onward */
	PgQuery				query;
	int					attempts;
	h2o_timeout_entry_t retry;
} Call;

extern void	 call_context_init(CallContext *context, h2o_loop_t *loop);
extern Call *call_create(h2o_req_t *req, CallContext *context);
extern Call *call_find(h2o_req_t *req);
extern void	 call_run(Call *call);

#endif
