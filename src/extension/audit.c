/*
 * audit.c
 *	  The audit trail: who did what to which row, when, from which request.
 *
 * A trigger writes it beside each change, without the executor, so that it is
 * there if and only if the change is. It is append-only for everybody, its
 * owner included: only this file's C code gets past the guard, to erase a
 * deleted account's person and to purge by age, and it does so under a flag in
 * this backend's memory that no setting and no SQL reaches.
 *
 * Secrets never enter: what secret_words names, and every bytea, is recorded
 * as changed, without its value.
 */
#include "audit.h"

#include "actor.h"
#include "catalog/namespace.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "errors.h"
#include "miscadmin.h"
#include "period.h"
#include "plan.h"
#include "request.h"
#include "response.h"
#include "store.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"

/* past its own guard, whoever the SQL user is */
STORE_BARE(trail, "audit", "id", "at", "actor_id", "actor_role", "vendor_id", "session_id", "request_id",
		   "client_address", "sql_user", "table_name", "action", "row_id", "key", "old", "new");

/* Its columns */
enum
{
	AUDIT_ID,
	AUDIT_AT,
	AUDIT_ACTOR,
	AUDIT_ROLE,
	AUDIT_VENDOR,
	AUDIT_SESSION,
	AUDIT_REQUEST,
	AUDIT_ADDRESS,
	AUDIT_SQL_USER,
	AUDIT_TABLE,
	AUDIT_ACTION,
	AUDIT_ROW,
	AUDIT_KEY,
	AUDIT_OLD,
	AUDIT_NEW,
	AUDIT_COLUMNS
};

/* A column whose name has one of these in it is a secret, in every table. */
static const char *const secret_words[] = {"password", "hash", "secret", "token", "payout", "iban", "card"};

/*
 * Of a deleted account's rows these columns stay, and all others are blanked:
 * so a column that is added later is forgotten unless it is named here.
 */
#define IMPERSONAL "'{id,user_id,vendor_id,role,is_active,password_hash,created_at,updated_at,deleted_at}'"
#define BLANKED(column)                                                                                                \
	"(SELECT jsonb_object_agg(e.key, CASE WHEN e.value = 'null' OR e.key = ANY (" IMPERSONAL "::text[]) THEN e.value " \
	"ELSE '\"erased\"' END) FROM jsonb_each(a." column ") e)"

PLAN(forget_rows,
	 "UPDATE rental.audit a SET old = " BLANKED("old") ", new = " BLANKED(
		 "new") " WHERE a.row_id = $1 AND a.table_name IN ('users', 'profiles')",
	 UUIDOID);
/* and of their orders, where to and what they wrote */
PLAN(forget_orders,
	 "UPDATE rental.audit a SET old = a.old - '{note,delivery}'::text[], new = a.new - '{note,delivery}'::text[] "
	 "FROM rental.orders o WHERE o.customer_id = $1 AND a.row_id = o.id AND a.table_name = 'orders'",
	 UUIDOID);
PLAN(forget_addresses,
	 "UPDATE rental.audit a SET client_address = NULL WHERE a.actor_id = $1 AND a.client_address IS NOT NULL", UUIDOID);
PLAN(purge_rows, "DELETE FROM rental.audit WHERE at < $1", TIMESTAMPTZOID);

/*
 * The filters are table_name, row_id, actor_id, vendor, request_id, from, to.
 * Those with an index lead a list of their own, since a plan for "null or
 * equal" cannot use it.
 */
#define AUDIT_FILTERS(a, b, c, d, e, f, g)                                                                     \
	"($" a "::text IS NULL OR v.table_name = $" a ") AND ($" b "::uuid IS NULL OR v.row_id = $" b ") AND ($" c \
	"::uuid IS NULL OR v.actor_id = $" c ") AND ($" d "::uuid IS NULL OR v.vendor_id = $" d ") AND ($" e       \
	"::text IS NULL OR v.request_id = $" e ") AND ($" f "::timestamptz IS NULL OR v.at >= $" f ") AND ($" g    \
	"::timestamptz IS NULL OR v.at < $" g ")"
