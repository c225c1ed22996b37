/* Hash tables keyed by what strangers send. */
#include <sys/wait.h>
#include <unistd.h>

#include "base/table.h"
#include "unit.h"

#define KEYS 64
#define BITS 12
#define LOW  ((1U << BITS) - 1)

/* Keys that share a bucket with uthash's own hash function, which is public. */
static void craft(uint32_t keys[KEYS])
{
    uint32_t wanted = 0;
    size_t found = 0;
    for (uint32_t key = 0; found < KEYS; key++) {
        uint32_t hash;
        HASH_JEN(&key, sizeof key, hash);
        if (found == 0)
            wanted = hash & LOW;
        if ((hash & LOW) == wanted)
            keys[found++] = key;
    }
}

static void test_crafted_keys_spread(void **state)
{
    uint32_t keys[KEYS];
    bool taken[LOW + 1] = {false};
    size_t buckets = 0;
    (void)state;
    craft(keys);
    for (size_t i = 0; i < KEYS; i++) {
        unsigned hash;
        HASH_FUNCTION(&keys[i], sizeof keys[i], hash);
        buckets += !taken[hash & LOW];
        taken[hash & LOW] = true;
    }
    assert_true(buckets > KEYS * 3 / 4);
}

/* Runs first: a child that is forked later has our secret. */
static void test_secret_of_each_process(void **state)
{
    uint64_t hashes[2] = {0};
    (void)state;
    for (size_t i = 0; i < LENGTH(hashes); i++) {
        int ends[2], status;
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            uint64_t hash = table_hash("key", 3);
            _exit(hash == table_hash("key", 3) && write(ends[1], &hash, sizeof hash) == 8 ? 0 : 1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_int_equal(read(ends[0], &hashes[i], sizeof hashes[i]), 8);
        close(ends[0]);
        close(ends[1]);
    }
    assert_true(hashes[0] != hashes[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secret_of_each_process),
        cmocka_unit_test(test_crafted_keys_spread),
    };
    return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
