/* Why results were not stored: the last reason for each of the latest keys, for operators.
 *
 * It is bounded: a few hundred keys, each in a place that depends on its hash; another key with the
 * same place replaces it. */
#ifndef WORKERLESS_CACHE_UNSTORED_H
#define WORKERLESS_CACHE_UNSTORED_H

#include <stdint.h>

#include "base/slice.h"

#define UNSTORED_PLACES  256
#define UNSTORED_WHY_MAX 200

struct unstored {
    uint64_t hash; /* of the key; 0: the place is empty */
    double at;     /* by clock_monotonic() */
    char why[UNSTORED_WHY_MAX + 1];
};

/* All zero at first; a table is allocated when the first reason is noted. */
struct unstored_table {
    struct unstored *places; /* owned, or NULL */
};

/* Notes the reason, cut if it is long. Best effort: without memory, nothing is noted. */
void unstored_note(struct unstored_table *table, struct slice key, struct slice why, double now);

/* The last reason for the key, or NULL. */
const struct unstored *unstored_find(const struct unstored_table *table, struct slice key);

/* May be called twice. */
void unstored_free(struct unstored_table *table);

#endif
