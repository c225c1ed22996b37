/* PURGE: checks the client, finds the keys, and answers when the purge is complete.
 *
 *     path, header --> key --> purge --> parked --> settled --> 204 or 503
 */
#include "web/purge.h"

#include "cache/cache.h"
#include "park/outcome.h"
#include "web/client_list.h"
#include "web/endpoint.h"
#include "web/variant.h"

/* Reads the header Workerless-Purge: a list of "soft" and "exact". Returns false if it contains
 * anything else. */
static bool read_header(struct slice list, bool *soft, bool *exact)
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

/* Sets the key of the variant that a GET of this request would get. Returns 0, or the status of an
 * error. */
static int set_variant(const struct web_request *request, const struct vary *vary, char *key,
                       struct cache_purge *what)
{
    struct variant variant;
    return variant_read(&variant, vary, request) && variant_append(&variant, key, &what->key.len)
               ? 0
               : 400;
}

/* Sets the key of the name; or, if the name ends in '*' and `exact` is not given, the prefix of the
 * keys. If the fragment has inputs, that is the prefix of all its variants, or, if the request has
 * a query, the key of one. `key` has room for VARIANT_KEY_MAX bytes. Needs no route, so that
 * fragments whose route was removed from the config can be purged too. Returns 0, or the status of
 * an error. */
static int set_key(const struct service *service, const struct visit *visit, bool exact, char *key,
                   struct cache_purge *what)
{
    if (visit->path_too_long)
        return 400;
    if (!slice_starts(visit->path, SLICE(ROUTE_URL_PREFIX)))
        return 404;
    struct slice name = slice_from(visit->path, SLICE(ROUTE_URL_PREFIX).len);
    what->is_prefix = !exact && name.len > 0 && name.data[name.len - 1] == '*';
    if (!what->is_prefix && !route_name_valid(name))
        return 400;
    if (what->is_prefix)
        name.len--;
    what->key = (struct slice){.data = key, .len = route_key(name, key)};
    if (what->is_prefix)
        return 0;
    size_t rest_at;
    const struct route *route =
        route_find(service->site.routes, service->site.route_count, name, &rest_at);
    if (!route || route->recipe.rules.vary.count == 0)
        return 0;
    if (visit->request->query.len > 0)
        return set_variant(visit->request, &route->recipe.rules.vary, key, what);
    what->is_prefix = true;
    key[what->key.len++] = '?';
    return 0;
}

static enum answer_kind answer_bad_header(const struct visit *visit, union answer *answer)
{
    endpoint_answer(visit, 400, answer);
    answer->response.body =
        SLICE("The header Workerless-Purge may only contain \"soft\" and \"exact\".\n");
    answer->response.type = BODY_PLAIN;
    return ANSWER_RESPONSE;
}

enum answer_kind purge_start(struct service *service, const struct visit *visit,
                             const struct waiter_address *who, union answer *answer)
{
    char key[VARIANT_KEY_MAX];
    struct cache_purge what;
    enum join_refusal refusal;
    bool exact, readable = read_header(visit->request->purge, &what.soft, &exact);
    bool allowed = client_list_has(service->site.purge, visit->request->remote_addr);
    int error = allowed ? set_key(service, visit, exact, key, &what) : 403;
    if (error)
        return endpoint_fail(service, visit, error, answer);
    if (!readable)
        return answer_bad_header(visit, answer);
    struct waiter *waiter = flights_purge(service->flights, &what, *who, &refusal);
    if (!waiter)
        return endpoint_refuse(service, visit, refusal, answer);
    answer->wait = (struct wait){.waiter = waiter};
    return ANSWER_WAIT;
}

void purge_finish(const struct wait *wait, const struct settlement *settlement,
                  struct response *response)
{
    (void)wait;
    *response = response_of_status(outcome_status(settlement->kind));
}
