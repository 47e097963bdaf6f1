/*-------------------------------------------------------------------------
 *
 * download.c
 *	  Answers that are a file.
 *
 * The database's function says which file, what it is and how it is called;
 * its bytes come from the store, a piece at a time.  A file never changes, so
 * whoever has it may keep it.
 *
 *-------------------------------------------------------------------------
 */
#include "download.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "buffer.h"
#include "log.h"
#include "respond.h"

#define PIECE 65536

typedef struct Download
{
	h2o_generator_t generator;
	int				fd;
	size_t			left;
	char			piece[PIECE];
} Download;

static void
download_dispose(void *memory)
{
	Download *download = memory;

	close(download->fd);
}

/* on_proceed sends the next piece; one that cannot be read cuts the answer off, which the client notices. */
static void
on_proceed(h2o_generator_t *generator, h2o_req_t *req)
{
	Download   *download = (Download *) generator;
	size_t		wanted = download->left < PIECE ? download->left : PIECE;
	ssize_t		got = read(download->fd, download->piece, wanted);
	h2o_iovec_t part;

	if (got <= 0)
	{
		h2o_send(req, NULL, 0, H2O_SEND_STATE_ERROR);
		return;
	}
	download->left -= (size_t) got;
	part = h2o_iovec_init(download->piece, (size_t) got);
	h2o_send(req, &part, 1, download->left > 0 ? H2O_SEND_STATE_IN_PROGRESS : H2O_SEND_STATE_FINAL);
}

static const char *
text_member(json_t *document, const char *name)
{
	const char *text = json_string_value(json_object_get(document, name));

	return text ? text : "";
}

/* is_type: it may stand in a header, and is shown by a browser as nothing that runs. */
static bool
is_type(const char *type)
{
	return *type != '\0' && type[strspn(type, "abcdefghijklmnopqrstuvwxyz0123456789/.+-")] == '\0';
}

/* disposition names the file to whoever saves it (RFC 6266, RFC 8187). */
static const char *
disposition(h2o_mem_pool_t *pool, const char *type, const char *name)
{
	static const char hex[] = "0123456789ABCDEF";
	Buffer			  buffer;

	buffer_init(&buffer, pool, 128);
	buffer_append_text(&buffer, strncmp(type, "image/", 6) == 0 ? "inline" : "attachment");
	if (*name == '\0')
		return buffer_terminate(&buffer);
	buffer_append_text(&buffer, "; filename*=UTF-8''");
	for (; *name != '\0'; name++)
	{
		unsigned char c = (unsigned char) *name;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
			c == '_')
			buffer_append_char(&buffer, (char) c);
		else
		{
			buffer_append_char(&buffer, '%');
			buffer_append_char(&buffer, hex[c >> 4]);
			buffer_append_char(&buffer, hex[c & 15]);
		}
	}
	return buffer_terminate(&buffer);
}

static void
answer_file(Call *call, int fd, size_t size, const char *type)
{
	Download *download;

	if (call->is_head || size == 0)
	{
		h2o_iovec_t unsent = h2o_iovec_init("", size);

		respond_body(call, 200, type, &unsent, 1);
		close(fd);
		return;
	}
	download = h2o_mem_alloc_shared(&call->req->pool, sizeof(*download), download_dispose);
	memset(&download->generator, 0, sizeof(download->generator));
	download->generator.proceed = on_proceed;
	download->fd = fd;
	download->left = size;
	respond_file(call, type, size, &download->generator);
	on_proceed(&download->generator, call->req);
}

/* download_answer sends the file that {"file", "file_type", "file_name"} describes. */
void
download_answer(Call *call, const char *description, size_t len)
{
	h2o_mem_pool_t *pool = &call->req->pool;
	json_t		   *document = json_loadb(description, len, JSON_REJECT_DUPLICATES, NULL);
	const char	   *key = h2o_strdup(pool, text_member(document, "file"), SIZE_MAX).base;
	const char	   *type = h2o_strdup(pool, text_member(document, "file_type"), SIZE_MAX).base;
	const char	   *name = h2o_strdup(pool, text_member(document, "file_name"), SIZE_MAX).base;
	size_t			size = 0;
	int				fd;

	json_decref(document);
	fd = store_open(key, &size);
	if (fd < 0)
	{
		log_message(LOG_ERROR, call->request_id, "%s: there is no file \"%.80s\"", call->endpoint->path, key);
		respond_error(call, ERROR_unavailable, NULL, "the file cannot be read now");
		return;
	}
	respond_header(call, "etag",
				   h2o_concat(pool, h2o_iovec_init(H2O_STRLIT("\"")), h2o_iovec_init(key, strlen(key)),
							  h2o_iovec_init(H2O_STRLIT("\"\0")))
					   .base);
	respond_header(call, "cache-control",
				   call->endpoint->is_public ? "public, max-age=31536000, immutable"
											 : "private, max-age=31536000, immutable");
	if (respond_none_match(call, key))
	{
		close(fd);
		respond_body(call, 304, NULL, NULL, 0);
		return;
	}
	respond_header(call, "content-disposition", disposition(pool, type, name));
	answer_file(call, fd, size, is_type(type) ? type : "application/octet-stream");
}
