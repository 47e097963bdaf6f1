/*
 * vendor.c
 *	  Vendors: their settings, and the teams that work for them.
 *
 * It owns who belongs to a team and with which role; what a role allows is
 * decided in actor.c. A team that has members has an owner: every change of
 * owners locks all of them first, in one order, so that two owners who demote
 * each other at once leave one.
 */
#include "rental.h"

#include "actor.h"
#include "apikey.h"
#include "commands/trigger.h"
#include "errors.h"
#include "identity.h"
#include "period.h"
#include "patch.h"
#include "plan.h"
#include "request.h"
#include "response.h"
#include "slug.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"

#define HOURS_MOST	   100
#define MINUTES_A_DAY  (24 * 60)
#define DAYS_OF_NOTICE 366

PLAN(vendor_row, "SELECT v, v.is_active FROM rental.vendor_view v WHERE v.id = $1", UUIDOID);
PLAN(
	settings_row,
	"SELECT ROW(v.id, v.name, v.slug, v.currency, v.time_zone, v.tax_number, v.default_tax, v.commission, v.opening_hours, "
	"v.minimum_notice, v.hold_time, v.buffer_before, v.buffer_after, v.terms, v.terms_version, "
	"CASE WHEN $2 THEN v.payout_details END, v.is_active, v.created_at)::rental.vendor_settings_view "
	"FROM rental.vendor_settings_view v WHERE v.id = $1",
	UUIDOID, BOOLOID);
PLAN(slug_taken, "SELECT FROM rental.vendors WHERE slug = $2 AND id <> $1", UUIDOID, TEXTOID);
PLAN(currency_is_fixed,
	 "SELECT FROM rental.vendors v WHERE v.id = $1 AND v.currency <> $2 "
	 "AND EXISTS (SELECT FROM rental.orders o WHERE o.vendor_id = v.id)",
	 UUIDOID, TEXTOID);

/* clang-format off */
#define SET(column, argument) column " = CASE WHEN '" column "' = ANY ($2) THEN " argument " ELSE " column " END"
PLAN(vendor_change,
	 "UPDATE rental.vendors SET "
	 SET("name", "$3") ", "
	 SET("slug", "$4") ", "
	 SET("currency", "$5") ", "
	 SET("time_zone", "$6") ", "
	 SET("tax_number", "$7") ", "
	 SET("default_tax", "$8") ", "
	 SET("commission", "$9") ", "
	 SET("opening_hours", "$10") ", "
	 SET("minimum_notice", "$11") ", "
	 SET("hold_time", "$12") ", "
	 SET("buffer_before", "$13") ", "
	 SET("buffer_after", "$14") ", "
	 SET("terms", "$15") ", "
	 SET("payout_details", "$16") ", "
	 SET("is_active", "$17") " WHERE id = $1",
	 UUIDOID, TEXTARRAYOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, NUMERICOID, NUMERICOID, JSONBOID,
	 INTERVALOID, INTERVALOID, INTERVALOID, INTERVALOID, TEXTOID, TEXTOID, BOOLOID);
/* clang-format on */

PLAN(owners_lock,
	 "SELECT user_id FROM rental.vendor_members WHERE vendor_id = $1 AND role = 'owner' ORDER BY user_id FOR UPDATE",
	 UUIDOID);
PLAN(members_left, "SELECT FROM rental.vendor_members WHERE vendor_id = $1 LIMIT 1", UUIDOID);
PLAN(member_lock, "SELECT role FROM rental.vendor_members WHERE vendor_id = $1 AND user_id = $2 FOR UPDATE", UUIDOID,
	 UUIDOID);
PLAN(member_row, "SELECT v FROM rental.member_view v WHERE v.vendor_id = $1 AND v.user_id = $2", UUIDOID, UUIDOID);
PLAN(member_insert,
	 "INSERT INTO rental.vendor_members (vendor_id, user_id, role, created_at) VALUES ($1, $2, $3, $4) "
	 "ON CONFLICT (user_id) DO NOTHING",
	 UUIDOID, UUIDOID, TEXTOID, TIMESTAMPTZOID);
