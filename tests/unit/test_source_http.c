/* source/http on a real loop, against a real server in another thread. */
#include "source/http_settings.h"

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <curl/curl.h>

#include "http_bench.h"

/* --- name lookups that hang until they are let go --- */

static pthread_mutex_t lookup_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t lookup_changed = PTHREAD_COND_INITIALIZER;
static unsigned lookups_hanging;
static bool lookups_released;

/* Replaces libc's for libcurl too. The name "hang.test" never resolves. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **result)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (!node || strcmp(node, "hang.test") != 0)
        return real(node, service, hints, result);
    pthread_mutex_lock(&lookup_lock);
    lookups_hanging++;
    while (!lookups_released)
        pthread_cond_wait(&lookup_changed, &lookup_lock);
    lookups_hanging--;
    pthread_cond_broadcast(&lookup_changed);
    pthread_mutex_unlock(&lookup_lock);
    return EAI_AGAIN;
}

/* --- time --- */

static void test_timeout(void **state)
{
    static const char *const names[] = {"hold", "hold-body"};
    struct fixture *fixture = *state;
    open_source(fixture, "http://127.0.0.1:%u/{name}", 0.1, 1);
    for (size_t i = 0; i < LENGTH(names); i++) {
        struct seen running = {0}, queued = {0};
        start(fixture, &running, names[i]);
        start(fixture, &queued, names[i]);
        run_until(is_done, &queued);
        assert_int_equal(running.count, 1);
        assert_int_equal(running.status, SOURCE_TIMED_OUT);
        assert_non_null(strstr(running.reason, ": no complete response within timeout = 0.1s"));
        assert_int_equal(queued.count, 1);
        if (queued.status == SOURCE_BUSY)
            assert_non_null(
                strstr(queued.reason, "no connection was free within timeout = 0.1s (connections"));
        else /* its turn has come just before */
            assert_non_null(strstr(queued.reason, ": no complete response within timeout = 0.1s"));
    }
    upstream_release(fixture->upstream);
}

static bool lookup_hangs(const void *context)
{
    (void)context;
    pthread_mutex_lock(&lookup_lock);
    bool hangs = lookups_hanging > 0;
    pthread_mutex_unlock(&lookup_lock);
    return hangs;
}

/* The loop, a timeout, a cancel and a destroy go on while a lookup hangs: if one of them waited for
 * it, this would never end. */
static void test_hanging_lookup(void **state)
{
    struct fixture *fixture = *state;
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
    if (curl->ares || !(curl->features & CURL_VERSION_ASYNCHDNS))
        skip();

    struct fixture other = {.upstream = fixture->upstream};
    open_source(&other, "http://hang.test:%u/{name}", 0.3, 2);
    struct seen late = {0}, cancelled = {0};
    start(&other, &late, "a");
    start(&other, &cancelled, "b");
    run_until(lookup_hangs, NULL);
    assert_int_equal(call(fixture, "html").status, SOURCE_OK);
    run_until(is_done, &late);
    assert_int_equal(late.status, SOURCE_TIMED_OUT);
    if (cancelled.call)
        source_cancel(cancelled.call);
    assert_int_equal(cancelled.count, 1);

    open_source(&other, "http://hang.test:%u/{name}", 30, 2);
    memset(&cancelled, 0, sizeof cancelled);
    start(&other, &cancelled, "c");
    run_what_is_due();
    source_cancel(cancelled.call);
    assert_int_equal(cancelled.status, SOURCE_CANCELLED);
    source_destroy(other.source);
    assert_int_equal(call(fixture, "html").status, SOURCE_OK);

    pthread_mutex_lock(&lookup_lock);
    lookups_released = true;
    pthread_cond_broadcast(&lookup_changed);
    while (lookups_hanging > 0)
        pthread_cond_wait(&lookup_changed, &lookup_lock);
    pthread_mutex_unlock(&lookup_lock);
}

/* --- many calls --- */

