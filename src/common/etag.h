/*
 * etag.h
 *	  Entity tags, which the server makes and the database compares.
 *
 * A tag is the XXH3-128 of the body, in hexadecimal; that of a compressed
 * answer has a suffix of three characters.
 */
#ifndef RENTAL_ETAG_H
#define RENTAL_ETAG_H

#define XXH_INLINE_ALL
#include <xxhash.h>

#define RENTAL_ETAG_LENGTH 32
#define RENTAL_ETAG_GZIP   "-gz"
#define RENTAL_ETAG_BROTLI "-br"

/* rental_etag writes the tag of a body, with a zero at its end. */
static inline void
rental_etag(const void *body, size_t len, char tag[RENTAL_ETAG_LENGTH + 1])
{
	static const char  hex[] = "0123456789abcdef";
	XXH128_canonical_t hash;
	int				   i;

	XXH128_canonicalFromHash(&hash, XXH3_128bits(body, len));
	for (i = 0; i < RENTAL_ETAG_LENGTH; i++)
		tag[i] = hex[hash.digest[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15];
	tag[RENTAL_ETAG_LENGTH] = '\0';
}

#endif /* RENTAL_ETAG_H */
