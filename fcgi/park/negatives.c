/* A ring of the latest expiry times. They are in ascending order, so there is room for one more
 * exactly if the oldest has passed. */
#include "park/negatives.h"

#include <stdlib.h>

#include "base/alloc.h"

struct negatives {
    size_t most, oldest;
    double expiries[]; /* 0: none yet */
};

struct negatives *negatives_new(size_t most)
{
    struct negatives *negatives = alloc_zeroed(sizeof *negatives + most * sizeof(double));
    if (negatives)
        negatives->most = most;
    return negatives;
}

void negatives_free(struct negatives *negatives)
{
    free(negatives);
}

bool negatives_take(struct negatives *negatives, double now, double seconds)
{
    double *oldest = &negatives->expiries[negatives->oldest];
    if (*oldest > now)
        return false;
    *oldest = now + seconds;
    negatives->oldest = (negatives->oldest + 1) % negatives->most;
    return true;
}
