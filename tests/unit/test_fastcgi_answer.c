/* source/fastcgi_answer: what the records of a FastCGI server mean, however they arrive. */
#include "source/fastcgi_answer.h"

#include <stdio.h>

#include "base/alloc.h"
#include "fastcgi_records.h"

#define MAX_BODY 100
#define HTML     "Content-Type: text/html\r\n\r\n"
#define HUNDRED                                                                                    \
    "0123456789012345678901234567890123456789012345678901234567890123456789"                       \
    "012345678901234567890123456789"

struct row {
    struct slice records;
    enum fastcgi_step step;
    int status;                          /* of FASTCGI_DONE and FASTCGI_IGNORED */
    struct slice type, body, complaints; /* each complaint ends in '\n' */
    unsigned exit_status, protocol_status;
    const char *problem; /* of FASTCGI_BAD: a part of it */
};

static void on_complaint(void *context, struct slice line)
{
    unit_append(context, line.data, line.len);
    unit_append(context, "\n", 1);
}

static struct fastcgi_answer new_answer(struct buffer *complaints)
{
    return (struct fastcgi_answer){.max_body = MAX_BODY,
                                   .complain = on_complaint,
                                   .context = complaints};
}

/* Feeds the stream, and returns the last step. */
static enum fastcgi_step feed(struct fastcgi_answer *answer, struct slice stream,
                              enum unit_feed way, struct slice *rest)
{
    enum fastcgi_step step = FASTCGI_MORE;
    *rest = (struct slice){0};
    while (step == FASTCGI_MORE && stream.len > 0) {
        struct slice piece = unit_exact(unit_piece(&stream, way)), left = piece;
        step = fastcgi_answer_feed(answer, &left);
        *rest = (struct slice){.data = stream.data - left.len, .len = left.len};
        unit_drop(piece);
    }
    return step;
}

