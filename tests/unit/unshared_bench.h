/* Tests with results that their source forbids to share: calls by number, markers, and checks. */
#ifndef WORKERLESS_TESTS_UNSHARED_BENCH_H
#define WORKERLESS_TESTS_UNSHARED_BENCH_H

#include "park/flights.h"

#include "fake_cache.h"

#define OUR_LEFT_MS 60000 /* of a marker of the tests; not about to end */

/* The call that was started as the number-th, from 0, of those under way. */
static inline struct hand_call *call_at(size_t number)
{
    size_t count = 0;
    struct hand_call *call;
    for (call = bench->hand.calls; call; call = call->next)
        count++;
    assert_true(number < count);
    call = bench->hand.calls;
    for (size_t i = count - 1; i > number; i--)
        call = call->next;
    return call;
}

static inline void give(size_t number, const char *html)
{
    hand_complete(&bench->hand, call_at(number),
                  &(struct source_result){.status = SOURCE_OK,
                                          .type = SLICE("text/html"),
                                          .body = slice_of(html)});
}

static inline void give_unshared(size_t number, const char *html)
{
    hand_give_unshared(&bench->hand, call_at(number), html);
}

static inline size_t calls(void)
{
    size_t count = 0;
    for (struct hand_call *call = bench->hand.calls; call; call = call->next)
        count++;
    return count;
}

/* With so much of its life left. */
static inline struct entry *marker_left(int64_t left_ms)
{
    struct entry *marker =
        entry_of_uncacheable(SLICE(WHY), clock_fleet_ms() + left_ms - UNCACHEABLE_S * 1000,
                             UNCACHEABLE_S * 1000);
    assert_non_null(marker);
    return marker;
}

static inline void answer_marker(enum question_kind kind, const char *key)
{
    struct entry *marker = marker_left(OUR_LEFT_MS);
    answer(kind, key, (struct cache_answer){.outcome = CACHE_FOUND, .entry = marker});
    entry_unref(marker);
}

/* It was settled with a result for it only. */
static inline void check_unshared(uint32_t number, const char *body)
{
    check_settled(number, SETTLED_ENTRY, body);
    const struct settlement *how = &bench->notes[number].how;
    assert_row(number, how->uncacheable);
    assert_row(number, !how->hit && !how->stored && !how->collapsed && !how->stale);
}

static inline void check_marker_stored(void)
{
    assert_int_equal(cache.stored.status, ENTRY_UNCACHEABLE);
    assert_string_equal(cache.stored.body, WHY);
    assert_true(cache.stored.fresh_until_ms == cache.stored.made_ms + UNCACHEABLE_S * 1000);
    assert_true(cache.stored.until_ms == cache.stored.fresh_until_ms);
}

#endif
