/* All servers and, for a Cluster, the map from slots to servers, which is kept up to date.
 *
 *     on_refresh --> CLUSTER SLOTS, to a server or else to a seed --> adopt: new map
 *         ^                                                             |
 *         '---- in a while; soon: a slot has moved, a server is down ---'
 *
 * Seeds are the servers of the config. They are connected one after the other until one of them
 * knows the others, and again when none of those answers. Until there is a map, commands for any
 * key go to any of them: it answers with the address of the right one.
 *
 * A server may be in use by a caller, so only on_refresh frees servers.
 */
#include "redis/topology.h"

#include <ev.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/alloc.h"
#include "base/log.h"
#include "redis/address.h"
#include "redis/events.h"
#include "redis/settings.h"
#include "redis/tls.h"

#define REFRESH_S      30.0 /* in normal operation */
#define REFRESH_SOON_S 1.0
#define STRANGERS_MAX  32   /* servers known only from redirections, not from a map */
#define LOOK_FIRST_S   0.02 /* first wait for an answer from seeds; doubled each time */

struct node {
    struct node *next, *prev;
    struct redis_server *server;
    bool is_seed;     /* until there is a map */
    bool has_slots;   /* it is in the map */
    bool is_stranger; /* known from a redirection, and not in any map read since */
    bool is_unfit;    /* it could not give the map, so it gets no commands */
    uint16_t port;
    char host[REDIS_HOST_MAX + 1];
};

struct redis_topology {
    struct redis_servers common;
    struct redis_events events;
    struct redis_address address;
    struct redis_server *only; /* the only server; NULL: it is a Cluster */

    struct node *nodes;
    struct redis_slots *slots, *spare;
    struct node *by_index[REDIS_NODES_MAX]; /* nodes by their index in `slots` */
    struct node *spare_by_index[REDIS_NODES_MAX];
    unsigned seeds_tried;
    unsigned turn;              /* which server to ask for the map */
    struct redis_server *asked; /* for the map, and has not answered yet; or NULL */
    ev_timer refresh;
    double look_after; /* seconds until the next try while no server can be asked */
    bool moved;        /* some slots have moved since the map was read */
    bool lost;         /* no server answers; that has been logged */
    bool closing;
    unsigned version; /* counts the changes of the map */
    struct log_limit states, unfit;
};

/* --- servers --- */

/* A server of the Cluster at that host and port, with the user and password of the config. */
static struct node *node_new(struct redis_topology *topology, const char *host, uint16_t port,
                             bool is_seed)
{
    struct redis_address address = topology->address;
    struct node *node = alloc_zeroed(sizeof *node);
    if (!node)
        return NULL;
    snprintf(node->host, sizeof node->host, "%s", host);
    node->port = port;
    address.kind = REDIS_BY_HOST;
    address.host_count = 1;
    address.ports[0] = port;
    memcpy(address.hosts, node->host, sizeof node->host);
    node->server = redis_server_new(&topology->common, &address, is_seed);
    if (!node->server) {
        free(node);
        return NULL;
    }
    DL_APPEND(topology->nodes, node);
    return node;
}

static void node_free(struct redis_topology *topology, struct node *node)
{
    DL_DELETE(topology->nodes, node);
    redis_server_free(node->server);
    free(node);
}

static struct node *node_find(struct redis_topology *topology, const char *host, uint16_t port)
{
    for (struct node *node = topology->nodes; node; node = node->next) {
        if (node->port == port && strcmp(node->host, host) == 0)
            return node;
    }
    return NULL;
}

/* The server at that host and port, which is connected if it is new; NULL when out of memory. */
static struct node *node_at(struct redis_topology *topology, const char *host, uint16_t port,
                            bool is_seed)
{
    struct node *node = node_find(topology, host, port);
    return node ? node : node_new(topology, host, port, is_seed);
}

/* The same for a redirection; NULL as well if STRANGERS_MAX is reached. */
static struct node *node_to_redirect(struct redis_topology *topology, const char *host,
                                     uint16_t port)
{
    struct node *node = node_find(topology, host, port);
    unsigned strangers = 0;
    if (node)
        return node;
    for (struct node *each = topology->nodes; each; each = each->next)
        strangers += each->is_stranger;
    if (strangers >= STRANGERS_MAX)
        return NULL;
    node = node_new(topology, host, port, false);
    if (node)
        node->is_stranger = true;
    return node;
}

