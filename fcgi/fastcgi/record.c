/* The parts of the FastCGI record codec that need not be inline. */
#include "fastcgi/record.h"

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
