/* park/freshness: how an entry may be used, just below, at and just above each limit. */
#include "park/freshness.h"

#include "cache/entry.h"
#include "source/source.h"
#include "unit.h"

#define NOW_MS 1700000000000
#define NS     SOURCE_NOT_SAID

static const char *const names[] = {"USABLE", "USABLE_REFRESH", "USABLE_ON_FAILURE", "UNUSABLE",
                                    "UNCACHEABLE"};

static void check(size_t row, const struct freshness *terms, const struct entry *entry,
                  double random, enum usability expected)
{
    enum usability is = freshness_judge(terms, entry, NOW_MS, random);
    if (is != expected)
        fail_msg("row %zu: is %s, not %s", row, names[is], names[expected]);
}

/* RFC 5861: the two windows both begin where the fresh time ends, so the longer one reaches beyond
 * the other. */
static void test_edges(void **state)
{
    static const struct freshness none = {.ttl = 60};
    static const struct freshness stale = {.ttl = 60, .stale = 10};
    static const struct freshness stale_error = {.ttl = 60, .stale_error = 10};
    static const struct freshness both = {.ttl = 60, .stale = 10, .stale_error = 30};
    static const struct freshness crossed = {.ttl = 60, .stale = 30, .stale_error = 10};
    static const struct freshness brief = {.ttl = 60, .stale = 0.001, .stale_error = 0.002};
    static const struct {
        const struct freshness *terms;
        int64_t stale_ms; /* since the fresh time ended */
        enum usability usability;
    } cases[] = {
        {&none, -60000, USABLE},
        {&none, -1, USABLE},
        {&none, 0, UNUSABLE},
        {&none, 1, UNUSABLE},
        {&stale, -1, USABLE},
        {&stale, 0, USABLE_REFRESH},
        {&stale, 1, USABLE_REFRESH},
        {&stale, 9999, USABLE_REFRESH},
        {&stale, 10000, UNUSABLE},
        {&stale, 10001, UNUSABLE},
        {&stale_error, -1, USABLE},
        {&stale_error, 0, USABLE_ON_FAILURE},
        {&stale_error, 9999, USABLE_ON_FAILURE},
        {&stale_error, 10000, UNUSABLE},
        {&both, -1, USABLE},
        {&both, 0, USABLE_REFRESH},
        {&both, 9999, USABLE_REFRESH},
        {&both, 10000, USABLE_ON_FAILURE},
        {&both, 10001, USABLE_ON_FAILURE},
        {&both, 29999, USABLE_ON_FAILURE},
        {&both, 30000, UNUSABLE},
        {&both, 30001, UNUSABLE},
        {&crossed, 0, USABLE_REFRESH},
        {&crossed, 10000, USABLE_REFRESH},
        {&crossed, 29999, USABLE_REFRESH},
        {&crossed, 30000, UNUSABLE},
        {&brief, 0, USABLE_REFRESH},
        {&brief, 1, USABLE_ON_FAILURE},
        {&brief, 2, UNUSABLE},
        /* clocks that are far apart */
        {&both, -1000000000000, USABLE},
        {&both, 1000000000000, UNUSABLE},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct entry entry = {
            .status = 200,
            .made_ms = NOW_MS - cases[i].stale_ms - 60000,
            .fresh_until_ms = NOW_MS - cases[i].stale_ms,
            .cost_ms = 1000000000, /* without `early` it does not count */
        };
        check(i, cases[i].terms, &entry, 1e-9, cases[i].usability);
        check(i, cases[i].terms, &entry, 1, cases[i].usability);
    }
}

/* A remembered failure is valid until its time is over, and never stale, nor refreshed earlier. */
static void test_failures(void **state)
{
    static const int statuses[] = {404, 502, 504};
    static const struct freshness terms = {.ttl = 60,
                                           .stale = 10,
                                           .stale_error = 30,
                                           .negative = 2,
                                           .early = true};
    (void)state;
    for (size_t i = 0; i < LENGTH(statuses); i++) {
        struct entry entry = {.status = statuses[i], .cost_ms = 1000000000};
        for (int64_t stale_ms = -3; stale_ms < 3; stale_ms++) {
            entry.fresh_until_ms = NOW_MS - stale_ms;
            check(i, &terms, &entry, 1e-9, stale_ms < 0 ? USABLE : UNUSABLE);
            check(i, &terms, &entry, 1, stale_ms < 0 ? USABLE : UNUSABLE);
        }
    }
}

