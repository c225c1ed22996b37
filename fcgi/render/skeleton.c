/* One walk over the text: marks are noted, and everything that hides marks is skipped. */
#include "render/skeleton.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/byte.h"
#include "base/escape.h"
#include "base/put.h"
#include "render/balance.h"
#include "render/elements.h"
#include "render/markup.h"

#define SHOWN_NAME 60 /* bytes of a name in a phrase */

struct walk {
    struct slice text;
    size_t at;           /* the bytes before it are done */
    size_t templates;    /* how many are open */
    size_t template_at;  /* the "<" of the outermost of them */
    size_t foreign;      /* how many elements <svg> and <math> are open */
    size_t body_end;     /* the "<" of the last </body>, or of the first </html> if there is none;
                            MARKUP_NONE: there is neither */
    bool in_placeholder; /* the last one has no end yet */
    bool has_base;       /* a <base> changes what URLs are relative to */
    struct skeleton *skeleton; /* being filled */
    struct skeleton_problem *problem;
};

/* Sets the problem at that place: its phrase is `before`, the name and `after`. Returns false,
 * which ends the walk. */
static bool fail(struct walk *walk, size_t place, const char *before, struct slice name,
                 const char *after)
{
    struct skeleton_problem *problem = walk->problem;
    char shown[SHOWN_NAME * ESCAPED_LEN + 1];
    escape_plain(shown, sizeof shown, name, SHOWN_NAME);
    markup_position(walk->text, place, &problem->line, &problem->column);
    snprintf(problem->phrase, sizeof problem->phrase, "%s%s%s", before, shown, after);
    return false;
}

static bool fail_memory(struct walk *walk)
{
    *walk->problem = (struct skeleton_problem){.phrase = "out of memory"};
    return false;
}

/* Takes the next attribute at *at in the text of a tag or mark, which is without its ">". Returns
 * false after the last one. */
static bool next_attribute(struct slice text, size_t *at, struct slice *name, struct slice *value)
{
    while (*at < text.len && (markup_is_space(text.data[*at]) || text.data[*at] == '/'))
        ++*at;
    if (*at >= text.len)
        return false;
    *at = markup_attribute(text, *at, name, value);
    return *at != MARKUP_NONE;
}

/* --- placeholders --- */

static struct placeholder *last(const struct walk *walk)
{
    return &walk->skeleton->list[walk->skeleton->count - 1];
}

static bool has_name(const struct skeleton *skeleton, struct slice name)
{
    for (size_t i = 0; i < skeleton->count; i++)
        if (slice_equal(skeleton->list[i].name, name))
            return true;
    return false;
}

static bool add_placeholder(struct walk *walk, struct placeholder placeholder)
{
    struct skeleton *skeleton = walk->skeleton;
    size_t count = skeleton->count;
    if ((count & (count - 1)) == 0) { /* it is full: 1, 2, 4, ... */
        struct placeholder *list =
            alloc_resized(skeleton->list, (count ? 2 * count : 1) * sizeof *list);
        if (!list)
            return fail_memory(walk);
        skeleton->list = list;
    }
    skeleton->list[skeleton->count++] = placeholder;
    return true;
}

/* The name in a mark, from its text without "<?" and ">". Empty if it has no quotes, since browsers
 * require them. */
static struct slice name_of(struct slice mark)
{
    struct slice name, value;
    for (size_t at = 0; next_attribute(mark, &at, &name, &value);)
        if (slice_equal(name, SLICE("name")))
            return value.len > 0 && byte_is_one_of(value.data[-1], "\"'") ? value : SLICE("");
    return SLICE("");
}

