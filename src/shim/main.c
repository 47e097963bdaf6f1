/*-------------------------------------------------------------------------
 *
 * main.c
 *	  Start and stop of the HTTP server.
 *
 * The main thread serves nothing: it waits for signals, which are blocked in
 * every other thread, since h2o's loop cannot be interrupted.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "auth.h"
#include "config.h"
#include "log.h"
#include "pg_pool.h"
#include "server.h"

static int
open_signals(void)
{
	sigset_t set;
	int		 fd;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (fd < 0)
	{
		fprintf(stderr, "rental-shim: cannot wait for signals: %s\n", strerror(errno));
		exit(1);
	}
	return fd;
}

/* wait_for_stop returns at the first SIGTERM or SIGINT. */
static void
wait_for_stop(int signals)
{
	struct signalfd_siginfo info;

	for (;;)
	{
		ssize_t len = read(signals, &info, sizeof(info));

		if (len != sizeof(info))
			continue;
		if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
			return;
	}
}

int
main(int argc, char **argv)
{
	Config		config;
	const char *problem;
	int			signals;

	config_load(&config, argc, argv);
	problem = pg_pool_check_url(config.database_url);
	if (problem)
	{
		fprintf(stderr, "rental-shim: RENTAL_DATABASE_URL: %s", problem);
		return 2;
	}
	if (config.check_only)
	{
		puts("the settings are valid");
		return 0;
	}
	log_init(config.log_level);
	auth_init(&config);
	signals = open_signals();
	server_start(&config);
	wait_for_stop(signals);
	log_message(LOG_INFO, NULL, "stopping");
	server_drain();
	server_join();
	log_message(LOG_INFO, NULL, "stopped");
	return 0;
}
