/* The calls of one source: those that run, and those that wait for a place in their lanes.
 *
 * A call that runs is a call of the type's own, whose `done` leads here. When it ends, the next one
 * is not started immediately, but in the loop's next turn, since it may be about to end as well: at
 * the same deadline, or at shutdown.
 */
#include "source/guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ev.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/timeout.h"
#include "source/lanes.h"

#define REASON_ROOM 300

struct guarded_call {
    struct source_call call;
    struct source_call *inner;      /* of the type; NULL: QUEUED */
    struct queued_request *request; /* owned; NULL: RUNNING */
    struct lane_call queued;
    struct timeout wait; /* active while QUEUED, if waiting is limited */
    double since;        /* when it was queued, by clock_monotonic_coarse() */
    source_done_fn *done;
    void *caller;
};

/* A copy of a request, for a call that has to wait. */
struct queued_request {
    struct source_request request;
    char text[];
};

struct source_guard {
    struct source *source;
    struct ev_loop *loop;
    size_t running; /* calls of the type */
    struct lanes lanes;
    struct timeout_queue waits;
    ev_timer runner; /* active if queued calls may start */
};

static const struct source_limits *limits_of(const struct source_guard *guard)
{
    return &guard->source->settings->limits;
}

static bool has_place(const struct source_guard *guard)
{
    return limits_of(guard)->connections == 0 || guard->running < limits_of(guard)->connections;
}

/* --- a copy of a request --- */

#define REQUEST_SLICES 7

static void request_slices(struct source_request *request, struct slice *slices[REQUEST_SLICES])
{
    slices[0] = &request->name;
    slices[1] = &request->rest;
    slices[2] = &request->inputs.packed;
    slices[3] = &request->etag;
    slices[4] = &request->last_modified;
    slices[5] = &request->request_id;
    slices[6] = &request->traceparent;
}

/* Returns NULL when out of memory. */
static struct queued_request *request_copy(const struct source_request *request)
{
    struct source_request source = *request;
    struct slice *slices[REQUEST_SLICES];
    size_t len = 0;
    request_slices(&source, slices);
    for (size_t i = 0; i < REQUEST_SLICES; i++)
        len += slices[i]->len;
    struct queued_request *copy = alloc_zeroed(sizeof *copy + len);
    if (!copy)
        return NULL;
    copy->request = source;
    request_slices(&copy->request, slices);
    char *text = copy->text;
    for (size_t i = 0; i < REQUEST_SLICES; i++) {
        if (slices[i]->len > 0)
            memcpy(text, slices[i]->data, slices[i]->len);
        slices[i]->data = text;
        text += slices[i]->len;
    }
    return copy;
}

/* --- calls --- */

/* Schedules guard_run, which must not run now. */
static void run_soon(struct source_guard *guard)
{
    if (ev_is_active(&guard->runner) || !guard->lanes.turns || !has_place(guard))
        return;
    ev_timer_set(&guard->runner, 0., 0.);
    ev_timer_start(guard->loop, &guard->runner);
}

/* The only way in which a call ends. */
static void call_end(struct guarded_call *call, const struct source_result *result)
{
    call->done(call->caller, result);
    free(call->request);
    free(call);
}

static void on_done(void *caller, const struct source_result *result)
{
    struct guarded_call *call = caller;
    struct source_guard *guard = call->call.source->guard;
    guard->running--;
    run_soon(guard);
    call_end(call, result);
}

/* Returns false when out of memory. */
static bool call_run(struct source_guard *guard, struct guarded_call *call,
                     const struct source_request *request)
{
    call->inner = guard->source->type->start(guard->source, request, on_done, call);
    if (call->inner)
        guard->running++;
    return call->inner != NULL;
}

