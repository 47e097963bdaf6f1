/*-------------------------------------------------------------------------
 *
 * server.c
 *	  The HTTP server: threads, listeners, connections.
 *
 * Owns one h2o loop a thread with everything that lives in it; threads share
 * nothing but the listening address and the published catalog.  Answers the
 * two health checks, refuses what is badly framed and hands every other
 * request to call.c.  HTTP/1.1 unless HTTP/2 is chosen, which needs TLS:
 * libh2o 2.2 lacks the defence against HTTP/2 rapid reset, so requests in
 * flight are counted here.  Operators have a listener of their own.
 *
 *-------------------------------------------------------------------------
 */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include <h2o.h>
#include <h2o/http1.h>
#include <h2o/http2.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "buffer.h"
#include "call.h"
#include "framing.h"
#include "loader.h"
#include "log.h"
#include "metrics.h"
#include "replica.h"
#include "respond.h"
#include "static.h"
#include "store.h"
#include "upload.h"

#define ACCEPT_BATCH   16
#define RESERVED_FILES 256	/* descriptors that are not for clients */
#define MAX_IN_FLIGHT  4096 /* requests of one thread */
#define LOG_DELAY	   10	/* milliseconds that access lines may wait under load */
#define ADMIN_WORKER   0	/* whose thread serves operators */

/* what one thread has to tell another */
typedef enum MessageKind
{
	MESSAGE_DRAIN,
	MESSAGE_TLS,	 /* there is a new certificate */
	MESSAGE_EVENT,	 /* for streams */
	MESSAGE_REVOKED, /* streams may have to end */
	MESSAGE_REJOIN,	 /* events may have been missed: streams end and come back */
	MESSAGE_RELOAD	 /* the endpoints are to be read again, by whoever has the loader */
} MessageKind;

typedef struct Message
{
	h2o_multithread_message_t super;
	MessageKind				  kind;
	SSL_CTX					 *tls;
	char					  text[];
} Message;

typedef struct Worker
{
	pthread_t				   thread;
	h2o_context_t			   http;
	h2o_accept_ctx_t		   accept;
	int						   listen_fd;
	h2o_socket_t			  *listener;
	h2o_accept_ctx_t		   admin_accept;
	h2o_socket_t			  *admin_listener; /* of one worker only */
	CallContext				   calls;
	Loader					  *loader;	/* of the first worker only */
	Replica					  *replica; /* of the first worker, if there is a standby */
	int						   connections;
	int						   max_connections;
	bool					   paused; /* accepts nothing, since it has all the connections that it may have */
	bool					   draining;
	bool					   finished;
	uint64_t				   drain_until;
	uint64_t				   log_written;
	h2o_timeout_entry_t		   drain_tick;
	h2o_multithread_receiver_t wake;
} Worker;

static const Config		*config;
static h2o_globalconf_t	 globals;
static h2o_hostconf_t	*public_hosts[2];
static h2o_hostconf_t	*admin_hosts[2];
static int				 admin_fd = -1;
static SSL_CTX			*first_tls; /* for the threads to begin with */
static Worker			*workers;
static int				 nworkers;
static _Atomic bool		 reload_asked; /* and not begun */
static pthread_barrier_t started;	   /* by all threads: from then on they can be woken */
static pthread_barrier_t finished;	   /* all threads have: the program may end */

static Worker *
worker_of(h2o_req_t *req)
{
	return H2O_STRUCT_FROM_MEMBER(Worker, http, req->conn->ctx);
}

static void
die(const char *what, const char *why)
{
	log_message(LOG_ERROR, NULL, "%s: %s", what, why);
	exit(1);
}

static void
answer_ready(Worker *worker, Call *call)
{
	static h2o_iovec_t body = {H2O_STRLIT("{\"status\":\"ready\",\"version\":\"" RENTAL_VERSION "\"}")};
	CallContext		  *calls = &worker->calls;

	catalog_refresh(&calls->catalog);
	if (worker->draining)
		respond_error(call, ERROR_unavailable, NULL, "the server is stopping");
	else if (calls->catalog == NULL)
		respond_error(call, ERROR_unavailable, NULL, "the endpoints have not been read yet");
	else if (strcmp(calls->catalog->version, RENTAL_VERSION) != 0)
		respond_error(call, ERROR_unavailable, NULL, "the server has version %s, but the extension has %s",
					  RENTAL_VERSION, calls->catalog->version);
	else if (!pg_pool_is_ready(calls->pools[POOL_READ]) || !pg_pool_is_ready(calls->pools[POOL_WRITE]))
		respond_error(call, ERROR_unavailable, NULL, "the database is not connected");
	else
		respond_body(call, 200, "application/json", &body, 1);
}

