/*
 * customers.c
 *	  Customers: who ordered, as vendors and administrators see them.
 *
 * It only reads: accounts belong to identity.c, orders to orders.c.
 */
#include "rental.h"

#include "actor.h"
#include "catalog.h"
#include "errors.h"
#include "plan.h"
#include "request.h"
#include "response.h"

/*
 * Of a vendor the index of its customers is walked from the cursor on, each
 * of them once, so that a page costs what it shows and not what the vendor
 * ever sold.
 */
#define OF_VENDOR(first)                                                                           \
	"(SELECT DISTINCT o.customer_id AS id FROM rental.orders o WHERE o.vendor_id = $" first ") c " \
	"JOIN rental.users u ON u.id = c.id"
#define FOUND(search) "($" search " IS NULL OR u.name ILIKE $" search " OR u.email ILIKE $" search ")"

static PagePlans vendor_customers = {
	.forward = PLAN_INIT("SELECT rental.customer_row(f.id, $3), f.id FROM (SELECT u.id FROM " OF_VENDOR(
							 "3") " WHERE " FOUND("4") " AND c.id > $1 ORDER BY c.id LIMIT $2) f ORDER BY f.id",
						 UUIDOID, INT4OID, UUIDOID, TEXTOID),
	.backward =
		PLAN_INIT("SELECT rental.customer_row(f.id, $3), f.id FROM (SELECT u.id FROM " OF_VENDOR("3") " WHERE " FOUND(
					  "4") " AND c.id < $1 ORDER BY c.id DESC LIMIT $2) f ORDER BY f.id DESC",
				  UUIDOID, INT4OID, UUIDOID, TEXTOID),
	.count = PLAN_INIT("SELECT count(*) FROM " OF_VENDOR("1") " WHERE " FOUND("2"), UUIDOID, TEXTOID),
};

#define IS_CUSTOMER "(u.role = 'customer' OR EXISTS (SELECT FROM rental.orders o WHERE o.customer_id = u.id))"

static PagePlans all_customers = {
	.forward = PLAN_INIT(
		"SELECT rental.customer_row(f.id, NULL), f.id FROM (SELECT u.id FROM rental.users u WHERE " IS_CUSTOMER
		" AND " FOUND("3") " AND u.id > $1 ORDER BY u.id LIMIT $2) f ORDER BY f.id",
		UUIDOID, INT4OID, TEXTOID),
	.backward = PLAN_INIT(
		"SELECT rental.customer_row(f.id, NULL), f.id FROM (SELECT u.id FROM rental.users u WHERE " IS_CUSTOMER
		" AND " FOUND("3") " AND u.id < $1 ORDER BY u.id DESC LIMIT $2) f ORDER BY f.id DESC",
		UUIDOID, INT4OID, TEXTOID),
	.count = PLAN_INIT("SELECT count(*) FROM rental.users u WHERE " IS_CUSTOMER " AND " FOUND("1"), TEXTOID),
};

/* customer_list(search text, vendor_id uuid, page_size, cursor, count) */
PG_FUNCTION_INFO_V1(customer_list);
Datum
customer_list(PG_FUNCTION_ARGS)
{
	NullableDatum search = request_pattern(FCARG(0));

	if (PG_ARGISNULL(1) && actor_is_staff(actor_current()))
		return page_return(fcinfo, &all_customers, &search, 1, PG_GETARG_INT32(2), FCARG(3), FCARG(4));
	return page_return(fcinfo, &vendor_customers,
					   (NullableDatum[]){VALUE(UUIDPGetDatum(actor_require_own_vendor(FCARG(1)))), search}, 2,
					   PG_GETARG_INT32(2), FCARG(3), FCARG(4));
}
