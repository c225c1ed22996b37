/* The config's limits for connections and requests. */
#ifndef WORKERLESS_WIRE_LIMITS_H
#define WORKERLESS_WIRE_LIMITS_H

#include <stdbool.h>
#include <stddef.h>

struct connection_limits {
    size_t max_connections;         /* 0: what the descriptor limit allows */
    size_t max_connection_requests; /* in flight on one connection */
    size_t max_params;              /* bytes of one request's PARAMS stream */
    size_t max_request_body;        /* bytes of one request's STDIN stream */
    double idle_timeout;            /* seconds without a request until the connection is closed */
    double receive_timeout;         /* seconds for a request to arrive completely */
    double send_timeout;            /* seconds without the peer reading a byte */
    double heartbeat;               /* seconds of silence after which a stream sends a comment */
    bool tcp_half_close;            /* a FIN on TCP means "no more requests", not "gone" */
};

#endif