PLAN(member_set_role, "UPDATE rental.vendor_members SET role = $3 WHERE vendor_id = $1 AND user_id = $2", UUIDOID,
	 UUIDOID, TEXTOID);
PLAN(member_delete, "DELETE FROM rental.vendor_members WHERE vendor_id = $1 AND user_id = $2", UUIDOID, UUIDOID);
PLAN(account_lock, "SELECT id, role FROM rental.users WHERE (id = $1 OR email = $2) AND is_active FOR NO KEY UPDATE",
	 UUIDOID, TEXTOID);
PLAN(account_set_role, "UPDATE rental.users SET role = $2 WHERE id = $1 AND role <> $2", UUIDOID, TEXTOID);

static PagePlans vendor_pages = {
	.forward =
		PLAN_INIT("SELECT v, v.id FROM rental.vendor_view v WHERE v.id > $1 AND v.is_active ORDER BY v.id LIMIT $2",
				  UUIDOID, INT4OID),
	.backward = PLAN_INIT(
		"SELECT v, v.id FROM rental.vendor_view v WHERE v.id < $1 AND v.is_active ORDER BY v.id DESC LIMIT $2", UUIDOID,
		INT4OID),
	.count = PLAN_INIT("SELECT count(*) FROM rental.vendors WHERE is_active", ),
};
static PagePlans member_pages = {
	.forward = PLAN_INIT("SELECT v, v.user_id FROM rental.member_view v WHERE v.user_id > $1 AND v.vendor_id = $3 "
						 "ORDER BY v.user_id LIMIT $2",
						 UUIDOID, INT4OID, UUIDOID),
	.backward = PLAN_INIT("SELECT v, v.user_id FROM rental.member_view v WHERE v.user_id < $1 AND v.vendor_id = $3 "
						  "ORDER BY v.user_id DESC LIMIT $2",
						  UUIDOID, INT4OID, UUIDOID),
	.count = PLAN_INIT("SELECT count(*) FROM rental.vendor_members WHERE vendor_id = $1", UUIDOID),
};

/* What everybody sees */

PG_FUNCTION_INFO_V1(vendor_list);
Datum
vendor_list(PG_FUNCTION_ARGS)
{
	return page_return(fcinfo, &vendor_pages, NULL, 0, PG_GETARG_INT32(0), FCARG(1), FCARG(2));
}

PG_FUNCTION_INFO_V1(vendor_get);
Datum
vendor_get(PG_FUNCTION_ARGS)
{
	NullableDatum vendor;

	plan_open();
	if (plan_read(&vendor_row, FCARG(0)) == 0 ||
		(!DatumGetBool(plan_datum(0, 2)) && !actor_serves(actor_current(), PG_GETARG_UUID_P(0))))
		rental_raise(not_found, errmsg("no such vendor"));
	vendor = plan_keep(0, 1);
	plan_close();
	return plan_return(fcinfo, vendor);
}

/* Settings */

extern Datum opening_hours_check(PG_FUNCTION_ARGS);

static NullableDatum
settings_answer(const pg_uuid_t *vendor_id, MemberRole role)
{
	if (plan_run(&settings_row, VALUE(UUIDPGetDatum(vendor_id)), VALUE(BoolGetDatum(role == MEMBER_OWNER))) == 0)
		rental_raise(not_found, errmsg("no such vendor"));
	return plan_keep(0, 1);
}

PG_FUNCTION_INFO_V1(vendor_settings);
Datum
vendor_settings(PG_FUNCTION_ARGS)
{
	const pg_uuid_t *vendor_id = PG_GETARG_UUID_P(0);
	NullableDatum	 settings;

	actor_require_member(vendor_id);
	plan_open();
	settings = settings_answer(vendor_id, actor_member_role(vendor_id));
	plan_close();
	return plan_return(fcinfo, settings);
}

