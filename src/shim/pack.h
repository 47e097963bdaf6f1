/*-------------------------------------------------------------------------
 *
 * pack.h
 *	  Compression of answers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_PACK_H
#define RENTAL_SHIM_PACK_H

#include <stdbool.h>
#include <stddef.h>

#define PACK_LEAST 1024 /* bytes; less does not pay */

typedef enum Packing
{
	PACKING_NONE,
	PACKING_GZIP,
	PACKING_BROTLI,
	PACKING_COUNT
} Packing;

/* a body in one of the forms; no data: it gained nothing */
typedef struct Packed
{
	char  *data;
	size_t len;
} Packed;

extern const char *pack_name(Packing packing);
extern Packing	   pack_choose(const char *accept, size_t len);
extern Packed	   pack_body(Packing packing, bool kept, const char *data, size_t len);

#endif
