/*-------------------------------------------------------------------------
 *
 * router.h
 *	  From method and path to endpoint.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_ROUTER_H
#define RENTAL_SHIM_ROUTER_H

#include "catalog.h"

typedef struct PathSegment
{
	const char *text; /* decoded, terminated */
	size_t		len;
} PathSegment;

typedef enum RouteResult
{
	ROUTE_FOUND,
	ROUTE_MALFORMED,
	ROUTE_UNKNOWN
} RouteResult;

typedef struct Route
{
	const RouteNode *node;
	size_t			 nsegments;
	PathSegment		 segments[MAX_SEGMENTS];
} Route;

extern bool		   router_method(const char *name, size_t len, Method *method);
extern const char *router_add(Catalog *catalog, Endpoint *endpoint);
extern RouteResult router_match(const Catalog *catalog, const char *path, size_t len, char *memory, Route *route);

#endif
