/* Answers that are known too early.
 *
 * The rule for every callback in this program: it comes exactly once, and never before the call that
 * asked for it returns. So whoever asks can finish what it is doing first, and nothing changes under
 * its feet in the middle of it. A function that has its answer at once, or finds nobody to ask, puts
 * it into a queue of these. The queue is emptied before the loop sleeps.
 *
 * The memory for an answer is there before anything is asked; without it a call says that it asks
 * nothing, and there is no callback.
 */
#ifndef WORKERLESS_BASE_LATER_H
#define WORKERLESS_BASE_LATER_H

#include <ev.h>

struct later;

/* The answer is not in the queue any longer, and may be freed, or added again. */
typedef void later_fn(struct later *later);

struct later { /* embedded in what it is about */
    struct later *next, *prev;
    later_fn *call;
};

struct later_queue {
    struct ev_loop *loop;
    struct later *first;
    ev_prepare runner;
    ev_idle
        awake; /* active while there is anything in the queue, so that the loop does not sleep */
};

/* `loop` is borrowed until later_queue_stop. The queue must not move. */
void later_queue_init(struct later_queue *queue, struct ev_loop *loop);

/* `later` is the caller's, and in no queue. */
void later_add(struct later_queue *queue, struct later *later, later_fn *call);

/* Calls all that are in the queue, in the order in which they were added, and those that are added
 * meanwhile. The loop does so before it sleeps; whoever ends the queue does it before that. */
void later_run(struct later_queue *queue);

/* The queue is empty. */
void later_queue_stop(struct later_queue *queue);

#endif
