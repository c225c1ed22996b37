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
#include "cache/store.h"

#include <ev.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/put.h"
#include "base/timeout.h"
#include "cache/arguments.h"
#include "cache/cache.h"
#include "cache/entry.h"
#include "cache/holder.h"
#include "cache/names.h"
#include "cache/probes.h"
#include "cache/scripts.h"
#include "redis/clock.h"
#include "redis/events.h"
#include "redis/reply.h"
#include "redis/server.h"
#include "redis/topology.h"
#include "redis/trouble.h"

#define NO_SUCH_KEY          (-2)  /* in place of a PTTL */
#define CLAIMED              (-3)  /* the script's answer in place of a PTTL */
#define REWRITE_OTHER        (-1)  /* the script's answer: the value is another one */
#define LEASE_WITHOUT_END_MS 60000 /* for a lease of unknown end; waiters look again anyway */
#define REDIRECTIONS_MAX     5     /* in a row */
#define TRIES_MAX            10    /* while a slot moves */
#define TRY_AGAIN_S          0.05

enum operation_kind {
    GET,
    PTTL,
    TAKE,
    CLAIM,
    STORE,
    STORE_NEW,
    REPLACE,
    REWRITE,
    RENEW,
    CHECK,
    RELEASE,
    DISCARD,
    PURGE,
    PURGE_SOFT
};

/* Which of its keys a script gets as KEYS: see scripts.c. */
enum declared_keys { BOTH_KEYS, LEASE_ONLY, VALUE_ONLY };

struct store {
    struct store_events events;
    struct redis_topology *topology;
    struct redis_clock *clock;
    struct timeout_queue again; /* operations that will be sent again a little later */
    struct log_limit refused[PURGE_SOFT + 1]; /* by the kind of the operation */
    struct log_limit damaged;                 /* entries */
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
    unsigned redirections, tries; /* REDIRECTIONS_MAX, TRIES_MAX */
    struct timeout again;
    size_t key_len, lease_len; /* of the names in Redis */
    char *lease_key;           /* in the memory after value_key */
    char value_key[];
};

static bool operation_send(struct operation *operation);

/* Sets where to send it next; NULL: to the server of its key. */
static void operation_aim(struct operation *operation, struct redis_server *server, bool asking)
{
    operation->server = server;
    operation->asking = asking;
}

static void operation_free(struct operation *operation)
{
    entry_unref(operation->entry);
    entry_unref(operation->older);
    free(operation);
}

/* The only way in which an operation ends. */
static void operation_end(struct operation *operation, struct store_answer answer)
{
    answer.untracked = operation->asking;
    if (operation->answered)
        operation->answered(operation->caller, &answer);
    operation_free(operation);
}

/* Copies the text to so many bytes behind `out`. Returns where it ends there. */
static size_t append(char *out, size_t at, struct slice text)
{
    memcpy(out + at, text.data, text.len);
    return at + text.len;
}

/* NULL when out of memory. */
static struct operation *operation_new(struct store *store, enum operation_kind kind,
                                       struct slice key, store_answer_fn *answered, void *caller)
{
    size_t size = strlen(store->names.value_start) + key.len + 1;
    size_t lease_size = size + strlen("lease:{}");
    struct operation *operation = alloc_zeroed(sizeof *operation + size + lease_size);
    if (!operation)
        return NULL;
    operation->store = store;
    operation->kind = kind;
    operation->answered = answered;
    operation->caller = caller;
    operation->lease_key = operation->value_key + size;
    operation->key_len = append(operation->value_key, 0, slice_of(store->names.value_start));
    operation->key_len = append(operation->value_key, operation->key_len, key);
    operation->lease_len = append(operation->lease_key, 0, SLICE("lease:{"));
    operation->lease_len = append(operation->lease_key, operation->lease_len,
                                  (struct slice){operation->value_key, operation->key_len});
    operation->lease_len = append(operation->lease_key, operation->lease_len, SLICE("}"));
    return operation;
}

