/*
 * invoice.c
 *	  Invoices: issued once for an order, with a number from a series without gaps.
 */
#include "rental.h"

#include "actor.h"
#include "errors.h"
#include "number.h"
#include "orders.h"
#include "period.h"
#include "plan.h"
#include "request.h"
#include "response.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

PLAN(invoice_of_order, "SELECT number FROM rental.invoices WHERE order_id = $1 AND vendor_id = $2", UUIDOID, UUIDOID);
PLAN(
	invoice_insert,
	"INSERT INTO rental.invoices (id, vendor_id, order_id, number, status, currency, subtotal, tax, total, issued_at, created_at) "
	"VALUES ($1, $2, $3, $4, 'issued', $5, $6, $7, $8, $9, $9)",
	UUIDOID, UUIDOID, UUIDOID, TEXTOID, TEXTOID, NUMERICOID, NUMERICOID, NUMERICOID, TIMESTAMPTZOID);
PLAN(
	lines_insert,
	"INSERT INTO rental.invoice_lines (vendor_id, invoice_id, line, description, quantity, unit_price, total, start_at, end_at) "
	"SELECT i.vendor_id, $2, row_number() OVER (ORDER BY i.id), p.name, i.quantity, i.unit_price, i.subtotal - i.discount, i.start_at, i.end_at "
	"FROM rental.order_items i JOIN rental.products p ON p.id = i.product_id AND p.vendor_id = i.vendor_id WHERE i.order_id = $1 "
	"UNION ALL SELECT o.vendor_id, $2, count(i.id) + 1, 'Delivery', 1, o.fee, o.fee, min(i.start_at), max(i.end_at) "
	"FROM rental.orders o JOIN rental.order_items i ON i.order_id = o.id AND i.vendor_id = o.vendor_id WHERE o.id = $1 AND o.fee > 0 "
	"GROUP BY o.vendor_id, o.fee",
	UUIDOID, UUIDOID);
PLAN(invoice_row, "SELECT v, v.customer_id, v.vendor_id FROM rental.invoice_view v WHERE v.id = $1", UUIDOID);

#define INVOICE_SCOPE "($3 IS NULL OR v.customer_id = $3 OR v.vendor_id = $4)"

static PagePlans invoice_pages = {
	.forward = PLAN_INIT("SELECT v, v.id FROM rental.invoice_view v WHERE v.id < $1 AND " INVOICE_SCOPE
						 " ORDER BY v.id DESC LIMIT $2",
						 UUIDOID, INT4OID, UUIDOID, UUIDOID),
	.backward = PLAN_INIT("SELECT v, v.id FROM rental.invoice_view v WHERE v.id > $1 AND " INVOICE_SCOPE
						  " ORDER BY v.id LIMIT $2",
						  UUIDOID, INT4OID, UUIDOID, UUIDOID),
	.count = PLAN_INIT(
		"SELECT count(*) FROM rental.invoices n JOIN rental.orders o ON o.id = n.order_id AND o.vendor_id = n.vendor_id "
		"WHERE $1 IS NULL OR o.customer_id = $1 OR n.vendor_id = $2",
		UUIDOID, UUIDOID),
	.newest_first = true,
};

/* invoice_issue(order_id uuid) */
PG_FUNCTION_INFO_V1(invoice_issue);
Datum
invoice_issue(PG_FUNCTION_ARGS)
{
	static const char *const billable[] = {"confirmed", "active", "returned", "completed"};
	TimestampTz				 now = rental_now();
	Datum					 id = uuid7_datum();
	Order					 order;
	NullableDatum			 row;
	char					*number;
	char					*data;
	int						 i;

	plan_open();
	order_lock_own(FCARG(0), &order);
	for (i = 0; i < lengthof(billable); i++)
		if (strcmp(order.status, billable[i]) == 0)
			break;
	if (i == lengthof(billable))
		rental_raise(invalid_state, errmsg("cannot issue the invoice of an order that is %s", order.status));
	if (plan_run(&invoice_of_order, FCARG(0), VALUE(UUIDPGetDatum(&order.vendor_id))) > 0)
		rental_raise(already_exists, errmsg("the order has invoice %s already", plan_text(0, 1)));
	number = number_next(&order.vendor_id, "INV", period_year(now, period_zone(order.time_zone)));
	plan_run(&invoice_insert, VALUE(id), VALUE(UUIDPGetDatum(&order.vendor_id)), FCARG(0),
			 VALUE(CStringGetTextDatum(number)), VALUE(CStringGetTextDatum(order.currency)),
			 VALUE(DirectFunctionCall2(numeric_sub, order.total, order.tax)), VALUE(order.tax), VALUE(order.total),
			 VALUE(TimestampTzGetDatum(now)));
	plan_run(&lines_insert, FCARG(0), VALUE(id));
	data = psprintf("{\"number\":\"%s\"}", number);
	order_event(&order, "invoiced", data);
	plan_run(&invoice_row, VALUE(id));
	row = plan_keep(0, 1);
	plan_close();
	return plan_return(fcinfo, row);
}

PG_FUNCTION_INFO_V1(invoice_get);
Datum
invoice_get(PG_FUNCTION_ARGS)
{
	NullableDatum row;

	plan_open();
	if (plan_read(&invoice_row, FCARG(0)) == 0 ||
		!actor_may_see(DatumGetUUIDP(plan_datum(0, 2)), DatumGetUUIDP(plan_datum(0, 3))))
		rental_raise(not_found, errmsg("no such invoice"));
	row = plan_keep(0, 1);
	plan_close();
	return plan_return(fcinfo, row);
}

/* invoice_list(page_size, cursor, count) */
PG_FUNCTION_INFO_V1(invoice_list);
Datum
invoice_list(PG_FUNCTION_ARGS)
{
	NullableDatum filters[2];

	actor_list_scope(filters);
	return page_return(fcinfo, &invoice_pages, filters, 2, PG_GETARG_INT32(0), FCARG(1), FCARG(2));
}