#define FILTER_TYPES TEXTOID, UUIDOID, UUIDOID, UUIDOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID
#define AUDIT_PAGES(led_by, led_by_count)                                                                              \
	{                                                                                                                  \
		.forward = PLAN_INIT("SELECT v, v.id FROM rental.audit_view v WHERE v.id < $1 AND " led_by AUDIT_FILTERS(      \
								 "3", "4", "5", "6", "7", "8", "9") " ORDER BY v.id DESC LIMIT $2",                    \
							 UUIDOID, INT4OID, FILTER_TYPES),                                                          \
		.backward = PLAN_INIT("SELECT v, v.id FROM rental.audit_view v WHERE v.id > $1 AND " led_by AUDIT_FILTERS(     \
								  "3", "4", "5", "6", "7", "8", "9") " ORDER BY v.id LIMIT $2",                        \
							  UUIDOID, INT4OID, FILTER_TYPES),                                                         \
		.count = PLAN_INIT("SELECT count(*) FROM rental.audit v WHERE " led_by_count AUDIT_FILTERS("1", "2", "3", "4", \
																								   "5", "6", "7"),     \
						   FILTER_TYPES),                                                                              \
		.newest_first = true,                                                                                          \
	}

static PagePlans pages_of_all = AUDIT_PAGES("", "");
static PagePlans pages_of_row = AUDIT_PAGES("v.row_id = $4 AND ", "v.row_id = $2 AND ");
static PagePlans pages_of_actor = AUDIT_PAGES("v.actor_id = $5 AND ", "v.actor_id = $3 AND ");
static PagePlans pages_of_request = AUDIT_PAGES("v.request_id = $7 AND ", "v.request_id = $5 AND ");

/* true while this file changes the trail */
static bool unlocked;

static const char *
role_name(ActorRole role)
{
	switch (role)
	{
		case ACTOR_CUSTOMER:
			return "customer";
		case ACTOR_VENDOR:
			return "vendor";
		case ACTOR_ADMIN:
			return "admin";
		case ACTOR_SYSTEM:
			return "system";
		default:
			return "anonymous";
	}
}

/*
 * audit_is_restoring tells whether a superuser's session has the settings that every
 * script of pg_dump and pg_restore begins with. The rows that come back then
 * have their record in the trail that comes back with them. Requests cannot
 * be in such a session, nor can members of rental_admin.
 */
bool
audit_is_restoring(void)
{
	return !row_security && !check_function_bodies && superuser_arg(GetSessionUserId()) &&
		   actor_current()->role == ACTOR_SYSTEM;
}

static bool
is_secret(Form_pg_attribute attribute)
{
	int i;

	if (attribute->atttypid == BYTEAOID)
		return true;
	for (i = 0; i < lengthof(secret_words); i++)
		if (strstr(NameStr(attribute->attname), secret_words[i]) != NULL)
			return true;
	return false;
}

/* is_left_out: the time of the last change says nothing, nor do the columns that the trigger's arguments name. */
static bool
is_left_out(const Trigger *trigger, const char *column)
{
	int i;

	if (strcmp(column, "updated_at") == 0)
		return true;
	for (i = 0; i < trigger->tgnargs; i++)
		if (strcmp(trigger->tgargs[i], column) == 0)
			return true;
	return false;
}

static void
add_member(JsonbParseState **object, Form_pg_attribute attribute, Datum value, bool isnull)
{
	if (is_secret(attribute) && !isnull)
		jsonb_add(object, NameStr(attribute->attname), PointerGetDatum(cstring_to_text("hidden")), false, TEXTOID);
	else
		jsonb_add(object, NameStr(attribute->attname), value, isnull, attribute->atttypid);
}

static bool
same_value(Form_pg_attribute attribute, Datum a, bool a_null, Datum b, bool b_null)
{
	if (a_null || b_null)
		return a_null && b_null;
	return datum_image_eq(a, b, attribute->attbyval, attribute->attlen);
}

