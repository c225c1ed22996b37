/* What the application answers to a request: the way from a path to a fragment.
 *
 *     service_check   errors that the headers alone show
 *     service_start   an answer at once, a wait on a flight, or a stream of many fragments
 *     service_finish  the flight's settlement -> the answer
 */
#ifndef WORKERLESS_WEB_SERVICE_H
#define WORKERLESS_WEB_SERVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "park/flights.h"
#include "web/request.h"
#include "web/response.h"

struct feed;
struct route;
struct service;

/* Who may PURGE: the values of REMOTE_ADDR. */
struct purge_settings {
    const char *const *addresses;
    size_t count;
};

/* `max_stream` is how many fragments one stream may have. All else is borrowed for the service's
 * life. Returns what the caller owns, or NULL. */
struct service *service_new(const struct route *routes, size_t route_count,
                            const struct purge_settings *purge, size_t max_stream,
                            struct flights *flights);

/* NULL is allowed. */
void service_free(struct service *service);

/* From now on the process is shutting down: requests are answered as before, but it says that it is
 * not ready. */
void service_drain(struct service *service);

/* What a parked request has to remember. */
struct wait {
    struct waiter *waiter;     /* gone when it is left, or settled: then service_finish follows */
    const struct route *route; /* NULL: a purge */
    char *if_none_match;       /* owned copy, or NULL */
    short applied;             /* of the preference "wait"; negative: none is */
    bool head_only;
    bool strict; /* the preference "handling=strict": what is not ready is an error, not a 202 */
};

/* True if the answer is known from the headers: an error that needs no look at the body. */
bool service_check(const struct service *service, const struct web_request *request,
                   struct response *response);

enum service_outcome {
    SERVICE_ANSWERED, /* `response` is set and the caller's */
    SERVICE_PARKED,   /* `wait` is set, and ends by service_finish or service_leave */
    SERVICE_STREAMS,  /* `feed` is set and the caller's */
};

union service_answer {
    struct response response;
    struct wait wait;
    struct feed *feed;
};

enum service_outcome service_start(struct service *service, const struct web_request *request,
                                   const struct waiter_address *who, union service_answer *answer);

/* The answer after the flight's settlement. The wait is over. The response is the caller's. */
void service_finish(struct wait *wait, const struct settlement *settlement,
                    struct response *response);

/* The request went away: its wait is over, the flight goes on. */
void service_leave(struct wait *wait);

#endif
