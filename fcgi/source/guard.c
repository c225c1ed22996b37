/* The calls of one source: those that run, those that are queued in their lanes, and those that are
 * refused, whose callers are told in the loop's next turn.
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
#include <utlist.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/counters.h"
#include "base/figures.h"
#include "base/log.h"
#include "base/timeout.h"
#include "source/breaker.h"
#include "source/lanes.h"
#include "source/tally.h"

#define REASON_ROOM 400

enum guarded_state { GUARDED_QUEUED, GUARDED_RUNNING, GUARDED_REFUSED };

struct guarded_call {
    struct source_call call;
    struct guarded_call *prev, *next; /* in guard->refused, while REFUSED */
    struct source_call *inner;        /* of the type, while RUNNING */
    struct queued_request *request;   /* owned, while QUEUED */
    struct lane_call queued;          /* likewise */
    struct timeout wait;              /* likewise active, if waiting is limited */
    double since;                     /* when it was queued, by clock_monotonic_coarse(); while
                                         RUNNING, when it began to run, by clock_monotonic() */
    source_done_fn *done;
    void *caller;
    enum guarded_state state;
    bool trial; /* of the breaker */
    bool found; /* its result is in the cache, and it counts as ended with `as` */
    enum source_status as;
    float waited; /* seconds in the queue, once it has left that */
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
    struct guarded_call *refused; /* their `done` is to be called */
    struct timeout_queue waits;
    ev_timer runner; /* active if there is something to do in the loop's next turn */
    struct breaker breaker;
    struct log_limit changes, refusals;
    struct source_tally own;
    struct source_tally *tally; /* &own, or one that all workers can see */
};

static const struct source_limits *limits_of(const struct source_guard *guard)
{
    return &guard->source->settings->limits;
}

static const char *name_of(const struct source_guard *guard)
{
    return guard->source->settings->name ? guard->source->settings->name : "";
}

static struct source_guard *guard_of(const struct guarded_call *call)
{
    return call->call.source->guard;
}

static bool has_place(const struct source_guard *guard)
{
    return limits_of(guard)->connections == 0 || guard->running < limits_of(guard)->connections;
}

/* --- a copy of a request --- */

#define REQUEST_SLICES 9

