/* How late the event loop is: how long its turns take, from waking up to sleeping again.
 *
 * Whatever happens during a turn waits for its end, so the longest turn is the most that anything
 * was late because of us. Measuring it costs next to nothing: libev reads the clock anyway.
 */
#ifndef WORKERLESS_BASE_LAG_H
#define WORKERLESS_BASE_LAG_H

struct ev_loop;

#define LAG_PERIOD_S 30

/* The longest turns of a process, in seconds. All zero: there was none. */
struct lag {
    double longest, longest_before; /* in this period, and in the one before */
    double began;                   /* this period, by clock_monotonic() */
};

/* Measures the turns of the loop from now on: their durations go into the figures (FIGURES_LOOP, a
 * struct histogram), the longest ones as well (FIGURES_LOOP_NOW, a struct lag). One loop at a time.
 */
void lag_watch(struct ev_loop *loop);

/* A turn ended at `now` that lasted so long. */
void lag_add(struct lag *lag, double now, double seconds);

/* The longest turn of the last LAG_PERIOD_S to 2 * LAG_PERIOD_S seconds. */
double lag_longest(const struct lag *lag, double now);

#endif
