/*-------------------------------------------------------------------------
 *
 * export.c
 *	  Answers that are rows without end, as CSV.
 *
 * Owns a database connection for each export, made for it and closed after
 * it.  PostgreSQL makes the text, in pieces of some 64 KiB, one a row of the
 * result; a piece is sent before the next one is read from the database, so
 * a client that is slow stops PostgreSQL and memory stays what it is.  One
 * that takes nothing for too long is dropped.  Until the first piece has come
 * an error is a problem document; later it cuts the answer off, which the
 * client notices.  An export that nobody waits for closes its connection, by
 * which PostgreSQL ends the statement.
 *
 *-------------------------------------------------------------------------
 */
#include "export.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "buffer.h"
#include "call.h"
#include "log.h"
#include "metrics.h"
#include "pg_pool.h"
#include "respond.h"

#define STALL_GRACE 5000 /* beyond statement_timeout */

typedef struct Export
{
	h2o_generator_t		generator;
	Call			   *call;
	ExportThread	   *thread;
	PGconn			   *pg;		/* NULL: over, or never begun */
	h2o_socket_t	   *socket; /* what h2o watches for it */
	PGresult		   *piece;	/* on its way to the client */
	bool				begun;	/* the answer has */
	bool				dropped;
	h2o_timeout_entry_t patience;
	h2o_timeout_entry_t deadline;
	h2o_timeout_entry_t look; /* whether the client is still there */
} Export;

static void on_connect_event(h2o_socket_t *socket, const char *err);
static void on_readable(h2o_socket_t *socket, const char *err);

void
export_thread_init(ExportThread *exports, h2o_context_t *http, const Config *config)
{
	char settings[160];

	memset(exports, 0, sizeof(*exports));
	exports->most = config->export_connections;
	snprintf(settings, sizeof(settings),
			 " -c statement_timeout=%d -c default_transaction_read_only=on -c client_connection_check_interval=1000",
			 config->export_timeout);
	pg_conninfo(config->database_url, settings, &exports->keywords, &exports->values);
	h2o_timeout_init(http->loop, &exports->patience, (uint64_t) config->client_timeout);
	h2o_timeout_init(http->loop, &exports->deadline, (uint64_t) config->export_timeout + STALL_GRACE);
}

/* end takes leave of the database; what it is still doing for the export, it stops. */
static void
end(Export *export)
{
	h2o_timeout_unlink(&export->patience);
	h2o_timeout_unlink(&export->deadline);
	h2o_timeout_unlink(&export->look);
	if (export->pg == NULL)
		return;
	if (export->socket)
		h2o_socket_close(export->socket);
	export->socket = NULL;
	PQfinish(export->pg);
	export->pg = NULL;
	export->thread->under_way--;
	metrics_add(METRIC_EXPORTS, -1);
}

static void
export_dispose(void *memory)
{
	Export *export = memory;

	if (export->pg)
		metrics_add(METRIC_EXPORTS_DROPPED, 1);
	end(export);
	PQclear(export->piece);
}

/* cut_off ends an answer that has begun so that its client sees that it is not whole. */
static void
cut_off(Export *export, const char *reason)
{
	Call *call = export->call;

	metrics_add(METRIC_EXPORTS_DROPPED, 1);
	log_message(LOG_WARNING, call->request_id, "%s: the export is cut off: %s", call->endpoint->path, reason);
	end(export);
	h2o_send(call->req, NULL, 0, H2O_SEND_STATE_ERROR);
}

/* drop gives up a client that takes nothing: what h2o is sending fails then, which disposes of the request. */
static void
drop(Export *export)
{
	h2o_conn_t *conn = export->call->req->conn;

	export->dropped = true;
	metrics_add(METRIC_EXPORTS_DROPPED, 1);
	end(export);
	shutdown(h2o_socket_get_fd(conn->callbacks->get_socket(conn)), SHUT_RDWR);
}

static void
fail_connection(Export *export)
{
	/* libpq's text names the server */
	log_message(LOG_WARNING, export->call->request_id, "an export lost its database connection: %s",
				PQerrorMessage(export->pg));
	if (export->begun)
	{
		cut_off(export, "no database connection");
		return;
	}
	end(export);
	respond_error(export->call, ERROR_unavailable, NULL, "the database is not available");
}

