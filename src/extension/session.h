/*
 * session.h
 *	  Log-ins, and the limit on guessing.
 */
#ifndef RENTAL_SESSION_H
#define RENTAL_SESSION_H

#include "rental.h"

/* A try at a password or the like, that counts against an account and an address */
typedef struct Attempt
{
	const char *kind; /* what is tried: log-ins and the rest are counted apart */
	const char *account;
	bool		allowed;
} Attempt;

extern Attempt attempt_begin(const char *kind, const char *account);
extern void	   attempt_succeeded(const Attempt *attempt);
extern void	   attempt_failed(const Attempt *attempt);

extern Datum session_begin(FunctionCallInfo fcinfo, const pg_uuid_t *user_id, const char *role,
						   NullableDatum vendor_id);
extern void	 session_revoke_all(const pg_uuid_t *user_id, const pg_uuid_t *except);

#endif /* RENTAL_SESSION_H */
