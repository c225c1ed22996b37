/* A copy of the result that a module gives for a call. Everything in it is checked. */
#ifndef WORKERLESS_SOURCE_MODULE_RESULT_H
#define WORKERLESS_SOURCE_MODULE_RESULT_H

#include <workerless/source.h>

#include "source/source.h"

/* The bytes that the header workerless/source.h promises. */
#define MODULE_TYPE_MAX    200
#define MODULE_REASON_MAX  500
#define MODULE_CONTROL_MAX 500
#define MODULE_REASON_ROOM 700

struct module_result {
    enum source_status status;
    struct slice type, body;
    struct slice cache_control; /* data NULL: it says nothing */
    unsigned retry_after_s;
    char reason[MODULE_REASON_ROOM]; /* of everything but SOURCE_OK */
    char text[];                     /* what the slices point into */
};

/* Returns a copy that the caller frees; an invalid result becomes a failure with a reason. Returns
 * NULL when out of memory. */
struct module_result *module_result_copy(const struct workerless_result *given, size_t max_body);

/* The same for a call that can't be completed. */
struct module_result *module_result_failed(const char *reason);

#endif
