/* source/http_head: header lines become fields (RFC 9112 5, RFC 9110 5.5). */
#include "source/http_head.h"

#include <stdio.h>

#include "base/alloc.h"
#include "unit.h"

static void add_all(struct http_head *head, const char *lines)
{
    while (*lines) {
        size_t len = strcspn(lines, "\n") + 1;
        assert_true(http_head_add(head, (struct slice){.data = lines, .len = len}));
        lines += len;
    }
}

static void test_fields(void **state)
{
    static const struct {
        const char *lines, *fields; /* name=value, each with a | behind it */
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\n\r\n", "A=1|B=2|"},
        {"HTTP/1.1 200 OK\nA: 1\n\n", "A=1|"},
        {"HTTP/2 200 \r\na:1\r\n\r\n", "a=1|"},
        /* Spaces around a value are not part of it (RFC 9112 5.1). */
        {"HTTP/1.1 200 OK\r\nA: \t 1 2 \t \r\nB:\r\nC: \r\n\r\n", "A=1 2|B=|C=|"},
        {"HTTP/1.1 200 OK\r\nA: b: c\r\n: d\r\nnothing\r\nE: f\r\n\r\n", "A=b: c|=d|E=f|"},
        /* Folded lines (RFC 9112 5.2). */
        {"HTTP/1.1 200 OK\r\nA: 1,\r\n  2,\r\n\t3\r\nB: 4\r\n\r\n", "A=1, 2, 3|B=4|"},
        {"HTTP/1.1 200 OK\r\n  A: 1\r\nB: 2\r\n\r\n", "B=2|"},
        {"HTTP/1.1 200 OK\r\nA: 1\r\n  \r\n\r\n", "A=1|"},
        {"HTTP/1.1 200 OK\r\nA: 1\r\n \r\nB: 2\r\n\r\n", "A=1|B=2|"},
        {"HTTP/1.1 200 OK\r\n\t\r\nA: 1\r\n\t\n 2\r\n\r\n", "A=1 2|"},
        /* What begins like a status line, and is none. */
        {"HTTP/1.1 200 OK\r\nA: 1\r\nHTTP/1.1 2: 3\r\nB: 4\r\n\r\n", "A=1|HTTP/1.1 2=3|B=4|"},
        {"HTTP/1.1 200 OK\r\nA: 1\r\n\r\nHTTP/1.1 200: 2\r\nB: 3\r\n\r\n", "A=1|"},
        {"HTTP/1.1 103 E\r\nHTTP/1.1 2: 3\r\n\r\nHTTP/1.1 200\r\nB: 4\r\n\r\n", "B=4|"},
        {"HTTP/1.1 100\r\n\r\nHTTP/1.1 103\r\nA: 1\r\n\r\nHTTP/2 200 \r\nB: 2\r\n\r\n", "B=2|"},
        /* Only the last response counts, without its trailers (RFC 9110 15.2, 6.5). */
        {"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nA: 1\r\n\r\n", "A=1|"},
        {"HTTP/1.1 200 OK\r\nA: 1\r\n\r\nB: 2\r\n\r\n", "A=1|"},
        {"HTTP/1.1 200 OK\r\n\r\n", ""},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct http_head head = {0};
        char all[100] = "";
        struct slice name, value;
        add_all(&head, cases[i].lines);
        for (size_t at = 0; http_head_next(&head, &at, &name, &value);)
            snprintf(all + strlen(all), sizeof all - strlen(all), "%.*s=%.*s|", SLICE_ARGS(name),
                     SLICE_ARGS(value));
        assert_slice(i, slice_of(all), slice_of(cases[i].fields));
        http_head_clear(&head);
    }
}

static void test_find(void **state)
{
    struct http_head head = {0};
    (void)state;
    add_all(&head, "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nVary: b\r\nvary: c\r\n\r\n");
    assert_string_equal(http_head_find(&head, SLICE("etag")).data, "\"a\"");
    assert_string_equal(http_head_find(&head, SLICE("Vary")).data, "b");
    assert_null(http_head_find(&head, SLICE("Var")).data);
    http_head_clear(&head);
    assert_null(http_head_find(&head, SLICE("etag")).data);
}

/* What does not fit is refused; without memory, nothing is added. */
static void test_limits(void **state)
{
    static char line[HTTP_HEAD_MAX + 3];
    struct http_head head = {0};
    (void)state;
    memset(line, 'x', sizeof line);
    assert_true(http_head_add(&head, (struct slice){.data = line, .len = HTTP_HEAD_MAX - 1}));
    assert_false(http_head_add(&head, SLICE("a: b\r\n")));
    http_head_clear(&head);
    assert_false(http_head_add(&head, (struct slice){.data = line, .len = sizeof line}));
    http_head_clear(&head);
    /* What was there before stays, and is terminated. */
    line[0] = ' ';
    for (size_t len = HTTP_HEAD_MAX - 10; len < sizeof line; len++) {
        struct slice name, value;
        size_t at = 0;
        assert_true(http_head_add(&head, SLICE("a: b\r\n")));
        bool fits = http_head_add(&head, (struct slice){.data = line, .len = len});
        assert_int_equal(head.lines.data[head.lines.len - 1], '\0');
        assert_true(http_head_next(&head, &at, &name, &value));
        assert_int_equal(value.len, fits ? len + 1 : 1);
        assert_int_equal(at, head.lines.len);
        http_head_clear(&head);
    }
    alloc_fail_after(0);
    assert_false(http_head_add(&head, SLICE("a: b\r\n")));
    alloc_fail_after(-1);
    assert_true(http_head_add(&head, SLICE("a: b\r\n")));
    http_head_clear(&head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
