/* What a store tells: answers to operations, and events. */
#ifndef WORKERLESS_CACHE_STORE_ANSWER_H
#define WORKERLESS_CACHE_STORE_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define STORE_TOKEN_LEN 32 /* of what makes a lease ours */

struct entry;

struct store_events {
    void *context;
    void (*ready)(void *context); /* a server is usable again; changes meanwhile are unknown */
    void (*lost)(void *context);  /* a server is no longer usable */
    /* The value of a key has changed, or only its lease; data is NULL: any key may have. */
    void (*changed)(void *context, struct slice key, bool lease_only);
};

enum store_outcome {
    STORE_FOUND,  /* there is a value: entry is set */
    STORE_SAME,   /* the known value is still there */
    STORE_NONE,   /* there is no value */
    STORE_DONE,   /* stored, or purged */
    STORE_OURS,   /* there is no value, and we hold the lease now */
    STORE_THEIRS, /* there is no value, and another process holds the lease: wait_ms is set */
    STORE_GONE,   /* Redis does not answer, or refuses */
};

struct store_answer {
    enum store_outcome outcome;
    struct entry *entry; /* borrowed for the call */
    int64_t wait_ms;     /* at most, until their lease ends */
    struct slice holder; /* THEIRS: whose it is, see holder.h; borrowed for the call; or empty */
    bool known_gone;     /* from store_claim: OURS or THEIRS, and the known value is gone as well */
    bool lease_lost;     /* from store_check: we no longer hold it */
    bool untracked;      /* changes are not reported: do not keep the entry in memory */
};

/* The functions of store.h that take one return whether it will be called: exactly once, and never
 * before they return (see base/later.h). False: nothing was sent, because there is no memory or
 * Redis can't be asked. */
typedef void store_answer_fn(void *caller, const struct store_answer *answer);

#endif