/* Frees servers that are neither in the map nor seeds and have no pending commands. */
static void nodes_reap(struct redis_topology *topology)
{
    struct node *next;
    for (struct node *node = topology->nodes; node; node = next) {
        next = node->next;
        if (!node->has_slots && !node->is_seed && !redis_server_busy(node->server))
            node_free(topology, node);
    }
}

/* --- the map --- */

static void refresh_within(struct redis_topology *topology, double seconds)
{
    if (ev_is_active(&topology->refresh) &&
        ev_timer_remaining(topology->common.loop, &topology->refresh) <= seconds)
        return;
    ev_timer_stop(topology->common.loop, &topology->refresh);
    ev_timer_set(&topology->refresh, seconds, 0.);
    ev_timer_start(topology->common.loop, &topology->refresh);
}

static void on_server_lost(void *context)
{
    refresh_within(context, REFRESH_SOON_S * drand48());
}

static struct node *node_of_slot(const struct redis_slots *slots, struct node *const *by_index,
                                 unsigned slot)
{
    uint16_t index = slots->of_slot[slot];
    return index == REDIS_SLOT_NOBODYS ? NULL : by_index[index];
}

static bool every_slot_stays(const struct redis_topology *topology)
{
    for (unsigned slot = 0; slot < REDIS_SLOTS; slot++)
        if (node_of_slot(topology->slots, topology->by_index, slot) !=
            node_of_slot(topology->spare, topology->spare_by_index, slot))
            return false;
    return true;
}

/* The spare map becomes the map. If any slot has moved to another server, entries in memory may
 * have changed without an event, so `moved` is reported. */
static void adopt(struct redis_topology *topology)
{
    struct redis_slots *read = topology->spare;
    for (struct node *node = topology->nodes; node; node = node->next)
        node->has_slots = node->is_seed = node->is_unfit = false;
    for (unsigned i = 0; i < read->node_count; i++) {
        struct node *node = node_at(topology, read->nodes[i].host, read->nodes[i].port, false);
        if (node) {
            node->has_slots = true;
            node->is_stranger = false;
        }
        topology->spare_by_index[i] = node;
    }
    bool moved = topology->moved || !every_slot_stays(topology);
    topology->spare = topology->slots;
    topology->slots = read;
    memcpy(topology->by_index, topology->spare_by_index, sizeof topology->by_index);
    topology->moved = false;
    topology->seeds_tried = 0;
    topology->look_after = LOOK_FIRST_S;
    moved |= topology->lost;
    if (moved) {
        topology->version++;
        log_state(&topology->states, LOG_LEVEL_INFO, "redis",
                  "%sthe Cluster has %u primaries, which serve %u of %u slots",
                  topology->lost ? "back in use: " : "", read->node_count, read->served,
                  REDIS_SLOTS);
        topology->lost = false;
        topology->events.moved(topology->events.context);
    }
}

static bool all_is_well(const struct redis_topology *topology)
{
    for (struct node *node = topology->nodes; node; node = node->next) {
        if (!node->has_slots || !redis_server_usable(node->server))
            return false;
    }
    return topology->slots->served == REDIS_SLOTS;
}

/* No server can be asked yet: the delay doubles each time. */
static double next_look(struct redis_topology *topology)
{
    double seconds = topology->look_after;
    if (seconds >= REFRESH_SOON_S && !topology->lost) {
        topology->lost = true;
        log_state(&topology->states, LOG_LEVEL_WARNING, "redis",
                  "no server of the Cluster answers; continuing without it and reconnecting");
    }
    topology->look_after = seconds < REFRESH_SOON_S / 2 ? seconds * 2 : REFRESH_SOON_S;
    return seconds;
}

/* The server that was asked does not know the slots. */
static void node_is_unfit(struct redis_topology *topology, const char *why)
{
    struct node *node = topology->nodes;
    while (node && node->server != topology->asked)
        node = node->next;
    if (!node || node->is_unfit)
        return;
    node->is_unfit = true;
    log_limited(&topology->unfit, LOG_LEVEL_WARNING, "redis",
                "%s: CLUSTER SLOTS failed: %s; continuing without it and retrying",
                redis_server_name(node->server), why);
}

