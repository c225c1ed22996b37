/* The http source: GET on curl's multi interface, driven by the loop. The only file that has curl
 * transfer anything.
 *
 *                             .--. redirect
 *                             v  |
 *     start --> QUEUED --> RUNNING --> FINISHED --> done()
 *                  |          |
 *                  +----------+--> deadline, cancel --> done()
 *
 * At most `connections` calls run. The others wait here, where they cost some hundred bytes each,
 * and not inside curl, where each would hold an easy handle and would not time out. Each lane has a
 * queue of its own, and those that have calls take turns.
 *
 * Redirects are followed here, not by curl, which asks nobody whether it may.
 *
 * curl works only within curl_work. What ends in there is merely marked FINISHED, and `done` is
 * called when curl has returned, so `done` may start and cancel calls as it likes.
 */
#include "source/http.h"
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <curl/curl.h>
#include <ev.h>
#include <utlist.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/log.h"
#include "base/option.h"
#include "base/timeout.h"
#include "render/text.h"
#include "source/redirect.h"
#include "source/url.h"

/* CURLOPT_QUICK_EXIT: without it, giving up a call means to wait for its name lookup. */
#if LIBCURL_VERSION_NUM < 0x075700
#error "libcurl 7.87 or later is needed"
#endif

#define REDIRECTS_MAX 3
#define IDLE_MAX      32         /* easy handles kept for the next calls */
#define IGNORED_MAX   (64 << 10) /* bytes taken of a body that nobody wants */
#define REASON_ROOM   1000       /* as much as the log takes of one message */

enum call_state { CALL_QUEUED, CALL_RUNNING, CALL_FINISHED, CALL_STATES };

/* Why we told curl to stop in the middle of a body; or do not follow where it was redirected to. */
enum stop { STOP_NOT, STOP_TOO_LARGE, STOP_NO_MEMORY, STOP_IGNORED, STOP_REDIRECT };

/* What a call has while it runs. The easy handle is set up once and serves many calls. */
struct transfer {
    CURL *easy;
    struct http_call *call; /* NULL while idle */
    char *url;              /* owned: what is fetched now */
    struct buffer body;
    size_t ignored;
    enum stop stop;
    unsigned redirects;    /* followed so far */
    struct transfer *next; /* of the idle ones */
    char error[CURL_ERROR_SIZE];
    char refusal[REDIRECT_WHY_ROOM]; /* of STOP_REDIRECT */
};

struct http_call {
    struct source_call call;
    struct http_call *prev, *next;
    enum call_state state; /* and the list that it is in */
    unsigned lane;
    struct timeout deadline;   /* active until FINISHED */
    struct transfer *transfer; /* NULL if QUEUED, and if FINISHED without having run */
    CURLcode code;             /* if FINISHED */
    source_done_fn *done;
    void *caller;
    size_t name_len;
    char name[];
};

/* The calls that are QUEUED for one route. */
struct lane {
    struct http_call *calls;  /* the oldest first */
    struct lane *prev, *next; /* in http->turns, as long as it has calls */
};

/* A socket that curl wants to be watched. */
struct watch {
    ev_io io;
    struct watch *prev, *next;
};

struct http {
    struct source source;
    struct ev_loop *loop;
    CURLM *multi;
    struct curl_slist *headers;
    ev_timer curl_timer;   /* when curl wants to be called */
    ev_timer settle_timer; /* active while a call is FINISHED, or a place is free to be taken */
    struct timeout_queue deadlines;
    struct http_call *calls[CALL_STATES]; /* of QUEUED none: they are in their lanes */
    struct lane **lanes;                  /* by number; NULL where none has been needed yet */
    size_t lane_count;
    struct lane *turns; /* whose turn it is, and the others after it */
    unsigned transfers; /* that calls have */
    struct transfer *idle;
    unsigned idle_count;
    struct watch *watches;
    struct log_limit multi_failures;
};

static struct http *http_of(const struct http_call *call)
{
    return (struct http *)call->call.source;
}

static const struct http_settings *settings_of(const struct source *source)
{
    return (const struct http_settings *)source->settings;
}

/* --- transfers --- */

