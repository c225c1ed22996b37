/* source/forward: inputs as header fields, and which routes an http source can serve. */
#include "source/forward.h"

#include <stdio.h>

#include "base/alloc.h"
#include "requests.h"
#include "unit.h"

#define INPUT_COUNT 5

static void test_fields(void **state)
{
    static const struct {
        const char *template;
        const char *fields; /* NULL: there are none */
        struct slice inputs[INPUT_COUNT];
    } cases[] = {
        {"http://h/", NULL, {{0}}},
        {"http://h/", NULL, {SLICE_INIT("query:a=1")}},
        {"http://h/", "Cookie: a=1\n", {SLICE_INIT("cookie:a=1")}},
        {"http://h/", "x-cur: EUR\n", {SLICE_INIT("header:x-cur=EUR")}},
        {"http://h/", "Accept-Language: de\n", {SLICE_INIT("language:en,de=de")}},
        {"http://h/", "X-Forwarded-Host: h.test:8080\n", {SLICE_INIT("host=h.test:8080")}},
        /* All cookies in one field (RFC 6265 section 5.4), the others in the order of vary. */
        {"http://h/",
         "Cookie: b=2; a=1\nx-b: 2\nX-Forwarded-Host: h\n",
         {SLICE_INIT("header:x-b=2"), SLICE_INIT("cookie:b=2"), SLICE_INIT("query:q=1"),
          SLICE_INIT("cookie:a=1"), SLICE_INIT("host=h")}},
        /* Absent and empty. */
        {"http://h/",
         NULL,
         {SLICE_INIT("cookie:a"), SLICE_INIT("header:b"), SLICE_INIT("language:en"),
          SLICE_INIT("host")}},
        {"http://h/",
         "Cookie: a=\nb;\nAccept-Language;\nX-Forwarded-Host;\n",
         {SLICE_INIT("cookie:a="), SLICE_INIT("header:b="), SLICE_INIT("language:en="),
          SLICE_INIT("host=")}},
        {"http://h/", "Cookie: c=3\n", {SLICE_INIT("cookie:a"), SLICE_INIT("cookie:c=3")}},
        /* What the url names is not sent again. */
        {"http://h/{header:X-Cur}", NULL, {SLICE_INIT("header:x-cur=EUR")}},
        {"http://h/{header:x}", "y: 2\n", {SLICE_INIT("header:x=1"), SLICE_INIT("header:y=2")}},
        {"http://h/{language}?h={host}",
         NULL,
         {SLICE_INIT("language:en=en"), SLICE_INIT("host=h")}},
        {"http://h/{query:a}",
         "Cookie: a=1\na: 2\n",
         {SLICE_INIT("cookie:a=1"), SLICE_INIT("header:a=2")}},
        /* These are part of a value, and end nothing. */
        {"http://h/",
         "Cookie: a=b c, d=\"e&#\\; f=1\n",
         {SLICE_INIT("cookie:a=b c, d=\"e&#\\"), SLICE_INIT("cookie:f=1")}},
        {"http://h/", "x: a: b; c, d&#\t\"e\"\n", {SLICE_INIT("header:x=a: b; c, d&#\t\"e\"")}},
        {"http://h/", "x: M\xc3\xbcnchen\xff\n", {SLICE_INIT("header:x=M\xc3\xbcnchen\xff")}},
        /* Blanks around it are none (RFC 9110 section 5.5). */
        {"http://h/", "x: a b\n", {SLICE_INIT("header:x= \ta b\t ")}},
        {"http://h/", "x;\n", {SLICE_INIT("header:x= \t")}},
    };
    static struct request_room room;
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const struct source_request *request =
            request_of(&room, SLICE("n"), SLICE(""), cases[i].inputs, INPUT_COUNT);
        char *fields = NULL;
        const char *why = NULL;
        enum forward_result result = forward_fields(cases[i].template, request, &fields, &why);
        assert_row(i, !why && result == (cases[i].fields ? FORWARD_FIELDS : FORWARD_NOTHING));
        assert_slice(i, slice_of(fields), slice_of(cases[i].fields));
        free(fields);
    }
}

/* A value with any of these is never sent. */
static void test_refused(void **state)
{
    static const char *const kinds[] = {"cookie:a=", "header:a=", "language:a=", "host="};
    static struct request_room room;
    (void)state;
    for (size_t k = 0; k < LENGTH(kinds); k++) {
        for (int byte = 0; byte < 256; byte++) {
            char text[32];
            int len = snprintf(text, sizeof text, "%sx%cy", kinds[k], '?');
            text[len - 2] = (char)byte;
            const struct slice inputs[] = {SLICE("header:b=1"), {text, (size_t)len}};
            bool control = (byte < ' ' && byte != '\t') || byte == 0x7f;
            bool refused = control || (k == 0 && byte == ';');
            char *fields = NULL;
            const char *why = NULL;
            enum forward_result result =
                forward_fields("http://h/", request_of(&room, SLICE("n"), SLICE(""), inputs, 2),
                               &fields, &why);
            if (result != (refused ? FORWARD_REFUSED : FORWARD_FIELDS) || !why == refused)
                fail_msg("%s with byte %d: %d", kinds[k], byte, (int)result);
            if (refused)
                assert_non_null(strstr(why, control ? "control character" : "semicolon"));
            free(fields);
        }
    }
    /* In the url each byte is encoded. */
    const struct slice named = SLICE("header:a=\r\n");
    char *fields = NULL;
    const char *why = NULL;
    assert_int_equal(forward_fields("http://h/{header:a}",
                                    request_of(&room, SLICE("n"), SLICE(""), &named, 1), &fields,
                                    &why),
                     FORWARD_NOTHING);
}

