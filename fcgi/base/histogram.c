/* The bounds, and what can be read from counts. */
#include "base/histogram.h"

/* From a Redis on the same host to the longest timeout that fronts usually have. */
#define BOUND_TABLE(X)                                                                             \
    X(0.0005)                                                                                      \
    X(0.001)                                                                                       \
    X(0.0025)                                                                                      \
    X(0.005)                                                                                       \
    X(0.01)                                                                                        \
    X(0.025)                                                                                       \
    X(0.05)                                                                                        \
    X(0.1)                                                                                         \
    X(0.25)                                                                                        \
    X(0.5)                                                                                         \
    X(1.0)                                                                                         \
    X(2.5)                                                                                         \
    X(5.0)                                                                                         \
    X(10.0)                                                                                        \
    X(25.0)                                                                                        \
    X(60.0)

#define NUMBER(bound) bound,
#define TEXT(bound)   #bound,

const double histogram_bounds[HISTOGRAM_BOUNDS] = {BOUND_TABLE(NUMBER)};
const char *const histogram_bound_texts[HISTOGRAM_BOUNDS] = {BOUND_TABLE(TEXT)};

uint64_t histogram_count(const struct histogram *histogram)
{
    uint64_t count = 0;
    for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
        count += histogram->counts[i];
    return count;
}

double histogram_quantile(const struct histogram *histogram, double share)
{
    double wanted = share * (double)histogram_count(histogram);
    uint64_t count = 0;
    if (histogram_count(histogram) == 0)
        return 0;
    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        count += histogram->counts[i];
        if (count > 0 && (double)count >= wanted)
            return histogram_bounds[i];
    }
    return histogram_bounds[HISTOGRAM_BOUNDS - 1];
}
