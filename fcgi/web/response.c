/* A response in the format of CGI: a Status line, headers, and the body (RFC 3875 6.2). Pure. */
#include "web/response.h"

#include "base/check.h"
#include "base/put.h"
#include "base/users.h"
#include "park/freshness.h"
#include "park/outcome.h"
#include "web/method.h"

#define NO_RETRY RESPONSE_NO_HEADER

static const struct status {
    short code;
    short retry_after; /* seconds, or NO_RETRY */
    struct slice line;
    struct slice body; /* used unless there is a better one */
} statuses[] = {
    {200, NO_RETRY, SLICE_INIT("Status: 200 OK\r\n"), SLICE_INIT("")},
    {202, 0, SLICE_INIT("Status: 202 Accepted\r\n"),
     SLICE_INIT("<span class=\"fragment-pending\" aria-busy=\"true\"></span>\n")},
    {204, NO_RETRY, SLICE_INIT("Status: 204 No Content\r\n"), SLICE_INIT("")},
    {304, NO_RETRY, SLICE_INIT("Status: 304 Not Modified\r\n"), SLICE_INIT("")},
    {400, NO_RETRY, SLICE_INIT("Status: 400 Bad Request\r\n"),
     SLICE_INIT("<p class=\"fragment-error\">The request is malformed.</p>\n")},
    {403, NO_RETRY, SLICE_INIT("Status: 403 Forbidden\r\n"),
     SLICE_INIT("<p class=\"fragment-error\">This is not allowed from your address.</p>\n")},
    {404, NO_RETRY, SLICE_INIT("Status: 404 Not Found\r\n"),
     SLICE_INIT("<p class=\"fragment-error\">There is no such fragment.</p>\n")},
    {405, NO_RETRY, SLICE_INIT("Status: 405 Method Not Allowed\r\n"),
     SLICE_INIT("<p class=\"fragment-error\">This method is not allowed here.</p>\n")},
    {408, NO_RETRY, SLICE_INIT("Status: 408 Request Timeout\r\n"),
     SLICE_INIT("<p class=\"fragment-error\">The request took too long to arrive.</p>\n")},
    {413, NO_RETRY, SLICE_INIT("Status: 413 Content Too Large\r\n"),
     SLICE_INIT("<p class=\"fragment-error\">The request body is too large.</p>\n")},
    {431, NO_RETRY, SLICE_INIT("Status: 431 Request Header Fields Too Large\r\n"),
     SLICE_INIT("<p class=\"fragment-error\">The request headers are too large.</p>\n")},
    {502, NO_RETRY, SLICE_INIT("Status: 502 Bad Gateway\r\n"),
     SLICE_INIT("<p class=\"fragment-error\">This part of the page could not be loaded.</p>\n")},
    {503, 1, SLICE_INIT("Status: 503 Service Unavailable\r\n"),
     SLICE_INIT("<p class=\"fragment-error\">The server is busy; please try again.</p>\n")},
    {504, NO_RETRY, SLICE_INIT("Status: 504 Gateway Timeout\r\n"),
     SLICE_INIT("<p class=\"fragment-error\">This part of the page took too long to load.</p>\n")},
    {500, NO_RETRY, SLICE_INIT("Status: 500 Internal Server Error\r\n"),
     SLICE_INIT("")}, /* for a status without a row */
};

static const struct status *status_find(int code)
{
    size_t row = 0, last = sizeof statuses / sizeof statuses[0] - 1;
    while (row < last && statuses[row].code != code)
        row++;
    return &statuses[row];
}

struct response response_of_status(int status)
{
    const struct status *row = status_find(status);
    return (struct response){.status = row->code,
                             .body = row->body,
                             .retry_after = row->retry_after,
                             .granted_wait_s = RESPONSE_NO_HEADER};
}

struct response response_of_failure(struct slice fallback, enum settlement_kind kind)
{
    struct response response = response_of_status(outcome_status(kind));
    if (fallback.data &&
        (kind == SETTLED_FAILED || kind == SETTLED_TIMED_OUT || kind == SETTLED_BUSY))
        response.body = fallback;
    return response;
}

