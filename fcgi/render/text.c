/* Text as a fragment: which media types are text, and the element around it. */
#include "render/text.h"

#include "base/buffer.h"
#include "base/byte.h"
#include "render/html.h"

static bool starts_nocase(struct slice text, struct slice prefix)
{
    return text.len > prefix.len &&
           slice_equal_nocase((struct slice){.data = text.data, .len = prefix.len}, prefix);
}

static bool ends_nocase(struct slice text, struct slice suffix)
{
    return text.len > suffix.len &&
           slice_equal_nocase(slice_from(text, text.len - suffix.len), suffix);
}

/* "type/subtype" without parameters (RFC 9110 section 8.3.1). */
static struct slice essence(struct slice type)
{
    const char *semicolon = type.len > 0 ? memchr(type.data, ';', type.len) : NULL;
    if (semicolon)
        type.len = (size_t)(semicolon - type.data);
    return slice_trim(type);
}

bool text_type_is_valid(struct slice type)
{
    if (type.len == 0 || type.len > TEXT_TYPE_MAX)
        return false;
    for (size_t i = 0; i < type.len; i++)
        if (byte_is_control(type.data[i]))
            return false;
    return true;
}

bool text_is_html(struct slice type)
{
    struct slice media = essence(type);
    return slice_equal_nocase(media, SLICE("text/html")) ||
           slice_equal_nocase(media, SLICE("application/xhtml+xml"));
}

bool text_is_json(struct slice type)
{
    struct slice media = essence(type);
    return slice_equal_nocase(media, SLICE("application/json")) ||
           (starts_nocase(media, SLICE("application/")) && ends_nocase(media, SLICE("+json")));
}

bool text_is_text(struct slice type)
{
    static const char *const names[] = {"application/xml", "application/javascript",
                                        "application/x-ndjson"};
    struct slice media = essence(type);
    if (slice_trim(type).len == 0 || starts_nocase(media, SLICE("text/")))
        return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_equal_nocase(media, slice_of(names[i])))
            return true;
    return text_is_json(type) || ends_nocase(media, SLICE("+xml"));
}

static bool append(struct buffer *out, struct slice bytes, size_t limit)
{
    return buffer_append(out, bytes.data, bytes.len, limit);
}

bool text_render(struct buffer *out, struct slice name, struct slice text, size_t limit)
{
    size_t len_before = out->len;
    if (append(out, SLICE("<div id=\""), limit) && html_append_escaped(out, name, limit) &&
        append(out, SLICE("\">"), limit) && html_append_escaped(out, text, limit) &&
        append(out, SLICE("</div>"), limit))
        return true;
    out->len = len_before;
    return false;
}
