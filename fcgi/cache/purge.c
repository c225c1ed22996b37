/* SCAN finds the keys in bounded steps, and each is purged as soon as it is found.
 *
 *     for each server: SCAN the values, SCAN the leases --key--> store_purge
 *
 * Leases are scanned as well, since a key that is being generated for the first time has only a
 * lease. If slots have moved meanwhile, keys may have been missed, so the scan starts over. The
 * purge is complete when the scan and the last single purge are. The scan pauses while many single
 * purges are pending.
 */
#include "cache/purge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cache/names.h"
#include "redis/server.h"
#include "redis/topology.h"

#define STEP        "500" /* keys scanned in one step */
#define TIMES_MAX   10
#define PENDING_MAX 1000

struct purge {
    struct store *store;
    bool soft;
    store_answer_fn *answered;
    void *caller;
    size_t pending; /* single purges without an answer */
    bool failed;    /* one of them, or the scan, has failed */
    bool scanning;
    bool paused; /* PENDING_MAX: the next step waits until fewer are pending */

    size_t server; /* index of the server being scanned, in that version of the topology */
    unsigned version;
    unsigned times; /* how often the scan has started, as slots had moved: TIMES_MAX */
    bool leases;    /* scanning the leases, not the values */
    char cursor[24];
    char pattern[]; /* for leases; the pattern for values is its end */
};

static void purge_end(struct purge *purge)
{
    if (purge->scanning || purge->pending > 0)
        return;
    purge->answered(purge->caller,
                    &(struct store_answer){.outcome = purge->failed ? STORE_GONE : STORE_DONE});
    free(purge);
}

/* `all`: every server has listed all of its keys, and no slot has moved meanwhile. */
static void scan_end(struct purge *purge, bool all)
{
    purge->scanning = false;
    purge->failed |= !all;
    purge_end(purge);
}

static void scan_begin(struct purge *purge)
{
    purge->server = 0;
    purge->leases = false;
    purge->version = redis_topology_version(store_topology(purge->store));
    purge->times++;
}

static void on_step(void *caller, struct redisReply *reply);

static bool scan_send(struct purge *purge)
{
    const struct names *names = store_names(purge->store);
    struct redis_server *server = redis_topology_at(store_topology(purge->store), purge->server);
    const char *pattern =
        purge->pattern + (purge->leases ? 0 : names->value_start - names->lease_start);
    const char *words[] = {"SCAN", purge->cursor, "MATCH", pattern, "COUNT", STEP};
    const size_t lens[] = {4, strlen(purge->cursor), 5, strlen(pattern), 5, sizeof STEP - 1};
    return server && redis_server_send(server, 6, words, lens, on_step, purge);
}

static void scan_go_on(struct purge *purge)
{
    purge->paused = purge->pending >= PENDING_MAX;
    if (!purge->paused && !scan_send(purge))
        scan_end(purge, false);
}

/* A scan is complete: goes on to the next one. */
static void scan_turn(struct purge *purge)
{
    const struct redis_topology *topology = store_topology(purge->store);
    purge->leases = !purge->leases;
    if (!purge->leases)
        purge->server++;
    bool moved = purge->version != redis_topology_version(topology);
    if (moved && purge->times < TIMES_MAX)
        scan_begin(purge);
    if (purge->server > 0 && !redis_topology_at(topology, purge->server))
        scan_end(purge, !moved);
    else
        scan_go_on(purge);
}

static void on_purged(void *caller, const struct store_answer *answer)
{
    struct purge *purge = caller;
    purge->pending--;
    purge->failed |= answer->outcome != STORE_DONE;
    if (purge->paused)
        scan_go_on(purge);
    else
        purge_end(purge);
}

static void purge_found(struct purge *purge, struct slice name)
{
    struct slice key;
    bool is_lease;
    if (!names_read(store_names(purge->store), name, &key, &is_lease) ||
        is_lease != purge->leases || key.len == 0)
        return;
    if (store_purge(purge->store, key, purge->soft, on_purged, purge))
        purge->pending++;
    else
        purge->failed = true;
}

/* [cursor, [name, ...]] */
static void on_step(void *caller, struct redisReply *reply)
{
    struct purge *purge = caller;
    struct slice cursor = reply && redis_reply_count(reply) == 2
                              ? redis_reply_string(redis_reply_at(reply, 0))
                              : (struct slice){0};
    if (!cursor.data || !redis_reply_is_array(redis_reply_at(reply, 1))) {
        scan_end(purge, false);
        return;
    }
    const struct redisReply *names = redis_reply_at(reply, 1);
    for (size_t i = 0; i < redis_reply_count(names); i++)
        purge_found(purge, redis_reply_string(redis_reply_at(names, i)));
    bool stuck = strcmp(purge->cursor, cursor.data) == 0;
    snprintf(purge->cursor, sizeof purge->cursor, "%s", cursor.data);
    if (strcmp(purge->cursor, "0") == 0)
        scan_turn(purge);
    else if (stuck)
        scan_end(purge, false); /* the scan would never end */
    else
        scan_go_on(purge);
}

bool purge_prefix(struct store *store, struct slice prefix, bool soft, store_answer_fn *answered,
                  void *caller)
{
    const char *start = store_names(store)->lease_start;
    size_t start_len = strlen(start);
    struct purge *purge = alloc_zeroed(sizeof *purge + start_len + 2 * prefix.len + 2);
    if (!purge)
        return false;
    purge->store = store;
    purge->soft = soft;
    purge->answered = answered;
    purge->caller = caller;
    purge->scanning = true;
    strcpy(purge->cursor, "0");
    memcpy(purge->pattern, start, start_len);
    char *end = purge->pattern + start_len;
    for (size_t i = 0; i < prefix.len; i++) { /* escape its wildcards */
        if (strchr("*?[]\\", prefix.data[i]))
            *end++ = '\\';
        *end++ = prefix.data[i];
    }
    *end = '*';
    scan_begin(purge);
    if (scan_send(purge))
        return true;
    free(purge);
    return false;
}
