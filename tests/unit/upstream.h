/* A small HTTP/1.1 server for the tests of the http source: 127.0.0.1, a port of its own, a thread a
 * connection. What it answers is in the path (see upstream.c). */
#ifndef WORKERLESS_TESTS_UNIT_UPSTREAM_H
#define WORKERLESS_TESTS_UNIT_UPSTREAM_H

#include <stdbool.h>
#include <stddef.h>

struct upstream;

/* Exits on failure: no test can continue without it. */
struct upstream *upstream_start(void);

/* Closes every connection, and waits until all threads have ended. */
void upstream_stop(struct upstream *upstream);

unsigned upstream_port(const struct upstream *upstream);

/* Connections accepted so far. */
unsigned upstream_connections(struct upstream *upstream);

/* Requests answered or being answered so far, and the most that were so at the same time. */
unsigned upstream_requests(struct upstream *upstream);
unsigned upstream_most_at_once(struct upstream *upstream);

/* How many requests are held now, in front of or amid their answers. */
unsigned upstream_held(struct upstream *upstream);

/* Releases all that is or will be held. */
void upstream_release(struct upstream *upstream);

/* The head of the latest request as it came, terminated, and cut to the room. */
void upstream_latest(struct upstream *upstream, char *head, size_t room);

/* Whether the head of the latest request has the text in it. */
bool upstream_saw(struct upstream *upstream, const char *text);

#endif
