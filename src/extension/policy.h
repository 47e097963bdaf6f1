/*
 * policy.h
 *	  How a vendor deals with its orders. All are called between plan_open and plan_close.
 */
#ifndef RENTAL_POLICY_H
#define RENTAL_POLICY_H

#include "orders.h"
#include "utils/jsonb.h"

typedef struct Policy
{
	bool		auto_confirm;
	bool		pay_first;
	bool		prorates;
	bool		delivers;
	bool		asks_extension; /* the vendor decides whether something stays out longer */
	int32		quote_days;
	Datum		delivery_fee;
	Jsonb	   *cancellation;  /* NULL: no steps */
	const char *terms_version; /* or NULL */
} Policy;

extern void	 policy_load(const pg_uuid_t *vendor_id, Policy *policy);
extern Datum policy_cancellation_fee(const Policy *policy, const Order *order, TimestampTz start, TimestampTz now);
extern NullableDatum policy_delivery(const Policy *policy, const pg_uuid_t *vendor_id, const char *currency,
									 NullableDatum delivery, Datum *fee);
extern void			 policy_accept(const Policy *policy, const Order *order, NullableDatum terms, bool required);

#endif /* RENTAL_POLICY_H */
