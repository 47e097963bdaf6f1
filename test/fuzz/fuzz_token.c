/* Authorization headers: none that comes from outside may ever be valid, since nobody has the key. */
#include <stdint.h>

#include "auth.h"
#include "fuzz_support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool	  ready;
	static Config config = {.jwt_issuer = "rental", .jwt_audience = "rental", .access_ttl = 900};
	char		 *header = malloc(size + 8);
	Actor		  actor;

	if (!ready)
	{
		setenv("RENTAL_JWT_SECRET", "only for fuzzing, and of no use elsewhere", 1);
		if (auth_init(&config) != NULL)
			abort();
		ready = true;
	}
	memcpy(header, "Bearer ", 7);
	memcpy(header + 7, data, size);
	if (auth_verify(header, size + 7, &actor) == AUTH_VALID || auth_verify(header + 7, size, &actor) == AUTH_VALID)
		abort();
	free(header);
	return 0;
}
