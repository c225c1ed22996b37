/* wire/request: its states, what belongs to each of them, and that there are no other transitions.
 * */
#include "wire/request.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "request_bench.h"

/* What belongs to the state, according to the table in request.h. */
static void check_state(size_t row, const struct request *request, enum request_state state,
                        bool awaited)
{
    bool takes_turns = state == REQUEST_ANSWERING;
    bool receives = state == REQUEST_PARAMS || state == REQUEST_STDIN;
    size_t kept = receives ? request->arriving.params.capacity : 0;
    assert_row(row, request->state == state);
    assert_row(row, request_has_output(request) == takes_turns);
    assert_row(row, request->awaited == awaited);
    assert_row(row, group.turns == (takes_turns ? request : NULL));
    assert_row(row, budgets[BUDGET_UNSENT].used == (takes_turns ? sizeof *request : 0));
    assert_row(row, budgets[BUDGET_UNFINISHED].used == kept + (awaited ? sizeof *request : 0));
    assert_row(row, groups.receiving.oldest == (awaited ? &request->arriving.deadline : NULL));
}

/* One step in the life of a request. */
static void take_step(struct request *request, char step)
{
    switch (step) {
    case 'h':
        request_add_params(request, SLICE("\x0e\3REQUEST_METHODGET\x0c\x12"
                                          "DOCUMENT_URI/workerless/health"));
        break;
    case 'p':
        request_add_params(request, SLICE("\x0e\3REQUEST_METHODGET\x0c\x0b"
                                          "DOCUMENT_URI/fragment/a"));
        break;
    case 'x': /* too much */
        request_add_input(request, (struct slice){"", 501});
        break;
    case 'e':
        request_end_params(request);
        break;
    case 's':
        request_add_input(request, SLICE("12345"));
        break;
    case 'i':
        request_end_input(request);
        break;
    case '|':
        request_end_read();
        break;
    case 't': /* too late: as its queue does when the time is over */
        timeout_stop(&request->arriving.deadline);
        groups.receiving.expired(groups.receiving.context, &request->arriving.deadline);
        break;
    default:
        fail_msg("no such step: %c", step);
    }
}

/* Each state, reached in each way; everything that belongs to it ends with the request. */
static void test_states(void **state)
{
    static const struct {
        const char *steps;
        enum request_state state;
        bool awaited;
        int status;
    } cases[] = {
        {"", REQUEST_PARAMS, false, 0},
        {"|", REQUEST_PARAMS, true, 0},
        {"p", REQUEST_PARAMS, false, 0},
        {"p|", REQUEST_PARAMS, true, 0},
        {"|p", REQUEST_PARAMS, true, 0},
        {"|p|", REQUEST_PARAMS, true, 0},
        {"pe", REQUEST_STDIN, false, 0},
        {"pe|", REQUEST_STDIN, true, 0},
        {"p|e", REQUEST_STDIN, true, 0},
        {"pes", REQUEST_STDIN, false, 0},
        {"pes|s", REQUEST_STDIN, true, 0},
        {"pei", REQUEST_PARKED, false, 0},
        {"pei|", REQUEST_PARKED, false, 0},
        {"|p|e|s|i|", REQUEST_PARKED, false, 0},
        {"pe|i", REQUEST_PARKED, false, 0},
        {"peiesip", REQUEST_PARKED, false, 0}, /* what comes afterwards is skipped */
        {"hei", REQUEST_ANSWERING, false, 200},
        {"h|ei", REQUEST_ANSWERING, false, 200},
        {"he|i", REQUEST_ANSWERING, false, 200},
        {"heix|hi", REQUEST_ANSWERING, false, 200},
        {"e", REQUEST_ANSWERING, false, 400},
        {"|e", REQUEST_ANSWERING, false, 400},
        {"s", REQUEST_ANSWERING, false, 400},
        {"ps", REQUEST_ANSWERING, false, 400},
        {"p|s", REQUEST_ANSWERING, false, 400},
        {"pi", REQUEST_ANSWERING, false, 400},
        {"pex", REQUEST_ANSWERING, false, 413},
        {"pe|xx", REQUEST_ANSWERING, false, 413},
        {"|t", REQUEST_ANSWERING, false, 408},
        {"p|t", REQUEST_ANSWERING, false, 408},
        {"pe|t|i", REQUEST_ANSWERING, false, 408},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct request *request = request_new(&group, 9, true);
        assert_non_null(request);
        woken = 0;
        for (const char *step = cases[i].steps; *step; step++)
            take_step(request, *step);
        check_state(i, request, cases[i].state, cases[i].awaited);
        if (cases[i].status)
            assert_row(i, status_of(request) == cases[i].status);
        assert_row(i, woken == (cases[i].status == 408));
        request_end_read();
        request_free(request);
        assert_null(group.turns);
        assert_null(groups.receiving.oldest);
        assert_int_equal(budgets[BUDGET_UNSENT].used, 0);
        assert_int_equal(budgets[BUDGET_UNFINISHED].used, 0);
        assert_int_equal(flights_parked(flights), 0);
    }
}

/* Only the last request that began in a read need not be awaited yet. */
static void test_several_begin(void **state)
{
    struct request *first = request_new(&group, 1, true), *second, *third;
    (void)state;
    assert_non_null(first);
    assert_null(groups.receiving.oldest);
    second = request_new(&group, 2, true);
    assert_non_null(second);
    assert_ptr_equal(groups.receiving.oldest, &first->arriving.deadline);
    assert_ptr_equal(groups.receiving.newest, &first->arriving.deadline);
    request_refuse(second, 400);
    third = request_new(&group, 3, true);
    assert_non_null(third);
    request_end_read();
    assert_ptr_equal(groups.receiving.newest, &third->arriving.deadline);
    assert_ptr_equal(groups.receiving.newest->prev, &first->arriving.deadline);
    request_free(first);
    request_free(second);
    request_free(third);
}

/* When the budget has no room for an awaited request, it is rejected. */
static void test_not_awaited(void **state)
{
    struct request *first = request_new(&group, 1, true), *second;
    (void)state;
    assert_non_null(first);
    budgets[BUDGET_UNFINISHED].limit = 2 * sizeof *first - 1;
    second = request_new(&group, 2, true);
    assert_non_null(second);
    request_end_read();
    assert_int_equal(first->state, REQUEST_PARAMS);
    assert_int_equal(status_of(second), 503);
    assert_int_equal(budgets[BUDGET_UNFINISHED].used, sizeof *first);
    budgets[BUDGET_UNFINISHED].limit = SIZE_MAX;
    request_free(first);
    request_free(second);
}

/* Runs in a process of its own. Returns whether that was aborted. */
static bool aborts(struct request *request, void (*wrong)(struct request *request))
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0});
        dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
        wrong(request);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void answer_again(struct request *request)
{
    request_answer(request, response_of_status(200));
}

/* What no peer can cause, and our own code must not do. */
static void test_impossible(void **state)
{
    (void)state;
    ask("GET", "/fragment/a", NULL);
    assert_false(aborts(asking, answer_again)); /* from PARKED it is allowed */
    ask("GET", "/workerless/health", NULL);
    assert_int_equal(status_of(asking), 200);
    assert_true(aborts(asking, answer_again));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_states, setup, teardown),
        cmocka_unit_test_setup_teardown(test_several_begin, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_awaited, setup, teardown),
        cmocka_unit_test_setup_teardown(test_impossible, setup, teardown),
    };
    log_configure(LOG_LEVEL_ERROR, false);
    return cmocka_run_group_tests_name("wire_state", tests, NULL, NULL);
}
