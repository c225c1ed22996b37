/* Every key of a kind, found by SCAN in bounded steps, on every server. */
#ifndef WORKERLESS_CACHE_REDIS_SCAN_H
#define WORKERLESS_CACHE_REDIS_SCAN_H

#include <stdbool.h>

#include "base/slice.h"

struct redis_nodes;

/* The key without its namespace; that of a value or of a lease, perhaps more than once. */
typedef void redis_scan_found_fn(void *caller, struct slice key);

/* Called once, before redis_scan_start returns or later. `whole`: every server has told all. */
typedef void redis_scan_done_fn(void *caller, bool whole);

/* The keys of the namespace that begin with `prefix`. All is copied but `nodes`, whose end answers a
 * scan that is under way. */
void redis_scan_start(struct redis_nodes *nodes, const char *name_space, struct slice prefix,
                      redis_scan_found_fn *found, redis_scan_done_fn *done, void *caller);

#endif
