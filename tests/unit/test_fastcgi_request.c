/* source/fastcgi_request, fastcgi_script and fastcgi_params: what a FastCGI server is asked. */
#include "source/fastcgi_request.h"

#include <stdio.h>

#include "base/alloc.h"
#include "fastcgi/params.h"
#include "fastcgi/record.h"
#include "requests.h"
#include "source/fastcgi_options.h"
#include "source/fastcgi_params.h"
#include "source/fastcgi_script.h"
#include "unit.h"

#define INPUT_COUNT 6
#define PARAM_COUNT 3

/* Reads the variables of a request as lines "NAME=VALUE\n", those that start with one of the names
 * between commas; and checks the records. */
static void read_variables(struct slice records, const char *only, bool keep, struct buffer *lines)
{
    struct record_decoder decoder = {0};
    struct buffer params = {0};
    struct slice content, name, value, begin = {0};
    unsigned stdin_ends = 0, params_ends = 0;
    for (enum record_event event; (event = record_decode(&decoder, &records, &content));) {
        assert_int_not_equal(event, RECORD_BAD);
        assert_int_equal(decoder.header.request_id, 1);
        if (event == RECORD_CONTENT && decoder.header.type == FCGI_PARAMS)
            unit_append(&params, content.data, content.len);
        else if (event == RECORD_CONTENT)
            begin = content;
        if (event == RECORD_START && decoder.header.content_len == 0) {
            params_ends += decoder.header.type == FCGI_PARAMS;
            stdin_ends += decoder.header.type == FCGI_STDIN;
        }
    }
    assert_int_equal(begin.len, 8);
    assert_int_equal(begin.data[1], FCGI_RESPONDER);
    assert_int_equal(begin.data[2], keep ? FCGI_KEEP_CONN : 0);
    assert_true(stdin_ends == 1 && params_ends == 1 && record_at_boundary(&decoder));
    struct slice pairs = buffer_slice(&params);
    while (params_next(&pairs, &name, &value) == PARAMS_PAIR) {
        char word[200];
        snprintf(word, sizeof word, ",%.*s,", SLICE_ARGS(name));
        if (!strstr(only, word))
            continue;
        unit_append(lines, name.data, name.len);
        unit_append(lines, "=", 1);
        unit_append(lines, value.data, value.len);
        unit_append(lines, "\n", 1);
    }
    assert_int_equal(pairs.len, 0);
    buffer_free(&params);
}

static struct fastcgi_settings settings_with(const char *script, const char *const *params)
{
    struct fastcgi_settings settings = {.socket = "unix:/s", .script = script, .params = params};
    while (settings.param_count < PARAM_COUNT && params[settings.param_count])
        settings.param_count++;
    return settings;
}

#define URI    ",REQUEST_URI,DOCUMENT_URI,QUERY_STRING,"
#define SCRIPT ",SCRIPT_FILENAME,SCRIPT_NAME,DOCUMENT_ROOT,"
#define INPUTS                                                                                     \
    ",HTTP_COOKIE,HTTP_X_CURRENCY,HTTP_AUTHORIZATION,HTTP_ACCEPT_LANGUAGE,HTTP_HOST,"              \
    "SERVER_NAME,HTTP_PROXY,HTTP_X_FORWARDED_HOST,"