/* XFetch with beta 1: cost * -ln(random) ahead of the end. exp(-k) makes that k times the cost. */
static void test_early(void **state)
{
    static const struct freshness early = {.ttl = 60, .early = true}, late = {.ttl = 60};
    static const double one = 0.36787944117144233, ten = 4.5399929762484854e-05; /* exp(-1, -10) */
    static const struct {
        int64_t cost_ms, left_ms;
        double random;
        enum usability usability;
    } cases[] = {
        {100, 60000, one, USABLE},
        {100, 102, one, USABLE},
        {100, 98, one, USABLE_REFRESH},
        {100, 1, one, USABLE_REFRESH},
        {100, 1002, ten, USABLE},
        {100, 998, ten, USABLE_REFRESH},
        {1000, 998, one, USABLE_REFRESH}, /* costly results earlier */
        {1000, 9998, ten, USABLE_REFRESH},
        {1000, 10002, ten, USABLE},
        {100, 1, 1, USABLE}, /* with the lowest probability only at the very end */
        {1000000, 1, 1, USABLE},
        {0, 1, 1e-300, USABLE}, /* results without cost can wait */
        {-5, 1, 1e-300, USABLE},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct entry entry = {.status = 200,
                              .fresh_until_ms = NOW_MS + cases[i].left_ms,
                              .cost_ms = cases[i].cost_ms};
        check(i, &early, &entry, cases[i].random, cases[i].usability);
        check(i, &late, &entry, cases[i].random, USABLE);
    }
    /* The least random there is and the greatest cost that an envelope holds. */
    struct entry dear = {.status = 200, .fresh_until_ms = NOW_MS + 1, .cost_ms = 999999999999999};
    check(0, &early, &dear, 5e-324, USABLE_REFRESH);
    /* Past the end it is no longer a matter of chance, nor usable without `stale`. */
    dear.fresh_until_ms = NOW_MS;
    check(0, &early, &dear, 5e-324, UNUSABLE);
}

static void test_ttl(void **state)
{
    static const struct {
        double ttl, jitter, random;
        int64_t ttl_ms;
    } cases[] = {
        {60, 0, 1, 60000},
        {60, 0, 0.001, 60000},
        {60, 10, 1, 60000},
        {60, 10, 0.5, 55000},
        {60, 10, 0.0001, 50001},
        {60, 60, 0.5, 30000},
        {60, 100, 0.5, 30000}, /* not below 0 */
        {60, 100, 1, 60000},
        {0, 0, 1, 0},
        {0, 10, 0.5, 0},
        {0.25, 0, 1, 250},
        {31536000, 0, 1, 31536000000},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct freshness terms = {.ttl = cases[i].ttl, .jitter = cases[i].jitter};
        assert_row(i, freshness_ttl_ms(&terms, NULL, cases[i].random) == cases[i].ttl_ms);
    }
    /* Within its limits for any random number, and not always the same. */
    struct freshness terms = {.ttl = 10, .jitter = 4};
    int64_t least = INT64_MAX, most = 0;
    for (int i = 0; i < 10000; i++) {
        int64_t ttl_ms =
            freshness_ttl_ms(&terms, NULL, (double)(1 + unit_random(1000000)) / 1000000);
        assert_true(ttl_ms >= 6000 && ttl_ms <= 10000);
        least = ttl_ms < least ? ttl_ms : least;
        most = ttl_ms > most ? ttl_ms : most;
    }
    assert_true(least < 6100 && most > 9900);
}

