/* The lines of the access log: a format from the config, and the values of one request. Pure. */
#ifndef WORKERLESS_WEB_ACCESS_FORMAT_H
#define WORKERLESS_WEB_ACCESS_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define ACCESS_FORMAT_PRESET "logfmt"

/* A longer format is refused. */
#define ACCESS_FORMAT_MAX 1000

/* constant, name, what it is. Each name is a field of a format, and a member of JSON and logfmt. */
/* clang-format off */
#define ACCESS_FIELD_TABLE(X) \
    X(TIME,        "time")        /* when the answer was known: UTC, with milliseconds */ \
    X(PID,         "pid")         /* of the process */ \
    X(CLIENT,      "client")      /* REMOTE_ADDR */ \
    X(METHOD,      "method") \
    X(PATH,        "path")        /* without the query */ \
    X(ROUTE,       "route")       /* the pattern of its fragment section */ \
    X(KEY,         "key")         /* of the fragment in the cache */ \
    X(OUTCOME,     "outcome")     /* a word of park/tally.h */ \
    X(FROM,        "from")        /* memory, redis or source: what Cache-Status calls detail */ \
    X(STATUS,      "status") \
    X(BYTES,       "bytes")       /* of the body */ \
    X(TOTAL,       "total")       /* seconds from the complete request to its answer */ \
    X(PARKED,      "parked")      /* seconds of that for which it was parked */ \
    X(REDIS_TIME,  "redis_time")  /* seconds for which Redis was waited for */ \
    X(LEASE_TIME,  "lease_time")  /* seconds for which another process was waited for */ \
    X(QUEUED,      "queued")      /* seconds for which the call was in the source's queue */ \
    X(SOURCE_TIME, "source_time") /* seconds that the call took after that */ \
    X(REQUEST_ID,  "request_id")  /* X-Request-Id, if it is sound */ \
    X(TRACE_ID,    "trace_id")    /* of traceparent, likewise */
/* clang-format on */

/* " {time} {pid}" and so on: all fields, as people write them. */
#define ACCESS_IN_BRACES(constant, name) " {" name "}"
#define ACCESS_FORMAT_FIELDS             ACCESS_FIELD_TABLE(ACCESS_IN_BRACES)

enum access_field {
#define CONSTANT(constant, name) ACCESS_##constant,
    ACCESS_FIELD_TABLE(CONSTANT)
#undef CONSTANT
        ACCESS_FIELDS
};

#define ACCESS_UNKNOWN (-1) /* in place of seconds, of a status, or of bytes */

/* What may be known of a request. An empty slice: it has none. */
struct access_values {
    int64_t time_us; /* since 1970 */
    struct slice client, method, path, route, key, outcome, from, request_id, trace_id;
    int status;
    int64_t bytes;
    double total, parked, redis, lease, queued, source; /* seconds */
};

enum access_style { ACCESS_TEXT, ACCESS_LOGFMT, ACCESS_JSON };

/* A piece of a format: a field, or literal text. */
struct access_piece {
    struct slice literal; /* if it is not empty, there is no field; in the format's text */
    enum access_field field;
};

struct access_format {
    enum access_style style;
    struct access_piece *pieces; /* of ACCESS_TEXT; owned */
    size_t count;
    char *text; /* owned */
};

/* Returns NULL if it is a format: "json", "logfmt", or a text with {FIELD}s, where {{ stands for a
 * brace. Otherwise it returns what is wrong, which is valid until the next call. */
const char *access_format_check(const char *text);

/* Reads a format that the check accepts. Returns false when out of memory. */
bool access_format_read(struct access_format *format, const char *text);

/* Whether lines can have the field. */
bool access_format_has(const struct access_format *format, enum access_field field);

/* Writes a line, with its newline, of at most that many bytes. A text that is longer is cut; values
 * are cut so that the other styles are never longer. What a request does not have is "-" in a text,
 * and is left out in the other styles. Returns the length. */
#define ACCESS_LINE_MAX 4096
size_t access_format_write(const struct access_format *format, const struct access_values *values,
                           char out[ACCESS_LINE_MAX]);

/* May be called twice. */
void access_format_free(struct access_format *format);

#endif
