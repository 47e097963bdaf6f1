/*
 * pricing.h
 *	  What a rental costs: the items of an order together.
 */
#ifndef RENTAL_PRICING_H
#define RENTAL_PRICING_H

#include "catalog.h"
#include "charge.h"

/* What a vendor has for all its products */
typedef struct PriceVendor
{
	NullableDatum *rules;
	int			   nrules;
	bool		   has_taxes;
} PriceVendor;

typedef struct PriceItem
{
	/* what is asked */
	const Product	  *product;
	Period			   period;
	int32			   quantity;
	const char		  *field;		/* to blame */
	bool			   keeps_price; /* its unit_price is given, and stays */
	const PriceVendor *vendor;		/* while it is priced */

	/* what it costs, in minor units */
	Charge		  charge; /* of one piece, with the lines that explain everything */
	Minor		  unit_price;
	Minor		  subtotal; /* unit_price * quantity */
	Minor		  discount; /* of the customer's group and of the coupon */
	Minor		  tax;		/* what is added */
	Minor		  total;	/* subtotal - discount + tax */
	NullableDatum taxes;	/* jsonb: by which rates; null: none */
	bool		  by_hour;	/* units of charge are hours, else days */
	bool		  has_category;
	pg_uuid_t	  category_id;
} PriceItem;

typedef struct PriceOrder
{
	/* what is asked; all items are of one vendor */
	const pg_uuid_t *customer_id;  /* or NULL */
	const char		*coupon;	   /* or NULL */
	bool			 keeps_coupon; /* the order has used it already: it stays good for what it is for */
	bool			 is_spread;	   /* it takes an amount off, which is spread over all items together */

	/* what it costs, in minor units */
	Minor	  subtotal;
	Minor	  discount;
	Minor	  tax;
	Minor	  total; /* subtotal - discount + tax */
	bool	  has_coupon;
	pg_uuid_t coupon_id;
} PriceOrder;

extern void			 price_items(PriceItem *items, int n, PriceOrder *order);
extern void			 price_redeem(const PriceOrder *order, const pg_uuid_t *vendor_id, const pg_uuid_t *order_id);
extern void			 price_release(const pg_uuid_t *order_id);
extern char			*price_coupon_code(const char *typed);
extern bool			 price_has_coupon(const pg_uuid_t *vendor_id, const char *code);
extern void			 price_keep_coupon(PriceOrder *price, const pg_uuid_t *order_id);
extern NullableDatum price_waiver_sold(const Product *product);
extern Datum		 price_waiver_percent(const Product *product);
extern Minor		 price_waiver(Datum percent, Minor covered);
extern bool			 price_is_exempt(const Product *product);
extern Minor		 price_deposit(const Product *product, int32 quantity);
extern Minor		 price_deposit_share(const Product *product, Minor items, Minor total);
extern Minor		 price_late(const Product *product, TimestampTz due_at, TimestampTz returned_at, int32 quantity);

#endif /* RENTAL_PRICING_H */
