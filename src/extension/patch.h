/*
 * patch.h
 *	  Partial changes: which fields a PATCH gives, null among them.
 */
#ifndef RENTAL_PATCH_H
#define RENTAL_PATCH_H

#include "rental.h"

/* A field that can be changed, and the function's argument that holds its new value */
typedef struct PatchField
{
	const char *name;
	int			argument;
	bool		nullable; /* null clears it */
} PatchField;

extern Datum patch_fields(FunctionCallInfo fcinfo, const PatchField *fields, int nfields, int given_argument);
extern bool	 patch_gives(Datum fields, const char *name);

#endif /* RENTAL_PATCH_H */
