/* The skeleton of a page: HTML with placeholders, each of which a fragment replaces. Pure.
 *
 *     <?start name="a">Loading…<?end>      or, without content,      <?marker name="a">
 *
 * <?start>, <?marker> and <?end> are the marks of out-of-order patching (WHATWG HTML): a browser
 * that knows it replaces a placeholder by the <template for="a"> that comes later in the page.
 * Within comments, raw text, <noscript> and <template> they are no marks. */
#ifndef WORKERLESS_RENDER_SKELETON_H
#define WORKERLESS_RENDER_SKELETON_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

#define SKELETON_MAX        4096 /* placeholders */
#define SKELETON_LINKS_MAX  1024 /* bytes of header fields */
#define SKELETON_PHRASE_MAX 600

struct placeholder {
    struct slice name; /* as it is written, without quotes; not empty, and without '&' */
    size_t begin, end; /* offsets of its first mark, and of what follows its last one */
};

struct skeleton {
    struct slice text;        /* owned */
    struct placeholder *list; /* owned, in the order of the text */
    size_t count;             /* of placeholders */
    size_t tail;              /* offset of what ends the page, such as </body></html> */
    struct slice links; /* owned: a line "Link: …\r\n" for each <link> that lets browsers load
                                 something early, up to SKELETON_LINKS_MAX bytes */
};

/* Why a text is no skeleton. */
struct skeleton_problem {
    size_t line, column;              /* from 1; columns are characters. Line 0: out of memory */
    char phrase[SKELETON_PHRASE_MAX]; /* such as: the placeholder "a" has no <?end> */
};

/* Reads the text, which it takes if it succeeds. Returns what the caller owns, or NULL with the
 * problem. */
struct skeleton *skeleton_read(struct slice text, struct skeleton_problem *problem);

/* Whether links of that relation only let browsers load something early. */
bool skeleton_is_early(struct slice rel);

/* NULL is allowed. */
void skeleton_free(struct skeleton *skeleton);

#endif
