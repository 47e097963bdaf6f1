/*
 * units.c
 *	  What there is to rent out: counted pieces, numbered units, repairs and
 *	  closures, and which unit serves which order.
 *
 * It owns stock, units, blackouts and unit_assignments; their triggers in
 * stock.c carry what changes into the timelines.
 */
#include "units.h"

#include "actor.h"
#include "catalog.h"
#include "commands/trigger.h"
#include "errors.h"
#include "funcapi.h"
#include "plan.h"
#include "request.h"
#include "response.h"
#include "stock.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/rel.h"

PLAN(location_default, "SELECT id FROM rental.locations WHERE vendor_id = $1 ORDER BY id LIMIT 1", UUIDOID);
PLAN(location_exists, "SELECT FROM rental.locations WHERE id = $1 AND vendor_id = $2", UUIDOID, UUIDOID);
PLAN(stock_upsert,
	 "INSERT INTO rental.stock (vendor_id, product_id, location_id, quantity) VALUES ($1, $2, $3, $4) "
	 "ON CONFLICT (product_id, location_id, vendor_id) DO UPDATE SET quantity = $4",
	 UUIDOID, UUIDOID, UUIDOID, INT4OID);
PLAN(stock_ensure,
	 "INSERT INTO rental.stock (vendor_id, product_id, location_id, quantity) VALUES ($1, $2, $3, 0) "
	 "ON CONFLICT (product_id, location_id, vendor_id) DO NOTHING",
	 UUIDOID, UUIDOID, UUIDOID);
PLAN(stock_row, "SELECT v FROM rental.stock_view v WHERE v.product_id = $1 AND v.location_id = $2", UUIDOID, UUIDOID);
PLAN(
	unit_insert,
	"INSERT INTO rental.units (id, vendor_id, product_id, location_id, code, created_at) VALUES ($1, $2, $3, $4, $5, $6) "
	"ON CONFLICT (product_id, code, vendor_id) DO NOTHING",
	UUIDOID, UUIDOID, UUIDOID, UUIDOID, TEXTOID, TIMESTAMPTZOID);
PLAN(unit_row, "SELECT v FROM rental.unit_view v WHERE v.id = $1", UUIDOID);
PLAN(
	stock_change,
	"UPDATE rental.stock SET changes = ARRAY(SELECT c FROM unnest(changes || ROW($3, $4)::rental.stock_change) AS c ORDER BY c.at) "
	"WHERE product_id = $1 AND location_id = $2",
	UUIDOID, UUIDOID, TIMESTAMPTZOID, INT4OID);
PLAN(unit_load,
	 "SELECT u.product_id, u.vendor_id, u.location_id, u.code FROM rental.units u WHERE u.id = $1 FOR NO KEY UPDATE",
	 UUIDOID);
PLAN(
	unit_retire_plan,
	"UPDATE rental.units SET in_service = in_service * tstzrange(NULL, $2) WHERE id = $1 AND in_service && tstzrange(NULL, $2)",
	UUIDOID, TIMESTAMPTZOID);
PLAN(
	unit_move_plan,
	"UPDATE rental.units SET moves = ARRAY(SELECT m FROM unnest(moves || ROW($2, $3)::rental.unit_move) AS m ORDER BY m.at) "
	"WHERE id = $1 AND NOT EXISTS (SELECT FROM unnest(moves) AS m WHERE m.at >= $2)",
	UUIDOID, TIMESTAMPTZOID, UUIDOID);
PLAN(
	blackout_insert,
	"INSERT INTO rental.blackouts (id, vendor_id, product_id, location_id, unit_id, quantity, period, reason, created_at) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
	UUIDOID, UUIDOID, UUIDOID, UUIDOID, UUIDOID, INT4OID, TSTZRANGEOID, TEXTOID, TIMESTAMPTZOID);
PLAN(unit_blacked_out, "SELECT FROM rental.blackouts WHERE unit_id = $1 AND period && $2", UUIDOID, TSTZRANGEOID);
PLAN(blackout_row, "SELECT v, v.vendor_id FROM rental.blackout_view v WHERE v.id = $1", UUIDOID);
PLAN(blackout_delete_plan, "DELETE FROM rental.blackouts WHERE id = $1", UUIDOID);
/* What a unit $2 that is exchanged at $4 was still to serve: all of its time, or the rest of it if it is out */
#define EXCHANGED \
	"CASE WHEN r.state = 'out' AND a.blocked @> $4 THEN tstzrange($4, upper(a.blocked)) ELSE a.blocked END"
PLAN(
	unit_busy,
	"SELECT FROM rental.order_items i JOIN rental.reservations r ON r.order_item_id = i.id AND r.vendor_id = i.vendor_id "
	"JOIN rental.unit_assignments a ON a.reservation_id = r.id AND a.vendor_id = r.vendor_id AND a.unit_id = $2 "
	"JOIN rental.unit_assignments o ON o.unit_id = $3 AND o.vendor_id = a.vendor_id AND o.blocked && " EXCHANGED
	" WHERE i.order_id = $1 AND r.state <> 'released'",
	UUIDOID, UUIDOID, UUIDOID, TIMESTAMPTZOID);
