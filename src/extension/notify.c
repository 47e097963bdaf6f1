/*
 * notify.c
 *	  Messages to people: they wait in a table until they are sent.
 *
 * A message commits with what it is about. Who sends it and how is not known
 * here.
 */
#include "notify.h"

#include "period.h"
#include "plan.h"
#include "utils/builtins.h"

PLAN(message_insert,
	 "INSERT INTO rental.notifications (user_id, channel, template, recipient, data, created_at) "
	 "VALUES ($1, 'email', $2, $3, jsonb_build_object('name', CAST($4 AS text), 'token', CAST($5 AS text)), $6)",
	 UUIDOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID);

/* notify_email leaves an e-mail that brings a token. Called between plan_open and plan_close. */
void
notify_email(const pg_uuid_t *user_id, const char *recipient, const char *template, const char *name, const char *token)
{
	plan_run(&message_insert, VALUE(UUIDPGetDatum(user_id)), VALUE(CStringGetTextDatum(template)),
			 VALUE(CStringGetTextDatum(recipient)), VALUE(CStringGetTextDatum(name)), VALUE(CStringGetTextDatum(token)),
			 VALUE(TimestampTzGetDatum(rental_now())));
}
