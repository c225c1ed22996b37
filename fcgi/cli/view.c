/* Writes cell by cell: every text is cut at the right edge, every line at the lower one.
 *
 *     head       the process, requests, what waits, memory, Redis
 *     sources    breaker, calls, latency
 *     fragments  the sections of the config: rates and shares of outcomes
 *     flights    in progress, the oldest first, with bars that grow
 */
#include "cli/view.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "base/log.h"
#include "cli/snapshot.h"
#include "web/report.h"

#define TEXT_MAX     512
#define WIDE         100 /* columns from which on there is room for more */
#define BAR          20
#define SHORT_AGE_S  5. /* a full bar is at least that old */
#define SECTIONS     3
#define SECTION_HEAD 2 /* rows: an empty one, and the titles */

enum ink { INK_PLAIN, INK_TITLE, INK_GOOD, INK_WARN, INK_BAD, INK_BAR };

static const char *const sequences[] = {
    [INK_TITLE] = "1", [INK_GOOD] = "32", [INK_WARN] = "33", [INK_BAD] = "1;31", [INK_BAR] = "36",
};

struct canvas {
    const struct view *view;
    struct buffer *out;
    int row, left; /* columns that are left in the row */
    bool failed;
};

/* --- cells --- */

static void append(struct canvas *canvas, const char *bytes, size_t len)
{
    if (canvas->row < canvas->view->height)
        canvas->failed |= !buffer_append(canvas->out, bytes, len, SIZE_MAX);
}

static void set_ink(struct canvas *canvas, enum ink ink, bool on)
{
    char text[16];
    if (!canvas->view->coloured || ink == INK_PLAIN)
        return;
    append(canvas, text,
           (size_t)snprintf(text, sizeof text, "\033[%sm", on ? sequences[ink] : "0"));
}

static void pad(struct canvas *canvas, int columns)
{
    for (; columns > 0 && canvas->left > 0; columns--, canvas->left--)
        append(canvas, " ", 1);
}

static void end_line(struct canvas *canvas)
{
    if (canvas->row + 1 < canvas->view->height)
        append(canvas, canvas->view->line_end, strlen(canvas->view->line_end));
    canvas->row++;
    canvas->left = canvas->view->width;
}

/* Writes ASCII text in a field of so many columns: to its left, or, if they are negative, to its
 * right; 0: as many as it has. */
__attribute__((format(printf, 4, 5))) static void put_text(struct canvas *canvas, enum ink ink,
                                                           int columns, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (len >= TEXT_MAX)
        len = TEXT_MAX - 1;
    pad(canvas, -columns - len);
    int shown = len < canvas->left ? len : canvas->left;
    set_ink(canvas, ink, true);
    append(canvas, text, (size_t)shown);
    set_ink(canvas, ink, false);
    canvas->left -= shown;
    pad(canvas, columns - len);
}

/* The columns of the character at the beginning of the text, and its bytes; what can't be shown is
 * one column. */
static int width_of(const char *text, size_t *len, bool *shown)
{
    wchar_t character;
    mbstate_t state = {0};
    size_t bytes = mbrtowc(&character, text, strlen(text), &state);
    *len = bytes == 0 || bytes > strlen(text) ? 1 : bytes;
    int columns = bytes == *len ? wcwidth(character) : -1;
    *shown = columns > 0;
    return columns > 0 ? columns : 1;
}

/* Writes a name, which may be anything, in a field of so many columns; 0: as many as it has. If it
 * is longer, its end becomes "~". */
static void put_name(struct canvas *canvas, enum ink ink, int columns, const char *name)
{
    char text[TEXT_MAX];
    int room = columns > 0 && columns - 1 < canvas->left ? columns - 1 : canvas->left;
    int used = 0;
    log_escape(text, sizeof text, slice_of(name));
    set_ink(canvas, ink, true);
    for (const char *at = text; *at;) {
        size_t len;
        bool shown;
        int wide = width_of(at, &len, &shown);
        bool is_last = !at[len];
        if (used + wide > room - (is_last ? 0 : 1)) {
            if (used < room) {
                append(canvas, "~", 1);
                used++;
            }
            break;
        }
        append(canvas, shown ? at : "?", shown ? len : 1);
        used += wide;
        at += len;
    }
    set_ink(canvas, ink, false);
    canvas->left -= used;
    if (columns > 0)
        pad(canvas, columns - used);
}

/* A bar of a share of 1. */
static void put_bar(struct canvas *canvas, enum ink ink, double share)
{
    char text[BAR + 1];
    int filled = share >= 1 ? BAR : share > 0 ? (int)(share * BAR + 0.5) : 0;
    for (int i = 0; i < BAR; i++)
        text[i] = i < filled ? '#' : '.';
    text[BAR] = '\0';
    put_text(canvas, ink, BAR, "%s", text);
}