/* The arguments of vendor_update, in the order of sql/install/22_vendor.sql */
enum
{
	ARG_VENDOR_ID,
	ARG_NAME,
	ARG_SLUG,
	ARG_CURRENCY,
	ARG_TIME_ZONE,
	ARG_TAX_NUMBER,
	ARG_DEFAULT_TAX,
	ARG_COMMISSION,
	ARG_OPENING_HOURS,
	ARG_MINIMUM_NOTICE,
	ARG_HOLD_TIME,
	ARG_BUFFER_BEFORE,
	ARG_BUFFER_AFTER,
	ARG_TERMS,
	ARG_PAYOUT_DETAILS,
	ARG_IS_ACTIVE,
	ARG_GIVEN
};

static const PatchField setting_fields[] = {
	{"name", ARG_NAME, false},
	{"slug", ARG_SLUG, false},
	{"currency", ARG_CURRENCY, false},
	{"time_zone", ARG_TIME_ZONE, false},
	{"tax_number", ARG_TAX_NUMBER, true},
	{"default_tax", ARG_DEFAULT_TAX, false},
	{"commission", ARG_COMMISSION, false},
	{"opening_hours", ARG_OPENING_HOURS, true},
	{"minimum_notice", ARG_MINIMUM_NOTICE, false},
	{"hold_time", ARG_HOLD_TIME, false},
	{"buffer_before", ARG_BUFFER_BEFORE, false},
	{"buffer_after", ARG_BUFFER_AFTER, false},
	{"terms", ARG_TERMS, false},
	{"payout_details", ARG_PAYOUT_DETAILS, true},
	{"is_active", ARG_IS_ACTIVE, false},
};

/* text_given is a text argument without surrounding white space; what may not be empty is refused if it is. */
static NullableDatum
text_given(NullableDatum value, const char *field, int most, bool may_be_empty)
{
	char *text;

	if (value.isnull)
		return value;
	text = may_be_empty ? request_text(value, field, most) : request_required_text(value, field, most);
	return VALUE(CStringGetTextDatum(text));
}

static void
span_check(NullableDatum value, const char *field, int64 least)
{
	Interval *span;

	if (value.isnull)
		return;
	span = DatumGetIntervalP(value.value);
	if (span->month != 0 || span->day < 0 || span->day > DAYS_OF_NOTICE || span->time < 0 ||
		span->day * USECS_PER_DAY + span->time < least)
		rental_raise(invalid_value, errmsg("%s must be a time of up to a year, in days or less", field),
					 errfield(field));
}