static const struct row rows[] = {
    {SLICE_INIT("O:" HTML "<p>hi|O:|."), FASTCGI_DONE, .status = 200,
     .type = SLICE_INIT("text/html"), .body = SLICE_INIT("<p>hi")},
    /* The end of STDOUT need not be there, nor any body. */
    {SLICE_INIT("O:" HTML "a|."), FASTCGI_DONE, .status = 200, .type = SLICE_INIT("text/html"),
     .body = SLICE_INIT("a")},
    {SLICE_INIT("O:" HTML "|."), FASTCGI_DONE, .status = 200, .type = SLICE_INIT("text/html")},
    {SLICE_INIT("O:|O:" HTML "a|O:|O:b|."), FASTCGI_DONE, .status = 200,
     .type = SLICE_INIT("text/html"), .body = SLICE_INIT("ab")},
    /* Line ends, spaces, folded fields, an empty header. */
    {SLICE_INIT("O:content-type:text/plain\n\na\r\n\r\nb|."), FASTCGI_DONE, .status = 200,
     .type = SLICE_INIT("text/plain"), .body = SLICE_INIT("a\r\n\r\nb")},
    {SLICE_INIT("O:Content-Type: \t text/plain \t\r\nX: a\r\n\tb\n\na|."), FASTCGI_DONE,
     .status = 200, .type = SLICE_INIT("text/plain"), .body = SLICE_INIT("a")},
    {SLICE_INIT("O:Content-Type:\n text/html\n\na|."), FASTCGI_DONE, .status = 200,
     .type = SLICE_INIT("text/html"), .body = SLICE_INIT("a")},
    {SLICE_INIT("O:\r\na|."), FASTCGI_DONE, .status = 200, .type = SLICE_INIT(""),
     .body = SLICE_INIT("a")},
    {SLICE_INIT("O:\na|."), FASTCGI_DONE, .status = 200, .type = SLICE_INIT(""),
     .body = SLICE_INIT("a")},
    {SLICE_INIT("O:X: \x80\xff\n\na|."), FASTCGI_DONE, .status = 200, .type = SLICE_INIT(""),
     .body = SLICE_INIT("a")},
    /* Status, Location. */
    {SLICE_INIT("O:Status: 404 Not Found\r\n" HTML "gone|."), FASTCGI_DONE, .status = 404,
     .type = SLICE_INIT("text/html")},
    {SLICE_INIT("O:"
                "status: 204\n\n|."),
     FASTCGI_DONE, .status = 204},
    {SLICE_INIT("O:Status: 304 Not Modified\nETag: \"1\"\n\n|."), FASTCGI_DONE, .status = 304},
    {SLICE_INIT("O:Location: http://h/\n\n|."), FASTCGI_DONE, .status = 302},
    {SLICE_INIT("O:Location: /x\nStatus: 201 Created\n\na|."), FASTCGI_DONE, .status = 201,
     .type = SLICE_INIT(""), .body = SLICE_INIT("a")},
    {SLICE_INIT("O:Status: 200\nStatus: 404\n\na|."), FASTCGI_DONE, .status = 200,
     .type = SLICE_INIT(""), .body = SLICE_INIT("a")},
    {SLICE_INIT("O:Status: OK\n\na|."), FASTCGI_BAD, .problem = "malformed Status"},
    {SLICE_INIT("O:Status:\n\na|."), FASTCGI_BAD, .problem = "malformed Status"},
    {SLICE_INIT("O:Status: 20\n\na|."), FASTCGI_BAD, .problem = "malformed Status"},
    {SLICE_INIT("O:Status: 2000\n\na|."), FASTCGI_BAD, .problem = "malformed Status"},
    {SLICE_INIT("O:Status: 099\n\na|."), FASTCGI_BAD, .problem = "malformed Status"},
    {SLICE_INIT("O:Status: 200OK\n\na|."), FASTCGI_BAD, .problem = "malformed Status"},
    /* What is no header. */
    {SLICE_INIT("O:<p>hi</p>\n\n|."), FASTCGI_BAD, .problem = "not a header field"},
    {SLICE_INIT("O:PHP Warning: x\n" HTML "a|."), FASTCGI_BAD, .problem = "not a header field"},
    {SLICE_INIT("O:HTTP/1.1 200 OK\n" HTML "a|."), FASTCGI_BAD, .problem = "not a header field"},
    {SLICE_INIT("O:X : 1\n\na|."), FASTCGI_BAD, .problem = "not a header field"},
    {SLICE_INIT("O::\n\na|."), FASTCGI_BAD, .problem = "not a header field"},
    {SLICE_INIT("O: X: 1\n\na|."), FASTCGI_BAD, .problem = "not a header field"},
    {SLICE_INIT("O:X: a\0b\n\na|."), FASTCGI_BAD, .problem = "not a header field"},
    {SLICE_INIT("O:X: a\rb\n\na|."), FASTCGI_BAD, .problem = "not a header field"},
    {SLICE_INIT("O:X: 1\n a\x01\n\na|."), FASTCGI_BAD, .problem = "not a header field"},
    /* It ends too early. */
    {SLICE_INIT("."), FASTCGI_BAD, .problem = "without a response"},
    {SLICE_INIT("O:|."), FASTCGI_BAD, .problem = "without a response"},
    {SLICE_INIT("E:oh|."), FASTCGI_BAD, .complaints = SLICE_INIT("oh\n"),
     .problem = "without a response"},
    {SLICE_INIT("O:Content-Type: text/html\r\n|."), FASTCGI_BAD, .problem = "within the header"},
    {SLICE_INIT("O:Content-Ty|."), FASTCGI_BAD, .problem = "within the header"},
    {SLICE_INIT("O:" HTML "a"), FASTCGI_MORE, .status = 0},
    /* Content-Length. */
    {SLICE_INIT("O:Content-Length: 3\n" HTML "abc|."), FASTCGI_DONE, .status = 200,
     .type = SLICE_INIT("text/html"), .body = SLICE_INIT("abc")},
    {SLICE_INIT("O:Content-Length: 4\n" HTML "abc|."), FASTCGI_BAD, .problem = "Content-Length"},
    {SLICE_INIT("O:Content-Length: 2\n" HTML "abc|."), FASTCGI_BAD, .problem = "Content-Length"},
    {SLICE_INIT("O:Content-Length: x\n" HTML "abc|."), FASTCGI_BAD, .problem = "Content-Length"},
    {SLICE_INIT("O:Content-Length: 18446744073709551619\n" HTML "abc|."), FASTCGI_BAD,
     .problem = "Content-Length"},
    {SLICE_INIT("O:Status: 404\nContent-Length: 9\n\na|."), FASTCGI_DONE, .status = 404},
    {SLICE_INIT("O:Status: 304\nContent-Length: 9\n\n|."), FASTCGI_DONE, .status = 304},
    /* Encodings. */
    {SLICE_INIT("O:Content-Encoding: identity\n\na|."), FASTCGI_DONE, .status = 200,
     .type = SLICE_INIT(""), .body = SLICE_INIT("a")},
    {SLICE_INIT("O:Content-Encoding: gzip\n\na|."), FASTCGI_BAD, .problem = "Content-Encoding"},
    /* STDERR, in between and without a line end. */
    {SLICE_INIT("E:one\r\ntw|O:" HTML "a|E:o\n\n\nthree|O:b|."), FASTCGI_DONE, .status = 200,
     .type = SLICE_INIT("text/html"), .body = SLICE_INIT("ab"),
     .complaints = SLICE_INIT("one\ntwo\nthree\n")},
    /* How it ended. */
    {SLICE_INIT("O:" HTML "a|?255"), FASTCGI_DONE, .status = 200, .type = SLICE_INIT("text/html"),
     .body = SLICE_INIT("a"), .exit_status = 255},
    {SLICE_INIT("!1"), FASTCGI_DONE, .protocol_status = FCGI_CANT_MPX_CONN},
    {SLICE_INIT("!2"), FASTCGI_DONE, .protocol_status = FCGI_OVERLOADED},
    {SLICE_INIT("O:" HTML "a|!3"), FASTCGI_DONE, .status = 200, .type = SLICE_INIT("text/html"),
     .body = SLICE_INIT("a"), .protocol_status = FCGI_UNKNOWN_ROLE},
    {SLICE_INIT("!9"), FASTCGI_DONE, .protocol_status = 9},
    /* Padding; records of other kinds and requests. */
    {SLICE_INIT("P1|O:Content-Type:|P255|O: text/html\n|P7|E:x\n|O:\n|P0|O:a|."), FASTCGI_DONE,
     .status = 200, .type = SLICE_INIT("text/html"), .body = SLICE_INIT("a"),
     .complaints = SLICE_INIT("x\n")},
    {SLICE_INIT("@0|@1|@9|O:" HTML "a|P3|@1|P0|#0|."), FASTCGI_DONE, .status = 200,
     .type = SLICE_INIT("text/html"), .body = SLICE_INIT("a")},
    {SLICE_INIT("O:" HTML "a|#2|."), FASTCGI_BAD, .problem = "another request"},
    /* Limits. */
    {SLICE_INIT("O:" HTML HUNDRED "|."), FASTCGI_DONE, .status = 200,
     .type = SLICE_INIT("text/html"), .body = SLICE_INIT(HUNDRED)},
    {SLICE_INIT("O:" HTML HUNDRED "|O:x|."), FASTCGI_TOO_LARGE, .status = 0},
    {SLICE_INIT("O:Status: 500\n\n" HUNDRED HUNDRED "|."), FASTCGI_DONE, .status = 500},
};

