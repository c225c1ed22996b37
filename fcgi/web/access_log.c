/* What is known of a request, from its beginning to its line.
 *
 * A request that is answered at once is not copied, except for its key: `current` borrows from it. A
 * record has its texts in one block, which counts in BUDGET_INPUTS, as it is there because a fragment is made. */
#include "web/access_log.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/budget.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/lines.h"
#include "base/log.h"
#include "base/random.h"
#include "park/tally.h"
#include "park/timing.h"
#include "park/waiter.h"
#include "source/trace.h"
#include "web/access_format.h"
#include "web/request.h"
#include "web/response.h"

#define NAME         "access_log"
#define FAILURE      500  /* a status from which on a request is never left out */
#define TEXT_MAX     1024 /* bytes that are kept of each text */
#define TRACE_AT     3    /* where the trace id begins in a traceparent */
#define TRACE_ID_LEN 32
#define RECORD_TEXTS 7

_Static_assert(ACCESS_LINE_MAX <= LINES_LINE_MAX, "a line has to fit");

bool access_log_on;

static struct {
    struct lines *lines;
    char *place; /* owned: of the lines */
    struct access_format format;
    bool wants_ids; /* the format has one */
    double share;
    uint64_t random;
} out;

/* The request that began last. */
static struct {
    struct access_values values;
    double began; /* by clock_monotonic() */
    char joined[TEXT_MAX], key[TEXT_MAX];
} current;

struct access_record {
    double began;
    uint16_t lens[RECORD_TEXTS]; /* of the texts, in the order of text_slots */
    char texts[];
};

/* --- setting up --- */

static bool open_lines(struct ev_loop *loop, const char *place, struct lines **lines)
{
    enum lines_place where = LINES_TO_FILE;
    const char *path = "";
    if (strcmp(place, "stderr") == 0)
        where = log_stderr_is_null() ? LINES_TO_SYSLOG : LINES_TO_STDERR;
    else if (strcmp(place, "syslog") == 0)
        where = LINES_TO_SYSLOG;
    else
        path = place + strlen(ACCESS_LOG_FILE);
    *lines = lines_open(loop, where, path, NAME, COUNTER_ACCESS_LOG_DROPPED);
    return *lines != NULL;
}

static bool out_of_memory(void)
{
    log_error(NAME, "out of memory");
    return false;
}

bool access_log_configure(struct ev_loop *loop, const struct access_settings *settings)
{
    struct access_format format;
    struct lines *lines = out.lines;
    if (strcmp(settings->place, "off") == 0) {
        access_log_end();
        return true;
    }
    if (!access_format_read(&format, settings->format))
        return out_of_memory();
    bool moves = !out.place || strcmp(out.place, settings->place) != 0;
    char *place = moves ? alloc_copy(settings->place, strlen(settings->place)) : out.place;
    if (!place || (moves && !open_lines(loop, place, &lines))) {
        if (!place)
            out_of_memory();
        else
            free(place);
        access_format_free(&format);
        return false;
    }
    if (moves)
        access_log_end();
    access_format_free(&out.format);
    out.lines = lines;
    out.place = place;
    out.format = format;
    out.share = settings->share;
    out.wants_ids = access_format_has(&format, ACCESS_REQUEST_ID) ||
                    access_format_has(&format, ACCESS_TRACE_ID);
    if (out.random == 0)
        out.random = (uint64_t)clock_boot_us() ^ (uint64_t)getpid() << 32;
    access_log_on = true;
    return true;
}

bool access_log_try(const struct access_settings *settings)
{
    struct lines *lines = NULL;
    bool is_open = out.place && strcmp(out.place, settings->place) == 0;
    bool opened =
        is_open || strcmp(settings->place, "off") == 0 || open_lines(NULL, settings->place, &lines);
    lines_close(lines);
    return opened;
}

bool access_log_reopen(void)
{
    return access_log_on && lines_reopen(out.lines);
}

void access_log_end(void)
{
    access_log_on = false;
    lines_close(out.lines);
    out.lines = NULL;
    free(out.place);
    out.place = NULL;
    access_format_free(&out.format);
}

/* --- lines --- */

static bool is_chosen(int status)
{
    return status >= FAILURE || out.share >= 1 || random_unit(&out.random) < out.share;
}

static void write_line(struct access_values *values)
{
    struct timespec now;
    if (!is_chosen(values->status))
        return;
    char *line = lines_begin(out.lines);
    if (!line)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    values->time_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
    lines_end(out.lines, access_format_write(&out.format, values, line));
}

static struct slice outcome_slice(enum route_outcome outcome)
{
    return slice_of(route_outcome_names[outcome]);
}

static void take_response(struct access_values *values, const struct response *response)
{
    values->status = response->status;
    values->bytes = (int64_t)response_body(response).len;
    values->from = response->detail;
    if (response->outcome != RESPONSE_NO_OUTCOME)
        values->outcome = outcome_slice((enum route_outcome)(response->outcome - 1));
}

static void take_timing(struct access_values *values, const struct timing *timing)
{
    if (!timing)
        return;
    values->redis = timing->redis;
    values->lease = timing->lease;
    if (!timing_has_called(timing))
        return;
    values->queued = timing->source.queued;
    values->source = timing->call - timing->source.queued;
    if (values->source < 0) /* the queue is timed by a coarser clock */
        values->source = 0;
}

