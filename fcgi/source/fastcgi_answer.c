/* Reads records, and the response in them (RFC 3875 6). */
#include "source/fastcgi_answer.h"

#include "base/byte.h"
#include "source/fastcgi_request.h"

#define IGNORED_MAX (64 << 10) /* bytes read of a body that is not needed */
#define LENGTH_MAX  ((size_t)1 << 40)

static enum fastcgi_step bad(struct fastcgi_answer *answer, const char *problem)
{
    answer->problem = problem;
    return FASTCGI_BAD;
}

/* --- STDERR --- */

static void end_complaint(struct fastcgi_answer *answer)
{
    struct slice line = {.data = answer->complaint, .len = answer->complaint_len};
    while (line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    answer->complaint_len = 0;
    if (line.len > 0 && answer->complain)
        answer->complain(answer->context, line);
}

static void take_errors(struct fastcgi_answer *answer, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '\n')
            end_complaint(answer);
        else if (answer->complaint_len < sizeof answer->complaint)
            answer->complaint[answer->complaint_len++] = text.data[i];
    }
}

/* --- the header --- */

/* "NAME: VALUE", or the rest of the field before it. Nothing else is taken for a field: what a
 * program prints by mistake must not become a part of the header. */
static bool is_field(const struct fastcgi_answer *answer, struct slice line)
{
    size_t at = 0;
    if (line.data[0] == ' ' || line.data[0] == '\t') {
        if (answer->head.lines.len == 0)
            return false;
    } else {
        while (at < line.len && byte_is_of_token(line.data[at]))
            at++;
        if (at == 0 || at == line.len || line.data[at] != ':')
            return false;
    }
    for (; at < line.len; at++)
        if (!byte_is_of_field(line.data[at]))
            return false;
    return true;
}

static enum fastcgi_step read_status(struct fastcgi_answer *answer)
{
    struct slice text = http_head_find(&answer->head, SLICE("Status"));
    if (!text.data) {
        bool redirects = http_head_find(&answer->head, SLICE("Location")).data != NULL;
        answer->status = redirects ? 302 : 200; /* RFC 3875 6.2 */
        return FASTCGI_MORE;
    }
    bool is_number = text.len == 3 || (text.len > 3 && text.data[3] == ' ');
    for (size_t i = 0; i < 3 && is_number; i++)
        is_number = byte_is_digit(text.data[i]);
    if (!is_number || text.data[0] == '0')
        return bad(answer, "answered with a malformed Status");
    answer->status = (text.data[0] - '0') * 100 + (text.data[1] - '0') * 10 + (text.data[2] - '0');
    return FASTCGI_MORE;
}

static enum fastcgi_step end_head(struct fastcgi_answer *answer)
{
    struct slice encoding = http_head_find(&answer->head, SLICE("Content-Encoding"));
    buffer_free(&answer->line);
    answer->has_head = true;
    if (encoding.len > 0 && !slice_equal_nocase(encoding, SLICE("identity")))
        return bad(answer, "answered with a Content-Encoding, which it was not asked for");
    return read_status(answer);
}

/* A complete line, with its end. */
static enum fastcgi_step take_line(struct fastcgi_answer *answer, struct slice line)
{
    struct slice text = {.data = line.data, .len = line.len - 1};
    if (text.len > 0 && text.data[text.len - 1] == '\r')
        text.len--;
    if (text.len == 0)
        return end_head(answer);
    if (!is_field(answer, text))
        return bad(answer, "answered with a line that is not a header field");
    answer->head.is_begun = true; /* there is no status line */
    if (http_head_add(&answer->head, line))
        return FASTCGI_MORE;
    return answer->head.lines.len + line.len < HTTP_HEAD_MAX ? FASTCGI_NO_MEMORY : FASTCGI_HEAD;
}

/* Takes the text up to the end of a line, and removes it. */
static enum fastcgi_step take_head(struct fastcgi_answer *answer, struct slice *text)
{
    const char *end = memchr(text->data, '\n', text->len);
    struct slice piece = record_take(text, end ? (size_t)(end - text->data) + 1 : text->len);
    struct buffer *line = &answer->line;
    if (end && line->len == 0)
        return take_line(answer, piece);
    if (!buffer_append(line, piece.data, piece.len, HTTP_HEAD_MAX))
        return piece.len > HTTP_HEAD_MAX - line->len ? FASTCGI_HEAD : FASTCGI_NO_MEMORY;
    if (!end)
        return FASTCGI_MORE;
    enum fastcgi_step step = take_line(answer, buffer_slice(line));
    line->len = 0;
    return step;
}

/* --- the body --- */

