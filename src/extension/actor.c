/*
 * actor.c
 *	  Who is calling: one place decides.
 *
 * request_begin alone sets the actor of an HTTP request, only the role
 * rental_shim may execute it, and the actor is kept in this backend's memory,
 * where no SQL user can forge it. It ends with its transaction. Without a
 * request a superuser or a member of rental_admin acts as the system, and
 * anybody else is anonymous.
 */
#include "actor.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "errors.h"
#include "miscadmin.h"
#include "plan.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

PLAN(member_role_of, "SELECT role FROM rental.vendor_members WHERE vendor_id = $1 AND user_id = $2", UUIDOID, UUIDOID);

static bool	 in_request;
static Actor actor;

static void
actor_forget(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
		case XACT_EVENT_PREPARE:
			in_request = false;
			break;
		default:
			break;
	}
}

void
actor_init(void)
{
	RegisterXactCallback(actor_forget, NULL);
}

static ActorRole
role_by_name(const char *name)
{
	if (strcmp(name, "customer") == 0)
		return ACTOR_CUSTOMER;
	if (strcmp(name, "vendor") == 0)
		return ACTOR_VENDOR;
	if (strcmp(name, "admin") == 0)
		return ACTOR_ADMIN;
	rental_raise(invalid_token, errmsg("unknown role \"%s\"", name));
}

static pg_uuid_t
caller_uuid(const char *text)
{
	return *DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(text)));
}

/* request_begin(caller text): seven lines, see sql/install/00_base.sql */
PG_FUNCTION_INFO_V1(request_begin);
Datum
request_begin(PG_FUNCTION_ARGS)
{
	enum
	{
		USER,
		ROLE,
		VENDOR,
		SESSION,
		REQUEST,
		CLIENT,
		TARGET,
		LINES
	};
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	char		 *rest = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char		 *lines[LINES];
	int			  i;

	for (i = 0; i < LINES; i++)
	{
		char *end = strchr(rest, '\n');

		if ((end == NULL) != (i == LINES - 1))
			rental_raise(invalid_value, errmsg("a caller has %d lines", LINES), errfield("caller"));
		lines[i] = *rest == '\0' || rest == end ? NULL : rest;
		if (end != NULL)
		{
			*end = '\0';
			rest = end + 1;
		}
	}
	in_request = false;
	memset(&actor, 0, sizeof(actor));
	if (lines[USER] != NULL)
	{
		actor.user_id = caller_uuid(lines[USER]);
		if (lines[ROLE] == NULL)
			rental_raise(invalid_token, errmsg("a user without a role"));
		actor.role = role_by_name(lines[ROLE]);
	}
	actor.has_vendor = lines[VENDOR] != NULL;
	if (actor.has_vendor)
		actor.vendor_id = caller_uuid(lines[VENDOR]);
	actor.has_session = lines[SESSION] != NULL;
	if (actor.has_session)
		actor.session_id = caller_uuid(lines[SESSION]);
	actor.request_id = lines[REQUEST];
	actor.client_address = lines[CLIENT];
	actor.target = lines[TARGET];
	in_request = true;
	MemoryContextSwitchTo(old);
	PG_RETURN_BOOL(true);
}

PLAN(account_of,
	 "SELECT u.role, m.vendor_id FROM rental.users u LEFT JOIN rental.vendor_members m ON m.user_id = u.id "
	 "WHERE u.id = $1 AND u.is_active",
	 UUIDOID);

/*
 * act_as(user_id uuid, role text, vendor_id uuid) lets the system act as a
 * user until the end of the transaction: for tests, imports and support.
 * Without a role it is that of the account.
 */
PG_FUNCTION_INFO_V1(act_as);
Datum
act_as(PG_FUNCTION_ARGS)
{
	NullableDatum role = FCARG(1);
	NullableDatum vendor_id = FCARG(2);
	PlanRights	  rights;

	in_request = false;
	if (actor_current()->role != ACTOR_SYSTEM)
		rental_raise(forbidden, errmsg("only the system may act as somebody else"));
	if (PG_ARGISNULL(0))
		rental_raise(missing_field, errmsg("user_id is required"), errfield("user_id"));
	memset(&actor, 0, sizeof(actor));
	actor.user_id = *PG_GETARG_UUID_P(0);
	rights = plan_open_trusted();
	if (role.isnull)
	{
		if (plan_run(&account_of, FCARG(0)) == 0)
			rental_raise(not_found, errmsg("no such user"), errfield("user_id"));
		role = plan_value(0, 1);
		vendor_id = plan_value(0, 2);
	}
	actor.role = role_by_name(TextDatumGetCString(role.value));
	if (!vendor_id.isnull)
	{
		actor.has_vendor = true;
		actor.vendor_id = *DatumGetUUIDP(vendor_id.value);
	}
	plan_close_trusted(rights);
	in_request = true;
	PG_RETURN_VOID();
}

const Actor *
actor_current(void)
{
	static Actor outside;
	Oid			 role;

	if (in_request)
		return &actor;
	memset(&outside, 0, sizeof(outside));
	role = get_role_oid("rental_admin", true);
	if (superuser_arg(GetOuterUserId()) || (OidIsValid(role) && has_privs_of_role(GetOuterUserId(), role)))
		outside.role = ACTOR_SYSTEM;
	return &outside;
}

bool
actor_has_user(const Actor *who)
{
	return who->role == ACTOR_CUSTOMER || who->role == ACTOR_VENDOR || who->role == ACTOR_ADMIN;
}

