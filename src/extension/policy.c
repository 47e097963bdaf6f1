/*
 * policy.c
 *	  How each vendor deals with its orders: confirmation, cancellation,
 *	  delivery, and the terms that a customer accepts.
 *
 * It owns order_policies, order_terms and order_contracts. A vendor without a
 * policy confirms by hand and refunds in full.
 */
#include "policy.h"

#include "actor.h"
#include "amount.h"
#include "errors.h"
#include "lookup.h"
#include "period.h"
#include "plan.h"
#include "request.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#define CANCELLATION_MOST_STEPS 20
#define CANCELLATION_MOST_HOURS 8784

LOOKUP(policy_of, "order_policies", NULL, "confirmation", "payment", "early_return", "delivers", "quote_days",
	   "delivery_fee", "cancellation", "terms_version", "extension");
PLAN(policy_row, "SELECT v FROM rental.order_policy_view v WHERE v.vendor_id = $1", UUIDOID);
PLAN(vendor_currency, "SELECT currency FROM rental.vendors WHERE id = $1", UUIDOID);
PLAN(terms_insert,
	 "INSERT INTO rental.order_terms (vendor_id, version, terms, created_at) VALUES ($1, $2, $3, $4) "
	 "ON CONFLICT (vendor_id, version) DO NOTHING",
	 UUIDOID, TEXTOID, TEXTOID, TIMESTAMPTZOID);
PLAN(terms_of, "SELECT terms FROM rental.order_terms WHERE vendor_id = $1 AND version = $2", UUIDOID, TEXTOID);
PLAN(
	policy_upsert,
	"INSERT INTO rental.order_policies AS p (vendor_id, confirmation, payment, cancellation, early_return, quote_days, delivers, "
	"delivery_fee, terms_version, updated_at, extension) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (vendor_id) DO UPDATE "
	"SET confirmation = $2, payment = $3, cancellation = $4, early_return = $5, quote_days = $6, delivers = $7, delivery_fee = $8, "
	"terms_version = $9, updated_at = $10, extension = $11",
	UUIDOID, TEXTOID, TEXTOID, JSONBOID, TEXTOID, INT4OID, BOOLOID, NUMERICOID, TEXTOID, TIMESTAMPTZOID, TEXTOID);
PLAN(
	contract_insert,
	"INSERT INTO rental.order_contracts (vendor_id, order_id, terms_version, signature, accepted_by, client_address, accepted_at) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (order_id, vendor_id) DO UPDATE SET terms_version = $3, signature = $4, "
	"accepted_by = $5, client_address = $6, accepted_at = $7",
	UUIDOID, UUIDOID, TEXTOID, TEXTOID, UUIDOID, TEXTOID, TIMESTAMPTZOID);

static const char *const step_fields[] = {"hours_before", "percent", NULL};
static const char *const delivery_fields[] = {"method", "address", "fee", NULL};
static const char *const address_fields[] = {"recipient", "line1",	"line2",   "postal_code",
											 "city",	  "region", "country", NULL};
static const char *const terms_fields[] = {"version", "signature", NULL};

void
policy_load(const pg_uuid_t *vendor_id, Policy *policy)
{
	NullableDatum values[9];

	memset(policy, 0, sizeof(*policy));
	policy->quote_days = 14;
	policy->delivery_fee = amount_zero();
	if (!lookup_row(&policy_of, vendor_id, NULL, values))
		return;
	policy->auto_confirm = strcmp(TextDatumGetCString(values[0].value), "auto") == 0;
	policy->pay_first = strcmp(TextDatumGetCString(values[1].value), "before_confirmation") == 0;
	policy->prorates = strcmp(TextDatumGetCString(values[2].value), "prorate") == 0;
	policy->delivers = DatumGetBool(values[3].value);
	policy->quote_days = DatumGetInt32(values[4].value);
	policy->delivery_fee = values[5].value;
	policy->cancellation = values[6].isnull ? NULL : DatumGetJsonbP(values[6].value);
	if (policy->cancellation != NULL && JB_ROOT_COUNT(policy->cancellation) == 0)
		policy->cancellation = NULL;
	policy->terms_version = values[7].isnull ? NULL : TextDatumGetCString(values[7].value);
	policy->asks_extension = strcmp(TextDatumGetCString(values[8].value), "manual") == 0;
}

PG_FUNCTION_INFO_V1(order_policy_get);
Datum
order_policy_get(PG_FUNCTION_ARGS)
{
	NullableDatum row;

	plan_open();
	if (plan_read(&policy_row, FCARG(0)) == 0)
		rental_raise(not_found, errmsg("no such vendor"));
	row = plan_keep(0, 1);
	plan_close();
	return plan_return(fcinfo, row);
}

static void
word_arg(NullableDatum value, const char *field, const char *const *words)
{
	request_required(value, field);
	request_word(TextDatumGetCString(value.value), field, words);
}

