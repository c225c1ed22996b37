/* Text that is to be shown by HTML. Pure. */
#ifndef WORKERLESS_RENDER_HTML_H
#define WORKERLESS_RENDER_HTML_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

struct buffer;

/* Appends the text, escaped so that it can stand in an element or in a quoted attribute (& < > " '),
 * in UTF-8. Each byte that is not part of well-formed UTF-8, and each C0 control character except
 * tab, LF and CR, becomes U+FFFD. A byte becomes at most six. Returns false if the length of `out`
 * would exceed `limit` or when out of memory; part of the text may have been appended then. */
bool html_append_escaped(struct buffer *out, struct slice text, size_t limit);

/* The length of what would be appended. */
size_t html_escaped_len(struct slice text);

#endif
