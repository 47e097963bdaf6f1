/* Query and body to arguments: the first byte says how much of the input is the query. */
#include <stdint.h>

#include "bind.h"
#include "fuzz_support.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char path[] = "/a/01a20b22-97c6-74b1-9db2-bc1d9ad9f991/b/n/";
	Catalog			 *catalog = fuzz_catalog();
	char			  memory[sizeof(path) + MAX_SEGMENTS + 1];
	const char		 *values[MAX_ARGUMENTS];
	const Endpoint	 *endpoint;
	h2o_mem_pool_t	  pool;
	BindError		  error;
	Route			  route;
	size_t			  query_len;
	char			 *query;
	char			 *body;

	if (size == 0 || router_match(catalog, path, sizeof(path) - 1, memory, &route) != ROUTE_FOUND)
		return 0;
	query_len = data[0] < size - 1 ? data[0] : size - 1;
	query = fuzz_copy(data + 1, query_len);
	body = fuzz_copy(data + 1 + query_len, size - 1 - query_len);
	endpoint = route.node->endpoints[METHOD_POST];
	h2o_mem_init_pool(&pool);
	if (bind_arguments(&pool, endpoint, &route, h2o_iovec_init(query, query_len),
					   h2o_iovec_init(size - 1 - query_len ? body : NULL, size - 1 - query_len), values, &error))
	{
		for (int i = 0; i < endpoint->nargs; i++)
		{
			/* whatever is passed on is text that PostgreSQL can read */
			if (values[i] && !text_is_utf8(values[i], strlen(values[i])))
				abort();
		}
	}
	else if (error.message == NULL)
		abort();
	h2o_mem_clear_pool(&pool);
	free(query);
	free(body);
	return 0;
}
