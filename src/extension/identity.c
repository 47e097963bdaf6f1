/*
 * identity.c
 *	  Users, vendors and their teams: accounts, passwords, log-ins.
 *
 * Passwords are kept as Argon2id only, refresh tokens as SHA-256 only. The
 * access token is signed by the shim, which alone has the key: a log-in hands
 * it the claims in a header of the answer.
 */
#include "rental.h"

#include <argon2.h>

#include "actor.h"
#include "catalog/pg_collation.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "common/pg_prng.h"
#include "common/unicode_norm.h"
#include "errors.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "period.h"
#include "plan.h"
#include "request.h"
#include "response.h"
#include "slug.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/guc.h"
#include "utils/json.h"

#define REFRESH_BYTES  32
#define REFRESH_LIFE   (INT64CONST(30) * USECS_PER_DAY)
#define SALT_BYTES	   16
#define HASH_BYTES	   32
#define ENCODED_MOST   200
#define PASSWORD_LEAST 8
#define PASSWORD_MOST  128

static int argon2_memory;
static int argon2_passes;

PLAN(
	user_insert,
	"INSERT INTO rental.users (id, email, password_hash, name, phone, role, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7) "
	"ON CONFLICT (email) DO NOTHING",
	UUIDOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID);
PLAN(user_row, "SELECT u FROM rental.user_view u WHERE u.id = $1", UUIDOID);
PLAN(user_for_login,
	 "SELECT u.id, u.password_hash, u.role, m.vendor_id FROM rental.users u "
	 "LEFT JOIN rental.vendor_members m ON m.user_id = u.id WHERE u.email = $1 AND u.is_active",
	 TEXTOID);
PLAN(vendor_insert,
	 "INSERT INTO rental.vendors (id, name, slug, currency, time_zone, created_at) "
	 "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (slug) DO NOTHING",
	 UUIDOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID);
PLAN(member_insert,
	 "INSERT INTO rental.vendor_members (vendor_id, user_id, role, created_at) VALUES ($1, $2, 'owner', $3)", UUIDOID,
	 UUIDOID, TIMESTAMPTZOID);
PLAN(location_insert, "INSERT INTO rental.locations (vendor_id, name, created_at) VALUES ($1, 'Main', $2)", UUIDOID,
	 TIMESTAMPTZOID);
PLAN(session_insert,
	 "INSERT INTO rental.sessions (id, user_id, refresh_hash, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
	 UUIDOID, UUIDOID, BYTEAOID, TIMESTAMPTZOID, TIMESTAMPTZOID);
PLAN(
	session_rotate,
	"UPDATE rental.sessions s SET refresh_hash = $2 FROM rental.users u LEFT JOIN rental.vendor_members m ON m.user_id = u.id "
	"WHERE s.refresh_hash = $1 AND s.revoked_at IS NULL AND s.expires_at > $3 AND u.id = s.user_id AND u.is_active "
	"RETURNING s.id, s.user_id, u.role, m.vendor_id, s.expires_at",
	BYTEAOID, BYTEAOID, TIMESTAMPTZOID);
PLAN(session_revoke, "UPDATE rental.sessions SET revoked_at = $2 WHERE refresh_hash = $1 AND revoked_at IS NULL",
	 BYTEAOID, TIMESTAMPTZOID);
PLAN(vendor_row, "SELECT v FROM rental.vendor_view v WHERE v.id = $1", UUIDOID);

