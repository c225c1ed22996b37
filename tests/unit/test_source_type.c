/* A type of source that only this program has, made of the code between the two lines below and one
 * row in a table of types: the config reads, checks and prints its options, and its calls run. */
#include "conf_bench.h"

#include <ev.h>

#include "base/alloc.h"
#include "base/option.h"
#include "conf/options.h"
#include "source/source.h"

/* ---- the type's own file would be from here */

struct fixed_settings {
    struct source_settings settings;
    const char *text;
    double delay; /* seconds: not the range that the simulated source has under this name */
    unsigned hands;
    const char *const *redirects; /* a list, as the http source's */
    size_t redirect_count;
};

static const char *check_redirect(const char *text)
{
    return strcmp(text, "home") == 0 ? NULL : "nothing leads there";
}

static const struct option fixed_options[] = {
    {"text", OPTION_STRING, OPTION_AT(struct fixed_settings, text), .required = true,
     .help = "What it gives."},
    {"delay", OPTION_DURATION, OPTION_AT(struct fixed_settings, delay), .preset = "1ms", .min = "0",
     .max = "1s", .help = "When it gives it."},
    {"hands", OPTION_COUNT, OPTION_AT(struct fixed_settings, hands), .preset = "2", .min = "1",
     .max = "10", .help = "How many it has."},
    {"redirects", OPTION_LIST, OPTION_AT(struct fixed_settings, redirects), .check = check_redirect,
     .help = "Where it may lead."},
};

struct fixed_call {
    struct source_call call;
    struct ev_loop *loop;
    ev_timer timer;
    source_done_fn *done;
    void *caller;
};

static const struct fixed_settings *fixed(const struct source_settings *settings)
{
    return (const struct fixed_settings *)settings;
}

static const char *fixed_check(const struct source_settings *settings, const char **option)
{
    *option = "hands";
    if (strlen(fixed(settings)->text) < fixed(settings)->hands)
        return "more hands than letters";
    return NULL;
}

static const char *fixed_lacks_name(const struct source_settings *settings)
{
    return strstr(fixed(settings)->text, "{name}") ? NULL : "text";
}

static size_t fixed_descriptors(const struct source_settings *settings)
{
    return fixed(settings)->hands;
}

static struct source *fixed_create(const struct source_environment *environment,
                                   const struct source_settings *settings)
{
    struct source *source = alloc_zeroed(sizeof *source);
    (void)environment;
    if (source)
        *source = (struct source){.type = settings->type, .settings = settings};
    return source;
}

static void fixed_end(struct fixed_call *call, const struct source_result *result)
{
    ev_timer_stop(call->loop, &call->timer);
    call->done(call->caller, result);
    free(call);
}

static void on_fixed_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct fixed_call *call = timer->data;
    (void)loop, (void)events;
    fixed_end(call,
              &(struct source_result){.status = SOURCE_OK,
                                      .type = SLICE("text/html"),
                                      .body = slice_of(fixed(call->call.source->settings)->text)});
}

static struct source_call *fixed_start(struct source *source, const struct source_request *request,
                                       source_done_fn *done, void *caller)
{
    struct fixed_call *call = alloc_zeroed(sizeof *call);
    (void)request;
    if (!call)
        return NULL;
    call->call.source = source;
    call->loop = EV_DEFAULT;
    call->done = done;
    call->caller = caller;
    ev_timer_init(&call->timer, on_fixed_timer, fixed(source->settings)->delay, 0.);
    call->timer.data = call;
    ev_timer_start(call->loop, &call->timer);
    return &call->call;
}

static void fixed_cancel(struct source_call *call)
{
    fixed_end((struct fixed_call *)call,
              &(struct source_result){.status = SOURCE_CANCELLED, .reason = "cancelled"});
}

static void fixed_destroy(struct source *source)
{
    free(source);
}

