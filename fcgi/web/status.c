/* The state of the process, once for people and once for programs.
 *
 *     service, flights, sources, counters --> struct status --> text, or JSON
 */
#include "web/status.h"

#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/budget.h"
#include "base/byte.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/figures.h"
#include "base/histogram.h"
#include "cache/cache.h"
#include "cache/holder.h"
#include "park/tally.h"
#include "source/tally.h"
#include "web/endpoint.h"
#include "web/query.h"
#include "web/report.h"
#include "web/totals.h"

#define ROW_BYTES_MAX ((size_t)1 << 20) /* of all rows; keys may be long */
#define DURATION_ROOM REPORT_DURATION_ROOM

struct status {
    struct report report;
    const struct service *service;
    struct flights_view flights; /* of this process */
    struct totals totals;
    const char *redis; /* what is wrong with it; NULL: it can be used, or there is none */
    size_t rows_from;  /* where the rows begin in the report */
};

static void look(struct status *status, const struct service *service)
{
    *status = (struct status){.service = service, .flights = flights_look(service->flights)};
    totals_look(service, &status->totals);
    status->redis = cache_trouble(status->flights.cache);
}

/* A line without its end. */
static struct slice line_of(const char *text)
{
    return (struct slice){.data = text, .len = strcspn(text, "\n")};
}

static bool rows_have_room(const struct status *status)
{
    return status->report.text.len - status->rows_from < ROW_BYTES_MAX && !status->report.failed;
}

static bool is_refusal(size_t counter)
{
    const char *family = counter_rows[counter].family;
    return family && strcmp(family, "refused") == 0;
}

/* The counters of limits that were reached, the highest first. Returns their number. */
static size_t top_refusals(const uint64_t *values, enum counter top[COUNTERS])
{
    size_t count = 0;
    for (size_t i = 0; i < COUNTERS; i++) {
        if (!is_refusal(i) || values[i] == 0)
            continue;
        size_t at = count++;
        for (; at > 0 && values[top[at - 1]] < values[i]; at--)
            top[at] = top[at - 1];
        top[at] = (enum counter)i;
    }
    return count;
}

/* --- text --- */

static const char *duration(char out[DURATION_ROOM], double seconds)
{
    return report_duration(out, seconds);
}

static void text_workers(struct status *status)
{
    if (status->totals.workers > 0)
        report_text(&status->report, "\n%10s %11s %8s %10s %6s\n", "worker", "connections",
                    "parked", "answers", "starts");
    for (unsigned i = 0; i < status->totals.workers; i++) {
        struct totals_worker worker = totals_of_worker(i);
        report_text(&status->report, "%10u %11" PRIu64 " %8" PRIu64 " %10" PRIu64 " %6" PRIu64 "\n",
                    i, worker.connections, worker.parked, worker.answers, worker.starts);
    }
    if (status->totals.workers > 0)
        report_text(&status->report, "\n");
}

static void text_process(struct status *status)
{
    struct report *report = &status->report;
    const struct flights_view *flights = &status->flights;
    const struct totals_now *now = &status->totals.now;
    char up[DURATION_ROOM], used[REPORT_SIZE_ROOM], limit[REPORT_SIZE_ROOM];
    report_text(report, "workerless %s, process %ld, up %s%s\n\n", PACKAGE_VERSION,
                (long)figures_leader(), duration(up, clock_monotonic() - status->totals.since),
                status->service->draining ? ", shutting down" : "");
    report_text(report, "parked      %" PRIu64 " of %" PRIu64 "\n",
                status->totals.counters[COUNTER_PARKED], now->parked_limit);
    report_text(report, "streams     %" PRIu64 "\n", status->totals.counters[COUNTER_STREAMS]);
    report_text(report, "connections %" PRIu64 "\n", status->totals.counters[COUNTER_CONNECTIONS]);
    report_text(report, "flights     %" PRIu64 " of %" PRIu64, now->flights, now->flights_limit);
    for (size_t i = 0; i < flights->state_count; i++)
        if (now->by_state[i] > 0)
            report_text(report, ", %" PRIu64 " %s", now->by_state[i], flights->state_names[i]);
    report_text(report, "\n");
    for (size_t i = 0; i < BUDGETS; i++)
        report_text(report, "%-11s %s of %s\n", budget_rows[i].name,
                    report_size(used, now->budgets[i]), report_size(limit, now->budget_limits[i]));
    report_text(report, "memory      %s of %s, entries: %" PRIu64 "\n",
                report_size(used, now->memory_bytes), report_size(limit, now->memory_limit),
                now->memory_entries);
    text_workers(status);
}

