/*-------------------------------------------------------------------------
 *
 * multipart.h
 *	  The parts of a multipart/form-data body (RFC 7578).
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_MULTIPART_H
#define RENTAL_SHIM_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>

#define MULTIPART_NAME_MAX 200

typedef struct Multipart
{
	const char *at;
	const char *end;
	char		delimiter[76]; /* CRLF, two hyphens, the boundary */
	size_t		delimiter_len;
	bool		malformed;
} Multipart;

typedef struct MultipartPart
{
	char		name[MULTIPART_NAME_MAX + 1];
	bool		is_file; /* it has a file name, which may be empty */
	char		file_name[MULTIPART_NAME_MAX + 1];
	const char *data;
	size_t		len;
} MultipartPart;

extern bool multipart_is(const char *content_type, size_t len);
extern bool multipart_open(Multipart *multipart, const char *content_type, size_t type_len, const char *body,
						   size_t len);
extern bool multipart_next(Multipart *multipart, MultipartPart *part);

#endif
