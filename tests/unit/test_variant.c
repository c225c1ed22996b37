/* web/variant: from a request to the values of inputs, and to what they add to the key. */
#include "web/variant.h"

#include "conf/vary.h"
#include "read_key.h"
#include "unit.h"
#include "web/request.h"
#include "web/route.h"

#define PAIRS_MAX 5

struct pair {
    const char *name, *value;
};

/* A request with these variables, in a block that ends with them. */
struct asked {
    struct web_request web;
    struct buffer params;
    struct slice exact, query;
};

static void add_pair(struct buffer *params, struct slice name, struct slice value)
{
    const struct slice both[] = {name, value};
    for (size_t i = 0; i < 2; i++) {
        uint32_t len = (uint32_t)both[i].len;
        unsigned char head[] = {(unsigned char)(len >> 24 | 0x80), (unsigned char)(len >> 16),
                                (unsigned char)(len >> 8), (unsigned char)len};
        unit_append(params, head, 4);
    }
    unit_append(params, name.data, name.len);
    unit_append(params, value.data, value.len);
}

static void ask(struct asked *asked, struct slice query)
{
    asked->exact = unit_exact(buffer_slice(&asked->params));
    asked->query = unit_exact(query);
    asked->web.variables = asked->exact;
    asked->web.query = asked->query;
}

static void drop(struct asked *asked)
{
    unit_drop(asked->exact);
    unit_drop(asked->query);
    buffer_free(&asked->params);
}

/* What `vary` with these entries, with "|" between, is in the config. */
static void vary_of(struct route *route, const char *entries)
{
    char *texts[INPUTS_MAX], wrong[VARY_WRONG_ROOM], *copy = strdup(entries);
    *route = (struct route){.vary_texts = (const char *const *)texts};
    for (char *text = strtok(copy, "|"); text; text = strtok(NULL, "|")) {
        if (vary_check(text))
            fail_msg("\"%s\": %s", text, vary_check(text));
        assert_true(route->vary_text_count < INPUTS_MAX);
        texts[route->vary_text_count++] = strdup(text);
    }
    free(copy);
    if (vary_build(route, wrong))
        fail_msg("\"%s\": %s", entries, wrong);
    const char **kept = malloc(sizeof texts);
    assert_non_null(kept);
    memcpy(kept, texts, sizeof texts);
    route->vary_texts = kept;
}

static void vary_drop(struct route *route)
{
    for (size_t i = 0; i < route->vary_text_count; i++)
        free((char *)route->vary_texts[i]);
    free((void *)route->vary_texts);
    vary_free(route);
}

/* The suffix of the key; its data is NULL if the request is malformed. */
static struct slice suffix_of(const struct variant *variant, char key[VARIANT_KEY_MAX])
{
    size_t len = 0;
    assert_true(variant_append(variant, key, &len));
    return (struct slice){.data = key, .len = len};
}

struct row {
    const char *vary;
    struct slice query;
    struct pair variables[PAIRS_MAX];
    const char *suffix; /* NULL: malformed */
};

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct variant *variant = malloc(sizeof *variant);
        struct asked asked = {0};
        struct route route;
        char key[VARIANT_KEY_MAX];
        assert_non_null(variant);
        vary_of(&route, rows[i].vary);
        for (size_t k = 0; k < PAIRS_MAX && rows[i].variables[k].name; k++)
            add_pair(&asked.params, slice_of(rows[i].variables[k].name),
                     slice_of(rows[i].variables[k].value));
        ask(&asked, rows[i].query);
        bool sound = variant_read(variant, &route.recipe.rules.vary, &asked.web);
        if (sound != (rows[i].suffix != NULL))
            fail_msg("row %zu: sound: %d", i, sound);
        if (sound) {
            assert_slice(i, suffix_of(variant, key), slice_of(rows[i].suffix));
            assert_row(i, read_key_has(suffix_of(variant, key), variant_inputs(variant)));
        }
        drop(&asked);
        vary_drop(&route);
        free(variant);
    }
}

#define QUERY(text)                                                                                \
    SLICE_INIT(text),                                                                              \
    {                                                                                              \
        {                                                                                          \
            NULL, NULL                                                                             \
        }                                                                                          \
    }
#define NO_QUERY SLICE_INIT("")

