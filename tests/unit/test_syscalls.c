/* base/syscalls: calls that are denied, how that is told, and that all else goes on. */
#include "base/syscalls.h"

#include <errno.h>
#include <ev.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "forked.h"

/* If a call is not denied, it must change nothing. */
#define NOWHERE "/nonexistent/path"

static long call_execve(void)
{
    char *none[] = {NULL};
    return execve(NOWHERE, none, none);
}

static long call_ptrace(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static long call_mount(void)
{
    return mount("none", NOWHERE, "tmpfs", 0, NULL);
}

static long call_chroot(void)
{
    return chroot(NOWHERE);
}

static long call_unshare(void)
{
    return unshare(CLONE_NEWUSER);
}

static long call_clone(void)
{
    return syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
}

static long call_setuid(void)
{
    return setuid(getuid());
}

static long call_keyctl(void)
{
    return syscall(SYS_keyctl, 0L, -1L, 0L);
}

static long call_io_uring(void)
{
    return syscall(SYS_io_uring_setup, 1L, NULL);
}

static long call_packet(void)
{
    return socket(AF_PACKET, SOCK_DGRAM, 0);
}

static long call_bluetooth(void)
{
    return socket(AF_BLUETOOTH, SOCK_STREAM, 0);
}

static long call_appletalk(void)
{
    return socket(AF_APPLETALK, SOCK_STREAM, 0);
}

static long call_raw(void)
{
    return socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, 1);
}

/* --- what must go on working --- */

static long call_tcp(void)
{
    return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static long call_unix(void)
{
    return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static long call_netlink(void)
{
    return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
}

static void *do_nothing(void *nothing)
{
    return nothing;
}

static long call_thread(void)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, do_nothing, NULL);
    if (error == 0)
        return pthread_join(thread, NULL);
    errno = error;
    return -1;
}

static long call_fork(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    return child < 0 ? -1 : waitpid(child, NULL, 0);
}

static long call_getaddrinfo(void)
{
    struct addrinfo *found;
    if (getaddrinfo("localhost", "80", NULL, &found) != 0)
        return -1;
    freeaddrinfo(found);
    return 0;
}

static const struct row {
    const char *name;
    long (*call)(void);
    int error;    /* 0: it works */
    bool is_told; /* a message has the name */
} rows[] = {
    {"execve", call_execve, EPERM, true},
    {"ptrace", call_ptrace, EPERM, true},
    {"mount", call_mount, EPERM, true},
    {"chroot", call_chroot, EPERM, true},
    {"unshare", call_unshare, EPERM, true},
    {"setuid", call_setuid, EPERM, true},
    {"clone", call_clone, EPERM, false},
    {"keyctl", call_keyctl, EPERM, false},
    {"io_uring_setup", call_io_uring, EPERM, false},
    {"packet", call_packet, EAFNOSUPPORT, false},
    {"bluetooth", call_bluetooth, EAFNOSUPPORT, false},
    {"appletalk", call_appletalk, EAFNOSUPPORT, false},
    {"raw", call_raw, EPERM, false},
    {"tcp", call_tcp, 0, false},
    {"unix", call_unix, 0, false},
    {"netlink", call_netlink, 0, false},
    {"thread", call_thread, 0, false},
    {"fork", call_fork, 0, false},
    {"getaddrinfo", call_getaddrinfo, 0, false},
};

static void deny(void)
{
    if (!syscalls_deny()) {
        perror("deny");
        _exit(1);
    }
}

/* Writes to stderr if the call does not end as the row says. */
static void deny_and_call(const void *argument)
{
    const struct row *row = argument;
    deny();
    errno = 0;
    long result = row->call();
    if ((result < 0) != (row->error != 0) || (result < 0 && errno != row->error))
        fprintf(stderr, "%s: %ld, %s\n", row->name, result, strerror(errno));
}

/* valgrind makes the calls of a program itself, and knows no filter. */
static void skip_without(void)
{
    if (!syscalls_are_built() || getenv("WORKERLESS_WRAPPER"))
        skip();
}

static void test_calls(void **state)
{
    (void)state;
    skip_without();
    for (size_t i = 0; i < LENGTH(rows); i++) {
        char said[1000], wanted[100] = "";
        if (rows[i].is_told)
            snprintf(wanted, sizeof wanted, "sandbox: denied the system call %s\n", rows[i].name);
        int status = run_forked(deny_and_call, &rows[i], said, sizeof said);
        if (strcmp(said, wanted) != 0)
            fail_msg("row %zu: \"%s\", not \"%s\"", i, said, wanted);
        assert_row(i, status == 0);
    }
}

static void deny_and_watch(const void *argument)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    (void)argument;
    log_configure(LOG_LEVEL_INFO, false);
    deny();
    syscalls_watch(loop);
    call_mount();
    ev_run(loop, 0); /* ends, since the watcher keeps nothing running */
    call_mount();
    call_chroot();
    ev_run(loop, EVRUN_NOWAIT);
    syscalls_unwatch();
    syscalls_unwatch();
    ev_loop_destroy(loop);
}

/* The log says it from the loop, each call once a turn. */
static void test_log(void **state)
{
    char said[3000];
    (void)state;
    skip_without();
    assert_int_equal(run_forked(deny_and_watch, NULL, said, sizeof said), 0);
    const char *first = strstr(said, "error sandbox: the system call mount was denied");
    assert_non_null(first);
    assert_non_null(strstr(first, "the system call chroot was denied"));
}

static void deny_and_call_blocked(const void *argument)
{
    sigset_t all;
    (void)argument;
    sigfillset(&all);
    deny();
    sigprocmask(SIG_SETMASK, &all, NULL);
    call_execve();
}

/* Where signals are blocked, such a call ends the process. */
static void test_blocked(void **state)
{
    char said[1000];
    (void)state;
    skip_without();
    int status = run_forked(deny_and_call_blocked, NULL, said, sizeof said);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_blocked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
