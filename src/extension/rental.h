/*
 * rental.h
 *	  What every module of the extension shares: PostgreSQL's headers and the module inits.
 */
#ifndef RENTAL_H
#define RENTAL_H

#include "postgres.h"

#include "fmgr.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

extern void actor_init(void);
extern void period_settings(void);
extern void password_settings(void);
extern void session_settings(void);
extern void activity_settings(void);

static inline Datum
uuid_copy_datum(const pg_uuid_t *id)
{
	pg_uuid_t *copy = palloc(sizeof(pg_uuid_t));

	memcpy(copy, id, sizeof(pg_uuid_t));
	return UUIDPGetDatum(copy);
}

static inline bool
uuid_equal(const pg_uuid_t *a, const pg_uuid_t *b)
{
	return memcmp(a->data, b->data, UUID_LEN) == 0;
}

extern char *uuid_text(const pg_uuid_t *id);
extern Datum uuid_array_datum(const pg_uuid_t *ids, int n);
extern Datum uuid7_datum(void);

#endif /* RENTAL_H */
