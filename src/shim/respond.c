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
#include "etag.h"
#include "hash.h"

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
		case 304:
			return "Not Modified";
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
		case 412:
			return "Precondition Failed";
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

/* an origin whose pages may call */
static const char *origins = "";

void
respond_configure(const char *allowed)
{
	origins = allowed;
}

static bool
origin_is_allowed(h2o_iovec_t origin)
{
	const char *listed = origins;

	while (*listed != '\0')
	{
		size_t len = strcspn(listed, ",");

		if (len == origin.len && memcmp(listed, origin.base, len) == 0)
			return true;
		listed += len + (listed[len] == ',' ? 1 : 0);
	}
	return false;
}

static void
add_header(h2o_req_t *req, const char *name, size_t name_len, const char *value, size_t len)
{
	h2o_add_header_by_str(&req->pool, &req->res.headers, name, name_len, 0, NULL, value, len);
}

/* add_number adds a header whose value is a number. */
static void
add_number(h2o_req_t *req, const char *name, size_t name_len, uint64_t number)
{
	Buffer buffer;

	buffer_init(&buffer, &req->pool, 20);
	buffer_append_number(&buffer, number);
	add_header(req, name, name_len, buffer.data, buffer.len);
}

/* allow_origin lets the page read the answer, if its origin is one of the list; true if it is. */
static bool
allow_origin(h2o_req_t *req)
{
	ssize_t		index = h2o_find_header_by_str(&req->headers, H2O_STRLIT("origin"), -1);
	h2o_iovec_t origin;

	if (index == -1 || !origin_is_allowed(req->headers.entries[index].value))
		return false;
	origin = req->headers.entries[index].value;
	add_header(req, H2O_STRLIT("access-control-allow-origin"), origin.base, origin.len);
	return true;
}

static void
add_limit_headers(h2o_req_t *req, const LimitState *limit)
{
	Buffer buffer;

	buffer_init(&buffer, &req->pool, 64);
	buffer_append_char(&buffer, '"');
	buffer_append_text(&buffer, limit->name);
	buffer_append_text(&buffer, "\";r=");
	buffer_append_number(&buffer, (uint64_t) limit->remaining);
	buffer_append_text(&buffer, ";t=");
	buffer_append_number(&buffer, (uint64_t) limit->reset);
	add_header(req, H2O_STRLIT("ratelimit"), buffer.data, buffer.len);
	add_header(req, H2O_STRLIT("ratelimit-policy"), limit->policy, strlen(limit->policy));
	add_number(req, H2O_STRLIT("x-ratelimit-limit"), (uint64_t) limit->limit);
	add_number(req, H2O_STRLIT("x-ratelimit-remaining"), (uint64_t) limit->remaining);
	add_number(req, H2O_STRLIT("x-ratelimit-reset"), (uint64_t) limit->reset);
}

/* add_fixed_headers adds what every answer has; call is NULL for an error that h2o made itself. */
static void
add_fixed_headers(h2o_req_t *req, const Call *call, const char *request_id)
{
	h2o_headers_t *headers = &req->res.headers;

	h2o_vector_reserve(&req->pool, headers, headers->size + 24);
	for (size_t i = 0; i < sizeof(security_headers) / sizeof(security_headers[0]); i++)
	{
		const FixedHeader *header = &security_headers[i];

		/* a page has a content security policy of its own */
		if (h2o_find_header_by_str(headers, header->name.base, header->name.len, -1) == -1)
			headers->entries[headers->size++] = (h2o_header_t){&security_headers[i].name, NULL, header->value};
	}
	if (req->scheme == &H2O_URL_SCHEME_HTTPS)
		add_header(req, H2O_STRLIT("strict-transport-security"), H2O_STRLIT("max-age=31536000"));
	add_header(req, H2O_STRLIT("x-request-id"), request_id, strlen(request_id));
	if (call && call->limit.limit > 0)
		add_limit_headers(req, &call->limit);
	if (*origins != '\0')
	{
		if (allow_origin(req))
			add_header(req, H2O_STRLIT("access-control-expose-headers"),
					   H2O_STRLIT("etag, link, retry-after, x-request-id, idempotency-replayed, ratelimit, "
								  "ratelimit-policy, x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset, "
								  "x-cache, age"));
		if (h2o_find_header(headers, H2O_TOKEN_VARY, -1) == -1)
			h2o_add_header(&req->pool, headers, H2O_TOKEN_VARY, NULL, H2O_STRLIT("origin"));
	}
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
	if (status != 204 && status != 304)
		req->res.content_length = len;
	if (nparts > 0)
		h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, content_type, strlen(content_type));
	add_fixed_headers(req, call, call->request_id);
	h2o_start_response(req, &generator);
	h2o_send(req, parts, call->is_head || status == 204 || status == 304 ? 0 : nparts, H2O_SEND_STATE_FINAL);
}

/* respond_packing is the form that the client likes best. */
Packing
respond_packing(Call *call)
{
	const h2o_headers_t *headers = &call->req->headers;
	ssize_t				 index = h2o_find_header(headers, H2O_TOKEN_ACCEPT_ENCODING, -1);

	if (index == -1)
		return PACKING_NONE;
	return pack_choose(headers->entries[index].value.base, headers->entries[index].value.len);
}

