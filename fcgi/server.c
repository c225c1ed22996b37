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
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lag.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/signals.h"
#include "cache/cache.h"
#include "conf/conf.h"
#include "drain.h"
#include "generation.h"
#include "logs.h"
#include "park/flights.h"
#include "reload.h"
#include "render/json.h"
#include "sandbox.h"
#include "web/publisher.h"
#include "web/service.h"
#include "wire/connection.h"
#include "wire/listener.h"
#include "wire/sockets.h"

#define LARGE_BLOCK (128 << 10) /* bytes */

struct server {
    struct ev_loop *loop;
    struct connection_limits limits; /* those of the config, with the final max_connections */
    struct cache_settings cache_settings;
    struct generations generations;
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

static void on_hangup(struct ev_loop *loop, ev_signal *signal, int events)
{
    struct server *server = signal->data;
    (void)loop, (void)events;
    reload_run(&(struct reload){.generations = &server->generations,
                                .limits = &server->limits,
                                .cache_settings = &server->cache_settings,
                                .cache = server->cache,
                                .flights = server->flights,
                                .service = server->service,
                                .connections = server->connections,
                                .drain = &server->drain,
                                .told = server->worker ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO});
}

/* The log files have been moved aside. */
static void on_reopen(struct ev_loop *loop, ev_signal *signal, int events)
{
    (void)loop, (void)signal, (void)events;
    logs_reopen();
}

static void watch_signals(struct server *server)
{
    drain_watch(&server->drain, server->loop);
    ev_signal_init(&server->hangup, on_hangup, SIGHUP);
    server->hangup.data = server;
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

/* Takes the config. */
static bool server_build(struct server *server, struct conf *conf)
{
    struct ev_loop *loop = server->loop;
    struct site site = conf_site(conf);
    struct generation *first;
    server->cache_settings = conf->cache;
    srand48((long)(clock_fleet_ms() ^ getpid())); /* processes must not retry in step */
    if (!(server->cache = cache_new(loop, &server->cache_settings)) ||
        !(server->flights = flights_new(loop, &conf->flights, server->cache))) {
        conf_free(conf);
        return false;
    }
    generations_init(&server->generations,
                     &(struct source_environment){.loop = loop,
                                                  .redis = cache_redis(server->cache),
                                                  .value_start = cache_value_start(server->cache)},
                     server->flights);
    if (!(first = generation_new(&server->generations, conf)))
        return false;
    generation_begin(first);
    if (!(server->service = service_new(&site, server->flights)) ||
        !(server->connections = connections_new(loop, &server->limits, server->service)))
        return false;
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
    generations_end(&server->generations);
    unwatch_signals(server);
    logs_end();
    sandbox_leave_loop();
    notify_close();
    ev_loop_destroy(server->loop);
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
    notify_open();
    reload_announce(conf);
    notify_watch(loop);
}

/* Runs until a drain is over. A reload may free the config. */
static void serve(struct server *server, const struct conf *conf)
{
    listeners_start(server->drain.listeners);
    log_info("main", "workerless %s, fragments: %zu, sources: %zu", PACKAGE_VERSION,
             conf->route_count, conf->source_count);
    log_attach(server->loop);
    lag_watch(server->loop);
    if (server->worker)
        tell_supervisor(server);
    else
        tell_manager(conf, server->loop);
    ev_run(server->loop, 0);
    publisher_stop(&server->publisher, server->loop);
    log_detach();
    log_info("main", "stopped");
}

int server_run(struct conf *conf, struct sockets *sockets, const struct worker *worker)
{
    struct server server = {.loop = ev_loop_new(EVFLAG_AUTO), .worker = worker};
    int status = EXIT_FAILURE;
    keep_large_blocks_apart();
    render_json_start();
    reload_set_limits(conf, &server.limits, &server.drain);
    if (!server.loop) {
        log_error("main", "out of memory");
        sockets_close(sockets);
        conf_free(conf);
        return status;
    }
    watch_signals(&server);
    if (!sandbox_enter(conf, server.loop)) {
        log_error("main", "not serving outside of the sandbox");
        sockets_close(sockets);
        conf_free(conf);
        server_free(&server);
        return status;
    }
    if (server_build(&server, conf))
        server.drain.listeners =
            listeners_new(server.loop, sockets, connections_accept, server.connections);
    else
        sockets_close(sockets);
    if (!server.drain.listeners) {
        log_error("main", "can't serve: out of memory, or a source can't be created; see above");
    } else if (logs_configure(server.loop, conf)) {
        serve(&server, conf);
        status = EXIT_SUCCESS;
    }
    server_free(&server);
    return status;
}
