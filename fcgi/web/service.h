/* The application: a request's path leads to an endpoint, which answers it.
 *
 *     service_check   errors that the headers alone show
 *     service_start   an answer at once, a wait on a flight, or a stream of many fragments
 *     service_finish  what a parked request waited for is there: the answer
 *     service_leave   the request went away before that
 */
#ifndef WORKERLESS_WEB_SERVICE_H
#define WORKERLESS_WEB_SERVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "park/waiter.h"
#include "web/answer.h"
#include "web/request.h"

struct client_list;
struct flights;
struct route;
struct service;

/* `purge` are the clients that may purge, `status` those that may read the counters; `max_stream` is
 * how many fragments one stream may have. All else is borrowed for the service's life. Returns what
 * the caller owns, or NULL when out of memory. */
struct service *service_new(const struct route *routes, size_t route_count,
                            const struct client_list *purge, const struct client_list *status,
                            size_t max_stream, struct flights *flights);

/* NULL is allowed. */
void service_free(struct service *service);

/* The process is shutting down: from now on /workerless/ready says so. All else is answered as
 * before. */
void service_drain(struct service *service);

/* True if the headers alone show an error, so that the body need not be awaited: then `response` is
 * set, and the caller's. */
bool service_check(const struct service *service, const struct web_request *request,
                   struct response *response);

/* Answers the request, whose body has arrived. `who` is where a settlement will find it. */
enum answer_kind service_start(struct service *service, const struct web_request *request,
                               const struct waiter_address *who, union answer *answer);

/* Ends the wait with the answer to what it has waited for. The response is the caller's. */
void service_finish(struct wait *wait, const struct settlement *settlement,
                    struct response *response);

/* Ends the wait without an answer, since the request went away. Its flight goes on. */
void service_leave(struct wait *wait);

#endif
