/* From a path to its node: splitting, percent-decoding, matching. */
#include <stdint.h>

#include "fuzz_support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Catalog *catalog = fuzz_catalog();
	char	*path = fuzz_copy(data, size);
	char	*memory = malloc(size + MAX_SEGMENTS + 1);
	Route	 route;

	if (router_match(catalog, path, size, memory, &route) == ROUTE_FOUND)
	{
		for (size_t i = 0; i < route.nsegments; i++)
		{
			/* what was decoded ends where it says, and holds no zero byte */
			if (strlen(route.segments[i].text) != route.segments[i].len)
				abort();
		}
	}
	free(memory);
	free(path);
	return 0;
}
