/* Two clocks: one for intervals within the process, one that all processes of the fleet share. */
#ifndef WORKERLESS_BASE_CLOCK_H
#define WORKERLESS_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* Seconds since an arbitrary start. Never jumps. */
static inline double clock_monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

#define CLOCK_COARSE_S 0.011 /* more than the coarse clock may lag (CONFIG_HZ is >= 100) */

/* The same, but it lags by less than CLOCK_COARSE_S and costs a tenth. */
static inline double clock_monotonic_coarse(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* The result of clock_fleet_ms while the clock is held; 0: it is not held. */
extern int64_t clock_held_ms;

/* Added to the time since boot by clock_fleet_ms. At first it makes the clock agree with the wall
 * clock at the start of the process; later only clock_follow changes it. */
extern int64_t clock_offset_us;

/* Milliseconds since 1970, by the clock that the fleet shares: the clock of Redis if known, else
 * the wall clock at the start of the process. A step of the wall clock does not move it. Unlike
 * CLOCK_MONOTONIC it counts the time that the machine was suspended: after an hour of sleep, an
 * entry is an hour older. */
static inline int64_t clock_fleet_ms(void)
{
    struct timespec now;
    if (clock_held_ms)
        return clock_held_ms;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return ((int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 + clock_offset_us) / 1000;
}

/* Holds the clock during work that reads it many times, until clock_release. Does not nest. */
static inline void clock_hold(void)
{
    clock_held_ms = clock_fleet_ms();
}

static inline void clock_release(void)
{
    clock_held_ms = 0;
}

/* Microseconds since the machine booted. Never jumps. */
int64_t clock_boot_us(void);

/* Sets the fleet's clock from another clock, which showed `theirs_us` (microseconds since 1970) at
 * an unknown moment between `asked_us` and `answered_us`, by clock_boot_us(). If our clock may be
 * right already, or is off by 10 ms or less, it stays as it is: so it does not jitter, and a slow
 * answer does not undo a more exact one. Returns whether the clock was moved. */
bool clock_follow(int64_t theirs_us, int64_t asked_us, int64_t answered_us);

/* How far the wall clock is ahead of the fleet's clock, in milliseconds; negative: behind. */
int64_t clock_wall_ahead_ms(void);

#endif
