/* How the fragments of one route are generated. */
#ifndef WORKERLESS_PARK_RECIPE_H
#define WORKERLESS_PARK_RECIPE_H

#include <stdbool.h>
#include <stddef.h>

#include "park/freshness.h"
#include "render/render.h"
#include "source/rules.h"

struct recipe_use;
struct route_tally;
struct users;

/* Belongs to the config. */
struct recipe {
    unsigned source;    /* index into the sources of its config */
    unsigned number;    /* of this recipe: the index of its route */
    double hold;        /* maximum seconds that a request is parked */
    double stale_wait;  /* seconds that requests wait for a refresh before they get the stale entry;
                            0: none waits for it */
    double uncacheable; /* seconds for which a marker is kept; 0: there is none */
    size_t max_negative; /* failures that one process caches in Redis at a time; at least 1 */
    struct freshness freshness;
    struct source_rules rules;
    struct render_rule rendering;
    struct route_tally *tally; /* counts of its requests; belongs to the process; NULL: none */
    struct recipe_use *use;    /* what flights keep for it, set by rules_new */
    struct users
        *users; /* of the config: whoever keeps the recipe counts here; NULL: nobody does */
};

#endif
