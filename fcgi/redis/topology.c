/* The links to all servers. Of a Cluster, the map from slots to servers, and how it is kept.
 *
 *     on_refresh --> CLUSTER SLOTS, to a server or else to a seed --> adopt: new links, new map
 *         ^                                                             |
 *         '---- in a while; soon: a slot has moved, a server is gone ---'
 *
 * Seeds are the servers of the config. They are connected to one after the other until one of them
 * tells of the others, and again when none of those answers. Until there is a map any of them is
 * asked for any key: it answers with the address of the right one.
 *
 * A link may be in use by whoever is calling, so it is freed by on_refresh alone.
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
#include "redis/settings.h"
#include "redis/tls.h"

#define REFRESH_S      30.0 /* while all is well */
#define REFRESH_SOON_S 1.0
#define STRANGERS_MAX  32   /* servers that redirections led to, and no map yet tells of */
#define LOOK_FIRST_S   0.02 /* for an answer from seeds; twice as long each time */

struct server {
    struct server *next, *prev;
    struct redis_link *link;
    bool is_seed;     /* until there is a map */
    bool has_slots;   /* it is in the map */
    bool is_stranger; /* a redirection led to it, and no map read since tells of it */
    bool is_unfit;    /* it was asked for the map in vain: it is not asked for anything else */
    uint16_t port;
    char host[REDIS_HOST_MAX + 1];
};

struct redis_nodes {
    struct ev_loop *loop;
    const struct redis_settings *settings;
    struct redis_address address;
    struct redis_link_owner owner;
    struct redis_tls *tls;   /* NULL: the address is without */
    struct redis_link *only; /* the one server; NULL: it is a Cluster */

    struct server *servers;
    struct redis_slots *slots, *spare;
    struct server *by_index[REDIS_NODES_MAX]; /* of the slots' nodes */
    struct server *spare_by_index[REDIS_NODES_MAX];
    unsigned seeds_tried;
    unsigned turn;            /* which server is asked for the map */
    struct redis_link *asked; /* for the map, without an answer yet; or NULL */
    ev_timer refresh;
    double look_after; /* seconds until the next try while nobody can be asked */
    bool moved;        /* since the map was read, some slots have */
    bool lost;         /* nobody answers; that has been logged */
    bool closing;
    unsigned version; /* counts the changes of the map */
    struct log_limit states, unfit;
};

/* --- servers --- */

static void on_link_lost(void *context, struct redis_link *link);

static void on_link_ready(void *context, struct redis_link *link)
{
    struct redis_nodes *nodes = context;
    nodes->owner.ready(nodes->owner.context, link);
}

static void on_link_tracking(void *context, struct redis_link *link, bool on)
{
    struct redis_nodes *nodes = context;
    nodes->owner.tracking(nodes->owner.context, link, on);
}

static void on_link_changed(void *context, struct redis_link *link, struct slice key,
                            bool lease_only)
{
    struct redis_nodes *nodes = context;
    nodes->owner.changed(nodes->owner.context, link, key, lease_only);
}

/* A server of the Cluster at that place, with the user and password of all. */
static struct server *server_new(struct redis_nodes *nodes, const char *host, uint16_t port,
                                 bool is_seed)
{
    struct redis_address address = nodes->address;
    struct server *server = alloc_zeroed(sizeof *server);
    if (!server)
        return NULL;
    snprintf(server->host, sizeof server->host, "%s", host);
    server->port = port;
    address.kind = REDIS_BY_HOST;
    address.host_count = 1;
    address.ports[0] = port;
    memcpy(address.hosts, server->host, sizeof server->host);
    server->link = redis_link_new(nodes->loop, nodes->settings, &address,
                                  &(struct redis_link_owner){.context = nodes,
                                                             .name_space = nodes->owner.name_space,
                                                             .value_max = nodes->owner.value_max,
                                                             .tls = nodes->tls,
                                                             .quiet = is_seed,
                                                             .ready = on_link_ready,
                                                             .lost = on_link_lost,
                                                             .tracking = on_link_tracking,
                                                             .changed = on_link_changed});
    if (!server->link) {
        free(server);
        return NULL;
    }
    DL_APPEND(nodes->servers, server);
    return server;
}

static void server_free(struct redis_nodes *nodes, struct server *server)
{
    DL_DELETE(nodes->servers, server);
    redis_link_free(server->link);
    free(server);
}

static struct server *server_find(struct redis_nodes *nodes, const char *host, uint16_t port)
{
    for (struct server *server = nodes->servers; server; server = server->next) {
        if (server->port == port && strcmp(server->host, host) == 0)
            return server;
    }
    return NULL;
}

