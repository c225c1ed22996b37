/* wire/output: over a socket that accepts little at a time, every byte is sent once and in order,
 * and entries are released when the kernel has their last byte. */
#include "wire/output.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/users.h"
#include "cache/entry.h"
#include "unit.h"

/* A pair of sockets; what goes in at `near` is collected at `far`. */
struct wire {
    int near, far;
    struct buffer seen;
};

static void wire_open(struct wire *wire)
{
    int ends[2], least = 1; /* the kernel makes it its minimum */
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    *wire = (struct wire){.near = ends[0], .far = ends[1]};
    assert_int_equal(setsockopt(wire->near, SOL_SOCKET, SO_SNDBUF, &least, sizeof least), 0);
}

static void wire_close(struct wire *wire)
{
    close(wire->near);
    if (wire->far >= 0)
        close(wire->far);
    buffer_free(&wire->seen);
}

/* Reads at most `most` bytes of what has arrived. False: there was nothing. */
static bool wire_read(struct wire *wire, size_t most)
{
    char bytes[4096];
    ssize_t len = read(wire->far, bytes, most < sizeof bytes ? most : sizeof bytes);
    if (len < 0) {
        assert_int_equal(errno, EAGAIN);
        return false;
    }
    unit_append(&wire->seen, bytes, (size_t)len);
    return len > 0;
}

static struct entry *make_entry(char fill, size_t len)
{
    char *body = malloc(len + 1);
    assert_non_null(body);
    for (size_t i = 0; i < len; i++)
        body[i] = (char)(fill + (int)(i % 31));
    struct entry *entry =
        entry_new(SLICE("text/html"), (struct slice){.data = body, .len = len}, 0, 0, 0);
    free(body);
    assert_non_null(entry);
    return entry;
}

static void put_own(struct output *output, struct buffer *expected, struct slice bytes)
{
    char *room = output_reserve(output, bytes.len);
    assert_non_null(room);
    memcpy(room, bytes.data, bytes.len);
    unit_append(expected, bytes.data, bytes.len);
}

static void put_entry(struct output *output, struct buffer *expected, struct entry *entry)
{
    assert_true(output_append(output, entry->body, entry, NULL));
    unit_append(expected, entry->body.data, entry->body.len);
}

/* Writes and reads in turns until nothing is queued. */
static void drain(struct output *output, struct wire *wire)
{
    enum output_state state;
    do {
        state = output_write(output, wire->near);
        assert_int_not_equal(state, OUTPUT_FAILED);
        assert_int_equal(state == OUTPUT_EMPTY, output->queued == 0);
        while (wire_read(wire, SIZE_MAX))
            ;
    } while (state == OUTPUT_BLOCKED);
}

static void check_seen(const struct wire *wire, const struct buffer *expected)
{
    assert_int_equal(wire->seen.len, expected->len);
    if (expected->len > 0)
        assert_memory_equal(wire->seen.data, expected->data, expected->len);
}

static void test_empty(void **state)
{
    struct wire wire;
    struct output output = {0};
    (void)state;
    wire_open(&wire);
    assert_int_equal(output_write(&output, wire.near), OUTPUT_EMPTY);
    assert_true(output_append(&output, SLICE(""), NULL, NULL));
    assert_true(output_append(&output, (struct slice){0}, NULL, NULL));
    assert_int_equal(output.queued, 0);
    assert_int_equal(output_write(&output, wire.near), OUTPUT_EMPTY);
    assert_false(wire_read(&wire, SIZE_MAX));
    output_free(&output);
    output_free(&output);
    wire_close(&wire);
}

/* An empty body takes no reference, so none is left behind. */
static void test_empty_entry(void **state)
{
    struct output output = {0};
    struct entry *entry = make_entry('a', 0);
    (void)state;
    assert_true(output_append(&output, entry->body, entry, NULL));
    assert_int_equal(output.queued, 0);
    output_free(&output);
    assert_int_equal(entry->references, 1);
    entry_unref(entry);
}

static void test_order(void **state)
{
    struct wire wire;
    struct output output = {0};
    struct buffer expected = {0};
    struct entry *entry = make_entry('A', 20000);
    (void)state;
    wire_open(&wire);
    put_own(&output, &expected, SLICE("head"));
    put_own(&output, &expected, SLICE(" and more;"));
    put_entry(&output, &expected, entry);
    put_own(&output, &expected, SLICE("between"));
    put_entry(&output, &expected, entry);
    assert_true(output_append(&output, SLICE("static"), NULL, NULL));
    unit_append(&expected, "static", 6);
    put_own(&output, &expected, SLICE("tail"));
    assert_int_equal(output.queued, expected.len);
    assert_int_equal(entry->references, 3);

    drain(&output, &wire);
    check_seen(&wire, &expected);
    assert_int_equal(entry->references, 1);
    entry_unref(entry);
    buffer_free(&expected);
    output_free(&output);
    wire_close(&wire);
}