static void test_query(void **state)
{
    static const struct row rows[] = {
        {"query:city", QUERY(""), "?"},
        {"query:city", QUERY("city=Paris"), "?city=Paris"},
        {"query:city", QUERY("x=1&city=Paris&y=2"), "?city=Paris"},
        /* the first of several; what follows does not even have to be sound */
        {"query:city", QUERY("city=Paris&city=London"), "?city=Paris"},
        {"query:city", QUERY("city=Paris&city=%"), "?city=Paris"},
        {"query:city", QUERY("city=&city=London"), "?city="},
        /* present and empty is not absent */
        {"query:city", QUERY("city="), "?city="},
        {"query:city", QUERY("city"), "?city="},
        {"query:city", QUERY("=city"), "?"},
        {"query:city", QUERY("&&city&&"), "?city="},
        {"query:city", QUERY("City=Paris"), "?"},
        {"query:city", QUERY("cit=Paris&cityx=London"), "?"},
        /* names are decoded, too: URL Standard 5.1 */
        {"query:city", QUERY("%63it%79=Paris"), "?city=Paris"},
        {"query:city", QUERY("%63it%7=Paris"), "?"},
        {"query:f[a]", QUERY("f%5Ba%5D=1"), "?f%5Ba%5D=1"},
        {"query:f[a]", QUERY("f[a]=1"), "?f%5Ba%5D=1"},
        {"query:a b", QUERY("a+b=1"), "?a%20b=1"},
        {"query:a+b", QUERY("a+b=1"), "?"},
        {"query:a+b", QUERY("a%2Bb=1"), "?a+b=1"},
        {"query:a=b", QUERY("a%3Db=1&a=2"), "?a%3Db=1"},
        /* values: decoded, and encoded in one way only */
        {"query:q", QUERY("q=a+b"), "?q=a%20b"},
        {"query:q", QUERY("q=a%20b"), "?q=a%20b"},
        {"query:q", QUERY("q=a%2Bb"), "?q=a+b"},
        {"query:q", QUERY("q=%41%7a"), "?q=Az"},
        {"query:q", QUERY("q=1=2"), "?q=1%3D2"},
        {"query:q", QUERY("q=%26x=1"), "?q=%26x%3D1"},
        {"query:q", QUERY("q=%25"), "?q=%25"},
        {"query:q", QUERY("q=a;b"), "?q=a%3Bb"},
        {"query:q", QUERY("q={}*[]\\?#\"'<>"), "?q=%7B%7D%2A%5B%5D%5C%3F%23%22%27%3C%3E"},
        {"query:q", QUERY("q=%c3%A9\xc3\xa9"), "?q=%C3%A9%C3%A9"},
        {"query:q", QUERY("q=%0d%0A%7F%01"), "?q=%0D%0A%7F%01"},
        {"query:q", QUERY("q=a-._~/:,@+b"), "?q=a-._~/:,@%20b"},
        /* broken: RFC 3986 2.1; a NUL could end a string somewhere */
        {"query:q", QUERY("q=%"), NULL},
        {"query:q", QUERY("q=%4"), NULL},
        {"query:q", QUERY("q=%zz"), NULL},
        {"query:q", QUERY("q=%00"), NULL},
        {"query:q", QUERY("x=%zz&q=1"), "?q=1"},
        /* the order of the config */
        {"query:a|query:b", QUERY("b=2&a=1"), "?a=1&b=2"},
        {"query:b|query:a", QUERY("b=2&a=1"), "?b=2&a=1"},
        {"query:a|query:b", QUERY("b=2"), "?b=2"},
        /* names that could be those of other kinds */
        {"query:language", QUERY("language=de"), "?query:language=de"},
        {"query:host", QUERY("host=a"), "?query:host=a"},
        {"query:Host", QUERY("Host=a"), "?Host=a"},
        {"query:cookie:a", QUERY("cookie:a=1"), "?query:cookie:a=1"},
        {"query:query:a", QUERY("query:a=1"), "?query:query:a=1"},
    };
    (void)state;
    check_rows(rows, LENGTH(rows));
}

