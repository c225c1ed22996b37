/* The url of a fragment: checks a template, and replaces {name} in it. */
#include "source/url.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <curl/curl.h>

#include "base/buffer.h"

#define PLACEHOLDER "{name}"

/* What follows "http://" or "https://"; NULL if the template begins otherwise. */
static const char *after_scheme(const char *template)
{
    if (strncasecmp(template, "http://", strlen("http://")) == 0)
        return template + strlen("http://");
    if (strncasecmp(template, "https://", strlen("https://")) == 0)
        return template + strlen("https://");
    return NULL;
}

static const char *check_template(const char *template)
{
    const char *authority = after_scheme(template), *placeholder = strstr(template, PLACEHOLDER);
    if (!authority)
        return "url must begin with http:// or https://";
    size_t authority_len = strcspn(authority, "/?#");
    if (authority_len == 0) /* curl would take the host from the path */
        return "url has no host";
    /* With a name in the host, clients could choose the server. */
    if (placeholder && placeholder < authority + authority_len)
        return PLACEHOLDER " is allowed only in the path and in the query of url";

    for (const char *brace = template; (brace = strpbrk(brace, "{}")); brace += strlen(PLACEHOLDER))
        if (strncmp(brace, PLACEHOLDER, strlen(PLACEHOLDER)) != 0)
            return "url may contain " PLACEHOLDER " but no other braces";
    return NULL;
}

bool url_is_https(const char *url)
{
    return strncasecmp(url, "https:", strlen("https:")) == 0;
}

bool url_has_name(const char *template)
{
    return strstr(template, PLACEHOLDER) != NULL;
}

static bool is_kept(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || (byte != '\0' && strchr("-._~/", byte));
}

static bool append_encoded(struct buffer *url, struct slice name)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < name.len; i++) {
        unsigned char byte = (unsigned char)name.data[i];
        const char encoded[] = {'%', hex[byte >> 4], hex[byte & 15]};
        bool kept = is_kept(name.data[i]);
        if (!buffer_append(url, kept ? &name.data[i] : encoded, kept ? 1 : 3, SIZE_MAX))
            return false;
    }
    return true;
}

char *url_expand(const char *template, struct slice name)
{
    struct buffer url = {0};
    const char *placeholder;
    bool ok = true;
    while (ok && (placeholder = strstr(template, PLACEHOLDER))) {
        ok = buffer_append(&url, template, (size_t)(placeholder - template), SIZE_MAX) &&
             append_encoded(&url, name);
        template = placeholder + strlen(PLACEHOLDER);
    }
    if (ok && buffer_append(&url, template, strlen(template) + 1, SIZE_MAX))
        return url.data;
    buffer_free(&url);
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

/* `url` is that of a fragment named "x". */
static const char *check_expanded(const char *url)
{
    CURLU *parts = curl_url();
    char *fragment = NULL;
    const char *problem =
        url_problem(parts ? curl_url_set(parts, CURLUPART_URL, url, 0) : CURLUE_OUT_OF_MEMORY);
    if (!problem && curl_url_get(parts, CURLUPART_FRAGMENT, &fragment, 0) == CURLUE_OK)
        problem = "url has a # part, which is never sent";
    curl_free(fragment);
    curl_url_cleanup(parts);
    return problem;
}

const char *url_check(const char *template)
{
    const char *problem = check_template(template);
    if (problem)
        return problem;
    char *url = url_expand(template, SLICE("x"));
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