/* Byte by byte at the other end: a reference is held exactly until its last byte was taken. */
static void test_references(void **state)
{
    enum { ENTRIES = 4 };
    struct wire wire;
    struct output output = {0};
    struct buffer expected = {0};
    struct entry *entries[ENTRIES];
    size_t ends[ENTRIES], partly = 0;
    (void)state;
    wire_open(&wire);
    for (size_t i = 0; i < ENTRIES; i++) {
        entries[i] = make_entry((char)('a' + (char)i), 7000 + 1000 * i);
        put_own(&output, &expected, SLICE("[framing]"));
        put_entry(&output, &expected, entries[i]);
        ends[i] = expected.len;
    }
    while (output.queued > 0) {
        enum output_state result = output_write(&output, wire.near);
        size_t taken = expected.len - output.queued;
        assert_int_equal(result, output.queued > 0 ? OUTPUT_BLOCKED : OUTPUT_EMPTY);
        for (size_t i = 0; i < ENTRIES; i++)
            assert_int_equal(entries[i]->references, taken >= ends[i] ? 1 : 2);
        partly += result == OUTPUT_BLOCKED;
        while (wire_read(&wire, 1000))
            ;
    }
    assert_true(partly > 1);
    check_seen(&wire, &expected);
    for (size_t i = 0; i < ENTRIES; i++)
        entry_unref(entries[i]);
    buffer_free(&expected);
    output_free(&output);
    wire_close(&wire);
}

/* More segments than one writev takes. */
static void test_many_segments(void **state)
{
    struct wire wire;
    struct output output = {0};
    struct buffer expected = {0};
    struct entry *entry = make_entry('0', 2000);
    (void)state;
    wire_open(&wire);
    for (int i = 0; i < 500; i++) {
        put_own(&output, &expected, SLICE("<"));
        put_entry(&output, &expected, entry);
    }
    assert_int_equal(entry->references, 501);
    drain(&output, &wire);
    check_seen(&wire, &expected);
    assert_int_equal(entry->references, 1);
    entry_unref(entry);
    buffer_free(&expected);
    output_free(&output);
    wire_close(&wire);
}

/* Pieces of all sizes, queued while others are partly written. */
static void test_random(void **state)
{
    char bytes[3000];
    struct wire wire;
    struct output output = {0};
    struct buffer expected = {0};
    struct entry *small = make_entry('s', 11), *large = make_entry('L', 9000);
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)unit_random(256);
    wire_open(&wire);
    for (int round = 0; round < 3000; round++) {
        static const size_t most[] = {20, 200, 961, 3000};
        switch (unit_random(8)) {
        case 0:
            put_entry(&output, &expected, small);
            break;
        case 1:
            if (unit_random(4) == 0)
                put_entry(&output, &expected, large);
            break;
        case 2:
        case 3:
        case 4:
            put_own(&output, &expected,
                    (struct slice){bytes, unit_random(most[unit_random(LENGTH(most))])});
            break;
        case 5:
            output_write(&output, wire.near);
            break;
        default:
            wire_read(&wire, 1 + unit_random(2000));
        }
    }
    drain(&output, &wire);
    check_seen(&wire, &expected);
    assert_int_equal(small->references, 1);
    assert_int_equal(large->references, 1);
    entry_unref(small);
    entry_unref(large);
    buffer_free(&expected);
    output_free(&output);
    wire_close(&wire);
}

/* A reservation of any size is one contiguous piece, and earlier ones stay valid. */
static void test_reserve(void **state)
{
    (void)state;
    for (size_t len = 0; len <= 4000; len += len < 1100 ? 1 : 97) {
        struct wire wire;
        struct output output = {0};
        struct buffer expected = {0};
        wire_open(&wire);
        put_own(&output, &expected, SLICE("before"));
        char *room = output_reserve(&output, len);
        assert_non_null(room);
        memset(room, 'x', len);
        for (size_t i = 0; i < len; i++)
            unit_append(&expected, "x", 1);
        put_own(&output, &expected, SLICE("after"));
        drain(&output, &wire);
        check_seen(&wire, &expected);
        buffer_free(&expected);
        output_free(&output);
        wire_close(&wire);
    }
}