/* Without the namespace. */
static struct slice key_of(const struct operation *operation)
{
    return slice_from((struct slice){operation->value_key, operation->key_len},
                      strlen(operation->store->names.value_start));
}

/* Sends it for the first time. Returns false if it was not sent; then it is freed without an
 * answer. */
static bool operation_start(struct operation *operation)
{
    if (operation_send(operation))
        return true;
    operation_free(operation);
    return false;
}

static void operation_go_on(struct operation *operation)
{
    if (!operation_send(operation))
        operation_end(operation, (struct store_answer){.outcome = STORE_GONE});
}

static void set_milliseconds(struct operation *operation, int64_t milliseconds)
{
    *put_number(operation->milliseconds, milliseconds) = '\0';
}

/* `token` may also be the `lease` of another operation, which begins with it; or empty. */
static void set_lease(struct operation *operation, const char *token)
{
    holder_sign(operation->lease, (struct slice){token, strnlen(token, STORE_TOKEN_LEN)});
}

/* A known value is recognized by the beginning of its envelope; NULL: none is known. An old result
 * that was kept because its refresh failed has a different fresh time. */
static void set_known(struct operation *operation, const struct entry *known)
{
    if (known)
        operation->known_len = entry_beginning(known, operation->known);
}

/* --- replies --- */

static void answer_entry(struct operation *operation, struct entry *owned)
{
    operation_end(operation, (struct store_answer){.outcome = owned ? STORE_FOUND : STORE_NONE,
                                                   .entry = owned,
                                                   .lease_lost = operation->lease_lost});
    entry_unref(owned);
}

/* Discards a corrupt envelope before the next command for the key can read it. */
static void answer_envelope(struct operation *operation, struct slice value)
{
    struct entry *entry = entry_decode(value);
    if (!entry) {
        struct slice key = key_of(operation);
        log_limited(&operation->store->damaged, LOG_LEVEL_WARNING, "redis",
                    "%s holds a corrupt cache entry; regenerating", operation->value_key);
        struct operation *discard = operation_new(operation->store, DISCARD, key, NULL, NULL);
        if (discard) {
            discard->known_len =
                value.len < sizeof discard->known ? value.len : sizeof discard->known;
            memcpy(discard->known, value.data, discard->known_len);
            operation_start(discard);
        }
    }
    answer_entry(operation, entry);
}

/* GETRANGE returns an empty string for a missing key as well; the claim that follows a miss
 * distinguishes the two. The claim also returns the length of a value that is too long. */
static void on_get(struct operation *operation, struct redisReply *reply)
{
    struct slice value = redis_reply_string(reply);
    if (value.len == 0 || value.len > operation->store->value_max) {
        operation_end(operation, (struct store_answer){.outcome = STORE_NONE});
        return;
    }
    if (entry_is_envelope(value)) {
        answer_envelope(operation, value);
        return;
    }
    /* A plain string is fresh until its key expires. */
    operation->kind = PTTL;
    operation->entry = entry_from_plain(value, clock_fleet_ms(), 0);
    if (operation->entry)
        operation_go_on(operation);
    else
        answer_entry(operation, NULL);
}

static void on_pttl(struct operation *operation, struct redisReply *reply)
{
    answer_entry(operation, entry_from_expiring(operation->entry->body, clock_fleet_ms(),
                                                redis_reply_number(reply)));
}

/* A value that came with its PTTL. */
static void answer_value(struct operation *operation, struct slice value,
                         const struct redisReply *ttl)
{
    if (entry_is_envelope(value))
        answer_envelope(operation, value);
    else
        answer_entry(operation,
                     entry_from_expiring(value, clock_fleet_ms(), redis_reply_number(ttl)));
}

static void complain_of_long_value(const struct operation *operation, long long len)
{
    struct store *store = operation->store;
    if (len > 0)
        log_limited(&store->too_long_there, LOG_LEVEL_WARNING, "redis",
                    "%s holds %lld bytes, more than max_value (%zu); it counts as missing and is "
                    "regenerated",
                    operation->value_key, len, store->value_max);
}

