/* The queue source without a Redis: the text of its jobs, and calls that are refused. What it does
 * with a Redis is in tests/integration/test_queue.py. */
#include <ev.h>
#include <stdio.h>

#include "base/alloc.h"
#include "requests.h"
#include "source/queue_job.h"
#include "source/queue_settings.h"
#include "source/source.h"
#include "source/tally.h"
#include "unit.h"

static struct queue_settings settings = {
    .settings = {.name = "jobs", .limits.queue = 10},
    .jobs = "jobs",
    .timeout = 60,
    .visibility = 0.5,
    .attempts = 3,
};

/* --- jobs --- */

#define START                                                                                      \
    "{\"version\": 1, \"id\": \"0123\", \"key\": \"worker:%s\", \"lease\": \"lease:{worker:%s}\""
#define TERMS                                                                                      \
    "\"fresh\": 60000, \"keep\": 90000, \"negative\": 5000, \"visibility\": 500, \"attempts\": 3"

static const struct source_request *requested(struct request_room *room, const char *name,
                                              const struct slice *inputs, size_t count)
{
    request_of(room, slice_of(name), SLICE(""), inputs, count);
    room->request.key = slice_of(name);
    room->request.lease = SLICE("0123");
    room->request.lifetimes = (struct lifetimes){.fresh = 60000, .keep = 90000, .negative = 5000};
    return &room->request;
}

static const char *written(const struct source_request *request, struct buffer *out)
{
    return queue_job_write(&(struct queue_job){.settings = &settings,
                                               .request = request,
                                               .value_start = "worker:",
                                               .deadline_ms = 1790000000000},
                           out);
}

static void test_job(void **state)
{
    static const struct {
        const char *name, *key; /* as JSON has it; NULL: the same */
        struct slice inputs[3];
        const char *text;
    } cases[] = {
        {"a", NULL, {{0}}, ""},
        {"caf\xc3\xa9/\"b\"", "caf\xc3\xa9/\\\"b\\\"", {{0}}, ""},
        {"a",
         NULL,
         {SLICE_INIT("query:city=Paris"), SLICE_INIT("query:x"), SLICE_INIT("query:y=")},
         "\"query:city\": \"Paris\", \"query:y\": \"\""},
        {"a",
         NULL,
         {SLICE_INIT("query:x"), SLICE_INIT("language:en,de=de"), SLICE_INIT("host=h:1")},
         "\"language\": \"de\", \"host\": \"h:1\""},
        {"a",
         NULL,
         {SLICE_INIT("cookie:s=a\x01\\"), SLICE_INIT("header:x-currency=EUR")},
         "\"cookie:s\": \"a\\u0001\\\\\", \"header:x-currency\": \"EUR\""},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct request_room room;
        struct buffer out = {0};
        char expected[1000];
        const char *key = cases[i].key ? cases[i].key : cases[i].name;
        requested(&room, cases[i].name, cases[i].inputs, 3);
        room.request.awaited = i % 2;
        snprintf(expected, sizeof expected,
                 START ", \"name\": \"%s\", \"rest\": \"\", \"inputs\": {%s}, "
                       "\"deadline\": 1790000000000, \"priority\": \"%s\", " TERMS "}",
                 key, key, key, cases[i].text, i % 2 ? "visitors" : "refreshes");
        assert_row(i, !written(&room.request, &out));
        assert_slice(i, buffer_slice(&out), slice_of(expected));
        buffer_free(&out);
    }
}

/* A text of any length, with characters on both sides of each place where it is cut. */
static void test_long_inputs(void **state)
{
    static char value[INPUTS_PACKED_MAX];
    (void)state;
    for (size_t len = 100; len < 600; len++) {
        struct request_room room;
        struct buffer out = {0};
        char input[700];
        for (size_t i = 0; i < len; i++)
            value[i] = i % 3 == len % 3 ? '\xc3' : i % 3 == (len + 1) % 3 ? '\xa9' : 'e';
        size_t end = len - (value[len - 1] == '\xc3'), start = value[0] == '\xa9';
        int input_len =
            snprintf(input, sizeof input, "query:q=%.*s", (int)(end - start), value + start);
        struct slice inputs = {.data = input, .len = (size_t)input_len};
        requested(&room, "a", &inputs, 1);
        assert_row(len, !written(&room.request, &out));
        assert_row(len, memmem(out.data, out.len, value + start, end - start) != NULL);
        buffer_free(&out);
    }
}

