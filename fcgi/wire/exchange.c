/* Turns records into requests, and the requests' responses into records. */
#include "wire/exchange.h"

#include <string.h>
#include <utlist.h>

#include "base/budget.h"
#include "base/counters.h"
#include "base/log.h"
#include "fastcgi/values.h"
#include "web/access_log.h"
#include "wire/limits.h"
#include "wire/request.h"

#define OUTPUT_MARK      65536 /* queued bytes at which responses wait */
#define MANAGEMENT_SHORT 256   /* bytes of a GET_VALUES that are always accepted */

/* The only place that sets the verdict. The first reason for each is kept. */
static void set_verdict(struct exchange *exchange, enum exchange_verdict verdict, const char *why)
{
    static const char *const names[] = {"open", "closing when idle", "broken"};
    if (verdict <= exchange->verdict)
        return;
    log_debug("connection", "%u: %s: %s", exchange->requests.connection, names[verdict], why);
    exchange->verdict = verdict;
    exchange->why = why;
}

static void exchange_break(struct exchange *exchange, const char *why)
{
    set_verdict(exchange, EXCHANGE_BROKEN, why);
}

void exchange_close_when_quiet(struct exchange *exchange, const char *why)
{
    set_verdict(exchange, EXCHANGE_CLOSE_WHEN_QUIET, why);
}

/* --- the requests --- */

static struct request *add_request(struct exchange *exchange, uint16_t id, bool keep_conn)
{
    struct request *request = request_new(&exchange->requests, id, keep_conn);
    if (!request || !inflight_insert(&exchange->inflight, request)) {
        request_free(request);
        return NULL;
    }
    return request;
}

/* Accounts for a request that has ended, or was never kept. */
static void request_is_over(struct exchange *exchange, bool input_ended, bool keep_conn)
{
    if (!input_ended)
        exchange->late_inputs++;
    if (!keep_conn)
        exchange_close_when_quiet(exchange, "its last request has ended");
}

/* Call it after END_REQUEST was queued, or when the peer has closed. */
static void remove_request(struct exchange *exchange, struct request *request)
{
    request_is_over(exchange, request->input_ended, request->keep_conn);
    exchange->answered = true;
    inflight_remove(&exchange->inflight, request);
    request_free(request);
}

/* --- records out --- */

/* Whether responses have to wait until some of the output is written. While unsent responses exceed
 * their budget, a connection may queue only one record at a time: enough for a peer that reads. */
static bool output_must_shrink(const struct exchange *exchange)
{
    return exchange->output.queued >= OUTPUT_MARK ||
           (exchange->output.queued > 0 && budget_exceeded(BUDGET_UNSENT));
}

/* Queues a record of the next response. Returns false if there is none, or it has to wait. */
static bool take_turn(struct exchange *exchange)
{
    struct request *request = exchange->requests.turns;
    if (!request || output_must_shrink(exchange))
        return false;
    switch (request_emit(request, &exchange->output)) {
    case REQUEST_DONE:
        remove_request(exchange, request);
        return true;
    case REQUEST_MORE:
        DL_DELETE(exchange->requests.turns, request);
        DL_APPEND(exchange->requests.turns, request);
        return true;
    case REQUEST_WAITS:
        return true;
    case REQUEST_NO_MEMORY:
        break;
    }
    exchange_break(exchange, "out of memory");
    return false;
}

void exchange_fill(struct exchange *exchange)
{
    if (exchange->verdict != EXCHANGE_BROKEN)
        while (take_turn(exchange))
            continue;
}

size_t exchange_unsent(const struct exchange *exchange)
{
    size_t unsent = output_unsent(&exchange->output);
    for (uint32_t i = 0; i < exchange->inflight.count; i++)
        unsent += request_unsent(exchange->inflight.requests[i]);
    return unsent;
}

/* --- records in --- */

/* Reserves output for a record that belongs to no request. NULL: the exchange is broken now. */
static char *reserve_reply(struct exchange *exchange, size_t len)
{
    char *out = output_reserve(&exchange->output, len);
    if (!out)
        exchange_break(exchange, "out of memory");
    return out;
}

static void end_unknown_role(struct exchange *exchange, uint16_t id)
{
    char *out = reserve_reply(exchange, RECORD_END_LEN);
    if (out)
        record_encode_end(out, id, FCGI_UNKNOWN_ROLE);
}

