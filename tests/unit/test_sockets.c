/* wire/sockets: opening sockets leaves signals as they were. */
#include "unit.h"

#include <signal.h>

#include "wire/sockets.h"

static const int numbers[] = {SIGTERM, SIGINT, SIGUSR1, SIGPIPE};

/* libfcgi would handle them, so one that comes before the loop runs would do nothing. */
static void test_signals(void **state)
{
    static const char *const addresses[] = {"tcp:127.0.0.1:0"};
    struct listener_settings settings = {.addresses = addresses, .count = 1};
    struct sigaction action;
    sigset_t blocked;
    (void)state;
    for (size_t i = 0; i < LENGTH(numbers); i++)
        signal(numbers[i], SIG_DFL);
    struct sockets *sockets = sockets_open(&settings, 1);
    assert_non_null(sockets);
    assert_int_equal(sockets->count, 1);
    sigprocmask(SIG_BLOCK, NULL, &blocked);
    for (size_t i = 0; i < LENGTH(numbers); i++) {
        assert_int_equal(sigaction(numbers[i], NULL, &action), 0);
        assert_row(i, action.sa_handler == SIG_DFL);
        assert_row(i, !sigismember(&blocked, numbers[i]));
    }
    sockets_close(sockets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signals),
    };
    return cmocka_run_group_tests_name("sockets", tests, NULL, NULL);
}
