/*-------------------------------------------------------------------------
 *
 * auth.h
 *	  Access tokens: who is calling.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_AUTH_H
#define RENTAL_SHIM_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "catalog.h"
#include "config.h"
#include "text.h"

#define ROLE_MAX_LENGTH 63

typedef struct Actor
{
	bool	 known; /* false: an anonymous call, and nothing below is set */
	char	 user_id[UUID_LENGTH + 1];
	char	 role[ROLE_MAX_LENGTH + 1];
	char	 vendor_id[UUID_LENGTH + 1];  /* empty: none */
	char	 session_id[UUID_LENGTH + 1]; /* empty: none */
	char	 key_id[UUID_LENGTH + 1];	  /* of the API key, empty: none */
	uint64_t may_read;					  /* scopes, a bit a tag; a token has all of them */
	uint64_t may_write;
	int		 rate_limit; /* of an API key, requests a minute; 0: those of the classes */
	int64_t	 issued_at;	 /* seconds since 1970; of an API key: when it was verified */
	int64_t	 expires_at; /* seconds since 1970 */
} Actor;

typedef enum AuthResult
{
	AUTH_VALID,
	AUTH_INVALID,
	AUTH_EXPIRED
} AuthResult;

extern const char *auth_init(const Config *config);
extern const char *auth_reload(const Config *config);
extern AuthResult  auth_verify(const char *header, size_t len, Actor *actor);
extern int		   auth_tag(const char *tag, size_t len);
extern void		   auth_set_scopes(Actor *actor, const char *scopes);
extern bool		   auth_allows(const Endpoint *endpoint, const Actor *actor);
extern char		  *auth_mint(const char *claims, size_t len);

#endif
