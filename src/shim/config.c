/*-------------------------------------------------------------------------
 *
 * config.c
 *	  The settings of the server, read once at the start.
 *
 * One table names every setting: its environment variable, its default and
 * its range.  A flag has the name of its variable (RENTAL_READ_CONNECTIONS
 * is --read-connections) and wins over it.  Secrets have no flag, since a
 * command line can be read by everybody on the machine.  A wrong value ends
 * the program with one line that names it; a secret is never printed.
 *
 *-------------------------------------------------------------------------
 */
#include "config.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECRET_MIN_LENGTH 32
#define SECRET_MAX_LENGTH 1024
#define PREFIX			  "RENTAL_"

typedef enum SettingType
{
	SETTING_TEXT,
	SETTING_NUMBER
} SettingType;

typedef struct Setting
{
	const char *variable;
	SettingType type;
	size_t		offset;
	const char *initial;
	int			min;
	int			max;
	const char *help;
} Setting;

#define TEXT(variable, field, initial, help)                                 \
	{                                                                        \
		variable, SETTING_TEXT, offsetof(Config, field), initial, 0, 0, help \
	}
#define NUMBER(variable, field, initial, min, max, help)                           \
	{                                                                              \
		variable, SETTING_NUMBER, offsetof(Config, field), initial, min, max, help \
	}

static const Setting settings[] = {
	TEXT("RENTAL_DATABASE_URL", database_url, NULL, "connection string of PostgreSQL (or DATABASE_URL); required"),
	TEXT("RENTAL_READ_DATABASE_URL", read_database_url, NULL,
		 "connection string of a hot standby that answers GET; the database itself does when it is away"),
	TEXT("RENTAL_BIND", bind, "127.0.0.1", "address to listen on"),
	NUMBER("PORT", port, "8080", 1, 65535, "port to listen on"),
	TEXT("RENTAL_ADMIN_BIND", admin_bind, "127.0.0.1", "address of the listener for operators"),
	NUMBER("RENTAL_ADMIN_PORT", admin_port, "0", 0, 65535, "its port: metrics and health; 0: none"),
	NUMBER("RENTAL_TRUSTED_HOPS", trusted_hops, "0", 0, 16, "proxies in front whose X-Forwarded-For is to be believed"),
	TEXT("RENTAL_CORS_ORIGINS", cors_origins, "", "origins whose pages may call, separated by commas"),
	TEXT("RENTAL_TLS_CERT", tls_cert, NULL, "file of the certificate chain (PEM)"),
	TEXT("RENTAL_TLS_KEY", tls_key, NULL, "file of its key (PEM)"),
	NUMBER("RENTAL_HTTP2", http2, "0", 0, 1, "1: HTTP/2 over TLS"),
	TEXT("RENTAL_RATE_LIMITS", rate_limits, "read=6000/60,write=1200/60,password=60/60",
		 "requests/seconds of a caller for each class, or off"),
	NUMBER("RENTAL_CACHE_BYTES", cache_bytes, "67108864", 0, 1 << 30, "memory for cached answers; 0: none"),
	NUMBER("RENTAL_HEARTBEAT", heartbeat, "15000", 1000, 600000,
		   "milliseconds of silence after which an event stream says something"),
	NUMBER("RENTAL_THREADS", threads, "0", 0, 256, "threads; 0: one a processor"),
	NUMBER("RENTAL_READ_CONNECTIONS", read_connections, "2", 1, 64,
		   "connections a thread for GET, each with many requests in flight"),
	NUMBER("RENTAL_WRITE_CONNECTIONS", write_connections, "4", 1, 64,
		   "connections a thread for everything else, one request at a time"),
	NUMBER("RENTAL_PASSWORD_CONNECTIONS", password_connections, "1", 1, 16,
		   "connections a thread for what hashes passwords"),
	NUMBER("RENTAL_EXPORT_CONNECTIONS", export_connections, "2", 0, 64,
		   "exports a thread at a time, each on a connection of its own; 0: none"),
	NUMBER("RENTAL_PIPELINE_DEPTH", pipeline_depth, "32", 1, 1024, "requests in flight on a read connection"),
	NUMBER("RENTAL_QUEUE_LIMIT", queue_limit, "512", 0, 100000,
		   "requests a thread that may wait for a connection of one kind"),
	NUMBER("RENTAL_MAX_CONNECTIONS", max_connections, "20000", 1, 1000000, "open client connections"),
	NUMBER("RENTAL_MAX_BODY", max_body, "1048576", 1024, 1 << 28, "bytes of a request body"),
	TEXT("RENTAL_UPLOAD_DIR", upload_dir, NULL, "directory of what clients upload; without it nothing can be uploaded"),
	NUMBER("RENTAL_MAX_UPLOAD", max_upload, "10485760", 1024, 1 << 30, "bytes of an upload"),
	NUMBER("RENTAL_STATEMENT_TIMEOUT", statement_timeout, "5000", 10, 600000, "milliseconds a statement may run"),
	NUMBER("RENTAL_EXPORT_TIMEOUT", export_timeout, "600000", 10, 86400000, "milliseconds an export may take"),
	NUMBER("RENTAL_REQUEST_TIMEOUT", request_timeout, "10000", 10, 600000,
		   "milliseconds until a request is answered with 503 or 504"),
	NUMBER("RENTAL_CLIENT_TIMEOUT", client_timeout, "10000", 100, 600000,
		   "milliseconds a client has for sending a request, or for being idle"),
	NUMBER("RENTAL_DRAIN_TIMEOUT", drain_timeout, "10000", 0, 600000,
		   "milliseconds that requests in flight have when the server stops"),
	TEXT("RENTAL_JWT_ISSUER", jwt_issuer, "rental", "iss of access tokens"),
	TEXT("RENTAL_JWT_AUDIENCE", jwt_audience, "rental", "aud of access tokens"),
	NUMBER("RENTAL_ACCESS_TTL", access_ttl, "900", 1, 86400, "seconds an access token lives"),
	TEXT("RENTAL_JWKS_FILE", jwks_file, NULL, "public keys (JWKS) whose tokens are accepted as well: RS256, EdDSA"),
	TEXT("RENTAL_DOCS_DIR", docs_dir, NULL,
		 "files of the page /api/docs/; without it the directory docs beside the program, if there is one"),
	TEXT("RENTAL_LOG_LEVEL", log_level, "info", "info, warning or error"),
};

