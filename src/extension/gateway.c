/*
 * gateway.c
 *	  The gateway's side of HTTP: requests done once, conditional changes, revocations, caches, live events.
 *
 * Everything here is part of the transaction that does the work: an
 * Idempotency-Key commits with its answer, and the shims hear of a change
 * when it is committed, never before. It knows the tables of
 * 82_gateway.sql and no rule of the trade.
 */
#include "gateway.h"

#include "access/xact.h"
#include "actor.h"
#include "catalog/pg_type.h"
#include "commands/async.h"
#include "commands/trigger.h"
#include "errors.h"
#include "etag.h"
#include "funcapi.h"
#include "lookup.h"
#include "period.h"
#include "plan.h"
#include "response.h"
#include "store.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#define KEY_MOST		 255
#define KEY_LIFE		 (INT64CONST(24) * USECS_PER_HOUR)
#define REVOCATION_AGE	 (INT64CONST(2) * USECS_PER_DAY)
#define EVENT_AGE		 USECS_PER_DAY
#define TAGS_MOST		 1000 /* more changes in one transaction make caches forget everything */
#define PURGE_ROWS		 "20"
#define CLAIM_PURGE_EACH 64 /* keys of a session, so that more are dropped than come */
#define CLAIM_PURGE_ROWS "1280"

STORE(claim_rows, "idempotency_keys", "caller", "key", "fingerprint", "created_at", "status", "response");
LOOKUP(claim_by_key, "idempotency_keys", NULL, "fingerprint", "created_at", "response");
PLAN(claim_drop, "DELETE FROM rental.idempotency_keys WHERE caller = $1 AND key = $2", TEXTOID, TEXTOID);
PLAN(claim_purge,
	 "DELETE FROM rental.idempotency_keys WHERE ctid = ANY (ARRAY(SELECT ctid FROM rental.idempotency_keys "
	 "WHERE created_at < $1 ORDER BY created_at LIMIT " CLAIM_PURGE_ROWS " FOR UPDATE SKIP LOCKED))",
	 TIMESTAMPTZOID);
PLAN(revocation_insert, "INSERT INTO rental.revocations (id, revoked_at) VALUES ($1, $2)", UUIDOID, TIMESTAMPTZOID);
PLAN(revocation_purge, "DELETE FROM rental.revocations WHERE revoked_at < $1", TIMESTAMPTZOID);
/* numbers are microseconds, so that those of a topic never start again, whatever of it is still there */
PLAN(event_insert,
	 "INSERT INTO rental.stream_events (topic, id, type, data, created_at) VALUES ($1, "
	 "(SELECT GREATEST(max(e.id) + 1, $5) FROM rental.stream_events e WHERE e.topic = $1), $2, $3, $4) RETURNING id",
	 TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, INT8OID);
PLAN(event_purge,
	 "DELETE FROM rental.stream_events WHERE ctid = ANY (ARRAY(SELECT ctid FROM rental.stream_events "
	 "WHERE created_at < $1 ORDER BY created_at LIMIT " PURGE_ROWS " FOR UPDATE SKIP LOCKED))",
	 TIMESTAMPTZOID);

/* The Idempotency-Key of the running request; all of it lives in the transaction's memory */
typedef struct Claim
{
	LocalTransactionId lxid;
	bool			   secret;
	char			  *caller;
	char			  *key;
	char			  *fingerprint;
	TimestampTz		   at;
	char			  *before; /* the answer that was given before, or NULL */
} Claim;

static Claim *claim;

/* What the running transaction changed, as tags separated by spaces */
static StringInfo		  tags;
static LocalTransactionId tags_of;
static int				  ntags;

/* hash_number is a number for an advisory lock; where two fall on the same, one waits or is told to come again. */
static int64
hash_number(const char *kind, const char *first, const char *second)
{
	char *text = psprintf("%s %zu %s %s", kind, strlen(first), first, second);

	return (int64) XXH3_64bits(text, strlen(text));
}

/* caller_name is whose key it is: keys of different callers do not meet. */
static char *
caller_name(void)
{
	const Actor *who = actor_current();

	if (actor_has_user(who))
		return uuid_text(&who->user_id);
	return psprintf("address %s", who->client_address ? who->client_address : "unknown");
}

/* claim_state is the claim of the running transaction, or NULL. */
static Claim *
claim_state(void)
{
	return claim != NULL && claim->lxid == MyProc->lxid ? claim : NULL;
}

/*
 * request_claim(key text, fingerprint text) -> boolean
 *
 * The lock is tried, not waited for: a second request with the key of one
 * that is under way is told so at once. Whoever has the lock sees the row of
 * every earlier one, since the key is looked up with a snapshot that is taken then.
 */
