/* A source of calls by hand behind source/guard, on a real loop, by the functions of source/source. */
#ifndef WORKERLESS_TESTS_GUARD_BENCH_H
#define WORKERLESS_TESTS_GUARD_BENCH_H

#include <stdio.h>
#include <ev.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "flight_bench.h"
#include "source/source.h"
#include "unit.h"

static struct hand_source hand;
static struct source_request latest; /* that the type was given */
static char latest_text[100];
static double type_timeout;

static struct source *guarded_create(const struct source_environment *environment,
                                     const struct source_settings *settings)
{
    (void)environment;
    hand = (struct hand_source){.source = {.type = settings->type, .settings = settings}};
    return &hand.source;
}

static struct source_call *guarded_start(struct source *source,
                                         const struct source_request *request, source_done_fn *done,
                                         void *caller)
{
    latest = *request;
    snprintf(latest_text, sizeof latest_text, "%.*s|%.*s|%.*s|%.*s|%.*s|%.*s|%.*s|%.*s|%.*s",
             SLICE_ARGS(request->name), SLICE_ARGS(request->rest),
             SLICE_ARGS(request->inputs.packed), SLICE_ARGS(request->etag),
             SLICE_ARGS(request->last_modified), SLICE_ARGS(request->request_id),
             SLICE_ARGS(request->traceparent), SLICE_ARGS(request->key),
             SLICE_ARGS(request->lease));
    return hand_start(source, request, done, caller);
}

static double guarded_timeout(const struct source_settings *settings)
{
    (void)settings;
    return type_timeout;
}

static void guarded_destroy(struct source *source)
{
    (void)source;
    assert_null(hand.calls);
}

static const struct source_type guarded_type = {.name = "by hand",
                                                .create = guarded_create,
                                                .start = guarded_start,
                                                .timeout = guarded_timeout,
                                                .cancel = hand_cancel,
                                                .destroy = guarded_destroy};

struct seen { /* the result of one call */
    struct source_call *call;
    unsigned count;
    enum source_status status;
    unsigned retry_after_s;
    char reason[200];
    struct seen *cancels, *starts; /* what is done inside of its `done` */
};

static struct source_settings settings;
static struct source *source;
static bool starting;

static int open_source(struct source_limits limits)
{
    settings = (struct source_settings){.type = &guarded_type, .name = "api", .limits = limits};
    source = source_create(&(struct source_environment){.loop = EV_DEFAULT}, &settings);
    assert_non_null(source);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    type_timeout = 0;
    return 0;
}

/* Handles what is due now, without waiting. */
static void turn(void)
{
    for (int i = 0; i < 10; i++)
        ev_run(EV_DEFAULT, EVRUN_NOWAIT);
}

static void close_source(void)
{
    do {
        while (hand.calls)
            hand_fail(&hand, hand.calls->name, SOURCE_FAILED);
        turn(); /* what was queued is started or refused */
    } while (hand.calls);
    source_destroy(source);
    ev_run(EV_DEFAULT, 0); /* ends, since nothing is left to wait for */
}

static void start(struct seen *seen, const char *name, unsigned lane);

static void on_done(void *caller, const struct source_result *result)
{
    struct seen *seen = caller;
    assert_false(starting);
    assert_non_null(seen->call);
    seen->call = NULL;
    seen->count++;
    seen->status = result->status;
    seen->retry_after_s = result->retry_after_s;
    snprintf(seen->reason, sizeof seen->reason, "%s", result->reason ? result->reason : "");
    if (seen->cancels && seen->cancels->call)
        source_cancel(seen->cancels->call);
    if (seen->starts)
        start(seen->starts, "inside", 0);
}

static void start(struct seen *seen, const char *name, unsigned lane)
{
    char copy[64];
    snprintf(copy, sizeof copy, "%s", name);
    starting = true;
    seen->call =
        source_start(source, &(struct source_request){.name = slice_of(copy), .lane = lane},
                     on_done, seen);
    starting = false;
    assert_non_null(seen->call);
    memset(copy, '?', sizeof copy);
}

#endif
