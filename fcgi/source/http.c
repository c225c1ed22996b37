/* The http source: GET or POST with curl. This file has the calls: their states and their results.
 * http_transfer.c has the curl transfer of one call, http_multi.c connects curl and the loop.
 *
 *                 .--. redirect, dropped connection
 *                 v  |
 *     start --> RUNNING --> FINISHED --> done()
 *                | ^ |
 *          retry v | '--> deadline, cancel --> done()
 *             WAITING ---------------^
 *
 * At most `connections` calls run. The others are queued by guard.c, and not inside curl, where
 * each would need an easy handle and would not time out.
 *
 * A call that ends while curl is working is only marked FINISHED, and `done` is called when curl
 * has returned. So `done` may start and cancel calls.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <ev.h>
#include <utlist.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/counters.h"
#include "base/random.h"
#include "base/timeout.h"
#include "source/body.h"
#include "source/forward.h"
#include "source/http_multi.h"
#include "source/http_options.h"
#include "source/http_settings.h"
#include "source/http_transfer.h"
#include "source/terms.h"
#include "source/url.h"
#include "source/verdict.h"

#define REASON_ROOM 1000 /* the log cuts messages at about this length */

enum call_state {
    CALL_RUNNING,
    CALL_WAITING, /* for its next retry */
    CALL_FINISHED,
    CALL_STATES
};

struct http_call {
    struct source_call call;
    struct http_call *prev, *next;
    enum call_state state;   /* also selects the list that it is in */
    struct timeout deadline; /* active until FINISHED */
    ev_timer again;          /* active while WAITING */
    unsigned retries;        /* made so far */
    bool dropped; /* it was repeated because its idle connection had been closed; happens once */
    struct http_transfer *transfer; /* NULL if it could not be started */
    CURLcode code;                  /* if FINISHED */
    const char *refusal;            /* why it must not be started; NULL: it may */
    source_done_fn *done;
    void *caller;
    struct verdict_asker asker;
    char forbidden_by[TERMS_WHY_ROOM]; /* why a redirect must not be shared; "": it may be */
};

struct http {
    struct source source;
    struct ev_loop *loop;
    struct http_multi multi;
    struct http_transfers transfers;
    ev_timer settle_timer; /* active while a call is FINISHED */
    struct timeout_queue deadlines;
    struct http_call *calls[CALL_STATES];
};

static struct http *http_of(const struct http_call *call)
{
    return (struct http *)call->call.source;
}

static const struct http_settings *settings_of(const struct source *source)
{
    return (const struct http_settings *)source->settings;
}

/* --- calls --- */

static void call_unlist(struct http_call *call)
{
    DL_DELETE(http_of(call)->calls[call->state], call);
}

static void call_set_state(struct http_call *call, enum call_state state)
{
    call_unlist(call);
    call->state = state;
    DL_APPEND(http_of(call)->calls[state], call);
}

/* Schedules http_settle, which must not run now. */
static void http_settle_soon(struct http *http)
{
    if (ev_is_active(&http->settle_timer))
        return;
    ev_timer_set(&http->settle_timer, 0., 0.);
    ev_timer_start(http->loop, &http->settle_timer);
}

/* Schedules `done`, which must not be called now: we may be inside curl or source_start. */
static void call_finish(struct http_call *call, CURLcode code)
{
    call->code = code;
    timeout_stop(&call->deadline);
    call_set_state(call, CALL_FINISHED);
    http_settle_soon(http_of(call));
}

/* The only way in which a call ends, from any state. */
static void call_end(struct http_call *call, struct source_result *result)
{
    struct http *http = http_of(call);
    struct http_transfer *transfer = call->transfer;
    if (transfer)
        result->times = http_transfer_times(transfer);
    if (transfer)
        http_transfer_stop(&http->transfers, transfer); /* may still call back */
    timeout_stop(&call->deadline);
    ev_timer_stop(http->loop, &call->again);
    call_unlist(call);
    call->done(call->caller, result);
    if (transfer)
        http_transfer_give_back(&http->transfers, transfer);
    free(call);
}