/* At <?start> or <?marker>, from `begin` to `end`. `rest` is what follows that word. */
static bool begin_placeholder(struct walk *walk, size_t begin, size_t end, struct slice rest,
                              bool is_start)
{
    struct slice name = name_of(rest);
    if (walk->in_placeholder)
        return fail(walk, begin, "the placeholder \"", last(walk)->name, "\" contains another one");
    if (name.len == 0)
        return fail(walk, begin, "a placeholder needs a name", name,
                    " in quotes: <?start name=\"NAME\">");
    if (walk->skeleton->count == SKELETON_MAX)
        return fail(walk, begin, "there are too many placeholders before \"", name, "\"");
    if (memchr(name.data, '&', name.len))
        return fail(walk, begin, "the name of the placeholder \"", name, "\" must not contain '&'");
    if (has_name(walk->skeleton, name))
        return fail(walk, begin, "a second placeholder has the name \"", name, "\"");
    walk->in_placeholder = is_start;
    return add_placeholder(walk, (struct placeholder){.name = name, .begin = begin, .end = end});
}

/* At <?end>. What is between the marks will be replaced, so it has to be balanced. */
static bool end_placeholder(struct walk *walk, size_t begin, size_t end)
{
    struct placeholder *placeholder = last(walk);
    struct slice content = {.data = walk->text.data + placeholder->end,
                            .len = begin - placeholder->end};
    struct balance found = balance_check(content);
    if (found.in_place.flaw != BALANCE_NO_FLAW) {
        char flaw[BALANCE_PHRASE_MAX], after[BALANCE_PHRASE_MAX + sizeof "\" has "];
        found.in_place.offset += placeholder->end;
        markup_position(walk->text, found.in_place.offset, &found.in_place.line,
                        &found.in_place.column);
        balance_phrase(flaw, sizeof flaw, &found.in_place);
        snprintf(after, sizeof after, "\" has %s", flaw);
        return fail(walk, placeholder->begin, "the placeholder \"", placeholder->name, after);
    }
    placeholder->end = end;
    walk->in_placeholder = false;
    return true;
}

/* At "<?". It ends at the next ">", also in browsers that do not know marks and see a comment. */
static bool take_instruction(struct walk *walk)
{
    size_t begin = walk->at, end = markup_after(walk->text, begin, '>'), len = 0;
    walk->at = end;
    if (end == MARKUP_NONE || walk->templates > 0)
        return true;
    struct slice mark = {.data = walk->text.data + begin + 2, .len = end - begin - 3};
    if (mark.len > 0 && mark.data[mark.len - 1] == '?')
        mark.len--;
    while (len < mark.len && !markup_is_space(mark.data[len]))
        len++;
    struct slice target = {.data = mark.data, .len = len};
    bool is_start = slice_equal(target, SLICE("start"));
    if (is_start || slice_equal(target, SLICE("marker")))
        return begin_placeholder(walk, begin, end, slice_from(mark, len), is_start);
    if (slice_equal(target, SLICE("end")) && walk->in_placeholder)
        return end_placeholder(walk, begin, end);
    return true;
}

/* --- links --- */

/* The attributes of a <link>, besides href, that a Link header repeats (RFC 8288, WHATWG HTML
 * 4.2.4). */
enum { LINK_REL }; /* the one that is read here */
static const struct slice parameters[] = {
    [LINK_REL] = SLICE_INIT("rel"),
    SLICE_INIT("as"),
    SLICE_INIT("type"),
    SLICE_INIT("media"),
    SLICE_INIT("crossorigin"),
    SLICE_INIT("integrity"),
    SLICE_INIT("imagesizes"),
    SLICE_INIT("fetchpriority"),
    SLICE_INIT("referrerpolicy"),
};
#define PARAMETERS (sizeof parameters / sizeof *parameters)

struct link {
    struct slice href;
    struct slice given[PARAMETERS]; /* values; without data: it has no such attribute */
};

/* Whether the value means the same in a quoted string of a header field as in HTML. */
static bool is_plain(struct slice value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.data[i] <= ' ' || value.data[i] > '~' || byte_is_one_of(value.data[i], "&<>\"\\"))
            return false;
    return true;
}

bool skeleton_is_early(struct slice rel)
{
    return slice_equal_nocase(rel, SLICE("preload")) ||
           slice_equal_nocase(rel, SLICE("modulepreload")) ||
           slice_equal_nocase(rel, SLICE("preconnect"));
}

