/* Text as a fragment: which media types are text, and escaping for HTML.
 *
 * Bytes that need no escaping are appended in blocks; only the others are handled one at a time.
 */
#include "render/text.h"

#include "base/buffer.h"
#include "base/utf8.h"

#define REPLACEMENT SLICE("\xEF\xBF\xBD") /* U+FFFD */

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

bool text_is_html(struct slice type)
{
    struct slice media = essence(type);
    return slice_equal_nocase(media, SLICE("text/html")) ||
           slice_equal_nocase(media, SLICE("application/xhtml+xml"));
}

bool text_is_text(struct slice type)
{
    static const char *const names[] = {"application/json", "application/xml",
                                        "application/javascript", "application/x-ndjson"};
    struct slice media = essence(type);
    if (slice_trim(type).len == 0 || starts_nocase(media, SLICE("text/")))
        return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_equal_nocase(media, slice_of(names[i])))
            return true;
    return ends_nocase(media, SLICE("+xml")) ||
           (starts_nocase(media, SLICE("application/")) && ends_nocase(media, SLICE("+json")));
}

/* The replacement of the text's first character, whose length in bytes is *len. data is NULL if it
 * needs none. */
static struct slice escape_of(struct slice text, size_t *len)
{
    static const struct slice itself = {0};
    unsigned char byte = (unsigned char)text.data[0];
    *len = 1;
    switch (byte) {
    case '&':
        return SLICE("&amp;");
    case '<':
        return SLICE("&lt;");
    case '>':
        return SLICE("&gt;");
    case '"':
        return SLICE("&quot;");
    case '\'':
        return SLICE("&#39;");
    case '\t':
    case '\n':
    case '\r':
        return itself;
    default:
        break;
    }
    if (byte < 0x20)
        return REPLACEMENT;
    if (byte < 0x80)
        return itself;
    *len = utf8_sequence(text);
    if (*len > 0)
        return itself;
    *len = 1;
    return REPLACEMENT;
}

static bool append(struct buffer *out, struct slice bytes, size_t limit)
{
    return buffer_append(out, bytes.data, bytes.len, limit);
}

static bool append_escaped(struct buffer *out, struct slice text, size_t limit)
{
    size_t plain = 0; /* bytes at the beginning of the text that need no escaping */
    while (plain < text.len) {
        size_t len;
        struct slice escape = escape_of(slice_from(text, plain), &len);
        if (!escape.data) {
            plain += len;
            continue;
        }
        if (!buffer_append(out, text.data, plain, limit) || !append(out, escape, limit))
            return false;
        text = slice_from(text, plain + len);
        plain = 0;
    }
    return append(out, text, limit);
}

bool text_render(struct buffer *out, struct slice name, struct slice text, size_t limit)
{
    size_t len_before = out->len;
    if (append(out, SLICE("<div id=\""), limit) && append_escaped(out, name, limit) &&
        append(out, SLICE("\">"), limit) && append_escaped(out, text, limit) &&
        append(out, SLICE("</div>"), limit))
        return true;
    out->len = len_before;
    return false;
}