PG_FUNCTION_INFO_V1(request_claim);
Datum
request_claim(PG_FUNCTION_ARGS)
{
	char		 *key = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char		 *fingerprint = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char		 *caller = caller_name();
	TimestampTz	  now = rental_now();
	Datum		  caller_datum = CStringGetTextDatum(caller);
	Datum		  key_datum = CStringGetTextDatum(key);
	static int	  until_purge;
	NullableDatum values[3];
	bool		  is_known;
	PlanRights	  rights;

	if (*key == '\0' || strlen(key) > KEY_MOST)
		rental_raise(invalid_field, errmsg("Idempotency-Key must have 1 to %d characters", KEY_MOST),
					 errfield("Idempotency-Key"));
	if (!DatumGetBool(
			DirectFunctionCall1(pg_try_advisory_xact_lock_int8, Int64GetDatum(hash_number("key", caller, key)))))
		rental_raise(idempotency_conflict, errmsg("a request with this Idempotency-Key is under way"));

	claim = MemoryContextAllocZero(TopTransactionContext, sizeof(Claim));
	claim->lxid = MyProc->lxid;
	claim->caller = MemoryContextStrdup(TopTransactionContext, caller);
	claim->key = MemoryContextStrdup(TopTransactionContext, key);
	claim->fingerprint = MemoryContextStrdup(TopTransactionContext, fingerprint);
	claim->at = now;

	lookup_latest();
	is_known = lookup_text_row(&claim_by_key, caller_datum, key_datum, values);
	lookup_latest_end();
	if (is_known && DatumGetTimestampTz(values[1].value) >= now - KEY_LIFE)
	{
		if (strcmp(TextDatumGetCString(values[0].value), fingerprint) != 0)
			rental_raise(idempotency_key_reused, errmsg("this Idempotency-Key belongs to another request"));
		claim->before = MemoryContextStrdup(TopTransactionContext, TextDatumGetCString(values[2].value));
	}
	else if (is_known || --until_purge < 0)
	{
		rights = plan_open_trusted();
		if (is_known)
			plan_run(&claim_drop, VALUE(caller_datum), VALUE(key_datum));
		plan_run(&claim_purge, VALUE(TimestampTzGetDatum(now - KEY_LIFE)));
		plan_close_trusted(rights);
		until_purge = CLAIM_PURGE_EACH;
	}
	PG_RETURN_BOOL(claim->before == NULL);
}

void
answer_is_secret(void)
{
	Claim *state = claim_state();

	if (state != NULL)
		state->secret = true;
}

/* has_header tells whether an answer has a header, whose name ends with a colon. */
static bool
has_header(const char *answer, const char *name)
{
	const char *line;

	for (line = answer; *line != '\n'; line = strchr(line, '\n') + 1)
		if (strncmp(line, name, strlen(name)) == 0)
			return true;
	return false;
}

/*
 * response_keep(answer text, status integer) -> text
 *
 * An answer that brings a token or a key is not kept, since the database
 * keeps only hashes of those; nor is a refusal. Its key may be used again.
 */
PG_FUNCTION_INFO_V1(response_keep);
Datum
response_keep(PG_FUNCTION_ARGS)
{
	Claim	   *state = claim_state();
	const char *answer;

	if (state != NULL && state->before != NULL)
		PG_RETURN_TEXT_P(cstring_to_text(psprintf("idempotency-replayed: true\n%s", state->before)));
	if (state == NULL || state->secret)
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	answer = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (has_header(answer, "claims:") || has_header(answer, "refused:"))
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	if (has_header(answer, ANSWER_CACHE_DROP))
		answer = strchr(answer, '\n') + 1;
	store_row(&claim_rows, VALUE(CStringGetTextDatum(state->caller)), VALUE(CStringGetTextDatum(state->key)),
			  VALUE(CStringGetTextDatum(state->fingerprint)), VALUE(TimestampTzGetDatum(state->at)),
			  VALUE(PG_GETARG_DATUM(1)), VALUE(CStringGetTextDatum(answer)));
	PG_RETURN_DATUM(PG_GETARG_DATUM(0));
}

/* Conditional changes */

/* A statement that answers a GET, prepared once in each backend */
typedef struct Present
{
	PreparedPlan	plan;
	struct Present *next;
} Present;

static PreparedPlan *
present_plan(const char *query, int nargs)
{
	static Present *known;
	Present		   *present;
	int				i;

	for (present = known; present != NULL; present = present->next)
		if (strcmp(present->plan.sql, query) == 0)
			return &present->plan;
	present = MemoryContextAllocZero(TopMemoryContext, sizeof(Present));
	present->plan.sql = MemoryContextStrdup(TopMemoryContext, query);
	present->plan.nargs = nargs;
	for (i = 0; i < nargs; i++)
		present->plan.argtypes[i] = TEXTOID;
	present->next = known;
	known = present;
	return &present->plan;
}

