/* The strict reading of a message head: any bytes, complete or not. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "framing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* a copy of its own on the heap: one byte too far is seen */
	char	   *head = malloc(size + 1);
	const char *flaw;
	const char *encoding;
	bool		is_chunked;

	memcpy(head, data, size);
	head = realloc(head, size ? size : 1);
	flaw = framing_check(head, size, &is_chunked);
	/* what is let through has an end, and no line without a carriage return */
	if (flaw == NULL && (memmem(head, size, "\r\n\r\n", 4) == NULL && memmem(head, size, "\r\n", 2) == NULL))
		abort();
	/* chunks are never missed */
	encoding = memmem(head, size, "\r\nTransfer-Encoding:", strlen("\r\nTransfer-Encoding:"));
	if (flaw == NULL && !is_chunked && encoding != NULL && encoding < (char *) memmem(head, size, "\r\n\r\n", 4) &&
		memcmp(head, "\r\n", 2) != 0)
		abort();
	free(head);
	return 0;
}
