/*
 * plan.c
 *	  Prepared statements. Only this file calls SPI.
 *
 * A plan is prepared at its first use in a backend and kept; PostgreSQL plans
 * it anew by itself when a table it uses has changed. Values are always passed
 * as parameters, never pasted into the text.
 */
#include "plan.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/resowner.h"

void
plan_open(void)
{
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

void
plan_close(void)
{
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
}

/* plan_trust lets the plans that follow run with full rights, and look names up in fixed schemas, up to plan_distrust. */
PlanRights
plan_trust(void)
{
	PlanRights rights;

	GetUserIdAndSecContext(&rights.user, &rights.security);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID, rights.security | SECURITY_LOCAL_USERID_CHANGE);
	rights.nest = NewGUCNestLevel();
	set_config_option("search_path", "pg_catalog, rental, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true,
					  0, false);
	return rights;
}

void
plan_distrust(PlanRights rights)
{
	AtEOXact_GUC(true, rights.nest);
	SetUserIdAndSecContext(rights.user, rights.security);
}

/* plan_open_trusted is plan_open for a trigger, which runs as whoever writes the table and with whatever search path. */
PlanRights
plan_open_trusted(void)
{
	PlanRights rights = plan_trust();

	plan_open();
	return rights;
}

void
plan_close_trusted(PlanRights rights)
{
	plan_close();
	plan_distrust(rights);
}

/* plan_see_changes makes a statement trigger's transition tables known to the plans that follow. */
void
plan_see_changes(TriggerData *trigger)
{
	if (SPI_register_trigger_data(trigger) != SPI_OK_TD_REGISTER)
		elog(ERROR, "SPI_register_trigger_data failed");
}

/* row_column is a column, which is never null, of a row that a trigger was fired for. */
Datum
row_column(TriggerData *trigger, HeapTuple row, const char *name)
{
	TupleDesc desc = RelationGetDescr(trigger->tg_relation);
	bool	  isnull;
	Datum	  value = heap_getattr(row, SPI_fnumber(desc, name), desc, &isnull);

	if (isnull)
		elog(ERROR, "unexpected null in column %s", name);
	return value;
}

/*
 * plan_execute runs a plan and leaves its rows in SPI_tuptable until the next
 * run. It returns the number of rows read or changed. A read-only run takes
 * the snapshot of the calling query, so it costs less and sees what the query
 * sees; any other sees all that was done before it.
 */
uint64
plan_execute(PreparedPlan *plan, const NullableDatum *args, int nargs, bool read_only)
{
	Datum values[PLAN_MAX_ARGS];
	char  nulls[PLAN_MAX_ARGS];
	int	  i;
	int	  rc;

	Assert(nargs == plan->nargs && nargs <= PLAN_MAX_ARGS);
	if (plan->prepared == NULL)
	{
		SPIPlanPtr prepared = SPI_prepare_cursor(plan->sql, plan->nargs, plan->argtypes, plan->options);

		if (prepared == NULL)
			elog(ERROR, "could not prepare \"%s\": %s", plan->sql, SPI_result_code_string(SPI_result));
		if (SPI_keepplan(prepared) != 0)
			elog(ERROR, "SPI_keepplan failed");
		plan->prepared = prepared;
	}
	for (i = 0; i < nargs; i++)
	{
		values[i] = args[i].value;
		nulls[i] = args[i].isnull ? 'n' : ' ';
	}
	rc = SPI_execute_plan(plan->prepared, values, nulls, read_only, 0);
	if (rc < 0)
		elog(ERROR, "could not execute \"%s\": %s", plan->sql, SPI_result_code_string(rc));
	return SPI_processed;
}

/* text_or_null is a text as an argument of a plan. */
NullableDatum
text_or_null(const char *text)
{
	return VALUE_OR_NULL(text ? CStringGetTextDatum(text) : (Datum) 0, text == NULL);
}

/* plan_value_of is the value at a row (from 0) and column (from 1) of a run, kept as SPI_tuptable. */
NullableDatum
plan_value_of(SPITupleTable *rows, uint64 row, int column)
{
	NullableDatum result;

	Assert(row < rows->numvals);
	result.value = SPI_getbinval(rows->vals[row], rows->tupdesc, column, &result.isnull);
	return result;
}

/* plan_value is the same of the last run. */
NullableDatum
plan_value(uint64 row, int column)
{
	return plan_value_of(SPI_tuptable, row, column);
}

/* plan_datum is plan_value for a column that is never null. */
Datum
plan_datum(uint64 row, int column)
{
	NullableDatum result = plan_value(row, column);

	if (result.isnull)
		elog(ERROR, "unexpected null in column %d", column);
	return result.value;
}

/* plan_keep copies a value into the memory of whoever called plan_open. */
NullableDatum
plan_keep(uint64 row, int column)
{
	NullableDatum	  result = plan_value(row, column);
	Form_pg_attribute attribute = TupleDescAttr(SPI_tuptable->tupdesc, column - 1);

	if (!result.isnull)
		result.value = SPI_datumTransfer(result.value, attribute->attbyval, attribute->attlen);
	return result;
}

/* plan_keep_row does the same with a row that was not read by a plan. */
Datum
plan_keep_row(Datum row)
{
	return SPI_datumTransfer(row, false, -1);
}

char *
plan_text(uint64 row, int column)
{
	return TextDatumGetCString(plan_datum(row, column));
}

/* plan_return makes a kept value the result of the SQL function being executed. */
Datum
plan_return(FunctionCallInfo fcinfo, NullableDatum kept)
{
	fcinfo->isnull = kept.isnull;
	return kept.value;
}

/*
 * plan_try does some work in a subtransaction, which is undone if it fails or
 * is not to be kept, and returns the error it failed with, or NULL. Rows that
 * were read in what is undone are gone.
 */
ErrorData *
plan_try(void (*work)(void *arg), void *arg, bool keep)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		work(arg);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	if (keep && error == NULL)
		ReleaseCurrentSubTransaction();
	else
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}
