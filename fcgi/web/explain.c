/* What is known of a fragment, once for people and once for programs.
 *
 *     route, source, memory, flights --> report --> parked until Redis has answered
 *         --> what Redis holds --> the end of the report --> an entry, which is the answer
 */
#include "web/explain.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cache/cache.h"
#include "cache/entry.h"
#include "cache/holder.h"
#include "cache/inspect.h"
#include "cache/unstored.h"
#include "source/tally.h"
#include "web/endpoint.h"
#include "web/query.h"
#include "web/report.h"
#include "web/variant.h"

#define FLIGHTS_MAX 20 /* rows: a key may have any number of solo flights */

struct explanation {
    struct report report;
    struct freshness terms; /* of the route: a copy, since the config may change meanwhile */
    int64_t now_ms;         /* by clock_fleet_ms() */
    bool is_json;
    bool is_shared; /* a Redis is configured */
};

/* What is to be explained. */
struct subject {
    const struct service *service;
    const struct route *route;
    struct slice name, key;
};

static double seconds(int64_t ms)
{
    return (double)ms / 1000;
}

/* Who holds the lease, as holder.h has it. */
static struct slice holder_of(const struct inspection *inspection)
{
    return holder_read((struct slice){inspection->lease, inspection->lease_len});
}

/* --- text --- */

static void text_span(struct report *report, const char *before, double length)
{
    char text[REPORT_DURATION_ROOM];
    report_text(report, "%s%s", before, report_duration(text, length));
}

static void text_subject(struct report *report, const struct subject *subject)
{
    const struct flights_view flights = flights_look(subject->service->flights);
    const struct recipe *recipe = &subject->route->recipe;
    struct source_view source = source_look(flights.sources[recipe->source]);
    report_text(report, "fragment    ");
    report_plain(report, subject->name);
    report_text(report, ", of section \"");
    report_plain(report, slice_of(subject->route->pattern));
    report_text(report, "\"\nkey         ");
    report_plain(report, subject->key);
    report_text(report, "\ninputs      %s", subject->route->vary_text_count > 0 ? "" : "none");
    for (size_t i = 0; i < subject->route->vary_text_count; i++) {
        report_text(report, "%s", i > 0 ? ", " : "");
        report_plain(report, slice_of(subject->route->vary_texts[i]));
    }
    report_text(report, "\nsource      ");
    report_plain(report, slice_of(source.name));
    report_text(report, " (%s), breaker %s, %zu running, %zu queued", source.type, source.breaker,
                source.running, source.queued);
    if (source.pause_s > 0)
        text_span(report, ", not called for ", source.pause_s);
    report_text(report, "\nprocess     %ld\n", (long)getpid());
}

static void text_entry(struct report *report, const struct entry_facts *entry,
                       const struct explanation *explanation)
{
    const struct freshness *terms = &explanation->terms;
    double age = seconds(explanation->now_ms - entry->made_ms);
    double fresh = seconds(entry->fresh_until_ms - explanation->now_ms);
    double stale = entry->has_stale ? seconds(entry->stale_ms) : terms->stale;
    double error = entry->has_stale ? seconds(entry->stale_error_ms) : terms->stale_error;
    if (entry->status == ENTRY_UNCACHEABLE) {
        report_text(report, "a note that the source forbids sharing the result: ");
        report_plain(report, slice_of(entry->why));
    } else if (entry->status >= 400) {
        report_text(report, "a failure, status %d", entry->status);
    } else {
        report_text(report, "a result, %zu bytes of ", entry->body_len);
        report_plain(report, slice_of(entry->type));
    }
    text_span(report, "\n            made ", age > 0 ? age : 0);
    report_text(report, " ago");
    if (entry->status == ENTRY_UNCACHEABLE) { /* it took no time, and is never served */
        report_text(report, "\n");
        return;
    }
    text_span(report, " in ", seconds(entry->cost_ms));
    text_span(report, fresh > 0 ? ", fresh for " : ", stale for ", fresh > 0 ? fresh : -fresh);
    if (entry->status < 400 && stale > 0)
        text_span(report, ", may be served stale for ", stale);
    if (entry->status < 400 && error > stale) {
        text_span(report, ", or for ", error);
        report_text(report, " if the source fails");
    }
    if (entry->flaw[0])
        report_text(report, "\n            unbalanced%s: %s",
                    entry->balance == ENTRY_UNBALANCED ? ", so streams of templates leave it out"
                                                       : " outside of a template",
                    entry->flaw);
    report_text(report, "\n");
}

