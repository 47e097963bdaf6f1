/*
 * orderrow.h
 *	  An order as callers see it (see orderrow.c).
 */
#ifndef RENTAL_ORDERROW_H
#define RENTAL_ORDERROW_H

#include "rental.h"

#include "utils/uuid.h"

extern NullableDatum order_row(const pg_uuid_t *id);
extern bool			 order_items_add_up(const pg_uuid_t *id);

#endif /* RENTAL_ORDERROW_H */