static void on_slots(void *caller, redisReply *reply)
{
    struct redis_topology *topology = caller;
    if (topology->closing)
        return;
    const char *wrong =
        reply ? redis_slots_read(topology->spare, reply, redis_server_literal(topology->asked))
              : "no answer";
    if (!wrong && topology->spare->served == 0)
        wrong = "no slot is served";
    if (!wrong)
        adopt(topology);
    else if (reply) /* else no answer: the server handles that itself */
        node_is_unfit(topology, wrong);
    topology->asked = NULL;
    if (!reply)
        refresh_within(topology, next_look(topology));
    else
        refresh_within(topology, wrong || !all_is_well(topology) ? REFRESH_SOON_S : REFRESH_S);
}

/* The next server that can be asked now, those in the map first; or NULL. */
static struct redis_server *next_to_ask(struct redis_topology *topology)
{
    for (int in_map = 1; in_map >= 0; in_map--) {
        unsigned count = 0, at;
        for (struct node *node = topology->nodes; node; node = node->next)
            count += node->has_slots == in_map && redis_server_usable(node->server);

        if (count == 0)
            continue;
        at = topology->turn++ % count;
        for (struct node *node = topology->nodes; node; node = node->next) {
            if (node->has_slots == in_map && redis_server_usable(node->server) && at-- == 0)
                return node->server;
        }
    }
    return NULL;
}

static bool map_is_of_use(const struct redis_topology *topology)
{
    for (struct node *node = topology->nodes; node; node = node->next) {
        if (node->has_slots && redis_server_usable(node->server))
            return true;
    }
    return false;
}

/* Connects one more of the seeds. */
static void try_next_seed(struct redis_topology *topology)
{
    const struct redis_address *address = &topology->address;
    unsigned index = topology->seeds_tried;
    if (index >= address->host_count)
        return;
    struct node *node =
        node_at(topology, redis_address_host(address, index), address->ports[index], true);
    if (node)
        node->is_seed = true;
    topology->seeds_tried++;
}

static void on_refresh(struct ev_loop *loop, ev_timer *timer, int events)
{
    static const char *words[] = {"CLUSTER", "SLOTS"};
    struct redis_topology *topology = timer->data;
    (void)loop, (void)events;
    nodes_reap(topology);
    if (topology->asked)
        return; /* its answer continues the refresh */
    if (!map_is_of_use(topology))
        try_next_seed(topology);
    topology->asked = next_to_ask(topology);
    if (topology->asked && redis_server_send_words(topology->asked, on_slots, topology, 2, words))
        return;
    topology->asked = NULL;
    refresh_within(topology, next_look(topology));
}

/* --- queries --- */

struct redis_server *redis_topology_server(const struct redis_topology *topology,
                                           struct slice prefix, struct slice key)
{
    if (topology->closing)
        return NULL;
    if (topology->only)
        return topology->only;
    struct node *node =
        node_of_slot(topology->slots, topology->by_index, redis_slot_of_parts(prefix, key));
    if (node)
        return node->server;
    for (struct node *any = topology->nodes; any; any = any->next) {
        if (!any->is_unfit && redis_server_usable(any->server))
            return any->server;
    }
    return NULL;
}

struct redis_server *redis_topology_at(const struct redis_topology *topology, size_t index)
{
    if (topology->closing)
        return NULL;
    if (topology->only)
        return index == 0 ? topology->only : NULL;
    for (struct node *node = topology->nodes; node; node = node->next) {
        if (node->has_slots && index-- == 0)
            return node->server;
    }
    return NULL;
}

struct redis_server *redis_topology_timekeeper(const struct redis_topology *topology)
{
    if (topology->closing)
        return NULL;
    for (unsigned slot = 0; !topology->only && slot < REDIS_SLOTS; slot++) {
        struct node *node = node_of_slot(topology->slots, topology->by_index, slot);
        if (node)
            return node->server;
    }
    return topology->only;
}

unsigned redis_topology_version(const struct redis_topology *topology)
{
    return topology->version;
}