#define SETTING_COUNT (sizeof(settings) / sizeof(settings[0]))

static void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

static void
fail(const char *format, ...)
{
	va_list args;

	fputs("rental-shim: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(2);
}

/* setting_flag writes the flag of a variable, without its two hyphens. */
static void
setting_flag(const Setting *setting, char flag[64])
{
	const char *name = setting->variable;
	size_t		i = 0;

	if (strncmp(name, PREFIX, strlen(PREFIX)) == 0)
		name += strlen(PREFIX);
	for (; name[i] != '\0'; i++)
		flag[i] = name[i] == '_' ? '-' : (char) tolower((unsigned char) name[i]);
	flag[i] = '\0';
}

static void
setting_apply(Config *config, const Setting *setting, const char *value)
{
	void *field = (char *) config + setting->offset;
	char *end;
	long  number;

	if (setting->type == SETTING_TEXT)
	{
		*(const char **) field = value;
		return;
	}
	errno = 0;
	number = strtol(value, &end, 10);
	if (errno != 0 || end == value || *end != '\0' || number < setting->min || number > setting->max)
		fail("%s must be a number from %d to %d, not \"%s\"", setting->variable, setting->min, setting->max, value);
	*(int *) field = (int) number;
}

static void
print_help(void)
{
	puts("rental-shim: the HTTP server of a rental database\n\n"
		 "Settings (environment variable, or the flag beside it):");
	for (size_t i = 0; i < SETTING_COUNT; i++)
	{
		char flag[64];

		setting_flag(&settings[i], flag);
		printf("  %-27s --%s\n      %s", settings[i].variable, flag, settings[i].help);
		if (settings[i].initial)
			printf(" (%s)", settings[i].initial);
		putchar('\n');
	}
	puts("  RENTAL_JWT_SECRET, or RENTAL_JWT_SECRET_FILE\n"
		 "      key that signs access tokens, at least 32 bytes; required, never a flag\n"
		 "  RENTAL_JWT_PREVIOUS_SECRET, or RENTAL_JWT_PREVIOUS_SECRET_FILE\n"
		 "      key that is still accepted while keys change\n\n"
		 "  --check-config  check the settings and exit\n"
		 "  --version       print the version and exit\n"
		 "  --help          print this and exit");
}

/* read_file reads a secret without its last line feeds, or says what is wrong. */
static char *
read_file(const char *variable, const char *path, char problem[256])
{
	char   *content = calloc(1, SECRET_MAX_LENGTH + 2);
	int		file = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = file < 0 || content == NULL ? -1 : read(file, content, SECRET_MAX_LENGTH + 1);

	if (len < 0)
		snprintf(problem, 256, "%s: cannot read \"%.100s\": %s", variable, path, strerror(errno));
	if (file >= 0)
		close(file);
	if (len < 0)
	{
		free(content);
		return NULL;
	}
	while (len > 0 && (content[len - 1] == '\n' || content[len - 1] == '\r'))
		len--;
	content[len] = '\0';
	if (strlen(content) == (size_t) len)
		return content;
	snprintf(problem, 256, "%s: \"%.100s\" holds a zero byte", variable, path);
	free(content);
	return NULL;
}

char *
config_secret(const char *variable, char problem[256])
{
	char		file_variable[64];
	const char *given = getenv(variable);
	const char *path;
	char	   *secret = NULL;

	problem[0] = '\0';
	snprintf(file_variable, sizeof(file_variable), "%s_FILE", variable);
	path = getenv(file_variable);
	if (given && path)
		snprintf(problem, 256, "%s and %s are both set", variable, file_variable);
	else if (path)
	{
		variable = file_variable;
		secret = read_file(file_variable, path, problem);
	}
	else if (given)
		secret = strdup(given);
	if (secret && strlen(secret) < SECRET_MIN_LENGTH)
		snprintf(problem, 256, "%s must have at least %d bytes", variable, SECRET_MIN_LENGTH);
	else if (secret && strlen(secret) > SECRET_MAX_LENGTH)
		snprintf(problem, 256, "%s must have at most %d bytes", variable, SECRET_MAX_LENGTH);
	if (problem[0] == '\0')
		return secret;
	free(secret);
	return NULL;
}

static void
apply_environment(Config *config)
{
	for (size_t i = 0; i < SETTING_COUNT; i++)
	{
		const char *value = getenv(settings[i].variable);

		if (value == NULL && settings[i].offset == offsetof(Config, database_url))
			value = getenv("DATABASE_URL");
		if (value == NULL)
			value = settings[i].initial;
		if (value)
			setting_apply(config, &settings[i], value);
	}
}

static void
apply_flags(Config *config, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
	{
		const char	  *argument = argv[i];
		size_t		   len = strcspn(argument, "=");
		const char	  *value = argument[len] == '=' ? argument + len + 1 : NULL;
		const Setting *found = NULL;

		if (strcmp(argument, "--help") == 0)
		{
			print_help();
			exit(0);
		}
		if (strcmp(argument, "--version") == 0)
		{
			puts("rental-shim " RENTAL_VERSION);
			exit(0);
		}
		if (strcmp(argument, "--check-config") == 0)
		{
			config->check_only = true;
			continue;
		}
		for (size_t j = 0; j < SETTING_COUNT && found == NULL; j++)
		{
			char flag[64];

			setting_flag(&settings[j], flag);
			if (len > 2 && strncmp(argument, "--", 2) == 0 && strlen(flag) == len - 2 &&
				strncmp(argument + 2, flag, len - 2) == 0)
				found = &settings[j];
		}
		if (found == NULL)
			fail("unknown flag \"%.*s\"; --help lists them", (int) len, argument);
		if (value == NULL && ++i < argc)
			value = argv[i];
		if (value == NULL)
			fail("%.*s needs a value", (int) len, argument);
		setting_apply(config, found, value);
	}
}

static bool
is_address(const char *text)
{
	struct in6_addr address;

	return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;
}

static void
check_secrets(void)
{
	char  problem[256];
	char *secret = config_secret("RENTAL_JWT_SECRET", problem);

	if (problem[0] != '\0')
		fail("%s", problem);
	if (secret == NULL)
		fail("neither RENTAL_JWT_SECRET nor RENTAL_JWT_SECRET_FILE is set");
	free(secret);
	free(config_secret("RENTAL_JWT_PREVIOUS_SECRET", problem));
	if (problem[0] != '\0')
		fail("%s", problem);
}

/* check_origins: origins are compared as text, so each must be written as browsers send it. */
static void
check_origins(const char *origins)
{
	while (*origins != '\0')
	{
		size_t		len = strcspn(origins, ",");
		const char *host = strstr(origins, "://");

		if (host == NULL || host == origins || (size_t) (host + 3 - origins) >= len ||
			memchr(host + 3, '/', len - (size_t) (host + 3 - origins)) || memchr(origins, '*', len) ||
			memchr(origins, ' ', len))
			fail("RENTAL_CORS_ORIGINS must be origins like https://shop.example, separated by commas");
		origins += len + (origins[len] == ',' ? 1 : 0);
	}
}

/*
 * config_load fills the settings from the environment and the command line,
 * or ends the program.
 */
void
config_load(Config *config, int argc, char **argv)
{
	memset(config, 0, sizeof(*config));
	apply_environment(config);
	apply_flags(config, argc, argv);
	check_secrets();
	if (config->database_url == NULL || *config->database_url == '\0')
		fail("RENTAL_DATABASE_URL is not set");
	if (config->statement_timeout >= config->request_timeout)
		fail("RENTAL_STATEMENT_TIMEOUT must be less than RENTAL_REQUEST_TIMEOUT");
	if ((config->tls_cert == NULL) != (config->tls_key == NULL))
		fail("RENTAL_TLS_CERT and RENTAL_TLS_KEY belong together");
	if (config->http2 && config->tls_cert == NULL)
		fail("RENTAL_HTTP2 needs RENTAL_TLS_CERT");
	check_origins(config->cors_origins);
	if (strcmp(config->log_level, "info") != 0 && strcmp(config->log_level, "warning") != 0 &&
		strcmp(config->log_level, "error") != 0)
		fail("RENTAL_LOG_LEVEL must be info, warning or error, not \"%s\"", config->log_level);
	if (!is_address(config->admin_bind))
		fail("RENTAL_ADMIN_BIND must be an IP address, not \"%s\"", config->admin_bind);
	if (!is_address(config->bind))
		fail("RENTAL_BIND must be an IP address, not \"%s\"", config->bind);
	if (config->threads == 0)
	{
		long processors = sysconf(_SC_NPROCESSORS_ONLN);

		config->threads = processors < 1 ? 1 : processors > 16 ? 16 : (int) processors;
	}
}
