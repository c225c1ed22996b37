/* park/stream and web/feed: many fragments for one request, on real flights with a cache and a
 * source by hand. */
#include "park/stream.h"

#include "base/alloc.h"
#include "base/counters.h"
#include "cache/entry.h"
#include "fake_cache.h"
#include "forked.h"
#include "park/fragment.h"
#include "web/feed.h"
#include "web/route.h"

#define FALLBACK "<p>later</p>"

static struct stream *stream; /* the one that is looked at; NULL: the feed is */
static struct feed *feed;
static unsigned settled; /* parts that were waited for */
static bool adding;      /* one, within stream_add */

static void on_ready(void *context)
{
    assert_ptr_equal(context, &settled);
    assert_false(adding);
    settled++;
}

static int setup_with(struct flight_limits limits)
{
    fake_begin(limits);
    settled = 0;
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return setup_with((struct flight_limits){1000, 1000});
}

static int teardown(void **state)
{
    (void)state;
    if (feed)
        feed_free(feed);
    else
        stream_free(stream);
    feed = NULL;
    stream = NULL;
    assert_int_equal(flights_parked(bench->flights), 0);
    fake_end();
    return 0;
}

/* Names and keys are copied. Recipe RECIPES: there is no route. */
static void add(struct stream *to, unsigned recipe, const char *name)
{
    struct slice exact = unit_exact(slice_of(name));
    struct fragment fragment = {.recipe = recipe < RECIPES ? &bench->recipes[recipe] : NULL,
                                .key = exact,
                                .name = exact};
    adding = true;
    stream_add(to, &fragment);
    adding = false;
    unit_drop(exact);
}

/* A stream of these, whose names are of one letter each. */
static struct stream *stream_of(unsigned recipe, const char *letters)
{
    struct stream *made = stream_new(bench->flights, strlen(letters), strlen(letters));
    assert_non_null(made);
    stream_on_ready(made, on_ready, &settled);
    for (; *letters; letters++)
        add(made, recipe, (const char[]){*letters, '\0'});
    return made;
}

/* Lookups find nothing, and the lease is ours. */
static void generate(const char *letters)
{
    for (const char *letter = letters; *letter; letter++)
        answer_outcome(LOOKUP, (const char[]){*letter, '\0'}, CACHE_NONE);
    for (const char *letter = letters; *letter; letter++)
        answer_outcome(CLAIM, (const char[]){*letter, '\0'}, CACHE_OURS);
}

/* All that is ready, in its order: "a=body;" or "a!failure;". */
static const char *ready(void)
{
    static const char *const failures[] = {
        [SETTLED_NOT_FOUND] = "none",   [SETTLED_FAILED] = "failed",   [SETTLED_TIMED_OUT] = "late",
        [SETTLED_SHUTDOWN] = "the end", [SETTLED_REFUSED] = "refused",
    };
    static char text[400];
    const struct stream_part *part;
    size_t len = 0;
    text[0] = '\0';
    while (stream_is_ready(stream)) {
        part = stream_next(stream);
        assert_non_null(part);
        struct slice what =
            part->kind == SETTLED_ENTRY ? part->entry->body : slice_of(failures[part->kind]);
        len +=
            (size_t)snprintf(text + len, sizeof text - len, "%.*s%c%.*s;", SLICE_ARGS(part->name),
                             part->kind == SETTLED_ENTRY ? '=' : '!', SLICE_ARGS(what));
        assert_true(len < sizeof text);
    }
    assert_null(stream_next(stream));
    return text;
}

/* --- the stream --- */

/* They are taken in the order in which they get ready, one by one or many in a turn. */
static void test_order(void **state)
{
    (void)state;
    stream = stream_of(BY_HAND, "abcde");
    assert_false(stream_is_ready(stream) || stream_is_over(stream));
    assert_null(stream_next(stream));
    check_counts(5, 5);
    generate("abcde");
    hand_give(&bench->hand, "d", "D");
    assert_false(stream_is_ready(stream)); /* not before the runner */
    bench_turn(bench);
    assert_string_equal(ready(), "d=D;");
    check_counts(4, 4);
    hand_give(&bench->hand, "e", "E");
    hand_fail(&bench->hand, "a", SOURCE_TIMED_OUT);
    hand_fail(&bench->hand, "c", SOURCE_NOT_FOUND);
    bench_turn(bench);
    assert_false(stream_is_over(stream));
    assert_string_equal(ready(), "e=E;a!late;c!none;");
    hand_fail(&bench->hand, "b", SOURCE_FAILED);
    bench_turn(bench);
    assert_false(stream_is_over(stream)); /* one is left to be taken */
    assert_string_equal(ready(), "b!failed;");
    assert_true(stream_is_over(stream));
    assert_int_equal(settled, 5);
    check_counts(0, 0);
}

