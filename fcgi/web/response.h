/* A response: its status, headers and body. */
#ifndef WORKERLESS_WEB_RESPONSE_H
#define WORKERLESS_WEB_RESPONSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "cache/entry.h"
#include "park/waiter.h"

struct freshness;
struct users;

/* The maximum size of a response's head, without the header fields that are kept with its entry. It
 * has to fit into the front server's first buffer, which is one page (4 KiB) in nginx; that is why
 * KEEP_MAX is no more than it is. */
#define RESPONSE_HEAD_MAX 1024

/* The maximum length of the list in a Vary header: of a fragment, and of a stream. */
#define RESPONSE_VARY_MAX        300
#define RESPONSE_STREAM_VARY_MAX 600

/* Where it came from, for Cache-Status (RFC 9211). */
enum response_origin {
    ORIGIN_NONE, /* not from the cache: no Cache-Status header */
    ORIGIN_HIT,
    ORIGIN_MISS,
    ORIGIN_STALE, /* this is a stale entry, or has replaced one */
};

/* The type of a body without an entry. From BODY_EVENTS on they are streamed, so their length is
 * unknown. */
enum response_type { BODY_HTML, BODY_PLAIN, BODY_EVENTS, BODY_TEMPLATES, BODY_PAGE };

#define RESPONSE_NO_HEADER (-1) /* in place of a header's number */

/* Of an enum route_outcome; and of a response to anything but a request for a fragment. */
#define RESPONSE_OUTCOME(outcome) ((unsigned char)((outcome) + 1))
#define RESPONSE_NO_OUTCOME       0

struct response {
    struct entry *entry; /* held; NULL: `body` is used, which is static or owned by the config */
    struct slice body;   /* empty if there is an entry, or for a stream */
    const struct freshness *terms; /* of the route, borrowed; NULL: no directives of RFC 5861 */
    const struct slice *vary;      /* names for the Vary header, borrowed; NULL or empty: none */
    struct users *users;           /* counted: those of the config, which has what is borrowed */
    struct slice detail;           /* for Cache-Status; empty: none */
    short status;
    short retry_after;    /* seconds; negative: no such header */
    short granted_wait_s; /* Preference-Applied: wait=N; negative: no such header */
    unsigned char origin, type;
    unsigned char allow; /* methods for the Allow header, a set of enum method; 0: no such header */
    bool collapsed;      /* shared a flight that another request had started */
    bool stored;
    bool head_only;        /* the request was a HEAD */
    bool uncacheable;      /* the entry is for this request only: no other cache may keep it */
    bool is_private;       /* only the user who sent the request may have it */
    bool no_store : 1;     /* the entry is no fragment: only its type and body are used */
    bool strict : 1;       /* Preference-Applied: handling=strict */
    unsigned char outcome; /* for the access log: RESPONSE_OUTCOME, or RESPONSE_NO_OUTCOME */
};

/* The response for a status, with a short HTML text and a Retry-After if it has one. */
struct response response_of_status(int status);

/* The same for a settlement without an entry; but if there is no result because of the source, the
 * route's fallback replaces the text. If its data is NULL, there is no fallback. */
struct response response_of_failure(struct slice fallback, enum settlement_kind kind);

/* Sets the response to a fragment. Holds the entry; `origin`, `collapsed` and `stored` are zero. It
 * is written in place, since every hit gets here, and returning a copy would cost more than the
 * rest. */
static inline void response_set_entry(struct response *response, struct entry *entry)
{
    memset(response, 0, sizeof *response);
    response->entry = entry_hold(entry);
    response->status = (short)entry->status;
    response->retry_after = response->granted_wait_s = RESPONSE_NO_HEADER;
}

/* The bytes that follow the head: none for a HEAD or a 304. Valid as long as the response. */
struct slice response_body(const struct response *response);

/* The maximum size of this response's head: more than RESPONSE_HEAD_MAX only if header fields are
 * kept with its entry. Each of their lines, which have at least four bytes, gets a CR. */
static inline size_t response_head_max(const struct response *response)
{
    size_t kept = response->entry ? response->entry->kept_len : 0;
    return RESPONSE_HEAD_MAX + kept + kept / 4;
}

/* Writes the head, with its final empty line, to `out`, which has room for response_head_max bytes.
 * `now_ms` is clock_fleet_ms(). Returns the length. */
size_t response_head(const struct response *response, int64_t now_ms, char *out);

/* What the head of a page says. */
struct page_head {
    struct slice vary;      /* names for the Vary header; empty: none */
    struct slice own_links; /* of the skeleton: lines of Link headers, each with its CR LF */
    struct slice links;     /* likewise, of the fragments */
    int64_t fresh_s;        /* how many seconds caches may keep it; 0: they may not */
    bool is_private;        /* it is for one user only */
    bool must_revalidate;   /* caches must not use it after that */
    bool complete;          /* no fragment of it will be late */
};

/* As response_head, for a page. `out` has room for RESPONSE_HEAD_MAX bytes and the links. */
size_t response_page_head(const struct page_head *head, char *out);

/* How many seconds from now on a client may use a response with the entry, on its route's terms. */
int64_t response_fresh_s(const struct entry *entry, const struct freshness *terms, int64_t now_ms);

/* Releases the entry and the config. May be called twice. */
void response_release(struct response *response);

#endif