static void test_cookies(void **state)
{
#define ABC "?cookie:session=a1062c1b565a45fbad8c0086c7dd75e7"
    static const struct row rows[] = {
        {"cookie:session", NO_QUERY, {{NULL, NULL}}, "?"},
        {"cookie:session", NO_QUERY, {{"HTTP_COOKIE", ""}}, "?"},
        {"cookie:session", NO_QUERY, {{"HTTP_COOKIE", "session=abc"}}, ABC},
        /* RFC 6265 4.2.1 */
        {"cookie:session", NO_QUERY, {{"HTTP_COOKIE", "a=b; session=abc; c=d"}}, ABC},
        {"cookie:session", NO_QUERY, {{"HTTP_COOKIE", "a=b;session=abc;c=d"}}, ABC},
        {"cookie:session", NO_QUERY, {{"HTTP_COOKIE", " \tsession=abc \t;"}}, ABC},
        {"cookie:session", NO_QUERY, {{"HTTP_COOKIE", ";;; ;session=abc"}}, ABC},
        /* names are case-sensitive, and complete */
        {"cookie:session",
         NO_QUERY,
         {{"HTTP_COOKIE", "Session=x; xsession=x; session2=x; session; sessio=x; =session"}},
         "?"},
        /* the first of that name: RFC 6265 5.4, the one with the longest path */
        {"cookie:session", NO_QUERY, {{"HTTP_COOKIE", "session=abc; session=x"}}, ABC},
        /* several variables are one list, in their order: RFC 9113 8.2.3 */
        {"cookie:session",
         NO_QUERY,
         {{"HTTP_COOKIE", "a=b"}, {"HTTP_COOKIE", "session=abc"}, {"HTTP_COOKIE", "session=x"}},
         ABC},
        /* values are as they are, quotes too */
        {"cookie:session",
         NO_QUERY,
         {{"HTTP_COOKIE", "session=\"a b\""}},
         "?cookie:session=bceea370e6c367421b12336415c55a12"},
        {"cookie:session",
         NO_QUERY,
         {{"HTTP_COOKIE", "session=a=b"}},
         "?cookie:session=cf2a83b8cf788b32cdcff9198dfab654"},
        {"cookie:session",
         NO_QUERY,
         {{"HTTP_COOKIE", "session=\xc3\xa9"}},
         "?cookie:session=186fc23736111adae98c60c8dc393a4e"},
        {"cookie:session",
         NO_QUERY,
         {{"HTTP_COOKIE", "session="}},
         "?cookie:session=429129f70029375f8c67c757b6a52553"},
        /* the digest is of the name, too */
        {"cookie:s",
         NO_QUERY,
         {{"HTTP_COOKIE", "s=abc"}},
         "?cookie:s=d1e0e4380b2e1acaf92f5914fe688d87"},
        {"cookie:s|cookie:session",
         NO_QUERY,
         {{"HTTP_COOKIE", "session=abc; s=abc"}},
         "?cookie:s=d1e0e4380b2e1acaf92f5914fe688d87&cookie:session="
         "a1062c1b565a45fbad8c0086c7dd75e7"},
        {"cookie:a#b|query:a", NO_QUERY, {{"HTTP_COOKIE", "a=b"}}, "?"},
        /* control characters */
        {"cookie:session", NO_QUERY, {{"HTTP_COOKIE", "session=a\r\nb"}}, NULL},
        {"cookie:session", NO_QUERY, {{"HTTP_COOKIE", "session=a\tb"}}, NULL},
        {"cookie:session", NO_QUERY, {{"HTTP_COOKIE", "session=\x7f"}}, NULL},
        {"cookie:session", NO_QUERY, {{"HTTP_COOKIE", "x=a\nb; session=abc"}}, ABC},
        /* other variables */
        {"cookie:session", NO_QUERY, {{"COOKIE", "session=x"}, {"HTTP_COOKIE2", "session=x"}}, "?"},
    };
    (void)state;
    check_rows(rows, LENGTH(rows));
}

