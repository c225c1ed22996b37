/* Publishes the current numbers of this worker from time to time, for the reports of the others. */
#ifndef WORKERLESS_WEB_PUBLISHER_H
#define WORKERLESS_WEB_PUBLISHER_H

#include <ev.h>
#include <stdbool.h>

struct service;

/* How old the numbers of another worker may be. */
#define PUBLISHER_S 0.25

struct publisher {
    const struct service *service;
    ev_prepare before_sleep;
    ev_timer timer;
    bool due;
};

/* The service is borrowed until publisher_stop. */
void publisher_start(struct publisher *publisher, struct ev_loop *loop,
                     const struct service *service);

/* May be called if it was not started; then the struct must be all zero. */
void publisher_stop(struct publisher *publisher, struct ev_loop *loop);

#endif
