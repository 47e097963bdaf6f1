/*-------------------------------------------------------------------------
 *
 * fill.c
 *	  Who fetches what the cache misses, and who waits for it.
 *
 * Owns the list of what is being fetched, which all threads share, so that
 * of many misses of one target at once a single one becomes a query.  Whoever
 * comes first fetches; the others wait, each in its own thread, and are told
 * when it is over, however it ended.  Knows neither requests nor answers.
 *
 *-------------------------------------------------------------------------
 */
#include "fill.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"

#define BUCKETS		1024
#define MAX_THREADS 256
#define KIND_FILL	6

struct Fill
{
	Fill	*next; /* in the same bucket */
	Fill   **bucket;
	uint64_t id;
	FillKey	 key;
	uint64_t waiting[MAX_THREADS / 64]; /* threads in which somebody waits */
};

typedef struct FillMessage
{
	h2o_multithread_message_t super;
	uint64_t				  fill;
} FillMessage;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Fill			  *buckets[BUCKETS];
static uint64_t		   last_id;
static FillThread	  *threads[MAX_THREADS];
static int			   nthreads;

/* wake tells all who wait in this thread for a fill; what they do may end others' waiting. */
static void
wake(FillThread *thread, uint64_t fill)
{
	h2o_linklist_t	ready;
	h2o_linklist_t *next;

	h2o_linklist_init_anchor(&ready);
	for (h2o_linklist_t *link = thread->waits.next; link != &thread->waits; link = next)
	{
		next = link->next;
		if (H2O_STRUCT_FROM_MEMBER(FillWait, link, link)->fill != fill)
			continue;
		h2o_linklist_unlink(link);
		h2o_linklist_insert(&ready, link);
	}
	while (!h2o_linklist_is_empty(&ready))
	{
		FillWait *wait = H2O_STRUCT_FROM_MEMBER(FillWait, link, ready.next);

		h2o_linklist_unlink(&wait->link);
		wait->done(wait);
	}
}

static void
on_messages(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
	FillThread *thread = H2O_STRUCT_FROM_MEMBER(FillThread, receiver, receiver);

	while (!h2o_linklist_is_empty(messages))
	{
		FillMessage *message = H2O_STRUCT_FROM_MEMBER(FillMessage, super.link, messages->next);

		h2o_linklist_unlink(&message->super.link);
		wake(thread, message->fill);
		free(message);
	}
}

/* fill_thread_init is called by the thread itself. */
void
fill_thread_init(FillThread *thread, h2o_multithread_queue_t *queue)
{
	memset(thread, 0, sizeof(*thread));
	h2o_linklist_init_anchor(&thread->waits);
	h2o_multithread_register_receiver(queue, &thread->receiver, on_messages);
	pthread_mutex_lock(&lock);
	if (nthreads == MAX_THREADS)
		h2o_fatal("too many threads");
	thread->number = nthreads;
	threads[nthreads++] = thread;
	pthread_mutex_unlock(&lock);
}

/* find returns the fill of a target that is under way and may still be kept; NULL if there is none. */
static Fill *
find(Fill *fill, const FillKey *key)
{
	while (fill &&
		   (fill->key.target_len != key->target_len || fill->key.catalog != key->catalog ||
			memcmp(fill->key.target, key->target, key->target_len) != 0 || !cache_stamp_is_good(&fill->key.stamp)))
		fill = fill->next;
	return fill;
}

/*
 * fill_begin makes the caller the one that fetches, and returns what it must
 * end; or lets it wait for another one, and returns NULL.
 */
Fill *
fill_begin(FillThread *thread, const FillKey *key, FillWait *wait)
{
	Fill **bucket = &buckets[hash_bytes(key->target, key->target_len, KIND_FILL) % BUCKETS];
	Fill  *fresh = NULL;
	Fill  *other;

	pthread_mutex_lock(&lock);
	other = find(*bucket, key);
	if (other)
	{
		other->waiting[thread->number / 64] |= (uint64_t) 1 << thread->number % 64;
		wait->fill = other->id;
		h2o_linklist_insert(&thread->waits, &wait->link);
	}
	else
	{
		fresh = h2o_mem_alloc(sizeof(*fresh));
		memset(fresh, 0, sizeof(*fresh));
		fresh->id = ++last_id;
		fresh->key = *key;
		fresh->bucket = bucket;
		fresh->next = *bucket;
		*bucket = fresh;
	}
	pthread_mutex_unlock(&lock);
	return fresh;
}

/* fill_end: it was fetched, or never will be.  Who waits is told, at once or in its own thread. */
void
fill_end(FillThread *thread, Fill *fill)
{
	Fill **place = fill->bucket;

	pthread_mutex_lock(&lock);
	while (*place != fill)
		place = &(*place)->next;
	*place = fill->next;
	pthread_mutex_unlock(&lock);
	/* from here on nobody else can find it */
	for (int i = 0; i < nthreads; i++)
	{
		FillMessage *message;

		if ((fill->waiting[i / 64] >> i % 64 & 1) == 0 || i == thread->number)
			continue;
		message = h2o_mem_alloc(sizeof(*message));
		memset(message, 0, sizeof(*message));
		message->fill = fill->id;
		h2o_multithread_send_message(&threads[i]->receiver, &message->super);
	}
	if (fill->waiting[thread->number / 64] >> thread->number % 64 & 1)
		wake(thread, fill->id);
	free(fill);
}
