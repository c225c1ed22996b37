/* Many lines for a file, a pipe, stderr or syslog, in batches, without ever waiting for the reader.
 *
 *     lines_begin, lines_end --> 64 KiB --full, each second, at the end--> write
 *                                  '--> still full, since nobody reads or the disk is full: dropped
 *
 * What can't be written stays and is tried again. Lines that find no room are dropped and counted,
 * and the log says so from time to time. */
#ifndef WORKERLESS_BASE_LINES_H
#define WORKERLESS_BASE_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/counters.h"

struct ev_loop;
struct lines;

enum lines_place { LINES_TO_STDERR, LINES_TO_SYSLOG, LINES_TO_FILE };

#define LINES_LINE_MAX 4096 /* bytes of a line, with its newline; a pipe takes so many at once */

/* `path` is that of a file, which is created if necessary and appended to; it is copied. `name` says
 * in the log whose lines they are, and outlives them. Dropped lines are added to the counter. The
 * loop is borrowed. Returns what the caller owns; or NULL, after the reason was logged. */
struct lines *lines_open(struct ev_loop *loop, enum lines_place place, const char *path,
                         const char *name, enum counter dropped);

/* Returns where a line of up to LINES_LINE_MAX bytes can be written; NULL: there is no room, and the
 * line counts as dropped. Otherwise call lines_end next. */
char *lines_begin(struct lines *lines);

/* The line is there, with its newline: so many bytes. */
void lines_end(struct lines *lines, size_t len);

/* Writes what there is, and opens the file again, since the old one may have been moved. If that
 * fails, this is logged, and the old one is used further. Returns false if it is no file. */
bool lines_reopen(struct lines *lines);

/* Writes what there is; what can't be written now is dropped. NULL is allowed. */
void lines_close(struct lines *lines);

#endif
