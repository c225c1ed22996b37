/* One FastCGI request, from BEGIN_REQUEST to END_REQUEST.
 *
 *     PARAMS --> STDIN --> PARKED --> ANSWERING --> END_REQUEST, gone
 *        `---------`-------------------^                 ^
 *                   `-----> STREAMING -------------------'
 *
 * A request holds memory only for the state that it is in: PARAMS are dropped when it parks; they
 * are not even copied if all of the request comes with one read.
 */
#ifndef WORKERLESS_WIRE_REQUEST_H
#define WORKERLESS_WIRE_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/timeout.h"
#include "web/response.h"
#include "web/service.h"

struct connection_limits;
struct exchange;
struct feed;
struct output;

enum request_state {
    REQUEST_PARAMS,    /* its PARAMS stream is arriving */
    REQUEST_STDIN,     /* PARAMS are complete, its STDIN stream is arriving */
    REQUEST_PARKED,    /* waits on a flight */
    REQUEST_ANSWERING, /* its response is being written */
    REQUEST_STREAMING, /* its response goes on, as its fragments get ready */
};

struct request {
    struct request *next, *prev; /* in the connection's list of those that take turns */
    uint64_t body_len;           /* bytes of STDIN so far */
    uint32_t generation;         /* tells this use of the id from an earlier one */
    uint16_t id;
    unsigned char state;
    bool keep_conn;
    bool input_ended; /* its STDIN stream has ended: no more records of it will come */
    bool head_sent;
    bool listed;      /* it takes turns: see request_has_output */
    bool params_lost; /* there was no memory for them, or the budget had no room */
    union {
        struct {
            struct buffer params;    /* but for those that request_keep_params is to copy */
            struct timeout deadline; /* for all of it; its owner starts it */
            bool awaited;            /* by request_await_rest */
            struct exchange *owner;  /* for whoever gets the deadline */
        } arriving;                  /* PARAMS, STDIN */
        struct {
            union service_answer answer; /* PARKED: wait; ANSWERING: response */
            size_t sent;                 /* ANSWERING: bytes of its body */
        };
        struct {
            struct feed *feed;
            struct timeout beat;    /* until a heartbeat is due; its owner starts it */
            struct exchange *owner; /* for whoever gets the timeout */
        } stream;                   /* STREAMING */
    };
};

/* Returns a request in state PARAMS that the caller owns, or NULL when out of memory. */
struct request *request_new(uint16_t id, uint32_t generation, bool keep_conn);

/* Leaves its flight, if it waits on one. NULL is allowed. */
void request_free(struct request *request);

static inline bool request_receiving(const struct request *request)
{
    return request->state == REQUEST_PARAMS || request->state == REQUEST_STDIN;
}

/* Whether request_emit has anything to do. */
bool request_has_output(const struct request *request);

/* More of the request has yet to come: from now on it counts in BUDGET_UNFINISHED, as its PARAMS
 * do. False: that has no room. To be called once, while it is receiving. */
bool request_await_rest(struct request *request);

/* To be called before the bytes that were added go away: those that are still needed are copied. */
void request_keep_params(void);

/* The next bytes of a stream, and its end. Each may bring the request into ANSWERING, with an error
 * if the bytes are bad or too many; request_end_input also into PARKED or STREAMING. `connection`
 * is the number for its waiter's address. */
void request_add_params(struct request *request, struct slice bytes,
                        const struct connection_limits *limits);
void request_end_params(struct request *request, const struct connection_limits *limits,
                        const struct service *service);
void request_add_input(struct request *request, struct slice bytes,
                       const struct connection_limits *limits);
void request_end_input(struct request *request, struct service *service, uint32_t connection);

/* Takes the response and goes to ANSWERING, from any other state. */
void request_answer(struct request *request, struct response response);

/* The same with an error of our own. */
void request_refuse(struct request *request, int status);

/* A flight has settled: from PARKED to ANSWERING; one that is STREAMING has more to send. */
void request_settle(struct request *request, const struct waiter_address *who,
                    const struct settlement *settlement);

enum request_progress { REQUEST_MORE, REQUEST_DONE, REQUEST_WAITS, REQUEST_NO_MEMORY };

/* Queues the next record of the answer: at most 32 KiB, so that requests of one connection
 * can take turns. REQUEST_DONE: END_REQUEST was queued with it. REQUEST_WAITS: that was all so far;
 * more is to come. REQUEST_NO_MEMORY: the record is incomplete, the connection can't go on. */
enum request_progress request_emit(struct request *request, struct output *output);

/* Queues an END_REQUEST that comes before the answer, or in its middle. False: no memory. */
bool request_emit_end(const struct request *request, struct output *output);

#endif
