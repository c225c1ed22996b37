/* The answer of an endpoint to a request: a response, a wait for one, or a feed. */
#ifndef WORKERLESS_WEB_ANSWER_H
#define WORKERLESS_WEB_ANSWER_H

#include <stdbool.h>

#include "web/response.h"

struct access_record;
struct endpoint;
struct feed;
struct route;
struct waiter;

/* The data of a parked request. */
struct wait {
    const struct endpoint *endpoint; /* finishes the wait */
    struct waiter *waiter;           /* no longer valid once settled; then service_finish follows */
    const struct route *route;       /* of a fragment, counted; for a purge, this and the rest are
                                        zero */
    char *if_none_match;             /* owned copy, or NULL */
    struct access_record *access;    /* owned, or NULL */
    short granted_wait_s;            /* preference "wait" in seconds; negative: none applies */
    bool head_only;
    bool strict; /* preference "handling=strict": not ready is an error, not a 202 */
};

enum answer_kind {
    ANSWER_RESPONSE, /* `response` is set; the caller owns it */
    ANSWER_WAIT,     /* `wait` is set; service_finish or service_leave ends it */
    ANSWER_FEED,     /* `feed` is set; the caller owns it */
};

union answer {
    struct response response;
    struct wait wait;
    struct feed *feed;
};

#endif
