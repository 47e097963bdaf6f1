/*
 * invoice.c
 *	  Invoices and credit notes: what is due of an order less what was billed before.
 *
 * Every line of an invoice says by kind and ref what of the order it bills, so
 * that the next invoice knows what is left. The order's row is locked first,
 * then its invoices, and the series of numbers last; nothing is locked after
 * that. What was issued never changes but for its payment state, which
 * follows from the order's payments.
 */
#include "invoice.h"

#include "actor.h"
#include "amount.h"
#include "audit.h"
#include "commands/trigger.h"
#include "errors.h"
#include "ledger.h"
#include "number.h"
#include "period.h"
#include "plan.h"
#include "pricing.h"
#include "request.h"
#include "response.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/rel.h"

PLAN(
	invoice_insert,
	"INSERT INTO rental.invoices (id, vendor_id, order_id, kind, credits_id, status, currency, subtotal, tax, tax_included, total, "
	"deposit, note, created_at, up_to, paid, credited, written_off) SELECT $1, o.vendor_id, o.id, 'invoice', $3, 'draft', o.currency, 0, 0, 0, 0, "
	"o.deposit, $4, $5, $6, 0 * o.total, 0 * o.total, 0 * o.total "
	"FROM rental.orders o WHERE o.id = $2",
	UUIDOID, UUIDOID, UUIDOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID);
PLAN(order_drafted,
	 "SELECT FROM rental.invoices WHERE order_id = $1 AND vendor_id = $2 AND status = 'draft' AND credits_id IS NULL",
	 UUIDOID, UUIDOID);
PLAN(draft_drop_lines, "DELETE FROM rental.invoice_lines WHERE invoice_id = $1 AND vendor_id = $2", UUIDOID, UUIDOID);
PLAN(draft_drop, "DELETE FROM rental.invoices WHERE id = $1 AND vendor_id = $2 AND status = 'draft'", UUIDOID, UUIDOID);

/* what is due, line by line; of an order that ended before it began only the fee for that */
#define DUE                                                                                                                                                                                           \
	"SELECT 'item' AS kind, i.id AS ref, p.name AS description, i.quantity, i.unit_price, "                                                                                                           \
	"COALESCE(b.net, i.subtotal - i.discount) AS net, COALESCE(b.tax, i.tax) AS tax, "                                                                                                                \
	"CASE WHEN b.net IS NULL THEN i.start_at ELSE LEAST(GREATEST(i.start_at, (SELECT max(up_to) FROM rental.invoices n WHERE n.order_id = o.id AND n.status <> 'draft')), b.until) END AS start_at, " \
	"COALESCE(b.until, i.end_at) AS end_at "                                                                                                                                                          \
	"FROM o JOIN rental.order_items i ON i.order_id = o.id AND i.vendor_id = o.vendor_id "                                                                                                            \
	"JOIN rental.products p ON p.id = i.product_id AND p.vendor_id = i.vendor_id "                                                                                                                    \
	"LEFT JOIN rental.billing_plans y ON y.order_id = o.id AND y.vendor_id = o.vendor_id "                                                                                                            \
	"LEFT JOIN LATERAL (SELECT * FROM rental.billing_due(i.id, $3) WHERE y.order_id IS NOT NULL AND p.kind <> 'sale' OFFSET 0) b ON true WHERE NOT o.is_void "                                        \
	"UNION ALL SELECT 'delivery', o.id, 'Delivery', 1, o.fee, o.fee, 0, NULL, NULL FROM o WHERE o.fee > 0 AND NOT is_void "                                                                           \
	"UNION ALL SELECT 'waiver', o.id, 'Damage waiver', 1, o.waiver, o.waiver, 0, NULL, NULL FROM o WHERE o.waiver > 0 AND NOT is_void "                                                               \
	"UNION ALL SELECT 'cancellation', o.id, 'Cancellation fee', 1, o.cancellation_fee, o.cancellation_fee, 0, NULL, NULL "                                                                            \
	"FROM o WHERE is_void AND o.cancellation_fee > 0 "                                                                                                                                                \
	"UNION ALL SELECT CASE c.kind WHEN 'interest' THEN 'interest' ELSE 'charge' END, c.id, COALESCE(NULLIF(c.reason, ''), replace(c.kind, '_', ' ')), 1, "                                            \
	"c.amount, c.amount - t.tax, t.tax, NULL, NULL FROM o JOIN rental.order_charges c ON c.order_id = o.id AND c.vendor_id = o.vendor_id "                                                            \
	"LEFT JOIN rental.order_items i ON c.kind = 'early_return' AND i.id = c.order_item_id AND i.vendor_id = c.vendor_id "                                                                             \
	"CROSS JOIN LATERAL (SELECT CASE WHEN i.total > 0 THEN round(c.amount * i.tax / i.total, rental.currency_exponent(o.currency)) ELSE 0 END AS tax) t "                                             \
	"WHERE NOT is_void AND (c.kind NOT IN ('early_return', 'late') "                                                                                                                                  \
	"OR NOT EXISTS (SELECT FROM rental.billing_plans y WHERE y.order_id = o.id))"

PLAN(
	lines_insert,
	"WITH o AS (SELECT *, status IN ('cancelled', 'rejected', 'expired') AS is_void FROM rental.orders WHERE id = $1), "
	"due AS (" DUE "), "
	"billed AS (SELECT l.kind, l.ref, max(l.account) AS account, max(l.description) AS description, sum(l.total) AS net, sum(l.tax) AS tax "
	" FROM rental.invoices n JOIN rental.invoice_lines l ON l.invoice_id = n.id AND l.vendor_id = n.vendor_id "
	" WHERE n.order_id = $1 AND n.status <> 'draft' GROUP BY 1, 2) "
	"INSERT INTO rental.invoice_lines (vendor_id, invoice_id, line, kind, ref, account, description, quantity, unit_price, total, tax, start_at, end_at) "
	"SELECT (SELECT vendor_id FROM o), $2, row_number() OVER (ORDER BY array_position('{item,waiver,delivery,charge,interest,cancellation}'::text[], kind), ref), "
	"kind, ref, COALESCE(b.account, CASE kind WHEN 'interest' THEN 'interest_income' ELSE 'revenue' END), COALESCE(d.description, b.description), COALESCE(d.quantity, 1), "
	"COALESCE(d.unit_price, -b.net), COALESCE(d.net, 0) - COALESCE(b.net, 0), round(COALESCE(d.tax, 0) - COALESCE(b.tax, 0), rental.currency_exponent((SELECT currency FROM o))), d.start_at, d.end_at "
	"FROM due d FULL JOIN billed b USING (kind, ref) "
	"WHERE b.ref IS NULL OR COALESCE(d.net, 0) + COALESCE(d.tax, 0) <> b.net + b.tax",
	UUIDOID, UUIDOID, TIMESTAMPTZOID);

