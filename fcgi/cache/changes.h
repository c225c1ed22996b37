/* How often a key has changed: what was read before a change does not count after it.
 *
 * The reply that brings an entry and the message that it has changed come by two connections, so
 * either may be first. Whoever asks notes the count then, and the reply is good if it is the same.
 */
#ifndef WORKERLESS_CACHE_CHANGES_H
#define WORKERLESS_CACHE_CHANGES_H

#include <stdint.h>

#include "base/slice.h"

#define CHANGES_COUNTERS 4096

/* All zero at first. Keys share the counters by hash: a collision costs a fill, never coherence. */
struct changes {
    uint32_t of_keys[CHANGES_COUNTERS];
    uint32_t of_all; /* changes that any key may have had */
};

/* Another number than before if the key may have changed meanwhile. */
uint32_t changes_count(const struct changes *changes, struct slice key);

/* The key has changed. */
void changes_note(struct changes *changes, struct slice key);

/* Any key may have. */
void changes_note_all(struct changes *changes);

#endif
