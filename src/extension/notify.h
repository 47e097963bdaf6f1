/*
 * notify.h
 *	  Messages to people: they wait in a table until they are sent.
 */
#ifndef RENTAL_NOTIFY_H
#define RENTAL_NOTIFY_H

#include "rental.h"

extern void notify_email(const pg_uuid_t *user_id, const char *recipient, const char *template, const char *name,
						 const char *token);

#endif /* RENTAL_NOTIFY_H */