PLAN(order_taxed,
	 "SELECT FROM rental.order_items WHERE order_id = $1 AND taxes IS NOT NULL "
	 "UNION ALL SELECT FROM rental.invoices WHERE order_id = $1 AND (tax <> 0 OR tax_included <> 0) LIMIT 1",
	 UUIDOID);

/*
 * The taxes of each line: what the rates that were agreed on make of all that is
 * due of it, less what was billed before, rate by rate. What is due of its tax in
 * all is what the order says, so the last tax that is added takes what rounding left.
 */
PLAN(
	taxes_insert,
	"WITH l AS (SELECT l.*, n.order_id, rental.currency_exponent(n.currency) AS decimals FROM rental.invoices n "
	" JOIN rental.invoice_lines l ON l.invoice_id = n.id AND l.vendor_id = n.vendor_id WHERE n.id = $1), "
	"b AS (SELECT l.line, b.invoice_id, b.line AS billed, b.total FROM l JOIN rental.invoices m ON m.order_id = l.order_id AND m.vendor_id = l.vendor_id AND m.status <> 'draft' "
	" JOIN rental.invoice_lines b ON b.invoice_id = m.id AND b.vendor_id = m.vendor_id AND b.kind = l.kind AND b.ref = l.ref), "
	"due AS (SELECT l.line, t.* FROM l LEFT JOIN rental.order_charges c ON l.kind = 'charge' AND c.id = l.ref AND c.vendor_id = l.vendor_id AND c.kind = 'early_return' "
	" JOIN rental.order_items i ON i.id = CASE l.kind WHEN 'item' THEN l.ref ELSE c.order_item_id END AND i.vendor_id = l.vendor_id "
	" CROSS JOIN LATERAL rental.tax_parts(i.taxes, l.total + COALESCE((SELECT sum(b.total) FROM b WHERE b.line = l.line), 0), l.decimals) t), "
	"x AS (SELECT line, row_number() OVER (PARTITION BY line ORDER BY max(n) NULLS FIRST, name) AS n, name, percent, is_inclusive, is_reverse, place, "
	" sum(taxable) AS taxable, sum(tax) AS tax FROM (SELECT line, n, name, percent, is_inclusive, is_reverse, place, taxable, tax FROM due "
	"  UNION ALL SELECT b.line, NULL, t.name, t.percent, t.is_inclusive, t.is_reverse, t.place, -t.taxable, -t.tax "
	"  FROM b JOIN rental.invoice_taxes t ON t.invoice_id = b.invoice_id AND t.line = b.billed) t "
	" GROUP BY line, name, percent, is_inclusive, is_reverse, place) "
	"INSERT INTO rental.invoice_taxes (vendor_id, invoice_id, line, n, name, percent, is_inclusive, is_reverse, place, taxable, tax) "
	"SELECT l.vendor_id, l.invoice_id, l.line, x.n, x.name, x.percent, x.is_inclusive, x.is_reverse, x.place, x.taxable, "
	"x.tax + CASE WHEN NOT x.is_inclusive AND x.n = max(x.n) FILTER (WHERE NOT x.is_inclusive) OVER w "
	" THEN l.tax - sum(x.tax) FILTER (WHERE NOT x.is_inclusive) OVER w ELSE 0 END "
	"FROM x JOIN l ON l.line = x.line WHERE x.taxable <> 0 OR x.tax <> 0 OR l.total = 0 WINDOW w AS (PARTITION BY l.line)",
	UUIDOID);
/* a tax that no rate explains any more */
PLAN(
	taxes_unexplained,
	"INSERT INTO rental.invoice_taxes (vendor_id, invoice_id, line, n, name, percent, is_inclusive, is_reverse, place, taxable, tax) "
	"SELECT l.vendor_id, l.invoice_id, l.line, 0, 'as ordered', COALESCE(round(100 * l.tax / NULLIF(l.total, 0), 2), 0), false, false, NULL, l.total, l.tax "
	"FROM rental.invoice_lines l WHERE l.invoice_id = $1 AND l.tax <> 0 AND NOT EXISTS "
	"(SELECT FROM rental.invoice_taxes t WHERE t.invoice_id = l.invoice_id AND t.line = l.line AND NOT t.is_inclusive)",
	UUIDOID);
PLAN(
	invoice_sum,
	"UPDATE rental.invoices n SET subtotal = l.net, tax = l.tax, total = l.net + l.tax, kind = CASE WHEN l.net + l.tax < 0 THEN 'credit_note' ELSE 'invoice' END, "
	"tax_included = (SELECT round(COALESCE(sum(t.tax), 0), $2) FROM rental.invoice_taxes t WHERE t.invoice_id = $1 AND t.is_inclusive), "
	"period_start = l.start_at, period_end = l.end_at FROM (SELECT round(COALESCE(sum(total), 0), $2) AS net, round(COALESCE(sum(tax), 0), $2) AS tax, "
	" min(start_at) AS start_at, LEAST(max(end_at), $3) AS end_at FROM rental.invoice_lines WHERE invoice_id = $1) l WHERE n.id = $1",
	UUIDOID, INT4OID, TIMESTAMPTZOID);
PLAN(
	invoice_number,
	"UPDATE rental.invoices n SET status = 'issued', number = $2, issued_at = $3, due_at = $3 + make_interval(days => b.due_days), "
	"seller = jsonb_build_object('name', v.name, 'tax_number', v.tax_number, 'address', b.address, 'country', b.country), "
	"buyer = jsonb_build_object('name', u.name, 'email', u.email, 'address', p.address, 'tax_number', c.tax_number, 'reverse_charge', EXISTS (SELECT FROM rental.invoice_taxes t WHERE t.invoice_id = n.id AND t.is_reverse)) "
	"FROM rental.vendors v, rental.billing_settings_view b, rental.orders o, rental.users u LEFT JOIN rental.profiles p ON p.user_id = u.id "
	"LEFT JOIN rental.customer_taxes c ON c.user_id = u.id AND c.vendor_id = $4 "
	"WHERE n.id = $1 AND v.id = n.vendor_id AND b.vendor_id = n.vendor_id AND o.id = n.order_id AND o.vendor_id = n.vendor_id AND u.id = o.customer_id",
	UUIDOID, TEXTOID, TIMESTAMPTZOID, UUIDOID);
PLAN(series_of, "SELECT series, credit_series FROM rental.billing_settings_view WHERE vendor_id = $1", UUIDOID);
PLAN(invoice_sums,
	 "SELECT subtotal, tax, tax_included, total, kind, (SELECT COALESCE(sum(l.total), 0) FROM rental.invoice_lines l "
	 "WHERE l.invoice_id = n.id AND l.account = 'interest_income') FROM rental.invoices n WHERE n.id = $1",
	 UUIDOID);
