/* How the fragments of one route are made. */
#ifndef WORKERLESS_PARK_RECIPE_H
#define WORKERLESS_PARK_RECIPE_H

#include <stddef.h>

#include "park/freshness.h"

/* Belongs to the config. */
struct recipe {
    unsigned source;     /* index into the sources given to flights_new */
    unsigned number;     /* of the recipe: index of its route */
    double hold;         /* seconds that a request is parked at the most */
    size_t max_negative; /* failures that one process remembers in Redis at a time; at least 1 */
    struct freshness freshness;
};

#endif
