/* The queue source: each call is a job for a worker, which writes the result into the cache.
 *
 *     start --> ADDING --in the stream--> OPEN <--> MOVING --found, deadline, cancel--> done()
 *       |          '--refused, no answer------------------------------------------------> done()
 *       '--> REFUSED, in the loop's next turn ------------------------------------------> done()
 *
 * Nothing here waits for the result: Redis reports the change of the value, and the flight finds the
 * value and ends the call. When a call that is OPEN ends, its job is removed from the stream, unless
 * the worker has removed it already. A job that has failed is left to the worker.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ev.h>

#include "base/alloc.h"
#include "base/byte.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/timeout.h"
#include "source/queue_job.h"
#include "source/queue_settings.h"
#include "source/queue_streams.h"

#define REASON_ROOM   400
#define FIRST_LOOK_S  0.5 /* the connection to Redis may take a moment */
#define LOOK_S        5.0
#define RETRY_AFTER_S 1

static const char *check_jobs(const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++)
        if (!byte_is_unreserved(text[i]))
            return "the name may have letters, digits, and - . _ ~";
    if (len == 0 || len > QUEUE_JOBS_MAX)
        return "the name must have 1 to 100 characters";
    return NULL;
}

static const struct option options[] = {
    {"jobs", OPTION_STRING, OPTION_AT(struct queue_settings, jobs), .preset = "jobs",
     .check = check_jobs,
     .help = "Name of the jobs in Redis: workers read the streams {NAMESPACE:JOBS}:visitors and "
             "{NAMESPACE:JOBS}:refreshes."},
    {"timeout", OPTION_DURATION, OPTION_AT(struct queue_settings, timeout), .preset = "2m",
     .min = "1ms", .max = "1d",
     .help = "Time limit for a job, from the request to its result; over it, requests get 504, and "
             "no worker begins the job."},
    {"visibility", OPTION_DURATION, OPTION_AT(struct queue_settings, visibility), .preset = "30s",
     .min = "100ms", .max = "1d",
     .help =
         "A worker that does not report for this time that it is still working on its job counts "
         "as dead, and another one gets the job."},
    {"attempts", OPTION_COUNT, OPTION_AT(struct queue_settings, attempts), .preset = "3",
     .min = "1", .max = "1000",
     .help = "How often a job is given to a worker before it is moved to the stream "
             "{NAMESPACE:JOBS}:dead."},
};

enum call_state {
    CALL_ADDING,  /* Redis is asked to add the job */
    CALL_OPEN,    /* the job is in the stream, or with a worker */
    CALL_MOVING,  /* the same, and Redis is asked to move it to the other stream */
    CALL_REFUSED, /* it ends in the loop's next turn */
};

struct queue_call {
    struct source_call call;
    enum call_state state;
    bool awaited;                  /* its job is in the stream of visitors */
    bool wanted;                   /* a request waits for it */
    enum source_status status;     /* while REFUSED */
    const char *problem;           /* while REFUSED: why; a static string */
    struct timeout over;           /* in queue->deadlines; while REFUSED, in queue->refused */
    struct queue_command *command; /* while ADDING or MOVING */
    char id[QUEUE_ID_MAX + 1];     /* while OPEN or MOVING: of the job's entry in its stream */
    source_done_fn *done;
    void *caller;
};

struct queue {
    struct source source;
    struct ev_loop *loop;
    const char *value_start;
    struct queue_streams *streams; /* NULL: there is no Redis */
    struct timeout_queue deadlines, refused;
    ev_timer look;
    struct source_backlog backlog;
    struct log_limit full;
};

static const struct queue_settings *settings_of(const struct source_settings *settings)
{
    return (const struct queue_settings *)settings;
}

static struct queue *queue_of(const struct queue_call *call)
{
    return (struct queue *)call->call.source;
}

static const char *name_of(const struct queue *queue)
{
    return queue->source.settings->name ? queue->source.settings->name : "";
}

/* --- how calls end --- */

/* A worker that has the job already notices that it is obsolete. */
static void leave_job(struct queue_call *call)
{
    if (call->state == CALL_ADDING || call->state == CALL_MOVING)
        queue_streams_abandon(call->command);
    if (call->state == CALL_OPEN || call->state == CALL_MOVING)
        queue_streams_remove(queue_of(call)->streams, call->awaited, call->id);
}

/* The only way in which a call ends. */
static void call_end(struct queue_call *call, enum source_status status, const char *problem)
{
    char reason[REASON_ROOM];
    unsigned retry_after_s = status == SOURCE_BUSY ? RETRY_AFTER_S : 0;
    snprintf(reason, sizeof reason, "source \"%.100s\": %s", name_of(queue_of(call)), problem);
    timeout_stop(&call->over);
    if (status == SOURCE_BUSY)
        counter_add(COUNTER_CALLS_REFUSED, 1);
    call->done(call->caller, &(struct source_result){.status = status,
                                                     .reason = reason,
                                                     .retry_after_s = retry_after_s});
    free(call);
}