/* answer_health answers /healthz and /readyz.  False: the path is another one. */
static bool
answer_health(Worker *worker, Call *call)
{
	static h2o_iovec_t alive = {H2O_STRLIT("{\"status\":\"alive\"}")};
	h2o_req_t		  *req = call->req;
	bool			   health = h2o_memis(req->input.path.base, req->input.path.len, H2O_STRLIT("/healthz"));
	bool			   ready = h2o_memis(req->input.path.base, req->input.path.len, H2O_STRLIT("/readyz"));

	if (!health && !ready)
		return false;
	if (!call->is_head && !h2o_memis(req->method.base, req->method.len, H2O_STRLIT("GET")))
	{
		respond_header(call, "allow", "GET, HEAD");
		respond_error(call, ERROR_method_not_allowed, NULL, "this path does not take this method");
	}
	else if (health)
		respond_body(call, 200, "application/json", &alive, 1);
	else
		answer_ready(worker, call);
	return true;
}

static int
on_request(h2o_handler_t *handler, h2o_req_t *req)
{
	Worker			   *worker = worker_of(req);
	Call			   *call = call_create(req, &worker->calls);
	const h2o_buffer_t *input = req->conn->callbacks->get_socket(req->conn)->input;
	bool				is_chunked = false;
	const char		   *flaw = req->version < 0x200 ? framing_check(input->bytes, input->size, &is_chunked) : NULL;

	/* wherever chunks were taken to end, what follows them is never read as a request */
	if (is_chunked || flaw || worker->draining)
		req->http1_is_persistent = 0;
	if (flaw)
		respond_error(call, ERROR_bad_request, NULL, "%s", flaw);
	else if (!answer_health(worker, call) && !static_answer(call))
	{
		if (worker->calls.in_flight > MAX_IN_FLIGHT + (int) worker->max_connections)
			respond_error(call, ERROR_unavailable, NULL, "too many requests are under way");
		else
			call_run(call);
	}
	return 0;
}

/* on_admin_request answers operators: metrics and health, nothing else. */
static int
on_admin_request(h2o_handler_t *handler, h2o_req_t *req)
{
	Worker	   *worker = worker_of(req);
	Call	   *call = call_create(req, &worker->calls);
	Buffer		buffer;
	h2o_iovec_t body;

	if (answer_health(worker, call))
		return 0;
	if (!h2o_memis(req->input.path.base, req->input.path.len, H2O_STRLIT("/metrics")))
	{
		respond_error(call, ERROR_not_found, NULL, "there is nothing at this path");
		return 0;
	}
	buffer_init(&buffer, &req->pool, 16384);
	metrics_write(&buffer);
	body = h2o_iovec_init(buffer.data, buffer.len);
	respond_body(call, 200, "text/plain; version=0.0.4; charset=utf-8", &body, 1);
	return 0;
}

static void
on_connection_close(void *data)
{
	Worker *worker = data;

	worker->connections--;
	metrics_add(METRIC_CONNECTIONS, -1);
}

static void
on_admin_connection_close(void *data)
{
	metrics_add(METRIC_CONNECTIONS, -1);
}

/* a closed connection whose client is still sending: kept for reading what comes to nothing */
typedef struct Lingerer
{
	h2o_socket_t	   *socket;
	h2o_timeout_entry_t timeout;
} Lingerer;

static void
linger_end(Lingerer *lingerer)
{
	h2o_timeout_unlink(&lingerer->timeout);
	h2o_socket_close(lingerer->socket);
	free(lingerer);
}

static void
on_linger_read(h2o_socket_t *socket, const char *err)
{
	if (err)
		linger_end(socket->data);
	else
		h2o_buffer_consume(&socket->input, socket->input->size);
}

static void
on_linger_timeout(h2o_timeout_entry_t *entry)
{
	linger_end(H2O_STRUCT_FROM_MEMBER(Lingerer, timeout, entry));
}

