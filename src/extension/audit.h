/*
 * audit.h
 *	  The audit trail, as other modules meet it.
 */
#ifndef RENTAL_AUDIT_H
#define RENTAL_AUDIT_H

#include "rental.h"

/*
 * audit_forget_user blanks what the trail knows of a person. It is the last
 * step of an account's deletion: the statements that overwrite the account are
 * themselves recorded, with what they overwrote. Returns the rows blanked.
 */
extern uint64 audit_forget_user(const pg_uuid_t *user_id);
extern bool	  audit_is_restoring(void);

#endif /* RENTAL_AUDIT_H */
