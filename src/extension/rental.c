/*
 * rental.c
 *	  The module's entry: calls each module's init and nothing else.
 */
#include "rental.h"

#include "utils/builtins.h"
#include "utils/guc.h"

PG_MODULE_MAGIC;

void _PG_init(void);

void
_PG_init(void)
{
	actor_init();
	period_init();
	password_init();
	session_init();
	activity_init();
	MarkGUCPrefixReserved("rental");
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
