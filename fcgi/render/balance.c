/* One walk from tag to tag; text between tags is skipped by memchr.
 *
 * What a tag means depends on what is open around it, so the walk follows a part of the parser's
 * stack of open elements (WHATWG HTML 13.2.4.2):
 *
 *   stack     templates; elements of SVG and MathML; and the elements of HTML within those of SVG
 *             and MathML that contain HTML, such as <foreignObject>
 *   ordinary  all other elements, for the check in place only: while the stack is empty, and until
 *             the first flaw in place
 *
 * Where this is not enough to know what the parser does, the walk becomes `unsure` until the
 * innermost template of the fragment ends. From then on it leaves the stack alone, and accepts a
 * construct only if it ends at the same byte in HTML, in SVG and where the parser ignores its tags.
 *
 * The content of <noscript>, and that of a <style> when unsure, is text in one reading and HTML in
 * the other. The walk first looks up where the text ends; until there, the content is a *region*.
 * Then it reads the content as HTML, and has to arrive at that end between two tags, with no
 * template opened or closed. */
#include "render/balance.h"

#include <stdio.h>

#include "base/byte.h"
#include "base/escape.h"
#include "render/elements.h"
#include "render/markup.h"

#define SHOWN_NAME 32 /* bytes of a name in a phrase */

enum kind {
    KIND_HTML,
    KIND_TEMPLATE,
    KIND_SVG,
    KIND_MATH,
    KIND_POINT,      /* foreign, with HTML in it */
    KIND_TEXT_POINT, /* the same, of MathML: only with text in mind */
    KIND_ANNOTATION, /* foreign, but an <svg> in it is SVG */
};

/* What is remembered of a template's content besides the elements that are open in it. */
struct mood {
    bool unsure;
    bool select; /* a <select> is open */
    bool fresh;  /* no tag has yet decided which insertion mode the template has */
};

struct open {
    struct slice name;
    size_t at;
    enum kind kind;
    struct mood before; /* of a template: what to return to */
};

struct region {
    struct slice name;
    size_t begin;
    size_t end;   /* of its first reading: where the end tag begins. MARKUP_NONE: there is none */
    size_t depth; /* of the stack, and of the ordinary elements, where it began */
    size_t ordinary;
    struct mood mood;
    bool noscript;
    bool broken; /* an element from before it was closed in it */
};

struct walk {
    struct slice html;
    size_t at; /* the bytes before it are done */
    struct balance found;
    struct mood mood;
    struct region region;
    size_t depth, ordinary_count;
    struct open stack[BALANCE_DEPTH];
    struct {
        struct slice name;
        size_t at;
    } ordinary[BALANCE_DEPTH];
};

static bool within_template(const struct walk *walk)
{
    for (size_t i = 0; i < walk->depth; i++)
        if (walk->stack[i].kind == KIND_TEMPLATE)
            return true;
    return false;
}

static void note(const struct walk *walk, struct balance_finding *finding, enum balance_flaw flaw,
                 struct slice name, size_t at)
{
    if (finding->flaw != BALANCE_NO_FLAW)
        return;
    *finding = (struct balance_finding){.flaw = flaw, .name = name, .offset = at};
    markup_position(walk->html, at, &finding->line, &finding->column);
}

/* The flaw is one in place only, and none within a template of the fragment's own. */
static void flaw_in_place(struct walk *walk, enum balance_flaw flaw, struct slice name, size_t at)
{
    if (walk->found.in_place.flaw == BALANCE_NO_FLAW && !within_template(walk))
        note(walk, &walk->found.in_place, flaw, name, at);
}

/* The flaw is one for both. Returns false, which ends the walk. */
static bool flaw(struct walk *walk, enum balance_flaw flaw, struct slice name, size_t at)
{
    note(walk, &walk->found.in_place, flaw, name, at);
    note(walk, &walk->found.in_template, flaw, name, at);
    return false;
}

/* The kind of the innermost element. What is not on the stack is HTML. */
static enum kind top(const struct walk *walk)
{
    return walk->depth > 0 ? walk->stack[walk->depth - 1].kind : KIND_HTML;
}

static bool is_foreign(enum kind kind)
{
    return kind != KIND_HTML && kind != KIND_TEMPLATE;
}

