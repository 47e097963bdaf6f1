/*-------------------------------------------------------------------------
 *
 * auth.c
 *	  Access tokens: who is calling, and what a caller may call.
 *
 * Owns the keys, the tokens that were found good, and the numbers of the tags
 * that scopes are made of.  A token is a JWT (RFC 7519) of the one form that
 * auth_mint() gives it: HS256, type at+jwt (RFC 9068), nothing else in its
 * header; or, if a JWKS names public keys, of RS256 or EdDSA with the name
 * of one of them.  libjwt is of no use here, since it insists on the type "JWT",
 * compares signatures by strcmp() and checks no claim; what remains of a JWT
 * is an HMAC of libcrypto and two JSON objects.  A token or a key never goes
 * to a log.  Knows neither HTTP nor libpq.
 *
 *-------------------------------------------------------------------------
 */
#include "auth.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>

#include "hash.h"

#define TOKEN_MAX_LENGTH  4096
#define TOKEN_TYPE		  "at+jwt"
#define TOKEN_HEADER	  "{\"alg\":\"HS256\",\"typ\":\"" TOKEN_TYPE "\"}"
#define SIGNATURE_LENGTH  32
#define NOT_BEFORE_LEEWAY 5 /* seconds that two machines' clocks may differ */
#define MAX_SECRETS		  2
#define MAX_PUBLIC_KEYS	  16
#define RSA_LEAST_BITS	  2048
#define REMEMBERED		  1024 /* tokens of a thread */
#define KIND_TOKEN		  9
#define OTHER_TAGS		  63 /* the number of all tags beyond the first ones; only the scope * reaches them */
#define ALL_TAGS		  UINT64_MAX

/* a public key of somebody who signs tokens beside us */
typedef struct PublicKey
{
	char	 *id;
	EVP_PKEY *key;
	bool	  is_rsa;
} PublicKey;

typedef struct KeyRing
{
	char	 *secrets[MAX_SECRETS]; /* the first one signs */
	int		  nsecrets;
	PublicKey publics[MAX_PUBLIC_KEYS];
	int		  npublics;
} KeyRing;

/* a token that has been found good, so that it need not be taken apart at each request */
typedef struct Remembered
{
	char	*token; /* or NULL */
	size_t	 len;
	unsigned generation;
	Actor	 actor;
} Remembered;

static pthread_rwlock_t		ring_lock = PTHREAD_RWLOCK_INITIALIZER;
static KeyRing				ring;
static _Atomic unsigned		ring_generation; /* of the keys: with others a token may be good no more */
static __thread Remembered *remembered;
static const char		   *issuer;
static const char		   *audience;
static int					access_ttl;

static void
ring_free(KeyRing *old)
{
	for (int i = 0; i < old->nsecrets; i++)
	{
		OPENSSL_cleanse(old->secrets[i], strlen(old->secrets[i]));
		free(old->secrets[i]);
	}
	for (int i = 0; i < old->npublics; i++)
	{
		free(old->publics[i].id);
		EVP_PKEY_free(old->publics[i].key);
	}
}

/* key_bytes decodes a member of a JWK; returns its length, or -1. */
static int
key_bytes(const json_t *jwk, const char *name, char *target, size_t size)
{
	const char *text = json_string_value(json_object_get(jwk, name));

	if (text == NULL || strlen(text) > size)
		return -1;
	return (int) text_base64url_decode(target, text, strlen(text));
}

static EVP_PKEY *
rsa_key(const json_t *jwk)
{
	char			modulus[1024];
	char			exponent[16];
	int				modulus_len = key_bytes(jwk, "n", modulus, sizeof(modulus));
	int				exponent_len = key_bytes(jwk, "e", exponent, sizeof(exponent));
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	BIGNUM		   *n = NULL;
	BIGNUM		   *e = NULL;
	OSSL_PARAM	   *params = NULL;
	EVP_PKEY_CTX   *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	EVP_PKEY	   *key = NULL;

	if (modulus_len >= RSA_LEAST_BITS / 8 && exponent_len > 0 && builder && context)
	{
		n = BN_bin2bn((unsigned char *) modulus, modulus_len, NULL);
		e = BN_bin2bn((unsigned char *) exponent, exponent_len, NULL);
		if (n && e && BN_num_bits(n) >= RSA_LEAST_BITS && OSSL_PARAM_BLD_push_BN(builder, "n", n) &&
			OSSL_PARAM_BLD_push_BN(builder, "e", e) && (params = OSSL_PARAM_BLD_to_param(builder)) != NULL &&
			EVP_PKEY_fromdata_init(context) == 1)
			EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params);
	}
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(builder);
	EVP_PKEY_CTX_free(context);
	BN_free(n);
	BN_free(e);
	return key;
}