/* One that is taken while others get ready behind it. */
static void test_queue(void **state)
{
    (void)state;
    stream = stream_of(BY_HAND, "abc");
    generate("abc");
    hand_give(&bench->hand, "c", "C");
    hand_give(&bench->hand, "b", "B");
    bench_turn(bench);
    assert_slice(0, stream_next(stream)->name, SLICE("c"));
    hand_give(&bench->hand, "a", "A");
    bench_turn(bench);
    assert_string_equal(ready(), "b=B;a=A;");
    assert_true(stream_is_over(stream));
}

/* A repeated name is the same fragment; two streams and a request share its flight. */
static void test_shared(void **state)
{
    (void)state;
    stream = stream_of(BY_HAND, "abaab");
    check_counts(2, 2);
    struct stream *first = stream, *second = stream_of(BY_HAND, "cb");
    check_counts(3, 4);
    stream_free(second);
    check_counts(3, 2);
    generate("abc");
    assert_int_equal(bench->hand.started, 3);
    hand_give(&bench->hand, "b", "B");
    hand_give(&bench->hand, "c", "C"); /* for nobody */
    bench_turn(bench);
    assert_ptr_equal(stream, first);
    assert_string_equal(ready(), "b=B;");
    assert_int_equal(cache.stores, 2);
}

static void test_no_route(void **state)
{
    (void)state;
    stream = stream_new(bench->flights, 3, 3);
    assert_non_null(stream);
    add(stream, RECIPES, "x");
    add(stream, BY_HAND, "b");
    add(stream, RECIPES, "x");
    check_counts(1, 1);
    const struct stream_part *part = stream_next(stream);
    assert_null(part->recipe);
    assert_int_equal(part->kind, SETTLED_NOT_FOUND);
    assert_string_equal(ready(), "");
    assert_false(stream_is_over(stream));
}

/* An entry in memory, even a failure, is ready at once. */
static void test_in_memory(void **state)
{
    static const struct {
        unsigned recipe;
        int64_t left_ms;
        const char *ready;
        size_t flights; /* that refresh it */
    } cases[] = {
        {BY_HAND, LEFT_FRESH, "a=old;", 0},
        {STALE, LEFT_STALE, "a=old;", 1},
        {NEGATIVE, 0, "a!none;", 0},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        setup(NULL);
        struct entry *entry = cases[i].left_ms ? entry_left("old", cases[i].left_ms)
                                               : entry_of_failure(404, clock_fleet_ms(), 1000);
        remember(entry);
        stream = stream_of(cases[i].recipe, "a");
        check_counts(cases[i].flights, 0);
        assert_int_equal(entry->references, 2 + cases[i].flights);
        assert_string_equal(ready(), cases[i].ready);
        assert_true(stream_is_over(stream));
        assert_int_equal(entry->references, 1 + cases[i].flights); /* it is released when taken */
        assert_int_equal(settled, 0);
        teardown(NULL);
    }
}

/* HTML that does not stay in its template is not put into one, wherever it comes from. Events have
 * no need of that. */