/* Ordinary elements are followed where nothing but they is open. */
static bool follows_ordinary(const struct walk *walk)
{
    return walk->depth == 0 && walk->found.in_place.flaw == BALANCE_NO_FLAW;
}

static void become_unsure(struct walk *walk, struct slice name, size_t at)
{
    walk->mood.unsure = true;
    flaw_in_place(walk, BALANCE_AMBIGUOUS, name, at);
}

static bool push(struct walk *walk, enum kind kind, struct slice name, size_t at)
{
    if (walk->depth == BALANCE_DEPTH)
        return flaw(walk, BALANCE_DEEP, name, at);
    walk->stack[walk->depth++] =
        (struct open){.name = name, .at = at, .kind = kind, .before = walk->mood};
    return true;
}

/* Closes all but the outermost elements of that number. */
static void close_to(struct walk *walk, size_t depth)
{
    walk->depth = depth;
    if (depth < walk->region.depth)
        walk->region.broken = true;
}

/* Closes foreign elements up to one that has HTML in it. */
static void break_out(struct walk *walk)
{
    size_t depth = walk->depth;
    while (depth > 0) {
        enum kind kind = walk->stack[depth - 1].kind;
        if (kind != KIND_SVG && kind != KIND_MATH && kind != KIND_ANNOTATION)
            break;
        depth--;
    }
    close_to(walk, depth);
}

/* A tag that ends nowhere. */
static bool unclosed_tag(struct walk *walk, const struct markup_tag *tag, size_t at)
{
    if (tag->quote != MARKUP_NONE)
        return flaw(walk, BALANCE_QUOTE, tag->name, tag->quote);
    return flaw(walk, BALANCE_TAG, tag->name, at);
}

/* Where the end tag begins, if the content of that element is text. */
static size_t text_end(const struct walk *walk, const struct markup_tag *tag)
{
    return element_traits(tag->name) & ELEMENT_SCRIPT
               ? markup_script_end(walk->html, tag->end)
               : markup_raw_end(walk->html, tag->end, tag->name);
}

/* Regions. */

static bool in_region(const struct walk *walk)
{
    return walk->region.end != MARKUP_NONE;
}

static bool begin_region(struct walk *walk, const struct markup_tag *tag, size_t at, bool noscript)
{
    size_t end = text_end(walk, tag);
    if (end == MARKUP_NONE)
        return flaw(walk, BALANCE_ELEMENT, tag->name, at);
    walk->region = (struct region){.name = tag->name,
                                   .begin = at,
                                   .end = end,
                                   .depth = walk->depth,
                                   .ordinary = walk->ordinary_count,
                                   .mood = walk->mood,
                                   .noscript = noscript};
    return true;
}

/* Both readings have come to the end tag. */
static bool end_region(struct walk *walk, const struct markup_tag *tag, size_t at)
{
    struct region region = walk->region;
    walk->region = (struct region){.end = MARKUP_NONE};
    for (size_t i = region.depth; i < walk->depth; i++)
        if (walk->stack[i].kind == KIND_TEMPLATE)
            return flaw(walk, BALANCE_ELEMENT, walk->stack[i].name, walk->stack[i].at);
    if (walk->ordinary_count > region.ordinary)
        flaw_in_place(walk, BALANCE_ELEMENT, walk->ordinary[region.ordinary].name,
                      walk->ordinary[region.ordinary].at);
    if (region.broken || walk->depth != region.depth || walk->mood.unsure != region.mood.unsure ||
        walk->mood.select != region.mood.select)
        become_unsure(walk, tag->name, at);
    return true;
}

/* Start tags. */

static bool begin_template(struct walk *walk, const struct markup_tag *tag, size_t at)
{
    if (tag->attributes & MARKUP_FOR)
        return flaw(walk, BALANCE_PATCH, tag->name, at);
    if (walk->depth == 0 && walk->ordinary_count == 0 && (tag->attributes & MARKUP_SHADOW))
        flaw_in_place(walk, BALANCE_SHADOW, tag->name, at);
    if (!push(walk, KIND_TEMPLATE, tag->name, at))
        return false;
    walk->mood = (struct mood){.fresh = true};
    return true;
}

