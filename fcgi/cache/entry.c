/* The entry and its envelope: one allocation holds the struct, the header line, the header fields
 * of the source and the body. */
#include "cache/entry.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/alloc.h"
#include "base/byte.h"
#include "base/check.h"
#include "base/put.h"
#include "render/text.h"

#define LINE_MAX     400                                 /* bytes of the header line */
#define FRESH_MAX_MS ((int64_t)100 * 365 * 86400 * 1000) /* effectively for ever */
#define DEFAULT_TYPE SLICE("text/html; charset=utf-8")
#define MARKER_TYPE  SLICE("text/plain")
#define MARKER_WORD  "uncacheable" /* in the place of a status */

#define PLAIN_WITHOUT_TTL_MS 60000 /* fresh time of a value that somebody set without expiry */

#define MUST_REVALIDATE " must-revalidate"
#define CLIENTS         " clients="
#define NO_STORE        "no-store"
#define BY              " by="

static void set_etag(struct entry *entry)
{
    uint64_t type = XXH3_64bits(entry->type.data, entry->type.len);
    XXH128_hash_t hash = XXH3_128bits_withSeed(entry->body.data, entry->body.len, type);
    char *at = put(entry->etag, SLICE("\""));
    at = put_hex(put_hex(at, hash.high64), hash.low64);
    put(at, SLICE("\"\0"));
}

/* Builds an entry from the header line, whose last bytes are the type and a newline, the fields and
 * the body. The lengths of the fields are those in `meta`. */
static struct entry *build(const struct entry *meta, struct slice line, struct slice fields,
                           struct slice body)
{
    if (body.len > SIZE_MAX - sizeof(struct entry) - LINE_MAX - ENTRY_FIELDS_MAX)
        return NULL;
    struct entry *entry = alloc_bytes(sizeof *entry + line.len + fields.len + body.len);
    if (!entry)
        return NULL;
    char *bytes = (char *)(entry + 1);
    memcpy(bytes, line.data, line.len);
    if (fields.len > 0)
        memcpy(bytes + line.len, fields.data, fields.len);
    if (body.len > 0)
        memcpy(bytes + line.len + fields.len, body.data, body.len);

    *entry = *meta;
    entry->references = 1;
    entry->holders = entry->keepers = 0; /* entry_with_freshness passes another entry */
    entry->encoded = (struct slice){.data = bytes, .len = line.len + fields.len + body.len};
    entry->body = slice_from(entry->encoded, line.len + fields.len);
    entry->type.data = bytes + line.len - 1 - entry->type.len;
    entry->is_html = text_is_html(entry->type);
    set_etag(entry);
    return entry;
}

static char *put_beginning(char *at, const struct entry *meta)
{
    at = put_number(put(at, SLICE(ENTRY_START)), meta->made_ms);
    at = put_number(put(at, SLICE(" fresh=")), meta->fresh_until_ms);
    return put(at, SLICE(" "));
}

static struct entry *build_from(const struct entry *meta, struct slice fields, struct slice body)
{
    char line[LINE_MAX], *at = line;
    at = put_number(put(put_beginning(at, meta), SLICE("cost=")), meta->cost_ms);
    at = put(at, SLICE(" status="));
    at = entry_is_marker(meta) ? put(at, SLICE(MARKER_WORD)) : put_number(at, meta->status);
    if (meta->has_stale) {
        at = put_number(put(at, SLICE(" stale=")), meta->stale_ms);
        at = put_number(put(at, SLICE(" error=")), meta->stale_error_ms);
    }
    if (meta->must_revalidate)
        at = put(at, SLICE(MUST_REVALIDATE));
    if (meta->clients_no_store)
        at = put(at, SLICE(CLIENTS NO_STORE));
    else if (meta->has_clients)
        at = put_number(put(at, SLICE(CLIENTS)), meta->clients_s);
    if (meta->by)
        at = put_hex(put(at, SLICE(BY)), meta->by);
    if (fields.len > 0)
        at = put_number(put(at, SLICE(" fields=")), (int64_t)fields.len);
    at = put(put(put(at, SLICE(" type=")), meta->type), SLICE("\n"));
    return build(meta, (struct slice){.data = line, .len = (size_t)(at - line)}, fields, body);
}

