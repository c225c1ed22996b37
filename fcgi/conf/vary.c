/* Parses entries such as "query:city", "language:en,de" and "host". The inputs point into the
 * entries' texts, which belong to the route. */
#include "conf/vary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/byte.h"
#include "web/language.h"
#include "web/response.h"
#include "web/route.h"

#define NAME_MAX_LEN 100

static const struct {
    struct slice prefix; /* of the entry; the name follows */
    enum input_kind kind;
} kinds[] = {
    {SLICE_INIT("query:"), INPUT_QUERY},   {SLICE_INIT("cookie:"), INPUT_COOKIE},
    {SLICE_INIT("header:"), INPUT_HEADER}, {SLICE_INIT("language:"), INPUT_LANGUAGE},
    {SLICE_INIT("host"), INPUT_HOST},
};

/* --- one entry --- */

/* Whether all bytes are letters, digits or in `others`. */
static bool consists_of(struct slice text, const char *others)
{
    for (size_t i = 0; i < text.len; i++)
        if (!byte_is_alnum(text.data[i]) && !strchr(others, text.data[i]))
            return false;
    return true;
}

/* Sets kind and name. Returns false if there is no such kind. */
static bool read_entry(const char *text, struct input *input)
{
    struct slice entry = slice_of(text);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        bool is_prefix = kinds[i].kind != INPUT_HOST;
        if (is_prefix ? slice_starts(entry, kinds[i].prefix)
                      : slice_equal(entry, kinds[i].prefix)) {
            *input = (struct input){.kind = kinds[i].kind,
                                    .name = slice_from(entry, kinds[i].prefix.len)};
            return true;
        }
    }
    return false;
}

static const char *check_query(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (byte_is_control(name.data[i]))
            return "the name of a parameter must not have control characters";
    return NULL;
}

/* RFC 6265 section 4.1.1: a token of RFC 9110 section 5.6.2. */
static const char *check_cookie(struct slice name)
{
    return consists_of(name, "!#$%&'*+-.^_`|~")
               ? NULL
               : "the name of a cookie may have letters, digits and any of !#$%&'*+-.^_`|~";
}

/* Headers that can't be inputs, and why. A name that ends in '-' stands for all that begin so. */
static const struct {
    const char *name, *why;
} refused_headers[] = {
#define OF_CONNECTION "this header is about the connection, not about the fragment"
#define OF_BODY       "this header is about the request's body, which no source gets"
#define OF_CACHE      "clients can't tell this cache what to do, so this header is ignored"
#define OF_CALL       "this header differs between requests; sources get it without `vary`"
    {"host", "write \"host\" instead"},
    {"cookie", "write \"cookie:NAME\" instead, for each cookie that the fragment depends on"},
    {"accept-language", "write \"language:TAGS\" instead, such as language:en,de"},
    {"accept-encoding", "sources are asked for what workerless can decode, not what clients can"},
    {"connection", OF_CONNECTION},
    {"keep-alive", OF_CONNECTION},
    {"proxy-connection", OF_CONNECTION},
    {"proxy-authorization", OF_CONNECTION},
    {"proxy", "front servers remove this header, since programs may take it for their own setting"},
    {"te", OF_CONNECTION},
    {"trailer", OF_CONNECTION},
    {"transfer-encoding", OF_CONNECTION},
    {"upgrade", OF_CONNECTION},
    {"expect", OF_BODY},
    {"content-", OF_BODY},
    {"cache-control", OF_CACHE},
    {"pragma", OF_CACHE},
    {"range", "a source is always asked for the complete fragment"},
    {"if-", "workerless answers conditional requests itself"},
    {"traceparent", OF_CALL},
    {"tracestate", OF_CALL},
    {"x-request-id", OF_CALL},
};

/* Front servers tell us of other characters in different ways. */
static const char *check_header(struct slice name)
{
    if (!consists_of(name, "-"))
        return "the name of a header may have letters, digits and '-' here";
    for (size_t i = 0; i < sizeof refused_headers / sizeof *refused_headers; i++) {
        struct slice refused = slice_of(refused_headers[i].name), start = name;
        bool is_prefix = refused.data[refused.len - 1] == '-';
        if (is_prefix && name.len > refused.len)
            start.len = refused.len;
        if (slice_equal_nocase(start, refused))
            return refused_headers[i].why;
    }
    return NULL;
}

/* The shape of a langtag (RFC 5646 section 2.1): subtags of up to 8 letters and digits. The first
 * one has 2 to 8 letters. A single character begins an extension or, if it is an "x", private
 * subtags, so something has to follow. */
