/* Writes one piece after the other, whenever the last one is written and the next one is ready:
 *
 *     skeleton of a page, up to its tail --> fragments as they get ready --> the end
 *
 * A heartbeat is written where nothing else is ready. */
#include "web/feed.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/users.h"
#include "cache/entry.h"
#include "park/flights.h"
#include "park/outcome.h"
#include "park/stream.h"
#include "web/access_log.h"
#include "web/assembly.h"
#include "web/route.h"
#include "web/site.h"

/* Where the next piece comes from. */
enum phase {
    PHASE_SKELETON,  /* from the assembly of a page; other feeds do not have this phase */
    PHASE_FRAGMENTS, /* from the stream, in order of readiness */
    PHASE_END,       /* from nowhere: the end is written, or is in `literal` */
};

struct feed {
    struct stream *stream;
    const struct route *routes;
    const struct page *page;            /* counts us as a user; NULL: it is no page */
    struct assembly *assembly;          /* of the page */
    const struct access_record *access; /* borrowed; NULL: there is none */
    struct response head;
    struct event event;   /* being written */
    struct slice literal; /* other bytes being written; borrowed */
    enum event_form form; /* of fragments in PHASE_FRAGMENTS */
    enum phase phase;     /* set by enter() */
    bool beat;            /* a heartbeat is due */
    bool cut;             /* the process drains: the client has to request the rest again */
    bool began_complete;  /* the page had all of its fragments when the feed was made */
    struct slice vary;    /* in `text` */
    char text[];
};

struct response feed_response(enum event_form form)
{
    struct response response = response_of_status(200);
    response.type = form == EVENT_STREAM ? BODY_EVENTS : BODY_TEMPLATES;
    return response;
}

struct response feed_page_response(void)
{
    struct response response = response_of_status(200);
    response.type = BODY_PAGE;
    return response;
}

/* Phases only follow each other. */
static void enter(struct feed *feed, enum phase phase)
{
    check(phase >= feed->phase);
    feed->phase = phase;
}

/* A feed without a head, in the first phase. */
static struct feed *allocate(struct stream *stream, const struct route *routes,
                             enum event_form form, struct slice vary)
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
    return feed;
}

struct feed *feed_new(struct stream *stream, const struct route *routes, enum event_form form,
                      struct slice vary)
{
    struct feed *feed = allocate(stream, routes, form, vary);
    if (!feed)
        return NULL;
    feed->head = feed_response(form);
    feed->head.vary = &feed->vary;
    enter(feed, PHASE_FRAGMENTS);
    feed->beat = true; /* nginx forwards a head only together with some of the body */
    return feed;
}

/* --- a page --- */

/* A cache may keep a page that began with all of its fragments, until the first of them is
 * stale. */
static size_t write_page_head(const struct feed *feed, int64_t now_ms, char *out)
{
    const struct skeleton *skeleton = feed->page->skeleton;
    struct page_head head = {.vary = feed->vary,
                             .own_links = skeleton->links,
                             .fresh_s = feed->began_complete ? INT64_MAX : 0,
                             .complete = feed->began_complete};
    struct links links = {.len = 0};
    struct stream_part part;
    for (size_t i = 0; i < skeleton->count; i++) {
        if (!stream_peek(feed->stream, i, &part) || part.kind != SETTLED_ENTRY)
            continue;
        int64_t part_s = response_fresh_s(part.entry, &part.recipe->freshness, now_ms);
        head.fresh_s = part_s < head.fresh_s ? part_s : head.fresh_s;
        head.is_private |= part.recipe->rules.is_private;
        head.must_revalidate |= part.entry->must_revalidate;
        links_add(&links, entry_kept(part.entry));
    }
    head.links = links_text(&links);
    return response_page_head(&head, out);
}

static bool is_complete(const struct stream *stream, size_t count)
{
    struct stream_part part;
    for (size_t i = 0; i < count; i++)
        if (!stream_peek(stream, i, &part) || part.kind != SETTLED_ENTRY)
            return false;
    return count > 0;
}

struct feed *feed_new_page(struct stream *stream, const struct route *routes,
                           const struct page *page, double hold, struct slice vary,
                           struct ev_loop *loop)
{
    struct feed *feed = allocate(stream, routes, EVENT_TEMPLATES, vary);
    if (!feed)
        return NULL;
    feed->assembly = assembly_new(page->skeleton, stream, routes, loop, hold);
    if (!feed->assembly) {
        free(feed);
        return NULL;
    }
    feed->head = feed_page_response();
    feed->began_complete = is_complete(stream, page->skeleton->count);
    feed->page = page;
    users_add(page->users);
    return feed;
}