/* An element whose content is text: passes its end tag. */
static bool take_text(struct walk *walk, const struct markup_tag *tag, size_t at)
{
    size_t end = text_end(walk, tag);
    if (end == MARKUP_NONE)
        return flaw(walk, BALANCE_ELEMENT, tag->name, at);
    struct markup_tag end_tag = markup_tag(walk->html, end);
    if (end_tag.end == MARKUP_NONE)
        return unclosed_tag(walk, &end_tag, end);
    walk->at = end_tag.end;
    return true;
}

static bool begin_ordinary(struct walk *walk, const struct markup_tag *tag, unsigned traits,
                           size_t at)
{
    if (traits & ELEMENT_VOID)
        return true;
    if (walk->depth > 0)
        return top(walk) == KIND_TEMPLATE || push(walk, KIND_HTML, tag->name, at);
    if (!follows_ordinary(walk))
        return true;
    if (walk->ordinary_count == BALANCE_DEPTH) {
        flaw_in_place(walk, BALANCE_DEEP, tag->name, at);
        return true;
    }
    walk->ordinary[walk->ordinary_count].name = tag->name;
    walk->ordinary[walk->ordinary_count++].at = at;
    return true;
}

/* Where older browsers ignore the tag, its content is not text for them. */
static bool begin_text(struct walk *walk, const struct markup_tag *tag, unsigned traits, size_t at)
{
    bool sure = !walk->mood.unsure && (!walk->mood.select || (traits & ELEMENT_SCRIPT) ||
                                       slice_equal_nocase(tag->name, SLICE("textarea")));
    if (sure)
        return take_text(walk, tag, at);
    if (in_region(walk))
        return flaw(walk, BALANCE_AMBIGUOUS, tag->name, at);
    return begin_region(walk, tag, at, false);
}

static bool begin_noscript(struct walk *walk, const struct markup_tag *tag, size_t at)
{
    if (!in_region(walk))
        return begin_region(walk, tag, at, true);
    if (!walk->region.noscript)
        return flaw(walk, BALANCE_AMBIGUOUS, tag->name, at);
    /* The first end tag closes this one where no scripts run. */
    flaw_in_place(walk, BALANCE_ELEMENT, tag->name, at);
    return true;
}

/* The tag is, or may be, one of HTML. */
static bool begin_html(struct walk *walk, const struct markup_tag *tag, unsigned traits, size_t at)
{
    if ((traits & ELEMENT_COLUMN) && walk->mood.fresh)
        become_unsure(walk, tag->name, at);
    if (!(traits & ELEMENT_HEAD))
        walk->mood.fresh = false;
    if (traits & (ELEMENT_RAW | ELEMENT_SCRIPT))
        return begin_text(walk, tag, traits, at);
    if (traits & ELEMENT_PLAINTEXT)
        return flaw(walk, BALANCE_ELEMENT, tag->name, at);
    if (traits & ELEMENT_NOSCRIPT)
        return begin_noscript(walk, tag, at);
    if (traits & ELEMENT_TEMPLATE)
        return walk->mood.unsure ? flaw(walk, BALANCE_AMBIGUOUS, tag->name, at)
                                 : begin_template(walk, tag, at);
    if (traits & ELEMENT_PAGE)
        flaw_in_place(walk, BALANCE_PAGE, tag->name, at);
    if (walk->mood.unsure)
        return true;
    if (traits & (ELEMENT_SVG | ELEMENT_MATH)) {
        if (walk->mood.select)
            become_unsure(walk, tag->name, at);
        else if (!tag->self_closing)
            return push(walk, traits & ELEMENT_SVG ? KIND_SVG : KIND_MATH, tag->name, at);
        return true;
    }
    if (traits & ELEMENT_SELECT)
        walk->mood.select = !walk->mood.select; /* one in another closes that */
    return begin_ordinary(walk, tag, traits, at);
}

/* Whether the tag, where the innermost element is of that kind, begins a foreign element (13.2.6,
 * the tree construction dispatcher). */
static bool begins_foreign(enum kind kind, unsigned traits)
{
    switch (kind) {
    case KIND_HTML:
    case KIND_TEMPLATE:
    case KIND_POINT:
        return false;
    case KIND_TEXT_POINT:
        return traits & ELEMENT_GLYPH;
    case KIND_ANNOTATION:
        return !(traits & ELEMENT_SVG);
    case KIND_SVG:
    case KIND_MATH:
        break;
    }
    return true;
}