/* The reply is [value, PTTL] or [whether the known value is there, CLAIMED or the PTTL of their
 * lease, the length of a value that is too long or 0, their lease]. */
static void on_claim(struct operation *operation, struct redisReply *reply)
{
    size_t count = redis_reply_count(reply);
    struct slice value = count > 0 ? redis_reply_string(redis_reply_at(reply, 0)) : SLICE("");
    if (count != (value.data ? 2 : 4) || !redis_reply_is_number(redis_reply_at(reply, 1))) {
        operation_end(operation, (struct store_answer){.outcome = STORE_GONE});
    } else if (value.data) {
        answer_value(operation, value, redis_reply_at(reply, 1));
    } else {
        int64_t ttl_ms = redis_reply_number(redis_reply_at(reply, 1));
        complain_of_long_value(operation, redis_reply_number(redis_reply_at(reply, 2)));
        operation_end(operation,
                      (struct store_answer){
                          .outcome = ttl_ms == CLAIMED ? STORE_OURS : STORE_THEIRS,
                          .wait_ms = ttl_ms >= 0 ? ttl_ms : LEASE_WITHOUT_END_MS,
                          .holder = holder_read(redis_reply_string(redis_reply_at(reply, 3))),
                          .known_gone = redis_reply_number(redis_reply_at(reply, 0)) == 0,
                      });
    }
}

static void give_up_taken(struct operation *operation)
{
    if (operation->lease_taken)
        store_release(operation->store, key_of(operation), operation->lease);
}

/* Next, the script is sent, in whose place the two commands were. */
static void claim_by_script(struct operation *operation)
{
    give_up_taken(operation);
    operation->kind = CLAIM;
}

/* The reply to PTTL. */
static void on_take(struct operation *operation, struct redisReply *reply)
{
    if (operation->lease_taken && redis_reply_number(reply) == NO_SUCH_KEY) {
        operation_end(operation, (struct store_answer){.outcome = STORE_OURS, .known_gone = true});
        return;
    }
    claim_by_script(operation);
    operation_go_on(operation);
}

/* For operations whose reply is 1 or OK for yes, 0 or nil for no. */
static void on_yes_or_no(struct operation *operation, struct redisReply *reply)
{
    bool yes = redis_reply_is_status(reply) || redis_reply_number(reply) > 0;
    operation_end(operation, (struct store_answer){.outcome = yes ? STORE_DONE : STORE_NONE});
}

/* If the value is no longer the known one, all of the entry is stored. */
static void on_rewrite(struct operation *operation, struct redisReply *reply)
{
    if (redis_reply_number(reply) != REWRITE_OTHER) {
        on_yes_or_no(operation, reply);
        return;
    }
    operation->kind = STORE;
    operation_go_on(operation);
}

/* The reply is [lost], [lost, 1] for the known value, or [lost, value, PTTL]. */
static void on_check(struct operation *operation, struct redisReply *reply)
{
    size_t count = redis_reply_count(reply);
    struct slice value = count == 3 ? redis_reply_string(redis_reply_at(reply, 1)) : SLICE("");
    if (count < 1 || count > 3 || !redis_reply_is_number(redis_reply_at(reply, 0)) || !value.data) {
        operation_end(operation, (struct store_answer){.outcome = STORE_GONE});
        return;
    }
    operation->lease_lost = redis_reply_number(redis_reply_at(reply, 0)) != 0;
    if (count == 3)
        answer_value(operation, value, redis_reply_at(reply, 2));
    else
        operation_end(operation,
                      (struct store_answer){.outcome = count == 2 ? STORE_SAME : STORE_NONE,
                                            .lease_lost = operation->lease_lost});
}

/* A purge with one key purges only what that node has, so the other key follows. */
static void on_purge(struct operation *operation, struct redisReply *reply)
{
    bool done = redis_reply_is_number(reply); /* whether there was something to purge or not */
    if (done && operation->declared == LEASE_ONLY) {
        operation_aim(operation, NULL, false);
        operation->declared = VALUE_ONLY;
        operation_go_on(operation);
        return;
    }
    operation_end(operation, (struct store_answer){.outcome = done ? STORE_DONE : STORE_GONE});
}