/*
 * linger keeps a connection, which h2o is about to close, from being reset
 * by what the client still sends: a reset would take the answer with it.
 */
static void
linger(Worker *worker, h2o_req_t *req)
{
	h2o_socket_t *socket = req->conn->callbacks->get_socket(req->conn);
	int			  fd = fcntl(h2o_socket_get_fd(socket), F_DUPFD_CLOEXEC, 0);
	Lingerer	 *lingerer;

	if (fd < 0)
		return;
	shutdown(fd, SHUT_WR);
	lingerer = h2o_mem_alloc(sizeof(*lingerer));
	memset(lingerer, 0, sizeof(*lingerer));
	lingerer->socket = h2o_evloop_socket_create(worker->http.loop, fd, 0);
	lingerer->socket->data = lingerer;
	lingerer->socket->on_close.cb = on_connection_close;
	lingerer->socket->on_close.data = worker;
	lingerer->timeout.cb = on_linger_timeout;
	worker->connections++;
	metrics_add(METRIC_CONNECTIONS, 1);
	h2o_timeout_link(worker->http.loop, &worker->http.one_sec_timeout, &lingerer->timeout);
	h2o_socket_read_start(lingerer->socket, on_linger_read);
}

static void
on_log(h2o_logger_t *logger, h2o_req_t *req)
{
	Call	 *call = call_find(req);
	LogAccess access = {.method = req->input.method.base,
						.method_len = req->input.method.len,
						.status = req->res.status,
						.bytes = req->bytes_sent};

	if (call)
	{
		struct timespec now;

		clock_gettime(CLOCK_MONOTONIC, &now);
		access.microseconds = ((uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec - call->started) / 1000;
		access.request_id = call->request_id;
		access.trace_id = call->trace_id[0] != '\0' ? call->trace_id : NULL;
		access.route = call->endpoint ? call->endpoint->path : NULL;
		access.user = call->actor.known ? call->actor.user_id : NULL;
		access.client = call->client[0] != '\0' ? call->client : NULL;
		metrics_request(call->endpoint ? call->endpoint->route : 0, access.status, access.microseconds);
		if (call->actor.key_id[0] != '\0')
			usage_note(call->context->usage, call->actor.key_id, access.status);
		if (call->endpoint && call->endpoint->activity)
			activity_note(call->context->activity, call);
	}
	else if (req->version < 0x200 && req->scheme != &H2O_URL_SCHEME_HTTPS)
		linger(worker_of(req), req); /* an error of h2o itself: the body was not read to its end */
	log_access(&access);
}

/* configure_http sets what all threads share; it must be complete before the first context. */
static void
configure_http(void)
{
	h2o_hostconf_t *host;
	h2o_pathconf_t *path;

	h2o_config_init(&globals);
	globals.server_name = h2o_iovec_init(NULL, 0);
	globals.max_request_entity_size = (size_t) config->max_body;
	if (config->upload_dir && config->max_upload + UPLOAD_FORM > config->max_body)
		globals.max_request_entity_size = (size_t) config->max_upload + UPLOAD_FORM;
	globals.http1.req_timeout = (uint64_t) config->client_timeout;
	globals.http1.upgrade_to_http2 = 0;
	globals.http2.idle_timeout = (uint64_t) config->client_timeout;
	host = h2o_config_register_host(&globals, h2o_iovec_init(H2O_STRLIT("default")), 65535);

	/* everything comes by the fallback path, h2o's own errors before routing as well */
	path = &host->fallback_path;
	h2o_create_handler(path, sizeof(h2o_handler_t))->on_req = on_request;
	h2o_create_logger(path, sizeof(h2o_logger_t))->log_access = on_log;
	respond_register(path);
	public_hosts[0] = host;

	host = h2o_config_register_host(&globals, h2o_iovec_init(H2O_STRLIT("operators")), 65535);
	path = &host->fallback_path;
	h2o_create_handler(path, sizeof(h2o_handler_t))->on_req = on_admin_request;
	respond_register(path);
	admin_hosts[0] = host;
}

/* tls_load reads the certificate and its key.  NULL: problem says why. */
static SSL_CTX *
tls_load(const Config *settings, const char **problem)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_server_method());

	*problem = NULL;
	if (tls == NULL)
		*problem = "cannot begin";
	else if (SSL_CTX_use_certificate_chain_file(tls, settings->tls_cert) != 1)
		*problem = "cannot read the certificate";
	else if (SSL_CTX_use_PrivateKey_file(tls, settings->tls_key, SSL_FILETYPE_PEM) != 1)
		*problem = "cannot read the key, or it does not belong to the certificate";
	if (*problem)
	{
		ERR_clear_error();
		SSL_CTX_free(tls);
		return NULL;
	}
	SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
	SSL_CTX_set_options(tls, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
	if (settings->http2)
		h2o_ssl_register_alpn_protocols(tls, h2o_http2_alpn_protocols);
	return tls;
}