static void put_time(struct canvas *canvas, enum ink ink, int columns, double seconds)
{
    char text[REPORT_DURATION_ROOM];
    put_text(canvas, ink, columns, "%s", report_duration(text, seconds));
}

/* --- rates --- */

/* What a count has grown by in a second; negative: not known. */
static double rate(const struct snapshot *before, const struct snapshot *now, double then,
                   double count)
{
    double seconds = before ? now->taken - before->taken : 0;
    return seconds > 0 && count >= then ? (count - then) / seconds : -1;
}

static void put_rate(struct canvas *canvas, enum ink ink, int columns, double per_second)
{
    if (per_second < 0)
        put_text(canvas, INK_PLAIN, columns, "-");
    else
        put_text(canvas, per_second > 0 ? ink : INK_PLAIN, columns, "%.*f",
                 per_second < 100 ? 1 : 0, per_second);
}

/* In percent. */
static void put_share(struct canvas *canvas, int columns, double part, double all)
{
    if (part < 0 || all <= 0)
        put_text(canvas, INK_PLAIN, columns, "-");
    else
        put_text(canvas, INK_PLAIN, columns, "%.1f%%", 100 * part / all);
}

/* What a route's requests have become, in a second; all negative if that is not known. */
static struct snapshot_route route_rates(const struct snapshot *before, const struct snapshot *now,
                                         const struct snapshot_route *route)
{
    const struct snapshot_route *then = before ? snapshot_route(before, route->pattern) : NULL;
    if (!then)
        return (struct snapshot_route){.all = -1,
                                       .hits = -1,
                                       .stale = -1,
                                       .misses = -1,
                                       .not_ready = -1,
                                       .failed = -1};
    return (struct snapshot_route){
        .all = rate(before, now, then->all, route->all),
        .hits = rate(before, now, then->hits, route->hits),
        .stale = rate(before, now, then->stale, route->stale),
        .misses = rate(before, now, then->misses, route->misses),
        .not_ready = rate(before, now, then->not_ready, route->not_ready),
        .failed = rate(before, now, then->failed, route->failed),
    };
}

/* --- the head --- */

static void draw_process(struct canvas *canvas, const struct snapshot *now)
{
    char up[REPORT_DURATION_ROOM];
    put_text(canvas, INK_TITLE, 0, "workerless ");
    put_name(canvas, INK_TITLE, 0, now->version);
    if (now->workers > 0)
        put_text(canvas, INK_PLAIN, 0, ", %.0f workers", now->workers);
    else
        put_text(canvas, INK_PLAIN, 0, ", process %.0f", now->pid);
    put_text(canvas, INK_PLAIN, 0, ", up %s", report_duration(up, now->uptime));
    if (now->draining)
        put_text(canvas, INK_WARN, 0, ", shutting down");
    end_line(canvas);
}

/* In pieces, each of them a line. */
static void draw_trouble(struct canvas *canvas, const char *trouble)
{
    size_t width = (size_t)canvas->view->width;
    for (size_t len = strlen(trouble); len > 0;) {
        size_t piece = len < width ? len : width;
        put_text(canvas, INK_BAD, 0, "%.*s", (int)piece, trouble);
        end_line(canvas);
        trouble += piece;
        len -= piece;
    }
}

static void draw_requests(struct canvas *canvas, const struct snapshot *before,
                          const struct snapshot *now)
{
    struct snapshot_route sum = {.all = -1};
    for (size_t i = 0; i < now->route_count; i++) {
        struct snapshot_route one = route_rates(before, now, &now->routes[i]);
        if (one.all < 0)
            continue;
        sum.all = (sum.all < 0 ? 0 : sum.all) + one.all;
        sum.hits += one.hits;
        sum.stale += one.stale;
        sum.misses += one.misses;
        sum.failed += one.failed;
    }
    bool known = sum.all >= 0;
    put_text(canvas, INK_TITLE, 11, "requests");
    put_rate(canvas, INK_PLAIN, 0, sum.all);
    put_text(canvas, INK_PLAIN, 0, "/s  hits ");
    put_share(canvas, 0, sum.hits, sum.all);
    put_text(canvas, INK_PLAIN, 0, "  stale ");
    put_share(canvas, 0, sum.stale, sum.all);
    put_text(canvas, INK_PLAIN, 0, "  misses ");
    put_rate(canvas, INK_PLAIN, 0, known ? sum.misses : -1);
    put_text(canvas, INK_PLAIN, 0, "/s  failed ");
    put_rate(canvas, INK_BAD, 0, known ? sum.failed : -1);
    put_text(canvas, INK_PLAIN, 0, "/s");
    end_line(canvas);
}

