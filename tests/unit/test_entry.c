/* cache/entry: encoding and decoding of the envelope, damaged ones, and that a type can't become a
 * header. */
#include "cache/entry.h"

#include <stdio.h>

#include "base/alloc.h"
#include "unit.h"

#define HTML_TYPE    SLICE("text/html; charset=utf-8")
#define FRESH_MAX_MS ((int64_t)100 * 365 * 86400 * 1000) /* as good as for ever */

static void check_shape(const struct entry *entry)
{
    assert_int_equal(entry->references, 1);
    assert_ptr_equal(entry->body.data + entry->body.len, entry->encoded.data + entry->encoded.len);
    assert_int_equal(strlen(entry->etag), ENTRY_ETAG_LEN);
    assert_true(entry->etag[0] == '"' && entry->etag[ENTRY_ETAG_LEN - 1] == '"');
    for (size_t i = 1; i < ENTRY_ETAG_LEN - 1; i++)
        assert_non_null(memchr("0123456789abcdef", entry->etag[i], 16));
    assert_int_equal(entry_footprint(entry), sizeof *entry + entry->encoded.len);
}

static void test_envelope_text(void **state)
{
    (void)state;
    struct entry *entry =
        entry_new(SLICE("text/html"), SLICE("<div id=\"a\">...</div>"), 1732417847123, 60000, 840);
    assert_non_null(entry);
    assert_slice(0, entry->encoded,
                 SLICE("workerless/1 made=1732417847123 fresh=1732417907123 cost=840 status=200 "
                       "type=text/html\n<div id=\"a\">...</div>"));
    check_shape(entry);
    entry_unref(entry);
}

static void test_round_trip(void **state)
{
    static const int64_t numbers[] = {0, 1, 999, 1732417847123, 3153600000000};
    static const struct {
        struct slice type, body;
    } cases[] = {
        {SLICE_INIT("text/html"), SLICE_INIT("<p>hello</p>")},
        {SLICE_INIT("text/html; charset=utf-8"), SLICE_INIT("")},
        {SLICE_INIT("x"), SLICE_INIT("\n")},
        {SLICE_INIT("x=y type=z status=1"), SLICE_INIT("\n\n\0\xff\n")},
        {SLICE_INIT("text/html; q=\"\xc3\xbc\""), SLICE_INIT("workerless/1 made=1\n")},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases) * LENGTH(numbers); i++) {
        struct slice type = cases[i % LENGTH(cases)].type, body = cases[i % LENGTH(cases)].body;
        int64_t number = numbers[i / LENGTH(cases)];
        struct entry *entry = entry_new(type, body, number, number, number);
        assert_non_null(entry);
        check_shape(entry);
        assert_true(entry_is_envelope(entry->encoded));

        struct slice exact = unit_exact(entry->encoded);
        struct entry *back = entry_decode(exact);
        assert_non_null(back);
        memset((char *)(uintptr_t)exact.data, 'x', exact.len); /* bytes are copied */
        unit_drop(exact);
        check_shape(back);
        assert_slice(i, back->type, type);
        assert_slice(i, back->body, body);
        assert_slice(i, back->encoded, entry->encoded);
        assert_row(i, back->status == 200 && back->made_ms == number);
        assert_row(i, back->fresh_until_ms == entry->fresh_until_ms && back->cost_ms == number);
        assert_row(i, back->fresh_until_ms ==
                          number + (number < FRESH_MAX_MS ? number : FRESH_MAX_MS));
        assert_row(i, strcmp(back->etag, entry->etag) == 0);
        entry_unref(back);
        entry_unref(entry);
    }
}

static void test_large_body(void **state)
{
    struct buffer body = {0};
    (void)state;
    while (body.len < (size_t)1 << 20)
        unit_append(&body, "0123456789\n", 11);
    struct entry *entry = entry_new(HTML_TYPE, buffer_slice(&body), 1, 2, 3);
    assert_non_null(entry);
    struct entry *back = entry_decode(entry->encoded);
    assert_non_null(back);
    assert_true(slice_equal(back->body, buffer_slice(&body)));
    entry_unref(back);
    entry_unref(entry);
    buffer_free(&body);
}

/* --- damage --- */

#define SOUND "workerless/1 made=10 fresh=20 cost=3 status=200 type=text/html\nbody"

