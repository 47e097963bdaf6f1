/*
 * identity.c
 *	  Accounts: users and their profiles, vendors and their teams.
 *
 * An account is never removed, since invoices and events name it; erasing it
 * takes away what tells whose it was. Tokens that go out by e-mail are kept
 * as SHA-256, are good once, and for a while.
 */
#include "identity.h"

#include "actor.h"
#include "audit.h"
#include "catalog/pg_collation.h"
#include "common/pg_prng.h"
#include "errors.h"
#include "funcapi.h"
#include "notify.h"
#include "password.h"
#include "period.h"
#include "plan.h"
#include "request.h"
#include "response.h"
#include "secret.h"
#include "session.h"
#include "slug.h"
#include "utils/builtins.h"
#include "utils/formatting.h"

#define VERIFY_LIFE (INT64CONST(3) * USECS_PER_DAY)
#define RESET_LIFE	USECS_PER_HOUR
#define TOKEN_KEPT	(INT64CONST(7) * USECS_PER_DAY) /* after its end */

PLAN(
	user_insert,
	"INSERT INTO rental.users (id, email, password_hash, name, phone, role, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7) "
	"ON CONFLICT (email) DO NOTHING",
	UUIDOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID);
PLAN(user_row, "SELECT u FROM rental.user_view u WHERE u.id = $1", UUIDOID);
PLAN(user_by_email, "SELECT id, name, email FROM rental.users WHERE email = $1 AND is_active", TEXTOID);
PLAN(user_contact,
	 "SELECT id, name, email, password_hash, role FROM rental.users WHERE id = $1 AND is_active FOR NO KEY UPDATE",
	 UUIDOID);
PLAN(user_set,
	 "UPDATE rental.users SET name = COALESCE($2, name), phone = CASE WHEN $4 THEN $3 ELSE phone END WHERE id = $1",
	 UUIDOID, TEXTOID, TEXTOID, BOOLOID);
PLAN(user_set_password, "UPDATE rental.users SET password_hash = $2 WHERE id = $1", UUIDOID, TEXTOID);
PLAN(user_set_email,
	 "UPDATE rental.users u SET email = $2, email_verified_at = $3 WHERE id = $1 AND is_active "
	 "AND NOT EXISTS (SELECT FROM rental.users o WHERE o.email = $2 AND o.id <> u.id)",
	 UUIDOID, TEXTOID, TIMESTAMPTZOID);
PLAN(user_set_access,
	 "UPDATE rental.users SET role = COALESCE($2, role), is_active = COALESCE($3, is_active) WHERE id = $1", UUIDOID,
	 TEXTOID, BOOLOID);
PLAN(user_lock, "SELECT role, is_active, erased_at IS NOT NULL FROM rental.users WHERE id = $1 FOR NO KEY UPDATE",
	 UUIDOID);
PLAN(admins_lock, "SELECT id FROM rental.users WHERE role = 'admin' AND is_active ORDER BY id FOR NO KEY UPDATE", );
PLAN(
	user_erase_plan,
	"UPDATE rental.users SET email = 'erased-' || id || '@invalid', password_hash = '!', name = 'Erased account', phone = NULL, "
	"is_active = false, email_verified_at = NULL, erased_at = $2 WHERE id = $1",
	UUIDOID, TIMESTAMPTZOID);
PLAN(user_erase_rest,
	 "WITH p AS (DELETE FROM rental.profiles WHERE user_id = $1), t AS (DELETE FROM rental.tokens WHERE user_id = $1), "
	 "n AS (DELETE FROM rental.notifications WHERE user_id = $1), "
	 "a AS (UPDATE rental.activity SET user_id = NULL WHERE user_id = $1) "
	 "UPDATE rental.sessions SET client_address = NULL WHERE user_id = $1",
	 UUIDOID);
PLAN(
	user_erase_orders,
	"WITH o AS (UPDATE rental.orders SET note = NULL, delivery = delivery - 'address' WHERE customer_id = $1 RETURNING id), "
	"c AS (UPDATE rental.order_contracts c SET signature = NULL, client_address = NULL FROM o WHERE c.order_id = o.id), "
	"e AS (UPDATE rental.order_events e SET data = e.data - 'reason' FROM o WHERE e.order_id = o.id AND e.actor_id = $1), "
	"s AS (DELETE FROM rental.stream_events s USING o WHERE s.topic = 'order:' || o.id), "
	"i AS (DELETE FROM rental.cart_items i USING rental.carts k WHERE i.cart_id = k.id AND k.customer_id = $1) "
	"DELETE FROM rental.carts WHERE customer_id = $1",
	UUIDOID);
