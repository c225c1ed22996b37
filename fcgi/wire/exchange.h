/* What is said on one connection: records in, answers out. Who carries the bytes is not its matter.
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
 *     STDIN after the answer: it is skipped               on_request_record
 *         the connection lingers for what may still come  exchange_expects_input, connection_close
 *     KEEP_CONN: without it a request is the last         request_is_over
 *     ABORT_REQUEST: END_REQUEST now; the flight goes on  abort_request
 *     the peer sends no more: complete requests stay      exchange_end_input, on_end_of_input
 *     the process ends: what is in flight is answered     connections_drain
 *     GET_VALUES; types that we don't know                answer_get_values, answer_unknown_type
 *     answers take turns, a record each                   take_turn, request_emit
 *     unread answers wait                                 output_must_shrink, connection_write
 *     unread replies stop the reading                     exchange_is_full, connection_feed
 *     max_unfinished: requests and their PARAMS           await_rest, request_add_params
 *         GET_VALUES                                      add_to_management
 *     max_unsent: what takes turns; what is queued        begin_turns, segment_new
 *         over it: less is queued; the largest one goes   output_must_shrink, shed_worst
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

/* What is to become of the connection. It only ever moves down this list. */
enum exchange_verdict {
    EXCHANGE_OPEN,
    EXCHANGE_CLOSE_WHEN_QUIET, /* once the requests in flight are answered: see exchange_is_quiet */
    EXCHANGE_BROKEN,           /* at once: nothing more can be read or written */
};

struct exchange {
    struct record_decoder decoder;
    struct buffer management; /* content of the GET_VALUES that is arriving */
    unsigned char begin[sizeof(FCGI_BeginRequestBody)]; /* the same of a BEGIN_REQUEST */
    struct inflight inflight;                           /* the requests, by id */
    struct request_group requests;                      /* the same, as they take turns */
    struct output output;
    enum exchange_verdict verdict;
    const char *why;      /* that verdict; static text, NULL while it is open */
    uint32_t late_inputs; /* requests that ended before their STDIN, which may still come */
    bool answered;        /* a request has ended; whoever looks sets it back */
};

/* `exchange` is all zero; `connection` is the connection's number. */
void exchange_init(struct exchange *exchange, struct request_groups *all, uint32_t connection);

/* Its requests leave their flights. */
void exchange_free(struct exchange *exchange);

/* Takes what was read; those bytes are not needed afterwards. True: the exchange is full, and what
 * is left of the input has to wait until some of its output is written. */
bool exchange_feed(struct exchange *exchange, struct slice *input);

/* Whether so much waits to be written that reading has to stop. Answers alone never bring it there,
 * as they wait at a lower mark; what does is a peer that asks and does not read. */
static inline bool exchange_is_full(const struct exchange *exchange)
{
    return exchange->output.queued >= EXCHANGE_OUTPUT_MAX;
}

/* No more will be read: requests that are not complete go away, and the others are the last. */
void exchange_end_input(struct exchange *exchange);

/* Whether input may still come that nobody needs. Closing the connection would then make the kernel
 * send a reset, which could overtake what was written last. */
static inline bool exchange_expects_input(const struct exchange *exchange)
{
    return exchange->late_inputs > 0 || !record_at_boundary(&exchange->decoder);
}

/* The connection is not wanted any longer; `why` is static text. */
void exchange_close_when_quiet(struct exchange *exchange, const char *why);

/* The request at that address gets its settlement, if it is still there. */
void exchange_settle(struct exchange *exchange, const struct waiter_address *who,
                     const struct settlement *settlement);

/* Queues what is to be sent, up to a mark: when it is written there may be more. */
void exchange_fill(struct exchange *exchange);

/* About how many bytes of BUDGET_UNSENT are its own. What several of its answers, or those of other
 * exchanges, hold together counts for each of them. */
size_t exchange_unsent(const struct exchange *exchange);

/* Whether it would queue anything. */
static inline bool exchange_has_more(const struct exchange *exchange)
{
    return exchange->requests.turns != NULL;
}

/* Whether nothing is in flight, or left to be written. */
static inline bool exchange_is_quiet(const struct exchange *exchange)
{
    return exchange->inflight.count == 0 && exchange->output.queued == 0;
}

#endif
