/* workerless status: what the daemon does at the moment. */
#include <stdio.h>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/daemon.h"
#include "cli/watch.h"

static const char *target_of(const struct arguments *arguments)
{
    if (arguments->json)
        return arguments->full ? "/workerless/status?json&full" : "/workerless/status?json";
    return arguments->full ? "/workerless/status?full" : "/workerless/status";
}

static int print(struct daemon *daemon)
{
    struct daemon_response response;
    int status = daemon_fetch(daemon,
                              &(struct daemon_request){.method = "GET",
                                                       .target = target_of(daemon->arguments),
                                                       .right = RIGHT_STATUS},
                              &response);
    if (status != CLI_OK)
        status = daemon_report(daemon, status);
    else
        status = daemon_print(&response);
    daemon_response_free(&response);
    return status;
}

int status_command(const struct arguments *arguments)
{
    struct daemon daemon;
    int status = daemon_open(&daemon, arguments, DAEMON_SILENCE_S);
    if (status == CLI_OK)
        status = arguments->watch ? watch(&daemon) : print(&daemon);
    daemon_close(&daemon);
    return status;
}