PLAN(invoice_credited, "UPDATE rental.invoices SET credited = credited - $3 WHERE id = $1 AND vendor_id = $2", UUIDOID,
	 UUIDOID, NUMERICOID);

/*
 * What an order's payments cover of its invoices, oldest first. A credit note
 * that corrects no single invoice counts like a payment.
 */
#define POOL                                                                                                              \
	"SELECT o.paid - COALESCE((SELECT sum(c.total) FROM rental.invoices c WHERE c.order_id = $1 AND c.status <> 'draft' " \
	" AND c.kind = 'credit_note' AND c.credits_id IS NULL), 0) AS amount FROM rental.orders o WHERE o.id = $1 AND o.vendor_id = $2"
PLAN(
	settle,
	"WITH n AS (SELECT id, vendor_id, total - credited - written_off AS due, sum(total - credited - written_off) OVER (ORDER BY issued_at, number) AS upto "
	" FROM rental.invoices WHERE order_id = $1 AND vendor_id = $2 AND status <> 'draft' AND kind = 'invoice'), "
	"pool AS (" POOL "), "
	"s AS (SELECT n.id, n.vendor_id, n.due, LEAST(n.due, GREATEST(0 * n.due, pool.amount - n.upto + n.due)) AS paid FROM n, pool) "
	"UPDATE rental.invoices i SET paid = s.paid, status = CASE WHEN s.paid >= s.due THEN 'paid' WHEN s.paid > 0 THEN 'partly_paid' ELSE 'issued' END "
	"FROM s WHERE i.id = s.id AND i.vendor_id = s.vendor_id AND (i.paid <> s.paid "
	"OR i.status <> CASE WHEN s.paid >= s.due THEN 'paid' WHEN s.paid > 0 THEN 'partly_paid' ELSE 'issued' END)",
	UUIDOID, UUIDOID);
/* what was written off and is paid or credited after all, oldest first; settle was done before */
PLAN(
	recovered,
	"WITH n AS (SELECT id, written_off, sum(written_off) OVER (ORDER BY issued_at, number) AS upto, sum(total - credited - written_off) OVER () AS due "
	" FROM rental.invoices WHERE order_id = $1 AND vendor_id = $2 AND status <> 'draft' AND kind = 'invoice'), "
	"pool AS (" POOL "), "
	"r AS (SELECT n.id, LEAST(n.written_off, pool.amount - n.due - n.upto + n.written_off) AS amount FROM n, pool WHERE n.written_off > 0) "
	"SELECT r.id, r.amount, o.currency, o.customer_id FROM r, rental.orders o WHERE o.id = $1 AND o.vendor_id = $2 AND o.written_off > 0 AND r.amount > 0",
	UUIDOID, UUIDOID);
PLAN(invoice_row, "SELECT v, v.customer_id, v.vendor_id, v.status FROM rental.invoice_view v WHERE v.id = $1", UUIDOID);
PLAN(write_off, "UPDATE rental.invoices SET written_off = written_off + $3 WHERE id = $1 AND vendor_id = $2", UUIDOID,
	 UUIDOID, NUMERICOID);
PLAN(order_write_off,
	 "UPDATE rental.orders SET written_off = written_off + $3, updated_at = $4 WHERE id = $1 AND vendor_id = $2",
	 UUIDOID, UUIDOID, NUMERICOID, TIMESTAMPTZOID);
PLAN(invoice_order, "SELECT order_id FROM rental.invoices WHERE id = $1", UUIDOID);
PLAN(
	invoice_lock,
	"SELECT status, kind, total - credited - written_off, number, up_to FROM rental.invoices WHERE id = $1 AND vendor_id = $2 "
	"FOR NO KEY UPDATE",
	UUIDOID, UUIDOID);
PLAN(plan_of, "SELECT FROM rental.billing_plans WHERE order_id = $1 AND vendor_id = $2", UUIDOID, UUIDOID);
PLAN(plan_put,
	 "INSERT INTO rental.billing_plans AS p (vendor_id, order_id, cycle, prorate) VALUES ($1, $2, $3, $4) "
	 "ON CONFLICT (order_id, vendor_id) DO UPDATE SET cycle = $3, prorate = $4",
	 UUIDOID, UUIDOID, TEXTOID, BOOLOID);
PLAN(cycles_forget,
	 "DELETE FROM rental.billing_cycles c USING rental.order_items i WHERE i.order_id = $1 AND i.vendor_id = $2 "
	 "AND c.item_id = i.id AND c.vendor_id = i.vendor_id",
	 UUIDOID, UUIDOID);
PLAN(
	billed_up_to,
	"SELECT max(up_to) FROM rental.invoices WHERE order_id = $1 AND vendor_id = $2 AND status <> 'draft' HAVING max(up_to) > $3",
	UUIDOID, UUIDOID, TIMESTAMPTZOID);
PLAN(cycles_agree, "SELECT rental.billing_agree($1)", UUIDOID);
PLAN(order_billed, "SELECT FROM rental.invoices WHERE order_id = $1 AND vendor_id = $2 LIMIT 1", UUIDOID, UUIDOID);
PLAN(charge_insert,
	 "INSERT INTO rental.order_charges (id, vendor_id, order_id, kind, quantity, amount, reason, created_at) "
	 "VALUES ($1, $2, $3, $4, 1, $5, $6, $7)",
	 UUIDOID, UUIDOID, UUIDOID, TEXTOID, NUMERICOID, TEXTOID, TIMESTAMPTZOID);
PLAN(
	charges_sum,
	"UPDATE rental.orders SET charges = (SELECT sum(amount) FROM rental.order_charges WHERE order_id = $1), updated_at = $3 "
	"WHERE id = $1 AND vendor_id = $2",
	UUIDOID, UUIDOID, TIMESTAMPTZOID);
/* what an order that is billed by cycle came to, less what it says */
PLAN(
	cycles_differ,
	"SELECT sum(d.net + d.tax - i.total) - (SELECT COALESCE(sum(amount), 0) FROM rental.order_charges WHERE order_id = $1 AND kind IN ('early_return', 'late')) "
	"FROM rental.order_items i JOIN rental.products p ON p.id = i.product_id AND p.vendor_id = i.vendor_id AND p.kind <> 'sale', "
	"rental.billing_due(i.id, $2) d WHERE i.order_id = $1",
	UUIDOID, TIMESTAMPTZOID);

/*
 * Lines of a credit note: each has the part of the amount that its open part
 * has in the whole, by running sums, so that the parts sum to it. Its tax is
 * that of all that is credited by then less what was credited before, so that
 * what is credited whole has the whole tax.
 */
