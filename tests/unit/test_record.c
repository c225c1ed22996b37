/* fastcgi/record: the same records for any cuts and padding; and the encoders' bytes. */
#include "fastcgi/record.h"

#include "unit.h"

struct record {
    uint8_t type;
    uint16_t id;
    uint16_t content_len;
    uint8_t padding;
    uint8_t reserved;
};

/* --- the expected and the actual events, as bytes that can be compared --- */

/* Padding looks like the beginning of a record, to mislead a decoder that reads it. */
static void put_padding(struct buffer *stream, uint8_t len)
{
    for (unsigned i = 0; i < len; i++)
        unit_append(stream, "\x01", 1);
}

/* Appends the record to the stream, and the expected events of the decoder to the trace. */
static void put_record(struct buffer *stream, struct buffer *trace, struct record record)
{
    const unsigned char header[] = {
        1,
        record.type,
        (unsigned char)(record.id >> 8),
        (unsigned char)record.id,
        (unsigned char)(record.content_len >> 8),
        (unsigned char)record.content_len,
        record.padding,
        record.reserved,
    };
    unit_append(stream, header, sizeof header);
    unit_append(trace, "<", 1);
    unit_append(trace, header + 1, 6);
    for (unsigned i = 0; i < record.content_len; i++) {
        char byte = (char)(i * 7 + record.type);
        unit_append(stream, &byte, 1);
        unit_append(trace, &byte, 1);
    }
    unit_append(trace, ">", 1);
    put_padding(stream, record.padding);
}

static void trace_header(struct buffer *trace, const struct record_header *header)
{
    const unsigned char bytes[] = {
        '<',
        header->type,
        (unsigned char)(header->request_id >> 8),
        (unsigned char)header->request_id,
        (unsigned char)(header->content_len >> 8),
        (unsigned char)header->content_len,
        header->padding,
    };
    unit_append(trace, bytes, sizeof bytes);
}

/* Feeds one piece. False: the decoder wants no more. */
static bool feed_piece(struct record_decoder *decoder, struct slice piece, struct buffer *trace)
{
    struct slice rest = piece;
    for (;;) {
        struct slice content, before = rest;
        enum record_event event = record_decode(decoder, &rest, &content);
        assert_true(rest.len <= before.len);
        assert_ptr_equal(rest.data + rest.len, piece.data + piece.len);
        switch (event) {
        case RECORD_START:
            trace_header(trace, &decoder->header);
            break;
        case RECORD_CONTENT:
            assert_true(content.len > 0);
            assert_ptr_equal(content.data, before.data);
            assert_ptr_equal(content.data + content.len, rest.data);
            unit_append(trace, content.data, content.len);
            break;
        case RECORD_END:
            unit_append(trace, ">", 1);
            break;
        case RECORD_NEED_MORE:
            assert_int_equal(rest.len, 0);
            return true;
        case RECORD_BAD:
            unit_append(trace, "!", 1);
            return false;
        default:
            fail();
        }
    }
}

static bool feed(struct record_decoder *decoder, struct slice stream, enum unit_feed how,
                 struct buffer *trace)
{
    bool wants = true;
    while (wants && stream.len > 0) {
        struct slice piece = unit_exact(unit_piece(&stream, how));
        wants = feed_piece(decoder, piece, trace);
        unit_drop(piece);
    }
    return wants;
}

/* Feeds the stream in all ways. It ends between two records if `whole`. */
static void check_stream(struct slice stream, struct slice expected, bool whole)
{
    for (int way = 0; way < FEED_WAYS; way++) {
        struct record_decoder decoder = {0};
        struct buffer trace = {0};
        feed(&decoder, stream, (enum unit_feed)way, &trace);
        assert_int_equal(trace.len, expected.len);
        assert_memory_equal(trace.data, expected.data, expected.len);
        assert_int_equal(record_at_boundary(&decoder), whole);
        buffer_free(&trace);
    }
}

/* --- decoding --- */

/* Checklist 1 to 4 and 6: each padding and the interesting lengths, with records after them. */
static void test_streams(void **state)
{
    static const uint8_t paddings[] = {0, 1, 7, 255};
    static const uint16_t lens[] = {0,   1,   2,    7,     8,     9,     127,
                                    255, 256, 4095, 32767, 32768, 65534, 65535};
    (void)state;
    for (size_t i = 0; i < LENGTH(lens); i++) {
        for (size_t k = 0; k < LENGTH(paddings); k++) {
            struct buffer stream = {0}, trace = {0};
            put_record(&stream, &trace, (struct record){FCGI_BEGIN_REQUEST, 1, 8, paddings[k], 0});
            put_record(&stream, &trace,
                       (struct record){FCGI_STDIN, 32767, lens[i], paddings[k], 9});
            put_record(&stream, &trace, (struct record){FCGI_STDIN, 65535, 0, paddings[k], 0});
            put_record(&stream, &trace, (struct record){200, 0, lens[i] % 300, 3, 255});
            check_stream(buffer_slice(&stream), buffer_slice(&trace), true);
            buffer_free(&stream);
            buffer_free(&trace);
        }
    }
}