/* a statement later: what triggers kept of the rows as they were */
PLAN(user_erase_history,
	 "UPDATE rental.order_history h SET was = h.was || '{\"note\": null, \"delivery\": null}' FROM rental.orders o "
	 "WHERE h.order_id = o.id AND o.customer_id = $1 AND h.item_id IS NULL",
	 UUIDOID);
PLAN(orders_under_way,
	 "SELECT FROM rental.orders WHERE customer_id = $1 AND status IN ('pending', 'confirmed', 'active') LIMIT 1",
	 UUIDOID);
PLAN(membership, "SELECT FROM rental.vendor_members WHERE user_id = $1", UUIDOID);
PLAN(keys_revoke, "UPDATE rental.api_keys SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL", UUIDOID,
	 TIMESTAMPTZOID);
PLAN(
	token_insert,
	"INSERT INTO rental.tokens (hash, user_id, purpose, email, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)",
	BYTEAOID, UUIDOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID);
PLAN(token_use, "DELETE FROM rental.tokens WHERE hash = $1 AND purpose = $2 RETURNING user_id, email, expires_at > $3",
	 BYTEAOID, TEXTOID, TIMESTAMPTZOID);
PLAN(token_drop, "DELETE FROM rental.tokens WHERE user_id = $1 AND purpose = $2", UUIDOID, TEXTOID);
PLAN(token_purge,
	 "DELETE FROM rental.tokens WHERE hash = ANY (ARRAY(SELECT hash FROM rental.tokens WHERE expires_at < $1 "
	 "ORDER BY expires_at LIMIT 20 FOR UPDATE SKIP LOCKED))",
	 TIMESTAMPTZOID);
PLAN(profile_row, "SELECT p FROM rental.profile_view p WHERE p.user_id = $1", UUIDOID);
PLAN(profile_set,
	 "INSERT INTO rental.profiles AS p (user_id, address, avatar, locale, time_zone) VALUES ($1, $2, $3, $4, $5) "
	 "ON CONFLICT (user_id) DO UPDATE SET address = $2, avatar = $3, locale = $4, time_zone = $5",
	 UUIDOID, JSONBOID, TEXTOID, TEXTOID, TEXTOID);
PLAN(profile_now, "SELECT address, avatar, locale, time_zone FROM rental.profiles WHERE user_id = $1 FOR UPDATE",
	 UUIDOID);
PLAN(vendor_insert,
	 "INSERT INTO rental.vendors (id, name, slug, currency, time_zone, created_at) "
	 "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (slug) DO NOTHING",
	 UUIDOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID);
PLAN(member_insert,
	 "INSERT INTO rental.vendor_members (vendor_id, user_id, role, created_at) VALUES ($1, $2, 'owner', $3)", UUIDOID,
	 UUIDOID, TIMESTAMPTZOID);
PLAN(location_insert, "INSERT INTO rental.locations (vendor_id, name, created_at) VALUES ($1, 'Main', $2)", UUIDOID,
	 TIMESTAMPTZOID);
PLAN(vendor_row, "SELECT v FROM rental.vendor_view v WHERE v.id = $1", UUIDOID);

#define USERS(direction, order)                                                                              \
	PLAN_INIT("SELECT u, u.id FROM rental.user_view u WHERE u.id " direction                                 \
			  " $1 AND ($3 IS NULL OR u.email ILIKE $3 OR u.name ILIKE $3) AND ($4 IS NULL OR u.role = $4) " \
			  "AND ($5 IS NULL OR u.is_active = $5) ORDER BY u.id " order " LIMIT $2",                       \
			  UUIDOID, INT4OID, TEXTOID, TEXTOID, BOOLOID)
