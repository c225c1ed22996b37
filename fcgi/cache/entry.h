/* A cached result, and its envelope in Redis.
 *
 * In Redis an entry is one string that redis-cli shows readably: a header line, then the body.
 *
 *     workerless/1 made=1732417847123 fresh=1732417907123 cost=840 status=200 type=text/html\n
 *     <div id="a">...</div>
 *
 * made and fresh are milliseconds since 1970 by the fleet's clock, cost is the milliseconds that
 * the source took; type is last and runs to the end of the line. The terms of the source's response
 * come before the type, and header fields of the response follow the line:
 *
 *     workerless/1 made=... status=200 stale=30000 error=0 fields=44 type=text/html\n
 *     etag: "v1"\n
 *     link: </style.css>; rel=preload\n
 *     <div id="a">...</div>
 *
 * stale and error are the milliseconds after its fresh time in which it may be used: while it is
 * refreshed, and if that fails; without both, the route's times count. The word must-revalidate
 * after them is passed on to clients. by is a digest of the template, or of another rule, by which the
 * body was made of the source's result, as 16 hexadecimal digits. clients is how many seconds they may use a response, or the
 * word no-store; without it, as long as it is fresh. fields is the number of bytes of the header
 * fields: first etag and last-modified, by which the source is asked whether the result has
 * changed, then those that clients get. Each of these parts may be missing. A string without that
 * magic is an entry too: all of it is a text/html body (see entry_from_plain).
 *
 * A marker stands in the place of a result that its source forbids to share. Its status is a word,
 * so older versions of workerless do not take it for a result; its body says why.
 *
 *     workerless/1 made=... fresh=... cost=0 status=uncacheable type=text/plain\n
 *     Set-Cookie
 */
#ifndef WORKERLESS_CACHE_ENTRY_H
#define WORKERLESS_CACHE_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/budget.h"
#include "base/slice.h"
#include "render/balance.h"
#include "source/keep.h"
#include "source/terms.h"

#define ENTRY_ETAG_LEN 34 /* two quotes around 32 hex digits */

#define ENTRY_MAGIC "workerless/"
#define ENTRY_START ENTRY_MAGIC "1 made=" /* of an envelope of this version */

#define ENTRY_UNCACHEABLE 0 /* the status of a marker */

/* More than all fields of one entry. */
#define ENTRY_FIELDS_MAX (KEEP_MAX + TERMS_ETAG_MAX + TERMS_DATE_MAX + 32)

/* What the source's response said about a result. All zero: nothing. */
struct entry_terms {
    bool has_stale; /* the next two count instead of the route's */
    int64_t stale_ms, stale_error_ms;
    bool must_revalidate;
    bool clients_no_store; /* clients must not store it */
    bool has_clients;      /* clients_s counts: how long they may use it, in seconds */
    uint32_t clients_s;
    uint64_t by; /* digest of the rule that made the body (render/render.h); 0: none */
    struct slice etag, last_modified; /* empty: none */
    struct slice kept;                /* header fields for clients, each "name: value\n" */
};

/* What render/balance.h says of a result as HTML. An unbalanced one is so in place, too. */
enum entry_balance {
    ENTRY_UNCHECKED,
    ENTRY_BALANCED,
    ENTRY_UNBALANCED_IN_PLACE, /* but not in a template */
    ENTRY_UNBALANCED,
};

/* Immutable but for `balance` and the numbers of references, and shared; freed with its last
 * reference. */
struct entry {
    unsigned references;
    unsigned holders; /* of the references: those of responses that are not sent yet */
    unsigned keepers; /* of the references: those of memory caches */
    int status;       /* 200, that of a cached failure: 404, 502, 504; or ENTRY_UNCACHEABLE */
    int64_t made_ms, fresh_until_ms; /* by clock_fleet_ms() */
    int64_t cost_ms;
    int64_t stale_ms, stale_error_ms; /* if has_stale: see entry_terms */
    bool has_stale, must_revalidate, clients_no_store, has_clients;
    bool is_html;       /* by its type */
    uint32_t clients_s; /* if has_clients */
    uint64_t by;        /* see entry_terms */
    /* Bytes of the values and of the fields that stand before the body, in this order. */
    uint16_t source_etag_len, last_modified_len, kept_len;
    char etag[ENTRY_ETAG_LEN + 1]; /* strong, quoted: a hash of type and body (RFC 9110 8.8.3) */
    unsigned char balance;         /* of enum entry_balance; see entry_check_balance */
    struct slice type, body;       /* point into encoded */
    struct slice encoded;          /* the complete envelope */
};

/* All of these return an entry with one reference, which the caller owns; or NULL when out of
 * memory or, for entry_decode, if the bytes are not a valid envelope. Bytes are copied. fresh_ms
 * and ttl_ms count from the time argument before them; a type that can't be a header's value
 * becomes text/html. */
struct entry *entry_new(struct slice type, struct slice body, int64_t made_ms, int64_t fresh_ms,
                        int64_t cost_ms);
struct entry *entry_decode(struct slice encoded);
struct entry *entry_from_plain(struct slice body, int64_t now_ms, int64_t ttl_ms);

/* The same as entry_new, with the source's terms. Invalid ones, and those for which there is no
 * room, are left out. */
struct entry *entry_new_on_terms(struct slice type, struct slice body, int64_t made_ms,
                                 int64_t fresh_ms, int64_t cost_ms,
                                 const struct entry_terms *terms);

