/*
 * payment.c
 *	  Payments: money received for orders, exact and never taken back silently.
 */
#include "rental.h"

#include "actor.h"
#include "amount.h"
#include "errors.h"
#include "orders.h"
#include "period.h"
#include "plan.h"
#include "request.h"
#include "response.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

PLAN(
	payment_insert,
	"INSERT INTO rental.payments (id, vendor_id, order_id, invoice_id, kind, amount, currency, method, status, created_at) "
	"VALUES ($1, $2, $3, (SELECT id FROM rental.invoices WHERE order_id = $3 AND vendor_id = $2), 'charge', $4, $5, $6, 'succeeded', $7)",
	UUIDOID, UUIDOID, UUIDOID, NUMERICOID, TEXTOID, TEXTOID, TIMESTAMPTZOID);
PLAN(order_add_paid, "UPDATE rental.orders SET paid = paid + $3, updated_at = $4 WHERE id = $1 AND vendor_id = $2",
	 UUIDOID, UUIDOID, NUMERICOID, TIMESTAMPTZOID);
PLAN(payment_row, "SELECT v, v.customer_id, v.vendor_id FROM rental.payment_view v WHERE v.id = $1", UUIDOID);

#define PAYMENT_SCOPE "($3 IS NULL OR v.customer_id = $3 OR v.vendor_id = $4) AND ($5 IS NULL OR v.order_id = $5)"

static PagePlans payment_pages = {
	.forward = PLAN_INIT("SELECT v, v.id FROM rental.payment_view v WHERE v.id < $1 AND " PAYMENT_SCOPE
						 " ORDER BY v.id DESC LIMIT $2",
						 UUIDOID, INT4OID, UUIDOID, UUIDOID, UUIDOID),
	.backward = PLAN_INIT("SELECT v, v.id FROM rental.payment_view v WHERE v.id > $1 AND " PAYMENT_SCOPE
						  " ORDER BY v.id LIMIT $2",
						  UUIDOID, INT4OID, UUIDOID, UUIDOID, UUIDOID),
	.count = PLAN_INIT(
		"SELECT count(*) FROM rental.payment_view v WHERE ($1 IS NULL OR v.customer_id = $1 OR v.vendor_id = $2) "
		"AND ($3 IS NULL OR v.order_id = $3)",
		UUIDOID, UUIDOID, UUIDOID),
	.newest_first = true,
};

/* payment_record(order_id uuid, amount numeric, method text, paid_at timestamptz) */
PG_FUNCTION_INFO_V1(payment_record);
Datum
payment_record(PG_FUNCTION_ARGS)
{
	char		 *method = request_required_text(FCARG(2), "method", 20);
	TimestampTz	  now = rental_now();
	TimestampTz	  paid_at = PG_ARGISNULL(3) ? now : PG_GETARG_TIMESTAMPTZ(3);
	Datum		  id = uuid7_datum();
	Datum		  amount;
	Order		  order;
	NullableDatum row;
	char		 *data;

	request_required(FCARG(1), "amount");
	request_word(method, "method", (const char *[]){"cash", "transfer", "cheque", NULL});
	if (paid_at > now)
		rental_raise(invalid_value, errmsg("paid_at lies in the future"), errfield("paid_at"));
	plan_open();
	order_lock_own(FCARG(0), &order);
	if (order_is_void(order.status))
		rental_raise(invalid_state, errmsg("cannot take a payment for an order that is %s", order.status));
	amount_check(PG_GETARG_DATUM(1), order.currency, "amount");
	amount = amount_round(PG_GETARG_DATUM(1), order.currency);
	plan_run(&payment_insert, VALUE(id), VALUE(UUIDPGetDatum(&order.vendor_id)), FCARG(0), VALUE(amount),
			 VALUE(CStringGetTextDatum(order.currency)), VALUE(CStringGetTextDatum(method)),
			 VALUE(TimestampTzGetDatum(paid_at)));
	plan_run(&order_add_paid, FCARG(0), VALUE(UUIDPGetDatum(&order.vendor_id)), VALUE(amount),
			 VALUE(TimestampTzGetDatum(now)));
	data = psprintf("{\"amount\":\"%s\"}", amount_text(amount));
	order_event(&order, "paid", data);
	order_paid(&order.id);
	plan_run(&payment_row, VALUE(id));
	row = plan_keep(0, 1);
	plan_close();
	return plan_return(fcinfo, row);
}

PG_FUNCTION_INFO_V1(payment_get);
Datum
payment_get(PG_FUNCTION_ARGS)
{
	NullableDatum row;

	plan_open();
	if (plan_read(&payment_row, FCARG(0)) == 0 ||
		!actor_may_see(DatumGetUUIDP(plan_datum(0, 2)), DatumGetUUIDP(plan_datum(0, 3))))
		rental_raise(not_found, errmsg("no such payment"));
	row = plan_keep(0, 1);
	plan_close();
	return plan_return(fcinfo, row);
}

/* payment_list("order" uuid, page_size, cursor, count) */
PG_FUNCTION_INFO_V1(payment_list);
Datum
payment_list(PG_FUNCTION_ARGS)
{
	NullableDatum filters[3];

	actor_list_scope(filters);
	filters[2] = FCARG(0);
	return page_return(fcinfo, &payment_pages, filters, 3, PG_GETARG_INT32(1), FCARG(2), FCARG(3));
}
