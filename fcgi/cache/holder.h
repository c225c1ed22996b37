/* Who holds a lease: a process, as the text "HOST PID".
 *
 * In Redis a lease is its token, a space and that text. What is compared is always all of it, and
 * only with what the same process has written; so processes that write nothing but the token can
 * use the same Redis, and whoever looks with redis-cli sees whom requests wait for.
 */
#ifndef WORKERLESS_CACHE_HOLDER_H
#define WORKERLESS_CACHE_HOLDER_H

#include "base/slice.h"

#define HOLDER_HOST_MAX 64                         /* as the kernel has it */
#define HOLDER_MAX      (HOLDER_HOST_MAX + 1 + 10) /* bytes of the text */

#define HOLDER_SIGNATURE_ROOM (1 + HOLDER_MAX + 1)

/* This process. Static; it is right in a forked process, too. The name of a host has only letters,
 * digits and "-._": other bytes are replaced. */
struct slice holder_of_process(void);

/* Writes what a lease of this process contains: the token and HOLDER_SIGNATURE_ROOM bytes more, of
 * which the last one ends it. With an empty token, it is empty. */
void holder_sign(char *lease, struct slice token);

/* Returns that part of the value of a lease, which others may have written; it is empty unless it
 * is such a text. */
struct slice holder_read(struct slice lease);

/* Divides the text. */
struct slice holder_host(struct slice holder);
struct slice holder_pid(struct slice holder);

#endif
