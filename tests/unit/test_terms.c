/* source/terms: what a response says about sharing, its lifetime and its validators, one row a
 * rule; and the dates, directives and dictionaries that it is said with. */
#include "source/terms.h"

#include <stdio.h>

#include "source/date.h"
#include "source/structured.h"
#include "unit.h"

#define NOW_S      784111777 /* Sun, 06 Nov 1994 08:49:37 GMT */
#define NOW_DATE   "Date: Sun, 06 Nov 1994 08:49:37 GMT\n"
#define AN_HOUR_ON "Expires: Sun, 06 Nov 1994 09:49:37 GMT\n"

/* Feeds the fields, "Name: value" lines, each from a block of its own. */
static struct source_terms read_fields(struct terms_reader *reader, const char *fields)
{
    while (*fields) {
        const char *colon = strchr(fields, ':'), *end = strchr(fields, '\n');
        assert_true(colon && end && colon < end);
        struct slice name = {fields, (size_t)(colon - fields)};
        struct slice value = {colon + 1, (size_t)(end - colon - 1)};
        struct slice exact_name = unit_exact(name), exact_value = unit_exact(value);
        terms_field(reader, exact_name, exact_value);
        unit_drop(exact_name);
        unit_drop(exact_value);
        fields = end + 1;
    }
    return terms_end(reader);
}

/* --- storability --- */

static const struct input shop_inputs[] = {
    {INPUT_HEADER, SLICE_INIT("x-currency")},
    {INPUT_COOKIE, SLICE_INIT("session")},
    {INPUT_LANGUAGE, SLICE_INIT("en,de")},
    {INPUT_HOST, SLICE_INIT("")},
};
static const struct input token_inputs[] = {{INPUT_HEADER, SLICE_INIT("authorization")}};

enum { PLAIN, SHOP, PRIVATE, TOKEN, AUTHORIZED, PRIVATE_AUTHORIZED, IGNORES };
static const struct source_rules routes[] = {
    [PLAIN] = {.vary.count = 0},
    [SHOP] = {.vary = {shop_inputs, LENGTH(shop_inputs)}},
    [PRIVATE] = {.vary = {shop_inputs, LENGTH(shop_inputs)}, .is_private = true},
    [IGNORES] = {.ignores_origin = true},
    [TOKEN] = {.vary = {token_inputs, LENGTH(token_inputs)}},
    [AUTHORIZED] = {.vary = {token_inputs, LENGTH(token_inputs)}},
    [PRIVATE_AUTHORIZED] = {.vary = {token_inputs, LENGTH(token_inputs)}, .is_private = true},
};

