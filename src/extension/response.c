/*
 * response.c
 *	  Answers: rows as the JSON of the HTTP contract, extra headers, pages of lists.
 *
 * A composite value becomes an object with every column in it, numeric a
 * decimal string (so that no client reads money as a float), timestamptz
 * RFC 3339 in UTC, json and jsonb themselves. It knows nothing of rentals.
 */
#include "response.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "actor.h"
#include "errors.h"
#include "period.h"
#include "funcapi.h"
#include "gateway.h"
#include "storage/proc.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/typcache.h"

/* Headers of the running request; they live and die with its transaction */
static StringInfo		  headers;
static LocalTransactionId headers_of;

/* json_write_text writes a text as a JSON string, in one piece up to each character that does not stand for itself. */
static void
json_write_text(StringInfo out, const char *text, int len)
{
	/* of the control characters that have one */
	static const char letters[' '] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
	int				  from = 0;
	int				  i;

	appendStringInfoChar(out, '"');
	for (i = 0; i < len; i++)
	{
		unsigned char c = text[i];

		if (c >= ' ' && c != '"' && c != '\\')
			continue;
		appendBinaryStringInfo(out, text + from, i - from);
		from = i + 1;
		if (c >= ' ')
			appendStringInfo(out, "\\%c", c);
		else if (letters[c])
			appendStringInfo(out, "\\%c", letters[c]);
		else
			appendStringInfo(out, "\\u%04x", c);
	}
	appendBinaryStringInfo(out, text + from, len - from);
	appendStringInfoChar(out, '"');
}

/* write_quoted writes what needs no escapes. */
static void
write_quoted(StringInfo out, const char *text)
{
	appendStringInfoChar(out, '"');
	appendStringInfoString(out, text);
	appendStringInfoChar(out, '"');
}

static void
write_integer(StringInfo out, int64 value)
{
	enlargeStringInfo(out, MAXINT8LEN + 1);
	out->len += pg_lltoa(value, out->data + out->len);
}

static void
write_timestamp(StringInfo out, TimestampTz at)
{
	if (TIMESTAMP_NOT_FINITE(at))
		appendStringInfoString(out, "null");
	else
		write_quoted(out, period_time_text(at));
}

/* write_date writes YYYY-MM-DD, whatever DateStyle says. */
static void
write_date(StringInfo out, Datum value)
{
	char text[MAXDATELEN + 1];

	if (DATE_NOT_FINITE(DatumGetDateADT(value)))
		appendStringInfoString(out, "null");
	else
		write_quoted(out, JsonEncodeDateTime(text, value, DATEOID, NULL));
}

static void
write_array(StringInfo out, Datum value)
{
	ArrayType *array = DatumGetArrayTypeP(value);
	Oid		   type = ARR_ELEMTYPE(array);
	int16	   len;
	bool	   byval;
	char	   align;
	Datum	  *items;
	bool	  *nulls;
	int		   n;
	int		   i;

	get_typlenbyvalalign(type, &len, &byval, &align);
	deconstruct_array(array, type, len, byval, align, &items, &nulls, &n);
	appendStringInfoChar(out, '[');
	for (i = 0; i < n; i++)
	{
		if (i > 0)
			appendStringInfoChar(out, ',');
		json_write(out, items[i], nulls[i], type);
	}
	appendStringInfoChar(out, ']');
}

static void
write_row(StringInfo out, Datum value)
{
	HeapTupleHeader row = DatumGetHeapTupleHeader(value);
	TupleDesc		desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(row), HeapTupleHeaderGetTypMod(row));
	Datum		   *values = palloc(desc->natts * sizeof(Datum));
	bool		   *nulls = palloc(desc->natts * sizeof(bool));
	HeapTupleData	tuple;
	char			separator = '{';
	int				i;

	tuple.t_len = HeapTupleHeaderGetDatumLength(row);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = row;
	heap_deform_tuple(&tuple, desc, values, nulls);
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (attribute->attisdropped)
			continue;
		appendStringInfoChar(out, separator);
		separator = ',';
		json_write_text(out, NameStr(attribute->attname), strlen(NameStr(attribute->attname)));
		appendStringInfoChar(out, ':');
		json_write(out, values[i], nulls[i], attribute->atttypid);
	}
	if (separator == '{')
		appendStringInfoChar(out, '{');
	appendStringInfoChar(out, '}');
	ReleaseTupleDesc(desc);
}

