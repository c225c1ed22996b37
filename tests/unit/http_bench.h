/* An http source on a real loop, its server in another thread, and calls. */
#ifndef WORKERLESS_TESTS_UNIT_HTTP_BENCH_H
#define WORKERLESS_TESTS_UNIT_HTTP_BENCH_H

#include <stdio.h>

#include "base/alloc.h"
#include "loop_bench.h"
#include "source/http_settings.h"
#include "unit.h"
#include "upstream.h"

#define MAX_BODY 1000

struct fixture {
    struct upstream *upstream;
    struct source *source;
    struct http_settings settings;
    char url[128];
    unsigned held_wanted;
};

struct seen { /* the result of one call */
    struct fixture *fixture;
    struct source_call *call;
    unsigned count;
    enum source_status status;
    char type[64], body[2 * MAX_BODY], reason[300];
    size_t body_len;
    unsigned retry_after_s;
    struct seen *cancels[3], *starts; /* what is done inside of its `done` */
    const char *starts_name;
    unsigned lane;
    bool refused; /* there is memory for the call, and none to begin */
};

static inline void start(struct fixture *fixture, struct seen *seen, const char *name);

static inline void on_done(void *caller, const struct source_result *result)
{
    struct seen *seen = caller;
    seen->count++;
    seen->status = result->status;
    seen->call = NULL;
    snprintf(seen->type, sizeof seen->type, "%.*s", SLICE_ARGS(result->type));
    snprintf(seen->body, sizeof seen->body, "%.*s", SLICE_ARGS(result->body));
    seen->body_len = result->body.len;
    seen->retry_after_s = result->retry_after_s;
    if (result->status != SOURCE_OK)
        snprintf(seen->reason, sizeof seen->reason, "%s", result->reason);
    for (unsigned i = 0; i < 3; i++)
        if (seen->cancels[i] && seen->cancels[i]->call)
            source_cancel(seen->cancels[i]->call);
    if (seen->starts)
        start(seen->fixture, seen->starts, seen->starts_name);
}

static inline void start(struct fixture *fixture, struct seen *seen, const char *name)
{
    char copy[256];
    snprintf(copy, sizeof copy, "%s", name);
    seen->fixture = fixture;
    if (seen->refused)
        alloc_fail_after(2);
    seen->call = source_start(fixture->source,
                              &(struct source_request){.name = slice_of(copy), .lane = seen->lane},
                              on_done, seen);
    alloc_fail_after(-1);
    assert_non_null(seen->call);
    assert_int_equal(seen->count, 0);
    memset(copy, '?', sizeof copy);
}

static inline bool is_done(const void *context)
{
    return ((const struct seen *)context)->count > 0;
}

static inline bool holds_wanted(const void *context)
{
    const struct fixture *fixture = context;
    return upstream_held(fixture->upstream) == fixture->held_wanted;
}

/* Until the server holds so many requests. */
static inline void run_until_held(struct fixture *fixture, unsigned count)
{
    fixture->held_wanted = count;
    run_until(holds_wanted, fixture);
}

/* A source with the given options; its url is `url` with the server's port for %u. */
static inline void open_source(struct fixture *fixture, const char *url, double timeout,
                               unsigned connections)
{
    source_destroy(fixture->source);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(fixture->url, sizeof fixture->url, url, upstream_port(fixture->upstream));
#pragma GCC diagnostic pop
    fixture->settings = (struct http_settings){
        .settings = {.type = source_type_find("http"),
                     .name = "api",
                     .limits = {.connections = connections, .queue = 100}},
        .url = fixture->url,
        .timeout = timeout,
        .max_body = MAX_BODY,
    };
    fixture->source = source_create(&(struct source_environment){.loop = EV_DEFAULT},
                                    &fixture->settings.settings);
    assert_non_null(fixture->source);
}

static inline int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->upstream = upstream_start();
    open_source(fixture, "http://127.0.0.1:%u/{name}", 30, 8);
    *state = fixture;
    return 0;
}

static inline int tear_down(void **state)
{
    struct fixture *fixture = *state;
    source_destroy(fixture->source);
    upstream_stop(fixture->upstream);
    run_what_is_due();
    free(fixture);
    return 0;
}

static inline struct seen call(struct fixture *fixture, const char *name)
{
    struct seen seen = {0};
    start(fixture, &seen, name);
    run_until(is_done, &seen);
    run_what_is_due();
    assert_int_equal(seen.count, 1);
    return seen;
}

/* Before all tests of a program. */
static inline int set_up_group(void **state)
{
    setenv("http_proxy", "http://127.0.0.1:1", 1); /* these must not have an effect */
    setenv("all_proxy", "http://127.0.0.1:1", 1);
    return guard_loop(state);
}

#endif
