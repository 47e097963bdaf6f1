/*-------------------------------------------------------------------------
 *
 * buffer.c
 *	  A growing run of bytes, in a request's memory pool or on the heap.
 *
 * Owns the one place where JSON strings are escaped.  Memory of a pool is
 * freed with the pool; a buffer on the heap lives as long as its thread.
 *
 *-------------------------------------------------------------------------
 */
#include "buffer.h"

#include <string.h>

#include <h2o/memory.h>

void
buffer_init(Buffer *buffer, struct st_h2o_mem_pool_t *pool, size_t capacity)
{
	buffer->pool = pool;
	buffer->len = 0;
	buffer->capacity = capacity;
	buffer->data = pool ? h2o_mem_alloc_pool(pool, capacity) : h2o_mem_alloc(capacity);
}

/* buffer_reserve makes room for so many bytes more. */
void
buffer_reserve(Buffer *buffer, size_t more)
{
	size_t capacity = buffer->capacity;

	if (buffer->len + more <= capacity)
		return;
	while (capacity < buffer->len + more)
		capacity *= 2;
	if (buffer->pool)
	{
		char *data = h2o_mem_alloc_pool(buffer->pool, capacity);

		memcpy(data, buffer->data, buffer->len);
		buffer->data = data;
	}
	else
		buffer->data = h2o_mem_realloc(buffer->data, capacity);
	buffer->capacity = capacity;
}

void
buffer_append_number(Buffer *buffer, uint64_t number)
{
	char  digits[20];
	char *start = digits + sizeof(digits);

	do
	{
		*--start = (char) ('0' + number % 10);
		number /= 10;
	} while (number > 0);
	buffer_append(buffer, start, (size_t) (digits + sizeof(digits) - start));
}

/*
 * buffer_append_json appends the bytes as a JSON string.  Whoever calls has
 * made sure of UTF-8, or passes ASCII; DEL and above go through unchanged.
 */
void
buffer_append_json(Buffer *buffer, const char *data, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	size_t			  start = 0;

	buffer_append_char(buffer, '"');
	for (size_t i = 0; i < len; i++)
	{
		unsigned char c = (unsigned char) data[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		buffer_append(buffer, data + start, i - start);
		start = i + 1;
		if (c == '"' || c == '\\')
		{
			char escaped[2] = {'\\', (char) c};

			buffer_append(buffer, escaped, 2);
		}
		else
		{
			char escaped[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

			buffer_append(buffer, escaped, 6);
		}
	}
	buffer_append(buffer, data + start, len - start);
	buffer_append_char(buffer, '"');
}

/* buffer_terminate makes a C string of it, for libpq. */
const char *
buffer_terminate(Buffer *buffer)
{
	buffer_append_char(buffer, '\0');
	buffer->len--;
	return buffer->data;
}