static size_t parameter_of(struct slice name)
{
    size_t i = 0;
    while (i < PARAMETERS && !slice_equal_nocase(name, parameters[i]))
        i++;
    return i;
}

/* Reads a <link>, from its text without "<link" and ">". Returns false if a header can't repeat it
 * as it is, or browsers load nothing early because of it. */
static bool read_link(struct slice tag, struct link *link)
{
    struct slice name, value;
    *link = (struct link){0};
    for (size_t at = 0; next_attribute(tag, &at, &name, &value);) {
        size_t i = parameter_of(name);
        if (slice_equal_nocase(name, SLICE("href")) && !link->href.data)
            link->href = value;
        else if (i < PARAMETERS && !link->given[i].data)
            link->given[i] = value;
        else if (slice_equal_nocase(name, SLICE("imagesrcset")))
            return false;
    }
    for (size_t i = 0; i < PARAMETERS; i++)
        if (!is_plain(link->given[i]))
            return false;
    return link->href.len > 0 && is_plain(link->href) && skeleton_is_early(link->given[LINK_REL]);
}

/* Bytes that put_link writes. */
static size_t link_len(const struct link *link)
{
    size_t len = SLICE("Link: <>\r\n").len + link->href.len;
    for (size_t i = 0; i < PARAMETERS; i++) {
        if (!link->given[i].data)
            continue;
        len += SLICE("; ").len + parameters[i].len;
        if (link->given[i].len > 0)
            len += SLICE("=\"\"").len + link->given[i].len;
    }
    return len;
}

static char *put_link(char *at, const struct link *link)
{
    at = put(put(put(at, SLICE("Link: <")), link->href), SLICE(">"));
    for (size_t i = 0; i < PARAMETERS; i++) {
        if (!link->given[i].data)
            continue;
        at = put(put(at, SLICE("; ")), parameters[i]);
        if (link->given[i].len > 0)
            at = put(put(put(at, SLICE("=\"")), link->given[i]), SLICE("\""));
    }
    return put(at, SLICE("\r\n"));
}

/* Adds a header field for the <link>. One for which there is no room is left to the page itself. */
static bool take_link(struct walk *walk, struct slice tag)
{
    struct slice *links = &walk->skeleton->links;
    struct link link;
    if (!read_link(tag, &link) || link_len(&link) > SKELETON_LINKS_MAX - links->len)
        return true;
    char *grown = alloc_resized((char *)links->data, links->len + link_len(&link));
    if (!grown)
        return fail_memory(walk);
    char *end = put_link(grown + links->len, &link);
    *links = (struct slice){.data = grown, .len = (size_t)(end - grown)};
    return true;
}

/* --- the walk --- */

/* Where the raw text that a start tag of such an element begins ends: before its end tag. */
static size_t end_of_text(struct slice text, size_t from, struct slice name, unsigned traits)
{
    if (traits & ELEMENT_PLAINTEXT)
        return MARKUP_NONE;
    return traits & ELEMENT_SCRIPT ? markup_script_end(text, from)
                                   : markup_raw_end(text, from, name);
}

static bool take_start_tag(struct walk *walk, const struct markup_tag *tag)
{
    unsigned traits = element_traits(tag->name);
    struct slice attributes = {.data = tag->name.data + tag->name.len};
    attributes.len = (size_t)(walk->text.data + tag->end - 1 - attributes.data);
    if (walk->foreign > 0 && tag->self_closing)
        return true;
    if ((traits & ELEMENT_TEMPLATE) && walk->templates++ == 0)
        walk->template_at = (size_t)(tag->name.data - 1 - walk->text.data);
    else if (traits & (ELEMENT_SVG | ELEMENT_MATH))
        walk->foreign += !tag->self_closing;
    else if (traits & (ELEMENT_RAW | ELEMENT_SCRIPT | ELEMENT_PLAINTEXT | ELEMENT_NOSCRIPT))
        walk->at = end_of_text(walk->text, tag->end, tag->name, traits);
    else if (slice_equal_nocase(tag->name, SLICE("base")))
        walk->has_base = true;
    else if (slice_equal_nocase(tag->name, SLICE("link")) && walk->templates == 0)
        return take_link(walk, attributes);
    return true;
}

