/*-------------------------------------------------------------------------
 *
 * framing.c
 *	  The strict reading of an HTTP/1 message head that h2o does not do.
 *
 * libh2o 2.2 takes bare line feeds, folded lines, repeated or contradicting
 * Content-Length, Content-Length beside Transfer-Encoding and any number of
 * Hosts, and hides those fields from handlers.  A proxy in front may read
 * such a message in another way, which is how requests are smuggled.  So the
 * raw head is read again here; the caller refuses what fails and closes the
 * connection.  Knows nothing of h2o: bytes in, verdict out.
 *
 *-------------------------------------------------------------------------
 */
#include "framing.h"

#include <string.h>
#include <strings.h>

#define MOST_LENGTH_DIGITS 15 /* no number that it could overflow */

static bool
name_is(const char *line, size_t len, const char *name)
{
	return len == strlen(name) && strncasecmp(line, name, len) == 0;
}

static bool
is_length(const char *value, size_t len)
{
	while (len > 0 && (*value == ' ' || *value == '\t'))
	{
		value++;
		len--;
	}
	while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'))
		len--;
	for (size_t i = 0; i < len; i++)
	{
		if (value[i] < '0' || value[i] > '9')
			return false;
	}
	return len > 0 && len <= MOST_LENGTH_DIGITS;
}

/*
 * framing_check reads the head that starts at the given byte, which h2o has
 * parsed already, so that its end is within len.  Returns NULL if it is well
 * formed, otherwise what is wrong with it.  Tells whether the body, if there
 * is one, comes in chunks, whose ends h2o reads leniently.
 */
const char *
framing_check(const char *head, size_t len, bool *is_chunked)
{
	const char *end = head + len;
	const char *line = head;
	bool		request_line = true;
	bool		http_1_0 = false;
	int			hosts = 0;
	int			lengths = 0;
	int			encodings = 0;

	*is_chunked = false;
	for (;;)
	{
		const char *feed = memchr(line, '\n', (size_t) (end - line));
		const char *colon;
		size_t		line_len;

		if (feed == NULL)
			return "the message head has no end";
		if (feed == line || feed[-1] != '\r')
			return "a line ends without a carriage return";
		line_len = (size_t) (feed - 1 - line);
		if (request_line)
		{
			/* one empty line before a request is what old clients send after a body */
			if (line_len > 0 || line != head)
			{
				http_1_0 = line_len > 8 && memcmp(feed - 9, "HTTP/1.0", 8) == 0;
				request_line = false;
			}
			line = feed + 1;
			continue;
		}
		if (line_len == 0)
			break;
		if (*line == ' ' || *line == '\t')
			return "a header field is folded";
		colon = memchr(line, ':', line_len);
		if (colon == NULL)
			return "a header field has no colon";
		if (colon == line || colon[-1] == ' ' || colon[-1] == '\t')
			return "a blank stands before a colon";
		if (name_is(line, (size_t) (colon - line), "host"))
			hosts++;
		else if (name_is(line, (size_t) (colon - line), "content-length"))
		{
			lengths++;
			if (!is_length(colon + 1, (size_t) (line + line_len - colon - 1)))
				return "Content-Length is not a number";
		}
		else if (name_is(line, (size_t) (colon - line), "transfer-encoding"))
			encodings++;
		line = feed + 1;
	}
	if (hosts > 1 || (hosts == 0 && !http_1_0))
		return "exactly one Host is needed";
	if (lengths > 1)
		return "Content-Length is given twice";
	if (encodings > 1 || (encodings == 1 && lengths == 1))
		return "Transfer-Encoding contradicts another field";
	if (encodings == 1 && http_1_0)
		return "HTTP/1.0 has no Transfer-Encoding";
	*is_chunked = encodings == 1;
	return NULL;
}
