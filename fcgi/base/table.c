/* The secret of the process's hash tables. */
#include "base/table.h"

#include <stdbool.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

/* Early at boot there may be no random bytes yet; then values that are hard to guess must do. */
static uint64_t seed_make(void)
{
    uint64_t seed;
    struct timespec now;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) == (ssize_t)sizeof seed)
        return seed;
    clock_gettime(CLOCK_REALTIME, &now);
    return ((uint64_t)now.tv_sec << 32) ^ (uint64_t)now.tv_nsec ^ ((uint64_t)getpid() << 48) ^
           (uintptr_t)&now;
}

uint64_t table_hash(const void *bytes, size_t len)
{
    static uint64_t seed;
    static bool seeded;
    if (!seeded) {
        seed = seed_make();
        seeded = true;
    }
    return XXH3_64bits_withSeed(bytes, len, seed);
}
