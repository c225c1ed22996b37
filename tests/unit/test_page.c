/* web/page, web/assembly and the feed of a page: which bytes are written when, however small the
 * pieces are, and without memory. */
#include "web/page.h"

#include "base/budget.h"
#include "fake_cache.h"
#include "fastcgi/params.h"
#include "render/skeleton.h"
#include "web/client_list.h"
#include "web/feed.h"
#include "web/service.h"

#define HOLD 0.01 /* seconds */

static const struct client_list nobody;
static struct route routes[] = {{.pattern = "a*", .stream = true},
                                {.pattern = "b*", .stream = true},
                                {.pattern = "closed"}};
static struct page pages[] = {{.path = "/page", .hold = HOLD}, {.path = "/other/*", .hold = HOLD}};
static struct users users;
static struct service *service;
static struct feed *feed;
static unsigned woken; /* how often on_ready was called */

static void on_ready(void *context)
{
    assert_ptr_equal(context, &woken);
    woken++;
}

static void on_gone(struct users *of)
{
    fail_msg("%p has no users", (void *)of);
}

static void begin(const char *text)
{
    struct skeleton_problem problem;
    char *copy = alloc_copy(text, strlen(text));
    fake_begin((struct flight_limits){1000, 1000});
    for (size_t i = 0; i < LENGTH(routes); i++)
        routes[i].recipe = bench->recipes[i];
    pages[0].skeleton = skeleton_read((struct slice){.data = copy, .len = strlen(text)}, &problem);
    assert_non_null(pages[0].skeleton);
    users = (struct users){.count = 1, .gone = on_gone};
    pages[0].users = &users;
    service = service_new(&(struct site){.routes = routes,
                                         .route_count = LENGTH(routes),
                                         .pages = pages,
                                         .page_count = LENGTH(pages),
                                         .purge = &nobody,
                                         .status = &nobody,
                                         .max_stream = 10},
                          bench->flights);
    assert_non_null(service);
    woken = 0;
}

static void end(void)
{
    feed_free(feed);
    feed = NULL;
    assert_int_equal(users.count, 1);
    assert_int_equal(flights_parked(bench->flights), 0);
    service_free(service);
    skeleton_free(pages[0].skeleton);
    fake_end();
}

/* Requests the page. Returns 0, or the status that it is refused with. */
static int ask(const char *agent)
{
    char variables[200];
    size_t len = params_encode_short(variables, SLICE("HTTP_USER_AGENT"), slice_of(agent));
    struct web_request web = {.method = SLICE("GET"),
                              .document_uri = SLICE("/page"),
                              .variables = {.data = variables, .len = len}};
    struct waiter_address who = {4711, 77, 1};
    union answer answer;
    if (service_start(service, &web, &who, &answer) != ANSWER_FEED)
        return answer.response.status;
    feed = answer.feed;
    feed_on_ready(feed, on_ready, &woken);
    return 0;
}

/* Writes what there is, in rooms of that size; the text has to be exactly this. */
static void check_feed(size_t room, const char *text)
{
    struct buffer out = {0};
    while (feed_is_ready(feed)) {
        char *piece = malloc(room);
        assert_non_null(piece);
        size_t len = feed_write(feed, piece, room);
        assert_true(len <= room && (len == room || !feed_is_ready(feed)));
        unit_append(&out, piece, len);
        free(piece);
    }
    assert_slice(room, buffer_slice(&out), slice_of(text));
    buffer_free(&out);
}

/* "b" is ready now. */
static void give(const char *name, const char *html)
{
    hand_give(&bench->hand, name, html);
    bench_turn(bench);
}

/* Lets the flights ask their source, which waits for the test. */
static void start_calls(void)
{
    answer_all();
    bench_turn(bench);
}

static const size_t rooms[] = {8192, 1, 2, 3, 5, 7, 11, 16, 17, 18, 23, 64};

#define PATCHES   "X Chrome/150.0"
#define NO_PATCH  "X Firefox/150.0"
#define MARK(x)   "<?start name=\"" x "\">L<?end>"
#define FAILED(x) "<!--failed-->" x

static void test_patching(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(rooms); i++) {
        begin("1" MARK("a") "2" MARK("b")
                  MARK("b2") "3<?marker name=\"none\">" MARK("closed") "4</body>5");
        remember(entry_left("<p>A</p>", LEFT_FRESH));
        assert_int_equal(ask(PATCHES), 0);
        assert_int_equal(users.count, 2);
        check_feed(rooms[i],
                   "1<p>A</p>2" MARK("b") MARK("b2") "3<?marker name=\"none\">" MARK("closed") "4");
        start_calls();
        give("b2", "B2");
        check_feed(rooms[i], "<template for=\"b2\">B2</template>\n");
        feed_beat(feed);
        check_feed(rooms[i], "<!---->");
        assert_false(feed_is_over(feed));
        give("b", "B");
        check_feed(rooms[i], "<template for=\"b\">B</template>\n</body>5");
        assert_true(feed_is_over(feed));
        assert_int_equal(woken, 2);
        end();
    }
}

static void test_waiting_in_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(rooms); i++) {
        begin("1" MARK("b") "2" MARK("b2") "3" MARK("a") "4");
        remember(entry_left("<p>A</p>", LEFT_FRESH));
        pages[0].hold = 60;
        assert_int_equal(ask(NO_PATCH), 0);
        check_feed(rooms[i], "1");
        start_calls();
        give("b2", "B2");
        check_feed(rooms[i], "");
        feed_beat(feed);
        check_feed(rooms[i], "<!---->");
        give("b", "B");
        check_feed(rooms[i], "B2B23<p>A</p>4");
        assert_true(feed_is_over(feed));
        pages[0].hold = HOLD;
        end();
    }
}

