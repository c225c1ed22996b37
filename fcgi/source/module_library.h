/* The libraries of modules: whether a file may be loaded, loading it, and whether what it exports
 * fits this program (see workerless/source.h).
 *
 * A library is loaded once in the life of the process, and stays loaded: its code may be on the
 * stack, or in the callbacks of other libraries. So a changed file is used only after a restart. */
#ifndef WORKERLESS_SOURCE_MODULE_LIBRARY_H
#define WORKERLESS_SOURCE_MODULE_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

#include <workerless/source.h>

#define MODULE_WHY_ROOM     900
#define MODULE_PROBLEM_ROOM 300

struct module_library;

/* Returns the library of that path, which stays loaded; or NULL, and writes why it can't be used. */
const struct module_library *module_library_load(const char *path, char why[MODULE_WHY_ROOM]);

/* What it exports; members that it does not know are 0. */
const struct workerless_module *module_library_module(const struct module_library *library);

/* Whether the file is no longer the one that was loaded. */
bool module_library_has_changed(const struct module_library *library);

/* Whether this program can use what a library exports. If so, copies it; else writes why not. `size`
 * is that of the symbol; 0: unknown. */
bool module_library_judge(const void *exported, size_t size, struct workerless_module *module,
                          char why[MODULE_PROBLEM_ROOM]);

#endif
