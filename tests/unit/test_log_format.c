/* The formats of the log, and the lines of the slow log: each message is one line of a file. */
#include "unit.h"

#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "park/timing.h"

static char path[] = "/tmp/test-log-format-XXXXXX";

static int set_up(void **state)
{
    int fd = mkstemp(path);
    (void)state;
    close(fd);
    return fd >= 0 && log_open(path) ? 0 : -1;
}

static int clean_up(void **state)
{
    (void)state;
    log_configure(LOG_LEVEL_INFO, false);
    return unlink(path);
}

/* The lines since the last call. */
static const char *lines(void)
{
    static char text[100000];
    static long seen;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fseek(file, seen, SEEK_SET), 0);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    seen = ftell(file);
    fclose(file);
    return text;
}

/* The text with its time and pid replaced by TIME and PID. */
static const char *settled(const char *text)
{
    static char out[10000];
    char pid[20];
    size_t at = 0, pid_len = (size_t)snprintf(pid, sizeof pid, "%ld", (long)getpid());
    while (*text) {
        if (strncmp(text, "20", 2) == 0 && strlen(text) > 24 && text[10] == 'T' &&
            text[23] == 'Z') {
            at += (size_t)snprintf(out + at, sizeof out - at, "TIME");
            text += 24;
        } else if (strncmp(text, pid, pid_len) == 0) {
            at += (size_t)snprintf(out + at, sizeof out - at, "PID");
            text += pid_len;
        } else {
            out[at++] = *text++;
        }
    }
    out[at] = '\0';
    return out;
}

static void test_formats(void **state)
{
    static const struct {
        enum log_format format;
        enum log_level level;
        const char *text, *line;
    } cases[] = {
        {LOG_FORMAT_TEXT, LOG_LEVEL_INFO, "it \"says\" so",
         "TIME [PID] info room: it \"says\" so\n"},
        {LOG_FORMAT_LOGFMT, LOG_LEVEL_INFO, "it \"says\" so",
         "time=TIME level=info pid=PID area=room message=\"it \\\"says\\\" so\"\n"},
        {LOG_FORMAT_JSON, LOG_LEVEL_INFO, "it \"says\" so",
         "{\"time\":\"TIME\",\"level\":\"info\",\"pid\":PID,\"area\":\"room\",\"message\":\"it "
         "\\\"says\\\" so\"}\n"},
        {LOG_FORMAT_LOGFMT, LOG_LEVEL_ERROR, "a\nlevel=info",
         "time=TIME level=error pid=PID area=room message=\"a\\u000alevel=info\"\n"},
        {LOG_FORMAT_JSON, LOG_LEVEL_WARNING, "a\n\",\"level\":\"x\\\xff",
         "{\"time\":\"TIME\",\"level\":\"warning\",\"pid\":PID,\"area\":\"room\",\"message\":\"a"
         "\\u000a\\\",\\\"level\\\":\\\"x\\\\\xef\xbf\xbd\"}\n"},
        {LOG_FORMAT_JSON, LOG_LEVEL_INFO, "",
         "{\"time\":\"TIME\",\"level\":\"info\",\"pid\":PID,\"area\":\"room\",\"message\":\"\"}\n"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        log_set_format(cases[i].format);
        log_message(cases[i].level, "room", "%s", cases[i].text);
        assert_slice(i, slice_of(settled(lines())), slice_of(cases[i].line));
    }
    log_set_format(LOG_FORMAT_TEXT);
}

/* A long message is cut, but its line is complete. */
static void test_length(void **state)
{
    static char text[5001];
    (void)state;
    log_set_format(LOG_FORMAT_JSON);
    for (int byte = 1; byte < 256; byte++) {
        memset(text, byte, sizeof text - 1);
        log_info("room", "%s", text);
        const char *line = lines();
        size_t len = strlen(line);
        assert_row(byte, len > 600 && len < 2300 && strcmp(line + len - 3, "\"}\n") == 0);
        assert_row(byte, strchr(line, '\n') == line + len - 1);
    }
    log_set_format(LOG_FORMAT_TEXT);
}

/* The slow log, on the limit of 1 s. */
static void test_slow(void **state)
{
    static const struct {
        double total;
        float redis, lease, call;
        struct source_times source;
        unsigned waited;
        const char *failure, *line; /* "": none */
    } cases[] = {
        {3.2,
         .001f,
         0,
         3.199f,
         {1.2f, true, .003f, 1.9f, .096f, 1},
         12,
         NULL,
         "took 3.2 s: Redis lookup 1 ms, lease wait 0 ms, queue 1.2 s, connect 3 ms, first byte "
         "1.9 s, body 96 ms (source api, 12 requests waited)"},
        {1,
         .5f,
         .5f,
         0,
         {.queued = 0},
         1,
         NULL,
         "took 1.0 s: Redis lookup 500 ms, lease wait 500 ms (source api, 1 request waited)"},
        {.99, .5f, .49f, 0, {.queued = 0}, 1, NULL, ""},
        {60,
         .01f,
         58,
         0,
         {.queued = 0},
         0,
         "not_ready",
         "took 60.0 s: Redis lookup 10 ms, lease wait 58.0 s, other 2.0 s (source api, 0 requests "
         "waited, not_ready)"},
        {2.5,
         0,
         0,
         2.5f,
         {.queued = .5f},
         2,
         "failed", /* another type of source */
         "took 2.5 s: Redis lookup 0 ms, lease wait 0 ms, queue 500 ms, source 2.0 s (source api, "
         "2 requests waited, failed)"},
        {5,
         0,
         0,
         5,
         {0, true, .5f, .25f, .25f, 3},
         1,
         NULL,
         "took 5.0 s: Redis lookup 0 ms, lease wait 0 ms, queue 0 ms, connect 500 ms, first byte "
         "250 ms, body 250 ms, earlier attempts 4.0 s (source api, 1 request waited)"},
        {5,
         0,
         0,
         4,
         {3, true, .5f, .5f, 0, 1},
         1,
         "timed_out",
         "took 5.0 s: Redis lookup 0 ms, lease wait 0 ms, queue 3.0 s, connect 500 ms, first byte "
         "500 ms, body 0 ms, other 1.0 s (source api, 1 request waited, timed_out)"},
    };
    (void)state;
    timing_configure(1, false);
    assert_true(timing_is_wanted);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct log_limit limit = {0};
        char line[600] = "";
        struct timing timing = {.began = 1000,
                                .since = 1000 + cases[i].total,
                                .redis = cases[i].redis,
                                .lease = cases[i].lease,
                                .call = cases[i].call,
                                .source = cases[i].source,
                                .waited = cases[i].waited};
        struct timing_flight flight = {.key = SLICE("weather?city=Paris"),
                                       .source = "api",
                                       .failure = cases[i].failure};
        timing_log(&timing, &flight, &limit);
        if (*cases[i].line)
            snprintf(line, sizeof line, "TIME [PID] warning slow: weather?city=Paris %s\n",
                     cases[i].line);
        assert_slice(i, slice_of(settled(lines())), slice_of(line));
        log_limit_end(&limit);
    }
}

