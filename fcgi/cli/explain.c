/* workerless explain: what is known of one fragment, and why it is not cached. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/daemon.h"
#include "web/explain.h"
#include "web/route.h"

static int print(const char *name, const struct daemon_response *response)
{
    if (response->status == 404)
        fprintf(stderr, "workerless: no fragment section of the config matches \"%s\"\n", name);
    else if (response->status == 400)
        fprintf(stderr, "workerless: no fragment can have the name or the inputs of \"%s\"\n",
                name);
    else
        return daemon_print(response);
    return CLI_REJECTED;
}

int explain_command(const struct arguments *arguments)
{
    const char *name = arguments->operands[0];
    struct daemon daemon;
    struct daemon_response response = {0};
    size_t prefix = strlen(ROUTE_URL_PREFIX);
    if (strncmp(name, ROUTE_URL_PREFIX, prefix) == 0)
        name += prefix;
    char *target = alloc_bytes(strlen(EXPLAIN_URL_PREFIX) + strlen(name) + 1);
    if (!target)
        return CLI_FAILED;
    stpcpy(stpcpy(target, EXPLAIN_URL_PREFIX), name);
    int status = daemon_open(&daemon, arguments, DAEMON_SILENCE_S);
    if (status == CLI_OK) {
        status = daemon_fetch(&daemon,
                              &(struct daemon_request){.method = "GET",
                                                       .target = target,
                                                       .right = RIGHT_STATUS,
                                                       .header = arguments->json
                                                                     ? "Accept: application/json"
                                                                     : NULL},
                              &response);
        status = status == CLI_OK ? print(name, &response) : daemon_report(&daemon, status);
    }
    daemon_response_free(&response);
    daemon_close(&daemon);
    free(target);
    return status;
}
