/* Draining: stops accepting, and looks at intervals whether anything is left. */
#include "drain.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/signals.h"
#include "cache/cache.h"
#include "park/flights.h"
#include "web/service.h"
#include "wire/connection.h"
#include "wire/listener.h"

#define LOOK_S 0.02
#define CUT_S  0.3 /* for the last responses to be read, and for Redis to get what releases leases */

static const struct {
    int number;
    enum drain_state leads_to;
} signals[DRAIN_SIGNALS] = {{SIGTERM, DRAIN_FAST},
                            {SIGINT, DRAIN_FAST},
                            {SIGQUIT, DRAIN_SLOW},
                            {SIGUSR1, DRAIN_SLOW}};

static void on_look(struct ev_loop *loop, ev_timer *timer, int events);

/* What every drain begins with. */
static void begin(struct drain *drain)
{
    listeners_finish(drain->listeners);
    listeners_close(drain->listeners);
    drain->listeners = NULL;
    service_drain(drain->service);
    connections_drain(drain->connections);
    ev_timer_init(&drain->look, on_look, 0., LOOK_S);
    drain->look.data = drain;
    ev_timer_start(drain->loop, &drain->look);
}

/* The only place that sets the state, which only moves forward. `why` begins a log message. */
static void set_state(struct drain *drain, enum drain_state state, const char *why)
{
    size_t parked = flights_parked(drain->flights), flights = flights_under_way(drain->flights);
    size_t connections = connections_count(drain->connections);
    bool first = drain->state == DRAIN_NOT_BEGUN;
    double now = clock_monotonic();
    char status[120];
    check(state > drain->state);
    drain->state = state;
    switch (state) {
    case DRAIN_SLOW:
        snprintf(status, sizeof status, "finishing %zu requests and %zu fragments", parked,
                 flights);
        drain->until = now + drain->drain_timeout;
        break;
    case DRAIN_FAST:
        snprintf(status, sizeof status,
                 "sending %zu waiting requests to other processes, finishing %zu fragments", parked,
                 flights);
        drain->until = now + drain->shutdown_timeout;
        break;
    default:
        snprintf(status, sizeof status, "aborting %zu connections and %zu unfinished fragments",
                 connections, flights);
        drain->until = now + CUT_S;
    }
    log_message(state == DRAIN_CUT ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "main", "%s: %s", why,
                status);
    notify_stopping(status);
    if (first)
        begin(drain);
    if (state == DRAIN_FAST)
        flights_drain(drain->flights);
    if (state == DRAIN_CUT)
        flights_cancel_all(drain->flights);
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct drain *drain = timer->data;
    (void)events;
    flights_leave_to_others(drain->flights);
    if (connections_count(drain->connections) == 0 && flights_under_way(drain->flights) == 0 &&
        !cache_busy(drain->cache))
        ev_break(loop, EVBREAK_ALL);
    else if (clock_monotonic() < drain->until)
        return;
    else if (drain->state == DRAIN_SLOW)
        set_state(drain, DRAIN_FAST, "drain_timeout is over");
    else if (drain->state == DRAIN_FAST)
        set_state(drain, DRAIN_CUT, "shutdown_timeout is over");
    else
        ev_break(loop, EVBREAK_ALL);
}

static void on_signal(struct ev_loop *loop, ev_signal *signal, int events)
{
    struct drain *drain = signal->data;
    enum drain_state wanted = signals[signal - drain->signals].leads_to;
    char why[20];
    (void)events;
    snprintf(why, sizeof why, "SIG%s", sigabbrev_np(signal->signum));
    if (wanted > drain->state)
        set_state(drain, wanted, why);
    else if (wanted == DRAIN_SLOW)
        log_info("main", "%s: it drains already", why);
    else if (drain->state == DRAIN_FAST)
        set_state(drain, DRAIN_CUT, why);
    else
        ev_break(loop, EVBREAK_ALL);
}

void drain_watch(struct drain *drain, struct ev_loop *loop)
{
    drain->loop = loop;
    for (size_t i = 0; i < DRAIN_SIGNALS; i++) {
        ev_signal_init(&drain->signals[i], on_signal, signals[i].number);
        drain->signals[i].data = drain;
        ev_signal_start(loop, &drain->signals[i]);
    }
}

void drain_unwatch(struct drain *drain)
{
    ev_timer_stop(drain->loop, &drain->look);
    for (size_t i = 0; i < DRAIN_SIGNALS; i++) {
        ev_signal_stop(drain->loop, &drain->signals[i]);
        signals_ignore(signals[i].number);
    }
}
