/*
 * orderrow.c
 *	  An order as callers see it, with its lines, read without the executor.
 *
 * It is a row of rental.order_view, which says the same in SQL, for lists and
 * analysts; a test compares the two in every state of an order. Each answer
 * of an order is made here, since a plan over the view costs several times as
 * much.
 */
#include "orderrow.h"

#include "actor.h"
#include "amount.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "funcapi.h"
#include "lookup.h"
#include "orders.h"
#include "period.h"
#include "plan.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#define MOST_ROWS 100000 /* more than any order has of anything */

/* Columns of rental.order_view, in order */
enum
{
	ROW_ID,
	ROW_NUMBER,
	ROW_VENDOR,
	ROW_CUSTOMER,
	ROW_STATUS,
	ROW_CURRENCY,
	ROW_SUBTOTAL,
	ROW_DISCOUNT,
	ROW_TAX,
	ROW_FEE,
	ROW_WAIVER,
	ROW_DEPOSIT,
	ROW_TOTAL,
	ROW_CHARGES,
	ROW_CANCELLATION_FEE,
	ROW_BALANCE,
	ROW_REFUND_DUE,
	ROW_IS_PAID,
	ROW_PARTLY_OUT,
	ROW_PARTLY_RETURNED,
	ROW_OVERDUE,
	ROW_DELIVERY,
	ROW_NOTE,
	ROW_EXPIRES_AT,
	ROW_CREATED_AT,
	ROW_UPDATED_AT,
	ROW_EXTENSION,
	ROW_ITEMS,
	ROW_COLUMNS
};

/* Columns of rental.order_item_view, in order */
enum
{
	ITEM_ID,
	ITEM_ORDER,
	ITEM_PRODUCT,
	ITEM_PRODUCT_NAME,
	ITEM_LOCATION,
	ITEM_QUANTITY,
	ITEM_START,
	ITEM_END,
	ITEM_UNIT_PRICE,
	ITEM_SUBTOTAL,
	ITEM_DISCOUNT,
	ITEM_TAX,
	ITEM_TOTAL,
	ITEM_DISPATCHED,
	ITEM_RETURNED,
	ITEM_DAMAGED,
	ITEM_LOST,
	ITEM_UNITS,
	ITEM_OVERDUE,
	ITEM_COLUMNS
};

/* A column that the table does not have is read as another, and then set. */
LOOKUP(order_by_id, "orders", NULL, "id", "number", "vendor_id", "customer_id", "status", "currency", "subtotal",
	   "discount", "tax", "fee", "waiver", "deposit", "total", "charges", "cancellation_fee", "paid", "paid",
	   "written_off", "id", "id", "id", "delivery", "note", "expires_at", "created_at", "updated_at", "extension");
LOOKUP(items_of_order, "order_items", "order_items_order_id_idx", "id", "order_id", "product_id", "product_id",
	   "location_id", "quantity", "start_at", "end_at", "unit_price", "subtotal", "discount", "tax", "total",
	   "dispatched", "returned", "damaged", "lost");
LOOKUP(product_of_item, "products", NULL, "name", "kind", "tracking");
LOOKUP(reservations_of_item, "reservations", "reservations_order_item_id_idx", "id");
LOOKUP(units_of_reservation, "unit_assignments", "unit_assignments_reservation_id_vendor_id_idx", "unit_id");
LOOKUP(unit_code, "units", NULL, "code");
VIEW_TYPE(order_view, "order_view");
VIEW_TYPE(item_view, "order_item_view");

static int
text_compare(const void *a, const void *b)
{
	return DatumGetInt32(
		DirectFunctionCall2Coll(bttextcmp, DEFAULT_COLLATION_OID, *(const Datum *) a, *(const Datum *) b));
}

/* item_units is the codes of the units that serve a line, or have served it. */
static Datum
item_units(NullableDatum item_id)
{
	NullableDatum *reservations;
	NullableDatum *units;
	Datum		  *codes = NULL;
	int			   ncodes = 0;
	int			   n = lookup_rows(&reservations_of_item, DatumGetUUIDP(item_id.value), NULL, MOST_ROWS, &reservations);
	int			   i;

	for (i = 0; i < n; i++)
	{
		int nunits = lookup_rows(&units_of_reservation, DatumGetUUIDP(reservations[i].value), NULL, MOST_ROWS, &units);
		int j;

		for (j = 0; j < nunits; j++)
		{
			NullableDatum code;

			if (!lookup_row(&unit_code, DatumGetUUIDP(units[j].value), NULL, &code))
				elog(ERROR, "an assignment without its unit");
			codes = codes ? repalloc(codes, (ncodes + 1) * sizeof(Datum)) : palloc(sizeof(Datum));
			codes[ncodes++] = code.value;
		}
	}
	if (ncodes == 0)
		return PointerGetDatum(construct_empty_array(TEXTOID));
	qsort(codes, ncodes, sizeof(Datum), text_compare);
	return PointerGetDatum(construct_array(codes, ncodes, TEXTOID, -1, false, TYPALIGN_INT));
}

static int
item_compare(const void *a, const void *b)
{
	return memcmp(DatumGetUUIDP(((const NullableDatum *) a)[ITEM_ID].value),
				  DatumGetUUIDP(((const NullableDatum *) b)[ITEM_ID].value), UUID_LEN);
}

/* How far an order's pieces are */
typedef struct Pieces
{
	int64 all;
	int64 out;
	int64 back;
	bool  is_overdue;
} Pieces;

