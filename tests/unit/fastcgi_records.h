/* Records of a FastCGI server, from texts. */
#ifndef WORKERLESS_TESTS_UNIT_FASTCGI_RECORDS_H
#define WORKERLESS_TESTS_UNIT_FASTCGI_RECORDS_H

#include "base/byte.h"
#include "fastcgi/record.h"
#include "unit.h"

static inline void put_record(struct buffer *out, uint8_t type, uint16_t id, struct slice content,
                              uint8_t padding)
{
    char header[FCGI_HEADER_LEN];
    record_encode_header(header, type, id, (uint16_t)content.len, padding);
    unit_append(out, header, sizeof header);
    unit_append(out, content.data, content.len);
    for (unsigned i = 0; i < padding; i++)
        unit_append(out, "\xa5", 1);
}

static inline void put_end(struct buffer *out, uint16_t id, uint8_t app_status, uint8_t protocol)
{
    const char body[] = {0, 0, 0, (char)app_status, (char)protocol, 0, 0, 0};
    put_record(out, FCGI_END_REQUEST, id, (struct slice){.data = body, .len = sizeof body}, 0);
}

/* Reads what the text says, and appends the records: a list of
 *
 *     O:TEXT  STDOUT      E:TEXT  STDERR     .   END_REQUEST     !N  END_REQUEST, protocol status N
 *     ?N      END_REQUEST, exit status N     @N  a record of an unknown type for the id N
 *     #N      STDOUT for the id N            P   the next records have N bytes of padding: PN
 *
 * with '|' between them. */
static inline void put_records(struct buffer *out, struct slice text)
{
    uint8_t padding = 0;
    while (text.data) {
        const char *bar = memchr(text.data, '|', text.len);
        struct slice item = {.data = text.data, .len = bar ? (size_t)(bar - text.data) : text.len};
        text = bar ? slice_from(text, item.len + 1) : (struct slice){0};
        if (item.len == 0)
            continue;
        char kind = item.data[0];
        item = slice_from(item, 1);
        if (kind == 'O' || kind == 'E')
            put_record(out, kind == 'O' ? FCGI_STDOUT : FCGI_STDERR, 1, slice_from(item, 1),
                       padding);
        unsigned number = 0;
        for (size_t i = 0; i < item.len && byte_is_digit(item.data[i]); i++)
            number = number * 10 + (unsigned)(item.data[i] - '0');
        if (kind == 'P')
            padding = (uint8_t)number;
        else if (kind == '.' || kind == '?')
            put_end(out, 1, (uint8_t)number, FCGI_REQUEST_COMPLETE);
        else if (kind == '!')
            put_end(out, 1, 0, (uint8_t)number);
        else if (kind == '@')
            put_record(out, 77, (uint16_t)number, SLICE("what is this"), padding);
        else if (kind == '#')
            put_record(out, FCGI_STDOUT, (uint16_t)number, SLICE("another's"), padding);
    }
}

#endif