/* The kind of a new element in a foreign one. */
static enum kind kind_within(enum kind around, const struct markup_tag *tag, unsigned traits)
{
    if (around == KIND_SVG)
        return traits & ELEMENT_SVG_POINT ? KIND_POINT : KIND_SVG;
    if (traits & ELEMENT_MATH_TEXT)
        return KIND_TEXT_POINT;
    if (traits & ELEMENT_ANNOTATION)
        return tag->attributes & MARKUP_ENCODING_HTML ? KIND_POINT : KIND_ANNOTATION;
    return KIND_MATH;
}

/* 13.2.6.5 */
static bool begin_foreign(struct walk *walk, const struct markup_tag *tag, unsigned traits,
                          size_t at)
{
    bool breaks =
        (traits & ELEMENT_BREAKOUT) || ((traits & ELEMENT_FONT) && (tag->attributes & MARKUP_FONT));
    if (breaks) {
        break_out(walk);
        return begin_html(walk, tag, traits, at);
    }
    if (tag->self_closing)
        return true;
    if ((traits & ELEMENT_ANNOTATION) && (tag->attributes & MARKUP_ENCODING_ODD))
        become_unsure(walk, tag->name, at);
    return push(walk, kind_within(top(walk), tag, traits), tag->name, at);
}

static bool take_start_tag(struct walk *walk, size_t at)
{
    struct markup_tag tag = markup_tag(walk->html, at);
    if (tag.end == MARKUP_NONE)
        return unclosed_tag(walk, &tag, at);
    walk->at = tag.end;
    unsigned traits = element_traits(tag.name);
    if (!walk->mood.unsure && begins_foreign(top(walk), traits))
        return begin_foreign(walk, &tag, traits, at);
    return begin_html(walk, &tag, traits, at);
}

/* End tags. */

/* Closes the innermost template, and what is open in it (13.2.6.4.4). */
static bool end_template(struct walk *walk, const struct markup_tag *tag, size_t at)
{
    size_t depth = walk->depth;
    while (depth > 0 && walk->stack[depth - 1].kind != KIND_TEMPLATE) {
        /* A foreign element of that name: is it still open? */
        if (walk->mood.unsure && slice_equal_nocase(walk->stack[depth - 1].name, tag->name))
            return flaw(walk, BALANCE_AMBIGUOUS, tag->name, at);
        depth--;
    }
    if (depth == 0 || (in_region(walk) && depth <= walk->region.depth))
        return flaw(walk, BALANCE_STRAY, tag->name, at);
    walk->mood = walk->stack[depth - 1].before;
    close_to(walk, depth - 1);
    return true;
}

/* Ordinary elements, where nothing but they is open. */
static void end_ordinary(struct walk *walk, const struct markup_tag *tag, unsigned traits,
                         size_t at)
{
    size_t least = in_region(walk) ? walk->region.ordinary : 0;
    if (!follows_ordinary(walk) || (traits & (ELEMENT_VOID | ELEMENT_RAW | ELEMENT_SCRIPT)))
        return;
    if (traits & ELEMENT_PAGE)
        flaw_in_place(walk, BALANCE_PAGE, tag->name, at);
    else if (walk->ordinary_count > least &&
             slice_equal_nocase(walk->ordinary[walk->ordinary_count - 1].name, tag->name))
        walk->ordinary_count--;
    else
        flaw_in_place(walk, BALANCE_STRAY, tag->name, at);
}

static bool end_html(struct walk *walk, const struct markup_tag *tag, unsigned traits, size_t at)
{
    if (traits & ELEMENT_SELECT)
        walk->mood.select = false;
    if (walk->depth == 0)
        end_ordinary(walk, tag, traits, at);
    else if (top(walk) == KIND_TEMPLATE || (traits & ELEMENT_VOID))
        return true;
    else if (slice_equal_nocase(walk->stack[walk->depth - 1].name, tag->name))
        close_to(walk, walk->depth - 1);
    else
        become_unsure(walk, tag->name, at);
    return true;
}