static bool is_language_tag(struct slice tag)
{
    bool first = true, is_private = false;
    for (;;) {
        const char *dash = tag.len > 0 ? memchr(tag.data, '-', tag.len) : NULL;
        struct slice subtag = {.data = tag.data, .len = dash ? (size_t)(dash - tag.data) : tag.len};
        if (subtag.len == 0 || subtag.len > 8 || !consists_of(subtag, "") ||
            (subtag.len == 1 && !is_private && (first || !dash)))
            return false;
        for (size_t i = 0; first && i < subtag.len; i++)
            if (!byte_is_letter(subtag.data[i]))
                return false;
        if (!dash)
            return true;
        is_private |= slice_equal_nocase(subtag, SLICE("x"));
        first = false;
        tag = slice_from(tag, subtag.len + 1);
    }
}

static struct slice take_tag(struct slice *tags)
{
    const char *comma = tags->len > 0 ? memchr(tags->data, ',', tags->len) : NULL;
    struct slice tag = {.data = tags->data,
                        .len = comma ? (size_t)(comma - tags->data) : tags->len};
    *tags = slice_from(*tags, comma ? tag.len + 1 : tag.len);
    return tag;
}

static const char *check_language(struct slice tags)
{
    size_t count = 0;
    if (tags.data[tags.len - 1] == ',')
        return "a language tag is missing after the last comma";
    while (tags.len > 0) {
        struct slice tag = take_tag(&tags), rest = tags;
        if (!is_language_tag(tag))
            return "write language tags with commas and no spaces between, such as "
                   "language:en,de,pt-BR";
        if (++count > LANGUAGE_TAGS_MAX)
            return "at most 32 languages are possible";
        while (rest.len > 0)
            if (slice_equal_nocase(take_tag(&rest), tag))
                return "a language is named twice";
    }
    return NULL;
}

const char *vary_check(const char *text)
{
    struct input input;
    if (!read_entry(text, &input))
        return "must be query:NAME, cookie:NAME, header:NAME, language:TAGS or host";
    if (input.kind == INPUT_HOST)
        return NULL;
    if (input.name.len == 0)
        return input.kind == INPUT_LANGUAGE ? "the languages are missing, such as language:en,de"
                                            : "the name is missing after the colon";
    if (input.kind == INPUT_LANGUAGE)
        return check_language(input.name);
    if (input.name.len > NAME_MAX_LEN)
        return "the name is longer than 100 bytes";
    return input.kind == INPUT_QUERY    ? check_query(input.name)
           : input.kind == INPUT_COOKIE ? check_cookie(input.name)
                                        : check_header(input.name);
}

/* --- all of them --- */

/* Returns the first entry that is the same input, or `count`. Only one language and one host are
 * possible, and the case of a header's name does not count. */
static size_t find_same(const struct input *inputs, size_t count, const struct input *input)
{
    for (size_t i = 0; i < count; i++)
        if (inputs[i].kind == input->kind &&
            (input->kind == INPUT_LANGUAGE || slice_equal(inputs[i].name, input->name)))
            return i;
    return count;
}

static void lower_name(const struct input *input)
{
    char *name = (char *)input->name.data; /* in a text that belongs to the route */
    for (size_t i = 0; i < input->name.len; i++)
        name[i] = byte_to_lower(name[i]);
}

/* The header that the input comes from; empty for a query and the host, which are in the URL. The
 * letters after hyphens become capitals in `room`. */
static struct slice field_of(const struct input *input, char room[NAME_MAX_LEN])
{
    if (input->kind == INPUT_COOKIE)
        return SLICE("Cookie");
    if (input->kind == INPUT_LANGUAGE)
        return SLICE("Accept-Language");
    if (input->kind != INPUT_HEADER)
        return SLICE("");
    for (size_t i = 0; i < input->name.len; i++) {
        bool begins = i == 0 || input->name.data[i - 1] == '-';
        room[i] = begins ? byte_to_upper(input->name.data[i]) : input->name.data[i];
    }
    return (struct slice){.data = room, .len = input->name.len};
}

/* Writes the list for the Vary header (RFC 9110 section 12.5.5). Returns false if it is too long.
 * */
