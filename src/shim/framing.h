/*-------------------------------------------------------------------------
 *
 * framing.h
 *	  The strict reading of an HTTP/1 message head that h2o does not do.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_FRAMING_H
#define RENTAL_SHIM_FRAMING_H

#include <stdbool.h>
#include <stddef.h>

extern const char *framing_check(const char *head, size_t len, bool *is_chunked);

#endif