PLAN(
	assignment_place,
	"SELECT EXISTS (SELECT FROM rental.unit_place p WHERE p.unit_id = $1 AND p.vendor_id = $2 AND p.product_id = r.product_id "
	"AND p.location_id = r.location_id AND p.period @> $4), "
	"EXISTS (SELECT FROM rental.blackouts b WHERE b.unit_id = $1 AND b.vendor_id = $2 AND b.period && $4) "
	"FROM rental.reservations r WHERE r.id = $3 AND r.vendor_id = $2",
	UUIDOID, UUIDOID, UUIDOID, TSTZRANGEOID);
PLAN(unit_lock, "SELECT FROM rental.units WHERE id = $1 AND vendor_id = $2 FOR NO KEY UPDATE", UUIDOID, UUIDOID);

/*
 * The units that could serve a reservation, best first: the one that leaves
 * the fewest gaps too short to rent out (under a day), then the one that fits
 * most snugly between its neighbours. A unit that somebody else is just
 * assigning is passed over.
 */
PLAN(
	unit_choose,
	"SELECT u.id FROM rental.units u JOIN rental.unit_place p ON p.unit_id = u.id AND p.vendor_id = u.vendor_id "
	"AND p.location_id = $2 AND p.period @> $3, "
	"LATERAL (SELECT lower($3) - max(upper(a.blocked)) AS before FROM rental.unit_assignments a "
	" WHERE a.unit_id = u.id AND upper(a.blocked) <= lower($3)) b, "
	"LATERAL (SELECT min(lower(a.blocked)) - upper($3) AS after FROM rental.unit_assignments a "
	" WHERE a.unit_id = u.id AND lower(a.blocked) >= upper($3)) c "
	"WHERE u.product_id = $1 AND u.vendor_id = $4 "
	"AND NOT EXISTS (SELECT FROM rental.unit_assignments a WHERE a.unit_id = u.id AND a.vendor_id = $4 AND a.blocked && $3) "
	"AND NOT EXISTS (SELECT FROM rental.blackouts x WHERE x.unit_id = u.id AND x.vendor_id = $4 AND x.period && $3) "
	"ORDER BY COALESCE(b.before > '0' AND b.before < '1 day', false)::int + COALESCE(c.after > '0' AND c.after < '1 day', false)::int, "
	"LEAST(b.before, c.after) NULLS LAST, u.code LIMIT $5 FOR NO KEY UPDATE OF u SKIP LOCKED",
	UUIDOID, UUIDOID, TSTZRANGEOID, UUIDOID, INT4OID);
PLAN(assignment_insert,
	 "INSERT INTO rental.unit_assignments (vendor_id, reservation_id, unit_id, blocked) VALUES ($1, $2, $3, $4)",
	 UUIDOID, UUIDOID, UUIDOID, TSTZRANGEOID);
PLAN(unit_taken, "SELECT FROM rental.unit_assignments WHERE unit_id = $1 AND blocked && $2 AND vendor_id = $3", UUIDOID,
	 TSTZRANGEOID, UUIDOID);
PLAN(
	reservations_open,
	"SELECT r.id, r.vendor_id, r.product_id, r.location_id, r.blocked, r.quantity - (SELECT count(*)::int FROM rental.unit_assignments a "
	"WHERE a.reservation_id = r.id AND a.vendor_id = r.vendor_id) FROM rental.order_items i "
	"JOIN rental.reservations r ON r.order_item_id = i.id AND r.vendor_id = i.vendor_id "
	"JOIN rental.products p ON p.id = r.product_id AND p.vendor_id = r.vendor_id "
	"WHERE i.order_id = $1 AND p.tracking = 'serialised' AND r.state <> 'released' ORDER BY r.product_id, r.location_id, lower(r.blocked), r.id",
	UUIDOID);
PLAN(
	assignment_swap,
	"UPDATE rental.unit_assignments a SET unit_id = $3, blocked = " EXCHANGED
	" FROM rental.reservations r, rental.order_items i "
	"WHERE i.order_id = $1 AND r.order_item_id = i.id AND a.reservation_id = r.id AND a.unit_id = $2 AND r.state <> 'released'",
	UUIDOID, UUIDOID, UUIDOID, TIMESTAMPTZOID);
PLAN(assignments_end,
	 "DELETE FROM rental.unit_assignments a USING rental.reservations r, rental.order_items i "
	 "WHERE i.order_id = $1 AND r.order_item_id = i.id AND a.reservation_id = r.id AND lower(a.blocked) >= $2",
	 UUIDOID, TIMESTAMPTZOID);
PLAN(assignments_cut,
	 "UPDATE rental.unit_assignments a SET blocked = tstzrange(lower(a.blocked), $2) FROM rental.reservations r, "
	 "rental.order_items i WHERE i.order_id = $1 AND r.order_item_id = i.id AND a.reservation_id = r.id "
	 "AND upper(a.blocked) > $2 AND lower(a.blocked) < $2",
	 UUIDOID, TIMESTAMPTZOID);

PLAN(assigned,
	 "SELECT unit_id FROM rental.unit_assignments WHERE reservation_id = $1 AND vendor_id = $2 ORDER BY unit_id",
	 UUIDOID, UUIDOID);
PLAN(assigned_to_line,
	 "SELECT a.unit_id FROM rental.reservations r JOIN rental.unit_assignments a ON a.reservation_id = r.id "
	 "AND a.vendor_id = r.vendor_id WHERE r.order_item_id = $1 AND r.state IN ('hold', 'firm') ORDER BY a.unit_id",
	 UUIDOID);
