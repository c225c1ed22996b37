/* Random numbers that depend on a seed alone (splitmix64), so that a run can be repeated. */
#ifndef WORKERLESS_HOSTILE_CHANCE_H
#define WORKERLESS_HOSTILE_CHANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chance {
    uint64_t state;
};

static inline uint64_t chance_next(struct chance *chance)
{
    uint64_t mixed = chance->state += 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
}

/* One of the n numbers from 0 to n - 1. */
static inline unsigned chance_below(struct chance *chance, unsigned n)
{
    return (unsigned)((chance_next(chance) >> 32) * n >> 32);
}

/* From least to most, both included. */
static inline unsigned chance_range(struct chance *chance, unsigned least, unsigned most)
{
    return least + chance_below(chance, most - least + 1);
}

static inline bool chance_percent(struct chance *chance, unsigned percent)
{
    return chance_below(chance, 100) < percent;
}

/* From least to most, each order of magnitude with the same probability. */
static inline unsigned chance_magnitude(struct chance *chance, unsigned least, unsigned most)
{
    unsigned top = least;
    while (top < most && chance_percent(chance, 60))
        top = top >= most / 2 ? most : top * 2 + 1;
    return chance_range(chance, least, top);
}

#endif
