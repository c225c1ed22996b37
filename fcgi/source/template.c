/* Placeholders: reads, checks and resolves them. */
#include "source/template.h"

#include <stdio.h>

#include "base/spelling.h"
#include "source/source.h"

static const struct {
    const char *word;
    enum template_kind kind;
    enum input_kind input;
} words[] = {
    {"name", TEMPLATE_NAME, INPUT_QUERY},         {"rest", TEMPLATE_REST, INPUT_QUERY},
    {"query", TEMPLATE_QUERY, INPUT_QUERY},       {"query:", TEMPLATE_INPUT, INPUT_QUERY},
    {"language", TEMPLATE_INPUT, INPUT_LANGUAGE}, {"host", TEMPLATE_INPUT, INPUT_HOST},
    {"header:", TEMPLATE_INPUT, INPUT_HEADER},    {"cookie:", TEMPLATE_SECRET, INPUT_COOKIE},
};
#define WORDS    (sizeof words / sizeof *words)
#define POSSIBLE "{name}, {rest}, {query}, {query:NAME}, {language}, {host} and {header:NAME}"

static bool is_secret(struct slice header)
{
    return slice_equal_nocase(header, SLICE("authorization")) ||
           slice_equal_nocase(header, SLICE("proxy-authorization")) ||
           slice_equal_nocase(header, SLICE("cookie"));
}

/* The name of an input: no spaces or control characters, since libcurl rejects urls with them, and
 * redirects are compared with the url as it is in the config. */
static bool is_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.data[i] <= ' ' || name.data[i] == 0x7f)
            return false;
    return name.len > 0;
}

/* `inside` is what is between the braces. */
static void classify(struct slice inside, struct template_part *part)
{
    part->kind = TEMPLATE_UNKNOWN;
    for (size_t i = 0; i < WORDS; i++) {
        struct slice word = slice_of(words[i].word);
        bool has_name = word.data[word.len - 1] == ':';
        if (!has_name ? !slice_equal(inside, word)
                      : !slice_starts(inside, word) || !is_name(slice_from(inside, word.len)))
            continue;
        part->kind = words[i].kind;
        part->input.kind = words[i].input;
        part->input.name = slice_from(inside, word.len);
        if (part->input.kind == INPUT_HEADER && is_secret(part->input.name))
            part->kind = TEMPLATE_SECRET;
        return;
    }
}

/* The number of bytes before the first brace. */
static size_t span(struct slice text)
{
    size_t len = 0;
    while (len < text.len && text.data[len] != '{' && text.data[len] != '}')
        len++;
    return len;
}

bool template_next(struct slice *rest, struct template_part *part)
{
    if (rest->len == 0)
        return false;
    size_t len = span(*rest);
    part->kind = TEMPLATE_TEXT;
    if (len == 0) {
        struct slice inside = slice_from(*rest, 1);
        inside.len = span(inside);
        bool balanced =
            rest->data[0] == '{' && inside.len + 1 < rest->len && inside.data[inside.len] == '}';
        len = balanced ? inside.len + 2 : 1;
        part->kind = TEMPLATE_UNBALANCED;
        if (balanced)
            classify(inside, part);
    }
    part->text = (struct slice){.data = rest->data, .len = len};
    *rest = slice_from(*rest, len);
    return true;
}

/* Writes " (did you mean {name}?)"; nothing if no word is similar. */
static void suggest(struct slice unknown, char *out, size_t room)
{
    char text[SPELLING_MAX + 1];
    const char *best = NULL;
    /* With a name behind it, only the word before the colon is compared. */
    const char *colon = memchr(unknown.data, ':', unknown.len);
    size_t len = colon ? (size_t)(colon + 1 - unknown.data) : unknown.len;
    out[0] = '\0';
    if (len >= sizeof text)
        return;
    memcpy(text, unknown.data, len);
    text[len] = '\0';
    for (unsigned i = 0, nearest = spelling_limit(text); i < WORDS; i++) {
        unsigned distance = spelling_distance(text, words[i].word);
        if (words[i].kind == TEMPLATE_SECRET || distance >= nearest)
            continue;
        nearest = distance;
        best = words[i].word;
    }
    if (best)
        snprintf(out, room, " (did you mean {%s%s}?)", best,
                 best[strlen(best) - 1] == ':' ? "NAME" : "");
}

const char *template_check(const char *template, char why[TEMPLATE_WHY_ROOM])
{
    struct slice rest = slice_of(template);
    struct template_part part;
    char suggestion[40];
    while (template_next(&rest, &part)) {
        int shown = part.text.len < 60 ? (int)part.text.len : 60;
        if (part.kind == TEMPLATE_UNBALANCED) {
            snprintf(why, TEMPLATE_WHY_ROOM,
                     "has a %c without its %c; if you mean the character itself, write %s",
                     part.text.data[0], part.text.data[0] == '{' ? '}' : '{',
                     part.text.data[0] == '{' ? "%7B" : "%7D");
            return why;
        }
        if (part.kind == TEMPLATE_SECRET) {
            snprintf(why, TEMPLATE_WHY_ROOM,
                     "must not have %.*s, since urls are logged; if it is in vary and not in the "
                     "url, it is sent as a header",
                     shown, part.text.data);
            return why;
        }
        if (part.kind == TEMPLATE_UNKNOWN) {
            struct slice inside = {.data = part.text.data + 1, .len = part.text.len - 2};
            suggest(inside, suggestion, sizeof suggestion);
            snprintf(why, TEMPLATE_WHY_ROOM,
                     "has %.*s, which is no placeholder%s; there are " POSSIBLE, shown,
                     part.text.data, suggestion);
            return why;
        }
    }
    return NULL;
}

bool template_has(const char *template, enum template_kind kind)
{
    struct slice rest = slice_of(template);
    struct template_part part;
    while (template_next(&rest, &part))
        if (part.kind == kind)
            return true;
    return false;
}

bool template_is(const struct template_part *part, const struct input *input)
{
    const struct input *named = &part->input;
    if (part->kind != TEMPLATE_INPUT || named->kind != input->kind)
        return false;
    if (named->kind == INPUT_QUERY)
        return slice_equal(named->name, input->name);
    if (named->kind == INPUT_HEADER)
        return slice_equal_nocase(named->name, input->name);
    return true;
}

bool template_names(const char *template, const struct input *input)
{
    struct slice rest = slice_of(template);
    struct template_part part;
    while (template_next(&rest, &part))
        if (template_is(&part, input))
            return true;
    return false;
}

struct slice template_value(const struct template_part *part, const struct source_request *request)
{
    if (part->kind == TEMPLATE_NAME)
        return request->name;
    if (part->kind == TEMPLATE_REST)
        return request->rest;
    struct inputs_reader reader = inputs_read(request->inputs);
    const struct input *input;
    struct slice value;
    while ((input = inputs_next(&reader, &value)))
        if (template_is(part, input))
            return value;
    return (struct slice){0};
}