PLAN(assignment_drop,
	 "DELETE FROM rental.unit_assignments WHERE reservation_id = $1 AND vendor_id = $2 AND unit_id = $3", UUIDOID,
	 UUIDOID, UUIDOID);
PLAN(assignments_surplus,
	 "DELETE FROM rental.unit_assignments WHERE (id, vendor_id) IN (SELECT id, vendor_id FROM rental.unit_assignments "
	 "WHERE reservation_id = $1 AND vendor_id = $2 ORDER BY id OFFSET $3)",
	 UUIDOID, UUIDOID, INT4OID);
PLAN(
	assignments_move,
	"UPDATE rental.unit_assignments SET reservation_id = $3 WHERE (id, vendor_id) IN (SELECT id, vendor_id FROM "
	"rental.unit_assignments WHERE reservation_id = $1 AND vendor_id = $2 AND (cardinality($5) = 0 OR unit_id = ANY ($5)) "
	"ORDER BY id LIMIT $4)",
	UUIDOID, UUIDOID, UUIDOID, INT4OID, UUIDARRAYOID);
PLAN(assignments_end_of,
	 "DELETE FROM rental.unit_assignments WHERE reservation_id = $1 AND vendor_id = $2 AND lower(blocked) >= $3",
	 UUIDOID, UUIDOID, TIMESTAMPTZOID);
PLAN(assignments_cut_of,
	 "UPDATE rental.unit_assignments SET blocked = tstzrange(lower(blocked), $3) WHERE reservation_id = $1 AND "
	 "vendor_id = $2 AND upper(blocked) > $3",
	 UUIDOID, UUIDOID, TIMESTAMPTZOID);
PLAN(units_of_reservation_lock,
	 "SELECT FROM rental.units u JOIN rental.unit_assignments a ON a.unit_id = u.id AND a.vendor_id = u.vendor_id "
	 "WHERE a.reservation_id = $1 AND a.vendor_id = $2 ORDER BY u.id FOR NO KEY UPDATE OF u",
	 UUIDOID, UUIDOID);
PLAN(
	extension_taken,
	"SELECT u.code FROM rental.unit_assignments a JOIN rental.reservations r ON r.id = a.reservation_id AND r.vendor_id = a.vendor_id "
	"JOIN rental.products p ON p.id = r.product_id AND p.vendor_id = r.vendor_id "
	"JOIN rental.units u ON u.id = a.unit_id AND u.vendor_id = a.vendor_id "
	"JOIN rental.unit_assignments o ON o.unit_id = a.unit_id AND o.vendor_id = a.vendor_id AND o.id <> a.id "
	"AND o.blocked && tstzrange(lower(a.blocked), GREATEST(upper(a.blocked), $3 + p.buffer_after)) "
	"WHERE a.reservation_id = $1 AND a.vendor_id = $2 LIMIT 1",
	UUIDOID, UUIDOID, TIMESTAMPTZOID);
PLAN(assignments_extend,
	 "UPDATE rental.unit_assignments a SET blocked = tstzrange(lower(a.blocked), GREATEST(upper(a.blocked), $3 + "
	 "p.buffer_after)) "
	 "FROM rental.reservations r, rental.products p WHERE a.reservation_id = $1 AND a.vendor_id = $2 AND r.id = $1 "
	 "AND r.vendor_id = $2 AND p.id = r.product_id AND p.vendor_id = r.vendor_id",
	 UUIDOID, UUIDOID, TIMESTAMPTZOID);
PLAN(units_of_product, "SELECT id FROM rental.units WHERE id = ANY ($1) AND product_id = $2 ORDER BY id", UUIDARRAYOID,
	 UUIDOID);
PLAN(
	lost_promised,
	"DELETE FROM rental.unit_assignments a USING rental.reservations r WHERE a.unit_id = $1 AND r.id = a.reservation_id "
	"AND r.vendor_id = a.vendor_id AND r.state IN ('hold', 'firm') AND upper(a.blocked) > $2",
	UUIDOID, TIMESTAMPTZOID);

static PagePlans blackout_pages = {
	.forward = PLAN_INIT(
		"SELECT v, v.id FROM rental.blackout_view v WHERE v.id > $1 AND v.product_id = $3 ORDER BY v.id LIMIT $2",
		UUIDOID, INT4OID, UUIDOID),
	.backward = PLAN_INIT(
		"SELECT v, v.id FROM rental.blackout_view v WHERE v.id < $1 AND v.product_id = $3 ORDER BY v.id DESC LIMIT $2",
		UUIDOID, INT4OID, UUIDOID),
	.count = PLAN_INIT("SELECT count(*) FROM rental.blackouts WHERE product_id = $1", UUIDOID),
};

static bool
force_arg(NullableDatum force)
{
	return !force.isnull && DatumGetBool(force.value);
}

static void
require_counted(const Product *product)
{
	if (product->serialised)
		rental_raise(invalid_value, errmsg("a serialised product's stock are its units"), errfield("product_id"));
	if (product->is_kit)
		rental_raise(invalid_value, errmsg("a kit's stock is that of its components"), errfield("product_id"));
}

