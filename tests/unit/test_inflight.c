/* wire/inflight: the ids in flight, compared with an array that has a place for each. */
#include "wire/inflight.h"

#include "base/alloc.h"
#include "unit.h"
#include "wire/request.h"

enum { IDS = 65536 };

static struct request *make(uint16_t id)
{
    struct request *request =
        calloc(1, sizeof *request); /* none of its other fields matters here */
    assert_non_null(request);
    request->id = id;
    return request;
}

/* They are in order, and each is found by its id. */
static void check(const struct inflight *inflight, struct request *const *model)
{
    for (uint32_t i = 0; i < inflight->count; i++) {
        uint16_t id = inflight->requests[i]->id;
        assert_true(i == 0 || inflight->requests[i - 1]->id < id);
        assert_ptr_equal(inflight->requests[i], model[id]);
        assert_ptr_equal(inflight_find(inflight, id), model[id]);
    }
}

static void test_empty(void **state)
{
    struct inflight inflight = {0};
    (void)state;
    assert_null(inflight_find(&inflight, 0));
    assert_null(inflight_find(&inflight, 1));
    assert_null(inflight_find(&inflight, 65535));
    inflight_free(&inflight);
    inflight_free(&inflight);
}

/* The ids that are not there: below, between, above. */
static void test_neighbours(void **state)
{
    static const uint16_t ids[] = {1, 3, 32767, 65533, 65535, 7, 2};
    static struct request *model[IDS];
    struct inflight inflight = {0};
    (void)state;
    for (size_t i = 0; i < LENGTH(ids); i++) {
        model[ids[i]] = make(ids[i]);
        assert_true(inflight_insert(&inflight, model[ids[i]]));
        for (unsigned id = 0; id < IDS; id++)
            assert_ptr_equal(inflight_find(&inflight, (uint16_t)id), model[id]);
    }
    for (size_t i = 0; i < LENGTH(ids); i++) {
        inflight_remove(&inflight, model[ids[i]]);
        free(model[ids[i]]);
        model[ids[i]] = NULL;
        for (unsigned id = 0; id < IDS; id++)
            assert_ptr_equal(inflight_find(&inflight, (uint16_t)id), model[id]);
    }
    assert_int_equal(inflight.count, 0);
    inflight_free(&inflight);
}

static void test_random(void **state)
{
    static const size_t spreads[] = {4, 100, IDS};
    static struct request *model[IDS];
    (void)state;
    for (size_t s = 0; s < LENGTH(spreads); s++) {
        struct inflight inflight = {0};
        uint32_t count = 0;
        for (int round = 0; round < 2000; round++) {
            uint16_t id = (uint16_t)unit_random(spreads[s]);
            assert_ptr_equal(inflight_find(&inflight, id), model[id]);
            if (!model[id]) {
                model[id] = make(id);
                assert_true(inflight_insert(&inflight, model[id]));
                count++;
            } else {
                inflight_remove(&inflight, model[id]);
                free(model[id]);
                model[id] = NULL;
                count--;
            }
            assert_int_equal(inflight.count, count);
            if (round % 50 == 0)
                check(&inflight, model);
        }
        while (inflight.count > 0) {
            struct request *request = inflight.requests[unit_random(inflight.count)];
            inflight_remove(&inflight, request);
            model[request->id] = NULL;
            free(request);
            check(&inflight, model);
        }
        assert_true(inflight.capacity <= 4); /* idle, it keeps little */
        inflight_free(&inflight);
    }
}

/* Without memory nothing is added and nothing is lost. */
static void test_no_memory(void **state)
{
    struct inflight inflight = {0};
    struct request *requests[40];
    int refusals = 0;
    (void)state;
    for (size_t i = 0; i < LENGTH(requests); i++) {
        requests[i] = make((uint16_t)(1 + i * 2));
        alloc_fail_after(0);
        bool inserted = inflight_insert(&inflight, requests[i]);
        alloc_fail_after(-1);
        if (!inserted) {
            refusals++;
            assert_int_equal(inflight.count, i);
            assert_null(inflight_find(&inflight, requests[i]->id));
            assert_true(inflight_insert(&inflight, requests[i]));
        }
        for (size_t k = 0; k <= i; k++)
            assert_ptr_equal(inflight_find(&inflight, requests[k]->id), requests[k]);
    }
    assert_true(refusals > 1);
    for (size_t i = 0; i < LENGTH(requests); i++) {
        inflight_remove(&inflight, requests[i]);
        free(requests[i]);
    }
    inflight_free(&inflight);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_neighbours),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("inflight", tests, NULL, NULL);
}
