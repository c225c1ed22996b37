/* What the route of a fragment demands of its source: what its results may depend on, and what the
 * source may say of them. */
#ifndef WORKERLESS_SOURCE_RULES_H
#define WORKERLESS_SOURCE_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "source/inputs.h"

/* Belongs to the config. All zero: nothing is demanded. */
struct source_rules {
    struct vary vary;
    bool is_private;         /* the key holds the user: results may be the user's own */
    bool ignores_origin;     /* what the source says of sharing its result does not count */
    const char *const *keep; /* header fields of the response that are kept with the result */
    size_t keep_count;
};

#endif
