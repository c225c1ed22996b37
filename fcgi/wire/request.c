/* One FastCGI request: its streams come together, the service is asked, its answer is framed. */
#include "wire/request.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/budget.h"
#include "base/clock.h"
#include "fastcgi/params.h"
#include "fastcgi/record.h"
#include "web/feed.h"
#include "wire/limits.h"
#include "wire/output.h"

#define RECORD_CONTENT_MAX 32768 /* of one STDOUT record: the share of one turn */
#define STREAM_RECORD_MAX  8192  /* of one that is copied */

struct request *request_new(uint16_t id, uint32_t generation, bool keep_conn)
{
    struct request *request = alloc_bytes(sizeof *request);
    if (!request)
        return NULL;
    memset(request, 0, offsetof(struct request, arriving));
    memset(&request->arriving, 0, sizeof request->arriving);
    request->id = id;
    request->generation = generation;
    request->keep_conn = keep_conn;
    return request;
}

/* The bytes of PARAMS that came last. Mostly they are all of a request's PARAMS, and the rest of it
 * comes with them: then they are used where they were read. */
static struct {
    struct request *request; /* in state PARAMS or STDIN; NULL: of none */
    struct slice params;     /* the only ones that it has; borrowed until request_keep_params */
    struct web_request web;  /* in state STDIN: what they say */
} latest;

/* The request is refused when they end. */
static void lose_params(struct request *request)
{
    budget_log_refusal(BUDGET_UNFINISHED);
    buffer_free_counted(&request->arriving.params, BUDGET_UNFINISHED);
    request->params_lost = true;
}

void request_keep_params(void)
{
    struct request *request = latest.request;
    latest.request = NULL;
    if (request && !buffer_append_counted(&request->arriving.params, latest.params.data,
                                          latest.params.len, latest.params.len, BUDGET_UNFINISHED))
        lose_params(request);
}

bool request_await_rest(struct request *request)
{
    if (!budget_has_room(BUDGET_UNFINISHED, sizeof *request))
        return false;
    budget_add(BUDGET_UNFINISHED, sizeof *request);
    request->arriving.awaited = true;
    return true;
}

static struct slice params_of(const struct request *request)
{
    return request == latest.request ? latest.params : buffer_slice(&request->arriving.params);
}

/* No more of it is waited for. Its PARAMS are still there, for whoever calls to free. */
static void stop_arriving(struct request *request)
{
    if (latest.request == request)
        latest.request = NULL;
    timeout_stop(&request->arriving.deadline);
    if (request->arriving.awaited)
        budget_sub(BUDGET_UNFINISHED, sizeof *request);
}

/* Lets go of what the present state holds. */
static void leave_state(struct request *request)
{
    switch ((enum request_state)request->state) {
    case REQUEST_PARAMS:
    case REQUEST_STDIN:
        stop_arriving(request);
        buffer_free_counted(&request->arriving.params, BUDGET_UNFINISHED);
        break;
    case REQUEST_PARKED:
        service_leave(&request->answer.wait);
        break;
    case REQUEST_ANSWERING:
        response_release(&request->answer.response);
        break;
    case REQUEST_STREAMING:
        timeout_stop(&request->stream.beat);
        feed_free(request->stream.feed);
        break;
    }
}

void request_free(struct request *request)
{
    if (!request)
        return;
    leave_state(request);
    free(request);
}

/* --- from PARAMS and STDIN to the service --- */

void request_add_params(struct request *request, struct slice bytes,
                        const struct connection_limits *limits)
{
    size_t len = params_of(request).len;
    request_keep_params();
    if (request->params_lost)
        return;
    if (bytes.len > limits->max_params - len) {
        request_refuse(request, 431);
    } else if (len == 0) {
        latest.request = request;
        latest.params = bytes;
    } else if (!buffer_append_counted(&request->arriving.params, bytes.data, bytes.len,
                                      limits->max_params, BUDGET_UNFINISHED)) {
        lose_params(request);
    }
}

