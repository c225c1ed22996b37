/* One fragment: served from memory immediately, or by its flight.
 *
 *     path --> name, route, inputs --> key --> in memory? --> answered
 *                                                `--> its flight --> parked --> settled --> answered
 */
#include "web/fragment.h"

#include <limits.h>

#include "base/alloc.h"
#include "base/budget.h"
#include "base/usdt.h"
#include "base/users.h"
#include "cache/entry.h"
#include "park/tally.h"
#include "web/access_log.h"
#include "web/endpoint.h"
#include "web/variant.h"

#define BUSY_RETRY_S      1   /* Retry-After, if there is no flight to wait for */
#define IF_NONE_MATCH_MAX 256 /* a longer header is ignored: no 304 then */

/* Gets the name from the path, and its route. Sets all of the fragment but its key and inputs.
 * Returns 0, or the status of an error. */
static int find_route(const struct service *service, const struct visit *visit,
                      struct fragment *fragment, const struct route **route)
{
    struct slice name = slice_from(visit->path, SLICE(ROUTE_URL_PREFIX).len);
    size_t rest_at;
    if (!route_name_valid(name))
        return 400;
    *route = route_find(service->site.routes, service->site.route_count, name, &rest_at);
    if (!*route)
        return 404;
    *fragment = (struct fragment){.recipe = &(*route)->recipe,
                                  .name = name,
                                  .rest_at = rest_at,
                                  .variables = visit->request->variables};
    return 0;
}

int fragment_precheck(const struct service *service, const struct visit *visit)
{
    struct fragment fragment;
    const struct route *route;
    return find_route(service, visit, &fragment, &route);
}

/* --- what a settlement is answered with --- */

/* Answers with the entry, or with 304. */
static void answer_entry(struct entry *entry, const struct route *route, struct slice if_none_match,
                         struct response *response)
{
    struct slice etag = {.data = entry->etag, .len = ENTRY_ETAG_LEN};
    response_set_entry(response, entry);
    if (if_none_match.len > 0 && web_request_etag_matches(if_none_match, etag))
        response->status = 304;
    response->terms = &route->recipe.freshness;
    response->vary = &route->vary;
    response->is_private = route->recipe.rules.is_private;
}

/* A limit that is reached says nothing about the cache, whatever was found there. */
static enum response_origin origin_of(const struct settlement *settlement,
                                      enum settlement_kind kind)
{
    if (kind == SETTLED_REFUSED || kind == SETTLED_BUSY)
        return ORIGIN_NONE;
    if (settlement->hit)
        return ORIGIN_HIT;
    return settlement->stale || settlement->replaced ? ORIGIN_STALE : ORIGIN_MISS;
}

static void answer_settlement(const struct settlement *settlement, const struct route *route,
                              struct slice if_none_match, bool head_only, struct response *response)
{
    static const struct slice details[] = {[FROM_SOURCE] = SLICE_INIT("source"),
                                           [FROM_REDIS] = SLICE_INIT("redis"),
                                           [FROM_MEMORY] = SLICE_INIT("memory")};
    static const unsigned no_result = 1u << SETTLED_NOT_READY | 1u << SETTLED_DECLINED |
                                      1u << SETTLED_SHUTDOWN | 1u << SETTLED_REFUSED |
                                      1u << SETTLED_BUSY;
    enum settlement_kind kind = settlement->kind;
    if (kind == SETTLED_ENTRY && !entry_can_hold(settlement->entry)) {
        budget_log_refusal(BUDGET_UNSENT);
        kind = SETTLED_REFUSED;
    }
    enum route_outcome outcome = route_outcome_of(settlement, kind);
    route_tally_add(route->recipe.tally, outcome);
    USDT(request_settled, route->pattern, route_outcome_names[outcome]);
    bool answered = (no_result >> kind & 1) == 0;
    if (kind == SETTLED_ENTRY)
        answer_entry(settlement->entry, route, settlement->uncacheable ? SLICE("") : if_none_match,
                     response);
    else
        *response = response_of_failure(route->fallback, kind);
    if (kind == SETTLED_DECLINED)
        response->retry_after = BUSY_RETRY_S;
    if (kind == SETTLED_BUSY)
        response->retry_after =
            (short)(settlement->retry_after_s < SHRT_MAX ? settlement->retry_after_s : SHRT_MAX);
    response->users = users_add(route->recipe.users);
    response->outcome = RESPONSE_OUTCOME(outcome);
    response->head_only = head_only;
    response->origin = (unsigned char)origin_of(settlement, kind);
    if (answered)
        response->detail =
            settlement->uncacheable ? SLICE("uncacheable") : details[settlement->detail];
    response->uncacheable = settlement->uncacheable && kind == SETTLED_ENTRY;
    response->stored = settlement->stored;
    response->collapsed = settlement->collapsed && !settlement->hit;
}

