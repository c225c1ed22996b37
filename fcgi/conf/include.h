/* The config file and the files that it includes, as one document. */
#ifndef WORKERLESS_CONF_INCLUDE_H
#define WORKERLESS_CONF_INCLUDE_H

#include <stdbool.h>

#include "conf/problems.h"
#include "conf/syntax.h"

/* Reads and parses the file that `problems` names. What an option `include` lists is read as if it
 * stood in its place. Errors go to `problems`; a document that is not whole lacks what could not be
 * read. `*last_line` gets the last line of the config file itself. Returns false if that file could
 * not be read, or is no config file. The caller frees the document in either case. */
bool include_load(struct document *document, int *last_line, struct problems *problems);

#endif
