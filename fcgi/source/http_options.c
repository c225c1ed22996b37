/* The options of the http source, and their checks. */
#include "source/http_options.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/address.h"
#include "source/body.h"
#include "source/forward.h"
#include "source/http_settings.h"
#include "source/http_features.h"
#include "source/http_headers.h"
#include "source/http_tls.h"
#include "source/redirect.h"
#include "source/template.h"
#include "source/url.h"

static const char *check_socket(const char *text)
{
    if (*text && *text != '/')
        return "write an absolute path, such as /run/app.sock";
    return *text ? address_check_path(text) : NULL;
}

const struct option http_options[HTTP_OPTIONS] = {
    {"url", OPTION_STRING, OPTION_AT(struct http_settings, url), .required = true,
     .help =
         "URL to call, http or https. {name} is replaced by the fragment's name, {rest} by what "
         "the * of its route matches, {query} by all query inputs in vary, {query:NAME}, "
         "{language}, {host} and {header:NAME} by one input; all are percent-encoded. Inputs "
         "that it does not name are appended as a query, or sent as headers."},
    {"socket", OPTION_STRING, OPTION_AT(struct http_settings, socket), .preset = "",
     .check = check_socket,
     .help = "Path of a unix socket to call through; the host of the url is then only a name that "
             "is sent along. \"\": none."},
    {"http2", OPTION_CHOICE, OPTION_AT(struct http_settings, http2), .preset = "yes",
     .words = "no yes prior-knowledge",
     .help = "HTTP/2. yes: over https, if the server offers it and libcurl has it, else HTTP/1.1. "
             "prior-knowledge: over http, for a server that is known to accept it."},
    {"headers", OPTION_LIST, OPTION_AT(struct http_settings, headers), .check = http_header_check,
     .secret = true,
     .help = "Headers of each request, as NAME: VALUE; they replace our own Accept and User-Agent. "
             "They are sent only to the scheme, host and port of the url, also when it redirects "
             "elsewhere, and are never logged."},
    {"method", OPTION_CHOICE, OPTION_AT(struct http_settings, method), .preset = "GET",
     .words = "GET POST",
     .help = "Request method. A POST must be safe to repeat, since results expire and calls are "
             "retried."},
    {"body", OPTION_STRING, OPTION_AT(struct http_settings, body), .preset = "", .secret = true,
     .help = "Body of a POST. It may have the placeholders of url except {query}, which are "
             "escaped for a string of JSON, or percent-encoded if the Content-Type in headers is "
             "application/x-www-form-urlencoded. The default type is application/json."},
    {"timeout", OPTION_DURATION, OPTION_AT(struct http_settings, timeout), .preset = "10s",
     .min = "1ms", .max = "1d",
     .help = "Time limit for a complete call; over it, requests get 504."},
    {"retries", OPTION_COUNT, OPTION_AT(struct http_settings, retries), .preset = "0", .min = "0",
     .max = "5",
     .help =
         "How often a call is retried within its timeout if it gets no connection, or a 502, 503 "
         "or 504."},
    {"max_body", OPTION_SIZE, OPTION_AT(struct http_settings, max_body), .preset = "1MiB",
     .min = "1B", .max = "1GiB",
     .help = "Maximum size of a response body; for larger ones, requests get 502."},
    {"connections", OPTION_COUNT, OPTION_AT(struct http_settings, settings.limits.connections),
     .preset = "100", .min = "1", .max = "65535",
     .help = "Maximum number of concurrent calls; more are queued."},
    {"redirects", OPTION_LIST, OPTION_AT(struct http_settings, redirects), .check = redirect_check,
     .help = "Hosts that redirects may lead to besides the scheme, host and port of the url: HOST, "
             "HOST:PORT or SCHEME://HOST[:PORT]. The scheme defaults to that of the url, the port "
             "to the default port of the scheme."},
    {"tls_ca", OPTION_PATH, OPTION_AT(struct http_settings, tls_ca), .preset = "",
     .help = "PEM file of CA certificates to verify the servers with, also those of redirects; the "
             "path is relative to this file; \"\": the system's certificates."},
    {"tls_certificate", OPTION_PATH, OPTION_AT(struct http_settings, tls_certificate), .preset = "",
     .help = "PEM file of the client certificate, with its chain, for the scheme, host and port of "
             "the url; \"\": none."},
    {"tls_key", OPTION_PATH, OPTION_AT(struct http_settings, tls_key), .preset = "",
     .help = "PEM file of the client certificate's key, without a passphrase; nobody but its owner "
             "and group may have access to it."},
};

