/* workerless get: any path of the daemon, without a front server. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/daemon.h"
#include "conf/conf.h"

struct get {
    const struct arguments *arguments;
    int status;
    bool cannot_write;
};

/* The head, without the CR of its lines, and an empty line. */
static void print_head(struct slice head)
{
    for (size_t i = 0; i < head.len; i++)
        if (head.data[i] != '\r')
            putchar(head.data[i]);
    putchar('\n');
}

/* Whoever reads our output gets each piece as it comes. */
static bool flush(struct get *get)
{
    get->cannot_write = fflush(stdout) != 0 || ferror(stdout);
    return !get->cannot_write;
}

static bool on_head(void *context, int status, struct slice head)
{
    struct get *get = context;
    get->status = status;
    if (get->arguments->include)
        print_head(head);
    return flush(get);
}

static bool on_body(void *context, struct slice body)
{
    struct get *get = context;
    fwrite(body.data, 1, body.len, stdout);
    return flush(get);
}

/* How long the daemon may send nothing: as long as it may hold the request, or the pause between
 * two heartbeats of a stream; and a moment. */
static double silence_of(const struct conf *conf, const char *path)
{
    double longest = conf->connections.heartbeat;
    struct slice name = slice_of(path);
    size_t rest_at;
    if (slice_starts(name, SLICE(ROUTE_URL_PREFIX))) {
        name = slice_from(name, SLICE(ROUTE_URL_PREFIX).len);
        name.len = strcspn(name.data, "?");
        const struct route *route = route_find(conf->routes, conf->route_count, name, &rest_at);
        return (route ? route->recipe.hold : 0) + DAEMON_SILENCE_S;
    }
    for (size_t i = 0; i < conf->route_count; i++)
        if (conf->routes[i].recipe.hold > longest)
            longest = conf->routes[i].recipe.hold;
    return longest + DAEMON_SILENCE_S;
}

/* Reports may only be read by some. */
static enum daemon_right right_of(const struct conf *conf, const char *path)
{
    bool is_report = strncmp(path, "/workerless/", strlen("/workerless/")) == 0;
    return is_report && conf && conf->status.count > 0 ? RIGHT_STATUS : RIGHT_NONE;
}

static int judge(const struct get *get)
{
    if (get->cannot_write) {
        perror("workerless: cannot write the response");
        return CLI_FAILED;
    }
    if (get->status == 202)
        fputs("workerless: status 202: there is no result yet\n", stderr);
    else if (daemon_exit_status(get->status) != CLI_OK)
        fprintf(stderr, "workerless: status %d\n", get->status);
    return daemon_exit_status(get->status);
}

int get_command(const struct arguments *arguments)
{
    const char *path = arguments->operands[0];
    struct get get = {.arguments = arguments};
    struct daemon daemon;
    int status = daemon_open(&daemon, arguments, INFINITY);
    if (status == CLI_OK) {
        if (daemon.conf && arguments->timeout == ARGUMENTS_NOT_GIVEN)
            daemon.silence = silence_of(daemon.conf, path);
        status = daemon_ask(&daemon, &(struct daemon_request){.method = "GET",
                                                              .target = path,
                                                              .right = right_of(daemon.conf, path),
                                                              .head = on_head,
                                                              .body = on_body,
                                                              .context = &get});
        status = status == CLI_OK ? judge(&get) : daemon_report(&daemon, status);
    }
    daemon_close(&daemon);
    return status;
}
