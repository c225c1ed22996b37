/* What workerless asks of Redis: values and leases, by key.
 *
 * The value of KEY is "NAMESPACE:KEY", its lease is "lease:{NAMESPACE:KEY}" (one Cluster slot). A
 * lease is taken, renewed and given up by scripts that compare its random token, so nobody touches
 * a lease that is not theirs any longer.
 */
#ifndef WORKERLESS_CACHE_STORE_H
#define WORKERLESS_CACHE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#define STORE_TOKEN_LEN 32

struct cache_settings;
struct entry;
struct ev_loop;
struct names;
struct redis_topology;
struct store;

struct store_events {
    void *context;
    void (*ready)(void *context); /* a server is usable again; what changed meanwhile is unknown */
    void (*lost)(void *context);  /* a server is not usable any longer */
    /* The value of a key has changed, or only its lease; data is NULL: any key may have. */
    void (*changed)(void *context, struct slice key, bool lease_only);
};

/* Settings are borrowed; settings->redis.address is valid and not empty. The events are copied.
 * Begins to connect. Returns what the caller owns, or NULL when out of memory. */
struct store *store_new(struct ev_loop *loop, const struct cache_settings *settings,
                        const struct store_events *events);

/* Answers everything under way as if Redis were gone. NULL is allowed. */
void store_free(struct store *store);

/* Whether the server of the key answers, and tells of changes. */
bool store_usable(const struct store *store, struct slice key);
bool store_tracking(const struct store *store, struct slice key);

/* Why it is of no use now: a line with its newline, without secrets. NULL: it is of use. Static. */
const char *store_trouble(const struct store *store);

/* Whether anything that was asked waits for its answer. */
bool store_busy(const struct store *store);

enum store_outcome {
    STORE_FOUND,  /* there is a value: entry is set */
    STORE_SAME,   /* there is the value that was known already */
    STORE_NONE,   /* there is none */
    STORE_DONE,   /* it is stored, or purged */
    STORE_OURS,   /* there is none, and the lease is ours now */
    STORE_THEIRS, /* there is none, and somebody else makes it: wait_ms is set */
    STORE_GONE,   /* Redis does not answer, or refuses */
};

struct store_answer {
    enum store_outcome outcome;
    struct entry *entry; /* borrowed for the call */
    int64_t wait_ms;     /* until their lease ends, at most */
    bool known_gone;     /* from store_claim: OURS or THEIRS, and not even the known one is there */
    bool lease_lost;     /* from store_check: it is not ours any longer */
    bool untracked;      /* nobody tells of a change: the entry is not to be kept in memory */
};

/* The calls below that take one return whether it will be called: exactly once, and never before
 * they return, as base/later.h says. False: nothing was sent, for want of memory, or because Redis
 * can't be asked. */
typedef void store_answer_fn(void *caller, const struct store_answer *answer);

/* The value, if it is not longer than settings->max_value: FOUND, NONE or GONE. NONE as well for an
 * empty string, which store_claim finds. */
bool store_get(struct store *store, struct slice key, store_answer_fn *answered, void *caller);

/* Reads the value again and, if it is still missing, takes the lease: FOUND, OURS, THEIRS, NONE
 * (the value could not be read, and is discarded) or GONE. The entry that is known already counts
 * as missing; NULL: there is none. */
bool store_claim(struct store *store, struct slice key, const char *token, int64_t lease_ms,
                 const struct entry *known, store_answer_fn *answered, void *caller);

/* Keeps the entry for keep_ms and gives the lease up, if the token is still that of the lease. With
 * a NULL token: if there is no value. DONE; NONE: not ours any longer; or GONE. False as well if it
 * is larger than settings->max_value. After GONE and false the lease is still to be given up. */
bool store_put(struct store *store, struct slice key, const char *token, struct entry *entry,
               int64_t keep_ms, store_answer_fn *answered, void *caller);

/* Prolongs the lease, if it is still ours. */
void store_renew(struct store *store, struct slice key, const char *token, int64_t lease_ms);

/* Reads the value and the lease: FOUND, SAME if it is the known one, NONE or GONE; lease_lost tells
 * whether the token is not that of the lease. */
bool store_check(struct store *store, struct slice key, const char *token,
                 const struct entry *known, store_answer_fn *answered, void *caller);

/* Gives the lease up, if it is still ours. */
void store_release(struct store *store, struct slice key, const char *token);

/* Removes value and lease, if there are any; soft: makes the value stale and removes the lease.
 * DONE or GONE. */
bool store_purge(struct store *store, struct slice key, bool soft, store_answer_fn *answered,
                 void *caller);

/* What the keys are called, and on which servers they are. Both live as long as the store. */
const struct names *store_names(const struct store *store);
struct redis_topology *store_topology(const struct store *store);

#endif