static void text_memory(struct report *report, const struct entry_facts *entry,
                        const struct explanation *explanation)
{
    report_text(report, "memory      ");
    if (entry)
        text_entry(report, entry, explanation);
    else
        report_text(report, "nothing\n");
}

static bool text_flight(void *context, const struct flight_row *row)
{
    struct report *report = context;
    report_text(report, "flight      %s", row->state);
    text_span(report, ", started ", row->age_s);
    report_text(report, " ago, %zu%s waiting%s\n", row->waiters, row->waiters_known ? "" : "+",
                row->solo ? ", for this request alone" : "");
    return true;
}

static void text_unstored(struct report *report, const struct unstored *unstored)
{
    if (!unstored)
        return;
    text_span(report, "not stored  ", clock_monotonic() - unstored->at);
    report_text(report, " ago: ");
    report_plain(report, slice_of(unstored->why));
    report_text(report, "\n");
}

static void text_lease(struct report *report, const struct inspection *inspection)
{
    report_text(report, "lease       ");
    if (inspection->lease_ttl_ms == INSPECT_NO_KEY) {
        report_text(report, "none\n");
        return;
    }
    struct slice holder = holder_of(inspection);
    if (holder.len > 0)
        report_text(report, "held by %.*s, process %.*s", SLICE_ARGS(holder_host(holder)),
                    SLICE_ARGS(holder_pid(holder)));
    else
        report_text(report, "held by a process that does not say who it is");
    text_span(report, ", ends in ", seconds(inspection->lease_ttl_ms));
    report_text(report, "\n");
}

static void text_redis(struct report *report, const struct inspection *inspection,
                       const struct explanation *explanation)
{
    report_text(report, "redis       ");
    if (!inspection || !inspection->complete) {
        report_text(report, explanation->is_shared ? "cannot be asked, or did not answer\n"
                                                   : "none is configured\n");
    } else if (inspection->found) {
        text_entry(report, &inspection->entry, explanation);
    } else if (inspection->ttl_ms == INSPECT_NO_KEY) {
        report_text(report, "nothing\n");
    } else if (inspection->len == INSPECT_NO_STRING) {
        report_text(report, "a value that is not a string, so it is not used\n");
    } else {
        report_text(report, "a value of %" PRId64 " bytes that is not used: see max_value\n",
                    inspection->len);
    }
    if (!inspection || !inspection->complete)
        return;
    if (inspection->ttl_ms >= 0) {
        text_span(report, "            removed in ", seconds(inspection->ttl_ms));
        report_text(report, "\n");
    } else if (inspection->ttl_ms == INSPECT_NO_END) {
        report_text(report, "            never removed\n");
    }
    text_lease(report, inspection);
}

/* --- JSON --- */

static void json_subject(struct report *report, const struct subject *subject)
{
    const struct flights_view flights = flights_look(subject->service->flights);
    const struct recipe *recipe = &subject->route->recipe;
    struct source_view source = source_look(flights.sources[recipe->source]);
    report_text(report, "{\"name\": ");
    report_json(report, subject->name);
    report_text(report, ",\n\"key\": ");
    report_json(report, subject->key);
    report_text(report, ",\n\"pattern\": ");
    report_json(report, slice_of(subject->route->pattern));
    report_text(report, ",\n\"inputs\": [");
    for (size_t i = 0; i < subject->route->vary_text_count; i++) {
        report_text(report, "%s", i > 0 ? ", " : "");
        report_json(report, slice_of(subject->route->vary_texts[i]));
    }
    report_text(report, "],\n\"source\": {\"name\": ");
    report_json(report, slice_of(source.name));
    report_text(report,
                ", \"type\": \"%s\", \"breaker\": \"%s\", \"pause_seconds\": %.3f, "
                "\"running\": %zu, \"queued\": %zu}",
                source.type, source.breaker, source.pause_s, source.running, source.queued);
    report_text(report, ",\n\"pid\": %ld", (long)getpid());
}