static void
currency_check(NullableDatum value)
{
	char *currency;

	if (value.isnull)
		return;
	currency = TextDatumGetCString(value.value);
	if (strlen(currency) != 3 || strspn(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 3)
		rental_raise(invalid_value, errmsg("currency must be a code of ISO 4217, such as EUR"), errfield("currency"));
}

static void
slug_check(NullableDatum value)
{
	char *slug;

	if (value.isnull)
		return;
	slug = TextDatumGetCString(value.value);
	if (strcmp(slug, slug_from(slug)) != 0)
		rental_raise(invalid_value, errmsg("a slug has up to 60 lower-case letters and digits, joined by hyphens"),
					 errfield("slug"));
}

/* settings_check refuses values that no vendor can have. */
static void
settings_check(FunctionCallInfo fcinfo)
{
	slug_check(FCARG(ARG_SLUG));
	currency_check(FCARG(ARG_CURRENCY));
	if (!PG_ARGISNULL(ARG_TIME_ZONE))
		period_zone(TextDatumGetCString(PG_GETARG_DATUM(ARG_TIME_ZONE)));
	request_percent(FCARG(ARG_DEFAULT_TAX), "default_tax", 0, 100);
	request_percent(FCARG(ARG_COMMISSION), "commission", 0, 100);
	if (!PG_ARGISNULL(ARG_OPENING_HOURS))
		DirectFunctionCall1(opening_hours_check, PG_GETARG_DATUM(ARG_OPENING_HOURS));
	span_check(FCARG(ARG_MINIMUM_NOTICE), "minimum_notice", 0);
	span_check(FCARG(ARG_HOLD_TIME), "hold_time", USECS_PER_MINUTE);
	span_check(FCARG(ARG_BUFFER_BEFORE), "buffer_before", 0);
	span_check(FCARG(ARG_BUFFER_AFTER), "buffer_after", 0);
}

/* settings_require_right refuses what the caller's role does not reach. */
static void
settings_require_right(Datum fields, MemberRole role)
{
	static const char *const for_admins[] = {"commission", "is_active"};
	int						 i;

	for (i = 0; i < lengthof(for_admins); i++)
		if (patch_gives(fields, for_admins[i]) && !actor_is_staff(actor_current()))
			rental_raise(forbidden, errmsg("only an administrator sets %s", for_admins[i]), errfield(for_admins[i]));
	if (patch_gives(fields, "payout_details") && role < MEMBER_OWNER)
		rental_raise(forbidden, errmsg("only an owner sets payout_details"), errfield("payout_details"));
}

PG_FUNCTION_INFO_V1(vendor_update);
Datum
vendor_update(PG_FUNCTION_ARGS)
{
	const pg_uuid_t *vendor_id;
	MemberRole		 role;
	Datum			 fields;
	NullableDatum	 name = text_given(FCARG(ARG_NAME), "name", 200, false);
	NullableDatum	 tax_number = text_given(FCARG(ARG_TAX_NUMBER), "tax_number", 40, false);
	NullableDatum	 terms = text_given(FCARG(ARG_TERMS), "terms", 50000, true);
	NullableDatum	 payout = text_given(FCARG(ARG_PAYOUT_DETAILS), "payout_details", 1000, false);
	NullableDatum	 settings;

	request_required(FCARG(ARG_VENDOR_ID), "vendor_id");
	vendor_id = PG_GETARG_UUID_P(ARG_VENDOR_ID);
	actor_require_manager(vendor_id);
	role = actor_member_role(vendor_id);
	fields = patch_fields(fcinfo, setting_fields, lengthof(setting_fields), ARG_GIVEN);
	settings_require_right(fields, role);
	settings_check(fcinfo);

	plan_open();
	if (!PG_ARGISNULL(ARG_SLUG) && plan_run(&slug_taken, FCARG(ARG_VENDOR_ID), FCARG(ARG_SLUG)) > 0)
		rental_raise(already_exists, errmsg("another vendor has this slug"), errfield("slug"));
	/* the foreign key of orders decides; this says it in words */
	if (!PG_ARGISNULL(ARG_CURRENCY) && plan_run(&currency_is_fixed, FCARG(ARG_VENDOR_ID), FCARG(ARG_CURRENCY)) > 0)
		rental_raise(conflict, errmsg("there are orders in the present currency"), errfield("currency"));
	plan_run(&vendor_change, FCARG(ARG_VENDOR_ID), VALUE(fields), name, FCARG(ARG_SLUG), FCARG(ARG_CURRENCY),
			 FCARG(ARG_TIME_ZONE), tax_number, FCARG(ARG_DEFAULT_TAX), FCARG(ARG_COMMISSION), FCARG(ARG_OPENING_HOURS),
			 FCARG(ARG_MINIMUM_NOTICE), FCARG(ARG_HOLD_TIME), FCARG(ARG_BUFFER_BEFORE), FCARG(ARG_BUFFER_AFTER), terms,
			 payout, FCARG(ARG_IS_ACTIVE));
	settings = settings_answer(vendor_id, role);
	plan_close();
	return plan_return(fcinfo, settings);
}

/* vendor_guard: before UPDATE of terms on vendors, counts their versions, whoever changes them. */
PG_FUNCTION_INFO_V1(vendor_guard);
Datum
vendor_guard(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc	 desc;
	int			 terms;
	int			 column;
	Datum		 version;
	bool		 isnull;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ||
		!TRIGGER_FIRED_BEFORE(trigger->tg_event) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("vendor_guard must be fired before each row is updated")));
	desc = RelationGetDescr(trigger->tg_relation);
	terms = SPI_fnumber(desc, "terms");
	column = SPI_fnumber(desc, "terms_version");
	version = heap_getattr(trigger->tg_trigtuple, column, desc, &isnull);
	if (strcmp(SPI_getvalue(trigger->tg_trigtuple, desc, terms), SPI_getvalue(trigger->tg_newtuple, desc, terms)) != 0)
		version = Int32GetDatum(DatumGetInt32(version) + 1);
	return PointerGetDatum(
		heap_modify_tuple_by_cols(trigger->tg_newtuple, desc, 1, &column, &version, (bool[]){false}));
}

