/* Runtime checks of invariants.
 *
 * check(condition) is for what our own code guarantees: an impossible state, a list that must be
 * empty. If the condition is false, continuing would do damage that shows up elsewhere and much
 * later, so the process logs what is wrong and where, and aborts. It is never for input from a
 * peer, for the config or for allocation failures: these are handled. Checks are always compiled
 * in, so a condition must be cheap.
 */
#ifndef WORKERLESS_BASE_CHECK_H
#define WORKERLESS_BASE_CHECK_H

/* Evaluates the condition exactly once. */
#define check(condition)                                                                           \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0))                                                     \
            check_failed(__FILE__, __LINE__, __func__, #condition);                                \
    } while (0)

/* For a place that is never reached; `what` says what would lead there. */
#define check_never(what) check_failed(__FILE__, __LINE__, __func__, what)

/* Writes "FILE:LINE: FUNCTION: not true: CONDITION" to the log, and to stderr if the log goes
 * elsewhere, and aborts. */
_Noreturn void check_failed(const char *file, int line, const char *function,
                            const char *condition);

#endif
