/* fastcgi/params: encoding and decoding of pairs, and that no length leads outside of the stream.
 * */
#include "fastcgi/params.h"

#include "unit.h"

/* Up to three pairs that a stream holds, and how it ends. */
struct params_case {
    struct slice stream;
    struct {
        struct slice name, value;
    } pairs[3];
    size_t count;
    enum params_step end;
};

#define X127                                                                                       \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"                             \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

/* String literals are cut wherever a letter would go on with a hex escape. */
static const struct params_case cases[] = {
    {SLICE_INIT(""), {{{0}, {0}}}, 0, PARAMS_END},
    {SLICE_INIT("\1\1ab"), {{SLICE_INIT("a"), SLICE_INIT("b")}}, 1, PARAMS_END},
    {SLICE_INIT("\4\5NAMEvalue"), {{SLICE_INIT("NAME"), SLICE_INIT("value")}}, 1, PARAMS_END},
    {SLICE_INIT("\1\1ab\2\0cd\0\2ef"),
     {{SLICE_INIT("a"), SLICE_INIT("b")},
      {SLICE_INIT("cd"), SLICE_INIT("")},
      {SLICE_INIT(""), SLICE_INIT("ef")}},
     3,
     PARAMS_END},

    /* Checklist 27: four bytes where one would do, for the name, the value, both. */
    {SLICE_INIT("\x80\0\0\1\1ab"), {{SLICE_INIT("a"), SLICE_INIT("b")}}, 1, PARAMS_END},
    {SLICE_INIT("\1\x80\0\0\1ab"), {{SLICE_INIT("a"), SLICE_INIT("b")}}, 1, PARAMS_END},
    {SLICE_INIT("\x80\0\0\1\x80\0\0\1ab\1\1cd"),
     {{SLICE_INIT("a"), SLICE_INIT("b")}, {SLICE_INIT("c"), SLICE_INIT("d")}},
     2,
     PARAMS_END},
    {SLICE_INIT("\x80\0\0\0\x80\0\0\0"), {{SLICE_INIT(""), SLICE_INIT("")}}, 1, PARAMS_END},

    /* The last length of one byte and the first of four; h2o writes 127 in four. */
    {SLICE_INIT("\1\x7f"
                "n" X127),
     {{SLICE_INIT("n"), SLICE_INIT(X127)}},
     1,
     PARAMS_END},
    {SLICE_INIT("\1\x80\0\0\x7f"
                "n" X127),
     {{SLICE_INIT("n"), SLICE_INIT(X127)}},
     1,
     PARAMS_END},
    {SLICE_INIT("\1\x80\0\0\x80"
                "n" X127 "y"),
     {{SLICE_INIT("n"), SLICE_INIT(X127 "y")}},
     1,
     PARAMS_END},

    /* Checklist 32: empties, alone and among others. */
    {SLICE_INIT("\0\0"), {{SLICE_INIT(""), SLICE_INIT("")}}, 1, PARAMS_END},
    {SLICE_INIT("\0\0\0\0\1\0a"),
     {{SLICE_INIT(""), SLICE_INIT("")},
      {SLICE_INIT(""), SLICE_INIT("")},
      {SLICE_INIT("a"), SLICE_INIT("")}},
     3,
     PARAMS_END},

    /* Checklist 34: any byte may stand in a name or value. */
    {SLICE_INIT("\2\5\0\n\0\r\n\xff\x80"),
     {{SLICE_INIT("\0\n"), SLICE_INIT("\0\r\n\xff\x80")}},
     1,
     PARAMS_END},

    /* Checklist 29: lengths past everything. */
    {SLICE_INIT("\xff\xff\xff\xff\xff\xff\xff\xff"), {{{0}, {0}}}, 0, PARAMS_BAD},
    {SLICE_INIT("\xff\xff\xff\xff\xff\xff\xff\xff"
                "ab"),
     {{{0}, {0}}},
     0,
     PARAMS_BAD},
    {SLICE_INIT("\xff\xff\xff\xff\0ab"), {{{0}, {0}}}, 0, PARAMS_BAD},
    {SLICE_INIT("\0\xff\xff\xff\xff"
                "ab"),
     {{{0}, {0}}},
     0,
     PARAMS_BAD},
    {SLICE_INIT("\1\1ab\x80\0\1\0\0"), {{SLICE_INIT("a"), SLICE_INIT("b")}}, 1, PARAMS_BAD},
    {SLICE_INIT("\x81\0\0\0\0"), {{{0}, {0}}}, 0, PARAMS_BAD},
    {SLICE_INIT("\x80\1\0\0\0"), {{{0}, {0}}}, 0, PARAMS_BAD},

    /* Checklist 30: the last pair is cut; each place comes in test_prefixes. */
    {SLICE_INIT("\1\1a"), {{{0}, {0}}}, 0, PARAMS_BAD},
    {SLICE_INIT("\1\1ab\3"), {{SLICE_INIT("a"), SLICE_INIT("b")}}, 1, PARAMS_BAD},
    {SLICE_INIT("\x80"), {{{0}, {0}}}, 0, PARAMS_BAD},
    {SLICE_INIT("\0"), {{{0}, {0}}}, 0, PARAMS_BAD},
};

