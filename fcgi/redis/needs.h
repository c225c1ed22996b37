/* What the user of the client needs from Redis. */
#ifndef WORKERLESS_REDIS_NEEDS_H
#define WORKERLESS_REDIS_NEEDS_H

#include <stdbool.h>
#include <stddef.h>

#define REDIS_PREFIXES_MAX    4
#define REDIS_PROBE_WORDS_MAX 4

/* Words of a command: CLIENT TRACKING with that many prefixes has the most. */
#define REDIS_WORDS_MAX (7 + 2 * REDIS_PREFIXES_MAX)

/* A command that changes nothing; it shows whether an ACL permits commands like it. */
struct redis_probe {
    const char *words[REDIS_PROBE_WORDS_MAX]; /* NULL after the last, if there are fewer */
    bool in_doubt;                            /* sent only after something has been denied */
};

struct redis_needs { /* strings and probes are borrowed and outlive the client */
    const char *prefixes[REDIS_PREFIXES_MAX]; /* of keys to track; NULL after the last */
    size_t value_max;                         /* bytes of the largest value that is read */
    const struct redis_probe *probes;
    size_t probe_count;
};

#endif