static void test_variables(void **state)
{
    static const struct {
        const char *script;
        struct slice name, rest;
        const char *params[PARAM_COUNT];
        struct slice inputs[INPUT_COUNT];
        const char *only, *lines;
    } cases[] = {
        /* The script. */
        {"/srv/app/{name}.php",
         SLICE_INIT("news/today"),
         SLICE_INIT("today"),
         {0},
         {{0}},
         SCRIPT,
         "SCRIPT_FILENAME=/srv/app/news/today.php\nSCRIPT_NAME=/news/today.php\n"
         "DOCUMENT_ROOT=/srv/app\n"},
        {"/srv/app/x-{rest}.php",
         SLICE_INIT("news/today"),
         SLICE_INIT("today"),
         {0},
         {{0}},
         SCRIPT,
         "SCRIPT_FILENAME=/srv/app/x-today.php\nSCRIPT_NAME=/x-today.php\nDOCUMENT_ROOT=/srv/"
         "app\n"},
        {"/srv/{language}/a.php",
         SLICE_INIT("a"),
         SLICE_INIT(""),
         {0},
         {SLICE_INIT("language:en,de=de")},
         SCRIPT,
         "SCRIPT_FILENAME=/srv/de/a.php\nSCRIPT_NAME=/de/a.php\nDOCUMENT_ROOT=/srv\n"},
        {"/srv/index.php",
         SLICE_INIT("a"),
         SLICE_INIT(""),
         {"DOCUMENT_ROOT=/else"},
         {{0}},
         SCRIPT,
         "DOCUMENT_ROOT=/else\nSCRIPT_FILENAME=/srv/index.php\nSCRIPT_NAME=/index.php\n"},
        /* The url: only inputs, percent-encoded, in the order of vary. */
        {"/srv/index.php",
         SLICE_INIT("news/M\xc3\xbc & ?"),
         SLICE_INIT(""),
         {0},
         {SLICE_INIT("query:b=1&x=2"), SLICE_INIT("query:a"), SLICE_INIT("query:c=")},
         URI,
         "REQUEST_URI=/fragment/news/M%C3%BC%20%26%20%3F?b=1%26x%3D2&c=\n"
         "DOCUMENT_URI=/fragment/news/M\xc3\xbc & ?\nQUERY_STRING=b=1%26x%3D2&c=\n"},
        {"/srv/index.php",
         SLICE_INIT("a"),
         SLICE_INIT(""),
         {0},
         {SLICE_INIT("cookie:b=1")},
         URI,
         "REQUEST_URI=/fragment/a\nDOCUMENT_URI=/fragment/a\nQUERY_STRING=\n"},
        /* The other inputs. */
        {"/srv/{name}",
         SLICE_INIT("a"),
         SLICE_INIT(""),
         {0},
         {{0}},
         INPUTS,
         "SERVER_NAME=localhost\n"},
        {"/srv/{name}",
         SLICE_INIT("a"),
         SLICE_INIT(""),
         {0},
         {SLICE_INIT("header:x-currency= EUR "), SLICE_INIT("cookie:b=2"),
          SLICE_INIT("language:en,de=de"), SLICE_INIT("cookie:a=1"), SLICE_INIT("host=h.test:8080"),
          SLICE_INIT("header:authorization=Basic YQ==")},
         INPUTS,
         "HTTP_COOKIE=b=2; a=1\nHTTP_X_CURRENCY=EUR\nHTTP_ACCEPT_LANGUAGE=de\n"
         "HTTP_HOST=h.test:8080\nSERVER_NAME=h.test\nHTTP_AUTHORIZATION=Basic YQ==\n"},
        {"/srv/{name}",
         SLICE_INIT("a"),
         SLICE_INIT(""),
         {0},
         {SLICE_INIT("header:x-currency"), SLICE_INIT("cookie:b"), SLICE_INIT("host")},
         INPUTS,
         "SERVER_NAME=localhost\n"},
        {"/srv/{name}",
         SLICE_INIT("a"),
         SLICE_INIT(""),
         {0},
         {SLICE_INIT("header:x-currency="), SLICE_INIT("cookie:b="), SLICE_INIT("host=[::1]:80")},
         INPUTS,
         "HTTP_COOKIE=b=\nHTTP_X_CURRENCY=\nHTTP_HOST=[::1]:80\nSERVER_NAME=[::1]\n"},
        {"/srv/{name}",
         SLICE_INIT("a"),
         SLICE_INIT(""),
         {0},
         {SLICE_INIT("host=h2")},
         INPUTS,
         "HTTP_HOST=h2\nSERVER_NAME=h2\n"},
        {"/srv/{language}",
         SLICE_INIT("a"),
         SLICE_INIT(""),
         {0},
         {SLICE_INIT("language:en=en")},
         INPUTS,
         "SERVER_NAME=localhost\n"},
        /* params, which replace defaults. */
        {"/srv/{name}",
         SLICE_INIT("a"),
         SLICE_INIT(""),
         {"SERVER_NAME=x", "HTTP_AUTHORIZATION=a = b", "SERVER_PORT="},
         {{0}},
         ",SERVER_NAME,SERVER_PORT,HTTP_AUTHORIZATION,REQUEST_METHOD,",
         "REQUEST_METHOD=GET\nSERVER_NAME=x\nHTTP_AUTHORIZATION=a = b\nSERVER_PORT=\n"},
    };
    static struct request_room room;
    uint64_t random = 1;
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct fastcgi_settings settings = settings_with(cases[i].script, cases[i].params);
        const struct source_request *request =
            request_of(&room, cases[i].name, cases[i].rest, cases[i].inputs, INPUT_COUNT);
        struct fastcgi_request out;
        struct buffer lines = {0};
        settings.keep_connections = i % 2;
        assert_row(i, fastcgi_request_write(&out, &settings, request, &random));
        assert_row(i, !out.refusal && !out.is_conditional);
        read_variables(buffer_slice(&out.records), cases[i].only, i % 2, &lines);
        assert_slice(i, buffer_slice(&lines), slice_of(cases[i].lines));
        buffer_free(&lines);
        fastcgi_request_free(&out);
    }
}

