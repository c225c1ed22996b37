/* The Link headers of a page's fragments. Pure. */
#ifndef WORKERLESS_WEB_LINKS_H
#define WORKERLESS_WEB_LINKS_H

#include <stddef.h>

#include "base/slice.h"

#define LINKS_MAX 1024 /* bytes of header fields */

struct links { /* all zero: none */
    size_t len;
    char text[LINKS_MAX]; /* a line "link: ...\r\n" for each field */
};

/* Adds those of a fragment, which are among the header fields that are kept with it, if all that they do
 * is to let browsers load something early: others, such as rel=canonical, say something of the fragment
 * and not of the page. What is there already is left out, and so is what has no room. */
void links_add(struct links *links, struct slice kept);

static inline struct slice links_text(const struct links *links)
{
    return (struct slice){.data = links->text, .len = links->len};
}

#endif
