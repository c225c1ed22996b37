/* The table of endpoints, and the routing of requests.
 *
 *     path --> endpoint --> start --> answered at once, or streamed
 *                 |           `-----> parked --> finish, or leave
 *                 `-> precheck, if a body is still to come
 *
 * A new endpoint is a file, such as health.c or fragment.c, and a row here.
 */
#include "web/service.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/usdt.h"
#include "base/users.h"
#include "park/tally.h"
#include "web/access_log.h"
#include "web/counters.h"
#include "web/digest.h"
#include "web/endpoint.h"
#include "web/explain.h"
#include "web/fragment.h"
#include "web/fragments.h"
#include "web/health.h"
#include "web/metrics.h"
#include "web/page.h"
#include "web/purge.h"
#include "web/status.h"

#define EXACTLY(path) SLICE_INIT(path), false
#define BELOW(path)   SLICE_INIT(path), true
#define READS         (METHOD_GET | METHOD_HEAD)

/* clang-format off */
static const struct endpoint endpoints[] = {
    /* path                         methods  precheck           start               finish */
    {BELOW(ROUTE_URL_PREFIX),         READS, fragment_precheck, fragment_start,     fragment_finish},
    {EXACTLY("/fragments"),           READS, NULL,              fragments_start,    NULL},
    {EXACTLY("/workerless/health"),   READS, NULL,              health_start,       NULL},
    {EXACTLY("/workerless/ready"),    READS, NULL,              health_start_ready, NULL},
    {EXACTLY("/workerless/counters"), READS, NULL,              counters_start,     NULL},
    {EXACTLY("/workerless/metrics"),  READS, NULL,              metrics_start,      NULL},
    {EXACTLY("/workerless/status"),   READS, NULL,              status_start,       NULL},
    {BELOW(EXPLAIN_URL_PREFIX),       READS, NULL,              explain_start,      explain_finish},
};
/* clang-format on */

/* For every path, whether or not a row has it. */
static const struct endpoint purge_endpoint = {
    BELOW(""), METHOD_PURGE, NULL, purge_start, purge_finish,
};

/* Its paths are those of the config's pages. */
static const struct endpoint page_endpoint = {BELOW(""), READS, NULL, page_start, NULL};

bool service_reserve(struct service *service, size_t route_count)
{
    size_t most = route_count > service->site.route_count ? route_count : service->site.route_count;
    bool *hinted = alloc_resized(service->hinted, (most + 1) * sizeof *hinted);
    if (hinted)
        service->hinted = hinted;
    return hinted != NULL;
}

void service_change(struct service *service, const struct site *site)
{
    service->site = *site;
    service->streams_vary = false;
    memset(service->hinted, 0, site->route_count * sizeof *service->hinted);
    for (size_t i = 0; i < site->route_count; i++)
        service->streams_vary |=
            site->routes[i].stream && site->routes[i].recipe.rules.vary.count > 0;
}

struct service *service_new(const struct site *site, struct flights *flights)
{
    struct service *service = alloc_zeroed(sizeof *service);
    if (!service || !service_reserve(service, site->route_count)) {
        free(service);
        return NULL;
    }
    service->started = clock_monotonic();
    service->flights = flights;
    service_change(service, site);
    digest_init();
    return service;
}

void service_free(struct service *service)
{
    if (!service)
        return;
    for (size_t i = 0; i < sizeof service->refusals / sizeof service->refusals[0]; i++)
        log_limit_end(&service->refusals[i]);
    log_limit_end(&service->pathless);
    free(service->hinted);
    free(service);
}

void service_drain(struct service *service)
{
    service->draining = true;
}

/* --- from a path to its endpoint --- */

/* Most requests are for a fragment, so its row is first and is compared without a loop. */
static const struct endpoint *find_endpoint(const struct service *service, struct slice path,
                                            enum method method)
{
    if (method == METHOD_PURGE)
        return &purge_endpoint;
    if (slice_starts(path, endpoints[0].path))
        return &endpoints[0];
    const struct endpoint *found =
        endpoint_find(endpoints + 1, sizeof endpoints / sizeof endpoints[0] - 1, path);
    if (found || slice_starts(path, SLICE(SITE_OWN_PREFIX)))
        return found; /* a probe of a path that is wrong must not get a page */
    return page_find(&service->site, path) ? &page_endpoint : NULL;
}

static void begin_visit(const struct service *service, struct visit *visit,
                        const struct web_request *request)
{
    visit->request = request;
    visit->method = method_of(request->method);
    visit->path_too_long =
        !web_request_path(request, visit->joined, sizeof visit->joined, &visit->path);
    if (visit->path_too_long)
        visit->path = SLICE("");
    visit->endpoint = find_endpoint(service, visit->path, visit->method);
}

static bool method_allowed(const struct visit *visit)
{
    return (visit->endpoint->methods & visit->method) != 0;
}

/* Checks the headers. Returns 0, or the status of an error. The path is checked before the method,
 * as 405 is only for something that exists. */
static int find_error(const struct service *service, const struct visit *visit)
{
    const struct endpoint *endpoint = visit->endpoint;
    if (!endpoint)
        return visit->path_too_long ? 400 : 404;
    int error = endpoint->precheck ? endpoint->precheck(service, visit) : 0;
    return error || method_allowed(visit) ? error : 405;
}

/* --- a request's way --- */

bool service_check(const struct service *service, const struct web_request *request,
                   struct response *response)
{
    struct visit visit;
    begin_visit(service, &visit, request);
    int error = find_error(service, &visit);
    if (error)
        *response = endpoint_response(&visit, error);
    return error != 0;
}

enum answer_kind service_start(struct service *service, const struct web_request *request,
                               const struct waiter_address *who, union answer *answer)
{
    struct visit visit;
    begin_visit(service, &visit, request);
    USDT(request_begun, USDT_SLICE(visit.path));
    if (!visit.endpoint || !method_allowed(&visit))
        return endpoint_fail(service, &visit, find_error(service, &visit), answer);
    enum answer_kind kind = visit.endpoint->start(service, &visit, who, answer);
    if (kind == ANSWER_WAIT) {
        check(visit.endpoint->finish);
        answer->wait.endpoint = visit.endpoint;
    }
    return kind;
}

void service_finish(struct wait *wait, const struct settlement *settlement,
                    struct response *response)
{
    wait->endpoint->finish(wait, settlement, response);
    access_log_settled(wait->access, settlement, response);
    wait->access = NULL;
    wait->waiter = NULL;
    service_leave(wait);
}

void service_leave(struct wait *wait)
{
    if (wait->waiter) {
        if (wait->route) {
            route_tally_add(wait->route->recipe.tally, ROUTE_LEFT);
            USDT(request_settled, wait->route->pattern, route_outcome_names[ROUTE_LEFT]);
        }
        waiter_leave(wait->waiter);
    }
    access_log_left(wait->access);
    free(wait->if_none_match);
    if (wait->route)
        users_drop(wait->route->recipe.users);
    *wait = (struct wait){0};
}