static void test_sharing(void **state)
{
    static const struct {
        int route;
        const char *fields, *why; /* why: what it begins with; NULL: it may be shared */
    } cases[] = {
        {PLAIN, "", NULL},
        {PLAIN, "X-Thing: no-store\n", NULL},
        /* RFC 6265 3: it is for one client */
        {PLAIN, "Set-Cookie: a=1\n", "Set-Cookie"},
        {PLAIN, "set-cookie: \n", "Set-Cookie"},
        {PLAIN, "Cache-Control: public, max-age=60\nSet-Cookie: a=1\n", "Set-Cookie"},
        {SHOP, "Set-Cookie: a=1\n", "Set-Cookie"},
        {PRIVATE, "Set-Cookie: a=1\n", "Set-Cookie"},
        /* RFC 9111 5.2.2.5: no-store */
        {PLAIN, "Cache-Control: no-store\n", "no-store"},
        {PLAIN, "Cache-Control: No-Store\n", "no-store"},
        {PLAIN, "cache-control: max-age=60, no-store\n", "no-store"},
        {PLAIN, "Cache-Control: must-understand, no-store\n", "no-store"},
        {PLAIN, "Cache-Control: max-age=60\nCache-Control: no-store\n", "no-store"},
        {PRIVATE, "Cache-Control: private, no-store\n", "no-store"},
        /* RFC 9111 5.2.2.4: no-cache, qualified or not */
        {PLAIN, "Cache-Control: no-cache\n", "no-cache"},
        {PLAIN, "Cache-Control: no-cache=\"set-cookie\"\n", "no-cache"},
        {PLAIN, "Cache-Control: no-cache=set-cookie, max-age=60\n", "no-cache"},
        {PRIVATE, "Cache-Control: no-cache\n", "no-cache"},
        {PLAIN, "Pragma: no-cache\n", NULL}, /* RFC 9111 5.4: of requests only */
        /* RFC 9111 5.2.2.7: private, qualified or not */
        {PLAIN, "Cache-Control: private\n", "private"},
        {PLAIN, "Cache-Control: max-age=60,private=\"x-user\"\n", "private"},
        {SHOP, "Cache-Control: private\n", "private"},
        {PRIVATE, "Cache-Control: private\n", NULL},
        {PRIVATE, "Cache-Control: private, max-age=60\n", NULL},
        /* RFC 9111 5.2: quoted strings, unknown directives, and what is not in the syntax */
        {PLAIN, "Cache-Control: x=\"private, no-store\", max-age=60\n", NULL},
        {PLAIN, "Cache-Control: x=\"a\\\", private, \\\"b\"\n", NULL},
        {PLAIN, "Cache-Control: x=\"a\\\\\", private\n", "private"},
        {PLAIN, "Cache-Control: x=\"no end, private\n", "private"},
        {PLAIN, "Cache-Control: community=UCI, privately, no-stored, x-private\n", NULL},
        {PLAIN, "Cache-Control: ,, ,private,\n", "private"},
        {PLAIN, "Cache-Control: max-age=60; private\n", "private"},
        {PLAIN, "Cache-Control: max-age=60 private\n", "private"},
        {PLAIN, "Cache-Control: \tprivate\t\n", "private"},
        {PLAIN, "Cache-Control: \"private\"\n", "private"},
        {PLAIN, "Cache-Control: \n", NULL},
        /* RFC 9111 4.1, RFC 9110 12.5.5: Vary */
        {PLAIN, "Vary: *\n", "\"Vary: *\""},
        {PLAIN, "Vary: Accept-Encoding, *\n", "\"Vary: *\""},
        {PRIVATE, "Vary: *\n", "\"Vary: *\""},
        {PLAIN, "Vary: Accept-Encoding\n", NULL}, /* we decode */
        {PLAIN, "Vary: accept-encoding,ACCEPT-ENCODING\n", NULL},
        {PLAIN, "Vary: \n", NULL},
        {PLAIN, "Vary: Origin\n", "\"Vary: Origin\" (add \"header:Origin\" to its vary)"},
        {PLAIN, "Vary: Accept-Encoding\nVary: Origin\n", "\"Vary: Origin\""},
        {PLAIN, "Vary: Cookie\n", "\"Vary: Cookie\" (add \"cookie:NAME\" to its vary)"},
        {PLAIN, "Vary: Accept-Language\n",
         "\"Vary: Accept-Language\" (add \"language:TAGS\" to its vary)"},
        {PLAIN, "Vary: Host\n", "\"Vary: Host\" (add \"host\" to its vary)"},
        {SHOP, "Vary: X-Currency, Cookie, Accept-Language, Host, X-Forwarded-Host\n", NULL},
        {SHOP, "Vary: x-currency,User-Agent\n", "\"Vary: User-Agent\""},
        {PRIVATE, "Vary: Cookie\nCache-Control: private\n", NULL},
        {PRIVATE, "Vary: Origin\n", "\"Vary: Origin\""},
        /* RFC 9111 3.5: the client's Authorization */
        {TOKEN, "", NULL},
        {AUTHORIZED, "", "the request had"},
        {AUTHORIZED, "Cache-Control: max-age=60\n", "the request had"},
        {AUTHORIZED, "Cache-Control: proxy-revalidate\n", NULL},
        {AUTHORIZED, "Cache-Control: public\n", NULL},
        {AUTHORIZED, "Cache-Control: s-maxage=60\n", NULL},
        {AUTHORIZED, "Cache-Control: must-revalidate\n", NULL},
        {AUTHORIZED, "Vary: Authorization\n", "the request had"},
        {PRIVATE_AUTHORIZED, "", NULL},
        /* RFC 9213 2.2: a valid targeted field replaces Cache-Control, an invalid one does not */
        {PLAIN, "CDN-Cache-Control: no-store\n", "no-store"},
        {PLAIN, "CDN-Cache-Control: private\nCache-Control: public\n", "private"},
        {PLAIN, "CDN-Cache-Control: max-age=60\nCache-Control: private, no-store\n", NULL},
        {PLAIN, "CDN-Cache-Control: max-age=60\nSurrogate-Control: no-store\n", NULL},
        {PLAIN, "CDN-Cache-Control: max-age=60\nSet-Cookie: a=1\n", "Set-Cookie"},
        {PLAIN, "CDN-Cache-Control: max-age=60;x=1, no-store;y\n", "no-store"},
        {PLAIN, "CDN-Cache-Control: private=\"x\"\n", "private"},
        {PLAIN, "CDN-Cache-Control: no-store=?0\n", NULL},
        {PLAIN, "CDN-Cache-Control: no-store, no-store=?0\n", NULL},
        {PLAIN, "CDN-Cache-Control: max-age=60,\nCache-Control: private\n", "private"},
        {PLAIN, "CDN-Cache-Control: Max-Age=60\nCache-Control: private\n", "private"},
        {PLAIN, "CDN-Cache-Control: \nCache-Control: private\n", "private"},
        {PLAIN, "CDN-Cache-Control: max-age=60\nCDN-Cache-Control: ;\nCache-Control: private\n",
         "private"},
        {PLAIN, "CDN-Cache-Control: max-age=60\nCDN-Cache-Control: private\n", "private"},
        {AUTHORIZED, "CDN-Cache-Control: max-age=60\nCache-Control: public\n", "the request had"},
        {AUTHORIZED, "CDN-Cache-Control: max-age=60, public\n", NULL},
        /* Surrogate-Control (Edge Architecture 2.2) */
        {PLAIN, "Surrogate-Control: no-store\n", "Surrogate-Control: no-store"},
        {PLAIN, "Surrogate-Control: max-age=60\nCache-Control: no-store\n", "no-store"},
        /* origin = "ignore" */
        {IGNORES, "Set-Cookie: a=1\nCache-Control: private, no-store, no-cache\nVary: *, Origin\n",
         NULL},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct terms_reader reader;
        terms_begin(&reader, &routes[cases[i].route], cases[i].route >= AUTHORIZED, 200, NOW_S);
        struct source_terms terms = read_fields(&reader, cases[i].fields);
        assert_row(i, (terms.sharing == SHARING_FORBIDDEN) == (cases[i].why != NULL));
        assert_row(i, !terms.why == !cases[i].why);
        if (terms.why && !slice_starts(slice_of(terms.why), slice_of(cases[i].why)))
            fail_msg("row %zu: because of %s, not %s", i, terms.why, cases[i].why);
    }
}

