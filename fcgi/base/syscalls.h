/* What the kernel does for this process: a filter of system calls, by libseccomp.
 *
 * It denies groups of calls that the daemon never makes and that an attacker would, rather than
 * allowing a list of those that it makes. Such a list is that of one C library, one libcurl and one
 * OpenSSL: the next version makes another call, and the site is down. (systemd's unit has such a
 * list, and systemd keeps it up to date.) A call that is denied fails with EPERM, and the process
 * goes on: if the filter is wrong, one call fails and not all of the site. */
#ifndef WORKERLESS_BASE_SYSCALLS_H
#define WORKERLESS_BASE_SYSCALLS_H

#include <stdbool.h>

struct ev_loop;

/* Whether it is built in: with libseccomp. */
bool syscalls_are_built(void);

/* From now on all threads of this process are denied these calls. This also sets no_new_privs.
 * Returns false if it fails; see errno. */
bool syscalls_deny(void);

/* From now on the log says which call was denied, from this loop, which is borrowed. Without a loop
 * it is written to stderr. */
void syscalls_watch(struct ev_loop *loop);

/* May be called twice. */
void syscalls_unwatch(void);

#endif
