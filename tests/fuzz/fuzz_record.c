/* The record decoder: a stream gives the same records however it is cut. */
#include "fastcgi/record.h"

#include "fuzz.h"

/* What was decoded, as one number. */
struct trace {
    uint64_t sum;
    bool bad, at_boundary;
};

static void note(struct trace *trace, uint64_t value)
{
    trace->sum = (trace->sum ^ value) * 1099511628211u;
}

/* `seed` chooses the cuts; 0: none. */
static struct trace decode(struct slice stream, uint32_t seed)
{
    struct record_decoder decoder = {0};
    struct trace trace = {0};
    while (stream.len > 0) {
        seed = seed * 1103515245u + 12345u;
        size_t len = 1 + (seed >> 16) % 20;
        if (seed == 12345u || len > stream.len)
            len = stream.len;
        struct slice piece = {.data = stream.data, .len = len}, content;
        stream = slice_from(stream, len);

        enum record_event event;
        do {
            struct slice before = piece;
            event = record_decode(&decoder, &piece, &content);
            FUZZ_CHECK(fuzz_within(piece, before));
            if (event == RECORD_START) {
                note(&trace, decoder.header.type);
                note(&trace, decoder.header.request_id);
                note(&trace, decoder.header.content_len);
            } else if (event == RECORD_CONTENT) {
                FUZZ_CHECK(content.len > 0 && fuzz_within(content, before));
                for (size_t i = 0; i < content.len; i++)
                    note(&trace, (unsigned char)content.data[i]);
            } else if (event == RECORD_END) {
                note(&trace, 1000);
            }
        } while (event != RECORD_NEED_MORE && event != RECORD_BAD);
        if (event == RECORD_BAD) {
            trace.bad = true;
            return trace;
        }
        FUZZ_CHECK(piece.len == 0);
    }
    trace.at_boundary = record_at_boundary(&decoder);
    return trace;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice stream = fuzz_slice(data, size);
    struct trace whole = decode(stream, 0);
    for (uint32_t seed = 1; seed <= 3; seed++) {
        struct trace cut = decode(stream, seed);
        FUZZ_CHECK(cut.bad == whole.bad && cut.sum == whole.sum);
        FUZZ_CHECK(cut.at_boundary == whole.at_boundary);
    }
    return 0;
}
