/* Names are few and routes are fewer, so what was read for a route is kept. */
#include "web/batch.h"

void batch_begin(struct batch *batch, struct service *service, const struct web_request *request)
{
    batch->service = service;
    batch->request = request;
    batch->vary_len = 0;
    for (size_t i = 0; i < BATCH_KNOWN_MAX; i++)
        batch->known[i].route = NULL;
}

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
    size_t slot = route->recipe.number % BATCH_KNOWN_MAX;
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

bool batch_find(struct batch *batch, struct slice name, char key[VARIANT_KEY_MAX],
                struct fragment *fragment, const struct route **route)
{
    const struct service *service = batch->service;
    size_t rest_at;
    *route = route_find(service->site.routes, service->site.route_count, name, &rest_at);
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

void batch_hint_closed(struct service *service, const struct route *route, struct slice name,
                       const char *where)
{
    bool *hinted = &service->hinted[route - service->site.routes];
    log_debug("service", "%s: \"%.*s\" is left out: its section does not allow streams", where,
              SLICE_ARGS(name));
    if (*hinted)
        return;
    *hinted = true;
    log_warning("service",
                "fragment \"%s\" was requested in %s, which its section of the config does "
                "not allow; to allow it, set stream = \"yes\" in that section",
                route->pattern, where);
}