/* --- the source's header fields --- */

#define ETAG_START          SLICE("etag: ")
#define LAST_MODIFIED_START SLICE("last-modified: ")

/* Bytes of the field with a value of that length; 0: there is none. */
static size_t field_len(struct slice start, size_t value_len)
{
    return value_len > 0 ? start.len + value_len + 1 : 0;
}

/* All fields of the entry. */
static struct slice fields_of(const struct entry *entry)
{
    size_t len = field_len(ETAG_START, entry->source_etag_len) +
                 field_len(LAST_MODIFIED_START, entry->last_modified_len) + entry->kept_len;
    return (struct slice){.data = entry->body.data - len, .len = len};
}

struct entry_terms entry_terms_of(const struct entry *entry)
{
    const char *etag = fields_of(entry).data;
    const char *last_modified = etag + field_len(ETAG_START, entry->source_etag_len);
    return (struct entry_terms){
        .has_stale = entry->has_stale,
        .stale_ms = entry->stale_ms,
        .stale_error_ms = entry->stale_error_ms,
        .must_revalidate = entry->must_revalidate,
        .clients_no_store = entry->clients_no_store,
        .has_clients = entry->has_clients,
        .clients_s = entry->clients_s,
        .by = entry->by,
        .etag = {.data = etag + ETAG_START.len, .len = entry->source_etag_len},
        .last_modified = {.data = last_modified + LAST_MODIFIED_START.len,
                          .len = entry->last_modified_len},
        .kept = entry_kept(entry),
    };
}

/* Takes the next line from *lines, without its newline; false: there is none. */
static bool take_line(struct slice *lines, struct slice *line)
{
    const char *end = lines->len > 0 ? memchr(lines->data, '\n', lines->len) : NULL;
    if (!end)
        return false;
    *line = (struct slice){.data = lines->data, .len = (size_t)(end - lines->data)};
    *lines = slice_from(*lines, line->len + 1);
    return true;
}

/* Whether all of it is lines with fields that may be kept. */
static bool kept_valid(struct slice kept)
{
    struct slice line;
    while (kept.len > 0) {
        if (!take_line(&kept, &line))
            return false;
        const char *colon = memchr(line.data, ':', line.len);
        size_t name_len = colon ? (size_t)(colon - line.data) : 0;
        if (!colon || line.len - name_len < 2 || colon[1] != ' ' ||
            !keep_allows((struct slice){.data = line.data, .len = name_len}) ||
            !keep_value_valid(slice_from(line, name_len + 2)))
            return false;
    }
    return true;
}

/* If the fields begin with that one, takes it and sets the length of its value. */
static bool take_validator(struct slice *fields, struct slice start, size_t most, uint16_t *len)
{
    struct slice line;
    if (!slice_starts(*fields, start))
        return true;
    if (!take_line(fields, &line))
        return false;
    line = slice_from(line, start.len);
    *len = (uint16_t)line.len;
    return line.len > 0 && line.len <= most && keep_value_valid(line);
}

/* Sets the lengths. Returns false if these are not the fields of an entry. */
static bool read_fields(struct slice fields, struct entry *meta)
{
    if (!take_validator(&fields, ETAG_START, TERMS_ETAG_MAX, &meta->source_etag_len) ||
        !take_validator(&fields, LAST_MODIFIED_START, TERMS_DATE_MAX, &meta->last_modified_len) ||
        fields.len > KEEP_MAX)
        return false;
    meta->kept_len = (uint16_t)fields.len;
    return kept_valid(fields);
}