static const struct source_type source_type_fixed = {
    .name = "fixed",
    .settings_size = sizeof(struct fixed_settings),
    .options = fixed_options,
    .option_count = COUNT(fixed_options),
    .check = fixed_check,
    .lacks_name = fixed_lacks_name,
    .descriptors = fixed_descriptors,
    .create = fixed_create,
    .start = fixed_start,
    .cancel = fixed_cancel,
    .destroy = fixed_destroy,
};

/* ---- to here, and this is types.c with one row more */

extern const struct source_type source_type_simulated, source_type_http;

const struct source_type *const source_types[] = {
    &source_type_simulated,
    &source_type_http,
    &source_type_fixed,
    NULL,
};

/* ---- tests */

#define FIXED "source \"f\" {\n type = \"fixed\"\n "

static void test_config(void **state)
{
    static const char text[] = SIMULATED "source \"api\" { type = http url = 'http://h/{name}' }\n"
                                         "source \"f\" { hands = 3 redirects = { home, home }\n"
                                         " delay = 20ms text = '<b>{name}</b>' type = fixed }\n"
                                         "source \"g\" { type = \"fixed\" text = \"two\" }\n"
                                         "fragment \"*\" { source = \"f\" }\n";
    struct conf *conf = load_good(text);
    (void)state;
    assert_int_equal(conf->source_count, 4);
    assert_ptr_equal(conf->sources[2]->type, &source_type_fixed);
    assert_string_equal(conf->sources[2]->name, "f");
    const struct fixed_settings *f = fixed(conf->sources[2]), *g = fixed(conf->sources[3]);
    assert_string_equal(f->text, "<b>{name}</b>");
    assert_true(f->delay == 0.02);
    assert_int_equal(f->hands, 3);
    assert_int_equal(f->redirect_count, 2);
    assert_string_equal(f->redirects[1], "home");
    assert_string_equal(g->text, "two");
    assert_true(g->delay == 0.001);
    assert_int_equal(g->hands, 2);
    assert_int_equal(g->redirect_count, 0);
    assert_int_equal(conf->routes[0].recipe.source, 2);
    assert_int_equal(source_descriptors(conf->sources[0]), 0);
    assert_int_equal(source_descriptors(conf->sources[1]), 100);
    assert_int_equal(source_descriptors(conf->sources[2]), 3);
    conf_free(conf);
}

