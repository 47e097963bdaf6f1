/*
 * slug.h
 *	  Names as parts of addresses: "Party Gear & Co" becomes "party-gear-co".
 */
#ifndef RENTAL_SLUG_H
#define RENTAL_SLUG_H

extern char *slug_from(const char *name);

#endif /* RENTAL_SLUG_H */
