/* workerless purge: removes fragments from the caches. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/daemon.h"
#include "web/route.h"

static const char *header_of(const struct arguments *arguments)
{
    if (arguments->soft && arguments->exact)
        return "Workerless-Purge: soft, exact";
    return arguments->soft    ? "Workerless-Purge: soft"
           : arguments->exact ? "Workerless-Purge: exact"
                              : NULL;
}

static void print_purged(const struct arguments *arguments, const char *name)
{
    size_t len = strlen(name);
    const char *how = arguments->soft ? "made stale" : "purged";
    if (!arguments->exact && len > 0 && name[len - 1] == '*')
        printf("%s: %s all fragments whose names begin with \"%.*s\"\n", name, how, (int)len - 1,
               name);
    else
        printf("%s: %s\n", name, how);
}

/* Prints what became of it. Returns the exit status. */
static int judge(const struct arguments *arguments, const char *name, int status)
{
    if (status == 204) {
        print_purged(arguments, name);
        return CLI_OK;
    }
    fflush(stdout);
    if (status == 400)
        fprintf(stderr, "workerless: %s: no fragment can have this name\n", name);
    else if (status == 503)
        fprintf(stderr,
                "workerless: %s: not purged, or not everywhere: Redis is unavailable, or too "
                "many requests wait\n",
                name);
    else
        fprintf(stderr, "workerless: %s: not purged: status %d\n", name, status);
    return daemon_exit_status(status) != CLI_OK ? daemon_exit_status(status) : CLI_FAILED;
}

static int purge(struct daemon *daemon, const char *name)
{
    struct daemon_response response;
    size_t prefix = strlen(ROUTE_URL_PREFIX);
    if (strncmp(name, ROUTE_URL_PREFIX, prefix) == 0)
        name += prefix;
    char *target = alloc_bytes(prefix + strlen(name) + 1);
    if (!target)
        return CLI_FAILED;
    stpcpy(stpcpy(target, ROUTE_URL_PREFIX), name);
    int status = daemon_fetch(daemon,
                              &(struct daemon_request){.method = "PURGE",
                                                       .target = target,
                                                       .right = RIGHT_PURGE,
                                                       .header = header_of(daemon->arguments)},
                              &response);
    status = status == CLI_OK ? judge(daemon->arguments, name, response.status)
                              : daemon_report(daemon, status);
    daemon_response_free(&response);
    free(target);
    return status;
}

/* Goes on after a failure of one name; but not without the daemon. Returns the first failure. */
int purge_command(const struct arguments *arguments)
{
    struct daemon daemon;
    int status = daemon_open(&daemon, arguments, DAEMON_SILENCE_S);
    for (size_t i = 0; i < arguments->operand_count; i++) {
        if (status == CLI_USAGE || status == CLI_FAILED || status == CLI_TIMED_OUT)
            break;
        int one = purge(&daemon, arguments->operands[i]);
        status = one == CLI_FAILED || one == CLI_TIMED_OUT || status == CLI_OK ? one : status;
    }
    daemon_close(&daemon);
    return status;
}
