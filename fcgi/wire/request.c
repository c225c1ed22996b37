/* One FastCGI request: collects its streams, calls the service, frames the response. */
#include "wire/request.h"

#include <stdlib.h>
#include <utlist.h>

#include "base/alloc.h"
#include "base/budget.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/counters.h"
#include "fastcgi/params.h"
#include "fastcgi/record.h"
#include "web/access_log.h"
#include "web/feed.h"
#include "wire/limits.h"
#include "wire/output.h"

#define RECORD_CONTENT_MAX 32768 /* of one STDOUT record, which is one turn */
#define STREAM_RECORD_MAX  8192  /* of a record that is copied; a head has to fit */
_Static_assert(STREAM_RECORD_MAX > FEED_HEAD_MAX, "a head fits into a record");

/* The read in progress. There is one for all connections, as there is one read buffer. Most
 * requests begin and end in one read, so their PARAMS stay in the buffer and they get no timeout.
 * request_end_read ends that before another connection is read: it copies, starts the timeout, and
 * leaves both requests NULL. */
static struct {
    struct request *begun;     /* began last, is still receiving, and is not awaited yet; or NULL */
    struct request *params_of; /* all its PARAMS so far are `params`, in the buffer; or NULL */
    struct slice params;
    struct web_request web; /* what params_of's PARAMS say, once it is in state STDIN */
} reading;

static void await_rest(struct request *request);

/* --- states --- */

/* The allowed transitions: the arrows in request.h. */
static const unsigned char ways_from[] = {
#define TO(state) (1u << REQUEST_##state)
    [REQUEST_PARAMS] = TO(STDIN) | TO(ANSWERING) | TO(GONE),
    [REQUEST_STDIN] = TO(ASKING) | TO(ANSWERING) | TO(GONE),
    [REQUEST_ASKING] = TO(PARKED) | TO(ANSWERING) | TO(STREAMING),
    [REQUEST_PARKED] = TO(ANSWERING) | TO(GONE),
    [REQUEST_ANSWERING] = TO(GONE),
    [REQUEST_STREAMING] = TO(PAUSED) | TO(GONE),
    [REQUEST_PAUSED] = TO(STREAMING) | TO(GONE),
    [REQUEST_GONE] = 0,
#undef TO
};

/* A response that waits for its turn counts as unsent until it is sent. */
static void begin_turns(struct request *request)
{
    budget_add(BUDGET_UNSENT, sizeof *request);
    DL_APPEND(request->group->turns, request);
}

static void end_turns(struct request *request)
{
    budget_sub(BUDGET_UNSENT, sizeof *request);
    DL_DELETE(request->group->turns, request);
}

/* Ends receiving. Its PARAMS still exist; the caller frees them. */
static void end_receiving(struct request *request)
{
    if (reading.begun == request)
        reading.begun = NULL;
    if (reading.params_of == request)
        reading.params_of = NULL;
    if (request->awaited) {
        timeout_stop(&request->arriving.deadline);
        budget_sub(BUDGET_UNFINISHED, sizeof *request);
        request->awaited = false;
    }
}

/* The only place that sets the state. Call it while the union still holds the timeout of the old
 * state; the caller then fills in the members of the new state. */
static inline void request_set_state(struct request *request, enum request_state state)
{
    enum request_state before = request->state;
    bool took_turns = request_has_output(request);
    check(ways_from[before] >> state & 1);
    if (before <= REQUEST_STDIN && state > REQUEST_STDIN)
        end_receiving(request);
    if (before == REQUEST_PAUSED)
        timeout_stop(&request->stream.beat);

    request->state = (unsigned char)state;
    if (state == REQUEST_PAUSED)
        timeout_start(&request->group->all->beats[lrand48() % REQUEST_BEATS],
                      &request->stream.beat);
    if (took_turns && !request_has_output(request))
        end_turns(request);
    if (!took_turns && request_has_output(request))
        begin_turns(request);
}

/* Frees what the union holds for the current state, which is about to end. */
static void release(struct request *request)
{
    switch ((enum request_state)request->state) {
    case REQUEST_PARAMS:
    case REQUEST_STDIN:
        buffer_free_counted(&request->arriving.params, BUDGET_UNFINISHED);
        break;
    case REQUEST_PARKED:
        service_leave(&request->answer.wait);
        break;
    case REQUEST_ANSWERING:
        response_release(&request->answer.response);
        break;
    case REQUEST_STREAMING:
    case REQUEST_PAUSED:
        access_log_streamed(request->stream.access, request->stream.sent);
        feed_free(request->stream.feed);
        counter_sub(COUNTER_STREAMS, 1);
        break;
    case REQUEST_ASKING:
    case REQUEST_GONE:
        break;
    }
}

