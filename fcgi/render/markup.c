/* Each function is a loop over the states that its comment names. States that only differ in what
 * becomes of the text, or in which mistake is reported, are one. */
#include "render/markup.h"

#include "base/byte.h"

bool markup_is_space(char byte)
{
    return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r' || byte == '\f';
}

size_t markup_after(struct slice text, size_t from, char byte)
{
    const char *found = from < text.len ? memchr(text.data + from, byte, text.len - from) : NULL;
    return found ? (size_t)(found - text.data) + 1 : MARKUP_NONE;
}

/* Whether the bytes from there on begin like that. */
static bool is_at(struct slice text, size_t from, struct slice what)
{
    return slice_starts(slice_from(text, from), what);
}

/* What ends the name of a tag. */
static bool ends_name(char byte)
{
    return markup_is_space(byte) || byte == '/' || byte == '>';
}

static struct slice part(struct slice text, size_t from, size_t to)
{
    return (struct slice){.data = text.data + from, .len = to - from};
}

static void note_encoding(struct markup_tag *tag, struct slice value)
{
    if (tag->attributes & MARKUP_ENCODING)
        return;
    tag->attributes |= MARKUP_ENCODING;
    if (value.len > 0 && memchr(value.data, '&', value.len))
        tag->attributes |= MARKUP_ENCODING_ODD;
    else if (slice_equal_nocase(value, SLICE("text/html")) ||
             slice_equal_nocase(value, SLICE("application/xhtml+xml")))
        tag->attributes |= MARKUP_ENCODING_HTML;
}

static void note_attribute(struct markup_tag *tag, struct slice name, struct slice value)
{
    if (slice_equal_nocase(name, SLICE("for")))
        tag->attributes |= MARKUP_FOR;
    else if (slice_equal_nocase(name, SLICE("shadowrootmode")))
        tag->attributes |= MARKUP_SHADOW;
    else if (slice_equal_nocase(name, SLICE("color")) || slice_equal_nocase(name, SLICE("face")) ||
             slice_equal_nocase(name, SLICE("size")))
        tag->attributes |= MARKUP_FONT;
    else if (slice_equal_nocase(name, SLICE("encoding")))
        note_encoding(tag, value);
}

static size_t skip_space(struct slice text, size_t at)
{
    while (at < text.len && markup_is_space(text.data[at]))
        at++;
    return at;
}

/* The value after "=" (13.2.5.35 to 13.2.5.39). Returns the place after it; MARKUP_NONE, with the
 * place of its quote in value->data, if that is open where the text ends. */
static size_t take_value(struct slice text, size_t at, struct slice *value)
{
    at = skip_space(text, at);
    if (at == text.len)
        return at;
    char quote = text.data[at];
    if (quote == '"' || quote == '\'') {
        size_t after = markup_after(text, at + 1, quote);
        *value = after == MARKUP_NONE ? part(text, at, at) : part(text, at + 1, after - 1);
        return after;
    }
    size_t begin = at;
    while (at < text.len && !markup_is_space(text.data[at]) && text.data[at] != '>')
        at++;
    *value = part(text, begin, at);
    return at;
}

/* A "=" at `from` is the first byte of the name (13.2.5.32 to 13.2.5.34). */
size_t markup_attribute(struct slice text, size_t from, struct slice *name, struct slice *value)
{
    size_t at = from + 1;
    while (at < text.len && !ends_name(text.data[at]) && text.data[at] != '=')
        at++;
    *name = part(text, from, at);
    *value = SLICE("");
    size_t equals = skip_space(text, at);
    return equals < text.len && text.data[equals] == '=' ? take_value(text, equals + 1, value) : at;
}

/* 13.2.5.6 to 13.2.5.8, and 13.2.5.32 to 13.2.5.40. */
struct markup_tag markup_tag(struct slice text, size_t from)
{
    struct markup_tag tag = {.end = MARKUP_NONE, .quote = MARKUP_NONE};
    size_t at = from + (text.data[from + 1] == '/' ? 2 : 1), begin = at;
    while (at < text.len && !ends_name(text.data[at]))
        at++;
    tag.name = part(text, begin, at);
    while (at < text.len) {
        char byte = text.data[at];
        if (byte == '>') {
            tag.end = at + 1;
            return tag;
        }
        tag.self_closing = byte == '/';
        if (markup_is_space(byte) || byte == '/') {
            at++;
            continue;
        }
        struct slice name, value;
        at = markup_attribute(text, at, &name, &value);
        if (at == MARKUP_NONE)
            tag.quote = (size_t)(value.data - text.data);
        note_attribute(&tag, name, value);
    }
    return tag;
}