#define NO_SCRIPT SCRIPTS

static const struct {
    const char *name; /* for the log */
    enum script script;
    void (*replied)(struct operation *operation, struct redisReply *reply);
} kinds[] = {
    [GET] = {"GETRANGE", NO_SCRIPT, on_get},
    [PTTL] = {"PTTL", NO_SCRIPT, on_pttl},
    [TAKE] = {"taking a lease", NO_SCRIPT, on_take},
    [CLAIM] = {"taking a lease", SCRIPT_CLAIM, on_claim},
    [STORE] = {"storing a result", SCRIPT_STORE, on_yes_or_no},
    [STORE_NEW] = {"storing a result", NO_SCRIPT, on_yes_or_no},
    [REPLACE] = {"storing a result", SCRIPT_REPLACE, on_yes_or_no},
    [REWRITE] = {"storing a result", SCRIPT_REWRITE, on_rewrite},
    [RENEW] = {"renewing a lease", SCRIPT_RENEW, on_yes_or_no},
    [CHECK] = {"looking at a lease", SCRIPT_CHECK, on_check},
    [RELEASE] = {"giving up a lease", SCRIPT_RELEASE, on_yes_or_no},
    [DISCARD] = {"discarding a damaged entry", SCRIPT_DISCARD, on_yes_or_no},
    [PURGE] = {"purging", SCRIPT_PURGE, on_purge},
    [PURGE_SOFT] = {"purging", SCRIPT_PURGE_SOFT, on_purge},
};

/* Sends the operation again, now or a little later, if the error asks for it; else returns false.
 * ("non local key": while the slot is moving, the script's other key is on another node.) */
static bool operation_redirected(struct operation *operation, const char *error)
{
    struct store *store = operation->store;
    struct redis_server *to;
    enum redis_redirection_kind kind =
        redis_topology_redirect(store->topology, operation->server, error, &to);
    bool partly = kind == REDIS_TRY_AGAIN || strstr(error, "non local key");
    if ((kind == REDIS_MOVED || kind == REDIS_ASK) && to &&
        operation->redirections++ < REDIRECTIONS_MAX) {
        operation_aim(operation, to, kind == REDIS_ASK);
    } else if (kind == REDIS_TRY_AGAIN && kinds[operation->kind].script != NO_SCRIPT &&
               operation->declared == BOTH_KEYS) {
        operation->declared = LEASE_ONLY;
    } else if (partly && operation->tries++ < TRIES_MAX) {
        timeout_start(&store->again, &operation->again);
        return true;
    } else {
        return false;
    }
    operation_go_on(operation);
    return true;
}

/* Sends it again from the beginning: the slot may have moved meanwhile. */
static void on_again(void *context, struct timeout *again)
{
    struct operation *operation = container_of(again, struct operation, again);
    (void)context;
    operation->declared = BOTH_KEYS;
    operation->redirections = 0;
    operation_aim(operation, NULL, false);
    operation_go_on(operation);
}

/* Handles an error reply. A lookup of a value that is not a string is a miss; for any other error,
 * the operation ends as if Redis were unavailable. */
static void on_error(struct operation *operation, const char *error)
{
    if (operation->kind == TAKE)
        claim_by_script(operation);
    if (strncmp(error, "NOSCRIPT", 8) == 0 && !operation->by_text) {
        operation->by_text = true;
        operation_go_on(operation);
        return;
    }
    if (operation_redirected(operation, error))
        return;
    bool miss = operation->kind == GET && strncmp(error, "WRONGTYPE", 9) == 0;
    if (!miss)
        log_limited(&operation->store->refused[operation->kind], LOG_LEVEL_WARNING, "redis",
                    "%s: %s is refused: %s", redis_server_name(operation->server),
                    kinds[operation->kind].name, error);
    if (redis_trouble_is_denial(error))
        redis_server_doubt(operation->server);
    operation_end(operation, (struct store_answer){.outcome = miss ? STORE_NONE : STORE_GONE});
}

