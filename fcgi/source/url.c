/* The url of a call: checks a template, and writes it with the values of a request.
 *
 *     http://host/path/{name}?key=1&town={query:city}&{query}
 *     |--------- path ------||pair-|------ pair -----|-pair-|
 *
 * Here "path" is all before the '?'. Each pair of the query is written with the ? or & before it,
 * or not at all. */
#include "source/url.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <curl/curl.h>

#include "base/alloc.h"
#include "base/byte.h"
#include "base/put.h"
#include "source/source.h"
#include "source/template.h"

#define USUAL_ROOM 512 /* bytes; a longer url is written twice, first to count its bytes */

/* What follows "http://" or "https://"; NULL if the template begins otherwise. */
static const char *after_scheme(const char *template)
{
    if (strncasecmp(template, "http://", strlen("http://")) == 0)
        return template + strlen("http://");
    if (strncasecmp(template, "https://", strlen("https://")) == 0)
        return template + strlen("https://");
    return NULL;
}

bool url_is_https(const char *url)
{
    return strncasecmp(url, "https:", strlen("https:")) == 0;
}

/* The number of bytes before the first `stop` that is not in braces. */
static size_t span(struct slice text, char stop)
{
    bool inside = false;
    size_t len = 0;
    for (; len < text.len && (inside || text.data[len] != stop); len++)
        inside = text.data[len] == '{' || (inside && text.data[len] != '}');
    return len;
}

/* Cuts the next pair off the query, with the & behind it. Returns false at the end; an empty query
 * has one empty pair. */
static bool next_pair(struct slice *query, struct slice *pair)
{
    if (!query->data)
        return false;
    *pair = (struct slice){.data = query->data, .len = span(*query, '&')};
    *query = pair->len < query->len ? slice_from(*query, pair->len + 1) : (struct slice){0};
    return true;
}

/* Cuts the template at its '?'. The query's data is NULL if there is none. */
static void split(const char *template, struct slice *path, struct slice *query)
{
    struct slice whole = slice_of(template);
    *path = (struct slice){.data = template, .len = span(whole, '?')};
    *query = path->len < whole.len ? slice_from(whole, path->len + 1) : (struct slice){0};
}

/* --- values --- */

/* Writes what there is room for, and counts all. */
struct writer {
    char *out;
    size_t room, len;
    char last; /* the last byte */
};

static void add(struct writer *writer, struct slice text)
{
    if (text.len == 0)
        return;
    if (writer->len < writer->room && text.len <= writer->room - writer->len)
        memcpy(writer->out + writer->len, text.data, text.len);
    writer->len += text.len;
    writer->last = text.data[text.len - 1];
}

static void add_byte(struct writer *writer, char byte)
{
    add(writer, (struct slice){.data = &byte, .len = 1});
}

/* Writes the text percent-encoded, except for unreserved bytes and those that are `also` kept. */
static void add_encoded(struct writer *writer, struct slice text, char also)
{
    for (size_t i = 0, kept = 0; i <= text.len; i++) {
        if (i < text.len && (byte_is_unreserved(text.data[i]) || (also && text.data[i] == also)))
            continue;
        if (i > kept)
            add(writer, (struct slice){.data = text.data + kept, .len = i - kept});
        kept = i + 1;
        if (i == text.len)
            return;
        char encoded[PUT_PERCENT_LEN];
        put_percent(encoded, text.data[i]);
        add(writer, (struct slice){.data = encoded, .len = sizeof encoded});
    }
}

/* What is written: a template, for a request. */
struct expansion {
    const char *template;
    const struct source_request *request;
};

/* Returns the next query input that is there and not named in the template; NULL at the end. */
static const struct input *next_query(const struct expansion *expansion,
                                      struct inputs_reader *reader, struct slice *value)
{
    const struct input *input;
    while ((input = inputs_next(reader, value)))
        if (input->kind == INPUT_QUERY && value->data &&
            !template_names(expansion->template, input))
            return input;
    return NULL;
}

