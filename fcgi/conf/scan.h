/* Reading files at start: whole, bounded, regular files only. And the scan before the parse. */
#ifndef WORKERLESS_CONF_SCAN_H
#define WORKERLESS_CONF_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/problems.h"

#define SCAN_FILE_MAX (1024 * 1024) /* bytes, of a config or fallback file */

/* Returns the file's bytes, terminated, which the caller frees with free(); or NULL and sets *why,
 * in the user's words. */
char *scan_read_file(const char *path, size_t *len, const char **why);

/* Makes the text fit for libconfuse: blanks its comments out, in place, and refuses what libconfuse
 * would skip, misread or count wrongly. `lines` gets the number of lines. False if a problem was
 * found. */
bool scan_prepare(char *text, size_t len, int *lines, struct problems *problems);

#endif