/* tags_hold tells whether a list like "a", "b" has the tag, which may stand for a packed form of the same. */
static bool
tags_hold(const char *list, const char *tag)
{
	while (*list != '\0')
	{
		bool		weak;
		const char *end;
		size_t		len;

		list += strspn(list, " \t,");
		if (*list == '*' && list[1 + strspn(list + 1, " \t")] == '\0')
			return true;
		weak = strncmp(list, "W/", 2) == 0;
		if (weak)
			list += 2;
		if (*list != '"' || (end = strchr(list + 1, '"')) == NULL)
			return false;
		len = end - list - 1;
		if (len > strlen(RENTAL_ETAG_GZIP) &&
			(strncmp(end - strlen(RENTAL_ETAG_GZIP), RENTAL_ETAG_GZIP, strlen(RENTAL_ETAG_GZIP)) == 0 ||
			 strncmp(end - strlen(RENTAL_ETAG_BROTLI), RENTAL_ETAG_BROTLI, strlen(RENTAL_ETAG_BROTLI)) == 0))
			len -= strlen(RENTAL_ETAG_GZIP);
		if (!weak && len == strlen(tag) && strncmp(list + 1, tag, len) == 0)
			return true;
		list = end + 1;
	}
	return false;
}

/*
 * request_match(if_match text, query text, args text[]) -> boolean
 *
 * The query runs with a snapshot of its own, taken when the lock is held, so
 * of two changes that both stand on the same representation only one passes.
 */
PG_FUNCTION_INFO_V1(request_match);
Datum
request_match(PG_FUNCTION_ARGS)
{
	const char	 *target = actor_current()->target;
	char		 *if_match;
	char		 *query;
	Datum		 *items;
	bool		 *nulls;
	int			  n;
	int			  i;
	NullableDatum args[PLAN_MAX_ARGS];
	char		  tag[RENTAL_ETAG_LENGTH + 1];
	const char	 *body;
	bool		  matches = false;

	if (PG_ARGISNULL(0))
		PG_RETURN_BOOL(true);
	if (PG_ARGISNULL(1))
		rental_raise(precondition_failed, errmsg("there is no entity tag to compare with at this path"));
	if_match = text_to_cstring(PG_GETARG_TEXT_PP(0));
	query = text_to_cstring(PG_GETARG_TEXT_PP(1));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(2), TEXTOID, -1, false, TYPALIGN_INT, &items, &nulls, &n);
	if (n > PLAN_MAX_ARGS)
		elog(ERROR, "too many arguments");
	for (i = 0; i < n; i++)
		args[i] = VALUE_OR_NULL(items[i], nulls[i]);

	if (target != NULL)
		DirectFunctionCall1(pg_advisory_xact_lock_int8, Int64GetDatum(hash_number("match", query, target)));
	plan_open();
	if (plan_execute(present_plan(query, n), args, n, false) > 0 && !plan_value(0, 1).isnull)
	{
		body = answer_body(plan_text(0, 1));
		rental_etag(body, strlen(body), tag);
		matches = tags_hold(if_match, tag);
	}
	plan_close();
	if (!matches)
		rental_raise(precondition_failed, errmsg("it has changed since it was read"));
	PG_RETURN_BOOL(true);
}

/* Revocations */

static void
check_trigger(FunctionCallInfo fcinfo, const char *name)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(data->tg_event) || !TRIGGER_FIRED_FOR_ROW(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED), errmsg("%s is an AFTER ROW trigger", name)));
}

/*
 * revocation_note: the time is the clock's, not that of the transaction's
 * start, since a token may have been made in between.
 */
PG_FUNCTION_INFO_V1(revocation_note);
Datum
revocation_note(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	TimestampTz	 now = GetCurrentTimestamp();
	Datum		 id;
	bool		 isnull;

	check_trigger(fcinfo, "revocation_note");
	id = heap_getattr(data->tg_newtuple, SPI_fnumber(data->tg_relation->rd_att, "id"), data->tg_relation->rd_att,
					  &isnull);
	plan_open();
	plan_run(&revocation_insert, VALUE(id), VALUE(TimestampTzGetDatum(now)));
	plan_run(&revocation_purge, VALUE(TimestampTzGetDatum(now - REVOCATION_AGE)));
	plan_close();
	Async_Notify("rental_revoked",
				 psprintf("%s " INT64_FORMAT, uuid_text(DatumGetUUIDP(id)),
						  (int64) (now / USECS_PER_SEC + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY)));
	return PointerGetDatum(NULL);
}

