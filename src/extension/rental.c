/*
 * rental.c
 *	  The module's entry: calls each module's init, and sees that settings are
 *	  defined when PostgreSQL allows it.
 */
#include "rental.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "utils/builtins.h"
#include "utils/guc.h"

PG_MODULE_MAGIC;

void _PG_init(void);

static ExecutorStart_hook_type next_start;
static bool					   is_defined;

static void
define_settings(void)
{
	period_settings();
	password_settings();
	session_settings();
	activity_settings();
	MarkGUCPrefixReserved("rental");
	is_defined = true;
}

static void
define_first(QueryDesc *query, int flags)
{
	if (!is_defined && !IsInParallelMode())
		define_settings();
	if (next_start)
		next_start(query, flags);
	else
		standard_ExecutorStart(query, flags);
}

/*
 * _PG_init leaves the settings for the next query if it runs amid a parallel
 * one, in which PostgreSQL lets no setting take the value that it was given
 * beforehand. Of what may run there only rental.now() looks at one, and loads
 * the module before the query goes parallel.
 */
void
_PG_init(void)
{
	actor_init();
	if (!IsInParallelMode())
		define_settings();
	else
	{
		next_start = ExecutorStart_hook;
		ExecutorStart_hook = define_first;
	}
}

/*
 * rental_version names the built module, so that a server, a shim and an
 * installed script that do not belong together can be told apart.
 */
PG_FUNCTION_INFO_V1(rental_version);
Datum
rental_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(RENTAL_VERSION));
}