static void test_every_length(void **state)
{
    static char bytes[FCGI_HEADER_LEN + FCGI_MAX_LENGTH + 255];
    (void)state;
    for (unsigned len = 0; len <= FCGI_MAX_LENGTH; len++) {
        uint8_t padding = (uint8_t)(len * 3);
        struct record_decoder decoder = {0};
        struct slice content = {0}, rest = {.data = bytes, .len = FCGI_HEADER_LEN + len + padding};
        record_encode_header(bytes, FCGI_STDIN, 1, (uint16_t)len, padding);
        assert_int_equal(record_decode(&decoder, &rest, &content), RECORD_START);
        assert_int_equal(decoder.header.content_len, len);
        assert_false(record_at_boundary(&decoder));
        if (len > 0)
            assert_int_equal(record_decode(&decoder, &rest, &content), RECORD_CONTENT);
        assert_int_equal(content.len, len);
        assert_int_equal(record_decode(&decoder, &rest, &content), RECORD_END);
        assert_int_equal(record_at_boundary(&decoder), padding == 0);
        assert_int_equal(rest.len, padding);
        assert_int_equal(record_decode(&decoder, &rest, &content), RECORD_NEED_MORE);
        assert_int_equal(rest.len, 0);
        assert_true(record_at_boundary(&decoder));
    }
}

/* Small records, cut at each pair of places; and where the stream may end (checklist 7). */
static void test_every_cut(void **state)
{
    static const struct record records[] = {
        {FCGI_BEGIN_REQUEST, 258, 8, 0, 0},
        {FCGI_PARAMS, 258, 0, 2, 1},
        {FCGI_STDIN, 258, 3, 1, 0},
        {FCGI_STDIN, 258, 0, 0, 0},
    };
    struct buffer stream = {0}, expected = {0};
    bool may_end[64] = {true};
    (void)state;
    for (size_t i = 0; i < LENGTH(records); i++) {
        put_record(&stream, &expected, records[i]);
        may_end[stream.len] = true;
    }
    struct slice bytes = buffer_slice(&stream);
    for (size_t i = 0; i <= bytes.len; i++) {
        for (size_t k = i; k <= bytes.len; k++) {
            struct record_decoder decoder = {0};
            struct buffer trace = {0};
            feed(&decoder, (struct slice){bytes.data, i}, FEED_WHOLE, &trace);
            assert_row(i, record_at_boundary(&decoder) == may_end[i]);
            feed(&decoder, (struct slice){bytes.data + i, k - i}, FEED_WHOLE, &trace);
            feed(&decoder, slice_from(bytes, k), FEED_WHOLE, &trace);
            assert_int_equal(trace.len, expected.len);
            assert_memory_equal(trace.data, expected.data, expected.len);
            buffer_free(&trace);
        }
    }
    buffer_free(&stream);
    buffer_free(&expected);
}

/* An empty input moves nothing, wherever the decoder stands. */
static void test_empty_input(void **state)
{
    struct buffer stream = {0}, trace = {0};
    struct record_decoder decoder = {0};
    (void)state;
    put_record(&stream, &trace, (struct record){FCGI_STDIN, 1, 5, 3, 0});
    for (size_t i = 0; i < stream.len; i++) {
        struct record_decoder before = decoder;
        assert_true(feed_piece(&decoder, (struct slice){.data = stream.data + i}, &trace));
        assert_memory_equal(&decoder, &before, sizeof decoder);
        feed_piece(&decoder, (struct slice){.data = stream.data + i, .len = 1}, &trace);
    }
    assert_true(record_at_boundary(&decoder));
    buffer_free(&stream);
    buffer_free(&trace);
}

/* Checklist 5: detected at the first wrong byte, at the start of a stream and after a record. */
static void test_versions(void **state)
{
    (void)state;
    for (unsigned version = 0; version < 256; version++) {
        struct buffer stream = {0}, trace = {0};
        for (int earlier = 0; earlier < 3; earlier++) {
            size_t start = stream.len, said = trace.len;
            put_record(&stream, &trace, (struct record){FCGI_STDIN, 1, 4, 5, 0});
            size_t next = stream.len;
            stream.data[start] = (char)version;
            if (version == 1) {
                check_stream(buffer_slice(&stream), buffer_slice(&trace), true);
                continue;
            }
            trace.len = said;
            unit_append(&trace, "!", 1);
            check_stream(buffer_slice(&stream), buffer_slice(&trace), false);
            stream.len = start + 1;
            check_stream(buffer_slice(&stream), buffer_slice(&trace), false);

            /* Restored for the next round, which has one more record in front. */
            stream.len = start;
            trace.len = said;
            put_record(&stream, &trace, (struct record){FCGI_STDIN, 1, 4, 5, 0});
            assert_int_equal(stream.len, next);
        }
        buffer_free(&stream);
        buffer_free(&trace);
    }
}

