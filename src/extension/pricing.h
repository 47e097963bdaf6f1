/*
 * pricing.h
 *	  What a rental costs.
 */
#ifndef RENTAL_PRICING_H
#define RENTAL_PRICING_H

#include "catalog.h"

typedef struct Price
{
	int32 days;		  /* begun, of 24 hours on the vendor's clock */
	int32 extra_days; /* those beyond what the rate's amount covers */
	Datum base;		  /* for one piece: the rate's amount, */
	Datum extra;	  /* the extra days, */
	Datum unit_price; /* and both */
} Price;

extern Price price_of(const Product *product, const Period *period, const char *field);

#endif /* RENTAL_PRICING_H */
