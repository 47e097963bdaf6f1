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

extern Loader *loader_start(h2o_context_t *context, const Config *config);
extern void	   loader_stop(Loader *loader);

#endif