void
json_write(StringInfo out, Datum value, bool isnull, Oid type)
{
	if (isnull)
	{
		appendStringInfoString(out, "null");
		return;
	}
	switch (type)
	{
		case TEXTOID:
		case VARCHAROID:
		{
			text *string = DatumGetTextPP(value);

			json_write_text(out, VARDATA_ANY(string), VARSIZE_ANY_EXHDR(string));
			return;
		}
		case UUIDOID:
			write_quoted(out, uuid_text(DatumGetUUIDP(value)));
			return;
		case TIMESTAMPTZOID:
			write_timestamp(out, DatumGetTimestampTz(value));
			return;
		case DATEOID:
			write_date(out, value);
			return;
		case BOOLOID:
			appendStringInfoString(out, DatumGetBool(value) ? "true" : "false");
			return;
		case INT2OID:
			write_integer(out, DatumGetInt16(value));
			return;
		case INT4OID:
			write_integer(out, DatumGetInt32(value));
			return;
		case INT8OID:
			write_integer(out, DatumGetInt64(value));
			return;
		case NUMERICOID:
			write_quoted(out, DatumGetCString(DirectFunctionCall1(numeric_out, value)));
			return;
		case JSONOID:
		{
			text *json = DatumGetTextPP(value);

			appendBinaryStringInfo(out, VARDATA_ANY(json), VARSIZE_ANY_EXHDR(json));
			return;
		}
		case JSONBOID:
		{
			Jsonb *json = DatumGetJsonbP(value);

			JsonbToCString(out, &json->root, VARSIZE(json));
			return;
		}
		default:
			break;
	}
	switch (get_typtype(type))
	{
		case TYPTYPE_DOMAIN:
			json_write(out, value, false, getBaseType(type));
			return;
		case TYPTYPE_COMPOSITE:
			write_row(out, value);
			return;
		default:
			break;
	}
	if (OidIsValid(get_element_type(type)))
		write_array(out, value);
	else
	{
		Oid	 output;
		bool varlena;

		getTypeOutputInfo(type, &output, &varlena);
		escape_json(out, OidOutputFunctionCall(output, value));
	}
}

static JsonbValue
jsonb_text(const char *text, int len)
{
	JsonbValue value = {.type = jbvString};

	value.val.string.val = unconstify(char *, text);
	value.val.string.len = len;
	return value;
}

static JsonbValue
jsonb_integer(int64 number)
{
	JsonbValue value = {.type = jbvNumeric};

	value.val.numeric = int64_to_numeric(number);
	return value;
}

/* jsonb_of is a value as json_write writes it, to be a part of a jsonb. */
static JsonbValue
jsonb_of(Datum value, Oid type)
{
	JsonbValue	   result;
	StringInfoData json;
	char		  *written;

	switch (type)
	{
		case TEXTOID:
		case VARCHAROID:
		{
			text *string = DatumGetTextPP(value);

			return jsonb_text(VARDATA_ANY(string), VARSIZE_ANY_EXHDR(string));
		}
		case UUIDOID:
			return jsonb_text(uuid_text(DatumGetUUIDP(value)), 2 * UUID_LEN + 4);
		case NUMERICOID:
			written = DatumGetCString(DirectFunctionCall1(numeric_out, value));
			return jsonb_text(written, strlen(written));
		case TIMESTAMPTZOID:
			if (TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(value)))
				return (JsonbValue){.type = jbvNull};
			written = period_time_text(DatumGetTimestampTz(value));
			return jsonb_text(written, strlen(written));
		case BOOLOID:
			result = (JsonbValue){.type = jbvBool};
			result.val.boolean = DatumGetBool(value);
			return result;
		case INT2OID:
			return jsonb_integer(DatumGetInt16(value));
		case INT4OID:
			return jsonb_integer(DatumGetInt32(value));
		case INT8OID:
			return jsonb_integer(DatumGetInt64(value));
		default:
			initStringInfo(&json);
			json_write(&json, value, false, type);
			JsonbToJsonbValue(DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data))), &result);
			return result;
	}
}

/* jsonb_add adds a member to an object that is being made, begun with the first one; its value is as json_write writes it. */
void
jsonb_add(JsonbParseState **object, const char *name, Datum value, bool isnull, Oid type)
{
	JsonbValue member = jsonb_text(name, strlen(name));
	JsonbValue content = {.type = jbvNull};

	if (!isnull)
		content = jsonb_of(value, type);
	if (*object == NULL)
		pushJsonbValue(object, WJB_BEGIN_OBJECT, NULL);
	pushJsonbValue(object, WJB_KEY, &member);
	pushJsonbValue(object, WJB_VALUE, &content);
}

