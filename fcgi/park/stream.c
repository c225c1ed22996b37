/* Streams: the fragments of one request, in one block of memory. */
#include "park/stream.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/budget.h"
#include "base/check.h"
#include "base/container.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/users.h"
#include "cache/entry.h"
#include "park/flights.h"
#include "park/outcome.h"
#include "park/rules.h"
#include "park/tally.h"
#include "render/text.h"

#define NONE UINT16_MAX

/* A fragment may skip the first state, and never goes back. */
enum part_state {
    PART_WAITING, /* for its flight */
    PART_READY,   /* in the list of those that are ready */
    PART_TAKEN,   /* returned */
};

struct part {
    struct slice name;
    const struct recipe *recipe; /* counted; NULL: no route */
    uint16_t index;              /* of this part */
    uint16_t next;               /* of those that are ready */
    enum part_state state;
    union {
        struct waiter waiter; /* PART_WAITING */
        struct {
            enum settlement_kind kind;
            enum route_outcome outcome;
            struct entry *entry; /* held, or NULL */
        } ready;                 /* the other states */
    };
};

struct stream {
    struct flights *flights;
    stream_ready_fn *ready; /* may be NULL */
    void *context;
    struct stream_part returned; /* the part that was taken last, with its entry */
    char *names;                 /* where the next name goes; after the parts */
    bool to_templates;           /* entries have to be balanced */
    size_t size;                 /* bytes of this block, as counted in BUDGET_UNSENT */
    uint16_t count, waiting;
    uint16_t most;        /* number of parts that fit */
    uint16_t first, last; /* list of ready parts; NONE: empty */
    struct part parts[];
};

static size_t size_of(size_t fragments, size_t names_len)
{
    return sizeof(struct stream) + fragments * sizeof(struct part) + names_len;
}

bool stream_has_room(size_t fragments, size_t names_len)
{
    bool room = budget_has_room(BUDGET_UNSENT, size_of(fragments, names_len));
    if (!room)
        budget_log_refusal(BUDGET_UNSENT);
    return room;
}

struct stream *stream_new(struct flights *flights, size_t fragments, size_t names_len)
{
    size_t size = size_of(fragments, names_len);
    struct stream *stream = alloc_zeroed(size);
    if (!stream)
        return NULL;
    budget_add(BUDGET_UNSENT, size);
    stream->size = size;
    stream->flights = flights;
    stream->most = (uint16_t)fragments;
    stream->names = (char *)&stream->parts[fragments];
    stream->first = stream->last = NONE;
    return stream;
}

void stream_to_templates(struct stream *stream)
{
    stream->to_templates = true;
}

void stream_on_ready(struct stream *stream, stream_ready_fn *ready, void *context)
{
    stream->ready = ready;
    stream->context = context;
}

/* Only HTML may become a part of a page. The data of an event is text, which a script may use as it
 * likes. */
static bool takes_type(const struct stream *stream, const struct entry *entry)
{
    return entry->is_html || (!stream->to_templates && text_is_text(entry->type));
}

static void log_type(const struct part *part, const struct entry *entry)
{
    static struct log_limit limit;
    log_limited(&limit, LOG_LEVEL_WARNING, "stream",
                "fragment \"%.*s\" is %.*s, which can't be a part of this stream",
                SLICE_ARGS(part->name), SLICE_ARGS(entry->type));
}

/* How the part ends: as the settlement does, unless the stream can't take its entry. */
static enum settlement_kind judge(const struct stream *stream, const struct part *part,
                                  const struct settlement *settlement)
{
    struct entry *entry = settlement->entry;
    if (!entry)
        return settlement->kind;
    if (settlement->kind == SETTLED_ENTRY && !takes_type(stream, entry)) {
        log_type(part, entry);
        return SETTLED_FAILED;
    }
    if (stream->to_templates && settlement->kind == SETTLED_ENTRY &&
        !outcome_fits_template(&part->recipe->use->balance_log, part->name, entry)) {
        counter_add(COUNTER_WITHHELD, 1);
        return SETTLED_FAILED;
    }
    if (entry_can_hold(entry))
        return settlement->kind;
    budget_log_refusal(BUDGET_UNSENT);
    return SETTLED_REFUSED;
}

static void part_ready(struct stream *stream, struct part *part,
                       const struct settlement *settlement)
{
    struct entry *entry = settlement->entry;
    enum settlement_kind kind = judge(stream, part, settlement);
    part->state = PART_READY;
    part->ready.kind = kind;
    part->ready.outcome = route_outcome_of(settlement, kind);
    if (part->recipe)
        route_tally_add(part->recipe->tally, part->ready.outcome);
    part->ready.entry = kind == settlement->kind && entry ? entry_hold(entry) : NULL;
    part->next = NONE;
    if (stream->last == NONE)
        stream->first = part->index;
    else
        stream->parts[stream->last].next = part->index;
    stream->last = part->index;
}

