/* Operations in Redis on values and leases, by key.
 *
 * The value of KEY is "NAMESPACE:KEY", its lease is "lease:{NAMESPACE:KEY}" (one Cluster slot). A
 * lease is taken, renewed and released by scripts that compare its random token, so a process never
 * changes a lease that it no longer holds.
 */
#ifndef WORKERLESS_CACHE_STORE_H
#define WORKERLESS_CACHE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "cache/store_answer.h"

struct cache_settings;
struct entry;
struct ev_loop;
struct names;
struct redis_topology;
struct store;

/* Settings are borrowed; settings->redis.address is valid and not empty. The events are copied.
 * Starts to connect. Returns what the caller owns, or NULL when out of memory. */
struct store *store_new(struct ev_loop *loop, const struct cache_settings *settings,
                        const struct store_events *events);

/* Answers everything that is pending as if Redis were unavailable. NULL is allowed. */
void store_free(struct store *store);

/* Whether the server of the key is usable; and whether it reports changes. */
bool store_usable(const struct store *store, struct slice key);
bool store_tracking(const struct store *store, struct slice key);

/* Why Redis can't be used now: a line with its newline, without secrets. NULL: it can. Static. */
const char *store_trouble(const struct store *store);

/* Whether any operation is pending. */
bool store_busy(const struct store *store);

/* Reads the value, unless it is longer than settings->max_value: FOUND, NONE or GONE. An empty
 * string is NONE as well; store_claim finds it. */
bool store_get(struct store *store, struct slice key, store_answer_fn *answered, void *caller);

/* Reads the value again and, if it is still missing, takes the lease: FOUND, OURS, THEIRS, NONE
 * (the value could not be read, and is discarded) or GONE. `known` is an entry that counts as
 * missing, or NULL. */
bool store_claim(struct store *store, struct slice key, const char *token, int64_t lease_ms,
                 const struct entry *known, store_answer_fn *answered, void *caller);

/* The same, for a key that had no value a moment ago, and no known entry. Cheaper if it still has
 * none, and nobody the lease; else dearer, and it may take the lease for a moment. */
bool store_claim_missing(struct store *store, struct slice key, const char *token, int64_t lease_ms,
                         store_answer_fn *answered, void *caller);

/* Stores the entry for keep_ms and releases the lease, if the token is still that of the lease. If
 * `known` is given as well, it has the same body, which is not sent again if the value is still
 * that. With a NULL token, stores it if the value is still the known one, or if `known` is NULL as
 * well, if there is no value. DONE; NONE: the lease is no longer ours, or the value is another; or
 * GONE. Returns false also if the entry is larger than settings->max_value. After GONE or false the
 * lease still has to be released. */
bool store_put(struct store *store, struct slice key, const char *token, struct entry *known,
               struct entry *entry, int64_t keep_ms, store_answer_fn *answered, void *caller);

/* Renews the lease, if it is still ours. */
void store_renew(struct store *store, struct slice key, const char *token, int64_t lease_ms);

/* Reads the value and the lease: FOUND, SAME if it is the known one, NONE or GONE. lease_lost is
 * set if the token is not that of the lease. */
bool store_check(struct store *store, struct slice key, const char *token,
                 const struct entry *known, store_answer_fn *answered, void *caller);

/* Releases the lease, if it is still ours. */
void store_release(struct store *store, struct slice key, const char *token);

/* Removes the value and the lease, if they exist; if `soft`, makes the value stale and removes the
 * lease. DONE or GONE. */
bool store_purge(struct store *store, struct slice key, bool soft, store_answer_fn *answered,
                 void *caller);

/* The names of the keys, and the servers that hold them. Both live as long as the store. */
const struct names *store_names(const struct store *store);
struct redis_topology *store_topology(const struct store *store);

#endif
