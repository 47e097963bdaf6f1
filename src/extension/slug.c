/*
 * slug.c
 *	  Names as parts of addresses: "Party Gear & Co" becomes "party-gear-co".
 */
#include "rental.h"

#include "lib/stringinfo.h"
#include "slug.h"

/* slug_from keeps ASCII letters and digits, joined by hyphens; a name without any becomes "x". */
char *
slug_from(const char *name)
{
	StringInfoData slug;
	bool		   gap = false;

	initStringInfo(&slug);
	for (; *name != '\0' && slug.len < 60; name++)
	{
		unsigned char c = pg_ascii_tolower((unsigned char) *name);

		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
		{
			if (gap && slug.len > 0)
				appendStringInfoChar(&slug, '-');
			gap = false;
			appendStringInfoChar(&slug, c);
		}
		else
			gap = true;
	}
	if (slug.len == 0)
		appendStringInfoChar(&slug, 'x');
	return slug.data;
}
