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
#include "hash.h"
#include "limit.h"
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

/* reload reads secrets, public keys and certificates again; what cannot be read stays what it was. */
static void
reload(const Config *config)
{
	const char *problem = auth_reload(config);

	if (problem)
		log_message(LOG_ERROR, NULL, "the keys stay what they were: %s", problem);
	else
		log_message(LOG_INFO, NULL, "the keys were read again");
	server_reload();
}

/* check ends the program if a part of the settings is wrong. */
static void
check(const char *variable, const char *problem)
{
	if (problem == NULL)
		return;
	fprintf(stderr, "rental-shim: %s: %s", variable, problem);
	if (problem[strlen(problem) - 1] != '\n')
		fputc('\n', stderr);
	exit(2);
}

/* wait_for_stop returns at the first SIGTERM or SIGINT. */
static void
wait_for_stop(int signals, const Config *config)
{
	struct signalfd_siginfo info;

	for (;;)
	{
		ssize_t len = read(signals, &info, sizeof(info));

		if (len != sizeof(info))
			continue;
		if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
			return;
		reload(config);
	}
}

int
main(int argc, char **argv)
{
	Config config;
	int	   signals;

	config_load(&config, argc, argv);
	hash_init();
	check("RENTAL_DATABASE_URL", pg_pool_check_url(config.database_url));
	if (config.read_database_url)
		check("RENTAL_READ_DATABASE_URL", pg_pool_check_url(config.read_database_url));
	check("RENTAL_RATE_LIMITS", limit_init(config.rate_limits));
	check("RENTAL_TLS_CERT", server_check_tls(&config));
	check("keys", auth_init(&config));
	if (config.check_only)
	{
		puts("the settings are valid");
		return 0;
	}
	log_init(config.log_level);
	signals = open_signals();
	server_start(&config);
	wait_for_stop(signals, &config);
	log_message(LOG_INFO, NULL, "stopping");
	server_drain();
	server_join();
	log_message(LOG_INFO, NULL, "stopped");
	return 0;
}