/* Writes a reason for the log: `source "api": http://127.0.0.1:9000/news` and the formatted
 * text. */
__attribute__((format(printf, 3, 4))) static const char *
call_reason(const struct http_call *call, char room[REASON_ROOM], const char *format, ...)
{
    const struct http_settings *settings = settings_of(call->call.source);
    char url[URL_SHOWN_ROOM];
    url_show(call->transfer ? call->transfer->url : settings->url, url);

    int len = snprintf(room, REASON_ROOM, "source \"%.100s\": %s", settings->settings.name, url);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(room + len, REASON_ROOM - (size_t)len, format, arguments);
    va_end(arguments);
    return room;
}

/* The response has arrived, or as much of it as we need. */
static struct verdict_response response_of(const struct http_call *call)
{
    const struct http_transfer *transfer = call->transfer;
    return (struct verdict_response){
        .status = (int)http_transfer_status(transfer),
        .head = &transfer->head,
        .body = buffer_slice(&transfer->body),
        .is_conditional = http_transfer_asks(transfer),
        .any_type = call->asker.rules && call->asker.rules->any_type,
    };
}

/* What a redirect leads to is cached in its place. So if the redirect must not be shared (it may
 * have begun a session, whose id is in its Location), neither must the result. */
static void heed_redirect(struct http_call *call)
{
    struct terms_reader reader;
    long status = http_transfer_status(call->transfer);
    if (call->forbidden_by[0] || status / 100 != 3 || status == 304)
        return;
    struct verdict_response response = response_of(call);
    struct source_terms terms = verdict_terms(&response, &call->asker, &reader);
    if (terms.sharing == SHARING_FORBIDDEN)
        snprintf(call->forbidden_by, sizeof call->forbidden_by, "a redirect with %s", terms.why);
}

/* Reports the outcome of the call. */
static void call_settle(struct http_call *call)
{
    struct http_transfer *transfer = call->transfer;
    struct terms_reader reader;
    struct source_terms terms;
    char room[REASON_ROOM];
    struct source_result result = {.status = SOURCE_FAILED, .reason = room};
    enum http_stop stop = transfer ? transfer->stop : STOP_NOT;

    if (call->refusal) {
        call_reason(call, room, ": %s", call->refusal);
    } else if (stop == STOP_TOO_LARGE) {
        call_reason(call, room, " answered with more than max_body = %zu bytes",
                    settings_of(call->call.source)->max_body);
    } else if (stop == STOP_NO_MEMORY) {
        call_reason(call, room, " answered, but there is not enough memory for the response");
    } else if (stop == STOP_HEAD) {
        call_reason(call, room, " answered with more than %zu KiB of header fields",
                    HTTP_HEAD_MAX >> 10);
    } else if (stop == STOP_REDIRECT) {
        call_reason(call, room, " %s", transfer->refusal);
    } else if (call->code == CURLE_OK || stop == STOP_IGNORED) {
        struct verdict_response response = response_of(call);
        char why[VERDICT_WHY_ROOM] = "";
        verdict_judge(&response, &result, why);
        call_reason(call, room, " %s", why);
        terms = verdict_terms(&response, &call->asker, &reader);
        if (transfer->redirects > 0) /* the validators are those of another url (RFC 9110 8.8) */
            terms.etag = terms.last_modified = (struct slice){0};
        if (call->forbidden_by[0]) {
            terms.sharing = SHARING_FORBIDDEN;
            terms.why = call->forbidden_by;
        }
        result.terms = &terms;
    } else {
        if (call->code == CURLE_OPERATION_TIMEDOUT)
            result.status = SOURCE_TIMED_OUT;
        char failure[HTTP_FAILURE_ROOM] = "out of memory";
        if (transfer)
            http_transfer_failure(transfer, call->code, failure);
        call_reason(call, room, ": %s", failure);
    }
    call_end(call, &result);
}

/* Ends the calls that are FINISHED now; those that finish meanwhile wait for the loop's next
 * turn. */
