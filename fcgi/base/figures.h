/* Figures that several processes add up: rows of numbers, found by their kind and name.
 *
 * Each process writes only its own rows, with plain instructions, and reads those of all. Rows are
 * never freed. Without workers there is one part, in ordinary memory. With them, the supervisor
 * makes a part for each worker, and after them one for itself, in memory that all share; a new
 * worker with the number of a dead one goes on with its rows.
 *
 *     supervisor   figures_share, then fork
 *     worker       figures_join, then figures_row for what it counts
 *     any          for each part: figures_of
 */
#ifndef WORKERLESS_BASE_FIGURES_H
#define WORKERLESS_BASE_FIGURES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum figures_kind {
    FIGURES_COUNTERS, /* of base/counters.h */
    FIGURES_ROUTE,    /* a struct route_tally, by pattern */
    FIGURES_SOURCE,   /* a struct source_tally, by name */
    FIGURES_REDIS,    /* a struct histogram of commands */
    FIGURES_LOOP,     /* a struct histogram of turns */
    FIGURES_NOW,      /* from here on, current numbers: they end with their process */
    FIGURES_SOURCE_NOW,
    FIGURES_LOOP_NOW, /* a struct lag */
};

/* Makes parts for that many workers and this process, each with room for rows of that many bytes.
 * From now on the rows of this process are in its part. Returns false when out of memory. */
bool figures_share(unsigned workers, size_t bytes);

/* In a new process: from now on its rows are in that part. */
void figures_join(unsigned worker);

/* In the supervisor, when the worker has ended: clears its current numbers. */
void figures_end(unsigned worker);

bool figures_are_shared(void);

/* The number of parts: at least 1. */
unsigned figures_parts(void);

/* The number of workers; 0: they are not shared. */
unsigned figures_workers(void);

/* How many processes have joined the part so far. */
unsigned figures_joined(unsigned part);

/* The process that signals are for: the supervisor, or this one. */
pid_t figures_leader(void);

/* When the parts were made, by clock_monotonic(); 0 if they are not shared. */
double figures_since(void);

/* This process' row of that kind and name, all zero at first. The size is always the same for a
 * kind. If the shared part is full, others will not see the row; this is logged. Returns NULL when
 * out of memory. */
void *figures_row(enum figures_kind kind, const char *name, size_t size);

/* The row in that part, or NULL. */
const void *figures_of(unsigned part, enum figures_kind kind, const char *name);

#endif
