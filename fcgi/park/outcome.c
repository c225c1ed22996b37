/* Turns a result into an entry, and handles failures. */
#include "park/outcome.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "cache/entry.h"
#include "render/context.h"

#define FOUND_MIN_MS 1000

static const short statuses[] = {
    [SETTLED_ENTRY] = 200,     [SETTLED_NOT_FOUND] = 404,  [SETTLED_FAILED] = 502,
    [SETTLED_TIMED_OUT] = 504, [SETTLED_NOT_READY] = 202,  [SETTLED_SHUTDOWN] = 202,
    [SETTLED_PURGED] = 204,    [SETTLED_NOT_PURGED] = 503, [SETTLED_REFUSED] = 503,
    [SETTLED_BUSY] = 503,      [SETTLED_DECLINED] = 202,
};

int outcome_status(enum settlement_kind kind)
{
    return statuses[kind];
}

enum settlement_kind outcome_of_entry(const struct entry *entry)
{
    static const enum settlement_kind kinds[] = {SETTLED_ENTRY, SETTLED_NOT_FOUND,
                                                 SETTLED_TIMED_OUT};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (statuses[kinds[i]] == entry->status)
            return kinds[i];
    return SETTLED_FAILED;
}

enum settlement_kind outcome_of_failure(enum source_status status)
{
    switch (status) {
    case SOURCE_NOT_FOUND:
        return SETTLED_NOT_FOUND;
    case SOURCE_TIMED_OUT:
        return SETTLED_TIMED_OUT;
    case SOURCE_BUSY:
        return SETTLED_BUSY;
    case SOURCE_CANCELLED:
        return SETTLED_SHUTDOWN;
    default:
        return SETTLED_FAILED;
    }
}

void outcome_log_failure(struct failure_log *log, const struct fragment *fragment,
                         enum source_status status, const char *reason)
{
    if (status == SOURCE_FAILED || status == SOURCE_TIMED_OUT)
        log_limited(status == SOURCE_FAILED ? &log->failed : &log->timed_out, LOG_LEVEL_WARNING,
                    "flight", "fragment \"%.*s\": %s", SLICE_ARGS(fragment->name), reason);
    else
        log_debug("flight", "fragment \"%.*s\": %s", SLICE_ARGS(fragment->name), reason);
}

void outcome_end_log(struct failure_log *log)
{
    log_limit_end(&log->failed);
    log_limit_end(&log->timed_out);
    log_limit_end(&log->slow);
}

void outcome_log_terms(struct terms_log *log, const struct fragment *fragment,
                       const struct source_terms *terms)
{
    char reason[sizeof log->told];
    if (terms->left_out.len > 0 && !log->told_left_out) {
        log->told_left_out = true;
        log_message(LOG_LEVEL_WARNING, "flight",
                    "fragment \"%.*s\": the header field \"%.*s\" is not kept, since the fields in "
                    "keep "
                    "have more than %d bytes together",
                    SLICE_ARGS(fragment->name), SLICE_ARGS(terms->left_out), KEEP_MAX);
    }
    if (terms->sharing == SHARING_ALLOWED)
        return;
    snprintf(reason, sizeof reason, "%s", terms->why);
    if (strcmp(reason, log->told) == 0)
        return;
    memcpy(log->told, reason, sizeof reason);
    log_limited(&log->limit, LOG_LEVEL_WARNING, "flight",
                "fragment \"%.*s\": the source forbids caching and sharing its result: %s",
                SLICE_ARGS(fragment->name), terms->why);
}

void outcome_end_terms_log(struct terms_log *log)
{
    log_limit_end(&log->limit);
}

static void log_flaw(struct balance_log *log, struct slice name,
                     const struct balance_finding *finding)
{
    char what[sizeof log->told], phrase[BALANCE_PHRASE_MAX];
    struct balance_finding anywhere = *finding;
    anywhere.line = anywhere.column = 0;
    balance_phrase(what, sizeof what, &anywhere);
    if (strcmp(what, log->told) == 0)
        return;
    memcpy(log->told, what, sizeof what);
    balance_phrase(phrase, sizeof phrase, finding);
    log_limited(&log->limit, LOG_LEVEL_WARNING, "flight",
                "fragment \"%.*s\": the result has %s; it is served alone as it is, but not in "
                "the templates of /fragments",
                SLICE_ARGS(name), phrase);
}

bool outcome_fits_template(struct balance_log *log, struct slice name, struct entry *entry)
{
    if (entry->balance == ENTRY_UNCHECKED) {
        struct balance found = entry_check_balance(entry);
        if (entry->balance == ENTRY_UNBALANCED) {
            counter_add(COUNTER_UNBALANCED, 1);
            log_flaw(log, name, &found.in_template);
        }
    }
    return entry->balance != ENTRY_UNBALANCED;
}