static void on_deadline(void *context, struct timeout *over)
{
    struct queue_call *call = container_of(over, struct queue_call, over);
    char problem[100];
    (void)context;
    snprintf(problem, sizeof problem, "no worker has completed the job within timeout = %gs",
             settings_of(call->call.source->settings)->timeout);
    leave_job(call);
    call_end(call, SOURCE_TIMED_OUT, problem);
}

static void on_refused(void *context, struct timeout *over)
{
    struct queue_call *call = container_of(over, struct queue_call, over);
    (void)context;
    call_end(call, call->status, call->problem);
}

static void queue_cancel(struct source_call *source_call)
{
    struct queue_call *call = (struct queue_call *)source_call;
    leave_job(call);
    call_end(call, SOURCE_CANCELLED, "cancelled");
}

/* A job that has failed is left to its worker, which may move it to the dead letters. */
static void queue_found(struct source_call *source_call, enum source_status status)
{
    struct queue_call *call = (struct queue_call *)source_call;
    if (status == SOURCE_OK || call->state == CALL_ADDING)
        leave_job(call);
    else if (call->state == CALL_MOVING)
        queue_streams_abandon(call->command);
    call_end(call, SOURCE_CANCELLED, "the result was found");
}

/* --- how calls begin --- */

static void set_id(struct queue_call *call, struct slice id)
{
    memcpy(call->id, id.data, id.len);
    call->id[id.len] = '\0';
}

static void call_refuse(struct queue_call *call, enum source_status status, const char *problem)
{
    call->state = CALL_REFUSED;
    call->status = status;
    call->problem = problem;
    timeout_start(&queue_of(call)->refused, &call->over);
}

static void refuse_full(struct queue_call *call)
{
    struct queue *queue = queue_of(call);
    size_t most = queue->source.settings->limits.queue;
    log_limited(&queue->full, LOG_LEVEL_WARNING, "source",
                "source \"%.100s\": %zu jobs are not finished (option queue), so further requests "
                "get a stale result or 503: start more workers",
                name_of(queue), most);
    call_end(call, SOURCE_BUSY, "too many jobs are not finished");
}

static void on_moved(void *caller, const struct queue_answer *answer)
{
    struct queue_call *call = caller;
    call->command = NULL;
    call->state = CALL_OPEN;
    if (answer->outcome != QUEUE_DONE)
        return; /* a worker has it, or Redis is away */
    call->awaited = true;
    set_id(call, answer->id);
}

/* Moves the job to the stream of visitors. Best effort: if that fails, the job is done later. */
static void call_move(struct queue_call *call)
{
    call->command = queue_streams_move(queue_of(call)->streams, call->id, on_moved, call);
    if (call->command)
        call->state = CALL_MOVING;
}

static void queue_await(struct source_call *source_call)
{
    struct queue_call *call = (struct queue_call *)source_call;
    bool moves = call->state == CALL_OPEN && !call->wanted;
    call->wanted = true;
    if (moves)
        call_move(call);
}

static void on_added(void *caller, const struct queue_answer *answer)
{
    struct queue_call *call = caller;
    char problem[300];
    call->command = NULL;
    switch (answer->outcome) {
    case QUEUE_DONE:
        call->state = CALL_OPEN;
        set_id(call, answer->id);
        if (call->wanted && !call->awaited)
            call_move(call);
        break;
    case QUEUE_FULL:
    case QUEUE_TAKEN: /* not of this command */
        refuse_full(call);
        break;
    case QUEUE_AWAY:
        call_end(call, SOURCE_BUSY, "Redis is unavailable, so there can be no job");
        break;
    case QUEUE_REFUSED:
        snprintf(problem, sizeof problem, "Redis refuses the job: %s", answer->error);
        call_end(call, SOURCE_FAILED, problem);
        break;
    }
}

/* Sends the job. Returns NULL; or why the job can't be sent, with *status set. */
static const char *call_add(struct queue_call *call, const struct source_request *request,
                            enum source_status *status)
{
    struct queue *queue = queue_of(call);
    const struct queue_settings *settings = settings_of(queue->source.settings);
    struct buffer job = {0};
    *status = SOURCE_BUSY;
    if (!queue->streams)
        return "this process has no Redis: restart it";
    if (request->lease.len == 0)
        return "Redis is unavailable, so there can be no job";
    const char *problem =
        queue_job_write(&(struct queue_job){.settings = settings,
                                            .request = request,
                                            .value_start = queue->value_start,
                                            .deadline_ms =
                                                clock_fleet_ms() +
                                                (int64_t)((settings->timeout - request->waited) *
                                                          1000)},
                        &job);
    if (problem) {
        *status = SOURCE_FAILED;
    } else {
        call->command = queue_streams_add(queue->streams, buffer_slice(&job), request->awaited,
                                          settings->settings.limits.queue, on_added, call);
        problem = call->command ? NULL : "Redis is unavailable, so there can be no job";
    }
    buffer_free(&job);
    return problem;
}