static bool inside(struct slice part, struct slice whole)
{
    return part.data >= whole.data && part.len <= whole.len &&
           (size_t)(part.data - whole.data) <= whole.len - part.len;
}

/* Decodes from a block of exactly that size, and checks that names and values follow one another.
 * Returns how it ended and how many pairs there were. */
static enum params_step decode(struct slice stream, size_t *count)
{
    struct slice exact = unit_exact(stream), rest = exact, name, value;
    enum params_step step;
    *count = 0;
    while ((step = params_next(&rest, &name, &value)) == PARAMS_PAIR) {
        assert_true(inside(name, exact));
        assert_true(inside(value, exact));
        assert_ptr_equal(name.data + name.len, value.data);
        assert_ptr_equal(value.data + value.len, rest.data);
        assert_ptr_equal(rest.data + rest.len, exact.data + exact.len);
        ++*count;
    }
    unit_drop(exact);
    return step;
}

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice exact = unit_exact(cases[i].stream), rest = exact, name, value;
        for (size_t k = 0; k < cases[i].count; k++) {
            assert_row(i, params_next(&rest, &name, &value) == PARAMS_PAIR);
            assert_slice(i, name, cases[i].pairs[k].name);
            assert_slice(i, value, cases[i].pairs[k].value);
        }
        assert_row(i, params_next(&rest, &name, &value) == cases[i].end);
        unit_drop(exact);
    }
}

/* A valid stream, cut anywhere: valid between two pairs, bad everywhere else. */
static void test_prefixes(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        if (cases[i].end != PARAMS_END)
            continue;
        struct slice stream = cases[i].stream, rest = stream, name, value;
        size_t pairs_before = 0, next_end = 0, count;
        for (size_t len = 0; len <= stream.len; len++) {
            if (len == next_end && len > 0)
                pairs_before++;
            enum params_step step = decode((struct slice){.data = stream.data, .len = len}, &count);
            assert_row(i, count == pairs_before);
            assert_row(i, step == (len == next_end ? PARAMS_END : PARAMS_BAD));
            if (len == next_end && len < stream.len) {
                assert_int_equal(params_next(&rest, &name, &value), PARAMS_PAIR);
                next_end = (size_t)(rest.data - stream.data);
            }
        }
        assert_row(i, pairs_before == cases[i].count);
    }
}

/* Every name length and value length of one byte, with exactly that many bytes, or one less. */
static void test_exact_room(void **state)
{
    char bytes[2 + 2 * 127] = {0};
    (void)state;
    for (unsigned name_len = 0; name_len < 128; name_len++) {
        for (unsigned value_len = 0; value_len < 128; value_len++) {
            size_t count, len = 2 + name_len + value_len;
            bytes[0] = (char)name_len;
            bytes[1] = (char)value_len;
            assert_int_equal(decode((struct slice){bytes, len}, &count), PARAMS_END);
            assert_int_equal(count, 1);
            assert_int_equal(decode((struct slice){bytes, len - 1}, &count), PARAMS_BAD);
            assert_int_equal(count, 0);
        }
    }
}