static void
fail_statement(Export *export, PGresult *result)
{
	Call *call = export->call;

	if (export->begun)
	{
		cut_off(export, PQresultErrorMessage(result));
		PQclear(result);
		return;
	}
	end(export);
	PQclear(export->piece);
	export->piece = result; /* the answer is made of it */
	call_answer_error(call, result);
}

/* file_name is the last part of the endpoint's path. */
static const char *
disposition(Call *call)
{
	const char *path = call->endpoint->path;
	size_t		len = strlen(path) - 1; /* it ends in a slash */
	size_t		start = len;
	Buffer		buffer;

	while (start > 0 && path[start - 1] != '/')
		start--;
	buffer_init(&buffer, &call->req->pool, 64);
	buffer_append_text(&buffer, "attachment; filename=\"");
	buffer_append(&buffer, path + start, len - start);
	buffer_append_text(&buffer, ".csv\"");
	return buffer_terminate(&buffer);
}

static void
begin(Export *export)
{
	Call *call = export->call;

	export->begun = true;
	h2o_timeout_unlink(&export->look);
	respond_header(call, "content-disposition", disposition(call));
	respond_stream(call, "text/csv; charset=utf-8; header=present", &export->generator);
}

/* send passes a piece on; the next one is asked for when h2o has sent it. */
static void
send_piece(Export *export, PGresult *result)
{
	h2o_iovec_t part = h2o_iovec_init(PQgetvalue(result, 0, 0), (size_t) PQgetlength(result, 0, 0));

	h2o_socket_read_stop(export->socket);
	export->piece = result;
	if (!export->begun)
		begin(export);
	if (export->call->is_head)
	{
		end(export);
		h2o_send(export->call->req, NULL, 0, H2O_SEND_STATE_FINAL);
		return;
	}
	h2o_timeout_link(export->call->req->conn->ctx->loop, &export->thread->patience, &export->patience);
	h2o_send(export->call->req, &part, 1, H2O_SEND_STATE_IN_PROGRESS);
}

/* advance takes the next piece, or waits for it. */
static void
advance(Export *export)
{
	while (!PQisBusy(export->pg))
	{
		PGresult *result = PQgetResult(export->pg);

		switch (PQresultStatus(result))
		{
			case PGRES_SINGLE_TUPLE:
				send_piece(export, result);
				return;
			case PGRES_TUPLES_OK:
				/* that was all */
				PQclear(result);
				if (!export->begun)
					begin(export);
				end(export);
				h2o_send(export->call->req, NULL, 0, H2O_SEND_STATE_FINAL);
				return;
			default:
				if (PQstatus(export->pg) == CONNECTION_BAD && PQresultErrorField(result, PG_DIAG_SQLSTATE) == NULL)
				{
					PQclear(result);
					fail_connection(export);
				}
				else
					fail_statement(export, result);
				return;
		}
	}
	h2o_socket_read_start(export->socket, on_readable);
}

static void
on_proceed(h2o_generator_t *generator, h2o_req_t *req)
{
	Export *export = (Export *) generator;

	h2o_timeout_unlink(&export->patience);
	PQclear(export->piece);
	export->piece = NULL;
	if (export->dropped)
		h2o_send(req, NULL, 0, H2O_SEND_STATE_ERROR);
	else if (export->pg)
		advance(export);
}

static void
on_readable(h2o_socket_t *socket, const char *err)
{
	Export *export = socket->data;

	if (err || !PQconsumeInput(export->pg))
		fail_connection(export);
	else
		advance(export);
}

/* on_writable sends the statement on, as the socket takes it. */
static void
on_writable(h2o_socket_t *socket, const char *err)
{
	Export *export = socket->data;
	int left = err ? -1 : PQflush(export->pg);

	if (left < 0)
		fail_connection(export);
	else if (left > 0)
		h2o_socket_notify_write(socket, on_writable);
	else
		h2o_socket_read_start(socket, on_readable);
}

static void
start(Export *export)
{
	Call		   *call = export->call;
	const Endpoint *endpoint = call->endpoint;

	h2o_timeout_unlink(&export->patience);
	if (PQsetnonblocking(export->pg, 1) != 0 ||
		!PQsendQueryParams(export->pg, endpoint->sql, endpoint->context + endpoint->nargs, NULL, call->values, NULL,
						   NULL, 0) ||
		!PQsetSingleRowMode(export->pg))
		fail_connection(export);
	else
		on_writable(export->socket, NULL);
}