/* Opening hours */

/* A stretch of a weekday, in minutes from midnight */
typedef struct Stretch
{
	int weekday;
	int open;
	int close;
} Stretch;

static int
weekday_read(const RequestObject *object)
{
	static const char *const names[] = {"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"};
	char					*name = request_string(object, "weekday", true, 20);
	int						 i;

	for (i = 0; i < lengthof(names); i++)
		if (strcmp(names[i], name) == 0)
			return i;
	rental_raise(invalid_value, errmsg("weekday must be monday, tuesday, and so on"),
				 errfield(request_path(object, "weekday")));
}

/* minutes_read reads HH:MM, up to 24:00. */
static int
minutes_read(const RequestObject *object, const char *field)
{
	char *text = request_string(object, field, true, 20);
	int	  minutes = -1;

	if (strlen(text) == 5 && strspn(text, "0123456789") == 2 && text[2] == ':' && strspn(text + 3, "0123456789") == 2 &&
		text[3] < '6')
		minutes = ((text[0] - '0') * 10 + text[1] - '0') * 60 + (text[3] - '0') * 10 + text[4] - '0';
	if (minutes < 0 || minutes > MINUTES_A_DAY)
		rental_raise(invalid_value, errmsg("%s must be a time of day such as 09:30", field),
					 errfield(request_path(object, field)));
	return minutes;
}

/* opening_hours_check(hours jsonb) -> boolean */
PG_FUNCTION_INFO_V1(opening_hours_check);
Datum
opening_hours_check(PG_FUNCTION_ARGS)
{
	static const char *const fields[] = {"weekday", "open", "close", NULL};
	RequestList				 list = request_list("opening_hours", PG_GETARG_JSONB_P(0), HOURS_MOST);
	Stretch					*stretches = palloc(list.count * sizeof(Stretch));
	int						 i;
	int						 j;

	for (i = 0; i < list.count; i++)
	{
		RequestObject object = request_object(&list, i, fields);
		Stretch		 *now = &stretches[i];

		now->weekday = weekday_read(&object);
		now->open = minutes_read(&object, "open");
		now->close = minutes_read(&object, "close");
		if (now->close <= now->open)
			rental_raise(invalid_value, errmsg("close must be later than open, on the same day"),
						 errfield(request_path(&object, "close")));
		for (j = 0; j < i; j++)
			if (stretches[j].weekday == now->weekday && stretches[j].open < now->close &&
				now->open < stretches[j].close)
				rental_raise(invalid_value, errmsg("it overlaps with other hours of that day"),
							 errfield(request_path(&object, "open")));
	}
	PG_RETURN_BOOL(true);
}

/* Teams */

