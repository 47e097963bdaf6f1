/*-------------------------------------------------------------------------
 *
 * auth.c
 *	  Access tokens: who is calling.
 *
 * Owns the signing keys.  A token is a JWT (RFC 7519) of the one form that
 * auth_mint() gives it: HS256, type at+jwt (RFC 9068), nothing else in its
 * header.  libjwt is of no use here, since it insists on the type "JWT",
 * compares signatures by strcmp() and checks no claim; what remains of a JWT
 * is an HMAC of libcrypto and two JSON objects.  A token or a key never goes
 * to a log.  Knows neither HTTP nor libpq.
 *
 *-------------------------------------------------------------------------
 */
#include "auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define TOKEN_MAX_LENGTH  4096
#define TOKEN_TYPE		  "at+jwt"
#define TOKEN_HEADER	  "{\"alg\":\"HS256\",\"typ\":\"" TOKEN_TYPE "\"}"
#define SIGNATURE_LENGTH  32
#define NOT_BEFORE_LEEWAY 5 /* seconds that two machines' clocks may differ */
#define MAX_KEYS		  2

static const char *keys[MAX_KEYS]; /* the first one signs */
static int		   nkeys;
static const char *issuer;
static const char *audience;
static int		   access_ttl;

void
auth_init(const Config *config)
{
	keys[nkeys++] = config->jwt_secret;
	if (config->jwt_previous_secret)
		keys[nkeys++] = config->jwt_previous_secret;
	issuer = config->jwt_issuer;
	audience = config->jwt_audience;
	access_ttl = config->access_ttl;
}

/* load_part decodes one part of a token into a JSON object, or returns NULL. */
static json_t *
load_part(const char *part, size_t len)
{
	char	decoded[TOKEN_MAX_LENGTH];
	ssize_t decoded_len = text_base64url_decode(decoded, part, len);
	json_t *object;

	if (decoded_len == TEXT_INVALID)
		return NULL;
	object = json_loadb(decoded, (size_t) decoded_len, JSON_REJECT_DUPLICATES, NULL);
	if (object && !json_is_object(object))
	{
		json_decref(object);
		return NULL;
	}
	return object;
}

static bool
text_claim_is(const json_t *claims, const char *name, const char *expected)
{
	const char *value = json_string_value(json_object_get(claims, name));

	return value && strcmp(value, expected) == 0;
}

/* header_is_ours: exactly the two fields of our own tokens, so no crit, kid, jwk, jku, x5u. */
static bool
header_is_ours(const char *part, size_t len)
{
	json_t *header = load_part(part, len);
	bool	ours = header && json_object_size(header) == 2 && text_claim_is(header, "alg", "HS256") &&
				text_claim_is(header, "typ", TOKEN_TYPE);

	json_decref(header);
	return ours;
}

static bool
sign(const char *key, const char *text, size_t len, unsigned char signature[SIGNATURE_LENGTH])
{
	unsigned int signature_len = SIGNATURE_LENGTH;

	return HMAC(EVP_sha256(), key, (int) strlen(key), (const unsigned char *) text, len, signature, &signature_len) !=
		   NULL;
}

/* signature_is_valid: the last part signs the two before it, with one of the keys. */
static bool
signature_is_valid(const char *text, size_t text_len, const char *part, size_t part_len)
{
	char given[TOKEN_MAX_LENGTH];
	bool valid = false;

	if (text_base64url_decode(given, part, part_len) != SIGNATURE_LENGTH)
		return false;
	for (int i = 0; i < nkeys; i++)
	{
		unsigned char signature[SIGNATURE_LENGTH];

		if (sign(keys[i], text, text_len, signature) && CRYPTO_memcmp(signature, given, SIGNATURE_LENGTH) == 0)
			valid = true;
	}
	return valid;
}

/* copy_uuid takes a claim that is a UUID; an optional one may be null or absent. */
static bool
copy_uuid(const json_t *claims, const char *name, bool required, char target[UUID_LENGTH + 1])
{
	const json_t *claim = json_object_get(claims, name);
	size_t		  len = json_string_length(claim);

	target[0] = '\0';
	if (claim == NULL || json_is_null(claim))
		return !required;
	if (!json_is_string(claim) || !text_is_uuid(json_string_value(claim), len))
		return false;
	memcpy(target, json_string_value(claim), len + 1);
	return true;
}