/* watch gives h2o a duplicate of libpq's descriptor, anew at each step of connecting, since libpq may change it. */
static bool
watch(Export *export)
{
	int fd = PQsocket(export->pg);

	if (export->socket)
		h2o_socket_close(export->socket);
	export->socket = NULL;
	fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return false;
	export->socket = h2o_evloop_socket_create(export->call->req->conn->ctx->loop, fd, H2O_SOCKET_FLAG_DONT_READ);
	export->socket->data = export;
	return true;
}

static void
on_connect_event(h2o_socket_t *socket, const char *err)
{
	Export *export = socket->data;
	PostgresPollingStatusType status = PQconnectPoll(export->pg);

	if (!watch(export) || status == PGRES_POLLING_FAILED)
		fail_connection(export);
	else if (status == PGRES_POLLING_OK)
		start(export);
	else if (status == PGRES_POLLING_WRITING)
		h2o_socket_notify_write(export->socket, on_connect_event);
	else
		h2o_socket_read_start(export->socket, on_connect_event);
}

/* on_patience: no connection came, or the client takes nothing. */
static void
on_patience(h2o_timeout_entry_t *entry)
{
	Export *export = H2O_STRUCT_FROM_MEMBER(Export, patience, entry);

	if (export->begun)
		drop(export);
	else
		fail_connection(export);
}

static void
on_deadline(h2o_timeout_entry_t *entry)
{
	Export *export = H2O_STRUCT_FROM_MEMBER(Export, deadline, entry);

	if (export->piece)
		drop(export);
	else if (export->begun)
		cut_off(export, "it took too long");
	else
	{
		end(export);
		respond_error(export->call, ERROR_timed_out, NULL, "the database took too long");
	}
}

/*
 * on_look: before the first piece nothing is written that would fail when the
 * client has gone, so its end of the connection is looked at.  Who closes that
 * is taken for gone, though HTTP would let it listen on.
 */
static void
on_look(h2o_timeout_entry_t *entry)
{
	Export *export = H2O_STRUCT_FROM_MEMBER(Export, look, entry);
	h2o_conn_t *conn = export->call->req->conn;
	char		byte;

	if (recv(h2o_socket_get_fd(conn->callbacks->get_socket(conn)), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
	{
		metrics_add(METRIC_EXPORTS_DROPPED, 1);
		end(export);
		respond_error(export->call, ERROR_unavailable, NULL, "the client has gone");
		return;
	}
	h2o_timeout_link(conn->ctx->loop, &conn->ctx->one_sec_timeout, &export->look);
}

/* export_open answers a call, whose values are complete, by the rows of its statement. */
void
export_open(Call *call)
{
	ExportThread  *thread = &call->context->exports;
	h2o_context_t *http = call->req->conn->ctx;
	Export *export;

	if (thread->under_way == thread->most)
	{
		respond_error(call, ERROR_unavailable, NULL, "too many exports are under way");
		return;
	}
	export = h2o_mem_alloc_shared(&call->req->pool, sizeof(*export), export_dispose);
	memset(export, 0, sizeof(*export));
	export->generator.proceed = on_proceed;
	export->call = call;
	export->thread = thread;
	export->patience.cb = on_patience;
	export->deadline.cb = on_deadline;
	export->look.cb = on_look;
	export->pg = PQconnectStartParams((const char *const *) thread->keywords, (const char *const *) thread->values, 0);
	if (export->pg == NULL)
	{
		respond_error(call, ERROR_unavailable, NULL, "the server is short of memory");
		return;
	}
	thread->under_way++;
	metrics_add(METRIC_EXPORTS, 1);
	h2o_timeout_link(http->loop, &thread->patience, &export->patience);
	h2o_timeout_link(http->loop, &thread->deadline, &export->deadline);
	h2o_timeout_link(http->loop, &http->one_sec_timeout, &export->look);
	if (PQstatus(export->pg) == CONNECTION_BAD || !watch(export))
		fail_connection(export);
	else
		h2o_socket_notify_write(export->socket, on_connect_event);
}
