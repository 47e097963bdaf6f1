/*-------------------------------------------------------------------------
 *
 * loader.h
 *	  Keeps the catalog of endpoints as the database has it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_LOADER_H
#define RENTAL_SHIM_LOADER_H

#include <h2o.h>

#include "config.h"

typedef struct Loader Loader;

/* what a notification means to others; called in the loader's thread */
typedef struct LoaderHooks
{
	void (*listening)(bool listening); /* from now on nothing is missed, or everything may be */
	void (*event)(const char *payload);
	void (*revoked)(void);
} LoaderHooks;

extern Loader *loader_start(h2o_context_t *context, const Config *config, const LoaderHooks *hooks);
extern void	   loader_reload(Loader *loader);
extern void	   loader_stop(Loader *loader);

#endif
