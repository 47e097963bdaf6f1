/*
 * request.c
 *	  Strict reading of JSON arguments: every field known, none missing, each of its type.
 *
 * The shim has checked what stands at the top of a request against the
 * function's signature; this does the same for objects inside, and for
 * callers in SQL. Errors name the field as in items[0].quantity.
 */
#include "request.h"

#include "common/unicode_norm.h"
#include "errors.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "period.h"
#include "plan.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

RequestList
request_list(const char *name, Jsonb *json, int most)
{
	RequestList list = {name, json, 0};

	if (!JB_ROOT_IS_ARRAY(json) || JB_ROOT_IS_SCALAR(json))
		rental_raise(invalid_field, errmsg("%s must be a list", name), errfield(name));
	list.count = JB_ROOT_COUNT(json);
	if (list.count < 1 || list.count > most)
		rental_raise(invalid_field, errmsg("%s must have 1 to %d entries", name, most), errfield(name));
	return list;
}

/* check_fields refuses an object that has any field but those. */
static void
check_fields(const RequestObject *object, const char *const *fields)
{
	JsonbIterator	  *iterator = JsonbIteratorInit(object->json);
	JsonbValue		   key;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		int i;

		if (token != WJB_KEY)
			continue;
		for (i = 0; fields[i] != NULL; i++)
			if (strlen(fields[i]) == key.val.string.len &&
				memcmp(fields[i], key.val.string.val, key.val.string.len) == 0)
				break;
		if (fields[i] == NULL)
		{
			char *name = pnstrdup(key.val.string.val, pg_mbcliplen(key.val.string.val, key.val.string.len, 60));

			rental_raise(unknown_field, errmsg("%s is not known here", name), errfield(request_path(object, name)));
		}
	}
}

RequestObject
request_object(const RequestList *list, int index, const char *const *fields)
{
	RequestObject object = {psprintf("%s[%d]", list->name, index), NULL};
	JsonbValue	 *value = getIthJsonbValueFromContainer(&list->json->root, index);

	if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
		rental_raise(invalid_field, errmsg("%s must be an object", object.path), errfield(object.path));
	object.json = value->val.binary.data;
	check_fields(&object, fields);
	return object;
}

/* request_whole is an argument that is one object. */
RequestObject
request_whole(const char *name, Jsonb *json, const char *const *fields)
{
	RequestObject object = {name, &json->root};

	if (!JB_ROOT_IS_OBJECT(json))
		rental_raise(invalid_field, errmsg("%s must be an object", name), errfield(name));
	check_fields(&object, fields);
	return object;
}

char *
request_path(const RequestObject *object, const char *field)
{
	return psprintf("%s.%s", object->path, field);
}

/* field_value finds a field; an absent one and a null are the same. */
static JsonbValue *
field_value(const RequestObject *object, const char *field, bool required)
{
	JsonbValue *value = getKeyJsonValueFromContainer(object->json, field, strlen(field), NULL);

	if (value != NULL && value->type == jbvNull)
		value = NULL;
	if (value == NULL && required)
		rental_raise(missing_field, errmsg("%s is required", field), errfield(request_path(object, field)));
	return value;
}

static void
wrong_type(const RequestObject *object, const char *field, const char *wanted)
{
	rental_raise(invalid_field, errmsg("%s must be %s", field, wanted), errfield(request_path(object, field)));
}

/* parse_uuid reads the usual form of 36 characters. */
static bool
parse_uuid(const JsonbValue *json, pg_uuid_t *value)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	const char		 *s;
	int				  i;
	int				  digits = 0;

	if (json->type != jbvString || json->val.string.len != sizeof(form) - 1)
		return false;
	s = json->val.string.val;
	memset(value, 0, sizeof(*value));
	for (i = 0; form[i] != '\0'; i++)
	{
		const char *hex = "0123456789abcdef";
		const char *digit;

		if (form[i] == '-')
		{
			if (s[i] != '-')
				return false;
			continue;
		}
		digit = s[i] == '\0' ? NULL : strchr(hex, pg_ascii_tolower((unsigned char) s[i]));
		if (digit == NULL)
			return false;
		value->data[digits / 2] |= (digit - hex) << (digits % 2 == 0 ? 4 : 0);
		digits++;
	}
	return true;
}

bool
request_uuid(const RequestObject *object, const char *field, bool required, pg_uuid_t *value)
{
	JsonbValue *json = field_value(object, field, required);

	if (json == NULL)
		return false;
	if (!parse_uuid(json, value))
		wrong_type(object, field, "a UUID");
	return true;
}

int
request_uuids(const RequestObject *object, const char *field, pg_uuid_t **values)
{
	JsonbValue	   *json = field_value(object, field, false);
	JsonbContainer *list;
	int				i;
	int				n;

	if (json == NULL)
		return 0;
	if (json->type != jbvBinary || !JsonContainerIsArray(json->val.binary.data))
		wrong_type(object, field, "a list of UUIDs");
	list = json->val.binary.data;
	n = JsonContainerSize(list);
	*values = palloc(Max(n, 1) * sizeof(pg_uuid_t));
	for (i = 0; i < n; i++)
		if (!parse_uuid(getIthJsonbValueFromContainer(list, i), &(*values)[i]))
			wrong_type(object, field, "a list of UUIDs");
	return n;
}

