/* Makes a fragment of text: escaped, in an element whose id is the fragment's name. Pure. */
#ifndef WORKERLESS_RENDER_TEXT_H
#define WORKERLESS_RENDER_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

struct buffer;

/* Media types as a source gave them, with or without parameters. */

/* Whether it can be the value of a header field: not empty, not long, and no control characters. */
#define TEXT_TYPE_MAX 127 /* bytes */
bool text_type_is_valid(struct slice type);

/* text/html or application/xhtml+xml: used as a fragment without change. */
bool text_is_html(struct slice type);

/* application/json, or another type that ends in +json. */
bool text_is_json(struct slice type);

/* Whether the body is text, including HTML: any text/ type, JSON, XML, JavaScript, or no type at
 * all. Other types (an image, for example) can't be a fragment. */
bool text_is_text(struct slice type);

/* Appends <div id="NAME">TEXT</div> to `out`, both escaped for HTML (& < > " '), in UTF-8. Each
 * byte that is not part of well-formed UTF-8, and each C0 control character except tab, LF and CR,
 * becomes U+FFFD. A byte becomes at most six, so at most 17 + 6 * (name.len + text.len) bytes are
 * appended. Returns false, with `out` unchanged, if its length would exceed `limit` or when out of
 * memory. */
bool text_render(struct buffer *out, struct slice name, struct slice text, size_t limit);

#endif