/* RFC 9111 3.3: a part of a result. */
static void test_partial(void **state)
{
    (void)state;
    for (int status = 200; status < 210; status++) {
        struct terms_reader reader;
        terms_begin(&reader, &routes[PLAIN], false, status, NOW_S);
        struct source_terms terms = read_fields(&reader, "Cache-Control: public, max-age=60\n");
        assert_int_equal(terms.sharing, status == 206 ? SHARING_FORBIDDEN : SHARING_ALLOWED);
    }
}

/* Without rules nothing is named. */
static void test_no_rules(void **state)
{
    struct terms_reader reader;
    (void)state;
    terms_begin(&reader, NULL, false, 200, NOW_S);
    assert_int_equal(read_fields(&reader, "Vary: Cookie\nLink: <a>\n").sharing, SHARING_FORBIDDEN);
    assert_int_equal(reader.kept_len, 0);
}

/* Of a request whose inputs have the header, present or not. */
static void test_authorized(void **state)
{
    char packed[INPUTS_PACKED_MAX];
    (void)state;
    assert_false(terms_authorized(&(struct source_request){.name = SLICE("a")}));
    for (int i = 0; i < 3; i++) {
        static const struct slice values[] = {{0}, SLICE_INIT(""), SLICE_INIT("Bearer x")};
        size_t len = 0;
        assert_true(inputs_pack(packed, &len, values[i]));
        struct source_request request = {
            .inputs = {.vary = &routes[TOKEN].vary, .packed = {packed, len}}};
        assert_row(i, terms_authorized(&request) == (i > 0));
    }
}

/* A private route's key holds the user only if the request names one. */
static void test_has_user(void **state)
{
    static const struct input inputs[] = {
        {INPUT_COOKIE, SLICE_INIT("a")},
        {INPUT_HEADER, SLICE_INIT("x-b")},
        {INPUT_HEADER, SLICE_INIT("authorization")},
        {INPUT_QUERY, SLICE_INIT("c")},
    };
    static const struct {
        unsigned named, present, empty; /* sets of the inputs */
        bool has_user;
    } cases[] = {
        {0x0, 0x0, 0x0, false}, {0x1, 0x0, 0x0, false}, {0x1, 0x1, 0x0, true},
        {0x1, 0x1, 0x1, false}, {0x2, 0x2, 0x0, true},  {0x2, 0x0, 0x0, false},
        {0x2, 0x2, 0x2, false}, {0x3, 0x2, 0x0, false}, {0x3, 0x1, 0x0, true},
        {0x4, 0x4, 0x0, true},  {0x6, 0x2, 0x0, false}, {0x5, 0x4, 0x0, true},
        {0x5, 0x5, 0x1, true},  {0x9, 0x8, 0x0, false},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char packed[INPUTS_PACKED_MAX];
        struct input named[LENGTH(inputs)];
        size_t len = 0, count = 0;
        for (unsigned bit = 0; bit < LENGTH(inputs); bit++) {
            if (!(cases[i].named >> bit & 1))
                continue;
            named[count++] = inputs[bit];
            struct slice value = cases[i].empty >> bit & 1     ? SLICE("")
                                 : cases[i].present >> bit & 1 ? SLICE("x")
                                                               : (struct slice){0};
            assert_true(inputs_pack(packed, &len, value));
        }
        struct vary vary = {named, count};
        struct source_request request = {.inputs = {.vary = &vary, .packed = {packed, len}}};
        assert_row(i, terms_has_user(&request) == cases[i].has_user);
    }
    struct terms_reader reader;
    terms_begin(&reader, &routes[PRIVATE], false, 200, NOW_S);
    terms_of_nobody(&reader);
    assert_int_equal(read_fields(&reader, "Cache-Control: private\n").sharing, SHARING_FORBIDDEN);
    terms_begin(&reader, &routes[PRIVATE], false, 200, NOW_S);
    terms_of_nobody(&reader);
    assert_int_equal(read_fields(&reader, "").sharing, SHARING_ALLOWED);
}

/* --- freshness --- */

#define NS SOURCE_NOT_SAID

