/* Writes and reads the text of a holder. */
#include "cache/holder.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/byte.h"
#include "base/put.h"

static bool is_of_host(char byte)
{
    return byte_is_alnum(byte) || byte_is_one_of(byte, "-._");
}

static char own[HOLDER_MAX + 1];
static size_t own_len; /* 0: it is not written yet */

static void forget_own(void)
{
    own_len = 0;
}

/* The text is kept, and written again after a fork: a system call for each lease would cost more than
 * the rest of signing it. */
static void write_own(void)
{
    static bool follows_forks;
    char host[HOLDER_HOST_MAX + 1] = "";
    gethostname(host, sizeof host - 1);
    for (char *at = host; *at; at++)
        if (!is_of_host(*at))
            *at = '-';
    int len = snprintf(own, sizeof own, "%s %u", *host ? host : "-", (unsigned)getpid());
    if (!follows_forks)
        follows_forks = pthread_atfork(NULL, NULL, forget_own) == 0;
    own_len = follows_forks ? (size_t)len : 0;
}

struct slice holder_of_process(void)
{
    if (own_len == 0)
        write_own();
    return slice_of(own);
}

void holder_sign(char *lease, struct slice token)
{
    if (token.len > 0)
        lease = put(put(put(lease, token), SLICE(" ")), holder_of_process());
    *lease = '\0';
}

/* The length of the host. */
static size_t host_len(struct slice holder)
{
    size_t len = 0;
    while (len < holder.len && holder.data[len] != ' ')
        len++;
    return len;
}

struct slice holder_host(struct slice holder)
{
    return (struct slice){.data = holder.data, .len = host_len(holder)};
}

struct slice holder_pid(struct slice holder)
{
    size_t len = host_len(holder);
    return len < holder.len ? slice_from(holder, len + 1) : (struct slice){0};
}

static bool is_holder(struct slice text)
{
    struct slice host = holder_host(text), pid = holder_pid(text);
    if (host.len == 0 || host.len > HOLDER_HOST_MAX || pid.len == 0 || pid.len > 10)
        return false;
    for (size_t i = 0; i < host.len; i++)
        if (!is_of_host(host.data[i]))
            return false;
    for (size_t i = 0; i < pid.len; i++)
        if (!byte_is_digit(pid.data[i]))
            return false;
    return pid.data[0] != '0'; /* JSON knows no such number */
}

struct slice holder_read(struct slice lease)
{
    struct slice text = holder_pid(lease); /* what follows the first space */
    return is_holder(text) ? text : (struct slice){0};
}
