/*-------------------------------------------------------------------------
 *
 * respond.h
 *	  The only writer of answers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_RESPOND_H
#define RENTAL_SHIM_RESPOND_H

#include "call.h"
#include "error.h"
#include "pack.h"

/* a problem document (RFC 9457); field may be NULL, retry_after 0 */
typedef struct Problem
{
	int			status;
	const char *code;
	const char *title;
	const char *detail; /* NULL: none */
	const char *field;
	int			retry_after; /* seconds */
} Problem;

extern void respond_header(Call *call, const char *name, const char *value);
extern void respond_body(Call *call, int status, const char *content_type, h2o_iovec_t *parts, size_t nparts);

/* an answer to GET that can be had again: with an entity tag, and smaller if the client likes */
typedef struct Representation
{
	const char *content_type;
	h2o_iovec_t body;
	Packing		packing;
	h2o_iovec_t packed; /* in that form; empty: none */
	const char *etag;	/* without quotes */
	bool		shared; /* the same for every anonymous caller */
	const char *cache;	/* X-Cache, or NULL */
	uint64_t	age;	/* seconds, when it comes from the cache */
} Representation;

extern Packing respond_packing(Call *call);
extern void	   respond_representation(Call *call, const Representation *representation);
extern void	   respond_preflight(Call *call, const char *methods);
extern void	   respond_stream(Call *call, const char *content_type, h2o_generator_t *generator);
extern void	   respond_file(Call *call, const char *content_type, size_t size, h2o_generator_t *generator);
extern bool	   respond_none_match(Call *call, const char *etag);
extern void	   respond_configure(const char *origins);
extern void	   respond_problem(Call *call, const Problem *problem);
extern void	   respond_error(Call *call, ErrorCode code, const char *field, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
extern void respond_register(h2o_pathconf_t *pathconf);

#endif
