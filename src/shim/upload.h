/*-------------------------------------------------------------------------
 *
 * upload.h
 *	  Calls that bring a file.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_UPLOAD_H
#define RENTAL_SHIM_UPLOAD_H

#include "call.h"

#define UPLOAD_FORM 65536 /* bytes that a form may have beside its file */

extern void upload_configure(size_t bytes);
extern bool upload_take(Call *call);
extern void upload_store(Call *call);
extern void upload_keep(Call *call, PGresult *result);
extern void upload_refuse(Call *call);

#endif
