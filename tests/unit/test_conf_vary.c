/* conf/: what a fragment depends on. */
#include "conf_bench.h"

struct bad {
    const char *text;
    const char *messages; /* see assert_messages */
};

static void assert_bad(const struct bad *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *messages;
        struct conf *conf = load_bytes(cases[i].text, strlen(cases[i].text), &messages);
        assert_messages(cases[i].text, messages, cases[i].messages);
        assert_null(conf);
        free(messages);
    }
}

/* What is in `vary`, in its order; and the header Vary of responses. */
static void test_vary(void **state)
{
    static const char text[] = SIMULATED
        "fragment a { source = s vary = {\"query:city\", \"language:en,de-CH,zh-Hant-TW-x-a\"}\n"
        "  vary += {'cookie:session', 'header:X-Currency', host} private = yes stream = yes }\n"
        "fragment b { source = s vary = {'query:a:b [c]', 'cookie:a', 'cookie:__Host-b',\n"
        "  'header:authorization', 'query:\xc3\xa9', 'query:host', 'query:language'} }\n"
        "fragment c { source = s vary = {query:q} }\n"
        "fragment d { source = s }\n"
        "fragment e { source = s vary = {header:iffy, header:contents, header:x2} }\n";
    static const struct {
        size_t route, input;
        enum input_kind kind;
        const char *name;
    } rows[] = {
        {0, 0, INPUT_QUERY, "city"},
        {0, 1, INPUT_LANGUAGE, "en,de-CH,zh-Hant-TW-x-a"},
        {0, 2, INPUT_COOKIE, "session"},
        {0, 3, INPUT_HEADER, "x-currency"},
        {0, 4, INPUT_HOST, ""},
        {1, 0, INPUT_QUERY, "a:b [c]"},
        {1, 1, INPUT_COOKIE, "a"},
        {1, 2, INPUT_COOKIE, "__Host-b"},
        {1, 3, INPUT_HEADER, "authorization"},
        {1, 4, INPUT_QUERY, "\xc3\xa9"},
        {1, 5, INPUT_QUERY, "host"},
        {1, 6, INPUT_QUERY, "language"},
        {2, 0, INPUT_QUERY, "q"},
        {4, 0, INPUT_HEADER, "iffy"},
        {4, 1, INPUT_HEADER, "contents"},
        {4, 2, INPUT_HEADER, "x2"},
    };
    static const size_t counts[] = {5, 7, 1, 0, 3};
    static const char *const headers[] = {"Accept-Language, Cookie, X-Currency",
                                          "Cookie, Authorization", "", "", "Iffy, Contents, X2"};
    struct conf *conf = load_good(text);
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct vary *vary = &conf->routes[rows[i].route].recipe.rules.vary;
        assert_true(rows[i].input < vary->count);
        assert_int_equal(vary->inputs[rows[i].input].kind, rows[i].kind);
        assert_true(slice_equal(vary->inputs[rows[i].input].name, slice_of(rows[i].name)));
    }
    for (size_t i = 0; i < COUNT(counts); i++) {
        assert_int_equal(conf->routes[i].recipe.rules.vary.count, counts[i]);
        assert_true(slice_equal(conf->routes[i].vary, slice_of(headers[i])));
        assert_int_equal(conf->routes[i].recipe.rules.is_private, i == 0);
    }
    conf_free(conf);
}

#define VARY(entry) SIMULATED "fragment a { source = s\nvary = {\"" entry "\"} }\n"
#define REFUSED(entry, why)                                                                        \
    {                                                                                              \
        VARY(entry), "3: vary = \"" entry "\": " why                                               \
    }