static bool
member_is(const json_t *object, const char *name, const char *expected)
{
	const char *value = json_string_value(json_object_get(object, name));

	return value && strcmp(value, expected) == 0;
}

/* load_public_key reads one JWK; false: it is of no kind that is known here. */
static bool
load_public_key(const json_t *jwk, PublicKey *public)
{
	const char *id = json_string_value(json_object_get(jwk, "kid"));
	char		raw[64];

	public->key = NULL;
	public->is_rsa = member_is(jwk, "kty", "RSA");
	if (id == NULL || *id == '\0')
		return false;
	if (public->is_rsa)
	public->key = rsa_key(jwk);
	else if (member_is(jwk, "kty", "OKP") && member_is(jwk, "crv", "Ed25519") &&
			 key_bytes(jwk, "x", raw, sizeof(raw)) == 32) public->key =
		EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (unsigned char *) raw, 32);
	if (public->key)
	public->id = strdup(id);
	return public->key != NULL;
}

static const char *
load_jwks(const char *path, KeyRing *keys)
{
	json_t	   *document = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
	json_t	   *list = json_object_get(document, "keys");
	const char *problem = NULL;

	if (json_array_size(list) == 0)
		problem = "RENTAL_JWKS_FILE is not a readable JWKS with keys";
	for (size_t i = 0; i < json_array_size(list) && problem == NULL; i++)
	{
		if (keys->npublics == MAX_PUBLIC_KEYS)
			problem = "RENTAL_JWKS_FILE has too many keys";
		else if (load_public_key(json_array_get(list, i), &keys->publics[keys->npublics]))
			keys->npublics++;
		else
			problem = "RENTAL_JWKS_FILE: a key is not RSA of 2048 bits or more, or Ed25519, with a kid";
	}
	json_decref(document);
	return problem;
}

/*
 * auth_reload reads the keys again. Returns NULL, or what is wrong, and then
 * the keys stay what they were.
 */
const char *
auth_reload(const Config *config)
{
	static const char *const variables[MAX_SECRETS] = {"RENTAL_JWT_SECRET", "RENTAL_JWT_PREVIOUS_SECRET"};
	static char				 problem[256];
	KeyRing					 fresh = {0};
	KeyRing					 old;
	const char				*flaw = NULL;

	for (int i = 0; i < MAX_SECRETS && flaw == NULL; i++)
	{
		char *secret = config_secret(variables[i], problem);

		if (secret)
			fresh.secrets[fresh.nsecrets++] = secret;
		else if (problem[0] != '\0')
			flaw = problem;
		else if (i == 0)
			flaw = "RENTAL_JWT_SECRET is not set";
	}
	if (flaw == NULL && config->jwks_file)
		flaw = load_jwks(config->jwks_file, &fresh);
	if (flaw)
	{
		ring_free(&fresh);
		return flaw;
	}
	pthread_rwlock_wrlock(&ring_lock);
	old = ring;
	ring = fresh;
	ring_generation++;
	pthread_rwlock_unlock(&ring_lock);
	ring_free(&old);
	return NULL;
}

