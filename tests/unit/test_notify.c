/* base/notify, against a real socket. */
#include "base/notify.h"

#include <ev.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "unit.h"

static char directory[] = "/tmp/workerless-notify-XXXXXX";
static char path[sizeof(struct sockaddr_un)];

/* The manager's socket; NOTIFY_SOCKET names it. */
static int manager_open(bool abstract)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int len =
        snprintf(path, sizeof address.sun_path, "%s%s/socket", abstract ? "@" : "", directory);
    memcpy(address.sun_path, path, (size_t)len);
    if (abstract)
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)len)),
                     0);
    setenv("NOTIFY_SOCKET", path, 1);
    return fd;
}

static void manager_close(int fd)
{
    close(fd);
    unlink(path);
    unsetenv("NOTIFY_SOCKET");
}

/* The next message, or "" if there is none now. */
static const char *message(int fd)
{
    static char text[300];
    ssize_t len = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);
    text[len > 0 ? len : 0] = '\0';
    return text;
}

static void test_messages(void **state)
{
    (void)state;
    for (int abstract = 0; abstract < 2; abstract++) {
        int fd = manager_open(abstract);
        notify_ready("not open yet");
        notify_open();
        notify_open();
        notify_ready("serving");
        notify_reloading();
        notify_stopping("finishing 3 requests");
        assert_string_equal(message(fd), "READY=1\nSTATUS=serving");
        const char *reloading = "RELOADING=1\nMONOTONIC_USEC=", *text = message(fd);
        assert_memory_equal(text, reloading, strlen(reloading));
        double ago = clock_monotonic() - strtod(text + strlen(reloading), NULL) / 1e6;
        assert_true(ago >= -1e-5 && ago < 10);
        assert_string_equal(message(fd), "STOPPING=1\nSTATUS=finishing 3 requests");
        notify_close();
        notify_close();
        notify_ready("closed");
        assert_string_equal(message(fd), "");
        manager_close(fd);
    }
}

/* It is not waited for, and its absence is no failure. */
static void test_manager_is_away(void **state)
{
    (void)state;
    notify_open(); /* NOTIFY_SOCKET is not set */
    notify_ready("alone");
    int fd = manager_open(false);
    notify_open();
    for (int i = 0; i < 10000; i++) /* its queue is full */
        notify_stopping("x");
    close(fd);
    notify_ready("x"); /* it is gone */
    notify_close();
    manager_close(-1);
}

static void test_bad_addresses(void **state)
{
    char long_path[200];
    const char *cases[] = {"", "@", "/", "relative", "vsock:2:1", long_path};
    (void)state;
    memset(long_path, 'x', sizeof long_path - 1);
    long_path[0] = '/';
    long_path[sizeof long_path - 1] = '\0';
    for (size_t i = 0; i < LENGTH(cases); i++) {
        setenv("NOTIFY_SOCKET", cases[i], 1);
        notify_open();
        notify_ready("x");
        notify_close();
    }
    unsetenv("NOTIFY_SOCKET");
}

/* Runs the loop until a message has come, or once if none is to come. Returns it. */
static const char *run(struct ev_loop *loop, int fd, bool comes)
{
    struct pollfd look = {.fd = fd, .events = POLLIN};
    if (!comes) {
        ev_run(loop, EVRUN_NOWAIT);
        return message(fd);
    }
    while (poll(&look, 1, 0) == 0)
        ev_run(loop, EVRUN_ONCE);
    return message(fd);
}

static void test_watchdog(void **state)
{
    char own[20];
    static const struct {
        const char *usec, *pid; /* pid: "own" is replaced */
        bool comes;
    } cases[] = {
        {"20000", NULL, true}, {"20000", "own", true}, {"1", "own", true},
        {"20000", "1", false}, {NULL, "own", false},   {"0", "own", false},
        {"x", NULL, false},    {"-5", NULL, false},    {"nan", NULL, false},
    };
    (void)state;
    snprintf(own, sizeof own, "%ld", (long)getpid());
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct ev_loop *loop = ev_loop_new(0);
        int fd = manager_open(false);
        unsetenv("WATCHDOG_USEC");
        unsetenv("WATCHDOG_PID");
        if (cases[i].usec)
            setenv("WATCHDOG_USEC", cases[i].usec, 1);
        if (cases[i].pid)
            setenv("WATCHDOG_PID", strcmp(cases[i].pid, "own") == 0 ? own : cases[i].pid, 1);
        notify_open();
        double began = ev_time();
        notify_watch(loop);
        for (int k = 0; k < 3; k++)
            assert_string_equal(run(loop, fd, cases[i].comes), cases[i].comes ? "WATCHDOG=1" : "");
        assert_row(i, !cases[i].comes || ev_time() - began > 0.02); /* three half intervals */
        notify_close();
        assert_false(ev_run(loop, EVRUN_NOWAIT)); /* no timer is left */
        ev_loop_destroy(loop);
        manager_close(fd);
    }
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_manager_is_away),
        cmocka_unit_test(test_bad_addresses),
        cmocka_unit_test(test_watchdog),
    };
    log_configure(LOG_LEVEL_ERROR, false); /* warnings are intended here */
    if (!mkdtemp(directory))
        return 1;
    int status = cmocka_run_group_tests_name("notify", tests, NULL, NULL);
    rmdir(directory);
    return status;
}