static void check_row(size_t i, const struct row *row, struct slice stream, enum unit_feed way)
{
    struct buffer complaints = {0};
    struct fastcgi_answer answer = new_answer(&complaints);
    struct slice rest;
    assert_row(i, feed(&answer, stream, way, &rest) == row->step);
    if (row->step == FASTCGI_BAD)
        assert_row(i, strstr(answer.problem, row->problem));
    if (row->step == FASTCGI_DONE) {
        assert_row(i, answer.end.protocol_status == row->protocol_status);
        assert_row(i, answer.end.app_status == row->exit_status);
        assert_row(i, answer.status == row->status);
        assert_slice(i, http_head_find(&answer.head, SLICE("Content-Type")), row->type);
        assert_slice(i, buffer_slice(&answer.body), row->body);
        assert_row(i, fastcgi_answer_is_clean(&answer, rest));
        assert_row(i, !fastcgi_answer_is_clean(&answer, SLICE("x")));
    }
    if (row->step != FASTCGI_MORE)
        assert_slice(i, buffer_slice(&complaints), row->complaints);
    fastcgi_answer_clear(&answer);
    assert_row(i, !answer.has_begun && !answer.has_head && !answer.body.data);
    buffer_free(&complaints);
}

static void test_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct buffer stream = {0};
        put_records(&stream, rows[i].records);
        for (int way = 0; way < FEED_WAYS; way++)
            check_row(i, &rows[i], buffer_slice(&stream), (enum unit_feed)way);
        buffer_free(&stream);
    }
}

/* Only the complete stream is a response. */
static void test_prefixes(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct buffer stream = {0};
        put_records(&stream, rows[i].records);
        for (size_t len = 0; len < stream.len; len++) {
            struct fastcgi_answer answer = new_answer(&(struct buffer){0});
            struct slice rest;
            answer.complain = NULL;
            enum fastcgi_step step =
                feed(&answer, (struct slice){.data = stream.data, .len = len}, FEED_WHOLE, &rest);
            assert_row(i, step != FASTCGI_DONE);
            fastcgi_answer_clear(&answer);
        }
        buffer_free(&stream);
    }
}

/* What is not FastCGI, and END_REQUESTs of other lengths. */
static void test_garbage(void **state)
{
    static const struct slice streams[] = {
        SLICE_INIT("HTTP/1.1 400 Bad Request\r\n\r\n"),
        SLICE_INIT("\0"),
        SLICE_INIT("\2\6\0\1\0\0\0\0"),
        SLICE_INIT("\1\3\0\1\0\0\0\0"),
        SLICE_INIT("\1\3\0\1\0\7\0\0\0\0\0\0\0\0\0"),
        SLICE_INIT("\1\3\0\1\0\11\0\0\0\0\0\0\0\0\0\0\0"),
        SLICE_INIT("\1\3\0\2\0\10\0\0\0\0\0\0\0\0\0\0"),
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(streams); i++)
        for (int way = 0; way < FEED_WAYS; way++) {
            struct fastcgi_answer answer = {.max_body = MAX_BODY};
            struct slice rest;
            assert_row(i, feed(&answer, streams[i], (enum unit_feed)way, &rest) == FASTCGI_BAD);
            fastcgi_answer_clear(&answer);
        }
}

