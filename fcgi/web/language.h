/* Chooses a language by the Accept-Language header: the lookup of RFC 4647 section 3.4. Pure. */
#ifndef WORKERLESS_WEB_LANGUAGE_H
#define WORKERLESS_WEB_LANGUAGE_H

#include "base/slice.h"

#define LANGUAGE_TAGS_MAX 32 /* in one list */

/* Returns one of `tags`, a list of 1 to LANGUAGE_TAGS_MAX of them with commas between.
 *
 * The ranges of `accept` are tried by their weight (RFC 9110 12.4.2, 12.5.4), and in the order of
 * the header if that is equal. Each is shortened from its end until a tag is equal to it. If none
 * leads to a tag, the first tag is the default. "*" stands for the default. A tag that the client
 * excludes by a weight of 0 is not chosen, unless all are excluded. What is malformed in the header
 * is ignored. */
struct slice language_lookup(struct slice tags, struct slice accept);

#endif