/* Caches */

static void
tag_changed(const char *tag)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);

	if (tags == NULL || tags_of != MyProc->lxid)
	{
		tags = makeStringInfo();
		tags_of = MyProc->lxid;
		ntags = 0;
	}
	if (ntags < TAGS_MOST)
	{
		appendStringInfo(tags, "%s%s", ntags > 0 ? " " : "", tag);
		Async_Notify("rental_cache", tag);
	}
	else if (ntags == TAGS_MOST)
	{
		appendStringInfoString(tags, " *");
		Async_Notify("rental_cache", "*");
	}
	ntags++;
	MemoryContextSwitchTo(old);
}

const char *
cache_tags_changed(void)
{
	return tags != NULL && tags_of == MyProc->lxid ? tags->data : NULL;
}

static void
row_changed(TriggerData *data, HeapTuple row)
{
	TupleDesc desc = data->tg_relation->rd_att;
	int		  i;

	for (i = 0; i < data->tg_trigger->tgnargs; i++)
	{
		const char *tag = data->tg_trigger->tgargs[i];
		const char *colon = strchr(tag, ':');
		const char *column;
		char	   *value;

		if (colon == NULL)
		{
			tag_changed(tag);
			continue;
		}
		column = colon[1] != '\0' ? colon + 1 : "id";
		value = SPI_getvalue(row, desc, SPI_fnumber(desc, column));
		if (value != NULL)
			tag_changed(psprintf("%.*s:%s", (int) (colon - tag), tag, value));
	}
}

PG_FUNCTION_INFO_V1(cache_changed);
Datum
cache_changed(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	check_trigger(fcinfo, "cache_changed");
	row_changed(data, data->tg_trigtuple);
	if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
		row_changed(data, data->tg_newtuple);
	return PointerGetDatum(NULL);
}

/* Live events */

int64
stream_send(const char *topic, const char *type, const char *json)
{
	TimestampTz now = rental_now();
	int64		id;

	plan_run(&event_purge, VALUE(TimestampTzGetDatum(now - EVENT_AGE)));
	plan_run(&event_insert, VALUE(CStringGetTextDatum(topic)), VALUE(CStringGetTextDatum(type)),
			 VALUE(CStringGetTextDatum(json)), VALUE(TimestampTzGetDatum(now)),
			 VALUE(Int64GetDatum(GetCurrentTimestamp())));
	id = DatumGetInt64(plan_datum(0, 1));
	Async_Notify("rental_event", psprintf("%s " INT64_FORMAT " %s %s", topic, id, type, json));
	return id;
}

Datum
stream_return(FunctionCallInfo fcinfo, Datum *topics, int n)
{
	TupleDesc desc;
	Datum	  value;
	bool	  isnull = false;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "a stream is a composite");
	value = PointerGetDatum(construct_array(topics, n, TEXTOID, -1, false, TYPALIGN_INT));
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), &value, &isnull));
}

/*
 * stream_publish(topic text, type text, data jsonb) -> bigint
 *
 * The lock on the topic makes its numbers grow in the order of commit, so
 * that "all after number n" leaves nothing out.
 */
PG_FUNCTION_INFO_V1(stream_publish);
Datum
stream_publish(PG_FUNCTION_ARGS)
{
	char		  *topic = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char		  *type = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Jsonb		  *json = PG_GETARG_JSONB_P(2);
	StringInfoData data;
	int64		   id;

	initStringInfo(&data);
	JsonbToCString(&data, &json->root, VARSIZE(json));
	if (data.len > EVENT_MOST)
		rental_raise(invalid_value, errmsg("the data of an event has at most %d bytes", EVENT_MOST), errfield("data"));
	DirectFunctionCall1(pg_advisory_xact_lock_int8, Int64GetDatum(hash_number("topic", topic, "")));
	plan_open();
	id = stream_send(topic, type, data.data);
	plan_close();
	PG_RETURN_INT64(id);
}

PG_FUNCTION_INFO_V1(notify_stream);
Datum
notify_stream(PG_FUNCTION_ARGS)
{
	const Actor *who = actor_require_user();
	Datum		 topics[2];
	int			 n = 0;

	topics[n++] = CStringGetTextDatum(psprintf("user:%s", uuid_text(&who->user_id)));
	if (who->role == ACTOR_VENDOR && who->has_vendor)
		topics[n++] = CStringGetTextDatum(psprintf("vendor:%s", uuid_text(&who->vendor_id)));
	return stream_return(fcinfo, topics, n);
}
