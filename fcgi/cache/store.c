/* Which operation the cache wants, and the servers that it goes to. */
#include "cache/store.h"

#include <ev.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/timeout.h"
#include "cache/cache.h"
#include "cache/entry.h"
#include "cache/names.h"
#include "cache/operation.h"
#include "cache/probes.h"
#include "cache/scripts.h"
#include "redis/clock.h"
#include "redis/events.h"
#include "redis/server.h"
#include "redis/topology.h"
#include "redis/trouble.h"

#define TRY_AGAIN_S 0.05

bool store_get(struct store *store, struct slice key, store_answer_fn *answered, void *caller)
{
    struct operation *operation = operation_new(store, OPERATION_GET, key, answered, caller);
    counter_add(COUNTER_LOOKUPS, 1);
    return operation && operation_start(operation);
}

static bool claim(struct operation *operation, const char *token, int64_t lease_ms,
                  const struct entry *known)
{
    counter_add(COUNTER_CLAIMS, 1);
    if (!operation)
        return false;
    operation_set_lease(operation, token);
    operation_set_milliseconds(operation, lease_ms);
    operation_set_known(operation, known);
    return operation_start(operation);
}

bool store_claim(struct store *store, struct slice key, const char *token, int64_t lease_ms,
                 const struct entry *known, store_answer_fn *answered, void *caller)
{
    return claim(operation_new(store, OPERATION_CLAIM, key, answered, caller), token, lease_ms,
                 known);
}

bool store_claim_missing(struct store *store, struct slice key, const char *token, int64_t lease_ms,
                         store_answer_fn *answered, void *caller)
{
    return claim(operation_new(store, OPERATION_TAKE, key, answered, caller), token, lease_ms,
                 NULL);
}

bool store_put(struct store *store, struct slice key, const char *token, struct entry *known,
               struct entry *entry, int64_t keep_ms, store_answer_fn *answered, void *caller)
{
    static const enum operation_kind by[2][2] = {{OPERATION_STORE_NEW, OPERATION_REPLACE},
                                                 {OPERATION_STORE, OPERATION_REWRITE}};
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
    operation_set_lease(operation, token ? token : "");
    operation_set_known(operation, known);
    if (kind == OPERATION_REWRITE)
        operation->older = entry_ref(known);
    operation_set_milliseconds(operation, keep_ms > 0 ? keep_ms : 1);
    operation->entry = entry_ref(entry);
    return operation_start(operation);
}

void store_renew(struct store *store, struct slice key, const char *token, int64_t lease_ms)
{
    struct operation *operation = operation_new(store, OPERATION_RENEW, key, NULL, NULL);
    if (!operation)
        return;
    operation_set_lease(operation, token);
    operation_set_milliseconds(operation, lease_ms);
    operation_start(operation);
}

bool store_check(struct store *store, struct slice key, const char *token,
                 const struct entry *known, store_answer_fn *answered, void *caller)
{
    struct operation *operation = operation_new(store, OPERATION_CHECK, key, answered, caller);
    if (!operation)
        return false;
    operation_set_lease(operation, token);
    operation_set_known(operation, known);
    return operation_start(operation);
}

void store_release(struct store *store, struct slice key, const char *token)
{
    operation_release(store, key, token);
}

bool store_purge(struct store *store, struct slice key, bool soft, store_answer_fn *answered,
                 void *caller)
{
    struct operation *operation =
        operation_new(store, soft ? OPERATION_PURGE_SOFT : OPERATION_PURGE, key, answered, caller);
    if (!operation)
        return false;
    operation_set_milliseconds(operation, clock_fleet_ms());
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
    timeout_queue_init(&store->again, loop, TRY_AGAIN_S, operation_again, store);
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