static void http_settle(struct http *http)
{
    struct http_call *call;
    size_t count;
    DL_COUNT(http->calls[CALL_FINISHED], call, count);
    while (count-- > 0 && (call = http->calls[CALL_FINISHED]))
        call_settle(call);
    if (!http->calls[CALL_FINISHED])
        ev_timer_stop(http->loop, &http->settle_timer);
}

static void on_settle_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    http_settle(timer->data);
}

static void on_deadline(void *context, struct timeout *deadline)
{
    struct http *http = context;
    struct http_call *call = container_of(deadline, struct http_call, deadline);
    char room[REASON_ROOM];
    call_reason(call, room, ": no complete response within timeout = %gs",
                settings_of(&http->source)->timeout);
    call_end(call, &(struct source_result){.status = SOURCE_TIMED_OUT, .reason = room});
}

/* --- retries --- */

static void call_repeat(struct http_call *call, bool fresh)
{
    call_set_state(call, CALL_RUNNING);
    CURLcode code = http_transfer_repeat(&http_of(call)->transfers, call->transfer, fresh);
    if (code)
        call_finish(call, code);
}

static void on_again(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    call_repeat(timer->data, false);
}

/* Whether the failure may be a passing one, so that a retry makes sense. */
static bool may_pass(const struct http_transfer *transfer, CURLcode code)
{
    long status = http_transfer_status(transfer);
    if (code == CURLE_OK || transfer->stop == STOP_IGNORED)
        return verdict_may_pass((int)status);
    return code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST;
}

/* The seconds to wait before the next retry; negative: there is none. */
static double call_pause(const struct http_call *call, CURLcode code)
{
    struct http *http = http_of(call);
    if (call->retries >= settings_of(&http->source)->retries || !may_pass(call->transfer, code))
        return -1;
    double pause =
        verdict_pause(&call->transfer->head, call->retries, random_unit(&http->transfers.random));
    return clock_monotonic() + pause < call->deadline.at ? pause : -1;
}

/* Repeats the call, with which curl is done, now or later. Returns false if it is not repeated. */
static bool call_retry(struct http_call *call, CURLcode code)
{
    struct http *http = http_of(call);
    bool dropped = !call->dropped && http_transfer_was_dropped(call->transfer, code);
    double pause = dropped ? 0 : call_pause(call, code);
    if (pause < 0)
        return false;
    http_transfer_stop(&http->transfers, call->transfer);
    if (dropped) {
        call->dropped = true;
        call_repeat(call, true);
        return true;
    }
    call->retries++;
    counter_add(COUNTER_CALLS_RETRIED, 1);
    call_set_state(call, CALL_WAITING);
    ev_timer_set(&call->again, pause, 0.);
    ev_timer_start(http->loop, &call->again);
    return true;
}

/* --- what curl says --- */

/* The target of a redirect is fetched by the same transfer, with the same deadline; any other
 * response ends the call, unless it is repeated. */
static void on_curl_done(void *context, CURL *easy, CURLcode code)
{
    struct http *http = context;
    struct http_transfer *transfer = http_transfer_of(easy);
    struct http_call *call = transfer ? transfer->call : NULL;
    if (call && call->state == CALL_RUNNING)
        heed_redirect(call);
    if (!call ||
        (call->state == CALL_RUNNING &&
         (http_transfer_redirected(&http->transfers, transfer, &code) || call_retry(call, code))))
        return;
    call_finish(call, code);
}

static void on_curl_unwatched(void *context, CURL *easy)
{
    struct http_transfer *transfer = http_transfer_of(easy);
    (void)context;
    if (transfer)
        call_finish(transfer->call, CURLE_OUT_OF_MEMORY);
}

static void on_curl_worked(void *context)
{
    http_settle(context);
}

static const struct http_multi_events curl_events = {
    .done = on_curl_done,
    .unwatched = on_curl_unwatched,
    .worked = on_curl_worked,
};

/* --- the source --- */

