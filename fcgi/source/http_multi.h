/* curl's multi interface, driven by the loop: curl says which sockets and what time to wait for,
 * and is called when one is ready.
 *
 *     ev_io, ev_timer --> curl works --+--> done(), for each handle that curl is done with
 *                                      +--> worked()
 */
#ifndef WORKERLESS_SOURCE_HTTP_MULTI_H
#define WORKERLESS_SOURCE_HTTP_MULTI_H

#include <stdbool.h>
#include <curl/curl.h>
#include <ev.h>

#include "base/log.h"

struct http_multi_events {
    /* curl is done with the easy handle, which is still in the multi handle. */
    void (*done)(void *context, CURL *easy, CURLcode code);
    /* Called from inside curl: there is no memory to watch a socket of the easy handle, which may
     * be one of curl's own. Its transfer must be aborted, but not within this call. */
    void (*unwatched)(void *context, CURL *easy);
    /* curl was called, and has returned. */
    void (*worked)(void *context);
};

struct http_multi {
    CURLM *handle; /* handles may be added and removed, but not within curl's callbacks */
    struct ev_loop *loop;
    ev_timer timer; /* when curl wants to be called */
    struct http_watch *watches;
    const char *name; /* of the source */
    const struct http_multi_events *events;
    void *context;
    struct log_limit failures;
};

/* `connections` is the maximum number of open connections. `name`, `events` and `context` are
 * borrowed. Returns false when out of memory; call http_multi_end in that case too. */
bool http_multi_init(struct http_multi *multi, struct ev_loop *loop, const char *name,
                     unsigned connections, const struct http_multi_events *events, void *context);

/* Call it for each easy handle that is to be added. */
CURLcode http_multi_prepare(struct http_multi *multi, CURL *easy);

/* Call it when there is no easy handle left in it. */
void http_multi_end(struct http_multi *multi);

#endif