/* --- start and finish --- */

/* How many seconds the request wants to wait, if that is less than the route's hold; or
 * HOLD_OF_ROUTE. */
static short preferred_hold(const struct web_request *request, const struct recipe *recipe)
{
    if (request->prefer.len == 0)
        return HOLD_OF_ROUTE;
    int seconds = web_request_wait(request);
    return seconds >= 0 && seconds <= HOLD_MAX_S && seconds < recipe->hold ? (short)seconds
                                                                           : HOLD_OF_ROUTE;
}

/* Parks the request until its fragment is there. Not inline: a hit has nothing to do with it. */
__attribute__((noinline)) static enum answer_kind
park(struct service *service, const struct visit *visit, const struct waiter_address *who,
     const struct route *route, const struct fragment *fragment, short hold_s, union answer *answer)
{
    const struct web_request *request = visit->request;
    enum join_refusal refusal;
    struct waiter *waiter = flights_join(service->flights, fragment, *who, hold_s, &refusal);
    if (!waiter) {
        enum answer_kind kind = endpoint_refuse(service, visit, refusal, answer);
        route_tally_add(route->recipe.tally, ROUTE_REFUSED);
        USDT(request_settled, route->pattern, route_outcome_names[ROUTE_REFUSED]);
        answer->response.outcome = RESPONSE_OUTCOME(ROUTE_REFUSED);
        return kind;
    }
    users_add(route->recipe.users);
    answer->wait = (struct wait){.waiter = waiter,
                                 .route = route,
                                 .granted_wait_s = hold_s,
                                 .head_only = visit->method == METHOD_HEAD,
                                 .strict = web_request_is_strict(request)};
    if (request->if_none_match.len > 0 && request->if_none_match.len <= IF_NONE_MATCH_MAX)
        answer->wait.if_none_match =
            alloc_copy(request->if_none_match.data, request->if_none_match.len);
    return ANSWER_WAIT;
}

/* Serves the fragment from memory, or parks the request. */
static inline enum answer_kind serve(struct service *service, const struct visit *visit,
                                     const struct waiter_address *who, const struct route *route,
                                     const struct fragment *fragment, union answer *answer)
{
    const struct web_request *request = visit->request;
    short hold_s = preferred_hold(request, &route->recipe);
    struct settlement settlement;
    access_log_fragment(route->pattern, fragment->key);
    if (!flights_serve(service->flights, fragment, &settlement))
        return park(service, visit, who, route, fragment, hold_s, answer);
    answer_settlement(&settlement, route, request->if_none_match, visit->method == METHOD_HEAD,
                      &answer->response);
    answer->response.granted_wait_s = hold_s;
    return ANSWER_RESPONSE;
}

/* Serves a fragment that has inputs, of which key and inputs are not set. Not inline, since it
 * needs kilobytes of stack. */
__attribute__((noinline)) static enum answer_kind
serve_variant(struct service *service, const struct visit *visit, const struct waiter_address *who,
              const struct route *route, const struct fragment *of_name, union answer *answer)
{
    char key[VARIANT_KEY_MAX];
    struct variant variant;
    struct fragment fragment = *of_name;
    fragment.key = (struct slice){.data = key, .len = route_key(fragment.name, key)};
    if (!variant_read(&variant, &route->recipe.rules.vary, visit->request) ||
        !variant_append(&variant, key, &fragment.key.len))
        return endpoint_fail(service, visit, 400, answer);
    fragment.inputs = variant_inputs(&variant);
    return serve(service, visit, who, route, &fragment, answer);
}

enum answer_kind fragment_start(struct service *service, const struct visit *visit,
                                const struct waiter_address *who, union answer *answer)
{
    const struct route *route;
    struct fragment fragment;
    int error = find_route(service, visit, &fragment, &route);
    if (error)
        return endpoint_fail(service, visit, error, answer);
    if (route->recipe.rules.vary.count > 0)
        return serve_variant(service, visit, who, route, &fragment, answer);

    char key[ROUTE_KEY_MAX];
    fragment.key = (struct slice){.data = key, .len = route_key(fragment.name, key)};
    return serve(service, visit, who, route, &fragment, answer);
}

void fragment_finish(const struct wait *wait, const struct settlement *settlement,
                     struct response *response)
{
    answer_settlement(settlement, wait->route, slice_of(wait->if_none_match), wait->head_only,
                      response);
    response->granted_wait_s = wait->granted_wait_s;
    if (wait->strict && response->status == 202) {
        response->status = 503;
        response->strict = true;
    }
}
