/*-------------------------------------------------------------------------
 *
 * upload.c
 *	  Calls that bring a file.
 *
 * The body is a form with one file, or the file itself.  libh2o 2.2 gives
 * handlers a body only when it has all of it; what is longer than usual it
 * has put into a file without a name (see store.c), so memory stays small.
 * First the file is written and hashed, then the endpoint's function is
 * called with what is known of it, and only when that has committed does the
 * file get its lasting name.  What is refused leaves nothing behind.
 *
 *-------------------------------------------------------------------------
 */
#include "upload.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "buffer.h"
#include "log.h"
#include "multipart.h"
#include "respond.h"
#include "text.h"

#define FIELD_MAX 65536 /* bytes of a field beside the file */

typedef struct Upload
{
	StoreJob	job;
	Call	   *call;
	const char *file_name; /* or NULL */
	const char *file_type;
	char		size[24];
	PGresult   *result;
	bool		sent;	 /* the function may have committed */
	bool		refused; /* it has not */
} Upload;

static size_t max_upload;

void
upload_configure(size_t bytes)
{
	max_upload = bytes;
}

static void
upload_dispose(void *memory)
{
	Upload *upload = memory;

	store_abandon(&upload->job, upload->sent && !upload->refused);
}

/* sniff says what a file is by its first bytes, whatever the client calls it. */
static const char *
sniff(const char *data, size_t len)
{
	static const struct
	{
		size_t		offset;
		size_t		len;
		const char *bytes;
		const char *type;
	} kinds[] = {
		{0, 8, "\x89PNG\r\n\x1a\n", "image/png"},
		{0, 3, "\xff\xd8\xff", "image/jpeg"},
		{8, 4, "WEBP", "image/webp"},
		{0, 6, "GIF87a", "image/gif"},
		{0, 6, "GIF89a", "image/gif"},
		{0, 5, "%PDF-", "application/pdf"},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
	{
		if (len >= kinds[i].offset + kinds[i].len &&
			memcmp(data + kinds[i].offset, kinds[i].bytes, kinds[i].len) == 0 &&
			(kinds[i].offset == 0 || memcmp(data, "RIFF", 4) == 0))
			return kinds[i].type;
	}
	return "application/octet-stream";
}

/* clean_name is the last part of a path, without what has no place in a name; NULL if nothing is left. */
static const char *
clean_name(h2o_mem_pool_t *pool, const char *name)
{
	size_t len = strlen(name);
	size_t start = len;
	char  *clean;
	size_t used = 0;

	while (start > 0 && name[start - 1] != '/' && name[start - 1] != '\\')
		start--;
	/* what was cut may end amid a character */
	while (len > start && !text_is_utf8(name + start, len - start) && len + 4 > strlen(name))
		len--;
	if (!text_is_utf8(name + start, len - start))
		return NULL;
	clean = h2o_mem_alloc_pool(pool, len - start + 1);
	for (size_t i = start; i < len; i++)
	{
		if ((unsigned char) name[i] >= ' ' && name[i] != 127 && name[i] != '"' && (used > 0 || name[i] != '.'))
			clean[used++] = name[i];
	}
	clean[used] = '\0';
	return used > 0 ? clean : NULL;
}

/* append_field adds a field of the form to the query string, so that it binds as one of those. */
static void
append_field(Buffer *query, const char *text, size_t len, char before)
{
	static const char hex[] = "0123456789ABCDEF";

	if (query->len > 0 || before == '=')
		buffer_append_char(query, before);
	for (size_t i = 0; i < len; i++)
	{
		buffer_append_char(query, '%');
		buffer_append_char(query, hex[(unsigned char) text[i] >> 4]);
		buffer_append_char(query, hex[(unsigned char) text[i] & 15]);
	}
}

/* read_form finds the file and the fields of a form.  False: answered. */
static bool
read_form(Call *call, h2o_iovec_t type, h2o_iovec_t *file)
{
	h2o_mem_pool_t *pool = &call->req->pool;
	const char	   *field = call->endpoint->upload_field;
	h2o_iovec_t		entity = call->req->entity;
	Multipart		form;
	MultipartPart	part;
	Buffer			query;
	size_t			fields = 0;
	bool			opened = multipart_open(&form, type.base, type.len, entity.base, entity.len);

	buffer_init(&query, pool, 256);
	buffer_append(&query, call->query_string.base ? call->query_string.base : "", call->query_string.len);
	while (opened && multipart_next(&form, &part))
	{
		if (strcmp(part.name, field) == 0)
		{
			if (file->base)
			{
				respond_error(call, ERROR_duplicate_field, field, "is given twice");
				return false;
			}
			*file = h2o_iovec_init(part.data, part.len);
			call->upload->file_name = clean_name(pool, part.file_name);
			continue;
		}
		fields += strlen(part.name) + part.len;
		if (part.is_file)
		{
			respond_error(call, ERROR_unknown_field, h2o_strdup(pool, part.name, SIZE_MAX).base, "is not known here");
			return false;
		}
		if (fields > FIELD_MAX)
		{
			respond_error(call, ERROR_payload_too_large, NULL, "the fields beside the file are too large");
			return false;
		}
		append_field(&query, part.name, strlen(part.name), '&');
		append_field(&query, part.data, part.len, '=');
	}
	if (!opened || form.malformed)
	{
		respond_error(call, ERROR_bad_request, NULL, "the form is malformed");
		return false;
	}
	call->query_string = h2o_iovec_init(query.data, query.len);
	return true;
}

static void
on_kept(StoreJob *job)
{
	Upload *upload = H2O_STRUCT_FROM_MEMBER(Upload, job, job);

	if (job->error != 0)
	{
		log_message(LOG_ERROR, upload->call->request_id, "cannot keep a file: %s", strerror(job->error));
		respond_error(upload->call, ERROR_internal, NULL, "the request id tells the operator what happened");
	}
	else
		call_answer(upload->call, upload->result);
}

static void
on_written(StoreJob *job)
{
	Upload		   *upload = H2O_STRUCT_FROM_MEMBER(Upload, job, job);
	Call		   *call = upload->call;
	const Endpoint *endpoint = call->endpoint;
	const char	  **values = call->values + endpoint->context;

	if (job->error != 0)
	{
		log_message(LOG_ERROR, call->request_id, "cannot write an upload: %s", strerror(job->error));
		respond_error(call, ERROR_unavailable, NULL, "the file cannot be stored now");
		return;
	}
	for (int i = 0; i < endpoint->nargs; i++)
	{
		const char *name = endpoint->args[i].name;

		if (!endpoint->args[i].of_file)
			continue;
		values[i] = strcmp(name, "file") == 0		 ? job->key
					: strcmp(name, "file_size") == 0 ? upload->size
					: strcmp(name, "file_type") == 0 ? upload->file_type
													 : upload->file_name;
	}
	if (!call_set_condition(call, h2o_iovec_init(job->key, STORE_KEY_LENGTH)))
		return;
	upload->sent = true;
	call_submit(call);
}

/* upload_take finds the file in the body.  False: answered. */
bool
upload_take(Call *call)
{
	h2o_req_t  *req = call->req;
	ssize_t		index = h2o_find_header(&req->headers, H2O_TOKEN_CONTENT_TYPE, -1);
	h2o_iovec_t type = index == -1 ? h2o_iovec_init(NULL, 0) : req->headers.entries[index].value;
	size_t		limit = call->endpoint->upload_bytes > 0 ? call->endpoint->upload_bytes : max_upload;
	h2o_iovec_t file = {NULL, 0};
	Upload	   *upload;

	if (!store_is_on())
	{
		respond_error(call, ERROR_unavailable, NULL, "this server takes no files");
		return false;
	}
	upload = h2o_mem_alloc_shared(&req->pool, sizeof(*upload), upload_dispose);
	memset(upload, 0, sizeof(*upload));
	upload->call = call;
	upload->job.thread = &call->context->store;
	call->upload = upload;
	if (req->entity.len > 0 && multipart_is(type.base, type.len))
	{
		if (!read_form(call, type, &file))
			return false;
	}
	else if (req->entity.len > 0 && h2o_memis(type.base, type.len < 16 ? type.len : 16, H2O_STRLIT("application/json")))
	{
		respond_error(call, ERROR_unsupported_media_type, NULL, "send multipart/form-data, or the file itself");
		return false;
	}
	else
		file = req->entity;
	if (file.len == 0)
		respond_error(call, ERROR_missing_field, call->endpoint->upload_field, "a file is required");
	else if (file.len > limit || file.len > max_upload)
		respond_error(call, ERROR_payload_too_large, call->endpoint->upload_field, "the file is larger than %zu bytes",
					  limit < max_upload ? limit : max_upload);
	else
	{
		upload->job.data = file.base;
		upload->job.len = file.len;
		upload->file_type = sniff(file.base, file.len);
		snprintf(upload->size, sizeof(upload->size), "%zu", file.len);
		return true;
	}
	return false;
}

/* upload_store writes the file and goes on with the call. */
void
upload_store(Call *call)
{
	call->upload->job.done = on_written;
	store_write(&call->upload->job);
}

/* upload_keep makes the file last, since its function has committed, and answers. */
void
upload_keep(Call *call, PGresult *result)
{
	call->upload->result = result;
	call->upload->job.done = on_kept;
	store_keep(&call->upload->job);
}

/* upload_refuse: the function has not committed, so the file goes. */
void
upload_refuse(Call *call)
{
	call->upload->refused = true;
}