void outcome_end_balance_log(struct balance_log *log)
{
    log_limit_end(&log->limit);
}

/* In (0, 1]. */
static double random_share(void)
{
    return 1 - drand48();
}

enum usability outcome_usability(const struct freshness *terms, const struct entry *entry)
{
    return freshness_judge(terms, entry, clock_fleet_ms(), terms->early ? random_share() : 1);
}

struct lifetimes outcome_lifetimes(const struct freshness *terms)
{
    int64_t fresh_ms = freshness_ttl_ms(terms, NULL, random_share());
    if (fresh_ms < FOUND_MIN_MS)
        fresh_ms = FOUND_MIN_MS;
    return (struct lifetimes){.fresh = fresh_ms,
                              .keep = fresh_ms + freshness_extra_ms(terms),
                              .negative = (int64_t)(terms->negative * 1000)};
}

/* The terms that go into the entry. */
static struct entry_terms entry_terms_by(const struct freshness *freshness,
                                         const struct source_terms *said)
{
    struct entry_terms terms = {0};
    if (!said)
        return terms;
    terms.has_stale = freshness_stale_ms(freshness, said, &terms.stale_ms, &terms.stale_error_ms);
    terms.must_revalidate = said->must_revalidate;
    terms.clients_no_store = said->clients_no_store;
    terms.has_clients = freshness->ttl_by_source && said->clients_ms != SOURCE_NOT_SAID;
    if (terms.has_clients)
        terms.clients_s = (uint32_t)(said->clients_ms / 1000);
    terms.kept = said->kept;
    if (freshness->revalidate > 0) {
        terms.etag = said->etag;
        terms.last_modified = said->last_modified;
    }
    return terms;
}

bool outcome_is_stale(const struct entry *entry)
{
    return entry->fresh_until_ms <= clock_fleet_ms();
}

/* The inputs of a fragment, as its template calls them. */
static void begin_context(struct context *context, const struct fragment *fragment)
{
    struct inputs_reader reader = inputs_read(fragment->inputs);
    const struct input *input;
    struct slice value;
    context_begin(context, fragment->name);
    while ((input = inputs_next(&reader, &value))) {
        struct slice name = input->kind == INPUT_LANGUAGE ? SLICE("language")
                            : input->kind == INPUT_HOST   ? SLICE("host")
                                                          : input->name;
        context_add_input(context, name, value);
    }
}

/* Not inline, since a context needs more than a kilobyte of stack. */
__attribute__((noinline)) static bool render(const struct fragment *fragment,
                                             const struct source_result *result,
                                             struct render_result *rendered,
                                             char reason[RENDER_WHY_ROOM])
{
    struct context context;
    begin_context(&context, fragment);
    if (render_fragment(&fragment->recipe->rendering, fragment->name, &context, result->type,
                        result->body, rendered, reason))
        return true;
    counter_add(COUNTER_RENDERINGS_FAILED, 1);
    return false;
}

struct entry *outcome_make_entry(const struct fragment *fragment,
                                 const struct source_result *result, const struct entry *same_body,
                                 double started, char reason[RENDER_WHY_ROOM])
{
    int64_t fresh_ms =
        freshness_ttl_ms(&fragment->recipe->freshness, result->terms, random_share());
    int64_t cost_ms = (int64_t)((clock_monotonic() - started) * 1000);
    struct entry_terms terms = entry_terms_by(&fragment->recipe->freshness, result->terms);
    struct render_result rendered = {0};
    struct entry *entry = NULL;

    terms.by = fragment->recipe->rendering.digest;
    if (same_body)
        rendered = (struct render_result){.type = same_body->type, .body = same_body->body};
    if (same_body || render(fragment, result, &rendered, reason)) {
        entry = entry_new_on_terms(rendered.type, rendered.body, clock_fleet_ms(), fresh_ms,
                                   cost_ms, &terms);
        snprintf(reason, RENDER_WHY_ROOM, "not enough memory for the result");
    }
    buffer_free(&rendered.html);
    return entry;
}

/* A marker that is not to be remembered ends at once, but it still replaces the old entry. */
struct entry *outcome_make_marker(const struct recipe *recipe, const struct source_terms *terms,
                                  bool replaces)
{
    int64_t life_ms = (int64_t)(recipe->uncacheable * 1000);
    if (life_ms < 1 && !replaces)
        return NULL;
    return entry_of_uncacheable(slice_of(terms->why ? terms->why : ""), clock_fleet_ms(),
                                life_ms > 0 ? life_ms : 1);
}

