/*-------------------------------------------------------------------------
 *
 * export.h
 *	  Answers that are rows without end, as CSV.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_EXPORT_H
#define RENTAL_SHIM_EXPORT_H

#include <h2o.h>

#include "config.h"

struct Call;

/* what the exports of one thread share */
typedef struct ExportThread
{
	char		**keywords; /* for PQconnectStartParams */
	char		**values;
	int			  under_way;
	int			  most;
	h2o_timeout_t patience; /* with the client, and until a connection is there */
	h2o_timeout_t deadline; /* of the whole */
} ExportThread;

extern void export_thread_init(ExportThread *exports, h2o_context_t *http, const Config *config);
extern void export_open(struct Call *call);

#endif
