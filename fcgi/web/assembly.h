/* The skeleton of a page and its fragments, put together in the order of the text.
 *
 *     text up to a placeholder --> its fragment, if that is ready and fits there
 *                              '-> else the placeholder as it is, for a template that comes later
 *
 * An assembly with a hold first waits at a placeholder whose fragment is not ready, for so many
 * seconds in all.
 */
#ifndef WORKERLESS_WEB_ASSEMBLY_H
#define WORKERLESS_WEB_ASSEMBLY_H

#include <stdbool.h>

#include "base/slice.h"
#include "park/stream.h"

struct assembly;
struct ev_loop;
struct skeleton;

enum assembly_step {
    ASSEMBLY_TEXT,  /* *text is next; valid as long as the skeleton */
    ASSEMBLY_PART,  /* *part is next, taken from the stream */
    ASSEMBLY_WAITS, /* for a fragment, or for the end of the hold */
    ASSEMBLY_DONE,  /* all but the tail has been returned */
};

/* The stream has a fragment for each placeholder, in the same order. `hold` is in seconds; 0: none.
 * Everything is borrowed. Returns what the caller owns, or NULL when out of memory. */
struct assembly *assembly_new(const struct skeleton *skeleton, struct stream *stream,
                              struct ev_loop *loop, double hold);

/* Sets the callback for the end of the hold. There is none before. */
void assembly_on_ready(struct assembly *assembly, stream_ready_fn *ready, void *context);

/* What comes next. */
enum assembly_step assembly_next(struct assembly *assembly, struct slice *text,
                                 const struct stream_part **part);

/* Whether it would be something else than ASSEMBLY_WAITS. */
bool assembly_is_ready(const struct assembly *assembly);

/* What ends the page, after all templates. */
struct slice assembly_tail(const struct assembly *assembly);

/* NULL is allowed. */
void assembly_free(struct assembly *assembly);

#endif