struct request *request_new(struct request_group *group, uint16_t id, bool keep_conn)
{
    if (reading.begun)
        await_rest(reading.begun);
    struct request *request = alloc_bytes(sizeof *request);
    if (!request)
        return NULL;
    memset(request, 0, offsetof(struct request, arriving));
    memset(&request->arriving, 0, sizeof request->arriving);
    request->group = group;
    request->generation = group->next_generation++;
    request->id = id;
    request->keep_conn = keep_conn;
    reading.begun = request;
    return request;
}

void request_free(struct request *request)
{
    if (!request)
        return;
    release(request);
    request_set_state(request, REQUEST_GONE);
    free(request);
}

/* --- data of the current read --- */

/* Drops the PARAMS; the request is rejected at their end. */
static void lose_params(struct request *request)
{
    budget_log_refusal(BUDGET_UNFINISHED);
    buffer_free_counted(&request->arriving.params, BUDGET_UNFINISHED);
    request->params_lost = true;
}

static void keep_params(void)
{
    struct request *request = reading.params_of;
    reading.params_of = NULL;
    if (request &&
        !buffer_append_counted(&request->arriving.params, reading.params.data, reading.params.len,
                               reading.params.len, BUDGET_UNFINISHED))
        lose_params(request);
}

/* Call it for an incomplete request when another one begins or the read is over. */
static void await_rest(struct request *request)
{
    reading.begun = NULL;
    if (!budget_has_room(BUDGET_UNFINISHED, sizeof *request)) {
        budget_log_refusal(BUDGET_UNFINISHED);
        request_refuse(request, 503);
        return;
    }
    budget_add(BUDGET_UNFINISHED, sizeof *request);
    request->awaited = true;
    timeout_start(&request->group->all->receiving, &request->arriving.deadline);
}

void request_end_read(void)
{
    keep_params();
    if (reading.begun)
        await_rest(reading.begun);
}

static struct slice params_of(const struct request *request)
{
    return request == reading.params_of ? reading.params : buffer_slice(&request->arriving.params);
}

/* --- from PARAMS and STDIN to the service --- */

void request_add_params(struct request *request, struct slice bytes)
{
    if (request->state != REQUEST_PARAMS)
        return;
    size_t len = params_of(request).len, most = request->group->all->limits->max_params;
    keep_params();
    if (request->params_lost)
        return;
    if (bytes.len > most - len) {
        request_refuse(request, 431);
    } else if (len == 0) {
        reading.params_of = request;
        reading.params = bytes;
    } else if (!buffer_append_counted(&request->arriving.params, bytes.data, bytes.len, most,
                                      BUDGET_UNFINISHED)) {
        lose_params(request);
    }
}

/* Returns false if the stream has no pair, or an invalid one. */
static bool read_params(struct slice params, struct web_request *web)
{
    struct slice name, value;
    enum params_step step;
    bool any = params.len > 0;
    web_request_clear(web);
    web->variables = params;
    while ((step = params_next(&params, &name, &value)) == PARAMS_PAIR)
        web_request_set(web, name, value);
    return step == PARAMS_END && any;
}

/* Answers it by its headers alone, which are those that were read last. */
static void answer_early(struct request *request, struct response response)
{
    if (access_log_on) {
        access_log_begin(&reading.web);
        access_log_answer(&response);
    }
    request_answer(request, response);
}

void request_end_params(struct request *request)
{
    const struct request_groups *all = request->group->all;
    struct response response;
    uint64_t content_len;
    if (request->state != REQUEST_PARAMS)
        return;
    if (reading.params_of != request)
        keep_params(); /* of another request; `web` is overwritten below */
    if (request->params_lost)
        request_refuse(request, 503);
    else if (!read_params(params_of(request), &reading.web) ||
             !web_request_content_length(&reading.web, &content_len))
        request_refuse(request, 400);
    else if (content_len > all->limits->max_request_body)
        request_refuse(request, 413);
    else if (content_len > 0 && service_check(all->service, &reading.web, &response))
        answer_early(request, response); /* the body can't change it, so don't wait for it */
    else
        request_set_state(request, REQUEST_STDIN);
}

void request_add_input(struct request *request, struct slice bytes)
{
    if (request->state == REQUEST_PARAMS) {
        request_refuse(request, 400);
    } else if (request->state == REQUEST_STDIN) {
        request->arriving.body_len += bytes.len;
        if (request->arriving.body_len > request->group->all->limits->max_request_body)
            request_refuse(request, 413);
    }
}

