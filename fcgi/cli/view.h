/* The daemon's status as a screen of a terminal. Pure: it knows neither the terminal nor the
 * daemon. */
#ifndef WORKERLESS_CLI_VIEW_H
#define WORKERLESS_CLI_VIEW_H

#include <stdbool.h>

#include "base/buffer.h"

struct snapshot;

struct view {
    int width, height;    /* of the screen */
    bool coloured;        /* whether to write SGR sequences (ECMA-48 8.3.117) */
    const char *line_end; /* between two lines */
};

/* Appends at most `height` lines of at most `width` columns. `before` is an earlier reading, from
 * which rates are computed; NULL: there is none. `trouble` is why there is no newer reading; NULL:
 * `now` is recent. What a terminal would obey is escaped in names. Call setlocale for characters
 * other than ASCII. Returns false when out of memory. */
bool view_draw(const struct view *view, const struct snapshot *before, const struct snapshot *now,
               const char *trouble, struct buffer *out);

#endif