/* The source's lifetime counts where the route has no ttl, within the route's bounds. */
static void test_source_ttl(void **state)
{
    static const struct freshness own = {.ttl = 60, .ttl_max = 600};
    static const struct freshness source = {.ttl = 60, .ttl_by_source = true, .ttl_max = 600};
    static const struct freshness bound = {.ttl = 1,
                                           .ttl_by_source = true,
                                           .ttl_min = 5,
                                           .ttl_max = 10,
                                           .jitter = 4};
    static const struct {
        const struct freshness *terms;
        int64_t said_ms;
        double random;
        int64_t ttl_ms;
    } cases[] = {
        {&own, 10000, 1, 60000},
        {&own, 0, 1, 60000},
        {&own, SOURCE_NOT_SAID, 1, 60000},
        {&source, 10000, 1, 10000},
        {&source, 10500, 1, 10500},
        {&source, 0, 1, 0},
        {&source, 600000, 1, 600000},
        {&source, 600001, 1, 600000},
        {&source, 2147483648000, 1, 600000},
        {&source, SOURCE_NOT_SAID, 1, 60000},
        {&bound, 4999, 1, 5000},
        {&bound, 7000, 1, 7000},
        {&bound, 7000, 0.5, 5000}, /* jitter applies to it as to a ttl */
        {&bound, 99000, 1, 10000},
        {&bound, SOURCE_NOT_SAID, 1, 1000}, /* the bounds are not for the default */
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct source_terms said = SOURCE_TERMS_NONE;
        said.fresh_ms = cases[i].said_ms;
        assert_row(i, freshness_ttl_ms(cases[i].terms, &said, cases[i].random) == cases[i].ttl_ms);
    }
    assert_int_equal(freshness_ttl_ms(&source, NULL, 1), 60000);
}

