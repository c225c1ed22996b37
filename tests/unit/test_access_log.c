/* web/access_log: which requests get a line, and what it keeps of those that wait. */
#include "unit.h"

#include <ev.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/budget.h"
#include "base/counters.h"
#include "base/log.h"
#include "park/tally.h"
#include "park/timing.h"
#include "web/access_log.h"
#include "web/request.h"
#include "web/response.h"

static struct ev_loop *loop;
static char path[] = "/tmp/test-access-log-XXXXXX", place[100];

static int set_up(void **state)
{
    int fd = mkstemp(path);
    (void)state;
    close(fd);
    loop = ev_loop_new(EVFLAG_AUTO);
    snprintf(place, sizeof place, "file:%s", path);
    budgets[BUDGET_INPUTS].limit = 1 << 20;
    return fd >= 0 && loop ? 0 : -1;
}

static int clean_up(void **state)
{
    (void)state;
    ev_loop_destroy(loop);
    return unlink(path);
}

static void turn_on(const char *format, double share)
{
    assert_int_equal(truncate(path, 0), 0);
    counter_values[COUNTER_ACCESS_LOG_DROPPED] = 0;
    assert_true(access_log_configure(loop, &(struct access_settings){.place = place,
                                                                     .format = format,
                                                                     .share = share}));
    assert_true(access_log_on);
}

/* Is for a fragment whose key is only there while the fragment is looked up. */
static void note(const char *pattern, const char *text)
{
    char key[100];
    snprintf(key, sizeof key, "%s", text);
    access_log_fragment(pattern, slice_of(key));
    memset(key, 'x', sizeof key);
    __asm__ volatile("" : : "r"(key) : "memory"); /* the compiler must not leave that out */
}

/* Turns it off; returns what was written. */
static const char *written(void)
{
    static char text[1 << 20];
    access_log_end();
    assert_false(access_log_on);
    assert_int_equal(budgets[BUDGET_INPUTS].used, 0);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

static struct web_request request_for(const char *uri)
{
    struct web_request request;
    web_request_clear(&request);
    request.method = SLICE("GET");
    request.document_uri = slice_of(uri);
    request.remote_addr = SLICE("::1");
    return request;
}

static void answer(int status)
{
    struct web_request request = request_for("/fragment/a");
    struct response response = response_of_status(status);
    access_log_begin(&request);
    access_log_answer(&response);
}

static unsigned count(const char *text, const char *word)
{
    unsigned found = 0;
    for (; (text = strstr(text, word)); text += strlen(word))
        found++;
    return found;
}

/* Failures are always there, all others by chance. */
static void test_sampling(void **state)
{
    static const struct {
        double share;
        unsigned least, most; /* of 1,000 */
    } cases[] = {{1, 1000, 1000}, {0, 0, 0}, {.1, 50, 150}, {.5, 400, 600}, {.999, 980, 1000}};
    static const int statuses[] = {200, 404, 202, 304};
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        turn_on("{status}", cases[i].share);
        for (unsigned k = 0; k < 1000; k++)
            answer(statuses[k % LENGTH(statuses)]);
        for (unsigned k = 0; k < 100; k++)
            answer(k % 2 ? 503 : 502);
        access_log_rejected(503);
        const char *text = written();
        unsigned others = count(text, "200\n") + count(text, "404\n") + count(text, "202\n") +
                          count(text, "304\n");
        assert_row(i, count(text, "503\n") == 51 && count(text, "502\n") == 50);
        assert_row(i, others >= cases[i].least && others <= cases[i].most);
    }
}

#define FORMAT                                                                                     \
    "{client} {method} {path} {route} {key} {outcome} {from} {status} {bytes} {redis_time} "       \
    "{lease_time} {queued} {source_time}"

