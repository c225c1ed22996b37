/* Metrics: the table of counters, and the counts by route and by source.
 *
 * Nothing is counted here, and nothing is shown twice: a counter that is the sum of counts by route
 * or source has no family in the table. Labels come from the config and from our own tables, never
 * from requests, so their number is bounded by the config.
 *
 * The two formats differ in the family's name of a counter, in the types "info" and "stateset",
 * which are not used here, and in the last line.
 */
#include "web/metrics.h"

#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/budget.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/histogram.h"
#include "cache/cache.h"
#include "park/tally.h"
#include "source/tally.h"
#include "web/endpoint.h"
#include "web/report.h"
#include "web/totals.h"

#define NAME_ROOM 64

struct metrics {
    struct report report;
    const struct service *service;
    struct flights_view flights; /* of this process */
    struct totals totals;
    const char *family; /* the current one */
    bool is_open;       /* OpenMetrics */
    bool has_label;     /* of the current sample */
};

/* --- families and samples --- */

enum family_type { FAMILY_COUNTER, FAMILY_GAUGE, FAMILY_HISTOGRAM };

/* Begins a family: its samples follow. */
static void family(struct metrics *metrics, enum family_type type, const char *name,
                   const char *help)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    const char *suffix = type == FAMILY_COUNTER && !metrics->is_open ? "_total" : "";
    metrics->family = name;
    report_text(&metrics->report, "# TYPE workerless_%s%s %s\n", name, suffix, types[type]);
    report_text(&metrics->report, "# HELP workerless_%s%s %s\n", name, suffix, help);
}

/* A sample is begun, gets its labels, and is ended by its value. */
static void begin(struct metrics *metrics, const char *suffix)
{
    report_text(&metrics->report, "workerless_%s%s", metrics->family, suffix);
    metrics->has_label = false;
}

static void label(struct metrics *metrics, const char *name, const char *value)
{
    report_text(&metrics->report, "%s%s=\"", metrics->has_label ? "," : "{", name);
    report_label(&metrics->report, slice_of(value));
    report_text(&metrics->report, "\"");
    metrics->has_label = true;
}

static void end_count(struct metrics *metrics, uint64_t value)
{
    report_text(&metrics->report, "%s %" PRIu64 "\n", metrics->has_label ? "}" : "", value);
}

static void end_number(struct metrics *metrics, double value)
{
    report_text(&metrics->report, "%s %.12g\n", metrics->has_label ? "}" : "", value);
}

static void gauge(struct metrics *metrics, const char *name, const char *help, uint64_t value)
{
    family(metrics, FAMILY_GAUGE, name, help);
    begin(metrics, "");
    end_count(metrics, value);
}

/* The samples of a histogram with at most one label more. */
static void histogram(struct metrics *metrics, const struct histogram *histogram, const char *name,
                      const char *value)
{
    static const char *const suffixes[] = {"_count", "_sum"};
    uint64_t count = 0;
    for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
        count += histogram->counts[i];
        begin(metrics, "_bucket");
        if (name)
            label(metrics, name, value);
        label(metrics, "le", i < HISTOGRAM_BOUNDS ? histogram_bound_texts[i] : "+Inf");
        end_count(metrics, count);
    }
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        begin(metrics, suffixes[i]);
        if (name)
            label(metrics, name, value);
        if (i == 0)
            end_count(metrics, count);
        else
            end_number(metrics, histogram->sum);
    }
}

/* --- what there is --- */

static void write_process(struct metrics *metrics)
{
    family(metrics, FAMILY_GAUGE, "build_info", "The version, as a label; the value is 1.");
    begin(metrics, "");
    label(metrics, "version", PACKAGE_VERSION);
    end_count(metrics, 1);
    family(metrics, FAMILY_GAUGE, "uptime_seconds", "How long the service has run.");
    begin(metrics, "");
    end_number(metrics, clock_monotonic() - metrics->totals.since);
}

