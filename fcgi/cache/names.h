/* What keys are called in Redis. Pure.
 *
 * The value of KEY is NAMESPACE:KEY, its lease is lease:{NAMESPACE:KEY}: in a Cluster both are in
 * the slot of what stands between the braces.
 */
#ifndef WORKERLESS_CACHE_NAMES_H
#define WORKERLESS_CACHE_NAMES_H

#include <stdbool.h>

#include "base/slice.h"

#define NAMES_NAMESPACE_MAX 100

struct names {                             /* points into itself: not to be copied */
    const char *value_start, *lease_start; /* what all names of values, and of leases, begin with */
    char text[sizeof "lease:{:" + NAMES_NAMESPACE_MAX];
};

/* A namespace that is longer is cut. */
void names_init(struct names *names, const char *name_space);

/* Takes the key out of the name of its value or its lease. False: the name is neither. */
bool names_read(const struct names *names, struct slice name, struct slice *key, bool *is_lease);

#endif
