/*-------------------------------------------------------------------------
 *
 * fuzz_multipart.c
 *	  multipart.c with anything: a line of Content-Type, then the body.
 *
 *-------------------------------------------------------------------------
 */
#include <stdint.h>

#include "fuzz_support.h"
#include "multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *feed = memchr(data, '\n', size);
	size_t		   type_len = feed ? (size_t) (feed - data) : size;
	size_t		   body_len = feed ? size - type_len - 1 : 0;
	char		  *type = fuzz_copy(data, type_len);
	char		  *body = fuzz_copy(feed ? feed + 1 : data, body_len);
	Multipart	   form;
	MultipartPart  part;
	const char	  *last = body;

	multipart_is(type, type_len);
	if (multipart_open(&form, type, type_len, body, body_len))
	{
		while (multipart_next(&form, &part))
		{
			/* parts lie in the body, one behind the other, and their names fit */
			if (part.data < last || part.len > body_len || part.data + part.len > body + body_len || part.name[0] == '\0' ||
				strlen(part.name) > MULTIPART_NAME_MAX || strlen(part.file_name) > MULTIPART_NAME_MAX)
				abort();
			last = part.data + part.len;
		}
	}
	free(body);
	free(type);
	return 0;
}