static void test_headers(void **state)
{
#define CURRENCY "header:x-currency"
    static const struct row rows[] = {
        {CURRENCY, NO_QUERY, {{NULL, NULL}}, "?"},
        {CURRENCY, NO_QUERY, {{"HTTP_X_CURRENCY", "EUR"}}, "?header:x-currency=EUR"},
        {"header:X-Currency", NO_QUERY, {{"HTTP_X_CURRENCY", "EUR"}}, "?header:x-currency=EUR"},
        {"header:x2", NO_QUERY, {{"HTTP_X2", "1"}}, "?header:x2=1"},
        {CURRENCY,
         NO_QUERY,
         {{"HTTP_X-CURRENCY", "a"},
          {"HTTP_x_currency", "b"},
          {"X_CURRENCY", "c"},
          {"HTTP_X_CURRENC", "d"},
          {"HTTP_X_CURRENCYY", "e"}},
         "?"},
        /* blanks around a value, and an empty one: RFC 9110 5.5 */
        {CURRENCY, NO_QUERY, {{"HTTP_X_CURRENCY", " \t EUR\t "}}, "?header:x-currency=EUR"},
        {CURRENCY, NO_QUERY, {{"HTTP_X_CURRENCY", ""}}, "?"},
        {CURRENCY, NO_QUERY, {{"HTTP_X_CURRENCY", " \t"}}, "?"},
        {CURRENCY, NO_QUERY, {{"HTTP_X_CURRENCY", "a \t b"}}, "?header:x-currency=a%20%09%20b"},
        {CURRENCY, NO_QUERY, {{"HTTP_X_CURRENCY", "a\xff"}}, "?header:x-currency=a%FF"},
        /* several are one list: RFC 9110 5.3 */
        {CURRENCY,
         NO_QUERY,
         {{"HTTP_X_CURRENCY", "a"}, {"HTTP_Y", "y"}, {"HTTP_X_CURRENCY", "b, c"}},
         "?header:x-currency=a,%20b,%20c"},
        {CURRENCY,
         NO_QUERY,
         {{"HTTP_X_CURRENCY", "a "}, {"HTTP_X_CURRENCY", " "}, {"HTTP_X_CURRENCY", "b"}},
         "?header:x-currency=a,%20b"},
        {"header:x|header:y",
         NO_QUERY,
         {{"HTTP_X", "1"}, {"HTTP_Y", "2"}, {"HTTP_X", "3"}, {"HTTP_Y", "4"}},
         "?header:x=1,%203&header:y=2,%204"},
        /* control characters: RFC 9110 5.5 */
        {CURRENCY, NO_QUERY, {{"HTTP_X_CURRENCY", "a\rb"}}, NULL},
        {CURRENCY, NO_QUERY, {{"HTTP_X_CURRENCY", "a\nb"}}, NULL},
        {CURRENCY, NO_QUERY, {{"HTTP_X_CURRENCY", "\x1b"}}, NULL},
        {CURRENCY, NO_QUERY, {{"HTTP_X_CURRENCY", "\x7f"}}, NULL},
        {CURRENCY, NO_QUERY, {{"HTTP_Y", "a\nb"}}, "?"},
        /* a header that authenticates is as secret as a cookie */
        {"header:authorization",
         NO_QUERY,
         {{"HTTP_AUTHORIZATION", "Bearer x"}},
         "?header:authorization=a53306bdbdf40e16a8c911c4d3a04eeb"},
        {"header:Authorization",
         NO_QUERY,
         {{"HTTP_AUTHORIZATION", " Bearer x "}},
         "?header:authorization=a53306bdbdf40e16a8c911c4d3a04eeb"},
        {"header:authorization", NO_QUERY, {{"HTTP_AUTHORIZATION", ""}}, "?"},
        {"header:authorization", NO_QUERY, {{"HTTP_AUTHORIZATION", "a\nb"}}, NULL},
    };
    (void)state;
    check_rows(rows, LENGTH(rows));
}

/* The choice itself is in test_language.c. */
static void test_languages(void **state)
{
    static const struct row rows[] = {
        {"language:en,de", NO_QUERY, {{NULL, NULL}}, "?language=en"},
        {"language:en,de", NO_QUERY, {{"HTTP_ACCEPT_LANGUAGE", "de-CH"}}, "?language=de"},
        {"language:en,de", NO_QUERY, {{"HTTP_ACCEPT_LANGUAGE", "fr,*"}}, "?language=en"},
        {"language:en,de-CH", NO_QUERY, {{"HTTP_ACCEPT_LANGUAGE", "DE-ch"}}, "?language=de-CH"},
        {"language:en,de", NO_QUERY, {{"HTTP_ACCEPT_LANGUAGE", "a\r\nb,de;q=0.1"}}, "?language=de"},
        {"language:en,de",
         NO_QUERY,
         {{"HTTP_ACCEPT_LANGUAGE", "fr"}, {"HTTP_ACCEPT_LANGUAGE", "de"}},
         "?language=de"},
        {"language:en,de", NO_QUERY, {{"ACCEPT_LANGUAGE", "de"}}, "?language=en"},
        {"query:language|language:en,de",
         SLICE_INIT("language=fr"),
         {{"HTTP_ACCEPT_LANGUAGE", "de"}},
         "?query:language=fr&language=de"},
    };
    (void)state;
    check_rows(rows, LENGTH(rows));
}

