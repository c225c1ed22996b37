/* A requested fragment: how it is generated, its cache key, and what its source gets.
 *
 * The caller fills one in and lends it for the call; a flight, which lives longer, makes a copy.
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
    size_t rest_at;              /* where the part that the * of its pattern matches begins */
    struct inputs inputs;        /* passed to its source; its key holds them */
    struct slice variables;      /* of the client's request, as PARAMS has them; a flight keeps
                                    those that identify the request, see trace.h */
};

/* Bytes of text that fragment_copy needs. */
static inline size_t fragment_text_len(const struct fragment *fragment)
{
    return fragment->key.len + fragment->name.len + fragment->inputs.packed.len +
           fragment->variables.len;
}

/* Moves the slice to *text, and *text behind it. */
static inline void fragment_copy_slice(struct slice *slice, char **text)
{
    if (slice->len > 0)
        memcpy(*text, slice->data, slice->len);
    slice->data = *text;
    *text += slice->len;
}

/* Returns the same fragment with its bytes copied to `text`, which the caller owns. */
static inline struct fragment fragment_copy(const struct fragment *fragment, char *text)
{
    struct fragment copy = *fragment;
    fragment_copy_slice(&copy.key, &text);
    fragment_copy_slice(&copy.name, &text);
    fragment_copy_slice(&copy.inputs.packed, &text);
    fragment_copy_slice(&copy.variables, &text);
    return copy;
}

#endif
