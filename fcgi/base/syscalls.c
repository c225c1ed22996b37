/* Calls that no library has a reason to try are trapped: the handler of SIGSYS notes which one it
 * was, for the log, and lets it fail.
 *
 *     call --denied--> SIGSYS --> on_denied: noted, result EPERM --async--> log
 *
 * (If SIGSYS is blocked, as in the threads in which the C library resolves names, the kernel ends
 * the process instead. Nothing legitimate does such calls there.) What a library might try, and can
 * do without, fails without a message. */
#include "base/syscalls.h"

#include "config.h"

#include <errno.h>

#include "base/log.h"

#if HAVE_LIBSECCOMP

#include <ev.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <ucontext.h>
#include <unistd.h>

/* Names that the kernel or libseccomp does not know are left out. At most 64. */
static const char *const trapped[] = {
    /* other programs, other processes */
    "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd",
    "process_madvise", "kcmp",
    /* file systems, namespaces */
    "mount", "umount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen",
    "fsconfig", "fsmount", "fspick", "mount_setattr", "swapon", "swapoff", "quotactl",
    "quotactl_fd", "mknod", "mknodat", "open_by_handle_at", "fanotify_init", "unshare", "setns",
    /* the kernel, the machine, its clock */
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot",
    "bpf", "perf_event_open", "acct", "syslog", "settimeofday", "clock_settime", "adjtimex",
    "clock_adjtime", "sethostname", "setdomainname", "vhangup", "iopl", "ioperm", "modify_ldt",
    /* another identity */
    "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups", "capset"};

/* With keys, asynchronous input and output, or emulations, a library may do something faster. */
static const char *const refused[] = {"add_key",        "request_key",       "keyctl",
                                      "io_uring_setup", "io_uring_register", "io_uring_enter",
                                      "userfaultfd",    "personality"};

static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

static const unsigned namespaces[] = {
    CLONE_NEWNS,  CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER,
    CLONE_NEWPID, CLONE_NEWNET, 0x02000000, /* cgroup */
};

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
_Static_assert(LENGTH(trapped) <= 64, "there is a bit for each");

#if defined __s390__
#define CLONE_FLAGS 1 /* the argument */
#else
#define CLONE_FLAGS 0
#endif

#if defined __x86_64__ || defined __aarch64__
#define TRAP SCMP_ACT_TRAP
#else
#define TRAP SCMP_ACT_ERRNO(EPERM) /* the handler below can't set the result there */
#endif

static int numbers[LENGTH(trapped)];
static _Atomic unsigned long long denied; /* bits: which were, and have not been logged */
static struct log_limit limit;
static ev_async async;
static struct ev_loop *_Atomic watching;

bool syscalls_are_built(void)
{
    return true;
}

/* --- what is denied --- */

static bool deny_names(scmp_filter_ctx filter)
{
    int result = 0;
    for (size_t i = 0; i < LENGTH(trapped) && result == 0; i++) {
        numbers[i] = seccomp_syscall_resolve_name(trapped[i]);
        if (numbers[i] >= 0)
            result = seccomp_rule_add(filter, TRAP, numbers[i], 0);
    }
    for (size_t i = 0; i < LENGTH(refused) && result == 0; i++) {
        int number = seccomp_syscall_resolve_name(refused[i]);
        if (number >= 0)
            result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0);
    }
    errno = -result;
    return result == 0;
}

static bool is_family(int family)
{
    for (size_t i = 0; i < LENGTH(families); i++)
        if (families[i] == family)
            return true;
    return false;
}

