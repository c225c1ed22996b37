/* Renders a compiled template.
 *
 * Each section, partial, parent and block that is entered has a scope on the C stack, at most
 * MUSTACHE_DEPTH_MAX of them. A scope refers to the one around it by three lists:
 *
 *     frames        what names are looked up in, the innermost first
 *     replacements  the parents whose blocks replace those of the templates in them
 *     indents       what each line begins with
 *
 * Indentation belongs to lines of templates, not to those that values contain. It is due after the
 * end of such a line, and written when more of the template follows, so that a line which only has a
 * tag gets none. */
#include "base/buffer.h"
#include "base/byte.h"
#include "render/html.h"
#include "render/mustache_nodes.h"

struct frame {
    struct mustache_value value;
    const struct frame *outer;
};

struct replacements {
    const struct mustache *template;
    size_t parent; /* the node whose blocks they are */
    const struct replacements *outer;
};

struct indent {
    struct slice text;
    bool of_block; /* a blank line does not get it, since none has been removed from it */
    const struct indent *outer;
};

struct scope {
    const struct mustache *template;
    const struct frame *frame;               /* NULL: only the contexts of the call */
    const struct replacements *replacements; /* or NULL */
    const struct indent *indent;             /* or NULL */
    size_t depth;
};

struct rendering {
    const struct mustache_call *call;
    struct buffer *out;
    size_t limit; /* of out's length */
    size_t steps; /* that are left */
    bool due;     /* a line has begun, and its indentation is not written yet */
    struct mustache_error *error;
};

static bool render_nodes(struct rendering *rendering, const struct scope *scope, size_t from,
                         size_t to);

/* ---- failures */

static bool fail(struct rendering *rendering, const struct scope *scope,
                 const struct mustache_node *node, const char *why)
{
    mustache_fail(rendering->error, scope->template, node->place, "%s", why);
    return false;
}

static bool fail_named(struct rendering *rendering, const struct scope *scope,
                       const struct mustache_node *node, struct slice name, const char *why)
{
    char room[MUSTACHE_NAME_ROOM];
    mustache_fail(rendering->error, scope->template, node->place, "\"%s\" %s",
                  mustache_name(room, name), why);
    return false;
}

static bool take_step(struct rendering *rendering, const struct scope *scope,
                      const struct mustache_node *node)
{
    if (rendering->steps > 0) {
        rendering->steps--;
        return true;
    }
    mustache_fail(rendering->error, scope->template, node->place,
                  "rendering takes more than %zu steps", rendering->call->steps_max);
    return false;
}

/* ---- output */

/* After `len` bytes could not be appended when `out` had `before`. */
static bool fail_append(struct rendering *rendering, const struct scope *scope,
                        const struct mustache_node *node, size_t before, size_t len)
{
    if (len <= rendering->limit - before)
        return fail(rendering, scope, node, "out of memory");
    mustache_fail(rendering->error, scope->template, node->place,
                  "the result is longer than %zu bytes", rendering->call->output_max);
    return false;
}

static bool append(struct rendering *rendering, const struct scope *scope,
                   const struct mustache_node *node, struct slice text)
{
    return buffer_append(rendering->out, text.data, text.len, rendering->limit) ||
           fail_append(rendering, scope, node, rendering->out->len, text.len);
}

static bool append_escaped(struct rendering *rendering, const struct scope *scope,
                           const struct mustache_node *node, struct slice text)
{
    size_t before = rendering->out->len;
    return html_append_escaped(rendering->out, text, rendering->limit) ||
           fail_append(rendering, scope, node, before, html_escaped_len(text));
}

static bool append_indents(struct rendering *rendering, const struct scope *scope,
                           const struct mustache_node *node, const struct indent *indent,
                           bool blank)
{
    if (!indent)
        return true;
    return append_indents(rendering, scope, node, indent->outer, blank) &&
           ((blank && indent->of_block) || append(rendering, scope, node, indent->text));
}

/* Something of the template's line follows. */
static bool begin(struct rendering *rendering, const struct scope *scope,
                  const struct mustache_node *node, bool blank)
{
    bool due = rendering->due;
    rendering->due = false;
    return !due || append_indents(rendering, scope, node, scope->indent, blank);
}

static bool is_blank(struct slice line)
{
    for (size_t i = 0; i < line.len; i++)
        if (!byte_is_one_of(line.data[i], " \t\r\n"))
            return false;
    return line.len > 0 && line.data[line.len - 1] == '\n';
}

static bool render_text(struct rendering *rendering, const struct scope *scope,
                        const struct mustache_node *node, struct slice text)
{
    if (text.len == 0)
        return true;
    bool ends = text.data[text.len - 1] == '\n';
    if (!scope->indent) {
        rendering->due = ends;
        return append(rendering, scope, node, text);
    }
    while (text.len > 0) {
        const char *newline = memchr(text.data, '\n', text.len);
        struct slice line = text;
        if (newline)
            line.len = (size_t)(newline - text.data) + 1;
        if (!begin(rendering, scope, node, is_blank(line)) || !append(rendering, scope, node, line))
            return false;
        rendering->due = newline != NULL;
        text = slice_from(text, line.len);
    }
    return true;
}

