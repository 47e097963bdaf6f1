/*
 * actor.h
 *	  Who is calling, and the guards that every domain function stands behind.
 */
#ifndef RENTAL_ACTOR_H
#define RENTAL_ACTOR_H

#include "rental.h"

typedef enum ActorRole
{
	ACTOR_ANONYMOUS,
	ACTOR_CUSTOMER,
	ACTOR_VENDOR, /* a member of one vendor's team */
	ACTOR_ADMIN,
	ACTOR_SYSTEM /* a superuser or rental_admin in SQL, no request */
} ActorRole;

/* What a member may do in its team; each may do what those before it may */
typedef enum MemberRole
{
	MEMBER_NONE,
	MEMBER_STAFF,
	MEMBER_MANAGER,
	MEMBER_OWNER
} MemberRole;

typedef struct Actor
{
	ActorRole	role;
	bool		has_vendor;
	bool		has_session;
	pg_uuid_t	user_id; /* of customer, vendor and admin */
	pg_uuid_t	vendor_id;
	pg_uuid_t	session_id;
	const char *request_id;		/* or NULL */
	const char *client_address; /* or NULL */
	const char *target;			/* path and query as the client sent them, or NULL */
} Actor;

extern const Actor *actor_current(void);
extern bool			actor_has_user(const Actor *actor);
extern bool			actor_is_staff(const Actor *actor);
extern bool			actor_serves(const Actor *actor, const pg_uuid_t *vendor_id);
extern bool			actor_may_see(const pg_uuid_t *customer_id, const pg_uuid_t *vendor_id);
extern void			actor_list_scope(NullableDatum scope[2]);

extern const Actor	   *actor_require_user(void);
extern const Actor	   *actor_require_session(void);
extern const Actor	   *actor_require_admin(void);
extern const Actor	   *actor_require_vendor(const pg_uuid_t *vendor_id);
extern const pg_uuid_t *actor_require_own_vendor(NullableDatum named);

/* These look the caller up in the team, so that a change of its role counts at once */
extern MemberRole	member_role_by_name(const char *name);
extern MemberRole	actor_member_role(const pg_uuid_t *vendor_id);
extern const Actor *actor_require_member(const pg_uuid_t *vendor_id);
extern const Actor *actor_require_manager(const pg_uuid_t *vendor_id);
extern const Actor *actor_require_owner(const pg_uuid_t *vendor_id);

#endif /* RENTAL_ACTOR_H */
