/*-------------------------------------------------------------------------
 *
 * replica.h
 *	  Who may read from the standby, since it has what they wrote.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_REPLICA_H
#define RENTAL_SHIM_REPLICA_H

#include "pg_pool.h"

typedef struct Replica Replica;

extern Replica *replica_create(h2o_context_t *context, PgPool *primary, PgPool *standby);
extern void		replica_close(Replica *replica);
extern void		replica_forget(void *unused);
extern void		replica_note_write(const char *who);
extern bool		replica_has_writes(const char *who);

#endif
