/*-------------------------------------------------------------------------
 *
 * download.h
 *	  Answers that are a file.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_DOWNLOAD_H
#define RENTAL_SHIM_DOWNLOAD_H

#include "call.h"

extern void download_answer(Call *call, const char *description, size_t len);

#endif