static void text_redis(struct status *status)
{
    struct report *report = &status->report;
    char typical[DURATION_ROOM], slow[DURATION_ROOM];
    if (!cache_is_shared(status->flights.cache)) {
        report_text(report, "redis       none is configured\n");
        return;
    }
    report_text(report, "redis       ");
    if (status->redis)
        report_plain(report, line_of(status->redis));
    else
        report_text(report, "up");
    report_text(report,
                ", connected %" PRIu64 " times, lost %" PRIu64 " times, half of %" PRIu64
                " commands within %s, 99%% within %s\n",
                status->totals.counters[COUNTER_REDIS_CONNECTED],
                status->totals.counters[COUNTER_REDIS_LOST], histogram_count(&status->totals.redis),
                duration(typical, histogram_quantile(&status->totals.redis, 0.5)),
                duration(slow, histogram_quantile(&status->totals.redis, 0.99)));
}

static void text_loop(struct status *status)
{
    char longest[DURATION_ROOM];
    report_text(&status->report,
                "loop        %" PRIu64 " turns, the longest of the last minute took %s\n",
                histogram_count(&status->totals.loop),
                duration(longest, status->totals.loop_longest));
}

struct named_source {
    const char *name;
    struct totals_source sums;
};

static int by_slowness(const void *a, const void *b)
{
    const struct named_source *first = a, *second = b;
    const double shares[] = {0.99, 0.5};
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        double difference = histogram_quantile(&second->sums.tally.duration, shares[i]) -
                            histogram_quantile(&first->sums.tally.duration, shares[i]);
        if (difference < 0 || difference > 0)
            return difference > 0 ? 1 : -1;
    }
    return strcmp(first->name, second->name);
}

static void text_source(struct report *report, const struct named_source *source)
{
    const struct totals_source *sums = &source->sums;
    const struct source_tally *tally = &sums->tally;
    char typical[DURATION_ROOM], slow[DURATION_ROOM], pause[DURATION_ROOM], breaker[64];
    snprintf(breaker, sizeof breaker, sums->now.pause_s > 0 ? "%s, %s left" : "%s", sums->breaker,
             duration(pause, sums->now.pause_s));
    report_text(report,
                "%10" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64
                " %8s %8s  %-16s ",
                tally->started, sums->now.running, sums->now.queued, tally->ended[SOURCE_FAILED],
                tally->ended[SOURCE_TIMED_OUT], tally->ended[SOURCE_BUSY],
                duration(typical, histogram_quantile(&tally->duration, 0.5)),
                duration(slow, histogram_quantile(&tally->duration, 0.99)), breaker);
    report_plain(report, slice_of(source->name));
    report_text(report, "\n");
}

/* A table of those that have jobs. */
static void text_jobs(struct report *report, const struct named_source *sources, size_t count)
{
    bool titled = false;
    for (size_t i = 0; i < count; i++) {
        const struct source_backlog *backlog = &sources[i].sums.now.backlog;
        char oldest[DURATION_ROOM];
        if (!backlog->known)
            continue;
        if (!titled)
            report_text(report, "\n%10s %10s %8s %8s %8s  %s\n", "visitors", "refreshes", "dead",
                        "workers", "oldest", "jobs of source");
        titled = true;
        report_text(report, "%10" PRIu64 " %10" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8s  ",
                    backlog->visitors, backlog->refreshes, backlog->dead, backlog->workers,
                    duration(oldest, (double)backlog->oldest_ms / 1000));
        report_plain(report, slice_of(sources[i].name));
        report_text(report, "\n");
    }
}

/* The slowest first. */
static void text_sources(struct status *status)
{
    struct report *report = &status->report;
    size_t count = status->flights.source_count;
    struct named_source *sources = alloc_zeroed((count + 1) * sizeof *sources);
    if (!sources) {
        report->failed = true;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct source_view view = source_look(status->flights.sources[i]);
        sources[i] = (struct named_source){.name = view.name, .sums = totals_of_source(&view)};
    }
    qsort(sources, count, sizeof *sources, by_slowness);
    report_text(report, "\n%10s %8s %8s %8s %8s %8s %8s %8s  %-16s %s\n", "calls", "running",
                "queued", "failed", "timeout", "refused", "50%", "99%", "breaker",
                "source, the slowest first");
    for (size_t i = 0; i < count; i++)
        text_source(report, &sources[i]);
    text_jobs(report, sources, count);
    free(sources);
}