/* A request over the limit is answered without being kept; its later records are ignored. */
static void refuse_begin(struct exchange *exchange, uint16_t id)
{
    struct request request = {
        .id = id,
        .state = REQUEST_ANSWERING,
        .answer.response = response_of_status(503),
    };
    if (access_log_on)
        access_log_rejected(503);
    if (request_emit(&request, &exchange->output) != REQUEST_DONE)
        exchange_break(exchange, "out of memory");
}

static bool limit_reached(struct exchange *exchange)
{
    size_t most = exchange->requests.all->limits->max_connection_requests;
    if (exchange->inflight.count < most)
        return false;
    counter_add(COUNTER_REFUSED_MAX_CONNECTION_REQUESTS, 1);
    log_limited(&exchange->requests.all->refusals, LOG_LEVEL_WARNING, "connection",
                "%u: max_connection_requests is reached (%zu): requests are rejected with 503",
                exchange->requests.connection, most);
    return true;
}

static void on_begin(struct exchange *exchange)
{
    uint16_t id = exchange->decoder.header.request_id;
    struct record_begin begin = record_decode_begin(exchange->begin);
    if (inflight_find(&exchange->inflight, id)) {
        exchange_break(exchange, "BEGIN_REQUEST with an id that is in use");
        return;
    }

    if (begin.role != FCGI_RESPONDER)
        end_unknown_role(exchange, id);
    else if (limit_reached(exchange) || !add_request(exchange, id, begin.keep_conn))
        refuse_begin(exchange, id);
    else
        return;
    request_is_over(exchange, false, begin.keep_conn);
}

/* A short GET_VALUES is accepted regardless of the budget: some front servers send one before their
 * first request. */
static void add_to_management(struct exchange *exchange, struct slice bytes)
{
    struct buffer *buffer = &exchange->management;
    bool is_short = buffer->len + bytes.len <= MANAGEMENT_SHORT;
    if (!(is_short ? buffer_append_forced : buffer_append_counted)(buffer, bytes.data, bytes.len,
                                                                   FCGI_MAX_LENGTH,
                                                                   BUDGET_UNFINISHED))
        exchange_break(exchange, "out of memory for GET_VALUES");
}

static void answer_get_values(struct exchange *exchange)
{
    const struct connection_limits *limits = exchange->requests.all->limits;
    const struct values ours = {
        .max_conns = limits->max_connections,
        .max_reqs = limits->max_connection_requests,
    };
    char answer[VALUES_ANSWER_MAX];
    size_t len = values_answer(buffer_slice(&exchange->management), &ours, answer);
    buffer_free_counted(&exchange->management, BUDGET_UNFINISHED);
    if (len == 0) {
        exchange_break(exchange, "malformed GET_VALUES");
        return;
    }
    char *out = reserve_reply(exchange, len);
    if (out)
        memcpy(out, answer, len);
}

static void answer_unknown_type(struct exchange *exchange, uint8_t type)
{
    char *out = reserve_reply(exchange, RECORD_UNKNOWN_LEN);
    if (out)
        record_encode_unknown_type(out, type);
}

static void abort_request(struct exchange *exchange, struct request *request)
{
    if (!request_emit_end(request, &exchange->output))
        exchange_break(exchange, "out of memory");
    request->input_ended = true; /* a peer that aborts a request sends no more of it */
    remove_request(exchange, request);
}

/* Types that belong to a request. With id 0 they are ignored; any other type with id 0 is answered
 * with UNKNOWN_TYPE (FastCGI 1.0, section 4.2). */
static bool is_application_type(uint8_t type)
{
    return type >= FCGI_BEGIN_REQUEST && type <= FCGI_DATA;
}

/* Dispatches the content of a record. */
static void on_content(struct exchange *exchange, struct slice bytes)
{
    const struct record_header *header = &exchange->decoder.header;
    if (header->type == FCGI_BEGIN_REQUEST) {
        size_t end = sizeof exchange->begin - exchange->decoder.content_left;
        memcpy(exchange->begin + end - bytes.len, bytes.data, bytes.len);
        return;
    }
    if (header->type == FCGI_GET_VALUES && header->request_id == FCGI_NULL_REQUEST_ID) {
        add_to_management(exchange, bytes);
        return;
    }

    struct request *request = inflight_find(&exchange->inflight, header->request_id);
    if (!request)
        return;
    if (header->type == FCGI_PARAMS)
        request_add_params(request, bytes);
    else if (header->type == FCGI_STDIN)
        request_add_input(request, bytes);
}

