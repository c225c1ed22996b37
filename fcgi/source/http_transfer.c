/* Transfers: curl's options and its callbacks. */
#include "source/http_transfer.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/random.h>
#include <utlist.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "source/http_features.h"
#include "source/http_head.h"
#include "source/http_tls.h"

/* CURLOPT_QUICK_EXIT: without it, aborting a call waits for its name lookup. */
#if LIBCURL_VERSION_NUM < 0x075700
#error "libcurl 7.87 or later is needed"
#endif

#define REDIRECTS_MAX 3
#define LOOKUP_LIFE_S 60L        /* curl's own default */
#define CONNECT_S     300        /* the same */
#define IDLE_MAX      256        /* idle easy handles kept for later calls, of some 7 KiB */
#define IGNORED_MAX   (64 << 10) /* bytes read of a body that is not needed */

long http_transfer_status(const struct http_transfer *transfer)
{
    long status = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

void http_transfer_failure(const struct http_transfer *transfer, CURLcode code,
                           char out[HTTP_FAILURE_ROOM])
{
    long error = 0;
    const char *socket = transfer->settings->socket;
    int len = snprintf(out, HTTP_FAILURE_ROOM, "%s",
                       transfer->error[0] ? transfer->error : curl_easy_strerror(code));
    curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &error);
    if (http_is_set(socket) && code == CURLE_COULDNT_CONNECT && error != 0)
        snprintf(out + len, HTTP_FAILURE_ROOM - (size_t)len, " (%s: %s)", socket,
                 strerror((int)error));
}

/* --- libcurl's memory of the last header, see http_features_remembers_header --- */

/* curl's debug callback, which gets each line of a head before curl reads it. Without its blank, and
 * with it all that follows, libcurl refuses the line, and the transfer fails: so does the first one
 * of a handle. */
static int on_line(CURL *easy, curl_infotype type, char *line, size_t len, void *context)
{
    (void)easy;
    (void)context;
    if (type == CURLINFO_HEADER_IN && len > 0 && (line[0] == ' ' || line[0] == '\t'))
        line[0] = '\0';
    return 0;
}

/* Whether on_line is called, which is to be from the status line to the first field. */
static CURLcode set_looking(struct http_transfer *transfer, bool looking)
{
    if (transfer->looking == looking)
        return CURLE_OK;
    transfer->looking = looking;
    return curl_easy_setopt(transfer->easy, CURLOPT_VERBOSE, looking ? 1L : 0L);
}

/* After a line of a head. libcurl remembers fields, but not the status line, which it also takes in
 * lower case, nor the empty one that ends an informational head. */
static CURLcode look_at_next(struct http_transfer *transfer, struct slice line)
{
    if (slice_starts(line, SLICE("\r")) || slice_starts(line, SLICE("\n")))
        return CURLE_OK;
    struct slice status = SLICE("HTTP/");
    return set_looking(transfer, line.len >= status.len &&
                                     strncasecmp(line.data, status.data, status.len) == 0);
}

/* --- what a transfer receives --- */

/* curl's header callback, for the status line and each header line. */
static size_t on_header(char *bytes, size_t one, size_t len, void *context)
{
    struct http_transfer *transfer = context;
    struct slice line = {.data = bytes, .len = len};
    (void)one;
    if (transfer->looks && look_at_next(transfer, line) != CURLE_OK)
        return CURL_WRITEFUNC_ERROR;
    if (http_head_add(&transfer->head, line))
        return len;
    transfer->stop = transfer->head.lines.len + len < HTTP_HEAD_MAX ? STOP_NO_MEMORY : STOP_HEAD;
    return CURL_WRITEFUNC_ERROR;
}

