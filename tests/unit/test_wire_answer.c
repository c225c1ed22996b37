/* wire/request: how answers are framed. What is queued goes through a socket and is taken apart
 * again with the record codec. */
#include "wire/request.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cache/entry.h"
#include "fastcgi/record.h"
#include "responses.h"
#include "unit.h"
#include "wire/limits.h"
#include "wire/output.h"

#define CONTENT_MAX 32768 /* of one record */
#define ID          258

static const struct connection_limits limits = {.receive_timeout = 60, .heartbeat = 60};
static struct ev_loop *loop;
static struct request_groups groups;
static struct request_group group = {.all = &groups};
static int near_end, far_end;

static int setup(void **state)
{
    int ends[2];
    (void)state;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0)
        return -1;
    near_end = ends[0];
    far_end = ends[1];
    loop = ev_loop_new(0);
    request_groups_init(&groups, loop, &limits, NULL, NULL);
    return loop ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    assert_null(group.turns);
    request_groups_stop(&groups);
    ev_loop_destroy(loop);
    close(near_end);
    close(far_end);
    return 0;
}

/* Appends to `bytes` all that is queued, through the socket. */
static void flush(struct output *output, struct buffer *bytes)
{
    static char read_bytes[65536];
    enum output_state state;
    do {
        state = output_write(output, near_end);
        assert_int_not_equal(state, OUTPUT_FAILED);
        ssize_t len;
        while ((len = recv(far_end, read_bytes, sizeof read_bytes, 0)) > 0)
            unit_append(bytes, read_bytes, (size_t)len);
        assert_true(len < 0 && errno == EAGAIN);
    } while (state == OUTPUT_BLOCKED);
}

/* --- what a front server receives --- */

struct seen {
    struct buffer out; /* the STDOUT stream */
    unsigned records;  /* of STDOUT, with content */
    unsigned stream_ends, request_ends;
    unsigned foreign; /* records of other requests */
    uint8_t protocol_status;
};

/* Padded with zeros to a multiple of eight bytes, the reserved byte zero. */
static void check_framing(struct slice record, uint8_t padding)
{
    assert_int_equal(record.len % 8, 0);
    assert_int_equal(record.data[7], 0);
    for (size_t i = record.len - padding; i < record.len; i++)
        assert_int_equal(record.data[i], 0);
}

static void see_end(struct seen *seen, struct slice content)
{
    assert_int_equal(content.len, sizeof(FCGI_EndRequestBody));
    for (size_t i = 0; i < content.len; i++)
        assert_true(content.data[i] == 0 || i == 4); /* the application's status, reserved */
    seen->protocol_status = (uint8_t)content.data[4];
    seen->request_ends++;
}

/* One record of the request: STDOUT, its end, END_REQUEST, and nothing afterwards. */
static void see_record(struct seen *seen, uint8_t type, struct slice content)
{
    assert_int_equal(seen->request_ends, 0);
    if (type == FCGI_END_REQUEST) {
        see_end(seen, content);
        return;
    }
    assert_int_equal(type, FCGI_STDOUT);
    assert_int_equal(seen->stream_ends, 0);
    assert_true(content.len <= CONTENT_MAX);
    if (content.len == 0) {
        seen->stream_ends++;
        return;
    }
    seen->records++;
    unit_append(&seen->out, content.data, content.len);
}

/* Reads from the bytes what concerns request `id`. */
static void see(struct slice bytes, uint16_t id, struct seen *seen)
{
    *seen = (struct seen){0};
    while (bytes.len > 0) {
        struct record_decoder decoder = {0};
        struct slice rest = bytes, content = {0};
        assert_int_equal(record_decode(&decoder, &rest, &content), RECORD_START);
        if (decoder.header.content_len > 0)
            assert_int_equal(record_decode(&decoder, &rest, &content), RECORD_CONTENT);
        assert_int_equal(content.len, decoder.header.content_len);
        assert_true(rest.len >= decoder.header.padding);
        rest = slice_from(rest, decoder.header.padding);
        check_framing((struct slice){bytes.data, bytes.len - rest.len}, decoder.header.padding);
        if (decoder.header.request_id == id)
            see_record(seen, decoder.header.type, content);
        else
            seen->foreign++;
        bytes = rest;
    }
}

/* A complete answer: the head as response_head writes it, then the body. */
static void check_answer(const struct seen *seen, const char *status, struct slice body)
{
    struct slice out = buffer_slice(&seen->out);
    assert_int_equal(seen->stream_ends, 1);
    assert_int_equal(seen->request_ends, 1);
    assert_int_equal(seen->protocol_status, FCGI_REQUEST_COMPLETE);
    assert_true(slice_starts(out, slice_of(status)));
    const char *blank = out.len < 4 ? NULL : memmem(out.data, out.len, "\r\n\r\n", 4);
    assert_non_null(blank);
    size_t head_len = (size_t)(blank - out.data) + 4;
    assert_true(head_len <= RESPONSE_HEAD_MAX);
    assert_int_equal(out.len - head_len, body.len);
    if (body.len > 0)
        assert_memory_equal(out.data + head_len, body.data, body.len);
}

