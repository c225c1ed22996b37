/* The FastCGI record codec (FastCGI 1.0, section 3.3). Pure: no fd, no memory, no log.
 *
 * The decoder is fed bytes as they come and never needs a whole record at once: it keeps eight
 * header bytes and a few counters, so an idle connection holds no buffer.
 */
#ifndef WORKERLESS_WIRE_RECORD_H
#define WORKERLESS_WIRE_RECORD_H

#include <fastcgi.h>
#include <stdbool.h>
#include <stdint.h>

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
    RECORD_END,       /* the content was complete; padding may still be to come */
    RECORD_BAD,       /* not FastCGI 1; the stream can't be followed any further */
};

/* Takes the next step through `input`, which shrinks by what was used. `content` is set for
 * RECORD_CONTENT and points into the input. */
enum record_event record_decode(struct record_decoder *decoder, struct slice *input,
                                struct slice *content);

/* Whether the stream may end here: between two records, padding included. */
bool record_at_boundary(const struct record_decoder *decoder);

/* A BEGIN_REQUEST's eight bytes of content. */
struct record_begin {
    uint16_t role;
    bool keep_conn;
};
struct record_begin record_decode_begin(const unsigned char content[sizeof(FCGI_BeginRequestBody)]);

/* Padding that brings a record of that content to a multiple of eight bytes. */
uint8_t record_padding(size_t content_len);

/* The encoders write exactly as many bytes as they return. */
#define RECORD_END_LEN     sizeof(FCGI_EndRequestRecord)
#define RECORD_UNKNOWN_LEN sizeof(FCGI_UnknownTypeRecord)

size_t record_encode_header(char *out, uint8_t type, uint16_t request_id, uint16_t content_len,
                            uint8_t padding);
size_t record_encode_end(char *out, uint16_t request_id, uint8_t protocol_status);
size_t record_encode_unknown_type(char *out, uint8_t type);

#endif
