/* Lists for libcurl, and text. */
#include "source/http_fields.h"
#include "config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/byte.h"
#include "base/put.h"
#include "source/http_features.h"
#include "source/http_headers.h"
#include "source/http_options.h"

#define LINE_END     "\r\n"
#define REST_OF_LINE " HTTP/1.1" LINE_END
#define USER_AGENT   "workerless/" PACKAGE_VERSION
#define LAST_FIELD   "User-Agent: " USER_AGENT
#define PRESETS      3

struct preset { /* a field of ours that the config may replace */
    struct slice name, value;
};

/* These could be options of curl, which would format each of them twice for each request. Returns
 * how many there are; the content codings are written to `room`. */
static size_t presets_of(const char *const *headers, size_t count, struct preset out[PRESETS],
                         char room[HTTP_ENCODINGS_ROOM])
{
    http_features_encodings(room);
    const struct preset presets[PRESETS] = {
        {SLICE("Accept"), SLICE("text/html, text/plain;q=0.9, application/json;q=0.8, */*;q=0.1")},
        {SLICE("User-Agent"), SLICE(USER_AGENT)},
        {SLICE("Accept-Encoding"), slice_of(room)},
    };
    size_t kept = 0;
    for (size_t i = 0; i < PRESETS; i++)
        if (presets[i].value.len > 0 && !http_headers_find(headers, count, presets[i].name))
            out[kept++] = presets[i];
    return kept;
}

/* --- lists --- */

/* Appends a copy of the line. Returns false when out of memory. */
static bool append_line(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (longer)
        *list = longer;
    return longer != NULL;
}

static bool add(struct buffer *text, struct slice part)
{
    return buffer_append(text, part.data, part.len, SIZE_MAX);
}

/* Without a value, libcurl sends neither this field nor one of its own. */
static bool append_field(struct curl_slist **list, struct slice name, struct slice value)
{
    struct buffer line = {0};
    bool ok = add(&line, name) && add(&line, SLICE(":")) &&
              (value.len == 0 || (add(&line, SLICE(" ")) && add(&line, value))) &&
              add(&line, SLICE("\0")) && append_line(list, line.data);
    buffer_free(&line);
    return ok;
}

static bool append_presets(struct curl_slist **list, const char *const *headers, size_t count)
{
    char room[HTTP_ENCODINGS_ROOM];
    struct preset presets[PRESETS];
    bool ok = true;
    count = presets_of(headers, count, presets, room);
    for (size_t i = 0; ok && i < count; i++)
        ok = append_field(list, presets[i].name, presets[i].value);
    return ok;
}

/* libcurl would add a type of its own, and ask before it sends a large body. */
static bool append_for_post(struct curl_slist **list, const struct http_settings *settings)
{
    struct slice type = SLICE("Content-Type");
    bool ok = true;
    if (!http_is_set(settings->body))
        ok = append_field(list, type, (struct slice){0});
    else if (!http_headers_find(settings->headers, settings->header_count, type))
        ok = append_field(list, type, http_body_type(settings));
    return ok && append_field(list, SLICE("Expect"), (struct slice){0});
}

static bool append_headers(struct curl_slist **list, const struct http_settings *settings)
{
    bool ok = true;
    for (size_t i = 0; ok && i < settings->header_count; i++)
        ok = append_field(list, http_header_name(settings->headers[i]),
                          http_header_value(settings->headers[i]));
    return ok && (settings->method != METHOD_POST || append_for_post(list, settings));
}

static bool has_name(const char *line, const char *name, size_t len)
{
    return strcspn(line, ":;") == len && strncasecmp(line, name, len) == 0;
}

/* Whether one of the lines is a field of that name. */
static bool has_field(const char *lines, const char *name, size_t len)
{
    for (const char *line = lines; *line; line += strcspn(line, "\n") + 1)
        if (has_name(line, name, len))
            return true;
    return false;
}

struct curl_slist *http_fields_with(const struct curl_slist *list, const char *lines)
{
    struct curl_slist *with = NULL;
    struct buffer copy = {0};
    bool ok = true;
    for (; ok && list; list = list->next)
        ok = has_field(lines, list->data, strcspn(list->data, ":;")) ||
             append_line(&with, list->data);
    while (ok && *lines) {
        size_t len = strcspn(lines, "\n");
        copy.len = 0;
        ok = buffer_append(&copy, lines, len, SIZE_MAX) && add(&copy, SLICE("\0")) &&
             append_line(&with, copy.data);
        lines += len + 1;
    }
    buffer_free(&copy);
    if (ok)
        return with;
    curl_slist_free_all(with);
    return NULL;
}