_Static_assert(offsetof(struct http_settings, header_count) ==
                   offsetof(struct http_settings, headers) + sizeof(char **),
               "a list is followed by its count");
_Static_assert(offsetof(struct http_settings, redirect_count) ==
                   offsetof(struct http_settings, redirects) + sizeof(char **),
               "a list is followed by its count");

struct slice http_body_type(const struct http_settings *settings)
{
    const char *given =
        http_headers_find(settings->headers, settings->header_count, SLICE("Content-Type"));
    return given ? http_header_value(given) : SLICE("application/json");
}

static const char *check_body(const struct http_settings *settings, const char **option)
{
    *option = "body";
    if (!http_is_set(settings->body))
        return NULL;
    if (settings->method != METHOD_POST)
        return "body requires method = \"POST\"";
    return body_check(settings->body, body_format(http_body_type(settings)));
}

const char *http_check(const struct source_settings *common, const char **option)
{
    const struct http_settings *settings = (const struct http_settings *)common;
    *option = "url";
    if (!http_is_set(settings->url))
        return "a source of type http needs a url";
    const char *problem = url_check(settings->url);
    if (problem)
        return problem;
    if (http_headers_repeat(settings->headers, settings->header_count)) {
        *option = "headers";
        return "two of its headers have the same name";
    }
    problem = check_body(settings, option);
    if (problem)
        return problem;
    if (settings->http2 == HTTP2_PRIOR_KNOWLEDGE) {
        *option = "http2";
        if (!http_features_has_http2())
            return "http2 = \"prior-knowledge\": this libcurl has no HTTP/2";
        if (url_is_https(settings->url))
            return "http2 = \"prior-knowledge\" is for http; over https write \"yes\"";
    }
    if (http_is_set(settings->socket) && settings->redirect_count > 0) {
        *option = "redirects";
        return "redirects can't be listed with socket, since no other host is reached through it";
    }
    return http_tls_check(settings, option);
}

const char *http_lacks_name(const struct source_settings *settings)
{
    const struct http_settings *http = (const struct http_settings *)settings;
    bool has_name = !http->url || template_has(http->url, TEMPLATE_NAME) ||
                    template_has(http->url, TEMPLATE_REST) ||
                    (http_is_set(http->body) && (template_has(http->body, TEMPLATE_NAME) ||
                                                 template_has(http->body, TEMPLATE_REST)));
    return has_name ? NULL : "url";
}

const char *http_uses_rest(const struct source_settings *settings)
{
    const struct http_settings *http = (const struct http_settings *)settings;
    if (http->url && template_has(http->url, TEMPLATE_REST))
        return "url";
    return http->body && template_has(http->body, TEMPLATE_REST) ? "body" : NULL;
}

bool http_check_rules(const struct source_settings *common, const struct source_rules *rules,
                      char why[SOURCE_WHY_ROOM])
{
    const struct http_settings *settings = (const struct http_settings *)common;
    if (!settings->url)
        return true; /* which is reported for the source */
    for (size_t i = 0; i < settings->header_count; i++) {
        struct slice name = http_header_name(settings->headers[i]);
        if (!forward_uses_field(settings->url, rules, name))
            continue;
        snprintf(why, SOURCE_WHY_ROOM,
                 "whose headers include %.*s, which is also sent for an input; remove one of them",
                 name.len < 80 ? (int)name.len : 80, name.data);
        return false;
    }
    return forward_check(settings->url, rules, why) &&
           (!settings->body || forward_check_named("body", settings->body, &rules->vary, why));
}

size_t http_descriptors(const struct source_settings *settings)
{
    return settings->limits.connections;
}

double http_timeout(const struct source_settings *settings)
{
    return ((const struct http_settings *)settings)->timeout;
}