static void test_conditions_and_ids(void **state)
{
    struct fastcgi_settings settings = settings_with("/srv/a", (const char *[]){NULL});
    struct source_request request = {
        .name = SLICE("a"),
        .etag = SLICE("\"1\""),
        .last_modified = SLICE("Sun, 06 Nov 1994 08:49:37 GMT"),
        .request_id = SLICE("id-7"),
        .traceparent = SLICE("00-0123456789abcdef0123456789abcdef-0123456789abcdef-00"),
    };
    struct fastcgi_request out;
    struct buffer lines = {0};
    uint64_t random = 1;
    (void)state;
    assert_true(fastcgi_request_write(&out, &settings, &request, &random));
    assert_true(out.is_conditional);
    read_variables(buffer_slice(&out.records),
                   ",HTTP_IF_NONE_MATCH,HTTP_IF_MODIFIED_SINCE,HTTP_X_REQUEST_ID,HTTP_TRACEPARENT,",
                   false, &lines);
    assert_slice(0, buffer_slice(&lines),
                 SLICE("HTTP_X_REQUEST_ID=id-7\n"
                       "HTTP_TRACEPARENT=00-0123456789abcdef0123456789abcdef-0123456789abcdef-00\n"
                       "HTTP_IF_NONE_MATCH=\"1\"\n"
                       "HTTP_IF_MODIFIED_SINCE=Sun, 06 Nov 1994 08:49:37 GMT\n"));
    buffer_free(&lines);
    fastcgi_request_free(&out);
}

/* Values that must not get there, although others have checked them. */
static void test_refused(void **state)
{
    static const struct {
        const char *script;
        struct slice name;
        struct slice inputs[INPUT_COUNT];
    } cases[] = {
        {"/srv/{name}.php", SLICE_INIT("../x"), {{0}}},
        {"/srv/{name}", SLICE_INIT(".."), {{0}}},
        {"/srv/{name}", SLICE_INIT("a/./b"), {{0}}},
        {"/srv/{name}/x", SLICE_INIT("a/.."), {{0}}},
        {"/srv/.{name}/x", SLICE_INIT("."), {{0}}},
        {"/srv/{name}.x.php", SLICE_INIT("a.php/b"), {{0}}},
        {"/srv/{name}.php", SLICE_INIT("a/b.PHP/c/d"), {{0}}},
        {"/srv/{name}/x.php", SLICE_INIT("a.php"), {{0}}},
        {"/srv/{name}.php", SLICE_INIT(".php/a"), {{0}}},
        {"/srv/{name}.php", SLICE_INIT("a\0"), {{0}}},
        {"/srv/{name}.php", SLICE_INIT("a\nb"), {{0}}},
        {"/srv/{name}.php", SLICE_INIT("a"), {SLICE_INIT("cookie:a=1; b=2")}},
        {"/srv/{name}.php", SLICE_INIT("a"), {SLICE_INIT("header:x=1\r\nY: 2")}},
        {"/srv/{name}.php", SLICE_INIT("a"), {SLICE_INIT("header:x=1\0002")}},
    };
    static struct request_room room;
    uint64_t random = 1;
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct fastcgi_settings settings = settings_with(cases[i].script, (const char *[]){NULL});
        struct fastcgi_request out;
        assert_row(i, fastcgi_request_write(&out, &settings,
                                            request_of(&room, cases[i].name, cases[i].name,
                                                       cases[i].inputs, INPUT_COUNT),
                                            &random));
        assert_row(i, out.refusal && !out.records.data);
        fastcgi_request_free(&out);
    }
}

static void test_scripts(void **state)
{
    static const struct {
        const char *script;
        const char *problem; /* a part of it; NULL: it is fine */
    } cases[] = {
        {"/srv/app/{name}.php", NULL},
        {"/srv/app/{rest}.php", NULL},
        {"/srv/{language}/{name}", NULL},
        {"/srv/index.php", NULL},
        {"/srv/a b/%41.php", NULL},
        {"", "absolute"},
        {"app/{name}.php", "absolute"},
        {"{name}", "absolute"},
        {"/{name}.php", "directory"},
        {"/index.php", "directory"},
        {"/srv/{query:a}.php", "{query:a}"},
        {"/srv/{query}", "{query}"},
        {"/srv/{header:x}", "{header:x}"},
        {"/srv/{cookie:x}", "{cookie:x}"},
        {"/srv/{host}/a.php", "{host}"},
        {"/srv/{nam}.php", "did you mean {name}"},
        {"/srv/{name.php", "}"},
        {"/srv/../{name}.php", "\"..\""},
        {"/srv/./a.php", "\"..\""},
        {"/srv/{name}/..", "\"..\""},
        {"/srv/a\n.php", "control"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const char *problem = fastcgi_script_check(cases[i].script);
        assert_row(i, !problem == !cases[i].problem);
        assert_row(i, !problem || strstr(problem, cases[i].problem));
    }
}

static void test_params(void **state)
{
    static const struct {
        const char *param;
        bool ok;
    } cases[] = {
        {"APP_ENV=production", true},
        {"EMPTY=", true},
        {"A=b=c", true},
        {"lower_1=x", true},
        {"HTTP_ACCEPT=text/html", true},
        {"HTTP_AUTHORIZATION=Bearer x", true},
        {"A", false},
        {"=x", false},
        {"1A=x", false},
        {"A B=x", false},
        {"A-B=x", false},
        {"A=x\ny", false},
        {"A=\x7f", false},
        {"HTTP_PROXY=http://h/", false},
        {"SCRIPT_FILENAME=/x", false},
        {"QUERY_STRING=x", false},
        {"CONTENT_LENGTH=1", false},
        {"HTTP_IF_NONE_MATCH=x", false},
    };
    static const char *const twice[] = {"A=1", "B=2", "A=3"};
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++)
        assert_row(i, !fastcgi_param_check(cases[i].param) == cases[i].ok);
    assert_false(fastcgi_params_repeat(twice, 2));
    assert_true(fastcgi_params_repeat(twice, 3));
    assert_slice(0, fastcgi_param_name("A=b=c"), SLICE("A"));
    assert_slice(0, fastcgi_param_value("A=b=c"), SLICE("b=c"));
}

