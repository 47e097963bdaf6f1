/*
 * gateway.h
 *	  The gateway's side of HTTP: requests done once, revocations, caches, live events.
 */
#ifndef RENTAL_GATEWAY_H
#define RENTAL_GATEWAY_H

#include "rental.h"

/*
 * What the running request changed that caches depend on, as tags separated
 * by spaces; NULL if nothing.
 */
extern const char *cache_tags_changed(void);

/* The answer of the running request holds a secret: nothing may keep it. */
extern void answer_is_secret(void);

/*
 * stream_send sends an event to who follows a topic, when the transaction
 * commits. The caller sees to it that those who send to one topic wait for
 * each other. Between plan_open and plan_close.
 */
extern int64 stream_send(const char *topic, const char *type, const char *json);

/* How many bytes the data of an event may have: a notification has 8000, the topic in it included */
#define EVENT_MOST 7000

/* stream_return answers with the topics of a stream, outside plan_open and plan_close. */
extern Datum stream_return(FunctionCallInfo fcinfo, Datum *topics, int n);

/* response() hands over every body it makes, for a claimed Idempotency-Key */

#endif /* RENTAL_GATEWAY_H */
