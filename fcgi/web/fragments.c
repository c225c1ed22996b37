/* Many fragments: from the names in the query to a stream and its feed.
 *
 *     query --> names --> routes that are open to streams --> stream --> feed
 */
#include "web/fragments.h"

#include "park/stream.h"
#include "web/endpoint.h"
#include "web/feed.h"
#include "web/query.h"

/* Reads the next name of the query. QUERY_BAD: no fragment can have that name. */
static enum query_step next_name(struct slice *query, char *buffer, struct slice *name)
{
    size_t len;
    enum query_step step = query_next(query, SLICE("name"), buffer, ROUTE_NAME_MAX, &len);
    *name = (struct slice){.data = buffer, .len = step == QUERY_VALUE ? len : 0};
    return step == QUERY_VALUE && (!route_name_valid(*name) || !event_name_valid(*name)) ? QUERY_BAD
                                                                                         : step;
}

/* Counts the names in the query, and their bytes. Returns false if there are none or too many, or
 * one is invalid. */
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

/* Logged only once per route, since any client can cause it. */
static void hint_closed(struct service *service, const struct route *route, struct slice name)
{
    bool *hinted = &service->hinted[route - service->routes];
    log_debug("service", "/fragments: \"%.*s\" is rejected: its section does not allow streams",
              SLICE_ARGS(name));
    if (*hinted)
        return;
    *hinted = true;
    log_warning("service",
                "fragment \"%s\" was requested in /fragments, which its section of the config does "
                "not allow; to allow it, set stream = \"yes\" in that section",
                route->pattern);
}

/* The front server's rules for /fragment/NAME do not apply to names in a query. So a route that
 * does not allow streams is treated as if it did not exist: nothing is looked up or started for it,
 * and clients can't see the difference. */
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

/* Templates for a client that accepts HTML but not events; else events. */
static enum event_form wanted_form(const struct web_request *request)
{
    return web_request_accepts(request, SLICE("text/html")) &&
                   !web_request_accepts(request, SLICE("text/event-stream"))
               ? EVENT_TEMPLATES
               : EVENT_STREAM;
}

enum answer_kind fragments_start(struct service *service, const struct visit *visit,
                                 const struct waiter_address *who, union answer *answer)
{
    struct slice query = visit->request->query;
    enum event_form form = wanted_form(visit->request);
    size_t count, bytes;
    (void)who; /* the stream reports its parts itself */
    if (!count_names(service, query, &count, &bytes))
        return endpoint_fail(service, visit, 400, answer);
    if (visit->method == METHOD_HEAD) {
        answer->response = feed_response(form);
        answer->response.head_only = true;
        return ANSWER_RESPONSE;
    }
    if (!stream_has_room(count, bytes))
        return endpoint_answer(visit, 503, answer);
    struct stream *stream = stream_new(service->flights, count, bytes);
    answer->feed = stream ? feed_new(stream, service->routes, form) : NULL;
    if (!answer->feed) {
        stream_free(stream);
        return endpoint_refuse(service, visit, JOIN_NO_MEMORY, answer);
    }
    add_names(service, query, stream);
    return ANSWER_FEED;
}