const char *
server_check_tls(const Config *settings)
{
	const char *problem;

	if (settings->tls_cert == NULL)
		return NULL;
	SSL_CTX_free(tls_load(settings, &problem));
	return problem;
}

/* accept_one takes one connection off the kernel's queue.  False: none is there. */
static bool
accept_one(Worker *worker)
{
	h2o_socket_t *socket = h2o_evloop_socket_accept(worker->listener);

	if (socket == NULL)
		return false;
	worker->connections++;
	metrics_add(METRIC_CONNECTIONS, 1);
	socket->on_close.cb = on_connection_close;
	socket->on_close.data = worker;
	h2o_accept(&worker->accept, socket);
	return true;
}

static void
on_accept(h2o_socket_t *listener, const char *err)
{
	Worker *worker = listener->data;

	if (err)
		return;
	for (int i = 0; i < ACCEPT_BATCH; i++)
	{
		if (worker->connections == worker->max_connections)
		{
			h2o_socket_read_stop(listener);
			worker->paused = true;
			return;
		}
		if (!accept_one(worker))
			return;
	}
}

static void
on_admin_accept(h2o_socket_t *listener, const char *err)
{
	Worker		 *worker = listener->data;
	h2o_socket_t *socket;

	if (err || (socket = h2o_evloop_socket_accept(listener)) == NULL)
		return;
	metrics_add(METRIC_CONNECTIONS, 1);
	socket->on_close.cb = on_admin_connection_close;
	h2o_accept(&worker->admin_accept, socket);
}

static void
resume_accepting(Worker *worker)
{
	if (!worker->paused || worker->listener == NULL || worker->connections == worker->max_connections)
		return;
	worker->paused = false;
	h2o_socket_read_start(worker->listener, on_accept);
}

/* close_if_idle ends a connection on which no byte of a request has come. */
static int
close_if_idle(h2o_req_t *req, void *unused)
{
	h2o_socket_t *socket = req->conn->callbacks->get_socket(req->conn);
	int			  fd = h2o_socket_get_fd(socket);
	int			  waiting = 0;

	if (req->version == 0 && socket->input->size == 0 && ioctl(fd, FIONREAD, &waiting) == 0 && waiting == 0)
		shutdown(fd, SHUT_RD);
	return 0;
}

/*
 * on_drain_tick: what is on its way is answered, and the answer closes the
 * connection; idle connections are closed; the thread ends with the last
 * one, or when its time is up.
 */
static void
on_drain_tick(h2o_timeout_entry_t *entry)
{
	Worker *worker = H2O_STRUCT_FROM_MEMBER(Worker, drain_tick, entry);

	globals.http1.callbacks.foreach_request(&worker->http, close_if_idle, NULL);
	worker->finished =
		(worker->connections == 0 && usage_flush(worker->calls.usage) && activity_flush(worker->calls.activity)) ||
		h2o_now(worker->http.loop) >= worker->drain_until;
	if (!worker->finished)
		h2o_timeout_link(worker->http.loop, &worker->http.hundred_ms_timeout, &worker->drain_tick);
}

static void
drain(Worker *worker)
{
	if (worker->draining)
		return;
	worker->draining = true;
	worker->drain_until = h2o_now(worker->http.loop) + (uint64_t) config->drain_timeout;
	stream_hub_close(worker->calls.streams);
	/* who has connected already is served, and by now nobody else can */
	while (accept_one(worker))
		;
	h2o_socket_close(worker->listener);
	worker->listener = NULL;
	if (worker->admin_listener)
		h2o_socket_close(worker->admin_listener);
	worker->admin_listener = NULL;
	h2o_context_request_shutdown(&worker->http);
	worker->drain_tick.cb = on_drain_tick;
	h2o_timeout_link(worker->http.loop, &worker->http.hundred_ms_timeout, &worker->drain_tick);
}

