/* The daemon: wiring of all rooms, and signals (drain.c has those that end it).
 *
 *     listeners --fd--> connections --request--> service --> flights --> cache, sources
 *                            ^------------- settled ------------'
 *
 * One turn of the loop, from top to bottom. "highest" and "lowest" are priorities of libev. No
 * other watcher has one; a test checks that.
 *
 *     before the loop sleeps
 *         highest  later        deferred callbacks are called
 *         normal   flights      landed flights settle their waiters
 *         lowest   connection   marked connections write, doomed ones are freed
 *         lowest   conn         to a Redis: the commands of this turn are sent
 *     the loop sleeps until something happens
 *         highest  conn         of the tracker: changes of keys, before requests for them are read
 *         normal                timers, sockets, signals: their callbacks start calls, record
 *                               events, and mark what has to run; connections are read in batches
 *         lowest   connection   the last batch is handled
 *         lowest   sentinel     its timer: an answer that came in this turn is still in time
 *
 * So a request for an entry in memory is answered in the turn in which it is read, and a response
 * that an event has settled is written before the loop sleeps again.
 */
#include "server.h"

#include "config.h"

#include <ev.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/budget.h"
#include "base/clock.h"
#include "base/lag.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/signals.h"
#include "cache/cache.h"
#include "conf/conf.h"
#include "drain.h"
#include "park/flights.h"
#include "park/rules.h"
#include "sandbox.h"
#include "source/source.h"
#include "web/publisher.h"
#include "web/service.h"
#include "wire/connection.h"
#include "wire/listener.h"
#include "wire/sockets.h"

#define RESERVED_FDS       32 /* descriptors for the loop, the log, Redis, listeners */
#define FEWEST_CONNECTIONS 16
#define LARGE_BLOCK        (128 << 10) /* bytes */

struct server {
    struct ev_loop *loop;
    const struct conf *conf;
    struct connection_limits limits; /* those of the config, with the final max_connections */
    struct source **sources;
    struct recipe **recipes;
    struct rules *rules;
    struct cache *cache;
    struct flights *flights;
    struct service *service;
    struct connections *connections;
    struct drain drain; /* has the listeners */
    ev_signal hangup, reopen;
    const struct worker *worker; /* NULL: no supervisor */
    ev_timer life;
    struct publisher publisher; /* only in a worker */
};

/* --- signals --- */

/* SIGHUP is sent to reload, or when a terminal is closed. */
static void on_hangup(struct ev_loop *loop, ev_signal *signal, int events)
{
    (void)loop, (void)signal, (void)events;
    log_info("main", "ignoring SIGHUP: restart to apply config changes");
}

/* The log file has been moved aside. */
static void on_reopen(struct ev_loop *loop, ev_signal *signal, int events)
{
    (void)loop, (void)signal, (void)events;
    log_reopen();
}

static void watch_signals(struct server *server)
{
    drain_watch(&server->drain, server->loop);
    ev_signal_init(&server->hangup, on_hangup, SIGHUP);
    ev_signal_start(server->loop, &server->hangup);
    ev_signal_init(&server->reopen, on_reopen, SIGUSR2);
    ev_signal_start(server->loop, &server->reopen);
    signals_release();
}

/* A signal that comes while the process ends has no loop to handle it. */
static void unwatch_signals(struct server *server)
{
    drain_unwatch(&server->drain);
    ev_signal_stop(server->loop, &server->hangup);
    signals_ignore(SIGHUP);
    ev_signal_stop(server->loop, &server->reopen);
    signals_ignore(SIGUSR2);
}

/* --- building up --- */

static void on_accepting(void *context, bool accepting)
{
    struct server *server = context;
    if (!server->drain.listeners)
        return;
    if (accepting)
        listeners_start(server->drain.listeners);
    else
        listeners_pause(server->drain.listeners);
}

/* Raises the descriptor limit as far as allowed, and derives max_connections from it. */
static void fit_connections(const struct conf *conf, struct connection_limits *limits)
{
    struct rlimit limit;
    size_t needed = RESERVED_FDS;
    for (size_t i = 0; i < conf->source_count; i++)
        needed += source_descriptors(conf->sources[i]);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);

    size_t left = limit.rlim_cur > needed ? (size_t)limit.rlim_cur - needed : 0;
    *limits = conf->connections;
    if (limits->max_connections == 0)
        limits->max_connections = left > FEWEST_CONNECTIONS ? left : FEWEST_CONNECTIONS;
    else if (limits->max_connections > left)
        log_warning("main",
                    "max_connections = %zu is more than the descriptor limit allows (%zu of %zu "
                    "are left for connections); raise it with ulimit -n or LimitNOFILE=",
                    limits->max_connections, left, (size_t)limit.rlim_cur);
}

