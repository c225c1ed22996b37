/* source/http_memory: blocks for libcurl. */
#include "source/http_memory.h"

#include "unit.h"

static const size_t sizes[] = {0,    1,    8,    9,    24,    25,    40,    41,    1000,
                               1016, 1017, 1032, 1033, 16384, 16385, 16386, 100000};

/* Whether blocks are kept: not if malloc looks for errors. */
static bool keeps(void)
{
    size_t before = http_memory_kept();
    http_memory_free(http_memory_get(100));
    return http_memory_kept() > before;
}

/* Each block has its size, and is no other's. */
static void test_blocks(void **state)
{
    char *blocks[LENGTH(sizes)];
    (void)state;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < LENGTH(sizes); i++) {
            blocks[i] = http_memory_get(sizes[i]);
            assert_non_null(blocks[i]);
            memset(blocks[i], (int)i, sizes[i]);
        }
        for (size_t i = 0; i < LENGTH(sizes); i++) {
            for (size_t at = 0; at < sizes[i]; at++)
                assert_row(i, blocks[i][at] == (char)i);
            http_memory_free(blocks[i]);
        }
    }
    http_memory_free(NULL);
}

static void test_zeroed(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        char *block = http_memory_get(2 * sizes[i]);
        assert_non_null(block);
        memset(block, 'x', 2 * sizes[i]);
        http_memory_free(block);
        block = http_memory_get_zeroed(2, sizes[i]);
        for (size_t at = 0; at < 2 * sizes[i]; at++)
            assert_row(i, block[at] == 0);
        http_memory_free(block);
    }
    assert_null(http_memory_get_zeroed(SIZE_MAX / 2, 3));
}

static void test_resized(void **state)
{
    (void)state;
    for (size_t from = 0; from < LENGTH(sizes); from++)
        for (size_t to = 0; to < LENGTH(sizes); to++) {
            char *block = http_memory_get(sizes[from]);
            memset(block, 'x', sizes[from]);
            block = http_memory_get_resized(block, sizes[to] + 1);
            assert_non_null(block);
            for (size_t at = 0; at < sizes[from] && at < sizes[to]; at++)
                assert_row(from, block[at] == 'x');
            memset(block, 'y', sizes[to] + 1);
            http_memory_free(block);
        }
    http_memory_free(http_memory_get_resized(NULL, 10));
}

static void test_copy(void **state)
{
    (void)state;
    char *copy = http_memory_get_copy("text"), *empty = http_memory_get_copy("");
    assert_string_equal(copy, "text");
    assert_string_equal(empty, "");
    http_memory_free(copy);
    http_memory_free(empty);
}

/* A freed block is the next one of its size; more than the bound is not kept. */
static void test_kept(void **state)
{
    static void *blocks[2 * HTTP_MEMORY_KEPT_MAX / 16385];
    (void)state;
    if (!keeps())
        skip();
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        bool is_usual = sizes[i] <= 1016 || sizes[i] == 16385;
        void *block = http_memory_get(sizes[i]);
        http_memory_free(block);
        void *again = http_memory_get(sizes[i]);
        if (is_usual)
            assert_row(i, again == block);
        http_memory_free(again);
    }
    for (size_t i = 0; i < LENGTH(blocks); i++)
        blocks[i] = http_memory_get(16385);
    for (size_t i = 0; i < LENGTH(blocks); i++)
        http_memory_free(blocks[i]);
    assert_in_range(http_memory_kept(), HTTP_MEMORY_KEPT_MAX - 20000, HTTP_MEMORY_KEPT_MAX);
}

static int set_up_group(void **state)
{
    (void)state;
    return http_memory_init() == CURLE_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),  cmocka_unit_test(test_zeroed),
        cmocka_unit_test(test_resized), cmocka_unit_test(test_copy),
        cmocka_unit_test(test_kept),
    };
    return cmocka_run_group_tests_name("http_memory", tests, set_up_group, NULL);
}
