/* The indentation of blocks: what their lines have in common is removed once, when they are compiled.
 *
 * A block in a block has been through this already, and its lines are relative to it: only its own
 * indentation counts then. (If other text is before it in its line, it has none, and its lines are
 * lines of the outer block.) What parents hold has its own indentation, too. */
#include "render/mustache_nodes.h"

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

static bool begins_line(const struct mustache *template, const struct mustache_node *node)
{
    return node->place == 0 || template->text.data[node->place - 1] == '\n';
}

/* A text that is only spaces and the end of a line. */
static bool is_blank_line(struct slice text)
{
    while (text.len > 0 && is_blank(text.data[0]))
        text = slice_from(text, 1);
    return slice_equal(text, SLICE("\n")) || slice_equal(text, SLICE("\r\n"));
}

static struct mustache_span spaces_of(const struct mustache *template, struct mustache_span span)
{
    struct slice text = mustache_span_text(template, span);
    uint32_t len = 0;
    while (len < text.len && is_blank(text.data[len]))
        len++;
    return (struct mustache_span){.at = span.at, .len = len};
}

/* The spaces that the node puts at the beginning of a line; false if it doesn't begin one. */
static bool line_spaces(const struct mustache *template, const struct mustache_node *node,
                        struct mustache_span *spaces)
{
    switch (node->kind) {
    case NODE_TEXT:
        if (!begins_line(template, node) || is_blank_line(mustache_span_text(template, node->text)))
            return false;
        *spaces = spaces_of(template, node->text);
        return true;
    case NODE_PARTIAL:
    case NODE_PARENT:
    case NODE_BLOCK:
        *spaces = node->indent;
        return node->begins || begins_line(template, node);
    case NODE_SECTION:
    case NODE_INVERTED:
        *spaces = (struct mustache_span){0};
        return !node->standalone && begins_line(template, node);
    case NODE_VALUE:
    case NODE_RAW:
    default:
        *spaces = (struct mustache_span){0};
        return begins_line(template, node);
    }
}

/* The node to look at after this one: not those whose lines are relative to something else. */
static size_t after(const struct mustache *template, size_t number)
{
    const struct mustache_node *node = &template->nodes[number];
    bool skip = node->kind == NODE_PARENT || (node->kind == NODE_BLOCK && node->begins);
    return skip ? node->next : number + 1;
}

static uint32_t common(const struct mustache *template, struct mustache_span a,
                       struct mustache_span b)
{
    const char *text = template->text.data;
    uint32_t len = 0;
    while (len < a.len && len < b.len && text[a.at + len] == text[b.at + len])
        len++;
    return len;
}

static void shorten(struct mustache_span *span, uint32_t len)
{
    span->at += len;
    span->len -= len;
}

void mustache_outdent(struct mustache *template, size_t block, bool with_tag)
{
    struct mustache_node *node = &template->nodes[block];
    struct mustache_span indent = node->indent, spaces;
    bool found = with_tag;
    for (size_t i = block + 1; i < node->next; i = after(template, i)) {
        if (!line_spaces(template, &template->nodes[i], &spaces))
            continue;
        if (!found)
            indent = spaces;
        indent.len = common(template, indent, spaces);
        found = true;
    }
    node->indent = indent;
    if (!found || indent.len == 0)
        return;
    for (size_t i = block + 1; i < node->next; i = after(template, i)) {
        struct mustache_node *inner = &template->nodes[i];
        if (!line_spaces(template, inner, &spaces))
            continue;
        if (inner->kind == NODE_TEXT)
            shorten(&inner->text, indent.len);
        else if (inner->indent.len >= indent.len)
            shorten(&inner->indent, indent.len);
    }
}
