/*-------------------------------------------------------------------------
 *
 * router.c
 *	  From method and path to endpoint.
 *
 * Owns the tree of path segments.  A segment that is spelt out wins over a
 * parameter.  Percent-decoding happens here, once, segment by segment, so
 * that an encoded slash is data and never a separator.  A path is the same
 * with and without its last slash.  Knows neither h2o nor libpq.
 *
 *-------------------------------------------------------------------------
 */
#include "router.h"

#include <string.h>

#include "text.h"

static const char *const method_names[METHOD_COUNT] = {"GET", "POST", "PUT", "PATCH", "DELETE"};

bool
router_method(const char *name, size_t len, Method *method)
{
	for (int i = 0; i < METHOD_COUNT; i++)
	{
		if (strlen(method_names[i]) == len && memcmp(method_names[i], name, len) == 0)
		{
			*method = (Method) i;
			return true;
		}
	}
	return false;
}

static void
node_describe_methods(RouteNode *node)
{
	node->allow[0] = '\0';
	for (int i = 0; i < METHOD_COUNT; i++)
	{
		if (node->endpoints[i] == NULL)
			continue;
		strcat(node->allow, method_names[i]);
		strcat(node->allow, i == METHOD_GET ? ", HEAD, " : ", ");
	}
	strcat(node->allow, "OPTIONS");
}

static RouteNode *
node_child(Catalog *catalog, RouteNode *parent, const char *segment, size_t len)
{
	RouteNode **place = &parent->children;
	RouteNode  *node;

	if (segment[0] == '{')
		place = &parent->parameter;
	else
	{
		while (*place && ((*place)->len != len || memcmp((*place)->segment, segment, len) != 0))
			place = &(*place)->sibling;
	}
	if (*place)
		return *place;
	node = catalog_alloc(catalog, sizeof(*node));
	memset(node, 0, sizeof(*node));
	node->segment = catalog_strdup(catalog, segment, len);
	node->len = len;
	*place = node;
	return node;
}

/*
 * router_add puts an endpoint into the catalog's tree and tells its
 * arguments which segment they come from.  Returns what is wrong with the
 * path, or NULL.
 */
const char *
router_add(Catalog *catalog, Endpoint *endpoint)
{
	RouteNode  *node = catalog->root;
	const char *segment = endpoint->path;
	int			index = 0;

	if (*segment++ != '/')
		return "the path does not start with a slash";
	while (*segment != '\0')
	{
		size_t len = strcspn(segment, "/");

		if (len == 0)
			return "the path has an empty segment";
		if (index == MAX_SEGMENTS)
			return "the path has too many segments";
		if (segment[0] == '{')
		{
			bool found = false;

			if (len < 3 || segment[len - 1] != '}')
				return "a parameter of the path is not closed";
			for (int i = 0; i < endpoint->nargs; i++)
			{
				Argument *arg = &endpoint->args[i];

				if (arg->name_len == len - 2 && memcmp(arg->name, segment + 1, len - 2) == 0)
				{
					if (arg->array || arg->given || arg->path_segment >= 0)
						return "a parameter of the path cannot be that argument";
					arg->path_segment = index;
					found = true;
				}
			}
			if (!found)
				return "a parameter of the path is no argument of the function";
		}
		node = node_child(catalog, node, segment, len);
		index++;
		segment += len;
		if (*segment == '/')
			segment++;
	}
	if (node->endpoints[endpoint->method])
		return "another endpoint has this method and path";
	node->endpoints[endpoint->method] = endpoint;
	node_describe_methods(node);
	return NULL;
}

/* node_match goes down the tree; its depth is bounded by MAX_SEGMENTS. */
static const RouteNode *
node_match(const RouteNode *node, const Route *route, size_t index)
{
	const PathSegment *segment = &route->segments[index];
	const RouteNode	  *found = NULL;

	if (index == route->nsegments)
		return node->allow[0] != '\0' ? node : NULL;
	for (const RouteNode *child = node->children; child; child = child->sibling)
	{
		if (child->len == segment->len && memcmp(child->segment, segment->text, segment->len) == 0)
		{
			found = node_match(child, route, index + 1);
			break;
		}
	}
	if (found == NULL && node->parameter)
		found = node_match(node->parameter, route, index + 1);
	return found;
}

/*
 * router_match splits and decodes a path (without its query) and finds its
 * node.  memory holds the decoded segments and needs len + MAX_SEGMENTS + 1
 * bytes, which must live as long as the route.
 */
RouteResult
router_match(const Catalog *catalog, const char *path, size_t len, char *memory, Route *route)
{
	const char *end = path + len;
	const char *segment = path + 1;

	route->node = NULL;
	route->nsegments = 0;
	if (len == 0 || path[0] != '/')
		return ROUTE_MALFORMED;
	while (segment < end)
	{
		const char *slash = memchr(segment, '/', (size_t) (end - segment));
		size_t		raw_len = (size_t) ((slash ? slash : end) - segment);
		ssize_t		decoded_len;

		if (raw_len == 0 || route->nsegments == MAX_SEGMENTS)
			return ROUTE_UNKNOWN;
		decoded_len = text_percent_decode(memory, segment, raw_len, false);
		if (decoded_len == TEXT_INVALID)
			return ROUTE_MALFORMED;
		memory[decoded_len] = '\0';
		route->segments[route->nsegments].text = memory;
		route->segments[route->nsegments].len = (size_t) decoded_len;
		route->nsegments++;
		memory += decoded_len + 1;
		segment += raw_len + 1;
	}
	route->node = node_match(catalog->root, route, 0);
	return route->node ? ROUTE_FOUND : ROUTE_UNKNOWN;
}
