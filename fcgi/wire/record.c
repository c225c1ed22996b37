/* The FastCGI record codec: header -> content -> padding, a few counters between them. */
#include "wire/record.h"

/* Cuts the first bytes off the input: as many as there are, up to `most`. */
static struct slice take(struct slice *input, size_t most)
{
    struct slice taken = {.data = input->data, .len = input->len < most ? input->len : most};
    *input = slice_from(*input, taken.len);
    return taken;
}

enum record_event record_decode(struct record_decoder *decoder, struct slice *input,
                                struct slice *content)
{
    if (decoder->in_record) {
        if (decoder->content_left == 0) {
            decoder->in_record = false;
            return RECORD_END;
        }
        if (input->len == 0)
            return RECORD_NEED_MORE;
        *content = take(input, decoder->content_left);
        decoder->content_left = (uint16_t)(decoder->content_left - content->len);
        return RECORD_CONTENT;
    }

    decoder->padding_left =
        (uint8_t)(decoder->padding_left - take(input, decoder->padding_left).len);

    struct slice bytes = take(input, sizeof decoder->bytes - decoder->byte_count);
    if (bytes.len > 0)
        memcpy(decoder->bytes + decoder->byte_count, bytes.data, bytes.len);
    decoder->byte_count = (uint8_t)(decoder->byte_count + bytes.len);
    if (decoder->byte_count > 0 && decoder->bytes[0] != FCGI_VERSION_1)
        return RECORD_BAD;
    if (decoder->byte_count < sizeof decoder->bytes)
        return RECORD_NEED_MORE;

    const unsigned char *header = decoder->bytes;
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

size_t record_encode_header(char *out, uint8_t type, uint16_t request_id, uint16_t content_len,
                            uint8_t padding)
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

size_t record_encode_end(char *out, uint16_t request_id, uint8_t protocol_status)
{
    FCGI_EndRequestBody body = {.protocolStatus = protocol_status};
    size_t len = record_encode_header(out, FCGI_END_REQUEST, request_id, sizeof body, 0);
    memcpy(out + len, &body, sizeof body);
    return len + sizeof body;
}

size_t record_encode_unknown_type(char *out, uint8_t type)
{
    FCGI_UnknownTypeBody body = {.type = type};
    size_t len = record_encode_header(out, FCGI_UNKNOWN_TYPE, FCGI_NULL_REQUEST_ID, sizeof body, 0);
    memcpy(out + len, &body, sizeof body);
    return len + sizeof body;
}