static void test_balance(void **state)
{
    static const struct {
        const char *html;
        bool fits;
    } cases[] = {
        {"<p>a</p>", true},   {"<div><p>a</b>", true},    {"", true},
        {"<!-- a", false},    {"<textarea>", false},      {"a</template>", false},
        {"<?marker>", false}, {"<script><!--<b>", false}, {"<template for=x></template>", false},
    };
    enum { FROM_CALL, FROM_SOLO, FROM_STORE, FROM_MEMORY_FIRST, FROM_MEMORY_AGAIN, WAYS };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases) * WAYS * 2; i++) {
        const char *html = cases[i / WAYS / 2].html;
        bool to_templates = i % 2, served = cases[i / WAYS / 2].fits || !to_templates;
        unsigned way = (unsigned)(i / 2 % WAYS), unbalanced = !cases[i / WAYS / 2].fits;
        uint64_t known = counter_values[COUNTER_UNBALANCED];
        uint64_t withheld = counter_values[COUNTER_WITHHELD];
        char expected[100];
        setup(NULL);
        if (way >= FROM_MEMORY_FIRST)
            remember(entry_left(html, LEFT_FRESH));
        if (way == FROM_MEMORY_AGAIN)
            entry_check_balance(cache.remembered);
        stream = stream_new(bench->flights, 1, 1);
        assert_non_null(stream);
        if (to_templates)
            stream_to_templates(stream);
        add(stream, BY_HAND, "a");
        if (way == FROM_STORE) {
            answer_found(LOOKUP, "a", html, LEFT_FRESH);
        } else if (way < FROM_STORE) {
            generate("a");
            if (way == FROM_CALL)
                hand_give(&bench->hand, "a", html);
            else
                hand_give_unshared(&bench->hand, hand_find(&bench->hand, "a"), html);
        }
        bench_turn(bench);
        snprintf(expected, sizeof expected, served ? "a=%s;" : "a!failed;", html);
        assert_string_equal(ready(), expected);
        assert_true(stream_is_over(stream));
        if (cache.remembered)
            assert_int_equal(cache.remembered->references, 1);
        assert_row(i, counter_values[COUNTER_WITHHELD] - withheld == !served);
        assert_row(i, counter_values[COUNTER_UNBALANCED] - known ==
                          (way == FROM_MEMORY_AGAIN           ? 0
                           : way <= FROM_SOLO || to_templates ? unbalanced
                                                              : 0));
        teardown(NULL);
    }
}

/* Cached failures have no HTML; they are as any other failure. */
static void test_failure_in_template(void **state)
{
    (void)state;
    remember(entry_of_failure(502, clock_fleet_ms(), 1000));
    stream = stream_new(bench->flights, 1, 1);
    assert_non_null(stream);
    stream_to_templates(stream);
    add(stream, NEGATIVE, "a");
    assert_int_equal(cache.remembered->balance, ENTRY_UNCHECKED);
    assert_string_equal(ready(), "a!failed;");
}

static void make_flawed(const void *argument)
{
    (void)argument;
    log_configure(LOG_LEVEL_WARNING, false);
    fake_begin((struct flight_limits){100, 100});
    for (int i = 0; i < 40; i++) {
        char name[2] = {(char)('b' + i % 20), '\0'}, html[100];
        snprintf(html, sizeof html, "%*s<textarea>%s", i, "", i < 39 ? "" : "</textarea><!--");
        stream = stream_of(BY_HAND, name);
        generate(name);
        hand_give(&bench->hand, name, html);
        bench_turn(bench);
        stream_free(stream);
    }
    fake_end();
}

/* A flaw is logged once, wherever it is in the results; another one is news. */
static void test_balance_log(void **state)
{
    static const char *const lines[] = {"fragment \"b\": the result has an unclosed <textarea> "
                                        "that begins at line 1, column 1; it is ",
                                        "fragment \"u\": the result has an unclosed comment that "
                                        "begins at line 1, column 61; it is "};
    char said[4000], *at = said;
    (void)state;
    int status = run_forked(make_flawed, NULL, said, sizeof said);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    for (size_t i = 0; i < LENGTH(lines); i++) {
        char *end = strchr(at, '\n');
        assert_non_null(end);
        *end = '\0';
        assert_row(i, strstr(at, lines[i]) != NULL);
        at = end + 1;
    }
    assert_string_equal(at, "");
}

/* Fragments without room fail, and do not affect others; cached ones need no room. */
static void test_bounds(void **state)
{
    static const struct {
        struct flight_limits limits;
        const char *ready;
        size_t flights;
    } cases[] = {
        {{3, 100}, "a=A;", 3},
        {{2, 100}, "a=A;d!refused;", 2},
        {{1, 100}, "a=A;c!refused;d!refused;", 1},
        {{0, 100}, "a=A;b!refused;c!refused;d!refused;", 0},
        {{100, 3}, "a=A;", 3},
        {{100, 2}, "a=A;d!refused;", 2},
        {{100, 0}, "a=A;b!refused;c!refused;d!refused;", 0},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        setup_with(cases[i].limits);
        remember(entry_left("A", LEFT_FRESH));
        stream = stream_of(BY_HAND, "abcd");
        check_counts(cases[i].flights, cases[i].flights);
        assert_string_equal(ready(), cases[i].ready);
        assert_int_equal(stream_is_over(stream), cases[i].flights == 0);
        teardown(NULL);
    }
}

/* It is freed while some wait, some are ready and one is taken: the flights go on, no entry is
 * kept. */
