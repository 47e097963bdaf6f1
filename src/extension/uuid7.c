/*
 * uuid7.c
 *	  Identifiers: UUID version 7 (RFC 9562, section 5.7).
 *
 * The first 48 bits are milliseconds of the Unix epoch, the 12 bits of rand_a
 * hold the fraction of the millisecond (method 3 of section 6.2), the rest is
 * random. Values made by one backend never go backwards.
 */
#include "rental.h"

#include <time.h>

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#define RANDOM_POOL 256

static uint64		 last_tick;
static unsigned char pool[RANDOM_POOL];
static int			 pool_left;

/*
 * random_bytes hands out strong random bytes from a small pool, since a call
 * of the system's generator costs more than the rest of uuid7.
 */
static void
random_bytes(unsigned char *to, int n)
{
	if (pool_left < n)
	{
		if (!pg_strong_random(pool, RANDOM_POOL))
			ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values")));
		pool_left = RANDOM_POOL;
	}
	pool_left -= n;
	memcpy(to, pool + pool_left, n);
	memset(pool + pool_left, 0, n);
}

Datum
uuid7_datum(void)
{
	pg_uuid_t	   *id = palloc(sizeof(pg_uuid_t));
	struct timespec now;
	uint64			millis;
	uint64			tick; /* milliseconds in the upper 48 bits, 1/4096 ms below */
	int				i;

	clock_gettime(CLOCK_REALTIME, &now);
	millis = (uint64) now.tv_sec * 1000 + now.tv_nsec / 1000000;
	tick = (millis << 12) | (((uint64) (now.tv_nsec % 1000000) << 12) / 1000000);
	if (tick <= last_tick)
		tick = last_tick + 1;
	last_tick = tick;

	for (i = 0; i < 6; i++)
		id->data[i] = (unsigned char) (tick >> (52 - 8 * i));
	random_bytes(id->data + 8, 8);
	id->data[6] = 0x70 | ((tick >> 8) & 0x0f);
	id->data[7] = tick & 0xff;
	id->data[8] = 0x80 | (id->data[8] & 0x3f);
	return UUIDPGetDatum(id);
}

char *
uuid_text(const pg_uuid_t *id)
{
	static const char hex[] = "0123456789abcdef";
	char			 *text = palloc(2 * UUID_LEN + 5);
	char			 *end = text;
	int				  i;

	for (i = 0; i < UUID_LEN; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*end++ = '-';
		*end++ = hex[id->data[i] >> 4];
		*end++ = hex[id->data[i] & 15];
	}
	*end = '\0';
	return text;
}

/* uuid_array_datum makes a uuid[]; its elements lie one after the other, as they do in C. */
Datum
uuid_array_datum(const pg_uuid_t *ids, int n)
{
	Size	   size = ARR_OVERHEAD_NONULLS(1) + (Size) n * UUID_LEN;
	ArrayType *array;

	if (n == 0)
		return PointerGetDatum(construct_empty_array(UUIDOID));
	array = palloc0(size);
	SET_VARSIZE(array, size);
	array->ndim = 1;
	array->elemtype = UUIDOID;
	ARR_DIMS(array)[0] = n;
	ARR_LBOUND(array)[0] = 1;
	memcpy(ARR_DATA_PTR(array), ids, (Size) n * UUID_LEN);
	return PointerGetDatum(array);
}

PG_FUNCTION_INFO_V1(uuid7);
Datum
uuid7(PG_FUNCTION_ARGS)
{
	return uuid7_datum();
}
