/*
 * orders.h
 *	  What invoices and payments need to know of orders.
 */
#ifndef RENTAL_ORDERS_H
#define RENTAL_ORDERS_H

#include "rental.h"

/* An order whose row is locked by this transaction */
typedef struct Order
{
	pg_uuid_t	id;
	pg_uuid_t	vendor_id;
	pg_uuid_t	customer_id;
	const char *status;
	const char *currency;
	const char *time_zone;
	Datum		subtotal;
	Datum		tax;
	Datum		total;
} Order;

extern void order_lock_own(NullableDatum id, Order *order);
extern void order_event(const Order *order, const char *kind, const char *json);

#endif /* RENTAL_ORDERS_H */