/* The body of a GET; a HEAD has its length. */
static struct slice full_body(const struct response *response)
{
    return response->entry ? response->entry->body : response->body;
}

struct slice response_body(const struct response *response)
{
    if (response->head_only || response->status == 304)
        return SLICE("");
    return full_body(response);
}

/* Milliseconds as full seconds. Negative times, because of different clocks, count as 0. */
static int64_t seconds(int64_t ms)
{
    return ms > 0 ? ms / 1000 : 0;
}

/* Rounded down, so that a ttl that has expired is never 0 (RFC 9211 2.6). */
static char *put_signed_seconds(char *at, int64_t ms)
{
    if (ms >= 0)
        return put_number(at, ms / 1000);
    *at++ = '-';
    return put_number(at, (999 - ms) / 1000);
}

static char *put_cache_status(char *at, const struct response *response, int64_t now_ms)
{
    static const struct slice origins[] = {
        [ORIGIN_HIT] = SLICE_INIT("hit"),
        [ORIGIN_MISS] = SLICE_INIT("fwd=miss"),
        [ORIGIN_STALE] = SLICE_INIT("fwd=stale"),
    };
    if (response->origin == ORIGIN_NONE)
        return at;
    at = put(at, SLICE("Cache-Status: workerless; "));
    at = put(at, origins[response->origin]);
    if (response->stored)
        at = put(at, SLICE("; stored"));
    if (response->collapsed)
        at = put(at, SLICE("; collapsed"));
    if (response->entry && (response->stored || response->origin != ORIGIN_MISS)) {
        at = put(at, SLICE("; ttl="));
        at = put_signed_seconds(at, response->entry->fresh_until_ms - now_ms);
    }
    if (response->detail.len > 0) {
        at = put(at, SLICE("; detail="));
        at = put(at, response->detail);
    }
    return put(at, SLICE("\r\n"));
}

static char *put_directive(char *at, struct slice name, double value_s)
{
    if (value_s < 1)
        return at;
    at = put(at, name);
    return put_number(at, (int64_t)value_s);
}

/* The directives of RFC 5861. */
static char *put_stale(char *at, const struct response *response)
{
    const struct entry *entry = response->entry;
    double stale = response->terms->stale, stale_error = response->terms->stale_error;
    if (entry->has_stale) {
        stale = (double)entry->stale_ms / 1000;
        stale_error = (double)entry->stale_error_ms / 1000;
    }
    at = put_directive(at, SLICE(", stale-while-revalidate="), stale);
    return put_directive(at, SLICE(", stale-if-error="), stale_error);
}

/* The route says how long browsers may use the response from now on. Age counts there, too. */
static char *put_browser_ttl(char *at, int64_t browser_ttl_s, int64_t age_s)
{
    if (browser_ttl_s == 0)
        return put(at, SLICE("no-cache"));
    at = put(at, SLICE("max-age="));
    return put_number(at, age_s + browser_ttl_s);
}

/* So does the source; but not for longer than the result is fresh. */
static char *put_clients(char *at, const struct entry *entry, int64_t now_ms)
{
    int64_t left_s = seconds(entry->fresh_until_ms - now_ms);
    if (entry->clients_no_store)
        return put(at, SLICE("no-store"));
    return put_browser_ttl(at, entry->clients_s < left_s ? entry->clients_s : left_s,
                           seconds(now_ms - entry->made_ms));
}

#define TIMING_START SLICE("server-timing: ")

/* Takes the next line of the header fields that are kept with an entry. */
static struct slice next_kept(struct slice *kept)
{
    const char *end = memchr(kept->data, '\n', kept->len);
    check(end != NULL);
    struct slice line = {.data = kept->data, .len = (size_t)(end - kept->data)};
    *kept = slice_from(*kept, line.len + 1);
    return line;
}

/* The source's own Server-Timing. Not inline, since few sources send one. */
__attribute__((noinline)) static char *put_source_timing(char *at, struct slice kept)
{
    while (kept.len > 0) {
        struct slice line = next_kept(&kept);
        if (slice_starts(line, TIMING_START) && line.len > TIMING_START.len)
            at = put(put(at, SLICE(", ")), slice_from(line, TIMING_START.len));
    }
    return at;
}