static void write_loop(struct metrics *metrics)
{
    family(metrics, FAMILY_GAUGE, "loop_lag_max_seconds",
           "The longest turn of any worker's event loop in the last 30 to 60 seconds.");
    begin(metrics, "");
    end_number(metrics, metrics->totals.loop_longest);
    family(metrics, FAMILY_HISTOGRAM, "loop_lag_seconds",
           "Duration of the turns of the event loop; what happens meanwhile has to wait.");
    histogram(metrics, &metrics->totals.loop, NULL, NULL);
}

/* What the counters of a family have in common; a family of one has its counter's help. */
static const char *help_of(const struct counter_row *row)
{
    static const struct {
        const char *family, *help;
    } families[] = {
        {"answers", "Requests that were answered, by the class of their status."},
        {"hits", "Fragments that were requested and found, by the cache that had them."},
        {"evictions", "Entries that left the memory cache for lack of room, by segment."},
        {"reloads", "Reloads of the config, by result."},
        {"refused", "Requests, fragments of streams and Redis commands rejected, by limit."},
    };
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (strcmp(families[i].family, row->family) == 0)
            return families[i].help;
    return row->help;
}

static void write_counters(struct metrics *metrics)
{
    const char *before = "";
    for (size_t i = 0; i < COUNTERS; i++) {
        const struct counter_row *row = &counter_rows[i];
        bool grows = row->type == COUNTER_TYPE_COUNTER;
        if (!row->family)
            continue;
        if (strcmp(row->family, before) != 0)
            family(metrics, grows ? FAMILY_COUNTER : FAMILY_GAUGE, row->family, help_of(row));
        before = row->family;
        begin(metrics, grows ? "_total" : "");
        report_text(&metrics->report, *row->label ? "{%s" : "%s", row->label);
        metrics->has_label = *row->label;
        end_count(metrics, metrics->totals.counters[i]);
    }
}

static void write_routes(struct metrics *metrics)
{
    const struct service *service = metrics->service;
    family(metrics, FAMILY_COUNTER, "requests",
           "Requests for fragments, and fragments of streams, by route and outcome.");
    for (size_t i = 0; i < service->site.route_count; i++) {
        const struct route *route = &service->site.routes[i];
        struct route_tally tally = totals_of_route(route->pattern);
        for (size_t outcome = 0; route->recipe.tally && outcome < ROUTE_OUTCOMES; outcome++) {
            begin(metrics, "_total");
            label(metrics, "route", route->pattern);
            label(metrics, "outcome", route_outcome_names[outcome]);
            end_count(metrics, tally.counts[outcome]);
        }
    }
}

static void write_budget(struct metrics *metrics, enum budget_name budget)
{
    const struct budget_row *row = &budget_rows[budget];
    char name[NAME_ROOM], help[NAME_ROOM];
    snprintf(name, sizeof name, "%s_bytes", row->name);
    gauge(metrics, name, row->help, metrics->totals.now.budgets[budget]);
    snprintf(name, sizeof name, "%s_limit_bytes", row->name);
    snprintf(help, sizeof help, "The option %s.", row->option);
    gauge(metrics, name, help, metrics->totals.now.budget_limits[budget]);
}

static void write_limits(struct metrics *metrics)
{
    const struct flights_view *flights = &metrics->flights;
    const struct totals_now *now = &metrics->totals.now;
    family(metrics, FAMILY_GAUGE, "flights", "Fragments in progress, by state.");
    for (size_t i = 0; i < flights->state_count; i++) {
        begin(metrics, "");
        label(metrics, "state", flights->state_names[i]);
        end_count(metrics, now->by_state[i]);
    }
    gauge(metrics, "flights_limit", "The option max_flights.", now->flights_limit);
    gauge(metrics, "parked_limit", "The option max_parked.", now->parked_limit);
    for (size_t i = 0; i < BUDGETS; i++)
        write_budget(metrics, (enum budget_name)i);
    gauge(metrics, "memory_entries", "Entries in the memory cache.", now->memory_entries);
    gauge(metrics, "memory_bytes", "Size of the memory cache.", now->memory_bytes);
    gauge(metrics, "memory_limit_bytes", "The option memory.", now->memory_limit);
}

