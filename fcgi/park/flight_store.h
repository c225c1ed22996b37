/* What a flight stores, and with which lease. Only for flight_call.c. */
#ifndef WORKERLESS_PARK_FLIGHT_STORE_H
#define WORKERLESS_PARK_FLIGHT_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/entry.h"
#include "park/flight_state.h"

struct source_terms;

/* Notes why its result is not stored; `detail` (NULL: none) follows. */
void flight_note_unstored(struct flight *flight, const char *why, const char *detail);

/* Stores the entry until then, and gives the lease up. `same_body` is an older entry with its body,
 * or NULL. Without a lease, a solo flight's entry, or a marker instead of an old entry, replaces
 * only what the flight knows. Returns false if it is certain that it is not stored. */
bool flight_store(struct flight *flight, struct entry *entry, int64_t until_ms,
                  struct entry *same_body);

/* Stores a failure, or an old entry that it has prolonged; in memory only, if its route has too
 * many failures in Redis. Gives the lease up. */
void flight_remember(struct flight *flight, struct entry *kept, int64_t until_ms);

/* Stores a marker if one is needed, and returns it owned, or NULL. Gives the lease up. */
struct entry *flight_mark(struct flight *flight, const struct source_terms *terms);

#endif
