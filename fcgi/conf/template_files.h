/* Templates in the files of a directory. They are read at start, at a reload and by commands, never
 * while a request waits. */
#ifndef WORKERLESS_CONF_TEMPLATE_FILES_H
#define WORKERLESS_CONF_TEMPLATE_FILES_H

#include <stdbool.h>

#include "base/slice.h"

struct templates;

enum template_found {
    TEMPLATE_ADDED,
    TEMPLATE_MISSING,    /* there is no file of that name */
    TEMPLATE_UNREADABLE, /* it can't be read, or the name is not allowed */
    TEMPLATE_INVALID,    /* it is not a template */
};

/* Gets a problem as "FILE:LINE:COLUMN: what is wrong", valid during the call. */
typedef void template_report_fn(void *arg, enum template_found found, const char *text);

/* Where the files are, and who is told of problems. */
struct template_files {
    const char *directory; /* borrowed */
    template_report_fn *report;
    void *arg; /* of report */
};

/* Adds the template of that name to the set, unless the set has it. Only files in the directory or
 * below it are read, wherever symbolic links lead. If the template is not added, `why` says why; if it
 * is invalid, `why` begins with its file, line and column. */
#define TEMPLATE_WHY_ROOM 1000
enum template_found template_files_add(const struct template_files *files, struct templates *set,
                                       struct slice name, char why[TEMPLATE_WHY_ROOM]);

/* Adds the templates that those of the set name, and those that they name. If a name is dynamic, so
 * that it is known only while rendering, adds all files of the directory that end in .html or .mustache
 * or have no ending. Problems are reported. */
void template_files_complete(const struct template_files *files, struct templates *set);

#endif
