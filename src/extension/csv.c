/*
 * csv.c
 *	  Rows as CSV (RFC 4180), for exports.
 *
 * csv_begin, csv_row for each row and csv_end, in one statement, gather text
 * and hand it out in pieces of some 64 KiB; in between they return null. So a
 * row costs no message of its own. Values are written as answers have them
 * (response.c), null as nothing and an empty text as "". A spreadsheet takes
 * a cell that begins with = + - @ (also in full width), tab, carriage return
 * or line feed for a formula; such a text gets an apostrophe before it, as
 * OWASP has it ("CSV Injection"), unless it is a plain number. It knows
 * nothing of rentals.
 */
#include "rental.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "errors.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "parser/parse_coerce.h"
#include "period.h"
#include "response.h"
#include "storage/proc.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#define PIECE 65536

/* The text that was not handed out yet; it lives and dies with its transaction */
static StringInfo		  gathered;
static LocalTransactionId gathered_of;

/* What csv_row remembers of the columns of its rows */
typedef struct CsvColumn
{
	Oid		 type; /* of a domain its base type */
	bool	 is_dropped;
	bool	 is_number;
	bool	 is_json; /* an array, a row or JSON itself */
	FmgrInfo output;
} CsvColumn;

typedef struct CsvColumns
{
	TupleDesc desc; /* NULL: a row is one value */
	CsvColumn columns[FLEXIBLE_ARRAY_MEMBER];
} CsvColumns;

static StringInfo
gathered_text(void)
{
	if (gathered == NULL || gathered_of != MyProc->lxid)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("csv_begin was not called")));
	return gathered;
}

/* is_plain_number: an optional minus, digits, and perhaps a point and digits. */
static bool
is_plain_number(const char *text, int len)
{
	int i = len > 0 && text[0] == '-' ? 1 : 0;
	int digits = 0;
	int points = 0;

	for (; i < len; i++)
	{
		if (text[i] >= '0' && text[i] <= '9')
			digits++;
		else if (text[i] != '.' || digits == 0 || ++points > 1)
			return false;
	}
	return digits > 0 && text[len - 1] != '.';
}

/* is_formula: a spreadsheet might run what begins so. */
static bool
is_formula(const char *text, int len)
{
	/* full-width = + - @ in UTF-8 */
	static const char *const wide[] = {"\xEF\xBC\x9D", "\xEF\xBC\x8B", "\xEF\xBC\x8D", "\xEF\xBC\xA0"};
	int						 i;

	if (len == 0)
		return false;
	if (strchr("=+-@\t\r\n", text[0]) != NULL)
		return !is_plain_number(text, len);
	for (i = 0; i < lengthof(wide); i++)
		if (len >= 3 && memcmp(text, wide[i], 3) == 0)
			return true;
	return false;
}

static void
append_quoted(StringInfo out, const char *text, int len)
{
	const char *end = text + len;

	while (text < end)
	{
		const char *quote = memchr(text, '"', end - text);
		const char *stop = quote ? quote + 1 : end;

		appendBinaryStringInfo(out, text, stop - text);
		if (quote)
			appendStringInfoChar(out, '"');
		text = stop;
	}
}

/* append_text adds a cell; what may divide cells or rows, also where a semicolon does, stands in quotes. */
static void
append_text(StringInfo out, const char *text, int len)
{
	bool formula = is_formula(text, len);
	bool quoted = len == 0;
	int	 i;

	for (i = 0; i < len && !quoted; i++)
		quoted =
			text[i] == ',' || text[i] == '"' || text[i] == '\n' || text[i] == '\r' || text[i] == ';' || text[i] == '\t';
	if (quoted)
		appendStringInfoChar(out, '"');
	if (formula)
		appendStringInfoChar(out, '\'');
	if (quoted)
		append_quoted(out, text, len);
	else
		appendBinaryStringInfo(out, text, len);
	if (quoted)
		appendStringInfoChar(out, '"');
}

static void
append_value(StringInfo out, CsvColumn *column, Datum value)
{
	char digits[MAXINT8LEN + 1];

	switch (column->type)
	{
		case TEXTOID:
		case VARCHAROID:
		{
			text *t = DatumGetTextPP(value);

			append_text(out, VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t));
			return;
		}
		case INT2OID:
			appendBinaryStringInfo(out, digits, pg_itoa(DatumGetInt16(value), digits));
			return;
		case INT4OID:
			appendBinaryStringInfo(out, digits, pg_ltoa(DatumGetInt32(value), digits));
			return;
		case INT8OID:
			appendBinaryStringInfo(out, digits, pg_lltoa(DatumGetInt64(value), digits));
			return;
		case UUIDOID:
			appendStringInfoString(out, uuid_text(DatumGetUUIDP(value)));
			return;
		case BOOLOID:
			appendStringInfoString(out, DatumGetBool(value) ? "true" : "false");
			return;
		case TIMESTAMPTZOID:
			if (!TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(value)))
				appendStringInfoString(out, period_time_text(DatumGetTimestampTz(value)));
			return;
		default:
			break;
	}
	if (column->is_json || column->type == DATEOID)
	{
		StringInfoData json;

		initStringInfo(&json);
		json_write(&json, value, false, column->type);
		if (column->type != DATEOID)
			append_text(out, json.data, json.len);
		else if (json.data[0] == '"')
			appendBinaryStringInfo(out, json.data + 1, json.len - 2);
		return;
	}
	else
	{
		char *text = OutputFunctionCall(&column->output, value);

		if (column->is_number)
			appendStringInfoString(out, text);
		else
			append_text(out, text, strlen(text));
	}
}