static void
cancellation_check(Jsonb *steps)
{
	RequestList list;
	int			i;

	if (JB_ROOT_IS_ARRAY(steps) && !JB_ROOT_IS_SCALAR(steps) && JB_ROOT_COUNT(steps) == 0)
		return;
	list = request_list("cancellation", steps, CANCELLATION_MOST_STEPS);
	for (i = 0; i < list.count; i++)
	{
		RequestObject step = request_object(&list, i, step_fields);
		int32		  hours;
		int32		  percent;

		request_integer(&step, "hours_before", true, &hours);
		request_integer(&step, "percent", true, &percent);
		if (hours < 0 || hours > CANCELLATION_MOST_HOURS)
			rental_raise(invalid_value, errmsg("hours_before must be between 0 and %d", CANCELLATION_MOST_HOURS),
						 errfield(request_path(&step, "hours_before")));
		if (percent < 0 || percent > 100)
			rental_raise(invalid_value, errmsg("percent must be between 0 and 100"),
						 errfield(request_path(&step, "percent")));
	}
}

/* terms_arg keeps a new version of the terms, or finds one that is known. */
static NullableDatum
terms_arg(NullableDatum vendor_id, NullableDatum version_arg, NullableDatum terms_text)
{
	char *version = request_text(version_arg, "terms_version", 40);
	char *terms = request_text(terms_text, "terms", 100000);

	if (version == NULL || *version == '\0')
	{
		if (terms != NULL && *terms != '\0')
			rental_raise(missing_field, errmsg("terms_version is required with terms"), errfield("terms_version"));
		return NULLVALUE;
	}
	if (terms != NULL && *terms != '\0')
		plan_run(&terms_insert, vendor_id, text_or_null(version), text_or_null(terms),
				 VALUE(TimestampTzGetDatum(rental_now())));
	if (plan_run(&terms_of, vendor_id, text_or_null(version)) == 0)
		rental_raise(invalid_value, errmsg("no terms are known by this version"), errfield("terms"));
	if (terms != NULL && *terms != '\0' && strcmp(plan_text(0, 1), terms) != 0)
		rental_raise(conflict, errmsg("version \"%s\" has other terms, which somebody may have accepted", version),
					 errfield("terms_version"));
	return text_or_null(version);
}

/*
 * order_policy_set(vendor_id uuid, confirmation text, payment text, cancellation order_cancellation,
 * early_return text, quote_days integer, delivers boolean, delivery_fee numeric, terms_version text, terms text,
 * extension text)
 */
PG_FUNCTION_INFO_V1(order_policy_set);
Datum
order_policy_set(PG_FUNCTION_ARGS)
{
	NullableDatum version;
	NullableDatum row;
	char		 *currency;

	request_required(FCARG(0), "vendor_id");
	request_required(FCARG(3), "cancellation");
	request_required(FCARG(5), "quote_days");
	request_required(FCARG(6), "delivers");
	request_required(FCARG(7), "delivery_fee");
	plan_open();
	if (plan_run(&vendor_currency, FCARG(0)) == 0)
		rental_raise(not_found, errmsg("no such vendor"));
	currency = plan_text(0, 1);
	actor_require_manager(PG_GETARG_UUID_P(0));
	word_arg(FCARG(1), "confirmation", (const char *[]){"manual", "auto", NULL});
	word_arg(FCARG(2), "payment", (const char *[]){"none", "before_confirmation", NULL});
	word_arg(FCARG(4), "early_return", (const char *[]){"none", "prorate", NULL});
	word_arg(FCARG(10), "extension", (const char *[]){"auto", "manual", NULL});
	cancellation_check(PG_GETARG_JSONB_P(3));
	if (PG_GETARG_INT32(5) < 1 || PG_GETARG_INT32(5) > 365)
		rental_raise(invalid_value, errmsg("quote_days must be between 1 and 365"), errfield("quote_days"));
	amount_check(PG_GETARG_DATUM(7), currency, "delivery_fee");
	version = terms_arg(FCARG(0), FCARG(8), FCARG(9));
	plan_run(&policy_upsert, FCARG(0), FCARG(1), FCARG(2), FCARG(3), FCARG(4), FCARG(5), FCARG(6),
			 VALUE(amount_round(PG_GETARG_DATUM(7), currency)), version, VALUE(TimestampTzGetDatum(rental_now())),
			 FCARG(10));
	plan_run(&policy_row, FCARG(0));
	row = plan_keep(0, 1);
	plan_close();
	return plan_return(fcinfo, row);
}

/*
 * policy_cancellation_fee is what remains owed of a confirmed order that its
 * customer cancels: the total less what the best step reached refunds.
 */
