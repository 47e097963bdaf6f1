/*-------------------------------------------------------------------------
 *
 * buffer.h
 *	  A growing run of bytes, in a request's memory pool or on the heap.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_BUFFER_H
#define RENTAL_SHIM_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct st_h2o_mem_pool_t;

typedef struct Buffer
{
	char					 *data;
	size_t					  len;
	size_t					  capacity;
	struct st_h2o_mem_pool_t *pool; /* NULL: the heap */
} Buffer;

extern void		   buffer_init(Buffer *buffer, struct st_h2o_mem_pool_t *pool, size_t capacity);
extern void		   buffer_reserve(Buffer *buffer, size_t more);
extern void		   buffer_append_number(Buffer *buffer, uint64_t number);
extern void		   buffer_append_json(Buffer *buffer, const char *data, size_t len);
extern const char *buffer_terminate(Buffer *buffer);

/* these stand here so that what is appended as it is written costs no call */

static inline void
buffer_append(Buffer *buffer, const char *data, size_t len)
{
	if (len == 0)
		return;
	if (len > buffer->capacity - buffer->len)
		buffer_reserve(buffer, len);
	memcpy(buffer->data + buffer->len, data, len);
	buffer->len += len;
}

static inline void
buffer_append_text(Buffer *buffer, const char *text)
{
	buffer_append(buffer, text, strlen(text));
}

static inline void
buffer_append_char(Buffer *buffer, char c)
{
	if (buffer->len == buffer->capacity)
		buffer_reserve(buffer, 1);
	buffer->data[buffer->len++] = c;
}

#endif
