/* The HTML that a route shows if its source fails. */
#ifndef WORKERLESS_CONF_FALLBACK_H
#define WORKERLESS_CONF_FALLBACK_H

#include "base/slice.h"

struct problems;

/* Reads the file that the option of that line names. Returns HTML whose data the caller frees; it
 * is NULL if the file can't be read, which is reported. So is HTML that would do harm to a page: it
 * is an error if it would even within a template. */
struct slice fallback_read(struct problems *problems, int line, const char *name);

#endif