/* Which routes a source can serve. */
static void test_rules(void **state)
{
    static const struct {
        const char *script;
        const char *params[PARAM_COUNT];
        struct slice inputs[INPUT_COUNT];
        bool ok;
    } cases[] = {
        {"/srv/{name}", {"HTTP_ACCEPT=x"}, {SLICE_INIT("header:x=1")}, true},
        {"/srv/{name}", {"HTTP_X_Y=x"}, {SLICE_INIT("header:x-y=1")}, false},
        {"/srv/{name}", {"HTTP_COOKIE=x"}, {SLICE_INIT("cookie:a=1")}, false},
        {"/srv/{name}", {"HTTP_COOKIE=x"}, {SLICE_INIT("query:a=1")}, true},
        {"/srv/{name}", {"HTTP_HOST=x"}, {SLICE_INIT("host=h")}, false},
        {"/srv/{name}", {"SERVER_NAME=x"}, {SLICE_INIT("host=h")}, true},
        {"/srv/{name}", {"HTTP_ACCEPT_LANGUAGE=x"}, {SLICE_INIT("language:en=en")}, false},
        {"/srv/{language}/a", {0}, {SLICE_INIT("language:en=en")}, true},
        {"/srv/{language}/a", {0}, {SLICE_INIT("query:language=en")}, false},
    };
    static struct request_room room;
    char why[SOURCE_WHY_ROOM];
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct fastcgi_settings settings = settings_with(cases[i].script, cases[i].params);
        request_of(&room, SLICE("a"), SLICE(""), cases[i].inputs, INPUT_COUNT);
        assert_row(i, fastcgi_check_rules(&settings.settings, &room.rules, why) == cases[i].ok);
    }
}

/* A request that is larger than a record. */
static void test_large(void **state)
{
    static char param[70000] = "LONG=";
    struct fastcgi_settings settings = settings_with("/srv/a", (const char *[]){param, NULL});
    struct fastcgi_request out;
    struct buffer lines = {0};
    uint64_t random = 1;
    (void)state;
    memset(param + 5, 'x', sizeof param - 6);
    assert_true(fastcgi_request_write(&out, &settings, &(struct source_request){.name = SLICE("a")},
                                      &random));
    read_variables(buffer_slice(&out.records), ",LONG,", false, &lines);
    assert_int_equal(lines.len, sizeof param);
    assert_memory_equal(lines.data, param, sizeof param - 1);
    buffer_free(&lines);
    fastcgi_request_free(&out);
}

static void test_no_memory(void **state)
{
    static struct request_room room;
    static const struct slice inputs[] = {SLICE_INIT("query:a=1"), SLICE_INIT("cookie:b=2")};
    struct fastcgi_settings settings = settings_with("/srv/{name}", (const char *[]){NULL});
    const struct source_request *request =
        request_of(&room, SLICE("a"), SLICE(""), inputs, LENGTH(inputs));
    uint64_t random = 1;
    bool ok = false;
    (void)state;
    for (long n = 0; !ok; n++) {
        struct fastcgi_request out;
        alloc_fail_after(n);
        ok = fastcgi_request_write(&out, &settings, request, &random);
        alloc_fail_after(-1);
        assert_true(n < 50 && !out.refusal);
        fastcgi_request_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_variables), cmocka_unit_test(test_conditions_and_ids),
        cmocka_unit_test(test_refused),   cmocka_unit_test(test_scripts),
        cmocka_unit_test(test_params),    cmocka_unit_test(test_rules),
        cmocka_unit_test(test_large),     cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("fastcgi_request", tests, NULL, NULL);
}
