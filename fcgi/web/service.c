/* From a path to a fragment, or to many.
 *
 *     GET    path --> route, key --> in memory? --> answered at once
 *                                `-> its flight --> parked --> settled --> answered
 *            query --> names ------> stream, feed --> answered as they get ready
 *     PURGE  path --> key -------------> purge ---> parked --> settled --> answered
 */
#include "web/service.h"

#include <stdlib.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/budget.h"
#include "base/log.h"
#include "cache/cache.h"
#include "cache/entry.h"
#include "park/outcome.h"
#include "park/stream.h"
#include "web/feed.h"
#include "web/query.h"
#include "web/route.h"

#define FRAGMENT_PREFIX   SLICE(ROUTE_URL_PREFIX)
#define STREAM_PATH       SLICE("/fragments")
#define HEALTH_PATH       SLICE("/workerless/health")
#define READY_PATH        SLICE("/workerless/ready")
#define PATH_MAX_LEN      (sizeof(ROUTE_URL_PREFIX) + ROUTE_NAME_MAX)
#define BUSY_RETRY_S      1   /* Retry-After, where nothing goes on that one could wait for */
#define IF_NONE_MATCH_MAX 256 /* a longer header is ignored: the answer is a full one */

struct service {
    const struct route *routes;
    size_t route_count;
    const struct purge_settings *purge;
    size_t max_stream;
    struct flights *flights;
    bool draining;
    struct log_limit refusals[JOIN_NO_MEMORY + 1], pathless;
    bool *hinted; /* owned; of each route: that it is closed to streams has been logged */
};