static void test_left(void **state)
{
    struct entry *entries[3];
    (void)state;
    stream = stream_of(BY_HAND, "bcdefg");
    for (size_t i = 0; i < LENGTH(entries); i++) {
        entries[i] = entry_left("x", LEFT_FRESH);
        answer(LOOKUP, (const char[]){(char)('b' + (int)i), '\0'},
               (struct cache_answer){.outcome = CACHE_FOUND, .entry = entries[i]});
    }
    bench_turn(bench);
    assert_non_null(stream_next(stream));
    assert_non_null(stream_next(stream));
    check_counts(3, 3);
    assert_int_equal(entries[0]->references, 1);
    assert_int_equal(entries[1]->references, 2);
    assert_int_equal(entries[2]->references, 2);
    stream_free(stream);
    stream = NULL;
    for (size_t i = 0; i < LENGTH(entries); i++) {
        assert_int_equal(entries[i]->references, 1);
        entry_unref(entries[i]);
    }
    check_counts(3, 0);
    generate("efg");
    hand_give(&bench->hand, "e", "E");
    bench_turn(bench);
    assert_int_equal(cache.stores, 1);
    assert_int_equal(settled, 3);
}

static void test_shutdown(void **state)
{
    (void)state;
    stream = stream_of(BY_HAND, "abc");
    answer_outcome(LOOKUP, "a", CACHE_NONE);
    answer_found(LOOKUP, "b", "B", LEFT_FRESH);
    bench_turn(bench);
    flights_cancel_all(bench->flights);
    assert_string_equal(ready(), "b=B;a!the end;c!the end;");
    assert_true(stream_is_over(stream));
}

/* Lack of memory fails one fragment; the stream fails only if it can't begin. */
static void test_no_memory(void **state)
{
    bool enough = false;
    (void)state;
    for (long successes = 0; !enough; successes++) {
        assert_true(successes < 20);
        setup(NULL);
        alloc_fail_after(successes);
        stream = stream_new(bench->flights, 3, 3);
        if (stream) {
            add(stream, BY_HAND, "b");
            add(stream, RECIPES, "x");
            add(stream, BY_HAND, "c");
        }
        alloc_fail_after(-1);
        assert_int_equal(stream == NULL, successes == 0);
        if (stream) {
            size_t parked = flights_parked(bench->flights);
            enough = parked == 2;
            assert_string_equal(ready(), parked == 2   ? "x!none;"
                                         : parked == 1 ? "x!none;c!refused;"
                                                       : "b!refused;x!none;c!refused;");
            assert_int_equal(stream_is_over(stream), parked == 0);
        }
        teardown(NULL);
    }
}

/* --- the feed --- */

static const struct route routes[RECIPES] = {[STALE_ERROR].fallback = SLICE_INIT(FALLBACK)};

static void feed_of(struct stream *of, enum event_form form)
{
    stream = NULL;
    feed = feed_new(of, routes, form, SLICE(""));
    assert_non_null(feed);
}

/* What it has to write, in rooms of that size. */
static void check_feed(size_t row, size_t room, const char *text)
{
    struct buffer out = {0};
    while (feed_is_ready(feed)) {
        char *piece = malloc(room);
        assert_non_null(piece);
        size_t len = feed_write(feed, piece, room);
        assert_row(row, len > 0 && len <= room); /* an empty record would end the response */
        assert_row(row, len == room || !feed_is_ready(feed));
        unit_append(&out, piece, len);
        free(piece);
    }
    assert_slice(row, buffer_slice(&out), slice_of(text));
    buffer_free(&out);
}

static const size_t rooms[] = {8192, 1, 2, 3, 5, 7, 11, 16, 17, 18, 23, 64};

