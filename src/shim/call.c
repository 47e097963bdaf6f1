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
#include "log.h"
#include "respond.h"

#define PATH_MAX_LENGTH 8192
#define MAX_RETRIES		3
#define RETRY_DELAY		10 /* milliseconds */

/* the columns of every endpoint's statement */
#define COLUMN_BODY		1
#define COLUMN_HEADERS	2
#define COLUMN_COUNT	3

static void call_submit(Call *call);

void
call_context_init(CallContext *context, h2o_loop_t *loop)
{
	h2o_timeout_init(loop, &context->retry_delay, RETRY_DELAY);
	if (getrandom(context->random, sizeof(context->random), 0) != sizeof(context->random))
		h2o_fatal("no random numbers");
}

/* next_random is xorshift128+: for request ids, never for secrets. */
static uint64_t
next_random(CallContext *context)
{
	uint64_t x = context->random[0];
	uint64_t y = context->random[1];

	context->random[0] = y;
	x ^= x << 23;
	context->random[1] = x ^ y ^ (x >> 17) ^ (y >> 26);
	return context->random[1] + y;
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
	static const char	 hex[] = "0123456789abcdef";
	const h2o_headers_t *headers = &call->req->headers;
	ssize_t				 index = h2o_find_header_by_str(headers, H2O_STRLIT("x-request-id"), -1);

	if (index != -1 && request_id_is_sane(headers->entries[index].value))
	{
		memcpy(call->request_id, headers->entries[index].value.base, headers->entries[index].value.len);
		return;
	}
	for (int half = 0; half < 2; half++)
	{
		uint64_t random = next_random(call->context);

		for (int i = 0; i < 16; i++)
			call->request_id[half * 16 + i] = hex[random >> (60 - 4 * i) & 15];
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
		inet_ntop(AF_INET, &((struct sockaddr_in *) &address)->sin_addr, call->client, sizeof(call->client));
	else if (address.ss_family == AF_INET6)
		inet_ntop(AF_INET6, &((struct sockaddr_in6 *) &address)->sin6_addr, call->client, sizeof(call->client));
}

/* call_dispose runs when h2o drops the request, answered or not. */
static void
call_dispose(void *memory)
{
	Call *call = memory;

	call->context->in_flight--;
	h2o_timeout_unlink(&call->retry);
	pg_pool_abandon(&call->query);
	if (call->catalog)
		catalog_release(call->catalog);
}

static void
on_retry(h2o_timeout_entry_t *entry)
{
	call_submit(H2O_STRUCT_FROM_MEMBER(Call, retry, entry));
}

Call *
call_create(h2o_req_t *req, CallContext *context)
{
	Call		   *call = h2o_mem_alloc_shared(&req->pool, sizeof(*call), call_dispose);
	struct timespec now;

	memset(call, 0, sizeof(*call));
	context->in_flight++;
	clock_gettime(CLOCK_MONOTONIC, &now);
	call->req = req;
	call->context = context;
	call->retry.cb = on_retry;
	call->started = (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
	call->is_head = h2o_memis(req->method.base, req->method.len, H2O_STRLIT("HEAD"));
	set_request_id(call);
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
result_dispose(void *holder)
{
	PQclear(*(PGresult **) holder);
}

/* keep_result ties a result to the request, so that its text can be sent as it is. */
static void
keep_result(Call *call, PGresult *result)
{
	PGresult **holder = h2o_mem_alloc_shared(&call->req->pool, sizeof(*holder), result_dispose);

	*holder = result;
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

static void
answer_result(Call *call, PGresult *result)
{
	AnswerOptions options = {{NULL, 0}, "application/json"};
	h2o_iovec_t	  parts[4];
	size_t		  nparts = 0;

	if (PQntuples(result) != 1 || PQnfields(result) != COLUMN_COUNT)
	{
		answer_internal(call, "the statement did not return one row of three columns");
		return;
	}
	if (!PQgetisnull(result, 0, COLUMN_HEADERS))
	{
		h2o_iovec_t text =
			h2o_iovec_init(PQgetvalue(result, 0, COLUMN_HEADERS), (size_t) PQgetlength(result, 0, COLUMN_HEADERS));
		h2o_iovec_t line;

		while (next_line(&text, &line))
		{
			if (line.len > 0 && !read_header(call, line, &options))
			{
				answer_internal(call, "malformed response header");
				return;
			}
		}
	}
	if (!PQgetisnull(result, 0, COLUMN_BODY))
	{
		parts[0] = h2o_iovec_init(PQgetvalue(result, 0, COLUMN_BODY), (size_t) PQgetlength(result, 0, COLUMN_BODY));
		nparts = 1;
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

static void
answer_error(Call *call, const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	int			status;

	if (sqlstate == NULL)
		sqlstate = "";
	if (has_prefix(sqlstate, "RT") && text_is_integer(sqlstate + 2, 3, 400, 599))
	{
		status = atoi(sqlstate + 2);
		if (status >= 500)
			log_message(LOG_WARNING, call->request_id, "%s: %s", sqlstate, message);
		answer_rule(call, result, status);
	}
	else if (pg_result_is_transient(result))
		respond_error(call, ERROR_unavailable, NULL, "too many requests change the same at once");
	else if (strcmp(sqlstate, "57014") == 0)
		respond_error(call, ERROR_timed_out, NULL, "the database took too long");
	else if (has_prefix(sqlstate, "22"))
		respond_error(call, ERROR_invalid_field, NULL, "a value is malformed or out of range");
	else if (strcmp(sqlstate, "23505") == 0)
		respond_error(call, ERROR_conflict, NULL, "something with these values exists already");
	else if (strcmp(sqlstate, "23503") == 0 || strcmp(sqlstate, "23502") == 0 || strcmp(sqlstate, "23514") == 0)
		respond_error(call, ERROR_rule_violated, NULL, "the values do not fit what is stored");
	else if (has_prefix(sqlstate, "53") || has_prefix(sqlstate, "57P0") || has_prefix(sqlstate, "08"))
	{
		log_message(LOG_WARNING, call->request_id, "%s: %s", sqlstate, message);
		respond_error(call, ERROR_unavailable, NULL, "the database is not available");
	}
	else
	{
		log_message(LOG_ERROR, call->request_id, "%s: SQLSTATE %s: %s", call->endpoint->path, sqlstate,
					message ? message : "-");
		respond_error(call, ERROR_internal, NULL, "the request id tells the operator what happened");
	}
}

/*
 * may_retry: an error that has rolled everything back is tried again a few
 * times; what was lost with its connection only if it can have changed
 * nothing, and once.
 */
static bool
may_retry(Call *call, PgOutcome outcome, const PGresult *result)
{
	if (outcome == PG_ANSWERED)
		return PQresultStatus(result) == PGRES_FATAL_ERROR && pg_result_is_transient(result) &&
			   call->attempts <= MAX_RETRIES;
	return outcome == PG_LOST && call->endpoint->pool == POOL_READ && call->attempts == 1;
}

static void
on_query_done(PgQuery *query, PgOutcome outcome, PGresult *result)
{
	Call *call = H2O_STRUCT_FROM_MEMBER(Call, query, query);

	if (result)
		keep_result(call, result);
	if (may_retry(call, outcome, result))
	{
		h2o_timeout_link(call->req->conn->ctx->loop, &call->context->retry_delay, &call->retry);
		return;
	}
	switch (outcome)
	{
		case PG_ANSWERED:
			if (PQresultStatus(result) == PGRES_TUPLES_OK)
				answer_result(call, result);
			else
				answer_error(call, result);
			break;
		case PG_LOST:
			respond_error(call, ERROR_unavailable, NULL,
						  "the database went away; whether the request was done is not known");
			break;
		case PG_NOT_STARTED:
			respond_error(call, ERROR_unavailable, NULL, "the database is too busy");
			break;
		case PG_TIMED_OUT:
			respond_error(call, ERROR_timed_out, NULL, "the database took too long");
			break;
	}
}

static void
call_submit(Call *call)
{
	const Endpoint *endpoint = call->endpoint;

	call->attempts++;
	call->query.statement.name = endpoint->statement_name;
	call->query.statement.sql = endpoint->sql;
	call->query.statement.number = endpoint->number;
	call->query.statement.generation = call->catalog->generation;
	call->query.values = call->values;
	call->query.nvalues = CONTEXT_ARGUMENTS + endpoint->nargs;
	call->query.done = on_query_done;
	if (!pg_pool_submit(call->context->pools[endpoint->pool], &call->query))
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
	if (type == -1 || !is_json_type(req->headers.entries[type].value))
	{
		respond_error(call, ERROR_unsupported_media_type, NULL, "send application/json");
		return false;
	}
	*body = req->entity;
	return true;
}

/* authenticate finds out who calls, and whether that is allowed.  False: answered. */
static bool
authenticate(Call *call)
{
	const h2o_headers_t *headers = &call->req->headers;
	ssize_t				 index = h2o_find_header(headers, H2O_TOKEN_AUTHORIZATION, -1);
	AuthResult			 result = AUTH_VALID;

	if (index != -1)
	{
		h2o_iovec_t value = headers->entries[index].value;

		result = h2o_find_header(headers, H2O_TOKEN_AUTHORIZATION, index) != -1
					 ? AUTH_INVALID
					 : auth_verify(value.base, value.len, &call->actor);
	}
	if (result == AUTH_INVALID)
		respond_error(call, ERROR_invalid_token, NULL, "the access token is not valid");
	else if (result == AUTH_EXPIRED)
		respond_error(call, ERROR_expired_token, NULL, "the access token has expired");
	else if (auth_allows(call->endpoint, &call->actor))
		return true;
	else if (!call->actor.known)
		respond_error(call, ERROR_unauthenticated, NULL, "an access token is needed");
	else
		respond_error(call, ERROR_forbidden, NULL, "your role does not allow this");
	return false;
}

static const char *
or_null(const char *text)
{
	return *text != '\0' ? text : NULL;
}

/* set_context fills $1 to $7. */
static void
set_context(Call *call)
{
	const Actor *actor = &call->actor;

	call->values[0] = or_null(actor->user_id);
	call->values[1] = or_null(actor->role);
	call->values[2] = or_null(actor->vendor_id);
	call->values[3] = or_null(actor->session_id);
	call->values[4] = call->request_id;
	call->values[5] = or_null(call->client);
	call->values[6] = call->target;
}

static bool
is_ascii(h2o_iovec_t text)
{
	for (size_t i = 0; i < text.len; i++)
	{
		if ((unsigned char) text.base[i] >= 0x80)
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
		respond_header(call, "allow", call->route.node->allow);
		respond_body(call, 204, NULL, NULL, 0);
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

/* call_run takes a request all the way; the answer comes now or later. */
void
call_run(Call *call)
{
	h2o_req_t  *req = call->req;
	h2o_iovec_t path = req->input.path;
	h2o_iovec_t query = {NULL, 0};
	h2o_iovec_t body;
	BindError	error;
	char	   *mark;

	if (path.len > PATH_MAX_LENGTH || !is_ascii(path))
	{
		respond_error(call, ERROR_bad_request, NULL, "the path is too long or not ASCII");
		return;
	}
	mark = memchr(path.base, '?', path.len);
	if (mark)
	{
		query = h2o_iovec_init(mark + 1, (size_t) (path.base + path.len - mark - 1));
		path.len = (size_t) (mark - path.base);
	}
	if (!find_endpoint(call, path) || !authenticate(call) || !take_body(call, &body))
		return;
	call->target = h2o_strdup(&req->pool, req->input.path.base, req->input.path.len).base;
	call->values =
		h2o_mem_alloc_pool(&req->pool, sizeof(char *) * (size_t) (CONTEXT_ARGUMENTS + call->endpoint->nargs));
	set_context(call);
	if (!bind_arguments(&req->pool, call->endpoint, &call->route, query, body, call->values + CONTEXT_ARGUMENTS,
						&error))
	{
		respond_error(call, error.code, error.field, "%s", error.message);
		return;
	}
	call_submit(call);
}