static void test_freshness(void **state)
{
    static const struct {
        const char *fields;
        int64_t fresh_ms, stale_ms, stale_error_ms;
    } cases[] = {
        {"", NS, NS, NS},
        {"Cache-Control: public\n", NS, NS, NS},
        /* RFC 9111 4.2.1: s-maxage, max-age, Expires */
        {"Cache-Control: max-age=60\n", 60000, NS, NS},
        {"Cache-Control: max-age=60, s-maxage=10\n", 10000, NS, NS},
        {"Cache-Control: max-age=60\n" NOW_DATE AN_HOUR_ON, 60000, NS, NS},
        {NOW_DATE AN_HOUR_ON, 3600000, NS, NS},
        {AN_HOUR_ON, 3600000, NS, NS}, /* without Date: since now */
        {"Date: Sun, 06 Nov 1994 09:49:27 GMT\n" AN_HOUR_ON, 10000, NS, NS},
        {"Date: Sun, 06 Nov 1994 10:49:37 GMT\n" AN_HOUR_ON, 0, NS, NS},
        {"Date: yesterday\n" AN_HOUR_ON, 3600000, NS, NS},
        {"Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\n", NS, NS, NS}, /* no heuristics */
        /* RFC 9111 5.3: an invalid Expires is in the past; of two the first counts (4.2.1) */
        {NOW_DATE "Expires: 0\n", 0, NS, NS},
        {NOW_DATE "Expires: \n", 0, NS, NS},
        {NOW_DATE AN_HOUR_ON "Expires: 0\n", 3600000, NS, NS},
        {NOW_DATE "Expires: 0\n" AN_HOUR_ON, 0, NS, NS},
        {"Expires: Fri, 01 Jan 9999 00:00:00 GMT\n", 2147483648000, NS, NS},
        /* RFC 9111 1.2.2, 4.2.1: numbers */
        {"Cache-Control: max-age=\"60\"\n", 60000, NS, NS}, /* 5.2: both forms */
        {"Cache-Control: max-age=0\n", 0, NS, NS},
        {"Cache-Control: max-age=007\n", 7000, NS, NS},
        {"Cache-Control: max-age=2147483648\n", 2147483648000, NS, NS},
        {"Cache-Control: max-age=99999999999999999999999\n", 2147483648000, NS, NS},
        {"Cache-Control: max-age=1.5\n", 0, NS, NS},
        {"Cache-Control: max-age=-1\n", 0, NS, NS},
        {"Cache-Control: max-age=+1\n", 0, NS, NS},
        {"Cache-Control: max-age=60s\n", 0, NS, NS},
        {"Cache-Control: max-age=\n", 0, NS, NS},
        {"Cache-Control: max-age\n", 0, NS, NS},
        {"Cache-Control: max-age = 60\n", 0, NS, NS},
        {"Cache-Control: max-age=\"60\n", 0, NS, NS},
        /* RFC 9111 4.2.1: of a repeated directive the first counts, in all fields together */
        {"Cache-Control: max-age=60, max-age=10\n", 60000, NS, NS},
        {"Cache-Control: max-age=10\nCache-Control: max-age=60\n", 10000, NS, NS},
        {"Cache-Control: public\ncache-control: MAX-AGE=60\n", 60000, NS, NS},
        {"Cache-Control: max-age=x, max-age=10\n", 0, NS, NS},
        /* RFC 9111 4.2.3, 5.1: Age */
        {"Cache-Control: max-age=60\nAge: 20\n", 40000, NS, NS},
        {"Cache-Control: max-age=60\nAge: 60\n", 0, NS, NS},
        {"Cache-Control: max-age=60\nAge: 99999999999999999999\n", 0, NS, NS},
        {"Cache-Control: max-age=60\nAge: -5\n", 60000, NS, NS},
        {"Cache-Control: max-age=60\nAge: x\n", 60000, NS, NS},
        {"Cache-Control: max-age=60\nAge: 20, 50\n", 40000, NS, NS},
        {"Cache-Control: max-age=60\nAge: 20\nAge: 50\n", 40000, NS, NS},
        {NOW_DATE AN_HOUR_ON "Age: 600\n", 3000000, NS, NS},
        {"Age: 20\n", NS, NS, NS},
        /* RFC 5861 3, 4; what is late by its Age is stale since then */
        {"Cache-Control: max-age=60, stale-while-revalidate=30\n", 60000, 30000, NS},
        {"Cache-Control: max-age=60, stale-if-error=90\n", 60000, NS, 90000},
        {"Cache-Control: stale-while-revalidate=30, stale-if-error=x\n", NS, 30000, 0},
        {"Cache-Control: max-age=60, stale-while-revalidate=30, stale-if-error=90\nAge: 70\n", 0,
         20000, 80000},
        {"Cache-Control: max-age=60, stale-while-revalidate=30\nAge: 100\n", 0, 0, NS},
        /* RFC 9213 2: CDN-Cache-Control */
        {"CDN-Cache-Control: max-age=600\nCache-Control: max-age=60, s-maxage=30\n", 600000, NS,
         NS},
        {"CDN-Cache-Control: s-maxage=5, max-age=600\n", 5000, NS, NS},
        {"CDN-Cache-Control: public\nCache-Control: max-age=60\n" AN_HOUR_ON, NS, NS, NS},
        {"CDN-Cache-Control: public\nSurrogate-Control: max-age=60\n", NS, NS, NS},
        {"CDN-Cache-Control: max-age=600, stale-while-revalidate=30, stale-if-error=90, "
         "must-revalidate\nCache-Control: stale-while-revalidate=1\n",
         600000, 30000, 90000},
        {"CDN-Cache-Control: max-age=600\nCache-Control: must-revalidate\nAge: 100\n", 500000, NS,
         NS},
        {"CDN-Cache-Control: max-age=10, max-age=600\n", 600000, NS, NS}, /* the last counts */
        {"CDN-Cache-Control: max-age=10\nCDN-Cache-Control: max-age=600\n", 600000, NS, NS},
        {"CDN-Cache-Control: max-age=600.0\n", 0, NS, NS},
        {"CDN-Cache-Control: max-age=\"600\"\n", 0, NS, NS},
        {"CDN-Cache-Control: max-age=-1\n", 0, NS, NS},
        {"CDN-Cache-Control: max-age\n", 0, NS, NS},
        {"CDN-Cache-Control: max-age=999999999999999\n", 2147483648000, NS, NS},
        {"CDN-Cache-Control: max-age=9999999999999999\nCache-Control: max-age=60\n", 60000, NS, NS},
        {"CDN-Cache-Control: max-age=600 public\nCache-Control: max-age=60\n", 60000, NS, NS},
        {"CDN-Cache-Control: max-age=6x\nCache-Control: max-age=60\n", 60000, NS, NS},
        /* Surrogate-Control */
        {"Surrogate-Control: max-age=600\nCache-Control: s-maxage=60\n", 600000, NS, NS},
        {"Surrogate-Control: max-age=600+30\n", 600000, 30000, NS},
        {"Surrogate-Control: max-age=600+30\nCache-Control: stale-while-revalidate=5\n", 600000,
         5000, NS},
        {"Surrogate-Control: max-age=600;cdn, content=\"ESI/1.0\"\n", 600000, NS, NS},
        {"Surrogate-Control: content=\"ESI/1.0\"\nCache-Control: max-age=60\n", 60000, NS, NS},
        {"Surrogate-Control: max-age=x+5\n", 0, 5000, NS},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct terms_reader reader;
        terms_begin(&reader, &routes[PLAIN], false, 200, NOW_S);
        struct source_terms terms = read_fields(&reader, cases[i].fields);
        if (terms.fresh_ms != cases[i].fresh_ms || terms.stale_ms != cases[i].stale_ms ||
            terms.stale_error_ms != cases[i].stale_error_ms)
            fail_msg("row %zu: fresh %lld stale %lld error %lld", i, (long long)terms.fresh_ms,
                     (long long)terms.stale_ms, (long long)terms.stale_error_ms);
    }
}