static void test_bounded_connections(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen[50] = {0};
    open_source(fixture, "http://127.0.0.1:%u/{name}", 30, 2);
    for (unsigned i = 0; i < 50; i++)
        start(fixture, &seen[i], i % 5 ? "plain" : "redirect/1");
    for (unsigned i = 0; i < 50; i++)
        run_until(is_done, &seen[i]);
    run_what_is_due();
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(seen[i].count, 1);
        assert_int_equal(seen[i].status, SOURCE_OK);
    }
    assert_int_equal(upstream_requests(fixture->upstream), 50 + 10 * 2);
    assert_true(upstream_most_at_once(fixture->upstream) <= 2);
    assert_true(upstream_connections(fixture->upstream) <= 2);
}

static void test_many_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen[8] = {0}, queued = {0};
    for (unsigned i = 0; i < 8; i++)
        start(fixture, &seen[i], "hold");
    start(fixture, &queued, "plain");
    run_until_held(fixture, 8);
    run_what_is_due();
    assert_int_equal(queued.count, 0);
    upstream_release(fixture->upstream);
    for (unsigned i = 0; i < 8; i++) {
        run_until(is_done, &seen[i]);
        assert_string_equal(seen[i].body, "released");
    }
    run_until(is_done, &queued);
    assert_int_equal(queued.status, SOURCE_OK);
}

static void test_connection_reuse(void **state)
{
    static const char *const names[] = {"html", "404", "500", "204", "redirect/2", "chunked/1000"};
    struct fixture *fixture = *state;
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < LENGTH(names); i++)
            call(fixture, names[i]);
    assert_int_equal(upstream_connections(fixture->upstream), 1);
    assert_int_equal(call(fixture, "close").status, SOURCE_OK);
    assert_int_equal(upstream_connections(fixture->upstream), 1);
    assert_int_equal(call(fixture, "html").status, SOURCE_OK);
    assert_int_equal(upstream_connections(fixture->upstream), 2);
}

/* A flood in one lane does not delay the others, and in each the oldest call is the first. */
static void test_turns(void **state)
{
    static const struct {
        unsigned lane;
        const char *name;
    } calls[] = {{4, "hold"}, {4, "a1"}, {4, "a2"}, {4, "a3"}, {4, "a4"}, {0, "b1"},
                 {0, "b2"},   {9, "c1"}, {4, "a5"}, {0, "b3"}, {2, "d1"}, {2, "d2"}};
    static const char *const order[] = {"a1", "b1", "c1", "a2", "b2", "a3", "b3", "a4", "a5"};
    struct fixture *fixture = *state;
    struct seen seen[LENGTH(calls)] = {0};
    open_source(fixture, "http://127.0.0.1:%u/{name}", 30, 1);
    for (size_t i = 0; i < LENGTH(calls); i++) {
        seen[i].lane = calls[i].lane;
        start(fixture, &seen[i], calls[i].name);
    }
    run_until_held(fixture, 1);
    source_cancel(seen[10].call); /* all that its lane had: its turn is gone */
    source_cancel(seen[11].call);
    upstream_release(fixture->upstream);
    for (size_t i = 0; i < LENGTH(order); i++) {
        struct seen *next = seen;
        while (strcmp(calls[next - seen].name, order[i]) != 0)
            next++;
        assert_row(i, next->count == 0);
        run_until(is_done, next);
        for (size_t k = i + 1; k < LENGTH(order); k++)
            for (size_t j = 0; j < LENGTH(calls); j++)
                if (strcmp(calls[j].name, order[k]) == 0)
                    assert_row(i, seen[j].count == 0);
    }
}

static void test_busy(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen[3] = {0};
    open_source(fixture, "http://127.0.0.1:%u/{name}", 30, 2);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(source_is_busy(fixture->source), i >= 2);
        start(fixture, &seen[i], "hold");
    }
    run_until_held(fixture, 2);
    source_cancel(seen[0].call); /* what is queued takes the place */
    assert_true(source_is_busy(fixture->source));
    run_what_is_due();
    assert_true(source_is_busy(fixture->source));
    source_cancel(seen[1].call);
    assert_false(source_is_busy(fixture->source));
    upstream_release(fixture->upstream);
    run_until(is_done, &seen[2]);
    assert_false(source_is_busy(fixture->source));
}

/* --- cancelling, and `done` that does things --- */

