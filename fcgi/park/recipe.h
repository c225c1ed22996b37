/* How the fragments of one route are made. */
#ifndef WORKERLESS_PARK_RECIPE_H
#define WORKERLESS_PARK_RECIPE_H

#include "park/freshness.h"

/* Belongs to the config. */
struct recipe {
    unsigned source; /* index into the sources given to flights_new */
    unsigned number; /* of the recipe: index of its route */
    double hold;     /* seconds that a request is parked at the most */
    struct freshness freshness;
};

#endif
