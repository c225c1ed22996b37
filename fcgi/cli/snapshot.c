/* From JSON to a struct. */
#include "cli/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "cli/json.h"

static double number(struct slice object, const char *name)
{
    return json_number(json_member(object, name));
}

#define TEXT(object, name, member) json_text(json_member(object, name), member, sizeof(member))

static void read_process(struct snapshot *snapshot, struct slice status)
{
    struct slice flights = json_member(status, "flights");
    struct slice states = json_member(flights, "states");
    struct slice parked = json_member(status, "parked"), memory = json_member(status, "memory");
    struct slice workers = json_member(status, "workers"), worker;
    TEXT(status, "version", snapshot->version);
    snapshot->pid = number(status, "pid");
    snapshot->uptime = number(status, "uptime_seconds");
    snapshot->draining = json_is_true(json_member(status, "draining"));
    snapshot->parked = number(parked, "now");
    snapshot->parked_limit = number(parked, "limit");
    snapshot->streams = number(status, "streams");
    snapshot->connections = number(status, "connections");
    snapshot->flights = number(flights, "now");
    snapshot->flights_limit = number(flights, "limit");
    snapshot->generating = number(states, "generating");
    snapshot->waiting = number(states, "waiting");
    snapshot->memory = number(memory, "bytes");
    snapshot->memory_limit = number(memory, "limit_bytes");
    snapshot->entries = number(memory, "entries");
    while (json_next(&workers, &worker))
        snapshot->workers++;
}

static void read_redis(struct snapshot *snapshot, struct slice redis)
{
    snapshot->has_redis = !json_is_null(redis);
    snapshot->redis_up = json_is_true(json_member(redis, "up"));
    TEXT(redis, "trouble", snapshot->redis_trouble);
    snapshot->redis_p50 = number(redis, "p50_seconds");
    snapshot->redis_p99 = number(redis, "p99_seconds");
}

static void read_sources(struct snapshot *snapshot, struct slice sources)
{
    for (struct slice one; json_next(&sources, &one); snapshot->all_sources++) {
        struct slice ended = json_member(one, "ended");
        if (snapshot->source_count == SNAPSHOT_SOURCES)
            continue;
        struct snapshot_source *source = &snapshot->sources[snapshot->source_count++];
        TEXT(one, "name", source->name);
        TEXT(one, "breaker", source->breaker);
        source->pause = number(one, "pause_seconds");
        source->running = number(one, "running");
        source->queued = number(one, "queued");
        source->started = number(one, "started");
        source->failed = number(ended, "failed");
        source->timed_out = number(ended, "timed_out");
        source->busy = number(ended, "busy");
        source->p50 = number(one, "p50_seconds");
        source->p99 = number(one, "p99_seconds");
    }
}

static void read_routes(struct snapshot *snapshot, struct slice routes)
{
    static const char *const outcomes[] = {"hit",       "stale",     "collapsed", "miss",
                                           "not_ready", "not_found", "failed",    "timed_out",
                                           "busy",      "refused",   "shutdown",  "left"};
    static const char *const failures[] = {"failed", "timed_out", "busy", "refused"};
    for (struct slice one; json_next(&routes, &one); snapshot->all_routes++) {
        if (snapshot->route_count == SNAPSHOT_ROUTES)
            continue;
        struct snapshot_route *route = &snapshot->routes[snapshot->route_count++];
        TEXT(one, "pattern", route->pattern);
        for (size_t i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++)
            route->all += number(one, outcomes[i]);
        for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++)
            route->failed += number(one, failures[i]);
        route->hits = number(one, "hit");
        route->stale = number(one, "stale");
        route->misses = number(one, "miss") + number(one, "collapsed");
        route->not_ready = number(one, "not_ready");
    }
}

static int by_age(const void *a, const void *b)
{
    double first = ((const struct snapshot_flight *)a)->age;
    double second = ((const struct snapshot_flight *)b)->age;
    return (first < second) - (first > second);
}

/* Keeps the oldest. */
static void read_flights(struct snapshot *snapshot, struct slice flights)
{
    for (struct slice one; json_next(&flights, &one);) {
        struct snapshot_flight *flight = &snapshot->list[snapshot->list_count];
        double age = number(one, "age_seconds");
        if (snapshot->list_count < SNAPSHOT_FLIGHTS) {
            snapshot->list_count++;
        } else {
            flight = snapshot->list;
            for (size_t i = 1; i < SNAPSHOT_FLIGHTS; i++)
                if (snapshot->list[i].age < flight->age)
                    flight = &snapshot->list[i];
            if (flight->age >= age)
                continue;
        }
        TEXT(one, "key", flight->key);
        TEXT(one, "source", flight->source);
        TEXT(one, "state", flight->state);
        flight->age = age;
        flight->waiters = number(one, "waiters");
    }
    qsort(snapshot->list, snapshot->list_count, sizeof snapshot->list[0], by_age);
}

static void read_refusals(struct snapshot *snapshot, struct slice refused)
{
    struct slice name, value;
    while (snapshot->refusal_count < SNAPSHOT_REFUSALS &&
           json_next_member(&refused, &name, &value)) {
        struct snapshot_refusal *refusal = &snapshot->refusals[snapshot->refusal_count++];
        json_text(name, refusal->limit, sizeof refusal->limit);
        refusal->count = json_number(value);
    }
}

bool snapshot_read(struct snapshot *snapshot, struct slice text)
{
    *snapshot = (struct snapshot){0};
    if (!json_valid(text) || !json_member(text, "uptime_seconds").data)
        return false;
    read_process(snapshot, text);
    read_redis(snapshot, json_member(text, "redis"));
    read_sources(snapshot, json_member(text, "sources"));
    read_routes(snapshot, json_member(text, "fragments"));
    read_flights(snapshot, json_member(text, "in_progress"));
    read_refusals(snapshot, json_member(text, "refused"));
    return true;
}

const struct snapshot_source *snapshot_source(const struct snapshot *snapshot, const char *name)
{
    for (size_t i = 0; i < snapshot->source_count; i++)
        if (strcmp(snapshot->sources[i].name, name) == 0)
            return &snapshot->sources[i];
    return NULL;
}

const struct snapshot_route *snapshot_route(const struct snapshot *snapshot, const char *pattern)
{
    for (size_t i = 0; i < snapshot->route_count; i++)
        if (strcmp(snapshot->routes[i].pattern, pattern) == 0)
            return &snapshot->routes[i];
    return NULL;
}
