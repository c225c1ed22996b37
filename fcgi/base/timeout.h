/* Many timeouts of one duration with a single timer.
 *
 * All timeouts of a queue have the same duration, so appending keeps the queue in order of expiry.
 * Starting, restarting and stopping are O(1), and only the oldest one needs a timer in the loop.
 */
#ifndef WORKERLESS_BASE_TIMEOUT_H
#define WORKERLESS_BASE_TIMEOUT_H

#include <stdbool.h>
#include <ev.h>

struct timeout_queue;

struct timeout { /* embedded in the struct that it is for; all zero: stopped */
    struct timeout *next, *prev;
    struct timeout_queue *queue; /* NULL when stopped */
    double at;                   /* by clock_monotonic() */
};

/* Called with the timeout already stopped. It may start, stop and free any timeout. */
typedef void timeout_fn(void *context, struct timeout *timeout);

struct timeout_queue {
    struct ev_loop *loop;
    ev_timer timer;
    double seconds;
    struct timeout *oldest, *newest;
    timeout_fn *expired;
    void *context;
};

/* `context` is borrowed as long as the queue exists. */
void timeout_queue_init(struct timeout_queue *queue, struct ev_loop *loop, double seconds,
                        timeout_fn *expired, void *context);

/* Stops the timer and drops every timeout in the queue. May be called twice. */
void timeout_queue_stop(struct timeout_queue *queue);

/* Changes the duration, also of the timeouts in the queue, counted from their start. It costs a step
 * for each of them. */
void timeout_queue_set(struct timeout_queue *queue, double seconds);

/* Starts or restarts the timeout from now; removes it from any other queue first. */
void timeout_start(struct timeout_queue *queue, struct timeout *timeout);

/* As timeout_start, for something that began so many seconds ago. It costs a step for each timeout
 * of the queue that expires later. */
void timeout_start_late(struct timeout_queue *queue, struct timeout *timeout, double seconds);

/* Does nothing to a stopped timeout. */
void timeout_stop(struct timeout *timeout);

static inline bool timeout_active(const struct timeout *timeout)
{
    return timeout->queue != NULL;
}

#endif