static void write_worker_family(struct metrics *metrics, enum family_type type, const char *name,
                                const char *help, size_t offset)
{
    family(metrics, type, name, help);
    for (unsigned i = 0; i < metrics->totals.workers; i++) {
        struct totals_worker worker = totals_of_worker(i);
        char number[16];
        snprintf(number, sizeof number, "%u", i);
        begin(metrics, type == FAMILY_COUNTER ? "_total" : "");
        label(metrics, "worker", number);
        end_count(metrics, *(const uint64_t *)(const void *)((const char *)&worker + offset));
    }
}

/* Only what shows whether the work is spread evenly, and whether workers die. */
static void write_workers(struct metrics *metrics)
{
    static const struct {
        enum family_type type;
        const char *name, *help;
        size_t offset;
    } families[] = {
        {FAMILY_GAUGE, "worker_connections", "Connections of front servers, by worker.",
         offsetof(struct totals_worker, connections)},
        {FAMILY_GAUGE, "worker_parked", "What waits at the moment, by worker.",
         offsetof(struct totals_worker, parked)},
        {FAMILY_COUNTER, "worker_answers", "Requests that were answered, by worker.",
         offsetof(struct totals_worker, answers)},
        {FAMILY_COUNTER, "worker_starts", "How often each worker was started.",
         offsetof(struct totals_worker, starts)},
    };
    if (metrics->totals.workers == 0)
        return;
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        write_worker_family(metrics, families[i].type, families[i].name, families[i].help,
                            families[i].offset);
}

static void write_redis(struct metrics *metrics)
{
    if (!cache_is_shared(metrics->flights.cache))
        return;
    gauge(metrics, "redis_up", "Whether Redis can be used (by all workers): 1 or 0.",
          metrics->totals.now.redis_up == metrics->totals.now.processes);
    family(metrics, FAMILY_HISTOGRAM, "redis_command_duration_seconds",
           "Time until Redis answered a command.");
    histogram(metrics, &metrics->totals.redis, NULL, NULL);
}

/* Writes the samples of one family of all sources. */
typedef void write_source_fn(struct metrics *metrics, const char *name,
                             const struct totals_source *source);

static void for_sources(struct metrics *metrics, write_source_fn *write)
{
    for (size_t i = 0; i < metrics->flights.source_count; i++) {
        struct source_view view = source_look(metrics->flights.sources[i]);
        struct totals_source source = totals_of_source(&view);
        write(metrics, view.name, &source);
    }
}

static void write_calls(struct metrics *metrics, const char *name,
                        const struct totals_source *source)
{
    for (size_t i = 0; i < SOURCE_STATUSES; i++) {
        begin(metrics, "_total");
        label(metrics, "source", name);
        label(metrics, "result", source_status_names[i]);
        end_count(metrics, source->tally.ended[i]);
    }
}

static void write_started(struct metrics *metrics, const char *name,
                          const struct totals_source *source)
{
    begin(metrics, "_total");
    label(metrics, "source", name);
    end_count(metrics, source->tally.started);
}

static void write_running(struct metrics *metrics, const char *name,
                          const struct totals_source *source)
{
    begin(metrics, "");
    label(metrics, "source", name);
    end_count(metrics, source->now.running);
}

static void write_queued(struct metrics *metrics, const char *name,
                         const struct totals_source *source)
{
    begin(metrics, "");
    label(metrics, "source", name);
    end_count(metrics, source->now.queued);
}

static void write_breaker(struct metrics *metrics, const char *name,
                          const struct totals_source *source)
{
    for (size_t i = 0; i < TOTALS_BREAKERS; i++) {
        begin(metrics, "");
        label(metrics, "source", name);
        label(metrics, "state", source_breaker_names[i]);
        end_count(metrics, source->now.breakers[i]);
    }
}

static void write_durations(struct metrics *metrics, const char *name,
                            const struct totals_source *source)
{
    histogram(metrics, &source->tally.duration, "source", name);
}

static void write_queue_times(struct metrics *metrics, const char *name,
                              const struct totals_source *source)
{
    histogram(metrics, &source->tally.queued, "source", name);
}

