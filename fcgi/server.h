/* The daemon: one process that serves by a config until a signal ends it. */
#ifndef WORKERLESS_SERVER_H
#define WORKERLESS_SERVER_H

struct conf;

/* Serves until a drain is over; problems are logged. Signals must be held (base/signals.h). Returns
 * EXIT_SUCCESS, or EXIT_FAILURE if it could not begin. The config is borrowed. */
int server_run(const struct conf *conf);

#endif
