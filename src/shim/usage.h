/*-------------------------------------------------------------------------
 *
 * usage.h
 *	  How much each API key is used, told to the database in batches.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_USAGE_H
#define RENTAL_SHIM_USAGE_H

#include <stdbool.h>

#include <h2o.h>

#include "pg_pool.h"

typedef struct Usage Usage;

extern Usage *usage_create(h2o_context_t *context, PgPool *pool);
extern void	  usage_note(Usage *usage, const char *key_id, int status);
extern bool	  usage_flush(Usage *usage);
extern void	  usage_close(Usage *usage);

#endif