/* curl's write callback, for the decoded body. */
static size_t on_body(char *bytes, size_t one, size_t len, void *context)
{
    struct http_transfer *transfer = context;
    size_t max_body = transfer->settings->max_body;
    (void)one;
    if (http_transfer_status(transfer) / 100 != 2) {
        /* Only the status matters. A short body is read so that the connection can be reused. */
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

/* Only the source's own host is known to support HTTP/2. */
static CURLcode set_version(const struct http_transfer *transfer, bool elsewhere)
{
    enum http2_use http2 = transfer->settings->http2;
    long version = CURL_HTTP_VERSION_1_1;
    if (http2 == HTTP2_PRIOR_KNOWLEDGE && !elsewhere)
        version = CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
    else if (http2 != HTTP2_NO && http_features_has_http2())
        version = CURL_HTTP_VERSION_2TLS;
    CURLcode code = curl_easy_setopt(transfer->easy, CURLOPT_HTTP_VERSION, version);
    if (code || http2 != HTTP2_PRIOR_KNOWLEDGE)
        return code;
    /* Not CURLOPT_PIPEWAIT: libcurl 8.14 lets a call wait with it until all of its connection's other
     * calls have ended. So calls that start together may open a connection each. */
    bool breaks = http_features_breaks_http2();
    code = curl_easy_setopt(transfer->easy, CURLOPT_FRESH_CONNECT, breaks ? 1L : 0L);
    if (!code)
        code = curl_easy_setopt(transfer->easy, CURLOPT_FORBID_REUSE, breaks ? 1L : 0L);
    return code;
}

/* Options that are the same for all calls. curl uses cookies and .netrc only on request. */
static CURLcode set_up(struct http_transfer *transfer)
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
        {CURLOPT_PROXY, ""},           /* none, regardless of the environment... */
        {CURLOPT_NOPROXY, ""},         /* ...which need not be asked */
        {CURLOPT_ACCEPT_ENCODING, ""}, /* decode all that curl can */
    };
    CURL *easy = transfer->easy;
    CURLcode code = CURLE_OK;
    for (size_t i = 0; !code && i < sizeof numbers / sizeof *numbers; i++)
        code = curl_easy_setopt(easy, numbers[i].option, numbers[i].value);
    for (size_t i = 0; !code && i < sizeof strings / sizeof *strings; i++)
        code = curl_easy_setopt(easy, strings[i].option, strings[i].value);
    if (!code && http_is_set(transfer->settings->socket))
        code = curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, transfer->settings->socket);
    if (!code)
        code = set_version(transfer, false);
    if (!code)
        code = http_tls_trust(easy, transfer->settings);
    if (!code)
        code = http_tls_show(easy, transfer->settings, true);
    if (!code)
        code = curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    if (!code)
        code = curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    if (!code)
        code = curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    if (!code)
        code = curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    if (!code)
        code = curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_line);
    if (!code)
        code = curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    if (!code)
        code = curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
    return code;
}

/* We enforce the deadline. curl has to know it as well, to divide it among the addresses of a host;
 * but then it keeps a timer for each transfer. And with each one, it looks for lookups of names that
 * are too old. A host that is an address needs neither. */
static CURLcode set_host(const struct http_transfers *transfers, CURL *easy, bool elsewhere)
{
    bool is_address = transfers->has_address && !elsewhere;
    double seconds = transfers->settings->timeout;
    long connect_ms = is_address && seconds <= CONNECT_S ? 0 : (long)(seconds * 1000) + 1;
    CURLcode code = curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
    if (!code)
        code = curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, is_address ? -1L : LOOKUP_LIFE_S);
    return code;
}

static void transfer_free(struct http_transfer *transfer)
{
    http_head_clear(&transfer->head);
    buffer_free(&transfer->body);
    free(transfer->url);
    free(transfer->sent);
    curl_easy_cleanup(transfer->easy);
    free(transfer);
}

/* Returns an idle transfer or a new one; NULL with *code on failure. */
static struct http_transfer *take(struct http_transfers *transfers, CURLcode *code)
{
    struct http_transfer *transfer = transfers->idle;
    *code = CURLE_OK;
    if (transfer) {
        LL_DELETE(transfers->idle, transfer);
        transfers->idle_count--;
        return transfer;
    }
    *code = CURLE_OUT_OF_MEMORY;
    transfer = alloc_zeroed(sizeof *transfer);
    if (!transfer)
        return NULL;
    transfer->settings = transfers->settings;
    transfer->looks = transfers->looks;
    transfer->easy = curl_easy_init();
    if (transfer->easy)
        *code = set_up(transfer);
    if (!*code)
        *code = http_multi_prepare(transfers->multi, transfer->easy);
    if (!*code)
        *code = set_host(transfers, transfer->easy, false);
    if (!*code)
        return transfer;
    transfer_free(transfer);
    return NULL;
}