static void
describe(CsvColumn *column, Oid type, MemoryContext context)
{
	Oid	 output;
	bool varlena;
	Oid	 base = getBaseType(type);

	column->type = base;
	column->is_number = TypeCategory(base) == TYPCATEGORY_NUMERIC;
	column->is_json = base == JSONOID || base == JSONBOID || get_typtype(base) == TYPTYPE_COMPOSITE ||
					  OidIsValid(get_element_type(base));
	getTypeOutputInfo(base, &output, &varlena);
	fmgr_info_cxt(output, &column->output, context);
}

static CsvColumns *
columns_of(FunctionCallInfo fcinfo, TupleDesc desc)
{
	MemoryContext context = fcinfo->flinfo->fn_mcxt;
	int			  n = desc ? desc->natts : 1;
	CsvColumns	 *columns = MemoryContextAllocZero(context, offsetof(CsvColumns, columns) + n * sizeof(CsvColumn));
	MemoryContext old = MemoryContextSwitchTo(context);
	int			  i;

	if (desc)
		columns->desc = CreateTupleDescCopy(desc);
	for (i = 0; i < n; i++)
	{
		if (desc && TupleDescAttr(desc, i)->attisdropped)
			columns->columns[i].is_dropped = true;
		else
			describe(&columns->columns[i],
					 desc ? TupleDescAttr(desc, i)->atttypid : get_fn_expr_argtype(fcinfo->flinfo, 0), context);
	}
	MemoryContextSwitchTo(old);
	fcinfo->flinfo->fn_extra = columns;
	return columns;
}

static void
append_row(FunctionCallInfo fcinfo, StringInfo out, HeapTupleHeader row)
{
	CsvColumns	 *columns = fcinfo->flinfo->fn_extra;
	HeapTupleData tuple;
	Datum		 *values;
	bool		 *nulls;
	bool		  first = true;
	int			  i;

	if (columns == NULL)
	{
		TupleDesc desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(row), HeapTupleHeaderGetTypMod(row));

		columns = columns_of(fcinfo, desc);
		ReleaseTupleDesc(desc);
	}
	values = palloc(columns->desc->natts * sizeof(Datum));
	nulls = palloc(columns->desc->natts * sizeof(bool));
	tuple.t_len = HeapTupleHeaderGetDatumLength(row);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = row;
	heap_deform_tuple(&tuple, columns->desc, values, nulls);
	for (i = 0; i < columns->desc->natts; i++)
	{
		if (columns->columns[i].is_dropped)
			continue;
		if (!first)
			appendStringInfoChar(out, ',');
		first = false;
		if (!nulls[i])
			append_value(out, &columns->columns[i], values[i]);
	}
}

/* hand_out returns what was gathered, and begins anew. */
static Datum
hand_out(StringInfo out)
{
	text *piece = cstring_to_text_with_len(out->data, out->len);

	resetStringInfo(out);
	PG_RETURN_TEXT_P(piece);
}

/*
 * csv_begin(format text, names text[]) -> text, always null: the line of names
 */
PG_FUNCTION_INFO_V1(csv_begin);
Datum
csv_begin(PG_FUNCTION_ARGS)
{
	MemoryContext old;
	Datum		 *names;
	int			  n;
	int			  i;

	if (!PG_ARGISNULL(0) && strcmp(TextDatumGetCString(PG_GETARG_DATUM(0)), "csv") != 0)
		rental_raise(invalid_field, errmsg("format must be csv"), errfield("format"));
	old = MemoryContextSwitchTo(TopTransactionContext);
	gathered = makeStringInfo();
	gathered_of = MyProc->lxid;
	enlargeStringInfo(gathered, PIECE + 8192);
	MemoryContextSwitchTo(old);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT, &names, NULL, &n);
	for (i = 0; i < n; i++)
	{
		text *name = DatumGetTextPP(names[i]);

		if (i > 0)
			appendStringInfoChar(gathered, ',');
		append_text(gathered, VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
	}
	appendStringInfoString(gathered, "\r\n");
	PG_RETURN_NULL();
}

/*
 * csv_row(anyelement) -> text: null, or a piece that has come together
 */
PG_FUNCTION_INFO_V1(csv_row);
Datum
csv_row(PG_FUNCTION_ARGS)
{
	StringInfo out = gathered_text();

	if (type_is_rowtype(get_fn_expr_argtype(fcinfo->flinfo, 0)))
	{
		/* a set may hold a null for a row */
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		append_row(fcinfo, out, PG_GETARG_HEAPTUPLEHEADER(0));
	}
	else if (!PG_ARGISNULL(0))
	{
		CsvColumns *columns = fcinfo->flinfo->fn_extra;

		if (columns == NULL)
			columns = columns_of(fcinfo, NULL);
		append_value(out, &columns->columns[0], PG_GETARG_DATUM(0));
	}
	appendStringInfoString(out, "\r\n");
	if (out->len < PIECE)
		PG_RETURN_NULL();
	return hand_out(out);
}

/*
 * csv_end() -> text: the rest
 */
PG_FUNCTION_INFO_V1(csv_end);
Datum
csv_end(PG_FUNCTION_ARGS)
{
	StringInfo out = gathered_text();

	if (out->len == 0)
		PG_RETURN_NULL();
	return hand_out(out);
}