static void write_jobs(struct metrics *metrics, const char *name,
                       const struct totals_source *source)
{
    const struct source_backlog *backlog = &source->now.backlog;
    const struct {
        const char *priority;
        uint64_t count;
    } rows[] = {{"visitors", backlog->visitors}, {"refreshes", backlog->refreshes}};
    for (size_t i = 0; backlog->known && i < sizeof rows / sizeof rows[0]; i++) {
        begin(metrics, "");
        label(metrics, "source", name);
        label(metrics, "priority", rows[i].priority);
        end_count(metrics, rows[i].count);
    }
}

static void write_dead_jobs(struct metrics *metrics, const char *name,
                            const struct totals_source *source)
{
    if (!source->now.backlog.known)
        return;
    begin(metrics, "");
    label(metrics, "source", name);
    end_count(metrics, source->now.backlog.dead);
}

static void write_oldest_job(struct metrics *metrics, const char *name,
                             const struct totals_source *source)
{
    if (!source->now.backlog.known)
        return;
    begin(metrics, "");
    label(metrics, "source", name);
    end_number(metrics, (double)source->now.backlog.oldest_ms / 1000);
}

static void write_job_workers(struct metrics *metrics, const char *name,
                              const struct totals_source *source)
{
    if (!source->now.backlog.known)
        return;
    begin(metrics, "");
    label(metrics, "source", name);
    end_count(metrics, source->now.backlog.workers);
}

static void write_sources(struct metrics *metrics)
{
    static const struct {
        enum family_type type;
        const char *name, *help;
        write_source_fn *write;
    } families[] = {
        {FAMILY_COUNTER, "source_calls_started",
         "Calls to a source, those included that were queued or refused.", write_started},
        {FAMILY_COUNTER, "source_calls", "Calls to a source that have ended, by result.",
         write_calls},
        {FAMILY_GAUGE, "source_running", "Calls that run at the moment.", write_running},
        {FAMILY_GAUGE, "source_queued", "Calls that are queued at the moment.", write_queued},
        {FAMILY_GAUGE, "source_breaker",
         "How many processes have the source's breaker in that state.", write_breaker},
        {FAMILY_HISTOGRAM, "source_duration_seconds",
         "Duration of calls, without their time in the queue.", write_durations},
        {FAMILY_HISTOGRAM, "source_queue_duration_seconds",
         "How long calls were queued that ran after that.", write_queue_times},
        {FAMILY_GAUGE, "source_jobs",
         "Jobs of a source of type queue that are not finished, in Redis.", write_jobs},
        {FAMILY_GAUGE, "source_jobs_dead", "Dead letters: jobs that were given up, in Redis.",
         write_dead_jobs},
        {FAMILY_GAUGE, "source_jobs_oldest_seconds",
         "How long the oldest job that is not finished has been there.", write_oldest_job},
        {FAMILY_GAUGE, "source_jobs_workers",
         "Workers that were seen within the visibility of the source.", write_job_workers},
    };
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        family(metrics, families[i].type, families[i].name, families[i].help);
        for_sources(metrics, families[i].write);
    }
}

/* --- the endpoint --- */

static bool wants_open(const struct web_request *request)
{
    return web_request_accepts(request, SLICE("application/openmetrics-text")) ||
           !web_request_accepts(request, SLICE("text/plain"));
}

enum answer_kind metrics_start(struct service *service, const struct visit *visit,
                               const struct waiter_address *who, union answer *answer)
{
    struct metrics metrics = {.service = service, .is_open = wants_open(visit->request)};
    (void)who;
    if (!report_is_open(service, visit))
        return endpoint_fail(service, visit, 403, answer);
    metrics.flights = flights_look(service->flights);
    totals_look(service, &metrics.totals);
    write_process(&metrics);
    write_loop(&metrics);
    write_counters(&metrics);
    write_routes(&metrics);
    write_limits(&metrics);
    write_redis(&metrics);
    write_sources(&metrics);
    write_workers(&metrics);
    if (metrics.is_open)
        report_text(&metrics.report, "# EOF\n");
    return report_answer(service, visit,
                         metrics.is_open
                             ? SLICE("application/openmetrics-text; version=1.0.0; charset=utf-8")
                             : SLICE("text/plain; version=0.0.4; charset=utf-8"),
                         &metrics.report, answer);
}
