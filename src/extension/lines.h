/*
 * lines.h
 *	  The lines of an order: read, priced, and served from the stock. All are called between plan_open and plan_close.
 */
#ifndef RENTAL_LINES_H
#define RENTAL_LINES_H

#include "catalog.h"
#include "orders.h"
#include "pricing.h"
#include "request.h"

#define ORDER_MOST_ITEMS 100

typedef struct OrderLine
{
	RequestObject request; /* where it was read; its path is NULL if it was not in a list */
	pg_uuid_t	  product_id;
	Product		  product;
	int32		  quantity;
	Period		  period;
	Period		  blocked;
	bool		  has_location;
	pg_uuid_t	  location_id;
	pg_uuid_t	 *unit_ids;
	int			  nunits;
	Datum		  id;
	bool		  is_priced; /* lines_price leaves it as it is */
	Datum		  unit_price;
	Datum		  subtotal;
	Datum		  discount;
	Datum		  tax;
	Datum		  total;
	bool		  waiver_exempt; /* as its product was when the line was made */
	NullableDatum taxes;		 /* jsonb */
	int32		  dispatched;
	int32		  returned;
} OrderLine;

/* The sums of an order's lines, and its deposit */
typedef struct OrderAmounts
{
	Datum subtotal;
	Datum discount;
	Datum tax;
	Datum waiver;
	Datum deposit;
	Datum total; /* of the lines */
} OrderAmounts;

/* Pieces of a line that go out or come back */
typedef struct Pieces
{
	RequestObject request;
	OrderLine	 *line;
	int32		  quantity;
	pg_uuid_t	 *units;
	int			  nunits;
	pg_uuid_t	 *lost; /* the units that do not come back, of whichever component */
	int			  nlost;
	const char	 *condition; /* of what comes back: good, damaged, lost */
	bool		  has_charge;
	Datum		  charge;
	const char	 *reason;
} Pieces;

extern char		 *line_field(const OrderLine *line, const char *field);
extern void		  line_complete(OrderLine *line, const OrderLine *beside);
extern OrderLine *lines_read(Jsonb *items, int *n);
extern void		  lines_price(OrderLine *lines, int n, PriceOrder *price, NullableDatum waiver_percent,
							  OrderAmounts *amounts);
extern void		  lines_insert(const Order *order, const OrderLine *lines, int n, TimestampTz now);
extern void		  lines_reserve(OrderLine *lines, int n, TimestampTz expires_at, TimestampTz now);

extern OrderLine *lines_load(const Order *order, int *n);
extern OrderLine *line_find(OrderLine *lines, int n, const pg_uuid_t *id, const char *field);
extern void		  line_update(const Order *order, const OrderLine *line);
extern void		  line_delete(const Order *order, const OrderLine *line);
extern void		  line_give_back(const Order *order, const OrderLine *line, int32 pieces);
extern void		  line_keep_units(OrderLine *line);
extern void		  line_split_returned(const Order *order, OrderLine *line, TimestampTz now);
extern void		  lines_extend(const Order *order, OrderLine *const *lines, int n);

extern void pieces_move(const Order *order, Pieces *pieces, int n, const char *from, const char *to, TimestampTz at);
extern void pieces_lock_lost(const Pieces *pieces, int n);
extern void pieces_lose(const Order *order, const Pieces *pieces, int n, TimestampTz at);

extern void lines_become(const pg_uuid_t *orders, int n, const char *state, bool is_return);

#endif /* RENTAL_LINES_H */