/* Sockets of other families, and raw ones. */
static bool deny_sockets(scmp_filter_ctx filter)
{
    int number = SCMP_SYS(socket);
    uint32_t unknown = SCMP_ACT_ERRNO(EAFNOSUPPORT);
    int result = seccomp_rule_add(filter, unknown, number, 1, SCMP_A0(SCMP_CMP_GT, AF_NETLINK, 0));
    for (int family = 0; family < AF_NETLINK && result == 0; family++)
        if (!is_family(family))
            result = seccomp_rule_add(filter, unknown, number, 1,
                                      SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family, 0));
    for (size_t i = 0; i < LENGTH(families) && result == 0; i++)
        if (families[i] == AF_INET || families[i] == AF_INET6)
            result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 2,
                                      SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i], 0),
                                      SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, SOCK_RAW));
    errno = -result;
    return result == 0;
}

/* clone3 hides its flags in memory; the C library does without. */
static bool deny_namespaces(scmp_filter_ctx filter)
{
    int result = 0, clone3 = seccomp_syscall_resolve_name("clone3");
    if (clone3 >= 0)
        result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), clone3, 0);
    for (size_t i = 0; i < LENGTH(namespaces) && result == 0; i++)
        result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                  SCMP_CMP64(CLONE_FLAGS, SCMP_CMP_MASKED_EQ, namespaces[i],
                                             namespaces[i]));
    errno = -result;
    return result == 0;
}

/* --- what happens then --- */

static void note(unsigned number)
{
    struct ev_loop *loop = atomic_load(&watching);
    for (size_t i = 0; i < LENGTH(trapped); i++) {
        if (numbers[i] != (int)number)
            continue;
        atomic_fetch_or(&denied, 1ULL << i);
        if (loop) {
            ev_async_send(loop, &async);
        } else {
            char text[80] = "sandbox: denied the system call ";
            strcat(strcat(text, trapped[i]), "\n");
            if (write(STDERR_FILENO, text, strlen(text)) < 0)
                return;
        }
    }
}

static void on_denied(int signal, siginfo_t *info, void *context)
{
    int error = errno;
    (void)signal;
    note((unsigned)info->si_syscall);
#if defined __x86_64__
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX] = -EPERM;
#elif defined __aarch64__
    ((ucontext_t *)context)->uc_mcontext.regs[0] = (unsigned long long)-EPERM;
#else
    (void)context;
#endif
    errno = error;
}

static void on_async(struct ev_loop *loop, ev_async *watcher, int events)
{
    unsigned long long these = atomic_exchange(&denied, 0);
    (void)loop, (void)watcher, (void)events;
    for (size_t i = 0; i < LENGTH(trapped); i++)
        if (these & 1ULL << i)
            log_limited(&limit, LOG_LEVEL_ERROR, "sandbox",
                        "the system call %s was denied, which workerless never makes by itself; "
                        "if a library needs it, set sandbox = \"no\"",
                        trapped[i]);
}

bool syscalls_deny(void)
{
    struct sigaction action = {.sa_sigaction = on_denied, .sa_flags = SA_SIGINFO};
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int error = ENOMEM;
    bool ok = false;
    if (filter) {
        sigemptyset(&action.sa_mask);
        ok = sigaction(SIGSYS, &action, NULL) == 0 &&
             seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) == 0 && deny_names(filter) &&
             deny_sockets(filter) && deny_namespaces(filter);
        error = errno;
        int result = ok ? seccomp_load(filter) : 0;
        if (result != 0) {
            ok = false;
            error = -result;
        }
        seccomp_release(filter);
    }
    errno = error;
    return ok;
}

void syscalls_watch(struct ev_loop *loop)
{
    ev_async_init(&async, on_async);
    ev_async_start(loop, &async);
    ev_unref(loop); /* it does not keep the loop running */
    atomic_store(&watching, loop);
}

void syscalls_unwatch(void)
{
    struct ev_loop *loop = atomic_exchange(&watching, NULL);
    if (loop) {
        ev_ref(loop);
        ev_async_stop(loop, &async);
        log_limit_end(&limit);
    }
}

#else

bool syscalls_are_built(void)
{
    return false;
}

bool syscalls_deny(void)
{
    errno = ENOSYS;
    return false;
}

void syscalls_watch(struct ev_loop *loop)
{
    (void)loop;
}

void syscalls_unwatch(void)
{
}

#endif
