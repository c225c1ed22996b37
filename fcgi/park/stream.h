/* Many fragments for one request, each delivered as soon as it is ready.
 *
 *     stream_add --> its flight --settled--> ready, in the order of readiness --> stream_next
 *          '-- in memory already ------------'
 *
 * A stream waits on flights as other requests do, but without a hold: for as long as they take. It
 * holds only the entries that are ready and not taken yet. Its own memory counts in BUDGET_UNSENT.
 */
#ifndef WORKERLESS_PARK_STREAM_H
#define WORKERLESS_PARK_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "park/tally.h"
#include "park/waiter.h"

struct flights;
struct fragment;
struct recipe;
struct stream;

/* The outcome of one fragment. */
struct stream_part {
    struct slice name;           /* valid as long as the stream */
    const struct recipe *recipe; /* NULL: no route matches, or it does not allow streams */
    enum settlement_kind kind;
    enum route_outcome outcome; /* as counted; of no meaning without a recipe */
    struct entry *entry;        /* for SETTLED_ENTRY; borrowed; see stream_next */
};

/* Whether BUDGET_UNSENT has room for such a stream; if not, this is logged. Call it before
 * stream_new, with the same numbers. */
bool stream_has_room(size_t fragments, size_t names_len);

/* For `fragments` fragments, fewer than 65,535, whose names have `names_len` bytes in total.
 * `flights` is borrowed. Returns what the caller owns, or NULL when out of memory. */
struct stream *stream_new(struct flights *flights, size_t fragments, size_t names_len);

/* Called when a fragment becomes ready, but never from stream_add. */
typedef void stream_ready_fn(void *context);

/* Sets the callback. There is none before. */
void stream_on_ready(struct stream *stream, stream_ready_fn *ready, void *context);

/* Call it before stream_add: the fragments go into templates, and not into events. One whose result is
 * not HTML, or would not stay in its template, gets ready as SETTLED_FAILED; without this, one whose
 * result is not a text. */
void stream_to_templates(struct stream *stream);

/* Adds a fragment, which waits or is ready immediately; a fragment that was added before is
 * ignored. One that can't wait, because of a limit or lack of memory, is ready as SETTLED_REFUSED,
 * and so is one whose entry has no room in BUDGET_UNSENT. Its recipe is NULL if no route matches
 * it, or its route does not allow streams. The fragment is copied. */
void stream_add(struct stream *stream, const struct fragment *fragment);

/* Returns the next one that is ready, or NULL. Valid until the next call of this, stream_take or
 * stream_let_go. */
const struct stream_part *stream_next(struct stream *stream);

/* The fragment that was added as number `index`, counted from 0, even if others were ready before
 * it: stream_peek describes it, and stream_take returns it as stream_next does. While it waits, and
 * after it was returned, they return false and NULL. */
bool stream_peek(const struct stream *stream, size_t index, struct stream_part *part);
const struct stream_part *stream_take(struct stream *stream, size_t index);

/* Releases the entry of the one that was returned last, if it is still held. */
void stream_let_go(struct stream *stream);

bool stream_is_ready(const struct stream *stream); /* stream_next would return one */
bool stream_is_over(const struct stream *stream);  /* none is ready, and none waits */

/* Bytes that it counts in BUDGET_UNSENT, including entries that others hold as well. */
size_t stream_unsent(const struct stream *stream);

/* Leaves all flights, which continue. NULL is allowed. */
void stream_free(struct stream *stream);

#endif