/* --- header fields --- */

/* Puts the line before the list. */
static struct curl_slist *before(struct curl_slist *list, struct curl_slist *entry, char *line)
{
    *entry = (struct curl_slist){.data = line, .next = list};
    return entry;
}

/* The list for libcurl of requests to the source's own host, without inputs of the request. */
static struct curl_slist *own_list(const struct http_transfers *transfers,
                                   struct http_transfer *transfer, bool written)
{
    struct curl_slist *list = written ? transfers->fields.rest : transfers->fields.all;
    if (transfer->if_modified_since[0])
        list = before(list, &transfer->own[0], transfer->if_modified_since);
    if (transfer->if_none_match[0])
        list = before(list, &transfer->own[1], transfer->if_none_match);
    if (written)
        return list;
    list = before(list, &transfer->own[2], transfer->traceparent);
    return before(list, &transfer->own[3], transfer->request_id);
}

static void drop_list(struct http_transfer *transfer)
{
    if (!transfer->list)
        return;
    curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(transfer->list);
    transfer->list = NULL;
}

/* `written`: ours are behind the target. */
static CURLcode set_list(const struct http_transfers *transfers, struct http_transfer *transfer,
                         bool written)
{
    struct curl_slist *list = transfers->fields.elsewhere;
    drop_list(transfer);
    if (!transfer->elsewhere)
        list = own_list(transfers, transfer, written);
    if (!transfer->elsewhere && transfer->fields) {
        list = transfer->list = http_fields_with(list, transfer->fields);
        if (!list)
            return CURLE_OUT_OF_MEMORY;
    }
    return curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, list);
}

/* --- a call --- */

void http_request_free(struct http_request *request)
{
    free(request->url);
    free(request->body);
    free(request->fields);
    *request = (struct http_request){0};
}

/* Only the host of the source's url gets our credentials. */
static CURLcode go_elsewhere(const struct http_transfers *transfers, struct http_transfer *transfer,
                             bool elsewhere)
{
    if (transfer->elsewhere == elsewhere)
        return CURLE_OK;
    transfer->elsewhere = elsewhere;
    CURLcode code = set_version(transfer, elsewhere);
    if (!code)
        code = set_host(transfers, transfer->easy, elsewhere);
    if (!code)
        code = http_tls_show(transfer->easy, transfer->settings, !elsewhere);
    return code;
}

/* What a url has behind the origin of the source's own url, if it can be sent as it is: a path, and
 * perhaps a query. NULL: curl has to read the url. */
static const char *target_of(const struct http_transfers *transfers, const char *url)
{
    const char *target = url + transfers->origin_len;
    if (!transfers->origin || strncmp(url, transfers->settings->url, transfers->origin_len) != 0 ||
        *target != '/')
        return NULL;
    for (const char *at = target; *at; at++)
        if (*at <= ' ' || *at > '~' || *at == '#')
            return NULL;
    return target;
}

/* Sets the target, with our fields behind it if `written`; NULL: libcurl takes that of the url. */
static CURLcode set_target(const struct http_transfers *transfers, struct http_transfer *transfer,
                           const char *target, bool written)
{
    if (!written)
        return curl_easy_setopt(transfer->easy, CURLOPT_REQUEST_TARGET, target);
    char *whole =
        http_fields_write(&transfers->fields, slice_of(target), slice_of(transfer->request_id),
                          slice_of(transfer->traceparent));
    if (!whole)
        return CURLE_OUT_OF_MEMORY;
    CURLcode code = curl_easy_setopt(transfer->easy, CURLOPT_REQUEST_TARGET, whole);
    free(whole);
    return code;
}

/* curl takes a url apart, and puts it together again, for each transfer. So it is given the origin,
 * which has been read, and the target. */