static PagePlans unit_pages = {
	.forward =
		PLAN_INIT("SELECT v, v.id FROM rental.unit_view v WHERE v.id > $1 AND v.product_id = $3 ORDER BY v.id LIMIT $2",
				  UUIDOID, INT4OID, UUIDOID),
	.backward = PLAN_INIT(
		"SELECT v, v.id FROM rental.unit_view v WHERE v.id < $1 AND v.product_id = $3 ORDER BY v.id DESC LIMIT $2",
		UUIDOID, INT4OID, UUIDOID),
	.count = PLAN_INIT("SELECT count(*) FROM rental.units WHERE product_id = $1", UUIDOID),
};

/* location_arg finds where stock of a product goes: the location named, or the vendor's first. */
static NullableDatum
location_arg(NullableDatum location, const Product *product)
{
	if (location.isnull)
	{
		if (plan_read(&location_default, VALUE(UUIDPGetDatum(&product->vendor_id))) == 0)
			rental_raise(not_found, errmsg("the vendor has no location"), errfield("location_id"));
		return plan_value(0, 1);
	}
	if (plan_read(&location_exists, location, VALUE(UUIDPGetDatum(&product->vendor_id))) == 0)
		rental_raise(not_found, errmsg("no such location"), errfield("location_id"));
	return location;
}

/* stock_set(product_id uuid, quantity integer, location_id uuid, force boolean) */
PG_FUNCTION_INFO_V1(stock_set);
Datum
stock_set(PG_FUNCTION_ARGS)
{
	Product		  product;
	NullableDatum location;
	NullableDatum row;

	request_required(FCARG(0), "product_id");
	request_required(FCARG(1), "quantity");
	plan_open();
	product_load_own(PG_GETARG_UUID_P(0), &product);
	require_counted(&product);
	if (PG_GETARG_INT32(1) < 0 || PG_GETARG_INT32(1) > 1000000000)
		rental_raise(invalid_value, errmsg("quantity must be between 0 and 1000000000"), errfield("quantity"));
	location = location_arg(FCARG(2), &product);
	STOCK_FORCED(force_arg(FCARG(3)), FCARG(0),
				 plan_run(&stock_upsert, VALUE(UUIDPGetDatum(&product.vendor_id)), FCARG(0), location, FCARG(1)));
	plan_run(&stock_row, FCARG(0), location);
	row = plan_keep(0, 1);
	plan_close();
	return plan_return(fcinfo, row);
}

/* unit_create(product_id uuid, code text, location_id uuid) */
PG_FUNCTION_INFO_V1(unit_create);
Datum
unit_create(PG_FUNCTION_ARGS)
{
	char		 *code = request_required_text(FCARG(1), "code", 100);
	Datum		  id = uuid7_datum();
	Product		  product;
	NullableDatum location;
	NullableDatum row;

	request_required(FCARG(0), "product_id");
	plan_open();
	product_load_own(PG_GETARG_UUID_P(0), &product);
	if (!product.serialised)
		rental_raise(invalid_value, errmsg("only a serialised product has units"), errfield("product_id"));
	location = location_arg(FCARG(2), &product);
	plan_run(&stock_ensure, VALUE(UUIDPGetDatum(&product.vendor_id)), FCARG(0), location);
	if (plan_run(&unit_insert, VALUE(id), VALUE(UUIDPGetDatum(&product.vendor_id)), FCARG(0), location,
				 VALUE(CStringGetTextDatum(code)), VALUE(TimestampTzGetDatum(rental_now()))) == 0)
		rental_raise(already_exists, errmsg("the product has a unit \"%s\" already", code), errfield("code"));
	plan_run(&unit_row, VALUE(id));
	row = plan_keep(0, 1);
	plan_close();
	return plan_return(fcinfo, row);
}

/* unit_list(product_id uuid, page_size, cursor, count) */
PG_FUNCTION_INFO_V1(unit_list);
Datum
unit_list(PG_FUNCTION_ARGS)
{
	Product product;

	request_required(FCARG(0), "product_id");
	plan_open();
	product_load_own(PG_GETARG_UUID_P(0), &product);
	plan_close();
	return page_return(fcinfo, &unit_pages, &FCARG(0), 1, PG_GETARG_INT32(1), FCARG(2), FCARG(3));
}

/* stock_move(product_id uuid, quantity integer, at timestamptz, from_location uuid, to_location uuid, force boolean) */
PG_FUNCTION_INFO_V1(stock_move);
Datum
stock_move(PG_FUNCTION_ARGS)
{
	Product		  product;
	NullableDatum minus;
	NullableDatum at;

	request_required(FCARG(0), "product_id");
	request_required(FCARG(1), "quantity");
	at = PG_ARGISNULL(2) ? VALUE(TimestampTzGetDatum(rental_now())) : FCARG(2);
	if (PG_GETARG_INT32(1) < 1 || PG_GETARG_INT32(1) > 1000000000)
		rental_raise(invalid_value, errmsg("quantity must be at least 1"), errfield("quantity"));
	if (PG_ARGISNULL(3) && PG_ARGISNULL(4))
		rental_raise(missing_field, errmsg("from_location or to_location is required"), errfield("from_location"));
	minus = VALUE(Int32GetDatum(-PG_GETARG_INT32(1)));
	plan_open();
	product_load_own(PG_GETARG_UUID_P(0), &product);
	require_counted(&product);
	if (!PG_ARGISNULL(3))
		location_arg(FCARG(3), &product);
	if (!PG_ARGISNULL(4))
	{
		location_arg(FCARG(4), &product);
		plan_run(&stock_ensure, VALUE(UUIDPGetDatum(&product.vendor_id)), FCARG(0), FCARG(4));
		plan_run(&stock_change, FCARG(0), FCARG(4), at, FCARG(1));
	}
	if (!PG_ARGISNULL(3))
	{
		uint64 changed = 0;

		STOCK_FORCED(force_arg(FCARG(5)), FCARG(0), changed = plan_run(&stock_change, FCARG(0), FCARG(3), at, minus));
		if (changed == 0)
			rental_raise(not_found, errmsg("the product is not kept there"), errfield("from_location"));
	}
	plan_close();
	PG_RETURN_VOID();
}

