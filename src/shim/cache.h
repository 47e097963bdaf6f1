/*-------------------------------------------------------------------------
 *
 * cache.h
 *	  Answers that are the same for every anonymous caller, in memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_CACHE_H
#define RENTAL_SHIM_CACHE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "catalog.h"
#include "etag.h"
#include "pack.h"
#include "router.h"

#define CACHE_MAX_TAGS 8

/* the state of all that an answer depends on, noted before it is asked for */
typedef struct CacheStamp
{
	int		 ntags;
	uint32_t slots[CACHE_MAX_TAGS + 1];
	uint64_t versions[CACHE_MAX_TAGS + 1];
} CacheStamp;

/* never changed once it is stored; held by those who send it */
typedef struct CacheEntry
{
	atomic_int		   references;
	uint64_t		   hash;
	size_t			   size;
	struct CacheEntry *next;  /* of the same bucket */
	struct CacheEntry *newer; /* by use */
	struct CacheEntry *older;
	CacheStamp		   stamp;
	uint64_t		   stored_at; /* milliseconds */
	uint64_t		   expires_at;
	char			   etag[RENTAL_ETAG_LENGTH + 1];
	const char		  *target;
	size_t			   target_len;
	const char		  *body;
	size_t			   body_len;
	Packed			   packed[PACKING_COUNT]; /* the same in the other forms, or NULL */
	const char		  *headers;				  /* lines of the database, or NULL */
	size_t			   headers_len;
	char			   data[];
} CacheEntry;

/* what is to be stored */
typedef struct CacheAnswer
{
	const char *target;
	size_t		target_len;
	const char *etag;
	const char *body;
	size_t		body_len;
	Packed		packed[PACKING_COUNT];
	const char *headers;
	size_t		headers_len;
} CacheAnswer;

extern void		   cache_init(size_t bytes);
extern bool		   cache_is_on(void);
extern void		   cache_enable(bool enabled);
extern void		   cache_stamp(const Endpoint *endpoint, const Route *route, CacheStamp *stamp);
extern bool		   cache_stamp_is_good(const CacheStamp *stamp);
extern CacheEntry *cache_find(const char *target, size_t len, uint64_t now);
extern CacheEntry *cache_hold(CacheEntry *entry);
extern void		   cache_release(CacheEntry *entry);
extern void		   cache_store(const CacheAnswer *answer, const CacheStamp *stamp, uint64_t now, int seconds);
extern void		   cache_drop(const char *tags, size_t len);

#endif
