/*-------------------------------------------------------------------------
 *
 * text.c
 *	  Checks and decodings of untrusted text: pure functions without memory.
 *
 * A lexical check here means that PostgreSQL will not fail on the form of a
 * value; what a value may be is for the database to say.
 *
 *-------------------------------------------------------------------------
 */
#include "text.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* digits that a decimal may have: far above any amount, far below what PostgreSQL takes */
#define DECIMAL_MAX_LENGTH 128

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/*
 * text_is_utf8 accepts exactly what PostgreSQL takes as UTF-8 text: the
 * shortest forms of U+0001 to U+10FFFF without surrogates.  A zero byte is
 * refused as well, since no text value can hold one.
 */
bool
text_is_utf8(const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *) text;
	const unsigned char *end = p + len;

	while (p < end)
	{
		unsigned char c = *p;
		unsigned char low = 0x80;
		unsigned char high = 0xBF;
		int			  more;

		if (c == 0)
			return false;
		if (c < 0x80)
		{
			p++;
			continue;
		}
		if (c >= 0xC2 && c <= 0xDF)
			more = 1;
		else if (c >= 0xE0 && c <= 0xEF)
		{
			more = 2;
			if (c == 0xE0)
				low = 0xA0;
			else if (c == 0xED)
				high = 0x9F;
		}
		else if (c >= 0xF0 && c <= 0xF4)
		{
			more = 3;
			if (c == 0xF0)
				low = 0x90;
			else if (c == 0xF4)
				high = 0x8F;
		}
		else
			return false;
		if (end - p <= more || p[1] < low || p[1] > high)
			return false;
		for (int i = 2; i <= more; i++)
		{
			if (p[i] < 0x80 || p[i] > 0xBF)
				return false;
		}
		p += more + 1;
	}
	return true;
}

/*
 * text_percent_decode decodes once and strictly: a percent sign needs two
 * hexadecimal digits, and the result must be UTF-8 without a zero byte.
 * The target needs room for len bytes.  Returns the length or TEXT_INVALID.
 */
ssize_t
text_percent_decode(char *target, const char *source, size_t len, bool plus_is_space)
{
	size_t used = 0;

	for (size_t i = 0; i < len; i++)
	{
		char c = source[i];

		if (c == '%')
		{
			int high;
			int low;

			if (len - i < 3 || (high = hex_value(source[i + 1])) < 0 || (low = hex_value(source[i + 2])) < 0)
				return TEXT_INVALID;
			c = (char) (high << 4 | low);
			i += 2;
		}
		else if (c == '+' && plus_is_space)
			c = ' ';
		target[used++] = c;
	}
	return text_is_utf8(target, used) ? (ssize_t) used : TEXT_INVALID;
}

/*
 * text_base64url_decode decodes base64url without padding, and refuses what
 * is not the one encoding of its bytes.  The target needs len * 3 / 4 bytes.
 */
ssize_t
text_base64url_decode(char *target, const char *source, size_t len)
{
	uint32_t bits = 0;
	int		 nbits = 0;
	size_t	 used = 0;

	if (len % 4 == 1)
		return TEXT_INVALID;
	for (size_t i = 0; i < len; i++)
	{
		char	 c = source[i];
		uint32_t value;

		if (c >= 'A' && c <= 'Z')
			value = (uint32_t) (c - 'A');
		else if (c >= 'a' && c <= 'z')
			value = (uint32_t) (c - 'a' + 26);
		else if (is_digit(c))
			value = (uint32_t) (c - '0' + 52);
		else if (c == '-')
			value = 62;
		else if (c == '_')
			value = 63;
		else
			return TEXT_INVALID;
		bits = bits << 6 | value;
		nbits += 6;
		if (nbits >= 8)
		{
			nbits -= 8;
			target[used++] = (char) (bits >> nbits & 0xFF);
		}
	}
	if ((bits & ((1u << nbits) - 1)) != 0)
		return TEXT_INVALID;
	return (ssize_t) used;
}

bool
text_is_uuid(const char *text, size_t len)
{
	if (len != UUID_LENGTH)
		return false;
	for (size_t i = 0; i < len; i++)
	{
		if (i == 8 || i == 13 || i == 18 || i == 23)
		{
			if (text[i] != '-')
				return false;
		}
		else if (hex_value(text[i]) < 0)
			return false;
	}
	return true;
}

bool
text_is_integer(const char *text, size_t len, long long min, long long max)
{
	char	  copy[24];
	long long value;
	size_t	  first = len > 0 && text[0] == '-' ? 1 : 0;

	if (len <= first || len >= sizeof(copy))
		return false;
	for (size_t i = first; i < len; i++)
	{
		if (!is_digit(text[i]))
			return false;
	}
	memcpy(copy, text, len);
	copy[len] = '\0';
	errno = 0;
	value = strtoll(copy, NULL, 10);
	return errno == 0 && value >= min && value <= max;
}

/* text_is_decimal: an optional minus, digits, and perhaps a point and digits. */
bool
text_is_decimal(const char *text, size_t len)
{
	size_t i = len > 0 && text[0] == '-' ? 1 : 0;
	size_t start = i;

	if (len > DECIMAL_MAX_LENGTH)
		return false;
	while (i < len && is_digit(text[i]))
		i++;
	if (i == start)
		return false;
	if (i == len)
		return true;
	if (text[i++] != '.')
		return false;
	start = i;
	while (i < len && is_digit(text[i]))
		i++;
	return i > start && i == len;
}

static int
two_digits(const char *text)
{
	if (!is_digit(text[0]) || !is_digit(text[1]))
		return -1;
	return (text[0] - '0') * 10 + (text[1] - '0');
}

/* text_is_date: YYYY-MM-DD, a day that exists in the years 0001 to 9999. */
bool
text_is_date(const char *text, size_t len)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int				 century;
	int				 rest;
	int				 year;
	int				 month;
	int				 day;
	bool			 leap;

	if (len != 10 || text[4] != '-' || text[7] != '-')
		return false;
	century = two_digits(text);
	rest = two_digits(text + 2);
	month = two_digits(text + 5);
	day = two_digits(text + 8);
	if (century < 0 || rest < 0 || month < 1 || month > 12 || day < 1)
		return false;
	year = century * 100 + rest;
	leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return year >= 1 && day <= days[month - 1] + (month == 2 && leap ? 1 : 0);
}

/*
 * text_is_timestamp: RFC 3339 date-time with its offset, which is not
 * optional: a time without one means another moment to each reader.
 */
bool
text_is_timestamp(const char *text, size_t len)
{
	size_t i = 19;
	int	   hour;
	int	   minute;
	int	   second;

	if (len < 20 || !text_is_date(text, 10) || (text[10] != 'T' && text[10] != 't') || text[13] != ':' ||
		text[16] != ':')
		return false;
	hour = two_digits(text + 11);
	minute = two_digits(text + 14);
	second = two_digits(text + 17);
	if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
		return false;
	if (text[i] == '.')
	{
		size_t start = ++i;

		while (i < len && is_digit(text[i]))
			i++;
		if (i == start || i - start > 9)
			return false;
	}
	if (len - i == 1)
		return text[i] == 'Z' || text[i] == 'z';
	if (len - i != 6 || (text[i] != '+' && text[i] != '-') || text[i + 3] != ':')
		return false;
	hour = two_digits(text + i + 1);
	minute = two_digits(text + i + 4);
	/* PostgreSQL takes no offset of 16 hours or more */
	return hour >= 0 && hour <= 15 && minute >= 0 && minute <= 59;
}
