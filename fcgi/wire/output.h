/* The output queue of a connection: our own framing, and bodies by reference. All of it counts in
 * BUDGET_UNSENT.
 *
 *     [own bytes][entry's bytes][own bytes]...  --writev-->  socket
 *
 * An entry's body is not copied unless it is tiny: the queue holds a reference until the kernel has
 * accepted the last byte.
 */
#ifndef WORKERLESS_WIRE_OUTPUT_H
#define WORKERLESS_WIRE_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

/* This many empty queues can be filled without calling the allocator. */
#define OUTPUT_SPARES 16

struct entry;
struct users;
struct segment;

struct output { /* all zero: empty, holds no memory */
    struct segment *first, *last;
    size_t queued; /* bytes that the kernel has not accepted yet */
};

/* Reserves `len` own bytes at the end of the queue, which the caller fills in immediately. Returns
 * NULL when out of memory. */
char *output_reserve(struct output *output, size_t len);

/* Returns the last `len` bytes of what was just reserved. */
void output_return(struct output *output, size_t len);

/* Queues bytes that are stored elsewhere: in `entry`, which is referenced until they are written;
 * or in what `users` counts, where they are counted until then; or, if both are NULL, in memory that
 * outlives the connection. Returns false when out of memory. */
bool output_append(struct output *output, struct slice bytes, struct entry *entry,
                   struct users *users);

enum output_state { OUTPUT_EMPTY, OUTPUT_BLOCKED, OUTPUT_FAILED };

/* Bytes that the queue counts in BUDGET_UNSENT, including entries that others hold as well. */
size_t output_unsent(const struct output *output);

/* Writes as much as the socket accepts. */
enum output_state output_write(struct output *output, int fd);

/* Drops the queue. May be called twice. */
void output_free(struct output *output);

#endif