/* The innermost element is foreign (13.2.6.5, "any other end tag"). */
static bool end_foreign(struct walk *walk, const struct markup_tag *tag, unsigned traits, size_t at)
{
    for (size_t i = walk->depth; i > 0 && is_foreign(walk->stack[i - 1].kind); i--) {
        if (!slice_equal_nocase(walk->stack[i - 1].name, tag->name))
            continue;
        close_to(walk, i - 1);
        return true;
    }
    if (traits & ELEMENT_TEMPLATE)
        return end_template(walk, tag, at);
    /* It closes an element of HTML that this one is in, if it can be open. */
    if (!(traits & (ELEMENT_VOID | ELEMENT_RAW | ELEMENT_SCRIPT)))
        become_unsure(walk, tag->name, at);
    return true;
}

static bool take_end_tag(struct walk *walk, size_t at)
{
    struct markup_tag tag = markup_tag(walk->html, at);
    if (tag.end == MARKUP_NONE)
        return unclosed_tag(walk, &tag, at);
    walk->at = tag.end;
    if (at == walk->region.end)
        return end_region(walk, &tag, at);
    unsigned traits = element_traits(tag.name);
    if (walk->mood.unsure)
        return (traits & ELEMENT_TEMPLATE) ? end_template(walk, &tag, at) : true;
    if (is_foreign(top(walk))) {
        bool breaks =
            slice_equal_nocase(tag.name, SLICE("p")) || slice_equal_nocase(tag.name, SLICE("br"));
        if (!breaks)
            return end_foreign(walk, &tag, traits, at);
        break_out(walk);
        if (is_foreign(top(walk)))
            return true; /* an empty element in it */
    }
    if (traits & ELEMENT_TEMPLATE)
        return end_template(walk, &tag, at);
    return end_html(walk, &tag, traits, at);
}

/* All else. */

/* A doctype, or what the parser turns into a comment: both end at the first ">" (13.2.5.41,
 * 13.2.5.53 to 13.2.5.68). */
static bool take_declaration(struct walk *walk, size_t at)
{
    walk->at = markup_after(walk->html, at, '>');
    return walk->at != MARKUP_NONE || flaw(walk, BALANCE_DECLARATION, (struct slice){0}, at);
}

/* A CDATA section; outside of foreign elements, a declaration (13.2.5.42). */
static bool take_cdata(struct walk *walk, size_t at)
{
    size_t content = at + strlen("<![CDATA[");
    walk->at = is_foreign(top(walk)) ? markup_cdata_end(walk->html, content)
                                     : markup_after(walk->html, at, '>');
    if (walk->mood.unsure &&
        markup_cdata_end(walk->html, content) != markup_after(walk->html, at, '>'))
        return flaw(walk, BALANCE_AMBIGUOUS, SLICE("![CDATA["), at);
    return walk->at != MARKUP_NONE || flaw(walk, BALANCE_CDATA, (struct slice){0}, at);
}

static bool take_comment(struct walk *walk, size_t at)
{
    walk->at = markup_comment_end(walk->html, at + strlen("<!--"));
    return walk->at != MARKUP_NONE || flaw(walk, BALANCE_COMMENT, (struct slice){0}, at);
}

/* The target of an instruction, which is at `rest`, if it is one of the markers that a page has. */
static struct slice marker_at(struct slice rest)
{
    static const struct slice markers[] = {SLICE_INIT("marker"), SLICE_INIT("start"),
                                           SLICE_INIT("end")};
    struct slice target = {.data = rest.data};
    while (target.len < rest.len && !markup_is_space(rest.data[target.len]) &&
           rest.data[target.len] != '?' && rest.data[target.len] != '>')
        target.len++;
    for (size_t i = 0; i < sizeof markers / sizeof *markers; i++)
        if (slice_equal_nocase(target, markers[i]))
            return target;
    return (struct slice){0};
}

/* It ends at the first ">", in browsers without instructions too (13.2.5.72 to 13.2.5.76). */
static bool take_instruction(struct walk *walk, size_t at)
{
    walk->at = markup_after(walk->html, at, '>');
    if (walk->at == MARKUP_NONE)
        return flaw(walk, BALANCE_INSTRUCTION, (struct slice){0}, at);
    struct slice marker = marker_at(slice_from(walk->html, at + 2));
    return marker.len == 0 || flaw(walk, BALANCE_MARKER, marker, at);
}

