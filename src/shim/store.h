/*-------------------------------------------------------------------------
 *
 * store.h
 *	  Files that clients upload, named by their content.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_STORE_H
#define RENTAL_SHIM_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <h2o/linklist.h>
#include <h2o/multithread.h>

#define STORE_KEY_LENGTH 64 /* SHA-256 in hexadecimal */

typedef struct StoreThread
{
	h2o_multithread_receiver_t receiver;
} StoreThread;

typedef enum StoreState
{
	STORE_IDLE,
	STORE_QUEUED,
	STORE_RUNNING,
	STORE_DONE
} StoreState;

/* a file on its way; data must stay until the first step is done */
typedef struct StoreJob
{
	const char *data;
	size_t		len;
	char		key[STORE_KEY_LENGTH + 1];
	char		part[32]; /* its name until it is kept; empty: there is no file */
	int			error;	  /* errno of the last step, or 0 */
	void (*done)(struct StoreJob *job);
	StoreThread *thread;

	/* store.c's own */
	bool				 keeping;
	StoreState			 state;
	h2o_linklist_t		 link;
	struct StoreMessage *message;
} StoreJob;

extern const char *store_init(const char *directory);
extern bool		   store_is_on(void);
extern void		   store_thread_init(StoreThread *thread, h2o_multithread_queue_t *queue);
extern void		   store_write(StoreJob *job);
extern void		   store_keep(StoreJob *job);
extern void		   store_abandon(StoreJob *job, bool keep);
extern int		   store_open(const char *key, size_t *size);

#endif
