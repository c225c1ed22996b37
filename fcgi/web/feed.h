/* The body of a streamed response: turns fragments into bytes as they get ready.
 *
 *     flight --settled--> stream --------------------> event --+--> feed_write --> STDOUT records
 *                            '--.                              |
 *     skeleton of a page --> assembly --> event, or text ------'
 */
#ifndef WORKERLESS_WEB_FEED_H
#define WORKERLESS_WEB_FEED_H

#include <stdbool.h>
#include <stddef.h>

#include "park/stream.h"
#include "render/skeleton.h"
#include "web/event.h"
#include "web/links.h"
#include "web/response.h"

struct access_record;
struct feed;
struct page;
struct route;

/* Takes the stream, to which fragments may still be added. `routes` are borrowed; a recipe's number
 * is the index of its route. `vary` is copied: the names for the Vary header. The first bytes are a
 * heartbeat, unless a fragment is ready. Returns what the caller owns; or NULL when out of memory:
 * then the stream is not taken. */
struct feed *feed_new(struct stream *stream, const struct route *routes, enum event_form form,
                      struct slice vary);

/* The same for a page: its skeleton comes first, with fragments that are ready in their places, and
 * the others follow as templates. All fragments have been added to the stream, one for each
 * placeholder, in the same order. The feed counts as a user of the page's config; `hold` is in
 * seconds: see web/assembly.h. */
struct feed *feed_new_page(struct stream *stream, const struct route *routes,
                           const struct page *page, double hold, struct slice vary,
                           struct ev_loop *loop);

/* From now on each fragment gets a line in the access log when its turn to be written comes. The
 * record is that of the request; it is borrowed, and NULL is allowed. */
void feed_log(struct feed *feed, const struct access_record *record);

/* The response whose head comes before a feed of that form, or of a page: it has a type but no
 * length. feed_head returns that of a feed, valid as long as the feed. */
struct response feed_response(enum event_form form);
struct response feed_page_response(void);
const struct response *feed_head(const struct feed *feed);

#define FEED_HEAD_MAX (RESPONSE_HEAD_MAX + SKELETON_LINKS_MAX + LINKS_MAX)

/* Writes the head to `out`, which has room for FEED_HEAD_MAX bytes. That of a page says how long
 * caches may keep it, and has its links. `now_ms` is clock_fleet_ms(). Returns the length. */
size_t feed_write_head(const struct feed *feed, int64_t now_ms, char *out);

/* Sets the callback for when a fragment becomes ready. */
void feed_on_ready(struct feed *feed, stream_ready_fn *ready, void *context);

/* Sends a heartbeat next, unless a fragment is ready. */
void feed_beat(struct feed *feed);

/* Writes up to `room` bytes of what is ready. Returns their number. */
size_t feed_write(struct feed *feed, char *out, size_t room);

bool feed_is_ready(const struct feed *feed); /* feed_write has something to write */
bool feed_is_over(const struct feed *feed);  /* it will never have anything again */

/* Bytes that its stream counts in BUDGET_UNSENT. */
size_t feed_unsent(const struct feed *feed);

/* NULL is allowed. */
void feed_free(struct feed *feed);

#endif
