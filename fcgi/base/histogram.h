/* How many times took how long: counts by fixed bounds. Pure.
 *
 * The bounds are the same for all histograms, so that they can be added and compared.
 */
#ifndef WORKERLESS_BASE_HISTOGRAM_H
#define WORKERLESS_BASE_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BOUNDS 16

/* Upper bounds in seconds, and the same as text. A time belongs to the first bound that is not less
 * than it; the last count of a histogram is for longer times. */
extern const double histogram_bounds[HISTOGRAM_BOUNDS];
extern const char *const histogram_bound_texts[HISTOGRAM_BOUNDS];

struct histogram { /* all zero: empty */
    uint64_t counts[HISTOGRAM_BOUNDS + 1];
    double sum; /* seconds */
};

/* A negative time, by a clock that lags, counts as 0. */
static inline void histogram_add(struct histogram *histogram, double seconds)
{
    size_t at = 0;
    if (!(seconds > 0))
        seconds = 0;
    while (at < HISTOGRAM_BOUNDS && seconds > histogram_bounds[at])
        at++;
    histogram->counts[at]++;
    histogram->sum += seconds;
}

/* How many times were added. */
uint64_t histogram_count(const struct histogram *histogram);

/* The least bound within which at least that share (0 to 1) of the times are, in seconds; 0 if
 * there are none; the last bound if they are longer. */
double histogram_quantile(const struct histogram *histogram, double share);

#endif