/* jsonb_finish is the object. */
Datum
jsonb_finish(JsonbParseState **object)
{
	return JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(object, WJB_END_OBJECT, NULL)));
}

/*
 * An answer as a text: the headers that the request added to it, a line each,
 * an empty line, and the body, if there is one.
 */
static void
answer_begin(StringInfo out)
{
	const char *changed = cache_tags_changed();

	initStringInfo(out);
	appendStringInfoSpaces(out, VARHDRSZ);
	if (changed != NULL)
		appendStringInfo(out, ANSWER_CACHE_DROP "%s\n", changed);
	if (headers != NULL && headers_of == MyProc->lxid)
		appendBinaryStringInfo(out, headers->data, headers->len);
	appendStringInfoChar(out, '\n');
	headers = NULL;
}

static Datum
answer_finish(StringInfo out)
{
	SET_VARSIZE(out->data, out->len);
	return PointerGetDatum(out->data);
}

/* answer_body is where the body of an answer begins. */
const char *
answer_body(const char *answer)
{
	return *answer == '\n' ? answer + 1 : strstr(answer, "\n\n") + 2;
}

/* response(anyelement) -> text */
PG_FUNCTION_INFO_V1(response);
Datum
response(PG_FUNCTION_ARGS)
{
	StringInfoData out;

	answer_begin(&out);
	if (!PG_ARGISNULL(0))
		json_write(&out, PG_GETARG_DATUM(0), false, get_fn_expr_argtype(fcinfo->flinfo, 0));
	return answer_finish(&out);
}

/* response_rows(anyarray) -> text */
PG_FUNCTION_INFO_V1(response_rows);
Datum
response_rows(PG_FUNCTION_ARGS)
{
	StringInfoData out;
	ArrayType	  *rows = PG_GETARG_ARRAYTYPE_P(0);

	answer_begin(&out);
	appendStringInfo(&out, "{\"count\":%d,\"next\":null,\"previous\":null,\"results\":",
					 ArrayGetNItems(ARR_NDIM(rows), ARR_DIMS(rows)));
	write_array(&out, PointerGetDatum(rows));
	appendStringInfoChar(&out, '}');
	return answer_finish(&out);
}

/* response_none(text) -> text */
PG_FUNCTION_INFO_V1(response_none);
Datum
response_none(PG_FUNCTION_ARGS)
{
	StringInfoData out;

	answer_begin(&out);
	return answer_finish(&out);
}

/* response_header adds a header to the answer of the running request. */
void
response_header(const char *name, const char *value)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);

	if (headers == NULL || headers_of != MyProc->lxid)
	{
		headers = makeStringInfo();
		headers_of = MyProc->lxid;
	}
	appendStringInfo(headers, "%s: %s\n", name, value);
	MemoryContextSwitchTo(old);
}

/* response_refusal is true when it has turned the answer of a request into an error. */
bool
response_refusal(const char *code, const char *message)
{
	if (actor_current()->target == NULL)
		return false;
	response_header("refused", psprintf("%s %s", code, message));
	return true;
}

/*
 * Pages. A cursor is "after.KEY" or "before.KEY", where KEY is the id of the
 * row at the edge of the page that it was made for.
 */

typedef struct PageCursor
{
	bool	  backward;
	bool	  given;
	pg_uuid_t key;
} PageCursor;

static PageCursor
cursor_parse(NullableDatum cursor, bool newest_first)
{
	PageCursor	result = {0};
	char	   *s;
	const char *key;
	int			i;

	if (cursor.isnull)
	{
		memset(result.key.data, newest_first ? 0xff : 0, UUID_LEN);
		return result;
	}
	s = TextDatumGetCString(cursor.value);
	result.given = true;
	if (strncmp(s, "after.", 6) == 0)
		key = s + 6;
	else if (strncmp(s, "before.", 7) == 0)
	{
		key = s + 7;
		result.backward = true;
	}
	else
		key = "";
	for (i = 0; i < UUID_LEN; i++)
	{
		unsigned byte;

		if (strspn(key, "0123456789abcdef") < 2 || sscanf(key, "%2x", &byte) != 1)
			rental_raise(invalid_field, errmsg("the cursor is not one of this list"), errfield("cursor"));
		result.key.data[i] = byte;
		key += 2;
	}
	if (*key != '\0')
		rental_raise(invalid_field, errmsg("the cursor is not one of this list"), errfield("cursor"));
	return result;
}

