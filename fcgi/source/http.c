/* The http source: GET with curl. This file has the calls: their queue, their states and their
 * results. http_transfer.c has the curl transfer of one call, http_multi.c connects curl and the
 * loop.
 *
 *                             .--. redirect
 *                             v  |
 *     start --> QUEUED --> RUNNING --> FINISHED --> done()
 *                  |          |
 *                  +----------+--> deadline, cancel --> done()
 *
 * At most `connections` calls run. The others are queued here, where each takes a few hundred
 * bytes, and not inside curl, where each would need an easy handle and would not time out. Each
 * lane has a queue of its own, and the lanes with calls take turns.
 *
 * A call that ends while curl is working is only marked FINISHED, and `done` is called when curl
 * has returned. So `done` may start and cancel calls.
 */
#include "source/http.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <ev.h>
#include <utlist.h>

#include "base/alloc.h"
#include "base/container.h"
#include "base/option.h"
#include "base/timeout.h"
#include "render/text.h"
#include "source/http_multi.h"
#include "source/http_transfer.h"
#include "source/redirect.h"
#include "source/url.h"

#define REASON_ROOM 1000 /* the log cuts messages at about this length */

enum call_state { CALL_QUEUED, CALL_RUNNING, CALL_FINISHED, CALL_STATES };

struct http_call {
    struct source_call call;
    struct http_call *prev, *next;
    enum call_state state; /* also selects the list that it is in */
    unsigned lane;
    struct timeout deadline;        /* active until FINISHED */
    struct http_transfer *transfer; /* NULL if QUEUED, and if FINISHED without having run */
    CURLcode code;                  /* if FINISHED */
    source_done_fn *done;
    void *caller;
    size_t name_len;
    char name[];
};

/* The calls that are QUEUED for one route. */
struct lane {
    struct http_call *calls;  /* oldest first */
    struct lane *prev, *next; /* in http->turns, as long as it has calls */
};

struct http {
    struct source source;
    struct ev_loop *loop;
    struct http_multi multi;
    struct http_transfers transfers;
    unsigned running;      /* calls that have a transfer, FINISHED ones too */
    ev_timer settle_timer; /* active while a call is FINISHED, or a queued one may start */
    struct timeout_queue deadlines;
    struct http_call *calls[CALL_STATES]; /* none for QUEUED, which are in their lanes */
    struct lane **lanes;                  /* by number; NULL if not needed yet */
    size_t lane_count;
    struct lane *turns; /* the lane whose turn it is, then the others */
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
    struct http *http = http_of(call);
    if (call->state != CALL_QUEUED) {
        DL_DELETE(http->calls[call->state], call);
        return;
    }
    struct lane *lane = http->lanes[call->lane];
    DL_DELETE(lane->calls, call);
    if (!lane->calls)
        DL_DELETE(http->turns, lane);
}

static void call_set_state(struct http_call *call, enum call_state state)
{
    call_unlist(call);
    call->state = state;
    DL_APPEND(http_of(call)->calls[state], call);
}

