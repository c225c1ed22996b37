/* A cache whose store answers when and what the test says: its functions replace those of
 * cache/store.c. A test program has one of it. */
#ifndef WORKERLESS_TESTS_CACHE_BENCH_H
#define WORKERLESS_TESTS_CACHE_BENCH_H

#include "cache/cache.h"

#include <ev.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "cache/entry.h"
#include "cache/inspect.h"
#include "cache/lease.h"
#include "cache/purge.h"
#include "cache/names.h"
#include "cache/store.h"
#include "forked.h"

enum command_kind { GET, CLAIM, STORE, RENEW, CHECK, RELEASE, PURGE, PURGE_PREFIX };

struct command {
    enum command_kind kind;
    store_answer_fn *answered; /* NULL: not watched */
    void *caller;
    char key[32], token[STORE_TOKEN_LEN + 1];
    int64_t known_made_ms, keep_ms;
    struct entry *entry; /* referenced */
};

struct store {
    struct store_events events;
    bool usable, tracking;
    struct command commands[30]; /* unanswered, the oldest first */
    size_t count;
    unsigned sent[PURGE_PREFIX + 1];
    bool refuses; /* to send anything */
};

/* Nothing may block until the kernel has random bytes. */
ssize_t getrandom(void *bytes, size_t len, unsigned flags)
{
    assert_true(flags & GRND_NONBLOCK);
    return syscall(SYS_getrandom, bytes, len, flags);
}

static struct store store;
static struct cache *cache;
static struct ev_loop *loop;

struct store *store_new(struct ev_loop *of, const struct cache_settings *settings,
                        const struct store_events *events)
{
    (void)of, (void)settings;
    store = (struct store){.events = *events};
    return &store;
}

bool store_usable(const struct store *of, struct slice key)
{
    (void)key;
    return of->usable;
}

bool store_tracking(const struct store *of, struct slice key)
{
    (void)key;
    return of->tracking;
}

const char *store_trouble(const struct store *of)
{
    (void)of;
    return NULL;
}

bool store_busy(const struct store *of)
{
    return of->count > 0;
}

struct redis_topology *store_topology(const struct store *of)
{
    (void)of;
    return NULL;
}

const struct names *store_names(const struct store *of)
{
    static struct names names;
    (void)of;
    names_init(&names, "worker");
    return &names;
}

static struct command *command_add(enum command_kind kind, struct slice key,
                                   store_answer_fn *answered, void *caller)
{
    if (store.refuses)
        return NULL;
    assert_true(store.count < LENGTH(store.commands));
    struct command *command = &store.commands[store.count++];
    *command = (struct command){.kind = kind, .answered = answered, .caller = caller};
    snprintf(command->key, sizeof command->key, "%.*s", SLICE_ARGS(key));
    store.sent[kind]++;
    return command;
}

/* The oldest command is answered. */
static inline void reply(enum command_kind kind, struct store_answer answer)
{
    assert_true(store.count > 0);
    struct command command = store.commands[0];
    assert_int_equal(command.kind, kind);
    store.count--;
    for (size_t i = 0; i < store.count; i++)
        store.commands[i] = store.commands[i + 1];
    if (command.answered)
        command.answered(command.caller, &answer);
    entry_unref(command.entry);
}

void store_free(struct store *of)
{
    while (of && of->count > 0)
        reply(of->commands[0].kind, (struct store_answer){.outcome = STORE_GONE});
}

bool store_get(struct store *of, struct slice key, store_answer_fn *answered, void *caller)
{
    (void)of;
    return command_add(GET, key, answered, caller) != NULL;
}

bool store_claim(struct store *of, struct slice key, const char *token, int64_t lease_ms,
                 const struct entry *known, store_answer_fn *answered, void *caller)
{
    struct command *command = command_add(CLAIM, key, answered, caller);
    (void)of;
    assert_int_equal(lease_ms, 60);
    assert_int_equal(strlen(token), STORE_TOKEN_LEN);
    if (!command)
        return false;
    strcpy(command->token, token);
    command->known_made_ms = known ? known->made_ms : -1;
    return true;
}

bool store_claim_missing(struct store *of, struct slice key, const char *token, int64_t lease_ms,
                         store_answer_fn *answered, void *caller)
{
    return store_claim(of, key, token, lease_ms, NULL, answered, caller);
}

bool store_put(struct store *of, struct slice key, const char *token, struct entry *known,
               struct entry *entry, int64_t keep_ms, store_answer_fn *answered, void *caller)
{
    struct command *command = command_add(STORE, key, answered, caller);
    (void)of;
    if (!command)
        return false;
    strcpy(command->token, token ? token : "");
    command->entry = entry_ref(entry);
    command->known_made_ms = known ? known->made_ms : -1;
    command->keep_ms = keep_ms;
    return true;
}

void store_renew(struct store *of, struct slice key, const char *token, int64_t lease_ms)
{
    (void)of;
    assert_int_equal(lease_ms, 60);
    struct command *command = command_add(RENEW, key, NULL, NULL);
    if (command)
        strcpy(command->token, token);
}

