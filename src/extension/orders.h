/*
 * orders.h
 *	  What other domains need to know of orders.
 */
#ifndef RENTAL_ORDERS_H
#define RENTAL_ORDERS_H

#include "rental.h"

/* An order whose row is locked by this transaction */
typedef struct Order
{
	pg_uuid_t	  id;
	pg_uuid_t	  vendor_id;
	pg_uuid_t	  customer_id;
	const char	 *status;
	const char	 *currency;
	const char	 *time_zone;
	Datum		  subtotal;
	Datum		  tax;
	Datum		  total; /* with fee and waiver */
	Datum		  fee;
	Datum		  paid;
	TimestampTz	  expires_at;	  /* infinity if it does not */
	bool		  is_new;		  /* made by this transaction */
	NullableDatum waiver_percent; /* null: no damage waiver */
} Order;

struct OrderLine;

/* What an order is made of */
typedef struct OrderRequest
{
	struct OrderLine *lines;
	int				  nlines;
	const pg_uuid_t	 *customer_id;
	const char		 *note;
	const char		 *coupon;	/* or NULL */
	NullableDatum	  delivery; /* jsonb, or null */
	NullableDatum	  terms;
	bool			  is_draft;
	bool			  with_waiver;
} OrderRequest;

extern bool		 order_lock_row(const pg_uuid_t *id, Order *order);
extern void		 order_lock_seen(NullableDatum id, Order *order);
extern void		 order_lock_own(NullableDatum id, Order *order);
extern void		 order_event(const Order *order, const char *kind, const char *json);
extern void		 order_paid(const pg_uuid_t *id);
extern pg_uuid_t order_make(const OrderRequest *request);
extern bool		 order_is_void(const char *status);

#endif /* RENTAL_ORDERS_H */