static void test_hosts(void **state)
{
    static const struct row rows[] = {
        {"host", NO_QUERY, {{NULL, NULL}}, "?"},
        {"host", NO_QUERY, {{"HTTP_HOST", ""}}, "?"},
        {"host", NO_QUERY, {{"HTTP_HOST", "shop.example"}}, "?host=shop.example"},
        /* RFC 3986 3.2.2, 6.2.2.1: the case does not count; 3.2.3: the port stays as it is */
        {"host", NO_QUERY, {{"HTTP_HOST", "Shop.EXAMPLE:8080"}}, "?host=shop.example:8080"},
        {"host", NO_QUERY, {{"HTTP_HOST", "shop.example:"}}, "?host=shop.example:"},
        {"host", NO_QUERY, {{"HTTP_HOST", " shop.example "}}, "?host=shop.example"},
        {"host", NO_QUERY, {{"HTTP_HOST", "192.0.2.1"}}, "?host=192.0.2.1"},
        {"host", NO_QUERY, {{"HTTP_HOST", "[2001:DB8::1]:80"}}, "?host=%5B2001:db8::1%5D:80"},
        {"host", NO_QUERY, {{"HTTP_HOST", "a%C3%A9"}}, "?host=a%25c3%25a9"},
        {"host",
         NO_QUERY,
         {{"HTTP_HOST", "a_b!$&'()*+,;=~"}},
         "?host=a_b%21%24%26%27%28%29%2A+,%3B%3D~"},
        {"host", NO_QUERY, {{"HTTP_HOST", "a b"}}, NULL},
        {"host", NO_QUERY, {{"HTTP_HOST", "a/b"}}, NULL},
        {"host", NO_QUERY, {{"HTTP_HOST", "a?b"}}, NULL},
        {"host", NO_QUERY, {{"HTTP_HOST", "a#b"}}, NULL},
        {"host", NO_QUERY, {{"HTTP_HOST", "user@a"}}, NULL},
        {"host", NO_QUERY, {{"HTTP_HOST", "a\\b"}}, NULL},
        {"host", NO_QUERY, {{"HTTP_HOST", "a\"b"}}, NULL},
        {"host", NO_QUERY, {{"HTTP_HOST", "a<b>"}}, NULL},
        {"host", NO_QUERY, {{"HTTP_HOST", "a{b}"}}, NULL},
        {"host", NO_QUERY, {{"HTTP_HOST", "a\r\nX: y"}}, NULL},
        {"host", NO_QUERY, {{"HTTP_HOST", "a\tb"}}, NULL},
        {"host", NO_QUERY, {{"HTTP_HOST", "\xc3\xa9"}}, NULL},
        {"host", NO_QUERY, {{"HTTP_HOST", "a"}, {"HTTP_HOST", "b"}}, NULL}, /* RFC 9110 7.2 */
        {"query:host|host", SLICE_INIT("host=a"), {{"HTTP_HOST", "b"}}, "?query:host=a&host=b"},
        {"host", NO_QUERY, {{"SERVER_NAME", "a"}, {"HTTP_X_FORWARDED_HOST", "b"}}, "?"},
    };
    (void)state;
    check_rows(rows, LENGTH(rows));
}

static void test_all_kinds(void **state)
{
    static const struct row rows[] = {
        {"query:city|language:en,de|cookie:session|header:x-currency|host",
         SLICE_INIT("a=b&city=Paris"),
         {{"HTTP_HOST", "a"},
          {"HTTP_X_CURRENCY", "EUR"},
          {"HTTP_COOKIE", "session=1"},
          {"HTTP_ACCEPT_LANGUAGE", "de"}},
         "?city=Paris&language=de&cookie:session=1fe4c3b51bc6c9738514a1e3bb0d847e"
         "&header:x-currency=EUR&host=a"},
        {"host|header:x-currency|cookie:session|language:en,de|query:city",
         SLICE_INIT(""),
         {{"HTTP_HOST", "a"}},
         "?host=a&language=en"},
    };
    (void)state;
    check_rows(rows, LENGTH(rows));
}