static void text_routes(struct status *status)
{
    struct report *report = &status->report;
    report_text(report, "\n");
    for (size_t i = 0; i < ROUTE_OUTCOMES; i++)
        report_text(report, "%10s", route_outcome_names[i]);
    report_text(report, "  fragment\n");
    for (size_t i = 0; i < status->service->site.route_count; i++) {
        const struct route *route = &status->service->site.routes[i];
        struct route_tally tally = totals_of_route(route->pattern);
        if (!route->recipe.tally)
            continue;
        for (size_t k = 0; k < ROUTE_OUTCOMES; k++)
            report_text(report, "%10" PRIu64, tally.counts[k]);
        report_text(report, "  ");
        report_plain(report, slice_of(route->pattern));
        report_text(report, "\n");
    }
}

static void text_refusals(struct status *status)
{
    enum counter top[COUNTERS];
    size_t count = top_refusals(status->totals.counters, top);
    report_text(&status->report, count > 0 ? "\n%10s  by limit\n" : "\nno limit was reached\n",
                "rejected");
    for (size_t i = 0; i < count; i++)
        report_text(&status->report, "%10" PRIu64 "  %s\n", status->totals.counters[top[i]],
                    counter_rows[top[i]].name + strlen("refused_"));
}

static bool text_row(void *context, const struct flight_row *row)
{
    struct status *status = context;
    char age[DURATION_ROOM];
    if (!rows_have_room(status))
        return false;
    report_text(&status->report, "%10s %7zu%s  %-11s%s  ", duration(age, row->age_s), row->waiters,
                row->waiters_known ? " " : "+", row->state, row->solo ? "alone" : "     ");
    report_plain(&status->report, row->key);
    report_text(&status->report, "  ");
    report_plain(&status->report, slice_of(row->source));
    if (row->holder.len > 0)
        report_text(&status->report, "  %.*s, process %.*s", SLICE_ARGS(holder_host(row->holder)),
                    SLICE_ARGS(holder_pid(row->holder)));
    report_text(&status->report, "\n");
    return true;
}

static void text_rows(struct status *status, size_t rows)
{
    report_text(&status->report, "\n%10s %7s   %-11s%s  %s\n", "age", "waiting", "state", "     ",
                "key, source, holder of the lease");
    status->rows_from = status->report.text.len;
    if (!flights_list(status->service->flights, rows, text_row, status))
        report_text(&status->report, "and more\n");
}

static void write_text(struct status *status, size_t rows)
{
    text_process(status);
    text_redis(status);
    text_loop(status);
    text_sources(status);
    text_routes(status);
    text_refusals(status);
    if (rows > 0)
        text_rows(status, rows);
}

/* --- JSON --- */

static void json_workers(struct status *status)
{
    report_text(&status->report, ",\n\"workers\": [");
    for (unsigned i = 0; i < status->totals.workers; i++) {
        struct totals_worker worker = totals_of_worker(i);
        report_text(&status->report,
                    "%s\n  {\"worker\": %u, \"connections\": %" PRIu64 ", \"parked\": %" PRIu64
                    ", \"answers\": %" PRIu64 ", \"starts\": %" PRIu64 "}",
                    i > 0 ? "," : "", i, worker.connections, worker.parked, worker.answers,
                    worker.starts);
    }
    report_text(&status->report, "]");
}

static void json_process(struct status *status)
{
    struct report *report = &status->report;
    const struct flights_view *flights = &status->flights;
    const struct totals_now *now = &status->totals.now;
    report_text(report,
                "{\"version\": \"%s\", \"pid\": %ld, \"uptime_seconds\": %.3f, \"draining\": %s",
                PACKAGE_VERSION, (long)figures_leader(), clock_monotonic() - status->totals.since,
                status->service->draining ? "true" : "false");
    report_text(report, ",\n\"parked\": {\"now\": %" PRIu64 ", \"limit\": %" PRIu64 "}",
                status->totals.counters[COUNTER_PARKED], now->parked_limit);
    report_text(report, ",\n\"streams\": %" PRIu64 ", \"connections\": %" PRIu64,
                status->totals.counters[COUNTER_STREAMS],
                status->totals.counters[COUNTER_CONNECTIONS]);
    report_text(report,
                ",\n\"flights\": {\"now\": %" PRIu64 ", \"limit\": %" PRIu64 ", \"states\": {",
                now->flights, now->flights_limit);
    for (size_t i = 0; i < flights->state_count; i++)
        report_text(report, "%s\"%s\": %" PRIu64, i > 0 ? ", " : "", flights->state_names[i],
                    now->by_state[i]);
    report_text(report, "}}");
    for (size_t i = 0; i < BUDGETS; i++)
        report_text(report, ",\n\"%s\": {\"bytes\": %" PRIu64 ", \"limit_bytes\": %" PRIu64 "}",
                    budget_rows[i].name, now->budgets[i], now->budget_limits[i]);
    report_text(report,
                ",\n\"memory\": {\"bytes\": %" PRIu64 ", \"limit_bytes\": %" PRIu64
                ", \"entries\": %" PRIu64 "}",
                now->memory_bytes, now->memory_limit, now->memory_entries);
    json_workers(status);
}

