/* The states of a breaker, and a ring of the times of its latest failures. */
#include "source/breaker.h"

#include <stdlib.h>

#include "base/alloc.h"

/* A sum of times may be off by less than this. */
#define ROUNDING_S 1e-6

bool breaker_init(struct breaker *breaker, struct rate failures, double cooldown)
{
    *breaker = (struct breaker){.failures = failures, .cooldown = cooldown};
    if (failures.count > 0)
        breaker->times = alloc_zeroed(failures.count * sizeof *breaker->times);
    return failures.count == 0 || breaker->times;
}

void breaker_end(struct breaker *breaker)
{
    free(breaker->times);
    breaker->times = NULL;
}

enum breaker_verdict breaker_ask(struct breaker *breaker, double now)
{
    if (breaker->state == BREAKER_CLOSED)
        return BREAKER_PASS;
    if (breaker_refuses(breaker, now))
        return BREAKER_REFUSE;
    bool tries = breaker->failures.count > 0;
    breaker->state = tries ? BREAKER_TRYING : BREAKER_CLOSED;
    return tries ? BREAKER_TRY : BREAKER_PASS;
}

bool breaker_refuses(const struct breaker *breaker, double now)
{
    return breaker->state == BREAKER_TRYING ||
           (breaker->state == BREAKER_OPEN && now < breaker->until);
}

unsigned breaker_pause_s(const struct breaker *breaker, double now)
{
    double left = breaker->state == BREAKER_OPEN ? breaker->until - now : 0;
    unsigned seconds = left > 1 ? (unsigned)left : 1;
    return left - seconds > ROUNDING_S ? seconds + 1 : seconds;
}

static void breaker_open(struct breaker *breaker, double until)
{
    breaker->state = BREAKER_OPEN;
    breaker->until = until;
    breaker->time_count = breaker->oldest = 0;
}

/* Adds a failure. Returns whether there were enough of them in the time. */
static bool count_failure(struct breaker *breaker, double now)
{
    size_t most = breaker->failures.count;
    if (most == 0)
        return false;
    if (breaker->time_count < most)
        breaker->times[breaker->time_count++] = now;
    else {
        breaker->times[breaker->oldest] = now;
        breaker->oldest = (breaker->oldest + 1) % most;
    }
    return breaker->time_count == most &&
           now - breaker->times[breaker->oldest] <= breaker->failures.seconds;
}

/* A call that began while CLOSED has ended: opens the breaker if there were too many failures. */
static void count_call(struct breaker *breaker, double now, enum breaker_outcome outcome,
                       double cooldown)
{
    if (outcome == BREAKER_FAILURE && count_failure(breaker, now))
        breaker_open(breaker, now + cooldown);
}

static void end_trial(struct breaker *breaker, double now, enum breaker_outcome outcome,
                      double cooldown)
{
    if (outcome == BREAKER_SUCCESS)
        breaker->state = BREAKER_CLOSED;
    else
        breaker_open(breaker, outcome == BREAKER_FAILURE ? now + cooldown : breaker->until);
}

void breaker_tell(struct breaker *breaker, double now, enum breaker_outcome outcome, bool trial,
                  double pause, double random)
{
    double cooldown = breaker->cooldown * (1 + random / 4);
    if (trial)
        end_trial(breaker, now, outcome, cooldown);
    else if (breaker->state == BREAKER_CLOSED)
        count_call(breaker, now, outcome, cooldown);
    /* A call that began before the pause, and ends during the trial, says nothing new. */
    if (pause <= 0 || breaker->state == BREAKER_TRYING)
        return;
    if (breaker->state == BREAKER_CLOSED)
        breaker_open(breaker, now + pause);
    else if (breaker->until < now + pause)
        breaker->until = now + pause;
}