/* At a "<" (13.2.5.6, 13.2.5.7, 13.2.5.42). */
static bool take(struct walk *walk, size_t at)
{
    struct slice rest = slice_from(walk->html, at);
    char next = rest.len > 1 ? rest.data[1] : '\0';
    if (rest.len == 1 || (next == '/' && rest.len == 2))
        return flaw(walk, BALANCE_TAG, (struct slice){0}, at);
    if (byte_is_letter(next))
        return take_start_tag(walk, at);
    if (next == '?')
        return take_instruction(walk, at);
    if (next == '/' && byte_is_letter(rest.data[2]))
        return take_end_tag(walk, at);
    if (slice_starts(rest, SLICE("<!--")))
        return take_comment(walk, at);
    if (slice_starts(rest, SLICE("<![CDATA[")))
        return take_cdata(walk, at);
    if (next == '/' || next == '!')
        return take_declaration(walk, at);
    walk->at = at + 1;
    return true;
}

/* The fragment has ended between two tags. A <template> that is open in SVG is one of SVG, which
 * closes nothing else, but it takes the </template> that follows the fragment. */
static void finish(struct walk *walk)
{
    for (size_t i = 0; i < walk->depth; i++) {
        if (element_traits(walk->stack[i].name) & ELEMENT_TEMPLATE) {
            flaw(walk, BALANCE_ELEMENT, walk->stack[i].name, walk->stack[i].at);
            return;
        }
    }
    if (walk->ordinary_count > 0)
        flaw_in_place(walk, BALANCE_ELEMENT, walk->ordinary[0].name, walk->ordinary[0].at);
    if (walk->depth > 0)
        flaw_in_place(walk, BALANCE_ELEMENT, walk->stack[0].name, walk->stack[0].at);
}

struct balance balance_check(struct slice html)
{
    struct walk walk;
    walk.html = html;
    walk.at = walk.depth = walk.ordinary_count = 0;
    walk.found = (struct balance){0};
    walk.mood = (struct mood){.fresh = true};
    walk.region = (struct region){.end = MARKUP_NONE};
    size_t at;
    while ((at = markup_after(html, walk.at, '<')) != MARKUP_NONE) {
        if (!take(&walk, at - 1))
            return walk.found;
        if (in_region(&walk) && walk.at > walk.region.end) { /* it ended in the middle of that */
            flaw(&walk, BALANCE_AMBIGUOUS, walk.region.name, walk.region.begin);
            return walk.found;
        }
    }
    finish(&walk);
    return walk.found;
}

/* What is said of a flaw, around the name. */
static const struct {
    const char *before, *after;
} phrases[] = {
    [BALANCE_NO_FLAW] = {"no flaw", ""},
    [BALANCE_TAG] = {"an unclosed tag", " that begins"},
    [BALANCE_QUOTE] = {"an unclosed quote", " that begins"},
    [BALANCE_COMMENT] = {"an unclosed comment", " that begins"},
    [BALANCE_DECLARATION] = {"an unclosed declaration", " that begins"},
    [BALANCE_CDATA] = {"an unclosed CDATA section", " that begins"},
    [BALANCE_INSTRUCTION] = {"an unclosed \"<?\"", " that begins"},
    [BALANCE_ELEMENT] = {"an unclosed <", "> that begins"},
    [BALANCE_STRAY] = {"a </", "> without its start tag"},
    [BALANCE_MARKER] = {"a <?", "> marker, which belongs to the page,"},
    [BALANCE_PATCH] = {"a <", " for>, which would replace other parts of the page,"},
    [BALANCE_PAGE] = {"a <", "> tag, which belongs to the page,"},
    [BALANCE_SHADOW] = {"a <", " shadowrootmode> outside of any element"},
    [BALANCE_DEEP] = {"too many open elements, the last a <", ">"},
    [BALANCE_AMBIGUOUS] = {"a <", "> tag, after which it is not certain what is open,"},
};

size_t balance_phrase(char *out, size_t size, const struct balance_finding *finding)
{
    char name[SHOWN_NAME * ESCAPED_LEN + 1];
    bool named = finding->flaw >= BALANCE_ELEMENT;
    escape_plain(name, sizeof name, named ? finding->name : (struct slice){0}, SHOWN_NAME);
    int len = snprintf(out, size, "%s%s%s at line %zu, column %zu", phrases[finding->flaw].before,
                       name, phrases[finding->flaw].after, finding->line, finding->column);
    return len < 0 ? 0 : (size_t)len < size ? (size_t)len : size - 1;
}