/* How long clients may use it, if another directive than max-age says how long we may (RFC 9111
 * 5.2.2.10, RFC 9213 2.2). */
static void test_clients(void **state)
{
    static const struct {
        const char *fields;
        int64_t clients_ms;
        bool no_store;
    } cases[] = {
        {"", NS, false},
        {"Cache-Control: max-age=60\n", NS, false},
        {"Cache-Control: s-maxage=60\n", NS, false},
        {"Cache-Control: max-age=10, s-maxage=60\n", 10000, false},
        {"Cache-Control: max-age=10, s-maxage=60\nAge: 4\n", 6000, false},
        {"Cache-Control: max-age=10, s-maxage=60\nAge: 40\n", 0, false},
        {"Surrogate-Control: max-age=60\nCache-Control: max-age=10\n", 10000, false},
        {"Surrogate-Control: max-age=60\n", NS, false},
        {"CDN-Cache-Control: max-age=60\n", NS, false},
        {"CDN-Cache-Control: max-age=60\nCache-Control: max-age=10\n", 10000, false},
        {"CDN-Cache-Control: max-age=60\nCache-Control: max-age=10, no-cache\n", 0, false},
        {"CDN-Cache-Control: max-age=60\nCache-Control: no-store\n", NS, true},
        {"CDN-Cache-Control: max-age=60\nCache-Control: private, max-age=10\n", 10000, true},
        {"Cache-Control: private\n", NS, false}, /* it is not shared in any case */
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct terms_reader reader;
        terms_begin(&reader, &routes[PLAIN], false, 200, NOW_S);
        struct source_terms terms = read_fields(&reader, cases[i].fields);
        assert_row(i, terms.clients_ms == cases[i].clients_ms);
        assert_row(i, terms.clients_no_store == cases[i].no_store);
    }
}

/* RFC 9111 5.2.2.2, 5.2.2.8 */
static void test_must_revalidate(void **state)
{
    static const struct {
        const char *fields;
        bool must_revalidate;
    } cases[] = {
        {"", false},
        {"Cache-Control: max-age=60, must-revalidate\n", true},
        {"Cache-Control: max-age=60, proxy-revalidate\n", true},
        {"Cache-Control: s-maxage=60\n", false},
        {"CDN-Cache-Control: max-age=60, must-revalidate\n", true},
        {"CDN-Cache-Control: max-age=60, must-revalidate=?0\n", false},
        {"CDN-Cache-Control: max-age=60\nCache-Control: must-revalidate\n", false},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct terms_reader reader;
        terms_begin(&reader, &routes[PLAIN], false, 200, NOW_S);
        struct source_terms terms = read_fields(&reader, cases[i].fields);
        assert_row(i, terms.must_revalidate == cases[i].must_revalidate);
    }
}