/* A NUL in a variable. */
static void test_nul(void **state)
{
    static const struct {
        const char *vary, *name;
        struct slice value;
        bool sound;
    } rows[] = {
        {"cookie:session", "HTTP_COOKIE", SLICE_INIT("session=a\0b"), false},
        {"header:x", "HTTP_X", SLICE_INIT("\0"), false},
        {"header:authorization", "HTTP_AUTHORIZATION", SLICE_INIT("a\0"), false},
        {"host", "HTTP_HOST", SLICE_INIT("a\0b"), false},
        {"language:en,de", "HTTP_ACCEPT_LANGUAGE", SLICE_INIT("de\0"), true},
    };
    static struct variant variant;
    (void)state;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct asked asked = {0};
        struct route route;
        vary_of(&route, rows[i].vary);
        add_pair(&asked.params, slice_of(rows[i].name), rows[i].value);
        ask(&asked, SLICE(""));
        assert_row(i,
                   variant_read(&variant, &route.recipe.rules.vary, &asked.web) == rows[i].sound);
        drop(&asked);
        vary_drop(&route);
    }
}

/* At each limit, and one byte over it. */
static void test_limits(void **state)
{
    static const struct {
        const char *vary, *name, *before; /* before the value that is as long as can be */
        size_t most;
    } rows[] = {
        {"query:q", NULL, "q=", 256},
        {"cookie:session", "HTTP_COOKIE", "a=b; session=", 4096},
        {"header:x", "HTTP_X", "", 256},
        {"header:authorization", "HTTP_AUTHORIZATION", "", 4096},
        {"language:en,de", "HTTP_ACCEPT_LANGUAGE", "", 1024},
        {"host", "HTTP_HOST", "", 256},
    };
    static struct variant variant;
    (void)state;
    for (size_t i = 0; i < LENGTH(rows) * 2; i++) {
        size_t row = i / 2, most = rows[row].most + i % 2;
        struct buffer text = {0};
        struct asked asked = {0};
        struct route route;
        vary_of(&route, rows[row].vary);
        unit_append(&text, rows[row].before, strlen(rows[row].before));
        for (size_t k = 0; k < most; k++)
            unit_append(&text, "x", 1);
        if (rows[row].name)
            add_pair(&asked.params, slice_of(rows[row].name), buffer_slice(&text));
        ask(&asked, rows[row].name ? SLICE("") : buffer_slice(&text));
        assert_row(row,
                   variant_read(&variant, &route.recipe.rules.vary, &asked.web) == (i % 2 == 0));
        drop(&asked);
        vary_drop(&route);
        buffer_free(&text);
    }
}

/* Several variables of the same header count together. */
static void test_joined_limit(void **state)
{
    static struct variant variant;
    struct route route;
    char half[128];
    (void)state;
    memset(half, 'x', sizeof half);
    vary_of(&route, "header:x");
    for (size_t len = 126; len <= 127; len++) {
        struct asked asked = {0};
        add_pair(&asked.params, SLICE("HTTP_X"), (struct slice){.data = half, .len = 128});
        add_pair(&asked.params, SLICE("HTTP_X"), (struct slice){.data = half, .len = len});
        ask(&asked, SLICE(""));
        assert_row(len,
                   variant_read(&variant, &route.recipe.rules.vary, &asked.web) == (len == 126));
        drop(&asked);
    }
    vary_drop(&route);
}

/* Name and inputs together have VARIANT_KEY_MAX bytes at most. */
static void test_key_limit(void **state)
{
    struct variant *variant = malloc(sizeof *variant);
    struct route route;
    char *key = malloc(VARIANT_KEY_MAX);
    (void)state;
    assert_non_null(variant);
    assert_non_null(key);
    vary_of(&route, "query:a|query:b");
    for (size_t escaped = 0; escaped <= 256; escaped++) {
        struct asked asked = {0};
        struct buffer query = {0};
        unit_append(&query, "a=", 2);
        for (size_t i = 0; i < 256; i++)
            unit_append(&query, "{", 1);
        unit_append(&query, "&b=", 3);
        for (size_t i = 0; i < escaped; i++)
            unit_append(&query, "x", 1);
        ask(&asked, buffer_slice(&query));
        size_t suffix = strlen("?a=&b=") + 256 * 3 + escaped;
        bool sound = variant_read(variant, &route.recipe.rules.vary, &asked.web);
        assert_row(escaped, sound || suffix > VARIANT_KEY_MAX);
        for (size_t name = 1; sound && name <= ROUTE_KEY_MAX; name++) {
            size_t len = name;
            bool fits = variant_append(variant, key, &len);
            assert_row(name, fits == (name + suffix <= VARIANT_KEY_MAX));
            assert_row(name, len == (fits ? name + suffix : name));
        }
        drop(&asked);
        buffer_free(&query);
    }
    vary_drop(&route);
    free(variant);
    free(key);
}