/* Each bit of a four byte length counts. */
static void test_length_bits(void **state)
{
    enum { PLACES = 31 };
    (void)state;
    for (unsigned bit = 0; bit < PLACES; bit++) {
        uint32_t value_len = (uint32_t)1 << bit;
        const char head[] = {
            0,
            (char)(0x80 | value_len >> 24),
            (char)(value_len >> 16),
            (char)(value_len >> 8),
            (char)value_len,
        };
        struct slice rest = {.data = head, .len = sizeof head}, name, value;
        assert_int_equal(params_next(&rest, &name, &value), PARAMS_BAD);
        if (bit > 20)
            continue;
        struct buffer stream = {0};
        size_t count;
        unit_append(&stream, head, sizeof head);
        while (stream.len < sizeof head + value_len)
            unit_append(&stream, "0123456789abcdef",
                        sizeof head + value_len - stream.len < 16
                            ? sizeof head + value_len - stream.len
                            : 16);
        assert_int_equal(decode(buffer_slice(&stream), &count), PARAMS_END);
        assert_int_equal(count, 1);
        stream.len--;
        assert_int_equal(decode(buffer_slice(&stream), &count), PARAMS_BAD);
        buffer_free(&stream);
    }
}

/* Noise, with lengths that are likely to matter: it ends, and never reads outside. */
static void test_noise(void **state)
{
    static const char likely[] = {0, 1, 2, 3, 4, 7, 'a', 0x7f, (char)0x80, (char)0xff};
    size_t ends = 0, rounds = 20000;
    (void)state;
    for (size_t round = 0; round < rounds; round++) {
        char bytes[48];
        size_t len = unit_random(sizeof bytes + 1), count;
        for (size_t i = 0; i < len; i++)
            bytes[i] = unit_random(3) ? likely[unit_random(sizeof likely)] : (char)unit_random(256);
        enum params_step step = decode((struct slice){bytes, len}, &count);
        assert_true(step == PARAMS_END || step == PARAMS_BAD);
        assert_true(2 * count <= len);
        ends += step == PARAMS_END;
    }
    assert_true(ends > 0 && ends < rounds);
}

static void test_encode(void **state)
{
    char text[127], out[2 + 2 * sizeof text + 1];
    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i + 1);
    for (size_t name_len = 0; name_len < 128; name_len++) {
        for (size_t value_len = 0; value_len < 128; value_len++) {
            struct slice name = {.data = text, .len = name_len}, name_back;
            struct slice value = {.data = text + sizeof text - value_len, .len = value_len};
            struct slice value_back;
            memset(out, 0x55, sizeof out);
            size_t len = params_encode_short(out, name, value);
            assert_int_equal(len, 2 + name_len + value_len);
            assert_int_equal(out[len], 0x55);
            struct slice rest = {.data = out, .len = len};
            assert_int_equal(params_next(&rest, &name_back, &value_back), PARAMS_PAIR);
            assert_int_equal(rest.len, 0);
            assert_slice(name_len, name_back, name);
            assert_slice(value_len, value_back, value);
        }
    }
}

/* Lengths of one byte and of four (FastCGI 1.0, 3.4). */
static void test_encode_long(void **state)
{
    static const size_t lens[] = {0, 1, 127, 128, 255, 256, 65535, 65536, 70000};
    char *text = test_malloc(70000), *out = test_malloc(PARAMS_LENGTHS_MAX + 2 * 70000);
    (void)state;
    for (size_t i = 0; i < 70000; i++)
        text[i] = (char)unit_random(256);
    for (size_t n = 0; n < LENGTH(lens); n++) {
        for (size_t v = 0; v < LENGTH(lens); v++) {
            struct slice name = {.data = text, .len = lens[n]}, name_back;
            struct slice value = {.data = text + 70000 - lens[v], .len = lens[v]}, value_back;
            size_t len = params_encode(out, name, value);
            assert_int_equal(len,
                             lens[n] + lens[v] + (lens[n] < 128 ? 1 : 4) + (lens[v] < 128 ? 1 : 4));
            struct slice exact = unit_exact((struct slice){out, len}), rest = exact;
            assert_int_equal(params_next(&rest, &name_back, &value_back), PARAMS_PAIR);
            assert_int_equal(rest.len, 0);
            assert_slice(n, name_back, name);
            assert_slice(v, value_back, value);
            unit_drop(exact);
        }
    }
    test_free(text);
    test_free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),       cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_exact_room),  cmocka_unit_test(test_length_bits),
        cmocka_unit_test(test_noise),       cmocka_unit_test(test_encode),
        cmocka_unit_test(test_encode_long),
    };
    return cmocka_run_group_tests_name("params", tests, NULL, NULL);
}