/* Once bad, always bad. */
static void test_bad_stays_bad(void **state)
{
    struct record_decoder decoder = {0};
    struct slice bytes = SLICE("\x02\x01\x00\x01\x00\x00\x00\x00"), content;
    (void)state;
    assert_int_equal(record_decode(&decoder, &bytes, &content), RECORD_BAD);
    for (int i = 0; i < 3; i++) {
        struct slice good = SLICE("\x01\x04\x00\x01\x00\x00\x00\x00");
        assert_int_equal(record_decode(&decoder, &good, &content), RECORD_BAD);
        assert_false(record_at_boundary(&decoder));
    }
}

/* Random records, some damaged: every split sees the same. */
static void test_random_streams(void **state)
{
    (void)state;
    for (int round = 0; round < 300; round++) {
        struct buffer stream = {0}, ignored = {0}, trace = {0};
        for (size_t count = 1 + unit_random(5); count > 0; count--)
            put_record(&stream, &ignored,
                       (struct record){
                           .type = (uint8_t)unit_random(256),
                           .id = (uint16_t)unit_random(65536),
                           .content_len = (uint16_t)unit_random(unit_random(2) ? 40 : 2000),
                           .padding = (uint8_t)unit_random(256),
                           .reserved = (uint8_t)unit_random(256),
                       });
        stream.len -= unit_random(9);
        stream.data[unit_random(stream.len)] = (char)unit_random(256);
        struct record_decoder decoder = {0};
        feed(&decoder, buffer_slice(&stream), FEED_WHOLE, &trace);
        check_stream(buffer_slice(&stream), buffer_slice(&trace), record_at_boundary(&decoder));
        buffer_free(&stream);
        buffer_free(&ignored);
        buffer_free(&trace);
    }
}

static void test_begin(void **state)
{
    static const struct {
        unsigned char content[8];
        uint16_t role;
        bool keep_conn;
    } cases[] = {
        {{0, 1, 0, 0, 0, 0, 0, 0}, FCGI_RESPONDER, false},
        {{0, 1, 1, 0, 0, 0, 0, 0}, FCGI_RESPONDER, true},
        {{0, 1, 0xfe, 0, 0, 0, 0, 0}, FCGI_RESPONDER, false}, /* checklist 24 */
        {{0, 1, 0xff, 9, 9, 9, 9, 9}, FCGI_RESPONDER, true},
        {{0, 2, 1, 0, 0, 0, 0, 0}, FCGI_AUTHORIZER, true},
        {{0, 3, 0, 1, 1, 1, 1, 1}, FCGI_FILTER, false},
        {{1, 1, 0, 0, 0, 0, 0, 0}, 257, false},
        {{255, 255, 1, 0, 0, 0, 0, 0}, 65535, true},
        {{0, 0, 1, 0, 0, 0, 0, 0}, 0, true},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct record_begin begin = record_decode_begin(cases[i].content);
        assert_row(i, begin.role == cases[i].role);
        assert_row(i, begin.keep_conn == cases[i].keep_conn);
    }
}

/* --- encoding --- */

static void test_padding(void **state)
{
    (void)state;
    for (size_t len = 0; len <= FCGI_MAX_LENGTH; len++) {
        assert_row(len, record_padding(len) < 8);
        assert_row(len, (len + record_padding(len)) % 8 == 0);
    }
}

static void test_encode_header(void **state)
{
    static const uint16_t numbers[] = {0, 1, 255, 256, 258, 32767, 32768, 65535};
    (void)state;
    for (size_t i = 0; i < LENGTH(numbers); i++) {
        for (size_t k = 0; k < LENGTH(numbers); k++) {
            struct record_decoder decoder = {0};
            struct slice content, rest;
            char out[FCGI_HEADER_LEN + 1];
            uint8_t type = (uint8_t)(i * 31 + k), padding = (uint8_t)(k * 37 + 1);
            memset(out, 0x55, sizeof out);
            size_t len = record_encode_header(out, type, numbers[i], numbers[k], padding);
            assert_int_equal(len, FCGI_HEADER_LEN);
            assert_int_equal(out[7], 0); /* checklist 50: reserved */
            assert_int_equal(out[8], 0x55);
            rest = (struct slice){.data = out, .len = len};
            assert_int_equal(record_decode(&decoder, &rest, &content), RECORD_START);
            assert_int_equal(decoder.header.type, type);
            assert_int_equal(decoder.header.request_id, numbers[i]);
            assert_int_equal(decoder.header.content_len, numbers[k]);
            assert_int_equal(decoder.header.padding, padding);
        }
    }
}

