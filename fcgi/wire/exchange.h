/* The protocol on one connection: records in, responses out. It does not read or write the socket.
 *
 *     bytes --> decoder --records--> requests --> service
 *                                                    | answered now, or settled later
 *     output <--records-- those that take turns <----'
 *
 * Where each rule is kept (a test checks that the functions exist):
 *
 *     BEGIN_REQUEST: its length, id, role; not too many   on_record_start, on_begin
 *     PARAMS, STDIN: order, lengths, sound pairs          request_add_params, request_end_params,
 *                                                         request_add_input, request_end_input
 *     STDIN after the response is skipped                 on_request_record
 *         the connection lingers for the rest of it       exchange_expects_input, connection_close
 *     KEEP_CONN: without it a request is the last         request_is_over
 *     ABORT_REQUEST: END_REQUEST now; the flight stays    abort_request
 *     the peer stops sending: complete requests stay      exchange_end_input, on_end_of_input
 *     the process ends: pending requests are answered,    connections_drain, may_bring_request
 *         and those that are on their way
 *     GET_VALUES; unknown record types                    answer_get_values, answer_unknown_type
 *     responses take turns, one record each               take_turn, request_emit
 *     unread responses wait                               output_must_shrink, connection_write
 *     too many unread replies stop reading                exchange_is_full, connection_feed
 *     max_unfinished: requests and their PARAMS           await_rest, request_add_params
 *         GET_VALUES                                      add_to_management
 *     max_unsent: what takes turns; what is queued        begin_turns, segment_new
 *         over it: less is queued, one connection closed  output_must_shrink, shed_worst
 *     receive_timeout of requests, heartbeat of streams   await_rest, request_set_state
 *     timeouts of the connection itself                   timeout_for
 */
#ifndef WORKERLESS_WIRE_EXCHANGE_H
#define WORKERLESS_WIRE_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "fastcgi/record.h"
#include "wire/inflight.h"
#include "wire/output.h"
#include "wire/request.h"

#define EXCHANGE_OUTPUT_MAX ((size_t)1 << 20) /* bytes */

/* Whether the connection stays open. It only ever moves down this list. */
enum exchange_verdict {
    EXCHANGE_OPEN,
    EXCHANGE_CLOSE_WHEN_QUIET, /* close when every request is answered: see exchange_is_quiet */
    EXCHANGE_BROKEN,           /* close now: nothing more can be read or written */
};

struct exchange {
    struct record_decoder decoder;
    struct buffer management; /* content of the GET_VALUES that is arriving */
    unsigned char begin[sizeof(FCGI_BeginRequestBody)]; /* the same for a BEGIN_REQUEST */
    struct inflight inflight;                           /* the requests, by id */
    struct request_group requests;                      /* the same requests, as they take turns */
    struct output output;
    enum exchange_verdict verdict;
    const char *why;      /* reason of the verdict; static, NULL while open */
    uint32_t late_inputs; /* requests that ended before their STDIN, so it may still come */
    bool answered;        /* a request has ended; the reader resets it */
};

/* `exchange` is all zero; `connection` is the connection's number. */
void exchange_init(struct exchange *exchange, struct request_groups *all, uint32_t connection);

/* Its requests leave their flights. */
void exchange_free(struct exchange *exchange);

/* Handles input; the bytes are not needed after the call. Returns true if the exchange is full: the
 * rest of the input has to wait until some of its output is written. */
bool exchange_feed(struct exchange *exchange, struct slice *input);

/* Whether so much output is queued that reading has to stop. Responses alone never reach this
 * limit, as they wait at a lower one; a peer that sends requests but does not read replies does. */
static inline bool exchange_is_full(const struct exchange *exchange)
{
    return exchange->output.queued >= EXCHANGE_OUTPUT_MAX;
}

/* No more will be read: incomplete requests are dropped, and the others are the last ones. */
void exchange_end_input(struct exchange *exchange);

/* Whether unneeded input may still come. Closing the connection would then make the kernel send a
 * reset, and the peer could lose the end of the output. */
static inline bool exchange_expects_input(const struct exchange *exchange)
{
    return exchange->late_inputs > 0 || !record_at_boundary(&exchange->decoder);
}

/* Closes the connection when it is quiet; `why` is static text. */
void exchange_close_when_quiet(struct exchange *exchange, const char *why);

/* Passes the settlement to the request at that address, if it still exists. */
void exchange_settle(struct exchange *exchange, const struct waiter_address *who,
                     const struct settlement *settlement);

/* Queues output up to a limit; when that is written, there may be more. */
void exchange_fill(struct exchange *exchange);

/* Approximate bytes of BUDGET_UNSENT that it uses. An entry that several responses hold, here or in
 * other exchanges, counts for each of them. */
size_t exchange_unsent(const struct exchange *exchange);

/* Whether exchange_fill would queue anything. */
static inline bool exchange_has_more(const struct exchange *exchange)
{
    return exchange->requests.turns != NULL;
}

/* Whether no request is pending and no output is queued. */
static inline bool exchange_is_quiet(const struct exchange *exchange)
{
    return exchange->inflight.count == 0 && exchange->output.queued == 0;
}

#endif
