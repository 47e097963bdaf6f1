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
	const char *read_database_url; /* NULL: none */
	const char *bind;
	int			port;
	const char *admin_bind;
	int			admin_port; /* 0: none */
	int			trusted_hops;
	const char *cors_origins;
	const char *tls_cert;
	const char *tls_key;
	int			http2;
	int			threads;

	/* per thread */
	int read_connections;
	int write_connections;
	int password_connections;
	int export_connections;
	int pipeline_depth;
	int queue_limit;

	/* of the whole process */
	int			max_connections;
	int			max_body;
	const char *upload_dir;
	int			max_upload;
	int			cache_bytes;
	const char *rate_limits;

	/* in milliseconds */
	int statement_timeout;
	int export_timeout;
	int request_timeout;
	int client_timeout;
	int drain_timeout;
	int heartbeat;

	/* tokens */
	const char *jwt_issuer;
	const char *jwt_audience;
	const char *jwks_file;
	int			access_ttl; /* seconds */

	const char *docs_dir;
	const char *log_level;
	bool		check_only;
} Config;

extern void config_load(Config *config, int argc, char **argv);

/* read again at each SIGHUP: the caller frees the secret; NULL with a problem, or if it is not set */
extern char *config_secret(const char *variable, char problem[256]);

#endif