static const char *const balances[] = {
    [ENTRY_UNCHECKED] = "no_html",
    [ENTRY_BALANCED] = "balanced",
    [ENTRY_UNBALANCED_IN_PLACE] = "unbalanced_in_place",
    [ENTRY_UNBALANCED] = "unbalanced",
};

static void json_entry(struct report *report, const struct entry_facts *entry,
                       const struct explanation *explanation)
{
    const struct freshness *terms = &explanation->terms;
    if (!entry) {
        report_text(report, "null");
        return;
    }
    report_text(report,
                "{\"kind\": \"%s\", \"status\": %d, \"bytes\": %zu, \"age_seconds\": %.3f, "
                "\"cost_seconds\": %.3f, \"fresh_seconds\": %.3f, \"stale_seconds\": %.3f, "
                "\"stale_error_seconds\": %.3f, \"type\": ",
                entry->status == ENTRY_UNCACHEABLE ? "uncacheable"
                : entry->status >= 400             ? "failure"
                                                   : "result",
                entry->status, entry->body_len, seconds(explanation->now_ms - entry->made_ms),
                seconds(entry->cost_ms), seconds(entry->fresh_until_ms - explanation->now_ms),
                entry->has_stale ? seconds(entry->stale_ms) : terms->stale,
                entry->has_stale ? seconds(entry->stale_error_ms) : terms->stale_error);
    report_json(report, slice_of(entry->type));
    report_text(report, ", \"why\": ");
    report_json(report, slice_of(entry->why));
    report_text(report, ", \"balance\": \"%s\", \"flaw\": ", balances[entry->balance]);
    report_json(report, slice_of(entry->flaw));
    report_text(report, "}");
}

struct json_rows {
    struct report *report;
    size_t count;
};

static bool json_flight(void *context, const struct flight_row *row)
{
    struct json_rows *rows = context;
    report_text(rows->report,
                "%s{\"state\": \"%s\", \"age_seconds\": %.3f, \"waiters\": %zu, "
                "\"waiters_known\": %s, \"alone\": %s}",
                rows->count++ > 0 ? ", " : "", row->state, row->age_s, row->waiters,
                row->waiters_known ? "true" : "false", row->solo ? "true" : "false");
    return true;
}

static void json_unstored(struct report *report, const struct unstored *unstored)
{
    report_text(report, ",\n\"not_stored\": ");
    if (!unstored) {
        report_text(report, "null");
        return;
    }
    report_text(report, "{\"seconds_ago\": %.3f, \"why\": ", clock_monotonic() - unstored->at);
    report_json(report, slice_of(unstored->why));
    report_text(report, "}");
}

static void json_redis(struct report *report, const struct inspection *inspection,
                       const struct explanation *explanation)
{
    bool complete = inspection && inspection->complete;
    report_text(report, ",\n\"redis_configured\": %s, \"redis_answered\": %s,\n\"redis\": ",
                explanation->is_shared ? "true" : "false", complete ? "true" : "false");
    json_entry(report, complete && inspection->found ? &inspection->entry : NULL, explanation);
    if (!complete) {
        report_text(report, "}\n");
        return;
    }
    report_text(report, ",\n\"redis_bytes\": %" PRId64 ", \"redis_ttl_ms\": %" PRId64,
                inspection->len, inspection->ttl_ms);
    report_text(report, ",\n\"lease\": ");
    if (inspection->lease_ttl_ms == INSPECT_NO_KEY) {
        report_text(report, "null}\n");
        return;
    }
    struct slice holder = holder_of(inspection);
    report_text(report, "{\"ttl_ms\": %" PRId64 ", \"host\": ", inspection->lease_ttl_ms);
    report_json(report, holder.len > 0 ? holder_host(holder) : SLICE(""));
    report_text(report, ", \"pid\": %.*s}}\n", holder.len > 0 ? (int)holder_pid(holder).len : 4,
                holder.len > 0 ? holder_pid(holder).data : "null");
}

/* --- both --- */

