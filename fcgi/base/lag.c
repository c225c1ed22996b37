/* The turns of the loop. libev tells when it is about to sleep, and when it has woken up. */
#include "base/lag.h"

#include <ev.h>

#include "base/clock.h"
#include "base/figures.h"
#include "base/histogram.h"

static struct histogram *turns; /* NULL: out of memory */
static struct lag *lately;
static double woke; /* 0: the first turn, which is the start of the process, is not counted */

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

static void on_sleep(struct ev_loop *loop) EV_NOEXCEPT
{
    double now = clock_monotonic();
    (void)loop;
    if (!(woke > 0))
        return;
    if (turns)
        histogram_add(turns, now - woke);
    if (lately)
        lag_add(lately, now, now - woke);
}

static void on_wake(struct ev_loop *loop) EV_NOEXCEPT
{
    (void)loop;
    woke = clock_monotonic();
}

void lag_watch(struct ev_loop *loop)
{
    woke = 0;
    turns = figures_row(FIGURES_LOOP, "", sizeof *turns);
    lately = figures_row(FIGURES_LOOP_NOW, "", sizeof *lately);
    ev_set_loop_release_cb(loop, on_sleep, on_wake);
}
