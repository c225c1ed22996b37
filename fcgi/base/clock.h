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
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Milliseconds since 1970. */
static inline int64_t clock_wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#endif