/* Rooms of all kinds, so that everything ends at the end of one sometimes. */
static void test_feed(void **state)
{
    static const struct {
        enum event_form form;
        const char *first, *second, *third;
    } cases[] = {
        {EVENT_STREAM,
         "event: x:error\ndata: <p class=\"fragment-error\">There is no such fragment.</p>\n"
         "data: \n\nevent: c\ndata: C\ndata: c\n\n",
         "event: b:error\ndata: " FALLBACK "\n\n", "event: d\ndata: D\n\nevent: end\ndata:\n\n"},
        {EVENT_TEMPLATES,
         "<template for=\"x\" data-failed><!--failed--><p class=\"fragment-error\">There is no "
         "such "
         "fragment.</p>"
         "\n</template>\n<template for=\"c\">C\nc</template>\n",
         "<template for=\"b\" data-failed><!--failed-->" FALLBACK "</template>\n",
         "<template for=\"d\">D</template>\n"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases) * LENGTH(rooms); i++) {
        size_t row = i % LENGTH(cases), room = rooms[i / LENGTH(cases)];
        setup(NULL);
        struct stream *of = stream_new(bench->flights, 4, 4);
        assert_non_null(of);
        feed_of(of, cases[row].form);
        add(of, BY_HAND, "c");
        add(of, STALE_ERROR, "b");
        add(of, RECIPES, "x");
        add(of, BY_HAND, "d");
        generate("cbd");
        hand_give(&bench->hand, "c", "C\nc");
        bench_turn(bench);
        check_feed(i, room, cases[row].first);
        assert_false(feed_is_over(feed));
        hand_fail(&bench->hand, "b", SOURCE_FAILED);
        bench_turn(bench);
        check_feed(i, room, cases[row].second);
        hand_give(&bench->hand, "d", "D");
        bench_turn(bench);
        assert_false(feed_is_over(feed));
        check_feed(i, room, cases[row].third);
        assert_true(feed_is_over(feed));
        feed_beat(feed); /* too late */
        assert_false(feed_is_ready(feed));
        teardown(NULL);
    }
}

/* How failures of the source are reported. If the process ends, the client has to ask
 * again, and there is no end. */
static void test_feed_failures(void **state)
{
    static const struct {
        unsigned recipe;
        enum source_status status;
        const char *says;
    } cases[] = {
        {BY_HAND, SOURCE_FAILED, "could not be loaded"},
        {BY_HAND, SOURCE_TIMED_OUT, "took too long"},
        {BY_HAND, SOURCE_BUSY, "is busy"},
        {BY_HAND, SOURCE_NOT_FOUND, "no such fragment"},
        {BY_HAND, SOURCE_CANCELLED, NULL},
        {STALE_ERROR, SOURCE_FAILED, FALLBACK},
        {STALE_ERROR, SOURCE_TIMED_OUT, FALLBACK},
        {STALE_ERROR, SOURCE_BUSY, FALLBACK},
        {STALE_ERROR, SOURCE_NOT_FOUND, "no such fragment"},
        {STALE_ERROR, SOURCE_CANCELLED, NULL},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char text[500];
        feed_of(stream_of(cases[i].recipe, "b"), EVENT_STREAM);
        generate("b");
        hand_fail(&bench->hand, "b", cases[i].status);
        bench_turn(bench);
        text[feed_write(feed, text, sizeof text - 1)] = '\0';
        assert_row(i, strncmp(text, "event: b:error\ndata: <p", cases[i].says ? 23 : 0) == 0);
        assert_row(i, cases[i].says ? strstr(text, cases[i].says) != NULL
                                    : strcmp(text, "retry: 100\nevent: /again\n\n") == 0);
        assert_row(i, feed_is_over(feed));
        feed_free(feed);
        feed = NULL;
    }
}

/* What is not HTML is no part of a page; an event may have any text. */
static void test_feed_of_other_types(void **state)
{
    static const struct {
        const char *type;
        bool event, template;
    } cases[] = {
        {"text/html", true, true},
        {"application/json", true, false},
        {"text/plain", true, false},
        {"image/png", false, false},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        for (int form = EVENT_STREAM; form <= EVENT_TEMPLATES; form++) {
            bool shown = form == EVENT_STREAM ? cases[i].event : cases[i].template;
            char text[500];
            struct entry *entry =
                entry_new(slice_of(cases[i].type), SLICE("<body>"), clock_fleet_ms(), 60000, 0);
            assert_non_null(entry);
            remember(entry);
            struct stream *of = stream_new(bench->flights, 1, 1);
            assert_non_null(of);
            if (form == EVENT_TEMPLATES)
                stream_to_templates(of);
            add(of, STALE_ERROR, "a");
            feed_of(of, (enum event_form)form);
            text[feed_write(feed, text, sizeof text - 1)] = '\0';
            assert_row(i, (strstr(text, "<body>") != NULL) == shown);
            assert_row(i, (strstr(text, FALLBACK) != NULL) == !shown);
            assert_row(i, shown != (strstr(text, form == EVENT_STREAM ? "a:error"
                                                                      : "data-failed") != NULL));
            assert_true(feed_is_over(feed));
            feed_free(feed);
            feed = NULL;
        }
    }
}

/* An entry is held from the first byte of its event to the last, and no longer, even if the event
 * just fits. */
