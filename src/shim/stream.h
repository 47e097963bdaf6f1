/*-------------------------------------------------------------------------
 *
 * stream.h
 *	  Server-sent events: open answers that follow topics.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_STREAM_H
#define RENTAL_SHIM_STREAM_H

#include <stddef.h>

#include <h2o.h>

struct Call;

/* the open streams of one thread */
typedef struct StreamHub StreamHub;

extern StreamHub *stream_hub_create(h2o_context_t *context, int heartbeat);
extern void		  stream_hub_event(StreamHub *hub, const char *payload);
extern void		  stream_hub_check(StreamHub *hub);
extern void		  stream_hub_end(StreamHub *hub);
extern void		  stream_hub_close(StreamHub *hub);

extern void stream_open(struct Call *call, const char *topics, size_t len);

#endif
