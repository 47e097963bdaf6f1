/*
 * history.c
 *	  Orders as they were: every row of an order and its items is kept before
 *	  it changes.
 *
 * It owns order_history. What was true at a time is what the first change
 * after it replaced, or the row of today where there was none.
 */
#include "rental.h"

#include "actor.h"
#include "commands/trigger.h"
#include "errors.h"
#include "executor/spi.h"
#include "period.h"
#include "plan.h"
#include "request.h"
#include "response.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"

PLAN(history_insert,
	 "INSERT INTO rental.order_history (vendor_id, order_id, item_id, until, was) VALUES ($1, $2, $3, $4, $5)", UUIDOID,
	 UUIDOID, UUIDOID, TIMESTAMPTZOID, JSONBOID);
PLAN(order_parties, "SELECT customer_id, vendor_id, created_at FROM rental.orders WHERE id = $1", UUIDOID);
PLAN(order_was,
	 "SELECT was::text FROM rental.order_history WHERE order_id = $1 AND item_id IS NULL AND until > $2 "
	 "ORDER BY until, id LIMIT 1",
	 UUIDOID, TIMESTAMPTZOID);
PLAN(order_is, "SELECT o FROM rental.orders o WHERE o.id = $1", UUIDOID);
PLAN(
	items_were,
	"SELECT DISTINCT ON (i.id) i.id, i.was, i.item FROM ("
	" SELECT item_id AS id, was::text AS was, NULL::rental.order_items AS item, until, id AS seq, (was ->> 'created_at')::timestamptz AS created_at "
	"  FROM rental.order_history WHERE order_id = $1 AND item_id IS NOT NULL AND until > $2"
	" UNION ALL SELECT i.id, NULL, i, 'infinity', i.id, i.created_at FROM rental.order_items i WHERE i.order_id = $1) i "
	"WHERE i.created_at <= $2 ORDER BY i.id, i.until, i.seq",
	UUIDOID, TIMESTAMPTZOID);

static NullableDatum
column_of(TriggerData *trigger, const char *name)
{
	TupleDesc	  desc = RelationGetDescr(trigger->tg_relation);
	int			  column = SPI_fnumber(desc, name);
	NullableDatum found = NULLVALUE;

	if (column > 0)
		found.value = heap_getattr(trigger->tg_trigtuple, column, desc, &found.isnull);
	return found;
}

/* order_history_keep: before each row of orders or order_items is updated or deleted */
PG_FUNCTION_INFO_V1(order_history_keep);
Datum
order_history_keep(PG_FUNCTION_ARGS)
{
	TriggerData	  *trigger = (TriggerData *) fcinfo->context;
	NullableDatum  order;
	bool		   is_item;
	StringInfoData was;
	TupleDesc	   desc;
	PlanRights	   rights;

	if (!CALLED_AS_TRIGGER(fcinfo) || TRIGGER_FIRED_BY_INSERT(trigger->tg_event) ||
		!TRIGGER_FIRED_BEFORE(trigger->tg_event) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("order_history_keep must be fired before each row is updated or deleted")));
	desc = RelationGetDescr(trigger->tg_relation);
	order = column_of(trigger, "order_id");
	is_item = !order.isnull;
	initStringInfo(&was);
	json_write(&was, heap_copy_tuple_as_datum(trigger->tg_trigtuple, desc), false, desc->tdtypeid);
	rights = plan_open_trusted();
	plan_run(&history_insert, column_of(trigger, "vendor_id"), is_item ? order : column_of(trigger, "id"),
			 is_item ? column_of(trigger, "id") : NULLVALUE, VALUE(TimestampTzGetDatum(rental_now())),
			 VALUE(DirectFunctionCall1(jsonb_in, CStringGetDatum(was.data))));
	plan_close_trusted(rights);
	return PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple);
}

/* order_as_of(order_id uuid, at timestamptz) */
PG_FUNCTION_INFO_V1(order_as_of);
Datum
order_as_of(PG_FUNCTION_ARGS)
{
	MemoryContext  caller = CurrentMemoryContext;
	StringInfoData out;
	SPITupleTable *rows;
	uint64		   n;
	uint64		   i;
	Datum		   result;

	request_required(FCARG(0), "order_id");
	request_required(FCARG(1), "at");
	plan_open();
	if (plan_read(&order_parties, FCARG(0)) == 0 ||
		!actor_may_see(DatumGetUUIDP(plan_datum(0, 1)), DatumGetUUIDP(plan_datum(0, 2))))
		rental_raise(not_found, errmsg("no such order"));
	if (DatumGetTimestampTz(plan_datum(0, 3)) > PG_GETARG_TIMESTAMPTZ(1))
		rental_raise(not_found, errmsg("the order was not there yet"), errfield("at"));
	initStringInfo(&out);
	if (plan_read(&order_was, FCARG(0), FCARG(1)) > 0)
		appendStringInfoString(&out, plan_text(0, 1));
	else
	{
		plan_read(&order_is, FCARG(0));
		json_write(&out, plan_datum(0, 1), false, SPI_gettypeid(SPI_tuptable->tupdesc, 1));
	}
	/* the items become a member of the order's object */
	out.data[--out.len] = '\0';
	appendStringInfoString(&out, ",\"items\":[");
	n = plan_read(&items_were, FCARG(0), FCARG(1));
	rows = SPI_tuptable;
	for (i = 0; i < n; i++)
	{
		NullableDatum was = plan_value_of(rows, i, 2);
		NullableDatum item = plan_value_of(rows, i, 3);

		if (i > 0)
			appendStringInfoChar(&out, ',');
		if (!was.isnull)
			appendStringInfoString(&out, TextDatumGetCString(was.value));
		else
			json_write(&out, item.value, item.isnull, SPI_gettypeid(rows->tupdesc, 3));
	}
	appendStringInfoString(&out, "]}");
	MemoryContextSwitchTo(caller);
	result = DirectFunctionCall1(jsonb_in, CStringGetDatum(out.data));
	plan_close();
	PG_RETURN_DATUM(result);
}
