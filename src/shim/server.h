/*-------------------------------------------------------------------------
 *
 * server.h
 *	  The HTTP server: threads, listeners, connections.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_SERVER_H
#define RENTAL_SHIM_SERVER_H

#include "config.h"

extern void		   server_start(const Config *config);
extern void		   server_drain(void);
extern const char *server_check_tls(const Config *config);
extern void		   server_reload(void);
extern void		   server_join(void);

#endif
