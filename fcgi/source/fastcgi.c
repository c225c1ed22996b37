/* The fastcgi source: asks a FastCGI server, such as php-fpm, for the output of a script. This file
 * has the calls: their states and their results. fastcgi_request.c writes what is sent,
 * fastcgi_conn.c has the connections, fastcgi_answer.c reads the responses.
 *
 *                 .--. an idle connection was closed
 *                 v  |
 *     start --> RUNNING --> done()
 *        |       | ^
 *        | retry v |
 *        '---> PAUSED --> deadline, cancel, refusal --> done()
 *
 * A call has a connection to itself while it runs. If the call is cancelled or takes too long, its
 * connection is closed, and the server is not told in any other way.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <ev.h>
#include <utlist.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/counters.h"
#include "base/random.h"
#include "base/timeout.h"
#include "source/fastcgi_answer.h"
#include "source/fastcgi_conn.h"
#include "source/fastcgi_options.h"
#include "source/fastcgi_request.h"
#include "source/fastcgi_settings.h"
#include "source/verdict.h"

#define REASON_ROOM 1000 /* the log cuts messages at about this length */

struct fastcgi_call {
    struct source_call call;
    struct timeout deadline;
    ev_timer again;            /* active while PAUSED: it has no connection */
    struct fastcgi_conn *conn; /* NULL while PAUSED */
    struct fastcgi_request request;
    struct fastcgi_answer answer;
    struct verdict_asker asker;
    unsigned retries; /* made so far */
    bool dropped; /* it was repeated because its idle connection had been closed; happens once */
    bool no_memory;
    bool wants_times;
    unsigned attempts;
    double began, opened, answered; /* of the last attempt; 0: not yet */
    source_done_fn *done;
    void *caller;
};

struct fastcgi {
    struct source source;
    struct ev_loop *loop;
    struct fastcgi_conns conns;
    struct timeout_queue deadlines;
    struct log_limit complaints; /* lines of STDERR */
    uint64_t random;
};

static struct fastcgi *fastcgi_of(const struct fastcgi_call *call)
{
    return (struct fastcgi *)call->call.source;
}

static const struct fastcgi_settings *settings_of(const struct source *source)
{
    return (const struct fastcgi_settings *)source->settings;
}

/* --- how calls end --- */

static struct source_times times_of(const struct fastcgi_call *call)
{
    struct source_times times = {.are_known = call->wants_times && call->attempts > 0,
                                 .attempts = call->attempts};
    if (!times.are_known)
        return times;
    double now = clock_monotonic(), opened = call->opened > 0 ? call->opened : now;
    double answered = call->answered > 0 ? call->answered : now;
    times.connect = (float)(opened - call->began);
    times.first_byte = (float)(answered - opened);
    times.body = (float)(now - answered);
    return times;
}

/* The only way in which a call ends, from any state. */
static void call_end(struct fastcgi_call *call, struct source_result *result)
{
    result->times = times_of(call);
    timeout_stop(&call->deadline);
    ev_timer_stop(fastcgi_of(call)->loop, &call->again);
    fastcgi_conn_close(call->conn);
    call->done(call->caller, result);
    fastcgi_answer_clear(&call->answer);
    fastcgi_request_free(&call->request);
    free(call);
}

/* Writes a reason for the log: `source "php": /srv/app/news.php` and the formatted text. */
__attribute__((format(printf, 3, 4))) static const char *
call_reason(const struct fastcgi_call *call, char room[REASON_ROOM], const char *format, ...)
{
    const struct fastcgi_settings *settings = settings_of(call->call.source);
    const char *script = call->request.script ? call->request.script : settings->script;
    int len =
        snprintf(room, REASON_ROOM, "source \"%.100s\": %.400s", settings->settings.name, script);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(room + len, REASON_ROOM - (size_t)len, format, arguments);
    va_end(arguments);
    return room;
}

__attribute__((format(printf, 3, 4))) static void
call_fail(struct fastcgi_call *call, enum source_status status, const char *format, ...)
{
    char why[REASON_ROOM], room[REASON_ROOM];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    struct source_result result = {.status = status, .reason = call_reason(call, room, "%s", why)};
    call_end(call, &result);
}

static struct verdict_response response_of(const struct fastcgi_call *call)
{
    return (struct verdict_response){
        .status = call->answer.status,
        .head = &call->answer.head,
        .body = buffer_slice(&call->answer.body),
        .is_conditional = call->request.is_conditional,
        .any_type = call->asker.rules && call->asker.rules->any_type,
    };
}

/* The response has arrived, or as much of it as we need. */
static void call_judge(struct fastcgi_call *call)
{
    struct verdict_response response = response_of(call);
    struct terms_reader reader;
    char why[VERDICT_WHY_ROOM] = "", room[REASON_ROOM];
    struct source_result result = {.status = SOURCE_FAILED, .reason = room};
    verdict_judge(&response, &result, why);
    call_reason(call, room, " %s", why);
    struct source_terms terms = verdict_terms(&response, &call->asker, &reader);
    result.terms = &terms;
    call_end(call, &result);
}