static bool server_build(struct server *server)
{
    const struct conf *conf = server->conf;
    struct ev_loop *loop = server->loop;
    server->sources = alloc_zeroed((conf->source_count + 1) * sizeof(struct source *));
    server->recipes = alloc_zeroed((conf->route_count + 1) * sizeof(struct recipe *));
    if (!server->sources || !server->recipes)
        return false;
    for (size_t i = 0; i < conf->source_count; i++)
        if (!(server->sources[i] = source_create(loop, conf->sources[i])))
            return false;
    for (size_t i = 0; i < conf->route_count; i++)
        server->recipes[i] = &conf->routes[i].recipe;

    srand48((long)(clock_fleet_ms() ^ getpid())); /* processes must not retry in step */
    if (!(server->cache = cache_new(loop, &conf->cache)) ||
        !(server->flights = flights_new(loop, &conf->flights, server->cache)) ||
        !(server->rules = flights_rules(server->flights, server->sources, server->recipes,
                                        conf->route_count)) ||
        !(server->service = service_new(conf->routes, conf->route_count, &conf->purge,
                                        &conf->status, conf->max_stream, server->flights)) ||
        !(server->connections = connections_new(loop, &server->limits, server->service)))
        return false;
    flights_use(server->flights, server->rules);
    server->drain.service = server->service;
    server->drain.connections = server->connections;
    server->drain.flights = server->flights;
    server->drain.cache = server->cache;
    flights_on_settled(server->flights, connections_settled, server->connections);
    connections_on_accepting(server->connections, on_accepting, server);
    return true;
}

/* Connections first, since their requests leave the flights. The cache before the flights, since it
 * still answers them. */
static void server_free(struct server *server)
{
    listeners_close(server->drain.listeners);
    connections_free(server->connections);
    service_free(server->service);
    if (server->flights)
        flights_cancel_all(server->flights);
    cache_free(server->cache);
    flights_free(server->flights);
    rules_free(server->rules);
    for (size_t i = 0; server->sources && i < server->conf->source_count; i++)
        source_destroy(server->sources[i]);
    free(server->sources);
    free(server->recipes);
    if (server->loop) {
        unwatch_signals(server);
        sandbox_leave_loop();
        notify_close();
        ev_loop_destroy(server->loop);
    }
}

/* After a large block was freed, glibc allocates blocks of that size on the heap, and their holes
 * stay there. With this limit, each large block has a mapping of its own, which is returned to the
 * system when it is freed. */
static void keep_large_blocks_apart(void)
{
#ifdef M_MMAP_THRESHOLD
    mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK);
#endif
}

/* --- whom to tell that it serves --- */

static void on_life(struct ev_loop *loop, ev_timer *timer, int events)
{
    const struct worker *worker = ((struct server *)timer->data)->worker;
    (void)loop, (void)events;
    if (write(worker->life, &worker->number, 1) < 0)
        log_debug("main", "the supervisor does not listen");
}

static void tell_supervisor(struct server *server)
{
    double interval = server->worker->interval;
    ev_timer_init(&server->life, on_life, interval, interval);
    server->life.data = server;
    publisher_start(&server->publisher, server->loop, server->service);
    on_life(server->loop, &server->life, 0);
    if (interval > 0)
        ev_timer_start(server->loop, &server->life);
}

static void tell_manager(const struct conf *conf, struct ev_loop *loop)
{
    char status[80];
    snprintf(status, sizeof status, "serving, fragments: %zu, sources: %zu", conf->route_count,
             conf->source_count);
    notify_open();
    notify_ready(status);
    notify_watch(loop);
}

int server_run(const struct conf *conf, struct sockets *sockets, const struct worker *worker)
{
    struct server server = {.conf = conf,
                            .loop = ev_loop_new(EVFLAG_AUTO),
                            .drain = {.shutdown_timeout = conf->shutdown_timeout,
                                      .drain_timeout = conf->drain_timeout},
                            .worker = worker};
    int status = EXIT_FAILURE;
    keep_large_blocks_apart();
    budgets[BUDGET_UNFINISHED].limit = conf->max_unfinished;
    budgets[BUDGET_UNSENT].limit = conf->max_unsent;
    budgets[BUDGET_INPUTS].limit = conf->max_inputs;
    fit_connections(conf, &server.limits);
    if (server.loop)
        watch_signals(&server);
    bool inside = server.loop && sandbox_enter(conf, server.loop);
    if (inside && server_build(&server))
        server.drain.listeners =
            listeners_new(server.loop, sockets, connections_accept, server.connections);
    else
        sockets_close(sockets);
    if (server.loop && !inside) {
        log_error("main", "not serving outside of the sandbox");
    } else if (!server.drain.listeners) {
        log_error("main", "out of memory");
    } else {
        listeners_start(server.drain.listeners);
        log_info("main", "workerless %s, fragments: %zu, sources: %zu", PACKAGE_VERSION,
                 conf->route_count, conf->source_count);
        log_attach(server.loop);
        lag_watch(server.loop);
        if (worker)
            tell_supervisor(&server);
        else
            tell_manager(conf, server.loop);
        ev_run(server.loop, 0);
        publisher_stop(&server.publisher, server.loop);
        log_detach();
        log_info("main", "stopped");
        status = EXIT_SUCCESS;
    }
    server_free(&server);
    return status;
}
