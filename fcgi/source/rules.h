/* What a route requires of its source: what results may depend on, which of the source's terms
 * count and which header fields are kept. */
#ifndef WORKERLESS_SOURCE_RULES_H
#define WORKERLESS_SOURCE_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "source/inputs.h"

/* Belongs to the config. All zero: nothing special. */
struct source_rules {
    struct vary vary;
    bool is_private;         /* the key holds the user: results may be the user's own */
    bool solo_calls;         /* each request that finds nothing in the cache gets its own call,
                                without a lease */
    bool ignores_origin;     /* results are shared even if the source forbids it */
    bool any_type;           /* a result need not be HTML or text */
    bool has_template;       /* a template makes HTML of the result */
    const char *const *keep; /* header fields of the response that are kept with the result */
    size_t keep_count;
};

#endif
