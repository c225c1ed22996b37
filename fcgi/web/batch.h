/* The fragments of one request, which has many: from each name to what a flight needs.
 *
 *     name --> route that is open to streams, inputs of the request --> fragment
 *
 * It lives on the stack while the request is being started.
 */
#ifndef WORKERLESS_WEB_BATCH_H
#define WORKERLESS_WEB_BATCH_H

#include "park/fragment.h"
#include "web/endpoint.h"
#include "web/response.h"
#include "web/variant.h"

#define BATCH_KNOWN_MAX 8 /* routes */

struct batch {
    struct service *service;
    const struct web_request *request;
    size_t vary_len;
    char vary[RESPONSE_STREAM_VARY_MAX]; /* for the Vary header: what all routes so far depend on */
    struct {
        const struct route *route; /* NULL: the slot is empty */
        struct variant variant;
    } known[BATCH_KNOWN_MAX]; /* the inputs of recent routes, so that they are read once */
};

/* Service and request are borrowed. The batch needs kilobytes of stack. */
void batch_begin(struct batch *batch, struct service *service, const struct web_request *request);

/* Sets the fragment of that name, which points into the name, the batch and `key`; and its route,
 * NULL if none matches. The front server's rules for /fragment/NAME do not apply to names in a
 * query or a page. So if the route does not allow streams, the fragment gets no recipe, as if there
 * were no route: nothing is looked up or started for it, and clients can't see the difference.
 * Returns false if the fragment's inputs are malformed. */
bool batch_find(struct batch *batch, struct slice name, char key[VARIANT_KEY_MAX],
                struct fragment *fragment, const struct route **route);

/* The names for the Vary header of a response with all fragments that were found. */
static inline struct slice batch_vary(const struct batch *batch)
{
    return (struct slice){.data = batch->vary, .len = batch->vary_len};
}

/* Logs that the fragment was requested in a stream, which its route does not allow. `where` is what
 * requested it, such as "/fragments" or "a page". This is a warning only once for each route, since
 * any client can cause it. */
void batch_hint_closed(struct service *service, const struct route *route, struct slice name,
                       const char *where);

#endif
