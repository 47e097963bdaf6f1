/*
 * patch.c
 *	  Partial changes: which fields a PATCH gives, null among them.
 *
 * All arguments of such a function have the default NULL, so a value alone
 * does not tell "leave it" from "clear it". The server fills an argument
 * given text[] with the names of the body's members, which does. A caller in
 * SQL may leave it out: then what is not null is given.
 *
 * The result is the text[] of the fields to change, for a statement like
 * UPDATE ... SET name = CASE WHEN 'name' = ANY ($2) THEN $3 ELSE name END.
 */
#include "patch.h"

#include "catalog/pg_type.h"
#include "errors.h"
#include "utils/array.h"
#include "utils/builtins.h"

static void
names_read(Datum array, Datum **names, bool **nulls, int *n)
{
	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, names, nulls, n);
}

/* patch_gives tells whether a field is among those that patch_fields found. */
bool
patch_gives(Datum fields, const char *name)
{
	Datum *names;
	bool  *nulls;
	int	   n;
	int	   i;

	names_read(fields, &names, &nulls, &n);
	for (i = 0; i < n; i++)
		if (!nulls[i] && strcmp(TextDatumGetCString(names[i]), name) == 0)
			return true;
	return false;
}

static void
require_known(Datum given, const PatchField *fields, int nfields)
{
	Datum *names;
	bool  *nulls;
	int	   n;
	int	   i;
	int	   j;

	names_read(given, &names, &nulls, &n);
	for (i = 0; i < n; i++)
	{
		char *name = nulls[i] ? "" : TextDatumGetCString(names[i]);

		for (j = 0; j < nfields && strcmp(fields[j].name, name) != 0; j++)
			;
		if (j == nfields)
			rental_raise(unknown_field, errmsg("%s is not known here", name), errfield(name));
	}
}

Datum
patch_fields(FunctionCallInfo fcinfo, const PatchField *fields, int nfields, int given_argument)
{
	bool   listed = !PG_ARGISNULL(given_argument);
	Datum *found = palloc(nfields * sizeof(Datum));
	int	   n = 0;
	int	   i;

	if (listed)
		require_known(PG_GETARG_DATUM(given_argument), fields, nfields);
	for (i = 0; i < nfields; i++)
	{
		bool isnull = PG_ARGISNULL(fields[i].argument);

		if (listed ? !patch_gives(PG_GETARG_DATUM(given_argument), fields[i].name) : isnull)
			continue;
		if (isnull && !fields[i].nullable)
			rental_raise(invalid_field, errmsg("%s must not be null", fields[i].name), errfield(fields[i].name));
		found[n++] = CStringGetTextDatum(fields[i].name);
	}
	return PointerGetDatum(construct_array(found, n, TEXTOID, -1, false, TYPALIGN_INT));
}
