/* Limits how many failures of a route this process has in Redis at a time.
 *
 * For a route with `*`, anybody can make up names that fail, and each would add a key.
 */
#ifndef WORKERLESS_PARK_NEGATIVES_H
#define WORKERLESS_PARK_NEGATIVES_H

#include <stdbool.h>
#include <stddef.h>

struct negatives;

/* The limit is `most`, at least 1. Returns what the caller owns, or NULL when out of
 * memory. */
struct negatives *negatives_new(size_t most);

/* NULL is allowed. */
void negatives_free(struct negatives *negatives);

/* Whether one more failure may be stored for `seconds` from `now` (by clock_monotonic()). If so, it
 * is counted until it expires. `seconds` should be the same each time. */
bool negatives_take(struct negatives *negatives, double now, double seconds);

#endif