static void on_deadline(void *context, struct timeout *deadline)
{
    struct fastcgi *fastcgi = context;
    struct fastcgi_call *call = container_of(deadline, struct fastcgi_call, deadline);
    call_fail(call, SOURCE_TIMED_OUT, ": no complete response within timeout = %gs",
              settings_of(&fastcgi->source)->timeout);
}

/* --- attempts --- */

static void call_pause(struct fastcgi_call *call, double seconds)
{
    struct ev_loop *loop = fastcgi_of(call)->loop;
    ev_timer_set(&call->again, seconds, 0.);
    ev_timer_start(loop, &call->again);
}

/* Without memory, the call ends in the loop's next turn. */
static void call_attempt(struct fastcgi_call *call)
{
    call->attempts++;
    if (call->wants_times)
        call->began = clock_monotonic();
    call->opened = call->answered = 0;
    call->conn =
        fastcgi_conn_take(&fastcgi_of(call)->conns, buffer_slice(&call->request.records), call);
    if (call->conn)
        return;
    call->no_memory = true;
    call_pause(call, 0);
}

static void on_again(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct fastcgi_call *call = timer->data;
    (void)loop;
    (void)events;
    if (call->request.refusal)
        call_fail(call, SOURCE_FAILED, ": %s", call->request.refusal);
    else if (call->no_memory)
        call_fail(call, SOURCE_FAILED, ": out of memory");
    else
        call_attempt(call);
}

/* Gives up the connection of the attempt, which has failed. */
static void end_attempt(struct fastcgi_call *call)
{
    fastcgi_conn_close(call->conn);
    call->conn = NULL;
    fastcgi_answer_clear(&call->answer);
}

/* Repeats the call after a pause if its failure may be a passing one. Returns false if it is not
 * repeated. */
static bool call_retry(struct fastcgi_call *call)
{
    struct fastcgi *fastcgi = fastcgi_of(call);
    if (call->retries >= settings_of(&fastcgi->source)->retries)
        return false;
    double pause = verdict_pause(&call->answer.head, call->retries, random_unit(&fastcgi->random));
    if (clock_monotonic() + pause >= call->deadline.at)
        return false;
    call->retries++;
    counter_add(COUNTER_CALLS_RETRIED, 1);
    end_attempt(call);
    call_pause(call, pause);
    return true;
}

/* --- what the server says --- */

static void on_complaint(void *context, struct slice line)
{
    struct fastcgi_call *call = context;
    char room[REASON_ROOM];
    log_limited(&fastcgi_of(call)->complaints, LOG_LEVEL_WARNING, "source", "%s: %.*s",
                call_reason(call, room, " says"), SLICE_ARGS(line));
}

/* The status of the response is known, and its body, if that matters. */
static void call_take(struct fastcgi_call *call)
{
    if (!verdict_may_pass(call->answer.status) || !call_retry(call))
        call_judge(call);
}

/* The server has ended the request. Any protocol status but FCGI_REQUEST_COMPLETE is a failure, and
 * so is an exit status: what a program has written before it failed is not its result. */
static void call_conclude(struct fastcgi_call *call)
{
    static const char *const names[] = {
        [FCGI_CANT_MPX_CONN] = "FCGI_CANT_MPX_CONN",
        [FCGI_OVERLOADED] = "FCGI_OVERLOADED",
        [FCGI_UNKNOWN_ROLE] = "FCGI_UNKNOWN_ROLE",
    };
    struct record_end end = call->answer.end;
    if (end.protocol_status >= sizeof names / sizeof *names) {
        call_fail(call, SOURCE_FAILED, " ended with the unknown protocol status %u",
                  end.protocol_status);
    } else if (end.protocol_status != FCGI_REQUEST_COMPLETE) {
        if (end.protocol_status != FCGI_OVERLOADED || !call_retry(call))
            call_fail(call, SOURCE_FAILED, " ended with %s", names[end.protocol_status]);
    } else if (end.app_status != 0 && call->answer.status < 400) {
        call_fail(call, SOURCE_FAILED, " ended with the exit status %u", end.app_status);
    } else {
        call_take(call);
    }
}

/* Ends the attempt after any step but FASTCGI_MORE. */
static void call_stop(struct fastcgi_call *call, enum fastcgi_step step, struct slice rest)
{
    const struct fastcgi_settings *settings = settings_of(call->call.source);
    if (step == FASTCGI_DONE && settings->keep_connections > 0 &&
        fastcgi_answer_is_clean(&call->answer, rest)) {
        fastcgi_conn_keep(call->conn);
        call->conn = NULL;
    }
    switch (step) {
    case FASTCGI_MORE:
        break;
    case FASTCGI_DONE:
        call_conclude(call);
        break;
    case FASTCGI_IGNORED:
        call_take(call);
        break;
    case FASTCGI_TOO_LARGE:
        call_fail(call, SOURCE_FAILED, " answered with more than max_body = %zu bytes",
                  settings->max_body);
        break;
    case FASTCGI_HEAD:
        call_fail(call, SOURCE_FAILED, " answered with more than %zu KiB of header fields",
                  HTTP_HEAD_MAX >> 10);
        break;
    case FASTCGI_BAD:
        call_fail(call, SOURCE_FAILED, " %s", call->answer.problem);
        break;
    case FASTCGI_NO_MEMORY:
        call_fail(call, SOURCE_FAILED,
                  " answered, but there is not enough memory for the response");
        break;
    }
}

