/* The response of a FastCGI server: the same however it is cut, within its limits, and judged. The
 * first byte says whether the others are the stream, or the output within one. */
#include "source/fastcgi_answer.h"

#include "base/buffer.h"
#include "fuzz.h"
#include "source/verdict.h"

#define MAX_BODY 300

struct seen {
    enum fastcgi_step step;
    uint64_t complaints; /* as one number */
    bool is_clean;
    struct fastcgi_answer answer;
};

static void on_complaint(void *context, struct slice line)
{
    struct seen *seen = context;
    FUZZ_CHECK(line.len > 0 && line.len <= FASTCGI_COMPLAINT_MAX);
    for (size_t i = 0; i < line.len; i++) {
        FUZZ_CHECK(line.data[i] != '\n');
        seen->complaints = (seen->complaints ^ (unsigned char)line.data[i]) * 1099511628211u;
    }
}

/* `seed` chooses the cuts; 0: none. */
static void feed(struct slice stream, uint32_t seed, struct seen *seen)
{
    *seen =
        (struct seen){.answer = {.max_body = MAX_BODY, .complain = on_complaint, .context = seen}};
    while (stream.len > 0 && seen->step == FASTCGI_MORE) {
        seed = seed * 1103515245u + 12345u;
        size_t len = 1 + (seed >> 16) % 20;
        if (seed == 12345u || len > stream.len)
            len = stream.len;
        struct slice piece = {.data = stream.data, .len = len};
        stream = slice_from(stream, len);
        seen->step = fastcgi_answer_feed(&seen->answer, &piece);
        FUZZ_CHECK(piece.len <= len && (seen->step != FASTCGI_MORE || piece.len == 0));
        stream = (struct slice){.data = stream.data - piece.len, .len = stream.len + piece.len};
    }
    seen->is_clean = fastcgi_answer_is_clean(&seen->answer, stream);
}

static void judge(const struct seen *seen)
{
    struct terms_reader reader;
    char why[VERDICT_WHY_ROOM] = "";
    struct source_result result = {.status = SOURCE_FAILED};
    struct verdict_response response = {
        .status = seen->answer.status,
        .head = &seen->answer.head,
        .body = buffer_slice(&seen->answer.body),
    };
    struct verdict_asker asker = {.has_user = true};
    FUZZ_CHECK(response.status >= 100 && response.status <= 999);
    verdict_judge(&response, &result, why);
    FUZZ_CHECK(result.status != SOURCE_NOT_MODIFIED);
    FUZZ_CHECK((result.status == SOURCE_OK) == (why[0] == '\0'));
    verdict_terms(&response, &asker, &reader);
}

static void check_seen(const struct seen *seen)
{
    const struct fastcgi_answer *answer = &seen->answer;
    FUZZ_CHECK(answer->body.len <= MAX_BODY && answer->head.lines.len <= HTTP_HEAD_MAX);
    FUZZ_CHECK((seen->step == FASTCGI_BAD) == (answer->problem != NULL));
    bool complete =
        seen->step == FASTCGI_DONE && answer->end.protocol_status == FCGI_REQUEST_COMPLETE;
    FUZZ_CHECK(!complete || answer->has_head);
    if (complete || seen->step == FASTCGI_IGNORED)
        judge(seen);
}

static void run(struct slice stream)
{
    struct seen whole, cut;
    feed(stream, 0, &whole);
    check_seen(&whole);
    for (uint32_t seed = 1; seed <= 2; seed++) {
        feed(stream, seed, &cut);
        FUZZ_CHECK(cut.step == whole.step);
        FUZZ_CHECK(cut.step != FASTCGI_DONE || cut.is_clean == whole.is_clean);
        FUZZ_CHECK(cut.answer.status == whole.answer.status);
        FUZZ_CHECK(cut.answer.problem == whole.answer.problem);
        FUZZ_CHECK(slice_equal(buffer_slice(&cut.answer.head.lines),
                               buffer_slice(&whole.answer.head.lines)));
        if (whole.step == FASTCGI_DONE)
            FUZZ_CHECK(
                slice_equal(buffer_slice(&cut.answer.body), buffer_slice(&whole.answer.body)));
        fastcgi_answer_clear(&cut.answer);
        if (seed == 2) {
            fastcgi_answer_clear(&whole.answer);
            FUZZ_CHECK(cut.complaints == whole.complaints);
        }
    }
}

/* Adds the records that a server with this output would send. */
static void run_output(struct slice output)
{
    size_t len = record_stream_len(output.len) + RECORD_END_LEN;
    char *stream = malloc(len);
    FUZZ_CHECK(stream);
    record_encode_stream(stream, FCGI_STDOUT, 1, output);
    record_encode_end(stream + len - RECORD_END_LEN, 1, FCGI_REQUEST_COMPLETE);
    run((struct slice){.data = stream, .len = len});
    free(stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] == 'o')
        run_output(fuzz_slice(data + 1, size - 1));
    else
        run(fuzz_slice(data + 1, size - 1));
    return 0;
}
