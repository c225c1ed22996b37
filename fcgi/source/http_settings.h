/* The settings of the http source. */
#ifndef WORKERLESS_SOURCE_HTTP_SETTINGS_H
#define WORKERLESS_SOURCE_HTTP_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "source/source.h"

/* What the option `http2` says, in the order of its words. */
enum http2_use {
    HTTP2_NO,
    HTTP2_NEGOTIATED,      /* over TLS, if the server has it too */
    HTTP2_PRIOR_KNOWLEDGE, /* without TLS: the server has it */
};

/* In the order of the words of the option `method`. */
enum http_method { METHOD_GET, METHOD_POST };

struct http_settings {
    struct source_settings settings;
    const char *url;    /* a template, see url.h */
    const char *socket; /* path of the unix socket that all calls go through */
    enum http2_use http2;
    unsigned retries; /* maximum number of retries after failures */
    double timeout;   /* seconds for the complete call, redirects included */
    size_t max_body;  /* bytes, after content decoding */

    enum http_method method;
    const char *body;           /* of a POST; see body.h */
    const char *const *headers; /* of the requests; see http_headers.h */
    size_t header_count;
    const char *const *redirects; /* see redirect.h */
    size_t redirect_count;

    /* Files of certificates in PEM. */
    const char *tls_ca;                    /* trusted instead of the system's */
    const char *tls_certificate, *tls_key; /* our own; both or none */
};

/* Whether an option that may be left out has a value: neither NULL nor "". */
static inline bool http_is_set(const char *text)
{
    return text && *text;
}

#endif