/* respond_none_match: If-None-Match names the tag, in any of its forms. */
bool
respond_none_match(Call *call, const char *etag)
{
	const h2o_headers_t *headers = &call->req->headers;
	ssize_t				 index = h2o_find_header(headers, H2O_TOKEN_IF_NONE_MATCH, -1);
	h2o_iovec_t			 value;

	if (index == -1)
		return false;
	value = headers->entries[index].value;
	if (value.len == 1 && *value.base == '*')
		return true;
	/* a tag has a fixed length and stands in quotes, so nothing else can contain it by chance */
	return memmem(value.base, value.len, etag, strlen(etag)) != NULL;
}

/* respond_representation sends an answer that the client may already have. */
void
respond_representation(Call *call, const Representation *representation)
{
	static const h2o_iovec_t varies[2][2] = {
		{{H2O_STRLIT("accept-encoding")}, {H2O_STRLIT("origin, accept-encoding")}},
		{{H2O_STRLIT("authorization, accept-encoding")}, {H2O_STRLIT("origin, authorization, accept-encoding")}}};
	h2o_req_t  *req = call->req;
	h2o_iovec_t body = representation->body;
	h2o_iovec_t vary = varies[representation->shared][*origins != '\0'];
	Buffer		tag;

	buffer_init(&tag, &req->pool, 48);
	buffer_append_char(&tag, '"');
	buffer_append_text(&tag, representation->etag);
	if (representation->packed.len > 0)
	{
		buffer_append_text(&tag, representation->packing == PACKING_BROTLI ? RENTAL_ETAG_BROTLI : RENTAL_ETAG_GZIP);
		body = representation->packed;
	}
	buffer_append_char(&tag, '"');
	h2o_vector_reserve(&req->pool, &req->res.headers, req->res.headers.size + 28);
	h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_ETAG, NULL, tag.data, tag.len);
	h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_VARY, NULL, vary.base, vary.len);
	/* caches keep nothing else: that is added with the fixed headers */
	if (representation->shared)
		h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CACHE_CONTROL, NULL, H2O_STRLIT("public, no-cache"));
	if (representation->cache)
	{
		add_header(req, H2O_STRLIT("x-cache"), representation->cache, strlen(representation->cache));
		if (representation->age > 0 || strcmp(representation->cache, "HIT") == 0)
			add_number(req, H2O_STRLIT("age"), representation->age);
	}
	if (respond_none_match(call, representation->etag))
	{
		respond_body(call, 304, NULL, NULL, 0);
		return;
	}
	if (representation->packed.len > 0)
	{
		const char *name = pack_name(representation->packing);

		h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_ENCODING, NULL, name, strlen(name));
	}
	respond_body(call, 200, representation->content_type, &body, 1);
}

/* respond_preflight answers a browser that asks what a page may send. */
void
respond_preflight(Call *call, const char *methods)
{
	const h2o_headers_t *headers = &call->req->headers;
	ssize_t				 index = h2o_find_header_by_str(headers, H2O_STRLIT("origin"), -1);

	respond_header(call, "allow", methods);
	if (index != -1 && origin_is_allowed(headers->entries[index].value) &&
		h2o_find_header_by_str(headers, H2O_STRLIT("access-control-request-method"), -1) != -1)
	{
		respond_header(call, "access-control-allow-methods", methods);
		respond_header(call, "access-control-allow-headers",
					   "authorization, content-type, idempotency-key, if-match, if-none-match, last-event-id, "
					   "traceparent, x-request-id");
		respond_header(call, "access-control-max-age", "600");
	}
	respond_body(call, 204, NULL, NULL, 0);
}

/* respond_stream begins an answer without an end; the generator sends its parts. */
void
respond_stream(Call *call, const char *content_type, h2o_generator_t *generator)
{
	h2o_req_t *req = call->req;

	req->res.status = 200;
	req->res.reason = reason_phrase(200);
	h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, content_type, strlen(content_type));
	add_header(req, H2O_STRLIT("x-accel-buffering"), H2O_STRLIT("no"));
	add_fixed_headers(req, call, call->request_id);
	h2o_start_response(req, generator);
}

/* respond_file begins an answer of a known size; the generator sends its parts. */
void
respond_file(Call *call, const char *content_type, size_t size, h2o_generator_t *generator)
{
	h2o_req_t *req = call->req;

	req->res.status = 200;
	req->res.reason = reason_phrase(200);
	req->res.content_length = size;
	h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, content_type, strlen(content_type));
	add_fixed_headers(req, call, call->request_id);
	h2o_start_response(req, generator);
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
		const char		 *detail =
			  req->res.status == 413 ? "the body is larger than this server takes" : "the message is badly framed";
		Problem		   problem = {req->res.status, entry->name, entry->title, detail, NULL, 0};
		char		  *request_id = h2o_mem_alloc_pool(&req->pool, REQUEST_ID_MAX_LENGTH + 1);
		ReplaceStream *stream = (ReplaceStream *) h2o_add_ostream(req, sizeof(ReplaceStream), slot);

		request_id_make(request_id);
		stream->super.do_send = send_replacement;
		stream->body = problem_document(req, &problem, request_id);
		slot = &stream->super.next;
		req->res.reason = reason_phrase(req->res.status);
		req->res.content_length = stream->body.len;
		memset(&req->res.headers, 0, sizeof(req->res.headers));
		h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL,
					   H2O_STRLIT("application/problem+json"));
		add_fixed_headers(req, NULL, request_id);
	}
	h2o_setup_next_ostream(req, slot);
}

void
respond_register(h2o_pathconf_t *pathconf)
{
	h2o_filter_t *filter = h2o_create_filter(pathconf, sizeof(*filter));

	filter->on_setup_ostream = on_setup_ostream;
}