/* The one at that place, which is connected to if it is new; NULL when out of memory. */
static struct server *server_at(struct redis_nodes *nodes, const char *host, uint16_t port,
                                bool is_seed)
{
    struct server *server = server_find(nodes, host, port);
    return server ? server : server_new(nodes, host, port, is_seed);
}

/* NULL as well if there are too many already that only redirections tell of. */
static struct server *server_to_redirect(struct redis_nodes *nodes, const char *host, uint16_t port)
{
    struct server *server = server_find(nodes, host, port);
    unsigned strangers = 0;
    if (server)
        return server;
    for (struct server *each = nodes->servers; each; each = each->next)
        strangers += each->is_stranger;
    if (strangers >= STRANGERS_MAX)
        return NULL;
    server = server_new(nodes, host, port, false);
    if (server)
        server->is_stranger = true;
    return server;
}

/* Those that are neither in the map nor seeds, when nobody waits for them any longer. */
static void servers_reap(struct redis_nodes *nodes)
{
    struct server *next;
    for (struct server *server = nodes->servers; server; server = next) {
        next = server->next;
        if (!server->has_slots && !server->is_seed && !redis_link_busy(server->link))
            server_free(nodes, server);
    }
}

/* --- the map --- */

static void refresh_within(struct redis_nodes *nodes, double seconds)
{
    if (ev_is_active(&nodes->refresh) &&
        ev_timer_remaining(nodes->loop, &nodes->refresh) <= seconds)
        return;
    ev_timer_stop(nodes->loop, &nodes->refresh);
    ev_timer_set(&nodes->refresh, seconds, 0.);
    ev_timer_start(nodes->loop, &nodes->refresh);
}

static void on_link_lost(void *context, struct redis_link *link)
{
    struct redis_nodes *nodes = context;
    refresh_within(nodes, REFRESH_SOON_S * drand48());
    nodes->owner.lost(nodes->owner.context, link);
}

static struct server *server_of_slot(const struct redis_slots *slots,
                                     struct server *const *by_index, unsigned slot)
{
    uint16_t index = slots->of_slot[slot];
    return index == REDIS_SLOT_NOBODYS ? NULL : by_index[index];
}

static bool every_slot_stays(const struct redis_nodes *nodes)
{
    for (unsigned slot = 0; slot < REDIS_SLOTS; slot++)
        if (server_of_slot(nodes->slots, nodes->by_index, slot) !=
            server_of_slot(nodes->spare, nodes->spare_by_index, slot))
            return false;
    return true;
}

/* The spare map becomes the map. If any slot is another server's than it was, what memory holds may
 * have changed without a word, and everybody looks again. */
static void adopt(struct redis_nodes *nodes)
{
    struct redis_slots *read = nodes->spare;
    for (struct server *server = nodes->servers; server; server = server->next)
        server->has_slots = server->is_seed = server->is_unfit = false;
    for (unsigned i = 0; i < read->node_count; i++) {
        struct server *server = server_at(nodes, read->nodes[i].host, read->nodes[i].port, false);
        if (server) {
            server->has_slots = true;
            server->is_stranger = false;
        }
        nodes->spare_by_index[i] = server;
    }
    bool moved = nodes->moved || !every_slot_stays(nodes);
    nodes->spare = nodes->slots;
    nodes->slots = read;
    memcpy(nodes->by_index, nodes->spare_by_index, sizeof nodes->by_index);
    nodes->moved = false;
    nodes->seeds_tried = 0;
    nodes->look_after = LOOK_FIRST_S;
    moved |= nodes->lost;
    if (moved) {
        nodes->version++;
        log_state(&nodes->states, LOG_LEVEL_INFO, "redis",
                  "%sthe Cluster has %u primaries, for %u of %u slots",
                  nodes->lost ? "back in use: " : "", read->node_count, read->served, REDIS_SLOTS);
        nodes->lost = false;
        nodes->owner.changed(nodes->owner.context, NULL, (struct slice){0}, false);
    }
}

static bool all_is_well(const struct redis_nodes *nodes)
{
    for (struct server *server = nodes->servers; server; server = server->next) {
        if (!server->has_slots || !redis_link_usable(server->link))
            return false;
    }
    return nodes->slots->served == REDIS_SLOTS;
}

