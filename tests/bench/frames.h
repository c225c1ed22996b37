/* FastCGI messages that are built once and sent many times: only the request id is patched in.
 *
 * For the bench programs. They exit on an error, so nothing here returns one.
 */
#ifndef WORKERLESS_BENCH_FRAMES_H
#define WORKERLESS_BENCH_FRAMES_H

#include <fastcgi.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The largest record: header, 65,535 bytes of content, 255 of padding. */
#define FRAME_MAX (FCGI_HEADER_LEN + 65535 + 255)

/* Content of one of our records: the most that needs no padding. */
#define FRAME_CONTENT_MAX 65528

struct frames { /* all zero: empty */
    unsigned char *data;
    size_t len, capacity;
    size_t *headers; /* where each record begins in data */
    size_t header_count;
};

struct frame { /* a received record, borrowed from the bytes it was found in */
    int type;
    unsigned id;
    const unsigned char *content;
    size_t content_len;
    size_t whole_len; /* header and padding included */
};

enum frame_found { FRAME_WHOLE, FRAME_PARTIAL, FRAME_BAD };

static inline void *bench_grow(void *block, size_t size)
{
    void *grown = realloc(block, size);
    if (!grown) {
        fprintf(stderr, "out of memory\n");
        exit(2);
    }
    return grown;
}

static inline void frames_append(struct frames *frames, const void *bytes, size_t len)
{
    if (len > frames->capacity - frames->len) {
        frames->capacity = (frames->len + len) * 2;
        frames->data = bench_grow(frames->data, frames->capacity);
    }
    if (len > 0)
        memcpy(frames->data + frames->len, bytes, len);
    frames->len += len;
}

static inline void frames_add_record(struct frames *frames, int type, const void *content,
                                     size_t len)
{
    static const unsigned char zeros[8];
    unsigned char padding = (unsigned char)((8 - len % 8) % 8);
    unsigned char header[FCGI_HEADER_LEN] = {FCGI_VERSION_1,
                                             (unsigned char)type,
                                             0,
                                             0,
                                             (unsigned char)(len >> 8),
                                             (unsigned char)len,
                                             padding,
                                             0};
    frames->headers = bench_grow(frames->headers, (frames->header_count + 1) * sizeof(size_t));
    frames->headers[frames->header_count++] = frames->len;
    frames_append(frames, header, sizeof header);
    frames_append(frames, content, len);
    frames_append(frames, zeros, padding);
}

/* A complete stream: its content in as few records as possible, and the empty record that ends it.
 * */
static inline void frames_add_stream(struct frames *frames, int type, const void *content,
                                     size_t len)
{
    const unsigned char *bytes = content;
    while (len > 0) {
        size_t part = len < FRAME_CONTENT_MAX ? len : FRAME_CONTENT_MAX;
        frames_add_record(frames, type, bytes, part);
        bytes += part;
        len -= part;
    }
    frames_add_record(frames, type, NULL, 0);
}

/* Copies the message to `out`, which has room for frames->len bytes, as the request `id`. */
static inline void frames_copy(const struct frames *frames, unsigned char *out, unsigned id)
{
    memcpy(out, frames->data, frames->len);
    for (size_t i = 0; i < frames->header_count; i++) {
        unsigned char *header = out + frames->headers[i];
        header[2] = (unsigned char)(id >> 8);
        header[3] = (unsigned char)id;
    }
}

/* Looks at the record that begins at `bytes`; `frame` is set if it is complete. */
static inline enum frame_found frame_read(const unsigned char *bytes, size_t len,
                                          struct frame *frame)
{
    if (len < FCGI_HEADER_LEN)
        return FRAME_PARTIAL;
    if (bytes[0] != FCGI_VERSION_1)
        return FRAME_BAD;
    size_t content_len = (size_t)bytes[4] << 8 | bytes[5];
    size_t whole_len = FCGI_HEADER_LEN + content_len + bytes[6];
    if (whole_len > len)
        return FRAME_PARTIAL;
    *frame = (struct frame){.type = bytes[1],
                            .id = (unsigned)bytes[2] << 8 | bytes[3],
                            .content = bytes + FCGI_HEADER_LEN,
                            .content_len = content_len,
                            .whole_len = whole_len};
    return FRAME_WHOLE;
}

#endif
