/* Writes members one after the other. The first failure makes the rest do nothing. */
#include "source/queue_job.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "base/utf8.h"
#include "source/inputs.h"
#include "source/queue_settings.h"

#define PIECE 128 /* bytes of text that are escaped at a time */

struct writer {
    struct buffer *out;
    const char *problem; /* NULL: none so far */
};

static void add(struct writer *writer, struct slice text)
{
    if (!writer->problem && !buffer_append(writer->out, text.data, text.len, QUEUE_JOB_MAX))
        writer->problem = "there is no memory for the job, or it is too large";
}

/* The length of as many characters at the beginning of the text as make a piece; 0: the first byte
 * that does not fit into UTF-8 is in it. */
static size_t piece_len(struct slice text)
{
    size_t len = 0;
    while (len < text.len && len < PIECE) {
        size_t character = utf8_sequence(slice_from(text, len));
        if (character == 0)
            return 0;
        len += character;
    }
    return len;
}

/* The inside of a string. Text that is not UTF-8 can't be in JSON (RFC 8259 8.1). */
static void add_escaped(struct writer *writer, struct slice text)
{
    char escaped[(PIECE + 4) * ESCAPED_JSON_LEN + 1];
    while (text.len > 0 && !writer->problem) {
        size_t len = piece_len(text);
        if (len == 0) {
            writer->problem = "an input is not valid UTF-8, so it can't be in a job";
            return;
        }
        size_t escaped_len = escape_json(escaped, sizeof escaped, text, len);
        add(writer, (struct slice){.data = escaped, .len = escaped_len});
        text = slice_from(text, len);
    }
}

/* Begins a string member with a name in two parts: ,"name": " */
static void begin_string(struct writer *writer, struct slice kind, struct slice name)
{
    add(writer, SLICE(", \""));
    add(writer, kind);
    add_escaped(writer, name);
    add(writer, SLICE("\": \""));
}

static void string_member(struct writer *writer, const char *name, struct slice text)
{
    begin_string(writer, slice_of(name), SLICE(""));
    add_escaped(writer, text);
    add(writer, SLICE("\""));
}

static void number_member(struct writer *writer, const char *name, int64_t number)
{
    char text[80];
    int len = snprintf(text, sizeof text, ", \"%s\": %" PRId64, name, number);
    add(writer, (struct slice){.data = text, .len = (size_t)len});
}

static void names_of_keys(struct writer *writer, const struct queue_job *job)
{
    struct slice start = slice_of(job->value_start), key = job->request->key;
    begin_string(writer, SLICE("key"), SLICE(""));
    add_escaped(writer, start);
    add_escaped(writer, key);
    add(writer, SLICE("\""));
    begin_string(writer, SLICE("lease"), SLICE(""));
    add(writer, SLICE("lease:{"));
    add_escaped(writer, start);
    add_escaped(writer, key);
    add(writer, SLICE("}\""));
}

/* Those that are absent are left out. */
static void inputs_member(struct writer *writer, struct inputs inputs)
{
    static const struct slice kinds[] = {[INPUT_QUERY] = SLICE_INIT("query:"),
                                         [INPUT_COOKIE] = SLICE_INIT("cookie:"),
                                         [INPUT_HEADER] = SLICE_INIT("header:"),
                                         [INPUT_LANGUAGE] = SLICE_INIT("language"),
                                         [INPUT_HOST] = SLICE_INIT("host")};
    struct inputs_reader reader = inputs_read(inputs);
    const struct input *input;
    struct slice value;
    size_t before;
    add(writer, SLICE(", \"inputs\": {"));
    before = writer->out->len;
    while ((input = inputs_next(&reader, &value))) {
        bool named = input->kind != INPUT_LANGUAGE && input->kind != INPUT_HOST;
        if (!value.data)
            continue;
        if (writer->out->len > before)
            add(writer, SLICE(", "));
        add(writer, SLICE("\""));
        add(writer, kinds[input->kind]);
        add_escaped(writer, named ? input->name : SLICE(""));
        add(writer, SLICE("\": \""));
        add_escaped(writer, value);
        add(writer, SLICE("\""));
    }
    add(writer, SLICE("}"));
}

const char *queue_priority(bool awaited)
{
    return awaited ? "visitors" : "refreshes";
}

const char *queue_job_write(const struct queue_job *job, struct buffer *out)
{
    const struct source_request *request = job->request;
    struct writer writer = {.out = out};
    add(&writer, SLICE("{\"version\": 1"));
    string_member(&writer, "id", request->lease);
    names_of_keys(&writer, job);
    string_member(&writer, "name", request->name);
    string_member(&writer, "rest", request->rest);
    inputs_member(&writer, request->inputs);
    number_member(&writer, "deadline", job->deadline_ms);
    string_member(&writer, "priority", slice_of(queue_priority(request->awaited)));
    number_member(&writer, "fresh", request->lifetimes.fresh);
    number_member(&writer, "keep", request->lifetimes.keep);
    number_member(&writer, "negative", request->lifetimes.negative);
    number_member(&writer, "visibility", (int64_t)(job->settings->visibility * 1000));
    number_member(&writer, "attempts", (int64_t)job->settings->attempts);
    if (request->traceparent.len > 0)
        string_member(&writer, "traceparent", request->traceparent);
    add(&writer, SLICE("}"));
    return writer.problem;
}
