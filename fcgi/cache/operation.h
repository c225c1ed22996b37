/* Operations on values and leases: each is a command or a script, sent to the server of its key.
 *
 *     operation --> argv --> server --reply--> struct store_answer --> answered
 *                     ^          |---- NOSCRIPT: once more, with the script's text
 *                     |          |---- MOVED, ASK: once more, to another server
 *                     '----------'---- TRYAGAIN: once more, with one key; and a little later
 *
 * TAKE is a claim of a key that had no value a moment ago. It takes the lease first, by SET with
 * NX, and then asks by PTTL whether there is a value: who stores one releases the lease in the same
 * step, so it can't be missed. Both are plain commands, sent together, which costs Redis far less
 * than a script. Whatever else they find, the lease is given up, and the script claims the key.
 *
 * An operation holds everything that is needed to send it again.
 */
#ifndef WORKERLESS_CACHE_OPERATION_H
#define WORKERLESS_CACHE_OPERATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/timeout.h"
#include "cache/entry.h"
#include "cache/holder.h"
#include "cache/names.h"
#include "cache/probes.h"
#include "cache/store_answer.h"

struct redis_clock;
struct redis_server;
struct redis_topology;

enum operation_kind {
    OPERATION_GET,
    OPERATION_PTTL,
    OPERATION_TAKE,
    OPERATION_CLAIM,
    OPERATION_STORE,
    OPERATION_STORE_NEW,
    OPERATION_REPLACE,
    OPERATION_REWRITE,
    OPERATION_RENEW,
    OPERATION_CHECK,
    OPERATION_RELEASE,
    OPERATION_DISCARD,
    OPERATION_PURGE,
    OPERATION_PURGE_SOFT
};

/* Which of its keys a script gets as KEYS: see scripts.c. */
enum declared_keys { BOTH_KEYS, LEASE_ONLY, VALUE_ONLY };

struct store {
    struct store_events events;
    struct redis_topology *topology;
    struct redis_clock *clock;
    struct timeout_queue again; /* operations that will be sent again a little later */
    struct log_limit refused[OPERATION_PURGE_SOFT + 1]; /* by the kind of the operation */
    struct log_limit damaged;                           /* entries */
    struct log_limit too_long_there, too_long_to_store;
    struct names names;
    struct probes probes;
    size_t value_max; /* maximum bytes of a value that is read or stored */
    char value_max_text[24];
};

struct operation {
    struct store *store;
    enum operation_kind kind;
    store_answer_fn *answered;
    void *caller;
    struct entry *entry; /* owned: the entry to store, or the plain value whose PTTL is read */
    struct entry *older; /* owned, for REWRITE: the known entry */
    char lease[STORE_TOKEN_LEN + HOLDER_SIGNATURE_ROOM]; /* its content if it is ours; or empty */
    char milliseconds[24];            /* of the lease, of the value's life, or the fleet's clock */
    char known[ENTRY_BEGINNING_ROOM]; /* how the known value, or a discarded one, begins */
    size_t known_len;
    bool by_text;     /* sends the script's text, as the server does not know its hash */
    bool lease_lost;  /* CHECK: from its reply */
    bool lease_taken; /* TAKE: from the reply to SET */
    bool taken_only;  /* TAKE: PTTL could not be sent, so the reply to SET ends it */

    struct redis_server *server; /* the target; NULL: the server of its key */
    bool asking;                 /* send ASKING first: the server does not own the key yet */
    enum declared_keys declared;
    unsigned redirections, tries; /* how often it was sent elsewhere, and again */
    struct timeout again;
    size_t key_len, lease_len; /* of the names in Redis */
    char *lease_key;           /* in the memory after value_key */
    char value_key[];
};

/* Copies the key. Returns what operation_start or operation_free takes; NULL when out of memory. */
struct operation *operation_new(struct store *store, enum operation_kind kind, struct slice key,
                                store_answer_fn *answered, void *caller);

void operation_set_milliseconds(struct operation *operation, int64_t milliseconds);

/* `token` may also be the `lease` of another operation, which begins with it; or empty. */
void operation_set_lease(struct operation *operation, const char *token);

/* A known value is recognized by the beginning of its envelope; NULL: none is known. An old result
 * that was kept because its refresh failed has a different fresh time. */
void operation_set_known(struct operation *operation, const struct entry *known);

/* Sends it for the first time. Returns false if it was not sent; then it is freed without an
 * answer. */
bool operation_start(struct operation *operation);

/* Releases the lease of the key, which has this token; see operation_set_lease. */
void operation_release(struct store *store, struct slice key, const char *token);

/* The only way in which a sent operation ends. */
void operation_end(struct operation *operation, struct store_answer answer);

void operation_free(struct operation *operation);

/* Of store->again: sends the operation again. */
void operation_again(void *context, struct timeout *again);

#endif
