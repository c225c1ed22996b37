/* The processes: one that serves, or several under a supervisor. */
#ifndef WORKERLESS_SUPERVISOR_H
#define WORKERLESS_SUPERVISOR_H

struct conf;

/* Opens the sockets, assumes the identity that the config asks for, and serves until a signal ends
 * it: in this process if the config asks for one worker, else in processes of its own, which are
 * replaced when they die. Signals must be held (base/signals.h). Problems are logged. Returns the
 * exit status of the process; it also returns in each worker. The config is taken. */
int supervisor_run(struct conf *conf);

#endif
