/*
 * examples.c
 *	  The smallest complete module: named notes, readable by everybody and
 *	  changed by their owners. doc/adding-a-module.md walks through it.
 */
#include "rental.h"

#include "actor.h"
#include "errors.h"
#include "period.h"
#include "plan.h"
#include "request.h"
#include "response.h"
#include "utils/builtins.h"

PLAN(example_row, "SELECT v, v.owner_id FROM rental.example_view v WHERE v.id = $1", UUIDOID);
PLAN(example_insert,
	 "INSERT INTO rental.examples (id, owner_id, name, note, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)",
	 UUIDOID, UUIDOID, TEXTOID, TEXTOID, TIMESTAMPTZOID);
PLAN(example_owner, "SELECT owner_id FROM rental.examples WHERE id = $1 FOR UPDATE", UUIDOID);
PLAN(example_replace, "UPDATE rental.examples SET name = $2, note = $3, updated_at = $4 WHERE id = $1", UUIDOID,
	 TEXTOID, TEXTOID, TIMESTAMPTZOID);
PLAN(example_remove, "DELETE FROM rental.examples WHERE id = $1", UUIDOID);

static PagePlans example_pages = {
	.forward = PLAN_INIT("SELECT v, v.id FROM rental.example_view v WHERE v.id < $1 ORDER BY v.id DESC LIMIT $2",
						 UUIDOID, INT4OID),
	.backward =
		PLAN_INIT("SELECT v, v.id FROM rental.example_view v WHERE v.id > $1 ORDER BY v.id LIMIT $2", UUIDOID, INT4OID),
	.count = PLAN_INIT("SELECT count(*) FROM rental.examples", ),
	.newest_first = true,
};

/* example_list(page_size, cursor, count) */
PG_FUNCTION_INFO_V1(example_list);
Datum
example_list(PG_FUNCTION_ARGS)
{
	return page_return(fcinfo, &example_pages, NULL, 0, PG_GETARG_INT32(0), FCARG(1), FCARG(2));
}

static Datum
example_answer(FunctionCallInfo fcinfo, NullableDatum id)
{
	NullableDatum row;

	if (plan_run(&example_row, id) == 0)
		rental_raise(not_found, errmsg("no such example"));
	row = plan_keep(0, 1);
	return plan_return(fcinfo, row);
}

PG_FUNCTION_INFO_V1(example_get);
Datum
example_get(PG_FUNCTION_ARGS)
{
	Datum result;

	plan_open();
	result = example_answer(fcinfo, FCARG(0));
	plan_close();
	return result;
}

/* example_create(name text, note text) */
PG_FUNCTION_INFO_V1(example_create);
Datum
example_create(PG_FUNCTION_ARGS)
{
	const Actor	 *who = actor_require_user();
	char		 *name = request_required_text(FCARG(0), "name", 200);
	NullableDatum id = VALUE(uuid7_datum());
	Datum		  result;

	request_text(FCARG(1), "note", 4000);
	plan_open();
	plan_run(&example_insert, id, VALUE(UUIDPGetDatum(&who->user_id)), VALUE(CStringGetTextDatum(name)), FCARG(1),
			 VALUE(TimestampTzGetDatum(rental_now())));
	result = example_answer(fcinfo, id);
	plan_close();
	return result;
}

/* example_lock_own locks an example that the caller may change. */
static void
example_lock_own(NullableDatum id)
{
	const Actor *who = actor_current();

	request_required(id, "example_id");
	if (plan_run(&example_owner, id) == 0)
		rental_raise(not_found, errmsg("no such example"));
	if (!actor_is_staff(who) && !uuid_equal(&actor_require_user()->user_id, DatumGetUUIDP(plan_datum(0, 1))))
		rental_raise(forbidden, errmsg("only its owner may change an example"));
}

/* example_update(example_id uuid, name text, note text) */
PG_FUNCTION_INFO_V1(example_update);
Datum
example_update(PG_FUNCTION_ARGS)
{
	char *name = request_required_text(FCARG(1), "name", 200);
	Datum result;

	request_text(FCARG(2), "note", 4000);
	plan_open();
	example_lock_own(FCARG(0));
	plan_run(&example_replace, FCARG(0), VALUE(CStringGetTextDatum(name)), FCARG(2),
			 VALUE(TimestampTzGetDatum(rental_now())));
	result = example_answer(fcinfo, FCARG(0));
	plan_close();
	return result;
}

PG_FUNCTION_INFO_V1(example_delete);
Datum
example_delete(PG_FUNCTION_ARGS)
{
	plan_open();
	example_lock_own(FCARG(0));
	plan_run(&example_remove, FCARG(0));
	plan_close();
	PG_RETURN_VOID();
}