/* Resumes a stream when there is something to send. */
static void resume(struct request *request)
{
    if (request->state == REQUEST_PAUSED && feed_is_ready(request->stream.feed))
        request_set_state(request, REQUEST_STREAMING);
}

/* A fragment of its stream is ready. */
static void on_stream_ready(void *context)
{
    struct request *request = context;
    resume(request);
    request->group->all->ready(request->group);
}

/* Calls the service. Its answer replaces the received data, except PARAMS, which are needed for the
 * call. */
static void start_service(struct request *request, const struct web_request *web)
{
    struct waiter_address who = {
        .connection = request->group->connection,
        .request_id = request->id,
        .generation = request->generation,
    };
    struct buffer params = request->arriving.params; /* empty if still in the read buffer */
    struct feed *feed;
    request_set_state(request, REQUEST_ASKING);
    if (access_log_on)
        access_log_begin(web);
    switch (service_start(request->group->all->service, web, &who, &request->answer)) {
    case ANSWER_RESPONSE:
        if (access_log_on)
            access_log_answer(&request->answer.response);
        request->sent = 0;
        request_set_state(request, REQUEST_ANSWERING);
        break;
    case ANSWER_WAIT:
        request->answer.wait.access = access_log_on ? access_log_keep() : NULL;
        request_set_state(request, REQUEST_PARKED);
        break;
    case ANSWER_FEED:
        feed = request->answer.feed;
        memset(&request->stream, 0, sizeof request->stream);
        request->stream.feed = feed;
        request->stream.access = access_log_on ? access_log_keep() : NULL;
        feed_log(feed, request->stream.access);
        counter_add(COUNTER_STREAMS, 1);
        feed_on_ready(feed, on_stream_ready, request);
        request_set_state(request, REQUEST_STREAMING); /* its head has to be sent */
        break;
    }
    buffer_free_counted(&params, BUDGET_UNFINISHED);
}

static void end_stdin(struct request *request)
{
    struct web_request decoded;
    const struct web_request *web = &reading.web;
    uint64_t content_len;
    if (reading.params_of != request) {
        read_params(params_of(request), &decoded); /* valid: request_end_params has checked them */
        web = &decoded;
    }
    web_request_content_length(web, &content_len);
    if (request->params_lost)
        request_refuse(request, 503);
    else if (request->arriving.body_len < content_len)
        request_refuse(request, 400);
    else
        start_service(request, web);
}

void request_end_input(struct request *request)
{
    request->input_ended = true;
    if (request->state == REQUEST_STDIN)
        end_stdin(request);
    else if (request->state == REQUEST_PARAMS)
        request_refuse(request, 400);
}

/* --- the response --- */

void request_answer(struct request *request, struct response response)
{
    release(request);
    request_set_state(request, REQUEST_ANSWERING);
    request->answer.response = response;
    request->sent = 0;
}

void request_refuse(struct request *request, int status)
{
    if (access_log_on)
        access_log_rejected(status);
    request_answer(request, response_of_status(status));
}

void request_settle(struct request *request, const struct settlement *settlement)
{
    check(request->state == REQUEST_PARKED); /* so never before service_start has returned */
    struct wait wait = request->answer.wait;
    service_finish(&wait, settlement, &request->answer.response);
    request->sent = 0;
    request_set_state(request, REQUEST_ANSWERING);
}

size_t request_unsent(const struct request *request)
{
    size_t unsent = request_has_output(request) ? sizeof *request : 0;
    if (request->state == REQUEST_ANSWERING)
        unsent += entry_unsent(request->answer.response.entry);
    else if (request->state == REQUEST_STREAMING || request->state == REQUEST_PAUSED)
        unsent += feed_unsent(request->stream.feed);
    return unsent;
}

/* Once for each answer, with its head. */
static void count_answer(const struct response *response)
{
    enum counter counter = response->status < 300   ? COUNTER_ANSWERS_2XX
                           : response->status < 400 ? COUNTER_ANSWERS_3XX
                           : response->status < 500 ? COUNTER_ANSWERS_4XX
                                                    : COUNTER_ANSWERS_5XX;
    counter_add(counter, 1);
}