static char *put_validator(char *at, struct slice start, struct slice value, size_t most)
{
    if (value.len == 0 || value.len > most || !keep_value_valid(value))
        return at;
    return put(put(put(at, start), value), SLICE("\n"));
}

struct entry *entry_new_on_terms(struct slice type, struct slice body, int64_t made_ms,
                                 int64_t fresh_ms, int64_t cost_ms, const struct entry_terms *terms)
{
    char fields[ENTRY_FIELDS_MAX], *at = fields;
    struct entry meta = {
        .status = 200,
        .made_ms = made_ms,
        .fresh_until_ms = made_ms + (fresh_ms < FRESH_MAX_MS ? fresh_ms : FRESH_MAX_MS),
        .cost_ms = cost_ms,
        .stale_ms = terms->stale_ms,
        .stale_error_ms = terms->stale_error_ms,
        .has_stale = terms->has_stale,
        .must_revalidate = terms->must_revalidate,
        .clients_no_store = terms->clients_no_store,
        .has_clients = terms->has_clients,
        .clients_s = terms->clients_s,
        .by = terms->by,
        .type = text_type_is_valid(type) ? type : DEFAULT_TYPE,
    };
    at = put_validator(at, ETAG_START, terms->etag, TERMS_ETAG_MAX);
    at = put_validator(at, LAST_MODIFIED_START, terms->last_modified, TERMS_DATE_MAX);
    if (terms->kept.len <= KEEP_MAX && kept_valid(terms->kept))
        at = put(at, terms->kept);
    struct slice all = {.data = fields, .len = (size_t)(at - fields)};
    check(read_fields(all, &meta));
    return build_from(&meta, all, body);
}

struct entry *entry_new(struct slice type, struct slice body, int64_t made_ms, int64_t fresh_ms,
                        int64_t cost_ms)
{
    static const struct entry_terms none;
    return entry_new_on_terms(type, body, made_ms, fresh_ms, cost_ms, &none);
}

struct entry *entry_from_plain(struct slice body, int64_t now_ms, int64_t ttl_ms)
{
    return entry_new(DEFAULT_TYPE, body, now_ms, ttl_ms, 0);
}

struct entry *entry_from_expiring(struct slice body, int64_t now_ms, int64_t pttl_ms)
{
    if (pttl_ms == -1)
        pttl_ms = PLAIN_WITHOUT_TTL_MS;
    return pttl_ms > 0 ? entry_from_plain(body, now_ms, pttl_ms) : NULL;
}

struct entry *entry_of_failure(int status, int64_t now_ms, int64_t fresh_ms)
{
    struct entry meta = {
        .status = status,
        .made_ms = now_ms,
        .fresh_until_ms = now_ms + fresh_ms,
        .type = DEFAULT_TYPE,
    };
    return build_from(&meta, SLICE(""), SLICE(""));
}

struct entry *entry_of_uncacheable(struct slice why, int64_t now_ms, int64_t life_ms)
{
    struct entry meta = {
        .status = ENTRY_UNCACHEABLE,
        .made_ms = now_ms,
        .fresh_until_ms = now_ms + life_ms,
        .type = MARKER_TYPE,
    };
    return build_from(&meta, SLICE(""), why);
}

struct entry *entry_with_freshness(const struct entry *entry, int64_t fresh_until_ms)
{
    struct entry meta = *entry;
    meta.fresh_until_ms = fresh_until_ms;
    return build_from(&meta, fields_of(entry), entry->body);
}

struct entry *entry_prolonged(const struct entry *entry, int64_t fresh_until_ms)
{
    struct entry meta = *entry;
    int64_t later_ms = fresh_until_ms - entry->fresh_until_ms;
    meta.fresh_until_ms = fresh_until_ms;
    meta.stale_ms = meta.stale_ms > later_ms ? meta.stale_ms - later_ms : 0;
    meta.stale_error_ms = meta.stale_error_ms > later_ms ? meta.stale_error_ms - later_ms : 0;
    return build_from(&meta, fields_of(entry), entry->body);
}

