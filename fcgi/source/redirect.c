/* This uses curl's own parser, so that what is compared is what curl connects to, however the url
 * is written. */
#include "source/redirect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <curl/curl.h>

#include "base/alloc.h"
#include "base/byte.h"
#include "source/http_settings.h"

#define HOST_ROOM   256 /* the longest possible host name */
#define ORIGIN_ROOM (HOST_ROOM + 16)

/* A Location may be relative, have spaces and bytes that need encoding, and any scheme. */
#define LOCATION_FLAGS                                                                             \
    (CURLU_PATH_AS_IS | CURLU_URLENCODE | CURLU_ALLOW_SPACE | CURLU_NON_SUPPORT_SCHEME)

/* The parts that have to be equal. */
struct origin {
    char scheme[sizeof "https"];
    char host[HOST_ROOM]; /* in lower case, without a final dot; with the zone of an address */
    char port[sizeof "65535"];
};

/* Returns false if the url has no such part, or there is no room for it. */
static bool part_get(CURLU *parts, CURLUPart part, unsigned flags, char *out, size_t room)
{
    char *text = NULL;
    bool ok = curl_url_get(parts, part, &text, flags) == CURLUE_OK && text && strlen(text) < room;
    if (ok)
        strcpy(out, text);
    curl_free(text);
    return ok;
}

/* Returns false if it is not http or https, or can't be compared. */
static bool origin_read(CURLU *parts, struct origin *origin)
{
    char zone[HOST_ROOM];
    if (!part_get(parts, CURLUPART_SCHEME, 0, origin->scheme, sizeof origin->scheme) ||
        (strcmp(origin->scheme, "http") != 0 && strcmp(origin->scheme, "https") != 0) ||
        !part_get(parts, CURLUPART_HOST, 0, origin->host, sizeof origin->host) ||
        !part_get(parts, CURLUPART_PORT, CURLU_DEFAULT_PORT, origin->port, sizeof origin->port))
        return false;

    size_t len = strlen(origin->host);
    if (len > 1 && origin->host[len - 1] == '.')
        origin->host[--len] = '\0';
    for (size_t i = 0; i < len; i++)
        origin->host[i] = byte_to_lower(origin->host[i]);
    if (!part_get(parts, CURLUPART_ZONEID, 0, zone, sizeof zone))
        return true;
    if (len + 1 + strlen(zone) >= sizeof origin->host)
        return false;
    origin->host[len] = '%';
    strcpy(origin->host + len + 1, zone);
    return true;
}

static bool origin_equal(const struct origin *a, const struct origin *b)
{
    return strcmp(a->scheme, b->scheme) == 0 && strcmp(a->host, b->host) == 0 &&
           strcmp(a->port, b->port) == 0;
}

/* Formats it as an element of `redirects`. */
static void origin_show(const struct origin *origin, char out[ORIGIN_ROOM])
{
    bool usual = strcmp(origin->port, strcmp(origin->scheme, "http") == 0 ? "80" : "443") == 0;
    snprintf(out, ORIGIN_ROOM, "%s://%s%s%s", origin->scheme, origin->host, usual ? "" : ":",
             usual ? "" : origin->port);
}

/* --- what the config allows --- */

