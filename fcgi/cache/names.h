/* Names of keys in Redis. Pure.
 *
 * The value of KEY is NAMESPACE:KEY, and its lease is lease:{NAMESPACE:KEY}: in a Cluster, both are
 * in the slot of the text between the braces.
 */
#ifndef WORKERLESS_CACHE_NAMES_H
#define WORKERLESS_CACHE_NAMES_H

#include <stdbool.h>

#include "base/slice.h"

#define NAMES_NAMESPACE_MAX 100

struct names {                             /* points into itself: do not copy */
    const char *value_start, *lease_start; /* how all names of values, and of leases, begin */
    char text[sizeof "lease:{:" + NAMES_NAMESPACE_MAX];
};

/* A namespace longer than NAMES_NAMESPACE_MAX is cut. */
void names_init(struct names *names, const char *name_space);

/* Extracts the key from the name of its value or its lease. Returns false if the name is
 * neither. */
bool names_read(const struct names *names, struct slice name, struct slice *key, bool *is_lease);

#endif