static void
record_nothing(NullableDatum *record)
{
	int i;

	for (i = 0; i < AUDIT_COLUMNS; i++)
		record[i] = NULLVALUE;
}

/*
 * record_values writes a row's values, or of two states of a row what differs.
 * It returns false if nothing does.
 */
static bool
record_values(const TriggerData *data, HeapTuple was, HeapTuple is, NullableDatum *record)
{
	TupleDesc		 desc = RelationGetDescr(data->tg_relation);
	Datum			*old_values = palloc(desc->natts * sizeof(Datum));
	Datum			*new_values = palloc(desc->natts * sizeof(Datum));
	bool			*old_nulls = palloc(desc->natts * sizeof(bool));
	bool			*new_nulls = palloc(desc->natts * sizeof(bool));
	JsonbParseState *old_object = NULL;
	JsonbParseState *new_object = NULL;
	int				 i;

	if (was != NULL)
		heap_deform_tuple(was, desc, old_values, old_nulls);
	if (is != NULL)
		heap_deform_tuple(is, desc, new_values, new_nulls);
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (attribute->attisdropped || is_left_out(data->tg_trigger, NameStr(attribute->attname)))
			continue;
		if (was != NULL && is != NULL &&
			same_value(attribute, old_values[i], old_nulls[i], new_values[i], new_nulls[i]))
			continue;
		if (was != NULL)
			add_member(&old_object, attribute, old_values[i], old_nulls[i]);
		if (is != NULL)
			add_member(&new_object, attribute, new_values[i], new_nulls[i]);
	}
	if (old_object == NULL && new_object == NULL)
		return false;
	if (old_object != NULL)
		record[AUDIT_OLD] = VALUE(jsonb_finish(&old_object));
	if (new_object != NULL)
		record[AUDIT_NEW] = VALUE(jsonb_finish(&new_object));
	return true;
}

/*
 * record_key tells which row it is. row_id is the column id, or else the
 * key's first uuid that is not the vendor; vendor_id the column of that name,
 * or the row itself if it is a vendor. The whole primary key is written only
 * where those two are not all of it, which is seldom.
 */
static void
record_key(const TriggerData *data, HeapTuple row, NullableDatum *record)
{
	Relation   table = data->tg_relation;
	TupleDesc  desc = RelationGetDescr(table);
	Bitmapset *key = RelationGetIndexAttrBitmap(table, INDEX_ATTR_BITMAP_PRIMARY_KEY);
	bool	   is_vendor = strcmp(RelationGetRelationName(table), "vendors") == 0;
	bool	   is_told = true;
	int		   i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		const char		 *name = NameStr(attribute->attname);
		bool			  in_key = bms_is_member(attribute->attnum - FirstLowInvalidHeapAttributeNumber, key);
		bool			  is_uuid = attribute->atttypid == UUIDOID;
		bool			  is_id = is_uuid && strcmp(name, "id") == 0;
		bool			  is_vendor_id = is_uuid && strcmp(name, "vendor_id") == 0;
		Datum			  value;
		bool			  isnull;

		if (attribute->attisdropped || !(in_key || is_id || is_vendor_id))
			continue;
		value = heap_getattr(row, attribute->attnum, desc, &isnull);
		if (isnull)
			continue;
		if (is_vendor_id || (is_id && is_vendor))
			record[AUDIT_VENDOR] = VALUE(value);
		if (is_id || (in_key && is_uuid && !is_vendor_id && record[AUDIT_ROW].isnull))
			record[AUDIT_ROW] = VALUE(value);
		else if (in_key && !is_vendor_id)
			is_told = false;
	}
	if (!is_told)
	{
		JsonbParseState *object = NULL;

		for (i = -1; (i = bms_next_member(key, i)) >= 0;)
		{
			AttrNumber number = i + FirstLowInvalidHeapAttributeNumber;
			bool	   isnull;
			Datum	   value = heap_getattr(row, number, desc, &isnull);

			add_member(&object, TupleDescAttr(desc, number - 1), value, isnull);
		}
		record[AUDIT_KEY] = VALUE(jsonb_finish(&object));
	}
	bms_free(key);
}

