/* Adds up the parts of all processes. */
#include "web/totals.h"

#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/figures.h"
#include "base/lag.h"
#include "cache/cache.h"
#include "park/flights.h"
#include "web/endpoint.h"

/* Adds arrays of uint64_t. */
static void add(uint64_t *sums, const uint64_t *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sums[i] += values[i];
}

static void add_histogram(struct histogram *sum, const struct histogram *histogram)
{
    add(sum->counts, histogram->counts, HISTOGRAM_BOUNDS + 1);
    sum->sum += histogram->sum;
}

/* --- what this process publishes --- */

static size_t breaker_number(const char *name)
{
    size_t number = 0;
    while (number < TOTALS_BREAKERS - 1 && strcmp(source_breaker_names[number], name) != 0)
        number++;
    return number;
}

static void publish_sources(const struct flights_view *flights)
{
    for (size_t i = 0; i < flights->source_count; i++) {
        struct source_view view = source_look(flights->sources[i]);
        struct totals_source_now *now = figures_row(FIGURES_SOURCE_NOW, view.name, sizeof *now);
        if (!now)
            continue;
        *now = (struct totals_source_now){.running = view.running, .queued = view.queued};
        now->breakers[breaker_number(view.breaker)] = 1;
        now->pause_s = view.pause_s;
        if (view.backlog)
            now->backlog = *view.backlog;
    }
}

void totals_publish(const struct service *service)
{
    struct flights_view flights = flights_look(service->flights);
    struct cache_memory memory = cache_memory(flights.cache);
    struct totals_now *now = figures_row(FIGURES_NOW, "", sizeof *now);
    publish_sources(&flights);
    if (!now)
        return;
    check(flights.state_count <= TOTALS_STATES);
    now->processes = 1;
    now->redis_up = !cache_trouble(flights.cache);
    now->flights = flights_under_way(service->flights);
    for (size_t i = 0; i < flights.state_count; i++)
        now->by_state[i] = flights.by_state[i];
    now->flights_limit = flights.limits->max_flights;
    now->parked_limit = flights.limits->max_parked;
    for (size_t i = 0; i < BUDGETS; i++) {
        now->budgets[i] = budgets[i].used;
        now->budget_limits[i] = budgets[i].limit;
    }
    now->memory_entries = memory.entries;
    now->memory_bytes = memory.bytes;
    now->memory_limit = memory.limit_bytes;
}

/* --- sums --- */

void totals_look(const struct service *service, struct totals *totals)
{
    *totals = (struct totals){.workers = figures_workers(),
                              .since = figures_are_shared() ? figures_since() : service->started};
    double now_s = clock_monotonic();
    totals_publish(service);
    for (unsigned part = 0; part < figures_parts(); part++) {
        const uint64_t *counters = counters_of(part);
        const struct totals_now *now = figures_of(part, FIGURES_NOW, "");
        const struct histogram *redis = figures_of(part, FIGURES_REDIS, "");
        const struct histogram *loop = figures_of(part, FIGURES_LOOP, "");
        const struct lag *lag = figures_of(part, FIGURES_LOOP_NOW, "");
        if (counters)
            add(totals->counters, counters, COUNTERS);
        if (now)
            add((uint64_t *)&totals->now, (const uint64_t *)now, sizeof *now / sizeof(uint64_t));
        if (redis)
            add_histogram(&totals->redis, redis);
        if (loop)
            add_histogram(&totals->loop, loop);
        if (lag && lag_longest(lag, now_s) > totals->loop_longest)
            totals->loop_longest = lag_longest(lag, now_s);
    }
}

struct route_tally totals_of_route(const char *pattern)
{
    struct route_tally sum = {0};
    for (unsigned part = 0; part < figures_parts(); part++) {
        const struct route_tally *tally = figures_of(part, FIGURES_ROUTE, pattern);
        if (tally)
            add(sum.counts, tally->counts, ROUTE_OUTCOMES);
    }
    return sum;
}

static void add_tally(struct source_tally *sum, const struct source_tally *tally)
{
    sum->started += tally->started;
    add(sum->ended, tally->ended, SOURCE_STATUSES);
    add_histogram(&sum->duration, &tally->duration);
    add_histogram(&sum->queued, &tally->queued);
}

static void add_now(struct totals_source_now *sum, const struct totals_source_now *now)
{
    sum->running += now->running;
    sum->queued += now->queued;
    add(sum->breakers, now->breakers, TOTALS_BREAKERS);
    if (now->pause_s > sum->pause_s)
        sum->pause_s = now->pause_s;
    if (now->backlog.known &&
        (!sum->backlog.known || now->backlog.as_of_ms > sum->backlog.as_of_ms))
        sum->backlog = now->backlog;
}

/* "open", if one is open; else "trying", if one is; else "closed". */
static const char *worst_breaker(const struct totals_source_now *now)
{
    static const char *const order[] = {"open", "trying"};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        if (now->breakers[breaker_number(order[i])] > 0)
            return order[i];
    return "closed";
}

struct totals_source totals_of_source(const struct source_view *source)
{
    struct totals_source sum = {0};
    if (!figures_are_shared())
        sum.tally = *source->tally;
    for (unsigned part = 0; part < figures_parts(); part++) {
        const struct source_tally *tally = figures_of(part, FIGURES_SOURCE, source->name);
        const struct totals_source_now *now = figures_of(part, FIGURES_SOURCE_NOW, source->name);
        if (tally)
            add_tally(&sum.tally, tally);
        if (now)
            add_now(&sum.now, now);
    }
    sum.breaker = worst_breaker(&sum.now);
    return sum;
}

struct totals_worker totals_of_worker(unsigned worker)
{
    const uint64_t *counters = counters_of(worker);
    struct totals_worker one = {.starts = figures_joined(worker)};
    if (!counters)
        return one;
    one.connections = counters[COUNTER_CONNECTIONS];
    one.parked = counters[COUNTER_PARKED];
    one.answers = counters[COUNTER_ANSWERS_2XX] + counters[COUNTER_ANSWERS_3XX] +
                  counters[COUNTER_ANSWERS_4XX] + counters[COUNTER_ANSWERS_5XX];
    return one;
}
