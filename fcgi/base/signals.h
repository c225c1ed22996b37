/* What a signal does while there is no loop that watches for it. */
#ifndef WORKERLESS_BASE_SIGNALS_H
#define WORKERLESS_BASE_SIGNALS_H

/* Call it before anything else. Signals that only programs send to themselves, or that come by
 * mistake (SIGPIPE, SIGALRM ...), no longer end the process. Those that have a meaning for a daemon
 * (SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2) are held back until signals_release. SIGTERM and SIGINT still
 * end it: nothing has been started that they could harm. */
void signals_hold(void);

/* Call it before something is made that the process has to remove at its end, such as a socket: from
 * now on SIGTERM and SIGINT are held back as well. */
void signals_hold_ends(void);

/* Call it when they are being watched for: delivers what has been held back. */
void signals_release(void);

/* From now on the signal does nothing. */
void signals_ignore(int number);

#endif