/* An entry of a plain value whose key expires in pttl_ms, as Redis' PTTL says it: with -1 it never
 * does, and the entry is fresh for a minute. NULL also if there is no key (-2). */
struct entry *entry_from_expiring(struct slice body, int64_t now_ms, int64_t pttl_ms);

/* A failure to be cached: no body, and the status of its response. */
struct entry *entry_of_failure(int status, int64_t now_ms, int64_t fresh_ms);

/* A marker that is valid for life_ms. */
struct entry *entry_of_uncacheable(struct slice why, int64_t now_ms, int64_t life_ms);

/* The same result, fresh until fresh_until_ms. */
struct entry *entry_with_freshness(const struct entry *entry, int64_t fresh_until_ms);

/* The same; but the end of its own stale times, if it has some, stays where it is. */
struct entry *entry_prolonged(const struct entry *entry, int64_t fresh_until_ms);

/* Its terms; they point into the entry. */
struct entry_terms entry_terms_of(const struct entry *entry);

/* Writes how the envelope of this entry begins, up to its fresh time, and of no other entry with
 * another result. Returns the length. */
#define ENTRY_BEGINNING_ROOM 80
size_t entry_beginning(const struct entry *entry, char out[ENTRY_BEGINNING_ROOM]);

/* Reads the body, and sets `balance`. That costs more than all else that is done with an entry, so
 * an entry is not checked when it is made, but by whoever has to know; a process that only passes
 * on what Redis has never does it. */
struct balance entry_check_balance(struct entry *entry);
enum entry_balance entry_balance_of(const struct balance *found);

/* Whether the bytes claim to be an envelope of any version. */
bool entry_is_envelope(struct slice bytes);

/* Whether it stands in the place of a result that must not be shared. */
static inline bool entry_is_marker(const struct entry *entry)
{
    return entry->status == ENTRY_UNCACHEABLE;
}

/* Whether both are the same result with the same fresh time, by which Redis recognizes them, too.
 * Either may be NULL. */
static inline bool entry_is_same(const struct entry *one, const struct entry *other)
{
    return one == other || (one && other && one->made_ms == other->made_ms &&
                            one->fresh_until_ms == other->fresh_until_ms);
}

/* All of the envelope before the body. */
static inline struct slice entry_header(const struct entry *entry)
{
    return (struct slice){.data = entry->encoded.data, .len = entry->encoded.len - entry->body.len};
}

/* Whether the source can be asked if the result has changed. */
static inline bool entry_has_validator(const struct entry *entry)
{
    return entry->source_etag_len > 0 || entry->last_modified_len > 0;
}

/* The header fields for clients. */
static inline struct slice entry_kept(const struct entry *entry)
{
    return (struct slice){.data = entry->body.data - entry->kept_len, .len = entry->kept_len};
}

/* How long after its fresh time it may still be used, if that is `route_extra_ms` for the entries
 * of its route. */
static inline int64_t entry_extra_ms(const struct entry *entry, int64_t route_extra_ms)
{
    if (!entry->has_stale)
        return route_extra_ms;
    return entry->stale_ms > entry->stale_error_ms ? entry->stale_ms : entry->stale_error_ms;
}

/* Only for entry_unref. */
void entry_free(struct entry *entry);

/* Adds a reference; returns the entry. */
static inline struct entry *entry_ref(struct entry *entry)
{
    entry->references++;
    return entry;
}

/* Drops a reference. NULL is allowed. */
static inline void entry_unref(struct entry *entry)
{
    if (entry && --entry->references == 0)
        entry_free(entry);
}

/* Memory that the entry uses, in bytes, overhead included. */
static inline size_t entry_footprint(const struct entry *entry)
{
    return sizeof *entry + entry->encoded.len;
}

/* References of responses. An entry that only responses hold counts in BUDGET_UNSENT; one that a
 * memory cache keeps as well counts in that cache. Call entry_can_hold first: if it returns false,
 * there is no room, and the request has to get another response. entry_hold itself never fails. */
static inline bool entry_can_hold(const struct entry *entry)
{
    return entry->holders > 0 || entry->keepers > 0 ||
           budget_has_room(BUDGET_UNSENT, entry_footprint(entry));
}

static inline struct entry *entry_hold(struct entry *entry)
{
    if (entry->holders++ == 0 && entry->keepers == 0)
        budget_add(BUDGET_UNSENT, entry_footprint(entry));
    return entry_ref(entry);
}

/* NULL is allowed. */
static inline void entry_let_go(struct entry *entry)
{
    if (!entry)
        return;
    if (--entry->holders == 0 && entry->keepers == 0)
        budget_sub(BUDGET_UNSENT, entry_footprint(entry));
    entry_unref(entry);
}

/* Bytes that the entry counts in BUDGET_UNSENT now. NULL is allowed. */
static inline size_t entry_unsent(const struct entry *entry)
{
    return entry && entry->holders > 0 && entry->keepers == 0 ? entry_footprint(entry) : 0;
}

/* References of a memory cache. */
static inline struct entry *entry_keep(struct entry *entry)
{
    if (entry->keepers++ == 0 && entry->holders > 0)
        budget_sub(BUDGET_UNSENT, entry_footprint(entry));
    return entry_ref(entry);
}

static inline void entry_forget(struct entry *entry)
{
    if (--entry->keepers == 0 && entry->holders > 0)
        budget_add(BUDGET_UNSENT, entry_footprint(entry));
    entry_unref(entry);
}

#endif
