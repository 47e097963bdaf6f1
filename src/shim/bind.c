/*-------------------------------------------------------------------------
 *
 * bind.c
 *	  From path, query and body to the parameters of a statement.
 *
 * Arguments bind by name: path first, then query, then the members of the
 * JSON body.  What is unknown, missing, given twice or of the wrong type is
 * found here and never reaches the database.  jansson validates and decodes
 * the body; numbers and nested values are passed on as the client wrote
 * them, so that no amount ever goes through floating point.
 *
 *-------------------------------------------------------------------------
 */
#include "bind.h"

#include <limits.h>
#include <string.h>

#include <jansson.h>

#include "buffer.h"
#include "text.h"

typedef struct Binding
{
	h2o_mem_pool_t *pool;
	const Endpoint *endpoint;
	const char	  **values;
	bool		   *seen;
	Buffer		   *arrays; /* literals under way, of array arguments in the query */
	BindError	   *error;
} Binding;

static bool
fail(Binding *binding, ErrorCode code, const char *field, const char *message)
{
	binding->error->code = code;
	binding->error->field = field;
	binding->error->message = message;
	return false;
}

static const char *
copy(Binding *binding, const char *text, size_t len)
{
	return h2o_strdup(binding->pool, text, len).base;
}

/* what a client is told that sent something else */
static const char *
type_message(ArgumentType type)
{
	switch (type)
	{
		case TYPE_UUID:
			return "must be a UUID";
		case TYPE_BOOLEAN:
			return "must be true or false";
		case TYPE_SMALLINT:
			return "must be an integer from -32768 to 32767";
		case TYPE_INTEGER:
			return "must be an integer of 32 bits";
		case TYPE_BIGINT:
			return "must be an integer of 64 bits";
		case TYPE_NUMERIC:
			return "must be a decimal number without an exponent";
		case TYPE_TIMESTAMPTZ:
			return "must be a time like 2026-11-23T10:00:00Z, with its offset";
		case TYPE_DATE:
			return "must be a date like 2026-11-23";
		case TYPE_JSONB:
			return "must be JSON";
		case TYPE_TEXT:
			break;
	}
	return "must be a string";
}

/* form_is_valid checks a scalar in its text form, from wherever it came. */
static bool
form_is_valid(ArgumentType type, const char *text, size_t len)
{
	switch (type)
	{
		case TYPE_TEXT:
		case TYPE_JSONB:
			return true;
		case TYPE_UUID:
			return text_is_uuid(text, len);
		case TYPE_BOOLEAN:
			return h2o_memis(text, len, H2O_STRLIT("true")) || h2o_memis(text, len, H2O_STRLIT("false"));
		case TYPE_SMALLINT:
			return text_is_integer(text, len, SHRT_MIN, SHRT_MAX);
		case TYPE_INTEGER:
			return text_is_integer(text, len, INT_MIN, INT_MAX);
		case TYPE_BIGINT:
			return text_is_integer(text, len, LLONG_MIN, LLONG_MAX);
		case TYPE_NUMERIC:
			return text_is_decimal(text, len);
		case TYPE_TIMESTAMPTZ:
			return text_is_timestamp(text, len);
		case TYPE_DATE:
			return text_is_date(text, len);
	}
	return false;
}

/* is_json checks a jsonb argument in a query string. */
static bool
is_json(const char *text, size_t len)
{
	json_t *value = json_loadb(text, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);

	json_decref(value);
	return value != NULL;
}

static void
array_append(Buffer *literal, const char *text, size_t len)
{
	buffer_append(literal, literal->len == 0 ? "{\"" : ",\"", 2);
	for (size_t i = 0; i < len; i++)
	{
		if (text[i] == '"' || text[i] == '\\')
			buffer_append_char(literal, '\\');
		buffer_append_char(literal, text[i]);
	}
	buffer_append_char(literal, '"');
}

static const char *
array_finish(Buffer *literal)
{
	if (literal->len == 0)
		buffer_append_char(literal, '{');
	buffer_append_char(literal, '}');
	return buffer_terminate(literal);
}

