/* What the daemon gives up when it starts, if the config says sandbox = "yes": the right to open any
 * file that it does not need (base/landlock.h), and system calls that it never makes
 * (base/syscalls.h). */
#ifndef WORKERLESS_SANDBOX_H
#define WORKERLESS_SANDBOX_H

#include <stdbool.h>

struct conf;
struct ev_loop;

/* Enters the sandbox, if the config asks for it. Call it in each process that serves, while it has
 * only one thread. What the system lacks for it is logged, and left out. Returns false if there is
 * no memory, or the system refuses it, which is logged. */
bool sandbox_enter(const struct conf *conf, struct ev_loop *loop);

/* The part about files, for a process that only starts others. A reload there then accepts only
 * files that the others may open, too. Returns false if it is refused, which is logged. */
bool sandbox_enter_files(const struct conf *conf);

/* Call it before the loop is destroyed; also if nothing was entered. */
void sandbox_leave_loop(void);

#endif
