/*
 * payment.c
 *	  Payments: charges, deposits, captures, refunds and chargebacks, and what gateways tell of them.
 *
 * A payment's status only ever goes up the ladder below, so events that come
 * twice, late or in another order lead to the same end. What a status does
 * (money on the order, postings, commission) is done once, when it is first
 * reached. Locks: the order's row, then payments, then invoices. No network
 * call happens here: what is asked of an external gateway is a row of
 * gateway_requests.
 */
#include "rental.h"

#include "actor.h"
#include "amount.h"
#include "commands/trigger.h"
#include "errors.h"
#include "funcapi.h"
#include "invoice.h"
#include "ledger.h"
#include "orders.h"
#include "period.h"
#include "plan.h"
#include "report.h"
#include "request.h"
#include "response.h"
#include "secret.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/rel.h"

/* The ladder */
static const char *const ladder[] = {"processing", "requires_action", "authorised", "cancelled", "failed", "succeeded"};

/* A payment, whose order is locked */
typedef struct Payment
{
	pg_uuid_t	id;
	bool		has_parent;
	pg_uuid_t	parent_id;
	const char *kind;
	const char *status;
	const char *method;
	const char *gateway;
	bool		collects;
	bool		is_external;
	bool		release_asked; /* a deposit's, of an external gateway */
	Datum		amount;
	Datum		refunded;
	Datum		captured;
	Datum		released;
	Datum		percent;
	Datum		commission;
} Payment;

PLAN(
	payment_insert,
	"INSERT INTO rental.payments (id, vendor_id, order_id, invoice_id, parent_id, kind, amount, currency, method, gateway, status, "
	"commission_percent, reason, created_at, collects, refunded, captured, released, commission) "
	"VALUES ($1, $2, $3, (SELECT id FROM rental.invoices WHERE order_id = $3 AND vendor_id = $2 AND kind = 'invoice' AND status <> 'draft' "
	" ORDER BY status = 'paid', issued_at, number LIMIT 1), $4, $5, $6, $7, $8, $9, $10, "
	"CASE WHEN $5 = 'charge' THEN (SELECT commission FROM rental.vendors WHERE id = $2) ELSE 0 END, $11, $12, "
	"COALESCE((SELECT collects FROM rental.payments WHERE id = $4 AND vendor_id = $2), (SELECT collects FROM rental.gateways WHERE name = $9)), "
	"0 * $6, 0 * $6, 0 * $6, 0 * $6)",
	UUIDOID, UUIDOID, UUIDOID, UUIDOID, TEXTOID, NUMERICOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
	TIMESTAMPTZOID);
PLAN(
	payment_load,
	"SELECT p.parent_id, p.kind, p.status, p.method, p.gateway, p.collects, g.is_external, p.amount, p.refunded, p.captured, "
	"p.released, p.commission_percent, p.commission, p.kind = 'deposit' AND EXISTS (SELECT FROM rental.gateway_requests r "
	" WHERE r.payment_id = p.id AND r.vendor_id = p.vendor_id AND r.action = 'release') FROM rental.payments p JOIN rental.gateways g ON g.name = p.gateway "
	"WHERE p.id = $1 AND p.vendor_id = $2 FOR NO KEY UPDATE OF p",
	UUIDOID, UUIDOID);
PLAN(payment_order, "SELECT order_id FROM rental.payments WHERE id = $1", UUIDOID);
PLAN(payment_set_status, "UPDATE rental.payments SET status = $3 WHERE id = $1 AND vendor_id = $2", UUIDOID, UUIDOID,
	 TEXTOID);
PLAN(payment_add,
	 "UPDATE rental.payments SET refunded = refunded + $3, captured = captured + $4, released = released + $5 "
	 "WHERE id = $1 AND vendor_id = $2",
	 UUIDOID, UUIDOID, NUMERICOID, NUMERICOID, NUMERICOID);
PLAN(
	payment_commission,
	"UPDATE rental.payments p SET commission = n.commission FROM (SELECT commission AS was, "
	"round((amount - (SELECT COALESCE(sum(r.amount), 0) FROM rental.payments r WHERE r.parent_id = $1 AND r.vendor_id = $2 AND r.status = 'succeeded')) "
	"* commission_percent / 100, $3) AS commission FROM rental.payments WHERE id = $1 AND vendor_id = $2) n "
	"WHERE p.id = $1 AND p.vendor_id = $2 RETURNING n.commission - n.was",
	UUIDOID, UUIDOID, INT4OID);
PLAN(order_add_paid, "UPDATE rental.orders SET paid = paid + $3, updated_at = $4 WHERE id = $1 AND vendor_id = $2",
	 UUIDOID, UUIDOID, NUMERICOID, TIMESTAMPTZOID);
PLAN(request_insert,
	 "INSERT INTO rental.gateway_requests (vendor_id, payment_id, gateway, action, amount, currency, created_at) "
	 "VALUES ($1, $2, $3, $4, $5, $6, $7)",
	 UUIDOID, UUIDOID, TEXTOID, TEXTOID, NUMERICOID, TEXTOID, TIMESTAMPTZOID);