/* All that this process knows by itself. */
static void write_own(struct explanation *explanation, const struct subject *subject)
{
    struct report *report = &explanation->report;
    struct flights *flights = subject->service->flights;
    struct cache *cache = flights_look(flights).cache;
    const struct unstored *unstored = cache_unstored(cache, subject->key);
    struct entry *entry = cache_peek(cache, subject->key);
    struct entry_facts facts;
    if (entry)
        inspect_entry(&facts, entry);
    if (explanation->is_json) {
        struct json_rows rows = {.report = report};
        json_subject(report, subject);
        report_text(report, ",\n\"memory\": ");
        json_entry(report, entry ? &facts : NULL, explanation);
        report_text(report, ",\n\"flights\": [");
        flights_list_key(flights, subject->key, FLIGHTS_MAX, json_flight, &rows);
        report_text(report, "]");
        json_unstored(report, unstored);
    } else {
        text_subject(report, subject);
        text_memory(report, entry ? &facts : NULL, explanation);
        if (!flights_list_key(flights, subject->key, FLIGHTS_MAX, text_flight, report))
            report_text(report, "            and more\n");
        text_unstored(report, unstored);
    }
}

static void explanation_free(struct explanation *explanation)
{
    buffer_free(&explanation->report.text);
    free(explanation);
}

/* inspect_write_fn. */
static struct entry *write_redis(void *context, const struct inspection *inspection)
{
    struct explanation *explanation = context;
    struct report *report = &explanation->report;
    struct slice type =
        explanation->is_json ? SLICE("application/json") : SLICE("text/plain; charset=utf-8");
    (explanation->is_json ? json_redis : text_redis)(report, inspection, explanation);
    struct entry *entry =
        report->failed ? NULL : entry_new(type, buffer_slice(&report->text), 0, 0, 0);
    explanation_free(explanation);
    return entry;
}

static bool wants_json(const struct web_request *request)
{
    return query_has(request->query, SLICE("json")) ||
           web_request_accepts(request, SLICE("application/json"));
}

/* Sets the subject's route and key; `key` has room for VARIANT_KEY_MAX bytes. Returns 0, or the
 * status of an error. */
static int find_subject(const struct visit *visit, struct subject *subject, char *key)
{
    const struct service *service = subject->service;
    struct variant variant;
    size_t rest_at;
    if (visit->path_too_long || !route_name_valid(subject->name))
        return 400;
    subject->route =
        route_find(service->site.routes, service->site.route_count, subject->name, &rest_at);
    if (!subject->route)
        return 404;
    const struct vary *vary = &subject->route->recipe.rules.vary;
    subject->key = (struct slice){.data = key, .len = route_key(subject->name, key)};
    return vary->count == 0 || (variant_read(&variant, vary, visit->request) &&
                                variant_append(&variant, key, &subject->key.len))
               ? 0
               : 400;
}

enum answer_kind explain_start(struct service *service, const struct visit *visit,
                               const struct waiter_address *who, union answer *answer)
{
    char key[VARIANT_KEY_MAX];
    struct subject subject = {.service = service,
                              .name = slice_from(visit->path, SLICE(EXPLAIN_URL_PREFIX).len)};
    enum join_refusal refusal = JOIN_NO_MEMORY;
    int error = report_is_open(service, visit) ? find_subject(visit, &subject, key) : 403;
    if (error)
        return endpoint_fail(service, visit, error, answer);
    struct explanation *explanation = alloc_zeroed(sizeof *explanation);
    if (!explanation)
        return endpoint_refuse(service, visit, refusal, answer);
    explanation->terms = subject.route->recipe.freshness;
    explanation->now_ms = clock_fleet_ms();
    explanation->is_json = wants_json(visit->request);
    explanation->is_shared = cache_is_shared(flights_look(service->flights).cache);
    write_own(explanation, &subject);
    struct waiter *waiter =
        flights_inspect(service->flights, subject.key, *who, write_redis, explanation, &refusal);
    if (!waiter) {
        explanation_free(explanation);
        return endpoint_refuse(service, visit, refusal, answer);
    }
    answer->wait = (struct wait){.waiter = waiter, .head_only = visit->method == METHOD_HEAD};
    return ANSWER_WAIT;
}

void explain_finish(const struct wait *wait, const struct settlement *settlement,
                    struct response *response)
{
    if (settlement->kind == SETTLED_ENTRY) {
        response_set_entry(response, settlement->entry);
        response->no_store = true;
    } else {
        *response = response_of_status(503);
    }
    response->head_only = wait->head_only;
}