static void on_reply(void *caller, struct redisReply *reply)
{
    struct operation *operation = caller;
    const char *error = reply ? redis_reply_error(reply) : NULL;
    if (!reply)
        operation_end(operation, (struct store_answer){.outcome = STORE_GONE});
    else if (error)
        on_error(operation, error);
    else
        kinds[operation->kind].replied(operation, reply);
}

/* --- sending --- */

static void add_script(struct arguments *arguments, const struct operation *operation)
{
    enum script script = kinds[operation->kind].script;
    const char *hash = operation->by_text ? NULL : scripts_hash(script);
    struct slice lease_key = {operation->lease_key, operation->lease_len};
    struct slice value_key = {operation->value_key, operation->key_len};

    arguments_add_words(arguments, hash ? "EVALSHA" : "EVAL", hash ? hash : scripts_text(script),
                        operation->declared == BOTH_KEYS ? "2" : "1");
    if (operation->declared != VALUE_ONLY)
        arguments_add(arguments, lease_key);
    if (operation->declared != LEASE_ONLY)
        arguments_add(arguments, value_key);
    for (const char *what = scripts_arguments(script); *what; what++)
        arguments_add(arguments, *what == 't'   ? slice_of(operation->lease)
                                 : *what == 'm' ? slice_of(operation->milliseconds)
                                 : *what == 'k'
                                     ? (struct slice){operation->known, operation->known_len}
                                 : *what == 'l' ? slice_of(operation->store->value_max_text)
                                 : *what == 'o' ? entry_header(operation->older)
                                 : *what == 'h' ? entry_header(operation->entry)
                                                : operation->entry->encoded);
    if (operation->declared != BOTH_KEYS)
        arguments_add(arguments, operation->declared == LEASE_ONLY ? value_key : lease_key);
}

static void arguments_of(const struct operation *operation, struct arguments *arguments)
{
    if (kinds[operation->kind].script != NO_SCRIPT) {
        add_script(arguments, operation);
        return;
    }
    arguments_add_words(arguments,
                        operation->kind == GET                               ? "GETRANGE"
                        : operation->kind == PTTL || operation->kind == TAKE ? "PTTL"
                                                                             : "SET",
                        NULL, NULL);
    arguments_add(arguments, (struct slice){operation->value_key, operation->key_len});
    if (operation->kind == GET) /* reads one byte more than the limit, to notice a larger value */
        arguments_add_words(arguments, "0", operation->store->value_max_text, NULL);
    if (operation->kind == STORE_NEW) {
        arguments_add(arguments, operation->entry->encoded);
        arguments_add_words(arguments, "PX", operation->milliseconds, "NX");
    }
}

static void on_ignored(void *caller, struct redisReply *reply)
{
    (void)caller, (void)reply;
}

/* The reply to the SET of a TAKE. */
static void on_taken(void *caller, struct redisReply *reply)
{
    struct operation *operation = caller;
    operation->lease_taken = reply && redis_reply_is_status(reply);
    if (!operation->taken_only)
        return;
    give_up_taken(operation);
    operation_end(operation, (struct store_answer){.outcome = STORE_GONE});
}

/* Sends the first command of a TAKE; arguments_of has the second one. */
static bool send_set(struct operation *operation)
{
    struct arguments arguments = {0};
    arguments_add_words(&arguments, "SET", NULL, NULL);
    arguments_add(&arguments, (struct slice){operation->lease_key, operation->lease_len});
    arguments_add(&arguments, slice_of(operation->lease));
    arguments_add_words(&arguments, "NX", "PX", operation->milliseconds);
    return redis_server_send(operation->server, arguments.count, arguments.words, arguments.lens,
                             on_taken, operation);
}

