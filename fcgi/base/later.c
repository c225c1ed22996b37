/* A list, and a watcher that empties it. What is added after the watcher has run keeps the loop
 * awake for another turn. */
#include "base/later.h"

#include <stddef.h>
#include <utlist.h>

#include "base/check.h"

static void on_prepare(struct ev_loop *loop, ev_prepare *runner, int events)
{
    (void)loop, (void)events;
    later_run(runner->data);
}

static void on_awake(struct ev_loop *loop, ev_idle *awake, int events)
{
    (void)loop, (void)awake, (void)events;
}

void later_queue_init(struct later_queue *queue, struct ev_loop *loop)
{
    queue->loop = loop;
    queue->first = NULL;
    ev_idle_init(&queue->awake, on_awake);
    /* Before all other runners, since they handle the results of these answers. */
    ev_prepare_init(&queue->runner, on_prepare);
    queue->runner.data = queue;
    ev_set_priority(&queue->runner, EV_MAXPRI);
    ev_prepare_start(loop, &queue->runner);
}

void later_add(struct later_queue *queue, struct later *later, later_fn *call)
{
    later->call = call;
    DL_APPEND(queue->first, later);
    ev_idle_start(queue->loop, &queue->awake);
}

void later_run(struct later_queue *queue)
{
    struct later *later;
    while ((later = queue->first)) {
        DL_DELETE(queue->first, later);
        later->call(later);
    }
    ev_idle_stop(queue->loop, &queue->awake);
}

void later_queue_stop(struct later_queue *queue)
{
    check(!queue->first);
    ev_prepare_stop(queue->loop, &queue->runner);
    ev_idle_stop(queue->loop, &queue->awake);
}
