/* From a path to a fragment.
 *
 *     path --> route, key --> in memory?  --> answered at once
 *                        `--> its flight  --> parked --> settled --> answered
 */
#include "web/service.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "cache/cache.h"
#include "cache/entry.h"
#include "web/route.h"

#define FRAGMENT_PREFIX   SLICE("/fragment/")
#define HEALTH_PATH       SLICE("/workerless/health")
#define PATH_MAX_LEN      (sizeof("/fragment/") + ROUTE_NAME_MAX)
#define IF_NONE_MATCH_MAX 1024 /* a longer header is ignored: the answer is a full one */

struct service {
    const struct route *routes;
    size_t route_count;
    struct cache *cache;
    struct flights *flights;
};

struct service *service_new(const struct route *routes, size_t route_count, struct cache *cache,
                            struct flights *flights)
{
    struct service *service = alloc_zeroed(sizeof *service);
    if (service)
        *service = (struct service){routes, route_count, cache, flights};
    return service;
}

void service_free(struct service *service)
{
    free(service);
}

static bool is_head(const struct web_request *request)
{
    return slice_equal(request->method, SLICE("HEAD"));
}

/* What a path leads to: a fragment, or else the status of an answer of our own. */
struct target {
    const struct route *route; /* NULL: no fragment */
    struct slice name;         /* of the fragment; points into path */
    int status;                /* if it is none */
    char path[PATH_MAX_LEN];
};

static void find_target(const struct service *service, const struct web_request *request,
                        struct target *target)
{
    size_t len;
    target->route = NULL;
    target->status = 400;
    if (!web_request_path(request, target->path, sizeof target->path, &len))
        return;
    struct slice path = {.data = target->path, .len = len};
    if (slice_starts(path, FRAGMENT_PREFIX)) {
        target->name = slice_from(path, FRAGMENT_PREFIX.len);
        if (!route_name_valid(target->name))
            return;
        target->route = route_find(service->routes, service->route_count, target->name);
    }
    target->status = slice_equal(path, HEALTH_PATH) ? 200 : 404;
    if ((target->route || target->status == 200) && !is_head(request) &&
        !slice_equal(request->method, SLICE("GET"))) {
        target->route = NULL;
        target->status = 405;
    }
}

static struct response answer_own(const struct web_request *request, int status)
{
    struct response response = response_of_status(status);
    if (status == 200) {
        response.body = SLICE("ok\n");
        response.plain = true;
    }
    response.head_only = is_head(request);
    return response;
}

bool service_check(const struct service *service, const struct web_request *request,
                   struct response *response)
{
    struct target target;
    find_target(service, request, &target);
    if (target.route || target.status < 400)
        return false;
    *response = answer_own(request, target.status);
    return true;
}

/* A fragment's answer, or its 304. */
static struct response answer_entry(struct entry *entry, struct slice if_none_match, bool head_only)
{
    struct response response = response_of_entry(entry);
    struct slice etag = {.data = entry->etag, .len = ENTRY_ETAG_LEN};
    response.head_only = head_only;
    if (web_request_etag_matches(if_none_match, etag))
        response.status = 304;
    return response;
}

static struct response answer_refusal(const struct web_request *request, enum join_refusal refusal)
{
    static const char *const reasons[] = {
        [JOIN_TOO_MANY_PARKED] = "max_parked is reached",
        [JOIN_TOO_MANY_FLIGHTS] = "max_flights is reached",
        [JOIN_NO_MEMORY] = "out of memory",
    };
    log_debug("service", "request refused: %s", reasons[refusal]);
    return answer_own(request, 503);
}

bool service_start(struct service *service, const struct web_request *request,
                   struct waiter_address who, struct wait *wait, struct response *response)
{
    struct target target;
    find_target(service, request, &target);
    if (!target.route) {
        *response = answer_own(request, target.status);
        return true;
    }

    char bytes[ROUTE_KEY_MAX];
    struct slice key = {.data = bytes, .len = route_key(target.name, bytes)};
    struct entry *entry = cache_peek(service->cache, key);
    if (entry) {
        *response = answer_entry(entry, request->if_none_match, is_head(request));
        response->origin = ORIGIN_HIT;
        return true;
    }

    enum join_refusal refusal;
    *wait = (struct wait){.route = target.route, .head_only = is_head(request)};
    wait->waiter =
        flights_join(service->flights, &target.route->recipe, key, target.name, who, &refusal);
    if (!wait->waiter) {
        *response = answer_refusal(request, refusal);
        return true;
    }
    if (request->if_none_match.len > 0 && request->if_none_match.len <= IF_NONE_MATCH_MAX)
        wait->if_none_match = alloc_copy(request->if_none_match.data, request->if_none_match.len);
    return false;
}

/* Nothing to show but why: the route's fallback where the source is to blame. */
static struct response answer_without_entry(const struct wait *wait, int status)
{
    struct response response = response_of_status(status);
    if (wait->route->fallback.data && (status == 502 || status == 504))
        response.body = wait->route->fallback;
    response.origin = ORIGIN_MISS;
    response.head_only = wait->head_only;
    return response;
}

static struct response answer_settlement(const struct wait *wait,
                                         const struct settlement *settlement)
{
    struct response response;
    switch (settlement->kind) {
    case SETTLED_ENTRY:
        response = answer_entry(settlement->entry, slice_of(wait->if_none_match), wait->head_only);
        response.origin = settlement->hit ? ORIGIN_HIT : ORIGIN_MISS;
        response.stored = settlement->stored;
        break;
    case SETTLED_NOT_FOUND:
        response = answer_without_entry(wait, 404);
        break;
    case SETTLED_TIMED_OUT:
        response = answer_without_entry(wait, 504);
        break;
    case SETTLED_NOT_READY:
        response = answer_without_entry(wait, 202);
        break;
    case SETTLED_SHUTDOWN:
        response = answer_without_entry(wait, 503);
        break;
    case SETTLED_FAILED:
    default:
        response = answer_without_entry(wait, 502);
        break;
    }
    response.collapsed = settlement->collapsed && !settlement->hit;
    return response;
}

struct response service_finish(struct wait *wait, const struct settlement *settlement)
{
    struct response response = answer_settlement(wait, settlement);
    wait->waiter = NULL;
    service_leave(wait);
    return response;
}

void service_leave(struct wait *wait)
{
    if (wait->waiter)
        waiter_leave(wait->waiter);
    free(wait->if_none_match);
    *wait = (struct wait){0};
}
