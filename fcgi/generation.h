/* Configs in use. A reload begins a new one; each earlier one stays until the last request, flight
 * or response that began with it has ended.
 *
 *     conf --> generation_new --> generation_begin --> current
 *                                                        |  the next one begins
 *                                                        v
 *                                        until its users are gone --> freed, with the sources that
 *                                                                     no other generation has
 *
 * A source whose settings are the same in the next config passes on to it as it is, with its
 * connections, queues, breaker and counts.
 */
#ifndef WORKERLESS_GENERATION_H
#define WORKERLESS_GENERATION_H

#include <ev.h>

#include "source/source.h"

struct conf;
struct flights;
struct generation;

/* All of a process. */
struct generations {
    struct source_environment environment;
    struct flights *flights; /* borrowed */
    struct generation *list; /* all, the latest first */
    struct generation *current;
    ev_timer reaper; /* active while there is one without users */
};

/* The environment is copied. Its loop and the flights must outlive what is made here;
 * generations_end may be called before the flights are freed, but not before they have all ended. */
void generations_init(struct generations *all, const struct source_environment *environment,
                      struct flights *flights);

/* Gets a config ready for use, with its sources. Takes it, also if this fails. Returns NULL when
 * out of memory, or if a source can't be created, which has been logged. */
struct generation *generation_new(struct generations *all, struct conf *conf);

/* Makes it the current one. */
void generation_begin(struct generation *generation);

/* Drops one that has not begun. Its config is freed as well. */
void generation_drop(struct generation *generation);

struct conf *generation_conf(const struct generation *generation);

/* Frees all, which nobody uses any more. May be called without generations_init, on zeros. */
void generations_end(struct generations *all);

#endif