static CURLcode set_request(const struct http_transfers *transfers, struct http_transfer *transfer)
{
    const char *target = target_of(transfers, transfer->url);
    bool written = target && transfers->fields.text && !transfer->elsewhere && !transfer->replaces;
    CURLcode code =
        curl_easy_setopt(transfer->easy, CURLOPT_CURLU, target ? transfers->origin : NULL);
    if (!code)
        code = set_target(transfers, transfer, target, written);
    if (!code && !target)
        code = curl_easy_setopt(transfer->easy, CURLOPT_URL, transfer->url);
    return code ? code : set_list(transfers, transfer, written);
}

/* Gives it to curl. */
static CURLcode begin(const struct http_transfers *transfers, struct http_transfer *transfer)
{
    CURLcode code = set_looking(transfer, false);
    if (transfer->timed) {
        transfer->began = clock_monotonic();
        transfer->attempts++;
    }
    if (!code && curl_multi_add_handle(transfers->multi->handle, transfer->easy) != CURLM_OK)
        code = CURLE_OUT_OF_MEMORY;
    return code;
}

/* Takes the url, which is NULL when out of memory. */
static CURLcode fetch(struct http_transfers *transfers, struct http_transfer *transfer, char *url,
                      bool elsewhere)
{
    http_head_clear(&transfer->head);
    free(transfer->url);
    transfer->url = url;
    CURLcode code = url ? go_elsewhere(transfers, transfer, elsewhere) : CURLE_OUT_OF_MEMORY;
    if (!code)
        code = set_request(transfers, transfer);
    return code ? code : begin(transfers, transfer);
}

/* Asks for the result only if it has changed (RFC 9110 13.1.2, 13.1.3). For a POST, these
 * conditions would have another meaning. */
static void set_conditions(struct http_transfer *transfer, const struct http_request *request)
{
    bool may_ask = transfer->settings->method == METHOD_GET;
    transfer->if_none_match[0] = transfer->if_modified_since[0] = '\0';
    if (may_ask && request->last_modified.len > 0 && request->last_modified.len <= TERMS_DATE_MAX)
        snprintf(transfer->if_modified_since, sizeof transfer->if_modified_since,
                 "If-Modified-Since: %.*s", SLICE_ARGS(request->last_modified));
    if (may_ask && request->etag.len > 0 && request->etag.len <= TERMS_ETAG_MAX)
        snprintf(transfer->if_none_match, sizeof transfer->if_none_match, "If-None-Match: %.*s",
                 SLICE_ARGS(request->etag));
}

bool http_transfer_asks(const struct http_transfer *transfer)
{
    return !transfer->elsewhere && (transfer->if_none_match[0] || transfer->if_modified_since[0]);
}

/* Makes it a POST of transfer->sent, or a GET. */
static CURLcode set_method(struct http_transfer *transfer)
{
    if (transfer->settings->method == METHOD_GET)
        return CURLE_OK;
    if (!transfer->sent)
        return curl_easy_setopt(transfer->easy, CURLOPT_HTTPGET, 1L);
    CURLcode code = curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                                     (curl_off_t)transfer->sent_len);
    if (!code)
        code = curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS, transfer->sent);
    return code;
}

struct http_transfer *http_transfer_start(struct http_transfers *transfers, void *call,
                                          struct http_request request, CURLcode *code)
{
    struct http_transfer *transfer = take(transfers, code);
    if (!transfer) {
        http_request_free(&request);
        return NULL;
    }
    transfer->call = call;
    transfer->timed = request.wants_times;
    transfer->attempts = 0;
    transfer->sent = request.body;
    transfer->sent_len = request.body_len;
    transfer->fields = request.fields;
    transfer->replaces = request.fields && http_fields_replaced(request.fields);
    set_conditions(transfer, &request);
    trace_write_id(request.request_id, &transfers->random, transfer->request_id);
    trace_write_parent(request.traceparent, &transfers->random, transfer->traceparent);
    *code = transfer->settings->method == METHOD_POST && !request.body ? CURLE_OUT_OF_MEMORY
                                                                       : set_method(transfer);
    if (*code)
        free(request.url);
    else
        *code = fetch(transfers, transfer, request.url, false);
    if (!*code)
        return transfer;
    http_transfer_give_back(transfers, transfer);
    return NULL;
}