/* unit_find locks a unit that the caller may change, between plan_open and plan_close. */
static void
unit_find(NullableDatum id, Product *product)
{
	request_required(id, "unit_id");
	if (plan_run(&unit_load, id) == 0)
		rental_raise(not_found, errmsg("no such unit"), errfield("unit_id"));
	product_load_own(DatumGetUUIDP(plan_datum(0, 1)), product);
}

static NullableDatum
unit_answer(NullableDatum id)
{
	plan_run(&unit_row, id);
	return plan_keep(0, 1);
}

/* unit_retire(unit_id uuid, at timestamptz, force boolean) */
PG_FUNCTION_INFO_V1(unit_retire);
Datum
unit_retire(PG_FUNCTION_ARGS)
{
	NullableDatum at = PG_ARGISNULL(1) ? VALUE(TimestampTzGetDatum(rental_now())) : FCARG(1);
	Product		  product;
	NullableDatum row;
	uint64		  changed = 0;

	plan_open();
	unit_find(FCARG(0), &product);
	STOCK_FORCED(force_arg(FCARG(2)), VALUE(UUIDPGetDatum(&product.id)),
				 changed = plan_run(&unit_retire_plan, FCARG(0), at));
	if (changed == 0)
		rental_raise(invalid_value, errmsg("the unit was not in service before that"), errfield("at"));
	row = unit_answer(FCARG(0));
	plan_close();
	return plan_return(fcinfo, row);
}

/* unit_move(unit_id uuid, location_id uuid, at timestamptz, force boolean) */
PG_FUNCTION_INFO_V1(unit_move);
Datum
unit_move(PG_FUNCTION_ARGS)
{
	NullableDatum at = PG_ARGISNULL(2) ? VALUE(TimestampTzGetDatum(rental_now())) : FCARG(2);
	Product		  product;
	NullableDatum row;
	uint64		  changed = 0;

	request_required(FCARG(1), "location_id");
	plan_open();
	unit_find(FCARG(0), &product);
	location_arg(FCARG(1), &product);
	plan_run(&stock_ensure, VALUE(UUIDPGetDatum(&product.vendor_id)), VALUE(UUIDPGetDatum(&product.id)), FCARG(1));
	STOCK_FORCED(force_arg(FCARG(3)), VALUE(UUIDPGetDatum(&product.id)),
				 changed = plan_run(&unit_move_plan, FCARG(0), at, FCARG(1)));
	if (changed == 0)
		rental_raise(invalid_value, errmsg("the unit has a later move already"), errfield("at"));
	row = unit_answer(FCARG(0));
	plan_close();
	return plan_return(fcinfo, row);
}

/*
 * blackout_create(product_id uuid, start_at timestamptz, end_at timestamptz, quantity
 * integer, location_id uuid, unit_id uuid, reason text, force boolean)
 */
PG_FUNCTION_INFO_V1(blackout_create);
Datum
blackout_create(PG_FUNCTION_ARGS)
{
	char		 *reason = request_text(FCARG(6), "reason", 1000);
	bool		  force = force_arg(FCARG(7));
	Datum		  id = uuid7_datum();
	Product		  product;
	Period		  period;
	NullableDatum range;
	NullableDatum quantity = FCARG(3);
	NullableDatum row;

	request_required(FCARG(0), "product_id");
	request_required(FCARG(1), "start_at");
	request_required(FCARG(2), "end_at");
	period = period_check_window(PG_GETARG_TIMESTAMPTZ(1), PG_GETARG_TIMESTAMPTZ(2), "end_at");
	range = VALUE(period_range_datum(period.start, period.end));
	if (!quantity.isnull && (DatumGetInt32(quantity.value) < 1 || DatumGetInt32(quantity.value) > 1000000))
		rental_raise(invalid_value, errmsg("quantity must be between 1 and 1000000"), errfield("quantity"));
	plan_open();
	product_load_own(PG_GETARG_UUID_P(0), &product);
	if (product.is_kit)
		rental_raise(invalid_value, errmsg("a kit's stock is that of its components"), errfield("product_id"));
	if (!PG_ARGISNULL(4))
		location_arg(FCARG(4), &product);
	if (!PG_ARGISNULL(5))
	{
		Product owner;

		unit_find(FCARG(5), &owner);
		if (!uuid_equal(&owner.id, &product.id) || !PG_ARGISNULL(4) ||
			(!quantity.isnull && DatumGetInt32(quantity.value) != 1))
			rental_raise(invalid_value, errmsg("a unit of this product is blacked out by itself"), errfield("unit_id"));
		if (plan_run(&unit_blacked_out, FCARG(5), range) > 0)
			rental_raise(conflict, errmsg("the unit has a blackout at that time already"), errfield("start_at"));
		quantity = VALUE(Int32GetDatum(1));
	}
	STOCK_FORCED(force, FCARG(0),
				 plan_run(&blackout_insert, VALUE(id), VALUE(UUIDPGetDatum(&product.vendor_id)), FCARG(0), FCARG(4),
						  FCARG(5), quantity, range,
						  VALUE_OR_NULL(reason ? CStringGetTextDatum(reason) : (Datum) 0, reason == NULL),
						  VALUE(TimestampTzGetDatum(rental_now()))));
	plan_run(&blackout_row, VALUE(id));
	row = plan_keep(0, 1);
	plan_close();
	return plan_return(fcinfo, row);
}

