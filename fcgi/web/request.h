/* A request as CGI variables: its method, path and headers (RFC 3875, and how front servers deviate
 * from it). Pure. */
#ifndef WORKERLESS_WEB_REQUEST_H
#define WORKERLESS_WEB_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* The variables that we use. All others, such as HTTP_PROXY, are ignored, unless a route names them
 * as inputs. Slices point into the PARAMS stream; a variable that is absent is an empty slice. */
struct web_request {
    struct slice method;
    struct slice document_uri;
    struct slice script_name, path_info;
    struct slice content_length;
    struct slice if_none_match;
    struct slice remote_addr;
    struct slice query;     /* QUERY_STRING */
    struct slice accept;    /* HTTP_ACCEPT */
    struct slice prefer;    /* HTTP_PREFER */
    struct slice purge;     /* HTTP_WORKERLESS_PURGE */
    struct slice variables; /* the complete PARAMS stream, for inputs */
};

/* Makes all of them absent. A single memset would be slower: gcc turns it into `rep stos`, which is
 * slow to start. */
static inline void web_request_clear(struct web_request *request)
{
    for (size_t at = 0; at < sizeof *request; at += sizeof(struct slice))
        memset((char *)request + at, 0, sizeof(struct slice));
}

/* Sets one variable, if we use it. If a name comes twice, the last value counts. The length of the
 * name is compared first: it is known already, and excludes most names before their bytes are
 * read. */
static inline void web_request_set(struct web_request *request, struct slice name,
                                   struct slice value)
{
    switch (name.len) {
    case 9:
        if (slice_equal(name, SLICE("PATH_INFO")))
            request->path_info = value;
        break;
    case 11:
        if (name.data[0] == 'S') { /* many other variables begin with it */
            if (slice_equal(name, SLICE("SCRIPT_NAME")))
                request->script_name = value;
        } else if (name.data[0] == 'R') {
            if (slice_equal(name, SLICE("REMOTE_ADDR")))
                request->remote_addr = value;
        } else if (slice_equal(name, SLICE("HTTP_ACCEPT"))) {
            request->accept = value;
        } else if (slice_equal(name, SLICE("HTTP_PREFER"))) {
            request->prefer = value;
        }
        break;
    case 12:
        if (slice_equal(name, SLICE("DOCUMENT_URI")))
            request->document_uri = value;
        else if (slice_equal(name, SLICE("QUERY_STRING")))
            request->query = value;
        break;
    case 14:
        if (slice_equal(name, SLICE("REQUEST_METHOD")))
            request->method = value;
        else if (slice_equal(name, SLICE("CONTENT_LENGTH")))
            request->content_length = value;
        break;
    case 18:
        if (slice_equal(name, SLICE("HTTP_IF_NONE_MATCH")))
            request->if_none_match = value;
        break;
    case 21:
        if (slice_equal(name, SLICE("HTTP_WORKERLESS_PURGE")))
            request->purge = value;
        break;
    default:
        break;
    }
}

/* Joins SCRIPT_NAME and PATH_INFO: the path if the front server sends no DOCUMENT_URI. As
 * web_request_path. */
bool web_request_path_joined(const struct web_request *request, char *joined, size_t size,
                             struct slice *path);

/* The path, without the query string: DOCUMENT_URI if it is given, else SCRIPT_NAME followed by
 * PATH_INFO. It points into one of these or, if both are needed, into `joined`, which has `size`
 * bytes. Returns false if the path is longer than that. */
static inline bool web_request_path(const struct web_request *request, char *joined, size_t size,
                                    struct slice *path)
{
    if (request->document_uri.len == 0)
        return web_request_path_joined(request, joined, size, path);
    *path = request->document_uri;
    return path->len <= size;
}

/* CONTENT_LENGTH in bytes, 0 if it is empty. False if it is not a number, or too large for any body
 * (about 2^63). */
bool web_request_content_length(const struct web_request *request, uint64_t *len);

/* The seconds of the preference "wait" (RFC 7240 4.3), or -1 if it is absent or malformed. */
int web_request_wait(const struct web_request *request);

/* Whether the preference "handling=strict" is there (RFC 7240 4.4). */
bool web_request_is_strict(const struct web_request *request);

/* Whether the Accept header names the media type, with any parameters (RFC 9110 12.5.1). */
bool web_request_accepts(const struct web_request *request, struct slice type);

/* Whether the If-None-Match header matches the entity tag, by weak comparison (RFC 9110
 * 13.1.2). */
bool web_request_etag_matches(struct slice if_none_match, struct slice etag);

#endif
