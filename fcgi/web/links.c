/* The value of a field (RFC 8288 3):  <target>; rel=preload; as=style, <target>; rel="preconnect" */
#include "web/links.h"

#include "base/byte.h"
#include "base/put.h"
#include "render/skeleton.h"

#define LINK SLICE("link: ")

/* Removes everything up to the separator from *rest, and returns it without surrounding spaces. One
 * within a target or within quotes does not count. */
static struct slice take_item(struct slice *rest, char separator)
{
    struct slice item = {.data = rest->data};
    char until = '\0'; /* what ends the target, or the quotes */
    for (; item.len < rest->len; item.len++) {
        char byte = rest->data[item.len];
        if (!until && byte == separator)
            break;
        if (until == '"' && byte == '\\' && item.len + 1 < rest->len)
            item.len++;
        else if (until)
            until = byte == until ? '\0' : until;
        else if (byte == '<' || byte == '"')
            until = byte == '<' ? '>' : '"';
    }
    *rest = slice_from(*rest, item.len < rest->len ? item.len + 1 : item.len);
    return slice_trim(item);
}

/* The first relation counts. */
static bool is_early(struct slice link)
{
    take_item(&link, ';');
    while (link.len > 0) {
        struct slice value = take_item(&link, ';'), name = take_item(&value, '=');
        if (!slice_equal_nocase(name, SLICE("rel")))
            continue;
        value = slice_trim(value);
        if (value.len > 1 && value.data[0] == '"' && value.data[value.len - 1] == '"')
            value = (struct slice){.data = value.data + 1, .len = value.len - 2};
        return skeleton_is_early(value);
    }
    return false;
}

/* Whether all links of the field are early, and there is one. */
static bool are_early(struct slice value)
{
    bool any = false;
    while (value.len > 0) {
        struct slice link = take_item(&value, ',');
        if (link.len > 0 && !is_early(link))
            return false;
        any |= link.len > 0;
    }
    return any;
}

static bool has_line(const struct links *links, struct slice line)
{
    struct slice rest = links_text(links);
    while (rest.len > 0) {
        const char *end = memchr(rest.data, '\r', rest.len);
        struct slice known = {.data = rest.data, .len = (size_t)(end - rest.data)};
        if (slice_equal(known, line))
            return true;
        rest = slice_from(rest, known.len + 2);
    }
    return false;
}

void links_add(struct links *links, struct slice kept)
{
    while (kept.len > 0) {
        const char *end = memchr(kept.data, '\n', kept.len);
        struct slice line = {.data = kept.data, .len = (size_t)(end - kept.data)};
        kept = slice_from(kept, line.len + 1);
        if (line.len + 2 > LINKS_MAX - links->len || !slice_starts(line, LINK) ||
            !are_early(slice_from(line, LINK.len)) || has_line(links, line))
            continue;
        links->len =
            (size_t)(put(put(links->text + links->len, line), SLICE("\r\n")) - links->text);
    }
}
