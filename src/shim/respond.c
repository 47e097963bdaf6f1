/*-------------------------------------------------------------------------
 *
 * respond.c
 *	  The only writer of answers.
 *
 * Owns the headers that every answer has and the form of errors.  h2o makes
 * some errors of its own before a handler is asked (a body too large, a
 * broken chunk); a filter turns those into problem documents as well.
 *
 *-------------------------------------------------------------------------
 */
#include "respond.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "buffer.h"

#define RETRY_AFTER 1 /* seconds; what a client waits when the server is too busy */

typedef struct FixedHeader
{
	h2o_iovec_t name;
	h2o_iovec_t value;
} FixedHeader;

static FixedHeader security_headers[] = {
	{{H2O_STRLIT("x-content-type-options")}, {H2O_STRLIT("nosniff")}},
	{{H2O_STRLIT("referrer-policy")}, {H2O_STRLIT("no-referrer")}},
	{{H2O_STRLIT("content-security-policy")}, {H2O_STRLIT("default-src 'none'; frame-ancestors 'none'")}},
};

static const char *
reason_phrase(int status)
{
	switch (status)
	{
		case 200:
			return "OK";
		case 201:
			return "Created";
		case 202:
			return "Accepted";
		case 204:
			return "No Content";
		case 400:
			return "Bad Request";
		case 401:
			return "Unauthorized";
		case 403:
			return "Forbidden";
		case 404:
			return "Not Found";
		case 405:
			return "Method Not Allowed";
		case 409:
			return "Conflict";
		case 413:
			return "Content Too Large";
		case 415:
			return "Unsupported Media Type";
		case 422:
			return "Unprocessable Content";
		case 429:
			return "Too Many Requests";
		case 500:
			return "Internal Server Error";
		case 503:
			return "Service Unavailable";
		case 504:
			return "Gateway Timeout";
		default:
			return status < 400 ? "Success" : "Error";
	}
}

static void
add_fixed_headers(h2o_req_t *req, const char *request_id)
{
	h2o_headers_t *headers = &req->res.headers;

	h2o_vector_reserve(&req->pool, headers, headers->size + 8);
	for (size_t i = 0; i < sizeof(security_headers) / sizeof(security_headers[0]); i++)
	{
		headers->entries[headers->size++] = (h2o_header_t){&security_headers[i].name, NULL, security_headers[i].value};
	}
	if (request_id)
		h2o_add_header_by_str(&req->pool, headers, H2O_STRLIT("x-request-id"), 0, NULL, request_id, strlen(request_id));
	if (h2o_find_header(headers, H2O_TOKEN_CACHE_CONTROL, -1) == -1)
		h2o_add_header(&req->pool, headers, H2O_TOKEN_CACHE_CONTROL, NULL, H2O_STRLIT("no-store"));
}

/* respond_header adds a header to the answer that is to come; name is in lower case. */
void
respond_header(Call *call, const char *name, const char *value)
{
	h2o_add_header_by_str(&call->req->pool, &call->req->res.headers, name, strlen(name), 1, NULL, value, strlen(value));
}

/*
 * respond_body sends the answer.  The parts must live as long as the
 * request; with none of them the answer has no body.
 */
void
respond_body(Call *call, int status, const char *content_type, h2o_iovec_t *parts, size_t nparts)
{
	static h2o_generator_t generator = {NULL, NULL};
	h2o_req_t			  *req = call->req;
	size_t				   len = 0;

	for (size_t i = 0; i < nparts; i++)
		len += parts[i].len;
	req->res.status = status;
	req->res.reason = reason_phrase(status);
	if (status != 204)
		req->res.content_length = len;
	if (nparts > 0)
		h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, content_type, strlen(content_type));
	add_fixed_headers(req, call->request_id);
	h2o_start_response(req, &generator);
	h2o_send(req, parts, call->is_head || status == 204 ? 0 : nparts, H2O_SEND_STATE_FINAL);
}

static void
append_member(Buffer *buffer, const char *name, const char *value)
{
	if (value == NULL)
		return;
	buffer_append_text(buffer, ",\"");
	buffer_append_text(buffer, name);
	buffer_append_text(buffer, "\":");
	buffer_append_json(buffer, value, strlen(value));
}