static bool operation_send(struct operation *operation)
{
    static const char *asking[] = {"ASKING"};
    static const size_t asking_len[] = {6};
    struct arguments arguments = {0};
    struct slice key = {operation->value_key, operation->key_len};
    if (!operation->server)
        operation->server =
            redis_topology_server(operation->store->topology, key, (struct slice){0});
    struct redis_server *server = operation->server;
    if (!server)
        return false;
    if (operation->asking && !redis_server_send(server, 1, asking, asking_len, on_ignored, NULL))
        return false;
    bool takes = operation->kind == TAKE;
    if (takes && !send_set(operation))
        return false;
    arguments_of(operation, &arguments);
    if (!redis_server_send(server, arguments.count, arguments.words, arguments.lens, on_reply,
                           operation))
        return operation->taken_only = takes;
    if (kinds[operation->kind].script != NO_SCRIPT)
        counter_add(COUNTER_SCRIPTS, 1);
    return true;
}

bool store_get(struct store *store, struct slice key, store_answer_fn *answered, void *caller)
{
    struct operation *operation = operation_new(store, GET, key, answered, caller);
    counter_add(COUNTER_LOOKUPS, 1);
    return operation && operation_start(operation);
}

static bool claim(struct operation *operation, const char *token, int64_t lease_ms,
                  const struct entry *known)
{
    counter_add(COUNTER_CLAIMS, 1);
    if (!operation)
        return false;
    set_lease(operation, token);
    set_milliseconds(operation, lease_ms);
    set_known(operation, known);
    return operation_start(operation);
}

bool store_claim(struct store *store, struct slice key, const char *token, int64_t lease_ms,
                 const struct entry *known, store_answer_fn *answered, void *caller)
{
    return claim(operation_new(store, CLAIM, key, answered, caller), token, lease_ms, known);
}

bool store_claim_missing(struct store *store, struct slice key, const char *token, int64_t lease_ms,
                         store_answer_fn *answered, void *caller)
{
    return claim(operation_new(store, TAKE, key, answered, caller), token, lease_ms, NULL);
}

bool store_put(struct store *store, struct slice key, const char *token, struct entry *known,
               struct entry *entry, int64_t keep_ms, store_answer_fn *answered, void *caller)
{
    static const enum operation_kind by[2][2] = {{STORE_NEW, REPLACE}, {STORE, REWRITE}};
    enum operation_kind kind = by[token != NULL][known != NULL];
    struct operation *operation = operation_new(store, kind, key, answered, caller);
    if (!operation)
        return false;
    if (entry->encoded.len > store->value_max) {
        log_limited(&store->too_long_to_store, LOG_LEVEL_WARNING, "redis",
                    "%s is not stored: its %zu bytes are more than max_value (%zu)",
                    operation->value_key, entry->encoded.len, store->value_max);
        operation_free(operation);
        return false;
    }
    set_lease(operation, token ? token : "");
    set_known(operation, known);
    if (kind == REWRITE)
        operation->older = entry_ref(known);
    set_milliseconds(operation, keep_ms > 0 ? keep_ms : 1);
    operation->entry = entry_ref(entry);
    return operation_start(operation);
}

void store_renew(struct store *store, struct slice key, const char *token, int64_t lease_ms)
{
    struct operation *operation = operation_new(store, RENEW, key, NULL, NULL);
    if (!operation)
        return;
    set_lease(operation, token);
    set_milliseconds(operation, lease_ms);
    operation_start(operation);
}

bool store_check(struct store *store, struct slice key, const char *token,
                 const struct entry *known, store_answer_fn *answered, void *caller)
{
    struct operation *operation = operation_new(store, CHECK, key, answered, caller);
    if (!operation)
        return false;
    set_lease(operation, token);
    set_known(operation, known);
    return operation_start(operation);
}

void store_release(struct store *store, struct slice key, const char *token)
{
    struct operation *operation = operation_new(store, RELEASE, key, NULL, NULL);
    if (!operation)
        return;
    set_lease(operation, token);
    operation_start(operation);
}

