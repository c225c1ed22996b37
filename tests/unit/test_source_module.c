/* source/module: which modules fit, what they are told, and calls that they complete, with a module
 * that is part of this program. */
#include "source/module.h"

#include <stdio.h>
#include <ev.h>

#include "base/alloc.h"
#include "base/counters.h"
#include "requests.h"
#include "source/module_library.h"
#include "source/module_result.h"
#include "unit.h"

/* --- a module --- */

/* What it does and has seen. */
static struct {
    const struct workerless_source *source;
    const struct workerless_result *result; /* of each call, in its start; NULL: it waits */
    size_t opened, closed, started, cancelled;
    uint64_t last; /* call */
    struct workerless_call *call;
    char inputs[200];
} theirs;

static void *their_open(const struct workerless_source *source, char *why, size_t size)
{
    (void)why, (void)size;
    theirs.opened++;
    theirs.source = source;
    return &theirs;
}

static void note_inputs(const struct workerless_call *call)
{
    size_t len = 0;
    for (size_t i = 0; i < call->input_count; i++) {
        const struct workerless_input *input = &call->inputs[i];
        const char *value = input->value.data ? input->value.data : "(none)";
        assert_int_equal(input->name.data[input->name.len], 0);
        len += (size_t)snprintf(theirs.inputs + len, sizeof theirs.inputs - len, "%d:%s=%s ",
                                (int)input->kind, input->name.data, value);
    }
}

static void their_start(void *instance, struct workerless_call *call)
{
    assert_ptr_equal(instance, &theirs);
    theirs.started++;
    theirs.last = call->id;
    theirs.call = call;
    note_inputs(call);
    if (theirs.result)
        theirs.source->host->done(call->id, theirs.result);
}

static void their_cancel(void *instance, struct workerless_call *call)
{
    assert_ptr_equal(instance, &theirs);
    assert_true(call->id == theirs.last);
    theirs.cancelled++;
}

static void their_close(void *instance)
{
    assert_ptr_equal(instance, &theirs);
    theirs.closed++;
}

static const struct workerless_module good = {
    WORKERLESS_MODULE_HEAD, .name = "good",         .open = their_open,
    .start = their_start,   .cancel = their_cancel, .close = their_close,
};

/* --- what fits --- */

