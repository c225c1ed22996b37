/* The entry and its envelope: one allocation holds the struct, the header line and the body. */
#include "cache/entry.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/alloc.h"

#define TYPE_MAX     127 /* bytes of a media type */
#define HEADER_MAX   300
#define FRESH_MAX_MS ((int64_t)100 * 365 * 86400 * 1000) /* effectively for ever */
#define DEFAULT_TYPE SLICE("text/html; charset=utf-8")
#define MARKER_TYPE  SLICE("text/plain")
#define MARKER_WORD  "uncacheable" /* in the place of a status */

/* The type becomes a response header, so it must not be able to end it. */
static bool type_valid(struct slice type)
{
    if (type.len == 0 || type.len > TYPE_MAX)
        return false;
    for (size_t i = 0; i < type.len; i++)
        if ((unsigned char)type.data[i] < 0x20 || type.data[i] == 0x7f)
            return false;
    return true;
}

static void set_etag(struct entry *entry)
{
    uint64_t type = XXH3_64bits(entry->type.data, entry->type.len);
    XXH128_hash_t hash = XXH3_128bits_withSeed(entry->body.data, entry->body.len, type);
    snprintf(entry->etag, sizeof entry->etag, "\"%016" PRIx64 "%016" PRIx64 "\"",
             (uint64_t)hash.high64, (uint64_t)hash.low64);
}

/* Builds an entry from the body and the header, whose last bytes are the type and a newline. */
static struct entry *build(const struct entry *meta, struct slice header, struct slice body)
{
    if (body.len > SIZE_MAX - sizeof(struct entry) - HEADER_MAX)
        return NULL;
    struct entry *entry = alloc_bytes(sizeof *entry + header.len + body.len);
    if (!entry)
        return NULL;
    char *bytes = (char *)(entry + 1);
    memcpy(bytes, header.data, header.len);
    if (body.len > 0)
        memcpy(bytes + header.len, body.data, body.len);

    *entry = *meta;
    entry->references = 1;
    entry->holders = entry->keepers = 0; /* entry_with_freshness passes another entry */
    entry->encoded = (struct slice){.data = bytes, .len = header.len + body.len};
    entry->body = slice_from(entry->encoded, header.len);
    entry->type.data = bytes + header.len - 1 - entry->type.len;
    set_etag(entry);
    return entry;
}

static struct entry *build_from(const struct entry *meta, struct slice body)
{
    char header[HEADER_MAX], status[] = MARKER_WORD;
    if (!entry_is_marker(meta))
        snprintf(status, sizeof status, "%d", meta->status);
    int len =
        snprintf(header, sizeof header,
                 ENTRY_START "%" PRId64 " fresh=%" PRId64 " cost=%" PRId64 " status=%s type=%.*s\n",
                 meta->made_ms, meta->fresh_until_ms, meta->cost_ms, status,
                 SLICE_ARGS(meta->type));
    return build(meta, (struct slice){.data = header, .len = (size_t)len}, body);
}

struct entry *entry_new(struct slice type, struct slice body, int64_t made_ms, int64_t fresh_ms,
                        int64_t cost_ms)
{
    struct entry meta = {
        .status = 200,
        .made_ms = made_ms,
        .fresh_until_ms = made_ms + (fresh_ms < FRESH_MAX_MS ? fresh_ms : FRESH_MAX_MS),
        .cost_ms = cost_ms,
        .type = type_valid(type) ? type : DEFAULT_TYPE,
    };
    return build_from(&meta, body);
}

struct entry *entry_from_plain(struct slice body, int64_t now_ms, int64_t ttl_ms)
{
    return entry_new(DEFAULT_TYPE, body, now_ms, ttl_ms, 0);
}

struct entry *entry_of_failure(int status, int64_t now_ms, int64_t fresh_ms)
{
    struct entry meta = {
        .status = status,
        .made_ms = now_ms,
        .fresh_until_ms = now_ms + fresh_ms,
        .type = DEFAULT_TYPE,
    };
    return build_from(&meta, SLICE(""));
}

struct entry *entry_of_uncacheable(struct slice why, int64_t now_ms, int64_t life_ms)
{
    struct entry meta = {
        .status = ENTRY_UNCACHEABLE,
        .made_ms = now_ms,
        .fresh_until_ms = now_ms + life_ms,
        .type = MARKER_TYPE,
    };
    return build_from(&meta, why);
}

struct entry *entry_with_freshness(const struct entry *entry, int64_t fresh_until_ms)
{
    struct entry meta = *entry;
    meta.fresh_until_ms = fresh_until_ms;
    return build_from(&meta, entry->body);
}

bool entry_is_envelope(struct slice bytes)
{
    return slice_starts(bytes, SLICE(ENTRY_MAGIC));
}

/* Removes `literal` from the beginning of the text. */
static bool take_literal(struct slice *text, struct slice literal)
{
    if (!slice_starts(*text, literal))
        return false;
    *text = slice_from(*text, literal.len);
    return true;
}

/* Reads 1 to 15 digits: enough for any date or duration, and no overflow. */
static bool take_number(struct slice *text, int64_t *number)
{
    size_t digits = 0;
    *number = 0;
    while (digits < text->len && text->data[digits] >= '0' && text->data[digits] <= '9') {
        if (digits == 15)
            return false;
        *number = *number * 10 + (text->data[digits] - '0');
        digits++;
    }
    *text = slice_from(*text, digits);
    return digits > 0;
}

/* The number of a result or of a cached failure, or the word of a marker. */
static bool take_status(struct slice *text, int *status)
{
    int64_t number = ENTRY_UNCACHEABLE;
    if (!take_literal(text, SLICE(MARKER_WORD)) &&
        (!take_number(text, &number) ||
         (number != 200 && number != 404 && number != 502 && number != 504)))
        return false;
    *status = (int)number;
    return true;
}

struct entry *entry_decode(struct slice encoded)
{
    const char *end = encoded.len > 0 ? memchr(encoded.data, '\n',
                                               encoded.len < HEADER_MAX ? encoded.len : HEADER_MAX)
                                      : NULL;
    if (!end)
        return NULL;
    struct slice line = {.data = encoded.data, .len = (size_t)(end - encoded.data)};
    struct slice header = {.data = encoded.data, .len = line.len + 1};

    struct entry meta = {0};
    if (!take_literal(&line, SLICE(ENTRY_START)) || !take_number(&line, &meta.made_ms) ||
        !take_literal(&line, SLICE(" fresh=")) || !take_number(&line, &meta.fresh_until_ms) ||
        !take_literal(&line, SLICE(" cost=")) || !take_number(&line, &meta.cost_ms) ||
        !take_literal(&line, SLICE(" status=")) || !take_status(&line, &meta.status) ||
        !take_literal(&line, SLICE(" type=")) || !type_valid(line))
        return NULL;
    meta.type = line;
    return build(&meta, header, slice_from(encoded, header.len));
}

void entry_free(struct entry *entry)
{
    free(entry);
}