static void test_feed_lets_go(void **state)
{
    char out[64];
    (void)state;
    for (int form = EVENT_STREAM; form <= EVENT_TEMPLATES; form++) {
        size_t len = strlen(form == EVENT_STREAM ? "event: a\ndata: old\n\n"
                                                 : "<template for=\"a\">old</template>\n");
        for (size_t room = 1; room <= len + 1; room++) {
            struct entry *entry = entry_left("old", LEFT_FRESH);
            remember(entry);
            feed_of(stream_of(BY_HAND, "ab"), (enum event_form)form);
            assert_int_equal(entry->references, 2);
            for (size_t written = 0; written < len; written += feed_write(feed, out, room))
                assert_int_equal(entry->references, 2);
            assert_int_equal(entry->references, 1);
            assert_false(feed_is_ready(feed));
            feed_free(feed);
            feed = NULL;
        }
    }
}

/* A heartbeat shows that the stream is alive, if nothing else does, and at the beginning. */
static void test_heartbeat(void **state)
{
    static const struct {
        enum event_form form;
        const char *beat, *event, *end;
    } cases[] = {
        {EVENT_STREAM, ":\n\n", "event: b\ndata: B\n\n",
         "event: c\ndata: C\n\nevent: end\ndata:\n\n"},
        {EVENT_TEMPLATES, "\n", "<template for=\"b\">B</template>\n",
         "<template for=\"c\">C</template>\n"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases) * LENGTH(rooms); i++) {
        size_t row = i % LENGTH(cases), room = rooms[i / LENGTH(cases)];
        setup(NULL);
        feed_of(stream_of(BY_HAND, "bc"), cases[row].form);
        check_feed(i, room, cases[row].beat);
        assert_false(feed_is_ready(feed));
        feed_beat(feed);
        feed_beat(feed);
        check_feed(i, room, cases[row].beat);
        generate("bc");
        feed_beat(feed);
        hand_give(&bench->hand, "b", "B");
        bench_turn(bench);
        check_feed(i, room, cases[row].event); /* it says as much */
        feed_beat(feed);
        check_feed(i, room, cases[row].beat);
        feed_beat(feed);
        hand_give(&bench->hand, "c", "C");
        bench_turn(bench);
        check_feed(i, room, cases[row].end);
        assert_true(feed_is_over(feed));
        teardown(NULL);
    }
}

static void test_feed_no_memory(void **state)
{
    (void)state;
    stream = stream_of(BY_HAND, "b");
    alloc_fail_after(0);
    assert_null(feed_new(stream, routes, EVENT_STREAM, SLICE("Cookie")));
    alloc_fail_after(-1);
    feed_free(NULL);
    stream_free(NULL); /* the one that was not taken is freed after the test */
    check_counts(1, 1);
}

#define on_bench(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

struct room {
    size_t fragments, names_len;
    const char *last; /* of three names */
};

static void fill_up(const void *argument)
{
    const struct room *room = argument;
    struct stream *made = stream_new(bench->flights, room->fragments, room->names_len);
    add(made, RECIPES, "a");
    add(made, RECIPES, "b");
    add(made, RECIPES, "a"); /* takes no room */
    add(made, RECIPES, room->last);
    stream_free(made);
}

/* More names than stream_new was told of are not written beyond the stream. */
static void test_room(void **state)
{
    static const struct {
        struct room room;
        bool aborts;
    } cases[] = {
        {{3, 3, "c"}, false},
        {{3, 4, "cd"}, false},
        {{2, 3, "c"}, true},
        {{3, 3, "cd"}, true},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char said[1000];
        int status = run_forked(fill_up, &cases[i].room, said, sizeof said);
        assert_row(i, forked_was_aborted(status) == cases[i].aborts);
        assert_row(i, !strstr(said, ": stream_add: not true: ") == !cases[i].aborts);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        on_bench(test_order),
        on_bench(test_queue),
        on_bench(test_shared),
        on_bench(test_no_route),
        cmocka_unit_test(test_in_memory),
        cmocka_unit_test(test_balance),
        on_bench(test_failure_in_template),
        cmocka_unit_test(test_balance_log),
        cmocka_unit_test(test_bounds),
        on_bench(test_left),
        on_bench(test_shutdown),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_feed),
        on_bench(test_feed_failures),
        on_bench(test_feed_of_other_types),
        on_bench(test_feed_lets_go),
        cmocka_unit_test(test_heartbeat),
        on_bench(test_feed_no_memory),
        on_bench(test_room),
    };
    log_configure(LOG_LEVEL_ERROR, false);
    return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
