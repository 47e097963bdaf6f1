/*-------------------------------------------------------------------------
 *
 * revoke.h
 *	  Credentials that were ended before their time, and API keys that were good a moment ago.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_REVOKE_H
#define RENTAL_SHIM_REVOKE_H

#include <stdbool.h>
#include <stdint.h>

#include "auth.h"

#define KEY_HASH_LENGTH 32

extern void revoke_init(int access_ttl);
extern void revoke_add(const char *id, int64_t revoked_at);
extern bool revoke_applies(const Actor *actor);

extern bool key_cache_find(const unsigned char hash[KEY_HASH_LENGTH], Actor *actor);
extern void key_cache_store(const unsigned char hash[KEY_HASH_LENGTH], const Actor *actor, double seconds_left);

#endif
