/* A breaker: whether a source is called, or not called for a while after failures. Pure.
 *
 *              failures, pause              pause is over
 *     CLOSED -------------------> OPEN -----------------------> TRYING
 *       ^                          ^ |                            | |
 *       |                          | '-- pause, longer            | |
 *       |                          '-- the trial fails ----------' |
 *       '------------------------------ it succeeds ---------------'
 *
 * CLOSED: every call passes. OPEN: none does. TRYING: the one call that came first after the pause
 * runs, and no other passes. If the trial ends without an
 * outcome (it was cancelled), the state is OPEN again, and the next call is a trial.
 *
 * A pause that the source has asked for opens it as well. If no number of failures is set, such a
 * pause leads directly back to CLOSED.
 *
 * All times are in seconds, by one clock that never jumps.
 */
#ifndef WORKERLESS_SOURCE_BREAKER_H
#define WORKERLESS_SOURCE_BREAKER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/option.h"

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_TRYING };

struct breaker {
    enum breaker_state state;
    struct rate failures;      /* that open it; none: no failure does */
    double cooldown;           /* seconds of a pause after failures */
    double until;              /* end of the pause, while OPEN */
    double *times;             /* of the latest failures, a ring */
    size_t time_count, oldest; /* in the ring */
};

/* Returns false when out of memory; call breaker_end in that case too. */
bool breaker_init(struct breaker *breaker, struct rate failures, double cooldown);
void breaker_end(struct breaker *breaker);

enum breaker_verdict { BREAKER_PASS, BREAKER_TRY, BREAKER_REFUSE };

/* Whether a call may start now; with BREAKER_TRY it is the trial. */
enum breaker_verdict breaker_ask(struct breaker *breaker, double now);

/* Whether breaker_ask would refuse a call. */
bool breaker_refuses(const struct breaker *breaker, double now);

/* How long the pause still takes, in full seconds, at least 1. */
unsigned breaker_pause_s(const struct breaker *breaker, double now);

enum breaker_outcome { BREAKER_SUCCESS, BREAKER_FAILURE, BREAKER_UNKNOWN };

/* A call has ended. `trial`: it was the trial. `pause`: seconds that the source has asked for; 0:
 * it has not. `random`, in [0, 1), makes a cooldown longer by up to a quarter, so that processes do
 * not try at the same moment. */
void breaker_tell(struct breaker *breaker, double now, enum breaker_outcome outcome, bool trial,
                  double pause, double random);

#endif