/* Nobody can be asked yet: more and more seldom. */
static double next_look(struct redis_nodes *nodes)
{
    double seconds = nodes->look_after;
    if (seconds >= REFRESH_SOON_S && !nodes->lost) {
        nodes->lost = true;
        log_state(&nodes->states, LOG_LEVEL_WARNING, "redis",
                  "no server of the Cluster answers; going on without it until one is back");
    }
    nodes->look_after = seconds < REFRESH_SOON_S / 2 ? seconds * 2 : REFRESH_SOON_S;
    return seconds;
}

/* The one that was asked does not know the slots. */
static void server_is_unfit(struct redis_nodes *nodes, const char *why)
{
    struct server *server = nodes->servers;
    while (server && server->link != nodes->asked)
        server = server->next;
    if (!server || server->is_unfit)
        return;
    server->is_unfit = true;
    log_limited(&nodes->unfit, LOG_LEVEL_WARNING, "redis",
                "%s: CLUSTER SLOTS: %s; going on without it until it knows the slots",
                redis_link_name(server->link), why);
}

static void on_slots(void *caller, redisReply *reply)
{
    struct redis_nodes *nodes = caller;
    if (nodes->closing)
        return;
    const char *wrong =
        reply ? redis_slots_read(nodes->spare, reply, redis_link_literal(nodes->asked))
              : "no answer";
    if (!wrong && nodes->spare->served == 0)
        wrong = "no slot has a server";
    if (!wrong)
        adopt(nodes);
    else if (reply) /* the link says itself that nothing came */
        server_is_unfit(nodes, wrong);
    nodes->asked = NULL;
    if (!reply)
        refresh_within(nodes, next_look(nodes));
    else
        refresh_within(nodes, wrong || !all_is_well(nodes) ? REFRESH_SOON_S : REFRESH_S);
}

/* The next of the servers that can be asked now, first those that are in the map; or NULL. */
static struct redis_link *next_to_ask(struct redis_nodes *nodes)
{
    for (int in_map = 1; in_map >= 0; in_map--) {
        unsigned count = 0, at;
        for (struct server *server = nodes->servers; server; server = server->next)
            count += server->has_slots == in_map && redis_link_usable(server->link);

        if (count == 0)
            continue;
        at = nodes->turn++ % count;
        for (struct server *server = nodes->servers; server; server = server->next) {
            if (server->has_slots == in_map && redis_link_usable(server->link) && at-- == 0)
                return server->link;
        }
    }
    return NULL;
}

static bool map_is_of_use(const struct redis_nodes *nodes)
{
    for (struct server *server = nodes->servers; server; server = server->next) {
        if (server->has_slots && redis_link_usable(server->link))
            return true;
    }
    return false;
}

/* One more of the seeds is connected to. */
static void try_next_seed(struct redis_nodes *nodes)
{
    const struct redis_address *address = &nodes->address;
    unsigned index = nodes->seeds_tried;
    if (index >= address->host_count)
        return;
    struct server *server =
        server_at(nodes, redis_address_host(address, index), address->ports[index], true);
    if (server)
        server->is_seed = true;
    nodes->seeds_tried++;
}

static void on_refresh(struct ev_loop *loop, ev_timer *timer, int events)
{
    static const char *words[] = {"CLUSTER", "SLOTS"};
    struct redis_nodes *nodes = timer->data;
    (void)loop, (void)events;
    servers_reap(nodes);
    if (nodes->asked)
        return; /* its answer leads on */
    if (!map_is_of_use(nodes))
        try_next_seed(nodes);
    nodes->asked = next_to_ask(nodes);
    if (nodes->asked && redis_link_send_words(nodes->asked, on_slots, nodes, 2, words))
        return;
    nodes->asked = NULL;
    refresh_within(nodes, next_look(nodes));
}

/* --- what is asked of it --- */

struct redis_link *redis_nodes_link(const struct redis_nodes *nodes, struct slice prefix,
                                    struct slice key)
{
    if (nodes->closing)
        return NULL;
    if (nodes->only)
        return nodes->only;
    struct server *server =
        server_of_slot(nodes->slots, nodes->by_index, redis_slot_of_parts(prefix, key));
    if (server)
        return server->link;
    for (struct server *any = nodes->servers; any; any = any->next) {
        if (!any->is_unfit && redis_link_usable(any->link))
            return any->link;
    }
    return NULL;
}

struct redis_link *redis_nodes_at(const struct redis_nodes *nodes, size_t index)
{
    if (nodes->closing)
        return NULL;
    if (nodes->only)
        return index == 0 ? nodes->only : NULL;
    for (struct server *server = nodes->servers; server; server = server->next) {
        if (server->has_slots && index-- == 0)
            return server->link;
    }
    return NULL;
}

