/*
 * h2o_floor.c
 *	  A bare libh2o server: one loop a thread, one fixed answer. What the HTTP server's own work is measured against.
 *
 *	  h2o_floor PORT THREADS BYTES
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <h2o.h>
#include <h2o/http1.h>

static h2o_globalconf_t globals;
static h2o_iovec_t		body;
static int				listen_fd;

static int
on_request(h2o_handler_t *handler, h2o_req_t *req)
{
	static h2o_generator_t generator;

	(void) handler;
	req->res.status = 200;
	req->res.reason = "OK";
	req->res.content_length = body.len;
	h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, H2O_STRLIT("application/json"));
	h2o_start_response(req, &generator);
	h2o_send(req, &body, 1, H2O_SEND_STATE_FINAL);
	return 0;
}

static void
on_accept(h2o_socket_t *listener, const char *err)
{
	h2o_socket_t *socket;

	if (err == NULL && (socket = h2o_evloop_socket_accept(listener)) != NULL)
		h2o_accept(listener->data, socket);
}

static void *
serve(void *unused)
{
	h2o_context_t	 context;
	h2o_accept_ctx_t accept_context;
	h2o_socket_t	*listener;

	(void) unused;
	h2o_context_init(&context, h2o_evloop_create(), &globals);
	memset(&accept_context, 0, sizeof(accept_context));
	accept_context.ctx = &context;
	accept_context.hosts = globals.hosts;
	listener = h2o_evloop_socket_create(context.loop, fcntl(listen_fd, F_DUPFD_CLOEXEC, 0), H2O_SOCKET_FLAG_DONT_READ);
	listener->data = &accept_context;
	h2o_socket_read_start(listener, on_accept);
	for (;;)
		h2o_evloop_run(context.loop, INT32_MAX);
	return NULL;
}

int
main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	h2o_hostconf_t	  *host;
	pthread_t		   thread;
	int				   on = 1;

	if (argc != 4)
		return 2;
	body.len = (size_t) atoi(argv[3]);
	body.base = malloc(body.len + 1);
	memset(body.base, 'x', body.len);
	address.sin_port = htons((uint16_t) atoi(argv[1]));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listen_fd, (struct sockaddr *) &address, sizeof(address)) != 0 || listen(listen_fd, 1024) != 0)
	{
		perror("h2o_floor");
		return 1;
	}
	h2o_config_init(&globals);
	host = h2o_config_register_host(&globals, h2o_iovec_init(H2O_STRLIT("default")), 65535);
	h2o_create_handler(&host->fallback_path, sizeof(h2o_handler_t))->on_req = on_request;
	for (int i = 1; i < atoi(argv[2]); i++)
		pthread_create(&thread, NULL, serve, NULL);
	serve(NULL);
	return 0;
}
