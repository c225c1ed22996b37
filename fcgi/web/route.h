/* Fragment name -> route and key. Pure. */
#ifndef WORKERLESS_WEB_ROUTE_H
#define WORKERLESS_WEB_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "park/recipe.h"

#define ROUTE_URL_PREFIX "/fragment/"         /* a fragment's path is this plus its name */
#define ROUTE_NAME_MAX   255                  /* bytes of a fragment's name */
#define ROUTE_KEY_MAX    (3 * ROUTE_NAME_MAX) /* every byte of it percent-encoded */

/* One `fragment` section of the config. Belongs to the config. */
struct route {
    const char *pattern; /* a name; or the beginning of names and '*' */
    struct recipe recipe;
    const char *template;  /* the name of its template; "": none */
    struct slice fallback; /* HTML shown if the source fails; data is NULL if there is none */
    bool fallback_opens;   /* balanced only in a template (see render/balance.h) */
    bool stream;           /* /fragments may serve it */
    const char *const *vary_texts; /* the entries of `vary`, to which recipe.rules.vary points */
    size_t vary_text_count;
    struct slice vary; /* for the Vary header: names with ", " between; empty: none */
};

/* Whether a fragment can have the name: 1 to ROUTE_NAME_MAX bytes of UTF-8 without control
 * characters. No segment may be "", "." or "..", since names become part of upstream URLs. */
bool route_name_valid(struct slice name);

/* Whether the pattern matches: it is the text, or the beginning of it and '*'. Sets *rest_at as
 * route_find does. */
bool route_matches(const char *pattern, struct slice text, size_t *rest_at);

/* The first route whose pattern matches, or NULL. Sets *rest_at to the place in the name where the
 * '*' of the pattern has matched; to the end of the name if it has none. */
const struct route *route_find(const struct route *routes, size_t count, struct slice name,
                               size_t *rest_at);

/* Writes the fragment's key in the cache: its name, with '%', '{', '}', '?' and space
 * percent-encoded. So the key is one word in redis-cli, has no hash tag of a Cluster, and ends
 * before the '?' that inputs begin with. `key` has room for ROUTE_KEY_MAX bytes. Returns the
 * length. */
size_t route_key(struct slice name, char *key);

#endif
