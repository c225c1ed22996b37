/* The HTTP API behind the daemon that latency.c measures, on latency.c's own loop.
 *
 *     accept -> head of a GET -> called(number) ... upstream_answer(number) -> one send
 *
 * The number is what the path ends in. One call at a time on a connection, which is kept: as curl
 * does it.
 */
#ifndef WORKERLESS_BENCH_UPSTREAM_H
#define WORKERLESS_BENCH_UPSTREAM_H

/* What is called for each call that has arrived. A repeated one, of a number that was called for
 * before, is answered already. */
typedef void upstream_called_fn(unsigned long number);

/* Listens there, tcp:HOST:PORT. `numbers`: all that are called for are below it. */
void upstream_start(int epoll, const char *address, unsigned long numbers,
                    upstream_called_fn *called);

/* Whether the event was the upstream's; then it is served. */
int upstream_serve(int fd);

/* Answers the first call for the number. */
void upstream_answer(unsigned long number);

#endif
