/* One reading of the daemon's status, from its JSON. Pure. */
#ifndef WORKERLESS_CLI_SNAPSHOT_H
#define WORKERLESS_CLI_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

#define SNAPSHOT_SOURCES  64 /* more are counted, but not kept; the same for the others */
#define SNAPSHOT_ROUTES   64
#define SNAPSHOT_FLIGHTS  256
#define SNAPSHOT_REFUSALS 8
#define SNAPSHOT_NAME     128 /* bytes of a name; a longer one is cut */

/* Numbers are doubles, as JSON has them. */
struct snapshot_source {
    char name[SNAPSHOT_NAME], breaker[16];
    double pause, running, queued, started, failed, timed_out, busy, p50, p99;
};

struct snapshot_route {
    char pattern[SNAPSHOT_NAME];
    double all, hits, stale, misses, not_ready, failed; /* failed: all kinds of failures */
};

struct snapshot_flight {
    char key[SNAPSHOT_NAME], source[SNAPSHOT_NAME], state[16];
    double age, waiters;
};

struct snapshot_refusal {
    char limit[32];
    double count;
};

struct snapshot {
    double taken; /* when, by clock_monotonic(); set by the caller */
    char version[32];
    double pid, workers, uptime;
    bool draining;
    double parked, parked_limit, streams, connections;
    double flights, flights_limit, generating, waiting;
    double memory, memory_limit, entries;
    bool has_redis, redis_up;
    char redis_trouble[SNAPSHOT_NAME];
    double redis_p50, redis_p99;
    struct snapshot_source sources[SNAPSHOT_SOURCES];
    struct snapshot_route routes[SNAPSHOT_ROUTES];
    struct snapshot_flight list[SNAPSHOT_FLIGHTS]; /* in progress, the oldest first */
    struct snapshot_refusal refusals[SNAPSHOT_REFUSALS];
    size_t source_count, route_count, list_count, refusal_count; /* kept */
    size_t all_sources, all_routes;
};

/* Reads the text, a status with "json" and "full". Members that are missing count as 0. Returns
 * false if the text is not the JSON of a status. */
bool snapshot_read(struct snapshot *snapshot, struct slice text);

/* The same source or route of an earlier reading, or NULL. */
const struct snapshot_source *snapshot_source(const struct snapshot *snapshot, const char *name);
const struct snapshot_route *snapshot_route(const struct snapshot *snapshot, const char *pattern);

#endif
