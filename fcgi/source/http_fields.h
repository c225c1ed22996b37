/* The header fields of the requests to an http source, as libcurl is given them.
 *
 * libcurl formats the fields of its lists byte by byte, which costs more than all else that it does
 * for a request. But it sends the target of a request as it is ("without any filter", says the
 * manual of CURLOPT_REQUEST_TARGET). So a target for HTTP/1.1 goes on with the rest of its line and
 * with our own fields. libcurl adds " HTTP/1.1" and the fields of its list:
 *
 *     GET /news HTTP/1.1
 *     Host: 127.0.0.1:9000
 *     Accept: text/html
 *     X-Request-Id: 7a41
 *     User-Agent: workerless/0.1.0 HTTP/1.1
 *     X-Api-Version: 2
 *
 * That makes a second product of the User-Agent (RFC 9110 10.1.5), so it comes last, and must be
 * ours. A libcurl that is not known to send targets as they are gets lists with all fields.
 */
#ifndef WORKERLESS_SOURCE_HTTP_FIELDS_H
#define WORKERLESS_SOURCE_HTTP_FIELDS_H

#include <stdbool.h>
#include <curl/curl.h>

#include "base/slice.h"
#include "source/http_settings.h"

struct http_fields {              /* of a source */
    struct curl_slist *all;       /* of requests to its own host... */
    struct curl_slist *elsewhere; /* ...and to others */
    struct curl_slist *rest;      /* `all` without those that are written behind a target */
    char *text;                   /* those, without those of a call; NULL: they can't be written */
};

/* `origin` is the scheme, host and port of the source's url, or NULL. Returns false when out of
 * memory; call http_fields_end in that case too. */
bool http_fields_init(struct http_fields *fields, const struct http_settings *settings,
                      CURLU *origin);
void http_fields_end(struct http_fields *fields);

/* Whether the lines, each of which ends in '\n', have a field of ours. They replace it. */
bool http_fields_replaced(const char *lines);

/* The target and our own fields behind it; the two lines are those of a call. fields->text is not
 * NULL. The caller frees it. Returns NULL when out of memory. */
char *http_fields_write(const struct http_fields *fields, struct slice target,
                        struct slice request_id, struct slice traceparent);

/* A copy of the list with the lines, each of which ends in '\n', in place of fields of the same
 * name. Returns NULL when out of memory. */
struct curl_slist *http_fields_with(const struct curl_slist *list, const char *lines);

#endif