static PagePlans user_pages = {
	.forward = USERS(">", "ASC"),
	.backward = USERS("<", "DESC"),
	.count = PLAN_INIT("SELECT count(*) FROM rental.users WHERE ($1 IS NULL OR email ILIKE $1 OR name ILIKE $1) "
					   "AND ($2 IS NULL OR role = $2) AND ($3 IS NULL OR is_active = $3)",
					   TEXTOID, TEXTOID, BOOLOID),
};
/* identity_email is an address in the form in which accounts keep it: composed, in lower case. */
char *
identity_email(NullableDatum value)
{
	char *email = request_required_text(value, "email", 254);
	char *at = strchr(email, '@');

	if (at == NULL || at == email || at[1] == '\0' || strchr(at + 1, '@') != NULL || strpbrk(email, " \t\r\n") != NULL)
		rental_raise(invalid_value, errmsg("this is not an e-mail address"), errfield("email"));
	email = request_composed(email);
	return str_tolower(email, strlen(email), DEFAULT_COLLATION_OID);
}

/* user_row_datum is a user as user_view has it, in the memory of whoever called plan_open. */
Datum
user_row_datum(const pg_uuid_t *user_id)
{
	if (plan_run(&user_row, VALUE(UUIDPGetDatum(user_id))) == 0)
		rental_raise(not_found, errmsg("this account is gone"));
	return plan_keep(0, 1).value;
}

static pg_uuid_t *
user_make(const char *email, const char *password, const char *name, const char *phone, const char *role)
{
	pg_uuid_t *id = DatumGetUUIDP(uuid7_datum());

	if (plan_run(&user_insert, VALUE(UUIDPGetDatum(id)), VALUE(CStringGetTextDatum(email)),
				 VALUE(CStringGetTextDatum(password_hash(password))),
				 VALUE(CStringGetTextDatum(request_composed(name))),
				 VALUE_OR_NULL(phone ? CStringGetTextDatum(phone) : (Datum) 0, phone == NULL),
				 VALUE(CStringGetTextDatum(role)), VALUE(TimestampTzGetDatum(rental_now()))) == 0)
		rental_raise(already_exists, errmsg("this address has an account already"), errfield("email"));
	return id;
}