bool
request_integer(const RequestObject *object, const char *field, bool required, int32 *value)
{
	JsonbValue *json = field_value(object, field, required);
	Datum		number;

	if (json == NULL)
		return false;
	if (json->type != jbvNumeric)
		wrong_type(object, field, "a whole number");
	number = NumericGetDatum(json->val.numeric);
	if (!DatumGetBool(DirectFunctionCall2(numeric_eq, number, DirectFunctionCall1(numeric_floor, number))) ||
		DatumGetBool(
			DirectFunctionCall2(numeric_gt, number, DirectFunctionCall1(int4_numeric, Int32GetDatum(PG_INT32_MAX)))) ||
		DatumGetBool(
			DirectFunctionCall2(numeric_lt, number, DirectFunctionCall1(int4_numeric, Int32GetDatum(PG_INT32_MIN)))))
		wrong_type(object, field, "a whole number");
	*value = DatumGetInt32(DirectFunctionCall1(numeric_int4, number));
	return true;
}

static bool
digits(const char **s, int n)
{
	for (; n > 0; n--, (*s)++)
		if (**s < '0' || **s > '9')
			return false;
	return true;
}

/* is_rfc3339 checks the form of a time stamp, offset included; PostgreSQL checks its values. */
static bool
is_rfc3339(const char *s)
{
	if (!digits(&s, 4) || *s++ != '-' || !digits(&s, 2) || *s++ != '-' || !digits(&s, 2) || (*s != 'T' && *s != 't'))
		return false;
	s++;
	if (*s > '2' || (*s == '2' && s[1] > '3') || !digits(&s, 2) || *s++ != ':' || !digits(&s, 2))
		return false;
	if (*s++ != ':' || !digits(&s, 2))
		return false;
	if (*s == '.')
	{
		s++;
		if (!digits(&s, 1))
			return false;
		while (*s >= '0' && *s <= '9')
			s++;
	}
	if ((*s == 'Z' || *s == 'z') && s[1] == '\0')
		return true;
	if (*s != '+' && *s != '-')
		return false;
	s++;
	return digits(&s, 2) && *s++ == ':' && digits(&s, 2) && *s == '\0';
}

bool
request_time(const RequestObject *object, const char *field, bool required, TimestampTz *value)
{
	JsonbValue *json = field_value(object, field, required);
	char	   *text;

	if (json == NULL)
		return false;
	text = json->type == jbvString ? pnstrdup(json->val.string.val, json->val.string.len) : NULL;
	if (text == NULL || !is_rfc3339(text) || !period_parse_time(text, value))
		wrong_type(object, field, "a time stamp with an offset, such as 2026-06-01T10:00:00Z");
	return true;
}

/* request_string is a text without surrounding white space; NULL if it is absent, null or empty. */
char *
request_string(const RequestObject *object, const char *field, bool required, int most)
{
	JsonbValue *json = field_value(object, field, required);
	char	   *path = request_path(object, field);
	char	   *text;

	if (json == NULL)
		return NULL;
	if (json->type != jbvString)
		wrong_type(object, field, "a text");
	text = request_text(VALUE(PointerGetDatum(cstring_to_text_with_len(json->val.string.val, json->val.string.len))),
						path, most);
	if (*text == '\0' && required)
		rental_raise(invalid_value, errmsg("%s must not be empty", path), errfield(path));
	return *text == '\0' ? NULL : text;
}