struct service *service_new(const struct route *routes, size_t route_count,
                            const struct purge_settings *purge, size_t max_stream,
                            struct flights *flights)
{
    struct service *service = alloc_zeroed(sizeof *service);
    bool *hinted = alloc_zeroed((route_count + 1) * sizeof *hinted);
    if (!service || !hinted) {
        free(hinted);
        free(service);
        return NULL;
    }
    *service = (struct service){.routes = routes,
                                .route_count = route_count,
                                .purge = purge,
                                .max_stream = max_stream,
                                .flights = flights,
                                .hinted = hinted};
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

static bool is_head(const struct web_request *request)
{
    return slice_equal(request->method, SLICE("HEAD"));
}

static bool is_purge(const struct web_request *request)
{
    return slice_equal(request->method, SLICE("PURGE"));
}

enum target_kind { TARGET_NONE, TARGET_FRAGMENT, TARGET_STREAM, TARGET_HEALTH, TARGET_READY };

/* What a path leads to. */
struct target {
    enum target_kind kind;
    int status;                /* NONE: that of the error */
    const struct route *route; /* FRAGMENT */
    struct slice name;         /* the same: its own; points into the request, or into joined */
    char joined[PATH_MAX_LEN];
};

static void find_target(const struct service *service, const struct web_request *request,
                        struct target *target)
{
    struct slice path;
    target->kind = TARGET_NONE;
    target->status = 400;
    if (!web_request_path(request, target->joined, sizeof target->joined, &path))
        return;
    if (slice_starts(path, FRAGMENT_PREFIX)) {
        target->name = slice_from(path, FRAGMENT_PREFIX.len);
        if (!route_name_valid(target->name))
            return;
        target->route = route_find(service->routes, service->route_count, target->name);
        target->kind = target->route ? TARGET_FRAGMENT : TARGET_NONE;
    } else if (slice_equal(path, STREAM_PATH)) {
        target->kind = TARGET_STREAM;
    } else if (slice_equal(path, HEALTH_PATH)) {
        target->kind = TARGET_HEALTH;
    } else if (slice_equal(path, READY_PATH)) {
        target->kind = TARGET_READY;
    }
    target->status = 404;
    if (target->kind != TARGET_NONE && !is_head(request) &&
        !slice_equal(request->method, SLICE("GET"))) {
        target->kind = TARGET_NONE;
        target->status = 405;
    }
}

/* A short text of our own. */
static struct response answer_own(const struct web_request *request, int status)
{
    struct response response = response_of_status(status);
    response.head_only = is_head(request);
    return response;
}

static struct response answer_health(const struct web_request *request)
{
    struct response response = answer_own(request, 200);
    response.body = SLICE("ok\n");
    response.type = BODY_PLAIN;
    return response;
}

/* Whether this process can do all that it is for; else one line that says why not. */
static struct response answer_ready(const struct service *service,
                                    const struct web_request *request)
{
    const char *why = service->draining ? "shutting down\n" : flights_trouble(service->flights);
    struct response response = answer_own(request, why ? 503 : 200);
    response.body = slice_of(why ? why : "ready\n");
    response.type = BODY_PLAIN;
    return response;
}

bool service_check(const struct service *service, const struct web_request *request,
                   struct response *response)
{
    struct target target;
    find_target(service, request, &target);
    if (target.kind != TARGET_NONE || is_purge(request))
        return false;
    *response = answer_own(request, target.status);
    return true;
}

static struct response answer_refusal(struct service *service, const struct web_request *request,
                                      enum join_refusal refusal)
{
    static const char *const reasons[] = {
        [JOIN_TOO_MANY_PARKED] = "max_parked is reached: requests are refused with 503",
        [JOIN_TOO_MANY_FLIGHTS] = "max_flights is reached: requests are refused with 503",
        [JOIN_NO_MEMORY] = "out of memory: requests are refused with 503",
    };
    log_limited(&service->refusals[refusal], LOG_LEVEL_WARNING, "service", "%s", reasons[refusal]);
    return answer_own(request, 503);
}

/* An error that the operator may have to know the reason of. */
static struct response answer_error(struct service *service, const struct web_request *request,
                                    int status)
{
    char joined[PATH_MAX_LEN];
    struct slice path;
    if (!web_request_path(request, joined, sizeof joined, &path))
        path = SLICE("");
    if (path.len == 0 && request->document_uri.len + request->script_name.len == 0)
        log_limited(&service->pathless, LOG_LEVEL_WARNING, "service",
                    "a request comes without DOCUMENT_URI and without SCRIPT_NAME: the front "
                    "server has to pass one of them");
    log_debug("service", "%d: %.*s %.*s of %.*s", status, SLICE_ARGS(request->method),
              SLICE_ARGS(path), SLICE_ARGS(request->remote_addr));
    return answer_own(request, status);
}

/* --- what a settlement is answered with --- */

/* A fragment's answer, or its 304. */
static void answer_entry(struct entry *entry, const struct route *route, struct slice if_none_match,
                         struct response *response)
{
    struct slice etag = {.data = entry->etag, .len = ENTRY_ETAG_LEN};
    response_set_entry(response, entry);
    if (if_none_match.len > 0 && web_request_etag_matches(if_none_match, etag))
        response->status = 304;
    response->terms = &route->recipe.freshness;
}

static void answer_settlement(const struct settlement *settlement, const struct route *route,
                              struct slice if_none_match, bool head_only, struct response *response)
{
    static const struct slice details[] = {[FROM_SOURCE] = SLICE_INIT("source"),
                                           [FROM_REDIS] = SLICE_INIT("redis"),
                                           [FROM_MEMORY] = SLICE_INIT("memory")};
    enum settlement_kind kind = settlement->kind;
    if (kind == SETTLED_ENTRY && !entry_can_hold(settlement->entry)) {
        budget_log_refusal(BUDGET_UNSENT);
        kind = SETTLED_REFUSED;
    }
    bool answered =
        kind != SETTLED_NOT_READY && kind != SETTLED_SHUTDOWN && kind != SETTLED_REFUSED;
    if (kind == SETTLED_ENTRY)
        answer_entry(settlement->entry, route, if_none_match, response);
    else
        *response = response_of_failure(route->fallback, outcome_status(kind));
    if (settlement->busy)
        response->retry_after = BUSY_RETRY_S;
    response->head_only = head_only;
    response->origin = settlement->hit                             ? ORIGIN_HIT
                       : settlement->stale || settlement->replaced ? ORIGIN_STALE
                                                                   : ORIGIN_MISS;
    if (answered)
        response->detail = details[settlement->detail];
    response->stored = settlement->stored;
    response->collapsed = settlement->collapsed && !settlement->hit;
}

/* --- purging --- */

static bool may_purge(const struct service *service, const struct web_request *request)
{
    for (size_t i = 0; i < service->purge->count; i++)
        if (slice_equal(request->remote_addr, slice_of(service->purge->addresses[i])))
            return true;
    return false;
}

/* What the header Workerless-Purge says: a list of "soft" and "exact". False: something else. */
static bool read_purge_header(struct slice list, bool *soft, bool *exact)
{
    *soft = *exact = false;
    while (list.len > 0) {
        const char *comma = memchr(list.data, ',', list.len);
        size_t len = comma ? (size_t)(comma - list.data) : list.len;
        struct slice word = slice_trim((struct slice){.data = list.data, .len = len});
        bool *flag = slice_equal_nocase(word, SLICE("soft"))    ? soft
                     : slice_equal_nocase(word, SLICE("exact")) ? exact
                                                                : NULL;
        if (!flag)
            return false;
        *flag = true;
        list = slice_from(list, comma ? len + 1 : len);
    }
    return true;
}

/* The key of a name; or, if the name ends in '*' and is not meant exactly, how the keys begin, for
 * which `key` has room for ROUTE_KEY_MAX bytes. Needs no route: what is gone from the config can be
 * purged too. Returns 0, or the status that says what is wrong. */
static int purge_key(const struct web_request *request, bool exact, char *key,
                     struct cache_purge *what)
{
    char joined[PATH_MAX_LEN];
    struct slice path;
    if (!web_request_path(request, joined, sizeof joined, &path))
        return 400;
    if (!slice_starts(path, FRAGMENT_PREFIX))
        return 404;
    struct slice name = slice_from(path, FRAGMENT_PREFIX.len);
    what->is_prefix = !exact && name.len > 0 && name.data[name.len - 1] == '*';
    if (!what->is_prefix && !route_name_valid(name))
        return 400;
    if (what->is_prefix)
        name.len--;
    what->key = (struct slice){.data = key, .len = route_key(name, key)};
    return 0;
}

static struct response answer_unknown_purge(const struct web_request *request)
{
    struct response response = answer_own(request, 400);
    response.body = SLICE("Workerless-Purge may hold \"soft\" and \"exact\", or be absent.\n");
    response.type = BODY_PLAIN;
    return response;
}

/* As service_start. */
static enum service_outcome start_purge(struct service *service, const struct web_request *request,
                                        const struct waiter_address *who,
                                        union service_answer *answer)
{
    char key[ROUTE_KEY_MAX];
    struct cache_purge what;
    enum join_refusal refusal;
    bool exact, known = read_purge_header(request->purge, &what.soft, &exact);
    int wrong = may_purge(service, request) ? purge_key(request, exact, key, &what) : 403;
    if (wrong) {
        answer->response = answer_error(service, request, wrong);
        return SERVICE_ANSWERED;
    }
    if (!known) {
        answer->response = answer_unknown_purge(request);
        return SERVICE_ANSWERED;
    }
    struct waiter *waiter = flights_purge(service->flights, &what, *who, &refusal);
    if (!waiter) {
        answer->response = answer_refusal(service, request, refusal);
        return SERVICE_ANSWERED;
    }
    answer->wait = (struct wait){.waiter = waiter};
    return SERVICE_PARKED;
}

/* --- many fragments --- */

/* The next name of the query; what is no name of a fragment is QUERY_BAD. */
static enum query_step next_name(struct slice *query, char *buffer, struct slice *name)
{
    size_t len;
    enum query_step step = query_next(query, SLICE("name"), buffer, ROUTE_NAME_MAX, &len);
    *name = (struct slice){.data = buffer, .len = step == QUERY_VALUE ? len : 0};
    return step == QUERY_VALUE && (!route_name_valid(*name) || !event_name_valid(*name)) ? QUERY_BAD
                                                                                         : step;
}

/* How many names the query has, and how many bytes they have. False: none, or one of them is bad,
 * or they are too many. */
static bool count_names(const struct service *service, struct slice query, size_t *count,
                        size_t *bytes)
{
    char buffer[ROUTE_NAME_MAX];
    struct slice name;
    enum query_step step;
    *count = *bytes = 0;
    while ((step = next_name(&query, buffer, &name)) == QUERY_VALUE) {
        if (++*count > service->max_stream)
            return false;
        *bytes += name.len;
    }
    return step == QUERY_END && *count > 0;
}

/* Tells the operator once per route, since any client can cause it. */
static void hint_closed(struct service *service, const struct route *route, struct slice name)
{
    bool *hinted = &service->hinted[route - service->routes];
    log_debug("service", "/fragments: \"%.*s\" is refused, its route is not open to streams",
              SLICE_ARGS(name));
    if (*hinted)
        return;
    *hinted = true;
    log_warning("service",
                "fragment \"%s\" was requested in /fragments, which its section of the config does "
                "not allow; to allow it, set stream = \"yes\" in that section",
                route->pattern);
}

/* The front server's rules for /fragment/NAME do not see the names in a query. So a route that is
 * not open to streams is treated as if it did not exist: nothing is looked up or started for it,
 * and clients can't tell the difference. */
static const struct recipe *stream_recipe(struct service *service, struct slice name)
{
    const struct route *route = route_find(service->routes, service->route_count, name);
    if (route && !route->stream)
        hint_closed(service, route, name);
    return route && route->stream ? &route->recipe : NULL;
}

static void add_names(struct service *service, struct slice query, struct stream *stream)
{
    char buffer[ROUTE_NAME_MAX], key[ROUTE_KEY_MAX];
    struct slice name;
    while (next_name(&query, buffer, &name) == QUERY_VALUE) {
        struct fragment fragment = {.recipe = stream_recipe(service, name),
                                    .key = {.data = key, .len = route_key(name, key)},
                                    .name = name};
        stream_add(stream, &fragment);
    }
}

static enum service_outcome start_stream(struct service *service, const struct web_request *request,
                                         const struct waiter_address *who,
                                         union service_answer *answer)
{
    enum event_form form = web_request_accepts(request, SLICE("text/html")) &&
                                   !web_request_accepts(request, SLICE("text/event-stream"))
                               ? EVENT_TEMPLATES
                               : EVENT_STREAM;
    size_t count, bytes;
    if (!count_names(service, request->query, &count, &bytes)) {
        answer->response = answer_error(service, request, 400);
        return SERVICE_ANSWERED;
    }
    if (is_head(request)) {
        answer->response = feed_response(form);
        answer->response.head_only = true;
        return SERVICE_ANSWERED;
    }
    if (!stream_has_room(count, bytes)) {
        answer->response = answer_own(request, 503);
        return SERVICE_ANSWERED;
    }
    struct stream *stream = stream_new(service->flights, *who, count, bytes);
    answer->feed = stream ? feed_new(stream, service->routes, form) : NULL;
    if (!answer->feed) {
        stream_free(stream);
        answer->response = answer_refusal(service, request, JOIN_NO_MEMORY);
        return SERVICE_ANSWERED;
    }
    add_names(service, request->query, stream);
    return SERVICE_STREAMS;
}

/* --- one fragment --- */

/* The seconds of the request's own hold, if it is shorter than the route's; or HOLD_OF_ROUTE. */
static short preferred_hold(const struct web_request *request, const struct recipe *recipe)
{
    if (request->prefer.len == 0)
        return HOLD_OF_ROUTE;
    int seconds = web_request_wait(request);
    return seconds >= 0 && seconds <= HOLD_MAX_S && seconds < recipe->hold ? (short)seconds
                                                                           : HOLD_OF_ROUTE;
}

static enum service_outcome start_fragment(struct service *service,
                                           const struct web_request *request,
                                           const struct target *target,
                                           const struct waiter_address *who,
                                           union service_answer *answer)
{
    char key[ROUTE_KEY_MAX];
    struct fragment fragment = {.recipe = &target->route->recipe,
                                .key = {.data = key, .len = route_key(target->name, key)},
                                .name = target->name};
    short hold_s = preferred_hold(request, fragment.recipe);
    struct settlement settlement;
    if (flights_serve(service->flights, &fragment, &settlement)) {
        answer_settlement(&settlement, target->route, request->if_none_match, is_head(request),
                          &answer->response);
        answer->response.applied = hold_s;
        return SERVICE_ANSWERED;
    }