static void test_ends(void **state)
{
    char uri[] = "/fragment/a", pattern[] = "a*", key[] = "a?b";
    struct web_request request = request_for(uri);
    struct response response = response_of_status(404);
    struct timing timing = {.began = 1, .redis = .25f, .lease = .5f};
    struct settlement settlement = {.kind = SETTLED_NOT_FOUND, .timing = &timing};
    struct access_record *records[6];
    (void)state;
    response.outcome = RESPONSE_OUTCOME(ROUTE_NOT_FOUND);
    response.detail = SLICE("source");
    turn_on(FORMAT, 1);
    for (size_t i = 0; i < LENGTH(records); i++) {
        access_log_begin(&request);
        access_log_fragment(i == 4 ? NULL : pattern, i == 4 ? SLICE("") : slice_of(key));
        assert_non_null(records[i] = access_log_keep());
    }
    memset(uri, 'x', strlen(uri)); /* what they were made of is gone */
    memset(pattern, 'x', strlen(pattern));
    memset(key, 'x', strlen(key));
    access_log_settled(records[0], &settlement, &response);
    timing.call = 2;
    timing.source.queued = .5f;
    access_log_settled(records[1], &settlement, &response);
    timing.source.queued = 2.001f;
    access_log_settled(records[5], &settlement, &response);
    access_log_left(records[2]);
    access_log_part(records[3], &(struct access_part){.name = SLICE("b"),
                                                      .pattern = "b",
                                                      .outcome = "hit",
                                                      .status = 200,
                                                      .bytes = 7});
    access_log_part(records[3], &(struct access_part){.name = SLICE("c"), .status = 404});
    access_log_streamed(records[3], 1234567890123);
    access_log_left(records[4]); /* a purge */
    access_log_left(NULL);
    access_log_settled(NULL, &settlement, &response);
    access_log_rejected(431);
    assert_string_equal(written(),
                        "::1 GET /fragment/a a* a?b not_found source 404 57 0.250000 0.500000 - -\n"
                        "::1 GET /fragment/a a* a?b not_found source 404 57 0.250000 0.500000 "
                        "0.500000 1.500000\n"
                        "::1 GET /fragment/a a* a?b not_found source 404 57 0.250000 0.500000 "
                        "2.001000 0.000000\n"
                        "::1 GET /fragment/a a* a?b left - - - - - - -\n"
                        "::1 GET /fragment/a b b hit - 200 7 - - - -\n"
                        "::1 GET /fragment/a - c - - 404 0 - - - -\n"
                        "::1 GET /fragment/a a* a?b - - 200 1234567890123 - - - -\n"
                        "::1 GET /fragment/a - - - - - - - - - -\n"
                        "- - - - - - - 431 - - - - -\n");
}

/* Variables as PARAMS has them. */
#define VARIABLES                                                                                  \
    "\x11\x03HTTP_X_REQUEST_IDr-1"                                                                 \
    "\x10\x37HTTP_TRACEPARENT00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static void test_ids(void **state)
{
    struct web_request request = request_for("/");
    struct response response = response_of_status(404);
    (void)state;
    request.variables = SLICE(VARIABLES);
    turn_on("{request_id} {trace_id}", 1);
    access_log_begin(&request);
    access_log_answer(&response);
    request.variables = SLICE("");
    access_log_begin(&request);
    access_log_answer(&response);
    assert_string_equal(written(), "r-1 0af7651916cd43dd8448eb211c80319c\n- -\n");
}

/* A record that can't be kept is a line that is dropped. */
static void test_no_room(void **state)
{
    struct web_request request = request_for("/fragment/a");
    (void)state;
    turn_on("{path}", 1);
    access_log_begin(&request);
    alloc_fail_after(0);
    assert_null(access_log_keep());
    alloc_fail_after(-1);
    budgets[BUDGET_INPUTS].limit = 10;
    access_log_begin(&request);
    assert_null(access_log_keep());
    budgets[BUDGET_INPUTS].limit = 1 << 20;
    assert_int_equal(counter_values[COUNTER_ACCESS_LOG_DROPPED], 2);
    assert_string_equal(written(), "");
}

/* The config changes while a request waits. */
static void test_changes(void **state)
{
    struct web_request request = request_for("/fragment/a");
    struct access_settings settings = {.place = place, .format = "b {path}", .share = 1};
    (void)state;
    turn_on("a {path}", 1);
    answer(200);
    access_log_begin(&request);
    struct access_record *kept = access_log_keep(), *last;
    assert_true(access_log_configure(loop, &settings));
    access_log_left(kept);
    access_log_begin(&request);
    kept = access_log_keep();
    access_log_begin(&request);
    last = access_log_keep();
    settings.place = "file:/none/such";
    settings.format = "c {path}";
    log_configure(LOG_LEVEL_ERROR, true); /* an error is intended */
    assert_false(access_log_configure(loop, &settings));
    for (long n = 0; n < 5; n++) {
        settings.place = "file:/dev/null";
        alloc_fail_after(n);
        assert_false(access_log_configure(loop, &settings));
        alloc_fail_after(-1);
    }
    log_configure(LOG_LEVEL_INFO, false);
    access_log_left(kept);
    settings.place = "off";
    assert_true(access_log_configure(loop, &settings));
    assert_false(access_log_on);
    access_log_left(last);
    assert_false(access_log_reopen());
    assert_string_equal(written(), "a /fragment/a\nb /fragment/a\nb /fragment/a\n");
}

/* The key of a request that is answered at once is not there any more when that is logged. */
static void test_key(void **state)
{
    struct web_request request = {.method = SLICE("GET"), .document_uri = SLICE("/fragment/a")};
    struct response response = response_of_status(200);
    (void)state;
    turn_on("{route} {key} {status}", 1);
    access_log_begin(&request);
    note("a*", "a?x=1");
    access_log_answer(&response);
    access_log_begin(&request);
    note("a*", "a?x=2");
    access_log_left(access_log_keep());
    assert_string_equal(written(), "a* a?x=1 200\na* a?x=2 -\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sampling), cmocka_unit_test(test_ends),
        cmocka_unit_test(test_ids),      cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_key),      cmocka_unit_test(test_changes),
    };
    return cmocka_run_group_tests_name("access_log", tests, set_up, clean_up);
}