static void
record_actor(NullableDatum *record)
{
	const Actor *who = actor_current();

	record[AUDIT_ID] = VALUE(uuid7_datum());
	record[AUDIT_AT] = VALUE(TimestampTzGetDatum(GetCurrentTimestamp()));
	record[AUDIT_ROLE] = VALUE(CStringGetTextDatum(role_name(who->role)));
	if (actor_has_user(who))
		record[AUDIT_ACTOR] = VALUE(UUIDPGetDatum(&who->user_id));
	if (who->has_session)
		record[AUDIT_SESSION] = VALUE(UUIDPGetDatum(&who->session_id));
	if (who->request_id != NULL)
		record[AUDIT_REQUEST] = VALUE(CStringGetTextDatum(who->request_id));
	if (who->client_address != NULL)
		record[AUDIT_ADDRESS] = VALUE(CStringGetTextDatum(who->client_address));
	if (who->request_id == NULL && who->client_address == NULL)
		record[AUDIT_SQL_USER] = VALUE(CStringGetTextDatum(GetUserNameFromId(GetSessionUserId(), false)));
}

static char *
table_name(Relation table)
{
	char *schema = get_namespace_name(RelationGetNamespace(table));

	if (strcmp(schema, "rental") == 0)
		return RelationGetRelationName(table);
	return quote_qualified_identifier(schema, RelationGetRelationName(table));
}

/*
 * audit_record(column...): an AFTER ROW trigger that records the change; its
 * arguments are columns to leave out.
 */
PG_FUNCTION_INFO_V1(audit_record);
Datum
audit_record(PG_FUNCTION_ARGS)
{
	TriggerData	 *data = (TriggerData *) fcinfo->context;
	NullableDatum record[AUDIT_COLUMNS];
	HeapTuple	  was;
	HeapTuple	  is;
	const char	 *action;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(data->tg_event) || !TRIGGER_FIRED_FOR_ROW(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED), errmsg("audit_record is an AFTER ROW trigger")));

	record_nothing(record);
	if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
	{
		if (creating_extension || audit_is_restoring())
			return PointerGetDatum(NULL);
		action = "insert";
		was = NULL;
		is = data->tg_trigtuple;
	}
	else if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
	{
		action = "update";
		was = data->tg_trigtuple;
		is = data->tg_newtuple;
	}
	else
	{
		action = "delete";
		was = data->tg_trigtuple;
		is = NULL;
	}

	if (!record_values(data, was, is, record))
		return PointerGetDatum(NULL);
	/* of a key that changed the trail names the one by which the row was known */
	record_key(data, was != NULL ? was : is, record);
	record_actor(record);
	record[AUDIT_TABLE] = VALUE(CStringGetTextDatum(table_name(data->tg_relation)));
	record[AUDIT_ACTION] = VALUE(CStringGetTextDatum(action));
	store_rows(&trail, record, AUDIT_COLUMNS, 1);
	return PointerGetDatum(NULL);
}

/* audit_guard: a BEFORE trigger on the trail itself, which grows and does nothing else. */
PG_FUNCTION_INFO_V1(audit_guard);
Datum
audit_guard(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(data->tg_event))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED), errmsg("audit_guard is a BEFORE trigger")));
	if (TRIGGER_FIRED_BY_INSERT(data->tg_event) ? !audit_is_restoring()
												: (!unlocked || TRIGGER_FIRED_BY_TRUNCATE(data->tg_event)))
		rental_raise(forbidden, errmsg("the audit trail is append-only"),
					 errhint("Triggers write it. Only rental.audit_purge(before) shortens it."));
	if (TRIGGER_FIRED_BY_TRUNCATE(data->tg_event))
		return PointerGetDatum(NULL);
	return PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_newtuple : data->tg_trigtuple);
}