size_t markup_comment_end(struct slice text, size_t from)
{
    if (is_at(text, from, SLICE(">")))
        return from + 1;
    if (is_at(text, from, SLICE("->")))
        return from + 2;
    for (size_t at = from; (at = markup_after(text, at, '>')) != MARKUP_NONE;) {
        struct slice before = part(text, from, at - 1);
        if (before.len > 0 && before.data[before.len - 1] == '!')
            before.len--;
        if (before.len >= 2 && before.data[before.len - 1] == '-' &&
            before.data[before.len - 2] == '-')
            return at;
    }
    return MARKUP_NONE;
}

size_t markup_cdata_end(struct slice text, size_t from)
{
    for (size_t at = from; (at = markup_after(text, at, '>')) != MARKUP_NONE;)
        if (at - from >= 3 && text.data[at - 2] == ']' && text.data[at - 3] == ']')
            return at;
    return MARKUP_NONE;
}

/* Whether the end tag of that name stands at the "<" there: the byte after the name decides. */
static bool is_end_tag(struct slice text, size_t at, struct slice name)
{
    struct slice rest = slice_from(text, at);
    return rest.len > name.len + 2 && rest.data[1] == '/' &&
           slice_equal_nocase(part(rest, 2, name.len + 2), name) &&
           ends_name(rest.data[name.len + 2]);
}

size_t markup_raw_end(struct slice text, size_t from, struct slice name)
{
    for (size_t at = from; (at = markup_after(text, at, '<')) != MARKUP_NONE;)
        if (is_end_tag(text, at - 1, name))
            return at - 1;
    return MARKUP_NONE;
}

enum script { SCRIPT_PLAIN, SCRIPT_ESCAPED, SCRIPT_DOUBLE_ESCAPED };

/* At a "<", or "</", before a word, after which the script is escaped twice or no longer so: moves
 * *at behind it. Returns whether the word is "script" (13.2.5.26, 13.2.5.31). */
static bool take_script_word(struct slice text, size_t *at, size_t prefix)
{
    size_t begin = *at + prefix, end = begin;
    while (end < text.len && byte_is_letter(text.data[end]))
        end++;
    bool is = end < text.len && ends_name(text.data[end]) &&
              slice_equal_nocase(part(text, begin, end), SLICE("script"));
    *at = is ? end + 1 : end;
    return is;
}

size_t markup_script_end(struct slice text, size_t from)
{
    static const struct slice script = SLICE_INIT("script");
    enum script state = SCRIPT_PLAIN;
    size_t dashes = 0; /* directly before `at`, in the escaped states */
    for (size_t at = from; at < text.len;) {
        char byte = text.data[at];
        if (byte != '<') {
            if (state == SCRIPT_PLAIN) {
                size_t after = markup_after(text, at, '<');
                at = after == MARKUP_NONE ? text.len : after - 1;
                continue;
            }
            if (byte == '>' && dashes >= 2)
                state = SCRIPT_PLAIN;
            dashes = byte == '-' ? dashes + 1 : 0;
            at++;
            continue;
        }
        dashes = 0;
        if (state != SCRIPT_DOUBLE_ESCAPED && is_end_tag(text, at, script))
            return at;
        if (state == SCRIPT_PLAIN && is_at(text, at, SLICE("<!--"))) {
            state = SCRIPT_ESCAPED;
            dashes = 2;
            at += 4;
        } else if (state == SCRIPT_ESCAPED && take_script_word(text, &at, 1)) {
            state = SCRIPT_DOUBLE_ESCAPED;
        } else if (state == SCRIPT_DOUBLE_ESCAPED && is_at(text, at, SLICE("</"))) {
            if (take_script_word(text, &at, 2))
                state = SCRIPT_ESCAPED;
        } else if (state != SCRIPT_ESCAPED) {
            at++;
        }
    }
    return MARKUP_NONE;
}

void markup_position(struct slice text, size_t place, size_t *line, size_t *column)
{
    *line = *column = 1;
    for (size_t at = 0; at < place; at++) {
        if (text.data[at] == '\n') {
            ++*line;
            *column = 1;
        } else if (((unsigned char)text.data[at] & 0xc0) != 0x80) {
            ++*column;
        }
    }
}
