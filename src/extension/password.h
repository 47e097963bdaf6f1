/*
 * password.h
 *	  What a password must be, and its hash.
 */
#ifndef RENTAL_PASSWORD_H
#define RENTAL_PASSWORD_H

#include "rental.h"

extern char *password_text(NullableDatum value, const char *field);
extern char *password_new(NullableDatum value, const char *field);
extern char *password_hash(const char *password);
extern bool	 password_matches(const char *password, const char *hash);
extern bool	 password_is_outdated(const char *hash);

#endif /* RENTAL_PASSWORD_H */