static void
take_message(Worker *worker, Message *message)
{
	switch (message->kind)
	{
		case MESSAGE_DRAIN:
			drain(worker);
			break;
		case MESSAGE_TLS:
			SSL_CTX_free(worker->accept.ssl_ctx);
			worker->accept.ssl_ctx = message->tls;
			break;
		case MESSAGE_EVENT:
			stream_hub_event(worker->calls.streams, message->text);
			break;
		case MESSAGE_REVOKED:
			stream_hub_check(worker->calls.streams);
			break;
		case MESSAGE_REJOIN:
			stream_hub_end(worker->calls.streams);
			break;
		case MESSAGE_RELOAD:
			atomic_store(&reload_asked, false);
			if (worker->loader)
				loader_reload(worker->loader);
			break;
	}
}

static void
on_wake(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
	Worker *worker = H2O_STRUCT_FROM_MEMBER(Worker, wake, receiver);

	while (!h2o_linklist_is_empty(messages))
	{
		Message *message = H2O_STRUCT_FROM_MEMBER(Message, super.link, messages->next);

		h2o_linklist_unlink(&message->super.link);
		take_message(worker, message);
		free(message);
	}
}

/* tell_all sends a message to every thread, the own one included. */
static void
tell_all(MessageKind kind, const char *text, SSL_CTX *tls)
{
	for (int i = 0; i < nworkers; i++)
	{
		Message *message = h2o_mem_alloc(sizeof(*message) + strlen(text) + 1);

		memset(message, 0, sizeof(*message));
		message->kind = kind;
		strcpy(message->text, text);
		message->tls = tls;
		if (tls)
			SSL_CTX_up_ref(tls);
		h2o_multithread_send_message(&workers[i].wake, &message->super);
	}
}

/* on_listening: while nobody listens, what the cache has may be stale, and events go by. */
static void
on_listening(bool listening)
{
	cache_enable(listening);
	if (!listening)
		tell_all(MESSAGE_REJOIN, "", NULL);
}

static void
on_event(const char *payload)
{
	tell_all(MESSAGE_EVENT, payload, NULL);
}

static void
on_revoked(void)
{
	tell_all(MESSAGE_REVOKED, "", NULL);
}

static void
on_outdated(void)
{
	if (!atomic_exchange(&reload_asked, true))
		tell_all(MESSAGE_RELOAD, "", NULL);
}

static void
create_pools(Worker *worker)
{
	PgPoolOptions options = {
		.url = config->database_url,
		.depth = 1,
		.queue_limit = config->queue_limit,
		.statement_timeout = config->statement_timeout,
		.query_timeout = config->request_timeout,
	};

	options.kind = POOL_WRITE;
	options.connections = config->write_connections;
	worker->calls.pools[POOL_WRITE] = pg_pool_create(&worker->http, &options);
	options.kind = POOL_PASSWORD;
	options.connections = config->password_connections;
	worker->calls.pools[POOL_PASSWORD] = pg_pool_create(&worker->http, &options);
	options.kind = POOL_READ;
	options.connections = config->read_connections;
	options.depth = config->pipeline_depth;
	options.read_only = true;
	options.gather = true;
	worker->calls.pools[POOL_READ] = pg_pool_create(&worker->http, &options);
	if (config->read_database_url == NULL)
		return;
	options.kind = POOL_REPLICA;
	options.url = config->read_database_url;
	options.on_down = replica_forget;
	worker->calls.pools[POOL_REPLICA] = pg_pool_create(&worker->http, &options);
}

