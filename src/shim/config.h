/*-------------------------------------------------------------------------
 *
 * config.h
 *	  The settings of the server, read once at the start.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_CONFIG_H
#define RENTAL_SHIM_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

typedef struct Config
{
	const char *database_url;
	const char *bind;
	int			port;
	int			threads;

	/* per thread */
	int read_connections;
	int write_connections;
	int password_connections;
	int pipeline_depth;
	int queue_limit;

	/* of the whole process */
	int max_connections;
	int max_body;

	/* in milliseconds */
	int statement_timeout;
	int request_timeout;
	int client_timeout;
	int drain_timeout;

	/* tokens */
	const char *jwt_secret;
	const char *jwt_previous_secret;
	const char *jwt_issuer;
	const char *jwt_audience;
	int			access_ttl; /* seconds */

	const char *log_level;
	bool		check_only;
} Config;

extern void config_load(Config *config, int argc, char **argv);

#endif
