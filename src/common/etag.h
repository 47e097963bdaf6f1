/*
 * etag.h
 *	  The form of entity tags, which the server makes and the database compares.
 *
 * A tag is the first bytes of the SHA-256 of the body, in hexadecimal; that
 * of a compressed answer has a suffix of three characters.
 */
#ifndef RENTAL_ETAG_H
#define RENTAL_ETAG_H

#define RENTAL_ETAG_BYTES  12
#define RENTAL_ETAG_GZIP   "-gz"
#define RENTAL_ETAG_BROTLI "-br"

#endif /* RENTAL_ETAG_H */
