/* Flights on a cache without Redis. */
#ifndef WORKERLESS_TESTS_FLIGHT_MEMORY_H
#define WORKERLESS_TESTS_FLIGHT_MEMORY_H

#include "park/flights.h"

#include "base/alloc.h"
#include "base/log.h"
#include "flight_bench.h"

static const struct flight_limits wide = {.max_parked = 100000, .max_flights = 100000};
static const struct cache_settings in_memory = {.redis = {.address = ""},
                                                .memory_bytes = (size_t)1 << 20};

static struct cache *cache;
static struct flight_bench *bench;

static inline void begin(struct flight_limits limits)
{
    struct ev_loop *loop = ev_loop_new(0);
    assert_non_null(loop);
    cache = cache_new(loop, &in_memory);
    assert_non_null(cache);
    bench = bench_new(limits, loop, cache);
}

static inline void cache_gone(void)
{
    cache_free(cache);
}

static inline void end(void)
{
    struct ev_loop *loop = bench->loop;
    bench_free(bench, cache_gone);
    ev_loop_destroy(loop);
}

static inline int setup(void **state)
{
    (void)state;
    begin(wide);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    end();
    return 0;
}

static inline void check_counts(size_t flights, size_t parked)
{
    assert_int_equal(flights_under_way(bench->flights), flights);
    assert_int_equal(flights_parked(bench->flights), parked);
}

static inline void check_entry(uint32_t number, const char *body, bool hit, bool collapsed,
                               bool stored)
{
    const struct note *note = &bench->notes[number];
    assert_row(number, note->settled == 1);
    assert_row(number, note->how.kind == SETTLED_ENTRY);
    assert_slice(number, slice_of(note->body), slice_of(body));
    assert_row(number, note->how.hit == hit);
    assert_row(number, note->how.collapsed == collapsed);
    assert_row(number, note->how.stored == stored);
}

/* Joins; the answer of the cache is still pending. */
static inline void join_only(unsigned recipe, const char *name)
{
    assert_int_equal(bench_join(bench, recipe, name), JOIN_OK);
}

/* Joins, and the cache answers. */
static inline void join(unsigned recipe, const char *name)
{
    join_only(recipe, name);
    bench_turn(bench);
}

#endif