/* All values together fit into INPUTS_PACKED_MAX, or are refused. */
static void test_packed_limit(void **state)
{
    static struct variant variant;
    struct route route;
    struct buffer cookie = {0};
    (void)state;
    vary_of(&route, "cookie:a|cookie:b");
    for (size_t len = 4086; len <= 4096; len++) {
        struct asked asked = {0};
        cookie.len = 0;
        for (int i = 0; i < 2; i++) {
            unit_append(&cookie, i ? ";b=" : "a=", i ? 3 : 2);
            for (size_t k = 0; k < len; k++)
                unit_append(&cookie, "x", 1);
        }
        add_pair(&asked.params, SLICE("HTTP_COOKIE"), buffer_slice(&cookie));
        ask(&asked, SLICE(""));
        assert_row(len, variant_read(&variant, &route.recipe.rules.vary, &asked.web) ==
                            (2 * (3 + len) <= INPUTS_PACKED_MAX));
        drop(&asked);
    }
    buffer_free(&cookie);
    vary_drop(&route);
}

/* Random requests: the key says exactly what the source gets, so two different sets of inputs never
 * share one. */
static void test_keys_differ(void **state)
{
    static const char *const varies[] = {
        "query:a|query:b|query:host|query:language",
        "query:query:a|query:cookie:a|query:a=b|query:a&b|query:%61|cookie:a|header:a",
        "host|language:en,de|query:host|header:x-y|cookie:host|cookie:language",
        "header:a|header:b|header:authorization|query:a|query:b",
    };
    static const char *const names[] = {"HTTP_COOKIE",       "HTTP_A",    "HTTP_B",
                                        "HTTP_X_Y",          "HTTP_HOST", "HTTP_ACCEPT_LANGUAGE",
                                        "HTTP_AUTHORIZATION"};
    static const char bytes[] = "ab=&;%:?{}*[]\\# \t\x80\xff+2563D,\"/de";
    static struct variant variant;
    char key[VARIANT_KEY_MAX];
    int sound = 0;
    (void)state;
    for (int round = 0; round < 20000; round++) {
        struct route route;
        struct asked asked = {0};
        struct buffer query = {0};
        vary_of(&route, varies[unit_random(LENGTH(varies))]);
        for (size_t i = unit_random(5); i > 0; i--) {
            char value[12];
            size_t len = unit_random(sizeof value);
            for (size_t k = 0; k < len; k++)
                value[k] = bytes[unit_random(sizeof bytes - 1)];
            add_pair(&asked.params, slice_of(names[unit_random(LENGTH(names))]),
                     (struct slice){.data = value, .len = len});
        }
        for (size_t i = unit_random(20); i > 0; i--)
            unit_append(&query, &bytes[unit_random(sizeof bytes - 1)], 1);
        ask(&asked, buffer_slice(&query));
        if (variant_read(&variant, &route.recipe.rules.vary, &asked.web)) {
            sound++;
            assert_row(round, read_key_has(suffix_of(&variant, key), variant_inputs(&variant)));
        }
        drop(&asked);
        vary_drop(&route);
        buffer_free(&query);
    }
    assert_true(sound > 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query),        cmocka_unit_test(test_cookies),
        cmocka_unit_test(test_headers),      cmocka_unit_test(test_languages),
        cmocka_unit_test(test_hosts),        cmocka_unit_test(test_all_kinds),
        cmocka_unit_test(test_nul),          cmocka_unit_test(test_limits),
        cmocka_unit_test(test_joined_limit), cmocka_unit_test(test_key_limit),
        cmocka_unit_test(test_packed_limit), cmocka_unit_test(test_keys_differ),
    };
    return cmocka_run_group_tests_name("variant", tests, NULL, NULL);
}
