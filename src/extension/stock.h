/*
 * stock.h
 *	  What other domains ask of the stock.
 */
#ifndef RENTAL_STOCK_H
#define RENTAL_STOCK_H

#include "chunk.h"

/* availability.c */
extern int32 stock_free(const pg_uuid_t *product_id, const pg_uuid_t *location_id, const Period *window);
extern bool	 stock_is_kept(const pg_uuid_t *product_id, const pg_uuid_t *location_id);
extern int	 stock_unavailable(const Period *window, int32 quantity, pg_uuid_t **products);
extern bool stock_best_location(const pg_uuid_t *product_id, const Period *window, pg_uuid_t *location_id, int32 *free);

/* stock.c */
extern TimelineView stock_truly_free(const StockPiece *piece, const StockKey *key, bool check, const pg_uuid_t *own_id);
extern void			stock_lock(NullableDatum product_id);
extern void			stock_force_begin(void);
extern void			stock_force_end(void);

/*
 * STOCK_FORCED(force, product_id, statement) runs a statement that changes a
 * product's stock; with force, what it would take away from promises is
 * accepted and kept as shortages.
 */
#define STOCK_FORCED(force, product_id, statement) \
	do                                             \
	{                                              \
		if (!(force))                              \
		{                                          \
			statement;                             \
			break;                                 \
		}                                          \
		stock_lock(product_id);                    \
		stock_force_begin();                       \
		statement;                                 \
		stock_force_end();                         \
	} while (0)

#endif /* RENTAL_STOCK_H */