/* request_amount is a decimal, as a text like the amounts of answers or as a number. */
bool
request_amount(const RequestObject *object, const char *field, bool required, Datum *value)
{
	JsonbValue *json = field_value(object, field, required);
	char	   *text;
	size_t		whole;

	if (json == NULL)
		return false;
	if (json->type == jbvNumeric)
	{
		*value = NumericGetDatum(json->val.numeric);
		return true;
	}
	text = json->type == jbvString ? pnstrdup(json->val.string.val, json->val.string.len) : "";
	whole = strspn(text, "0123456789");
	if (whole == 0 || whole > 20 ||
		(text[whole] != '\0' &&
		 (text[whole] != '.' || strspn(text + whole + 1, "0123456789") != strlen(text + whole + 1) ||
		  text[whole + 1] == '\0' || strlen(text + whole) > 20)))
		wrong_type(object, field, "a decimal, such as \"12.50\"");
	*value = DirectFunctionCall3(numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	return true;
}

/* request_child is an object inside an object; false if it is absent or null. */
bool
request_child(const RequestObject *object, const char *field, bool required, const char *const *fields,
			  RequestObject *child)
{
	JsonbValue *json = field_value(object, field, required);

	if (json == NULL)
		return false;
	if (json->type != jbvBinary || !JsonContainerIsObject(json->val.binary.data))
		wrong_type(object, field, "an object");
	child->path = request_path(object, field);
	child->json = json->val.binary.data;
	check_fields(child, fields);
	return true;
}

void
request_required(NullableDatum value, const char *field)
{
	if (value.isnull)
		rental_raise(missing_field, errmsg("%s is required", field), errfield(field));
}

/* request_text is a text argument without surrounding white space, NULL if it is null. */
char *
request_text(NullableDatum value, const char *field, int most)
{
	char *s;
	char *end;

	if (value.isnull)
		return NULL;
	s = TextDatumGetCString(value.value);
	while (isspace((unsigned char) *s))
		s++;
	for (end = s + strlen(s); end > s && isspace((unsigned char) end[-1]); end--)
		end[-1] = '\0';
	if (pg_mbstrlen(s) > most)
		rental_raise(invalid_value, errmsg("%s has more than %d characters", field, most), errfield(field));
	return s;
}

char *
request_required_text(NullableDatum value, const char *field, int most)
{
	char *s;

	request_required(value, field);
	s = request_text(value, field, most);
	if (*s == '\0')
		rental_raise(invalid_value, errmsg("%s must not be empty", field), errfield(field));
	return s;
}

/* request_composed is text in its composed form (NFC), so that the same letters are the same bytes */
char *
request_composed(const char *text)
{
	int			   length = strlen(text);
	pg_wchar	  *wide = palloc((length + 1) * sizeof(pg_wchar));
	pg_wchar	  *composed;
	StringInfoData out;
	int			   i;

	if (GetDatabaseEncoding() != PG_UTF8)
		return pstrdup(text);
	wide[pg_mb2wchar_with_len(text, wide, length)] = 0;
	composed = unicode_normalize(UNICODE_NFC, wide);
	initStringInfo(&out);
	for (i = 0; composed[i] != 0; i++)
	{
		unsigned char utf8[MAX_MULTIBYTE_CHAR_LEN + 1] = {0};

		unicode_to_utf8(composed[i], utf8);
		appendBinaryStringInfo(&out, (char *) utf8, pg_utf_mblen(utf8));
	}
	return out.data;
}

/* request_pattern is a LIKE pattern that finds text anywhere, taking its own % and _ as they are. */
NullableDatum
request_pattern(NullableDatum search)
{
	StringInfoData pattern;
	char		  *s;

	if (search.isnull)
		return search;
	initStringInfo(&pattern);
	appendStringInfoChar(&pattern, '%');
	for (s = TextDatumGetCString(search.value); *s != '\0'; s++)
	{
		if (*s == '%' || *s == '_' || *s == '\\')
			appendStringInfoChar(&pattern, '\\');
		appendStringInfoChar(&pattern, *s);
	}
	appendStringInfoChar(&pattern, '%');
	return VALUE(CStringGetTextDatum(pattern.data));
}

/* request_percent refuses a percentage that is not within bounds, or finer than four decimals; null is none. */
void
request_percent(NullableDatum value, const char *field, int least, int most)
{
	Datum lower = DirectFunctionCall1(int4_numeric, Int32GetDatum(least));
	Datum upper = DirectFunctionCall1(int4_numeric, Int32GetDatum(most));

	if (value.isnull)
		return;
	/* NaN is greater than all numbers */
	if (DatumGetBool(DirectFunctionCall2(numeric_lt, value.value, lower)) ||
		DatumGetBool(DirectFunctionCall2(numeric_gt, value.value, upper)) ||
		DatumGetBool(DirectFunctionCall2(numeric_ne, value.value,
										 DirectFunctionCall2(numeric_round, value.value, Int32GetDatum(4)))))
		rental_raise(invalid_value,
					 errmsg("%s is a percentage of %d to %d, with at most four decimals", field, least, most),
					 errfield(field));
}

/* request_word refuses a word that is not among those given, the last of which is NULL. */
void
request_word(const char *word, const char *field, const char *const *words)
{
	StringInfoData known;
	int			   i;

	initStringInfo(&known);
	for (i = 0; words[i] != NULL; i++)
	{
		if (strcmp(words[i], word) == 0)
			return;
		appendStringInfo(&known, "%s%s", i == 0 ? "" : words[i + 1] == NULL ? " or " : ", ", words[i]);
	}
	rental_raise(invalid_value, errmsg("%s must be %s", field, known.data), errfield(field));
}

/* request_country checks a country, if there is one. */
void
request_country(NullableDatum value, const char *field)
{
	char *text = request_text(value, field, 2);

	if (text != NULL && (strlen(text) != 2 || strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 2))
		rental_raise(invalid_value, errmsg("%s must be a country of ISO 3166-1, two letters", field), errfield(field));
}

/* request_json reads a whole document; PostgreSQL's own error says what is wrong with it. */
Jsonb *
request_json(const char *text)
{
	MemoryContext here = CurrentMemoryContext;
	Jsonb *volatile json = NULL;
	ErrorData *error;

	PG_TRY();
	{
		json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(here);
		error = CopyErrorData();
		FlushErrorState();
		rental_raise(malformed_json, errmsg("the body is not valid JSON"), errdetail_internal("%s", error->message));
	}
	PG_END_TRY();
	return json;
}
