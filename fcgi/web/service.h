/* The application: routes a request by its path to an endpoint, which answers it.
 *
 *     service_check   finds errors that are visible in the headers
 *     service_start   answers immediately, parks the request, or starts a stream of fragments
 *     service_finish  answers a parked request after its settlement
 *     service_leave   ends the wait of a request that has ended earlier
 */
#ifndef WORKERLESS_WEB_SERVICE_H
#define WORKERLESS_WEB_SERVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "park/waiter.h"
#include "web/answer.h"
#include "web/request.h"
#include "web/site.h"

struct flights;
struct service;

/* What the site points to is borrowed until service_change, and the flights are until service_free.
 * Returns what the caller owns, or NULL when out of memory. */
struct service *service_new(const struct site *site, struct flights *flights);

/* Makes room for so many routes, and still for those that there are: call it before service_change,
 * which can't fail then. Returns false when out of memory. */
bool service_reserve(struct service *service, size_t route_count);

/* From now on requests are routed by this one. What is borrowed from the former one by requests in
 * progress is counted by its `users`. */
void service_change(struct service *service, const struct site *site);

/* NULL is allowed. */
void service_free(struct service *service);

/* The process is shutting down: from now on /workerless/ready says so. Other requests are answered
 * as before. */
void service_drain(struct service *service);

/* Returns true if the headers show an error, so that the body need not be awaited; then `response`
 * is set, and the caller owns it. */
bool service_check(const struct service *service, const struct web_request *request,
                   struct response *response);

/* Answers the request, whose body has arrived. `who` is its address for a settlement. */
enum answer_kind service_start(struct service *service, const struct web_request *request,
                               const struct waiter_address *who, union answer *answer);

/* Ends the wait after its settlement. The caller owns the response. */
void service_finish(struct wait *wait, const struct settlement *settlement,
                    struct response *response);

/* Ends the wait without an answer, since the request has ended. Its flight continues. */
void service_leave(struct wait *wait);

#endif
