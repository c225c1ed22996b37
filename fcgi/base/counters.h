/* Counters of this process: one number for each kind of event.
 *
 * The table says everything about a counter: its name, whether it only grows, and what it counts.
 * To add one, add a row here and a counter_add where the event happens. They start at 0 with the
 * process. Only one thread counts, so nothing is atomic.
 */
#ifndef WORKERLESS_BASE_COUNTERS_H
#define WORKERLESS_BASE_COUNTERS_H

#include <stdint.h>

/* constant, name, type, help */
/* clang-format off */
#define COUNTER_TABLE(X) \
    X(ANSWERS_2XX, "answers_2xx", COUNTER, \
      "Requests answered with a status of 200 to 299.") \
    X(ANSWERS_3XX, "answers_3xx", COUNTER, \
      "Requests answered with a status of 300 to 399.") \
    X(ANSWERS_4XX, "answers_4xx", COUNTER, \
      "Requests answered with a status of 400 to 499.") \
    X(ANSWERS_5XX, "answers_5xx", COUNTER, \
      "Requests answered with a status of 500 to 599.") \
    X(HITS_MEMORY, "hits_memory", COUNTER, \
      "Fragments that were requested and found in the memory cache.") \
    X(HITS_REDIS, "hits_redis", COUNTER, \
      "Fragments that were requested and found in Redis.") \
    X(PARKED, "parked", GAUGE, \
      "Requests, fragments of streams and purges that wait at the moment.") \
    X(LOOKUPS, "lookups", COUNTER, \
      "Lookups of fragments in Redis.") \
    X(CLAIMS, "claims", COUNTER, \
      "Attempts to take the lease of a fragment in Redis.") \
    X(STORES, "stores", COUNTER, \
      "Results that Redis has stored.") \
    X(PURGES, "purges", COUNTER, \
      "Purges that were started, of one fragment or of a prefix.") \
    X(SCRIPTS, "scripts", COUNTER, \
      "Scripts that were sent to Redis, repetitions included.") \
    X(CALLS_STARTED, "calls_started", COUNTER, \
      "Calls to sources, those included that were refused.") \
    X(CALLS_FAILED, "calls_failed", COUNTER, \
      "Calls to sources that failed, other than by a timeout.") \
    X(CALLS_RETRIED, "calls_retried", COUNTER, \
      "Calls to sources that were made again because of retries.") \
    X(CALLS_TIMED_OUT, "calls_timed_out", COUNTER, \
      "Calls to sources that did not complete in time.") \
    X(CALLS_NOT_MODIFIED, "calls_not_modified", COUNTER, \
      "Calls to sources whose answer was that the result has not changed (304).") \
    X(CALLS_SOLO, "calls_solo", COUNTER, \
      "Calls to sources for a single request, since their results are not to be shared.") \
    X(UNCACHEABLE, "uncacheable", COUNTER, \
      "Results that their sources forbid to share.") \
    X(CALLS_REFUSED, "calls_refused", COUNTER, \
      "Calls that were not made: too many were queued, or the source was left alone after " \
      "failures.") \
    X(WAKEUPS, "wakeups", COUNTER, \
      "Fragments in progress that were looked up again because their value or lease changed.") \
    X(REFUSED_MAX_PARKED, "refused_max_parked", COUNTER, \
      "Requests and fragments of streams rejected because of max_parked.") \
    X(REFUSED_MAX_FLIGHTS, "refused_max_flights", COUNTER, \
      "Requests and fragments of streams rejected because of max_flights.") \
    X(REFUSED_MAX_CONNECTION_REQUESTS, "refused_max_connection_requests", COUNTER, \
      "Requests rejected because of max_connection_requests.") \
    X(REFUSED_MAX_UNFINISHED, "refused_max_unfinished", COUNTER, \
      "Requests rejected because of max_unfinished.") \
    X(REFUSED_MAX_UNSENT, "refused_max_unsent", COUNTER, \
      "Fragments and streams rejected because of max_unsent.") \
    X(REFUSED_MAX_PENDING, "refused_max_pending", COUNTER, \
      "Commands not sent to Redis because of max_pending.")
/* clang-format on */

enum counter {
#define CONSTANT(constant, name, type, help) COUNTER_##constant,
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
    enum counter_type type;
};

extern const struct counter_row counter_rows[COUNTERS];
extern uint64_t counter_values[COUNTERS];

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