static void request_slices(struct source_request *request, struct slice *slices[REQUEST_SLICES])
{
    slices[0] = &request->name;
    slices[1] = &request->rest;
    slices[2] = &request->inputs.packed;
    slices[3] = &request->etag;
    slices[4] = &request->last_modified;
    slices[5] = &request->request_id;
    slices[6] = &request->traceparent;
    slices[7] = &request->key;
    slices[8] = &request->lease;
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

/* --- how calls end --- */

/* Schedules guard_run, which must not run now. */
static void run_soon(struct source_guard *guard)
{
    bool starts = guard->lanes.count > 0 && has_place(guard);
    if (ev_is_active(&guard->runner) || (!starts && !guard->refused))
        return;
    ev_timer_set(&guard->runner, 0., 0.);
    ev_timer_start(guard->loop, &guard->runner);
}

static void log_change(struct source_guard *guard, enum breaker_state before, const char *reason)
{
    const struct breaker *breaker = &guard->breaker;
    if (breaker->state == before)
        return;
    switch (breaker->state) {
    case BREAKER_OPEN:
        log_state(&guard->changes, LOG_LEVEL_WARNING, "source",
                  "source \"%.100s\" is not called for %us; the last failure: %s", name_of(guard),
                  breaker_pause_s(breaker, clock_monotonic_coarse()), reason);
        break;
    case BREAKER_TRYING:
        log_state(&guard->changes, LOG_LEVEL_INFO, "source",
                  "source \"%.100s\": one call tries whether it works again", name_of(guard));
        break;
    case BREAKER_CLOSED:
        log_state(&guard->changes, LOG_LEVEL_INFO, "source", "source \"%.100s\" is called again",
                  name_of(guard));
        break;
    }
}

/* What the call counts as. */
static enum source_status status_of(const struct guarded_call *call,
                                    const struct source_result *result)
{
    return call->found ? call->as : result->status;
}

static void tell_breaker(struct guarded_call *call, const struct source_result *result)
{
    static const enum breaker_outcome outcomes[] = {
        [SOURCE_OK] = BREAKER_SUCCESS,        [SOURCE_NOT_MODIFIED] = BREAKER_SUCCESS,
        [SOURCE_NOT_FOUND] = BREAKER_SUCCESS, [SOURCE_FAILED] = BREAKER_FAILURE,
        [SOURCE_TIMED_OUT] = BREAKER_FAILURE, [SOURCE_BUSY] = BREAKER_UNKNOWN,
        [SOURCE_CANCELLED] = BREAKER_UNKNOWN,
    };
    struct source_guard *guard = guard_of(call);
    enum breaker_state before = guard->breaker.state;
    enum breaker_outcome outcome = outcomes[status_of(call, result)];
    double pause = outcome == BREAKER_FAILURE ? result->retry_after_s : 0;
    if (pause > limits_of(guard)->max_retry_after)
        pause = limits_of(guard)->max_retry_after;
    breaker_tell(&guard->breaker, clock_monotonic_coarse(), outcome, call->trial, pause, drand48());
    call->trial = false;
    if (outcome != BREAKER_UNKNOWN)
        log_change(guard, before, result->reason ? result->reason : "the source failed");
}

/* The only way in which a call ends, from any state. */
static void call_end(struct guarded_call *call, const struct source_result *result)
{
    if (call->trial)
        tell_breaker(call, result);
    guard_of(call)->tally->ended[status_of(call, result)]++;
    struct source_result timed = *result;
    timed.times.queued = call->waited;
    call->done(call->caller, &timed);
    free(call->request);
    free(call);
}

/* It has left its lane. */
static void end_wait(struct guarded_call *call)
{
    timeout_stop(&call->wait);
    call->waited = (float)(clock_monotonic_coarse() - call->since);
}

static void call_unqueue(struct guarded_call *call)
{
    lanes_remove(&guard_of(call)->lanes, &call->queued);
    end_wait(call);
}

/* Ends it with SOURCE_BUSY in the loop's next turn. It is in no lane. */
static void call_refuse(struct guarded_call *call)
{
    struct source_guard *guard = guard_of(call);
    free(call->request);
    call->request = NULL;
    call->state = GUARDED_REFUSED;
    DL_APPEND(guard->refused, call);
    run_soon(guard);
}

/* The source is not called for a while, so no call waits for that. */
static void refuse_queued(struct source_guard *guard)
{
    struct lane_call *queued;
    while ((queued = lanes_take(&guard->lanes))) {
        struct guarded_call *call = container_of(queued, struct guarded_call, queued);
        end_wait(call);
        call_refuse(call);
    }
}

static void on_done(void *caller, const struct source_result *result)
{
    struct guarded_call *call = caller;
    struct source_guard *guard = guard_of(call);
    guard->running--;
    if (status_of(call, result) != SOURCE_CANCELLED)
        histogram_add(&guard->tally->duration, clock_monotonic() - call->since);
    tell_breaker(call, result);
    if (guard->breaker.state == BREAKER_OPEN)
        refuse_queued(guard);
    run_soon(guard);
    call_end(call, result);
}

/* --- how they begin --- */

/* Returns false when out of memory. */
static bool call_run(struct guarded_call *call, const struct source_request *request)
{
    struct source *source = call->call.source;
    call->inner = source->type->start(source, request, on_done, call);
    if (!call->inner)
        return false;
    call->state = GUARDED_RUNNING;
    call->since = clock_monotonic();
    source->guard->running++;
    return true;
}

static void log_refusal(struct source_guard *guard)
{
    log_limited(&guard->refusals, LOG_LEVEL_WARNING, "source",
                "source \"%.100s\": the queue is full, so requests get 503 (queue = %zu)",
                name_of(guard), limits_of(guard)->queue);
}

/* Whether the queue has room for one more call in the lane; if it is full, a longer lane makes
 * room. */
static bool make_room(struct source_guard *guard, unsigned lane)
{
    if (guard->lanes.count < limits_of(guard)->queue)
        return true;
    log_refusal(guard);
    struct lane_call *queued = lanes_crowding(&guard->lanes, lane);
    if (!queued)
        return false;
    struct guarded_call *call = container_of(queued, struct guarded_call, queued);
    call_unqueue(call);
    call_refuse(call);
    return true;
}

/* Returns false when out of memory. */
static bool call_queue(struct guarded_call *call, const struct source_request *request)
{
    struct source_guard *guard = guard_of(call);
    if (!lanes_need(&guard->lanes, request->lane))
        return false;
    if (!make_room(guard, request->lane)) {
        call_refuse(call);
        return true;
    }
    if (!(call->request = request_copy(request)))
        return false;
    call->state = GUARDED_QUEUED;
    lanes_add(&guard->lanes, request->lane, &call->queued);
    call->since = clock_monotonic_coarse();
    if (guard->waits.seconds > 0)
        timeout_start(&guard->waits, &call->wait);
    run_soon(guard);
    return true;
}

/* Returns false when out of memory. */
static bool call_begin(struct guarded_call *call, const struct source_request *request)
{
    struct source_guard *guard = guard_of(call);
    enum breaker_state before = guard->breaker.state;
    enum breaker_verdict verdict = breaker_ask(&guard->breaker, clock_monotonic_coarse());
    log_change(guard, before, "");
    if (verdict == BREAKER_REFUSE) {
        call_refuse(call);
        return true;
    }
    call->trial = verdict == BREAKER_TRY;
    bool queues = guard->lanes.count > 0 || !has_place(guard);
    return queues ? call_queue(call, request) : call_run(call, request);
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
    if (call_begin(call, request)) {
        guard->tally->started++;
        return &call->call;
    }
    if (call->trial)
        tell_breaker(call, &(struct source_result){.status = SOURCE_CANCELLED});
    free(call);
    return NULL;
}

bool source_guard_is_busy(const struct source_guard *guard)
{
    return (guard->lanes.count > 0 || !has_place(guard)) &&
           !breaker_refuses(&guard->breaker, clock_monotonic_coarse());
}

void source_guard_look(const struct source_guard *guard, struct source_view *view)
{
    enum breaker_state state = guard->breaker.state;
    double now = clock_monotonic_coarse();
    view->breaker = source_breaker_names[state];
    view->pause_s =
        state == BREAKER_OPEN && guard->breaker.until > now ? guard->breaker.until - now : 0;
    view->running = guard->running;
    view->queued = guard->lanes.count;
    view->tally = guard->tally;
}

void source_guard_await(struct source_call *source_call)
{
    struct guarded_call *call = (struct guarded_call *)source_call;
    const struct source_type *type = call->call.source->type;
    if (call->state == GUARDED_QUEUED)
        call->request->request.awaited = true;
    else if (call->state == GUARDED_RUNNING && type->await)
        type->await(call->inner);
}

void source_guard_cancel(struct source_call *source_call)
{
    struct guarded_call *call = (struct guarded_call *)source_call;
    switch (call->state) {
    case GUARDED_RUNNING:
        call->call.source->type->cancel(call->inner);
        return;
    case GUARDED_QUEUED:
        call_unqueue(call);
        break;
    case GUARDED_REFUSED:
        DL_DELETE(guard_of(call)->refused, call);
        break;
    }
    call_end(call, &(struct source_result){.status = SOURCE_CANCELLED, .reason = "cancelled"});
}

void source_guard_found(struct source_call *source_call, enum source_status status)
{
    struct guarded_call *call = (struct guarded_call *)source_call;
    if (call->state != GUARDED_RUNNING) {
        source_guard_cancel(source_call);
        return;
    }
    call->found = true;
    call->as = status;
    call->call.source->type->found(call->inner, status);
}

/* --- what is due in the loop's next turn --- */

static void call_end_busy(struct guarded_call *call, const char *reason)
{
    struct source_guard *guard = guard_of(call);
    unsigned retry_after_s = breaker_pause_s(&guard->breaker, clock_monotonic_coarse());
    counter_add(COUNTER_CALLS_REFUSED, 1);
    call_end(call, &(struct source_result){.status = SOURCE_BUSY,
                                           .reason = reason,
                                           .retry_after_s = retry_after_s});
}

/* Ends the calls that are REFUSED now. */
static void end_refused(struct source_guard *guard)
{
    struct guarded_call *call;
    char reason[REASON_ROOM];
    size_t count;
    snprintf(reason, sizeof reason, "source \"%.100s\" %s", name_of(guard),
             guard->breaker.state == BREAKER_CLOSED ? "has too many calls queued"
                                                    : "is not called for a while");
    DL_COUNT(guard->refused, call, count);
    while (count-- > 0 && (call = guard->refused)) {
        DL_DELETE(guard->refused, call);
        call_end_busy(call, reason);
    }
}

/* Starts queued calls up to the limit. A call that can't be started ends, and its `done` may queue
 * others; those have to wait for another turn. */
static void start_queued(struct source_guard *guard)
{
    struct lane_call *queued;
    for (size_t count = guard->lanes.count; count > 0 && has_place(guard); count--) {
        if (!(queued = lanes_take(&guard->lanes)))
            break;
        struct guarded_call *call = container_of(queued, struct guarded_call, queued);
        end_wait(call);
        call->request->request.waited = call->waited;
        if (call_run(call, &call->request->request)) {
            histogram_add(&guard->tally->queued, call->request->request.waited);
            free(call->request);
            call->request = NULL;
            continue;
        }
        call_end(call,
                 &(struct source_result){.status = SOURCE_FAILED,
                                         .reason =
                                             "the source could not be started: out of memory"});
    }
}

static void on_runner(struct ev_loop *loop, ev_timer *runner, int events)
{
    struct source_guard *guard = runner->data;
    (void)loop, (void)events;
    end_refused(guard);
    start_queued(guard);
    run_soon(guard);
}

static void on_waited(void *context, struct timeout *wait)
{
    struct source_guard *guard = context;
    struct guarded_call *call = container_of(wait, struct guarded_call, wait);
    const struct source_limits *limits = limits_of(guard);
    bool is_own = limits->queue_timeout > 0 && limits->queue_timeout <= guard->waits.seconds;
    char reason[REASON_ROOM];
    snprintf(reason, sizeof reason,
             "source \"%.100s\": no connection was free within %s = %gs (connections = %zu)",
             name_of(guard), is_own ? "queue_timeout" : "timeout", guard->waits.seconds,
             limits->connections);
    log_limited(&guard->refusals, LOG_LEVEL_WARNING, "source", "%s", reason);
    call_unqueue(call);
    call_end_busy(call, reason);
}

/* --- the guard --- */

/* Seconds that a call may be queued; 0: any time. */
static double longest_wait(const struct source *source)
{
    const struct source_settings *settings = source->settings;
    double wait = settings->limits.queue_timeout;
    double timeout = source->type->timeout ? source->type->timeout(settings) : 0;
    return wait > 0 && (timeout <= 0 || wait < timeout) ? wait : timeout;
}

struct source_guard *source_guard_new(struct ev_loop *loop, struct source *source)
{
    struct source_guard *guard = alloc_zeroed(sizeof *guard);
    if (!guard)
        return NULL;
    guard->source = source;
    guard->loop = loop;
    if (figures_are_shared())
        guard->tally = figures_row(FIGURES_SOURCE, name_of(guard), sizeof *guard->tally);
    if (!guard->tally)
        guard->tally = &guard->own;
    ev_timer_init(&guard->runner, on_runner, 0., 0.);
    guard->runner.data = guard;
    timeout_queue_init(&guard->waits, loop, longest_wait(source), on_waited, guard);
    if (breaker_init(&guard->breaker, limits_of(guard)->breaker,
                     limits_of(guard)->breaker_cooldown))
        return guard;
    source_guard_free(guard);
    return NULL;
}

void source_guard_free(struct source_guard *guard)
{
    if (!guard)
        return;
    check(guard->running == 0 && !guard->refused);
    ev_timer_stop(guard->loop, &guard->runner);
    timeout_queue_stop(&guard->waits);
    lanes_end(&guard->lanes);
    breaker_end(&guard->breaker);
    log_limit_end(&guard->changes);
    log_limit_end(&guard->refusals);
    free(guard);
}
