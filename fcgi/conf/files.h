/* Files that the config names: where they are, and values that stand in them. */
#ifndef WORKERLESS_CONF_FILES_H
#define WORKERLESS_CONF_FILES_H

#include "conf/problems.h"
#include "conf/syntax.h"

/* The path of a file that is named in that line, relative to `directory`, or if that is NULL, to
 * the directory of the config file that has the line. The caller frees it. It is noted (see below). NULL: out of memory, which is
 * reported. */
char *files_path(struct problems *problems, int line, const char *directory, const char *name);

/* Adds a copy of the path to problems->named, if somebody wants it. Returns false when out of memory,
 * which is reported. */
bool files_note(struct problems *problems, const char *path);

/* Replaces each ${file:NAME} in the titles and values of the document by the text of that file,
 * without the end of its last line. Problems are reported; the value is then marked as such. */
void files_expand(struct document *document, struct problems *problems);

#endif
