/*-------------------------------------------------------------------------
 *
 * static.h
 *	  The page that shows the API document, from files.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RENTAL_SHIM_STATIC_H
#define RENTAL_SHIM_STATIC_H

#include <stdbool.h>

#include "call.h"

extern void static_load(const char *directory);
extern bool static_answer(Call *call);

#endif
