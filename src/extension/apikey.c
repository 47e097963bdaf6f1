/*
 * apikey.c
 *	  API keys: making, changing, replacing and ending them, and their usage.
 *
 * The server decides at each request whether a key's scopes reach the
 * endpoint, from what api_key_verify says of it; here it is decided who may
 * have which keys. A key is kept as its SHA-256 only. No key makes or changes
 * keys, or one that leaked would outlive its revocation.
 */
#include "apikey.h"

#include "actor.h"
#include "errors.h"
#include "funcapi.h"
#include "gateway.h"
#include "patch.h"
#include "period.h"
#include "plan.h"
#include "request.h"
#include "response.h"
#include "secret.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#define SCOPES_MOST	 100
#define LIMIT_MOST	 1000000
#define OVERLAP_MOST (INT64CONST(30) * USECS_PER_DAY)

PLAN(key_insert,
	 "INSERT INTO rental.api_keys (user_id, name, prefix, hash, scopes, rate_limit, replaces, created_at, expires_at) "
	 "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id",
	 UUIDOID, TEXTOID, TEXTOID, BYTEAOID, TEXTARRAYOID, INT4OID, UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID);
PLAN(key_row, "SELECT v FROM rental.api_key_view v WHERE v.id = $1 AND ($2 IS NULL OR v.user_id = $2)", UUIDOID,
	 UUIDOID);
PLAN(key_change,
	 "UPDATE rental.api_keys SET name = CASE WHEN 'name' = ANY ($3) THEN $4 ELSE name END, "
	 "scopes = CASE WHEN 'scopes' = ANY ($3) THEN $5 ELSE scopes END, "
	 "rate_limit = CASE WHEN 'rate_limit' = ANY ($3) THEN $6 ELSE rate_limit END WHERE id = $1 AND user_id = $2",
	 UUIDOID, UUIDOID, TEXTARRAYOID, TEXTOID, TEXTARRAYOID, INT4OID);
PLAN(
	key_lock,
	"SELECT name, scopes, rate_limit, created_at, expires_at, revoked_at IS NOT NULL OR COALESCE(expires_at <= $3, false) "
	"FROM rental.api_keys WHERE id = $1 AND user_id = $2 FOR UPDATE",
	UUIDOID, UUIDOID, TIMESTAMPTZOID);
PLAN(key_successor, "SELECT FROM rental.api_keys WHERE user_id = $2 AND replaces = $1", UUIDOID, UUIDOID);
PLAN(key_shorten,
	 "UPDATE rental.api_keys SET expires_at = LEAST(expires_at, $2), revoked_at = CASE WHEN $2 <= $3 THEN $3 END "
	 "WHERE id = $1",
	 UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID);
PLAN(key_revoke,
	 "UPDATE rental.api_keys SET revoked_at = $3 WHERE id = $1 AND ($2 IS NULL OR user_id = $2) AND revoked_at IS NULL",
	 UUIDOID, UUIDOID, TIMESTAMPTZOID);
PLAN(keys_revoke, "UPDATE rental.api_keys SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL", UUIDOID,
	 TIMESTAMPTZOID);
PLAN(tag_known, "SELECT FROM rental.endpoint WHERE tag = $1 LIMIT 1", TEXTOID);

static PagePlans key_pages = {
	.forward = PLAN_INIT("SELECT v, v.id FROM rental.api_key_view v WHERE v.id < $1 AND ($3 IS NULL OR v.user_id = $3) "
						 "ORDER BY v.id DESC LIMIT $2",
						 UUIDOID, INT4OID, UUIDOID),
	.backward =
		PLAN_INIT("SELECT v, v.id FROM rental.api_key_view v WHERE v.id > $1 AND ($3 IS NULL OR v.user_id = $3) "
				  "ORDER BY v.id LIMIT $2",
				  UUIDOID, INT4OID, UUIDOID),
	.count = PLAN_INIT("SELECT count(*) FROM rental.api_keys WHERE $1 IS NULL OR user_id = $1", UUIDOID),
	.newest_first = true,
};