PG_FUNCTION_INFO_V1(blackout_delete);
Datum
blackout_delete(PG_FUNCTION_ARGS)
{
	request_required(FCARG(0), "blackout_id");
	plan_open();
	if (plan_run(&blackout_row, FCARG(0)) == 0)
		rental_raise(not_found, errmsg("no such blackout"));
	actor_require_vendor(DatumGetUUIDP(plan_datum(0, 2)));
	plan_run(&blackout_delete_plan, FCARG(0));
	plan_close();
	PG_RETURN_VOID();
}

/* blackout_list(product_id uuid, page_size, cursor, count) */
PG_FUNCTION_INFO_V1(blackout_list);
Datum
blackout_list(PG_FUNCTION_ARGS)
{
	Product product;

	request_required(FCARG(0), "product_id");
	plan_open();
	product_load_own(PG_GETARG_UUID_P(0), &product);
	plan_close();
	return page_return(fcinfo, &blackout_pages, &FCARG(0), 1, PG_GETARG_INT32(1), FCARG(2), FCARG(3));
}

/* Assignments. All are called between plan_open and plan_close. */

/*
 * units_choose locks and returns units for a reservation of a product, the
 * ones asked for or the best; it refuses when there are too few. Units are locked before stock is
 * taken, here and where blackouts are made, so that nobody waits in a circle.
 */
void
units_choose(const pg_uuid_t *vendor_id, const pg_uuid_t *product_id, const pg_uuid_t *location_id,
			 const Period *blocked, int quantity, pg_uuid_t *units)
{
	int found = plan_run(&unit_choose, VALUE(UUIDPGetDatum(product_id)), VALUE(UUIDPGetDatum(location_id)),
						 VALUE(period_range_datum(blocked->start, blocked->end)), VALUE(UUIDPGetDatum(vendor_id)),
						 VALUE(Int32GetDatum(quantity)));
	int i;

	if (found < quantity)
		rental_raise(insufficient_stock, errmsg("only %d of %d units are free for the whole period", found, quantity));
	for (i = 0; i < quantity; i++)
		units[i] = *DatumGetUUIDP(plan_datum(i, 1));
}

static int
units_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(pg_uuid_t));
}

/* units_lock locks units that were asked for, in ascending order. */
void
units_lock(const pg_uuid_t *vendor_id, pg_uuid_t *units, int n, const Period *blocked, const char *field)
{
	int i;

	qsort(units, n, sizeof(pg_uuid_t), units_compare);
	for (i = 0; i < n; i++)
	{
		if (i > 0 && uuid_equal(&units[i - 1], &units[i]))
			rental_raise(invalid_value, errmsg("a unit is named twice"), errfield(field));
		if (plan_run(&unit_lock, VALUE(UUIDPGetDatum(&units[i])), VALUE(UUIDPGetDatum(vendor_id))) == 0)
			rental_raise(not_found, errmsg("no such unit"), errfield(field));
		if (plan_run(&unit_taken, VALUE(UUIDPGetDatum(&units[i])),
					 VALUE(period_range_datum(blocked->start, blocked->end)), VALUE(UUIDPGetDatum(vendor_id))) > 0)
			rental_raise(insufficient_stock, errmsg("a unit that was asked for is not free"), errfield(field));
	}
}

/* units_assign writes down which units serve a reservation. */
void
units_assign(const pg_uuid_t *vendor_id, Datum reservation_id, const Period *blocked, const pg_uuid_t *units, int n)
{
	int i;

	for (i = 0; i < n; i++)
		plan_run(&assignment_insert, VALUE(UUIDPGetDatum(vendor_id)), VALUE(reservation_id),
				 VALUE(UUIDPGetDatum(&units[i])), VALUE(period_range_datum(blocked->start, blocked->end)));
}

