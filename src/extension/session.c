/*
 * session.c
 *	  Log-ins, and the limit on guessing.
 *
 * A log-in is a session: one row, and a refresh token for each time it was
 * renewed, kept as SHA-256. Each token is good once. A second use means that
 * two have it, so the session ends; but within ten seconds of the first it is
 * an answer that was lost on its way, and gets the same successor.
 *
 * The access token is signed by the shim, which alone has the key: a log-in
 * hands it the claims in a header of the answer.
 *
 * What must be remembered of a refusal, a wrong password or a stolen token,
 * would be lost with an error, so it is refused by response_refuse.
 */
#include "session.h"

#include "actor.h"
#include "errors.h"
#include "funcapi.h"
#include "identity.h"
#include "lib/stringinfo.h"
#include "password.h"
#include "period.h"
#include "plan.h"
#include "request.h"
#include "response.h"
#include "secret.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#define SESSION_LIFE  (INT64CONST(30) * USECS_PER_DAY)
#define SESSION_KEPT  (INT64CONST(7) * USECS_PER_DAY) /* after its end */
#define REFRESH_GRACE (INT64CONST(10) * USECS_PER_SEC)
#define ATTEMPT_SPAN  USECS_PER_HOUR

static int attempts_account;
static int attempts_address;

PLAN(user_for_login,
	 "SELECT u.id, u.password_hash, u.role, m.vendor_id FROM rental.users u "
	 "LEFT JOIN rental.vendor_members m ON m.user_id = u.id WHERE u.email = $1 AND u.is_active",
	 TEXTOID);
PLAN(password_renew, "UPDATE rental.users SET password_hash = $2 WHERE id = $1", UUIDOID, TEXTOID);
PLAN(session_insert,
	 "INSERT INTO rental.sessions (id, user_id, secret, client_address, created_at, last_used_at, expires_at) "
	 "VALUES ($1, $2, $3, $4, $5, $5, $6)",
	 UUIDOID, UUIDOID, BYTEAOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID);
PLAN(session_purge,
	 "DELETE FROM rental.sessions WHERE id = ANY (ARRAY(SELECT id FROM rental.sessions WHERE expires_at < $1 "
	 "ORDER BY expires_at LIMIT 20 FOR UPDATE SKIP LOCKED))",
	 TIMESTAMPTZOID);
PLAN(session_used,
	 "UPDATE rental.sessions SET last_used_at = $2, client_address = COALESCE($3, client_address) WHERE id = $1",
	 UUIDOID, TIMESTAMPTZOID, TEXTOID);
PLAN(session_revoke, "UPDATE rental.sessions SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL", UUIDOID,
	 TIMESTAMPTZOID);
PLAN(session_revoke_own,
	 "UPDATE rental.sessions SET revoked_at = $3 WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL", UUIDOID,
	 UUIDOID, TIMESTAMPTZOID);
PLAN(session_revoke_others,
	 "UPDATE rental.sessions SET revoked_at = $3 WHERE user_id = $1 AND id IS DISTINCT FROM $2 AND revoked_at IS NULL",
	 UUIDOID, UUIDOID, TIMESTAMPTZOID);
PLAN(session_of, "SELECT session_id FROM rental.refresh_tokens WHERE hash = $1", BYTEAOID);
PLAN(refresh_insert, "INSERT INTO rental.refresh_tokens (hash, session_id) VALUES ($1, $2)", BYTEAOID, UUIDOID);
/* locks the session, so that of many who come with one token each sees what the one before did */
PLAN(refresh_lock,
	 "SELECT s.id, s.secret, s.expires_at, u.id, u.role, m.vendor_id FROM rental.refresh_tokens t "
	 "JOIN rental.sessions s ON s.id = t.session_id JOIN rental.users u ON u.id = s.user_id "
	 "LEFT JOIN rental.vendor_members m ON m.user_id = u.id "
	 "WHERE t.hash = $1 AND s.revoked_at IS NULL AND s.expires_at > $2 AND u.is_active FOR UPDATE OF s",
	 BYTEAOID, TIMESTAMPTZOID);
PLAN(refresh_use, "UPDATE rental.refresh_tokens SET used_at = $2 WHERE hash = $1 AND used_at IS NULL", BYTEAOID,
	 TIMESTAMPTZOID);