#define USAGE_FILTER(user, first, last, key)                                                                   \
	"($" user " IS NULL OR v.user_id = $" user ") AND ($" first " IS NULL OR v.day >= $" first ") AND ($" last \
	" IS NULL OR v.day <= $" last ") AND ($" key " IS NULL OR v.key_id = $" key ")"

static PagePlans usage_pages = {
	.forward = PLAN_INIT("SELECT v, v.id FROM rental.api_key_usage_view v WHERE v.id < $1 AND " USAGE_FILTER(
							 "3", "4", "5", "6") " ORDER BY v.id DESC LIMIT $2",
						 UUIDOID, INT4OID, UUIDOID, DATEOID, DATEOID, UUIDOID),
	.backward = PLAN_INIT("SELECT v, v.id FROM rental.api_key_usage_view v WHERE v.id > $1 AND " USAGE_FILTER(
							  "3", "4", "5", "6") " ORDER BY v.id LIMIT $2",
						  UUIDOID, INT4OID, UUIDOID, DATEOID, DATEOID, UUIDOID),
	.count = PLAN_INIT("SELECT count(*) FROM rental.api_key_usage_view v WHERE " USAGE_FILTER("1", "2", "3", "4"),
					   UUIDOID, DATEOID, DATEOID, UUIDOID),
	.newest_first = true,
};

/* require_session refuses calls by an API key, and by those who have not logged in. */
static const Actor *
require_session(void)
{
	const Actor *who = actor_require_user();

	if (!who->has_session)
		rental_raise(forbidden, errmsg("log in to deal with API keys"));
	return who;
}

/* require_holder refuses whoever may have no keys of his own. */
static const Actor *
require_holder(void)
{
	const Actor *who = require_session();

	if (actor_is_staff(who))
		return who;
	if (who->role != ACTOR_VENDOR || !who->has_vendor)
		rental_raise(forbidden, errmsg("only vendors and administrators have API keys"));
	return actor_require_manager(&who->vendor_id);
}

/* visible_owner is whose keys the caller sees: its own, or null for an administrator, who sees all. */
static NullableDatum
visible_owner(void)
{
	const Actor *who = actor_current();

	if (actor_is_staff(who))
		return NULLVALUE;
	return VALUE(UUIDPGetDatum(&actor_require_user()->user_id));
}