void http_transfer_stop(struct http_transfers *transfers, struct http_transfer *transfer)
{
    curl_multi_remove_handle(transfers->multi->handle, transfer->easy);
}

/* curl does this itself for a connection that is closed, but not for one that is reset, and not
 * more than five times with one handle. */
bool http_transfer_was_dropped(const struct http_transfer *transfer, CURLcode code)
{
    static const CURLcode codes[] = {CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_GOT_NOTHING,
                                     CURLE_HTTP2, CURLE_HTTP2_STREAM};
    long connects = 1, head_len = 0;
    bool ended = false;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        ended = ended || code == codes[i];
    if (!ended)
        return false;
    curl_easy_getinfo(transfer->easy, CURLINFO_NUM_CONNECTS, &connects);
    curl_easy_getinfo(transfer->easy, CURLINFO_HEADER_SIZE, &head_len);
    return connects == 0 && head_len == 0;
}

static CURLcode set_fresh(struct http_transfer *transfer, bool fresh)
{
    if (transfer->fresh == fresh)
        return CURLE_OK;
    transfer->fresh = fresh;
    CURLcode code = curl_easy_setopt(transfer->easy, CURLOPT_FRESH_CONNECT, fresh ? 1L : 0L);
    return code || fresh ? code : set_version(transfer, transfer->elsewhere);
}

CURLcode http_transfer_repeat(struct http_transfers *transfers, struct http_transfer *transfer,
                              bool fresh)
{
    CURLcode code = set_fresh(transfer, fresh);
    http_head_clear(&transfer->head);
    buffer_free(&transfer->body);
    transfer->ignored = 0;
    transfer->stop = STOP_NOT;
    transfer->error[0] = '\0';
    return code ? code : begin(transfers, transfer);
}

void http_transfer_give_back(struct http_transfers *transfers, struct http_transfer *transfer)
{
    http_head_clear(&transfer->head);
    buffer_free(&transfer->body);
    drop_list(transfer);
    free(transfer->fields);
    transfer->fields = NULL;
    free(transfer->url);
    transfer->url = NULL;
    free(transfer->sent);
    transfer->sent = NULL;
    transfer->call = NULL;
    transfer->ignored = 0;
    transfer->redirects = 0;
    transfer->stop = STOP_NOT;
    transfer->error[0] = '\0';
    if (transfers->idle_count == IDLE_MAX || set_fresh(transfer, false) != CURLE_OK) {
        transfer_free(transfer);
        return;
    }
    LL_PREPEND(transfers->idle, transfer);
    transfers->idle_count++;
}

struct http_transfer *http_transfer_of(CURL *easy)
{
    struct http_transfer *transfer = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
    return transfer && transfer->call ? transfer : NULL;
}

/* curl's times are 0 for what has not happened yet. */
struct source_times http_transfer_times(const struct http_transfer *transfer)
{
    struct source_times times = {.are_known = transfer->timed && transfer->attempts > 0,
                                 .attempts = transfer->attempts};
    curl_off_t ready_us = 0, answered_us = 0;
    if (!times.are_known)
        return times;
    double total = clock_monotonic() - transfer->began;
    curl_easy_getinfo(transfer->easy, CURLINFO_PRETRANSFER_TIME_T, &ready_us);
    curl_easy_getinfo(transfer->easy, CURLINFO_STARTTRANSFER_TIME_T, &answered_us);
    double ready = ready_us > 0 || answered_us > 0 ? (double)ready_us / 1e6 : total;
    double answered = answered_us > 0 ? (double)answered_us / 1e6 : total;
    times.connect = (float)ready;
    times.first_byte = (float)(answered > ready ? answered - ready : 0);
    times.body = (float)(total > answered ? total - answered : 0);
    return times;
}

/* --- redirects --- */