PLAN(refresh_used_at, "SELECT used_at FROM rental.refresh_tokens WHERE hash = $1", BYTEAOID);
PLAN(
	attempt_count,
	"INSERT INTO rental.login_attempts AS a (key, failures, since) VALUES ($1, 1, $2) ON CONFLICT (key) DO UPDATE SET "
	"failures = CASE WHEN a.since < $3 THEN 1 ELSE a.failures + 1 END, since = CASE WHEN a.since < $3 THEN $2 ELSE a.since END "
	"RETURNING failures",
	BYTEAOID, TIMESTAMPTZOID, TIMESTAMPTZOID);
PLAN(attempt_look, "SELECT failures FROM rental.login_attempts WHERE key = $1 AND since >= $2", BYTEAOID,
	 TIMESTAMPTZOID);
PLAN(attempt_forget, "DELETE FROM rental.login_attempts WHERE key = $1", BYTEAOID);
PLAN(attempt_purge,
	 "DELETE FROM rental.login_attempts WHERE key = ANY (ARRAY(SELECT key FROM rental.login_attempts WHERE since < $1 "
	 "ORDER BY since LIMIT 20 FOR UPDATE SKIP LOCKED))",
	 TIMESTAMPTZOID);

/* $3 the user, $4 the session that asks, $5 now */
#define SESSIONS(direction, order)                                                                                     \
	PLAN_INIT(                                                                                                         \
		"SELECT ROW(s.id, s.client_address, s.created_at, s.last_used_at, s.expires_at, s.id IS NOT DISTINCT FROM $4)" \
		"::rental.session_view, s.id FROM rental.sessions s WHERE s.id " direction                                     \
		" $1 AND s.user_id = $3 AND s.revoked_at IS NULL AND s.expires_at > $5 ORDER BY s.id " order " LIMIT $2",      \
		UUIDOID, INT4OID, UUIDOID, UUIDOID, TIMESTAMPTZOID)
static PagePlans session_pages = {
	.forward = SESSIONS("<", "DESC"),
	.backward = SESSIONS(">", "ASC"),
	.count =
		PLAN_INIT("SELECT count(*) FROM rental.sessions WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $3",
				  UUIDOID, UUIDOID, TIMESTAMPTZOID),
	.newest_first = true,
};

