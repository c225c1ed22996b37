/* Escapes text that peers have chosen, so that it can't leave its place in a line of a log. Pure.
 *
 * What could move the cursor, start a line or reverse the text after it is never written as it is:
 * control characters (C0, C1), characters that change the direction of text, line and paragraph
 * separators, and bytes that are not UTF-8. */
#ifndef WORKERLESS_BASE_ESCAPE_H
#define WORKERLESS_BASE_ESCAPE_H

#include <stddef.h>

#include "base/slice.h"

/* Each function writes at most `size` bytes to `out`, with a zero byte at the end, and cuts before
 * the first character that exceeds `most` bytes of the text, or has no room. Returns the length. */

/* Such bytes become \xNN. */
#define ESCAPED_LEN 4 /* bytes of an escaped byte */
size_t escape_plain(char *out, size_t size, struct slice text, size_t most);

/* The same, and so do spaces, quotes and backslashes: the result is one word, within quotes or
 * not. */
size_t escape_word(char *out, size_t size, struct slice text, size_t most);

/* The inside of a string of JSON (RFC 8259 7), which is also one of logfmt: \uNNNN, and U+FFFD for a
 * byte that is not UTF-8. */
#define ESCAPED_JSON_LEN 6 /* bytes of an escaped character, at most */
size_t escape_json(char *out, size_t size, struct slice text, size_t most);

#endif
