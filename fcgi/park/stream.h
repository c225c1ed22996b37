/* Many fragments for one request, each told as soon as it is there.
 *
 *     stream_add --> its flight --settled--> ready, in the order of readiness --> stream_next
 *          '-- in memory already ------------'
 *
 * A stream waits on flights as other requests do, but for as long as they take: it has no hold. It
 * holds the entries that are ready and not taken yet, nothing else of them. It counts in
 * BUDGET_UNSENT itself.
 */
#ifndef WORKERLESS_PARK_STREAM_H
#define WORKERLESS_PARK_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "park/waiter.h"

struct flights;
struct fragment;
struct recipe;
struct stream;

/* What has become of one fragment. */
struct stream_part {
    struct slice name;           /* lives as long as the stream */
    const struct recipe *recipe; /* NULL: no route leads to it, or none that streams may use */
    enum settlement_kind kind;
    struct entry *entry; /* of SETTLED_ENTRY; the stream's, until the next call of stream_next */
};

/* Whether BUDGET_UNSENT has room for such a stream; if not, that has been logged. To be called before
 * stream_new, with the same numbers. */
bool stream_has_room(size_t fragments, size_t names_len);

/* For so many fragments, fewer than 65,535, whose names have so many bytes together. `flights` is
 * borrowed. Returns what the caller owns, or NULL when out of memory. */
struct stream *stream_new(struct flights *flights, size_t fragments, size_t names_len);

/* Called when a fragment that was waited for is ready: never from stream_add. */
typedef void stream_ready_fn(void *context);

/* Who is told. Until this is called nobody is. */
void stream_on_ready(struct stream *stream, stream_ready_fn *ready, void *context);

/* One more fragment: it waits, or is ready at once; a fragment that is there already is not added
 * again. A fragment that can't wait, because of a limit or for want of memory, is ready as
 * SETTLED_REFUSED, and so is one whose entry BUDGET_UNSENT has no room for. Its recipe is NULL if
 * no route leads to it, or none that streams may use. The fragment is copied. */
void stream_add(struct stream *stream, const struct fragment *fragment);

/* The next that is ready, or NULL. Valid until the next call. */
const struct stream_part *stream_next(struct stream *stream);

bool stream_is_ready(const struct stream *stream); /* stream_next would give one */
bool stream_is_over(const struct stream *stream);  /* none is ready, and none waits */

/* What it counts in BUDGET_UNSENT, entries that others hold as well included. */
size_t stream_unsent(const struct stream *stream);

/* Leaves all flights; they go on. NULL is allowed. */
void stream_free(struct stream *stream);

#endif