static bool is_redirect(long status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* Whether the redirect is followed with the same method, and not by a GET (RFC 9110 15.4). */
static bool keeps_method(long status)
{
    return status == 307 || status == 308;
}

/* Returns the url to follow and sets *elsewhere, or NULL with the reason in `refusal`. */
static char *redirect_of(struct http_transfer *transfer, bool *elsewhere)
{
    struct slice location = http_head_find(&transfer->head, SLICE("Location"));
    long status = http_transfer_status(transfer);
    if (location.len == 0) {
        snprintf(transfer->refusal, sizeof transfer->refusal, "answered %ld without a Location",
                 status);
        return NULL;
    }
    if (transfer->redirects == REDIRECTS_MAX) {
        snprintf(transfer->refusal, sizeof transfer->refusal, "redirects again, after %d redirects",
                 REDIRECTS_MAX);
        return NULL;
    }
    char *url = redirect_target(transfer->settings, transfer->url, location.data, elsewhere,
                                transfer->refusal);
    if (url && *elsewhere && transfer->sent && keeps_method(status)) {
        snprintf(transfer->refusal, sizeof transfer->refusal,
                 "redirects the POST to another host, which does not get our body (%ld)", status);
        free(url);
        url = NULL;
    }
    return url;
}

bool http_transfer_redirected(struct http_transfers *transfers, struct http_transfer *transfer,
                              CURLcode *code)
{
    long status = http_transfer_status(transfer);
    if ((*code && transfer->stop != STOP_IGNORED) || !is_redirect(status))
        return false;
    bool elsewhere = false;
    char *url = redirect_of(transfer, &elsewhere);
    if (!url) {
        transfer->stop = STOP_REDIRECT;
        return false;
    }
    http_transfer_stop(transfers, transfer);
    transfer->redirects++;
    transfer->if_none_match[0] = transfer->if_modified_since[0] = '\0'; /* of another url */
    transfer->ignored = 0;
    transfer->stop = STOP_NOT;
    *code = CURLE_OK;
    if (transfer->sent && !keeps_method(status)) {
        free(transfer->sent);
        transfer->sent = NULL;
        *code = set_method(transfer);
    }
    if (*code)
        free(url);
    else
        *code = fetch(transfers, transfer, url, elsewhere);
    return !*code;
}

/* --- all of a source --- */

/* Whether the host of the url is an address, and not a name. */
static bool has_address(CURLU *url)
{
    char *host = NULL;
    bool is_address = curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                      (host[0] == '[' || host[strspn(host, "0123456789.")] == '\0');
    curl_free(host);
    return is_address;
}

/* Returns false when out of memory. A url that curl does not take stays without an origin, and each
 * call fails. */
static bool read_origin(struct http_transfers *transfers)
{
    const char *url = transfers->settings->url;
    const char *scheme_end = strstr(url, "://");
    if (!scheme_end)
        return true;
    transfers->origin_len = (size_t)(scheme_end - url) + strlen("://");
    transfers->origin_len += strcspn(url + transfers->origin_len, "/?#");
    char *origin = alloc_zeroed(transfers->origin_len + 1);
    transfers->origin = curl_url();
    bool ok = origin && transfers->origin;
    if (ok)
        memcpy(origin, url, transfers->origin_len);
    if (ok && curl_url_set(transfers->origin, CURLUPART_URL, origin, 0) != CURLUE_OK) {
        curl_url_cleanup(transfers->origin);
        transfers->origin = NULL;
    }
    transfers->has_address = ok && has_address(transfers->origin);
    free(origin);
    return ok;
}

bool http_transfers_init(struct http_transfers *transfers, const struct http_settings *settings,
                         struct http_multi *multi)
{
    *transfers = (struct http_transfers){.settings = settings,
                                         .multi = multi,
                                         .looks = http_features_remembers_header()};
    if (getrandom(&transfers->random, sizeof transfers->random, GRND_NONBLOCK) < 0) /* early */
        transfers->random = (uint64_t)clock_boot_us();
    return read_origin(transfers) &&
           http_fields_init(&transfers->fields, settings, transfers->origin);
}

void http_transfers_end(struct http_transfers *transfers)
{
    struct http_transfer *transfer;
    while ((transfer = transfers->idle)) {
        LL_DELETE(transfers->idle, transfer);
        transfer_free(transfer);
    }
    curl_url_cleanup(transfers->origin);
    http_fields_end(&transfers->fields);
}
