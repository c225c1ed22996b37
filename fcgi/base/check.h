/* Invariants that are checked while the process runs.
 *
 * check(condition) is for what our own code guarantees: a state that can't be, a list that must be
 * empty. If it does not hold, going on would do damage that shows up elsewhere and much later, so
 * the process says what is wrong and where, and aborts. It is never for what a peer sends, for what
 * the config says, or for memory that is refused: all of that has an answer. A check is always
 * compiled in, so its condition must be cheap.
 */
#ifndef WORKERLESS_BASE_CHECK_H
#define WORKERLESS_BASE_CHECK_H

/* Evaluates the condition exactly once. */
#define check(condition)                                                                           \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0))                                                     \
            check_failed(__FILE__, __LINE__, __func__, #condition);                                \
    } while (0)

/* Writes "FILE:LINE: FUNCTION: not true: CONDITION" to the log, and to stderr if the log goes
 * elsewhere, and aborts. */
_Noreturn void check_failed(const char *file, int line, const char *function,
                            const char *condition);

#endif