PLAN(gateway_load, "SELECT is_external, is_active FROM rental.gateway_view WHERE name = $1", TEXTOID);
/* what may be captured: charges that were not captured yet, and are still owed; never more than is held ($3) */
PLAN(
	deposit_room,
	"SELECT GREATEST(0 * $3, LEAST($3, (SELECT COALESCE(sum(amount), 0) FROM rental.order_charges WHERE order_id = $1 AND vendor_id = $2 AND amount > 0) "
	"- c.captured, o.total + o.charges - o.paid - o.written_off - c.pending)) FROM rental.orders o, LATERAL "
	"(SELECT COALESCE(sum(amount - refunded), 0) AS captured, COALESCE(sum(amount) FILTER (WHERE status <> 'succeeded'), 0) AS pending "
	" FROM rental.payments WHERE order_id = $1 AND vendor_id = $2 AND kind = 'capture' AND status NOT IN ('failed', 'cancelled')) c "
	"WHERE o.id = $1 AND o.vendor_id = $2",
	UUIDOID, UUIDOID, NUMERICOID);
PLAN(captures_pending,
	 "SELECT FROM rental.payments WHERE parent_id = $1 AND vendor_id = $2 "
	 "AND status IN ('processing', 'requires_action', 'authorised')",
	 UUIDOID, UUIDOID);
PLAN(deposits_held,
	 "SELECT id FROM rental.payments WHERE order_id = $1 AND vendor_id = $2 AND kind = 'deposit' "
	 "AND status IN ('processing', 'requires_action', 'authorised') ORDER BY id",
	 UUIDOID, UUIDOID);
PLAN(
	event_insert,
	"INSERT INTO rental.payment_events (vendor_id, gateway, event_id, payment_id, type, amount, had_effect, created_at) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
	UUIDOID, TEXTOID, TEXTOID, UUIDOID, TEXTOID, NUMERICOID, BOOLOID, TIMESTAMPTZOID);
PLAN(event_known, "SELECT FROM rental.payment_events WHERE gateway = $1 AND event_id = $2", TEXTOID, TEXTOID);
PLAN(gateway_secret,
	 "SELECT secret, extract(epoch FROM tolerance)::integer FROM rental.gateway_settings "
	 "WHERE gateway = $1 AND is_active",
	 TEXTOID);
PLAN(gateways_all, "SELECT v.* FROM rental.gateway_view v WHERE $1 ORDER BY v.name", BOOLOID);
PLAN(gateway_row, "SELECT v FROM rental.gateway_view v WHERE v.name = $1", TEXTOID);
PLAN(gateway_put,
	 "INSERT INTO rental.gateways AS g (name, is_external, collects) VALUES ($1, true, COALESCE($2, true)) "
	 "ON CONFLICT (name) DO UPDATE SET collects = COALESCE($2, g.collects) WHERE NOT g.builtin",
	 TEXTOID, BOOLOID);
PLAN(
	settings_put,
	"INSERT INTO rental.gateway_settings AS s (gateway, is_active, secret, tolerance, updated_at) "
	"VALUES ($1, COALESCE($2, false), $3, COALESCE(make_interval(secs => $4), '5 minutes'), $5) ON CONFLICT (gateway) DO UPDATE SET "
	"is_active = COALESCE($2, s.is_active), secret = COALESCE($3, s.secret), tolerance = COALESCE(make_interval(secs => $4), s.tolerance), updated_at = $5",
	TEXTOID, BOOLOID, BYTEAOID, INT4OID, TIMESTAMPTZOID);
PLAN(settings_signed, "SELECT secret IS NOT NULL FROM rental.gateway_settings WHERE gateway = $1", TEXTOID);
PLAN(payment_row, "SELECT v, v.customer_id, v.vendor_id FROM rental.payment_view v WHERE v.id = $1", UUIDOID);

#define PAYMENT_SCOPE "($3 IS NULL OR v.customer_id = $3 OR v.vendor_id = $4) AND ($5 IS NULL OR v.order_id = $5)"

static PagePlans payment_pages = {
	.forward = PLAN_INIT("SELECT v, v.id FROM rental.payment_view v WHERE v.id < $1 AND " PAYMENT_SCOPE
						 " ORDER BY v.id DESC LIMIT $2",
						 UUIDOID, INT4OID, UUIDOID, UUIDOID, UUIDOID),
	.backward = PLAN_INIT("SELECT v, v.id FROM rental.payment_view v WHERE v.id > $1 AND " PAYMENT_SCOPE
						  " ORDER BY v.id LIMIT $2",
						  UUIDOID, INT4OID, UUIDOID, UUIDOID, UUIDOID),
	.count = PLAN_INIT(
		"SELECT count(*) FROM rental.payment_view v WHERE ($1 IS NULL OR v.customer_id = $1 OR v.vendor_id = $2) "
		"AND ($3 IS NULL OR v.order_id = $3)",
		UUIDOID, UUIDOID, UUIDOID),
	.newest_first = true,
};

/* rung is where a status stands on the ladder; one that is none, which the table refuses, above all. */
static int
rung(const char *status)
{
	int i;

	for (i = 0; i < lengthof(ladder); i++)
		if (strcmp(ladder[i], status) == 0)
			break;
	return i;
}

static bool
is_kind(const Payment *payment, const char *kind)
{
	return strcmp(payment->kind, kind) == 0;
}

static bool
is_status(const Payment *payment, const char *status)
{
	return strcmp(payment->status, status) == 0;
}

static NullableDatum
text_value(const char *text)
{
	return VALUE_OR_NULL(text ? CStringGetTextDatum(text) : (Datum) 0, text == NULL);
}

