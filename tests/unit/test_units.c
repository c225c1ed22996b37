/* conf/units: which texts are numbers with a unit, and the messages about others. */
#include "conf/units.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define COUNT(array)     (sizeof(array) / sizeof *(array))
#define BARE_DURATION    "a bare number; write it with a unit: 60s, 5m, 250ms"
#define NO_DURATION      "not a duration; write it like 60s, 5m or 250ms"
#define NO_DURATION_UNIT "no such unit; a duration is in us, ms, s, m, h or d"
#define NO_SIZE_UNIT     "no such unit; a size is in B, KiB, MiB or GiB (1KiB is 1024B)"
#define NO_SIZE          "not a size; write it like 512B, 64KiB or 1MiB"

static void test_duration(void **state)
{
    static const struct {
        const char *text;
        double seconds; /* -1: refused */
        const char *wrong;
    } cases[] = {
        {"60s", 60, NULL},
        {"5m", 300, NULL},
        {"250ms", .25, NULL},
        {"1.5s", 1.5, NULL},
        {"0.1s", .1, NULL},
        {"100us", .0001, NULL},
        {"2h", 7200, NULL},
        {"1d", 86400, NULL},
        {"0.5d", 43200, NULL},
        {"0", 0, NULL},
        {"0s", 0, NULL},
        {"0.0ms", 0, NULL},
        {"007s", 7, NULL},
        {"1.000000000000000000000000000000000000000000000000001s", 1, NULL},
        {"60", -1, BARE_DURATION},
        {"1.5", -1, BARE_DURATION},
        {"00", -1, BARE_DURATION},
        {"0.0", -1, BARE_DURATION},
        {"", -1, NO_DURATION},
        {"s", -1, NO_DURATION},
        {"-1s", -1, NO_DURATION},
        {"+1s", -1, NO_DURATION},
        {" 1s", -1, NO_DURATION},
        {".5s", -1, NO_DURATION},
        {"inf", -1, NO_DURATION},
        {"1.s", -1, NO_DURATION_UNIT},
        {"1,5s", -1, NO_DURATION_UNIT},
        {"1e3s", -1, NO_DURATION_UNIT},
        {"0x10s", -1, NO_DURATION_UNIT},
        {"60 s", -1, NO_DURATION_UNIT},
        {"60sec", -1, NO_DURATION_UNIT},
        {"5M", -1, NO_DURATION_UNIT},
        {"1h30m", -1, NO_DURATION_UNIT},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        double seconds = -1;
        const char *wrong = units_parse_duration(cases[i].text, &seconds);
        if (seconds != cases[i].seconds)
            fail_msg("\"%s\": %.17g", cases[i].text, seconds);
        if (cases[i].wrong)
            assert_string_equal(wrong, cases[i].wrong);
        else
            assert_null(wrong);
    }
}