bool store_purge(struct store *store, struct slice key, bool soft, store_answer_fn *answered,
                 void *caller)
{
    struct operation *operation =
        operation_new(store, soft ? PURGE_SOFT : PURGE, key, answered, caller);
    if (!operation)
        return false;
    set_milliseconds(operation, clock_fleet_ms());
    return operation_start(operation);
}

/* --- the servers --- */

static void on_ready(void *context, struct redis_server *server)
{
    struct store *store = context;
    redis_clock_ask(store->clock, server); /* first, as clock.h says */
    scripts_load(server);
    store->events.ready(store->events.context);
}

static void on_lost(void *context)
{
    struct store *store = context;
    store->events.lost(store->events.context);
}

static void on_changed(void *context, struct slice name)
{
    struct store *store = context;
    struct slice key = {0};
    bool is_lease = false;
    if (!name.data || names_read(&store->names, name, &key, &is_lease))
        store->events.changed(store->events.context, key, is_lease);
}

static void on_tracking(void *context)
{
    on_changed(context, (struct slice){0});
}

static void on_moved(void *context)
{
    struct store *store = context;
    redis_clock_topology_changed(store->clock);
    on_changed(store, (struct slice){0});
}

struct store *store_new(struct ev_loop *loop, const struct cache_settings *settings,
                        const struct store_events *events)
{
    struct store *store = alloc_zeroed(sizeof *store);
    if (!store)
        return NULL;
    store->events = *events;
    names_init(&store->names, settings->name_space);
    store->value_max = settings->max_value;
    snprintf(store->value_max_text, sizeof store->value_max_text, "%zu", settings->max_value);
    probes_init(&store->probes, store->names.value_start, store->names.lease_start,
                settings->max_value);
    timeout_queue_init(&store->again, loop, TRY_AGAIN_S, on_again, store);
    store->clock = redis_clock_new(loop);
    if (store->clock)
        store->topology = redis_topology_new(loop, &settings->redis, &store->probes.needs,
                                             &(struct redis_events){.context = store,
                                                                    .ready = on_ready,
                                                                    .lost = on_lost,
                                                                    .tracking = on_tracking,
                                                                    .changed = on_changed,
                                                                    .moved = on_moved});
    if (store->topology) {
        redis_clock_watch(store->clock, store->topology);
        return store;
    }
    redis_clock_free(store->clock);
    timeout_queue_stop(&store->again);
    free(store);
    return NULL;
}

void store_free(struct store *store)
{
    if (!store)
        return;
    while (store->again.oldest) {
        struct timeout *again = store->again.oldest;
        timeout_stop(again);
        operation_end(container_of(again, struct operation, again),
                      (struct store_answer){.outcome = STORE_GONE});
    }
    timeout_queue_stop(&store->again);
    redis_topology_free(store->topology);
    redis_clock_free(store->clock);
    for (size_t i = 0; i < sizeof store->refused / sizeof store->refused[0]; i++)
        log_limit_end(&store->refused[i]);
    log_limit_end(&store->damaged);
    log_limit_end(&store->too_long_there);
    log_limit_end(&store->too_long_to_store);
    free(store);
}

static struct redis_server *server_of(const struct store *store, struct slice key)
{
    return redis_topology_server(store->topology, slice_of(store->names.value_start), key);
}

bool store_usable(const struct store *store, struct slice key)
{
    struct redis_server *server = server_of(store, key);
    return server && redis_server_usable(server);
}

bool store_tracking(const struct store *store, struct slice key)
{
    struct redis_server *server = server_of(store, key);
    return server && redis_server_tracking(server);
}

const char *store_trouble(const struct store *store)
{
    return redis_trouble_line(redis_topology_trouble(store->topology));
}

bool store_busy(const struct store *store)
{
    return redis_topology_busy(store->topology) || store->again.oldest;
}

struct redis_topology *store_topology(const struct store *store)
{
    return store->topology;
}

const struct names *store_names(const struct store *store)
{
    return &store->names;
}
