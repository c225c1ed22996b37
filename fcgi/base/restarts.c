/* Back-off, and words for wait statuses. */
#include "base/restarts.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

double restarts_delay(unsigned *failures, double lived_s)
{
    if (lived_s >= RESTARTS_SOON_S) {
        *failures = 0;
        return 0;
    }
    double delay = RESTARTS_FIRST_S;
    if (++*failures == 1)
        return 0;
    for (unsigned i = 2; i < *failures && delay < RESTARTS_MOST_S; i++)
        delay *= 2;
    return delay < RESTARTS_MOST_S ? delay : RESTARTS_MOST_S;
}

/* Signals whose default is to write a core file (signal(7)), as far as a fault raises them. */
static bool dumps_core(int number)
{
    return number == SIGSEGV || number == SIGBUS || number == SIGILL || number == SIGFPE ||
           number == SIGABRT || number == SIGSYS || number == SIGTRAP;
}

void restarts_describe(char out[RESTARTS_ROOM], int status)
{
    if (!WIFSIGNALED(status)) {
        snprintf(out, RESTARTS_ROOM, "exited with status %d", WEXITSTATUS(status));
        return;
    }
    int number = WTERMSIG(status);
    const char *name = sigabbrev_np(number), *core = "";
    if (WCOREDUMP(status))
        core = ", core dumped";
    else if (dumps_core(number))
        core = ", no core dumped: ulimit -c (LimitCORE=) may forbid it";
    if (name)
        snprintf(out, RESTARTS_ROOM, "was killed by SIG%s%s", name, core);
    else
        snprintf(out, RESTARTS_ROOM, "was killed by signal %d%s", number, core);
}