/* --- validators, and fields that are kept --- */

#define LONG_TAG                                                                                   \
    "\"0123456789012345678901234567890123456789012345678901234567890123456789012345"               \
    "67890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567" \
    "89"                                                                                           \
    "012345678901234567890123456789\"" /* 202 bytes */

static void test_validators(void **state)
{
    static const struct {
        const char *fields, *etag, *last_modified;
    } cases[] = {
        {"", "", ""},
        /* RFC 9110 8.8.3: entity tags */
        {"ETag: \"abc\"\n", "\"abc\"", ""},
        {"etag:W/\"abc\" \n", "W/\"abc\"", ""},
        {"ETag: \"\"\n", "\"\"", ""},
        {"ETag: abc\n", "", ""},
        {"ETag: \"a b\"\n", "", ""},
        {"ETag: \"a\"b\"\n", "", ""},
        {"ETag: \"\n", "", ""},
        {"ETag: w/\"abc\"\n", "", ""},
        {"ETag: " LONG_TAG "\n", "", ""},
        /* RFC 9110 8.8.2, 5.6.7: as it was sent */
        {"Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\n", "", "Sun, 06 Nov 1994 08:49:37 GMT"},
        {"Last-Modified: Sunday, 06-Nov-94 08:49:37 GMT\n", "", "Sunday, 06-Nov-94 08:49:37 GMT"},
        {"Last-Modified: Sun Nov  6 08:49:37 1994\n", "", "Sun Nov  6 08:49:37 1994"},
        {"Last-Modified: 1994-11-06\n", "", ""},
        {"Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\nETag: \"x\"\n", "\"x\"",
         "Sun, 06 Nov 1994 08:49:37 GMT"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct terms_reader reader;
        terms_begin(&reader, &routes[PLAIN], false, 200, NOW_S);
        struct source_terms terms = read_fields(&reader, cases[i].fields);
        assert_slice(i, terms.etag, slice_of(cases[i].etag));
        assert_slice(i, terms.last_modified, slice_of(cases[i].last_modified));
    }
}

static void test_kept(void **state)
{
    static const char *const keep[] = {"Link", "content-language", "set-cookie", "x"};
    static const struct source_rules rules = {.keep = keep, .keep_count = LENGTH(keep)};
    static const struct {
        const char *fields, *kept;
    } cases[] = {
        {"", ""},
        {"Link: </a.css>; rel=preload\nX-Other: y\n", "link: </a.css>; rel=preload\n"},
        {"LINK: <a>\nContent-Language: de\nlink: <b>\n",
         "link: <a>\ncontent-language: de\nlink: <b>\n"},
        {"X: \nx:\tspaced  out \n", "x: \nx: spaced  out\n"},
        {"X: a\tb\n", "x: a\tb\n"},
        {"X: a\rSet-Cookie: b\nLink: c\n", "link: c\n"},
        {"X: a\x01\n", ""},
        {"X: a\x7f\n", ""},
        {"Set-Cookie: a=1\n", ""}, /* whatever the route says */
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct terms_reader reader;
        terms_begin(&reader, &rules, false, 200, NOW_S);
        struct source_terms terms = read_fields(&reader, cases[i].fields);
        assert_slice(i, terms.kept, slice_of(cases[i].kept));
        assert_slice(i, terms.left_out, SLICE(""));
    }

    /* What does not fit is left out, and what is smaller is kept. */
    static char large[KEEP_MAX];
    memset(large, 'l', sizeof large);
    for (size_t len = KEEP_MAX - 8; len <= KEEP_MAX - 6; len++) {
        struct terms_reader reader;
        terms_begin(&reader, &rules, false, 200, NOW_S);
        terms_field(&reader, SLICE("Link"), (struct slice){large, len});
        terms_field(&reader, SLICE("X"), SLICE("y"));
        struct source_terms terms = terms_end(&reader);
        bool fits = len + 7 <= KEEP_MAX;
        assert_int_equal(terms.kept.len, fits ? len + 7 : 5);
        assert_slice(len, terms.left_out, fits ? SLICE("X") : SLICE("Link"));
    }
}

/* RFC 9111 3.2: newer fields replace older ones of their name, and the others stay. */
static void test_merge(void **state)
{
    static const struct {
        const char *older, *newer, *merged;
    } cases[] = {
        {"", "", ""},
        {"a: 1\n", "", "a: 1\n"},
        {"", "a: 1\n", "a: 1\n"},
        {"a: 1\nb: 2\na: 3\n", "a: 4\n", "a: 4\nb: 2\n"},
        {"a: 1\n", "a: 2\na: 3\n", "a: 2\na: 3\n"},
        {"a: 1\naa: 2\n", "aa: 3\n", "aa: 3\na: 1\n"},
        {"a: \n", "b: \n", "b: \na: \n"},
    };
    static char older[KEEP_MAX], newer[KEEP_MAX], out[KEEP_MAX];
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice exact_older = unit_exact(slice_of(cases[i].older));
        struct slice exact_newer = unit_exact(slice_of(cases[i].newer));
        size_t len = keep_merge(exact_older, exact_newer, out);
        assert_slice(i, ((struct slice){out, len}), slice_of(cases[i].merged));
        unit_drop(exact_older);
        unit_drop(exact_newer);
    }
    memset(older, 'o', sizeof older);
    memset(newer, 'n', sizeof newer);
    memcpy(older, "b: x\nlong: ", 11);
    memcpy(newer, "a: ", 3);
    older[KEEP_MAX - 1] = '\n';
    newer[KEEP_MAX - 6] = '\n';
    assert_int_equal(keep_merge((struct slice){older, KEEP_MAX},
                                (struct slice){newer, KEEP_MAX - 5}, out),
                     KEEP_MAX);
    assert_memory_equal(out + KEEP_MAX - 5, "b: x\n", 5);
}