PLAN(
	credit_lines,
	"WITH l AS (SELECT l.*, k.tax AS credited_tax, k.gross AS credited, l.total + l.tax - k.gross AS gross FROM rental.invoice_lines l "
	" CROSS JOIN LATERAL (SELECT -COALESCE(sum(c.total + c.tax), 0) AS gross, -COALESCE(sum(c.tax), 0) AS tax FROM rental.invoices m "
	"  JOIN rental.invoice_lines c ON c.invoice_id = m.id AND c.vendor_id = m.vendor_id "
	"  WHERE m.credits_id = $1 AND m.status <> 'draft' AND c.credits_line = l.line) k WHERE l.invoice_id = $1 AND ($4 IS NULL OR l.line = $4)), "
	"r AS (SELECT l.*, sum(gross) OVER (ORDER BY line) AS upto, sum(gross) OVER () AS whole FROM l), "
	"p AS (SELECT r.*, round($3 * upto / whole, $5) - round($3 * (upto - gross) / whole, $5) AS part FROM r WHERE whole > 0) "
	"INSERT INTO rental.invoice_lines (vendor_id, invoice_id, line, kind, ref, account, description, quantity, unit_price, total, tax, start_at, end_at, credits_line) "
	"SELECT vendor_id, $2, row_number() OVER (ORDER BY line), CASE WHEN $6 IS NULL THEN kind ELSE 'charge' END, COALESCE($6, ref), account, description, quantity, unit_price, "
	"-(part - t.tax), -t.tax, start_at, end_at, line FROM p, LATERAL (SELECT CASE WHEN p.total + p.tax = 0 THEN 0 "
	" ELSE round((p.credited + part) * p.tax / (p.total + p.tax), $5) - p.credited_tax END AS tax) t WHERE part <> 0",
	UUIDOID, UUIDOID, NUMERICOID, INT4OID, INT4OID, UUIDOID);
PLAN(credit_open,
	 "SELECT COALESCE(sum(l.total + l.tax + COALESCE((SELECT sum(c.total + c.tax) FROM rental.invoices m "
	 "JOIN rental.invoice_lines c ON c.invoice_id = m.id AND c.vendor_id = m.vendor_id "
	 "WHERE m.credits_id = $1 AND m.status <> 'draft' AND c.credits_line = l.line), 0)), 0), count(*) "
	 "FROM rental.invoice_lines l WHERE l.invoice_id = $1 AND ($2 IS NULL OR l.line = $2)",
	 UUIDOID, INT4OID);
PLAN(
	credit_taxes,
	"WITH c AS (SELECT c.vendor_id, c.invoice_id, c.line, c.total, c.tax, t.n, t.name, t.percent, t.is_inclusive, t.is_reverse, t.place, "
	" t.taxable + sum(CASE WHEN t.is_inclusive THEN t.tax ELSE 0 END) OVER w = l.total AS is_whole, "
	" round(t.taxable * k.net / l.total, $3) - k.taxable AS part_taxable, round(t.tax * k.net / l.total, $3) - k.tax AS part_tax "
	" FROM rental.invoice_lines c JOIN rental.invoice_lines l ON l.invoice_id = $1 AND l.line = c.credits_line AND l.total <> 0 "
	" JOIN rental.invoice_taxes t ON t.invoice_id = l.invoice_id AND t.line = l.line "
	" CROSS JOIN LATERAL (SELECT c.total + COALESCE(sum(d.total), 0) AS net, COALESCE(sum(x.taxable), 0) AS taxable, COALESCE(sum(x.tax), 0) AS tax "
	"  FROM rental.invoices m JOIN rental.invoice_lines d ON d.invoice_id = m.id AND d.vendor_id = m.vendor_id AND d.credits_line = l.line "
	"  LEFT JOIN rental.invoice_taxes x ON x.invoice_id = d.invoice_id AND x.line = d.line AND x.n = t.n "
	"  WHERE m.credits_id = $1 AND m.status <> 'draft') k WHERE c.invoice_id = $2 WINDOW w AS (PARTITION BY c.line)) "
	"INSERT INTO rental.invoice_taxes (vendor_id, invoice_id, line, n, name, percent, is_inclusive, is_reverse, place, taxable, tax) "
	"SELECT vendor_id, invoice_id, line, n, name, percent, is_inclusive, is_reverse, place, "
	"CASE WHEN is_whole AND is_inclusive THEN total - sum(part_tax) FILTER (WHERE is_inclusive) OVER w WHEN is_whole THEN total ELSE part_taxable END, "
	"part_tax + CASE WHEN NOT is_inclusive AND n = max(n) FILTER (WHERE NOT is_inclusive) OVER w THEN tax - sum(part_tax) FILTER (WHERE NOT is_inclusive) OVER w ELSE 0 END "
	"FROM c WINDOW w AS (PARTITION BY line)",
	UUIDOID, UUIDOID, INT4OID);
PLAN(order_documents,
	 "SELECT COALESCE(sum(total), 0) FROM rental.invoices WHERE order_id = $1 AND vendor_id = $2 AND status <> 'draft'",
	 UUIDOID, UUIDOID);
PLAN(cancellation_fee, "SELECT cancellation_fee FROM rental.orders WHERE id = $1 AND vendor_id = $2", UUIDOID, UUIDOID);
PLAN(
	cancellation_credit,
	"UPDATE rental.orders SET cancellation_fee = cancellation_fee - $3, updated_at = $4 WHERE id = $1 AND vendor_id = $2",
	UUIDOID, UUIDOID, NUMERICOID, TIMESTAMPTZOID);

#define INVOICE_SCOPE                                                                                                       \
	"($3 IS NULL OR (v.customer_id = $3 AND v.status <> 'draft') OR v.vendor_id = $4) AND ($5 IS NULL OR v.order_id = $5) " \
	"AND ($6 IS NULL OR v.overdue = $6)"

static PagePlans invoice_pages = {
	.forward = PLAN_INIT("SELECT v, v.id FROM rental.invoice_view v WHERE v.id < $1 AND " INVOICE_SCOPE
						 " ORDER BY v.id DESC LIMIT $2",
						 UUIDOID, INT4OID, UUIDOID, UUIDOID, UUIDOID, BOOLOID),
	.backward = PLAN_INIT("SELECT v, v.id FROM rental.invoice_view v WHERE v.id > $1 AND " INVOICE_SCOPE
						  " ORDER BY v.id LIMIT $2",
						  UUIDOID, INT4OID, UUIDOID, UUIDOID, UUIDOID, BOOLOID),
	.count = PLAN_INIT(
		"SELECT count(*) FROM rental.invoice_view v WHERE ($1 IS NULL OR (v.customer_id = $1 AND v.status <> 'draft') "
		"OR v.vendor_id = $2) AND ($3 IS NULL OR v.order_id = $3) AND ($4 IS NULL OR v.overdue = $4)",
		UUIDOID, UUIDOID, UUIDOID, BOOLOID),
	.newest_first = true,
};

