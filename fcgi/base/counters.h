/* Counters of the process: one number for each kind of event.
 *
 * The table says everything about a counter: its name, whether it only grows, and what it counts.
 * To add one, add a row here and a counter_add where the event happens. They start at 0 with the
 * process. Only one thread counts, so nothing is atomic.
 */
#ifndef WORKERLESS_BASE_COUNTERS_H
#define WORKERLESS_BASE_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

/* constant, name, type, family, label, help. In /workerless/metrics a counter belongs to the family
 * of that name, with the label; NULL: the counts by route or by source, there, include it. Counters
 * of one family stand together. */
/* clang-format off */
#define COUNTER_TABLE(X) \
    X(ANSWERS_2XX, "answers_2xx", COUNTER, "answers", "class=\"2xx\"", \
      "Requests answered with a status of 200 to 299.") \
    X(ANSWERS_3XX, "answers_3xx", COUNTER, "answers", "class=\"3xx\"", \
      "Requests answered with a status of 300 to 399.") \
    X(ANSWERS_4XX, "answers_4xx", COUNTER, "answers", "class=\"4xx\"", \
      "Requests answered with a status of 400 to 499.") \
    X(ANSWERS_5XX, "answers_5xx", COUNTER, "answers", "class=\"5xx\"", \
      "Requests answered with a status of 500 to 599.") \
    X(HITS_MEMORY, "hits_memory", COUNTER, "hits", "cache=\"memory\"", \
      "Fragments that were requested and found in the memory cache.") \
    X(HITS_REDIS, "hits_redis", COUNTER, "hits", "cache=\"redis\"", \
      "Fragments that were requested and found in Redis.") \
    X(PARKED, "parked", GAUGE, "parked", "", \
      "Requests, fragments of streams and purges that wait at the moment.") \
    X(STREAMS, "streams", GAUGE, "streams", "", \
      "Streams of fragments that are open at the moment.") \
    X(CONNECTIONS, "connections", GAUGE, "connections", "", \
      "Connections of front servers at the moment.") \
    X(ACCEPTED, "accepted", COUNTER, "accepted", "", \
      "Connections of front servers that were accepted.") \
    X(ACCEPTED_NONE, "accepted_none", COUNTER, "accepted_none", "", \
      "Wake-ups for a new connection that another worker had accepted.") \
    X(RELOADS, "reloads", COUNTER, "reloads", "result=\"ok\"", \
      "Reloads of the config that were applied.") \
    X(RELOADS_FAILED, "reloads_failed", COUNTER, "reloads", "result=\"failed\"", \
      "Reloads of the config that failed, so that the running config stayed in use.") \
    X(CONFIGS, "configs", GAUGE, "configs", "", \
      "Configs in use: the current one, and earlier ones that requests in progress began with.") \
    X(LOOKUPS, "lookups", COUNTER, "lookups", "", \
      "Lookups of fragments in Redis.") \
    X(CLAIMS, "claims", COUNTER, "claims", "", \
      "Attempts to take the lease of a fragment in Redis.") \
    X(STORES, "stores", COUNTER, "stores", "", \
      "Results that Redis has stored.") \
    X(INVALIDATIONS, "invalidations", COUNTER, "invalidations", "", \
      "Changes of keys that Redis has reported, including those that concern all keys.") \
    X(EVICTED_PROBATION, "evicted_probation", COUNTER, "evictions", "segment=\"probation\"", \
      "Entries evicted from the memory cache that had been requested only once.") \
    X(EVICTED_PROTECTED, "evicted_protected", COUNTER, "evictions", "segment=\"protected\"", \
      "Entries evicted from the memory cache that had been requested more than once.") \
    X(REDIS_CONNECTED, "redis_connected", COUNTER, "redis_connected", "", \
      "Connections to Redis servers that became usable, for the first time or again.") \
    X(REDIS_LOST, "redis_lost", COUNTER, "redis_lost", "", \
      "Usable connections to Redis servers that were lost.") \
    X(PURGES, "purges", COUNTER, "purges", "", \
      "Purges that were started, of one fragment or of a prefix.") \
    X(SCRIPTS, "scripts", COUNTER, "scripts", "", \
      "Scripts that were sent to Redis, repetitions included.") \
    X(CALLS_STARTED, "calls_started", COUNTER, NULL, NULL, \
      "Calls to sources, including those that were refused.") \
    X(CALLS_FAILED, "calls_failed", COUNTER, NULL, NULL, \
      "Calls to sources that failed, other than by a timeout.") \
    X(CALLS_RETRIED, "calls_retried", COUNTER, "calls_retried", "", \
      "Calls to sources that were retried.") \
    X(CALLS_TIMED_OUT, "calls_timed_out", COUNTER, NULL, NULL, \
      "Calls to sources that did not complete in time.") \
    X(MODULE_FAULTS, "module_faults", COUNTER, "module_faults", "", \
      "Results and log messages that modules have given to workerless wrongly: twice, too late, by " \
      "another thread.") \
    X(CALLS_NOT_MODIFIED, "calls_not_modified", COUNTER, NULL, NULL, \
      "Calls to sources whose answer was that the result has not changed (304).") \
    X(CALLS_SOLO, "calls_solo", COUNTER, "calls_solo", "", \
      "Calls to sources for a single request, because their results must not be shared.") \
    X(UNCACHEABLE, "uncacheable", COUNTER, "uncacheable", "", \
      "Results whose sources forbid sharing them.") \
    X(UNBALANCED, "unbalanced", COUNTER, "unbalanced", "", \
      "Results whose HTML does not end where it began, so that streams of templates leave them out.") \
    X(WITHHELD, "withheld", COUNTER, "withheld", "", \
      "Fragments that were left out of a stream of templates, because they are unbalanced.") \
    X(RENDERINGS_FAILED, "renderings_failed", COUNTER, "renderings_failed", "", \
      "Results that could not be made into fragments: see template, required and render.") \
    X(CALLS_REFUSED, "calls_refused", COUNTER, NULL, NULL, \
      "Calls that were not made: the queue was full, or the source had failed too often.") \
    X(WAKEUPS, "wakeups", COUNTER, "wakeups", "", \
      "Fragments in progress that were looked up again because their value or lease changed.") \
    X(REFUSED_MAX_PARKED, "refused_max_parked", COUNTER, "refused", \
      "limit=\"max_parked\"", \
      "Requests and fragments of streams rejected because of max_parked.") \
    X(REFUSED_MAX_FLIGHTS, "refused_max_flights", COUNTER, "refused", \
      "limit=\"max_flights\"", \
      "Requests and fragments of streams rejected because of max_flights.") \
    X(REFUSED_MAX_INPUTS, "refused_max_inputs", COUNTER, "refused", \
      "limit=\"max_inputs\"", \
      "Requests and fragments of streams rejected because of max_inputs.") \
    X(REFUSED_MAX_CONNECTION_REQUESTS, "refused_max_connection_requests", COUNTER, "refused", \
      "limit=\"max_connection_requests\"", \
      "Requests rejected because of max_connection_requests.") \
    X(REFUSED_MAX_UNFINISHED, "refused_max_unfinished", COUNTER, "refused", \
      "limit=\"max_unfinished\"", \
      "Requests rejected because of max_unfinished.") \
    X(REFUSED_MAX_UNSENT, "refused_max_unsent", COUNTER, "refused", \
      "limit=\"max_unsent\"", \
      "Fragments and streams rejected because of max_unsent.") \
    X(REFUSED_MAX_PENDING, "refused_max_pending", COUNTER, "refused", \
      "limit=\"max_pending\"", \
      "Commands not sent to Redis because of max_pending.") \
    X(ACCESS_LOG_DROPPED, "access_log_dropped", COUNTER, "access_log_dropped", "", \
      "Lines of the access log that could not be written.")
/* clang-format on */

enum counter {
#define CONSTANT(constant, name, type, family, label, help) COUNTER_##constant,
    COUNTER_TABLE(CONSTANT)
#undef CONSTANT
        COUNTERS
};

enum counter_type {
    COUNTER_TYPE_COUNTER, /* only grows */
    COUNTER_TYPE_GAUGE,   /* a current number */
};

struct counter_row {
    const char *name, *help;
    const char *family, *label;
    enum counter_type type;
};

extern const struct counter_row counter_rows[COUNTERS];

/* Those of this process, by enum counter. */
extern uint64_t *counter_values;

/* After figures_share and figures_join: from now on it counts where all processes can see it. */
void counters_join(void);

/* The values of a part (base/figures.h); NULL: no process has counted there. */
const uint64_t *counters_of(unsigned part);

/* In the supervisor, when the worker has ended: its gauges are 0. */
void counters_end(unsigned worker);

static inline void counter_add(enum counter counter, uint64_t count)
{
    counter_values[counter] += count;
}

/* Subtracts from a gauge, whose value must not be less than `count`. */
static inline void counter_sub(enum counter counter, uint64_t count)
{
    counter_values[counter] -= count;
}

#endif
