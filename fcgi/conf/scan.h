/* Reads complete regular files of limited size at start, and scans the config before the parser. */
#ifndef WORKERLESS_CONF_SCAN_H
#define WORKERLESS_CONF_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/problems.h"

#define SCAN_FILE_MAX (1024 * 1024) /* bytes, of a config or fallback file */

/* What scan_prepare puts in place of the $ of ${file:NAME}. It occurs nowhere else. */
#define SCAN_FILE_MARK "\x01"

/* Returns the file's bytes, terminated, which the caller frees with free(); or NULL and sets *why
 * to an error message for the user. */
char *scan_read_file(const char *path, size_t *len, const char **why);

/* Prepares the text for libconfuse: blanks comments in place, marks each ${file:NAME}, and rejects
 * what libconfuse would skip, misread or count wrongly. Its lines are numbered from `before` + 1,
 * and `*last` gets the number of the last one. Returns false if a problem was found. */
bool scan_prepare(char *text, size_t len, int before, int *last, struct problems *problems);

#endif