static bool has_queries(const struct expansion *expansion)
{
    struct inputs_reader reader = inputs_read(expansion->request->inputs);
    struct slice value;
    return next_query(expansion, &reader, &value) != NULL;
}

/* The canonical query string: NAME=VALUE with & between, in the order of `vary`. */
static void add_queries(struct writer *url, const struct expansion *expansion)
{
    struct inputs_reader reader = inputs_read(expansion->request->inputs);
    const struct input *input;
    struct slice value;
    for (bool first = true; (input = next_query(expansion, &reader, &value)); first = false) {
        if (!first)
            add_byte(url, '&');
        add_encoded(url, input->name, '\0');
        add_byte(url, '=');
        add_encoded(url, value, '\0');
    }
}

static void add_parts(struct writer *url, const struct expansion *expansion, struct slice text)
{
    struct template_part part;
    while (template_next(&text, &part)) {
        if (part.kind == TEMPLATE_NAME || part.kind == TEMPLATE_REST)
            add_encoded(url, template_value(&part, expansion->request), '/');
        else if (part.kind == TEMPLATE_INPUT)
            add_encoded(url, template_value(&part, expansion->request), '\0');
        else if (part.kind == TEMPLATE_QUERY)
            add_queries(url, expansion);
        else
            add(url, part.text);
    }
}

/* Whether the pair stands for what is absent: {query} without any input, or KEY={query:NAME}, whose
 * value is one input. */
static bool is_left_out(const struct expansion *expansion, struct slice pair)
{
    struct template_part part;
    if (!template_next(&pair, &part))
        return false;
    if (part.kind == TEMPLATE_QUERY)
        return pair.len == 0 && !has_queries(expansion);
    const char *equals = memchr(part.text.data, '=', part.text.len);
    return part.kind == TEMPLATE_TEXT && equals == part.text.data + part.text.len - 1 &&
           template_next(&pair, &part) && part.kind == TEMPLATE_INPUT && pair.len == 0 &&
           !template_value(&part, expansion->request).data;
}

static void add_url(struct writer *url, const struct expansion *expansion)
{
    struct slice path, query, pair;
    split(expansion->template, &path, &query);
    add_parts(url, expansion, path);
    char separator = '?';
    while (next_pair(&query, &pair)) {
        if (is_left_out(expansion, pair))
            continue;
        add_byte(url, separator);
        add_parts(url, expansion, pair);
        separator = '&';
    }
    if (!has_queries(expansion) || template_has(expansion->template, TEMPLATE_QUERY))
        return;
    if (separator == '?' || (url->last != '?' && url->last != '&'))
        add_byte(url, separator);
    add_queries(url, expansion);
}

char *url_expand(const char *template, const struct source_request *request)
{
    struct expansion expansion = {.template = template, .request = request};
    char usual[USUAL_ROOM];
    struct writer url = {.out = usual, .room = sizeof usual};
    add_url(&url, &expansion);
    if (url.len <= sizeof usual)
        return alloc_copy(usual, url.len);
    url.room = url.len;
    url.len = 0;
    url.out = alloc_bytes(url.room + 1);
    if (!url.out)
        return NULL;
    add_url(&url, &expansion);
    url.out[url.len] = '\0';
    return url.out;
}

/* --- checks --- */

/* Decodes the byte at *at if it is percent-encoded. Returns it, and moves *at past it. */
static char next_byte(const char **at, const char *end)
{
    const char *from = *at;
    if (*from == '%' && end - from >= 3) {
        int high = byte_hex_value(from[1]), low = byte_hex_value(from[2]);
        if (high >= 0 && low >= 0) {
            *at = from + 3;
            return (char)(high * 16 + low);
        }
    }
    *at = from + 1;
    return *from;
}

/* Servers differ in what they decode before they remove such segments (RFC 3986 section 5.2.4), and
 * some ignore what comes after a semicolon. So any of them counts here. */
