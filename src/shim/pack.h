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

extern char *pack_gzip(const char *data, size_t len, size_t *packed_len);
extern bool	 pack_is_accepted(const char *accept, size_t len);

#endif
