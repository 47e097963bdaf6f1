/*
 * ledger.c
 *	  The ledger: double entry, append-only.
 *
 * Each vendor has a book, and the platform one about each vendor; an account
 * belongs to one of them, and a posting balances in each. Nothing holds a
 * balance, so that no two postings ever wait for each other.
 */
#include "ledger.h"

#include "amount.h"
#include "audit.h"
#include "commands/trigger.h"
#include "errors.h"
#include "period.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"

PLAN(
	entries_insert,
	"INSERT INTO rental.ledger_entries (vendor_id, posting_id, line, account, amount, currency, kind, customer_id, order_id, "
	"invoice_id, payment_id, payout_id, created_at) "
	"SELECT $1, $2, e.line, e.account, e.amount, $5, $6, $7, $8, $9, $10, $11, $12 "
	"FROM unnest($3, $4) WITH ORDINALITY AS e (account, amount, line) WHERE e.amount <> 0",
	UUIDOID, UUIDOID, TEXTARRAYOID, NUMERICARRAYOID, TEXTOID, TEXTOID, UUIDOID, UUIDOID, UUIDOID, UUIDOID, UUIDOID,
	TIMESTAMPTZOID);
PLAN(posting_unbalanced,
	 "SELECT FROM rental.ledger_entries e JOIN rental.ledger_accounts a ON a.code = e.account WHERE e.posting_id = $1 "
	 "GROUP BY e.vendor_id, a.book, e.currency HAVING sum(e.amount) <> 0",
	 UUIDOID);

static NullableDatum
id_or_null(const pg_uuid_t *id)
{
	return VALUE_OR_NULL(UUIDPGetDatum(id), id == NULL);
}

/* ledger_post writes a posting, between plan_open and plan_close. */
void
ledger_post(const LedgerPosting *posting, const LedgerEntry *entries, int n)
{
	Datum *accounts = palloc(n * sizeof(Datum));
	Datum *amounts = palloc(n * sizeof(Datum));
	int	   i;

	for (i = 0; i < n; i++)
	{
		accounts[i] = CStringGetTextDatum(entries[i].account);
		amounts[i] = entries[i].amount;
	}
	plan_run(&entries_insert, VALUE(UUIDPGetDatum(posting->vendor_id)), VALUE(uuid7_datum()),
			 VALUE(PointerGetDatum(construct_array(accounts, n, TEXTOID, -1, false, TYPALIGN_INT))),
			 VALUE(PointerGetDatum(construct_array(amounts, n, NUMERICOID, -1, false, TYPALIGN_INT))),
			 VALUE(CStringGetTextDatum(posting->currency)), VALUE(CStringGetTextDatum(posting->kind)),
			 id_or_null(posting->customer_id), id_or_null(posting->order_id), id_or_null(posting->invoice_id),
			 id_or_null(posting->payment_id), id_or_null(posting->payout_id), VALUE(TimestampTzGetDatum(rental_now())));
}

/* ledger_pair posts an amount from one account to another. */
void
ledger_pair(const LedgerPosting *posting, const char *debit, const char *credit, Datum amount)
{
	ledger_post(posting, (LedgerEntry[]){{debit, amount}, {credit, amount_negate(amount)}}, 2);
}

/* ledger_balanced is the deferred constraint trigger of ledger_entries. */
PG_FUNCTION_INFO_V1(ledger_balanced);
Datum
ledger_balanced(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Datum		 id;
	bool		 isnull;
	PlanRights	 rights;
	bool		 wrong;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		!TRIGGER_FIRED_BY_INSERT(trigger->tg_event) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("ledger_balanced must be fired after each row that is inserted")));
	/* a dump may bring a posting back in parts */
	if (audit_is_restoring())
		return PointerGetDatum(NULL);
	id = heap_getattr(trigger->tg_trigtuple, SPI_fnumber(RelationGetDescr(trigger->tg_relation), "posting_id"),
					  RelationGetDescr(trigger->tg_relation), &isnull);
	rights = plan_open_trusted();
	wrong = plan_run(&posting_unbalanced, VALUE(id)) > 0;
	plan_close_trusted(rights);
	if (wrong)
		rental_raise(rule_violated, errmsg("the entries of a posting must sum to zero"),
					 errdetail("Posting %s.", uuid_text(DatumGetUUIDP(id))));
	return PointerGetDatum(NULL);
}

/* ledger_kept refuses every change of what is kept for good. */
PG_FUNCTION_INFO_V1(ledger_kept);
Datum
ledger_kept(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("ledger_kept must be fired before a change")));
	rental_raise(rule_violated, errmsg("%s is append-only", RelationGetRelationName(trigger->tg_relation)));
}

PG_FUNCTION_INFO_V1(currency_exponent);
Datum
currency_exponent(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(amount_exponent(text_to_cstring(PG_GETARG_TEXT_PP(0))));
}