/* At "<" or "</" before a letter. */
static bool take_tag(struct walk *walk)
{
    size_t begin = walk->at;
    struct markup_tag tag = markup_tag(walk->text, begin);
    walk->at = tag.end;
    if (tag.end == MARKUP_NONE)
        return true;
    if (walk->text.data[begin + 1] != '/')
        return take_start_tag(walk, &tag);
    unsigned traits = element_traits(tag.name);
    if (traits & ELEMENT_TEMPLATE)
        walk->templates -= walk->templates > 0;
    else if (traits & (ELEMENT_SVG | ELEMENT_MATH))
        walk->foreign -= walk->foreign > 0;
    else if (walk->templates == 0 &&
             (slice_equal_nocase(tag.name, SLICE("body")) ||
              (slice_equal_nocase(tag.name, SLICE("html")) && walk->body_end == MARKUP_NONE)))
        walk->body_end = begin;
    return true;
}

/* At a "<". */
static bool take_markup(struct walk *walk)
{
    struct slice rest = slice_from(walk->text, walk->at);
    size_t name = rest.len > 1 && rest.data[1] == '/' ? 2 : 1;
    if (slice_starts(rest, SLICE("<!--")))
        walk->at = markup_comment_end(walk->text, walk->at + 4);
    else if (slice_starts(rest, SLICE("<?")))
        return take_instruction(walk);
    else if (rest.len > name && byte_is_letter(rest.data[name]))
        return take_tag(walk);
    else if (slice_starts(rest, SLICE("<!")) || (name == 2 && rest.len > 2))
        walk->at = markup_after(walk->text, walk->at, '>');
    else
        walk->at++;
    return true;
}

/* Placeholders after it would be hidden, and so would be what comes late. */
static bool fail_open(struct walk *walk, size_t place)
{
    return fail(walk, place, "what begins here has no end, so the rest of the page is in it",
                SLICE(""), "");
}

static bool walk_text(struct walk *walk)
{
    size_t after;
    while ((after = markup_after(walk->text, walk->at, '<')) != MARKUP_NONE) {
        walk->at = after - 1;
        if (!take_markup(walk))
            return false;
        if (walk->at == MARKUP_NONE)
            return fail_open(walk, after - 1);
    }
    if (walk->templates > 0)
        return fail_open(walk, walk->template_at);
    if (walk->in_placeholder)
        return fail(walk, last(walk)->begin, "the placeholder \"", last(walk)->name,
                    "\" has no <?end>");
    return true;
}

/* Late fragments go before </body>, but never before their placeholders. */
static size_t find_tail(const struct walk *walk)
{
    size_t tail = walk->body_end == MARKUP_NONE ? walk->text.len : walk->body_end;
    size_t end = walk->skeleton->count > 0 ? last(walk)->end : 0;
    return tail > end ? tail : end;
}

struct skeleton *skeleton_read(struct slice text, struct skeleton_problem *problem)
{
    struct walk walk = {.text = text, .body_end = MARKUP_NONE, .problem = problem};
    walk.skeleton = alloc_zeroed(sizeof *walk.skeleton);
    if (!walk.skeleton) {
        fail_memory(&walk);
        return NULL;
    }
    if (!walk_text(&walk)) {
        skeleton_free(walk.skeleton);
        return NULL;
    }
    if (walk.has_base)
        walk.skeleton->links.len = 0;
    walk.skeleton->tail = find_tail(&walk);
    walk.skeleton->text = text;
    return walk.skeleton;
}

void skeleton_free(struct skeleton *skeleton)
{
    if (!skeleton)
        return;
    free((char *)skeleton->text.data);
    free((char *)skeleton->links.data);
    free(skeleton->list);
    free(skeleton);
}