static void test_encode_bodies(void **state)
{
    static const struct {
        uint16_t id;
        uint8_t status;
        unsigned char bytes[RECORD_END_LEN];
    } ends[] = {
        {1, FCGI_REQUEST_COMPLETE, {1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
        {258, FCGI_UNKNOWN_ROLE, {1, 3, 1, 2, 0, 8, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0}},
        {65535, FCGI_OVERLOADED, {1, 3, 255, 255, 0, 8, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0}},
    };
    char out[RECORD_END_LEN + 1];
    (void)state;
    for (size_t i = 0; i < LENGTH(ends); i++) {
        memset(out, 0x55, sizeof out);
        assert_int_equal(record_encode_end(out, ends[i].id, ends[i].status), RECORD_END_LEN);
        assert_memory_equal(out, ends[i].bytes, RECORD_END_LEN);
        assert_int_equal(out[RECORD_END_LEN], 0x55);
    }
    for (unsigned type = 0; type < 256; type++) {
        const unsigned char bytes[] = {1, 11, 0, 0, 0, 8, 0, 0, (unsigned char)type,
                                       0, 0,  0, 0, 0, 0, 0};
        memset(out, 0x55, sizeof out);
        assert_int_equal(record_encode_unknown_type(out, (uint8_t)type), RECORD_UNKNOWN_LEN);
        assert_int_equal(RECORD_UNKNOWN_LEN, sizeof bytes);
        assert_memory_equal(out, bytes, sizeof bytes);
        assert_int_equal(out[sizeof bytes], 0x55);
    }
}

/* What the client end writes is what the decoder reads: the same content, and one empty record. */
static void test_encode_stream(void **state)
{
    static const size_t lens[] = {0, 1, 7, 65527, 65528, 65529, 131056, 131057};
    (void)state;
    for (size_t i = 0; i < LENGTH(lens); i++) {
        char *content = malloc(lens[i] + 1), *out = malloc(record_stream_len(lens[i]));
        struct buffer read = {0};
        unsigned records = 0, empty = 0;
        for (size_t at = 0; at < lens[i]; at++)
            content[at] = (char)unit_random(256);
        struct slice sent = {.data = content, .len = lens[i]}, piece;
        assert_row(i,
                   record_encode_stream(out, FCGI_PARAMS, 7, sent) == record_stream_len(lens[i]));
        struct record_decoder decoder = {0};
        struct slice input = {.data = out, .len = record_stream_len(lens[i])};
        for (enum record_event event; (event = record_decode(&decoder, &input, &piece));) {
            assert_row(i, event != RECORD_BAD);
            if (event == RECORD_START) {
                assert_row(i, decoder.header.type == FCGI_PARAMS && decoder.header.request_id == 7);
                records++;
                empty += decoder.header.content_len == 0;
            } else if (event == RECORD_CONTENT) {
                unit_append(&read, piece.data, piece.len);
            }
        }
        assert_row(i, record_at_boundary(&decoder) && input.len == 0);
        assert_row(i, empty == 1 && decoder.header.content_len == 0);
        assert_row(i, records == (lens[i] + 65527) / 65528 + 1);
        assert_slice(i, buffer_slice(&read), sent);
        buffer_free(&read);
        free(content);
        free(out);
    }
}

static void test_client_bodies(void **state)
{
    static const unsigned char end[] = {0x01, 0x02, 0x03, 0xff, 2, 9, 9, 9};
    char out[RECORD_BEGIN_LEN];
    (void)state;
    struct record_end read = record_decode_end(end);
    assert_int_equal(read.app_status, 0x010203ff);
    assert_int_equal(read.protocol_status, FCGI_OVERLOADED);
    for (int keep = 0; keep < 2; keep++) {
        const unsigned char bytes[] = {1, 1, 0x12, 0x34, 0, 8, 0, 0, 0, 1, (unsigned char)keep,
                                       0, 0, 0,    0,    0};
        assert_int_equal(record_encode_begin(out, 0x1234, keep), sizeof bytes);
        assert_memory_equal(out, bytes, sizeof bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams),        cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_every_cut),      cmocka_unit_test(test_empty_input),
        cmocka_unit_test(test_versions),       cmocka_unit_test(test_bad_stays_bad),
        cmocka_unit_test(test_random_streams), cmocka_unit_test(test_begin),
        cmocka_unit_test(test_padding),        cmocka_unit_test(test_encode_header),
        cmocka_unit_test(test_encode_bodies),  cmocka_unit_test(test_encode_stream),
        cmocka_unit_test(test_client_bodies),
    };
    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
