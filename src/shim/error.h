/*-------------------------------------------------------------------------
 *
 * error.h
 *	  The error table of src/common/errors.def, as C sees it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_ERROR_H
#define RENTAL_SHIM_ERROR_H

typedef enum ErrorCode
{
#define RENTAL_ERROR(name, sqlstate, title) ERROR_##name,
#include "errors.def"
#undef RENTAL_ERROR
	ERROR_COUNT
} ErrorCode;

typedef struct ErrorEntry
{
	const char *name;
	int			status;
	const char *title;
} ErrorEntry;

extern const ErrorEntry *error_entry(ErrorCode code);
extern const ErrorEntry *error_find(const char *name);

#endif