static bool
payment_read(const Order *order, const pg_uuid_t *id, Payment *payment)
{
	NullableDatum parent;

	if (plan_run(&payment_load, VALUE(UUIDPGetDatum(id)), VALUE(UUIDPGetDatum(&order->vendor_id))) == 0)
		return false;
	parent = plan_value(0, 1);
	payment->id = *id;
	payment->has_parent = !parent.isnull;
	if (!parent.isnull)
		payment->parent_id = *DatumGetUUIDP(parent.value);
	payment->kind = plan_text(0, 2);
	payment->status = plan_text(0, 3);
	payment->method = plan_text(0, 4);
	payment->gateway = plan_text(0, 5);
	payment->collects = DatumGetBool(plan_datum(0, 6));
	payment->is_external = DatumGetBool(plan_datum(0, 7));
	payment->amount = plan_datum(0, 8);
	payment->refunded = plan_datum(0, 9);
	payment->captured = plan_datum(0, 10);
	payment->released = plan_datum(0, 11);
	payment->percent = plan_datum(0, 12);
	payment->commission = plan_datum(0, 13);
	payment->release_asked = DatumGetBool(plan_datum(0, 14));
	return true;
}

/* payment_lock_own finds a payment of the caller's vendor, and locks its order and it. */
static void
payment_lock_own(NullableDatum id, Order *order, Payment *payment)
{
	request_required(id, "payment_id");
	if (plan_run(&payment_row, id) == 0 ||
		!actor_may_see(DatumGetUUIDP(plan_datum(0, 2)), DatumGetUUIDP(plan_datum(0, 3))))
		rental_raise(not_found, errmsg("no such payment"));
	plan_run(&payment_order, id);
	order_lock_own(plan_value(0, 1), order);
	payment_read(order, DatumGetUUIDP(id.value), payment);
}

static LedgerPosting
posting_of(const Order *order, const Payment *payment, const char *kind)
{
	return (LedgerPosting){.kind = kind,
						   .vendor_id = &order->vendor_id,
						   .currency = order->currency,
						   .customer_id = &order->customer_id,
						   .order_id = &order->id,
						   .payment_id = &payment->id};
}

/* money_moved books an amount that was taken, or given back if it is below zero. */
static void
money_moved(const Order *order, const Payment *payment, Datum amount)
{
	LedgerPosting posting = posting_of(order, payment, payment->kind);
	Datum		  back = amount_negate(amount);

	if (payment->collects)
		ledger_post(
			&posting,
			(LedgerEntry[]){
				{"platform_claim", amount}, {"receivable", back}, {"platform_cash", amount}, {"vendor_payable", back}},
			4);
	else
		ledger_pair(&posting, "cash", "receivable", amount);
	plan_run(&order_add_paid, VALUE(UUIDPGetDatum(&order->id)), VALUE(UUIDPGetDatum(&order->vendor_id)), VALUE(amount),
			 VALUE(TimestampTzGetDatum(rental_now())));
	order_event(order, amount_less(amount, amount_zero()) ? "refunded" : "paid",
				psprintf("{\"amount\":\"%s\"}", amount_text(amount_less(amount, amount_zero()) ? back : amount)));
	invoices_settle(&order->id, &order->vendor_id);
}

/* commission_follow books what the platform keeps of a charge, after it was taken or given back. */
static void
commission_follow(const Order *order, const Payment *payment, const pg_uuid_t *charge_id)
{
	LedgerPosting posting = posting_of(order, payment, payment->kind);
	Datum		  more;

	if (is_kind(payment, "charge") && !amount_less(amount_zero(), payment->percent))
		return;
	plan_run(&payment_commission, VALUE(UUIDPGetDatum(charge_id)), VALUE(UUIDPGetDatum(&order->vendor_id)),
			 VALUE(Int32GetDatum(amount_exponent(order->currency))));
	more = plan_datum(0, 1);
	ledger_post(&posting,
				(LedgerEntry[]){{"commission", more},
								{"platform_claim", amount_negate(more)},
								{"vendor_payable", more},
								{"commission_income", amount_negate(more)}},
				4);
}

/* payment_count adds to what was refunded, captured and released of a payment. */
static void
payment_count(const Order *order, const pg_uuid_t *id, Datum refunded, Datum captured, Datum released)
{
	plan_run(&payment_add, VALUE(UUIDPGetDatum(id)), VALUE(UUIDPGetDatum(&order->vendor_id)), VALUE(refunded),
			 VALUE(captured), VALUE(released));
}

static void
status_write(const Order *order, Payment *payment, const char *status)
{
	plan_run(&payment_set_status, VALUE(UUIDPGetDatum(&payment->id)), VALUE(UUIDPGetDatum(&order->vendor_id)),
			 VALUE(CStringGetTextDatum(status)));
	payment->status = status;
}

/* deposit_held is what is neither captured nor released of a deposit. */
static Datum
deposit_held(const Payment *deposit)
{
	return amount_subtract(deposit->amount, amount_add(deposit->captured, deposit->released));
}

/* deposit_settle ends a deposit of which nothing is held any more, once no capture is under way. */
static void
deposit_settle(const Order *order, Payment *deposit, const char *unused)
{
	if (amount_less(amount_zero(), deposit_held(deposit)) ||
		plan_run(&captures_pending, VALUE(UUIDPGetDatum(&deposit->id)), VALUE(UUIDPGetDatum(&order->vendor_id))) > 0)
		return;
	status_write(order, deposit, amount_less(amount_zero(), deposit->captured) ? "succeeded" : unused);
}

