/*-------------------------------------------------------------------------
 *
 * error.c
 *	  The error table of src/common/errors.def, as C sees it.
 *
 *-------------------------------------------------------------------------
 */
#include "error.h"

#include <string.h>

/* the status stands in the last three characters of the SQLSTATE */
#define STATUS_OF(sqlstate) (((sqlstate)[2] - '0') * 100 + ((sqlstate)[3] - '0') * 10 + ((sqlstate)[4] - '0'))

static const ErrorEntry entries[ERROR_COUNT] = {
#define RENTAL_ERROR(name, sqlstate, title) {#name, STATUS_OF(sqlstate), title},
#include "errors.def"
#undef RENTAL_ERROR
};

const ErrorEntry *
error_entry(ErrorCode code)
{
	return &entries[code];
}

/*
 * error_find returns the entry of a code that the database named, or NULL if
 * the code is one of a user's own functions.
 */
const ErrorEntry *
error_find(const char *name)
{
	for (int i = 0; i < ERROR_COUNT; i++)
	{
		if (strcmp(entries[i].name, name) == 0)
			return &entries[i];
	}
	return NULL;
}
