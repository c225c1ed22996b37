/* Adds up the phases, and writes the slow log. */
#include "park/timing.h"

#include <stdio.h>

#include "base/clock.h"

#define LEAST_S    0.0005 /* a shorter rest is not worth a word */
#define SHOWN_MAX  200    /* bytes of a key */
#define PARTS_ROOM 300
#define TIME_ROOM  24

static double slow_s;

bool timing_is_wanted;

void timing_configure(double slow, bool wanted)
{
    slow_s = slow;
    timing_is_wanted = wanted || slow > 0;
}

void timing_begin(struct timing *timing)
{
    timing->began = timing->since = clock_monotonic();
}

void timing_add(struct timing *timing, enum timing_phase phase)
{
    if (timing->began <= 0)
        return;
    double now = clock_monotonic();
    float spent = (float)(now - timing->since);
    timing->since = now;
    switch (phase) {
    case TIMING_REDIS:
        timing->redis += spent;
        break;
    case TIMING_LEASE:
        timing->lease += spent;
        break;
    case TIMING_CALL:
        timing->call += spent;
        break;
    case TIMING_NONE:
        break;
    }
}

/* --- the slow log --- */

/* "3 ms", "1.2 s" */
static const char *show(char room[TIME_ROOM], double seconds)
{
    if (seconds < 0)
        seconds = 0;
    if (seconds < 0.9995)
        snprintf(room, TIME_ROOM, "%.0f ms", seconds * 1000);
    else
        snprintf(room, TIME_ROOM, "%.1f s", seconds);
    return room;
}

/* The text so far, and what is left of the total. */
struct parts {
    char text[PARTS_ROOM];
    size_t len;
    double left;
};

static void add_part(struct parts *parts, const char *name, double seconds)
{
    char room[TIME_ROOM];
    if (parts->len >= sizeof parts->text)
        return;
    parts->len +=
        (size_t)snprintf(parts->text + parts->len, sizeof parts->text - parts->len, "%s%s %s",
                         parts->len > 0 ? ", " : "", name, show(room, seconds));
    parts->left -= seconds;
}

static void add_call(struct parts *parts, const struct timing *timing)
{
    const struct source_times *source = &timing->source;
    double call = (double)timing->call - source->queued;
    add_part(parts, "queue", source->queued);
    if (!source->are_known) {
        add_part(parts, "source", call);
        return;
    }
    add_part(parts, "connect", source->connect);
    add_part(parts, "first byte", source->first_byte);
    add_part(parts, "body", source->body);
    double earlier = call - source->connect - source->first_byte - source->body;
    if (source->attempts > 1)
        add_part(parts, "earlier attempts", earlier);
}

void timing_log(const struct timing *timing, const struct timing_flight *flight,
                struct log_limit *limit)
{
    double total = timing->since - timing->began;
    struct slice key = flight->key;
    struct parts parts = {.left = total};
    char room[TIME_ROOM];
    if (timing->began <= 0 || slow_s <= 0 || total < slow_s)
        return;
    add_part(&parts, "Redis lookup", timing->redis);
    add_part(&parts, "lease wait", timing->lease);
    if (timing_has_called(timing))
        add_call(&parts, timing);
    if (parts.left >= LEAST_S)
        add_part(&parts, "other", parts.left);
    if (key.len > SHOWN_MAX)
        key.len = SHOWN_MAX;
    log_limited(limit, LOG_LEVEL_WARNING, "slow",
                "%.*s%s took %s: %s (source %.100s, %u request%s "
                "waited%s%s)",
                SLICE_ARGS(key), key.len < flight->key.len ? "..." : "", show(room, total),
                parts.text, flight->source, timing->waited, timing->waited == 1 ? "" : "s",
                flight->failure ? ", " : "", flight->failure ? flight->failure : "");
}