/* deposit_release books that what is held of a deposit went back. */
static void
deposit_release(const Order *order, Payment *deposit, const char *status)
{
	LedgerPosting posting = posting_of(order, deposit, "release");
	Datum		  held = deposit_held(deposit);

	if (is_status(deposit, "authorised"))
		ledger_pair(&posting, "deposit_owed", "deposit_held", held);
	payment_count(order, &deposit->id, amount_zero(), amount_zero(), held);
	deposit->released = amount_add(deposit->released, held);
	if (amount_less(amount_zero(), held))
		order_event(order, "deposit_released", psprintf("{\"amount\":\"%s\"}", amount_text(held)));
	deposit_settle(order, deposit, status);
}

static void
ask_gateway(const Order *order, const Payment *payment, const pg_uuid_t *id, const char *action, Datum amount)
{
	if (payment->is_external)
		plan_run(&request_insert, VALUE(UUIDPGetDatum(&order->vendor_id)), VALUE(UUIDPGetDatum(id)),
				 VALUE(CStringGetTextDatum(payment->gateway)), VALUE(CStringGetTextDatum(action)), VALUE(amount),
				 VALUE(CStringGetTextDatum(order->currency)), VALUE(TimestampTzGetDatum(rental_now())));
}

/* deposit_end gives a deposit back: an external gateway is asked, and the books follow what it tells then. */
static void
deposit_end(const Order *order, Payment *deposit)
{
	if (!deposit->is_external || !amount_less(amount_zero(), deposit_held(deposit)))
		deposit_release(order, deposit, "cancelled");
	else if (!deposit->release_asked)
		ask_gateway(order, deposit, &deposit->id, "release", deposit_held(deposit));
}

/* parent_count takes what a capture, refund or chargeback is for off its parent, or gives it back. False: there is not so much. */
static bool
parent_count(const Order *order, const Payment *payment, bool give_back)
{
	bool	captures = is_kind(payment, "capture");
	Datum	amount = give_back ? amount_negate(payment->amount) : payment->amount;
	Payment parent;

	payment_read(order, &payment->parent_id, &parent);
	if (amount_less(captures ? deposit_held(&parent) : amount_subtract(parent.amount, parent.refunded), amount))
		return false;
	payment_count(order, &parent.id, captures ? amount_zero() : amount, captures ? amount : amount_zero(),
				  amount_zero());
	return true;
}

/* capture_ended lets the deposit follow a capture that succeeded or failed. */
static void
capture_ended(const Order *order, const Payment *capture)
{
	Payment deposit;

	payment_read(order, &capture->parent_id, &deposit);
	/* the rest went back already, or must */
	if (amount_less(amount_zero(), deposit.released))
		deposit_release(order, &deposit, "cancelled");
	else if (order_is_void(order->status) || strcmp(order->status, "completed") == 0)
		deposit_end(order, &deposit);
	else
		deposit_settle(order, &deposit, "cancelled");
}

/*
 * payment_reach takes a payment up the ladder, and does what the status does.
 * False: it is behind; or what failed before and is done now after all has no
 * place any more, since something else took it meanwhile.
 */
static bool
payment_reach(const Order *order, Payment *payment, const char *status)
{
	LedgerPosting posting;
	bool		  had_failed = rung(payment->status) > rung("authorised");

	if (is_kind(payment, "deposit") && strcmp(status, "succeeded") == 0)
		status = "authorised";
	if (rung(status) <= rung(payment->status))
		return false;
	if (payment->has_parent && had_failed && strcmp(status, "succeeded") == 0 && !parent_count(order, payment, false))
		return false;
	if (is_kind(payment, "deposit"))
	{
		if (strcmp(status, "authorised") == 0)
		{
			posting = posting_of(order, payment, "deposit");
			ledger_pair(&posting, "deposit_held", "deposit_owed", payment->amount);
			order_event(order, "deposit_authorised", psprintf("{\"amount\":\"%s\"}", amount_text(payment->amount)));
		}
		else if (rung(status) > rung("authorised"))
		{
			deposit_release(order, payment, status);
			return true;
		}
	}
	status_write(order, payment, status);
	if (strcmp(status, "succeeded") == 0)
	{
		if (is_kind(payment, "charge"))
		{
			money_moved(order, payment, payment->amount);
			commission_follow(order, payment, &payment->id);
			/* a hold that ran out is not claimed anew by what a gateway tells */
			if (strcmp(payment->gateway, "manual") == 0 || order->expires_at > rental_now())
				order_paid(&order->id);
		}
		else if (is_kind(payment, "capture"))
		{
			posting = posting_of(order, payment, "capture");
			ledger_pair(&posting, "deposit_owed", "deposit_held", payment->amount);
			money_moved(order, payment, payment->amount);
			capture_ended(order, payment);
		}
		else
		{
			money_moved(order, payment, amount_negate(payment->amount));
			commission_follow(order, payment, &payment->parent_id);
		}
	}
	/* what was asked for in vain is there to be asked for again */
	else if (payment->has_parent && !had_failed && rung(status) > rung("authorised"))
	{
		parent_count(order, payment, true);
		if (is_kind(payment, "capture"))
			capture_ended(order, payment);
	}
	return true;
}