/* write_off_more adds to what is written off of an invoice, or takes off that if it is below zero. */
static void
write_off_more(LedgerPosting *posting, Datum amount)
{
	Datum vendor_id = UUIDPGetDatum(posting->vendor_id);

	posting->kind = "write_off";
	plan_run(&write_off, VALUE(UUIDPGetDatum(posting->invoice_id)), VALUE(vendor_id), VALUE(amount));
	plan_run(&order_write_off, VALUE(UUIDPGetDatum(posting->order_id)), VALUE(vendor_id), VALUE(amount),
			 VALUE(TimestampTzGetDatum(rental_now())));
	ledger_pair(posting, "bad_debt", "receivable", amount);
}

/*
 * invoices_settle spreads what was paid for an order over its invoices; the
 * order is locked. What was written off, and is paid after all, is no loss any
 * more.
 */
void
invoices_settle(const pg_uuid_t *order_id, const pg_uuid_t *vendor_id)
{
	NullableDatum  order = VALUE(UUIDPGetDatum(order_id));
	NullableDatum  vendor = VALUE(UUIDPGetDatum(vendor_id));
	SPITupleTable *rows;
	uint64		   n;
	uint64		   i;

	plan_run(&settle, order, vendor);
	n = plan_run(&recovered, order, vendor);
	rows = SPI_tuptable;
	for (i = 0; i < n; i++)
		write_off_more(&(LedgerPosting){.vendor_id = vendor_id,
										.order_id = order_id,
										.invoice_id = DatumGetUUIDP(plan_value_of(rows, i, 1).value),
										.currency = TextDatumGetCString(plan_value_of(rows, i, 3).value),
										.customer_id = DatumGetUUIDP(plan_value_of(rows, i, 4).value)},
					   amount_negate(plan_value_of(rows, i, 2).value));
	if (n > 0)
		plan_run(&settle, order, vendor);
}

static bool
is_billable(const Order *order)
{
	static const char *const billable[] = {"confirmed", "active", "returned", "completed"};
	int						 i;

	for (i = 0; i < lengthof(billable); i++)
		if (strcmp(order->status, billable[i]) == 0)
			return true;
	/* what was billed of an order that was cancelled then */
	return order_is_void(order->status) &&
		   plan_run(&order_billed, VALUE(UUIDPGetDatum(&order->id)), VALUE(UUIDPGetDatum(&order->vendor_id))) > 0;
}

/* charge_add puts something on top of an order's total, or takes it off. */
static Datum
charge_add(const Order *order, const char *kind, Datum amount, const char *reason)
{
	Datum id = uuid7_datum();
	Datum now = TimestampTzGetDatum(rental_now());

	plan_run(&charge_insert, VALUE(id), VALUE(UUIDPGetDatum(&order->vendor_id)), VALUE(UUIDPGetDatum(&order->id)),
			 VALUE(CStringGetTextDatum(kind)), VALUE(amount), VALUE(CStringGetTextDatum(reason)), VALUE(now));
	plan_run(&charges_sum, VALUE(UUIDPGetDatum(&order->id)), VALUE(UUIDPGetDatum(&order->vendor_id)), VALUE(now));
	return id;
}

/* json_quoted is a text as JSON. */
static char *
json_quoted(const char *text)
{
	StringInfoData out;

	initStringInfo(&out);
	escape_json(&out, text);
	return out.data;
}

/* invoice_fill writes the lines of a draft, and what they sum to. False: nothing is to be billed. */
static bool
invoice_fill(const Order *order, Datum id, TimestampTz up_to)
{
	if (plan_run(&lines_insert, VALUE(UUIDPGetDatum(&order->id)), VALUE(id), VALUE(TimestampTzGetDatum(up_to))) == 0)
		return false;
	if (plan_run(&order_taxed, VALUE(UUIDPGetDatum(&order->id))) > 0)
		plan_run(&taxes_insert, VALUE(id));
	plan_run(&taxes_unexplained, VALUE(id));
	plan_run(&invoice_sum, VALUE(id), VALUE(Int32GetDatum(amount_exponent(order->currency))),
			 VALUE(TimestampTzGetDatum(up_to)));
	return true;
}

/* The draft that is being issued: only here, so that nobody issues one by raw SQL. An error leaves it set, to one that is gone or a draft as before. */
static pg_uuid_t issuing;

/* invoice_number_and_post issues a draft. */
static void
invoice_number_and_post(const Order *order, Datum id)
{
	TimestampTz	  now = rental_now();
	LedgerPosting posting = {.kind = "invoice",
							 .vendor_id = &order->vendor_id,
							 .currency = order->currency,
							 .customer_id = &order->customer_id,
							 .order_id = &order->id,
							 .invoice_id = DatumGetUUIDP(id)};
	Datum		  total;
	Datum		  tax;
	Datum		  interest;
	char		 *series[2];
	char		 *number;
	bool		  is_credit;

	plan_run(&invoice_sums, VALUE(id));
	total = plan_datum(0, 4);
	tax = amount_add(plan_datum(0, 2), plan_datum(0, 3));
	interest = plan_datum(0, 6);
	is_credit = strcmp(plan_text(0, 5), "credit_note") == 0;
	plan_run(&series_of, VALUE(UUIDPGetDatum(&order->vendor_id)));
	series[0] = plan_text(0, 1);
	series[1] = plan_text(0, 2);
	if (is_credit)
		posting.kind = "credit_note";
	ledger_post(&posting,
				(LedgerEntry[]){{"receivable", total},
								{"revenue", amount_add(amount_subtract(tax, total), interest)},
								{"interest_income", amount_negate(interest)},
								{"tax", amount_negate(tax)}},
				4);
	number = number_next(&order->vendor_id, series[is_credit], period_year(now, period_zone(order->time_zone)));
	issuing = *DatumGetUUIDP(id);
	plan_run(&invoice_number, VALUE(id), VALUE(CStringGetTextDatum(number)), VALUE(TimestampTzGetDatum(now)),
			 VALUE(UUIDPGetDatum(&order->vendor_id)));
	memset(&issuing, 0, sizeof(issuing));
	invoices_settle(&order->id, &order->vendor_id);
	order_event(order, is_credit ? "credited" : "invoiced", psprintf("{\"number\":\"%s\"}", number));
}

static Datum
invoice_answer(FunctionCallInfo fcinfo, Datum id)
{
	NullableDatum row;

	plan_run(&invoice_row, VALUE(id));
	row = plan_keep(0, 1);
	plan_close();
	return plan_return(fcinfo, row);
}

