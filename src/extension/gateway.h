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

/* response() hands over every body it makes, for a claimed Idempotency-Key */
extern void answer_keep(const char *body, size_t len);

#endif /* RENTAL_GATEWAY_H */