/* curl's write callback, for the decoded body. */
static size_t on_body(char *bytes, size_t one, size_t len, void *context)
{
    struct transfer *transfer = context;
    size_t max_body = settings_of(transfer->call->call.source)->max_body;
    long status = 0;
    (void)one;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status / 100 != 2) {
        /* The status says it all. A short rest is taken so that the connection can be reused. */
        transfer->ignored += len;
        if (transfer->ignored <= IGNORED_MAX)
            return len;
        transfer->stop = STOP_IGNORED;
    } else if (buffer_append(&transfer->body, bytes, len, max_body)) {
        return len;
    } else {
        transfer->stop = len > max_body - transfer->body.len ? STOP_TOO_LARGE : STOP_NO_MEMORY;
    }
    return CURL_WRITEFUNC_ERROR;
}

/* What is the same for all calls. Cookies and .netrc are off in curl unless asked for. */
static CURLcode transfer_set_up(struct transfer *transfer, const struct http *http)
{
    static const struct {
        CURLoption option;
        long value;
    } numbers[] = {
        {CURLOPT_FOLLOWLOCATION, 0}, {CURLOPT_PATH_AS_IS, 1}, {CURLOPT_TCP_KEEPALIVE, 1},
        {CURLOPT_NOSIGNAL, 1},       {CURLOPT_QUICK_EXIT, 1},
    };
    static const struct {
        CURLoption option;
        const char *value;
    } strings[] = {
        {CURLOPT_PROTOCOLS_STR, "http,https"},
        {CURLOPT_PROXY, ""},           /* none, whatever the environment says */
        {CURLOPT_ACCEPT_ENCODING, ""}, /* all that curl can decode */
        {CURLOPT_USERAGENT, "workerless/" PACKAGE_VERSION},
    };
    /* The deadline is ours. curl has to know it as well to share it out among a host's addresses;
     * zero would mean curl's default. */
    long timeout_ms = (long)(settings_of(&http->source)->timeout * 1000) + 1;

    CURL *easy = transfer->easy;
    CURLcode code = CURLE_OK;
    for (size_t i = 0; !code && i < sizeof numbers / sizeof *numbers; i++)
        code = curl_easy_setopt(easy, numbers[i].option, numbers[i].value);
    for (size_t i = 0; !code && i < sizeof strings / sizeof *strings; i++)
        code = curl_easy_setopt(easy, strings[i].option, strings[i].value);
    if (!code)
        code = curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms);
    if (!code)
        code = curl_easy_setopt(easy, CURLOPT_HTTPHEADER, http->headers);
    if (!code)
        code = curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    if (!code)
        code = curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    if (!code)
        code = curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    if (!code)
        code = curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
    return code;
}

static void transfer_free(struct transfer *transfer)
{
    buffer_free(&transfer->body);
    free(transfer->url);
    curl_easy_cleanup(transfer->easy);
    free(transfer);
}

/* An idle transfer or a new one; NULL with *code if there is none to be had. */
static struct transfer *transfer_take(struct http *http, CURLcode *code)
{
    struct transfer *transfer = http->idle;
    *code = CURLE_OK;
    if (transfer) {
        LL_DELETE(http->idle, transfer);
        http->idle_count--;
        return transfer;
    }
    *code = CURLE_OUT_OF_MEMORY;
    transfer = alloc_zeroed(sizeof *transfer);
    if (!transfer)
        return NULL;
    transfer->easy = curl_easy_init();
    if (transfer->easy)
        *code = transfer_set_up(transfer, http);
    if (!*code)
        return transfer;
    transfer_free(transfer);
    return NULL;
}

/* Takes the url; NULL: there is no memory. */
static CURLcode transfer_fetch(struct transfer *transfer, struct http *http, char *url)
{
    free(transfer->url);
    transfer->url = url;
    CURLcode code = url ? curl_easy_setopt(transfer->easy, CURLOPT_URL, url) : CURLE_OUT_OF_MEMORY;
    if (!code && curl_multi_add_handle(http->multi, transfer->easy) != CURLM_OK)
        code = CURLE_OUT_OF_MEMORY;
    return code;
}

