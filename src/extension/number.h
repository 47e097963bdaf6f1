/*
 * number.h
 *	  Numbers that people read, counted in each vendor's series and year.
 */
#ifndef RENTAL_NUMBER_H
#define RENTAL_NUMBER_H

#include "rental.h"

extern char *number_next(const pg_uuid_t *vendor_id, const char *series, int year);
extern char *number_draw(const pg_uuid_t *vendor_id, const char *series, int year);

#endif /* RENTAL_NUMBER_H */
