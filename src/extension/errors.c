/*
 * errors.c
 *	  Turns an entry of common/errors.def into the fields of an ereport.
 */
#include "rental.h"

#include "errors.h"

static const struct
{
	const char *name;
	const char *sqlstate;
} rental_errors[] = {
#define RENTAL_ERROR(name, sqlstate, title) {#name, sqlstate},
#include "errors.def"
#undef RENTAL_ERROR
};

int
rental_sqlstate(RentalError error)
{
	const char *s = rental_errors[error].sqlstate;

	return MAKE_SQLSTATE(s[0], s[1], s[2], s[3], s[4]);
}

int
rental_errcode(RentalError error)
{
	errcode(rental_sqlstate(error));
	return err_generic_string(PG_DIAG_CONSTRAINT_NAME, rental_errors[error].name);
}

/* errfield names the request's field that an error is about; NULL if it is about none, such as a part of the path. */
int
errfield(const char *field)
{
	return field == NULL ? 0 : err_generic_string(PG_DIAG_COLUMN_NAME, field);
}