/* The time that the source took, and its own Server-Timing. All in one field, since some readers
 * expect each field once. */
static inline char *put_timing(char *at, const struct entry *entry)
{
    at = put(at, SLICE("Server-Timing: source;dur="));
    at = put_number(at, entry->cost_ms);
    if (entry->kept_len > 0)
        at = put_source_timing(at, entry_kept(entry));
    return put(at, SLICE("\r\n"));
}

/* The other fields of the source. */
static char *put_kept(char *at, struct slice kept)
{
    while (kept.len > 0) {
        struct slice line = next_kept(&kept);
        if (!slice_starts(line, TIMING_START))
            at = put(put(at, line), SLICE("\r\n"));
    }
    return at;
}

/* max-age is the full lifetime, as Age says how much of it has passed (RFC 9111 4.2). */
static char *put_freshness(char *at, const struct response *response, int64_t now_ms)
{
    const struct entry *entry = response->entry;
    int64_t lifetime_ms = entry->fresh_until_ms - entry->made_ms;
    at = put(at, SLICE("ETag: "));
    at = put(at, (struct slice){entry->etag, ENTRY_ETAG_LEN});
    at = put(at, SLICE("\r\nAge: "));
    at = put_number(at, seconds(now_ms - entry->made_ms));
    at = put(at, SLICE("\r\nCache-Control: "));
    if (response->is_private)
        at = put(at, SLICE("private, "));
    if (response->terms && response->terms->browser_ttl_is_set) {
        at = put_browser_ttl(at, (int64_t)response->terms->browser_ttl,
                             seconds(now_ms - entry->made_ms));
    } else if (entry->has_clients || entry->clients_no_store) {
        at = put_clients(at, entry, now_ms);
    } else if (lifetime_ms >= 1000) {
        at = put(at, SLICE("max-age="));
        at = put_number(at, seconds(lifetime_ms));
        if (response->terms)
            at = put_stale(at, response);
    } else {
        at = put(at, SLICE("no-cache"));
    }
    if (entry->must_revalidate)
        at = put(at, SLICE(", must-revalidate"));
    if (response->vary && response->vary->len > 0)
        at = put(put(at, SLICE("\r\nVary: ")), *response->vary);
    return put_timing(put(at, SLICE("\r\n")), entry);
}

/* No cache may keep it, so it has neither ETag nor Age (RFC 9111 5.2.2). */
static char *put_uncacheable(char *at, const struct response *response)
{
    at = put(at, SLICE("Cache-Control: private, no-store\r\n"));
    return put_timing(at, response->entry);
}

/* nginx must not buffer a stream. It should buffer a page that is complete, even where its config
 * says otherwise, so that slow clients wait for nginx and not for us. */
#define UNBUFFERED "X-Accel-Buffering: no\r\n"
#define BUFFERED   "X-Accel-Buffering: yes\r\n"

static const struct slice body_types[] = {
    [BODY_HTML] = SLICE_INIT("text/html; charset=utf-8"),
    [BODY_PLAIN] = SLICE_INIT("text/plain; charset=utf-8"),
    [BODY_EVENTS] = SLICE_INIT("text/event-stream"),
    [BODY_TEMPLATES] = SLICE_INIT("text/html; charset=utf-8"),
    [BODY_PAGE] = SLICE_INIT("text/html; charset=utf-8"),
};

/* Whether a stream has events or templates depends on the Accept header, and its fragments depend
 * on their inputs. A page is the same for every Accept header. */
static char *put_stream_vary(char *at, const struct response *response)
{
    if (response->type == BODY_PAGE)
        return at;
    at = put(at, SLICE("Vary: Accept"));
    if (response->vary && response->vary->len > 0)
        at = put(put(at, SLICE(", ")), *response->vary);
    return put(at, SLICE("\r\n"));
}