/* Segments that are dropped half-written release their references too. */
static void test_dropped(void **state)
{
    struct wire wire;
    struct output output = {0};
    struct buffer expected = {0};
    struct entry *entry = make_entry('e', 100000);
    (void)state;
    wire_open(&wire);
    put_own(&output, &expected, SLICE("own"));
    put_entry(&output, &expected, entry);
    put_entry(&output, &expected, entry);
    assert_int_equal(output_write(&output, wire.near), OUTPUT_BLOCKED);
    assert_true(output.queued > 0 && output.queued < expected.len);
    output_free(&output);
    assert_int_equal(entry->references, 1);
    assert_int_equal(output.queued, 0);
    output_free(&output);

    /* It can be used again. */
    while (wire_read(&wire, SIZE_MAX))
        ;
    wire.seen.len = expected.len = 0;
    put_own(&output, &expected, SLICE("again"));
    drain(&output, &wire);
    check_seen(&wire, &expected);
    entry_unref(entry);
    buffer_free(&expected);
    output_free(&output);
    wire_close(&wire);
}

/* Checklist 56: a peer that has gone is an error, not a signal. */
static void test_closed_peer(void **state)
{
    struct wire wire;
    struct output output = {0};
    struct buffer expected = {0};
    struct entry *entry = make_entry('e', 10);
    (void)state;
    wire_open(&wire);
    put_entry(&output, &expected, entry);
    close(wire.far);
    wire.far = -1;
    assert_int_equal(output_write(&output, wire.near), OUTPUT_FAILED);
    assert_int_equal(output_write(&output, wire.near), OUTPUT_FAILED);
    assert_int_equal(output.queued, 10);
    output_free(&output);
    assert_int_equal(entry->references, 1);
    entry_unref(entry);
    buffer_free(&expected);
    wire_close(&wire);
}

/* Without memory nothing changes, and what is queued is still sent. */
static void test_no_memory(void **state)
{
    struct wire wire;
    struct output output = {0};
    struct buffer expected = {0};
    struct entry *entry = make_entry('e', 2000);
    static const char large[2000];
    (void)state;
    wire_open(&wire);
    for (int queued = 0; queued < 2; queued++) {
        size_t before = output.queued;
        alloc_fail_after(0);
        assert_null(output_reserve(&output, 20000));
        assert_false(output_append(&output, entry->body, entry, NULL));
        assert_false(output_append(&output, (struct slice){large, sizeof large}, NULL, NULL));
        assert_true(output_append(&output, SLICE(""), NULL, NULL)); /* needs none */
        alloc_fail_after(-1);
        assert_int_equal(output.queued, before);
        assert_int_equal(entry->references, queued ? 2 : 1);
        if (!queued) {
            put_own(&output, &expected, SLICE("own"));
            put_entry(&output, &expected, entry);
        }
    }
    drain(&output, &wire);
    check_seen(&wire, &expected);
    assert_int_equal(entry->references, 1);
    entry_unref(entry);
    buffer_free(&expected);
    output_free(&output);
    wire_close(&wire);
}

static void on_gone(struct users *users)
{
    (void)users;
    fail_msg("the test has them, too");
}

/* Bytes of a config are counted as long as they are not sent, unless they are copied. */
static void test_users(void **state)
{
    static const char large[50000];
    struct users users = {.count = 1, .gone = on_gone};
    struct wire wire;
    struct output output = {0};
    (void)state;
    wire_open(&wire);
    assert_true(output_append(&output, (struct slice){large, 100}, NULL, &users));
    assert_int_equal(users.count, 1);
    assert_true(output_append(&output, (struct slice){large, sizeof large}, NULL, &users));
    assert_true(output_append(&output, (struct slice){large, sizeof large}, NULL, &users));
    assert_int_equal(users.count, 3);
    drain(&output, &wire);
    assert_int_equal(users.count, 1);
    assert_true(output_append(&output, (struct slice){large, sizeof large}, NULL, &users));
    output_free(&output); /* the connection has ended */
    assert_int_equal(users.count, 1);
    wire_close(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),         cmocka_unit_test(test_empty_entry),
        cmocka_unit_test(test_order),         cmocka_unit_test(test_references),
        cmocka_unit_test(test_many_segments), cmocka_unit_test(test_random),
        cmocka_unit_test(test_reserve),       cmocka_unit_test(test_dropped),
        cmocka_unit_test(test_closed_peer),   cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_users),
    };
    return cmocka_run_group_tests_name("output", tests, NULL, NULL);
}
