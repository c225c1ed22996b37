/* Counts changes of keys, so that a value read before a change is not used after it.
 *
 * The reply with an entry and the message that it has changed come over two connections, so either
 * may be first. A reader notes the count when it asks; the reply is valid if the count is the same.
 */
#ifndef WORKERLESS_CACHE_CHANGES_H
#define WORKERLESS_CACHE_CHANGES_H

#include <stdint.h>

#include "base/slice.h"

#define CHANGES_COUNTERS 4096

/* All zero at first. Keys share counters by hash: a collision may cost a fill, never coherence. */
struct changes {
    uint32_t of_keys[CHANGES_COUNTERS];
    uint32_t of_all; /* changes that any key may have had */
};

/* Returns a different number than before if the key may have changed meanwhile. */
uint32_t changes_count(const struct changes *changes, struct slice key);

/* The key has changed. */
void changes_note(struct changes *changes, struct slice key);

/* Any key may have changed. */
void changes_note_all(struct changes *changes);

#endif
