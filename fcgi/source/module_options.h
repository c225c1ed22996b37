/* The options of the module source, and its settings: "KEY = VALUE". */
#ifndef WORKERLESS_SOURCE_MODULE_OPTIONS_H
#define WORKERLESS_SOURCE_MODULE_OPTIONS_H

#include <stddef.h>

#include <workerless/source.h>

#include "source/source.h"

struct module_settings {
    struct source_settings settings;
    const char *file;
    const char *const *pairs; /* the option `settings` */
    size_t pair_count;
    double timeout;  /* seconds for a call */
    size_t max_body; /* bytes */
};

#define MODULE_OPTIONS 5
extern const struct option module_options[MODULE_OPTIONS];

/* As the functions of struct source_type. It loads the library. */
const char *module_check(const struct source_settings *common, const char **option);

/* Checks one element of `settings`. Returns NULL, or an error message that does not show it. */
const char *module_pair_check(const char *pair);

/* The pairs, which have been checked, as modules get them. The caller frees all of it as one block.
 * NULL: out of memory. */
struct workerless_setting *module_pairs(const char *const *pairs, size_t count);

#endif