static void test_cancel(void **state)
{
    struct fixture *fixture = *state;
    open_source(fixture, "http://127.0.0.1:%u/{name}", 30, 1);
    struct seen first = {0}, second = {0}, third = {0};

    start(fixture, &first, "html"); /* before anything is sent */
    source_cancel(first.call);
    assert_int_equal(first.status, SOURCE_CANCELLED);
    run_what_is_due();
    assert_int_equal(upstream_requests(fixture->upstream), 0);

    memset(&first, 0, sizeof first);
    start(fixture, &first, "hold-body"); /* amid the body, and one in the queue */
    start(fixture, &second, "hold");
    start(fixture, &third, "html");
    run_until_held(fixture, 1);
    run_what_is_due();
    source_cancel(second.call);
    source_cancel(first.call);
    assert_int_equal(first.status, SOURCE_CANCELLED);
    assert_int_equal(second.status, SOURCE_CANCELLED);
    run_until(is_done, &third); /* takes the place */
    assert_int_equal(third.status, SOURCE_OK);

    memset(&first, 0, sizeof first);
    start(fixture, &first, "hold"); /* in front of the answer */
    run_until_held(fixture, 2);
    source_cancel(first.call);
    run_what_is_due();
    assert_int_equal(first.count, 1);
    assert_int_equal(call(fixture, "html").status, SOURCE_OK);
    assert_int_equal(upstream_connections(fixture->upstream), 3);
}

static bool is_asked_once(const void *context)
{
    const struct fixture *fixture = context;
    return upstream_requests(fixture->upstream) == 1;
}

/* While a call waits to be made again: it ends, and is not made again. */
static void test_cancel_before_a_retry(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {0}, retried = {0};
    fixture->settings.retries = 5;
    start(fixture, &seen, "502");
    run_until(is_asked_once, fixture);
    run_what_is_due();
    assert_int_equal(seen.count, 0);
    source_cancel(seen.call);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.status, SOURCE_CANCELLED);
    fixture->settings.retries = 2;
    start(fixture, &retried, "502");
    run_until(is_done, &retried);
    assert_int_equal(retried.status, SOURCE_FAILED);
    assert_int_equal(upstream_requests(fixture->upstream), 1 + 3);
}

static void test_start_inside_done(void **state)
{
    struct fixture *fixture = *state;
    open_source(fixture, "http://127.0.0.1:%u/{name}", 30, 1);
    struct seen seen[4] = {0};
    static const char *const names[] = {"html", "500", "cut", "plain"};
    for (int i = 0; i < 3; i++) {
        seen[i].starts = &seen[i + 1];
        seen[i].starts_name = names[i + 1];
    }
    start(fixture, &seen[0], names[0]);
    run_until(is_done, &seen[3]);
    for (int i = 0; i < 4; i++)
        assert_int_equal(seen[i].count, 1);
    assert_string_equal(seen[3].body, "hello");

    struct seen cancelled = {0}, after = {0}; /* and inside the `done` of a cancel */
    start(fixture, &cancelled, "hold");
    cancelled.starts = &after;
    cancelled.starts_name = "html";
    source_cancel(cancelled.call);
    run_until(is_done, &after);
    assert_int_equal(after.status, SOURCE_OK);
}

/* One that runs, one that waits for its answer, one that is queued. */
static void test_cancel_inside_done(void **state)
{
    struct fixture *fixture = *state;
    open_source(fixture, "http://127.0.0.1:%u/{name}", 30, 2);
    struct seen held = {0}, first = {0}, queued = {0}, last = {0};
    start(fixture, &held, "hold");
    run_until_held(fixture, 1);
    start(fixture, &first, "html");
    start(fixture, &queued, "html");
    start(fixture, &last, "plain");
    first.cancels[0] = &held;
    first.cancels[1] = &queued;
    run_until(is_done, &last);
    run_what_is_due();
    assert_int_equal(first.status, SOURCE_OK);
    assert_int_equal(held.status, SOURCE_CANCELLED);
    assert_int_equal(queued.status, SOURCE_CANCELLED);
    assert_int_equal(last.status, SOURCE_OK);
    assert_int_equal(held.count + first.count + queued.count + last.count, 4);
}

/* curl rejects all of these at once, so that all are finished when the first one's `done` is
 * called. The url would not pass source_check. */
