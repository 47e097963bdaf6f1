/*
 * apikey.h
 *	  API keys, for those who end them with something else.
 */
#ifndef RENTAL_APIKEY_H
#define RENTAL_APIKEY_H

#include "rental.h"

extern void api_keys_end(const pg_uuid_t *user_id);

#endif /* RENTAL_APIKEY_H */