/* scope_is_known: TAG:read or TAG:write, where some endpoint has the tag, or * for all. */
static bool
scope_is_known(const char *scope)
{
	const char *colon = strrchr(scope, ':');

	if (colon == NULL || (strcmp(colon, ":read") != 0 && strcmp(colon, ":write") != 0))
		return false;
	if (colon == scope + 1 && *scope == '*')
		return true;
	if (strspn(scope, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") != colon - scope)
		return false;
	return plan_run(&tag_known, VALUE(PointerGetDatum(cstring_to_text_with_len(scope, colon - scope)))) > 0;
}

static void
scopes_check(NullableDatum scopes)
{
	Datum *items;
	bool  *nulls;
	int	   n;
	int	   i;

	if (scopes.isnull)
		return;
	deconstruct_array(DatumGetArrayTypeP(scopes.value), TEXTOID, -1, false, TYPALIGN_INT, &items, &nulls, &n);
	if (n < 1 || n > SCOPES_MOST)
		rental_raise(invalid_value, errmsg("scopes must have 1 to %d entries", SCOPES_MOST), errfield("scopes"));
	for (i = 0; i < n; i++)
		if (nulls[i] || !scope_is_known(TextDatumGetCString(items[i])))
			rental_raise(invalid_value, errmsg("scopes are like orders:read, catalog:write or *:read"),
						 errfield("scopes"));
}

static void
limit_check(NullableDatum limit)
{
	if (!limit.isnull && (DatumGetInt32(limit.value) < 1 || DatumGetInt32(limit.value) > LIMIT_MOST))
		rental_raise(invalid_value, errmsg("rate_limit must be between 1 and %d", LIMIT_MOST), errfield("rate_limit"));
}

/* What a key is made with */
typedef struct KeyTerms
{
	const pg_uuid_t *user_id;
	Datum			 name;
	Datum			 scopes;
	NullableDatum	 rate_limit;
	NullableDatum	 replaces;
	NullableDatum	 expires_at;
} KeyTerms;

/* key_make makes a key and the api_key_new that shows it, this once. */
static Datum
key_make(FunctionCallInfo fcinfo, const KeyTerms *terms)
{
	char	 *prefix = psprintf("rk_%s", secret_text(8));
	char	 *key = psprintf("%s_%s", prefix, secret_text(32));
	Datum	  now = TimestampTzGetDatum(rental_now());
	TupleDesc desc;
	Datum	  values[8];
	bool	  nulls[8] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "a key is a composite");
	answer_is_secret();
	plan_run(&key_insert, VALUE(UUIDPGetDatum(terms->user_id)), VALUE(terms->name), VALUE(CStringGetTextDatum(prefix)),
			 VALUE(PointerGetDatum(secret_sha256(key, strlen(key)))), VALUE(terms->scopes), terms->rate_limit,
			 terms->replaces, VALUE(now), terms->expires_at);
	values[0] = plan_datum(0, 1);
	values[1] = terms->name;
	values[2] = CStringGetTextDatum(prefix);
	values[3] = CStringGetTextDatum(key);
	values[4] = terms->scopes;
	values[5] = terms->rate_limit.value;
	nulls[5] = terms->rate_limit.isnull;
	values[6] = now;
	values[7] = terms->expires_at.value;
	nulls[7] = terms->expires_at.isnull;
	return HeapTupleGetDatum(SPI_copytuple(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* api_key_create(name text, scopes text[], rate_limit integer, expires_at timestamptz) */
PG_FUNCTION_INFO_V1(api_key_create);
Datum
api_key_create(PG_FUNCTION_ARGS)
{
	const Actor *who = require_holder();
	char		*name = request_required_text(FCARG(0), "name", 200);
	KeyTerms	 terms = {.user_id = &who->user_id,
						  .name = CStringGetTextDatum(name),
						  .rate_limit = FCARG(2),
						  .replaces = NULLVALUE,
						  .expires_at = FCARG(3)};
	Datum		 result;

	request_required(FCARG(1), "scopes");
	terms.scopes = PG_GETARG_DATUM(1);
	limit_check(FCARG(2));
	if (!PG_ARGISNULL(3) && PG_GETARG_TIMESTAMPTZ(3) <= rental_now())
		rental_raise(invalid_value, errmsg("expires_at must be in the future"), errfield("expires_at"));
	plan_open();
	scopes_check(FCARG(1));
	result = key_make(fcinfo, &terms);
	plan_close();
	return result;
}

/* api_key_list(user_id uuid, page_size, cursor, count) */
PG_FUNCTION_INFO_V1(api_key_list);
Datum
api_key_list(PG_FUNCTION_ARGS)
{
	NullableDatum owner = visible_owner();

	if (owner.isnull)
		owner = FCARG(0);
	else if (!PG_ARGISNULL(0) && !uuid_equal(PG_GETARG_UUID_P(0), DatumGetUUIDP(owner.value)))
		rental_raise(forbidden, errmsg("only an administrator sees the API keys of others"), errfield("user_id"));
	return page_return(fcinfo, &key_pages, &owner, 1, PG_GETARG_INT32(1), FCARG(2), FCARG(3));
}

PG_FUNCTION_INFO_V1(api_key_get);
Datum
api_key_get(PG_FUNCTION_ARGS)
{
	NullableDatum key;

	plan_open();
	if (plan_read(&key_row, FCARG(0), visible_owner()) == 0)
		rental_raise(not_found, errmsg("there is no such API key"));
	key = plan_keep(0, 1);
	plan_close();
	return plan_return(fcinfo, key);
}

/* api_key_update(key_id uuid, name text, scopes text[], rate_limit integer, given text[]) */
PG_FUNCTION_INFO_V1(api_key_update);
Datum
api_key_update(PG_FUNCTION_ARGS)
{
	static const PatchField fields[] = {{"name", 1, false}, {"scopes", 2, false}, {"rate_limit", 3, true}};
	const Actor			   *who = require_holder();
	NullableDatum			owner = VALUE(UUIDPGetDatum(&who->user_id));
	NullableDatum			name = FCARG(1);
	Datum					given = patch_fields(fcinfo, fields, lengthof(fields), 4);
	NullableDatum			key;

	request_required(FCARG(0), "key_id");
	if (!name.isnull)
		name = VALUE(CStringGetTextDatum(request_required_text(name, "name", 200)));
	limit_check(FCARG(3));
	plan_open();
	scopes_check(FCARG(2));
	if (plan_run(&key_change, FCARG(0), owner, VALUE(given), name, FCARG(2), FCARG(3)) == 0)
		rental_raise(not_found, errmsg("there is no such API key"));
	plan_run(&key_row, FCARG(0), owner);
	key = plan_keep(0, 1);
	plan_close();
	return plan_return(fcinfo, key);
}

/* api_key_rotate(key_id uuid, overlap interval) */
PG_FUNCTION_INFO_V1(api_key_rotate);
Datum
api_key_rotate(PG_FUNCTION_ARGS)
{
	const Actor	 *who = require_holder();
	NullableDatum owner = VALUE(UUIDPGetDatum(&who->user_id));
	TimestampTz	  now = rental_now();
	TimestampTz	  end;
	KeyTerms	  terms = {.user_id = &who->user_id, .replaces = FCARG(0)};
	Datum		  result;

	request_required(FCARG(0), "key_id");
	request_required(FCARG(1), "overlap");
	end = period_plus(now, PG_GETARG_DATUM(1));
	if (end < now || end > now + OVERLAP_MOST)
		rental_raise(invalid_value, errmsg("overlap must be a time of up to 30 days"), errfield("overlap"));
	plan_open();
	if (plan_run(&key_lock, FCARG(0), owner, VALUE(TimestampTzGetDatum(now))) == 0)
		rental_raise(not_found, errmsg("there is no such API key"));
	if (DatumGetBool(plan_datum(0, 6)))
		rental_raise(invalid_state, errmsg("this API key is over"));
	terms.name = plan_datum(0, 1);
	terms.scopes = plan_datum(0, 2);
	terms.rate_limit = plan_value(0, 3);
	terms.expires_at = plan_value(0, 5);
	if (!terms.expires_at.isnull)
		terms.expires_at.value = TimestampTzGetDatum(now + DatumGetTimestampTz(terms.expires_at.value) -
													 DatumGetTimestampTz(plan_datum(0, 4)));
	if (plan_run(&key_successor, FCARG(0), owner) > 0)
		rental_raise(invalid_state, errmsg("this API key has a successor already"));
	result = key_make(fcinfo, &terms);
	plan_run(&key_shorten, FCARG(0), VALUE(TimestampTzGetDatum(end)), VALUE(TimestampTzGetDatum(now)));
	plan_close();
	return result;
}

PG_FUNCTION_INFO_V1(api_key_revoke);
Datum
api_key_revoke(PG_FUNCTION_ARGS)
{
	if (actor_current()->role != ACTOR_SYSTEM)
		require_session();
	plan_open();
	if (plan_run(&key_revoke, FCARG(0), visible_owner(), VALUE(TimestampTzGetDatum(rental_now()))) == 0)
		rental_raise(not_found, errmsg("there is no such API key"));
	plan_close();
	PG_RETURN_VOID();
}

/* api_keys_end ends all keys of a user, within the caller's plan_open and plan_close. */
void
api_keys_end(const pg_uuid_t *user_id)
{
	plan_run(&keys_revoke, VALUE(UUIDPGetDatum(user_id)), VALUE(TimestampTzGetDatum(rental_now())));
}

/* usage_list("from" date, "to" date, key_id uuid, page_size, cursor, count) */
PG_FUNCTION_INFO_V1(usage_list);
Datum
usage_list(PG_FUNCTION_ARGS)
{
	NullableDatum filters[] = {visible_owner(), FCARG(0), FCARG(1), FCARG(2)};

	return page_return(fcinfo, &usage_pages, filters, lengthof(filters), PG_GETARG_INT32(3), FCARG(4), FCARG(5));
}
