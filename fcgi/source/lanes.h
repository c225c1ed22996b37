/* Queued calls: a queue for each lane. The lanes that have calls take turns, so a flood in one lane
 * leaves the others their share.
 */
#ifndef WORKERLESS_SOURCE_LANES_H
#define WORKERLESS_SOURCE_LANES_H

#include <stdbool.h>
#include <stddef.h>

struct lane;

struct lane_call { /* embedded in the call; all zero: not queued */
    struct lane_call *prev, *next;
    struct lane *lane; /* NULL if it is not queued */
};

/* All zero at first. */
struct lanes {
    struct lane **lanes; /* by number; NULL if not needed yet */
    size_t lane_count;
    struct lane *turns; /* the lane whose turn it is, then the others that have calls */
    size_t count;       /* calls, in all lanes */
};

/* Creates the lane unless it exists. Returns false when out of memory. Numbers are small. */
bool lanes_need(struct lanes *lanes, unsigned number);

/* Adds the call, which is in no lane, to the end of a lane that exists. */
void lanes_add(struct lanes *lanes, unsigned number, struct lane_call *call);

/* Removes and returns the oldest call of the lane whose turn it is; the turn passes to the next
 * lane. NULL: there is no call. */
struct lane_call *lanes_take(struct lanes *lanes);

/* The newest call of the longest lane, if that lane has at least two calls more than the lane with
 * that number, which exists; else NULL. */
struct lane_call *lanes_crowding(const struct lanes *lanes, unsigned number);

/* Removes the call, which is in a lane. */
void lanes_remove(struct lanes *lanes, struct lane_call *call);

/* Frees the lanes, which must be empty. */
void lanes_end(struct lanes *lanes);

#endif