/* units_assign_order assigns the units that an order still lacks: all or none. */
void
units_assign_order(const pg_uuid_t *order_id)
{
	uint64		   n = plan_run(&reservations_open, VALUE(UUIDPGetDatum(order_id)));
	SPITupleTable *rows = SPI_tuptable;
	uint64		   i;

	for (i = 0; i < n; i++)
	{
		NullableDatum id = plan_value_of(rows, i, 1);
		pg_uuid_t	  vendor_id = *DatumGetUUIDP(plan_value_of(rows, i, 2).value);
		pg_uuid_t	  product_id = *DatumGetUUIDP(plan_value_of(rows, i, 3).value);
		pg_uuid_t	  location_id = *DatumGetUUIDP(plan_value_of(rows, i, 4).value);
		int			  lacking = DatumGetInt32(plan_value_of(rows, i, 6).value);
		Period		  blocked;
		pg_uuid_t	 *units;

		if (lacking <= 0 || !period_from_range(plan_value_of(rows, i, 5).value, &blocked))
			continue;
		units = palloc(lacking * sizeof(pg_uuid_t));
		units_choose(&vendor_id, &product_id, &location_id, &blocked, lacking, units);
		units_assign(&vendor_id, id.value, &blocked, units, lacking);
	}
}

/* units_release frees an order's units from a time on. */
void
units_release(const pg_uuid_t *order_id, TimestampTz at)
{
	plan_run(&assignments_end, VALUE(UUIDPGetDatum(order_id)), VALUE(TimestampTzGetDatum(at)));
	plan_run(&assignments_cut, VALUE(UUIDPGetDatum(order_id)), VALUE(TimestampTzGetDatum(at)));
}

/* units_release_reservation frees the units of one reservation from a time on. */
void
units_release_reservation(NullableDatum reservation_id, NullableDatum vendor_id, TimestampTz at)
{
	plan_run(&assignments_end_of, reservation_id, vendor_id, VALUE(TimestampTzGetDatum(at)));
	plan_run(&assignments_cut_of, reservation_id, vendor_id, VALUE(TimestampTzGetDatum(at)));
}

static int
units_found(uint64 n, pg_uuid_t **units)
{
	uint64 i;

	*units = palloc(Max(n, 1) * sizeof(pg_uuid_t));
	for (i = 0; i < n; i++)
		(*units)[i] = *DatumGetUUIDP(plan_datum(i, 1));
	return n;
}

/* units_of_line lists the units that are assigned to a line and have not gone out. */
int
units_of_line(const pg_uuid_t *item_id, pg_uuid_t **units)
{
	return units_found(plan_run(&assigned_to_line, VALUE(UUIDPGetDatum(item_id))), units);
}

/* units_of_reservation lists the units that serve a reservation. */
int
units_of_reservation(NullableDatum reservation_id, NullableDatum vendor_id, pg_uuid_t **units)
{
	return units_found(plan_run(&assigned, reservation_id, vendor_id), units);
}

static bool
unit_among(const pg_uuid_t *unit, const pg_uuid_t *units, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (uuid_equal(unit, &units[i]))
			return true;
	return false;
}

/* units_count is how many of some units serve a reservation. */
int
units_count(NullableDatum reservation_id, NullableDatum vendor_id, const pg_uuid_t *units, int n)
{
	pg_uuid_t *assigned_units;
	int		   found = units_of_reservation(reservation_id, vendor_id, &assigned_units);
	int		   count = 0;
	int		   i;

	for (i = 0; i < found; i++)
		count += unit_among(&assigned_units[i], units, n) ? 1 : 0;
	return count;
}

/*
 * units_ensure sees to it that so many pieces of a reservation have units: the
 * ones wanted, which replace others if need be, or else the best.
 */
void
units_ensure(NullableDatum reservation_id, NullableDatum vendor_id, const pg_uuid_t *product_id,
			 const pg_uuid_t *location_id, const Period *blocked, int quantity, int take, const pg_uuid_t *wanted,
			 int nwanted, const char *field)
{
	const pg_uuid_t *vendor = DatumGetUUIDP(vendor_id.value);
	pg_uuid_t		*have;
	int				 nhave = units_of_reservation(reservation_id, vendor_id, &have);
	int				 spare = 0;
	int				 i;

	for (i = 0; i < nwanted; i++)
	{
		pg_uuid_t unit = wanted[i];

		if (unit_among(&unit, have, nhave))
			continue;
		units_lock(vendor, &unit, 1, blocked, field);
		if (nhave == quantity)
		{
			while (spare < nhave && unit_among(&have[spare], wanted, nwanted))
				spare++;
			plan_run(&assignment_drop, reservation_id, vendor_id, VALUE(UUIDPGetDatum(&have[spare++])));
		}
		else
			quantity--;
		units_assign(vendor, reservation_id.value, blocked, &unit, 1);
	}
	if (nwanted == 0 && nhave < take)
	{
		pg_uuid_t *units = palloc((take - nhave) * sizeof(pg_uuid_t));

		units_choose(vendor, product_id, location_id, blocked, take - nhave, units);
		units_assign(vendor, reservation_id.value, blocked, units, take - nhave);
	}
}

/* units_keep takes units off a reservation that is to have fewer pieces. */
void
units_keep(NullableDatum reservation_id, NullableDatum vendor_id, int keep)
{
	plan_run(&assignments_surplus, reservation_id, vendor_id, VALUE(Int32GetDatum(keep)));
}

/* units_move gives the units of a reservation to a part that was split off: those named, or any. */
void
units_move(NullableDatum from, NullableDatum vendor_id, NullableDatum to, int take, const pg_uuid_t *units, int n)
{
	plan_run(&assignments_move, from, vendor_id, to, VALUE(Int32GetDatum(take)), VALUE(uuid_array_datum(units, n)));
}

