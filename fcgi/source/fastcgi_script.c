/* Checks and expands paths of scripts. The values are those of a fragment's name, which has no
 * control characters and no segments "." and "..", but this file does not rely on it. */
#include "source/fastcgi_script.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/buffer.h"
#include "base/byte.h"
#include "source/source.h"
#include "source/template.h"

/* Whether a segment of the path is "." or "..": the path could lead out of its directory. */
static bool has_dot_segment(struct slice path)
{
    while (path.len > 0) {
        const char *slash = memchr(path.data, '/', path.len);
        size_t len = slash ? (size_t)(slash - path.data) : path.len;
        struct slice segment = {.data = path.data, .len = len};
        if (slice_equal(segment, SLICE(".")) || slice_equal(segment, SLICE("..")))
            return true;
        path = slice_from(path, slash ? len + 1 : len);
    }
    return false;
}

static bool has_control(struct slice path)
{
    for (size_t i = 0; i < path.len; i++)
        if (byte_is_control(path.data[i]))
            return true;
    return false;
}

struct slice fastcgi_script_root(const char *template)
{
    size_t len = strcspn(template, "{");
    while (len > 0 && template[len - 1] != '/')
        len--;
    return (struct slice){.data = template, .len = len > 0 ? len - 1 : 0};
}

/* Whether the part may select a file. A client can put anything into the other inputs. */
static bool may_select(const struct template_part *part)
{
    return part->kind == TEMPLATE_TEXT || part->kind == TEMPLATE_NAME ||
           part->kind == TEMPLATE_REST || part->kind == TEMPLATE_UNKNOWN ||
           part->kind == TEMPLATE_UNBALANCED ||
           (part->kind == TEMPLATE_INPUT && part->input.kind == INPUT_LANGUAGE);
}

const char *fastcgi_script_check(const char *template)
{
    static char why[TEMPLATE_WHY_ROOM];
    struct slice rest = slice_of(template);
    struct template_part part;
    if (template[0] != '/')
        return "write an absolute path, such as /srv/app/{name}.php";
    while (template_next(&rest, &part))
        if (!may_select(&part)) {
            snprintf(why, sizeof why,
                     "must not have %.*s: only {name}, {rest} and {language} may choose a file; "
                     "the "
                     "script gets all inputs in vary as variables",
                     part.text.len < 60 ? (int)part.text.len : 60, part.text.data);
            return why;
        }
    if (template_check(template, why))
        return why;
    if (has_dot_segment(slice_of(template)))
        return "must not have \".\" or \"..\" between its slashes";
    if (has_control(slice_of(template)))
        return "must not have control characters";
    if (fastcgi_script_root(template).len == 0)
        return "must be in a directory, such as /srv/app/{name}.php: directly under / clients "
               "could "
               "choose any script of the machine";
    return NULL;
}

/* Behind the last dot of the path's last segment; empty if it has none. */
static struct slice ending_of(struct slice path)
{
    size_t at = path.len;
    while (at > 0 && path.data[at - 1] != '.' && path.data[at - 1] != '/')
        at--;
    return slice_from(path, at > 0 && path.data[at - 1] == '.' ? at - 1 : path.len);
}

/* Whether a directory behind the root has the same ending as the script. PHP runs the file of that
 * name, if there is one, and takes the rest of the path for its PATH_INFO. */
static bool has_script_within(const char *template, struct slice path)
{
    struct slice ending = ending_of(path);
    path = slice_from(path, fastcgi_script_root(template).len + 1);
    for (size_t i = 0; i < path.len && ending.len > 0; i++) {
        struct slice before = {.data = path.data, .len = i};
        if (path.data[i] == '/' && slice_equal_nocase(ending_of(before), ending))
            return true;
    }
    return false;
}

char *fastcgi_script_expand(const char *template, const struct source_request *request,
                            const char **refusal)
{
    struct buffer path = {0};
    struct slice rest = slice_of(template);
    struct template_part part;
    bool ok = true;
    while (ok && template_next(&rest, &part)) {
        struct slice text = part.kind == TEMPLATE_TEXT ? part.text : template_value(&part, request);
        ok = buffer_append(&path, text.data, text.len, SIZE_MAX);
    }
    if (ok && path.len >= PATH_MAX)
        *refusal = "the path of the script would be too long";
    else if (ok && has_control(buffer_slice(&path)))
        *refusal = "the path of the script would have a control character";
    else if (ok && has_dot_segment(buffer_slice(&path)))
        *refusal = "a value of the request would make \".\" or \"..\" a part of the path";
    else if (ok && has_script_within(template, buffer_slice(&path)))
        *refusal = "a value of the request would make a script a directory";
    else if (ok && buffer_append(&path, "", 1, SIZE_MAX))
        return path.data;
    buffer_free(&path);
    return NULL;
}
