/* Anything that happens in the loop may change the numbers. The first event starts the timer; when it
 * is over, they are published, and the next event starts it again. So the timer alone does not wake
 * an idle process a second time.
 */
#include "web/publisher.h"

#include "web/totals.h"

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct publisher *publisher = timer->data;
    (void)loop, (void)events;
    publisher->due = true;
}

/* After all other events of the loop's turn. */
static void on_prepare(struct ev_loop *loop, ev_prepare *prepare, int events)
{
    struct publisher *publisher = prepare->data;
    (void)events;
    if (publisher->due) {
        publisher->due = false;
        totals_publish(publisher->service);
    } else if (!ev_is_active(&publisher->timer)) {
        ev_timer_set(&publisher->timer, PUBLISHER_S, 0.);
        ev_timer_start(loop, &publisher->timer);
    }
}

void publisher_start(struct publisher *publisher, struct ev_loop *loop,
                     const struct service *service)
{
    *publisher = (struct publisher){.service = service};
    ev_prepare_init(&publisher->before_sleep, on_prepare);
    publisher->before_sleep.data = publisher;
    ev_prepare_start(loop, &publisher->before_sleep);
    ev_timer_init(&publisher->timer, on_timer, 0., 0.);
    publisher->timer.data = publisher;
    totals_publish(service);
}

void publisher_stop(struct publisher *publisher, struct ev_loop *loop)
{
    if (!publisher->service)
        return;
    ev_prepare_stop(loop, &publisher->before_sleep);
    ev_timer_stop(loop, &publisher->timer);
}