/* worker_init makes what belongs to the thread; h2o's sockets must be made by their own thread. */
static void
worker_init(Worker *worker)
{
	h2o_context_init(&worker->http, h2o_evloop_create(), &globals);
	call_context_init(&worker->calls, &worker->http);
	worker->calls.outdated = on_outdated;
	h2o_multithread_register_receiver(worker->http.queue, &worker->wake, on_wake);
	worker->accept.ctx = &worker->http;
	worker->accept.hosts = public_hosts;
	if (first_tls)
	{
		SSL_CTX_up_ref(first_tls);
		worker->accept.ssl_ctx = first_tls;
	}
	worker->calls.streams = stream_hub_create(&worker->http, config->heartbeat);
	worker->listener = h2o_evloop_socket_create(worker->http.loop, worker->listen_fd, H2O_SOCKET_FLAG_DONT_READ);
	worker->listener->data = worker;
	if (admin_fd >= 0 && worker == &workers[ADMIN_WORKER])
	{
		worker->admin_accept.ctx = &worker->http;
		worker->admin_accept.hosts = admin_hosts;
		worker->admin_listener = h2o_evloop_socket_create(worker->http.loop, admin_fd, H2O_SOCKET_FLAG_DONT_READ);
		worker->admin_listener->data = worker;
	}
	create_pools(worker);
	worker->calls.usage = usage_create(&worker->http, worker->calls.pools[POOL_WRITE]);
	worker->calls.activity = activity_create(&worker->http, worker->calls.pools[POOL_WRITE]);
	export_thread_init(&worker->calls.exports, &worker->http, config);
}

/*
 * send_reads sends what is to be read, together with what has come while that
 * was received: a larger batch costs less than a further one.
 */
static void
send_reads(Worker *worker)
{
	PgPool *pools[] = {worker->calls.pools[POOL_READ], worker->calls.pools[POOL_REPLICA]};

	for (int i = 0; i < 2; i++)
	{
		int before = 0;
		int now;

		if (pools[i] == NULL)
			continue;
		while ((now = pg_pool_gathered(pools[i])) > before && now < config->pipeline_depth)
		{
			before = now;
			h2o_evloop_run(worker->http.loop, 0);
		}
	}
	for (int i = 0; i < 2; i++)
	{
		if (pools[i])
			pg_pool_flush(pools[i]);
	}
}

/*
 * write_log writes the thread's lines, except that those of a busy time wait
 * for more: while something is in flight the loop turns again soon, since the
 * pool looks at it from time to time.
 */
static void
write_log(Worker *worker)
{
	uint64_t now = h2o_now(worker->http.loop);

	if (now - worker->log_written < LOG_DELAY && pg_pool_is_busy(worker->calls.pools[POOL_READ]))
		return;
	worker->log_written = now;
	log_flush();
}

static void *
worker_main(void *data)
{
	static const LoaderHooks hooks = {on_listening, on_event, on_revoked};
	Worker					*worker = data;

	worker_init(worker);
	pthread_barrier_wait(&started);
	if (worker == &workers[0])
	{
		worker->loader = loader_start(&worker->http, config, &hooks);
		if (worker->calls.pools[POOL_REPLICA])
			worker->replica =
				replica_create(&worker->http, worker->calls.pools[POOL_READ], worker->calls.pools[POOL_REPLICA]);
	}
	h2o_socket_read_start(worker->listener, on_accept);
	if (worker->admin_listener)
		h2o_socket_read_start(worker->admin_listener, on_admin_accept);
	while (!worker->finished)
	{
		h2o_evloop_run(worker->http.loop, INT32_MAX);
		send_reads(worker);
		resume_accepting(worker);
		write_log(worker);
	}
	usage_close(worker->calls.usage);
	activity_close(worker->calls.activity);
	log_flush();
	if (worker->calls.in_flight == 0)
	{
		if (worker->loader)
			loader_stop(worker->loader);
		if (worker->replica)
			replica_close(worker->replica);
		for (int i = 0; i < POOL_COUNT; i++)
		{
			if (worker->calls.pools[i])
				pg_pool_close(worker->calls.pools[i]);
		}
	}
	else
		log_message(LOG_WARNING, NULL, "%d requests were cut off", worker->calls.in_flight);
	pthread_barrier_wait(&finished);
	/* h2o keeps memory of each thread that nothing frees; so the thread ends with the program */
	for (;;)
		pause();
	return NULL;
}

static int
open_listener(const char *bind_to, int number)
{
	struct addrinfo	 hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICHOST};
	struct addrinfo *address;
	unsigned		 stalled = (unsigned) config->client_timeout * 3;
	char			 port[8];
	int				 on = 1;
	int				 fd;
	int				 status;

	snprintf(port, sizeof(port), "%d", number);
	status = getaddrinfo(bind_to, port, &hints, &address);
	if (status != 0)
		die("cannot use the address", gai_strerror(status));
	fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("cannot open a socket", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* inherited by connections: a client that does not take its answer is dropped */
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &stalled, sizeof(stalled));
	if (bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, H2O_SOMAXCONN) != 0)
		die("cannot listen", strerror(errno));
	freeaddrinfo(address);
	return fd;
}

