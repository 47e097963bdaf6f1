/*-------------------------------------------------------------------------
 *
 * pack.c
 *	  Compression of answers.
 *
 * Owns one zlib stream a thread. gzip only, at a low level: an API's answers
 * are small, and every client reads it.
 *
 *-------------------------------------------------------------------------
 */
#include "pack.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <zlib.h>

#define LEVEL 4
#define GZIP  (15 + 16) /* the largest window, in gzip's form */

/* pack_gzip returns memory that the caller frees, or NULL if it gains nothing. */
char *
pack_gzip(const char *data, size_t len, size_t *packed_len)
{
	static __thread z_stream stream;
	static __thread bool	 ready;
	char					*packed;

	if (len < PACK_LEAST || len > (1U << 30))
		return NULL;
	if (!ready && deflateInit2(&stream, LEVEL, Z_DEFLATED, GZIP, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return NULL;
	if (ready)
		deflateReset(&stream);
	ready = true;
	packed = malloc(len);
	if (packed == NULL)
		return NULL;
	stream.next_in = (Bytef *) data;
	stream.avail_in = (uInt) len;
	stream.next_out = (Bytef *) packed;
	stream.avail_out = (uInt) len;
	if (deflate(&stream, Z_FINISH) != Z_STREAM_END)
	{
		free(packed);
		return NULL;
	}
	*packed_len = len - stream.avail_out;
	return packed;
}

/* pack_is_accepted reads the value of an Accept-Encoding header: gzip is named, and not with a weight of zero. */
bool
pack_is_accepted(const char *accept, size_t len)
{
	const char *end = accept + len;

	while (accept < end)
	{
		const char *comma = memchr(accept, ',', (size_t) (end - accept));
		const char *item_end = comma ? comma : end;

		while (accept < item_end && (*accept == ' ' || *accept == '\t'))
			accept++;
		if (item_end - accept >= 4 && strncasecmp(accept, "gzip", 4) == 0)
		{
			const char *rest = accept + 4;

			while (rest < item_end && (*rest == ' ' || *rest == ';'))
				rest++;
			if (rest == item_end)
				return true;
			if (item_end - rest >= 3 && strncasecmp(rest, "q=", 2) == 0)
			{
				for (rest += 2; rest < item_end; rest++)
				{
					if (*rest >= '1' && *rest <= '9')
						return true;
				}
			}
			return false;
		}
		accept = item_end + 1;
	}
	return false;
}
