/* The outcome of a source's call: an entry, or a failure and what may be served instead. */
#ifndef WORKERLESS_PARK_OUTCOME_H
#define WORKERLESS_PARK_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "park/fragment.h"
#include "park/freshness.h"
#include "park/waiter.h"
#include "source/keep.h"
#include "source/source.h"

struct entry;

#define TERMS_TOLD_ROOM 100

/* The HTTP status for a settlement; for SETTLED_ENTRY, that of a result. */
int outcome_status(enum settlement_kind kind);

/* The settlement of an entry, which may be a cached failure. */
enum settlement_kind outcome_of_entry(const struct entry *entry);

/* The settlement of a call without a result. */
enum settlement_kind outcome_of_failure(enum source_status status);

/* Limits what is logged about one source; one kind of failure does not hide the other. All zero at
 * first. */
struct failure_log {
    struct log_limit failed, timed_out;
    struct log_limit slow; /* of timing_log */
};

/* Logs a failed call. Call it once for each; "not found" is not logged as a failure. */
void outcome_log_failure(struct failure_log *log, const struct fragment *fragment,
                         enum source_status status, const char *reason);

/* Call it before the memory of the failure_log is freed. */
void outcome_end_log(struct failure_log *log);

/* Limits what is logged about the terms of one route's results: a reason is logged once, until it
 * changes. All zero at first. */
struct terms_log {
    char told[TERMS_TOLD_ROOM]; /* the beginning of the last reason */
    struct log_limit limit;
    bool told_left_out;
};

/* Logs that a result must not be shared, or that a header field was too large to be kept. */
void outcome_log_terms(struct terms_log *log, const struct fragment *fragment,
                       const struct source_terms *terms);

/* Call it before the memory of the terms_log is freed. */
void outcome_end_terms_log(struct terms_log *log);

/* Limits what is logged about the HTML of one route's results: a flaw is logged once, wherever it
 * is in the result, until there is another one. All zero at first. */
struct balance_log {
    char told[TERMS_TOLD_ROOM]; /* the beginning of what was said of the last flaw */
    struct log_limit limit;
};

/* Whether a stream of templates may contain the result. One that nobody has checked yet is checked;
 * if it may not, that is counted and logged. */
bool outcome_fits_template(struct balance_log *log, struct slice name, struct entry *entry);

/* Call it before the memory of the balance_log is freed. */
void outcome_end_balance_log(struct balance_log *log);

/* Whether the result may be shared; if not, it is only for the request that it was made for. */
static inline bool outcome_is_shared(const struct source_result *result)
{
    return !result->terms || result->terms->sharing == SHARING_ALLOWED;
}

/* freshness_judge for the current time and a random number. */
enum usability outcome_usability(const struct freshness *terms, const struct entry *entry);

/* How long a result and a failure are kept that come by the cache, written by others. It is at
 * least a second, so that all who wait find it there. */
struct lifetimes outcome_lifetimes(const struct freshness *terms);

/* Whether its fresh time is over. */
bool outcome_is_stale(const struct entry *entry);

/* Makes an entry of the source's result: the HTML that is cached and sent. If `same_body` is not
 * NULL, the body is that of this older entry. `started` is when the source was called, by
 * clock_monotonic(). Returns an entry that the caller owns, or NULL with the reason. */
struct entry *outcome_make_entry(const struct fragment *fragment,
                                 const struct source_result *result, const struct entry *same_body,
                                 double started, char reason[RENDER_WHY_ROOM]);

/* Makes the marker that is stored in the place of such a result. Returns an entry that the caller
 * owns; or NULL when out of memory, or if the route has none and `replaces` is false: there is no
 * old entry that has to go. */
struct entry *outcome_make_marker(const struct recipe *recipe, const struct source_terms *terms,
                                  bool replaces);

/* Whether the marker expires soon, so that it is worth renewing. */
bool outcome_marker_ends(const struct entry *marker);

/* Whether a new entry is worth storing: it is fresh for a while, may be used when it is stale, or
 * has a validator. */
bool outcome_is_stored(const struct freshness *terms, const struct entry *entry);

/* The result of a call that was asked whether an entry has changed, and answered that it has not.
 * */
struct renewal {
    struct source_result result; /* SOURCE_OK, without a body: that is the entry's */
    struct source_terms terms;
    char kept[KEEP_MAX];
};

/* Makes the result from the entry, which must outlive it, and the source's answer. What the answer
 * does not repeat stays as it was (RFC 9111 3.2, 4.3.4). Returns false if the answer is about
 * another version of the result. */
bool outcome_renew(const struct entry *entry, const struct source_result *answer,
                   struct renewal *renewal);

/* How long Redis keeps the entry after it can last be served, in milliseconds, so that a refresh
 * can ask whether it has changed. */
int64_t outcome_compare_ms(const struct freshness *terms, const struct entry *entry);

/* Whether an old entry may be served because of that failure. */
bool outcome_serves_stale(const struct freshness *terms, const struct entry *old,
                          enum settlement_kind failure);

/* What to cache in place of the result, so that the fleet calls a failing source only once in a
 * while: the failure, or the old entry if there is a usable one (`old` may be NULL). The old entry
 * counts as fresh again, but not beyond the time for which it may be used at all. Returns an entry
 * that the caller owns, and until when to keep it, by clock_fleet_ms(); NULL: cache nothing. */
struct entry *outcome_to_remember(const struct freshness *terms, const struct entry *old,
                                  enum settlement_kind failure, int64_t *keep_until_ms);

#endif