/* False if the stream holds no pair, or a broken one. */
static bool read_params(struct slice params, struct web_request *web)
{
    struct slice name, value;
    enum params_step step;
    bool any = params.len > 0;
    web_request_clear(web);
    while ((step = params_next(&params, &name, &value)) == PARAMS_PAIR)
        web_request_set(web, name, value);
    return step == PARAMS_END && any;
}

void request_end_params(struct request *request, const struct connection_limits *limits,
                        const struct service *service)
{
    struct response response;
    uint64_t content_len;
    if (latest.request != request)
        request_keep_params(); /* another's; what these say takes the place of what those do */
    if (request->params_lost)
        request_refuse(request, 503);
    else if (!read_params(params_of(request), &latest.web) ||
             !web_request_content_length(&latest.web, &content_len))
        request_refuse(request, 400);
    else if (content_len > limits->max_request_body)
        request_refuse(request, 413);
    else if (content_len > 0 && service_check(service, &latest.web, &response))
        request_answer(request, response); /* why wait for a body that can't change it */
    else
        request->state = REQUEST_STDIN;
}

void request_add_input(struct request *request, struct slice bytes,
                       const struct connection_limits *limits)
{
    request->body_len += bytes.len;
    if (request->body_len > limits->max_request_body)
        request_refuse(request, 413);
}

/* The service's answer takes the place of what has arrived, but for the PARAMS that it is about. */
static void start_service(struct request *request, const struct web_request *web,
                          struct service *service, uint32_t connection)
{
    struct waiter_address who = {
        .connection = connection,
        .request_id = request->id,
        .generation = request->generation,
    };
    struct buffer params = request->arriving.params; /* empty if they are where they were read */
    struct feed *feed;
    stop_arriving(request);
    switch (service_start(service, web, &who, &request->answer)) {
    case SERVICE_ANSWERED:
        request->state = REQUEST_ANSWERING;
        request->sent = 0;
        break;
    case SERVICE_PARKED:
        request->state = REQUEST_PARKED;
        break;
    case SERVICE_STREAMS:
        feed = request->answer.feed;
        memset(&request->stream, 0, sizeof request->stream);
        request->stream.feed = feed;
        request->state = REQUEST_STREAMING;
        break;
    }
    buffer_free_counted(&params, BUDGET_UNFINISHED);
}

void request_end_input(struct request *request, struct service *service, uint32_t connection)
{
    struct web_request decoded;
    const struct web_request *web = &latest.web;
    uint64_t content_len;
    if (latest.request != request) {
        read_params(params_of(request), &decoded); /* sound, as request_end_params found */
        web = &decoded;
    }
    web_request_content_length(web, &content_len);
    if (request->params_lost)
        request_refuse(request, 503);
    else if (request->body_len < content_len)
        request_refuse(request, 400);
    else
        start_service(request, web, service, connection);
}

/* --- to the answer --- */

void request_answer(struct request *request, struct response response)
{
    leave_state(request);
    request->state = REQUEST_ANSWERING;
    request->answer.response = response;
    request->sent = 0;
}

void request_refuse(struct request *request, int status)
{
    request_answer(request, response_of_status(status));
}

void request_settle(struct request *request, const struct waiter_address *who,
                    const struct settlement *settlement)
{
    if (request->state == REQUEST_STREAMING) {
        feed_settle(request->stream.feed, who, settlement);
    } else if (request->state == REQUEST_PARKED) {
        struct wait wait = request->answer.wait;
        service_finish(&wait, settlement, &request->answer.response);
        request->state = REQUEST_ANSWERING;
        request->sent = 0;
    }
}

bool request_has_output(const struct request *request)
{
    return request->state == REQUEST_ANSWERING ||
           (request->state == REQUEST_STREAMING &&
            (!request->head_sent || feed_is_ready(request->stream.feed)));
}

