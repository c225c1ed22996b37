/* Every key of a kind, found by SCAN in bounded steps, on every server. */
#ifndef WORKERLESS_CACHE_PURGE_H
#define WORKERLESS_CACHE_PURGE_H

#include <stdbool.h>

#include "base/slice.h"

struct names;
struct redis_topology;
struct redis_scan;

struct scan_events {
    /* The key without its namespace; that of a value or of a lease, perhaps more than once. */
    void (*found)(void *caller, struct slice key);
    /* A step is over that is not the last: the next begins by redis_scan_go_on, now or later. */
    void (*stepped)(void *caller, struct redis_scan *scan);
    /* Called once, before redis_scan_start or redis_scan_go_on returns or later. `whole`: every
     * server has told all, and no slot has moved meanwhile. */
    void (*done)(void *caller, bool whole);
};

/* The keys of the namespace that begin with `prefix`. `topology`, `names` and the owner are borrowed, the rest
 * is copied. The end of the topology is the end of a step that is under way, and of the next. */
void redis_scan_start(struct redis_topology *topology, const struct names *names,
                      struct slice prefix, const struct scan_events *owner, void *caller);

void redis_scan_go_on(struct redis_scan *scan);

#endif