/* What histograms count by; the last count of each is for longer times. */
static void json_bounds(struct report *report)
{
    report_text(report, ",\n\"bounds_seconds\": [");
    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++)
        report_text(report, "%s%s", i > 0 ? ", " : "", histogram_bound_texts[i]);
    report_text(report, "]");
}

static void json_histogram(struct report *report, const struct histogram *histogram)
{
    report_text(report, "\"p50_seconds\": %.9g, \"p99_seconds\": %.9g, \"counts\": [",
                histogram_quantile(histogram, 0.5), histogram_quantile(histogram, 0.99));
    for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
        report_text(report, "%s%" PRIu64, i > 0 ? ", " : "", histogram->counts[i]);
    report_text(report, "]");
}

static void json_redis(struct status *status)
{
    struct report *report = &status->report;
    if (!cache_is_shared(status->flights.cache)) {
        report_text(report, ",\n\"redis\": null");
        return;
    }
    report_text(report,
                ",\n\"redis\": {\"up\": %s, \"trouble\": ", status->redis ? "false" : "true");
    if (status->redis)
        report_json(report, line_of(status->redis));
    else
        report_text(report, "null");
    report_text(report,
                ", \"connected\": %" PRIu64 ", \"lost\": %" PRIu64 ", \"commands\": %" PRIu64 ", ",
                status->totals.counters[COUNTER_REDIS_CONNECTED],
                status->totals.counters[COUNTER_REDIS_LOST],
                histogram_count(&status->totals.redis));
    json_histogram(report, &status->totals.redis);
    report_text(report, "}");
}

static void json_loop(struct status *status)
{
    struct report *report = &status->report;
    report_text(report, ",\n\"loop\": {\"lag_max_seconds\": %.9g, ", status->totals.loop_longest);
    json_histogram(report, &status->totals.loop);
    report_text(report, "}");
}

static void json_jobs(struct report *report, const struct source_backlog *backlog)
{
    if (!backlog->known) {
        report_text(report, ", \"jobs\": null");
        return;
    }
    report_text(report,
                ", \"jobs\": {\"visitors\": %" PRIu64 ", \"refreshes\": %" PRIu64
                ", \"dead\": %" PRIu64 ", \"workers\": %" PRIu64 ", \"oldest_seconds\": %.3f}",
                backlog->visitors, backlog->refreshes, backlog->dead, backlog->workers,
                (double)backlog->oldest_ms / 1000);
}

static void json_sources(struct status *status)
{
    struct report *report = &status->report;
    report_text(report, ",\n\"sources\": [");
    for (size_t i = 0; i < status->flights.source_count; i++) {
        struct source_view view = source_look(status->flights.sources[i]);
        struct totals_source source = totals_of_source(&view);
        report_text(report, "%s\n  {\"name\": ", i > 0 ? "," : "");
        report_json(report, slice_of(view.name));
        report_text(report,
                    ", \"type\": \"%s\", \"breaker\": \"%s\", \"pause_seconds\": %.3f, "
                    "\"running\": %" PRIu64 ", \"queued\": %" PRIu64 ", \"started\": %" PRIu64
                    ", \"ended\": {",
                    view.type, source.breaker, source.now.pause_s, source.now.running,
                    source.now.queued, source.tally.started);
        for (size_t k = 0; k < SOURCE_STATUSES; k++)
            report_text(report, "%s\"%s\": %" PRIu64, k > 0 ? ", " : "", source_status_names[k],
                        source.tally.ended[k]);
        report_text(report, "}, ");
        json_histogram(report, &source.tally.duration);
        json_jobs(report, &source.now.backlog);
        report_text(report, "}");
    }
    report_text(report, "]");
}

