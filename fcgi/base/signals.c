/* Signals before and after the loop. */
#include "base/signals.h"

#include <signal.h>
#include <stddef.h>

/* Their default is to end the process. SIGXFSZ: a log file has reached the limit on the size of
 * files; writing to it fails then. Real-time signals have no meaning of their own. Those that
 * report a fault (SIGSEGV ...), a limit on processor time, or SIGABRT are left as they are. */
static const int meaningless[] = {
    SIGPIPE,   SIGALRM, SIGVTALRM, SIGPROF, SIGXFSZ,
#ifdef SIGPOLL
    SIGPOLL,
#endif
#ifdef SIGPWR
    SIGPWR,
#endif
#ifdef SIGSTKFLT
    SIGSTKFLT,
#endif
};

static const int meaningful[] = {SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

static void set_of_meaningful(sigset_t *set)
{
    sigemptyset(set);
    for (size_t i = 0; i < sizeof meaningful / sizeof meaningful[0]; i++)
        sigaddset(set, meaningful[i]);
}

void signals_ignore(int number)
{
    struct sigaction action = {.sa_handler = SIG_IGN};
    sigaction(number, &action, NULL);
}

/* A tool that runs us may have a handler of its own, a profiler for example. */
static void ignore_by_default(int number)
{
    struct sigaction action;
    if (sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_DFL)
        signals_ignore(number);
}

void signals_hold(void)
{
    sigset_t set;
    set_of_meaningful(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (size_t i = 0; i < sizeof meaningless / sizeof meaningless[0]; i++)
        ignore_by_default(meaningless[i]);
    for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
        ignore_by_default(number);
}

void signals_hold_ends(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

void signals_release(void)
{
    sigset_t set;
    set_of_meaningful(&set);
    sigaddset(&set, SIGTERM); /* these may be held back by whoever has started us, too */
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}