static void test_keep_names(void **state)
{
    static const char *const fine[] = {"link",          "Content-Language",        "Server-Timing",
                                       "x-y!#$%&'*+.^", "Content-Security-Policy", "X-Acce"};
    static const char *const refused[] = {"",
                                          "a b",
                                          "a:",
                                          "\xc3\xbc",
                                          "Connection",
                                          "keep-alive",
                                          "TE",
                                          "trailer",
                                          "Transfer-Encoding",
                                          "upgrade",
                                          "Set-Cookie",
                                          "content-length",
                                          "Content-Type",
                                          "content-encoding",
                                          "Content-Range",
                                          "ETag",
                                          "last-modified",
                                          "Date",
                                          "age",
                                          "Cache-Control",
                                          "expires",
                                          "vary",
                                          "Status",
                                          "location",
                                          "X-Accel-Redirect",
                                          "x-accel-anything",
                                          "X-Sendfile",
                                          "x-lighttpd-send-file"};
    (void)state;
    for (size_t i = 0; i < LENGTH(fine); i++)
        assert_row(i, keep_check(fine[i]) == NULL);
    for (size_t i = 0; i < LENGTH(refused); i++)
        assert_row(i, keep_check(refused[i]) != NULL);
}

/* --- what it is said with --- */

/* RFC 9110 5.6.7 */
static void test_dates(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds; /* negative: it is no date */
    } cases[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
        {"Sun Nov  6 08:49:37 1994", 784111777},
        {"Sun Nov 16 08:49:37 1994", 784975777},
        {" Sun, 06 Nov 1994 08:49:37 GMT\t", 784111777},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Tue, 29 Feb 2000 23:59:59 GMT", 951868799},
        {"Wed, 01 Mar 2000 00:00:00 GMT", 951868800},
        {"Fri, 01 Mar 2100 00:00:00 GMT", 4107542400},
        {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800}, /* a leap second */
        {"Thursday, 01-Jan-70 00:00:00 GMT", 0},
        {"Monday, 01-Jan-40 00:00:00 GMT", 2208988800}, /* within 50 years of 1994 */
        {"Monday, 01-Jan-50 00:00:00 GMT", -1},         /* so this is 1950 */
        {"", -1},
        {"0", -1},
        {"-1", -1},
        {"Sun", -1},
        {"Sun,", -1},
        {"Sun, ", -1},
        {"Sun, 06 Nov 1994", -1},
        {"Sun, 06 Nov 1994 08:49:37", -1},
        {"Sun, 06 Nov 1994 08:49:37 CET", -1},
        {"Sun, 06 Nov 1994 08:49:37 GMT+1", -1},
        {"Sun, 6 Nov 1994 08:49:37 GMT", -1},
        {"Sun, 06 nov 1994 08:49:37 GMT", -1},
        {"Sun, 06 Nov 94 08:49:37 GMT", -1},
        {"Sun, 00 Nov 1994 08:49:37 GMT", -1},
        {"Sun, 32 Nov 1994 08:49:37 GMT", -1},
        {"Sun, 06 Nov 1994 24:49:37 GMT", -1},
        {"Sun, 06 Nov 1994 08:60:37 GMT", -1},
        {"Sun, 06 Nov 1969 08:49:37 GMT", -1},
        {"06 Nov 1994 08:49:37 GMT", -1},
        {"\x19un Nov  6 08:49:37 1994", -1},
        {"S1n, 06 Nov 1994 08:49:37 GMT", -1},
        {"784111777", -1},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice exact = unit_exact(slice_of(cases[i].text));
        int64_t seconds;
        bool is_date = date_read(exact, NOW_S, &seconds);
        unit_drop(exact);
        assert_row(i, is_date == (cases[i].seconds >= 0));
        assert_row(i, !is_date || seconds == cases[i].seconds);
    }
}