static void transfer_give_back(struct http *http, struct transfer *transfer)
{
    buffer_free(&transfer->body);
    free(transfer->url);
    transfer->url = NULL;
    transfer->call = NULL;
    transfer->ignored = 0;
    transfer->redirects = 0;
    transfer->stop = STOP_NOT;
    transfer->error[0] = '\0';
    if (http->idle_count == IDLE_MAX) {
        transfer_free(transfer);
        return;
    }
    LL_PREPEND(http->idle, transfer);
    http->idle_count++;
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

/* A new call. */
static void call_queue(struct http_call *call)
{
    struct http *http = http_of(call);
    struct lane *lane = http->lanes[call->lane];
    if (!lane->calls)
        DL_APPEND(http->turns, lane);
    DL_APPEND(lane->calls, call);
    call->state = CALL_QUEUED;
}

/* http_settle is due, but not now. */
static void http_settle_soon(struct http *http)
{
    if (ev_is_active(&http->settle_timer))
        return;
    ev_timer_set(&http->settle_timer, 0., 0.);
    ev_timer_start(http->loop, &http->settle_timer);
}

/* `done` is due, but not now: we may be inside curl, or inside source_start. */
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
    struct transfer *transfer = transfer_take(http, &code);
    if (!transfer)
        return code;

    transfer->call = call;
    code = transfer_fetch(transfer, http, call_url(call));
    if (code) {
        transfer_give_back(http, transfer);
        return code;
    }
    call->transfer = transfer;
    http->transfers++;
    call_set_state(call, CALL_RUNNING);
    return CURLE_OK;
}

/* Lets queued calls run as far as there is room: one of each lane in turn, its oldest. */
static void http_run_queued(struct http *http)
{
    struct lane *lane;
    while (http->transfers < settings_of(&http->source)->connections && (lane = http->turns)) {
        struct http_call *call = lane->calls;
        DL_DELETE(http->turns, lane);
        DL_APPEND(http->turns, lane);
        CURLcode code = call_run(call);
        if (code)
            call_finish(call, code);
    }
}

/* The one way out of a call, from any state. Its place is not taken at once: what is queued may be
 * about to end as well, at the same deadline or at shutdown. */
static void call_end(struct http_call *call, const struct source_result *result)
{
    struct http *http = http_of(call);
    struct transfer *transfer = call->transfer;
    if (transfer) {
        curl_multi_remove_handle(http->multi, transfer->easy); /* may still call back */
        http->transfers--;
        http_settle_soon(http);
    }
    timeout_stop(&call->deadline);
    call_unlist(call);
    call->done(call->caller, result);
    if (transfer)
        transfer_give_back(http, transfer);
    free(call);
}

/* `source "api": http://127.0.0.1:9000/news` and what the format says of it, for the log. */
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

