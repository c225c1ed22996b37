/* What Redis holds for one key, for operators. Nothing is changed, except that a damaged value is
 * discarded, as by every lookup. */
#ifndef WORKERLESS_CACHE_INSPECT_H
#define WORKERLESS_CACHE_INSPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "cache/entry.h"

#define INSPECT_TYPE_MAX  64
#define INSPECT_WHY_MAX   120
#define INSPECT_LEASE_MAX 200

#define INSPECT_NO_KEY (-2) /* in place of a time, as Redis has it */
#define INSPECT_NO_END (-1)

#define INSPECT_NO_STRING (-1) /* in place of a length: the value is of another type */

struct store;

/* What an entry says about itself: a copy, so that the entry need not be held. */
struct entry_facts {
    int status; /* as in struct entry */
    int64_t made_ms, fresh_until_ms, cost_ms;
    bool has_stale;
    int64_t stale_ms, stale_error_ms; /* if has_stale */
    bool has_validator;
    size_t body_len;
    char type[INSPECT_TYPE_MAX + 1];
    char why[INSPECT_WHY_MAX + 1]; /* of a marker */
    enum entry_balance balance;    /* ENTRY_UNCHECKED: it is no HTML */
    char flaw[BALANCE_PHRASE_MAX]; /* if it is unbalanced: what it has */
};

/* Reads the body, to check it. */
void inspect_entry(struct entry_facts *facts, const struct entry *entry);

struct inspection {
    bool complete; /* Redis has answered every question */
    bool found;    /* `entry` is set */
    struct entry_facts entry;
    int64_t len, ttl_ms; /* of the value, whether it can be read or not; ttl_ms or INSPECT_... */
    int64_t lease_ttl_ms;
    size_t lease_len;
    char lease[INSPECT_LEASE_MAX]; /* what it contains; cut */
};

/* The inspection is borrowed for the call. */
typedef void inspect_answer_fn(void *caller, const struct inspection *inspection);

/* Asks Redis for the value, its time, its length, and the same of the lease. The store is borrowed,
 * the key is copied. Returns whether `answered` will be called, as the functions of the store do.
 * store_free ends it as well. */
bool inspect_key(struct store *store, struct slice key, inspect_answer_fn *answered, void *caller);

#endif