/* change_trail runs a plan that the guard lets through. */
static uint64
change_trail(PreparedPlan *plan, Datum argument)
{
	uint64 changed = 0;

	unlocked = true;
	PG_TRY();
	{
		changed = plan_run(plan, VALUE(argument));
	}
	PG_FINALLY();
	{
		unlocked = false;
	}
	PG_END_TRY();
	return changed;
}

/* append_note records what was done to the trail itself. */
static void
append_note(const char *table, const char *action, const pg_uuid_t *row_id, const char *json)
{
	NullableDatum record[AUDIT_COLUMNS];

	record_nothing(record);
	record_actor(record);
	record[AUDIT_TABLE] = VALUE(CStringGetTextDatum(table));
	record[AUDIT_ACTION] = VALUE(CStringGetTextDatum(action));
	if (row_id != NULL)
	{
		record[AUDIT_ROW] = VALUE(UUIDPGetDatum(row_id));
		record[AUDIT_ADDRESS] = NULLVALUE; /* who erases their own account leaves no address either */
	}
	record[AUDIT_NEW] = VALUE(DirectFunctionCall1(jsonb_in, CStringGetDatum(json)));
	store_rows(&trail, record, AUDIT_COLUMNS, 1);
}

uint64
audit_forget_user(const pg_uuid_t *user_id)
{
	PlanRights rights = plan_open_trusted();
	uint64	   rows = change_trail(&forget_rows, UUIDPGetDatum(user_id));

	rows += change_trail(&forget_orders, UUIDPGetDatum(user_id));
	rows += change_trail(&forget_addresses, UUIDPGetDatum(user_id));
	append_note("users", "erase", user_id, psprintf("{\"rows\":" UINT64_FORMAT "}", rows));
	plan_close_trusted(rights);
	return rows;
}

static void
require_superuser(void)
{
	if (!superuser_arg(GetOuterUserId()) || actor_current()->role != ACTOR_SYSTEM)
		rental_raise(forbidden, errmsg("only a superuser may change the audit trail"));
}

/* audit_purge(before timestamptz) -> bigint */
PG_FUNCTION_INFO_V1(audit_purge);
Datum
audit_purge(PG_FUNCTION_ARGS)
{
	TimestampTz before = PG_GETARG_TIMESTAMPTZ(0);
	uint64		rows;

	require_superuser();
	if (TIMESTAMP_NOT_FINITE(before))
		rental_raise(invalid_value, errmsg("before must be a finite time"), errfield("before"));
	plan_open();
	rows = change_trail(&purge_rows, TimestampTzGetDatum(before));
	append_note("audit", "purge", NULL,
				psprintf("{\"before\":\"%s\",\"rows\":" UINT64_FORMAT "}", period_time_text(before), rows));
	plan_close();
	PG_RETURN_INT64((int64) rows);
}

/* audit_erase(user_id uuid) -> bigint */
PG_FUNCTION_INFO_V1(audit_erase);
Datum
audit_erase(PG_FUNCTION_ARGS)
{
	require_superuser();
	PG_RETURN_INT64((int64) audit_forget_user(PG_GETARG_UUID_P(0)));
}

/* audit_list(table_name, row_id, actor_id, vendor, request_id, from, to, page_size, cursor, count) */
PG_FUNCTION_INFO_V1(audit_list);
Datum
audit_list(PG_FUNCTION_ARGS)
{
	PagePlans *pages = &pages_of_all;

	actor_require_admin();
	if (!PG_ARGISNULL(1))
		pages = &pages_of_row;
	else if (!PG_ARGISNULL(4))
		pages = &pages_of_request;
	else if (!PG_ARGISNULL(2))
		pages = &pages_of_actor;
	return page_return(fcinfo, pages, &FCARG(0), 7, PG_ARGISNULL(7) ? 20 : PG_GETARG_INT32(7), FCARG(8), FCARG(9));
}