/* find_argument returns the index of the argument that a client may name, or -1. */
static int
find_argument(const Endpoint *endpoint, const char *name, size_t len)
{
	for (int i = 0; i < endpoint->nargs; i++)
	{
		const Argument *arg = &endpoint->args[i];

		if (arg->name_len == len && !arg->given && !arg->of_file && !arg->of_request &&
			memcmp(arg->name, name, len) == 0)
			return i;
	}
	return -1;
}

static bool
bind_path(Binding *binding, const Route *route)
{
	for (int i = 0; i < binding->endpoint->nargs; i++)
	{
		const Argument	  *arg = &binding->endpoint->args[i];
		const PathSegment *segment;

		if (arg->path_segment < 0)
			continue;
		segment = &route->segments[arg->path_segment];
		if (!form_is_valid(arg->type, segment->text, segment->len))
			return fail(binding, ERROR_invalid_field, arg->name, type_message(arg->type));
		binding->values[i] = segment->text;
		binding->seen[i] = true;
	}
	return true;
}

/* bind_query_list adds the elements of a comma list to an array argument. */
static bool
bind_query_list(Binding *binding, int index, const char *text, size_t len)
{
	const Argument *arg = &binding->endpoint->args[index];
	Buffer		   *literal = &binding->arrays[index];
	const char	   *end = text + len;

	if (literal->data == NULL)
		buffer_init(literal, binding->pool, 128);
	binding->seen[index] = true;
	if (len == 0)
		return true;
	for (;;)
	{
		const char *comma = memchr(text, ',', (size_t) (end - text));
		size_t		item_len = (size_t) ((comma ? comma : end) - text);

		if (arg->type == TYPE_JSONB || !form_is_valid(arg->type, text, item_len))
			return fail(binding, ERROR_invalid_field, arg->name, type_message(arg->type));
		array_append(literal, text, item_len);
		if (comma == NULL)
			return true;
		text = comma + 1;
	}
}

static bool
bind_query_field(Binding *binding, const char *name, size_t name_len, const char *text, size_t len)
{
	int				index = find_argument(binding->endpoint, name, name_len);
	const Argument *arg;

	if (index < 0)
		return fail(binding, ERROR_unknown_field, name, "is not known here");
	arg = &binding->endpoint->args[index];
	if (binding->seen[index] && (!arg->array || arg->path_segment >= 0))
		return fail(binding, ERROR_duplicate_field, arg->name, "is given twice");
	if (arg->array)
		return bind_query_list(binding, index, text, len);
	if (!form_is_valid(arg->type, text, len) || (arg->type == TYPE_JSONB && !is_json(text, len)))
		return fail(binding, ERROR_invalid_field, arg->name, type_message(arg->type));
	binding->values[index] = text;
	binding->seen[index] = true;
	return true;
}

static bool
bind_query(Binding *binding, h2o_iovec_t query)
{
	const char *pair = query.base;
	const char *end = query.base + query.len;

	while (pair < end)
	{
		const char *next = memchr(pair, '&', (size_t) (end - pair));
		const char *pair_end = next ? next : end;
		const char *equals = memchr(pair, '=', (size_t) (pair_end - pair));
		const char *name_end = equals ? equals : pair_end;
		size_t		raw_len = (size_t) (pair_end - pair);
		char	   *name = h2o_mem_alloc_pool(binding->pool, raw_len + 2);
		char	   *text;
		ssize_t		name_len;
		ssize_t		len = 0;

		if (raw_len > 0)
		{
			name_len = text_percent_decode(name, pair, (size_t) (name_end - pair), true);
			if (name_len == TEXT_INVALID)
				return fail(binding, ERROR_bad_request, NULL, "the query string is malformed");
			name[name_len] = '\0';
			text = name + name_len + 1;
			if (equals)
				len = text_percent_decode(text, equals + 1, (size_t) (pair_end - equals - 1), true);
			if (len == TEXT_INVALID)
				return fail(binding, ERROR_invalid_field, name, "is not valid UTF-8 text");
			text[len] = '\0';
			if (!bind_query_field(binding, name, (size_t) name_len, text, (size_t) len))
				return false;
		}
		pair = pair_end + 1;
	}
	for (int i = 0; i < binding->endpoint->nargs; i++)
	{
		if (binding->arrays[i].data)
			binding->values[i] = array_finish(&binding->arrays[i]);
	}
	return true;
}