size_t feed_write_head(const struct feed *feed, int64_t now_ms, char *out)
{
    return feed->page ? write_page_head(feed, now_ms, out)
                      : response_head(&feed->head, now_ms, out);
}

const struct response *feed_head(const struct feed *feed)
{
    return &feed->head;
}

void feed_on_ready(struct feed *feed, stream_ready_fn *ready, void *context)
{
    stream_on_ready(feed->stream, ready, context);
    if (feed->page)
        assembly_on_ready(feed->assembly, ready, context);
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
    return event_unfinished(&feed->event) || feed->literal.len > 0;
}

static void log_part(const struct feed *feed, const struct stream_part *part)
{
    if (!feed->access)
        return;
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

static void begin_part(struct feed *feed, enum event_form form, const struct stream_part *part)
{
    event_begin(&feed->event, form, part->name, part->kind != SETTLED_ENTRY, body_of(feed, part));
}

/* Begins the next piece of the skeleton. Returns false if it waits for a fragment, or enters the
 * next phase. */
static bool advance_skeleton(struct feed *feed)
{
    const struct stream_part *part;
    switch (assembly_next(feed->assembly, &feed->literal, &part)) {
    case ASSEMBLY_TEXT:
        return true;
    case ASSEMBLY_PART:
        log_part(feed, part);
        begin_part(feed, EVENT_IN_PLACE, part);
        return true;
    case ASSEMBLY_WAITS:
        return false;
    case ASSEMBLY_DONE:
        break;
    }
    enter(feed, PHASE_FRAGMENTS);
    return false;
}

/* The next fragment that is ready, or NULL. One that a draining process does not serve any more is
 * not reported as failed: another process will serve it. */
static const struct stream_part *next_part(struct feed *feed)
{
    const struct stream_part *part;
    while ((part = stream_next(feed->stream))) {
        log_part(feed, part);
        if (part->kind != SETTLED_SHUTDOWN)
            break;
        feed->cut = true;
    }
    return part;
}

/* The end, which for a page is that of its skeleton. */
static struct slice end_of(const struct feed *feed)
{
    if (feed->page)
        return assembly_tail(feed->assembly);
    return feed->cut ? event_cut(feed->form) : event_end(feed->form);
}

/* Begins the next fragment, or after all of them the end. Returns false if none is ready. */
static bool advance_fragments(struct feed *feed)
{
    const struct stream_part *part = next_part(feed);
    if (part) {
        begin_part(feed, feed->form, part);
        feed->beat = false;
    } else if (stream_is_over(feed->stream)) {
        feed->literal = end_of(feed);
        enter(feed, PHASE_END);
    } else {
        return false;
    }
    return true;
}

/* Begins the next piece, and releases the last one. Returns false if there is nothing to write. */
static bool advance(struct feed *feed)
{
    bool advanced = feed->phase == PHASE_SKELETON && advance_skeleton(feed);
    if (feed->phase == PHASE_FRAGMENTS)
        advanced = advance_fragments(feed);
    if (!advanced && feed->beat && feed->phase != PHASE_END) {
        feed->literal = event_heartbeat(feed->page ? EVENT_IN_PLACE : feed->form);
        feed->beat = false;
    }
    return is_writing(feed);
}

/* An entry that was written completely is released even if there is no room for more. So an empty
 * end is never all that is left, and no entry is held while waiting for other fragments. */
size_t feed_write(struct feed *feed, char *out, size_t room)
{
    size_t len = 0;
    while ((is_writing(feed) || advance(feed)) && len < room) {
        len += event_write(&feed->event, out + len, room - len);
        len += slice_move(&feed->literal, out + len, room - len);
    }
    return len;
}

bool feed_is_ready(const struct feed *feed)
{
    if (is_writing(feed))
        return true;
    switch (feed->phase) {
    case PHASE_SKELETON:
        return feed->beat || assembly_is_ready(feed->assembly);
    case PHASE_FRAGMENTS:
        return feed->beat || stream_is_ready(feed->stream) || stream_is_over(feed->stream);
    case PHASE_END:
        break;
    }
    return false;
}

bool feed_is_over(const struct feed *feed)
{
    return feed->phase == PHASE_END && !is_writing(feed);
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
    assembly_free(feed->assembly);
    if (feed->page)
        users_drop(feed->page->users);
    free(feed);
}