/* --- text --- */

bool http_fields_replaced(const char *lines)
{
    static const struct slice names[] = {
        SLICE_INIT("Host"),         SLICE_INIT("Accept"),      SLICE_INIT("Accept-Encoding"),
        SLICE_INIT("X-Request-Id"), SLICE_INIT("traceparent"), SLICE_INIT("User-Agent"),
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (has_field(lines, names[i].data, names[i].len))
            return true;
    return false;
}

/* Whether it can be sent as it is. libcurl may translate others. */
static bool is_plain_host(const char *host)
{
    for (; *host; host++)
        if (!byte_is_alnum(*host) && !byte_is_one_of(*host, "-._[:]"))
            return false;
    return true;
}

/* The host and the port as libcurl would send them. Returns false when out of memory; text->len is 0
 * if there are none. */
static bool write_host(struct buffer *text, CURLU *origin)
{
    char *host = NULL, *port = NULL;
    bool ok = true;
    CURLUcode code = curl_url_get(origin, CURLUPART_HOST, &host, 0);
    if (!code)
        code = curl_url_get(origin, CURLUPART_PORT, &port, CURLU_NO_DEFAULT_PORT);
    if ((!code || code == CURLUE_NO_PORT) && host && is_plain_host(host))
        ok = add(text, SLICE(REST_OF_LINE "Host: ")) && add(text, slice_of(host)) &&
             (!port || (add(text, SLICE(":")) && add(text, slice_of(port)))) &&
             add(text, SLICE(LINE_END));
    curl_free(host);
    curl_free(port);
    return ok && code != CURLUE_OUT_OF_MEMORY;
}

/* What can be written is written, and libcurl is told to send nothing in its place. Returns false
 * when out of memory. */
static bool init_text(struct http_fields *fields, const struct http_settings *settings,
                      CURLU *origin)
{
    char room[HTTP_ENCODINGS_ROOM];
    struct preset presets[PRESETS];
    struct buffer text = {0};
    size_t count = presets_of(settings->headers, settings->header_count, presets, room);
    bool ok = write_host(&text, origin);
    if (!ok || text.len == 0) {
        buffer_free(&text);
        return ok;
    }
    ok = append_field(&fields->rest, SLICE("Host"), (struct slice){0});
    for (size_t i = 0; ok && i < count; i++) {
        if (slice_equal(presets[i].name, SLICE("User-Agent"))) /* libcurl has none of its own */
            continue;
        ok = append_field(&fields->rest, presets[i].name, (struct slice){0}) &&
             add(&text, presets[i].name) && add(&text, SLICE(": ")) &&
             add(&text, presets[i].value) && add(&text, SLICE(LINE_END));
    }
    ok = ok && add(&text, SLICE("\0")) && append_headers(&fields->rest, settings);
    fields->text = text.data;
    return ok;
}

char *http_fields_write(const struct http_fields *fields, struct slice target,
                        struct slice request_id, struct slice traceparent)
{
    struct slice text = slice_of(fields->text);
    char *whole = alloc_bytes(target.len + text.len + request_id.len + traceparent.len +
                              2 * strlen(LINE_END) + sizeof LAST_FIELD);
    if (!whole)
        return NULL;
    char *at = put(put(put(whole, target), text), request_id);
    at = put(put(put(at, SLICE(LINE_END)), traceparent), SLICE(LINE_END));
    put(at, SLICE(LAST_FIELD "\0"));
    return whole;
}

/* --- all of a source --- */

/* Whether no request to the source's own host can be one of HTTP/2, which is negotiated with TLS. */
static bool is_http1(const struct http_settings *settings)
{
    return settings->http2 == HTTP2_NO ||
           (settings->http2 == HTTP2_NEGOTIATED && strncasecmp(settings->url, "http:", 5) == 0);
}

bool http_fields_init(struct http_fields *fields, const struct http_settings *settings,
                      CURLU *origin)
{
    const char *const *headers = settings->headers;
    size_t count = settings->header_count;
    bool may_write = origin && http_features_keeps_targets() && is_http1(settings) &&
                     !http_headers_find(headers, count, SLICE("User-Agent"));
    *fields = (struct http_fields){0};
    return append_presets(&fields->elsewhere, NULL, 0) &&
           append_presets(&fields->all, headers, count) && append_headers(&fields->all, settings) &&
           (!may_write || init_text(fields, settings, origin));
}

void http_fields_end(struct http_fields *fields)
{
    curl_slist_free_all(fields->all);
    curl_slist_free_all(fields->elsewhere);
    curl_slist_free_all(fields->rest);
    free(fields->text);
    *fields = (struct http_fields){0};
}