/* actor_is_staff tells whether the caller may see every vendor's affairs. */
bool
actor_is_staff(const Actor *who)
{
	return who->role == ACTOR_ADMIN || who->role == ACTOR_SYSTEM;
}

/* actor_serves tells whether the caller may act for a vendor. */
bool
actor_serves(const Actor *who, const pg_uuid_t *vendor_id)
{
	return actor_is_staff(who) ||
		   (who->role == ACTOR_VENDOR && who->has_vendor && uuid_equal(&who->vendor_id, vendor_id));
}

/* actor_may_see tells whether the caller may see what a customer has with a vendor. */
bool
actor_may_see(const pg_uuid_t *customer_id, const pg_uuid_t *vendor_id)
{
	const Actor *who = actor_current();

	return actor_serves(who, vendor_id) || (actor_has_user(who) && uuid_equal(&who->user_id, customer_id));
}

/*
 * actor_list_scope restricts lists to what actor_may_see allows: the customer
 * and the vendor of whom the caller may see all, null for nobody; a null
 * customer means no restriction.
 */
void
actor_list_scope(NullableDatum scope[2])
{
	const Actor *who = actor_current();

	scope[0].isnull = scope[1].isnull = true;
	if (actor_is_staff(who))
		return;
	actor_require_user();
	scope[0].value = UUIDPGetDatum(&who->user_id);
	scope[0].isnull = false;
	if (who->role == ACTOR_VENDOR && who->has_vendor)
	{
		scope[1].value = UUIDPGetDatum(&who->vendor_id);
		scope[1].isnull = false;
	}
}

const Actor *
actor_require_user(void)
{
	const Actor *who = actor_current();

	if (!actor_has_user(who))
		rental_raise(unauthenticated, errmsg("this needs a user"),
					 who->role == ACTOR_SYSTEM ? errhint("Call rental.act_as(user, role) first.") : 0);
	return who;
}

/* actor_require_session is for what only the user in person may do, by a log-in and not by an API key. */
const Actor *
actor_require_session(void)
{
	const Actor *who = actor_require_user();

	if (!who->has_session)
		rental_raise(forbidden, errmsg("log in to do this; an API key may not"));
	return who;
}

static void
refuse(const Actor *who, const char *what)
{
	if (who->role == ACTOR_ANONYMOUS)
		rental_raise(unauthenticated, errmsg("log in to do this"));
	rental_raise(forbidden, errmsg("%s", what));
}

const Actor *
actor_require_admin(void)
{
	const Actor *who = actor_current();

	if (!actor_is_staff(who))
		refuse(who, "only an administrator may do this");
	return who;
}

const Actor *
actor_require_vendor(const pg_uuid_t *vendor_id)
{
	const Actor *who = actor_current();

	if (!actor_serves(who, vendor_id))
		refuse(who, "only the vendor's team may do this");
	return who;
}

/*
 * actor_require_own_vendor finds the vendor that something is made for: a
 * team member's own, which need not be named, or the one that staff names.
 */
const pg_uuid_t *
actor_require_own_vendor(NullableDatum named)
{
	const Actor *who = actor_current();

	if (!named.isnull)
	{
		actor_require_vendor(DatumGetUUIDP(named.value));
		return DatumGetUUIDP(named.value);
	}
	if (who->role == ACTOR_VENDOR && who->has_vendor)
		return &who->vendor_id;
	if (!actor_is_staff(who))
		refuse(who, "only a vendor's team may do this");
	rental_raise(missing_field, errmsg("vendor_id is required"), errfield("vendor_id"));
}

MemberRole
member_role_by_name(const char *name)
{
	if (strcmp(name, "owner") == 0)
		return MEMBER_OWNER;
	if (strcmp(name, "manager") == 0)
		return MEMBER_MANAGER;
	return strcmp(name, "staff") == 0 ? MEMBER_STAFF : MEMBER_NONE;
}

/*
 * actor_member_role is what the caller may do in a vendor's team. The token
 * says only whose team it was when it was made; the table says what holds now.
 */
MemberRole
actor_member_role(const pg_uuid_t *vendor_id)
{
	const Actor *who = actor_current();
	MemberRole	 role = MEMBER_NONE;
	PlanRights	 rights;

	if (actor_is_staff(who))
		return MEMBER_OWNER;
	if (who->role != ACTOR_VENDOR)
		return MEMBER_NONE;
	rights = plan_open_trusted();
	if (plan_run(&member_role_of, VALUE(UUIDPGetDatum(vendor_id)), VALUE(UUIDPGetDatum(&who->user_id))) > 0)
		role = member_role_by_name(plan_text(0, 1));
	plan_close_trusted(rights);
	return role;
}

static const Actor *
require_member(const pg_uuid_t *vendor_id, MemberRole least, const char *refusal)
{
	const Actor *who = actor_current();

	if (actor_member_role(vendor_id) < least)
		refuse(who, refusal);
	return who;
}

const Actor *
actor_require_member(const pg_uuid_t *vendor_id)
{
	return require_member(vendor_id, MEMBER_STAFF, "only the vendor's team may do this");
}

const Actor *
actor_require_manager(const pg_uuid_t *vendor_id)
{
	return require_member(vendor_id, MEMBER_MANAGER, "only the vendor's owners and managers may do this");
}

const Actor *
actor_require_owner(const pg_uuid_t *vendor_id)
{
	return require_member(vendor_id, MEMBER_OWNER, "only the vendor's owners may do this");
}
