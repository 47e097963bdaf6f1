/*-------------------------------------------------------------------------
 *
 * catalog.h
 *	  The endpoints as the database describes them: immutable, counted.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_CATALOG_H
#define RENTAL_SHIM_CATALOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What stands before an endpoint's own arguments: who calls, then key and
 * fingerprint of a POST, or If-Match of PUT, PATCH and DELETE.
 */
#define CALLER_ARGUMENTS  1
#define CONTEXT_ARGUMENTS 3
#define MAX_SEGMENTS	  24
#define MAX_ARGUMENTS	  128

typedef enum Method
{
	METHOD_GET,
	METHOD_POST,
	METHOD_PUT,
	METHOD_PATCH,
	METHOD_DELETE,
	METHOD_COUNT
} Method;

typedef enum ArgumentType
{
	TYPE_TEXT,
	TYPE_UUID,
	TYPE_BOOLEAN,
	TYPE_SMALLINT,
	TYPE_INTEGER,
	TYPE_BIGINT,
	TYPE_NUMERIC,
	TYPE_TIMESTAMPTZ,
	TYPE_DATE,
	TYPE_JSONB
} ArgumentType;

typedef struct Argument
{
	const char	*name;
	size_t		 name_len;
	ArgumentType type;
	bool		 array;
	bool		 required;
	bool		 given;		   /* filled by the shim: the names of the members of the body */
	bool		 of_file;	   /* filled by the shim: what is known of an uploaded file */
	bool		 of_request;   /* filled by the shim: the body as it came, or a header */
	int			 path_segment; /* which segment of the path holds it, or -1 */
} Argument;

typedef enum PoolKind
{
	POOL_READ,
	POOL_WRITE,
	POOL_PASSWORD,
	POOL_REPLICA,
	POOL_COUNT
} PoolKind;

typedef struct Endpoint
{
	Method		 method;
	const char	*path;
	bool		 is_public;
	bool		 any_user;
	const char **roles; /* NULL-terminated */
	int			 status;
	PoolKind	 pool;
	const char	*sql;
	char		 statement_name[32];
	int			 limit; /* class of the rate limit, or -1 */
	int			 route; /* its number in the metrics */
	int			 tag;	/* its number among scopes */
	int			 cache_seconds;
	const char **cache_tags; /* NULL-terminated */
	bool		 stream;
	const char	*upload_field; /* of the form, that holds a file; NULL: it takes none */
	size_t		 upload_bytes; /* at most; 0: as many as the server takes */
	bool		 download;	   /* the answer names a file */
	bool		 raw_body;	   /* taken as it comes, of whatever type */
	bool		 csv;		   /* the answer is rows without end, as CSV */
	const char	*activity;	   /* what calls are noted as after their answer, or NULL */
	bool		 is_stable;	   /* its calls leave nothing in their transaction */
	unsigned	 number;	   /* among those of its catalog */
	int			 context;	   /* arguments before its own */
	int			 nargs;
	Argument	*args;
} Endpoint;

typedef struct RouteNode
{
	const char		 *segment;
	size_t			  len;
	struct RouteNode *sibling;
	struct RouteNode *children;
	struct RouteNode *parameter; /* the child that matches any segment */
	Endpoint		 *endpoints[METHOD_COUNT];
	char			  allow[64]; /* value of the Allow header; empty where nothing ends */
} RouteNode;

typedef struct Catalog
{
	atomic_int			 references;
	uint64_t			 generation; /* of the prepared statements; never 0 */
	const char			*version;	 /* of the extension */
	unsigned			 nendpoints;
	RouteNode			*root;
	struct CatalogChunk *chunks;
} Catalog;

/* one row of rental.endpoint_catalog(), as text */
typedef struct CatalogRow
{
	const char *method;
	const char *path;
	const char *auth; /* JSON array */
	const char *status;
	const char *rate_class;
	const char *statement;
	const char *args; /* JSON array */
	const char *cache_seconds;
	const char *cache_tags; /* JSON array */
	bool		stream;
	const char *upload_field; /* or empty */
	const char *upload_bytes;
	bool		download;
	bool		is_stable;
	const char *tag;
	bool		raw_body;
	bool		csv;
	const char *activity; /* or empty */
} CatalogRow;

extern Catalog	  *catalog_create(const char *version);
extern const char *catalog_add(Catalog *catalog, const CatalogRow *row);
extern void		  *catalog_alloc(Catalog *catalog, size_t size);
extern char		  *catalog_strdup(Catalog *catalog, const char *text, size_t len);
extern Catalog	  *catalog_acquire(Catalog *catalog);
extern void		   catalog_release(Catalog *catalog);

/* the one in use: published by the loader, looked at by every thread */
extern void catalog_publish(Catalog *catalog);
extern void catalog_refresh(Catalog **slot);

#endif
