/* Two clocks: one for intervals within the process, one that the whole fleet shares. */
#ifndef WORKERLESS_BASE_CLOCK_H
#define WORKERLESS_BASE_CLOCK_H

#include <stdbool.h>
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

/* What clock_fleet_ms returns while a turn holds it; 0: nothing is held. */
extern int64_t clock_held_ms;

/* What clock_fleet_ms adds to the time since boot: at first so that it shows what the wall clock
 * showed when the process started; later changed by clock_follow alone. */
extern int64_t clock_offset_us;

/* Milliseconds since 1970, by the clock that the fleet shares: Redis' clock as far as it is known,
 * else the wall clock as it was at the start. A step of the wall clock does not move it. It counts
 * the time that the machine was suspended, as CLOCK_MONOTONIC does not: what was fresh before an
 * hour of sleep is an hour older after it. */
static inline int64_t clock_fleet_ms(void)
{
    struct timespec now;
    if (clock_held_ms)
        return clock_held_ms;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return ((int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 + clock_offset_us) / 1000;
}

/* Holds the clock for one turn of work, which looks at it many times; and lets it go. Turns do not
 * nest. */
static inline void clock_hold(void)
{
    clock_held_ms = clock_fleet_ms();
}

static inline void clock_release(void)
{
    clock_held_ms = 0;
}

/* Microseconds since the machine started. Never jumps. */
int64_t clock_boot_us(void);

/* Sets the fleet's clock by another clock, which showed `theirs_us` (microseconds since 1970) at
 * some moment between the two, by clock_boot_us(). Where in between is not known, so a clock that
 * may be right already, or is off by 10 ms or less, stays as it is: it doesn't jitter, and a slow
 * answer doesn't spoil what a quick one taught. Returns whether it was moved. */
bool clock_follow(int64_t theirs_us, int64_t asked_us, int64_t answered_us);

/* How far the wall clock is ahead of the fleet's, in milliseconds; negative: behind. */
int64_t clock_wall_ahead_ms(void);

#endif
