/* The fragments of one request: by their names, to what a flight needs.
 *
 *     name --> route that is open to streams, inputs of the request --> fragment
 */
#ifndef WORKERLESS_WEB_BATCH_H
#define WORKERLESS_WEB_BATCH_H

#include "park/fragment.h"
#include "web/endpoint.h"
#include "web/response.h"
#include "web/variant.h"

#define BATCH_KNOWN_MAX 8

struct batch {
    struct service *service;
    const struct web_request *request;
    size_t vary_len;
    char vary[RESPONSE_STREAM_VARY_MAX]; /* names of all routes in `known`, for the Vary header */
    struct {
        const struct route *route; /* NULL: nothing */
        struct variant variant;
    } known[BATCH_KNOWN_MAX]; /* the inputs of recent routes, so that they are read once */
};

/* Both arguments are borrowed. The batch itself needs kilobytes of stack. */
void batch_begin(struct batch *batch, struct service *service, const struct web_request *request);

/* Sets the fragment of that name, whose key gets into `key`. *route is NULL if no route matches.
 * The front server's rules for /fragment/NAME do not apply to names in a query or a page. So a route
 * that does not allow streams is treated as if it did not exist: nothing is looked up or started for
 * it, and clients can't see the difference. Returns false if the fragment's inputs are malformed. */
bool batch_find(struct batch *batch, struct slice name, char key[VARIANT_KEY_MAX],
                struct fragment *fragment, const struct route **route);

/* The names for the Vary header of a response with all fragments that were found. */
static inline struct slice batch_vary(const struct batch *batch)
{
    return (struct slice){.data = batch->vary, .len = batch->vary_len};
}

/* Logs that the route does not allow streams, in which the fragment was requested: "in /fragments", or
 * in what else `where` says. Only once for each route, since any client can cause it. */
void batch_hint_closed(struct service *service, const struct route *route, struct slice name,
                       const char *where);

#endif