static enum fastcgi_step take_body(struct fastcgi_answer *answer, struct slice text)
{
    if (answer->status / 100 != 2) { /* only the status matters */
        answer->ignored += text.len;
        return answer->ignored <= IGNORED_MAX ? FASTCGI_MORE : FASTCGI_IGNORED;
    }
    if (buffer_append(&answer->body, text.data, text.len, answer->max_body))
        return FASTCGI_MORE;
    return text.len > answer->max_body - answer->body.len ? FASTCGI_TOO_LARGE : FASTCGI_NO_MEMORY;
}

static enum fastcgi_step take_output(struct fastcgi_answer *answer, struct slice text)
{
    enum fastcgi_step step = FASTCGI_MORE;
    while (step == FASTCGI_MORE && text.len > 0 && !answer->has_head)
        step = take_head(answer, &text);
    return step == FASTCGI_MORE && text.len > 0 ? take_body(answer, text) : step;
}

/* Whether the body is as long as Content-Length says, if that is there. */
static bool is_whole(const struct fastcgi_answer *answer)
{
    struct slice text = http_head_find(&answer->head, SLICE("Content-Length"));
    size_t len = 0;
    if (text.len == 0 || answer->status / 100 != 2 || answer->status == 204)
        return true;
    for (size_t i = 0; i < text.len; i++) {
        if (!byte_is_digit(text.data[i]) || len > LENGTH_MAX)
            return false;
        len = len * 10 + (size_t)(text.data[i] - '0');
    }
    return len == answer->body.len;
}

/* --- records --- */

static enum fastcgi_step end_request(struct fastcgi_answer *answer)
{
    answer->end = record_decode_end(answer->end_content);
    if (answer->end.protocol_status != FCGI_REQUEST_COMPLETE)
        return FASTCGI_DONE;
    if (!answer->has_head)
        return bad(answer, answer->head.lines.len > 0 || answer->line.len > 0
                               ? "ended within the header of its response"
                               : "ended without a response");
    if (!is_whole(answer))
        return bad(answer, "answered with a body that is not as long as its Content-Length says");
    return FASTCGI_DONE;
}

/* Whether the record is for our request, which is the only one. */
static bool is_ours(const struct fastcgi_answer *answer)
{
    return answer->decoder.header.request_id == FASTCGI_REQUEST_ID;
}

static enum fastcgi_step start_record(struct fastcgi_answer *answer)
{
    const struct record_header *header = &answer->decoder.header;
    bool is_known = header->type == FCGI_STDOUT || header->type == FCGI_STDERR ||
                    header->type == FCGI_END_REQUEST;
    if (is_known && !is_ours(answer) && header->request_id != FCGI_NULL_REQUEST_ID)
        return bad(answer, "sent a record of another request");
    if (header->type == FCGI_END_REQUEST && is_ours(answer) &&
        header->content_len != sizeof answer->end_content)
        return bad(answer, "sent a malformed END_REQUEST");
    return FASTCGI_MORE;
}

static enum fastcgi_step take_content(struct fastcgi_answer *answer, struct slice content)
{
    if (!is_ours(answer))
        return FASTCGI_MORE;
    size_t left = answer->decoder.content_left; /* behind this piece */
    switch (answer->decoder.header.type) {
    case FCGI_STDOUT:
        return take_output(answer, content);
    case FCGI_STDERR:
        take_errors(answer, content);
        break;
    case FCGI_END_REQUEST:
        memcpy(answer->end_content + sizeof answer->end_content - left - content.len, content.data,
               content.len);
        break;
    default:
        break;
    }
    return FASTCGI_MORE;
}

enum fastcgi_step fastcgi_answer_feed(struct fastcgi_answer *answer, struct slice *input)
{
    enum fastcgi_step step = FASTCGI_MORE;
    struct slice content;
    answer->has_begun = answer->has_begun || input->len > 0;
    while (step == FASTCGI_MORE) {
        switch (record_decode(&answer->decoder, input, &content)) {
        case RECORD_NEED_MORE:
            return FASTCGI_MORE;
        case RECORD_START:
            step = start_record(answer);
            break;
        case RECORD_CONTENT:
            step = take_content(answer, content);
            break;
        case RECORD_END:
            if (answer->decoder.header.type == FCGI_END_REQUEST && is_ours(answer))
                step = end_request(answer);
            break;
        case RECORD_BAD:
            step = bad(answer, "does not speak FastCGI");
            break;
        }
    }
    end_complaint(answer);
    return step;
}

bool fastcgi_answer_is_clean(const struct fastcgi_answer *answer, struct slice rest)
{
    return rest.len == answer->decoder.padding_left;
}

void fastcgi_answer_clear(struct fastcgi_answer *answer)
{
    end_complaint(answer);
    http_head_clear(&answer->head);
    buffer_free(&answer->line);
    buffer_free(&answer->body);
    *answer = (struct fastcgi_answer){.max_body = answer->max_body,
                                      .complain = answer->complain,
                                      .context = answer->context};
}
