/*
 * catalog.h
 *	  What other domains need to know of products.
 */
#ifndef RENTAL_CATALOG_H
#define RENTAL_CATALOG_H

#include "period.h"

/* A product with its vendor's settings and its rate */
typedef struct Product
{
	pg_uuid_t	id;
	pg_uuid_t	vendor_id;
	const char *name;
	bool		serialised;
	bool		is_active;
	Datum		buffer_before; /* Interval */
	Datum		buffer_after;
	const char *currency;
	const char *time_zone;
	Datum		hold_time; /* Interval */
	bool		has_rate;
	int32		rate_days;
	Datum		rate_amount; /* numeric */
	Datum		rate_extra_day;
} Product;

extern bool product_find(const pg_uuid_t *id, Product *product);
extern void product_load(const pg_uuid_t *id, Product *product, const char *field);
extern void product_load_own(const pg_uuid_t *id, Product *product);

#endif /* RENTAL_CATALOG_H */
