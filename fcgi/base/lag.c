/* The turns of the loop, by the clock readings that libev makes anyway:
 *
 *     libev:  wakes up    reads the clock    calls back ...    reads the clock    sleeps
 *     here:   on_wake                        on_events                            on_sleep
 */
#include "base/lag.h"

#include <ev.h>

#include "base/clock.h"
#include "base/figures.h"
#include "base/histogram.h"

#define TRUSTED_S 0.02 /* a shorter turn was not made by a step of the clock */

static struct histogram *turns; /* NULL: out of memory */
static struct lag *lately;
static enum {
    FIRST, /* the turn that is the start of the process; it is not counted */
    WOKEN,
    WORKING,
} phase;
static double woke, woke_coarse; /* by ev_now(), and by clock_monotonic_coarse() */

void lag_add(struct lag *lag, double now, double seconds)
{
    if (now >= lag->began + LAG_PERIOD_S) {
        lag->longest_before = now < lag->began + 2.0 * LAG_PERIOD_S ? lag->longest : 0;
        lag->longest = 0;
        lag->began = now;
    }
    if (seconds > lag->longest)
        lag->longest = seconds;
}

double lag_longest(const struct lag *lag, double now)
{
    if (now >= lag->began + 2.0 * LAG_PERIOD_S)
        return 0;
    return now >= lag->began + LAG_PERIOD_S || lag->longest > lag->longest_before
               ? lag->longest
               : lag->longest_before;
}

/* How long this turn has taken, by ev_now(); that follows the wall clock, whose steps must not
 * count. */
static double turn_seconds(struct ev_loop *loop)
{
    double seconds = ev_now(loop) - woke;
    if (seconds >= 0 && seconds < TRUSTED_S)
        return seconds;
    double coarse = clock_monotonic_coarse() - woke_coarse;
    double least = coarse - CLOCK_COARSE_S, most = coarse + CLOCK_COARSE_S;
    return seconds < least ? least : seconds > most ? most : seconds;
}

static void on_sleep(struct ev_loop *loop) EV_NOEXCEPT
{
    if (phase != WORKING)
        return;
    double seconds = turn_seconds(loop);
    if (turns)
        histogram_add(turns, seconds);
    if (lately)
        lag_add(lately, woke_coarse + seconds, seconds);
}

static void on_wake(struct ev_loop *loop) EV_NOEXCEPT
{
    (void)loop;
    woke_coarse = clock_monotonic_coarse();
    phase = WOKEN;
}

/* It is also called before the loop sleeps; only the first time is when it has woken up. */
static void on_events(struct ev_loop *loop)
{
    if (phase == WOKEN) {
        woke = ev_now(loop);
        phase = WORKING;
    }
    ev_invoke_pending(loop);
}

void lag_watch(struct ev_loop *loop)
{
    phase = FIRST;
    turns = figures_row(FIGURES_LOOP, "", sizeof *turns);
    lately = figures_row(FIGURES_LOOP_NOW, "", sizeof *lately);
    ev_set_loop_release_cb(loop, on_sleep, on_wake);
    ev_set_invoke_pending_cb(loop, on_events);
}
