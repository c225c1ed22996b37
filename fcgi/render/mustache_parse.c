/* Compiles the text of a template into nodes.
 *
 * Text goes into a node when the tag after it is found, since that tag may take spaces before it
 * along: what is pending begins at `text`. Elements that are open are on a stack. */
#include <stdio.h>

#include "base/alloc.h"
#include "render/mustache_nodes.h"
#include "render/mustache_tag.h"

/* A section, a parent or a block that is not closed yet. */
struct element {
    struct mustache_tag tag;
    size_t node;
    bool opens_line; /* of a block: after its tag, the line is empty */
};

struct parser {
    struct mustache *template;
    struct mustache_error *error;
    struct mustache_delimiters delimiters;
    size_t text; /* where the pending text begins */
    struct element open[MUSTACHE_NESTED_MAX];
    size_t depth;  /* elements that are open */
    size_t blocks; /* blocks among them */
};

/* Where a tag is in its line. */
struct line {
    bool begins, ends; /* only spaces are before it; after it */
    size_t start;      /* if it begins the line: where that begins */
    size_t next;       /* if it ends the line: where the next one begins */
    bool alone;        /* both */
};

static struct line line_of(struct slice text, const struct mustache_tag *tag)
{
    struct line line = {0};
    line.begins = mustache_begins_line(text, tag->from, &line.start);
    line.ends = mustache_ends_line(text, tag->to, &line.next);
    line.alone = line.begins && line.ends;
    return line;
}

static struct mustache_span span_between(size_t from, size_t to)
{
    return (struct mustache_span){.at = (uint32_t)from, .len = (uint32_t)(to - from)};
}

static struct mustache_span span_of(const struct parser *parser, struct slice part)
{
    size_t at = (size_t)(part.data - parser->template->text.data);
    return span_between(at, at + part.len);
}

/* Appends a node; its `next` is the one after it. Returns NULL when out of memory. */
static struct mustache_node *add(struct parser *parser, enum mustache_node_kind kind, size_t place)
{
    struct mustache *template = parser->template;
    if (template->count == template->capacity) {
        size_t capacity = template->capacity ? 2 * template->capacity : 16;
        void *nodes = alloc_resized(template->nodes, capacity * sizeof *template->nodes);
        if (!nodes) {
            mustache_fail(parser->error, template, place, "out of memory");
            return NULL;
        }
        template->nodes = nodes;
        template->capacity = capacity;
    }
    struct mustache_node *node = &template->nodes[template->count++];
    *node = (struct mustache_node){.kind = kind,
                                   .place = (uint32_t)place,
                                   .next = (uint32_t) template->count};
    return node;
}

static struct element *innermost(struct parser *parser)
{
    return parser->depth > 0 ? &parser->open[parser->depth - 1] : NULL;
}

/* Whether what comes next is directly in a parent, where only blocks count. */
static bool in_parent(const struct parser *parser)
{
    return parser->depth > 0 && parser->open[parser->depth - 1].tag.kind == TAG_PARENT;
}

/* Makes nodes of the pending text up to `to`: one, or in a block one a line, so that its indentation
 * can be removed. */
static bool end_text(struct parser *parser, size_t to)
{
    const char *data = parser->template->text.data;
    size_t from = parser->text;
    while (from < to && !in_parent(parser)) {
        size_t end = to;
        const char *newline = parser->blocks > 0 ? memchr(data + from, '\n', to - from) : NULL;
        if (newline)
            end = (size_t)(newline - data) + 1;
        struct mustache_node *node = add(parser, NODE_TEXT, from);
        if (!node)
            return false;
        node->text = span_between(from, end);
        from = end;
    }
    return true;
}

static bool open_element(struct parser *parser, const struct mustache_tag *tag, size_t node)
{
    if (parser->depth == MUSTACHE_NESTED_MAX) {
        mustache_fail(parser->error, parser->template, tag->from,
                      "more than %d sections, parents and blocks are nested", MUSTACHE_NESTED_MAX);
        return false;
    }
    parser->open[parser->depth++] = (struct element){.tag = *tag, .node = node};
    return true;
}

static struct mustache_node *add_named(struct parser *parser, enum mustache_node_kind kind,
                                       const struct mustache_tag *tag)
{
    struct mustache_node *node = add(parser, kind, tag->from);
    if (node) {
        node->text = span_of(parser, tag->name);
        node->dynamic = tag->dynamic;
    }
    return node;
}