static void test_job_is_impossible(void **state)
{
    static const struct slice bad[] = {SLICE_INIT("query:q=\xff"), SLICE_INIT("query:q=ab\xc3"),
                                       SLICE_INIT("cookie:s=\xed\xa0\x80")};
    (void)state;
    for (size_t i = 0; i < LENGTH(bad); i++) {
        struct request_room room;
        struct buffer out = {0};
        const char *why = written(requested(&room, "a", &bad[i], 1), &out);
        assert_row(i, why && strstr(why, "UTF-8"));
        buffer_free(&out);
    }
    for (long successes = 0;; successes++) {
        struct request_room room;
        struct buffer out = {0};
        requested(&room, "a", NULL, 0);
        alloc_fail_after(successes);
        const char *why = written(&room.request, &out);
        alloc_fail_after(-1);
        buffer_free(&out);
        if (!why)
            return;
        assert_non_null(strstr(why, "memory"));
    }
}

/* --- calls --- */

static unsigned done;
static enum source_status last;
static char reason[200];

static void on_done(void *caller, const struct source_result *result)
{
    done++;
    last = result->status;
    snprintf(reason, sizeof reason, "%s", result->reason);
    assert_ptr_equal(caller, &done);
    assert_int_equal(result->retry_after_s > 0, result->status == SOURCE_BUSY);
}

static struct source *create(void)
{
    settings.settings.type = source_type_find("queue");
    done = 0;
    return source_create(&(struct source_environment){.loop = EV_DEFAULT}, &settings.settings);
}

/* After a reload that adds the first queue source and the Redis, which needs a restart. */
static void test_no_redis(void **state)
{
    struct request_room room;
    struct source *source = create();
    (void)state;
    assert_non_null(source);
    assert_false(source_is_busy(source));
    assert_non_null(source_start(source, requested(&room, "a", NULL, 0), on_done, &done));
    assert_int_equal(done, 0);
    ev_run(EV_DEFAULT, 0);
    assert_int_equal(done, 1);
    assert_int_equal(last, SOURCE_BUSY);
    assert_string_equal(reason, "source \"jobs\": this process has no Redis: restart it");
    source_destroy(source);
}

/* A call may end before its refusal is told; and count as whatever has been found in the cache. */
static void test_cancel(void **state)
{
    struct request_room room;
    struct source *source = create();
    (void)state;
    assert_non_null(source);
    struct source_call *call = source_start(source, requested(&room, "a", NULL, 0), on_done, &done);
    source_cancel(call);
    assert_true(done == 1 && last == SOURCE_CANCELLED);
    call = source_start(source, requested(&room, "a", NULL, 0), on_done, &done);
    source_found(call, SOURCE_OK);
    assert_true(done == 2 && last == SOURCE_CANCELLED);
    call = source_start(source, requested(&room, "a", NULL, 0), on_done, &done);
    source_found(call, SOURCE_FAILED);
    const struct source_tally *tally = source_look(source).tally;
    assert_true(tally->ended[SOURCE_CANCELLED] == 1 && tally->ended[SOURCE_OK] == 1);
    assert_true(tally->ended[SOURCE_FAILED] == 1 && tally->started == 3);
    source_destroy(source);
}

static void test_no_memory(void **state)
{
    (void)state;
    for (long successes = 0;; successes++) {
        struct request_room room;
        alloc_fail_after(successes);
        struct source *source = create();
        struct source_call *call =
            source ? source_start(source, requested(&room, "a", NULL, 0), on_done, &done) : NULL;
        alloc_fail_after(-1);
        if (call)
            source_cancel(call);
        source_destroy(source);
        assert_int_equal(done, call != NULL);
        if (call)
            return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_job),      cmocka_unit_test(test_long_inputs),
        cmocka_unit_test(test_no_redis), cmocka_unit_test(test_job_is_impossible),
        cmocka_unit_test(test_cancel),   cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
