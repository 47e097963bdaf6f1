/*
 * ledger.h
 *	  Postings: balanced entries, for good.
 */
#ifndef RENTAL_LEDGER_H
#define RENTAL_LEDGER_H

#include "plan.h"

typedef struct LedgerEntry
{
	const char *account; /* of ledger_accounts */
	Datum		amount;	 /* debit above zero; zero is left out */
} LedgerEntry;

/* What a posting is about; ids that are not set are null */
typedef struct LedgerPosting
{
	const char		*kind;
	const pg_uuid_t *vendor_id;
	const char		*currency;
	const pg_uuid_t *customer_id;
	const pg_uuid_t *order_id;
	const pg_uuid_t *invoice_id;
	const pg_uuid_t *payment_id;
	const pg_uuid_t *payout_id;
} LedgerPosting;

extern void ledger_post(const LedgerPosting *posting, const LedgerEntry *entries, int n);
extern void ledger_pair(const LedgerPosting *posting, const char *debit, const char *credit, Datum amount);

#endif /* RENTAL_LEDGER_H */
