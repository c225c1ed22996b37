/* The body of a streamed response: what a stream of fragments has ready, as bytes.
 *
 *     flight --settled--> feed_settle --> stream --> event --> feed_write --> STDOUT records
 */
#ifndef WORKERLESS_WEB_FEED_H
#define WORKERLESS_WEB_FEED_H

#include <stdbool.h>
#include <stddef.h>

#include "web/event.h"
#include "web/response.h"

struct feed;
struct route;
struct settlement;
struct stream;
struct waiter_address;

/* Takes the stream, which may still be empty, unless it returns NULL. `routes` are borrowed; a
 * recipe's number is the index of its route. What is written begins with a heartbeat, unless
 * something is ready. Returns what the caller owns, or NULL when out of memory. */
struct feed *feed_new(struct stream *stream, const struct route *routes, enum event_form form);

/* The response's head: it has a type, and no length. That of a feed lives as long as the feed. */
struct response feed_response(enum event_form form);
const struct response *feed_head(const struct feed *feed);

/* A flight that the stream waits on has settled. */
void feed_settle(struct feed *feed, const struct waiter_address *who,
                 const struct settlement *settlement);

/* A heartbeat is due, unless something better is. */
void feed_beat(struct feed *feed);

/* Writes what there is, `room` bytes at the most. Returns how many. */
size_t feed_write(struct feed *feed, char *out, size_t room);

bool feed_is_ready(const struct feed *feed); /* feed_write would write something */
bool feed_is_over(const struct feed *feed);  /* it never will again */

/* What its stream counts in BUDGET_UNSENT. */
size_t feed_unsent(const struct feed *feed);

/* NULL is allowed. */
void feed_free(struct feed *feed);

#endif
