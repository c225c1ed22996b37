/* The parts of the FastCGI record codec that need not be inline. */
#include "fastcgi/record.h"

#define CONTENT_MAX 65528 /* bytes of a record in a stream: a multiple of eight */

bool record_at_boundary(const struct record_decoder *decoder)
{
    return !decoder->in_record && decoder->padding_left == 0 && decoder->byte_count == 0;
}

struct record_begin record_decode_begin(const unsigned char content[sizeof(FCGI_BeginRequestBody)])
{
    return (struct record_begin){
        .role = (uint16_t)(content[0] << 8 | content[1]),
        .keep_conn = (content[2] & FCGI_KEEP_CONN) != 0,
    };
}

struct record_end record_decode_end(const unsigned char content[sizeof(FCGI_EndRequestBody)])
{
    return (struct record_end){
        .app_status = (uint32_t)content[0] << 24 | (uint32_t)content[1] << 16 |
                      (uint32_t)content[2] << 8 | content[3],
        .protocol_status = content[4],
    };
}

uint8_t record_padding(size_t content_len)
{
    return (uint8_t)(-content_len & 7);
}

size_t record_encode_unknown_type(char *out, uint8_t type)
{
    FCGI_UnknownTypeBody body = {.type = type};
    size_t len = record_encode_header(out, FCGI_UNKNOWN_TYPE, FCGI_NULL_REQUEST_ID, sizeof body, 0);
    memcpy(out + len, &body, sizeof body);
    return len + sizeof body;
}

size_t record_encode_begin(char *out, uint16_t request_id, bool keep_conn)
{
    FCGI_BeginRequestBody body = {.roleB0 = FCGI_RESPONDER,
                                  .flags = keep_conn ? FCGI_KEEP_CONN : 0};
    size_t len = record_encode_header(out, FCGI_BEGIN_REQUEST, request_id, sizeof body, 0);
    memcpy(out + len, &body, sizeof body);
    return len + sizeof body;
}

size_t record_stream_len(size_t content_len)
{
    size_t full = content_len / CONTENT_MAX, rest = content_len % CONTENT_MAX;
    return content_len + FCGI_HEADER_LEN * (full + (rest > 0 ? 2 : 1));
}

size_t record_encode_stream(char *out, uint8_t type, uint16_t request_id, struct slice content)
{
    size_t len = 0;
    while (content.len > 0) {
        struct slice piece = record_take(&content, CONTENT_MAX);
        len += record_encode_header(out + len, type, request_id, (uint16_t)piece.len, 0);
        memcpy(out + len, piece.data, piece.len);
        len += piece.len;
    }
    return len + record_encode_header(out + len, type, request_id, 0, 0);
}