/* payment_make inserts a payment, asks an external gateway, and does what its first status does. */
static Payment
payment_make(const Order *order, const Payment *what, const char *status, const char *reason, TimestampTz at)
{
	Payment payment = *what;

	payment.id = *DatumGetUUIDP(uuid7_datum());
	payment.status = "processing";
	plan_run(&payment_insert, VALUE(UUIDPGetDatum(&payment.id)), VALUE(UUIDPGetDatum(&order->vendor_id)),
			 VALUE(UUIDPGetDatum(&order->id)), VALUE_OR_NULL(UUIDPGetDatum(&payment.parent_id), !payment.has_parent),
			 VALUE(CStringGetTextDatum(payment.kind)), VALUE(payment.amount),
			 VALUE(CStringGetTextDatum(order->currency)), VALUE(CStringGetTextDatum(payment.method)),
			 VALUE(CStringGetTextDatum(payment.gateway)), VALUE(CStringGetTextDatum(payment.status)),
			 text_value(reason), VALUE(TimestampTzGetDatum(at)));
	payment_read(order, &payment.id, &payment);
	ask_gateway(order, &payment, &payment.id, payment.kind, payment.amount);
	payment_reach(order, &payment, status);
	return payment;
}

/* first_status is what a gateway answers at once. */
static const char *
first_status(const Payment *payment)
{
	if (payment->is_external || strcmp(payment->method, "timeout") == 0)
		return "processing";
	if (strcmp(payment->method, "decline") == 0)
		return "failed";
	if (strcmp(payment->method, "action") == 0)
		return "requires_action";
	return "succeeded";
}

static Datum
payment_answer(FunctionCallInfo fcinfo, const pg_uuid_t *id)
{
	NullableDatum row;

	plan_run(&payment_row, VALUE(UUIDPGetDatum(id)));
	row = plan_keep(0, 1);
	plan_close();
	return plan_return(fcinfo, row);
}

/* payment_record(order_id uuid, amount numeric, method text, paid_at timestamptz, kind text, gateway text) */
PG_FUNCTION_INFO_V1(payment_record);
Datum
payment_record(PG_FUNCTION_ARGS)
{
	char	   *method = request_text(FCARG(2), "method", 20);
	char	   *kind = request_required_text(FCARG(4), "kind", 20);
	char	   *gateway = request_required_text(FCARG(5), "gateway", 40);
	bool		is_manual = strcmp(gateway, "manual") == 0;
	TimestampTz now = rental_now();
	TimestampTz paid_at = PG_ARGISNULL(3) ? now : PG_GETARG_TIMESTAMPTZ(3);
	Payment		what = {.kind = kind, .gateway = gateway};
	Order		order;

	request_required(FCARG(1), "amount");
	request_word(kind, "kind", (const char *[]){"charge", "deposit", NULL});
	if (paid_at > now || TIMESTAMP_IS_NOBEGIN(paid_at) || (!is_manual && !PG_ARGISNULL(3)))
		rental_raise(
			invalid_value,
			errmsg(is_manual ? "paid_at must be a time that has passed" : "a gateway tells itself when it is paid"),
			errfield("paid_at"));
	plan_open();
	if (is_manual)
	{
		order_lock_own(FCARG(0), &order);
		what.method = method ? method : "cash";
		request_word(what.method, "method", (const char *[]){"cash", "transfer", "cheque", NULL});
	}
	else
	{
		order_lock_seen(FCARG(0), &order);
		if (plan_run(&gateway_load, VALUE(CStringGetTextDatum(gateway))) == 0 || !DatumGetBool(plan_datum(0, 2)))
			rental_raise(invalid_value, errmsg("there is no such gateway"), errfield("gateway"));
		what.is_external = DatumGetBool(plan_datum(0, 1));
		what.method = method ? method : what.is_external ? "card" : "success";
		request_word(what.method, "method",
					 what.is_external ? (const char *[]){"card", "wallet", "debit", "transfer", NULL}
									  : (const char *[]){"success", "decline", "action", "timeout", NULL});
	}
	if (order_is_void(order.status))
		rental_raise(invalid_state, errmsg("cannot take a payment for an order that is %s", order.status));
	amount_check(PG_GETARG_DATUM(1), order.currency, "amount");
	what.amount = amount_round(PG_GETARG_DATUM(1), order.currency);
	what = payment_make(&order, &what, first_status(&what), NULL, paid_at);
	return payment_answer(fcinfo, &what.id);
}

/* part_arg is how much of what is open is meant. */
static Datum
part_arg(NullableDatum amount, const Order *order, Datum open)
{
	Datum part;

	if (amount.isnull)
		part = open;
	else
	{
		amount_check(amount.value, order->currency, "amount");
		part = amount_round(amount.value, order->currency);
		if (amount_less(open, part))
			rental_raise(invalid_value, errmsg("no more than %s is left", amount_text(open)), errfield("amount"));
	}
	if (!amount_less(amount_zero(), part))
		rental_raise(invalid_state, errmsg("there is nothing left"));
	return part;
}

/* payment_child makes a capture, refund or chargeback of what is left of a payment. */
static Payment
payment_child(const Order *order, const Payment *parent, const char *kind, Datum amount, const char *reason)
{
	Payment what = *parent;

	what.kind = kind;
	what.amount = amount;
	what.has_parent = true;
	what.parent_id = parent->id;
	parent_count(order, &what, false);
	return payment_make(
		order, &what,
		strcmp(kind, "chargeback") == 0 || strcmp(parent->gateway, "manual") == 0 ? "succeeded" : first_status(parent),
		reason, rental_now());
}

