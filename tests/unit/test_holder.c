/* cache/holder: what a lease says of its holder, and what it may not say. */
#include "cache/holder.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

#define TOKEN "0123456789abcdef0123456789abcdef"
#define HOST  "abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ._0123456789" /* of 65 bytes */

static void test_read(void **state)
{
    static const struct {
        struct slice lease, host, pid;
    } cases[] = {
        {SLICE_INIT(TOKEN " web1 4711"), SLICE_INIT("web1"), SLICE_INIT("4711")},
        {SLICE_INIT("t w.example.org 1"), SLICE_INIT("w.example.org"), SLICE_INIT("1")},
        {SLICE_INIT("t a 4294967295"), SLICE_INIT("a"), SLICE_INIT("4294967295")},
        {SLICE_INIT(" a 1"), SLICE_INIT("a"), SLICE_INIT("1")}, /* whatever the token is */
    };
    static const struct slice none[] = {
        SLICE_INIT(""),
        SLICE_INIT(" "),
        SLICE_INIT(TOKEN), /* as processes wrote it that did not sign */
        SLICE_INIT(TOKEN " "),
        SLICE_INIT(TOKEN " web1"),
        SLICE_INIT(TOKEN " web1 "),
        SLICE_INIT(TOKEN "  4711"),
        SLICE_INIT(TOKEN " web1 4711 "),
        SLICE_INIT(TOKEN " web1 4711 x"),
        SLICE_INIT(TOKEN " web1 047"),
        SLICE_INIT(TOKEN " web1 -1"),
        SLICE_INIT(TOKEN " web1 1e3"),
        SLICE_INIT(TOKEN " web1 42949672950"),
        SLICE_INIT(TOKEN " \"},{ 1"),
        SLICE_INIT(TOKEN " a<b 1"),
        SLICE_INIT(TOKEN " a\n 1"),
        SLICE_INIT(TOKEN " a\0 1"),
        SLICE_INIT(TOKEN " \xc3\xbc 1"),
        SLICE_INIT(TOKEN " " HOST " 1"),
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct slice lease = unit_exact(cases[i].lease);
        struct slice holder = holder_read(lease);
        assert_slice(i, holder_host(holder), cases[i].host);
        assert_slice(i, holder_pid(holder), cases[i].pid);
        unit_drop(lease);
    }
    for (size_t i = 0; i < LENGTH(none); i++) {
        struct slice lease = unit_exact(none[i]);
        assert_row(i, holder_read(lease).len == 0);
        unit_drop(lease);
    }
}

static void check_own(void)
{
    char pid[32];
    struct slice holder = holder_of_process();
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    assert_slice(0, holder_pid(holder), slice_of(pid));
    assert_true(holder_host(holder).len > 0 && holder.len <= HOLDER_MAX);
}

/* What is signed can be read; also after a fork. */
static void test_sign(void **state)
{
    char lease[sizeof TOKEN - 1 + HOLDER_SIGNATURE_ROOM];
    int status = -1;
    (void)state;
    check_own();
    holder_sign(lease, SLICE(TOKEN));
    assert_true(slice_starts(slice_of(lease), SLICE(TOKEN " ")));
    assert_slice(0, holder_read(slice_of(lease)), holder_of_process());
    holder_sign(lease, SLICE(""));
    assert_string_equal(lease, "");

    pid_t child = fork();
    if (child == 0) {
        check_own();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    check_own();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_sign),
    };
    return cmocka_run_group_tests_name("holder", tests, NULL, NULL);
}
