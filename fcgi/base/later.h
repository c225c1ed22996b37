/* Deferred callbacks.
 *
 * The rule for every callback in this program: it is called exactly once, and never before the call
 * that asked for it returns. So the caller can complete its own work first, and its state does not
 * change in the middle of that. A function that has its answer immediately, or can't ask for it,
 * adds the answer to such a queue. The queue is emptied before the loop sleeps.
 *
 * The memory for an answer is allocated before anything is asked. If that fails, the call reports
 * it, and there is no callback.
 */
#ifndef WORKERLESS_BASE_LATER_H
#define WORKERLESS_BASE_LATER_H

#include <ev.h>

struct later;

/* `later` is no longer in the queue: it may be freed, or added again. */
typedef void later_fn(struct later *later);

struct later { /* embedded in the struct of the answer */
    struct later *next, *prev;
    later_fn *call;
};

struct later_queue {
    struct ev_loop *loop;
    struct later *first;
    ev_prepare runner;
    ev_idle awake; /* active unless the queue is empty, so that the loop does not sleep */
};

/* `loop` is borrowed until later_queue_stop. The queue must not move. */
void later_queue_init(struct later_queue *queue, struct ev_loop *loop);

/* Adds `later`, which the caller owns and which is in no queue. */
void later_add(struct later_queue *queue, struct later *later, later_fn *call);

/* Calls everything in the queue, in the order of adding, including what is added meanwhile. The
 * loop does so before it sleeps; call it before later_queue_stop. */
void later_run(struct later_queue *queue);

/* Stops the queue, which must be empty. */
void later_queue_stop(struct later_queue *queue);

#endif