/* payment_capture(payment_id uuid, amount numeric, reason text) */
PG_FUNCTION_INFO_V1(payment_capture);
Datum
payment_capture(PG_FUNCTION_ARGS)
{
	char   *reason = request_text(FCARG(2), "reason", 1000);
	Order	order;
	Payment deposit;
	Payment capture;
	Datum	amount;

	plan_open();
	payment_lock_own(FCARG(0), &order, &deposit);
	if (!is_kind(&deposit, "deposit") || !is_status(&deposit, "authorised") || deposit.release_asked)
		rental_raise(invalid_state, errmsg("only a deposit that is held can be captured"));
	plan_run(&deposit_room, VALUE(UUIDPGetDatum(&order.id)), VALUE(UUIDPGetDatum(&order.vendor_id)),
			 VALUE(deposit_held(&deposit)));
	if (!amount_less(amount_zero(), plan_datum(0, 1)))
		rental_raise(invalid_state, errmsg("nothing is owed that the deposit is for"),
					 errdetail("It is for charges of the order that are not paid."));
	amount = part_arg(FCARG(1), &order, plan_datum(0, 1));
	capture = payment_child(&order, &deposit, "capture", amount, reason);
	return payment_answer(fcinfo, &capture.id);
}

PG_FUNCTION_INFO_V1(payment_release);
Datum
payment_release(PG_FUNCTION_ARGS)
{
	Order	order;
	Payment deposit;

	plan_open();
	payment_lock_own(FCARG(0), &order, &deposit);
	if (!is_kind(&deposit, "deposit") || rung(deposit.status) > rung("authorised") || deposit.release_asked ||
		!amount_less(amount_zero(), deposit_held(&deposit)))
		rental_raise(invalid_state, errmsg("only a deposit that is held can be released"));
	deposit_end(&order, &deposit);
	return payment_answer(fcinfo, &deposit.id);
}

/* payment_refund(payment_id uuid, amount numeric, reason text) */
PG_FUNCTION_INFO_V1(payment_refund);
Datum
payment_refund(PG_FUNCTION_ARGS)
{
	char   *reason = request_text(FCARG(2), "reason", 1000);
	Order	order;
	Payment charge;
	Payment refund;

	plan_open();
	payment_lock_own(FCARG(0), &order, &charge);
	if (!(is_kind(&charge, "charge") || is_kind(&charge, "capture")) || !is_status(&charge, "succeeded"))
		rental_raise(invalid_state, errmsg("only what was taken can be given back"));
	refund = payment_child(&order, &charge, "refund",
						   part_arg(FCARG(1), &order, amount_subtract(charge.amount, charge.refunded)), reason);
	return payment_answer(fcinfo, &refund.id);
}

/* deposit_follow: after an order has ended, what is held of its deposits goes back. */
PG_FUNCTION_INFO_V1(deposit_follow);
Datum
deposit_follow(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc	 desc;
	Order		 order;
	PlanRights	 rights;
	pg_uuid_t	*ids;
	bool		 isnull;
	uint64		 n;
	uint64		 i;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		!TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("deposit_follow must be fired after each row that is updated")));
	desc = RelationGetDescr(trigger->tg_relation);
	rights = plan_open_trusted();
	n = plan_run(&deposits_held, VALUE(heap_getattr(trigger->tg_newtuple, SPI_fnumber(desc, "id"), desc, &isnull)),
				 VALUE(heap_getattr(trigger->tg_newtuple, SPI_fnumber(desc, "vendor_id"), desc, &isnull)));
	ids = palloc(Max(n, 1) * sizeof(pg_uuid_t));
	for (i = 0; i < n; i++)
		ids[i] = *DatumGetUUIDP(plan_datum(i, 1));
	if (n > 0)
		order_lock_row(DatumGetUUIDP(heap_getattr(trigger->tg_newtuple, SPI_fnumber(desc, "id"), desc, &isnull)),
					   &order);
	for (i = 0; i < n; i++)
	{
		Payment deposit;

		if (payment_read(&order, &ids[i], &deposit))
			deposit_end(&order, &deposit);
	}
	plan_close_trusted(rights);
	return PointerGetDatum(NULL);
}

PG_FUNCTION_INFO_V1(payment_get);
Datum
payment_get(PG_FUNCTION_ARGS)
{
	NullableDatum row;

	plan_open();
	if (plan_read(&payment_row, FCARG(0)) == 0 ||
		!actor_may_see(DatumGetUUIDP(plan_datum(0, 2)), DatumGetUUIDP(plan_datum(0, 3))))
		rental_raise(not_found, errmsg("no such payment"));
	row = plan_keep(0, 1);
	plan_close();
	return plan_return(fcinfo, row);
}

/* payment_list("order" uuid, page_size, cursor, count) */
PG_FUNCTION_INFO_V1(payment_list);
Datum
payment_list(PG_FUNCTION_ARGS)
{
	NullableDatum filters[3];

	actor_list_scope(filters);
	filters[2] = FCARG(0);
	return page_return(fcinfo, &payment_pages, filters, 3, PG_GETARG_INT32(1), FCARG(2), FCARG(3));
}

/* Gateways */

static const char *const event_fields[] = {"id", "payment_id", "type", "amount", NULL};

/* signature_of is the HMAC that goes with a body at a time. */
static char *
signature_of(const bytea *secret, int64 at, const char *body)
{
	return secret_hmac(secret, psprintf("%lld.%s", (long long) at, body));
}

static int64
epoch_seconds(TimestampTz at)
{
	return at / USECS_PER_SEC + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (int64) SECS_PER_DAY;
}

