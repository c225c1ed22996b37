/* Messages for the service manager that has started us, as sd_notify(3) describes them: datagrams
 * to the socket that the environment names. Without one, everything here does nothing. */
#ifndef WORKERLESS_BASE_NOTIFY_H
#define WORKERLESS_BASE_NOTIFY_H

struct ev_loop;

/* Reads NOTIFY_SOCKET: a path, or "@NAME" for the abstract address NAME. An address that can't be
 * used is logged. */
void notify_open(void);

/* Tells "READY=1" and a status for `systemctl status`. If the manager is busy, it waits, but not
 * longer than a second. */
void notify_ready(const char *status);

/* Tells "RELOADING=1", without waiting. notify_ready follows, also if the reload fails. */
void notify_reloading(void);

/* Tells "STOPPING=1" and a status, without waiting. */
void notify_stopping(const char *status);

/* Tells only a status, without waiting. */
void notify_status(const char *status);

/* At what interval to tell "WATCHDOG=1", in seconds: half of WATCHDOG_USEC, if the manager has set
 * that for us; otherwise 0. */
double notify_watch_interval(void);

/* Tells "WATCHDOG=1". */
void notify_alive(void);

/* From now on tells it at that interval. The loop is borrowed until notify_close. */
void notify_watch(struct ev_loop *loop);

/* May be called twice. */
void notify_close(void);

#endif