/* team_lock locks the vendor's owners, in the order of their ids; the caller's role is to be asked afterwards. */
static uint64
team_lock(NullableDatum vendor_id)
{
	return plan_run(&owners_lock, vendor_id);
}

/* require_reach refuses to deal with a member of a role that is not below the caller's own. */
static void
require_reach(MemberRole own, MemberRole other)
{
	if (own == MEMBER_OWNER || (own == MEMBER_MANAGER && other == MEMBER_STAFF))
		return;
	rental_raise(forbidden, errmsg(own == MEMBER_MANAGER ? "managers manage staff only"
														 : "only owners and managers manage a team"));
}

/* role_arg reads the name of a role, and puts it into the argument as it is stored. */
static MemberRole
role_arg(NullableDatum *value)
{
	char	  *name = request_required_text(*value, "role", 20);
	MemberRole role = member_role_by_name(name);

	if (role == MEMBER_NONE)
		rental_raise(invalid_value, errmsg("role must be owner, manager or staff"), errfield("role"));
	*value = VALUE(CStringGetTextDatum(name));
	return role;
}

static NullableDatum
member_answer(NullableDatum vendor_id, NullableDatum user_id)
{
	plan_run(&member_row, vendor_id, user_id);
	return plan_keep(0, 1);
}

/* member_list(vendor_id uuid, page_size, cursor, count) */
PG_FUNCTION_INFO_V1(member_list);
Datum
member_list(PG_FUNCTION_ARGS)
{
	request_required(FCARG(0), "vendor_id");
	actor_require_member(PG_GETARG_UUID_P(0));
	plan_open();
	if (plan_read(&vendor_row, FCARG(0)) == 0)
		rental_raise(not_found, errmsg("no such vendor"));
	plan_close();
	return page_return(fcinfo, &member_pages, &FCARG(0), 1, PG_GETARG_INT32(1), FCARG(2), FCARG(3));
}

/* account_find locks the account that is to join a team, named by address or id. */
static NullableDatum
account_find(NullableDatum email, NullableDatum user_id)
{
	const char	 *field = user_id.isnull ? "email" : "user_id";
	NullableDatum id;

	if (user_id.isnull == email.isnull)
		rental_raise(missing_field, errmsg("either email or user_id is required"), errfield("email"));
	if (!email.isnull)
		email = VALUE(CStringGetTextDatum(identity_email(email)));
	if (plan_run(&account_lock, user_id, email) == 0)
		rental_raise(not_found, errmsg("no such account"), errfield(field));
	if (strcmp(plan_text(0, 2), "admin") == 0)
		rental_raise(conflict, errmsg("an administrator belongs to no team"), errfield(field));
	id = VALUE(uuid_copy_datum(DatumGetUUIDP(plan_datum(0, 1))));
	return id;
}

/* member_add(vendor_id uuid, role text, email text, user_id uuid) */
PG_FUNCTION_INFO_V1(member_add);
Datum
member_add(PG_FUNCTION_ARGS)
{
	MemberRole	  role = role_arg(&FCARG(1));
	NullableDatum user_id;
	NullableDatum row;

	request_required(FCARG(0), "vendor_id");
	actor_require_member(PG_GETARG_UUID_P(0));
	require_reach(actor_member_role(PG_GETARG_UUID_P(0)), role);
	plan_open();
	if (plan_run(&vendor_row, FCARG(0)) == 0)
		rental_raise(not_found, errmsg("no such vendor"));
	team_lock(FCARG(0));
	require_reach(actor_member_role(PG_GETARG_UUID_P(0)), role);
	user_id = account_find(FCARG(2), FCARG(3));
	if (plan_run(&member_insert, FCARG(0), user_id, FCARG(1), VALUE(TimestampTzGetDatum(rental_now()))) == 0)
		rental_raise(already_exists, errmsg("this account belongs to a team already"),
					 errfield(PG_ARGISNULL(3) ? "email" : "user_id"));
	plan_run(&account_set_role, user_id, VALUE(CStringGetTextDatum("vendor")));
	row = member_answer(FCARG(0), user_id);
	plan_close();
	return plan_return(fcinfo, row);
}

