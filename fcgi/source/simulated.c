/* The simulated source: "result for NAME" after a random delay, like a slow external call.
 *
 * A call is one block of memory: its timer and its result.
 */
#include "source/simulated.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>
#include <ev.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/option.h"

static const struct option options[] = {
    {"connections", OPTION_COUNT, OPTION_AT(struct simulated_settings, settings.limits.connections),
     .preset = "0", .min = "0", .max = "10000000",
     .help = "Maximum number of concurrent calls; more are queued; 0: any number."},
    {"delay", OPTION_RANGE, OPTION_AT(struct simulated_settings, delay_min), .preset = "0-3s",
     .min = "0", .max = "1d",
     .help = "Duration of the simulated slow call: a fixed time, or a random time from a range."},
};

_Static_assert(offsetof(struct simulated_settings, delay_max) ==
                   offsetof(struct simulated_settings, delay_min) + sizeof(double),
               "a range is stored in two members");

struct simulated {
    struct source source;
    struct ev_loop *loop;
    unsigned short random[3]; /* the state of erand48(3) */
};

struct simulated_call {
    struct source_call call;
    ev_timer timer;
    source_done_fn *done;
    void *caller;
    size_t body_len;
    char body[];
};

static const struct simulated_settings *settings_of(const struct source_settings *settings)
{
    return (const struct simulated_settings *)settings;
}

static const char *simulated_check(const struct source_settings *settings, const char **option)
{
    double least = settings_of(settings)->delay_min, most = settings_of(settings)->delay_max;
    *option = "delay";
    if (least < 0 || most < least)
        return "the start of the delay range is above its end";
    return NULL;
}

static struct source *simulated_create(const struct source_environment *environment,
                                       const struct source_settings *settings)
{
    struct simulated *simulated = alloc_zeroed(sizeof *simulated);
    if (!simulated)
        return NULL;
    simulated->source = (struct source){.type = settings->type, .settings = settings};
    simulated->loop = environment->loop;
    if (getrandom(simulated->random, sizeof simulated->random, GRND_NONBLOCK) < 0) {
        uint64_t now = (uint64_t)(clock_monotonic() * 1e9);
        memcpy(simulated->random, &now, sizeof simulated->random);
    }
    return &simulated->source;
}

/* Ends the call: first removes it from the loop, so that `done` may start or cancel any call. */
static void call_end(struct simulated_call *call, const struct source_result *result)
{
    struct simulated *simulated = (struct simulated *)call->call.source;
    ev_timer_stop(simulated->loop, &call->timer);
    call->done(call->caller, result);
    free(call);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct simulated_call *call = timer->data;
    (void)loop;
    (void)events;
    call_end(call, &(struct source_result){
                       .status = SOURCE_OK,
                       .type = SLICE("text/plain"),
                       .body = {.data = call->body, .len = call->body_len},
                   });
}

static struct source_call *simulated_start(struct source *source,
                                           const struct source_request *request,
                                           source_done_fn *done, void *caller)
{
    struct slice name = request->name;
    struct simulated *simulated = (struct simulated *)source;
    const struct simulated_settings *settings = settings_of(source->settings);
    struct slice beginning = SLICE("result for ");
    struct simulated_call *call = alloc_zeroed(sizeof *call + beginning.len + name.len);
    if (!call)
        return NULL;
    call->call.source = source;
    call->done = done;
    call->caller = caller;
    call->body_len = beginning.len + name.len;
    memcpy(call->body, beginning.data, beginning.len);
    if (name.len > 0)
        memcpy(call->body + beginning.len, name.data, name.len);

    double range = settings->delay_max - settings->delay_min;
    double delay = settings->delay_min + range * erand48(simulated->random);
    ev_timer_init(&call->timer, on_timer, delay, 0.);
    call->timer.data = call;
    ev_now_update(simulated->loop); /* the loop's time may lag by more than a short delay */
    ev_timer_start(simulated->loop, &call->timer);
    return &call->call;
}

static void simulated_cancel(struct source_call *source_call)
{
    struct simulated_call *call = (struct simulated_call *)source_call;
    call_end(call, &(struct source_result){.status = SOURCE_CANCELLED, .reason = "cancelled"});
}

static void simulated_destroy(struct source *source)
{
    free(source);
}

const struct source_type source_type_simulated = {
    .name = "simulated",
    .settings_size = sizeof(struct simulated_settings),
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = simulated_check,
    .create = simulated_create,
    .start = simulated_start,
    .cancel = simulated_cancel,
    .destroy = simulated_destroy,
};