void
session_settings(void)
{
	DefineCustomIntVariable("rental.attempts_account", "Wrong passwords for one account in an hour.", NULL,
							&attempts_account, 20, 1, INT_MAX, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("rental.attempts_address", "Wrong passwords from one client address in an hour.", NULL,
							&attempts_address, 200, 1, INT_MAX, PGC_SUSET, 0, NULL, NULL, NULL);
}

/* The limit on guessing */

static Datum
attempt_key(const char *kind, const char *who)
{
	char *text = psprintf("%s %s", kind, who);

	return PointerGetDatum(secret_sha256(text, strlen(text)));
}

/*
 * attempt_begin counts a try against the account before its outcome is known,
 * and so holds those who try the same account at once one after the other. An
 * account that does not exist is counted like any other. Whether it is still
 * allowed must not show in the answer.
 */
Attempt
attempt_begin(const char *kind, const char *account)
{
	Attempt		attempt = {kind, account, true};
	const char *address = actor_current()->client_address;
	TimestampTz now = rental_now();
	Datum		since = TimestampTzGetDatum(now - ATTEMPT_SPAN);

	plan_run(&attempt_purge, VALUE(since));
	plan_run(&attempt_count, VALUE(attempt_key(kind, account)), VALUE(TimestampTzGetDatum(now)), VALUE(since));
	if (DatumGetInt32(plan_datum(0, 1)) > attempts_account)
		attempt.allowed = false;
	if (address != NULL && plan_run(&attempt_look, VALUE(attempt_key("address", address)), VALUE(since)) > 0 &&
		DatumGetInt32(plan_datum(0, 1)) >= attempts_address)
		attempt.allowed = false;
	return attempt;
}

void
attempt_succeeded(const Attempt *attempt)
{
	plan_run(&attempt_forget, VALUE(attempt_key(attempt->kind, attempt->account)));
}

void
attempt_failed(const Attempt *attempt)
{
	const char *address = actor_current()->client_address;
	TimestampTz now = rental_now();

	if (address != NULL)
		plan_run(&attempt_count, VALUE(attempt_key("address", address)), VALUE(TimestampTzGetDatum(now)),
				 VALUE(TimestampTzGetDatum(now - ATTEMPT_SPAN)));
}

/* Sessions */

static Datum
token_hash(const char *token)
{
	return PointerGetDatum(secret_sha256(token, strlen(token)));
}

static NullableDatum
client_address(void)
{
	const char *address = actor_current()->client_address;

	return VALUE_OR_NULL(address ? CStringGetTextDatum(address) : (Datum) 0, address == NULL);
}

/* session_answer makes the auth_session of a user, and the claims of its access token. */
static Datum
session_answer(FunctionCallInfo fcinfo, const pg_uuid_t *session_id, const pg_uuid_t *user_id, const char *role,
			   NullableDatum vendor_id, const char *refresh, TimestampTz expires_at)
{
	StringInfoData claims;
	TupleDesc	   desc;
	Datum		   values[3];
	bool		   nulls[3] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "a session is a composite");
	initStringInfo(&claims);
	appendStringInfo(&claims, "{\"sub\":\"%s\",\"role\":\"%s\",\"sid\":\"%s\"", uuid_text(user_id), role,
					 uuid_text(session_id));
	if (!vendor_id.isnull)
		appendStringInfo(&claims, ",\"vendor\":\"%s\"", uuid_text(DatumGetUUIDP(vendor_id.value)));
	appendStringInfoChar(&claims, '}');
	response_header("claims", claims.data);

	values[0] = CStringGetTextDatum(refresh);
	values[1] = TimestampTzGetDatum(expires_at);
	values[2] = user_row_datum(user_id);
	return HeapTupleGetDatum(SPI_copytuple(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* session_begin logs a user in. Called between plan_open and plan_close. */
Datum
session_begin(FunctionCallInfo fcinfo, const pg_uuid_t *user_id, const char *role, NullableDatum vendor_id)
{
	pg_uuid_t  *id = DatumGetUUIDP(uuid7_datum());
	char	   *refresh = secret_token();
	bytea	   *secret = palloc(VARHDRSZ + SECRET_BYTES);
	TimestampTz now = rental_now();

	SET_VARSIZE(secret, VARHDRSZ + SECRET_BYTES);
	secret_fill((unsigned char *) VARDATA(secret), SECRET_BYTES);
	plan_run(&session_purge, VALUE(TimestampTzGetDatum(now - SESSION_KEPT)));
	plan_run(&session_insert, VALUE(UUIDPGetDatum(id)), VALUE(UUIDPGetDatum(user_id)), VALUE(PointerGetDatum(secret)),
			 client_address(), VALUE(TimestampTzGetDatum(now)), VALUE(TimestampTzGetDatum(now + SESSION_LIFE)));
	plan_run(&refresh_insert, VALUE(token_hash(refresh)), VALUE(UUIDPGetDatum(id)));
	return session_answer(fcinfo, id, user_id, role, vendor_id, refresh, now + SESSION_LIFE);
}

/* session_revoke_all ends a user's sessions, all or all but one. Called between plan_open and plan_close. */
void
session_revoke_all(const pg_uuid_t *user_id, const pg_uuid_t *except)
{
	plan_run(&session_revoke_others, VALUE(UUIDPGetDatum(user_id)),
			 VALUE_OR_NULL(UUIDPGetDatum(except), except == NULL), VALUE(TimestampTzGetDatum(rental_now())));
}

/* auth_login(email text, password text) */
PG_FUNCTION_INFO_V1(auth_login);
Datum
auth_login(PG_FUNCTION_ARGS)
{
	char		 *email = identity_email(FCARG(0));
	char		 *password = password_text(FCARG(1), "password");
	Attempt		  attempt;
	bool		  known;
	pg_uuid_t	 *user_id = NULL;
	char		 *hash = NULL;
	char		 *role = NULL;
	NullableDatum vendor_id = NULLVALUE;
	Datum		  result;

	plan_open();
	attempt = attempt_begin("login", email);
	known = plan_run(&user_for_login, VALUE(CStringGetTextDatum(email))) > 0;
	if (known)
	{
		user_id = DatumGetUUIDP(plan_datum(0, 1));
		hash = plan_text(0, 2);
		role = plan_text(0, 3);
		vendor_id = plan_value(0, 4);
	}
	if (!password_matches(password, known && attempt.allowed ? hash : NULL))
	{
		attempt_failed(&attempt);
		response_refuse(invalid_credentials, "the e-mail address or the password is wrong");
		plan_close();
		PG_RETURN_NULL();
	}
	attempt_succeeded(&attempt);
	if (password_is_outdated(hash))
		plan_run(&password_renew, VALUE(UUIDPGetDatum(user_id)), VALUE(CStringGetTextDatum(password_hash(password))));
	result = session_begin(fcinfo, user_id, role, vendor_id);
	plan_close();
	return result;
}

/* auth_refresh(refresh text) */
PG_FUNCTION_INFO_V1(auth_refresh);
Datum
auth_refresh(PG_FUNCTION_ARGS)
{
	char		 *token = request_required_text(FCARG(0), "refresh", 200);
	Datum		  hash = token_hash(token);
	TimestampTz	  now = rental_now();
	pg_uuid_t	 *session_id;
	pg_uuid_t	 *user_id;
	char		 *successor;
	char		 *role;
	NullableDatum vendor_id;
	TimestampTz	  expires_at;
	Datum		  result;

	plan_open();
	if (plan_run(&refresh_lock, VALUE(hash), VALUE(TimestampTzGetDatum(now))) == 0)
		rental_raise(invalid_token, errmsg("the refresh token is not good any more"));
	session_id = DatumGetUUIDP(plan_datum(0, 1));
	successor = secret_successor(DatumGetByteaPP(plan_datum(0, 2)), token);
	expires_at = DatumGetTimestampTz(plan_datum(0, 3));
	user_id = DatumGetUUIDP(plan_datum(0, 4));
	role = plan_text(0, 5);
	vendor_id = plan_value(0, 6);
	if (plan_run(&refresh_use, VALUE(hash), VALUE(TimestampTzGetDatum(now))) > 0)
		plan_run(&refresh_insert, VALUE(token_hash(successor)), VALUE(UUIDPGetDatum(session_id)));
	else if (plan_run(&refresh_used_at, VALUE(hash)) == 0 ||
			 now - DatumGetTimestampTz(plan_datum(0, 1)) > REFRESH_GRACE)
	{
		plan_run(&session_revoke, VALUE(UUIDPGetDatum(session_id)), VALUE(TimestampTzGetDatum(now)));
		response_refuse(invalid_token, "the refresh token was used before, so the session has ended");
		plan_close();
		PG_RETURN_NULL();
	}
	plan_run(&session_used, VALUE(UUIDPGetDatum(session_id)), VALUE(TimestampTzGetDatum(now)), client_address());
	result = session_answer(fcinfo, session_id, user_id, role, vendor_id, successor, expires_at);
	plan_close();
	return result;
}

/* auth_logout(refresh text) */
PG_FUNCTION_INFO_V1(auth_logout);
Datum
auth_logout(PG_FUNCTION_ARGS)
{
	char *token = request_required_text(FCARG(0), "refresh", 200);

	plan_open();
	if (plan_run(&session_of, VALUE(token_hash(token))) > 0)
		plan_run(&session_revoke, VALUE(plan_datum(0, 1)), VALUE(TimestampTzGetDatum(rental_now())));
	plan_close();
	PG_RETURN_VOID();
}

/* session_list(page_size, cursor, count) */
PG_FUNCTION_INFO_V1(session_list);
Datum
session_list(PG_FUNCTION_ARGS)
{
	const Actor	 *who = actor_require_session();
	NullableDatum filters[3] = {VALUE(UUIDPGetDatum(&who->user_id)), VALUE(UUIDPGetDatum(&who->session_id)),
								VALUE(TimestampTzGetDatum(rental_now()))};

	request_required(FCARG(0), "page_size");
	return page_return(fcinfo, &session_pages, filters, 3, PG_GETARG_INT32(0), FCARG(1), FCARG(2));
}

/* session_end(session_id uuid) */
PG_FUNCTION_INFO_V1(session_end);
Datum
session_end(PG_FUNCTION_ARGS)
{
	const Actor *who = actor_require_session();

	plan_open();
	if (plan_run(&session_revoke_own, FCARG(0), VALUE(UUIDPGetDatum(&who->user_id)),
				 VALUE(TimestampTzGetDatum(rental_now()))) == 0)
		rental_raise(not_found, errmsg("no such session"));
	plan_close();
	PG_RETURN_VOID();
}

/* session_end_others() */
PG_FUNCTION_INFO_V1(session_end_others);
Datum
session_end_others(PG_FUNCTION_ARGS)
{
	const Actor *who = actor_require_session();

	plan_open();
	session_revoke_all(&who->user_id, &who->session_id);
	plan_close();
	PG_RETURN_VOID();
}
