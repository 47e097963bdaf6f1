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
extern void respond_problem(Call *call, const Problem *problem);
extern void respond_error(Call *call, ErrorCode code, const char *field, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
extern void respond_register(h2o_pathconf_t *pathconf);

#endif