static AuthResult
read_claims(const json_t *claims, Actor *actor)
{
	const json_t *expires = json_object_get(claims, "exp");
	const json_t *not_before = json_object_get(claims, "nbf");
	const json_t *role = json_object_get(claims, "role");
	time_t		  now = time(NULL);

	if (!text_claim_is(claims, "iss", issuer) || !text_claim_is(claims, "aud", audience) || !json_is_integer(expires) ||
		(not_before && !json_is_integer(not_before)))
		return AUTH_INVALID;
	if (json_integer_value(expires) <= now)
		return AUTH_EXPIRED;
	if (not_before && json_integer_value(not_before) > now + NOT_BEFORE_LEEWAY)
		return AUTH_INVALID;
	if (!json_is_string(role) || json_string_length(role) == 0 || json_string_length(role) > ROLE_MAX_LENGTH ||
		!copy_uuid(claims, "sub", true, actor->user_id) || !copy_uuid(claims, "vendor", false, actor->vendor_id) ||
		!copy_uuid(claims, "sid", false, actor->session_id))
		return AUTH_INVALID;
	memcpy(actor->role, json_string_value(role), json_string_length(role) + 1);
	actor->known = true;
	return AUTH_VALID;
}

/*
 * auth_verify reads the value of an Authorization header.  The signature is
 * checked before any claim is believed, expiry included.
 */
AuthResult
auth_verify(const char *header, size_t len, Actor *actor)
{
	const char *token = header + 7;
	const char *end = header + len;
	const char *first;
	const char *second;
	AuthResult	result;
	json_t	   *claims;

	if (len <= 7 || len > 7 + TOKEN_MAX_LENGTH || strncasecmp(header, "Bearer ", 7) != 0)
		return AUTH_INVALID;
	first = memchr(token, '.', (size_t) (end - token));
	second = first ? memchr(first + 1, '.', (size_t) (end - first - 1)) : NULL;
	if (second == NULL || !header_is_ours(token, (size_t) (first - token)) ||
		!signature_is_valid(token, (size_t) (second - token), second + 1, (size_t) (end - second - 1)))
		return AUTH_INVALID;
	claims = load_part(first + 1, (size_t) (second - first - 1));
	result = claims ? read_claims(claims, actor) : AUTH_INVALID;
	json_decref(claims);
	return result;
}

bool
auth_allows(const Endpoint *endpoint, const Actor *actor)
{
	if (endpoint->is_public || (endpoint->any_user && actor->known))
		return true;
	for (const char **role = endpoint->roles; *role; role++)
	{
		if (actor->known && strcmp(*role, actor->role) == 0)
			return true;
	}
	return false;
}

/* append_part adds base64url of the bytes, without padding. */
static char *
append_part(char *target, const void *bytes, size_t len)
{
	int written = EVP_EncodeBlock((unsigned char *) target, bytes, (int) len);

	while (written > 0 && target[written - 1] == '=')
		written--;
	for (int i = 0; i < written; i++)
	{
		if (target[i] == '+')
			target[i] = '-';
		else if (target[i] == '/')
			target[i] = '_';
	}
	target[written] = '\0';
	return target + written;
}

/*
 * auth_mint signs an access token with the claims that the database gave as
 * a JSON object, and with those that are the server's to set, which win.
 * Returns a string that the caller frees, or NULL if the claims will not do.
 */
char *
auth_mint(const char *claims, size_t len)
{
	json_t		 *object = json_loadb(claims, len, JSON_REJECT_DUPLICATES, NULL);
	time_t		  now = time(NULL);
	unsigned char random[16];
	unsigned char signature[SIGNATURE_LENGTH];
	char		  id[2 * sizeof(random) + 1];
	char		 *payload;
	char		 *token = NULL;

	if (!json_is_object(object) || getrandom(random, sizeof(random), 0) != sizeof(random))
	{
		json_decref(object);
		return NULL;
	}
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(id + 2 * i, 3, "%02x", random[i]);
	json_object_set_new(object, "iss", json_string(issuer));
	json_object_set_new(object, "aud", json_string(audience));
	json_object_set_new(object, "iat", json_integer(now));
	json_object_set_new(object, "exp", json_integer(now + access_ttl));
	json_object_set_new(object, "jti", json_string(id));
	payload = json_dumps(object, JSON_COMPACT);
	json_decref(object);

	if (payload && strlen(payload) < TOKEN_MAX_LENGTH / 2 && (token = malloc(TOKEN_MAX_LENGTH)) != NULL)
	{
		char *end = append_part(token, TOKEN_HEADER, strlen(TOKEN_HEADER));

		*end++ = '.';
		end = append_part(end, payload, strlen(payload));
		if (sign(keys[0], token, (size_t) (end - token), signature))
		{
			*end++ = '.';
			append_part(end, signature, sizeof(signature));
		}
		else
		{
			free(token);
			token = NULL;
		}
	}
	free(payload);
	return token;
}