static void test_messages(void **state)
{
    static const char *const cases[][2] = {
        {FIXED "text = abc }\n" FRAGMENT,
         "4: fragment \"a\": no source named \"s\" (there are: f)"},
        {SIMULATED FIXED "delay = 1ms }\n" FRAGMENT, "2: source \"f\": text is missing"},
        {SIMULATED FIXED
         "text = abc\n hands = 11\n delay = 2s\n redirects = { home,\naway } }\n" FRAGMENT,
         "5: hands = \"11\": must be from 1 to 10\n"
         "6: delay = \"2s\": must be from 0 to 1s\n"
         "8: redirects = \"away\": nothing leads there"},
        {SIMULATED FIXED "text = abc\n hands = 4 }\n" FRAGMENT,
         "5: source \"f\": more hands than letters"},
        {SIMULATED FIXED "text = a }\n" FRAGMENT, "2: source \"f\": more hands than letters"},
        {SIMULATED FIXED "text = abc\n url = x }\n" FRAGMENT, "5: url is for sources of type http"},
        {"source s {\n type = simulated\n text = x\n hands = 0\n redirects = { 'cdn.test' "
         "}\n}\n" FRAGMENT,
         "3: text is for sources of type fixed\n"
         "4: hands = \"0\": must be from 1 to 10\n"
         "4: hands is for sources of type fixed\n"
         "5: redirects is for sources of type http or fixed"},
        {SIMULATED FIXED "text = abc\n text = abc }\n" FRAGMENT,
         "5: text is set twice; first in line 4"},
        {SIMULATED "source f { type = fix }\n" FRAGMENT,
         "2: type = \"fix\": must be simulated, http or fixed"},
        {SIMULATED FIXED "text = abc\n hand = 1 }\n" FRAGMENT,
         "5: no option \"hand\" in a source section; did you mean \"hands\"?"},
        {SIMULATED "hands = 1\n" FRAGMENT,
         "2: no option \"hands\" at the top level; it belongs in a source section"},
        {FIXED "text = abc }\nfragment \"a*\" { source = f }\n",
         "4: warning: every name of \"a*\" gets the same result, since the text of source \"f\" "
         "has no {name}; add it in line 3, where the name belongs"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *messages;
        struct conf *conf = load_bytes(cases[i][0], strlen(cases[i][0]), &messages);
        assert_true(!conf == !strstr(cases[i][1], "warning"));
        assert_messages(cases[i][0], messages, cases[i][1]);
        conf_free(conf);
        free(messages);
    }
}

/* At each allocation in turn, of one source whose type is known and one whose type is not. */
static void test_no_memory(void **state)
{
    static const char text[] = "source s { type = other text = x }\n" FIXED
                               "text = abc redirects = { home, home } }\n" FRAGMENT;
    bool enough = false;
    (void)state;
    write_text("t.conf", text);
    for (long successes = 0; !enough; successes++) {
        char *messages;
        alloc_fail_after(successes);
        struct conf *conf = load_file(config, &messages);
        alloc_fail_after(-1);
        assert_null(conf);
        enough = !strstr(messages, "memory");
        free(messages);
    }
}

static void test_help(void **state)
{
    static const char *const lines[] = {
        "\n    type  (required)  (simulated, http or fixed)\n",
        "\n    delay = \"0-3s\"  (0 to 1d)  (type simulated)\n",
        "\n    text  (required)  (type fixed)\n        What it gives.\n",
        "\n    delay = \"1ms\"  (0 to 1s)  (type fixed)\n        When it gives it.\n",
        "\n    hands = 2  (1 to 10)  (type fixed)\n",
        "\n    redirects  (list)  (type http)\n",
        "\n    redirects  (list)  (type fixed)\n        Where it may lead.\n}\n",
    };
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    (void)state;
    assert_non_null(out);
    conf_print_options(out);
    assert_int_equal(fclose(out), 0);
    for (size_t i = 0; i < COUNT(lines); i++)
        if (!strstr(text, lines[i]))
            fail_msg("not printed: %s\nin\n%s", lines[i], text);
    free(text);
}

static void on_done(void *caller, const struct source_result *result)
{
    char *seen = caller;
    snprintf(seen, 20, "%d %.*s", (int)result->status, SLICE_ARGS(result->body));
}

static void test_calls(void **state)
{
    struct conf *conf = load_good(FIXED "text = '<b>' }\nfragment a { source = f }\n");
    char given[20] = "", cancelled[20] = "";
    (void)state;
    struct source *source =
        source_create(&(struct source_environment){.loop = EV_DEFAULT}, conf->sources[0]);
    assert_non_null(source);
    assert_false(source_is_busy(source));
    assert_non_null(
        source_start(source, &(struct source_request){.name = SLICE("a")}, on_done, given));
    struct source_call *call =
        source_start(source, &(struct source_request){.name = SLICE("b")}, on_done, cancelled);
    assert_non_null(call);
    assert_string_equal(given, "");
    source_cancel(call);
    ev_run(EV_DEFAULT, 0);
    char ok[20], gone[20];
    snprintf(ok, sizeof ok, "%d <b>", SOURCE_OK);
    snprintf(gone, sizeof gone, "%d ", SOURCE_CANCELLED);
    assert_string_equal(given, ok);
    assert_string_equal(cancelled, gone);
    source_destroy(source);
    conf_free(conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config),    cmocka_unit_test(test_messages),
        cmocka_unit_test(test_no_memory), cmocka_unit_test(test_help),
        cmocka_unit_test(test_calls),
    };
    int failed =
        cmocka_run_group_tests_name("source type", tests, make_directory, remove_directory);
    ev_loop_destroy(EV_DEFAULT);
    return failed;
}
