/* Endpoints: each answers the requests for one path (or, for PURGE, of one method).
 *
 * An endpoint is a file of this room and a row of the table in service.c. This header has what
 * those files share: a row, a request being routed, the service's state, and short answers.
 *
 *     service --visit--> start --> answered at once, or streamed
 *                          `-----> parked --settled--> finish
 */
#ifndef WORKERLESS_WEB_ENDPOINT_H
#define WORKERLESS_WEB_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/log.h"
#include "base/slice.h"
#include "park/flights.h"
#include "web/answer.h"
#include "web/method.h"
#include "web/request.h"
#include "web/route.h"
#include "web/site.h"

/* A longer path is malformed. */
#define ENDPOINT_PATH_MAX (sizeof("/workerless/explain/") + ROUTE_NAME_MAX)

struct service {
    struct site site;
    struct flights *flights;
    double started; /* when the process began, by clock_monotonic() */
    bool draining;
    struct log_limit refusals[JOIN_NO_MEMORY + 1], pathless;
    bool streams_vary; /* a route that allows streams has inputs */
    bool *hinted;      /* owned; by route: it was logged that the route does not allow streams */
};

/* A request being routed to its endpoint. */
struct visit {
    const struct web_request *request;
    const struct endpoint *endpoint; /* NULL: no endpoint has the path */
    struct slice path;               /* in the request or in `joined`; empty if it is too long */
    enum method method;
    bool path_too_long;
    char joined[ENDPOINT_PATH_MAX];
};

/* Checks for errors that are visible in the headers, so that a request can be rejected before its
 * body has arrived. The request may have any method. Returns 0, or the status of an error. */
typedef int endpoint_precheck_fn(const struct service *service, const struct visit *visit);

/* Answers the request, even one that fails the precheck. The endpoint has its method. */
typedef enum answer_kind endpoint_start_fn(struct service *service, const struct visit *visit,
                                           const struct waiter_address *who, union answer *answer);

/* Answers a request that `start` has parked. The caller owns the response. */
typedef void endpoint_finish_fn(const struct wait *wait, const struct settlement *settlement,
                                struct response *response);

struct endpoint {
    struct slice path;
    bool is_prefix;                 /* all paths that begin with `path` */
    unsigned char methods;          /* a set of enum method */
    endpoint_precheck_fn *precheck; /* NULL: no headers to check */
    endpoint_start_fn *start;
    endpoint_finish_fn *finish; /* NULL: it never parks a request */
};

/* The first of the rows that has the path, or NULL. */
const struct endpoint *endpoint_find(const struct endpoint *rows, size_t count, struct slice path);

/* The response for a status, with its short text. */
struct response endpoint_response(const struct visit *visit, int status);

/* The same, as the request's answer. */
enum answer_kind endpoint_answer(const struct visit *visit, int status, union answer *answer);

/* The same for an error whose reason the operator may need: it is logged. */
enum answer_kind endpoint_fail(struct service *service, const struct visit *visit, int status,
                               union answer *answer);

/* Answers 503 because a limit is reached. This is logged, rate-limited. */
enum answer_kind endpoint_refuse(struct service *service, const struct visit *visit,
                                 enum join_refusal refusal, union answer *answer);

#endif
