/* What a hostile front server sends on one connection: requests that are almost valid, and garbage.
 *
 * A script depends only on the numbers of `chance`.
 */
#ifndef WORKERLESS_HOSTILE_GRAMMAR_H
#define WORKERLESS_HOSTILE_GRAMMAR_H

#include "../bench/frames.h"
#include "chance.h"

/* What kind of script it is. */
enum theme {
    THEME_MIXED,      /* everything, one after the other */
    THEME_SOUND,      /* only what a front server would send: reaches the deep states */
    THEME_GREEDY,     /* large answers and streams, for clients that don't read them */
    THEME_UNFINISHED, /* requests of which something is missing */
    THEME_FLOOD,      /* very many records of the same kind */
    THEME_NOISE,      /* not FastCGI at all */
    THEMES,
};

/* Appends a script to `out`, and counts into *requests how many requests begin in it. `max_params`
 * is the limit of the daemon, around which it chooses sizes. */
void grammar_write(struct chance *chance, enum theme theme, size_t max_params, struct frames *out,
                   uint64_t *requests);

#endif
