/*-------------------------------------------------------------------------
 *
 * hash.c
 *	  A keyed hash for tables in memory, not for secrets; and SHA-256.
 *
 * The key is random in each process, so that nobody outside can choose what
 * collides. Eight bytes at a time are folded by a multiplication to 128
 * bits.
 *
 *-------------------------------------------------------------------------
 */
#include "hash.h"

#include <string.h>
#include <sys/random.h>

#include <h2o/memory.h>
#include <openssl/evp.h>

static uint64_t key[3];

void
hash_init(void)
{
	if (getrandom(key, sizeof(key), 0) != sizeof(key))
		h2o_fatal("no random numbers");
	key[2] |= 1;
}

/* hash_sha256 keeps what OpenSSL would look up by name at each call. */
void
hash_sha256(const void *data, size_t len, unsigned char digest[SHA256_LENGTH])
{
	static __thread EVP_MD_CTX *context;
	static __thread EVP_MD	   *sha256;

	if (context == NULL)
	{
		context = EVP_MD_CTX_new();
		sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	}
	if (!EVP_DigestInit_ex2(context, sha256, NULL) || !EVP_DigestUpdate(context, data, len) ||
		!EVP_DigestFinal_ex(context, digest, NULL))
		h2o_fatal("cannot compute SHA-256");
}

static uint64_t
fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128) a * b;

	return (uint64_t) product ^ (uint64_t) (product >> 64);
}

/* hash_bytes: values of different kinds do not meet. */
uint64_t
hash_bytes(const void *data, size_t len, uint64_t kind)
{
	const char *at = data;
	uint64_t	hash = key[0] ^ fold(kind ^ key[1], len ^ key[2]);

	while (len > 0)
	{
		uint64_t word = 0;
		size_t	 part = len < sizeof(word) ? len : sizeof(word);

		memcpy(&word, at, part);
		hash = fold(hash ^ word ^ key[1], key[2] ^ (hash << 1));
		at += part;
		len -= part;
	}
	return fold(hash ^ key[0], key[1] | 1);
}