static bool call_queue(struct source_guard *guard, struct guarded_call *call,
                       const struct source_request *request)
{
    if (!lanes_need(&guard->lanes, request->lane) || !(call->request = request_copy(request)))
        return false;
    lanes_add(&guard->lanes, request->lane, &call->queued);
    call->since = clock_monotonic_coarse();
    if (guard->waits.seconds > 0)
        timeout_start(&guard->waits, &call->wait);
    run_soon(guard);
    return true;
}

struct source_call *source_guard_start(struct source_guard *guard,
                                       const struct source_request *request, source_done_fn *done,
                                       void *caller)
{
    struct guarded_call *call = alloc_zeroed(sizeof *call);
    if (!call)
        return NULL;
    call->call.source = guard->source;
    call->done = done;
    call->caller = caller;
    bool queues = source_guard_is_busy(guard);
    if (queues ? call_queue(guard, call, request) : call_run(guard, call, request))
        return &call->call;
    free(call);
    return NULL;
}

bool source_guard_is_busy(const struct source_guard *guard)
{
    return guard->lanes.turns || !has_place(guard);
}

static void call_unqueue(struct guarded_call *call)
{
    lanes_remove(&call->call.source->guard->lanes, &call->queued);
    timeout_stop(&call->wait);
}

void source_guard_cancel(struct source_call *source_call)
{
    struct guarded_call *call = (struct guarded_call *)source_call;
    if (call->inner) {
        call->call.source->type->cancel(call->inner);
        return;
    }
    call_unqueue(call);
    call_end(call, &(struct source_result){.status = SOURCE_CANCELLED, .reason = "cancelled"});
}

/* Starts queued calls up to the limit. A call that can't be started ends, and its `done` may queue
 * others; those have to wait for the loop's next turn. */
static void guard_run(struct source_guard *guard)
{
    struct lane_call *queued;
    for (size_t count = guard->lanes.count; count > 0 && has_place(guard); count--) {
        if (!(queued = lanes_take(&guard->lanes)))
            break;
        struct guarded_call *call = container_of(queued, struct guarded_call, queued);
        timeout_stop(&call->wait);
        call->request->request.waited = clock_monotonic_coarse() - call->since;
        if (call_run(guard, call, &call->request->request)) {
            free(call->request);
            call->request = NULL;
            continue;
        }
        call_end(call,
                 &(struct source_result){.status = SOURCE_FAILED,
                                         .reason =
                                             "the source could not be started: out of memory"});
    }
    run_soon(guard);
}

static void on_runner(struct ev_loop *loop, ev_timer *runner, int events)
{
    (void)loop, (void)events;
    guard_run(runner->data);
}

static void on_waited(void *context, struct timeout *wait)
{
    struct source_guard *guard = context;
    struct guarded_call *call = container_of(wait, struct guarded_call, wait);
    char reason[REASON_ROOM];
    snprintf(reason, sizeof reason,
             "source \"%.100s\": no connection was free within timeout = %gs (connections = %zu)",
             guard->source->settings->name, guard->waits.seconds, limits_of(guard)->connections);
    call_unqueue(call);
    call_end(call, &(struct source_result){.status = SOURCE_TIMED_OUT, .reason = reason});
}

/* --- the guard --- */

struct source_guard *source_guard_new(struct ev_loop *loop, struct source *source)
{
    const struct source_type *type = source->type;
    struct source_guard *guard = alloc_zeroed(sizeof *guard);
    if (!guard)
        return NULL;
    guard->source = source;
    guard->loop = loop;
    ev_timer_init(&guard->runner, on_runner, 0., 0.);
    guard->runner.data = guard;
    timeout_queue_init(&guard->waits, loop, type->timeout ? type->timeout(source->settings) : 0,
                       on_waited, guard);
    return guard;
}

void source_guard_free(struct source_guard *guard)
{
    if (!guard)
        return;
    check(guard->running == 0);
    ev_timer_stop(guard->loop, &guard->runner);
    timeout_queue_stop(&guard->waits);
    lanes_end(&guard->lanes);
    free(guard);
}
