/*-------------------------------------------------------------------------
 *
 * limit.h
 *	  Rate limits: how many requests of one class a caller may make.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_LIMIT_H
#define RENTAL_SHIM_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct LimitState
{
	bool		allowed;
	int			limit; /* requests a window; 0: no limit */
	int			remaining;
	int			reset;		 /* seconds until all of it is there again */
	int			retry_after; /* seconds, when it is not allowed */
	const char *policy;		 /* RateLimit-Policy */
	const char *name;
	char		own_policy[48]; /* of a limit that is no class's */
} LimitState;

extern const char *limit_init(const char *classes);
extern int		   limit_class(const char *name);
extern void		   limit_take(int class, uint64_t caller, LimitState *state);
extern void		   limit_take_own(int limit, uint64_t caller, LimitState *state);

#endif
