/*-------------------------------------------------------------------------
 *
 * fill.h
 *	  Who fetches what the cache misses, and who waits for it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_FILL_H
#define RENTAL_SHIM_FILL_H

#include <stdint.h>

#include <h2o/linklist.h>
#include <h2o/multithread.h>

#include "cache.h"

/* what a thread has to do with fills; init before use, never moved */
typedef struct FillThread
{
	h2o_multithread_receiver_t receiver;
	int						   number;
	h2o_linklist_t			   waits;
} FillThread;

/* a caller that waits for another's fill */
typedef struct FillWait
{
	h2o_linklist_t link; /* among those of its thread; linked while it waits */
	uint64_t	   fill;
	void (*done)(struct FillWait *wait);
} FillWait;

typedef struct Fill Fill;

/* what a fill fetches; the strings live as long as it does */
typedef struct FillKey
{
	const char	  *target;
	size_t		   target_len;
	const Catalog *catalog; /* by which it was routed */
	CacheStamp	   stamp;
} FillKey;

extern void	 fill_thread_init(FillThread *thread, h2o_multithread_queue_t *queue);
extern Fill *fill_begin(FillThread *thread, const FillKey *key, FillWait *wait);
extern void	 fill_end(FillThread *thread, Fill *fill);

#endif
