/* What a source's call comes to: an entry, or a failure and what may stand in its place. */
#ifndef WORKERLESS_PARK_OUTCOME_H
#define WORKERLESS_PARK_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "park/fragment.h"
#include "park/freshness.h"
#include "park/waiter.h"
#include "source/source.h"

struct entry;

/* The HTTP status that goes with a settlement: of SETTLED_ENTRY that of a result. */
int outcome_status(enum settlement_kind kind);

/* How an entry settles those who wait for it: it may be a failure that is remembered. */
enum settlement_kind outcome_of_entry(const struct entry *entry);

/* The same of a call that gave no result. */
enum settlement_kind outcome_of_failure(enum source_status status);

/* Limits what is logged about one source, so that one kind of failure does not hide the other. All
 * zero: fresh. */
struct failure_log {
    struct log_limit failed, timed_out;
};

/* To be told once for each such call; a source that only says no is not to blame. */
void outcome_log_failure(struct failure_log *log, const struct fragment *fragment,
                         enum source_status status, const char *reason);

/* To be called before the memory of the failure_log is freed. */
void outcome_end_log(struct failure_log *log);

/* freshness_judge of this moment, and by chance. */
enum usability outcome_usability(const struct freshness *terms, const struct entry *entry);

/* What the source gave, which was asked at that time by clock_monotonic(), as the HTML that is
 * cached and sent. Returns an entry that the caller owns; NULL, with the reason (static): none. */
struct entry *outcome_make_entry(const struct fragment *fragment,
                                 const struct source_result *result, double started,
                                 const char **reason);

/* Whether an old entry may stand in for a result that can't be had. */
bool outcome_serves_stale(const struct freshness *terms, const struct entry *old,
                          enum settlement_kind failure);

/* A failing source is asked once in a while by the whole fleet: for so long this is kept in the
 * place of the result. It is the failure; or the old entry, if it may still be used (else NULL),
 * which counts as fresh again, though not beyond the time for which it may be used at all. Returns
 * an entry that the caller owns, and until when to keep it, by clock_fleet_ms(); NULL: nothing is to
 * be kept. */
struct entry *outcome_to_remember(const struct freshness *terms, const struct entry *old,
                                  enum settlement_kind failure, int64_t *keep_until_ms);

#endif
