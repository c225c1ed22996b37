/* cache/entry: references, and which of them count in the budget of what is not sent yet. */
#include "cache/entry.h"

#include "base/budget.h"
#include "unit.h"

static void test_references(void **state)
{
    struct entry *entry = entry_new(SLICE("text/html"), SLICE("x"), 1, 2, 3);
    (void)state;
    assert_non_null(entry);
    assert_ptr_equal(entry_ref(entry), entry);
    assert_int_equal(entry->references, 2);
    entry_unref(entry);
    assert_int_equal(entry->references, 1);
    entry_unref(entry);
    entry_unref(NULL);
}

/* What answers hold is counted once, for any number of answers, and not while memory keeps it too.
 * */
static void test_held_entries_are_counted(void **state)
{
    static const struct {
        char step;    /* h: an answer holds it, l: one lets go; k: memory keeps it, f: forgets it */
        bool counted; /* from then on */
    } steps[] = {
        {'h', true}, {'h', true},  {'l', true},  {'k', false}, {'l', false}, {'h', false},
        {'f', true}, {'l', false}, {'k', false}, {'h', false}, {'k', false}, {'f', false},
        {'f', true}, {'k', false}, {'f', true},  {'l', false},
    };
    struct entry *entry = entry_new(SLICE("text/html"), SLICE("body"), 1, 2, 3);
    (void)state;
    size_t before = budgets[BUDGET_UNSENT].used;
    for (size_t i = 0; i < LENGTH(steps); i++) {
        switch (steps[i].step) {
        case 'h':
            entry_hold(entry);
            break;
        case 'l':
            entry_let_go(entry);
            break;
        case 'k':
            entry_keep(entry);
            break;
        default:
            entry_forget(entry);
        }
        size_t counted = budgets[BUDGET_UNSENT].used - before;
        assert_row(i, counted == (steps[i].counted ? entry_footprint(entry) : 0));
    }
    assert_int_equal(entry->references, 1);
    entry_unref(entry);
}

static void test_who_may_hold(void **state)
{
    struct entry *entry = entry_new(SLICE("text/html"), SLICE("body"), 1, 2, 3);
    size_t limit = budgets[BUDGET_UNSENT].limit;
    (void)state;
    budgets[BUDGET_UNSENT].limit = budgets[BUDGET_UNSENT].used + entry_footprint(entry);
    assert_true(entry_can_hold(entry));
    budgets[BUDGET_UNSENT].limit--;
    assert_false(entry_can_hold(entry));
    entry_keep(entry);
    assert_true(entry_can_hold(entry)); /* it costs nothing */
    entry_hold(entry);
    entry_forget(entry);
    assert_true(budget_exceeded(BUDGET_UNSENT));
    assert_true(entry_can_hold(entry)); /* it costs nothing more */
    entry_let_go(entry);
    assert_false(budget_exceeded(BUDGET_UNSENT));
    budgets[BUDGET_UNSENT].limit = limit;
    entry_unref(entry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_held_entries_are_counted),
        cmocka_unit_test(test_who_may_hold),
    };
    return cmocka_run_group_tests_name("entry_holders", tests, NULL, NULL);
}
