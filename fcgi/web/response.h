/* A response: its status, headers and body. */
#ifndef WORKERLESS_WEB_RESPONSE_H
#define WORKERLESS_WEB_RESPONSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "cache/entry.h"

struct freshness;

/* The most bytes that a response's head takes. The head has to fit into the front server's first
 * buffer, which is one page in nginx. */
#define RESPONSE_HEAD_MAX 1024

/* Where it came from, for Cache-Status (RFC 9211). */
enum response_origin {
    ORIGIN_NONE, /* not from the cache: there is no such header */
    ORIGIN_HIT,
    ORIGIN_MISS,
    ORIGIN_STALE, /* there was a stale entry: this is it, or what replaced it */
};

/* The type of a body that is not an entry's. The last two are streamed: their length is unknown. */
enum response_type { BODY_HTML, BODY_PLAIN, BODY_EVENTS, BODY_TEMPLATES };

#define RESPONSE_NO_HEADER (-1) /* in place of a header's number */

struct response {
    struct entry *entry;           /* held; NULL: `body` is used, which is static or the config's */
    struct slice body;             /* empty if there is an entry, or if it is streamed */
    const struct freshness *terms; /* of the route, borrowed; NULL: no directives of RFC 5861 */
    struct slice detail;           /* for Cache-Status; empty: none */
    short status;
    short retry_after;    /* seconds; negative: no such header */
    short granted_wait_s; /* Preference-Applied: wait=N; negative: no such header */
    unsigned char origin, type;
    unsigned char allow; /* methods for the Allow header, a set of enum method; 0: no such header */
    bool collapsed;      /* shared a flight that another request had started */
    bool stored;
    bool head_only; /* the request was a HEAD */
    bool no_store;  /* the entry is no fragment: only its type and body are used */
    bool strict;    /* Preference-Applied: handling=strict */
};

/* The status with a short HTML text of ours, and with the Retry-After that fits it. */
struct response response_of_status(int status);

/* The same; but if the source is to blame (502, 504), the route's fallback replaces the text. A
 * fallback whose data is NULL is none. */
struct response response_of_failure(struct slice fallback, int status);

/* A fragment. Holds the entry; `origin`, `collapsed`, `stored` are zero. Written in place, since
 * every hit comes here and returning a copy would cost more than the rest. */
static inline void response_set_entry(struct response *response, struct entry *entry)
{
    memset(response, 0, sizeof *response);
    response->entry = entry_hold(entry);
    response->status = (short)entry->status;
    response->retry_after = response->granted_wait_s = RESPONSE_NO_HEADER;
}

/* The bytes that follow the head: none for a HEAD or a 304. Valid as long as the response. */
struct slice response_body(const struct response *response);

/* Writes the head, with the empty line that ends it, to `out`, which has room for RESPONSE_HEAD_MAX
 * bytes. `now_ms` is clock_fleet_ms(). Returns the length. */
size_t response_head(const struct response *response, int64_t now_ms, char *out);

/* Lets go of the entry. May be called again. */
void response_release(struct response *response);

#endif
