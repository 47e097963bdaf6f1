/*
 * amount.h
 *	  Money: exact decimals, rounded half-up to what a currency allows.
 */
#ifndef RENTAL_AMOUNT_H
#define RENTAL_AMOUNT_H

#include "rental.h"

#include "utils/numeric.h"

extern int	 amount_exponent(const char *currency);
extern Datum amount_round(Datum amount, const char *currency);
extern void	 amount_check(Datum amount, const char *currency, const char *field);
extern Datum amount_add(Datum a, Datum b);
extern Datum amount_negate(Datum amount);
extern Datum amount_subtract(Datum a, Datum b);
extern Datum amount_times(Datum amount, int64 n);
extern Datum amount_divide(Datum amount, int64 n);
extern Datum amount_zero(void);
extern bool	 amount_less(Datum a, Datum b);
extern bool	 amount_equal(Datum a, Datum b);
extern char *amount_text(Datum amount);
extern int64 amount_minor(Datum amount, const char *currency);
extern Datum amount_datum(int64 minor, const char *currency);
extern char *amount_minor_text(int64 minor, const char *currency);

#endif /* RENTAL_AMOUNT_H */
