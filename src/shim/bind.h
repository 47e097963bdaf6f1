/*-------------------------------------------------------------------------
 *
 * bind.h
 *	  From path, query and body to the parameters of a statement.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_BIND_H
#define RENTAL_SHIM_BIND_H

#include <h2o.h>

#include "catalog.h"
#include "error.h"
#include "router.h"

typedef struct BindError
{
	ErrorCode	code;
	const char *field; /* NULL: the request as a whole */
	const char *message;
} BindError;

extern bool bind_arguments(h2o_mem_pool_t *pool, const Endpoint *endpoint, const Route *route, h2o_iovec_t query,
						   h2o_iovec_t body, const char **values, BindError *error);

#endif
