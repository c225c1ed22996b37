/* Aborts the process after a failed check. */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

void check_failed(const char *file, int line, const char *function, const char *condition)
{
    log_error("check", "%s:%d: %s: not true: %s", file, line, function, condition);
    if (!log_goes_to_stderr())
        fprintf(stderr, "%s:%d: %s: not true: %s\n", file, line, function, condition);
    abort();
}