static Datum
make_items(const pg_uuid_t *id, Pieces *pieces)
{
	const int	   ncolumns = ITEM_LOST + 1;
	NullableDatum *items;
	int			   n = lookup_rows(&items_of_order, id, NULL, MOST_ROWS, &items);
	Datum		  *rows = palloc(Max(n, 1) * sizeof(Datum));
	TimestampTz	   now = rental_now();
	Oid			   type = view_type(&item_view);
	int			   i;

	if (n > 0)
		qsort(items, n, ncolumns * sizeof(NullableDatum), item_compare);
	*pieces = (Pieces){0};
	for (i = 0; i < n; i++)
	{
		NullableDatum columns[ITEM_COLUMNS];
		NullableDatum product[3];
		int32		  dispatched;
		int32		  returned;
		bool		  is_overdue;

		memcpy(columns, items + i * ncolumns, ncolumns * sizeof(NullableDatum));
		if (!lookup_row(&product_of_item, DatumGetUUIDP(columns[ITEM_PRODUCT].value), NULL, product))
			elog(ERROR, "a line without its product");
		dispatched = DatumGetInt32(columns[ITEM_DISPATCHED].value);
		returned = DatumGetInt32(columns[ITEM_RETURNED].value);
		is_overdue = dispatched > returned && DatumGetTimestampTz(columns[ITEM_END].value) < now &&
					 strcmp(TextDatumGetCString(product[1].value), "sale") != 0;
		columns[ITEM_PRODUCT_NAME] = product[0];
		/* what is counted in bulk has no units */
		columns[ITEM_UNITS] = VALUE(strcmp(TextDatumGetCString(product[2].value), "bulk") == 0
										? PointerGetDatum(construct_empty_array(TEXTOID))
										: item_units(columns[ITEM_ID]));
		columns[ITEM_OVERDUE] = VALUE(BoolGetDatum(is_overdue));
		pieces->all += DatumGetInt32(columns[ITEM_QUANTITY].value);
		pieces->out += dispatched;
		pieces->back += returned;
		pieces->is_overdue |= is_overdue;
		rows[i] = view_row(&item_view, columns, ITEM_COLUMNS);
	}
	if (n == 0)
		return PointerGetDatum(construct_empty_array(type));
	return PointerGetDatum(construct_array(rows, n, type, -1, false, TYPALIGN_DOUBLE));
}

/*
 * order_row is an order as it is now, for whoever called plan_open; null if
 * there is none.
 */
NullableDatum
order_row(const pg_uuid_t *id)
{
	NullableDatum columns[ROW_COLUMNS];
	NullableDatum result = NULLVALUE;
	Pieces		  pieces;
	const char	 *status;
	Datum		  paid;
	Datum		  written_off;
	Datum		  due;
	Datum		  open;
	Datum		  nothing;
	bool		  is_live;

	lookup_latest();
	if (lookup_row(&order_by_id, id, NULL, columns))
	{
		status = TextDatumGetCString(columns[ROW_STATUS].value);
		/* as they were read */
		paid = columns[ROW_REFUND_DUE].value;
		written_off = columns[ROW_IS_PAID].value;
		columns[ROW_ITEMS] = VALUE(make_items(id, &pieces));
		due = order_is_void(status) ? columns[ROW_CANCELLATION_FEE].value
									: amount_add(columns[ROW_TOTAL].value, columns[ROW_CHARGES].value);
		open = amount_subtract(due, paid);
		nothing = amount_times(paid, 0);
		columns[ROW_REFUND_DUE] = VALUE(amount_less(due, paid) ? amount_negate(open) : nothing);
		if (amount_less(paid, due))
		{
			open = amount_subtract(open, written_off);
			if (amount_less(open, nothing))
				open = nothing;
		}
		columns[ROW_BALANCE] = VALUE(open);
		columns[ROW_IS_PAID] = VALUE(BoolGetDatum(!amount_less(amount_add(paid, written_off), due)));
		columns[ROW_PARTLY_OUT] = VALUE(BoolGetDatum(pieces.out > 0 && pieces.out < pieces.all));
		columns[ROW_PARTLY_RETURNED] = VALUE(BoolGetDatum(pieces.back > 0 && pieces.back < pieces.out));
		columns[ROW_OVERDUE] = VALUE(BoolGetDatum(pieces.is_overdue));
		is_live = strcmp(status, "pending") == 0 || strcmp(status, "confirmed") == 0 || strcmp(status, "active") == 0;
		if (!is_live)
			columns[ROW_EXTENSION] = NULLVALUE;
		result = VALUE(plan_keep_row(view_row(&order_view, columns, ROW_COLUMNS)));
	}
	lookup_latest_end();
	return result;
}

/* order_items_add_up tells whether an order's amounts are the sums of its lines; one that is gone has none. */
bool
order_items_add_up(const pg_uuid_t *id)
{
	const int	   ncolumns = ITEM_LOST + 1;
	NullableDatum  columns[ROW_COLUMNS];
	NullableDatum *items;
	Datum		   sums[4];
	bool		   add_up = true;
	int			   n;
	int			   i;
	int			   j;

	lookup_latest();
	if (lookup_row(&order_by_id, id, NULL, columns))
	{
		n = lookup_rows(&items_of_order, id, NULL, MOST_ROWS, &items);
		for (j = 0; j < 4; j++)
		{
			sums[j] = amount_zero();
			for (i = 0; i < n; i++)
				sums[j] = amount_add(sums[j], items[i * ncolumns + ITEM_SUBTOTAL + j].value);
		}
		sums[3] = amount_add(amount_add(sums[3], columns[ROW_FEE].value), columns[ROW_WAIVER].value);
		add_up = amount_equal(sums[0], columns[ROW_SUBTOTAL].value) &&
				 amount_equal(sums[1], columns[ROW_DISCOUNT].value) && amount_equal(sums[2], columns[ROW_TAX].value) &&
				 amount_equal(sums[3], columns[ROW_TOTAL].value);
	}
	lookup_latest_end();
	return add_up;
}
