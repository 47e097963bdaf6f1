/*
 * identity.h
 *	  What other modules ask of accounts.
 */
#ifndef RENTAL_IDENTITY_H
#define RENTAL_IDENTITY_H

#include "rental.h"

extern char *identity_email(NullableDatum value);
extern Datum user_row_datum(const pg_uuid_t *user_id);

#endif /* RENTAL_IDENTITY_H */
