/*
 * secret.h
 *	  Random values and hashes of secrets: tokens are shown once and kept as SHA-256.
 */
#ifndef RENTAL_SECRET_H
#define RENTAL_SECRET_H

#include "rental.h"

#define SECRET_BYTES 32

extern void	  secret_fill(unsigned char *to, int n);
extern char	 *secret_text(int n);
extern char	 *secret_token(void);
extern bytea *secret_sha256(const char *data, size_t len);
extern char	 *secret_hmac(const bytea *key, const char *text);
extern char	 *secret_successor(const bytea *key, const char *token);

#endif /* RENTAL_SECRET_H */