static void forget(struct access_values *values)
{
    *values = (struct access_values){.status = ACCESS_UNKNOWN,
                                     .bytes = ACCESS_UNKNOWN,
                                     .total = ACCESS_UNKNOWN,
                                     .parked = ACCESS_UNKNOWN,
                                     .redis = ACCESS_UNKNOWN,
                                     .lease = ACCESS_UNKNOWN,
                                     .queued = ACCESS_UNKNOWN,
                                     .source = ACCESS_UNKNOWN};
}

/* --- a request --- */

void access_log_begin(const struct web_request *request)
{
    struct access_values *values = &current.values;
    struct slice parent = {0};
    forget(values);
    values->client = request->remote_addr;
    values->method = request->method;
    if (!web_request_path(request, current.joined, sizeof current.joined, &values->path))
        values->path = (struct slice){0};
    if (out.wants_ids)
        trace_find(request->variables, &values->request_id, &parent);
    if (parent.len > 0)
        values->trace_id = (struct slice){.data = parent.data + TRACE_AT, .len = TRACE_ID_LEN};
    current.began = clock_monotonic();
}

void access_log_note(const char *pattern, struct slice key)
{
    current.values.route = slice_of(pattern);
    current.values.key.data = current.key;
    current.values.key.len = slice_move(&key, current.key, sizeof current.key);
}

void access_log_answer(const struct response *response)
{
    take_response(&current.values, response);
    current.values.total = clock_monotonic() - current.began;
    write_line(&current.values);
}

/* The texts of a record, which are there from the beginning. */
static void text_slots(struct access_values *values, struct slice *slots[RECORD_TEXTS])
{
    slots[0] = &values->client;
    slots[1] = &values->method;
    slots[2] = &values->path;
    slots[3] = &values->route;
    slots[4] = &values->key;
    slots[5] = &values->request_id;
    slots[6] = &values->trace_id;
}

struct access_record *access_log_keep(void)
{
    struct slice *slots[RECORD_TEXTS];
    size_t size = sizeof(struct access_record);
    text_slots(&current.values, slots);
    for (size_t i = 0; i < RECORD_TEXTS; i++) {
        if (slots[i]->len > TEXT_MAX)
            slots[i]->len = TEXT_MAX;
        size += slots[i]->len;
    }
    struct access_record *record = budget_has_room(BUDGET_INPUTS, size) ? alloc_bytes(size) : NULL;
    if (!record) {
        counter_add(COUNTER_ACCESS_LOG_DROPPED, 1);
        return NULL;
    }
    budget_add(BUDGET_INPUTS, size);
    record->began = current.began;
    char *at = record->texts;
    for (size_t i = 0; i < RECORD_TEXTS; i++) {
        record->lens[i] = (uint16_t)slots[i]->len;
        if (slots[i]->len > 0)
            memcpy(at, slots[i]->data, slots[i]->len);
        at += slots[i]->len;
    }
    return record;
}

/* The values of the record, whose texts stay in it. */
static void take_record(struct access_values *values, const struct access_record *record)
{
    struct slice *slots[RECORD_TEXTS];
    const char *at = record->texts;
    forget(values);
    text_slots(values, slots);
    for (size_t i = 0; i < RECORD_TEXTS; i++) {
        *slots[i] = (struct slice){.data = at, .len = record->lens[i]};
        at += record->lens[i];
    }
    values->total = clock_monotonic() - record->began;
}

/* Writes its line, unless the log has been turned off, and frees it. */
static void end_record(struct access_record *record, struct access_values *values)
{
    size_t size = sizeof *record;
    if (access_log_on)
        write_line(values);
    for (size_t i = 0; i < RECORD_TEXTS; i++)
        size += record->lens[i];
    budget_sub(BUDGET_INPUTS, size);
    free(record);
}

void access_log_settled(struct access_record *record, const struct settlement *settlement,
                        const struct response *response)
{
    struct access_values values;
    if (!record)
        return;
    take_record(&values, record);
    take_response(&values, response);
    take_timing(&values, settlement->timing);
    values.parked = values.total;
    end_record(record, &values);
}

void access_log_left(struct access_record *record)
{
    struct access_values values;
    if (!record)
        return;
    take_record(&values, record);
    values.parked = values.total;
    if (values.route.len > 0)
        values.outcome = outcome_slice(ROUTE_LEFT);
    end_record(record, &values);
}

void access_log_streamed(struct access_record *record, uint64_t bytes)
{
    struct access_values values;
    if (!record)
        return;
    take_record(&values, record);
    values.status = 200;
    values.bytes = (int64_t)bytes;
    end_record(record, &values);
}

void access_log_part(const struct access_record *record, const struct access_part *part)
{
    struct access_values values;
    if (!access_log_on)
        return;
    take_record(&values, record);
    values.route = slice_of(part->pattern);
    values.key = part->name;
    values.outcome = slice_of(part->outcome);
    values.status = part->status;
    values.bytes = (int64_t)part->bytes;
    write_line(&values);
}

void access_log_rejected(int status)
{
    forget(&current.values);
    current.values.status = status;
    write_line(&current.values);
}