static bool do_value(struct parser *parser, const struct mustache_tag *tag)
{
    parser->text = tag->to;
    return add_named(parser, tag->kind == TAG_RAW ? NODE_RAW : NODE_VALUE, tag);
}

static bool do_section(struct parser *parser, const struct mustache_tag *tag,
                       const struct line *line)
{
    struct mustache_node *node =
        add_named(parser, tag->kind == TAG_INVERTED ? NODE_INVERTED : NODE_SECTION, tag);
    if (!node)
        return false;
    node->standalone = line->alone;
    parser->text = line->alone ? line->next : tag->to;
    return open_element(parser, tag, parser->template->count - 1);
}

static bool do_partial(struct parser *parser, const struct mustache_tag *tag,
                       const struct line *line)
{
    struct mustache_node *node = add_named(parser, NODE_PARTIAL, tag);
    if (!node)
        return false;
    node->standalone = node->begins = line->alone;
    if (line->alone)
        node->indent = span_between(line->start, tag->from);
    parser->text = line->alone ? line->next : tag->to;
    return true;
}

/* Whether a parent is alone in its lines is known at its end. */
static bool do_parent(struct parser *parser, const struct mustache_tag *tag,
                      const struct line *line)
{
    struct mustache_node *node = add_named(parser, NODE_PARENT, tag);
    if (!node)
        return false;
    node->begins = line->begins;
    if (line->begins)
        node->indent = span_between(line->start, tag->from);
    return open_element(parser, tag, parser->template->count - 1);
}

/* In a parent, the rest of the line before the block does not count. */
static bool do_block(struct parser *parser, const struct mustache_tag *tag, const struct line *line)
{
    bool replaces = in_parent(parser);
    struct mustache_node *node = add_named(parser, NODE_BLOCK, tag);
    if (!node)
        return false;
    node->standalone = replaces ? line->ends : line->alone;
    node->begins = line->begins;
    if (line->begins)
        node->indent = span_between(line->start, tag->from);
    parser->text = node->standalone ? line->next : tag->to;
    if (!open_element(parser, tag, parser->template->count - 1))
        return false;
    innermost(parser)->opens_line = node->standalone;
    parser->blocks++;
    return true;
}

static void close_block(struct parser *parser, const struct mustache_tag *tag,
                        const struct element *element, const struct line *line)
{
    const struct mustache_node *node = &parser->template->nodes[element->node];
    parser->blocks--;
    if (node->begins || element->opens_line)
        mustache_outdent(parser->template, element->node, node->begins && !element->opens_line);
    parser->text = line->alone ? line->next : tag->to;
}

static bool close_matches(const struct mustache_tag *open, const struct mustache_tag *close)
{
    return open->dynamic == close->dynamic && slice_equal(open->name, close->name);
}

static const char *sigil_of(enum mustache_tag_kind kind)
{
    switch (kind) {
    case TAG_SECTION:
        return "#";
    case TAG_INVERTED:
        return "^";
    case TAG_PARENT:
        return "<";
    case TAG_BLOCK:
        return "$";
    case TAG_PARTIAL:
        return ">";
    case TAG_RAW:
        return "&";
    case TAG_CLOSE:
        return "/";
    case TAG_VALUE:
    case TAG_COMMENT:
    case TAG_DELIMITERS:
    default:
        return "";
    }
}

/* The tag for a message, in the default delimiters. */
#define TAG_ROOM (MUSTACHE_NAME_ROOM + 8)
static const char *tag_text(char room[TAG_ROOM], const struct mustache_tag *tag)
{
    char name[MUSTACHE_NAME_ROOM];
    snprintf(room, TAG_ROOM, "{{%s%s%s}}", sigil_of(tag->kind), tag->dynamic ? "*" : "",
             mustache_name(name, tag->name));
    return room;
}

