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
 * From each state there is a way to GONE: the front server aborts the request, or closes. What goes
 * with a state begins and ends with it; request_set_state sees to that, and nothing else does:
 *
 *     state      takes turns   counts in            its timeout
 *     PARAMS     -             UNFINISHED *         receive_timeout *
 *     STDIN      -             UNFINISHED *         receive_timeout *
 *     ASKING     -             -                    -
 *     PARKED     -             -                    hold, which is its waiter's
 *     ANSWERING  yes           UNSENT               -, it is the connection's: send_timeout
 *     STREAMING  yes           UNSENT               -, the same
 *     PAUSED     -             -                    heartbeat
 *
 *     * If it is still there at the end of the read that it began in. Most requests come with one
 *       read and are answered in it: they cost no timeout, and their PARAMS are not copied.
 *
 * A request holds memory only for the state that it is in: PARAMS are dropped when it parks.
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

struct connection_limits;
struct feed;
struct output;
struct request_group;

#define REQUEST_BEATS 8 /* different times between heartbeats */

enum request_state {
    REQUEST_PARAMS,    /* its PARAMS stream is arriving */
    REQUEST_STDIN,     /* PARAMS are complete, its STDIN stream is arriving */
    REQUEST_ASKING,    /* all of it is there, and the service is being called */
    REQUEST_PARKED,    /* waits on a flight */
    REQUEST_ANSWERING, /* its response is being written */
    REQUEST_STREAMING, /* its response goes on, and some of it is ready to be written */
    REQUEST_PAUSED,    /* its response goes on when the next fragment is ready */
    REQUEST_GONE,      /* only until its memory is freed */
};

struct request {
    struct request *next, *prev; /* in its group's `turns`, if it takes turns */
    struct request_group *group;
    uint32_t generation; /* tells this use of the id from an earlier one */
    uint16_t id;
    unsigned char state;
    bool keep_conn;
    bool input_ended; /* its STDIN stream has ended: no more records of it will come */
    bool head_sent;
    bool params_lost; /* there was no memory for them, or the budget had no room */
    bool awaited;     /* it is counted as unfinished, and has a deadline */
    union {
        struct {
            struct buffer params;    /* but for those that are where they were read */
            struct timeout deadline; /* for all of it */
            uint64_t body_len;       /* bytes of STDIN so far */
        } arriving;                  /* PARAMS, STDIN */
        struct {
            union answer answer; /* PARKED: wait; ANSWERING: response */
            size_t sent;         /* ANSWERING: bytes of its body */
        };
        struct {
            struct feed *feed;
            struct timeout beat; /* PAUSED: until a heartbeat is due */
        } stream;                /* STREAMING, PAUSED */
    };
};

/* Called when a request of the group may have something to send, because time has passed or a
 * fragment of its stream is ready. */
typedef void request_ready_fn(struct request_group *group);

/* What all requests have in common. */
struct request_groups {
    const struct connection_limits *limits;
    struct service *service;
    request_ready_fn *ready;
    struct timeout_queue receiving;
    struct timeout_queue beats[REQUEST_BEATS]; /* of streams; each takes one by chance */
    struct log_limit refusals;                 /* of requests too many for their connection */
};

/* The requests of one connection. */
struct request_group {
    struct request_groups *all;
    struct request *turns; /* those with something to send, in the order of their turns */
    uint32_t connection;   /* its number, for waiters' addresses */
    uint32_t next_generation;
};

/* `limits` and `service` are borrowed. */
void request_groups_init(struct request_groups *groups, struct ev_loop *loop,
                         const struct connection_limits *limits, struct service *service,
                         request_ready_fn *ready);

/* After the last request. */
void request_groups_stop(struct request_groups *groups);

/* Returns a request in state PARAMS that the caller owns, or NULL when out of memory. */
struct request *request_new(struct request_group *group, uint16_t id, bool keep_conn);

/* Leaves its flight, if it waits on one. NULL is allowed. */
void request_free(struct request *request);

static inline bool request_receiving(const struct request *request)
{
    return request->state == REQUEST_PARAMS || request->state == REQUEST_STDIN;
}

/* Whether it takes turns: request_emit has something to do. */
static inline bool request_has_output(const struct request *request)
{
    return request->state == REQUEST_ANSWERING || request->state == REQUEST_STREAMING;
}

/* The bytes that were read go away, before those of another connection are taken: what is needed of
 * them is copied, and the request that began in them is awaited from now on. */
void request_end_read(void);

/* The next bytes of a stream, and its end. Each may bring the request into ANSWERING, with an error
 * if the bytes are bad, too many, or not what is expected; request_end_input also into PARKED or
 * STREAMING. What comes for a request that receives no longer is skipped. */
void request_add_params(struct request *request, struct slice bytes);
void request_end_params(struct request *request);
void request_add_input(struct request *request, struct slice bytes);
void request_end_input(struct request *request);

/* Takes the response and goes to ANSWERING. Not for one that has an answer already. */
void request_answer(struct request *request, struct response response);

/* The same with an error of our own. */
void request_refuse(struct request *request, int status);

/* The flight that it waited on has settled: from PARKED to ANSWERING. */
void request_settle(struct request *request, const struct settlement *settlement);

/* What its answer, as far as it is not queued, counts in BUDGET_UNSENT. */
size_t request_unsent(const struct request *request);

enum request_progress { REQUEST_MORE, REQUEST_DONE, REQUEST_WAITS, REQUEST_NO_MEMORY };

/* Queues the next record of the answer: at most 32 KiB, so that requests of one connection
 * can take turns. REQUEST_DONE: END_REQUEST was queued with it. REQUEST_WAITS: that was all so far,
 * and the request is PAUSED. REQUEST_NO_MEMORY: the record is incomplete, the connection can't go
 * on. */
enum request_progress request_emit(struct request *request, struct output *output);

/* Queues an END_REQUEST that comes before the answer, or in its middle. False: no memory. */
bool request_emit_end(const struct request *request, struct output *output);

#endif