static void draw_waiting(struct canvas *canvas, const struct snapshot *now)
{
    put_text(canvas, INK_TITLE, 11, "parked");
    put_text(canvas, INK_PLAIN, 0, "%.0f of %.0f, %.0f streams, %.0f connections", now->parked,
             now->parked_limit, now->streams, now->connections);
    end_line(canvas);
    put_text(canvas, INK_TITLE, 11, "flights");
    put_text(canvas, INK_PLAIN, 0, "%.0f of %.0f, %.0f generating, %.0f waiting for others",
             now->flights, now->flights_limit, now->generating, now->waiting);
    end_line(canvas);
}

static void draw_caches(struct canvas *canvas, const struct snapshot *now)
{
    double mib = 1 << 20, limit = now->memory_limit;
    put_text(canvas, INK_TITLE, 11, "memory");
    put_bar(canvas, INK_BAR, limit > 0 ? now->memory / limit : 0);
    put_text(canvas, INK_PLAIN, 0, " %.1f of %.1f MiB, %.0f entries", now->memory / mib,
             limit / mib, now->entries);
    end_line(canvas);
    put_text(canvas, INK_TITLE, 11, "redis");
    if (!now->has_redis) {
        put_text(canvas, INK_PLAIN, 0, "none");
    } else if (!now->redis_up) {
        put_name(canvas, INK_BAD, 0, now->redis_trouble);
    } else {
        put_text(canvas, INK_GOOD, 0, "up");
        put_text(canvas, INK_PLAIN, 0, ", half of the commands within ");
        put_time(canvas, INK_PLAIN, 0, now->redis_p50);
        put_text(canvas, INK_PLAIN, 0, ", 99%% within ");
        put_time(canvas, INK_PLAIN, 0, now->redis_p99);
    }
    end_line(canvas);
}

static void draw_refusals(struct canvas *canvas, const struct snapshot *now)
{
    if (now->refusal_count == 0)
        return;
    put_text(canvas, INK_TITLE, 11, "rejected");
    for (size_t i = 0; i < now->refusal_count; i++) {
        put_name(canvas, INK_BAD, 0, now->refusals[i].limit);
        put_text(canvas, INK_BAD, 0, " %.0f%s", now->refusals[i].count,
                 i + 1 < now->refusal_count ? ", " : "");
    }
    end_line(canvas);
}

/* --- the tables --- */

/* The title of the first column, which tells if not all rows are shown. */
static void put_heading(struct canvas *canvas, int columns, const char *what, size_t shown,
                        size_t all)
{
    if (shown < all)
        put_text(canvas, INK_TITLE, columns, "%s (%zu of %zu)", what, shown, all);
    else
        put_text(canvas, INK_TITLE, columns, "%s", what);
}

static void draw_sources(struct canvas *canvas, const struct snapshot *before,
                         const struct snapshot *now, size_t rows)
{
    bool wide = canvas->view->width >= WIDE;
    int name = canvas->view->width - 58 - (wide ? BAR + 2 : 0);
    double slowest = 0;
    end_line(canvas);
    put_heading(canvas, name, "source", rows, now->all_sources);
    put_text(canvas, INK_TITLE, 9, "breaker");
    put_text(canvas, INK_TITLE, -8, "running");
    put_text(canvas, INK_TITLE, -7, "queued");
    put_text(canvas, INK_TITLE, -9, "calls/s");
    put_text(canvas, INK_TITLE, -9, "failed/s");
    put_text(canvas, INK_TITLE, -8, "50%%");
    put_text(canvas, INK_TITLE, -8, "99%%");
    end_line(canvas);
    for (size_t i = 0; i < now->source_count; i++)
        slowest = now->sources[i].p99 > slowest ? now->sources[i].p99 : slowest;
    for (size_t i = 0; i < rows; i++) {
        const struct snapshot_source *one = &now->sources[i];
        const struct snapshot_source *then = before ? snapshot_source(before, one->name) : NULL;
        double failed = one->failed + one->timed_out + one->busy;
        put_name(canvas, INK_PLAIN, name, one->name);
        put_name(canvas, strcmp(one->breaker, "closed") == 0 ? INK_GOOD : INK_BAD, 9, one->breaker);
        put_text(canvas, INK_PLAIN, -8, "%.0f", one->running);
        put_text(canvas, one->queued > 0 ? INK_WARN : INK_PLAIN, -7, "%.0f", one->queued);
        put_rate(canvas, INK_PLAIN, -9, then ? rate(before, now, then->started, one->started) : -1);
        put_rate(canvas, INK_BAD, -9,
                 then ? rate(before, now, then->failed + then->timed_out + then->busy, failed)
                      : -1);
        put_time(canvas, INK_PLAIN, -8, one->p50);
        put_time(canvas, INK_PLAIN, -8, one->p99);
        if (wide) {
            pad(canvas, 2);
            put_bar(canvas, INK_BAR, slowest > 0 ? one->p99 / slowest : 0);
        }
        end_line(canvas);
    }
}

