/* One fragment that is asked for: how it is made, what it is cached as, what its source is told.
 *
 * Whoever asks fills one in and lends it; nobody keeps its slices beyond the call. What lives
 * longer, a flight, takes a copy. An input that a fragment depends on becomes one more member here,
 * and one more line in each of the two functions below.
 */
#ifndef WORKERLESS_PARK_FRAGMENT_H
#define WORKERLESS_PARK_FRAGMENT_H

#include <string.h>

#include "base/slice.h"
#include "park/recipe.h"

struct fragment {
    const struct recipe *recipe; /* belongs to the config */
    struct slice key;            /* tells it apart from all others in the cache */
    struct slice name;           /* what its source is asked for */
};

/* Bytes that fragment_copy needs. */
static inline size_t fragment_text_len(const struct fragment *fragment)
{
    return fragment->key.len + fragment->name.len;
}

/* The same fragment with its bytes in `text`, whose memory is the caller's. */
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