/* Creates a call. */
static void call_queue(struct http_call *call)
{
    struct http *http = http_of(call);
    struct lane *lane = http->lanes[call->lane];
    if (!lane->calls)
        DL_APPEND(http->turns, lane);
    DL_APPEND(lane->calls, call);
    call->state = CALL_QUEUED;
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

static char *call_url(const struct http_call *call)
{
    return url_expand(settings_of(call->call.source)->url,
                      (struct slice){.data = call->name, .len = call->name_len});
}

static CURLcode call_run(struct http_call *call)
{
    struct http *http = http_of(call);
    CURLcode code;
    call->transfer = http_transfer_start(&http->transfers, call, call_url(call), &code);
    if (!call->transfer)
        return code;
    http->running++;
    call_set_state(call, CALL_RUNNING);
    return CURLE_OK;
}

/* Starts queued calls up to the limit: the oldest call of each lane in turn. */
static void http_run_queued(struct http *http)
{
    struct lane *lane;
    while (http->running < settings_of(&http->source)->connections && (lane = http->turns)) {
        struct http_call *call = lane->calls;
        DL_DELETE(http->turns, lane);
        DL_APPEND(http->turns, lane);
        CURLcode code = call_run(call);
        if (code)
            call_finish(call, code);
    }
}

/* The only way in which a call ends, from any state. The next call is not started immediately,
 * since it may be about to end as well, at the same deadline or at shutdown. */
static void call_end(struct http_call *call, const struct source_result *result)
{
    struct http *http = http_of(call);
    struct http_transfer *transfer = call->transfer;
    if (transfer) {
        http_transfer_stop(&http->transfers, transfer); /* may still call back */
        http->running--;
        http_settle_soon(http);
    }
    timeout_stop(&call->deadline);
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
    char *expanded = call->transfer ? NULL : call_url(call);
    const char *whole = call->transfer ? call->transfer->url : expanded;
    url_show(whole ? whole : settings->url, url);
    free(expanded);

    int len = snprintf(room, REASON_ROOM, "source \"%.100s\": %s", settings->settings.name, url);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(room + len, REASON_ROOM - (size_t)len, format, arguments);
    va_end(arguments);
    return room;
}

/* The response has arrived, or as much of it as we need. */
static void judge_response(const struct http_call *call, struct source_result *result,
                           char room[REASON_ROOM])
{
    const struct http_transfer *transfer = call->transfer;
    long status = http_transfer_status(transfer);
    struct slice type = http_transfer_header(transfer, "Content-Type");
    result->status = status == 404 || status == 410 ? SOURCE_NOT_FOUND : SOURCE_FAILED;
    if (status / 100 != 2) {
        call_reason(call, room, " answered %ld", status);
    } else if (!text_is_text(type)) {
        call_reason(call, room, " answered with %.100s, which is neither HTML nor text", type.data);
    } else {
        result->status = SOURCE_OK;
        result->type = type;
        result->body = buffer_slice(&transfer->body);
    }
}

/* Reports the outcome of the call. */
static void call_settle(struct http_call *call)
{
    struct http_transfer *transfer = call->transfer;
    char room[REASON_ROOM];
    struct source_result result = {.status = SOURCE_FAILED, .reason = room};
    enum http_stop stop = transfer ? transfer->stop : STOP_NOT;

    if (stop == STOP_TOO_LARGE) {
        call_reason(call, room, " answered with more than max_body = %zu bytes",
                    settings_of(call->call.source)->max_body);
    } else if (stop == STOP_NO_MEMORY) {
        call_reason(call, room, " answered, but there is not enough memory for the response");
    } else if (stop == STOP_REDIRECT) {
        call_reason(call, room, " %s", transfer->refusal);
    } else if (call->code == CURLE_OK || stop == STOP_IGNORED) {
        judge_response(call, &result, room);
    } else {
        if (call->code == CURLE_OPERATION_TIMEDOUT)
            result.status = SOURCE_TIMED_OUT;
        call_reason(call, room, ": %s",
                    transfer && transfer->error[0] ? transfer->error
                                                   : curl_easy_strerror(call->code));
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
    http_run_queued(http);
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
    const struct http_settings *settings = settings_of(&http->source);
    if (call->state == CALL_QUEUED)
        call_reason(call, room, ": no connection was free within timeout = %gs (connections = %u)",
                    settings->timeout, settings->connections);
    else
        call_reason(call, room, ": no complete response within timeout = %gs", settings->timeout);
    call_end(call, &(struct source_result){.status = SOURCE_TIMED_OUT, .reason = room});
}

/* --- what curl says --- */

/* The target of a redirect is fetched by the same transfer, with the same deadline; any other
 * response ends the call. */
static void on_curl_done(void *context, CURL *easy, CURLcode code)
{
    struct http *http = context;
    struct http_transfer *transfer = http_transfer_of(easy);
    struct http_call *call = transfer ? transfer->call : NULL;
    if (!call || (call->state == CALL_RUNNING &&
                  http_transfer_redirected(&http->transfers, transfer, &code)))
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

static const struct option options[] = {
    {"url", OPTION_STRING, OPTION_AT(struct http_settings, url), .required = true,
     .help = "URL to call, http or https; {name} is replaced by the fragment's name."},
    {"timeout", OPTION_DURATION, OPTION_AT(struct http_settings, timeout), .preset = "10s",
     .min = "1ms", .max = "1d",
     .help = "Time limit for a complete call; over it, requests get 504."},
    {"max_body", OPTION_SIZE, OPTION_AT(struct http_settings, max_body), .preset = "1MiB",
     .min = "1B", .max = "1GiB",
     .help = "Maximum size of a response body; for larger ones, requests get 502."},
    {"connections", OPTION_COUNT, OPTION_AT(struct http_settings, connections), .preset = "100",
     .min = "1", .max = "65535", .help = "Maximum number of concurrent calls; more are queued."},
    {"redirects", OPTION_LIST, OPTION_AT(struct http_settings, redirects), .check = redirect_check,
     .help = "Hosts that redirects may lead to besides the scheme, host and port of the url: HOST, "
             "HOST:PORT or SCHEME://HOST[:PORT]. The scheme defaults to that of the url, the port "
             "to the default port of the scheme."},
};

_Static_assert(offsetof(struct http_settings, redirect_count) ==
                   offsetof(struct http_settings, redirects) + sizeof(char **),
               "a list is followed by its count");

static const char *http_check(const struct source_settings *settings, const char **option)
{
    const char *url = ((const struct http_settings *)settings)->url;
    *option = "url";
    if (!url || !*url)
        return "a source of type http needs a url";
    return url_check(url);
}

static const char *http_lacks_name(const struct source_settings *settings)
{
    const char *url = ((const struct http_settings *)settings)->url;
    return !url || url_has_name(url) ? NULL : "url";
}

static size_t http_descriptors(const struct source_settings *settings)
{
    return ((const struct http_settings *)settings)->connections;
}

static void http_destroy(struct source *source)
{
    struct http *http = (struct http *)source;
    http_transfers_end(&http->transfers);
    http_multi_end(&http->multi);
    ev_timer_stop(http->loop, &http->settle_timer);
    timeout_queue_stop(&http->deadlines);
    for (size_t i = 0; i < http->lane_count; i++)
        free(http->lanes[i]);
    free(http->lanes);
    free(http);
}

static struct source *http_create(struct ev_loop *loop, const struct source_settings *common)
{
    const struct http_settings *settings = (const struct http_settings *)common;
    struct http *http = alloc_zeroed(sizeof *http);
    if (!http)
        return NULL;
    http->source = (struct source){.type = common->type, .settings = common};
    http->loop = loop;
    ev_timer_init(&http->settle_timer, on_settle_timer, 0., 0.);
    http->settle_timer.data = http;
    timeout_queue_init(&http->deadlines, loop, settings->timeout, on_deadline, http);
    bool ready = http_multi_init(&http->multi, loop, common->name, settings->connections,
                                 &curl_events, http);
    if (http_transfers_init(&http->transfers, settings, http->multi.handle) && ready)
        return &http->source;
    http_destroy(&http->source);
    return NULL;
}

/* Creates the lane of that number unless it exists. Returns false when out of memory. */
static bool http_need_lane(struct http *http, unsigned number)
{
    if (number >= http->lane_count) {
        size_t count = (size_t)number + 1;
        struct lane **lanes = alloc_resized(http->lanes, count * sizeof *lanes);
        if (!lanes)
            return false;
        memset(lanes + http->lane_count, 0, (count - http->lane_count) * sizeof *lanes);
        http->lanes = lanes;
        http->lane_count = count;
    }
    if (!http->lanes[number])
        http->lanes[number] = alloc_zeroed(sizeof *http->lanes[number]);
    return http->lanes[number] != NULL;
}

static struct source_call *http_start(struct source *source, const struct source_request *request,
                                      source_done_fn *done, void *caller)
{
    struct http *http = (struct http *)source;
    struct slice name = request->name;
    unsigned lane = request->lane;
    struct http_call *call =
        http_need_lane(http, lane) ? alloc_zeroed(sizeof *call + name.len) : NULL;
    if (!call)
        return NULL;
    call->call.source = source;
    call->done = done;
    call->caller = caller;
    call->lane = lane;
    call->name_len = name.len;
    if (name.len > 0)
        memcpy(call->name, name.data, name.len);
    call_queue(call);
    timeout_start(&http->deadlines, &call->deadline);
    http_run_queued(http);
    return &call->call;
}

static bool http_is_busy(const struct source *source)
{
    const struct http *http = (const struct http *)source;
    return http->running >= settings_of(source)->connections || http->turns;
}

static void http_cancel(struct source_call *source_call)
{
    struct http_call *call = (struct http_call *)source_call;
    call_end(call, &(struct source_result){.status = SOURCE_CANCELLED, .reason = "cancelled"});
}

const struct source_type source_type_http = {
    .name = "http",
    .settings_size = sizeof(struct http_settings),
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .check = http_check,
    .lacks_name = http_lacks_name,
    .descriptors = http_descriptors,
    .create = http_create,
    .start = http_start,
    .is_busy = http_is_busy,
    .cancel = http_cancel,
    .destroy = http_destroy,
};
