/* The request of a call to a fastcgi source, as records: what CGI (RFC 3875) says of it, and the
 * inputs of the route. Pure.
 *
 *     name, query inputs   REQUEST_URI=/fragment/NAME?QUERY, DOCUMENT_URI, QUERY_STRING
 *     cookie:NAME          all in one HTTP_COOKIE
 *     header:NAME          HTTP_NAME
 *     language:TAGS        HTTP_ACCEPT_LANGUAGE
 *     host                 HTTP_HOST, SERVER_NAME
 *
 * An input that is absent, or that selects the script, is not sent. No other variable depends on the
 * client's request, except X-Request-Id and traceparent.
 */
#ifndef WORKERLESS_SOURCE_FASTCGI_REQUEST_H
#define WORKERLESS_SOURCE_FASTCGI_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "source/fastcgi_settings.h"

#define FASTCGI_REQUEST_ID 1 /* of the one request that a connection carries */

struct fastcgi_request {
    struct buffer records;
    char *script;        /* its path, for messages; NULL: there is none */
    bool is_conditional; /* it asks for the result only if it has changed */
    const char *refusal; /* why it must not be sent, for the log; NULL: it may be */
};

/* Writes the request. `random` is for the ids of a trace. Returns false when out of memory. Call
 * fastcgi_request_free in any case. */
bool fastcgi_request_write(struct fastcgi_request *out, const struct fastcgi_settings *settings,
                           const struct source_request *request, uint64_t *random);

void fastcgi_request_free(struct fastcgi_request *request);

#endif
