/* Single header values and the lexical forms of arguments. */
#include <stdint.h>

#include "fuzz_support.h"
#include "pack.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char   *text = fuzz_copy(data, size);
	char   *target = malloc(size + 1);
	ssize_t len;

	if (pack_choose(text, size) >= PACKING_COUNT)
		abort();
	text_is_uuid(text, size);
	text_is_integer(text, size, -32768, 32767);
	text_is_decimal(text, size);
	text_is_date(text, size);
	text_is_timestamp(text, size);
	len = text_percent_decode(target, text, size, size % 2 == 0);
	if (len != TEXT_INVALID && (len > (ssize_t) size || !text_is_utf8(target, (size_t) len) || memchr(target, 0, (size_t) len)))
		abort();
	if (text_base64url_decode(target, text, size) > (ssize_t) size)
		abort();
	free(target);
	free(text);
	return 0;
}