bool url_has_dot_segment(const char *url)
{
    const char *authority = after_scheme(url), *at = authority ? authority : url;
    at += strcspn(at, "/?#");
    const char *end = at + strcspn(at, "?#");
    unsigned dots = 0;
    bool dotted = false;     /* the segment has only dots so far */
    bool parameters = false; /* a semicolon has ended its name */
    while (at < end) {
        char byte = next_byte(&at, end);
        if (byte == '/' || byte == '\\') {
            if (dotted && (dots == 1 || dots == 2))
                return true;
            dots = 0;
            dotted = true;
            parameters = false;
        } else if (byte == ';') {
            parameters = true;
        } else if (!parameters) {
            dotted = dotted && byte == '.';
            dots++;
        }
    }
    return dotted && (dots == 1 || dots == 2);
}

/* {query} in the midst of a pair would end that pair. */
static bool has_embedded_query(const char *template)
{
    struct slice path, query, pair;
    struct template_part part;
    split(template, &path, &query);
    while (template_next(&path, &part))
        if (part.kind == TEMPLATE_QUERY)
            return true;
    while (next_pair(&query, &pair))
        for (struct slice rest = pair; template_next(&rest, &part);)
            if (part.kind == TEMPLATE_QUERY && part.text.len != pair.len)
                return true;
    return false;
}

/* `room` is for a message. */
static const char *check_template(const char *template, char room[TEMPLATE_WHY_ROOM + 4])
{
    const char *authority = after_scheme(template), *brace = strpbrk(template, "{}");
    if (!authority)
        return "url must begin with http:// or https://";
    size_t authority_len = strcspn(authority, "/?#");
    if (authority_len == 0) /* curl would take the host from the path */
        return "url has no host";
    /* With a value in the host, clients could choose the server. */
    if (brace && brace < authority + authority_len)
        return "braces are allowed only in the path and in the query of url";
    memcpy(room, "url ", 4);
    if (template_check(template, room + 4))
        return room;
    if (span(slice_of(template), '#') < strlen(template))
        return "url has a # part, which is never sent";
    if (has_embedded_query(template))
        return "in url, {query} must stand alone after the ? or between two &";
    if (url_has_dot_segment(template))
        return "url must not have \".\" or \"..\" between its slashes";
    return NULL;
}

static const char *url_problem(CURLUcode code)
{
    switch (code) {
    case CURLUE_OK:
        return NULL;
    case CURLUE_UNSUPPORTED_SCHEME:
        return "this libcurl does not support the scheme of url";
    case CURLUE_NO_HOST:
        return "url has no host";
    case CURLUE_BAD_HOSTNAME:
        return "the host in url is malformed";
    case CURLUE_BAD_PORT_NUMBER:
        return "the port in url is not a number from 0 to 65535";
    case CURLUE_OUT_OF_MEMORY:
        return "out of memory";
    default:
        return "url is malformed";
    }
}

/* `url` is that of a request whose values are all "x" or absent. */
static const char *check_expanded(const char *url)
{
    CURLU *parts = curl_url();
    const char *problem =
        url_problem(parts ? curl_url_set(parts, CURLUPART_URL, url, 0) : CURLUE_OUT_OF_MEMORY);
    curl_url_cleanup(parts);
    return problem;
}

const char *url_check(const char *template)
{
    static char room[TEMPLATE_WHY_ROOM + 4];
    const char *problem = check_template(template, room);
    if (problem)
        return problem;
    char *url =
        url_expand(template, &(struct source_request){.name = SLICE("x"), .rest = SLICE("x")});
    problem = url ? check_expanded(url) : "out of memory";
    free(url);
    return problem;
}

void url_show(const char *url, char out[URL_SHOWN_ROOM])
{
    const char *authority = after_scheme(url);
    if (!authority)
        authority = url;
    const char *end = authority + strcspn(authority, "/?#"), *host = end;
    while (host > authority && host[-1] != '@')
        host--;
    int path_len = (int)strcspn(end, "?#");
    int len = snprintf(out, URL_SHOWN_ROOM, "%.*s%.*s%.*s%s", (int)(authority - url), url,
                       (int)(end - host), host, path_len, end, end[path_len] == '?' ? "?..." : "");
    if (len >= URL_SHOWN_ROOM)
        strcpy(out + URL_SHOWN_ROOM - sizeof "...", "...");
}
