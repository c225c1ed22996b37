/* The one command that the bench programs send to Redis: SET with an expiry, in RESP. Both
 * functions end the program with a message if they can't.
 */
#ifndef WORKERLESS_BENCH_RESP_H
#define WORKERLESS_BENCH_RESP_H

#include "address.h"

#define RESP_VALUE       "<div>written by somebody else</div>"
#define RESP_TTL_SECONDS "600"

static inline void resp_send_set(int fd, const char *key)
{
    char command[1024];
    int len = snprintf(command, sizeof command,
                       "*5\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n$2\r\nEX\r\n$%zu\r\n%s\r\n",
                       strlen(key), key, strlen(RESP_VALUE), RESP_VALUE, strlen(RESP_TTL_SECONDS),
                       RESP_TTL_SECONDS);
    if (len >= (int)sizeof command || send(fd, command, (size_t)len, MSG_NOSIGNAL) != len)
        address_fail(key, "can't be set in Redis");
}

static inline void resp_await_ok(int fd, const char *key)
{
    char reply[5];
    if (recv(fd, reply, sizeof reply, MSG_WAITALL) != sizeof reply ||
        memcmp(reply, "+OK\r\n", sizeof reply) != 0)
        address_fail(key, "was not set in Redis");
}

#endif
