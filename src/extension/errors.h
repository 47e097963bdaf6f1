/*
 * errors.h
 *	  The errors of the trade: code, SQLSTATE and title come from common/errors.def.
 *
 * A caller reads the code in the error's constraint name and, where one field
 * is to blame, the field in its column name.
 */
#ifndef RENTAL_ERRORS_H
#define RENTAL_ERRORS_H

typedef enum RentalError
{
#define RENTAL_ERROR(name, sqlstate, title) RENTAL_ERROR_##name,
#include "errors.def"
#undef RENTAL_ERROR
} RentalError;

extern int rental_sqlstate(RentalError error);
extern int rental_errcode(RentalError error);
extern int errfield(const char *field);

#define rental_raise(name, ...) ereport(ERROR, (rental_errcode(RENTAL_ERROR_##name), __VA_ARGS__))

#endif /* RENTAL_ERRORS_H */