static bool
is_same_text(const char *a, const char *b, int n)
{
	int differs = 0;
	int i;

	for (i = 0; i < n; i++)
		differs |= a[i] ^ b[i];
	return differs == 0;
}

/* require_signature checks what stands in Rental-Signature: t=SECONDS,v1=HEX. */
static void
require_signature(NullableDatum header, const char *gateway, const char *body)
{
	char	 *signature = header.isnull ? NULL : TextDatumGetCString(header.value);
	char	 *v1 = signature ? strstr(signature, ",v1=") : NULL;
	char	 *end;
	char	 *expected;
	long long at;
	int64	  off;

	if (plan_run(&gateway_secret, VALUE(CStringGetTextDatum(gateway))) == 0)
		rental_raise(not_found, errmsg("no such gateway"));
	if (v1 == NULL || strncmp(signature, "t=", 2) != 0 || v1 - signature > 22 || signature[2] < '0' ||
		signature[2] > '9')
		rental_raise(invalid_credentials, errmsg("the signature is missing or malformed"));
	at = strtoll(signature + 2, &end, 10);
	expected = signature_of(DatumGetByteaPP(plan_datum(0, 1)), at, body);
	if (end != v1 || strlen(v1 + 4) != strlen(expected) || !is_same_text(v1 + 4, expected, strlen(expected)))
		rental_raise(invalid_credentials, errmsg("the signature is wrong"));
	off = epoch_seconds(rental_now()) - at;
	if (off > DatumGetInt32(plan_datum(0, 2)) || -off > DatumGetInt32(plan_datum(0, 2)))
		rental_raise(invalid_credentials, errmsg("the signature is too old, or from the future"));
}

static Datum
received(FunctionCallInfo fcinfo)
{
	TupleDesc desc;
	bool	  isnull = false;
	Datum	  yes = BoolGetDatum(true);

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "payment_webhook must return a row");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), &yes, &isnull));
}

/* payment_webhook(gateway text, body text, header_rental_signature text) */
PG_FUNCTION_INFO_V1(payment_webhook);
Datum
payment_webhook(PG_FUNCTION_ARGS)
{
	char		 *gateway = request_required_text(FCARG(0), "gateway", 40);
	char		 *body;
	char		 *event_id;
	char		 *type;
	bool		  is_chargeback;
	bool		  had_effect;
	bool		  has_amount;
	Datum		  amount;
	pg_uuid_t	  payment_id;
	RequestObject event;
	Order		  order;
	Payment		  payment;
	int			  i;

	request_required(FCARG(1), "body");
	body = TextDatumGetCString(PG_GETARG_DATUM(1));
	plan_open();
	require_signature(FCARG(2), gateway, body);
	event = request_whole("event", request_json(body), event_fields);
	event_id = request_string(&event, "id", true, 200);
	request_uuid(&event, "payment_id", true, &payment_id);
	type = request_string(&event, "type", true, 40);
	has_amount = request_amount(&event, "amount", false, &amount);
	is_chargeback = strcmp(type, "chargeback") == 0;
	for (i = 0; i < lengthof(ladder) && !is_chargeback; i++)
		if (strcmp(ladder[i], type) == 0)
			break;
	if (!is_chargeback && i == lengthof(ladder))
		rental_raise(invalid_field, errmsg("type must be a status of a payment, or chargeback"), errfield("type"));
	if (plan_run(&payment_order, VALUE(UUIDPGetDatum(&payment_id))) == 0)
		rental_raise(not_found, errmsg("no such payment"));
	order_lock_row(DatumGetUUIDP(plan_datum(0, 1)), &order);
	if (!payment_read(&order, &payment_id, &payment) || strcmp(payment.gateway, gateway) != 0)
		rental_raise(not_found, errmsg("no such payment"));
	/* whoever tells the same event waits for the order, and sees it then */
	if (plan_run(&event_known, VALUE(CStringGetTextDatum(gateway)), VALUE(CStringGetTextDatum(event_id))) > 0)
	{
		plan_close();
		return received(fcinfo);
	}
	if (has_amount)
	{
		amount_check(amount, order.currency, "amount");
		amount = amount_round(amount, order.currency);
		if (!is_chargeback && !amount_equal(amount, payment.amount))
			rental_raise(invalid_value, errmsg("the amount is not that of the payment"), errfield("amount"));
	}
	if (is_chargeback)
	{
		Datum left;

		if (!is_kind(&payment, "charge") && !is_kind(&payment, "capture"))
			rental_raise(invalid_value, errmsg("only a charge is charged back"), errfield("type"));
		/* what is charged back was taken, whether or not that was told yet */
		payment_reach(&order, &payment, "succeeded");
		left = amount_subtract(payment.amount, payment.refunded);
		if (has_amount && amount_less(amount, left))
			left = amount;
		had_effect = amount_less(amount_zero(), left);
		if (had_effect)
			payment_child(&order, &payment, "chargeback", left, NULL);
	}
	else
		had_effect = payment_reach(&order, &payment, type);
	plan_run(&event_insert, VALUE(UUIDPGetDatum(&order.vendor_id)), VALUE(CStringGetTextDatum(gateway)),
			 VALUE(CStringGetTextDatum(event_id)), VALUE(UUIDPGetDatum(&payment_id)), VALUE(CStringGetTextDatum(type)),
			 VALUE_OR_NULL(has_amount ? amount : (Datum) 0, !has_amount), VALUE(BoolGetDatum(had_effect)),
			 VALUE(TimestampTzGetDatum(rental_now())));
	plan_close();
	return received(fcinfo);
}