void
identity_init(void)
{
	DefineCustomIntVariable("rental.argon2_memory", "Memory of a password hash.", NULL, &argon2_memory, 19456, 8,
							1024 * 1024, PGC_SUSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("rental.argon2_passes", "Passes of a password hash over its memory.", NULL, &argon2_passes,
							2, 1, 100, PGC_SUSET, 0, NULL, NULL, NULL);
}

/* Text in its composed form (NFC), so that the same letters are the same bytes */
static char *
normalise(const char *text)
{
	int			   length = strlen(text);
	pg_wchar	  *wide = palloc((length + 1) * sizeof(pg_wchar));
	pg_wchar	  *composed;
	StringInfoData out;
	int			   i;

	if (GetDatabaseEncoding() != PG_UTF8)
		return pstrdup(text);
	wide[pg_mb2wchar_with_len(text, wide, length)] = 0;
	composed = unicode_normalize(UNICODE_NFC, wide);
	initStringInfo(&out);
	for (i = 0; composed[i] != 0; i++)
	{
		unsigned char utf8[MAX_MULTIBYTE_CHAR_LEN + 1] = {0};

		unicode_to_utf8(composed[i], utf8);
		appendBinaryStringInfo(&out, (char *) utf8, pg_utf_mblen(utf8));
	}
	return out.data;
}

static void
random_fill(unsigned char *to, int n)
{
	if (!pg_strong_random(to, n))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values")));
}

/* random_text is n characters out of 32, five random bits each. */
static char *
random_text(int n)
{
	static const char letters[] = "abcdefghjkmnpqrstuvwxyz23456789_";
	unsigned char	 *bytes = palloc(n);
	char			 *text = palloc(n + 1);
	int				  i;

	random_fill(bytes, n);
	for (i = 0; i < n; i++)
		text[i] = letters[bytes[i] & 31];
	text[n] = '\0';
	return text;
}

static char *
password_hash(const char *password)
{
	unsigned char salt[SALT_BYTES];
	char		 *encoded = palloc(ENCODED_MOST);
	int			  rc;

	random_fill(salt, SALT_BYTES);
	rc = argon2id_hash_encoded(argon2_passes, argon2_memory, 1, password, strlen(password), salt, SALT_BYTES,
							   HASH_BYTES, encoded, ENCODED_MOST);
	if (rc != ARGON2_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not hash a password: %s", argon2_error_message(rc))));
	return encoded;
}

/*
 * password_matches costs the same whether or not there is a hash to compare
 * with, so that nobody can find out by the time it takes who has an account.
 */
static bool
password_matches(const char *password, const char *hash)
{
	if (hash == NULL || strcmp(hash, "!") == 0)
	{
		password_hash(password);
		return false;
	}
	return argon2id_verify(hash, password, strlen(password)) == ARGON2_OK;
}

static char *
email_arg(NullableDatum value)
{
	char *email = request_required_text(value, "email", 254);
	char *at = strchr(email, '@');

	if (at == NULL || at == email || at[1] == '\0' || strchr(at + 1, '@') != NULL || strpbrk(email, " \t\r\n") != NULL)
		rental_raise(invalid_value, errmsg("this is not an e-mail address"), errfield("email"));
	email = normalise(email);
	return str_tolower(email, strlen(email), DEFAULT_COLLATION_OID);
}

static char *
password_arg(NullableDatum value)
{
	char *password;
	int	  length;

	request_required(value, "password");
	password = normalise(TextDatumGetCString(value.value));
	length = pg_mbstrlen(password);
	if (length < PASSWORD_LEAST || length > PASSWORD_MOST)
		rental_raise(invalid_value, errmsg("a password has %d to %d characters", PASSWORD_LEAST, PASSWORD_MOST),
					 errfield("password"));
	return password;
}

static pg_uuid_t *
user_make(const char *email, const char *password, const char *name, const char *phone, const char *role)
{
	pg_uuid_t *id = DatumGetUUIDP(uuid7_datum());

	if (plan_run(&user_insert, VALUE(UUIDPGetDatum(id)), VALUE(CStringGetTextDatum(email)),
				 VALUE(CStringGetTextDatum(password_hash(password))), VALUE(CStringGetTextDatum(normalise(name))),
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

/* Tokens: 32 random bytes in hexadecimal; the table has their SHA-256 */

static Datum
token_hash(const char *token)
{
	bytea			  *hash = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);

	SET_VARSIZE(hash, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	if (context == NULL || pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, (const uint8 *) token, strlen(token)) < 0 ||
		pg_cryptohash_final(context, (uint8 *) VARDATA(hash), PG_SHA256_DIGEST_LENGTH) < 0)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not compute SHA-256")));
	pg_cryptohash_free(context);
	return PointerGetDatum(hash);
}

static char *
token_make(void)
{
	unsigned char bytes[REFRESH_BYTES];
	char		 *token = palloc(2 * REFRESH_BYTES + 1);
	int			  i;

	random_fill(bytes, REFRESH_BYTES);
	for (i = 0; i < REFRESH_BYTES; i++)
		sprintf(token + 2 * i, "%02x", bytes[i]);
	return token;
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

	plan_run(&user_row, VALUE(UUIDPGetDatum(user_id)));
	values[0] = CStringGetTextDatum(refresh);
	values[1] = TimestampTzGetDatum(expires_at);
	values[2] = plan_datum(0, 1);
	return HeapTupleGetDatum(SPI_copytuple(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

static Datum
session_begin(FunctionCallInfo fcinfo, const pg_uuid_t *user_id, const char *role, NullableDatum vendor_id)
{
	pg_uuid_t  *id = DatumGetUUIDP(uuid7_datum());
	char	   *refresh = token_make();
	TimestampTz now = rental_now();

	plan_run(&session_insert, VALUE(UUIDPGetDatum(id)), VALUE(UUIDPGetDatum(user_id)), VALUE(token_hash(refresh)),
			 VALUE(TimestampTzGetDatum(now)), VALUE(TimestampTzGetDatum(now + REFRESH_LIFE)));
	return session_answer(fcinfo, id, user_id, role, vendor_id, refresh, now + REFRESH_LIFE);
}

PG_FUNCTION_INFO_V1(auth_signup);
Datum
auth_signup(PG_FUNCTION_ARGS)
{
	char		 *email = email_arg(FCARG(0));
	char		 *password = password_arg(FCARG(1));
	char		 *name = request_required_text(FCARG(2), "name", 200);
	char		 *role = request_required_text(FCARG(3), "role", 20);
	char		 *phone = request_text(FCARG(4), "phone", 40);
	pg_uuid_t	 *user_id;
	NullableDatum vendor_id = NULLVALUE;
	bool		  is_vendor = strcmp(role, "vendor") == 0;
	Datum		  result;

	if (!is_vendor && strcmp(role, "customer") != 0)
		rental_raise(invalid_value, errmsg("role must be customer or vendor"), errfield("role"));
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
	result = session_begin(fcinfo, user_id, role, vendor_id);
	plan_close();
	return result;
}

PG_FUNCTION_INFO_V1(auth_login);
Datum
auth_login(PG_FUNCTION_ARGS)
{
	char *email = email_arg(FCARG(0));
	char *password;
	bool  known;
	Datum result;

	request_required(FCARG(1), "password");
	password = normalise(TextDatumGetCString(PG_GETARG_DATUM(1)));
	plan_open();
	known = plan_run(&user_for_login, VALUE(CStringGetTextDatum(email))) > 0;
	if (!password_matches(password, known ? plan_text(0, 2) : NULL))
		rental_raise(invalid_credentials, errmsg("the e-mail address or the password is wrong"));
	result = session_begin(fcinfo, DatumGetUUIDP(plan_datum(0, 1)), plan_text(0, 3), plan_value(0, 4));
	plan_close();
	return result;
}

PG_FUNCTION_INFO_V1(auth_refresh);
Datum
auth_refresh(PG_FUNCTION_ARGS)
{
	char *old = request_required_text(FCARG(0), "refresh", 200);
	char *refresh = token_make();
	Datum result;

	plan_open();
	if (plan_run(&session_rotate, VALUE(token_hash(old)), VALUE(token_hash(refresh)),
				 VALUE(TimestampTzGetDatum(rental_now()))) == 0)
		rental_raise(invalid_token, errmsg("the refresh token is not good any more"));
	result = session_answer(fcinfo, DatumGetUUIDP(plan_datum(0, 1)), DatumGetUUIDP(plan_datum(0, 2)), plan_text(0, 3),
							plan_value(0, 4), refresh, DatumGetTimestampTz(plan_datum(0, 5)));
	plan_close();
	return result;
}

PG_FUNCTION_INFO_V1(auth_logout);
Datum
auth_logout(PG_FUNCTION_ARGS)
{
	char *refresh = request_required_text(FCARG(0), "refresh", 200);

	plan_open();
	plan_run(&session_revoke, VALUE(token_hash(refresh)), VALUE(TimestampTzGetDatum(rental_now())));
	plan_close();
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(user_me);
Datum
user_me(PG_FUNCTION_ARGS)
{
	const Actor	 *who = actor_require_user();
	NullableDatum user;

	plan_open();
	if (plan_read(&user_row, VALUE(UUIDPGetDatum(&who->user_id))) == 0)
		rental_raise(not_found, errmsg("this account is gone"));
	user = plan_keep(0, 1);
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
	char	  *email = email_arg(FCARG(0));
	char	  *name = request_required_text(FCARG(1), "name", 200);
	char	  *role = request_required_text(FCARG(2), "role", 20);
	char	  *password = random_text(20);
	pg_uuid_t *user_id;

	actor_require_admin();
	if (strcmp(role, "customer") != 0 && strcmp(role, "vendor") != 0 && strcmp(role, "admin") != 0)
		rental_raise(invalid_value, errmsg("role must be customer, vendor or admin"), errfield("role"));
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
	char *email = email_arg(FCARG(0));
	char *password = random_text(20);

	actor_require_admin();
	plan_open();
	user_make(email, password, "Administrator", NULL, "admin");
	plan_close();
	return new_account(fcinfo, "admin", email, password);
}
