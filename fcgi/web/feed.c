/* Writes the fragments one after the other as they get ready, heartbeats in between, and the
 * end. */
#include "web/feed.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "cache/entry.h"
#include "park/flights.h"
#include "park/outcome.h"
#include "park/stream.h"
#include "web/access_log.h"
#include "web/route.h"

struct feed {
    struct stream *stream;
    const struct route *routes;
    struct response head;
    enum event_form form;
    const struct access_record *access; /* borrowed; NULL: there is none */
    struct event event;                 /* being written */
    struct slice tail;                  /* literal bytes being written */
    bool beat;                          /* a heartbeat is due */
    bool ended;                         /* the end has been written, or is in tail */
    bool cut;          /* the process drains: the client has to request the rest again */
    struct slice vary; /* in `text` */
    char text[];
};

struct response feed_response(enum event_form form)
{
    struct response response = response_of_status(200);
    response.type = form == EVENT_STREAM ? BODY_EVENTS : BODY_TEMPLATES;
    return response;
}

struct feed *feed_new(struct stream *stream, const struct route *routes, enum event_form form,
                      struct slice vary)
{
    struct feed *feed = alloc_zeroed(sizeof *feed + vary.len);
    if (!feed)
        return NULL;
    if (vary.len > 0)
        memcpy(feed->text, vary.data, vary.len);
    feed->vary = (struct slice){.data = feed->text, .len = vary.len};
    feed->stream = stream;
    feed->routes = routes;
    feed->form = form;
    feed->head = feed_response(form);
    feed->head.vary = &feed->vary;
    feed->beat = true; /* nginx forwards a head only together with some of the body */
    return feed;
}

const struct response *feed_head(const struct feed *feed)
{
    return &feed->head;
}

void feed_on_ready(struct feed *feed, stream_ready_fn *ready, void *context)
{
    stream_on_ready(feed->stream, ready, context);
}

void feed_log(struct feed *feed, const struct access_record *record)
{
    feed->access = record;
}

void feed_beat(struct feed *feed)
{
    feed->beat = true;
}

/* The HTML to send: the fragment, or the text of its failure. */
static struct slice body_of(const struct feed *feed, const struct stream_part *part)
{
    if (part->kind == SETTLED_ENTRY)
        return part->entry->body;
    const struct route *route = part->recipe ? &feed->routes[part->recipe->number] : NULL;
    return response_of_failure(route ? route->fallback : (struct slice){0}, part->kind).body;
}

static bool is_writing(const struct feed *feed)
{
    return event_unfinished(&feed->event) || feed->tail.len > 0;
}

static void log_part(const struct feed *feed, const struct stream_part *part)
{
    struct access_part about = {
        .name = part->name,
        .status = part->entry ? part->entry->status : outcome_status(part->kind),
        .bytes = part->kind == SETTLED_SHUTDOWN ? 0 : body_of(feed, part).len,
    };
    if (part->recipe) {
        about.pattern = feed->routes[part->recipe->number].pattern;
        about.outcome = route_outcome_names[part->outcome];
    }
    access_log_part(feed->access, &about);
}

/* The next fragment that is ready. */
static const struct stream_part *take_part(struct feed *feed)
{
    const struct stream_part *part = stream_next(feed->stream);
    if (part && feed->access)
        log_part(feed, part);
    return part;
}

/* A fragment that a draining process does not serve any more is not reported as failed: another
 * process will serve it. */
static const struct stream_part *next_part(struct feed *feed)
{
    const struct stream_part *part;
    while ((part = take_part(feed)) && part->kind == SETTLED_SHUTDOWN)
        feed->cut = true;
    return part;
}

/* Starts with the next thing to write, and releases what was written. Returns false if nothing is
 * ready. */
static bool feed_advance(struct feed *feed)
{
    const struct stream_part *part = next_part(feed);
    if (part) {
        event_begin(&feed->event, feed->form, part->name, part->kind != SETTLED_ENTRY,
                    body_of(feed, part));
        feed->beat = false;
    } else if (stream_is_over(feed->stream) && !feed->ended) {
        feed->tail = feed->cut ? event_cut(feed->form) : event_end(feed->form);
        feed->ended = true;
    } else if (feed->beat && !feed->ended) {
        feed->tail = event_heartbeat(feed->form);
        feed->beat = false;
    }
    return is_writing(feed);
}

/* An entry that was written completely is released even if there is no room for more. So an empty
 * end is never all that is left, and no entry is held while waiting for other fragments. */
size_t feed_write(struct feed *feed, char *out, size_t room)
{
    size_t len = 0;
    while ((is_writing(feed) || feed_advance(feed)) && len < room) {
        len += event_write(&feed->event, out + len, room - len);
        len += slice_move(&feed->tail, out + len, room - len);
    }
    return len;
}

bool feed_is_ready(const struct feed *feed)
{
    return is_writing(feed) || stream_is_ready(feed->stream) ||
           (!feed->ended && (feed->beat || stream_is_over(feed->stream)));
}

bool feed_is_over(const struct feed *feed)
{
    return feed->ended && !is_writing(feed);
}

size_t feed_unsent(const struct feed *feed)
{
    return stream_unsent(feed->stream);
}

void feed_free(struct feed *feed)
{
    if (!feed)
        return;
    stream_free(feed->stream);
    free(feed);
}
