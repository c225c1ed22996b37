/* From a path to a fragment.
 *
 *     GET    path --> route, key --> in memory? --> answered at once
 *                                `-> its flight --> parked --> settled --> answered
 *     PURGE  path --> key -------------> purge ---> parked --> settled --> answered
 */
#include "web/service.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "cache/entry.h"
#include "web/route.h"

#define FRAGMENT_PREFIX   SLICE("/fragment/")
#define HEALTH_PATH       SLICE("/workerless/health")
#define PATH_MAX_LEN      (sizeof("/fragment/") + ROUTE_NAME_MAX)
#define IF_NONE_MATCH_MAX 1024 /* a longer header is ignored: the answer is a full one */

struct service {
    const struct route *routes;
    size_t route_count;
    const struct purge_settings *purge;
    struct flights *flights;
};

struct service *service_new(const struct route *routes, size_t route_count,
                            const struct purge_settings *purge, struct flights *flights)
{
    struct service *service = alloc_zeroed(sizeof *service);
    if (service)
        *service = (struct service){routes, route_count, purge, flights};
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

static bool is_purge(const struct web_request *request)
{
    return slice_equal(request->method, SLICE("PURGE"));
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
    if (target.route || target.status < 400 || is_purge(request))
        return false;
    *response = answer_own(request, target.status);
    return true;
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

/* --- what a settlement is answered with --- */

/* A fragment's answer, or its 304. */
static struct response answer_entry(const struct settlement *settlement, const struct route *route,
                                    struct slice if_none_match)
{
    struct entry *entry = settlement->entry;
    struct response response = response_of_entry(entry);
    struct slice etag = {.data = entry->etag, .len = ENTRY_ETAG_LEN};
    if (web_request_etag_matches(if_none_match, etag))
        response.status = 304;
    response.terms = &route->recipe.freshness;
    return response;
}

/* Nothing to show but why: the route's fallback where the source is to blame. */
static struct response answer_without_entry(const struct route *route, int status)
{
    struct response response = response_of_status(status);
    if (route->fallback.data && (status == 502 || status == 504))
        response.body = route->fallback;
    return response;
}

static struct response answer_settlement(const struct settlement *settlement,
                                         const struct route *route, struct slice if_none_match,
                                         bool head_only)
{
    static const short statuses[] = {
        [SETTLED_NOT_FOUND] = 404, [SETTLED_FAILED] = 502,   [SETTLED_TIMED_OUT] = 504,
        [SETTLED_NOT_READY] = 202, [SETTLED_SHUTDOWN] = 503,
    };
    static const char *const details[] =
        {[FROM_SOURCE] = "source", [FROM_REDIS] = "redis", [FROM_MEMORY] = "memory"};
    bool answered = settlement->kind != SETTLED_NOT_READY && settlement->kind != SETTLED_SHUTDOWN;
    struct response response = settlement->kind == SETTLED_ENTRY
                                   ? answer_entry(settlement, route, if_none_match)
                                   : answer_without_entry(route, statuses[settlement->kind]);
    response.head_only = head_only;
    response.origin = settlement->hit ? ORIGIN_HIT : settlement->stale ? ORIGIN_STALE : ORIGIN_MISS;
    response.detail = answered ? details[settlement->detail] : NULL;
    response.stored = settlement->stored;
    response.collapsed = settlement->collapsed && !settlement->hit;
    return response;
}

/* --- purging --- */

static bool may_purge(const struct service *service, const struct web_request *request)
{
    for (size_t i = 0; i < service->purge->count; i++)
        if (slice_equal(request->remote_addr, slice_of(service->purge->addresses[i])))
            return true;
    return false;
}

/* A name, or the beginning of one and '*'; into the key, or the beginning of keys and '*', for
 * which `key` has room for ROUTE_KEY_MAX + 1 bytes. Needs no route: what is gone from the config
 * can be purged too. */
static bool purge_key(const struct web_request *request, char *key, size_t *len)
{
    char path[PATH_MAX_LEN];
    size_t path_len;
    if (!web_request_path(request, path, sizeof path, &path_len) ||
        !slice_starts((struct slice){path, path_len}, FRAGMENT_PREFIX))
        return false;
    struct slice name = slice_from((struct slice){path, path_len}, FRAGMENT_PREFIX.len);
    bool all = name.len > 0 && name.data[name.len - 1] == '*';
    if (!all && !route_name_valid(name))
        return false;
    if (all)
        name.len--;
    *len = route_key(name, key);
    if (all)
        key[(*len)++] = '*';
    return true;
}

/* As service_start. 503: out of memory. */
static bool start_purge(struct service *service, const struct web_request *request,
                        struct waiter_address who, struct wait *wait, struct response *response)
{
    char key[ROUTE_KEY_MAX + 1];
    size_t len;
    int status = 503;
    *wait = (struct wait){0};
    if (!may_purge(service, request))
        status = 403;
    else if (!purge_key(request, key, &len))
        status = 400;
    else
        wait->waiter = flights_purge(service->flights, (struct slice){key, len},
                                     slice_equal(request->purge, SLICE("soft")), who);
    if (!wait->waiter)
        *response = answer_own(request, status);
    return !wait->waiter;
}

/* --- fragments --- */

bool service_start(struct service *service, const struct web_request *request,
                   struct waiter_address who, struct wait *wait, struct response *response)
{
    if (is_purge(request))
        return start_purge(service, request, who, wait, response);

    struct target target;
    find_target(service, request, &target);
    if (!target.route) {
        *response = answer_own(request, target.status);
        return true;
    }

    char bytes[ROUTE_KEY_MAX];
    struct slice key = {.data = bytes, .len = route_key(target.name, bytes)};
    const struct recipe *recipe = &target.route->recipe;
    struct settlement settlement;
    if (flights_serve(service->flights, recipe, key, target.name, &settlement)) {
        *response =
            answer_settlement(&settlement, target.route, request->if_none_match, is_head(request));
        return true;
    }

    enum join_refusal refusal;
    *wait = (struct wait){.route = target.route, .head_only = is_head(request)};
    wait->waiter = flights_join(service->flights, recipe, key, target.name, who, &refusal);
    if (!wait->waiter) {
        *response = answer_refusal(request, refusal);
        return true;
    }
    if (request->if_none_match.len > 0 && request->if_none_match.len <= IF_NONE_MATCH_MAX)
        wait->if_none_match = alloc_copy(request->if_none_match.data, request->if_none_match.len);
    return false;
}

struct response service_finish(struct wait *wait, const struct settlement *settlement)
{
    struct response response =
        settlement->kind == SETTLED_PURGED ? response_of_status(204)
        : settlement->kind == SETTLED_NOT_PURGED
            ? response_of_status(503)
            : answer_settlement(settlement, wait->route, slice_of(wait->if_none_match),
                                wait->head_only);
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