/* connection_limit raises the limit of descriptors, and says how many clients fit. */
static int
connection_limit(void)
{
	struct rlimit limit;
	int			  fit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		die("cannot read the limit of open files", strerror(errno));
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur >= (rlim_t) config->max_connections + RESERVED_FILES)
		return config->max_connections;
	fit = limit.rlim_cur > 2 * RESERVED_FILES ? (int) limit.rlim_cur - RESERVED_FILES : RESERVED_FILES;
	log_message(LOG_WARNING, NULL, "the limit of open files allows %d connections only", fit);
	return fit;
}

/* server_start listens and returns while the threads serve; it ends the program if it cannot. */
void
server_start(const Config *settings)
{
	int max_connections;
	int listen_fd;

	config = settings;
	nworkers = config->threads;
	max_connections = connection_limit();
	static_load(config->docs_dir);
	listen_fd = open_listener(config->bind, config->port);
	if (config->admin_port != 0)
		admin_fd = open_listener(config->admin_bind, config->admin_port);
	if (config->tls_cert)
	{
		const char *problem;

		first_tls = tls_load(config, &problem);
		if (problem)
			die("TLS", problem);
	}
	respond_configure(config->cors_origins);
	call_configure(config->trusted_hops, (size_t) config->max_body);
	if (config->upload_dir)
	{
		const char *problem = store_init(config->upload_dir);

		if (problem)
			die("RENTAL_UPLOAD_DIR", problem);
	}
	upload_configure((size_t) config->max_upload);
	cache_init((size_t) config->cache_bytes);
	revoke_init(config->access_ttl);
	configure_http();
	workers = h2o_mem_alloc(sizeof(Worker) * (size_t) nworkers);
	memset(workers, 0, sizeof(Worker) * (size_t) nworkers);
	pthread_barrier_init(&started, NULL, (unsigned) nworkers + 1);
	pthread_barrier_init(&finished, NULL, (unsigned) nworkers + 1);
	for (int i = 0; i < nworkers; i++)
	{
		Worker *worker = &workers[i];
		int		fd = i == 0 ? listen_fd : fcntl(listen_fd, F_DUPFD_CLOEXEC, 0);
		int		status;

		if (fd < 0)
			die("cannot share the listening socket", strerror(errno));
		worker->listen_fd = fd;
		worker->max_connections = (max_connections + nworkers - 1) / nworkers;
		status = pthread_create(&worker->thread, NULL, worker_main, worker);
		if (status != 0)
			die("cannot start a thread", strerror(status));
	}
	pthread_barrier_wait(&started);
	log_message(LOG_INFO, NULL, "version %s listens on %s port %d", RENTAL_VERSION, config->bind, config->port);
}

/*
 * refuse_connections lets nobody connect any more: what comes for a socket
 * that listens is thrown away, so a client tries again until it is refused.
 * Without it, who connects between the last accept() and close() would be
 * reset with its request sent.
 */
static void
refuse_connections(int listen_fd)
{
	struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog  program = {1, &nothing};

	if (setsockopt(listen_fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) != 0)
		log_message(LOG_WARNING, NULL, "who connects now may be cut off: %s", strerror(errno));
}

/* server_drain lets every thread finish what is on its way, and end. */
void
server_drain(void)
{
	refuse_connections(workers[0].listen_fd);
	tell_all(MESSAGE_DRAIN, "", NULL);
}

/* server_reload reads the certificate again; connections that there are keep theirs. */
void
server_reload(void)
{
	const char *problem;
	SSL_CTX	   *tls;

	if (config->tls_cert == NULL)
		return;
	tls = tls_load(config, &problem);
	if (tls == NULL)
	{
		log_message(LOG_ERROR, NULL, "the certificate stays what it was: %s", problem);
		return;
	}
	tell_all(MESSAGE_TLS, "", tls);
	SSL_CTX_free(tls);
}

/* server_join waits until every thread has finished. */
void
server_join(void)
{
	pthread_barrier_wait(&finished);
}