/* ---- names */

/* Cuts the part before the first dot off the name. */
static struct slice next_part(struct slice *name)
{
    const char *dot = memchr(name->data, '.', name->len);
    struct slice part = {.data = name->data, .len = dot ? (size_t)(dot - name->data) : name->len};
    *name = slice_from(*name, part.len + (dot ? 1 : 0));
    return part;
}

/* Sets *value to what the node's name stands for; it is absent if nothing has the name. Returns false
 * only if the rendering has failed. */
static bool look_up(struct rendering *rendering, const struct scope *scope,
                    const struct mustache_node *node, struct mustache_value *value)
{
    const struct mustache_call *call = rendering->call;
    struct slice name = mustache_span_text(scope->template, node->text);
    const struct frame *frame = scope->frame;
    size_t left = call->count;
    *value = (struct mustache_value){0};
    if (slice_equal(name, SLICE("."))) {
        if (frame)
            *value = frame->value;
        else if (left > 0)
            *value = call->contexts[left - 1];
        return true;
    }
    struct slice part = next_part(&name);
    for (bool found = false; !found;) {
        if (!frame && left == 0)
            return true;
        if (!take_step(rendering, scope, node))
            return false;
        found = mustache_member(frame ? &frame->value : &call->contexts[left - 1], part, value);
        if (frame)
            frame = frame->outer;
        else
            left--;
    }
    while (name.len > 0) {
        struct mustache_value whole = *value;
        part = next_part(&name);
        if (!mustache_member(&whole, part, value)) {
            *value = (struct mustache_value){0};
            return true;
        }
    }
    return true;
}

/* The text of the node's value, and whether it is HTML. `room` is for a number. */
static bool look_up_text(struct rendering *rendering, const struct scope *scope,
                         const struct mustache_node *node, char room[MUSTACHE_NUMBER_ROOM],
                         struct slice *text, bool *is_html)
{
    struct mustache_value value;
    if (!look_up(rendering, scope, node, &value))
        return false;
    *is_html = value.kind == MUSTACHE_HTML;
    const char *what = mustache_text_of(&value, room, text);
    if (!what)
        return true;
    char name[MUSTACHE_NAME_ROOM];
    mustache_fail(rendering->error, scope->template, node->place, "\"%s\" is %s here, not a text",
                  mustache_name(name, mustache_span_text(scope->template, node->text)), what);
    return false;
}

/* ---- nodes */

static bool render_value(struct rendering *rendering, const struct scope *scope,
                         const struct mustache_node *node)
{
    char room[MUSTACHE_NUMBER_ROOM];
    struct slice text;
    bool is_html;
    if (!begin(rendering, scope, node, false) ||
        !look_up_text(rendering, scope, node, room, &text, &is_html))
        return false;
    return node->kind == NODE_RAW || is_html ? append(rendering, scope, node, text)
                                             : append_escaped(rendering, scope, node, text);
}

/* Renders what the node holds, in a scope that is one deeper than the one it is in. */
static bool enter(struct rendering *rendering, struct scope *inner, const struct scope *scope,
                  const struct mustache_node *node, size_t from, size_t to)
{
    inner->depth = scope->depth + 1;
    if (inner->depth <= MUSTACHE_DEPTH_MAX)
        return render_nodes(rendering, inner, from, to);
    mustache_fail(rendering->error, scope->template, node->place,
                  "more than %d sections, partials, parents and blocks are nested: does a "
                  "template include itself without end?",
                  MUSTACHE_DEPTH_MAX);
    return false;
}

static bool render_section(struct rendering *rendering, const struct scope *scope, size_t number)
{
    const struct mustache_node *node = &scope->template->nodes[number];
    struct mustache_value value;
    size_t count;
    if ((!node->standalone && !begin(rendering, scope, node, false)) ||
        !look_up(rendering, scope, node, &value))
        return false;
    struct scope inner = *scope;
    bool is_true = mustache_is_true(&value);
    if (node->kind == NODE_INVERTED)
        return is_true || enter(rendering, &inner, scope, node, number + 1, node->next);
    if (!is_true)
        return true;
    bool is_list = mustache_is_list(&value, &count);
    struct frame frame = {.value = value, .outer = scope->frame};
    inner.frame = &frame;
    for (size_t i = 0; i < (is_list ? count : 1); i++) {
        if (is_list)
            frame.value = mustache_element(&value, i);
        if (!take_step(rendering, scope, node) ||
            !enter(rendering, &inner, scope, node, number + 1, node->next))
            return false;
    }
    return true;
}

/* Finds the template that the node names; *found is NULL if it is to be left out. */
static bool find_template(struct rendering *rendering, const struct scope *scope,
                          const struct mustache_node *node, const struct mustache **found)
{
    const struct mustache_call *call = rendering->call;
    char room[MUSTACHE_NUMBER_ROOM];
    const char *why = "is refused";
    struct slice name = mustache_span_text(scope->template, node->text);
    bool is_html;
    *found = NULL;
    if (node->dynamic && !look_up_text(rendering, scope, node, room, &name, &is_html))
        return false;
    if (name.len == 0 || !call->find)
        return true;
    switch (call->find(call->arg, name, found, &why)) {
    case MUSTACHE_FOUND:
        return true;
    case MUSTACHE_MISSING:
        *found = NULL;
        return true;
    case MUSTACHE_REFUSED:
    default:
        return fail_named(rendering, scope, node, name, why);
    }
}

