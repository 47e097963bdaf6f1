/*
 * stock.h
 *	  What other domains ask of the stock.
 */
#ifndef RENTAL_STOCK_H
#define RENTAL_STOCK_H

#include "chunk.h"

extern int32 stock_free(const pg_uuid_t *product_id, const pg_uuid_t *location_id, const Period *window);
extern bool	 stock_is_kept(const pg_uuid_t *product_id, const pg_uuid_t *location_id);
extern bool stock_best_location(const pg_uuid_t *product_id, const Period *window, pg_uuid_t *location_id, int32 *free);

#endif /* RENTAL_STOCK_H */