    enum join_refusal refusal;
    struct waiter *waiter = flights_join(service->flights, &fragment, *who, hold_s, &refusal);
    if (!waiter) {
        answer->response = answer_refusal(service, request, refusal);
        return SERVICE_ANSWERED;
    }
    answer->wait = (struct wait){.waiter = waiter,
                                 .route = target->route,
                                 .applied = hold_s,
                                 .head_only = is_head(request),
                                 .strict = web_request_is_strict(request)};
    if (request->if_none_match.len > 0 && request->if_none_match.len <= IF_NONE_MATCH_MAX)
        answer->wait.if_none_match =
            alloc_copy(request->if_none_match.data, request->if_none_match.len);
    return SERVICE_PARKED;
}

/* --- a request's way --- */

enum service_outcome service_start(struct service *service, const struct web_request *request,
                                   const struct waiter_address *who, union service_answer *answer)
{
    if (is_purge(request))
        return start_purge(service, request, who, answer);

    struct target target;
    find_target(service, request, &target);
    switch (target.kind) {
    case TARGET_FRAGMENT:
        return start_fragment(service, request, &target, who, answer);
    case TARGET_STREAM:
        return start_stream(service, request, who, answer);
    case TARGET_HEALTH:
        answer->response = answer_health(request);
        break;
    case TARGET_READY:
        answer->response = answer_ready(service, request);
        break;
    case TARGET_NONE:
        answer->response = answer_error(service, request, target.status);
        break;
    }
    return SERVICE_ANSWERED;
}

void service_finish(struct wait *wait, const struct settlement *settlement,
                    struct response *response)
{
    if (settlement->kind == SETTLED_PURGED || settlement->kind == SETTLED_NOT_PURGED)
        *response = response_of_status(outcome_status(settlement->kind));
    else
        answer_settlement(settlement, wait->route, slice_of(wait->if_none_match), wait->head_only,
                          response);
    if (wait->route)
        response->applied = wait->applied;
    if (wait->strict && settlement->kind == SETTLED_NOT_READY) {
        response->status = 503;
        response->strict = true;
    }
    wait->waiter = NULL;
    service_leave(wait);
}

void service_leave(struct wait *wait)
{
    if (wait->waiter)
        waiter_leave(wait->waiter);
    free(wait->if_none_match);
    *wait = (struct wait){0};
}