static struct source_call *queue_start(struct source *source, const struct source_request *request,
                                       source_done_fn *done, void *caller)
{
    struct queue_call *call = alloc_zeroed(sizeof *call);
    enum source_status status;
    if (!call)
        return NULL;
    call->call.source = source;
    call->awaited = call->wanted = request->awaited;
    call->done = done;
    call->caller = caller;
    const char *problem = call_add(call, request, &status);
    if (problem)
        call_refuse(call, status, problem);
    else
        timeout_start_late(&queue_of(call)->deadlines, &call->over, request->waited);
    return &call->call;
}

/* --- how many jobs there are --- */

static void look_later(struct queue *queue, double seconds)
{
    ev_timer_stop(queue->loop, &queue->look);
    ev_timer_set(&queue->look, seconds * (0.9 + drand48() / 5), 0.);
    ev_timer_start(queue->loop, &queue->look);
}

static void on_looked(void *caller, const struct queue_answer *answer)
{
    struct queue *queue = caller;
    const struct queue_depth *depth = &answer->depth;
    queue->backlog.known = answer->outcome == QUEUE_DONE;
    if (queue->backlog.known)
        queue->backlog = (struct source_backlog){.known = true,
                                                 .as_of_ms = clock_fleet_ms(),
                                                 .visitors = depth->visitors,
                                                 .refreshes = depth->refreshes,
                                                 .dead = depth->dead,
                                                 .workers = depth->workers,
                                                 .oldest_ms = depth->oldest_ms};
    look_later(queue, LOOK_S);
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct queue *queue = timer->data;
    double visibility = settings_of(queue->source.settings)->visibility;
    (void)loop, (void)events;
    if (queue_streams_look(queue->streams, (int64_t)(visibility * 1000), on_looked, queue))
        return;
    queue->backlog.known = false;
    look_later(queue, LOOK_S);
}

static const struct source_backlog *queue_backlog(const struct source *source)
{
    return &((const struct queue *)source)->backlog;
}

/* Half of the queue is kept for requests that wait. */
static bool queue_is_busy(const struct source *source)
{
    const struct source_backlog *backlog = queue_backlog(source);
    size_t half = (source->settings->limits.queue + 1) / 2; /* not 0 */
    return backlog->known && backlog->visitors + backlog->refreshes >= half;
}

/* --- the source --- */

static const char *queue_check(const struct source_settings *settings, const char **option)
{
    *option = "queue";
    return settings->limits.queue == 0 ? "a source of type queue needs a queue of at least 1"
                                       : NULL;
}

static bool queue_check_rules(const struct source_settings *settings,
                              const struct source_rules *rules, char why[SOURCE_WHY_ROOM])
{
    (void)settings;
    if (rules->solo_calls)
        snprintf(why, SOURCE_WHY_ROOM, "whose jobs are always shared: remove share = \"no\"");
    else if (rules->has_template)
        snprintf(why, SOURCE_WHY_ROOM,
                 "whose workers write the fragment as it is sent: remove template");
    return !rules->solo_calls && !rules->has_template;
}

static double queue_timeout(const struct source_settings *settings)
{
    return settings_of(settings)->timeout;
}

static void queue_destroy(struct source *source)
{
    struct queue *queue = (struct queue *)source;
    ev_timer_stop(queue->loop, &queue->look);
    timeout_queue_stop(&queue->deadlines);
    timeout_queue_stop(&queue->refused);
    queue_streams_free(queue->streams);
    log_limit_end(&queue->full);
    free(queue);
}

static struct source *queue_create(const struct source_environment *environment,
                                   const struct source_settings *common)
{
    const struct queue_settings *settings = settings_of(common);
    struct queue *queue = alloc_zeroed(sizeof *queue);
    if (!queue)
        return NULL;
    queue->source = (struct source){.type = common->type, .settings = common};
    queue->loop = environment->loop;
    queue->value_start = environment->value_start;
    timeout_queue_init(&queue->deadlines, queue->loop, settings->timeout, on_deadline, queue);
    timeout_queue_init(&queue->refused, queue->loop, 0, on_refused, queue);
    ev_timer_init(&queue->look, on_look, FIRST_LOOK_S, 0.);
    queue->look.data = queue;
    if (!environment->redis)
        return &queue->source;
    if (!(queue->streams = queue_streams_new(environment, settings->jobs))) {
        queue_destroy(&queue->source);
        return NULL;
    }
    look_later(queue, FIRST_LOOK_S);
    return &queue->source;
}

const struct source_type source_type_queue = {
    .name = "queue",
    .via_cache = true,
    .settings_size = sizeof(struct queue_settings),
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = queue_check,
    .check_rules = queue_check_rules,
    .timeout = queue_timeout,
    .create = queue_create,
    .start = queue_start,
    .is_busy = queue_is_busy,
    .backlog = queue_backlog,
    .await = queue_await,
    .cancel = queue_cancel,
    .found = queue_found,
    .destroy = queue_destroy,
};
