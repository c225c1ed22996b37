/* One FastCGI request, from BEGIN_REQUEST to END_REQUEST.
 *
 *     PARAMS --> STDIN --> ASKING --> PARKED --> ANSWERING --> GONE
 *        |         |        |  |                    ^           ^
 *        |         |        |  `--------------------|           |
 *        `---------`--------|--- an error ----------'           |
 *                           `--> STREAMING ---------------------'
 *                                  ^    v
 *                                  PAUSED
 *
 * Each state can also lead to GONE: the front server aborts the request or closes the connection.
 * What belongs to a state starts and ends with it, and only request_set_state does that:
 *
 *     state      takes turns   counts in            its timeout
 *     PARAMS     -             UNFINISHED *         receive_timeout *
 *     STDIN      -             UNFINISHED *         receive_timeout *
 *     ASKING     -             -                    -
 *     PARKED     -             -                    hold, of its waiter
 *     ANSWERING  yes           UNSENT               -, the connection has send_timeout
 *     STREAMING  yes           UNSENT               -, the same
 *     PAUSED     -             -                    heartbeat
 *
 *     * If it still exists at the end of the read in which it began. Most requests arrive in one
 *       read and are answered in it: they need no timeout, and their PARAMS are not copied.
 *
 * A request holds memory only for its current state: PARAMS are freed when it is parked.
 */
#ifndef WORKERLESS_WIRE_REQUEST_H
#define WORKERLESS_WIRE_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/log.h"
#include "base/timeout.h"
#include "web/response.h"
#include "web/service.h"

struct access_record;
struct connection_limits;
struct feed;
struct output;
struct request_group;

#define REQUEST_BEATS 8 /* number of different heartbeat intervals */

enum request_state {
    REQUEST_PARAMS,    /* its PARAMS stream is arriving */
    REQUEST_STDIN,     /* PARAMS are complete, its STDIN stream is arriving */
    REQUEST_ASKING,    /* it is complete, and the service is being called */
    REQUEST_PARKED,    /* waits on a flight */
    REQUEST_ANSWERING, /* its response is being written */
    REQUEST_STREAMING, /* its response is a stream, and some of it is ready to be written */
    REQUEST_PAUSED,    /* its response is a stream, which waits for the next fragment */
    REQUEST_GONE,      /* only until its memory is freed */
};

struct request {
    struct request *next, *prev; /* in its group's `turns`, if it takes turns */
    struct request_group *group;
    uint32_t generation; /* distinguishes this use of the id from earlier ones */
    uint16_t id;
    unsigned char state;
    bool keep_conn;
    bool input_ended; /* its STDIN stream has ended: no more records of it follow */
    bool head_sent;
    bool params_lost; /* there was no memory for PARAMS, or no room in the budget */
    bool awaited;     /* it counts as unfinished, and has a deadline */
    union {
        struct {
            struct buffer params;    /* except those that are still in the read buffer */
            struct timeout deadline; /* for the complete request */
            uint64_t body_len;       /* bytes of STDIN so far */
        } arriving;                  /* PARAMS, STDIN */
        struct {
            union answer answer; /* PARKED: wait; ANSWERING: response */
            size_t sent;         /* ANSWERING: bytes of its body */
        };
        struct {
            struct feed *feed;
            struct timeout beat;          /* PAUSED: until a heartbeat is due */
            uint64_t sent;                /* bytes of its body */
            struct access_record *access; /* owned, or NULL */
        } stream;                         /* STREAMING, PAUSED */
    };
};

/* Called when a request of the group may have something to send, because of a timeout or because a
 * fragment of its stream is ready. */
typedef void request_ready_fn(struct request_group *group);

/* What all requests share. */
struct request_groups {
    const struct connection_limits *limits;
    struct service *service;
    request_ready_fn *ready;
    struct timeout_queue receiving;
    struct timeout_queue beats[REQUEST_BEATS]; /* of streams; each uses one at random */
    struct log_limit refusals;                 /* of requests over max_connection_requests */
};

/* The requests of one connection. */
struct request_group {
    struct request_groups *all;
    struct request *turns; /* requests with something to send, in the order of their turns */
    uint32_t connection;   /* its number, for waiters' addresses */
    uint32_t next_generation;
};

/* `limits` and `service` are borrowed. */
void request_groups_init(struct request_groups *groups, struct ev_loop *loop,
                         const struct connection_limits *limits, struct service *service,
                         request_ready_fn *ready);

/* The limits have changed: the timeouts follow. */
void request_groups_limits_changed(struct request_groups *groups);

/* Call it after the last request was freed. */
void request_groups_stop(struct request_groups *groups);

/* Returns a request in state PARAMS that the caller owns, or NULL when out of memory. */
struct request *request_new(struct request_group *group, uint16_t id, bool keep_conn);

/* Frees the request; it leaves its flight, if it waits on one. NULL is allowed. */
void request_free(struct request *request);

static inline bool request_receiving(const struct request *request)
{
    return request->state == REQUEST_PARAMS || request->state == REQUEST_STDIN;
}

/* Whether it takes turns, so that request_emit has something to do. */
static inline bool request_has_output(const struct request *request)
{
    return request->state == REQUEST_ANSWERING || request->state == REQUEST_STREAMING;
}

/* Call it before the read buffer is reused for another connection: copies what is still needed from
 * the buffer, and starts the timeout of the request that began in it. */
void request_end_read(void);

/* The next bytes of a stream, and its end. Each may move the request to ANSWERING with an error, if
 * the bytes are invalid, too many or unexpected; request_end_input also to PARKED or STREAMING.
 * Input for a request that no longer receives is skipped. */
void request_add_params(struct request *request, struct slice bytes);
void request_end_params(struct request *request);
void request_add_input(struct request *request, struct slice bytes);
void request_end_input(struct request *request);

/* Takes the response and moves to ANSWERING. Do not call it if there is a response already. */
void request_answer(struct request *request, struct response response);

/* The same with one of our error responses. */
void request_refuse(struct request *request, int status);

/* The flight that it waits on has settled: moves it from PARKED to ANSWERING. */
void request_settle(struct request *request, const struct settlement *settlement);

/* Bytes that the part of its response that is not queued yet counts in BUDGET_UNSENT. */
size_t request_unsent(const struct request *request);

enum request_progress { REQUEST_MORE, REQUEST_DONE, REQUEST_WAITS, REQUEST_NO_MEMORY };

/* Queues the next record of the response: at most 32 KiB, so that the requests of a connection take
 * turns. REQUEST_DONE: END_REQUEST was queued with it. REQUEST_WAITS: nothing more is ready, and
 * the request is PAUSED. REQUEST_NO_MEMORY: the record is incomplete, so the connection must be
 * closed. */
enum request_progress request_emit(struct request *request, struct output *output);

/* Queues an END_REQUEST before or within the response. Returns false when out of memory. */
bool request_emit_end(const struct request *request, struct output *output);

#endif