/* Queues own bytes of a record: its header and, if not sent yet, the response's head. */
static bool emit_front(struct request *request, struct output *output, size_t body_len)
{
    size_t head_len = 0,
           head_max = request->head_sent ? 0 : response_head_max(&request->answer.response);
    char *out = output_reserve(output, FCGI_HEADER_LEN + head_max);
    if (!out)
        return false;
    if (!request->head_sent) {
        head_len =
            response_head(&request->answer.response, clock_fleet_ms(), out + FCGI_HEADER_LEN);
        count_answer(&request->answer.response);
    }
    output_return(output, head_max - head_len);
    size_t content_len = head_len + body_len;
    record_encode_header(out, FCGI_STDOUT, request->id, (uint16_t)content_len,
                         record_padding(content_len));
    request->head_sent = true;
    return true;
}

/* Queues own bytes after a record's content: its padding and, at the end of the body, the end of
 * the STDOUT stream and END_REQUEST. */
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

/* Queues the next record of a stream: its head, if not sent yet, and what is ready. All of it is
 * copied, since lines of the body may need a prefix. */
static enum request_progress emit_stream(struct request *request, struct output *output)
{
    struct feed *feed = request->stream.feed;
    size_t len = 0, room = STREAM_RECORD_MAX;
    char *out = output_reserve(output, FCGI_HEADER_LEN + room);
    if (!out)
        return REQUEST_NO_MEMORY;
    char *content = out + FCGI_HEADER_LEN;
    if (!request->head_sent) {
        len = feed_write_head(feed, clock_fleet_ms(), content);
        count_answer(feed_head(feed));
    }
    size_t body_len = feed_write(feed, content + len, room - len);
    len += body_len;
    request->stream.sent += body_len;
    output_return(output, len > 0 ? room - len : FCGI_HEADER_LEN + room); /* no empty record */
    if (len > 0)
        record_encode_header(out, FCGI_STDOUT, request->id, (uint16_t)len, record_padding(len));
    request->head_sent = true;

    bool over = feed_is_over(feed);
    if (!emit_back(request, output, record_padding(len), over))
        return REQUEST_NO_MEMORY;
    if (over)
        return REQUEST_DONE;
    if (feed_is_ready(feed))
        return REQUEST_MORE;
    request_set_state(request, REQUEST_PAUSED);
    return REQUEST_WAITS;
}

enum request_progress request_emit(struct request *request, struct output *output)
{
    if (request->state == REQUEST_STREAMING)
        return emit_stream(request, output);

    const struct response *response = &request->answer.response;
    struct slice part = slice_from(response_body(response), request->sent);
    size_t room = RECORD_CONTENT_MAX - (request->head_sent ? 0 : response_head_max(response));
    bool last = part.len <= room;
    if (!last)
        part.len = room;
    request->sent += part.len;

    size_t before = output->queued;
    if (!emit_front(request, output, part.len) ||
        !output_append(output, part, response->entry, response->entry ? NULL : response->users))
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

/* --- all requests --- */

static void on_receive_timeout(void *context, struct timeout *deadline)
{
    struct request *request = container_of(deadline, struct request, arriving.deadline);
    (void)context;
    request_refuse(request, 408);
    request->group->all->ready(request->group);
}

static void on_beat(void *context, struct timeout *beat)
{
    struct request *request = container_of(beat, struct request, stream.beat);
    (void)context;
    feed_beat(request->stream.feed);
    resume(request);
    request->group->all->ready(request->group);
}

/* From half the interval to all of it, so that heartbeats of streams do not coincide. */
static double beat_interval(const struct connection_limits *limits, unsigned number)
{
    return limits->heartbeat * (0.5 + 0.5 * (number + 1) / REQUEST_BEATS);
}

void request_groups_limits_changed(struct request_groups *groups)
{
    timeout_queue_set(&groups->receiving, groups->limits->receive_timeout);
    for (unsigned i = 0; i < REQUEST_BEATS; i++)
        timeout_queue_set(&groups->beats[i], beat_interval(groups->limits, i));
}

void request_groups_init(struct request_groups *groups, struct ev_loop *loop,
                         const struct connection_limits *limits, struct service *service,
                         request_ready_fn *ready)
{
    *groups = (struct request_groups){.limits = limits, .service = service, .ready = ready};
    timeout_queue_init(&groups->receiving, loop, limits->receive_timeout, on_receive_timeout, NULL);
    for (unsigned i = 0; i < REQUEST_BEATS; i++)
        timeout_queue_init(&groups->beats[i], loop, beat_interval(limits, i), on_beat, NULL);
}

void request_groups_stop(struct request_groups *groups)
{
    timeout_queue_stop(&groups->receiving);
    for (unsigned i = 0; i < REQUEST_BEATS; i++)
        timeout_queue_stop(&groups->beats[i]);
    log_limit_end(&groups->refusals);
}
