/* The assembly of a page: its skeleton and the fragments that are ready, in the order of the text.
 *
 *     text up to a placeholder --> its fragment, if that is ready and fits there
 *                              '-> else the placeholder as it is, for a template that comes later
 *
 * With a hold, it first waits at a placeholder whose fragment is not ready, but no longer than the
 * hold for all placeholders together.
 */
#ifndef WORKERLESS_WEB_ASSEMBLY_H
#define WORKERLESS_WEB_ASSEMBLY_H

#include <stdbool.h>

#include "base/slice.h"
#include "park/stream.h"

struct assembly;
struct ev_loop;
struct route;
struct skeleton;

enum assembly_step {
    ASSEMBLY_TEXT,  /* *text is set; valid as long as the skeleton */
    ASSEMBLY_PART,  /* *part is set, as stream_take returns it; valid until the next step */
    ASSEMBLY_WAITS, /* for a fragment, or for the end of the hold */
    ASSEMBLY_DONE,  /* all of the skeleton but its tail has been returned */
};

/* The stream has a fragment for each placeholder, in the same order; the number of a recipe is the
 * index of its route. `hold` is in seconds; 0: it never waits. Everything is borrowed. Returns what
 * the caller owns, or NULL when out of memory. */
struct assembly *assembly_new(const struct skeleton *skeleton, struct stream *stream,
                              const struct route *routes, struct ev_loop *loop, double hold);

/* Sets the callback for the end of the hold. For fragments, the stream has one of its own. */
void assembly_on_ready(struct assembly *assembly, stream_ready_fn *ready, void *context);

/* Returns the next piece of the page, or why there is none. */
enum assembly_step assembly_next(struct assembly *assembly, struct slice *text,
                                 const struct stream_part **part);

/* Whether assembly_next would return anything but ASSEMBLY_WAITS. */
bool assembly_is_ready(const struct assembly *assembly);

/* The end of the skeleton, which goes after all templates. */
struct slice assembly_tail(const struct assembly *assembly);

/* NULL is allowed. */
void assembly_free(struct assembly *assembly);

#endif
