/*
 * cppcheck.h
 *	  What cppcheck must know of PostgreSQL and libh2o without reading their headers: which macros are
 *	  declarations, which calls do not return. Read by script/lint only, never compiled.
 */
#define PG_MODULE_MAGIC extern int pg_magic
#define PG_FUNCTION_INFO_V1(f) extern int f##_info
#define PG_FUNCTION_ARGS struct FunctionCallInfoBaseData *fcinfo
#define PGDLLIMPORT
#define PGDLLEXPORT
#define pg_attribute_noreturn() __attribute__((noreturn))
#define pg_attribute_printf(f, a)
#define Assert(condition) ((void) 0)
#define ERROR 21
#define FATAL 22
#define PANIC 23
#define ereport(level, ...) do { if ((level) >= ERROR) abort(); } while (0)
#define elog(level, ...) do { if ((level) >= ERROR) abort(); } while (0)
#define PG_RETURN_VOID() return 0
#define PG_RETURN_NULL() do { null_result(fcinfo); return 0; } while (0)
#define PG_RETURN_DATUM(x) return (x)
#define PG_RETURN_POINTER(x) return (Datum) (x)
#define PG_RETURN_BOOL(x) return (x)
#define PG_RETURN_INT32(x) return (x)
#define PG_RETURN_INT64(x) return (x)
#define PG_RETURN_NUMERIC(x) return (Datum) (x)
#define PG_RETURN_UUID_P(x) return (Datum) (x)
#define PG_RETURN_TEXT_P(x) return (Datum) (x)
#define PG_RETURN_BYTEA_P(x) return (Datum) (x)
#define PG_RETURN_CSTRING(x) return (Datum) (x)
#define PG_RETURN_TIMESTAMPTZ(x) return (x)
#define PG_RETURN_RANGE_P(x) return (Datum) (x)
#define PG_RETURN_HEAPTUPLEHEADER(x) return (Datum) (x)
#define PG_TRY() if (1)
#define PG_CATCH() else
#define PG_FINALLY()
#define PG_END_TRY()
#define PG_RE_THROW() abort()
#define foreach(cell, list) for (cell = list_head(list); cell; cell = lnext(list, cell))
#define H2O_STRLIT(s) s, sizeof(s) - 1
