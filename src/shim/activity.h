/*-------------------------------------------------------------------------
 *
 * activity.h
 *	  What was called, told to the database in batches.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_ACTIVITY_H
#define RENTAL_SHIM_ACTIVITY_H

#include <stdbool.h>

#include <h2o.h>

#include "pg_pool.h"

typedef struct Activity Activity;
struct Call;

extern Activity *activity_create(h2o_context_t *context, PgPool *pool);
extern void		 activity_note(Activity *activity, struct Call *call);
extern bool		 activity_flush(Activity *activity);
extern void		 activity_close(Activity *activity);

#endif