static h2o_iovec_t
problem_document(h2o_req_t *req, const Problem *problem, const char *request_id)
{
	Buffer		buffer;
	size_t		path_len = req->input.path.len;
	const char *query = memchr(req->input.path.base, '?', path_len);

	/* the query stays out: it may hold what a log or a screenshot should not show */
	if (query)
		path_len = (size_t) (query - req->input.path.base);
	buffer_init(&buffer, &req->pool, 512);
	buffer_append_text(&buffer, "{\"type\":\"urn:rental:error:");
	buffer_append_text(&buffer, problem->code);
	buffer_append_char(&buffer, '"');
	append_member(&buffer, "title", problem->title);
	buffer_append_text(&buffer, ",\"status\":");
	buffer_append_number(&buffer, (uint64_t) problem->status);
	append_member(&buffer, "detail", problem->detail);
	if (text_is_utf8(req->input.path.base, path_len))
	{
		buffer_append_text(&buffer, ",\"instance\":");
		buffer_append_json(&buffer, req->input.path.base, path_len);
	}
	append_member(&buffer, "code", problem->code);
	if (problem->field)
	{
		const char *message = problem->detail ? problem->detail : problem->title;

		buffer_append_text(&buffer, ",\"errors\":{");
		buffer_append_json(&buffer, problem->field, strlen(problem->field));
		buffer_append_text(&buffer, ":[");
		buffer_append_json(&buffer, message, strlen(message));
		buffer_append_text(&buffer, "]}");
	}
	append_member(&buffer, "request_id", request_id);
	buffer_append_char(&buffer, '}');
	return h2o_iovec_init(buffer.data, buffer.len);
}

void
respond_problem(Call *call, const Problem *problem)
{
	h2o_iovec_t body = problem_document(call->req, problem, call->request_id);

	if (problem->status == 401)
		respond_header(call, "www-authenticate",
					   strcmp(problem->code, "unauthenticated") == 0
						   ? "Bearer realm=\"rental\""
						   : "Bearer realm=\"rental\", error=\"invalid_token\"");
	if (problem->retry_after > 0)
	{
		char *seconds = h2o_mem_alloc_pool(&call->req->pool, 16);

		snprintf(seconds, 16, "%d", problem->retry_after);
		respond_header(call, "retry-after", seconds);
	}
	respond_body(call, problem->status, "application/problem+json", &body, 1);
}

/* respond_error sends one of the errors that the server knows itself. */
void
respond_error(Call *call, ErrorCode code, const char *field, const char *format, ...)
{
	const ErrorEntry *entry = error_entry(code);
	char			 *detail = h2o_mem_alloc_pool(&call->req->pool, 512);
	Problem problem = {entry->status, entry->name, entry->title, detail, field, entry->status == 503 ? RETRY_AFTER : 0};
	va_list args;

	va_start(args, format);
	vsnprintf(detail, 512, format, args);
	va_end(args);
	/* cutting may have split a character */
	while (!text_is_utf8(detail, strlen(detail)))
		detail[strlen(detail) - 1] = '\0';
	respond_problem(call, &problem);
}

typedef struct ReplaceStream
{
	h2o_ostream_t super;
	h2o_iovec_t	  body;
} ReplaceStream;

static void
send_replacement(h2o_ostream_t *self, h2o_req_t *req, h2o_iovec_t *bufs, size_t count, h2o_send_state_t state)
{
	ReplaceStream *stream = (ReplaceStream *) self;

	h2o_ostream_send_next(self, req, &stream->body, 1, state);
}

/* on_setup_ostream rewrites what no call has answered: that is an error made by h2o itself. */
static void
on_setup_ostream(h2o_filter_t *self, h2o_req_t *req, h2o_ostream_t **slot)
{
	if (call_find(req) == NULL)
	{
		const ErrorEntry *entry = error_entry(req->res.status == 413 ? ERROR_payload_too_large : ERROR_bad_request);
		Problem			  problem = {req->res.status, entry->name, entry->title, NULL, NULL, 0};
		ReplaceStream	 *stream = (ReplaceStream *) h2o_add_ostream(req, sizeof(ReplaceStream), slot);

		stream->super.do_send = send_replacement;
		stream->body = problem_document(req, &problem, NULL);
		slot = &stream->super.next;
		req->res.reason = reason_phrase(req->res.status);
		req->res.content_length = stream->body.len;
		memset(&req->res.headers, 0, sizeof(req->res.headers));
		h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL,
					   H2O_STRLIT("application/problem+json"));
		add_fixed_headers(req, NULL);
	}
	h2o_setup_next_ostream(req, slot);
}

void
respond_register(h2o_pathconf_t *pathconf)
{
	h2o_filter_t *filter = h2o_create_filter(pathconf, sizeof(*filter));

	filter->on_setup_ostream = on_setup_ostream;
}