/* page_url is the running request's URL with another cursor, or just the cursor in plain SQL. */
static char *
page_url(const char *direction, const pg_uuid_t *key)
{
	const char	  *target = actor_current()->target;
	const char	  *query;
	StringInfoData url;
	char		   separator = '?';
	int			   i;

	initStringInfo(&url);
	if (target != NULL)
	{
		query = strchr(target, '?');
		appendBinaryStringInfo(&url, target, query ? query - target : strlen(target));
		while (query != NULL && query[1] != '\0')
		{
			const char *field = query + 1;
			size_t		len = strcspn(field, "&");

			if (len > 0 && strncmp(field, "cursor=", 7) != 0)
			{
				appendStringInfoChar(&url, separator);
				appendBinaryStringInfo(&url, field, len);
				separator = '&';
			}
			query = field[len] == '&' ? field + len : NULL;
		}
		appendStringInfo(&url, "%ccursor=", separator);
	}
	appendStringInfo(&url, "%s.", direction);
	for (i = 0; i < UUID_LEN; i++)
		appendStringInfo(&url, "%02x", key->data[i]);
	return url.data;
}

/*
 * page_return reads one page and makes it the function's result, a composite
 * of count bigint, next text, previous text, results VIEW[]. The plans give
 * the row in column 1 and its key in column 2.
 */
Datum
page_return(FunctionCallInfo fcinfo, PagePlans *plans, const NullableDatum *filters, int nfilters, int page_size,
			NullableDatum cursor, NullableDatum count)
{
	PageCursor	   at = cursor_parse(cursor, plans->newest_first);
	NullableDatum  args[PLAN_MAX_ARGS];
	TupleDesc	   desc;
	Datum		   values[4] = {0};
	bool		   nulls[4] = {true, true, true, false};
	Datum		  *rows;
	Oid			   row_type;
	uint64		   found;
	int			   n;
	int			   i;
	MemoryContext  caller = CurrentMemoryContext;
	StringInfoData link;

	if (page_size < 1 || page_size > 100)
		rental_raise(invalid_field, errmsg("page_size must be between 1 and 100"), errfield("page_size"));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "a page is a composite");

	plan_open();
	for (i = 0; i < nfilters; i++)
		args[i + 2] = filters[i];
	if (!count.isnull)
	{
		if (strcmp(TextDatumGetCString(count.value), "exact") != 0)
			rental_raise(invalid_field, errmsg("count must be \"exact\""), errfield("count"));
		plan_execute(&plans->count, args + 2, nfilters, true);
		values[0] = plan_datum(0, 1);
		nulls[0] = false;
	}
	args[0] = VALUE(UUIDPGetDatum(&at.key));
	args[1] = VALUE(Int32GetDatum(page_size + 1));
	found = plan_execute(at.backward ? &plans->backward : &plans->forward, args, nfilters + 2, true);
	n = Min(found, page_size);

	MemoryContextSwitchTo(caller);
	initStringInfo(&link);
	if (at.backward ? n > 0 : found > n)
	{
		Datum key = plan_datum(at.backward ? 0 : n - 1, 2);
		char *url = page_url("after", DatumGetUUIDP(key));

		values[1] = CStringGetTextDatum(url);
		nulls[1] = false;
		appendStringInfo(&link, "<%s>; rel=\"next\"", url);
	}
	if (at.given && (at.backward ? found > n : n > 0))
	{
		Datum key = plan_datum(at.backward ? n - 1 : 0, 2);
		char *url = page_url("before", DatumGetUUIDP(key));

		values[2] = CStringGetTextDatum(url);
		nulls[2] = false;
		appendStringInfo(&link, "%s<%s>; rel=\"prev\"", link.len > 0 ? ", " : "", url);
	}
	if (link.len > 0 && actor_current()->target != NULL)
		response_header("Link", link.data);

	row_type = get_element_type(TupleDescAttr(desc, 3)->atttypid);
	rows = palloc(Max(n, 1) * sizeof(Datum));
	for (i = 0; i < n; i++)
		rows[i] = plan_datum(at.backward ? n - 1 - i : i, 1);
	values[3] = PointerGetDatum(construct_array(rows, n, row_type, -1, false, TYPALIGN_DOUBLE));
	plan_close();

	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}
