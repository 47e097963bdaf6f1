/*
 * secret.c
 *	  Random values and hashes of secrets: tokens are shown once and kept as SHA-256.
 */
#include "secret.h"

#include "common/cryptohash.h"
#include "common/hmac.h"
#include "common/sha2.h"

/* secret_fill takes strong random bytes from the system. */
void
secret_fill(unsigned char *to, int n)
{
	if (!pg_strong_random(to, n))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values")));
}

/* secret_text is n characters out of 32, five random bits each, for people to type. */
char *
secret_text(int n)
{
	static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789";
	unsigned char	 *bytes = palloc(n);
	char			 *text = palloc(n + 1);
	int				  i;

	secret_fill(bytes, n);
	for (i = 0; i < n; i++)
		text[i] = letters[bytes[i] & 31];
	text[n] = '\0';
	return text;
}

static char *
hexadecimal(const unsigned char *bytes, int n)
{
	char *text = palloc(2 * n + 1);
	int	  i;

	for (i = 0; i < n; i++)
		sprintf(text + 2 * i, "%02x", bytes[i]);
	return text;
}

/* secret_token is 32 random bytes in hexadecimal, for programs. */
char *
secret_token(void)
{
	unsigned char bytes[SECRET_BYTES];

	secret_fill(bytes, SECRET_BYTES);
	return hexadecimal(bytes, SECRET_BYTES);
}

bytea *
secret_sha256(const char *data, size_t len)
{
	bytea			  *hash = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);

	SET_VARSIZE(hash, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	if (context == NULL || pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, (const uint8 *) data, len) < 0 ||
		pg_cryptohash_final(context, (uint8 *) VARDATA(hash), PG_SHA256_DIGEST_LENGTH) < 0)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not compute SHA-256")));
	pg_cryptohash_free(context);
	return hash;
}

/* secret_hmac is the HMAC-SHA-256 of a text, in hexadecimal. */
char *
secret_hmac(const bytea *key, const char *text)
{
	unsigned char mac[PG_SHA256_DIGEST_LENGTH];
	pg_hmac_ctx	 *context = pg_hmac_create(PG_SHA256);

	if (context == NULL || pg_hmac_init(context, (const uint8 *) VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key)) < 0 ||
		pg_hmac_update(context, (const uint8 *) text, strlen(text)) < 0 || pg_hmac_final(context, mac, sizeof(mac)) < 0)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not compute HMAC-SHA-256")));
	pg_hmac_free(context);
	return hexadecimal(mac, sizeof(mac));
}

/*
 * secret_successor makes the token that follows another, by HMAC-SHA-256 with
 * a random key: whoever has the token but not the key cannot tell it, and
 * the database, which has only the key and hashes, neither; yet the same
 * token has the same successor each time.
 */
char *
secret_successor(const bytea *key, const char *token)
{
	return secret_hmac(key, token);
}
