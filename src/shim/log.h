/*-------------------------------------------------------------------------
 *
 * log.h
 *	  What the server says about itself: JSON lines on standard error.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_LOG_H
#define RENTAL_SHIM_LOG_H

#include <stddef.h>
#include <stdint.h>

typedef enum LogLevel
{
	LOG_ERROR,
	LOG_WARNING,
	LOG_INFO
} LogLevel;

/* one answered request; text fields may be NULL */
typedef struct LogAccess
{
	const char *request_id;
	const char *trace_id;
	const char *method;
	size_t		method_len;
	const char *route; /* the template, never the path: that may hold what is secret */
	const char *user;
	const char *client;
	int			status;
	uint64_t	microseconds;
	uint64_t	bytes;
} LogAccess;

extern void log_init(const char *level);
extern void log_message(LogLevel level, const char *request_id, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
extern void log_access(const LogAccess *access);
extern void log_flush(void);

#endif
