/* The daemon: one process that serves by its config until a signal ends it. */
#ifndef WORKERLESS_SERVER_H
#define WORKERLESS_SERVER_H

struct conf;
struct sockets;

/* One of several processes that serve, as its supervisor sees it. It writes its number, as a byte,
 * to `life` once it serves, and then at that interval. */
struct worker {
    unsigned char number; /* from 0 */
    int life;             /* a descriptor that does not block; borrowed */
    double interval;      /* seconds; 0: it writes only once */
};

/* Serves until a drain is over; problems are logged. Signals must be held (base/signals.h). Returns
 * EXIT_SUCCESS, or EXIT_FAILURE if it could not begin. The worker is borrowed; the config, whose
 * file SIGHUP reads again, and the sockets are taken. `worker` is NULL if there is no supervisor;
 * then the service manager is notified from here. */
int server_run(struct conf *conf, struct sockets *sockets, const struct worker *worker);

#endif