size_t entry_beginning(const struct entry *entry, char out[ENTRY_BEGINNING_ROOM])
{
    return (size_t)(put_beginning(out, entry) - out);
}

enum entry_balance entry_balance_of(const struct balance *found)
{
    if (found->in_template.flaw != BALANCE_NO_FLAW)
        return ENTRY_UNBALANCED;
    return found->in_place.flaw != BALANCE_NO_FLAW ? ENTRY_UNBALANCED_IN_PLACE : ENTRY_BALANCED;
}

struct balance entry_check_balance(struct entry *entry)
{
    struct balance found = balance_check(entry->body);
    entry->balance = (unsigned char)entry_balance_of(&found);
    return found;
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

static bool take_clients(struct slice *line, struct entry *meta)
{
    int64_t seconds;
    if (!take_literal(line, SLICE(CLIENTS)))
        return true;
    meta->clients_no_store = take_literal(line, SLICE(NO_STORE));
    if (meta->clients_no_store)
        return true;
    meta->has_clients = true;
    if (!take_number(line, &seconds) || seconds > UINT32_MAX)
        return false;
    meta->clients_s = (uint32_t)seconds;
    return true;
}

static bool take_by(struct slice *line, struct entry *meta)
{
    if (!take_literal(line, SLICE(BY)))
        return true;
    for (size_t i = 0; i < 16; i++) {
        int digit = line->len > 0 ? byte_hex_value(line->data[0]) : -1;
        if (digit < 0)
            return false;
        meta->by = meta->by << 4 | (uint64_t)digit;
        *line = slice_from(*line, 1);
    }
    return true;
}

/* Reads the parts between the status and the type, each of which may be missing. */
static bool take_terms(struct slice *line, struct entry *meta, int64_t *fields_len)
{
    *fields_len = 0;
    meta->has_stale = take_literal(line, SLICE(" stale="));
    if (meta->has_stale &&
        (!take_number(line, &meta->stale_ms) || !take_literal(line, SLICE(" error=")) ||
         !take_number(line, &meta->stale_error_ms)))
        return false;
    meta->must_revalidate = take_literal(line, SLICE(MUST_REVALIDATE));
    if (!take_clients(line, meta) || !take_by(line, meta))
        return false;
    return !take_literal(line, SLICE(" fields=")) || take_number(line, fields_len);
}

struct entry *entry_decode(struct slice encoded)
{
    const char *end = encoded.len > 0 ? memchr(encoded.data, '\n',
                                               encoded.len < LINE_MAX ? encoded.len : LINE_MAX)
                                      : NULL;
    if (!end)
        return NULL;
    struct slice line = {.data = encoded.data, .len = (size_t)(end - encoded.data)};
    struct slice header = {.data = encoded.data, .len = line.len + 1};
    struct slice rest = slice_from(encoded, header.len);

    struct entry meta = {0};
    int64_t fields_len;
    if (!take_literal(&line, SLICE(ENTRY_START)) || !take_number(&line, &meta.made_ms) ||
        !take_literal(&line, SLICE(" fresh=")) || !take_number(&line, &meta.fresh_until_ms) ||
        !take_literal(&line, SLICE(" cost=")) || !take_number(&line, &meta.cost_ms) ||
        !take_literal(&line, SLICE(" status=")) || !take_status(&line, &meta.status) ||
        !take_terms(&line, &meta, &fields_len) || !take_literal(&line, SLICE(" type=")) ||
        !text_type_is_valid(line))
        return NULL;
    if ((uint64_t)fields_len > rest.len || fields_len > ENTRY_FIELDS_MAX)
        return NULL;
    struct slice fields = {.data = rest.data, .len = (size_t)fields_len};
    meta.type = line;
    return read_fields(fields, &meta) ? build(&meta, header, fields, slice_from(rest, fields.len))
                                      : NULL;
}

void entry_free(struct entry *entry)
{
    free(entry);
}