/* invoice_draft makes an empty draft. */
static void
invoice_draft(const Order *order, Datum id, NullableDatum credits, const char *note, NullableDatum up_to)
{
	if (credits.isnull &&
		plan_run(&order_drafted, VALUE(UUIDPGetDatum(&order->id)), VALUE(UUIDPGetDatum(&order->vendor_id))) > 0)
		rental_raise(already_exists, errmsg("the order has a draft: issue it, or throw it away"));
	plan_run(&invoice_insert, VALUE(id), VALUE(UUIDPGetDatum(&order->id)), credits,
			 VALUE_OR_NULL(note ? CStringGetTextDatum(note) : (Datum) 0, note == NULL),
			 VALUE(TimestampTzGetDatum(rental_now())), up_to);
}

/* invoice_issue(order_id uuid, up_to timestamptz, draft boolean, note text) */
PG_FUNCTION_INFO_V1(invoice_issue);
Datum
invoice_issue(PG_FUNCTION_ARGS)
{
	TimestampTz now = rental_now();
	TimestampTz up_to = PG_ARGISNULL(1) ? now : PG_GETARG_TIMESTAMPTZ(1);
	char	   *note = request_text(FCARG(3), "note", 1000);
	Datum		id = uuid7_datum();
	bool		by_cycle;
	Order		order;

	if (TIMESTAMP_NOT_FINITE(up_to))
		rental_raise(invalid_value, errmsg("up_to must be a time"), errfield("up_to"));
	plan_open();
	order_lock_own(FCARG(0), &order);
	if (!is_billable(&order))
		rental_raise(invalid_state, errmsg("cannot issue the invoice of an order that is %s", order.status));
	by_cycle = plan_run(&plan_of, FCARG(0), VALUE(UUIDPGetDatum(&order.vendor_id))) > 0;
	if (by_cycle)
	{
		plan_run(&cycles_agree, FCARG(0));
		/* what was billed before its time stays billed */
		if (plan_run(&billed_up_to, FCARG(0), VALUE(UUIDPGetDatum(&order.vendor_id)),
					 VALUE(TimestampTzGetDatum(up_to))) > 0)
		{
			if (!PG_ARGISNULL(1))
				rental_raise(invalid_value, errmsg("the order was billed up to a later time"), errfield("up_to"));
			up_to = DatumGetTimestampTz(plan_datum(0, 1));
		}
	}
	if (by_cycle && (strcmp(order.status, "returned") == 0 || strcmp(order.status, "completed") == 0))
	{
		/* all is back: the order is worth what its cycles come to */
		plan_run(&cycles_differ, FCARG(0), VALUE(TimestampTzGetDatum(now)));
		if (amount_less(plan_datum(0, 1), amount_zero()))
			charge_add(&order, "early_return", plan_datum(0, 1), "billed by cycle");
		else if (amount_less(amount_zero(), plan_datum(0, 1)))
			charge_add(&order, "late", plan_datum(0, 1), "billed by cycle");
	}
	invoice_draft(&order, id, NULLVALUE, note, VALUE(TimestampTzGetDatum(up_to)));
	if (!invoice_fill(&order, id, up_to))
		rental_raise(already_exists, errmsg("all that is due of the order is billed already"));
	if (PG_ARGISNULL(2) || !PG_GETARG_BOOL(2))
		invoice_number_and_post(&order, id);
	return invoice_answer(fcinfo, id);
}

/* invoice_lock_own locks an invoice of the caller's vendor, and its order before it; returns its status. */
static char *
invoice_lock_own(NullableDatum id, Order *order)
{
	NullableDatum order_id;

	request_required(id, "invoice_id");
	if (plan_run(&invoice_row, id) == 0 ||
		!actor_may_see(DatumGetUUIDP(plan_datum(0, 2)), DatumGetUUIDP(plan_datum(0, 3))) ||
		(strcmp(plan_text(0, 4), "draft") == 0 && !actor_serves(actor_current(), DatumGetUUIDP(plan_datum(0, 3)))))
		rental_raise(not_found, errmsg("no such invoice"));
	plan_run(&invoice_order, id);
	order_id = plan_value(0, 1);
	order_lock_own(order_id, order);
	if (plan_run(&invoice_lock, id, VALUE(UUIDPGetDatum(&order->vendor_id))) == 0) /* thrown away meanwhile */
		rental_raise(not_found, errmsg("no such invoice"));
	return plan_text(0, 1);
}

static void
require_draft(const char *status)
{
	if (strcmp(status, "draft") != 0)
		rental_raise(invalid_state, errmsg("the invoice was issued"));
}

/* invoice_issue_draft(invoice_id uuid) */
PG_FUNCTION_INFO_V1(invoice_issue_draft);
Datum
invoice_issue_draft(PG_FUNCTION_ARGS)
{
	TimestampTz up_to;
	Order		order;
	Datum		total;

	plan_open();
	require_draft(invoice_lock_own(FCARG(0), &order));
	up_to = DatumGetTimestampTz(plan_datum(0, 5));
	plan_run(&invoice_sums, FCARG(0));
	total = plan_datum(0, 4);
	plan_run(&draft_drop_lines, FCARG(0), VALUE(UUIDPGetDatum(&order.vendor_id)));
	if (!is_billable(&order) || !invoice_fill(&order, FCARG(0).value, up_to))
		rental_raise(conflict, errmsg("there is nothing to be billed any more"));
	plan_run(&invoice_sums, FCARG(0));
	if (!amount_equal(total, plan_datum(0, 4)))
		rental_raise(conflict, errmsg("the order has changed since the draft was made"),
					 errdetail("It comes to %s now.", amount_text(plan_datum(0, 4))));
	invoice_number_and_post(&order, FCARG(0).value);
	return invoice_answer(fcinfo, FCARG(0).value);
}

PG_FUNCTION_INFO_V1(invoice_delete);
Datum
invoice_delete(PG_FUNCTION_ARGS)
{
	Order order;

	plan_open();
	require_draft(invoice_lock_own(FCARG(0), &order));
	plan_run(&draft_drop_lines, FCARG(0), VALUE(UUIDPGetDatum(&order.vendor_id)));
	plan_run(&draft_drop, FCARG(0), VALUE(UUIDPGetDatum(&order.vendor_id)));
	plan_close();
	PG_RETURN_VOID();
}

/* credit_part is how much of what is open is to be credited. */
static Datum
credit_part(NullableDatum amount, const Order *order, Datum open)
{
	Datum part = open;

	if (!amount.isnull)
	{
		amount_check(amount.value, order->currency, "amount");
		part = amount_round(amount.value, order->currency);
		if (amount_less(open, part))
			rental_raise(invalid_value, errmsg("no more than %s can be credited", amount_text(open)),
						 errfield("amount"));
	}
	if (!amount_less(amount_zero(), part))
		rental_raise(invalid_state, errmsg("there is nothing to credit"));
	return part;
}

