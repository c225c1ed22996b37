/* A histogram of nanoseconds that is exact to 1.6 %: 64 steps for every power of two. */
#ifndef WORKERLESS_BENCH_HISTOGRAM_H
#define WORKERLESS_BENCH_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define HISTOGRAM_STEPS 64
#define HISTOGRAM_SLOTS (36 * HISTOGRAM_STEPS) /* to 2^41 ns, some 36 minutes */

struct histogram { /* all zero: empty */
    uint64_t counts[HISTOGRAM_SLOTS];
    uint64_t total;
    uint64_t max;
};

static inline void histogram_add(struct histogram *histogram, uint64_t ns)
{
    size_t slot = (size_t)ns;
    if (ns >= 2 * HISTOGRAM_STEPS) {
        /* The seven leading bits: 64 to 127. */
        unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - 6u;
        slot = (size_t)shift * HISTOGRAM_STEPS + (size_t)(ns >> shift);
    }
    if (slot >= HISTOGRAM_SLOTS)
        slot = HISTOGRAM_SLOTS - 1;
    histogram->counts[slot]++;
    histogram->total++;
    if (ns > histogram->max)
        histogram->max = ns;
}

/* The time that `share` (0 to 1) of the values do not exceed; 0 if there are none. */
static inline uint64_t histogram_percentile(const struct histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)histogram->total + 0.5), seen = 0;
    if (wanted == 0)
        wanted = 1;
    for (size_t slot = 0; slot < HISTOGRAM_SLOTS; slot++) {
        seen += histogram->counts[slot];
        if (seen < wanted)
            continue;
        if (slot < 2 * HISTOGRAM_STEPS)
            return slot;
        unsigned shift = (unsigned)(slot / HISTOGRAM_STEPS) - 1;
        uint64_t leading = slot % HISTOGRAM_STEPS + HISTOGRAM_STEPS;
        uint64_t upper = ((leading + 1) << shift) - 1;
        return upper < histogram->max ? upper : histogram->max;
    }
    return histogram->max;
}

static inline void histogram_clear(struct histogram *histogram)
{
    memset(histogram, 0, sizeof *histogram);
}

#endif