static char *put_type(char *at, const struct response *response)
{
    at = put(at, SLICE("Content-Type: "));
    at = put(at, response->entry ? response->entry->type : body_types[response->type]);
    if (response->entry && !response->entry->is_html)
        at = put(at, SLICE("\r\nX-Content-Type-Options: nosniff"));
    at = put(at, SLICE("\r\n"));
    if (response->type >= BODY_EVENTS)
        return put_stream_vary(put(at, SLICE(UNBUFFERED)), response);
    at = put(at, SLICE("Content-Length: "));
    at = put_number(at, (int64_t)full_body(response).len);
    return put(at, SLICE("\r\n"));
}

static char *put_allow(char *at, unsigned methods)
{
    static const struct {
        enum method method;
        struct slice name;
    } names[] = {{METHOD_GET, SLICE_INIT("GET")},
                 {METHOD_HEAD, SLICE_INIT("HEAD")},
                 {METHOD_PURGE, SLICE_INIT("PURGE")}};
    struct slice before = SLICE("Allow: ");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!(methods & names[i].method))
            continue;
        at = put(put(at, before), names[i].name);
        before = SLICE(", ");
    }
    return put(at, SLICE("\r\n"));
}

/* The preferences of the request that were applied (RFC 7240 3). */
static char *put_preferences(char *at, const struct response *response)
{
    bool waits = response->granted_wait_s >= 0;
    if (!waits && !response->strict)
        return at;
    at = put(at, SLICE("Preference-Applied: "));
    if (waits) {
        at = put(at, SLICE("wait="));
        at = put_number(at, response->granted_wait_s);
    }
    if (response->strict)
        at = put(at, waits ? SLICE(", handling=strict") : SLICE("handling=strict"));
    return put(at, SLICE("\r\n"));
}

size_t response_head(const struct response *response, int64_t now_ms, char *out)
{
    char *at = out;
    at = put(at, status_find(response->status)->line);
    if (response->status != 304 && response->status != 204)
        at = put_type(at, response);
    if (response->allow)
        at = put_allow(at, response->allow);
    if (response->retry_after >= 0) {
        at = put(at, SLICE("Retry-After: "));
        at = put_number(at, response->retry_after);
        at = put(at, SLICE("\r\n"));
    }
    at = put_preferences(at, response);
    if (!response->entry || response->no_store)
        at = put(at, SLICE("Cache-Control: no-store\r\n"));
    else
        at = response->uncacheable ? put_uncacheable(at, response)
                                   : put_freshness(at, response, now_ms);
    at = put_cache_status(at, response, now_ms);
    if (response->entry && response->entry->kept_len > 0 && !response->no_store)
        at = put_kept(at, entry_kept(response->entry));
    return (size_t)(put(at, SLICE("\r\n")) - out);
}

size_t response_page_head(const struct page_head *head, char *out)
{
    char *at = put(out, status_find(200)->line);
    at = put(put(at, SLICE("Content-Type: ")), body_types[BODY_PAGE]);
    at = put(at, head->complete ? SLICE("\r\n" BUFFERED) : SLICE("\r\n" UNBUFFERED));
    if (head->vary.len > 0)
        at = put(put(put(at, SLICE("Vary: ")), head->vary), SLICE("\r\n"));
    at = put(at, SLICE("Cache-Control: "));
    if (head->fresh_s > 0) {
        at = put(at, head->is_private ? SLICE("private, max-age=") : SLICE("max-age="));
        at = put_number(at, head->fresh_s);
        if (head->must_revalidate)
            at = put(at, SLICE(", must-revalidate"));
    } else {
        at = put(at, SLICE("no-store"));
    }
    at = put(put(put(at, SLICE("\r\n")), head->own_links), head->links);
    return (size_t)(put(at, SLICE("\r\n")) - out);
}

int64_t response_fresh_s(const struct entry *entry, const struct freshness *terms, int64_t now_ms)
{
    int64_t left_s = seconds(entry->fresh_until_ms - now_ms);
    if (terms->browser_ttl_is_set)
        return (int64_t)terms->browser_ttl;
    if (entry->clients_no_store)
        return 0;
    return entry->has_clients && entry->clients_s < left_s ? entry->clients_s : left_s;
}

void response_release(struct response *response)
{
    entry_let_go(response->entry);
    users_drop(response->users);
    response->entry = NULL;
    response->users = NULL;
}