/* fee_credit lowers the fee of an order that ended early, the only thing that is owed of it, and bills the difference. */
static void
fee_credit(const Order *order, Datum id, NullableDatum amount, const char *reason)
{
	NullableDatum order_id = VALUE(UUIDPGetDatum(&order->id));
	NullableDatum vendor_id = VALUE(UUIDPGetDatum(&order->vendor_id));
	TimestampTz	  now = rental_now();

	plan_run(&cancellation_fee, order_id, vendor_id);
	plan_run(&cancellation_credit, order_id, vendor_id, VALUE(credit_part(amount, order, plan_datum(0, 1))),
			 VALUE(TimestampTzGetDatum(now)));
	invoice_draft(order, id, NULLVALUE, reason, VALUE(TimestampTzGetDatum(now)));
	invoice_fill(order, id, now);
}

/* invoice_credit(invoice_id uuid, amount numeric, line integer, reason text, rebill boolean) */
PG_FUNCTION_INFO_V1(invoice_credit);
Datum
invoice_credit(PG_FUNCTION_ARGS)
{
	char		 *reason = request_text(FCARG(3), "reason", 1000);
	bool		  rebill = !PG_ARGISNULL(4) && PG_GETARG_BOOL(4);
	Datum		  id = uuid7_datum();
	NullableDatum charge = NULLVALUE;
	Datum		  decimals;
	Datum		  amount;
	Datum		  open;
	Datum		  left;
	char		 *number;
	Order		  order;

	plan_open();
	if (strcmp(invoice_lock_own(FCARG(0), &order), "draft") == 0 || strcmp(plan_text(0, 2), "invoice") != 0)
		rental_raise(invalid_state, errmsg("only an invoice that was issued can be credited"));
	left = plan_datum(0, 3);
	number = plan_text(0, 4);
	decimals = Int32GetDatum(amount_exponent(order.currency));
	plan_run(&credit_open, FCARG(0), FCARG(2));
	if (DatumGetInt64(plan_datum(0, 2)) == 0)
		rental_raise(not_found, errmsg("the invoice has no such line"), errfield("line"));
	if (order_is_void(order.status) && !rebill)
	{
		fee_credit(&order, id, FCARG(1), reason);
		invoice_number_and_post(&order, id);
		return invoice_answer(fcinfo, id);
	}
	open = plan_datum(0, 1);
	if (amount_less(left, open))
		open = left;
	/* what follows from a change of the order may have credited it already */
	plan_run(&order_documents, VALUE(UUIDPGetDatum(&order.id)), VALUE(UUIDPGetDatum(&order.vendor_id)));
	if (amount_less(plan_datum(0, 1), open))
		open = plan_datum(0, 1);
	amount = credit_part(FCARG(1), &order, open);
	if (!rebill)
		charge = VALUE(
			charge_add(&order, "credit", amount_negate(amount), reason ? reason : psprintf("credit for %s", number)));
	invoice_draft(&order, id, FCARG(0), reason, NULLVALUE);
	plan_run(&credit_lines, FCARG(0), VALUE(id), VALUE(amount), FCARG(2), VALUE(decimals), charge);
	plan_run(&credit_taxes, FCARG(0), VALUE(id), VALUE(decimals));
	plan_run(&invoice_sum, VALUE(id), VALUE(decimals), NULLVALUE);
	plan_run(&invoice_sums, VALUE(id));
	plan_run(&invoice_credited, FCARG(0), VALUE(UUIDPGetDatum(&order.vendor_id)), VALUE(plan_datum(0, 4)));
	invoice_number_and_post(&order, id);
	return invoice_answer(fcinfo, id);
}

PLAN(
	interest_of,
	"SELECT round(LEAST(n.open, n.total - l.interest) * b.interest_percent / 100 * d.days / 365, rental.currency_exponent(n.currency)), d.days, n.number "
	"FROM rental.invoice_view n JOIN rental.invoices i ON i.id = n.id JOIN rental.billing_settings_view b ON b.vendor_id = n.vendor_id "
	"CROSS JOIN LATERAL (SELECT floor(extract(epoch FROM $2 - GREATEST(n.due_at, i.interest_until)) / 86400)::integer AS days) d "
	"CROSS JOIN LATERAL (SELECT COALESCE(sum(l.total), 0) AS interest FROM rental.invoice_lines l WHERE l.invoice_id = n.id AND l.account = 'interest_income') l "
	"WHERE n.id = $1 AND n.overdue",
	UUIDOID, TIMESTAMPTZOID);
PLAN(
	interest_set,
	"UPDATE rental.invoices SET interest_until = GREATEST(due_at, interest_until) + make_interval(days => $3) WHERE id = $1 AND vendor_id = $2",
	UUIDOID, UUIDOID, INT4OID);
PLAN(charge_row, "SELECT v FROM rental.order_charge_view v WHERE v.id = $1", UUIDOID);
PLAN(open_of, "SELECT total - paid - credited - written_off FROM rental.invoices WHERE id = $1 AND kind = 'invoice'",
	 UUIDOID);

PG_FUNCTION_INFO_V1(invoice_interest);
Datum
invoice_interest(PG_FUNCTION_ARGS)
{
	Order		  order;
	Datum		  amount;
	Datum		  charge;
	int32		  days;
	NullableDatum row;

	plan_open();
	invoice_lock_own(FCARG(0), &order);
	if (order_is_void(order.status))
		rental_raise(invalid_state, errmsg("of an order that is %s only its fee is owed", order.status));
	if (plan_run(&interest_of, FCARG(0), VALUE(TimestampTzGetDatum(rental_now()))) == 0 ||
		!amount_less(amount_zero(), plan_datum(0, 1)))
		rental_raise(invalid_state, errmsg("no interest is owed"));
	amount = plan_datum(0, 1);
	days = DatumGetInt32(plan_datum(0, 2));
	charge = charge_add(&order, "interest", amount, psprintf("interest of %d days on %s", days, plan_text(0, 3)));
	plan_run(&interest_set, FCARG(0), VALUE(UUIDPGetDatum(&order.vendor_id)), VALUE(Int32GetDatum(days)));
	plan_run(&charge_row, VALUE(charge));
	row = plan_keep(0, 1);
	plan_close();
	return plan_return(fcinfo, row);
}

/* invoice_write_off(invoice_id uuid, reason text) */
PG_FUNCTION_INFO_V1(invoice_write_off);
Datum
invoice_write_off(PG_FUNCTION_ARGS)
{
	char *reason = request_text(FCARG(1), "reason", 1000);
	Order order;
	Datum open;

	plan_open();
	if (strcmp(invoice_lock_own(FCARG(0), &order), "draft") == 0 || plan_run(&open_of, FCARG(0)) == 0 ||
		!amount_less(amount_zero(), plan_datum(0, 1)))
		rental_raise(invalid_state, errmsg("nothing is open of this invoice"));
	open = plan_datum(0, 1);
	write_off_more(&(LedgerPosting){.vendor_id = &order.vendor_id,
									.currency = order.currency,
									.customer_id = &order.customer_id,
									.order_id = &order.id,
									.invoice_id = DatumGetUUIDP(FCARG(0).value)},
				   open);
	invoices_settle(&order.id, &order.vendor_id);
	order_event(&order, "written_off",
				reason == NULL ? psprintf("{\"amount\":\"%s\"}", amount_text(open))
							   : psprintf("{\"amount\":\"%s\",\"reason\":%s}", amount_text(open), json_quoted(reason)));
	return invoice_answer(fcinfo, FCARG(0).value);
}

