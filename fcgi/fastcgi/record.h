/* The FastCGI record codec (FastCGI 1.0, section 3.3). Pure: no fd, no memory, no log.
 *
 * The decoder gets bytes as they arrive and never needs a complete record: it keeps eight header
 * bytes and a few counters, so an idle connection holds no buffer.
 */
#ifndef WORKERLESS_FASTCGI_RECORD_H
#define WORKERLESS_FASTCGI_RECORD_H

#include <fastcgi.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/slice.h"

struct record_header {
    uint8_t type;
    uint8_t padding;
    uint16_t request_id;
    uint16_t content_len;
};

struct record_decoder { /* all zero: at the start of a stream */
    struct record_header header;
    unsigned char bytes[FCGI_HEADER_LEN];
    uint8_t byte_count; /* header bytes collected so far */
    uint8_t padding_left;
    uint16_t content_left;
    bool in_record; /* RECORD_START was reported, RECORD_END was not */
};

enum record_event {
    RECORD_NEED_MORE, /* the input is used up */
    RECORD_START,     /* decoder->header is set */
    RECORD_CONTENT,   /* the next bytes of the content, at least one */
    RECORD_END,       /* the content is complete; padding may follow */
    RECORD_BAD,       /* not FastCGI 1; the stream can't be decoded any further */
};

/* Removes and returns up to `most` bytes from the beginning of the input. */
static inline struct slice record_take(struct slice *input, size_t most)
{
    struct slice taken = {.data = input->data, .len = input->len < most ? input->len : most};
    *input = slice_from(*input, taken.len);
    return taken;
}

/* Decodes the next event of `input`, and removes the bytes that were used. `content` is set for
 * RECORD_CONTENT and points into the input. Inline, like the two encoders below, since they run
 * many times per request. */
static inline enum record_event record_decode(struct record_decoder *decoder, struct slice *input,
                                              struct slice *content)
{
    if (decoder->in_record) {
        if (decoder->content_left == 0) {
            decoder->in_record = false;
            return RECORD_END;
        }
        if (input->len == 0)
            return RECORD_NEED_MORE;
        *content = record_take(input, decoder->content_left);
        decoder->content_left = (uint16_t)(decoder->content_left - content->len);
        return RECORD_CONTENT;
    }

    if (decoder->padding_left > 0)
        decoder->padding_left =
            (uint8_t)(decoder->padding_left - record_take(input, decoder->padding_left).len);

    /* Usually the header is complete, and need not be collected first. */
    const unsigned char *header = (const unsigned char *)input->data;
    if (decoder->byte_count == 0 && input->len >= sizeof decoder->bytes &&
        header[0] == FCGI_VERSION_1) {
        *input = slice_from(*input, sizeof decoder->bytes);
    } else {
        struct slice bytes = record_take(input, sizeof decoder->bytes - decoder->byte_count);
        if (bytes.len > 0)
            memcpy(decoder->bytes + decoder->byte_count, bytes.data, bytes.len);
        decoder->byte_count = (uint8_t)(decoder->byte_count + bytes.len);
        if (decoder->byte_count > 0 && decoder->bytes[0] != FCGI_VERSION_1)
            return RECORD_BAD;
        if (decoder->byte_count < sizeof decoder->bytes)
            return RECORD_NEED_MORE;
        header = decoder->bytes;
    }

    decoder->header = (struct record_header){
        .type = header[1],
        .request_id = (uint16_t)(header[2] << 8 | header[3]),
        .content_len = (uint16_t)(header[4] << 8 | header[5]),
        .padding = header[6],
    };
    decoder->byte_count = 0;
    decoder->content_left = decoder->header.content_len;
    decoder->padding_left = decoder->header.padding;
    decoder->in_record = true;
    return RECORD_START;
}

/* Whether the stream may end here: between two records, padding included. */
bool record_at_boundary(const struct record_decoder *decoder);

/* A BEGIN_REQUEST's eight bytes of content. */
struct record_begin {
    uint16_t role;
    bool keep_conn;
};
struct record_begin record_decode_begin(const unsigned char content[sizeof(FCGI_BeginRequestBody)]);

/* An END_REQUEST's eight bytes of content. */
struct record_end {
    uint32_t app_status;
    uint8_t protocol_status;
};
struct record_end record_decode_end(const unsigned char content[sizeof(FCGI_EndRequestBody)]);

/* Padding that makes the length of a record with that content a multiple of eight. */
uint8_t record_padding(size_t content_len);

/* The encoders write exactly as many bytes as they return. */
#define RECORD_END_LEN     sizeof(FCGI_EndRequestRecord)
#define RECORD_UNKNOWN_LEN sizeof(FCGI_UnknownTypeRecord)

static inline size_t record_encode_header(char *out, uint8_t type, uint16_t request_id,
                                          uint16_t content_len, uint8_t padding)
{
    FCGI_Header header = {
        .version = FCGI_VERSION_1,
        .type = type,
        .requestIdB1 = (unsigned char)(request_id >> 8),
        .requestIdB0 = (unsigned char)request_id,
        .contentLengthB1 = (unsigned char)(content_len >> 8),
        .contentLengthB0 = (unsigned char)content_len,
        .paddingLength = padding,
    };
    memcpy(out, &header, sizeof header);
    return sizeof header;
}

static inline size_t record_encode_end(char *out, uint16_t request_id, uint8_t protocol_status)
{
    FCGI_EndRequestBody body = {.protocolStatus = protocol_status};
    size_t len = record_encode_header(out, FCGI_END_REQUEST, request_id, sizeof body, 0);
    memcpy(out + len, &body, sizeof body);
    return len + sizeof body;
}

size_t record_encode_unknown_type(char *out, uint8_t type);

/* For the role of a responder. */
#define RECORD_BEGIN_LEN sizeof(FCGI_BeginRequestRecord)
size_t record_encode_begin(char *out, uint16_t request_id, bool keep_conn);

/* A complete stream: its content in as many records as it takes, and the empty one at its end. */
size_t record_stream_len(size_t content_len);
size_t record_encode_stream(char *out, uint8_t type, uint16_t request_id, struct slice content);

#endif
