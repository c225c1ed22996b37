/* base/signals, in processes of their own. */
#include "base/signals.h"

#include <signal.h>

#include "forked.h"

static volatile sig_atomic_t handled;

static void on_signal(int number)
{
    handled = number;
}

static void raise_held(const void *argument)
{
    signals_hold();
    raise(*(const int *)argument);
}

static void raise_ignored(const void *argument)
{
    signals_hold();
    signals_ignore(*(const int *)argument);
    raise(*(const int *)argument);
    signals_release();
}

/* Held back, then handled; exits with 1 otherwise. */
static void raise_then_release(const void *argument)
{
    int number = *(const int *)argument;
    signals_hold();
    raise(number);
    signal(number, on_signal);
    if (handled)
        _exit(1);
    signals_release();
    if (handled != number)
        _exit(1);
}

/* A handler that is there already stays. */
static void raise_handled(const void *argument)
{
    signal(*(const int *)argument, on_signal);
    signals_hold();
    raise(*(const int *)argument);
    if (handled != *(const int *)argument)
        _exit(1);
}

static bool survives(void (*function)(const void *argument), int number)
{
    char text[100];
    return run_forked(function, &number, text, sizeof text) == 0;
}

static void test_signals(void **state)
{
    enum { ENDS, IGNORED, HELD };
    static const struct {
        int number, what;
    } cases[] = {
        {SIGTERM, ENDS},    {SIGINT, ENDS},     {SIGABRT, ENDS},      {SIGXCPU, ENDS},
        {SIGHUP, HELD},     {SIGQUIT, HELD},    {SIGUSR1, HELD},      {SIGUSR2, HELD},
        {SIGPIPE, IGNORED}, {SIGALRM, IGNORED}, {SIGVTALRM, IGNORED}, {SIGPROF, IGNORED},
        {SIGXFSZ, IGNORED}, {SIGPOLL, IGNORED},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        int number = cases[i].number;
        signal(number, SIG_DFL); /* a shell ignores SIGINT for what it runs in the background */
        assert_row(i, survives(raise_held, number) == (cases[i].what != ENDS));
        assert_row(i, survives(raise_ignored, number));
        assert_row(i, survives(raise_then_release, number) == (cases[i].what == HELD));
        assert_row(i, survives(raise_handled, number) == (cases[i].what != HELD));
    }
    for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
        assert_row((size_t)number, survives(raise_held, number));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_signals)};
    return cmocka_run_group_tests_name("signals", tests, NULL, NULL);
}