static void on_opened(void *user)
{
    struct fastcgi_call *call = user;
    if (call->wants_times)
        call->opened = clock_monotonic();
}

static bool on_received(void *user, struct slice bytes)
{
    struct fastcgi_call *call = user;
    if (call->wants_times && !call->answer.has_begun)
        call->answered = clock_monotonic();
    enum fastcgi_step step = fastcgi_answer_feed(&call->answer, &bytes);
    if (step == FASTCGI_MORE)
        return true;
    call_stop(call, step, bytes);
    return false;
}

/* A server may close an idle connection just as we use it again, such as when children of php-fpm
 * end. That is no failure. The other idle connections are probably closed as well. */
static bool call_was_dropped(const struct fastcgi_call *call, enum fastcgi_end end)
{
    return end == FASTCGI_CLOSED && !call->dropped && !call->answer.has_begun &&
           fastcgi_conn_is_reused(call->conn);
}

static void on_ended(void *user, enum fastcgi_end end, const char *why)
{
    struct fastcgi_call *call = user;
    if (call_was_dropped(call, end)) {
        call->dropped = true;
        fastcgi_conns_drop_idle(&fastcgi_of(call)->conns);
        end_attempt(call);
        call_attempt(call);
    } else if (end == FASTCGI_CLOSED || !call_retry(call)) {
        call_fail(call, end == FASTCGI_UNANSWERED ? SOURCE_TIMED_OUT : SOURCE_FAILED, " %s", why);
    }
}

static const struct fastcgi_conn_events conn_events = {
    .opened = on_opened,
    .received = on_received,
    .ended = on_ended,
};

/* --- the source --- */

static void fastcgi_destroy(struct source *source)
{
    struct fastcgi *fastcgi = (struct fastcgi *)source;
    fastcgi_conns_end(&fastcgi->conns);
    timeout_queue_stop(&fastcgi->deadlines);
    log_limit_end(&fastcgi->complaints);
    free(fastcgi);
}

static struct source *fastcgi_create(const struct source_environment *environment,
                                     const struct source_settings *common)
{
    struct ev_loop *loop = environment->loop;
    const struct fastcgi_settings *settings = (const struct fastcgi_settings *)common;
    struct fastcgi *fastcgi = alloc_zeroed(sizeof *fastcgi);
    if (!fastcgi)
        return NULL;
    fastcgi->source = (struct source){.type = common->type, .settings = common};
    fastcgi->loop = loop;
    if (getrandom(&fastcgi->random, sizeof fastcgi->random, GRND_NONBLOCK) < 0) /* early in boot */
        fastcgi->random = (uint64_t)clock_boot_us();
    timeout_queue_init(&fastcgi->deadlines, loop, settings->timeout, on_deadline, fastcgi);
    fastcgi_conns_init(&fastcgi->conns, loop, settings, &conn_events);
    return &fastcgi->source;
}

static struct source_call *fastcgi_start(struct source *source,
                                         const struct source_request *request, source_done_fn *done,
                                         void *caller)
{
    struct fastcgi *fastcgi = (struct fastcgi *)source;
    const struct fastcgi_settings *settings = settings_of(source);
    struct fastcgi_call *call = alloc_zeroed(sizeof *call);
    if (!call)
        return NULL;
    call->call.source = source;
    call->done = done;
    call->caller = caller;
    call->asker = verdict_asker_of(request);
    call->wants_times = request->wants_times;
    call->answer.max_body = settings->max_body;
    call->answer.complain = on_complaint;
    call->answer.context = call;
    ev_timer_init(&call->again, on_again, 0., 0.);
    call->again.data = call;
    timeout_start_late(&fastcgi->deadlines, &call->deadline, request->waited);
    call->no_memory = !fastcgi_request_write(&call->request, settings, request, &fastcgi->random);
    if (call->no_memory || call->request.refusal)
        call_pause(call, 0);
    else
        call_attempt(call);
    return &call->call;
}

static void fastcgi_cancel(struct source_call *call)
{
    struct source_result result = {.status = SOURCE_CANCELLED, .reason = "cancelled"};
    call_end((struct fastcgi_call *)call, &result);
}

const struct source_type source_type_fastcgi = {
    .name = "fastcgi",
    .settings_size = sizeof(struct fastcgi_settings),
    .options = fastcgi_options,
    .option_count = FASTCGI_OPTIONS,
    .check = fastcgi_check,
    .uses_rest = fastcgi_uses_rest,
    .check_rules = fastcgi_check_rules,
    .descriptors = fastcgi_descriptors,
    .timeout = fastcgi_timeout,
    .create = fastcgi_create,
    .start = fastcgi_start,
    .cancel = fastcgi_cancel,
    .destroy = fastcgi_destroy,
};