static void draw_routes(struct canvas *canvas, const struct snapshot *before,
                        const struct snapshot *now, size_t rows)
{
    int name = canvas->view->width - 51;
    end_line(canvas);
    put_heading(canvas, name, "fragment", rows, now->all_routes);
    put_text(canvas, INK_TITLE, -9, "req/s");
    put_text(canvas, INK_TITLE, -8, "hits");
    put_text(canvas, INK_TITLE, -8, "stale");
    put_text(canvas, INK_TITLE, -9, "misses/s");
    put_text(canvas, INK_TITLE, -8, "202/s");
    put_text(canvas, INK_TITLE, -9, "failed/s");
    end_line(canvas);
    for (size_t i = 0; i < rows; i++) {
        struct snapshot_route rates = route_rates(before, now, &now->routes[i]);
        put_name(canvas, INK_PLAIN, name, now->routes[i].pattern);
        put_rate(canvas, INK_PLAIN, -9, rates.all);
        put_share(canvas, -8, rates.hits, rates.all);
        put_share(canvas, -8, rates.stale, rates.all);
        put_rate(canvas, INK_PLAIN, -9, rates.misses);
        put_rate(canvas, INK_WARN, -8, rates.not_ready);
        put_rate(canvas, INK_BAD, -9, rates.failed);
        end_line(canvas);
    }
}

static void draw_flights(struct canvas *canvas, const struct snapshot *now, size_t rows)
{
    int name = canvas->view->width - 29 - BAR, source = 0;
    double longest = now->list_count > 0 ? now->list[0].age : 0;
    if (longest < SHORT_AGE_S)
        longest = SHORT_AGE_S;
    if (canvas->view->width >= WIDE)
        source = 20;
    end_line(canvas);
    put_heading(canvas, name - source, "in progress", rows,
                now->flights > 0 ? (size_t)now->flights : 0);
    if (source > 0)
        put_text(canvas, INK_TITLE, source, "source");
    put_text(canvas, INK_TITLE, 12, "state");
    put_text(canvas, INK_TITLE, -8, "waiting");
    put_text(canvas, INK_TITLE, -8, "age");
    end_line(canvas);
    for (size_t i = 0; i < rows; i++) {
        const struct snapshot_flight *one = &now->list[i];
        put_name(canvas, INK_PLAIN, name - source, one->key);
        if (source > 0)
            put_name(canvas, INK_PLAIN, source, one->source);
        put_name(canvas, INK_PLAIN, 12, one->state);
        put_text(canvas, INK_PLAIN, -8, "%.0f", one->waiters);
        put_time(canvas, INK_PLAIN, -8, one->age);
        pad(canvas, 1);
        put_bar(canvas, INK_BAR, one->age / longest);
        end_line(canvas);
    }
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Divides the rows that are left between the tables: each may have a third, and what one does not
 * need, the others may have. */
static void draw_tables(struct canvas *canvas, const struct snapshot *before,
                        const struct snapshot *now)
{
    int left = canvas->view->height - canvas->row - SECTIONS * SECTION_HEAD;
    size_t room = left > 0 ? (size_t)left : 0;
    size_t sources = smaller(now->source_count, room / SECTIONS);
    size_t routes = smaller(now->route_count, room / SECTIONS);
    size_t flights = smaller(now->list_count, room - sources - routes);
    size_t spare = room - sources - routes - flights;
    size_t more = smaller(now->source_count - sources, spare);
    routes += smaller(now->route_count - routes, spare - more);
    draw_sources(canvas, before, now, sources + more);
    draw_routes(canvas, before, now, routes);
    draw_flights(canvas, now, flights);
}

bool view_draw(const struct view *view, const struct snapshot *before, const struct snapshot *now,
               const char *trouble, struct buffer *out)
{
    struct canvas canvas = {.view = view, .out = out, .left = view->width};
    if (trouble)
        draw_trouble(&canvas, trouble);
    else
        draw_process(&canvas, now);
    draw_requests(&canvas, before, now);
    draw_waiting(&canvas, now);
    draw_caches(&canvas, now);
    draw_refusals(&canvas, now);
    draw_tables(&canvas, before, now);
    return !canvas.failed;
}
