/* Sums over all processes that serve, for reports: of what they count (base/figures.h), and of the
 * current numbers that each of them publishes. Without workers they are those of this process. */
#ifndef WORKERLESS_WEB_TOTALS_H
#define WORKERLESS_WEB_TOTALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/budget.h"
#include "base/counters.h"
#include "base/histogram.h"
#include "park/tally.h"
#include "source/tally.h"

struct service;

#define TOTALS_STATES   16 /* at least as many as there are states of flights */
#define TOTALS_BREAKERS 3

/* The current numbers of a process, or their sums. */
struct totals_now {
    uint64_t processes; /* that have published them; 0: the process has ended */
    uint64_t redis_up;
    uint64_t flights, by_state[TOTALS_STATES], flights_limit, parked_limit;
    uint64_t budgets[BUDGETS], budget_limits[BUDGETS];
    uint64_t memory_entries, memory_bytes, memory_limit;
};

/* The same for a source. */
struct totals_source_now {
    uint64_t running, queued;
    uint64_t breakers[TOTALS_BREAKERS]; /* processes whose breaker is in that state */
    double pause_s;                     /* the longest */
    struct source_backlog backlog;      /* no sum, but the latest that any of them knows */
};

struct totals {
    uint64_t counters[COUNTERS];
    struct totals_now now;
    struct histogram redis; /* durations of commands */
    struct histogram loop;  /* durations of turns */
    double loop_longest;    /* of them, in seconds, in any process: see base/lag.h */
    unsigned workers;       /* 0: there are none, but one process */
    double since;           /* when the first process began, by clock_monotonic() */
};

struct totals_source {
    struct source_tally tally;
    struct totals_source_now now;
    const char *breaker; /* the state that keeps most calls back, in any process */
};

/* One worker, for comparison with others. */
struct totals_worker {
    uint64_t connections, parked, answers, starts;
};

/* Publishes the current numbers of this process. The others see them until it does so again. */
void totals_publish(const struct service *service);

/* Publishes first. */
void totals_look(const struct service *service, struct totals *totals);

struct route_tally totals_of_route(const char *pattern);
struct totals_source totals_of_source(const struct source_view *source);
struct totals_worker totals_of_worker(unsigned worker);

#endif
