/*-------------------------------------------------------------------------
 *
 * hash.h
 *	  A keyed hash for tables in memory, not for secrets; and SHA-256.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_HASH_H
#define RENTAL_SHIM_HASH_H

#include <stddef.h>
#include <stdint.h>

extern void hash_init(void);
#define SHA256_LENGTH 32

extern void		hash_sha256(const void *data, size_t len, unsigned char digest[SHA256_LENGTH]);
extern uint64_t hash_bytes(const void *data, size_t len, uint64_t kind);

#endif