bool outcome_marker_ends(const struct entry *marker)
{
    int64_t life_ms = marker->fresh_until_ms - marker->made_ms;
    return marker->fresh_until_ms - clock_fleet_ms() < life_ms / 4;
}

static bool is_strong(struct slice etag)
{
    return etag.len > 0 && !slice_starts(etag, SLICE("W/"));
}

/* Whether the response says anything about how long its result may be used. */
static bool says_times(const struct source_terms *terms)
{
    return terms->fresh_ms != SOURCE_NOT_SAID || terms->stale_ms != SOURCE_NOT_SAID ||
           terms->stale_error_ms != SOURCE_NOT_SAID || terms->must_revalidate ||
           terms->clients_ms != SOURCE_NOT_SAID || terms->clients_no_store;
}

/* Takes the times over from the entry. */
static void take_times(const struct entry *entry, struct source_terms *terms)
{
    terms->must_revalidate = entry->must_revalidate;
    terms->clients_no_store = entry->clients_no_store;
    if (entry->has_clients)
        terms->clients_ms = (int64_t)entry->clients_s * 1000;
    if (!entry->has_stale)
        return;
    terms->fresh_ms = entry->fresh_until_ms - entry->made_ms;
    terms->stale_ms = entry->stale_ms;
    terms->stale_error_ms = entry->stale_error_ms;
}

bool outcome_renew(const struct entry *entry, const struct source_result *answer,
                   struct renewal *renewal)
{
    static const struct source_terms nothing = SOURCE_TERMS_NONE;
    const struct source_terms *said = answer->terms ? answer->terms : &nothing;
    struct entry_terms older = entry_terms_of(entry);
    if (is_strong(said->etag) && is_strong(older.etag) && !slice_equal(said->etag, older.etag))
        return false;

    struct source_terms *terms = &renewal->terms;
    *terms = *said;
    if (!says_times(said))
        take_times(entry, terms);
    if (terms->etag.len == 0)
        terms->etag = older.etag;
    if (terms->last_modified.len == 0)
        terms->last_modified = older.last_modified;
    terms->kept = (struct slice){.data = renewal->kept,
                                 .len = keep_merge(older.kept, said->kept, renewal->kept)};
    renewal->result = (struct source_result){.status = SOURCE_OK,
                                             .type = entry->type,
                                             .body = entry->body,
                                             .terms = terms};
    return true;
}

bool outcome_is_stored(const struct freshness *terms, const struct entry *entry)
{
    return entry->fresh_until_ms > entry->made_ms ||
           (entry->has_stale &&
            (entry_extra_ms(entry, 0) > 0 || outcome_compare_ms(terms, entry) > 0));
}

int64_t outcome_compare_ms(const struct freshness *terms, const struct entry *entry)
{
    return entry_has_validator(entry) ? (int64_t)(terms->revalidate * 1000) : 0;
}

bool outcome_serves_stale(const struct freshness *terms, const struct entry *old,
                          enum settlement_kind failure)
{
    return failure != SETTLED_NOT_FOUND && !entry_is_marker(old) &&
           freshness_judge(terms, old, clock_fleet_ms(), 1) != UNUSABLE;
}

struct entry *outcome_to_remember(const struct freshness *terms, const struct entry *old,
                                  enum settlement_kind failure, int64_t *keep_until_ms)
{
    int64_t now_ms = clock_fleet_ms(), until_ms = now_ms + (int64_t)(terms->negative * 1000);
    *keep_until_ms = until_ms;
    if (terms->negative <= 0 || failure == SETTLED_SHUTDOWN || failure == SETTLED_BUSY)
        return NULL; /* the source has not said anything */
    if (!old)
        return entry_of_failure(outcome_status(failure), now_ms, until_ms - now_ms);
    if (old->fresh_until_ms > until_ms)
        return NULL; /* this was an early refresh: the old entry is still fresh */

    /* The original end of its ttl, before any failure prolonged it. (With stale times of its own,
     * their end has stayed where it was.) */
    int64_t ttl_end_ms = old->made_ms + (int64_t)(terms->ttl * 1000);
    if (old->has_stale || ttl_end_ms > old->fresh_until_ms)
        ttl_end_ms = old->fresh_until_ms;
    *keep_until_ms = ttl_end_ms + entry_extra_ms(old, freshness_extra_ms(terms));
    return entry_prolonged(old, until_ms < *keep_until_ms ? until_ms : *keep_until_ms);
}