static void http_destroy(struct source *source)
{
    struct http *http = (struct http *)source;
    http_transfers_end(&http->transfers);
    http_multi_end(&http->multi);
    ev_timer_stop(http->loop, &http->settle_timer);
    timeout_queue_stop(&http->deadlines);
    free(http);
}

static struct source *http_create(const struct source_environment *environment,
                                  const struct source_settings *common)
{
    struct ev_loop *loop = environment->loop;
    const struct http_settings *settings = (const struct http_settings *)common;
    struct http *http = alloc_zeroed(sizeof *http);
    if (!http)
        return NULL;
    http->source = (struct source){.type = common->type, .settings = common};
    http->loop = loop;
    ev_timer_init(&http->settle_timer, on_settle_timer, 0., 0.);
    http->settle_timer.data = http;
    timeout_queue_init(&http->deadlines, loop, settings->timeout, on_deadline, http);
    bool ready = http_multi_init(&http->multi, loop, common->name,
                                 (unsigned)common->limits.connections, &curl_events, http);
    if (http_transfers_init(&http->transfers, settings, &http->multi) && ready)
        return &http->source;
    http_destroy(&http->source);
    return NULL;
}

/* What is sent for the request. If it must not be sent, sets *refusal. */
static struct http_request request_of(const struct http_settings *settings,
                                      const struct source_request *request, const char **refusal)
{
    struct http_request sent = {.request_id = request->request_id,
                                .traceparent = request->traceparent,
                                .wants_times = request->wants_times,
                                .etag = request->etag,
                                .last_modified = request->last_modified};
    struct source_request others = *request;
    struct body_others room;
    if (settings->method == METHOD_POST) {
        const char *body = settings->body ? settings->body : "";
        sent.body =
            body_expand(body, body_format(http_body_type(settings)), request, &sent.body_len);
        others.inputs = body_other_inputs(body, settings->url, request->inputs, &room);
    }
    enum forward_result result = forward_fields(settings->url, &others, &sent.fields, refusal);
    if (result == FORWARD_REFUSED || result == FORWARD_NO_MEMORY)
        return sent;
    sent.url = url_expand(settings->url, &others);
    if (sent.url && url_has_dot_segment(sent.url))
        *refusal = "a value of the request would make \".\" or \"..\" a part of the path";
    return sent;
}

static struct source_call *http_start(struct source *source, const struct source_request *request,
                                      source_done_fn *done, void *caller)
{
    struct http *http = (struct http *)source;
    struct http_call *call = alloc_zeroed(sizeof *call);
    CURLcode code = CURLE_OK;
    if (!call)
        return NULL;
    call->call.source = source;
    call->done = done;
    call->caller = caller;
    call->asker = verdict_asker_of(request);
    call->state = CALL_RUNNING;
    DL_APPEND(http->calls[CALL_RUNNING], call);
    ev_timer_init(&call->again, on_again, 0., 0.);
    call->again.data = call;
    timeout_start_late(&http->deadlines, &call->deadline, request->waited);
    struct http_request sent = request_of(settings_of(source), request, &call->refusal);
    if (call->refusal)
        http_request_free(&sent);
    else
        call->transfer = http_transfer_start(&http->transfers, call, sent, &code);
    if (!call->transfer)
        call_finish(call, code);
    return &call->call;
}

static void http_cancel(struct source_call *source_call)
{
    struct http_call *call = (struct http_call *)source_call;
    call_end(call, &(struct source_result){.status = SOURCE_CANCELLED, .reason = "cancelled"});
}

const struct source_type source_type_http = {
    .name = "http",
    .settings_size = sizeof(struct http_settings),
    .options = http_options,
    .option_count = HTTP_OPTIONS,
    .check = http_check,
    .lacks_name = http_lacks_name,
    .uses_rest = http_uses_rest,
    .check_rules = http_check_rules,
    .descriptors = http_descriptors,
    .timeout = http_timeout,
    .create = http_create,
    .start = http_start,
    .cancel = http_cancel,
    .destroy = http_destroy,
};
