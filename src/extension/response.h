/*
 * response.h
 *	  Answers: rows as the JSON of the HTTP contract, extra headers, pages of lists.
 */
#ifndef RENTAL_RESPONSE_H
#define RENTAL_RESPONSE_H

#include "rental.h"

#include "lib/stringinfo.h"
#include "plan.h"
#include "utils/jsonb.h"

extern void json_write(StringInfo out, Datum value, bool isnull, Oid type);

/* An object as jsonb, made of its members; it begins as NULL, and has at least one */
extern void	 jsonb_add(JsonbParseState **object, const char *name, Datum value, bool isnull, Oid type);
extern Datum jsonb_finish(JsonbParseState **object);

extern void response_header(const char *name, const char *value);

/*
 * response_refuse(code, message) refuses a request but lets its transaction
 * commit, since something is to be remembered of it: over HTTP the answer is
 * that of the error, and the function must return null or nothing. A caller
 * in SQL gets the error itself, and nothing is remembered.
 */
#define response_refuse(name, message)                 \
	do                                                 \
	{                                                  \
		if (!response_refusal(#name, message))         \
			rental_raise(name, errmsg("%s", message)); \
	} while (0)

extern bool response_refusal(const char *code, const char *message);

/* The first header of an answer whose request changed what caches may hold; only the shim reads it */
#define ANSWER_CACHE_DROP "cache-drop: "

extern const char *answer_body(const char *answer);

/*
 * A list that is read page by page in the order of a uuid column: its two
 * directions and its count share FROM and WHERE. $1 is the key to start
 * after, $2 the number of rows; further arguments are the filters.
 */
typedef struct PagePlans
{
	PreparedPlan forward;
	PreparedPlan backward;
	PreparedPlan count; /* the filters alone, from $1 on */
	bool		 newest_first;
} PagePlans;

extern Datum page_return(FunctionCallInfo fcinfo, PagePlans *plans, const NullableDatum *filters, int nfilters,
						 int page_size, NullableDatum cursor, NullableDatum count);

#endif /* RENTAL_RESPONSE_H */
