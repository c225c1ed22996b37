/* What the store needs from Redis: the prefixes of its keys, and the commands that an ACL must
 * permit. */
#ifndef WORKERLESS_CACHE_PROBES_H
#define WORKERLESS_CACHE_PROBES_H

#include "redis/needs.h"

#define PROBES           8
#define PROBES_LEASE_MAX 128 /* the name of a lease, with the longest namespace */

struct probes { /* points into itself: do not copy */
    struct redis_needs needs;
    struct redis_probe list[PROBES];
    char lease[PROBES_LEASE_MAX];
};

/* The texts are how the names of values and leases begin; they are borrowed. */
void probes_init(struct probes *probes, const char *value_start, const char *lease_start,
                 size_t value_max);

#endif
