/*-------------------------------------------------------------------------
 *
 * call.c
 *	  One request, from its arrival to the end of its answer.
 *
 * Owns the Call, which lives in the memory pool of its request.  A client
 * may leave at any moment: then the pool is disposed of, which withdraws the
 * query from its connection, so nothing comes back to a request that is
 * gone.  Knows the contract with the database, and no endpoint by name.
 *
 *-------------------------------------------------------------------------
 */
#include "call.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

#include "bind.h"
#include "download.h"
#include "etag.h"
#include "hash.h"
#include "log.h"
#include "metrics.h"
#include "replica.h"
#include "respond.h"
#include "upload.h"

#define PATH_MAX_LENGTH 8192
#define MAX_RETRIES		3
#define RETRY_DELAY		10 /* milliseconds */

#define ACTOR_KEY_LIFE	(365 * 86400) /* an API key has no time of its own */
#define KIND_LIMIT		16
#define KIND_KEY_LIMIT	6

static const char key_sql[] =
	"SELECT key_id, user_id, role, vendor_id, array_to_string(scopes, ' '), seconds_left, rate_limit"
	" FROM rental.api_key_verify($1::bytea)";

static int	  trusted_hops;
static size_t max_body;

static void call_continue(Call *call);
static bool answer_from_cache(Call *call);

void
call_context_init(CallContext *context, h2o_context_t *http)
{
	h2o_timeout_init(http->loop, &context->retry_delay, RETRY_DELAY);
	fill_thread_init(&context->fills, http->queue);
	store_thread_init(&context->store, http->queue);
}

void
call_configure(int hops, size_t bytes)
{
	trusted_hops = hops;
	max_body = bytes;
}

/* next_random is xorshift128+: for request ids, never for secrets. */
static uint64_t
next_random(void)
{
	static __thread uint64_t state[2];
	uint64_t				 x;
	uint64_t				 y;

	if ((state[0] | state[1]) == 0 && getrandom(state, sizeof(state), 0) != sizeof(state))
		h2o_fatal("no random numbers");
	x = state[0];
	y = state[1];
	state[0] = y;
	x ^= x << 23;
	state[1] = x ^ y ^ (x >> 17) ^ (y >> 26);
	return state[1] + y;
}

void
request_id_make(char id[REQUEST_ID_MAX_LENGTH + 1])
{
	static const char hex[] = "0123456789abcdef";

	for (int half = 0; half < 2; half++)
	{
		uint64_t random = next_random();

		for (int i = 0; i < 16; i++)
			id[half * 16 + i] = hex[random >> (60 - 4 * i) & 15];
	}
	id[32] = '\0';
}

static bool
request_id_is_sane(h2o_iovec_t id)
{
	if (id.len == 0 || id.len > REQUEST_ID_MAX_LENGTH)
		return false;
	for (size_t i = 0; i < id.len; i++)
	{
		char c = id.base[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
			  c == '.'))
			return false;
	}
	return true;
}

static void
set_request_id(Call *call)
{
	const h2o_headers_t *headers = &call->req->headers;
	ssize_t				 index = h2o_find_header_by_str(headers, H2O_STRLIT("x-request-id"), -1);

	if (index != -1 && request_id_is_sane(headers->entries[index].value))
	{
		memcpy(call->request_id, headers->entries[index].value.base, headers->entries[index].value.len);
		return;
	}
	request_id_make(call->request_id);
}

