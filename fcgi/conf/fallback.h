/* The HTML that a route shows if its source fails. */
#ifndef WORKERLESS_CONF_FALLBACK_H
#define WORKERLESS_CONF_FALLBACK_H

#include "base/slice.h"

struct problems;

/* Reads the file that the option in that line names. Returns HTML whose data the caller frees; the
 * data is NULL if the file can't be read, which is reported. Unbalanced HTML is reported, too: as an
 * error if it would do harm even within a template, otherwise as a warning. */
struct slice fallback_read(struct problems *problems, int line, const char *name);

#endif
