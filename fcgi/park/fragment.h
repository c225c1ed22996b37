/* A requested fragment: how it is generated, its cache key, and what its source is told.
 *
 * The caller fills one in and lends it for the call; a flight, which lives longer, makes a copy. A
 * new input that fragments depend on becomes a new member here, and a line in each of the two
 * functions below.
 */
#ifndef WORKERLESS_PARK_FRAGMENT_H
#define WORKERLESS_PARK_FRAGMENT_H

#include <string.h>

#include "base/slice.h"
#include "park/recipe.h"

struct fragment {
    const struct recipe *recipe; /* belongs to the config */
    struct slice key;            /* identifies it in the cache */
    struct slice name;           /* passed to its source */
};

/* Bytes of text that fragment_copy needs. */
static inline size_t fragment_text_len(const struct fragment *fragment)
{
    return fragment->key.len + fragment->name.len;
}

/* Returns the same fragment with its bytes copied to `text`, which the caller owns. */
static inline struct fragment fragment_copy(const struct fragment *fragment, char *text)
{
    struct fragment copy = *fragment;
    memcpy(text, fragment->key.data, fragment->key.len);
    copy.key.data = text;
    memcpy(text + fragment->key.len, fragment->name.data, fragment->name.len);
    copy.name.data = text + fragment->key.len;
    return copy;
}

#endif
