/* base/figures and base/counters: rows by name, of one process and of several. */
#include "base/figures.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/counters.h"
#include "unit.h"

#define ROOM 4096

struct numbers {
    uint64_t a, b;
};

static struct numbers *row(enum figures_kind kind, const char *name)
{
    return figures_row(kind, name, sizeof(struct numbers));
}

static const struct numbers *of(unsigned part, enum figures_kind kind, const char *name)
{
    return figures_of(part, kind, name);
}

static void test_one_process(void **state)
{
    struct numbers *x, *y;
    (void)state;
    assert_false(figures_are_shared());
    assert_true(figures_parts() == 1 && figures_workers() == 0);
    assert_null(of(0, FIGURES_ROUTE, "x"));
    alloc_fail_after(0);
    assert_null(row(FIGURES_ROUTE, "x"));
    alloc_fail_after(-1);
    x = row(FIGURES_ROUTE, "x");
    y = row(FIGURES_ROUTE, "y");
    assert_true(x && y && x != y && x->a == 0 && x->b == 0);
    assert_ptr_equal(row(FIGURES_ROUTE, "x"), x); /* in any order */
    assert_ptr_equal(row(FIGURES_ROUTE, "y"), y);
    assert_ptr_equal(row(FIGURES_ROUTE, "y"), y);
    assert_ptr_not_equal(row(FIGURES_SOURCE, "x"), x); /* each kind has names of its own */
    assert_ptr_equal(of(0, FIGURES_ROUTE, "x"), x);
}

/* Runs it in a child that is worker `worker`, and dies by a signal. */
static void in_worker(unsigned worker, void (*act)(void))
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        figures_join(worker);
        counters_join();
        act();
        raise(SIGKILL);
    }
    assert_true(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
                WTERMSIG(status) == SIGKILL);
}

static void count(void)
{
    row(FIGURES_ROUTE, "x")->a += 3;
    row(FIGURES_ROUTE, "new")->b += 1;
    row(FIGURES_NOW, "")->a = 7;
    counter_add(COUNTER_STORES, 2);
    counter_add(COUNTER_PARKED, 5);
}

static void fill(void)
{
    char name[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "row %d", i);
        row(FIGURES_ROUTE, name)->a = (uint64_t)i + 1;
    }
    for (int i = 0; i < 1000; i++) { /* whether or not there was room, this process finds it */
        snprintf(name, sizeof name, "row %d", i);
        if (row(FIGURES_ROUTE, name)->a != (uint64_t)i + 1 ||
            of(2, FIGURES_ROUTE, name)->a != (uint64_t)i + 1)
            _exit(1);
    }
}

/* What a process has counted stays when it dies, and the next one goes on with it; its current
 * numbers end with it. */
static void test_workers(void **state)
{
    (void)state;
    assert_true(figures_share(3, ROOM));
    assert_true(figures_are_shared() && figures_since() > 0);
    assert_true(figures_parts() == 4 && figures_workers() == 3);
    row(FIGURES_ROUTE, "x")->a = 100; /* of the supervisor: in a part after those of workers */
    assert_true(of(3, FIGURES_ROUTE, "x")->a == 100);
    for (unsigned part = 0; part < 3; part++)
        assert_row(part, !of(part, FIGURES_ROUTE, "x") && !counters_of(part));
    for (uint64_t round = 1; round <= 3; round++) {
        in_worker(1, count);
        assert_int_equal(figures_joined(1), round);
        assert_true(of(1, FIGURES_ROUTE, "x")->a == 3 * round);
        assert_true(of(1, FIGURES_ROUTE, "new")->b == round);
        assert_true(of(1, FIGURES_NOW, "")->a == 7);
        assert_true(counters_of(1)[COUNTER_STORES] == 2 * round);
        assert_true(counters_of(1)[COUNTER_PARKED] == 5);
        figures_end(1);
        counters_end(1);
        assert_true(of(1, FIGURES_NOW, "")->a == 0);
        assert_true(counters_of(1)[COUNTER_PARKED] == 0);
        assert_true(counters_of(1)[COUNTER_STORES] == 2 * round);
    }
    assert_null(of(0, FIGURES_ROUTE, "x"));
    in_worker(2, fill);
    assert_true(of(2, FIGURES_ROUTE, "row 0")->a == 1);
    assert_null(of(2, FIGURES_ROUTE, "row 999"));
    assert_true(of(1, FIGURES_ROUTE, "x")->a == 9);
}

static uint64_t victim[1000]; /* the supervisor's */

#define HEAD 32 /* bytes of a row before its numbers */

/* Lets each pointer and number of a row's head be that value. */
static void forge(enum figures_kind kind, uintptr_t value)
{
    char *numbers = (char *)row(kind, "");
    for (size_t back = sizeof value; back <= HEAD; back += sizeof value)
        memcpy(numbers - back, &value, sizeof value);
}

static void forge_address(void)
{
    forge(FIGURES_ROUTE, (uintptr_t)victim);
}

static void forge_cycle(void)
{
    forge(FIGURES_NOW, (uintptr_t)row(FIGURES_NOW, "") - HEAD);
}

/* A worker that has been taken over does not get the supervisor to write, or to loop. */
static void test_forged(void **state)
{
    static void (*const forgers[])(void) = {forge_address, forge_cycle};
    (void)state;
    for (size_t i = 0; i < LENGTH(forgers); i++) {
        memset(victim, 0x77, sizeof victim);
        victim[0] = 0; /* as a row: the end of the list, its kind and its size */
        victim[1] = FIGURES_NOW;
        victim[2] = 8;
        in_worker(0, forgers[i]);
        figures_end(0);
        counters_end(0);
        assert_null(of(0, FIGURES_SOURCE_NOW, "none"));
        for (size_t k = 3; k < LENGTH(victim); k++)
            assert_row(k, victim[k] == 0x7777777777777777);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_process),
        cmocka_unit_test(test_workers),
        cmocka_unit_test(test_forged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