static void json_routes(struct status *status)
{
    struct report *report = &status->report;
    const char *before = "";
    report_text(report, ",\n\"fragments\": [");
    for (size_t i = 0; i < status->service->site.route_count; i++) {
        const struct route *route = &status->service->site.routes[i];
        struct route_tally tally = totals_of_route(route->pattern);
        if (!route->recipe.tally)
            continue;
        report_text(report, "%s\n  {\"pattern\": ", before);
        before = ",";
        report_json(report, slice_of(route->pattern));
        for (size_t k = 0; k < ROUTE_OUTCOMES; k++)
            report_text(report, ", \"%s\": %" PRIu64, route_outcome_names[k], tally.counts[k]);
        report_text(report, "}");
    }
    report_text(report, "]");
}

static void json_refusals(struct status *status)
{
    enum counter top[COUNTERS];
    size_t count = top_refusals(status->totals.counters, top);
    report_text(&status->report, ",\n\"refused\": {");
    for (size_t i = 0; i < count; i++)
        report_text(&status->report, "%s\"%s\": %" PRIu64, i > 0 ? ", " : "",
                    counter_rows[top[i]].name + strlen("refused_"),
                    status->totals.counters[top[i]]);
    report_text(&status->report, "}");
}

/* Everything that only grows, except the refusals. */
static void json_totals(struct status *status)
{
    const char *before = "";
    report_text(&status->report, ",\n\"totals\": {");
    for (size_t i = 0; i < COUNTERS; i++) {
        if (counter_rows[i].type != COUNTER_TYPE_COUNTER || is_refusal(i))
            continue;
        report_text(&status->report, "%s\"%s\": %" PRIu64, before, counter_rows[i].name,
                    status->totals.counters[i]);
        before = ", ";
    }
    report_text(&status->report, "}");
}

static bool json_row(void *context, const struct flight_row *row)
{
    struct status *status = context;
    struct report *report = &status->report;
    if (!rows_have_room(status))
        return false;
    report_text(report, "%s\n  {\"key\": ", report->text.len > status->rows_from ? "," : "");
    report_json(report, row->key);
    report_text(report, ", \"age_seconds\": %.3f, \"state\": \"%s\", \"source\": ", row->age_s,
                row->state);
    report_json(report, slice_of(row->source));
    report_text(report, ", \"lease\": ");
    if (row->holder.len > 0)
        report_text(report, "{\"host\": \"%.*s\", \"pid\": %.*s}",
                    SLICE_ARGS(holder_host(row->holder)), SLICE_ARGS(holder_pid(row->holder)));
    else
        report_text(report, "null");
    report_text(report, ", \"waiters\": %zu, \"waiters_known\": %s, \"alone\": %s}", row->waiters,
                row->waiters_known ? "true" : "false", row->solo ? "true" : "false");
    return true;
}

static void json_rows(struct status *status, size_t rows)
{
    report_text(&status->report, ",\n\"in_progress\": [");
    status->rows_from = status->report.text.len;
    bool whole = flights_list(status->service->flights, rows, json_row, status);
    report_text(&status->report, "],\n\"in_progress_is_complete\": %s", whole ? "true" : "false");
}

static void write_json(struct status *status, size_t rows)
{
    json_process(status);
    json_bounds(&status->report);
    json_redis(status);
    json_loop(status);
    json_sources(status);
    json_routes(status);
    json_refusals(status);
    json_totals(status);
    if (rows > 0)
        json_rows(status, rows);
    report_text(&status->report, "}\n");
}

/* --- the endpoint --- */

/* How many flights are to be listed: "full" has their number as its value, or none. */
static size_t rows_of(struct slice query)
{
    char text[8];
    size_t len = 0, rows = 0;
    if (!query_has(query, SLICE("full")))
        return 0;
    if (query_next(&query, SLICE("full"), text, sizeof text, &len) != QUERY_VALUE || len == 0)
        return STATUS_ROWS_MAX;
    for (size_t i = 0; i < len; i++) {
        if (!byte_is_digit(text[i]))
            return STATUS_ROWS_MAX;
        rows = rows * 10 + (size_t)(text[i] - '0');
    }
    return rows < STATUS_ROWS_MAX ? rows : STATUS_ROWS_MAX;
}

enum answer_kind status_start(struct service *service, const struct visit *visit,
                              const struct waiter_address *who, union answer *answer)
{
    struct slice query = visit->request->query;
    bool is_json = query_has(query, SLICE("json"));
    struct status status;
    (void)who;
    if (!report_is_open(service, visit))
        return endpoint_fail(service, visit, 403, answer);
    look(&status, service);
    (is_json ? write_json : write_text)(&status, rows_of(query));
    return report_answer(service, visit,
                         is_json ? SLICE("application/json") : SLICE("text/plain; charset=utf-8"),
                         &status.report, answer);
}