static bool write_fields(const struct vary *vary, char list[RESPONSE_VARY_MAX], size_t *len)
{
    char room[NAME_MAX_LEN];
    bool has_cookie = false;
    *len = 0;
    for (size_t i = 0; i < vary->count; i++) {
        struct slice field = field_of(&vary->inputs[i], room);
        bool is_cookie = vary->inputs[i].kind == INPUT_COOKIE;
        if (field.len == 0 || (is_cookie && has_cookie))
            continue;
        has_cookie |= is_cookie;
        if (field.len + 2 > RESPONSE_VARY_MAX - *len)
            return false;
        if (*len > 0) {
            memcpy(list + *len, ", ", 2);
            *len += 2;
        }
        memcpy(list + *len, field.data, field.len);
        *len += field.len;
    }
    return true;
}

static bool says_who(const struct vary *vary)
{
    for (size_t i = 0; i < vary->count; i++)
        if (vary->inputs[i].kind == INPUT_COOKIE || vary->inputs[i].kind == INPUT_HEADER)
            return true;
    return false;
}

static bool has_query(const struct vary *vary, struct slice name)
{
    for (size_t i = 0; i < vary->count; i++)
        if (vary->inputs[i].kind == INPUT_QUERY && slice_equal(vary->inputs[i].name, name))
            return true;
    return false;
}

/* Fills in the inputs. Returns false with a message if one is there twice. */
static bool read_all(const struct route *route, struct input *inputs, char wrong[VARY_WRONG_ROOM])
{
    for (size_t i = 0; i < route->vary_text_count; i++) {
        read_entry(route->vary_texts[i], &inputs[i]);
        if (inputs[i].kind == INPUT_HEADER)
            lower_name(&inputs[i]);
        size_t same = find_same(inputs, i, &inputs[i]);
        if (same == i)
            continue;
        if (inputs[i].kind == INPUT_LANGUAGE)
            snprintf(wrong, VARY_WRONG_ROOM,
                     "vary has language twice; write all languages into one entry");
        else
            snprintf(wrong, VARY_WRONG_ROOM, "vary has \"%.120s\" twice", route->vary_texts[i]);
        return false;
    }
    return true;
}

/* Copies inputs and header into the config. Returns false when out of memory. */
static bool keep(struct route *route, const struct input *inputs, size_t count, struct slice fields)
{
    struct vary *vary = &route->recipe.rules.vary;
    if (count == 0)
        return true;
    vary->inputs = (const struct input *)(void *)alloc_copy(inputs, count * sizeof *inputs);
    vary->count = vary->inputs ? count : 0;
    if (fields.len > 0)
        route->vary.data = alloc_copy(fields.data, fields.len);
    route->vary.len = route->vary.data ? fields.len : 0;
    return vary->count == count && route->vary.len == fields.len;
}

const char *vary_build(struct route *route, char wrong[VARY_WRONG_ROOM])
{
    struct input inputs[INPUTS_MAX];
    struct vary vary = {.inputs = inputs, .count = route->vary_text_count};
    char list[RESPONSE_VARY_MAX];
    size_t len;
    if (vary.count > INPUTS_MAX) {
        snprintf(wrong, VARY_WRONG_ROOM, "vary has %zu entries; at most %d are possible",
                 vary.count, INPUTS_MAX);
        return "vary";
    }
    if (!read_all(route, inputs, wrong))
        return "vary";
    if (!write_fields(&vary, list, &len)) {
        snprintf(wrong, VARY_WRONG_ROOM,
                 "the headers in vary are too many or too long: all their names together, for the "
                 "header Vary of responses, may have %d bytes",
                 RESPONSE_VARY_MAX);
        return "vary";
    }
    if (route->recipe.rules.is_private && !says_who(&vary)) {
        snprintf(wrong, VARY_WRONG_ROOM,
                 "private = \"yes\": nothing in vary identifies the user, so all users would "
                 "get the same one; add the cookie or header that identifies a user, such as "
                 "cookie:session or header:authorization");
        return "private";
    }
    if (route->stream && has_query(&vary, SLICE("name"))) {
        snprintf(wrong, VARY_WRONG_ROOM,
                 "stream = \"yes\": in /fragments the parameter \"name\" is the fragment's name, "
                 "so "
                 "vary can't have query:name");
        return "stream";
    }
    if (keep(route, inputs, vary.count, (struct slice){.data = list, .len = len}))
        return NULL;
    snprintf(wrong, VARY_WRONG_ROOM, "out of memory");
    return "vary";
}

void vary_free(struct route *route)
{
    free((void *)route->recipe.rules.vary.inputs);
    free((void *)route->vary.data);
}