static void test_no_memory(void **state)
{
    static char value[1000] = "header:a=";
    static struct request_room room;
    memset(value + 9, 'x', sizeof value - 9);
    const struct slice inputs[] = {SLICE("cookie:a=1"), {value, sizeof value}};
    const struct source_request *request = request_of(&room, SLICE("n"), SLICE(""), inputs, 2);
    enum forward_result result = FORWARD_NO_MEMORY;
    (void)state;
    for (long successes = 0; result != FORWARD_FIELDS; successes++) {
        char *fields = NULL;
        const char *why = NULL;
        assert_true(successes < 10);
        alloc_fail_after(successes);
        result = forward_fields("http://h/", request, &fields, &why);
        alloc_fail_after(-1);
        assert_row(successes, (result == FORWARD_NO_MEMORY) == (successes < 2));
        assert_row(successes, !fields == (result == FORWARD_NO_MEMORY));
        free(fields);
    }
}

static void test_check(void **state)
{
    static const struct {
        const char *template;
        const char *why; /* NULL: it fits */
        struct slice inputs[INPUT_COUNT];
    } cases[] = {
        {"http://h/{name}/{rest}?{query}", NULL, {{0}}},
        {"http://h/{query:a}/{language}/{host}/{header:X}",
         NULL,
         {SLICE_INIT("query:a"), SLICE_INIT("language:en"), SLICE_INIT("host"),
          SLICE_INIT("header:x")}},
        {"http://h/{query:city}",
         "whose url has {query:city}; add \"query:city\" to its vary",
         {{0}}},
        {"http://h/{query:city}",
         "whose url has {query:city}; add \"query:city\" to its vary",
         {SLICE_INIT("query:City"), SLICE_INIT("header:city"), SLICE_INIT("cookie:city")}},
        {"http://h/?a={query:a}&b={header:b}",
         "whose url has {header:b}; add \"header:b\" to its vary",
         {SLICE_INIT("query:a")}},
        {"http://h/{language}",
         "whose url has {language}; add \"language:TAGS\" to its vary",
         {SLICE_INIT("header:accept-language")}},
        {"http://h/{host}", "whose url has {host}; add \"host\" to its vary", {{0}}},
        {"http://h/{query:city", NULL, {{0}}}, /* reported for the source */
        {"http://h/", NULL, {SLICE_INIT("header:accept"), SLICE_INIT("cookie:accept")}},
        {"http://h/", NULL, {SLICE_INIT("query:a b;&")}},
        /* One field, one input. */
        {"http://h/",
         "to which two inputs would be sent as the header \"accept-language\"; remove one from its "
         "vary",
         {SLICE_INIT("language:en"), SLICE_INIT("header:accept-language")}},
        {"http://h/",
         "to which two inputs would be sent as the header \"X-Forwarded-Host\"; remove one from "
         "its vary",
         {SLICE_INIT("header:x-forwarded-host"), SLICE_INIT("host")}},
        {"http://h/{language}",
         NULL,
         {SLICE_INIT("language:en"), SLICE_INIT("header:accept-language")}},
        {"http://h/",
         NULL,
         {SLICE_INIT("cookie:a"), SLICE_INIT("cookie:b"), SLICE_INIT("query:a")}},
    };
    static struct request_room room;
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char why[SOURCE_WHY_ROOM] = "";
        request_of(&room, SLICE("n"), SLICE(""), cases[i].inputs, INPUT_COUNT);
        bool ok = forward_check(cases[i].template, &room.rules, why);
        assert_row(i, ok == !cases[i].why);
        assert_slice(i, slice_of(why), cases[i].why ? slice_of(cases[i].why) : SLICE(""));
    }
}

static void test_uses_field(void **state)
{
    static const struct {
        const char *template, *name;
        bool uses;
        struct slice inputs[INPUT_COUNT];
    } cases[] = {
        {"http://h/", "Cookie", true, {SLICE_INIT("query:a"), SLICE_INIT("cookie:a")}},
        {"http://h/", "Accept-language", true, {SLICE_INIT("language:en")}},
        {"http://h/", "x-forwarded-host", true, {SLICE_INIT("host")}},
        {"http://h/", "X-Cur", true, {SLICE_INIT("header:x-cur")}},
        {"http://h/{header:x-cur}", "X-Cur", false, {SLICE_INIT("header:x-cur")}},
        {"http://h/", "a", false, {SLICE_INIT("query:a"), SLICE_INIT("cookie:a")}},
        {"http://h/", "", false, {{0}}},
    };
    static struct request_room room;
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        request_of(&room, SLICE("n"), SLICE(""), cases[i].inputs, INPUT_COUNT);
        assert_row(i, forward_uses_field(cases[i].template, &room.rules, slice_of(cases[i].name)) ==
                          cases[i].uses);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),     cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_memory),  cmocka_unit_test(test_check),
        cmocka_unit_test(test_uses_field),
    };
    return cmocka_run_group_tests_name("forward", tests, NULL, NULL);
}
