/* What is answered: status, headers, body. */
#ifndef WORKERLESS_WEB_RESPONSE_H
#define WORKERLESS_WEB_RESPONSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "cache/entry.h"

struct freshness;

/* A response's head never takes more: it has to fit the front server's first buffer, which is one
 * page with nginx. */
#define RESPONSE_HEAD_MAX 1024

/* What Cache-Status tells (RFC 9211). */
enum response_origin {
    ORIGIN_NONE, /* it is not about the cache: there is no such header */
    ORIGIN_HIT,
    ORIGIN_MISS,
    ORIGIN_STALE, /* there was one past its time: this is it, or what has replaced it */
};

/* What a body that is not an entry's is. Of the last two the length is not known beforehand. */
enum response_type { BODY_HTML, BODY_PLAIN, BODY_EVENTS, BODY_TEMPLATES };

#define RESPONSE_NO_HEADER (-1) /* of a number that is a header's */

struct response {
    struct entry *entry;           /* held; NULL: `body` is static or belongs to the config */
    struct slice body;             /* empty when there is an entry, or when it is streamed */
    const struct freshness *terms; /* of the route, borrowed; NULL: none of RFC 5861's */
    struct slice detail;           /* for Cache-Status; empty: none */
    short status;
    short retry_after; /* seconds; negative: no such header */
    short applied;     /* Preference-Applied: wait=N; negative: no such header */
    unsigned char origin, type;
    unsigned char allow; /* methods for the Allow header, a set of enum method; 0: no such header */
    bool collapsed;      /* waited on a flight that another request had started */
    bool stored;
    bool head_only; /* the request was a HEAD */
    bool strict;    /* Preference-Applied: handling=strict */
};

/* A short HTML body of our own, with a status, and the Retry-After that goes with that. */
struct response response_of_status(int status);

/* The same, with a body of the config's in its place where the source is to blame, if there is one:
 * its data is NULL if not. */
struct response response_of_failure(struct slice fallback, int status);

/* A fragment, set in its place, as every hit needs one: a copy costs more than all of this. Holds
 * the entry. `origin`, `collapsed`, `stored` are zero. */
static inline void response_set_entry(struct response *response, struct entry *entry)
{
    memset(response, 0, sizeof *response);
    response->entry = entry_hold(entry);
    response->status = (short)entry->status;
    response->retry_after = response->applied = RESPONSE_NO_HEADER;
}

/* The bytes that follow the head; empty for a HEAD or a 304. They live as long as the response. */
struct slice response_body(const struct response *response);

/* Writes the head, its closing blank line included, to `out`, which has room for RESPONSE_HEAD_MAX
 * bytes. Returns the length. `now_ms` is the time by clock_fleet_ms(). */
size_t response_head(const struct response *response, int64_t now_ms, char *out);

/* Gives back the entry. May be called twice. */
void response_release(struct response *response);

#endif