/* set_trace takes the trace id of a traceparent header (W3C Trace Context) of version 00. */
static void
set_trace(Call *call)
{
	const h2o_headers_t *headers = &call->req->headers;
	ssize_t				 index = h2o_find_header_by_str(headers, H2O_STRLIT("traceparent"), -1);
	h2o_iovec_t			 value;
	bool				 zero = true;

	if (index == -1)
		return;
	value = headers->entries[index].value;
	if (value.len != 55 || memcmp(value.base, "00-", 3) != 0 || value.base[35] != '-' || value.base[52] != '-')
		return;
	for (int i = 3; i < 35; i++)
	{
		char c = value.base[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return;
		zero = zero && c == '0';
	}
	if (!zero)
		memcpy(call->trace_id, value.base + 3, 32);
}

/*
 * believe_proxies takes the client's address from X-Forwarded-For. Each
 * trusted proxy has added the address that it was called from at the end, so
 * what stands before the last of these may be anything and counts nothing.
 */
static void
believe_proxies(Call *call)
{
	const h2o_headers_t *headers = &call->req->headers;
	int					 left = trusted_hops;
	h2o_iovec_t			 found = {NULL, 0};
	char				 text[INET6_ADDRSTRLEN];
	struct in6_addr		 address;

	for (size_t i = headers->size; i-- > 0 && left > 0;)
	{
		h2o_iovec_t value = headers->entries[i].value;

		if (!h2o_memis(headers->entries[i].name->base, headers->entries[i].name->len, H2O_STRLIT("x-forwarded-for")))
			continue;
		while (left > 0 && value.len > 0)
		{
			const char *comma = memrchr(value.base, ',', value.len);
			size_t		start = comma ? (size_t) (comma - value.base) + 1 : 0;

			found = h2o_iovec_init(value.base + start, value.len - start);
			value.len = comma ? start - 1 : 0;
			left--;
		}
	}
	while (found.len > 0 && *found.base == ' ')
	{
		found.base++;
		found.len--;
	}
	while (found.len > 0 && found.base[found.len - 1] == ' ')
		found.len--;
	if (found.len == 0 || found.len >= sizeof(text))
		return;
	memcpy(text, found.base, found.len);
	text[found.len] = '\0';
	if (inet_pton(AF_INET, text, &address) == 1)
		inet_ntop(AF_INET, &address, call->client, sizeof(call->client));
	else if (inet_pton(AF_INET6, text, &address) == 1)
		inet_ntop(AF_INET6, &address, call->client, sizeof(call->client));
}

/* write_ipv4 does at every request what inet_ntop would do by sprintf. */
static void
write_ipv4(char *text, uint32_t address)
{
	for (int shift = 24; shift >= 0; shift -= 8)
	{
		unsigned byte = address >> shift & 255;

		if (byte >= 100)
			*text++ = (char) ('0' + byte / 100);
		if (byte >= 10)
			*text++ = (char) ('0' + byte / 10 % 10);
		*text++ = (char) ('0' + byte % 10);
		*text++ = shift > 0 ? '.' : '\0';
	}
}

static void
set_client(Call *call)
{
	struct sockaddr_storage address;
	h2o_conn_t			   *conn = call->req->conn;

	if (conn->callbacks->get_peername(conn, (struct sockaddr *) &address) == 0)
		return;
	if (address.ss_family == AF_INET)
		write_ipv4(call->client, ntohl(((struct sockaddr_in *) &address)->sin_addr.s_addr));
	else if (address.ss_family == AF_INET6)
		inet_ntop(AF_INET6, &((struct sockaddr_in6 *) &address)->sin6_addr, call->client, sizeof(call->client));
	if (trusted_hops > 0)
		believe_proxies(call);
}

/* end_fill: the call fetches nothing for others any more. */
static void
end_fill(Call *call)
{
	Fill *fill = call->fill;

	call->fill = NULL;
	if (fill)
		fill_end(&call->context->fills, fill);
}

/* on_filled: what the call waited for is in the cache; or it is not, and the call asks for itself. */
static void
on_filled(FillWait *wait)
{
	Call *call = H2O_STRUCT_FROM_MEMBER(Call, waiting, wait);

	if (!answer_from_cache(call))
		call_submit(call);
}

/* on_early: the client sends on, or leaves; that is for after the answer. */
static void
on_early(h2o_socket_t *socket, const char *err)
{
	h2o_socket_read_stop(socket);
}

/*
 * hold_socket keeps an HTTP/1 connection watched, without reading, while its
 * request waits for the database. h2o takes it off the watch list for that
 * time, and putting it off and on again costs two system calls for each
 * request.
 */
static void
hold_socket(Call *call)
{
	h2o_conn_t *conn = call->req->conn;

	if (call->held || call->req->version >= 0x200)
		return;
	call->held = conn->callbacks->get_socket(conn);
	h2o_socket_dont_read(call->held, 1);
	h2o_socket_read_start(call->held, on_early);
}

/* call_dispose runs when h2o drops the request, answered or not. */
static void
call_dispose(void *memory)
{
	Call *call = memory;

	call->context->in_flight--;
	metrics_add(METRIC_IN_FLIGHT, -1);
	h2o_timeout_unlink(&call->retry);
	/* h2o drops a request before it reads on, and before it closes */
	if (call->held)
		h2o_socket_dont_read(call->held, 0);
	pg_pool_abandon(&call->query);
	pg_pool_abandon(&call->key_query);
	PQclear(call->result);
	if (h2o_linklist_is_linked(&call->waiting.link))
		h2o_linklist_unlink(&call->waiting.link);
	end_fill(call);
	if (call->catalog)
		catalog_release(call->catalog);
}

static void
on_retry(h2o_timeout_entry_t *entry)
{
	Call *call = H2O_STRUCT_FROM_MEMBER(Call, retry, entry);

	if (call->catalog)
		call_submit(call);
	else
		call_run(call);
}

Call *
call_create(h2o_req_t *req, CallContext *context)
{
	Call		   *call = h2o_mem_alloc_shared(&req->pool, sizeof(*call), call_dispose);
	struct timespec now;

	memset(call, 0, sizeof(*call));
	context->in_flight++;
	metrics_add(METRIC_IN_FLIGHT, 1);
	clock_gettime(CLOCK_MONOTONIC, &now);
	call->req = req;
	call->context = context;
	call->retry.cb = on_retry;
	call->started = (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
	call->is_head = h2o_memis(req->method.base, req->method.len, H2O_STRLIT("HEAD"));
	set_request_id(call);
	set_trace(call);
	set_client(call);
	h2o_req_getenv(req, H2O_STRLIT("call"), 1)->base = (char *) call;
	return call;
}

/* call_find returns the call of a request, or NULL if no handler has seen it. */
Call *
call_find(h2o_req_t *req)
{
	h2o_iovec_t *slot = h2o_req_getenv(req, H2O_STRLIT("call"), 0);

	return slot ? (Call *) slot->base : NULL;
}

static void
answer_internal(Call *call, const char *reason)
{
	log_message(LOG_ERROR, call->request_id, "%s %s: %s", call->endpoint ? call->endpoint->path : "-", "internal error",
				reason);
	respond_error(call, ERROR_internal, NULL, "the request id tells the operator what happened");
}

/* next_line takes a line off the text; the last one may have no line feed. */
static bool
next_line(h2o_iovec_t *text, h2o_iovec_t *line)
{
	char *feed;

	if (text->len == 0)
		return false;
	feed = memchr(text->base, '\n', text->len);
	line->base = text->base;
	line->len = feed ? (size_t) (feed - text->base) : text->len;
	text->base += line->len + (feed ? 1 : 0);
	text->len -= line->len + (feed ? 1 : 0);
	return true;
}

/* what the headers column says beside headers */
typedef struct AnswerOptions
{
	h2o_iovec_t claims;
	const char *content_type;
	char	   *refused; /* code and message of an error whose transaction has committed, or NULL */
} AnswerOptions;

static bool
is_header_name(h2o_iovec_t name)
{
	for (size_t i = 0; i < name.len; i++)
	{
		char c = name.base[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
			return false;
	}
	return name.len > 0;
}

static bool
read_header(Call *call, h2o_iovec_t line, AnswerOptions *options)
{
	h2o_mem_pool_t *pool = &call->req->pool;
	char		   *colon = memchr(line.base, ':', line.len);
	h2o_iovec_t		name;
	h2o_iovec_t		value;

	if (colon == NULL || memchr(line.base, '\r', line.len))
		return false;
	name = h2o_strdup(pool, line.base, (size_t) (colon - line.base));
	value = h2o_strdup(pool, colon + 1, (size_t) (line.base + line.len - colon - 1));
	while (value.len > 0 && *value.base == ' ')
	{
		value.base++;
		value.len--;
	}
	h2o_strtolower(name.base, name.len);
	if (!is_header_name(name))
		return false;
	if (h2o_memis(name.base, name.len, H2O_STRLIT("claims")))
		options->claims = value;
	else if (h2o_memis(name.base, name.len, H2O_STRLIT("content-type")))
		options->content_type = value.base;
	else if (h2o_memis(name.base, name.len, H2O_STRLIT("refused")))
		options->refused = value.base;
	else if (h2o_memis(name.base, name.len, H2O_STRLIT("cache-drop")))
		cache_drop(value.base, value.len);
	else
		respond_header(call, name.base, value.base);
	return true;
}

static void
token_dispose(void *holder)
{
	free(*(char **) holder);
}

/*
 * splice_token makes {"access":"TOKEN",...} of a body {...}, without copying
 * it.  parts has room for four.
 */
static bool
splice_token(Call *call, h2o_iovec_t claims, h2o_iovec_t body, h2o_iovec_t *parts)
{
	char **holder;
	char  *token;

	if (body.len < 2 || body.base[0] != '{')
		return false;
	token = auth_mint(claims.base, claims.len);
	if (token == NULL)
		return false;
	holder = h2o_mem_alloc_shared(&call->req->pool, sizeof(*holder), token_dispose);
	*holder = token;
	parts[0] = h2o_iovec_init(H2O_STRLIT("{\"access\":\""));
	parts[1] = h2o_iovec_init(token, strlen(token));
	parts[2] = body.base[1] == '}' ? h2o_iovec_init(H2O_STRLIT("\"")) : h2o_iovec_init(H2O_STRLIT("\","));
	parts[3] = h2o_iovec_init(body.base + 1, body.len - 1);
	return true;
}

static bool
read_headers(Call *call, h2o_iovec_t text, AnswerOptions *options)
{
	h2o_iovec_t line;

	while (next_line(&text, &line))
	{
		if (line.len > 0 && !read_header(call, line, options))
			return false;
	}
	return true;
}

/* split_answer divides what a statement returned into its header lines and its body, whose base is NULL if there is none. */
static bool
split_answer(const PGresult *result, h2o_iovec_t *headers, h2o_iovec_t *body)
{
	char  *text;
	char  *end;
	size_t len;

	if (PQntuples(result) != 1 || PQnfields(result) != 1 || PQgetisnull(result, 0, 0))
		return false;
	text = PQgetvalue(result, 0, 0);
	len = (size_t) PQgetlength(result, 0, 0);
	end = *text == '\n' ? text : memmem(text, len, "\n\n", 2);
	if (end == NULL)
		return false;
	*headers = h2o_iovec_init(text, (size_t) (end - text));
	end += end == text ? 1 : 2;
	*body = h2o_iovec_init(end, len - (size_t) (end - text));
	if (body->len == 0)
		body->base = NULL;
	return true;
}

static uint64_t
now_of(Call *call)
{
	return h2o_now(call->req->conn->ctx->loop);
}

static void
entry_dispose(void *holder)
{
	cache_release(*(CacheEntry **) holder);
}

/* answer_from_cache answers if the cache has what is asked for. */
static bool
answer_from_cache(Call *call)
{
	CacheEntry	  *entry = cache_find(call->target, call->target_len, now_of(call));
	CacheEntry	 **holder;
	AnswerOptions  options = {{NULL, 0}, "application/json", NULL};
	Representation representation = {.shared = true, .cache = "HIT"};
	const Packed  *packed;

	if (entry == NULL)
		return false;
	holder = h2o_mem_alloc_shared(&call->req->pool, sizeof(*holder), entry_dispose);
	*holder = entry;
	metrics_add(METRIC_CACHE_HITS, 1);
	read_headers(call, h2o_iovec_init(entry->headers, entry->headers_len), &options);
	representation.content_type = options.content_type;
	representation.body = h2o_iovec_init(entry->body, entry->body_len);
	representation.packing = respond_packing(call);
	packed = &entry->packed[representation.packing];
	representation.packed = h2o_iovec_init(packed->data, packed->len);
	representation.etag = entry->etag;
	representation.age = (now_of(call) - entry->stored_at) / 1000;
	respond_representation(call, &representation);
	return true;
}

static void
packed_dispose(void *holder)
{
	free(*(char **) holder);
}

/* pack makes one of the other forms of a body, which lives as long as the request. */
static Packed
pack(Call *call, Packing packing, h2o_iovec_t body)
{
	Packed packed = pack_body(packing, call->cacheable, body.base, body.len);

	if (packed.data)
		*(char **) h2o_mem_alloc_shared(&call->req->pool, sizeof(char *), packed_dispose) = packed.data;
	return packed;
}

/* answer_representation answers a GET, and keeps the answer in all its forms if others may have it. */
static void
answer_representation(Call *call, h2o_iovec_t body, h2o_iovec_t headers, const char *content_type)
{
	CacheAnswer	   answer = {.target = call->target, .target_len = call->target_len};
	Packing		   packing = respond_packing(call);
	char		  *etag = h2o_mem_alloc_pool(&call->req->pool, RENTAL_ETAG_LENGTH + 1);
	Representation representation = {
		.content_type = content_type, .body = body, .packing = packing, .etag = etag, .shared = call->cacheable};

	rental_etag(body.base, body.len, etag);
	for (int i = PACKING_GZIP; i < PACKING_COUNT; i++)
	{
		if (call->cacheable || i == (int) packing)
			answer.packed[i] = pack(call, (Packing) i, body);
	}
	representation.packed = h2o_iovec_init(answer.packed[packing].data, answer.packed[packing].len);
	if (call->cacheable)
	{
		answer.etag = etag;
		answer.body = body.base;
		answer.body_len = body.len;
		answer.headers = headers.base;
		answer.headers_len = headers.len;
		representation.cache = "MISS";
		cache_store(&answer, &call->stamp, now_of(call), call->endpoint->cache_seconds);
		end_fill(call);
	}
	respond_representation(call, &representation);
}

/* answer_refusal: an error that the domain did not raise, since its transaction was to commit: code, blank, message. */
static void
answer_refusal(Call *call, char *refused)
{
	char			 *message = strchr(refused, ' ');
	const ErrorEntry *entry;

	if (message)
		*message++ = '\0';
	entry = error_find(refused);
	if (entry == NULL || message == NULL)
	{
		answer_internal(call, "a refusal without a known code");
		return;
	}
	metrics_add(METRIC_DATABASE_RULE, 1);
	respond_problem(call, &(Problem){entry->status, entry->name, entry->title, message, NULL, 0});
}

/* call_answer answers with what the statement returned. */
void
call_answer(Call *call, PGresult *result)
{
	AnswerOptions options = {{NULL, 0}, "application/json", NULL};
	h2o_iovec_t	  headers;
	h2o_iovec_t	  parts[4];
	size_t		  nparts;
	bool		  is_read;

	if (!split_answer(result, &headers, &parts[0]))
	{
		answer_internal(call, "the statement did not return headers, an empty line and a body");
		return;
	}
	nparts = parts[0].base ? 1 : 0;
	if (!read_headers(call, headers, &options))
	{
		answer_internal(call, "malformed response header");
		return;
	}
	if (options.refused)
	{
		answer_refusal(call, options.refused);
		return;
	}
	is_read = call->endpoint->method == METHOD_GET;
	if (is_read && call->endpoint->stream)
	{
		stream_open(call, parts[0].base, nparts > 0 ? parts[0].len : 0);
		return;
	}
	if (is_read && call->endpoint->download)
	{
		download_answer(call, nparts > 0 ? parts[0].base : "", nparts > 0 ? parts[0].len : 0);
		return;
	}
	if (is_read && nparts > 0 && call->endpoint->status == 200 && options.claims.base == NULL)
	{
		answer_representation(call, parts[0], headers, options.content_type);
		return;
	}
	if (options.claims.base)
	{
		if (nparts == 0 || !splice_token(call, options.claims, parts[0], parts))
		{
			answer_internal(call, "claims without a body that can hold a token");
			return;
		}
		nparts = 4;
	}
	respond_body(call, call->endpoint->status, options.content_type, parts, nparts);
}

static const char *
join(Call *call, const char *message, const char *detail)
{
	if (detail == NULL)
		return message;
	return h2o_concat(&call->req->pool, h2o_iovec_init(message, strlen(message)), h2o_iovec_init(H2O_STRLIT(". ")),
					  h2o_iovec_init(detail, strlen(detail)), h2o_iovec_init(H2O_STRLIT("\0")))
		.base;
}

/* answer_rule: SQLSTATE RTnnn, an error that the domain raised for the client to read. */
static void
answer_rule(Call *call, const PGresult *result, int status)
{
	const char		 *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char		 *code = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
	const ErrorEntry *entry = code ? error_find(code) : NULL;
	Problem			  problem;

	problem.status = status;
	problem.code = code ? code : "error";
	problem.title = entry ? entry->title : message;
	problem.detail = join(call, message, PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL));
	problem.field = PQresultErrorField(result, PG_DIAG_COLUMN_NAME);
	problem.retry_after = status == 503 || status == 429 ? 1 : 0;
	respond_problem(call, &problem);
}

static bool
has_prefix(const char *sqlstate, const char *prefix)
{
	return strncmp(sqlstate, prefix, strlen(prefix)) == 0;
}

static bool
is_timeout(const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	return sqlstate && strcmp(sqlstate, "57014") == 0;
}

/* is_outdated: the endpoint's function has changed since the catalog was read, which is then read again. */
static bool
is_outdated(Call *call, const PGresult *result)
{
	if (!pg_result_is_outdated(result))
		return false;
	catalog_refresh(&call->context->catalog);
	if (call->catalog == call->context->catalog)
		call->context->outdated();
	return true;
}

/* call_answer_error answers with the error of a statement. */
void
call_answer_error(Call *call, const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	int			status;

	if (sqlstate == NULL)
		sqlstate = "";
	if (has_prefix(sqlstate, "RT") && text_is_integer(sqlstate + 2, 3, 400, 599))
	{
		status = atoi(sqlstate + 2);
		metrics_add(METRIC_DATABASE_RULE, 1);
		if (status >= 500)
			log_message(LOG_WARNING, call->request_id, "%s: %s", sqlstate, message);
		answer_rule(call, result, status);
	}
	else if (pg_result_is_transient(result))
	{
		metrics_add(METRIC_DATABASE_TRANSIENT, 1);
		respond_error(call, ERROR_unavailable, NULL, "too many requests change the same at once");
	}
	else if (is_outdated(call, result))
	{
		metrics_add(METRIC_DATABASE_TRANSIENT, 1);
		respond_error(call, ERROR_unavailable, NULL, "this is just being changed");
	}
	else if (is_timeout(result))
	{
		metrics_add(METRIC_DATABASE_TIMEOUT, 1);
		respond_error(call, ERROR_timed_out, NULL, "the database took too long");
	}
	else if (has_prefix(sqlstate, "22"))
		respond_error(call, ERROR_invalid_field, NULL, "a value is malformed or out of range");
	else if (strcmp(sqlstate, "23505") == 0)
		respond_error(call, ERROR_conflict, NULL, "something with these values exists already");
	else if (strcmp(sqlstate, "23503") == 0 || strcmp(sqlstate, "23502") == 0 || strcmp(sqlstate, "23514") == 0)
		respond_error(call, ERROR_rule_violated, NULL, "the values do not fit what is stored");
	else if (has_prefix(sqlstate, "53") || has_prefix(sqlstate, "57P0") || has_prefix(sqlstate, "08"))
	{
		log_message(LOG_WARNING, call->request_id, "%s: %s", sqlstate, message);
		metrics_add(METRIC_DATABASE_OTHER, 1);
		respond_error(call, ERROR_unavailable, NULL, "the database is not available");
	}
	else
	{
		metrics_add(METRIC_DATABASE_OTHER, 1);
		log_message(LOG_ERROR, call->request_id, "%s: SQLSTATE %s: %s", call->endpoint->path, sqlstate,
					message ? message : "-");
		respond_error(call, ERROR_internal, NULL, "the request id tells the operator what happened");
	}
}

/* writer is whose writes the caller is to see: its own, or those from its address. */
static const char *
writer(const Call *call)
{
	return call->actor.known ? call->actor.user_id : call->client;
}

/*
 * reads_replica: a standby may answer, unless it may lack what the caller has
 * written, the cache is to hold the answer, or this is not the first attempt.
 */
static bool
reads_replica(Call *call)
{
	PgPool *replica = call->context->pools[POOL_REPLICA];

	return replica && call->endpoint->pool == POOL_READ && !call->endpoint->stream && !call->cacheable &&
		   call->attempts == 1 && pg_pool_is_ready(replica) && replica_has_writes(writer(call));
}

/*
 * may_retry: an error that has rolled everything back is tried again a few
 * times; what was lost with its connection only if it can have changed
 * nothing, and once. What the standby refuses, since it goes away or is
 * behind, the primary is asked for, unless the time for that is up.
 */
static bool
may_retry(Call *call, PgOutcome outcome, const PGresult *result)
{
	if (outcome == PG_ANSWERED)
		return PQresultStatus(result) == PGRES_FATAL_ERROR &&
			   ((pg_result_is_transient(result) && call->attempts <= MAX_RETRIES) ||
				(call->on_replica && !is_timeout(result)));
	if (outcome == PG_NOT_STARTED)
		return call->on_replica;
	return outcome == PG_LOST && call->endpoint->pool == POOL_READ && call->attempts == 1;
}

/* start_over: the endpoint has changed; when that has been read, the request is taken for one that just came. */
static void
start_over(Call *call)
{
	end_fill(call);
	catalog_release(call->catalog);
	call->catalog = NULL;
	call->endpoint = NULL;
	h2o_timeout_link(call->req->conn->ctx->loop, &call->req->conn->ctx->hundred_ms_timeout, &call->retry);
}

static void
on_query_done(PgQuery *query, PgOutcome outcome, PGresult *result)
{
	Call *call = H2O_STRUCT_FROM_MEMBER(Call, query, query);

	PQclear(call->result);
	call->result = result;
	if (call->endpoint->pool != POOL_READ && call->context->pools[POOL_REPLICA])
		replica_note_write(writer(call));
	if (may_retry(call, outcome, result))
	{
		metrics_add(METRIC_RETRIES, 1);
		h2o_timeout_link(call->req->conn->ctx->loop, &call->context->retry_delay, &call->retry);
		return;
	}
	if (outcome == PG_ANSWERED && call->upload == NULL && call->attempts <= MAX_RETRIES && is_outdated(call, result))
	{
		metrics_add(METRIC_RETRIES, 1);
		start_over(call);
		return;
	}
	switch (outcome)
	{
		case PG_ANSWERED:
			if (PQresultStatus(result) != PGRES_TUPLES_OK)
			{
				if (call->upload)
					upload_refuse(call);
				call_answer_error(call, result);
			}
			else if (call->upload)
				upload_keep(call, result);
			else
				call_answer(call, result);
			break;
		case PG_LOST:
			respond_error(call, ERROR_unavailable, NULL,
						  "the database went away; whether the request was done is not known");
			break;
		case PG_NOT_STARTED:
			if (call->upload)
				upload_refuse(call);
			respond_error(call, ERROR_unavailable, NULL, "the database is too busy");
			break;
		case PG_TIMED_OUT:
			respond_error(call, ERROR_timed_out, NULL, "the database took too long");
			break;
	}
}

/* call_submit sends the query of a call whose values are complete. */
void
call_submit(Call *call)
{
	const Endpoint *endpoint = call->endpoint;

	if (call->cacheable && call->attempts == 0)
		cache_stamp(endpoint, &call->route, &call->stamp);
	call->attempts++;
	call->query.statement.name = endpoint->statement_name;
	call->query.statement.sql = endpoint->sql;
	call->query.statement.number = endpoint->number;
	call->query.statement.generation = call->catalog->generation;
	/* it begins by saying who calls, so it finds nothing of its neighbours' */
	call->query.statement.shares = endpoint->is_stable;
	call->query.values = call->values;
	call->query.nvalues = endpoint->context + endpoint->nargs;
	call->query.done = on_query_done;
	hold_socket(call);
	call->on_replica = reads_replica(call) && pg_pool_submit(call->context->pools[POOL_REPLICA], &call->query);
	if (call->on_replica || pg_pool_submit(call->context->pools[endpoint->pool], &call->query))
		return;
	if (call->upload)
		upload_refuse(call);
	respond_error(call, ERROR_unavailable, NULL, "the database is not available or too busy");
}

static bool
is_json_type(h2o_iovec_t type)
{
	static const char json[] = "application/json";
	size_t			  len = sizeof(json) - 1;

	return type.len >= len && strncasecmp(type.base, json, len) == 0 &&
		   (type.len == len || type.base[len] == ';' || type.base[len] == ' ');
}

/* network_length: an IPv6 client has as many addresses as it likes; the first half names it. */
static size_t
network_length(const char *address)
{
	size_t len = 0;

	for (int groups = 0; address[len] != '\0' && groups < 4; len++)
	{
		if (address[len] == ':')
			groups++;
		if (address[len] == ':' && address[len + 1] == ':')
			break;
	}
	return len;
}

/* take_body decides whether the request has a body that can be read.  False: answered. */
static bool
take_body(Call *call, h2o_iovec_t *body)
{
	h2o_req_t *req = call->req;
	ssize_t	   type = h2o_find_header(&req->headers, H2O_TOKEN_CONTENT_TYPE, -1);

	*body = h2o_iovec_init(NULL, 0);
	if (req->entity.base == NULL || req->entity.len == 0)
		return true;
	if (call->endpoint->method == METHOD_GET)
	{
		respond_error(call, ERROR_bad_request, NULL, "this method takes no body");
		return false;
	}
	if (call->endpoint->raw_body)
	{
		if (!text_is_utf8(req->entity.base, req->entity.len) || memchr(req->entity.base, '\0', req->entity.len))
		{
			respond_error(call, ERROR_bad_request, NULL, "the body is not UTF-8 text");
			return false;
		}
		*body = req->entity;
		return true;
	}
	if (type == -1 || !is_json_type(req->headers.entries[type].value))
	{
		respond_error(call, ERROR_unsupported_media_type, NULL, "send application/json");
		return false;
	}
	*body = req->entity;
	return true;
}

/* refuse_credentials answers 401. */
static void
refuse_credentials(Call *call, AuthResult result)
{
	metrics_add(METRIC_TOKENS_REFUSED, 1);
	memset(&call->actor, 0, sizeof(call->actor));
	if (result == AUTH_EXPIRED)
		respond_error(call, ERROR_expired_token, NULL, "the access token has expired");
	else
		respond_error(call, ERROR_invalid_token, NULL, "the access token or API key is not valid");
}

static bool
refuse_limited(Call *call, const char *detail)
{
	metrics_add(METRIC_LIMITED, 1);
	respond_problem(call, &(Problem){429, error_entry(ERROR_rate_limited)->name, error_entry(ERROR_rate_limited)->title,
									 detail, NULL, call->limit.retry_after});
	return false;
}

/*
 * limit_request takes a request from the caller's bucket of the endpoint's
 * class, or from that of an API key with a limit of its own.  False: answered.
 */
static bool
limit_request(Call *call)
{
	const Actor *actor = &call->actor;
	const char	*who = call->client;
	size_t		 len = strlen(who);
	int class = call->endpoint->limit;

	if (actor->known && actor->rate_limit > 0)
	{
		limit_take_own(actor->rate_limit, hash_bytes(actor->key_id, strlen(actor->key_id), KIND_KEY_LIMIT),
					   &call->limit);
		if (call->limit.allowed)
			return true;
		return refuse_limited(call, "the limit of this API key is used up");
	}
	if (class < 0)
		return true;
	if (actor->known)
	{
		who = actor->key_id[0] != '\0' ? actor->key_id : actor->user_id;
		len = strlen(who);
	}
	else if (strchr(who, ':'))
		len = network_length(who);
	limit_take(class, hash_bytes(who, len, (uint64_t) (KIND_LIMIT + class)), &call->limit);
	if (call->limit.allowed)
		return true;
	return refuse_limited(call, "the limit of this class of requests is used up");
}

static void
on_key_verified(PgQuery *query, PgOutcome outcome, PGresult *result)
{
	Call  *call = H2O_STRUCT_FROM_MEMBER(Call, key_query, query);
	Actor *actor = &call->actor;

	if (outcome != PG_ANSWERED || PQresultStatus(result) != PGRES_TUPLES_OK)
		respond_error(call, ERROR_unavailable, NULL, "the API key cannot be verified now");
	else if (PQntuples(result) != 1)
		refuse_credentials(call, AUTH_INVALID);
	else
	{
		strncpy(actor->key_id, PQgetvalue(result, 0, 0), UUID_LENGTH);
		strncpy(actor->user_id, PQgetvalue(result, 0, 1), UUID_LENGTH);
		strncpy(actor->role, PQgetvalue(result, 0, 2), ROLE_MAX_LENGTH);
		strncpy(actor->vendor_id, PQgetvalue(result, 0, 3), UUID_LENGTH);
		auth_set_scopes(actor, PQgetvalue(result, 0, 4));
		actor->rate_limit = PQgetisnull(result, 0, 6) ? 0 : atoi(PQgetvalue(result, 0, 6));
		actor->expires_at = actor->issued_at + ACTOR_KEY_LIFE;
		actor->known = true;
		/* a revocation of the same second may be older or newer than this answer: it stands, but is not kept */
		if (!revoke_applies(actor))
			key_cache_store(call->key_hash, actor, PQgetisnull(result, 0, 5) ? -1 : atof(PQgetvalue(result, 0, 5)));
		call_continue(call);
	}
	PQclear(result);
}

/* verify_key asks the database whom an API key speaks for; guessing is limited by the client's address. */
static void
verify_key(Call *call, const char *key, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	char			 *text;

	hash_sha256(key, len, call->key_hash);
	if (key_cache_find(call->key_hash, &call->actor))
	{
		call_continue(call);
		return;
	}
	memset(&call->actor, 0, sizeof(call->actor));
	if (!limit_request(call))
		return;
	call->actor.issued_at = time(NULL);
	text = h2o_mem_alloc_pool(&call->req->pool, 2 * KEY_HASH_LENGTH + 3);
	memcpy(text, "\\x", 2);
	for (int i = 0; i < KEY_HASH_LENGTH; i++)
	{
		text[2 + 2 * i] = hex[call->key_hash[i] >> 4];
		text[3 + 2 * i] = hex[call->key_hash[i] & 15];
	}
	text[2 * KEY_HASH_LENGTH + 2] = '\0';
	call->key_values[0] = text;
	call->key_query.statement.sql = key_sql;
	call->key_query.values = call->key_values;
	call->key_query.nvalues = 1;
	call->key_query.done = on_key_verified;
	if (!pg_pool_submit(call->context->pools[POOL_READ], &call->key_query))
		respond_error(call, ERROR_unavailable, NULL, "the database is not available or too busy");
}

/* authenticate finds out who calls, and goes on, now or later. */
static void
authenticate(Call *call)
{
	const h2o_headers_t *headers = &call->req->headers;
	ssize_t				 index = h2o_find_header(headers, H2O_TOKEN_AUTHORIZATION, -1);
	AuthResult			 result = AUTH_VALID;

	if (index != -1)
	{
		h2o_iovec_t value = headers->entries[index].value;

		if (h2o_find_header(headers, H2O_TOKEN_AUTHORIZATION, index) != -1)
			result = AUTH_INVALID;
		else if (value.len > 10 && value.len < 128 && strncasecmp(value.base, "Bearer ", 7) == 0 &&
				 memcmp(value.base + 7, "rk_", 3) == 0)
		{
			verify_key(call, value.base + 7, value.len - 7);
			return;
		}
		else
			result = auth_verify(value.base, value.len, &call->actor);
		if (result == AUTH_VALID && revoke_applies(&call->actor))
			result = AUTH_INVALID;
	}
	if (result == AUTH_VALID)
		call_continue(call);
	else
		refuse_credentials(call, result);
}

/* is_allowed: the caller may call the endpoint.  False: answered. */
static bool
is_allowed(Call *call)
{
	if (auth_allows(call->endpoint, &call->actor))
		return true;
	if (!call->actor.known)
		respond_error(call, ERROR_unauthenticated, NULL, "an access token is needed");
	else
		respond_error(call, ERROR_forbidden, NULL, "your role or key does not allow this");
	return false;
}

/* set_context fills $1: who calls, a line each, see request_begin. */
static void
set_context(Call *call)
{
	const Actor *actor = &call->actor;
	const char	*lines[] = {actor->user_id,	  actor->role,	actor->vendor_id, actor->session_id,
							call->request_id, call->client, call->target};
	const size_t nlines = sizeof(lines) / sizeof(*lines);
	size_t		 len = 0;
	char		*text;
	char		*end;

	for (size_t i = 0; i < nlines; i++)
		len += strlen(lines[i]) + 1;
	text = h2o_mem_alloc_pool(&call->req->pool, len);
	end = text;
	for (size_t i = 0; i < nlines; i++)
	{
		end = stpcpy(end, lines[i]);
		*end++ = '\n';
	}
	end[-1] = '\0';
	call->values[0] = text;
}

/* find_header is the value of a field that may stand once; NULL if it is absent or stands twice. */
static const char *
find_header(Call *call, const char *name, size_t len, bool *twice)
{
	const h2o_headers_t *headers = &call->req->headers;
	ssize_t				 index = h2o_find_header_by_str(headers, name, len, -1);

	*twice = index != -1 && h2o_find_header_by_str(headers, name, len, index) != -1;
	if (index == -1 || *twice)
		return NULL;
	return h2o_strdup(&call->req->pool, headers->entries[index].value.base, headers->entries[index].value.len).base;
}

/* fingerprint tells one request from another: method, target and body. */
static const char *
fingerprint(Call *call, h2o_iovec_t body)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char	  digest[SHA256_LENGTH];
	h2o_iovec_t		  whole = h2o_concat(&call->req->pool, call->req->method, h2o_iovec_init(H2O_STRLIT(" ")),
										 h2o_iovec_init(call->target, strlen(call->target)), h2o_iovec_init(H2O_STRLIT("\n")),
										 h2o_iovec_init(body.base ? body.base : "", body.len));
	char			 *text = h2o_mem_alloc_pool(&call->req->pool, 2 * SHA256_LENGTH + 1);

	hash_sha256(whole.base, whole.len, digest);
	for (int i = 0; i < SHA256_LENGTH; i++)
	{
		text[2 * i] = hex[digest[i] >> 4];
		text[2 * i + 1] = hex[digest[i] & 15];
	}
	text[2 * SHA256_LENGTH] = '\0';
	return text;
}

/* call_set_condition fills what follows: on what condition the work is to be done.  False: answered. */
bool
call_set_condition(Call *call, h2o_iovec_t body)
{
	const char **values = call->values + CALLER_ARGUMENTS;
	bool		 is_post = call->endpoint->method == METHOD_POST;
	const char	*name = is_post ? "idempotency-key" : "if-match";
	bool		 twice;

	if (call->endpoint->method == METHOD_GET)
		return true;
	values[0] = find_header(call, name, strlen(name), &twice);
	if (twice || (values[0] && !text_is_utf8(values[0], strlen(values[0]))))
	{
		respond_error(call, ERROR_bad_request, NULL, "%s is given twice or is not text",
					  is_post ? "Idempotency-Key" : "If-Match");
		return false;
	}
	if (is_post)
		values[1] = values[0] ? fingerprint(call, body) : NULL;
	return true;
}

static bool
is_printable_ascii(h2o_iovec_t text)
{
	for (size_t i = 0; i < text.len; i++)
	{
		if (text.base[i] <= ' ' || text.base[i] > '~')
			return false;
	}
	return true;
}

/* find_endpoint routes the request.  False: answered. */
static bool
find_endpoint(Call *call, h2o_iovec_t path)
{
	h2o_req_t  *req = call->req;
	Method		method;
	RouteResult result;

	catalog_refresh(&call->context->catalog);
	if (call->context->catalog == NULL)
	{
		respond_error(call, ERROR_unavailable, NULL, "the server is starting");
		return false;
	}
	call->catalog = catalog_acquire(call->context->catalog);
	result = router_match(call->catalog, path.base, path.len,
						  h2o_mem_alloc_pool(&req->pool, path.len + MAX_SEGMENTS + 1), &call->route);
	if (result == ROUTE_MALFORMED)
		respond_error(call, ERROR_bad_request, NULL, "the path is malformed");
	else if (result == ROUTE_UNKNOWN)
		respond_error(call, ERROR_not_found, NULL, "there is nothing at this path");
	else if (h2o_memis(req->method.base, req->method.len, H2O_STRLIT("OPTIONS")))
	{
		respond_preflight(call, call->route.node->allow);
	}
	else
	{
		if (call->is_head)
			call->endpoint = call->route.node->endpoints[METHOD_GET];
		else if (router_method(req->method.base, req->method.len, &method))
			call->endpoint = call->route.node->endpoints[method];
		if (call->endpoint)
			return true;
		respond_header(call, "allow", call->route.node->allow);
		respond_error(call, ERROR_method_not_allowed, NULL, "this path does not take this method");
	}
	return false;
}

/* look_into_cache answers from memory.  True: it did. */
static bool
look_into_cache(Call *call)
{
	call->cacheable = call->endpoint->cache_seconds > 0 && !call->actor.known && cache_is_on();
	return call->cacheable && answer_from_cache(call);
}

/* begin_fill lets the call fetch what the cache has not.  False: it need not, or waits for another one that does. */
static bool
begin_fill(Call *call)
{
	FillKey key = {.target = call->target, .target_len = call->target_len, .catalog = call->catalog};

	cache_stamp(call->endpoint, &call->route, &key.stamp);
	call->waiting.done = on_filled;
	call->fill = fill_begin(&call->context->fills, &key, &call->waiting);
	if (call->fill == NULL)
	{
		metrics_add(METRIC_CACHE_JOINED, 1);
		return false;
	}
	/* another thread may just have finished */
	if (answer_from_cache(call))
	{
		end_fill(call);
		return false;
	}
	metrics_add(METRIC_CACHE_MISSES, 1);
	return true;
}

/* bind_raw fills what an endpoint that takes its body as it comes wants of the request. */
static void
bind_raw(Call *call, h2o_iovec_t body)
{
	h2o_req_t	*req = call->req;
	const char **values = call->values + call->endpoint->context;

	for (int i = 0; i < call->endpoint->nargs; i++)
	{
		const Argument *arg = &call->endpoint->args[i];
		char		   *name;
		ssize_t			at;

		if (!arg->of_request)
			continue;
		if (strcmp(arg->name, "body") == 0)
		{
			values[i] = h2o_strdup(&req->pool, body.base ? body.base : "", body.len).base;
			continue;
		}
		name = h2o_strdup(&req->pool, arg->name + 7, SIZE_MAX).base;
		for (char *c = name; *c != '\0'; c++)
			*c = *c == '_' ? '-' : *c;
		at = h2o_find_header_by_str(&req->headers, name, strlen(name), -1);
		if (at != -1 && text_is_utf8(req->headers.entries[at].value.base, req->headers.entries[at].value.len))
			values[i] =
				h2o_strdup(&req->pool, req->headers.entries[at].value.base, req->headers.entries[at].value.len).base;
	}
}

/* call_continue goes on when it is known who calls. */
static void
call_continue(Call *call)
{
	h2o_req_t  *req = call->req;
	h2o_iovec_t body;
	BindError	error;

	if (!limit_request(call) || !is_allowed(call))
		return;
	body = h2o_iovec_init(NULL, 0);
	if (call->endpoint->upload_field ? !upload_take(call) : !take_body(call, &body) || look_into_cache(call))
		return;
	call->values =
		h2o_mem_alloc_pool(&req->pool, sizeof(char *) * (size_t) (call->endpoint->context + call->endpoint->nargs));
	set_context(call);
	if (call->endpoint->upload_field == NULL && !call_set_condition(call, body))
		return;
	if (!bind_arguments(&req->pool, call->endpoint, &call->route, call->query_string,
						call->endpoint->raw_body ? h2o_iovec_init(NULL, 0) : body,
						call->values + call->endpoint->context, &error))
	{
		respond_error(call, error.code, error.field, "%s", error.message);
		return;
	}
	if (call->endpoint->raw_body)
		bind_raw(call, body);
	if (call->upload)
		upload_store(call);
	else if (call->endpoint->csv)
		export_open(call);
	else if (!call->cacheable || begin_fill(call))
		call_submit(call);
}

/* body_fits: where uploads are taken, libh2o reads more than other endpoints may get.  False: answered. */
static bool
body_fits(Call *call)
{
	if (call->endpoint->upload_field || call->req->entity.len <= max_body)
		return true;
	respond_error(call, ERROR_payload_too_large, NULL, "the body is larger than this server takes");
	return false;
}

/* call_run takes a request all the way; the answer comes now or later. */
void
call_run(Call *call)
{
	h2o_req_t  *req = call->req;
	h2o_iovec_t path = req->input.path;
	h2o_iovec_t target;
	char	   *mark;

	if (path.len > PATH_MAX_LENGTH || !is_printable_ascii(path))
	{
		respond_error(call, ERROR_bad_request, NULL, "the path is too long or not ASCII");
		return;
	}
	target = h2o_strdup(&req->pool, path.base, path.len);
	call->target = target.base;
	call->target_len = target.len;
	mark = memchr(path.base, '?', path.len);
	if (mark)
	{
		call->query_string = h2o_iovec_init(mark + 1, (size_t) (path.base + path.len - mark - 1));
		path.len = (size_t) (mark - path.base);
	}
	if (find_endpoint(call, path) && body_fits(call))
		authenticate(call);
}
