/*-------------------------------------------------------------------------
 *
 * multipart.c
 *	  The parts of a multipart/form-data body (RFC 7578).
 *
 * Reads strictly and in place: the data of a part are where they stand in
 * the body.  Knows nothing of h2o: bytes in, parts out.
 *
 *-------------------------------------------------------------------------
 */
#include "multipart.h"

#include <string.h>
#include <strings.h>

#define TYPE			 "multipart/form-data"
#define BOUNDARY_MAX	 70
#define PART_HEAD_MAX	 4096
#define BOUNDARY_SPECIAL "'()+_,-./:=? "

bool
multipart_is(const char *content_type, size_t len)
{
	size_t type_len = strlen(TYPE);

	return len >= type_len && strncasecmp(content_type, TYPE, type_len) == 0 &&
		   (len == type_len || content_type[type_len] == ';' || content_type[type_len] == ' ');
}

/*
 * read_parameter finds "; name=value" or "; name="value"" in a field, and
 * copies the value to text, of which max bytes and a zero fit.  Returns its
 * length, which may be more than that, or -1: it is not there or malformed.
 */
static int
read_parameter(const char *field, const char *end, const char *name, char *text, size_t max)
{
	size_t name_len = strlen(name);
	bool   quoted = false;

	for (; field < end; field++)
	{
		const char *at = field + 1;
		size_t		used = 0;

		if (*field == '"')
			quoted = !quoted;
		else if (*field == '\\' && quoted && at < end)
			field++;
		if (quoted || *field != ';')
			continue;
		while (at < end && (*at == ' ' || *at == '\t'))
			at++;
		if ((size_t) (end - at) <= name_len || strncasecmp(at, name, name_len) != 0 || at[name_len] != '=')
			continue;
		at += name_len + 1;
		if (at < end && *at == '"')
		{
			for (at++; at < end && *at != '"'; at++)
			{
				if (*at == '\\' && at + 1 < end && (at[1] == '"' || at[1] == '\\'))
					at++;
				if (*at == '\0' || *at == '\r' || *at == '\n')
					return -1;
				if (used++ < max)
					text[used - 1] = *at;
			}
			if (at == end)
				return -1;
		}
		else
		{
			for (; at < end && *at != ';' && *at != ' ' && *at != '\t'; at++)
			{
				if (*at == '\0')
					return -1;
				if (used++ < max)
					text[used - 1] = *at;
			}
		}
		text[used < max ? used : max] = '\0';
		return (int) used;
	}
	return -1;
}

static bool
is_boundary(const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || text[len - 1] == ' ')
		return false;
	for (; *text != '\0'; text++)
	{
		if (!((*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') || (*text >= '0' && *text <= '9') ||
			  strchr(BOUNDARY_SPECIAL, *text)))
			return false;
	}
	return true;
}

/* after_delimiter goes behind the rest of a delimiter's line.  False: it was the last one, or is malformed. */
static bool
after_delimiter(Multipart *multipart)
{
	const char *at = multipart->at;
	bool		last = multipart->end - at >= 2 && memcmp(at, "--", 2) == 0;

	if (last)
		return false;
	while (at < multipart->end && (*at == ' ' || *at == '\t'))
		at++;
	multipart->malformed = multipart->end - at < 2 || memcmp(at, "\r\n", 2) != 0;
	multipart->at = at + 2;
	return !multipart->malformed;
}

/* multipart_open begins with a body.  False: its boundary is missing, or the body does not begin with it. */
bool
multipart_open(Multipart *multipart, const char *content_type, size_t type_len, const char *body, size_t len)
{
	size_t opening;
	int	   boundary_len;

	memset(multipart, 0, sizeof(*multipart));
	memcpy(multipart->delimiter, "\r\n--", 4);
	boundary_len =
		read_parameter(content_type, content_type + type_len, "boundary", multipart->delimiter + 4, BOUNDARY_MAX);
	if (boundary_len < 1 || boundary_len > BOUNDARY_MAX || !is_boundary(multipart->delimiter + 4))
		return false;
	multipart->delimiter_len = strlen(multipart->delimiter);
	opening = multipart->delimiter_len - 2;
	if (len < opening || memcmp(body, multipart->delimiter + 2, opening) != 0)
		return false;
	multipart->at = body + opening;
	multipart->end = body + len;
	return true;
}

/* read_head reads the fields of a part.  False: none of them is a good Content-Disposition. */
static bool
read_head(MultipartPart *part, const char *head, const char *end)
{
	static const char field[] = "content-disposition:";
	static const char form_data[] = "form-data";
	bool			  found = false;
	int				  name_len;

	while (head < end)
	{
		const char *feed = memmem(head, (size_t) (end - head), "\r\n", 2);
		const char *line_end = feed ? feed : end;
		const char *at = head + sizeof(field) - 1;

		head = feed ? feed + 2 : end;
		if (line_end < at || strncasecmp(at - sizeof(field) + 1, field, sizeof(field) - 1) != 0)
			continue;
		while (at < line_end && *at == ' ')
			at++;
		if (found || (size_t) (line_end - at) < sizeof(form_data) - 1 ||
			strncasecmp(at, form_data, sizeof(form_data) - 1) != 0 ||
			(name_len = read_parameter(at, line_end, "name", part->name, MULTIPART_NAME_MAX)) < 1 ||
			name_len > MULTIPART_NAME_MAX)
			return false;
		part->is_file = read_parameter(at, line_end, "filename", part->file_name, MULTIPART_NAME_MAX) >= 0;
		found = true;
	}
	return found;
}

/* multipart_next takes the next part.  False: there is none, or the body is malformed. */
bool
multipart_next(Multipart *multipart, MultipartPart *part)
{
	const char *head;
	const char *head_end;
	const char *data_end;

	memset(part, 0, sizeof(*part));
	if (multipart->malformed || !after_delimiter(multipart))
		return false;
	head = multipart->at;
	head_end = memmem(head, (size_t) (multipart->end - head), "\r\n\r\n", 4);
	if (head_end == NULL || head_end - head > PART_HEAD_MAX || !read_head(part, head, head_end))
	{
		multipart->malformed = true;
		return false;
	}
	part->data = head_end + 4;
	/* the blank line's end may be the beginning of the delimiter, after no data at all */
	data_end =
		memmem(head_end + 2, (size_t) (multipart->end - head_end - 2), multipart->delimiter, multipart->delimiter_len);
	if (data_end == NULL)
	{
		multipart->malformed = true;
		return false;
	}
	part->len = data_end < part->data ? 0 : (size_t) (data_end - part->data);
	multipart->at = data_end + multipart->delimiter_len;
	return true;
}