static struct entry *make_entry(size_t body_len)
{
    struct buffer body = {0};
    for (size_t i = 0; i < body_len; i++) {
        char byte = (char)(i * 31 + i / 256);
        unit_append(&body, &byte, 1);
    }
    struct entry *entry = entry_new(SLICE("text/html"), buffer_slice(&body), 0, 60000, 1);
    assert_non_null(entry);
    buffer_free(&body);
    return entry;
}

static struct request *answering(uint16_t id, struct response response)
{
    struct request *request = request_new(&group, id, true);
    assert_non_null(request);
    request_answer(request, response);
    return request;
}

/* --- tests --- */

/* Checklist 48 to 51, for bodies around every size that matters. */
static void test_bodies(void **state)
{
    static const size_t sizes[] = {0,     1,     2,     7,     8,     9,     1000,
                                   31000, 31743, 31744, 31745, 32767, 32768, 32769,
                                   64512, 64513, 65535, 65536, 65537, 98304, (size_t)1 << 20};
    (void)state;
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        struct entry *entry = make_entry(sizes[i]);
        struct request *request = answering(ID, response_of_entry(entry));
        struct output output = {0};
        struct buffer bytes = {0};
        struct seen seen;
        enum request_progress progress;
        unsigned turns = 0;
        do {
            progress = request_emit(request, &output);
            assert_int_not_equal(progress, REQUEST_NO_MEMORY);
            assert_true(output.queued <= CONTENT_MAX + 8 + 7 + 8 + RECORD_END_LEN); /* its turn */
            flush(&output, &bytes);
            turns++;
        } while (progress == REQUEST_MORE);
        see(buffer_slice(&bytes), ID, &seen);
        check_answer(&seen, "Status: 200 OK\r\n", entry->body);
        assert_int_equal(seen.records, turns);
        assert_int_equal(seen.foreign, 0);
        assert_true(turns <= 1 + (sizes[i] + RESPONSE_HEAD_MAX) / CONTENT_MAX);

        request_free(request);
        assert_int_equal(entry->references, 1);
        entry_unref(entry);
        output_free(&output);
        buffer_free(&bytes);
        buffer_free(&seen.out);
    }
}

/* All queued before a byte is written: the entry lives until it is. */
static void test_queued_whole(void **state)
{
    struct entry *entry = make_entry(200000);
    struct request *request = answering(ID, response_of_entry(entry));
    struct output output = {0};
    struct buffer bytes = {0}, body = {0};
    struct seen seen;
    (void)state;
    unit_append(&body, entry->body.data, entry->body.len);
    while (request_emit(request, &output) == REQUEST_MORE)
        ;
    request_free(request);
    assert_true(entry->references > 1);
    entry_unref(entry); /* the queue alone holds it now */
    flush(&output, &bytes);
    see(buffer_slice(&bytes), ID, &seen);
    check_answer(&seen, "Status: 200 OK\r\n", buffer_slice(&body));
    output_free(&output);
    buffer_free(&body);
    buffer_free(&bytes);
    buffer_free(&seen.out);
}

/* Records are padded by their own length, not by their position in the queue. */
static void test_odd_place(void **state)
{
    (void)state;
    for (size_t odd = 0; odd < 8; odd++) {
        struct entry *entry = make_entry(33333 + odd * 3);
        struct request *request = answering(ID, response_of_entry(entry));
        struct output output = {0};
        struct buffer bytes = {0};
        struct seen seen;
        memset(output_reserve(&output, odd), 'x', odd); /* the rest of a record half written */
        while (request_emit(request, &output) == REQUEST_MORE)
            ;
        flush(&output, &bytes);
        see(slice_from(buffer_slice(&bytes), odd), ID, &seen);
        check_answer(&seen, "Status: 200 OK\r\n", entry->body);
        request_free(request);
        entry_unref(entry);
        output_free(&output);
        buffer_free(&bytes);
        buffer_free(&seen.out);
    }
}

/* Emits the complete answer and checks it. */
static void check_short(struct request *request, const char *status, struct slice body)
{
    struct output output = {0};
    struct buffer bytes = {0};
    struct seen seen;
    assert_int_equal(request_emit(request, &output), REQUEST_DONE);
    flush(&output, &bytes);
    see(buffer_slice(&bytes), request->id, &seen);
    check_answer(&seen, status, body);
    assert_int_equal(seen.foreign, 0);
    request_free(request);
    output_free(&output);
    buffer_free(&bytes);
    buffer_free(&seen.out);
}

/* Answers without a body, or with one that is not in an entry; checklist 23: the id is echoed. */
static void test_kinds(void **state)
{
    struct entry *entry = make_entry(100000);
    struct response response = response_of_entry(entry);
    (void)state;
    response.head_only = true;
    check_short(answering(1, response), "Status: 200 OK\r\n", SLICE(""));
    response = response_of_entry(entry);
    response.status = 304;
    check_short(answering(32767, response), "Status: 304 Not Modified\r\n", SLICE(""));
    assert_int_equal(entry->references, 1);
    entry_unref(entry);

    response = response_of_status(502);
    check_short(answering(65535, response), "Status: 502 Bad Gateway\r\n", response.body);
    response.body = SLICE("<p>fallback</p>");
    check_short(answering(ID, response), "Status: 502 Bad Gateway\r\n", SLICE("<p>fallback</p>"));
    response.head_only = true;
    check_short(answering(ID, response), "Status: 502 Bad Gateway\r\n", SLICE(""));

    struct request *request = request_new(&group, ID, true);
    assert_non_null(request);
    request_refuse(request, 503);
    assert_int_equal(request->answer.response.retry_after, 1);
    check_short(request, "Status: 503 Service Unavailable\r\n", response_of_status(503).body);
}