bool store_check(struct store *of, struct slice key, const char *token, const struct entry *known,
                 store_answer_fn *answered, void *caller)
{
    struct command *command = command_add(CHECK, key, answered, caller);
    (void)of;
    if (!command)
        return false;
    strcpy(command->token, token);
    command->known_made_ms = known ? known->made_ms : -1;
    return true;
}

void store_release(struct store *of, struct slice key, const char *token)
{
    (void)of;
    struct command *command = command_add(RELEASE, key, NULL, NULL);
    if (command)
        strcpy(command->token, token);
}

bool store_purge(struct store *of, struct slice key, bool soft, store_answer_fn *answered,
                 void *caller)
{
    (void)of, (void)soft;
    return command_add(PURGE, key, answered, caller) != NULL;
}

bool purge_prefix(struct store *of, struct slice prefix, bool soft, store_answer_fn *answered,
                  void *caller)
{
    (void)of, (void)soft;
    return command_add(PURGE_PREFIX, prefix, answered, caller) != NULL;
}

bool inspect_key(struct store *of, struct slice key, inspect_answer_fn *answered, void *caller)
{
    (void)of, (void)key, (void)answered, (void)caller;
    return false;
}

/* --- the bench --- */

static struct cache_answer last; /* entry and lease must not be used */
static struct lease *lease;
static unsigned answers, changes;
static bool calling;                    /* the cache */
static struct cache_change last_change; /* without its key, which lives in the call */
static char changed_key[32];

static inline void on_answer(void *caller, const struct cache_answer *answer)
{
    assert_ptr_equal(caller, &answers);
    assert_false(calling); /* never before the call returns */
    answers++;
    last = *answer;
    if (answer->lease)
        lease = answer->lease;
}

static inline void on_changed(void *context, const struct cache_change *change)
{
    (void)context;
    last_change = *change;
    snprintf(changed_key, sizeof changed_key, "%.*s", SLICE_ARGS(change->key));
    changes++;
}

/* So many changes have been reported, the last one being that. */
static inline void check_change(unsigned count, enum cache_change_kind kind, const char *key,
                                bool is_prefix)
{
    assert_int_equal(changes, count);
    assert_int_equal(last_change.kind, kind);
    assert_string_equal(changed_key, key);
    assert_int_equal(last_change.is_prefix, is_prefix);
}

static inline int setup(void **state)
{
    static const struct cache_settings settings = {.redis = {.address = "redis://127.0.0.1"},
                                                   .name_space = "worker",
                                                   .memory_bytes = 100000,
                                                   .lease = 0.06};
    (void)state;
    loop = ev_loop_new(0);
    assert_non_null(loop);
    cache = cache_new(loop, &settings);
    assert_non_null(cache);
    cache_on_changed(cache, on_changed, NULL);
    store.usable = store.tracking = true;
    answers = changes = 0;
    lease = NULL;
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    cache_free(cache);
    assert_int_equal(store.count, 0);
    ev_loop_destroy(loop);
    return 0;
}

static inline struct entry *make_entry(int64_t left_ms)
{
    struct entry *entry =
        entry_new(SLICE("text/html"), SLICE("x"), clock_fleet_ms() + left_ms - 60000, 60000, 1);
    assert_non_null(entry);
    return entry;
}

static inline void reply_found(enum command_kind kind, int64_t left_ms)
{
    struct entry *entry = make_entry(left_ms);
    reply(kind, (struct store_answer){.outcome = STORE_FOUND, .entry = entry});
    entry_unref(entry);
}

static inline bool in_memory(const char *key)
{
    return cache_peek(cache, slice_of(key)) != NULL;
}

/* Each of them tells whether it was asked. */
static inline bool lookup(const char *key)
{
    calling = true;
    bool asked = cache_lookup(cache, slice_of(key), 1000, on_answer, &answers);
    calling = false;
    return asked;
}

static inline bool claim(const char *key)
{
    calling = true;
    bool asked = cache_claim(cache, slice_of(key), 1000, NULL, on_answer, &answers);
    calling = false;
    return asked;
}

static inline bool look_at_lease(const char *key)
{
    calling = true;
    bool asked = cache_check(cache, slice_of(key), 1000, lease, NULL, on_answer, &answers);
    calling = false;
    return asked;
}

/* A key, or, if it ends with '*', a prefix. */
static inline bool purge(const char *key, bool soft)
{
    struct cache_purge what = {.key = slice_of(key), .soft = soft};
    what.is_prefix = what.key.data[what.key.len - 1] == '*';
    what.key.len -= what.is_prefix;
    calling = true;
    bool asked = cache_purge(cache, &what, on_answer, &answers);
    calling = false;
    return asked;
}

/* Reports what is known without Redis. */
static inline void turn(void)
{
    ev_run(loop, EVRUN_NOWAIT);
}

/* Puts it into memory, by a lookup in Redis. */
static inline void fill(const char *key)
{
    lookup(key);
    reply_found(GET, 30000);
    assert_true(in_memory(key));
}

static inline void tell(const char *key, bool lease_only)
{
    store.events.changed(store.events.context, key ? slice_of(key) : (struct slice){0}, lease_only);
}

#endif