/* units_extend keeps the units of a reservation until a new end. */
void
units_extend(NullableDatum reservation_id, NullableDatum vendor_id, NullableDatum end)
{
	plan_run(&units_of_reservation_lock, reservation_id, vendor_id);
	if (plan_run(&extension_taken, reservation_id, vendor_id, end) > 0)
		rental_raise(insufficient_stock, errmsg("unit %s is promised to somebody else then", plan_text(0, 1)));
	plan_run(&assignments_extend, reservation_id, vendor_id, end);
}

/* units_lose takes those of some units that are of a product out of service. Who was to get them gets others. */
void
units_lose(NullableDatum product_id, const pg_uuid_t *units, int n, TimestampTz at)
{
	NullableDatum from = VALUE(TimestampTzGetDatum(at));
	pg_uuid_t	 *lost;
	int			  i;

	n = units_found(plan_run(&units_of_product, VALUE(uuid_array_datum(units, n)), product_id), &lost);
	for (i = 0; i < n; i++)
	{
		plan_run(&lost_promised, VALUE(UUIDPGetDatum(&lost[i])), from);
		plan_run(&unit_retire_plan, VALUE(UUIDPGetDatum(&lost[i])), from);
	}
}

/* units_swap gives an order another unit in place of one of its own; of one that is out, from now on. */
void
units_swap(const pg_uuid_t *vendor_id, const pg_uuid_t *order_id, NullableDatum from, NullableDatum to)
{
	pg_uuid_t	  both[2] = {*DatumGetUUIDP(from.value), *DatumGetUUIDP(to.value)};
	NullableDatum now = VALUE(TimestampTzGetDatum(rental_now()));
	int			  i;

	qsort(both, 2, sizeof(pg_uuid_t), units_compare);
	for (i = 0; i < 2; i++)
		if (plan_run(&unit_lock, VALUE(UUIDPGetDatum(&both[i])), VALUE(UUIDPGetDatum(vendor_id))) == 0)
			rental_raise(not_found, errmsg("no such unit"), errfield("unit_id"));
	if (plan_run(&unit_busy, VALUE(UUIDPGetDatum(order_id)), from, to, now) > 0)
		rental_raise(insufficient_stock, errmsg("the other unit is not free then"), errfield("unit_id"));
	if (plan_run(&assignment_swap, VALUE(UUIDPGetDatum(order_id)), from, to, now) == 0)
		rental_raise(not_found, errmsg("the unit is not assigned to this order"), errfield("from_unit_id"));
}

/* Columns of rental.unit_assignments, in the order of sql/install/50_orders.sql */
enum
{
	ASSIGNMENT_ID = 1,
	ASSIGNMENT_VENDOR,
	ASSIGNMENT_RESERVATION,
	ASSIGNMENT_UNIT,
	ASSIGNMENT_BLOCKED
};

/*
 * unit_assignment_guard: after each row of unit_assignments is inserted or
 * updated, refuses a unit that is of another product, elsewhere, out of
 * service or under repair at the time.
 */
PG_FUNCTION_INFO_V1(unit_assignment_guard);
Datum
unit_assignment_guard(PG_FUNCTION_ARGS)
{
	TriggerData	 *trigger = (TriggerData *) fcinfo->context;
	TupleDesc	  desc;
	HeapTuple	  row;
	NullableDatum vendor;
	NullableDatum reservation;
	NullableDatum unit;
	NullableDatum blocked;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event) ||
		!TRIGGER_FIRED_AFTER(trigger->tg_event))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("unit_assignment_guard must be fired after each row")));
	desc = RelationGetDescr(trigger->tg_relation);
	row = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
	vendor.value = heap_getattr(row, ASSIGNMENT_VENDOR, desc, &vendor.isnull);
	reservation.value = heap_getattr(row, ASSIGNMENT_RESERVATION, desc, &reservation.isnull);
	unit.value = heap_getattr(row, ASSIGNMENT_UNIT, desc, &unit.isnull);
	blocked.value = heap_getattr(row, ASSIGNMENT_BLOCKED, desc, &blocked.isnull);
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
	{
		bool   isnull;
		Datum  was = heap_getattr(trigger->tg_trigtuple, ASSIGNMENT_UNIT, desc, &isnull);
		Period old;
		Period new;

		/* a period that is cut needs no look */
		if (uuid_equal(DatumGetUUIDP(was), DatumGetUUIDP(unit.value)) &&
			period_from_range(heap_getattr(trigger->tg_trigtuple, ASSIGNMENT_BLOCKED, desc, &isnull), &old) &&
			period_from_range(blocked.value, &new) && old.start <= new.start && old.end >= new.end)
			return PointerGetDatum(NULL);
	}
	plan_open();
	plan_run(&unit_lock, unit, vendor);
	if (plan_run(&assignment_place, unit, vendor, reservation, blocked) == 0 || !DatumGetBool(plan_datum(0, 1)))
		rental_raise(conflict, errmsg("the unit is of another product, elsewhere, or out of service then"),
					 errfield("unit_id"));
	if (DatumGetBool(plan_datum(0, 2)))
		rental_raise(conflict, errmsg("the unit is under repair then"), errfield("unit_id"));
	plan_close();
	return PointerGetDatum(NULL);
}