static void test_cancel_finished_inside_done(void **state)
{
    struct fixture *fixture = *state;
    open_source(fixture, "gopher://127.0.0.1:%u/{name}", 30, 8);
    struct seen seen[4] = {0}, after = {0};
    for (int i = 0; i < 4; i++)
        start(fixture, &seen[i], "a");
    seen[0].cancels[0] = &seen[1];
    seen[0].cancels[1] = &seen[3];
    seen[2].starts = &after;
    seen[2].starts_name = "a";
    run_until(is_done, &after);
    run_what_is_due();
    for (int i = 0; i < 4; i++) {
        assert_int_equal(seen[i].count, 1);
        assert_int_equal(seen[i].status, i % 2 ? SOURCE_CANCELLED : SOURCE_FAILED);
    }
    assert_int_equal(after.status, SOURCE_FAILED);
}

/* --- memory --- */

/* It fails at the first allocation, at the second, and so on until a call succeeds: no request is
 * ever made with a part of a url. */
static void test_no_memory(void **state)
{
    static const struct {
        const char *name, *line;
        unsigned requests;
    } cases[] = {{"html", "GET /html HTTP", 1}, {"redirect/1", "GET /html HTTP", 3}};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        bool ok = false;
        long successes;
        for (successes = 0; !ok; successes++) {
            assert_true(successes < 50);
            open_source(fixture, "http://127.0.0.1:%u/{name}", 30, 1);
            struct seen seen = {.fixture = fixture}, next;
            unsigned before = upstream_requests(fixture->upstream);
            alloc_fail_after(successes);
            seen.call =
                source_start(fixture->source,
                             &(struct source_request){.name = slice_of(cases[i].name), .lane = 3},
                             on_done, &seen);
            if (seen.call) {
                assert_int_equal(seen.count, 0);
                run_until(is_done, &seen);
                ok = seen.status == SOURCE_OK;
                assert_true(ok || seen.status == SOURCE_FAILED);
                assert_true(ok || strstr(seen.reason, "emory"));
                assert_int_equal(seen.count, 1);
            }
            alloc_fail_after(-1);
            unsigned made = upstream_requests(fixture->upstream) - before;
            /* One of a call before, which failed after it was sent, may be counted only now. */
            assert_true(!ok || made >= cases[i].requests);
            assert_true(!ok || upstream_saw(fixture->upstream, cases[i].line));
            next = call(fixture, "html"); /* the source works as before */
            assert_int_equal(next.status, SOURCE_OK);
        }
        assert_true(successes > 6);
    }

    alloc_fail_after(0);
    struct source *source = source_create(&(struct source_environment){.loop = EV_DEFAULT},
                                          &fixture->settings.settings);
    alloc_fail_after(-1);
    assert_null(source);
}

/* Calls that can't begin do not block the loop, even if each one starts the next. */
static void test_no_memory_inside_done(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen[5] = {0};
    call(fixture, "html"); /* its lane is there from now on */
    for (int i = 0; i < 5; i++) {
        seen[i].refused = true;
        seen[i].starts = i < 4 ? &seen[i + 1] : NULL;
        seen[i].starts_name = "html";
    }
    start(fixture, &seen[0], "html");
    for (int i = 0; i < 5; i++) {
        run_until(is_done, &seen[i]);
        assert_true(i == 4 || seen[i + 1].count == 0);
        assert_int_equal(seen[i].status, SOURCE_FAILED);
    }
    run_what_is_due();
    for (int i = 0; i < 5; i++)
        assert_int_equal(seen[i].count, 1);
    assert_int_equal(call(fixture, "html").status, SOURCE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
        TEST(test_timeout),
        TEST(test_hanging_lookup),
        TEST(test_bounded_connections),
        TEST(test_many_at_once),
        TEST(test_connection_reuse),
        TEST(test_turns),
        TEST(test_busy),
        TEST(test_cancel),
        TEST(test_cancel_before_a_retry),
        TEST(test_start_inside_done),
        TEST(test_cancel_inside_done),
        TEST(test_cancel_finished_inside_done),
        TEST(test_no_memory),
        TEST(test_no_memory_inside_done),
    };
    return cmocka_run_group_tests_name("source_http", tests, set_up_group, tear_down_group);
}
