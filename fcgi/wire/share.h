/* Which worker of several accepts the next connection from a socket that they share. Pure.
 *
 * A front server keeps connections open, so one that accepts more than others has more work for a
 * long time. A worker with more than its share leaves connections to the others for a moment. If
 * they do not take them, it takes some, and more each time.
 */
#ifndef WORKERLESS_WIRE_SHARE_H
#define WORKERLESS_WIRE_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#define SHARE_MOMENT_S 0.005 /* unless it has its share earlier, as connections end */
#define SHARE_MOST     64    /* connections over its share that it takes after a moment */

struct share {        /* all zero at first */
    unsigned allowed; /* connections over its share that it may take now */
    unsigned moments; /* in a row that it has left connections to others */
};

/* Whether it has more connections than its share, and a little more. */
static inline bool share_is_exceeded(uint64_t mine, uint64_t all, unsigned workers)
{
    uint64_t fair = all / workers;
    return mine > fair + fair / 8 + 1;
}

/* Whether it may accept one more; call it before each. If not, it waits for a moment. */
static inline bool share_take(struct share *share, uint64_t mine, uint64_t all, unsigned workers)
{
    if (!share_is_exceeded(mine, all, workers)) {
        *share = (struct share){0};
        return true;
    }
    if (share->allowed == 0)
        return false;
    share->allowed--;
    return true;
}

/* A moment has passed. */
static inline void share_waited(struct share *share)
{
    if (share->moments < 31)
        share->moments++;
    uint64_t allowed = (uint64_t)1 << (share->moments - 1);
    share->allowed = allowed < SHARE_MOST ? (unsigned)allowed : SHARE_MOST;
}

#endif