/* One entry each. */
static void test_bad_vary(void **state)
{
#define KINDS    "must be query:NAME, cookie:NAME, header:NAME, language:TAGS or host"
#define NO_NAME  "the name is missing after the colon"
#define COOKIE   "the name of a cookie may have letters, digits and any of !#$%&'*+-.^_`|~"
#define HEADER   "the name of a header may have letters, digits and '-' here"
#define TAGS     "write language tags with commas and no spaces between, such as language:en,de,pt-BR"
#define OF_LINE  "this header is about the connection, not about the fragment"
#define OF_BODY  "this header is about the request's body, which no source gets"
#define OF_CACHE "clients can't tell this cache what to do, so this header is ignored"
#define OF_CALL  "this header differs between requests; sources get it without `vary`"
    static const struct bad cases[] = {
        REFUSED("", KINDS),
        REFUSED("city", KINDS),
        REFUSED("param:city", KINDS),
        REFUSED("Query:city", KINDS),
        REFUSED("query city", KINDS),
        REFUSED("query", KINDS),
        REFUSED("language", KINDS),
        REFUSED("host:a", KINDS),
        REFUSED("hostname", KINDS),
        REFUSED("query:", NO_NAME),
        REFUSED("cookie:", NO_NAME),
        REFUSED("header:", NO_NAME),
        REFUSED("language:", "the languages are missing, such as language:en,de"),
        {VARY("query:a\\tb"),
         "3: vary = \"query:a\\x09b\": the name of a parameter must not have control characters"},
        REFUSED("cookie:a b", COOKIE), /* RFC 6265 4.1.1 */
        REFUSED("cookie:a=b", COOKIE),
        REFUSED("cookie:a;b", COOKIE),
        REFUSED("cookie:\xc3\xa9", COOKIE),
        REFUSED("header:x y", HEADER), /* RFC 9110 5.1 */
        REFUSED("header:x:", HEADER),
        REFUSED("header:x_y", HEADER),
        REFUSED("header:x.y", HEADER),
        REFUSED("header:host", "write \"host\" instead"),
        REFUSED("header:Cookie",
                "write \"cookie:NAME\" instead, for each cookie that the fragment depends on"),
        REFUSED("header:Accept-Language",
                "write \"language:TAGS\" instead, such as language:en,de"),
        REFUSED("header:accept-encoding",
                "sources are asked for what workerless can decode, not what clients can"),
        REFUSED("header:Connection", OF_LINE), /* RFC 9110 7.6.1 */
        REFUSED("header:keep-alive", OF_LINE),
        REFUSED("header:proxy-connection", OF_LINE),
        REFUSED("header:proxy-authorization", OF_LINE),
        REFUSED("header:te", OF_LINE),
        REFUSED("header:trailer", OF_LINE),
        REFUSED("header:transfer-encoding", OF_LINE),
        REFUSED("header:upgrade", OF_LINE),
        {VARY("header:proxy"), "3: vary = \"header:proxy\": front servers remove this header*"},
        REFUSED("header:content-length", OF_BODY),
        REFUSED("header:Content-Type", OF_BODY),
        REFUSED("header:expect", OF_BODY),
        REFUSED("header:cache-control", OF_CACHE),
        REFUSED("header:pragma", OF_CACHE),
        REFUSED("header:range", "a source is always asked for the complete fragment"),
        REFUSED("header:If-None-Match", "workerless answers conditional requests itself"),
        REFUSED("header:if-range", "workerless answers conditional requests itself"),
        REFUSED("header:traceparent", OF_CALL),
        REFUSED("header:tracestate", OF_CALL),
        REFUSED("header:X-Request-Id", OF_CALL),
        /* RFC 5646 2.1 */
        REFUSED("language:en, de", TAGS),
        REFUSED("language:en;de", TAGS),
        REFUSED("language:e", TAGS),
        REFUSED("language:en_GB", TAGS),
        REFUSED("language:en-", TAGS),
        REFUSED("language:-en", TAGS),
        REFUSED("language:en--GB", TAGS),
        REFUSED("language:en-x", TAGS),
        REFUSED("language:x-a", TAGS),
        REFUSED("language:e1", TAGS),
        REFUSED("language:abcdefghi", TAGS),
        REFUSED("language:en-abcdefghi", TAGS),
        REFUSED("language:*", TAGS),
        REFUSED("language:en,,de", TAGS),
        REFUSED("language:,en", TAGS),
        REFUSED("language:,", "a language tag is missing after the last comma"),
        REFUSED("language:en,", "a language tag is missing after the last comma"),
        REFUSED("language:en,de,EN", "a language is named twice"),
    };
    (void)state;
    assert_bad(cases, COUNT(cases));
}

/* Several entries, and other options. */
static void test_bad_together(void **state)
{
#define WITH(options) SIMULATED "fragment a {\n source = s\n" options "}\n"
#define X5            "header:x1,header:x2,header:x3,header:x4,header:x5"
#define LONG(digit)                                                                                \
    "header:a23456789-123456789-123456789-123456789-123456789-123456789-123456789-123456789-"      \
    "12345678" digit
#define WHO                                                                                        \
    "fragment \"a\": private = \"yes\": nothing in vary identifies the user, so all users "        \
    "would get the same one; add the cookie or header that identifies a user, such as "            \
    "cookie:session or header:authorization"
    static const struct bad cases[] = {
        {WITH("vary = {query:a, cookie:a,\nquery:a}\n"),
         "4: fragment \"a\": vary has \"query:a\" twice"},
        {WITH("vary = {header:x-y, header:X-Y}\n"),
         "4: fragment \"a\": vary has \"header:x-y\" twice"},
        {WITH("vary = {cookie:a}\nvary += {cookie:a}\n"),
         "4: fragment \"a\": vary has \"cookie:a\" twice"},
        {WITH("vary = {host, host}\n"), "4: fragment \"a\": vary has \"host\" twice"},
        {WITH("vary = {'language:en', 'language:de'}\n"),
         "4: fragment \"a\": vary has language twice; write all languages into one entry"},
        {WITH("vary = {host," X5 ",query:1,query:2,query:3,query:4,query:5,query:6,query:7,query:8,"
              "query:9,query:10,query:11}\n"),
         "4: fragment \"a\": vary has 17 entries; at most 16 are possible"},
        {WITH("vary = {" LONG("1") "," LONG("2") "," LONG("3") "," LONG("4") "}\n"),
         "4: fragment \"a\": the headers in vary are too many or too long: all their names "
         "together, for the header Vary of responses, may have 300 bytes"},
        {WITH("private = yes\n"), "4: " WHO},
        {WITH("vary = {query:user, 'language:en,de', host}\nprivate = yes\n"), "5: " WHO},
        {WITH("vary = {query:name}\nstream = yes\n"),
         "5: fragment \"a\": stream = \"yes\": in /fragments the parameter \"name\" is the "
         "fragment's name, so vary can't have query:name"},
        {WITH("vary = {query:a, query:}\nprivate = yes\n"), /* what is left is not judged */
         "4: vary = \"query:\": the name is missing after the colon"},
        {SIMULATED FRAGMENT "vary = {query:a}\n",
         "3: no option \"vary\" at the top level; it belongs in a fragment section"},
        {WITH("private = true\n"), "4: private = \"true\": must be no or yes"},
    };
    (void)state;
    assert_bad(cases, COUNT(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vary),
        cmocka_unit_test(test_bad_vary),
        cmocka_unit_test(test_bad_together),
    };
    return cmocka_run_group_tests_name("conf_vary", tests, make_directory, remove_directory);
}
