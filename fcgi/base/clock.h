/* The two clocks: one for intervals, one for what other hosts and HTTP understand. */
#ifndef WORKERLESS_BASE_CLOCK_H
#define WORKERLESS_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Seconds since some start; never jumps. */
static inline double clock_monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

#define CLOCK_COARSE_S 0.011 /* more than what the coarse one may be behind (CONFIG_HZ is >= 100) */

/* The same, behind by less than CLOCK_COARSE_S, for a tenth of the price. */
static inline double clock_monotonic_coarse(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* What clock_wall_ms returns while a turn holds it; 0: nothing is held. */
extern int64_t clock_held_ms;

/* Milliseconds since 1970. */
static inline int64_t clock_wall_ms(void)
{
    struct timespec now;
    if (clock_held_ms)
        return clock_held_ms;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Holds the clock for one turn of work, which looks at it many times; and lets it go. Turns do not
 * nest. */
static inline void clock_hold(void)
{
    clock_held_ms = clock_wall_ms();
}

static inline void clock_release(void)
{
    clock_held_ms = 0;
}

#endif