static void test_modules_that_fit(void **state)
{
    enum change { NOTHING, OLDER, ABI, SHORTER_RESULT, LONGER_CALL, LONGER, INPUT, NAME, START };
    static const struct {
        enum change change;
        size_t symbol;   /* bytes; 0: unknown */
        const char *why; /* is in it; NULL: it fits */
    } rows[] = {
        {NOTHING, 0, NULL},
        {NOTHING, sizeof good, NULL},
        {NOTHING, sizeof good + 8, NULL},
        {NOTHING, 4, "has only 4 bytes"},
        {NOTHING, sizeof good - 8, "and says that it has"},
        {ABI, sizeof good, "built for version 7 of the interface"},
        {SHORTER_RESULT, sizeof good, "struct workerless_result"},
        {LONGER_CALL, sizeof good, "struct workerless_call"},
        {LONGER, sizeof good, "struct workerless_module"},
        {INPUT, sizeof good, "struct workerless_input"},
        {NAME, sizeof good, "has no name"},
        {START, sizeof good, "has no start"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct workerless_module exported = good, copy;
        char why[MODULE_PROBLEM_ROOM] = "";
        enum change change = rows[i].change;
        exported.abi = change == ABI ? 7 : exported.abi;
        exported.result_size -= change == SHORTER_RESULT ? 8 : 0;
        exported.call_size += change == LONGER_CALL ? 8 : 0;
        exported.size += change == LONGER ? 8 : 0;
        exported.input_size += change == INPUT ? 8 : 0;
        exported.name = change == NAME ? NULL : exported.name;
        exported.start = change == START ? NULL : exported.start;
        bool fits = module_library_judge(&exported, rows[i].symbol, &copy, why);
        assert_row(i, fits == !rows[i].why);
        assert_row(i, fits ? copy.start == their_start : strstr(why, rows[i].why) != NULL);
    }
}

/* --- settings --- */

static void test_settings(void **state)
{
    static const char *const pairs[] = {"a=1", " b.c = x = y ", "d_e-F9 =", "g=\t"};
    static const char *const bad[] = {"", "a", "=a", " = a", "a b = c", "\xc3\xa4 = b", "a\n=b"};
    (void)state;
    for (size_t i = 0; i < LENGTH(pairs); i++)
        assert_row(i, !module_pair_check(pairs[i]));
    for (size_t i = 0; i < LENGTH(bad); i++)
        assert_row(i, module_pair_check(bad[i]));
    struct workerless_setting *settings = module_pairs(pairs, LENGTH(pairs));
    assert_string_equal(workerless_setting(settings, 4, "a", NULL), "1");
    assert_string_equal(workerless_setting(settings, 4, "b.c", NULL), "x = y");
    assert_string_equal(workerless_setting(settings, 4, "d_e-F9", NULL), "");
    assert_string_equal(workerless_setting(settings, 4, "g", NULL), "");
    assert_string_equal(workerless_setting(settings, 4, "h", "none"), "none");
    free(settings);
}

/* --- results --- */

#define FIFTY        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define FIVE_HUNDRED FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY

static void test_results(void **state)
{
    static const struct {
        struct workerless_result given;
        enum source_status status;
        const char *type, *reason; /* the reason has this in it */
    } rows[] = {
        {{.body = "abc", .body_len = 3}, SOURCE_OK, "text/plain", ""},
        {{.body = "0123456789", .body_len = 10}, SOURCE_OK, "text/plain", ""},
        {{.body = "0123456789x", .body_len = 11},
         SOURCE_FAILED,
         "",
         "11 bytes, which is more than"},
        {{.body = NULL, .body_len = 0}, SOURCE_OK, "text/plain", ""},
        {{.body = NULL, .body_len = 1}, SOURCE_FAILED, "", "but no body"},
        {{.body = "a", .body_len = SIZE_MAX}, SOURCE_FAILED, "", "max_body"},
        {{.type = "text/html", .body = "a", .body_len = 1}, SOURCE_OK, "text/html", ""},
        {{.type = "", .body = "a", .body_len = 1}, SOURCE_OK, "", ""},
        {{.type = "application/json"}, SOURCE_OK, "application/json", ""},
        {{.type = "image/png"}, SOURCE_OK, "image/png", ""},
        {{.type = "text/html\n"}, SOURCE_FAILED, "", "not a media type"},
        {{.type = "text/" FIVE_HUNDRED}, SOURCE_FAILED, "", "not a media type"},
        {{.cache_control = "max-age=1"}, SOURCE_OK, "text/plain", ""},
        {{.cache_control = "a\rb"}, SOURCE_FAILED, "", "cache_control"},
        {{.cache_control = FIVE_HUNDRED "x"}, SOURCE_FAILED, "", "cache_control"},
        {{.status = WORKERLESS_NOT_FOUND, .type = "a\n"}, SOURCE_NOT_FOUND, "", "no such fragment"},
        {{.status = WORKERLESS_FAILED, .reason = "on holiday"}, SOURCE_FAILED, "", "on holiday"},
        {{.status = WORKERLESS_FAILED}, SOURCE_FAILED, "", "no reason"},
        {{.status = WORKERLESS_FAILED, .reason = FIVE_HUNDRED FIVE_HUNDRED},
         SOURCE_FAILED,
         "",
         FIFTY},
        {{.status = (enum workerless_status)3},
         SOURCE_FAILED,
         "",
         "status 3, which does not exist"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct module_result *result = module_result_copy(&rows[i].given, 10);
        assert_row(i, result && result->status == rows[i].status);
        assert_slice(i, result->type, slice_of(rows[i].type));
        assert_row(i, strstr(result->reason, rows[i].reason) && strlen(result->reason) <= 500);
        if (result->status == SOURCE_OK)
            assert_row(i, result->body.len == rows[i].given.body_len);
        free(result);
        alloc_fail_after(0);
        assert_row(i, !module_result_copy(&rows[i].given, 10));
        alloc_fail_after(-1);
    }
}

/* --- calls --- */

struct seen {
    size_t count;
    enum source_status status;
    char body[40], reason[200];
    struct source_terms terms;
};

static const struct workerless_result hello = {.body = "hello", .body_len = 5};

static void on_done(void *caller, const struct source_result *result)
{
    struct seen *seen = caller;
    seen->count++;
    seen->status = result->status;
    snprintf(seen->body, sizeof seen->body, "%.*s", SLICE_ARGS(result->body));
    snprintf(seen->reason, sizeof seen->reason, "%s", result->reason ? result->reason : "");
    if (result->terms)
        seen->terms = *result->terms;
}

static struct source *open_module(struct module_settings *settings, double timeout)
{
    memset(&theirs, 0, sizeof theirs);
    *settings = (struct module_settings){.settings = {.type = source_type_find("module"),
                                                      .name = "m",
                                                      .limits = {.connections = 9}},
                                         .timeout = timeout,
                                         .max_body = 10};
    struct source *source = module_new(EV_DEFAULT, settings, &good);
    assert_non_null(source);
    return source;
}

static uint64_t faults(void)
{
    return counter_values[COUNTER_MODULE_FAULTS];
}

/* Calls the type itself, without a guard. */
static struct source_call *start(struct source *source, struct seen *seen)
{
    struct source_request request = {.name = SLICE("a")};
    *seen = (struct seen){0};
    struct source_call *call = source_start(source, &request, on_done, seen);
    assert_non_null(call);
    assert_int_equal(seen->count, 0);
    return call;
}

static void run(void)
{
    for (int i = 0; i < 20; i++)
        ev_run(EV_DEFAULT, EVRUN_NOWAIT);
}

static void test_calls(void **state)
{
    struct module_settings settings;
    struct source *source = open_module(&settings, 30);
    struct seen seen;
    (void)state;
    theirs.result = &hello; /* within start */
    start(source, &seen);
    run();
    assert_true(seen.count == 1 && seen.status == SOURCE_OK);
    assert_string_equal(seen.body, "hello");

    theirs.result = NULL; /* later, and twice */
    start(source, &seen);
    run();
    assert_int_equal(seen.count, 0);
    theirs.source->host->done(theirs.last, &hello);
    theirs.source->host->done(theirs.last, &hello);
    assert_int_equal(seen.count, 0);
    run();
    theirs.source->host->done(theirs.last, &hello);
    run();
    assert_int_equal(seen.count, 1);

    start(source, &seen); /* without a result */
    theirs.source->host->done(theirs.last, NULL);
    run();
    assert_true(seen.count == 1 && seen.status == SOURCE_FAILED);
    assert_string_equal(seen.reason,
                        "source \"m\": the module has completed the call without a result");
    source_destroy(source);
    assert_true(theirs.opened == 1 && theirs.closed == 1 && theirs.cancelled == 0);
    theirs.source = NULL;
}

static void test_cancelled_calls(void **state)
{
    struct module_settings settings;
    struct source *source = open_module(&settings, 30);
    struct seen seen;
    (void)state;
    struct source_call *call = start(source, &seen);
    source_cancel(call);
    assert_true(seen.count == 1 && seen.status == SOURCE_CANCELLED && theirs.cancelled == 1);
    theirs.source->host->done(theirs.last, &hello); /* too late */
    run();
    assert_int_equal(seen.count, 1);

    theirs.result = &hello; /* after the module has completed it */
    call = start(source, &seen);
    source_cancel(call);
    assert_true(seen.count == 1 && seen.status == SOURCE_CANCELLED && theirs.cancelled == 1);
    source_destroy(source); /* while that is still in the queue */
    assert_int_equal(theirs.closed, 1);
}

/* Whatever has happened since, a module without a cancel may complete such a call. */
static void test_cancelled_calls_of_modules_without_cancel(void **state)
{
    struct workerless_module careless = good;
    struct module_settings settings;
    struct seen seen;
    (void)state;
    careless.cancel = NULL;
    source_destroy(open_module(&settings, 30)); /* for the settings */
    struct source *source = module_new(EV_DEFAULT, &settings, &careless);
    source_cancel(start(source, &seen));
    uint64_t before = faults(), cancelled = theirs.last;
    theirs.result = &hello;
    for (int i = 0; i < 1000; i++) {
        start(source, &seen);
        run();
        assert_int_equal(seen.status, SOURCE_OK);
    }
    theirs.source->host->done(cancelled, &hello);
    assert_int_equal(faults(), before);
    theirs.source->host->done(theirs.last, &hello); /* twice */
    theirs.source->host->done(UINT64_MAX, &hello);
    assert_int_equal(faults(), before + 2);
    source_destroy(source);
}

static bool has_ended(const struct seen *seen)
{
    return seen->count > 0;
}

static void test_calls_that_time_out(void **state)
{
    struct module_settings settings;
    struct source *source = open_module(&settings, 0.01);
    struct seen seen;
    (void)state;
    start(source, &seen);
    while (!has_ended(&seen))
        ev_run(EV_DEFAULT, EVRUN_ONCE);
    assert_true(seen.status == SOURCE_TIMED_OUT && theirs.cancelled == 1);
    theirs.source->host->done(theirs.last, &hello);
    run();
    assert_int_equal(seen.count, 1);
    source_destroy(source);
}

static void test_what_a_call_has(void **state)
{
    static const struct slice inputs[] = {SLICE_INIT("query:city=Paris"),
                                          SLICE_INIT("query:none"),
                                          SLICE_INIT("cookie:c="),
                                          SLICE_INIT("header:x-y=z"),
                                          SLICE_INIT("language:en,de=de"),
                                          SLICE_INIT("host=h")};
    static struct request_room room;
    struct module_settings settings;
    struct source *source = open_module(&settings, 30);
    struct seen seen = {0};
    (void)state;
    theirs.result = &(struct workerless_result){.cache_control = "max-age=60"};
    assert_non_null(
        source_start(source, request_of(&room, SLICE("a/b"), SLICE("b"), inputs, LENGTH(inputs)),
                     on_done, &seen));
    assert_string_equal(theirs.call->name.data, "a/b");
    assert_string_equal(theirs.call->rest.data, "b");
    assert_string_equal(theirs.inputs, "0:city=Paris 0:none=(none) 1:c= 2:x-y=z 3:en,de=de 4:=h ");
    assert_string_equal(workerless_input(theirs.call, WORKERLESS_QUERY, "city").data, "Paris");
    assert_string_equal(workerless_input(theirs.call, WORKERLESS_LANGUAGE, NULL).data, "de");
    assert_null(workerless_input(theirs.call, WORKERLESS_HEADER, "city").data);
    double left = theirs.call->deadline - theirs.source->host->now();
    assert_true(left > 20 && left < 31);
    run();
    assert_true(seen.status == SOURCE_OK && seen.terms.fresh_ms == 60000);
    theirs.result = &(struct workerless_result){.cache_control = "private"};
    start(source, &seen);
    run();
    assert_true(seen.terms.sharing == SHARING_FORBIDDEN);
    source_destroy(source);
}

/* Each allocation fails once. */
static void test_without_memory(void **state)
{
    struct module_settings settings;
    (void)state;
    for (long n = 0, failed = 1; failed; n++) {
        struct source *source = open_module(&settings, 30);
        struct source_request request = {.name = SLICE("a")};
        struct seen seen = {0};
        theirs.result = &hello;
        alloc_fail_after(n);
        struct source_call *call = source_start(source, &request, on_done, &seen);
        failed = !call;
        run();
        alloc_fail_after(-1);
        assert_int_equal(seen.count, call ? 1 : 0);
        if (call && seen.status != SOURCE_OK) {
            failed = 1;
            assert_string_equal(seen.reason,
                                "source \"m\": not enough memory for the result of the module");
        }
        source_destroy(source);
    }
    alloc_fail_after(0);
    assert_null(module_new(EV_DEFAULT, &settings, &good));
    alloc_fail_after(1);
    assert_null(module_new(EV_DEFAULT, &settings, &good));
    alloc_fail_after(-1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modules_that_fit),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_results),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_cancelled_calls),
        cmocka_unit_test(test_calls_that_time_out),
        cmocka_unit_test(test_cancelled_calls_of_modules_without_cancel),
        cmocka_unit_test(test_what_a_call_has),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