const char *
auth_init(const Config *config)
{
	issuer = config->jwt_issuer;
	audience = config->jwt_audience;
	access_ttl = config->access_ttl;
	return auth_reload(config);
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
sign(const char *key, const char *text, size_t len, unsigned char signature[SIGNATURE_LENGTH])
{
	unsigned int signature_len = SIGNATURE_LENGTH;

	return HMAC(EVP_sha256(), key, (int) strlen(key), (const unsigned char *) text, len, signature, &signature_len) !=
		   NULL;
}

/* secret_signed: one of our own keys has signed the text. */
static bool
secret_signed(const char *text, size_t text_len, const char *given)
{
	bool valid = false;

	for (int i = 0; i < ring.nsecrets; i++)
	{
		unsigned char signature[SIGNATURE_LENGTH];

		if (sign(ring.secrets[i], text, text_len, signature) && CRYPTO_memcmp(signature, given, SIGNATURE_LENGTH) == 0)
			valid = true;
	}
	return valid;
}

/* public_signed: the public key of that name, which is for that algorithm, verifies the signature. */
static bool
public_signed(const json_t *header, const char *text, size_t text_len, const char *given, size_t given_len)
{
	bool		is_rsa = member_is(header, "alg", "RS256");
	bool		valid = false;
	EVP_MD_CTX *context;

	if (!is_rsa && !member_is(header, "alg", "EdDSA"))
		return false;
	for (int i = 0; i < ring.npublics; i++)
	{
		const PublicKey *public = &ring.publics[i];

		if (public->is_rsa != is_rsa || !member_is(header, "kid", public->id))
			continue;
		context = EVP_MD_CTX_new();
		if (context && EVP_DigestVerifyInit(context, NULL, is_rsa ? EVP_sha256() : NULL, NULL, public->key) == 1 &&
			EVP_DigestVerify(context, (const unsigned char *) given, given_len, (const unsigned char *) text,
							 text_len) == 1)
			valid = true;
		EVP_MD_CTX_free(context);
	}
	return valid;
}

/*
 * signature_is_valid: the header is exactly that of our own tokens, or names
 * nothing but one of the public keys; so no crit, jwk, jku, x5u. The
 * algorithm belongs to the key, never the other way round.
 */
static bool
signature_is_valid(const char *text, size_t header_len, size_t text_len, const char *part, size_t part_len)
{
	char	given[TOKEN_MAX_LENGTH];
	ssize_t given_len = text_base64url_decode(given, part, part_len);
	json_t *header;
	bool	valid = false;

	if (given_len == TEXT_INVALID || (header = load_part(text, header_len)) == NULL)
		return false;
	pthread_rwlock_rdlock(&ring_lock);
	if (!member_is(header, "typ", TOKEN_TYPE))
		valid = false;
	else if (json_object_size(header) == 2)
		valid =
			member_is(header, "alg", "HS256") && given_len == SIGNATURE_LENGTH && secret_signed(text, text_len, given);
	else if (json_object_size(header) == 3)
		valid = public_signed(header, text, text_len, given, (size_t) given_len);
	pthread_rwlock_unlock(&ring_lock);
	json_decref(header);
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
	const json_t *issued = json_object_get(claims, "iat");
	const json_t *role = json_object_get(claims, "role");
	time_t		  now = time(NULL);

	if (!member_is(claims, "iss", issuer) || !member_is(claims, "aud", audience) || !json_is_integer(expires) ||
		(not_before && !json_is_integer(not_before)) || (issued && !json_is_integer(issued)))
		return AUTH_INVALID;
	if (json_integer_value(expires) <= now)
		return AUTH_EXPIRED;
	if (not_before && json_integer_value(not_before) > now + NOT_BEFORE_LEEWAY)
		return AUTH_INVALID;
	if (!json_is_string(role) || json_string_length(role) == 0 || json_string_length(role) > ROLE_MAX_LENGTH ||
		strspn(json_string_value(role), "abcdefghijklmnopqrstuvwxyz") != json_string_length(role) ||
		!copy_uuid(claims, "sub", true, actor->user_id) || !copy_uuid(claims, "vendor", false, actor->vendor_id) ||
		!copy_uuid(claims, "sid", false, actor->session_id))
		return AUTH_INVALID;
	memcpy(actor->role, json_string_value(role), json_string_length(role) + 1);
	actor->issued_at = issued ? json_integer_value(issued) : 0;
	actor->expires_at = json_integer_value(expires);
	actor->key_id[0] = '\0';
	actor->may_read = actor->may_write = ALL_TAGS;
	actor->rate_limit = 0;
	actor->known = true;
	return AUTH_VALID;
}

/* verify: the signature is checked before any claim is believed, expiry included. */
static AuthResult
verify(const char *token, size_t len, Actor *actor)
{
	const char *end = token + len;
	const char *first = memchr(token, '.', len);
	const char *second = first ? memchr(first + 1, '.', (size_t) (end - first - 1)) : NULL;
	AuthResult	result;
	json_t	   *claims;

	if (second == NULL || !signature_is_valid(token, (size_t) (first - token), (size_t) (second - token), second + 1,
											  (size_t) (end - second - 1)))
		return AUTH_INVALID;
	claims = load_part(first + 1, (size_t) (second - first - 1));
	result = claims ? read_claims(claims, actor) : AUTH_INVALID;
	json_decref(claims);
	return result;
}

/* remembered_of is where a token is, if it is remembered. */
static Remembered *
remembered_of(const char *token, size_t len)
{
	if (remembered == NULL && (remembered = calloc(REMEMBERED, sizeof(*remembered))) == NULL)
		return NULL;
	return &remembered[hash_bytes(token, len, KIND_TOKEN) % REMEMBERED];
}

static void
remember(Remembered *place, const char *token, size_t len, unsigned generation, const Actor *actor)
{
	char *copy = malloc(len);

	if (copy == NULL)
		return;
	memcpy(copy, token, len);
	free(place->token);
	place->token = copy;
	place->len = len;
	place->generation = generation;
	place->actor = *actor;
}

/*
 * auth_verify reads the value of an Authorization header. What has been found
 * good is good until it expires, as long as the keys are the same; whether its
 * session was ended is asked elsewhere, each time.
 */
AuthResult
auth_verify(const char *header, size_t len, Actor *actor)
{
	const char *token = header + 7;
	unsigned	generation = ring_generation;
	Remembered *place;
	AuthResult	result;

	if (len <= 7 || len > 7 + TOKEN_MAX_LENGTH || strncasecmp(header, "Bearer ", 7) != 0)
		return AUTH_INVALID;
	len -= 7;
	place = remembered_of(token, len);
	if (place && place->token && place->generation == generation && place->len == len &&
		CRYPTO_memcmp(place->token, token, len) == 0)
	{
		*actor = place->actor;
		return actor->expires_at <= time(NULL) ? AUTH_EXPIRED : AUTH_VALID;
	}
	result = verify(token, len, actor);
	if (place && result == AUTH_VALID)
		remember(place, token, len, generation, actor);
	return result;
}

/* auth_tag is the number of a tag, the same as long as the program runs. */
int
auth_tag(const char *tag, size_t len)
{
	static pthread_mutex_t tag_lock = PTHREAD_MUTEX_INITIALIZER;
	static char			  *tags[OTHER_TAGS];
	static int			   ntags;
	int					   number = 0;

	pthread_mutex_lock(&tag_lock);
	while (number < ntags && (strlen(tags[number]) != len || memcmp(tags[number], tag, len) != 0))
		number++;
	if (number == ntags && ntags < OTHER_TAGS && (tags[number] = strndup(tag, len)) != NULL)
		ntags++;
	else if (number == ntags)
		number = OTHER_TAGS;
	pthread_mutex_unlock(&tag_lock);
	return number;
}

/* auth_set_scopes reads the scopes of an API key, like "orders:read *:write". What it does not know allows nothing. */
void
auth_set_scopes(Actor *actor, const char *scopes)
{
	actor->may_read = actor->may_write = 0;
	while (*scopes != '\0')
	{
		size_t	 len = strcspn(scopes, " ");
		size_t	 tag_len = strcspn(scopes, ": ");
		uint64_t bits = ALL_TAGS;

		if (tag_len != 1 || *scopes != '*')
		{
			int number = auth_tag(scopes, tag_len);

			bits = number == OTHER_TAGS ? 0 : (uint64_t) 1 << number;
		}
		if (len - tag_len == strlen(":read") && memcmp(scopes + tag_len, ":read", len - tag_len) == 0)
			actor->may_read |= bits;
		else if (len - tag_len == strlen(":write") && memcmp(scopes + tag_len, ":write", len - tag_len) == 0)
			actor->may_write |= bits;
		scopes += len + strspn(scopes + len, " ");
	}
}

/* auth_allows decides by scopes and roles who may call an endpoint. */
bool
auth_allows(const Endpoint *endpoint, const Actor *actor)
{
	uint64_t may = endpoint->method == METHOD_GET ? actor->may_read : actor->may_write;

	if (actor->known && !(may >> endpoint->tag & 1))
		return false;
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
		bool  is_signed;

		*end++ = '.';
		end = append_part(end, payload, strlen(payload));
		pthread_rwlock_rdlock(&ring_lock);
		is_signed = sign(ring.secrets[0], token, (size_t) (end - token), signature);
		pthread_rwlock_unlock(&ring_lock);
		if (is_signed)
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
