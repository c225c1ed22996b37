/* Tags. What stands in the delimiters is read by the kind of tag; a name is checked here as well, so
 * that the compiler gets only names which can be looked up. */
#include "render/mustache_tag.h"

#include "base/byte.h"

static bool is_space(char byte)
{
    return byte_is_one_of(byte, " \t\r\n\v\f");
}

static struct slice trim(struct slice text)
{
    while (text.len > 0 && is_space(text.data[0]))
        text = slice_from(text, 1);
    while (text.len > 0 && is_space(text.data[text.len - 1]))
        text.len--;
    return text;
}

static bool find(struct slice text, size_t at, struct slice what, size_t *where)
{
    const char *found = memmem(text.data + at, text.len - at, what.data, what.len);
    if (found)
        *where = (size_t)(found - text.data);
    return found != NULL;
}

/* The same, but with that byte before it; *where is the byte's place. */
static bool find_after(struct slice text, size_t at, char before, struct slice what, size_t *where)
{
    for (size_t from = at; find(text, from, what, where); from = *where + 1) {
        if (*where > at && text.data[*where - 1] == before) {
            --*where;
            return true;
        }
    }
    return false;
}

static const char *read_delimiters(struct slice content, struct mustache_delimiters *delimiters)
{
    content = trim(content);
    size_t len = 0;
    while (len < content.len && !is_space(content.data[len]))
        len++;
    struct slice open = {content.data, len}, close = trim(slice_from(content, len));
    if (open.len == 0 || close.len == 0)
        return "two delimiters are expected here, with a space between them";
    for (size_t i = 0; i < close.len; i++)
        if (is_space(close.data[i]))
            return "there are more than two delimiters here";
    if (memchr(content.data, '=', content.len))
        return "a delimiter cannot contain \"=\"";
    *delimiters = (struct mustache_delimiters){.open = open, .close = close};
    return NULL;
}

/* A name with dots: each part has at least one character. */
static bool is_dotted(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] == '.' && (i == 0 || i + 1 == name.len || name.data[i + 1] == '.'))
            return false;
    return true;
}

static bool is_looked_up(const struct mustache_tag *tag)
{
    return tag->dynamic || tag->kind == TAG_VALUE || tag->kind == TAG_RAW ||
           tag->kind == TAG_SECTION || tag->kind == TAG_INVERTED;
}

static const char *read_name(struct slice content, struct slice open, struct mustache_tag *tag)
{
    size_t where;
    struct slice name = trim(content);
    tag->dynamic = name.len > 0 && name.data[0] == '*';
    if (tag->dynamic) {
        if (tag->kind != TAG_PARTIAL && tag->kind != TAG_PARENT && tag->kind != TAG_CLOSE)
            return "a name with * is only for partials and parents";
        name = trim(slice_from(name, 1));
    }
    if (name.len == 0)
        return "the tag has no name";
    if (find(name, 0, open, &where))
        return "the tag is not closed before the next one begins";
    for (size_t i = 0; i < name.len; i++) {
        if (is_space(name.data[i]))
            return "a name cannot contain spaces";
        if (byte_is_control(name.data[i]))
            return "a name cannot contain control characters";
    }
    tag->name = name;
    if (is_looked_up(tag) && !slice_equal(name, SLICE(".")) && !is_dotted(name))
        return "a part of the name is empty";
    return NULL;
}

static bool kind_of(char sigil, enum mustache_tag_kind *kind)
{
    static const struct {
        char sigil;
        enum mustache_tag_kind kind;
    } kinds[] = {
        {'#', TAG_SECTION}, {'^', TAG_INVERTED}, {'/', TAG_CLOSE},   {'>', TAG_PARTIAL},
        {'<', TAG_PARENT},  {'$', TAG_BLOCK},    {'!', TAG_COMMENT}, {'=', TAG_DELIMITERS},
        {'&', TAG_RAW},     {'{', TAG_RAW},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (kinds[i].sigil == sigil) {
            *kind = kinds[i].kind;
            return true;
        }
    }
    *kind = TAG_VALUE;
    return false;
}

enum mustache_tag_result mustache_tag_find(struct slice text, size_t at,
                                           const struct mustache_delimiters *delimiters,
                                           struct mustache_tag *tag, const char **why)
{
    *tag = (struct mustache_tag){0};
    if (!find(text, at, delimiters->open, &tag->from))
        return TAG_NONE;
    size_t from = tag->from + delimiters->open.len, end;
    while (from < text.len && is_space(text.data[from]))
        from++;
    char sigil = from < text.len ? text.data[from] : '\0';
    from += kind_of(sigil, &tag->kind);

    char last = sigil == '{' ? '}' : sigil == '=' ? '=' : '\0'; /* before the delimiter */
    bool closed = last ? find_after(text, from, last, delimiters->close, &end)
                       : find(text, from, delimiters->close, &end);
    if (!closed) {
        *why = "the tag is not closed";
        return TAG_BAD;
    }
    struct slice content = {.data = text.data + from, .len = end - from};
    tag->to = end + (last ? 1 : 0) + delimiters->close.len;
    if (tag->kind == TAG_COMMENT)
        return TAG_FOUND;
    *why = tag->kind == TAG_DELIMITERS ? read_delimiters(content, &tag->delimiters)
                                       : read_name(content, delimiters->open, tag);
    return *why ? TAG_BAD : TAG_FOUND;
}

bool mustache_begins_line(struct slice text, size_t at, size_t *start)
{
    while (at > 0 && (text.data[at - 1] == ' ' || text.data[at - 1] == '\t'))
        at--;
    *start = at;
    return at == 0 || text.data[at - 1] == '\n';
}

bool mustache_ends_line(struct slice text, size_t at, size_t *next)
{
    while (at < text.len && (text.data[at] == ' ' || text.data[at] == '\t'))
        at++;
    if (at + 1 < text.len && text.data[at] == '\r' && text.data[at + 1] == '\n')
        at++;
    *next = at < text.len ? at + 1 : at;
    return at == text.len || text.data[at] == '\n';
}
