/* A walk over the skeleton, from placeholder to placeholder. */
#include "web/assembly.h"

#include <ev.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/container.h"
#include "cache/entry.h"
#include "render/skeleton.h"
#include "web/route.h"

struct assembly {
    const struct skeleton *skeleton;
    struct stream *stream;
    const struct route *routes;
    size_t at;    /* the bytes of the skeleton before it have been returned, or replaced */
    size_t index; /* of the next placeholder */
    double hold;  /* seconds; 0: it does not wait, or not any more */
    struct ev_loop *loop;
    ev_timer timer;         /* started by the first wait, ends the hold */
    stream_ready_fn *ready; /* may be NULL */
    void *context;
};

static void on_hold_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct assembly *assembly = container_of(timer, struct assembly, timer);
    (void)loop, (void)events;
    assembly->hold = 0;
    if (assembly->ready)
        assembly->ready(assembly->context);
}

struct assembly *assembly_new(const struct skeleton *skeleton, struct stream *stream,
                              const struct route *routes, struct ev_loop *loop, double hold)
{
    struct assembly *assembly = alloc_zeroed(sizeof *assembly);
    if (!assembly)
        return NULL;
    assembly->skeleton = skeleton;
    assembly->stream = stream;
    assembly->routes = routes;
    assembly->loop = loop;
    assembly->hold = hold;
    ev_timer_init(&assembly->timer, on_hold_over, hold, 0.);
    return assembly;
}

void assembly_on_ready(struct assembly *assembly, stream_ready_fn *ready, void *context)
{
    assembly->ready = ready;
    assembly->context = context;
}

/* The next placeholder, or NULL. */
static const struct placeholder *next_placeholder(const struct assembly *assembly)
{
    const struct skeleton *skeleton = assembly->skeleton;
    return assembly->index < skeleton->count ? &skeleton->list[assembly->index] : NULL;
}

static struct slice take_text(struct assembly *assembly, size_t end)
{
    struct slice text = {.data = assembly->skeleton->text.data + assembly->at,
                         .len = end - assembly->at};
    assembly->at = end;
    return text;
}

/* HTML that is balanced only in a template would change the text that follows it. `part` has a
 * recipe; if it has failed, the fallback of its route may be shown. */
static bool fits_in_place(const struct assembly *assembly, const struct stream_part *part)
{
    if (part->kind == SETTLED_ENTRY)
        return part->entry->balance == ENTRY_BALANCED;
    return !assembly->routes[part->recipe->number].fallback_opens;
}

/* Whether the placeholder stays in the page for good: no route makes such a fragment, or this
 * process makes none any more. */
static bool stays(const struct stream_part *part)
{
    return !part->recipe || part->kind == SETTLED_SHUTDOWN;
}

/* At a placeholder: waits, or goes past it. No template will come for what is taken here. */
static enum assembly_step pass_placeholder(struct assembly *assembly,
                                           const struct placeholder *placeholder,
                                           struct slice *text, const struct stream_part **part)
{
    struct stream_part found;
    bool ready = stream_peek(assembly->stream, assembly->index, &found);
    if (!ready && assembly->hold > 0) {
        ev_timer_start(assembly->loop, &assembly->timer);
        return ASSEMBLY_WAITS;
    }
    struct slice as_it_is = take_text(assembly, placeholder->end);
    size_t index = assembly->index++;
    if (ready && !stays(&found) && fits_in_place(assembly, &found)) {
        *part = stream_take(assembly->stream, index);
        return ASSEMBLY_PART;
    }
    if (ready && stays(&found))
        stream_take(assembly->stream, index);
    *text = as_it_is;
    return ASSEMBLY_TEXT;
}

enum assembly_step assembly_next(struct assembly *assembly, struct slice *text,
                                 const struct stream_part **part)
{
    const struct placeholder *placeholder = next_placeholder(assembly);
    size_t end = placeholder ? placeholder->begin : assembly->skeleton->tail;
    *part = NULL;
    stream_let_go(assembly->stream); /* the part before was written; the next may take long */
    if (assembly->at < end) {
        *text = take_text(assembly, end);
        return ASSEMBLY_TEXT;
    }
    return placeholder ? pass_placeholder(assembly, placeholder, text, part) : ASSEMBLY_DONE;
}

bool assembly_is_ready(const struct assembly *assembly)
{
    const struct placeholder *placeholder = next_placeholder(assembly);
    struct stream_part part;
    return !placeholder || assembly->hold == 0 || assembly->at < placeholder->begin ||
           stream_peek(assembly->stream, assembly->index, &part);
}

struct slice assembly_tail(const struct assembly *assembly)
{
    return slice_from(assembly->skeleton->text, assembly->skeleton->tail);
}

void assembly_free(struct assembly *assembly)
{
    if (!assembly)
        return;
    ev_timer_stop(assembly->loop, &assembly->timer);
    free(assembly);
}
