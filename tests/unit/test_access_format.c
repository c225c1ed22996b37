/* web/access_format: what a format may be, and the lines that it makes. */
#include "unit.h"

#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "web/access_format.h"

static void test_check(void **state)
{
    static const struct {
        const char *text, *wrong; /* NULL: it is right */
    } cases[] = {
        {ACCESS_FORMAT_PRESET, NULL},
        {ACCESS_FORMAT_FIELDS, NULL},
        {"json", NULL},
        {"logfmt", NULL},
        {"{status}", NULL},
        {"{{\"s\": {status}}", NULL},
        {"}{status}}}", NULL},
        {"", "must be json, logfmt or a text with fields such as {status}"},
        {"JSON", "must be json, logfmt or a text with fields such as {status}"},
        {"json ", "must be json, logfmt or a text with fields such as {status}"},
        {"{{status}", "must be json, logfmt or a text with fields such as {status}"},
        {"{time", "a } is missing after the name of a field; for a { itself, write {{"},
        {"{status} {", "a } is missing after the name of a field; for a { itself, write {{"},
        {"{statis}", "there is no field {statis}; did you mean {status}?"},
        {"{time} {rout}", "there is no field {rout}; did you mean {route}?"},
        {"{redistime}", "there is no field {redistime}; did you mean {redis_time}?"},
        {"{requestid}", "there is no field {requestid}; did you mean {request_id}?"},
        {"{Status}", "there is no field {Status}; did you mean {status}?"},
        {"{ status}", "there is no field { status}; did you mean {status}?"},
        {"{}", "there is no field {}"},
        {"{$remote_addr}", "there is no field {$remote_addr}"},
        {"{{{x}", "there is no field {x}"},
        {"{a_name_that_is_longer_than_any_that_there_could_be}",
         "there is no field {a_name_that_is_longer_than_any_t}"},
        {"{status}\n", "a format must not have control characters"},
        {"{status}\x7f", "a format must not have control characters"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const char *wrong = access_format_check(cases[i].text);
        assert_slice(i, slice_of(wrong), slice_of(cases[i].wrong));
    }
    char text[ACCESS_FORMAT_MAX + 2];
    memset(text, 'x', sizeof text);
    memcpy(text, "{status}", 8);
    text[ACCESS_FORMAT_MAX] = '\0';
    assert_null(access_format_check(text));
    text[ACCESS_FORMAT_MAX] = 'x';
    text[ACCESS_FORMAT_MAX + 1] = '\0';
    assert_string_equal(access_format_check(text), "a format must not be longer than 1,000 bytes");
}

static const struct access_values known = {
    .time_us = 1764310647123456,
    .client = SLICE_INIT("192.0.2.7"),
    .method = SLICE_INIT("GET"),
    .path = SLICE_INIT("/fragment/a b"),
    .route = SLICE_INIT("a*"),
    .key = SLICE_INIT("a%20b?city=Paris"),
    .outcome = SLICE_INIT("miss"),
    .from = SLICE_INIT("source"),
    .status = 200,
    .bytes = 12,
    .total = 3.25,
    .parked = 3.2,
    .redis = 0.001,
    .lease = 0,
    .queued = 1.2000004,
    .source = 1234567.9999996,
    .request_id = SLICE_INIT("id=1"),
    .trace_id = SLICE_INIT("0af7651916cd43dd8448eb211c80319c"),
};

static const struct access_values unknown = {.time_us = 999999,
                                             .status = ACCESS_UNKNOWN,
                                             .bytes = ACCESS_UNKNOWN,
                                             .total = ACCESS_UNKNOWN,
                                             .parked = ACCESS_UNKNOWN,
                                             .redis = ACCESS_UNKNOWN,
                                             .lease = ACCESS_UNKNOWN,
                                             .queued = ACCESS_UNKNOWN,
                                             .source = ACCESS_UNKNOWN};

static struct slice line_of(const char *text, const struct access_values *values)
{
    static char line[ACCESS_LINE_MAX];
    struct access_format format;
    assert_null(access_format_check(text));
    assert_true(access_format_read(&format, text));
    size_t len = access_format_write(&format, values, line);
    access_format_free(&format);
    return (struct slice){.data = line, .len = len};
}

#define ALL_KNOWN_JSON                                                                             \
    "\"client\":\"192.0.2.7\",\"method\":\"GET\",\"path\":\"/fragment/a b\",\"route\":\"a*\","     \
    "\"key\":\"a%20b?city=Paris\",\"outcome\":\"miss\",\"from\":\"source\",\"status\":200,"        \
    "\"bytes\":12,\"total\":3.250000,\"parked\":3.200000,\"redis_time\":0.001000,"                 \
    "\"lease_time\":0.000000,\"queued\":1.200000,\"source_time\":1234568.000000,"                  \
    "\"request_id\":\"id=1\",\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\"}\n"
#define ALL_KNOWN_LOGFMT                                                                           \
    "client=192.0.2.7 method=GET path=\"/fragment/a b\" route=a* key=\"a%20b?city=Paris\" "        \
    "outcome=miss from=source status=200 bytes=12 total=3.250000 parked=3.200000 "                 \
    "redis_time=0.001000 lease_time=0.000000 queued=1.200000 source_time=1234568.000000 "          \
    "request_id=\"id=1\" trace_id=0af7651916cd43dd8448eb211c80319c\n"

static void test_lines(void **state)
{
    char json[1000], logfmt[1000], json_none[100], logfmt_none[100];
    (void)state;
    snprintf(json, sizeof json, "{\"time\":\"2025-11-28T06:17:27.123Z\",\"pid\":%d,%s", getpid(),
             ALL_KNOWN_JSON);
    snprintf(logfmt, sizeof logfmt, "time=2025-11-28T06:17:27.123Z pid=%d %s", getpid(),
             ALL_KNOWN_LOGFMT);
    snprintf(json_none, sizeof json_none, "{\"time\":\"1970-01-01T00:00:00.999Z\",\"pid\":%d}\n",
             getpid());
    snprintf(logfmt_none, sizeof logfmt_none, "time=1970-01-01T00:00:00.999Z pid=%d\n", getpid());
    const struct {
        const char *format;
        const struct access_values *values;
        const char *line;
    } cases[] = {
        {"{time} {status}", &known, "2025-11-28T06:17:27.123Z 200\n"},
        {"{time} {status}", &unknown, "1970-01-01T00:00:00.999Z -\n"},
        {"{status}{bytes}", &known, "20012\n"},
        {"[{path}] \"{key}\" {total}s", &known,
         "[/fragment/a\\x20b] \"a%20b?city=Paris\" 3.250000s\n"},
        {"[{path}] \"{key}\" {total}s", &unknown, "[-] \"-\" -s\n"},
        {"{{{status}}", &known, "{200}\n"},
        {"{{status}} {status}", &known, "{status}} 200\n"},
        {"{redis_time} {lease_time} {queued} {source_time}", &known,
         "0.001000 0.000000 1.200000 1234568.000000\n"},
        {"json", &known, json},
        {"json", &unknown, json_none},
        {"logfmt", &known, logfmt},
        {"logfmt", &unknown, logfmt_none},
    };
    for (size_t i = 0; i < LENGTH(cases); i++)
        assert_slice(i, line_of(cases[i].format, cases[i].values), slice_of(cases[i].line));
}

/* What peers send can't forge a line, a field or a member. */
static void test_escapes(void **state)
{
    static const struct {
        const char *key, *text, *logfmt, *json;
    } cases[] = {
        {"a\n2026 forged", "k=a\\x0a2026\\x20forged\n", " key=\"a\\u000a2026 forged\"\n",
         ",\"key\":\"a\\u000a2026 forged\"}\n"},
        {"a\",\"status\":\"200", "k=a\\x22,\\x22status\\x22:\\x22200\n",
         " key=\"a\\\",\\\"status\\\":\\\"200\"\n", ",\"key\":\"a\\\",\\\"status\\\":\\\"200\"}\n"},
        {"a\" status=200", "k=a\\x22\\x20status=200\n", " key=\"a\\\" status=200\"\n",
         ",\"key\":\"a\\\" status=200\"}\n"},
        {"a\\", "k=a\\x5c\n", " key=\"a\\\\\"\n", ",\"key\":\"a\\\\\"}\n"},
        {"a=1", "k=a=1\n", " key=\"a=1\"\n", ",\"key\":\"a=1\"}\n"},
        {"\xff", "k=\\xff\n", " key=\"\xef\xbf\xbd\"\n", ",\"key\":\"\xef\xbf\xbd\"}\n"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct access_values values = unknown;
        values.key = slice_of(cases[i].key);
        struct slice line = line_of("k={key}", &values), start;
        assert_slice(i, line, slice_of(cases[i].text));
        start = line_of("logfmt", &unknown);
        line = line_of("logfmt", &values);
        assert_slice(i, slice_from(line, start.len - 1), slice_of(cases[i].logfmt));
        start = line_of("json", &unknown);
        line = line_of("json", &values);
        assert_slice(i, slice_from(line, start.len - 2), slice_of(cases[i].json));
    }
}

/* However long the values are, a line has its end, and JSON all of its members. */
static void test_length(void **state)
{
    static const char *const formats[] = {"json", "logfmt", ACCESS_FORMAT_FIELDS,
                                          "{key}{key}{key}{key}{key}{key} {status}"};
    static char text[5000];
    (void)state;
    for (int byte = 0; byte < 256; byte += byte < 3 ? 1 : 5) {
        struct slice all = {.data = text, .len = sizeof text};
        memset(text, byte, sizeof text);
        struct access_values values = known;
        values.client = values.method = values.path = values.route = values.key = values.outcome =
            values.from = values.request_id = values.trace_id = all;
        values.bytes = INT64_MAX;
        values.total = values.parked = values.redis = values.queued = values.source = 9e11;
        for (size_t i = 0; i < LENGTH(formats); i++) {
            struct slice line = line_of(formats[i], &values);
            assert_row(byte, line.len <= ACCESS_LINE_MAX && line.data[line.len - 1] == '\n');
            assert_row(byte, memchr(line.data, '\n', line.len) == line.data + line.len - 1);
            if (i == 0)
                assert_row(byte, line.data[line.len - 2] == '}');
        }
    }
}

static void test_has(void **state)
{
    struct access_format format;
    (void)state;
    assert_true(access_format_read(&format, "{{key} {status}"));
    assert_true(access_format_has(&format, ACCESS_STATUS));
    assert_false(access_format_has(&format, ACCESS_KEY));
    assert_false(access_format_has(&format, ACCESS_TIME));
    access_format_free(&format);
    assert_true(access_format_read(&format, "json"));
    assert_true(access_format_has(&format, ACCESS_KEY));
    access_format_free(&format);
    access_format_free(&format);
}

static void test_no_memory(void **state)
{
    struct access_format format;
    (void)state;
    for (long n = 0; n < 2; n++) {
        alloc_fail_after(n);
        assert_false(access_format_read(&format, "{status}"));
        alloc_fail_after(-1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),   cmocka_unit_test(test_lines),
        cmocka_unit_test(test_escapes), cmocka_unit_test(test_length),
        cmocka_unit_test(test_has),     cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("access_format", tests, NULL, NULL);
}