static const struct {
    struct slice bytes;
    bool sound;
} envelopes[] = {
    {SLICE_INIT(SOUND), true},
    {SLICE_INIT("workerless/1 made=10 fresh=20 cost=0 status=404 type=text/html\n"), true},
    {SLICE_INIT("workerless/1 made=10 fresh=20 cost=0 status=502 type=text/html\n"), true},
    {SLICE_INIT("workerless/1 made=10 fresh=20 cost=0 status=504 type=text/html\nbody"), true},
    {SLICE_INIT("workerless/1 made=999999999999999 fresh=999999999999999 cost=999999999999999 "
                "status=200 type=x\n"),
     true},
    {SLICE_INIT("workerless/1 made=10 fresh=20 cost=0 status=uncacheable type=text/plain\nwhy"),
     true},
    {SLICE_INIT("workerless/1 made=01 fresh=002 cost=0003 status=0200 type=x\n"), true},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 status=200 type= x \n"), true},

    {SLICE_INIT(""), false},
    {SLICE_INIT("\n"), false},
    {SLICE_INIT("workerless/"), false},
    {SLICE_INIT("workerless/1"), false},
    {SLICE_INIT("workerless/1\n"), false},
    {SLICE_INIT("workerless/1 \nbody"), false},
    {SLICE_INIT("workerless/2 made=1 fresh=2 cost=3 status=200 type=x\n"), false},
    {SLICE_INIT("workerless/11 made=1 fresh=2 cost=3 status=200 type=x\n"), false},
    {SLICE_INIT("Workerless/1 made=1 fresh=2 cost=3 status=200 type=x\n"), false},
    {SLICE_INIT(" workerless/1 made=1 fresh=2 cost=3 status=200 type=x\n"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 status=200 type=x"), false},
    {SLICE_INIT("workerless/1  made=1 fresh=2 cost=3 status=200 type=x\n"), false},
    {SLICE_INIT("workerless/1 made=1  fresh=2 cost=3 status=200 type=x\n"), false},
    {SLICE_INIT("workerless/1 made=1\tfresh=2 cost=3 status=200 type=x\n"), false},
    {SLICE_INIT("workerless/1 fresh=2 made=1 cost=3 status=200 type=x\n"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 type=x\n"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 status=200\n"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 status=200 type=x more=1\n"), true},
    {SLICE_INIT("workerless/1 made= fresh=2 cost=3 status=200 type=x\n"), false},
    {SLICE_INIT("workerless/1 made=x fresh=2 cost=3 status=200 type=x\n"), false},
    {SLICE_INIT("workerless/1 made=-1 fresh=2 cost=3 status=200 type=x\n"), false},
    {SLICE_INIT("workerless/1 made=+1 fresh=2 cost=3 status=200 type=x\n"), false},
    {SLICE_INIT("workerless/1 made= 1 fresh=2 cost=3 status=200 type=x\n"), false},
    {SLICE_INIT("workerless/1 made=1e3 fresh=2 cost=3 status=200 type=x\n"), false},
    {SLICE_INIT("workerless/1 made=0x1 fresh=2 cost=3 status=200 type=x\n"), false},
    {SLICE_INIT("workerless/1 made=1000000000000000 fresh=2 cost=3 status=200 type=x\n"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=9999999999999999 cost=3 status=200 type=x\n"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=18446744073709551616 status=200 type=x\n"),
     false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 status=99 type=x\n"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 status=100 type=x\n"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 status=199 type=x\n"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 status=201 type=x\n"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 status=204 type=x\n"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 status=304 type=x\n"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 status=403 type=x\n"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 status=405 type=x\n"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 status=500 type=x\n"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 status=503 type=x\n"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 status=599 type=x\n"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 status=600 type=x\n"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 status=0 type=x\n"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 status=4294967496 type=x\n"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 status= type=x\n"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 status=uncacheabl type=x\n"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 status=uncacheables type=x\n"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 status=Uncacheable type=x\n"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 status=uncacheable200 type=x\n"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 status=200uncacheable type=x\n"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 status=uncacheable\n"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 status=200 type=\n"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 status=200 type=a\rSet-Cookie: x\n"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 status=200 type=a\r\nbody"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 status=200 type=a\0b\n"), false},
    {SLICE_INIT("workerless/1 made=1 fresh=2 cost=3 status=200 type=a\x7f\n"), false},
    {SLICE_INIT("workerless/1 made=1\0 fresh=2 cost=3 status=200 type=x\n"), false},
};

static void test_envelopes(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(envelopes); i++) {
        struct slice exact = unit_exact(envelopes[i].bytes);
        struct entry *entry = entry_decode(exact);
        assert_row(i, (entry != NULL) == envelopes[i].sound);
        if (entry)
            check_shape(entry);
        entry_unref(entry);
        unit_drop(exact);
    }
    assert_null(entry_decode((struct slice){0}));
}

#define HEAD "workerless/1 made=1 fresh=2 cost=3 status=200"

/* What the source has said, and its header fields; each part may be missing, in this order. */
static void test_terms(void **state)
{
    static const struct {
        struct slice bytes;
        bool sound;
        int64_t stale_ms, stale_error_ms; /* negative: it has none */
        bool must_revalidate;
        const char *etag, *last_modified, *kept, *body;
    } cases[] = {
        {SLICE_INIT(HEAD " stale=30000 error=0 type=x\nbody"), true, 30000, 0, false, "", "", "",
         "body"},
        {SLICE_INIT(HEAD " stale=0 error=999999999999999 must-revalidate type=x\nbody"), true, 0,
         999999999999999, true, "", "", "", "body"},
        {SLICE_INIT(HEAD " must-revalidate type=x\n"), true, -1, -1, true, "", "", "", ""},
        {SLICE_INIT(HEAD " fields=10 type=x\netag: \"1\"\nbody"), true, -1, -1, false, "\"1\"", "",
         "", "body"},
        {SLICE_INIT(HEAD " fields=23 type=x\nlast-modified: Sun, 06\nbody"), true, -1, -1, false,
         "", "Sun, 06", "", "body"},
        {SLICE_INIT(HEAD " fields=32 type=x\netag: x\nlast-modified: y\nlink: \nbody"), true, -1,
         -1, false, "x", "y", "link: \n", "body"},
        {SLICE_INIT(HEAD " stale=1 error=2 must-revalidate fields=19 type=x\nlink: a\n"
                         "x: b\nlink: c\netag: d"),
         false, 0, 0, false, "", "", "", ""},
        {SLICE_INIT(HEAD " stale=1 error=2 must-revalidate fields=21 type=x\nlink: a\n"
                         "x: b\nlink: c\n"),
         true, 1, 2, true, "", "", "link: a\nx: b\nlink: c\n", ""},
        {SLICE_INIT(HEAD " fields=0 type=x\netag: x\n"), true, -1, -1, false, "", "", "",
         "etag: x\n"},
        {SLICE_INIT(HEAD " type=x fields=8\netag: x\n"), true, -1, -1, false, "", "", "",
         "etag: x\n"},

        {SLICE_INIT(HEAD " must-revalidate clients=no-store type=x\n"), true, -1, -1, true, "", "",
         "", ""},
        {SLICE_INIT(HEAD " clients=4294967295 fields=0 type=x\nb"), true, -1, -1, false, "", "", "",
         "b"},
        {SLICE_INIT(HEAD " clients=4294967296 type=x\n"), false, 0, 0, false, "", "", "", ""},
        {SLICE_INIT(HEAD " clients=no type=x\n"), false, 0, 0, false, "", "", "", ""},
        {SLICE_INIT(HEAD " clients= type=x\n"), false, 0, 0, false, "", "", "", ""},
        {SLICE_INIT(HEAD " clients=1 must-revalidate type=x\n"), false, 0, 0, false, "", "", "",
         ""},
        {SLICE_INIT(HEAD " stale=1 type=x\n"), false, 0, 0, false, "", "", "", ""},
        {SLICE_INIT(HEAD " error=1 stale=1 type=x\n"), false, 0, 0, false, "", "", "", ""},
        {SLICE_INIT(HEAD " stale=-1 error=1 type=x\n"), false, 0, 0, false, "", "", "", ""},
        {SLICE_INIT(HEAD " must-revalidate stale=1 error=1 type=x\n"), false, 0, 0, false, "", "",
         "", ""},
        {SLICE_INIT(HEAD " fields= type=x\n"), false, 0, 0, false, "", "", "", ""},
        {SLICE_INIT(HEAD " fields=9 type=x\netag: x\n"), false, 0, 0, false, "", "", "", ""},
        {SLICE_INIT(HEAD " fields=7 type=x\netag: x\n"), false, 0, 0, false, "", "", "", ""},
        {SLICE_INIT(HEAD " fields=999999999999999 type=x\netag: x\n"), false, 0, 0, false, "", "",
         "", ""},
        {SLICE_INIT(HEAD " fields=7 type=x\netag: \nbody"), false, 0, 0, false, "", "", "", ""},
        {SLICE_INIT(HEAD " fields=14 type=x\netag: \r\nx: y\r\n\r\n"), false, 0, 0, false, "", "",
         "", ""},
        {SLICE_INIT(HEAD " fields=16 type=x\netag: x\netag: x\n"), false, 0, 0, false, "", "", "",
         ""},
        {SLICE_INIT(HEAD " fields=16 type=x\nset-cookie: a=1\n"), false, 0, 0, false, "", "", "",
         ""},
        {SLICE_INIT(HEAD " fields=6 type=x\nlink:\n"), false, 0, 0, false, "", "", "", ""},
        {SLICE_INIT(HEAD " fields=5 type=x\nlink\n"), false, 0, 0, false, "", "", "", ""},
        {SLICE_INIT(HEAD " fields=4 type=x\n: x\n"), false, 0, 0, false, "", "", "", ""},
        {SLICE_INIT(HEAD " fields=1 type=x\n\n"), false, 0, 0, false, "", "", "", ""},
        {SLICE_INIT(HEAD " fields=8 type=x\nx y: z\n\n"), false, 0, 0, false, "", "", "", ""},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice exact = unit_exact(cases[i].bytes);
        struct entry *entry = entry_decode(exact);
        unit_drop(exact);
        assert_row(i, (entry != NULL) == cases[i].sound);
        if (!entry)
            continue;
        check_shape(entry);
        for (int again = 0; again < 2; again++) { /* the same if only its freshness changes */
            struct entry_terms terms = entry_terms_of(entry);
            assert_row(i, terms.has_stale == (cases[i].stale_ms >= 0));
            assert_row(i, !terms.has_stale || (terms.stale_ms == cases[i].stale_ms &&
                                               terms.stale_error_ms == cases[i].stale_error_ms));
            assert_row(i, terms.must_revalidate == cases[i].must_revalidate);
            assert_slice(i, terms.etag, slice_of(cases[i].etag));
            assert_slice(i, terms.last_modified, slice_of(cases[i].last_modified));
            assert_slice(i, terms.kept, slice_of(cases[i].kept));
            assert_slice(i, entry->body, slice_of(cases[i].body));
            assert_row(i, entry_has_validator(entry) ==
                              (cases[i].etag[0] || cases[i].last_modified[0]));
            struct entry *other = entry_with_freshness(entry, 77);
            assert_non_null(other);
            entry_unref(entry);
            entry = entry_decode(other->encoded);
            assert_non_null(entry);
            entry_unref(other);
        }
        entry_unref(entry);
    }
}

/* The rule by which the body was made, and whether it is HTML. */
static void test_by(void **state)
{
    static const struct {
        struct slice bytes;
        bool sound, is_html;
        uint64_t by;
    } cases[] = {
        {SLICE_INIT(HEAD " type=text/html\n"), true, true, 0},
        {SLICE_INIT(HEAD " type=TEXT/html; charset=utf-8\n"), true, true, 0},
        {SLICE_INIT(HEAD " type=text/htmlx\n"), true, false, 0},
        {SLICE_INIT(HEAD " by=0123456789abcdef type=application/json\n"), true, false,
         0x0123456789abcdef},
        {SLICE_INIT(HEAD " stale=1 error=2 must-revalidate clients=1 by=ffffffffffffffff "
                         "fields=8 type=x\netag: x\n"),
         true, false, UINT64_MAX},
        {SLICE_INIT(HEAD " by=0123456789abcde type=x\n"), false, false, 0},
        {SLICE_INIT(HEAD " by=0123456789abcdef0 type=x\n"), false, false, 0},
        {SLICE_INIT(HEAD " by= type=x\n"), false, false, 0},
        {SLICE_INIT(HEAD " fields=0 by=0123456789abcdef type=x\n"), false, false, 0},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice exact = unit_exact(cases[i].bytes);
        struct entry *entry = entry_decode(exact);
        unit_drop(exact);
        assert_row(i, (entry != NULL) == cases[i].sound);
        if (!entry)
            continue;
        struct entry *other = entry_with_freshness(entry, 77);
        assert_non_null(other);
        struct entry *again = entry_decode(other->encoded);
        assert_non_null(again);
        assert_row(i, entry->is_html == cases[i].is_html && again->is_html == cases[i].is_html);
        assert_row(i, entry->by == cases[i].by && again->by == cases[i].by);
        assert_row(i, entry_terms_of(again).by == cases[i].by);
        entry_unref(again);
        entry_unref(other);
        entry_unref(entry);
    }
}

/* An entry on terms, and the text of its envelope. */
static void test_new_on_terms(void **state)
{
    static char large[2 * KEEP_MAX];
    (void)state;
    struct entry_terms terms = {.has_stale = true,
                                .stale_ms = 30000,
                                .stale_error_ms = 5,
                                .must_revalidate = true,
                                .etag = SLICE("W/\"a\""),
                                .last_modified = SLICE("Sun, 06 Nov 1994 08:49:37 GMT"),
                                .kept = SLICE("link: <a>\n")};
    struct entry *entry =
        entry_new_on_terms(SLICE("text/html"), SLICE("body"), 1000, 500, 7, &terms);
    assert_non_null(entry);
    check_shape(entry);
    assert_slice(0, entry->encoded,
                 SLICE("workerless/1 made=1000 fresh=1500 cost=7 status=200 stale=30000 error=5 "
                       "must-revalidate fields=67 type=text/html\netag: W/\"a\"\n"
                       "last-modified: Sun, 06 Nov 1994 08:49:37 GMT\nlink: <a>\nbody"));
    assert_slice(0, entry_kept(entry), terms.kept);

    /* A failed refresh prolongs it; the end of its stale times stays. */
    static const struct {
        int64_t until_ms, stale_ms, stale_error_ms;
    } cases[] = {{1500, 30000, 5}, {1504, 29996, 1}, {1505, 29995, 0},
                 {9999, 21501, 0}, {31500, 0, 0},    {99999, 0, 0}};
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct entry *prolonged = entry_prolonged(entry, cases[i].until_ms);
        assert_non_null(prolonged);
        assert_row(i, prolonged->fresh_until_ms == cases[i].until_ms);
        assert_row(i, prolonged->stale_ms == cases[i].stale_ms);
        assert_row(i, prolonged->stale_error_ms == cases[i].stale_error_ms);
        assert_slice(i, entry_terms_of(prolonged).etag, terms.etag);
        struct entry *back = entry_decode(prolonged->encoded);
        assert_non_null(back);
        assert_row(i, back->stale_ms == cases[i].stale_ms);
        entry_unref(back);
        entry_unref(prolonged);
    }
    entry_unref(entry);

    /* What is invalid or has no room is left out; the most that there may be is read again. */
    memset(large, 'x', sizeof large);
    for (size_t over = 0; over < 2; over++) {
        char type[127];
        memset(type, 't', sizeof type);
        memcpy(large, "x: ", 3);
        large[KEEP_MAX + over - 1] = '\n';
        struct entry_terms most = {
            .has_stale = true,
            .stale_ms = 999999999999999,
            .stale_error_ms = 999999999999999,
            .must_revalidate = true,
            .etag = {large + KEEP_MAX + 100, TERMS_ETAG_MAX + over},
            .last_modified = {large + KEEP_MAX + 100, TERMS_DATE_MAX + over},
            .kept = {large, KEEP_MAX + over},
        };
        entry = entry_new_on_terms((struct slice){type, sizeof type}, SLICE("b"), 999999999999,
                                   999999999999, 999999999999999, &most);
        assert_non_null(entry);
        large[KEEP_MAX + over - 1] = 'x';
        struct entry_terms kept = entry_terms_of(entry);
        assert_int_equal(kept.etag.len, over ? 0 : TERMS_ETAG_MAX);
        assert_int_equal(kept.last_modified.len, over ? 0 : TERMS_DATE_MAX);
        assert_int_equal(kept.kept.len, over ? 0 : KEEP_MAX);
        struct entry *back = entry_decode(entry->encoded);
        assert_non_null(back);
        assert_slice(over, back->encoded, entry->encoded);
        entry_unref(back);
        entry_unref(entry);
    }
    static const struct slice bad[] = {SLICE_INIT("link: a\r\n"), SLICE_INIT("set-cookie: a\n"),
                                       SLICE_INIT("link: a"), SLICE_INIT("\n")};
    for (size_t i = 0; i < LENGTH(bad); i++) {
        struct entry_terms wrong = {.kept = bad[i],
                                    .etag = SLICE("a\nb"),
                                    .last_modified = SLICE("\r")};
        entry = entry_new_on_terms(SLICE("text/html"), SLICE("b"), 1, 1, 0, &wrong);
        assert_non_null(entry);
        assert_slice(i, entry->encoded,
                     SLICE("workerless/1 made=1 fresh=2 cost=0 status=200 type=text/html\nb"));
        entry_unref(entry);
    }
}

/* Every cut, and every byte replaced: what is not rejected is complete, and harmless. */
static void test_damage(void **state)
{
    struct slice sound = SLICE(SOUND);
    size_t header_len = sound.len - strlen("body");
    (void)state;
    for (size_t len = 0; len <= sound.len; len++) {
        struct slice exact = unit_exact((struct slice){sound.data, len});
        struct entry *entry = entry_decode(exact);
        assert_row(len, (entry != NULL) == (len >= header_len));
        entry_unref(entry);
        unit_drop(exact);
    }
    for (size_t at = 0; at < header_len; at++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            struct slice exact = unit_exact(sound);
            ((char *)(uintptr_t)exact.data)[at] = (char)byte;
            struct entry *entry = entry_decode(exact);
            if (entry) {
                check_shape(entry);
                assert_row(at, slice_equal(entry->encoded, exact));
                assert_true(entry->status == 200 || entry->status == 404 || entry->status == 502 ||
                            entry->status == 504 || entry_is_marker(entry));
                for (size_t i = 0; i < entry->type.len; i++)
                    assert_true((unsigned char)entry->type.data[i] >= 0x20 &&
                                entry->type.data[i] != 0x7f);
            }
            entry_unref(entry);
            unit_drop(exact);
        }
    }
}

/* The longest header line that is written can also be read; much longer ones are not searched for.
 * */
static void test_type_length(void **state)
{
    (void)state;
    for (size_t len = 1; len < 400; len++) {
        char type[400], bytes[500];
        memset(type, 'x', sizeof type);
        int head = snprintf(bytes, sizeof bytes,
                            "workerless/1 made=999999999999999 fresh=999999999999999 "
                            "cost=999999999999999 status=200 type=%.*s\n",
                            (int)len, type);
        struct entry *entry = entry_decode((struct slice){bytes, (size_t)head});
        assert_row(len, (entry != NULL) == (len <= 127));
        entry_unref(entry);

        entry = entry_new((struct slice){type, len}, SLICE("b"), 1, 2, 3);
        assert_non_null(entry);
        assert_slice(len, entry->type, (len <= 127 ? (struct slice){type, len} : HTML_TYPE));
        entry_unref(entry);
    }
}

/* --- types and bodies --- */

/* A type from an upstream can't end its header: it is not used at all. */
static void test_header_injection(void **state)
{
    static const struct slice types[] = {
        SLICE_INIT(""),
        SLICE_INIT("text/html\r\nSet-Cookie: a=b"),
        SLICE_INIT("text/html\n"),
        SLICE_INIT("text/html\r"),
        SLICE_INIT("\ntext/html"),
        SLICE_INIT("text/html\0"),
        SLICE_INIT("text\t/html"),
        SLICE_INIT("text/html\x7f"),
        SLICE_INIT("text/html\x1b[2J"),
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(types); i++) {
        struct entry *entry = entry_new(types[i], SLICE("body"), 1, 2, 3);
        assert_non_null(entry);
        check_shape(entry);
        assert_slice(i, entry->type, HTML_TYPE);
        struct entry *back = entry_decode(entry->encoded);
        assert_non_null(back);
        assert_slice(i, back->body, SLICE("body"));
        entry_unref(back);
        entry_unref(entry);
    }
    struct entry *absent = entry_new((struct slice){0}, (struct slice){0}, 1, 2, 3);
    assert_non_null(absent);
    assert_slice(0, absent->type, HTML_TYPE);
    assert_int_equal(absent->body.len, 0);
    entry_unref(absent);
}

static void test_plain(void **state)
{
    static const struct {
        struct slice bytes;
        bool claims;
    } cases[] = {
        {SLICE_INIT("<p>set by hand</p>"), false}, {SLICE_INIT(""), false},
        {SLICE_INIT("workerless"), false},         {SLICE_INIT("Workerless/1 "), false},
        {SLICE_INIT(" workerless/1 "), false},     {SLICE_INIT("workerless/"), true},
        {SLICE_INIT("workerless/1 made=1"), true}, {SLICE_INIT("workerless/2 other"), true},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice exact = unit_exact(cases[i].bytes);
        assert_row(i, entry_is_envelope(exact) == cases[i].claims);
        struct entry *entry = entry_from_plain(exact, 1000, 500);
        assert_non_null(entry);
        check_shape(entry);
        assert_slice(i, entry->body, exact);
        assert_slice(i, entry->type, HTML_TYPE);
        assert_row(i, entry->status == 200 && entry->made_ms == 1000);
        assert_row(i, entry->fresh_until_ms == 1500 && entry->cost_ms == 0);
        entry_unref(entry);
        unit_drop(exact);
    }
    assert_false(entry_is_envelope((struct slice){0}));

    /* Redis takes an expiry near the end of time (PXAT 9223372036854775807). */
    struct entry *eternal = entry_from_plain(SLICE("x"), 1700000000000, INT64_MAX - 1000);
    assert_non_null(eternal);
    assert_true(eternal->fresh_until_ms > 1700000000000);
    entry_unref(eternal);
}

/* --- failures and staleness --- */

static void test_failure(void **state)
{
    static const struct {
        int status;
        const char *encoded;
    } cases[] = {
        {404, "workerless/1 made=1732417847123 fresh=1732417849123 cost=0 status=404 "
              "type=text/html; charset=utf-8\n"},
        {502, "workerless/1 made=1732417847123 fresh=1732417849123 cost=0 status=502 "
              "type=text/html; charset=utf-8\n"},
        {504, "workerless/1 made=1732417847123 fresh=1732417849123 cost=0 status=504 "
              "type=text/html; charset=utf-8\n"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct entry *entry = entry_of_failure(cases[i].status, 1732417847123, 2000);
        assert_non_null(entry);
        check_shape(entry);
        assert_slice(i, entry->encoded, slice_of(cases[i].encoded));
        assert_int_equal(entry->body.len, 0);
        struct entry *back = entry_decode(entry->encoded);
        assert_non_null(back);
        assert_row(i, back->status == cases[i].status && back->made_ms == 1732417847123);
        assert_row(i, back->fresh_until_ms == 1732417849123 && back->cost_ms == 0);
        assert_slice(i, back->type, HTML_TYPE);
        entry_unref(back);
        entry_unref(entry);
    }
}

/* Its status is a word, which a process that knows only numbers discards; it is still a marker
 * after a soft purge. */
static void test_marker(void **state)
{
    static const struct slice whys[] = {SLICE_INIT(""), SLICE_INIT("Set-Cookie"),
                                        SLICE_INIT("Cache-Control: private\n\0status=200")};
    (void)state;
    for (size_t i = 0; i < LENGTH(whys); i++) {
        struct entry *marker = entry_of_uncacheable(whys[i], 1732417847123, 120000);
        assert_non_null(marker);
        check_shape(marker);
        assert_true(slice_starts(marker->encoded,
                                 SLICE("workerless/1 made=1732417847123 fresh=1732417967123 cost=0 "
                                       "status=uncacheable type=text/plain\n")));
        assert_slice(i, marker->body, whys[i]);
        struct entry *purged = entry_with_freshness(marker, 1732417847124);
        struct entry *back = entry_decode(purged->encoded);
        assert_non_null(back);
        assert_true(entry_is_marker(marker) && entry_is_marker(back));
        assert_row(i, back->made_ms == 1732417847123 && back->fresh_until_ms == 1732417847124);
        assert_slice(i, back->body, whys[i]);
        entry_unref(back);
        entry_unref(purged);
        entry_unref(marker);
    }
}

/* By when it was made and how long it is fresh. */
static void test_same(void **state)
{
    struct entry *one = entry_new(HTML_TYPE, SLICE("a"), 10, 20, 0);
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct entry *other = entry_new(HTML_TYPE, SLICE("b"), 10 + i % 2, 20 + i / 2, 0);
        assert_row((size_t)i, entry_is_same(one, other) == (i == 0));
        entry_unref(other);
    }
    assert_true(entry_is_same(one, one) && entry_is_same(NULL, NULL));
    assert_false(entry_is_same(one, NULL) || entry_is_same(NULL, one));
    entry_unref(one);
}

/* A copy that differs only in how long it is fresh, in its envelope too. */
static void test_with_freshness(void **state)
{
    static const int64_t moments[] = {0, 1, 9, 10, 20, 30, 1732417847123, 999999999999999};
    (void)state;
    for (size_t i = 0; i < 3 * LENGTH(moments); i++) {
        struct entry *entry =
            i % 3 == 0   ? entry_new(SLICE("text/x; y"), SLICE("body\n\0"), 10, 20, 840)
            : i % 3 == 1 ? entry_of_failure(502, 10, 20)
                         : entry_decode(SLICE("workerless/1 made=010 fresh=0030 cost=3 "
                                              "status=200 type= z more=1\n\n"));
        int64_t until_ms = moments[i / 3];
        assert_non_null(entry);
        struct entry *other = entry_with_freshness(entry, until_ms);
        assert_non_null(other);
        check_shape(other);
        assert_int_equal(entry->references, 1); /* nothing is shared */
        assert_int_equal(other->fresh_until_ms, until_ms);
        assert_row(i, other->status == entry->status && other->made_ms == entry->made_ms);
        assert_row(i, other->cost_ms == entry->cost_ms);
        assert_slice(i, other->type, entry->type);
        assert_slice(i, other->body, entry->body);
        assert_string_equal(other->etag, entry->etag);
        assert_int_equal(entry->fresh_until_ms, 30); /* entries don't change */
        entry_unref(entry);

        struct entry *back = entry_decode(other->encoded);
        assert_non_null(back);
        assert_row(i, back->fresh_until_ms == until_ms && back->made_ms == 10);
        assert_slice(i, back->body, other->body);
        entry_unref(back);
        entry_unref(other);
    }
}

/* An entry is not checked when it is made, and once it is, its copies need not be. */
static void test_balance(void **state)
{
    static const struct {
        struct slice body;
        enum entry_balance balance;
    } cases[] = {
        {SLICE_INIT(""), ENTRY_BALANCED},
        {SLICE_INIT("<p>a</p>"), ENTRY_BALANCED},
        {SLICE_INIT("<p>a"), ENTRY_UNBALANCED_IN_PLACE},
        {SLICE_INIT("a</div>"), ENTRY_UNBALANCED_IN_PLACE},
        {SLICE_INIT("<!-- a"), ENTRY_UNBALANCED},
        {SLICE_INIT("<p></p></template>"), ENTRY_UNBALANCED},
        {SLICE_INIT("<p>a\n<textarea>"), ENTRY_UNBALANCED},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct entry *made = entry_new(HTML_TYPE, cases[i].body, 10, 20, 0);
        struct entry *read = entry_decode(made->encoded);
        struct entry *set = entry_from_plain(cases[i].body, 10, 20);
        struct entry *unknown = entry_with_freshness(set, 20);
        assert_row(i, !made->balance && !read->balance && !set->balance && !unknown->balance);
        entry_check_balance(made);
        entry_check_balance(read);
        struct balance found = entry_check_balance(set);
        struct entry *known = entry_with_freshness(set, 20), *prolonged = entry_prolonged(set, 40);
        assert_int_equal(made->balance, cases[i].balance);
        assert_int_equal(read->balance, cases[i].balance);
        assert_int_equal(set->balance, cases[i].balance);
        assert_int_equal(known->balance, cases[i].balance);
        assert_int_equal(prolonged->balance, cases[i].balance);
        assert_row(i, (found.in_place.flaw == BALANCE_NO_FLAW) ==
                          (cases[i].balance == ENTRY_BALANCED));
        assert_row(i, entry_balance_of(&found) == cases[i].balance);
        struct entry *const all[] = {made, read, set, unknown, known, prolonged};
        for (size_t k = 0; k < LENGTH(all); k++)
            entry_unref(all[k]);
    }
}

/* The tag depends on bodies and types, and on nothing else. */
static void test_etag(void **state)
{
    static const struct {
        struct slice type, body;
    } cases[] = {
        {SLICE_INIT("text/html"), SLICE_INIT("body")},
        {SLICE_INIT("text/html"), SLICE_INIT("Body")},
        {SLICE_INIT("text/html"), SLICE_INIT("bod")},
        {SLICE_INIT("text/html"), SLICE_INIT("")},
        {SLICE_INIT("text/htm"), SLICE_INIT("lbody")},
        {SLICE_INIT("text/plain"), SLICE_INIT("body")},
        {SLICE_INIT("text/html"), SLICE_INIT("body\0")},
        {SLICE_INIT("text/plain"), SLICE_INIT("")},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        for (size_t k = 0; k < LENGTH(cases); k++) {
            struct entry *one = entry_new(cases[i].type, cases[i].body, 1, 2, 3);
            struct entry *other = entry_new(cases[k].type, cases[k].body, 1000, 2000, 3000);
            assert_non_null(one);
            assert_non_null(other);
            assert_row(i, (memcmp(one->etag, other->etag, ENTRY_ETAG_LEN) == 0) == (i == k));
            entry_unref(one);
            entry_unref(other);
        }
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    alloc_fail_after(0);
    assert_null(entry_new(HTML_TYPE, SLICE("x"), 1, 2, 3));
    assert_null(entry_decode(SLICE(SOUND)));
    assert_null(entry_from_plain(SLICE("x"), 1, 2));
    assert_null(entry_of_failure(404, 1, 2));
    alloc_fail_after(1);
    struct entry *entry = entry_new(HTML_TYPE, SLICE("x"), 1, 2, 3);
    assert_non_null(entry);
    assert_null(entry_with_freshness(entry, 1));
    alloc_fail_after(-1);
    entry_unref(entry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_envelope_text),  cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_large_body),     cmocka_unit_test(test_envelopes),
        cmocka_unit_test(test_damage),         cmocka_unit_test(test_by),
        cmocka_unit_test(test_terms),          cmocka_unit_test(test_new_on_terms),
        cmocka_unit_test(test_type_length),    cmocka_unit_test(test_header_injection),
        cmocka_unit_test(test_plain),          cmocka_unit_test(test_marker),
        cmocka_unit_test(test_same),           cmocka_unit_test(test_failure),
        cmocka_unit_test(test_with_freshness), cmocka_unit_test(test_balance),
        cmocka_unit_test(test_etag),           cmocka_unit_test(test_no_memory),

    };
    return cmocka_run_group_tests_name("entry", tests, NULL, NULL);
}