/* What was written is not held while the page waits for the next one. */
static void test_waiting_holds_nothing(void **state)
{
    (void)state;
    begin("1" MARK("b") "2" MARK("b2") "3");
    pages[0].hold = 60;
    assert_int_equal(ask(NO_PATCH), 0);
    check_feed(8192, "1");
    start_calls();
    size_t unsent = feed_unsent(feed);
    give("b", "B");
    assert_true(feed_unsent(feed) > unsent);
    check_feed(8192, "B2");
    assert_int_equal(feed_unsent(feed), unsent);
    assert_int_equal(budgets[BUDGET_UNSENT].used, unsent);
    pages[0].hold = HOLD;
    end();
}

/* The hold is for the whole page. */
static void test_hold_over(void **state)
{
    (void)state;
    begin("1" MARK("b") "2" MARK("b2") "3");
    assert_int_equal(ask(NO_PATCH), 0);
    check_feed(8192, "1");
    start_calls();
    woken = 0;
    while (woken == 0)
        ev_run(bench->loop, EVRUN_ONCE);
    check_feed(8192, MARK("b") "2" MARK("b2") "3");
    give("b", "");
    give("b2", "B2");
    check_feed(8192, "<template for=\"b\"></template>\n<template for=\"b2\">B2</template>\n");
    assert_true(feed_is_over(feed));
    end();
}

static void test_failures(void **state)
{
    (void)state;
    for (int patches = 0; patches < 2; patches++) {
        begin("1" MARK("b") "2" MARK("b2") "3");
        routes[1].fallback = SLICE("later");
        assert_int_equal(ask(patches ? PATCHES : NO_PATCH), 0);
        check_feed(8192, patches ? "1" MARK("b") "2" MARK("b2") "3" : "1");
        start_calls();
        hand_fail(&bench->hand, "b", SOURCE_FAILED);
        bench_turn(bench);
        check_feed(8192, patches
                             ? "<template for=\"b\" data-failed>" FAILED("later") "</template>\n"
                             : FAILED("later") "2");
        give("b2", "<b>B");
        check_feed(8192, patches ? "<template for=\"b2\"><b>B</template>\n"
                                 : MARK("b2") "3<template for=\"b2\"><b>B</template>\n");
        assert_true(feed_is_over(feed));
        routes[1].fallback = (struct slice){0};
        end();
    }
}

static void test_shutdown(void **state)
{
    (void)state;
    for (int patches = 0; patches < 2; patches++) {
        begin("1" MARK("b") "2</body>");
        assert_int_equal(ask(patches ? PATCHES : NO_PATCH), 0);
        check_feed(8192, patches ? "1" MARK("b") "2" : "1");
        flights_cancel_all(bench->flights);
        check_feed(8192, patches ? "</body>" : MARK("b") "2</body>");
        assert_true(feed_is_over(feed));
        end();
    }
}

/* At any moment. */
static void test_leaving(void **state)
{
    (void)state;
    for (size_t moment = 0; moment < 4; moment++) {
        char out[20];
        begin("1" MARK("a") "2" MARK("b") "3");
        remember(entry_left("<p>A</p>", LEFT_FRESH));
        assert_int_equal(ask(moment & 1 ? PATCHES : NO_PATCH), 0);
        if (moment > 1)
            assert_in_range(feed_write(feed, out, moment), 1, moment);
        end();
    }
}

static void test_heads(void **state)
{
    char head[FEED_HEAD_MAX + 1];
    (void)state;
    begin("<link rel=preload href=x as=style>" MARK("a"));
    for (int warm = 0; warm < 2; warm++) {
        if (warm)
            remember(entry_left("<p>A</p>", LEFT_FRESH));
        assert_int_equal(ask(PATCHES), 0);
        head[feed_write_head(feed, clock_fleet_ms(), head)] = '\0';
        if (warm)
            assert_non_null(strstr(head, "Cache-Control: max-age="));
        else
            assert_string_equal(head, "Status: 200 OK\r\n"
                                      "Content-Type: text/html; charset=utf-8\r\n"
                                      "X-Accel-Buffering: no\r\n"
                                      "Cache-Control: no-store\r\n"
                                      "Link: <x>; rel=\"preload\"; as=\"style\"\r\n\r\n");
        feed_free(feed);
        feed = NULL;
    }
    end();
}

/* Memory fails from the n-th allocation on: the page is refused, or fragments are missing. */
static void test_no_memory(void **state)
{
    bool enough = false;
    (void)state;
    for (long successes = 0; !enough; successes++) {
        assert_true(successes < 60);
        begin("1" MARK("b") "2" MARK("b2") "3");
        alloc_fail_after(successes);
        int status = ask(PATCHES);
        alloc_fail_after(-1);
        assert_true(status == 0 || status == 503);
        enough = status == 0 && flights_parked(bench->flights) == 2;
        if (status == 0) {
            start_calls();
            while (bench->hand.calls)
                hand_give(&bench->hand, bench->hand.calls->name, "x");
            bench_turn(bench);
            char out[1000];
            size_t len = feed_write(feed, out, sizeof out);
            assert_true(feed_is_over(feed) && len > 2 && out[0] == '1');
        }
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patching),
        cmocka_unit_test(test_waiting_in_order),
        cmocka_unit_test(test_waiting_holds_nothing),
        cmocka_unit_test(test_hold_over),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_shutdown),
        cmocka_unit_test(test_leaving),
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_no_memory),
    };
    log_configure(LOG_LEVEL_ERROR, false);
    return cmocka_run_group_tests_name("page", tests, NULL, NULL);
}
