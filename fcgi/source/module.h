/* The module source, for its unit tests: everybody else knows it by its type. */
#ifndef WORKERLESS_SOURCE_MODULE_H
#define WORKERLESS_SOURCE_MODULE_H

#include <workerless/source.h>

#include "source/module_options.h"

/* As the `create` of its type, with functions that are not from a library. They are copied. */
struct source *module_new(struct ev_loop *loop, const struct module_settings *settings,
                          const struct workerless_module *functions);

#endif
