/* Escaping. Bytes that need none are appended in blocks; only the others are handled one at a time. */
#include "render/html.h"

#include "base/buffer.h"
#include "base/utf8.h"

#define REPLACEMENT SLICE("\xEF\xBF\xBD") /* U+FFFD */

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

bool html_append_escaped(struct buffer *out, struct slice text, size_t limit)
{
    size_t plain = 0; /* bytes at the beginning of the text that need no escaping */
    while (plain < text.len) {
        size_t len;
        struct slice escape = escape_of(slice_from(text, plain), &len);
        if (!escape.data) {
            plain += len;
            continue;
        }
        if (!buffer_append(out, text.data, plain, limit) ||
            !buffer_append(out, escape.data, escape.len, limit))
            return false;
        text = slice_from(text, plain + len);
        plain = 0;
    }
    return buffer_append(out, text.data, text.len, limit);
}

size_t html_escaped_len(struct slice text)
{
    size_t total = 0, len;
    for (; text.len > 0; text = slice_from(text, len)) {
        struct slice escape = escape_of(text, &len);
        total += escape.data ? escape.len : len;
    }
    return total;
}
