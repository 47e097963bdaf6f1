/*
 * openapi.c
 *	  What the API document needs and plain SQL cannot see: the error table,
 *	  and from which table's column each column of a view comes.
 *
 * The document itself is a query, in sql/install/84_openapi.sql. Nothing here
 * reads data or writes.
 */
#include "rental.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* What is known of a column */
typedef struct Origin
{
	bool	   not_null;
	Oid		   source; /* the table it is taken from as it is, or InvalidOid */
	AttrNumber position;
} Origin;

static Origin view_column(Oid view, AttrNumber position);

/* error_list(): the table of errors */
PG_FUNCTION_INFO_V1(error_list);
Datum
error_list(PG_FUNCTION_ARGS)
{
	static const struct
	{
		const char *code;
		const char *sqlstate;
		const char *title;
	} entries[] = {
#define RENTAL_ERROR(name, sqlstate, title) {#name, sqlstate, title},
#include "errors.def"
#undef RENTAL_ERROR
	};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		   nulls[3] = {false};
	size_t		   i;

	InitMaterializedSRF(fcinfo, 0);
	for (i = 0; i < lengthof(entries); i++)
	{
		Datum values[3] = {CStringGetTextDatum(entries[i].code), Int32GetDatum(atoi(entries[i].sqlstate + 2)),
						   CStringGetTextDatum(entries[i].title)};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* collect_nullable adds the range table entries whose columns an outer join may make null. */
static void
collect_nullable(Node *node, bool nullable, Bitmapset **found)
{
	if (IsA(node, RangeTblRef))
	{
		if (nullable)
			*found = bms_add_member(*found, ((RangeTblRef *) node)->rtindex);
	}
	else if (IsA(node, FromExpr))
	{
		ListCell *lc;

		foreach(lc, ((FromExpr *) node)->fromlist)
			collect_nullable(lfirst(lc), nullable, found);
	}
	else
	{
		JoinExpr *join = castNode(JoinExpr, node);

		collect_nullable(join->larg, nullable || join->jointype == JOIN_RIGHT || join->jointype == JOIN_FULL, found);
		collect_nullable(join->rarg, nullable || join->jointype == JOIN_LEFT || join->jointype == JOIN_FULL, found);
	}
}

static Origin
table_column(Oid table, AttrNumber position)
{
	Origin	  origin = {false, table, position};
	HeapTuple tuple;

	if (get_rel_relkind(table) == RELKIND_VIEW)
		return view_column(table, position);
	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(table), Int16GetDatum(position));
	if (HeapTupleIsValid(tuple))
	{
		origin.not_null = ((Form_pg_attribute) GETSTRUCT(tuple))->attnotnull;
		ReleaseSysCache(tuple);
	}
	return origin;
}

static Origin query_column(const Query *query, AttrNumber position);
static bool	  all_not_null(const Query *query, const Bitmapset *nullable, List *expressions);

/* expression_origin knows the common cases; of any other expression it says that it may be null. */
static Origin
expression_origin(const Query *query, const Bitmapset *nullable, Node *expression)
{
	Origin origin = {false, InvalidOid, 0};

	switch (nodeTag(expression))
	{
		case T_Var:
		{
			const Var	  *var = (const Var *) expression;
			RangeTblEntry *entry;

			if (var->varlevelsup != 0 || var->varattno <= 0)
				break;
			entry = rt_fetch(var->varno, query->rtable);
			if (entry->rtekind == RTE_JOIN)
				return expression_origin(query, nullable, list_nth(entry->joinaliasvars, var->varattno - 1));
			if (entry->rtekind == RTE_RELATION)
				origin = table_column(entry->relid, var->varattno);
			else if (entry->rtekind == RTE_SUBQUERY)
				origin = query_column(entry->subquery, var->varattno);
			if (bms_is_member(var->varno, nullable))
				origin.not_null = false;
			break;
		}
		case T_Const:
			origin.not_null = !((const Const *) expression)->constisnull;
			break;
		case T_RelabelType:
			return expression_origin(query, nullable, (Node *) ((RelabelType *) expression)->arg);
		case T_RowExpr:
			origin.not_null = true;
			break;
		case T_SubLink:
			origin.not_null = ((const SubLink *) expression)->subLinkType == ARRAY_SUBLINK ||
							  ((const SubLink *) expression)->subLinkType == EXISTS_SUBLINK;
			break;
		case T_CoalesceExpr:
		{
			ListCell *lc;

			foreach(lc, ((const CoalesceExpr *) expression)->args)
				origin.not_null |= expression_origin(query, nullable, lfirst(lc)).not_null;
			break;
		}
		case T_CaseExpr:
		{
			const CaseExpr *cases = (const CaseExpr *) expression;
			ListCell	   *lc;

			origin.not_null =
				cases->defresult != NULL && expression_origin(query, nullable, (Node *) cases->defresult).not_null;
			foreach(lc, cases->args)
				origin.not_null &=
					expression_origin(query, nullable, (Node *) lfirst_node(CaseWhen, lc)->result).not_null;
			break;
		}
		case T_OpExpr:
		{
			const OpExpr *op = (const OpExpr *) expression;
			char		  category;
			bool		  preferred;

			/* arithmetic and comparison give null for nulls only */
			get_type_category_preferred(op->opresulttype, &category, &preferred);
			origin.not_null = op_strict(op->opno) &&
							  (category == TYPCATEGORY_NUMERIC || category == TYPCATEGORY_DATETIME ||
							   category == TYPCATEGORY_BOOLEAN) &&
							  all_not_null(query, nullable, op->args);
			break;
		}
		case T_FuncExpr:
		{
			const FuncExpr *call = (const FuncExpr *) expression;

			/* a cast gives null for null only; of other functions nobody knows */
			origin.not_null = (call->funcformat == COERCE_IMPLICIT_CAST || call->funcformat == COERCE_EXPLICIT_CAST) &&
							  func_strict(call->funcid) && all_not_null(query, nullable, call->args);
			break;
		}
		default:
			break;
	}
	return origin;
}

static bool
all_not_null(const Query *query, const Bitmapset *nullable, List *expressions)
{
	ListCell *lc;

	foreach(lc, expressions)
	{
		if (!expression_origin(query, nullable, lfirst(lc)).not_null)
			return false;
	}
	return true;
}

static Origin
query_column(const Query *query, AttrNumber position)
{
	Origin		 unknown = {false, InvalidOid, 0};
	TargetEntry *target = get_tle_by_resno(query->targetList, position);
	Bitmapset	*nullable = NULL;

	check_stack_depth();
	/* with these an output is not what its expression says */
	if (target == NULL || query->setOperations != NULL || query->groupingSets != NIL)
		return unknown;
	collect_nullable((Node *) query->jointree, false, &nullable);
	return expression_origin(query, nullable, (Node *) target->expr);
}

static Origin
view_column(Oid view, AttrNumber position)
{
	Relation relation = table_open(view, AccessShareLock);
	Origin	 origin = query_column(get_view_query(relation), position);

	table_close(relation, AccessShareLock);
	return origin;
}

/* view_columns(view regclass): where the columns of a view come from, and which can never be null */
PG_FUNCTION_INFO_V1(view_columns);
Datum
view_columns(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid			   view = PG_GETARG_OID(0);
	Relation	   relation;
	const Query	  *query;
	int			   i;

	InitMaterializedSRF(fcinfo, 0);
	if (get_rel_relkind(view) != RELKIND_VIEW)
		return (Datum) 0;
	relation = table_open(view, AccessShareLock);
	query = get_view_query(relation);
	for (i = 1; i <= RelationGetNumberOfAttributes(relation); i++)
	{
		Origin origin = query_column(query, i);
		Datum  values[4] = {Int16GetDatum(i), BoolGetDatum(origin.not_null), ObjectIdGetDatum(origin.source),
							Int16GetDatum(origin.position)};
		bool   nulls[4] = {false, false, !OidIsValid(origin.source), !OidIsValid(origin.source)};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	table_close(relation, AccessShareLock);
	return (Datum) 0;
}