PG_FUNCTION_INFO_V1(invoice_get);
Datum
invoice_get(PG_FUNCTION_ARGS)
{
	NullableDatum row;

	plan_open();
	if (plan_read(&invoice_row, FCARG(0)) == 0 ||
		!actor_may_see(DatumGetUUIDP(plan_datum(0, 2)), DatumGetUUIDP(plan_datum(0, 3))) ||
		(strcmp(plan_text(0, 4), "draft") == 0 && !actor_serves(actor_current(), DatumGetUUIDP(plan_datum(0, 3)))))
		rental_raise(not_found, errmsg("no such invoice"));
	row = plan_keep(0, 1);
	plan_close();
	return plan_return(fcinfo, row);
}

/* invoice_list(page_size, cursor, count, "order" uuid, overdue boolean) */
PG_FUNCTION_INFO_V1(invoice_list);
Datum
invoice_list(PG_FUNCTION_ARGS)
{
	NullableDatum filters[4];

	actor_list_scope(filters);
	filters[2] = FCARG(3);
	filters[3] = FCARG(4);
	return page_return(fcinfo, &invoice_pages, filters, 4, PG_GETARG_INT32(0), FCARG(1), FCARG(2));
}

/* billing_plan_set(order_id uuid, cycle text, prorate boolean) */
PG_FUNCTION_INFO_V1(billing_plan_set);
Datum
billing_plan_set(PG_FUNCTION_ARGS)
{
	char *cycle = request_required_text(FCARG(1), "cycle", 20);
	Order order;

	request_word(cycle, "cycle", (const char *[]){"week", "28_days", "month", NULL});
	request_required(FCARG(2), "prorate");
	plan_open();
	order_lock_own(FCARG(0), &order);
	if (order_is_void(order.status) || plan_run(&order_billed, FCARG(0), VALUE(UUIDPGetDatum(&order.vendor_id))) > 0)
		rental_raise(invalid_state, errmsg("an order that was billed or has ended keeps its way of billing"));
	plan_run(&plan_put, VALUE(UUIDPGetDatum(&order.vendor_id)), FCARG(0), VALUE(CStringGetTextDatum(cycle)), FCARG(2));
	plan_run(&cycles_forget, FCARG(0), VALUE(UUIDPGetDatum(&order.vendor_id)));
	plan_run(&cycles_agree, FCARG(0));
	plan_close();
	PG_RETURN_VOID();
}

/* Immutability */

static const char *const payment_state[] = {"status",		 "paid",		   "credited", "written_off",
											"dunning_level", "interest_until", NULL};

static bool
is_payment_state(const char *column)
{
	int i;

	for (i = 0; payment_state[i] != NULL; i++)
		if (strcmp(payment_state[i], column) == 0)
			return true;
	return false;
}

/* only_payment_state tells whether two versions of an invoice differ in nothing else, and the new one is no draft. */
static bool
only_payment_state(TupleDesc desc, HeapTuple old, HeapTuple new)
{
	int i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		bool			  old_null;
		bool			  new_null;
		Datum			  a;
		Datum			  b;

		if (attribute->attisdropped)
			continue;
		a = heap_getattr(old, i + 1, desc, &old_null);
		b = heap_getattr(new, i + 1, desc, &new_null);
		if (strcmp(NameStr(attribute->attname), "status") == 0 && strcmp(TextDatumGetCString(b), "draft") == 0)
			return false;
		if (!is_payment_state(NameStr(attribute->attname)) &&
			(old_null != new_null || (!old_null && !datum_image_eq(a, b, attribute->attbyval, attribute->attlen))))
			return false;
	}
	return true;
}

PLAN(invoice_status, "SELECT status FROM rental.invoices WHERE id = $1 AND vendor_id = $2 FOR SHARE", UUIDOID, UUIDOID);

/* parent_is_issued looks at the invoice that a line or a tax belongs to, and keeps it from being issued meanwhile. */
static bool
parent_is_issued(TriggerData *trigger, HeapTuple row)
{
	PlanRights rights = plan_open_trusted();
	bool	   issued = plan_run(&invoice_status, VALUE(row_column(trigger, row, "invoice_id")),
								 VALUE(row_column(trigger, row, "vendor_id"))) > 0 &&
				  strcmp(plan_text(0, 1), "draft") != 0;

	plan_close_trusted(rights);
	return issued;
}

static bool
row_is_draft(TriggerData *trigger, HeapTuple row)
{
	return strcmp(TextDatumGetCString(row_column(trigger, row, "status")), "draft") == 0;
}

/* invoice_guard: before a change of invoices, its lines and its taxes; the argument names the column with the invoice's id. */
PG_FUNCTION_INFO_V1(invoice_guard);
Datum
invoice_guard(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	HeapTuple new;
	bool refused = false;
	bool is_raw = false;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) || trigger->tg_trigger->tgnargs != 1)
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("invoice_guard must be fired before each row, with one argument")));
	new = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : NULL;
	if (strcmp(trigger->tg_trigger->tgargs[0], "id") == 0)
	{
		HeapTuple is = new != NULL ? new : trigger->tg_trigtuple;

		if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
			is_raw = !row_is_draft(trigger, is) && !audit_is_restoring();
		else if (row_is_draft(trigger, trigger->tg_trigtuple))
			is_raw = !row_is_draft(trigger, is) && !uuid_equal(DatumGetUUIDP(row_column(trigger, is, "id")), &issuing);
		else
			refused =
				new == NULL || !only_payment_state(RelationGetDescr(trigger->tg_relation), trigger->tg_trigtuple, new);
	}
	else if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event) && audit_is_restoring())
		;
	else
		refused = parent_is_issued(trigger, trigger->tg_trigtuple) || (new != NULL &&parent_is_issued(trigger, new));
	if (is_raw)
		rental_raise(rule_violated, errmsg("an invoice is issued by the function that numbers and posts it"),
					 errhint("Call rental.invoice_issue()."));
	if (refused)
		rental_raise(rule_violated, errmsg("an invoice that was issued is not changed"),
					 errhint("Issue a credit note."));
	return PointerGetDatum(new != NULL ? new : trigger->tg_trigtuple);
}