/* A partial or a parent. One that is alone in its line indents its lines like it; another one is
 * just put in, without the indentation that is around it. */
static bool render_template(struct rendering *rendering, const struct scope *scope, size_t number)
{
    const struct mustache_node *node = &scope->template->nodes[number];
    struct slice spaces = mustache_span_text(scope->template, node->indent);
    const struct mustache *found;
    if (!node->standalone &&
        (!render_text(rendering, scope, node, spaces) || !begin(rendering, scope, node, false)))
        return false;
    if (!find_template(rendering, scope, node, &found))
        return false;
    if (!found)
        return true;
    struct indent indent = {.text = spaces, .outer = scope->indent};
    struct replacements replacements = {.template = scope->template,
                                        .parent = number,
                                        .outer = scope->replacements};
    struct scope inner = *scope;
    inner.template = found;
    inner.indent = NULL;
    if (node->standalone)
        inner.indent = spaces.len > 0 ? &indent : scope->indent;
    if (node->kind == NODE_PARENT)
        inner.replacements = &replacements;
    rendering->due = node->standalone;
    if (!enter(rendering, &inner, scope, node, 0, found->count))
        return false;
    rendering->due = node->standalone;
    return true;
}

/* Sets *block to the block that the parent has for that name, if there is one. Returns false only if
 * the rendering has failed. */
static bool replace_block(struct rendering *rendering, const struct scope *scope,
                          const struct mustache_node *site, const struct replacements *replacements,
                          const struct mustache_node **block)
{
    const struct mustache *template = replacements->template;
    struct slice name = mustache_span_text(scope->template, site->text);
    const struct mustache_node *parent = &template->nodes[replacements->parent];
    for (size_t i = replacements->parent + 1; i < parent->next; i = template->nodes[i].next) {
        if (!take_step(rendering, scope, site))
            return false;
        if (slice_equal(mustache_span_text(template, template->nodes[i].text), name)) {
            *block = &template->nodes[i];
            return true;
        }
    }
    return true;
}

/* The outermost parent that has the block replaces it. Blocks in that one can only be replaced by
 * parents further out, as it is in the template of them. */
static bool render_block(struct rendering *rendering, const struct scope *scope, size_t number)
{
    const struct mustache_node *node = &scope->template->nodes[number], *block = node;
    struct scope inner = *scope;
    if (!node->standalone && !begin(rendering, scope, node, false))
        return false;
    for (const struct replacements *each = scope->replacements; each; each = each->outer) {
        const struct mustache_node *found = NULL;
        if (!take_step(rendering, scope, node) ||
            !replace_block(rendering, scope, node, each, &found))
            return false;
        if (found) {
            block = found;
            inner.template = each->template;
            inner.replacements = each->outer;
        }
    }
    struct indent indent = {.text = mustache_span_text(scope->template, node->indent),
                            .of_block = true,
                            .outer = scope->indent};
    if (indent.text.len > 0)
        inner.indent = &indent;
    size_t first = (size_t)(block - inner.template->nodes) + 1;
    return enter(rendering, &inner, scope, node, first, block->next);
}

static bool render_nodes(struct rendering *rendering, const struct scope *scope, size_t from,
                         size_t to)
{
    const struct mustache *template = scope->template;
    bool ok = true;
    for (size_t i = from; ok && i < to; i = template->nodes[i].next) {
        const struct mustache_node *node = &template->nodes[i];
        if (!take_step(rendering, scope, node))
            return false;
        switch (node->kind) {
        case NODE_VALUE:
        case NODE_RAW:
            ok = render_value(rendering, scope, node);
            break;
        case NODE_SECTION:
        case NODE_INVERTED:
            ok = render_section(rendering, scope, i);
            break;
        case NODE_PARTIAL:
        case NODE_PARENT:
            ok = render_template(rendering, scope, i);
            break;
        case NODE_BLOCK:
            ok = render_block(rendering, scope, i);
            break;
        case NODE_TEXT:
        default:
            ok = render_text(rendering, scope, node, mustache_span_text(template, node->text));
            break;
        }
    }
    return ok;
}

bool mustache_render(const struct mustache *template, const struct mustache_call *call,
                     struct buffer *out, struct mustache_error *error)
{
    size_t before = out->len;
    struct rendering rendering = {
        .call = call,
        .out = out,
        .limit = call->output_max > SIZE_MAX - before ? SIZE_MAX : before + call->output_max,
        .steps = call->steps_max,
        .due = true,
        .error = error,
    };
    struct scope scope = {.template = template};
    if (render_nodes(&rendering, &scope, 0, template->count))
        return true;
    out->len = before;
    return false;
}
