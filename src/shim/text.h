/*-------------------------------------------------------------------------
 *
 * text.h
 *	  Checks and decodings of untrusted text: pure functions without memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_TEXT_H
#define RENTAL_SHIM_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define TEXT_INVALID ((ssize_t) -1)
#define UUID_LENGTH	 36

extern bool	   text_is_utf8(const char *text, size_t len);
extern ssize_t text_percent_decode(char *target, const char *source, size_t len, bool plus_is_space);
extern ssize_t text_base64url_decode(char *target, const char *source, size_t len);

/* the lexical forms of the argument types */
extern bool text_is_uuid(const char *text, size_t len);
extern bool text_is_integer(const char *text, size_t len, long long min, long long max);
extern bool text_is_decimal(const char *text, size_t len);
extern bool text_is_date(const char *text, size_t len);
extern bool text_is_timestamp(const char *text, size_t len);

#endif
