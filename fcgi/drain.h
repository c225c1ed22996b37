/* The end of the process: signals make it drain, fast or slowly.
 *
 *                         slow signal          drain_timeout         shutdown_timeout
 *     DRAIN_NOT_BEGUN ----------------> SLOW -----------------> FAST -----------------> CUT --> over
 *            |                            |                    ^  |                      ^
 *            |                            '---- fast signal ---'  '----- fast signal ----'
 *            '----------------- fast signal -------------------'
 *
 * It is over as soon as nothing is left, in any state but the first; in CUT, after a moment or at
 * the next fast signal.
 *
 *     signals                   fast: SIGTERM, SIGINT; slow: SIGQUIT, SIGUSR1 (of FastCGI)
 *     any drain begins          new connections are left to other processes; connections without
 *                               requests are closed; /workerless/ready says 503
 *     SLOW                      requests are answered as before
 *     FAST                      parked requests get 202, streams end: clients ask another process;
 *                               calls to sources continue
 *     CUT                       calls are cancelled, and leases released
 */
#ifndef WORKERLESS_DRAIN_H
#define WORKERLESS_DRAIN_H

#include <ev.h>

struct cache;
struct connections;
struct flights;
struct listeners;
struct service;

enum drain_state { DRAIN_NOT_BEGUN, DRAIN_SLOW, DRAIN_FAST, DRAIN_CUT };

#define DRAIN_SIGNALS 4

/* The first members are set by the caller before the loop runs. All but the listeners are
 * borrowed. */
struct drain {
    double shutdown_timeout, drain_timeout; /* seconds */
    struct listeners *listeners;            /* taken; NULL once a drain has begun */
    struct service *service;
    struct connections *connections;
    struct flights *flights;
    struct cache *cache;

    enum drain_state state; /* from here on, only for drain.c */
    struct ev_loop *loop;
    double until; /* end of the state, by clock_monotonic() */
    ev_timer look;
    ev_signal signals[DRAIN_SIGNALS];
};

/* From now on the signals are watched for. They are acted on when the loop runs, which a drain
 * ends. */
void drain_watch(struct drain *drain, struct ev_loop *loop);

/* From now on they are ignored. */
void drain_unwatch(struct drain *drain);

#endif
