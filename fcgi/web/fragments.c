/* Many fragments: from the names in the query to a stream and its feed.
 *
 *     query --> names --> routes that are open to streams, inputs --> stream --> feed
 *
 * Everything in the request but the names is input for all of the fragments.
 */
#include "web/fragments.h"

#include "park/stream.h"
#include "web/endpoint.h"
#include "web/feed.h"
#include "web/query.h"
#include "web/variant.h"

#define KNOWN_MAX 8

/* The fragments of one request. */
struct batch {
    struct service *service;
    const struct web_request *request;
    size_t vary_len;
    char vary[RESPONSE_STREAM_VARY_MAX]; /* names of all routes in `known`, for the Vary header */
    struct {
        const struct route *route; /* NULL: nothing */
        struct variant variant;
    } known[KNOWN_MAX]; /* the inputs of recent routes, so that they are read once */
};

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

/* --- inputs --- */

/* Removes everything up to and including ", " from *list, and returns what was before. */
static struct slice take_field(struct slice *list)
{
    const char *comma = memchr(list->data, ',', list->len);
    struct slice field = {.data = list->data,
                          .len = comma ? (size_t)(comma - list->data) : list->len};
    *list = slice_from(*list, comma ? field.len + SLICE(", ").len : field.len);
    return field;
}

static bool has_field(struct slice list, struct slice field)
{
    while (list.len > 0)
        if (slice_equal(take_field(&list), field))
            return true;
    return false;
}

/* Adds the fields that are not in the list yet. If there is no room, "*" replaces all. */
static void add_vary(struct batch *batch, struct slice fields)
{
    while (fields.len > 0) {
        struct slice field = take_field(&fields);
        struct slice known = {.data = batch->vary, .len = batch->vary_len};
        if (has_field(known, field) || has_field(known, SLICE("*")))
            continue;
        if (field.len + SLICE(", ").len > sizeof batch->vary - batch->vary_len) {
            field = SLICE("*");
            batch->vary_len = 0;
        }
        if (batch->vary_len > 0) {
            memcpy(batch->vary + batch->vary_len, ", ", 2);
            batch->vary_len += 2;
        }
        memcpy(batch->vary + batch->vary_len, field.data, field.len);
        batch->vary_len += field.len;
    }
}

/* The inputs of the route's fragments. Returns NULL if they are malformed or too long. */
static const struct variant *variant_of(struct batch *batch, const struct route *route)
{
    size_t slot = route->recipe.number % KNOWN_MAX;
    struct variant *variant = &batch->known[slot].variant;
    if (batch->known[slot].route == route)
        return variant;
    batch->known[slot].route = NULL;
    if (!variant_read(variant, &route->recipe.rules.vary, batch->request))
        return NULL;
    batch->known[slot].route = route;
    add_vary(batch, route->vary);
    return variant;
}

/* Sets the fragment of that name, whose key gets into `key`. *route is NULL if no route matches.
 * The front server's rules for /fragment/NAME do not apply to names in a query. So a route that
 * does not allow streams is treated as if it did not exist: nothing is looked up or started for it,
 * and clients can't see the difference. Returns false if the fragment's inputs are malformed. */
static bool find_fragment(struct batch *batch, struct slice name, char key[VARIANT_KEY_MAX],
                          struct fragment *fragment, const struct route **route)
{
    const struct service *service = batch->service;
    size_t rest_at;
    *route = route_find(service->routes, service->route_count, name, &rest_at);
    *fragment = (struct fragment){.key = {.data = key, .len = route_key(name, key)},
                                  .name = name,
                                  .variables = batch->request->variables};
    if (!*route || !(*route)->stream)
        return true;
    fragment->recipe = &(*route)->recipe;
    fragment->rest_at = rest_at;
    if (fragment->recipe->rules.vary.count == 0)
        return true;
    const struct variant *variant = variant_of(batch, *route);
    if (!variant || !variant_append(variant, key, &fragment->key.len))
        return false;
    fragment->inputs = variant_inputs(variant);
    return true;
}

/* Whether the inputs of all fragments are valid. */
static bool check_inputs(struct batch *batch)
{
    char buffer[ROUTE_NAME_MAX], key[VARIANT_KEY_MAX];
    struct slice query = batch->request->query, name;
    struct fragment fragment;
    const struct route *route;
    while (batch->service->streams_vary && next_name(&query, buffer, &name) == QUERY_VALUE)
        if (!find_fragment(batch, name, key, &fragment, &route))
            return false;
    return true;
}

/* --- all --- */

static void add_names(struct batch *batch, struct stream *stream)
{
    char buffer[ROUTE_NAME_MAX], key[VARIANT_KEY_MAX];
    struct slice query = batch->request->query, name;
    struct fragment fragment;
    const struct route *route;
    while (next_name(&query, buffer, &name) == QUERY_VALUE) {
        find_fragment(batch, name, key, &fragment, &route); /* check_inputs has checked it */
        if (route && !route->stream)
            hint_closed(batch->service, route, name);
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
    enum event_form form = wanted_form(visit->request);
    size_t count, bytes;
    struct batch batch;
    batch.service = service;
    batch.request = visit->request;
    batch.vary_len = 0;
    for (size_t i = 0; i < KNOWN_MAX; i++)
        batch.known[i].route = NULL;
    (void)who; /* the stream reports its parts itself */
    if (!count_names(service, visit->request->query, &count, &bytes) || !check_inputs(&batch))
        return endpoint_fail(service, visit, 400, answer);
    if (visit->method ==
        METHOD_HEAD) { /* without the fields that the fragments need: RFC 9110 9.3.2 */
        answer->response = feed_response(form);
        answer->response.head_only = true;
        return ANSWER_RESPONSE;
    }
    if (!stream_has_room(count, bytes))
        return endpoint_answer(visit, 503, answer);
    struct stream *stream = stream_new(service->flights, count, bytes);
    struct slice vary = {.data = batch.vary, .len = batch.vary_len};
    if (stream && form == EVENT_TEMPLATES)
        stream_to_templates(stream);
    answer->feed = stream ? feed_new(stream, service->routes, form, vary) : NULL;
    if (!answer->feed) {
        stream_free(stream);
        return endpoint_refuse(service, visit, JOIN_NO_MEMORY, answer);
    }
    add_names(&batch, stream);
    return ANSWER_FEED;
}