/* The stream leaves its flights before it is freed, so it still exists here. */
static void on_settled(struct waiter *waiter, const struct settlement *settlement)
{
    struct part *part = container_of(waiter, struct part, waiter);
    struct stream *stream = container_of(part - part->index, struct stream, parts[0]);
    stream->waiting--;
    part_ready(stream, part, settlement);
    if (stream->ready)
        stream->ready(stream->context);
}

static bool stream_has(const struct stream *stream, struct slice name)
{
    for (size_t i = 0; i < stream->count; i++)
        if (slice_equal(stream->parts[i].name, name))
            return true;
    return false;
}

void stream_add(struct stream *stream, const struct fragment *fragment)
{
    struct slice name = fragment->name;
    if (stream_has(stream, name))
        return;
    check(stream->count < stream->most &&
          name.len <= (size_t)((char *)stream + stream->size - stream->names));
    struct part *part = &stream->parts[stream->count];
    memcpy(stream->names, name.data, name.len);
    part->name = (struct slice){.data = stream->names, .len = name.len};
    part->recipe = fragment->recipe;
    if (part->recipe)
        users_add(part->recipe->users);
    part->index = stream->count++;
    stream->names += name.len;

    struct settlement settlement = {.kind = SETTLED_NOT_FOUND};
    if (!fragment->recipe || flights_serve(stream->flights, fragment, &settlement)) {
        part_ready(stream, part, &settlement);
        return;
    }
    if (!flights_join_in(stream->flights, fragment, &part->waiter, on_settled)) {
        part_ready(stream, part, &(struct settlement){.kind = SETTLED_REFUSED});
        return;
    }
    part->state = PART_WAITING;
    stream->waiting++;
}

static struct stream_part describe(const struct part *part)
{
    return (struct stream_part){part->name, part->recipe, part->ready.kind, part->ready.outcome,
                                part->ready.entry};
}

/* Removes the part from the list of those that are ready. */
static void unlink_ready(struct stream *stream, const struct part *part)
{
    uint16_t *link = &stream->first, before = NONE;
    while (*link != part->index) {
        before = *link;
        link = &stream->parts[before].next;
    }
    *link = part->next;
    if (stream->last == part->index)
        stream->last = before;
}

static const struct stream_part *take(struct stream *stream, struct part *part)
{
    unlink_ready(stream, part);
    stream->returned = describe(part);
    part->ready.entry = NULL; /* it is held in `returned` now */
    part->state = PART_TAKEN;
    return &stream->returned;
}

void stream_let_go(struct stream *stream)
{
    entry_let_go(stream->returned.entry);
    stream->returned.entry = NULL;
}

const struct stream_part *stream_next(struct stream *stream)
{
    stream_let_go(stream);
    return stream->first == NONE ? NULL : take(stream, &stream->parts[stream->first]);
}

bool stream_peek(const struct stream *stream, size_t index, struct stream_part *part)
{
    check(index < stream->count);
    const struct part *found = &stream->parts[index];
    if (found->state == PART_READY)
        *part = describe(found);
    return found->state == PART_READY;
}

const struct stream_part *stream_take(struct stream *stream, size_t index)
{
    struct stream_part part;
    stream_let_go(stream);
    return stream_peek(stream, index, &part) ? take(stream, &stream->parts[index]) : NULL;
}

bool stream_is_ready(const struct stream *stream)
{
    return stream->first != NONE;
}

bool stream_is_over(const struct stream *stream)
{
    return stream->first == NONE && stream->waiting == 0;
}

size_t stream_unsent(const struct stream *stream)
{
    size_t unsent = stream->size + entry_unsent(stream->returned.entry);
    for (size_t i = 0; i < stream->count; i++)
        if (stream->parts[i].state != PART_WAITING)
            unsent += entry_unsent(stream->parts[i].ready.entry);
    return unsent;
}

void stream_free(struct stream *stream)
{
    if (!stream)
        return;
    for (size_t i = 0; i < stream->count; i++) {
        struct part *part = &stream->parts[i];
        if (part->state == PART_WAITING) {
            route_tally_add(part->recipe->tally, ROUTE_LEFT);
            waiter_leave(&part->waiter);
        } else {
            entry_let_go(part->ready.entry);
        }
        if (part->recipe)
            users_drop(part->recipe->users);
    }
    stream_let_go(stream);
    budget_sub(BUDGET_UNSENT, stream->size);
    free(stream);
}
