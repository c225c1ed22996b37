/* One page: from its path to a stream of its fragments, and the feed that writes it.
 *
 *     path --> page --> names of placeholders --> open routes, inputs --> stream --> feed
 *
 * Everything in the request is input for all of the fragments. */
#include "web/page.h"

#include "base/byte.h"
#include "fastcgi/params.h"
#include "park/flights.h"
#include "park/stream.h"
#include "render/skeleton.h"
#include "web/batch.h"
#include "web/feed.h"

/* The first version of Chromium that replaces placeholders by itself (out-of-order patching). */
#define PATCHES_FROM 150

const struct page *page_find(const struct site *site, struct slice path)
{
    size_t rest_at;
    for (size_t i = 0; i < site->page_count; i++)
        if (route_matches(site->pages[i].path, path, &rest_at))
            return &site->pages[i];
    return NULL;
}

static struct slice user_agent(struct slice variables)
{
    struct slice name, value;
    while (params_next(&variables, &name, &value) == PARAMS_PAIR)
        if (slice_equal(name, SLICE("HTTP_USER_AGENT")))
            return value;
    return SLICE("");
}

/* Whether the browser says that it is such a Chromium, of any brand. Nothing in a request says
 * whether a browser patches, so there is only its User-Agent to go by. */
static bool can_patch(const struct web_request *request)
{
    struct slice agent = user_agent(request->variables);
    const char *product = agent.len > 0 ? memmem(agent.data, agent.len, "Chrome/", 7) : NULL;
    int version = 0;
    if (!product)
        return false;
    for (const char *at = product + 7; at < agent.data + agent.len && version < PATCHES_FROM;
         at++) {
        if (!byte_is_digit(*at))
            break;
        version = 10 * version + (*at - '0');
    }
    return version >= PATCHES_FROM;
}

/* Adds a fragment for each placeholder. If the inputs of one are malformed, it is treated as if it
 * had no route; the page is not refused because of it. */
static void add_fragments(struct batch *batch, const struct skeleton *skeleton,
                          struct stream *stream)
{
    char key[VARIANT_KEY_MAX];
    for (size_t i = 0; i < skeleton->count; i++) {
        struct slice name = skeleton->list[i].name;
        struct fragment fragment;
        const struct route *route;
        if (!batch_find(batch, name, key, &fragment, &route))
            fragment.recipe = NULL;
        if (route && !route->stream)
            batch_hint_closed(batch->service, route, name, "a page");
        stream_add(stream, &fragment);
    }
}

static size_t names_len(const struct skeleton *skeleton)
{
    size_t len = 0;
    for (size_t i = 0; i < skeleton->count; i++)
        len += skeleton->list[i].name.len;
    return len;
}

enum answer_kind page_start(struct service *service, const struct visit *visit,
                            const struct waiter_address *who, union answer *answer)
{
    const struct page *page = page_find(&service->site, visit->path);
    const struct skeleton *skeleton = page->skeleton;
    struct batch batch;
    (void)who; /* the stream reports its parts itself */
    if (visit->method == METHOD_HEAD) {
        /* It lacks the fields that depend on the fragments, as RFC 9110 9.3.2 allows. */
        answer->response = feed_page_response();
        answer->response.head_only = true;
        return ANSWER_RESPONSE;
    }
    if (!stream_has_room(skeleton->count, names_len(skeleton)))
        return endpoint_answer(visit, 503, answer);
    struct stream *stream = stream_new(service->flights, skeleton->count, names_len(skeleton));
    if (!stream)
        return endpoint_refuse(service, visit, JOIN_NO_MEMORY, answer);
    stream_to_templates(stream);
    batch_begin(&batch, service, visit->request);
    add_fragments(&batch, skeleton, stream);
    answer->feed = feed_new_page(stream, service->site.routes, page,
                                 can_patch(visit->request) ? 0 : page->hold, batch_vary(&batch),
                                 flights_loop(service->flights));
    if (answer->feed)
        return ANSWER_FEED;
    stream_free(stream);
    return endpoint_refuse(service, visit, JOIN_NO_MEMORY, answer);
}
