/* The logs of the process, as the config wants them: the format of the log, the slow log and the
 * access log. Where the log goes is decided in main.c, before there is a loop. */
#ifndef WORKERLESS_LOGS_H
#define WORKERLESS_LOGS_H

#include <stdbool.h>

struct conf;
struct ev_loop;

/* Applies the config, and may be called again with another one. Nothing of it is borrowed; the loop
 * is, until logs_end. If the access log can't be opened, this is logged, false returned, and all
 * logs stay as they were. */
bool logs_configure(struct ev_loop *loop, const struct conf *conf);

/* Whether the access log can be opened; if not, this is logged. Call it before there are several
 * processes that would each find out. */
bool logs_try(const struct conf *conf);

/* Opens the files again, since the old ones may have been moved (SIGUSR2). */
void logs_reopen(void);

/* Writes what is buffered. Call it before the loop is destroyed. */
void logs_end(void);

#endif
