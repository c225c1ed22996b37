/* How many failures a route remembers in Redis at one time, as far as this process has stored them.
 *
 * Under a route with `*` anybody can make up names that fail, and each would be a key of its own.
 */
#ifndef WORKERLESS_PARK_NEGATIVES_H
#define WORKERLESS_PARK_NEGATIVES_H

#include <stdbool.h>
#include <stddef.h>

struct negatives;

/* For at most `most` of them, at least 1. Returns what the caller owns, or NULL when out of
 * memory. */
struct negatives *negatives_new(size_t most);

/* NULL is allowed. */
void negatives_free(struct negatives *negatives);

/* Whether one more may be remembered for `seconds` from `now` (by clock_monotonic()); then it is
 * counted until it has expired. `seconds` should be the same each time. */
bool negatives_take(struct negatives *negatives, double now, double seconds);

#endif
