/* Timeouts of one duration: a list in order of expiry, and one timer for its head. */
#include "base/timeout.h"

#include "base/clock.h"

static void unlink_timeout(struct timeout *timeout)
{
    struct timeout_queue *queue = timeout->queue;
    if (timeout->prev)
        timeout->prev->next = timeout->next;
    else
        queue->oldest = timeout->next;
    if (timeout->next)
        timeout->next->prev = timeout->prev;
    else
        queue->newest = timeout->prev;
    *timeout = (struct timeout){0};
}

/* The timer may fire too early, if its timeout was restarted; then it is only set again. */
static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct timeout_queue *queue = timer->data;
    double now = clock_monotonic();
    (void)events;
    while (queue->oldest && queue->oldest->at <= now) {
        struct timeout *timeout = queue->oldest;
        unlink_timeout(timeout);
        queue->expired(queue->context, timeout);
    }
    ev_timer_stop(loop, timer); /* a callback may have started it, for a later timeout */
    if (queue->oldest) {
        ev_timer_set(timer, queue->oldest->at - now, 0.);
        ev_timer_start(loop, timer);
    }
}

void timeout_queue_init(struct timeout_queue *queue, struct ev_loop *loop, double seconds,
                        timeout_fn *expired, void *context)
{
    *queue = (struct timeout_queue){.loop = loop,
                                    .seconds = seconds,
                                    .expired = expired,
                                    .context = context};
    ev_timer_init(&queue->timer, on_timer, 0., 0.);
    queue->timer.data = queue;
}

void timeout_queue_stop(struct timeout_queue *queue)
{
    while (queue->oldest)
        unlink_timeout(queue->oldest);
    if (queue->loop)
        ev_timer_stop(queue->loop, &queue->timer);
}

void timeout_queue_set(struct timeout_queue *queue, double seconds)
{
    double longer = seconds - queue->seconds;
    for (struct timeout *timeout = queue->oldest; timeout; timeout = timeout->next)
        timeout->at += longer;
    queue->seconds = seconds;
    ev_timer_stop(queue->loop, &queue->timer);
    if (queue->oldest) {
        double left = queue->oldest->at - clock_monotonic();
        ev_timer_set(&queue->timer, left > 0 ? left : 0, 0.);
        ev_timer_start(queue->loop, &queue->timer);
    }
}

/* Links it behind `before`; NULL: as the oldest. */
static void link_timeout(struct timeout_queue *queue, struct timeout *before,
                         struct timeout *timeout)
{
    timeout->queue = queue;
    timeout->prev = before;
    timeout->next = before ? before->next : queue->oldest;
    if (timeout->prev)
        timeout->prev->next = timeout;
    else
        queue->oldest = timeout;
    if (timeout->next)
        timeout->next->prev = timeout;
    else
        queue->newest = timeout;
}

void timeout_start(struct timeout_queue *queue, struct timeout *timeout)
{
    if (timeout->queue)
        unlink_timeout(timeout);
    timeout->at = clock_monotonic_coarse() + CLOCK_COARSE_S + queue->seconds; /* never early */
    link_timeout(queue, queue->newest, timeout);
    if (!ev_is_active(&queue->timer)) {
        ev_timer_set(&queue->timer, queue->seconds, 0.);
        ev_timer_start(queue->loop, &queue->timer);
    }
}

void timeout_start_late(struct timeout_queue *queue, struct timeout *timeout, double seconds)
{
    if (seconds <= 0) {
        timeout_start(queue, timeout);
        return;
    }
    if (timeout->queue)
        unlink_timeout(timeout);
    double left = seconds < queue->seconds ? queue->seconds - seconds : 0;
    timeout->at = clock_monotonic_coarse() + CLOCK_COARSE_S + left;
    struct timeout *before = queue->newest;
    while (before && before->at > timeout->at)
        before = before->prev;
    link_timeout(queue, before, timeout);
    if (!before) { /* the timer may be set for a later one */
        ev_timer_stop(queue->loop, &queue->timer);
        ev_timer_set(&queue->timer, left, 0.);
        ev_timer_start(queue->loop, &queue->timer);
    }
}

void timeout_stop(struct timeout *timeout)
{
    if (timeout->queue)
        unlink_timeout(timeout);
}