/* A connection is used again only if there is nothing behind the END_REQUEST but its padding, all of
 * which has come. */
static void test_what_is_left(void **state)
{
    static const struct {
        uint8_t padding;
        size_t come;
        const char *more;
        bool is_clean;
    } cases[] = {
        {0, 0, "", true},  {0, 0, "x", false}, {7, 7, "", true},
        {7, 6, "", false}, {7, 0, "", false},  {7, 7, "x", false},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct buffer stream = {0};
        struct fastcgi_answer answer = {.max_body = MAX_BODY};
        struct slice rest;
        put_records(&stream, SLICE("O:" HTML));
        put_record(&stream, FCGI_END_REQUEST, 1, SLICE("\0\0\0\0\0\0\0\0"), cases[i].padding);
        stream.len -= cases[i].padding - cases[i].come;
        unit_append(&stream, cases[i].more, strlen(cases[i].more));
        assert_row(i, feed(&answer, buffer_slice(&stream), FEED_WHOLE, &rest) == FASTCGI_DONE);
        assert_row(i, fastcgi_answer_is_clean(&answer, rest) == cases[i].is_clean);
        fastcgi_answer_clear(&answer);
        buffer_free(&stream);
    }
}

/* Feeds so many records of that content after the first one. */
static enum fastcgi_step flood(struct fastcgi_answer *answer, const char *first, uint8_t type,
                               struct slice content, size_t records)
{
    struct buffer stream = {0};
    struct slice rest;
    enum fastcgi_step step = FASTCGI_MORE;
    put_records(&stream, slice_of(first));
    while (step == FASTCGI_MORE && records-- > 0) {
        put_record(&stream, type, 1, content, 0);
        step = feed(answer, buffer_slice(&stream), FEED_WHOLE, &rest);
        stream.len = 0;
    }
    buffer_free(&stream);
    return step;
}

static void count_complaint(void *context, struct slice line)
{
    assert_true(line.len <= FASTCGI_COMPLAINT_MAX);
    ++*(unsigned *)context;
}

static void test_floods(void **state)
{
    static char long_line[32000], fields[32000];
    unsigned complaints = 0;
    memset(long_line, 'x', sizeof long_line);
    for (size_t i = 0; i < sizeof fields; i += 4)
        memcpy(fields + i, "a:b\n", 4);
    struct slice text = {.data = long_line, .len = sizeof long_line};
    struct slice many = {.data = fields, .len = sizeof fields};
    struct fastcgi_answer answer = {.max_body = MAX_BODY};
    (void)state;
    assert_int_equal(flood(&answer, "O:X: ", FCGI_STDOUT, text, 1000), FASTCGI_HEAD);
    fastcgi_answer_clear(&answer);
    assert_int_equal(flood(&answer, "", FCGI_STDOUT, many, 1000), FASTCGI_HEAD);
    fastcgi_answer_clear(&answer);
    assert_int_equal(flood(&answer, "O:Status: 500\n\n", FCGI_STDOUT, text, 1000), FASTCGI_IGNORED);
    assert_int_equal(answer.status, 500);
    fastcgi_answer_clear(&answer);
    answer.complain = count_complaint;
    answer.context = &complaints;
    assert_int_equal(flood(&answer, "", FCGI_STDERR, text, 1000), FASTCGI_MORE);
    assert_int_equal(complaints, 0);
    fastcgi_answer_clear(&answer);
    assert_int_equal(complaints, 1);
}

static void test_no_memory(void **state)
{
    struct buffer stream = {0};
    bool done = false;
    (void)state;
    put_records(&stream, SLICE("O:Content-Ty|O:pe: text/html\r\nX: a\r\n b\r\n\r\n|O:<p>|O:hi|."));
    for (long n = 0; !done; n++) {
        struct fastcgi_answer answer = {.max_body = MAX_BODY};
        struct slice input = buffer_slice(&stream);
        alloc_fail_after(n);
        enum fastcgi_step step = fastcgi_answer_feed(&answer, &input);
        alloc_fail_after(-1);
        done = step == FASTCGI_DONE;
        assert_true(done || step == FASTCGI_NO_MEMORY);
        assert_true(n < 50);
        fastcgi_answer_clear(&answer);
    }
    buffer_free(&stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers), cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_garbage), cmocka_unit_test(test_what_is_left),
        cmocka_unit_test(test_floods),  cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("fastcgi_answer", tests, NULL, NULL);
}
