/*-------------------------------------------------------------------------
 *
 * pack.c
 *	  Compression of answers.
 *
 * Owns one zlib stream a thread, and what Accept-Encoding means.  The levels
 * are low: an API's answers are small, and are compressed while somebody
 * waits.  Brotli at level 3 takes the time of gzip at level 4 and makes a
 * little less of them; at level 5 it takes twice that time and makes them
 * eight per cent smaller, which is for answers that are kept.
 *
 *-------------------------------------------------------------------------
 */
#include "pack.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <brotli/encode.h>
#include <zlib.h>

#define GZIP_LEVEL	   4
#define GZIP		   (15 + 16) /* the largest window, in gzip's form */
#define BROTLI_LEVEL   3
#define BROTLI_KEPT	   5  /* for what is compressed once and sent often */
#define BROTLI_WINDOW  18 /* bits: no more memory than a usual answer needs */
#define LARGEST		   (1U << 30)
#define WEIGHT_UNKNOWN (-1)

static const char *const names[] = {[PACKING_NONE] = "identity", [PACKING_GZIP] = "gzip", [PACKING_BROTLI] = "br"};

const char *
pack_name(Packing packing)
{
	return names[packing];
}

/* pack_gzip returns how many bytes it wrote, at most room; 0 if it gains nothing. */
static size_t
pack_gzip(const char *data, size_t len, char *packed, size_t room)
{
	static __thread z_stream stream;
	static __thread bool	 ready;

	if (!ready && deflateInit2(&stream, GZIP_LEVEL, Z_DEFLATED, GZIP, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return 0;
	if (ready)
		deflateReset(&stream);
	ready = true;
	stream.next_in = (Bytef *) data;
	stream.avail_in = (uInt) len;
	stream.next_out = (Bytef *) packed;
	stream.avail_out = (uInt) room;
	return deflate(&stream, Z_FINISH) == Z_STREAM_END ? room - stream.avail_out : 0;
}

static size_t
pack_brotli(bool kept, const char *data, size_t len, char *packed, size_t room)
{
	size_t used = room;

	return BrotliEncoderCompress(kept ? BROTLI_KEPT : BROTLI_LEVEL, BROTLI_WINDOW, BROTLI_MODE_TEXT, len,
								 (const uint8_t *) data, &used, (uint8_t *) packed) == BROTLI_TRUE
			   ? used
			   : 0;
}

/* pack_body compresses; the caller frees the data.  There is none if that gains nothing. */
Packed
pack_body(Packing packing, bool kept, const char *data, size_t len)
{
	Packed packed = {NULL, 0};

	if (packing == PACKING_NONE || len < PACK_LEAST || len > LARGEST)
		return packed;
	packed.data = malloc(len);
	if (packed.data)
		packed.len = packing == PACKING_BROTLI ? pack_brotli(kept, data, len, packed.data, len)
											   : pack_gzip(data, len, packed.data, len);
	if (packed.len > 0)
		return packed;
	free(packed.data);
	packed.data = NULL;
	return packed;
}

/* read_weight reads the value of a weight in thousandths (RFC 9110, 12.4.2); what is none counts as 0. */
static int
read_weight(const char *text, const char *end)
{
	int weight;
	int place = 100;

	if (text == end || (*text != '0' && *text != '1'))
		return 0;
	weight = *text++ == '1' ? 1000 : 0;
	if (text < end && *text++ != '.')
		return 0;
	for (; text < end; text++, place /= 10)
	{
		if (*text < '0' || *text > '9' || place == 0)
			return 0;
		weight += place * (*text - '0');
	}
	return weight > 1000 ? 0 : weight;
}

static const char *
skip_blanks(const char *text, const char *end)
{
	while (text < end && (*text == ' ' || *text == '\t'))
		text++;
	return text;
}

/* read_item reads "name" or "name;q=weight". */
static void
read_item(const char *item, const char *end, int weights[PACKING_COUNT], int *others)
{
	const char *name = skip_blanks(item, end);
	const char *name_end = name;
	const char *rest;
	size_t		len;
	int			weight = 1000;

	while (name_end < end && *name_end != ';' && *name_end != ' ' && *name_end != '\t')
		name_end++;
	len = (size_t) (name_end - name);
	rest = skip_blanks(name_end, end);
	while (end > rest && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	if (rest < end)
	{
		rest = *rest == ';' ? skip_blanks(rest + 1, end) : end;
		weight = end - rest > 2 && strncasecmp(rest, "q=", 2) == 0 ? read_weight(rest + 2, end) : 0;
	}
	if (len == 1 && *name == '*')
		*others = weight;
	for (int i = PACKING_NONE; i < PACKING_COUNT; i++)
	{
		if (len == strlen(names[i]) && strncasecmp(name, names[i], len) == 0)
			weights[i] = weight;
	}
	if (len == 6 && strncasecmp(name, "x-gzip", 6) == 0 && weights[PACKING_GZIP] == WEIGHT_UNKNOWN)
		weights[PACKING_GZIP] = weight;
}

/* pack_choose takes the form with the highest weight of an Accept-Encoding header, among equals the smallest. */
Packing
pack_choose(const char *accept, size_t len)
{
	const char *end = accept + len;
	int			weights[PACKING_COUNT] = {WEIGHT_UNKNOWN, WEIGHT_UNKNOWN, WEIGHT_UNKNOWN};
	int			others = 0;
	Packing		best = PACKING_NONE;
	int			best_weight = 0;

	while (accept < end)
	{
		const char *comma = memchr(accept, ',', (size_t) (end - accept));
		const char *item_end = comma ? comma : end;

		read_item(accept, item_end, weights, &others);
		accept = item_end + 1;
	}
	for (int i = PACKING_GZIP; i < PACKING_COUNT; i++)
	{
		int weight = weights[i] == WEIGHT_UNKNOWN ? others : weights[i];

		if (weight > 0 && weight >= best_weight)
		{
			best = (Packing) i;
			best_weight = weight;
		}
	}
	return weights[PACKING_NONE] > best_weight ? PACKING_NONE : best;
}
