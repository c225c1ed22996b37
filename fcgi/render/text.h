/* Text as a fragment: escaped into an element that carries the fragment's name. Pure. */
#ifndef WORKERLESS_RENDER_TEXT_H
#define WORKERLESS_RENDER_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

struct buffer;

/* Media types as a source gave them, with or without parameters. */

/* text/html or application/xhtml+xml: a fragment as it is. */
bool text_is_html(struct slice type);

/* Whether the body is text, HTML included: text/ anything, JSON, XML, JavaScript, or no type at
 * all. What is neither HTML nor text (an image, say) can't be shown as a fragment. */
bool text_is_text(struct slice type);

/* Appends <div id="NAME">TEXT</div> to `out`, both escaped for HTML (& < > " '), in UTF-8. Each
 * byte that is no part of well-formed UTF-8, and each C0 control character but tab, LF and CR,
 * becomes a U+FFFD. No byte becomes more than six, so at most 17 + 6 * (name.len + text.len) bytes
 * are appended. False, and the content of `out` as it was, if its length would pass `limit` or
 * memory is refused. */
bool text_render(struct buffer *out, struct slice name, struct slice text, size_t limit);

#endif