/* RFC 5861, RFC 9111 5.2.2.2: whose stale times count. */
static void test_source_stale(void **state)
{
    enum { OWN, STALE = 1, ERROR = 2, TTL = 4 }; /* what is the source's */
    static const struct {
        unsigned by_source;
        int64_t fresh_ms, stale_ms, error_ms;
        bool must_revalidate;
        int64_t expected_stale_ms, expected_error_ms; /* negative: those of the route count */
    } cases[] = {
        {OWN, NS, NS, NS, false, -1, -1},
        {OWN, 1000, 5000, 6000, false, -1, -1},
        {STALE | ERROR | TTL, NS, NS, NS, false, -1, -1},
        {STALE | ERROR, 1000, NS, NS, false, -1, -1},
        {STALE | ERROR, NS, 5000, NS, false, 5000, 20000},
        {STALE | ERROR, NS, NS, 6000, false, 10000, 6000},
        {STALE | ERROR, NS, 0, 0, false, 0, 0},
        {STALE, NS, 5000, 6000, false, 5000, 20000},
        {ERROR, NS, 5000, 6000, false, 10000, 6000},
        {TTL, 1000, NS, NS, false, 10000, 20000},
        {TTL, 1000, 5000, 6000, false, 10000, 20000},
        {STALE | ERROR | TTL, 1000, 5000, 6000, false, 5000, 6000},
        {OWN, NS, NS, NS, true, 0, 0},
        {STALE | ERROR | TTL, 1000, 5000, 6000, true, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct freshness terms = {.ttl = 60,
                                  .stale = 10,
                                  .stale_error = 20,
                                  .ttl_max = 600,
                                  .stale_by_source = cases[i].by_source & STALE,
                                  .error_by_source = cases[i].by_source & ERROR,
                                  .ttl_by_source = cases[i].by_source & TTL};
        struct source_terms said = {.fresh_ms = cases[i].fresh_ms,
                                    .stale_ms = cases[i].stale_ms,
                                    .stale_error_ms = cases[i].error_ms,
                                    .must_revalidate = cases[i].must_revalidate};
        int64_t stale_ms, error_ms;
        bool own = freshness_stale_ms(&terms, &said, &stale_ms, &error_ms);
        assert_row(i, own == (cases[i].expected_stale_ms >= 0));
        assert_row(i, !own || stale_ms == cases[i].expected_stale_ms);
        assert_row(i, !own || error_ms == cases[i].expected_error_ms);
        assert_row(i, !freshness_stale_ms(&terms, NULL, &stale_ms, &error_ms));
    }
}

/* An entry's own stale times replace those of the route. */
static void test_own_stale(void **state)
{
    static const struct freshness route = {.ttl = 60, .stale = 1000, .stale_error = 2000};
    static const struct {
        int64_t stale_ms, error_ms, since_ms;
        enum usability usability;
    } cases[] = {
        {0, 0, -1, USABLE},
        {0, 0, 0, UNUSABLE},
        {10, 0, 0, USABLE_REFRESH},
        {10, 0, 9, USABLE_REFRESH},
        {10, 0, 10, UNUSABLE},
        {10, 30, 10, USABLE_ON_FAILURE},
        {10, 30, 29, USABLE_ON_FAILURE},
        {10, 30, 30, UNUSABLE},
        {30, 10, 29, USABLE_REFRESH},
        {30, 10, 30, UNUSABLE},
        {0, 10, 0, USABLE_ON_FAILURE},
        {5000000, 0, 4999999, USABLE_REFRESH},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct entry entry = {.status = 200,
                              .fresh_until_ms = NOW_MS - cases[i].since_ms,
                              .has_stale = true,
                              .stale_ms = cases[i].stale_ms,
                              .stale_error_ms = cases[i].error_ms};
        check(i, &route, &entry, 1, cases[i].usability);
        int64_t longest =
            cases[i].stale_ms > cases[i].error_ms ? cases[i].stale_ms : cases[i].error_ms;
        assert_row(i, entry_extra_ms(&entry, freshness_extra_ms(&route)) == longest);
        entry.has_stale = false;
        assert_row(i, entry_extra_ms(&entry, freshness_extra_ms(&route)) == 2000000);
    }
}

static void test_extra(void **state)
{
    static const struct {
        double stale, stale_error;
        int64_t extra_ms;
    } cases[] = {
        {0, 0, 0}, {10, 0, 10000}, {0, 10, 10000}, {10, 30, 30000}, {30, 10, 30000}, {0.25, 0, 250},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct freshness terms = {.ttl = 60,
                                  .stale = cases[i].stale,
                                  .stale_error = cases[i].stale_error};
        assert_row(i, freshness_extra_ms(&terms) == cases[i].extra_ms);

        /* Usable until that moment, but not at it. */
        struct entry entry = {.status = 200,
                              .fresh_until_ms = NOW_MS - cases[i].extra_ms,
                              .made_ms = NOW_MS - cases[i].extra_ms - 60000};
        check(i, &terms, &entry, 1, UNUSABLE);
        entry.fresh_until_ms++;
        assert_row(i, freshness_judge(&terms, &entry, NOW_MS, 1) != UNUSABLE);
    }
}

/* A marker is never served, and nothing prolongs it. */
static void test_marker(void **state)
{
    static const struct freshness terms[] =
        {{.ttl = 60},
         {.ttl = 60, .always_shared = true},
         {.ttl = 60, .stale = 10, .stale_error = 30, .negative = 5, .early = true}};
    static const int64_t lefts[] = {60000, 1, 0, -1, -10000};
    (void)state;
    for (size_t i = 0; i < LENGTH(terms) * LENGTH(lefts); i++) {
        int64_t left_ms = lefts[i / LENGTH(terms)];
        struct entry *marker = entry_of_uncacheable(SLICE("x"), NOW_MS - 60000, 60000 + left_ms);
        bool counts = left_ms > 0 && !terms[i % LENGTH(terms)].always_shared;
        check(i, &terms[i % LENGTH(terms)], marker, 1e-9, counts ? UNCACHEABLE : UNUSABLE);
        entry_unref(marker);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edges),        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_early),        cmocka_unit_test(test_ttl),
        cmocka_unit_test(test_extra),        cmocka_unit_test(test_source_ttl),
        cmocka_unit_test(test_source_stale), cmocka_unit_test(test_own_stale),
        cmocka_unit_test(test_marker),
    };
    return cmocka_run_group_tests_name("freshness", tests, NULL, NULL);
}
