/* source/lanes: whose turn it is, and which lane is the longest. */
#include "source/lanes.h"

#include "base/alloc.h"
#include "unit.h"

struct item {
    struct lane_call call;
    unsigned lane, number;
};

static struct item *item_of(struct lane_call *call)
{
    return (struct item *)call; /* its first member */
}

static void add(struct lanes *lanes, struct item *item, unsigned lane)
{
    item->lane = lane;
    assert_true(lanes_need(lanes, lane));
    lanes_add(lanes, lane, &item->call);
    assert_non_null(item->call.lane);
}

/* A flood in one lane does not delay the others, and in each the oldest call is the first. A
 * lane that is empty has no turn; one that gets a call has its turn after the others. */
static void test_turns(void **state)
{
    static const unsigned added[] = {4, 4, 4, 4, 0, 0, 9, 4, 0, 2, 2};
    static const size_t removed[] = {9, 10};
    static const size_t order[] = {0, 4, 6, 1, 5, 2, 8, 3, 7};
    struct item items[LENGTH(added)] = {0}, again = {0};
    struct lanes lanes = {0};
    (void)state;
    assert_null(lanes_take(&lanes));
    for (size_t i = 0; i < LENGTH(added); i++)
        add(&lanes, &items[i], added[i]);
    for (size_t i = 0; i < LENGTH(removed); i++)
        lanes_remove(&lanes, &items[removed[i]].call);
    for (size_t i = 0; i < LENGTH(order); i++) {
        assert_int_equal(lanes.count, LENGTH(order) - i);
        assert_row(i, lanes_take(&lanes) == &items[order[i]].call);
        assert_null(items[order[i]].call.lane);
    }
    assert_int_equal(lanes.count, 0);
    assert_null(lanes_take(&lanes));
    assert_null(lanes.turns);

    add(&lanes, &items[0], 7);
    add(&lanes, &items[1], 7);
    add(&lanes, &again, 4);
    assert_ptr_equal(lanes_take(&lanes), &items[0].call);
    assert_ptr_equal(lanes_take(&lanes), &again.call);
    assert_ptr_equal(lanes_take(&lanes), &items[1].call);
    lanes_end(&lanes);
    lanes_end(&lanes);
}

static void test_crowding(void **state)
{
    static const struct {
        unsigned calls[4]; /* in each lane */
        unsigned number;   /* that wants room */
        int lane;          /* that is too long; -1: none */
    } cases[] = {
        {{0, 0, 0, 0}, 0, -1}, {{1, 0, 0, 0}, 1, -1}, {{2, 0, 0, 0}, 1, 0},  {{2, 0, 0, 0}, 0, -1},
        {{2, 1, 0, 0}, 1, -1}, {{3, 1, 0, 0}, 1, 0},  {{3, 0, 5, 0}, 1, 2},  {{3, 0, 5, 5}, 1, 2},
        {{3, 0, 5, 6}, 1, 3},  {{3, 4, 5, 4}, 1, -1}, {{9, 9, 9, 9}, 2, -1}, {{9, 7, 9, 9}, 1, 0},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct lanes lanes = {0};
        struct item items[40] = {0};
        unsigned count = 0;
        for (unsigned lane = 0; lane < 4; lane++) {
            assert_true(lanes_need(&lanes, lane));
            for (unsigned call = 0; call < cases[i].calls[lane]; call++, count++) {
                items[count].number = call;
                add(&lanes, &items[count], lane);
            }
        }
        struct lane_call *call = lanes_crowding(&lanes, cases[i].number);
        assert_row(i, !call == (cases[i].lane < 0));
        if (call) {
            assert_row(i, (int)item_of(call)->lane == cases[i].lane);
            assert_row(i, item_of(call)->number == cases[i].calls[cases[i].lane] - 1); /* newest */
        }
        while (lanes_take(&lanes))
            count--;
        assert_row(i, count == 0);
        lanes_end(&lanes);
    }
}

/* A lane is there or it is not, and what was queued before is not lost. */
static void test_no_memory(void **state)
{
    struct item items[2] = {0};
    (void)state;
    for (long successes = 0;; successes++) {
        struct lanes lanes = {0};
        memset(items, 0, sizeof items);
        add(&lanes, &items[0], 1);
        alloc_fail_after(successes);
        bool made = lanes_need(&lanes, 1) && lanes_need(&lanes, 5);
        alloc_fail_after(-1);
        add(&lanes, &items[1], 5);
        assert_ptr_equal(lanes_take(&lanes), &items[0].call);
        assert_ptr_equal(lanes_take(&lanes), &items[1].call);
        lanes_end(&lanes);
        if (made) {
            assert_int_equal(successes, 2);
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_crowding),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("lanes", tests, NULL, NULL);
}
