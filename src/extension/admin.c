/*
 * admin.c
 *	  Management: the root of the API, and news of changed endpoints.
 */
#include "rental.h"

#include "commands/async.h"
#include "commands/trigger.h"
#include "funcapi.h"
#include "utils/builtins.h"

/* api_root(): name, version, links */
PG_FUNCTION_INFO_V1(api_root);
Datum
api_root(PG_FUNCTION_ARGS)
{
	Datum	  values[3];
	bool	  nulls[3] = {false};
	TupleDesc desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "the root is a composite");
	values[0] = CStringGetTextDatum("rental");
	values[1] = CStringGetTextDatum(RENTAL_VERSION);
	values[2] = CStringGetTextDatum("{\"auth\":\"/api/auth/\",\"categories\":\"/api/catalog/categories/\","
									"\"products\":\"/api/catalog/products/\",\"vendors\":\"/api/users/vendors/\","
									"\"orders\":\"/api/orders/orders/\",\"examples\":\"/api/examples/\"}");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/* endpoint_changed: after a statement changed endpoints, tells the shims when it commits */
PG_FUNCTION_INFO_V1(endpoint_changed);
Datum
endpoint_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "endpoint_changed is a trigger");
	Async_Notify("rental_endpoint", NULL);
	return PointerGetDatum(NULL);
}