/*
 * The scanner below cuts the source text of members and elements out of a
 * document that jansson has found valid.  It is safe on any bytes, but says
 * nothing about their validity.
 */
typedef struct Scanner
{
	const char *at;
	const char *end;
} Scanner;

static void
scan_space(Scanner *scanner)
{
	while (scanner->at < scanner->end && strchr(" \t\r\n", *scanner->at) && *scanner->at != '\0')
		scanner->at++;
}

static void
scan_string(Scanner *scanner)
{
	for (scanner->at++; scanner->at < scanner->end && *scanner->at != '"'; scanner->at++)
	{
		if (*scanner->at == '\\')
			scanner->at++;
	}
	scanner->at = scanner->at < scanner->end ? scanner->at + 1 : scanner->end;
}

static h2o_iovec_t
scan_value(Scanner *scanner)
{
	const char *start;
	int			depth = 0;

	scan_space(scanner);
	start = scanner->at;
	while (scanner->at < scanner->end)
	{
		char c = *scanner->at;

		if (c == '"')
		{
			scan_string(scanner);
			continue;
		}
		if (depth == 0 && strchr(",]}: \t\r\n", c))
			break;
		if (c == '{' || c == '[')
			depth++;
		else if (c == '}' || c == ']')
			depth--;
		scanner->at++;
		if (depth == 0 && (c == '}' || c == ']'))
			break;
	}
	return h2o_iovec_init(start, (size_t) (scanner->at - start));
}

/* scan_enter goes into the object or array that the text is. */
static Scanner
scan_enter(h2o_iovec_t text)
{
	Scanner scanner = {text.base, text.base + text.len};

	scan_space(&scanner);
	scanner.at = scanner.at < scanner.end ? scanner.at + 1 : scanner.end;
	return scanner;
}

/* scan_next takes the next element, or the value of the next member, and the comma after it. */
static h2o_iovec_t
scan_next(Scanner *scanner, bool is_member)
{
	h2o_iovec_t value;

	if (is_member)
	{
		scan_value(scanner);
		scan_space(scanner);
		scanner->at = scanner->at < scanner->end ? scanner->at + 1 : scanner->end;
	}
	value = scan_value(scanner);
	scan_space(scanner);
	scanner->at = scanner->at < scanner->end ? scanner->at + 1 : scanner->end;
	return value;
}

/*
 * scalar_text gives the text form of a JSON value for an argument's type, or
 * NULL if the value is of another type.  The text may belong to the value.
 */
static const char *
scalar_text(ArgumentType type, const json_t *value, h2o_iovec_t source, size_t *len)
{
	const char *text = source.base;

	*len = source.len;
	switch (type)
	{
		case TYPE_JSONB:
			return text;
		case TYPE_BOOLEAN:
			return json_is_boolean(value) ? text : NULL;
		case TYPE_SMALLINT:
		case TYPE_INTEGER:
		case TYPE_BIGINT:
			if (!json_is_number(value))
				return NULL;
			break;
		case TYPE_NUMERIC:
			if (json_is_number(value))
				break;
			/* fall through */
		default:
			if (!json_is_string(value))
				return NULL;
			text = json_string_value(value);
			*len = json_string_length(value);
			break;
	}
	return form_is_valid(type, text, *len) ? text : NULL;
}

static bool
bind_array(Binding *binding, int index, json_t *array, h2o_iovec_t source)
{
	const Argument *arg = &binding->endpoint->args[index];
	Scanner			scanner = scan_enter(source);
	Buffer			literal;

	if (!json_is_array(array))
		return fail(binding, ERROR_invalid_field, arg->name, "must be an array");
	buffer_init(&literal, binding->pool, source.len + 16);
	for (size_t i = 0; i < json_array_size(array); i++)
	{
		const json_t *element = json_array_get(array, i);
		h2o_iovec_t	  element_source = scan_next(&scanner, false);
		size_t		  len;
		const char	 *text = scalar_text(arg->type, element, element_source, &len);

		if (text == NULL || json_is_null(element))
			return fail(binding, ERROR_invalid_field, arg->name, type_message(arg->type));
		array_append(&literal, text, len);
	}
	binding->values[index] = array_finish(&literal);
	return true;
}

