/* What a connection has still to write: framing of our own, and bodies by reference. All of it
 * counts in BUDGET_UNSENT.
 *
 *     [own bytes][entry's bytes][own bytes]...  --writev-->  socket
 *
 * An entry's body is not copied, unless it is tiny: the queue keeps a reference until the kernel has
 * the last byte.
 */
#ifndef WORKERLESS_WIRE_OUTPUT_H
#define WORKERLESS_WIRE_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

/* So many queues that were empty can be written to without asking the allocator. */
#define OUTPUT_SPARES 16

struct entry;
struct segment;

struct output { /* all zero: empty, holds no memory */
    struct segment *first, *last;
    size_t queued; /* bytes not yet taken by the kernel */
};

/* Room for `len` own bytes at the end of the queue, to be written by the caller at once. NULL when
 * memory is refused. */
char *output_reserve(struct output *output, size_t len);

/* Gives back the last `len` bytes of the room that was just reserved. */
void output_return(struct output *output, size_t len);

/* Queues bytes that live elsewhere: in `entry`, which is referenced until they are written, or,
 * when `entry` is NULL, in memory that outlives the connection. False when memory is refused. */
bool output_append(struct output *output, struct slice bytes, struct entry *entry);

enum output_state { OUTPUT_EMPTY, OUTPUT_BLOCKED, OUTPUT_FAILED };

/* What is queued counts in BUDGET_UNSENT, entries that others hold as well included. */
size_t output_unsent(const struct output *output);

/* Writes what the socket takes. */
enum output_state output_write(struct output *output, int fd);

/* Drops what is queued. May be called twice. */
void output_free(struct output *output);

#endif
