/* Writes and reads the text of a holder. */
#include "cache/holder.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/byte.h"

static bool is_of_host(char byte)
{
    return byte_is_alnum(byte) || byte_is_one_of(byte, "-._");
}

struct slice holder_of_process(void)
{
    static char text[HOLDER_MAX + 1];
    static pid_t written_by;
    pid_t pid = getpid();
    if (pid != written_by) {
        char host[HOLDER_HOST_MAX + 1] = "";
        gethostname(host, sizeof host - 1);
        for (char *at = host; *at; at++)
            if (!is_of_host(*at))
                *at = '-';
        snprintf(text, sizeof text, "%s %u", *host ? host : "-", (unsigned)pid);
        written_by = pid;
    }
    return slice_of(text);
}

void holder_sign(char *lease, struct slice token)
{
    struct slice holder = holder_of_process();
    *lease = '\0';
    if (token.len > 0)
        snprintf(lease, token.len + HOLDER_SIGNATURE_ROOM, "%.*s %.*s", SLICE_ARGS(token),
                 SLICE_ARGS(holder));
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