/* RFC 9651 4.2.2: its members, as "key=number" for integers, "key?number" for booleans. */
static void test_dictionaries(void **state)
{
    static const struct {
        const char *text, *members; /* NULL: it is not one */
    } cases[] = {
        {"", ""},
        {"   ", ""},
        {"a", "a?1"},
        {"a=1", "a=1"},
        {" a=1 ", "a=1"},
        {"a=1,b=2", "a=1 b=2"},
        {"a=1 \t,\t b", "a=1 b?1"},
        {"a=?0, b=?1", "a?0 b?1"},
        {"a=-15", "a=-15"},
        {"a=123456789012345", "a=123456789012345"},
        {"a=1234567890123456", NULL},
        {"a=1.5", "a"},
        {"a=123456789012.123", "a"},
        {"a=1234567890123.1", NULL},
        {"a=1.1234", NULL},
        {"a=1.", NULL},
        {"a=.5", NULL},
        {"a=-", NULL},
        {"a=\"x, y\", b", "a b?1"},
        {"a=\"x\\\"y\\\\\"", "a"},
        {"a=\"x\\y\"", NULL},
        {"a=\"x", NULL},
        {"a=\"\xc3\xbc\"", NULL},
        {"a=\"\x7f\"", NULL},
        {"a=%\"f%c3%bc\"", "a"},
        {"a=%\"f%C3\"", NULL},
        {"a=%\"f%c\"", NULL},
        {"a=token/x:y", "a"},
        {"a=*t", "a"},
        {"a=:aGVsbG8=:", "a"},
        {"a=:aGVsbG8=", NULL},
        {"a=@1659578233", "a"},
        {"a=@1.5", NULL},
        {"a=(1 \"x\" t;p=1);q, b", "a b?1"},
        {"a=()", "a"},
        {"a=( 1  2 )", "a"},
        {"a=(1", NULL},
        {"a=(1,2)", NULL},
        {"a=(\"x\"\"y\")", NULL},
        {"a;p;q=2;r=\"x\", b=1;p", "a?1 b=1"},
        {"a; p", "a?1"},
        {"a ;p", NULL},
        {"a;", NULL},
        {"a;P", NULL},
        {"*a, a_-.*1", "*a?1 a_-.*1?1"},
        {"A", NULL},
        {"1a", NULL},
        {"a=", NULL},
        {"a = 1", NULL},
        {"a=?2", NULL},
        {"a=?", NULL},
        {"a,", NULL},
        {"a, ", NULL},
        {",a", NULL},
        {"a,,b", NULL},
        {"a b", NULL},
        {"a=1x", NULL},
        {"a=1, a=2", "a=1 a=2"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice exact = unit_exact(slice_of(cases[i].text));
        struct structured_reader reader = structured_read(exact);
        struct structured_member member;
        char members[200] = "";
        size_t len = 0;
        while (structured_next(&reader, &member)) {
            len += (size_t)snprintf(members + len, sizeof members - len, "%s%.*s",
                                    len > 0 ? " " : "", SLICE_ARGS(member.key));
            if (member.kind != STRUCTURED_OTHER)
                len += (size_t)snprintf(members + len, sizeof members - len, "%c%lld",
                                        member.kind == STRUCTURED_INTEGER ? '=' : '?',
                                        (long long)member.number);
        }
        assert_false(structured_next(&reader, &member));
        unit_drop(exact);
        assert_row(i, reader.bad == (cases[i].members == NULL));
        if (!reader.bad)
            assert_slice(i, slice_of(members), slice_of(cases[i].members));
    }
}

/* Random bytes of the alphabet of headers end in something, and are read within their bounds. */
static void test_rubbish(void **state)
{
    static const char alphabet[] = "privatemx-g=\"\\,; ()?:@%*0123456789.+\t~\xff";
    static const char *const names[] = {"Cache-Control",
                                        "CDN-Cache-Control",
                                        "Surrogate-Control",
                                        "Vary",
                                        "Age",
                                        "Expires",
                                        "Date",
                                        "ETag",
                                        "Last-Modified"};
    (void)state;
    for (int i = 0; i < 20000; i++) {
        struct terms_reader reader;
        terms_begin(&reader, &routes[SHOP], false, 200, NOW_S);
        for (size_t j = 0; j < LENGTH(names); j++) {
            char text[40];
            size_t len = unit_random(sizeof text);
            for (size_t k = 0; k < len; k++)
                text[k] = alphabet[unit_random(sizeof alphabet - 1)];
            struct slice exact = unit_exact((struct slice){text, len});
            terms_field(&reader, slice_of(names[j]), exact);
            unit_drop(exact);
        }
        struct source_terms terms = terms_end(&reader);
        assert_row(i,
                   terms.fresh_ms >= SOURCE_NOT_SAID && terms.fresh_ms <= DIRECTIVE_MOST_S * 1000);
        assert_row(i, terms.etag.len <= TERMS_ETAG_MAX && terms.kept.len == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sharing),    cmocka_unit_test(test_partial),
        cmocka_unit_test(test_clients),    cmocka_unit_test(test_must_revalidate),
        cmocka_unit_test(test_no_rules),   cmocka_unit_test(test_authorized),
        cmocka_unit_test(test_has_user),   cmocka_unit_test(test_freshness),
        cmocka_unit_test(test_validators), cmocka_unit_test(test_kept),
        cmocka_unit_test(test_merge),      cmocka_unit_test(test_keep_names),
        cmocka_unit_test(test_dates),      cmocka_unit_test(test_dictionaries),
        cmocka_unit_test(test_rubbish),
    };
    return cmocka_run_group_tests_name("terms", tests, NULL, NULL);
}