enum redis_trouble redis_topology_trouble(const struct redis_topology *topology)
{
    enum redis_trouble worst = REDIS_AWAY;
    if (topology->only)
        return redis_server_trouble(topology->only);
    for (struct node *node = topology->nodes; node; node = node->next) {
        enum redis_trouble trouble = redis_server_trouble(node->server);
        if (trouble == REDIS_WELL && node->has_slots)
            return REDIS_WELL;
        if (trouble > worst)
            worst = trouble;
    }
    return worst;
}

bool redis_topology_busy(const struct redis_topology *topology)
{
    if (topology->only)
        return redis_server_busy(topology->only);
    for (struct node *node = topology->nodes; node; node = node->next) {
        if (redis_server_busy(node->server))
            return true;
    }
    return false;
}

enum redis_redirection_kind redis_topology_redirect(struct redis_topology *topology,
                                                    const struct redis_server *server,
                                                    const char *error, struct redis_server **to)
{
    *to = NULL;
    if (topology->only || topology->closing)
        return REDIS_NOT_REDIRECTED;
    struct redis_redirection told =
        redis_redirection_read(slice_of(error), redis_server_literal(server));
    if (told.kind == REDIS_CLUSTER_DOWN)
        refresh_within(topology, REFRESH_SOON_S);
    if (told.kind != REDIS_MOVED && told.kind != REDIS_ASK)
        return told.kind;
    struct node *node = node_to_redirect(topology, told.node.host, told.node.port);
    if (!node) {
        refresh_within(topology, REFRESH_SOON_S);
        return told.kind;
    }
    *to = node->server;
    if (told.kind == REDIS_MOVED) {
        int index = redis_slots_set(topology->slots, told.slot, node->host, node->port);
        if (index >= 0) {
            topology->by_index[index] = node;
            node->has_slots = true;
        }
        topology->moved = true;
        topology->version++;
        refresh_within(topology, REFRESH_SOON_S);
    }
    return told.kind;
}

/* --- the topology --- */

struct redis_topology *redis_topology_new(struct ev_loop *loop,
                                          const struct redis_settings *settings,
                                          const struct redis_needs *needs,
                                          const struct redis_events *events)
{
    struct redis_topology *topology = alloc_zeroed(sizeof *topology);
    if (!topology)
        return NULL;
    topology->events = *events;
    topology->common = (struct redis_servers){.loop = loop,
                                              .settings = settings,
                                              .needs = needs,
                                              .events = &topology->events};
    topology->look_after = LOOK_FIRST_S;
    ev_timer_init(&topology->refresh, on_refresh, 0., 0.);
    topology->refresh.data = topology;
    redis_address_parse(settings->address, &topology->address);
    if (topology->address.tls) {
        struct redis_problem problem;
        topology->common.tls = redis_tls_new(settings, &problem);
        if (!topology->common.tls) {
            log_error("redis", "%s: %s", problem.option, problem.why);
            goto fail;
        }
    }
    if (topology->address.kind != REDIS_BY_CLUSTER) {
        topology->only = redis_server_new(&topology->common, &topology->address, false);
        if (!topology->only)
            goto fail;
        return topology;
    }
    topology->common.lost = on_server_lost;
    topology->common.context = topology;
    topology->slots = alloc_zeroed(sizeof *topology->slots);
    topology->spare = alloc_zeroed(sizeof *topology->spare);
    if (!topology->slots || !topology->spare)
        goto fail;
    redis_slots_clear(topology->slots);
    on_refresh(loop, &topology->refresh, 0); /* at once, so that the first requests can use Redis */
    return topology;
fail:
    redis_topology_free(topology);
    return NULL;
}

void redis_topology_free(struct redis_topology *topology)
{
    if (!topology)
        return;
    topology->closing = true;
    ev_timer_stop(topology->common.loop, &topology->refresh);
    redis_server_free(topology->only);
    while (topology->nodes)
        node_free(topology, topology->nodes);
    redis_tls_free(topology->common.tls);
    free(topology->slots);
    free(topology->spare);
    log_limit_end(&topology->states);
    log_limit_end(&topology->unfit);
    free(topology);
}