static void test_range(void **state)
{
    static const struct {
        const char *text;
        double low, high; /* -1: refused */
    } cases[] = {
        {"0-3s", 0, 3},      {"0s-3s", 0, 3}, {"100ms-2s", .1, 2}, {"500ms", .5, .5},
        {"2s-2s", 2, 2},     {"0", 0, 0},     {"0-0", 0, 0},       {"3s-1s", -1, -1},
        {"1-3s", -1, -1},    {"3", -1, -1},   {"0-3", -1, -1},     {"-3s", -1, -1},
        {"3s-", -1, -1},     {"-", -1, -1},   {"", -1, -1},        {"1s-2s-3s", -1, -1},
        {"1s - 2s", -1, -1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        double low = -1, high = -1;
        const char *wrong = units_parse_range(cases[i].text, &low, &high);
        if (low != cases[i].low || high != cases[i].high || !wrong != (high >= 0))
            fail_msg("\"%s\": %g-%g", cases[i].text, low, high);
    }
}

static void test_size(void **state)
{
    static const struct {
        const char *text;
        size_t bytes; /* 7: refused */
        const char *wrong;
    } cases[] = {
        {"64KiB", 65536, NULL},
        {"1MiB", 1 << 20, NULL},
        {"2GiB", (size_t)2 << 30, NULL},
        {"512B", 512, NULL},
        {"0", 0, NULL},
        {"0MiB", 0, NULL},
        {"18446744073709551615B", SIZE_MAX, NULL},
        {"18446744073709551616B", 7, "too large"},
        {"99999999999999999999999999999999999B", 7, "too large"},
        {"17179869183GiB", (size_t)17179869183 << 30, NULL},
        {"17179869184GiB", 7, "too large"},
        {"64", 7, "a bare number; write it with a unit: 512B, 64KiB, 1MiB"},
        {"64KB", 7, NO_SIZE_UNIT},
        {"64k", 7, NO_SIZE_UNIT},
        {"64kib", 7, NO_SIZE_UNIT},
        {"64 KiB", 7, NO_SIZE_UNIT},
        {"1.5MiB", 7, "not a whole number; write the next smaller unit: 1536KiB, not 1.5MiB"},
        {"", 7, NO_SIZE},
        {"-1B", 7, NO_SIZE},
        {"KiB", 7, NO_SIZE},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t bytes = 7;
        const char *wrong = units_parse_size(cases[i].text, &bytes);
        if (bytes != cases[i].bytes)
            fail_msg("\"%s\": %zu", cases[i].text, bytes);
        if (cases[i].wrong)
            assert_string_equal(wrong, cases[i].wrong);
        else
            assert_null(wrong);
    }
}

static void test_count_and_mode(void **state)
{
    static const struct {
        const char *text;
        size_t count; /* 7: refused */
    } counts[] = {
        {"0", 0},       {"1024", 1024}, {"010", 10}, {"18446744073709551615", SIZE_MAX},
        {"", 7},        {"-1", 7},      {"+1", 7},   {"18446744073709551616", 7},
        {"1.0", 7},     {"0x10", 7},    {"1e5", 7},  {"100k", 7},
        {"100000 ", 7},
    };
    static const struct {
        const char *text;
        unsigned mode; /* 7: refused */
    } modes[] = {
        {"0660", 0660}, {"660", 0660}, {"0777", 0777}, {"0000", 0}, {"1777", 7},  {"0680", 7},
        {"66", 7},      {"00660", 7},  {"", 7},        {"-660", 7}, {"rw-rw", 7},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(counts); i++) {
        size_t count = 7;
        const char *wrong = units_parse_count(counts[i].text, &count);
        if (count != counts[i].count || !wrong != (count != 7))
            fail_msg("\"%s\": %zu", counts[i].text, count);
    }
    for (size_t i = 0; i < COUNT(modes); i++) {
        unsigned mode = 7;
        const char *wrong = units_parse_mode(modes[i].text, &mode);
        if (mode != modes[i].mode || !wrong != (mode != 7))
            fail_msg("\"%s\": %o", modes[i].text, mode);
    }
}

static void test_rate(void **state)
{
    static const struct {
        const char *text;
        size_t count; /* 7: refused */
        double seconds;
    } cases[] = {
        {"5 in 10s", 5, 10},
        {"1 in 1ms", 1, 0.001},
        {"1000 in 1.5m", 1000, 90},
        {"", 0, 0},
        {"0 in 10s", 7, 7},
        {"5 in 0", 7, 7},
        {"5 in 0s", 7, 7},
        {"5", 7, 7},
        {"5 in", 7, 7},
        {"5 in ", 7, 7},
        {"5 in 10", 7, 7},
        {"5in10s", 7, 7},
        {"5  in 10s", 7, 7},
        {" 5 in 10s", 7, 7},
        {"5 in 10s ", 7, 7},
        {"-5 in 10s", 7, 7},
        {"5 in -10s", 7, 7},
        {"five in 10s", 7, 7},
        {"5/10s", 7, 7},
        {"in 10s", 7, 7},
        {"5 IN 10s", 7, 7},
        {"5 in 10s 5", 7, 7},
        {" ", 7, 7},
        {"18446744073709551616 in 1s", 7, 7},
        {"1.5 in 10s", 7, 7},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t count = 7;
        double seconds = 7;
        const char *wrong = units_parse_rate(cases[i].text, &count, &seconds);
        if (count != cases[i].count || seconds != cases[i].seconds || !wrong != (count != 7))
            fail_msg("\"%s\": %zu in %g", cases[i].text, count, seconds);
    }
}

static void test_share(void **state)
{
    static const struct {
        const char *text;
        double share; /* 7: refused */
    } cases[] = {
        {"1", 1},      {"0", 0},       {"0.5", .5},     {"1.0", 1},
        {"0.01", .01}, {"1/100", .01}, {"3/4", .75},    {"100/100", 1},
        {"0/5", 0},    {"0.5/2", .25}, {"1/1.0", 1},    {"0.0000000001", 0},
        {"", 7},       {"2", 7},       {"1.000001", 7}, {"101/100", 7},
        {"1/0", 7},    {"0/0", 7},     {"-1", 7},       {"-0.5", 7},
        {"1/-2", 7},   {".5", 7},      {"1.", 7},       {"50%", 7},
        {"1 / 2", 7},  {" 1", 7},      {"1 ", 7},       {"1/", 7},
        {"/2", 7},     {"1/2/3", 7},   {"1e-2", 7},     {"0x1", 7},
        {"inf", 7},    {"nan", 7},     {"all", 7},      {"1 in 100", 7},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        double share = 7;
        const char *wrong = units_parse_share(cases[i].text, &share);
        if (share != cases[i].share || !wrong != (share < 7))
            fail_msg("\"%s\": %g", cases[i].text, share);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_duration), cmocka_unit_test(test_range),
        cmocka_unit_test(test_size),     cmocka_unit_test(test_count_and_mode),
        cmocka_unit_test(test_rate),     cmocka_unit_test(test_share),
    };
    return cmocka_run_group_tests_name("units", tests, NULL, NULL);
}