/* Own bytes of a record: its header and the response's head, if that is still to come. */
static bool emit_front(struct request *request, struct output *output, size_t body_len)
{
    size_t head_len = 0, head_max = request->head_sent ? 0 : RESPONSE_HEAD_MAX;
    char *out = output_reserve(output, FCGI_HEADER_LEN + head_max);
    if (!out)
        return false;
    if (!request->head_sent)
        head_len =
            response_head(&request->answer.response, clock_fleet_ms(), out + FCGI_HEADER_LEN);
    output_return(output, head_max - head_len);
    size_t content_len = head_len + body_len;
    record_encode_header(out, FCGI_STDOUT, request->id, (uint16_t)content_len,
                         record_padding(content_len));
    request->head_sent = true;
    return true;
}

/* Own bytes after a record's content: its padding and, at the end of the body, the end of the
 * STDOUT stream and END_REQUEST. */
static bool emit_back(const struct request *request, struct output *output, uint8_t padding,
                      bool last)
{
    size_t len = padding + (last ? FCGI_HEADER_LEN + RECORD_END_LEN : 0);
    if (len == 0)
        return true;
    char *out = output_reserve(output, len);
    if (!out)
        return false;
    memset(out, 0, padding);
    out += padding;
    if (last) {
        out += record_encode_header(out, FCGI_STDOUT, request->id, 0, 0);
        record_encode_end(out, request->id, FCGI_REQUEST_COMPLETE);
    }
    return true;
}

/* The next record of a response that goes on: its head, if that is still to come, and what is
 * ready. All of it is copied, since lines of the body may need something before them. */
static enum request_progress emit_stream(struct request *request, struct output *output)
{
    struct feed *feed = request->stream.feed;
    size_t len = 0, room = STREAM_RECORD_MAX;
    char *out = output_reserve(output, FCGI_HEADER_LEN + room);
    if (!out)
        return REQUEST_NO_MEMORY;
    char *content = out + FCGI_HEADER_LEN;
    if (!request->head_sent)
        len = response_head(feed_head(feed), clock_fleet_ms(), content);
    len += feed_write(feed, content + len, room - len);
    output_return(output, len > 0 ? room - len : FCGI_HEADER_LEN + room); /* no empty record */
    if (len > 0)
        record_encode_header(out, FCGI_STDOUT, request->id, (uint16_t)len, record_padding(len));
    request->head_sent = true;

    bool over = feed_is_over(feed);
    if (!emit_back(request, output, record_padding(len), over))
        return REQUEST_NO_MEMORY;
    return over ? REQUEST_DONE : feed_is_ready(feed) ? REQUEST_MORE : REQUEST_WAITS;
}

enum request_progress request_emit(struct request *request, struct output *output)
{
    if (request->state == REQUEST_STREAMING)
        return emit_stream(request, output);

    const struct response *response = &request->answer.response;
    struct slice part = slice_from(response_body(response), request->sent);
    size_t room = RECORD_CONTENT_MAX - (request->head_sent ? 0 : RESPONSE_HEAD_MAX);
    bool last = part.len <= room;
    if (!last)
        part.len = room;
    request->sent += part.len;

    size_t before = output->queued;
    if (!emit_front(request, output, part.len) || !output_append(output, part, response->entry))
        return REQUEST_NO_MEMORY;
    uint8_t padding = record_padding(output->queued - before - FCGI_HEADER_LEN);
    if (!emit_back(request, output, padding, last))
        return REQUEST_NO_MEMORY;
    return last ? REQUEST_DONE : REQUEST_MORE;
}

bool request_emit_end(const struct request *request, struct output *output)
{
    if (request->head_sent)
        return emit_back(request, output, 0, true);
    char *out = output_reserve(output, RECORD_END_LEN);
    if (out)
        record_encode_end(out, request->id, FCGI_REQUEST_COMPLETE);
    return out != NULL;
}