/* Checklist 54: several in turns on one output; each is complete. */
static void test_interleaved(void **state)
{
    enum { REQUESTS = 5 };
    struct request *requests[REQUESTS];
    struct entry *entries[REQUESTS];
    struct output output = {0};
    struct buffer bytes = {0};
    unsigned left = REQUESTS;
    (void)state;
    for (unsigned i = 0; i < REQUESTS; i++) {
        entries[i] = make_entry(i * (size_t)50000);
        requests[i] = answering((uint16_t)(i + 1), response_of_entry(entries[i]));
    }
    while (left > 0) {
        for (size_t i = 0; i < REQUESTS; i++) {
            if (requests[i] && request_emit(requests[i], &output) == REQUEST_DONE) {
                request_free(requests[i]);
                requests[i] = NULL;
                left--;
            }
        }
        if (unit_random(2))
            flush(&output, &bytes);
    }
    flush(&output, &bytes);
    for (unsigned i = 0; i < REQUESTS; i++) {
        struct seen seen;
        see(buffer_slice(&bytes), (uint16_t)(i + 1), &seen);
        assert_true(seen.foreign > 0);
        check_answer(&seen, "Status: 200 OK\r\n", entries[i]->body);
        buffer_free(&seen.out);
        entry_unref(entries[i]);
    }
    output_free(&output);
    buffer_free(&bytes);
}

/* Checklist 46: an END_REQUEST before the answer, and one in its middle. */
static void test_end(void **state)
{
    struct entry *entry = make_entry(100000);
    struct output output = {0};
    struct buffer bytes = {0};
    struct seen seen;
    (void)state;
    struct request *request = request_new(&group, ID, true);
    assert_non_null(request);
    assert_true(request_emit_end(request, &output));
    flush(&output, &bytes);
    assert_int_equal(bytes.len, RECORD_END_LEN);
    see(buffer_slice(&bytes), ID, &seen);
    assert_int_equal(seen.request_ends, 1);
    assert_int_equal(seen.protocol_status, FCGI_REQUEST_COMPLETE);
    request_free(request);
    bytes.len = 0;

    request = answering(ID, response_of_entry(entry));
    assert_int_equal(request_emit(request, &output), REQUEST_MORE);
    assert_true(request_emit_end(request, &output));
    request_free(request);
    flush(&output, &bytes);
    see(buffer_slice(&bytes), ID, &seen);
    assert_int_equal(seen.records, 1);
    assert_int_equal(seen.stream_ends, 1);
    assert_int_equal(seen.request_ends, 1);
    assert_int_equal(seen.protocol_status, FCGI_REQUEST_COMPLETE);
    assert_int_equal(entry->references, 1);
    entry_unref(entry);
    output_free(&output);
    buffer_free(&bytes);
    buffer_free(&seen.out);
}

/* Lack of memory is reported, and only the connection is lost. */
static void test_no_memory(void **state)
{
    (void)state;
    for (size_t size = 0; size <= 100000; size += 50000) {
        bool enough = false;
        for (long successes = 0; !enough; successes++) {
            struct entry *entry = make_entry(size);
            struct request *request = answering(ID, response_of_entry(entry));
            struct output output = {0};
            enum request_progress progress;
            alloc_fail_after(successes);
            do
                progress = request_emit(request, &output);
            while (progress == REQUEST_MORE);
            enough = progress == REQUEST_DONE;
            alloc_fail_after(-1);
            assert_true(successes < 100);
            if (enough) { /* then nothing is missing */
                struct buffer bytes = {0};
                struct seen seen;
                flush(&output, &bytes);
                see(buffer_slice(&bytes), ID, &seen);
                check_answer(&seen, "Status: 200 OK\r\n", entry->body);
                buffer_free(&bytes);
                buffer_free(&seen.out);
            }
            request_free(request);
            output_free(&output);
            assert_int_equal(entry->references, 1);
            entry_unref(entry);
        }
    }
    struct output output = {0}, other = {0};
    struct request *request = request_new(&group, ID, true);
    assert_non_null(request);
    assert_non_null(output_reserve(&other, 1)); /* no spare segment is left now */
    alloc_fail_after(0);
    assert_false(request_emit_end(request, &output));
    assert_null(request_new(&group, ID, true));
    alloc_fail_after(-1);
    request_free(request);
    output_free(&output);
    output_free(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),      cmocka_unit_test(test_queued_whole),
        cmocka_unit_test(test_odd_place),   cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_interleaved), cmocka_unit_test(test_end),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("wire_answer", tests, setup, teardown);
}