static long response_status(const struct transfer *transfer)
{
    long status = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* Of the last response alone: CURLINFO_CONTENT_TYPE may be that of one before. Empty: there is no
 * such header. */
static struct slice response_header(const struct transfer *transfer, const char *name)
{
    struct curl_header *header;
    if (curl_easy_header(transfer->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return (struct slice){0};
    return slice_of(header->value);
}

/* A response has arrived, or as much of it as we wanted. */
static void judge_response(const struct http_call *call, struct source_result *result,
                           char room[REASON_ROOM])
{
    const struct transfer *transfer = call->transfer;
    long status = response_status(transfer);
    struct slice type = response_header(transfer, "Content-Type");
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

/* Tells how the call went. */
static void call_settle(struct http_call *call)
{
    struct transfer *transfer = call->transfer;
    char room[REASON_ROOM];
    struct source_result result = {.status = SOURCE_FAILED, .reason = room};
    enum stop stop = transfer ? transfer->stop : STOP_NOT;

    if (stop == STOP_TOO_LARGE) {
        call_reason(call, room, " answered with more than max_body = %zu bytes",
                    settings_of(call->call.source)->max_body);
    } else if (stop == STOP_NO_MEMORY) {
        call_reason(call, room, " answered, but there is no memory for it");
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

/* --- redirects --- */

static bool is_redirect(long status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* The url to go on with, or NULL, and why not. */
static char *redirect_of(struct transfer *transfer)
{
    struct slice location = response_header(transfer, "Location");
    if (location.len == 0)
        snprintf(transfer->refusal, sizeof transfer->refusal, "answered %ld without a Location",
                 response_status(transfer));
    else if (transfer->redirects == REDIRECTS_MAX)
        snprintf(transfer->refusal, sizeof transfer->refusal, "redirects again, after %d redirects",
                 REDIRECTS_MAX);
    else
        return redirect_target(settings_of(transfer->call->call.source), transfer->url,
                               location.data, transfer->refusal);
    return NULL;
}

/* curl is done with the response. What it redirects to is fetched by the same transfer, before the
 * same deadline; all else is the end of the call. */
static void call_conclude(struct http_call *call, CURLcode code)
{
    struct http *http = http_of(call);
    struct transfer *transfer = call->transfer;
    bool redirected = call->state == CALL_RUNNING && (!code || transfer->stop == STOP_IGNORED) &&
                      is_redirect(response_status(transfer));
    char *url = redirected ? redirect_of(transfer) : NULL;
    if (url) {
        curl_multi_remove_handle(http->multi, transfer->easy);
        transfer->redirects++;
        transfer->ignored = 0;
        transfer->stop = STOP_NOT;
        code = transfer_fetch(transfer, http, url);
        if (!code)
            return;
    } else if (redirected) {
        transfer->stop = STOP_REDIRECT;
    }
    call_finish(call, code);
}

/* Settles what is FINISHED now; what finishes meanwhile is left for the loop's next turn. */
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
    struct http_call *call =
        (struct http_call *)((char *)deadline - offsetof(struct http_call, deadline));
    char room[REASON_ROOM];
    const struct http_settings *settings = settings_of(&http->source);
    if (call->state == CALL_QUEUED)
        call_reason(call, room, ": no connection was free within timeout = %gs (connections = %u)",
                    settings->timeout, settings->connections);
    else
        call_reason(call, room, ": no complete response within timeout = %gs", settings->timeout);
    call_end(call, &(struct source_result){.status = SOURCE_TIMED_OUT, .reason = room});
}

/* --- curl and the loop --- */

/* Lets curl work, then tells what has come to its end. The watch that led here may be gone. */
static void curl_work(struct http *http, curl_socket_t fd, int mask)
{
    int running, left;
    CURLMcode code = curl_multi_socket_action(http->multi, fd, mask, &running);
    if (code != CURLM_OK)
        log_limited(&http->multi_failures, LOG_LEVEL_ERROR, "http", "source \"%s\": %s",
                    http->source.settings->name, curl_multi_strerror(code));

    CURLMsg *message;
    while ((message = curl_multi_info_read(http->multi, &left))) {
        struct transfer *transfer = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        if (message->msg == CURLMSG_DONE && transfer && transfer->call)
            call_conclude(transfer->call, message->data.result);
    }
    http_settle(http);
}

static void on_curl_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    curl_work(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static void on_socket(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    curl_work(io->data, io->fd,
              (events & EV_READ ? CURL_CSELECT_IN : 0) |
                  (events & EV_WRITE ? CURL_CSELECT_OUT : 0) |
                  (events & EV_ERROR ? CURL_CSELECT_ERR : 0));
}

/* curl's timer callback. Even for 0 curl must not be called from here. */
static int on_timer_wanted(CURLM *multi, long timeout_ms, void *context)
{
    struct http *http = context;
    (void)multi;
    ev_timer_stop(http->loop, &http->curl_timer);
    if (timeout_ms >= 0) {
        ev_timer_set(&http->curl_timer, (double)timeout_ms / 1000, 0.);
        ev_timer_start(http->loop, &http->curl_timer);
    }
    return 0;
}

static void watch_free(struct http *http, struct watch *watch)
{
    ev_io_stop(http->loop, &watch->io);
    DL_DELETE(http->watches, watch);
    free(watch);
}

static struct watch *watch_new(struct http *http, curl_socket_t fd)
{
    struct watch *watch = alloc_zeroed(sizeof *watch);
    if (!watch)
        return NULL;
    ev_io_init(&watch->io, on_socket, fd, 0);
    watch->io.data = http;
    DL_PREPEND(http->watches, watch);
    if (curl_multi_assign(http->multi, fd, watch) == CURLM_OK)
        return watch;
    watch_free(http, watch);
    return NULL;
}

/* curl's socket callback. The easy handle may be one of curl's own. */
static int on_watch_wanted(CURL *easy, curl_socket_t fd, int what, void *context, void *socket)
{
    struct http *http = context;
    struct watch *watch = socket;
    if (what == CURL_POLL_REMOVE) {
        if (watch)
            watch_free(http, watch);
        return 0;
    }
    if (!watch)
        watch = watch_new(http, fd);
    if (!watch) {
        /* One call fails. Returning -1 would end every call of the source. */
        struct transfer *transfer = NULL;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
        if (transfer && transfer->call)
            call_finish(transfer->call, CURLE_OUT_OF_MEMORY);
        return 0;
    }
    int events = (what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0);
    ev_io_stop(http->loop, &watch->io);
    ev_io_set(&watch->io, fd, events);
    if (events)
        ev_io_start(http->loop, &watch->io);
    return 0;
}

/* --- the source --- */

static const struct option options[] = {
    {"url", OPTION_STRING, OPTION_AT(struct http_settings, url), .required = true,
     .help = "What is called, http or https; {name} stands for the fragment's name."},
    {"timeout", OPTION_DURATION, OPTION_AT(struct http_settings, timeout), .preset = "10s",
     .min = "1ms", .max = "1d", .help = "Time for a whole call; beyond it the answer is 504."},
    {"max_body", OPTION_SIZE, OPTION_AT(struct http_settings, max_body), .preset = "1MiB",
     .min = "1B", .max = "1GiB",
     .help = "What a call may bring, at most; beyond it the answer is 502."},
    {"connections", OPTION_COUNT, OPTION_AT(struct http_settings, connections), .preset = "100",
     .min = "1", .max = "65535",
     .help = "Calls under way at the same time, at most; further ones queue."},
    {"redirects", OPTION_LIST, OPTION_AT(struct http_settings, redirects), .check = redirect_check,
     .help = "Where redirects may lead besides the scheme, host and port of the url: HOST, "
             "HOST:PORT or SCHEME://HOST[:PORT]; the scheme defaults to the url's, the port to the "
             "scheme's own."},
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

static bool curl_ready(void)
{
    static bool ready;
    if (ready)
        return true;
    CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
    if (code) {
        log_error("http", "can't set up libcurl: %s", curl_easy_strerror(code));
        return false;
    }
    ready = true;
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
    if (!(curl->features & CURL_VERSION_ASYNCHDNS))
        log_warning("http",
                    "this libcurl (%s) can't look up hosts in the background: "
                    "a slow name server will hold up everything",
                    curl->version);
    return true;
}

static void http_destroy(struct source *source)
{
    struct http *http = (struct http *)source;
    struct transfer *transfer;
    while ((transfer = http->idle)) {
        LL_DELETE(http->idle, transfer);
        transfer_free(transfer);
    }
    curl_multi_cleanup(http->multi); /* calls back to us once more */
    while (http->watches)
        watch_free(http, http->watches);
    ev_timer_stop(http->loop, &http->curl_timer);
    ev_timer_stop(http->loop, &http->settle_timer);
    timeout_queue_stop(&http->deadlines);
    curl_slist_free_all(http->headers);
    log_limit_end(&http->multi_failures);
    for (size_t i = 0; i < http->lane_count; i++)
        free(http->lanes[i]);
    free(http->lanes);
    free(http);
}

static bool http_set_up_multi(struct http *http)
{
    long connections = (long)settings_of(&http->source)->connections;
    http->multi = curl_multi_init();
    if (!http->multi)
        return false;
#if LIBCURL_VERSION_NUM >= 0x081400
    curl_multi_setopt(http->multi, CURLMOPT_QUICK_EXIT, 1L);
#endif
    return !curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_watch_wanted) &&
           !curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http) &&
           !curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted) &&
           !curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http) &&
           !curl_multi_setopt(http->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections) &&
           !curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, connections);
}

static struct source *http_create(struct ev_loop *loop, const struct source_settings *settings)
{
    struct http *http = curl_ready() ? alloc_zeroed(sizeof *http) : NULL;
    if (!http)
        return NULL;
    http->source = (struct source){.type = settings->type, .settings = settings};
    http->loop = loop;
    ev_timer_init(&http->curl_timer, on_curl_timer, 0., 0.);
    ev_timer_init(&http->settle_timer, on_settle_timer, 0., 0.);
    http->curl_timer.data = http->settle_timer.data = http;
    timeout_queue_init(&http->deadlines, loop, settings_of(&http->source)->timeout, on_deadline,
                       http);
    http->headers =
        curl_slist_append(NULL,
                          "Accept: text/html, text/plain;q=0.9, application/json;q=0.8, */*;q=0.1");
    if (http->headers && http_set_up_multi(http))
        return &http->source;
    http_destroy(&http->source);
    return NULL;
}

/* Makes the lane of that number, unless it is there. False: there is no memory. */
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

static struct source_call *http_start(struct source *source, struct slice name, unsigned lane,
                                      source_done_fn *done, void *caller)
{
    struct http *http = (struct http *)source;
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
    return http->transfers >= settings_of(source)->connections || http->turns;
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
