/* Writes and sends reports. A byte that belongs to no UTF-8 sequence becomes U+FFFD, since neither
 * JSON nor OpenMetrics could hold it. */
#include "web/report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "base/escape.h"
#include "base/utf8.h"
#include "cache/entry.h"
#include "web/client_list.h"
#include "web/endpoint.h"

#define REPLACEMENT "\xef\xbf\xbd"
#define PIECE       64 /* bytes that are escaped at a time */
#define ESCAPED_MAX 6  /* of one byte: ESCAPED_LEN or ESCAPED_JSON_LEN */

static void append(struct report *report, struct slice bytes)
{
    report->failed |= !buffer_append(&report->text, bytes.data, bytes.len, REPORT_MAX);
}

void report_text(struct report *report, const char *format, ...)
{
    char text[REPORT_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    check(len >= 0 && (size_t)len < sizeof text);
    append(report, (struct slice){.data = text, .len = (size_t)len});
}

const char *report_size(char out[REPORT_SIZE_ROOM], uint64_t bytes)
{
    static const char units[][4] = {"B", "KiB", "MiB", "GiB", "TiB"};
    const size_t last = sizeof units / sizeof *units - 1;
    double size = (double)bytes;
    size_t unit = 0;
    for (; size >= 1024 && unit < last; unit++)
        size /= 1024;
    snprintf(out, REPORT_SIZE_ROOM, "%.4g%s", size, units[unit]);
    return out;
}

const char *report_duration(char out[REPORT_DURATION_ROOM], double seconds)
{
    uint64_t s = seconds > 0 ? (uint64_t)seconds : 0;
    if (seconds < 1)
        snprintf(out, REPORT_DURATION_ROOM, "%.3gms", seconds * 1000);
    else if (s < 60)
        snprintf(out, REPORT_DURATION_ROOM, "%.3gs", seconds);
    else if (s < 3600)
        snprintf(out, REPORT_DURATION_ROOM, "%" PRIu64 "m %" PRIu64 "s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, REPORT_DURATION_ROOM, "%" PRIu64 "h %" PRIu64 "m", s / 3600, s / 60 % 60);
    else
        snprintf(out, REPORT_DURATION_ROOM, "%" PRIu64 "d %" PRIu64 "h", s / 86400, s / 3600 % 24);
    return out;
}

/* Removes the next character of a text that is not empty. A byte that is none becomes U+FFFD. */
static struct slice take_character(struct slice *text)
{
    size_t len = utf8_sequence(*text);
    struct slice character = {.data = text->data, .len = len};
    *text = slice_from(*text, len > 0 ? len : 1);
    return len > 0 ? character : SLICE(REPLACEMENT);
}

void report_label(struct report *report, struct slice value)
{
    while (value.len > 0) {
        struct slice character = take_character(&value);
        switch (character.data[0]) {
        case '\n':
            append(report, SLICE("\\n"));
            break;
        case '"':
        case '\\':
            append(report, SLICE("\\"));
            append(report, character);
            break;
        default:
            append(report, character);
        }
    }
}

/* Appends the value in one of the forms of escape.h. */
static void append_escaped(struct report *report, struct slice value,
                           size_t escape(char *, size_t, struct slice, size_t))
{
    char text[PIECE * ESCAPED_MAX + 1];
    while (value.len > 0) {
        struct slice piece = {.data = value.data};
        while (value.len > 0 && piece.len < PIECE - 4) {
            size_t len = utf8_sequence(value);
            value = slice_from(value, len > 0 ? len : 1);
            piece.len += len > 0 ? len : 1;
        }
        escape(text, sizeof text, piece, piece.len);
        append(report, slice_of(text));
    }
}

void report_json(struct report *report, struct slice value)
{
    append(report, SLICE("\""));
    append_escaped(report, value, escape_json);
    append(report, SLICE("\""));
}

void report_plain(struct report *report, struct slice value)
{
    append_escaped(report, value, escape_plain);
}

bool report_is_open(const struct service *service, const struct visit *visit)
{
    return client_list_has(service->site.status, visit->request->remote_addr);
}

enum answer_kind report_answer(struct service *service, const struct visit *visit,
                               struct slice type, struct report *report, union answer *answer)
{
    struct entry *entry =
        report->failed ? NULL : entry_new(type, buffer_slice(&report->text), 0, 0, 0);
    buffer_free(&report->text);
    if (!entry)
        return endpoint_refuse(service, visit, JOIN_NO_MEMORY, answer);
    response_set_entry(&answer->response, entry);
    entry_unref(entry);
    answer->response.no_store = true;
    answer->response.head_only = visit->method == METHOD_HEAD;
    return ANSWER_RESPONSE;
}