static pg_uuid_t *
vendor_make(const char *name, const char *currency, const char *time_zone)
{
	pg_uuid_t *id = DatumGetUUIDP(uuid7_datum());
	char	  *slug = slug_from(name);
	char	  *tried = slug;
	int		   i;
	Datum	   now = TimestampTzGetDatum(rental_now());

	if (strlen(currency) != 3 || strspn(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 3)
		rental_raise(invalid_value, errmsg("currency must be a code of ISO 4217, such as EUR"), errfield("currency"));
	period_zone(time_zone);
	for (i = 0; plan_run(&vendor_insert, VALUE(UUIDPGetDatum(id)), VALUE(CStringGetTextDatum(name)),
						 VALUE(CStringGetTextDatum(tried)), VALUE(CStringGetTextDatum(currency)),
						 VALUE(CStringGetTextDatum(time_zone)), VALUE(now)) == 0;
		 i++)
	{
		if (i == 5)
			rental_raise(already_exists, errmsg("a vendor of this name exists already"), errfield("business_name"));
		tried = psprintf("%s-%u", slug, 100 + pg_prng_uint32(&pg_global_prng_state) % 900000);
	}
	plan_run(&location_insert, VALUE(UUIDPGetDatum(id)), VALUE(now));
	return id;
}

static void
member_make(const pg_uuid_t *vendor_id, const pg_uuid_t *user_id)
{
	plan_run(&member_insert, VALUE(UUIDPGetDatum(vendor_id)), VALUE(UUIDPGetDatum(user_id)),
			 VALUE(TimestampTzGetDatum(rental_now())));
}

/* Tokens that go out by e-mail */

/* token_send makes a token for a purpose, in place of any before it, and leaves the e-mail that brings it. */
static void
token_send(const pg_uuid_t *user_id, const char *purpose, const char *name, const char *email, int64 life)
{
	char	   *token = secret_token();
	TimestampTz now = rental_now();

	plan_run(&token_purge, VALUE(TimestampTzGetDatum(now - TOKEN_KEPT)));
	plan_run(&token_drop, VALUE(UUIDPGetDatum(user_id)), VALUE(CStringGetTextDatum(purpose)));
	plan_run(&token_insert, VALUE(PointerGetDatum(secret_sha256(token, strlen(token)))), VALUE(UUIDPGetDatum(user_id)),
			 VALUE(CStringGetTextDatum(purpose)), VALUE(CStringGetTextDatum(email)), VALUE(TimestampTzGetDatum(now)),
			 VALUE(TimestampTzGetDatum(now + life)));
	notify_email(user_id, email, purpose, name, token);
}

/* token_take uses up a token and says whose it is, and for which address. */
static pg_uuid_t *
token_take(NullableDatum value, const char *purpose, char **email)
{
	char *token = request_required_text(value, "token", 200);

	if (plan_run(&token_use, VALUE(PointerGetDatum(secret_sha256(token, strlen(token)))),
				 VALUE(CStringGetTextDatum(purpose)), VALUE(TimestampTzGetDatum(rental_now()))) == 0 ||
		!DatumGetBool(plan_datum(0, 3)))
		rental_raise(rule_violated, errmsg("this token is not good, or not good any more"), errfield("token"));
	*email = plan_text(0, 2);
	return DatumGetUUIDP(plan_datum(0, 1));
}

PG_FUNCTION_INFO_V1(auth_signup);
Datum
auth_signup(PG_FUNCTION_ARGS)
{
	char		 *email = identity_email(FCARG(0));
	char		 *password = password_new(FCARG(1), "password");
	char		 *name = request_required_text(FCARG(2), "name", 200);
	char		 *role = request_required_text(FCARG(3), "role", 20);
	char		 *phone = request_text(FCARG(4), "phone", 40);
	pg_uuid_t	 *user_id;
	NullableDatum vendor_id = NULLVALUE;
	bool		  is_vendor = strcmp(role, "vendor") == 0;
	Datum		  result;

	request_word(role, "role", (const char *[]){"customer", "vendor", NULL});
	if (is_vendor)
		request_required_text(FCARG(5), "business_name", 200);
	else if (!PG_ARGISNULL(5))
		rental_raise(invalid_value, errmsg("only a vendor has a business_name"), errfield("business_name"));

	plan_open();
	user_id = user_make(email, password, name, phone, role);
	if (is_vendor)
	{
		pg_uuid_t *vendor = vendor_make(request_required_text(FCARG(5), "business_name", 200),
										request_required_text(FCARG(6), "currency", 3),
										request_required_text(FCARG(7), "time_zone", 60));

		member_make(vendor, user_id);
		vendor_id = VALUE(UUIDPGetDatum(vendor));
	}
	token_send(user_id, "verify_email", name, email, VERIFY_LIFE);
	result = session_begin(fcinfo, user_id, role, vendor_id);
	plan_close();
	return result;
}

/* vouch makes sure that it is the caller who calls, by the password. False: refused. */
static bool
vouch(const pg_uuid_t *user_id, NullableDatum password, const char *field)
{
	char   *given = password_text(password, field);
	char   *email;
	char   *hash;
	Attempt attempt;

	if (plan_run(&user_contact, VALUE(UUIDPGetDatum(user_id))) == 0)
		rental_raise(not_found, errmsg("this account is gone"));
	email = plan_text(0, 3);
	hash = plan_text(0, 4);
	attempt = attempt_begin("login", email);
	if (password_matches(given, attempt.allowed ? hash : NULL))
	{
		attempt_succeeded(&attempt);
		return true;
	}
	attempt_failed(&attempt);
	response_refuse(invalid_credentials, "the password is wrong");
	return false;
}

static void
password_set(const pg_uuid_t *user_id, const char *password)
{
	plan_run(&user_set_password, VALUE(UUIDPGetDatum(user_id)), VALUE(CStringGetTextDatum(password_hash(password))));
	plan_run(&token_drop, VALUE(UUIDPGetDatum(user_id)), VALUE(CStringGetTextDatum("reset_password")));
}

/* password_change(current_password text, new_password text) */
PG_FUNCTION_INFO_V1(password_change);
Datum
password_change(PG_FUNCTION_ARGS)
{
	const Actor *who = actor_require_session();
	char		*password = password_new(FCARG(1), "new_password");

	plan_open();
	if (vouch(&who->user_id, FCARG(0), "current_password"))
	{
		password_set(&who->user_id, password);
		session_revoke_all(&who->user_id, &who->session_id);
	}
	plan_close();
	PG_RETURN_VOID();
}

/* password_reset(email text) */
PG_FUNCTION_INFO_V1(password_reset);
Datum
password_reset(PG_FUNCTION_ARGS)
{
	char   *email = identity_email(FCARG(0));
	Attempt attempt;

	plan_open();
	attempt = attempt_begin("reset", email);
	if (attempt.allowed && plan_run(&user_by_email, VALUE(CStringGetTextDatum(email))) > 0)
	{
		pg_uuid_t *user_id = DatumGetUUIDP(plan_datum(0, 1));

		token_send(user_id, "reset_password", plan_text(0, 2), email, RESET_LIFE);
	}
	plan_close();
	PG_RETURN_VOID();
}

/* password_reset_confirm(token text, new_password text) */
PG_FUNCTION_INFO_V1(password_reset_confirm);
Datum
password_reset_confirm(PG_FUNCTION_ARGS)
{
	char	  *password = password_new(FCARG(1), "new_password");
	char	  *email;
	pg_uuid_t *user_id;
	Attempt	   attempt = {"login", NULL, true};

	plan_open();
	user_id = token_take(FCARG(0), "reset_password", &email);
	if (plan_run(&user_contact, VALUE(UUIDPGetDatum(user_id))) == 0)
		rental_raise(rule_violated, errmsg("this token is not good, or not good any more"), errfield("token"));
	password_set(user_id, password);
	/* whoever read the e-mail has the address */
	plan_run(&user_set_email, VALUE(UUIDPGetDatum(user_id)), VALUE(CStringGetTextDatum(email)),
			 VALUE(TimestampTzGetDatum(rental_now())));
	session_revoke_all(user_id, NULL);
	attempt.account = email;
	attempt_succeeded(&attempt);
	plan_close();
	PG_RETURN_VOID();
}

/* email_verify(token text) */
PG_FUNCTION_INFO_V1(email_verify);
Datum
email_verify(PG_FUNCTION_ARGS)
{
	char	  *email;
	pg_uuid_t *user_id;
	Datum	   user;

	plan_open();
	user_id = token_take(FCARG(0), "verify_email", &email);
	if (plan_run(&user_set_email, VALUE(UUIDPGetDatum(user_id)), VALUE(CStringGetTextDatum(email)),
				 VALUE(TimestampTzGetDatum(rental_now()))) == 0)
		rental_raise(already_exists, errmsg("this address has an account already"));
	user = user_row_datum(user_id);
	plan_close();
	return user;
}

/* email_verify_send() */
PG_FUNCTION_INFO_V1(email_verify_send);
Datum
email_verify_send(PG_FUNCTION_ARGS)
{
	const Actor *who = actor_require_session();

	plan_open();
	if (plan_run(&user_contact, VALUE(UUIDPGetDatum(&who->user_id))) == 0)
		rental_raise(not_found, errmsg("this account is gone"));
	token_send(&who->user_id, "verify_email", plan_text(0, 2), plan_text(0, 3), VERIFY_LIFE);
	plan_close();
	PG_RETURN_VOID();
}

/* email_change(email text, password text) */
PG_FUNCTION_INFO_V1(email_change);
Datum
email_change(PG_FUNCTION_ARGS)
{
	const Actor *who = actor_require_session();
	char		*email = identity_email(FCARG(0));

	plan_open();
	if (vouch(&who->user_id, FCARG(1), "password"))
	{
		plan_run(&user_contact, VALUE(UUIDPGetDatum(&who->user_id)));
		/* whether the address is taken, only its owner may learn */
		token_send(&who->user_id, "verify_email", plan_text(0, 2), email, VERIFY_LIFE);
	}
	plan_close();
	PG_RETURN_VOID();
}

/* user_me_set(name text, phone text) of PUT, and user_me_update of PATCH, where null leaves a field as it is */
static Datum
user_me_write(FunctionCallInfo fcinfo, bool whole)
{
	const Actor *who = actor_require_user();
	char		*name = PG_ARGISNULL(0) && !whole ? NULL : request_required_text(FCARG(0), "name", 200);
	char		*phone = request_text(FCARG(1), "phone", 40);
	bool		 set_phone = whole || phone != NULL;
	Datum		 user;

	if (phone != NULL && *phone == '\0')
		phone = NULL;
	plan_open();
	plan_run(&user_set, VALUE(UUIDPGetDatum(&who->user_id)),
			 VALUE_OR_NULL(name ? CStringGetTextDatum(request_composed(name)) : (Datum) 0, name == NULL),
			 VALUE_OR_NULL(phone ? CStringGetTextDatum(phone) : (Datum) 0, phone == NULL),
			 VALUE(BoolGetDatum(set_phone)));
	user = user_row_datum(&who->user_id);
	plan_close();
	return user;
}

PG_FUNCTION_INFO_V1(user_me_set);
Datum
user_me_set(PG_FUNCTION_ARGS)
{
	return user_me_write(fcinfo, true);
}

PG_FUNCTION_INFO_V1(user_me_update);
Datum
user_me_update(PG_FUNCTION_ARGS)
{
	return user_me_write(fcinfo, false);
}

/*
 * user_erase_account takes away what tells whose an account was, and ends its
 * log-ins. Its orders and invoices stay, without where they went and what it
 * wrote and signed.
 */
static void
user_erase_account(const pg_uuid_t *user_id)
{
	Datum id = UUIDPGetDatum(user_id);
	Datum now = TimestampTzGetDatum(rental_now());

	if (plan_run(&orders_under_way, VALUE(id)) > 0)
		rental_raise(conflict, errmsg("orders of this account are still under way"));
	if (plan_run(&membership, VALUE(id)) > 0)
		rental_raise(conflict, errmsg("a member of a vendor's team leaves it first"));
	if (plan_execute(&admins_lock, NULL, 0, false) == 1 && uuid_equal(DatumGetUUIDP(plan_datum(0, 1)), user_id))
		rental_raise(conflict, errmsg("this is the last administrator"));
	session_revoke_all(user_id, NULL);
	plan_run(&keys_revoke, VALUE(id), VALUE(now));
	plan_run(&user_erase_plan, VALUE(id), VALUE(now));
	plan_run(&user_erase_rest, VALUE(id));
	plan_run(&user_erase_orders, VALUE(id));
	plan_run(&user_erase_history, VALUE(id));
	audit_forget_user(user_id);
}

/* user_me_erase(password text) */
PG_FUNCTION_INFO_V1(user_me_erase);
Datum
user_me_erase(PG_FUNCTION_ARGS)
{
	const Actor *who = actor_require_session();

	plan_open();
	if (vouch(&who->user_id, FCARG(0), "password"))
		user_erase_account(&who->user_id);
	plan_close();
	PG_RETURN_VOID();
}

/* user_erase(user_id uuid) */
PG_FUNCTION_INFO_V1(user_erase);
Datum
user_erase(PG_FUNCTION_ARGS)
{
	actor_require_admin();
	request_required(FCARG(0), "user_id");
	plan_open();
	if (plan_run(&user_lock, FCARG(0)) == 0 || DatumGetBool(plan_datum(0, 3)))
		rental_raise(not_found, errmsg("no such user"), errfield("user_id"));
	user_erase_account(PG_GETARG_UUID_P(0));
	plan_close();
	PG_RETURN_VOID();
}

/* Administration */

/* user_list(search text, role text, is_active boolean, page_size, cursor, count) */
PG_FUNCTION_INFO_V1(user_list);
Datum
user_list(PG_FUNCTION_ARGS)
{
	NullableDatum filters[3] = {request_pattern(FCARG(0)), FCARG(1), FCARG(2)};

	actor_require_admin();
	request_required(FCARG(3), "page_size");
	return page_return(fcinfo, &user_pages, filters, 3, PG_GETARG_INT32(3), FCARG(4), FCARG(5));
}

/* user_get(user_id uuid) */
PG_FUNCTION_INFO_V1(user_get);
Datum
user_get(PG_FUNCTION_ARGS)
{
	Datum user;

	actor_require_admin();
	plan_open();
	if (plan_read(&user_row, FCARG(0)) == 0)
		rental_raise(not_found, errmsg("no such user"), errfield("user_id"));
	user = plan_keep(0, 1).value;
	plan_close();
	return user;
}

/*
 * user_update(user_id uuid, role text, is_active boolean): a vendor's role
 * comes and goes with its team, so only customers and administrators change
 * into each other; one administrator remains
 */
PG_FUNCTION_INFO_V1(user_update);
Datum
user_update(PG_FUNCTION_ARGS)
{
	char *role = request_text(FCARG(1), "role", 20);
	char *was;
	Datum user;
	bool  is_active = PG_ARGISNULL(2) || PG_GETARG_BOOL(2);

	actor_require_admin();
	request_required(FCARG(0), "user_id");
	if (role != NULL && strcmp(role, "customer") != 0 && strcmp(role, "admin") != 0)
		rental_raise(invalid_value, errmsg("role must be customer or admin; a vendor's team has members"),
					 errfield("role"));
	plan_open();
	/* before the user's own row, so that of two who demote each other the second one waits here */
	plan_execute(&admins_lock, NULL, 0, false);
	if (plan_run(&user_lock, FCARG(0)) == 0)
		rental_raise(not_found, errmsg("no such user"), errfield("user_id"));
	if (DatumGetBool(plan_datum(0, 3)))
		rental_raise(invalid_state, errmsg("this account was erased"));
	was = plan_text(0, 1);
	if (role != NULL && strcmp(was, "vendor") == 0)
		rental_raise(invalid_state, errmsg("a member of a vendor's team leaves it first"), errfield("role"));
	if (strcmp(was, "admin") == 0 && DatumGetBool(plan_datum(0, 2)) &&
		(!is_active || (role != NULL && strcmp(role, "admin") != 0)) && plan_execute(&admins_lock, NULL, 0, false) < 2)
		rental_raise(conflict, errmsg("this is the last administrator"));
	plan_run(&user_set_access, FCARG(0), VALUE_OR_NULL(role ? CStringGetTextDatum(role) : (Datum) 0, role == NULL),
			 FCARG(2));
	user = user_row_datum(PG_GETARG_UUID_P(0));
	plan_close();
	return user;
}

/* Profiles */

static const char *const address_fields[] = {"recipient", "line1",	"line2",   "postal_code",
											 "city",	  "region", "country", NULL};

/* check_address reads an address strictly; an empty one is none. */
static NullableDatum
check_address(NullableDatum value)
{
	RequestObject address;
	char		 *country;
	int			  i;
	bool		  any = false;

	if (value.isnull)
		return value;
	address = request_whole("address", DatumGetJsonbP(value.value), address_fields);
	for (i = 0; address_fields[i] != NULL; i++)
		any |= request_string(&address, address_fields[i], false, 200) != NULL;
	if (!any)
		return NULLVALUE;
	request_string(&address, "line1", true, 200);
	request_string(&address, "city", true, 200);
	country = request_string(&address, "country", true, 2);
	if (strlen(country) != 2 || strspn(country, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 2)
		rental_raise(invalid_value, errmsg("country must be a code of ISO 3166, such as DE"),
					 errfield("address.country"));
	return value;
}

/* check_locale accepts a language, with a script and a region if need be, as in BCP 47: de, pt-BR, zh-Hant-TW. */
static void
check_locale(const char *locale)
{
	const char *s = locale;
	size_t		n = strspn(s, "abcdefghijklmnopqrstuvwxyz");

	if (n != 2 && n != 3)
		goto wrong;
	s += n;
	if (*s == '-' && strspn(s + 2, "abcdefghijklmnopqrstuvwxyz") == 3 && s[1] >= 'A' && s[1] <= 'Z')
		s += 5;
	if (*s == '-' && (strspn(s + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 2))
		s += 3;
	else if (*s == '-' && strspn(s + 1, "0123456789") == 3)
		s += 4;
	if (*s == '\0')
		return;
wrong:
	rental_raise(invalid_value, errmsg("locale must be a language tag, such as de or pt-BR"), errfield("locale"));
}

/* text_field is an optional text of a profile: null, or empty, is none. */
static NullableDatum
text_field(NullableDatum value, const char *field, int most)
{
	char *text = request_text(value, field, most);

	if (text == NULL || *text == '\0')
		return NULLVALUE;
	return VALUE(CStringGetTextDatum(text));
}

/*
 * profile_set(name, phone, address jsonb, avatar, locale, time_zone) of PUT,
 * and profile_update of PATCH, where null leaves a field as it is and an
 * empty text or object clears it
 */
static Datum
profile_write(FunctionCallInfo fcinfo, bool whole)
{
	const Actor	 *who = actor_require_user();
	NullableDatum fields[4] = {check_address(FCARG(2)), text_field(FCARG(3), "avatar", 2000),
							   text_field(FCARG(4), "locale", 20), text_field(FCARG(5), "time_zone", 60)};
	Datum		  user;
	int			  i;

	if (!fields[1].isnull && strncmp(TextDatumGetCString(fields[1].value), "https://", 8) != 0)
		rental_raise(invalid_value, errmsg("avatar must be a URL that begins with https://"), errfield("avatar"));
	if (!fields[2].isnull)
		check_locale(TextDatumGetCString(fields[2].value));
	if (!fields[3].isnull)
		period_zone(TextDatumGetCString(fields[3].value));
	user_me_write(fcinfo, whole);
	plan_open();
	if (!whole && plan_run(&profile_now, VALUE(UUIDPGetDatum(&who->user_id))) > 0)
		for (i = 0; i < 4; i++)
			if (PG_ARGISNULL(i + 2))
				fields[i] = plan_value(0, i + 1);
	plan_run(&profile_set, VALUE(UUIDPGetDatum(&who->user_id)), fields[0], fields[1], fields[2], fields[3]);
	plan_run(&profile_row, VALUE(UUIDPGetDatum(&who->user_id)));
	user = plan_keep(0, 1).value;
	plan_close();
	return user;
}

PG_FUNCTION_INFO_V1(profile_get);
Datum
profile_get(PG_FUNCTION_ARGS)
{
	const Actor *who = actor_require_user();
	Datum		 profile;

	plan_open();
	if (plan_read(&profile_row, VALUE(UUIDPGetDatum(&who->user_id))) == 0)
		rental_raise(not_found, errmsg("this account is gone"));
	profile = plan_keep(0, 1).value;
	plan_close();
	return profile;
}

PG_FUNCTION_INFO_V1(profile_replace);
Datum
profile_replace(PG_FUNCTION_ARGS)
{
	return profile_write(fcinfo, true);
}

PG_FUNCTION_INFO_V1(profile_update);
Datum
profile_update(PG_FUNCTION_ARGS)
{
	return profile_write(fcinfo, false);
}

PG_FUNCTION_INFO_V1(user_me);
Datum
user_me(PG_FUNCTION_ARGS)
{
	const Actor	 *who = actor_require_user();
	NullableDatum user;

	plan_open();
	user = VALUE(user_row_datum(&who->user_id));
	plan_close();
	return plan_return(fcinfo, user);
}

static Datum
new_account(FunctionCallInfo fcinfo, const char *role, const char *email, const char *password)
{
	Datum	  values[3] = {CStringGetTextDatum(role), CStringGetTextDatum(email), CStringGetTextDatum(password)};
	bool	  nulls[3] = {false};
	TupleDesc desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "a new account is a composite");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/* account_create(email text, name text, role text, vendor_id uuid) */
PG_FUNCTION_INFO_V1(account_create);
Datum
account_create(PG_FUNCTION_ARGS)
{
	char	  *email = identity_email(FCARG(0));
	char	  *name = request_required_text(FCARG(1), "name", 200);
	char	  *role = request_required_text(FCARG(2), "role", 20);
	char	  *password = secret_text(20);
	pg_uuid_t *user_id;

	actor_require_admin();
	request_word(role, "role", (const char *[]){"customer", "vendor", "admin", NULL});
	if ((strcmp(role, "vendor") == 0) == PG_ARGISNULL(3))
		rental_raise(invalid_value, errmsg("a vendor's account, and no other, has a vendor"), errfield("vendor_id"));
	plan_open();
	user_id = user_make(email, password, name, NULL, role);
	if (!PG_ARGISNULL(3))
	{
		if (plan_run(&vendor_row, FCARG(3)) == 0)
			rental_raise(not_found, errmsg("no such vendor"), errfield("vendor_id"));
		member_make(PG_GETARG_UUID_P(3), user_id);
	}
	plan_close();
	return new_account(fcinfo, role, email, password);
}

PG_FUNCTION_INFO_V1(admin_create);
Datum
admin_create(PG_FUNCTION_ARGS)
{
	char *email = identity_email(FCARG(0));
	char *password = secret_text(20);

	actor_require_admin();
	plan_open();
	user_make(email, password, "Administrator", NULL, "admin");
	plan_close();
	return new_account(fcinfo, "admin", email, password);
}
