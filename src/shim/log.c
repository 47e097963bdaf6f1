/*-------------------------------------------------------------------------
 *
 * log.c
 *	  What the server says about itself: JSON lines on standard error.
 *
 * Owns the form of the lines.  Access lines are gathered by each thread and
 * written once per turn of its loop, or less often under load.  Whoever calls
 * must keep tokens, passwords and query values out; nothing here could
 * recognise them.
 *
 *-------------------------------------------------------------------------
 */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "buffer.h"
#include "text.h"

#define FLUSH_SIZE 32768

static const char *const level_names[] = {"error", "warning", "info"};

static LogLevel		   threshold = LOG_INFO;
static __thread Buffer lines;

void
log_init(const char *level)
{
	for (int i = 0; i <= LOG_INFO; i++)
	{
		if (strcmp(level, level_names[i]) == 0)
			threshold = (LogLevel) i;
	}
}

static Buffer *
thread_buffer(void)
{
	if (lines.data == NULL)
		buffer_init(&lines, NULL, FLUSH_SIZE * 2);
	return &lines;
}

/* append_start begins a line with its time; the text up to the second is kept for the second. */
static void
append_start(Buffer *buffer, LogLevel level)
{
	static __thread time_t last = -1;
	static __thread char   second[32];
	struct timespec		   now;
	char				   milliseconds[4];

	clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec != last)
	{
		struct tm tm;

		gmtime_r(&now.tv_sec, &tm);
		strftime(second, sizeof(second), "%Y-%m-%dT%H:%M:%S.", &tm);
		last = now.tv_sec;
	}
	milliseconds[0] = (char) ('0' + now.tv_nsec / 100000000);
	milliseconds[1] = (char) ('0' + now.tv_nsec / 10000000 % 10);
	milliseconds[2] = (char) ('0' + now.tv_nsec / 1000000 % 10);
	milliseconds[3] = 'Z';
	buffer_append_text(buffer, "{\"ts\":\"");
	buffer_append_text(buffer, second);
	buffer_append(buffer, milliseconds, sizeof(milliseconds));
	buffer_append_text(buffer, "\",\"level\":\"");
	buffer_append_text(buffer, level_names[level]);
	buffer_append_char(buffer, '"');
}

/* label is the field's name with all that stands before its value */
#define LABEL(name) ",\"" name "\":"

static inline void
append_field(Buffer *buffer, const char *label, const char *value, size_t len)
{
	buffer_append_text(buffer, label);
	if (value)
		buffer_append_json(buffer, value, len);
	else
		buffer_append_text(buffer, "null");
}

static inline void
append_text_field(Buffer *buffer, const char *label, const char *value)
{
	append_field(buffer, label, value, value ? strlen(value) : 0);
}

void
log_message(LogLevel level, const char *request_id, const char *format, ...)
{
	Buffer *buffer = thread_buffer();
	char	message[1024];
	va_list args;
	size_t	len;

	if (level > threshold)
		return;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	len = strlen(message);
	while (len > 0 && message[len - 1] == '\n')
		len--;
	if (!text_is_utf8(message, len))
	{
		for (size_t i = 0; i < len; i++)
			message[i] = (unsigned char) message[i] < 0x80 ? message[i] : '?';
	}
	append_start(buffer, level);
	if (request_id)
		append_text_field(buffer, LABEL("request_id"), request_id);
	append_field(buffer, LABEL("message"), message, len);
	buffer_append_text(buffer, "}\n");
	log_flush();
}

void
log_access(const LogAccess *access)
{
	Buffer *buffer = thread_buffer();

	if (threshold < LOG_INFO)
		return;
	append_start(buffer, LOG_INFO);
	append_text_field(buffer, LABEL("request_id"), access->request_id);
	if (access->trace_id)
		append_text_field(buffer, LABEL("trace_id"), access->trace_id);
	append_field(buffer, LABEL("method"), access->method, access->method_len);
	append_text_field(buffer, LABEL("route"), access->route);
	buffer_append_text(buffer, LABEL("status"));
	buffer_append_number(buffer, (uint64_t) access->status);
	buffer_append_text(buffer, LABEL("ms"));
	buffer_append_number(buffer, access->microseconds / 1000);
	buffer_append_char(buffer, '.');
	buffer_append_char(buffer, (char) ('0' + access->microseconds / 100 % 10));
	buffer_append_char(buffer, (char) ('0' + access->microseconds / 10 % 10));
	buffer_append_text(buffer, LABEL("bytes"));
	buffer_append_number(buffer, access->bytes);
	append_text_field(buffer, LABEL("user"), access->user);
	append_text_field(buffer, LABEL("client"), access->client);
	buffer_append_text(buffer, "}\n");
	if (buffer->len >= FLUSH_SIZE)
		log_flush();
}

/* log_flush writes the thread's lines; what cannot be written is lost, not waited for. */
void
log_flush(void)
{
	size_t written = 0;

	while (written < lines.len)
	{
		ssize_t n = write(STDERR_FILENO, lines.data + written, lines.len - written);

		if (n <= 0)
			break;
		written += (size_t) n;
	}
	lines.len = 0;
}