/* Parses an element of `redirects`; `scheme` is its default scheme. */
static bool origin_of_allowed(const char *allowed, const char *scheme, struct origin *origin)
{
    char url[ORIGIN_ROOM + 1];
    const char *separator = strstr(allowed, "://");
    const char *rest = separator ? separator + strlen("://") : allowed;
    size_t len = strlen(rest);
    int url_len = snprintf(url, sizeof url, "%s%s%s/", separator ? "" : scheme,
                           separator ? "" : "://", allowed);
    if (len == 0 || rest[len - 1] == ':' || strpbrk(rest, "/\\?#@%*") || url_len < 0 ||
        (size_t)url_len >= sizeof url)
        return false;

    CURLU *parts = curl_url();
    bool ok = parts &&
              curl_url_set(parts, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
              origin_read(parts, origin);
    curl_url_cleanup(parts);
    return ok;
}

const char *redirect_check(const char *allowed)
{
    struct origin origin;
    if (origin_of_allowed(allowed, "http", &origin))
        return NULL;
    return "write HOST, HOST:PORT, http://HOST[:PORT] or https://HOST[:PORT], such as "
           "cdn.example.com or https://[2001:db8::1]:8443";
}

static bool origin_is_listed(const struct http_settings *settings, const struct origin *own,
                             const struct origin *target)
{
    struct origin allowed;
    for (size_t i = 0; i < settings->redirect_count; i++)
        if (origin_of_allowed(settings->redirects[i], own->scheme, &allowed) &&
            origin_equal(&allowed, target))
            return true;
    return false;
}

/* --- the target --- */

/* Sets one part of the target to that of `own`; removes it if `own` is NULL or lacks it. */
static bool part_replace(CURLU *target, CURLU *own, CURLUPart part)
{
    char *text = NULL;
    if (own && curl_url_get(own, part, &text, 0) == CURLUE_OUT_OF_MEMORY)
        return false;
    bool ok = curl_url_set(target, part, text, 0) == CURLUE_OK;
    curl_free(text);
    return ok;
}

/* Returns the url of an allowed target; `own` is the source's url if the target is there, else
 * NULL. */
static char *target_url(CURLU *target, CURLU *own)
{
    static const CURLUPart parts[] = {CURLUPART_USER, CURLUPART_PASSWORD};
    char *url = NULL, *copy = NULL;
    bool ok = part_replace(target, NULL, CURLUPART_OPTIONS) &&
              part_replace(target, NULL, CURLUPART_FRAGMENT);
    for (size_t i = 0; ok && i < sizeof parts / sizeof *parts; i++)
        ok = part_replace(target, own, parts[i]);
    if (ok && curl_url_get(target, CURLUPART_URL, &url, 0) == CURLUE_OK)
        copy = alloc_copy(url, strlen(url));
    curl_free(url);
    return copy;
}

static char *target_judge(const struct http_settings *settings, CURLU *own_parts,
                          CURLU *target_parts, bool *elsewhere, char why[REDIRECT_WHY_ROOM])
{
    struct origin own, target;
    char shown[ORIGIN_ROOM];
    if (!origin_read(target_parts, &target)) {
        snprintf(why, REDIRECT_WHY_ROOM, "redirects to neither http nor https");
        return NULL;
    }
    bool back = origin_read(own_parts, &own) && origin_equal(&own, &target);
    if (!back && !origin_is_listed(settings, &own, &target)) {
        origin_show(&target, shown);
        snprintf(why, REDIRECT_WHY_ROOM, "redirects to %s, which is refused (%s)", shown,
                 http_is_set(settings->socket) ? "it is not reached through socket"
                                               : "list it in redirects to allow it");
        return NULL;
    }
    *elsewhere = !back;
    char *url = target_url(target_parts, back ? own_parts : NULL);
    if (!url)
        snprintf(why, REDIRECT_WHY_ROOM, "redirects, but there is not enough memory to follow");
    return url;
}

char *redirect_target(const struct http_settings *settings, const char *from, const char *location,
                      bool *elsewhere, char why[REDIRECT_WHY_ROOM])
{
    CURLU *own = curl_url(), *target = curl_url();
    char *url = NULL;
    snprintf(why, REDIRECT_WHY_ROOM, "redirects to a malformed url");
    if (!own || !target)
        snprintf(why, REDIRECT_WHY_ROOM, "redirects, but there is not enough memory to follow");
    else if (curl_url_set(own, CURLUPART_URL, settings->url, CURLU_PATH_AS_IS) == CURLUE_OK &&
             curl_url_set(target, CURLUPART_URL, from, CURLU_PATH_AS_IS) == CURLUE_OK &&
             curl_url_set(target, CURLUPART_URL, location, LOCATION_FLAGS) == CURLUE_OK)
        url = target_judge(settings, own, target, elsewhere, why);
    curl_url_cleanup(own);
    curl_url_cleanup(target);
    return url;
}