struct redis_link *redis_nodes_timekeeper(const struct redis_nodes *nodes)
{
    if (nodes->closing)
        return NULL;
    for (unsigned slot = 0; !nodes->only && slot < REDIS_SLOTS; slot++) {
        struct server *server = server_of_slot(nodes->slots, nodes->by_index, slot);
        if (server)
            return server->link;
    }
    return nodes->only;
}

unsigned redis_nodes_version(const struct redis_nodes *nodes)
{
    return nodes->version;
}

enum redis_trouble redis_nodes_trouble(const struct redis_nodes *nodes)
{
    enum redis_trouble worst = REDIS_AWAY;
    if (nodes->only)
        return redis_link_trouble(nodes->only);
    for (struct server *server = nodes->servers; server; server = server->next) {
        enum redis_trouble trouble = redis_link_trouble(server->link);
        if (trouble == REDIS_WELL && server->has_slots)
            return REDIS_WELL;
        if (trouble > worst)
            worst = trouble;
    }
    return worst;
}

bool redis_nodes_busy(const struct redis_nodes *nodes)
{
    if (nodes->only)
        return redis_link_busy(nodes->only);
    for (struct server *server = nodes->servers; server; server = server->next) {
        if (redis_link_busy(server->link))
            return true;
    }
    return false;
}

enum redis_redirection_kind redis_nodes_redirect(struct redis_nodes *nodes,
                                                 const struct redis_link *link, const char *error,
                                                 struct redis_link **to)
{
    *to = NULL;
    if (nodes->only || nodes->closing)
        return REDIS_NOT_REDIRECTED;
    struct redis_redirection told =
        redis_redirection_read(slice_of(error), redis_link_literal(link));
    if (told.kind == REDIS_CLUSTER_DOWN)
        refresh_within(nodes, REFRESH_SOON_S);
    if (told.kind != REDIS_MOVED && told.kind != REDIS_ASK)
        return told.kind;
    struct server *server = server_to_redirect(nodes, told.node.host, told.node.port);
    if (!server) {
        refresh_within(nodes, REFRESH_SOON_S);
        return told.kind;
    }
    *to = server->link;
    if (told.kind == REDIS_MOVED) {
        int index = redis_slots_set(nodes->slots, told.slot, server->host, server->port);
        if (index >= 0) {
            nodes->by_index[index] = server;
            server->has_slots = true;
        }
        nodes->moved = true;
        nodes->version++;
        refresh_within(nodes, REFRESH_SOON_S);
    }
    return told.kind;
}

/* --- all of it --- */

struct redis_nodes *redis_nodes_new(struct ev_loop *loop, const struct redis_settings *settings,
                                    const struct redis_link_owner *owner)
{
    struct redis_nodes *nodes = alloc_zeroed(sizeof *nodes);
    if (!nodes)
        return NULL;
    nodes->loop = loop;
    nodes->settings = settings;
    nodes->owner = *owner;
    nodes->look_after = LOOK_FIRST_S;
    ev_timer_init(&nodes->refresh, on_refresh, 0., 0.);
    nodes->refresh.data = nodes;
    redis_address_parse(settings->address, &nodes->address);
    if (nodes->address.tls) {
        struct redis_problem problem;
        nodes->owner.tls = nodes->tls = redis_tls_new(settings, &problem);
        if (!nodes->tls) {
            log_error("redis", "%s: %s", problem.option, problem.why);
            goto fail;
        }
    }
    if (nodes->address.kind != REDIS_BY_CLUSTER) {
        nodes->only = redis_link_new(loop, settings, &nodes->address, &nodes->owner);
        if (!nodes->only)
            goto fail;
        return nodes;
    }
    nodes->slots = alloc_zeroed(sizeof *nodes->slots);
    nodes->spare = alloc_zeroed(sizeof *nodes->spare);
    if (!nodes->slots || !nodes->spare)
        goto fail;
    redis_slots_clear(nodes->slots);
    on_refresh(loop, &nodes->refresh, 0); /* the first requests need not do without */
    return nodes;
fail:
    redis_nodes_free(nodes);
    return NULL;
}

void redis_nodes_free(struct redis_nodes *nodes)
{
    if (!nodes)
        return;
    nodes->closing = true;
    ev_timer_stop(nodes->loop, &nodes->refresh);
    redis_link_free(nodes->only);
    while (nodes->servers)
        server_free(nodes, nodes->servers);
    redis_tls_free(nodes->tls);
    free(nodes->slots);
    free(nodes->spare);
    log_limit_end(&nodes->states);
    log_limit_end(&nodes->unfit);
    free(nodes);
}