static bool do_close(struct parser *parser, const struct mustache_tag *tag, const struct line *line)
{
    char room[TAG_ROOM], other[TAG_ROOM];
    struct element *element = innermost(parser);
    if (!element) {
        mustache_fail(parser->error, parser->template, tag->from,
                      "%s closes nothing: nothing is open here", tag_text(room, tag));
        return false;
    }
    if (!close_matches(&element->tag, tag)) {
        mustache_fail(parser->error, parser->template, tag->from,
                      "%s does not close %s of line %zu, which is open here", tag_text(room, tag),
                      tag_text(other, &element->tag),
                      mustache_place_of(parser->template, element->tag.from).line);
        return false;
    }
    struct element closed = *element;
    struct mustache_node *node = &parser->template->nodes[closed.node];
    node->next = (uint32_t)parser->template->count;
    parser->depth--;
    if (closed.tag.kind == TAG_BLOCK) {
        close_block(parser, tag, &closed, line);
        return true;
    }
    bool alone = line->alone;
    if (closed.tag.kind == TAG_PARENT)
        alone = node->standalone = node->begins && line->ends;
    parser->text = alone ? line->next : tag->to;
    return true;
}

/* Up to where the text before the tag is text. */
static size_t text_end(const struct parser *parser, const struct mustache_tag *tag,
                       const struct line *line)
{
    bool takes_spaces = line->alone;
    if (tag->kind == TAG_VALUE || tag->kind == TAG_RAW)
        takes_spaces = false;
    else if (tag->kind == TAG_PARENT)
        takes_spaces = line->begins; /* they become its indent */
    else if (tag->kind == TAG_CLOSE && parser->depth > 1 &&
             parser->open[parser->depth - 1].tag.kind == TAG_BLOCK &&
             parser->open[parser->depth - 2].tag.kind == TAG_PARENT)
        takes_spaces = line->begins; /* what is after it in its line does not count */
    else if (tag->kind == TAG_CLOSE && in_parent(parser))
        takes_spaces = false;
    return takes_spaces ? line->start : tag->from;
}

static bool is_ignored_in_parent(enum mustache_tag_kind kind)
{
    return kind == TAG_COMMENT || kind == TAG_DELIMITERS;
}

static bool do_tag(struct parser *parser, const struct mustache_tag *tag)
{
    struct line line = line_of(parser->template->text, tag);
    if (!end_text(parser, text_end(parser, tag, &line)))
        return false;
    if (in_parent(parser) && tag->kind != TAG_BLOCK && tag->kind != TAG_CLOSE &&
        !is_ignored_in_parent(tag->kind)) {
        char room[TAG_ROOM], parent[TAG_ROOM];
        mustache_fail(parser->error, parser->template, tag->from,
                      "%s must be in a block: a parent, here %s, has only blocks",
                      tag_text(room, tag), tag_text(parent, &innermost(parser)->tag));
        return false;
    }
    switch (tag->kind) {
    case TAG_VALUE:
    case TAG_RAW:
        return do_value(parser, tag);
    case TAG_SECTION:
    case TAG_INVERTED:
        return do_section(parser, tag, &line);
    case TAG_PARTIAL:
        return do_partial(parser, tag, &line);
    case TAG_PARENT:
        return do_parent(parser, tag, &line);
    case TAG_BLOCK:
        return do_block(parser, tag, &line);
    case TAG_CLOSE:
        return do_close(parser, tag, &line);
    case TAG_DELIMITERS:
        parser->delimiters = tag->delimiters;
        break;
    case TAG_COMMENT:
    default:
        break;
    }
    parser->text = line.alone ? line.next : tag->to;
    return true;
}

bool mustache_parse(struct mustache *template, struct mustache_error *error)
{
    struct parser parser = {
        .template = template,
        .error = error,
        .delimiters = {.open = SLICE("{{"), .close = SLICE("}}")},
    };
    struct mustache_tag tag;
    const char *why;
    for (size_t at = 0;; at = tag.to) {
        enum mustache_tag_result result =
            mustache_tag_find(template->text, at, &parser.delimiters, &tag, &why);
        if (result == TAG_NONE)
            break;
        if (result == TAG_BAD) {
            mustache_fail(error, template, tag.from, "%s", why);
            return false;
        }
        if (!do_tag(&parser, &tag))
            return false;
    }
    if (parser.depth > 0) {
        char room[TAG_ROOM];
        const struct mustache_tag *open = &innermost(&parser)->tag;
        mustache_fail(error, template, open->from, "%s is not closed", tag_text(room, open));
        return false;
    }
    return end_text(&parser, template->text.len);
}
