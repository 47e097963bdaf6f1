/*
 * plan.h
 *	  Prepared statements, the only way from C to SQL (see plan.c).
 *
 *	  PLAN(order_lock, "SELECT ... WHERE id = $1 FOR UPDATE", UUIDOID);
 *	  ...
 *	  plan_open();
 *	  if (plan_run(&order_lock, ARG(id)) == 0) ...
 *	  status = plan_text(0, 1);
 *	  plan_close();
 *
 * Between plan_open and plan_close memory is the plan's own and goes away with
 * it; what must outlive it is copied by plan_keep.
 */
#ifndef RENTAL_PLAN_H
#define RENTAL_PLAN_H

#include "rental.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"

#define PLAN_MAX_ARGS 24

typedef struct PreparedPlan
{
	const char *sql;
	int			nargs;
	Oid			argtypes[PLAN_MAX_ARGS];
	int			options; /* of SPI_prepare_cursor */
	SPIPlanPtr	prepared;
} PreparedPlan;

#define PLAN_INIT(text, ...)                                                                            \
	{                                                                                                   \
		.sql = (text), .nargs = sizeof((Oid[]){__VA_ARGS__}) / sizeof(Oid), .argtypes = { __VA_ARGS__ } \
	}
#define PLAN(name, text, ...) static PreparedPlan name = PLAN_INIT(text, __VA_ARGS__)
#define PLAN_WITH(name, how, text, ...)                                              \
	static PreparedPlan name = {.sql = (text),                                       \
								.nargs = sizeof((Oid[]){__VA_ARGS__}) / sizeof(Oid), \
								.argtypes = {__VA_ARGS__},                           \
								.options = (how)}
/* A plan that is made once, without a look at the arguments, where planning costs more than that can gain */
#define PLAN_ONCE(name, text, ...) PLAN_WITH(name, CURSOR_OPT_GENERIC_PLAN, text, __VA_ARGS__)
/* A plan that is made each time, where what is best for some arguments takes for ever for others */
#define PLAN_ANEW(name, text, ...) PLAN_WITH(name, CURSOR_OPT_CUSTOM_PLAN, text, __VA_ARGS__)

/* One argument of a plan: a datum, or a null */
#define VALUE(datum)			   ((NullableDatum){.value = (datum), .isnull = false})
#define NULLVALUE				   ((NullableDatum){.value = (Datum) 0, .isnull = true})
#define VALUE_OR_NULL(datum, null) ((NullableDatum){.value = (datum), .isnull = (null)})
/* Argument N of the SQL function being executed, as it came */
#define FCARG(n)				   (fcinfo->args[n])

#define plan_run(plan, ...)                                                                                            \
	plan_execute(plan, (NullableDatum[]){__VA_ARGS__}, sizeof((NullableDatum[]){__VA_ARGS__}) / sizeof(NullableDatum), \
				 false)
/* The same for a query that must not see changes of the running statement */
#define plan_read(plan, ...)                                                                                           \
	plan_execute(plan, (NullableDatum[]){__VA_ARGS__}, sizeof((NullableDatum[]){__VA_ARGS__}) / sizeof(NullableDatum), \
				 true)

/* The rights and settings to go back to after plan_trust or plan_open_trusted */
typedef struct PlanRights
{
	Oid user;
	int security;
	int nest;
} PlanRights;

struct TriggerData;

extern PlanRights	 plan_trust(void);
extern void			 plan_distrust(PlanRights rights);
extern PlanRights	 plan_open_trusted(void);
extern void			 plan_close_trusted(PlanRights rights);
extern void			 plan_see_changes(struct TriggerData *trigger);
extern Datum		 row_column(struct TriggerData *trigger, HeapTuple row, const char *name);
extern void			 plan_open(void);
extern void			 plan_close(void);
extern uint64		 plan_execute(PreparedPlan *plan, const NullableDatum *args, int nargs, bool read_only);
extern NullableDatum plan_value(uint64 row, int column);
extern NullableDatum plan_value_of(SPITupleTable *rows, uint64 row, int column);
extern Datum		 plan_datum(uint64 row, int column);
extern NullableDatum plan_keep(uint64 row, int column);
extern NullableDatum text_or_null(const char *text);
extern Datum		 plan_keep_row(Datum row);
extern char			*plan_text(uint64 row, int column);
extern Datum		 plan_return(FunctionCallInfo fcinfo, NullableDatum kept);
extern ErrorData	*plan_try(void (*work)(void *arg), void *arg, bool keep);

#endif /* RENTAL_PLAN_H */
