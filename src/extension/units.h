/*
 * units.h
 *	  Which unit serves which order. All are called between plan_open and plan_close.
 */
#ifndef RENTAL_UNITS_H
#define RENTAL_UNITS_H

#include "period.h"

extern void units_choose(const pg_uuid_t *vendor_id, const pg_uuid_t *product_id, const pg_uuid_t *location_id,
						 const Period *blocked, int quantity, pg_uuid_t *units);
extern void units_lock(const pg_uuid_t *vendor_id, pg_uuid_t *units, int n, const Period *blocked, const char *field);
extern void units_assign(const pg_uuid_t *vendor_id, Datum reservation_id, const Period *blocked,
						 const pg_uuid_t *units, int n);
extern void units_assign_order(const pg_uuid_t *order_id);
extern void units_release(const pg_uuid_t *order_id, TimestampTz at);
extern void units_release_reservation(NullableDatum reservation_id, NullableDatum vendor_id, TimestampTz at);
extern int	units_of_line(const pg_uuid_t *item_id, pg_uuid_t **units);
extern int	units_count(NullableDatum reservation_id, NullableDatum vendor_id, const pg_uuid_t *units, int n);
extern void units_ensure(NullableDatum reservation_id, NullableDatum vendor_id, const pg_uuid_t *product_id,
						 const pg_uuid_t *location_id, const Period *blocked, int quantity, int take,
						 const pg_uuid_t *wanted, int nwanted, const char *field);
extern void units_keep(NullableDatum reservation_id, NullableDatum vendor_id, int keep);
extern void units_move(NullableDatum from, NullableDatum vendor_id, NullableDatum to, int take, const pg_uuid_t *units,
					   int n);
extern void units_extend(NullableDatum reservation_id, NullableDatum vendor_id, NullableDatum end);
extern int	units_of_reservation(NullableDatum reservation_id, NullableDatum vendor_id, pg_uuid_t **units);
extern void units_lose(NullableDatum product_id, const pg_uuid_t *units, int n, TimestampTz at);
extern void units_swap(const pg_uuid_t *vendor_id, const pg_uuid_t *order_id, NullableDatum from, NullableDatum to);

#endif /* RENTAL_UNITS_H */