Datum
policy_cancellation_fee(const Policy *policy, const Order *order, TimestampTz start, TimestampTz now)
{
	RequestList list;
	int32		refunded = 0;
	Datum		refund;
	int			i;

	if (policy->cancellation == NULL)
		return amount_round(amount_zero(), order->currency);
	list = request_list("cancellation", policy->cancellation, CANCELLATION_MOST_STEPS);
	for (i = 0; i < list.count; i++)
	{
		RequestObject step = request_object(&list, i, step_fields);
		int32		  hours;
		int32		  percent;

		request_integer(&step, "hours_before", true, &hours);
		request_integer(&step, "percent", true, &percent);
		if (start - now >= hours * USECS_PER_HOUR)
			refunded = Max(refunded, percent);
	}
	refund = amount_round(amount_divide(amount_times(order->total, refunded), 100), order->currency);
	return DirectFunctionCall2(numeric_sub, order->total, refund);
}

static void
address_check(const RequestObject *address)
{
	char *country;
	int	  i;

	for (i = 0; address_fields[i] != NULL; i++)
		request_string(address, address_fields[i], false, 200);
	request_string(address, "line1", true, 200);
	request_string(address, "city", true, 200);
	country = request_string(address, "country", true, 2);
	if (strlen(country) != 2 || strspn(country, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 2)
		rental_raise(invalid_value, errmsg("country must be a code of ISO 3166, such as DE"),
					 errfield(request_path(address, "country")));
}

/*
 * policy_delivery reads how an order comes to its customer, and sets the fee
 * for it. It returns what is kept with the order.
 */
NullableDatum
policy_delivery(const Policy *policy, const pg_uuid_t *vendor_id, const char *currency, NullableDatum delivery,
				Datum *fee)
{
	RequestObject object;
	RequestObject address;
	char		 *method;
	bool		  delivered;
	bool		  has_address;

	*fee = amount_round(amount_zero(), currency);
	if (delivery.isnull)
		return NULLVALUE;
	object = request_whole("delivery", DatumGetJsonbP(delivery.value), delivery_fields);
	method = request_string(&object, "method", true, 20);
	delivered = strcmp(method, "delivery") == 0;
	if (!delivered && strcmp(method, "pickup") != 0)
		rental_raise(invalid_value, errmsg("method must be pickup or delivery"),
					 errfield(request_path(&object, "method")));
	has_address = request_child(&object, "address", delivered, address_fields, &address);
	if (has_address)
		address_check(&address);
	if (has_address && !delivered)
		rental_raise(invalid_value, errmsg("what is picked up needs no address"),
					 errfield(request_path(&object, "address")));
	if (delivered && !policy->delivers && !actor_serves(actor_current(), vendor_id))
		rental_raise(rule_violated, errmsg("the vendor does not deliver"), errfield(request_path(&object, "method")));
	if (request_amount(&object, "fee", false, fee))
	{
		if (!actor_serves(actor_current(), vendor_id))
			rental_raise(forbidden, errmsg("only the vendor names a fee"), errfield(request_path(&object, "fee")));
		amount_check(*fee, currency, request_path(&object, "fee"));
		*fee = amount_round(*fee, currency);
	}
	else if (delivered)
		*fee = amount_round(policy->delivery_fee, currency);
	return VALUE(DirectFunctionCall2(jsonb_delete, delivery.value, CStringGetTextDatum("fee")));
}

/*
 * policy_accept keeps which terms are accepted with an order, when, by whom
 * and from where. Who orders from a vendor that has terms must accept those of
 * today; what the vendor enters itself need not name any.
 */
void
policy_accept(const Policy *policy, const Order *order, NullableDatum terms, bool required)
{
	const Actor *who = actor_current();
	char		*version = NULL;
	char		*signature = NULL;

	if (!terms.isnull)
	{
		RequestObject object = request_whole("terms", DatumGetJsonbP(terms.value), terms_fields);

		version = request_string(&object, "version", false, 40);
		signature = request_string(&object, "signature", false, 200000);
		if (signature != NULL && strncmp(signature, "data:image/", 11) != 0 && strncmp(signature, "https://", 8) != 0)
			rental_raise(invalid_value, errmsg("signature must be a data: URL of an image, or an https reference"),
						 errfield(request_path(&object, "signature")));
		if (version != NULL && (policy->terms_version == NULL || strcmp(version, policy->terms_version) != 0))
			rental_raise(rule_violated, errmsg("these are not the vendor's terms of today"),
						 errfield(request_path(&object, "version")));
	}
	if (required && policy->terms_version != NULL && version == NULL && !actor_serves(who, &order->vendor_id))
		rental_raise(rule_violated, errmsg("the vendor's terms \"%s\" must be accepted", policy->terms_version),
					 errfield("terms"));
	if (version == NULL && signature == NULL)
		return;
	plan_run(&contract_insert, VALUE(UUIDPGetDatum(&order->vendor_id)), VALUE(UUIDPGetDatum(&order->id)),
			 text_or_null(version), text_or_null(signature),
			 VALUE_OR_NULL(UUIDPGetDatum(&who->user_id), !actor_has_user(who)), text_or_null(who->client_address),
			 VALUE(TimestampTzGetDatum(rental_now())));
}