static bool
bind_member(Binding *binding, const char *name, json_t *value, h2o_iovec_t source)
{
	int				index = find_argument(binding->endpoint, name, strlen(name));
	const Argument *arg;
	const char	   *text;
	size_t			len;

	if (index < 0)
		return fail(binding, ERROR_unknown_field, copy(binding, name, strlen(name)), "is not known here");
	arg = &binding->endpoint->args[index];
	if (binding->seen[index])
		return fail(binding, ERROR_duplicate_field, arg->name, "is given twice");
	binding->seen[index] = true;
	if (json_is_null(value))
		return arg->required ? fail(binding, ERROR_invalid_field, arg->name, "must not be null") : true;
	if (arg->array)
		return bind_array(binding, index, value, source);
	text = scalar_text(arg->type, value, source, &len);
	if (text == NULL)
		return fail(binding, ERROR_invalid_field, arg->name, type_message(arg->type));
	binding->values[index] = copy(binding, text, len);
	return true;
}

/* note_given fills the argument that lists the members of the body, if there is one. */
static void
note_given(Binding *binding, json_t *body)
{
	for (int i = 0; i < binding->endpoint->nargs; i++)
	{
		Buffer literal;

		if (!binding->endpoint->args[i].given)
			continue;
		buffer_init(&literal, binding->pool, 256);
		for (void *iter = json_object_iter(body); iter; iter = json_object_iter_next(body, iter))
		{
			const char *name = json_object_iter_key(iter);

			array_append(&literal, name, strlen(name));
		}
		binding->values[i] = array_finish(&literal);
	}
}

static bool
bind_body(Binding *binding, h2o_iovec_t text)
{
	Scanner		 scanner = scan_enter(text);
	json_error_t json_error;
	json_t		*body = json_loadb(text.base, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &json_error);
	bool		 bound = true;

	if (body == NULL && json_error_code(&json_error) == json_error_duplicate_key)
		return fail(binding, ERROR_duplicate_field, NULL, "an object of the body has a member twice");
	if (!json_is_object(body))
	{
		json_decref(body);
		return fail(binding, ERROR_malformed_json, NULL, "the body must be a valid JSON object");
	}
	/* members come in the order of the text, which the scanner goes along with */
	for (void *iter = json_object_iter(body); iter && bound; iter = json_object_iter_next(body, iter))
		bound =
			bind_member(binding, json_object_iter_key(iter), json_object_iter_value(iter), scan_next(&scanner, true));
	if (bound)
		note_given(binding, body);
	json_decref(body);
	return bound;
}

/*
 * bind_arguments fills the values of the endpoint's own arguments; one that
 * is not given stays NULL.  Values live in the pool or in the route.  An
 * empty body has a NULL base.  False: the error says why.
 */
bool
bind_arguments(h2o_mem_pool_t *pool, const Endpoint *endpoint, const Route *route, h2o_iovec_t query, h2o_iovec_t body,
			   const char **values, BindError *error)
{
	size_t	count = (size_t) endpoint->nargs;
	Binding binding = {pool, endpoint, values, NULL, NULL, error};

	binding.seen = h2o_mem_alloc_pool(pool, count * sizeof(bool) + 1);
	binding.arrays = h2o_mem_alloc_pool(pool, count * sizeof(Buffer) + 1);
	memset(binding.seen, 0, count * sizeof(bool));
	memset(binding.arrays, 0, count * sizeof(Buffer));
	memset(values, 0, count * sizeof(char *));

	if (!bind_path(&binding, route) || !bind_query(&binding, query) || (body.base && !bind_body(&binding, body)))
		return false;
	for (int i = 0; i < endpoint->nargs; i++)
	{
		if (endpoint->args[i].required && !binding.seen[i] && !endpoint->args[i].of_file &&
			!endpoint->args[i].of_request)
			return fail(&binding, ERROR_missing_field, endpoint->args[i].name, "is required");
	}
	return true;
}