/* member_find locks a member that the caller deals with, and the owners before; it says how many of them there are. */
static MemberRole
member_find(NullableDatum vendor_id, NullableDatum user_id, uint64 *owners)
{
	request_required(vendor_id, "vendor_id");
	request_required(user_id, "user_id");
	actor_require_member(DatumGetUUIDP(vendor_id.value));
	*owners = team_lock(vendor_id);
	actor_require_member(DatumGetUUIDP(vendor_id.value));
	if (plan_run(&member_lock, vendor_id, user_id) == 0)
		rental_raise(not_found, errmsg("no such member"));
	return member_role_by_name(plan_text(0, 1));
}

/* member_update(vendor_id uuid, user_id uuid, role text) */
PG_FUNCTION_INFO_V1(member_update);
Datum
member_update(PG_FUNCTION_ARGS)
{
	MemberRole	  wanted = role_arg(&FCARG(2));
	MemberRole	  present;
	MemberRole	  own;
	uint64		  owners;
	NullableDatum row;

	plan_open();
	present = member_find(FCARG(0), FCARG(1), &owners);
	own = actor_member_role(PG_GETARG_UUID_P(0));
	require_reach(own, present);
	require_reach(own, wanted);
	if (present == MEMBER_OWNER && wanted != MEMBER_OWNER && owners == 1)
		rental_raise(conflict, errmsg("a team keeps its last owner"), errfield("role"));
	plan_run(&member_set_role, FCARG(0), FCARG(1), FCARG(2));
	row = member_answer(FCARG(0), FCARG(1));
	plan_close();
	return plan_return(fcinfo, row);
}

/* member_remove(vendor_id uuid, user_id uuid) */
PG_FUNCTION_INFO_V1(member_remove);
Datum
member_remove(PG_FUNCTION_ARGS)
{
	const Actor *who = actor_current();
	MemberRole	 present;
	uint64		 owners;

	plan_open();
	present = member_find(FCARG(0), FCARG(1), &owners);
	if (!actor_has_user(who) || !uuid_equal(&who->user_id, PG_GETARG_UUID_P(1)))
		require_reach(actor_member_role(PG_GETARG_UUID_P(0)), present);
	if (present == MEMBER_OWNER && owners == 1)
		rental_raise(conflict, errmsg("a team keeps its last owner"));
	plan_run(&member_delete, FCARG(0), FCARG(1));
	api_keys_end(PG_GETARG_UUID_P(1));
	plan_run(&account_set_role, FCARG(1), VALUE(CStringGetTextDatum("customer")));
	plan_close();
	PG_RETURN_VOID();
}

/*
 * member_guard: at the end of a transaction that took owners from a team, by
 * raw SQL too, refuses to leave members without one.
 */
PG_FUNCTION_INFO_V1(member_guard);
Datum
member_guard(PG_FUNCTION_ARGS)
{
	TriggerData	 *trigger = (TriggerData *) fcinfo->context;
	PlanRights	  rights;
	TupleDesc	  desc;
	NullableDatum vendor_id;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event) ||
		!TRIGGER_FIRED_AFTER(trigger->tg_event))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("member_guard must be fired after each row")));
	desc = RelationGetDescr(trigger->tg_relation);
	vendor_id.value = heap_getattr(trigger->tg_trigtuple, SPI_fnumber(desc, "vendor_id"), desc, &vendor_id.isnull);
	rights = plan_open_trusted();
	if (team_lock(vendor_id) == 0 && plan_run(&members_left, vendor_id) > 0)
		rental_raise(conflict, errmsg("a team keeps its last owner"));
	plan_close_trusted(rights);
	return PointerGetDatum(NULL);
}