/* The end of a record that belongs to a request. An empty record ends its stream. */
static void on_request_record(struct exchange *exchange, const struct record_header *header)
{
    struct request *request = inflight_find(&exchange->inflight, header->request_id);
    if (!request) {
        /* The end of a request that was answered already. */
        if (header->type == FCGI_STDIN && header->content_len == 0 && exchange->late_inputs > 0)
            exchange->late_inputs--;
        return;
    }
    if (header->type == FCGI_ABORT_REQUEST) {
        abort_request(exchange, request);
        return;
    }
    if (header->content_len > 0)
        return;
    if (header->type == FCGI_PARAMS)
        request_end_params(request);
    else if (header->type == FCGI_STDIN)
        request_end_input(request);
}

static void on_record_start(struct exchange *exchange)
{
    const struct record_header *header = &exchange->decoder.header;
    if (header->type != FCGI_BEGIN_REQUEST)
        return;
    if (header->request_id == FCGI_NULL_REQUEST_ID)
        exchange_break(exchange, "BEGIN_REQUEST with id 0");
    else if (header->content_len != sizeof(FCGI_BeginRequestBody))
        exchange_break(exchange, "BEGIN_REQUEST has a wrong length");
}

static void on_record_end(struct exchange *exchange)
{
    const struct record_header *header = &exchange->decoder.header;
    if (header->type == FCGI_BEGIN_REQUEST)
        on_begin(exchange);
    else if (header->request_id != FCGI_NULL_REQUEST_ID)
        on_request_record(exchange, header);
    else if (header->type == FCGI_GET_VALUES)
        answer_get_values(exchange);
    else if (!is_application_type(header->type))
        answer_unknown_type(exchange, header->type);
}

bool exchange_feed(struct exchange *exchange, struct slice *input)
{
    enum record_event event = RECORD_START;
    struct slice content;
    while (event != RECORD_NEED_MORE && exchange->verdict != EXCHANGE_BROKEN &&
           !exchange_is_full(exchange)) {
        event = record_decode(&exchange->decoder, input, &content);
        switch (event) {
        case RECORD_NEED_MORE:
            break;
        case RECORD_START:
            on_record_start(exchange);
            break;
        case RECORD_CONTENT:
            on_content(exchange, content);
            break;
        case RECORD_END:
            on_record_end(exchange);
            if (exchange->requests.turns && exchange->requests.turns->input_ended)
                take_turn(exchange); /* while its data is in the processor's cache */
            break;
        case RECORD_BAD:
            exchange_break(exchange, "not FastCGI 1");
            break;
        }
    }
    request_end_read();
    return event != RECORD_NEED_MORE && exchange->verdict != EXCHANGE_BROKEN;
}

void exchange_end_input(struct exchange *exchange)
{
    for (uint32_t i = exchange->inflight.count; i-- > 0;) {
        struct request *request = exchange->inflight.requests[i];
        if (request_receiving(request))
            remove_request(exchange, request);
    }
    exchange_close_when_quiet(exchange, "the peer has stopped sending");
}

/* --- other events --- */

void exchange_settle(struct exchange *exchange, const struct waiter_address *who,
                     const struct settlement *settlement)
{
    struct request *request = inflight_find(&exchange->inflight, who->request_id);
    if (!request || request->generation != who->generation)
        return;
    request_settle(request, settlement);
}

/* --- beginning and end --- */

void exchange_init(struct exchange *exchange, struct request_groups *all, uint32_t connection)
{
    exchange->requests.all = all;
    exchange->requests.connection = connection;
}

void exchange_free(struct exchange *exchange)
{
    while (exchange->inflight.count > 0)
        remove_request(exchange, exchange->inflight.requests[exchange->inflight.count - 1]);
    inflight_free(&exchange->inflight);
    buffer_free_counted(&exchange->management, BUDGET_UNFINISHED);
    output_free(&exchange->output);
}
