/* The clock of all time stamps of the bench. */
#ifndef WORKERLESS_BENCH_CLOCK_H
#define WORKERLESS_BENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

#define SECOND_NS 1000000000u

static inline uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

#endif
