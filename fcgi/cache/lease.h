/* A lease that we hold. It is renewed while the source works. */
#ifndef WORKERLESS_CACHE_LEASE_H
#define WORKERLESS_CACHE_LEASE_H

#include "base/slice.h"

struct ev_loop;
struct lease;
struct store;

/* Writes a new random token and its terminator: STORE_TOKEN_LEN + 1 bytes. */
void lease_make_token(char *token);

/* For a lease of `seconds` that was just taken with the token. Renews it after each third of that.
 * `store` is borrowed and outlives the lease. Returns what the caller owns, or NULL when out of
 * memory. */
struct lease *lease_new(struct ev_loop *loop, struct store *store, struct slice key,
                        const char *token, double seconds);

const char *lease_token(const struct lease *lease);
struct slice lease_key(const struct lease *lease);

/* Ends the renewal; the lease in Redis expires by itself. NULL is allowed. */
void lease_free(struct lease *lease);

#endif
