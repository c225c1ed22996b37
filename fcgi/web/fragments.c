/* Many fragments: from the names in the query to a stream and its feed.
 *
 *     query --> names --> routes that are open to streams, inputs --> stream --> feed
 *
 * Everything in the request but the names is input for all of the fragments.
 */
#include "web/fragments.h"

#include "park/stream.h"
#include "web/batch.h"
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
        if (++*count > service->site.max_stream)
            return false;
        *bytes += name.len;
    }
    return step == QUERY_END && *count > 0;
}

/* Whether the inputs of all fragments are valid. */
static bool check_inputs(struct batch *batch)
{
    char buffer[ROUTE_NAME_MAX], key[VARIANT_KEY_MAX];
    struct slice query = batch->request->query, name;
    struct fragment fragment;
    const struct route *route;
    while (batch->service->streams_vary && next_name(&query, buffer, &name) == QUERY_VALUE)
        if (!batch_find(batch, name, key, &fragment, &route))
            return false;
    return true;
}

static void add_names(struct batch *batch, struct stream *stream)
{
    char buffer[ROUTE_NAME_MAX], key[VARIANT_KEY_MAX];
    struct slice query = batch->request->query, name;
    struct fragment fragment;
    const struct route *route;
    while (next_name(&query, buffer, &name) == QUERY_VALUE) {
        batch_find(batch, name, key, &fragment, &route); /* check_inputs has checked it */
        if (route && !route->stream)
            batch_hint_closed(batch->service, route, name, "/fragments");
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
    (void)who; /* the stream reports its parts itself */
    batch_begin(&batch, service, visit->request);
    if (!count_names(service, visit->request->query, &count, &bytes) || !check_inputs(&batch))
        return endpoint_fail(service, visit, 400, answer);
    if (visit->method == METHOD_HEAD) {
        /* It lacks the fields that depend on the fragments, as RFC 9110 9.3.2 allows. */
        answer->response = feed_response(form);
        answer->response.head_only = true;
        return ANSWER_RESPONSE;
    }
    if (!stream_has_room(count, bytes))
        return endpoint_answer(visit, 503, answer);
    struct stream *stream = stream_new(service->flights, count, bytes);
    if (stream && form == EVENT_TEMPLATES)
        stream_to_templates(stream);
    answer->feed = stream ? feed_new(stream, service->site.routes, form, batch_vary(&batch)) : NULL;
    if (!answer->feed) {
        stream_free(stream);
        return endpoint_refuse(service, visit, JOIN_NO_MEMORY, answer);
    }
    add_names(&batch, stream);
    return ANSWER_FEED;
}
