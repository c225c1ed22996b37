/* What flights keep for the recipes of one config: the source that each one calls, its holds, and
 * its logs. After a reload there are two sets: flights and requests end by the one that they began
 * with. */
#ifndef WORKERLESS_PARK_RULES_H
#define WORKERLESS_PARK_RULES_H

#include <stddef.h>

#include "base/timeout.h"
#include "park/outcome.h"
#include "park/recipe.h"

struct negatives;
struct source;

/* Of one recipe, which points to it. */
struct recipe_use {
    struct source *source;
    struct failure_log *failures; /* of the source */
    struct terms_log terms_log;
    struct balance_log balance_log;
    struct negatives *negatives;     /* NULL: its failures are not cached */
    struct timeout_queue hold;       /* of the requests */
    struct timeout_queue stale_wait; /* of the flights */
};

struct rules {
    struct source *const *sources; /* borrowed */
    size_t source_count, recipe_count;
    struct failure_log *failures; /* by source */
    struct recipe_use uses[];     /* by the number of the recipe */
};

struct rules_events {
    timeout_fn *hold_over, *stale_wait_over;
    void *context;
};

/* Sets `use` of each recipe; its number is its index, and its `source` an index into `sources`.
 * Recipes and sources are borrowed. Returns what the caller owns, or NULL when out of memory. */
struct rules *rules_new(struct ev_loop *loop, struct source *const *sources,
                        struct recipe *const *recipes, size_t recipe_count,
                        const struct rules_events *events);

/* Call it when nobody uses the recipes any more. NULL is allowed. */
void rules_free(struct rules *rules);

#endif