PG_FUNCTION_INFO_V1(gateway_list);
Datum
gateway_list(PG_FUNCTION_ARGS)
{
	actor_require_admin();
	return report_rows(fcinfo, &gateways_all, (NullableDatum[]){VALUE(BoolGetDatum(true))}, 1);
}

/* gateway_set(gateway text, is_active boolean, secret text, tolerance_seconds integer, collects boolean) */
PG_FUNCTION_INFO_V1(gateway_set);
Datum
gateway_set(PG_FUNCTION_ARGS)
{
	char		 *name = request_required_text(FCARG(0), "gateway", 40);
	char		 *secret = request_text(FCARG(2), "secret", 200);
	NullableDatum row;
	bool		  is_signed;

	actor_require_admin();
	if (name[0] < 'a' || name[0] > 'z' || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(name))
		rental_raise(invalid_value, errmsg("gateway must be a lower-case word"), errfield("gateway"));
	if (strcmp(name, "manual") == 0)
		rental_raise(invalid_value, errmsg("manual has no settings"), errfield("gateway"));
	if (secret != NULL && strlen(secret) < 16)
		rental_raise(invalid_value, errmsg("secret must have 16 characters or more"), errfield("secret"));
	if (!PG_ARGISNULL(3) && (PG_GETARG_INT32(3) < 1 || PG_GETARG_INT32(3) > SECS_PER_DAY))
		rental_raise(invalid_value, errmsg("tolerance_seconds must be from 1 to 86400"), errfield("tolerance_seconds"));
	plan_open();
	plan_run(&gateway_put, VALUE(CStringGetTextDatum(name)), FCARG(4));
	is_signed = secret != NULL ||
				(plan_run(&settings_signed, VALUE(CStringGetTextDatum(name))) > 0 && DatumGetBool(plan_datum(0, 1)));
	if (!PG_ARGISNULL(1) && PG_GETARG_BOOL(1) && !is_signed)
		rental_raise(conflict, errmsg("a gateway without a secret cannot be active"), errfield("is_active"));
	plan_run(&settings_put, VALUE(CStringGetTextDatum(name)), FCARG(1),
			 VALUE_OR_NULL(secret ? PointerGetDatum(cstring_to_text(secret)) : (Datum) 0, secret == NULL), FCARG(3),
			 VALUE(TimestampTzGetDatum(rental_now())));
	plan_run(&gateway_row, VALUE(CStringGetTextDatum(name)));
	row = plan_keep(0, 1);
	plan_close();
	return plan_return(fcinfo, row);
}

/* gateway_sign(gateway text, body text, at timestamptz) */
PG_FUNCTION_INFO_V1(gateway_sign);
Datum
gateway_sign(PG_FUNCTION_ARGS)
{
	char *name = request_required_text(FCARG(0), "gateway", 40);
	int64 at = epoch_seconds(PG_ARGISNULL(2) ? rental_now() : PG_GETARG_TIMESTAMPTZ(2));
	char *mac;

	actor_require_admin();
	request_required(FCARG(1), "body");
	plan_open();
	if (strcmp(name, "test") != 0 || plan_run(&gateway_secret, VALUE(CStringGetTextDatum(name))) == 0)
		rental_raise(not_found, errmsg("only the gateway test signs here, once it is active"), errfield("gateway"));
	mac = signature_of(DatumGetByteaPP(plan_datum(0, 1)), at, TextDatumGetCString(PG_GETARG_DATUM(1)));
	mac = MemoryContextStrdup(fcinfo->flinfo->fn_mcxt, mac);
	plan_close();
	PG_RETURN_TEXT_P(cstring_to_text(psprintf("t=%lld,v1=%s", (long long) at, mac)));
}

/* payment_guard: before a change of payments. */
PG_FUNCTION_INFO_V1(payment_guard);
Datum
payment_guard(PG_FUNCTION_ARGS)
{
	static const char *const state[] = {"status", "refunded", "captured", "released", "commission", NULL};
	TriggerData				*trigger = (TriggerData *) fcinfo->context;
	TupleDesc				 desc;
	int						 i;
	int						 s;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("payment_guard must be fired before each row")));
	if (!TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		rental_raise(rule_violated, errmsg("a payment is not deleted"));
	if (rung(TextDatumGetCString(row_column(trigger, trigger->tg_newtuple, "status"))) <
		rung(TextDatumGetCString(row_column(trigger, trigger->tg_trigtuple, "status"))))
		rental_raise(rule_violated, errmsg("a payment's status does not go back"), errfield("status"));
	desc = RelationGetDescr(trigger->tg_relation);
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		bool			  old_null;
		bool			  new_null;
		Datum			  a;
		Datum			  b;

		for (s = 0; state[s] != NULL; s++)
			if (strcmp(state[s], NameStr(attribute->attname)) == 0)
				break;
		if (attribute->attisdropped || state[s] != NULL)
			continue;
		a = heap_getattr(trigger->tg_trigtuple, i + 1, desc, &old_null);
		b = heap_getattr(trigger->tg_newtuple, i + 1, desc, &new_null);
		if (old_null != new_null || (!old_null && !datum_image_eq(a, b, attribute->attbyval, attribute->attlen)))
			rental_raise(rule_violated, errmsg("a payment does not change but in its state"),
						 errfield(NameStr(attribute->attname)));
	}
	return PointerGetDatum(trigger->tg_newtuple);
}