/* A key can't hide the times, and one fragment can't fill the log. */
static void test_slow_limits(void **state)
{
    static char key[1000];
    struct log_limit limit = {0};
    struct timing timing = {.began = 1000, .since = 1009};
    struct timing_flight flight = {.key = {key, sizeof key}, .source = "api"};
    (void)state;
    memset(key, '\n', sizeof key);
    timing_log(&timing, &flight, &limit);
    const char *line = lines();
    assert_non_null(strstr(line, "... took 9.0 s: "));
    assert_non_null(strstr(line, "waited)\n"));
    assert_true(strchr(line, '\n') == line + strlen(line) - 1);
    for (unsigned i = 0; i < 100; i++)
        timing_log(&timing, &flight, &limit);
    assert_string_equal(lines(), "");
    log_limit_end(&limit);
    assert_non_null(strstr(lines(), "… and 100 more in 1 s like this one"));
}

/* Nothing is measured unless somebody wants to know. */
static void test_off(void **state)
{
    struct log_limit limit = {0};
    struct timing_flight flight = {.key = SLICE("a"), .source = "api"};
    struct timing timing = {0};
    (void)state;
    timing_configure(0, false);
    assert_false(timing_is_wanted);
    timing_add(&timing, TIMING_REDIS);
    assert_true(timing.redis == 0 && timing.since == 0);
    timing_configure(0, true); /* the access log does */
    assert_true(timing_is_wanted);
    timing_begin(&timing);
    timing_add(&timing, TIMING_NONE);
    usleep(1000);
    timing_add(&timing, TIMING_REDIS);
    timing_add(&timing, TIMING_LEASE);
    usleep(1000);
    timing_add(&timing, TIMING_CALL);
    assert_true(timing.redis >= .001f && timing.call >= .001f);
    assert_true((double)(timing.redis + timing.lease + timing.call) <=
                timing.since - timing.began + 1e-5);
    timing.began -= 100;
    timing_log(&timing, &flight, &limit);
    assert_string_equal(lines(), "");
    timing_configure(1, false); /* began before that, when nobody wanted to know */
    timing_log(&(struct timing){0}, &flight, &limit);
    assert_string_equal(lines(), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats), cmocka_unit_test(test_length),
        cmocka_unit_test(test_slow),    cmocka_unit_test(test_slow_limits),
        cmocka_unit_test(test_off),
    };
    return cmocka_run_group_tests_name("log_format", tests, set_up, clean_up);
}
