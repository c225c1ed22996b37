/* What a hostile front server says on one connection: requests that are nearly sound, and bytes
 * that are not.
 *
 * A script depends on the numbers that `chance` gives and on nothing else.
 */
#ifndef WORKERLESS_HOSTILE_GRAMMAR_H
#define WORKERLESS_HOSTILE_GRAMMAR_H

#include "../bench/frames.h"
#include "chance.h"

/* What kind of script it is. */
enum theme {
    THEME_MIXED,      /* everything, one after the other */
    THEME_SOUND,      /* only what a front server would send: reaches the deep states */
    THEME_GREEDY,     /* large answers and streams, for those who don't read them */
    THEME_UNFINISHED, /* requests of which something is missing */
    THEME_FLOOD,      /* very many records of the same kind */
    THEME_NOISE,      /* no FastCGI at all */
    THEMES,
};

/* Appends a script to `out`, and counts into *requests how many requests begin in it. The limits of
 * the daemon's that it plays around: max_params. */
void grammar_write(struct chance *chance, enum theme theme, size_t max_params, struct frames *out,
                   uint64_t *requests);

#endif
