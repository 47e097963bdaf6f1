/*
 * catalog.h
 *	  What other domains need to know of products.
 */
#ifndef RENTAL_CATALOG_H
#define RENTAL_CATALOG_H

#include "period.h"

/*
 * How many values of a product only pricing.c reads: those of product_rates
 * from its strategy on, category_id, and its vendor's price_settings.
 */
#define PRODUCT_PRICING 20

/* A product with its vendor's settings */
typedef struct Product
{
	pg_uuid_t	  id;
	pg_uuid_t	  vendor_id;
	const char	 *name;
	bool		  serialised;
	bool		  is_active;
	Datum		  buffer_before; /* Interval */
	Datum		  buffer_after;
	const char	 *currency;
	const char	 *time_zone;
	Datum		  hold_time;	  /* Interval */
	Datum		  minimum_notice; /* Interval */
	bool		  vendor_is_active;
	bool		  is_sale;
	bool		  is_kit;
	bool		  assigns_at_once;
	NullableDatum pricing[PRODUCT_PRICING]; /* for pricing.c */
} Product;

/* What a kit is made of */
typedef struct Component
{
	pg_uuid_t product_id;
	int32	  quantity;
} Component;

extern int			 product_components(const pg_uuid_t *kit, Component **components);
extern NullableDatum product_answer(const pg_uuid_t *id);
extern bool			 product_find(const pg_uuid_t *id, const Product *beside, Product *product);
extern void			 product_load(const pg_uuid_t *id, Product *product, const char *field);
extern void product_load_beside(const pg_uuid_t *id, const Product *beside, Product *product, const char *field);
extern void product_load_own(const pg_uuid_t *id, Product *product);

#endif /* RENTAL_CATALOG_H */
