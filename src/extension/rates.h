/*
 * rates.h
 *	  What other modules set prices by.
 */
#ifndef RENTAL_RATES_H
#define RENTAL_RATES_H

#include "rental.h"

extern void rate_set_day(const pg_uuid_t *vendor_id, const pg_uuid_t *product_id, Datum amount);

#endif /* RENTAL_RATES_H */
